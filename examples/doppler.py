"""Make a velocity map of a line, and say what of it is the telescope's.

    python doppler.py [DIRECTORY]

Makes a small dataset first, and writes a picture into the directory. Needs the extra ``demo``.
"""

from __future__ import annotations

import sys
import tempfile
import warnings
from pathlib import Path

import astropy.units as u
import numpy as np

import dkist_virtual as dv
from dkist_virtual.demo.vtf import make_vtf
from dkist_virtual.errors import DKISTVirtualWarning


def main(directory: Path) -> None:
    make_vtf(directory / "frames", shape=(1, 2, 9, 48, 64), echo=lambda _: None)
    ds = dv.open_dataset(directory / "frames")
    assert isinstance(ds, dv.Dataset)

    # 1. The lines that have names, and the medium of these wavelengths.
    print(dv.lines("Fe I")["name", "air", "vacuum", "lande"])
    print("Wavelengths are in", ds.spectral.axis.medium)

    # 2. The simulator's OBS_VR means nothing, which is noticed: astropy computes it.
    line, window = 630.25 * u.nm, 0.02 * u.nm
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", DKISTVirtualWarning)
        velocity = ds.doppler(line, window=window, observer=True)
    print("Warned of OBS_VR:", any("OBS_VR" in str(one.message) for one in caught))
    print("Observer's velocity:", velocity.meta["result"]["observer's velocity"])

    # 3. Relative to a quiet region, all at once.
    quiet = np.zeros(velocity.shape, bool)
    quiet[:, :16] = True
    relative = ds.doppler(line, window=window, reference=quiet, most_of_cadence=1.0)
    values = relative[0].data.compute()
    print(f"From {np.nanmin(values):.1f} to {np.nanmax(values):.1f} km/s")
    relative.plot(cmap="RdBu_r").save(directory / "velocity.png")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as made:
        main(Path(sys.argv[1] if len(sys.argv) > 1 else made))

"""Look at the seeing, and leave out the frames where it was not good.

    python seeing.py [DIRECTORY]

Makes a small dataset first, and writes a picture into the directory. Needs the extra ``demo``.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import astropy.units as u
import numpy as np

import dkist_virtual as dv
from dkist_virtual.demo.vtf import make_vtf


def main(directory: Path) -> None:
    make_vtf(directory / "frames", shape=(4, 3, 3, 24, 32), echo=lambda _: None)
    ds = dv.open_dataset(directory / "frames")
    assert isinstance(ds, dv.Dataset)

    # 1. The adaptive optics lose the Sun in one frame: its r0 means nothing.
    locked = np.full((4, 3, 3), True)
    locked[2, 1, 2] = False
    ds.headers["AO_LOCK"] = locked.ravel()
    print(ds.seeing)
    ds.plot_seeing(contrast=True).savefig(directory / "seeing.png")

    # 2. All Stokes parameters of a step are good, or none.
    good = ds.seeing.good(r0=9 * u.cm)
    print("Scans with good frames:", np.flatnonzero(good.reshape(4, 3, 3).any(axis=(0, 2))))
    print("Files:", ds.files[good])

    # 3. A dataset whose other frames are masked: nothing is read until its mean is.
    best = ds.seeing.mask_others(r0=9 * u.cm)
    print("Mean of the good:", round(float(np.nanmean(best[0]).value), 2))


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as made:
        main(Path(sys.argv[1] if len(sys.argv) > 1 else made))

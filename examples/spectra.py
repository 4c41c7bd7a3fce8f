"""Measure a line in every pixel: strength, centroid, core and continuum.

    python spectra.py [DIRECTORY]

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
    make_vtf(directory / "frames", shape=(1, 2, 11, 48, 64), echo=lambda _: None)
    ds = dv.open_dataset(directory / "frames")
    assert isinstance(ds, dv.Dataset)

    # 1. Moments are computed together: each frame is read once.
    window = [630.23, 630.27] * u.nm
    beside = [[630.226, 630.232], [630.268, 630.274]] * u.nm
    how = {"window": window, "continuum": beside, "most_of_cadence": 1.0}
    line = ds.spectral.moments(**how).compute()
    print(line)
    print("Equivalent width", np.median(line.equivalent_width.data * 1e3).round(2), "pm")

    # 2. A core that is at the edge, blended or in emission is masked, and says why.
    core = ds.spectral.line_core(**how).compute()
    print(core.quality.meta["result"]["qualities"])
    print(f"{np.mean(core.quality.data == 0):.1%} of the spectra have a core")

    # 3. The middle of the line, at two levels: where it is crooked, these differ.
    middle = ds.spectral.bisector([0.3, 0.7], **how).compute()
    crooked = (middle.middle_70.data - middle.middle_30.data) * 1e3
    print("Crooked by", np.nanstd(crooked).round(3), "pm")

    # 4. All of these are datasets.
    line.centroid[0].plot(cmap="RdBu_r").save(directory / "centroid.png")
    line.centroid.save(directory / "centroid.zarr", progress=False)
    print(dv.open_dataset(directory / "centroid.zarr").meta["result"]["quantity"])


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as made:
        main(Path(sys.argv[1] if len(sys.argv) > 1 else made))

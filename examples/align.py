"""Correct the pointing by a map of the Sun: what was wrong is found, and shown in a figure.

    python align.py [DIRECTORY]

Simulates a dataset and maps of it, and writes a picture into the directory.
Needs the extras ``align`` and ``demo``.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import astropy.units as u
from matplotlib.figure import Figure

import dkist_virtual as dv
from dkist_virtual.demo.vtf import make_vtf
from dkist_virtual.errors import AlignmentError


def main(directory: Path) -> None:
    make_vtf(directory / "frames", shape=(4, 2, 5, 96, 128), echo=lambda _: None)
    right = dv.open_dataset(directory / "frames")
    assert isinstance(right, dv.Dataset)

    # 1. Maps with pixels of 0.67 arcsec, one for each time; and a pointing that is wrong.
    images = {"wavelength": 630.23 * u.nm, "stokes": "I"}
    maps = [image.to_map().superpixel([2, 2] * u.pixel) for image in right.at(**images)]
    ds = right.shift(-3.2 * u.arcsec, 1.7 * u.arcsec)

    # 2. One wavelength of Stokes I is compared, and the whole dataset corrected.
    aligned = ds.align(maps, at=images, search=6 * u.arcsec)
    print(aligned.alignment)
    print("Pointing:", aligned.pointing)

    # 3. Before and after.
    figure = Figure(figsize=(11, 7), layout="constrained")
    aligned.plot_alignment(figure=figure)
    figure.savefig(directory / "alignment.png")

    # 4. A shift beyond the search is refused, not guessed.
    try:
        ds.align(maps, at=images, search=3 * u.arcsec)
    except AlignmentError as error:
        print("Refused:", error)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as made:
        main(Path(sys.argv[1] if len(sys.argv) > 1 else made))

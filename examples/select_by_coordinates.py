"""Select by world coordinates and by headers; no frame is read until the end.

python select_by_coordinates.py
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import astropy.units as u

import dkist_virtual as dv
from dkist_virtual.demo.vtf import make_vtf


def main(directory: Path) -> None:
    ds = dv.open_dataset(make_vtf(directory, (4, 2, 5, 48, 64), echo=lambda _: None))
    assert isinstance(ds, dv.Dataset)

    # Any coordinate alone ...
    print("V:", ds.crop("V").shape)
    print("A wavelength range:", ds.crop([630.235, 630.265] * u.nm).shape)

    # ... or several, in any order.
    corner, opposite = (ds[0, 0, 0].wcs.pixel_to_world(x, y) for x, y in [(10, 10), (30, 40)])
    region = ds.crop(["Q", corner], ["V", opposite])
    print("Q to V of a part of the field:", region.shape, "from", len(region.files), "files")

    # The plane that is nearest to a wavelength, and its chunks.
    plane = ds.at(wavelength=630.25 * u.nm, stokes="V")
    print("Nearest to 630.25 nm:", plane.shape, plane.files.keys)

    # By header: frames that form no rectangle, hence files and no dataset.
    good = ds.files[ds.seeing.good(r0=8 * u.cm)]
    print("Good seeing:", good)

    print("Mean of the region:", region.data.mean().compute().round(2))


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as directory:
        main(Path(directory))

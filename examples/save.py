"""Keep a selection as a store of references, and move its directory with it.

python save.py
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np

import dkist_virtual as dv
from dkist_virtual.demo.vtf import make_vtf


def main(directory: Path) -> None:
    frames = directory / "VTF"
    ds = dv.open_dataset(make_vtf(frames, (4, 2, 5, 48, 64), echo=lambda _: None))
    assert isinstance(ds, dv.Dataset)

    # The line core of Stokes I, every second row: no pixel is copied.
    core = ds[0, :, 2, ::2]
    core.headers["QUALITY"] = core.headers["ATMOS_R0"] > 0.1
    core.save(frames / "core.virtual", relative=True)
    size = sum(file.stat().st_size for file in (frames / "core.virtual").iterdir())
    print("Saved:", core.shape, f"in {size / 1000:.0f} kB")

    # It opens as that very dataset, also where the directory goes.
    moved = frames.rename(directory / "elsewhere")
    again = dv.open_dataset(moved / "core.virtual")
    assert isinstance(again, dv.Dataset)
    print("Opened:", again.shape, "with", len(again.headers), "header rows")
    print("The same pixels:", again[0, 10, 20:23].data.compute())
    pixel = (3.0, 2.0, 1.0)
    same = np.array_equal(
        again.wcs.low_level_wcs.pixel_to_world_values(*pixel),
        core.wcs.low_level_wcs.pixel_to_world_values(*pixel),
    )
    print("The same coordinates:", same)

    # Computed pixels are written themselves.
    (again / again[:, :1]).save(directory / "ratio.zarr")
    ratio = dv.open_dataset(directory / "ratio.zarr")
    print("Computed:", ratio.shape, ratio.lineage.is_computed)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as directory:
        main(Path(directory))

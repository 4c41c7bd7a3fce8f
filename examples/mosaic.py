"""A VBI mosaic: its tiles, the same slice of all of them, and their places on the sky.

    python mosaic.py

Makes a small one first. Needs the extra ``demo``.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import astropy.units as u
import numpy as np

import dkist_virtual as dv
from dkist_virtual.demo.vbi import make_vbi


def main(workspace: Path) -> None:
    asdf = make_vbi(workspace / "frames")
    print(dv.convert(asdf, workspace / "VBI.virtual"))
    mosaic = dv.open_dataset(workspace / "VBI.virtual")
    assert isinstance(mosaic, dv.TiledDataset)

    # 1. A grid of datasets, of which some are missing.
    print("Grid:", mosaic.shape, "tiles:", len(mosaic.flat), "of", mosaic.mask.size)
    print("Middle:", mosaic[1, 1].shape, "above it:", mosaic[0, 1])

    # 2. The same slice of every tile, and one read for each.
    first = mosaic.slice_tiles[0]
    means = [float(tile.data.mean().compute()) for tile in first.flat]
    print("First moment:", len(first.files), "files, means", np.round(means))

    # 3. A place on the sky: the tiles that do not show it are masked.
    spot = mosaic[1, 1][0].wcs.pixel_to_world(48, 48)
    found = mosaic.crop(spot)
    print("Tiles that show it:", np.argwhere(~found.mask).tolist())

    # 4. Headers of all tiles, each row with its tile; files selected by their headers.
    good = mosaic.files[mosaic.seeing.good(r0=8.5 * u.cm)]
    print("Good seeing:", good)
    print("Row 4 belongs to tile", mosaic.tile_of_row[4].tolist())

    # 5. All tiles in their places on the sky.
    plot = mosaic.plot()
    plot.save(workspace / "mosaic.png")
    print("Picture of", len(plot.images), "tiles:", (workspace / "mosaic.png").stat().st_size > 0)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as directory:
        main(Path(directory))

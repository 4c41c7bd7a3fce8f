"""A VBI mosaic: its tiles, what is the same in all of them, and what lies where on the sky.

    python mosaic.py

Makes a small one first. Needs ``pip install "dkist_virtual[demo]"``.
"""

from __future__ import annotations

import logging
import tempfile
import warnings
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np

import dkist_virtual as dv
from dkist_virtual.demo import sunspot


def make_vbi(directory: Path) -> Path:
    """Make a mosaic of 3 x 3 tiles, of which four are missing, two moments each.

    Parameters
    ----------
    directory
        Where the frames and the ASDF are written.

    Returns
    -------
    asdf
        The dataset's ASDF.
    """
    import astropy.units as u
    from astropy.utils import iers
    from dkist_data_simulator.spec214.vbi import MosaicedVBIRedAllDataset
    from dkist_inventory.asdf_generator import dataset_from_fits
    from scipy.ndimage import map_coordinates

    scene = sunspot((520, 520)).continuum

    class Sun(MosaicedVBIRedAllDataset):  # type: ignore[misc]
        def header(self, *args: Any, **kwargs: Any) -> Any:
            self.add_constant_key("ATMOS_R0", 0.06 + 0.01 * (self.index % 5))
            return super().header(*args, **kwargs)

        @property
        def fits_wcs(self) -> Any:
            # As many arcseconds as a detector of 4096 x 4096 pixels sees: tiles overlap a little.
            wcs = super().fits_wcs.deepcopy()  # that one is kept
            coarser = 4096 / self.array_shape[0]
            wcs.wcs.crpix = wcs.wcs.crpix / coarser
            wcs.wcs.cdelt = wcs.wcs.cdelt * coarser
            return wcs

        @property
        def data(self) -> Any:
            y, x = np.indices(self.array_shape)
            x0, y0 = self.fits_wcs.wcs.crpix
            # The scene is 520 pixels wide, the field three tiles.
            at = [260 + y - y0, 260 + x - x0]
            seen = map_coordinates(scene, at, order=1, mode="reflect")
            noise = np.random.default_rng(self.index).normal(0, 0.01, self.array_shape)
            return (1000 * (seen + noise)).astype("f4")

    disabled = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with (
            redirect_stdout(StringIO()),
            warnings.catch_warnings(),
            iers.conf.set_temp("auto_download", False),
        ):
            warnings.simplefilter("ignore")
            made = Sun(n_time=2, time_delta=10, linewave=656.28 * u.nm, detector_shape=(96, 96))
            made.generate_files(directory, "vbi_{ds.index:02d}.fits", rice_compress=True)
            dataset_from_fits(directory, "VBI.asdf", hdu=1)
    finally:
        logging.disable(disabled)
    return directory / "VBI.asdf"


def main(workspace: Path) -> None:
    asdf = make_vbi(workspace / "frames")
    print(dv.convert(asdf, workspace / "VBI.virtual"))
    mosaic = dv.open_dataset(workspace / "VBI.virtual")
    assert isinstance(mosaic, dv.TiledDataset)

    # 1. A grid of datasets, not all of which are there.
    print("Grid:", mosaic.shape, "tiles:", len(mosaic.flat), "of", mosaic.mask.size)
    print("Middle:", mosaic[1, 1].shape, "above it:", mosaic[0, 1])

    # 2. The same slice of every tile, and one read for each.
    first = mosaic.slice_tiles[0]
    means = [float(tile.data.mean().compute()) for tile in first.flat]
    print("First moment:", len(first.files), "files, means", np.round(means))

    # 3. What lies at a place on the sky: the tiles that do not show it are masked.
    spot = mosaic[1, 1][0].wcs.pixel_to_world(48, 48)
    found = mosaic.crop(spot)
    print("Tiles that show it:", np.argwhere(~found.mask).tolist())

    # 4. Headers of all tiles, each row with its tile; files by what they say.
    headers = mosaic.combined_headers
    good = mosaic.files[headers["ATMOS_R0"] > 0.08]
    print("Good seeing:", good)
    print("Row 4 belongs to tile", mosaic.tile_of_row[4].tolist())

    # 5. All tiles in their places on the sky.
    plot = mosaic.plot()
    plot.save(workspace / "mosaic.png")
    print("Picture of", len(plot.images), "tiles:", (workspace / "mosaic.png").stat().st_size > 0)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as directory:
        main(Path(directory))

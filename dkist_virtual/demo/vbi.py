"""Make a small mosaic of VBI: simulated tiles of one sunspot, with an ASDF.

It needs the extra ``demo``, like `dkist_virtual.demo.vtf`.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dkist_virtual.demo.sunspot import sunspot
from dkist_virtual.demo.vtf import quiet

if TYPE_CHECKING:
    from astropy.wcs import WCS
    from numpy.typing import NDArray

__all__ = ["make_vbi"]


def make_vbi(directory: str | os.PathLike[str]) -> Path:
    """Make a mosaic of 3 x 3 tiles, of which four are missing, two moments each.

    Writes frames and ASDF into `directory`, and returns the path of the ASDF.
    """
    import astropy.units as u
    from dkist_data_simulator.spec214.vbi import MosaicedVBIRedAllDataset
    from scipy.ndimage import map_coordinates

    directory = Path(directory)
    scene = sunspot((520, 520)).continuum

    base: Any = MosaicedVBIRedAllDataset  # types only some of its methods

    class Sun(base):
        def header(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
            self.add_constant_key("ATMOS_R0", 0.06 + 0.01 * (self.index % 5))
            header: dict[str, Any] = super().header(*args, **kwargs)
            return header

        @property
        def fits_wcs(self) -> WCS:
            # The field of a detector of 4096 x 4096 pixels: tiles overlap a little.
            wcs: WCS = super().fits_wcs.deepcopy()  # the simulator caches its own
            coarser = 4096 / self.array_shape[0]
            wcs.wcs.crpix = wcs.wcs.crpix / coarser
            wcs.wcs.cdelt = wcs.wcs.cdelt * coarser
            return wcs

        @property
        def data(self) -> NDArray[np.float32]:
            y, x = np.indices(self.array_shape)
            x0, y0 = self.fits_wcs.wcs.crpix
            # The scene is 520 pixels wide, the field three tiles.
            at = [260 + y - y0, 260 + x - x0]
            seen = map_coordinates(scene, at, order=1, mode="reflect")
            noise = np.random.default_rng(self.index).normal(0, 0.01, self.array_shape)
            return np.asarray(1000 * (seen + noise), "f4")

    with quiet():
        from dkist_inventory.asdf_generator import dataset_from_fits

        made = Sun(n_time=2, time_delta=10, linewave=656.28 * u.nm, detector_shape=(96, 96))
        made.generate_files(directory, "vbi_{ds.index:02d}.fits", rice_compress=True)
        dataset_from_fits(directory, "VBI.asdf", hdu=1)
    return directory / "VBI.asdf"

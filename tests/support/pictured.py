"""Images with a WCS of the sky, turned and mirrored, for the tests of the viewer."""

from __future__ import annotations

from typing import Any

import numpy as np
from astropy.wcs import WCS

from dkist_virtual.cube.world_axes import World
from dkist_virtual.plot.planes import Subject

__all__ = ["SHAPE", "Image", "sky_header"]

SHAPE = (30, 40)


def sky_header(angle: float, mirror: int, step: float = 0.5) -> WCS:
    """A helioprojective WCS that is turned by an angle, and mirrored where `mirror` is -1."""
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["HPLN-TAN", "HPLT-TAN"]
    wcs.wcs.cunit = ["arcsec", "arcsec"]
    wcs.wcs.crval = [200, -350]
    wcs.wcs.crpix = [15, 12]
    wcs.wcs.cdelt = [1, 1]
    turn = np.radians(angle)
    wcs.wcs.pc = step * np.array(
        [[mirror * np.cos(turn), -np.sin(turn)], [mirror * np.sin(turn), np.cos(turn)]]
    )
    wcs.wcs.dateobs = "2024-01-02T03:04:05"
    wcs.wcs.aux.dsun_obs, wcs.wcs.aux.hgln_obs, wcs.wcs.aux.hglt_obs = 1.47e11, 0, 3
    wcs.wcs.set()
    return wcs


class Image:
    """Pixels with a WCS, as the viewer is handed a dataset."""

    def __init__(self, pixels: Any, wcs: Any) -> None:
        self.pixels, self.shape, self.wcs = pixels, pixels.shape, wcs

    def subject(self) -> Subject:
        world = World(self.wcs, self.shape)
        names = tuple(f"axis {axis}" for axis in range(len(self.shape)))
        return Subject(self.pixels, None, world, names, "ct", "", {})

    def __getitem__(self, item: Any) -> Any:
        return self.pixels[item]

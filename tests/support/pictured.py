"""Images with a WCS of the sky, turned and mirrored, for the tests of the viewer."""

from __future__ import annotations

from typing import Any

import numpy as np
from astropy.wcs import WCS

from dkist_virtual.cube.world_axes import World
from dkist_virtual.plot.planes import Subject

__all__ = ["SHAPE", "SPECTRA", "C", "Image", "sky_header", "spectral_axis"]

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


class Spectral(WCS):
    """A WCS of the sky and of a spectral axis, whose unit may be none of a spectrum."""

    unit: str | None = None

    @property
    def world_axis_units(self) -> list[str]:
        units = super().world_axis_units
        return units if self.unit is None else [*units[:2], self.unit]


def spectral_axis(ctype: str, unit: str, values: tuple[float, float], own: str | None) -> WCS:
    """Coordinates of 5 x 2 columns and rows, and of 21 pixels between two values."""
    wcs = Spectral(naxis=3)
    wcs.wcs.ctype = ["HPLN-TAN", "HPLT-TAN", ctype]
    wcs.wcs.cunit = ["arcsec", "arcsec", unit]
    wcs.wcs.cdelt = [1, 1, (values[1] - values[0]) / 20]
    wcs.wcs.crpix = [1, 1, 1]
    wcs.wcs.crval = [0, 0, values[0]]
    wcs.wcs.restwav = 630e-9
    wcs.unit = own
    wcs.wcs.set()
    return wcs


C = 299_792_458.0
"""The speed of light in m/s."""
SPECTRA = {
    "wavelengths": ("WAVE", "nm", (629.99, 630.01), None),
    "wavelengths, descending": ("WAVE", "Angstrom", (6300.1, 6299.9), None),
    "frequencies": ("FREQ", "GHz", (C / 629.99, C / 630.01), None),
    "wave numbers": ("WAVN", "cm-1", (1e7 / 630.01, 1e7 / 629.99), None),
    "velocities": ("VOPT", "m/s", (-4758.0, 4758.0), None),
    "uncalibrated": ("WAVE", "nm", (629.99, 630.01), "pix"),
    "without a unit": ("WAVE", "nm", (629.99, 630.01), ""),
}
"""Spectral axes through a line at 630 nm: CTYPE, CUNIT, first and last value, another unit."""


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

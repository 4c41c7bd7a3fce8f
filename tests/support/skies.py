"""WCSs whose longitude and latitude are easily taken for each other, with a dataset of each.

Each has four world axes, two of the sky, a wavelength and a time, over three axes of an array:
(raster, wavelength, slit), of `SHAPE`. What `SkyCoord` belongs to a pixel says the WCS itself.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import astropy.units as u
import numpy as np
from astropy.coordinates import ICRS, SkyCoord
from astropy.modeling.models import Const1D, Linear1D, Mapping, Polynomial2D, Shift
from astropy.time import Time
from astropy.wcs import WCS
from astropy.wcs.wcsapi import BaseLowLevelWCS, HighLevelWCSWrapper
from gwcs import WCS as GWCS
from gwcs.coordinate_frames import (
    CelestialFrame,
    CompositeFrame,
    CoordinateFrame,
    SpectralFrame,
    TemporalFrame,
)
from sunpy.coordinates import HeliographicCarrington, HeliographicStonyhurst, Helioprojective

import dkist_virtual as dv

__all__ = ["KINDS", "SHAPE", "dataset", "sky_of"]

SHAPE = (7, 3, 9)
WHEN = Time("2023-08-28T20:38:11.577")
OBSERVER = HeliographicStonyhurst(0.001 * u.deg, 7.12 * u.deg, 1.51e11 * u.m, obstime=WHEN)
SEEN = Helioprojective(obstime=WHEN, observer=OBSERVER)


def turned(
    *,
    frame: Any = SEEN,
    unit: tuple[u.Unit, u.Unit] = (u.arcsec, u.arcsec),
    lon: float = -2.0,
    lat: float = -68.0,
    matrix: tuple[float, ...] = (0.21, 0.01, -0.02, 0.07),
    order: tuple[int, int] = (2, 0),
    exchanged: bool = True,
) -> HighLevelWCSWrapper:
    """A gWCS as of early ViSP: latitude first, and names and types that say the contrary.

    Parameters
    ----------
    lon, lat
        At the first pixel, in `unit`.
    matrix
        Of longitude along the raster and the slit, then of latitude.
    order
        The places of longitude and latitude among the world axes; 1 is the wavelength.
    exchanged
        Whether names and physical types are those of the other one.
    """
    along = Polynomial2D(1, c0_0=lon, c1_0=matrix[0], c0_1=matrix[1])
    along &= Polynomial2D(1, c0_0=lat, c1_0=matrix[2], c0_1=matrix[3])
    return _gwcs(Mapping((0, 1, 0, 1)) | along, frame, unit, order, exchanged=exchanged)


def _gwcs(
    sky: Any, frame: Any, unit: Any, order: tuple[int, int], *, exchanged: bool
) -> HighLevelWCSWrapper:
    """From pixels (slit, wavelength, raster); `sky` takes raster and slit."""
    together = sky & (Shift(0) | Linear1D(0.01, 393.4)) & Linear1D(10, 0)
    # From longitude, latitude, wavelength, time to the order of the world axes.
    places = [0] * 4
    for value, place in enumerate((*order, 1, 3)):
        places[place] = value
    names = ["lon", "lat"][:: -1 if exchanged else 1]
    words = {"lon": "longitude", "lat": "latitude"}
    output = CompositeFrame(
        [
            CelestialFrame(
                axes_order=order,
                reference_frame=frame,
                unit=unit,
                axes_names=[f"helioprojective {words[name]}" for name in names],
                axis_physical_types=[f"custom:pos.helioprojective.{name}" for name in names],
            ),
            SpectralFrame(axes_order=(1,), unit=u.nm, axes_names=("wavelength",)),
            TemporalFrame(WHEN, axes_order=(3,), unit=u.s, axes_names=("time",)),
        ]
    )
    pixels = CoordinateFrame(3, ["PIXEL"] * 3, (0, 1, 2), unit=[u.pix] * 3, name="pixels")
    return GWCS(Mapping((2, 0, 1, 2)) | together | Mapping(tuple(places)),
                input_frame=pixels, output_frame=output)  # fmt: skip


def apart() -> Any:
    """Longitude changes along the raster alone, latitude along the slit alone."""
    return _gwcs(Linear1D(0.21, 1295990) & Linear1D(0.07, -68), SEEN, (u.arcsec, u.arcsec), (2, 0),
                 exchanged=True)  # fmt: skip


def constant() -> Any:
    """A longitude that is the same everywhere, in degrees, a little below a whole turn."""
    return _gwcs(Const1D(359.994444444) & Linear1D(2e-5, 0.01), SEEN, (u.deg, u.deg), (0, 2),
                 exchanged=False)  # fmt: skip


def header(
    first: str, other: str, *, crval: tuple[float, float], cdelt: tuple[float, float]
) -> WCS:
    """A FITS header's WCS with these types along (slit, wavelength, raster); no time."""
    wcs = WCS(naxis=3)
    wcs.wcs.ctype = [first, "WAVE", other]
    wcs.wcs.cunit = ["arcsec", "nm", "arcsec"]
    wcs.wcs.crval = [crval[0], 393.4, crval[1]]
    wcs.wcs.cdelt = [cdelt[0], 0.01, cdelt[1]]
    wcs.wcs.crpix = [4, 1, 3]
    wcs.wcs.pc = [[0.99, 0, 0.1], [0, 1, 0], [-0.1, 0, 0.99]]
    if first.startswith("C"):  # astropy makes no SkyCoord of a Carrington header with a wavelength
        wcs = wcs.sub([1, 3])
    wcs.wcs.dateavg = WHEN.isot
    for name, value in (("hgln_obs", 0.001), ("hglt_obs", 7.12), ("dsun_obs", 1.51e11)):
        setattr(wcs.wcs.aux, name, value)
    wcs.wcs.set()
    return wcs


class Words(BaseLowLevelWCS):  # type: ignore[misc]  # astropy comes without types
    """A WCS of two axes that names the parts of its SkyCoord, and says nothing else of them."""

    pixel_n_dim = world_n_dim = 2
    world_axis_physical_types = (None, None)
    world_axis_units = ("arcmin", "arcmin")
    axis_correlation_matrix = np.ones((2, 2), bool)

    def pixel_to_world_values(self, x: Any, y: Any) -> Any:
        """Latitude, then longitude."""
        x, y = np.asarray(x, float), np.asarray(y, float)
        return 0.01 * x + 0.001 * y - 3, 21600 - 0.02 * y + 0.001 * x - 5

    def world_to_pixel_values(self, *world: Any) -> Any:
        raise NotImplementedError

    @property
    def world_axis_object_components(self) -> Any:
        return [
            ("place", "Ty", lambda sky: sky.Ty.to_value(u.arcmin)),
            ("place", "Tx", lambda sky: sky.Tx.to_value(u.arcmin)),
        ]

    @property
    def world_axis_object_classes(self) -> Any:
        return {"place": (SkyCoord, (), {"frame": SEEN, "unit": "arcmin, arcmin"})}


_DEGREES = {
    "unit": (u.deg, u.deg),
    "lon": 359.99,
    "lat": -20.0,
    "matrix": (0.006, 1e-4, -2e-4, 5e-3),
}

KINDS: dict[str, Callable[[], Any]] = {
    "as early ViSP": turned,
    "latitude first, named right": lambda: turned(exchanged=False),
    "longitude first, named wrong": lambda: turned(order=(0, 2)),
    "wrapped": lambda: turned(lon=1296000 - 0.6),
    "degrees and arcsec": lambda: turned(unit=(u.deg, u.arcsec), lon=359.9999, matrix=(
        5e-5, 1e-6, -0.02, 0.07)),
    "arcsec and degrees": lambda: turned(unit=(u.arcsec, u.deg), lat=0.01, matrix=(
        0.21, 0.01, -1e-6, 2e-5)),
    "radians": lambda: turned(unit=(u.rad, u.rad), lon=6.2831, lat=1e-3, matrix=(
        1e-5, 1e-6, -1e-6, 3e-6)),
    "each along its own axis": apart,
    "a constant longitude": constant,
    "Stonyhurst": lambda: turned(frame=HeliographicStonyhurst(obstime=WHEN), **_DEGREES),
    "Stonyhurst, far side": lambda: turned(
        frame=HeliographicStonyhurst(obstime=WHEN), **{**_DEGREES, "lon": 179.99, "lat": 60.0}),
    "Carrington at 0": lambda: turned(
        frame=HeliographicCarrington(obstime=WHEN, observer=OBSERVER), **_DEGREES),
    "equatorial at 0": lambda: turned(frame=ICRS(), **{**_DEGREES, "order": (0, 2)}),
    "header": lambda: header("HPLN-TAN", "HPLT-TAN", crval=(-400, 200), cdelt=(0.1, 0.2)),
    "header, latitude first": lambda: header(
        "HPLT-TAN", "HPLN-TAN", crval=(200, 1295999.9), cdelt=(0.1, 0.2)),
    "header, Carrington": lambda: header(
        "CRLT-CAR", "CRLN-CAR", crval=(0, 0.1), cdelt=(30, 40)),
    "named parts": lambda: HighLevelWCSWrapper(Words()),
}  # fmt: skip
"""A WCS of each kind, by what it is."""


def dataset(kind: str) -> Any:
    """A dataset whose pixels count from 0, with a WCS of a kind."""
    wcs = KINDS[kind]()
    shape = SHAPE if wcs.low_level_wcs.pixel_n_dim == 3 else (SHAPE[0], SHAPE[2])
    return dv.Dataset(np.arange(np.prod(shape), dtype=float).reshape(shape), wcs)


def sky_of(ds: Any, *pixel: Any) -> SkyCoord:
    """The position on the sky of array pixels, as the dataset's WCS says it."""
    world = ds.wcs.pixel_to_world(*pixel[::-1])
    world = world if isinstance(world, (list, tuple)) else [world]
    return next(one for one in world if isinstance(one, SkyCoord))

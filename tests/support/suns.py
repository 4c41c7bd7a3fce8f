"""Mosaics of a known Sun: tiles cut from one scene by astropy's WCS, with errors to be found.

The scene is a function of Tx and Ty, so that any pixel of any result can be compared with it at the
coordinates that the result states.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from astropy.wcs import WCS

import dkist_virtual as dv

__all__ = ["LIMB", "SCALE", "mosaic", "scene", "tile", "tile_wcs"]

SCALE = 0.5
"""Arcseconds a pixel."""

LIMB = 960.0

_WAVES = np.random.default_rng(19).normal(0, 1 / 3, (60, 2))
_PHASES = np.random.default_rng(20).uniform(0, 2 * np.pi, 60)


def scene(lon: Any, lat: Any) -> Any:
    """Brightness at Tx and Ty, arcsec: about 100, in grains of some arcseconds; 2 off the limb."""
    lon, lat = np.asarray(lon, float), np.asarray(lat, float)
    waves = [
        np.cos(a * lon + b * lat + phase) for (a, b), phase in zip(_WAVES, _PHASES, strict=True)
    ]
    disk = 1 / (1 + np.exp((np.hypot(lon, lat) - LIMB) / 1.5))
    return 2 + (98 + 3 * np.sum(waves, axis=0)) * disk


def tile_wcs(
    centre: tuple[float, float],
    shape: tuple[int, int],
    *,
    rotation: float = 0.0,
    seconds: float = 0.0,
    mirrored: bool = False,
) -> WCS:
    """A FITS WCS whose tangent point, at the centre of an image, is at Tx and Ty, arcsec.

    The rotation, degrees, turns the x axis from west towards north.
    """
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["HPLN-TAN", "HPLT-TAN"]
    wcs.wcs.cunit = ["arcsec", "arcsec"]
    wcs.wcs.crval = centre
    wcs.wcs.crpix = [(shape[1] + 1) / 2, (shape[0] + 1) / 2]
    wcs.wcs.cdelt = [-SCALE if mirrored else SCALE, SCALE]
    cos, sin = np.cos(np.deg2rad(rotation)), np.sin(np.deg2rad(rotation))
    wcs.wcs.pc = [[cos, sin], [-sin, cos]] if mirrored else [[cos, -sin], [sin, cos]]
    wcs.wcs.dateobs = f"2023-10-16T18:47:{seconds:06.3f}"
    wcs.wcs.aux.hgln_obs, wcs.wcs.aux.hglt_obs = 0.0, 5.8
    wcs.wcs.aux.dsun_obs, wcs.wcs.aux.rsun_ref = 1.49e11, 6.957e8
    wcs.wcs.set()
    wcs.array_shape = shape
    return wcs


def tile(
    centre: tuple[float, float],
    shape: tuple[int, int] = (44, 48),
    *,
    error: tuple[float, float] = (0.0, 0.0),
    gain: float = 1.0,
    offset: float = 0.0,
    **how: Any,
) -> dv.Dataset:
    """A tile: pixels of the scene. `error`, pixels in x and y, is how wrong its stated place is."""
    true = tile_wcs(centre, shape, **how)
    y, x = np.indices(shape)
    lon, lat = true.wcs_pix2world(x.ravel(), y.ravel(), 0)
    lon, lat = (3600 * lon + 648000) % 1296000 - 648000, 3600 * lat
    pixels = gain * scene(lon, lat).reshape(shape) + offset
    stated = (centre[0] + SCALE * error[0], centre[1] + SCALE * error[1])
    return dv.Dataset(pixels, wcs=tile_wcs(stated, shape, **how), unit="ct")


def mosaic(
    *,
    around: tuple[float, float] = (-160.0, 80.0),
    shape: tuple[int, int] = (44, 48),
    overlap: int = 12,
    rotation: float = 0.1,
    errors: Any = None,
    gains: Any = None,
    offsets: Any = None,
    missing: tuple[tuple[int, int], ...] = (),
) -> dv.TiledDataset:
    """3 x 3 tiles at fractions of pixels, each 3 s after the other; the first axis is x."""
    tiles = np.empty((3, 3), object)
    for number, (i, j) in enumerate(np.ndindex(3, 3)):
        if (i, j) in missing:
            continue
        x = (i - 1) * (shape[1] - overlap) + 0.37 * (i - j) + 0.21 * j
        y = (j - 1) * (shape[0] - overlap) - 0.29 * i + 0.43 * j
        tiles[i, j] = tile(
            (around[0] + SCALE * x, around[1] + SCALE * y),
            shape,
            rotation=rotation,
            seconds=3.0 * number,
            error=(0, 0) if errors is None else errors[i][j],
            gain=1 if gains is None else gains[i][j],
            offset=0 if offsets is None else offsets[i][j],
        )
    return dv.TiledDataset(tiles)

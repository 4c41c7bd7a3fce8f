"""Evaluate a table of pointings for all of its frames at once.

dkist's transform evaluates one frame after the other: a third of a second for a raster of 2,611
steps and four repeats, of one pixel or of millions. The formula is that of a gnomonic projection
(Calabretta and Greisen 2002, A&A 395, 1077, equations 2, 14, 15 and 55).
"""

from __future__ import annotations

import copy
from functools import partial
from typing import TYPE_CHECKING, Any

import astropy.units as u
import numpy as np
from astropy.modeling import CompoundModel
from astropy.modeling.models import Pix2Sky_TAN

if TYPE_CHECKING:
    from collections.abc import Iterator

    from astropy.modeling import Model
    from gwcs import WCS
    from numpy.typing import NDArray

__all__ = ["at_once", "n_pointings"]


def models_of(model: Any) -> Iterator[Model]:
    """Give the models that a transform is made of."""
    if isinstance(model, CompoundModel):
        yield from models_of(model.left)
        yield from models_of(model.right)
    elif hasattr(model, "n_inputs"):  # not None, nor the values of inputs that are fixed
        yield model


def _tables(wcs: WCS) -> list[Model]:
    """Return the transforms of a WCS that have a table of pointings."""
    found = [model for step in wcs.pipeline for model in models_of(step.transform)]
    return [model for model in found if hasattr(model, "table_shape")]


def n_pointings(wcs: WCS) -> int:
    """Return how many pointings the tables of a WCS have; 1 without a table."""
    return max([1, *(int(np.prod(model.table_shape)) for model in _tables(wcs))])


def at_once(wcs: WCS) -> WCS:
    """Return a WCS that evaluates its pointings at once: the same one where it has no table.

    Its coordinates differ from those of the WCS by rounding.
    """
    if not _tables(wcs):
        return wcs
    twin = copy.deepcopy(wcs)
    for model in _tables(twin):
        if isinstance(model.projection, Pix2Sky_TAN) and type(model).__name__.startswith("Vary"):
            # Only this method of dkist's has the units sorted out, and no public one is called.
            model._map_transform = partial(_map, model)
    return twin


def _map(model: Any, *arrays: Any, cdelt: Any, lon_pole: Any, inverse: bool = False) -> Any:  # noqa: ARG001
    """Do what dkist's `BaseVaryingCelestialTransform._map_transform` does."""
    given = np.broadcast_arrays(*arrays, subok=True)
    has_unit = isinstance(given[0], u.Quantity)
    values = [np.asarray(getattr(one, "value", one), float) for one in given]
    inside = np.all([np.isfinite(one) for one in values], axis=0)
    index = []
    for one, n in zip(values[2:], model.table_shape, strict=True):
        whole = np.round(np.where(inside, one, 0)).astype(int)
        inside = inside & (whole >= 0) & (whole < n)
        index.append(np.clip(whole, 0, n - 1))
    at = tuple(index)
    pc = _number(model.pc_table, u.pix)[at]
    crpix = _number(model.crpix_table, u.pix)[at]
    crval = np.deg2rad(_number(model.crval_table, u.deg)[at])
    size = np.deg2rad(_number(cdelt[0], u.deg / u.pix))
    pole = np.deg2rad(_number(lon_pole[0], u.deg))
    away = values[0] - crpix[..., 0], values[1] - crpix[..., 1]
    x = (pc[..., 0, 0] * away[0] + pc[..., 0, 1] * away[1]) * size[0]
    y = (pc[..., 1, 0] * away[0] + pc[..., 1, 1] * away[1]) * size[1]
    phi, theta = np.arctan2(x, -y), np.arctan2(1, np.hypot(x, y))
    turned = phi - pole
    sin, cos, alpha, delta = np.sin(theta), np.cos(theta), crval[..., 0], crval[..., 1]
    along = sin * np.cos(delta) - cos * np.sin(delta) * np.cos(turned)
    lon = np.rad2deg(alpha + np.arctan2(-cos * np.sin(turned), along))
    height = sin * np.sin(delta) + cos * np.cos(delta) * np.cos(turned)
    lat = np.rad2deg(np.arctan2(height, np.hypot(along, cos * np.sin(turned))))
    found = [np.where(inside, one, np.nan) for one in (lon, lat)]
    return [one << u.deg for one in found] if has_unit else found


def _number(value: Any, unit: u.UnitBase) -> NDArray[np.float64]:
    if isinstance(value, u.Quantity):
        return np.asarray(value.to_value(unit), float)
    return np.asarray(value, float)

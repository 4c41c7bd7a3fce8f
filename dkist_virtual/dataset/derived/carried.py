"""What the user of a dataset set, as coordinates and attributes of xarray.

What xarray has no place for is left behind with a warning.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any, TypeAlias

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord
from astropy.time import Time

from dkist_virtual.dataset.derived.attributes import coordinates_of_own
from dkist_virtual.errors import DKISTVirtualWarning
from dkist_virtual.times import dates_of_times

__all__ = [
    "NamedCoordinate",
    "is_attribute",
    "leave_behind",
    "own_coords",
    "own_meta",
    "pixel_coords",
    "stored_meta",
]

NamedCoordinate: TypeAlias = "tuple[str, tuple[tuple[str, ...], Any, dict[str, Any]], str]"
"""A coordinate's name, its (dims, values, attrs), and what it is of a dataset."""


def leave_behind(what: str) -> None:
    """Warn that xarray has no place for something."""
    warnings.warn(
        f"to_xarray: {what} is left behind: xarray has no place for it",
        DKISTVirtualWarning,
        stacklevel=4,
    )


def stored_meta(ds: Any) -> set[str]:
    """The keys of the meta that a dataset was opened with."""
    return {*ds._opened_with, "inventory", "history", "headers"}


def is_attribute(key: Any, value: Any) -> bool:
    """Whether xarray, and what it writes, holds a value as an attribute."""
    fine = isinstance(key, str) and isinstance(value, (str, int, float, bool))
    if not fine:
        leave_behind(f"meta[{key!r}], which is neither text nor a number,")
    return fine


def own_meta(ds: Any) -> dict[str, Any]:
    """What was put into the meta since the dataset was opened."""
    known = stored_meta(ds)
    return {key: ds.meta[key] for key in ds.meta if key not in known}


def pixel_coords(ds: Any, dims: tuple[str, ...], suffix: str) -> Iterator[NamedCoordinate]:
    """The mask and the uncertainty, which have a value for each pixel."""
    if ds.mask is not None:
        mask = ds.mask
        if isinstance(mask, bool):
            mask = np.broadcast_to(mask, ds.shape)
        yield (
            f"mask{suffix}",
            (dims, mask, {"long_name": "true where a pixel is masked"}),
            "the mask",
        )
    if ds.uncertainty is not None:
        one = ds.uncertainty
        attrs = {"long_name": "uncertainty", "uncertainty_type": str(one.uncertainty_type)}
        unit = ds.unit if one.unit is None else one.unit
        if unit is not None:
            attrs["units"] = u.Unit(unit).to_string()
        yield f"uncertainty{suffix}", (dims, one.array, attrs), "the uncertainty"


def own_coords(ds: Any, dims: tuple[str, ...], suffix: str) -> Iterator[NamedCoordinate]:
    """Global and extra coordinates that were added to the dataset."""
    extra = ds.extra_coords
    # ndcube has no public name for the tables of coordinates: it makes WCS of them.
    for axes, table in extra._lookup_tables:
        along = tuple(dims[axis] for axis in np.atleast_1d(axes))
        values = table.table[0] if isinstance(table.table, (tuple, list)) else table.table
        name = str(table.names[0]) if table.names else "coordinate"
        kind = (table.physical_types or [None])[0]
        single = len(table.names or ()) <= 1 and len(along) == 1
        found = _plain(values) if single else None
        if found is None:
            leave_behind(f"the extra coordinate {', '.join(table.names or ())}")
            continue
        yield _coordinate(name, along, *found, kind, suffix)
    if extra._wcs is not None:
        leave_behind(f"the extra coordinates {', '.join(extra.keys())}")
    for name, (kind, value) in coordinates_of_own(ds).items():
        found = _plain(value)
        if found is None:
            leave_behind(f"the global coordinate {name}, of type {type(value).__name__},")
        else:
            yield _coordinate(name, (), *found, kind, suffix)


def _coordinate(
    name: str, along: tuple[str, ...], values: Any, attrs: dict[str, str], kind: Any, suffix: str
) -> NamedCoordinate:
    described = {"long_name": name, **attrs, **({"physical_type": str(kind)} if kind else {})}
    return f"{name}{suffix}", (along, values, described), f"the coordinate {name}"


def _plain(values: Any) -> tuple[Any, dict[str, str]] | None:
    """Values as xarray holds them, with their unit; None where it cannot."""
    if isinstance(values, SkyCoord):
        return None
    if isinstance(values, Time):
        return dates_of_times(values, "a coordinate"), {"scale": "utc"}
    if isinstance(values, u.Quantity):
        return values.value, {"units": values.unit.to_string()}
    plain = np.asarray(values)
    return None if plain.dtype.kind not in "biufUM" else (plain, {})

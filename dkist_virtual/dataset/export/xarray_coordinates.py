"""Make xarray coordinates of a dataset: from its WCS, its headers, and what its user set.

Axes are those of the selection's WCS, so steps, cuts and single frames need no rules of their own.
"""

from __future__ import annotations

import math
import uuid
import warnings
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord, StokesCoord
from astropy.time import Time

from dkist_virtual.conversion.references import identifiers
from dkist_virtual.cube.world_axes import World
from dkist_virtual.dataset.derived.state import own_coordinates
from dkist_virtual.dataset.wavelengths.calibrate import frame_of
from dkist_virtual.errors import DatasetError, DKISTVirtualWarning
from dkist_virtual.science.spectra.medium import medium_of
from dkist_virtual.times import dates_of_texts, dates_of_times

if TYPE_CHECKING:
    import dask.array as da
    from astropy.coordinates import BaseCoordinateFrame
    from astropy.table import Column
    from numpy.typing import NDArray

    from dkist_virtual.cube.world_axes import Values, WorldAxis
    from dkist_virtual.dataset.derived.state import FrameCube

__all__ = ["HEADERS", "NamedCoordinate", "Variable", "added_coords", "dimensions", "leave_behind",
           "tile_suffix", "world_coords"]  # fmt: skip

HEADERS: Final = ("DATE-AVG", "LINEWAV", "FRAMEWAV", "XPOSURE", "ATMOS_R0")
"""The header columns that are exported by default, where there are such."""

_FEW: Final = 2**18
"""Coordinates along several axes are evaluated at once for so many pixels; of more, lazily."""

_DECODED: Final = ("time", "wavelength", "stokes")
"""Kinds of coordinates whose values are not the numbers of the WCS."""

Variable: TypeAlias = tuple[tuple[str, ...], Any, dict[str, Any]]
"""Dimensions, values and attributes, as xarray takes them."""

NamedCoordinate: TypeAlias = tuple[str, Variable, str]
"""A coordinate's name, its `Variable`, and how messages call it."""


def leave_behind(what: str) -> None:
    """Warn that xarray cannot hold something."""
    warnings.warn(
        f"to_xarray: {what} is left behind: xarray has no place for it",
        DKISTVirtualWarning,
        stacklevel=4,
    )


def tile_suffix(ds: FrameCube) -> str:
    """Return the end of the names of a mosaic's tile, as in the store: ``_0_1``."""
    source = ds.provenance
    return "" if source is None else source.array.name.removeprefix("data")


def dimensions(ds: FrameCube) -> tuple[str, ...]:
    """Name the axes of a dataset: by identifiers, as in the store."""
    source = ds.provenance
    if source is not None:
        stored = source.array.metadata.attributes["_ARRAY_DIMENSIONS"]
        return tuple(stored[axis] for axis in source.array.selection.kept)
    names = [str(name or "") for name in ds.wcs.low_level_wcs.pixel_axis_names[::-1]]
    names = [""] * (len(ds.shape) - len(names)) + names[-len(ds.shape) :]
    return tuple(identifiers([n or f"axis_{axis}" for axis, n in enumerate(names)], None))


# Coordinates of the WCS


def world_coords(ds: FrameCube, dims: tuple[str, ...]) -> dict[str, Variable]:
    """Make the variable of each world coordinate, by name."""
    coords: dict[str, Variable] = {}
    world = World(ds.wcs, ds.shape)
    holding = None
    if ds.lineage.is_computed:
        holding = {axis.kind for _, axis, _ in ds.lineage.common().values()}
    for part in world.parts:
        together: dict[tuple[tuple[int, ...], bool], list[WorldAxis]] = {}
        for axis in part.axes:
            single = part is not world and axis.kind in ("stokes", "wavelength", "time")
            if single and holding is not None and axis.kind not in holding:
                continue  # of one of those that were combined
            together.setdefault((axis.array_axes, axis.kind in _DECODED), []).append(axis)
        for (array_axes, _), axes in together.items():
            along = tuple(dims[axis] for axis in array_axes)
            for axis, values in zip(axes, _evaluate(ds, part, axes), strict=True):
                name = _coordinate_name(axis, along, dims, taken=coords)
                attrs = _coordinate_attrs(part, axis)
                if axis.kind == "wavelength" and (medium := medium_of(ds, warn=False)) is not None:
                    attrs["medium"] = medium
                if axis.kind == "wavelength" and frame_of(ds) == "sun":
                    attrs["frame"] = "sun"  # the observer's motion is taken out
                coords[name] = (along, values, attrs)
    return coords


def _coordinate_name(
    axis: WorldAxis, along: tuple[str, ...], dims: tuple[str, ...], taken: Iterable[str]
) -> str:
    stem = identifiers([axis.label], None)[0] if axis.kind == "other" else axis.kind
    # xarray gives the name of a dimension to coordinates along that dimension alone.
    taken = {*taken, *(dim for dim in dims if along != (dim,))}
    stems = (stem, f"{stem}_coordinate", *(f"{stem}_{n}" for n in range(2, 99)))
    return next(name for name in stems if name not in taken)


def _coordinate_attrs(world: World, axis: WorldAxis) -> dict[str, Any]:
    attrs: dict[str, Any] = {"long_name": axis.label, "physical_type": axis.physical_type}
    if axis.kind == "time":
        attrs["scale"] = "utc"
    elif axis.kind == "wavelength":
        attrs["units"] = "nm"
    elif axis.unit:
        attrs["units"] = axis.unit
    if axis.kind in ("longitude", "latitude") and world.frame is not None:
        attrs |= _frame_attrs(world.frame)
    return attrs


def _frame_attrs(frame: BaseCoordinateFrame) -> dict[str, Any]:
    """Describe a frame of the sky, so that it can be made again."""
    attrs: dict[str, Any] = {"frame": frame.name}
    if getattr(frame, "obstime", None) is not None:
        attrs["obstime"] = Time(frame.obstime, format="isot", precision=9).utc.isot
    if getattr(frame, "rsun", None) is not None:
        attrs["rsun_m"] = float(frame.rsun.to_value(u.m))
    observer = getattr(frame, "observer", None)
    if isinstance(observer, str):
        attrs["observer"] = observer
    elif observer is not None:
        where = observer.spherical
        attrs |= {
            "observer": observer.name,
            "observer_lon_deg": float(where.lon.to_value(u.deg)),
            "observer_lat_deg": float(where.lat.to_value(u.deg)),
            "observer_radius_m": float(where.distance.to_value(u.m)),
        }
    return attrs


def _evaluate(ds: FrameCube, world: World, axes: Sequence[WorldAxis]) -> list[Any]:
    """Evaluate coordinates that change along the same axes, lazily if they are many."""
    array_axes = axes[0].array_axes
    many = math.prod(world.shape[axis] for axis in array_axes) > _FEW
    if many and len(array_axes) > 1 and axes[0].kind not in _DECODED:
        return _make_lazy(ds, world, axes)
    values = world.along(axes)
    return [_decode(world, axis, of) for axis, of in zip(axes, values, strict=True)]


def _decode(world: World, axis: WorldAxis, values: Values) -> NDArray[Any]:
    """Convert values to what people write: moments in UTC, nanometres, Stokes letters."""
    if axis.kind == "time":
        known = np.isfinite(values)
        moments = dates_of_times(world.time(np.where(known, values, 0)), axis.label)
        return np.where(known, moments, np.datetime64("NaT", "us"))
    if axis.kind == "stokes":
        return np.array(StokesCoord(values).symbol, dtype=str)
    if axis.kind == "wavelength":
        in_nm: Values = u.Quantity(values, axis.unit).to_value(u.nm, u.spectral())
        return in_nm
    return values


class _Grid:
    """Coordinates that change along the same axes of the array, evaluated by indexing."""

    dtype = np.dtype(float)

    def __init__(self, world: World, axes: Sequence[WorldAxis]) -> None:
        self.world, self.axes = world, tuple(axes)
        self.shape = (len(axes), *(world.shape[axis] for axis in axes[0].array_axes))
        self.ndim = len(self.shape)

    def __getitem__(self, item: tuple[int | slice, ...]) -> Values:
        at = [
            np.arange(n, dtype=float)[part]
            for n, part in zip(self.shape[1:], item[1:], strict=True)
        ]
        values = np.array(self.world.along(self.axes, [np.atleast_1d(along) for along in at]))
        part: Values = values[(item[0], *(slice(None) if along.ndim else 0 for along in at))]
        return part


def _make_lazy(ds: FrameCube, world: World, axes: Sequence[WorldAxis]) -> list[da.Array]:
    """Make dask arrays of coordinates, in the chunks of the data."""
    import dask.array as da

    grid = _Grid(world, axes)
    chunks: Any = "auto"
    if isinstance(ds.data, da.Array):
        chunks = tuple(ds.data.chunks[axis] for axis in axes[0].array_axes)
    sizes = ((len(axes),), *da.core.normalize_chunks(chunks, grid.shape[1:], dtype=float))
    array = da.from_array(
        grid,
        chunks=sizes,
        name=_grid_name(ds, axes, sizes),
        inline_array=True,
        fancy=False,
        meta=np.empty((0,) * grid.ndim),
    )
    return list(array)


def _grid_name(ds: FrameCube, axes: Sequence[WorldAxis], sizes: tuple[Any, ...]) -> str:
    """Name a dask array by its coordinates: xarray compares equal ones without evaluating them.

    They depend on the WCS alone, and not on what a store says of itself.
    """
    from dask.base import tokenize

    source = ds.provenance
    if source is None:  # its WCS may be any
        return f"world-{uuid.uuid4().hex}"
    names = {(axis.kind, axis.name) for axis in axes}
    along = {
        on
        for axis in World(source.wcs, source.cut.shape).axes
        if (axis.kind, axis.name) in names
        for on in axis.array_axes
    }
    pixels = [repr(source.cut.axes[on]) for on in sorted(along)]
    tile = list(source.array.handle.store.references.arrays).index(source.array.name)
    wcs = source.description.tiles[tile].wcs_hash
    token = tokenize(wcs, source.cut.shape, sorted(names), pixels, sizes)
    return f"world-{token}"


# Coordinates of the headers


def added_coords(
    ds: FrameCube, headers: Sequence[str] | None, dims: tuple[str, ...]
) -> Iterator[NamedCoordinate]:
    """Make coordinates of header columns, mask, uncertainty, global and extra coordinates."""
    yield from _header_coords(ds, headers, dims)
    yield from _pixel_coords(ds, dims)
    yield from _own_coords(ds, dims)


def _header_coords(
    ds: FrameCube, headers: Sequence[str] | None, dims: tuple[str, ...]
) -> Iterator[NamedCoordinate]:
    """Make coordinates of some header columns, along the axes of the files."""
    if headers is not None and not headers:
        return
    table, source = ds.headers, ds.provenance
    if not table or source is None:
        if headers is None:
            return
        raise DatasetError(f"headers = {list(headers)}: this dataset has no header table")
    n_axes = len(source.array.frame_shape)
    if isinstance(headers, str):
        headers = [headers]
    if headers is None:
        added = [keyword for keyword in ds.meta.headers.added_keywords() if keyword not in HEADERS]
        usual = [keyword for keyword in HEADERS if keyword in table.colnames]
        headers = [*ds.lineage.same_columns(usual), *added]
    if unknown := [keyword for keyword in headers if keyword not in table.colnames]:
        raise DatasetError(
            f"headers: no keyword {', '.join(map(repr, unknown))} in the header table of this "
            "dataset: ds.headers.colnames lists those that it has"
        )
    table = ds.meta.headers.check()
    for keyword in headers:
        column = table[keyword]
        if column.ndim > 1:
            raise DatasetError(f"headers: the cells of {keyword} are arrays: expected one value")
        attrs = {} if column.unit is None else {"units": str(column.unit)}
        values = _fill(keyword, column).reshape(ds.shape[:n_axes])
        yield keyword, (dims[:n_axes], values, attrs), f"the headers' {keyword}"


def _fill(keyword: str, column: Column) -> NDArray[Any]:
    """Fill a header column: NaN, or NaT, for the cards that a frame did not have."""
    masked, values = np.ma.getmaskarray(column), np.asarray(np.ma.getdata(column))
    if values.dtype.kind in "UO" and keyword.startswith("DATE"):
        texts = (None if gone else cell for cell, gone in zip(values, masked, strict=True))
        dates = dates_of_texts(texts, keyword)
        if dates is not None:
            return dates
    if not masked.any():
        return values
    cells = values.astype(np.result_type(values, float) if values.dtype.kind in "iuf" else object)
    cells[masked] = np.nan
    return cells


# Coordinates that a user set


def _pixel_coords(ds: FrameCube, dims: tuple[str, ...]) -> Iterator[NamedCoordinate]:
    """Make coordinates of mask and uncertainty, which have a value for each pixel."""
    if ds.mask is not None:
        mask = ds.mask
        if isinstance(mask, bool):
            mask = np.broadcast_to(mask, ds.shape)
        about = {"long_name": "true where a pixel is masked"}
        yield "mask", (dims, mask, about), "the mask"
    if (one := ds.uncertainty) is not None:
        attrs = {"long_name": "uncertainty", "uncertainty_type": str(one.uncertainty_type)}
        unit = ds.unit if one.unit is None else one.unit
        if unit is not None:
            attrs["units"] = u.Unit(unit).to_string()
        yield "uncertainty", (dims, one.array, attrs), "the uncertainty"


def _own_coords(ds: FrameCube, dims: tuple[str, ...]) -> Iterator[NamedCoordinate]:
    """Make coordinates of the global and extra coordinates that a user added."""
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
        yield _coordinate(name, along, *found, kind)
    if extra._wcs is not None:
        leave_behind(f"the extra coordinates {', '.join(extra.keys())}")
    for name, (kind, value) in own_coordinates(ds).items():
        found = _plain(value)
        if found is None:
            leave_behind(f"the global coordinate {name}, of type {type(value).__name__},")
        else:
            yield _coordinate(name, (), *found, kind)


def _coordinate(
    name: str, along: tuple[str, ...], values: Any, attrs: dict[str, str], kind: str | None
) -> NamedCoordinate:
    described = {"long_name": name, **attrs, **({"physical_type": str(kind)} if kind else {})}
    return name, (along, values, described), f"the coordinate {name}"


def _plain(values: object) -> tuple[NDArray[Any], dict[str, str]] | None:
    """Convert values to what xarray can hold, with their unit; None where it cannot."""
    if isinstance(values, SkyCoord):
        return None
    if isinstance(values, Time):
        return dates_of_times(values, "a coordinate"), {"scale": "utc"}
    if isinstance(values, u.Quantity):
        return values.value, {"units": values.unit.to_string()}
    plain = np.asarray(values)
    return None if plain.dtype.kind not in "biufUM" else (plain, {})

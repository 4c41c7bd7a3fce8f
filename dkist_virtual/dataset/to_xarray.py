"""Export a dataset to xarray: named dimensions, coordinates from the WCS and the headers.

Nothing is read. What axes are is taken from the WCS of the selection, so steps, cuts and single
frames need no rules of their own.
"""

from __future__ import annotations

import math
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import astropy.units as u
import numpy as np
from astropy.coordinates import StokesCoord
from astropy.time import Time

from dkist_virtual._version import __version__
from dkist_virtual.conversion.references import identifiers
from dkist_virtual.cube.dask_array import LeafArray
from dkist_virtual.cube.world_axes import World
from dkist_virtual.dataset.derived.carried import (
    NamedCoordinate,
    is_attribute,
    leave_behind,
    own_coords,
    own_meta,
    pixel_coords,
    stored_meta,
)
from dkist_virtual.dataset.derived.lineage import common, is_computed, same_columns
from dkist_virtual.errors import DatasetError, redacted
from dkist_virtual.times import dates_of_texts, dates_of_times

if TYPE_CHECKING:
    import xarray
    from numpy.typing import NDArray

    from dkist_virtual.cube.world_axes import WorldAxis
    from dkist_virtual.dataset.provenance import Provenance

__all__ = ["HEADERS", "dimensions", "tiles_to_xarray", "to_xarray"]

HEADERS: Final = ("DATE-AVG", "LINEWAV", "FRAMEWAV", "XPOSURE", "ATMOS_R0")
"""The header columns that go along by default, where there are such."""

_FEW: Final = 2**18
"""Coordinates along several axes are evaluated at once for so many pixels; of more, when needed."""

_DECODED: Final = ("time", "wavelength", "stokes")
"""Kinds of coordinates that are given otherwise than in the numbers of the WCS."""


def to_xarray(
    ds: Any, headers: Sequence[str] | None = None, *, suffix: str | None = None
) -> xarray.DataArray:
    """A dataset as an xarray DataArray, see `Dataset.to_xarray`.

    Parameters
    ----------
    suffix : str, optional
        What all names end in; by default that of the tile's array in its store, if it is one.
    """
    xr = _xarray()
    own = _suffix(ds)
    suffix = own if suffix is None else suffix
    dims = tuple(f"{name.removesuffix(own)}{suffix}" for name in dimensions(ds))
    coords = _world_coords(ds, dims, suffix)
    attrs = _attrs(ds)
    for name, variable, what in (
        *_header_coords(ds, headers, dims, suffix),
        *pixel_coords(ds, dims, suffix),
        *own_coords(ds, dims, suffix),
    ):
        _check_free(name, what, {*coords, *(dim for dim in dims if variable[0] != (dim,))})
        coords[name] = variable
    for key, value in own_meta(ds).items():
        if is_attribute(key, value):
            _check_free(key, f"meta[{key!r}]", attrs)
            attrs[key] = value
    # xarray refuses to compute arrays of several types together, such as pixels and a mask.
    coords = {name: (along, _ordinary(of), *rest) for name, (along, of, *rest) in coords.items()}
    array: xarray.DataArray = xr.DataArray(
        _ordinary(ds.data), dims=dims, coords=coords, name=f"data{suffix}", attrs=attrs
    )
    if ds.psf is not None:
        leave_behind("the point spread function")
    indexed = {dim for name in array.xindexes for dim in array.coords[name].dims}
    for name, variable in coords.items():
        along, _, described = variable
        # One index for each axis, so that .sel(wavelength=630.2) works whatever the axis is called.
        if len(along) == 1 and along[0] not in indexed and "physical_type" in described:
            array = array.set_xindex(name)
            indexed.add(along[0])
    return array


def _ordinary(values: Any) -> Any:
    return values.ordinary() if isinstance(values, LeafArray) else values


def _check_free(name: str, what: str, taken: Iterable[str]) -> None:
    if name in taken:
        raise DatasetError(
            f"to_xarray: {what} would be called {name!r}, as something else of this dataset is "
            "called there already: rename it before"
        )


def tiles_to_xarray(
    tiles: Sequence[Any],
    suffixes: Sequence[str],
    meta: Mapping[str, Any],
    headers: Sequence[str] | None = None,
) -> xarray.Dataset:
    """The tiles of a mosaic as the variables of an xarray Dataset, see `TiledDataset.to_xarray`."""
    if len(set(suffixes)) < len(suffixes):
        twice = next(suffix for suffix in suffixes if suffixes.count(suffix) > 1)
        raise DatasetError(
            f"to_xarray: two variables would be called 'data{twice}': a tile is in this mosaic "
            "twice"
        )
    arrays = [
        to_xarray(tile, headers, suffix=suffix)
        for tile, suffix in zip(tiles, suffixes, strict=True)
    ]
    first = arrays[0].attrs
    attrs = {
        name: value
        for name, value in first.items()
        if name != "units" and all(array.attrs.get(name) == value for array in arrays)
    }
    known = set(first) | {"inventory", "history", "headers"} | stored_meta(tiles[0])
    attrs |= {
        key: value for key, value in meta.items() if key not in known and is_attribute(key, value)
    }
    dataset: xarray.Dataset = _xarray().Dataset(
        {array.name: array for array in arrays}, attrs=attrs
    )
    return dataset


def _xarray() -> Any:
    try:
        import xarray
    except ImportError:
        raise ImportError("to_xarray: xarray is not installed: pip install xarray") from None
    return xarray


def _suffix(ds: Any) -> str:
    """What the names of a mosaic's tile end in, as in the store: ``_0_1``."""
    source = _source(ds)
    return "" if source is None else source.array.name.removeprefix("data")


def _source(ds: Any) -> Provenance | None:
    """Which frames the pixels of a dataset are, or are computed from one by one; or None."""
    origin: Provenance | None = ds._origin
    return origin


def dimensions(ds: Any) -> tuple[str, ...]:
    """Names for the axes of a dataset: identifiers, as in the store."""
    source = _source(ds)
    if source is not None:
        stored = source.array.metadata.attributes["_ARRAY_DIMENSIONS"]
        return tuple(stored[axis] for axis in source.array.selection.kept)
    names = [str(name or "") for name in ds.wcs.low_level_wcs.pixel_axis_names[::-1]]
    names = [""] * (len(ds.shape) - len(names)) + names[-len(ds.shape) :]
    return tuple(identifiers([n or f"axis_{axis}" for axis, n in enumerate(names)], None))


def _attrs(ds: Any) -> dict[str, str]:
    inventory = ds.inventory or {}
    known = {
        "units": None if ds.unit is None else ds.unit.to_string(),
        "instrument": inventory.get("instrumentName"),
        "dataset_id": inventory.get("datasetId"),
        "product_id": inventory.get("productId"),
        "computed_from": redacted(ds._from) if is_computed(ds) else None,
        "made_by": f"dkist_virtual {__version__}",
    }
    return {name: str(value) for name, value in known.items() if value is not None}


# Coordinates of the WCS


def _world_coords(ds: Any, dims: tuple[str, ...], suffix: str) -> dict[str, Any]:
    """The (dims, values, attrs) of each world coordinate, by name."""
    coords: dict[str, Any] = {}
    world = World(ds.wcs, ds.shape)
    holding = {axis.kind for _, axis, _ in common(ds).values()} if is_computed(ds) else None
    for part in filter(None, (world, world.held)):
        together: dict[Any, list[WorldAxis]] = {}
        for axis in part.axes:
            single = part is not world and axis.kind in ("stokes", "wavelength", "time")
            if single and holding is not None and axis.kind not in holding:
                continue  # of one of those that were combined
            together.setdefault((axis.array_axes, axis.kind in _DECODED), []).append(axis)
        for (array_axes, _), axes in together.items():
            along = tuple(dims[axis] for axis in array_axes)
            for axis, values in zip(axes, _evaluated(ds, part, axes), strict=True):
                name = _coordinate_name(axis, along, dims, suffix, taken=coords)
                coords[name] = (along, values, _coordinate_attrs(part, axis))
    return coords


def _coordinate_name(
    axis: WorldAxis,
    along: tuple[str, ...],
    dims: tuple[str, ...],
    suffix: str,
    taken: Iterable[str],
) -> str:
    stem = identifiers([axis.label], None)[0] if axis.kind == "other" else axis.kind
    # xarray gives the name of a dimension to coordinates along that dimension alone.
    taken = {*taken, *(dim for dim in dims if along != (dim,))}
    stems = (stem, f"{stem}_coordinate", *(f"{stem}_{n}" for n in range(2, 99)))
    return next(f"{free}{suffix}" for free in stems if f"{free}{suffix}" not in taken)


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


def _frame_attrs(frame: Any) -> dict[str, Any]:
    """What it takes to make a frame of the sky again."""
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


def _evaluated(ds: Any, world: World, axes: Sequence[WorldAxis]) -> list[Any]:
    """Coordinates that change along the same axes of the array, as xarray is to hold them."""
    array_axes = axes[0].array_axes
    many = math.prod(world.shape[axis] for axis in array_axes) > _FEW
    if many and len(array_axes) > 1 and axes[0].kind not in _DECODED:
        return _lazily(ds, world, axes)
    values = world.along(axes)
    return [_decoded(world, axis, of) for axis, of in zip(axes, values, strict=True)]


def _decoded(world: World, axis: WorldAxis, values: NDArray[np.floating[Any]]) -> Any:
    """Values as people write them: moments in UTC, nanometres, Stokes letters."""
    if axis.kind == "time":
        known = np.isfinite(values)
        moments = dates_of_times(world.time(np.where(known, values, 0)), axis.label)
        return np.where(known, moments, np.datetime64("NaT", "us"))
    if axis.kind == "stokes":
        return np.array(StokesCoord(values).symbol, dtype=str)
    if axis.kind == "wavelength":
        return u.Quantity(values, axis.unit).to_value(u.nm, u.spectral())
    return values


class _Grid:
    """Coordinates on a grid of pixels, evaluated when they are indexed.

    Parameters
    ----------
    world : World
    axes : sequence of WorldAxis
        That change along the same axes of the array.
    """

    dtype = np.dtype(float)

    def __init__(self, world: World, axes: Sequence[WorldAxis]) -> None:
        self.world, self.axes = world, tuple(axes)
        self.shape = (len(axes), *(world.shape[axis] for axis in axes[0].array_axes))
        self.ndim = len(self.shape)

    def __getitem__(self, item: tuple[int | slice, ...]) -> NDArray[np.floating[Any]]:
        at = [
            np.arange(n, dtype=float)[part]
            for n, part in zip(self.shape[1:], item[1:], strict=True)
        ]
        values = np.array(self.world.along(self.axes, [np.atleast_1d(along) for along in at]))
        part: NDArray[np.floating[Any]] = values[
            (item[0], *(slice(None) if along.ndim else 0 for along in at))
        ]
        return part


def _lazily(ds: Any, world: World, axes: Sequence[WorldAxis]) -> list[Any]:
    """Coordinates as dask arrays, in the chunks of the data."""
    import dask.array as da

    grid = _Grid(world, axes)
    chunks: Any = "auto"
    if isinstance(ds.data, da.Array):
        chunks = tuple(ds.data.chunks[axis] for axis in axes[0].array_axes)
    sizes = ((len(axes),), *da.core.normalize_chunks(chunks, grid.shape[1:], dtype=float))  # type: ignore[no-untyped-call]
    array = da.from_array(  # type: ignore[no-untyped-call]
        grid,
        chunks=sizes,
        name=_grid_name(ds, axes, sizes),
        inline_array=True,
        fancy=False,
        meta=np.empty((0,) * grid.ndim),
    )
    return list(array)


def _grid_name(ds: Any, axes: Sequence[WorldAxis], sizes: Any) -> str:
    """The same for the same coordinates, so that arithmetic need not evaluate them to compare.

    They come from the WCS, and from nothing that a store says of itself.
    """
    from dask.base import tokenize

    source = _source(ds)
    if source is None:  # nothing says what its WCS is made of
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


def _header_coords(
    ds: Any, headers: Sequence[str] | None, dims: tuple[str, ...], suffix: str
) -> Iterator[NamedCoordinate]:
    """Some header columns, along the axes of the files."""
    if headers is not None and not headers:
        return
    table = ds.headers
    n_axes = _n_file_axes(ds)
    if table is None or n_axes is None:
        if headers is None:
            return
        raise DatasetError(f"headers = {list(headers)}: this dataset has no header table")
    if isinstance(headers, str):
        headers = [headers]
    if headers is None:
        added = [keyword for keyword in ds._headers.added() if keyword not in HEADERS]
        usual = [keyword for keyword in HEADERS if keyword in table.colnames]
        headers = [*same_columns(ds, usual), *added]
    if unknown := [keyword for keyword in headers if keyword not in table.colnames]:
        raise DatasetError(
            f"headers: no keyword {', '.join(map(repr, unknown))} in the header table of this "
            "dataset: ds.headers.colnames lists those that it has"
        )
    table = ds._headers.checked()
    for keyword in headers:
        column = table[keyword]
        if column.ndim > 1:
            raise DatasetError(f"headers: the cells of {keyword} are arrays: expected one value")
        attrs = {} if column.unit is None else {"units": str(column.unit)}
        values = _column(keyword, column).reshape(ds.shape[:n_axes])
        yield f"{keyword}{suffix}", (dims[:n_axes], values, attrs), f"the headers' {keyword}"


def _n_file_axes(ds: Any) -> int | None:
    """How many axes, the first ones, run over files; None where no row belongs to a pixel."""
    source = _source(ds)
    return len(source.array.frame_shape) if source is not None and ds.headers else None


def _column(keyword: str, column: Any) -> NDArray[Any]:
    """A header column without a mask: NaN, or NaT, for the cards that a frame did not have."""
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

"""Export a dataset to xarray, with named dimensions and coordinates; reads no frame."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import TYPE_CHECKING, Any

from dkist_virtual._version import __version__
from dkist_virtual.cube.dask_array import PushdownArray
from dkist_virtual.dataset.export.own_meta import exported_meta
from dkist_virtual.dataset.export.xarray_coordinates import (
    added_coords,
    dimensions,
    leave_behind,
    tile_suffix,
    world_coords,
)
from dkist_virtual.errors import DatasetError, redacted

if TYPE_CHECKING:
    import xarray

    from dkist_virtual.dataset.derived.state import FrameCube

__all__ = ["tiles_to_xarray", "to_xarray"]


def to_xarray(
    ds: FrameCube, headers: Sequence[str] | None = None, *, suffix: str | None = None
) -> xarray.DataArray:
    """Export a dataset as an xarray DataArray, see `Dataset.to_xarray`.

    All names end in the suffix: by default that of the tile's array in its store, if it is one.
    """
    xr = _xarray()
    own = tile_suffix(ds)
    suffix = own if suffix is None else suffix
    dims = tuple(name.removesuffix(own) for name in dimensions(ds))
    variables = world_coords(ds, dims)
    attrs: dict[str, Any] = _attrs(ds)
    for name, variable, what in added_coords(ds, headers, dims):
        if name in {*variables, *(dim for dim in dims if variable[0] != (dim,))}:
            raise _taken(f"{name}{suffix}", what)
        variables[name] = variable
    for key, value in exported_meta(ds).items():
        if _is_attribute(key, value):
            if key in attrs:
                raise _taken(key, f"meta[{key!r}]")
            attrs[key] = value
    # xarray refuses to compute arrays of several types together, such as pixels and a mask.
    coords = {
        f"{name}{suffix}": (tuple(f"{dim}{suffix}" for dim in along), _ordinary(of), described)
        for name, (along, of, described) in variables.items()
    }
    dims = tuple(f"{dim}{suffix}" for dim in dims)
    array: xarray.DataArray = xr.DataArray(
        _ordinary(ds.data), dims=dims, coords=coords, name=f"data{suffix}", attrs=attrs
    )
    if ds.psf is not None:
        leave_behind("the point spread function")
    indexed = {dim for name in array.xindexes for dim in array.coords[name].dims}
    for name, (along, _, described) in coords.items():
        # One index for each axis, so that .sel(wavelength=630.2) works whatever the axis is called.
        if len(along) == 1 and along[0] not in indexed and "physical_type" in described:
            array = array.set_xindex(name)
            indexed.add(along[0])
    return array


def tiles_to_xarray(
    tiles: Sequence[FrameCube],
    suffixes: Sequence[str],
    meta: Mapping[str, Any],
    headers: Sequence[str] | None = None,
) -> xarray.Dataset:
    """Export the tiles of a mosaic as an xarray Dataset, see `TiledDataset.to_xarray`."""
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
    known = set(first) | tiles[0].lineage.opened_with
    attrs |= {
        key: value for key, value in meta.items() if key not in known and _is_attribute(key, value)
    }
    dataset: xarray.Dataset = _xarray().Dataset(
        {array.name: array for array in arrays}, attrs=attrs
    )
    return dataset


def _ordinary(values: Any) -> Any:
    return values.ordinary() if isinstance(values, PushdownArray) else values


def _taken(name: str, what: str) -> DatasetError:
    return DatasetError(
        f"to_xarray: {what} would be called {name!r}, as something else of this dataset is "
        "called there already: rename it before"
    )


def _is_attribute(key: object, value: object) -> bool:
    """Return whether xarray, and the files that it writes, take a value as an attribute."""
    fine = isinstance(key, str) and isinstance(value, (str, int, float, bool))
    if not fine:
        leave_behind(f"meta[{key!r}], which is neither text nor a number,")
    return fine


def _xarray() -> ModuleType:
    try:
        import xarray
    except ImportError:
        raise ImportError("to_xarray: xarray is not installed: pip install xarray") from None
    return xarray


def _attrs(ds: FrameCube) -> dict[str, str]:
    inventory = ds.inventory or {}
    known = {
        "units": None if ds.unit is None else ds.unit.to_string(),
        "instrument": inventory.get("instrumentName"),
        "dataset_id": inventory.get("datasetId"),
        "product_id": inventory.get("productId"),
        "computed_from": redacted(ds.lineage.source) if ds.lineage.is_computed else None,
        "made_by": f"dkist_virtual {__version__}",
    }
    return {name: str(value) for name, value in known.items() if value is not None}

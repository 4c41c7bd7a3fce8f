"""Save a dataset as netCDF-4 with the names of CF, and open it again.

xarray writes coordinates and headers. Pixels, mask and uncertainty lie in the file one after the
other (contiguous, in HDF5's words), so that they are written and read as those of FITS are.
"""

from __future__ import annotations

import re
import warnings
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from dkist_virtual.dataset.save.files.beside import (
    KNOWN,
    beside,
    from_bytes,
    make_dataset,
    to_bytes,
)
from dkist_virtual.dataset.save.files.names import ASDF_NAME, ASDF_VERSION
from dkist_virtual.dataset.save.files.part import part_of
from dkist_virtual.dataset.save.files.pixels import FileHandle, write_pixels
from dkist_virtual.dataset.save.files.region import Region
from dkist_virtual.errors import DatasetError, DKISTVirtualError, DKISTVirtualWarning
from dkist_virtual.text import shorten

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping

    from astropy.table import Table

    from dkist_virtual.dataset.dataset import Dataset
    from dkist_virtual.dataset.mosaic import TiledDataset
    from dkist_virtual.store.read_options import ReadOptions

__all__ = ["open_netcdf", "save_netcdf"]

_TYPES: Final = ("bool", *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)),
                 "float32", "float64")  # fmt: skip
"""The types of pixels that netCDF has; truth values are integers of 8 bits."""

_STANDARD_NAMES: Final = {"time": "time", "em.wl": "radiation_wavelength"}
"""The standard names of CF, by physical types. CF has none for places on the Sun."""

_SINCE: Final = {"s": "seconds", "ms": "milliseconds", "us": "microseconds", "ns": "nanoseconds"}

_PIXELS: Final = ("data", "mask", "uncertainty")


def save_netcdf(
    dataset: Dataset | TiledDataset,
    place: str | os.PathLike[str],
    *,
    overwrite: bool = False,
    progress: bool = True,
) -> None:
    """Write a dataset as netCDF-4: pixels, with the values of the WCS at every pixel.

    Mask and uncertainty are variables, the table of headers is the group ``headers``, and what CF
    has no names for, the WCS itself included, is an ASDF in the variable ``asdf``.

    Parameters
    ----------
    dataset : Dataset
    place : path
    overwrite, progress : bool
        As in `Dataset.save`.

    Raises
    ------
    StoreExistsError
        The file exists.
    DatasetError
        netCDF cannot hold it.
    ImportError
        h5netcdf, h5py or xarray are not installed.

    Warns
    -----
    DKISTVirtualWarning
        Something is left behind.
    """
    from dkist_virtual.dataset.mosaic import TiledDataset

    if isinstance(dataset, TiledDataset):
        raise DatasetError(
            "save to .nc: has one dataset a file: save the mosaic as .zarr or .fits, which have "
            'all tiles, or one tile, as in mosaic[0, 0].save("tile.nc")'
        )
    _need("xarray", "h5netcdf", "h5py")
    from tqdm import tqdm

    pixels = _pixels(dataset)
    tree = beside(dataset, "the description in a netCDF file", headers=True)
    tree["dtype"] = dataset.dtype.name
    described = to_bytes(tree)
    hidden = None if progress else True
    with part_of(place, overwrite=overwrite) as part:
        try:
            attrs = _write_coordinates(part, dataset, described)
            regions = _add_pixels(part, dataset, pixels, attrs)
        except (MemoryError, OSError, DKISTVirtualError):
            raise
        except Exception as error:  # each package has errors of its own
            raise DatasetError(
                f"save to .nc: cannot be written to netCDF: {shorten(error)}"
            ) from error
        total = sum(region.n_bytes for region in regions.values())
        with tqdm(total=total, unit="B", unit_scale=True, desc="Saving", disable=hidden) as bar:
            for name, region in regions.items():
                write_pixels(pixels[name], region, bar)


def _need(*names: str) -> None:
    """Refuse to go on without a package of the extra."""
    for name in names:
        try:
            import_module(name)
        except ImportError:
            raise ImportError(
                f".nc: {name} is not installed: pip install dkist_virtual[xarray]"
            ) from None


def _pixels(ds: Dataset) -> dict[str, Any]:
    """Return the arrays that have a value for each pixel, by name."""
    found: dict[str, Any] = {"data": ds.data}
    if ds.mask is not None:
        alike = isinstance(ds.mask, bool)
        found["mask"] = np.broadcast_to(np.array(ds.mask), ds.shape) if alike else ds.mask
    if ds.uncertainty is not None:
        found["uncertainty"] = np.broadcast_to(ds.uncertainty.array, ds.shape) if np.ndim(
            ds.uncertainty.array
        ) == 0 else ds.uncertainty.array  # fmt: skip
    if not all(ds.shape):
        raise DatasetError("save to .nc: the dataset has no pixels")
    for name, values in found.items():
        if np.dtype(values.dtype).name not in _TYPES:
            raise DatasetError(
                f"save to .nc: netCDF has no {name} of {values.dtype}: expected "
                f"{', '.join(_TYPES)}. Convert: ds.with_data(ds.data.astype(...)), or save as .zarr"
            )
    return found


# Coordinates and headers, which xarray writes


def _write_coordinates(part: str, ds: Dataset, described: bytes) -> dict[str, dict[str, Any]]:
    """Write all but pixels; return the attributes of these, by name."""
    import xarray as xr

    from dkist_virtual.dataset.export.to_xarray import to_xarray

    with warnings.catch_warnings():
        # What xarray has no place for is in the ASDF; `beside` warns of what is not.
        warnings.filterwarnings("ignore", message="to_xarray: ", category=DKISTVirtualWarning)
        array = to_xarray(ds, suffix="")
    variables: dict[str, Any] = {
        str(name): (one.dims, _plain(one.data), _cf(one.attrs))
        for name, one in array.coords.items()
        if name not in _PIXELS
    }
    if ASDF_NAME in variables:
        raise DatasetError(f"save to .nc: a coordinate is called {ASDF_NAME!r}: rename it before")
    about = {
        "long_name": "WCS, header table, meta and lineage, as the bytes of an ASDF",
        ASDF_VERSION: KNOWN,
    }
    coordinates = sorted(set(variables) - set(map(str, array.dims)))
    variables[ASDF_NAME] = ("asdf_bytes", np.frombuffer(described, np.uint8), about)
    given = {str(name): _attribute(value) for name, value in array.attrs.items()}
    attrs = _pixel_attrs(ds, given.pop("units", None))
    if "uncertainty" in array.coords:
        attrs["uncertainty"] |= _cf(array.coords["uncertainty"].attrs)
    for one in attrs.values():
        one["dimensions"] = [str(dim) for dim in array.dims]
        if coordinates:
            one["coordinates"] = " ".join(coordinates)
    if lines := _corrections(ds):
        given["pointing_corrected_by"] = "; ".join(lines)
    dataset = xr.Dataset(variables, attrs={**given, "Conventions": "CF-1.11"})
    _to_netcdf(dataset, part, mode="w")
    if ds.headers is not None and ds.headers.colnames:
        _to_netcdf(_header_columns(ds.headers), part, mode="a", group="headers")
    return attrs


def _corrections(ds: Dataset) -> list[str]:
    """Say what the pointing of the WCS was corrected by, before the dataset was opened as well."""
    from dkist_virtual.cube.pointing import Pointing
    from dkist_virtual.dataset.save.cube.beside import applied_to

    return [line for one in map(Pointing.from_document, applied_to(ds)) for line in one.lines()]


def _to_netcdf(dataset: Any, part: str, **how: Any) -> None:
    encoding: dict[str, dict[str, Any]] = {}
    for name, one in dataset.variables.items():
        encoding[name] = {"_FillValue": None}
        if one.dtype.kind == "M":
            unit = _SINCE[np.datetime_data(one.dtype)[0]]
            encoding[name] = {"units": f"{unit} since 1970-01-01", "calendar": "standard",
                              "dtype": "int64"}  # fmt: skip
            if not np.isnat(one.values).any():
                encoding[name]["_FillValue"] = None
    dataset.to_netcdf(part, engine="h5netcdf", encoding=encoding, **how)


def _pixel_attrs(ds: Dataset, units: str | None) -> dict[str, dict[str, Any]]:
    """Make the attributes of pixels, mask and uncertainty."""
    ancillary = [
        name
        for name, value in (("mask", ds.mask), ("uncertainty", ds.uncertainty))
        if value is not None
    ]
    data: dict[str, Any] = {"long_name": "pixels"}
    if units is not None:
        data["units"] = _units(units)
    if ancillary:
        data["ancillary_variables"] = " ".join(ancillary)
    flags = {
        "long_name": "whether a pixel is masked",
        "flag_values": np.array([0, 1], np.int8),
        "flag_meanings": "valid masked",
    }
    return {"data": data, "mask": flags, "uncertainty": {}}


def _cf(attrs: Mapping[Any, Any]) -> dict[str, Any]:
    """Make the attributes of a coordinate, with those of CF."""
    made = {str(name): _attribute(value) for name, value in attrs.items()}
    standard = _STANDARD_NAMES.get(str(made.get("physical_type")))
    if standard is not None:
        made["standard_name"] = standard
    if "units" in made:
        made["units"] = _units(made["units"])
    return made


def _units(text: str) -> str:
    """Write a unit in the words of UDUNITS, where these differ for counts."""
    return re.sub(r"(?<![A-Za-z])ct(?![A-Za-z])", "count", text)


def _attribute(value: Any) -> Any:
    """Make a value one that netCDF has: truth values are words there."""
    if isinstance(value, (bool, np.bool_)):
        return str(bool(value)).lower()
    return value


def _plain(values: Any) -> Any:
    """Make texts with gaps plain texts, which are empty there."""
    if values.dtype != object:
        return values
    cells = [one if isinstance(one, str) else "" for one in np.ravel(values)]
    return np.array(cells, dtype=str).reshape(values.shape)


def _header_columns(table: Table) -> Any:
    """Make variables of the header table; gaps are NaN, or empty."""
    import xarray as xr

    columns: dict[str, Any] = {}
    for name in table.colnames:
        column = table[name]
        gone = np.ma.getmaskarray(column)
        values = np.asarray(np.ma.getdata(column))
        if values.dtype.kind not in "biufUSO":
            continue  # it is in the ASDF
        if values.dtype.kind in "SO":
            values = values.astype(str)
        if gone.any():
            if values.dtype.kind == "U":
                values = np.where(gone, "", values)
            else:
                values = np.where(gone, np.nan, values.astype(float))
        dims = ("frame", *(f"{name}_{n}" for n in range(1, values.ndim)))
        attrs = {} if column.unit is None else {"units": _units(str(column.unit))}
        # A slash would make a group.
        columns[str(name).replace("/", "_")] = (dims, values, attrs)
    return xr.Dataset(columns)


# Pixels


def _add_pixels(
    part: str, ds: Dataset, pixels: Mapping[str, Any], attrs: Mapping[str, Mapping[str, Any]]
) -> dict[str, Region]:
    """Make room for the pixels in a file; return where it is."""
    import h5netcdf
    import h5py

    with h5netcdf.File(part, "a") as file:
        for name, values in pixels.items():
            given = dict(attrs[name])
            dims = given.pop("dimensions")
            for dim, n in zip(dims, ds.shape, strict=True):
                if dim not in file.dimensions:
                    file.dimensions[dim] = n
            kind = np.dtype(values.dtype)
            if kind.kind == "b" and name == "data":
                given["dtype"] = "bool"  # as xarray says it
            # Room now, that nobody fills: the pixels are written there afterwards.
            room = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
            room.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
            room.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
            stored = np.dtype(np.int8) if kind.kind == "b" else kind.newbyteorder("<")
            made = file.create_variable(name, tuple(dims), stored, dcpl=room)
            for key, value in given.items():
                made.attrs[key] = value
    with h5py.File(part, "r") as file:
        return {
            name: _region(part, file[name], np.dtype(values.dtype).name)
            for name, values in pixels.items()
        }


def _region(path: str, variable: Any, dtype: str) -> Region:
    """Find the pixels of a variable in its file."""
    begin = variable.id.get_offset()
    if variable.chunks is not None or begin is None:
        raise DatasetError(
            f"{path}: the variable {variable.name.strip('/')} is not contiguous: expected pixels "
            "as they were saved. Another program wrote it: xarray.open_dataset reads it"
        )
    return Region(path, begin, tuple(variable.shape), variable.dtype.str, dtype)


def open_netcdf(path: str, options: ReadOptions) -> Dataset:
    """Open a netCDF that `save_netcdf` wrote; pixels stay in the file until they are computed.

    Raises
    ------
    DatasetError
        It cannot be read, or another program wrote its pixels.
    ImportError
        h5py is not installed.
    """
    _need("h5py")
    import h5py

    try:
        with h5py.File(path, "r") as file:
            tree = from_bytes(file[ASDF_NAME][...].tobytes(), path)
            kinds = {"data": tree["dtype"], "mask": "bool"}
            regions = {
                name: _region(path, file[name], kinds.get(name, file[name].dtype.name))
                for name in _PIXELS
                if name in file
            }
    except (OSError, ValueError, KeyError, TypeError) as error:
        if isinstance(error, DKISTVirtualError):
            raise
        raise DatasetError(f"{path}: cannot be read: {shorten(error)}") from error
    observed = tree["computed_from"] is None
    handle = FileHandle.of(path, regions, options, observed=observed)
    return make_dataset(handle, tree, headers=tree["headers"])

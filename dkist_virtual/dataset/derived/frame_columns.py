"""Read columns of header tables: along the axes of frames, for arithmetic, or what all frames say.

Row n of a table is that of frame n, so that a column belongs to frames by its position alone. Where
it is known that its rows are those of other frames, that is an error.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import astropy.units as u
import numpy as np
from astropy.table import Column

from dkist_virtual.errors import DatasetError
from dkist_virtual.store.format.header_table import HeaderTable
from dkist_virtual.text import counted

if TYPE_CHECKING:
    from dkist_virtual.dataset.derived.state import FrameCube
    from dkist_virtual.dataset.provenance import Provenance

__all__ = [
    "FrameValues",
    "column_name",
    "read_column",
    "read_common",
    "read_instrument",
    "read_keyword",
]

_INSTEAD: Final = (
    "Moments are coordinates: ds.wcs has those of each frame, ds.at(time=...) and ds.crop(...) "
    "select by them"
)

FrameValues: TypeAlias = "tuple[Any, u.UnitBase | None, Any]"
"""Values, with an axis of one pixel for each axis of a frame; unit; mask of that shape, or None."""


def column_name(value: object) -> str | None:
    """Return the name of a table's column, also that of a QTable; None of anything else."""
    if isinstance(value, Column):
        return str(value.name)
    if isinstance(value, u.Quantity):
        # Asking any other Quantity for its info would make one.
        info = vars(value).get("info")
        if info is not None and info.parent_table is not None:
            return str(info.name)
    return None


def read_keyword(cube: FrameCube, keyword: str) -> FrameValues:
    """Read a column of a dataset's headers by its keyword."""
    table = None if cube.provenance is None else cube.headers
    if table is None or keyword not in table.colnames:
        has = "no headers" if table is None else "no such column, of " + counted(
            len(table.colnames), "column"
        )  # fmt: skip
        raise DatasetError(
            f"along_frames({keyword!r}): the headers of this dataset have {has}: expected a "
            "keyword of ds.headers.colnames, for a dataset whose pixels are of one frame each"
        )
    return read_column(cube, table[keyword])


def read_common(ds: Any, keyword: str) -> str | None:
    """Return what the headers of all frames say, as text; all of it where they differ."""
    headers = ds.headers
    if headers is None or keyword not in headers.colnames:
        return None
    found = sorted({str(one) for one in np.ma.asarray(headers[keyword]).compressed()})
    return ", ".join(found[:3]) or None


def read_instrument(ds: Any) -> str | None:
    """Return the instrument by the headers, or else by the inventory."""
    found: str | None = read_common(ds, "INSTRUME") or (ds.inventory or {}).get("instrumentName")
    return found


def read_column(cube: FrameCube, column: Any) -> FrameValues:
    """Read a column as an array along the axes of a dataset's frames.

    Parameters
    ----------
    cube : FrameCube
    column : Column, MaskedColumn or Quantity
        With a row for each frame of the dataset.

    Raises
    ------
    DatasetError
        Rows of other frames, or of another number; text; a dataset whose pixels are of no frames.
    """
    name = column_name(column)
    provenance = cube.provenance
    if provenance is None:
        raise DatasetError(
            f"headers[{name!r}]: a column has a value for each frame, and no pixel of this dataset "
            "is of one frame any more. np.asarray(column) is an array of numbers"
        )
    _check_values(str(name), column)
    _check_frames(str(name), column, provenance)
    shape = provenance.array.frame_shape
    n = math.prod(shape)
    if np.shape(column) != (n,):
        raise DatasetError(
            f"headers[{name!r}]: expected one value for each of {counted(n, 'frame')} of the "
            f"selection, {shape}, found {np.shape(column)}. A slice of the dataset has the rows of "
            "its own frames: ds[...].headers. np.asarray(column) is an array without frames"
        )
    mask = getattr(column, "mask", None)
    unit = getattr(column, "unit", None)
    values = getattr(column, "unmasked", column)
    values = np.asarray(getattr(values, "value", values) if unit is not None else values)
    along = shape + (1,) * (len(cube.shape) - len(shape))
    if mask is not None:
        mask = np.array(mask, bool).reshape(along) if np.any(mask) else None
    return np.array(values).reshape(along), unit, mask


def _check_values(name: str, column: Any) -> None:
    if column.dtype.kind in "biufc":
        return
    is_text = column.dtype.kind in "SU" or all(isinstance(one, (str, bytes)) for one in column[:9])
    what = "text" if is_text else f"values of {column.dtype}"
    dates = f" {_INSTEAD}" if "DATE" in name.upper() or column.dtype.kind == "M" else ""
    raise DatasetError(f"headers[{name!r}]: is {what}, expected numbers.{dates}")


def _check_frames(name: str, column: Any, provenance: Provenance) -> None:
    """Refuse a column of which it is known that its rows are those of other frames."""
    table = getattr(column, "parent_table", None)
    theirs = table.rows_of if isinstance(table, HeaderTable) and table.rows_are_frames else None
    if theirs is None or theirs is provenance:
        return
    ours, its = provenance.array, theirs.array
    if _stored(ours) == _stored(its) and np.array_equal(ours.positions(), its.positions()):
        return
    raise DatasetError(
        f"headers[{name!r}]: its rows are those of {theirs}, and the pixels are of others, "
        f"{provenance}: a row belongs to a frame by its position. "
        f"np.asarray(headers[{name!r}]) is an array without frames"
    )


def _stored(array: Any) -> tuple[object, str]:
    return array.handle.store.references.identity, array.name

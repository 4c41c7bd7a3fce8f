"""Convert a column of an astropy Table to Arrow and back."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
from astropy.table import Column, MaskedColumn
from astropy.units import Unit

from dkist_virtual.store.format.header_metadata import meta_notes, meta_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["from_arrow", "is_plain", "own_to_arrow", "to_arrow"]


def own_to_arrow(column: NDArray[Any], kind: Any) -> Any:
    """A column of our own, of integers or strings, null where it is masked, None or empty."""
    import pyarrow as pa

    mask = np.ma.getmaskarray(column)
    values = np.ma.getdata(column)
    if values.dtype.kind in "iu":
        return pa.array(values.astype(np.int64), kind, mask=mask)
    if values.dtype.kind in "fb":
        raise ValueError(f"expected integers or strings of a column of ours, not {values.dtype}")
    texts = values.astype(object)
    return pa.array(texts, kind, mask=mask | np.array([not text for text in texts], bool))


def is_plain(column: Any) -> bool:
    """Whether a column's type alone says what becomes of it, whichever rows it has."""
    return type(column) is Column and column.ndim == 1 and _is_plain(column.dtype)


def _is_plain(dtype: np.dtype[Any]) -> bool:
    return dtype.kind in "biuUS" or (dtype.kind == "f" and dtype.itemsize in (4, 8))


def to_arrow(column: Any) -> tuple[Any, dict[str, Any]]:
    """A column as an Arrow array, and the notes from which it comes back.

    Notes with ``strings`` say that it had to be made strings: of mixed types, or of one that
    Parquet does not know.
    """
    import pyarrow as pa

    if not isinstance(column, Column):
        # A mixin (Time, Quantity, SkyCoord): no FITS table holds one, but a user's may.
        return _strings(column, np.zeros(len(column), bool), column.info)

    mask = np.ma.getmaskarray(column)
    values = np.ma.getdata(np.ma.MaskedArray(column))
    kind = values.dtype.kind
    notes = {"masked": isinstance(column, MaskedColumn), **_attributes(column)}
    if values.ndim == 1 and kind == "O":
        return _objects(values, mask, notes, column)
    native = values.dtype.newbyteorder("=")
    cell = values.shape[1:]
    if not _is_plain(native) or 0 in cell:
        gone = [bool(cells.size) and bool(cells.all()) for cells in mask]
        return _strings(values, np.array(gone, bool), column)
    arrow = {"U": pa.string(), "S": pa.binary()}.get(kind)
    flat, hidden = values.reshape(-1), mask.reshape(-1)
    if arrow:
        array = _texts(flat, arrow, hidden)
    else:
        array = pa.array(np.asarray(flat, native), mask=hidden if hidden.any() else None)
    if cell:
        array = pa.FixedSizeListArray.from_arrays(array, int(np.prod(cell)))
        notes["shape"] = list(cell)
    return array, {"dtype": native.str, **notes}


def _texts(values: NDArray[Any], kind: Any, mask: NDArray[np.bool_]) -> Any:
    """Strings as Arrow's. Most keywords stay the same for many frames: each text is made once."""
    import pyarrow as pa
    import pyarrow.compute as pc

    changes = np.ones(len(values), bool)
    changes[1:] = values[1:] != values[:-1]
    # As Python's own, because Arrow ends numpy's strings at the first NUL.
    texts = pa.array(values[changes].astype(object), kind)
    if len(texts) < len(values):
        texts = texts.take(pa.array(np.cumsum(changes) - 1))
    return pc.if_else(pa.array(mask), pa.scalar(None, kind), texts) if mask.any() else texts


def _objects(
    values: NDArray[Any], mask: NDArray[np.bool_], notes: dict[str, Any], column: Any
) -> tuple[Any, dict[str, Any]]:
    """A column of Python objects: of one plain type and None as it is, else as strings."""
    import pyarrow as pa

    kinds = {type(value) for value in values[~mask]} - {type(None)}
    arrow = {str: pa.string(), bool: pa.bool_(), int: pa.int64(), float: pa.float64()}
    # Null can mean only one thing in a column that is to come back.
    clear = not (mask.any() and any(value is None for value in values[~mask]))
    if clear and len(kinds) <= 1 and kinds <= arrow.keys():
        plain = [None if hidden else value for value, hidden in zip(values, mask, strict=True)]
        try:
            kind = arrow[kinds.pop()] if kinds else pa.string()
            return pa.array(plain, kind), {"dtype": "O", "none": not mask.any(), **notes}
        except (OverflowError, pa.ArrowInvalid):
            pass  # an integer beyond 64 bits
    return _strings(column, mask | np.array([value is None for value in values], bool), column)


def _strings(
    values: Iterable[Any], mask: NDArray[np.bool_], info: Any
) -> tuple[Any, dict[str, Any]]:
    import pyarrow as pa

    texts = [None if hidden else str(value) for value, hidden in zip(values, mask, strict=True)]
    width = max([1, *(len(text) for text in texts if text is not None)])
    notes = {"dtype": f"=U{width}", "masked": bool(mask.any()), "strings": True}
    return pa.array(texts, pa.string()), {**notes, **_attributes(info)}


def _attributes(info: Any) -> dict[str, Any]:
    """What else a column carries. A format may be a function, which no file holds."""
    notes: dict[str, Any] = meta_notes(info.meta or {})
    if info.unit is not None:
        notes["unit"] = str(info.unit)
    if info.description is not None:
        notes["description"] = str(info.description)
    if isinstance(info.format, str):
        notes["format"] = info.format
    return notes


def from_arrow(data: Any, notes: dict[str, Any], name: str) -> Column:
    """The column that `to_arrow` made an array of, from that array and its notes."""
    import pyarrow as pa

    array = data.combine_chunks()
    cell = tuple(notes.get("shape", ()))
    if cell:
        array = array.flatten()
    null = array.is_null().to_numpy(zero_copy_only=False)
    dtype = np.dtype(notes["dtype"])
    if dtype.kind == "O":
        values = np.empty(len(array), dtype=object)
        values[:] = array.to_pylist()
        if notes["none"]:
            null = np.zeros(len(array), bool)
    elif dtype.kind in "US":
        # Most keywords have few values: widening those is much quicker than widening all.
        coded = array if pa.types.is_dictionary(array.type) else array.dictionary_encode()
        blank = "" if dtype.kind == "U" else b""
        words = np.asarray([*coded.dictionary.to_pylist(), blank], dtype=dtype)
        values = words[coded.indices.fill_null(len(words) - 1).to_numpy()]
    else:
        filled = array.fill_null(pa.scalar(False if dtype.kind == "b" else 0, array.type))
        values = filled.to_numpy(zero_copy_only=False).astype(dtype, copy=False)
    if not values.flags.writeable:
        values = values.copy()
    values, null = values.reshape(-1, *cell), null.reshape(-1, *cell)
    attributes = {
        "name": name,
        "unit": Unit(notes["unit"], parse_strict="silent") if "unit" in notes else None,
        "description": notes.get("description"),
        "format": notes.get("format"),
        "meta": meta_of(notes),
    }
    if notes["masked"]:
        return MaskedColumn(values, mask=null, **attributes)
    return Column(values, **attributes)

"""Convert a column of an astropy Table to Arrow and back.

Text, integers, floats and booleans stay what they are, masked or not; a cell may be an array, as
in the header tables of early ASDFs. A column of anything else is converted to text. astropy is
imported by functions: what a scan recorded is read without it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from dkist_virtual.store.format.header_metadata import Notes, meta_notes, read_meta

if TYPE_CHECKING:
    from astropy.table import Column
    from numpy.typing import NDArray
    from pyarrow import Array, ChunkedArray, DataType

__all__ = ["from_arrow", "is_plain", "own_to_arrow", "to_arrow"]


def own_to_arrow(column: NDArray[Any], kind: DataType) -> Array:
    """Convert a column of our own, of integers or strings: masked, None and "" become null."""
    import pyarrow as pa

    mask = np.ma.getmaskarray(column)
    values = np.ma.getdata(column)
    if values.dtype.kind in "iu":
        return pa.array(values.astype(np.int64), kind, mask=mask)
    if values.dtype.kind in "fb":
        raise ValueError(f"expected integers or strings of a column of ours, not {values.dtype}")
    texts = values.astype(object)
    return pa.array(texts, kind, mask=mask | np.array([not text for text in texts], bool))


def is_plain(column: Column) -> bool:
    """Whether a column's type alone determines how it is stored, whichever rows it has."""
    from astropy.table import Column

    return type(column) is Column and column.ndim == 1 and _has_arrow_type(column.dtype)


def _has_arrow_type(dtype: np.dtype) -> bool:
    return dtype.kind in "biuUS" or (dtype.kind == "f" and dtype.itemsize in (4, 8))


def to_arrow(column: Column) -> tuple[Array, Notes]:
    """Convert a column to an Arrow array and the notes from which `from_arrow` restores it.

    Notes have ``strings`` where values or meta had to be converted to text. A mixin (Time,
    Quantity, SkyCoord) is taken as well.
    """
    import pyarrow as pa
    from astropy.table import Column, MaskedColumn

    kept = isinstance(column, Column) and _has_arrow_type(column.dtype)
    kept = kept and 0 not in column.shape[1:]
    column = column if kept else _as_text(column)
    values = np.ma.getdata(column, subok=False)
    native, cell = values.dtype.newbyteorder("="), values.shape[1:]
    flat, hidden = values.reshape(-1), np.ma.getmaskarray(column).reshape(-1)
    if native.kind in "US":
        array = _texts(flat, pa.string() if native.kind == "U" else pa.binary(), hidden)
    else:
        array = pa.array(flat.astype(native, copy=False), mask=hidden if hidden.any() else None)
    notes: Notes = {"dtype": native.str, "masked": isinstance(column, MaskedColumn)}
    if cell:
        array = pa.FixedSizeListArray.from_arrays(array, int(np.prod(cell)))
        notes["shape"] = list(cell)
    # A format may be a function, which no file holds.
    names = ("unit", "description", *["format"] * isinstance(column.format, str))
    notes |= {name: str(value) for name in names if (value := getattr(column, name)) is not None}
    return array, {**notes, **meta_notes(column.meta), **({} if kept else {"strings": True})}


def _as_text(column: Column) -> Column:
    """Convert a column of anything to text; cells that are None or wholly masked are masked."""
    from astropy.table import Column, MaskedColumn

    info = column.info
    masks = np.zeros(len(column), bool)
    if isinstance(column, Column):
        column, masks = np.ma.getdata(column, subok=False), np.ma.getmaskarray(column)
    pairs = zip(column, masks, strict=True)
    cells = [None if np.size(mask) and np.all(mask) else cell for cell, mask in pairs]
    texts = np.array(["" if cell is None else str(cell) for cell in cells], "U")
    gone = [cell is None for cell in cells]
    about = {name: getattr(info, name) for name in ("name", "unit", "description", "meta")}
    return MaskedColumn(texts, mask=gone, **about) if any(gone) else Column(texts, **about)


def _texts(values: NDArray[Any], kind: DataType, mask: NDArray[np.bool_]) -> Array:
    """Convert strings. Most keywords are the same for many frames: each text is made once."""
    import pyarrow as pa
    import pyarrow.compute as pc

    changes = np.ones(len(values), bool)
    changes[1:] = values[1:] != values[:-1]
    # As Python's own, because Arrow ends numpy's strings at the first NUL.
    texts = pa.array(values[changes].astype(object), kind)
    if len(texts) < len(values):
        texts = texts.take(pa.array(np.cumsum(changes) - 1))
    return pc.if_else(pa.array(mask), pa.scalar(None, kind), texts) if mask.any() else texts


def from_arrow(data: ChunkedArray, notes: Notes, name: str) -> Column:
    """Restore the column that `to_arrow` converted, from the array and its notes."""
    import pyarrow as pa
    from astropy.table import Column, MaskedColumn
    from astropy.units import Unit

    array = data.combine_chunks()
    cell = tuple(notes.get("shape", ()))
    if cell:
        array = array.flatten()
    null = array.is_null().to_numpy(zero_copy_only=False)
    dtype = np.dtype(notes["dtype"])
    if dtype.kind == "O":  # Python objects, which earlier versions kept
        values = np.empty(len(array), dtype=object)
        values[:] = array.to_pylist()
        null = null & (not notes["none"])
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
        "meta": read_meta(notes),
    }
    if notes["masked"]:
        return MaskedColumn(values, mask=null, **attributes)
    return Column(values, **attributes)

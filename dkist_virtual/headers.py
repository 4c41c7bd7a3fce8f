"""The header table to and from Parquet.

``headers.parquet`` holds one row for each frame in chunk order: a column for each FITS keyword,
and columns of our own (`OURS`) about the frame's file. Any Parquet reader reads it. What
Parquet has no word for (string widths, units, which columns are masked) stands as JSON in the
metadata of field and schema under the key ``dkist_virtual``, so that the very astropy Table
comes back.
"""

from __future__ import annotations

import os
from collections.abc import ItemsView, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final

import numpy as np
from astropy.table import Column, MaskedColumn, Row, Table
from astropy.units import Unit

from dkist_virtual.errors import StoreCorruptError
from dkist_virtual.header_notes import (
    NOTES_KEY,
    cell_bytes,
    check_text,
    dumps,
    meta_notes,
    meta_of,
    read_notes,
    reading_notes,
)
from dkist_virtual.trust import MAX_FRAMES, check_size

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from pyarrow.parquet import ParquetFile

__all__ = [
    "HEADERS_NAME",
    "OURS",
    "HeaderRow",
    "HeaderTable",
    "header_columns",
    "read_headers",
    "read_own_columns",
    "write_headers",
]

HEADERS_NAME: Final = "headers.parquet"
"""The header table's name in a store."""

#: The columns of our own, null where unknown.
OURS = ("_tile", "_url", "_size", "_offset", "_length", "_mtime", "_etag", "_datasum")

_OUR_TYPES = {
    "_tile": "string",
    "_url": "string",
    "_size": "int64",
    "_offset": "int64",
    "_length": "int64",
    "_mtime": "int64",
    "_etag": "string",
    "_datasum": "int64",
}
_ROW_GROUP = 100_000


class HeaderRow(Row):  # type: ignore[misc]  # astropy comes without types
    """One frame's header: a row that, taken as a mapping, has only the cards its frame had.

    ``keys()``, ``values()``, ``items()`` and ``in`` leave out masked cells, and NaN, which no
    FITS card can hold: where frames differ in their cards, that is how a table says so. Hence
    ``WCS(row)`` and ``fits.Header(row.items())`` work. ``row["KEY"]`` gives any cell as it is.
    """

    def keys(self) -> list[str]:
        """The keywords that this frame's header had, in the table's order."""
        return [name for name, value in zip(self.colnames, self, strict=True) if _is_card(value)]

    def values(self) -> list[Any]:
        """The values of `keys`."""
        return [value for value in self if _is_card(value)]

    def items(self) -> ItemsView[str, Any]:
        """Pairs of keyword and value of the cards that this frame's header had."""
        return dict(zip(self.keys(), self.values(), strict=True)).items()

    def __contains__(self, key: object) -> bool:
        return key in self.colnames and _is_card(self[key])

    def get(self, key: str, default: Any = None, /) -> Any:
        """The value of a card, or ``default`` where this frame's header had none."""
        if key not in self:
            return default
        return self[key]


class HeaderTable(Table):  # type: ignore[misc]  # astropy comes without types
    """An `astropy.table.Table` of FITS headers, whose rows are `HeaderRow`."""

    Row = HeaderRow


def write_headers(
    path: Path | str, table: Table, ours: Mapping[str, NDArray[Any] | None]
) -> list[str]:
    """Write a header table as Parquet, replacing what stands there.

    Parameters
    ----------
    path : pathlib.Path or str
        Where to, on this machine.
    table : astropy.table.Table, shape (n,)
        One row for each frame in chunk order; or no rows, where the ASDF had no headers.
    ours : mapping of str to array, shape (n,)
        Columns among `OURS`; what is absent, None or masked is written as null.

    Returns
    -------
    list of str
        The names of the columns that had to be made strings: those of mixed types, and those of
        types that Parquet does not know. What to say about them is the caller's business.

    Raises
    ------
    ValueError
        If ``ours`` has a column not among `OURS`, or lengths differ.

    Notes
    -----
    A keyword that begins with an underscore is stored with one more, so that none can ever be
    taken for a column of ours.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    if unknown := sorted(set(ours) - set(OURS)):
        raise ValueError(f"unknown columns {unknown}: expected {list(OURS)}")
    lengths = {name: len(column) for name, column in ours.items() if column is not None}
    if len(table):
        lengths["the header table"] = len(table)
    if len(set(lengths.values())) > 1:
        raise ValueError(f"expected one length of all columns, found {lengths}")
    n_rows = next(iter(lengths.values()), 0)

    arrays, fields, made_strings = [], [], []
    for name in table.colnames:
        array, notes = _to_arrow(table[name])
        if notes.get("strings"):
            made_strings.append(name)
        if not len(table):
            array = pa.nulls(n_rows, array.type)
        stored = f"_{name}" if name.startswith("_") else name
        arrays.append(array)
        fields.append(pa.field(stored, array.type, metadata={NOTES_KEY: dumps(notes)}))
    for name in OURS:
        kind = pa.type_for_alias(_OUR_TYPES[name])
        column = ours.get(name)
        arrays.append(pa.nulls(n_rows, kind) if column is None else _our_array(column, kind))
        fields.append(pa.field(name, kind))
    about = {"header_rows": len(table), **meta_notes(table.meta)}
    schema = pa.schema(fields, metadata={NOTES_KEY: dumps(about)})
    pq.write_table(
        pa.Table.from_arrays(arrays, schema=schema),
        str(path),
        compression="zstd",
        row_group_size=_ROW_GROUP,
        write_page_checksum=True,
    )
    return made_strings


def read_headers(
    file: Path | str | BinaryIO,
    *,
    rows: slice | NDArray[np.integer[Any]] | None = None,
    columns: Sequence[str] | None = None,
) -> HeaderTable:
    """Read the header table, columns of our own left out.

    Parameters
    ----------
    file : pathlib.Path, str or binary file
        A path on this machine, or a seekable file open for reading.
    rows : slice or array of int, shape (m,), optional
        Which frames, by their place in chunk order and in this order; all if not given. Row
        groups without any are not read.
    columns : sequence of str, optional
        Which keywords; all if not given.

    Returns
    -------
    HeaderTable, shape (m,)
        Without rows where the ASDF had no headers.

    Raises
    ------
    StoreCorruptError
        If the file is missing, or not what `write_headers` writes.
    KeyError
        If there is no such keyword.
    IndexError
        If there is no such row.
    """
    with _opened(file) as (parquet, name, there):
        schema = parquet.schema_arrow
        about = read_notes(schema, name)
        stored = {_keyword(field.name): field for field in schema if field.name not in OURS}
        wanted = list(stored) if columns is None else list(columns)
        if unknown := [key for key in wanted if key not in stored]:
            raise KeyError(
                f"{name}: no keyword {', '.join(map(repr, unknown))} in the header table"
            )
        if not about.get("header_rows"):
            rows = slice(0, 0)
        with reading_notes(name):
            notes = {key: read_notes(stored[key], name) for key in wanted}
            cells = sum(cell_bytes(stored[key].type, notes[key]) for key in wanted)
            check_size(f"{name}: the header table", cells * parquet.metadata.num_rows, there)
        data = _read_rows(parquet, rows, [stored[key].name for key in wanted])
        check_text(data, name, there)
        with reading_notes(name):
            result = HeaderTable(
                [_to_column(data.column(stored[key].name), notes[key], key) for key in wanted],
                copy=False,
            )
            result.meta.update(meta_of(about))
            return result


def read_own_columns(
    file: Path | str | BinaryIO, columns: Sequence[str] | None = None
) -> dict[str, np.ma.MaskedArray[Any, Any]]:
    """Read columns of our own.

    Parameters
    ----------
    file : pathlib.Path, str or binary file
        A path on this machine, or a seekable file open for reading.
    columns : sequence of str, optional
        Which of `OURS`; all if not given.

    Returns
    -------
    dict of str to numpy.ma.MaskedArray, shape (n,)
        Of int64, or of objects (`str`), masked where unknown (None, or 0, under the mask).

    Raises
    ------
    StoreCorruptError
        If the file is missing, or not what `write_headers` writes.
    KeyError
        If a column is not among `OURS`.
    """
    wanted = list(OURS if columns is None else columns)
    if unknown := sorted(set(wanted) - set(OURS)):
        raise KeyError(f"unknown columns {unknown}: expected some of {list(OURS)}")
    with _opened(file) as (parquet, name, there):
        if absent := [key for key in wanted if key not in parquet.schema_arrow.names]:
            raise StoreCorruptError(
                f"{name}: columns {', '.join(absent)} are missing from the header table; "
                "convert again"
            )
        check_size(f"{name}: its columns", 16 * len(wanted) * parquet.metadata.num_rows, there)
        data = parquet.read(columns=wanted)
        check_text(data, name, there)
        result = {}
        for key in wanted:
            array = data.column(key).combine_chunks()
            kind = str(getattr(array.type, "value_type", array.type))
            if kind not in (_OUR_TYPES[key], "null"):
                raise StoreCorruptError(
                    f"{name}: column {key} is of {array.type}: expected {_OUR_TYPES[key]}; convert "
                    "again"
                )
            mask = array.is_null().to_numpy(zero_copy_only=False)
            if _OUR_TYPES[key] == "int64":
                array = array.fill_null(0)
            result[key] = np.ma.MaskedArray(array.to_numpy(zero_copy_only=False), mask=mask)
        return result


def header_columns(file: Path | str | BinaryIO) -> list[str]:
    """The keywords of the header table, in order, from the file's footer alone.

    Parameters
    ----------
    file : pathlib.Path, str or binary file
        A path on this machine, or a seekable file open for reading.

    Returns
    -------
    list of str

    Raises
    ------
    StoreCorruptError
        If the file is missing, or no Parquet.
    """
    with _opened(file) as (parquet, *_):
        return [_keyword(name) for name in parquet.schema_arrow.names if name not in OURS]


def _is_card(value: Any) -> bool:
    return value is not np.ma.masked and not (
        isinstance(value, (float, np.floating)) and bool(np.isnan(value))
    )


def _keyword(stored: str) -> str:
    return stored[1:] if stored.startswith("_") else stored


@contextmanager
def _opened(file: Path | str | BinaryIO) -> Iterator[tuple[ParquetFile, str, int]]:
    """A Parquet file, its name and length; what goes wrong inside is the store's corruption."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    is_path = isinstance(file, (str, Path))
    name = str(file) if is_path else str(getattr(file, "name", "headers.parquet"))
    try:
        source: Any = str(file) if is_path else file
        with pq.ParquetFile(source) as first:
            n, schema = first.metadata.num_rows, first.schema_arrow
            if n > MAX_FRAMES:
                raise StoreCorruptError(f"{name}: {n} rows: more than {MAX_FRAMES} are not read")
            # Text as a dictionary: a long value of all rows takes no memory before it is counted.
            kinds = ("string", "large_string", "binary", "large_binary")
            how: dict[str, Any] = {
                "metadata": first.metadata,
                "read_dictionary": [f.name for f in schema if str(f.type) in kinds],
                "page_checksum_verification": True,
            }
        there = os.path.getsize(source) if is_path else source.seek(0, 2)
        with pq.ParquetFile(source, **how) as parquet:
            yield parquet, name, there
    except (pa.ArrowException, OSError) as error:
        lines = str(error).splitlines() or [type(error).__name__]
        raise StoreCorruptError(
            f"{name}: the header table cannot be read: {lines[0]}; convert again"
        ) from error


def _read_rows(
    parquet: ParquetFile, rows: slice | NDArray[np.integer[Any]] | None, columns: list[str]
) -> Any:
    """The rows asked for, from the row groups that hold them."""
    if rows is None:
        return parquet.read(columns=columns)
    ends = np.cumsum(
        [0, *(parquet.metadata.row_group(i).num_rows for i in range(parquet.num_row_groups))]
    )
    chosen = np.arange(ends[-1])[rows]
    group = np.searchsorted(ends, chosen, side="right") - 1
    needed = np.unique(group)
    data = parquet.read_row_groups(needed.tolist(), columns=columns)
    sizes = np.diff(ends)[needed]
    starts = np.cumsum(sizes) - sizes
    return data.take(chosen - ends[group] + starts[np.searchsorted(needed, group)])


def _our_array(column: NDArray[Any], kind: Any) -> Any:
    import pyarrow as pa

    mask = np.ma.getmaskarray(column)
    values = np.ma.getdata(column)
    if values.dtype.kind in "iu":
        return pa.array(values.astype(np.int64), kind, mask=mask)
    if values.dtype.kind in "fb":
        raise ValueError(f"expected integers or strings of a column of ours, not {values.dtype}")
    return pa.array(values, kind, mask=mask | np.array([value is None for value in values], bool))


def _to_arrow(column: Any) -> tuple[Any, dict[str, Any]]:
    """A column as an Arrow array, and the notes from which it comes back."""
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
    plain = kind in "biuUS" or (kind == "f" and native.itemsize in (4, 8))
    cell = values.shape[1:]
    if not plain or 0 in cell:
        hidden = [bool(cells.size) and bool(cells.all()) for cells in mask]
        return _strings(values, np.array(hidden, bool), column)
    arrow = {"U": pa.string(), "S": pa.binary()}.get(kind)
    # As Python's own, because Arrow ends numpy's strings at the first NUL.
    flat = np.asarray(values, dtype=object if arrow else native).reshape(-1)
    array = pa.array(flat, arrow, mask=mask.reshape(-1) if mask.any() else None)
    if cell:
        array = pa.FixedSizeListArray.from_arrays(array, int(np.prod(cell)))
        notes["shape"] = list(cell)
    return array, {"dtype": native.str, **notes}


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


def _to_column(data: Any, notes: dict[str, Any], name: str) -> Column:
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

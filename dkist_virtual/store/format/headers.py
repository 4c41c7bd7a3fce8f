"""Read and write the header table, ``headers.parquet``.

It has one row for each frame in chunk order: a column for each FITS keyword, and columns of our
own (`OURS`) about the frame's file. Any Parquet reader reads it. What Parquet cannot express
(string widths, units, which columns are masked) is JSON in the metadata of field and schema, so
that the same astropy Table comes back.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final, Self

import numpy as np

from dkist_virtual.errors import StoreCorruptError
from dkist_virtual.fits.threads import ThreadLock
from dkist_virtual.io.local_file import StoreFile
from dkist_virtual.io.safety import check_size
from dkist_virtual.store.format.arrow_columns import from_arrow, is_plain, own_to_arrow, to_arrow
from dkist_virtual.store.format.frame_index import COLUMNS
from dkist_virtual.store.format.header_metadata import (
    Notes,
    arrow_metadata,
    cell_bytes,
    meta_notes,
    read_meta,
    read_notes,
    translate_note_errors,
)
from dkist_virtual.store.format.limits import MAX_FRAMES, text_size
from dkist_virtual.store.format.names import HEADERS_NAME
from dkist_virtual.store.format.references import STRINGS

if TYPE_CHECKING:
    import pyarrow as pa
    from astropy.table import Column, Table
    from numpy.typing import NDArray
    from pyarrow import Array, Field

    from dkist_virtual.store.format.header_table import HeaderTable, Rows

__all__ = ["HEADERS_NAME", "OURS", "HeaderFile", "write_headers"]

_OUR_TYPES: Final = {
    "_tile": "string",
    "_url": "string",
    **{f"_{name}": "string" if name == "etag" else "int64" for name in COLUMNS},
}

#: The columns of our own, null where unknown.
OURS: Final = tuple(_OUR_TYPES)

_TEXT: Final = ("string", "large_string", "binary", "large_binary")

ROW_GROUP: Final = 10_000
"""Rows that are read, or not, together: a slice of a large dataset reads few of the others."""


# Writing ------------------------------------------------------------------------------------


def write_headers(
    path: Path | str,
    table: Table,
    ours: Mapping[str, NDArray[Any] | None],
    *,
    store_id: str | None = None,
) -> list[str]:
    """Write a header table as Parquet over what is there.

    A keyword that begins with an underscore is stored with one more, so that no keyword is ever
    mistaken for a column of ours.

    Parameters
    ----------
    path : pathlib.Path or str
    table : astropy.table.Table, shape (n,)
        One row for each frame in chunk order; or no rows, where the ASDF had no headers. A
        `HeaderTable` that has read nothing yet is read one row group at a time.
    ours : mapping of str to array, shape (n,)
        Columns among `OURS`; what is absent, None, masked or an empty string is written as null.
    store_id : str, optional

    Returns
    -------
    list of str
        The columns that had to be converted to text, because of their type or their meta. Warning
        of them is left to the caller.
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

    keywords = [_KeywordWriter.of(table, name) for name in table.colnames]
    ours_of = {name: (pa.type_for_alias(kind), ours.get(name)) for name, kind in _OUR_TYPES.items()}
    fields = [keyword.field for keyword in keywords]
    fields += [pa.field(name, kind) for name, (kind, _) in ours_of.items()]
    about = {"header_rows": len(table), "store_id": store_id, **meta_notes(table.meta)}
    if parts := _parts_of(table):
        about["parts"] = parts
    schema = pa.schema(fields, metadata=arrow_metadata(about))
    with pq.ParquetWriter(str(path), schema, compression="zstd", write_page_checksum=True) as file:
        for begin in range(0, n_rows, ROW_GROUP):
            n = min(ROW_GROUP, n_rows - begin)
            rows = slice(begin, begin + n)
            arrays = [keyword.rows(rows, n) for keyword in keywords]
            arrays += [
                pa.nulls(n, kind) if column is None else own_to_arrow(column[rows], kind)
                for kind, column in ours_of.values()
            ]
            file.write_table(pa.Table.from_arrays(arrays, schema=schema), row_group_size=ROW_GROUP)
    changed = [keyword.name for keyword in keywords if keyword.made_strings]
    return [*changed, "meta of the table"] if "strings" in about else changed


def _parts_of(table: Table) -> list[list[Any]]:
    """Say of stacked tables how many rows each has, and the types of its own columns."""
    from dkist_virtual.store.format.header_table import HeaderTable, StackedColumns

    source = table.source if isinstance(table, HeaderTable) else None
    if not isinstance(source, StackedColumns):
        return []
    return [
        [len(part), {name: part[name].dtype.str for name in part.colnames}]
        for part in source.tables
    ]


@dataclass(frozen=True, slots=True)
class _KeywordWriter:
    """Convert one column: as a whole, or one row group at a time where its type allows that."""

    name: str
    table: Table
    field: Field
    whole: Array | None
    made_strings: bool

    @classmethod
    def of(cls, table: Table, name: str) -> Self:
        import pyarrow as pa

        from dkist_virtual.store.format.header_table import HeaderTable

        source = table.source if isinstance(table, HeaderTable) else None
        column = table[name] if source is None else source.select(slice(0, 0)).read([name])[0]
        by_group = source is not None and is_plain(column)
        if source is not None and not by_group:
            (column,) = source.read([name])
        array, notes = to_arrow(column)
        stored = f"_{name}" if name.startswith("_") else name
        about = pa.field(stored, array.type, metadata=arrow_metadata(notes))
        return cls(name, table, about, None if by_group else array, "strings" in notes)

    def rows(self, rows: slice, n: int) -> Array:
        import pyarrow as pa

        if not len(self.table):
            return pa.nulls(n, self.field.type)
        if self.whole is not None:
            return self.whole.slice(rows.start, n)
        (column,) = self.table.source.select(rows).read([self.name])
        return to_arrow(column)[0]


# Reading ------------------------------------------------------------------------------------


class HeaderFile:
    """Read columns and row groups of a ``headers.parquet`` as they are needed.

    Raises `StoreCorruptError` where the file is missing, or not what `write_headers` writes.

    Parameters
    ----------
    file : pathlib.Path, str or binary file
        A path on this machine, or a seekable file open for reading, which stays open.

    Attributes
    ----------
    n_rows : int
        Frames, whether the dataset has headers or not.
    """

    def __init__(self, file: Path | str | BinaryIO) -> None:
        import pyarrow.parquet as pq

        is_path = isinstance(file, (str, Path))
        self.name = str(file) if is_path else str(getattr(file, "name", HEADERS_NAME))
        # Two threads must not read with one pyarrow file, or from one remote file.
        self._lock = ThreadLock()
        self._kept: dict[tuple[str, int], NDArray[Any]] = {}
        with self._translate_errors():
            # What is open stays the same file, also when another store takes this one's place.
            source = StoreFile(file) if isinstance(file, (str, Path)) else file
            self._there = source.seek(0, 2)
            first = pq.ParquetFile(source)
            metadata, schema = first.metadata, first.schema_arrow
            if metadata.num_rows > MAX_FRAMES:
                raise StoreCorruptError(
                    f"{self.name}: {metadata.num_rows} rows: more than {MAX_FRAMES} are not read"
                )
            groups = [metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)]
            # Text as a dictionary: a long value of all rows takes no memory until it is counted.
            self._parquet = pq.ParquetFile(
                source,
                metadata=metadata,
                read_dictionary=[f.name for f in schema if str(f.type) in _TEXT],
                page_checksum_verification=True,
            )
        self._starts = np.cumsum([0, *groups])
        self._ends = self._starts[1:].tolist()
        self.n_rows = int(self._starts[-1])
        self._schema = schema
        self._stored = {_keyword(f.name): f for f in schema if f.name not in OURS}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._parquet.close(force=True)

    @property
    def store_id(self) -> object:
        """The ID of the store that the file says it belongs to; None where it says nothing."""
        return read_notes(self._schema, self.name).get("store_id")

    @property
    def keywords(self) -> list[str]:
        """The keywords of the header table, in order."""
        return list(self._stored)

    def has(self, column: str) -> bool:
        """Whether a column of our own is there: stores of earlier versions lack some."""
        return column in self._schema.names

    def headers(self, rows: Rows | None = None) -> HeaderTable:
        """Give the header table of some frames, which reads columns on first use.

        Parameters
        ----------
        rows : slice or array of int, shape (m,), optional
            Positions of frames in chunk order; all if not given. The table has this order, and no
            rows where the ASDF had no headers. Of frames of one array of an inversion it has the
            cards that this array has.
        """
        from dkist_virtual.store.format.header_table import HeaderTable

        about = read_notes(self._schema, self.name)
        there = bool(about.get("header_rows"))
        chosen = np.arange(self.n_rows if there else 0)
        if rows is not None and there:
            chosen = chosen[rows]
        with translate_note_errors(self.name):
            meta = read_meta(about)
            types = None if rows is None else _own_types(about.get("parts") or (), chosen)
        if types is None:
            return HeaderTable.of(_Stored(self, self.keywords, meta, chosen))
        names = [name for name in types if name in self._stored]
        return HeaderTable.of(_Stored(self, names, meta, chosen, types))

    def own(self, column: str) -> np.ma.MaskedArray[Any, Any]:
        """Read a column of our own: of int64 or of `str` objects, masked where unknown."""
        self._check_own(column)
        data = self._groups(list(range(len(self._ends))), [column], 16)
        array = data.column(column).combine_chunks()
        mask = array.is_null().to_numpy(zero_copy_only=False)
        if _OUR_TYPES[column] == "int64":
            array = array.cast("int64").fill_null(0)  # all null, they may be of no type
        return np.ma.MaskedArray(array.to_numpy(zero_copy_only=False), mask=mask)

    def integers(self, column: str, rows: NDArray[np.integer[Any]]) -> NDArray[np.int64]:
        """Read a column of our own for some frames, -1 where unknown; row groups read are kept."""
        groups, positions = self._locate(rows)
        self._keep(column, groups)
        kept = [self._kept[column, i] for i in groups]
        return np.concatenate([*kept, np.empty(0, np.int64)])[positions]

    def texts(self, column: str, rows: NDArray[np.integer[Any]]) -> NDArray[Any]:
        """Read a column of text of our own for some frames, empty where unknown."""
        groups, positions = self._locate(rows)
        self._keep(column, groups)
        sizes = np.diff(self._starts)
        kept = [self._kept[column, i] for i in groups]
        filled = [
            part if len(part) else np.full(sizes[i], None)
            for i, part in zip(groups, kept, strict=True)
        ]
        found = np.concatenate([*filled, np.empty(0, object)])[positions]
        return np.array([text or "" for text in found.tolist()], STRINGS)

    def integer(self, column: str, row: int) -> int:
        """Read the same for one frame."""
        return int(self._value(column, row))

    def etag(self, row: int) -> str | None:
        """Read the ETag of one frame's file, None where unknown; row groups read are kept."""
        value: str | None = self._value("_etag", row)
        return value

    def _value(self, column: str, row: int) -> Any:
        group = bisect_right(self._ends, row)
        if (column, group) not in self._kept:
            self._keep(column, [group])
        kept = self._kept[column, group]
        return kept[row - self._starts[group]] if len(kept) else None

    def _keep(self, column: str, groups: list[int]) -> None:
        """Read row groups of a column of our own that were not read before."""
        missing = [i for i in groups if (column, i) not in self._kept]
        if not missing:
            return
        self._check_own(column)
        data = self._groups(missing, [column], 16).column(column).combine_chunks()
        if _OUR_TYPES[column] == "int64":
            values = _integers(data)
        elif data.null_count < len(data):
            values = data.to_numpy(zero_copy_only=False)
        else:
            values = np.empty(0, object)  # ETags of files on a disk take no memory
        ends = np.cumsum(np.diff(self._starts)[missing])
        parts = np.split(values, ends[:-1])
        self._kept.update({(column, i): part for i, part in zip(missing, parts, strict=True)})

    def _check_own(self, column: str) -> None:
        if column not in OURS:
            raise KeyError(f"unknown columns {[column]}: expected some of {list(OURS)}")
        if column not in self._schema.names:
            raise StoreCorruptError(
                f"{self.name}: columns {column} are missing from the header table; convert again"
            )
        kind = str(self._schema.field(column).type)
        if kind not in (_OUR_TYPES[column], "null"):
            raise StoreCorruptError(
                f"{self.name}: column {column} is of {kind}: expected {_OUR_TYPES[column]}; "
                "convert again"
            )

    def read(self, keywords: Sequence[str], rows: NDArray[np.int64]) -> list[Column]:
        """Read columns of the header table, from the row groups that hold the rows."""
        fields = [self._stored[key] for key in keywords]
        with translate_note_errors(self.name):
            notes = [read_notes(field, self.name) for field in fields]
            cells = sum(map(cell_bytes, (field.type for field in fields), notes))
        groups, positions = self._locate(rows)
        data = self._groups(groups, [field.name for field in fields], cells)
        if len(positions) != len(data) or (np.diff(positions) != 1).any():
            data = data.take(positions)
        with translate_note_errors(self.name):
            return [
                from_arrow(data.column(field.name), about, key)
                for key, field, about in zip(keywords, fields, notes, strict=True)
            ]

    def _locate(self, rows: NDArray[np.integer[Any]]) -> tuple[list[int], NDArray[np.int64]]:
        """Find the row groups that hold some rows, and the rows' positions among those of them."""
        group = np.searchsorted(self._starts, rows, side="right") - 1
        groups = np.unique(group)
        sizes = np.diff(self._starts)[groups]
        begins = np.cumsum(sizes) - sizes
        within = rows - self._starts[group]
        return groups.tolist(), within + begins[np.searchsorted(groups, group)]

    def _groups(self, groups: list[int], columns: list[str], cells: int) -> pa.Table:
        """Read row groups, of which a row takes ``cells`` bytes of memory, but for its text."""
        import pyarrow as pa

        n = int(np.diff(self._starts)[groups].sum())
        check_size(f"{self.name}: the header table", cells * n, self._there)
        with self._lock, self._translate_errors():
            data = self._parquet.read_row_groups(groups, columns=columns)
        # Counted before it is written out for every row.
        text = sum(text_size(c) for c in data.columns if pa.types.is_dictionary(c.type))
        check_size(f"{self.name}: its text", text, self._there)
        return data

    @contextmanager
    def _translate_errors(self) -> Iterator[None]:
        """Raise `StoreCorruptError` where the file cannot be read."""
        import pyarrow as pa

        try:
            yield
        except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
            lines = str(error).splitlines() or [type(error).__name__]
            raise StoreCorruptError(
                f"{self.name}: the header table cannot be read: {lines[0]}; convert again"
            ) from error


@dataclass(frozen=True, eq=False)
class _Stored:
    """Read columns of some rows of a `HeaderFile`."""

    file: HeaderFile
    names: Sequence[str]
    meta: Notes
    rows: NDArray[np.int64] = field(repr=False)
    types: Mapping[str, str] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.rows)

    def read(self, names: Sequence[str]) -> list[Column]:
        columns = self.file.read(names, self.rows)
        return [_retyped(c, self.types.get(name)) for name, c in zip(names, columns, strict=True)]

    def select(self, rows: Rows) -> _Stored:
        return _Stored(self.file, self.names, self.meta, self.rows[rows], self.types)


def _own_types(parts: Sequence[Any], rows: NDArray[np.int64]) -> dict[str, str] | None:
    """Find the columns of the part that has all these rows; None if no part has them all."""
    if not len(rows):
        return None
    stop = 0
    for n, types in parts:
        start, stop = stop, stop + int(n)
        if start <= rows.min() and rows.max() < stop:
            return {str(name): str(kind) for name, kind in types.items()}
    return None


def _retyped(column: Column, kind: str | None) -> Column:
    """Give a column the type that it had before it was stacked with those of other arrays."""
    from astropy.table import Column, MaskedColumn

    if kind is None:
        return column
    if isinstance(column, MaskedColumn) and not np.any(column.mask):
        column = Column(column.data.data, name=column.name, unit=column.unit)
    own = np.dtype(kind)
    numbers = own.kind in "iuf" and own.itemsize <= 8
    if not numbers or own == column.dtype or column.dtype.kind not in "iufSUO":
        return column
    return column.astype(own)


def _integers(data: Array) -> NDArray[np.int64]:
    """Give the values of an array of int64, or of nulls alone, -1 where it is null."""
    # Not by `fill_null`, which imports pandas where it is installed, before the first frame.
    values = np.full(len(data), -1, np.int64)
    if data.null_count < len(data):
        valid, stored = data.buffers()
        part = slice(data.offset, data.offset + len(data))
        known = np.ones(len(data), bool)
        if valid is not None:
            bits = np.unpackbits(np.frombuffer(valid, np.uint8), bitorder="little")
            known = bits[part].astype(bool)
        values[known] = np.frombuffer(stored, np.int64)[part][known]
    return values


def _keyword(stored: str) -> str:
    return stored[1:] if stored.startswith("_") else stored

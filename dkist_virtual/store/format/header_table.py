"""Hold the header table as an astropy Table that reads its columns on first use.

A dataset of a million frames has headers of gigabytes, of which most uses need a few rows or one
column. So a table begins as a `ColumnSource` that knows names and length. ``table["KEY"]`` reads
one column, ``table[5]`` a row with its neighbours, a slice is another such table; anything else
reads all columns that are left.
"""

from __future__ import annotations

from collections.abc import Callable, ItemsView, Iterator, Sequence
from functools import wraps
from typing import TYPE_CHECKING, Any, Final, Protocol, Self, TypeAlias

import numpy as np
from astropy.table import Column, Row, Table
from astropy.table.pprint import TableFormatter

from dkist_virtual.errors import DatasetError
from dkist_virtual.fits.errors import one_line

if TYPE_CHECKING:
    from astropy.table import TableColumns
    from numpy.typing import NDArray

    from dkist_virtual.store.format.header_metadata import Notes

__all__ = [
    "ColumnSource",
    "HeaderRow",
    "HeaderTable",
    "Rows",
    "StackedColumns",
    "rows_of",
    "same_cells",
]

PAGE: Final = 1_000
"""Rows that are read together, because code that reads one usually reads the next."""

Rows: TypeAlias = "slice | NDArray[np.int64]"
"""Rows of a table: a slice, or their numbers."""


class ColumnSource(Protocol):
    """Columns in a file, all of one length."""

    @property
    def names(self) -> Sequence[str]:
        """All columns, in order."""

    @property
    def meta(self) -> Notes:
        """The table's meta."""

    def __len__(self) -> int: ...

    def read(self, names: Sequence[str]) -> list[Column]:
        """Read some columns as a whole."""

    def select(self, rows: Rows) -> ColumnSource:
        """Give the same columns of some rows."""


class HeaderRow(Row):  # type: ignore[misc]  # astropy comes without types
    """One frame's header: a row that, as a mapping, has only the cards its frame had.

    ``keys()``, ``values()``, ``items()`` and ``in`` leave out masked cells, and NaN, which no
    FITS card can hold: they are cards that other frames have and this one has not. So
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

    def __setitem__(self, item: object, value: object) -> None:
        super().__setitem__(item, value)
        if self._table._page_of is not None:
            table, first = self._table._page_of
            if isinstance(item, str):  # only that column is read whole
                table[item][first + self._index] = value
            else:
                table.columns  # noqa: B018  # reads them
                table[first + self._index][item] = value

    def __contains__(self, key: object) -> bool:
        return key in self.colnames and _is_card(self[key])

    def get(self, key: str, default: Any = None, /) -> Any:
        """The value of a card, or ``default`` where this frame's header had none."""
        if key not in self:
            return default
        return self[key]


def _is_card(value: object) -> bool:
    return value is not np.ma.masked and not (
        isinstance(value, (float, np.floating)) and bool(np.isnan(value))
    )


SHOWN: Final = 100
"""Rows, and columns, of either end that are read to print a long table: more than a screen has."""


class OneLineFormatter(TableFormatter):  # type: ignore[misc]  # astropy comes without types
    """Print each cell in one line, whatever text is in it."""

    # astropy has no public method that every cell passes.

    def _pformat_col_iter(self, *args: object, **kwargs: object) -> Iterator[str]:
        return map(one_line, super()._pformat_col_iter(*args, **kwargs))


def _checked(method: Callable[..., None]) -> Callable[..., None]:
    """Make a method that moves rows check first whether they may move."""

    @wraps(method)
    def checked(self: HeaderTable, *args: object, **how: object) -> None:
        self._check_rows_may_move()
        method(self, *args, **how)

    return checked


class HeaderTable(Table):  # type: ignore[misc]  # astropy comes without types
    """An `astropy.table.Table` of FITS headers, whose rows are `HeaderRow`.

    `of` makes one that reads its columns on first use. Where `rows_are_frames`, rows cannot be
    moved; copies and parts are tables of their own.
    """

    Row = HeaderRow
    TableFormatter = OneLineFormatter

    _source: ColumnSource | None = None
    _read: dict[str, Column]
    _page: tuple[int, HeaderTable] | None
    _page_of: tuple[HeaderTable, int] | None = None
    """The table of which this has some neighbouring rows, and the first of them."""
    rows_are_frames: bool = False
    """Whether each row belongs to a frame of a dataset, so that rows cannot be moved."""
    rows_of: Any = None
    """What knows which frames, where they are known: a dataset's provenance."""

    @classmethod
    def of(cls, source: ColumnSource) -> Self:
        """Make a table that has read nothing yet."""
        table = cls()
        table.meta.update(source.meta)
        table._source, table._read, table._page = source, {}, None
        return table

    @property
    def source(self) -> ColumnSource | None:
        """Where to read columns; None once some were read, and may have been changed here."""
        return None if self._source is None or self._read else self._source

    def _check_rows_may_move(self) -> None:
        if self.rows_are_frames:
            raise DatasetError(
                "headers: row n belongs to frame n of the dataset, so that rows are not sorted, "
                "added, removed or replaced as a whole. Do that to a table of your own: "
                "table = ds.headers.copy(); table.sort(KEYWORD). Columns and cells may be set, "
                "as in ds.headers[KEYWORD][n] = value, and slicing the dataset selects frames "
                "with their headers"
            )

    # add_row, remove_row, `del table[...]` and `table.loc[...] = ` go through these too.
    sort, reverse = _checked(Table.sort), _checked(Table.reverse)
    insert_row, remove_rows = _checked(Table.insert_row), _checked(Table.remove_rows)

    def __setitem__(self, item: object, value: object) -> None:
        if not isinstance(item, str):
            self._check_rows_may_move()
        super().__setitem__(item, value)

    # All of astropy's methods go through this attribute.
    @property
    def columns(self) -> TableColumns:
        """All columns; those not read yet are read now."""
        source = self._source
        if source is not None:
            missing = [name for name in source.names if name not in self._read]
            # A column that was returned before keeps its memory: it may have been changed.
            read = {**dict(zip(missing, source.read(missing), strict=True)), **self._read}
            self._source, self._page, self._read = None, None, {}
            super().__init__([read[name] for name in source.names], meta=self.meta, copy=False)
        return self._columns

    @columns.setter
    def columns(self, columns: TableColumns) -> None:
        self._columns = columns

    @property
    def colnames(self) -> list[str]:
        """The keywords."""
        return list(self._columns if self._source is None else self._source.names)

    def keys(self) -> list[str]:
        """The keywords."""
        return self.colnames

    def __len__(self) -> int:
        return super().__len__() if self._source is None else len(self._source)

    def __getitem__(self, item: Any) -> Any:
        rows = item
        if self.rows_are_frames and isinstance(item, slice):
            # A copy, as for a mask: sorting a view would move the cells of the whole table.
            rows = np.arange(*item.indices(len(self)))
        if self._source is None:
            return super().__getitem__(rows)
        if isinstance(item, str):
            return self._column(item)
        if isinstance(item, (int, np.integer)) and len(self) > PAGE:
            return self._row(int(item))
        if isinstance(item, slice) or (isinstance(item, np.ndarray) and item.ndim == 1):
            part = type(self).of(self._source.select(item))
            part._read = {name: column[rows] for name, column in self._read.items()}
            part.meta.update(self.meta)
            return part
        return super().__getitem__(item)

    def _column(self, name: str) -> Column:
        assert self._source is not None
        if name not in self._read:
            if name not in self._source.names:
                raise KeyError(name)
            (self._read[name],) = self._source.read([name])
            self._read[name].parent_table = self  # as that of astropy's columns
        return self._read[name]

    def _row(self, index: int) -> HeaderRow:
        """Read a row of a long table, with its neighbours."""
        if not -len(self) <= index < len(self):
            raise IndexError(f"index {index} out of range for table with length {len(self)}")
        page, at = divmod(index % len(self), PAGE)
        if self._page is None or self._page[0] != page or self._read:
            part = self[page * PAGE : (page + 1) * PAGE]
            part.columns  # noqa: B018  # reads them
            part._page_of = self, page * PAGE
            self._page = page, part
        row: HeaderRow = self._page[1][at]
        return row

    # Of a long table only the ends are printed: reading all of it takes minutes and gigabytes.
    def _ends(self, *, fit: bool) -> HeaderTable:
        """Read the first and last rows; with `fit` only the first and last columns of them."""
        n = len(self)
        part: HeaderTable = self[np.r_[:SHOWN, n - SHOWN : n]]
        if fit and len(part.colnames) > 2 * SHOWN:
            part = part[[*part.colnames[:SHOWN], *part.colnames[-SHOWN:]]]
        part.columns  # noqa: B018  # reads them
        return part

    def _is_long(self) -> bool:
        return self._source is not None and len(self) > 2 * SHOWN

    def __str__(self) -> str:
        if not self._is_long():
            return str(super().__str__())
        part = self._ends(fit=True)
        return str(part).replace(f"Length = {len(part)} rows", f"Length = {len(self)} rows")

    # `repr` and notebooks print by this private method alone.
    def _base_repr_(
        self,
        html: bool = False,
        descr_vals: list[str] | None = None,
        max_width: int | None = None,
        **how: object,
    ) -> str:
        if not self._is_long():
            return str(super()._base_repr_(html, descr_vals, max_width, **how))
        part = self._ends(fit=max_width != -1)
        words = [type(self).__name__, *["masked=True"] * part.masked, f"length={len(self)}"]
        text = str(part._base_repr_(html, words, max_width, **how))
        return text.replace(f"Length = {len(part)} rows", f"Length = {len(self)} rows")

    def copy(self, copy_data: bool = True) -> HeaderTable:
        """Copy as astropy does; cells too where `rows_are_frames`. Reads nothing."""
        if self._source is not None and not self._read:
            return type(self).of(self._source)
        copied: HeaderTable = super().copy(copy_data or self.rows_are_frames)
        return copied

    def __deepcopy__(self, memo: dict[int, object] | None = None) -> HeaderTable:
        if self._source is not None and not self._read:
            return self.copy()
        copied: HeaderTable = super().__deepcopy__(memo)
        return copied


def rows_of(table: Table, rows: NDArray[np.int64]) -> Table:
    """Give some rows of a header table: of one array of an inversion with its own cards alone."""
    source = table.source if isinstance(table, HeaderTable) else None
    own = source.own(rows) if isinstance(source, StackedColumns) and len(rows) else None
    return table[rows] if own is None else own


class StackedColumns:
    """Stack the columns of several tables: of an inversion, whose arrays have cards of their own.

    Cards that a table does not have are masked in its rows. `own` gives rows of one table as they
    are there.

    Parameters
    ----------
    tables : sequence of Table
    rows : array of int64, optional
        Which rows, counted on from one table to the next; all if not given.
    """

    meta: Final[dict[str, Any]] = {}

    def __init__(self, tables: Sequence[Table], rows: NDArray[np.int64] | None = None) -> None:
        self.tables = tuple(tables)
        self._ends = np.cumsum([len(table) for table in self.tables])
        self._rows = np.arange(int(self._ends[-1])) if rows is None else rows

    @property
    def names(self) -> list[str]:
        """All columns, in the order in which the tables have them."""
        return list(dict.fromkeys(name for table in self.tables for name in table.colnames))

    def __len__(self) -> int:
        return len(self._rows)

    def select(self, rows: Rows) -> StackedColumns:
        """Give the same columns of some rows."""
        return StackedColumns(self.tables, self._rows[rows])

    def own(self, rows: NDArray[np.int64]) -> HeaderTable | None:
        """Give rows of one table, with its columns alone; None where they are of several."""
        which = np.unique(np.searchsorted(self._ends, self._rows[rows], side="right"))
        if len(which) != 1:
            return None
        table = self.tables[which[0]]
        part = table[self._rows[rows] - (int(self._ends[which[0]]) - len(table))]
        return part if isinstance(part, HeaderTable) else HeaderTable(part, copy=False)

    def read(self, names: Sequence[str]) -> list[Column]:
        """Read some columns as a whole; one of several types as text."""
        return [self._read(name) for name in names]

    def _read(self, name: str) -> Column:
        from astropy.table import TableMergeError, vstack

        def parts(convert: Callable[[Any], Any] = lambda column: column) -> list[Table]:
            return [
                Table(
                    {"": np.zeros(len(table), bool)}
                    | {key: convert(table[key]) for key in (name,) if key in table.colnames},
                    copy=False,
                )
                for table in self.tables
            ]

        try:
            whole = vstack(parts(), metadata_conflicts="silent")
        except TableMergeError:
            whole = vstack(parts(lambda column: column.astype(str)), metadata_conflicts="silent")
        return whole[name][self._rows]


def same_cells(one: Any, other: Any) -> bool:
    """Tell whether two columns have the same cells, and the same ones masked; NaN equals NaN."""
    ours, theirs = np.ma.asarray(one), np.ma.asarray(other)
    gone, its_gone = np.ma.getmaskarray(ours), np.ma.getmaskarray(theirs)
    if ours.shape != theirs.shape or (gone != its_gone).any():
        return False
    cells, its = ours.data[~gone], theirs.data[~gone]
    floats = cells.dtype.kind == its.dtype.kind == "f"
    return bool(np.array_equal(cells, its, equal_nan=floats))

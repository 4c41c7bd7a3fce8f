"""Hold the header table as an astropy Table whose columns are read when they are asked for.

A dataset of a million frames has headers of gigabytes, of which a slice needs a few rows and a
question one column. So a table begins as a `ColumnSource` that knows names and length. A column
that is asked for by its name is read alone, a row with its neighbours, a slice of the table is
another such table; anything else reads what is left, and it is the plain Table that it was all
along.
"""

from __future__ import annotations

from collections.abc import ItemsView, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final, Protocol, Self

import numpy as np
from astropy.table import Column, Row, Table
from astropy.table.pprint import TableFormatter

from dkist_virtual.errors import DatasetError
from dkist_virtual.fits.errors import one_line

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["ColumnSource", "HeaderRow", "HeaderTable"]

PAGE: Final = 1_000
"""Rows that are read together when one is asked for, as whoever asks for one asks for the next."""


class ColumnSource(Protocol):
    """Columns that lie in a file."""

    @property
    def names(self) -> Sequence[str]:
        """Of all columns, in order."""
        ...

    @property
    def meta(self) -> dict[str, Any]:
        """The table's."""
        ...

    def __len__(self) -> int:
        """Number of rows."""
        ...

    def read(self, names: Sequence[str]) -> list[Column]:
        """Some columns, whole."""
        ...

    def select(self, rows: slice | NDArray[Any]) -> ColumnSource:
        """The same columns of some rows, by an index as numpy takes it."""
        ...


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

    def __setitem__(self, item: Any, value: Any) -> None:
        super().__setitem__(item, value)
        if self._table._page_of is not None:
            table, first = self._table._page_of
            if isinstance(item, str):  # that column, and no other, is read whole
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


def _is_card(value: Any) -> bool:
    return value is not np.ma.masked and not (
        isinstance(value, (float, np.floating)) and bool(np.isnan(value))
    )


SHOWN: Final = 100
"""Rows, and columns, of either end that are read to print a long table: more than screens have."""


class OneLineFormatter(TableFormatter):  # type: ignore[misc]  # astropy comes without types
    """Print tables of which somebody else wrote the cells: each stays in its row."""

    # astropy has no public method that every cell passes.

    def _pformat_col_iter(self, *args: Any, **kwargs: Any) -> Iterator[str]:
        return map(one_line, super()._pformat_col_iter(*args, **kwargs))


class HeaderTable(Table):  # type: ignore[misc]  # astropy comes without types
    """An `astropy.table.Table` of FITS headers, whose rows are `HeaderRow`.

    `of` makes one whose columns are read when they are asked for. Where `rows_are_frames`, rows
    stay where they are; copies and parts are tables of their own.
    """

    Row = HeaderRow
    TableFormatter = OneLineFormatter

    _source: ColumnSource | None = None
    _read: dict[str, Column]
    _page: tuple[int, HeaderTable] | None
    _page_of: tuple[HeaderTable, int] | None = None
    """The table that this is some neighbouring rows of, and the first of them."""
    rows_are_frames: bool = False
    """Whether each row belongs to a frame of a dataset, so that none changes its place."""

    @classmethod
    def of(cls, source: ColumnSource) -> Self:
        """A table that has read nothing yet."""
        table = cls()
        table.meta.update(source.meta)
        table._source, table._read, table._page = source, {}, None
        return table

    @property
    def source(self) -> ColumnSource | None:
        """Where the columns lie; None once some were read, and may have been changed here."""
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
    def sort(self, *args: Any, **how: Any) -> None:
        """Sort the rows: see `astropy.table.Table`."""
        self._check_rows_may_move()
        super().sort(*args, **how)

    def reverse(self) -> None:
        """Reverse the order of the rows."""
        self._check_rows_may_move()
        super().reverse()

    def insert_row(self, *args: Any, **how: Any) -> None:
        """Insert a row: see `astropy.table.Table`."""
        self._check_rows_may_move()
        super().insert_row(*args, **how)

    def remove_rows(self, row_specifier: Any) -> None:
        """Remove rows: see `astropy.table.Table`."""
        self._check_rows_may_move()
        super().remove_rows(row_specifier)

    def __setitem__(self, item: Any, value: Any) -> None:
        if not isinstance(item, str):
            self._check_rows_may_move()
        super().__setitem__(item, value)

    # All of astropy's methods go through this attribute.
    @property
    def columns(self) -> Any:
        """All columns, read by now."""
        source = self._source
        if source is not None:
            missing = [name for name in source.names if name not in self._read]
            # What was handed out keeps its memory: it may have been written to.
            read = {**dict(zip(missing, source.read(missing), strict=True)), **self._read}
            self._source, self._page, self._read = None, None, {}
            super().__init__([read[name] for name in source.names], meta=self.meta, copy=False)
        return self._columns

    @columns.setter
    def columns(self, columns: Any) -> None:
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
            # Copies, as of a mask: a view that is sorted moves the cells of the whole.
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
        return self._read[name]

    def _row(self, index: int) -> HeaderRow:
        """A row of a long table, with its neighbours."""
        if not -len(self) <= index < len(self):
            raise IndexError(f"index {index} out of range for table with length {len(self)}")
        page, at = divmod(index % len(self), PAGE)
        if self._page is None or self._page[0] != page or self._read:
            part = self[page * PAGE : (page + 1) * PAGE]
            part.columns  # noqa: B018  # reads them
            part._page_of = self, page * PAGE
            self._page = page, part
        return self._page[1][at]  # type: ignore[no-any-return]

    # A long table is printed by its ends: reading all of it would take minutes and gigabytes.
    def _ends(self, *, fit: bool) -> HeaderTable:
        """The first and last rows, and where they have to fit the first and last columns too."""
        n = len(self)
        part = self[np.r_[:SHOWN, n - SHOWN : n]]
        if fit and len(part.colnames) > 2 * SHOWN:
            part = part[[*part.colnames[:SHOWN], *part.colnames[-SHOWN:]]]
        part.columns  # noqa: B018  # reads them
        return part  # type: ignore[no-any-return]

    def _is_long(self) -> bool:
        return self._source is not None and len(self) > 2 * SHOWN

    def __str__(self) -> str:
        if not self._is_long():
            return str(super().__str__())
        part = self._ends(fit=True)
        return str(part).replace(f"Length = {len(part)} rows", f"Length = {len(self)} rows")

    # `repr` and notebooks print by this private method alone.
    def _base_repr_(
        self, html: bool = False, descr_vals: Any = None, max_width: Any = None, **how: Any
    ) -> str:
        if not self._is_long():
            return str(super()._base_repr_(html, descr_vals, max_width, **how))
        part = self._ends(fit=max_width != -1)
        words = [type(self).__name__, *["masked=True"] * part.masked, f"length={len(self)}"]
        text = str(part._base_repr_(html, words, max_width, **how))
        return text.replace(f"Length = {len(part)} rows", f"Length = {len(self)} rows")

    def copy(self, copy_data: bool = True) -> Any:
        """As astropy's, with its own cells where `rows_are_frames`; what is not read stays so."""
        if self._source is None or self._read:
            return super().copy(copy_data or self.rows_are_frames)
        return type(self).of(self._source)

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> Any:
        if self._source is None or self._read:
            return super().__deepcopy__(memo)
        return self.copy()

"""The header table of a mosaic: the rows of its tiles, whose own tables are the truth.

It is put together when it is asked for. A whole column that is set in it is set in the tables of
the tiles; what cannot be handed on to them is refused.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final, Self

import numpy as np
from astropy.table import Column, MaskedColumn, Table, vstack

from dkist_virtual.errors import DatasetError
from dkist_virtual.store.format.header_table import HeaderTable

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["CombinedHeaders"]

_CELLS: Final = (
    "combined_headers is put together from the headers of the tiles, and single cells are set "
    "there: mosaic[i, j].headers[KEYWORD][row] = value. A whole column may be set here, as in "
    "mosaic.combined_headers[KEYWORD] = values, and mosaic.combined_headers.copy() is a table of "
    "your own"
)
_ROWS: Final = (
    "combined_headers has one row for each frame, in the order of mosaic.files: "
    "mosaic.combined_headers.copy() is a table of your own, with rows in any number and order"
)


class _ShownColumn(Column):  # type: ignore[misc]  # astropy comes without types
    """A column whose cells are those of the tiles' tables."""

    def __setitem__(self, index: Any, value: Any) -> None:
        if not self.flags.writeable:
            raise DatasetError(_CELLS)
        super().__setitem__(index, value)


class _ShownMaskedColumn(MaskedColumn):  # type: ignore[misc]
    """The same of a column with masked cells."""

    def __setitem__(self, index: Any, value: Any) -> None:
        if not self.flags.writeable:
            raise DatasetError(_CELLS)
        super().__setitem__(index, value)


def _shown(column: Any) -> Any:
    """A copy of a column that is not written to."""
    masked = isinstance(column, MaskedColumn)
    copy = (_ShownMaskedColumn if masked else _ShownColumn)(column, copy=True)
    if masked and copy.mask is not np.ma.nomask:
        copy.mask.flags.writeable = False
    copy.flags.writeable = False
    return copy


def _own(column: Any) -> Any:
    """A copy of a column that may be written to."""
    return (MaskedColumn if isinstance(column, MaskedColumn) else Column)(column, copy=True)


class _TileColumns:
    """The columns of the tiles' tables, one below the other: a `ColumnSource`."""

    meta: Final[dict[str, Any]] = {}

    def __init__(self, tables: Sequence[Table], rows: Any = slice(None)) -> None:
        self._tables = tables
        self._rows = np.arange(sum(map(len, tables)))[rows]

    @property
    def names(self) -> list[str]:
        return list(dict.fromkeys(name for table in self._tables for name in table.colnames))

    def __len__(self) -> int:
        return len(self._rows)

    def read(self, names: Sequence[str]) -> list[Column]:
        parts = [
            Table({"": np.zeros(len(table), bool)}
                  | {name: table[name] for name in names if name in table.colnames}, copy=False)
            for table in self._tables
        ]  # fmt: skip
        whole = parts[0] if len(parts) == 1 else vstack(parts, metadata_conflicts="silent")
        return [_shown(whole[name][self._rows]) for name in names]

    def select(self, rows: slice | NDArray[Any]) -> _TileColumns:
        return _TileColumns(self._tables, self._rows[rows])


class CombinedHeaders(HeaderTable):
    """The header table of a mosaic, row-major. A column that is set is set in the tiles' tables."""

    Column, MaskedColumn = _ShownColumn, _ShownMaskedColumn

    _tables: Sequence[HeaderTable] = ()

    @classmethod
    def of_tiles(cls, tables: Sequence[HeaderTable]) -> Self:
        """The table of some tiles, of which nothing was read yet."""
        combined = cls.of(_TileColumns(tables))
        combined._tables = tables
        return combined

    def _parts(self) -> Iterator[tuple[HeaderTable, slice]]:
        first = 0
        for table in self._tables:
            n = len(table) if table.colnames else 0
            yield table, slice(first, first + n)
            first += n

    def _hand_on(self, name: str) -> None:
        """Set a column of this table in those of the tiles."""
        column = self.columns[name]
        for table, rows in self._parts():
            table[name] = _own(column[rows])
        if self._tables:
            self.columns[name].flags.writeable = False

    def __setitem__(self, item: Any, value: Any) -> None:
        if isinstance(item, str) and item in self.colnames and not np.ndim(value):
            column = _own(self.columns[item])  # of the same type, as astropy sets one value
            column[:] = value
            self.replace_column(item, column)
        else:
            super().__setitem__(item, value)

    def add_column(self, col: Any, index: Any = None, name: Any = None, **how: Any) -> None:
        """Add a column, here and to the headers of the tiles: see `astropy.table.Table`."""
        before = set(self.colnames)
        super().add_column(col, index, name, **how)
        for new in set(self.colnames) - before:
            self._hand_on(new)

    def replace_column(self, name: str, col: Any, copy: bool = True) -> None:
        """Replace a column, here and in the headers of the tiles."""
        super().replace_column(name, col, copy=copy)
        self._hand_on(name)

    def remove_columns(self, names: Any) -> None:
        """Remove columns, here and from the headers of the tiles."""
        before = self.colnames
        super().remove_columns(names)
        for table in self._tables:
            gone = set(before) - set(self.colnames)
            table.remove_columns([name for name in table.colnames if name in gone])

    def keep_columns(self, names: Any) -> None:
        """Remove all other columns, here and from the headers of the tiles."""
        kept = {names} if isinstance(names, str) else set(names)
        self.remove_columns([name for name in self.colnames if name not in kept])

    def rename_column(self, name: str, new_name: str) -> None:
        """Rename a column, here and in the headers of the tiles."""
        super().rename_column(name, new_name)
        for table in self._tables:
            if name in table.colnames:
                table.rename_column(name, new_name)

    def _check_rows_may_move(self) -> None:
        if self._tables:  # those of a part may
            raise DatasetError(_ROWS)

    def copy(self, copy_data: bool = True) -> Any:  # noqa: ARG002  # what is shown is not written to
        """A table of one's own, of which nothing is handed on to the tiles."""
        own = {name: _own(column) for name, column in self.columns.items()}
        return HeaderTable(own, meta=dict(self.meta))

    def __copy__(self) -> Any:
        return self.copy()

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> Any:
        return self.copy()

    def __reduce__(self) -> Any:
        return HeaderTable, (dict(self.copy().columns),)

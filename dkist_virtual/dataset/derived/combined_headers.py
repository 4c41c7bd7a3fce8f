"""Combine the header tables of a mosaic's tiles.

The combined table is made when it is needed. A whole column that is set in it is set in the tables
of the tiles; other changes are refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final, Self

import numpy as np
from astropy.table import Column, MaskedColumn, Table, vstack

from dkist_virtual.errors import DatasetError
from dkist_virtual.store.format.header_table import HeaderTable

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["CombinedHeaders"]

_CELLS: Final = (
    "combined_headers is made of the headers of the tiles, and single cells are set "
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

    def __setitem__(self, index: object, value: object) -> None:
        if not self.flags.writeable:
            raise DatasetError(_CELLS)
        super().__setitem__(index, value)


class _ShownMaskedColumn(MaskedColumn):  # type: ignore[misc]
    """A masked one."""

    def __setitem__(self, index: object, value: object) -> None:
        if not self.flags.writeable:
            raise DatasetError(_CELLS)
        super().__setitem__(index, value)


def _show(column: Column) -> Column:
    """Copy a column, read-only."""
    masked = isinstance(column, MaskedColumn)
    copy = (_ShownMaskedColumn if masked else _ShownColumn)(column, copy=True)
    if masked and copy.mask is not np.ma.nomask:
        copy.mask.flags.writeable = False
    copy.flags.writeable = False
    return copy


def _own(column: Column) -> Column:
    """Copy a column, so that it may be written to."""
    return (MaskedColumn if isinstance(column, MaskedColumn) else Column)(column, copy=True)


class _TileColumns:
    """Stack the columns of the tiles' tables: a `ColumnSource`."""

    meta: Final[dict[str, Any]] = {}

    def __init__(
        self, tables: Sequence[Table], rows: slice | NDArray[np.int64] = slice(None)
    ) -> None:
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
        return [_show(whole[name][self._rows]) for name in names]

    def select(self, rows: slice | NDArray[Any]) -> _TileColumns:
        return _TileColumns(self._tables, self._rows[rows])


class CombinedHeaders(HeaderTable):
    """The header table of a mosaic, row-major. A column that is set is set in the tiles' tables."""

    Column, MaskedColumn = _ShownColumn, _ShownMaskedColumn

    _tables: Sequence[HeaderTable] = ()

    @classmethod
    def of_tiles(cls, tables: Sequence[HeaderTable]) -> Self:
        """Combine the tables of some tiles, without reading them."""
        combined = cls.of(_TileColumns(tables))
        combined._tables = tables
        return combined

    def _set_in_tiles(self, name: str) -> None:
        """Set a column of this table in those of the tiles."""
        first = 0
        for table in self._tables:
            n = len(table) if table.colnames else 0
            table[name] = _own(self.columns[name][first : first + n])
            first += n
        if self._tables:
            self.columns[name].flags.writeable = False

    def __setitem__(self, item: Any, value: Any) -> None:
        if isinstance(item, str) and item in self.colnames and not np.ndim(value):
            column = _own(self.columns[item])  # of the same type, as astropy sets one value
            column[:] = value
            self.replace_column(item, column)
        else:
            super().__setitem__(item, value)

    def add_column(
        self, col: Any, index: int | None = None, name: str | None = None, **how: Any
    ) -> None:
        """Add a column, here and to the headers of the tiles: see `astropy.table.Table`."""
        before = set(self.colnames)
        super().add_column(col, index, name, **how)
        for new in set(self.colnames) - before:
            self._set_in_tiles(new)

    def replace_column(self, name: str, col: Any, copy: bool = True) -> None:
        """Replace a column, here and in the headers of the tiles."""
        super().replace_column(name, col, copy=copy)
        self._set_in_tiles(name)

    def remove_columns(self, names: str | Sequence[str]) -> None:
        """Remove columns, here and from the headers of the tiles."""
        before = self.colnames
        super().remove_columns(names)
        for table in self._tables:
            gone = set(before) - set(self.colnames)
            table.remove_columns([name for name in table.colnames if name in gone])

    def keep_columns(self, names: str | Sequence[str]) -> None:
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

    def copy(self, copy_data: bool = True) -> HeaderTable:  # noqa: ARG002  # it is read-only
        """Copy the table: changes of the copy are not made in the tiles."""
        own = {name: _own(column) for name, column in self.columns.items()}
        return HeaderTable(own, meta=dict(self.meta))

    def __copy__(self) -> HeaderTable:
        return self.copy()

    def __deepcopy__(self, memo: dict[int, object] | None = None) -> HeaderTable:
        return self.copy()

    def __reduce__(self) -> tuple[type[HeaderTable], tuple[dict[str, Any]]]:
        return HeaderTable, (dict(self.copy().columns),)

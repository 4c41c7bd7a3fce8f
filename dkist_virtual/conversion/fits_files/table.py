"""Make a table of the headers of files: one row a file, one column a keyword."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final, cast

import numpy as np

from dkist_virtual.errors import DatasetError
from dkist_virtual.fits.references.cards import TEXT_KEYWORDS

if TYPE_CHECKING:
    from astropy.table import Column

    from dkist_virtual.fits.references.cards import Cards, Value
    from dkist_virtual.store.format.header_table import HeaderTable

__all__ = ["HeaderRows"]

MOST_CELLS: Final = 2**29
"""Keywords times files: a table of more is refused, since it would take too much memory."""

MOST_TEXT: Final = 2**28
"""Characters of one keyword for all files, each as long as the longest: beyond, it is left out."""


class HeaderRows:
    """Collect the headers of files, and make a table of them.

    Parameters
    ----------
    n : int
        How many files there may be.

    Attributes
    ----------
    repeated : set of str
        Keywords that occur several times in a header, with different values.
    made_text : list of str
        Keywords whose values became text, since they are of several types.
    left_out : list of str
        Keywords that are not in the table, since their text would take too much memory.
    """

    def __init__(self, n: int) -> None:
        self._n = n
        self._columns: dict[str, list[Value]] = {}
        self._comments: dict[str, str] = {}
        self._texts: dict[str, str] = {}
        self.repeated: set[str] = set()
        self.made_text: list[str] = []
        self.left_out: list[str] = []

    def put(self, i: int, cards: Cards) -> None:
        """Enter the header of a file."""
        for keyword, value in cards.values.items():
            column = self._columns.get(keyword)
            if column is None:
                if (len(self._columns) + 1) * self._n > MOST_CELLS:
                    raise DatasetError(
                        f"headers: more than {len(self._columns)} keywords in {self._n} files make "
                        "too large a table: expected fewer files at once"
                    )
                column = self._columns[keyword] = [None] * self._n
            # Most are the same in many files.
            column[i] = self._texts.setdefault(value, value) if isinstance(value, str) else value
        for keyword, comment in cards.comments.items():
            self._comments.setdefault(keyword, comment)
        self.repeated.update(cards.repeated)

    @property
    def keywords(self) -> list[str]:
        """The keywords of all headers, in the order in which they come first."""
        return list(self._columns)

    def table(
        self, rows: Sequence[int | None], on_column: Callable[[], object] = lambda: None
    ) -> HeaderTable:
        """Make a table.

        Parameters
        ----------
        rows : sequence of int or None
            The file of each row; None for a row without one.
        on_column : callable
            Called once for each keyword.
        """
        from dkist_virtual.store.format.header_table import HeaderTable

        self.made_text, self.left_out = [], []
        table = HeaderTable()
        in_order = list(rows) == list(range(self._n))
        for keyword, values in self._columns.items():
            chosen = values if in_order else [None if i is None else values[i] for i in rows]
            column = self._column(keyword, chosen)
            if column is not None:
                table.add_column(column, copy=False)
            on_column()
        return table

    def _column(self, keyword: str, values: list[Value]) -> Column | None:
        from astropy.table import Column, MaskedColumn

        kinds: set[type] = set(map(type, values))
        mask = [value is None for value in values] if type(None) in kinds else None
        kinds -= {type(None)}
        dtype, empty = self._type_of(kinds, values)
        if dtype == "U" and not kinds <= {str}:
            self.made_text.append(keyword)
            values = [None if value is None else str(value) for value in values]
        if mask is not None:
            values = [empty if value is None else value for value in values]
        if dtype == "U" and max(map(len, cast("list[str]", values))) * len(values) > MOST_TEXT:
            self.left_out.append(keyword)
            return None
        data = np.array(values, dtype)
        description = None if keyword in TEXT_KEYWORDS else self._comments.get(keyword)
        if mask is not None:
            return MaskedColumn(data, mask=mask, name=keyword, description=description)
        return Column(data, name=keyword, description=description)

    @staticmethod
    def _type_of(kinds: set[type], values: list[Value]) -> tuple[str, Value]:
        """Choose a numpy type for values of some types, and what is below a mask."""
        if kinds == {bool}:
            return "?", False
        if kinds == {float}:
            return "f8", 0.0
        if kinds and kinds <= {int, float}:
            whole = [value for value in values if isinstance(value, int)]
            low, high = min(whole), max(whole)
            if kinds == {int} and low >= -(2**63) and high < 2**63:
                return "i8", 0
            if low >= -(2**53) and high <= 2**53:  # the same as floats of 64 bits
                return "f8", 0.0
        return "U", ""

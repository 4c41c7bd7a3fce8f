"""Make a table of the headers of files: one row a file, one column a keyword."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

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

    def value(self, i: int, keyword: str) -> Value:
        """Get a value of a file's header; None where it has none."""
        column = self._columns.get(keyword)
        return None if column is None else column[i]

    def column(self, keyword: str) -> list[Value]:
        """Get the values of a keyword, None where a file has none."""
        return self._columns.get(keyword, [None] * self._n)

    def table(self, rows: Sequence[int | None]) -> HeaderTable:
        """Make a table.

        Parameters
        ----------
        rows : sequence of int or None
            The file of each row; None for a row without one.
        """
        from dkist_virtual.store.format.header_table import HeaderTable

        self.made_text, self.left_out = [], []
        table = HeaderTable()
        for keyword, values in self._columns.items():
            column = self._column(keyword, [None if i is None else values[i] for i in rows])
            if column is not None:
                table.add_column(column, copy=False)
        return table

    def _column(self, keyword: str, values: list[Value]) -> Column | None:
        from astropy.table import Column, MaskedColumn

        kinds = {type(value) for value in values if value is not None}
        there = [value for value in values if value is not None]
        dtype, empty = "U", ""
        if kinds == {bool}:
            dtype, empty = "?", False  # type: ignore[assignment]
        elif kinds == {int} and all(-(2**63) <= value < 2**63 for value in there):  # type: ignore[operator]
            dtype, empty = "i8", 0  # type: ignore[assignment]
        elif kinds <= {int, float} and kinds and all(map(_is_exact, there)):
            dtype, empty = "f8", 0.0  # type: ignore[assignment]
        elif not kinds <= {str}:
            self.made_text.append(keyword)
            values = [None if value is None else str(value) for value in values]
        if dtype == "U":
            width = max((len(str(value)) for value in values if value is not None), default=1)
            if width * len(values) > MOST_TEXT:
                self.left_out.append(keyword)
                return None
        data = np.array([empty if value is None else value for value in values], dtype)
        mask = [value is None for value in values]
        description = self._comments.get(keyword)
        if keyword in TEXT_KEYWORDS:
            description = None
        if any(mask):
            return MaskedColumn(data, mask=mask, name=keyword, description=description)
        return Column(data, name=keyword, description=description)


def _is_exact(value: Value) -> bool:
    """Check whether a number is the same as a float of 64 bits."""
    return isinstance(value, float) or (isinstance(value, int) and abs(value) <= 2**53)

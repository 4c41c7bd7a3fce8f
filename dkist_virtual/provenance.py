"""Where a dataset's pixels and headers come from, and the headers, read when they are asked for."""

from __future__ import annotations

import copy
from collections import UserDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from dkist_virtual.arrays import VirtualArray
    from dkist_virtual.description import Description
    from dkist_virtual.handle import StoreHandle
    from dkist_virtual.header_table import HeaderTable
    from dkist_virtual.selection import Selection

__all__ = ["HeaderSource", "Meta", "Provenance", "StoredHeaders", "TableHeaders"]


class HeaderSource(Protocol):
    """Header rows and file sizes by a frame's place in chunk order, all arrays counted on."""

    def headers(self, rows: NDArray[np.int64]) -> HeaderTable:
        """The header table of some frames; without rows where there are no headers."""
        ...

    def about(self, rows: NDArray[np.int64], column: str) -> NDArray[np.int64]:
        """What a scan found of their files, a column of integers of our own; -1 where unknown."""
        ...


@dataclass(frozen=True, eq=False)
class StoredHeaders:
    """The ``headers.parquet`` of a store, read when it is asked for."""

    handle: StoreHandle

    def headers(self, rows: NDArray[np.int64]) -> HeaderTable:
        """The header table of some frames."""
        return self.handle.header_file.headers(rows)

    def about(self, rows: NDArray[np.int64], column: str) -> NDArray[np.int64]:
        """What a scan found of their files."""
        return self.handle.header_file.integers(column, rows)


@dataclass(frozen=True, eq=False)
class TableHeaders:
    """The header table of an ASDF, in memory."""

    table: HeaderTable

    def headers(self, rows: NDArray[np.int64]) -> HeaderTable:
        """The header table of some frames."""
        return self.table[rows] if len(self.table) else self.table

    def about(self, rows: NDArray[np.int64], column: str) -> NDArray[np.int64]:  # noqa: ARG002
        """Nobody has looked at the files: all -1."""
        return np.full(len(rows), -1, np.int64)


class Meta(UserDict[str, Any]):
    """A dataset's meta, whose ``headers`` are read when they are asked for.

    Parameters
    ----------
    plain : dict
    load : callable
        Gives the header table.
    """

    def __init__(self, plain: dict[str, Any], load: Callable[[], HeaderTable]) -> None:
        super().__init__(plain)
        self.data["headers"] = None
        self._load = load

    def __getitem__(self, key: str) -> Any:
        if key == "headers" and self.data.get(key, "") is None:
            self.data[key] = self._load()
        return super().__getitem__(key)

    def __deepcopy__(self, memo: dict[int, Any]) -> Meta:
        # ndcube copies the meta to bin; whoever loads the headers holds the references of all
        # frames.
        twin = Meta({}, self._load)
        twin.data = copy.deepcopy(self.data, memo)
        return twin

    def without_headers(self) -> dict[str, Any]:
        """All the rest."""
        return {key: value for key, value in self.data.items() if key != "headers"}


@dataclass(frozen=True, eq=False)
class Provenance:
    """Where a dataset's pixels and headers come from.

    Parameters
    ----------
    array : VirtualArray
    source : HeaderSource
    first_row : int
        The header row of the array's first frame: not 0 for the later tiles of a mosaic.
    description : Description
    wcs : WCS
        That of the dataset as it was opened.
    cut : Selection
        What is left of that dataset. A WCS is made from the two and never from a sliced one:
        wrappers around wrappers cost time, and ndcube's get stepped slices of stepped slices
        wrong.
    """

    array: VirtualArray
    source: HeaderSource
    first_row: int
    description: Description
    wcs: Any
    cut: Selection

    def rows(self) -> NDArray[np.int64]:
        """The header rows of the selected frames."""
        return self.array.positions() + self.first_row

    def headers(self) -> HeaderTable:
        """The header table of the selected frames."""
        return self.source.headers(self.rows())

    def about(self, _: int, positions: NDArray[np.int64], column: str) -> NDArray[np.int64]:
        """What a scan found of some frames' files, for `Files`."""
        return self.source.about(positions + self.first_row, column)

"""Record where a dataset's pixels and headers come from; read headers when they are asked for."""

from __future__ import annotations

import copy
import math
from collections import UserDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from astropy.table import Table

from dkist_virtual.errors import DatasetError
from dkist_virtual.store.format.header_table import HeaderTable

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dkist_virtual.cube.selection import Selection
    from dkist_virtual.cube.virtual_array import VirtualArray
    from dkist_virtual.store.format.dataset_asdf import Description
    from dkist_virtual.store.handle import StoreHandle

__all__ = [
    "FrameHeaders",
    "HeaderSource",
    "Headers",
    "Meta",
    "Provenance",
    "StoredHeaders",
    "TableHeaders",
]


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
        table: HeaderTable = self.table[rows] if len(self.table) else self.table.copy()
        return table

    def about(self, rows: NDArray[np.int64], column: str) -> NDArray[np.int64]:  # noqa: ARG002
        """Nobody has looked at the files: all -1."""
        return np.full(len(rows), -1, np.int64)


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

    @property
    def n_frames(self) -> int:
        """Number of frames selected."""
        return math.prod(self.array.frame_shape)

    @property
    def opened_with(self) -> frozenset[str]:
        """The keys of the meta that the dataset had when it was opened."""
        own = (key for tile in self.description.tiles for key in tile.meta)
        return frozenset((*self.description.meta, *own, "inventory", "history", "headers"))

    def rows(self) -> NDArray[np.int64]:
        """The header rows of the selected frames."""
        return self.array.positions() + self.first_row

    def headers(self) -> HeaderTable:
        """The header table of the selected frames."""
        return self.source.headers(self.rows())

    def about(self, _: int, positions: NDArray[np.int64], column: str) -> NDArray[np.int64]:
        """What a scan found of some frames' files, for `Files`."""
        return self.source.about(positions + self.first_row, column)


class FrameHeaders:
    """The header table of a selection of frames: read when it is asked for, and then kept.

    A kept table may have been changed by its user: derived datasets take its rows along.

    Parameters
    ----------
    provenance : Provenance
    """

    def __init__(self, provenance: Provenance) -> None:
        self.provenance = provenance
        self._table: HeaderTable | None = None

    @property
    def is_read(self) -> bool:
        """Whether the table was read, and may have been changed."""
        return self._table is not None

    def table(self) -> HeaderTable:
        """The header table, one row per frame; without columns where there are no headers."""
        if self._table is None:
            self._table = self.provenance.headers()
        self._table.rows_are_frames = True
        return self._table

    def checked(self) -> HeaderTable:
        """The header table, whose rows are those of the frames.

        Raises
        ------
        DatasetError
            Rows were added or removed.
        """
        table = self.table()
        self._check(table)
        return table

    def added(self) -> list[str]:
        """Keywords that the table has and the dataset, as it was opened, had not."""
        if self._table is None:
            return []
        known = set(self.provenance.headers().colnames)
        return [name for name in self._table.colnames if name not in known]

    def replace(self, table: Any) -> None:
        """Put a copy of another table in place of this one: what is sorted later is not ours.

        Raises
        ------
        DatasetError
            Something else than a table with a row for each frame.
        """
        if not isinstance(table, Table):
            raise DatasetError(
                f"headers: expected an astropy Table with one row for each of the "
                f"{self.provenance.n_frames} frames, found {type(table).__name__}"
            )
        self._check(table)
        if table is not self._table:
            is_ours = isinstance(table, HeaderTable)
            self._table = table.copy() if is_ours else HeaderTable(table)

    def take_from(self, other: FrameHeaders) -> None:
        """Take the rows of these frames from the table of a selection that has them all.

        Rows that nobody has read yet stay where they are.
        """
        if other._table is None:
            return
        table = other.checked()
        if not table.colnames:
            self._table = table.copy()
            return
        # Positions ascend, as a selection's steps are positive.
        theirs, ours = other.provenance.array.positions(), self.provenance.array.positions()
        self._table = table[np.searchsorted(theirs, ours)]

    def _check(self, table: Table) -> None:
        if table.colnames and len(table) != self.provenance.n_frames:
            raise DatasetError(
                f"headers: expected one row for each of the {self.provenance.n_frames} frames, "
                f"found {len(table)} rows. Rows were added or removed: select frames by slicing "
                "the dataset, and change a ds.headers.copy() of your own"
            )

    def __deepcopy__(self, memo: dict[int, Any]) -> FrameHeaders:
        # ndcube copies the meta to bin; the provenance holds the references of all frames.
        twin = FrameHeaders(self.provenance)
        twin._table = copy.deepcopy(self._table, memo)
        return twin


class Headers(Protocol):
    """What holds the header table of a dataset, or of a mosaic."""

    def table(self) -> HeaderTable | None:
        """The header table."""
        ...

    def replace(self, table: Any) -> None:
        """Put another table in place of this one."""
        ...


class Meta(UserDict[str, Any]):
    """A dataset's meta, whose ``headers`` are read when they are asked for.

    Parameters
    ----------
    plain : mapping
        A table under ``headers`` takes the place of the dataset's.
    headers : Headers
    """

    def __init__(self, plain: Mapping[str, Any], headers: Headers) -> None:
        super().__init__()
        self._headers = headers
        self.data["headers"] = None
        given = plain.without_headers() if isinstance(plain, Meta) else plain
        for key, value in given.items():
            if key != "headers" or value is not None:
                self[key] = value

    @property
    def headers(self) -> Headers:
        """What holds the header table."""
        return self._headers

    def __getitem__(self, key: str) -> Any:
        return self._headers.table() if key == "headers" else super().__getitem__(key)

    def __setitem__(self, key: str, item: Any) -> None:
        if key == "headers":
            self._headers.replace(item)
        else:
            super().__setitem__(key, item)

    def __delitem__(self, key: str) -> None:
        if key == "headers":
            raise DatasetError(
                "meta: the headers of a dataset cannot be taken out of it; columns of them can, "
                "as in ds.headers.remove_column(...)"
            )
        super().__delitem__(key)

    def __or__(self, other: Any) -> Any:
        if not isinstance(other, Mapping):
            return NotImplemented
        return type(self)({**self.without_headers(), **other}, self._headers)

    def __deepcopy__(self, memo: dict[int, Any]) -> Meta:
        plain = copy.deepcopy(self.without_headers(), memo)
        return Meta(plain, copy.deepcopy(self._headers, memo))

    def without_headers(self) -> dict[str, Any]:
        """All the rest."""
        return {key: value for key, value in self.data.items() if key != "headers"}

"""Record where a dataset's pixels and headers come from; read headers when needed."""

from __future__ import annotations

import copy
import math
from collections import UserDict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol, Self

import numpy as np

from dkist_virtual.errors import DatasetError
from dkist_virtual.fits.threads import ThreadLock, open_in_forks
from dkist_virtual.io.locations import is_local, local_path
from dkist_virtual.text import counted

if TYPE_CHECKING:
    from astropy.table import Table
    from astropy.units import UnitBase
    from astropy.wcs.wcsapi import BaseHighLevelWCS
    from numpy.typing import NDArray

    from dkist_virtual.cube.pointing import Pointing
    from dkist_virtual.cube.selection import BasicIndex, Selection
    from dkist_virtual.cube.virtual_array import VirtualArray
    from dkist_virtual.cube.wavelengths.scale import WavelengthScale
    from dkist_virtual.store.format.dataset_asdf import Description, StoredDescription, TileMeta
    from dkist_virtual.store.format.header_table import HeaderTable
    from dkist_virtual.store.pointing_json import StoredPointing

__all__ = [
    "READING", "FrameHeaders", "Headers", "LazyMeta", "LazyUnit", "Meta", "Provenance", "Tile",
]  # fmt: skip

READING: Final = ThreadLock()
"""What is read later is read by one thread: the others get the same, with what was set in it."""


@open_in_forks
@dataclass(frozen=True, eq=False)
class Tile:
    """One of the arrays that a store, or an ASDF, describes.

    Parameters
    ----------
    description : Description or StoredDescription
    number : int
        Its place among the arrays.
    shape : tuple of int
        Of the dataset as it is opened.
    corrected : Pointing or (StoredPointing, str), optional
        What its pointing is corrected by; or the file of a store that says so, and the name of the
        array in it.
    added_meta, added_keywords : frozenset of str
        Keys of the meta, and columns of the header table, that a user had added before it was
        saved.
    applied : tuple of dict
        Corrections of the pointing that the WCS has in it since it was saved, as
        `Pointing.to_document` writes them. They are not applied again.
    calibrated : WavelengthScale or (StoredPointing, str), optional
        Its wavelength scale, in place of the WCS's; or the file of a store that has it, and the
        name of the array in it.
    """

    description: Description | StoredDescription
    number: int
    shape: tuple[int, ...]
    corrected: Pointing | tuple[StoredPointing, str] | None = None
    added_meta: frozenset[str] = frozenset()
    added_keywords: frozenset[str] = frozenset()
    applied: tuple[dict[str, Any], ...] = ()
    calibrated: WavelengthScale | tuple[StoredPointing, str] | None = None

    @property
    def stated(self) -> TileMeta:
        """What the description says of it."""
        return self.description.tiles[self.number]

    @cached_property
    def wcs(self) -> BaseHighLevelWCS:
        """The WCS of the dataset as it is opened, with its pointing and wavelengths corrected."""
        pointing, scale, wcs = self.pointing, self.scale, self.unshifted
        if pointing is None and scale is None:
            return wcs
        from dkist_virtual.cube.sliced_wcs import scaled, shifted

        if scale is not None:
            try:
                wcs = scaled(wcs, scale, self.shape)
            except DatasetError as error:
                if isinstance(self.calibrated, tuple):
                    raise self.calibrated[0].error(error) from error
                raise
        return wcs if pointing is None else shifted(wcs, pointing, self.shape)

    @cached_property
    def unshifted(self) -> BaseHighLevelWCS:
        """The WCS of the dataset as it is opened, as its ASDF has it, with an inverse."""
        from dkist_virtual.cube.inverse.invertible_wcs import invertible
        from dkist_virtual.cube.sliced_wcs import high_level

        return invertible(high_level(self.stated.wcs, self.shape), self.shape)

    @cached_property
    def pointing(self) -> Pointing | None:
        """What its pointing is corrected by, in the axes of the dataset as it is opened."""
        if not isinstance(self.corrected, tuple):
            return self.corrected
        from dkist_virtual.cube.pointing import Pointing

        file, array = self.corrected
        document = file.of(array, self.shape)
        try:
            return None if document is None else Pointing.from_document(document, self.shape)
        except DatasetError as error:
            raise file.error(error) from error

    @cached_property
    def scale(self) -> WavelengthScale | None:
        """Its wavelength scale, in the axes of the dataset as it is opened; None for the WCS's."""
        if not isinstance(self.calibrated, tuple):
            return self.calibrated
        from dkist_virtual.cube.wavelengths.scale import WavelengthScale

        file, array = self.calibrated
        document = file.wavelengths_of(array, self.shape)
        try:
            if document is None:
                return None
            return WavelengthScale.from_document(document, self.shape)
        except DatasetError as error:
            raise file.error(error) from error

    @property
    def opened_with(self) -> frozenset[str]:
        """The keys of the meta that the dataset has when it is opened."""
        own = (key for tile in self.description.tiles for key in tile.meta)
        known = frozenset((*self.description.meta, *own, "inventory", "history", "headers"))
        return known - self.added_meta

    def __getstate__(self) -> dict[str, Any]:
        if "wcs" in vars(self):
            from dkist_virtual.cube.sliced_wcs import forget_dropped

            forget_dropped(self.wcs)
            forget_dropped(self.unshifted)
        return vars(self)


@dataclass(frozen=True, slots=True, eq=False)
class LazyUnit:
    """The unit of the pixels of an array, which is read when it is first used.

    Parameters
    ----------
    tile : Tile
    """

    tile: Tile

    def read(self) -> UnitBase | None:
        """Read it."""
        return self.tile.stated.unit


@dataclass(frozen=True, slots=True, eq=False)
class LazyMeta:
    """The meta of a dataset or mosaic as it is opened, which is read when it is first used.

    Parameters
    ----------
    description : Description or StoredDescription
    number : int, optional
        Of the tile; None for the mosaic.
    """

    description: Description | StoredDescription
    number: int | None = None

    def read(self) -> dict[str, Any]:
        """Read it."""
        about = self.description
        tile = None if self.number is None else about.tiles[self.number]
        if tile is not None and isinstance(tile.index, str):  # whose inversion has a meta too
            return {"inventory": about.inventory, **tile.meta}
        own = {} if tile is None else tile.meta
        return {**about.meta, "inventory": about.inventory, "history": about.history, **own}


@dataclass(frozen=True, eq=False)
class Provenance:
    """The frames that a dataset's pixels and headers come from.

    Parameters
    ----------
    array : VirtualArray
    table : HeaderTable or None
        The headers of all arrays, where an ASDF was opened; a store reads its own when needed.
    first_row : int
        The header row of the array's first frame: not 0 for the later tiles of a mosaic.
    tile : Tile
        The array as it was opened, with its WCS.
    cut : Selection
        What is left of that dataset. A WCS is made from these two and never from a sliced one:
        wrappers around wrappers cost time, and ndcube's get stepped slices of stepped slices
        wrong.
    """

    array: VirtualArray
    table: HeaderTable | None
    first_row: int
    tile: Tile
    cut: Selection

    @property
    def description(self) -> Description | StoredDescription:
        """What the store, or the ASDF, says of the dataset."""
        return self.tile.description

    @property
    def wcs(self) -> BaseHighLevelWCS:
        """The WCS of the dataset as it was opened."""
        return self.tile.wcs

    @property
    def n_frames(self) -> int:
        """Number of frames selected."""
        return math.prod(self.array.frame_shape)

    def select(self, index: BasicIndex) -> Provenance:
        """Select some of the pixels, and with them their frames."""
        cut, array = self.cut[index], self.array
        if array.selection == self.cut:  # most often: select once
            return replace(self, array=array.at(cut), cut=cut)
        return replace(self, array=array.select(index), cut=cut)

    def rows(self) -> NDArray[np.int64]:
        """Return the header rows of the selected frames."""
        return self.array.positions() + self.first_row

    def headers(self, rows: NDArray[np.int64] | None = None) -> HeaderTable:
        """Read the header table of the selected frames, or that of other rows."""
        rows = self.rows() if rows is None else rows
        if self.table is None:
            return self.array.handle.opened.header_file.headers(rows)
        from dkist_virtual.store.format.header_table import rows_of

        table: HeaderTable = rows_of(self.table, rows) if len(self.table) else self.table.copy()
        return table

    def read_scan(self, column: str, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Read what a scan found of some frames' files, such as ``_size``; -1 where unknown."""
        if self.table is None:
            return self.array.handle.opened.header_file.integers(column, rows)
        return np.full(len(rows), -1, np.int64)

    def __str__(self) -> str:
        base = self.array.places.in_order[0]
        there = Path(local_path(base)) if is_local(base) else base
        return f"{counted(self.n_frames, 'frame')} in {there}"


class FrameHeaders:
    """The header table of a selection of frames: read when it is needed, and then cached.

    The user may change the cached table: derived datasets copy its rows.

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
        """Return the header table, one row per frame; without columns if there are no headers."""
        with READING:
            if self._table is None:
                self._table = self.provenance.headers()
            self._table.rows_are_frames, self._table.rows_of = True, self.provenance
            return self._table

    def check(self) -> HeaderTable:
        """Check that no rows were added or removed, and return the header table."""
        table = self.table()
        self._check(table)
        return table

    def select(self, index: BasicIndex) -> FrameHeaders:
        """Select the rows of the frames of some pixels."""
        selected = FrameHeaders(self.provenance.select(index))
        selected.copy_rows(self)
        return selected

    def copy_rows(self, other: FrameHeaders | None) -> None:
        """Copy the rows of these frames from the table of a selection of them all, if it was read.

        Its user may have changed it.
        """
        if other is None or other._table is None:
            return
        table = other.check()
        if not table.colnames:
            self._table = table.copy()
            return
        # Positions ascend, as a selection's steps are positive.
        theirs, ours = other.provenance.array.positions(), self.provenance.array.positions()
        self._table = table[np.searchsorted(theirs, ours)]

    def added_keywords(self) -> list[str]:
        """Return the keywords that were added since the dataset was opened from its ASDF."""
        before = self.provenance.tile.added_keywords
        if self._table is None and not before:
            return []
        known = set(self.provenance.headers().colnames) - before
        return [name for name in self.table().colnames if name not in known]

    def replace(self, table: object) -> None:
        """Replace the table by a copy of another one with a row for each frame."""
        from astropy.table import Table

        from dkist_virtual.store.format.header_table import HeaderTable

        if not isinstance(table, Table):
            raise DatasetError(
                f"headers: expected an astropy Table with one row for each of the "
                f"{self.provenance.n_frames} frames, found {type(table).__name__}"
            )
        self._check(table)
        if table is not self._table:
            is_ours = isinstance(table, HeaderTable)
            self._table = table.copy() if is_ours else HeaderTable(table)

    def _check(self, table: Table) -> None:
        if table.colnames and len(table) != self.provenance.n_frames:
            raise DatasetError(
                f"headers: expected one row for each of the {self.provenance.n_frames} frames, "
                f"found {len(table)} rows. Rows were added or removed: select frames by slicing "
                "the dataset, and change a ds.headers.copy() of your own"
            )

    def __deepcopy__(self, memo: dict[int, object]) -> FrameHeaders:
        # ndcube copies the meta to bin; the provenance, with all references, is shared.
        twin = FrameHeaders(self.provenance)
        twin._table = copy.deepcopy(self._table, memo)
        return twin


class Headers(Protocol):
    """The owner of the header table of a dataset or mosaic."""

    def table(self) -> HeaderTable | None:
        """Return the header table."""

    def replace(self, table: object) -> None:
        """Replace the header table by another one."""


class Meta(UserDict[str, Any]):
    """A dataset's meta, whose ``headers`` are read when they are needed.

    Parameters
    ----------
    plain : mapping or LazyMeta
        A table under ``headers`` replaces the dataset's.
    headers : Headers
    """

    def __init__(self, plain: Mapping[str, Any] | LazyMeta, headers: Headers) -> None:
        super().__init__()
        self._headers = headers
        self._unread: LazyMeta | None = None
        given = plain.shared() if isinstance(plain, Meta) else plain
        if isinstance(given, LazyMeta):
            self._unread = given
        else:
            self._plain = self._of(given)

    def _of(self, given: Mapping[str, Any]) -> dict[str, Any]:
        if given.get("headers") is not None:
            self._headers.replace(given["headers"])
        return {"headers": None, **{key: given[key] for key in given if key != "headers"}}

    @property
    def data(self) -> dict[str, Any]:
        """The meta, without the headers."""
        if self._unread is not None:
            with READING:
                if (unread := self._unread) is not None:
                    self._plain = self._of(unread.read())
                    self._unread = None
        return self._plain

    @data.setter
    def data(self, value: dict[str, Any]) -> None:
        self._plain = value

    def shared(self) -> LazyMeta | dict[str, Any]:
        """Return all but the headers, for a derived dataset: a dict, once it was read."""
        unread = self._unread  # once: another thread may read it now
        return self.without_headers() if unread is None else unread

    @property
    def headers(self) -> Headers:
        """The owner of the header table."""
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

    def __or__(self, other: object) -> Any:
        if not isinstance(other, Mapping):
            return NotImplemented
        return type(self)({**self.without_headers(), **other}, self._headers)

    def __copy__(self) -> Self:
        twin = type(self)({}, self._headers)
        twin.__dict__.update(self.__dict__, _plain=dict(self.data), _unread=None)
        return twin

    def __deepcopy__(self, memo: dict[int, object]) -> Meta:
        plain = copy.deepcopy(self.without_headers(), memo)
        return Meta(plain, copy.deepcopy(self._headers, memo))

    def with_whole_headers(self) -> Meta | dict[str, Any]:
        """Return the same with a copy of the headers, for a dataset that an array was given for."""
        owner = self._headers
        if not isinstance(owner, FrameHeaders):
            table = owner.table()
            own = {} if table is None else {"headers": table.copy()}
            return {**self.without_headers(), **own}
        twin = FrameHeaders(owner.provenance)
        twin.copy_rows(owner)
        return Meta(self.shared(), twin)

    def without_headers(self) -> dict[str, Any]:
        """Return a dict of all but the headers."""
        return {key: value for key, value in self.data.items() if key != "headers"}

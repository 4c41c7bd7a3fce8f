"""Load what datasets are made of from a store or an ASDF."""

from __future__ import annotations

import io
import os
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Self, TypeVar

from dkist_virtual.cube.selection import Selection
from dkist_virtual.cube.virtual_array import VirtualArray, opened_selection
from dkist_virtual.dataset.provenance import LazyMeta, LazyUnit, Provenance, Tile
from dkist_virtual.errors import DatasetError, StoreCorruptError, StoreError
from dkist_virtual.io.locations import Location, is_local, join, local_path, shown
from dkist_virtual.store.format.asdf_arrays import check_mask
from dkist_virtual.store.format.dataset_asdf import (
    METADATA_NAME,
    Description,
    StoredDescription,
    read_description,
)
from dkist_virtual.store.format.names import SURVEY_KEY
from dkist_virtual.store.format.references import replaced_error
from dkist_virtual.store.format.verify_json import VERIFY_NAME, warn_if_wrong
from dkist_virtual.store.handle import StoreHandle
from dkist_virtual.store.pointing_json import StoredPointing
from dkist_virtual.store.read_options import ReadOptions

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    from astropy.table import Table
    from numpy.typing import NDArray

    from dkist_virtual.conversion.asdf.dkist_object import Opened as OpenedObject
    from dkist_virtual.conversion.asdf.source import Source
    from dkist_virtual.dataset.derived.state import FrameCube
    from dkist_virtual.store.format.header_table import HeaderTable
    from dkist_virtual.store.frame_locations import FramePlaces
    from dkist_virtual.store.icechunk.address import RepositoryAddress
    from dkist_virtual.store.read_options import Chunks, Missing, StorageOptions

_Cube = TypeVar("_Cube", bound="FrameCube")

__all__ = ["FromASDF", "Opened", "open_asdf", "open_object", "open_repository", "open_store"]


@dataclass(frozen=True, eq=False)
class Opened:
    """An open store or ASDF, of which datasets are made.

    Parameters
    ----------
    handle : StoreHandle
    table : HeaderTable or None
        The headers of an ASDF.
    description : Description or StoredDescription
    pointing : StoredPointing, optional
        What a store says its pointing is corrected by.
    """

    handle: StoreHandle
    table: HeaderTable | None
    description: Description | StoredDescription
    pointing: StoredPointing | None = None

    def meta(self) -> LazyMeta:
        """Return the meta of the whole dataset or mosaic."""
        return LazyMeta(self.description)

    @property
    def is_inversion(self) -> bool:
        """Whether it has the arrays of an inversion."""
        return isinstance(self.description.indices[0], str)

    @property
    def is_row(self) -> bool:
        """Whether it is a mosaic with one axis: those of stores have two."""
        return False

    def datasets(self, cls: type[_Cube]) -> list[_Cube]:
        """Make a dataset of each array, in the order of the tiles."""
        from dkist_virtual.cube.sliced_wcs import UnslicedWCS

        made = []
        for number, provenance in enumerate(self.provenances()):
            array, tile = provenance.array, provenance.tile
            made.append(
                cls(
                    array,
                    UnslicedWCS(tile),
                    provenance=provenance,
                    mask=self._check_read(tile, array),
                    unit=LazyUnit(tile),
                    meta=LazyMeta(self.description, number),
                )
            )
        return made

    def provenances(self) -> Iterator[Provenance]:
        """Give the frames of each array, in the order of the tiles."""
        first_row = 0
        arrays = self.handle.store.references.arrays
        indices = self.description.indices
        n = len(indices)
        named = any(isinstance(index, str) for index in indices)
        if len(arrays) != n or (named and list(arrays) != list(indices)):
            raise StoreCorruptError(
                f"{self.handle.url}: {len(arrays)} arrays in the references, {n} tiles in "
                f"{METADATA_NAME}{', of other names' * named}. Convert again"
            )
        for number, (name, (metadata, _)) in enumerate(arrays.items()):
            array = VirtualArray(self.handle, name, opened_selection(metadata))
            self._check_chunks(array)
            corrected = None if self.pointing is None else (self.pointing, name)
            tile = Tile(self.description, number, array.shape, corrected, calibrated=corrected)
            if self.pointing is not None and is_local(self.handle.url or ""):
                # Read now: from a server when they are first used.
                tile.pointing, tile.scale  # noqa: B018
            yield Provenance(array, self.table, first_row, tile, Selection.whole(array.shape))
            first_row += metadata.n_frames

    def _check_read(self, tile: Tile, array: VirtualArray) -> NDArray[np.bool_] | None:
        """Check mask and WCS of a description that was parsed already, and return the mask."""
        if isinstance(self.description, StoredDescription):  # which has none
            return None
        try:
            check_mask(tile.stated.mask, array.shape)
        except DatasetError as error:
            raise self._error(array, error) from error
        tile.wcs  # noqa: B018  # makes it now
        return tile.stated.mask

    def _error(self, array: VirtualArray, error: DatasetError) -> DatasetError | StoreCorruptError:
        """Make the error for a wrong array: of a store, or of an ASDF."""
        if self.handle.url is None:
            return DatasetError(f"{self._tile(array)}{error}")
        return StoreCorruptError(f"{self.handle.url}: {self._tile(array)}{error}. Convert again")

    def _tile(self, array: VirtualArray) -> str:
        if self.description.grid is not None:
            return f"tile {array.name}: "
        return "" if array.name == "data" else f"{array.name}: "

    def _check_chunks(self, array: VirtualArray) -> None:
        """Check the chunks that the user wants of an array now, not when its pixels are read."""
        if self.handle.options.by_rule:
            return
        try:
            array.dask_chunks()
        except ValueError as error:
            raise ValueError(f"{self._tile(array)}{error}") from None


class FromASDF:
    """Open an ASDF as an object of this class."""

    @classmethod
    def from_opened(cls, opened: Opened) -> Self:
        """Make the object of an open store or ASDF."""
        raise NotImplementedError

    @classmethod
    def _from_asdf(cls, opened: Opened) -> Any:
        """Make what `from_asdf` returns."""
        return cls.from_opened(opened)

    @classmethod
    def from_asdf(
        cls,
        asdf: str | os.PathLike[str],
        *,
        frames: FramePlaces = None,
        missing: Missing = "raise",
        chunks: Chunks = "auto",
        storage_options: StorageOptions | None = None,
        cache: str | os.PathLike[str] | None = None,
    ) -> Any:
        """Open a dataset, mosaic or inversion from its ASDF alone; no store is written.

        No frame is read.

        Parameters
        ----------
        asdf : path
            The ASDF, or a directory with one.
        frames, missing, chunks, storage_options, cache
            As in `dkist_virtual.open_dataset`.

        Returns
        -------
        Dataset, TiledDataset or Inversion
            By `Dataset` each of them, as ``dkist`` does.

        Raises
        ------
        DatasetError
            The ASDF has no dataset, or one of another class.
        """
        opened = open_asdf(asdf, ReadOptions(frames, missing, chunks, storage_options, cache))
        try:
            return cls._from_asdf(opened)
        except DatasetError as error:
            raise DatasetError(f"{os.fspath(asdf)}: {error}") from None


def open_asdf(
    asdf: str | os.PathLike[str], options: ReadOptions, *, any_version: bool = False
) -> Opened:
    """Open a dataset from its ASDF, with references in memory.

    `any_version` reads also what a newer version of ``dkist`` wrote, as far as that is understood.
    """
    from dkist_virtual.conversion.asdf.locate import asdf_on_disk
    from dkist_virtual.conversion.asdf.source import read_source

    with asdf_on_disk(os.fspath(asdf), options.fetcher()) as found:
        source = read_source(found.path, found.label, any_version=any_version)
        if not is_local(os.fspath(asdf)):
            _read(source.headers)  # now: this file is temporary
    location = Location.of(os.fspath(asdf))
    if location.query and location.path.endswith(".asdf") and not options.places:
        # Signed for a directory: the frames beside it are read with the same signature.
        options = replace(options, frames=str(location.parent))
    return _opened(source, found.directory, options)


def open_object(given: Any, options: ReadOptions) -> tuple[Opened, OpenedObject]:
    """Open an open dataset or mosaic of ``dkist``, with references in memory."""
    from dkist_virtual.conversion.asdf.dkist_object import read_open

    found = read_open(given)
    return _opened(found.source, found.directory, options), found


def _opened(source: Source, directory: str, options: ReadOptions) -> Opened:
    from dkist_virtual.conversion.references import references_of
    from dkist_virtual.store.format.header_table import HeaderTable

    headers = source.headers
    handle = StoreHandle(None, references_of(source, directory), options)
    table = headers if isinstance(headers, HeaderTable) else HeaderTable(headers, copy=False)
    return Opened(handle, table, source.description)


def _read(headers: Table) -> None:
    """Read all columns of a header table; of the tables of an inversion those of each."""
    from dkist_virtual.store.format.header_table import HeaderTable, StackedColumns

    source = headers.source if isinstance(headers, HeaderTable) else None
    for table in source.tables if isinstance(source, StackedColumns) else (headers,):
        table.columns  # noqa: B018  # reads them


def open_store(store: str, options: ReadOptions) -> Opened:
    """Open a store by its directory, and once more if it is replaced meanwhile."""
    for attempt in range(5):
        before = _directory(store)
        try:
            opened = _open(StoreHandle(store, None, options))
        except StoreError:
            if attempt == 4 or _directory(store) == before:
                raise
        else:
            if _directory(store) == before:
                return opened
    raise replaced_error(store)


def open_repository(address: RepositoryAddress, options: ReadOptions) -> Opened:
    """Open the dataset in a snapshot of an Icechunk repository."""
    from dkist_virtual.store.icechunk.icechunk_handle import IcechunkHandle

    return _open(IcechunkHandle.at(address, options))


def _directory(store: str) -> tuple[int, int] | None:
    """Identify the directory of a store on this machine; None if it is elsewhere or absent."""
    if not is_local(store):
        return None
    with suppress(OSError):
        status = os.stat(local_path(store))
        return status.st_dev, status.st_ino
    return None


def _open(handle: StoreHandle) -> Opened:
    reader = handle.opened.read_ahead((METADATA_NAME, VERIFY_NAME))
    if SURVEY_KEY in handle.store.references.attributes:
        raise DatasetError(
            f"{shown(reader.url)}: has FITS files of any survey, and no WCS of a dataset: "
            "dv.open_zarr opens it"
        )
    warn_if_wrong(reader, handle.store.references, handle.store.places.in_order)
    place = join(reader.url, METADATA_NAME)
    if is_local(place):
        description = read_description(local_path(place))
    else:
        try:
            description = read_description(io.BytesIO(reader(METADATA_NAME)))
        except FileNotFoundError:
            raise StoreCorruptError(f"{shown(place)}: is missing from the store") from None
    return Opened(handle, None, description, StoredPointing(handle))

"""Load what datasets are made of from a store or an ASDF."""

from __future__ import annotations

import io
import os
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from dkist_virtual.conversion.asdf.locate import asdf_on_disk
from dkist_virtual.conversion.asdf.source import read_source
from dkist_virtual.conversion.references import references_of
from dkist_virtual.cube.selection import Selection
from dkist_virtual.cube.virtual_array import VirtualArray, opened_selection
from dkist_virtual.cube.world_axes import high_level
from dkist_virtual.dataset.provenance import HeaderSource, Provenance, StoredHeaders, TableHeaders
from dkist_virtual.errors import DatasetError, StoreCorruptError, StoreError
from dkist_virtual.io.locations import Location, is_local, join, local_path, shown
from dkist_virtual.store.format.asdf_arrays import check_mask
from dkist_virtual.store.format.dataset_asdf import METADATA_NAME, Description, read_description
from dkist_virtual.store.format.header_table import HeaderTable
from dkist_virtual.store.format.references import replaced
from dkist_virtual.store.format.verify_json import VERIFY_NAME, warn_of_kept
from dkist_virtual.store.handle import StoreHandle

if TYPE_CHECKING:
    from dkist_virtual.store.read_options import ReadOptions

__all__ = ["Opened", "open_asdf", "open_store"]


@dataclass(frozen=True, eq=False)
class Opened:
    """A store or an ASDF, opened: what datasets are made of.

    Parameters
    ----------
    handle : StoreHandle
    source : HeaderSource
    description : Description
    """

    handle: StoreHandle
    source: HeaderSource
    description: Description

    def datasets(self, cls: type[Any]) -> list[Any]:
        """One dataset for each array, in the order of the tiles."""
        made = []
        first_row = 0
        arrays = self.handle.store.references.arrays
        if len(arrays) != len(self.description.tiles):
            raise StoreCorruptError(
                f"{self.handle.url}: {len(arrays)} arrays in the references, "
                f"{len(self.description.tiles)} tiles in {METADATA_NAME}. Convert again"
            )
        shared = {
            **self.description.meta,
            "inventory": self.description.inventory,
            "history": self.description.history,
        }
        for (name, (metadata, _)), tile in zip(arrays.items(), self.description.tiles, strict=True):
            array = VirtualArray(self.handle, name, opened_selection(metadata))
            self._check_chunks(array)
            try:
                check_mask(tile.mask, array.shape)
            except DatasetError as error:
                raise self._wrong(array, error) from error
            wcs = high_level(tile.wcs, array.shape)
            provenance = Provenance(
                array,
                self.source,
                first_row,
                self.description,
                wcs,
                Selection.whole(array.shape),
            )
            meta = {**shared, **tile.meta}
            made.append(
                cls(array, wcs, provenance=provenance, mask=tile.mask, unit=tile.unit, meta=meta)
            )
            first_row += metadata.n_frames
        return made

    def _wrong(self, array: VirtualArray, error: DatasetError) -> DatasetError | StoreCorruptError:
        """What is wrong with an array, by whether a store says so, or an ASDF."""
        tile = f"tile {array.name}: " if self.description.grid is not None else ""
        if self.handle.url is None:
            return DatasetError(f"{tile}{error}")
        return StoreCorruptError(f"{self.handle.url}: {tile}{error}. Convert again")

    def _check_chunks(self, array: VirtualArray) -> None:
        """Check the chunks given against an array now, not when its pixels are asked for."""
        if self.handle.options.by_rule:
            return
        try:
            array.dask_chunks()
        except ValueError as error:
            tile = f"tile {array.name}: " if self.description.grid is not None else ""
            raise ValueError(f"{tile}{error}") from None


def open_asdf(asdf: str | os.PathLike[str], options: ReadOptions) -> Opened:
    """Open a dataset from its ASDF, with references made in memory."""
    with asdf_on_disk(os.fspath(asdf), options.fetcher()) as found:
        source = read_source(found.path, found.said)
        headers = source.headers
        if not is_local(os.fspath(asdf)):
            headers.columns  # noqa: B018  # reads them: this file is not kept
    location = Location.of(os.fspath(asdf))
    if location.query and location.path.endswith(".asdf") and not options.places:
        # Signed for a directory: the frames beside it are read with the same signature.
        options = replace(options, frames=str(location.parent))
    handle = StoreHandle(None, references_of(source, found.directory), options)
    table = headers if isinstance(headers, HeaderTable) else HeaderTable(headers, copy=False)
    return Opened(handle, TableHeaders(table), source.description)


def open_store(store: str, options: ReadOptions) -> Opened:
    """Open a store by its directory; once more where another one takes its place meanwhile."""
    for attempt in range(5):
        stood = _directory(store)
        try:
            opened = _opened(StoreHandle(store, None, options))
        except StoreError:
            if attempt == 4 or _directory(store) == stood:
                raise
        else:
            if _directory(store) == stood:
                return opened
    raise replaced(store)


def _directory(store: str) -> tuple[int, int] | None:
    """Which directory a store on this machine is; None where it is elsewhere, or not there."""
    if not is_local(store):
        return None
    with suppress(OSError):
        status = os.stat(local_path(store))
        return status.st_dev, status.st_ino
    return None


def _opened(handle: StoreHandle) -> Opened:
    reader = handle.open_with((METADATA_NAME, VERIFY_NAME))
    warn_of_kept(reader, handle.store.references)
    place = join(reader.url, METADATA_NAME)
    if is_local(place):
        description = read_description(local_path(place))
    else:
        try:
            description = read_description(io.BytesIO(reader(METADATA_NAME)))
        except FileNotFoundError:
            raise StoreCorruptError(f"{shown(place)}: is missing from the store") from None
    return Opened(handle, StoredHeaders(handle), description)

"""A store or an ASDF, opened: what datasets are made of."""

from __future__ import annotations

import io
import os
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dkist_virtual.arrays import VirtualArray
from dkist_virtual.asdf_file import asdf_on_disk
from dkist_virtual.assembly import references_of
from dkist_virtual.description import METADATA_NAME, Description, read_description
from dkist_virtual.errors import StoreCorruptError, StoreError
from dkist_virtual.fetch import Fetcher, is_local, join, local_path
from dkist_virtual.handle import StoreHandle
from dkist_virtual.header_table import HeaderTable
from dkist_virtual.places import FramePlaces, cache_of, places_of
from dkist_virtual.provenance import HeaderSource, Meta, Provenance, StoredHeaders, TableHeaders
from dkist_virtual.references import replaced
from dkist_virtual.selection import Selection
from dkist_virtual.source import read_source
from dkist_virtual.verdict import VERIFY_NAME, warn_of_kept
from dkist_virtual.world import high_level

if TYPE_CHECKING:
    from dkist_virtual.references import ArrayMetadata
    from dkist_virtual.store import Missing

__all__ = ["Opened", "open_asdf", "open_store", "opened_selection"]


@dataclass(frozen=True, eq=False)
class Opened:
    """A store or an ASDF, opened: what datasets are made of.

    Parameters
    ----------
    handle : StoreHandle
    source : HeaderSource
    description : Description
    chunks : Any
    """

    handle: StoreHandle
    source: HeaderSource
    description: Description
    chunks: Any

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
            wcs = high_level(tile.wcs, array.shape)
            provenance = Provenance(
                array,
                self.source,
                first_row,
                self.chunks,
                self.description,
                wcs,
                Selection.whole(array.shape),
            )
            meta = Meta({**shared, **tile.meta}, provenance.headers)
            made.append(
                cls(array, wcs, provenance=provenance, mask=tile.mask, unit=tile.unit, meta=meta)
            )
            first_row += metadata.n_frames
        return made


def opened_selection(metadata: ArrayMetadata) -> Selection:
    """What of a stored array a dataset begins with: all of it, or the cut that its ASDF is of."""
    selection = Selection.whole(metadata.shape)
    cut = metadata.attributes.get("subslice")
    if cut is None:
        return selection
    return selection[tuple(slice(*c) if isinstance(c, list) else c for c in cut)]


def open_asdf(
    asdf: str | os.PathLike[str],
    *,
    frames: FramePlaces = None,
    missing: Missing = "raise",
    chunks: Any = "auto",
    storage_options: dict[str, dict[str, Any]] | None = None,
    cache: str | os.PathLike[str] | None = None,
    allow_local: bool | None = None,
    verify: bool = False,
) -> Opened:
    """Open a dataset from its ASDF, with references made in memory."""
    options = dict(storage_options or {})
    with asdf_on_disk(os.fspath(asdf), Fetcher(options, cache_of(cache))) as (path, directory, _):
        source = read_source(path)
        headers = source.headers
        if not is_local(os.fspath(asdf)):
            headers.columns  # noqa: B018  # reads them: this file is not kept
    references = references_of(source, directory)
    handle = StoreHandle(
        None, references, missing, places_of(frames), options, cache_of(cache), allow_local, verify
    )
    table = headers if isinstance(headers, HeaderTable) else HeaderTable(headers, copy=False)
    return Opened(handle, TableHeaders(table), source.description, chunks)


def open_store(
    store: str,
    *,
    frames: FramePlaces = None,
    missing: Missing = "raise",
    chunks: Any = "auto",
    storage_options: dict[str, dict[str, Any]] | None = None,
    cache: str | os.PathLike[str] | None = None,
    allow_local: bool | None = None,
    verify: bool = False,
) -> Opened:
    """Open a store by its directory; once more where another one takes its place meanwhile."""
    options = dict(storage_options or {})
    how = (missing, places_of(frames), options, cache_of(cache), allow_local, verify)
    for attempt in range(5):
        stood = _directory(store)
        try:
            opened = _opened(StoreHandle(store, None, *how), chunks)
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


def _opened(handle: StoreHandle, chunks: Any) -> Opened:
    reader = handle.open_with((METADATA_NAME, VERIFY_NAME))
    warn_of_kept(reader, handle.store.references.attributes.get("store_id"))
    place = join(reader.url, METADATA_NAME)
    if is_local(place):
        description = read_description(local_path(place))
    else:
        try:
            description = read_description(io.BytesIO(reader(METADATA_NAME)))
        except FileNotFoundError:
            raise StoreCorruptError(f"{place}: is missing from the store") from None
    return Opened(handle, StoredHeaders(handle), description, chunks)

"""Parse a store, or the ASDF of a dataset, for VirtualiZarr."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from dkist_virtual.dataset.open import open_frames
from dkist_virtual.errors import FrameError, FrameMissingError, FrameUnreachableError
from dkist_virtual.io.byte_range import Request
from dkist_virtual.io.driver import read_many
from dkist_virtual.io.locations import is_local, shown
from dkist_virtual.io.safety import plain_uri
from dkist_virtual.publish.virtualizarr.manifest import (
    codecs_of,
    needs_virtualizarr,
    virtual_array,
)
from dkist_virtual.publish.virtualizarr.registry_fetcher import RegistryOptions
from dkist_virtual.store.format.frame_index import batches
from dkist_virtual.store.format.references import STRINGS, chunk_key

if TYPE_CHECKING:
    from obspec_utils.registry import ObjectStoreRegistry
    from virtualizarr.manifests import ManifestArray, ManifestStore

    from dkist_virtual.fits.partial import Reading
    from dkist_virtual.io.byte_range import Reply
    from dkist_virtual.store.frame_locations import FramePlaces
    from dkist_virtual.store.handle import StoreHandle
    from dkist_virtual.store.read_options import Missing

__all__ = ["SOURCE_KEY", "DKISTParser"]

SOURCE_KEY: Final = "dkist_virtual_source"
"""The root attribute that says which store or ASDF virtual arrays were made of."""

_AT_ONCE: Final = 10_000


@dataclass(frozen=True)
class DKISTParser:
    """Parse a store, or the ASDF of a dataset, to virtual arrays of its frames.

    Called with a URL and a registry of object stores, as VirtualiZarr calls its parsers. The
    arrays, their dimensions, units and other attributes are those of `dkist_virtual.open_zarr`.
    WCS, mask, header table and corrections of the pointing are not among them: open the
    store with `dkist_virtual.open_dataset` for those.

    Parameters
    ----------
    partial_reads : bool
        Whether a selection of a frame reads only the bytes that it needs: for Icechunk, and for
        reading the arrays themselves. References of kerchunk in Zarr v2 have no place for such
        a codec: with False they can be written, and whole frames are read.
    frames : path or URL, or a list of them, optional
        Where the frames are instead of where the store says.
    missing : {"raise", "nan"}
        Whether a frame without a reference to a byte range, of which the file is not found,
        is an error, or absent from the array. Frames that have one are not asked for.
    allow_local : bool, optional
        Whether the store may refer to files of this machine; by default if it is on it itself.

    Raises
    ------
    TypeError, ValueError
        Naming the option.

    Examples
    --------
    >>> from obspec_utils.registry import ObjectStoreRegistry  # doctest: +SKIP
    >>> from obstore.store import LocalStore  # doctest: +SKIP
    >>> registry = ObjectStoreRegistry({"file://": LocalStore()})  # doctest: +SKIP
    >>> virtualizarr.open_virtual_dataset(
    ...     "BKEWK.virtual", registry=registry, parser=DKISTParser()
    ... )  # doctest: +SKIP
    """

    partial_reads: bool = True
    frames: FramePlaces = field(default=None, repr=False)  # may be signed
    missing: Missing = "raise"
    allow_local: bool | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.partial_reads, (bool, np.bool_)):
            raise TypeError(f"partial_reads = {self.partial_reads!r}: expected True or False")
        self._options(None)

    def _options(self, registry: object) -> RegistryOptions:
        return RegistryOptions(
            self.frames, self.missing, allow_local=self.allow_local, registry=registry
        )

    def __call__(self, url: str, registry: ObjectStoreRegistry[Any]) -> ManifestStore:
        """Parse a store or an ASDF.

        Parameters
        ----------
        url : path or URL
            A store's directory, one of its reference files, or a dataset's ASDF.
        registry : ObjectStoreRegistry
            With what the store and its frames are read; for a store on this machine none is needed
            until pixels are read.

        Returns
        -------
        virtualizarr.manifests.ManifestStore
            With the array ``data``, or one ``data_{i}_{j}`` per tile of a mosaic, or those of an
            inversion. Absent frames are read as NaN, integers as 0.

        Raises
        ------
        StoreMissingError, StoreCorruptError, DatasetError
        FrameRefusedError
            The store may not refer to the place of a frame, or no other program can.
        FrameMissingError, FrameUnreachableError
            The length of a file is not known and cannot be asked for.
        """
        needs_virtualizarr("DKISTParser")
        from virtualizarr.manifests import ManifestGroup, ManifestStore

        handle = open_frames(url, self._options(registry))
        references = handle.store.references
        arrays = {name: self._array(handle, name) for name in references.arrays}
        source = {"place": shown(handle.url or url), "references": references.identity}
        group = ManifestGroup(arrays=arrays, attributes={SOURCE_KEY: source})
        return ManifestStore(group=group, registry=registry)

    def _array(self, handle: StoreHandle, name: str) -> ManifestArray:
        metadata, table = handle.store.references.arrays[name]
        n = metadata.n_frames
        urls = np.full(n, "", STRINGS)
        offsets, lengths = np.zeros(n, np.int64), np.zeros(n, np.int64)
        for part in batches(n, _AT_ONCE):
            found = table.take(part)
            places = []
            for number, reference in zip(part.tolist(), found.urls.tolist(), strict=True):
                try:
                    place = handle.store.places_of(name).find(reference)
                    places.append(plain_uri(place) if place else "")
                except FrameError as error:
                    raise error.at(f"{name}/{chunk_key(metadata, number)}") from error
            urls[part] = np.array(places, STRINGS)
            offsets[part], lengths[part] = found.offsets, found.lengths
        unknown = np.flatnonzero((urls != "") & (offsets < 0))
        keys = [f"{name}/{chunk_key(metadata, number)}" for number in unknown.tolist()]
        lengths[unknown] = self._lengths(handle, keys, urls[unknown].tolist())
        offsets[unknown] = 0
        urls[lengths < 0] = ""
        attributes = dict(metadata.attributes)
        dimensions = attributes.pop("_ARRAY_DIMENSIONS")
        return virtual_array(
            metadata.shape,
            metadata.chunks,
            metadata.dtype,
            codecs_of(metadata.compressor, partial_reads=self.partial_reads),
            (urls, offsets, lengths),
            dimensions=dimensions,
            attributes=attributes,
        )

    def _lengths(self, handle: StoreHandle, keys: list[str], urls: list[str]) -> list[int]:
        """Ask for the lengths of whole files; -1 for one that is absent and may be."""
        if not urls:
            return []
        from tqdm import tqdm

        local = all(map(is_local, urls))
        readings = [_length(*at, self.missing) for at in zip(keys, urls, strict=True)]
        found = read_many(readings, handle.opened.fetcher, local=local)
        hidden = None if len(urls) > _AT_ONCE or not local else True
        return list(tqdm(found, total=len(urls), unit=" frames", desc="Lengths", disable=hidden))


def _length(key: str, url: str, missing: Missing) -> Reading[Request, Reply, int]:
    """Ask for the length of a file."""
    try:
        (reply,) = yield [Request.head(url, 0)]
    except FrameMissingError as error:
        if missing == "nan":
            return -1
        raise error.at(key) from error
    except FrameError as error:
        raise error.at(key) from error
    if reply.total is None:
        raise FrameUnreachableError(
            f"{key}: {shown(url)}: its server does not say how many bytes it has: convert the "
            "dataset, which scans its frames"
        )
    return reply.total

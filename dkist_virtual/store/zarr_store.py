"""Show references as a read-only Zarr v3 store.

The references on disk are Zarr v2, which every reader of kerchunk references understands. Here the
same references get metadata in Zarr v3, made in memory, and their chunks are read from the frames.
Absent frames raise, or read as fill values on request.
"""

from __future__ import annotations

import asyncio
import json
import math
from functools import cached_property
from operator import attrgetter
from typing import TYPE_CHECKING, Final, Protocol, TypeVar

import numpy as np
from zarr.abc.store import ByteRequest, RangeByteRequest

from dkist_virtual.errors import (
    FrameCorruptError,
    FrameError,
    FrameMissingError,
    FrameUnreachableError,
)
from dkist_virtual.fits.partial import drive
from dkist_virtual.fits.threads import open_in_forks
from dkist_virtual.io.byte_range import Reply, Request
from dkist_virtual.io.driver import read_many
from dkist_virtual.io.locations import is_local, shown
from dkist_virtual.store.array_document import array_document, spec_of
from dkist_virtual.store.format.references import (
    ROOT_KEY,
    ReferenceSet,
    chunk_key,
    parse_chunk_key,
)
from dkist_virtual.store.frame_locations import FrameLocations, Reference
from dkist_virtual.store.frame_reader import FrameReader
from dkist_virtual.store.integrity import Recorded, Scanned
from dkist_virtual.store.read_only import ReadOnlyStore, bounds, check_byte_range, cut
from dkist_virtual.store.read_options import ReadOptions

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from numpy.typing import NDArray
    from zarr.abc.buffer import Buffer, BufferPrototype

    from dkist_virtual.fits.decode import Window
    from dkist_virtual.fits.partial import Reading
    from dkist_virtual.io.fetcher import Fetcher

__all__ = ["FrameStore", "spec_of"]


T = TypeVar("T")
E = TypeVar("E", bound=FrameError)

QUICK_PIXELS: Final = 2**16
"""Fewer pixels are decoded in well under a millisecond."""


class OpenStore(Recorded, Protocol):
    """The store on disk that references are of: `dkist_virtual.store.handle.OpenStore`."""

    @property
    def recipe(self) -> object:
        """What opens it again, in another process too."""

    url: str | None
    fetcher: Fetcher
    downloads: tuple[str, ...]
    moved: dict[str, tuple[str, ...]]


@open_in_forks
class FrameStore(ReadOnlyStore):
    """Show a reference set as a Zarr v3 store that can only be read.

    Parameters
    ----------
    references : ReferenceSet or callable
        The references, or what reads them when they are first needed.
    options : ReadOptions, optional
        How to read the frames. Their `missing` says what an absent frame does: raise
        `FrameMissingError`, or read as fill values.
    opened : OpenStore, optional
        The store on disk that the references are of: it knows what a scan recorded, and opens this
        store in another process.
    read_only : bool
        Only True is accepted: frames are read, never written.
    """

    def __init__(
        self,
        references: ReferenceSet | Callable[[], ReferenceSet],
        options: ReadOptions | None = None,
        *,
        opened: OpenStore | None = None,
        read_only: bool = True,
    ) -> None:
        super().__init__(read_only=read_only)
        self.options = ReadOptions() if options is None else options
        self.missing = self.options.missing
        self.fetcher = self.options.fetcher() if opened is None else opened.fetcher
        self.place = None if opened is None else opened.url
        self.scanned = Scanned(opened, verify=self.options.verify)
        self.reader = FrameReader(self.scanned, lambda: self.head_bytes)
        self._references, self._opened = references, opened
        local = self.options.allow_local
        self._allow_local = self.place is None or is_local(self.place) if local is None else local

    def refresh(self) -> None:
        """Forget what was learnt about the frames, and look again which are on this machine."""
        self._look_again()
        self.reader.forget()

    def _look_again(self) -> None:
        for places in (self.places, *self._places_of.values()):
            places.refresh()

    @cached_property
    def references(self) -> ReferenceSet:
        """All references; a store that was sent here reads them when they are first needed."""
        known = self._references
        return known if isinstance(known, ReferenceSet) else known()

    @cached_property
    def places(self) -> FrameLocations:
        """Where frames are read, of arrays that have no places of their own."""
        places = self._locations(self.options.places)
        places.downloads = () if self._opened is None else self._opened.downloads
        return places

    @cached_property
    def _places_of(self) -> dict[str, FrameLocations]:
        """The same of arrays that have."""
        moved = {} if self._opened is None else self._opened.moved
        return {array: self._locations(named) for array, named in moved.items()}

    def _locations(self, named: Sequence[str]) -> FrameLocations:
        tables = [table for _, table in self.references.arrays.values()]
        base = self.references.attributes.get("base", "")
        return FrameLocations(base, named, allow_local=self._allow_local, tables=tables)

    def places_of(self, array: str) -> FrameLocations:
        """Where the frames of an array are read."""
        return self._places_of.get(array, self.places)

    def look_in_other_places(self) -> None:
        """Take over the places of the store on disk, which were changed."""
        assert self._opened is not None
        self.__dict__.pop("_places_of", None)
        self.places.downloads = self._opened.downloads
        self._look_again()

    def _read_from(self) -> tuple[object, ...]:
        """Return the part of what decides the bytes at a key that downloads and users change."""
        moved = {} if self._opened is None else self._opened.moved
        return self.places.downloads, *moved.items()

    def _shown(self) -> tuple[object, ...]:
        """Return the part of what decides the bytes at a key that never changes."""
        options = self.options
        how = options.places, self._allow_local, options.verify
        return self.place, self.references.identity, self.missing, *how

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, FrameStore) or self is other:
            return self is other
        return (self._shown(), self._read_from(), self.fetcher) == (
            other._shown(), other._read_from(), other.fetcher,
        )  # fmt: skip

    def __hash__(self) -> int:
        return hash(self._shown())

    def __reduce__(self) -> tuple[object, ...]:
        if self._opened is not None:
            return attrgetter("store"), (self._opened.recipe,)
        return FrameStore, (self.references, self.options)

    def __dask_tokenize__(self) -> tuple[object, ...]:
        shown = (*self._shown(), self._read_from())
        return (type(self).__name__, shown, self.fetcher.storage_options, self.fetcher.cache)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.place or 'in memory'}>"

    __str__ = __repr__

    def frame(self, array: str, position: int) -> tuple[str, int, int]:
        """Get URL, offset and length of a frame's reference; an empty URL without one."""
        _, frames = self.references.arrays[array]
        return frames.row(position)

    @property
    def head_bytes(self) -> int | None:
        """The longest header with tile table, where the frames were scanned."""
        known = self.references.attributes.get("head_bytes")
        return known if isinstance(known, int) and 0 < known < 2**31 else None

    def read_frame(self, array: str, position: int, byte_range: ByteRequest | None = None) -> bytes:
        """Read the bytes that a frame's reference points at, or a range of them.

        Raises
        ------
        FrameError
            Naming chunk key and URL.
        """
        reference = self._reference(array, position)
        start, stop = 0, None
        if reference.offset >= 0 and byte_range is not None:
            start, stop = bounds(reference.length, byte_range)
        elif isinstance(byte_range, RangeByteRequest):
            start, stop = byte_range.start, max(byte_range.start, byte_range.end)
            if stop > reference.most:  # beyond any frame of this shape: as far as this one goes
                start, stop = 0, None

        def reading(place: str) -> Reading[Request, Reply, bytes]:
            return self.reader.bytes_of(place, reference, start, stop)

        data = drive(self._first_place(reference, reading), self.fetcher.answer)
        return data if stop is not None else cut(data, byte_range)

    def read_window(self, key: str, window: Window) -> NDArray[np.generic] | None:
        """Read pixels of part of a frame.

        Parameters
        ----------
        key : str
            The frame's chunk key, with the array's name.
        window : tuple of range
            Of the HDU's axes, a leading one of length 1 included where there is a codec.

        Returns
        -------
        numpy.ndarray or None
            None for an absent frame under ``missing="nan"``.

        Raises
        ------
        FrameError
            Naming chunk key, URL and byte range.
        """
        at = self._position(key)
        if at is None:
            raise KeyError(key)
        try:
            return self.pixels(*at, window)
        except FrameMissingError:
            if self.missing == "nan":
                return None
            raise

    def pixels(
        self,
        array: str,
        position: int,
        window: Window,
        out: NDArray[np.generic] | None = None,
    ) -> NDArray[np.generic]:
        """Read pixels of part of a frame by its position; an absent one always raises.

        Parameters
        ----------
        array : str
        position : int
            In C order of the chunks.
        window : tuple of range
        out : numpy.ndarray, optional
            Where to put them: of the window's shape, contiguous, native byte order.
        """
        reference = self._reference(array, position)
        return drive(self._pixels(reference, window, out), self.fetcher.answer)

    def pixels_together(
        self,
        array: str,
        positions: Sequence[int],
        windows: Sequence[Window],
        out: Sequence[NDArray[np.generic]],
        caught: type[E],
    ) -> list[E | None]:
        """Read pixels of parts of several frames, which are requested at once.

        Parameters
        ----------
        array : str
        positions : sequence of int
        windows, out : sequence
            As in `pixels`, one for each frame.
        caught : type
            The errors that are returned, where others are raised.

        Returns
        -------
        list
            For each frame its error or None; the place of one with an error is to be filled.
        """
        # Looked up now, since the event loop must not wait for it.
        references = [self._reference(array, position) for position in positions]
        for reference in references:
            self.scanned.look_up(reference)
        readings = [
            _unless(caught, self._pixels(*one))
            for one in zip(references, windows, out, strict=True)
        ]
        width = references[0].spec.shape[-1:]  # tiles are rows, mostly, which are decoded whole
        most = max(math.prod((*map(len, window[:-1]), *width)) for window in windows)
        return list(read_many(readings, self.fetcher, quick=most < QUICK_PIXELS))

    def _reference(self, array: str, position: int) -> Reference:
        metadata, frames = self.references.arrays[array]
        url, offset, length = frames.row(position)
        places = self.places_of(array)
        if url and (places.named or places.downloads):
            places.sharing(url)  # it may read references, which the event loop cannot
        most = self.references.file_limits[array]
        return Reference(array, position, url, offset, length, spec_of(metadata), most)

    def _first_place(
        self, reference: Reference, reading: Callable[[str], Reading[Request, Reply, T]]
    ) -> Reading[Request, Reply, T]:
        """Read a frame from the first place that has it."""
        places = self.places_of(reference.array)
        absent: FrameMissingError | None = None
        failed: FrameError | None = None
        try:
            for place in places.candidates(reference.url):
                try:
                    return (yield from reading(place))
                except FrameMissingError as error:
                    places.lacks(place)
                    absent = absent or error
                except (FrameCorruptError, FrameUnreachableError) as error:
                    # The user can mend a file on this disk. If a server gives no frame, or the page
                    # of a login, the next place is tried.
                    if is_local(place):
                        raise
                    failed = failed or error
            nowhere = FrameMissingError("no file is named for this frame")
            raise failed or absent or nowhere
        except FrameError as error:
            metadata = self.references.arrays[reference.array][0]
            key = f"{reference.array}/{chunk_key(metadata, reference.position)}"
            raise error.at(key) from error

    def _pixels(
        self, reference: Reference, window: Window, out: NDArray[np.generic] | None
    ) -> Reading[Request, Reply, NDArray[np.generic]]:
        """Read pixels of a frame from the first place that has it."""
        return self._first_place(
            reference, lambda place: self.reader.pixels(place, reference, window, out)
        )

    def _document(self, key: str) -> bytes | None:
        """Make a metadata document; None for any other key."""
        if key == "zarr.json":
            root = {"zarr_format": 3, "node_type": "group"}
            root["attributes"] = {ROOT_KEY: self.references.attributes}
            return json.dumps(root).encode()
        name, _, rest = key.partition("/")
        if rest == "zarr.json" and name in self.references.arrays:
            return json.dumps(array_document(self.references.arrays[name][0])).encode()
        return None

    def _position(self, key: str) -> tuple[str, int] | None:
        """Find the frame of a chunk key; None if it is not a chunk of this store."""
        name, _, chunk = key.partition("/")
        if name not in self.references.arrays:
            return None
        position = parse_chunk_key(self.references.arrays[name][0], chunk)
        return None if position is None else (name, position)

    async def get(
        self, key: str, prototype: BufferPrototype, byte_range: ByteRequest | None = None
    ) -> Buffer | None:
        """Get the bytes at a key; None where there are none, or for an absent frame under "nan".

        Raises
        ------
        TypeError, ValueError
            The byte range is of an unknown kind, or has negative numbers.
        """
        check_byte_range(byte_range)
        data = await asyncio.to_thread(self._document, key)
        if data is None:
            at = self._position(key)
            if at is None:
                return None
            try:
                # In a thread: file and network reads would block all other reads of the process.
                data = await asyncio.to_thread(self.read_frame, *at, byte_range)
            except FrameMissingError:
                if self.missing == "nan":
                    return None
                raise
        else:
            data = cut(data, byte_range)
        return prototype.buffer.from_bytes(data)

    async def exists(self, key: str) -> bool:
        """Check whether a key is in the store; for a frame, whether it has a reference."""
        return await asyncio.to_thread(self._size, key) is not None

    async def getsize(self, key: str) -> int:
        """Get the number of bytes at a key without reading them.

        Raises
        ------
        FileNotFoundError
            There is no such key, or no such frame.
        FrameUnreachableError
            The length is neither in the reference nor known to the server.
        """
        size = await asyncio.to_thread(self._size, key)
        if size is None:
            raise FileNotFoundError(key)
        return size if size >= 0 else await asyncio.to_thread(self._file_size, key)

    def _size(self, key: str) -> int | None:
        """Get the number of bytes of a key; -1 for a whole file, None if it is not a key."""
        document = self._document(key)
        if document is not None:
            return len(document)
        at = self._position(key)
        url, _, length = ("", 0, 0) if at is None else self.frame(*at)
        return length if url else None

    def _file_size(self, key: str) -> int:
        """Get the length of a frame's whole file from its place."""

        def reading(place: str) -> Reading[Request, Reply, int]:
            (reply,) = yield [Request.head(place, 0)]
            if reply.total is None:
                raise FrameUnreachableError(
                    f"{shown(place)}: its server does not say how many bytes it has: read all of it"
                )
            return reply.total

        at = self._position(key)
        assert at is not None
        reference = self._reference(*at)
        return drive(self._first_place(reference, reading), self.fetcher.answer)

    async def list(self) -> AsyncIterator[str]:
        """List all keys, metadata first."""
        async for key in self.list_prefix(""):
            yield key

    async def list_prefix(self, prefix: str) -> AsyncIterator[str]:
        """List all keys that begin with `prefix`."""
        references = await asyncio.to_thread(lambda: self.references)
        if "zarr.json".startswith(prefix):
            yield "zarr.json"
        for name, (metadata, frames) in references.arrays.items():
            if not f"{name}/".startswith(prefix[: len(name) + 1]):
                continue  # without reading where its frames are
            if f"{name}/zarr.json".startswith(prefix):
                yield f"{name}/zarr.json"
            for begin in range(0, metadata.n_frames, _AT_ONCE):
                positions = np.arange(begin, min(begin + _AT_ONCE, metadata.n_frames))
                part = await asyncio.to_thread(frames.take, positions)
                for position, url in zip(positions.tolist(), part.urls.tolist(), strict=True):
                    key = f"{name}/{chunk_key(metadata, position)}"
                    if url and key.startswith(prefix):
                        yield key

    async def list_dir(self, prefix: str) -> AsyncIterator[str]:
        """List what is directly under `prefix`."""
        references = await asyncio.to_thread(lambda: self.references)
        prefix = prefix.strip("/")
        if not prefix:
            for name in ("zarr.json", *references.arrays):
                yield name
        elif prefix in references.arrays:
            async for key in self.list_prefix(f"{prefix}/"):
                yield key.removeprefix(f"{prefix}/")


_AT_ONCE: Final = 10_000
"""References that are read together when keys are listed."""


def _unless(
    caught: type[E], reading: Reading[Request, Reply, object]
) -> Reading[Request, Reply, E | None]:
    """Read a frame; return its error where that is of the type `caught`."""
    try:
        yield from reading
    except caught as error:
        return error
    return None

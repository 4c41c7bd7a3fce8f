"""Show references as a read-only Zarr v3 store.

The store on disk speaks Zarr v2, which every reader of kerchunk references knows. This is our
own door to the same references: metadata in Zarr v3, made in memory, and chunks fetched where
they lie. Absent frames raise, or read as fill values where that was asked for.
"""

from __future__ import annotations

import asyncio
import json
import math
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from zarr.abc.store import ByteRequest, RangeByteRequest

from dkist_virtual.errors import (
    FrameCorruptError,
    FrameError,
    FrameMissingError,
    FrameUnreachableError,
)
from dkist_virtual.fits.threads import open_in_forks
from dkist_virtual.io.driver import Session, drive, drive_together
from dkist_virtual.io.fetcher import Fetcher, is_local
from dkist_virtual.io.locations import shown
from dkist_virtual.store.codecs import FITSCodecV3, FrameSpec, RawCodecV3, RawSpec
from dkist_virtual.store.format.limits import frame_limit
from dkist_virtual.store.format.references import (
    ROOT_KEY,
    ArrayMetadata,
    ReferenceSet,
    chunk_key,
    parse_chunk_key,
)
from dkist_virtual.store.frame_locations import Places
from dkist_virtual.store.frame_reader import FrameReader, Reference
from dkist_virtual.store.integrity import Scanned
from dkist_virtual.store.read_only import ReadOnlyStore, bounds, check_byte_range, cut

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Sequence

    from numpy.typing import NDArray
    from zarr.abc.buffer import Buffer, BufferPrototype

    from dkist_virtual.fits.decode import Window
    from dkist_virtual.store.integrity import Find, FindETag
    from dkist_virtual.store.read_options import Missing

__all__ = ["FrameStore", "spec_of"]


QUICK_PIXELS: Final = 2**16
"""Fewer of a frame are decoded in well under a millisecond."""


def spec_of(metadata: ArrayMetadata) -> FrameSpec | RawSpec:
    """What the codec of an array's frames knows of them."""
    if metadata.compressor is not None:
        return metadata.compressor
    return RawSpec(metadata.dtype, metadata.shape[metadata.n_frame_axes :])


def array_document(metadata: ArrayMetadata) -> dict[str, Any]:
    """An array's ``zarr.json`` (Zarr v3), from its v2 metadata."""
    dtype = np.dtype(metadata.dtype)
    spec = spec_of(metadata)
    codec = RawCodecV3(spec) if isinstance(spec, RawSpec) else FITSCodecV3(spec)
    return {
        "zarr_format": 3,
        "node_type": "array",
        "shape": list(metadata.shape),
        "data_type": dtype.name,
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": list(metadata.chunks)}},
        # The keys of the references, so that both doors call a chunk by the same name.
        "chunk_key_encoding": {"name": "v2", "configuration": {"separator": "."}},
        "codecs": [codec.to_dict()],
        "fill_value": "NaN" if dtype.kind == "f" else 0,
        "attributes": metadata.attributes,
        "dimension_names": metadata.attributes.get("_ARRAY_DIMENSIONS"),
    }


@open_in_forks
class FrameStore(ReadOnlyStore):
    """A reference set as a Zarr v3 store that can only be read.

    Parameters
    ----------
    references : ReferenceSet
    fetcher : Fetcher, optional
    missing : {"raise", "nan"}
        What an absent frame does: raise `FrameMissingError`, or read as fill value.
    frames : sequence of str
        Directories and URLs to read the frames from instead of the references' own base, the
        first that has one.
    scanned : callable, optional
        Finds what a scan found of the files, see `dkist_virtual.store.integrity.Find`.
    allow_local : bool
        Whether the references may name files of this machine.
    verify : bool
        Whether frames that are read whole are held against their DATASUM.
    place : str, optional
        Where the references were read.
    reopened : callable, optional
        Gives this store, in another process too; by default its parts travel.
    downloads : sequence of str
        Directories that frames were downloaded to.
    read_only : bool
        There is no way to write.
    scanned_etag : callable, optional
        Finds the ETag that a scan found of a file.
    """

    def __init__(
        self,
        references: ReferenceSet | Callable[[], ReferenceSet],
        fetcher: Fetcher | None = None,
        *,
        missing: Missing = "raise",
        frames: Sequence[str] = (),
        scanned: Find | None = None,
        allow_local: bool = True,
        verify: bool = False,
        place: str | None = None,
        reopened: Callable[[], FrameStore] | None = None,
        downloads: Sequence[str] = (),
        read_only: bool = True,
        scanned_etag: FindETag | None = None,
    ) -> None:
        super().__init__(read_only=read_only)
        self.fetcher = fetcher or Fetcher()
        self.missing = missing
        self.place = place
        self._find, self._find_etag = scanned, scanned_etag
        self.scanned = Scanned(scanned, verify=verify, find_etag=scanned_etag)
        self.reader = FrameReader(self.scanned, lambda: self.head_bytes)
        self._references, self._reopened = references, reopened
        self._how = tuple(frames), allow_local, verify
        self._downloads = tuple(downloads)

    def refresh(self) -> None:
        """Forget what was learnt of the frames, and look again which are on this machine."""
        self.places.refresh()
        self.reader.forget()

    @cached_property
    def references(self) -> ReferenceSet:
        """All references; those of a store that was sent here are read when first needed."""
        return (
            self._references if isinstance(self._references, ReferenceSet) else self._references()
        )

    @cached_property
    def places(self) -> Places:
        """Where frames are read."""
        frames, allow_local, _ = self._how
        tables = [table for _, table in self.references.arrays.values()]
        base = self.references.attributes.get("base", "")
        places = Places(base, frames, allow_local=allow_local, tables=tables)
        places.downloads = self._downloads
        return places

    def _shown(self) -> tuple[Any, ...]:
        """What does not change of what decides which bytes are at a key."""
        return self.place, self.references.identity, self.missing, *self._how

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, FrameStore) or self is other:
            return self is other
        return (self._shown(), self.places.downloads, self.fetcher) == (
            other._shown(), other.places.downloads, other.fetcher,
        )  # fmt: skip

    def __hash__(self) -> int:
        return hash(self._shown())

    def __reduce__(self) -> tuple[Any, ...]:
        if self._reopened is not None:
            return _call, (self._reopened,)
        frames, allow_local, verify = self._how
        again = partial(
            FrameStore,
            self.references,
            self.fetcher,
            missing=self.missing,
            frames=frames,
            scanned=self._find,
            scanned_etag=self._find_etag,
            allow_local=allow_local,
            verify=verify,
            place=self.place,
            downloads=self.places.downloads,
        )
        return _call, (again,)

    def __dask_tokenize__(self) -> tuple[Any, ...]:
        shown = (*self._shown(), self.places.downloads)
        return (type(self).__name__, shown, self.fetcher.storage_options, self.fetcher.cache)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.place or 'in memory'}>"

    __str__ = __repr__

    def frame(self, array: str, position: int) -> tuple[str, int, int]:
        """URL, offset and length of a frame's reference; an empty URL where it has none."""
        _, frames = self.references.arrays[array]
        return next(frames.take(np.array([position])).rows())

    @property
    def head_bytes(self) -> int | None:
        """The longest header with tile table, where the frames were scanned."""
        known = self.references.attributes.get("head_bytes")
        return known if isinstance(known, int) and 0 < known < 2**31 else None

    def read_frame(self, array: str, position: int, byte_range: ByteRequest | None = None) -> bytes:
        """The bytes that a frame's reference points at, or a range of them.

        Raises
        ------
        FrameMissingError, FrameUnreachableError, FrameCorruptError
            Naming chunk key and URL.
        """
        reference = self._reference(array, position, *self.frame(array, position))
        start: int = 0
        stop: int | None = None
        if reference.offset >= 0 and byte_range is not None:
            start, stop = bounds(reference.length, byte_range)
        elif isinstance(byte_range, RangeByteRequest):
            start, stop = byte_range.start, max(byte_range.start, byte_range.end)
            if stop > reference.most:  # beyond any frame of this shape: as far as this one goes
                start, stop = 0, None

        spec = spec_of(self.references.arrays[array][0])

        def reading(place: str) -> Session:
            return self.reader.bytes_of(place, reference, spec, start, stop)

        data = drive(self._session(reference, reading), self.fetcher)
        return data if stop is not None else cut(data, byte_range)

    def read_window(self, key: str, window: Window) -> NDArray[np.generic] | None:
        """Pixels of part of a frame.

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
        """Pixels of part of a frame by its position; absent ones always raise.

        Parameters
        ----------
        array : str
        position : int
            In C order of the chunks.
        window : tuple of range
        out : numpy.ndarray, optional
            Where to put them: of the window's shape, contiguous, native byte order.
        """
        reference = self._reference(array, position, *self.frame(array, position))
        session = self._session(reference, self._reading(reference, window, out))
        pixels: NDArray[np.generic] = drive(session, self.fetcher)
        return pixels

    def pixels_together(
        self, array: str, positions: Sequence[int], window: Window, out: NDArray[np.generic]
    ) -> list[FrameMissingError | None]:
        """Pixels of part of several frames, which are asked for at once.

        Parameters
        ----------
        array, window
            As in `pixels`.
        positions : sequence of int
        out : numpy.ndarray
            One place after another, each of the window's shape.

        Returns
        -------
        list
            For each frame that is absent, the error; its place is left as it was.
        """
        # What sessions know beforehand they need not wait for on the event loop.
        rows = self.references.arrays[array][1].take(np.asarray(positions)).rows()
        for position in positions:
            self.scanned.look_up(array, position)
        sessions = [
            self._session(reference, self._reading(reference, window, pixels))
            for position, row, pixels in zip(positions, rows, out, strict=True)
            for reference in [self._reference(array, position, *row)]
        ]
        quick = math.prod(map(len, window)) < QUICK_PIXELS
        return drive_together(sessions, self.fetcher, quick=quick)

    def _reference(
        self, array: str, position: int, url: str, offset: int, length: int
    ) -> Reference:
        if url and (self.places.named or self.places.downloads):
            self.places.sharing(url)  # on the event loop, no references could be read for this
        spec = spec_of(self.references.arrays[array][0])
        most = frame_limit(spec.shape, np.dtype(spec.dtype).itemsize)
        return Reference(array, position, url, offset, length, most)

    def _session(self, reference: Reference, reading: Callable[[str], Session]) -> Session:
        """Read a frame from the first place that has it, whoever fetches the bytes."""
        absent: FrameMissingError | None = None
        failed: FrameError | None = None
        try:
            for place in self.places.candidates(reference.url):
                try:
                    return (yield from reading(place))
                except FrameMissingError as error:
                    self.places.lacks(place)
                    absent = absent or error
                except (FrameCorruptError, FrameUnreachableError) as error:
                    # A file of this disk is the user's to mend, and the last word. A server that
                    # gives no frame, or the page of a login, keeps nobody from asking the next.
                    if is_local(place):
                        raise
                    failed = failed or error
            nowhere = FrameMissingError("the ASDF names no file for this frame")
            raise failed or absent or nowhere
        except FrameError as error:
            metadata = self.references.arrays[reference.array][0]
            key = f"{reference.array}/{chunk_key(metadata, reference.position)}"
            raise error.at(key) from error

    def _reading(
        self, reference: Reference, window: Window, out: NDArray[np.generic] | None
    ) -> Callable[[str], Session]:
        """What reads part of a frame from one place."""
        spec = spec_of(self.references.arrays[reference.array][0])
        return lambda place: self.reader.pixels(place, reference, spec, window, out)

    def _document(self, key: str) -> bytes | None:
        """A metadata document, None for any other key."""
        if key == "zarr.json":
            root = {"zarr_format": 3, "node_type": "group"}
            root["attributes"] = {ROOT_KEY: self.references.attributes}
            return json.dumps(root).encode()
        name, _, rest = key.partition("/")
        if rest == "zarr.json" and name in self.references.arrays:
            return json.dumps(array_document(self.references.arrays[name][0])).encode()
        return None

    def _position(self, key: str) -> tuple[str, int] | None:
        """Which frame a chunk key means, None where it is no chunk of ours."""
        name, _, chunk = key.partition("/")
        if name not in self.references.arrays:
            return None
        position = parse_chunk_key(self.references.arrays[name][0], chunk)
        return None if position is None else (name, position)

    async def get(
        self, key: str, prototype: BufferPrototype, byte_range: ByteRequest | None = None
    ) -> Buffer | None:
        """The bytes at a key; None where nothing stands there, or an absent frame under "nan".

        Raises
        ------
        TypeError, ValueError
            A byte range of no known kind, or with negative numbers.
        """
        check_byte_range(byte_range)
        data = await asyncio.to_thread(self._document, key)
        if data is None:
            at = self._position(key)
            if at is None:
                return None
            try:
                # File and network reads would hold up every other read of the process.
                data = await asyncio.to_thread(self.read_frame, *at, byte_range)
            except FrameMissingError:
                if self.missing == "nan":
                    return None
                raise
        else:
            data = cut(data, byte_range)
        return prototype.buffer.from_bytes(data)

    async def get_partial_values(
        self,
        prototype: BufferPrototype,
        key_ranges: Iterable[tuple[str, ByteRequest | None]],
    ) -> list[Buffer | None]:
        """Several keys at once."""
        return await asyncio.gather(*(self.get(key, prototype, part) for key, part in key_ranges))

    async def exists(self, key: str) -> bool:
        """Whether a key is one of the store; for a frame, whether it has a reference."""
        return await asyncio.to_thread(self._size, key) is not None

    async def getsize(self, key: str) -> int:
        """The number of bytes at a key, of which none is read.

        Raises
        ------
        FileNotFoundError
            There is no such key, or no such frame.
        FrameUnreachableError
            The length is not in the reference, and cannot be asked for.
        """
        size = await asyncio.to_thread(self._size, key)
        if size is None:
            raise FileNotFoundError(key)
        return size if size >= 0 else await asyncio.to_thread(self._file_size, key)

    def _size(self, key: str) -> int | None:
        """How many bytes a key has; -1 for a whole file, None where it is not a key."""
        document = self._document(key)
        if document is not None:
            return len(document)
        at = self._position(key)
        url, _, length = ("", 0, 0) if at is None else self.frame(*at)
        return length if url else None

    def _file_size(self, key: str) -> int:
        """The length of a frame's whole file, as its place says."""
        at = self._position(key)
        assert at is not None

        def reading(place: str) -> Session:
            yield from ()
            size = self.fetcher.status(place).total
            if size is None:
                raise FrameUnreachableError(
                    f"{shown(place)}: its server does not say how many bytes it has: read all of it"
                )
            return size

        array, position = at
        reference = self._reference(array, position, *self.frame(array, position))
        size: int = drive(self._session(reference, reading), self.fetcher)
        return size

    async def list(self) -> AsyncIterator[str]:
        """All keys, metadata first."""
        async for key in self.list_prefix(""):
            yield key

    async def list_prefix(self, prefix: str) -> AsyncIterator[str]:
        """All keys that begin with `prefix`."""
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
        """What stands directly under `prefix`."""
        references = await asyncio.to_thread(lambda: self.references)
        prefix = prefix.strip("/")
        if not prefix:
            for name in ("zarr.json", *references.arrays):
                yield name
        elif prefix in references.arrays:
            async for key in self.list_prefix(f"{prefix}/"):
                yield key.removeprefix(f"{prefix}/")


_AT_ONCE: Final = 10_000
"""References that are looked at together when keys are listed."""


def _call(made: Callable[[], FrameStore]) -> FrameStore:
    """What a store pickles as."""
    return made()

"""References as a read-only Zarr v3 store.

The store on disk speaks Zarr v2, which every reader of kerchunk references knows. This is our
own door to the same references: metadata in Zarr v3, made in memory, and chunks fetched where
they lie. Absent frames raise, or read as fill values where that was asked for.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
import zarr
from zarr.abc.store import (
    ByteRequest,
    OffsetByteRequest,
    RangeByteRequest,
    Store,
    SuffixByteRequest,
)
from zarr.registry import register_codec

from dkist_virtual.codec import (
    CODEC_ID,
    RAW_CODEC_ID,
    FITSCodecV3,
    FrameSpec,
    RawCodecV3,
    RawSpec,
)
from dkist_virtual.errors import (
    FrameError,
    FrameMissingError,
    StoreError,
    StoreMissingError,
)
from dkist_virtual.fetch import Fetcher, is_local, join
from dkist_virtual.memory import empty
from dkist_virtual.references import (
    JSON_NAME,
    PARQUET_NAME,
    ROOT_KEY,
    ArrayMetadata,
    ReferenceSet,
    chunk_key,
    read_json,
    read_parquet,
)
from dkist_virtual.window import (
    FIRST_READ,
    MAP_CACHE_BYTES,
    MapCache,
    advance,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

    from numpy.typing import NDArray
    from zarr.abc.buffer import Buffer, BufferPrototype

    from dkist_virtual.tiles import Window

__all__ = ["FrameStore", "Missing", "StoreHandle", "StoreReader", "load_references"]

Missing: TypeAlias = Literal["raise", "nan"]

# The entry point does the same in processes that open the group without this module; here it
# saves zarr a search through all installed packages.
register_codec(CODEC_ID, FITSCodecV3)
register_codec(RAW_CODEC_ID, RawCodecV3)


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


class FrameStore(Store):
    """A reference set as a Zarr v3 store that can only be read.

    Parameters
    ----------
    references : ReferenceSet
    fetcher : Fetcher, optional
    missing : {"raise", "nan"}
        What an absent frame does: raise `FrameMissingError`, or read as fill value.
    frames : str, optional
        A directory or URL to read the frames from instead of the references' own base.
    """

    def __init__(
        self,
        references: ReferenceSet,
        fetcher: Fetcher | None = None,
        *,
        missing: Missing = "raise",
        frames: str | None = None,
    ) -> None:
        super().__init__(read_only=True)
        if missing not in ("raise", "nan"):
            raise ValueError(f"missing = {missing!r}: expected 'raise' or 'nan'")
        self.references = references
        self.fetcher = fetcher or Fetcher()
        self.missing = missing
        self.frames = frames
        self._maps = MapCache(MAP_CACHE_BYTES)

    def __eq__(self, other: object) -> bool:
        return self is other

    __hash__ = object.__hash__

    def locate(self, url: str) -> str:
        """Where a frame is read: its reference's URL, or the same name under `frames`."""
        if self.frames is None or not url:
            return url
        base = f"{self.references.attributes.get('base', '').rstrip('/')}/"
        name = url.removeprefix(base)
        return join(self.frames, name if name != url else url.rsplit("/", 1)[-1])

    def frame(self, array: str, position: int) -> tuple[str, int, int]:
        """URL, offset and length of a frame; an empty URL where it has no reference."""
        _, frames = self.references.arrays[array]
        url, offset, length = next(frames.take(np.array([position])).rows())
        return self.locate(url), offset, length

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
        key = f"{array}/{chunk_key(self.references.arrays[array][0], position)}"
        url, offset, length = self.frame(array, position)
        if not url:
            raise FrameMissingError(f"{key}: the ASDF names no file for this frame")
        try:
            if isinstance(byte_range, RangeByteRequest):
                start, stop = byte_range.start, byte_range.end
                if offset >= 0:
                    stop = min(stop, length)
                    return self.fetcher.read(url, offset + start, stop - start)
                return self.fetcher.read_up_to(url, start, stop - start)
            return _cut(self.fetcher.read(url, offset, length), byte_range)
        except FrameError as error:
            raise error.at(key) from error

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
        metadata = self.references.arrays[array][0]
        url, offset, length = self.frame(array, position)
        key = f"{array}/{position}"
        frame = self._maps.get(key)
        spec = spec_of(metadata)
        where = ""
        try:
            if not url:
                raise FrameMissingError("the ASDF names no file for this frame")
            rows = spec.rows(window) if isinstance(spec, RawSpec) else None
            if rows is not None and offset >= 0 and rows[1] <= length:
                where = _range_text(offset, *rows)
                if out is None:
                    native = np.dtype(metadata.dtype).newbyteorder("=")
                    out = empty(tuple(map(len, window)), native)
                self.fetcher.read_into(url, offset + rows[0], out.reshape(-1).view("u1").data)
                return from_big_endian(out)
            steps = spec.steps(window, frame, self.head_bytes or FIRST_READ, out=out)
            wanted, done = next(steps), None
            while done is None:
                data: list[bytes | memoryview] = []
                for start, stop in wanted:
                    where = _range_text(offset, start, stop)
                    data.append(self._read_part(url, offset, length, start, stop))
                where = ""
                wanted, done = advance(steps, data)
        except FrameError as error:
            name = f"{array}/{chunk_key(metadata, position)}"
            text = str(error)
            place = name if url and url in text else f"{name}: {url}" if url else name
            raise error.at(f"{place}{where}") from error
        if frame is None and done[0] is not None:
            self._maps.put(key, done[0])
        return done[1]

    def _read_part(
        self, url: str, offset: int, length: int, start: int, stop: int | None
    ) -> bytes | memoryview:
        """A range of what a reference points at, as far as that goes."""
        if stop is None and offset >= 0:
            data = empty((length,), "u1").data
            self.fetcher.read_into(url, offset, data)
            return data
        if stop is None:
            return self.fetcher.read(url, offset, length)
        if offset < 0:
            return self.fetcher.read_up_to(url, start, stop - start)
        return self.fetcher.read(url, offset + start, max(min(stop, length) - start, 0))

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
        if name not in self.references.arrays or not _CHUNK.fullmatch(chunk):
            return None
        metadata = self.references.arrays[name][0]
        index = [int(i) for i in chunk.split(".")]
        n = metadata.n_frame_axes
        inside = all(i < m for i, m in zip(index, metadata.frame_shape, strict=False))
        if len(index) != len(metadata.shape) or any(index[n:]) or not inside:
            return None
        return name, int(np.ravel_multi_index(index[:n], metadata.frame_shape)) if n else 0

    async def get(
        self, key: str, prototype: BufferPrototype, byte_range: ByteRequest | None = None
    ) -> Buffer | None:
        """The bytes at a key; None where nothing stands there, or an absent frame under "nan"."""
        data = self._document(key)
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
            data = _cut(data, byte_range)
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
        at = self._position(key)
        return self._document(key) is not None or (at is not None and bool(self.frame(*at)[0]))

    async def list(self) -> AsyncIterator[str]:
        """All keys, metadata first."""
        yield "zarr.json"
        for name, (metadata, frames) in self.references.arrays.items():
            yield f"{name}/zarr.json"
            for position in range(metadata.n_frames):
                if next(frames.take(np.array([position])).rows())[0]:
                    yield f"{name}/{chunk_key(metadata, position)}"

    async def list_prefix(self, prefix: str) -> AsyncIterator[str]:
        """All keys that begin with `prefix`."""
        async for key in self.list():
            if key.startswith(prefix):
                yield key

    async def list_dir(self, prefix: str) -> AsyncIterator[str]:
        """What stands directly under `prefix`."""
        prefix = prefix.strip("/")
        if not prefix:
            for name in ("zarr.json", *self.references.arrays):
                yield name
        elif prefix in self.references.arrays:
            async for key in self.list_prefix(f"{prefix}/"):
                yield key.removeprefix(f"{prefix}/")

    supports_writes = False
    supports_deletes = False
    supports_listing = True

    async def set(self, key: str, value: Buffer) -> None:  # noqa: ARG002
        """Refuse: the frames are only read."""
        raise PermissionError(f"{key}: this store is read-only")

    async def delete(self, key: str) -> None:
        """Refuse: the frames are only read."""
        raise PermissionError(f"{key}: this store is read-only")


def from_big_endian(pixels: NDArray[np.generic]) -> NDArray[np.generic]:
    """Bytes that were read into an array from a file, in place, in the machine's own order."""
    return pixels.byteswap(inplace=True) if sys.byteorder == "little" else pixels


def _range_text(offset: int, start: int, stop: int | None) -> str:
    if stop is None:
        return ""
    return f", bytes {max(offset, 0) + start} to {max(offset, 0) + stop}"


_CHUNK = re.compile(r"\d{1,15}(\.\d{1,15})*")


def _cut(data: bytes, byte_range: ByteRequest | None) -> bytes:
    if isinstance(byte_range, RangeByteRequest):
        return data[byte_range.start : byte_range.end]
    if isinstance(byte_range, OffsetByteRequest):
        return data[byte_range.offset :]
    if isinstance(byte_range, SuffixByteRequest):
        return data[-byte_range.suffix :]
    return data


# Opening ------------------------------------------------------------------------------------


def load_references(url: str, fetcher: Fetcher) -> ReferenceSet:
    """Read the references of a store, JSON or parquet, by their known names.

    Parameters
    ----------
    url : str
        The store's directory.
    fetcher : Fetcher

    Raises
    ------
    StoreMissingError
        There is no store.
    StoreCorruptError
        Its references cannot be read.
    """
    read = StoreReader(url, fetcher)
    try:
        text = read(JSON_NAME)
    except FileNotFoundError:
        pass
    else:
        return read_json(text, join(url, JSON_NAME))
    shards = StoreReader(join(url, PARQUET_NAME), fetcher)
    try:
        shards(".zmetadata")
    except FileNotFoundError:
        raise StoreMissingError(
            f"{url}: no store here: expected {JSON_NAME} or {PARQUET_NAME}. "
            "dkist-virtual convert makes one from a dataset's ASDF"
        ) from None
    return read_parquet(shards, shards.url)


@dataclass(frozen=True, slots=True)
class StoreReader:
    """Reads the store's own files by name.

    Parameters
    ----------
    url : str
        A directory.
    fetcher : Fetcher
    """

    url: str
    fetcher: Fetcher

    def __call__(self, name: str) -> bytes:
        """A file's bytes.

        Raises
        ------
        FileNotFoundError
            There is none of that name.
        StoreError
            It cannot be asked for.
        """
        place = join(self.url, name)
        try:
            return self.fetcher.read(place)
        except FrameMissingError as error:
            raise FileNotFoundError(place) from error
        except FrameError as error:
            if is_local(place):  # unreachable: not even the directory is there
                raise FileNotFoundError(place) from error
            raise StoreError(f"{place}: {error}") from error


@dataclass(frozen=True)
class StoreHandle:
    """What it takes to open a store's frames, here or in another process.

    Pickles as the few values that it is: a store on disk travels as its URL. References that
    were made from an ASDF and are stored nowhere travel with it.

    Parameters
    ----------
    url : str or None
        The store's directory; None where there is none.
    references : ReferenceSet or None
        Those of a dataset without a store.
    missing : {"raise", "nan"}
    frames : str or None
    storage_options : dict
    """

    url: str | None
    references: ReferenceSet | None = None
    missing: Missing = "raise"
    frames: str | None = None
    storage_options: dict[str, dict[str, Any]] = field(default_factory=dict)
    _opened: dict[str, FrameStore] = field(default_factory=dict, repr=False, compare=False)

    @property
    def store(self) -> FrameStore:
        """The store, opened once in a process."""
        if "store" not in self._opened:
            fetcher = Fetcher(self.storage_options)
            references = self.references
            if references is None:
                assert self.url is not None
                references = load_references(self.url, fetcher)
            self._opened["store"] = FrameStore(
                references, fetcher, missing=self.missing, frames=self.frames
            )
        return self._opened["store"]

    @property
    def group(self) -> zarr.Group:
        """The Zarr v3 group of the store's arrays."""
        return zarr.open_group(self.store, mode="r", zarr_format=3, use_consolidated=False)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_opened": {}}

"""Show the files of a cube as a read-only Zarr store, in which no chunk is missing.

zarr reads a chunk whose file is gone as fill values. A cube has a file for each of its shards, so
that here such a file is an error.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from zarr.abc.store import OffsetByteRequest, RangeByteRequest, SuffixByteRequest

from dkist_virtual.errors import (
    FrameCorruptError,
    FrameError,
    FrameMissingError,
    StoreCorruptError,
    StoreError,
)
from dkist_virtual.io.byte_range import Request
from dkist_virtual.io.locations import join, shown
from dkist_virtual.store.cubes.presence import ROOT_NAME
from dkist_virtual.store.read_only import ReadOnlyStore, check_byte_range

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

    import zarr
    from zarr.abc.buffer import Buffer, BufferPrototype
    from zarr.abc.store import ByteRequest

    from dkist_virtual.io.fetcher import Fetcher

__all__ = ["CubeStore", "check_array"]


class CubeStore(ReadOnlyStore):
    """Read the files of a cube, here or on a server.

    Parameters
    ----------
    url : str
        The directory.
    fetcher : Fetcher
    names : iterable of str
        Of its arrays.
    """

    def __init__(
        self, url: str, fetcher: Fetcher, names: Iterable[str], *, read_only: bool = True
    ) -> None:
        super().__init__(read_only=read_only)
        self.url, self.fetcher, self.names = url, fetcher, tuple(names)

    supports_consolidated_metadata = True

    def __eq__(self, other: object) -> bool:
        return isinstance(other, CubeStore) and (self.url, self.names, self.fetcher) == (
            other.url, other.names, other.fetcher,
        )  # fmt: skip

    def __hash__(self) -> int:
        return hash(self.url)

    def __reduce__(self) -> tuple[Any, ...]:
        return CubeStore, (self.url, self.fetcher, self.names)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {shown(self.url)}>"

    __str__ = __repr__

    async def get(
        self, key: str, prototype: BufferPrototype, byte_range: ByteRequest | None = None
    ) -> Buffer | None:
        """Get the bytes at a key; None where there is no such metadata.

        Raises
        ------
        StoreCorruptError
            A chunk is missing, or shorter than the range.
        StoreError
            A server does not answer.
        """
        check_byte_range(byte_range)
        # In a thread: reads of files and networks would block all other reads of the process.
        data = await asyncio.to_thread(self._read, key, byte_range)
        return None if data is None else prototype.buffer.from_bytes(data)

    def _read(self, key: str, byte_range: ByteRequest | None) -> bytes | None:
        place = join(self.url, key)
        try:
            return self._ask(place, byte_range)
        except FrameMissingError as error:
            if key.endswith(ROOT_NAME):
                return None
            raise StoreCorruptError(
                f"{shown(place)}: this part of the pixels is missing from the cube: save it again"
            ) from error
        except FrameCorruptError as error:
            raise StoreCorruptError(
                f"{shown(place)}: this part of the pixels is shorter than it was: save it again"
            ) from error
        except FrameError as error:
            text = str(error)
            raise StoreError(text if shown(place) in text else f"{shown(place)}: {text}") from error

    def _ask(self, place: str, byte_range: ByteRequest | None) -> bytes:
        start, length = -1, -1
        if isinstance(byte_range, RangeByteRequest):
            start, length = byte_range.start, byte_range.end - byte_range.start
        elif byte_range is not None:
            total = self.fetcher.answer(Request.head(place, 0)).total or 0
            if isinstance(byte_range, SuffixByteRequest):
                start = max(total - byte_range.suffix, 0)
            elif isinstance(byte_range, OffsetByteRequest):
                start = min(byte_range.offset, total)
            length = total - start
        return bytes(self.fetcher.answer(Request(place, start, length)).data)

    async def exists(self, key: str) -> bool:
        """Check whether there is such a key."""
        return await asyncio.to_thread(self._exists, key)

    def _exists(self, key: str) -> bool:
        try:
            self.fetcher.answer(Request.head(join(self.url, key), 0))
        except FrameMissingError:
            return False
        return True

    async def list(self) -> AsyncIterator[str]:
        """List the keys of metadata: those of chunks follow from them."""
        async for key in self.list_prefix(""):
            yield key

    async def list_prefix(self, prefix: str) -> AsyncIterator[str]:
        """List the keys of metadata that begin with `prefix`."""
        for key in (ROOT_NAME, *(f"{name}/{ROOT_NAME}" for name in self.names)):
            if key.startswith(prefix):
                yield key

    async def list_dir(self, prefix: str) -> AsyncIterator[str]:
        """List what is directly under `prefix`."""
        prefix = prefix.strip("/")
        if not prefix:
            for name in (ROOT_NAME, *self.names):
                yield name
        elif prefix in self.names:
            yield ROOT_NAME


_CODECS: Final = frozenset(
    {"sharding_indexed", "bytes", "blosc", "zstd", "gzip", "crc32c", "transpose"}
)
"""Codecs that a cube may have: a stranger's could name any that is installed."""

_MOST: Final = 2**31
"""Bytes of a chunk, which is decoded as a whole."""


def check_array(array: zarr.Array[Any], place: str) -> None:
    """Refuse an array that a cube cannot have.

    Raises
    ------
    StoreCorruptError
        Its codecs are not those of cubes, or a chunk of it would fill the memory.
    """
    document = array.metadata.to_dict()
    names = set(_codecs(document.get("codecs", ())))
    if strange := sorted(names - _CODECS):
        raise StoreCorruptError(
            f"{shown(place)}: is encoded by {strange[0]}: expected only "
            f"{', '.join(sorted(_CODECS))}"
        )
    n_bytes = array.dtype.itemsize
    for n in array.chunks:
        n_bytes *= n
    if array.dtype.kind not in "biufc" or n_bytes > _MOST:
        raise StoreCorruptError(
            f"{shown(place)}: chunks of {array.chunks} pixels of {array.dtype}: expected numbers, "
            f"and at most {_MOST} bytes in a chunk"
        )


def _codecs(given: Any) -> Iterable[str]:
    for codec in given:
        yield str(codec["name"])
        about = codec.get("configuration") or {}
        for inner in ("codecs", "index_codecs"):
            yield from _codecs(about.get(inner, ()))

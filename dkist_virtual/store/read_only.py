"""Refuse to write to a Zarr store, as zarr does, and check byte ranges."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import numpy as np
from zarr.abc.store import (
    ByteRequest,
    OffsetByteRequest,
    RangeByteRequest,
    Store,
    SuffixByteRequest,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from zarr.abc.buffer import Buffer, BufferPrototype

__all__ = ["ReadOnlyStore", "bounds", "check_byte_range", "cut"]


class ReadOnlyStore(Store):
    """A store without a way to write; several keys are read at once.

    Parameters
    ----------
    read_only : bool
        True, as zarr's functions give it.

    Raises
    ------
    ValueError
        It is False.
    """

    def __init__(self, *, read_only: bool = True) -> None:
        if read_only is not True:
            raise ValueError(
                f"read_only = {read_only!r}: expected True, since frames are only read"
            )
        super().__init__(read_only=True)

    supports_writes = False
    supports_deletes = False
    supports_listing = True
    supports_consolidated_metadata = False

    def with_read_only(self, read_only: bool = False) -> Store:
        """Give the store itself, which has no other mode."""
        return self if read_only else super().with_read_only(read_only)

    async def get_partial_values(
        self,
        prototype: BufferPrototype,
        key_ranges: Iterable[tuple[str, ByteRequest | None]],
    ) -> list[Buffer | None]:
        """Get several keys at once."""
        return await asyncio.gather(*(self.get(key, prototype, part) for key, part in key_ranges))

    async def set(self, key: str, value: Buffer) -> None:  # noqa: ARG002
        """Refuse: the frames are only read."""
        raise _read_only(key)

    async def set_if_not_exists(self, key: str, value: Buffer) -> None:  # noqa: ARG002
        """Refuse: the frames are only read."""
        raise _read_only(key)

    async def delete(self, key: str) -> None:
        """Refuse: the frames are only read."""
        raise _read_only(key)

    async def delete_dir(self, prefix: str) -> None:
        """Refuse: the frames are only read."""
        raise _read_only(prefix)

    async def clear(self) -> None:
        """Refuse: the frames are only read."""
        raise _read_only("")


def _read_only(key: str) -> ValueError:
    # In zarr's words, and of the type that zarr's own stores raise.
    said = "store was opened in read-only mode and does not support writing"
    return ValueError(f"{key}: {said}: frames are only read" if key else said)


def check_byte_range(byte_range: object) -> None:
    """Refuse a byte range that zarr does not know: it would be ignored, and everything read."""
    if byte_range is None:
        return
    if isinstance(byte_range, RangeByteRequest):
        numbers = [byte_range.start, byte_range.end]
    elif isinstance(byte_range, OffsetByteRequest):
        numbers = [byte_range.offset]
    elif isinstance(byte_range, SuffixByteRequest):
        numbers = [byte_range.suffix]
    else:
        raise TypeError(
            f"Unexpected byte_range, got {byte_range!r}: expected a RangeByteRequest, "
            "OffsetByteRequest or SuffixByteRequest, or None"
        )
    if not all(isinstance(n, (int, np.integer)) and not isinstance(n, bool) for n in numbers):
        raise TypeError(f"Unexpected byte_range, got {byte_range!r}: expected integers")
    if min(numbers) < 0:
        raise ValueError(f"Unexpected byte_range, got {byte_range!r}: expected numbers from 0 on")


def bounds(length: int, byte_range: ByteRequest | None) -> tuple[int, int]:
    """Cut a byte range to a length: its first byte, and the one after its last."""
    start, stop = 0, length
    if isinstance(byte_range, RangeByteRequest):
        start, stop = byte_range.start, byte_range.end
    elif isinstance(byte_range, OffsetByteRequest):
        start = byte_range.offset
    elif isinstance(byte_range, SuffixByteRequest):
        start = length - byte_range.suffix
    start, stop = min(max(start, 0), length), min(stop, length)
    return int(start), int(max(start, stop))


def cut(data: bytes, byte_range: ByteRequest | None) -> bytes:
    """Cut a byte range out of bytes."""
    start, stop = bounds(len(data), byte_range)
    return data[start:stop]

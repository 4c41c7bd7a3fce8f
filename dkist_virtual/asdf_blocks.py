"""Count what compressed blocks of an ASDF come to, before `asdf` decompresses them. Pure."""

from __future__ import annotations

import bz2
import itertools
import struct
import zlib
from typing import TYPE_CHECKING, Any, Final

from dkist_virtual.errors import StoreCorruptError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["IN_ASDFS", "IN_STORES", "check_block"]

IN_STORES: Final = (b"zlib",)
"""How a block of a store's ``dataset.asdf`` may be compressed."""

IN_ASDFS: Final = (b"zlib", b"bzp2", b"lz4\0")
"""How one of an ASDF that a user opens may be: all that asdf knows by itself."""


_PIECE: Final = 2**20


def check_block(
    how: bytes,
    stored: memoryview,
    size: int,
    name: str,
    compressions: tuple[bytes, ...] = IN_ASDFS,
) -> None:
    """Check that a compressed block of an ASDF comes to no more than it says.

    asdf decompresses as much as there is before it looks at what the block says.

    Parameters
    ----------
    how : bytes
        The block's name of its compression.
    stored : memoryview
        What it holds.
    size : int
        What that comes to, by the block's header.
    name : str
        Of the file, for messages.
    compressions : tuple of bytes
        Those that are read.

    Raises
    ------
    StoreCorruptError
    """
    if how not in compressions:
        expected = ", ".join(one.rstrip(b"\0").decode() for one in compressions)
        raise StoreCorruptError(
            f"{name}: a block is compressed by {how.rstrip(bytes(1))!r}: expected none or "
            f"{expected}"
        )
    try:
        if any(n > size for n in itertools.accumulate(_DECOMPRESSED[how](stored))):
            raise StoreCorruptError(
                f"{name}: a block comes to more than the {size} bytes that it says"
            )
    except (ValueError, OSError, EOFError, zlib.error, struct.error) as error:
        raise StoreCorruptError(
            f"{name}: a block cannot be decompressed by {how.decode()!r}: {error}"
        ) from error


def _by_zlib(stored: memoryview) -> Iterator[int]:
    """How many bytes come of a block, piece by piece; none is kept."""
    decoder = zlib.decompressobj()
    for begin in range(0, len(stored), _PIECE):
        rest: Any = stored[begin : begin + _PIECE]
        while rest:
            yield len(decoder.decompress(rest, _PIECE))
            rest = decoder.unconsumed_tail


def _by_bzip2(stored: memoryview) -> Iterator[int]:
    decoder = bz2.BZ2Decompressor()
    for begin in range(0, len(stored), _PIECE):
        piece: Any = stored[begin : begin + _PIECE]
        while not decoder.eof:
            yield (n := len(decoder.decompress(piece, _PIECE)))
            piece = b""
            if decoder.needs_input or not n:
                break


def _by_lz4(stored: memoryview) -> Iterator[int]:
    """Parts, each behind its stored length (big-endian) and its own (little-endian)."""
    at = 0
    while at < len(stored):
        (length,) = struct.unpack_from(">I", stored, at)
        yield struct.unpack_from("<I", stored, at + 4)[0]
        at += 4 + length


_DECOMPRESSED: Final = {b"zlib": _by_zlib, b"bzp2": _by_bzip2, b"lz4\0": _by_lz4}

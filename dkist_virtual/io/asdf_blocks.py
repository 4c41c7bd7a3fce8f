"""Walk the blocks of an ASDF; check that each is whole and asks for no more memory than allowed.

Pure: the bytes may be a buffer, a mapped file, or a file read in slices.
"""

from __future__ import annotations

import bz2
import itertools
import re
import struct
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from dkist_virtual.errors import DatasetError, StoreCorruptError
from dkist_virtual.io.safety import check_size

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dkist_virtual.fits.hdu import FileSlices

__all__ = [
    "EMPTY_BLOCK",
    "IN_ASDFS",
    "IN_STORES",
    "MAGIC",
    "Block",
    "blocks_of",
    "check_block",
    "check_blocks",
    "check_start",
    "tree_end",
]

IN_STORES: Final = (b"zlib",)
"""How a block of a store's ``dataset.asdf`` may be compressed."""

IN_ASDFS: Final = (b"zlib", b"bzp2", b"lz4\0")
"""The same in an ASDF that a user opens: all that asdf knows by itself."""

PIECE: Final = 2**20
"""Bytes of a file that are searched at a time."""

MAGIC: Final = b"#ASDF"
"""The first bytes of every ASDF."""

_TREE_END: Final = re.compile(rb"\r?\n\.\.\.(\r?\n|$)")
_BLOCK: Final = b"\xd3BLK"
_HEADER: Final = struct.Struct(">I4sQQQ16s")  # flags, compression, allocated, used, data, md5
_STREAMED: Final = 1
_PLAIN: Final = bytes(4)

EMPTY_BLOCK: Final = (
    _BLOCK + _HEADER.size.to_bytes(2, "big") + _HEADER.pack(0, _PLAIN, 0, 0, 0, bytes(16))
)
"""A block without data."""


@dataclass(frozen=True, slots=True)
class Block:
    """A block of an ASDF: its byte range, its data's, and whether the data is not compressed."""

    start: int
    stop: int
    data: int
    n_bytes: int
    plain: bool


def check_block(
    how: bytes,
    stored: memoryview,
    size: int,
    name: str,
    compressions: tuple[bytes, ...] = IN_ASDFS,
) -> None:
    """Check that a compressed block of an ASDF decompresses to no more bytes than it says.

    asdf decompresses everything before it checks the length that the block states.

    Parameters
    ----------
    how : bytes
        The block's name of its compression.
    stored : memoryview
        Its data.
    size : int
        Bytes that they decompress to, by the block's header.
    name : str
        Of the file, for messages.
    compressions : tuple of bytes
        Those that are allowed.

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
    """Count the bytes that a block decompresses to, piece by piece; none is kept."""
    decoder = zlib.decompressobj()
    for begin in range(0, len(stored), PIECE):
        rest: Any = stored[begin : begin + PIECE]
        while rest:
            yield len(decoder.decompress(rest, PIECE))
            rest = decoder.unconsumed_tail


def _by_bzip2(stored: memoryview) -> Iterator[int]:
    decoder = bz2.BZ2Decompressor()
    for begin in range(0, len(stored), PIECE):
        piece: Any = stored[begin : begin + PIECE]
        while not decoder.eof:
            yield (n := len(decoder.decompress(piece, PIECE)))
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


def check_start(start: bytes, label: str) -> None:
    """Raise `DatasetError` where a file's first five bytes are not those of an ASDF."""
    if start != MAGIC:
        hint = "; it is gzipped: unpack it first" if start[:2] == b"\x1f\x8b" else ""
        raise DatasetError(
            f"{label}: not an ASDF file: expected it to begin with #ASDF, found {start!r}{hint}"
        )


def check_blocks(data: FileSlices, label: str) -> None:
    """Raise `DatasetError` unless an ASDF is complete, by its beginning, tree and blocks."""
    check_start(data[:5], label)
    if tree_end(data) < 0:
        raise DatasetError(f"{label}: its tree has no end; is it complete?")
    for _ in blocks_of(data, label):
        pass


def _pieces(data: FileSlices, start: int) -> Iterator[tuple[int, bytes]]:
    """Read a file in pieces, each with the first bytes of the next, so that a match fits in one."""
    for begin in range(start, len(data), PIECE):
        yield begin, data[begin : begin + PIECE + 8]


def tree_end(data: FileSlices) -> int:
    """Find where the tree of an ASDF ends; -1 where it does not."""
    for begin, piece in _pieces(data, 0):
        for found in _TREE_END.finditer(piece):
            end = begin + found.end()
            if found[1] or end == len(data):  # not where a piece ends
                return end
    return -1


def _first_block(data: FileSlices) -> int:
    """Find where the first block begins; -1 where there is none."""
    end = tree_end(data)
    if end < 0:
        return -1
    for begin, piece in _pieces(data, end):
        if (found := piece.find(_BLOCK)) >= 0:
            return begin + found
    return -1


def blocks_of(
    data: FileSlices,
    label: str,
    *,
    error: type[DatasetError | StoreCorruptError] = DatasetError,
    compressions: tuple[bytes, ...] = IN_ASDFS,
) -> Iterator[Block]:
    """Walk the blocks of an ASDF in the order of the file.

    Parameters
    ----------
    data : sliceable bytes
        The whole file.
    label : str
        The file's name in messages.
    error : type
        What is raised.
    compressions : tuple of bytes
        How blocks may be compressed.

    Raises
    ------
    DatasetError, StoreCorruptError
        A block is cut short, or asks for more memory than such a file may.
    OSError
    """
    at = _first_block(data)
    size, asked = len(data), 0
    while at >= 0 and data[at : at + 4] == _BLOCK:
        begin = at + 6 + int.from_bytes(data[at + 4 : at + 6], "big")
        header = data[at + 6 : at + 6 + _HEADER.size]
        if begin > size or len(header) < _HEADER.size:
            raise error(f"{label}: cut short in the header of a block; is it complete?")
        flags, compression, allocated, used, whole, _ = _HEADER.unpack(header)
        streamed = bool(flags & _STREAMED)
        stop = size if streamed else begin + allocated
        n_bytes = size - begin if streamed else used
        if begin + n_bytes > size or n_bytes > stop - begin:
            raise error(
                f"{label}: a block ends at byte {max(stop, begin + n_bytes)}, the file at "
                f"{size}; is it complete?"
            )
        asked += whole
        try:
            check_size(f"{label}: its blocks", asked, size)
            if compression != _PLAIN:
                stored = memoryview(data[begin : begin + n_bytes])
                check_block(compression, stored, whole, label, compressions)
        except StoreCorruptError as refused:
            raise error(str(refused)) from None
        yield Block(at, min(stop, size), begin, n_bytes, compression == _PLAIN)
        at = stop

"""Walk the blocks of an ASDF: each is there whole, and asks for no more memory than it may."""

from __future__ import annotations

import bz2
import itertools
import re
import struct
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from dkist_virtual.errors import DatasetError, StoreCorruptError
from dkist_virtual.io.local_file import FileBytes
from dkist_virtual.io.safety import check_size

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = [
    "BLOCK_HEADER",
    "BLOCK_MAGIC",
    "IN_ASDFS",
    "IN_STORES",
    "Block",
    "blocks_of",
    "check_block",
    "check_blocks",
]

IN_STORES: Final = (b"zlib",)
"""How a block of a store's ``dataset.asdf`` may be compressed."""

IN_ASDFS: Final = (b"zlib", b"bzp2", b"lz4\0")
"""How one of an ASDF that a user opens may be: all that asdf knows by itself."""


PIECE: Final = 2**20
"""Bytes of a file that are looked through at a time."""

_TREE_END: Final = re.compile(rb"\r?\n\.\.\.(\r?\n|$)")
BLOCK_MAGIC: Final = b"\xd3BLK"
BLOCK_HEADER: Final = struct.Struct(">I4sQQQ16s")  # flags, compression, allocated, used, data, md5
_STREAMED: Final = 1


@dataclass(frozen=True, slots=True)
class Block:
    """A block of an ASDF: where it begins, where its data lie, and whether as they are."""

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


def check_blocks(path: Path) -> None:
    """Refuse an ASDF that is not there whole, by what its blocks say.

    Raises
    ------
    DatasetError
    OSError
    """
    with FileBytes(path) as data:
        if data[:5] != b"#ASDF":
            raise DatasetError(f"{path}: begins with {data[:5]!r}: expected #ASDF")
        if _tree_end(data) < 0:
            raise DatasetError(f"{path}: its tree has no end; is it complete?")
    for _ in blocks_of(path, str(path)):
        pass


def _pieces(data: FileBytes, start: int) -> Iterator[tuple[int, bytes]]:
    """A file piece by piece, each with a little of the next one, so that nothing falls between."""
    for begin in range(start, len(data), PIECE):
        yield begin, data[begin : begin + PIECE + 8]


def _tree_end(data: FileBytes) -> int:
    """Where the tree of an ASDF ends; -1 where it does not."""
    for begin, piece in _pieces(data, 0):
        for found in _TREE_END.finditer(piece):
            end = begin + found.end()
            if found[1] or end == len(data):  # not where a piece ends
                return end
    return -1


def _first_block(data: FileBytes) -> int:
    """Where the first block begins; -1 where there is none."""
    end = _tree_end(data)
    if end < 0:
        return -1
    for begin, piece in _pieces(data, end):
        if (found := piece.find(BLOCK_MAGIC)) >= 0:
            return begin + found
    return -1


def blocks_of(path: Path, said: str) -> Iterator[Block]:
    """Walk the blocks of an ASDF in the order of the file.

    Parameters
    ----------
    path : pathlib.Path
    said : str
        The file's name in messages.

    Raises
    ------
    DatasetError
        A block is cut short, or asks for more memory than such a file may.
    OSError
    """
    with FileBytes(path) as data:
        at = _first_block(data)
        size, asked = len(data), 0
        while at >= 0 and data[at : at + 4] == BLOCK_MAGIC:
            begin = at + 6 + int.from_bytes(data[at + 4 : at + 6], "big")
            header = data[at + 6 : at + 6 + BLOCK_HEADER.size]
            if begin > size or len(header) < BLOCK_HEADER.size:
                raise DatasetError(f"{said}: cut short in the header of a block; is it complete?")
            flags, compression, allocated, used, whole, _ = BLOCK_HEADER.unpack(header)
            streamed = bool(flags & _STREAMED)
            stop = size if streamed else begin + allocated
            n_bytes = size - begin if streamed else used
            if begin + n_bytes > size or n_bytes > stop - begin:
                raise DatasetError(
                    f"{said}: a block ends at byte {max(stop, begin + n_bytes)}, the file at "
                    f"{size}; is it complete?"
                )
            if compression != bytes(4):
                asked += whole
                _check_compressed(said, compression, data, begin, n_bytes, whole, asked)
            yield Block(at, min(stop, size), begin, n_bytes, compression == bytes(4))
            at = stop


def _check_compressed(
    place: str, compression: bytes, data: FileBytes, begin: int, n: int, size: int, asked: int
) -> None:
    """Refuse a block that would take more memory than such a file may ask for.

    Raises
    ------
    DatasetError
    """
    try:
        check_size(f"{place}: its compressed blocks", asked, len(data))
        check_block(compression, memoryview(data[begin : begin + n]), size, place)
    except StoreCorruptError as error:
        raise DatasetError(str(error)) from None

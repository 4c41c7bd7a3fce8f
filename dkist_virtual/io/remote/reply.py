"""Classify what servers and buckets answer: retry, give up, absent, unreachable."""

from __future__ import annotations

import os
import re
import zlib
from typing import TYPE_CHECKING, Final, Protocol

from dkist_virtual.errors import FrameCorruptError, FrameError, FrameUnreachableError
from dkist_virtual.io.byte_range import LONGEST

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

__all__ = [
    "BLOCK",
    "MAX_SKIP",
    "AgainError",
    "ByteStream",
    "MovedError",
    "Sink",
    "add",
    "fill",
    "length_of",
    "part_of",
    "read_part",
    "read_unpacked",
    "read_up_to",
    "read_whole",
    "too_long",
    "why",
]

BLOCK: Final = 2**20
"""Bytes of a download that are in memory at a time."""


class ByteStream(Protocol):
    """The body of an answer: aiohttp's, or aiobotocore's."""

    async def read(self, n: int, /) -> bytes:
        """Read at most `n` bytes; none at its end."""
        ...


class Sink(Protocol):
    """Receive a whole file, piece by piece.

    Attributes
    ----------
    have : int
        How many bytes, from the first one on, were received.
    total : int or None
        Length of the file, where it is known.
    validator : str or None
        The server's name of this version of the file: a strong ETag, or its date.
    most : int
        How many bytes the file may have.
    """

    most: int
    have: int
    total: int | None
    validator: str | None

    async def begin(self, total: int | None, validator: str | None) -> None:
        """Start again with nothing; refuse a file of the wrong length."""
        ...

    async def write(self, pieces: list[bytes]) -> None:
        """Append bytes."""
        ...


MAX_SKIP: Final = 2**30
"""Bytes that are read and dropped from a server without ranges, to get to those wanted."""


def length_of(text: str | int | None) -> int | None:
    """Parse a length that a server states; None where it states none."""
    if text is None:
        return None
    found = re.fullmatch("[0-9]{1,19}", str(text).strip())
    if found is None or int(found[0]) > LONGEST:
        raise FrameUnreachableError(
            f"the server states a length of {str(text)!r:.40}: expected a number of bytes"
        )
    return int(found[0])


def part_of(text: str | None) -> tuple[int, int, int | None]:
    """Parse a Content-Range (RFC 9110, 14.4): first byte, end, and length of the whole file."""
    found = _CONTENT_RANGE.fullmatch((text or "").strip())
    first, last, total = found.groups() if found is not None else ("", "", "")
    begin, end = length_of(first or 0) or 0, length_of(last or 0) or 0
    length = None if total == "*" else length_of(total or 0)
    if found is None or not begin <= end < (LONGEST if length is None else length):
        raise FrameUnreachableError(
            f"answered with Content-Range {text!r:.80}: expected a part of a file"
        )
    return begin, end + 1, length


def too_long(most: int) -> FrameCorruptError:
    """Make the error for more bytes than a file may have."""
    return FrameCorruptError(
        f"more than {most} bytes were sent, or announced: expected a file of at most so many. For "
        "files of a store, and ASDFs, the setting dkist_virtual.largest_file is the limit"
    )


async def read_up_to(stream: ByteStream, n: int) -> bytes:
    """Read at most `n` bytes of an answer's body, however many are sent."""
    parts, left = [], n
    while left > 0:
        part = await stream.read(min(left, BLOCK))
        if not part:
            break
        parts.append(part)
        left -= len(part)
    return b"".join(parts)


async def read_whole(stream: ByteStream, most: int) -> bytes:
    """Read all bytes of an answer's body; refuse more than a file may have."""
    data = await read_up_to(stream, most + 1)
    if len(data) > most:
        raise too_long(most)
    return data


async def read_part(
    stream: ByteStream, stated: str | None, start: int, stop: int | None, most: int
) -> tuple[bytes, int | None]:
    """Read the body of a part of a file, and check it against the Content-Range that is stated.

    Returns the bytes, and the length of the whole file.
    """
    begin, end, total = part_of(stated)
    if begin != start:
        raise FrameUnreachableError(
            f"answered with the bytes {begin} to {end}: expected those from {start} on"
        )
    data = await read_up_to(stream, most if stop is None else stop - start)
    if len(data) != end - start:
        raise AgainError(f"the answer's body has {len(data)} bytes, of {start} to {end} announced")
    return data, total


async def read_unpacked(stream: ByteStream, most: int) -> bytes:
    """Read all bytes of a file that its server sends as gzip, whether it was asked to or not.

    Parameters
    ----------
    stream : aiohttp.StreamReader
    most : int
        How many bytes the file may have, and how many of its gzip are read: some gzip expands to a
        thousand times its length, and some to nothing.
    """
    unpacking = zlib.decompressobj(wbits=31)
    parts, n, sent = [], 0, 0
    while part := await stream.read(BLOCK):
        sent += len(part)
        while not unpacking.eof:
            try:
                piece = unpacking.decompress(part, BLOCK)
            except zlib.error as error:
                raise FrameCorruptError(
                    f"the server says that it sends gzip, and this is not gzip: {error}"
                ) from error
            parts.append(piece)
            n += len(piece)
            part = unpacking.unconsumed_tail
            if not piece and not part:
                break
            if n > most:
                break
        if max(n, sent) > most:
            raise too_long(most)
    if not unpacking.eof:
        raise AgainError("the answer's body ends in the middle of its gzip")
    return b"".join(parts)


class AgainError(Exception):
    """A failure that a retry may help."""


class MovedError(Exception):
    """A redirect. aiohttp would follow it with nearly all that was meant for the first place."""


_CONTENT_RANGE: Final = re.compile(r"bytes ([0-9]+)-([0-9]+)/([0-9]+|\*)")


async def add(sink: Sink, pieces: list[bytes]) -> None:
    """Append bytes to a sink; refuse more than the file may have."""
    if sink.have + sum(map(len, pieces)) > sink.most:
        raise too_long(sink.most)
    await sink.write(pieces)


async def fill(sink: Sink, pieces: AsyncIterator[bytes]) -> None:
    """Pass on what comes, in blocks; what came before a failure too."""
    pieces_left: list[bytes] = []
    n = 0
    try:
        async for piece in pieces:
            pieces_left.append(piece)
            n += len(piece)
            if n >= BLOCK:
                whole, pieces_left, n = pieces_left, [], 0
                await add(sink, whole)
    except FrameError:
        raise
    except Exception:
        await add(sink, pieces_left)
        raise
    await add(sink, pieces_left)
    if sink.total is not None and sink.have != sink.total:
        raise AgainError(f"the answer's body ends after {sink.have} of {sink.total} bytes")


_ADDRESS = re.compile(r"(?: to host|, url=)?\s*['\"]?[a-z][a-z0-9+.-]*://[^\s'\"]+['\"]?\)?")


def why(error: BaseException) -> str:
    """Say why a request failed, without its address: messages begin with that."""
    inner = getattr(error, "os_error", None)  # aiohttp's, which names host and port
    if isinstance(inner, OSError):
        known = inner.errno is not None and inner.errno > 0 and "Connect call" in str(inner)
        said = os.strerror(inner.errno) if known and inner.errno else inner.strerror or str(inner)
        return f"no connection: {said}"
    return f"{type(error).__name__}: {_ADDRESS.sub('', str(error))}".rstrip(": ")

"""Classify what servers and buckets answer: retry, give up, absent, unreachable."""

from __future__ import annotations

import os
import re
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeAlias

from dkist_virtual.errors import FrameCorruptError, FrameError, FrameUnreachableError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

__all__ = [
    "BLOCK",
    "LONGEST",
    "MAX_SKIP",
    "AgainError",
    "MovedError",
    "Reply",
    "Sink",
    "Version",
    "add",
    "fill",
    "length_of",
    "part_of",
    "read_unpacked",
    "read_up_to",
    "read_whole",
    "too_long",
    "too_short",
    "why",
]

Version: TypeAlias = "tuple[int | None, int | None, str | None, tuple[int, ...] | None]"
"""By what a file is known again: its length, modification time, ETag, and on this machine which
file of which disk it is, with the time of its last change. Where two are equal, so are the bytes,
as far as anybody says."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What a server answered.

    Attributes
    ----------
    data : bytes or memoryview
        As far as the file goes.
    total : int or None
        Length of the whole file; None where its server does not say.
    mtime : int or None
        When it was last changed, in nanoseconds, UTC.
    etag : str or None
    inode : tuple of int or None
        On this machine: device, number and change time, which a copy over the file changes too.
    firm : bool
        Whether other bytes would have another `version`. Where a server gives no validator, or the
        file changed so recently that one more change may fall into the same tick of its clock,
        nothing that was learnt of the file is kept for the next read.
    """

    data: bytes | memoryview
    total: int | None
    mtime: int | None = None
    etag: str | None = None
    inode: tuple[int, ...] | None = None
    firm: bool = False

    @property
    def version(self) -> Version:
        """By what the file that the bytes are of is known again."""
        return self.total, self.mtime, self.etag, self.inode

    def __post_init__(self) -> None:
        # Dates before 1678 and after 2262 are nobody's: of such a file the time is not known.
        if self.mtime is not None and abs(self.mtime) > LONGEST:
            object.__setattr__(self, "mtime", None)


BLOCK: Final = 2**20
"""Bytes of a file on its way to the disk that are held at a time."""


class Sink(Protocol):
    """Where a whole file goes, piece by piece.

    Attributes
    ----------
    have : int
        How many bytes, from the first one on, are there already.
    total : int or None
        Length of the file that those are of, where it is known.
    validator : str or None
        What its server calls this version of it: a strong ETag, or its date.
    most : int
        How many bytes it may have.
    """

    most: int
    have: int
    total: int | None
    validator: str | None

    async def begin(self, total: int | None, validator: str | None) -> None:
        """Begin anew, with nothing; refuse a file of the wrong length."""
        ...

    async def write(self, pieces: list[bytes]) -> None:
        """Add what comes next."""
        ...


LONGEST: Final = 2**63 - 1
"""Bytes of a file, and nanoseconds of a date: what headers.parquet has room for."""

MAX_SKIP: Final = 2**30
"""Bytes that are read and dropped of a server that knows no ranges, to get to those wanted."""


def length_of(text: str | int | None) -> int | None:
    """A length that a server states; None where it states none.

    Raises
    ------
    FrameUnreachableError
        It is not a length.
    """
    if text is None:
        return None
    found = re.fullmatch("[0-9]{1,19}", str(text).strip())
    if found is None or int(found[0]) > LONGEST:
        raise FrameUnreachableError(
            f"the server states a length of {str(text)!r:.40}: expected a number of bytes"
        )
    return int(found[0])


def part_of(text: str | None) -> tuple[int, int, int | None]:
    """First byte, end and length of the file that a Content-Range states (RFC 9110, 14.4).

    Raises
    ------
    FrameUnreachableError
        It states no part of a file.
    """
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
    """The error for more bytes than a file may have."""
    return FrameCorruptError(
        f"more than {most} bytes were sent, or announced: expected a file of at most so many. For "
        "files of a store, and ASDFs, the setting dkist_virtual.largest_file says how many"
    )


async def read_up_to(stream: Any, n: int) -> bytes:
    """Not more bytes of an answer's body than a number, however many are sent."""
    parts, left = [], n
    while left > 0:
        part = await stream.read(min(left, BLOCK))
        if not part:
            break
        parts.append(part)
        left -= len(part)
    return b"".join(parts)


async def read_whole(stream: Any, most: int) -> bytes:
    """All bytes of an answer's body.

    Raises
    ------
    FrameCorruptError
        There are more than a file may have.
    """
    parts, n = [], 0
    while part := await stream.read(BLOCK):
        n += len(part)
        if n > most:
            raise too_long(most)
        parts.append(part)
    return b"".join(parts)


async def read_unpacked(stream: Any, most: int) -> bytes:
    """All bytes of a file whose server sends it as gzip, whether it was asked to or not.

    Parameters
    ----------
    stream : aiohttp.StreamReader
    most : int
        How many bytes the file may have, and no more of its gzip are read: some of that comes to a
        thousand times its length, and some of it to nothing.

    Raises
    ------
    FrameCorruptError
        The file has more; or it is not gzip.
    AgainError
        It breaks off.
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
                    f"the server says that it sends gzip, and this is none: {error}"
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
    """A failure that may pass."""


class MovedError(Exception):
    """The server says that a file is somewhere else.

    aiohttp would go there with all that it was given for the first place, but for one header.
    """


_CONTENT_RANGE: Final = re.compile(r"bytes ([0-9]+)-([0-9]+)/([0-9]+|\*)")


async def add(sink: Sink, pieces: list[bytes]) -> None:
    """Add what comes next, if a file may have so much.

    Raises
    ------
    FrameCorruptError
    """
    if sink.have + sum(map(len, pieces)) > sink.most:
        raise too_long(sink.most)
    await sink.write(pieces)


async def fill(sink: Sink, pieces: AsyncIterator[bytes]) -> None:
    """Hand on what comes, in blocks; what came before a failure too."""
    held: list[bytes] = []
    n = 0
    try:
        async for piece in pieces:
            held.append(piece)
            n += len(piece)
            if n >= BLOCK:
                whole, held, n = held, [], 0
                await add(sink, whole)
    except FrameError:
        raise
    except Exception:
        await add(sink, held)
        raise
    await add(sink, held)
    if sink.total is not None and sink.have != sink.total:
        raise AgainError(f"the answer's body ends after {sink.have} of {sink.total} bytes")


def too_short(url: str, offset: int, length: int, found: int) -> FrameCorruptError:
    """The error for a file that ends inside a range that is referenced."""
    return FrameCorruptError(
        f"{url}: bytes {offset} to {offset + length} were referenced, only {found} of them are "
        "there: the file is shorter than the one that was scanned"
    )


_ADDRESS = re.compile(r"(?: to host|, url=)?\s*['\"]?[a-z][a-z0-9+.-]*://[^\s'\"]+['\"]?\)?")


def why(error: BaseException) -> str:
    """Say why a request failed without its address, which stands before it in messages."""
    inner = getattr(error, "os_error", None)  # aiohttp's, which names host and port
    if isinstance(inner, OSError):
        known = inner.errno is not None and inner.errno > 0 and "Connect call" in str(inner)
        said = os.strerror(inner.errno) if known and inner.errno else inner.strerror or str(inner)
        return f"no connection: {said}"
    return f"{type(error).__name__}: {_ADDRESS.sub('', str(error))}".rstrip(": ")

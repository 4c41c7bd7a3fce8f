"""What servers and buckets answer, and what becomes of it: words that all who ask them share."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from dkist_virtual.errors import FrameCorruptError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

__all__ = [
    "BLOCK",
    "CONTENT_RANGE",
    "SETTINGS",
    "AgainError",
    "MovedError",
    "Reply",
    "Sink",
    "fill",
    "setting",
    "too_short",
]

SETTINGS: Final[dict[str, float]] = {
    "concurrency": 64,
    "retries": 4,
    "backoff": 0.1,
    "timeout": 30.0,
}
"""How remote places are asked: requests at once, how often again after a failure, seconds before
the first of those (then twice as long each), seconds without an answer that are a failure. Each
is set as ``dask.config.set({"dkist_virtual.retries": 2})``, which reaches dask's workers too."""


def setting(name: str) -> float:
    """One of `SETTINGS`, as it is set now."""
    import dask

    given = dask.config.get(f"dkist_virtual.{name}", SETTINGS[name])
    if isinstance(given, (int, float)) and given >= 0:
        return given
    raise ValueError(f"the setting dkist_virtual.{name} is {given!r}: expected a number from 0 on")


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
    """

    data: bytes | memoryview
    total: int | None
    mtime: int | None = None
    etag: str | None = None


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
    """

    have: int
    total: int | None
    validator: str | None

    async def begin(self, total: int | None, validator: str | None) -> None:
        """Begin anew, with nothing; refuse a file of the wrong length."""
        ...

    async def write(self, pieces: list[bytes]) -> None:
        """Add what comes next."""
        ...


class AgainError(Exception):
    """A failure that may pass."""


class MovedError(Exception):
    """The server says that a file is somewhere else.

    aiohttp would go there with all that it was given for the first place, but for one header.
    """


CONTENT_RANGE: Final = re.compile(r"bytes (\d+)-(\d+)/(\d+|\*)")


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
                await sink.write(whole)
    except Exception:
        await sink.write(held)
        raise
    await sink.write(held)
    if sink.total is not None and sink.have != sink.total:
        raise AgainError(f"the answer's body ends after {sink.have} of {sink.total} bytes")


def too_short(url: str, offset: int, length: int, found: int) -> FrameCorruptError:
    """The error for a file that ends inside a range that is referenced."""
    return FrameCorruptError(
        f"{url}: bytes {offset} to {offset + length} were referenced, only {found} of them are "
        "there: the file is shorter than the one that was scanned"
    )

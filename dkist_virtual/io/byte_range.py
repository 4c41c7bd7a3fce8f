"""Describe a range request, its reply, and the version of the file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from dkist_virtual.errors import FrameCorruptError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["LONGEST", "PIECE", "SECOND", "Reply", "Request", "Version"]

LONGEST: Final = 2**63 - 1
"""Bytes of a file, and nanoseconds of a date: what headers.parquet has room for."""

SECOND: Final = 10**9

PIECE: Final = 2**20
"""Bytes that are read and used at a time, where they are used while the cache has them."""


@dataclass(frozen=True, slots=True)
class Version:
    """Identify one version of a file: where two are equal, so are the bytes, as far as known.

    Parameters
    ----------
    size : int or None
        Bytes of the whole file.
    mtime : int or None
        When it was last changed, in nanoseconds, UTC.
    etag : str or None
    inode : tuple of int or None
        On this machine: device, number and change time, which a copy over the file changes too.
    """

    size: int | None
    mtime: int | None
    etag: str | None = None
    inode: tuple[int, ...] | None = None

    def is_same(self, now: Version, within: int = 0) -> bool | None:
        """Compare with the file that is there now; None if that cannot be decided.

        The length decides, then the ETag where both have one, else the time.

        Parameters
        ----------
        now : Version
        within : int
            Nanoseconds that two times of the same file may differ by.
        """
        if None not in (self.size, now.size) and self.size != now.size:
            return False
        if self.etag is not None and now.etag is not None:
            return self.etag == now.etag
        if self.mtime is None or now.mtime is None:
            return None
        return abs(self.mtime - now.mtime) <= within


@dataclass(frozen=True, slots=True)
class Reply:
    """Hold the answer of a server or disk.

    Attributes
    ----------
    data : bytes or memoryview
        As far as the file goes.
    total, mtime, etag, inode
        Of the whole file, see `Version`; None where its server does not say.
    firm : bool
        Whether other bytes would have another `version`. Where a server gives no validator, or the
        file changed so recently that one more change may fall into the same tick of its clock,
        nothing that was learnt about the file is kept for the next read.
    """

    data: bytes | memoryview
    total: int | None
    mtime: int | None = None
    etag: str | None = None
    inode: tuple[int, ...] | None = None
    firm: bool = False

    @property
    def version(self) -> Version:
        """The version of the file that the bytes are of."""
        return Version(self.total, self.mtime, self.etag, self.inode)

    def __post_init__(self) -> None:
        # No file is from before 1678 or after 2262: then its time is not known.
        if self.mtime is not None and abs(self.mtime) > LONGEST:
            object.__setattr__(self, "mtime", None)


@dataclass(frozen=True, slots=True)
class Request:
    """Ask for bytes of a file; by default for all of them.

    Parameters
    ----------
    url : str
        A path or URL.
    offset, length : int
        Byte range; both -1 for the whole file.
    exact : bool
        Whether a file that ends before the range does is corrupt.
    into : memoryview, optional
        Where to put the bytes.
    each : callable, optional
        Called with every `PIECE` of `into` once its bytes are there, and with where it begins:
        while they are in the processor's cache. From 0 again if the file has to be read again.
    most : int, optional
        How many bytes the file may have, where all of it is wanted; by default the setting
        ``dkist_virtual.largest_file``.
    sized : bool
        Whether the reply has to say the length of the whole file. Without any bytes of it wanted,
        none is read on this machine, and one elsewhere.
    version : Version, optional
        What the file is expected to be: the reply of another version may be shorter.
    scanned : Version, optional
        What a scan found of the file: what a cache keeps of that version is given out even where
        the server cannot be asked.
    """

    url: str
    offset: int = -1
    length: int = -1
    exact: bool = True
    into: memoryview | None = None
    each: Callable[[int, memoryview], None] | None = None
    most: int | None = None
    sized: bool = False
    version: Version | None = None
    scanned: Version | None = None

    @classmethod
    def head(cls, url: str, n: int) -> Request:
        """Ask for the first `n` bytes of a file, as far as there are, and for its length."""
        return cls(url, 0, n, exact=False, sized=True)

    @property
    def start(self) -> int:
        """The first byte."""
        return max(self.offset, 0)

    @property
    def stop(self) -> int | None:
        """The byte after the last one; None for everything."""
        return None if self.offset < 0 else self.offset + self.length

    def checked(self, reply: Reply) -> Reply:
        """Check that a reply holds all that was asked for, or is of another version of the file."""
        if self.version is not None and reply.version != self.version:
            return reply
        if self.exact and self.length >= 0 and len(reply.data) != self.length:
            raise FrameCorruptError(
                f"{self.url}: bytes {self.offset} to {self.stop} were referenced, only "
                f"{len(reply.data)} of them are there: the file is shorter than the one that was "
                "scanned"
            )
        return reply

"""Bytes of files on this machine, which others may write to, cut or replace meanwhile.

Nothing is mapped into memory: a process that touches what was cut off of a mapped file is killed.
A pipe or device is not waited for, and not read: neither has an end.
"""

from __future__ import annotations

import errno
import io
import os
import stat
import time
from io import FileIO
from typing import Any, Final

from dkist_virtual.errors import (
    FrameCorruptError,
    FrameMissingError,
    FrameUnreachableError,
    StoreReplacedError,
)
from dkist_virtual.fits.buffers import empty
from dkist_virtual.io.remote.reply import Reply

__all__ = [
    "FileBytes",
    "StoreFile",
    "absent_or_unreachable",
    "is_something_else",
    "open_regular",
    "read_local",
    "status_of",
    "sync",
]

LARGE: Final = 2**20
"""What has so many bytes is read into memory that is used again."""


def _opened(path: str | os.PathLike[str]) -> FileIO:
    """A file to read from; a pipe is not waited for, whoever might write into it one day."""
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    number = os.open(path, flags)
    try:
        file = FileIO(number)
    except OSError:  # a directory
        os.close(number)
        raise
    file.name = path
    return file


def _status(file: FileIO) -> os.stat_result:
    """What is known of a file that is open; refuse a device or pipe, which has no end."""
    status = os.fstat(file.fileno())
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, "is no regular file")
    return status


def open_regular(path: str | os.PathLike[str]) -> io.BufferedReader:
    """Open a file to read from.

    Raises
    ------
    OSError
        It cannot be opened, or is a directory, pipe, socket or device.
    """
    file = _opened(path)
    try:
        _status(file)
    except OSError:
        file.close()
        raise
    return io.BufferedReader(file)


def is_something_else(path: str | os.PathLike[str]) -> bool:
    """Whether something is there that is neither a regular file nor a link to one."""
    try:
        return not stat.S_ISREG(os.stat(path).st_mode)
    except OSError:
        return False


def sync(path: str | os.PathLike[str]) -> None:
    """Have a file, or the names in a directory, survive the machine."""
    directory = os.path.isdir(path)
    try:
        file = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
    except OSError:
        if directory:  # not on every system
            return
        raise
    try:
        os.fsync(file)
    except OSError as error:
        # Some disks of networks know no such thing.
        if not directory and error.errno not in (errno.EINVAL, errno.EOPNOTSUPP, errno.EBADF):
            raise
    finally:
        os.close(file)


class FileBytes:
    """The bytes of a file, of which slices are read when they are asked for.

    Parameters
    ----------
    path : str

    Raises
    ------
    OSError
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._file = open_regular(path)
        self._size = os.fstat(self._file.fileno()).st_size

    def __len__(self) -> int:
        return self._size

    def __getitem__(self, item: slice) -> bytes:
        begin, stop, _ = item.indices(self._size)
        return os.pread(self._file.fileno(), max(stop - begin, 0), begin)

    def __enter__(self) -> FileBytes:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()


class StoreFile(io.RawIOBase):
    """A file of a store, open for as long as the store is: it stays the file that it was.

    Where another takes its name, the old one is read on; one that is written to is refused.

    Parameters
    ----------
    path : str

    Raises
    ------
    OSError
        It cannot be opened.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        super().__init__()
        self.name = os.fspath(path)
        self._file = open_regular(path)
        self._at = 0
        self._stamp = self._now()

    def _now(self) -> tuple[int, int]:
        # Not the time of its last change, which is also that of its last renaming.
        status = os.fstat(self._file.fileno())
        return status.st_size, status.st_mtime_ns

    def readable(self) -> bool:
        """Yes."""
        return True

    def seekable(self) -> bool:
        """Yes."""
        return True

    def tell(self) -> int:
        """Where the next read begins."""
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Say where the next read begins."""
        size = self._stamp[0]
        self._at = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: size}[whence]
        return self._at

    def readinto(self, out: Any) -> int:
        """Read.

        Raises
        ------
        StoreReplacedError
            The file was written to since it was opened.
        """
        view = memoryview(out).cast("B")
        n = max(0, min(len(view), self._stamp[0] - self._at))
        # By its offset: a forked process has the same file, and a place in it of its own.
        data = os.pread(self._file.fileno(), n, self._at)
        if self._now() != self._stamp:
            raise StoreReplacedError(
                f"{self.name}: was written to since it was opened: open the store again"
            )
        view[: len(data)] = data
        self._at += len(data)
        return len(data)

    def close(self) -> None:
        """Close it; reads fail from then on."""
        if not self.closed and "_file" in self.__dict__:  # not where it could not be opened
            self._file.close()
        super().close()


TICK: Final = 20_000_000
"""Nanoseconds. The clock of a disk goes in steps, at most so long on systems of today: a file that
changed less before it was read may change again and look the same."""

COARSE_TICK: Final = 2 * 10**9
"""The same of disks that write down whole seconds."""


def _changed(status: os.stat_result) -> int:
    """When a file was last changed: what nobody can set, where the system knows it."""
    return status.st_mtime_ns if os.name == "nt" else status.st_ctime_ns


def _no_clock(status: os.stat_result, now: int) -> bool:
    """Whether a disk does not say when a file changed: in whole seconds alone, or in the future."""
    changed = _changed(status)
    return changed % 10**9 == 0 or changed > now


def _reply(data: bytes | memoryview, status: os.stat_result, began: int) -> Reply:
    """Bytes of a file on this machine, with what is known of the whole of it.

    It is firm where the file did not change since shortly before it was read.
    """
    changed = _changed(status)
    tick = TICK if changed % 10**9 else COARSE_TICK
    return Reply(
        data, status.st_size, status.st_mtime_ns, None, (status.st_dev, status.st_ino, changed),
        firm=began - changed > tick,
    )  # fmt: skip


WRITTEN_TO: Final = 5
"""How often a file is read again that changes while it is read."""


def status_of(path: str) -> Reply:
    """What is known of a file without reading it.

    Raises
    ------
    FrameMissingError, FrameUnreachableError
    """
    try:
        return _reply(b"", os.stat(path), time.time_ns())
    except FileNotFoundError as error:
        raise absent_or_unreachable(path) from error
    except OSError as error:
        raise FrameUnreachableError(f"{path}: {error.strerror or error}") from error


def read_local(
    path: str,
    offset: int,
    length: int,
    *,
    into: memoryview | None = None,
) -> Reply:
    """A byte range of a file on this machine as far as it goes, all of one version of the file.

    The file is looked at after it was read; before as well where it is being written to, or the
    range is so long that no memory is asked for before it is known to be there.

    Parameters
    ----------
    path : str
    offset, length : int
        Both -1 for the whole file.
    into : memoryview, optional
        Where to put the bytes.

    Raises
    ------
    FrameMissingError, FrameUnreachableError
    FrameCorruptError
        The file changed each time while it was read.
    """
    try:
        careful = offset < 0 or length >= LARGE
        for _ in range(1 + WRITTEN_TO):
            began = time.time_ns()
            with _opened(path) as file:
                before = _reply(b"", _status(file), began) if careful else None
                try:
                    data = _bytes_of(file, offset, length, before, into)
                except OSError:
                    _status(file)  # what is wrong with a pipe is that it is one
                    raise
                after = _status(file)
            reply = _reply(data, after, began)
            if reply.firm:
                return reply
            same = before is not None and before.version == reply.version
            if same and _no_clock(after, began):
                return reply
            careful = True
            time.sleep(TICK / 1e9)
    except FileNotFoundError as error:
        raise absent_or_unreachable(path) from error
    except OSError as error:
        raise FrameUnreachableError(f"{path}: {error.strerror or error}") from error
    raise FrameCorruptError(
        f"{path}: changed all {WRITTEN_TO} times while it was read: expected a file that nobody "
        "writes to. Read it again once it is complete"
    )


def _bytes_of(
    file: FileIO, offset: int, length: int, about: Reply | None, into: memoryview | None
) -> bytes | memoryview:
    if offset < 0:
        return file.read()
    n = length
    if about is not None:  # Python asks for the memory before it reads
        n = min(length, max((about.total or 0) - offset, 0))
    if into is None:
        if n < LARGE:
            return os.pread(file.fileno(), n, offset)
        into = empty((n,), "u1").data
    file.seek(offset)
    done = 0
    while done < n and (more := file.readinto(into[done:n])):
        done += more
    return into[:done]


def absent_or_unreachable(path: str) -> FrameMissingError | FrameUnreachableError:
    """Which of the two a local file is that is not there."""
    directory = os.path.dirname(path) or "."
    if os.path.isdir(directory):
        return FrameMissingError(f"{path}: no such file")
    return FrameUnreachableError(
        f"{path}: its directory {directory} does not exist. Where the frames are somewhere else, "
        "say so with frames= (--frames)"
    )

"""Read files on this machine that other processes may write to, cut or replace at any time.

Nothing is mapped into memory: a process that touches what was cut off a mapped file is killed.
Pipes and devices are refused at once: they have no end.
"""

from __future__ import annotations

import errno
import io
import os
import secrets
import stat
import tempfile
import time
from contextlib import contextmanager, suppress
from io import FileIO
from typing import TYPE_CHECKING, Final

from dkist_virtual.errors import (
    FrameCorruptError,
    FrameMissingError,
    FrameUnreachableError,
    StoreReplacedError,
)
from dkist_virtual.fits.buffers import empty
from dkist_virtual.io.byte_range import PIECE, Reply

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from typing_extensions import Buffer

__all__ = [
    "FileBytes",
    "RangedFile",
    "StoreFile",
    "absent_or_unreachable",
    "is_something_else",
    "open_regular",
    "read_local",
    "replace_bytes",
    "replace_text",
    "status_of",
    "sync",
    "written_beside",
]

LARGE: Final = 2**20
"""From this many bytes on, a range is read into memory that is used again."""


_FLAGS: Final = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
"""To open a file to read from, without waiting for the writer of a pipe."""


def _opened(path: str | os.PathLike[str]) -> FileIO:
    """Open a file to read from, without waiting for the writer of a pipe."""
    number = os.open(path, _FLAGS)
    try:
        file = FileIO(number)
    except OSError:  # a directory
        os.close(number)
        raise
    file.name = path
    return file


def _status(number: int) -> os.stat_result:
    """Get the status of an open file; refuse a device or pipe, which has no end."""
    status = os.fstat(number)
    if not stat.S_ISREG(status.st_mode):
        if stat.S_ISDIR(status.st_mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        raise OSError(errno.EINVAL, "is not a regular file")
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
        _status(file.fileno())
    except OSError:
        file.close()
        raise
    return io.BufferedReader(file)


def is_something_else(path: str | os.PathLike[str]) -> bool:
    """Check whether a path is something other than a regular file or a link to one."""
    try:
        return not stat.S_ISREG(os.stat(path).st_mode)
    except OSError:
        return False


def sync(path: str | os.PathLike[str]) -> None:
    """Make a file, or the names in a directory, survive a crash of the machine."""
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
        # Some network disks cannot.
        if not directory and error.errno not in (errno.EINVAL, errno.EOPNOTSUPP, errno.EBADF):
            raise
    finally:
        os.close(file)


@contextmanager
def written_beside(path: str | os.PathLike[str], suffix: str = ".part") -> Iterator[str]:
    """Give the path of an empty file beside a place; it is renamed to the place after the block.

    It is removed if anything is raised, and what was there before stays. A link is followed.

    Raises
    ------
    OSError
        It cannot be written.
    """
    directory, name = os.path.split(os.path.realpath(path))
    part = os.path.join(directory, f".{name[:200]}.{secrets.token_hex(4)}{suffix}")
    try:
        with open(part, "xb"):
            pass
        yield part
        sync(part)
        os.replace(part, os.path.join(directory, name))
    finally:
        with suppress(OSError):
            os.remove(part)
    sync(directory)


def replace_text(directory: str, name: str, text: str) -> None:
    """Write a file of a directory, in place of what was there; it is whole at any time.

    Raises
    ------
    OSError
        It cannot be written; what was there before stays.
    """
    replace_bytes(directory, name, text.encode())


def replace_bytes(directory: str, name: str, data: bytes) -> None:
    """Write the bytes of a file of a directory, as `replace_text` does."""
    stem = name.partition(".")[0]
    file, part = tempfile.mkstemp(prefix=f".{stem}.", dir=directory)
    try:
        with os.fdopen(file, "wb") as opened:
            opened.write(data)
        os.chmod(part, 0o644)
        sync(part)
        os.replace(part, os.path.join(directory, name))
    except BaseException:
        os.unlink(part)
        raise
    sync(directory)


class FileBytes:
    """Read slices of a file's bytes when they are asked for."""

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


class RangedFile(io.RawIOBase):
    """A file of known size whose bytes are read by ranges."""

    def __init__(self, name: str, size: int) -> None:
        super().__init__()
        self.name, self.size = name, size
        self._at = 0

    def read_range(self, start: int, n: int) -> bytes:
        """Read a range that is inside the file."""
        raise NotImplementedError

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
        """Set where the next read begins."""
        from_where = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self.size}
        self._at = offset + from_where[whence]
        return self._at

    def readinto(self, out: Buffer) -> int:
        """Read."""
        view = memoryview(out).cast("B")
        data = self.read_range(self._at, max(0, min(len(view), self.size - self._at)))
        view[: len(data)] = data
        self._at += len(data)
        return len(data)


class StoreFile(RangedFile):
    """A file of a store, which stays open as long as the store does.

    If another file takes its name, the old one is still read; one that is written to is refused.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._file = open_regular(path)
        self._stamp = self._now()
        super().__init__(os.fspath(path), self._stamp[0])

    def _now(self) -> tuple[int, int]:
        # Not the time of its last change, which is also that of its last renaming.
        status = os.fstat(self._file.fileno())
        return status.st_size, status.st_mtime_ns

    def read_range(self, start: int, n: int) -> bytes:
        """Read a range that is inside the file.

        Raises
        ------
        StoreReplacedError
            The file was written to since it was opened.
        """
        # By its offset: a forked process has the same file, and a place in it of its own.
        data = os.pread(self._file.fileno(), n, start)
        if self._now() != self._stamp:
            raise StoreReplacedError(
                f"{self.name}: was written to since it was opened: open the store again"
            )
        return data

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
    """Get the time of a file's last change: one that cannot be set, where the system has it."""
    return status.st_mtime_ns if os.name == "nt" else status.st_ctime_ns


def _no_clock(status: os.stat_result, now: int) -> bool:
    """Check whether a disk's clock is of no use: in whole seconds, or in the future."""
    changed = _changed(status)
    return changed % 10**9 == 0 or changed > now


def _reply(data: bytes | memoryview, status: os.stat_result, began: int) -> Reply:
    """Make a reply, which is firm if the file did not change since shortly before it was read."""
    changed = _changed(status)
    tick = TICK if changed % 10**9 else COARSE_TICK
    return Reply(
        data, status.st_size, status.st_mtime_ns, None, (status.st_dev, status.st_ino, changed),
        firm=began - changed > tick,
    )  # fmt: skip


WRITTEN_TO: Final = 5
"""How often a file that changes while it is read is read again."""


def status_of(path: str) -> Reply:
    """Get the length and version of a file without reading it."""
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
    each: Callable[[int, memoryview], None] | None = None,
) -> Reply:
    """Read a byte range of a file on this machine as far as it goes, all of one version.

    The file's status is checked after it was read; before as well if it is being written to, or if
    the range is long: no memory is allocated for bytes that are not there.

    Parameters
    ----------
    path : str
    offset, length : int
        Both -1 for the whole file.
    into : memoryview, optional
        Where to put the bytes.
    each : callable, optional
        What is done with every piece of `into`: see `Request`.

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
            file = os.open(path, _FLAGS)
            try:
                before = _reply(b"", _status(file), began) if careful else None
                try:
                    data = _bytes_of(file, offset, length, before, into, each)
                except OSError:
                    _status(file)  # what is wrong with a pipe is that it is one
                    raise
                after = _status(file)
            finally:
                os.close(file)
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
        f"{path}: changed all {WRITTEN_TO} times while it was read: expected a file that is not "
        "being written to. Read it again once it is complete"
    )


def _bytes_of(
    number: int,
    offset: int,
    length: int,
    about: Reply | None,
    into: memoryview | None,
    each: Callable[[int, memoryview], None] | None,
) -> bytes | memoryview:
    if offset < 0:
        return FileIO(number, closefd=False).read()
    n = length
    if about is not None:  # Python asks for the memory before it reads
        n = min(length, max((about.total or 0) - offset, 0))
    if into is None:
        if n < LARGE:
            return os.pread(number, n, offset)
        into = empty((n,), "u1").data
    file = FileIO(number, closefd=False)
    file.seek(offset)
    for begin in range(0, n, PIECE if each else max(n, 1)):
        piece = into[begin : min(begin + PIECE, n) if each else n]
        done = 0
        while done < len(piece) and (more := file.readinto(piece[done:])):
            done += more
        if done < len(piece):
            return into[: begin + done]
        if each:
            each(begin, piece)
    return into[:n]


def absent_or_unreachable(path: str) -> FrameMissingError | FrameUnreachableError:
    """Decide whether a local file that is not there is absent or unreachable."""
    directory = os.path.dirname(path) or "."
    if os.path.isdir(directory):
        return FrameMissingError(f"{path}: no such file")
    return FrameUnreachableError(
        f"{path}: its directory {directory} does not exist. Where the frames are somewhere else, "
        "say so with frames= (--frames)"
    )

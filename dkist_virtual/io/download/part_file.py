"""Write a file under a temporary name until it is whole and checked.

Beside ``frame.fits`` there is ``frame.fits.part`` while it comes, and ``frame.fits.part.json``,
which says of which file the part is. So a download that was killed goes on where it stood, and
whatever has its final name is whole.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from threading import Lock
from typing import TYPE_CHECKING, Final

from dkist_virtual.errors import DownloadError, FrameCorruptError, FrameError
from dkist_virtual.fits.file_check import Checked, check_whole
from dkist_virtual.io.local_file import FileBytes, is_something_else, open_regular, sync
from dkist_virtual.io.locks import open_locked, unlock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["MOST", "PART", "PART_NOTES", "Part", "is_whole"]

PART: Final = ".part"
"""What is added to the name of a file that is not whole yet."""

PART_NOTES: Final = ".part.json"
"""What is added to the name of the notes about it."""


MOST: Final = 2**36
"""Bytes of a file of no known length: a frame may have 2³² pixels."""


def is_whole(path: str) -> bool:
    """Whether a file is FITS to its end, by its own headers."""
    try:
        with FileBytes(path) as data:
            check_whole(data, Checked(None, -1))
    except (FrameError, OSError):
        return False
    return True


class Part:
    """A file that is being fetched; a `dkist_virtual.io.remote.request.Sink`.

    Parameters
    ----------
    path : str
        Its final name. The directory is there.
    url : str
        Where it comes from.
    size : int
        Length that it must have, -1 where that is not known.
    moved : callable
        Called with the number of bytes that came; with a negative one where they were in vain.
    most : int
        How many bytes it may have, where its length is not known.

    Raises
    ------
    DownloadError
        It cannot be written, or another process is at it.
    """

    def __init__(
        self,
        path: str,
        url: str,
        size: int = -1,
        moved: Callable[[int], object] = bool,
        most: int = MOST,
    ) -> None:
        self.path, self.url, self.size = path, url, size
        self.most = size if size >= 0 else most
        self.have = 0
        self.total: int | None = None
        self.validator: str | None = None
        self._moved = moved
        self._named = False
        self._closing = Lock()
        with _told(path):
            file = open_locked(_no_link(path + PART))
        if file is None:
            raise DownloadError(
                f"{path + PART}: another process is fetching this file: wait for it, or choose "
                "another directory"
            )
        self._file = file
        self._take_over()

    def _take_over(self) -> None:
        """Count what is there already, if the notes say that it is of the same file."""
        try:
            with open_regular(self.path + PART_NOTES) as file:
                notes = json.load(file)
            url, total, validator = (notes[key] for key in ("url", "total", "validator"))
        except (OSError, ValueError, TypeError, KeyError):
            return
        there = os.fstat(self._file).st_size
        usable = (
            url == self.url
            and isinstance(validator, str)
            and isinstance(total, int)
            and self.size in (-1, total)
            and 0 < there <= total
        )
        if usable:
            self.have, self.total, self.validator = there, total, validator

    @property
    def whole(self) -> bool:
        """Whether nothing is left to be fetched."""
        return self.total is not None and self.have == self.total

    async def begin(self, total: int | None, validator: str | None) -> None:
        """Begin anew, with nothing.

        Raises
        ------
        FrameCorruptError
            The file has another length than it had when it was scanned.
        DownloadError
        """
        if total is not None and self.size not in (-1, total):
            raise FrameCorruptError(self._other_length(total))
        self._moved(-self.have)
        self.have, self.total, self.validator = 0, total, validator
        await asyncio.to_thread(self._begin)

    def _other_length(self, found: int) -> str:
        return (
            f"the file has {found} bytes: it had {self.size} when it was scanned. Convert again if "
            "it was replaced"
        )

    def _begin(self) -> None:
        with self._closing, _told(self.path):
            if self._file < 0:
                return
            # Without notes a part counts for nothing, so they are gone before it is cut.
            _remove(self.path + PART_NOTES)
            os.ftruncate(self._file, 0)
            if self.total is not None and self.validator is not None:
                notes = {"url": self.url, "total": self.total, "validator": self.validator}
                with open(_no_link(self.path + PART_NOTES), "w", encoding="utf-8") as file:
                    json.dump(notes, file)

    async def write(self, pieces: list[bytes]) -> None:
        """Add what comes next.

        Raises
        ------
        DownloadError
        """
        if pieces:
            await asyncio.to_thread(self._write, pieces)

    def _write(self, pieces: list[bytes]) -> None:
        for piece in pieces:
            view = memoryview(piece)
            # Whoever gave the file up closed it: nothing may be written to what comes to have
            # its number.
            with self._closing, _told(self.path):
                while self._file >= 0 and view:
                    n = _write_at(self._file, view, self.have)
                    view = view[n:]
                    self.have += n
                    self._moved(n)

    def finish(self, check: Callable[[str], object] | None = None) -> None:
        """Give the file its name, if it is whole and right, and have it survive the machine.

        Parameters
        ----------
        check : callable, optional
            Takes the path, and raises what is wrong with the file; by default FITS that is not
            whole is wrong.

        Raises
        ------
        FrameCorruptError
            Another length than was scanned; what `check` raises. The part is then removed.
        DownloadError
        """
        try:
            if self.size not in (-1, self.have):
                raise FrameCorruptError(self._other_length(self.have))
            with _told(self.path):
                if os.name == "nt":
                    unlock(self._file)
                if check is not None:
                    check(self.path + PART)
                elif not is_whole(self.path + PART):
                    raise FrameCorruptError("is cut short, or no FITS")
        except FrameError:
            with _told(self.path):
                self.remove()
            raise
        with _told(self.path):
            # A name that survives while its bytes do not would be that of an empty file.
            os.fsync(self._file)
            if os.name == "nt":  # elsewhere the lock is held until the part is gone
                self.close()
            os.replace(self.path + PART, self.path)
            _remove(self.path + PART_NOTES)
            self._named = True
            sync(os.path.dirname(self.path) or os.curdir)
            self.close()

    def remove(self) -> None:
        """Remove the part."""
        if os.name == "nt":
            self.close()
        _remove(self.path + PART)
        _remove(self.path + PART_NOTES)
        self.close()

    def close(self) -> None:
        """Leave the part as it is, if anything came; once closed, nothing happens any more."""
        with self._closing:
            if self._file >= 0 and not (self.have or self._named) and os.name != "nt":
                with contextlib.suppress(OSError):
                    _remove(self.path + PART)
                    _remove(self.path + PART_NOTES)
            if self._file >= 0:
                os.close(self._file)
                self._file = -1


def _write_at(file: int, view: memoryview, at: int) -> int:
    os.lseek(file, at, os.SEEK_SET)
    return os.write(file, view)


@contextlib.contextmanager
def _told(path: str) -> Iterator[None]:
    """Say of which file the disk's errors are."""
    try:
        yield
    except (DownloadError, FrameError):
        raise
    except OSError as error:
        told = DownloadError(f"{path}: cannot be written: {error.strerror or error}")
        told.errno = error.errno
        raise told from error


def _remove(path: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.remove(path)


def _no_link(path: str) -> str:
    if os.path.islink(path) or is_something_else(path):
        kind = "a link" if os.path.islink(path) else "no regular file"
        raise DownloadError(f"{path}: is {kind}: expected no file, or one of an earlier download")
    return path

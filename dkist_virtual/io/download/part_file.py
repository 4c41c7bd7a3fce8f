"""Write a file under a temporary name until it is whole and checked.

While ``frame.fits`` is being fetched there are ``frame.fits.part`` and ``frame.fits.part.json``,
which describes the file on the server. A download that was killed continues from there, and a file
with its final name is whole.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from threading import Lock
from typing import TYPE_CHECKING, Final

from dkist_virtual.errors import DownloadError, FrameCorruptError, FrameError
from dkist_virtual.io.local_file import is_something_else, open_regular, sync
from dkist_virtual.io.locks import open_locked, unlock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["MOST", "PART", "PART_NOTES", "PartialFile", "open_part"]

PART: Final = ".part"
"""Suffix of a file that is not whole yet."""

PART_NOTES: Final = ".part.json"
"""Suffix of the notes about it."""

MOST: Final = 2**36
"""The largest file of unknown length: a frame may have 2³² pixels."""


class PartialFile:
    """A file that is being fetched; a `dkist_virtual.io.remote.request.Sink`.

    `path` is its final name, in a directory that exists; `size` the length that it must have, -1
    where that is not known: then `most` is the largest to accept. `count` is called with the number
    of bytes received, and with a negative one where they were of no use.

    Raises DownloadError if it cannot be written, or another process is writing it.
    """

    def __init__(
        self,
        path: str,
        url: str,
        size: int = -1,
        count: Callable[[int], object] = bool,
        most: int = MOST,
    ) -> None:
        self.path, self.url, self.size = path, url, size
        self.most = size if size >= 0 else most
        self.have = 0
        self.total: int | None = None
        self.validator: str | None = None
        self._count = count
        self._named = False
        self._closing = Lock()
        with _naming(path):
            file = open_locked(_no_link(path + PART))
        if file is None:
            raise DownloadError(
                f"{path + PART}: another process is fetching this file: wait for it, or choose "
                "another directory"
            )
        self._file = file
        self._take_over()

    def _take_over(self) -> None:
        """Continue a part that is there already, if its notes are about the same file."""
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
        """Begin again, with no bytes.

        Raises FrameCorruptError if the file has another length than it had when it was scanned.
        """
        if total is not None and self.size not in (-1, total):
            raise FrameCorruptError(self._other_length(total))
        self._count(-self.have)
        self.have, self.total, self.validator = 0, total, validator
        await asyncio.to_thread(self._begin)

    def _other_length(self, found: int) -> str:
        return (
            f"the file has {found} bytes: it had {self.size} when it was scanned. Convert again if "
            "it was replaced"
        )

    def _begin(self) -> None:
        with self._closing, _naming(self.path):
            if self._file < 0:
                return
            # A part without notes is ignored, so remove them before it is cut.
            _remove(self.path + PART_NOTES)
            os.ftruncate(self._file, 0)
            if self.total is not None and self.validator is not None:
                notes = {"url": self.url, "total": self.total, "validator": self.validator}
                with open(_no_link(self.path + PART_NOTES), "w", encoding="utf-8") as file:
                    json.dump(notes, file)

    async def write(self, pieces: list[bytes]) -> None:
        """Append the next bytes; raise DownloadError where that fails."""
        if pieces:
            await asyncio.to_thread(self._write, pieces)

    def _write(self, pieces: list[bytes]) -> None:
        for piece in pieces:
            view = memoryview(piece)
            # It may have been closed since: do not write to another file with its number.
            with self._closing, _naming(self.path):
                while self._file >= 0 and view:
                    n = _write_at(self._file, view, self.have)
                    view = view[n:]
                    self.have += n
                    self._count(n)

    def finish(self, check: Callable[[str], object]) -> None:
        """Check the file, sync it to the disk and give it its name.

        `check` takes the path and raises a FrameError if the file is broken. After one, or if the
        length is not that of the scan (FrameCorruptError), the part is removed.
        """
        try:
            if self.size not in (-1, self.have):
                raise FrameCorruptError(self._other_length(self.have))
            with _naming(self.path):
                if os.name == "nt":
                    unlock(self._file)
                check(self.path + PART)
        except FrameError:
            with _naming(self.path):
                self.remove()
            raise
        with _naming(self.path):
            # Otherwise a crash of the machine could leave the name without the bytes.
            os.fsync(self._file)
            if os.name == "nt":  # elsewhere the lock is held until the part is gone
                self.close()
            # The notes go first: once the file has its name, no later run looks for them.
            _remove(self.path + PART_NOTES)
            os.replace(self.path + PART, self.path)
            self._named = True
            sync(os.path.dirname(self.path) or os.curdir)
            self.close()

    def remove(self) -> None:
        """Remove the part."""
        if os.name == "nt":
            self.close()
        _remove(self.path + PART_NOTES)
        _remove(self.path + PART)
        self.close()

    def close(self) -> None:
        """Keep the part if it has any bytes, otherwise remove it; later calls do nothing."""
        with self._closing:
            if self._file >= 0 and not (self.have or self._named) and os.name != "nt":
                with contextlib.suppress(OSError):
                    _remove(self.path + PART_NOTES)
                    _remove(self.path + PART)
            if self._file >= 0:
                os.close(self._file)
                self._file = -1


async def open_part(
    path: str, url: str, size: int = -1, count: Callable[[int], object] = bool, most: int = MOST
) -> PartialFile:
    """Open a `PartialFile` in a thread; where that is cancelled, close it once it is open.

    A thread cannot be cancelled, and would leave the file locked for the rest of the process.
    """
    opening = asyncio.ensure_future(asyncio.to_thread(PartialFile, path, url, size, count, most))
    try:
        return await asyncio.shield(opening)
    except asyncio.CancelledError:
        with contextlib.suppress(DownloadError):
            (await opening).close()
        raise


def _write_at(file: int, view: memoryview, at: int) -> int:
    os.lseek(file, at, os.SEEK_SET)
    return os.write(file, view)


@contextlib.contextmanager
def _naming(path: str) -> Iterator[None]:
    """Turn errors of the disk into a DownloadError that names the file."""
    try:
        yield
    except (DownloadError, FrameError):
        raise
    except OSError as error:
        named = DownloadError(f"{path}: cannot be written: {error.strerror or error}")
        named.errno = error.errno
        raise named from error


def _remove(path: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.remove(path)


def _no_link(path: str) -> str:
    if os.path.islink(path) or is_something_else(path):
        kind = "a link" if os.path.islink(path) else "not a regular file"
        raise DownloadError(f"{path}: is {kind}: expected no file, or one of an earlier download")
    return path

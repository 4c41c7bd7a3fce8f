"""Bytes from any place, and what it means when they do not come.

A frame can be absent, unreachable or broken, and the three are never mixed up (`errors`):
absent is no such file in a directory that exists, or a server's word that there is none;
unreachable is everything that kept us from asking.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from dkist_virtual.errors import FrameCorruptError, FrameMissingError, FrameUnreachableError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Fetcher", "Head", "absolute", "is_local", "join", "local_path"]


def is_local(url: str) -> bool:
    """Whether a place is on this machine: a path, or a ``file:`` URL."""
    return "://" not in url or url.startswith("file://")


def local_path(url: str) -> str:
    """The path that a local place means."""
    return url.removeprefix("file://") if url.startswith("file://") else url


def absolute(place: str | os.PathLike[str]) -> str:
    """A place as an absolute path or URL, without a slash at its end."""
    text = os.fspath(place)
    if is_local(text):
        text = os.path.abspath(os.path.expanduser(local_path(text)))
    return text.rstrip("/") or "/"


def join(base: str, name: str) -> str:
    """A name relative to a directory or URL."""
    return f"{base.rstrip('/')}/{name}"


@dataclass(frozen=True, slots=True)
class Head:
    """The beginning of a file.

    Attributes
    ----------
    data : bytes
    size : int or None
        Length of the whole file; None where its server does not say.
    mtime : int or None
        When it was last changed, in nanoseconds, UTC.
    etag : str or None
    """

    data: bytes
    size: int | None
    mtime: int | None
    etag: str | None


@dataclass(frozen=True)
class Fetcher:
    """Reads bytes from files, local or remote.

    Parameters
    ----------
    storage_options : mapping, optional
        A protocol or a URL prefix to the options of fsspec's filesystem for it. The longest
        prefix of a URL decides, and nothing goes anywhere else.
    """

    storage_options: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def options(self, url: str) -> dict[str, Any]:
        """The options that are meant for a URL."""
        protocol = url.partition("://")[0] if "://" in url else "file"
        prefixes = [p for p in self.storage_options if "://" in p and url.startswith(p)]
        chosen = max(prefixes, key=len, default=protocol)
        return dict(self.storage_options.get(chosen, {}))

    def read(self, url: str, offset: int = -1, length: int = -1) -> bytes:
        """One byte range, or a whole file.

        Parameters
        ----------
        url : str
            A path or URL.
        offset, length : int
            Byte range; both -1 for the whole file.

        Raises
        ------
        FrameMissingError, FrameUnreachableError
        FrameCorruptError
            The file is shorter than the range.
        """
        if is_local(url):
            data = self._read_local(local_path(url), offset, length)
        else:
            data = self._read_remote(url, offset, length)
        if length >= 0 and len(data) != length:
            raise _too_short(url, offset, length, len(data))
        return data

    def read_into(self, url: str, offset: int, out: memoryview) -> None:
        """Fill `out`, writable bytes, with those of a file from `offset` on.

        Raises
        ------
        FrameMissingError, FrameUnreachableError
        FrameCorruptError
            The file ends before.
        """
        if not is_local(url):
            out[:] = self.read(url, offset, len(out))
            return
        path, done = local_path(url), 0
        try:
            with open(path, "rb", buffering=0) as file:
                file.seek(offset)
                while done < len(out):
                    n = file.readinto(out[done:])
                    if not n:
                        raise _too_short(url, offset, len(out), done)
                    done += n
        except FileNotFoundError as error:
            raise absent_or_unreachable(path) from error
        except OSError as error:
            raise FrameUnreachableError(f"{path}: {error.strerror or error}") from error

    def read_up_to(self, url: str, offset: int, length: int) -> bytes:
        """A byte range of a file, as far as the file goes.

        Raises
        ------
        FrameMissingError, FrameUnreachableError
        """
        if is_local(url):
            return self._read_local(local_path(url), offset, length)
        return self._read_remote(url, offset, length)

    def head(self, url: str, n: int) -> Head:
        """The first `n` bytes of a file, and what is known of the whole of it.

        Raises
        ------
        FrameMissingError, FrameUnreachableError
        """
        if not is_local(url):
            return self._head_remote(url, n)
        path = local_path(url)
        try:
            with open(path, "rb", buffering=0) as file:
                status = os.fstat(file.fileno())
                return Head(file.read(n), status.st_size, status.st_mtime_ns, None)
        except FileNotFoundError as error:
            raise absent_or_unreachable(path) from error
        except OSError as error:
            raise FrameUnreachableError(f"{path}: {error.strerror or error}") from error

    def _head_remote(self, url: str, n: int) -> Head:
        data = self._read_remote(url, 0, n)
        import fsspec

        try:
            filesystem, path = fsspec.core.url_to_fs(url, **self.options(url))
            info = filesystem.info(path)
        except Exception as error:  # each filesystem has errors of its own
            raise FrameUnreachableError(f"{url}: {type(error).__name__}: {error}") from error
        return Head(data, info.get("size"), None, info.get("ETag"))

    def _read_local(self, path: str, offset: int, length: int) -> bytes:
        try:
            with open(path, "rb", buffering=0) as file:
                if offset < 0:
                    return file.read()
                return os.pread(file.fileno(), length, offset)
        except FileNotFoundError as error:
            raise absent_or_unreachable(path) from error
        except OSError as error:
            raise FrameUnreachableError(f"{path}: {error.strerror or error}") from error

    def _read_remote(self, url: str, offset: int, length: int) -> bytes:
        import fsspec

        stop = offset + length if offset >= 0 else None
        try:
            filesystem, path = fsspec.core.url_to_fs(url, **self.options(url))
            data: bytes = filesystem.cat_file(path, max(offset, 0), stop)
        except FileNotFoundError as error:
            raise FrameMissingError(f"{url}: no such file") from error
        except Exception as error:  # each filesystem has errors of its own
            raise FrameUnreachableError(f"{url}: {type(error).__name__}: {error}") from error
        return data


def _too_short(url: str, offset: int, length: int, found: int) -> FrameCorruptError:
    return FrameCorruptError(
        f"{url}: bytes {offset} to {offset + length} were referenced, only {found} of them are "
        "there: the file is shorter than the one that was scanned"
    )


def absent_or_unreachable(path: str) -> FrameMissingError | FrameUnreachableError:
    """Which of the two a local file is that is not there."""
    directory = os.path.dirname(path) or "."
    if os.path.isdir(directory):
        return FrameMissingError(f"{path}: no such file")
    return FrameUnreachableError(
        f"{path}: its directory {directory} does not exist. Where the frames are somewhere else, "
        "say so with frames= (--frames)"
    )

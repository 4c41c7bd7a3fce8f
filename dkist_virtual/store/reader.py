"""Read the store's own files by name, on this machine or from a server."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, BinaryIO, Final, cast

from dkist_virtual.errors import (
    FrameCorruptError,
    FrameError,
    FrameMissingError,
    StoreCorruptError,
    StoreError,
)
from dkist_virtual.io.byte_range import Request
from dkist_virtual.io.driver import read_files, read_many
from dkist_virtual.io.local_file import RangedFile, StoreFile
from dkist_virtual.io.locations import is_local, join, local_path, shown
from dkist_virtual.store.format.references import (
    JSON_NAME,
    PARQUET_NAME,
    ReferenceSet,
    read_json,
    replaced_error,
    sha256,
)
from dkist_virtual.store.format.references_parquet import read_parquet
from dkist_virtual.store.presence import no_store_error
from dkist_virtual.store.relative.resolve import resolve_references

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from dkist_virtual.fits.partial import Reading
    from dkist_virtual.io.byte_range import Reply
    from dkist_virtual.io.fetcher import Fetcher

__all__ = ["REFERENCE_NAMES", "StoreReader", "references_in"]


def references_in(read: StoreReader) -> ReferenceSet:
    """Read the references of a store, JSON or parquet, by their known names.

    Those that are relative to the store are made absolute.

    Raises
    ------
    StoreMissingError
        There is no store.
    StoreCorruptError
        Its references cannot be read.
    """
    try:
        text = read(JSON_NAME)
    except FileNotFoundError:
        pass
    else:
        return resolve_references(read_json(text, join(read.url, JSON_NAME)), read.url)
    shards = read.below(PARQUET_NAME)
    try:
        shards.keep(".zmetadata", shards(".zmetadata"))
    except FileNotFoundError:
        raise no_store_error(read.url) from None
    return resolve_references(read_parquet(shards, shards.url), read.url)


REFERENCE_NAMES: Final = (JSON_NAME, f"{PARQUET_NAME}/.zmetadata")


SMALL: Final = (f"{PARQUET_NAME}/.zmetadata", "verify.json")
"""Files of a store whose size does not depend on its number of frames."""

MOST_OF_SMALL: Final = 2**24
"""Bytes that one of those may have on a server."""


@dataclass(frozen=True, slots=True)
class StoreReader:
    """Read the store's own files by name.

    Parameters
    ----------
    url : str
        A directory.
    fetcher : Fetcher
    """

    url: str = field(repr=False)  # may be signed
    fetcher: Fetcher
    _known: dict[str, bytes | FrameError] = field(default_factory=dict, repr=False, compare=False)

    def ahead(self, names: Iterable[str]) -> StoreReader:
        """Make a reader that has already requested some files of a server, all at once."""
        if is_local(self.url):
            return self
        places = [join(self.url, name) for name in names]
        places = [place for place in places if place not in self._known]
        small = {join(self.url, name) for name in SMALL}
        most = [MOST_OF_SMALL if place in small else None for place in places]
        known = dict(zip(places, read_files(places, self.fetcher, most), strict=True))
        return StoreReader(self.url, self.fetcher, {**self._known, **known})

    def again(self) -> StoreReader:
        """Make a reader that has requested nothing yet."""
        return StoreReader(self.url, self.fetcher)

    def keep(self, name: str, data: bytes) -> None:
        """Give these bytes to the next read of a file."""
        self._known[join(self.url, name)] = data

    def below(self, name: str) -> StoreReader:
        """Make a reader of a directory inside."""
        return StoreReader(join(self.url, name), self.fetcher, self._known)

    def __call__(self, name: str) -> bytes:
        """Read a file.

        Raises
        ------
        FileNotFoundError
            There is none of that name.
        StoreError
            It cannot be read.
        """
        return self.marked(name)[0]

    def marked(self, name: str) -> tuple[bytes, str]:
        """Read a file; return also a mark that tells it from a later one of that name."""
        place = join(self.url, name)
        try:
            # Once: the next read is of what is there by then.
            found = self._known.pop(place, None)
            if isinstance(found, FrameError):
                raise found
            if found is not None:
                return found, ""
            reply = self.fetcher.answer(Request(place))
            return bytes(reply.data), _mark(reply)
        except FrameMissingError as error:
            raise FileNotFoundError(shown(place)) from error
        except FrameError as error:
            # Unreachable: not even the directory is there.
            if is_local(place) and not os.path.lexists(local_path(place)):
                raise FileNotFoundError(shown(place)) from error
            raise _store_error(place, error) from error

    def marks(self, names: Sequence[str]) -> list[str]:
        """Get the marks of some files, by one request each; empty for one that is not there."""
        readings = [_marked(join(self.url, name)) for name in names]
        return list(read_many(readings, self.fetcher, local=is_local(self.url)))

    def open(self, name: str, most: int) -> BinaryIO:
        """Open a file to read it in parts, all of one version.

        Parameters
        ----------
        name : str
        most : int
            How many bytes it may have on a server.

        Raises
        ------
        FileNotFoundError, StoreError
        """
        place = join(self.url, name)
        if is_local(place):
            try:
                return cast("BinaryIO", StoreFile(local_path(place)))
            except FileNotFoundError as error:
                raise FileNotFoundError(shown(place)) from error
            except OSError as error:
                raise StoreError(f"{shown(place)}: {error.strerror or error}") from error
        return cast("BinaryIO", _RemoteFile(place, self.fetcher, most))


def _marked(url: str) -> Reading[Request, Reply, str]:
    """Read the mark of a file; empty where it cannot be read."""
    try:
        (found,) = yield [Request.head(url, 0)]
        if found.total is None:  # then all of it says how long it is
            (found,) = yield [Request(url)]
    except FrameError:
        return ""
    return _mark(found)


def _mark(reply: Reply) -> str:
    """Name the version of a file that a server, or the disk, answered with."""
    # Weak and strong are the same here: servers that compress some answers call those weak.
    etag = reply.etag and reply.etag.removeprefix("W/")
    return f"{etag or reply.mtime} {reply.total}"


def _store_error(place: str, error: FrameError) -> StoreError:
    text = str(error)
    kind = StoreCorruptError if isinstance(error, FrameCorruptError) else StoreError
    return kind(text if shown(place) in text else f"{shown(place)}: {text}")


class _RemoteFile(RangedFile):
    """A remote file that reads the ranges asked for, and a little ahead."""

    block = 2**20

    def __init__(self, url: str, fetcher: Fetcher, most: int) -> None:
        self.name = url
        self._fetcher = fetcher
        first = self._fetch(0, 2**16)  # all of a small one
        if first.total is None:
            first = self._fetch(-1, -1)
        self._version = first.version
        self._begin, self._data = 0, bytes(first.data)
        self._seen = [(0, len(self._data), sha256(self._data))]
        super().__init__(url, len(first.data) if first.total is None else first.total)
        if self.size > most:
            raise StoreCorruptError(
                f"{shown(url)}: the server says that it has {self.size} bytes: expected at most "
                f"{most} for a dataset of so many frames. Convert the dataset again"
            )

    def _fetch(self, start: int, length: int) -> Reply:
        try:
            return self._fetcher.answer(Request(self.name, start, length, exact=False))
        except FrameMissingError as error:
            raise FileNotFoundError(shown(self.name)) from error
        except FrameError as error:
            raise _store_error(self.name, error) from error

    def _have(self, begin: int, length: int) -> None:
        """Read a range of the file into memory, or all of it, of the version of earlier reads."""
        reply = self._fetch(begin, length)
        if reply.version != self._version:
            # Another file; or the same on another machine of a service, each of which gives it a
            # time of its own. All of it in one answer is of one version, and holds what was read.
            begin, length = 0, self.size
            reply = self._fetch(begin, length)
            data = bytes(reply.data)
            if any(sha256(data[at : at + n]) != seen for at, n, seen in self._seen):
                raise replaced_error(self.name)
        self._data, self._begin = bytes(reply.data), begin
        if len(self._data) != length:
            raise StoreCorruptError(
                f"{shown(self.name)}: bytes {begin} to {begin + length} of {self.size}: only "
                f"{len(self._data)} came"
            )
        self._seen.append((begin, length, sha256(self._data)))

    def read_range(self, start: int, n: int) -> bytes:
        """Read a range, with what is before a footer: its length is in its last bytes."""
        if n and not self._begin <= start <= start + n <= self._begin + len(self._data):
            begin = min(start, max(0, self.size - self.block))
            self._have(begin, max(start + n - begin, min(self.block, self.size - begin)))
        return self._data[start - self._begin : start - self._begin + n]

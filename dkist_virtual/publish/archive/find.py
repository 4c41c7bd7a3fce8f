"""Find the ASDFs of an archive, and what tells whether each has changed.

Frames are never looked at. A directory of this machine is read once, names only; one with many
files that has not changed since (by its modification time, which every new, renamed or removed
file sets) is not read again.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from dkist_virtual.errors import DatasetError, DKISTVirtualError, FrameError
from dkist_virtual.io.byte_range import Request
from dkist_virtual.io.local_file import COARSE_TICK
from dkist_virtual.io.locations import Location, absolute, is_in, is_local, local_path, shown
from dkist_virtual.io.remote.request import filesystem_of
from dkist_virtual.io.safety import check_no_secrets
from dkist_virtual.store.format.names import HEADERS_NAME, METADATA_NAME

if TYPE_CHECKING:
    from dkist_virtual.io.fetcher import Fetcher

__all__ = ["ArchivePlace", "FoundAsdf", "LargeDirectory", "Listing", "Stamp", "list_archive"]

ArchivePlace: TypeAlias = "str | os.PathLike[str] | Sequence[str | os.PathLike[str]]"
"""An archive, as `convert_archive` takes it."""

LARGE: Final = 1_000
"""A directory with so many entries is remembered: to read it again would take a while."""

_AT_ONCE: Final = 16
"""Requests at once for lists of buckets and servers."""


@dataclass(frozen=True, slots=True)
class Stamp:
    """What tells that a file has changed.

    Parameters
    ----------
    size : int
        Bytes; -1 where the server does not say.
    mtime : int
        Modification time, ns since 1970; -1 where there is an ETag, or none is known.
    etag : str
        Empty where there is none.
    """

    size: int
    mtime: int = -1
    etag: str = ""

    @property
    def tells(self) -> bool:
        """Whether two files with this stamp are the same."""
        return self.size >= 0 and (self.mtime >= 0 or bool(self.etag))


@dataclass(frozen=True, slots=True)
class FoundAsdf:
    """An ASDF of an archive.

    Parameters
    ----------
    place : str
        Absolute path or URL.
    stamp : Stamp
    modified : int
        When it was written, ns since 1970, to choose the newest; -1 where it is not known.
    error : str
        Why nothing is known of it; empty where it is.
    """

    place: str
    stamp: Stamp
    modified: int = -1
    error: str = ""


LargeDirectory: TypeAlias = tuple[int, tuple[str, ...], tuple[str, ...]]
"""Modification time in ns, names of the ASDFs, names of the directories."""


@dataclass(frozen=True)
class Listing:
    """The ASDFs of an archive.

    Parameters
    ----------
    root : str, optional
        Absolute path or URL; None where they were given as a list.
    asdfs : tuple of FoundAsdf
        By their places.
    unlisted : mapping of str to str
        Directories that could not be read, and why.
    large : mapping of str to LargeDirectory
        Directories that are not read again while they are the same.
    n_directories : int
        How many were looked at.
    """

    root: str | None
    asdfs: tuple[FoundAsdf, ...]
    unlisted: Mapping[str, str] = field(default_factory=dict)
    large: Mapping[str, LargeDirectory] = field(default_factory=dict)
    n_directories: int = 0


def list_archive(
    archive: ArchivePlace,
    fetcher: Fetcher,
    *,
    skip: str,
    large: Mapping[str, LargeDirectory] | None = None,
    seen: Callable[[], object] = lambda: None,
) -> Listing:
    """Find the ASDFs of an archive.

    Directories of stores, hidden ones (``.snapshot``), and `skip` are left out. Links to
    directories are followed, each directory once.

    Parameters
    ----------
    archive : path, URL, or sequence of them
        A text that begins with ``@`` or ends in ``.txt`` is a file with one place on each line.
    fetcher : Fetcher
    skip : str
        Absolute path of a directory.
    large : mapping of str to LargeDirectory, optional
        What an earlier listing found in large directories.
    seen : callable
        Called for each directory.

    Raises
    ------
    DatasetError
        The archive cannot be listed.
    ValueError
        A URL contains a password or a query.
    """
    if isinstance(archive, bytes):
        raise TypeError(f"archive = {archive!r}: expected text or a path, not bytes")
    if not isinstance(archive, (str, os.PathLike)):
        return _given([os.fspath(place) for place in archive], fetcher)
    text = os.fspath(archive)
    if text.startswith("@") or text.lower().endswith(".txt"):
        return _given(_lines(text.removeprefix("@")), fetcher)
    place = absolute(text, "archive")
    if is_local(place):
        return _Walk(skip, large or {}, seen).run(local_path(place))
    check_no_secrets("archive", place)
    return _list_remote(place, fetcher, seen)


# A list ---------------------------------------------------------------------------------------


def _lines(path: str) -> list[str]:
    """Read a list of places; relative paths are so from its directory."""
    try:
        text = Path(path).expanduser().read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "is not UTF-8"
        raise DatasetError(
            f"{path}: cannot be read: {why}: expected a list of ASDFs, one on each line"
        ) from error
    places = [line.strip() for line in text.splitlines()]
    here = os.path.dirname(absolute(path))
    return [
        os.path.join(here, os.path.expanduser(place)) if is_local(place) else place
        for place in places
        if place and not place.startswith("#")
    ]


def _given(places: Sequence[str], fetcher: Fetcher) -> Listing:
    unique = dict.fromkeys(absolute(place, "archive") for place in places)
    for place in unique:
        check_no_secrets("archive", place)
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        found = list(pool.map(lambda place: _look(place, fetcher), unique))
    return Listing(None, tuple(sorted(found, key=lambda asdf: asdf.place)))


def _look(place: str, fetcher: Fetcher) -> FoundAsdf:
    """Ask for the stamp of one ASDF."""
    try:
        if is_local(place):
            return _status(local_path(place))
        reply = fetcher.answer(Request.head(place, 0))
    except (OSError, FrameError) as error:
        why = str(error) if isinstance(error, DKISTVirtualError) else _why(error)
        return FoundAsdf(place, Stamp(-1), error=why)
    mtime = -1 if reply.mtime is None else reply.mtime
    size = -1 if reply.total is None else reply.total
    return FoundAsdf(place, Stamp(size, -1 if reply.etag else mtime, reply.etag or ""), mtime)


def _status(path: str) -> FoundAsdf:
    status = os.stat(path)
    return FoundAsdf(path, Stamp(status.st_size, status.st_mtime_ns), status.st_mtime_ns)


def _why(error: OSError) -> str:
    return error.strerror or str(error) or type(error).__name__


# A directory of this machine --------------------------------------------------------------------


class _Walk:
    """Read directories, one after the other."""

    def __init__(
        self, skip: str, large: Mapping[str, LargeDirectory], seen: Callable[[], object]
    ) -> None:
        self._before, self._seen = large, seen
        self._asdfs: list[FoundAsdf] = []
        self._n = 0
        self._unlisted: dict[str, str] = {}
        self._large: dict[str, LargeDirectory] = {}
        self._visited: set[tuple[int, int]] = set()
        if os.path.isdir(skip):
            status = os.stat(skip)
            self._visited.add((status.st_dev, status.st_ino))

    def run(self, root: str) -> Listing:
        if not os.path.isdir(root):
            what = "is a file" if os.path.exists(root) else "no such directory"
            raise DatasetError(
                f"{root}: {what}: expected the directory of an archive, a bucket or URL, or a "
                "list of ASDFs as @list.txt"
            )
        status = os.stat(root)
        # Stores may be written into the archive itself: they are known by their files.
        self._visited.discard((status.st_dev, status.st_ino))
        waiting = [root]
        while waiting:
            path = waiting.pop()
            try:
                waiting += self._read(path)
            except OSError as error:
                if path == root:
                    raise DatasetError(f"{root}: cannot be listed: {_why(error)}") from error
                self._unlisted[path] = _why(error)
        found = sorted(self._asdfs, key=lambda asdf: asdf.place)
        return Listing(root, tuple(found), self._unlisted, self._large, self._n)

    def _read(self, path: str) -> list[str]:
        """Note the ASDFs of a directory, and return the directories in it."""
        began = time.time_ns()
        status = os.stat(path)
        key = status.st_dev, status.st_ino
        # With a disk that does not number its directories, each is looked at.
        if status.st_ino and key in self._visited:
            return []
        self._visited.add(key)
        self._n += 1
        self._seen()
        before = self._before.get(path)
        if before is not None and before[0] == status.st_mtime_ns:
            self._large[path] = before
            _, asdfs, directories = before
        else:
            asdfs, directories, n = _names(path)
            # One that changed just now may change again within the same tick of its clock.
            if n >= LARGE and began - status.st_mtime_ns > COARSE_TICK:
                self._large[path] = status.st_mtime_ns, asdfs, directories
        for name in asdfs:
            place = os.path.join(path, name)
            try:
                self._asdfs.append(_status(place))
            except OSError as error:
                self._asdfs.append(FoundAsdf(place, Stamp(-1), error=_why(error)))
        return [os.path.join(path, name) for name in directories]


def _names(path: str) -> tuple[tuple[str, ...], tuple[str, ...], int]:
    """Return the names of the ASDFs and directories in a directory, and how many entries it has."""
    asdfs, directories = [], []
    store = n = 0
    with os.scandir(path) as entries:
        for entry in entries:
            n += 1
            name = entry.name
            store += name in (METADATA_NAME, HEADERS_NAME)
            if name.startswith("."):
                continue
            is_asdf = name.endswith(".asdf")
            # The kind of an entry comes with its name: no frame is asked for its status.
            try:
                is_directory = entry.is_dir()
            except OSError:  # a link in a circle, for instance: said when it is opened
                is_directory = not is_asdf
            if is_asdf and not is_directory:
                asdfs.append(name)
            elif is_directory and not is_asdf:
                directories.append(name)
    if store == 2:
        return (), (), n
    return tuple(sorted(asdfs)), tuple(sorted(directories)), n


# Buckets and servers ------------------------------------------------------------------------------


def _list_remote(root: str, fetcher: Fetcher, seen: Callable[[], object]) -> Listing:
    """List a bucket prefix or a URL, some directories at once, with the entries of each."""
    location = Location.of(root)
    asdfs: list[FoundAsdf] = []
    unlisted: dict[str, str] = {}
    visited = {root}
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        running: dict[Future[list[dict[str, Any]]], str] = {
            pool.submit(_entries, root, fetcher): root
        }
        while running:
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                place = running.pop(future)
                seen()
                try:
                    entries = future.result()
                except Exception as error:
                    if place == root:
                        raise _unlistable(root, error) from error
                    unlisted[place] = shown(f"{type(error).__name__}: {error}")
                    continue
                if place == root and not entries and location.is_web:
                    raise _unlistable(root, None)
                names = {entry["place"].rpartition("/")[2] for entry in entries}
                if {METADATA_NAME, HEADERS_NAME} <= names:  # a store
                    continue
                for entry in entries:
                    below = str(entry["place"])
                    name = Location.of(below).name
                    # A page with links may link to anywhere.
                    if below in visited or name.startswith(".") or not is_in(below, place):
                        continue
                    visited.add(below)
                    if entry["type"] == "directory":
                        running[pool.submit(_entries, below, fetcher)] = below
                    elif name.endswith(".asdf"):
                        asdfs.append(_of_entry(below, entry))
        if location.is_web:  # a page of links says nothing about files
            places = [asdf.place for asdf in asdfs]
            asdfs = list(pool.map(lambda place: _look(place, fetcher), places))
    found = sorted(asdfs, key=lambda asdf: asdf.place)
    return Listing(root, tuple(found), unlisted, {}, len(visited) - len(found))


def _entries(place: str, fetcher: Fetcher) -> list[dict[str, Any]]:
    filesystem, path, protocol = filesystem_of(place, fetcher.options(place))
    filesystem.invalidate_cache()
    if protocol in ("http", "https"):
        path = f"{path.rstrip('/')}/"
    found = []
    for entry in filesystem.ls(path, detail=True):
        name = str(entry["name"])
        full = name if "://" in name else f"{protocol}://{name.lstrip('/')}"
        is_directory = entry["type"] == "directory" or full.endswith("/")
        # Frames are dropped here, so that the memory is that of a few directories.
        wanted = is_directory or full.endswith((".asdf", f"/{HEADERS_NAME}"))
        if not wanted or full.rstrip("/") == place.rstrip("/"):
            continue
        kind = "directory" if is_directory else "file"
        found.append({**entry, "type": kind, "place": absolute(full)})
    filesystem.invalidate_cache()
    return found


def _of_entry(place: str, entry: Mapping[str, Any]) -> FoundAsdf:
    size = entry.get("size")
    etag = str(entry.get("ETag") or entry.get("etag") or "").strip('"')
    times = (entry.get(key) for key in ("LastModified", "last_modified", "mtime", "updated"))
    changed = next((_nanoseconds(each) for each in times if each is not None), -1)
    stamp = Stamp(-1 if size is None else int(size), -1 if etag else changed, etag)
    return FoundAsdf(place, stamp, changed)


def _nanoseconds(when: Any) -> int:
    if isinstance(when, str):
        try:
            when = datetime.fromisoformat(when)
        except ValueError:
            return -1
    if isinstance(when, datetime):
        when = when.timestamp()
    return int(when * 1e9) if isinstance(when, (int, float)) else -1


def _unlistable(root: str, error: Exception | None) -> DatasetError:
    if Location.of(root).is_web:
        return DatasetError(
            f"{shown(root)}: this server does not list its directories: expected a list of ASDFs, "
            "a URL on each line, as @list.txt"
        )
    return DatasetError(f"{shown(root)}: cannot be listed: {type(error).__name__}: {error}")

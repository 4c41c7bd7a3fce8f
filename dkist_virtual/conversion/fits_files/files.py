"""Find the files that a user names, and the shape of the axes that they make."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from dkist_virtual.errors import DatasetError, FrameMissingError
from dkist_virtual.io.locations import Location, absolute, is_local, local_path, shown
from dkist_virtual.io.safety import check_no_secrets, check_places
from dkist_virtual.store.format.limits import MAX_FRAMES

__all__ = ["Files", "FoundFiles", "common_place", "find_files"]

Files: TypeAlias = "str | os.PathLike[str] | Iterable[Any]"
"""A path, pattern or URL; or a list of them, nested as the new axes are."""


@dataclass(frozen=True, slots=True)
class FoundFiles:
    """The files that become one array.

    Attributes
    ----------
    urls : list of str
        Absolute paths and URLs, in C order of the new axes; empty where a file is missing.
    shape : tuple of int
        Lengths of the new axes; none of a single file.
    """

    urls: list[str]
    shape: tuple[int, ...]


def find_files(files: Files) -> FoundFiles:
    """Find files by path, pattern, URL, or lists of them.

    Raises
    ------
    DatasetError
        There are none or too many, lists are of different lengths, or a name cannot be written.
    FrameMissingError
        No file fits a pattern.
    ValueError
        A URL contains a password or query.
    TypeError
        Something else is given.
    """
    if isinstance(files, (str, os.PathLike)):
        found = _pattern(os.fspath(files)) or FoundFiles([absolute(files, "files")], ())
    else:
        urls: list[str] = []
        shape = _collect(files, urls)
        found = FoundFiles(urls, shape)
    named = [url for url in found.urls if url]
    if not named:
        raise DatasetError("files: there are none: expected paths or URLs of FITS files")
    if len(found.urls) > MAX_FRAMES:
        raise DatasetError(f"files: {len(found.urls)}: more than {MAX_FRAMES} make no array")
    for url in named:
        if not is_local(url):
            check_no_secrets("files", url)
    check_places("", named)
    return found


_MAGIC: Final = frozenset("*?[")


def _pattern(text: str) -> FoundFiles | None:
    """Find the files that fit a pattern, sorted by name; None for a path or URL."""
    if not _MAGIC & set(text):
        if is_local(text) and os.path.isdir(local_path(text)):
            raise DatasetError(
                f"files = {text!r}: is a directory: expected files, such as "
                f"{os.path.join(text, '*.fits')!r}"
            )
        return None
    if not is_local(text):
        if "*" not in text:
            return None
        raise DatasetError(
            f"files = {shown(text)!r}: patterns are for files of this machine: expected a list of "
            "URLs, for instance of fsspec.open_files"
        )
    path = os.path.expanduser(local_path(text))
    if os.path.lexists(path):
        return None
    found = sorted(glob.glob(path, recursive=True))
    if not found:
        raise FrameMissingError(f"files = {text!r}: no file fits this pattern")
    return FoundFiles([absolute(one) for one in found], (len(found),))


def _collect(files: object, urls: list[str], depth: int = 0) -> tuple[int, ...]:
    """Append the files of nested lists, and return the lists' lengths, outermost first."""
    if files is None:
        urls.append("")
        return ()
    if isinstance(files, (str, os.PathLike)):
        urls.append(absolute(files, "files"))
        return ()
    unordered = isinstance(files, (bytes, Mapping, Set))
    if unordered or not isinstance(files, Iterable) or depth > 16:
        raise TypeError(
            f"files: {type(files).__name__}: expected a path, pattern or URL, or lists of them"
        )
    shapes = [_collect(one, urls, depth + 1) for one in files]
    if not shapes:
        raise DatasetError("files: an empty list: expected paths or URLs of FITS files")
    for number, shape in enumerate(shapes):
        if shape != shapes[0]:
            raise DatasetError(
                f"files: entry {number} of a list is {_described(shape)}, the first one "
                f"{_described(shapes[0])}: expected as many in each. None is for a file that there "
                "is not"
            )
    return (len(shapes), *shapes[0])


def _described(shape: tuple[int, ...]) -> str:
    return f"a list of {' by '.join(map(str, shape))}" if shape else "a file"


def common_place(urls: Iterable[str]) -> str:
    """Find the directory or URL that files are below, all of them or at least the first."""
    places = [Location.of(url).parent for url in urls if url]
    first = places[0]
    if any((one.scheme, one.host) != (first.scheme, first.host) for one in places):
        return str(first.without_end_slash())
    every = [one.path.split("/") for one in set(places)]
    n = next((i for i, parts in enumerate(zip(*every, strict=False)) if len(set(parts)) > 1), None)
    path = "/".join(min(every, key=len)[:n]) or ("/" if first.is_local else "")
    return str(Location(first.scheme, first.host, path).without_end_slash())

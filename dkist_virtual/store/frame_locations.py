"""Choose where frames are read: the places that the user named, in order, or the store's own.

A downloaded frame is read from the disk, the others from a server. A directory on this machine is
listed once, not for every read, until `FrameLocations.refresh`.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from dkist_virtual.errors import FrameRefusedError
from dkist_virtual.io.locations import (
    absolute,
    is_local,
    join,
    last_name,
    local_path,
    name_below,
    shown,
)
from dkist_virtual.io.safety import check_name, check_reference
from dkist_virtual.store.format.references import FrameColumns

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from dkist_virtual.store.format.references import FrameTable
    from dkist_virtual.store.frame_spec import FrameSpec, RawSpec

__all__ = ["FrameLocations", "FramePlaces", "Reference", "cache_of", "one_place", "places_of"]


FramePlaces: TypeAlias = "str | os.PathLike[str] | Sequence[str | os.PathLike[str]] | None"
"""One place or several, as `frames` takes them."""


def places_of(frames: FramePlaces) -> tuple[str, ...]:
    """Make places absolute, in their order; none for None."""
    if frames is None:
        return ()
    if isinstance(frames, bytes):
        raise TypeError(f"frames = {frames!r}: expected text or a path, not bytes")
    if isinstance(frames, (str, os.PathLike)):
        if re.match("globus:(?!//)", os.fspath(frames)):
            raise ValueError(
                f"frames = {frames!r}: is for the command line. In Python: "
                "dv.open_dataset(ID, **dkist_virtual.datacenter.globus.over_https(ID, COLLECTION))"
            )
        return (absolute(frames, "frames"),)
    if not frames:
        raise ValueError("frames is an empty list: expected places to read the frames from")
    return tuple(absolute(place, "frames") for place in frames)


def one_place(name: str, place: object) -> str | os.PathLike[str] | None:
    """Check that an argument is one place, not several."""
    if place is None or isinstance(place, (str, os.PathLike)):
        return place
    raise TypeError(f"{name} = {place!r}: expected one directory or URL")


def cache_of(place: str | os.PathLike[str] | None) -> str | None:
    """Make the directory of a cache absolute; refuse one on another machine."""
    if place is None:
        return None
    one_place("cache", place)
    directory = absolute(place, "cache")
    if not is_local(directory):
        raise ValueError(f"cache = {shown(directory)!r}: expected a directory on this machine")
    return directory


@dataclass(frozen=True, slots=True)
class Reference:
    """A frame's reference.

    Parameters
    ----------
    array : str
    position : int
        Of the frame, in the array's chunk order.
    url : str
        Where the store says that the frame is.
    offset, length : int
        Its byte range there; -1 for a whole file.
    spec : FrameSpec or RawSpec
    most : int
        How many bytes are asked for at most.
    """

    array: str
    position: int
    url: str
    offset: int
    length: int
    spec: FrameSpec | RawSpec
    most: int

    def text(self, start: int, stop: int | None) -> str:
        """A range of it, for an error message."""
        if stop is None and self.offset < 0:
            return "the whole file"
        end = self.length if stop is None else stop
        return f"bytes {max(self.offset, 0) + start} to {max(self.offset, 0) + end}"


class FrameLocations:
    """Know the directories and URLs that frames may be in.

    Parameters
    ----------
    base : str
        The references' own directory or URL.
    named : sequence of str
        Absolute, in the order in which they are tried; empty for `base` alone.
    allow_local : bool
        Whether references may name files of this machine, where no place is named.
    tables : sequence of FrameTable
        All references, to find frames that share a name.

    Attributes
    ----------
    downloads : tuple of str
        Directories that are searched first; a frame that is not there may be elsewhere.
    """

    def __init__(
        self,
        base: str,
        named: Sequence[str] = (),
        *,
        allow_local: bool = True,
        tables: Sequence[FrameTable] = (),
    ) -> None:
        self.allow_local = allow_local
        self._tables = tuple(tables)
        self.base = base.rstrip("/")
        self.named = tuple(place.rstrip("/") for place in named)
        self.downloads: tuple[str, ...] = ()
        self._listed: dict[str, frozenset[str]] = {}
        self._gone: set[str] = set()

    @property
    def in_order(self) -> tuple[str, ...]:
        """All places of frames, in the order in which they are searched."""
        return tuple(dict.fromkeys((*self.downloads, *(self.named or (self.base,)))))

    @property
    def remote(self) -> bool:
        """Check whether frames may have to be fetched from a server."""
        return any(not is_local(place) for place in self.named or (self.base,))

    def name(self, url: str) -> str:
        """Get a frame's name relative to a place; of one outside of `base`, its last part."""
        name = name_below(self.base, url)
        return last_name(url) if name is None else name

    def sharing(self, url: str) -> tuple[str, ...]:
        """Find two references whose files have this one's name; none if only it has.

        Only frames outside of `base` can share one. So references that are still on the disk are
        all read, once, only for such a frame.
        """
        name = self.name(url)
        there = all(isinstance(table, FrameColumns) for table in self._tables)
        if not there and url in (f"{self.base}/{name}", join(self.base, name)):
            return ()
        return self._shared.get(name, ())

    @cached_property
    def _shared(self) -> dict[str, tuple[str, ...]]:
        """The names that several files have, and two of their references."""
        urls: set[str] = set()
        for table in self._tables:
            urls.update(table.take(np.arange(len(table))).urls.tolist())
        urls.discard("")
        begin = f"{self.base}/"
        if all(url.startswith(begin) and not ("?" in url or "%" in url) for url in urls):
            return {}
        first: dict[str, str] = {}
        shared: dict[str, tuple[str, ...]] = {}
        for url in sorted(urls):
            name = self.name(url)
            if first.setdefault(name, url) != url:
                shared.setdefault(name, (first[name], url))
        return shared

    def candidates(self, url: str) -> tuple[str, ...]:
        """List where a frame may be, in the order of the search; empty without a reference.

        Of several places, directories without the file are left out. If none is left the last one
        stays: reading it says that there is no such file.

        Raises
        ------
        FrameRefusedError
            The store may not refer to that place; or another frame has the same name, so that one
            file would be read for both.
        """
        if not url:
            return ()
        name = self.name(url)
        for place in (*self.downloads, *self.named):
            check_name(name, place)
        if not self.named:
            check_reference(url, local=self.allow_local)
        shared = self.sharing(url) if self.named or self.downloads else ()
        if shared and self.named:
            raise FrameRefusedError(
                f"the frames at {' and '.join(map(shown, shared))} are both called {name!r}, and "
                f"{shown(join(self.named[0], name))} would be read for both: open the store "
                "without frames="
            )
        fetched = () if shared else tuple(join(place, name) for place in self.downloads)
        return (*filter(self.holds, fetched), *self._others(url, name))

    def _others(self, url: str, name: str) -> tuple[str, ...]:
        if not self.named:
            return (url,)
        all_of_them = tuple(join(place, name) for place in self.named)
        if len(all_of_them) == 1:
            return all_of_them
        there = tuple(place for place in all_of_them if not is_local(place) or self.holds(place))
        return there or all_of_them[-1:]

    def find(self, url: str) -> str:
        """Find where a frame is read: the first place that has it, as far as that is known."""
        return next(iter(self.candidates(url)), "")

    def where(self, url: str) -> str | None:
        """Find the place whose file of a frame is read; None if none is known to have it.

        A server counts as having every frame until it says that one is missing. Places that the
        store may not refer to are not searched.
        """
        try:
            candidates = self.candidates(url)
        except FrameRefusedError:
            return None
        for found in candidates:
            if self.holds(found) if is_local(found) else found not in self._gone:
                return self._of(found, url)
        return None

    def _of(self, found: str, url: str) -> str:
        """Get the place of one of a frame's candidates."""
        name = self.name(url)
        places = (*self.downloads, *self.named, self.base)
        own = (place for place in places if found in (join(place, name), f"{place}/{name}"))
        return next(own, found.removesuffix(f"/{name}"))

    def here(self, urls: Iterable[str]) -> int:
        """Count the frames that are read on this machine, as far as is known."""
        if self.named or self.downloads or not self.allow_local:
            found = (self.where(url) for url in urls)
            return sum(place is not None and is_local(place) for place in found)
        return sum(bool(url) and is_local(url) and self.holds(url) for url in urls)

    @property
    def any_local(self) -> bool:
        """Check whether frames may be on this machine."""
        return any(is_local(place) for place in (*self.downloads, *self.named, self.base))

    def lacks(self, place: str) -> None:
        """Note that a server has no such file; reads ask it again all the same."""
        if not is_local(place):
            self._gone.add(place)

    def holds(self, path: str) -> bool:
        """Check whether a file is there, by the first listing of its directory."""
        directory, _, name = local_path(path).rpartition("/")
        if directory not in self._listed:
            try:
                self._listed[directory] = frozenset(os.listdir(directory))
            except OSError:  # no directory, or one that may not be read
                self._listed[directory] = frozenset()
        return name in self._listed[directory]

    def versions(self) -> str:
        """Give a text that changes when a file is replaced in a directory of frames.

        dask takes arrays of one name for one array: pixels that `persist` or a cluster keeps would
        be those of a dataset that is opened after its frames were replaced. The directories are
        asked, not the files, of which there may be a hundred thousand, and servers are not asked.
        """
        local = [local_path(place) for place in self.in_order if is_local(place)]
        return " ".join(map(_version_of, local))

    def look_again(self) -> None:
        """Forget which files are on this machine."""
        self._listed.clear()

    def refresh(self) -> None:
        """Forget also which files servers do not have."""
        self.look_again()
        self._gone.clear()


def _version_of(directory: str) -> str:
    try:
        status = os.stat(directory)
    except OSError:
        return ""
    return f"{status.st_mtime_ns}-{status.st_ino}"

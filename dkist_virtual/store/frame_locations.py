"""Where frames are read: the places that the user named, in order, or the store's own.

A frame that was downloaded is read from the disk, the others from a server. Which of them a
directory on this machine holds is looked up once, not for every read; `Places.refresh` looks
again.
"""

from __future__ import annotations

import os
import re
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeAlias

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

__all__ = ["FramePlaces", "Places", "cache_of", "one_place", "places_of"]


FramePlaces: TypeAlias = "str | os.PathLike[str] | Sequence[str | os.PathLike[str]] | None"
"""One place or several, as `frames` takes them."""


def places_of(frames: FramePlaces) -> tuple[str, ...]:
    """Places made absolute, in their order; none for None.

    Raises
    ------
    ValueError
        An empty list.
    """
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


def one_place(name: str, place: Any) -> Any:
    """A place, where several would not do.

    Raises
    ------
    TypeError
        It is none; naming the argument.
    """
    if place is None or isinstance(place, (str, os.PathLike)):
        return place
    raise TypeError(f"{name} = {place!r}: expected one directory or URL")


def cache_of(place: str | os.PathLike[str] | None) -> str | None:
    """The directory of a cache made absolute; None for None.

    Raises
    ------
    ValueError
        It is on another machine.
    """
    if place is None:
        return None
    one_place("cache", place)
    directory = absolute(place, "cache")
    if not is_local(directory):
        raise ValueError(f"cache = {shown(directory)!r}: expected a directory on this machine")
    return directory


class Places:
    """Directories and URLs that frames may be in.

    Parameters
    ----------
    base : str
        Directory or URL that the references' names are relative to.
    named : sequence of str
        Absolute, in the order in which they are tried; empty for `base` alone.
    allow_local : bool
        Whether references may name files of this machine, where no place is named.
    tables : sequence of FrameTable
        All references, to tell which frames have a name in common.

    Attributes
    ----------
    downloads : tuple of str
        Directories that are looked in before all of these, and never the last word.
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
        """Every place that frames may be read from, in the order in which they are looked for."""
        return tuple(dict.fromkeys((*self.downloads, *(self.named or (self.base,)))))

    @property
    def remote(self) -> bool:
        """Whether frames may have to be fetched from a server."""
        return any(not is_local(place) for place in self.named or (self.base,))

    def name(self, url: str) -> str:
        """A frame's name relative to a place, or the last part of one that is not below `base`."""
        name = name_below(self.base, url)
        return last_name(url) if name is None else name

    def sharing(self, url: str) -> tuple[str, ...]:
        """The references of several files that have the name of this one; none where it is alone.

        Only names that `base` did not give can be shared. So references that are still on the disk
        are all read, once, for a frame of such a name alone.
        """
        name = self.name(url)
        there = all(isinstance(table, FrameColumns) for table in self._tables)
        if not there and url in (f"{self.base}/{name}", join(self.base, name)):
            return ()
        return self._shared.get(name, ())

    @cached_property
    def _shared(self) -> dict[str, tuple[str, ...]]:
        """Names that several files have, and two of their references."""
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
        """Where a frame may be, in the order in which to look; none where it has no reference.

        Of several places, directories known not to hold it are left out, but for the last one:
        whoever looks there is told that there is no such file.

        Raises
        ------
        FrameRefusedError
            The reference, or the frame's name, leads where the store may not lead; or another
            frame has the same name, so that one file would be read for both.
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
        """Where a frame is read: the first place that has it, as far as that is known."""
        return next(iter(self.candidates(url)), "")

    def where(self, url: str) -> str | None:
        """The place that a frame is read from; None where none is known to have it.

        A server counts as having every frame, until it says of one that it does not. Where a
        store may not lead nobody looks.
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
        """The place that one of a frame's candidates is in."""
        name = self.name(url)
        places = (*self.downloads, *self.named, self.base)
        own = (place for place in places if found in (join(place, name), f"{place}/{name}"))
        return next(own, found.removesuffix(f"/{name}"))

    def here(self, urls: Iterable[str]) -> int:
        """How many frames are read on this machine, as far as was looked."""
        if self.named or self.downloads or not self.allow_local:
            found = (self.where(url) for url in urls)
            return sum(place is not None and is_local(place) for place in found)
        return sum(bool(url) and is_local(url) and self.holds(url) for url in urls)

    @property
    def any_local(self) -> bool:
        """Whether frames may be on this machine."""
        return any(is_local(place) for place in (*self.downloads, *self.named, self.base))

    def lacks(self, place: str) -> None:
        """A server said that there is no such file; it is asked again all the same."""
        if not is_local(place):
            self._gone.add(place)

    def holds(self, path: str) -> bool:
        """Whether a file is there, by its directory as it was when it was first looked at."""
        directory, _, name = local_path(path).rpartition("/")
        if directory not in self._listed:
            try:
                self._listed[directory] = frozenset(os.listdir(directory))
            except OSError:  # no directory, or none that may be read: nothing to be had there
                self._listed[directory] = frozenset()
        return name in self._listed[directory]

    def look_again(self) -> None:
        """Look again which files are on this machine."""
        self._listed.clear()

    def refresh(self) -> None:
        """The same, and forget what servers said that they do not have."""
        self.look_again()
        self._gone.clear()

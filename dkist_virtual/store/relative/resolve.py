"""Make relative references absolute, by the place that their store was opened at.

A relative reference is the path of a frame as seen from the directory of the store:
``../frame.fits`` is beside the store. So a directory with frames and their store may be renamed,
copied or served as a whole. How far one may lead is a rule of safety: see `split_relative`.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from dkist_virtual.errors import FrameRefusedError
from dkist_virtual.io.locations import Location, is_local, join, local_path
from dkist_virtual.io.safety import check_name, split_relative
from dkist_virtual.store.format.references import STRINGS, FrameColumns, ReferenceSet

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from dkist_virtual.store.format.references import FrameTable

__all__ = ["Resolver", "is_relative", "resolve_references"]


def is_relative(references: ReferenceSet) -> bool:
    """Tell whether the references of a store, as they were read, are relative to it."""
    return any(isinstance(table, _Resolved) for _, table in references.arrays.values())


def resolve_references(references: ReferenceSet, store: str) -> ReferenceSet:
    """Make relative references absolute, by the place that their store was opened at.

    References whose ``base`` is absolute are returned as they are.

    Parameters
    ----------
    references : ReferenceSet
        As they are in the store.
    store : str
        The path or URL of its directory.
    """
    base = references.attributes.get("base")
    if not isinstance(base, str) or split_relative(base) is None:
        return references
    resolver = Resolver.of(store)
    return ReferenceSet(
        {**references.attributes, "base": resolver.directory(base)},
        {
            name: (metadata, _Resolved(table, resolver))
            for name, (metadata, table) in references.arrays.items()
        },
        references.identity,
    )


@dataclass(frozen=True, slots=True)
class Resolver:
    """Resolve relative references of a store.

    Parameters
    ----------
    above : tuple of str
        The directory that the store is in, and the one that this is in, as far as there are such.
    """

    above: tuple[str, ...]

    @classmethod
    def of(cls, store: str) -> Resolver:
        """Make that of a store, by its path or URL."""
        if is_local(store):
            # Of a link to a store, its own directory counts, as for the system.
            parent = os.path.dirname(os.path.realpath(local_path(store)))
            grand = os.path.dirname(parent)
            return cls((parent, grand) if grand != parent else (parent,))
        location = Location.of(store).without_end_slash()
        parents: list[str] = []
        while location.path.strip("/") and len(parents) < 2:
            location = location.parent
            parents.append(str(location))
        return cls(tuple(parents))

    def __call__(self, url: str) -> str:
        """Resolve a reference; one that leads further than it may stays as it is, to be refused."""
        up, name = split_relative(url) or (0, "")
        if not 1 <= up <= len(self.above):
            return url
        place = self.above[up - 1]
        try:
            check_name(name, place)
        except FrameRefusedError:
            return url
        return join(place, name)

    def directory(self, base: str) -> str:
        """Resolve the directory of the frames."""
        up, name = split_relative(base) or (0, "")
        return self(base) if name or up > len(self.above) else self.above[up - 1]


@dataclass(frozen=True, slots=True, eq=False)
class _Resolved:
    """A table of frames whose relative references are resolved when they are used."""

    table: FrameTable
    resolver: Resolver

    def __len__(self) -> int:
        return len(self.table)

    def take(self, positions: NDArray[np.int64]) -> FrameColumns:
        """Give the entries at some positions, in their order."""
        found = self.table.take(positions)
        urls = [self.resolver(url) if url else "" for url in found.urls.tolist()]
        return FrameColumns(np.array(urls, STRINGS), found.offsets, found.lengths)

    def row(self, position: int) -> tuple[str, int, int]:
        """Give one entry as Python values."""
        url, offset, length = self.table.row(position)
        return self.resolver(url) if url else "", offset, length

    def mark(self, positions: Callable[[], NDArray[np.int64]]) -> str:
        """Give a text that changes when a file that holds these entries is replaced."""
        return self.table.mark(positions)

"""Write references relative to the store that they are for."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any

import numpy as np

from dkist_virtual.io.locations import absolute, is_local, local_path, name_below, shown
from dkist_virtual.store.format.references import STRINGS, ReferenceSet
from dkist_virtual.store.relative.resolve import Resolver

__all__ = ["make_relative", "relative_base"]


def relative_base(store: str | os.PathLike[str], base: str) -> str:
    """Write the directory of frames relative to their store.

    Parameters
    ----------
    store : path
        The store that will be written.
    base : str
        The frames' directory.

    Raises
    ------
    ValueError
        It is not in the directory that the store is in, nor in the one above.
    """
    if is_local(base):
        found = _relative(os.fspath(store), local_path(base))
        if found is not None:
            return found
    parent = os.path.dirname(absolute(store))
    raise ValueError(
        f"relative: the frames are in {shown(base)}: expected them in {parent}, where the store "
        f"is to be, or in {os.path.dirname(parent)} above it. Without relative (relative=True) the "
        "store says their absolute place"
    )


def _relative(store: str, directory: str) -> str | None:
    """Write a directory relative to a store that is to be; None if it is too far."""
    parent, directory = os.path.dirname(absolute(store)), absolute(directory)
    resolver = Resolver.of(os.path.join(parent, os.path.basename(store) or "store"))
    for above, to in (
        (parent, directory),
        (os.path.realpath(parent), directory),
        (os.path.realpath(parent), os.path.realpath(directory)),
    ):
        path = os.path.relpath(to, above).replace(os.sep, "/")
        written = ".." if path == "." else f"../{path}"
        resolved = resolver.directory(written)
        if resolved != written and os.path.realpath(resolved) == os.path.realpath(directory):
            return written
    return None


def make_relative(references: ReferenceSet, store: str | os.PathLike[str]) -> ReferenceSet:
    """Make the references of a store that is to be relative to it.

    Raises
    ------
    ValueError
        A frame is too far from the store: see `relative_base`.
    """
    written: dict[str, str] = {}

    def rewritten(url: str, base: str) -> str:
        name = name_below(base, url)
        directory = base if name is not None else url.rpartition("/")[0]
        if directory not in written:
            written[directory] = relative_base(store, directory)
        return f"{written[directory]}/{name or url.rpartition('/')[2]}"

    base = str(references.attributes["base"])
    arrays: dict[str, Any] = {}
    for name, (metadata, table) in references.arrays.items():
        own = table.take(np.arange(len(table)))
        urls = [rewritten(url, base) if url else "" for url in own.urls.tolist()]
        arrays[name] = metadata, replace(own, urls=np.array(urls, STRINGS))
    relative = written.get(base) or relative_base(store, base)
    return ReferenceSet({**references.attributes, "base": relative}, arrays)

"""Record which frames are opened, which byte ranges are read, and how much memory is asked for."""

from __future__ import annotations

import os
import sys
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dkist_virtual as dv
from dkist_virtual.io.fetcher import Fetcher

if TYPE_CHECKING:
    from dkist_virtual.io.byte_range import Reply, Request

# Each frame that is opened, once: one that was written a moment ago is read again.
_OPENED: list[list[str]] = []


def _hook(event: str, args: tuple[Any, ...]) -> None:
    if event == "open" and str(args[0]).endswith(".fits"):
        name = os.path.basename(str(args[0]))
        for opened in _OPENED:
            if name not in opened:
                opened.append(name)


# A hook cannot be removed: one for all tests of a process.
sys.addaudithook(_hook)


@contextmanager
def opened_frames() -> Iterator[list[str]]:
    """Record the names of the frames that this process opens, each once."""
    opened: list[str] = []
    _OPENED.append(opened)
    try:
        yield opened
    finally:
        _OPENED.remove(opened)


class Counting(Fetcher):
    """Fetch, and record file name, offset and length of each read."""

    def __init__(self) -> None:
        super().__init__()
        object.__setattr__(self, "reads", [])

    def answer(self, request: Request) -> Reply:
        self.reads.append((request.url.rpartition("/")[2], request.offset, request.length))
        return super().answer(request)


def counted(store: Path, **how: Any) -> tuple[dv.Dataset, list[tuple[str, int, int]]]:
    """Open a dataset whose reads are recorded in the list beside it."""
    ds = dv.open_dataset(store, **how)
    assert isinstance(ds, dv.Dataset)
    fetcher = Counting()
    ds.provenance.array.handle.store.fetcher = fetcher
    return ds, fetcher.reads


#: What any attack may hold: a store of a kilobyte asks for a terabyte.
MEMORY = 2**29


@contextmanager
def little_memory() -> Iterator[None]:
    """Check that what is asked for in between is little, whether or not it is got."""
    tracemalloc.start()
    try:
        yield
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < MEMORY

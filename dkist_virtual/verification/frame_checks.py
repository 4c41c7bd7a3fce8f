"""Choose frames of a dataset, and check several at once in order, with a progress bar."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import zip_longest
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from dkist_virtual.cube.selection import parse_index
from dkist_virtual.dataset.open import open_stored, select_alike
from dkist_virtual.dataset.stored import StoredDataset
from dkist_virtual.store.format.references import chunk_key
from dkist_virtual.text import shows_progress

if TYPE_CHECKING:
    from dkist_virtual.dataset.provenance import Provenance

__all__ = ["ChosenFrames", "Frame", "check_each", "choose_evenly", "open_frames"]

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame to be checked: its tile, and its position in the tile's array."""

    tile: Provenance
    position: int

    @property
    def key(self) -> str:
        """The frame's chunk key."""
        return f"{self.tile.array.name}/{chunk_key(self.tile.array.metadata, self.position)}"

    @property
    def reference(self) -> tuple[str, int, int]:
        """URL, offset and length; an empty URL where the frame has no reference."""
        return self.tile.array.handle.store.frame(self.tile.array.name, self.position)


@dataclass(frozen=True, slots=True)
class ChosenFrames:
    """Frames to be checked, and the dataset's number of frames and inventory."""

    frames: list[Frame]
    n_frames: int
    inventory: dict[str, Any]


def open_frames(
    store_or_asdf: str | os.PathLike[str], sample: int | None, selection: str | None, **how: Any
) -> ChosenFrames:
    """Open a dataset as `open_dataset` does, and choose frames of it as `verify` takes them."""
    if sample is not None and sample < 1:
        raise ValueError(f"sample = {sample}: expected 1 or more")
    ds = open_stored(store_or_asdf, **how)
    whole = [source.array.metadata.n_frames for source in ds.files.sources]
    inventory = ds.names if isinstance(ds, StoredDataset) else ds.inventory or {}
    if selection:
        ds = select_alike(ds, parse_index(selection))
    files = ds.files
    every = [[Frame(tile, int(n)) for n in tile.array.positions()] for tile in files.sources]
    # The frames of one file after each other, where several arrays have one in each: it is read
    # once for all of them.
    mixed = zip_longest(*every) if files.shared else every
    frames = [frame for some in mixed for frame in some if frame is not None]
    chosen = [frames[i] for i in choose_evenly(len(frames), sample)]
    return ChosenFrames(chosen, sum(whole), inventory)


def choose_evenly(n: int, sample: int | None) -> list[int]:
    """Choose numbers below `n`, evenly from the first to the last; all for None."""
    count = n if sample is None else min(sample, n)
    chosen: list[int] = np.unique(np.linspace(0, n - 1, count).round().astype(int)).tolist()
    return chosen


def check_each(
    check: Callable[[int], Result], numbers: range, workers: int, progress: bool | None
) -> Iterator[Result]:
    """Check frames by their numbers, `workers` at once; yield what was found, in their order."""
    from tqdm import tqdm

    hidden = not shows_progress(progress)
    first, stop = numbers.start, numbers.stop
    bar = tqdm(total=stop, initial=first, unit=" frames", desc="Verifying", disable=hidden)
    with bar, ThreadPoolExecutor(workers, thread_name_prefix="dkist-verify") as pool:
        # In batches, so that an error or Ctrl-C does not wait for the frames after it.
        for begin in range(first, stop, 8 * workers):
            for found in pool.map(check, range(begin, min(begin + 8 * workers, stop))):
                yield found
                bar.update()

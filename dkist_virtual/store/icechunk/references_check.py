"""Compare the references that Icechunk has with those of the header table.

Both are written in one commit, whose metadata says so. After a commit of another program they may
differ, and then plain Zarr and this package would read different frames.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from dkist_virtual.errors import StoreCorruptError
from dkist_virtual.io.event_loop import run
from dkist_virtual.io.locations import shown
from dkist_virtual.store.icechunk.address import location_of

if TYPE_CHECKING:
    import icechunk

    from dkist_virtual.store.format.references import FrameColumns, ReferenceSet
    from dkist_virtual.store.icechunk.address import RepositoryAddress

__all__ = ["check_references"]

VIRTUAL: Final = 2
"""What Icechunk calls a virtual chunk."""


def check_references(
    session: icechunk.Session, references: ReferenceSet, address: RepositoryAddress
) -> None:
    """Raise `StoreCorruptError` where the two differ.

    Version 1 of Icechunk tells of its virtual chunks only which there are and in which files; of
    version 2 the ranges of bytes are compared as well.
    """
    has_ranges = hasattr(session.store, "array_chunk_iterator")
    expected: list[str] = []
    for name, (metadata, table) in references.arrays.items():
        own = table.take(np.arange(metadata.n_frames))
        there = own.offsets >= 0
        grid = metadata.frame_shape
        if has_ranges:
            n_wrong = run(_differing(session, name, grid, own))
        else:
            expected += map(location_of, own.urls[there].tolist())
            found = run(_positions(session, name, grid))
            n_wrong = len(np.setxor1d(found, np.flatnonzero(there)))
        if n_wrong:
            raise _differ(address, f"{n_wrong} of {name}")
    if not has_ranges:
        # Arrays that others have added to the repository may have more.
        missing = Counter(expected) - Counter(session.all_virtual_chunk_locations())
        if missing:
            raise _differ(address, str(missing.total()))


def _differ(address: RepositoryAddress, which: str) -> StoreCorruptError:
    return StoreCorruptError(
        f"{shown(address.repository)}: {address.chosen}: the references of Icechunk are not those "
        f"of the header table: {which} differ, so another program has changed them. Open an "
        "earlier snapshot with ?snapshot=, or write the dataset again"
    )


async def _positions(session: icechunk.Session, name: str, grid: tuple[int, ...]) -> Any:
    """Give the positions of the frames that have a chunk."""
    found = [at[: len(grid)] async for at in session.chunk_coordinates(f"/{name}")]
    if not grid:
        return np.arange(len(found))
    return np.ravel_multi_index(np.array(found, np.int64).reshape(-1, len(grid)).T, grid)


async def _differing(session: Any, name: str, grid: tuple[int, ...], own: FrameColumns) -> int:
    """Count the frames whose chunk is another one than the header table says."""
    wrong = own.offsets >= 0  # until their chunk is seen
    async for at, kinds, places, offsets, lengths, _ in session.store.array_chunk_iterator(
        f"/{name}"
    ):
        index = np.asarray(at, np.int64)[:, : len(grid)].T
        positions = np.ravel_multi_index(index, grid) if grid else np.zeros(len(kinds), np.int64)
        urls = own.urls[positions].tolist()
        here = own.offsets[positions] >= 0
        same = (
            here
            & (kinds == VIRTUAL)
            & (offsets == np.maximum(own.offsets[positions], 0))
            & (lengths == np.maximum(own.lengths[positions], 0))
            & [
                bool(ours) and location_of(url) == place
                for url, place, ours in zip(urls, places, here.tolist(), strict=True)
            ]
        )
        wrong[positions] = ~same
    return int(wrong.sum())

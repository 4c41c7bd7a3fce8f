"""Write arrays, references and files in one commit: until then a branch is as it was."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from dkist_virtual.errors import StoreCorruptError, StoreError, StoreExistsError
from dkist_virtual.io.event_loop import run
from dkist_virtual.io.fetcher import Fetcher
from dkist_virtual.store.format.frame_index import batches
from dkist_virtual.store.icechunk.layout import (
    FILES_GROUP,
    PIECE,
    Layout,
    array_json,
    file_json,
)
from dkist_virtual.store.icechunk.references_check import check_references
from dkist_virtual.store.icechunk.repository import import_icechunk
from dkist_virtual.store.icechunk.snapshot_files import SnapshotReader

if TYPE_CHECKING:
    import icechunk

    from dkist_virtual.publish.icechunk.containers import Containers
    from dkist_virtual.publish.icechunk.prepare import Prepared
    from dkist_virtual.store.format.references import ArrayMetadata, FrameTable, ReferenceSet
    from dkist_virtual.store.icechunk.address import RepositoryAddress

__all__ = ["is_as_written", "remove_layout", "write_layout"]

AT_ONCE = 10_000
"""References that are given to Icechunk together."""


def is_as_written(
    session: icechunk.Session,
    address: RepositoryAddress,
    before: Layout,
    now: Layout,
    references: ReferenceSet,
) -> bool:
    """Tell whether a dataset is still what was written, where another program has committed since.

    Parameters
    ----------
    session : icechunk.Session
    address : RepositoryAddress
    before, now : Layout
        What the snapshot says that it has, and what would be written.
    references : ReferenceSet
        Which would be written.
    """
    reader = SnapshotReader(address.repository, Fetcher(), {}, session, address, before.files)
    arrays = [
        {name: array_json(metadata) for name, metadata in one.arrays.items()}
        for one in (before, now)
    ]
    roots = [json.dumps(one.attributes, sort_keys=True) for one in (before, now)]
    if arrays[0] != arrays[1] or roots[0] != roots[1]:
        return False
    try:
        for name, file in before.files.items():
            for number in range(file.n_pieces):
                reader.piece(name, number)
        check_references(session, references, address)
    except StoreCorruptError:
        return False
    return True


def remove_layout(session: icechunk.Session, layout: Layout) -> None:
    """Remove a dataset from a session; its history keeps it, and other nodes stay."""

    async def remove() -> None:
        for name in (*layout.arrays, FILES_GROUP):
            await session.store.delete_dir(name)

    run(remove())


def write_layout(
    session: icechunk.Session,
    layout: Layout,
    prepared: Prepared,
    containers: Containers,
    update: Callable[[int], object],
) -> None:
    """Write a dataset into a session.

    Parameters
    ----------
    session : icechunk.Session
    layout : Layout
    prepared : Prepared
    containers : Containers
        Which the frames are in.
    update : callable
        Is given how many references have been written.
    """
    from zarr.core.buffer import default_buffer_prototype

    make = default_buffer_prototype().buffer.from_bytes

    async def write() -> None:
        store = session.store
        there = await store.get("zarr.json", default_buffer_prototype())
        others = {} if there is None else json.loads(there.to_bytes()).get("attributes", {})
        await store.set("zarr.json", make(layout.root_json(others)))
        group = b'{"zarr_format": 3, "node_type": "group", "attributes": {}}'
        await store.set(f"{FILES_GROUP}/zarr.json", make(group))
        for name, metadata in layout.arrays.items():
            if await store.exists(f"{name}/zarr.json"):
                raise StoreExistsError(
                    f"the repository has {name}, which somebody else has put there: expected a "
                    "repository of its own for the dataset"
                )
            await store.set(f"{name}/zarr.json", make(array_json(metadata)))
        for name, file in layout.files.items():
            await store.set(f"{FILES_GROUP}/{name}/zarr.json", make(file_json(file)))
            for number, piece in enumerate(prepared.pieces(name)):
                # A chunk is whole, as Zarr has it.
                whole = piece.ljust(min(file.size, PIECE), b"\0")
                await store.set(f"{FILES_GROUP}/{name}/c/{number}", make(whole))

    run(write())
    for name, (metadata, frames) in prepared.references.arrays.items():
        _write_references(session.store, name, metadata, frames, containers, update)


def _write_references(
    store: Any,  # versions 1 and 2 differ
    name: str,
    metadata: ArrayMetadata,
    frames: FrameTable,
    containers: Containers,
    update: Callable[[int], object],
) -> None:
    """Write the references of an array, of frames whose length is known."""
    icechunk = import_icechunk()
    image = (0,) * (len(metadata.shape) - metadata.n_frame_axes)
    grid = metadata.frame_shape
    as_arrays = hasattr(store, "set_virtual_refs_arr")
    rest = math.prod(grid[1:])
    for positions in batches(metadata.n_frames, max(1, AT_ONCE // rest) * rest):
        part = frames.take(positions)
        urls = np.where(part.offsets >= 0, part.urls, "").tolist()
        locations = containers.add(urls)
        if as_arrays:
            first = (int(positions[0]) // rest,) if grid else ()
            failed = store.set_virtual_refs_arr(
                f"/{name}",
                (*((len(positions) // rest,) if grid else ()), *grid[1:], *(1 for _ in image)),
                locations,
                np.maximum(part.offsets, 0).astype(np.uint64),
                np.maximum(part.lengths, 0).astype(np.uint64),
                arr_offset=(*first, *(0 for _ in grid[1:]), *image),
            )
        else:
            index = np.stack(np.unravel_index(positions, grid), axis=-1).tolist() if grid else [[]]
            specs: list[Any] = [
                icechunk.VirtualChunkSpec([*at, *image], location, offset, length)
                for at, location, offset, length in zip(
                    index, locations, part.offsets.tolist(), part.lengths.tolist(), strict=True
                )
                if location
            ]
            failed = store.set_virtual_refs(f"/{name}", specs)
        if failed:
            raise StoreError(
                f"{name}: Icechunk refused {len(failed)} references, the first at {failed[0]}"
            )
        update(len(positions))

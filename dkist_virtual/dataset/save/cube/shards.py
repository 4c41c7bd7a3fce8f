"""Compute and write the shards of a cube, and resume where it was stopped.

Each shard is a file that is written once, from pixels that are computed together. A journal names
those that are complete: of the others nothing is believed.
"""

from __future__ import annotations

import json
import math
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Self

import numpy as np

from dkist_virtual.cube.dask_array import PushdownArray
from dkist_virtual.dataset.save.cube.sources import part_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from dkist_virtual.dataset.save.cube.layout import Layout, Region

__all__ = ["ShardJournal", "Writing", "cluster", "create", "write_shards"]

_AHEAD_BYTES: Final = 2**28
"""Pixels that a cluster computes ahead of what is written."""


@dataclass(frozen=True, eq=False)
class Writing:
    """An array of a cube that is to be written.

    Parameters
    ----------
    name : str
    pixels : VirtualArray, ZarrArray, Computed, dask or numpy array
    dtype : numpy.dtype
    layout : Layout
    dimensions : tuple of str
    attributes : dict
    """

    name: str
    pixels: Any
    dtype: np.dtype
    layout: Layout
    dimensions: tuple[str, ...]
    attributes: dict[str, Any]

    @property
    def n_bytes(self) -> int:
        """Bytes of the pixels."""
        return math.prod(self.layout.shape) * self.dtype.itemsize


def create(writing: Writing, directory: Path) -> None:
    """Create an array of a cube.

    Every shard is written, also one that has only fill values: so a file that is missing is known
    to be missing.
    """
    import zarr
    from zarr.codecs import BloscCodec, Crc32cCodec
    from zarr.storage import LocalStore

    kind = writing.dtype.kind
    fill: Any = False if kind == "b" else np.nan if kind in "fc" else 0
    layout = writing.layout
    zarr.create_array(
        LocalStore(directory / writing.name),
        shape=layout.shape,
        dtype=writing.dtype.newbyteorder("<"),
        chunks=layout.chunks,
        # The index first: then a reader need not know how long a file is.
        shards={"shape": layout.shards, "index_location": "start"},  # type: ignore[arg-type, unused-ignore]
        compressors=[BloscCodec(cname="zstd", clevel=3, shuffle="shuffle"), Crc32cCodec()],
        fill_value=fill,
        dimension_names=writing.dimensions,
        attributes=writing.attributes,
        zarr_format=3,
        overwrite=False,
    )


class ShardJournal:
    """Keep on disk which shards are complete.

    A line that was cut off when the machine stopped does not count, nor does anything after it.

    Parameters
    ----------
    path : pathlib.Path
    token : str
        Of what is written. The journal of something else is started again.

    Attributes
    ----------
    done : set
        Name of the array and number of the shard of all that are complete.
    """

    def __init__(self, path: Path, token: str) -> None:
        self.done: set[tuple[str, tuple[int, ...]]] = set()
        first = json.dumps({"format": 1, "token": token})
        end = 0
        for line in _whole_lines(path):
            if not end and line.decode().rstrip("\n") != first:
                break
            if end:
                name, number = json.loads(line)
                self.done.add((name, tuple(number)))
            end += len(line)
        self._first = len(first) + 1
        self._file = open(path, "r+b" if end else "wb")  # noqa: SIM115  # until `__exit__`
        self._file.truncate(end)
        self._file.seek(end)
        if not end:
            self._write(first)

    def record(self, name: str, number: tuple[int, ...]) -> None:
        """Add a shard that is on the disk."""
        self._write(json.dumps([name, list(number)]))
        self.done.add((name, number))

    def restart(self) -> None:
        """Forget all that was written."""
        self._file.truncate(self._first)
        self._file.seek(self._first)
        self.done.clear()

    def _write(self, line: str) -> None:
        self._file.write(f"{line}\n".encode())
        self._file.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()


def _whole_lines(path: Path) -> Iterator[bytes]:
    try:
        with open(path, "rb") as file:
            for line in file:
                if not line.endswith(b"\n"):
                    return
                yield line
    except FileNotFoundError:
        return


_Task = tuple["Region", "list[tuple[tuple[int, ...], Region]]"]


def write_shards(
    writing: Writing,
    directory: Path,
    journal: ShardJournal,
    count: Callable[[int], object],
) -> None:
    """Compute and write all shards of an array that are not in the journal.

    Parameters
    ----------
    writing : Writing
    directory : pathlib.Path
        Of the cube, in which `create` made the array.
    journal : ShardJournal
    count : callable
        Called with the bytes of each shard's pixels.
    """
    import zarr
    from zarr.storage import LocalStore

    from dkist_virtual.io.local_file import sync

    # Not config= of open_array: zarr 3.1 ignores it for an array that exists.
    with zarr.config.set({"array.write_empty_chunks": True}):
        array = zarr.open_array(LocalStore(directory / writing.name), mode="r+")
    tasks: list[_Task] = []
    for block, shards in writing.layout.parts():
        left = [shard for shard in shards if (writing.name, shard[0]) not in journal.done]
        count(sum(_bytes(writing, r) for n, r in shards if (writing.name, n) in journal.done))
        if left:
            tasks.append((block, left))
    for (block, shards), pixels in _computed(writing, tasks):
        for number, region in shards:
            inside = tuple(
                slice(part.start - whole.start, part.stop - whole.start)
                for part, whole in zip(region, block, strict=True)
            )
            array[region] = pixels[inside]
            sync(os.path.join(directory, writing.name, "c", *map(str, number)))
            journal.record(writing.name, number)
            count(_bytes(writing, region))
        del pixels  # before the next ones are computed


def _bytes(writing: Writing, region: Region) -> int:
    n: int = math.prod(part.stop - part.start for part in region)
    return n * writing.dtype.itemsize


def _computed(writing: Writing, tasks: Iterable[_Task]) -> Iterator[tuple[_Task, Any]]:
    """Compute one block after the other; on a cluster some ahead of the one that is written."""
    ahead = _ahead(writing)
    compute = partial(_compute, writing, here=ahead < 1)
    if ahead < 1:
        for task in tasks:
            yield task, compute(task)
        return
    waiting: list[tuple[_Task, Any]] = []
    with ThreadPoolExecutor(ahead) as pool:
        try:
            for task in tasks:
                waiting.append((task, pool.submit(compute, task)))
                if len(waiting) >= ahead:
                    first, future = waiting.pop(0)
                    yield first, future.result()
            while waiting:
                first, future = waiting.pop(0)
                yield first, future.result()
        finally:
            for _, future in waiting:
                future.cancel()


def _compute(writing: Writing, task: _Task, *, here: bool) -> Any:
    """Compute a block, in this process with no copy of it."""
    from dask.array import Array, store

    part = part_of(writing.pixels, task[0])
    if not isinstance(part, Array) or not here:
        pixels = np.asarray(part)
    elif isinstance(part, PushdownArray):
        pixels = part.compute()
    elif part.npartitions == 1:
        pixels = np.asarray(part.to_delayed().item().compute())  # dask would copy it
    else:
        pixels = np.empty(part.shape, part.dtype)
        store(part, pixels, lock=False)
    return pixels.astype(writing.dtype, copy=False)


def _ahead(writing: Writing) -> int:
    """Return how many blocks a cluster computes at once; 0 where there is none."""
    client = cluster()
    if client is None:
        return 0
    blocks = zip(writing.layout.blocks, writing.layout.shape, strict=True)
    n_bytes = math.prod(min(pair) for pair in blocks) * writing.dtype.itemsize
    n_threads: int = sum(client.nthreads().values())
    return max(1, min(n_threads, _AHEAD_BYTES // max(n_bytes, 1)))


def cluster() -> Any:
    """Return the client of the cluster that computes dask arrays; None where there is none."""
    if "distributed" not in sys.modules:
        return None
    from dask.base import get_scheduler

    client = getattr(get_scheduler(), "__self__", None)
    return client if hasattr(client, "nthreads") else None

"""Choose the chunks and shards of a cube, and the parts in which it is computed.

A chunk is what is read and decoded as a whole, a shard is a file of many chunks. Chunks are boxes:
long along the last axis, in which a frame's bytes follow each other, and a few frames deep, so that
neither a frame nor a spectrum across frames reads much more than it needs.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from dkist_virtual.errors import DatasetError

__all__ = ["Layout", "Region", "choose_layout"]

Region = tuple[slice, ...]
"""A box of pixels."""

CHUNK: Final = (512, 128, 4)
"""Pixels of a chunk along the last axis, the one before, and so on; 1 along all others."""

IN_SHARD: Final = (4096, 256, 8)
"""Pixels of a shard along the same axes: whole rows, as frames are compressed row by row."""

CHUNK_BYTES: Final = 2**20
SHARD_BYTES: Final = 2**23
"""About so many bytes of pixels are a chunk, and a shard, before compression."""

BLOCK_BYTES: Final = 2**26
"""Pixels that are computed together at most, where the chunks of dask allow it."""


@dataclass(frozen=True, slots=True)
class Layout:
    """How an array is stored, and in which parts it is computed.

    Parameters
    ----------
    shape, chunks, shards, blocks : tuple of int
        Of the array, and of each of its chunks, shards, and blocks: the parts that are computed
        together. Shards are whole chunks, blocks are whole shards.
    """

    shape: tuple[int, ...]
    chunks: tuple[int, ...]
    shards: tuple[int, ...]
    blocks: tuple[int, ...]

    def __post_init__(self) -> None:
        for n, chunk, shard, block in zip(
            self.shape, self.chunks, self.shards, self.blocks, strict=True
        ):
            if not (1 <= chunk <= n and shard % chunk == 0 and block % shard == 0):
                raise ValueError(f"{n} pixels in chunks, shards, blocks of {chunk, shard, block}")

    @property
    def n_shards(self) -> int:
        """How many files there are."""
        return math.prod(-(-n // size) for n, size in zip(self.shape, self.shards, strict=True))

    def parts(self) -> Iterator[tuple[Region, list[tuple[tuple[int, ...], Region]]]]:
        """Give each block, and number and region of each shard in it."""
        for block in _boxes(self.shape, self.blocks):
            grids = [
                range(part.start // size, -(-part.stop // size))
                for part, size in zip(block, self.shards, strict=True)
            ]
            shards = []
            for number in itertools.product(*grids):
                region = tuple(
                    slice(i * size, min((i + 1) * size, n))
                    for i, size, n in zip(number, self.shards, self.shape, strict=True)
                )
                shards.append((number, region))
            yield block, shards


def _boxes(shape: Sequence[int], size: Sequence[int]) -> Iterator[Region]:
    along = [
        [slice(begin, min(begin + step, n)) for begin in range(0, n, step)]
        for n, step in zip(shape, size, strict=True)
    ]
    yield from itertools.product(*along)


def choose_layout(
    shape: Sequence[int],
    itemsize: int,
    source: Sequence[Sequence[int]] | None = None,
    chunks: Sequence[int] | None = None,
) -> Layout:
    """Choose the chunks and shards of an array.

    Parameters
    ----------
    shape : sequence of int
    itemsize : int
        Bytes of a pixel.
    source : sequence of sequence of int, optional
        The lengths of dask's chunks along each axis, where a part of a chunk costs as much as all
        of it.
    chunks : sequence of int, optional
        The lengths of a chunk, where the user says them.

    Raises
    ------
    DatasetError
        The user's are not lengths of chunks of such an array.
    """
    known = _check(shape, chunks) if chunks is not None else None
    lengths = known or _chunks(shape, itemsize)
    counts = _counts(shape, lengths, itemsize)
    shards = [chunk * count for chunk, count in zip(lengths, counts, strict=True)]
    if source is None:
        return Layout(tuple(shape), tuple(lengths), tuple(shards), tuple(shards))
    steps = [_step(pieces) for pieces in source]
    if known is None:
        lengths, shards = _fit_all(shape, itemsize, steps, lengths, shards)
    blocks = map(_block, shape, shards, steps)
    return Layout(tuple(shape), tuple(lengths), tuple(shards), tuple(blocks))


def _check(shape: Sequence[int], chunks: Sequence[int]) -> list[int]:
    lengths = list(chunks) if isinstance(chunks, (tuple, list)) else []
    whole = [type(n) is int and n >= 1 for n in lengths]
    if len(lengths) != len(shape) or not all(whole):
        raise DatasetError(
            f"chunks = {chunks!r}: expected the length of a chunk along each of the {len(shape)} "
            f"axes of {tuple(shape)}, as a tuple of whole numbers from 1 on"
        )
    return [min(n, length) for n, length in zip(shape, lengths, strict=True)]


def _evenly(n: int, size: int) -> int:
    """Divide an axis into as many pieces as of a size, all but the last of the same length."""
    return -(-n // -(-n // size))


def _chunks(shape: Sequence[int], itemsize: int) -> list[int]:
    wanted = [1] * max(len(shape) - len(CHUNK), 0) + [*CHUNK[::-1]][-len(shape) :]
    lengths = [min(n, size) for n, size in zip(shape, wanted, strict=True)]
    # What short axes leave goes to the others, the last one first.
    for axis in sorted(range(len(shape)), reverse=True):
        while lengths[axis] < shape[axis] and 2 * math.prod(lengths) * itemsize <= CHUNK_BYTES:
            lengths[axis] = min(2 * lengths[axis], shape[axis])
    while math.prod(lengths) * itemsize > CHUNK_BYTES:
        longest = lengths.index(max(lengths))
        lengths[longest] = -(-lengths[longest] // 2)
    return [_evenly(n, size) for n, size in zip(shape, lengths, strict=True)]


def _counts(shape: Sequence[int], chunks: Sequence[int], itemsize: int) -> list[int]:
    """Choose how many chunks are a shard along each axis."""
    there = [-(-n // size) for n, size in zip(shape, chunks, strict=True)]
    wanted = [1] * max(len(shape) - len(IN_SHARD), 0) + [*IN_SHARD[::-1]][-len(shape) :]
    counts = [
        min(n, -(-pixels // size)) for n, pixels, size in zip(there, wanted, chunks, strict=True)
    ]

    def n_bytes() -> int:
        return math.prod(chunks) * math.prod(counts) * itemsize

    for axis in sorted(range(len(shape)), reverse=True):
        while counts[axis] < there[axis] and 2 * n_bytes() <= SHARD_BYTES:
            counts[axis] = min(2 * counts[axis], there[axis])
    for axis in range(len(shape)):
        while counts[axis] > 1 and n_bytes() > SHARD_BYTES:
            counts[axis] = -(-counts[axis] // 2)
    return [_evenly(n, count) for n, count in zip(there, counts, strict=True)]


def _step(pieces: Sequence[int]) -> int:
    """Return the length of dask's chunks along an axis; 0 where they have several."""
    first = pieces[0]
    regular = all(piece == first for piece in pieces[:-1]) and pieces[-1] <= first
    return first if regular else 0


def _fit_all(
    shape: Sequence[int],
    itemsize: int,
    steps: Sequence[int],
    chunks: Sequence[int],
    shards: Sequence[int],
) -> tuple[list[int], list[int]]:
    """Make shards of whole chunks of dask's, or those of whole shards, as far as memory allows."""
    shards = list(shards)
    while True:
        fitted = [_fit(*one) for one in zip(shape, chunks, shards, steps, strict=True)]
        blocks = [
            min(n, _block(n, shard, step))
            for n, (_, shard), step in zip(shape, fitted, steps, strict=True)
        ]
        # Several chunks of dask's along an axis are fewer in a smaller shard.
        fewer = [
            axis
            for axis, step in enumerate(steps)
            if 0 < step < shape[axis] and step < shards[axis]
        ]
        if math.prod(blocks) * itemsize <= BLOCK_BYTES or not fewer:
            return [chunk for chunk, _ in fitted], [shard for _, shard in fitted]
        shards[fewer[0]] = max(steps[fewer[0]], shards[fewer[0]] // 2)


def _fit(n: int, chunk: int, shard: int, step: int) -> tuple[int, int]:
    """Make a shard of whole chunks of dask's along an axis, or such a chunk of whole shards."""
    if step in (0, n):
        return chunk, shard
    shard = step * (shard // step) if step <= shard else _divisor(step, shard)
    return _divisor(shard, chunk), shard


def _divisor(n: int, most: int) -> int:
    """Find the largest divisor up to a number that is not much smaller; all of `n` without one."""
    most = min(most, n)
    return next((one for one in range(most, 0, -1) if n % one == 0 and 8 * one >= most), n)


def _block(n: int, shard: int, step: int) -> int:
    """Join the shards along an axis that come from the same chunks of dask's."""
    return shard * max(1, -(-min(step, n) // shard))

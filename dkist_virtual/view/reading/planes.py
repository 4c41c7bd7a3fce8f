"""Read the pixels of pictures: the part that is shown, at the screen's resolution, once."""

from __future__ import annotations

from collections import OrderedDict
from concurrent.futures import CancelledError, Future
from dataclasses import dataclass
from time import perf_counter
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from dkist_virtual.fits.threads import ThreadLock
from dkist_virtual.plot.planes import Plane, read_part
from dkist_virtual.view.pictures.sampling import Block

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from dkist_virtual.plot.planes import Subject
    from dkist_virtual.view.pictures.sampling import Box
    from dkist_virtual.view.state.state import Point

__all__ = ["CACHE_BYTES", "BlockCache", "PlanePart"]

CACHE_BYTES: Final = 2**27
"""Of the blocks of a picture that are kept: a hundred pictures of the screen's size."""
AT_ONCE: Final = 16
"""Frames that a picture is drawn from in one go; one of more frames comes in parts."""
PARTS: Final = (0, 4, 2, 6, 1, 5, 3, 7)
"""The order of the parts: each has every eighth frame, so that the first one shows it all."""
FIRST_BATCH: Final = 4
BATCH_SECONDS: Final = 0.1
"""How long frames are read in one go, about: another request waits no longer."""


@dataclass(frozen=True)
class PlanePart:
    """What is read of a plane: which of its pixels, and how many become one.

    Parameters
    ----------
    at : Point
        The pixel of each array axis; 0 along those of the plane.
    axes : (int, int)
        The array axes of columns and rows.
    box : Box
    average : (int, int)
        Rows and columns that become one.
    """

    at: Point
    axes: tuple[int, int]
    box: Box
    average: tuple[int, int]

    def index(self) -> tuple[int | slice, ...]:
        """Make the index of the part in the array."""
        index: list[int | slice] = list(self.at)
        index[self.axes[1]], index[self.axes[0]] = self.box.slices
        return tuple(index)

    def read(self, subject: Subject, frame: tuple[int, ...]) -> Iterator[Block | None]:
        """Read it; a plane of many frames comes in parts, each of which shows all of it.

        A None is a place to stop between two parts. `frame` has the array axes of a frame.
        """
        index = self.index()
        over = [axis for axis in self.axes if axis not in frame]
        counts = {axis: len(range(*_slice(index[axis]).indices(subject.world.shape[axis])))
                  for axis in over}  # fmt: skip
        if int(np.prod(list(counts.values()), dtype=int)) <= AT_ONCE:
            yield self._block(_read(subject, index))
            return
        along = max(counts, key=lambda axis: counts[axis])
        yield from self._read_in_parts(subject, index, along)

    def _read_in_parts(
        self, subject: Subject, index: tuple[int | slice, ...], along: int
    ) -> Iterator[Block | None]:
        chosen = range(*_slice(index[along]).indices(subject.world.shape[along]))
        left = sorted(self.axes).index(along)
        pixels: Any = None
        absent: Any = None
        come = np.zeros(len(chosen), bool)
        n = FIRST_BATCH
        for number, first in enumerate(PARTS):
            places = range(first, len(chosen), len(PARTS))
            if not places:
                continue
            while places:
                some, places = places[:n], places[n:]
                frames = chosen[some.start : some.stop : some.step]
                part = list(index)
                part[along] = slice(frames.start, frames.stop, frames.step)
                began = perf_counter()
                plane = _read(subject, tuple(part))
                n = _next_batch(len(some), perf_counter() - began)
                if pixels is None:
                    shape = list(plane.pixels.shape)
                    shape[left] = len(chosen)
                    pixels, absent = np.empty(shape, plane.pixels.dtype), np.zeros(shape, bool)
                to = [slice(None), slice(None)]
                to[left] = slice(some.start, some.stop, some.step)
                pixels[tuple(to)] = plane.pixels
                if plane.absent is not None:
                    absent[tuple(to)] = plane.absent
                come[to[left]] = True
                if places:
                    yield None
            shown, gone = pixels, absent
            if number < len(PARTS) - 1:
                # Those that have not come yet look as the last one before them that has.
                last = np.maximum.accumulate(np.where(come, np.arange(len(come)), 0))
                shown, gone = (one.take(last, axis=left) for one in (pixels, absent))
            plane = Plane(shown, gone if gone.any() else None)
            yield self._block(plane, is_whole=bool(come.all()))

    def _block(self, plane: Plane, *, is_whole: bool = True) -> Block:
        oriented = plane.transposed() if self.axes[1] > self.axes[0] else plane
        return Block.of(oriented, *self.average, is_whole=is_whole)


def _next_batch(n: int, seconds: float) -> int:
    """Choose how many frames to read in one go, from how long the last ones took."""
    return max(1, min(2 * n, int(n * BATCH_SECONDS / max(seconds, 1e-6))))


def _slice(entry: int | slice) -> slice:
    assert isinstance(entry, slice)
    return entry


def _read(subject: Subject, index: tuple[int | slice, ...]) -> Plane:
    return read_part(subject.data, subject.mask, index, subject.convert)


class BlockCache:
    """Keeps the blocks that were read last, and reads none twice at a time.

    Parameters
    ----------
    most : int
        Bytes that are kept, and the last block at least.
    """

    def __init__(self, most: int = CACHE_BYTES) -> None:
        self._most = most
        self._lock = ThreadLock()
        self._blocks: OrderedDict[object, Block] = OrderedDict()
        self._coming: dict[object, Future[Block]] = {}

    @property
    def nbytes(self) -> int:
        """Of all blocks."""
        return sum(block.nbytes for block in self._blocks.values())

    def __contains__(self, key: object) -> bool:
        return key in self._blocks or key in self._coming

    def forget_absent(self) -> None:
        """Forget what was read of absent frames, so that it is read again: they may have come.

        What is being read now is not kept either, since it may have begun before they came.
        """
        with self._lock:
            for key in [key for key, block in self._blocks.items() if block.absent is not None]:
                del self._blocks[key]
            self._coming.clear()

    def read(
        self, key: object, read: Callable[[], Iterator[Block | None]]
    ) -> Iterator[Block | None]:
        """Return a block from the cache, or read it in parts, the last of which is kept.

        One that another thread is reading is waited for.
        """
        with self._lock:
            kept = self._blocks.get(key)
            if kept is not None:
                self._blocks.move_to_end(key)
            coming = self._coming.get(key)
            if kept is None and coming is None:
                mine: Future[Block] = Future()
                self._coming[key] = mine
        if kept is not None:
            yield kept
        elif coming is not None:
            try:
                block = coming.result()
            except CancelledError:  # nobody waited for it there
                yield from self.read(key, read)
            else:
                yield block
        else:
            yield from self._read(key, read, mine)

    def _read(
        self, key: object, read: Callable[[], Iterator[Block | None]], mine: Future[Block]
    ) -> Iterator[Block | None]:
        block: Block | None = None
        try:
            for block in read():
                yield block
        except GeneratorExit:  # nobody waits for the next part any more
            self._end(key, mine)
            mine.cancel()
            raise
        except BaseException as error:
            self._end(key, mine)
            mine.set_exception(error)
            raise
        assert block is not None
        self._end(key, mine, block)
        mine.set_result(block)

    def _end(self, key: object, mine: Future[Block], block: Block | None = None) -> None:
        """End a read; keep its block, unless what was being read then was forgotten."""
        with self._lock:
            if self._coming.get(key) is not mine:
                return
            del self._coming[key]
            if block is not None:
                self._blocks[key] = block
            while len(self._blocks) > 1 and self.nbytes > self._most:
                self._blocks.popitem(last=False)

"""Read rectangles of an array frame by frame, and say which frames are absent or failed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeAlias

import numpy as np

from dkist_virtual.cube.virtual_array import VirtualArray
from dkist_virtual.errors import FrameError
from dkist_virtual.plot.planes import read_part

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

    from dkist_virtual.plot.planes import Subject

__all__ = [
    "ABSENT", "FAILED", "READ", "WAITING", "Block", "Filled", "Ranges", "around", "float_type",
    "forget_absent", "frame_axes", "of_pixels", "read_into", "read_pixels",
]  # fmt: skip

WAITING: Final = 0
READ: Final = 1
ABSENT: Final = 2
FAILED: Final = 3
"""What is known of a frame's pixels: not read yet, read, absent, could not be read."""

MOST_FAULTS: Final = 6
"""Failed reads after which a request tries no other frames: a server that does not answer takes
long to say so."""

Ranges: TypeAlias = tuple[range, ...]
"""A rectangle of an array: the pixels along each of its axes."""


class Filled(Protocol):
    """What is filled by the pixels that were read."""

    def is_read(self, ranges: Ranges) -> bool:
        """Whether nothing of a rectangle needs to be read."""
        ...

    def put(self, ranges: Ranges, pixels: NDArray[Any], marks: NDArray[np.uint8]) -> None:
        """Take the pixels of a rectangle, and the marks of its frames."""
        ...


def frame_axes(subject: Subject) -> int:
    """Return the number of leading axes along which frames, not pixels of a frame, are counted.

    Of an array that was computed it is taken that frames have the last two axes.
    """
    if isinstance(subject.data, VirtualArray):
        return len(subject.data.frame_shape)
    return max(len(subject.data.shape) - 2, 0)


def float_type(subject: Subject) -> np.dtype:
    """Return the type of floats that pixels are read to: their own, or one with all integers."""
    dtype = np.dtype(getattr(subject.data, "dtype", float))
    if subject.convert is not None:
        return np.dtype(float)
    if dtype.kind == "f":
        return dtype
    return np.dtype(np.float32) if dtype.itemsize < 4 else np.dtype(np.float64)


def read_pixels(subject: Subject, ranges: Ranges) -> tuple[NDArray[Any], NDArray[np.uint8]]:
    """Read a rectangle: floats, NaN where masked or absent, and a mark for each of its frames.

    If a frame of an array that was computed is absent, all of the rectangle is, since it is unknown
    which pixels came from it.
    """
    index = tuple(slice(pixels.start, pixels.stop, pixels.step) for pixels in ranges)
    part = read_part(subject.data, subject.mask, index, subject.convert)
    pixels, n = part.pixels.astype(float_type(subject), copy=False), frame_axes(subject)
    gone = np.zeros(pixels.shape[:n], bool)
    if part.absent is not None:
        pixels = np.where(part.absent, np.nan, pixels)
        gone = part.absent.reshape(*gone.shape, -1)[..., 0]
    return pixels, np.where(gone, ABSENT, READ).astype(np.uint8)


def of_pixels(marks: NDArray[np.uint8], shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """Give each pixel the mark of its frame; `shape` is that of the pixels."""
    return np.broadcast_to(marks.reshape(marks.shape + (1,) * (len(shape) - marks.ndim)), shape)


def forget_absent(marks: NDArray[np.uint8]) -> NDArray[np.uint8] | None:
    """Return marks with which absent frames are read again; None where all frames were read."""
    if (marks == READ).all():
        return None
    return np.where(marks == ABSENT, WAITING, marks).astype(np.uint8)


def read_into(subject: Subject, filled: Filled, parts: Iterable[Ranges]) -> Iterator[str]:
    """Read rectangles one after the other, and fill something with them.

    What was read before is not read again. Of a rectangle that cannot be read, the frames that can
    be are. After each read, what is known of faults so far is yielded: a sentence, or nothing.
    """
    faults: list[str] = []
    for ranges in parts:
        yield from _read_into(subject, filled, ranges, faults)


def _read_into(
    subject: Subject, filled: Filled, ranges: Ranges, faults: list[str]
) -> Iterator[str]:
    if filled.is_read(ranges):
        return
    n = frame_axes(subject)
    if len(faults) < MOST_FAULTS:
        try:
            filled.put(ranges, *read_pixels(subject, ranges))
        except FrameError as error:
            faults.append(str(error))
            longest = max(range(n), key=lambda axis: len(ranges[axis]), default=0)
            many = len(ranges[longest]) if n else 1
            if many > 1:
                yield faults[0]
                for half in (slice(None, many // 2), slice(many // 2, None)):
                    part = ranges[longest][half]
                    halves = (*ranges[:longest], part, *ranges[longest + 1 :])
                    yield from _read_into(subject, filled, halves, faults)
                return
        else:
            yield faults[0] if faults else ""
            return
    shape = tuple(map(len, ranges))
    unknown = np.full(shape, np.nan, float_type(subject))
    filled.put(ranges, unknown, np.full(shape[:n], FAILED, np.uint8))
    yield faults[0]


def around(centre: int, n: int, first: int = 8, most: int = 32) -> Iterator[range]:
    """Divide an axis into batches: the nearest to a pixel first, each larger than the one before.

    Parameters
    ----------
    centre : int
    n : int
        Pixels along the axis.
    first, most : int
        Lengths of the first batch, and of the longest.
    """
    start = max(min(centre - first // 2, n - first), 0)
    low, high, size = start, min(start + first, n), first
    yield range(low, high)
    while low > 0 or high < n:
        size = min(2 * size, most)
        if high < n:
            yield range(high, min(high + size, n))
            high = min(high + size, n)
        if low > 0:
            yield range(max(low - size, 0), low)
            low = max(low - size, 0)


@dataclass(frozen=True, eq=False)
class Block:
    """A rectangle of an array in memory, filled frame by frame.

    Parameters
    ----------
    ranges : Ranges
    values : numpy.ndarray
        With all axes of the array; NaN where nothing was read.
    marks : numpy.ndarray
        With the axes that count frames: WAITING, READ, ABSENT or FAILED.
    """

    ranges: Ranges
    values: NDArray[Any]
    marks: NDArray[np.uint8]

    @classmethod
    def empty(cls, subject: Subject, ranges: Ranges) -> Block:
        """Make one of which nothing was read."""
        shape = tuple(map(len, ranges))
        values = np.full(shape, np.nan, float_type(subject))
        return cls(ranges, values, np.zeros(shape[: frame_axes(subject)], np.uint8))

    @property
    def nbytes(self) -> int:
        """Bytes in memory."""
        return self.values.nbytes

    @property
    def is_whole(self) -> bool:
        """Whether all of it was read, or is absent."""
        return bool(np.isin(self.marks, (READ, ABSENT)).all())

    def without_absent(self) -> Block:
        """Return one that reads its absent frames again.

        It is another one, so that what is being read for this one now does not get into it.
        """
        marks = forget_absent(self.marks)
        return self if marks is None else Block(self.ranges, self.values.copy(), marks)

    def _place(self, ranges: Ranges) -> tuple[slice, ...]:
        places = []
        for own, part in zip(self.ranges, ranges, strict=True):
            start = own.index(part[0])
            places.append(slice(start, start + len(part)))
        return tuple(places)

    def is_read(self, ranges: Ranges) -> bool:
        """Whether nothing of a rectangle needs to be read."""
        marks = self.marks[self._place(ranges)[: self.marks.ndim]]
        return bool(np.isin(marks, (READ, ABSENT)).all())

    def put(self, ranges: Ranges, pixels: NDArray[Any], marks: NDArray[np.uint8]) -> None:
        """Take the pixels of a rectangle, and the marks of its frames."""
        place = self._place(ranges)
        self.values[place] = pixels
        self.marks[place[: self.marks.ndim]] = marks

"""Read the profiles of a pixel part by part, Stokes I and the frames near the point first."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from dkist_virtual.errors import SelectionError
from dkist_virtual.plot.line_plot import profile_axes
from dkist_virtual.view.reading.kept import Kept
from dkist_virtual.view.reading.pixels import (
    WAITING,
    Block,
    around,
    float_type,
    frame_axes,
    of_pixels,
    read_into,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    from numpy.typing import NDArray

    from dkist_virtual.plot.planes import Subject
    from dkist_virtual.view.reading.pixels import Ranges
    from dkist_virtual.view.state.state import Point

__all__ = ["Profile", "ProfileReader", "along_axis"]

KEEP_BYTES: Final = 2**27
"""Of profiles that are kept, with those of their neighbours."""
BLOCK_BYTES: Final = 2**26
"""That neighbours may have which come with a profile: those of the same row of each frame."""


def along_axis(subject: Subject) -> tuple[int, int | None]:
    """Choose the axes of profiles: the one along which they run, and that of Stokes parameters.

    They run along wavelength, or else time, or else Stokes; in an array that has none of them along
    its last axis.
    """
    try:
        shown = profile_axes(subject.world)
    except SelectionError:
        return len(subject.world.shape) - 1, None
    return shown.x, shown.y


@dataclass(frozen=True, eq=False)
class Profile:
    """The profiles of a pixel, as far as they were read.

    Parameters
    ----------
    values : numpy.ndarray
        A row for each Stokes parameter; NaN where nothing was read.
    marks : numpy.ndarray
        Of the same shape: WAITING, READ, ABSENT or FAILED.
    fault : str
        What the first frame said that could not be read; empty where there is none.
    """

    values: NDArray[Any]
    marks: NDArray[np.uint8]
    fault: str = ""


class ProfileReader:
    """Reads profiles of an array, and keeps the last ones.

    With the pixel its row of each frame is kept: the last axis of frames is that of their tiles,
    which are decoded whole. Of a slit spectrograph, whose profile is a part of one frame, the
    whole frame is read once the point has moved in it.

    Parameters
    ----------
    subject : Subject
    along : int, optional
        The array axis along which profiles run; by default that of `along_axis`.
    keep : int
        Bytes that are kept.
    """

    def __init__(self, subject: Subject, along: int | None = None, keep: int = KEEP_BYTES) -> None:
        self.subject = subject
        chosen, self.stokes = along_axis(subject)
        self.along = chosen if along is None else along
        if self.stokes == self.along:
            self.stokes = None
        self._shape = subject.world.shape
        self._frames = frame_axes(subject)
        self._kept: Kept[Block] = Kept(keep)
        self._last: Ranges | None = None

    @property
    def nbytes(self) -> int:
        """Bytes that are kept."""
        return self._kept.nbytes

    def forget_absent(self) -> None:
        """Read absent frames again when they are next wanted."""
        self._kept.replace(Block.without_absent)

    def ranges(self, point: Point) -> Ranges:
        """Return the rectangle that is read for a pixel: its profiles, and its row if small."""
        ranges = [range(pixel, pixel + 1) for pixel in point]
        for axis in (self.along, self.stokes):
            if axis is not None:
                ranges[axis] = range(self._shape[axis])
        return self._widened(tuple(ranges), range(len(point) - 1, len(point)))

    def _widened(self, ranges: Ranges, axes: range) -> Ranges:
        """Take whole axes of a frame where they are few enough bytes."""
        wide = tuple(
            range(n) if axis in axes and axis >= self._frames else pixels
            for axis, (pixels, n) in enumerate(zip(ranges, self._shape, strict=True))
        )
        size = math.prod(map(len, wide)) * float_type(self.subject).itemsize
        return wide if size <= BLOCK_BYTES else ranges

    def steps(self, point: Point, first: int = 0) -> Iterator[Profile]:
        """Read the profiles of a pixel; yield them after each batch of frames.

        Parameters
        ----------
        point : Point
        first : int
            The Stokes parameter, a pixel of its axis, that is read first.
        """
        ranges = self.ranges(point)
        whole = self._widened(ranges, range(self._frames, len(point)))
        moved_within = self._last == whole
        self._last = whole
        block = self._kept.get(whole)
        if block is None or not block.is_whole:
            block = self._block(ranges)
        if (block.marks != WAITING).any():
            yield self._profile(block, point)
        for fault in read_into(self.subject, block, self._parts(ranges, point, first)):
            yield self._profile(block, point, fault)
        if moved_within and self.along >= self._frames and ranges != whole:
            frame = self._block(whole)
            for fault in read_into(self.subject, frame, self._parts(whole, point, first)):
                yield self._profile(frame if frame.is_whole else block, point, fault)

    def _block(self, ranges: Ranges) -> Block:
        block = self._kept.get(ranges, lambda: Block.empty(self.subject, ranges))
        assert block is not None
        return block

    def _parts(self, ranges: Ranges, point: Point, first: int) -> Iterator[Ranges]:
        """Divide a rectangle: one Stokes parameter before the others, near frames before far."""
        n = self._shape[self.along]
        batches = list(around(point[self.along], n)) if self.along < self._frames else [range(n)]
        letters = [range(1)]
        if self.stokes is not None and self.stokes < self._frames:
            m = self._shape[self.stokes]
            letters = [range(first, first + 1), range(first), range(first + 1, m)]
        for letter in filter(len, letters):
            for batch in batches:
                part = list(ranges)
                if self.stokes is not None and self.stokes < self._frames:
                    part[self.stokes] = letter
                part[self.along] = batch
                yield tuple(part)

    def _profile(self, block: Block, point: Point, fault: str = "") -> Profile:
        place = tuple(
            slice(None) if axis in (self.along, self.stokes) else own.index(pixel)
            for axis, (own, pixel) in enumerate(zip(block.ranges, point, strict=True))
        )
        values = block.values[place]
        known = of_pixels(block.marks, block.values.shape)[place]
        if self.stokes is None:
            values, known = values[None], known[None]
        elif self.stokes > self.along:
            values, known = values.T, known.T
        return Profile(values.copy(), known.copy(), fault)

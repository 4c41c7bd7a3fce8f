"""Read cuts through an array part by part: along two axes of a pixel, or along a path.

A cut is an image whose columns or rows are not those of a frame: wavelength and time of one pixel,
time and distance, wavelength and distance. It reads the tiles of its pixels, of many frames.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from dkist_virtual.view.reading.kept import Kept
from dkist_virtual.view.reading.pixels import (
    ABSENT,
    READ,
    WAITING,
    Block,
    around,
    float_type,
    forget_absent,
    frame_axes,
    of_pixels,
    read_into,
)
from dkist_virtual.view.reading.together import read_together

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from dkist_virtual.plot.planes import Subject
    from dkist_virtual.view.reading.path_samples import PathSamples
    from dkist_virtual.view.reading.pixels import Ranges
    from dkist_virtual.view.state.state import Point

__all__ = ["Cut", "CutReader"]

KEEP_BYTES: Final = 2**26
"""Of cuts that are kept."""
BATCH_BYTES: Final = 2**24
"""That are read at once."""
BATCH_FRAMES: Final = 64


@dataclass(frozen=True, eq=False)
class Cut:
    """A cut, as far as it was read.

    Parameters
    ----------
    values : numpy.ndarray
        Of shape (rows, columns); NaN where nothing was read.
    marks : numpy.ndarray
        Of the same shape: WAITING, READ, ABSENT or FAILED.
    fault : str
        What the first frame said that could not be read; empty where there is none.
    """

    values: NDArray[Any]
    marks: NDArray[np.uint8]
    fault: str = ""

    def transposed(self) -> Cut:
        """Exchange rows and columns."""
        return Cut(self.values.T, self.marks.T, self.fault)


@dataclass(frozen=True, eq=False)
class _AlongPath:
    """The pixels of a path along another axis, filled as they are read."""

    samples: PathSamples
    axes: tuple[int, int]
    along: int
    start: int
    values: NDArray[Any]
    marks: NDArray[np.uint8]

    @property
    def nbytes(self) -> int:
        return self.values.nbytes + self.marks.nbytes

    def without_absent(self) -> _AlongPath:
        """Return one that reads its absent frames again: see `Block.without_absent`."""
        marks = forget_absent(self.marks)
        return self if marks is None else replace(self, values=self.values.copy(), marks=marks)

    def _chosen(self, ranges: Ranges) -> tuple[slice, NDArray[np.bool_]]:
        first, second = (ranges[axis] for axis in self.axes)
        pixels = self.samples.pixels
        inside = (pixels[:, 0] >= first.start) & (pixels[:, 0] < first.stop)
        inside &= (pixels[:, 1] >= second.start) & (pixels[:, 1] < second.stop)
        on = ranges[self.along]
        return slice(on.start - self.start, on.stop - self.start), inside

    def is_read(self, ranges: Ranges) -> bool:
        rows, inside = self._chosen(ranges)
        return bool(np.isin(self.marks[rows][:, inside], (READ, ABSENT)).all())

    def put(self, ranges: Ranges, pixels: NDArray[Any], marks: NDArray[np.uint8]) -> None:
        rows, inside = self._chosen(ranges)
        marks = of_pixels(marks, pixels.shape)
        first, second = (ranges[axis] for axis in self.axes)
        at = self.samples.pixels[inside] - (first.start, second.start)
        order = (self.along, *self.axes)
        others = tuple(axis for axis in range(pixels.ndim) if axis not in order)
        for out, of in ((self.values, pixels), (self.marks, marks)):
            plane = of.transpose(*others, *order).reshape([len(ranges[axis]) for axis in order])
            part = out[rows]
            part[:, inside] = plane[:, at[:, 0], at[:, 1]]


class CutReader:
    """Reads cuts through an array, and keeps the last ones.

    Parameters
    ----------
    subject : Subject
    keep : int
        Bytes that are kept.
    """

    def __init__(self, subject: Subject, keep: int = KEEP_BYTES) -> None:
        self.subject = subject
        self._shape = subject.world.shape
        self._frames = frame_axes(subject)
        self._kept: Kept[Block | _AlongPath] = Kept(keep)

    def forget_absent(self) -> None:
        """Read absent frames again when they are next wanted."""
        self._kept.replace(lambda one: one.without_absent())

    def plane(
        self, point: Point, rows: int, columns: int, only: range | None = None
    ) -> Iterator[Cut]:
        """Read a pixel along two axes; yield the cut after each batch of frames.

        Parameters
        ----------
        point : Point
        rows, columns : int
            The array axes along which it is cut. Near rows come first.
        only : range, optional
            The pixels of the columns' axis that are read; by default all.
        """
        ranges = [range(pixel, pixel + 1) for pixel in point]
        ranges[rows] = range(self._shape[rows])
        ranges[columns] = range(self._shape[columns]) if only is None else only
        key = tuple(ranges)
        block = self._kept.get(key, lambda: Block.empty(self.subject, key))
        assert isinstance(block, Block)

        def parts() -> Iterator[Ranges]:
            each = math.prod(len(r) for axis, r in enumerate(ranges) if axis != rows)
            wide = columns >= self._frames
            for on in self._batches(point, rows, each, 1 if wide else len(ranges[columns])):
                yield (*key[:rows], on, *key[rows + 1 :])

        def cut(fault: str = "") -> Cut:
            planes = [block.values, of_pixels(block.marks, block.values.shape)]
            place = tuple(slice(None) if axis in (rows, columns) else 0 for axis in range(len(key)))
            values, known = (one[place] if rows < columns else one[place].T for one in planes)
            return Cut(values.copy(), known.copy(), fault)

        if (block.marks != WAITING).any():
            yield cut()
        for fault in read_into(self.subject, block, parts()):
            yield cut(fault)

    def path(
        self,
        point: Point,
        samples: PathSamples,
        axes: tuple[int, int],
        along: int,
        only: range | None = None,
    ) -> Iterator[Cut]:
        """Read the pixels of a path along another axis; yield the cut after each batch.

        Its rows are the pixels along that axis, its columns the samples of the path.

        Parameters
        ----------
        point : Point
            The pixels of the other axes.
        samples : PathSamples
            Along `axes`.
        axes : (int, int)
            The array axes of the path, ascending.
        along : int
            Another array axis.
        only : range, optional
            Its pixels that are read; by default all.
        """
        if not len(samples):
            return
        chosen = range(self._shape[along]) if only is None else only
        fixed = tuple(p for axis, p in enumerate(point) if axis not in (*axes, along))
        key = (fixed, axes, along, chosen, samples.pixels.tobytes())
        shape = (len(chosen), len(samples))

        def empty() -> _AlongPath:
            values = np.full(shape, np.nan, float_type(self.subject))
            marks = np.zeros(shape, np.uint8)
            return _AlongPath(samples, axes, along, chosen.start, values, marks)

        filled = self._kept.get(key, empty)
        assert isinstance(filled, _AlongPath)

        def cut(fault: str = "") -> Cut:
            return Cut(filled.values.copy(), filled.marks.copy(), fault)

        if (filled.marks != WAITING).any():
            yield cut()
        parts = self._path_parts(point, samples, axes, along, only)
        for fault in read_together(self.subject, filled, parts):
            yield cut(fault)

    def _path_parts(
        self,
        point: Point,
        samples: PathSamples,
        axes: tuple[int, int],
        along: int,
        only: range | None,
    ) -> Iterator[Ranges]:
        n = self._shape[along] if only is None else len(only)
        # The pixels of a row, along the last axis, share a tile.
        pieces = list(
            samples.pieces(
                by_column=axes[1] < len(self._shape) - 1,
                n_frame_axes=sum(axis < self._frames for axis in axes),
                deep=1 if along < self._frames else n,
            )
        )
        largest = max(len(piece.rows) * len(piece.columns) for piece in pieces)
        frames = max(
            math.prod(
                len(pixels)
                for axis, pixels in zip(axes, (piece.rows, piece.columns), strict=True)
                if axis < self._frames
            )
            for piece in pieces
        )
        batches = self._batches(point, along, largest, frames) if only is None else [only]
        for on in batches:
            for piece in pieces:
                ranges = [range(pixel, pixel + 1) for pixel in point]
                ranges[along], ranges[axes[0]], ranges[axes[1]] = on, piece.rows, piece.columns
                yield tuple(ranges)

    def _batches(self, point: Point, axis: int, pixels: int, frames: int) -> Iterator[range]:
        """Divide an axis of frames into batches; `pixels` and `frames` are those of one of them."""
        n = self._shape[axis]
        if axis >= self._frames:
            yield range(n)
            return
        size = pixels * float_type(self.subject).itemsize
        most = max(1, min(BATCH_FRAMES // max(frames, 1), BATCH_BYTES // max(size, 1)))
        yield from around(point[axis], n, min(8, most), most)

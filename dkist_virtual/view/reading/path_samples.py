"""Place samples along a path that was drawn, and group those that are read together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import ArrayLike, NDArray

__all__ = ["PathSamples", "Piece"]

MOST_PIXELS: Final = 2**18
"""Of the rectangle around the samples that are read together."""
MOST_FRAMES: Final = 32
"""Of that rectangle, where its rows or columns are frames."""
WASTE: Final = 1.5
"""Rows that are read together, in units of those that have samples."""


@dataclass(frozen=True, eq=False)
class Piece:
    """Samples next to each other that are read together.

    Parameters
    ----------
    rows, columns : range
        The pixels that are read, along the first axis of the path and along the second.
    samples : range
        The numbers of the samples.
    """

    rows: range
    columns: range
    samples: range


@dataclass(frozen=True, eq=False)
class PathSamples:
    """The pixels along a path: the nearest one to each point of it, a pixel's length apart.

    Values are those of pixels, never interpolated between them.

    Parameters
    ----------
    pixels : numpy.ndarray
        Of shape (n, 2): pixels along two axes of the array.
    distance : numpy.ndarray
        Of each from the first corner, in pixels.
    """

    pixels: NDArray[np.int64]
    distance: NDArray[np.float64]

    @classmethod
    def along(cls, corners: ArrayLike, shape: Sequence[int]) -> PathSamples:
        """Place samples along a path.

        Parameters
        ----------
        corners : array_like
            Of shape (n, 2): its corners, in pixels along two axes.
        shape : sequence of int
            The pixels along these axes. Parts of the path outside of them have no samples.
        """
        places = np.asarray(corners, float).reshape(-1, 2)
        lengths = np.hypot(*np.diff(places, axis=0).T) if len(places) > 1 else np.zeros(0)
        at_corner = np.concatenate([[0.0], np.cumsum(lengths)])
        total = float(at_corner[-1]) if len(places) else 0.0
        distance = np.linspace(0, total, int(np.ceil(total)) + 1)
        if not len(places) or not np.isfinite(places).all():
            return cls(np.zeros((0, 2), np.int64), np.zeros(0))
        along = np.stack([np.interp(distance, at_corner, column) for column in places.T], axis=1)
        pixels = np.floor(along + 0.5).astype(np.int64)
        inside = ((pixels >= 0) & (pixels < np.asarray(shape))).all(axis=1)
        return cls(pixels[inside], distance[inside])

    def __len__(self) -> int:
        return len(self.pixels)

    def pieces(self, *, by_column: bool, n_frame_axes: int = 0, deep: int = 1) -> Iterator[Piece]:
        """Divide the samples, so that few pixels are read that none of them has.

        Parameters
        ----------
        by_column : bool
            Whether each column is read by itself, as those of a raster are, which are frames.
            Otherwise rows are read, of which columns are a part.
        n_frame_axes : int
            Of the axes of the path, from the first one: those along which frames are counted.
        deep : int
            Pixels that are read for each of the rectangle, along another axis.
        """

        def is_much(start: int, stop: int) -> bool:
            part = self.pixels[start:stop]
            sides = part.max(axis=0) + 1 - part.min(axis=0)
            area = int(np.prod(sides))
            if by_column:
                read, needed = area, len(np.unique(part, axis=0))
            else:
                read, needed = int(sides[0]), len(np.unique(part[:, 0]))
            frames = int(np.prod(sides[:n_frame_axes]))
            return read > WASTE * needed or area * deep > MOST_PIXELS or frames > MOST_FRAMES

        yield from self._divided(0, len(self.pixels), is_much)

    def _divided(
        self, start: int, stop: int, is_much: Callable[[int, int], bool]
    ) -> Iterator[Piece]:
        if start == stop:
            return
        if stop - start > 1 and is_much(start, stop):
            middle = (start + stop) // 2
            yield from self._divided(start, middle, is_much)
            yield from self._divided(middle, stop, is_much)
            return
        part = self.pixels[start:stop]
        low, high = part.min(axis=0), part.max(axis=0) + 1
        rows, columns = (range(int(a), int(b)) for a, b in zip(low, high, strict=True))
        yield Piece(rows, columns, range(start, stop))

"""Choose the pixels that a picture needs on the screen, and put them there.

Of pixels smaller than those of the screen, blocks are averaged; along axes that cost a read each,
such as the frames of a raster or the one-row tiles of a frame, every n-th is read, so that at least
two are for each pixel of the screen.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, Self

import numpy as np

from dkist_virtual.plot.image import block_mean
from dkist_virtual.view.pictures.geometry import Sky

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dkist_virtual.plot.planes import Plane
    from dkist_virtual.view.pictures.geometry import Geometry
    from dkist_virtual.view.state.state import Bounds

__all__ = ["Block", "Box", "Sampling", "fit_window", "screen_places"]

EVERY: Final = 8
"""Screen pixels between those whose place in the plane is computed; others are interpolated."""
STRAIGHT: Final = 0.05
"""Pixels by which a plane may differ from a straight one whose places are computed in one go."""


def fit_window(bounds: Bounds, size: tuple[int, int]) -> Bounds:
    """Widen bounds so that both axes have the same scale on a screen of this width and height."""
    left, right, bottom, top = bounds
    wide, high = right - left, top - bottom
    per_pixel = max(wide / size[0], high / size[1])
    x, y = (left + right) / 2, (bottom + top) / 2
    half_x, half_y = per_pixel * size[0] / 2, per_pixel * size[1] / 2
    return x - half_x, x + half_x, y - half_y, y + half_y


def screen_places(low: float, high: float, n: int) -> NDArray[np.float64]:
    """Return the coordinates of the middles of `n` screen pixels."""
    places: NDArray[np.float64] = low + np.arange(0.5, n) * ((high - low) / n)
    return places


@dataclass(frozen=True)
class Box:
    """The pixels of a plane that are read: slices of rows and of columns, with steps."""

    rows: tuple[int, int, int]
    columns: tuple[int, int, int]

    @property
    def slices(self) -> tuple[slice, slice]:
        """Of rows and of columns."""
        return slice(*self.rows), slice(*self.columns)


@dataclass(frozen=True, eq=False)
class Block:
    """Pixels of a plane, averaged for a screen.

    Parameters
    ----------
    pixels : numpy.ndarray
        NaN where nothing is known.
    absent : numpy.ndarray or None
        True where all pixels of a block are of absent frames; None where there are none.
    is_whole : bool
        Whether no further part comes.
    """

    pixels: NDArray[np.floating[Any]]
    absent: NDArray[np.bool_] | None
    is_whole: bool = True

    @property
    def nbytes(self) -> int:
        """Of the pixels."""
        return self.pixels.nbytes

    @classmethod
    def of(cls, plane: Plane, ny: int, nx: int, *, is_whole: bool = True) -> Self:
        """Average the pixels of a plane in blocks of ny x nx."""
        pixels: Any = block_mean(plane.pixels, ny, nx).astype(np.float32)
        absent = None
        if plane.absent is not None:
            share: Any = block_mean(plane.absent.astype(np.float32), ny, nx)
            absent = share == 1
            pixels = np.where(absent, np.float32(np.nan), pixels)
        return cls(pixels, absent, is_whole)


@dataclass(frozen=True, eq=False)
class Sampling:
    """Which pixels of a plane are read for a part of the screen, and where they go.

    Parameters
    ----------
    box : Box
        To read.
    average : (int, int)
        Rows and columns, of those read, that become one.
    screen : (slice, slice)
        The rows and columns of the screen that show the plane.
    rows, columns : numpy.ndarray
        For each of those screen pixels the averaged pixel; -1 outside of the plane. Of one
        dimension where rows depend on the height alone and columns on the width.
    """

    box: Box
    average: tuple[int, int]
    screen: tuple[slice, slice]
    rows: NDArray[np.intp]
    columns: NDArray[np.intp]

    @classmethod
    def of(
        cls,
        geometry: Geometry,
        window: Bounds,
        size: tuple[int, int],
        strided: tuple[bool, bool] = (True, False),
    ) -> Self | None:
        """Choose the pixels for a window on a screen of some width and height; None if it is empty.

        Parameters
        ----------
        strided : (bool, bool)
            Whether every n-th row, and column, is read where they are smaller than the screen's.
        """
        screen = _screen_part(geometry.bounds, window, size)
        if screen is None:
            return None
        x, y = (screen_places(low, high, n)[part] for low, high, n, part in zip(
            window[::2], window[1::2], size, screen[::-1], strict=True))  # fmt: skip
        columns, rows, is_flat = _places(geometry, x, y)
        ny, nx = geometry.shape
        in_rows, in_columns = (
            (places > -0.5) & (places < n - 0.5) for places, n in ((rows, ny), (columns, nx))
        )
        if not is_flat:  # a place is inside if it is along both
            in_rows = in_columns = in_rows & in_columns
        if not (in_rows.any() and in_columns.any()):
            return None
        row_part, by_rows, to_rows = _along(rows, in_rows, ny, steps=strided[0])
        column_part, by_columns, to_columns = _along(columns, in_columns, nx, steps=strided[1])
        return cls(Box(row_part, column_part), (by_rows, by_columns), screen, to_rows, to_columns)

    @property
    def is_single(self) -> bool:
        """Whether each pixel that is read is one of the plane, not an average."""
        return self.average == (1, 1)

    @cached_property
    def shown(self) -> NDArray[np.bool_]:
        """Which pixels of its part of the screen the plane covers."""
        if self.rows.ndim == 1:
            return (self.rows >= 0)[:, None] & (self.columns >= 0)
        covered: NDArray[np.bool_] = self.rows >= 0
        return covered

    def put(self, block: Block) -> tuple[NDArray[np.float32], NDArray[np.bool_] | None]:
        """Put averaged pixels on the screen: pixels, and which are of absent frames."""
        pixels = self._gathered(block.pixels, np.nan)
        absent = None if block.absent is None else self._gathered(block.absent, False)
        return pixels, absent

    def _gathered(self, values: NDArray[Any], outside: Any) -> Any:
        if self.rows.ndim == 1:
            found = values.take(self.rows, axis=0, mode="clip").take(
                self.columns, axis=1, mode="clip"
            )
            found[self.rows < 0] = outside
            found[:, self.columns < 0] = outside
            return found
        flat = self.rows * values.shape[1] + self.columns
        found = values.ravel().take(flat, mode="clip")
        found[self.rows < 0] = outside
        return found


def _screen_part(
    bounds: Bounds, window: Bounds, size: tuple[int, int]
) -> tuple[slice, slice] | None:
    """Find the rows and columns of the screen that a plane may be in."""
    parts = []
    for low, high, first, last, n in zip(
        bounds[::2], bounds[1::2], window[::2], window[1::2], size, strict=True
    ):
        scale = n / (last - first)
        begin = max(int(np.floor((low - first) * scale)), 0)
        end = min(int(np.ceil((high - first) * scale)), n)
        if begin >= end:
            return None
        parts.append(slice(begin, end))
    return parts[1], parts[0]


def _places(
    geometry: Geometry, x: NDArray[np.float64], y: NDArray[np.float64]
) -> tuple[NDArray[np.floating[Any]], NDArray[np.floating[Any]], bool]:
    """Find the columns and rows, as fractions, at the places of a screen; and if they are flat."""
    if not isinstance(geometry, Sky):
        return geometry.pixels(x, 0)[0], geometry.pixels(0, y)[1], True
    at_x, at_y = _few(len(x)), _few(len(y))
    lattice = geometry.pixels(np.interp(at_x, np.arange(len(x)), x)[None, :],
                              np.interp(at_y, np.arange(len(y)), y)[:, None])  # fmt: skip
    # Flat where columns do not change upwards, and rows not to the right.
    if max(np.ptp(lattice[0], axis=0).max(), np.ptp(lattice[1], axis=1).max()) < 0.5:
        column = np.interp(np.arange(len(x)), at_x, lattice[0].mean(axis=0))
        row = np.interp(np.arange(len(y)), at_y, lattice[1].mean(axis=1))
        return column, row, True
    columns, rows = (_refined(one, at_x, at_y, len(x), len(y)) for one in lattice)
    return columns, rows, False


def _few(n: int) -> NDArray[np.float64]:
    return np.linspace(0, n - 1, max(2, -(-n // EVERY) + 1)) if n > 1 else np.zeros(1)


def _refined(
    values: NDArray[np.float64],
    at_x: NDArray[np.float64],
    at_y: NDArray[np.float64],
    nx: int,
    ny: int,
) -> NDArray[np.float32]:
    """Interpolate a lattice linearly to every pixel of a screen."""
    for at, n, axis in ((at_x, nx, 1), (at_y, ny, 0)):
        if len(at) == 1:
            continue
        place = np.interp(np.arange(n), at, np.arange(len(at)))
        first = np.minimum(place.astype(np.intp), len(at) - 2)
        part = (place - first).reshape((-1, 1) if axis == 0 else (1, -1))
        values = (
            values.take(first, axis=axis) * (1 - part) + values.take(first + 1, axis=axis) * part
        )
    return values.astype(np.float32)


def _along(
    places: NDArray[Any], inside: NDArray[np.bool_], n: int, *, steps: bool
) -> tuple[tuple[int, int, int], int, NDArray[np.intp]]:
    """Choose what is read along an axis: (first, stop, step), how many become one, and for whom."""
    known = places[inside]
    low, high = int(np.rint(known.min())), int(np.rint(known.max())) + 1
    ratio = _per_screen_pixel(places)
    step = 2 ** int(np.log2(max(ratio / 2, 1))) if steps else 1
    average = max(1, int(ratio / step))
    # Ends at multiples of a power of two: a picture that is moved a little needs the same.
    grain = step * average
    while grain * 8 < high - low:
        grain *= 2
    first, stop = low // grain * grain, min(-(-high // grain) * grain, n)
    # The pixel in the middle of a step is read in place of all of them.
    begin = min(first + step // 2, n - 1)
    count = len(range(begin, stop, step)) or 1
    pixel = np.rint(np.where(inside, places, first)).astype(np.intp)
    to = np.minimum((pixel - first) // step, count - 1) // average
    to[~inside] = -1
    return (begin, max(stop, begin + 1), step), average, to


def _per_screen_pixel(places: NDArray[Any]) -> float:
    """Count the pixels of the plane for one of the screen, along the axis."""
    changes = [
        float(np.median(np.abs(np.diff(places, axis=axis)))) if places.shape[axis] > 1 else 0.0
        for axis in range(places.ndim)
    ]
    return float(np.hypot(changes[0], changes[-1])) if len(changes) == 2 else changes[0]

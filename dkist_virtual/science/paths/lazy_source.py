"""Define what averages of pixels on the sky have in common: they are read when they are indexed."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, Literal, Self, TypeAlias

import numpy as np

from dkist_virtual.cube.selection import SelectedArray

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dkist_virtual.cube.dask_array import PushdownArray
    from dkist_virtual.cube.selection import Index, Selection
    from dkist_virtual.science.paths.turning import Clock
    from dkist_virtual.science.sky_image import SkyPixels
    from dkist_virtual.science.stitching.lattice import Lattice

__all__ = ["Average", "What", "bands"]

What: TypeAlias = Literal["pixels", "mask", "spread"]

_MEMORY: Final = 2**25
"""Bytes of a window of the pixels that are read at once. With their copies as doubles, a few times
as much is in memory."""

_BAND: Final = 128
"""Rows of a band: tiles of compressed frames are so large, or smaller."""

_SMALL: Final = 2**16
"""Pixels of a frame that are read at once whatever is needed of them."""

_WASTE: Final = 4
"""How many times more pixels than in bands may be read, so as to read a frame at once."""


@dataclass(frozen=True, eq=False)
class Average(SelectedArray):
    """Averages of the pixels of a dataset that a place on the sky decides.

    The first axes are those that are carried, which are not of the sky; then may come one of its
    own.

    Parameters
    ----------
    image : SkyPixels
    spread : array, optional
        Standard deviations of the pixels, of their shape.
    lattice : Lattice
        Where its pixels are, for each pointing.
    clock : Clock, optional
        Where the place turns with the Sun.
    selection : Selection
        Of the whole result.
    what : {"pixels", "mask", "spread"}
        Values; where there is none; or their standard deviations.
    of : numpy.dtype
        Of the values.
    wanted : tuple of int
        How long chunks are along the carried axes.
    """

    image: SkyPixels
    spread: Any
    lattice: Lattice
    clock: Clock | None
    selection: Selection
    what: What
    of: np.dtype
    wanted: tuple[int, ...]

    @property
    def dtype(self) -> np.dtype:
        """Type of what is read."""
        return np.dtype(bool) if self.what == "mask" else self.of

    def select(self, item: Index) -> Self:
        """Select, without reading."""
        return replace(self, selection=self.selection[item])

    def __getitem__(self, item: Index) -> NDArray[np.generic]:
        """Read."""
        part = self if item is Ellipsis else self.select(item)
        axes = [one if isinstance(one, range) else range(one, one + 1)
                for one in part.selection.axes]  # fmt: skip
        found: NDArray[np.generic] = np.asarray(part._read(axes)).reshape(part.shape)
        return found

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[np.generic]:
        return np.asarray(self[...], dtype=dtype)

    def _read(self, axes: list[range]) -> NDArray[np.generic]:
        """Read a selection, given along each of the axes."""
        raise NotImplementedError

    def _about(self) -> tuple[object, ...]:
        """Return what the values depend on beside the pixels and where they are."""
        raise NotImplementedError

    def token(self) -> tuple[object, ...]:
        """Return all that the values depend on, for the name of the dask array."""
        where = self.lattice.rows, self.lattice.columns, self.lattice.places
        when = () if self.clock is None else (self.clock.seconds, self.clock.knots)
        about = self.what, str(self.of), repr(self.selection.axes), self.selection.shape
        spread = getattr(self.spread, "token", lambda: self.spread)()
        return *self.image.token(), spread, *where, *when, *about, *self._about()

    def dask(self, chunks: Any = None) -> PushdownArray:
        """Make a dask array of the selection, in chunks that bound the memory."""
        import dask.array as da
        from dask.base import tokenize

        from dkist_virtual.cube.dask_array import PushdownArray

        if chunks is None:
            lengths = [*self.wanted, *self.selection.shape[len(self.wanted) :]]
            chunks_of = zip(lengths, self.selection.axes, strict=True)
            sizes: Any = tuple(
                min(n, len(part)) for n, part in chunks_of if isinstance(part, range)
            )
        else:
            sizes = chunks
        sizes = da.core.normalize_chunks(sizes, self.shape, dtype=self.dtype)

        def name() -> str:
            return f"along-{tokenize(type(self).__name__, *self.token(), sizes)}"

        return PushdownArray.over(self, sizes, name, chunks)

    def chunked(
        self, rows: NDArray[np.int64], columns: NDArray[np.int64], n_frame_axes: int
    ) -> Self:
        """Return the same in chunks that bound the memory.

        Parameters
        ----------
        rows, columns : numpy.ndarray
            Of the pixels that an image contributes.
        n_frame_axes : int
            How many of the carried axes are along frames.
        """
        size = self.image.pixels.dtype.itemsize
        windows = bands(rows, columns, size)
        area = max((_area(*window) for window in windows), default=1)
        shape = [self.image.pixels.shape[axis] for axis in self.image.carried]
        return replace(self, wanted=chunk_lengths(shape, n_frame_axes, area * size))

    def mask_array(self) -> PushdownArray:
        """Return where there is no value, as a dask array."""
        return replace(self, what="mask").dask()

    def spread_array(self) -> PushdownArray | None:
        """Return the standard deviations of the values, as a dask array, where they are known."""
        return None if self.spread is None else replace(self, what="spread").dask()

    # Reading --------------------------------------------------------------------------------

    @property
    def varying(self) -> tuple[int, ...]:
        """The carried axes along which the place is at other pixels."""
        turning = () if self.clock is None else self.clock.turning
        return tuple(sorted({*self.image.moving, *turning}))

    def groups(self, carried: Sequence[range]) -> Iterator[tuple[list[int], tuple[Any, ...]]]:
        """Give a pixel of the carried axes for each place, and where its values are in these."""
        parts = [
            list(enumerate(part)) if axis in self.varying else [(slice(None), part[0])]
            for axis, part in enumerate(carried)
        ]
        for chosen in itertools.product(*parts):
            yield [pixel for _, pixel in chosen], tuple(where for where, _ in chosen)

    def window(
        self, source: Any, carried: Sequence[range], rows: slice, columns: slice
    ) -> NDArray[Any]:
        """Read a window of the pixels, the mask or the standard deviations."""
        index = [slice(part.start, part.stop, part.step) for part in carried]
        return self.image.read(source, index, rows, columns)  # type: ignore[no-any-return]

    def valid(self, carried: Sequence[range], rows: slice, columns: slice) -> tuple[Any, Any]:
        """Read a window, and return it as numbers and where they count."""
        mask = None
        if self.image.mask is not None:
            mask = self.window(self.image.mask, carried, rows, columns)
        if self.what == "mask":
            assert mask is not None
            return None, ~mask
        source = self.image.pixels if self.what == "pixels" else self.spread
        values = self.window(source, carried, rows, columns).astype(np.float64)
        good = np.isfinite(values)
        return values, good if mask is None else good & ~mask


def bands(
    rows: NDArray[np.int64], columns: NDArray[np.int64], n_bytes: int
) -> Iterator[tuple[slice, slice]]:
    """Divide the pixels that are needed into windows, so that each pixel is in one of them.

    A single window where that reads little more, and is small enough; else bands of rows, since
    compressed frames may have tiles of whole rows.

    Parameters
    ----------
    rows, columns : numpy.ndarray
        Of all pixels that are needed.
    n_bytes : int
        That a pixel has in a window, of all frames that are read at once.
    """
    if not len(rows):
        return
    whole = _around(rows), _around(columns)
    area = _area(*whole)
    tall = _BAND
    while tall > 1 and tall * (whole[1].stop - whole[1].start) * n_bytes > _MEMORY:
        tall //= 2
    numbers = rows // tall
    order = np.argsort(numbers, kind="stable")
    cuts = np.flatnonzero(np.diff(numbers[order])) + 1
    found = [(_around(rows[part]), _around(columns[part])) for part in np.split(order, cuts)]
    little = area <= max(_SMALL, _WASTE * sum(_area(*one) for one in found))
    if little and area * n_bytes <= _MEMORY:
        yield whole
    else:
        yield from found


def _around(pixels: NDArray[np.int64]) -> slice:
    return slice(int(pixels.min()), int(pixels.max()) + 1)


def _area(rows: slice, columns: slice) -> int:
    return int((rows.stop - rows.start) * (columns.stop - columns.start))


def chunk_lengths(shape: Sequence[int], n_frame_axes: int, n_bytes: int) -> tuple[int, ...]:
    """Return how long chunks are along the carried axes: whole frames, as many as memory allows.

    Parameters
    ----------
    shape : sequence of int
        Of the carried axes.
    n_frame_axes : int
        How many of these, the first ones, are those of frames. Others are inside of a frame, and
        all of them are in a chunk, so that a frame is read once.
    n_bytes : int
        That are read for each pixel of the carried axes.
    """
    lengths = [1] * n_frame_axes + list(shape[n_frame_axes:])
    for axis in range(n_frame_axes - 1, -1, -1):
        room = _MEMORY // max(n_bytes * math.prod(lengths), 1)
        lengths[axis] = int(np.clip(room, 1, shape[axis]))
        if lengths[axis] < shape[axis]:
            break
    return tuple(lengths)

"""Compute values from all pixels along an axis lazily: a slice reads only what it needs.

Values that belong together, such as the moments of a line, are computed in one pass: to compute
several of them at once reads the pixels once.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np

from dkist_virtual.cube.computed_array import Computed, is_source, pack, unpack
from dkist_virtual.cube.dask_array import PushdownArray
from dkist_virtual.cube.saved.zarr_array import ZarrArray
from dkist_virtual.cube.selection import BasicIndex, Selection, full_index, operand_index
from dkist_virtual.cube.virtual_array import VirtualArray, empty_shape, pieces

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dask.array import Array
    from numpy.typing import DTypeLike, NDArray

    from dkist_virtual.cube.selection import Index
    from dkist_virtual.store.read_options import Chunks

__all__ = ["AxisFunction", "Operand", "Reduced", "Reduction"]

AxisFunction: TypeAlias = Callable[..., "NDArray[Any]"]
"""A function of arrays whose last axis is the one that goes, or which lack it: gives an array of
all outputs, whose first axis is these."""

_BLOCK: Final = 2**23
"""Bytes of the pixels of a block, and of one frame or tile at least: several for each core, which
read and compute at the same time. What is computed from them takes several times as much."""

_REMOTE: Final = 2**26
"""The same of remote frames: those of a block are requested together."""

_TILE: Final = 256
"""Pixels: DKIST's frames are compressed in tiles of 256 x 256 pixels, or of single rows."""


@dataclass(frozen=True, eq=False)
class Operand:
    """An array that a reduction reads.

    Parameters
    ----------
    pixels : VirtualArray, ZarrArray, Computed, dask or numpy array
        Of the shape of the result, with `has_axis` that of the first operand; of length 1 along
        axes along which it is the same.
    has_axis : bool
        Whether it has the axis that goes, beside those of the result.
    """

    pixels: Any
    has_axis: bool

    def __reduce__(self) -> tuple[Callable[..., Operand], tuple[Any, ...]]:
        return _operand, (pack(self.pixels), self.has_axis)

    def select(self, index: BasicIndex, axis: int, shape: tuple[int, ...]) -> Operand:
        """Select what an index of the result, which has a shape, selects."""
        if self.has_axis:
            index = (*index[:axis], slice(None), *index[axis:])
            shape = (*shape[:axis], self.pixels.shape[axis], *shape[axis:])
        own = operand_index(index, self.pixels.shape, shape)
        pixels = self.pixels
        return replace(self, pixels=pixels.select(own) if is_source(pixels) else pixels[own])

    def read(self) -> NDArray[Any]:
        """Read it, without another scheduler: a task of one reads it."""
        pixels = self.pixels
        if isinstance(pixels, VirtualArray):
            return _read_frames(pixels)
        if isinstance(pixels, Computed):
            pixels = pixels.dask()
        if hasattr(pixels, "dask") and not is_source(pixels):
            return np.asarray(pixels.compute(scheduler="sync"))
        return np.asarray(pixels[...])


def _operand(pixels: object, has_axis: bool) -> Operand:
    return Operand(unpack(pixels), has_axis)


def _read_frames(array: VirtualArray) -> NDArray[Any]:
    """Read frames; absent ones are NaN in integers too, which have none themselves."""
    if array.dtype.kind == "f" or array.handle.options.missing == "raise":
        return array[...]
    pixels, absent = array.read_marked()
    if not absent.any():
        return pixels
    marked = pixels.astype(float)
    marked[absent] = np.nan
    return marked


@dataclass(frozen=True, eq=False)
class Reduction:
    """Values that are computed from all pixels along an axis.

    Parameters
    ----------
    function : callable
        Takes the operands, with the axis last, and gives an array of ``(n_outputs, *shape)``.
    operands : tuple of Operand
        The first has the axis.
    axis : int
        Where it is among the axes of the result.
    n_outputs : int
    shape : tuple of int
        Of each output.
    whole : int
        Number of pixels along the axis.
    """

    function: AxisFunction
    operands: tuple[Operand, ...]
    axis: int
    n_outputs: int
    shape: tuple[int, ...]
    whole: int

    def __reduce__(self) -> tuple[Callable[..., Reduction], tuple[Any, ...]]:
        about = (self.axis, self.n_outputs, self.shape, self.whole)
        return _reduction, (pack(self.function), self.operands, *about)

    def select(self, item: Index) -> Reduction:
        """Select from the result, without reading."""
        index = full_index(item, len(self.shape))
        shape = Selection.whole(self.shape)[index].result_shape
        operands = tuple(operand.select(index, self.axis, self.shape) for operand in self.operands)
        before = sum(isinstance(entry, slice) for entry in index[: self.axis])
        return replace(self, operands=operands, shape=shape, axis=before)

    def read(self) -> NDArray[Any]:
        """Read the pixels, and compute all outputs."""
        arrays = [
            np.moveaxis(operand.read(), self.axis, -1) if operand.has_axis else operand.read()
            for operand in self.operands
        ]
        found: NDArray[Any] = self.function(*arrays)
        return found

    @cached_property
    def token(self) -> str:
        """The name of what is computed."""
        from dask.base import tokenize

        sources = [
            operand.pixels.token() if is_source(operand.pixels) else operand.pixels
            for operand in self.operands
        ]
        functions = [
            one.function for one in (operand.pixels for operand in self.operands)
            if isinstance(one, Computed)
        ]  # fmt: skip
        about = (self.axis, self.n_outputs, self.shape)
        return str(tokenize(self.function, sources, functions, *about))

    def dask(self) -> Array:
        """Make a dask array of all outputs, each block of which reads its pixels once."""
        import dask.array as da

        name = f"along-axis-{self.token}"
        if not all(_is_read_in_parts(operand.pixels) for operand in self.operands):
            return self._of_chunks()
        array: da.Array = da.from_array(
            _Stack(self), chunks=((self.n_outputs,), *self.blocks()), name=name, inline_array=True,
            getitem=_read_block, meta=np.empty((0,) * (1 + len(self.shape))),
        )  # fmt: skip
        return array

    def _of_chunks(self) -> Array:
        """Make the dask array where pixels are dask's, whose chunks are read whole."""
        import dask.array as da

        n = len(self.shape)
        arrays: list[Any] = []
        for operand in self.operands:
            pixels = operand.pixels
            array = pixels.dask() if is_source(pixels) else da.asarray(pixels)
            if operand.has_axis:
                array = da.moveaxis(array, self.axis, -1).rechunk({n: -1})
            arrays += [array, tuple(range(n + operand.has_axis))]
        made: da.Array = da.blockwise(
            _whole, (n + 1, *range(n)), *arrays, function=self.function, concatenate=True,
            new_axes={n + 1: self.n_outputs}, dtype=float, meta=np.empty((0,) * (n + 1)),
        )  # fmt: skip
        return made

    def blocks(self, most: int | None = None) -> tuple[tuple[int, ...], ...]:
        """Return the lengths of the blocks along each axis of the result.

        Where the axis is within a frame, whole frames are joined. Where it runs over frames, a
        block is a part of all of these: some rows of tiles, so that no tile is decoded twice, and
        more frames where they are small. Of other arrays the chunks are kept.

        Parameters
        ----------
        most : int, optional
            Of how many values a block is, where a frame, a tile or a chunk has not more.
        """
        first = self.operands[0].pixels
        stored = _stored(first)
        is_remote = isinstance(stored, VirtualArray) and stored.places.remote
        n_bytes = _REMOTE if is_remote else _BLOCK
        limit = max(n_bytes // max(np.dtype(first.dtype).itemsize * self.whole, 1), 1)  # spectra
        limit = limit if most is None else min(limit, most)
        if isinstance(stored, VirtualArray) and stored.ndim == len(self.shape) + 1:
            n = len(stored.frame_shape)
            if self.axis >= n:
                within = math.prod(self.shape[n:])
                return (
                    *_joined(self.shape[:n], limit // max(within, 1)),
                    *((size,) for size in self.shape[n:]),
                )
            pixels = [one for one in stored.selection.axes if isinstance(one, range)]
            parts, left = _tiled(pixels[n:], limit)
            return *_joined(self.shape[: n - 1], left), *parts
        chunks = stored.dask_chunks() if isinstance(stored, ZarrArray) else _chunks(first)
        if chunks is not None and len(chunks) == len(self.shape) + 1:
            return tuple(along for axis, along in enumerate(chunks) if axis != self.axis)
        return _joined(self.shape, limit)


def _reduction(function: object, *about: Any) -> Reduction:
    return Reduction(unpack(function), *about)


@dataclass(frozen=True, eq=False)
class _Stack:
    """All outputs of a reduction, as dask takes an array that it is to cut."""

    reduction: Reduction

    @property
    def shape(self) -> tuple[int, ...]:
        return (self.reduction.n_outputs, *self.reduction.shape)

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def dtype(self) -> np.dtype:
        return np.dtype(float)

    def __dask_tokenize__(self) -> str:
        return self.reduction.token


def _read_block(stack: _Stack, index: tuple[slice, ...]) -> NDArray[Any]:
    return stack.reduction.select(index[1:]).read()


def _whole(*arrays: Any, function: AxisFunction) -> NDArray[Any]:
    return function(*arrays)


def _stored(pixels: Any) -> Any:
    """Return the frames that some pixels are computed from."""
    if isinstance(pixels, Computed):
        parts = (_stored(one) for one in pixels.operands if np.shape(one) == pixels.shape)
        return next((one for one in parts if one is not None), None)
    source = pixels.source if isinstance(pixels, PushdownArray) else pixels
    return source if isinstance(source, (VirtualArray, ZarrArray)) else None


def _is_read_in_parts(pixels: Any) -> bool:
    """Return whether a part of some pixels is read without the rest of them."""
    if isinstance(pixels, Computed):
        return all(map(_is_read_in_parts, pixels.operands))
    return isinstance(pixels, PushdownArray) or is_source(pixels) or not hasattr(pixels, "dask")


def _chunks(pixels: Any) -> tuple[tuple[int, ...], ...] | None:
    """Return the chunks of a dask array."""
    chunks: tuple[tuple[int, ...], ...] | None = getattr(pixels, "chunks", None)
    return chunks


def _joined(shape: tuple[int, ...], limit: int) -> tuple[tuple[int, ...], ...]:
    """Divide an array into pieces of at most so many elements, the last axes whole if possible."""
    found = []
    for n in reversed(shape):
        found.append(pieces(n, max(1, min(n, limit))))
        limit //= max(n, 1)
    return tuple(reversed(found))


def _tiled(axes: Sequence[range], limit: int) -> tuple[list[tuple[int, ...]], int]:
    """Divide a part of a frame into pieces at the edges of tiles, of so many pixels or of a tile.

    Parameters
    ----------
    axes : sequence of range
        The pixels of the frame.
    limit : int

    Returns
    -------
    list of tuple of int
        The lengths of the pieces along each axis.
    int
        How many frames a piece may have.
    """
    found: list[tuple[int, ...]] = []
    for number, pixels in reversed(list(enumerate(axes))):
        # Of the axes before, one row of tiles at least is in a piece too.
        before = math.prod(min(_TILE // one.step or 1, len(one)) for one in axes[:number])
        room = max(limit // max(before, 1), 1) * pixels.step
        size = max(room // _TILE, 1) * _TILE
        places = np.arange(pixels.start, pixels.stop, pixels.step) // size
        found.append(tuple(np.unique(places, return_counts=True)[1].tolist()))
        limit //= max(found[-1])
    return found[::-1], max(limit, 1)


@dataclass(frozen=True, eq=False)
class Reduced:
    """One of the outputs of a reduction, which is computed when it is indexed.

    Parameters
    ----------
    reduction : Reduction
    output : int
    is_mask : bool
        Whether it says where that output has no value.
    """

    reduction: Reduction
    output: int
    is_mask: bool = False

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of what is selected."""
        return self.reduction.shape

    @property
    def ndim(self) -> int:
        """Number of axes of what is selected."""
        return len(self.shape)

    @property
    def dtype(self) -> np.dtype:
        """Type of the values."""
        return np.dtype(bool if self.is_mask else float)

    @property
    def size(self) -> int:
        """Number of values selected."""
        return math.prod(self.shape)

    def select(self, item: Index) -> Reduced:
        """Select, without reading."""
        return replace(self, reduction=self.reduction.select(item))

    def __getitem__(self, item: Index) -> NDArray[np.generic]:
        """Read and compute."""
        nothing = empty_shape(self.shape, item)
        if nothing is not None:
            return np.empty(nothing, self.dtype)
        part = self if item is Ellipsis else self.select(item)
        value: NDArray[Any] = part.reduction.read()[self.output]
        return np.isnan(value) if self.is_mask else value

    def __array__(
        self, dtype: DTypeLike | None = None, copy: bool | None = None
    ) -> NDArray[np.generic]:
        return np.asarray(self[...], dtype=dtype)

    def token(self) -> tuple[object, ...]:
        """Return all that the values depend on."""
        return self.reduction.token, self.output, self.is_mask

    def dask(self, chunks: Chunks | None = None) -> PushdownArray:
        """Make a dask array of it, in blocks that read each frame once."""

        def make() -> Array:
            value: Array = self.reduction.dask()[self.output]
            made: Any = np.isnan(value) if self.is_mask else value
            return made  # type: ignore[no-any-return]

        one_block = all(len(along) == 1 for along in self.reduction.blocks())
        return PushdownArray.later(make, self, chunks, one_chunk=one_block)

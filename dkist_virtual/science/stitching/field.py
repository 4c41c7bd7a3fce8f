"""Read any part of a stitched field, lazily: the tiles that reach it, and no more of them."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

import numpy as np

from dkist_virtual.cube.selection import SelectedArray
from dkist_virtual.science.stitching.blending import (
    Order,
    edge_distance,
    inside,
    sample,
    sample_nearest,
    window_of,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dkist_virtual.cube.dask_array import PushdownArray
    from dkist_virtual.cube.selection import Index, Selection
    from dkist_virtual.science.stitching.tiles import Tile

__all__ = ["Combine", "Field", "What"]

Combine: TypeAlias = Literal["mean", "first", "feather", "best"]

What: TypeAlias = Literal["pixels", "mask", "seconds", "footprint"]

_CHUNK: Final = 2**25
"""Bytes of a chunk of output pixels: with the windows of a few tiles, and positions in doubles,
about ten times as much is in memory."""

_SIDE: Final = (64, 1024)
"""The shortest and the longest side of a chunk on the sky."""

_RING: Final = 1e-12
"""The weight of a position beyond the centres of a tile's outermost pixels, where their values are
those of the nearest: such a position counts where no other tile is."""

_LEAST: Final = 1e-3
"""The weight of a tile's outermost pixels, when weights fall towards the edges."""

_SHARE: Final = 1e-9
"""A part of the weight that counts as a contribution."""

_ROUNDING: Final = 1e-6

_DTYPES: Final = {"mask": np.dtype(bool), "seconds": np.dtype("f8"), "footprint": np.dtype(bool)}


@dataclass(frozen=True, eq=False)
class Field(SelectedArray):
    """A selection of the stitched field, which is read when it is indexed.

    Parameters
    ----------
    tiles : tuple of Tile
        In the order in which they count.
    selection : Selection
        Of the whole field: the carried axes, then y and x.
    what : {"pixels", "mask", "seconds", "footprint"}
        Pixels; where no tile has one; when they were taken; or where a tile contributes.
    combine : {"mean", "first", "feather", "best"}
    order : {"linear", "cubic"}
    of : numpy.dtype
        Of the pixels.
    wanted : tuple of int
        Along the carried axes, how many pixels a chunk has.
    tile : int
        Of a footprint.
    """

    tiles: tuple[Tile, ...]
    selection: Selection
    what: What
    combine: Combine
    order: Order
    of: np.dtype
    wanted: tuple[int, ...]
    tile: int = 0

    @property
    def dtype(self) -> np.dtype:
        """Type of what is read."""
        return _DTYPES.get(self.what, self.of)

    def select(self, item: Index) -> Field:
        """Select, without reading."""
        return replace(self, selection=self.selection[item])

    def __getitem__(self, item: Index) -> NDArray[np.generic]:
        """Read."""
        part = self if item is Ellipsis else self.select(item)
        return part._read()

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[np.generic]:
        return np.asarray(self[...], dtype=dtype)

    def token(self) -> tuple[object, ...]:
        """Return all that the values depend on, for the name of the dask array."""
        geometry = [
            (t.place, t.sky, t.moving, t.gain, t.offset, t.seconds, t.seeing, t.token(),
             t.lattice.rows, t.lattice.columns, t.lattice.places)
            for t in self.tiles
        ]  # fmt: skip
        about = (self.what, self.combine, self.order, str(self.of), self.tile)
        return *geometry, repr(self.selection.axes), self.selection.shape, about

    # dask -----------------------------------------------------------------------------------

    def dask(self, chunks: Any = None) -> PushdownArray:
        """Make a dask array of the selection, in chunks that bound the memory."""
        import dask.array as da
        from dask.base import tokenize

        from dkist_virtual.cube.dask_array import PushdownArray

        sizes = self._sizes() if chunks is None else chunks
        sizes = da.core.normalize_chunks(sizes, self.shape, dtype=self.dtype)

        def name() -> str:
            return f"stitched-{tokenize(*self.token(), sizes)}"

        return PushdownArray.over(self, sizes, name, chunks)

    def _sizes(self) -> tuple[int, ...]:
        """Return how long chunks are along each axis that is left."""
        lengths = [
            min(wanted, len(part)) if isinstance(part, range) else 1
            for wanted, part in zip(self.wanted, self.selection.axes[:-2], strict=True)
        ]
        short, long = _SIDE
        for axis in range(len(lengths)):  # the first axes are those of frames
            while lengths[axis] > 1 and math.prod(lengths) * self.of.itemsize * short**2 > _CHUNK:
                lengths[axis] = (lengths[axis] + 1) // 2
        side = int(math.sqrt(_CHUNK / (math.prod(lengths) * self.of.itemsize)))
        side = max(short, min(long, side))
        return tuple(
            min(n, len(part))
            for n, part in zip([*lengths, side, side], self.selection.axes, strict=True)
            if isinstance(part, range)
        )

    # Reading --------------------------------------------------------------------------------

    def _read(self) -> NDArray[np.generic]:
        axes = [
            part if isinstance(part, range) else range(part, part + 1)
            for part in self.selection.axes
        ]
        *carried, ys, xs = axes
        y, x = np.asarray(ys), np.asarray(xs)
        whole = [len(part) for part in carried]
        varies = self._varies()
        # What is the same along an axis is computed once.
        some = [part if vary else part[:1] for part, vary in zip(carried, varies, strict=True)]
        out = np.zeros((*map(len, some), len(y), len(x)), self.dtype)
        for at, index in self._pointings(some):
            out[index] = self._plane(at, y, x)
        out = np.broadcast_to(out, (*whole, len(y), len(x)))
        shaped: NDArray[np.generic] = np.ascontiguousarray(out).reshape(self.shape)
        return shaped

    def _varies(self) -> list[bool]:
        """Return which of the carried axes what is read changes along."""
        n = len(self.selection.axes) - 2
        if self.what == "pixels" or any(tile.mask is not None for tile in self.tiles):
            return [True] * n
        tables = [t.seconds for t in self.tiles] if self.what == "seconds" else []
        if self.combine == "best":
            tables += [tile.seeing for tile in self.tiles if tile.seeing is not None]
        return [
            any(axis in tile.moving for tile in self.tiles)
            or any(table.shape[axis] > 1 for table in tables)
            for axis in range(n)
        ]

    def _pointings(self, carried: list[range]) -> Iterator[tuple[list[Any], tuple[Any, ...]]]:
        """Give the carried pixels of each pointing, and where they are in the output."""
        moving = self.tiles[0].moving
        parts = [
            list(enumerate(part)) if axis in moving else [(None, part)]
            for axis, part in enumerate(carried)
        ]
        for chosen in itertools.product(*parts):
            at = [part for _, part in chosen]
            yield at, tuple(slice(None) if n is None else n for n, _ in chosen)

    def _plane(self, at: list[Any], y: NDArray[Any], x: NDArray[Any]) -> NDArray[np.generic]:
        """Blend the tiles of one pointing. `at` has an int or a range for each carried axis."""
        lead = tuple(len(part) for part in at if isinstance(part, range))
        shape = (*lead, len(y), len(x))
        picks = self.combine in ("first", "best")
        total = np.zeros(shape, self.of if picks and self.what == "pixels" else np.float64)
        weights = np.zeros(shape)
        best = np.full(shape, -np.inf) if self.combine == "best" else None
        for number, tile in enumerate(self.tiles):
            pointing = tile.pointing([part if isinstance(part, int) else 0 for part in at])
            (top, bottom), (left, right) = tile.lattice.boxes[pointing]
            rows = np.flatnonzero((y >= top) & (y <= bottom))
            columns = np.flatnonzero((x >= left) & (x <= right))
            if not len(rows) or not len(columns):
                continue
            box = (..., slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1))
            where = tile.lattice.backward(pointing, y[rows], x[columns])
            there = inside(*where, tile.lattice.shape)
            if self.combine == "first":
                there &= ~(weights[box] == 1).all(axis=tuple(range(len(lead))))
            if not there.any():
                continue
            row, column = (of[there] for of in where)
            values, valid = self._values(tile, at, row, column)
            if self.what == "footprint":
                values = np.full(valid.shape, float(number == self.tile))
            away = edge_distance(row, column, tile.lattice.shape)
            weight = away - 0.5 + _LEAST if self.combine == "feather" else np.ones(away.shape)
            weight = np.where(valid, np.where(away >= 0.5 - _ROUNDING, weight, _RING), 0)
            here = (..., there)
            old = weights[box][here]
            if not picks:
                total[box][here] += np.where(valid, values, 0) * weight
                weights[box][here] = old + weight
                continue
            better = weight > old
            if best is not None:
                score = self._table(tile.seeing, tile, at, row, column)
                score = np.where(np.isfinite(score), score, -1.0) + np.where(weight < 1, -1e9, 0)
                better = valid & (score > best[box][here])
                best[box][here] = np.where(better, score, best[box][here])
            total[box][here] = np.where(better, values, total[box][here])
            weights[box][here] = np.where(better, weight, old)
        if self.what == "mask":
            gone: NDArray[np.bool_] = weights == 0
            return gone
        if self.what == "footprint":
            share: NDArray[np.bool_] = total > (0 if picks else _SHARE) * weights
            return share
        with np.errstate(divide="ignore", invalid="ignore"):
            blended = total if picks else total / weights
        filled: NDArray[np.generic] = np.where(weights > 0, blended, np.nan)
        return filled.astype(self.dtype, copy=False)

    @staticmethod
    def _table(
        table: NDArray[Any] | None, tile: Tile, at: list[Any], row: Any, column: Any
    ) -> NDArray[Any]:
        """Take values of a table of a tile, such as its times, for some of its pixels."""
        assert table is not None
        index = tuple(
            (0 if isinstance(part, int) else slice(0, 1)) if n == 1
            else (part if isinstance(part, int) else slice(part.start, part.stop, part.step))
            for part, n in zip(at, table.shape, strict=False)
        )  # fmt: skip
        return sample_nearest(table[index], row, column, tile.lattice.shape)

    def _values(
        self, tile: Tile, at: list[Any], row: NDArray[Any], column: NDArray[Any]
    ) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """Return the values of a tile at positions in it, and where they are valid."""
        lead = tuple(len(part) for part in at if isinstance(part, range))
        part = [p if isinstance(p, int) else slice(p.start, p.stop, p.step) for p in at]
        shape = tile.lattice.shape
        if self.what != "pixels" and tile.mask is None:
            valid = np.ones((*lead, len(row)), bool)
            if self.what != "seconds":
                return np.zeros(valid.shape), valid
            values = self._table(tile.seconds, tile, at, row, column)
            return np.broadcast_to(values, valid.shape), valid
        rows, columns = (
            window_of(np.clip(of, 0, n - 1), n, self.order)
            for of, n in zip((row, column), shape, strict=True)
        )
        masked = None if tile.mask is None else tile.read(tile.mask, part, rows, columns)
        first = (rows.start, columns.start)
        if self.what != "pixels":
            assert masked is not None
            blank = np.zeros(masked.shape, np.float32)
            _, valid = sample(blank, masked, row, column, self.order, first, shape)
            if self.what != "seconds":
                return np.zeros(valid.shape), valid
            values = self._table(tile.seconds, tile, at, row, column)
            return np.broadcast_to(values, valid.shape), valid
        pixels = tile.read(tile.pixels, part, rows, columns).astype(self.of, copy=False)
        values, valid = sample(pixels, masked, row, column, self.order, first, shape)
        if tile.gain != 1 or tile.offset:
            values = (values * tile.gain + tile.offset).astype(self.of, copy=False)
        return values, valid

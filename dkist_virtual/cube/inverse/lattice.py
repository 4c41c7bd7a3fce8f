"""Invert world coordinates by a lattice of their values.

Only the values at given pixels are asked of a WCS, so that it does not matter of which transforms
it is made. Coordinates along frames are tables: their values at all pixels are looked up. Those
along the axes of a frame are smooth: a plane through three of their values is the start of Newton's
iteration with the values of the WCS.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Self, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats: TypeAlias = NDArray[np.float64]
    Forward: TypeAlias = Callable[[NDArray[np.float64]], NDArray[np.float64]]
    """World coordinates, shape (world, n), at pixels, shape (pixel, n)."""

__all__ = ["TOLERANCE", "LatticeInverse"]

TOLERANCE: Final = 0.01
"""Pixels by which a position may be wrong."""

_EXACT: Final = 1e-9
"""Pixels that rounding makes of nothing."""

_MOST: Final = 2**22
"""Values in a table at most."""

_SIDE: Final = 0.25
"""Pixels to a neighbouring value on the same piece of a table, which bends at whole pixels."""

_STEPS: Final = 12
"""Of Newton's iteration, at most: each of them gains three digits or more."""


@dataclass(frozen=True)
class _Block:
    """World axes that are found together, by the pixel axes that no block before them gives.

    Parameters
    ----------
    world, unknown, known : tuple of int
        Axes of the world, and of pixels.
    """

    world: tuple[int, ...]
    unknown: tuple[int, ...]
    known: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class _Table:
    """The values of a coordinate at all pixels of the axes that it gives, sorted.

    Parameters
    ----------
    pixels : numpy.ndarray
        Shape (axes, n).
    values : numpy.ndarray
        Shape (n,), ascending.
    """

    pixels: Floats
    values: Floats

    @classmethod
    def of(cls, pixels: Floats, values: Floats) -> Self:
        """Sort values, without those that are not finite."""
        known = np.flatnonzero(np.isfinite(values))
        order = known[np.argsort(values[known], kind="stable")]
        return cls(pixels[:, order], values[order])

    def nearest(self, wanted: Floats, *, second: bool = False) -> Floats:
        """Return the pixels with the nearest values, or the nearest on the other side.

        The shape is (axes, n); NaN where there are none.
        """
        if not len(self.values):
            return np.full((len(self.pixels), len(wanted)), np.nan)
        after = np.clip(np.searchsorted(self.values, wanted), 1, max(len(self.values) - 1, 1))
        after = np.minimum(after, len(self.values) - 1)
        before = np.maximum(after - 1, 0)
        nearer = np.abs(self.values[before] - wanted) <= np.abs(self.values[after] - wanted)
        return np.asarray(self.pixels[:, np.where(nearer != second, before, after)], float)

    @property
    def spacing(self) -> float:
        """The distance of neighbouring values, or 1 of a single one."""
        apart = np.diff(self.values)
        return float(np.median(apart[apart > 0])) if (apart > 0).any() else 1.0

    def reaches(self, wanted: Floats) -> NDArray[np.bool_]:
        """Return where values are among those of the table, or half a pixel beyond its ends."""
        if not len(self.values):
            return np.zeros(wanted.shape, bool)
        apart = np.diff(self.values)
        first, last = (apart[0], apart[-1]) if len(apart) else (self.spacing, self.spacing)
        low, high = self.values[0] - first / 2, self.values[-1] + last / 2
        return np.asarray((low <= wanted) & (wanted <= high))


@dataclass(eq=False)
class LatticeInverse:
    """The pixels of world coordinates.

    Coordinates that belong together, such as time, longitude and latitude of a raster, are used one
    after the other, those along the fewest axes first: the time gives the step, and the position
    on the sky the pixel along the slit. Where a coordinate has the same value twice, as wavelengths
    have that are not in order, those after it choose. So what is at a pixel gives that pixel.
    Coordinates that contradict each other give the pixel nearest to the later ones, of those that
    the earlier ones leave.

    Along an axis that changes no coordinate between whole pixels it gives a whole one. Beyond the
    ends of a table the result is NaN; other coordinates go on as the WCS does.

    Parameters
    ----------
    forward : callable
    lengths : tuple of int
        Pixels along each pixel axis, as far as tables go.
    matrix : numpy.ndarray of bool
        Shape (world, pixel): which coordinates change along which axes.
    sky : tuple of int or None
        Longitude and latitude, as world axes.
    turns : tuple of float
        For each world axis the difference that is none: 360 degrees of a longitude; infinite else.
    radian : float
        A radian in the unit of the latitude.
    """

    forward: Forward
    lengths: tuple[int, ...]
    matrix: NDArray[np.bool_]
    sky: tuple[int, int] | None
    turns: tuple[float, ...]
    radian: float = 1.0
    _tables: dict[object, _Table] = field(default_factory=dict, repr=False)
    _scales: dict[tuple[_Block, ...], list[tuple[int, float]]] = field(
        default_factory=dict, repr=False
    )

    def __post_init__(self) -> None:
        self.groups: list[tuple[_Block, ...]] = list(self._groups())

    def _groups(self) -> Iterator[tuple[_Block, ...]]:
        """Part the axes into groups that have nothing to do with each other."""
        parts = [(world,) for world in range(len(self.matrix))]
        if self.sky is not None and (self.matrix[self.sky[0]] & self.matrix[self.sky[1]]).any():
            parts = [part for part in parts if part[0] not in self.sky] + [self.sky]  # type: ignore[list-item]
        left = {part: set(np.flatnonzero(self.matrix[list(part)].any(axis=0)).tolist())
                for part in parts}  # fmt: skip
        while left:
            first = next(iter(left))
            pixels, joined = left.pop(first), [first]
            along = {first: set(pixels)}
            while more := [part for part, axes in left.items() if axes & pixels]:
                for part in more:
                    along[part] = left.pop(part)
                    pixels |= along[part]
                    joined.append(part)
            joined.sort(key=lambda part: (len(along[part]), self._size(along[part]), part))
            blocks, known = [], set[int]()
            for part in joined:
                unknown = along[part] - known
                blocks.append(
                    _Block(part, tuple(sorted(unknown)), tuple(sorted(along[part] & known)))
                )
                known |= unknown
            yield tuple(blocks)

    def _size(self, axes: set[int] | tuple[int, ...]) -> int:
        return math.prod(self.lengths[axis] for axis in axes)

    def away(self, world: int, values: Floats, others: Floats) -> Floats:
        """Subtract values of a world axis; of longitudes the shorter way around."""
        apart = np.asarray(values - others)
        turn = self.turns[world]
        if np.isfinite(turn):
            apart = apart - turn * np.round(apart / turn)
        return apart

    # Solving --------------------------------------------------------------------------------

    def solve(self, world: Floats) -> Floats:
        """Find pixels, shape (pixel, n), of world coordinates, shape (world, n)."""
        pixels = np.zeros((len(self.lengths), world.shape[1]))
        for blocks in self.groups:
            axes = np.array([axis for block in blocks for axis in block.unknown], int)
            wanted = [axis for block in blocks for axis in block.world]
            there = np.flatnonzero(np.isfinite(world[wanted]).all(axis=0))
            if len(there) < world.shape[1]:
                pixels[axes] = np.nan
            if len(there):
                pixels[np.ix_(axes, there)] = self._solve_group(blocks, world[:, there])[axes]
        return pixels

    def _solve_group(self, blocks: tuple[_Block, ...], world: Floats) -> Floats:
        best = np.full((len(self.lengths), world.shape[1]), np.nan)
        lowest = np.full(world.shape[1], np.inf)
        for start in self._starts(blocks[0], world):
            pixels = start
            for block in blocks[1:]:
                pixels = self._solve_block(block, world, pixels)
            away = self._error(blocks, world, pixels)
            # Of those that do not fit exactly, whole pixels: they were given as such.
            own = np.array(blocks[0].unknown, int)
            between = np.abs(pixels[own] - np.rint(pixels[own])).max(axis=0, initial=0) > 1e-6
            cost = np.where(away <= TOLERANCE, away * TOLERANCE, 1 + away)
            cost = np.where((away > TOLERANCE) & between, 1e9 + cost, cost)
            cost = np.where(np.isfinite(away), cost, np.inf)
            better = (cost < lowest) | ~np.isfinite(lowest)
            best[:, better] = pixels[:, better]
            lowest[better] = cost[better]
        return best

    def _starts(self, block: _Block, world: Floats) -> Iterator[Floats]:
        """Give the pixels that the first coordinate of a group may belong to."""
        nothing = np.zeros((len(self.lengths), world.shape[1]))
        pixels = self._solve_block(block, world, nothing)
        yield pixels
        if len(block.world) > 1:
            return
        # Half a step after the last of a repeat is as late as half a step before the next one.
        other, unknown = nothing.copy(), np.array(block.unknown, int)
        inexact = np.flatnonzero((pixels[unknown] != np.rint(pixels[unknown])).any(axis=0))
        other[unknown] = np.nan
        if len(inexact):
            found = self._by_table(block, world[:, inexact], nothing[:, inexact], second=True)
            other[np.ix_(unknown, inexact)] = found[unknown]
            yield other
        if len(block.unknown) != 1:
            return
        table, (axis,) = self._table(block, ()), block.unknown
        order = np.argsort(table.pixels[0])
        values, places = table.values[order], table.pixels[0][order]
        if (np.diff(values) > 0).all() or (np.diff(values) < 0).all():
            return
        wanted = world[block.world[0]]
        for n in range(len(values) - 1):  # pieces of the table that are not in order
            low, high = sorted(values[n : n + 2])
            inside = (low <= wanted) & (wanted <= high) & (low < high)
            if inside.any() and places[n + 1] - places[n] == 1:
                share = (wanted - values[n]) / (values[n + 1] - values[n])
                other = nothing.copy()
                other[axis] = np.where(inside, places[n] + share, np.nan)
                away = np.full(len(wanted), np.inf)
                away[inside] = np.abs(self._miss(block, world[:, inside], other[:, inside]))
                other[axis] = np.where(away <= TOLERANCE * table.spacing, other[axis], np.nan)
                yield other

    def _solve_block(self, block: _Block, world: Floats, pixels: Floats) -> Floats:
        """Find the pixels along the axes that a block gives; of the others they are there."""
        pixels = pixels.copy()
        if not block.unknown:
            return pixels
        unknown = list(block.unknown)
        there = np.flatnonzero(np.isfinite(pixels[list(block.known)]).all(axis=0))
        solved = np.full((len(unknown), world.shape[1]), np.nan)
        if len(there):
            part = self._by_plane if len(block.world) > 1 else self._by_table
            solved[:, there] = part(block, world[:, there], pixels[:, there])[unknown]
        pixels[unknown] = solved
        return pixels

    def _error(self, blocks: tuple[_Block, ...], world: Floats, pixels: Floats) -> Floats:
        """Measure how far pixels are from the coordinates of a group, in pixels of each."""
        error = np.full(world.shape[1], np.inf)
        there = np.flatnonzero(np.isfinite(pixels).all(axis=0))
        if len(there):
            error[there] = self._apart(blocks, world[:, there], self.forward(pixels[:, there]))
        return error

    def _apart(self, blocks: tuple[_Block, ...], world: Floats, found: Floats) -> Floats:
        if blocks not in self._scales:
            self._scales[blocks] = list(self._make_scales(blocks))
        apart = np.zeros(world.shape[1])
        for axis, size in self._scales[blocks]:
            apart = np.maximum(apart, np.abs(self.away(axis, found[axis], world[axis])) / size)
        return np.where(np.isfinite(apart), apart, np.inf)

    def _make_scales(self, blocks: Sequence[_Block]) -> Iterator[tuple[int, float]]:
        """Give each world axis, and its change from a pixel to the next."""
        for block in blocks:
            if len(block.world) > 1:
                # Along a slit too, the steps of its raster may be smaller than its pixels.
                axes = tuple(sorted((*block.unknown, *block.known)))
                middle = np.reshape([self.lengths[axis] // 2 for axis in axes], (-1, 1))
                pixels = np.zeros((len(self.lengths), 1 + len(axes)))
                pixels[list(axes)] = middle + np.hstack([np.zeros_like(middle), np.eye(len(axes))])
                found = self.forward(pixels)[list(block.world)]
                changes = [self.away(axis, of[1:], of[0])
                           for axis, of in zip(block.world, found, strict=True)]  # fmt: skip
                sizes = np.hypot(*changes)
                sizes = sizes[np.isfinite(sizes) & (sizes > 0)]
                size = float(sizes.min()) if len(sizes) else 1.0
                yield from ((axis, size) for axis in block.world)
            else:
                axes = tuple(sorted((*block.unknown, *block.known)))
                yield block.world[0], self._table(_Block(block.world, axes, ()), ()).spacing

    def consistent(self, world: Floats, pixels: Floats) -> NDArray[np.bool_]:
        """Return where pixels have the world coordinates that are wanted, all of them."""
        good = np.asarray(np.isfinite(world).all(axis=0) & np.isfinite(pixels).all(axis=0))
        there = np.flatnonzero(good)
        if len(there):
            found = self.forward(pixels[:, there])
            for blocks in self.groups:
                good[there] &= self._apart(blocks, world[:, there], found) <= TOLERANCE
        return good

    # Coordinates along frames ---------------------------------------------------------------

    def _table(self, block: _Block, known: tuple[float, ...]) -> _Table:
        """Evaluate a coordinate at all pixels of its axes, at a pixel of the known ones; once."""
        key = block, known
        if key not in self._tables:
            if self._size(block.unknown) > _MOST:
                return _Table(np.zeros((len(block.unknown), 0)), np.zeros(0))
            grid = np.indices([self.lengths[axis] for axis in block.unknown], float)
            grid = grid.reshape(len(block.unknown), -1)
            pixels = np.zeros((len(self.lengths), grid.shape[1]))
            pixels[list(block.unknown)] = grid
            pixels[list(block.known)] = np.reshape(known, (-1, 1))
            values = self.forward(pixels)[block.world[0]]
            turn = self.turns[block.world[0]]
            if np.isfinite(turn):  # without a jump
                values = values[0] + self.away(block.world[0], values, values[0])
            self._tables[key] = _Table.of(grid, values)
        return self._tables[key]

    def _combinations(
        self, block: _Block, pixels: Floats
    ) -> Iterator[tuple[tuple[float, ...], NDArray[np.int64]]]:
        """Give the whole pixels of the known axes that occur, and which points are there."""
        if not block.known:
            yield (), np.arange(pixels.shape[1])
            return
        last = np.array([self.lengths[axis] - 1 for axis in block.known]).reshape(-1, 1)
        whole = np.clip(np.rint(pixels[list(block.known)]), 0, last)
        found, which = np.unique(whole, axis=1, return_inverse=True)
        which = which.reshape(-1)
        order = np.argsort(which, kind="stable")
        ends = np.searchsorted(which[order], np.arange(found.shape[1] + 1))
        for n in range(found.shape[1]):
            yield tuple(found[:, n].tolist()), order[ends[n] : ends[n + 1]]

    def _by_table(
        self, block: _Block, world: Floats, pixels: Floats, *, second: bool = False
    ) -> Floats:
        pixels, (axis,) = pixels.copy(), block.world
        unknown = np.array(block.unknown, int)
        reached, exact = np.zeros(world.shape[1], bool), np.empty(world.shape[1])
        for known, which in self._combinations(block, pixels):
            table, wanted = self._table(block, known), world[axis, which]
            if len(table.values) and np.isfinite(self.turns[axis]):
                wanted = table.values[0] + self.away(axis, wanted, table.values[0])
            pixels[np.ix_(unknown, which)] = table.nearest(wanted, second=second)
            reached[which], exact[which] = table.reaches(wanted), table.spacing
        pixels, miss = self._refine(block, world, pixels, exact)
        lost = ~(reached | (np.abs(miss) <= TOLERANCE * exact))
        pixels[np.ix_(unknown, np.flatnonzero(lost))] = np.nan
        return pixels

    def _miss(self, block: _Block, world: Floats, pixels: Floats) -> Floats:
        (axis,) = block.world
        miss = self.away(axis, self.forward(pixels)[axis], world[axis])
        return np.where(np.isfinite(miss), miss, np.inf)

    def _refine(
        self, block: _Block, world: Floats, pixels: Floats, size: Floats
    ) -> tuple[Floats, Floats]:
        """Go from whole pixels to the place between them, along each axis that has such places."""
        pixels = pixels.copy()
        miss = self._miss(block, world, pixels)
        for _ in range(_STEPS):
            open_ = np.flatnonzero(np.abs(miss) > _EXACT * size)
            if not len(open_):
                break
            before = miss[open_].copy()
            for axis in block.unknown:
                for move in (_SIDE, -_SIDE, 1.0, -1.0):
                    self._try(block, world, pixels, miss, axis, move, open_)
            open_ = open_[np.abs(miss[open_]) < np.abs(before) * (1 - 1e-6)]
            if not len(open_):
                break
        return pixels, miss

    def _try(
        self, block: _Block, world: Floats, pixels: Floats, miss: Floats, axis: int, move: float,
        which: NDArray[np.int64],
    ) -> None:  # fmt: skip
        """Move some pixels along an axis to where the line through two values is as wanted."""
        here, wanted = pixels[:, which].copy(), world[:, which]
        here[axis] += move
        beside = self._miss(block, wanted, here)
        whole = abs(move) == 1
        with np.errstate(divide="ignore", invalid="ignore"):
            change = (beside - miss[which]) / move
            way = move if whole else -miss[which] / change
        moved = pixels[:, which].copy()
        moved[axis] += np.where(np.isfinite(way), way, 0)
        then = beside if whole else self._miss(block, wanted, moved)
        better = np.abs(then) < np.abs(miss[which])
        pixels[:, which[better]], miss[which[better]] = moved[:, better], then[better]

    # The sky --------------------------------------------------------------------------------

    def _planes(self, block: _Block, known: Floats) -> tuple[Floats, Floats]:
        """Lay a plane through the sky's coordinates, for some pixels of the known axes.

        Returns the coordinates at pixel 0, shape (n, 2), and their changes, (n, 2, unknown).
        """
        n, count = len(block.unknown), known.shape[1]
        far = np.array([max(self.lengths[axis] - 1, 1) for axis in block.unknown], float)
        corners = np.hstack([np.zeros((n, 1)), np.diag(far)])
        pixels = np.zeros((len(self.lengths), count, 1 + n))
        pixels[list(block.known)] = known[:, :, None]
        pixels[list(block.unknown)] = corners[:, None, :]
        found = self.forward(pixels.reshape(len(pixels), -1))[list(block.world)]
        found = found.reshape(2, count, 1 + n)
        changes = [self.away(axis, of[:, 1:], of[:, :1]) / far
                   for axis, of in zip(block.world, found, strict=True)]  # fmt: skip
        return np.asarray(found[:, :, 0].T), np.stack(changes, axis=1)

    def _by_plane(self, block: _Block, world: Floats, pixels: Floats) -> Floats:
        pixels = pixels.copy()
        unknown, rows = np.array(block.unknown, int), list(block.world)
        if len(unknown) > 2:  # a plane would not say which frame
            pixels[unknown] = np.nan
            return pixels
        last = np.array([self.lengths[axis] - 1 for axis in block.known]).reshape(-1, 1)
        whole = np.clip(np.rint(pixels[list(block.known)]), 0, last)
        combinations, which = np.unique(whole, axis=1, return_inverse=True)
        origin, matrix = self._planes(block, combinations)
        # Meridians come closer to the poles.
        weights = np.stack([np.cos(origin[:, 1] / self.radian), np.ones(len(origin))], axis=1)
        known = np.isfinite(matrix).all(axis=(1, 2)) & np.isfinite(weights).all(axis=1)
        inverse = np.full((len(origin), len(unknown), 2), np.nan)
        scaled = matrix[known] * weights[known][:, :, None]
        inverse[known] = np.linalg.pinv(scaled) * weights[known][:, None, :]
        which = which.reshape(-1)
        apart = [self.away(axis, world[axis], of)
                 for axis, of in zip(rows, origin[which].T, strict=True)]  # fmt: skip
        pixels[unknown] = np.einsum("nij,jn->in", inverse[which], np.array(apart))
        self._iterate(unknown, rows, inverse[which], world, pixels)
        return pixels

    def _iterate(
        self, unknown: NDArray[np.int64], rows: list[int], inverse: Floats, world: Floats,
        pixels: Floats,
    ) -> None:  # fmt: skip
        """Correct pixels, in place, by what their coordinates miss; NaN if that ends nowhere."""
        open_ = np.flatnonzero(np.isfinite(pixels[unknown]).all(axis=0))
        moved: Any = np.zeros(0)
        for _ in range(_STEPS):
            if not len(open_):
                return
            found = self.forward(pixels[:, open_])
            apart = np.array([self.away(axis, world[axis, open_], found[axis]) for axis in rows])
            step = np.einsum("nij,jn->in", inverse[open_], apart)
            pixels[np.ix_(unknown, open_)] += step
            moved = np.abs(step).max(axis=0)
            far = ~(moved > _EXACT * 10)  # arrived, or NaN
            pixels[np.ix_(unknown, open_[np.isnan(moved)])] = np.nan
            open_, moved = open_[~far], moved[~far]
        pixels[np.ix_(unknown, open_[moved > TOLERANCE])] = np.nan

"""Turn world coordinates into an index: the part between some points, or the nearest pixel.

A coordinate is evaluated only on the pixels of the axes along which it changes. So one coordinate
alone can be selected, which inverting a whole WCS cannot do.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Final, TypeAlias

import numpy as np

from dkist_virtual.cube.points import Wanted, axes_of, flatten, wanted_of
from dkist_virtual.errors import OutsideError, SelectionError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dkist_virtual.cube.world_axes import Kind, Values, World

__all__ = ["crop_index", "nearest_index"]

_FEW: Final = 2**18
"""Pixels that are evaluated at once; of more, first a lattice."""

_SHORT: Final = 32

# Pixels of a grid ---------------------------------------------------------------------------

Grid: TypeAlias = tuple[range, ...]
Evaluate: TypeAlias = "Callable[[Sequence[NDArray[np.int64]]], Values]"
"""The coordinates on a grid, given the pixels along each axis: shape (coordinates, *lengths)."""


def _lattice(grid: Grid) -> list[NDArray[np.int64]]:
    """Choose some pixels along each axis, the last included: all where they are few in total.

    Short axes, such as those of repeats, keep every pixel: it cannot be told from its neighbours.
    """
    long = [len(axis) > _SHORT for axis in grid]
    short = math.prod(len(axis) for axis, is_long in zip(grid, long, strict=True) if not is_long)
    n = math.prod(map(len, grid))
    step = 1
    if n > _FEW and any(long):
        step = math.ceil((n / max(_FEW // 4, short)) ** (1 / sum(long)))
    return [
        np.unique(np.append(np.asarray(axis[:: step if is_long else 1], np.int64), axis[-1]))
        for axis, is_long in zip(grid, long, strict=True)
    ]


def _reach(values: Values) -> Values:
    """Compute how far the coordinates reach from each pixel's centre to its corner."""
    total = np.zeros(values.shape)
    for axis in range(1, values.ndim):
        if values.shape[axis] > 1:
            step = np.abs(np.diff(values, axis=axis)) / 2
            edge = [(0, 0)] * values.ndim
            edge[axis] = (1, 0)
            before = np.pad(step, edge, mode="edge")
            edge[axis] = (0, 1)
            total += np.fmax(before, np.pad(step, edge, mode="edge"))
    return total


def _inside(least: Values, most: Values, low: Values, high: Values) -> NDArray[np.bool_]:
    """Return where a range of values, for each coordinate, overlaps one from low to high."""
    shape = (-1,) + (1,) * (least.ndim - 1)
    with np.errstate(invalid="ignore"):
        within = (most >= low.reshape(shape)) & (least <= high.reshape(shape))
    return np.asarray(within.all(axis=0))


_Box: TypeAlias = list[tuple[int, int]]


def _box(mask: NDArray[np.bool_], grid: Grid) -> _Box | None:
    if not mask.any():
        return None
    found = []
    for axis, pixels in enumerate(grid):
        along = np.flatnonzero(mask.any(axis=_others(axis, mask.ndim)))
        found.append((pixels[along[0]], pixels[along[-1]]))
    return found


def _find_box(evaluate: Evaluate, grid: Grid, low: Values, high: Values) -> _Box | None:
    """Find the first and last pixel, along each axis, of all with coordinates in a range."""
    lattice = _lattice(grid)
    values = evaluate(lattice)
    if all(len(few) == len(axis) for few, axis in zip(lattice, grid, strict=True)):
        return _box(_inside(values, values, low, high), grid)
    candidate = _candidates(values, low, high)
    found: list[tuple[int, int]] = []
    for axis in range(len(grid)):
        outermost = []
        for side in (0, -1):
            for layer in np.flatnonzero(candidate.any(axis=_others(axis, len(grid))))[
                :: 1 if side == 0 else -1
            ]:
                part = _part(lattice, candidate, axis, int(layer))
                found_there = evaluate([np.asarray(a) for a in part])
                box = _box(_inside(found_there, found_there, low, high), part)
                if box is not None:
                    outermost.append(box[axis][side])
                    break
            else:
                return None
        found.append((outermost[0], outermost[1]))
    return found


def _candidates(values: Values, low: Values, high: Values) -> NDArray[np.bool_]:
    """Find the cells of a lattice in which there may be pixels with coordinates in a range.

    They are one fewer than the lattice's pixels along each axis of more than one.
    """
    least, most = values, values
    for axis in range(1, values.ndim):
        if values.shape[axis] > 1:
            ends = (
                [slice(None)] * axis + [slice(None, -1)],
                [slice(None)] * axis + [slice(1, None)],
            )
            least = np.fmin(*(least[tuple(end)] for end in ends))
            most = np.fmax(*(most[tuple(end)] for end in ends))
    margin = (most - least) / 2  # within a cell the coordinate is not quite linear
    return _inside(least - margin, most + margin, low, high)


def _part(
    lattice: list[NDArray[np.int64]], candidate: NDArray[np.bool_], axis: int, layer: int
) -> Grid:
    """Return the box around the candidates in one layer of cells."""
    mask = np.take(candidate, [layer], axis=axis)
    part = []
    for other, pixels in enumerate(lattice):
        cells = np.flatnonzero(mask.any(axis=_others(other, mask.ndim)))
        first, last = (layer, layer) if other == axis else (int(cells[0]), int(cells[-1]))
        part.append(range(int(pixels[first]), int(pixels[min(last + 1, len(pixels) - 1)]) + 1))
    return tuple(part)


def _others(axis: int, ndim: int) -> tuple[int, ...]:
    return tuple(other for other in range(ndim) if other != axis)


def _nearest(
    evaluate: Evaluate, grid: Grid, wanted: Wanted, point: Values
) -> tuple[tuple[int, ...], bool]:
    """Find the pixel nearest to a point, and whether the point is within that pixel."""
    lattice = _lattice(grid)
    around = grid
    if any(len(few) < len(axis) for few, axis in zip(lattice, grid, strict=True)):
        best = _least(evaluate(lattice), wanted, point)
        # An axis whose every pixel was evaluated stays whole: repeats whose pointing differs by
        # less than the lattice's step cannot be told apart there.
        around = tuple(
            axis
            if len(few) == len(axis)
            else range(int(few[max(i - 1, 0)]), int(few[min(i + 1, len(few) - 1)]) + 1)
            for axis, few, i in zip(grid, lattice, best, strict=True)
        )
    values = evaluate([np.asarray(axis) for axis in around])
    best = _least(values, wanted, point)
    away, reach = (np.array([part[best] for part in of]) for of in (values, _reach(values)))
    within = np.abs(away - point) <= reach * (1 + 1e-6) + wanted.rounding
    pixel = tuple(axis[i] for axis, i in zip(around, best, strict=True))
    return pixel, bool(within.all())


def _least(values: Values, wanted: Wanted, point: Values) -> tuple[int, ...]:
    away = values - point.reshape((-1,) + (1,) * (values.ndim - 1))
    distance = wanted.distance(away, point)
    distance = np.where(np.isfinite(distance), distance, np.inf)
    return tuple(int(i) for i in np.unravel_index(int(np.argmin(distance)), distance.shape))


# Indices ------------------------------------------------------------------------------------


def _evaluate(world: World, wanted: Wanted) -> Evaluate:
    """Make a function that evaluates coordinates, and caches the first grid, for each point.

    gwcs takes a millisecond a step for a raster whose every step has a pointing of its own.
    """
    kept: dict[tuple[bytes, ...], Values] = {}

    def evaluate(pixels: Sequence[NDArray[np.int64]]) -> Values:
        at = [np.asarray(along, float) for along in pixels]
        key = tuple(along.tobytes() for along in at)
        if key in kept:
            return kept[key]
        values = wanted.values(world, at)
        if not kept:
            kept[key] = values
        return values

    return evaluate


def crop_index(world: World, points: Sequence[object]) -> tuple[slice, ...]:
    """Find the smallest box of pixels between some points, as a slice for each axis of the array.

    Points are coordinates, or lists of them in any order, see `Dataset.crop`. Coordinates of the
    same kind, of all points together, span a range: of all pixels whose centres are in it, and
    those that contain its ends.
    """
    bounds = [range(n) for n in world.shape]
    wanted = wanted_of(world, flatten(list(points)))
    if not wanted and not any(isinstance(point, (list, tuple)) and len(point) for point in points):
        raise SelectionError("crop: expected world coordinates to crop to, found none")
    for one in wanted:
        if not one.array_axes:
            _check_constant(world, one)
            continue
        evaluate = _evaluate(world, one)
        grid = tuple(bounds[axis] for axis in one.array_axes)
        box = _find_box(evaluate, grid, one.low, one.high)
        pixels = [] if box is None else [tuple(first for first, _ in box), tuple(e for _, e in box)]
        for point in one.points.T:
            pixel, within = _nearest(evaluate, grid, one, point)
            pixels += [pixel] * within
        if not pixels:
            raise OutsideError(_outside(world, one, evaluate, grid))
        for axis, along in zip(one.array_axes, zip(*pixels, strict=True), strict=True):
            bounds[axis] = range(min(along), max(along) + 1)
    return tuple(slice(along.start, along.stop) for along in bounds)


def nearest_index(world: World, points: Mapping[Kind, object]) -> tuple[int | slice, ...]:
    """Find the nearest pixel along each axis along which some coordinates change, as an index.

    There is one coordinate for each kind of axis, that of the sky under "longitude". It may be
    between two pixels, but not outside of all.
    """
    index: list[int | slice] = [slice(None)] * len(world.shape)
    for kind, given in points.items():
        found = axes_of(world, given)[0]
        if found.kind != kind and not (kind == "longitude" and found.kind == "latitude"):
            name = "sky" if kind == "longitude" else kind
            raise SelectionError(f"{name} = {given!r}: is not {name}, but {found.label}")
    wanted = wanted_of(world, points.values())
    for one in wanted:
        if one.points.shape[1] != 1:
            raise SelectionError(f"{one.label}: expected one value, found {one.points.shape[1]}")
        if not one.array_axes:
            _check_constant(world, one)
            continue
        # An axis that another coordinate has fixed stays there.
        fixed = [index[axis] for axis in one.array_axes]
        grid = tuple(
            range(at, at + 1) if isinstance(at, int) else range(world.shape[axis])
            for axis, at in zip(one.array_axes, fixed, strict=True)
        )
        evaluate = _evaluate(world, one)
        pixel, within = _nearest(evaluate, grid, one, one.points[:, 0])
        between = len(one.axes) == 1 and _is_between(evaluate, grid, one.points[:, 0])
        if not within and not between:
            raise OutsideError(_outside(world, one, evaluate, grid))
        for axis, at in zip(one.array_axes, pixel, strict=True):
            index[axis] = at
    return tuple(index)


def _is_between(evaluate: Evaluate, grid: Grid, point: Values) -> bool:
    """Return whether a point is between coordinates of the grid, like one between exposures."""
    values = evaluate(_lattice(grid)).reshape(len(point), -1)
    with np.errstate(invalid="ignore"):
        return bool(((np.nanmin(values, 1) <= point) & (point <= np.nanmax(values, 1))).all())


def _check_constant(world: World, wanted: Wanted) -> None:
    """Refuse a point that is not that of a coordinate which is the same in all pixels."""
    here = wanted.values(world)
    if not ((wanted.low <= here) & (here <= wanted.high)).all():
        found = ", ".join(
            world.text(axis, float(v)) for axis, v in zip(wanted.axes, here, strict=True)
        )
        raise OutsideError(f"{_describe(world, wanted)}: {wanted.label} is {found} everywhere here")


def _describe(world: World, wanted: Wanted) -> str:
    low, high = wanted.points.min(axis=1), wanted.points.max(axis=1)
    return " and ".join(
        world.text(axis, a) if a == b else f"{world.text(axis, a)} to {world.text(axis, b)}"
        for axis, a, b in zip(wanted.axes, low, high, strict=True)
    )


def _outside(world: World, wanted: Wanted, evaluate: Evaluate, grid: Grid) -> str:
    values = evaluate(_lattice(grid)).reshape(len(wanted.axes), -1)
    if len(wanted.axes) == 1 and _is_between(evaluate, grid, wanted.points.min(axis=1)):
        return (
            f"{_describe(world, wanted)}: no pixel of this selection is there, though its "
            f"{wanted.label} reaches beyond on both sides. at() takes the nearest one"
        )
    covered = " and ".join(
        f"{world.text(axis, float(np.nanmin(v)))} to {world.text(axis, float(np.nanmax(v)))}"
        for axis, v in zip(wanted.axes, values, strict=True)
    )
    return (
        f"{_describe(world, wanted)}: outside of this selection, whose {wanted.label} is {covered}"
    )

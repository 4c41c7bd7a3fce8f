"""Stitch the tiles of a mosaic."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from dkist_virtual.cube.selection import Selection
from dkist_virtual.cube.world_axes import World
from dkist_virtual.errors import DatasetError
from dkist_virtual.science.sky_image import mask_of
from dkist_virtual.science.stitching.carried_axes import carried_coordinates, make_wcs
from dkist_virtual.science.stitching.field import Field
from dkist_virtual.science.stitching.lattice import Lattice, place
from dkist_virtual.science.stitching.overlaps import (
    compare_brightness,
    measure_shifts,
    plane_of,
)
from dkist_virtual.science.stitching.record import Pair, Stitching
from dkist_virtual.science.stitching.solve import solve
from dkist_virtual.science.stitching.tangent_plane import Plane
from dkist_virtual.science.stitching.tiles import Place, Sight, Stitched, Tile, check_alike

if TYPE_CHECKING:
    from astropy.time import Time
    from astropy.wcs.wcsapi import BaseHighLevelWCS
    from numpy.typing import NDArray

    from dkist_virtual.cube.dask_array import PushdownArray
    from dkist_virtual.science.stitching.options import Options

__all__ = ["Whole", "stitch"]

_DAY: Final = 12 * 3600.0
"""Tiles this many seconds apart are not of one visit."""

_PARALLEL: Final = 1.0
"""How far from its place, in pixels, whole pixels may leave a corner of a tile."""


@dataclass(frozen=True, eq=False)
class Whole:
    """The stitched field.

    Parameters
    ----------
    pixels, mask : PushdownArray
    wcs : WCS
    record : Stitching
    middle : Stitched
        The tile whose frame and observer it has.
    """

    pixels: PushdownArray
    mask: PushdownArray
    wcs: BaseHighLevelWCS
    record: Stitching
    middle: Stitched


def stitch(cubes: Sequence[tuple[Place, Stitched]], options: Options) -> Whole:
    """Stitch tiles, given with their places in the grid of the mosaic; reads no pixels.

    Overlaps are read where tiles are registered or matched.
    """
    sights = [Sight(at, cube, World(cube.wcs, cube.shape)) for at, cube in cubes]
    check_alike(sights)
    dtype = _pixel_type(sights)
    middle = sights[_middle(sights)]
    epoch = _epoch(middle)
    seconds = [sight.seconds(epoch) for sight in sights]
    _check_visit(sights, seconds)
    plane = _plane(middle, options.orientation)
    lattices = [_lattice(sight, plane) for sight in sights]
    low, high = _box(lattices)
    plane = plane.moved(low[1], low[0])
    lattices = [lattice.moved(*-low) for lattice in lattices]
    tiles = [
        Tile(
            sight.cube.pixels, mask_of(sight.cube), sight.sky, sight.moving, sight.place, lattice,
            times, sight.seeing(options.seeing) if options.combine == "best" else None,
        )
        for sight, lattice, times in zip(sights, lattices, seconds, strict=True)
    ]  # fmt: skip
    at = plane_of(middle, options.plane)
    fixed = sights.index(middle)
    down_right = np.zeros((len(tiles), 2))
    pairs: tuple[Pair, ...] = ()
    if options.register:
        tiles, down_right, pairs = _register(tiles, at, fixed, options.search)
    if options.match is not None:
        tiles = _match(tiles, at, fixed, options.match, middle)
    low, high = _box([tile.lattice for tile in tiles])
    plane = plane.moved(low[1], low[0])
    tiles = [replace(t, lattice=t.lattice.moved(*-low)) for t in tiles]
    moved = np.zeros(len(tiles))
    if options.resample == "shift":
        found = [_whole_pixels(tile) for tile in tiles]
        tiles, moved = [tile for tile, _ in found], np.array([away for _, away in found])
        low, high = _box([tile.lattice for tile in tiles])
        plane = plane.moved(low[1], low[0])
        tiles = [replace(t, lattice=t.lattice.moved(*-low)) for t in tiles]
    size = tuple(int(n) for n in high - low + 1)
    carried = tuple(middle.cube.shape[axis] for axis in middle.carried)
    shape = (*carried, *size)
    field = Field(
        tuple(tiles), Selection.whole(shape), "pixels", options.combine, options.order, dtype,
        _wanted(middle),
    )  # fmt: skip
    from astropy import units as u

    record = Stitching(
        tuple(tile.place for tile in tiles), middle.place, options,
        down_right[:, ::-1] @ plane.matrix.T * u.arcsec,
        np.array([tile.gain for tile in tiles]), np.array([tile.offset for tile in tiles]),
        moved, pairs, epoch, field, tuple(sights),
    )  # fmt: skip
    coordinates = carried_coordinates(middle.world, middle.carried)
    names = _axis_names(middle)
    wcs = make_wcs(plane, middle.frame, shape, coordinates, names)
    mask = replace(field, what="mask").dask()
    return Whole(field.dask(), mask, wcs, record, middle.cube)


def _register(
    tiles: list[Tile], at: tuple[int, ...], fixed: int, search: int
) -> tuple[list[Tile], NDArray[np.float64], tuple[Pair, ...]]:
    """Move tiles to where their overlaps agree."""
    places = [tile.place for tile in tiles]
    measured = measure_shifts(tiles, at, search)
    shifts, away, weights = solve("register", places, measured, fixed, 0.2)
    tiles = [
        replace(tile, lattice=tile.lattice.moved(float(down), float(right)))
        for tile, (down, right) in zip(tiles, shifts, strict=True)
    ]
    pairs = tuple(
        Pair(
            places[one.first], places[one.second], (one.value[1], one.value[0]),
            one.correlation, one.pixels, float(far), float(weight),
        )
        for one, far, weight in zip(measured, away, weights, strict=True)
    )  # fmt: skip
    return tiles, shifts, pairs


def _match(
    tiles: list[Tile], at: tuple[int, ...], fixed: int, kind: str, middle: Sight
) -> list[Tile]:
    """Make tiles as bright as each other in their overlaps."""
    stokes = middle.world.of_kind("stokes")
    if kind == "offset" and stokes is not None:
        along = [axis for axis in stokes.array_axes if middle.cube.shape[axis] > 1]
        if along:
            index = ", ".join([":"] * along[0] + ["0"])
            raise DatasetError(
                'stitch(match="offset"): a number that is added to I is not one to be added to '
                f'Q, U and V: select one of them, as mosaic.slice_tiles[{index}], or match="gain"'
            )
    measured = compare_brightness(tiles, at, kind)
    values = solve("match", [tile.place for tile in tiles], measured, fixed, 0.01)[0][:, 0]
    if kind == "gain":
        return [replace(t, gain=float(np.exp(of))) for t, of in zip(tiles, values, strict=True)]
    return [replace(t, offset=float(of)) for t, of in zip(tiles, values, strict=True)]


def _pixel_type(sights: Sequence[Sight]) -> np.dtype:
    """Return the type of the output pixels, which has NaN."""
    given = [np.dtype(sight.cube.pixels.dtype) for sight in sights]
    for sight, dtype in zip(sights, given, strict=True):
        if dtype.kind not in "iuf":
            raise DatasetError(
                f"stitch: tile {list(sight.place)} has pixels of {dtype}: expected real numbers, "
                "which can be interpolated"
            )
    return np.result_type(np.float32, *given)


def _middle(sights: Sequence[Sight]) -> int:
    """Return which tile is nearest to the middle of the field, and of several the first."""
    centres = np.array([sight.centre() for sight in sights])
    middle = (centres.min(axis=0) + centres.max(axis=0)) / 2
    away = np.hypot(*(centres - middle).T)
    extent = np.hypot(*np.ptp(centres, axis=0))
    return int(np.flatnonzero(away <= away.min() + 0.01 * extent)[0])


def _epoch(middle: Sight) -> Time:
    from astropy.time import Time

    moment = getattr(middle.frame, "obstime", None)
    if moment is None:
        raise DatasetError(
            f"stitch: the frame of tile {list(middle.place)}, {middle.frame.name}, has no obstime"
        )
    return Time(moment, scale="utc", format="isot", precision=9) if moment.isscalar else moment[0]


def _check_visit(sights: Sequence[Sight], seconds: Sequence[NDArray[np.float64]]) -> None:
    """Refuse tiles that were not taken in one pass over the field.

    Where there are several moments, they are the passes: the same ones of all tiles, or each tile
    stays in its place for all of them.
    """
    spans = [(float(np.nanmin(of)), float(np.nanmax(of))) for of in seconds]
    how = (
        "stitch one visit: mosaic.mask[i, j] = True leaves a tile out, and mosaic.slice_tiles[...] "
        "selects the same of each"
    )
    for (a, of_a), (b, of_b) in itertools.combinations(enumerate(spans), 2):
        apart = max(of_b[0] - of_a[1], of_a[0] - of_b[1])
        if apart > _DAY:
            raise DatasetError(
                f"stitch: tiles {list(sights[a].place)} and {list(sights[b].place)} were taken "
                f"{apart / 3600:.1f} hours apart, and are of more than one visit: {how}"
            )
        one, other = (_passes(of, len(sights[a].carried)) for of in (seconds[a], seconds[b]))
        if one is not None and other is not None and not _is_one_visit(one, other):
            raise DatasetError(
                f"stitch: the moments of tiles {list(sights[a].place)} and "
                f"{list(sights[b].place)} do not belong together, one by one: each pixel of the "
                f"time axis would be of more than one visit: {how}"
            )
        middle_a, middle_b = sights[a].centre(), sights[b].centre()
        far = np.hypot(*(middle_a - middle_b))
        if far < 1e-3 * _scales(sights[a])[0] and apart > 0:
            raise DatasetError(
                f"stitch: tiles {list(sights[a].place)} and {list(sights[b].place)} show the same "
                f"place at two times, and are of more than one visit: {how}"
            )


def _passes(seconds: NDArray[np.float64], axes: int) -> NDArray[np.float64] | None:
    """Return the first and last moment of each pass of a tile: (passes, 2).

    None where not exactly one of the carried axes is one of time.
    """
    timed = [axis for axis in range(axes) if seconds.shape[axis] > 1]
    if len(timed) != 1:
        return None
    each = np.moveaxis(seconds, timed[0], 0).reshape(seconds.shape[timed[0]], -1)
    return np.stack([each.min(axis=1), each.max(axis=1)], axis=1)


def _is_one_visit(one: NDArray[np.float64], other: NDArray[np.float64]) -> bool:
    """Return whether two tiles follow each other, or were taken pass by pass."""
    if one.max() < other.min() or other.max() < one.min():
        return True
    both = np.stack([np.minimum(one, other)[:, 0], np.maximum(one, other)[:, 1]], axis=1)
    return bool((both[1:, 0] > both[:-1, 1]).all())


def _scales(sight: Sight) -> tuple[float, float, NDArray[np.float64]]:
    """Return arcseconds a row and a column in the middle of a tile, and the slopes themselves.

    The slopes have longitude and latitude, on the sky, along the first axis and row and column
    along the second.
    """
    row, column = ((n - 1) / 2 for n in sight.shape)
    places = sight.at(sight.pointings // 2, [row - 0.5, row + 0.5], [column - 0.5, column + 0.5])
    down = (places[1] - places[0]).mean(axis=0)
    right = (places[:, 1] - places[:, 0]).mean(axis=0)
    slopes = np.stack([down, right], axis=1)
    slopes[0] *= np.cos(np.deg2rad(places[..., 1].mean() / 3600))
    lengths = np.hypot(*slopes)
    if abs(np.linalg.det(slopes)) <= 1e-6 * lengths[0] * lengths[1]:
        raise DatasetError(
            f"stitch: the pixels of tile {list(sight.place)} lie on a line of the sky"
        )
    return float(lengths[0]), float(lengths[1]), slopes


def _plane(middle: Sight, orientation: str) -> Plane:
    """Make the output grid: with the pixels of the middle tile, and one of them its tangent."""
    row, column = ((n - 1) // 2 for n in middle.shape)
    lon, lat = middle.at(middle.pointings // 2, [row], [column])[0, 0]
    of_row, of_column, slopes = _scales(middle)
    # Of the two, x is the one that is nearer to longitude.
    is_column = abs(slopes[0, 1]) / of_column >= abs(slopes[0, 0]) / of_row
    x, y = (of_column, of_row) if is_column else (of_row, of_column)
    right, up = (slopes[:, axis] for axis in ((1, 0) if is_column else (0, 1)))
    right, up = (right if right[0] > 0 else -right), (up if up[1] > 0 else -up)
    # Pixels need not be square: the mean of the angles of both axes.
    turned = (np.arctan2(right[1], right[0]) + np.arctan2(-up[0], up[1])) / 2
    angle = float(turned) if orientation == "tiles" else 0.0
    return Plane((float(lon), float(lat)), (x, y), angle, (0.0, 0.0))


def _lattice(sight: Sight, plane: Plane) -> Lattice:
    def where(pointing: int, rows: Any, columns: Any) -> NDArray[np.float64]:
        sky = sight.at(pointing, rows, columns)
        x, y = plane.pixels(sky[..., 0], sky[..., 1])
        return np.stack([y, x], axis=-1)

    return place(where, sight.pointings, sight.shape, sight.jumps)


def _box(lattices: Sequence[Lattice]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the first and the last row and column that a tile reaches."""
    boxes = np.concatenate([lattice.boxes for lattice in lattices])
    return boxes[:, :, 0].min(axis=0), boxes[:, :, 1].max(axis=0)


def _whole_pixels(tile: Tile) -> tuple[Tile, float]:
    """Move a tile to whole pixels, and return how far that is from its place at most."""
    lattice = tile.lattice
    rows, columns = (np.array([0.0, n - 1]) for n in lattice.shape)
    places, far = [], 0.0
    for pointing in range(len(lattice.places)):
        row, column = ((n - 1) / 2 for n in lattice.shape)
        centre = lattice.forward(pointing, row, column)
        half = np.array([0.5, -0.5])
        ends = (
            lattice.forward(pointing, row + half, column),
            lattice.forward(pointing, row, column + half),
        )
        slopes = np.stack([first - last for first, last in ends])
        steps = np.rint(slopes)
        if sorted(map(tuple, np.abs(steps).tolist())) != [(0, 1), (1, 0)]:
            raise DatasetError(
                f'stitch(resample="shift"): tile {list(tile.place)} has not the pixels of the '
                'output grid, not even turned by 90 degrees: write resample="interpolate"'
            )
        # Of an even number of pixels the centre is between two.
        corner = np.rint(centre - row * steps[0] - column * steps[1])
        at = corner + rows[:, None, None] * steps[0] + columns[None, :, None] * steps[1]
        exact = lattice.forward(pointing, rows[:, None], columns[None])
        far = max(far, float(np.hypot(*np.moveaxis(at - exact, -1, 0)).max()))
        places.append(at)
    if far > _PARALLEL:
        raise DatasetError(
            f'stitch(resample="shift"): a corner of tile {list(tile.place)} would be {far:.2f} '
            "pixels from its place, as the tile is turned or stretched against the output grid: "
            'write resample="interpolate"'
        )
    return replace(tile, lattice=Lattice(rows, columns, np.array(places), lattice.shape)), far


def _wanted(middle: Sight) -> tuple[int, ...]:
    """Return how long chunks are along the carried axes: one pointing, and the tile's own."""
    chunks = getattr(getattr(middle.cube, "data", None), "chunks", None)
    return tuple(
        1 if n in middle.moving else (max(chunks[axis]) if chunks else middle.cube.shape[axis])
        for n, axis in enumerate(middle.carried)
    )


def _axis_names(middle: Sight) -> tuple[str, ...]:
    """Return the names of the axes of the output, those of the tile."""
    given = [str(name or "") for name in middle.world.low.pixel_axis_names or ()][::-1]
    known = given if len(given) == len(middle.cube.shape) else [""] * len(middle.cube.shape)
    return (*(known[axis] for axis in middle.carried), "spatial y", "spatial x")

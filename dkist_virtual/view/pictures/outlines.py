"""Find where the fields of view of other datasets are on a picture of the sky."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from dkist_virtual.cube.world_axes import wrap
from dkist_virtual.view.state.together import places_in

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dkist_virtual.cube.world_axes import World
    from dkist_virtual.view.source import Source
    from dkist_virtual.view.state.state import Point

__all__ = ["Outline", "outline_of"]

ON_A_SIDE: Final = 9
"""Positions along a side: a field may be bent a little."""


@dataclass(frozen=True, eq=False)
class Outline:
    """The field of view of a dataset at one of its points.

    Parameters
    ----------
    rings : list of array of shape (2, n)
        Longitude and latitude along the edge of each tile's outermost pixels; of a slit that stays,
        its two ends.
    slit : array of shape (2, n) or None
        Where the slit of a raster is.
    """

    rings: list[NDArray[np.float64]]
    slit: NDArray[np.float64] | None


def outline_of(source: Source, point: Point, world: World, around: float) -> Outline:
    """Return the field of a dataset at its own point.

    It evaluates coordinates, and belongs into a thread.

    Parameters
    ----------
    world : World
        In whose frame and unit the field is wanted.
    around : float
        Longitudes are at most half a turn from this one.
    """
    rings, slit = [], None
    roles = source.roles
    for subject in source.subjects:
        of = subject.world
        if roles.sky is not None:
            x, y = roles.sky
            ends = (-0.5, of.shape[x] - 0.5), (-0.5, of.shape[y] - 0.5)
            ring = _evaluated(of, point, {x: _ring(*ends)[0], y: _ring(*ends)[1]})
            if roles.raster is not None and slit is None:
                along = y if roles.raster == x else x
                across = np.full(ON_A_SIDE, float(point[roles.raster]))
                n = of.shape[along]
                line = np.linspace(-0.5, n - 0.5, ON_A_SIDE)
                slit = _evaluated(of, point, {roles.raster: across, along: line})
        else:
            longitude = of.of_kind("longitude")
            inside = () if longitude is None else longitude.array_axes
            moving = [axis for axis in roles.frame if axis in inside and of.shape[axis] > 1]
            if len(moving) != 1:
                continue
            line = np.linspace(-0.5, of.shape[moving[0]] - 0.5, ON_A_SIDE)
            ring = _evaluated(of, point, {moving[0]: line})
        rings.append(ring)
    found = [_converted(source.subject.world, world, ring, around) for ring in rings]
    line_there = (
        None if slit is None else _converted(source.subject.world, world, slit, around)
    )  # fmt: skip
    return Outline([ring for ring in found if ring is not None], line_there)


def _ring(
    columns: tuple[float, float], rows: tuple[float, float]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    x, y = np.linspace(*columns, ON_A_SIDE), np.linspace(*rows, ON_A_SIDE)
    return (
        np.concatenate([x, np.full(ON_A_SIDE, x[-1]), x[::-1], np.full(ON_A_SIDE, x[0])]),
        np.concatenate([np.full(ON_A_SIDE, y[0]), y, np.full(ON_A_SIDE, y[-1]), y[::-1]]),
    )


def _evaluated(
    world: World, point: Point, at: dict[int, NDArray[np.float64]]
) -> NDArray[np.float64]:
    positions: list[Any] = list(map(float, point))
    for axis, pixels in at.items():
        positions[axis] = pixels
    values = world.values(*positions)
    longitude, latitude = world.of_kind("longitude"), world.of_kind("latitude")
    assert longitude is not None
    assert latitude is not None
    return np.stack([values[longitude.index], values[latitude.index]])


def _converted(
    source: World, target: World, places: NDArray[np.float64], around: float
) -> NDArray[np.float64] | None:
    there = places_in(source, target, places)
    longitude = target.of_kind("longitude")
    if there is None or longitude is None:
        return None
    # In one piece: a field at the edge of the longitudes does not jump.
    there[0] = wrap(there[0], longitude.unit, around)
    return there if np.isfinite(there).any() else None

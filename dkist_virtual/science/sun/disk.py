"""Compute mu, the cosine of the heliocentric angle, of positions on the sky.

The heliocentric angle is the angle at a point of the Sun's surface between the line of sight and
the vertical. It is 0 at the centre of the disk and 90 degrees at the limb. Not the same, by up to
0.27 degrees, is the angle at the centre of the Sun between that point and the observer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from dkist_virtual.cube.world_axes import World, WorldAxis
from dkist_virtual.errors import SelectionError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from astropy.wcs.wcsapi import BaseHighLevelWCS
    from numpy.typing import ArrayLike, NDArray

__all__ = ["DiskGeometry", "cosine_of_angle"]

_NODES: Final = 17
"""Positions along an axis of a frame at which the WCS is evaluated."""

_TOLERANCE: Final = 1e-4
"""How far, in arcsec, interpolated coordinates may be from the WCS's before all are evaluated."""


def cosine_of_angle(
    longitude: ArrayLike, latitude: ArrayLike, distance: float
) -> NDArray[np.float64]:
    """Compute mu at helioprojective positions; NaN off the limb.

    By the law of sines in the triangle of observer, point and centre of the Sun, the sine of the
    heliocentric angle is that of the elongation times the distance of the observer.

    Parameters
    ----------
    longitude, latitude : array
        Tx and Ty of Thompson (2006, A&A 449, 791) in radians.
    distance : float
        From the observer to the centre of the Sun, in solar radii.
    """
    lon, lat = np.asarray(longitude, float), np.asarray(latitude, float)
    # The squared sine of the elongation, without the cancellation that 1 - cos**2 has.
    squared = np.sin(lat) ** 2 + (np.cos(lat) * np.sin(lon)) ** 2
    with np.errstate(invalid="ignore"):
        mu: NDArray[np.float64] = np.sqrt(1 - distance**2 * squared)
    return np.where(np.cos(lon) * np.cos(lat) > 0, mu, np.nan)


@dataclass(frozen=True, eq=False)
class DiskGeometry:
    """Where the pixels of an array are on the disk of the Sun.

    Parameters
    ----------
    wcs : WCS
    shape : tuple of int
        Of the array.
    axes : tuple of int
        The axes of the array along which the position on the sky changes, ascending.
    smooth : tuple of int
        Those of them that are within a frame, where positions may be interpolated.
    distance : float
        From the observer to the centre of the Sun, in solar radii.
    """

    wcs: BaseHighLevelWCS
    shape: tuple[int, ...]
    axes: tuple[int, ...]
    smooth: tuple[int, ...]
    distance: float

    @classmethod
    def of(cls, wcs: BaseHighLevelWCS, shape: Sequence[int], what: str) -> DiskGeometry:
        """Find the celestial axes of a WCS, and how far its observer is from the Sun.

        Raises
        ------
        SelectionError
            No position on the sky changes along the array, or not one as seen from somewhere.
        """
        world = World(wcs, shape)
        lon, lat = (world.of_kind(kind) for kind in ("longitude", "latitude"))
        if lon is None or lat is None or not {*lon.array_axes, *lat.array_axes}:
            raise SelectionError(
                f"{what}: needs positions on the sky, longitude and latitude, along the axes of "
                f"the array, and this selection of shape {tuple(shape)} has none: select fewer "
                "pixels away"
            )
        distance = _distance(world, what)
        clock = world.of_kind("time")
        by_frame = set() if clock is None else set(clock.array_axes)
        axes = tuple(sorted({*lon.array_axes, *lat.array_axes}))
        return cls(wcs, tuple(map(int, shape)), axes, tuple(sorted(set(axes) - by_frame)), distance)

    @property
    def own_shape(self) -> tuple[int, ...]:
        """The lengths of the celestial axes."""
        return tuple(self.shape[axis] for axis in self.axes)

    def positions(
        self, window: Sequence[tuple[int, int]]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Compute Tx and Ty in radians of a window of the celestial axes.

        Within frames they are interpolated between 17 pixels along each axis, where that is right
        within 1e-4 arcsec at the pixels halfway between; else all are evaluated.

        Parameters
        ----------
        window : sequence of (int, int)
            Begin and end along each celestial axis.
        """
        world = World(self.wcs, self.shape)
        lon, lat = world.of_kind("longitude"), world.of_kind("latitude")
        assert lon is not None
        assert lat is not None
        every = [np.arange(begin, end, dtype=float) for begin, end in window]
        nodes = [
            np.unique(np.linspace(at[0], at[-1], _NODES).round())
            if axis in self.smooth and len(at) > 2 * _NODES
            else at
            for axis, at in zip(self.axes, every, strict=True)
        ]
        if all(len(some) == len(at) for some, at in zip(nodes, every, strict=True)):
            return _radians(world, lon, lat, every)
        coarse = np.stack(_radians(world, lon, lat, nodes))
        between = [
            at if len(some) == len(at) else ((some[1:] + some[:-1]) / 2).round()
            for some, at in zip(nodes, every, strict=True)
        ]
        miss = _interpolated(coarse, nodes, between) - np.stack(_radians(world, lon, lat, between))
        if not np.nanmax(np.abs(miss), initial=0) <= np.radians(_TOLERANCE / 3600):
            return _radians(world, lon, lat, every)
        fine = _interpolated(coarse, nodes, every)
        return fine[0], fine[1]

    def mu(self, window: Sequence[tuple[int, int]]) -> NDArray[np.float64]:
        """Compute mu in a window of the celestial axes; NaN off the limb."""
        return cosine_of_angle(*self.positions(window), self.distance)

    def has_pixels_off_the_limb(self) -> bool:
        """Return whether a pixel is off the limb: the corners of the frames tell."""
        world = World(self.wcs, self.shape)
        lon, lat = world.of_kind("longitude"), world.of_kind("latitude")
        assert lon is not None
        assert lat is not None
        at = [
            np.unique([0.0, n - 1]) if axis in self.smooth else np.arange(n, dtype=float)
            for axis, n in zip(self.axes, self.own_shape, strict=True)
        ]
        corners = cosine_of_angle(*_radians(world, lon, lat, at), self.distance)
        return bool(np.isnan(corners).any())


def _distance(world: World, what: str) -> float:
    """Return how far the observer of a WCS is from the centre of the Sun, in its radii."""
    frame: Any = world.frame
    observer: Any = getattr(frame, "observer", None)
    if frame is None or frame.name != "helioprojective" or not hasattr(observer, "radius"):
        name = "none" if frame is None else frame.name
        raise SelectionError(
            f"{what}: needs positions in a helioprojective frame whose observer is known, found a "
            f"frame of {name}. A map of it with an observer's position has one"
        )
    return float((observer.radius / frame.rsun).to_value(""))


def _radians(
    world: World, lon: WorldAxis, lat: WorldAxis, at: list[NDArray[np.float64]]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    import astropy.units as u

    # `along` asks for the axes of both, which are those of the geometry.
    values = world.along([lon, lat], at)
    x, y = (
        value * u.Unit(axis.unit).to(u.rad) for value, axis in zip(values, (lon, lat), strict=True)
    )
    return x, y


def _interpolated(
    values: NDArray[np.float64],
    nodes: list[NDArray[np.float64]],
    at: list[NDArray[np.float64]],
) -> NDArray[np.float64]:
    """Interpolate linearly, axis by axis, values whose first axis is not interpolated along."""
    for axis, (some, wanted) in enumerate(zip(nodes, at, strict=True), start=1):
        if len(some) == len(wanted) and np.array_equal(some, wanted):
            continue
        right = np.clip(np.searchsorted(some, wanted, side="right"), 1, len(some) - 1)
        share = (wanted - some[right - 1]) / (some[right] - some[right - 1])
        share = share.reshape([-1 if n == axis else 1 for n in range(values.ndim)])
        left = np.take(values, right - 1, axis=axis)
        values = left + share * (np.take(values, right, axis=axis) - left)
    return values

"""Interpolate a plane's world coordinates from a few pixels that are evaluated once.

astropy's axes evaluate a WCS thousands of times, and one of DKIST takes seconds for every pixel of
a raster. The coordinates themselves are smooth: interpolating a lattice of pixels gives them as
well, with a known error.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Self, TypeAlias

import numpy as np
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.wcs.wcsapi import BaseLowLevelWCS

from dkist_virtual.cube.world_axes import wrap

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from astropy.coordinates import BaseCoordinateFrame
    from numpy.typing import ArrayLike, NDArray

    from dkist_virtual.cube.world_axes import WorldAxis
    from dkist_virtual.plot.planes import ShownAxes, Subject

    Evaluate: TypeAlias = Callable[[NDArray[np.float64], NDArray[np.float64]], NDArray[np.float64]]
    _Lattice: TypeAlias = tuple[NDArray[np.float64], NDArray[np.float64]]

__all__ = ["PlaneGrid", "PlaneWCS", "sky_axes", "sky_grid"]

_FIRST: Final = 17
"""Lattice points along an axis at first."""
_MOST: Final = 2**16
"""Lattice points of a plane at most."""
APART: Final = 0.1
"""Sine of the angle on the sky between two axes of a plane, at least."""
LEAST_SHARE: Final = 0.2
"""Of the range of a coordinate, along the side that shows its values."""
TOLERANCE: Final = 0.05
"""Pixels that an interpolated coordinate may differ from the WCS's own."""


@dataclass(frozen=True, eq=False)
class PlaneGrid:
    """Two coordinates of a plane as a matrix, and the residuals on a lattice.

    Parameters
    ----------
    matrix : numpy.ndarray
        Shape (2, 2): both coordinates by pixels along x and y.
    origin : numpy.ndarray
        Shape (2,): both at pixel (0, 0) of the matrix.
    rest : numpy.ndarray
        Shape (2, y, x): coordinates minus those of the matrix, on the lattice.
    x, y : numpy.ndarray
        The lattice's pixels along each axis, ascending.
    error : float
        The largest difference, in pixels, that was found between interpolated coordinates and the
        WCS's own, between lattice points.
    """

    matrix: NDArray[np.float64]
    origin: NDArray[np.float64]
    rest: NDArray[np.float64]
    x: NDArray[np.float64]
    y: NDArray[np.float64]
    error: float

    @classmethod
    def of(cls, evaluate: Evaluate, shape: tuple[int, int], *, is_rough: bool = False) -> Self:
        """Evaluate a plane's coordinates on as few pixels as interpolate them well enough.

        `evaluate` takes pixels along x and y, and returns both coordinates: (2, *shape). A rough
        grid is that of the first few pixels: enough to tell what the plane is of.
        """
        counts = [min(n, _FIRST) for n in shape]
        before = [np.inf, np.inf]
        while True:
            y, x = (np.linspace(0, n - 1, m) for n, m in zip(shape, counts, strict=True))
            # Compare at whole pixels half-way between lattice points along one axis, on them along
            # the other.
            between = {
                axis: np.unique(np.round((points[:-1] + points[1:]) / 2))
                for axis, points in enumerate((y, x))
                if counts[axis] < shape[axis] and not is_rough
            }
            planes: list[_Lattice] = [(x, y)]
            planes += [(x, at) if axis == 0 else (at, y) for axis, at in between.items()]
            values = _at_once(evaluate, planes)
            grid = cls._through(x, y, values[0])
            if is_rough:
                return grid
            errors = [0.0, 0.0]
            for axis, (at_x, at_y), known in zip(between, planes[1:], values[1:], strict=True):
                errors[axis] = grid._difference(at_x, at_y, known)
            steps = list(zip(shape, counts, errors, strict=True))
            finer = [_finer(*one, was) for one, was in zip(steps, before, strict=True)]
            if finer[0] * finer[1] > _MOST:
                finer = [_finer(*one, np.inf) for one in steps]
            if finer == counts or finer[0] * finer[1] > _MOST:
                return replace(grid, error=max(errors))
            counts, before = finer, errors

    @classmethod
    def _through(
        cls, x: NDArray[np.float64], y: NDArray[np.float64], values: NDArray[np.float64]
    ) -> Self:
        """Make the grid that has these values on a lattice."""
        at_y, at_x = np.meshgrid(y, x, indexing="ij")
        design = np.stack([at_x.ravel(), at_y.ravel(), np.ones(at_x.size)], axis=1)
        known = np.isfinite(values).all(axis=0).ravel()
        fit = np.linalg.lstsq(design[known], values.reshape(2, -1).T[known], rcond=None)[0]
        rest = values - (design @ fit).T.reshape(values.shape)
        return cls(np.asarray(fit[:2].T, float), fit[2], rest, x, y, np.nan)

    def _difference(
        self, x: NDArray[np.float64], y: NDArray[np.float64], values: NDArray[np.float64]
    ) -> float:
        at_y, at_x = np.meshgrid(y, x, indexing="ij")
        away = self.world(at_x, at_y) - values
        return float(np.nanmax(np.abs(away) / self.per_pixel[:, None, None], initial=0))

    @property
    def per_pixel(self) -> NDArray[np.float64]:
        """The change of each coordinate from a pixel to the next, the larger of x and y."""
        size = np.abs(self.matrix).max(axis=1)
        return np.asarray(np.where(size > 0, size, 1), float)

    @property
    def pixel_size(self) -> tuple[float, float]:
        """The length of a pixel along x and along y, in the coordinates' unit."""
        lengths = np.hypot(*self.matrix)
        return float(lengths[0]), float(lengths[1])

    def is_straight(self) -> bool:
        """Whether the first coordinate runs along x rather than y, and the second along y."""
        size = np.abs(self.matrix)
        return bool(size[0, 0] * size[1, 1] >= size[0, 1] * size[1, 0])

    def spans_the_sky(self) -> bool:
        """Whether both axes change the position on the sky, and not along the same line.

        The plane of a raster that does not move, or moves along its own slit, is one of time.
        """
        (ax, bx), (ay, by) = self.matrix
        long, high = self.pixel_size
        area = abs(ax * by - bx * ay)
        if not area > APART * long * high:
            return False
        spans = np.hypot(*(self.matrix * (self.x[-1] + 1, self.y[-1] + 1)))
        bent = np.hypot(*(self.rest.reshape(2, -1))).max()
        return bool(bent < spans.min() / 2)

    def is_of_the_sky(self) -> bool:
        """Whether it spans the sky, and each side can be labelled with a coordinate of its own."""
        return self.spans_the_sky() and min(self.shares()) > LEAST_SHARE

    def shares(self) -> tuple[float, float]:
        """The share of each coordinate's range along the side that shows it."""
        ranges = np.abs(self.matrix) * (self.x[-1] + 1, self.y[-1] + 1)
        sides = (0, 1) if self.is_straight() else (1, 0)
        first, second = (ranges[c, side] / ranges[c].sum() for c, side in enumerate(sides))
        return float(first), float(second)

    def world(self, x: ArrayLike, y: ArrayLike) -> NDArray[np.float64]:
        """Interpolate both coordinates at some pixels, also outside of the plane."""
        x, y = np.broadcast_arrays(np.asarray(x, float), np.asarray(y, float))
        plain = self.matrix @ np.stack([x.ravel(), y.ravel()]) + self.origin[:, None]
        left = np.stack([self._interpolated(rest, x.ravel(), y.ravel()) for rest in self.rest])
        world: NDArray[np.float64] = (plain + left).reshape(2, *x.shape)
        return world

    def _interpolated(
        self, rest: NDArray[np.float64], x: NDArray[np.float64], y: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        from scipy.ndimage import map_coordinates

        at = [np.interp(y, self.y, np.arange(len(self.y))),
              np.interp(x, self.x, np.arange(len(self.x)))]  # fmt: skip
        return np.asarray(map_coordinates(rest, at, order=1, mode="nearest"), float)

    def pixels(self, first: ArrayLike, second: ArrayLike) -> NDArray[np.float64]:
        """Find the pixels, x and y, at which the coordinates have some values."""
        first, second = np.broadcast_arrays(np.asarray(first, float), np.asarray(second, float))
        wanted = np.stack([first.ravel(), second.ravel()])
        inverse = np.linalg.pinv(self.matrix)
        at = inverse @ (wanted - self.origin[:, None])
        for _ in range(5):  # residuals are small: each iteration gains some digits
            at = at + inverse @ (wanted - self.world(*at))
        return np.asarray(at.reshape(2, *first.shape), float)

    def distance_to(self, other: PlaneGrid) -> float:
        """Measure how far another plane's grid is from this one, in pixels, at the corners."""
        corners = np.array([[0, self.x[-1], 0, self.x[-1]], [0, 0, self.y[-1], self.y[-1]]])
        away = np.abs(self.world(*corners) - other.world(*corners))
        return float(np.nanmax(away / self.per_pixel[:, None]))


class PlaneWCS(BaseLowLevelWCS):
    """The sky coordinates, longitude and latitude, of a plane, for astropy's axes."""

    pixel_n_dim = world_n_dim = 2
    array_shape: tuple[int, int] = (0, 0)
    world_axis_physical_types: Sequence[str] = ()
    world_axis_units: Sequence[str] = ()
    world_axis_names: Sequence[str] = ()

    def __init__(
        self,
        grid: PlaneGrid,
        frame: BaseCoordinateFrame,
        axes: tuple[WorldAxis, WorldAxis],
        shape: tuple[int, int],
    ) -> None:
        self.grid = grid
        self._frame = frame
        self._axes = axes
        self.array_shape = shape
        self.world_axis_physical_types = [axis.physical_type for axis in axes]
        self.world_axis_units = [axis.unit for axis in axes]
        self.world_axis_names = [axis.name for axis in axes]

    def pixel_to_world_values(self, *pixel_arrays: ArrayLike) -> tuple[NDArray[np.float64], ...]:
        """Evaluate longitude and latitude at pixels (x, y)."""
        return tuple(self.grid.world(*pixel_arrays))

    def world_to_pixel_values(self, *world_arrays: ArrayLike) -> tuple[NDArray[np.float64], ...]:
        """Find the pixels (x, y) at longitudes and latitudes."""
        lon, lat = (np.asarray(values, float) for values in world_arrays)
        middle = (n / 2 for n in self.array_shape[::-1])
        around = float(self.grid.world(*middle)[0])
        return tuple(self.grid.pixels(wrap(lon, self._axes[0].unit, around), lat))

    @property
    def world_axis_object_components(self) -> list[tuple[str, int, Callable[[SkyCoord], float]]]:
        """Both values, as parts of a `~astropy.coordinates.SkyCoord`."""
        lon, lat = map(u.Unit, self.world_axis_units)
        return [
            ("celestial", 0, lambda c: c.spherical.lon.to_value(lon)),
            ("celestial", 1, lambda c: c.spherical.lat.to_value(lat)),
        ]

    @property
    def world_axis_object_classes(self) -> dict[str, tuple[type, tuple[()], dict[str, object]]]:
        """A `~astropy.coordinates.SkyCoord` in the dataset's frame."""
        units = tuple(map(u.Unit, self.world_axis_units))
        return {"celestial": (SkyCoord, (), {"frame": self._frame, "unit": units})}


def _at_once(evaluate: Evaluate, planes: Sequence[_Lattice]) -> list[NDArray[np.float64]]:
    """Evaluate several lattices in one call: many points cost hardly more than few.

    Returns for each lattice both coordinates: (2, y.size, x.size).
    """
    meshes = [np.meshgrid(x, y) for x, y in planes]
    at_x, at_y = (np.concatenate([mesh[k].ravel() for mesh in meshes]) for k in range(2))
    ends = np.cumsum([mesh[0].size for mesh in meshes])[:-1]
    parts = np.split(evaluate(at_x, at_y), ends, axis=1)
    return [part.reshape(2, y.size, x.size) for part, (x, y) in zip(parts, planes, strict=True)]


def _finer(n: int, m: int, error: float, before: float) -> int:
    """Choose how many lattice points an axis of n pixels has next, after m of them.

    `error` is that of the m points, `before` that of the lattice before, with half as many.

    Where coordinates are smooth, the error of a lattice falls to a quarter with each halving. Where
    each pixel has its own, as the positions of a raster do, it stays: then all are needed.
    """
    if error <= TOLERANCE:
        return m
    return n if error > before / 2 else min(n, 2 * m - 1)


def sky_axes(subject: Subject, shown: ShownAxes) -> tuple[WorldAxis, WorldAxis] | None:
    """Find longitude and latitude of a plane whose axes both change one of them; None otherwise."""
    longitude = subject.world.of_kind("longitude")
    latitude = subject.world.of_kind("latitude")
    if longitude is None or latitude is None or shown.y is None:
        return None
    along = {*longitude.array_axes, *latitude.array_axes}
    return (longitude, latitude) if {shown.x, shown.y} <= along else None


def sky_grid(
    subject: Subject,
    shown: ShownAxes,
    at: Sequence[float],
    around: float | None = None,
    *,
    is_rough: bool = False,
) -> PlaneGrid:
    """Evaluate longitude and latitude of a plane of the sky, without a jump.

    Parameters
    ----------
    at : sequence of float
        The pixel of each array axis; those of the plane's own axes are ignored.
    around : float, optional
        Longitudes are at most half a turn from this one, by default that of the plane's middle.
    is_rough : bool
        Whether a few pixels are enough: they tell what the plane is of, not where its pixels are.
    """
    sky = sky_axes(subject, shown)
    assert sky is not None
    assert shown.y is not None
    shape = subject.world.shape
    y_axis = shown.y
    if around is None:
        middle = [(n - 1) / 2 if axis in shown.drawn else at[axis] for axis, n in enumerate(shape)]
        around = subject.world.middle_longitude(middle)

    def evaluate(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
        positions = [np.full(x.shape, pixel) for pixel in at]
        positions[shown.x], positions[y_axis] = x, y
        values = subject.world.values(*positions)
        lon, lat = (values[axis.index] for axis in sky)
        return np.stack([wrap(lon, sky[0].unit, around), lat])

    return PlaneGrid.of(evaluate, (shape[y_axis], shape[shown.x]), is_rough=is_rough)

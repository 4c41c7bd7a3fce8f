"""Interpolate a plane's world coordinates from a few pixels that are evaluated once.

A WCS of DKIST is asked thousands of times by whoever draws its axes, and takes seconds to answer
for every pixel of a raster. The coordinates themselves are smooth: a lattice of pixels says
them as well, and says by how much it can be wrong.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Self

import numpy as np
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.wcs.wcsapi import BaseLowLevelWCS

from dkist_virtual.cube.world_axes import wrap

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from dkist_virtual.cube.world_axes import WorldAxis

__all__ = ["PlaneGrid", "PlaneWCS"]

_FIRST: Final = 17
"""Lattice points along an axis to begin with."""
_MOST: Final = 2**16
"""Lattice points of a plane at the most."""
APART: Final = 0.1
"""Sine of the angle on the sky between two axes of a plane, at the least."""
LEAST_SHARE: Final = 0.2
"""Of the range of a coordinate, along the side where its values are written."""
TOLERANCE: Final = 0.05
"""How far, in pixels, an interpolated coordinate may lie from the WCS's own."""


@dataclass(frozen=True, eq=False)
class PlaneGrid:
    """Two coordinates of a plane as a matrix, and what that leaves on a lattice.

    Parameters
    ----------
    matrix : numpy.ndarray
        Shape (2, 2): both coordinates by pixels along x and y.
    origin : numpy.ndarray
        Shape (2,): both at pixel (0, 0) of the matrix.
    rest : numpy.ndarray
        Shape (2, y, x): what the matrix leaves, at the lattice's points.
    x, y : numpy.ndarray
        The lattice's pixels along each axis, ascending.
    error : float
        How far, in pixels, the interpolated coordinates were seen to lie from the WCS's own,
        between lattice points.
    """

    matrix: NDArray[np.float64]
    origin: NDArray[np.float64]
    rest: NDArray[np.float64]
    x: NDArray[np.float64]
    y: NDArray[np.float64]
    error: float

    @classmethod
    def of(
        cls,
        evaluate: Callable[[NDArray[np.float64], NDArray[np.float64]], NDArray[np.float64]],
        shape: tuple[int, int],
    ) -> Self:
        """Evaluate a plane's coordinates on as few pixels as say them well enough.

        Parameters
        ----------
        evaluate : callable
            Takes pixels along x and y, of one shape, and gives both coordinates: (2, *shape).
        shape : (y, x)
            Of the plane.
        """
        counts = [min(n, _FIRST) for n in shape]
        while True:
            y, x = (np.linspace(0, n - 1, m) for n, m in zip(shape, counts, strict=True))
            grid = cls._on(evaluate, x, y)
            # Half-way between lattice points along one axis, and on them along the other.
            errors = [0.0, 0.0]
            for axis, (n, m) in enumerate(zip(shape, counts, strict=True)):
                if m < n:
                    between = [y, x]
                    between[axis] = _pixels_between(between[axis])
                    errors[axis] = grid._off(evaluate, between[1], between[0])
            worst = max(errors)
            finer = [min(n, 2 * m - 1) if e > TOLERANCE else m
                     for n, m, e in zip(shape, counts, errors, strict=True)]  # fmt: skip
            if finer == counts or finer[0] * finer[1] > _MOST:
                return cls(grid.matrix, grid.origin, grid.rest, grid.x, grid.y, worst)
            counts = finer

    @classmethod
    def _on(cls, evaluate: Any, x: NDArray[np.float64], y: NDArray[np.float64]) -> Self:
        at_y, at_x = np.meshgrid(y, x, indexing="ij")
        values = evaluate(at_x, at_y)
        design = np.stack([at_x.ravel(), at_y.ravel(), np.ones(at_x.size)], axis=1)
        known = np.isfinite(values).all(axis=0).ravel()
        fit = np.linalg.lstsq(design[known], values.reshape(2, -1).T[known], rcond=None)[0]
        rest = values - (design @ fit).T.reshape(values.shape)
        return cls(fit[:2].T, fit[2], rest, x, y, np.nan)

    def _off(self, evaluate: Any, x: NDArray[np.float64], y: NDArray[np.float64]) -> float:
        at_y, at_x = np.meshgrid(y, x, indexing="ij")
        away = self.world(at_x, at_y) - evaluate(at_x, at_y)
        return float(np.nanmax(np.abs(away) / self.per_pixel[:, None, None], initial=0))

    @property
    def per_pixel(self) -> NDArray[np.float64]:
        """How much each coordinate changes from a pixel to the next, the larger of both ways."""
        size = np.abs(self.matrix).max(axis=1)
        return np.asarray(np.where(size > 0, size, 1), float)

    @property
    def pixel_size(self) -> tuple[float, float]:
        """Length of a pixel along x and along y, in the coordinates' unit."""
        lengths = np.hypot(*self.matrix)
        return float(lengths[0]), float(lengths[1])

    def is_straight(self) -> bool:
        """Whether the first coordinate runs along x rather than y, and the second along y."""
        size = np.abs(self.matrix)
        return bool(size[0, 0] * size[1, 1] >= size[0, 1] * size[1, 0])

    def is_of_the_sky(self) -> bool:
        """Whether both axes go somewhere on the sky, and not along the same line.

        A raster that does not move, or along its own slit, is a plane of something else: of time.
        """
        (ax, bx), (ay, by) = self.matrix
        long, high = self.pixel_size
        area = abs(ax * by - bx * ay)
        if not area > APART * long * high:
            return False
        spans = np.hypot(*(self.matrix * (self.x[-1] + 1, self.y[-1] + 1)))
        bent = np.hypot(*(self.rest.reshape(2, -1))).max()
        return bool(bent < spans.min() / 2 and min(self.shares()) > LEAST_SHARE)

    def shares(self) -> tuple[float, float]:
        """How much of the range of each coordinate lies along the side that it runs along."""
        ranges = np.abs(self.matrix) * (self.x[-1] + 1, self.y[-1] + 1)
        sides = (0, 1) if self.is_straight() else (1, 0)
        first, second = (ranges[c, side] / ranges[c].sum() for c, side in enumerate(sides))
        return float(first), float(second)

    def world(self, x: Any, y: Any) -> NDArray[np.float64]:
        """Both coordinates at some pixels, also outside of the plane."""
        x, y = np.broadcast_arrays(np.asarray(x, float), np.asarray(y, float))
        plain = self.matrix @ np.stack([x.ravel(), y.ravel()]) + self.origin[:, None]
        left = np.stack([self._interpolated(rest, x.ravel(), y.ravel()) for rest in self.rest])
        world: NDArray[np.float64] = (plain + left).reshape(2, *x.shape)
        return world

    def _interpolated(
        self, rest: NDArray[np.float64], x: NDArray[np.float64], y: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        from scipy.ndimage import map_coordinates  # type: ignore[import-untyped]  # no stubs

        at = [np.interp(y, self.y, np.arange(len(self.y))),
              np.interp(x, self.x, np.arange(len(self.x)))]  # fmt: skip
        return np.asarray(map_coordinates(rest, at, order=1, mode="nearest"), float)

    def pixels(self, first: Any, second: Any) -> NDArray[np.float64]:
        """The pixels, x and y, at which the coordinates have some values."""
        first, second = np.broadcast_arrays(np.asarray(first, float), np.asarray(second, float))
        wanted = np.stack([first.ravel(), second.ravel()])
        inverse = np.linalg.pinv(self.matrix)
        at = inverse @ (wanted - self.origin[:, None])
        for _ in range(5):  # the matrix is nearly all of it: each turn gains some digits
            at = at + inverse @ (wanted - self.world(*at))
        return np.asarray(at.reshape(2, *first.shape), float)

    def moved(self, other: PlaneGrid) -> float:
        """How far another plane's grid lies from this one, in pixels, at the corners."""
        corners = np.array([[0, self.x[-1], 0, self.x[-1]], [0, 0, self.y[-1], self.y[-1]]])
        away = np.abs(self.world(*corners) - other.world(*corners))
        return float(np.nanmax(away / self.per_pixel[:, None]))


def _pixels_between(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """A whole pixel between each point and the next."""
    return np.unique(np.round((points[:-1] + points[1:]) / 2))


class PlaneWCS(BaseLowLevelWCS):  # type: ignore[misc]  # astropy comes without types
    """The sky coordinates of a plane, as astropy's axes ask for them.

    Parameters
    ----------
    grid : PlaneGrid
        Of longitude and latitude, in that order.
    frame : astropy coordinate frame
    axes : tuple of WorldAxis
        Both.
    shape : (y, x)
    """

    def __init__(
        self,
        grid: PlaneGrid,
        frame: Any,
        axes: tuple[WorldAxis, WorldAxis],
        shape: tuple[int, int],
    ) -> None:
        self.grid = grid
        self._frame = frame
        self._axes = axes
        self._units = [u.Unit(axis.unit) for axis in axes]
        self._shape = shape

    @property
    def pixel_n_dim(self) -> int:
        """Two."""
        return 2

    @property
    def world_n_dim(self) -> int:
        """Two."""
        return 2

    @property
    def array_shape(self) -> tuple[int, int]:
        """The plane's shape, y first."""
        return self._shape

    @property
    def world_axis_physical_types(self) -> list[str]:
        """Those of the dataset's own WCS."""
        return [axis.physical_type for axis in self._axes]

    @property
    def world_axis_units(self) -> list[str]:
        """Of longitude and latitude."""
        return [axis.unit for axis in self._axes]

    @property
    def world_axis_names(self) -> list[str]:
        """Of longitude and latitude."""
        return [axis.name for axis in self._axes]

    def pixel_to_world_values(self, *pixel_arrays: Any) -> tuple[Any, ...]:
        """Longitude and latitude at pixels (x, y)."""
        return tuple(self.grid.world(*pixel_arrays))

    def world_to_pixel_values(self, *world_arrays: Any) -> tuple[Any, ...]:
        """Pixels (x, y) at longitudes and latitudes."""
        lon, lat = (np.asarray(values, float) for values in world_arrays)
        middle = (n / 2 for n in self._shape[::-1])
        around = float(self.grid.world(*middle)[0])
        return tuple(self.grid.pixels(wrap(lon, self._axes[0].unit, around), lat))

    @property
    def world_axis_object_components(self) -> list[tuple[str, int, Callable[[Any], Any]]]:
        """What both are of a `~astropy.coordinates.SkyCoord`."""
        lon, lat = self._units
        return [
            ("celestial", 0, lambda c: c.spherical.lon.to_value(lon)),
            ("celestial", 1, lambda c: c.spherical.lat.to_value(lat)),
        ]

    @property
    def world_axis_object_classes(self) -> dict[str, Any]:
        """A `~astropy.coordinates.SkyCoord` in the dataset's frame."""
        return {"celestial": (SkyCoord, (), {"frame": self._frame, "unit": tuple(self._units)})}

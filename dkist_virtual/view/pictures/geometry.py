"""Find where the pixels of a picture are, in the coordinates of its axes.

A picture of the sky has Tx to the right and Ty upwards, whatever way the detector was turned. Any
other picture has an axis of the array on each side, at the true places of its pixels.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeAlias

import numpy as np
from astropy import units as u
from astropy.coordinates import StokesCoord
from sunpy.coordinates import Helioprojective

from dkist_virtual.cube.world_axes import wrap
from dkist_virtual.plot.planes import change_along, labels_of, shown_axes
from dkist_virtual.plot.sky_grid import sky_axes, sky_grid
from dkist_virtual.plot.ticks import coordinate_along, name_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

    from dkist_virtual.cube.world_axes import WorldAxis
    from dkist_virtual.plot.planes import Subject
    from dkist_virtual.plot.sky_grid import PlaneGrid
    from dkist_virtual.view.state.state import Bounds

    Floats: TypeAlias = NDArray[np.float64]

__all__ = ["Geometry", "Scale", "Separable", "Sky", "coordinate_name", "depends_on", "drawn_unit",
           "geometry_of", "sky_name"]  # fmt: skip

_JULIAN_1970: Final = 2440587.5
_DAY_MS: Final = 86_400_000
_CROOKED: Final = 0.1
"""How much a slit may be turned from a coordinate that still is its scale: a sine."""


@dataclass(frozen=True, eq=False)
class Scale:
    """The coordinate along one axis of an array, as an axis of a picture.

    Parameters
    ----------
    label : str
        Name and unit.
    values : numpy.ndarray
        One for each pixel, ascending or descending: the WCS's, milliseconds since 1970 in UTC, or
        the numbers of pixels.
    kind : {"time", "wavelength", "stokes", "distance", "pixel", ...}
        What they are.
    letters : tuple of str
        Of Stokes parameters, one for each pixel; empty for others.
    """

    label: str
    values: Floats
    kind: str
    letters: tuple[str, ...] = ()

    @cached_property
    def edges(self) -> Floats:
        """The ends of the pixels: half-way between their values."""
        values = self.values
        if len(values) == 1:
            half = {"time": 500.0, "wavelength": 0.005}.get(self.kind, 0.5)
            return np.array([values[0] - half, values[0] + half])
        inner = (values[1:] + values[:-1]) / 2
        return np.concatenate([[2 * values[0] - inner[0]], inner, [2 * values[-1] - inner[-1]]])

    def pixels(self, at: ArrayLike) -> Floats:
        """Find the pixels at some values; -1 and n before and after all of them."""
        edges, n = self.edges, len(self.values)
        places, ends = np.arange(n + 1) - 0.5, (-1.0, float(n))
        if edges[0] > edges[-1]:
            edges, places, ends = edges[::-1], places[::-1], ends[::-1]
        found: Floats = np.interp(np.asarray(at, float), edges, places, *ends)
        return found

    def at(self, pixels: ArrayLike) -> Floats:
        """Return the values at pixels, which may be fractions; those of the ends beyond them."""
        places = np.arange(len(self.values) + 1) - 0.5
        found: Floats = np.interp(np.asarray(pixels, float), places, self.edges)
        return found

    @property
    def ends(self) -> tuple[float, float]:
        """The smallest and the largest value at an edge."""
        low, high = sorted((float(self.edges[0]), float(self.edges[-1])))
        return low, high


class Geometry(Protocol):
    """Where a plane's pixels are; coordinates are those of the picture's axes: right, and up."""

    @property
    def labels(self) -> tuple[str, str]: ...  # noqa: D102
    @property
    def shape(self) -> tuple[int, int]: ...  # noqa: D102
    @property
    def bounds(self) -> Bounds: ...  # noqa: D102
    @property
    def has_equal_scales(self) -> bool: ...  # noqa: D102
    def pixels(self, x: ArrayLike, y: ArrayLike) -> Floats: ...  # noqa: D102
    def world(self, column: ArrayLike, row: ArrayLike) -> Floats: ...  # noqa: D102


@dataclass(frozen=True, eq=False)
class Separable:
    """Two axes of an array, each with its own scale: columns to the right, rows upwards."""

    x: Scale
    y: Scale

    has_equal_scales = False

    @property
    def labels(self) -> tuple[str, str]:
        """Names and units of both axes."""
        return self.x.label, self.y.label

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return len(self.y.values), len(self.x.values)

    @property
    def bounds(self) -> Bounds:
        """Left, right, bottom and top of all pixels."""
        return (*self.x.ends, *self.y.ends)

    def pixels(self, x: ArrayLike, y: ArrayLike) -> Floats:
        """Find the columns and rows at some coordinates."""
        return np.stack(np.broadcast_arrays(self.x.pixels(x), self.y.pixels(y)))

    def world(self, column: ArrayLike, row: ArrayLike) -> Floats:
        """Return both coordinates of some columns and rows."""
        return np.stack(np.broadcast_arrays(self.x.at(column), self.y.at(row)))


NARROWEST: Final = 12.0
"""A picture of the sky that would be this many times longer than wide fills its axes instead."""


@dataclass(frozen=True, eq=False)
class Sky:
    """A plane of the sky, turned and mirrored as its WCS says.

    Parameters
    ----------
    grid : PlaneGrid
        Longitude and latitude of columns and rows, in the WCS's unit.
    labels : (str, str)
    unit : str
        Of the picture's coordinates: arcsec where the frame is helioprojective.
    scale : float
        How many of them the WCS's unit is.
    """

    grid: PlaneGrid
    labels: tuple[str, str]
    unit: str
    scale: float = 1.0

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return round(self.grid.y[-1]) + 1, round(self.grid.x[-1]) + 1

    @cached_property
    def bounds(self) -> Bounds:
        """Left, right, bottom and top of all pixels."""
        ny, nx = self.shape
        along_x, along_y = np.linspace(-0.5, nx - 0.5, 17), np.linspace(-0.5, ny - 0.5, 17)
        x = np.concatenate([along_x, along_x, np.full(17, -0.5), np.full(17, nx - 0.5)])
        y = np.concatenate([np.full(17, -0.5), np.full(17, ny - 0.5), along_y, along_y])
        lon, lat = self.world(x, y)
        return float(lon.min()), float(lon.max()), float(lat.min()), float(lat.max())

    @property
    def has_equal_scales(self) -> bool:
        """Whether an arcsec to the right is as long as one upwards: unless it were a thread."""
        left, right, bottom, top = self.bounds
        return 1 / NARROWEST < (top - bottom) / (right - left) < NARROWEST

    @cached_property
    def bent(self) -> float:
        """Pixels by which the plane differs from a straight one."""
        return float(np.nanmax(np.abs(self.grid.rest / self.grid.per_pixel[:, None, None])))

    def pixels(self, x: ArrayLike, y: ArrayLike) -> Floats:
        """Find the columns and rows at some coordinates."""
        # Through a wrap: a picture may be moved beyond half a turn.
        longitude = np.asarray(x, float)
        around = (self.bounds[0] + self.bounds[1]) / 2
        longitude = np.asarray(wrap(longitude, self.unit, around)) / self.scale
        return self.grid.pixels(longitude, np.asarray(y, float) / self.scale)

    def world(self, column: ArrayLike, row: ArrayLike) -> Floats:
        """Return both coordinates of some columns and rows."""
        return self.grid.world(column, row) * self.scale


def sky_name(subject: Subject, one: WorldAxis) -> str:
    """Name a coordinate of the sky as solar physicists do."""
    if isinstance(subject.world.frame, Helioprojective):
        return "Tx" if one.kind == "longitude" else "Ty"
    return name_of(one)


def coordinate_name(subject: Subject, one: WorldAxis) -> str:
    """Name a coordinate by its kind, as the axes of pictures, sliders and other panels do."""
    is_of_sky = one.kind in ("longitude", "latitude")
    return sky_name(subject, one) if is_of_sky else name_of(one)


def drawn_unit(subject: Subject, unit: str) -> tuple[str, float]:
    """Choose the unit in which coordinates of the sky are drawn, and how many the WCS's one is."""
    if not isinstance(subject.world.frame, Helioprojective):
        return unit, 1.0
    return "arcsec", float(u.Unit(unit).to(u.arcsec))


def depends_on(subject: Subject, axes: tuple[int, int]) -> tuple[int, ...]:
    """Find the other array axes along which the coordinates of a plane change."""
    along = [set(one.array_axes) for one in subject.world.axes if set(one.array_axes) & set(axes)]
    return tuple(sorted(set().union(*along) - set(axes)))


def geometry_of(
    subject: Subject, axes: tuple[int, int], at: Sequence[float], around: float | None = None
) -> Sky | Separable:
    """Evaluate the coordinates of a plane.

    Parameters
    ----------
    axes : (int, int)
        The array axes of columns and rows.
    at : sequence of float
        The pixel of each array axis; those of the plane's own are ignored.
    around : float, optional
        Longitudes are at most half a turn from this one.
    """
    world = subject.world
    names: list[str | None] = [None] * len(world.shape)
    names[axes[0]], names[axes[1]] = "x", "y"
    shown = shown_axes(world, names)
    sky = sky_axes(subject, shown)
    if sky is not None and min(world.shape[axis] for axis in axes) > 1:
        grid = sky_grid(subject, shown, at, around)
        if grid.spans_the_sky():
            unit, scale = drawn_unit(subject, sky[0].unit)
            right, up = (f"{sky_name(subject, one)} [{unit}]" for one in sky)
            return Sky(grid, (right, up), unit, scale)
    middle = [
        (n - 1) / 2 if axis in axes else float(pixel)
        for axis, (n, pixel) in enumerate(zip(world.shape, at, strict=True))
    ]
    indices = labels_of(world, axes)
    return Separable(*(scale_along(subject, axis, indices[axis], middle) for axis in axes))


def scale_along(subject: Subject, axis: int, index: int | None, at: Sequence[float]) -> Scale:
    """Evaluate the coordinate along an axis; pixel numbers where none tells them apart.

    Parameters
    ----------
    index : int or None
        Of the world coordinate.
    at : sequence of float
        The pixel of each array axis.
    """
    world = subject.world
    n = world.shape[axis]
    along = coordinate_along(world, axis, index, at)
    if along is None or (n > 1 and not along.monotonic) or not np.isfinite(along.values).all():
        name = subject.axis_names[axis] if along is None else coordinate_name(subject, along.axis)
        return Scale(f"{name} [pixel]", np.arange(n, dtype=float), "pixel")
    one = along.axis
    if one.kind == "stokes":
        letters = tuple(str(StokesCoord(round(value)).symbol) for value in along.values)
        return Scale("Stokes", np.arange(n, dtype=float), "stokes", letters)
    if one.kind == "time":
        times = world.time(along.values).utc
        ms = (times.jd1 - _JULIAN_1970) * _DAY_MS + times.jd2 * _DAY_MS
        return Scale("time [UTC]", np.asarray(ms, float), "time")
    if one.kind in ("longitude", "latitude"):
        return _on_the_sky(subject, axis, along.values, one, at)
    return Scale(along.label, along.values, one.kind)


def _on_the_sky(
    subject: Subject, axis: int, values: Floats, one: WorldAxis, at: Sequence[float]
) -> Scale:
    """Make the scale of a slit: a coordinate of the sky, or the distance where it is crooked."""
    world = subject.world
    lon, lat = world.of_kind("longitude"), world.of_kind("latitude")
    unit, scale = drawn_unit(subject, one.unit)
    plain = Scale(f"{sky_name(subject, one)} [{unit}]", values * scale, one.kind)
    if lon is None or lat is None:
        return plain
    per_pixel = [change_along(world, part.index, axis) for part in (lon, lat)]
    main = 0 if one.kind == "longitude" else 1
    if per_pixel[1 - main] <= _CROOKED * float(np.hypot(per_pixel[0], per_pixel[1])):
        return plain
    pixels = np.arange(len(values), dtype=float)
    positions: list[Any] = [np.full(len(values), float(pixel)) for pixel in at]
    positions[axis] = pixels
    both = world.values(*positions)
    x = wrap(both[lon.index], lon.unit, world.middle_longitude(at))
    y = both[lat.index]
    x = x * np.cos((y * u.Unit(lat.unit)).to_value(u.rad))
    steps = np.hypot(np.diff(x), np.diff(y))
    if not (steps > 0).all():
        return Scale(f"{sky_name(subject, one)} [pixel]", pixels, "pixel")
    sign = 1.0 if values[-1] > values[0] else -1.0
    away = sign * np.concatenate([[0.0], np.cumsum(steps)]) * scale
    return Scale(f"distance along the slit [{unit}]", away - away.min(), "distance")

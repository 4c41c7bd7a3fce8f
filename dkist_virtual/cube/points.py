"""Read world coordinates that a user gives, as values of the axes of a WCS."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import astropy.units as u
import numpy as np
from astropy.coordinates import BaseCoordinateFrame, SkyCoord, SpectralCoord, StokesCoord

from dkist_virtual.cube.world_axes import Values, wrap
from dkist_virtual.errors import OutsideError, SelectionError
from dkist_virtual.times import EXPECTED, read_time, read_time_range

if TYPE_CHECKING:
    from dkist_virtual.cube.world_axes import Kind, World, WorldAxis

__all__ = [
    "COORDINATES",
    "Values",
    "Wanted",
    "as_points",
    "axes_of",
    "flatten",
    "wanted_of",
    "with_times",
]

_SAME_DAY: Final = 0.5
"""Days between a dataset and a coordinate that gets the dataset's observer, at most."""


@dataclass(frozen=True, eq=False)
class Wanted:
    """Points in coordinates that belong together.

    Parameters
    ----------
    axes : tuple of WorldAxis
        One; longitude and latitude for the sky.
    points : numpy.ndarray
        Shape (axes, points), in the units of the axes.
    around : float
        Longitudes are wrapped around this one, so that they have no jump within the array.
    """

    axes: tuple[WorldAxis, ...]
    points: Values
    around: float = 0.0

    @property
    def array_axes(self) -> tuple[int, ...]:
        """The axes of the array along which one of them changes, ascending."""
        return tuple(sorted({on for axis in self.axes for on in axis.array_axes}))

    @property
    def label(self) -> str:
        """Their names."""
        return " and ".join(axis.label for axis in self.axes)

    @property
    def rounding(self) -> Values:
        """The error of values that were computed or printed: shape (axes,)."""
        return np.array(
            [_rounding(axis, of) for axis, of in zip(self.axes, self.points, strict=True)]
        )

    @property
    def low(self) -> Values:
        """The least value, of each axis."""
        return np.asarray(self.points.min(axis=1) - self.rounding)

    @property
    def high(self) -> Values:
        """The largest value, of each axis."""
        return np.asarray(self.points.max(axis=1) + self.rounding)

    def values(self, world: World, at: list[Values] | None = None) -> Values:
        """Compute the coordinates on a grid, see `World.along`: shape (axes, *lengths)."""
        found = world.along(self.axes, at)
        return np.array(
            [
                wrap(of, axis.unit, self.around) if axis.kind == "longitude" else of
                for axis, of in zip(self.axes, found, strict=True)
            ]
        )

    def distance(self, away: Values, point: Values) -> Values:
        """Compute the squared distance from a point, given the difference in each coordinate."""
        scale = [1.0] * len(self.axes)
        kinds = [axis.kind for axis in self.axes]
        if kinds == ["longitude", "latitude"]:  # meridians come closer towards the poles
            scale[0] = float(np.cos(u.Quantity(point[1], self.axes[1].unit)))
        shape = (-1,) + (1,) * (away.ndim - 1)
        return np.asarray(np.square(away * np.reshape(scale, shape)).sum(axis=0))


def _rounding(axis: WorldAxis, values: Values) -> float:
    if axis.kind == "time":
        return float((1 * u.ms).to_value(axis.unit or "s"))  # moments are printed to that
    if axis.kind in ("longitude", "latitude"):
        return 1e-12 * float((360 * u.deg).to_value(axis.unit))
    return 1e-9 * float(np.abs(values).max(initial=0))


# Points -------------------------------------------------------------------------------------


def flatten(point: object) -> Iterable[object]:
    """Give the coordinates of a point, alone or in lists, without None, which means any."""
    if isinstance(point, (list, tuple)):
        for part in point:
            yield from flatten(part)
    elif point is not None:
        yield point


def with_times(point: object) -> object:
    """Convert a point to what ndcube takes: each moment, of any type, to an astropy Time."""
    if isinstance(point, (list, tuple)):
        return [with_times(part) for part in point]
    moment = None if isinstance(point, (u.Quantity, SkyCoord, str)) else read_time(point)
    return point if moment is None else moment


def _axis(world: World, kind: Kind, given: object) -> WorldAxis:
    axis = world.of_kind(kind)
    if axis is None:
        raise SelectionError(f"{given!r}: {_no_such(world, kind)}")
    return axis


def _no_such(world: World, what: str) -> str:
    there = ", ".join(f"{axis.label} ({axis.physical_type})" for axis in world.axes)
    return f"the WCS of this selection has no axis of {what}: it has {there or 'none'}"


def _coordinate(world: World, given: Any) -> tuple[tuple[WorldAxis, ...], Values]:
    """Return the axes of a coordinate, and its values in their units: shape (axes, points)."""
    if isinstance(given, BaseCoordinateFrame) and given.has_data:
        given = SkyCoord(given)
    if isinstance(given, SkyCoord):
        return _sky(world, given)
    if isinstance(given, StokesCoord):
        return (_axis(world, "stokes", given),), np.array(given.value, float, ndmin=2)
    if isinstance(given, u.Quantity):  # a SpectralCoord too
        return _quantity(world, given)
    if isinstance(given, str) and (letter := _stokes(given)) is not None:
        return (_axis(world, "stokes", given),), np.array(letter, float, ndmin=2)
    try:
        moment = read_time(given)
    except ValueError as error:
        text = isinstance(given, str)
        raise SelectionError(
            f"{given!r} is not a Stokes parameter or a moment: expected a letter such as I, Q, U "
            "or V, or text such as '2022-10-24T19:00:00'"
            if text
            else str(error)
        ) from None
    if moment is not None:
        return (_axis(world, "time", given),), np.atleast_2d(world.seconds(moment.ravel()))
    raise SelectionError(
        f"{given!r} is not a world coordinate: expected a SkyCoord, SpectralCoord, Stokes letter, "
        f"Quantity, or {EXPECTED}. Pixels are selected with ds[...]"
    )


def _stokes(given: str) -> float | None:
    try:
        return float(StokesCoord(given.upper()).value)
    except Exception:  # noqa: BLE001  # astropy's, for a text that is not a symbol
        return None


# The sky ------------------------------------------------------------------------------------


def _sky(world: World, given: SkyCoord) -> tuple[tuple[WorldAxis, ...], Values]:
    there = _in_frame(world, given)
    parts: dict[Kind, u.Quantity] = {
        "longitude": there.spherical.lon,
        "latitude": there.spherical.lat,
    }
    kinds = [kind for kind in parts if world.of_kind(kind) is not None]
    for kind in set(parts) - set(kinds):
        _check_dropped(world, kind, parts[kind], given)
    axes = tuple(_axis(world, kind, given) for kind in kinds)
    values = [np.atleast_1d(parts[axis.kind].to_value(axis.unit)) for axis in axes]
    return axes, np.array(values)


def _check_dropped(world: World, kind: Kind, angle: u.Quantity, given: SkyCoord) -> None:
    """Refuse a position that differs from a coordinate that an index dropped."""
    there = world.dropped
    axis = None if there is None else there.of_kind(kind)
    if there is None or axis is None:
        return
    (here,) = there.along([axis])
    away = wrap(angle.to_value(axis.unit) - here, axis.unit)
    if not (np.abs(away) <= _rounding(axis, away)).all():
        raise OutsideError(
            f"{given!r}: {axis.label} is {there.text(axis, float(here))} everywhere here"
        )


def _in_frame(world: World, given: SkyCoord) -> SkyCoord:
    """Transform a position to the frame of a dataset."""
    if world.frame is None:
        raise SelectionError(
            f"{given!r}: the WCS of this selection does not name the frame of its longitudes and "
            "latitudes"
            if world.of_kind("longitude") or world.of_kind("latitude")
            else f"{given!r}: {_no_such(world, 'longitude')}"
        )
    given = given.ravel()
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", ".*off-disk coordinates")  # an error, below
            there = _complete(given, world.frame).transform_to(world.frame)
    except SelectionError:
        raise
    except Exception as error:  # of many kinds, by the frame
        raise SelectionError(
            f"{given!r}: cannot be transformed to the frame of the dataset, {world.frame!r}: "
            f"{error}"
        ) from error
    before, after = (
        np.isfinite(of.spherical.lon) & np.isfinite(of.spherical.lat) for of in (given, there)
    )
    if not after.all():
        what = "is not finite in the frame of the dataset" if before.all() else "is not finite"
        raise SelectionError(f"{given[~after]!r}: {what}. {_OFF_DISK}")
    return there


_OFF_DISK: Final = (
    "Seen from another place, or at another time, a position off the disk of the Sun needs a "
    'distance, which it does not have: crop, at and reproject_to assume one with screen="spherical"'
    ", around the dataset's observer. Or let sunpy assume one wherever such a position is "
    "transformed: with sunpy.coordinates.SphericalScreen(coordinate.observer, only_off_disk=True): "
    "ds.crop(coordinate). PlanarScreen does so too"
)


def _complete(given: SkyCoord, frame: BaseCoordinateFrame) -> SkyCoord:
    """Give a coordinate the dataset's time and observer, where it has none."""
    own = given.frame
    shared = set(own.frame_attributes) & set(frame.frame_attributes)
    ours = {
        name: value
        for name in ("obstime", "observer")
        if name in shared and (value := getattr(frame, name)) is not None
    }
    missing = {name: value for name, value in ours.items() if getattr(own, name) is None}
    if "observer" in missing and "obstime" not in missing and "obstime" in ours:
        apart = (own.obstime - ours["obstime"]).to_value(u.day)
        if np.abs(apart).max() > _SAME_DAY:
            raise SelectionError(
                f"{given!r}: has no observer, and is of another day than the dataset, whose "
                f"coordinates are of {ours['obstime'].isot}. Give its observer, such as "
                "SkyCoord(..., observer='earth')"
            )
        missing = ours
    return SkyCoord(own.replicate(**missing)) if missing else given


# Other coordinates --------------------------------------------------------------------------


def _quantity(world: World, given: u.Quantity) -> tuple[tuple[WorldAxis, ...], Values]:
    if isinstance(given, SpectralCoord) or given.unit.is_equivalent(u.m, u.spectral()):
        axis = world.of_kind("wavelength")
        if axis is not None:
            return (axis,), np.atleast_2d(given.ravel().to_value(axis.unit, u.spectral()))
    fitting = [
        axis for axis in world.axes if axis.unit and given.unit.is_equivalent(u.Unit(axis.unit))
    ]
    if len(fitting) == 1:
        return (fitting[0],), np.atleast_2d(given.ravel().to_value(fitting[0].unit))
    if fitting:
        raise SelectionError(
            f"{given!r}: could be each of {', '.join(axis.label for axis in fitting)}. Positions "
            "on the sky are given as a SkyCoord"
        )
    raise SelectionError(f"{given!r}: {_no_such(world, str(given.unit.physical_type))}")


def axes_of(world: World, given: object) -> tuple[WorldAxis, ...]:
    """Return the axes of a coordinate."""
    return _coordinate(world, given)[0]


def wanted_of(world: World, given: Iterable[object]) -> list[Wanted]:
    """Group coordinates by their axes, those with the fewest pixels first."""
    points: dict[tuple[WorldAxis, ...], list[Values]] = {}
    for coordinate in given:
        axes, values = _coordinate(world, coordinate)
        if not np.isfinite(values).all():
            raise SelectionError(f"{coordinate!r}: is not finite in the frame of the dataset")
        points.setdefault(axes, []).append(values)
    wanted = []
    for axes, parts in points.items():
        around, whole = 0.0, np.hstack(parts)
        for place, axis in enumerate(axes):
            if axis.kind == "longitude":
                around = world.middle_longitude()
                whole[place] = wrap(whole[place], axis.unit, around)
        wanted.append(Wanted(axes, whole, around))
    return sorted(wanted, key=lambda one: math.prod(world.shape[a] for a in one.array_axes))


COORDINATES: Final = ("wavelength", "stokes", "time", "sky")
"""The keywords of `as_points`."""


def as_points(
    *,
    wavelength: u.Quantity | str | None = None,
    stokes: str | None = None,
    time: object = None,
    sky: SkyCoord | None = None,
) -> dict[Kind, object]:
    """Read coordinates by name, each of one value; wavelength and time may be texts.

    A sunpy TimeRange gives its middle.
    """
    given: dict[Kind, object] = {
        "stokes": stokes,
        "wavelength": _wavelength(wavelength),
        "time": _moment(time),
        "longitude": sky,
    }
    return {kind: value for kind, value in given.items() if value is not None}


def _wavelength(given: u.Quantity | str | None) -> u.Quantity | None:
    if not isinstance(given, str):
        return given
    try:
        return u.Quantity(given)
    except (TypeError, ValueError):
        raise SelectionError(
            f"wavelength = {given!r}: expected such as '630.25 nm', or an astropy Quantity"
        ) from None


def _moment(given: object) -> object:
    if (ends := read_time_range(given)) is not None:
        return ends[0] + (ends[1] - ends[0]) / 2
    if not isinstance(given, str):
        return given
    try:
        return read_time(given)
    except ValueError:
        raise SelectionError(
            f"time = {given!r}: expected such as '2022-10-24T19:00:00', or {EXPECTED}"
        ) from None

"""Read the world coordinates that somebody asks for, as values of the axes of a WCS."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import astropy.units as u
import numpy as np
from astropy.coordinates import BaseCoordinateFrame, SkyCoord, SpectralCoord, StokesCoord

from dkist_virtual.cube.world_axes import wrapped
from dkist_virtual.errors import OutsideError, SelectionError
from dkist_virtual.times import EXPECTED, read_time, read_time_range

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dkist_virtual.cube.world_axes import Kind, World, WorldAxis

__all__ = [
    "COORDINATES",
    "Values",
    "Wanted",
    "as_points",
    "axes_of",
    "flat",
    "wanted_of",
    "with_times",
]

Values: TypeAlias = "NDArray[np.floating[Any]]"

_SAME_DAY: Final = 0.5
"""Days between a dataset and a coordinate whose observer is taken to be the dataset's."""


@dataclass(frozen=True, eq=False)
class Wanted:
    """What is asked of coordinates that belong together.

    Parameters
    ----------
    axes : tuple of WorldAxis
        One; longitude and latitude for the sky.
    points : numpy.ndarray
        Shape (axes, points), in the units of the axes.
    around : float
        Longitudes are at most half a turn from this one, so that they have no jump inside of the
        array.
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
        """What to call them."""
        return " and ".join(axis.label for axis in self.axes)

    @property
    def rounding(self) -> Values:
        """How far a value may be off, as it was computed or printed: shape (axes,)."""
        return np.array(
            [_rounding(axis, of) for axis, of in zip(self.axes, self.points, strict=True)]
        )

    @property
    def low(self) -> Values:
        """The least value asked for, of each axis."""
        return np.asarray(self.points.min(axis=1) - self.rounding)

    @property
    def high(self) -> Values:
        """The largest value asked for, of each axis."""
        return np.asarray(self.points.max(axis=1) + self.rounding)

    def values(self, world: World, at: list[NDArray[np.floating[Any]]] | None = None) -> Values:
        """The coordinates on a grid of pixels, see `World.along`: shape (axes, *lengths)."""
        found = world.along(self.axes, at)
        return np.array(
            [
                wrapped(of, axis.unit, self.around) if axis.kind == "longitude" else of
                for axis, of in zip(self.axes, found, strict=True)
            ]
        )

    def distance(self, away: Values, point: Values) -> Values:
        """The squared distance from a point of what is `away` from it in each coordinate."""
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


# What was asked for -------------------------------------------------------------------------


def flat(point: Any) -> Iterable[Any]:
    """The coordinates of a point, alone or in a list; None stands for any."""
    if isinstance(point, (list, tuple)):
        for part in point:
            yield from flat(part)
    elif point is not None:
        yield point


def with_times(point: Any) -> Any:
    """A point as ndcube takes it: with each moment, of whatever type, as an astropy Time."""
    if isinstance(point, (list, tuple)):
        return [with_times(part) for part in point]
    moment = None if isinstance(point, (u.Quantity, SkyCoord, str)) else read_time(point)
    return point if moment is None else moment


def _axis(world: World, kind: Kind, given: Any) -> WorldAxis:
    axis = world.of_kind(kind)
    if axis is None:
        raise SelectionError(f"{given!r}: {_no_such(world, kind)}")
    return axis


def _no_such(world: World, what: str) -> str:
    there = ", ".join(f"{axis.label} ({axis.physical_type})" for axis in world.axes)
    return f"the WCS of this selection has no axis of {what}: it has {there or 'none'}"


def _coordinate(world: World, given: Any) -> tuple[tuple[WorldAxis, ...], Values]:
    """Which axes a coordinate is one of, and its values in their units: shape (axes, points)."""
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
            f"{given!r} is no Stokes parameter, and no moment: expected a letter such as I, Q, U "
            "or V, or text such as '2022-10-24T19:00:00'"
            if text
            else str(error)
        ) from None
    if moment is not None:
        return (_axis(world, "time", given),), np.atleast_2d(world.seconds(moment.ravel()))
    raise SelectionError(
        f"{given!r} is no world coordinate: expected a SkyCoord, SpectralCoord, Stokes letter, "
        f"Quantity, or {EXPECTED}. Pixels are selected with ds[...]"
    )


def _stokes(given: str) -> float | None:
    try:
        return float(StokesCoord(given.upper()).value)
    except Exception:  # noqa: BLE001  # whatever astropy raises of a text that is no symbol
        return None


# The sky ------------------------------------------------------------------------------------


def _sky(world: World, given: SkyCoord) -> tuple[tuple[WorldAxis, ...], Values]:
    there = _in_frame(world, given)
    parts: dict[Kind, Any] = {"longitude": there.spherical.lon, "latitude": there.spherical.lat}
    kinds = [kind for kind in parts if world.of_kind(kind) is not None]
    for kind in set(parts) - set(kinds):
        _check_held(world, kind, parts[kind], given)
    axes = tuple(_axis(world, kind, given) for kind in kinds)
    values = [np.atleast_1d(parts[axis.kind].to_value(axis.unit)) for axis in axes]
    return axes, np.array(values)


def _check_held(world: World, kind: Kind, angle: Any, given: SkyCoord) -> None:
    """Refuse a position that is not where an index holds one of its coordinates."""
    held = None if world.held is None else world.held.of_kind(kind)
    if world.held is None or held is None:
        return
    (here,) = world.held.along([held])
    away = wrapped(angle.to_value(held.unit) - here, held.unit)
    if not (np.abs(away) <= _rounding(held, away)).all():
        raise OutsideError(
            f"{given!r}: {held.label} is {world.held.text(held, float(here))} everywhere here"
        )


def _in_frame(world: World, given: SkyCoord) -> SkyCoord:
    """A position in the frame of a dataset."""
    if world.frame is None:
        raise SelectionError(
            f"{given!r}: the WCS of this selection does not say in which frame its longitudes and "
            "latitudes are"
            if world.of_kind("longitude") or world.of_kind("latitude")
            else f"{given!r}: {_no_such(world, 'longitude')}"
        )
    given = given.ravel()
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", ".*off-disk coordinates")  # said below, as an error
            there = _completed(given, world.frame).transform_to(world.frame)
    except SelectionError:
        raise
    except Exception as error:  # each frame has conditions of its own
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
    "distance, which it does not have. Let sunpy assume one wherever such a position is "
    "transformed: with sunpy.coordinates.SphericalScreen(coordinate.observer, only_off_disk=True): "
    "ds.crop(coordinate). PlanarScreen does so too"
)


def _completed(given: SkyCoord, frame: Any) -> SkyCoord:
    """Let a coordinate be seen as the dataset is, where it does not say when and from where."""
    own = given.frame
    asked = set(own.frame_attributes) & set(frame.frame_attributes)
    ours = {
        name: value
        for name in ("obstime", "observer")
        if name in asked and (value := getattr(frame, name)) is not None
    }
    missing = {name: value for name, value in ours.items() if getattr(own, name) is None}
    if "observer" in missing and "obstime" not in missing and "obstime" in ours:
        apart = (own.obstime - ours["obstime"]).to_value(u.day)
        if np.abs(apart).max() > _SAME_DAY:
            raise SelectionError(
                f"{given!r}: says no observer, and is of another day than the dataset, whose "
                f"coordinates are of {ours['obstime'].isot}. Say from where it was seen, such as "
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


def axes_of(world: World, given: Any) -> tuple[WorldAxis, ...]:
    """Which axes a coordinate is one of."""
    return _coordinate(world, given)[0]


def wanted_of(world: World, given: Iterable[Any]) -> list[Wanted]:
    """Coordinates together that are of the same axes, those with the fewest pixels first."""
    points: dict[tuple[WorldAxis, ...], list[Values]] = {}
    for coordinate in given:
        axes, values = _coordinate(world, coordinate)
        if not np.isfinite(values).all():
            raise SelectionError(f"{coordinate!r}: is not finite in the frame of the dataset")
        points.setdefault(axes, []).append(values)
    wanted = [_together(world, axes, np.hstack(values)) for axes, values in points.items()]
    return sorted(wanted, key=lambda one: math.prod(world.shape[a] for a in one.array_axes))


def _together(world: World, axes: tuple[WorldAxis, ...], points: Values) -> Wanted:
    around = 0.0
    for place, axis in enumerate(axes):
        if axis.kind == "longitude":
            around = world.middle_longitude()
            points[place] = wrapped(points[place], axis.unit, around)
    return Wanted(axes, points, around)


COORDINATES: Final = ("wavelength", "stokes", "time", "sky")
"""The keywords of `as_points`."""


def as_points(
    *, wavelength: Any = None, stokes: Any = None, time: Any = None, sky: Any = None
) -> dict[Kind, Any]:
    """Coordinates by name, each of one value; wavelength and time may be texts.

    Of a sunpy TimeRange its middle.

    Raises
    ------
    SelectionError
        A text that is not what its name says.
    """
    given: dict[Kind, Any] = {
        "stokes": stokes,
        "wavelength": _wavelength(wavelength),
        "time": _moment(time),
        "longitude": sky,
    }
    return {kind: value for kind, value in given.items() if value is not None}


def _wavelength(given: Any) -> Any:
    if not isinstance(given, str):
        return given
    try:
        return u.Quantity(given)
    except (TypeError, ValueError):
        raise SelectionError(
            f"wavelength = {given!r}: expected such as '630.25 nm', or an astropy Quantity"
        ) from None


def _moment(given: Any) -> Any:
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

"""Find the point of each other dataset that belongs to the main one's.

It is nearest in time, at the same wavelength and Stokes parameter where the other dataset has them,
and at the same place on the sky, as the telescope sees it at that time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from astropy import units as u
from astropy.coordinates import SkyCoord

from dkist_virtual.cube.world_axes import wrap

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from dkist_virtual.cube.world_axes import World
    from dkist_virtual.plot.planes import Subject
    from dkist_virtual.view.source import Source
    from dkist_virtual.view.state.state import Point, ViewState

__all__ = ["InStep", "in_step", "key_of", "place_of", "places_in"]

NEAR: Final = np.timedelta64(60, "s")
"""Datasets that are further apart in time do not overlap."""


@dataclass(frozen=True)
class InStep:
    """The point of another dataset.

    Parameters
    ----------
    point : Point
        A pixel for each axis of its array.
    after : float or None
        Seconds by which its time is after that of the main point; None where the datasets do not
        overlap in time, or the time of one is not known: the dataset stays at its own point.
    said : str
        That in words.
    """

    point: Point
    after: float | None
    said: str


def key_of(sources: Sequence[Source], state: ViewState) -> tuple[int, ...]:
    """Return what of a state the point in other datasets depends on: all but the place on the sky.

    The time of a raster depends on its step.
    """
    source = sources[0]
    clock, roles = source.clocks[state.tile], source.roles
    axes = {roles.stokes, roles.wavelength, *(() if clock is None else clock.axes)}
    known = sorted(axis for axis in axes if axis is not None)
    return (state.tile, *(state.point[axis] for axis in known))


def in_step(sources: Sequence[Source], state: ViewState, number: int) -> InStep:
    """Find the point of a dataset; that of the main one, number 0, is the state's.

    It evaluates coordinates, and belongs into a thread.
    """
    if number == 0:
        return InStep(state.point, 0.0, "")
    main, other = sources[0], sources[number]
    subject, roles = main.subjects[state.tile], other.roles
    point = _same_wavelength(subject, state.point, other, other.middle())
    point = _same_stokes(subject, state.point, other, point)
    clock, moment = other.clocks[0], _moment(main, state)
    after, said = None, "its time is not known, or that of the main dataset: not in step"
    if clock is not None and moment is not None:
        fixed = {roles.wavelength, roles.stokes}
        spans = main.clocks[state.tile].span(state.point), clock.span(point)  # type: ignore[union-attr]
        own = clock.at(point)
        if spans[0] and spans[1] and _apart(spans[0], spans[1]) <= NEAR:
            point = clock.nearest(moment, point, [one for one in clock.axes if one not in fixed])
            own = clock.at(point)
            after = float((own - moment).astype("m8[us]").astype("i8")) / 1e6
            said = f"{_text(own)} UTC, {_after_text(after)}"
        elif not np.isnat(own):
            said = f"{_text(own)} UTC: no overlap in time with the main dataset, not in step"
    return InStep(_same_place(subject, state.point, other, point), after, said)


# Time ---------------------------------------------------------------------------------------


def _moment(main: Source, state: ViewState) -> np.datetime64 | None:
    clock = main.clocks[state.tile]
    moment = np.datetime64("NaT", "us") if clock is None else clock.at(state.point)
    return None if np.isnat(moment) else moment


def _apart(
    one: tuple[np.datetime64, np.datetime64], other: tuple[np.datetime64, np.datetime64]
) -> np.timedelta64:
    """Measure the time between two spans; negative where they overlap."""
    return max(other[0] - one[1], one[0] - other[1])


def _text(moment: np.datetime64) -> str:
    return str(np.datetime_as_string(moment, unit="ms")).replace("T", " ")


def _after_text(seconds: float) -> str:
    if abs(seconds) < 0.0005:
        return "at the same time"
    size, words = abs(seconds), "after" if seconds > 0 else "before"
    if size < 120:
        return f"{size:.4g} s {words}"
    if size < 7200:
        return f"{size / 60:.1f} min {words}"
    return f"{size / 3600:.1f} h {words}"


# Wavelength and Stokes parameter ------------------------------------------------------------


def _set(point: Point, axis: int, pixel: int) -> Point:
    return (*point[:axis], pixel, *point[axis + 1 :])


def _value(subject: Subject, kind: Any, point: Point) -> tuple[float, World, Any] | None:
    """Return a coordinate of a pixel, also one that is the same everywhere."""
    axis = subject.world.of_kind(kind)
    if axis is not None:
        return float(subject.world.values(*map(float, point))[axis.index]), subject.world, axis
    if kind in subject.held:
        world, axis, value = subject.held[kind]
        return float(value), world, axis
    dropped = subject.world.dropped
    axis = None if dropped is None else dropped.of_kind(kind)
    if dropped is None or axis is None:
        return None
    return float(dropped.along([axis])[0]), dropped, axis


def _along(other: Source, axis: int, kind: Any, point: Point) -> NDArray[np.float64]:
    world = other.subject.world
    one = world.of_kind(kind)
    assert one is not None
    at: list[Any] = list(map(float, point))
    at[axis] = np.arange(world.shape[axis], dtype=float)
    return np.asarray(world.values(*at)[one.index], float)


def _same_wavelength(subject: Subject, at: Point, other: Source, point: Point) -> Point:
    axis, found = other.roles.wavelength, _value(subject, "wavelength", at)
    if axis is None or found is None:
        return point
    values = _along(other, axis, "wavelength", point)
    one = other.subject.world.of_kind("wavelength")
    assert one is not None
    wanted = (found[0] * u.Unit(found[2].unit)).to_value(one.unit, u.spectral())
    steps = np.abs(np.diff(values))
    half = float(np.median(steps)) / 2 if len(steps) else 0.0
    if not values.min() - half <= wanted <= values.max() + half:
        return point
    return _set(point, axis, int(np.argmin(np.abs(values - wanted))))


def _same_stokes(subject: Subject, at: Point, other: Source, point: Point) -> Point:
    axis, found = other.roles.stokes, _value(subject, "stokes", at)
    if axis is None or found is None:
        return point
    same = np.flatnonzero(np.round(_along(other, axis, "stokes", point)) == round(found[0]))
    return _set(point, axis, int(same[0])) if len(same) else point


# Place on the sky -----------------------------------------------------------------------------


def place_of(world: World, point: Sequence[float]) -> tuple[float, float] | None:
    """Return longitude and latitude of a pixel, in the unit of the longitude; None without both."""
    axes = world.of_kind("longitude"), world.of_kind("latitude")
    if axes[0] is None or axes[1] is None:
        return None
    values = world.values(*map(float, point))
    lon, lat = float(values[axes[0].index]), float(values[axes[1].index])
    return (lon, lat) if np.isfinite([lon, lat]).all() else None


def places_in(
    source: World, target: World, places: NDArray[np.float64]
) -> NDArray[np.float64] | None:
    """Convert longitudes and latitudes, of shape (2, n), to those of another dataset.

    Directions in which a telescope looks are the same in two frames of the same kind: what is seen
    at the same time needs no rotation of the Sun. None where they cannot be converted.
    """
    one, other = source.of_kind("longitude"), target.of_kind("longitude")
    if one is None or other is None or source.frame is None or target.frame is None:
        return None
    if type(source.frame) is type(target.frame):
        return np.asarray(places * u.Unit(one.unit).to(other.unit), float)
    try:
        sky = SkyCoord(*places, unit=one.unit, frame=source.frame).transform_to(target.frame)
    except Exception:  # noqa: BLE001  # astropy's own: a frame without an observer
        return None
    parts = sky.spherical
    return np.stack([parts.lon.to_value(other.unit), parts.lat.to_value(other.unit)])


def _same_place(subject: Subject, at: Point, other: Source, point: Point) -> Point:
    """Choose the pixels, along axes of the sky whose pixels are of one time, that are nearest."""
    world, clock = other.subject.world, other.clocks[0]
    place = place_of(subject.world, at)
    axes = [
        axis for axis in other.roles.sky or ()
        if axis not in (() if clock is None else clock.axes)
    ]  # fmt: skip
    if place is None or not axes:
        return point
    wanted = places_in(subject.world, world, np.array(place).reshape(2, 1))
    longitude, latitude = world.of_kind("longitude"), world.of_kind("latitude")
    if wanted is None or longitude is None or latitude is None:
        return point
    found = [float(pixel) for pixel in point]
    # Coordinates are nearly straight: a few steps of Newton's method.
    for _ in range(4):
        positions = [np.array([pixel] * (len(axes) + 1)) for pixel in found]
        for number, axis in enumerate(axes, 1):
            positions[axis][number] += 1
        values = world.values(*positions)
        lon, lat = values[longitude.index], values[latitude.index]
        lon = wrap(lon - wanted[0], longitude.unit)
        lat = lat - wanted[1]
        if not np.isfinite([*lon, *lat]).all():
            return point
        change = np.array([lon[1:] - lon[0], lat[1:] - lat[0]])
        step = np.linalg.lstsq(change, -np.array([lon[0], lat[0]]), rcond=None)[0]
        for axis, by in zip(axes, step, strict=True):
            found[axis] += float(by)
    pixels = {axis: round(found[axis]) for axis in axes}
    if all(0 <= pixel < other.shape[axis] for axis, pixel in pixels.items()):
        for axis, pixel in pixels.items():
            point = _set(point, axis, pixel)
    return point

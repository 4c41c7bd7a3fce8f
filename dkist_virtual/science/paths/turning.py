"""Turn positions with the surface of the Sun, to the moments of a dataset."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from dkist_virtual.errors import DatasetError, SelectionError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from astropy.coordinates import BaseCoordinateFrame
    from astropy.time import Time
    from numpy.typing import NDArray

    from dkist_virtual.cube.world_axes import World
    from dkist_virtual.science.paths.image import Image

__all__ = [
    "LAWS", "Clock", "check_frame", "check_law", "clock_of", "epoch_of", "is_seen", "moments_of",
    "turned",
]  # fmt: skip

LAWS: Final = ("howard", "snodgrass", "allen", "rigid")
"""The laws of rotation that sunpy knows."""

_APART: Final = 600.0
"""Seconds between moments for which positions are computed; in between they are interpolated, which
differs by less than 0.001 arcsec."""


_DEPTH: Final = 1000.0
"""Kilometres behind the limb at which a position is seen, as surfaces are not exact."""


@dataclass(frozen=True, eq=False)
class Clock:
    """When the images of a dataset were taken.

    Parameters
    ----------
    seconds : numpy.ndarray
        With the carried axes of the dataset; one pixel long along those on which it is the same.
    knots : numpy.ndarray
        Seconds for which positions are known, ascending.
    """

    seconds: NDArray[np.float64]
    knots: NDArray[np.float64]

    @property
    def turning(self) -> tuple[int, ...]:
        """The carried axes along which time passes."""
        return tuple(axis for axis, n in enumerate(self.seconds.shape) if n > 1)

    def between(self, at: Sequence[int], values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Interpolate values that are known at the knots, at a pixel of the carried axes."""
        index = tuple(0 if n == 1 else i for i, n in zip(at, self.seconds.shape, strict=True))
        moment = self.seconds[index]
        if len(self.knots) == 1:
            return values[0]  # type: ignore[no-any-return]
        first = int(np.clip(np.searchsorted(self.knots, moment) - 1, 0, len(self.knots) - 2))
        share = (moment - self.knots[first]) / (self.knots[first + 1] - self.knots[first])
        return values[first] * (1 - share) + values[first + 1] * share  # type: ignore[no-any-return]


def check_law(what: str, rotate: bool | str) -> str | None:
    """Return the name of the law of rotation; None where nothing is to be turned.

    Raises
    ------
    DatasetError
        A law that sunpy does not know.
    """
    if rotate is True:
        return LAWS[0]
    if rotate is False or rotate is None:
        return None
    if rotate not in LAWS:
        raise DatasetError(
            f"{what}: rotate={rotate!r}: expected True or False, or one of sunpy's laws of "
            f"rotation, {', '.join(map(repr, LAWS))}"
        )
    return rotate


def check_frame(image: Image) -> BaseCoordinateFrame:
    """Return the frame of a dataset's sky, which has an observer and a time.

    Raises
    ------
    SelectionError
        It has none.
    """
    frame = image.frame
    observer = getattr(frame, "observer", None)
    if observer is None or isinstance(observer, str) or getattr(frame, "obstime", None) is None:
        raise SelectionError(
            f"{image.what}: rotate= turns positions with the Sun, which needs an observer and a "
            f"time, and the frame of this dataset's sky is {frame!r}: rotate=False leaves them "
            "where they are"
        )
    return frame


def clock_of(image: Image, epoch: Time) -> Clock:
    """Return when the images of a dataset were taken, each at the middle of its own times.

    Raises
    ------
    SelectionError
        It has no times.
    """
    from astropy import units as u

    for world in image.world.parts:
        axis = world.of_kind("time")
        if axis is None:
            continue
        (values,) = world.along([axis])
        start = float((world.time(0.0) - epoch).to_value(u.s))
        values = start + values * u.Unit(axis.unit or "s").to(u.s)
        on = axis.array_axes if world is image.world else ()
        sky = tuple(n for n, one in enumerate(on) if one in image.sky)
        values = (values.min(axis=sky) + values.max(axis=sky)) / 2 if sky else values
        shape = [image.world.shape[one] if one in on else 1 for one in image.carried]
        seconds = np.asarray(values, float).reshape(shape)
        first, last = float(np.nanmin(seconds)), float(np.nanmax(seconds))
        n = int(np.ceil((last - first) / _APART)) + 1
        return Clock(seconds, np.linspace(first, last, max(n, 2)) if last > first
                     else np.array([first]))  # fmt: skip
    raise _no_times(image)


def moments_of(world: World) -> tuple[Time, Time] | None:
    """Return the first and the last moment of a dataset; None where it has no time."""
    for part in world.parts:
        axis = part.of_kind("time")
        if axis is not None:
            (values,) = part.along([axis])
            return part.time(float(np.nanmin(values))), part.time(float(np.nanmax(values)))
    return None


def epoch_of(image: Image, given: Any) -> Time:
    """Return when positions are where they were given: at their own time, or the first image's."""
    from astropy.time import Time

    own = getattr(given, "obstime", None)
    if own is not None:
        return Time(own if own.isscalar else own[0], scale="utc", format="isot")
    span = moments_of(image.world)
    if span is None:
        raise _no_times(image)
    return span[0]


def _no_times(image: Image) -> SelectionError:
    return SelectionError(
        f"{image.what}: rotate= needs the time of each image, and this selection has none"
    )


def turned(
    image: Image, sky: NDArray[np.float64], epoch: Time, clock: Clock, law: str
) -> NDArray[np.float64]:
    """Turn positions with the surface of the Sun to the moments of a clock.

    By sunpy's `propagate_with_solar_surface`; the observer moves as the telescope does.

    Parameters
    ----------
    image : Image
    sky : numpy.ndarray
        Longitude and latitude, arcsec, last, as the telescope sees them at the epoch.
    epoch : Time
    clock : Clock
    law : str
        Of the rotation.

    Returns
    -------
    numpy.ndarray
        Shape (knots, *positions, 2): as the telescope sees them. NaN off the limb, which does not
        turn, and behind it.
    """
    from astropy import units as u
    from astropy.coordinates import SkyCoord
    from sunpy.coordinates import propagate_with_solar_surface

    from dkist_virtual.science.alignment.reference import frame_at

    frame = image.frame
    source = frame_at(frame, epoch)
    start = SkyCoord(sky[..., 0], sky[..., 1], unit="arcsec", frame=source)
    found = []
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*off-disk coordinates")
        with propagate_with_solar_surface(law):
            for knot in clock.knots:
                there = start.transform_to(frame_at(frame, epoch + knot * u.s))
                lon, lat = there.spherical.lon, there.spherical.lat
                now = np.stack([lon.wrap_at("180d").arcsec, lat.arcsec], axis=-1)
                now[~is_seen(there)] = np.nan
                found.append(now)
    return np.array(found)


def is_seen(there: Any) -> NDArray[np.bool_]:
    """Return which positions an observer sees: those that the Sun does not hide.

    sunpy's `is_visible` takes a depth of a metre for hidden, and without rotation a transformation
    to another time moves what is on the surface by kilometres, as the Sun itself moves.
    """
    from astropy import units as u
    from sunpy.coordinates import Helioprojective

    distance = there.spherical.distance
    if not isinstance(there.frame, Helioprojective) or not distance.unit.is_equivalent(u.km):
        return np.ones(there.shape, bool)
    away = there.observer.radius
    edge = np.sqrt(away**2 - there.rsun**2)
    beside = np.arccos(np.cos(there.Tx) * np.cos(there.Ty)) > np.arcsin(there.rsun / away)
    seen: NDArray[np.bool_] = np.asarray(beside | (distance < edge + _DEPTH * u.km))
    return seen

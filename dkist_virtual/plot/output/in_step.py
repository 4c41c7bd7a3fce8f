"""Find for each frame the nearest in time of other datasets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import astropy.units as u
import numpy as np
from astropy.time import Time, TimeDelta

from dkist_virtual.errors import SelectionError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from dkist_virtual.plot.output.scene import Scene

__all__ = ["Nearest", "nearest", "seconds_along", "tolerance_seconds"]

_EPOCH: Final = Time("2000-01-01T00:00:00", scale="utc")


def seconds_along(plot: Scene, axis: int | None) -> NDArray[np.float64]:
    """Compute the times of the pixels of an axis, with the other sliders where they are.

    Seconds after the beginning of the year 2000, leap seconds counted; NaN where a time is unknown.
    They are those of the middle of what is drawn. Of shape (n,), or (1,) without an axis.

    Raises
    ------
    SelectionError
        There is no time in the dataset.
    """
    world, positions = plot.subject.world, list[Any](plot._point())
    n = 1
    if axis is not None:
        n = world.shape[axis]
        positions[axis] = np.arange(n)
    one = world.of_kind("time")
    values: ArrayLike
    if one is None:
        if "time" not in plot.subject.held:
            raise SelectionError(
                f"beside=: {plot.subject.title or 'a dataset'} has no coordinate of time, by which "
                "frames are shown together"
            )
        world, one, values = plot.subject.held["time"]
    else:
        values = world.values(*positions)[one.index]
    plain = np.array(np.broadcast_to(np.asarray(values, float), (n,)))
    known = np.isfinite(plain)
    plain[known] = (world.time(plain[known]) - _EPOCH).sec
    return plain


def tolerance_seconds(given: object) -> float | None:
    """Read a tolerance; raises TypeError if it is not a duration, ValueError if it is negative."""
    if given is None:
        return None
    if isinstance(given, TimeDelta):
        given = given.to(u.s)
    try:
        seconds = float(u.Quantity(given).to_value(u.s))
    except (TypeError, u.UnitsError):
        raise TypeError(f"tolerance = {given!r}: expected a duration, such as 30 * u.s") from None
    if not seconds >= 0:
        raise ValueError(f"tolerance = {given!s}: expected a duration that is not negative")
    return seconds


@dataclass(frozen=True)
class Nearest:
    """The frames of another dataset that are shown with those of the first.

    `pixels` has one for each frame along the other's time axis; None where none is near enough.
    `tolerance` is in seconds.
    """

    pixels: tuple[int | None, ...]
    tolerance: float


def nearest(
    wanted: NDArray[np.float64], there: NDArray[np.float64], tolerance: float | None
) -> Nearest:
    """Find the pixels whose times are nearest to those wanted; of two as near the earlier pixel.

    By default the tolerance is the median step of the times that are there.
    """
    known = np.flatnonzero(np.isfinite(there))
    if tolerance is None:
        steps = np.diff(np.sort(there[known]))
        tolerance = float(np.median(steps)) if len(steps) else np.inf
    found: list[int | None] = []
    for moment in wanted:
        away = np.abs(there[known] - moment)
        near = np.isfinite(moment) and len(known) and away.min() <= tolerance
        found.append(int(known[np.argmin(away)]) if near else None)
    return Nearest(tuple(found), tolerance)

"""Tell when the pixels of a dataset were taken: of a point, and along an axis.

In a raster each column of a picture has a time of its own, and in a scan through a line each
wavelength. Times are those of the WCS.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from itertools import product
from typing import TYPE_CHECKING, Any, Final, Self

import numpy as np

from dkist_virtual.fits.threads import ThreadLock
from dkist_virtual.times import dates_of_times

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from dkist_virtual.cube.world_axes import World
    from dkist_virtual.plot.planes import Subject
    from dkist_virtual.view.state.state import Point

__all__ = ["Clock", "TimesAlong"]

AT_ONCE: Final = 256
"""Pixels whose times are computed at once: others wait for the WCS meanwhile."""
FIRST: Final = 64
"""Times of a long row that are known first."""
CACHED: Final = 64
"""Rows of times that are remembered."""
GAP: Final = 3.0
"""Usual steps: times that are further apart have a gap between them."""


@dataclass(frozen=True, eq=False)
class Clock:
    """When the pixels of a dataset were taken.

    Parameters
    ----------
    world : World
        Of the array, or that of a single time.
    axes : tuple of int
        The array axes that are longer than one pixel and along which the time changes.
    fixed : numpy.datetime64 or None
        The time of all pixels, where it is one.
    """

    world: World
    axes: tuple[int, ...]
    fixed: np.datetime64 | None = None
    _rows: OrderedDict[tuple[int, ...], Any] = field(default_factory=OrderedDict, repr=False)
    _lock: ThreadLock = field(default_factory=ThreadLock, repr=False)

    @classmethod
    def of(cls, subject: Subject) -> Self | None:
        """Describe the times of a dataset; None where its coordinates have none."""
        world = subject.world
        axis = world.of_kind("time")
        if axis is not None:
            axes = tuple(one for one in axis.array_axes if world.shape[one] > 1)
            return cls(world, axes)
        if "time" in subject.held:
            held, _, value = subject.held["time"]
            return cls(held, (), _dates(held, np.array([value]))[0])
        dropped = world.dropped
        axis = None if dropped is None else dropped.of_kind("time")
        if dropped is None or axis is None:
            return None
        return cls(dropped, (), _dates(dropped, np.atleast_1d(dropped.along([axis])[0]))[0])

    def at(self, point: Sequence[int]) -> np.datetime64:
        """Return the time of a pixel in UTC, NaT where it is not known."""
        if self.fixed is not None:
            return self.fixed
        for axis in self.axes:
            known = self._rows.get(self._key(axis, point))
            if known is not None:
                one: np.datetime64 = known[point[axis]]
                return one
        found: np.datetime64 = self._values([np.array([float(pixel)]) for pixel in point])[0]
        return found

    def along(self, axis: int, point: Sequence[int]) -> NDArray[np.datetime64]:
        """Return the times along an axis through a point, NaT where they are not known.

        It computes hundreds of coordinates a second at most, and belongs into a thread.
        """
        *_, row = self.parts_along(axis, point)
        assert row is not None
        return row

    def parts_along(
        self, axis: int, point: Sequence[int]
    ) -> Iterator[NDArray[np.datetime64] | None]:
        """Compute the times along an axis in parts: the last one is the whole row.

        A long row has some times from one end to the other first, and then None while others are
        computed: a reader that waits no more can leave there.
        """
        n = self.world.shape[axis]
        if self.fixed is not None:
            yield np.full(n, self.fixed)
            return
        key = self._key(axis, point)
        row: Any = self._rows.get(key)
        if row is None:
            row = np.full(n, np.datetime64("NaT", "us"))
            first, every = np.arange(n), -(-n // FIRST)
            if n > AT_ONCE:
                first = np.union1d(first[::every], [n - 1])
            left = np.setdiff1d(np.arange(n), first)
            chunks = [first, *(left[k : k + AT_ONCE] for k in range(0, len(left), AT_ONCE))]
            for number, some in enumerate(chunks):
                at = [np.array([float(pixel)]) for pixel in point]
                at[axis] = some.astype(float)
                row[some] = self._values(list(np.broadcast_arrays(*at)))
                if number < len(chunks) - 1:
                    yield None if number else row.copy()
            row.flags.writeable = False
            with self._lock:
                self._rows[key] = row
                while len(self._rows) > CACHED:
                    self._rows.popitem(last=False)
        yield row

    def span(self, point: Sequence[int]) -> tuple[np.datetime64, np.datetime64] | None:
        """Return the first and the last time of all pixels, by those at the ends of axes.

        `point` has a pixel for each axis along which the time does not change. None where no time
        is known.
        """
        corners = []
        for ends in product(*((0, self.world.shape[axis] - 1) for axis in self.axes)):
            corner = list(point)
            for axis, pixel in zip(self.axes, ends, strict=True):
                corner[axis] = pixel
            corners.append(self.at(corner))
        known = [moment for moment in corners if not np.isnat(moment)]
        return (min(known), max(known)) if known else None

    def nearest(self, moment: np.datetime64, point: Sequence[int], axes: Sequence[int]) -> Point:
        """Return the pixel nearest in time among those of some axes through a point.

        The slowest axis is chosen first, by when each of its pixels begins and ends: the repeat,
        and within it the step. It computes rows of times, and belongs into a thread.
        """
        found = list(point)
        for number, axis in enumerate(slow := self._slowest_first(point, axes)):
            ends = []
            for last in (False, True):
                for faster in slow[number + 1 :]:
                    found[faster] = self.world.shape[faster] - 1 if last else 0
                ends.append(self.along(axis, found))
            begins, finishes = np.fmin(*ends), np.fmax(*ends)
            zero = np.timedelta64(0, "us")
            away = np.maximum(begins - moment, zero) + np.maximum(moment - finishes, zero)
            if np.isnat(away).all():
                return tuple(point)
            found[axis] = int(np.nanargmin(np.where(np.isnat(away), np.inf, away.astype(float))))
        return tuple(found)

    def _slowest_first(self, point: Sequence[int], axes: Sequence[int]) -> list[int]:
        """Sort axes by the time from a pixel to the next, the longest first."""

        def step(axis: int) -> float:
            ends = [list(point), list(point)]
            ends[0][axis], ends[1][axis] = 0, self.world.shape[axis] - 1
            taken = self.at(ends[1]) - self.at(ends[0])
            seconds = 0.0 if np.isnat(taken) else abs(float(taken.astype("m8[us]").astype("i8")))
            return seconds / max(self.world.shape[axis] - 1, 1)

        return sorted((axis for axis in axes if axis in self.axes), key=step, reverse=True)

    def _key(self, axis: int, point: Sequence[int]) -> tuple[int, ...]:
        return (axis, *(point[other] for other in self.axes if other != axis))

    def _values(self, at: list[NDArray[np.float64]]) -> NDArray[np.datetime64]:
        axis = self.world.of_kind("time")
        assert axis is not None
        return _dates(self.world, self.world.values(*at)[axis.index])


def _dates(world: World, values: NDArray[Any]) -> NDArray[np.datetime64]:
    known = np.isfinite(values)
    dates = np.asarray(dates_of_times(world.time(np.where(known, values, 0)), "time"))
    return np.where(known, dates, np.datetime64("NaT", "us"))


@dataclass(frozen=True, eq=False)
class TimesAlong:
    """The times of the pixels of one axis.

    Parameters
    ----------
    axis : int
    times : array of datetime64
        NaT where they are not known.
    """

    axis: int
    times: NDArray[np.datetime64]

    def runs(self) -> list[tuple[np.datetime64, np.datetime64]]:
        """Return the first and last time of each run without a gap."""
        times = np.sort(self.times[~np.isnat(self.times)])
        if not len(times):
            return []
        steps = np.diff(times).astype("m8[us]").astype(float)
        usual = float(np.median(steps[steps > 0])) if (steps > 0).any() else 0.0
        ends = np.flatnonzero(steps > GAP * usual) if len(steps) > 1 else np.array([], int)
        firsts, lasts = [0, *(ends + 1).tolist()], [*ends.tolist(), len(times) - 1]
        return [(times[first], times[last]) for first, last in zip(firsts, lasts, strict=True)]

    def nearest(self, moment: np.datetime64) -> int | None:
        """Return the pixel nearest in time, the first of several; None where none is known."""
        away = np.abs((self.times - moment).astype("m8[us]").astype("i8")).astype(float)
        away[np.isnat(self.times)] = np.inf
        return int(np.argmin(away)) if np.isfinite(away).any() else None

    def between(self, first: np.datetime64, last: np.datetime64) -> tuple[int, int] | None:
        """Return the first pixel, and the one after the last, that have all of a time range."""
        low, high = min(first, last), max(first, last)
        with np.errstate(invalid="ignore"):
            inside = np.flatnonzero((self.times >= low) & (self.times <= high))
        return (int(inside[0]), int(inside[-1]) + 1) if len(inside) else None

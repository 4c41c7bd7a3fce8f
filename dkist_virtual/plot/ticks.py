"""Place ticks at round values of a world coordinate, on axes that count pixels."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from astropy.coordinates import StokesCoord
from matplotlib import dates
from matplotlib.axis import Axis
from matplotlib.ticker import Formatter, Locator, MaxNLocator, NullFormatter, ScalarFormatter

from dkist_virtual.cube.world_axes import wrap
from dkist_virtual.plot.figure_text import in_figure

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from numpy.typing import ArrayLike, NDArray

    from dkist_virtual.cube.world_axes import World, WorldAxis

__all__ = [
    "Coordinate",
    "DataFormatter",
    "ValueLocator",
    "coordinate_along",
    "name_of",
    "room_for_ticks",
    "set_ticks",
]

_DATES: Any = dates  # in parts without types

_EVALUATED: Final = 257
"""Pixels along an axis at which a coordinate is evaluated; it is interpolated in between."""

_JULIAN_1970: Final = 2440587.5

_WORDS: Final = {"stokes": "Stokes", "time": "time", "wavelength": "wavelength"}


def name_of(axis: WorldAxis) -> str:
    """Name a coordinate by its kind: labels of files are not reliable."""
    if axis.kind in ("longitude", "latitude"):
        system = axis.physical_type.removeprefix("custom:").split(".")[1:-1]
        return in_figure(" ".join([*system, axis.kind]))
    return _WORDS.get(axis.kind) or in_figure(axis.label)


@dataclass(frozen=True, eq=False)
class Coordinate:
    """A world coordinate along one axis of an array.

    `values` has one for each pixel, in the WCS's unit; seconds for time.
    """

    axis: WorldAxis
    world: World
    values: NDArray[np.float64]

    @cached_property
    def plotted(self) -> NDArray[np.float64]:
        """The values in matplotlib's units: days for time."""
        if self.axis.kind != "time":
            return self.values
        known = np.isfinite(self.values)
        times = self.world.time(np.where(known, self.values, 0)).utc
        # A leap second has no datetime, but a number of days.
        days = (times.jd1 - _JULIAN_1970) + times.jd2 + _DATES.date2num(np.datetime64("1970-01-01"))
        # matplotlib can write dates of these years, and those near them.
        first, last = (_DATES.date2num(np.datetime64(year)) for year in ("0003", "9997"))
        inside = ((days > first) & (days < last))[known].all()
        return np.where(known, days, np.nan) if inside else self.values

    @cached_property
    def dated(self) -> bool:
        """Whether `plotted` counts days, to be written as dates."""
        return self.axis.kind == "time" and self.plotted is not self.values

    @property
    def monotonic(self) -> bool:
        """Whether each value belongs to one pixel only."""
        steps = np.diff(self.values)
        return bool(len(steps) and ((steps > 0).all() or (steps < 0).all()))

    @property
    def step(self) -> float:
        """The change from a pixel to the next, in the WCS's unit."""
        steps = np.abs(np.diff(self.values[np.isfinite(self.values)]))
        return float(np.median(steps)) if len(steps) else 0.0

    def at(self, pixel: float) -> str:
        """Write the value at a pixel, which may be fractional, as finely as pixels are."""
        value = np.interp(pixel, np.arange(len(self.values)), self.values)
        return f"{name_of(self.axis)} {self.world.text(self.axis, float(value), self.step)}"

    @property
    def label(self) -> str:
        """Name and unit."""
        if self.axis.kind == "time":
            return "time [UTC]" if self.dated else f"time [{self.axis.unit or 's'}]"
        return f"{name_of(self.axis)} [{self.axis.unit}]" if self.axis.unit else name_of(self.axis)

    def locator(self) -> Locator:
        """Make a locator of round values, for an axis that counts in `plotted`."""
        if self.dated:
            return _DateLocator()
        if self.axis.kind == "stokes":
            return MaxNLocator(integer=True)
        return ValueLocator()

    def formatter(self, locator: Locator) -> Formatter:
        """Make a formatter for the ticks of a locator."""
        if self.dated:
            return _DateFormatter(locator, self.label)
        if self.axis.kind == "stokes":
            return _StokesFormatter()
        return ScalarFormatter(useOffset=False)


def coordinate_along(
    world: World, axis: int, index: int | None, at: Sequence[float]
) -> Coordinate | None:
    """Evaluate a coordinate, the WCS's value `index`, along an array axis; None gives None.

    `at` is the pixel of each array axis; that of `axis` is ignored.
    """
    if index is None:
        return None
    n = world.shape[axis]
    few = np.arange(n, dtype=float) if n <= _EVALUATED else np.linspace(0, n - 1, _EVALUATED)
    positions: list[ArrayLike] = [*at]
    positions[axis] = few
    one, values = world.axes[index], np.asarray(world.values(*positions)[index], float)
    if one.kind == "longitude":  # no jump between two pixels
        middle = [*at[:axis], float(few[len(few) // 2]), *at[axis + 1 :]]
        values = wrap(values, one.unit, world.middle_longitude(middle))
    return Coordinate(one, world, np.interp(np.arange(n), few, values))


# As many ticks as there is room for -------------------------------------------------------------

INCHES_A_TICK: Final = {"x": 0.8, "y": 0.4}


def room_for_ticks(axis: Any) -> int:
    """Count the ticks that an axis of a figure has room for, with their labels."""
    box, dpi = axis.axes.get_window_extent(), axis.get_figure(root=True).dpi
    inches = (box.width if axis.axis_name == "x" else box.height) / dpi
    return int(np.clip(inches / INCHES_A_TICK[axis.axis_name], 2, 8))


class ValueLocator(MaxNLocator):
    """Finds as many round values as there is room for their labels."""

    def __init__(self, *, integer: bool = False) -> None:
        super().__init__(integer=integer, steps=None if integer else [1, 2, 2.5, 5, 10])

    def tick_values(self, vmin: float, vmax: float) -> Sequence[float]:
        """Find ticks between two values."""
        if getattr(self.axis, "axes", None) is not None:
            self.set_params(nbins=room_for_ticks(self.axis))
        return super().tick_values(vmin, vmax)


class _DateLocator(dates.AutoDateLocator):
    def __init__(self) -> None:
        super().__init__(minticks=2, maxticks=7)  # type: ignore[no-untyped-call]

    def get_locator(self, dmin: datetime, dmax: datetime) -> Any:
        if getattr(self.axis, "axes", None) is not None:
            # With fewer than five it has no interval for two hours less a minute.
            self.maxticks = dict.fromkeys(self.maxticks, max(room_for_ticks(self.axis), 5))
        return super().get_locator(dmin, dmax)  # type: ignore[no-untyped-call]


# The common part of all labels is written into the name of the axis: where matplotlib writes it,
# at the end of the axis, it would cover a title.


def _rename(axis: object, written: str, label: str) -> str:
    """Change the name of an axis that was written before, unless the user changed it since."""
    if not isinstance(axis, Axis) or axis.get_label_text() != written:
        return written
    if label != written:
        axis.set_label_text(label)
    return label


class _DateFormatter(dates.ConciseDateFormatter):
    """Writes dates, and their common part beside the name of their axis."""

    def __init__(self, locator: Locator, label: str) -> None:
        super().__init__(locator)  # type: ignore[no-untyped-call]
        self._label = self._written = label
        self.named: object = None
        """The axis that shows the common part, where that is not the one that is ticked."""

    def format_ticks(self, values: list[float]) -> list[str]:
        labels: list[str] = super().format_ticks(values)  # type: ignore[no-untyped-call]
        common = str(super().get_offset())  # type: ignore[no-untyped-call]
        label = f"{self._label}, {common}" if common else self._label
        self._written = _rename(self.named or self.axis, self._written, label)
        return labels

    def get_offset(self) -> str:
        return ""


class DataFormatter(ScalarFormatter):
    """Writes pixel values in full, and their common power of ten beside the unit.

    `label` is that of the axis: name and unit, ``"data [ct]"``, or a unit alone.
    """

    def __init__(self, label: str) -> None:
        super().__init__(useOffset=False, useMathText=False)
        self._label = self._written = label

    def format_ticks(self, values: list[float]) -> list[str]:
        """Write the labels of ticks."""
        labels = super().format_ticks(values)
        label = self._label
        if power := super().get_offset():
            before, bracket, unit = label.rpartition("[")
            label = f"{before}{bracket}{power} {unit}".rstrip()
        self._written = _rename(self.axis, self._written, label)
        return labels

    def get_offset(self) -> str:
        """Return nothing: the unit shows it."""
        return ""


class _StokesFormatter(Formatter):
    def __call__(self, x: float, pos: int | None = None) -> str:  # noqa: ARG002
        symbol = str(StokesCoord(round(x)).symbol)
        return symbol if abs(x - round(x)) < 1e-6 and symbol != "?" else ""


class _PixelLocator(Locator):
    """Ticks at the pixels where a coordinate has round values."""

    def __init__(self, coordinate: Coordinate) -> None:
        self._order = np.argsort(coordinate.plotted)
        self._plotted = coordinate.plotted[self._order]
        self.coordinate = coordinate
        self.values: list[float] = []
        self.inner = coordinate.locator()

    def __call__(self) -> Sequence[float]:
        assert self.axis is not None
        self.inner.axis = self.axis  # which has room for so many ticks
        low, high = self.axis.get_view_interval()
        return self.tick_values(low, high)

    def tick_values(self, vmin: float, vmax: float) -> Sequence[float]:
        """Find the pixels of the ticks between two pixels."""
        low, high = max(min(vmin, vmax), 0), min(max(vmin, vmax), len(self._plotted) - 1)
        plotted = self.coordinate.plotted
        ends = np.interp([low, high], np.arange(len(plotted)), plotted)
        first, last = (float(end) for end in sorted(ends))
        if self.coordinate.dated:
            first, last = (_DATES.num2date(end) for end in (first, last))
        ticks = np.asarray(self.inner.tick_values(first, last), float)
        ticks = ticks[(ticks >= sorted(ends)[0]) & (ticks <= sorted(ends)[1])]
        self.values = ticks.tolist()
        pixels: list[float] = np.interp(ticks, self._plotted, self._order.astype(float)).tolist()
        return pixels


class _PixelFormatter(Formatter):
    """Writes the values at the ticks of a `_PixelLocator`."""

    def __init__(self, locator: _PixelLocator) -> None:
        self._locator = locator
        self._inner = locator.coordinate.formatter(locator.inner)
        self._labels: dict[float, str] = {}

    def format_ticks(self, values: list[float]) -> list[str]:
        """Write the labels of ticks at some pixels."""
        if isinstance(self._inner, _DateFormatter):
            self._inner.named = self.axis
        along = self._locator.coordinate.plotted
        plotted = np.interp(values, np.arange(len(along)), along)
        if isinstance(self._inner, ScalarFormatter):
            # Its own number of digits is for the range of the axis, which counts pixels.
            digits = _digits(self._locator.values)
            shown = self._locator.coordinate
            wrapped_values = shown.world.wrap_as_frame(shown.axis, plotted)
            rounded = np.round(wrapped_values, digits) + 0.0  # no minus before a zero
            return [f"{value:.{digits}f}".replace("-", "\N{MINUS SIGN}") for value in rounded]
        return self._inner.format_ticks(plotted.tolist())

    def __call__(self, x: float, pos: int | None = None) -> str:  # noqa: ARG002
        return self._locator.coordinate.at(x)


def _digits(values: Sequence[float]) -> int:
    """Count the decimals that distinguish ticks."""
    steps = np.diff(values)
    step = float(np.abs(steps).min()) if len(steps) else 1.0
    # 2.5 needs one more than its size suggests.
    return next((n for n in range(10) if abs(step - round(step, n)) < 1e-3 * step), 10)


def set_ticks(axis: Axis, coordinate: Coordinate | None, otherwise: str) -> None:
    """Tick an axis that counts pixels at round values of a coordinate.

    Without one, or if several pixels have the same value, pixels are ticked, and the axis is named
    `otherwise`.
    """
    if coordinate is None or not coordinate.monotonic:
        axis.set_major_locator(ValueLocator(integer=True))
        axis.set_major_formatter(ScalarFormatter(useOffset=False))
        axis.set_label_text(f"{otherwise} [pixel]")
        return
    locator = _PixelLocator(coordinate)
    axis.set_major_locator(locator)
    axis.set_major_formatter(_PixelFormatter(locator))
    axis.set_minor_formatter(NullFormatter())
    axis.set_label_text(coordinate.label)

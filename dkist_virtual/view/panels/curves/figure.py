"""Make the Bokeh figures of profiles: one for each Stokes parameter, over the same axis."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
from bokeh.core.properties import value
from bokeh.events import DoubleTap, Pan, RangesUpdate, Tap
from bokeh.models import (
    BasicTicker,
    BasicTickFormatter,
    ColumnDataSource,
    DatetimeAxis,
    FixedTicker,
    LinearAxis,
    Range1d,
)
from bokeh.models.annotations import Legend, LegendItem, Span
from bokeh.plotting import figure

from dkist_virtual.plot.image import runs
from dkist_virtual.view.panels.curves.looks import POINT, REFERENCE, pin_look
from dkist_virtual.view.panels.curves.units import speed_ticks
from dkist_virtual.view.panels.picture_figure import MARK
from dkist_virtual.view.panels.plain_text import as_text
from dkist_virtual.view.pictures.wavelengths import from_nm, in_nm
from dkist_virtual.view.reading.pixels import ABSENT, FAILED
from dkist_virtual.view.reading.wings import velocity, wavelength_at

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from dkist_virtual.view.pictures.geometry import Scale

__all__ = ["MOST_PINS", "ProfileFigure", "range_of"]

MOST_PINS: Final = 12
"""Pins that are drawn: more curves could not be told apart."""
FEW: Final = 60
"""Points of a profile up to which each has a marker."""
GONE: Final = {ABSENT: "#8c8c8c", FAILED: "#b40000"}
"""Of the hatching of absent frames, and of those that could not be read."""
MARGIN: Final = 0.02
ROOM: Final = 0.08
"""Beside all values along an axis, and above and below them, in units of their range."""


class ProfileFigure:
    """A plot of profiles of one Stokes parameter.

    Parameters
    ----------
    scale : Scale
        Of the axis along which profiles run.
    x_range : Range1d
        Shared by the plots of all Stokes parameters. The wheel changes it, a double click resets.
    moved : callable
        Takes the place along the axis that was clicked, or dragged to.
    unit : str
        Of the axis; empty for none.
    is_first, is_last : bool
        Whether it has the axis of velocities above, and the name of the axis below.
    """

    def __init__(
        self,
        scale: Scale,
        x_range: Range1d,
        moved: Callable[[float], None],
        *,
        unit: str,
        is_first: bool,
        is_last: bool,
    ) -> None:
        self._unit = unit
        make: Any = figure
        ends: Any = (0, 1)
        self.figure: Any = make(
            # Ranges that Bokeh computes have no ends where nothing was read yet.
            y_range=Range1d(*ends),
            sizing_mode="stretch_both", min_height=90, output_backend="canvas", x_range=x_range,
            tools="xwheel_zoom", active_scroll="xwheel_zoom", toolbar_location=None,
            x_axis_type="datetime" if scale.kind == "time" else "linear", border_fill_alpha=0,
        )  # fmt: skip
        plot, self._scale = self.figure, scale
        self._ends = x_range.start, x_range.end
        plot.grid.grid_line_color = "#ececec"
        plot.yaxis.formatter = BasicTickFormatter(power_limit_high=5, power_limit_low=-3)
        plot.yaxis.axis_label_standoff = 2
        # Plots are low: larger names would run into those of the next plot.
        plot.yaxis.axis_label_text_font_size = "11px"
        plot.yaxis.ticker = BasicTicker(desired_num_ticks=4, num_minor_ticks=0)
        plot.axis.minor_tick_line_color = None
        if not isinstance(plot.xaxis[0], DatetimeAxis):
            plot.xaxis.formatter = BasicTickFormatter(use_scientific=False)
            plot.xaxis.ticker = BasicTicker(desired_num_ticks=4, num_minor_ticks=0)
        if scale.kind == "stokes":
            ticks = list(range(len(scale.letters)))
            plot.xaxis.ticker = FixedTicker(ticks=ticks)
            plot.xaxis.major_label_overrides = dict(zip(ticks, scale.letters, strict=True))
        if is_last:
            plot.xaxis.axis_label = as_text(scale.label)
        else:
            plot.xaxis.major_label_text_font_size = "0px"
        self._gone = ColumnDataSource({"left": [], "right": [], "colour": []})
        plot.vstrip(
            "left", "right", source=self._gone, fill_alpha=0, line_color=None,
            hatch_pattern="right_diagonal_line", hatch_color="colour", hatch_alpha=0.6,
            hatch_scale=8, hatch_weight=1,
        )  # fmt: skip
        self._mean = _empty()
        mean = plot.line("x", "y", source=self._mean, color=REFERENCE.colour, line_width=4)
        self._point = _empty()
        line = plot.line("x", "y", source=self._point, color=POINT.colour, line_width=1.5)
        dots = plot.scatter("x", "y", source=self._point, color=POINT.colour, size=4)
        dots.visible = len(scale.values) <= FEW
        self._pins: list[tuple[ColumnDataSource, list[Any]]] = []
        self.legend: Any = None
        self._mean_item = LegendItem(label=_said("mean"), renderers=[mean], visible=False)
        if is_first:
            room: Any = 0
            self._point_item = LegendItem(label=_said("point"), renderers=[line, dots])
            make_legend: Any = Legend
            self.legend = make_legend(
                items=[self._point_item, self._mean_item], orientation="horizontal",
                label_text_font_size="11px", spacing=4, glyph_width=16, padding=room, margin=0,
                border_line_color=None, background_fill_alpha=0, glyph_height=12, label_height=12,
                visible=False,
            )  # fmt: skip
            plot.add_layout(self.legend, "above")
        self.speeds: Any = None
        if is_first and scale.kind == "wavelength":
            ticker: Any = FixedTicker(ticks=[])
            self.speeds = LinearAxis(
                axis_label="km/s", visible=False, ticker=ticker, axis_label_standoff=0
            )
            plot.add_layout(self.speeds, "above")
            plot.on_event(RangesUpdate, lambda _: self.show_speeds(self._rest))
        self._rest: float | None = None
        self._here = Span(dimension="height", line_color=MARK, line_width=2, visible=False)
        self._line = Span(dimension="height", line_color="#5e5e5e", line_dash="dotted",
                          line_width=1, visible=False)  # fmt: skip
        plot.add_layout(self._here)
        plot.add_layout(self._line)
        plot.on_event(DoubleTap, lambda _: self._reset())
        plot.on_event(Tap, lambda event: moved(event.x))
        plot.on_event(Pan, lambda event: moved(event.x))

    def name(self, label: str) -> None:
        """Name the axis of values."""
        self.figure.yaxis[0].axis_label = as_text(label)

    def show(self, values: NDArray[Any], marks: NDArray[np.uint8]) -> None:
        """Draw the profile of the point; gaps are hatched."""
        self._point.data = self._line_of(values)
        self._fit()
        edges = _edges(self._scale.values)
        gaps: dict[str, Any] = {"left": [], "right": [], "colour": []}
        for mark, colour in GONE.items():
            for first, end in runs(marks == mark):
                ends = sorted((float(edges[first]), float(edges[end])))
                for key, one in zip(gaps, (*ends, colour), strict=True):
                    gaps[key].append(one)
        if gaps["left"] or len(self._gone.data["left"]):
            self._gone.data = gaps

    def show_pins(self, pins: Sequence[NDArray[Any]]) -> None:
        """Draw the profiles of pins, in their order."""
        for number in range(len(self._pins), len(pins)):
            self._add_pin(number)
        for number, (source, renderers) in enumerate(self._pins):
            is_there = number < len(pins)
            for renderer in renderers[: 1 + (len(self._scale.values) <= FEW)]:
                renderer.visible = is_there
            if is_there:
                source.data = self._line_of(pins[number])
        self._fit()
        if self.legend is not None:
            items = [
                LegendItem(label=_said(f"{number + 1}"), renderers=self._pins[number][1])
                for number in range(len(pins))
            ]
            self.legend.items = [self._point_item, *items, self._mean_item]
            self.legend.visible = bool(pins) or self._mean_item.visible

    def _add_pin(self, number: int) -> None:
        look, source = pin_look(number), _empty()
        line = self.figure.line(
            "x", "y", source=source, color=look.colour, line_dash=look.dash, line_width=2
        )
        dots = self.figure.scatter(
            "x", "y", source=source, color=look.colour, marker=look.marker, size=6
        )
        dots.visible = len(self._scale.values) <= FEW
        self._pins.append((source, [line, dots]))

    def show_mean(self, values: NDArray[Any] | None) -> None:
        """Draw the reference spectrum; None hides it."""
        nothing: dict[str, Any] = {"x": np.zeros(0), "y": np.zeros(0)}
        self._mean.data = nothing if values is None else self._line_of(values)
        self._fit()
        self._mean_item.visible = values is not None
        if self.legend is not None:
            self.legend.visible = bool(values is not None or len(self.legend.items) > 2)

    def show_here(self, at: float) -> None:
        """Move the line at the point's pixel."""
        self._here.update(location=at, visible=bool(np.isfinite(at)))

    def show_speeds(self, rest: float | None) -> None:
        """Mark a line at rest, in nm, and count velocities from it above the plot.

        Not on an axis that is not of wavelengths, frequencies or the like.
        """
        self._rest = rest
        ends = in_nm([self.figure.x_range.start, self.figure.x_range.end], self._unit)
        is_known = rest is not None and ends is not None
        self._line.visible = is_known
        if self.speeds is not None:
            self.speeds.visible = is_known
        if rest is None or ends is None:
            return
        self._line.location = float(from_nm(rest, self._unit))
        if self.speeds is None:
            return
        ends = velocity(ends, rest)
        speeds = speed_ticks(float(ends.min()), float(ends.max()))
        places = from_nm(wavelength_at(speeds, rest), self._unit).tolist()
        labels: dict[Any, Any] = {
            place: f"{speed:g}".replace("-", "\N{MINUS SIGN}")
            for place, speed in zip(places, speeds, strict=True)
        }
        self.speeds.ticker.ticks = places
        self.speeds.major_label_overrides = labels

    def _fit(self) -> None:
        """Make all values that are drawn fit into the plot; it stays where there are none."""
        shown = [source.data["y"] for source, (line, _) in self._pins if line.visible]
        values = np.concatenate([self._point.data["y"], self._mean.data["y"], *shown])
        values = values[np.isfinite(values)]
        if len(values):
            low, high = float(values.min()), float(values.max())
            room = ROOM * (high - low) or 0.5
            self.figure.y_range.update(start=low - room, end=high + room)

    def _reset(self) -> None:
        start, end = self._ends
        self.figure.x_range.update(start=start, end=end)
        self.show_speeds(self._rest)

    def _line_of(self, values: NDArray[Any]) -> dict[str, Any]:
        order = np.argsort(self._scale.values, kind="stable")
        return {"x": self._scale.values[order], "y": np.asarray(values, float)[order]}


def _said(text: str) -> Any:
    """Return the label of a legend: a text, never the name of a column."""
    return value(text)


def _empty() -> ColumnDataSource:
    return ColumnDataSource({"x": np.zeros(0), "y": np.zeros(0)})


def _edges(values: NDArray[Any]) -> NDArray[np.float64]:
    """Return the places half-way between neighbours."""
    n = len(values)
    if n < 2:
        return np.array([values[0] - 0.5, values[0] + 0.5], float)
    middles = (values[:-1] + values[1:]) / 2
    ends = 2 * values[0] - middles[0], 2 * values[-1] - middles[-1]
    return np.concatenate([ends[:1], middles, ends[1:]])


def range_of(values: NDArray[Any]) -> Range1d:
    """Make the range of an axis that has some values."""
    known = values[np.isfinite(values)]
    low, high = (float(known.min()), float(known.max())) if len(known) else (0.0, 1.0)
    margin = MARGIN * (high - low) or 0.5
    ends: Any = (low - margin, high + margin)
    return Range1d(*ends)

"""Make figures whose horizontal axis is time in UTC, and convert moments for Bokeh."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from bokeh.models import DatetimeTickFormatter, NoOverlap
from bokeh.plotting import figure

__all__ = ["HERE", "millis_of", "moment_of", "say_day", "set_span", "time_figure"]

HERE: Final = "#d55e00"
"""The colour of where the page is."""

_TICKS: Final[dict[str, Any]] = {
    "milliseconds": "%H:%M:%S.%3N", "seconds": "%H:%M:%S", "minsec": "%H:%M:%S", "minutes": "%H:%M",
    "hourmin": "%H:%M", "hours": "%H:%M", "days": "%d %b %Y", "months": "%b %Y", "years": "%Y",
}  # fmt: skip


def time_figure(height: int, **options: Any) -> Any:
    """Make a figure as wide as its place, without tools, with time to the right."""
    make: Any = figure
    plot = make(
        x_axis_type="datetime", height=height, sizing_mode="stretch_width", tools="",
        toolbar_location=None, output_backend="canvas", x_range=(0, 1), min_border_right=28,
        frame_align=False,
        **options,
    )  # fmt: skip
    plot.xaxis.formatter = DatetimeTickFormatter(**_TICKS)
    plot.xaxis.major_label_policy = NoOverlap()
    plot.xaxis.axis_label_text_font_style = "normal"
    plot.yaxis.axis_label_text_font_style = "normal"
    plot.outline_line_color = None
    plot.grid.grid_line_color = None
    return plot


def millis_of(moment: np.datetime64) -> float:
    """Convert a moment to Bokeh's number: milliseconds since 1970."""
    return float(moment.astype("M8[us]").astype("i8")) / 1e3


def moment_of(millis: float) -> np.datetime64:
    """Convert Bokeh's number to a moment."""
    return np.datetime64(round(millis * 1e3), "us")


def set_span(plot: Any, first: np.datetime64, last: np.datetime64) -> None:
    """Show the time from one moment to another, and say of which day."""
    start, end = millis_of(first), millis_of(last)
    margin = (end - start) * 0.02 or 500.0
    plot.x_range.update(start=start - margin, end=end + margin)
    plot.xaxis.axis_label = say_day(first, last)


def say_day(first: np.datetime64, last: np.datetime64) -> str:
    """Write the days of a span of time."""
    days = [str(np.datetime_as_string(moment, unit="D")) for moment in (first, last)]
    return f"{' to '.join(dict.fromkeys(days))}, UTC"

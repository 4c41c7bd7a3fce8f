"""Make the Bokeh figure of a cut: an image of 8 bits between two scales."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from bokeh.core.property.descriptors import UnsetValueError
from bokeh.events import Tap
from bokeh.models import BasicTickFormatter, LinearColorMapper, Range1d
from bokeh.models.annotations import ColorBar, Label, Span
from bokeh.plotting import figure

from dkist_virtual.view.panels.picture_figure import MARK
from dkist_virtual.view.panels.plain_text import as_text
from dkist_virtual.view.pictures.levels import (
    PLAIN_CMAP,
    SIGNED_CMAP,
    colours,
    levels_of,
    palette_of,
    robust_limits,
)
from dkist_virtual.view.reading.pixels import ABSENT, FAILED

if TYPE_CHECKING:
    from collections.abc import Callable

    from dkist_virtual.view.pictures.geometry import Scale
    from dkist_virtual.view.reading.cuts import Cut

__all__ = ["CutFigure"]

MOST: Final = 1024
"""Places along a side of the image that is sent."""
LETTER: Final = 6.6
"""Width of a letter of a message in pixels."""
LEAST, LINES = 11, 12
"""Letters of a line of a message at least, and lines at most."""


class CutFigure:
    """An image whose columns and rows have scales of their own.

    Parameters
    ----------
    is_time : (bool, bool)
        Whether the axis to the right, and the one upwards, is one of time.
    moved : callable
        Takes the place, right and up, that was clicked.
    """

    def __init__(self, is_time: tuple[bool, bool], moved: Callable[[float, float], None]) -> None:
        make: Any = figure
        ends: Any = (0, 1)
        kinds = ["datetime" if one else "linear" for one in is_time]
        plot = self.figure = make(
            sizing_mode="stretch_both", min_height=180, output_backend="canvas",
            x_range=Range1d(*ends), y_range=Range1d(*ends),
            x_axis_type=kinds[0], y_axis_type=kinds[1], tools="xwheel_zoom",
            toolbar_location=None, background_fill_color="#f7f7f7", border_fill_alpha=0,
        )  # fmt: skip
        plot.grid.visible = False
        plot.axis.minor_tick_line_color = None
        for axis, one in zip((plot.xaxis, plot.yaxis), is_time, strict=True):
            if not one:
                axis.formatter = BasicTickFormatter(use_scientific=False)
        self._mapper = LinearColorMapper(
            palette=palette_of(PLAIN_CMAP), low=0.5, high=255.5, low_color="#00000000",
            nan_color="#00000000",
        )  # fmt: skip
        self.image = plot.image(
            image=[np.zeros((1, 1), np.uint8)], x=0, y=0, dw=1, dh=1, color_mapper=self._mapper
        )
        self._values = LinearColorMapper(palette=colours(PLAIN_CMAP), low=0, high=1)
        self._bar = ColorBar(color_mapper=self._values, width=10, padding=4, title="",
                             background_fill_alpha=0)  # fmt: skip
        plot.add_layout(self._bar, "right")
        self._right, self._up = (
            Span(dimension=one, line_color=MARK, line_width=1, visible=False)
            for one in ("height", "width")
        )
        self.message = Label(
            x=8, y=8, x_units="screen", y_units="screen", text="", text_font_size="12px",
            background_fill_color="white", background_fill_alpha=0.9,
        )  # fmt: skip
        for mark in (self._right, self._up, self.message):
            plot.add_layout(mark)
        plot.on_event(Tap, lambda event: moved(event.x, event.y))
        self._scales: tuple[Scale, Scale] | None = None

    def show(self, cut: Cut, right: Scale, up: Scale, label: str, *, is_signed: bool) -> None:
        """Draw a cut, whose columns run to the right and rows upwards."""
        x, y = (np.linspace(*one.ends, min(len(one.values), MOST) + 1) for one in (right, up))
        columns, rows = (
            np.clip(np.rint(one.pixels((at[1:] + at[:-1]) / 2)), 0, len(one.values) - 1).astype(int)
            for one, at in ((right, x), (up, y))
        )
        values = np.asarray(cut.values, float)
        low, high = robust_limits(values, signed=is_signed)
        shown, marks = values[np.ix_(rows, columns)], cut.marks[np.ix_(rows, columns)]
        levels = levels_of(shown, (marks == ABSENT) | (marks == FAILED), (low, high))
        cmap = SIGNED_CMAP if is_signed else PLAIN_CMAP
        self._mapper.palette, self._values.palette = palette_of(cmap), colours(cmap)
        self._values.update(low=low, high=high)
        self._bar.title = as_text(label)
        self.image.data_source.data = {"image": [levels]}
        self.image.glyph.update(x=x[0], y=y[0], dw=x[-1] - x[0], dh=y[-1] - y[0])
        self.image.visible = True
        plot = self.figure
        if self._scales is None or any(
            not np.array_equal(old.values, new.values)
            for old, new in zip(self._scales, (right, up), strict=True)
        ):
            plot.x_range.update(start=x[0], end=x[-1])
            plot.y_range.update(start=y[0], end=y[-1])
            plot.xaxis.axis_label, plot.yaxis.axis_label = as_text(right.label), as_text(up.label)
        self._scales = right, up

    def clear(self) -> None:
        """Draw nothing."""
        self.image.visible = False
        self.show_here(None, None)

    def show_here(self, right: float | None, up: float | None) -> None:
        """Move the lines at the point; None hides one."""
        for span, at in ((self._right, right), (self._up, up)):
            span.update(location=at or 0.0, visible=at is not None)

    def say(self, text: str) -> None:
        """Write a message over the cut; an empty one hides it."""
        try:
            letters = max(LEAST, int((self.figure.inner_width - 16) / LETTER))
        except UnsetValueError:
            letters = len(text) or 1
        lines = textwrap.wrap(text, letters)[:LINES]
        self.message.update(text=as_text("\n".join(lines)), visible=bool(text))

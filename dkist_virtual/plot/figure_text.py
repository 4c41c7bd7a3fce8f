"""Fit text into its place: titles into the figure, boxes into their axes."""

from __future__ import annotations

import re
import textwrap
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from matplotlib.figure import Figure
from matplotlib.text import Text

from dkist_virtual.fits.errors import one_line

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.backend_bases import RendererBase
    from matplotlib.figure import SubFigure
    from matplotlib.transforms import Bbox

__all__ = ["BoxedText", "Page", "figure_inches", "fit_label", "fit_labels", "fit_title",
           "size_inches", "text_inches"]  # fmt: skip

SMALLEST: Final = 4.0
"""Points of the smallest text: longer text is broken into more lines."""
EDGE: Final = 0.08
"""Inches between text and the border around it."""


def figure_inches(artist: Artist) -> tuple[float, float]:
    """Measure the figure of an artist, or the part of a figure that it is in.

    By its transform: a figure that is being saved cropped has the size of the cut-out.
    """
    figure = artist.get_figure()
    assert figure is not None
    (x0, y0), (x1, y1) = figure.transSubfigure.transform([(0, 0), (1, 1)])
    return (x1 - x0) / figure.dpi, (y1 - y0) / figure.dpi


def size_inches(figure: Figure | SubFigure) -> tuple[float, float]:
    """Return the width and height of a figure, or of a part of one."""
    if isinstance(figure, Figure):
        wide, high = figure.get_size_inches()
        return float(wide), float(high)
    return figure.bbox.width / figure.dpi, figure.bbox.height / figure.dpi


def text_inches(text: Text) -> tuple[float, float]:
    """Measure the width and height of a text."""
    box, figure = Text.get_window_extent(text), text.get_figure(root=True)
    assert figure is not None
    return box.width / figure.dpi, box.height / figure.dpi


def fit_title(axes: Axes, parts: Sequence[str]) -> None:
    """Set a title above axes, inside of the figure: parts side by side, or below each other."""
    parts = [part for part in parts if part]
    title = axes.set_title("  ".join(parts), fontsize="medium", x=0.5)
    axes.apply_aspect()
    room = figure_inches(axes)[0] - 2 * EDGE
    if text_inches(title)[0] > room:
        title.set_text("\n".join(parts))
    while text_inches(title)[0] > room and float(title.get_fontsize()) > SMALLEST:
        title.set_fontsize(max(float(title.get_fontsize()) * 0.95, SMALLEST))
    if (wide := text_inches(title)[0]) > room:
        letters = int(max(map(len, parts)) * room / wide)
        title.set_text("\n".join(textwrap.fill(part, letters) for part in parts))
    # In the middle of the axes, unless the title would leave the figure.
    half, box = text_inches(title)[0] / 2, axes.get_position()
    left, right = (edge * figure_inches(axes)[0] for edge in (box.x0, box.x1))
    middle = min(max((left + right) / 2, half + EDGE), room + 2 * EDGE - half - EDGE)
    title.set_x((middle - left) / (right - left))


def fit_label(axes: Axes, text: str, *, upwards: bool) -> float:
    """Find the font size for the name of an axis.

    A name that runs upwards is at most as long as the axes; one below them is inside of the figure.
    """
    axes.apply_aspect()
    figure = axes.get_figure()
    assert figure is not None
    wide, high = figure_inches(axes)
    box = axes.get_position()
    middle = wide * (box.x0 + box.x1) / 2
    room = high * box.height if upwards else 2 * min(middle, wide - middle) - 2 * EDGE
    tried = figure.text(0, 0, text or " ", fontsize="medium")
    points = float(tried.get_fontsize()) * min(1.0, room / text_inches(tried)[0])
    tried.remove()
    return max(points, SMALLEST)


def fit_labels(axes: Axes) -> None:
    """Fit the names of both axes."""
    for axis in (axes.xaxis, axes.yaxis):
        upwards = axis is axes.yaxis
        axis.label.set_fontsize(fit_label(axes, axis.get_label_text(), upwards=upwards))


class Page(Figure):
    """A figure for a paper, of any size: its axes leave no more room than their labels need."""


class BoxedText(Text):
    """A text in a box that stays inside of axes of any size, in their middle or at their top.

    Lines are broken, letters get smaller, and where axes are much higher than wide the text runs
    upwards.
    """

    def __init__(self, axes: Axes, text: str, *, middle: bool) -> None:
        box = {"facecolor": "white", "edgecolor": "0.6", "alpha": 0.9}
        y, va = (0.5, "center") if middle else (0.98, "top")
        super().__init__(
            0.5, y, text, transform=axes.transAxes, ha="center", va=va, bbox=box, zorder=5,
            fontsize="small",
        )  # fmt: skip
        self._points = float(self.get_fontsize())
        self._lines = text
        self._in_lines = False
        self._fitted: tuple[float, float] | None = None
        axes.add_artist(self)
        self.set_clip_on(False)

    def get_text(self) -> str:
        """Return the text; broken into lines while it is drawn or measured."""
        return self._lines if self._in_lines else str(super().get_text())

    def draw(self, renderer: RendererBase) -> None:
        """Fit the text into its axes at their present size, and draw it."""
        self._fit()
        with self._broken():
            super().draw(renderer)

    def get_window_extent(
        self, renderer: RendererBase | None = None, dpi: float | None = None
    ) -> Bbox:
        """Measure where it is drawn, without its box."""
        self._fit()
        with self._broken():
            return super().get_window_extent(renderer, dpi)

    @contextmanager
    def _broken(self) -> Iterator[None]:
        before, self._in_lines = self._in_lines, True
        try:
            yield
        finally:
            self._in_lines = before

    def _fit(self) -> None:
        axes, figure = self.axes, self.get_figure(root=True)
        if axes is None or figure is None or self._in_lines:
            return
        box = axes.get_window_extent()
        wide, high = box.width / figure.dpi - 3 * EDGE, box.height / figure.dpi - 3 * EDGE
        if self._fitted == (wide, high):
            return
        self._fitted = wide, high
        upwards = high > 2.5 * wide
        self.set_rotation(90 if upwards else 0)
        along, across = (high, wide) if upwards else (wide, high)
        self.set_fontsize(self._points)
        with self._broken():
            points = self._points
            while not self._break(along, across) and points > SMALLEST:
                points = max(points * 0.93, SMALLEST)
                self.set_fontsize(points)

    def _break(self, along: float, across: float) -> bool:
        """Break lines to a length; return whether there is room for all of them."""
        self._lines = "x" * 50
        n = max(int(50 * along / max(text_inches(self))), 8)
        parts = super().get_text().split("\n")
        self._lines = "\n".join(line for part in parts for line in textwrap.wrap(part, n) or [""])
        size = text_inches(self)
        longer, wider = size[::-1] if self.get_rotation() else size
        return longer <= along and wider <= across


def in_figure(text: object) -> str:
    """Write a text as one line for matplotlib, in which dollars begin formulas."""
    return re.sub(r"(?<!\\)\$", r"\\$", one_line(text))

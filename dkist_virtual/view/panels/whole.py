"""Draw where a page is in the whole dataset: what of each axis is open, seen and marked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from bokeh.events import Tap
from bokeh.models import ColumnDataSource, FixedTicker, LinearAxis
from bokeh.plotting import figure

from dkist_virtual.cube.virtual_array import VirtualArray, opened_selection
from dkist_virtual.fits.errors import one_line
from dkist_virtual.plot.ticks import name_of
from dkist_virtual.view.axes import coordinate_text, pixel_text
from dkist_virtual.view.panels.plain_text import as_text
from dkist_virtual.view.panels.time_axis import HERE

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from dkist_virtual.plot.planes import Subject
    from dkist_virtual.view.session import Session
    from dkist_virtual.view.source import Source
    from dkist_virtual.view.state.state import Point, ViewState

__all__ = ["Part", "WholePanel", "parts_of", "texts_at"]

WHOLE, OPEN, MARKED = "#eeeeee", "#bdbdbd", "#0072b2"
ROW: Final = 22
"""Pixels of the screen."""


@dataclass(frozen=True)
class Part:
    """The part of an axis of the dataset as it is opened that a page shows.

    Parameters
    ----------
    axis : int or None
        Of the selection; None where an index dropped it.
    name : str
    length : int
        Of the opened axis.
    pixels : range
        Of the opened axis, one for each pixel of the selection.
    held : str
        The coordinate of a dropped axis; empty where it is not known.
    """

    axis: int | None
    name: str
    length: int
    pixels: range
    held: str = ""

    def ends(self, first: int = 0, end: int | None = None) -> tuple[float, float]:
        """Return where pixels of the selection begin and end, as parts of the opened axis."""
        some = self.pixels[first:end]
        return some[0] / self.length, (some[-1] + 1) / self.length

    def middle(self, pixel: int) -> float:
        """Return where the centre of a pixel of the selection is, as a part of the axis."""
        return (self.pixels[pixel] + 0.5) / self.length

    def text(self, point: Point, coordinate: str) -> str:
        """Write a coordinate, and the pixel: as the page counts them, and then in the whole."""
        pixel = 0 if self.axis is None else point[self.axis]
        whole = pixel_text(self.pixels[pixel], self.length)
        if self.axis is None:
            said = f"whole: {whole}"
        elif self.pixels == range(self.length):
            said = whole
        else:
            said = f"{pixel_text(pixel, len(self.pixels))} (whole: {whole})"
        return f"{coordinate}  {said}".strip()

    def nearest(self, part: float) -> int:
        """Return the pixel of the selection nearest to a part of the opened axis."""
        pixel = round((part * self.length - 0.5 - self.pixels.start) / self.pixels.step)
        return min(max(pixel, 0), len(self.pixels) - 1)


def parts_of(source: Source) -> list[Part]:
    """Describe all axes of the opened dataset that are longer than one pixel.

    Computed pixels are their own whole.
    """
    subject, names, shape = source.subject, source.axes.names, source.shape
    data = subject.data
    if not isinstance(data, VirtualArray):
        return [
            Part(axis, name, n, range(n))
            for axis, (name, n) in enumerate(zip(names, shape, strict=True)) if n > 1
        ]  # fmt: skip
    opened, found = opened_selection(data.metadata), []
    own = iter(range(len(shape)))
    for stored, (whole, pixels) in enumerate(zip(opened.axes, data.selection.axes, strict=True)):
        axis = next(own) if isinstance(pixels, range) else None
        if isinstance(whole, int) or len(whole) < 2:
            continue
        first = pixels if isinstance(pixels, int) else pixels.start
        left = range(1) if isinstance(pixels, int) else range(len(pixels))
        step = 1 if isinstance(pixels, int) else pixels.step // whole.step
        start = (first - whole.start) // whole.step
        part = range(start, start + len(left) * step, step)
        if axis is None:
            name, held = _dropped(subject, data, stored, opened.kept.index(stored))
            found.append(Part(axis, name, len(whole), part, held))
        else:
            found.append(Part(axis, names[axis], len(whole), part))
    return found


def _dropped(subject: Subject, data: VirtualArray, stored: int, axis: int) -> tuple[str, str]:
    """Name an axis that an index dropped, and write its coordinate.

    Parameters
    ----------
    stored, axis : int
        Which it is of the stored array, and of the opened dataset.
    """
    names = data.metadata.attributes.get("axis_names")
    own = names[stored] if isinstance(names, list) and stored < len(names) else None
    name = one_line(own) if isinstance(own, str) and own else f"axis {axis}"
    for kind, (world, one, value) in subject.held.items():
        if one.array_axes == (axis,):
            own_name = name_of(one) if kind in ("stokes", "wavelength") else name
            return own_name, coordinate_text(world, one, value, has_day=False)
    return name, ""


def texts_at(source: Source, parts: Sequence[Part], point: Point, tile: int = 0) -> list[str]:
    """Write the coordinate of a point on each axis, and its pixel.

    It evaluates the WCS, and belongs into a thread.
    """
    # The day is on the axis of the time strip.
    known = source.axes.at(point, tile, has_day=False)
    return [
        part.text(point, part.held if part.axis is None else known[part.axis]) for part in parts
    ]


class WholePanel:
    """A bar for each axis of the dataset as it is opened; a click goes there.

    The darker part is open on this page, blue is what is marked.
    """

    name = "whole"
    title = "Position in the whole dataset"

    def __init__(self, session: Session) -> None:
        self._session = session
        self._parts: list[Part] = parts_of(session.source)
        n = len(self._parts)
        make: Any = figure
        plot = self.root = make(
            name=self.name, height=20 + ROW * n, sizing_mode="stretch_width", tools="",
            toolbar_location=None, output_backend="canvas", frame_align=False,
            x_range=(-0.005, 1.005), y_range=(n - 0.5, -0.5),
        )  # fmt: skip
        plot.xaxis.visible = False
        plot.outline_line_color = None
        plot.grid.grid_line_color = None
        plot.yaxis.ticker = FixedTicker(ticks=list(range(n)))
        plot.yaxis.major_label_overrides = {k: as_text(p.name) for k, p in enumerate(self._parts)}
        plot.yaxis.axis_line_color = plot.yaxis.major_tick_line_color = None
        rows = list(range(n))
        ends = [part.ends() for part in self._parts]
        plot.hbar(y=rows, left=0, right=[1.0] * n, height=0.5, color=WHOLE)
        plot.hbar(
            y=rows, left=[a for a, _ in ends], right=[b for _, b in ends], height=0.5, color=OPEN
        )
        self.marks = ColumnDataSource({"y": [], "left": [], "right": []})
        plot.hbar(y="y", left="left", right="right", height=0.5, source=self.marks,
                  color=MARKED, fill_alpha=0.5)  # fmt: skip
        self.here = ColumnDataSource({"x": [], "y": []})
        plot.scatter("x", "y", source=self.here, marker="dash", angle=np.pi / 2, size=18,
                     line_color=HERE, line_width=3)  # fmt: skip
        # The coordinates are the labels of an axis on the right, which has the room that it needs.
        make_axis: Any = LinearAxis
        self.texts = make_axis(
            ticker=FixedTicker(ticks=rows), axis_line_color=None, major_tick_line_color=None
        )
        self._write([])
        plot.add_layout(self.texts, "right")
        plot.on_event(Tap, self._tapped)

    def update(self, before: ViewState | None, after: ViewState) -> None:
        """Show another state: places at once, coordinates from a thread."""
        if before is None or (before.point, before.tile) != (after.point, after.tile):
            self.here.data = {
                "x": [
                    part.middle(0 if part.axis is None else after.point[part.axis])
                    for part in self._parts
                ],
                "y": list(range(len(self._parts))),
            }

            def steps() -> Iterator[list[str]]:
                yield texts_at(self._session.source, self._parts, after.point, after.tile)

            self._session.worker.read(
                self.name, steps, self._write, lambda _: self._write([]), is_patient=True
            )
        if before is None or before.ranges != after.ranges:
            self._mark(after)

    def _write(self, texts: list[str]) -> None:
        shown = map(as_text, texts or [" "] * len(self._parts))
        self.texts.major_label_overrides = dict(enumerate(shown))

    def _mark(self, state: ViewState) -> None:
        marked = [
            (row, *part.ends(first, end))
            for row, part in enumerate(self._parts)
            for axis, first, end in state.ranges if axis == part.axis
        ]  # fmt: skip
        self.marks.data = {
            key: [mark[n] for mark in marked] for n, key in enumerate(("y", "left", "right"))
        }

    def _tapped(self, event: Any) -> None:
        part = self._parts[min(max(round(event.y), 0), len(self._parts) - 1)]
        if part.axis is not None and event.x <= 1:
            model = self._session.model
            model.set(model.state.moved(part.axis, part.nearest(event.x)))

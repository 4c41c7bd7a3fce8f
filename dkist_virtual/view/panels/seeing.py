"""Draw the seeing in time: Fried's parameter of the headers, where it is valid."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from bokeh.events import Tap
from bokeh.models import ColumnDataSource
from bokeh.models.annotations import Span

from dkist_virtual.view.clock import TimesAlong
from dkist_virtual.view.panels.plain_text import as_text
from dkist_virtual.view.panels.time_axis import (
    HERE,
    millis_of,
    moment_of,
    set_span,
    time_figure,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from dkist_virtual.view.session import Session
    from dkist_virtual.view.state.state import Point, ViewState

__all__ = ["Curve", "SeeingPanel", "curve_of"]

LINE, NOT_KNOWN = "#0072b2", "#d9d9d9"
LETTERS: Final = 40
"""Of a line of the title, which Bokeh cuts where the panel ends."""


@dataclass(frozen=True, eq=False)
class Curve:
    """The seeing of steps, in time.

    Parameters
    ----------
    times : array of datetime64
    r0 : array of float
        In cm; NaN where it is not valid.
    is_locked : array of bool
        Whether the adaptive optics were locked in all frames of the step.
    """

    times: NDArray[np.datetime64]
    r0: NDArray[np.float64]
    is_locked: NDArray[np.bool_]

    def gaps(self) -> list[tuple[np.datetime64, np.datetime64]]:
        """Return the spans without a valid value, each up to half-way to a step that has one."""
        half = np.diff(self.times).astype("m8[us]") // 2
        if not len(half):
            return []
        starts = np.concatenate([self.times[:1], self.times[:-1] + half])
        ends = np.concatenate([self.times[:-1] + half, self.times[-1:]])
        bad = np.isnan(self.r0)
        first = np.flatnonzero(bad & ~np.concatenate([[False], bad[:-1]]))
        last = np.flatnonzero(bad & ~np.concatenate([bad[1:], [False]]))
        return [(starts[a], ends[b]) for a, b in zip(first, last, strict=True)]

    def said(self, moment: np.datetime64) -> str:
        """Write the seeing of the step nearest to a moment."""
        step = TimesAlong(0, self.times).nearest(moment)
        if step is None:
            return ""
        if not np.isnan(self.r0[step]):
            return f"r0 {self.r0[step]:.1f} cm"
        why = "" if self.is_locked[step] else ": adaptive optics not locked"
        return f"no valid r0{why}"


def curve_of(seeing: Any) -> Curve:
    """Take the seeing of a dataset by steps, in the order of time.

    `seeing` is what `Dataset.seeing` returns; frames without a time are left out.
    """
    steps = seeing.by_step()
    known = ~np.asarray(np.broadcast_to(steps.time.mask, len(steps)))
    times = np.asarray(steps.time.datetime64, "M8[us]")[known]
    order = np.argsort(times, kind="stable")
    r0 = np.asarray(steps.r0.to_value("cm"), float)[known]
    valid = np.asarray(steps.valid)[known]
    return Curve(
        times[order],
        np.where(valid, r0, np.nan)[order],
        np.asarray(steps.ao_lock, bool)[known][order],
    )


class SeeingPanel:
    """The curve of r0, grey where it is not valid, with a line at the page's time.

    A click goes to the frame nearest in time. Headers are read in a thread.
    """

    name = "seeing"
    title = "Seeing"

    def __init__(self, session: Session) -> None:
        self._session = session
        self.curve: Curve | None = None
        """None before headers are read, or where they have no seeing."""
        self._at: tuple[int, ...] = ()
        plot = self.root = time_figure(
            140, name=self.name, min_border_left=56, y_range=(0, 10), title=" "
        )
        plot.yaxis.axis_label = "r0 [cm]"
        plot.yaxis.minor_tick_line_color = None
        plot.title.text_font_style = "normal"
        plot.axis.visible = False  # what they would count is not known before there is a curve
        self._points = ColumnDataSource({"x": [], "y": []})
        self._gaps = ColumnDataSource({"left": [], "right": []})
        plot.vstrip("left", "right", source=self._gaps, fill_color=NOT_KNOWN, line_color=None)
        plot.line("x", "y", source=self._points, color=LINE)
        plot.scatter("x", "y", source=self._points, color=LINE, size=3)
        self._here = Span(dimension="height", line_color=HERE, line_width=2, visible=False)
        plot.add_layout(self._here)
        plot.on_event(Tap, self._tapped)

    def update(self, before: ViewState | None, after: ViewState) -> None:
        """Read the seeing once; then follow the time."""
        dataset, clock = self._session.source.dataset, self._session.source.clocks[after.tile]
        if before is None and self.curve is None:

            def steps() -> Iterator[Curve]:
                yield curve_of(dataset.seeing)

            self._say("reading the headers")
            self._session.worker.read(self.name, steps, self._show, self._fail, is_patient=True)
        axes = () if clock is None else clock.axes
        at = (after.tile, *(after.point[axis] for axis in axes))
        if at != self._at:
            self._at = at
            self._move()

    def _show(self, curve: Curve) -> None:
        self.curve = curve
        self._points.data = {"x": curve.times, "y": curve.r0}
        gaps = curve.gaps()
        self._gaps.data = {
            "left": np.array([first for first, _ in gaps], "M8[us]"),
            "right": np.array([last for _, last in gaps], "M8[us]"),
        }
        self.root.axis.visible = bool(len(curve.times))
        if len(curve.times):
            set_span(self.root, curve.times[0], curve.times[-1])
        known = curve.r0[~np.isnan(curve.r0)]
        top = float(known.max()) * 1.1 if len(known) else 10.0
        self.root.y_range.update(start=0, end=top)
        self._say("" if len(known) else "no valid r0 in the headers")
        self._move()

    def _fail(self, error: Exception) -> None:
        self._say(str(error))

    def _say(self, text: str) -> None:
        self.root.title.text = as_text(textwrap.fill(text, LETTERS)) or " "

    def _move(self) -> None:
        state = self._session.model.state
        clock = self._session.source.clocks[state.tile]
        moment = np.datetime64("NaT", "us") if clock is None else clock.at(state.point)
        self._here.visible = not np.isnat(moment)
        if self._here.visible:
            self._here.location = millis_of(moment)
            if self.curve is not None and len(self.curve.times):
                self._say(self.curve.said(moment))

    def _tapped(self, event: Any) -> None:
        session = self._session
        state, roles = session.model.state, session.source.roles
        clock = session.source.clocks[state.tile]
        if clock is None:
            return
        wanted = moment_of(event.x)
        # The rows of a scan take a while to compute.
        axes = [axis for axis in (roles.time, roles.raster) if axis is not None]

        def steps() -> Iterator[Point]:
            yield clock.nearest(wanted, state.point, axes)

        def go(point: Point) -> None:
            session.model.change(point=point)

        session.worker.read("seeing-go", steps, go, self._fail)

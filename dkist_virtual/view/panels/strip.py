"""Draw the time strip: when each frame was taken, where the page is, and what is marked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np
from bokeh.events import DoubleTap, Pan, PanEnd, PanStart, Tap
from bokeh.models import ColumnDataSource, FixedTicker

from dkist_virtual.view.clock import TimesAlong
from dkist_virtual.view.panels.plain_text import as_text
from dkist_virtual.view.panels.time_axis import HERE, moment_of, set_span, time_figure

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dkist_virtual.view.session import Session
    from dkist_virtual.view.state.state import ViewState

__all__ = ["TimeStrip"]

_Bar: TypeAlias = tuple[np.datetime64, np.datetime64, int]
"""First and last time, and the row."""

MOST_TICKS: Final = 2000
"""Ticks of a row: more would be a bar on any screen."""
RUN, TICK, MARKED = "#d9d9d9", "#595959", "#0072b2"


class TimeStrip:
    """A row of ticks for each axis along which time passes, such as repeats and raster steps.

    A grey bar is a run without a gap. A click goes to the frame nearest in time, along the row's
    axis; dragging marks a range of it, and a double click ends the mark.
    """

    name = "time"
    title = "Time"

    def __init__(self, session: Session) -> None:
        self._session = session
        roles, clock = session.source.roles, session.source.clocks[0]
        axes = () if clock is None else clock.axes
        # What is stepped most rarely comes first, from the top.
        order = [roles.time, roles.raster, *axes]
        self._axes = [
            axis for n, axis in enumerate(order) if axis in axes and axis not in order[:n]
        ]
        self._rows: dict[int, TimesAlong] = {}
        self._dragged: tuple[int, float] | None = None
        self._at: tuple[int, ...] = ()
        self._asked: dict[int, tuple[int, ...]] = {}
        self.root: Any = self._make_figure()

    def _make_figure(self) -> Any:
        names = self._session.source.axes.names
        n = len(self._axes)
        plot = time_figure(46 + 26 * n, name=self.name, y_range=(n - 0.5, -0.5))  # fmt: skip
        plot.yaxis.ticker = FixedTicker(ticks=list(range(n)))
        plot.yaxis.major_label_overrides = {k: as_text(names[a]) for k, a in enumerate(self._axes)}
        plot.yaxis.major_tick_line_color = None
        self._runs, self._marks = (
            ColumnDataSource({key: [] for key in ("left", "right", "top", "bottom")})
            for _ in range(2)
        )
        self._ticks, self._here = (
            ColumnDataSource({key: [] for key in ("x", "top", "bottom")}) for _ in range(2)
        )
        box, line = ("left", "right", "top", "bottom"), ("x", "top", "x", "bottom")
        plot.quad(*box, source=self._runs, color=RUN, line_width=3)
        plot.quad(*box, source=self._marks, color=MARKED, fill_alpha=0.35)
        plot.segment(*line, source=self._ticks, color=TICK)
        plot.segment(*line, source=self._here, color=HERE, line_width=3)
        plot.on_event(Tap, self._tapped)
        plot.on_event(PanStart, self._drag_started)
        plot.on_event(Pan, self._dragging)
        plot.on_event(PanEnd, self._drag_ended)
        plot.on_event(DoubleTap, self._unmark)
        return plot

    # What it shows --------------------------------------------------------------------------

    def update(self, before: ViewState | None, after: ViewState) -> None:
        """Show another state: times are computed in a thread, marks at once."""
        at = (after.tile, *(after.point[axis] for axis in self._axes))
        if at != self._at:
            self._at = at
            self._move()
            for axis in self._axes:
                self._read(axis, after)
        if before is None or before.ranges != after.ranges:
            self._mark()

    def _read(self, axis: int, state: ViewState) -> None:
        """Read the times of a row, unless they are known: they depend on the other rows' pixels."""
        clock = self._session.source.clocks[state.tile]
        others = (state.tile, *(state.point[other] for other in self._axes if other != axis))
        if clock is None or self._asked.get(axis) == others:
            return
        self._asked[axis] = others

        def steps() -> Iterator[TimesAlong | None]:
            for times in clock.parts_along(axis, state.point):
                yield None if times is None else TimesAlong(axis, times)

        self._session.worker.read(
            f"{self.name}-{axis}", steps, self._show, self._fail, is_patient=True
        )

    def _show(self, row: TimesAlong | None) -> None:
        if row is None:
            return
        before = self._rows.get(row.axis)
        self._rows[row.axis] = row
        if before is None or not np.array_equal(before.times, row.times, equal_nan=True):
            self._draw()
            self._mark()
        self._move()

    def _fail(self, error: Exception) -> None:
        self.root.xaxis.axis_label = as_text(f"times: {error}")

    def _draw(self) -> None:
        bars: list[_Bar] = []
        ticks: list[_Bar] = []
        for number, axis in enumerate(self._axes):
            if (row := self._rows.get(axis)) is not None:
                bars += [(first, last, number) for first, last in row.runs()]
                known = row.times[~np.isnat(row.times)]
                few = known[:: max(1, -(-len(known) // MOST_TICKS))]
                ticks += [(moment, moment, number) for moment in few]
        self._runs.data = _boxes(bars, 0.36)
        self._ticks.data = _lines(ticks, 0.28)
        if bars:
            first, last = min(bar[0] for bar in bars), max(bar[1] for bar in bars)
            set_span(self.root, first, last)

    def _move(self) -> None:
        state = self._session.model.state
        clock = self._session.source.clocks[state.tile]
        moment = np.datetime64("NaT", "us") if clock is None else clock.at(state.point)
        known = [] if np.isnat(moment) else range(len(self._axes))
        self._here.data = _lines([(moment, moment, number) for number in known], 0.48)

    def _mark(self) -> None:
        marks: list[_Bar] = []
        for axis, first, end in self._session.model.state.ranges:
            if (row := self._rows.get(axis)) is None:
                continue
            times = row.times[first:end]
            times = times[~np.isnat(times)]
            if len(times):
                marks.append((times.min(), times.max(), self._axes.index(axis)))
        self._marks.data = _boxes(marks, 0.46)

    # What is done to it -----------------------------------------------------------------------

    def _row_at(self, y: float) -> TimesAlong | None:
        number = min(max(round(y), 0), len(self._axes) - 1)
        return self._rows.get(self._axes[number])

    def _tapped(self, event: Any) -> None:
        row = self._row_at(event.y)
        pixel = None if row is None else row.nearest(moment_of(event.x))
        if row is not None and pixel is not None:
            model = self._session.model
            model.set(model.state.moved(row.axis, pixel))

    def _drag_started(self, event: Any) -> None:
        row = self._row_at(event.y)
        self._dragged = None if row is None else (row.axis, event.x)

    def _dragging(self, event: Any) -> None:
        if self._dragged is not None:
            axis, start = self._dragged
            first, last = sorted((start, event.x))
            self._marks.data = _boxes(
                [(moment_of(first), moment_of(last), self._axes.index(axis))], 0.46
            )

    def _drag_ended(self, event: Any) -> None:
        if self._dragged is None:
            return
        (axis, start), self._dragged = self._dragged, None
        inside = self._rows[axis].between(moment_of(start), moment_of(event.x))
        if inside is None:
            self._mark()
        else:
            self._set_range(axis, (axis, *inside))

    def _unmark(self, event: Any) -> None:
        row = self._row_at(event.y)
        if row is not None:
            self._set_range(row.axis, None)

    def _set_range(self, axis: int, marked: tuple[int, int, int] | None) -> None:
        model = self._session.model
        others = tuple(one for one in model.state.ranges if one[0] != axis)
        model.change(ranges=others if marked is None else (*others, marked))
        self._mark()


def _boxes(bars: list[_Bar], half: float) -> dict[str, Any]:
    """Describe bars for Bokeh, to which times are datetime64."""
    rows = np.array([number for *_, number in bars], float)
    return {
        "left": np.array([first for first, _, _ in bars], "M8[us]"),
        "right": np.array([last for _, last, _ in bars], "M8[us]"),
        "top": rows - half,
        "bottom": rows + half,
    }


def _lines(bars: list[_Bar], half: float) -> dict[str, Any]:
    boxes = _boxes(bars, half)
    return {"x": boxes["left"], "top": boxes["top"], "bottom": boxes["bottom"]}

"""Draw a picture: a plane of the data through the point, with what is marked on it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from bokeh.events import (
    DoubleTap,
    MouseLeave,
    MouseMove,
    RangesUpdate,
    Reset,
    SelectionGeometry,
    Tap,
)
from bokeh.models import Column, CustomJS, InlineStyleSheet, Row, Spacer
from bokeh.models.widgets import RadioButtonGroup

from dkist_virtual.errors import DKISTVirtualError
from dkist_virtual.view.panels.later import Later
from dkist_virtual.view.panels.outlines import Outlines
from dkist_virtual.view.panels.picture_figure import PictureFigure
from dkist_virtual.view.panels.plain_text import plain_div
from dkist_virtual.view.pictures.geometry import Sky
from dkist_virtual.view.pictures.layers import Layering
from dkist_virtual.view.pictures.lengths import length_text, mm_per_unit, path_length
from dkist_virtual.view.pictures.pins import pin_near
from dkist_virtual.view.pictures.read_out import read_out
from dkist_virtual.view.pictures.render import Painter, Request
from dkist_virtual.view.state.state import carried
from dkist_virtual.view.state.together import in_step, key_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dkist_virtual.view.pictures.render import Drawn
    from dkist_virtual.view.session import Session
    from dkist_virtual.view.source import Source
    from dkist_virtual.view.state.state import Bounds, PictureState, Point, ViewState

__all__ = ["PicturePanel"]

MODES: Final = ("Look", "Box", "Path")
"""What the mouse does on a picture: move and zoom it, mark a box, draw a path."""
HOW: Final = "click the corners of a path;\nclick the last one again to end it"
SAME: Final = 1e-4
"""Part of a window by which it may differ from another that counts as the same."""
READ_OUT: Final = 34
"""Height of the read-out: two lines, also while they are empty, so that no picture moves."""
BESIDE: Final = 330
"""Width of a read-out that is beside the modes; a narrower one is below them."""
CUT: Final = """.bk-clearfix {
  display: -webkit-box; -webkit-box-orient: vertical; -webkit-line-clamp: 2; overflow: hidden;
}"""
"""Two lines end with an ellipsis where there is more; all of it is a hint, and is read out."""
WAIT: Final = 60
"""Milliseconds that a picture stays where it is before it is read again."""
NEAR: Final = 0.01
"""Of the window: clicks that are no further apart are on the same place."""
OFTEN: Final = 25
"""Milliseconds between two places of the pointer that are looked at."""


class PicturePanel:
    """A picture of the page, by its number among the state's.

    Parameters
    ----------
    session : Session
    number : int
        Boxes and paths are drawn on the first one, number 0.
    """

    def __init__(self, session: Session, number: int) -> None:
        self.name = f"picture-{number}"
        self.title = "Picture" if number == 0 else f"Picture {number + 1}"
        self._session, self._number = session, number
        self.canvas = PictureFigure(self.name)
        self.painter, self._layering = Painter(), Layering()
        is_alone = len(session.sources) == 1
        self.outlines = None if is_alone else Outlines(session, self.canvas, number)
        self.drawn: Drawn | None = None
        """What is shown; None before something was read."""
        self._asked: object = None
        self._placed: Bounds | None = None
        self._step: tuple[int, int] | None = None
        self._ahead: ViewState | None = None
        self._told: tuple[float, float] | None = None
        self._is_pointing = False
        self._mode = MODES[0]
        room: dict[str, Any] = {"width": 170, "height": 22, "margin": (2, 6, 2, 4)}
        self.modes = RadioButtonGroup(labels=list(MODES), active=0, **room)
        self.read_out = plain_div(
            " ", height=READ_OUT, margin=(2, 4, 2, 4), stylesheets=[InlineStyleSheet(css=CUT)],
            styles={
                "font-variant-numeric": "tabular-nums", "overflow": "hidden", "font-size": "12px",
                "flex": f"1 1 {BESIDE}px",
            },
        )  # fmt: skip
        # Other pictures leave the room of the modes empty: those beside each other are as high.
        modes = self.modes if number == 0 else Spacer(**room)
        head = Row(
            children=[modes, self.read_out], sizing_mode="stretch_width",
            styles={"flex-wrap": "wrap"},
        )  # fmt: skip
        self.root: Any = Column(children=[head, self.canvas.figure], sizing_mode="stretch_both")
        self._ranged, self._resized = Later(self.root, WAIT), Later(self.root, WAIT)
        self._pointed = Later(self.root, OFTEN)
        self._listen()

    def _listen(self) -> None:
        plot = self.canvas.figure
        plot.on_event(MouseMove, self._on_move)
        plot.on_event(MouseLeave, lambda _: self._on_leave())
        # A second click soon after another is a double one, also where it is somewhere else.
        plot.on_event(Tap, self._on_tap)
        plot.on_event(DoubleTap, self._on_tap)
        plot.on_event(Reset, lambda _: self._change_window(None))
        plot.on_event(RangesUpdate, lambda _: self._ranged.call(self._take_window))
        plot.on_event(SelectionGeometry, self._on_selection)
        for name in ("inner_width", "inner_height"):
            plot.on_change(name, lambda _attr, _old, _new: self._resized.call(self._resize))
        # The mouse that has pressed a button may be dragged before the server has heard of it.
        drags = {"toolbar": plot.toolbar, "pan": self.canvas.pan_tool, "box": self.canvas.box_tool}
        code = f"toolbar.active_drag = cb_obj.active === {MODES.index('Box')} ? box : pan"
        self.modes.js_on_change("active", CustomJS(args=drags, code=code))
        self.modes.on_change("active", lambda _attr, _old, new: self._set_mode(MODES[new]))

    # The state -------------------------------------------------------------------------------

    @property
    def _state(self) -> ViewState:
        return self._session.model.state

    @property
    def _picture(self) -> PictureState:
        return self._state.pictures[self._number]

    @property
    def _is_main(self) -> bool:
        return self._picture.dataset == 0

    def update(self, before: ViewState | None, after: ViewState) -> None:
        """Read the plane of a state, and draw it and what is marked."""
        if self._number >= len(after.pictures):
            return
        if before is not None:
            pixels = zip(before.point, after.point, strict=True)
            moved = [axis for axis, (old, new) in enumerate(pixels) if old != new]
            if len(moved) == 1:
                axis = moved[0]
                self._step = axis, after.point[axis] - before.point[axis]
            if not self._is_pointing and set(moved) & set(self._picture.axes):
                self._told = None  # the point went elsewhere, by a key for example
        self._read(after)
        self._mark(after)
        if before is not None and before.point != after.point and self._told is None:
            self._tell_point()
        if self.outlines is not None:
            self.outlines.update(before, after)

    def _source(self, state: ViewState) -> Source:
        return self._session.sources[state.pictures[self._number].dataset]

    def _at(self, state: ViewState) -> Point:
        """Return the pixel of each axis of the picture's dataset that it is drawn for.

        That of another dataset than the main one is found in a thread.
        """
        picture = state.pictures[self._number]
        point = in_step(self._session.sources, state, picture.dataset).point
        return picture.at(point, self._source(state).shape)

    def _request(self, state: ViewState, at: Point) -> Request:
        picture, source = state.pictures[self._number], self._source(state)
        layers = self._layering.of(source, picture, at, state)
        return Request(source, picture, layers, self.canvas.size, self._tile(state))

    def _tile(self, state: ViewState) -> int | None:
        """Return the tile that is drawn alone; None where a picture is one of all tiles."""
        picture, source = state.pictures[self._number], self._source(state)
        if set(picture.axes) == set(source.roles.frame):
            return None
        return 0 if picture.dataset else state.tile

    def _key(self, state: ViewState) -> object:
        """Return all that a picture depends on."""
        picture = state.pictures[self._number]
        if picture.dataset:
            at: list[int | None] = [*key_of(self._session.sources, state)]
        else:
            at = [None if axis in picture.axes else pixel
                  for axis, pixel in enumerate(self._at(state))]  # fmt: skip
        wings = (state.line, state.wing) if picture.kind == "doppler" else None
        return picture, tuple(at), self.canvas.size, wings, self._tile(state)

    # Reading ---------------------------------------------------------------------------------

    def forget_absent(self) -> None:
        """Forget what was absent: the next `update` reads it again."""
        self.painter.blocks.forget_absent()
        self._layering.forget_absent()
        self._asked = None

    def _read(self, state: ViewState) -> None:
        key = self._key(state)
        if key == self._asked:
            return
        self._asked = key

        def steps() -> Iterator[Drawn | None]:
            yield from self.painter.draw(self._request(state, self._at(state)))

        self._session.worker.read(
            self.name, steps, self._show, self._fail, is_patient=self._is_patient(state)
        )

    def _is_patient(self, state: ViewState) -> bool:
        """Tell whether the picture can wait: one of many frames, beside the main one."""
        axes, frame = state.pictures[self._number].axes, self._source(state).roles.frame
        return self._number > 0 and not set(axes) <= set(frame)

    def _show(self, drawn: Drawn) -> None:
        window = self.canvas.window
        # The user may have moved the axes since this was asked for: they stay there.
        is_ours = self._placed is None or _is_same(window, self._placed)
        is_moved = is_ours and not _is_same(window, drawn.window)
        if is_moved or self._placed is None:
            self._placed = drawn.window
        self.drawn = drawn
        self.canvas.show(drawn, is_moved=is_moved)
        self.canvas.say(_fault_text(drawn.faults))
        self._mark(self._state)
        if drawn.is_whole and self._step is not None:
            self._read_ahead(*self._step)
        if not drawn.is_whole:
            return
        # The pointer may stay where it is while another plane comes below it.
        if self._told is None:
            self._tell_point()
        elif (found := self._pixel_at(*self._told)) is not None:
            self._tell(*self._told, *found)

    def _read_ahead(self, axis: int, by: int) -> None:
        state = self._state
        pixel = state.point[axis] + by
        is_drawn = self._is_main and axis in self._picture.axes
        # What has to be read of many frames is too much to read for nothing.
        if is_drawn or self._is_patient(state) or not 0 <= pixel < self._session.source.shape[axis]:
            return
        ahead = self._ahead = state.moved(axis, pixel)

        def read() -> None:
            if ahead is self._ahead:  # no later one was asked for
                self.painter.read_ahead(self._request(ahead, self._at(ahead)))

        self._session.worker.read_ahead(read)

    def _fail(self, error: Exception) -> None:
        """Say why the picture was not drawn."""
        self._asked = None
        self.canvas.hide()
        self.canvas.say(_fault_text((error,)))

    # What is marked --------------------------------------------------------------------------

    def _mark(self, state: ViewState) -> None:
        drawn = self.drawn
        if drawn is None:
            return
        if self._is_main:
            self.canvas.mark_point(*(self._place(state.point, state.tile) or (None, None)))
            self.canvas.mark_pins([self._place(pin, state.tile) for pin in state.pins])
        if self._number == 0:
            self.canvas.mark_box(state.box)
            self.canvas.mark_path(state.path)
            self.canvas.write_lengths(self._lengths(state))

    def _place(self, point: Point, tile: int) -> tuple[float, float] | None:
        """Return where a point is on the picture; None if its tile is not drawn."""
        assert self.drawn is not None
        geometry = self.drawn.geometry_of(tile)
        if geometry is None:
            return None
        column, row = (point[axis] for axis in self._picture.axes)
        x, y = geometry.world(column, row)
        return float(x), float(y)

    def pin_or(self, point: Point) -> Point:
        """Return the pin that is near a point on the screen; else the point."""
        drawn, state, means = self.drawn, self._state, self._session.means
        geometry = None if drawn is None else drawn.geometry_of(state.tile)
        if geometry is None or not self._is_main:
            return point
        axes, along = self._picture.axes, (means.along, means.stokes)
        canvas = self.canvas
        near = pin_near(state.pins, point, axes, along, geometry, canvas.window, canvas.size)
        return near or point

    def _lengths(self, state: ViewState) -> str:
        """Write the sides of the box and the length of the path."""
        lines = []
        if state.box is not None:
            left, right, bottom, top = state.box
            middle = (bottom + top) / 2
            sides = (((left, middle), (right, middle)), ((left, bottom), (left, top)))
            wide, high = (self._length(side) for side in sides)
            lines += [f"box {wide} wide", f"box {high} high"] if wide else []
        path = self._length(state.path)
        if self._mode == "Path" and len(state.path) < 2:
            lines.append(HOW)
        return "\n".join([*lines, *([f"path {path}"] if path else [])])

    def _length(self, corners: tuple[tuple[float, float], ...]) -> str:
        if self.drawn is None or len(corners) < 2:
            return ""
        geometry = self.drawn.tiles[0].geometry
        length = path_length(corners, geometry)
        if length is None or not isinstance(geometry, Sky):
            return ""
        frame = self._source(self._state).subject.world.frame
        return length_text(length, geometry.unit, mm_per_unit(frame, geometry.unit))

    # The mouse -------------------------------------------------------------------------------

    def _set_mode(self, mode: str) -> None:
        self._mode = mode
        toolbar = self.canvas.figure.toolbar
        toolbar.active_drag = self.canvas.box_tool if mode == "Box" else self.canvas.pan_tool
        if mode == "Path":
            self._session.model.change(path=())
        self._mark(self._state)

    def _on_move(self, event: Any) -> None:
        if event.x is not None and event.y is not None:
            x, y = float(event.x), float(event.y)
            self._pointed.call(lambda: self._point_at(x, y))

    def take_pointer(self) -> None:
        """Go to where the pointer is at once, as a key means that place."""
        self._pointed.now()

    def _on_leave(self) -> None:
        self._pointed.now()
        self._told = None
        self._tell_point()

    def _point_at(self, x: float, y: float) -> None:
        found = self._pixel_at(x, y)
        if found is None:
            return
        self._told = x, y
        self._tell(x, y, *found)
        if not self._state.is_locked and self._is_main and self._mode == "Look":
            self._move_point(*found)

    def _pixel_at(self, x: float, y: float) -> tuple[int, int, int] | None:
        return None if self.drawn is None else self.drawn.tile_at(x, y)

    def _point_with(self, column: int, row: int) -> Point:
        point = list(self._state.point)
        for axis, pixel in zip(self._picture.axes, (column, row), strict=True):
            point[axis] = pixel
        return tuple(point)

    def _move_point(self, tile: int, column: int, row: int, **values: Any) -> None:
        self._step = None
        self._is_pointing = True
        try:
            self._session.model.change(point=self._point_with(column, row), tile=tile, **values)
        finally:
            self._is_pointing = False

    def _on_tap(self, event: Any) -> None:
        if event.x is None or event.y is None:
            return
        x, y = float(event.x), float(event.y)
        if self._mode == "Path" and self._number == 0:
            self._add_corner(x, y)
            return
        found = self._pixel_at(x, y)
        if found is None or not self._is_main:
            return
        tile, column, row = found
        modifiers = event.modifiers or {}
        if modifiers.get("shift"):
            pin = self.pin_or(self._point_with(column, row))
            self._session.model.set(self._state.toggle_pin(pin))
            return
        self._pointed.forget()
        self._move_point(tile, column, row, is_locked=not self._state.is_locked)

    def _add_corner(self, x: float, y: float) -> None:
        """Add a corner to the path; a second click on the last one ends it."""
        path, (left, right, bottom, top) = self._state.path, self.canvas.window
        if path:
            away = (path[-1][0] - x) / (right - left), (path[-1][1] - y) / (top - bottom)
            if max(map(abs, away)) < NEAR:
                self.modes.active = 0
                return
        self._session.model.change(path=(*path, (x, y)))

    def _on_selection(self, event: Any) -> None:
        geometry = event.geometry
        if self._number or geometry.get("type") != "rect" or not event.final:
            return
        x, y = sorted((geometry["x0"], geometry["x1"])), sorted((geometry["y0"], geometry["y1"]))
        box = (x[0], x[1], y[0], y[1])
        is_drawn = x[0] < x[1] and y[0] < y[1]
        self._session.model.change(box=box if is_drawn else None)

    def _tell_point(self) -> None:
        """Write where the point is, while the pointer is elsewhere; its value is not read."""
        state = self._state
        place = self._place(state.point, state.tile) if self.drawn and self._is_main else None
        if place is not None:
            column, row = (state.point[axis] for axis in self._picture.axes)
            self._tell(*place, state.tile, column, row, is_pointed=False)

    def _tell(
        self, x: float, y: float, tile: int, column: int, row: int, *, is_pointed: bool = True
    ) -> None:
        """Write the coordinates and the value of a pixel, which is read where it is pointed at."""
        drawn = self.drawn
        assert drawn is not None
        state, away = self._state, ""
        place = self._place(state.point, state.tile) if self._is_main and state.is_locked else None
        if is_pointed and place is not None:
            away = self._length((place, (x, y)))

        def steps() -> Iterator[str]:
            value = None
            if is_pointed:
                value = self.painter.value(drawn.request, tile, column, row)
            yield read_out(drawn, tile, column, row, value, away)

        self._session.worker.read(
            f"value-of-{self.name}", steps, self._write, lambda _: None, is_patient=not is_pointed
        )

    def _write(self, text: str) -> None:
        self.read_out.update(text=text, html_attributes={"title": text})

    # The window ------------------------------------------------------------------------------

    def _take_window(self) -> None:
        """Take the window to which the user has moved the axes."""
        window, drawn = self.canvas.window, self.drawn
        self._placed = window
        # A browser also reports the windows that other pictures gave this one: they are drawn.
        if drawn is None or _is_same(window, drawn.window):
            return
        if window[0] < window[1] and window[2] < window[3]:
            self._change_window(carried(drawn.request.picture.window, drawn.window, window))

    def _change_window(self, window: Bounds | None) -> None:
        state = self._state
        if self._number < len(state.pictures):
            self._session.model.set(state.with_window(self._number, window))
            self._read(self._state)

    def _resize(self) -> None:
        if self._number < len(self._state.pictures):
            self._read(self._state)


def _is_same(one: Bounds, other: Bounds) -> bool:
    wide, high = one[1] - one[0], one[3] - one[2]
    by = [abs(a - b) for a, b in zip(one, other, strict=True)]
    return max(by[:2]) <= SAME * abs(wide) and max(by[2:]) <= SAME * abs(high)


def _fault_text(faults: tuple[Exception, ...]) -> str:
    if not faults:
        return ""
    first = faults[0]
    said = (
        str(first) if isinstance(first, DKISTVirtualError) else f"{type(first).__name__}: {first}"
    )
    more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
    return said + more

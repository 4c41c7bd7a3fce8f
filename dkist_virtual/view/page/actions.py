"""Do what keys and buttons ask for: step, play, blink, zoom, lock, pin."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from dkist_virtual.errors import SelectionError
from dkist_virtual.view.page.keys import step
from dkist_virtual.view.session import PointedPanel
from dkist_virtual.view.state.state import carried

if TYPE_CHECKING:
    from collections.abc import Callable

    from dkist_virtual.view.page.channel import Channel
    from dkist_virtual.view.page.look import Look
    from dkist_virtual.view.page.sliders import AxisSliders
    from dkist_virtual.view.session import Panel, Session
    from dkist_virtual.view.state.state import Bounds, ViewState

__all__ = ["Actions", "steps_on_screen", "zoomed"]

EVERY: Final = 60.0
"""Milliseconds from one step of a play to the next, at least."""
BLINK: Final = 600.0
"""Milliseconds that each of two views is shown."""


def zoomed(window: Bounds, by: float, around: tuple[float, float]) -> Bounds:
    """Return a window `by` times as large, with a place where it was on the screen."""
    x, y = around
    left, right, bottom, top = window
    if not min(left, right) <= x <= max(left, right):
        x = (left + right) / 2
    if not min(bottom, top) <= y <= max(bottom, top):
        y = (bottom + top) / 2
    return (
        x + (left - x) * by, x + (right - x) * by, y + (bottom - y) * by, y + (top - y) * by
    )  # fmt: skip


def steps_on_screen(geometry: Any, column: int, row: int) -> tuple[tuple[int, int], ...]:
    """Return, for a step to the right and one upwards, which axis of a picture it is along.

    Each is the place of the axis in `PictureState.axes`, and 1 or -1. A detector may be mirrored
    or turned on the sky, and the picture is north up.
    """
    x, y = geometry.world(column, row)
    moves = []
    for dx, dy in ((1, 0), (0, 1)):
        to_x, to_y = geometry.world(column + dx, row + dy)
        moves.append((float(to_x - x), float(to_y - y)))
    (right_x, right_y), (up_x, up_y) = moves
    # A quarter turn or so swaps the axes.
    is_turned = abs(right_x) * abs(up_y) < abs(right_y) * abs(up_x)
    if is_turned:
        return (1, 1 if up_x > 0 else -1), (0, 1 if right_y > 0 else -1)
    return (0, 1 if right_x > 0 else -1), (1, 1 if up_y > 0 else -1)


class Actions:
    """What keys and buttons of a page do.

    Parameters
    ----------
    find : callable
        Returns the open panel of a name, or None.
    say : callable
        Shows a message.
    """

    def __init__(
        self, session: Session, channel: Channel, find: Callable[[str], Panel | None],
        say: Callable[[str], None],
    ) -> None:  # fmt: skip
        self._session, self._channel = session, channel
        self._model = session.model
        self._find, self._say = find, say
        self._playing: int | None = None
        self._other: ViewState | None = None
        self._is_blinking = False
        self._sliders: AxisSliders | None = None
        self._look: Look | None = None

    def connect(self, sliders: AxisSliders, look: Look) -> None:
        """Take the controls that show what was done."""
        self._sliders, self._look = sliders, look

    def press(self, key: str, times: int) -> None:
        """Do what a key asks for."""
        actions: dict[str, Callable[[], None]] = {
            " ": self.toggle_play,
            "l": self.toggle_lock,
            "p": self.toggle_pin,
            "x": self.blink,
            "X": self.keep_blinking,
            "c": self._step_cmap,
            "+": lambda: self.zoom(0.5**times),
            "=": lambda: self.zoom(0.5**times),
            "-": lambda: self.zoom(2.0**times),
            "_": lambda: self.zoom(2.0**times),
            "0": self.show_all,
            "Escape": self.escape,
        }
        if key in actions:
            actions[key]()
            return
        state = step(self._model.state, self._session.source, key, times, self._directions())
        if state is not None:
            self._model.set(state)

    def _drawn(self) -> Any:
        return getattr(self._find("picture-0"), "drawn", None)

    def _geometry(self) -> Any:
        drawn, state = self._drawn(), self._model.state
        return None if drawn is None else drawn.geometry_of(state.tile)

    def _pixel(self) -> tuple[int, int]:
        """Return the column and row of the point in the main picture."""
        state = self._model.state
        column, row = (state.point[axis] for axis in state.pictures[0].axes)
        return column, row

    def _directions(self) -> tuple[tuple[int, int], ...]:
        geometry = self._geometry()
        if geometry is None or not self._model.state.pictures:
            return (0, 1), (1, 1)
        return steps_on_screen(geometry, *self._pixel())

    # Play and blink -------------------------------------------------------------------------

    def play(self, axis: int | None) -> None:
        """Play along an axis, or pause where it plays already; None pauses."""
        self._is_blinking = False
        self._playing = None if axis == self._playing else axis
        self._channel.playing = None if self._playing is None else EVERY
        if self._sliders is not None:
            self._sliders.show_playing(self._playing)
        self._channel.tell()

    def play_on(self) -> None:
        """Step along the axis that plays; after its end comes its beginning."""
        axis, state = self._playing, self._model.state
        if self._is_blinking:
            self.blink()
        elif axis is not None:
            n = self._session.source.shape[axis]
            self._model.set(state.moved(axis, (state.point[axis] + 1) % n))

    def toggle_play(self) -> None:
        """Play along time, or else raster or wavelength; pause what plays."""
        if self._playing is not None or self._is_blinking:
            self.play(None)
            return
        roles = self._session.source.roles
        axis = roles.wavelength if roles.stepped is None else roles.stepped
        if axis is None:
            raise SelectionError("no axis of time, raster or wavelength to play along")
        self.play(axis)

    def blink(self) -> None:
        """Remember this view, and go to the one that was remembered."""
        state = self._model.state
        if self._other is None:
            self._say("This view is remembered: go to another one, then press x to blink")
            self._other = state
            return
        other, self._other = self._other, state
        self._model.set(replace(state, point=other.point, pictures=other.pictures, tile=other.tile))

    def keep_blinking(self) -> None:
        """Blink on and on between two views, or end that."""
        is_blinking = not self._is_blinking and self._other is not None
        if self._other is None:
            self.blink()
        self.play(None)
        if is_blinking:
            self._is_blinking, self._channel.playing = True, BLINK
            self._channel.tell()

    # The rest -------------------------------------------------------------------------------

    def toggle_lock(self) -> None:
        """Let the pointer move the point, or not."""
        self._model.change(is_locked=not self._model.state.is_locked)

    def toggle_pin(self) -> None:
        """Pin the point, or unpin what is pinned close to it on the screen."""
        state, main = self._model.state, self._find("picture-0")
        pin = main.pin_or(state.point) if isinstance(main, PointedPanel) else state.point
        self._model.set(state.toggle_pin(pin))

    def zoom(self, by: float) -> None:
        """Show a window of the main picture `by` times as large, around the point.

        Pictures of the same plane beside it show the same place.
        """
        drawn, geometry, state = self._drawn(), self._geometry(), self._model.state
        if drawn is None or not state.pictures:
            return
        left, right, bottom, top = window = drawn.window
        around = (left + right) / 2, (bottom + top) / 2
        if geometry is not None:
            x, y = geometry.world(*self._pixel())
            around = float(x), float(y)
        window = carried(drawn.request.picture.window, window, zoomed(window, by, around))
        self._model.set(state.with_window(0, window))

    def show_all(self) -> None:
        """Show the whole field of the main picture, and of those of the same plane."""
        state = self._model.state
        if state.pictures:
            self._model.set(state.with_window(0, None))

    def escape(self) -> None:
        """Stop playing, and take back what is marked and pinned."""
        if self._playing is not None or self._is_blinking:
            self.play(None)
        self._model.change(box=None, path=(), ranges=(), pins=())

    def _step_cmap(self) -> None:
        if self._look is not None:
            self._look.step_cmap()

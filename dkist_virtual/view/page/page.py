"""Lay out the panels of a page, with controls, keys and messages."""

from __future__ import annotations

from dataclasses import replace
from itertools import count
from typing import TYPE_CHECKING, Any, Final

from bokeh.models import Column, Row
from bokeh.models.widgets import Button, Div

from dkist_virtual.errors import SelectionError
from dkist_virtual.view.page.channel import Channel
from dkist_virtual.view.page.keys import KEYS, step, toggle_pin
from dkist_virtual.view.page.sliders import AxisSliders
from dkist_virtual.view.page.style import sheet
from dkist_virtual.view.panels.choose import make_panels

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from bokeh.document import Document

    from dkist_virtual.view.session import Session
    from dkist_virtual.view.state.state import ViewState

__all__ = ["Page", "build_page"]

EVERY: Final = 60.0
"""Milliseconds from one step of a play to the next, at least."""
_NUMBERS: Final = count()


def build_page(session: Session) -> Page:
    """Build the page of a session; `Page.server_doc` puts it into a document."""
    return Page(session)


class Page:
    """The panels of a session, and what moves its state: sliders, keys, buttons."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._model = session.model
        self.page_class = f"dkv-page-{next(_NUMBERS)}"
        self.channel = Channel(session.worker, self._receive, self._fail)
        self._playing: int | None = None
        self._other: ViewState | None = None
        self.panels = make_panels(session)
        self.sliders = AxisSliders(session, self.channel, self.play)
        self._status = Div(render_as_text=True, disable_math=True, sizing_mode="stretch_width",
                           css_classes=["dkv-status"], stylesheets=[sheet()])  # fmt: skip
        self.channel.label("dkv-status", role="status", aria_live="polite")
        self._lock = self._button("Lock", self._toggle_lock, "Lock the point")
        buttons = [
            self._lock,
            self._button("Pin", self._toggle_pin, "Pin the pixel"),
            self._button("Blink", self._blink, "Blink between two views"),
            self._button("Keys", self._show_help, "List the keys"),
        ]
        title = Div(text=session.source.subject.title, render_as_text=True, disable_math=True,
                    sizing_mode="stretch_width", css_classes=["dkv-title"],
                    stylesheets=[sheet()])  # fmt: skip
        head = Row(children=[title, *buttons], sizing_mode="stretch_width",
                   css_classes=["dkv-head"], stylesheets=[sheet()])  # fmt: skip
        side = Column(children=[self.sliders.root], sizing_mode="stretch_width",
                      css_classes=["dkv-side"], stylesheets=[sheet()])  # fmt: skip
        panels = Column(children=[_as_model(panel.root) for panel in self.panels],
                        sizing_mode="stretch_both", css_classes=["dkv-panels"],
                        stylesheets=[sheet()])  # fmt: skip
        self.root = Column(
            children=[head, side, panels, self._status], sizing_mode="stretch_both",
            css_classes=["dkv-page", self.page_class], stylesheets=[sheet()],
            tags=self.channel.models,
        )  # fmt: skip
        self._model.on_change(self._update)
        self.sliders.show_playing(None)
        self._update(None, self._model.state)

    def server_doc(self, document: Document, *, is_whole_window: bool = True) -> None:
        """Put the page into a document, and listen to its keys.

        Parameters
        ----------
        is_whole_window : bool
            Whether the page is alone in its window, and not in a cell of a notebook.
        """
        document.add_root(self.root)
        self.channel.connect(
            document,
            page_class=self.page_class,
            title=self._session.source.subject.title,
            keys=KEYS,
            is_whole_window=is_whole_window,
        )

    def _button(self, text: str, pressed: Callable[[], None], name: str) -> Button:
        own = f"dkv-{text.lower()}"
        button = Button(label=text, css_classes=[own], margin=(2, 2, 2, 2), stylesheets=[sheet()])
        button.on_click(pressed)
        self.channel.label(own, "button", aria_label=name)
        return button

    def say(self, text: str) -> None:
        """Show a message in the line at the end of the page."""
        self._status.text = text

    def _update(self, before: ViewState | None, after: ViewState) -> None:
        self.sliders.update(before, after)
        self._lock.button_type = "primary" if after.is_locked else "default"
        self.channel.label("dkv-lock", "button", aria_pressed=str(after.is_locked).lower())
        self.channel.point = after.point
        for panel in self.panels:
            panel.update(before, after)
        if before is not None:
            self.channel.tell()

    def _fail(self, error: Exception) -> None:
        self.say(str(error))

    # Messages of the browser ------------------------------------------------------------------

    def _receive(self, message: Mapping[str, Any]) -> None:
        kind = message["kind"]
        if kind == "axis":
            axis, pixel = int(message["axis"]), int(message["pixel"])
            if not 0 <= pixel < self._session.source.shape[axis]:
                raise SelectionError(f"pixel {pixel} of axis {axis} is not in the data")
            self._model.set(self._model.state.moved(axis, pixel))
        elif kind == "key":
            self._press(str(message["key"]), int(message["times"]))
        elif kind == "play" and self._playing is not None:
            axis = self._playing
            state = self._model.state
            n = self._session.source.shape[axis]
            self._model.set(state.moved(axis, (state.point[axis] + 1) % n))

    def _press(self, key: str, times: int) -> None:
        actions: dict[str, Callable[[], None]] = {
            " ": self._toggle_play,
            "l": self._toggle_lock,
            "p": self._toggle_pin,
            "x": self._blink,
            "Escape": self._escape,
        }
        if key in actions:
            actions[key]()
            return
        state = step(self._model.state, self._session.source, key, times)
        if state is not None:
            self._model.set(state)

    # What they do --------------------------------------------------------------------------

    def play(self, axis: int | None) -> None:
        """Play along an axis, or pause where it plays already; None pauses."""
        self._playing = None if axis == self._playing else axis
        self.channel.playing = None if self._playing is None else EVERY
        self.sliders.show_playing(self._playing)
        self.channel.tell()

    def _toggle_play(self) -> None:
        if self._playing is not None:
            self.play(None)
            return
        roles = self._session.source.roles
        axis = roles.wavelength if roles.stepped is None else roles.stepped
        if axis is None:
            raise SelectionError("no axis of time, raster or wavelength to play along")
        self.play(axis)

    def _toggle_lock(self) -> None:
        self._model.change(is_locked=not self._model.state.is_locked)

    def _toggle_pin(self) -> None:
        self._model.set(toggle_pin(self._model.state))

    def _blink(self) -> None:
        state = self._model.state
        if self._other is None:
            self.say("This view is remembered: go to another one and press x to blink")
            self._other = state
            return
        other, self._other = self._other, state
        self._model.set(replace(state, point=other.point, pictures=other.pictures))

    def _escape(self) -> None:
        self.play(None)
        self._model.change(box=None, path=(), ranges=())

    def _show_help(self) -> None:
        self.channel.tell(asks_for_help=True)


def _as_model(root: Any) -> Any:
    """Return a Bokeh model as it is, and what Panel lays out as a model."""
    if hasattr(root, "get_root"):
        return root.get_root()
    return root

"""Lay out the panels of a page, with controls, keys and messages."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING, Any, Final

from bokeh.models import Axis, Column, NoOverlap
from bokeh.models.widgets import RadioButtonGroup

from dkist_virtual.errors import SelectionError
from dkist_virtual.view.page.actions import Actions
from dkist_virtual.view.page.channel import PICTURES, Channel
from dkist_virtual.view.page.choices import Choices
from dkist_virtual.view.page.keys import KEYS
from dkist_virtual.view.page.look import Look
from dkist_virtual.view.page.sliders import AxisSliders
from dkist_virtual.view.page.status import Status
from dkist_virtual.view.page.widgets import Widgets
from dkist_virtual.view.panels.choose import make_panels
from dkist_virtual.view.panels.later import Later
from dkist_virtual.view.session import PointedPanel, ReadingPanel

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bokeh.document import Document

    from dkist_virtual.view.session import Panel, Session
    from dkist_virtual.view.state.state import ViewState

__all__ = ["Page", "build_page"]

CELL_HEIGHT: Final = 760
"""Pixels, in the cell of a notebook."""
BELOW: Final = ("profile", "wavelength-time", "path-time", "path-wavelength")
"""Panels that are below the pictures, where they are wide."""
BEHIND: Final = 30
"""Milliseconds after the pictures at which all else is drawn: browsers draw what has come in one
go, and the whole page takes much longer than its pictures."""
_NUMBERS: Final = count()


def build_page(session: Session) -> Page:
    """Build the page of a session; `Page.server_doc` puts it into a document."""
    return Page(session)


class Page:
    """The panels of a session, and what moves its state: sliders, keys, buttons."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._model = session.model
        self._worker = session.worker
        self.page_class = f"dkv-page-{next(_NUMBERS)}"
        self.channel = Channel(session.worker, self._receive, self._fail)
        widgets = Widgets(self.channel)
        self.panels: list[Panel] = []
        self.status = Status(session, self.channel, widgets)
        self.actions = Actions(session, self.channel, self.find, self.status.say)
        self.sliders = AxisSliders(session, self.channel, widgets, self.actions.play)
        self.look = Look(session, self.channel, widgets, lambda: self.panels)
        self.choices = Choices(session, widgets)
        self.actions.connect(self.sliders, self.look)
        self._is_waiting = self._is_behind = False
        self._shown: ViewState | None = None
        act = self.actions
        self._lock = widgets.button("Lock", act.toggle_lock, "Lock the point")
        self._widgets = widgets
        buttons = [
            self._lock,
            widgets.button("Pin", act.toggle_pin, "Pin the pixel"),
            widgets.button("Blink", act.blink, "Blink between two views"),
            widgets.button("\N{MINUS SIGN}", lambda: act.zoom(2), "Zoom out"),
            widgets.button("+", lambda: act.zoom(0.5), "Zoom in"),
            widgets.button("All", act.show_all, "Show the whole field"),
            widgets.button("Keys ?", lambda: self.channel.tell(asks_for_help=True), "List keys"),
        ]
        title = widgets.text(session.source.subject.title, "dkv-title")
        self.channel.label("dkv-title", role="heading", aria_level="1")
        look = widgets.look
        tools = widgets.row(*buttons, css_class="dkv-wrap", sizing_mode=None)
        head = widgets.row(title, tools, css_class="dkv-head")
        side = widgets.column(
            self.sliders.root, self.look.root, self.choices.root, css_class="dkv-side"
        )
        self.channel.label("dkv-side", role="group", aria_label="Controls")
        self._pictures = Column(sizing_mode="stretch_both", css_classes=["dkv-pictures"], **look)
        self._curves = Column(sizing_mode="stretch_both", css_classes=["dkv-curves"], **look)
        self._others = Column(sizing_mode="stretch_both", css_classes=["dkv-others"], **look)
        body = Column(
            children=[head, side, self._pictures, self._curves, self._others, self.status.root],
            sizing_mode="stretch_both", css_classes=["dkv-body"], **look,
        )  # fmt: skip
        self.root = Column(
            children=[body], sizing_mode="stretch_both", tags=self.channel.models,
            css_classes=["dkv-page", self.page_class], **look,
        )  # fmt: skip
        self._later = Later(self.root, BEHIND)
        self._model.on_change(self._update)
        session.arrivals.on_arrival(self._read_again)
        self.sliders.show_playing(None)
        self._update(None, self._model.state)

    def server_doc(self, document: Document, *, is_whole_window: bool = True) -> None:
        """Put the page into a document, and listen to its keys.

        Parameters
        ----------
        is_whole_window : bool
            Whether the page is alone in its window, and not in a cell of a notebook.
        """
        if not is_whole_window:
            self.root.update(sizing_mode="stretch_width", height=CELL_HEIGHT)
        document.add_root(self.root)
        self.channel.connect(
            document,
            page_class=self.page_class,
            title=self._session.source.subject.title,
            keys=KEYS,
            text=self.status.root,
            is_whole_window=is_whole_window,
        )

    def find(self, name: str) -> Panel | None:
        """Return an open panel by its name."""
        return next((panel for panel in self.panels if panel.name == name), None)

    # The state --------------------------------------------------------------------------------

    def _update(self, before: ViewState | None, after: ViewState) -> None:
        new = self._open_panels(before, after)
        self.status.begin()
        self.channel.point = after.point
        for panel in self.panels:
            if panel.name.startswith(PICTURES):
                panel.update(None if panel in new else before, after)
        is_drawing = self._worker.is_reading(PICTURES)
        if before is None or new or not is_drawing:
            self._follow(new)
        if is_drawing and not self._is_behind:
            self._is_behind = True
            self._worker.when_idle(self._on_main_drawn, PICTURES, is_patient=False)
        self._wait_for_pictures()

    def _follow(self, new: Sequence[Panel] = ()) -> None:
        """Show beside the pictures, and in the controls, the state that they show."""
        before, after = self._shown, self._model.state
        if before is after and not new:
            return
        self._shown = after
        for panel in self.panels:
            if not panel.name.startswith(PICTURES):
                panel.update(None if panel in new else before, after)
        self.sliders.update(before, after)
        self.choices.update(before, after)
        self._widgets.press(self._lock, after.is_locked)
        if before is not None:
            self.channel.tell()

    def _wait_for_pictures(self) -> None:
        if not self._is_waiting:
            self._is_waiting = True
            self._worker.when_idle(self._on_drawn, PICTURES)

    def _read_again(self) -> None:
        """Read again what was absent."""
        state = self._model.state
        self.status.begin()
        reading = [panel for panel in self.panels if isinstance(panel, ReadingPanel)]
        for panel in reading:
            panel.forget_absent()
        for panel in reading:  # after all have, since they share mean spectra
            panel.update(state, state)
        self._wait_for_pictures()

    def _open_panels(self, before: ViewState | None, after: ViewState) -> list[Panel]:
        """Open and close panels; return those that are new."""
        if before is not None and (len(before.pictures), before.panels) == (
            len(after.pictures), after.panels,
        ):  # fmt: skip
            return []
        there = {panel.name: panel for panel in self.panels}
        self.panels = make_panels(self._session, there)
        for name in there.keys() - {panel.name for panel in self.panels}:
            self._worker.drop(name)
        for panel in self.panels:
            own = f"dkv-panel-{panel.name}"
            if panel.name not in there:
                kinds = ["dkv-panel"] + ["dkv-panel-first"] * (panel.name == "picture-0")
                kinds += ["dkv-panel-picture"] * panel.name.startswith(PICTURES)
                kinds += ["dkv-panel-curve"] * (panel.name in BELOW)
                kinds += ["dkv-panel-tall"] * (panel.root.sizing_mode == "stretch_both")
                panel.root.css_classes = [*panel.root.css_classes, own, *kinds]
                sheets = self._widgets.look["stylesheets"]
                panel.root.stylesheets = [*panel.root.stylesheets, *sheets]
                self.channel.label(own, role="group", aria_label=panel.title)
                for model in panel.root.references():
                    if isinstance(model, Axis):
                        model.major_label_policy = NoOverlap()
                    elif isinstance(model, RadioButtonGroup):
                        self._widgets.adopt(model)
        pictures = [panel for panel in self.panels if panel.name.startswith(PICTURES)]
        curves = [panel for panel in self.panels if panel.name in BELOW]
        self._pictures.children = [panel.root for panel in pictures]
        self._curves.children = [panel.root for panel in curves]
        self._others.children = [p.root for p in self.panels if p not in pictures + curves]
        return [panel for panel in self.panels if panel.name not in there]

    def _on_main_drawn(self) -> None:
        self._is_behind = False
        self._later.call(self._catch_up)

    def _on_drawn(self) -> None:
        self._is_waiting = False
        self.status.finish([getattr(panel, "drawn", None) for panel in self.panels])
        self._later.call(self._catch_up)

    def _catch_up(self) -> None:
        self._follow()
        self.look.refresh()

    def _fail(self, error: Exception) -> None:
        self.status.say(str(error))

    # Messages of the browser ------------------------------------------------------------------

    def _receive(self, message: Mapping[str, Any]) -> None:
        kind = message["kind"]
        if kind == "axis":
            axis, pixel = int(message["axis"]), int(message["pixel"])
            shape = self._session.source.shape
            if not (0 <= axis < len(shape) and 0 <= pixel < shape[axis]):
                raise SelectionError(f"pixel {pixel} of axis {axis}: not in data of shape {shape}")
            self._model.set(self._model.state.moved(axis, pixel))
        elif kind == "key":
            for panel in self.panels:
                if isinstance(panel, PointedPanel):
                    panel.take_pointer()
            self.actions.press(str(message["key"]), int(message["times"]))
        elif kind == "play":
            self.actions.play_on()

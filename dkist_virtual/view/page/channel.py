"""Carry keys and sliders from the browser to Python, each after the last one was drawn."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from bokeh.models import ColumnDataSource, CustomJS

from dkist_virtual.errors import SelectionError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from bokeh.document import Document
    from bokeh.models.widgets import Div, Slider

    from dkist_virtual.view.page.keys import Key
    from dkist_virtual.view.reading.worker import Worker

__all__ = ["PICTURES", "Channel"]

PICTURES: Final = "picture"
"""What the names of pictures begin with, and of their reads: a step waits for these."""

SLIDE: Final = "up.slide?.(axis, cb_obj.value)"


class Channel:
    """The one way of keys, sliders and play from a page to Python.

    The browser sends a message when the pictures of the one before have been drawn; it waits for
    pictures of many frames only while it plays. In between, it keeps the newest pixel of each
    slider and counts the presses of keys: steps never lag behind the hand, and a held key steps as
    fast as pictures are drawn.

    Parameters
    ----------
    worker : Worker
        Tells when pictures have been read.
    receive : callable
        Takes each message, in the thread of the page.
    failed : callable
        Takes the error of a message that could not be followed.
    """

    def __init__(
        self,
        worker: Worker,
        receive: Callable[[Mapping[str, Any]], None],
        failed: Callable[[Exception], None],
    ) -> None:
        self._worker = worker
        self._receive = receive
        self._failed = failed
        self._number = self._drawn = 0
        self._up = ColumnDataSource(data={"message": [""]})
        self._down = ColumnDataSource(data={"message": [""]})
        self._up.on_change("data", self._on_message)
        self._labels: dict[tuple[str, str], dict[str, str]] = {}
        self._sliders: dict[int, Slider] = {}
        self.point: tuple[int, ...] = ()
        """What the sliders are to show."""
        self.playing: float | None = None
        """Milliseconds from one step of a play to the next, at least; None for no play."""

    @property
    def models(self) -> list[Any]:
        """What a model of the page has to refer to, in its `tags`, to be known to the document."""
        return [self._up, self._down]

    def add_slider(self, axis: int, slider: Slider) -> None:
        """Send what a hand does to a slider."""
        self._sliders[axis] = slider
        sends = CustomJS(args={"up": self._up, "axis": axis}, code=SLIDE)
        slider.js_on_change("value", sends)

    def connect(
        self, document: Document, *, page_class: str, title: str, keys: Sequence[Key],
        text: Div, is_whole_window: bool,
    ) -> None:  # fmt: skip
        """Listen to keys when a document is ready.

        Parameters
        ----------
        page_class : str
            The CSS class of the page's root, which no other element has.
        text : Div
            One of the page's lines of text: all of them are written as soon as they change.
        is_whole_window : bool
            Whether keys count wherever the focus is, or in the page alone: in a notebook, they are
            the notebook's elsewhere.
        """
        length = 1 + max(self._sliders, default=-1)
        listens = CustomJS(
            args={
                "up": self._up,
                "down": self._down,
                "sliders": [self._sliders.get(axis) for axis in range(length)],
                "text": text,
                "page_class": page_class,
                "title": title,
                "keys": [name for key in keys for name in key.names],
                "help": [[list(key.shown), key.what] for key in keys],
                "is_whole_window": is_whole_window,
            },
            code=Path(__file__).with_name("channel.js").read_text("utf-8"),
        )
        document.js_on_event("document_ready", listens)
        if is_whole_window:
            again = Path(__file__).with_name("load_again.js").read_text("utf-8")
            document.js_on_event("connection_lost", CustomJS(code=again))

    def label(self, name: str, part: str = "", **attributes: str) -> None:
        """Give attributes, such as ``aria_label``, to a part of the widget of a CSS class."""
        plain = {key.replace("_", "-"): value for key, value in attributes.items()}
        self._labels.setdefault((name, part), {}).update(plain)

    def tell(self, *, asks_for_help: bool = False, takes_focus: bool = False) -> None:
        """Send point, labels and play to the page."""
        answer = {
            "number": self._drawn,
            "point": self.point,
            "labels": [[*key, attributes] for key, attributes in self._labels.items()],
            "playing": None if self.playing is None else {"every": self.playing},
            "asks_for_help": asks_for_help,
            "takes_focus": takes_focus,
        }
        self._down.data = {"message": [json.dumps(answer)]}

    def _on_message(self, attr: str, old: object, new: Any) -> None:  # noqa: ARG002
        try:
            self._worker.go_on()
            message = json.loads(new["message"][0])
            self._number = int(message["number"])
            self._receive(message)
        except (SelectionError, LookupError, TypeError, ValueError) as error:
            self._failed(error)
        finally:
            # A hand does not wait for pictures of many frames; what is played is seen whole.
            is_played = self.playing is not None
            self._worker.when_idle(self._finish, PICTURES, is_patient=is_played)

    def _finish(self) -> None:
        self._drawn = self._number
        self.tell()

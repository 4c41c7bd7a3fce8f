"""Put a slider for each axis of the data on a page, with its world coordinate."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from bokeh.models import Column, Row
from bokeh.models.widgets import Slider

from dkist_virtual.view.axes import pixel_text

if TYPE_CHECKING:
    from collections.abc import Callable

    from bokeh.models.widgets import Button, Div

    from dkist_virtual.view.page.channel import Channel
    from dkist_virtual.view.page.widgets import Widgets
    from dkist_virtual.view.session import Session
    from dkist_virtual.view.state.state import ViewState

__all__ = ["AxisSliders"]

PLAY, PAUSE = "\N{BLACK RIGHT-POINTING TRIANGLE}", "\N{DOUBLE VERTICAL LINE}"


class AxisSliders:
    """A slider for each axis that is longer than one pixel; buttons for Stokes parameters.

    Parameters
    ----------
    play : callable
        Takes the axis whose button was pressed.
    """

    def __init__(
        self, session: Session, channel: Channel, widgets: Widgets, play: Callable[[int], None]
    ) -> None:
        self._session, self._channel, self._widgets = session, channel, widgets
        self._axes = session.source.axes
        self._values: dict[int, Div] = {}
        self._play: dict[int, Button] = {}
        self._stokes: list[Button] = []
        rows: list[Any] = []
        for axis, n in enumerate(session.source.shape):
            if n < 2:
                continue
            letters = session.source.letters
            if axis == session.source.roles.stokes and len(letters) == n:
                rows.append(self._stokes_row(axis, letters))
            else:
                rows.append(self._slider_row(axis, n, play))
        self.root = widgets.column(widgets.heading("Point"), *rows)

    def _slider_row(self, axis: int, n: int, play: Callable[[int], None]) -> Row:
        name, look = self._axes.names[axis], self._widgets.look
        slider = Slider(
            start=0, end=n - 1, value=self._session.model.state.point[axis], step=1, title=None,
            show_value=False, sizing_mode="stretch_width", margin=(0, 14, 6, 10), tooltips=False,
            css_classes=[f"dkv-axis-{axis}"], **look,
        )  # fmt: skip
        self._channel.add_slider(axis, slider)
        self._channel.label(f"dkv-axis-{axis}", ".noUi-handle", aria_label=name)
        text = self._values[axis] = self._widgets.text(margin=(2, 0, 0, 4))
        button = self._play[axis] = self._widgets.button(
            PLAY, partial(play, axis), width=32, height=26, margin=(8, 0, 0, 6)
        )
        column = Column(children=[text, slider], sizing_mode="stretch_width")
        return Row(children=[button, column], sizing_mode="stretch_width")

    def _stokes_row(self, axis: int, letters: tuple[str, ...]) -> Row:
        widgets = self._widgets
        self._stokes = [
            widgets.button(letter, partial(self._move, axis, pixel), f"Stokes {letter}",
                           width=36, height=26)
            for pixel, letter in enumerate(letters)
        ]  # fmt: skip
        name = widgets.text("Stokes", margin=(6, 4, 0, 6), sizing_mode=None, width=50)
        return Row(children=[name, *self._stokes], sizing_mode="stretch_width")

    def _move(self, axis: int, pixel: int) -> None:
        model = self._session.model
        model.set(model.state.moved(axis, pixel))

    def update(self, before: ViewState | None, after: ViewState) -> None:
        """Show another point."""
        if before is not None and (before.point, before.tile) == (after.point, after.tile):
            return
        texts = self._axes.at(after.point, after.tile)
        for axis, div in self._values.items():
            n = self._session.source.shape[axis]
            counted = pixel_text(after.point[axis], n)
            div.text = f"{self._axes.names[axis]}  {texts[axis]}".rstrip() + f"\n{counted}"
            said = texts[axis] or f"pixel {counted}"
            self._channel.label(f"dkv-axis-{axis}", ".noUi-handle", aria_valuetext=said)
        stokes = self._session.source.roles.stokes
        for pixel, button in enumerate(self._stokes):
            self._widgets.press(button, stokes is not None and after.point[stokes] == pixel)

    def show_playing(self, playing: int | None) -> None:
        """Show which axis plays."""
        for axis, button in self._play.items():
            name = self._axes.names[axis]
            if axis == playing:
                self._widgets.rename(button, PAUSE, f"Pause {name}")
            else:
                self._widgets.rename(button, PLAY, f"Play along {name}")

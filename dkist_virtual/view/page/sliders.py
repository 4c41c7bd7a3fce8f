"""Put a slider for each axis of the data on a page, with its world coordinate."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from bokeh.models import Column, Row
from bokeh.models.widgets import Button, Div, Slider

from dkist_virtual.plot.planes import labels_of
from dkist_virtual.plot.ticks import coordinate_along, name_of
from dkist_virtual.view.page.keys import stokes_letters
from dkist_virtual.view.page.style import sheet

if TYPE_CHECKING:
    from collections.abc import Callable

    from dkist_virtual.view.page.channel import Channel
    from dkist_virtual.view.session import Session
    from dkist_virtual.view.state.state import Point, ViewState

__all__ = ["AxisSliders", "PixelTexts"]

PLAY, PAUSE = "\N{BLACK RIGHT-POINTING TRIANGLE}", "\N{DOUBLE VERTICAL BAR}"


class PixelTexts:
    """Writes the world coordinates of a point, one for each axis of the array."""

    def __init__(self, session: Session) -> None:
        source = session.source
        self._world = source.subject.world
        at = source.middle()
        axes = range(len(source.shape))
        self._index = labels_of(self._world, axes)
        self._steps = {}
        self.names = list(source.subject.axis_names)
        for axis, index in self._index.items():
            along = coordinate_along(self._world, axis, index, at)
            self._steps[axis] = None if along is None else along.step
            if along is not None:
                self.names[axis] = name_of(along.axis)

    def at(self, point: Point) -> list[str]:
        """Write the coordinate of each axis at a point; a pixel where there is none."""
        values = self._world.values(*map(float, point))
        texts = []
        for axis, index in self._index.items():
            if index is None:
                texts.append(f"pixel {point[axis]}")
                continue
            value = float(values[index])
            one = self._world.axes[index]
            text = self._world.text(one, value, self._steps[axis])
            texts.append(text.replace("T", " ") + " UTC" if one.kind == "time" else text)
        return texts


class AxisSliders:
    """A slider for each axis that is longer than one pixel; buttons for Stokes parameters.

    Parameters
    ----------
    play : callable
        Takes the axis whose button was pressed.
    """

    def __init__(self, session: Session, channel: Channel, play: Callable[[int], None]) -> None:
        self._session, self._channel = session, channel
        self._texts = PixelTexts(session)
        self._values: dict[int, Div] = {}
        self._play: dict[int, Button] = {}
        self._stokes: list[Button] = []
        rows: list[Any] = []
        for axis, n in enumerate(session.source.shape):
            if n < 2:
                continue
            if axis == session.source.roles.stokes:
                rows.append(self._stokes_row(axis))
            else:
                rows.append(self._slider_row(axis, n, play))
        self.root = Column(children=rows, sizing_mode="stretch_width", stylesheets=[sheet()])

    def _slider_row(self, axis: int, n: int, play: Callable[[int], None]) -> Row:
        name = self._texts.names[axis]
        slider = Slider(
            start=0, end=n - 1, value=self._session.model.state.point[axis], step=1, title=None,
            show_value=False, sizing_mode="stretch_width", margin=(0, 12, 4, 8), tooltips=False,
            css_classes=[f"dkv-axis-{axis}"], stylesheets=[sheet()],
        )  # fmt: skip
        self._channel.add_slider(axis, slider)
        self._channel.label(f"dkv-axis-{axis}", ".noUi-handle", aria_label=name)
        text = Div(sizing_mode="stretch_width", margin=(2, 0, 0, 0), stylesheets=[sheet()],
                   render_as_text=True, disable_math=True)  # fmt: skip
        self._values[axis] = text
        button = Button(label=PLAY, width=34, height=28, margin=(4, 0, 0, 4),
                        css_classes=[f"dkv-play-{axis}"], stylesheets=[sheet()])  # fmt: skip
        button.on_click(partial(play, axis))
        self._play[axis] = button
        column = Column(children=[text, slider], sizing_mode="stretch_width")
        return Row(children=[button, column], sizing_mode="stretch_width")

    def _stokes_row(self, axis: int) -> Row:
        model = self._session.model
        for pixel, letter in enumerate(stokes_letters(self._session.source)):
            button = Button(
                label=letter, width=40, height=28, margin=(2, 2, 2, 2),
                css_classes=[f"dkv-stokes-{pixel}"], stylesheets=[sheet()],
            )  # fmt: skip
            button.on_click(lambda pixel=pixel: model.set(model.state.moved(axis, pixel)))
            self._channel.label(f"dkv-stokes-{pixel}", "button", aria_label=f"Stokes {letter}")
            self._stokes.append(button)
        name = Div(text="Stokes", margin=(6, 4, 0, 4), stylesheets=[sheet()])
        return Row(children=[name, *self._stokes], sizing_mode="stretch_width")

    def update(self, before: ViewState | None, after: ViewState) -> None:
        """Show another point."""
        if before is not None and before.point == after.point:
            return
        texts = self._texts.at(after.point)
        for axis, div in self._values.items():
            name, n = self._texts.names[axis], self._session.source.shape[axis]
            div.text = f"{name}  {texts[axis]}   {after.point[axis]} of 0\N{EN DASH}{n - 1}"
            self._channel.label(f"dkv-axis-{axis}", ".noUi-handle", aria_valuetext=texts[axis])
        stokes = self._session.source.roles.stokes
        for pixel, button in enumerate(self._stokes):
            chosen = stokes is not None and after.point[stokes] == pixel
            button.button_type = "primary" if chosen else "default"
            self._channel.label(f"dkv-stokes-{pixel}", "button", aria_pressed=str(chosen).lower())

    def show_playing(self, playing: int | None) -> None:
        """Show which axis plays."""
        for axis, button in self._play.items():
            is_playing = axis == playing
            button.label = PAUSE if is_playing else PLAY
            word = "Pause" if is_playing else "Play along"
            self._channel.label(
                f"dkv-play-{axis}", "button", aria_label=f"{word} {self._texts.names[axis]}"
            )

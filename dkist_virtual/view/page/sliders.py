"""Put a slider for each axis of the data on a page, with its world coordinate."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from bokeh.models import Column, Row
from bokeh.models.widgets import Slider

from dkist_virtual.plot.planes import labels_of
from dkist_virtual.plot.ticks import coordinate_along, name_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from bokeh.models.widgets import Button, Div

    from dkist_virtual.view.page.channel import Channel
    from dkist_virtual.view.page.widgets import Widgets
    from dkist_virtual.view.session import Session
    from dkist_virtual.view.state.state import Point, ViewState

__all__ = ["AxisSliders", "PixelTexts"]

SHORT = {"helioprojective longitude": "Tx", "helioprojective latitude": "Ty"}
"""What solar physicists call some coordinates, where there is little room."""
PLAY, PAUSE = "\N{BLACK RIGHT-POINTING TRIANGLE}", "\N{DOUBLE VERTICAL LINE}"


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
        # Scans and positions of a slit both have a time: each is called what the array calls it.
        own, names = source.subject.axis_names, tuple(self.names)
        self.names = [
            own[axis] if names.count(name) > 1 else name for axis, name in enumerate(names)
        ]

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

    def __init__(
        self, session: Session, channel: Channel, widgets: Widgets, play: Callable[[int], None]
    ) -> None:
        self._session, self._channel, self._widgets = session, channel, widgets
        self._texts = PixelTexts(session)
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
        name, look = self._texts.names[axis], self._widgets.look
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
        if before is not None and before.point == after.point:
            return
        texts = self._texts.at(after.point)
        for axis, div in self._values.items():
            n = self._session.source.shape[axis]
            name = SHORT.get(self._texts.names[axis], self._texts.names[axis])
            div.text = f"{name}  {texts[axis]}\n{after.point[axis]} of 0\N{EN DASH}{n - 1}"
            self._channel.label(f"dkv-axis-{axis}", ".noUi-handle", aria_valuetext=texts[axis])
        stokes = self._session.source.roles.stokes
        for pixel, button in enumerate(self._stokes):
            self._widgets.press(button, stokes is not None and after.point[stokes] == pixel)

    def show_playing(self, playing: int | None) -> None:
        """Show which axis plays."""
        for axis, button in self._play.items():
            name = self._texts.names[axis]
            if axis == playing:
                self._widgets.rename(button, PAUSE, f"Pause {name}")
            else:
                self._widgets.rename(button, PLAY, f"Play along {name}")

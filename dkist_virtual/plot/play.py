"""Play a figure along one of its sliders: a button beside each, and the space bar."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Protocol

from matplotlib.lines import Line2D
from matplotlib.path import Path

from dkist_virtual.errors import FrameError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.axes import Axes
    from matplotlib.backend_bases import KeyEvent, MouseEvent, RendererBase
    from matplotlib.figure import Figure, SubFigure

__all__ = ["PlayButton", "Player", "Stage"]

INTERVAL: Final = 150
"""Milliseconds from one plane to the next, where it is there by then."""
POINTS: Final = 9.0
"""Height of a button."""

_PAUSE: Final = Path(
    [(-0.4, -0.5), (-0.1, -0.5), (-0.1, 0.5), (-0.4, 0.5), (-0.4, -0.5),
     (0.1, -0.5), (0.4, -0.5), (0.4, 0.5), (0.1, 0.5), (0.1, -0.5)],
    [Path.MOVETO, Path.LINETO, Path.LINETO, Path.LINETO, Path.CLOSEPOLY] * 2,
)  # fmt: skip
_PLAY: Final = Path([(-0.35, -0.5), (0.5, 0.0), (-0.35, 0.5), (-0.35, -0.5)], closed=True)


class PlayButton(Line2D):
    """A triangle, or two bars while it plays: a part of a slider's axes, outside of their box.

    A slider's step draws it with the slider, and what hides the slider hides it. It is not in a
    figure that is saved.
    """

    def __init__(self, axes: Axes) -> None:
        self._place = 0.0
        super().__init__(
            [0.0], [0.5], marker=_PLAY, markersize=POINTS, color="0.35", linestyle="none",
            transform=axes.transAxes, clip_on=False,
        )  # fmt: skip
        axes.add_artist(self)
        self.set_clip_path(None)

    def show(self, *, playing: bool) -> None:
        """Show what a click would do."""
        self.set_marker(_PAUSE if playing else _PLAY)

    def place(self, x: float) -> None:
        """Put it at a place in widths of the slider."""
        self._place = x
        self.set_xdata([x])

    def is_under(self, event: MouseEvent) -> bool:
        """Whether the pointer is on it, or nearly."""
        ((x, y),) = self.get_transform().transform([(self._place, 0.5)])
        figure = self.get_figure(root=True)
        assert figure is not None
        reach = 0.75 * POINTS * figure.dpi / 72
        return bool(abs(event.x - x) <= reach and abs(event.y - y) <= reach)

    def draw(self, renderer: RendererBase) -> None:
        """Draw it on a screen."""
        figure = self.get_figure(root=True)
        if figure is not None and not figure.canvas.is_saving():
            super().draw(renderer)


class Stage(Protocol):
    """What a player needs of a plot."""

    figure: Figure | SubFigure
    position: list[int]
    sliders: Any
    shown: Any
    subject: Any

    def show(self, position: Mapping[int, int]) -> Any:
        """Show other pixels."""

    def _is_coming(self, position: Sequence[int]) -> bool: ...
    def _repaint(self) -> None: ...


class Player:
    """Steps a plot along a slider until its end, by a timer of the figure.

    A click on a button, or the space bar, starts and stops it; at the end it starts from the
    beginning. The space bar takes the slider under the pointer, else the one that was played last,
    else that of the time. A plane that is still being read is waited for, while the figure stays
    usable. Where there is no event loop, there are no buttons.

    Parameters
    ----------
    plot : Stage
    timed : int or None
        The number of the slider that shows the time.
    """

    def __init__(self, plot: Stage, timed: int | None) -> None:
        self._plot = plot
        self._last = timed if timed is not None else 0
        self.playing: int | None = None
        """The number of the slider that is played; None while it pauses."""
        canvas = plot.figure.canvas
        self._timer = canvas.new_timer(interval=INTERVAL)
        if not plot.sliders.buttons:
            return
        self._timer.add_callback(self._step)
        canvas.mpl_connect("button_press_event", self._on_click)
        canvas.mpl_connect("key_press_event", self._on_key)
        canvas.mpl_connect("close_event", lambda _: self.pause())

    def play(self, number: int) -> None:
        """Play along a slider, given by its number; from the beginning if it is at its end."""
        self.pause()
        self._last = self.playing = number
        axis = self._plot.shown.sliding[number]
        if self._plot.position[axis] == self._plot.subject.world.shape[axis] - 1:
            self._show(0)
        if self.playing is not None:
            self._mark()
            self._timer.start()

    def pause(self) -> None:
        """Stop where it is."""
        if self.playing is None:
            return
        self._timer.stop()
        self.playing = None
        self._mark()

    def _mark(self) -> None:
        for number, button in enumerate(self._plot.sliders.buttons):
            button.show(playing=number == self.playing)
        self._plot._repaint()

    def _step(self) -> None:
        """Show the next plane, unless it is still being read."""
        if self.playing is None:
            return
        plot, axis = self._plot, self._plot.shown.sliding[self.playing]
        following = list(plot.position)
        following[axis] += 1
        n = plot.subject.world.shape[axis]
        if following[axis] < n and plot._is_coming(following):
            return
        if following[axis] < n:
            self._show(following[axis])
        if following[axis] >= n - 1:
            self.pause()

    def _show(self, pixel: int) -> None:
        assert self.playing is not None
        try:
            self._plot.show({self._plot.shown.sliding[self.playing]: pixel})
        except FrameError:
            self.pause()  # the figure says why
        except BaseException:
            self.pause()
            raise

    def _toggle(self, number: int) -> None:
        if self.playing == number:
            self.pause()
        else:
            self.play(number)

    def _on_click(self, event: MouseEvent) -> None:
        if event.button != 1:
            return
        for number, button in enumerate(self._plot.sliders.buttons):
            if button.is_under(event):
                self._toggle(number)

    def _on_key(self, event: KeyEvent) -> None:
        if event.key not in (" ", "space") or event.canvas.widgetlock.locked():
            return
        # Another part of the figure may have a plot of its own.
        if event.x is not None and not self._plot.figure.bbox.contains(event.x, event.y):
            return
        if self.playing is not None:
            self.pause()
            return
        under = [
            number for number, slider in enumerate(self._plot.sliders.widgets)
            if slider.ax is event.inaxes
        ]  # fmt: skip
        self._toggle(under[0] if under else self._last)

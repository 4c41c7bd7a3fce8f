"""Put sliders in world coordinates under a figure; repaint the parts that a step changes."""

from __future__ import annotations

from contextlib import contextmanager
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Any, Final

from matplotlib.backend_bases import TimerBase
from matplotlib.colors import to_rgba
from matplotlib.patches import Rectangle
from matplotlib.transforms import Bbox
from matplotlib.widgets import Slider

from dkist_virtual.plot.figure_text import figure_inches, text_inches
from dkist_virtual.plot.play import PlayButton

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.backend_bases import MouseEvent, RendererBase
    from matplotlib.figure import Figure, SubFigure
    from matplotlib.text import Text

__all__ = ["SLIDER_HEIGHT", "Repainter", "Sliders"]

SLIDER_HEIGHT: Final = 0.28
"""Inches, for each."""
SHORTEST: Final = 0.8
"""Inches of a slider: its name and value get smaller before it gets shorter."""
GAP: Final = 0.12
"""Inches beside names, sliders and values."""
BUTTON: Final = 0.22
"""Inches of a button on the left of a slider's name."""
HINT: Final = (
    "not interactive here: plot.at() and plot.step() move these; so do hands after "
    "%matplotlib widget (needs ipympl)"
)
"""Written under sliders that no hand can move, as in a notebook's inline figures."""


class Sliders:
    """One slider for each axis that is not drawn.

    A wheel over a slider steps it by one. Where there is an event loop, a slider that is dragged
    calls back once for all the pixels that it passed during the last call, and each has a button
    that plays it.

    `changed` takes the number of a slider and its new pixel.
    """

    def __init__(
        self,
        figure: Figure | SubFigure,
        names: Sequence[str],
        lengths: Sequence[int],
        start: Sequence[int],
        changed: Callable[[int, int], None],
    ) -> None:
        self._figure = figure
        self._changed = changed
        self._wanted: tuple[int, int] | None = None
        self.widgets: list[Slider] = []
        for number, (name, n, at) in enumerate(zip(names, lengths, start, strict=True)):
            axes = figure.add_axes((0.3, 0.1, 0.3, 0.1), label=f"slider {number}")
            slider = Slider(axes, name, 0, n - 1, valinit=at, valstep=1, color="0.55")
            slider.drawon = False
            slider.vline.set_visible(False)
            slider.on_changed(partial(self._on_change, number))
            self.widgets.append(slider)
        figure.canvas.mpl_connect("scroll_event", self._on_scroll)
        self._timer = figure.canvas.new_timer(interval=1)
        self._timer.single_shot = True
        self._timer.add_callback(self._call)
        self.hint: Text | None = None
        if self.widgets and not self.interactive:
            self.hint = figure.text(0.5, 0, HINT, ha="center", va="bottom", color="0.35")
        # A figure that no hand can reach looks as it would without buttons.
        able = self.widgets if self.interactive else []
        self.buttons = [PlayButton(slider.ax) for slider in able]
        self._longest = [slider.valtext.get_text() for slider in self.widgets]
        self.place()

    @property
    def interactive(self) -> bool:
        """Whether there is an event loop, and so a hand on the mouse."""
        return type(self._timer) is not TimerBase

    def place(self, longest: Sequence[str] | None = None) -> None:
        """Put sliders between their names and values, for the figure's present size.

        There is room for the longest value that each slider will show.
        """
        if not self.widgets:
            return
        self._longest = list(longest or self._longest)
        wide, high = figure_inches(self.widgets[0].ax)
        texts = [(slider.label, slider.valtext) for slider in self.widgets]
        for text in chain(*texts):
            text.set_fontsize("small")
        shown = [value.get_text() for _, value in texts]
        for (_, value), words in zip(texts, self._longest, strict=True):
            value.set_text(words)
        before = max(text_inches(name)[0] for name, _ in texts)
        after = max(text_inches(value)[0] for _, value in texts)
        for (_, value), now in zip(texts, shown, strict=True):
            value.set_text(now)
        edge = BUTTON if self.buttons else 0.0
        room = wide - SHORTEST - 4 * GAP - edge
        smaller = min(room / (before + after), 1)
        before, after = before * smaller, after * smaller
        for text in chain(*texts):
            text.set_fontsize(float(text.get_fontsize()) * smaller)
        left = max(2 * GAP + before + edge, 1.0)
        long = max(wide - left - 2 * GAP - after, SHORTEST)
        bottom = 0.12 if self.hint is None else 0.25
        for number, slider in enumerate(self.widgets):
            below = bottom + SLIDER_HEIGHT * (len(self.widgets) - 1 - number)
            slider.ax.set_position((left / wide, below / high, long / wide, 0.2 / high))
            slider.label.set_x(-GAP / long)  # clear of the handle at either end
            slider.valtext.set_x(1 + GAP / long)
        for button in self.buttons:
            button.place((GAP + 0.4 * BUTTON - left) / long)
        if self.hint is not None:
            self.hint.set_y(0.06 / high)
            self.hint.set_fontsize("x-small")
            wanted = text_inches(self.hint)[0]
            points = float(self.hint.get_fontsize())
            self.hint.set_fontsize(points * min(1, (wide - 2 * GAP) / wanted))

    @contextmanager
    def hidden(self) -> Iterator[None]:
        """Hide them for as long as the block runs."""
        artists: list[Artist] = [slider.ax for slider in self.widgets]
        artists += [] if self.hint is None else [self.hint]
        for artist in artists:
            artist.set_visible(False)
        try:
            yield
        finally:
            for artist in artists:
                artist.set_visible(True)

    def set(self, number: int, pixel: int, text: str) -> None:
        """Move a slider without a callback, and write its value."""
        slider = self.widgets[number]
        slider.eventson = False
        slider.set_val(pixel)
        slider.eventson = True
        slider.valtext.set_text(text)
        if len(text) > len(self._longest[number]):
            self._longest[number] = text
            self.place()

    def _on_change(self, number: int, value: float) -> None:
        self._wanted = number, int(value)
        if not self.interactive:  # no timer ever fires
            self._call()
        else:
            self._timer.start()

    def _call(self) -> None:
        wanted, self._wanted = self._wanted, None
        if wanted is not None:
            self._changed(*wanted)

    def _on_scroll(self, event: MouseEvent) -> None:
        for slider in self.widgets:
            if event.inaxes is slider.ax:
                by = 1 if event.button == "up" else -1
                slider.set_val(min(max(slider.val + by, slider.valmin), slider.valmax))


class Repainter:
    """Repaints the parts that a step changes, over a picture of everything else.

    Images, all of the same axes, are animated, so that they are not in that picture; artists above
    them are drawn over them again. Small axes, colour bar and sliders, change as a whole.
    """

    def __init__(
        self,
        figure: Figure | SubFigure,
        images: Sequence[Artist],
        small: Callable[[], Sequence[Axes]],
    ) -> None:
        self._figure = figure
        self._images = list(images)
        self._find_small = small
        self._picture: object = None
        self._areas: list[Bbox] = []
        self.n_full = 0
        """How often everything was drawn."""
        canvas: Any = figure.canvas  # with the methods of one that can blit
        self._partly = bool(canvas.supports_blit)
        for image in images:
            image.set_animated(self._partly)
        canvas.mpl_connect("draw_event", self._on_draw)

    def forget(self) -> None:
        """Let the next step draw all of the figure."""
        self._picture = None

    def step(self) -> None:
        """Draw the parts that a step changed."""
        canvas: Any = self._figure.canvas
        if self._picture is None or self._has_grid():
            canvas.draw()
            return
        canvas.restore_region(self._picture)
        renderer = canvas.get_renderer()
        self._paint(renderer)
        for number, axes in enumerate(self._find_small()):
            self._erase(self._areas[number], renderer)
            axes.draw(renderer)
            # The new texts may be longer.
            area = axes.get_tightbbox(renderer) or self._areas[number]
            self._areas[number] = Bbox.union([self._areas[number], area])
        canvas.blit(self._figure.bbox)

    def _on_draw(self, event: Any) -> None:  # a DrawEvent, of a canvas that can blit
        self.n_full += 1
        canvas = event.canvas
        if not self._partly or canvas.is_saving():
            self._picture = None  # a file that is saved has the animated artists in it
            return
        self._picture = canvas.copy_from_bbox(self._figure.bbox)
        tight = (axes.get_tightbbox(event.renderer) for axes in self._find_small())
        self._areas = [area or Bbox.null() for area in tight]
        self._paint(event.renderer)

    def _paint(self, renderer: RendererBase) -> None:
        axes: Any = self._images[0].axes  # astropy's have methods of their own
        for image in self._images:
            axes.draw_artist(image)
        above = [
            child
            for child in axes.get_children()
            if child.get_zorder() > self._images[0].get_zorder()
            and child not in _outside(axes)
            and not child.get_animated()
        ]
        for child in sorted(above, key=lambda child: child.get_zorder()):
            child.draw(renderer)
        if self._has_grid():
            axes.draw_wcsaxes(renderer)
        elif hasattr(axes, "coords"):
            axes.coords.frame.draw(renderer)

    def _has_grid(self) -> bool:
        """Whether astropy's axes have grid lines over the image, which they draw with the rest."""
        coordinates = getattr(self._images[0].axes, "coords", ())
        # astropy tells by no public name whether a grid is drawn.
        return any(one._grid_lines_kwargs.get("visible") for one in coordinates)

    @property
    def _background(self) -> Any:
        """The colour behind everything: a part of a figure may have none of its own."""
        colour = self._figure.get_facecolor()
        root: Any = self._figure.get_figure(root=True)
        return colour if to_rgba(colour)[3] else root.get_facecolor()

    def _erase(self, area: Bbox, renderer: RendererBase) -> None:
        box = Rectangle(
            (area.x0 - 1, area.y0 - 1), area.width + 2, area.height + 2, transform=None,
            facecolor=self._background, linewidth=0,
        )  # fmt: skip
        box.set_figure(self._figure)
        box.draw(renderer)


def _outside(axes: Any) -> list[Artist]:
    """List the children of axes that are not over their image: background, labels, other axes."""
    # Both packages give their text, and nowhere the artists themselves.
    titles = [axes.title, axes._left_title, axes._right_title]
    artist = getattr(axes, "_wcsaxesartist", None)
    return [axes.patch, axes.xaxis, axes.yaxis, *titles, *axes.child_axes, artist]

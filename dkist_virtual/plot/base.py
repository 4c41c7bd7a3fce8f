"""Step a figure through an array: keep its position, move its sliders, read ahead."""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Self, TypeAlias

import numpy as np
from matplotlib.artist import ArtistInspector
from matplotlib.figure import Figure, SubFigure
from matplotlib.text import Text
from matplotlib.transforms import Bbox

from dkist_virtual.cube.crop import nearest_index
from dkist_virtual.cube.points import COORDINATES, as_points
from dkist_virtual.cube.virtual_array import VirtualArray
from dkist_virtual.errors import FrameError, SelectionError
from dkist_virtual.plot.figure_text import EDGE, BoxedText, Page, fit_title, size_inches
from dkist_virtual.plot.output.output import Output
from dkist_virtual.plot.planes import PlaneReader, change_along, labels_of
from dkist_virtual.plot.play import Player
from dkist_virtual.plot.sliders import SLIDER_HEIGHT, Sliders
from dkist_virtual.plot.ticks import name_of
from dkist_virtual.text import check_keywords

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.backend_bases import Event, RendererBase

    from dkist_virtual.plot.planes import Plane, ShownAxes, Subject

__all__ = ["Place", "SteppedPlot", "fits"]

Place: TypeAlias = tuple[float, float, float, float]
"""Left, bottom, width and height, in fractions of a figure."""

NARROWEST: Final = 5.5
"""Inches of a figure with sliders: they and their values need them."""
PLAIN: Final = 3.5
"""Inches of a figure without sliders."""
LOWEST: Final = 1.8
"""Inches above the sliders."""
ABOVE: Final = 0.45
"""Inches above the axes, for the title."""
_NAMED: Final = ("longitude", "latitude", "other")
"""Kinds of coordinates that a value alone does not tell apart."""


def _inches_below(n_sliders: int) -> float:
    return 0.75 + SLIDER_HEIGHT * n_sliders


def fits(figure: Figure | SubFigure, n_sliders: int) -> bool:
    """Whether a figure is large enough for a plot with so many sliders."""
    wide, high = size_inches(figure)
    narrowest = NARROWEST if n_sliders else PLAIN
    return wide >= narrowest and high >= _inches_below(n_sliders) + LOWEST


class SteppedPlot(Output, ABC):
    """A figure that steps through an array.

    `position` maps array axes that are not drawn to the pixel where to begin, by default the first.
    `title` replaces the plot's own, and `slider_labels` the names of the sliders.
    """

    figure: Figure | SubFigure

    def __init__(
        self,
        subject: Subject,
        shown: ShownAxes,
        position: Mapping[int, int] | None = None,
        *,
        title: str | None = None,
        slider_labels: Sequence[str] | None = None,
    ) -> None:
        self.subject = subject
        self.shown = shown
        given = dict(position or {})
        held = [axis for axis in given if axis not in (*shown.sliding, *shown.drawn)]
        self.position = [given.pop(axis) if axis in held else 0 for axis in range(shown.ndim)]
        self.position = self._position_after(given)
        self._labels = labels_of(subject.world, shown.sliding)
        self._written_by = self._choose_sliders()
        self._steps = {
            axis: change_along(subject.world, index, axis)
            for axis, index in self._written_by.items()
            if subject.world.axes[index].kind in _NAMED
        }
        self._own_title = title
        self._written_title: str | None = None
        self._slider_names = self._name_sliders(slider_labels)
        self._margins = 1.0, 1.3
        self._heights = [0.0, ABOVE]
        self._bounds: tuple[float, float, float, float] | None = None
        self._reader = PlaneReader(subject.data, subject.mask, shown, convert=subject.convert)
        self._over: list[Artist] = []
        self.followers: list[SteppedPlot] = []
        """Other figures of the same dataset, which step with this one."""

    def _make_figure(self, figure: Figure | SubFigure | None, height: float) -> Place:
        """Make a figure with sliders; return the place of the axes in it."""
        below = self._heights[0] = _inches_below(len(self.shown.sliding))
        if figure is None:
            import matplotlib.pyplot as plt

            figure = plt.figure(figsize=(8.0, below + height + ABOVE))
        if not isinstance(figure, (Figure, SubFigure)):
            raise TypeError(f"figure = {figure!r}: expected a matplotlib Figure")
        if not isinstance(figure, Page) and not fits(figure, len(self.shown.sliding)):
            wide, high = size_inches(figure)
            narrowest = NARROWEST if self.shown.sliding else PLAIN
            raise ValueError(
                f"figure of {wide:g} x {high:g} inches: this one, with {len(self.shown.sliding)} "
                f"sliders, needs {narrowest:g} x {below + LOWEST:.1f} at least"
            )
        self.figure = figure
        figure.canvas.mpl_connect("close_event", lambda _: self._reader.close())
        shape = self.subject.world.shape
        lengths = [shape[axis] for axis in self.shown.sliding]
        start = [self.position[axis] for axis in self.shown.sliding]
        self.sliders = Sliders(figure, self._slider_names, lengths, start, self._on_slider)
        self.sliders.place(self._longest_values())
        kinds = [self._kind_of(axis) for axis in self.shown.sliding]
        self.player = Player(self, kinds.index("time") if "time" in kinds else None)
        return self._place()

    def _place(self) -> Place:
        """Find the place of the axes in the figure at its present size."""
        wide, high = size_inches(self.figure)
        below, above = self._heights
        left, right = self._margins
        return (
            left / wide, below / high, (wide - left - right) / wide, (high - below - above) / high
        )  # fmt: skip

    @property
    def _root(self) -> Figure:
        """The whole figure, of which `figure` may be a part."""
        root = self.figure.get_figure(root=True)
        assert root is not None
        return root

    def _finish_layout(self) -> None:
        """Lay out the figure, and again whenever its size changes."""
        if isinstance(self.figure, Page):
            self._fill_page()
            return
        self._lay_out()
        boxes = self._drawn_boxes()
        wide, edge = size_inches(self.figure)[0], self.figure.bbox.x0 / self.figure.dpi
        left, right = self._margins
        left += max(0.0, *(EDGE - (box.x0 - edge) for box in boxes))
        right += max(0.0, *(box.x1 - edge - (wide - EDGE) for box in boxes))
        if wide - left - right > 1:
            self._margins = left, right
        self._lay_out()
        self.figure.canvas.mpl_connect("resize_event", self._on_resize)

    def _drawn_boxes(self) -> list[Bbox]:
        """Draw, then measure the axes with their labels, whose lengths depend on the axes."""
        renderers: list[RendererBase] = []
        listener = self.figure.canvas.mpl_connect(
            "draw_event", lambda event: renderers.append(event.renderer)
        )
        self._root.draw_without_rendering()
        self.figure.canvas.mpl_disconnect(listener)
        to_inches = self.figure.dpi_scale_trans.inverted()
        tight = [axes.get_tightbbox(renderers[-1]) for axes in self._all_axes]
        return [box.transformed(to_inches) for box in tight if box]

    def _fill_page(self) -> float:
        self._margins, self._heights = (0.6, 0.6), [0.4, 0.2]
        wide, high = size_inches(self.figure)
        for _ in range(3):
            self._lay_out()
            around = Bbox.union(self._drawn_boxes())
            left, right = self._margins
            self._margins = left + EDGE - around.x0, right + EDGE - (wide - around.x1)
            below, above = self._heights
            self._heights = [below + EDGE - around.y0, above + EDGE - (high - around.y1)]
            self._bounds = None
        self._lay_out()
        return float(around.height)

    def _lay_out(self) -> None:
        """Place axes and title; axes that the user moved since stay."""
        if self._bounds in (None, self._main_axes.get_position(original=True).bounds):
            self._put_axes(self._place())
            self._bounds = self._main_axes.get_position(original=True).bounds
        self._set_title()

    def _on_resize(self, _: Event) -> None:
        if min(size_inches(self.figure)) > 1:
            self.sliders.place()
            self._lay_out()

    @property
    @abstractmethod
    def _all_axes(self) -> list[Axes]:
        """The axes that are not sliders; the title is above the first."""

    @property
    def _main_axes(self) -> Axes:
        return self._all_axes[-1]

    @property
    def _message_axes(self) -> Axes:
        """The axes that messages are written over."""
        return self._all_axes[0]

    @abstractmethod
    def _put_axes(self, place: Place) -> None: ...

    @abstractmethod
    def _read_out(self, x: float, y: float) -> str:
        """Write the coordinates under the mouse, as finely as pixels are."""

    def _show_coordinates_of_mouse(self, axes: Axes) -> None:
        axes.format_coord = self._read_out  # type: ignore[method-assign]  # as matplotlib documents

    def _name(self, axis: int) -> str:
        """Name an axis that is not drawn: by its coordinate, unless another axis shares that."""
        index = self._labels[axis]
        if index is None or list(self._labels.values()).count(index) > 1:
            return self.subject.axis_names[axis]
        return name_of(self.subject.world.axes[index])

    def _kind_of(self, axis: int) -> str:
        """Name the kind of the coordinate that labels an axis; empty where there is none."""
        index = self._labels[axis]
        return "" if index is None else self.subject.world.axes[index].kind

    def _name_sliders(self, labels: Sequence[str] | None) -> list[str]:
        """Name the sliders; `labels` has names of the user's, for each axis that is not drawn."""
        if labels is None:
            return [self._name(axis) for axis in self.shown.sliding]
        others = [axis for axis in range(self.shown.ndim) if axis not in self.shown.drawn]
        for axes in (self.shown.sliding, others):
            if len(axes) == len(labels):
                named = dict(zip(axes, map(str, labels), strict=True))
                return [named[axis] for axis in self.shown.sliding]
        raise ValueError(
            f"slider_labels = {labels!r}: expected {len(self.shown.sliding)} names, one for each "
            "slider"
        )

    def _point(self) -> list[float]:
        """The pixel that coordinates are given for: the middle of the axes that are drawn."""
        return [
            (n - 1) / 2 if axis in self.shown.drawn else float(self.position[axis])
            for axis, n in enumerate(self.subject.world.shape)
        ]

    def _choose_sliders(self) -> dict[int, int]:
        """For each coordinate the slider that shows it: of several the one with the finest step."""
        world = self.subject.world
        by: dict[int, list[int]] = {}
        for axis, index in self._labels.items():
            if index is not None:
                by.setdefault(index, []).append(axis)

        def step(index: int, axis: int) -> float:
            return change_along(world, index, axis) or np.inf

        return {
            axes[0] if len(axes) == 1 else min(axes, key=partial(step, index)): index
            for index, axes in by.items()
        }

    def _write_values(self) -> list[float]:
        """Write the sliders' values; return the coordinates at the middle of what is drawn."""
        values = self._values(self._point())
        for number, axis in enumerate(self.shown.sliding):
            value = self._coordinate_text(axis, values)
            text = f"{self.position[axis] + 1} of {self.subject.world.shape[axis]}"
            self.sliders.set(number, self.position[axis], f"{value}  ({text})" if value else text)
        return values

    def _values(self, point: Sequence[float]) -> list[float]:
        return [float(value) for value in self.subject.world.values(*point)]

    def _coordinate_text(self, axis: int, values: Sequence[float]) -> str:
        """Write the coordinate of a slider's axis; nothing where another slider shows it."""
        index = self._written_by.get(axis)
        if index is None:
            return ""
        one = self.subject.world.axes[index]
        text = self.subject.world.text(one, values[index], self._steps.get(axis))
        return f"{text} UTC" if one.kind == "time" else text

    def _longest_values(self) -> list[str]:
        """For each slider the longer of the values at its ends."""
        found = []
        for axis in self.shown.sliding:
            n = self.subject.world.shape[axis]
            texts = [f"{n} of {n}"]
            for pixel in (0, n - 1):
                point = self._point()
                point[axis] = float(pixel)
                if value := self._coordinate_text(axis, self._values(point)):
                    texts.append(f"{value}  ({n} of {n})")
            found.append(max(texts, key=len))
        return found

    # Stepping -------------------------------------------------------------------------------

    def show(self, position: Mapping[int, int]) -> Self:
        """Show other pixels of the axes that are not drawn.

        Parameters
        ----------
        position : dict
            Array axis to pixel; other axes keep theirs.

        Returns
        -------
        SteppedPlot
            This one; so do `step` and `at`.

        Raises
        ------
        SelectionError
            No such axis among those that are not drawn, or no such pixel.
        FrameUnreachableError, FrameCorruptError
            The plane could not be read; the figure says so too.
        """
        before, self.position = self.position, self._position_after(position)
        self._show({a for a, b in enumerate(before) if self.position[a] != b})
        self._read_ahead(before)
        for other in self.followers:
            other.follow(self)
        return self

    def _show(self, moved: set[int]) -> None:
        """Show the pixels at `position`, after a move along some axes."""
        values = self._write_values()
        try:
            planes = self._read()
        except FrameError as error:
            self._blank()
            self._write_over(self._message_axes, str(error))
            self._repaint()
            raise
        self._draw(planes, values, moved)

    def _read(self) -> list[Plane]:
        return [self._reader.read(self.position)]

    def _planes_at(self, position: list[int]) -> Sequence[Plane]:
        before, self.position = self.position, position
        try:
            return self._read()
        finally:
            self.position = before

    @abstractmethod
    def _blank(self) -> None:
        """Take all pixels away."""

    @abstractmethod
    def _repaint(self) -> None: ...

    @abstractmethod
    def _draw(self, planes: Sequence[Plane], values: Sequence[float], moved: set[int]) -> None:
        """Draw planes that were read, at the coordinates `values`, and repaint."""

    def follow(self, other: SteppedPlot) -> None:
        """Step to another figure's position, along the axes that neither draws."""
        shared = set(self.shown.sliding) & set(other.shown.sliding)
        moves = {a: other.position[a] for a in shared if other.position[a] != self.position[a]}
        if moves:
            self.show(moves)

    def _position_after(self, position: Mapping[int, int]) -> list[int]:
        moved = list(self.position)
        for axis, pixel in position.items():
            if axis not in self.shown.sliding:
                raise SelectionError(
                    f"axis {axis}: expected one of those that have a slider, {self.shown.sliding}"
                )
            n = self.subject.world.shape[axis]
            if not -n <= pixel < n:
                raise SelectionError(f"pixel {pixel} is out of range for axis {axis} of {n}")
            moved[axis] = pixel % n
        return moved

    def step(self, axis: int, by: int = 1) -> Self:
        """Step along an axis; stop at its ends.

        Parameters
        ----------
        axis, by : int
        """
        at = 0
        if axis in self.shown.sliding:
            last = self.subject.world.shape[axis] - 1
            at = min(max(self.position[axis] + by, 0), last)
        return self.show({axis: at})

    def at(self, **coordinates: Any) -> Self:
        """Show the plane nearest to coordinates.

        Parameters
        ----------
        **coordinates
            wavelength, stokes, time, as for `Dataset.at`.
        """
        check_keywords("at", coordinates, COORDINATES)
        index = nearest_index(self.subject.world, as_points(**coordinates))
        return self.show({
            axis: pixel for axis, pixel in enumerate(index)
            if isinstance(pixel, int) and axis in self.shown.sliding
        })  # fmt: skip

    def _on_slider(self, number: int, pixel: int) -> None:
        try:
            self.show({self.shown.sliding[number]: pixel})
        except FrameError:
            pass  # the figure shows it; a traceback in a notebook's log would not help

    def _read_ahead(self, before: Sequence[int]) -> None:
        """Read the plane that the next step in the same direction would show."""
        ways = [now - then for now, then in zip(self.position, before, strict=True)]
        moved = [axis for axis, way in enumerate(ways) if way]
        if len(moved) == 1:
            axis = moved[0]
            following = list(self.position)
            following[axis] += 1 if ways[axis] > 0 else -1
            if 0 <= following[axis] < self.subject.world.shape[axis]:
                self._read_next(following)

    def _read_next(self, position: Sequence[int]) -> None:
        self._reader.read_ahead(position)

    def _is_coming(self, position: Sequence[int]) -> bool:
        """Whether the planes of another position are still being read."""
        return self._reader.is_coming(position)

    # Titles and messages ---------------------------------------------------------------------

    def set_title(self, label: str, **options: Any) -> Any:
        """Replace the title, as `matplotlib.axes.Axes.set_title`, which is returned as there."""
        text = ArtistInspector(Text)
        aliases = {short for names in text.aliasd.values() for short in names}
        known = {"fontdict", "loc", "pad", *text.get_setters(), *aliases}
        check_keywords("set_title", options, known)
        self._has_moved()
        return self._all_axes[0].set_title(label, **options)

    def _set_title(self, sliders: str = "") -> None:
        """Write the title; one that the user wrote since stays."""
        axes = self._all_axes[0]
        if self._written_title not in (None, axes.get_title()):
            return
        self._fit_title(axes, sliders)
        self._written_title = axes.get_title()

    def _fit_title(self, axes: Axes, sliders: str) -> None:
        if self._own_title is not None:
            fit_title(axes, [self._own_title or ""])
            return
        fixed = [*self.subject.held_texts().values(), *filter(None, [sliders])]
        fit_title(axes, [self.subject.title, ", ".join(fixed)])

    def _write_over(self, axes: Axes, text: str, *, middle: bool = True) -> None:
        """Replace the messages over the picture by a text; an empty one removes them."""
        while self._over:
            self._over.pop().remove()
        if text:
            self._over.append(BoxedText(axes, text, middle=middle))

    def _hint(self, planes: Sequence[Plane]) -> tuple[str, bool]:
        """Write which frames are absent, and how to get them; whether no pixel is left."""
        absent, data = planes[0].absent, self.subject.data
        if absent is None:
            return "", True
        if not isinstance(data, VirtualArray):
            text = "not here: a frame that this is computed from, or read with, is absent"
            return text, bool(absent.all())
        gone = data.select(self._reader.index(self.position)).absent()
        return (
            f"{int(gone.sum())} of {gone.size} frame{'s' * (gone.size > 1)} not here:\n"
            "ds.files.missing() names what is absent, ds.download(DIR) fetches it"
        ), bool(absent.all())

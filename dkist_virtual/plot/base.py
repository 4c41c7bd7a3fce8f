"""Step a figure through an array: its position, its sliders, reading ahead."""

from __future__ import annotations

import os
import re
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, Final, Self

import numpy as np
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox

from dkist_virtual.cube.crop import nearest_index
from dkist_virtual.cube.points import COORDINATES, as_points
from dkist_virtual.cube.virtual_array import VirtualArray
from dkist_virtual.errors import FrameError, SelectionError
from dkist_virtual.plot.figure_text import EDGE, BoxedText, fit_title
from dkist_virtual.plot.planes import PlaneReader, change_along, labels_of
from dkist_virtual.plot.sliders import SLIDER_HEIGHT, Sliders
from dkist_virtual.plot.ticks import name_of
from dkist_virtual.text import check_keywords

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from dkist_virtual.plot.planes import ShownAxes, Subject

__all__ = ["SteppedPlot"]

NARROWEST: Final = 5.5
"""Inches of a figure: its sliders and their values have to find room."""
LOWEST: Final = 1.8
"""Inches above the sliders."""
ABOVE: Final = 0.45
"""Inches above the axes, for the title."""
_NAMED: Final = ("longitude", "latitude", "other")
"""Kinds of coordinates that a value alone does not tell apart."""


SAVE: Final = (
    "backend", "bbox_extra_artists", "bbox_inches", "dpi", "edgecolor", "facecolor", "format",
    "metadata", "orientation", "pad_inches", "papertype", "pil_kwargs", "transparent",
)  # fmt: skip
"""What `matplotlib.figure.Figure.savefig` hands on to one format of file or another."""


class SteppedPlot(ABC):
    """What figures share that step through an array: where they are, sliders, reading ahead.

    Parameters
    ----------
    subject : Subject
    shown : ShownAxes
    position : dict
        Array axis to pixel, for axes that are not drawn: where to begin. The first pixel
        otherwise.
    """

    figure: Figure

    def __init__(
        self, subject: Subject, shown: ShownAxes, position: Mapping[int, int] | None = None
    ) -> None:
        self.subject = subject
        self.shown = shown
        self.position = [0] * shown.ndim
        self.position = self._moved_to(position or {})
        self._labels = labels_of(subject.world, shown.sliding)
        self._saying = self._said_by()
        kinds = ("longitude", "latitude", "other")
        self._steps = {
            axis: change_along(subject.world, index, axis)
            for axis, index in self._saying.items()
            if subject.world.axes[index].kind in kinds
        }
        self._margins = 1.0, 1.3, ABOVE
        self._reader = PlaneReader(subject.data, subject.mask, shown)
        self._over: list[Any] = []
        self.followers: list[SteppedPlot] = []
        """Other figures of the same dataset, which go where this one goes."""

    def _make_figure(self, figure: Figure | None, height: float) -> tuple[float, ...]:
        """Make a figure, with sliders; where in it the rest has its place."""
        below = self._below()
        if figure is None:
            import matplotlib.pyplot as plt

            figure = plt.figure(figsize=(8.0, below + height + ABOVE))
        if not isinstance(figure, Figure):
            raise TypeError(f"figure = {figure!r}: expected a matplotlib Figure")
        wide, high = figure.get_size_inches()
        if wide < NARROWEST or high < below + LOWEST:
            raise ValueError(
                f"figure of {wide:g} x {high:g} inches: this one, with {len(self.shown.sliding)} "
                f"sliders, needs {NARROWEST:g} x {below + LOWEST:.1f} at least"
            )
        self.figure = figure
        figure.canvas.mpl_connect("close_event", lambda _: self._reader.close())
        shape = self.subject.world.shape
        named = [self._name(axis) for axis in self.shown.sliding]
        lengths = [shape[axis] for axis in self.shown.sliding]
        start = [self.position[axis] for axis in self.shown.sliding]
        self.sliders = Sliders(figure, named, lengths, start, self._slid)
        self.sliders.place(self._longest_values())
        return self._place()

    def _below(self) -> float:
        """Inches under the axes: of their labels, and of the sliders."""
        return 0.75 + SLIDER_HEIGHT * len(self.shown.sliding)

    def _place(self) -> tuple[float, ...]:
        """Where in the figure, as large as it is now, the axes belong."""
        wide, high = self.figure.get_size_inches()
        below = self._below()
        left, right, above = self._margins
        return (
            left / wide, below / high, (wide - left - right) / wide, (high - below - above) / high
        )  # fmt: skip

    def _laid_out(self) -> None:
        """Put all in place once it is made, and anew whenever the figure has another size."""
        self._lay_out()
        # What is measured is drawn first: how long labels are depends on the axes.
        renderers: list[Any] = []
        listener = self.figure.canvas.mpl_connect(
            "draw_event",
            lambda event: renderers.append(event.renderer),
        )
        self.figure.draw_without_rendering()
        self.figure.canvas.mpl_disconnect(listener)
        wide = self.figure.get_size_inches()[0]
        boxes = [axes.get_tightbbox(renderers[-1]) for axes in self._all_axes]
        boxes = [box.transformed(self.figure.dpi_scale_trans.inverted()) for box in boxes if box]
        left, right, above = self._margins
        left += max(0.0, *(EDGE - box.x0 for box in boxes))
        right += max(0.0, *(box.x1 - (wide - EDGE) for box in boxes))
        if wide - left - right > 1:
            self._margins = left, right, above
        self._lay_out()
        self.figure.canvas.mpl_connect("resize_event", self._resized)

    def _lay_out(self) -> None:
        """Put axes and title in their places."""
        self._put_axes(self._place())
        self._set_title()

    def _resized(self, _: Any) -> None:
        if self.figure.get_size_inches().min() > 1:
            self.sliders.place()
            self._lay_out()

    @property
    @abstractmethod
    def _all_axes(self) -> list[Any]:
        """The axes that are no sliders; the title is above the first."""

    @abstractmethod
    def _put_axes(self, place: Any) -> None:
        """Put the axes in a place, in fractions of the figure."""

    def _name(self, axis: int) -> str:
        """What to call an axis that is not drawn: its coordinate, unless another shares that."""
        index = self._labels[axis]
        if index is None or list(self._labels.values()).count(index) > 1:
            return self.subject.axis_names[axis]
        return name_of(self.subject.world.axes[index])

    def _point(self) -> list[float]:
        """Where the figure is: the middle of the axes that are drawn."""
        return [
            (n - 1) / 2 if axis in self.shown.drawn else float(self.position[axis])
            for axis, n in enumerate(self.subject.world.shape)
        ]

    def _said_by(self) -> dict[int, int]:
        """The slider's axis that says each coordinate: of several the one it is finest along."""
        by: dict[int, list[int]] = {}
        for axis, index in self._labels.items():
            if index is not None:
                by.setdefault(index, []).append(axis)
        world = self.subject.world

        def finest(index: int, axes: list[int]) -> int:
            return min(axes, key=lambda axis: change_along(world, index, axis) or np.inf)

        return {
            axes[0] if len(axes) == 1 else finest(index, axes): index for index, axes in by.items()
        }

    def _say_where(self) -> list[float]:
        """Write the sliders' values; the coordinates at the middle of what is drawn."""
        values = self._values(self._point())
        for number, axis in enumerate(self.shown.sliding):
            said = self._coordinate_text(axis, values)
            text = f"{self.position[axis] + 1} of {self.subject.world.shape[axis]}"
            self.sliders.set(number, self.position[axis], f"{said}  ({text})" if said else text)
        return values

    def _values(self, point: Sequence[float]) -> list[float]:
        return [float(value) for value in self.subject.world.values(*point)]

    def _coordinate_text(self, axis: int, values: Sequence[float]) -> str:
        """What is said of the coordinate of a slider's axis; nothing where another says it."""
        index = self._saying.get(axis)
        if index is None:
            return ""
        world = self.subject.world
        one = world.axes[index]
        said = world.text(one, values[index], self._steps.get(axis))
        return f"{said} UTC" if one.kind == "time" else said

    def _longest_values(self) -> list[str]:
        """For each slider the longest that it says at its ends."""
        found = []
        for axis in self.shown.sliding:
            n = self.subject.world.shape[axis]
            texts = [f"{n} of {n}"]
            for pixel in (0, n - 1):
                point = self._point()
                point[axis] = float(pixel)
                if said := self._coordinate_text(axis, self._values(point)):
                    texts.append(f"{said}  ({n} of {n})")
            found.append(max(texts, key=len))
        return found

    # Stepping -------------------------------------------------------------------------------

    def show(self, position: Mapping[int, int]) -> Self:
        """Show other pixels of the axes that are not drawn.

        Parameters
        ----------
        position : dict
            Array axis to pixel; axes that are not in it stay where they are.

        Returns
        -------
        SteppedPlot
            This one; so do `step` and `at`.

        Raises
        ------
        SelectionError
            No such axis among those that are not drawn, or no such pixel.
        FrameUnreachableError, FrameCorruptError
            What is to be shown could not be read; the figure says so too.
        """
        before, self.position = self.position, self._moved_to(position)
        self._show({a for a, b in enumerate(before) if self.position[a] != b})
        self._read_ahead(before)
        for other in self.followers:
            other.follow(self)
        return self

    def follow(self, other: SteppedPlot) -> None:
        """Go where another figure of the same dataset is, along the axes that neither draws."""
        shared = set(self.shown.sliding) & set(other.shown.sliding)
        moves = {a: other.position[a] for a in shared if other.position[a] != self.position[a]}
        if moves:
            self.show(moves)

    def _moved_to(self, position: Mapping[int, int]) -> list[int]:
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
        """Go to a neighbour along an axis; the ends are where it stops.

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
        """Show the plane nearest to some coordinates.

        Parameters
        ----------
        **coordinates
            wavelength, stokes, time, as `Dataset.at` takes them.
        """
        check_keywords("at", coordinates, COORDINATES)
        index = nearest_index(self.subject.world, as_points(**coordinates))
        return self.show({
            axis: pixel for axis, pixel in enumerate(index)
            if isinstance(pixel, int) and axis in self.shown.sliding
        })  # fmt: skip

    def _slid(self, number: int, pixel: int) -> None:
        try:
            self.show({self.shown.sliding[number]: pixel})
        except FrameError:
            pass  # the figure says it; a traceback in a notebook's log would not help

    def _read_ahead(self, before: Sequence[int]) -> None:
        """Read the plane that comes next if someone goes on as they went."""
        ways = [now - then for now, then in zip(self.position, before, strict=True)]
        moved = [axis for axis, way in enumerate(ways) if way]
        if len(moved) == 1:
            axis = moved[0]
            following = list(self.position)
            following[axis] += 1 if ways[axis] > 0 else -1
            if 0 <= following[axis] < self.subject.world.shape[axis]:
                self._reader.read_ahead(following)

    @abstractmethod
    def _show(self, moved: set[int]) -> None:
        """Show what stands at `position`, after a move along some axes."""

    # As a file ------------------------------------------------------------------------------

    def save(self, path: str | os.PathLike[str], **options: Any) -> None:
        """Write the figure as it stands to a file, without sliders: the title says where they are.

        Parameters
        ----------
        path : path
        **options
            As `matplotlib.figure.Figure.savefig` takes them, such as ``dpi``.
        """
        check_keywords("save", options, SAVE)
        if not self.sliders.widgets:
            self._write(path, options)
            return
        wide, high = self.figure.get_size_inches()
        strip = SLIDER_HEIGHT * len(self.sliders.widgets)
        options.setdefault("bbox_inches", Bbox.from_extents(0, strip, wide, high))
        try:
            with self.sliders.hidden():
                self._set_title(self._where())
                self._write(path, options)
        finally:
            self._set_title()

    def _write(self, path: str | os.PathLike[str], options: dict[str, Any]) -> None:
        try:
            self.figure.savefig(path, **options)
        except TypeError as error:  # a keyword of another format, by the name of a method inside
            name = re.search(r"unexpected keyword argument '(\w+)'", str(error))
            if name is None:
                raise
            raise TypeError(f"save: {os.fspath(path)}: this format takes no {name[1]}") from None

    def _where(self) -> str:
        """Where the sliders are, for a picture without them."""
        values, said = self._values(self._point()), []
        for axis in self.shown.sliding:
            index, n = self._saying.get(axis), self.subject.world.shape[axis]
            text = self._coordinate_text(axis, values)
            if index is not None and self.subject.world.axes[index].kind == "stokes":
                text = f"Stokes {text}"
            elif index is not None and self.subject.world.axes[index].kind in _NAMED:
                text = f"{self._name(axis)} {text}"
            said.append(text or f"{self._name(axis)} {self.position[axis] + 1} of {n}")
        return ", ".join(said)

    # What is written over --------------------------------------------------------------------

    def _set_title(self, where: str = "") -> None:
        held = ", ".join(part for part in (self.subject.held_text(), where) if part)
        fit_title(self._all_axes[0], [self.subject.title, held])

    def _write_over(self, axes: Any, text: str, *, middle: bool = True) -> None:
        """Take away what is drawn over the picture, and put a text there unless it is empty."""
        while self._over:
            self._over.pop().remove()
        if text:
            self._over.append(BoxedText(axes, text, middle=middle))

    def _hint(self) -> str:
        """Which frames are absent, and how to get them."""
        data = self.subject.data
        if not isinstance(data, VirtualArray):
            return "not here: a frame that this is computed from, or read with, is absent"
        gone = data.select(self._reader.index(self.position)).absent()
        return (
            f"{int(gone.sum())} of {gone.size} frame{'s' * (gone.size > 1)} not here:\n"
            "ds.files.missing() names what is absent, ds.download(DIR) fetches it"
        )

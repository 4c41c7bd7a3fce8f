"""What figures share that step through an array: where they are, their sliders, reading ahead."""

from __future__ import annotations

import os
import re
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, Final, Self

from matplotlib.figure import Figure

from dkist_virtual.arrays import VirtualArray
from dkist_virtual.crop import COORDINATES, as_points, nearest_index
from dkist_virtual.errors import FrameError, SelectionError
from dkist_virtual.keywords import check_keywords
from dkist_virtual.planes import PlaneReader, labels_of
from dkist_virtual.sliders import SLIDER_HEIGHT, Sliders
from dkist_virtual.ticks import name_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from dkist_virtual.planes import ShownAxes, Subject

__all__ = ["SteppedPlot"]

NARROWEST: Final = 5.5
"""Inches of a figure: its sliders and their values have to find room."""
LOWEST: Final = 1.8
"""Inches above the sliders."""


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
        self._reader = PlaneReader(subject.data, subject.mask, shown)
        self._over: list[Any] = []
        self.followers: list[SteppedPlot] = []
        """Other figures of the same dataset, which go where this one goes."""

    def _make_figure(self, figure: Figure | None, height: float) -> tuple[float, ...]:
        """Make a figure, with sliders; where in it the rest has its place."""
        below = 0.75 + SLIDER_HEIGHT * len(self.shown.sliding)
        if figure is None:
            import matplotlib.pyplot as plt

            figure = plt.figure(figsize=(8.0, below + height + 0.45))
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
        return 1.0 / wide, below / high, (wide - 2.3) / wide, (high - below - 0.45) / high

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

    def _say_where(self) -> list[float]:
        """Write the sliders' values; the coordinates at the middle of what is drawn."""
        world = self.subject.world
        values = [float(value) for value in world.values(*self._point())]
        for number, axis in enumerate(self.shown.sliding):
            index, n = self._labels[axis], world.shape[axis]
            text = f"{self.position[axis] + 1} of {n}"
            if index is not None:
                said = world.text(world.axes[index], values[index])
                said += " UTC" if world.axes[index].kind == "time" else ""
                text = f"{said}  ({text})"
            self.sliders.set(number, self.position[axis], text)
        return values

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
        """Write the figure as it stands to a file.

        Parameters
        ----------
        path : path
        **options
            As `matplotlib.figure.Figure.savefig` takes them, such as ``dpi``.
        """
        check_keywords("save", options, SAVE)
        try:
            self.figure.savefig(path, **options)
        except TypeError as error:  # a keyword of another format, by the name of a method inside
            name = re.search(r"unexpected keyword argument '(\w+)'", str(error))
            if name is None:
                raise
            raise TypeError(f"save: {os.fspath(path)}: this format takes no {name[1]}") from None

    # What is written over --------------------------------------------------------------------

    def _set_title(self, axes: Any) -> None:
        said = (self.subject.title, self.subject.held_text())
        axes.set_title("  ".join(part for part in said if part), fontsize="medium")

    def _write_over(self, axes: Any, text: str, *, middle: bool = True) -> None:
        """Take away what lies over the picture, and put a text there unless it is empty."""
        while self._over:
            self._over.pop().remove()
        if text:
            self._over.append(self._text(axes, text, middle=middle))

    def _text(self, axes: Any, text: str, *, middle: bool) -> Any:
        """A text in the middle of axes, or at their top where there is something to be seen."""
        box = {"facecolor": "white", "edgecolor": "0.6", "alpha": 0.9}
        y, va = (0.5, "center") if middle else (0.98, "top")
        return axes.text(
            0.5, y, text, transform=axes.transAxes, ha="center", va=va, fontsize="small",
            bbox=box, wrap=True, zorder=5,
        )  # fmt: skip

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

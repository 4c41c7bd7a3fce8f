"""Let a plot be used as the axes, or as the animator, that a plot of ndcube's returns.

What a plot does not have itself is asked of its axes. They are astropy's where the sky is drawn;
others become astropy's when their coordinates are asked for.
"""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, Final, TypeVar

from matplotlib.animation import Animation, FuncAnimation, TimedAnimation

from dkist_virtual.text import check_keywords

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure

    from dkist_virtual.plot.planes import Plane, ShownAxes, Subject
    from dkist_virtual.plot.sliders import Sliders

__all__ = ["AxesList", "LikeAxes"]

OF_WCS: Final = (
    "annotate_coord", "coords", "get_coords_overlay", "get_transform", "plot_coord",
    "reset_wcs", "scatter_coord", "text_coord", "wcs",
)  # fmt: skip
"""The names that axes of astropy's have, and others do not: each needs a WCS."""

_Axes = TypeVar("_Axes", bound="Axes")


class LikeAxes(ABC):
    """A plot that has the names of its axes, and those of mpl-animators' figures."""

    figure: Figure | SubFigure
    subject: Subject
    shown: ShownAxes
    sliders: Sliders
    position: list[int]

    def __getattr__(self, name: str) -> Any:
        # Names that begin with an underscore are asked for by copy, pickle and notebooks.
        if name.startswith("_") or "sliders" not in self.__dict__:
            raise AttributeError(f"{type(self).__name__!r} has no attribute {name!r}")
        axes = self._use_wcs() if name in OF_WCS else self._main_axes
        if not hasattr(axes, name):
            raise AttributeError(
                f"{type(self).__name__!r} has no attribute {name!r}, and neither have its axes"
            )
        self._has_moved()
        return getattr(axes, name)

    @property
    @abstractmethod
    def _main_axes(self) -> Axes:
        """The axes of the picture; of several panels the last."""

    @abstractmethod
    def _use_wcs(self) -> Axes:
        """Make the axes of the picture astropy's, unless they are; return them."""

    @abstractmethod
    def _has_moved(self) -> None:
        """Note that the user may change what surrounds the picture: it is drawn anew."""

    @abstractmethod
    def _artists(self) -> Sequence[Artist]:
        """List the images or lines that a step changes."""

    @abstractmethod
    def _planes_at(self, position: list[int]) -> Sequence[Plane]:
        """Read what is shown at a position, without showing it."""

    @abstractmethod
    def _draw_elsewhere(self, axes: Axes, planes: Sequence[Plane], before: Artist | None) -> Artist:
        """Draw planes in other axes, in place of what was drawn there before."""

    @abstractmethod
    def show(self, position: Mapping[int, int]) -> Any:
        """Show other pixels of the axes that are not drawn."""

    # As an animator ---------------------------------------------------------------------------

    @property
    def fig(self) -> Figure | SubFigure:
        """The figure, by the name that mpl-animators has for it."""
        return self.figure

    @property
    def im(self) -> Artist:
        """The image, or the line."""
        return self._artists()[0]

    def label_slider(self, i: int, label: str) -> None:
        """Rename a slider, counted in the order of the axes of the array."""
        self.sliders.widgets[i].label.set_text(label)
        self.sliders.place()
        self._has_moved()

    def get_animation(
        self,
        axes: Axes | None = None,
        slider: int = 0,
        startframe: int = 0,
        endframe: int | None = None,
        stepframe: int = 1,
        **options: Any,
    ) -> FuncAnimation:
        """Make an animation that steps along a slider, as mpl-animators does; it is to be kept.

        Frames are read while they are drawn. Afterwards the plot is where the animation ended.

        Parameters
        ----------
        axes : matplotlib.axes.Axes, optional
            Of another figure, to be animated in place of this one: with the pixels alone.
        slider : int
            In the order of the axes of the array.
        startframe, endframe, stepframe : int
            Pixels along that axis; all by default.
        **options
            Of `matplotlib.animation.FuncAnimation`, such as ``interval``.

        Examples
        --------
        >>> ds.plot().get_animation(interval=100).save("vtf.gif")  # doctest: +SKIP
        """
        known = {
            name
            for function in (FuncAnimation, TimedAnimation, Animation)
            for name in inspect.signature(function.__init__).parameters
        } - {"self", "fig", "func", "fargs", "args", "kwargs", "event_source"}
        check_keywords("get_animation", options, known)
        sliding = self.shown.sliding
        if not -len(sliding) <= slider < len(sliding):
            raise ValueError(
                f"slider = {slider}: this plot has {len(sliding)}, one for each axis that is not "
                "drawn"
            )
        axis = sliding[slider]
        last = self.subject.world.shape[axis] if endframe is None else endframe
        options.setdefault("frames", list(range(startframe, last, stepframe)))
        elsewhere = axes is not None and axes is not self._main_axes
        figure = (axes if axes is not None and elsewhere else self.figure).get_figure(root=True)
        assert figure is not None
        drawn: list[Artist] = []

        def draw(pixel: int) -> Sequence[Artist]:
            if axes is None or not elsewhere:
                self.show({axis: pixel})
                return self._artists()
            at = list(self.position)
            at[axis] = pixel
            before = drawn[0] if drawn else None
            drawn[:] = [self._draw_elsewhere(axes, self._planes_at(at), before)]
            return drawn

        return FuncAnimation(figure, draw, **options)


class AxesList(list[_Axes]):
    """The axes of the panels of a figure, from above, with the names of a single one's.

    ndcube's line plots have one of them, and so have ours without Stokes parameters.
    """

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or not self:
            raise AttributeError(name)
        return getattr(self[-1], name)

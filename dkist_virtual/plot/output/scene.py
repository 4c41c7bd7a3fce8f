"""Name what movies and contact sheets need of a plot."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any

from dkist_virtual.plot.interface.like_axes import LikeAxes

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.image import AxesImage

    from dkist_virtual.plot.planes import Plane
    from dkist_virtual.plot.play import Player

__all__ = ["Scene"]


class Scene(LikeAxes):
    """A plot that can be stepped and drawn without showing it."""

    _paints = True
    """Whether a step is painted at once; a movie paints each frame by itself."""
    _written_by: Mapping[int, int]
    player: Player

    @property
    @abstractmethod
    def _root(self) -> Figure:
        """The whole figure."""

    @property
    @abstractmethod
    def _message_axes(self) -> Axes:
        """The axes that messages are written over."""

    @property
    def _stamp_axes(self) -> Axes | None:
        """The axes in whose corner a frame's time is written; None: in the title."""
        return None

    @abstractmethod
    def _read(self) -> list[Plane]:
        """Read what is shown at `position`."""

    @abstractmethod
    def _read_next(self, position: Sequence[int]) -> None:
        """Read in the background what is shown at another position."""

    @abstractmethod
    def _point(self) -> list[float]: ...

    @abstractmethod
    def _values(self, point: Sequence[float]) -> list[float]: ...

    @abstractmethod
    def _write_values(self) -> list[float]: ...

    @abstractmethod
    def _coordinate_text(self, axis: int, values: Sequence[float]) -> str: ...

    @abstractmethod
    def _kind_of(self, axis: int) -> str: ...

    @abstractmethod
    def _name(self, axis: int) -> str: ...

    @abstractmethod
    def _draw(self, planes: Sequence[Plane], values: Sequence[float], moved: set[int]) -> None: ...

    @abstractmethod
    def _blank(self) -> None: ...

    @abstractmethod
    def _repaint(self) -> None: ...

    @abstractmethod
    def _write_over(self, axes: Axes, text: str, *, middle: bool = True) -> None: ...

    @abstractmethod
    def _set_title(self, sliders: str = "") -> None: ...

    @abstractmethod
    def _take_sample(self, planes: Sequence[Plane], values: Sequence[float], n: int) -> Any:
        """Take of planes what decides the range of values of `n` frames."""

    @abstractmethod
    def _fix_range(self, samples: Sequence[Any] | None) -> None:
        """Show one range of values from now on, that of samples; None: that of each frame."""

    # Figures of their own --------------------------------------------------------------------

    def _picture_ratio(self) -> float:
        """The height of the picture in widths."""
        return 0.7

    @abstractmethod
    def _draw_still(self, figure: Figure, title: str) -> Scene:
        """Draw what is shown in another figure, without sliders."""

    @abstractmethod
    def _fill_page(self) -> float:
        """Lay out the axes in a figure for a paper; return the inches that they are high."""

    def _shared_ends(self, samples: Sequence[Any]) -> list[tuple[float, float] | None]:
        """Find the ends of the contrast of each sample; None where they are those of the plot."""
        return [None] * len(samples)

    _has_panels = False
    """Whether there are contact sheets of it."""

    def _draw_panel(self, *_: Any, **__: Any) -> tuple[Axes, AxesImage]:
        """Draw pixels in new axes of a figure, with labels on the left and below.

        Takes the figure, the place in it as of `~matplotlib.figure.Figure.add_subplot`, the pixels,
        those of absent frames or None; and whether it is on the left, and the lowest.
        """
        raise NotImplementedError

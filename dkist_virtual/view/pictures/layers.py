"""Choose the planes that a picture is made from: the pixels themselves, or a few to compute it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dkist_virtual.plot.pixel_plot import is_signed
from dkist_virtual.plot.planes import ShownAxes

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from dkist_virtual.view.source import Source
    from dkist_virtual.view.state.state import PictureState, Point, ViewState

__all__ = ["Layers", "layers_of"]


@dataclass(frozen=True, eq=False)
class Layers:
    """The planes that a picture is computed from.

    Parameters
    ----------
    points : tuple of Point
        One for each plane: the pixel of each array axis.
    combine : callable or None
        From the pixels of all planes, as arrays of one shape, to those of the picture; None where
        there is one plane, which is the picture.
    is_signed : bool
        Whether zero is in the middle of the colours.
    label : str
        Quantity and unit.
    """

    points: tuple[Point, ...]
    combine: Callable[..., NDArray[Any]] | None
    is_signed: bool
    label: str


def layers_of(source: Source, picture: PictureState, at: Point, state: ViewState) -> Layers:  # noqa: ARG001
    """Choose the planes of a picture at a point of its dataset."""
    subject = source.subject
    x, y = picture.axes
    values = [float(value) for value in subject.world.values(*map(float, at))]
    signed = is_signed(subject, ShownAxes(x, y, (), len(at)), values)
    return Layers((at,), None, signed, subject.label)

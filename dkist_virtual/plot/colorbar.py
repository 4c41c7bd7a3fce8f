"""A colour bar beside axes, as wide and as far away whatever the size of the figure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from matplotlib.colors import Normalize
from matplotlib.transforms import Bbox

from dkist_virtual.plot.figure_text import figure_inches
from dkist_virtual.plot.ticks import DataFormatter

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["add_colorbar"]

AWAY: Final = 0.17
WIDE: Final = 0.2
"""Inches."""


def add_colorbar(axes: Axes, mappable: Any, unit: str) -> Any:
    """Add a colour bar on the right of axes.

    Parameters
    ----------
    axes : matplotlib.axes.Axes
    mappable : image or ScalarMappable
        Whose colours it shows; written in powers of ten of the unit where that is shorter.
    unit : str
    """
    bar: Any = axes.inset_axes((1.03, 0, 0.035, 1))

    def beside(*_: Any) -> Bbox:
        box, wide = axes.get_position(), figure_inches(axes)[0]
        return Bbox.from_bounds(box.x1 + AWAY / wide, box.y0, WIDE / wide, box.height)

    bar.set_axes_locator(beside)
    figure: Any = axes.get_figure()
    own = {"format": DataFormatter(unit)} if type(mappable.norm) is Normalize else {}
    return figure.colorbar(mappable, cax=bar, label=unit, **own)

"""Add a colour bar beside axes, with a width and distance that figures of any size share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from matplotlib.colors import Normalize
from matplotlib.transforms import Bbox

from dkist_virtual.plot.figure_text import figure_inches
from dkist_virtual.plot.ticks import DataFormatter

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.cm import ScalarMappable
    from matplotlib.colorbar import Colorbar

__all__ = ["add_colorbar"]

AWAY: Final = 0.17
WIDE: Final = 0.2
"""Inches."""


def add_colorbar(axes: Axes, mappable: ScalarMappable, unit: str) -> Colorbar:
    """Add a colour bar on the right of axes, in powers of ten of the unit where that is shorter."""
    bar = axes.inset_axes((1.03, 0, 0.035, 1))

    def beside(*_: object) -> Bbox:
        box, wide = axes.get_position(), figure_inches(axes)[0]
        return Bbox.from_bounds(box.x1 + AWAY / wide, box.y0, WIDE / wide, box.height)

    bar.set_axes_locator(beside)
    figure = axes.get_figure()
    assert figure is not None
    form = DataFormatter(unit) if type(mappable.norm) is Normalize else None
    return figure.colorbar(mappable, cax=bar, label=unit, format=form)

"""Write a figure, or a part of one, to a file."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any, Final

from matplotlib.transforms import Bbox

from dkist_virtual.plot.figure_text import size_inches
from dkist_virtual.plot.sliders import SLIDER_HEIGHT

if TYPE_CHECKING:
    from matplotlib.figure import Figure, SubFigure

__all__ = ["SAVE", "cut_out", "write"]

SAVE: Final = (
    "backend", "bbox_extra_artists", "bbox_inches", "dpi", "edgecolor", "facecolor", "format",
    "metadata", "orientation", "pad_inches", "papertype", "pil_kwargs", "transparent",
)  # fmt: skip
"""Keywords that `matplotlib.figure.Figure.savefig` passes to one file format or another."""


def cut_out(figure: Figure | SubFigure, n_sliders: int) -> Bbox:
    """Return the part of the whole figure that is above some sliders, in inches."""
    x0, y0 = figure.bbox.x0 / figure.dpi, figure.bbox.y0 / figure.dpi
    wide, high = size_inches(figure)
    return Bbox.from_extents(x0, y0 + SLIDER_HEIGHT * n_sliders, x0 + wide, y0 + high)


def write(figure: Figure, path: str | os.PathLike[str], options: dict[str, Any]) -> None:
    """Write a figure; raises TypeError where its format does not take an option."""
    try:
        figure.savefig(path, **options)
    except TypeError as error:  # the message names a method inside of matplotlib
        name = re.search(r"unexpected keyword argument '(\w+)'", str(error))
        if name is None:
            raise
        raise TypeError(f"save: {os.fspath(path)}: this format takes no {name[1]}") from None

"""Draw what a plot shows in a figure for a paper."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import astropy.units as u
import matplotlib as mpl
import numpy as np

from dkist_virtual.plot.figure_text import EDGE, Page
from dkist_virtual.plot.output.axes import heading, slider_texts

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from dkist_virtual.plot.output.scene import Scene

__all__ = ["draw_picture"]

COLUMN: Final = 8.8 / 2.54
"""Inches of a column of a journal."""
AROUND: Final = (1.25, 0.65)
"""Inches of labels and colour bar beside a picture, and of labels below it."""
SMALLEST: Final = 1.5
"""Inches of a figure, along each side."""


def draw_picture(plot: Scene, size: Any, title: str | bool, fontsize: float, dpi: float) -> Figure:
    """Draw a picture, see `Output.picture`."""
    for name, value in (("fontsize", fontsize), ("dpi", dpi)):
        if isinstance(value, bool) or not isinstance(value, (int, float, np.number)):
            raise TypeError(f"{name} = {value!r}: expected a number")
        if not value > 0:
            raise ValueError(f"{name} = {value}: expected a number above 0")
    wide, high = _inches(size)
    is_given = high is not None
    if high is None:
        high = float(np.clip((wide - AROUND[0]) * plot._picture_ratio() + AROUND[1], 1.5, 3 * wide))
        high += 0.25 * bool(title)

    import matplotlib.pyplot as plt

    with mpl.rc_context({"font.size": fontsize, "figure.autolayout": False}):
        figure = plt.figure(FigureClass=Page, figsize=(wide, high), dpi=dpi)
        try:
            drawn = plot._draw_still(figure, _title(plot, title))
            needed = drawn._fill_page() + 2 * EDGE
            if not is_given and needed < high:
                figure.set_size_inches(wide, needed)
                drawn._fill_page()
        except BaseException:
            plt.close(figure)
            raise
    return figure


def _title(plot: Scene, given: str | bool) -> str:
    if isinstance(given, str):
        return given
    if not given:
        return ""
    return heading(plot, slider_texts(plot, plot.shown.sliding))


def _inches(size: Any) -> tuple[float, float | None]:
    """Read a size: width and height in inches; no height where none is given."""
    if size is None:
        return COLUMN, None
    try:
        if isinstance(size, u.Quantity):
            sides = size.to_value(u.imperial.inch)
        elif np.iterable(size) and any(isinstance(side, u.Quantity) for side in size):
            sides = [u.Quantity(side).to_value(u.imperial.inch) for side in size]
        else:
            sides = np.asarray(size, float)
    except (TypeError, ValueError, u.UnitsError):
        sides = []
    sides = np.atleast_1d(np.asarray(sides, float))
    if sides.shape not in ((1,), (2,)):
        raise TypeError(
            f"size = {size!r}: expected a width, or width and height, such as [12, 9] * u.cm; "
            "numbers are inches"
        )
    if not ((sides >= SMALLEST) & (sides <= 200)).all():
        raise ValueError(
            f"size = {size!s}: expected sides of {SMALLEST:g} to 200 inches; numbers are inches"
        )
    return float(sides[0]), float(sides[1]) if len(sides) == 2 else None

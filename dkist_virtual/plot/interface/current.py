"""Find pyplot's current figure where it is empty; make axes the current ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.image import AxesImage

__all__ = ["empty_current_figure", "make_current"]


def empty_current_figure() -> Figure | None:
    """Return pyplot's current figure if nothing is in it; None otherwise."""
    import matplotlib.pyplot as plt

    if not plt.get_fignums():
        return None
    figure = plt.gcf()
    others = [one for one in figure.get_children() if one is not figure.patch]
    return None if others else figure


def make_current(axes: Axes, drawn: AxesImage | None = None) -> None:
    """Make axes pyplot's current ones, and what is drawn there that of ``plt.colorbar()``.

    A figure that is not pyplot's stays unknown to it.
    """
    import matplotlib.pyplot as plt

    root = axes.get_figure(root=True)
    if root is not None and getattr(root, "number", None) in plt.get_fignums():
        plt.sca(axes)
        if drawn is not None:
            plt.sci(drawn)

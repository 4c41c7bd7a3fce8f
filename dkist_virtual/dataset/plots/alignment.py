"""Draw what an alignment compared, before and after it, and what it found."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure

    from dkist_virtual.science.alignment.find import Alignment

__all__ = ["draw_alignment"]

_FEW: Final = 20


def draw_alignment(found: Alignment, figure: Figure | SubFigure | None) -> Figure | SubFigure:
    """Draw an alignment, see `Dataset.plot_alignment`."""
    if figure is None:
        import matplotlib.pyplot as plt

        figure = plt.figure(figsize=(11, 7), layout="constrained")
    from matplotlib.ticker import MaxNLocator

    pictures = found.pictures
    whole = pictures["tx"].ndim == 2 and min(pictures["tx"].shape) > 1
    grid = figure.add_gridspec(2, 6, height_ratios=(2, 1))
    if whole:
        axes: Any = None
        names = {
            "image": "dataset",
            "before": "reference, before",
            "after": "reference, after",
        }
        for place, (name, title) in enumerate(names.items()):
            axes = figure.add_subplot(grid[0, 2 * place : 2 * place + 2], sharex=axes, sharey=axes)
            _image(axes, pictures, name)
            axes.set_title(title)
            axes.set_xlabel("Tx [arcsec]")
            if place:
                axes.tick_params(labelleft=False)
            else:
                axes.set_ylabel("Ty [arcsec]")
    shift = figure.add_subplot(grid[1, :3])
    quality = figure.add_subplot(grid[1, 3:])
    style = "-" if found.dx.size > _FEW else "o-"
    for name, of in (("dx", found.dx), ("dy", found.dy)):
        shift.plot(np.ravel(of.to_value("arcsec")), style, label=name)
    shift.set_ylabel("shift [arcsec]")
    shift.legend()
    quality.plot(np.ravel(found.quality), style, color="C2")
    quality.set_ylabel("correlation")
    quality.set_ylim(min(0.0, float(np.nanmin(found.quality))), 1)
    for one in (shift, quality):
        one.set_xlabel("step")
        one.xaxis.set_major_locator(MaxNLocator(integer=True))
    figure.suptitle(
        f"aligned, model {found.model}: median correlation {np.nanmedian(found.quality):.2f}"
    )
    return figure


def _image(axes: Axes, pictures: dict[str, Any], name: str) -> None:
    """Draw one of both, with an outline of what stands out in the dataset."""
    tx, ty, pixels, own = (pictures[key] for key in ("tx", "ty", name, "image"))
    if np.isfinite(pixels).any():
        low, high = np.nanpercentile(pixels, (1, 99))
        axes.pcolormesh(
            tx, ty, pixels, vmin=low, vmax=high, cmap="gray", shading="nearest", rasterized=True
        )
    if name != "image" and np.isfinite(own).any():
        low, middle, high = np.nanpercentile(own, (1, 50, 99))
        # A spot is dark, and bright points are bright.
        level = (middle + (low if middle - low > high - middle else high)) / 2
        axes.contour(tx, ty, own, levels=[level], colors="C1", linewidths=0.6)
    axes.set_aspect("equal")

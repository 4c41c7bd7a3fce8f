"""Draw r0, the lock of the adaptive optics, the light level and contrast in time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure
    from numpy.typing import NDArray

__all__ = ["draw_seeing"]

_FEW: Final = 60
"""Frames of which each has a marker."""


def draw_seeing(
    time: NDArray[np.datetime64],
    r0: NDArray[np.float64],
    locked: NDArray[np.bool_],
    light: NDArray[np.float64],
    contrast: NDArray[np.float64] | None = None,
    *,
    figure: Figure | SubFigure | None = None,
) -> Figure | SubFigure:
    """Draw the seeing of steps: see `Dataset.plot_seeing`.

    Parameters
    ----------
    time : array of datetime64, UTC
    r0 : array of float
        In cm, NaN where it is not valid.
    locked : array of bool
    light : array of float
        NaN where it is not known.
    contrast : array of float, optional
    figure : Figure or SubFigure, optional
    """
    import matplotlib.dates as mdates

    order = np.argsort(time, kind="stable")
    x = mdates.date2num(time[order])
    heights = [3.0, 0.4, 1.2] + [1.2] * (contrast is not None)
    if figure is None:
        import matplotlib.pyplot as plt

        figure = plt.figure(figsize=(9, 1.1 * sum(heights)), layout="constrained")
    panels = figure.subplots(len(heights), sharex=True, height_ratios=heights, squeeze=False)[:, 0]
    style: dict[str, Any] = {"marker": "." if len(x) > _FEW else "o", "markersize": 4, "lw": 0.8}
    _series(panels[0], x, r0[order], "$r_0$ [cm]", style)
    _shade(panels[0], x, ~np.isfinite(r0[order]))
    if np.isfinite(r0).any():
        panels[0].set_ylim(0, 1.1 * float(np.nanmax(r0)))
    panels[1].step(x, locked[order].astype(float), where="mid", color="C2")
    panels[1].set_yticks((0, 1), ("no", "yes"))
    panels[1].set_ylim(-0.3, 1.3)
    panels[1].set_ylabel("AO lock", rotation=0, ha="right", va="center")
    _series(panels[2], x, light[order], "light level", style | {"color": "C1"})
    if contrast is not None:
        _series(panels[3], x, contrast[order], "contrast", style | {"color": "C3"})
    locator = mdates.AutoDateLocator()
    panels[-1].xaxis.set_major_locator(locator)
    panels[-1].xaxis.set_major_formatter(mdates.ConciseDateFormatter(locator))
    panels[-1].set_xlabel("UTC")
    if len(x):
        panels[0].set_title(f"Seeing of {len(x)} steps, from {str(time.min())[:16]}")
    return figure


def _series(axes: Axes, x: Any, values: Any, label: str, style: dict[str, Any]) -> None:
    axes.plot(x, values, **style)
    axes.set_ylabel(label)
    if not np.isfinite(values).any():
        axes.text(0.5, 0.5, "no valid value", transform=axes.transAxes, ha="center", va="center")
        axes.set_yticks(())


def _shade(axes: Axes, x: NDArray[np.float64], gone: NDArray[np.bool_]) -> None:
    """Put a grey ground under frames without a valid value, half way to their neighbours."""
    if not gone.any():
        return
    middle = (x[1:] + x[:-1]) / 2
    low, high = np.append(x[:1], middle), np.append(middle, x[-1:])
    edges = np.flatnonzero(np.diff(np.concatenate(([False], gone, [False])).astype(int)))
    for number, (start, stop) in enumerate(edges.reshape(-1, 2)):
        label = "no valid $r_0$" if number == 0 else None
        axes.axvspan(low[start], high[stop - 1], color="0.9", lw=0, zorder=0, label=label)
    axes.legend(loc="upper right", fontsize="small")

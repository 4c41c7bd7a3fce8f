"""Draw outlines of fields on a map of the Sun, or on its limb."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np

from dkist_virtual.plot.figure_text import in_figure

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.figure import Figure, SubFigure
    from numpy.typing import NDArray

    Outlines: TypeAlias = Sequence[tuple[str, Sequence[NDArray[np.float64]]]]

__all__ = ["draw_context"]

_MARGIN: Final = 0.4
"""Of the size of the fields, around them in the part that is drawn larger."""

_COLOURS: Final = ("C1", "C0", "C2", "C3", "C4", "C5", "C6", "C8", "C9")


def draw_context(
    background: Any,
    wcs: Any,
    outlines: Outlines,
    zoom: bool,
    figure: Figure | SubFigure | None,
    look: Mapping[str, Any],
) -> Figure | SubFigure:
    """Draw outlines of fields on the whole Sun, and the part with them beside it.

    Parameters
    ----------
    background : sunpy.map.GenericMap, optional
        Without it, the limb.
    wcs : WCS
        Of the background.
    outlines : sequence of (str, arrays)
        What the legend says, and pixels of the background along one or several edges: shape (n, 2).
    zoom : bool
    figure : Figure or SubFigure, optional
    look : mapping
        Of the image of the map.
    """
    from matplotlib import pyplot as plt
    from matplotlib.patches import Rectangle

    known = [edge for _, edges in outlines for edge in edges if np.isfinite(edge).any()]
    zoom = zoom and bool(known)
    if figure is None:
        figure = plt.figure(figsize=(11 if zoom else 6.5, 6), layout="constrained")
    panels = [figure.add_subplot(1, 1 + zoom, n + 1, projection=wcs) for n in range(1 + zoom)]
    for number, axes in enumerate(panels):
        _draw_sun(axes, background, wcs, look)
        # Until it is drawn, that of astropy's axes is pixel (0, 0) of the WCS, far from what is
        # drawn larger, and the layout would make room for it.
        axes.patch.set_in_layout(False)
        for (name, edges), colour in zip(
            outlines, _COLOURS * (1 + len(outlines) // len(_COLOURS)), strict=False
        ):
            for n, edge in enumerate(edges):
                label = in_figure(name) if number == 0 and n == 0 else "_"
                axes.plot(edge[:, 0], edge[:, 1], color=colour, linewidth=1.5, label=label)
        axes.set_aspect("equal")
    whole = panels[0]
    if background is None:
        _show_all(whole, wcs.array_shape, known)
    if zoom:
        (left, right), (bottom, top) = _around(np.concatenate(known))
        panels[1].set(xlim=(left, right), ylim=(bottom, top))
        whole.add_patch(
            Rectangle((left, bottom), right - left, top - bottom, fill=False, color="0.5", lw=0.8)
        )
    figure.suptitle(_title(background, wcs), fontsize="medium")
    figure.legend(loc="outside lower center", ncols=1, fontsize="small", frameon=False)
    return figure


def _title(background: Any, wcs: Any) -> str:
    from astropy.wcs.utils import wcs_to_celestial_frame

    if background is not None:
        return in_figure(background.name)
    moment = wcs_to_celestial_frame(wcs).obstime
    return f"{moment.strftime('%Y-%m-%d %H:%M')} UTC"


def _show_all(axes: Any, shape: tuple[int, int], known: Sequence[NDArray[np.float64]]) -> None:
    """Show the whole disk, and fields beside it."""
    frame = np.array([(-0.5, -0.5), (shape[1] - 0.5, shape[0] - 0.5)])
    places = np.concatenate([frame, *known])
    low, high = np.nanmin(places, axis=0), np.nanmax(places, axis=0)
    margin = np.where((low < frame[0]) | (high > frame[1]), 0.03 * (high - low), 0)
    low, high = low - margin, high + margin
    axes.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]))


def _around(places: NDArray[np.float64]) -> tuple[tuple[float, float], tuple[float, float]]:
    """Return the ends of a square around positions."""
    low, high = np.nanmin(places, axis=0), np.nanmax(places, axis=0)
    half = (0.5 + _MARGIN) * max(float((high - low).max()), 1.0)
    x, y = (low + high) / 2
    return (float(x - half), float(x + half)), (float(y - half), float(y + half))


def _draw_sun(axes: Any, background: Any, wcs: Any, look: Mapping[str, Any]) -> None:
    import astropy.units as u
    from astropy.coordinates import SkyCoord
    from astropy.wcs.utils import wcs_to_celestial_frame
    from sunpy.visualization import drawing
    from sunpy.visualization.wcsaxes_compat import wcsaxes_heliographic_overlay

    if background is not None:
        background.plot(axes=axes, **look)
        axes.set_title("")
        frame = background.coordinate_frame
        colour = "white"
    else:
        frame = wcs_to_celestial_frame(wcs)
        colour = "0.3"
        for name, coordinate in zip(("Tx", "Ty"), axes.coords, strict=True):
            coordinate.set_axislabel(f"{name} [arcsec]")
            coordinate.set_major_formatter("s")
            coordinate.set_format_unit(u.arcsec)
            coordinate.set_ticklabel(exclude_overlapping=True)
    wcsaxes_heliographic_overlay(
        axes, grid_spacing=15 * u.deg, annotate=False, obstime=frame.obstime,
        observer=frame.observer, rsun=frame.rsun, color=colour, alpha=0.4, linewidth=0.6,
    )  # fmt: skip
    drawing.limb(axes, SkyCoord(frame.observer), color=colour, linewidth=1, alpha=0.8)

"""Put axes of astropy's in the place of others, with all that they show."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final

import astropy.units as u
import numpy as np
from astropy.visualization.wcsaxes import WCSAxes
from matplotlib.image import AxesImage

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from astropy.wcs.wcsapi import SlicedLowLevelWCS
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes


__all__ = ["leave_out_constants", "move_artist", "replace_axes"]

CONSTANT: Final = 1e-6
"""Of the change of one coordinate of the sky: the change of the other that is rounding."""


def replace_axes(before: Axes, wcs: SlicedLowLevelWCS, slices: Sequence[str]) -> Axes:
    """Make axes of astropy's that count the same pixels, and remove those before them.

    Titles, limits and aspect are kept; `move_artist` moves the artists.
    """
    figure: Any = before.get_figure()
    axes: Any = WCSAxes(figure, before.get_position(original=True), wcs=wcs, slices=slices)
    figure.add_axes(axes)
    axes.set_facecolor(before.get_facecolor())
    axes.set_aspect(before.get_aspect())
    axes.set(xlim=before.get_xlim(), ylim=before.get_ylim(), title=before.get_title())
    before.remove()
    if wcs.pixel_n_dim == 2 and (wcs.world_n_dim != 2 or not _has_inverse(wcs)):
        for coordinate in axes.coords:
            coordinate.grid = partial(_grid_by_contours, coordinate.grid)
    made: Axes = axes
    return made


def _grid_by_contours(
    grid: Callable[..., None], draw_grid: bool = True, grid_type: str | None = None, **look: Any
) -> None:
    """Draw grid lines as contours: astropy finds other lines for two coordinates of two axes alone.

    A spectrum's plane has three: wavelength, longitude and latitude. Those of wavelength and time
    are two, for which gwcs has no inverse.
    """
    grid(draw_grid, grid_type or "contours", **look)


def _has_inverse(wcs: SlicedLowLevelWCS) -> bool:
    """Whether pixels can be found from coordinates."""
    try:
        wcs.world_to_pixel_values(*wcs.pixel_to_world_values(0, 0))
    except (NotImplementedError, ValueError):
        return False
    return True


def leave_out_constants(axes: Any, wcs: SlicedLowLevelWCS, n: int) -> None:
    """Leave out ticks of a longitude or latitude that changes along a line of n pixels by rounding.

    Astropy would draw thousands: each value between two pixels has its own.
    """
    values = np.atleast_2d(wcs.pixel_to_world_values(np.arange(n)))
    changes = np.nanmax(values, axis=1) - np.nanmin(values, axis=1)
    kinds = [str(kind).rpartition(".")[2] for kind in wcs.world_axis_physical_types]
    sky = [index for index, kind in enumerate(kinds) if kind in ("lon", "lat")]
    for index in sky:
        if changes[index] < CONSTANT * max(changes[sky]):
            coordinate = axes.coords[index]
            coordinate.set_ticks(values=[] * u.Unit(wcs.world_axis_units[index]))
            coordinate.set_axislabel("")
            coordinate.set_auto_axislabel(False)


def move_artist(artist: Artist, axes: Axes) -> None:
    """Move an artist that is drawn in pixels, an image or a line, to other axes."""
    moved: Any = artist
    moved.remove()
    moved.set_clip_path(None)
    moved.set_transform(axes.transData)
    if isinstance(moved, AxesImage):
        axes.add_image(moved)
    else:
        axes.add_line(moved)

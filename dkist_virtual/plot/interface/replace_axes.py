"""Put axes of astropy's in the place of others, with all that they show."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from astropy.visualization.wcsaxes import WCSAxes
from matplotlib.image import AxesImage

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from astropy.wcs.wcsapi import SlicedLowLevelWCS
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes


__all__ = ["move_artist", "replace_axes"]


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
    if wcs.pixel_n_dim == 2 and wcs.world_n_dim != 2:
        for coordinate in axes.coords:
            coordinate.grid = partial(_grid_by_contours, coordinate.grid)
    made: Axes = axes
    return made


def _grid_by_contours(
    grid: Callable[..., None], draw_grid: bool = True, grid_type: str | None = None, **look: Any
) -> None:
    """Draw grid lines as contours: astropy finds other lines for two coordinates of two axes alone.

    A spectrum's plane has three: wavelength, longitude and latitude.
    """
    grid(draw_grid, grid_type or "contours", **look)


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

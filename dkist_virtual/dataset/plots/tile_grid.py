"""Draw the tiles of a mosaic in axes side by side, as dkist does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.gridspec import GridSpec

from dkist_virtual.plot.interface.keywords import one_figure
from dkist_virtual.plot.planes import COMPUTED
from dkist_virtual.text import check_keywords

if TYPE_CHECKING:
    from astropy.visualization.wcsaxes import WCSAxes
    from matplotlib.figure import Figure


__all__ = ["draw_tiles"]

OPTIONS = ("share_zscale", "swap_tile_limits", "hide_internal_tick_labels")


def draw_tiles(mosaic: Any, slice_index: Any, figure: Any, look: dict[str, Any]) -> Figure:
    """Draw a slice of each tile in axes of its own; return the figure.

    Parameters
    ----------
    mosaic : TiledDataset
    slice_index : int, slice, Ellipsis or sequence of them
        Leaves two axes of each tile.
    figure : Figure, optional
        By default pyplot's current one.
    look : dict
        share_zscale, swap_tile_limits, hide_internal_tick_labels, and keywords of the plots.

    Raises
    ------
    ValueError
        The slice leaves another number of axes.
    """
    import matplotlib.pyplot as plt

    shared, swapped, hidden = (look.pop(name, None) for name in OPTIONS)
    if swapped not in (None, "x", "y", "xy"):
        raise RuntimeError(f"swap_tile_limits = {swapped!r}: must be one of 'x', 'y', 'xy', None")
    figure = one_figure(figure, look.pop("fig", None))
    if "axes" in look:
        check_keywords("plot of a mosaic", ["axes"], [*OPTIONS, "figure", "slice_index"])
    index = tuple(slice_index) if isinstance(slice_index, (tuple, list)) else (slice_index,)
    sliced = mosaic.slice_tiles[index]
    left = {len(tile.shape) for tile in sliced.flat}
    if left != {2}:
        raise ValueError(
            f"slice_index = {slice_index!r}: leaves {', '.join(map(str, sorted(left)))} axes of "
            f"tiles of shape {mosaic.flat[0].shape}: expected two"
        )
    if len(sliced.shape) != 2:
        raise ValueError(f"a mosaic of shape {sliced.shape}: expected tiles in two directions")
    figure = plt.gcf() if figure is None else figure
    title = look.pop("title", None)
    drawn = _draw_each(sliced, figure, swapped, hidden=bool(hidden), look=look)
    if shared:
        ends = np.array([axes.get_images()[0].get_clim() for axes in drawn])
        for axes in drawn:
            axes.get_images()[0].set_clim(ends[:, 0].min(), ends[:, 1].max())
    figure.suptitle(_title(mosaic, sliced.flat[0], index) if title is None else title or "", y=0.95)
    made: Figure = figure
    return made


def _draw_each(
    sliced: Any, figure: Any, swapped: str | None, *, hidden: bool, look: dict[str, Any]
) -> list[WCSAxes]:
    """Draw the tiles, the first axis of the grid to the right and the second upwards."""
    columns, rows = sliced.shape
    grid = GridSpec(nrows=rows, ncols=columns, figure=figure)
    drawn: list[Any] = []
    for column, row in np.ndindex(columns, rows):
        tile = sliced[column, row]
        if tile is np.ma.masked:
            continue
        axes = figure.add_subplot(grid[rows - row - 1, column], projection=tile.wcs)
        tile.plot(axes=axes, **look)
        if not drawn:
            figure.supxlabel(axes.get_xlabel(), y=0.05)
            figure.supylabel(axes.get_ylabel(), x=0.05)
        if "x" in (swapped or ""):
            axes.invert_xaxis()
        if "y" in (swapped or ""):
            axes.invert_yaxis()
        for coordinate, hide in ((axes.coords[0], row), (axes.coords[1], column)):
            coordinate.set_axislabel("")
            if hidden and hide:
                coordinate.set_ticklabel_position("")
        drawn.append(axes)
    return drawn


def _title(mosaic: Any, tile: Any, index: tuple[Any, ...]) -> str:
    """Name the dataset, the coordinates that the slice has in its first tile, and the slice."""
    inventory = mosaic.inventory or {}
    held = []
    for name, value in reversed(list(tile.global_coords.items())):
        value = getattr(value, "iso", getattr(value, "symbol", value))
        held.append(f"{name} {value}")
    words = [
        f"{inventory.get('instrumentName', '')} Dataset",
        f"({inventory.get('datasetId', '')})",
    ]
    computed = [COMPUTED] if any(one.lineage.is_computed for one in mosaic.flat) else []
    at = [f"at {', '.join(held)}"] if held else []
    shown = ", ".join(_slice_text(part) for part in index)
    return " ".join([*words, *computed, *at, f"(slice={shown})"])


def _slice_text(part: Any) -> str:
    if part is Ellipsis:
        return "..."
    if isinstance(part, slice):
        ends = ["" if end is None else str(end) for end in (part.start, part.stop, part.step)]
        return ":".join(ends[: 3 if ends[2] else 2])
    return str(part)

"""Plot a mosaic with every tile at its coordinates on the sky."""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import numpy as np
from matplotlib.colors import Normalize
from matplotlib.ticker import ScalarFormatter
from matplotlib.transforms import Affine2D

from dkist_virtual.errors import DKISTVirtualWarning, SelectionError
from dkist_virtual.plot.figure_text import fit_labels
from dkist_virtual.plot.image import thin
from dkist_virtual.plot.pixel_plot import PixelPlot
from dkist_virtual.plot.planes import PlaneReader, shown_axes
from dkist_virtual.plot.sky_grid import sky_axes, sky_grid
from dkist_virtual.plot.ticks import ValueLocator, name_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.colors import Colormap
    from matplotlib.figure import Figure, SubFigure
    from numpy.typing import NDArray

    from dkist_virtual.cube.world_axes import World, WorldAxis
    from dkist_virtual.plot.base import Place
    from dkist_virtual.plot.planes import Plane, Subject
    from dkist_virtual.plot.sky_grid import PlaneGrid

__all__ = ["MosaicPlot"]

STRAIGHT: Final = 1.0
"""Pixels that a tile may be off the straight grid that it is drawn on, without a warning."""
SAMPLE: Final = 2**15
"""Pixels of each tile that the contrast is computed from."""
AHEAD: Final = 2**28
"""Bytes of all tiles, at most, that a movie reads ahead."""


class _Longitudes(ScalarFormatter):
    """Writes longitudes as their frame wraps them: there may be tiles on both sides of 0."""

    def __init__(self, world: World, axis: WorldAxis) -> None:
        super().__init__(useOffset=False)
        self._world, self._shown = world, axis

    def __call__(self, x: float, pos: int | None = None) -> str:
        wrapped = self._world.wrap_as_frame(self._shown, np.asarray(x, float))
        return super().__call__(float(wrapped), pos)


class MosaicPlot(PixelPlot):
    """The tiles of a mosaic at their coordinates on the sky, with sliders for the other axes.

    `TiledDataset.plot` returns it. Tiles are drawn rotated and scaled by their coordinates, in
    row-major order where they overlap; pixels are resampled for the screen only.

    Parameters
    ----------
    tiles : sequence of Subject
        Alike in their axes.
    position : dict, optional
        Array axis to pixel: where to begin.
    figure : matplotlib.figure.Figure, optional
        To draw in; by default a new one of pyplot's.
    vmin, vmax : float, optional
        The ends of the contrast, which all tiles share; each by default from the planes shown.
    cmap : str or colormap, optional
    title : str, optional

    Raises
    ------
    SelectionError
        The last two axes of the tiles are not on the sky.
    """

    def __init__(
        self,
        tiles: Sequence[Subject],
        position: Mapping[int, int] | None = None,
        *,
        figure: Figure | SubFigure | None = None,
        vmin: float | None = None,
        vmax: float | None = None,
        cmap: str | Colormap | None = None,
        title: str | None = None,
    ) -> None:
        texts = [tile.held_texts() for tile in tiles]
        shared = {
            kind: one for kind, one in tiles[0].held.items()
            if all(others.get(kind) == texts[0][kind] for others in texts)
        }  # fmt: skip
        # The title names what all tiles have in common.
        tiles = [replace(tiles[0], held=shared), *tiles[1:]]
        first = tiles[0]
        shown = shown_axes(first.world)
        sky = sky_axes(first, shown)
        if sky is None:
            raise SelectionError(
                f"a mosaic of tiles of shape {first.world.shape}: expected the sky along their "
                "last two axes. mosaic[i, j].plot() draws one tile"
            )
        super().__init__(first, shown, position, title=title)
        self._sky = sky
        self._tiles = list(tiles)
        # Nothing is cached or read ahead: the frames of nine tiles are 600 MB.
        self._readers = [
            PlaneReader(tile.data, tile.mask, shown, 0, tile.convert) for tile in tiles
        ]
        self._ends = vmin, vmax
        self._own_map = cmap
        planes = self._read()
        self._grids = self._place_tiles()
        self._make_axes(figure, self._sky_box())
        self._add_images(planes, Normalize())

    # On the sky -----------------------------------------------------------------------------

    def _place_tiles(self, stacklevel: int = 4) -> list[PlaneGrid]:
        """Evaluate the coordinates of each tile at `position`."""
        first = sky_grid(self.subject, self.shown, self._point())
        around = float(first.world(0, 0)[0])
        others = [sky_grid(tile, self.shown, self._point(), around) for tile in self._tiles[1:]]
        grids = [first, *others]
        off = max(float(np.abs(g.rest / g.per_pixel[:, None, None]).max()) for g in grids)
        if off > STRAIGHT:
            warnings.warn(
                f"tiles are drawn on straight grids, {off:.1f} pixels off their coordinates at "
                "the worst",
                DKISTVirtualWarning,
                stacklevel=stacklevel,
            )
        return grids

    def _corners(self, grid: PlaneGrid) -> NDArray[np.float64]:
        x, y = grid.x[-1] + 0.5, grid.y[-1] + 0.5
        ends = np.array([[-0.5, x, x, -0.5], [-0.5, -0.5, y, y]])
        return np.asarray(grid.matrix @ ends + grid.origin[:, None])

    def _sky_box(self) -> tuple[float, float, float, float]:
        """Find the smallest and the largest longitude, then latitude, of all tiles."""
        corners = np.concatenate([self._corners(grid) for grid in self._grids], axis=1)
        (west, south), (east, north) = corners.min(axis=1), corners.max(axis=1)
        edge = 0.02 * max(east - west, north - south)
        return west - edge, east + edge, south - edge, north + edge

    def _make_axes(
        self, figure: Figure | SubFigure | None, box: tuple[float, float, float, float]
    ) -> None:
        ratio = (box[3] - box[2]) / (box[1] - box[0])
        place = self._make_pixel_figure(figure, ratio)
        self.axes = self.figure.add_axes(place)
        self.axes.set_facecolor("0.9")
        self.axes.set_aspect("equal")
        longitude, latitude = self._sky
        self.axes.set(
            xlim=box[:2], ylim=box[2:],
            xlabel=f"{name_of(longitude)} [{longitude.unit}]",
            ylabel=f"{name_of(latitude)} [{latitude.unit}]",
        )  # fmt: skip
        for axis in (self.axes.xaxis, self.axes.yaxis):
            axis.set_major_locator(ValueLocator())
            axis.set_major_formatter(ScalarFormatter(useOffset=False))
        self.axes.xaxis.set_major_formatter(_Longitudes(self.subject.world, longitude))
        self._show_coordinates_of_mouse(self.axes)

    def _put_axes(self, place: Place) -> None:
        self.axes.set_position(place)
        fit_labels(self.axes)

    def _read_out(self, x: float, y: float) -> str:
        return "  ".join(
            f"{axis.kind} {self.subject.world.text(axis, value, float(step))}"
            for axis, value, step in zip(self._sky, (x, y), self._grids[0].per_pixel, strict=True)
        )

    def _place_images(self) -> None:
        for image, grid in zip(self.images, self._grids, strict=True):
            to_sky = np.vstack([np.column_stack([grid.matrix, grid.origin]), [0, 0, 1]])
            image.set_transform(Affine2D(to_sky) + self.axes.transData)

    def _move_coordinates(self, moved: set[int]) -> bool:
        if any(set(axis.array_axes) & moved for axis in self._sky):
            self._grids = self._place_tiles(stacklevel=7)
            self._place_images()
        return False  # tiles move, the axes keep their ticks

    def _picture_ratio(self) -> float:
        west, east, south, north = self._sky_box()
        return (north - south) / (east - west)

    def _draw_still(self, figure: Figure, title: str) -> MosaicPlot:
        shown = replace(self.shown, sliding=())
        at = {axis: pixel for axis, pixel in enumerate(self.position) if axis not in shown.drawn}
        low, high = self.images[0].get_clim()
        return MosaicPlot(
            self._tiles, at, figure=figure, vmin=low, vmax=high, cmap=self.images[0].get_cmap(),
            title=title,
        )  # fmt: skip

    # What is shown --------------------------------------------------------------------------

    def _read(self) -> list[Plane]:
        return [reader.read(self.position) for reader in self._readers]

    def _read_ahead(self, before: Sequence[int]) -> None:
        """Do nothing: see `__init__`."""

    def _read_next(self, position: Sequence[int]) -> None:
        if sum(image.pixels.nbytes for image in self.images) <= AHEAD:
            for reader in self._readers:
                reader.read_ahead(position)

    def _sample(self, planes: Sequence[Plane]) -> NDArray[np.generic]:
        return np.concatenate([thin(plane.pixels, SAMPLE).ravel() for plane in planes])

    def _hint(self, planes: Sequence[Plane]) -> tuple[str, bool]:
        n = sum(plane.absent is not None for plane in planes)
        if not n:
            return "", False
        return (
            f"{n} of {len(planes)} tiles have frames that are not here:\n"
            "mosaic.files.missing() names what is absent, mosaic.download(DIR) fetches it"
        ), False

"""Plot a mosaic with every tile in its place on the sky."""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.ticker import ScalarFormatter
from matplotlib.transforms import Affine2D

from dkist_virtual.errors import DKISTVirtualWarning, FrameError, SelectionError
from dkist_virtual.plot.base import SteppedPlot
from dkist_virtual.plot.colorbar import add_colorbar
from dkist_virtual.plot.figure_text import BoxedText, fit_labels
from dkist_virtual.plot.image import ScreenImage, absent_boxes, contrast, limits
from dkist_virtual.plot.image_plot import PLAIN_MAP, SIGNED_MAP, is_signed, sky_axes, sky_grid
from dkist_virtual.plot.planes import PlaneReader, shown_axes
from dkist_virtual.plot.sliders import Repainter
from dkist_virtual.plot.ticks import ValueLocator, name_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.figure import Figure

    from dkist_virtual.cube.world_axes import World, WorldAxis
    from dkist_virtual.plot.planes import Plane, Subject
    from dkist_virtual.plot.sky_grid import PlaneGrid

__all__ = ["MosaicPlot"]

STRAIGHT: Final = 1.0
"""Pixels by which a tile may lie off the straight grid it is drawn on, before that is said."""


class _Longitudes(ScalarFormatter):
    """Writes longitudes as their frame wraps them: tiles may lie on both sides of 0."""

    def __init__(self, world: World, axis: WorldAxis) -> None:
        super().__init__(useOffset=False)
        self._world, self._shown = world, axis

    def __call__(self, x: float, pos: int | None = None) -> str:
        said = self._world.wrap_as_frame(self._shown, np.asarray(x, float))
        return super().__call__(float(said), pos)


class MosaicPlot(SteppedPlot):
    """The tiles of a mosaic where they are on the sky, with sliders for what is not drawn.

    What `TiledDataset.plot` gives. Tiles are drawn turned and scaled as their coordinates say, in
    a row-major order where they overlap; nothing is resampled but for the screen.

    Parameters
    ----------
    tiles : sequence of Subject
        Alike in their axes.
    position : dict, optional
        Array axis to pixel: where to begin.
    figure : matplotlib.figure.Figure, optional
        To draw in; a new one of pyplot's by default.
    vmin, vmax : float, optional
        The ends of the contrast, which all tiles share; each by default from what is shown.
    cmap : str or colormap, optional

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
        figure: Figure | None = None,
        vmin: float | None = None,
        vmax: float | None = None,
        cmap: Any = None,
    ) -> None:
        texts = [tile.held_texts() for tile in tiles]
        held = {
            kind: one for kind, one in tiles[0].held.items()
            if all(others.get(kind) == texts[0][kind] for others in texts)
        }  # fmt: skip
        # What is said of all is what all have in common.
        tiles = [replace(tiles[0], held=held), *tiles[1:]]
        first = tiles[0]
        shown = shown_axes(first.world)
        if sky_axes(first, shown) is None:
            raise SelectionError(
                f"a mosaic of tiles of shape {first.world.shape}: expected the sky along their "
                "last two axes. mosaic[i, j].plot() draws one tile"
            )
        super().__init__(first, shown, position)
        self._tiles = list(tiles)
        # Nothing is kept or read ahead: the frames of nine tiles are 600 MB.
        self._readers = [PlaneReader(tile.data, tile.mask, shown, keep=0) for tile in tiles]
        self._ends = vmin, vmax
        self._own_map = cmap
        self._over: list[Any] = []
        planes = [reader.read(self.position) for reader in self._readers]
        self._grids = self._placed()
        self._make_axes(figure, self._sky_box())
        norm = Normalize()
        self.images = [
            ScreenImage(self.axes, plane.pixels, zorder=0.9, norm=norm) for plane in planes
        ]
        for image in self.images:
            self.axes.add_image(image)
        self._mappable = ScalarMappable(norm)
        self._put_in_place()
        self._set_contrast(planes, self._say_where())
        self.colorbar = add_colorbar(self.axes, self._mappable, first.unit)
        bar = self.colorbar.ax
        self._mark_absent(planes)
        self._laid_out()
        small = [bar, *(slider.ax for slider in self.sliders.widgets)]
        self._repainter = Repainter(self.figure, self.images, small)

    # On the sky -----------------------------------------------------------------------------

    def _placed(self) -> list[PlaneGrid]:
        """Where each tile lies at the place that is shown."""
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
                stacklevel=4,
            )
        return grids

    def _corners(self, grid: PlaneGrid) -> Any:
        x, y = grid.x[-1] + 0.5, grid.y[-1] + 0.5
        ends = np.array([[-0.5, x, x, -0.5], [-0.5, -0.5, y, y]])
        return grid.matrix @ ends + grid.origin[:, None]

    def _sky_box(self) -> tuple[float, float, float, float]:
        """The least and the largest longitude, then latitude, of all tiles."""
        corners = np.concatenate([self._corners(grid) for grid in self._grids], axis=1)
        (west, south), (east, north) = corners.min(axis=1), corners.max(axis=1)
        edge = 0.02 * max(east - west, north - south)
        return west - edge, east + edge, south - edge, north + edge

    def _make_axes(self, figure: Figure | None, box: tuple[float, float, float, float]) -> None:
        ratio = (box[3] - box[2]) / (box[1] - box[0])
        place: Any = self._make_figure(figure, float(np.clip(5.7 * ratio, 2.0, 5.7)))
        self.axes: Any = self.figure.add_axes(place)
        self.axes.set_facecolor("0.9")
        self.axes.set_aspect("equal")
        sky = sky_axes(self.subject, self.shown)
        assert sky is not None
        self.axes.set(
            xlim=box[:2], ylim=box[2:],
            xlabel=f"{name_of(sky[0])} [{sky[0].unit}]",
            ylabel=f"{name_of(sky[1])} [{sky[1].unit}]",
        )  # fmt: skip
        for axis in (self.axes.xaxis, self.axes.yaxis):
            axis.set_major_locator(ValueLocator(steps=[1, 2, 2.5, 5, 10]))
            axis.set_major_formatter(ScalarFormatter(useOffset=False))
        self.axes.xaxis.set_major_formatter(_Longitudes(self.subject.world, sky[0]))
        axes: Any = self.axes
        axes.format_coord = self._read_out

    @property
    def _all_axes(self) -> list[Any]:
        return [self.axes]

    def _put_axes(self, place: Any) -> None:
        self.axes.set_position(place)
        fit_labels(self.axes)

    def _read_out(self, x: float, y: float) -> str:
        """What is under the mouse, as finely as pixels are."""
        sky, steps = sky_axes(self.subject, self.shown) or (), self._grids[0].per_pixel
        return "  ".join(
            f"{axis.kind} {self.subject.world.text(axis, value, float(step))}"
            for axis, value, step in zip(sky, (x, y), steps, strict=True)
        )

    def _put_in_place(self) -> None:
        for image, transform in zip(self.images, self._transforms(), strict=True):
            image.set_transform(transform + self.axes.transData)

    def _transforms(self) -> list[Affine2D]:
        """From each tile's pixels to the sky."""
        return [
            Affine2D(np.vstack([np.column_stack([grid.matrix, grid.origin]), [0, 0, 1]]))
            for grid in self._grids
        ]

    # What is shown --------------------------------------------------------------------------

    def _show(self, moved: set[int]) -> None:
        values = self._say_where()
        try:
            planes = [reader.read(self.position) for reader in self._readers]
        except FrameError as error:
            for image in self.images:
                image.set_pixels(np.full(image.pixels.shape, np.nan, np.float32))
            self._write_over(self.axes, str(error))
            self._repainter.step()
            raise
        for image, plane in zip(self.images, planes, strict=True):
            image.set_pixels(plane.pixels)
        sky = sky_axes(self.subject, self.shown) or ()
        if any(set(axis.array_axes) & moved for axis in sky):
            self._grids = self._placed()
            self._put_in_place()
        self._set_contrast(planes, values)
        self._mark_absent(planes)
        self._repainter.step()

    def _read_ahead(self, before: Sequence[int]) -> None:
        """Nothing: see `__init__`."""

    def _set_contrast(self, planes: Sequence[Plane], values: Sequence[float]) -> None:
        signed = is_signed(self.subject, self.shown, values)
        colours = self._own_map or (SIGNED_MAP if signed else PLAIN_MAP)
        steps = [max(1, int(np.sqrt(plane.pixels.size / 2**15))) for plane in planes]
        few = np.concatenate(
            [plane.pixels[::n, ::n].ravel() for plane, n in zip(planes, steps, strict=True)]
        )
        self._mappable.set_clim(*contrast(self._ends, limits(few, signed=signed)))
        for mappable in (self._mappable, *self.images):
            mappable.set_cmap(colours)

    def _mark_absent(self, planes: Sequence[Plane]) -> None:
        self._write_over(self.axes, "")
        absent = [plane.absent for plane in planes]
        for gone, transform in zip(absent, self._transforms(), strict=True):
            if gone is not None:
                boxes = absent_boxes(gone)
                boxes.set_transform(transform + self.axes.transData)
                self._over.append(self.axes.add_collection(boxes, autolim=False))
        n = sum(gone is not None for gone in absent)
        if n:
            hint = (
                f"{n} of {len(absent)} tiles have frames that are not here:\n"
                "mosaic.files.missing() names what is absent, mosaic.download(DIR) fetches it"
            )
            self._over.append(BoxedText(self.axes, hint, middle=False))

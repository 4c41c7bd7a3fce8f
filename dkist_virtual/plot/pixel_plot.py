"""Step a figure of images: share one contrast, one colour bar and one way to repaint."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
from matplotlib.colors import Normalize
from matplotlib.transforms import Bbox

from dkist_virtual.plot.base import SteppedPlot
from dkist_virtual.plot.figure_text import figure_inches
from dkist_virtual.plot.image import ScreenImage, absent_boxes, contrast, limits
from dkist_virtual.plot.sliders import Repainter
from dkist_virtual.plot.ticks import DataFormatter

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from matplotlib.cm import ScalarMappable
    from matplotlib.colorbar import Colorbar
    from matplotlib.colors import Colormap
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from dkist_virtual.plot.base import Place
    from dkist_virtual.plot.planes import Plane, ShownAxes, Subject

__all__ = ["PixelPlot", "is_signed"]

SIGNED_MAP: Final = "RdBu_r"
PLAIN_MAP: Final = "gray"
LOWEST: Final = 2.0
HIGHEST: Final = 5.7
"""Inches of the axes of a new figure."""
AWAY: Final = 0.17
WIDE: Final = 0.2
"""Inches between axes and their colour bar, and of its width."""


def is_signed(subject: Subject, shown: ShownAxes, values: Sequence[float]) -> bool:
    """Whether a plane shows Stokes Q, U or V, which are zero on average."""
    if "stokes" in subject.held:
        return subject.held["stokes"][2] != 1
    stokes = subject.world.of_kind("stokes")
    if stokes is None or set(stokes.array_axes) & set(shown.drawn):
        return False
    return values[stokes.index] != 1


class PixelPlot(SteppedPlot):
    """A figure of images on the same axes: what an image and a mosaic have in common."""

    axes: Axes
    images: list[ScreenImage]
    _ends: tuple[float | None, float | None]
    _own_map: str | Colormap | None
    _has_own_contrast = False

    @property
    def _all_axes(self) -> list[Axes]:
        return [self.axes]

    def _make_pixel_figure(self, figure: Figure | None, ratio: float) -> Place:
        """Make a figure for axes whose height is `ratio` times their width."""
        return self._make_figure(figure, float(np.clip(HIGHEST * ratio, LOWEST, HIGHEST)))

    def _place_images(self) -> None:
        """Transform images to the coordinates of `position`."""

    def _add_images(self, planes: Sequence[Plane], norm: Normalize, **look: Any) -> None:
        """Add the images of planes to axes whose limits are set, and lay out the figure."""
        # Each image lives as long as the figure: only its pixels change.
        self.images = [
            ScreenImage(self.axes, plane.pixels, zorder=0.9, norm=norm, **look) for plane in planes
        ]
        for image in self.images:
            self.axes.add_image(image)
        self._place_images()
        self._set_contrast(planes, self._write_values())
        self.colorbar = _add_colorbar(self.axes, self.images[0], self.subject.unit)
        self._mark_absent(planes)
        self._finish_layout()
        small = [self.colorbar.ax, *(slider.ax for slider in self.sliders.widgets)]
        self._repainter = Repainter(self.figure, self.images, small)

    def _move_coordinates(self, moved: set[int]) -> bool:  # noqa: ARG002
        """Follow a move along some axes; return whether coordinates on the axes changed."""
        return False

    def _blank(self) -> None:
        for image in self.images:
            image.set_pixels(np.full(image.pixels.shape, np.nan, np.float32))

    def _repaint(self) -> None:
        self._repainter.step()

    def _draw(self, planes: Sequence[Plane], values: Sequence[float], moved: set[int]) -> None:
        for image, plane in zip(self.images, planes, strict=True):
            image.set_pixels(plane.pixels)
        self._set_contrast(planes, values)
        axes_changed = self._move_coordinates(moved)
        self._mark_absent(planes)
        if axes_changed:
            self._repainter.everything()
        else:
            self._repainter.step()

    def _sample(self, planes: Sequence[Plane]) -> NDArray[np.generic]:
        """The pixels that the contrast is computed from."""
        return planes[0].pixels

    def _set_contrast(self, planes: Sequence[Plane], values: Sequence[float]) -> None:
        signed = is_signed(self.subject, self.shown, values)
        for image in self.images:
            image.set_cmap(self._own_map or (SIGNED_MAP if signed else PLAIN_MAP))
        if not self._has_own_contrast:  # images share their norm
            found = limits(self._sample(planes), signed=signed)
            self.images[0].set_clim(*contrast(self._ends, found))

    def _mark_absent(self, planes: Sequence[Plane]) -> None:
        """Hatch the pixels of absent frames, and write how to get them."""
        text, middle = self._hint(planes)
        self._write_over(self.axes, text, middle=middle)
        for image, plane in zip(self.images, planes, strict=True):
            if plane.absent is not None:
                boxes = absent_boxes(plane.absent)
                boxes.set_transform(image.get_transform())
                self._over.append(self.axes.add_collection(boxes, autolim=False))


def _add_colorbar(axes: Axes, mappable: ScalarMappable, unit: str) -> Colorbar:
    """Add a colour bar on the right of axes, in powers of ten of the unit where that is shorter."""
    bar = axes.inset_axes((1.03, 0, 0.035, 1))

    def beside(*_: object) -> Bbox:
        box, wide = axes.get_position(), figure_inches(axes)[0]
        return Bbox.from_bounds(box.x1 + AWAY / wide, box.y0, WIDE / wide, box.height)

    bar.set_axes_locator(beside)
    figure = axes.get_figure()
    assert figure is not None
    form = DataFormatter(unit) if type(mappable.norm) is Normalize else None
    return figure.colorbar(mappable, cax=bar, label=unit, format=form)

"""Step a figure of images: share one contrast, one colour bar and one way to repaint."""

from __future__ import annotations

import copy
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from matplotlib.colors import LogNorm, Normalize
from matplotlib.transforms import Bbox

from dkist_virtual.plot.base import SteppedPlot
from dkist_virtual.plot.figure_text import figure_inches
from dkist_virtual.plot.image import SAMPLE, ScreenImage, absent_boxes, contrast, limits, thin
from dkist_virtual.plot.interface.current import make_current
from dkist_virtual.plot.planes import Plane
from dkist_virtual.plot.sliders import Repainter
from dkist_virtual.plot.ticks import DataFormatter

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.cm import ScalarMappable
    from matplotlib.colorbar import Colorbar
    from matplotlib.colors import Colormap
    from matplotlib.figure import Figure, SubFigure
    from numpy.typing import NDArray

    from dkist_virtual.plot.base import Place
    from dkist_virtual.plot.planes import ShownAxes, Subject

__all__ = ["PixelPlot", "add_colorbar", "is_signed"]

SIGNED_MAP: Final = "RdBu_r"
PLAIN_MAP: Final = "gray"
LOWEST: Final = 2.0
HIGHEST: Final = 5.7
"""Inches of the axes of a new figure."""
AWAY: Final = 0.17
WIDE: Final = 0.2
"""Inches between axes and their colour bar, and of its width."""


def is_signed(subject: Subject, shown: ShownAxes, values: Sequence[float]) -> bool:
    """Whether a plane shows what has both signs: Stokes Q, U or V, or a velocity."""
    if subject.is_signed:
        return True
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
    _has_colorbar = True
    _fixed_ends: Mapping[bool, tuple[float, float]] = MappingProxyType({})
    """The ends of a contrast that all frames of a movie share: of signed pixels, and of others."""
    colorbar: Any = None
    """The `matplotlib.colorbar.Colorbar`; None for a plot without one."""
    _repainter: Repainter | None = None

    @property
    def _all_axes(self) -> list[Axes]:
        return [self.axes]

    @property
    def _stamp_axes(self) -> Axes | None:
        return self.axes

    def _make_pixel_figure(self, figure: Figure | SubFigure | None, ratio: float) -> Place:
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
        if self._has_colorbar:
            self.colorbar = add_colorbar(self.axes, self.images[0], self.subject.label)
        self.images[0].other_colorbar = self._take_colorbar
        self._mark_absent(planes)
        self._finish_layout()
        self._repainter = Repainter(self.figure, self.images, self._small)
        make_current(self.axes, self.images[0])

    def _small(self) -> list[Axes]:
        """The axes that a step changes as a whole."""
        bar = getattr(self.colorbar, "ax", None)  # which one that is being made has not yet
        return [*([] if bar is None else [bar]), *(slider.ax for slider in self.sliders.widgets)]

    def _take_colorbar(self, bar: Colorbar) -> None:
        """Let a colour bar of the user's take the place of the plot's own."""
        if self.colorbar is not None:
            self.colorbar.ax.remove()
        self.colorbar = bar
        self._has_moved()

    def _has_moved(self) -> None:
        if self._repainter is not None:
            self._repainter.forget()

    def _artists(self) -> list[Artist]:
        return [*self.images]

    def _use_wcs(self) -> Axes:
        return self.axes

    def _draw_elsewhere(self, axes: Axes, planes: Sequence[Plane], before: Artist | None) -> Artist:
        pixels, shown = planes[0].pixels, self.images[0]
        image: Any = before
        if image is None:
            norm: Any = copy.copy(shown.norm)
            image = axes.imshow(pixels, origin="lower", cmap=shown.get_cmap(), norm=norm)
        image.set_data(pixels)
        if not self._has_own_contrast:
            low, high = shown.get_clim()
            signed = low is not None and high is not None and low == -high
            image.set_clim(*contrast(self._ends, limits(pixels, signed=signed)))
        drawn: Artist = image
        return drawn

    def _move_coordinates(self, moved: set[int]) -> bool:  # noqa: ARG002
        """Follow a move along some axes; return whether coordinates on the axes changed."""
        return False

    def _blank(self) -> None:
        for image in self.images:
            image.set_pixels(np.full(image.pixels.shape, np.nan, np.float32))

    def _repaint(self) -> None:
        assert self._repainter is not None
        if self._paints:
            self._repainter.step()

    def _draw(self, planes: Sequence[Plane], values: Sequence[float], moved: set[int]) -> None:
        for image, plane in zip(self.images, planes, strict=True):
            image.set_pixels(plane.pixels)
        self._set_contrast(planes, values)
        axes_changed = self._move_coordinates(moved)
        self._mark_absent(planes)
        if axes_changed:
            self._has_moved()
        self._repaint()

    def _sample(self, planes: Sequence[Plane]) -> NDArray[np.generic]:
        """The pixels that the contrast is computed from."""
        return planes[0].pixels

    def _limits(self, planes: Sequence[Plane], *, signed: bool) -> tuple[float, float]:
        """Find the ends of the contrast that the planes would have by themselves."""
        sample: Any = self._sample(planes)
        if isinstance(self.images[0].norm, LogNorm):
            positive = sample[sample > 0]
            return limits(positive, signed=False) if positive.size else (1.0, 10.0)
        return limits(sample, signed=signed)

    def _set_contrast(self, planes: Sequence[Plane], values: Sequence[float]) -> None:
        signed = is_signed(self.subject, self.shown, values)
        for image in self.images:
            image.set_cmap(self._own_map or (SIGNED_MAP if signed else PLAIN_MAP))
        if not self._has_own_contrast:  # images share their norm
            ends = self._fixed_ends.get(signed)
            if ends is None:
                ends = contrast(self._ends, self._limits(planes, signed=signed))
            self.images[0].set_clim(*ends)

    def _take_sample(self, planes: Sequence[Plane], values: Sequence[float], n: int) -> Any:
        each = max(SAMPLE // (n * len(planes)), 1)
        pixels = [thin(plane.pixels, each).ravel() for plane in planes]
        return is_signed(self.subject, self.shown, values), np.concatenate(pixels)

    def _shared_ends(self, samples: Sequence[Any]) -> list[tuple[float, float] | None]:
        if self._has_own_contrast:
            return [None] * len(samples)
        self._fix_range(samples)
        ends = dict(self._fixed_ends)
        self._fix_range(None)
        return [ends[signed] for signed, _ in samples]

    def _fix_range(self, samples: Sequence[Any] | None) -> None:
        fixed = {}
        for signed in {signed for signed, _ in samples or ()}:
            pixels = np.concatenate([pixels for one, pixels in samples or () if one == signed])
            found = self._limits([Plane(pixels[np.newaxis], None)], signed=signed)
            fixed[signed] = contrast(self._ends, found)
        self._fixed_ends = fixed

    def _mark_absent(self, planes: Sequence[Plane]) -> None:
        """Hatch the pixels of absent frames, and write how to get them."""
        text, middle = self._hint(planes)
        self._write_over(self.axes, text, middle=middle)
        for image, plane in zip(self.images, planes, strict=True):
            if plane.absent is not None:
                boxes = absent_boxes(plane.absent)
                boxes.set_transform(image.get_transform())
                self._over.append(self.axes.add_collection(boxes, autolim=False))


def add_colorbar(axes: Axes, mappable: ScalarMappable, unit: str) -> Colorbar:
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

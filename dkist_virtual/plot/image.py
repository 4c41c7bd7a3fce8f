"""Draw an image at screen resolution, with contrast that shows the Sun; mark absent frames."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
from matplotlib.collections import PatchCollection
from matplotlib.image import AxesImage
from matplotlib.patches import Rectangle

if TYPE_CHECKING:
    from collections.abc import Callable

    from matplotlib.axes import Axes
    from matplotlib.backend_bases import MouseEvent, RendererBase
    from matplotlib.colorbar import Colorbar
    from numpy.typing import NDArray

__all__ = [
    "ABSENT",
    "IMAGE_LOOK",
    "ScreenImage",
    "absent_boxes",
    "block_mean",
    "contrast",
    "limits",
    "runs",
    "thin",
]

IMAGE_LOOK: Final = (
    "figure", "vmin", "vmax", "cmap", "norm", "alpha", "filternorm", "filterrad", "gid",
    "interpolation", "interpolation_stage", "label", "path_effects", "picker", "resample",
    "sketch_params", "snap", "url", "visible", "aspect", "clip_interval", "colorbar", "fig",
    "origin", "slider_labels", "title",
)  # fmt: skip
"""Keywords of a plot of an image: of matplotlib's those that leave its pixels in place."""

PERCENTILES: Final = (0.25, 99.75)
SAMPLE: Final = 2**18
"""Pixels that a contrast is computed from: of more, every n-th."""
ABSENT: Final[dict[str, Any]] = {
    "facecolor": "0.93", "edgecolor": "0.6", "hatch": "///", "linewidth": 0,
}  # fmt: skip


def thin(pixels: NDArray[np.generic], most: int = SAMPLE) -> NDArray[np.generic]:
    """Take every n-th pixel of an image along both axes, about `most` in all."""
    step = max(1, int(np.sqrt(pixels.size / most)))
    return pixels[::step, ::step]


def limits(pixels: NDArray[np.generic], *, signed: bool) -> tuple[float, float]:
    """Find the ends of a picture's contrast; a few outliers do not change them.

    Of signed pixels, as those of Stokes Q, U and V, zero is in the middle.
    """
    values = np.asarray(thin(pixels) if pixels.ndim == 2 else pixels, float)
    values = values[np.isfinite(values)]
    if not values.size:
        return (-1.0, 1.0) if signed else (0.0, 1.0)
    if signed:
        most = float(np.percentile(np.abs(values), PERCENTILES[1])) or float(np.abs(values).max())
        return (-most, most) if most else (-1.0, 1.0)
    low, high = (float(v) for v in np.percentile(values, PERCENTILES))
    if low == high:
        low, high = float(values.min()), float(values.max())
    return (low, high) if low < high else (low - 0.5, high + 0.5)


def contrast(
    given: tuple[float | None, float | None], found: tuple[float, float]
) -> tuple[float, float]:
    """Combine the ends of a contrast that are given with those found; keep them in order."""
    (low, high), wide = found, found[1] - found[0]
    if given[0] is not None:
        low = given[0]
        high = high if high > low else low + wide
    if given[1] is not None:
        high = given[1]
        low = low if low < high or given[0] is not None else high - wide
    return low, high


def block_mean(pixels: NDArray[np.generic], ny: int, nx: int) -> NDArray[np.generic]:
    """Average blocks of ny x nx pixels; those of the last row and column may be smaller.

    Returns floats. NaN is ignored; a block of NaN alone is NaN.
    """
    if ny == nx == 1:
        return pixels
    rows, columns = np.arange(0, pixels.shape[0], ny), np.arange(0, pixels.shape[1], nx)
    known = pixels
    if pixels.dtype.kind != "f":
        known = pixels.astype(np.float32 if pixels.dtype.itemsize < 4 else np.float64)
    count: NDArray[np.generic] = np.multiply.outer(
        np.diff(rows, append=pixels.shape[0]), np.diff(columns, append=pixels.shape[1])
    )
    total = _block_sum(known, ny, nx)
    if not np.isfinite(total).all():
        there = np.isfinite(known)
        total = _block_sum(np.where(there, known, 0), ny, nx)
        count = _block_sum(there.astype(np.float32), ny, nx)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean: NDArray[np.generic] = (total / count).astype(known.dtype)
    return mean


def _block_sum(pixels: NDArray[Any], ny: int, nx: int) -> Any:
    # Whole rows first: they are contiguous in memory.
    n_rows, n_columns = pixels.shape[0] // ny, pixels.shape[1] // nx
    summed = pixels[: n_rows * ny].reshape(n_rows, ny, pixels.shape[1]).sum(axis=1)
    if n_rows * ny < pixels.shape[0]:
        summed = np.concatenate([summed, pixels[n_rows * ny :].sum(axis=0, keepdims=True)])
    whole = summed[:, : n_columns * nx].reshape(len(summed), n_columns, nx).sum(axis=2)
    if n_columns * nx < pixels.shape[1]:
        last = summed[:, n_columns * nx :].sum(axis=1, keepdims=True)
        whole = np.concatenate([whole, last], axis=1)
    return whole


class ScreenImage(AxesImage):
    """An image that gives matplotlib about as many pixels as the screen has.

    When it is drawn, pixels are averaged to the size of the axes and to the part of the image that
    they show. Zooming in shows single pixels; a figure saved at a high resolution keeps it.

    The axes count pixels, the centre of the first one at (0, 0), unless an affine transform is set.
    Keywords are those of `matplotlib.image.AxesImage`.
    """

    def __init__(self, axes: Axes, pixels: NDArray[np.generic], **kwargs: Any) -> None:
        super().__init__(axes, origin="lower", **kwargs)
        self._smooth = "interpolation" not in kwargs
        self._shown: tuple[list[tuple[int, int]], list[int]] | None = None
        self.other_colorbar: Callable[[Colorbar], None] | None = None
        """Is called with a colour bar that replaces the one that the image had."""
        self.set_pixels(pixels)
        self.set_extent((-0.5, pixels.shape[1] - 0.5, -0.5, pixels.shape[0] - 0.5))

    @property
    def colorbar(self) -> Any:
        """The last colour bar that was made for the image; None before there is one."""
        return self._bar

    @colorbar.setter
    def colorbar(self, bar: Any) -> None:
        before = getattr(self, "_bar", None)
        self._bar = bar
        call = getattr(self, "other_colorbar", None)
        if call is not None and before is not None and bar is not None:
            connected: Any = self
            self.callbacks.disconnect(connected.colorbar_cid)
            call(bar)

    def set_pixels(self, pixels: NDArray[np.generic]) -> None:
        """Show other pixels, of the same shape."""
        self.pixels = pixels
        self._shown = None
        self.set_data(thin(pixels))  # until it is drawn

    def draw(self, renderer: RendererBase) -> None:
        """Average pixels to the screen's resolution, and draw."""
        self._fit(renderer)
        super().draw(renderer)

    def get_cursor_data(self, event: MouseEvent) -> np.generic | None:  # type: ignore[override]
        """Return the pixel under the pointer, not an average."""
        at = self.get_transform().inverted().transform((event.x, event.y))
        x, y = (round(float(place)) for place in at)
        inside = 0 <= y < self.pixels.shape[0] and 0 <= x < self.pixels.shape[1]
        return self.pixels[y, x] if inside else None

    def _fit(self, renderer: RendererBase) -> None:
        axes = self.axes
        assert axes is not None
        to_screen = self.get_transform()
        box = axes.get_window_extent(renderer)
        corners = to_screen.inverted().transform(box.corners())
        # The lengths of a pixel of the image on the screen, along x and along y; a file of vectors
        # has several pixels in a point.
        lengths = np.hypot(*to_screen.get_matrix()[:2, :2])
        lengths = lengths * renderer.get_image_magnification()
        ranges, factors = [], []
        for along, n, length in zip(
            corners.T[::-1], self.pixels.shape, lengths[::-1], strict=True
        ):  # fmt: skip
            factor = max(1, round(1 / length))
            first = max(0, int(np.floor(along.min()))) // factor * factor
            last = min(n, -(-(int(np.ceil(along.max())) + 1) // factor) * factor)
            ranges.append((first, last))
            factors.append(factor)
        shown = (ranges, factors)
        if shown == self._shown or any(first >= last for first, last in ranges):
            return
        if self._smooth:
            # matplotlib's own choice blurs single pixels that are long on one side only.
            self.set_interpolation("nearest" if lengths.max() >= 3 else "auto")
        (y0, y1), (x0, x1) = ranges
        data = block_mean(self.pixels[y0:y1, x0:x1], *factors)
        self.set_data(data)
        # The last block may extend beyond the image, by less than a pixel of the screen.
        self.set_extent((x0 - 0.5, x0 + data.shape[1] * factors[1] - 0.5,
                         y0 - 0.5, y0 + data.shape[0] * factors[0] - 0.5))  # fmt: skip
        self._shown = shown


def runs(mask: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Find the runs of True in a mask: the first pixel of each, and the pixel after its last."""
    change = np.diff(np.concatenate([[0], mask.astype(np.int8), [0]]))
    begins, ends = np.flatnonzero(change > 0).tolist(), np.flatnonzero(change < 0).tolist()
    return list(zip(begins, ends, strict=True))


def absent_boxes(absent: NDArray[np.bool_]) -> PatchCollection:
    """Make hatched boxes over the pixels (y, x) of absent frames."""
    boxes = []
    rows = np.flatnonzero(absent.any(axis=1))
    # Equal rows next to each other share their boxes.
    breaks = [
        i for i in range(1, len(rows))
        if rows[i] != rows[i - 1] + 1 or (absent[rows[i]] != absent[rows[i - 1]]).any()
    ]  # fmt: skip
    for group in np.split(rows, breaks) if len(rows) else []:
        for x0, x1 in runs(absent[group[0]]):
            boxes.append(Rectangle((x0 - 0.5, group[0] - 0.5), x1 - x0, len(group)))
    return PatchCollection(boxes, zorder=1, **ABSENT)

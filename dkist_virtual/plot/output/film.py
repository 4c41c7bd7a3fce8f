"""Draw the frames of a movie from plots, one after the other, as arrays."""

from __future__ import annotations

from contextlib import contextmanager
from io import BytesIO
from typing import TYPE_CHECKING, Final

import matplotlib as mpl
import numpy as np

from dkist_virtual.errors import FrameError
from dkist_virtual.plot.figure_text import EDGE, SMALLEST, figure_inches, text_inches
from dkist_virtual.plot.output.as_file import cut_out
from dkist_virtual.plot.output.axes import frame_text, slider_texts

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from matplotlib.axes import Axes
    from matplotlib.text import Text
    from numpy.typing import NDArray

    from dkist_virtual.plot.output.scene import Scene
    from dkist_virtual.plot.planes import Plane

__all__ = ["Camera", "put_side_by_side"]

PINNED: Final = 2**27
"""Bytes of sampled planes that are kept until they are shown."""


class Camera:
    """Takes pictures of a plot at pixels of an axis, without showing any of them.

    Parameters
    ----------
    plot : Scene
    axis : int or None
        Along which it steps; None for a plot that stays where it is.
    pixels : sequence of int or None
        Of each frame of the movie; None where there is no picture.
    dpi : float
    stamp : bool
    """

    def __init__(
        self,
        plot: Scene,
        axis: int | None,
        pixels: Sequence[int | None],
        dpi: float,
        *,
        stamp: bool,
    ) -> None:
        self._plot = plot
        self._axis = axis
        self._pixels = list(pixels)
        self._dpi = dpi
        self._stamped = stamp and plot._stamp_axes is not None
        self._stamp: Text | None = None
        self._start = tuple(plot.position)
        self._kept: dict[tuple[int, ...], list[Plane]] = {}
        self._shown: int | None = None
        self._last: NDArray[np.uint8] | None = None

    @contextmanager
    def running(self) -> Iterator[None]:
        """Hide the sliders as long as the block runs; then show what was shown before."""
        plot = self._plot
        try:
            first: list[Plane] | None = plot._read()
        except FrameError:  # the figure says so, and steps to frames that can be read
            first = None
        if first is not None:
            self._kept[self._start] = first
        plot._paints = False
        try:
            with plot.sliders.hidden():
                yield
        finally:
            self._write_stamp("")
            plot._fix_range(None)
            plot._paints = True
            plot.position = list(self._start)
            values = plot._write_values()
            if first is None:
                plot._blank()
                plot._repaint()
            else:
                plot._draw(first, values, set(range(len(self._start))))
            plot._set_title()

    def _position(self, pixel: int) -> tuple[int, ...]:
        position = list(self._start)
        if self._axis is not None:
            position[self._axis] = pixel
        return tuple(position)

    def fix_contrast(self, most: int) -> None:
        """Read a sample of the frames, and show their contrast from now on."""
        wanted = list(dict.fromkeys(pixel for pixel in self._pixels if pixel is not None))
        if not wanted:
            return
        plot, n = self._plot, min(most, len(wanted))
        plot.position = list(self._position(wanted[0]))
        first = self._planes()
        size = sum(plane.pixels.nbytes for plane in first)
        n = max(1, min(n, PINNED // max(size, 1)))
        places = np.unique(np.linspace(0, len(wanted) - 1, n).round().astype(int)).tolist()
        samples = []
        for number, place in enumerate(places):
            position = self._position(wanted[place])
            plot.position = list(position)
            planes = self._planes()
            self._kept[position] = planes
            if number + 1 < len(places):
                self._read_ahead(wanted[places[number + 1]])
            values = plot._values(plot._point())
            samples.append(plot._take_sample(planes, values, len(places)))
        plot._fix_range(samples)

    def _planes(self) -> list[Plane]:
        kept = self._kept.get(tuple(self._plot.position))
        return self._plot._read() if kept is None else kept

    def _read_ahead(self, pixel: int | None) -> None:
        if pixel is None:
            return
        position = self._position(pixel)
        if position not in self._kept:
            self._plot._read_next(position)

    def take(self, number: int, missing: str = "") -> NDArray[np.uint8]:
        """Draw a frame of the movie; return it as RGB of shape (y, x, 3), the top row first.

        `missing` is written where there is no picture.
        """
        pixel, plot = self._pixels[number], self._plot
        following = next((p for p in self._pixels[number + 1 :] if p != pixel), None)
        if self._last is not None and pixel is not None and pixel == self._shown:
            return self._last
        if pixel is None:
            plot._blank()
            plot._write_over(plot._message_axes, missing)
            self._write_stamp("")
        else:
            self._show(pixel, following)
        self._shown = pixel
        self._last = self._capture()
        return self._last

    def _show(self, pixel: int, following: int | None) -> None:
        plot, position = self._plot, self._position(pixel)
        moved = {axis for axis, at in enumerate(position) if plot.position[axis] != at}
        plot.position = list(position)
        planes = self._planes()
        if position != self._start:
            self._kept.pop(position, None)
        self._read_ahead(following)
        values = plot._write_values()
        others = [axis for axis in plot.shown.sliding if axis != self._axis]
        if not self._stamped:
            others = list(plot.shown.sliding)
        plot._draw(planes, values, moved or set(range(len(position))))
        plot._set_title(slider_texts(plot, others, timed=not self._stamped))
        if self._stamped:
            self._write_stamp(frame_text(plot, self._axis))

    def _write_stamp(self, text: str) -> None:
        axes = self._plot._stamp_axes
        if self._stamp is not None:
            self._stamp.remove()
            self._stamp = None
        if text and axes is not None:
            self._stamp = _corner_text(axes, text)

    def _capture(self) -> NDArray[np.uint8]:
        """Draw the figure, and cut the plot out of it."""
        plot, root, buffer = self._plot, self._plot._root, BytesIO()
        with mpl.rc_context({"savefig.bbox": None, "savefig.transparent": False}):
            root.savefig(buffer, format="rgba", dpi=self._dpi)
        wide, high = (inches * self._dpi for inches in root.get_size_inches())
        data = np.frombuffer(buffer.getbuffer(), np.uint8)
        # matplotlib rounds down, and an inch times the dpi need not be a whole number.
        n_x = next(
            n for n in (int(wide), round(wide)) if data.size == 4 * n * (data.size // (4 * n))
            and abs(data.size // (4 * n) - high) <= 1
        )  # fmt: skip
        picture = data.reshape(-1, n_x, 4)
        box = cut_out(plot.figure, len(plot.sliders.widgets))
        left, right = round(box.x0 * self._dpi), round(box.x1 * self._dpi)
        below, above = round(box.y0 * self._dpi), round(box.y1 * self._dpi)
        n_y = len(picture)
        part = picture[max(n_y - above, 0) : n_y - below, max(left, 0) : right]
        rgb, alpha = part[..., :3], part[..., 3:]
        if (alpha != 255).any():  # a figure without a background, on white
            share = alpha / 255.0
            rgb = np.round(rgb * share + 255 * (1 - share)).astype(np.uint8)
        return np.ascontiguousarray(rgb)


def _corner_text(axes: Axes, text: str) -> Text:
    """Write a text into the lower left corner of axes, as large as there is room for."""
    box = {"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 2.5}
    written = axes.annotate(
        text, (0, 0), xycoords="axes fraction", xytext=(6, 6), textcoords="offset points",
        fontsize="medium", zorder=6, bbox=box, annotation_clip=False,
    )  # fmt: skip
    axes.apply_aspect()
    room = figure_inches(axes)[0] * axes.get_position().width - 3 * EDGE
    while text_inches(written)[0] > room and float(written.get_fontsize()) > SMALLEST:
        written.set_fontsize(max(float(written.get_fontsize()) * 0.93, SMALLEST))
    return written


def put_side_by_side(pictures: Sequence[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """Put pictures next to each other, on white; with an even number of rows and columns.

    H.264 stores colours for blocks of two by two pixels.
    """
    high = max(len(picture) for picture in pictures)
    wide = sum(picture.shape[1] for picture in pictures)
    both = np.full((high + high % 2, wide + wide % 2, 3), 255, np.uint8)
    left = 0
    for picture in pictures:
        both[: len(picture), left : left + picture.shape[1]] = picture
        left += picture.shape[1]
    return both

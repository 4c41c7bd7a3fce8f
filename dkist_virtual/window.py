"""What a selection of one frame needs: which bytes to fetch, and pixels from them.

Pure. A frame is read in two steps: its head, the header with the tile table, says where the
tiles lie; then the tiles. What a head says is kept as a `FrameMap`, so that the next selection
of the same frame needs the tiles alone. Byte ranges are half-open and count from the first byte
of what the frame's reference points at.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from dkist_virtual.algorithms import refuse_unknown
from dkist_virtual.errors import FrameCorruptError
from dkist_virtual.fits import (
    PlainImage,
    TruncatedHeaderError,
    find_hdu,
    layout_of,
    read_hdu,
)
from dkist_virtual.scaling import scale_pixels
from dkist_virtual.table import TileTable, read_table
from dkist_virtual.tiles import (
    Window,
    check_layout,
    decode_window,
    tiles_touched,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from dkist_virtual.fits import HDUTarget, Image

__all__ = ["FrameMap", "NeedMoreError", "read_map", "split_index"]

FIRST_READ: Final = 17 * 2880
"""Of a frame whose head's length is not known: an empty primary HDU and a DKIST header fit in."""


class NeedMoreError(Exception):
    """The head is longer than what was fetched of it; `stop` is how far to read."""

    def __init__(self, stop: int) -> None:
        super().__init__(stop)
        self.stop = stop


@dataclass(frozen=True, slots=True, eq=False)
class FrameMap:
    """Where the pixels of a frame lie.

    Parameters
    ----------
    start : int
        Where its HDU begins, in what the reference points at: 0, or further in a whole file.
    layout : PlainImage or CompressedImage
    table : TileTable or None
        Of a compressed image.
    """

    start: int
    layout: Image
    table: TileTable | None

    @property
    def nbytes(self) -> int:
        """About how much memory it takes."""
        if self.table is None:
            return 1_000
        return 4_000 + sum(
            column.nbytes
            for column in (
                self.table.starts, self.table.lengths, self.table.columns, self.table.scale,
                self.table.zero, self.table.blank,
            )
        )  # fmt: skip

    def ranges(self, window: Window) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The byte ranges that a window needs, ascending, apart from each other.

        Returns
        -------
        starts, stops : numpy.ndarray of int64
        """
        layout = self.layout
        if isinstance(layout, PlainImage):
            first, last = plain_extent(layout, window)
            offset = self.start + layout.data_offset
            return np.array([offset + first]), np.array([offset + last])
        assert self.table is not None
        tiles = tiles_touched(layout, window)
        starts = self.table.starts[tiles] + self.start
        stops = starts + self.table.lengths[tiles]
        # Tiles may share bytes, and stand in any order.
        order = np.argsort(starts, kind="stable")
        starts, stops = starts[order], np.maximum.accumulate(stops[order])
        begins = np.ones(len(starts), bool)
        begins[1:] = starts[1:] > stops[:-1]
        ends = np.append(begins[1:], True)
        return starts[begins], stops[ends]

    def decode(
        self, window: Window, pieces: Sequence[tuple[int, bytes | memoryview]]
    ) -> NDArray[np.generic]:
        """Pixels of a window from the ranges that were fetched.

        Parameters
        ----------
        window : tuple of range
        pieces : sequence of (int, bytes)
            Where each begins, ascending, and its bytes: they cover `ranges`.

        Returns
        -------
        numpy.ndarray
            Shape of the window, scaled, native byte order.
        """
        layout = self.layout
        if isinstance(layout, PlainImage):
            return _plain_window(layout, window, pieces[0][1])
        assert self.table is not None
        begins = np.array([begin for begin, _ in pieces], np.int64)
        if len(pieces) == 1:
            buffer = np.frombuffer(pieces[0][1], "u1")
            places = np.zeros(1, np.int64)
        else:
            buffer = np.frombuffer(b"".join(data for _, data in pieces), "u1")
            places = np.cumsum([0, *(len(data) for _, data in pieces[:-1])])
        absolute = self.table.starts + self.start
        which = np.maximum(np.searchsorted(begins, absolute, "right") - 1, 0)
        return decode_window(
            layout, self.table, window, buffer, absolute - begins[which] + places[which]
        )


def plain_extent(layout: PlainImage, window: Window) -> tuple[int, int]:
    """Bytes of an uncompressed image from the first to the last pixel of a window."""
    strides = [math.prod(layout.shape[i + 1 :]) for i in range(len(layout.shape))]
    itemsize = layout.raw_dtype.itemsize
    first = sum(pixels[0] * stride for pixels, stride in zip(window, strides, strict=True))
    last = sum(pixels[-1] * stride for pixels, stride in zip(window, strides, strict=True))
    return first * itemsize, (last + 1) * itemsize


def _plain_window(
    layout: PlainImage, window: Window, data: bytes | memoryview
) -> NDArray[np.generic]:
    """A window of an uncompressed image, from its bytes from the first pixel to the last."""
    raw = np.frombuffer(data, layout.raw_dtype)
    strides = [math.prod(layout.shape[i + 1 :]) for i in range(len(layout.shape))]
    last = sum((len(p) - 1) * p.step * s for p, s in zip(window, strides, strict=True))
    if last >= raw.size:
        raise FrameCorruptError(f"image data: {raw.size} pixels are there of {last + 1}")
    view = np.lib.stride_tricks.as_strided(
        raw,
        tuple(map(len, window)),
        [p.step * s * raw.itemsize for p, s in zip(window, strides, strict=True)],
        writeable=False,
    )
    return scale_pixels(view, layout)


def read_map(
    head: bytes | memoryview,
    target: HDUTarget,
    *,
    dtype: Any,
    shape: tuple[int, ...],
) -> FrameMap:
    """Read a frame's head.

    Parameters
    ----------
    head : bytes or memoryview
        The beginning of an HDU or of a whole file.
    target : int or str
        Which HDU of a file.
    dtype, shape
        What the array says that its frames are.

    Raises
    ------
    NeedMoreError
        The head goes on.
    FrameCorruptError, FrameUnsupportedError
    """
    try:
        if bytes(head[:9]) == b"XTENSION=":
            hdu = read_hdu(head, 0, target)
        else:
            hdu = find_hdu(head, target, size=2**62)
    except TruncatedHeaderError:
        raise NeedMoreError(4 * len(head)) from None
    layout = layout_of(hdu)
    check_layout(layout, target, dtype=dtype, shape=shape)
    if isinstance(layout, PlainImage):
        return FrameMap(hdu.start, layout, None)
    refuse_unknown(layout)
    stop = hdu.start + layout.head_bytes
    if stop > len(head):
        raise NeedMoreError(stop)
    return FrameMap(hdu.start, layout, read_table(layout, head[hdu.start :]))


def split_index(index: Sequence[Any], shape: tuple[int, ...]) -> tuple[Window, tuple[Any, ...]]:
    """An index of an array as the window that it lies in, and the index of that window.

    Parameters
    ----------
    index : sequence of int, slice or integer array
        One for each axis, as zarr gives them for a chunk.
    shape : tuple of int

    Returns
    -------
    window : tuple of range
    rest : tuple
        What to index the window's array with, to get what `index` gives of the whole.
    """
    window: list[range] = []
    rest: list[Any] = []
    for entry, n in zip(index, shape, strict=True):
        if isinstance(entry, slice):
            pixels = range(n)[entry]
            if pixels.step < 0:
                pixels = pixels[::-1]
                rest.append(slice(None, None, -1))
            else:
                rest.append(slice(None))
            if not pixels:  # an empty window cannot be decoded, its index can
                pixels = range(1)
                rest[-1] = slice(0, 0)
            window.append(pixels)
        elif isinstance(entry, (int, np.integer)):
            window.append(range(int(entry), int(entry) + 1))
            rest.append(0)
        else:
            pixels_wanted = np.asarray(entry)
            if pixels_wanted.dtype == bool:
                raise IndexError("expected integers, slices or integer arrays")
            low = int(pixels_wanted.min()) if pixels_wanted.size else 0
            high = int(pixels_wanted.max()) if pixels_wanted.size else 0
            window.append(range(low, high + 1))
            rest.append(pixels_wanted - low)
    return tuple(window), tuple(rest)

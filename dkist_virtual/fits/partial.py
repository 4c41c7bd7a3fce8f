"""Read part of a frame: say which bytes to fetch, then turn them into pixels.

Pure. A frame is read in two steps: its head, the header with the tile table, says where the
tiles lie; then the tiles. What a head says is kept as a `FrameMap`, so that the next selection
of the same frame needs the tiles alone. Byte ranges are half-open and count from the first byte
of what the frame's reference points at.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np

from dkist_virtual.fits.decode import (
    Window,
    check_layout,
    decode_frame,
    decode_window,
    tiles_touched,
    whole_window,
)
from dkist_virtual.fits.errors import FrameCorruptError
from dkist_virtual.fits.hdu import (
    BLOCK,
    TruncatedHeaderError,
    find_hdu,
    layout_of,
    least_length,
    read_hdu,
)
from dkist_virtual.fits.layout import BITPIX_DTYPES, PlainImage, scale_pixels
from dkist_virtual.fits.threads import ThreadLock
from dkist_virtual.fits.tiled.decoders import refuse_unknown
from dkist_virtual.fits.tiled.table import TileTable, read_table

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from numpy.typing import NDArray

    from dkist_virtual.fits.header import HDUTarget
    from dkist_virtual.fits.layout import Image

__all__ = [
    "FIRST_READ",
    "GAP_BYTES",
    "MAP_CACHE_BYTES",
    "FrameMap",
    "MapCache",
    "advance",
    "plain_extent",
    "plain_map",
    "read_map",
    "read_steps",
    "split_index",
]

FIRST_READ: Final = 17 * 2880
"""Of a frame whose head's length is not known: an empty primary HDU and 500 cards fit in."""


class NeedMoreError(Exception):
    """The head is longer than what was fetched of it.

    Parameters
    ----------
    stop : int
        How far to read.
    sure : int
        How far the frame goes at least, if it is whole.
    """

    def __init__(self, stop: int, sure: int) -> None:
        super().__init__(stop, sure)
        self.stop, self.sure = stop, sure


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
    version : hashable, optional
        Of the file that it was read from: it says nothing of any other.
    """

    start: int
    layout: Image
    table: TileTable | None
    version: Any = None

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
        self,
        window: Window,
        pieces: Sequence[tuple[int, bytes | memoryview]],
        out: NDArray[np.generic] | None = None,
    ) -> NDArray[np.generic]:
        """Pixels of a window from the ranges that were fetched.

        Parameters
        ----------
        window : tuple of range
        pieces : sequence of (int, bytes)
            Where each begins, ascending, and its bytes: they cover `ranges`.
        out : numpy.ndarray, optional
            Where to put the pixels: of the window's shape, contiguous, native byte order.

        Returns
        -------
        numpy.ndarray
            Shape of the window, scaled, native byte order.
        """
        layout = self.layout
        if isinstance(layout, PlainImage):
            begin, data = pieces[0]
            first, last = plain_extent(layout, window)
            offset = self.start + layout.data_offset - begin
            pixels = _plain_window(layout, window, data[offset + first : offset + last])
            if out is None:
                return pixels
            out[...] = pixels
            return out
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
        starts = absolute - begins[which] + places[which]
        return decode_window(layout, self.table, window, buffer, starts, out, parallel=True)


def plain_map(dtype: Any, shape: tuple[int, ...]) -> FrameMap:
    """The map of a frame whose bytes are its pixels, big-endian, and nothing else."""
    native = np.dtype(dtype).newbyteorder("=")
    bitpix = next(b for b, code in BITPIX_DTYPES.items() if np.dtype(code) == native)
    return FrameMap(0, PlainImage(shape, bitpix, 1.0, 0.0, None, 0), None)


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
        raise NeedMoreError(4 * len(head), least_length(head)) from None
    layout = layout_of(hdu)
    check_layout(layout, target, dtype=dtype, shape=shape)
    if isinstance(layout, PlainImage):
        return FrameMap(hdu.start, layout, None)
    refuse_unknown(layout)
    stop = hdu.start + layout.head_bytes
    if stop > len(head):
        raise NeedMoreError(stop, stop)
    return FrameMap(hdu.start, layout, read_table(layout, head[hdu.start :]))


Steps: TypeAlias = "Generator[list[tuple[int, int | None]], list[bytes | memoryview], _Done]"
_Done: TypeAlias = "tuple[FrameMap | None, NDArray[np.generic]]"


def advance(
    steps: Steps, data: Sequence[bytes | memoryview]
) -> tuple[list[tuple[int, int | None]], _Done | None]:
    """Send the bytes asked for: the ranges wanted next, or none and what was read."""
    try:
        return steps.send(list(data)), None
    except StopIteration as done:  # a plain value, since threads cannot hand this exception on
        return [], done.value


def read_steps(
    target: HDUTarget,
    *,
    dtype: Any,
    shape: tuple[int, ...],
    window: Window,
    frame: FrameMap | None,
    head_bytes: int,
    gap: int,
    out: NDArray[np.generic] | None = None,
    bounded: bool = False,
) -> Steps:
    """Read a window of a frame, whoever fetches the bytes and however.

    A generator: it yields byte ranges, whose stop is None for everything, is sent their bytes in
    the same order, which may be fewer where the frame ends, and returns the frame's map and the
    pixels. So one piece of logic serves threads and event loops.

    Parameters
    ----------
    target : int or str
        Which HDU of a whole file.
    dtype, shape
        What the array says that its frames are.
    window : tuple of range
    frame : FrameMap or None
        As it was returned for the same frame before.
    head_bytes : int
        How much to ask for first.
    gap : int
        Ranges closer than this are asked for as one.
    out : numpy.ndarray, optional
        Where to put the pixels: of the window's shape, contiguous, native byte order.
    bounded : bool
        Whether nothing may be asked for that could be beyond the frame's end. A first block says
        how much follows, at the cost of a request.

    Raises
    ------
    FrameCorruptError, FrameUnsupportedError
    """
    if window == whole_window(shape) and not (frame and isinstance(frame.layout, PlainImage)):
        (data,) = yield [(0, None)]
        return None, decode_frame(data, target, dtype=dtype, shape=shape, out=out, parallel=True)
    head: bytes | memoryview = b""
    stop: int | None = BLOCK if bounded else head_bytes
    while frame is None:
        (head,) = yield [(0, stop)]
        try:
            frame = read_map(head, target, dtype=dtype, shape=shape)
        except NeedMoreError as more:
            if stop is None or len(head) < stop:
                raise FrameCorruptError(
                    f"HDU {target}: its header and table end at byte {more.stop} or later, the "
                    f"frame after {len(head)}: it is cut short"
                ) from None
            if not bounded:
                stop = more.stop
            elif stop == BLOCK or more.sure >= head_bytes:
                stop = min(max(more.stop, head_bytes), more.sure)
            else:  # a small frame: all of it, rather than another block
                stop = None
    starts, stops = joined(*frame.ranges(window), gap)
    if stops[-1] <= len(head):  # a small frame: its tiles came with its head
        return frame, frame.decode(window, [(0, head)], out)
    wanted = list(zip(starts.tolist(), stops.tolist(), strict=True))
    fetched = yield wanted
    pieces = []
    for (begin, end), data in zip(wanted, fetched, strict=True):
        if len(data) != end - begin:
            raise FrameCorruptError(
                f"HDU {target}: bytes {begin} to {end} hold pixels, only {len(data)} of them are "
                "there: the frame is cut short"
            )
        pieces.append((begin, data))
    return frame, frame.decode(window, pieces, out)


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


GAP_BYTES: Final = 65_536
"""Ranges closer than this are fetched as one: what lies between is cheaper than a request."""


def joined(
    starts: NDArray[np.int64], stops: NDArray[np.int64], gap: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Ascending ranges, those closer than `gap` bytes made one."""
    apart = starts[1:] - stops[:-1] > gap
    return starts[np.append(True, apart)], stops[np.append(apart, True)]


class MapCache:
    """Frame maps in memory, the least recently used given up first.

    Parameters
    ----------
    limit : int
        Bytes.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._maps: OrderedDict[str, FrameMap] = OrderedDict()
        self._bytes = 0
        self._lock = ThreadLock()

    def get(self, key: str) -> FrameMap | None:
        """The map of a frame, None where it is not kept."""
        with self._lock:
            found = self._maps.get(key)
            if found is not None:
                self._maps.move_to_end(key)
            return found

    def put(self, key: str, frame: FrameMap) -> None:
        """Keep a map."""
        with self._lock:
            old = self._maps.pop(key, None)
            self._bytes += frame.nbytes - (0 if old is None else old.nbytes)
            self._maps[key] = frame
            while self._bytes > self._limit and len(self._maps) > 1:
                self._bytes -= self._maps.popitem(last=False)[1].nbytes

    def drop(self, key: str) -> None:
        """Keep the map of a frame no longer."""
        with self._lock:
            old = self._maps.pop(key, None)
            self._bytes -= 0 if old is None else old.nbytes

    def clear(self) -> None:
        """Keep none."""
        with self._lock:
            self._maps.clear()
            self._bytes = 0


MAP_CACHE_BYTES: Final = 64_000_000
"""Memory for frame maps: some 2,000 of frames with 1,000 tiles, 450 of those with 4,000."""

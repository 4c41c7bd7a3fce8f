"""Read part of a frame: request the bytes it takes, then turn them into pixels.

Pure: a read is a generator (`Reading`), and `drive` fetches the bytes that it requests. First comes
the frame's head, the header with the tile table, which says where the tiles are; then the tiles.
The head becomes a `FrameMap`, with which the next selection of the same frame needs only tiles.
Byte ranges are half-open and count from the first byte of what the frame's reference points at.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Generator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Generic, TypeAlias, TypeVar

import numpy as np

from dkist_virtual.fits.decode import (
    Window,
    check_layout,
    decode_frame,
    decode_window,
    tiles_touched,
    whole_window,
)
from dkist_virtual.fits.errors import FrameCorruptError, FrameError
from dkist_virtual.fits.hdu import (
    BLOCK,
    TruncatedHeaderError,
    find_in_either,
    layout_of,
    least_length,
)
from dkist_virtual.fits.layout import BITPIX_DTYPES, PlainImage, scale_pixels
from dkist_virtual.fits.tiled.decoders import refuse_unknown
from dkist_virtual.fits.tiled.table import TileTable, read_table

if TYPE_CHECKING:
    from numpy.typing import DTypeLike, NDArray

    from dkist_virtual.fits.header import HDUTarget
    from dkist_virtual.fits.layout import Image

__all__ = [
    "FIRST_READ",
    "GAP_BYTES",
    "Bytes",
    "FrameMap",
    "Range",
    "Reading",
    "Source",
    "drive",
    "drive_async",
    "plain_extent",
    "plain_map",
    "ranges_only",
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
    """Know where the pixels of a frame are.

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
        """Estimate of the memory it takes."""
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
        """Find the byte ranges that a window needs, ascending and apart: starts and stops."""
        layout = self.layout
        if isinstance(layout, PlainImage):
            first, last = plain_extent(layout, window)
            offset = self.start + layout.data_offset
            return np.array([offset + first]), np.array([offset + last])
        assert self.table is not None
        tiles = tiles_touched(layout, window)
        if self.table.is_gapless and tiles[-1] - tiles[0] == len(tiles) - 1:
            top, end = tiles[:1], tiles[-1:]
            begin = self.table.starts[top] + self.start
            return begin, self.table.starts[end] + self.table.lengths[end] + self.start
        starts = self.table.starts[tiles] + self.start
        stops = starts + self.table.lengths[tiles]
        # Tiles may share bytes, and be in any order.
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
        """Decode a window from the ranges that were fetched, scaled, in native byte order.

        Parameters
        ----------
        window : tuple of range
        pieces : sequence of (int, bytes)
            Where each begins, ascending, and its bytes: they cover `ranges`.
        out : numpy.ndarray, optional
            Where to put the pixels: of the window's shape, contiguous, native byte order.
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
        if len(pieces) == 1:
            begin, data = pieces[0]
            buffer = np.frombuffer(data, "u1")
            starts = self.table.starts + (self.start - begin)
        else:
            begins = np.array([begin for begin, _ in pieces], np.int64)
            buffer = np.frombuffer(b"".join(data for _, data in pieces), "u1")
            places = np.cumsum([0, *(len(data) for _, data in pieces[:-1])])
            absolute = self.table.starts + self.start
            which = np.maximum(np.searchsorted(begins, absolute, "right") - 1, 0)
            starts = absolute - begins[which] + places[which]
        return decode_window(layout, self.table, window, buffer, starts, out, parallel=True)


def plain_map(dtype: DTypeLike, shape: tuple[int, ...]) -> FrameMap:
    """Make the map of a frame whose bytes are its pixels, big-endian, and nothing else."""
    native = np.dtype(dtype).newbyteorder("=")
    bitpix = next(b for b, code in BITPIX_DTYPES.items() if np.dtype(code) == native)
    return FrameMap(0, PlainImage(shape, bitpix, 1.0, 0.0, None, 0), None)


def plain_extent(layout: PlainImage, window: Window) -> tuple[int, int]:
    """Find the bytes of an uncompressed image from a window's first pixel to its last."""
    strides = [math.prod(layout.shape[i + 1 :]) for i in range(len(layout.shape))]
    itemsize = layout.raw_dtype.itemsize
    first = sum(pixels[0] * stride for pixels, stride in zip(window, strides, strict=True))
    last = sum(pixels[-1] * stride for pixels, stride in zip(window, strides, strict=True))
    return first * itemsize, (last + 1) * itemsize


def _plain_window(
    layout: PlainImage, window: Window, data: bytes | memoryview
) -> NDArray[np.generic]:
    """Decode a window of an uncompressed image from its bytes from first to last pixel."""
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
    head: Bytes,
    target: HDUTarget,
    *,
    dtype: DTypeLike,
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
        What the frames of the array have to be.

    Raises
    ------
    NeedMoreError
        The head is longer.
    FrameCorruptError, FrameUnsupportedError
    """
    try:
        hdu = find_in_either(head, target, size=2**62)
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


# The one protocol ---------------------------------------------------------------------------

Q = TypeVar("Q")
A = TypeVar("A")
T = TypeVar("T")

Reading: TypeAlias = Generator[list[Q], list[A], T]
"""A read, whatever fetches the bytes for it: it yields requests, is sent their answers in the same
order (or thrown the `FrameError` that kept them from coming), and returns what was read."""

Bytes: TypeAlias = bytes | memoryview
Range: TypeAlias = tuple[int, int | None]
"""A half-open byte range; None for everything to the end."""

Source: TypeAlias = Callable[[list[Range]], Reading[Q, A, Sequence[Bytes]]]
"""What makes requests of byte ranges, and the bytes out of their answers."""


@dataclass(frozen=True, slots=True)
class _Result(Generic[T]):
    value: T


def _advance(
    reading: Reading[Q, A, T], answers: list[A] | FrameError | None
) -> list[Q] | _Result[T]:
    """Continue a read with what came, or did not: the requests wanted next, or the result."""
    try:
        if isinstance(answers, FrameError):
            return reading.throw(answers)
        return reading.send(answers)  # type: ignore[arg-type]  # None begins one
    except StopIteration as end:  # a plain value, since threads cannot pass this exception on
        return _Result(end.value)


def drive(reading: Reading[Q, A, T], answer: Callable[[Q], A]) -> T:
    """Drive a read in this thread.

    Raises
    ------
    FrameError
    """
    try:
        wanted = next(reading)
        while True:
            try:
                answers = [answer(request) for request in wanted]
            except FrameError as error:
                wanted = reading.throw(error)
            else:
                wanted = reading.send(answers)
    except StopIteration as end:
        value: T = end.value
        return value


async def drive_async(
    reading: Reading[Q, A, T],
    answer: Callable[[Q], Awaitable[A]],
    run: Callable[..., Awaitable[Any]] = asyncio.to_thread,
) -> T:
    """Drive a read on an event loop: its requests at once, its work where `run` does it.

    Raises
    ------
    FrameError
    """
    step = _advance(reading, None)  # the first requests take no time
    while not isinstance(step, _Result):
        answers: list[A] | FrameError
        try:
            answers = await asyncio.gather(*map(answer, step))
        except FrameError as error:
            answers = error
        step = await run(_advance, reading, answers)
    return step.value


def ranges_only(ranges: list[Range]) -> Reading[Range, Bytes, Sequence[Bytes]]:
    """Request byte ranges as they are: a `Source` for bytes that are at hand."""
    return (yield ranges)


def read_steps(
    source: Source[Q, A],
    target: HDUTarget,
    *,
    dtype: DTypeLike,
    shape: tuple[int, ...],
    window: Window,
    frame: FrameMap | None,
    head_bytes: int,
    gap: int,
    out: NDArray[np.generic] | None = None,
    bounded: bool = False,
) -> Reading[Q, A, tuple[FrameMap | None, NDArray[np.generic]]]:
    """Read a window of a frame: return the frame's map and the pixels.

    Parameters
    ----------
    source : callable
        Fetches byte ranges; of one that ends after the frame, what there is.
    target : int or str
        Which HDU of a whole file.
    dtype, shape
        What the frames of the array have to be.
    window : tuple of range
    frame : FrameMap or None
        As it was returned for the same frame before.
    head_bytes : int
        How much to request first.
    gap : int
        Ranges closer than this are requested as one.
    out : numpy.ndarray, optional
        Where to put the pixels: of the window's shape, contiguous, native byte order.
    bounded : bool
        Whether nothing may be requested that could be beyond the frame's end. A first block says
        how much follows, at the cost of a request.

    Raises
    ------
    FrameCorruptError, FrameUnsupportedError
    """
    if window == whole_window(shape) and not (frame and isinstance(frame.layout, PlainImage)):
        (data,) = yield from source([(0, None)])
        return None, decode_frame(data, target, dtype=dtype, shape=shape, out=out, parallel=True)
    head: Bytes = b""
    stop: int | None = BLOCK if bounded else head_bytes
    while frame is None:
        (head,) = yield from source([(0, stop)])
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
    wanted: list[tuple[int, int]] = list(zip(starts.tolist(), stops.tolist(), strict=True))
    fetched = yield from source([*wanted])
    pieces = []
    for (begin, end), data in zip(wanted, fetched, strict=True):
        if len(data) != end - begin:
            raise FrameCorruptError(
                f"HDU {target}: bytes {begin} to {end} hold pixels, only {len(data)} of them are "
                "there: the frame is cut short"
            )
        pieces.append((begin, data))
    return frame, frame.decode(window, pieces, out)


Entry: TypeAlias = "int | np.integer | slice | NDArray[np.integer]"
"""Selects along one axis of a chunk."""


def split_index(index: Sequence[Any], shape: tuple[int, ...]) -> tuple[Window, tuple[Entry, ...]]:
    """Split an index of an array into its bounding window, and the index of that window.

    Parameters
    ----------
    index : sequence of int, slice or integer array
        One for each axis, as zarr gives them for a chunk.
    shape : tuple of int

    Returns
    -------
    window : tuple of range
    rest : tuple
        The index that gives of the window's array what `index` gives of the whole.
    """
    window: list[range] = []
    rest: list[Entry] = []
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
"""Ranges closer than this are fetched as one: the bytes between are cheaper than a request."""


def joined(
    starts: NDArray[np.int64], stops: NDArray[np.int64], gap: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Join ascending ranges that are closer than `gap` bytes."""
    if len(starts) == 1:
        return starts, stops
    apart = starts[1:] - stops[:-1] > gap
    return starts[np.append(True, apart)], stops[np.append(apart, True)]

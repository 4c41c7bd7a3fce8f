"""Decode pixels from a frame's layout and bytes: whole frames, or the tiles of a window.

Pure: bytes in, arrays out. A window is one ascending `range` of pixels per axis of the HDU.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from dkist_virtual.fits.buffers import empty
from dkist_virtual.fits.errors import FrameCorruptError, FrameUnsupportedError
from dkist_virtual.fits.hdu import image_layout
from dkist_virtual.fits.layout import BITPIX_DTYPES, CompressedImage, PlainImage, scale_pixels
from dkist_virtual.fits.tiled.batches import (
    Tiles,
    is_stream_coded,
    tile_extents,
    tile_origins,
)
from dkist_virtual.fits.tiled.by_numpy import Runs
from dkist_virtual.fits.tiled.decoders import (
    refuse_short_tiles,
    refuse_too_many_pixels,
    refuse_unknown,
)
from dkist_virtual.fits.tiled.table import TileTable, read_table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import DTypeLike, NDArray

    from dkist_virtual.fits.header import HDUTarget
    from dkist_virtual.fits.layout import Image

__all__ = [
    "Window",
    "check_layout",
    "decode_frame",
    "decode_image",
    "decode_window",
    "tiles_touched",
    "whole_window",
]

Window: TypeAlias = tuple[range, ...]


def decode_frame(
    data: bytes | memoryview,
    target: HDUTarget,
    *,
    dtype: DTypeLike | None = None,
    shape: tuple[int, ...] | None = None,
    out: NDArray[np.generic] | None = None,
    parallel: bool = False,
) -> NDArray[np.generic]:
    """Decode a frame from either form of bytes, and check it against what was expected.

    Parameters
    ----------
    data : bytes or memoryview
        One HDU, beginning with XTENSION, or a whole file, beginning with SIMPLE.
    target : int or str
        Which HDU of a file: index or EXTNAME.
    dtype, shape : optional
        What its pixels should be; byte order does not matter.
    out, parallel : optional
        As in `decode_image`.

    Returns
    -------
    numpy.ndarray
        The HDU's pixels in array order, scaled, in native byte order.

    Raises
    ------
    FrameCorruptError
        The bytes contradict themselves, or `dtype` or `shape`.
    FrameUnsupportedError
        They are FITS of an unknown kind.
    """
    start, layout = image_layout(data, target)
    check_layout(layout, target, dtype=dtype, shape=shape)
    if shape is None and isinstance(layout, CompressedImage):
        refuse_too_many_pixels(layout, len(data) - start)
    return decode_image(layout, memoryview(data)[start:], out=out, parallel=parallel)


def check_layout(
    layout: Image,
    target: HDUTarget,
    *,
    dtype: DTypeLike | None = None,
    shape: tuple[int, ...] | None = None,
) -> None:
    """Raise `FrameCorruptError` where a frame's layout has not the type and shape expected."""
    compressed = isinstance(layout, CompressedImage)
    if shape is not None and layout.shape != tuple(shape):
        raise FrameCorruptError(
            f"HDU {target}: {'ZNAXISn' if compressed else 'NAXISn'} = {layout.shape[::-1]}: "
            f"expected {tuple(shape)[::-1]}"
        )
    expected = None if dtype is None else np.dtype(dtype).newbyteorder("=")
    if expected is not None and layout.dtype != expected:
        raise FrameCorruptError(
            f"HDU {target}: {'Z' if compressed else ''}BITPIX = {layout.bitpix} with BSCALE = "
            f"{layout.bscale:g}, BZERO = {layout.bzero:g}, BLANK = {layout.blank} makes "
            f"{layout.dtype} pixels: expected {expected}. If that was assumed before any frame was "
            "read, scan the frames and make their references again"
        )


def decode_image(
    layout: Image,
    hdu: bytes | memoryview,
    *,
    out: NDArray[np.generic] | None = None,
    parallel: bool = False,
) -> NDArray[np.generic]:
    """Decode a whole image.

    Parameters
    ----------
    layout : PlainImage or CompressedImage
    hdu : bytes or memoryview
        The HDU from its first byte to the end of its data, or further.
    out : numpy.ndarray, optional
        Where to put the pixels: of the layout's shape and type, contiguous, native byte order.
    parallel : bool
        Whether tiles may be decoded by all cores that are idle.

    Returns
    -------
    numpy.ndarray
        Shape `layout.shape`, type `layout.dtype`, native byte order; `out`, where given.
    """
    if isinstance(layout, PlainImage):
        stop = layout.data_offset + layout.nbytes
        if len(hdu) < stop:
            raise FrameCorruptError(f"image data: ends at byte {stop}, {len(hdu)} bytes are there")
        count = math.prod(layout.shape)
        raw = np.frombuffer(hdu, layout.raw_dtype, count, layout.data_offset)
        return _into(out, scale_pixels(raw.reshape(layout.shape), layout, out=out))
    table = read_table(layout, hdu)
    buffer = np.frombuffer(hdu, "u1")
    window = whole_window(layout.shape)
    return decode_window(layout, table, window, buffer, table.starts, out, parallel=parallel)


def whole_window(shape: Sequence[int]) -> Window:
    """Return the window that is all of an image."""
    return tuple(range(n) for n in shape)


def tiles_touched(layout: CompressedImage, window: Window) -> NDArray[np.int64]:
    """Return the numbers of the tiles in which a window has pixels, ascending, each once."""
    tiles = np.zeros(1, np.int64)
    for n, pixels, t in zip(layout.grid, window, layout.tile_shape, strict=True):
        first, last = pixels[0] // t, pixels[-1] // t
        if n == 1:  # as of most axes of DKIST's frames
            continue
        along = first if first == last else _along(pixels, t)
        tiles = tiles * n + along if len(tiles) == 1 else (tiles[:, None] * n + along).ravel()
    return tiles


def _along(pixels: range, t: int) -> NDArray[np.int64]:
    """Return which tiles of length `t` have some of an axis' pixels, without looking at each."""
    if pixels.step <= t:
        return np.arange(pixels[0] // t, pixels[-1] // t + 1)
    # Steps beyond a tile skip some, and never meet one twice.
    touched: NDArray[np.int64] = np.arange(pixels.start, pixels.stop, pixels.step) // t
    return touched


def decode_window(
    layout: CompressedImage,
    table: TileTable,
    window: Window,
    buffer: NDArray[np.uint8],
    starts: NDArray[np.int64],
    out: NDArray[np.generic] | None = None,
    *,
    parallel: bool = False,
) -> NDArray[np.generic]:
    """Decode what a window shows, from the tiles that it touches.

    Parameters
    ----------
    layout : CompressedImage
    table : TileTable
    window : tuple of range
        Ascending and not empty, one for each axis.
    buffer : ndarray of uint8
        Bytes with the tiles that `tiles_touched` names, wherever they came from.
    starts : ndarray of int64
        Where each tile of the whole image begins in `buffer`; those not touched are not read.
    out : numpy.ndarray, optional
        Where to put the pixels: of the window's shape and the layout's type, contiguous, native
        byte order.
    parallel : bool
        Whether tiles may be decoded by all cores that are idle.

    Returns
    -------
    numpy.ndarray
        Shape of the window, type `layout.dtype`, native byte order.

    Raises
    ------
    FrameCorruptError
        A tile's bytes are not such a tile.
    """
    refuse_unknown(layout)
    tiles = tiles_touched(layout, window)
    by_rows = math.prod(layout.tile_shape[:-1]) == 1
    whole = window == whole_window(layout.shape)
    place = None if by_rows and not whole else _place(layout, tiles)
    pixels = _row_lengths(layout, tiles) if place is None else place.extents.prod(axis=1)
    refuse_short_tiles(layout, table, tiles, pixels)
    given, raw_dtype = out, np.dtype(BITPIX_DTYPES[layout.bitpix])
    if out is None or out.dtype != raw_dtype:  # integers may be scaled to another type
        out = empty(tuple(map(len, window)), raw_dtype)
    source = Tiles(layout, table, buffer, starts, parallel)
    is_stream = is_stream_coded(layout, table, tiles)
    if place is None:
        _decode_rows(source, tiles, is_stream, window, out)
    elif whole and place.runs is not None:
        streams = np.flatnonzero(is_stream)
        if streams.size:
            source.streams(tiles[streams], out.reshape(-1), place.runs.take(streams))
        for i in np.flatnonzero(~is_stream):
            out[place.part(i, window)[0]] = source.other(int(tiles[i]), place.extent(i))
    else:
        _decode_parts(source, tiles, place, is_stream, window, out)
    blanks = None
    if table.blank.size:
        place = place or _place(layout, tiles)
        if layout.bitpix > 0 and "ZBLANK" in layout.columns:
            blanks = _blanks(table, tiles, place, window, out)
            if layout.blank is not None:  # the image's own, which every tile may hold
                blanks |= out == layout.blank
        if layout.bitpix < 0 and not layout.quantised:
            _refuse_blank_floats(_blanks(table, tiles, place, window, out))
    return _into(given, scale_pixels(out, layout, blanks, given))


def _refuse_blank_floats(blanks: NDArray[np.bool_]) -> None:
    """Refuse floats, stored as they are, that equal a BLANK: by 4.4.2.5 that is for integers only.

    astropy reads them as NaN, cfitsio as numbers.
    """
    if blanks.any():
        raise FrameUnsupportedError(
            "BLANK or ZBLANK beside floats that are not quantised, some of which are equal to it: "
            "expected none, since readers differ on whether these are undefined"
        )


def _into(out: NDArray[np.generic] | None, pixels: NDArray[np.generic]) -> NDArray[np.generic]:
    """Return pixels in `out`, copied only if they are not there already."""
    if out is None:
        return pixels
    if not np.may_share_memory(pixels, out):
        out[...] = pixels
    return out


# Where tiles go -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class _Placement:
    """Say where tiles are in their image.

    Attributes
    ----------
    origins, extents : ndarray of int64, shape (tiles, axes)
    runs : Runs or None
        In the flattened image; None where a tile needs more than one stride.
    """

    origins: NDArray[np.int64]
    extents: NDArray[np.int64]
    runs: Runs | None

    def extent(self, i: int | np.intp) -> tuple[int, ...]:
        """Return the shape of a tile."""
        return tuple(self.extents[i].tolist())

    def part(self, i: int | np.intp, window: Window) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
        """Return what a window shows of a tile: as slices of the window, and of the tile."""
        corner = zip(window, self.origins[i].tolist(), self.extents[i].tolist(), strict=True)
        parts = [_part(pixels, origin, extent) for pixels, origin, extent in corner]
        return tuple(into for into, _ in parts), tuple(local for _, local in parts)


def _place(layout: CompressedImage, tiles: NDArray[np.int64]) -> _Placement:
    shape, tile_shape = np.array(layout.shape), np.array(layout.tile_shape)
    origins = tile_origins(layout, tiles)
    extents = tile_extents(layout, origins)
    strides = np.concatenate([np.cumprod(shape[::-1])[::-1][1:], [1]])
    # Whole axes at the end belong to the run: it goes on over the next axis without a gap.
    run_axis = len(shape) - 1
    while run_axis > 0 and tile_shape[run_axis] == shape[run_axis]:
        run_axis -= 1
    long_axes = [axis for axis in range(run_axis) if tile_shape[axis] > 1]
    if len(long_axes) > 1:
        return _Placement(origins, extents, None)
    runs = Runs.single((origins * strides).sum(axis=1), extents[:, run_axis] * strides[run_axis])
    if long_axes:
        n_rows, stride = extents[:, long_axes[0]].copy(), int(strides[long_axes[0]])
        runs = runs._replace(n_rows=n_rows, row_stride=stride)
    return _Placement(origins, extents, runs)


def _part(pixels: range, origin: int, extent: int) -> tuple[slice, slice]:
    """Return the part of an axis in a tile, as slices of the window and of the tile."""
    first = max(0, -(-(origin - pixels.start) // pixels.step))
    stop = min(len(pixels), -(-(origin + extent - pixels.start) // pixels.step))
    local = pixels.start + first * pixels.step - origin
    last = pixels.start + (stop - 1) * pixels.step - origin
    return slice(first, stop), slice(local, last + 1, pixels.step)


# Decoding -------------------------------------------------------------------------------------


def _decode_rows(
    source: Tiles,
    tiles: NDArray[np.int64],
    is_stream: NDArray[np.bool_],
    window: Window,
    out: NDArray[np.generic],
) -> None:
    """Decode a window of an image whose tiles are rows, or parts of rows: all of them at once."""
    *_, n_columns = source.layout.shape
    width = source.layout.tile_shape[-1]
    columns = window[-1]
    rows = out.reshape(-1, len(columns))
    by_row = tiles.reshape(len(rows), -1)
    all_streams = bool(is_stream.all())
    stream_by_row = is_stream.reshape(len(rows), -1)
    for i, column in enumerate(_along(columns, width).tolist()):
        origin = column * width
        into, local = _part(columns, origin, min(width, n_columns - origin))
        # A stream has to be decoded from its beginning, but not to its end.
        count = local.stop
        every = slice(None) if all_streams else np.flatnonzero(stream_by_row[:, i])
        streams = by_row[every, i]
        if streams.size:
            # Straight into the output only where the window's row begins with the tile's, and
            # ends in it.
            direct = local == slice(0, len(columns), 1)
            scratch = out.reshape(-1) if direct else empty((len(streams) * count,), out.dtype)
            begins = np.arange(len(rows if direct else streams)) * count
            runs = Runs.single(begins[every] if direct else begins, np.full(len(streams), count))
            source.streams(np.ascontiguousarray(streams), scratch, runs)
            if not direct:
                rows[every, into] = scratch.reshape(-1, count)[:, local]
        for row in () if all_streams else np.flatnonzero(~stream_by_row[:, i]):
            extent = min(width, n_columns - origin)
            rows[row, into] = source.other(int(by_row[row, i]), (extent,))[local]


def _row_lengths(layout: CompressedImage, tiles: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return how many pixels tiles have that are rows, or parts of rows."""
    n, width, n_columns = layout.grid[-1], layout.tile_shape[-1], layout.shape[-1]
    if n == 1:
        return np.full(len(tiles), n_columns)
    lengths: NDArray[np.int64] = np.minimum(width, n_columns - tiles % n * width)
    return lengths


def _decode_parts(
    source: Tiles,
    tiles: NDArray[np.int64],
    place: _Placement,
    is_stream: NDArray[np.bool_],
    window: Window,
    out: NDArray[np.generic],
) -> None:
    """Decode tiles aside, each as far as the window needs it, and copy what the window shows."""
    parts = [place.part(i, window) for i in range(len(tiles))]
    scratch: dict[int, NDArray[np.generic]] = {}
    streams = np.flatnonzero(is_stream)
    if streams.size:
        # A stream has to be decoded from its beginning, but not to its end.
        lasts = np.array([[local.stop - 1 for local in parts[i][1]] for i in streams])
        extents = place.extents[streams]
        steps = np.ones_like(extents)
        steps[:, :-1] = extents[:, :0:-1].cumprod(axis=1)[:, ::-1]
        counts = (lasts * steps).sum(axis=1) + 1
        begins = np.concatenate([[0], counts.cumsum()])
        flat = empty((int(begins[-1]),), out.dtype)
        source.streams(tiles[streams], flat, Runs.single(begins[:-1], counts))
        for k, i in enumerate(streams.tolist()):
            scratch[i] = flat[begins[k] : begins[k + 1]]
    for i, (into, local) in enumerate(parts):
        extent = place.extent(i)
        if i not in scratch:
            out[into] = source.other(int(tiles[i]), extent)[local]
            continue
        decoded = scratch[i]
        size = math.prod(extent)
        if decoded.size < size:
            # The last rows of the tile were not decoded: leave them out of the view.
            rows = local[0].stop
            full = np.empty((rows, *extent[1:]), out.dtype)
            full.reshape(-1)[: decoded.size] = decoded[: full.size]
            decoded, extent = full, full.shape
        out[into] = decoded.reshape(extent)[local]


def _blanks(
    table: TileTable,
    tiles: NDArray[np.int64],
    place: _Placement,
    window: Window,
    raw: NDArray[np.generic],
) -> NDArray[np.bool_]:
    """Find the blank integers, where each tile has a ZBLANK of its own."""
    blanks = np.empty(raw.shape, bool)
    for i, tile in enumerate(tiles):
        into, _ = place.part(i, window)
        blanks[into] = raw[into] == table.blank[tile]
    return blanks

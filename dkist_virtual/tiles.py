"""Pixels from a frame's layout and bytes, for every compression that is known.

Pure: bytes in, arrays out. A tile is a row of the HDU's table (FITS standard 4.0, section 10);
tiles are numbered from 0 in C order over `CompressedImage.grid`.
"""

from __future__ import annotations

import math
import zlib
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Final

import numpy as np

from dkist_virtual.errors import FrameCorruptError, FrameUnsupportedError
from dkist_virtual.fits import CompressedImage, HDUTarget, PlainImage, image_layout

if TYPE_CHECKING:
    from numpy.typing import DTypeLike, NDArray

    from dkist_virtual.fits import Image

__all__ = ["TileTable", "decode_frame", "decode_image", "read_table"]

ALGORITHMS: Final = ("RICE_1", "GZIP_1", "GZIP_2")

# Which column a tile stands in: `TileTable.columns`.
COMPRESSED: Final = 0
GZIPPED: Final = 1
UNCOMPRESSED: Final = 2

_DATA_COLUMNS: Final = ("COMPRESSED_DATA", "GZIP_COMPRESSED_DATA", "UNCOMPRESSED_DATA")


@dataclass(frozen=True, slots=True, eq=False)
class TileTable:
    """The table of a compressed image: one entry per tile, in the order of the rows.

    Attributes
    ----------
    starts, lengths : ndarray of int64
        Where a tile's bytes lie, from the beginning of the HDU.
    columns : ndarray of int8
        In which column: 0 COMPRESSED_DATA, 1 GZIP_COMPRESSED_DATA, 2 UNCOMPRESSED_DATA.
    scale, zero : ndarray of float64
        ZSCALE and ZZERO; empty where the image is not quantised.
    blank : ndarray of int64
        ZBLANK; empty where there is none.
    """

    starts: NDArray[np.int64]
    lengths: NDArray[np.int64]
    columns: NDArray[np.int8]
    scale: NDArray[np.float64]
    zero: NDArray[np.float64]
    blank: NDArray[np.int64]


def read_table(layout: CompressedImage, head: bytes | memoryview) -> TileTable:
    """Read the tile table and hold every descriptor against the heap.

    Parameters
    ----------
    layout : CompressedImage
    head : bytes or memoryview
        The HDU from its first byte, up to the end of the table or further.

    Raises
    ------
    FrameCorruptError
        The table is cut short, a descriptor points outside the heap, or a tile stands in no
        column.
    """
    n, width = layout.n_tiles, layout.row_bytes
    if len(head) < layout.head_bytes:
        raise FrameCorruptError(
            f"tile table: ends at byte {layout.head_bytes}, {len(head)} bytes are there"
        )
    table = np.frombuffer(head, "u1", n * width, layout.table_offset).reshape(n, width)

    def cells(name: str) -> NDArray[np.generic]:
        column = layout.columns[name]
        stop = column.offset + column.dtype.itemsize
        return np.ascontiguousarray(table[:, column.offset : stop]).view(column.dtype.base)

    starts, lengths = np.zeros(n, np.int64), np.zeros(n, np.int64)
    columns = np.full(n, -1, np.int8)
    for kind, name in enumerate(_DATA_COLUMNS):
        if name not in layout.columns:
            continue
        descriptors = cells(name).astype(np.int64)
        counts, offsets = descriptors[:, 0], descriptors[:, 1]
        here = (columns < 0) & (counts != 0)
        element = layout.columns[name].element_bytes
        # Compared in elements, since counts from a broken table overflow when multiplied.
        bad = here & (
            (counts < 0)
            | (offsets < 0)
            | (offsets > layout.heap_bytes)
            | (counts > (layout.heap_bytes - offsets) // element)
        )
        if bad.any():
            tile = int(np.argmax(bad))
            raise FrameCorruptError(
                f"tile {tile}: {name} says {counts[tile]} elements at byte {offsets[tile]} of the "
                f"heap: expected a range inside its {layout.heap_bytes} bytes"
            )
        columns[here] = kind
        starts[here] = offsets[here] + layout.heap_offset
        lengths[here] = counts[here] * element
    if (columns < 0).any():
        tile = int(np.argmax(columns < 0))
        raise FrameCorruptError(
            f"tile {tile}: is empty in every data column: expected its pixels in one of them"
        )
    none = np.empty(0)
    scale = zero = none
    if layout.quantised:
        scale = (
            cells("ZSCALE").astype(np.float64).ravel()
            if layout.scale is None
            else np.full(n, layout.scale)
        )
        zero = (
            cells("ZZERO").astype(np.float64).ravel()
            if layout.zero is None
            else np.full(n, layout.zero)
        )
    blank = none.astype(np.int64)
    if "ZBLANK" in layout.columns:
        blank = cells("ZBLANK").astype(np.int64).ravel()
    elif layout.blank is not None:
        blank = np.full(n, layout.blank, np.int64)
    return TileTable(starts, lengths, columns, scale, zero, blank)


def decode_frame(
    data: bytes | memoryview,
    target: HDUTarget,
    *,
    dtype: DTypeLike | None = None,
    shape: tuple[int, ...] | None = None,
) -> NDArray[np.generic]:
    """Decode a frame from either form of bytes, and hold it against what was expected.

    Parameters
    ----------
    data : bytes or memoryview
        One HDU, beginning with XTENSION, or a whole file, beginning with SIMPLE.
    target : int or str
        Which HDU of a file: index or EXTNAME.
    dtype, shape : optional
        What the array says that its frames are; byte order does not matter.

    Returns
    -------
    numpy.ndarray
        The HDU's pixels in array order, scaled, in native byte order.

    Raises
    ------
    FrameCorruptError
        The bytes do not hold together, or disagree with `dtype` or `shape`.
    FrameUnsupportedError
        They are FITS of a kind that is not known here.
    """
    start, layout = image_layout(data, target)
    check_layout(layout, target, dtype=dtype, shape=shape)
    return decode_image(layout, memoryview(data)[start:])


def check_layout(
    layout: Image,
    target: HDUTarget,
    *,
    dtype: DTypeLike | None = None,
    shape: tuple[int, ...] | None = None,
) -> None:
    """Hold a frame's layout against the array that it belongs to.

    Raises
    ------
    FrameCorruptError
        Its type or shape is another one.
    """
    if shape is not None and layout.shape != tuple(shape):
        raise FrameCorruptError(
            f"HDU {target}: {_axis_keyword(layout)} = {layout.shape[::-1]}: "
            f"expected {tuple(shape)[::-1]}"
        )
    expected = None if dtype is None else np.dtype(dtype).newbyteorder("=")
    if expected is not None and layout.dtype != expected:
        prefix = "Z" if isinstance(layout, CompressedImage) else ""
        raise FrameCorruptError(
            f"HDU {target}: {prefix}BITPIX = {layout.bitpix} with BSCALE = {layout.bscale:g}, "
            f"BZERO = {layout.bzero:g}, BLANK = {layout.blank} makes {layout.dtype} pixels: "
            f"expected {expected}. Where the store was made without looking at the frames, "
            "convert again with a scan"
        )


def _axis_keyword(layout: Image) -> str:
    return "ZNAXISn" if isinstance(layout, CompressedImage) else "NAXISn"


def decode_image(layout: Image, hdu: bytes | memoryview) -> NDArray[np.generic]:
    """Decode a whole image.

    Parameters
    ----------
    layout : PlainImage or CompressedImage
    hdu : bytes or memoryview
        The HDU from its first byte to the end of its data, or further.

    Returns
    -------
    numpy.ndarray
        Shape `layout.shape`, type `layout.dtype`, native byte order.
    """
    if isinstance(layout, PlainImage):
        stop = layout.data_offset + layout.nbytes
        if len(hdu) < stop:
            raise FrameCorruptError(f"image data: ends at byte {stop}, {len(hdu)} bytes are there")
        count = math.prod(layout.shape)
        raw = np.frombuffer(hdu, layout.raw_dtype, count, layout.data_offset)
        return scale_pixels(raw.reshape(layout.shape), layout)
    refuse_unknown(layout)
    table = read_table(layout, hdu)
    raw = np.empty(layout.shape, np.dtype(_RAW_TYPES[layout.bitpix]))
    _decode_tiles(layout, table, np.frombuffer(hdu, "u1"), raw)
    return scale_pixels(raw, layout)


_RAW_TYPES: Final = {8: "u1", 16: "i2", 32: "i4", 64: "i8", -32: "f4", -64: "f8"}


def scale_pixels(raw: NDArray[np.generic], layout: Image) -> NDArray[np.generic]:
    """Apply BSCALE, BZERO and BLANK, with the arithmetic of astropy.

    Floats are scaled in their own precision, integers in that of the result. A BLANK is applied
    whatever its value: astropy leaves pixels of BLANK = 0 as they are, against 4.4.2.5.

    Parameters
    ----------
    raw : ndarray
        The pixels as they stand in the file, any byte order; may be returned where it is native
        and nothing is to be done.
    layout : PlainImage or CompressedImage

    Returns
    -------
    numpy.ndarray
        Type `layout.dtype`, native byte order, contiguous.
    """
    dtype = layout.dtype
    if layout.bitpix > 0 and dtype.kind in "iu":
        native = np.ascontiguousarray(raw, raw.dtype.newbyteorder("="))
        if layout.bzero == 0:
            return native
        # The offset is half the type's range: adding it flips the highest bit, whose place in a
        # signed and in an unsigned integer is the same.
        flipped: NDArray[np.generic] = native.view(dtype) ^ np.array(
            1 << (8 * dtype.itemsize - 1), f"u{dtype.itemsize}"
        ).view(dtype)
        return flipped
    data = np.ascontiguousarray(raw, dtype)
    scaled = layout.bscale != 1 or layout.bzero != 0
    blank = layout.blank if layout.bitpix > 0 else None
    if scaled and data is raw:
        data = raw.copy()
    if layout.bscale != 1:
        np.multiply(data, layout.bscale, out=data)
    if layout.bzero != 0:
        np.add(data, layout.bzero, out=data)
    if blank is not None:
        data[raw == blank] = np.nan
    return data


def refuse_unknown(layout: CompressedImage) -> None:
    """Refuse by name what cannot be decoded, before anything is allocated for it.

    Raises
    ------
    FrameUnsupportedError
    """

    def refuse(what: str, known: str) -> FrameUnsupportedError:
        return FrameUnsupportedError(f"{what} is not supported: known are {known}")

    if layout.algorithm not in ALGORITHMS:
        raise refuse(f"ZCMPTYPE = {layout.algorithm!r}", ", ".join(ALGORITHMS))
    if layout.algorithm == "RICE_1":
        bytepix, blocksize = _rice_parameters(layout)
        if layout.bitpix < 0 and not layout.quantised:
            raise refuse("ZCMPTYPE = 'RICE_1' for floats without ZSCALE", "quantised floats")
        if bytepix not in (1, 2, 4) or (layout.quantised and bytepix != 4):
            known = "4 for quantised floats" if layout.quantised else "1, 2 and 4"
            raise refuse(f"BYTEPIX = {bytepix:g}", known)
        if not 1 <= blocksize <= 1024 or blocksize != int(blocksize):
            raise refuse(f"BLOCKSIZE = {blocksize:g}", "1 to 1024, 16 and 32 being usual")
    if "ZBLANK" in layout.columns and layout.bitpix > 0:
        raise refuse("a ZBLANK column for integers", "a ZBLANK keyword")


def _rice_parameters(layout: CompressedImage) -> tuple[float, float]:
    return layout.parameters.get("BYTEPIX", 4), layout.parameters.get("BLOCKSIZE", 32)


# Tiles ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class _Placement:
    """Where tiles go in an image: `n_rows` runs of `row_lengths` pixels, `row_stride` apart.

    Attributes
    ----------
    origins, extents : ndarray of int64, shape (tiles, axes)
    starts : ndarray of int64
        Of the first run, in pixels of the flattened image.
    n_rows, row_lengths : ndarray of int64
    row_stride : int
        None where a tile needs more than one stride: it is decoded aside and copied.
    """

    origins: NDArray[np.int64]
    extents: NDArray[np.int64]
    starts: NDArray[np.int64]
    n_rows: NDArray[np.int64]
    row_lengths: NDArray[np.int64]
    row_stride: int | None


def _place(layout: CompressedImage, tiles: NDArray[np.int64]) -> _Placement:
    shape, tile_shape = np.array(layout.shape), np.array(layout.tile_shape)
    origins = np.stack(np.unravel_index(tiles, layout.grid), axis=1) * tile_shape
    extents = np.minimum(tile_shape, shape - origins)
    strides = np.concatenate([np.cumprod(shape[::-1])[::-1][1:], [1]])
    starts = (origins * strides).sum(axis=1)
    # Whole axes at the end belong to the run: it goes on over the next axis without a gap.
    run_axis = len(shape) - 1
    while run_axis > 0 and tile_shape[run_axis] == shape[run_axis]:
        run_axis -= 1
    long_axes = [axis for axis in range(run_axis) if tile_shape[axis] > 1]
    row_lengths = extents[:, run_axis] * strides[run_axis]
    if len(long_axes) > 1:
        ones = np.ones(len(tiles), np.int64)
        return _Placement(origins, extents, starts, ones, extents.prod(axis=1), None)
    if long_axes:
        n_rows, stride = extents[:, long_axes[0]], int(strides[long_axes[0]])
    else:
        n_rows, stride = np.ones(len(tiles), np.int64), 0
    return _Placement(origins, extents, starts, n_rows.copy(), row_lengths, stride)


@cache
def _randoms() -> NDArray[np.float32]:
    from dkist_virtual.rice import random_numbers

    return random_numbers()


def _decode_tiles(
    layout: CompressedImage, table: TileTable, buffer: NDArray[np.uint8], out: NDArray[np.generic]
) -> None:
    """Decode all tiles from `buffer`, the HDU, into `out`, which has the image's shape."""
    by_rice = table.columns == COMPRESSED
    if layout.algorithm != "RICE_1":
        by_rice = np.zeros_like(by_rice)
    place = _place(layout, np.arange(layout.n_tiles))
    tiles = np.flatnonzero(by_rice)
    if place.row_stride is None:
        for tile in tiles:
            pixels = np.empty(tuple(place.extents[tile]), out.dtype)
            _rice(layout, table, buffer, np.array([tile]), pixels, _alone(pixels))
            out[_slices(place, tile)] = pixels
    elif tiles.size:
        _rice(layout, table, buffer, tiles, out, place)
    for tile in np.flatnonzero(~by_rice):
        start = table.starts[tile]
        data = buffer.data[start : start + table.lengths[tile]]
        out[_slices(place, tile)] = _tile(layout, table, int(tile), data, place.extents[tile])


def _slices(place: _Placement, tile: np.int64) -> tuple[slice, ...]:
    return tuple(
        slice(int(o), int(o + e))
        for o, e in zip(place.origins[tile], place.extents[tile], strict=True)
    )


def _alone(pixels: NDArray[np.generic]) -> _Placement:
    """The placement of one tile in an array of its own; indexed like that of one tile."""
    one = np.ones(1, np.int64)
    shape = np.array([pixels.shape])
    return _Placement(0 * shape, shape, 0 * one, one, one * pixels.size, 0)


def _rice(
    layout: CompressedImage,
    table: TileTable,
    buffer: NDArray[np.uint8],
    tiles: NDArray[np.int64],
    out: NDArray[np.generic],
    place: _Placement,
) -> None:
    """Decode Rice tiles into `out`; `place` is of all tiles, or of the only one in `tiles`."""
    from dkist_virtual import rice

    bytepix, blocksize = map(int, _rice_parameters(layout))
    alone = len(place.starts) == len(tiles)
    at = slice(None) if alone else tiles
    where = (place.starts[at], place.n_rows[at], place.row_lengths[at], place.row_stride or 0)
    source = (buffer, table.starts[tiles], table.lengths[tiles], blocksize)
    flat = out.reshape(-1)
    if layout.quantised:
        blank = table.blank[tiles] if table.blank.size else np.zeros(len(tiles), np.int64)
        broken = rice.rice_floats(
            *source, table.scale[tiles], table.zero[tiles], blank, table.blank.size > 0,
            layout.dither, _seeds(layout, tiles), _randoms(), flat, *where,
        )  # fmt: skip
    else:
        broken = rice.rice_integers(*source, bytepix, flat, *where)
    if broken >= 0:
        raise FrameCorruptError(
            f"tile {tiles[broken]}: its {table.lengths[tiles[broken]]} bytes of RICE_1 end or "
            "break before all its pixels are decoded"
        )


def _seeds(layout: CompressedImage, tiles: NDArray[np.int64]) -> NDArray[np.int64]:
    """Where each tile begins in the list of random numbers (10.2.1): row from 1 + ZDITHER0 - 2."""
    return (tiles + layout.dither_seed - 1).astype(np.int64)


def _tile(
    layout: CompressedImage,
    table: TileTable,
    tile: int,
    data: memoryview,
    extent: NDArray[np.int64],
) -> NDArray[np.generic]:
    """Decode one tile that is not Rice-coded, to the shape `extent`."""
    shape = tuple(int(n) for n in extent)
    n = math.prod(shape)
    column = table.columns[tile]
    quantised = layout.quantised and column == COMPRESSED
    if column == UNCOMPRESSED:
        plain: bytes | memoryview = data
    else:
        plain = _gunzip(data, 8 * n, tile)
    itemsize, rest = divmod(len(plain), n)
    sizes = _ITEM_SIZES[
        "quantised" if quantised else "integer" if layout.bitpix > 0 else layout.bitpix
    ]
    if rest or itemsize not in sizes:
        raise FrameCorruptError(
            f"tile {tile}: decompresses to {len(plain)} bytes: expected {n} pixels of "
            + " or ".join(map(str, sizes))
        )
    if column == COMPRESSED and layout.algorithm == "GZIP_2":
        # The bytes of each pixel's place are stored together (10.4.2): most significant first.
        shuffled = np.frombuffer(plain, "u1").reshape(itemsize, n)
        plain = np.ascontiguousarray(shuffled.T).data
    kind = "f" if layout.bitpix < 0 and not quantised else "u" if itemsize == 1 else "i"
    pixels = np.frombuffer(plain, f">{kind}{itemsize}")
    if quantised:
        from dkist_virtual import rice

        floats = np.empty(n, np.dtype(_RAW_TYPES[layout.bitpix]))
        blank = int(table.blank[tile]) if table.blank.size else 0
        seed = int(_seeds(layout, np.array([tile]))[0])
        rice.dequantise(
            pixels.astype(pixels.dtype.newbyteorder("=")), table.scale[tile], table.zero[tile],
            blank, table.blank.size > 0, layout.dither, seed, _randoms(), floats,
        )  # fmt: skip
        return floats.reshape(shape)
    return pixels.reshape(shape)


_ITEM_SIZES: Final[dict[str | int, tuple[int, ...]]] = {
    "quantised": (1, 2, 4, 8),
    "integer": (1, 2, 4, 8),
    -32: (4,),
    -64: (8,),
}


def _gunzip(data: memoryview, limit: int, tile: int) -> bytes:
    """One gzip member, at most `limit` bytes: what a stream says of its size is not believed."""
    stream = zlib.decompressobj(31)
    try:
        plain = stream.decompress(data, limit + 1)
    except zlib.error as error:
        raise FrameCorruptError(f"tile {tile}: is no gzip: {error}") from None
    if not stream.eof or stream.unused_data:
        raise FrameCorruptError(
            f"tile {tile}: its {len(data)} bytes of gzip "
            + (
                f"hold more than {limit} bytes, or end too early"
                if not stream.eof
                else f"are followed by {len(stream.unused_data)} that do not belong to them"
            )
        )
    return plain

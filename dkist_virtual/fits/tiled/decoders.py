"""Decode the bytes of one tile, for every known compression.

`decode_tile` undoes PLIO_1 and HCOMPRESS_1, `gunzip` the GZIP algorithms (FITS standard 4.0, 10.4);
`dkist_virtual.fits.tiled.batches` decodes Rice tiles, many at a time. What a tile says of its own
size is checked against its pixels before anything is allocated for it.
"""

from __future__ import annotations

import math
import zlib
from functools import cache
from typing import TYPE_CHECKING, Final, TypeVar

import numpy as np

from dkist_virtual.fits.compiled.kernel import Kernel
from dkist_virtual.fits.errors import FrameCorruptError, FrameUnsupportedError
from dkist_virtual.fits.layout import BITPIX_DTYPES
from dkist_virtual.fits.tiled import by_numpy
from dkist_virtual.fits.tiled.dequantise import Quantisation, random_numbers
from dkist_virtual.fits.tiled.rice_by_numpy import BLOCKS
from dkist_virtual.fits.tiled.table import COMPRESSED, DATA_COLUMNS, GZIPPED, UNCOMPRESSED

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dkist_virtual.fits.layout import CompressedImage
    from dkist_virtual.fits.tiled.table import TileTable

_Counts = TypeVar("_Counts", np.int64, "NDArray[np.int64]")

__all__ = [
    "ALGORITHMS",
    "BYTE_STREAMS",
    "decode_tile",
    "dither_starts",
    "gunzip",
    "itemsize_of",
    "pixel_limit",
    "random_list",
    "refuse_short_tiles",
    "refuse_too_many_pixels",
    "refuse_unknown",
    "rice_parameters",
]

ALGORITHMS: Final = ("RICE_1", "GZIP_1", "GZIP_2", "HCOMPRESS_1", "PLIO_1", "NOCOMPRESS")

BYTE_STREAMS: Final = ("GZIP_1", "GZIP_2", "NOCOMPRESS")
"""Algorithms that keep the bytes of numbers, and so also those of floats."""


def refuse_unknown(layout: CompressedImage) -> None:
    """Raise `FrameUnsupportedError` for what cannot be decoded, before allocating for it."""

    def refuse(what: str, known: str) -> FrameUnsupportedError:
        return FrameUnsupportedError(f"{what} is not supported: known are {known}")

    if layout.algorithm not in ALGORITHMS:
        raise refuse(f"ZCMPTYPE = {layout.algorithm!r}", ", ".join(ALGORITHMS))
    if layout.bitpix < 0 and not layout.quantised and layout.algorithm not in BYTE_STREAMS:
        raise refuse(
            f"ZCMPTYPE = {layout.algorithm!r} for floats without ZSCALE", "quantised floats"
        )
    if layout.algorithm == "RICE_1":
        bytepix, blocksize = rice_parameters(layout)
        if bytepix not in (1, 2, 4) or (layout.quantised and bytepix != 4):
            known = "4 for quantised floats" if layout.quantised else "1, 2 and 4"
            raise refuse(f"BYTEPIX = {bytepix:g}", known)
        if not 1 <= blocksize <= 1024 or blocksize != int(blocksize):
            raise refuse(f"BLOCKSIZE = {blocksize:g}", "1 to 1024, 16 and 32 being usual")
    if layout.algorithm == "HCOMPRESS_1" and layout.parameters.get("SMOOTH", 0) not in (0, 1):
        raise refuse(f"SMOOTH = {layout.parameters['SMOOTH']:g}", "0 and 1")


def rice_parameters(layout: CompressedImage) -> tuple[float, float]:
    """Return BYTEPIX and BLOCKSIZE, with the defaults of 10.4.1."""
    return layout.parameters.get("BYTEPIX", 4), layout.parameters.get("BLOCKSIZE", 32)


PLIO_OFFSET: Final = 32_768
"""PLIO_1 has no negative numbers, so cfitsio adds this to 16-bit integers of this BZERO first."""

_PLIO: Final = Kernel("dkist_virtual.fits.tiled.plio", "decompress")
_HCOMPRESS: Final = Kernel("dkist_virtual.fits.tiled.hcompress", "decompress")
DEQUANTISE: Final = Kernel("dkist_virtual.fits.tiled.rice", "dequantise")

_HCOMPRESS_HEADER: Final = 25
"""Bytes before the bit planes."""

HCOMPRESS_PROBLEMS: Final = {
    1: "ends before all its pixels are decoded",
    2: "has a bit plane of no known format",
    3: "has no mark where its bit planes should end",
    4: "says it has more than 62 bit planes",
}
"""What the kernel returns when it is not 0."""

_GZIP_RATIO: Final = 1032
"""Deflate makes at most this many bytes of one: 258 from a match of two bits."""

_FREE_PIXELS: Final = 2**24
_PIXELS_PER_BYTE: Final = 2048


def rice_bytes(layout: CompressedImage, pixels: _Counts) -> _Counts:
    """Return the fewest bytes of a Rice stream of so many pixels: each block has a code."""
    bytepix, blocksize = map(int, rice_parameters(layout))
    code_bits, _, _ = BLOCKS[bytepix]
    needed: _Counts = bytepix + (-(-pixels // blocksize) * code_bits + 7) // 8
    return needed


def pixel_limit(n_bytes: int) -> int:
    """Return how many pixels so many bytes may ask for, where no array says how many there are.

    Rice and gzip make at most 1,639 and 1,032 pixels of a byte. A constant tile of HCOMPRESS_1
    or PLIO_1 can have any size, and tiles can share bytes: so all have one limit.
    """
    return _FREE_PIXELS + _PIXELS_PER_BYTE * n_bytes


def refuse_too_many_pixels(layout: CompressedImage, n_bytes: int) -> None:
    """Raise `FrameUnsupportedError` for an image out of all proportion to its bytes."""
    limit = pixel_limit(n_bytes)
    if math.prod(layout.shape) > limit:
        raise FrameUnsupportedError(
            f"ZNAXISn = {layout.shape[::-1]}: {math.prod(layout.shape)} pixels in {n_bytes} bytes "
            f"are refused: at most {limit} where no array says its shape"
        )


def refuse_short_tiles(
    layout: CompressedImage,
    table: TileTable,
    tiles: NDArray[np.int64],
    pixels: NDArray[np.int64],
) -> None:
    """Raise `FrameCorruptError` for tiles of too few bytes for their pixels, before allocating."""
    lengths = table.lengths[tiles]
    # If the shortest has as many as the largest needs, none has to be looked at for itself.
    all_rice = layout.algorithm == "RICE_1" and table.column == COMPRESSED
    if all_rice and lengths.min() >= rice_bytes(layout, pixels.max()):
        return
    columns = table.columns[tiles]
    needed = np.ones(len(tiles), np.int64)
    packed = columns == COMPRESSED
    gzipped = columns == GZIPPED
    plain = columns == UNCOMPRESSED
    if layout.algorithm == "RICE_1":
        needed[packed] = rice_bytes(layout, pixels[packed])
    elif layout.algorithm == "NOCOMPRESS":
        plain |= packed
    elif layout.algorithm in BYTE_STREAMS:
        gzipped |= packed
    needed[gzipped] = -(-pixels[gzipped] // _GZIP_RATIO)
    needed[plain] = pixels[plain]
    short = lengths < needed
    if short.any():
        i = int(np.argmax(short))
        name = layout.algorithm if packed[i] else DATA_COLUMNS[int(columns[i])]
        raise FrameCorruptError(
            f"tile {tiles[i]}: its {lengths[i]} bytes of {name} end or break before all its "
            f"pixels are decoded: {pixels[i]} take {needed[i]} at least"
        )


@cache
def random_list() -> NDArray[np.float32]:
    """Return the random numbers of subtractive dithering, made once in a process."""
    return random_numbers()


def dither_starts(layout: CompressedImage, tiles: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return where tiles begin in the list of random numbers (10.2.1), modulo its length, from 0.

    Counted from 1, it is ZDITHER0 + row - 1.
    """
    return (tiles + (layout.dither_seed - 1)).astype(np.int64)


@np.errstate(all="ignore")  # as in dkist_virtual.fits.tiled.batches
def decode_tile(
    layout: CompressedImage, table: TileTable, tile: int, data: memoryview, shape: tuple[int, ...]
) -> NDArray[np.generic]:
    """Decode one tile of PLIO_1 or HCOMPRESS_1.

    Parameters
    ----------
    layout : CompressedImage
    table : TileTable
    tile : int
        Its number.
    data : memoryview
        Its bytes.
    shape : tuple of int
        Its extent, which at an edge is less than the layout's.

    Returns
    -------
    numpy.ndarray
        Of that shape; floats dequantised, integers not scaled; native byte order.

    Raises
    ------
    FrameCorruptError
        The bytes are not such a tile.
    """
    numbers: NDArray[np.generic]
    if layout.algorithm == "PLIO_1":
        pixels = _plio(data, math.prod(shape), tile)
        if layout.bitpix == 16 and layout.bzero == PLIO_OFFSET:
            pixels -= PLIO_OFFSET
        numbers = pixels
    else:
        smooth = layout.parameters.get("SMOOTH", 0) == 1
        numbers = _hcompress(data, shape, tile, smooth=smooth)
    if layout.quantised:
        numbers = _dequantise(layout, table, tile, numbers)
    else:
        _check_range(numbers, np.dtype(BITPIX_DTYPES[layout.bitpix]), tile)
    return numbers.reshape(shape)


def itemsize_of(layout: CompressedImage, n_bytes: int, n: int, tile: int, *, floats: bool) -> int:
    """Return how many bytes each of a tile's `n` numbers has; `floats` are not quantised."""
    sizes = _itemsizes(layout, floats=floats)
    itemsize, rest = divmod(n_bytes, n)
    if rest or itemsize not in sizes:
        raise FrameCorruptError(
            f"tile {tile}: decompresses to {n_bytes} bytes: expected {n} pixels of "
            + " or ".join(map(str, sizes))
        )
    return itemsize


def _itemsizes(layout: CompressedImage, *, floats: bool) -> tuple[int, ...]:
    if floats:
        return (-layout.bitpix // 8,)
    # Quantised floats are 32-bit integers at most (10.2); so are all but 64-bit images.
    return (1, 2, 4, 8) if layout.bitpix == 64 else (1, 2, 4)


def _check_range(numbers: NDArray[np.generic], dtype: np.dtype, tile: int) -> None:
    """Check that integers that are wider than those of the image fit into these."""
    if numbers.dtype.itemsize <= dtype.itemsize:
        return
    info = np.iinfo(dtype)
    low, high = int(numbers.min()), int(numbers.max())
    if low < info.min or high > info.max:
        raise FrameCorruptError(
            f"tile {tile}: holds {low} to {high}: expected ZBITPIX's {info.min} to {info.max}"
        )


def _dequantise(
    layout: CompressedImage, table: TileTable, tile: int, numbers: NDArray[np.generic]
) -> NDArray[np.generic]:
    floats = np.empty(numbers.size, np.dtype(BITPIX_DTYPES[layout.bitpix]))
    seed = dither_starts(layout, np.array([tile]))
    blank = table.blank[[tile]] if table.blank.size else np.zeros(1, np.int64)
    scale, zero, has_blank = table.scale[[tile]], table.zero[[tile]], table.blank.size > 0
    quantisation = Quantisation(scale, zero, blank, has_blank, layout.dither, seed, random_list())
    flat = numbers.reshape(-1)
    one = (float(scale[0]), float(zero[0]), int(blank[0]), has_blank, layout.dither, int(seed[0]))
    DEQUANTISE.run(
        (flat, *one, random_list(), floats),
        lambda: by_numpy.dequantise(flat, quantisation, floats),
        lambda: by_numpy.SECONDS_A_PIXEL * flat.size,
    )
    return floats


def gunzip(layout: CompressedImage, data: memoryview, n: int, tile: int, *, floats: bool) -> bytes:
    """Decompress a tile of `n` numbers, one gzip member.

    Raises
    ------
    FrameCorruptError
        It is not one, or is longer than the numbers, whatever it says of its own size.
    """
    limit = _itemsizes(layout, floats=floats)[-1] * n
    stream = zlib.decompressobj(31)
    try:
        plain = stream.decompress(data, limit + 1)
    except zlib.error as error:
        is_gzip = bytes(data[:2]) == b"\x1f\x8b"
        what = "its gzip stream is damaged" if is_gzip else "is not gzip"
        raise FrameCorruptError(f"tile {tile}: {what}: {error}") from None
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


def _plio(data: memoryview, n: int, tile: int) -> NDArray[np.int32]:
    if len(data) % 2:
        raise FrameCorruptError(f"tile {tile}: {len(data)} bytes of PLIO_1 are not 16-bit words")
    words = np.frombuffer(data, ">i2").astype("i2")
    pixels = np.zeros(n, np.int32)
    at = _PLIO(words, pixels)
    if at >= 0:
        raise FrameCorruptError(
            f"tile {tile}: its PLIO_1 list breaks at word {at} of {len(words)}: expected "
            "instructions up to the length that it begins with"
        )
    return pixels


def _hcompress(
    data: memoryview, shape: tuple[int, ...], tile: int, *, smooth: bool
) -> NDArray[np.int64]:
    header = _hcompress_header(data)
    splits = {(math.prod(shape[:i]), math.prod(shape[i:])) for i in range(len(shape) + 1)}
    if header is None or header[:2] not in splits:
        found = "no such header" if header is None else f"{header[0]} x {header[1]} pixels"
        raise FrameCorruptError(f"tile {tile}: HCOMPRESS_1 with {found}: expected {shape}")
    rows, columns, scale, total, planes = header
    pixels = np.zeros((rows, columns), np.int64)
    stream = np.frombuffer(data, "u1", offset=_HCOMPRESS_HEADER)
    problem = _HCOMPRESS(stream, pixels, scale, total, planes, smooth)
    if problem:
        raise FrameCorruptError(f"tile {tile}: its HCOMPRESS_1 {HCOMPRESS_PROBLEMS[problem]}")
    return pixels


def _hcompress_header(
    data: bytes | memoryview,
) -> tuple[int, int, int, int, NDArray[np.uint8]] | None:
    """Return rows, columns, scale, sum and bit planes of a stream; None where it has none."""
    if len(data) < _HCOMPRESS_HEADER or bytes(data[:2]) != b"\xdd\x99":
        return None
    rows, columns, scale = (int(n) for n in np.frombuffer(data, ">i4", 3, 2))
    total = int(np.frombuffer(data, ">i8", 1, 14)[0])
    return rows, columns, max(scale, 1), total, np.frombuffer(data, "u1", 3, 22)

"""Compare decoded pixels with astropy's and cfitsio's, whole and in windows."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
from frames import Array, assert_identical, oracle

from dkist_virtual.fits.decode import decode_frame, decode_window, tiles_touched
from dkist_virtual.fits.hdu import image_layout
from dkist_virtual.fits.layout import CompressedImage
from dkist_virtual.fits.tiled.table import read_table


def check_decoded(
    file: bytes, expected: Array | None = None, *, hdu: int = 1, seed: int = 0
) -> None:
    """Both forms of bytes, and windows, give what is expected: by default what astropy reads."""
    expected = oracle(file, hdu) if expected is None else expected
    declared = {"dtype": expected.dtype, "shape": expected.shape}
    assert_identical(decode_frame(file, hdu), expected)
    assert_identical(decode_frame(memoryview(file), hdu, **declared), expected)
    if hdu == 0:
        return
    start, layout = image_layout(file, hdu)
    alone = memoryview(file)[start:]
    assert_identical(decode_frame(alone, "not looked at"), expected)
    assert_identical(decode_frame(alone, "not looked at", **declared), expected)
    if isinstance(layout, CompressedImage):
        check_windows(file, expected, seed)


def layout_and_hdu(file: bytes) -> tuple[CompressedImage, memoryview]:
    start, layout = image_layout(file, 1)
    assert isinstance(layout, CompressedImage)
    return layout, memoryview(file)[start:]


def check_windows(file: bytes, whole: Array, seed: int, count: int = 2) -> None:
    """Strided windows are what numpy cuts out of the whole, and need the tiles that they name."""
    rng = random.Random(seed)
    layout, hdu = layout_and_hdu(file)
    table = read_table(layout, hdu)
    for _ in range(count):
        window = []
        for n in whole.shape:
            first = rng.randrange(n)
            last = rng.randrange(first, n)
            window.append(range(first, last + 1, rng.choice((1, 1, 2, 3, 7))))
        cut = whole[tuple(slice(p.start, p.stop, p.step) for p in window)]
        # The tiles touched, and nothing else, in an order that no file has.
        tiles = tiles_touched(layout, tuple(window))
        numbers = np.arange(layout.n_tiles).reshape(layout.grid)
        pixels = np.kron(numbers, np.ones(layout.tile_shape, np.int64))
        seen = pixels[tuple(slice(p.start, p.stop, p.step) for p in window)]
        np.testing.assert_array_equal(tiles, np.unique(seen))
        buffer, starts = bytearray(b"\xaa"), np.full(layout.n_tiles, -1)
        for tile in tiles[::-1]:
            starts[tile] = len(buffer)
            buffer += hdu[table.starts[tile] : table.starts[tile] + table.lengths[tile]]
        part = decode_window(
            layout, table, tuple(window), np.frombuffer(bytes(buffer), "u1"), starts
        )
        assert_identical(part, cut)


def by_fitsio(file: bytes, place: Path, hdu: int = 1) -> Array:
    """What cfitsio reads of a file, native byte order; `place` is a directory to write it to."""
    import fitsio

    path = place / "frame.fits"
    path.write_bytes(file)
    with fitsio.FITS(str(path)) as hdus:
        data = hdus[hdu].read()
    return np.asarray(data, data.dtype.newbyteorder("="))

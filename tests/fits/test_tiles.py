"""The decoder against astropy, bit for bit, and everything that it refuses."""

from __future__ import annotations

import gzip
import math
import re
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import frames
import numpy as np
import pytest
from frames import LOSSLESS, METHODS, assert_identical, compressed, oracle, plain, scaled, scene
from hypothesis import given, settings
from hypothesis import strategies as st

from dkist_virtual.errors import FrameCorruptError, FrameError, FrameUnsupportedError
from dkist_virtual.fits.decode import decode_frame, decode_image
from dkist_virtual.fits.hdu import image_layout
from dkist_virtual.fits.layout import CompressedImage, PlainImage
from dkist_virtual.fits.tiled.rice import random_numbers
from dkist_virtual.fits.tiled.table import read_table

REAL = Path(__file__).parents[3] / "shared" / "data" / "real_frames"
# Found without importing it, which takes seconds.
DKIST = Path((find_spec("dkist").submodule_search_locations or [""])[0]) / "data" / "test"

# The same cases every time: a failure is one that others see too.
derandomised = settings(derandomize=True, deadline=None, database=None)


def check(file: bytes, hdu: int = 1, expected: Any = None) -> None:
    """Both forms of bytes give what astropy gives."""
    if expected is None:
        expected = frames.oracle(file, hdu)
    assert_identical(decode_frame(file, hdu), expected)
    assert_identical(
        decode_frame(memoryview(file), hdu, dtype=expected.dtype, shape=expected.shape), expected
    )
    if hdu > 0:
        assert_identical(decode_frame(frames.hdu_of(file, hdu), "not looked at"), expected)


# Images that astropy reads ---------------------------------------------------------------------

#: Shapes of one to four axes with every kind of tiling: rows, whole, ragged, runs of whole axes
#: at the end, several long axes, larger than the image, single pixels.
TILINGS: list[tuple[tuple[int, ...], tuple[int, ...] | None]] = [
    ((1,), None),
    ((97,), None),
    ((97,), (32,)),
    ((5, 40), None),
    ((5, 40), (1, 40)),
    ((5, 40), (5, 40)),
    ((5, 40), (2, 40)),
    ((5, 40), (5, 7)),
    ((13, 29), (4, 10)),
    ((13, 29), (20, 50)),
    ((3, 4), (1, 1)),
    ((1, 12, 30), None),
    ((1, 12, 30), (1, 5, 30)),
    ((1, 12, 30), (1, 12, 30)),
    ((3, 7, 11), (2, 7, 11)),
    ((3, 7, 11), (2, 3, 11)),
    ((3, 7, 11), (2, 3, 4)),
    ((3, 7, 11), (3, 1, 4)),
    ((2, 3, 5, 8), None),
    ((2, 3, 5, 8), (1, 2, 5, 8)),
    ((2, 3, 5, 8), (2, 1, 3, 8)),
    ((2, 3, 5, 8), (1, 2, 2, 3)),
]
ALGORITHMS = ("RICE_1", "GZIP_1", "GZIP_2")


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_quantised_floats(algorithm: str, method: str, dtype: str) -> None:
    fallbacks = 0
    for i, (shape, tile) in enumerate(TILINGS):
        # NaN, exact zeros, and a first tile that cannot be quantised, or none of them.
        some = 0.05 * (i % 2)
        flat = tile or (1,) * (len(shape) - 1) + shape[-1:]
        data = scene(shape, dtype, seed=i, blanks=some, zeros=some, flat=flat)
        file = compressed(data, algorithm=algorithm, tile=tile, method=method, seed=1 + 37 * i)
        layout = image_layout(file, 1)[1]
        assert isinstance(layout, CompressedImage)
        assert layout.quantised
        assert layout.dither == list(METHODS).index(method)
        fallbacks += int((frames.table(file).rows["GZIP_COMPRESSED_DATA"][:, 0] > 0).sum())
        check(file)
    assert fallbacks >= len(TILINGS)


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("algorithm", ["GZIP_1", "GZIP_2"])
def test_lossless_floats(algorithm: str, dtype: str) -> None:
    for i, (shape, tile) in enumerate(TILINGS):
        data = scene(shape, dtype, seed=i, blanks=0.05, zeros=0.05, flat=tile)
        file = compressed(data, algorithm=algorithm, tile=tile, method=LOSSLESS)
        assert not getattr(image_layout(file, 1)[1], "quantised", True)
        check(file, expected=data)
        check(file)


@pytest.mark.parametrize(
    ("algorithm", "dtype"),
    [
        (algorithm, dtype)
        for algorithm in ALGORITHMS
        for dtype in ("i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8")
        # astropy and cfitsio write no RICE_1 for 64-bit integers.
        if (algorithm, dtype[1]) != ("RICE_1", "8")
    ],
)
def test_integers(algorithm: str, dtype: str) -> None:
    for i, (shape, tile) in enumerate(TILINGS):
        data = scene(shape, dtype, seed=i, zeros=0.05)
        file = compressed(data, algorithm=algorithm, tile=tile)
        check(file, expected=data)
        check(file)


@pytest.mark.parametrize("dtype", ["u1", "i2", "i4"])
def test_integers_without_structure_are_stored_as_they_are(dtype: str) -> None:
    # Differences too large for any Rice code: the blocks hold them raw, and they wrap around.
    info = np.iinfo(dtype)
    data = np.random.default_rng(3).integers(info.min, info.max, (20, 100), dtype, endpoint=True)
    data[0, ::2], data[0, 1::2] = info.min, info.max
    check(compressed(data), expected=data)


def test_rice_with_long_runs_of_zeros() -> None:
    # One large difference in a block of small ones makes a unary part of thousands of bits.
    data = np.zeros((4, 256), "i4")
    data[0, 100], data[1, 5], data[2, 250] = 60_000, -60_000, 2_000_000
    data[3] = np.arange(256) % 3
    check(compressed(data), expected=data)


@pytest.mark.parametrize("method", METHODS)
def test_tiles_that_are_blank_all_over(method: str) -> None:
    data = scene((6, 50), "f4")
    data[2] = np.nan
    data[3, :49] = np.nan
    check(compressed(data, method=method))


@pytest.mark.parametrize("method", ["SUBTRACTIVE_DITHER_1", "SUBTRACTIVE_DITHER_2"])
@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("algorithm", ["RICE_1", "GZIP_1"])
def test_a_dithered_tile_longer_than_the_list_of_random_numbers(
    algorithm: str, dtype: str, method: str
) -> None:
    data = scene((2, 25_000), dtype, zeros=0.01, blanks=0.01)
    check(compressed(data, algorithm=algorithm, method=method, seed=9_999))


@pytest.mark.parametrize("method", ["SUBTRACTIVE_DITHER_1", "SUBTRACTIVE_DITHER_2"])
@pytest.mark.parametrize("seed", [1, 9_995, 10_000])
def test_dithering_beyond_tile_row_ten_thousand(seed: int, method: str) -> None:
    data = scene((10_004, 16), "f4")
    file = compressed(data, method=method, seed=seed)
    assert frames.oracle(file).std() > 0
    check(file)
    # Rows 1 and 10,001 start alike: with the same integers in them, they hold the same pixels.
    table = frames.table(file)
    rows = table.rows.copy()
    rows[10_000] = rows[0]
    pixels = decode_frame(frames.with_table(file, rows, table.heap), 1)
    assert_identical(pixels[10_000], pixels[0])


def test_the_random_numbers_of_the_standard() -> None:
    # Appendix I: seeds are 16807**n modulo 2**31 - 1; the ten-thousandth is given as a check.
    seeds = np.array([pow(16807, n, 2**31 - 1) for n in range(1, 10_001)])
    assert seeds[-1] == 1043618065
    numbers = random_numbers()
    assert numbers.dtype == np.float32
    np.testing.assert_array_equal(numbers, (seeds / (2**31 - 1)).astype("f4"))


def test_dithering_takes_the_random_number_away_that_the_standard_says() -> None:
    # 10.2.1 by hand, for one tile: astropy and this package could be wrong together.
    file = compressed(scene((1, 64), "f8"), method="SUBTRACTIVE_DITHER_1", seed=4321)
    row = frames.table(file).rows[0]
    lossless = frames.edited(file, 1, {"ZQUANTIZ": "NO_DITHER"})
    integers = np.rint((decode_frame(lossless, 1)[0] - row["ZZERO"]) / row["ZSCALE"])
    randoms = [np.float32(pow(16807, n, 2**31 - 1) / (2**31 - 1)) for n in range(1, 10_001)]
    first = int(randoms[4321 - 1] * np.float32(500))
    expected = (integers - np.array(randoms[first : first + 64], "f8") + 0.5) * row["ZSCALE"]
    assert_identical(decode_frame(file, 1)[0], expected + row["ZZERO"])


@st.composite
def compressed_files(draw: st.DrawFn) -> bytes:
    shape = tuple(draw(st.lists(st.integers(1, 12), min_size=1, max_size=4)))
    shape = (*shape[:-1], shape[-1] * draw(st.sampled_from([1, 3, 7])))
    tile = tuple(draw(st.integers(1, n + 1)) for n in shape)
    algorithm = draw(st.sampled_from(ALGORITHMS))
    dtype = draw(st.sampled_from(["f4", "f8", "f4", "f8", "u1", "i2", "u2", "i4", "u4"]))
    methods = [*METHODS] if algorithm == "RICE_1" else [*METHODS, LOSSLESS]
    data = scene(
        shape,
        dtype,
        seed=draw(st.integers(0, 1000)),
        blanks=draw(st.sampled_from([0, 0.1, 0.9])),
        zeros=draw(st.sampled_from([0, 0.1, 0.9])),
        flat=draw(st.sampled_from([None, tile])),
    )
    if dtype == "f4":  # beyond 1e38, quantising would overflow where astropy warns
        data *= draw(st.sampled_from([1, 1e-20, 1e10]))
    return compressed(
        data,
        algorithm=algorithm,
        tile=tile,
        method=draw(st.sampled_from(methods)),
        level=draw(st.sampled_from([16.0, 2.0, 0.5, -0.01])),
        seed=draw(st.integers(1, 10_000)),
    )


@settings(derandomised, max_examples=150)
@given(compressed_files())
def test_any_compressed_image(file: bytes) -> None:
    check(file)


# Plain images ----------------------------------------------------------------------------------


@pytest.mark.parametrize("primary", [True, False])
@pytest.mark.parametrize("dtype", ["i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f4", "f8"])
def test_plain_images(dtype: str, primary: bool) -> None:
    for shape in [(1,), (97,), (5, 40), (1, 12, 30), (2, 3, 5, 8)]:
        data = scene(shape, dtype, blanks=0.05, zeros=0.05, flat=(1,) * len(shape))
        file = plain(data, primary=primary, name=None if primary else "SCI")
        check(file, 0 if primary else 1, expected=data)
        check(file, 0 if primary else 1)


numbers = st.sampled_from([1.0, 0.0, 2.0, -1.0, 0.1, 1e-7, 12345.678, 2.5e10])


@st.composite
def scaled_files(draw: st.DrawFn) -> tuple[bytes, int]:
    dtype = draw(st.sampled_from(["u1", "i2", "i4", "i8", "f4", "f8"]))
    shape = tuple(draw(st.lists(st.integers(1, 6), min_size=1, max_size=4)))
    raw = scene(shape, dtype, seed=draw(st.integers(0, 99)), zeros=0.1)
    bits = 8 * raw.itemsize
    bzero = draw(st.one_of(numbers, st.sampled_from([-128, 2 ** (bits - 1), 32768])))
    bscale = draw(st.one_of(st.none(), numbers.filter(bool)))
    blank = None
    if raw.dtype.kind != "f" and draw(st.booleans()):
        # Of 0, which astropy does not heed, there is a test of its own.
        blank = int(raw.flat[0]) or 1
    primary = draw(st.booleans())
    file = scaled(raw, bscale=bscale, bzero=bzero, blank=blank, primary=primary)
    return file, 0 if primary else 1


@settings(derandomised, max_examples=200)
@given(scaled_files())
def test_any_scaled_image(case: tuple[bytes, int]) -> None:
    check(*case)


@pytest.mark.parametrize("dtype", ["u1", "i2", "i4", "i8"])
def test_blank_zero_is_a_blank(dtype: str) -> None:
    # 4.4.2.5 makes no exception for 0. astropy takes BLANK = 0 for no BLANK; here the standard
    # is followed.
    raw = np.array([[0, 1, 2], [3, 0, 5]], dtype)
    file = scaled(raw, blank=0)
    expected = raw.astype("f8" if raw.itemsize > 2 else "f4")
    assert not np.isnan(frames.oracle(file, 0)).any()
    expected[raw == 0] = np.nan
    check(file, 0, expected=expected)


def test_scaled_integers_in_tiles() -> None:
    raw = scene((6, 40), "i2")
    file = frames.edited(compressed(raw), 1, {"BSCALE": 0.5, "BZERO": 10.0})
    assert frames.oracle(file).dtype == np.float32
    check(file)


# What real files look like ---------------------------------------------------------------------


@pytest.mark.parametrize("name", ["visp_2022_998x100.fits", "visp_2023_4x4_gzip_fallback.fits"])
def test_real_frames(name: str) -> None:
    if not REAL.is_dir():
        pytest.skip("the real frames are not published with this repository")
    file = (REAL / name).read_bytes()
    expected = frames.oracle(file)
    assert np.isfinite(expected).any()
    check(file)


DKIST_FRAMES = sorted(path for name in ("small_visp", "EIT") for path in DKIST.glob(f"{name}/*.f*"))


def test_the_frames_in_dkist_are_found() -> None:
    assert len(DKIST_FRAMES) == 3 + 11


@pytest.mark.parametrize("path", DKIST_FRAMES, ids=lambda path: path.name)
def test_frames_in_dkist(path: Path) -> None:
    file = path.read_bytes()
    hdu = 0 if frames.span(file, 0).stop == len(file) else 1
    assert frames.oracle(file, hdu).ndim >= 2
    check(file, hdu)


@pytest.mark.parametrize("file", [compressed(scene((5, 40))), plain(scene((5, 40)), primary=False)])
def test_bytes_after_the_end_and_no_padding(file: bytes) -> None:
    expected = frames.oracle(file)
    for more in (b"x", b"\0" * 2880, b"not a header" * 300):
        assert_identical(decode_frame(file + more, 1), expected)
        assert_identical(decode_frame(frames.hdu_of(file) + more, 1), expected)
    where, layout = frames.span(file), image_layout(file, 1)[1]
    if isinstance(layout, PlainImage):
        stop = where.data + layout.nbytes
    else:
        stop = where.start + layout.heap_offset + layout.heap_bytes
    assert stop < len(file)
    assert_identical(decode_frame(file[:stop], 1), expected)
    with pytest.raises(FrameCorruptError, match=r"HDU 1: is \d+ bytes long, only \d+"):
        decode_frame(file[: stop - 1], 1)


def test_the_heap_may_lie_and_be_used_in_any_order() -> None:
    data = scene((4, 40), "i4")
    data[2] = data[0]
    file = compressed(data)
    table = frames.table(file)
    tiles = [table.tile(i) for i in range(4)]
    # Last tile first, a gap before the heap and inside it, two rows that share their bytes.
    heap = tiles[3] + b"gap" + tiles[1] + tiles[0] + b"more than is used"
    rows = table.rows.copy()
    at = {3: 0, 1: len(tiles[3]) + 3, 0: len(tiles[3] + tiles[1]) + 3}
    for i in range(4):
        rows["COMPRESSED_DATA"][i] = len(tiles[i]), at[0 if i == 2 else i]
    theap = rows.nbytes + 24
    moved = frames.with_table(file, rows, b"\xff" * 24 + heap, changes={"THEAP": theap})
    check(moved, expected=data)
    check(moved)


@pytest.mark.parametrize("algorithm", ["RICE_1", "GZIP_1", "GZIP_2"])
def test_threads_decode_what_one_does(algorithm: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dkist_virtual.fits.tiled.batches._PIXELS_A_THREAD", 1)
    monkeypatch.setattr("dkist_virtual.fits.threads.available", lambda: 3)
    data = scene((40, 50), "f4", seed=2, flat=(7, 50))  # some tiles in the lossless column
    file = compressed(data, algorithm=algorithm, tile=(1, 50), method="SUBTRACTIVE_DITHER_1")
    start, layout = image_layout(file, 1)
    hdu = memoryview(file)[start:]
    assert_identical(decode_image(layout, hdu, parallel=True), oracle(file, 1))
    # Whichever thread meets it first: the first broken tile of the first thread that has one.
    table = read_table(layout, hdu)
    broken = bytearray(hdu)
    tile = 35
    broken[table.starts[tile] : table.starts[tile] + table.lengths[tile]] = b"\xff" * int(
        table.lengths[tile]
    )
    with pytest.raises(FrameCorruptError, match="tile 35: "):
        decode_image(layout, bytes(broken), parallel=True)


def test_decoding_leaves_its_input_alone_and_owns_its_result() -> None:
    for file in (compressed(scene((3, 20))), plain(scene((3, 20)), primary=False)):
        before = bytearray(file)
        pixels = decode_frame(before, 1)
        pixels[...] = 0
        assert before == file


# Refusals --------------------------------------------------------------------------------------

RICE = compressed(scene((5, 40)))
DITHERED = compressed(scene((5, 40)), method="SUBTRACTIVE_DITHER_1")
GZIP = compressed(scene((5, 40), "i4"), algorithm="GZIP_1")
LOSSLESS_GZIP = compressed(scene((5, 40)), algorithm="GZIP_2", method=LOSSLESS)
FALLBACK = compressed(scene((5, 40), flat=(1, 40)))
PLAIN = plain(scene((5, 40)))

WIDTH = frames.table(RICE).rows.dtype.itemsize
HEAP = len(frames.table(RICE).heap)


def cards(file: bytes = RICE, hdu: int = 1, **changes: Any) -> Callable[[], bytes]:
    return lambda: frames.edited(file, hdu, changes)


def descriptor(count: int, offset: int, file: bytes = RICE) -> Callable[[], bytes]:
    """The second tile's descriptor says this."""

    def make() -> bytes:
        table = frames.table(file)
        rows = table.rows.copy()
        rows["COMPRESSED_DATA"][1] = count, offset
        return frames.with_table(file, rows, table.heap)

    return make


def tile(data: bytes, file: bytes = RICE, column: str = "COMPRESSED_DATA") -> Callable[[], bytes]:
    return lambda: frames.with_tile(file, 1, data, column)


def text(name: str) -> Callable[[], bytes]:
    """A table of text, as FITS has it too."""
    column = frames.fits.Column("a", "A3", array=["abc"])
    hdu = frames.fits.TableHDU.from_columns([column], name=name)
    return lambda: frames.written(frames.fits.PrimaryHDU(), hdu)


FIRST = frames.table(RICE).tile(1)
PACKED = frames.table(GZIP).tile(1)

CORRUPT: dict[str, tuple[Callable[[], bytes], str]] = {
    "empty": (lambda: b"", "HDU 0: 0 bytes: expected a FITS header"),
    "one byte": (lambda: b"S", "HDU 0: 1 bytes: expected a FITS header"),
    "not FITS": (lambda: b"<html>404</html>" * 300, r"begins with b'<html>40\w*<?.*no FITS"),
    "zeros": (lambda: bytes(5760), "begins with b'.*no FITS"),
    "header cut short": (lambda: RICE[: 2880 + 1000], "HDU 1: no END card in 1000 bytes"),
    "primary cut short": (lambda: RICE[:240], "HDU 0: no END card in 240 bytes"),
    "data cut short": (lambda: RICE[: 5760 + 100], r"HDU 1: is \d+ bytes long, only 2980 of them"),
    "plain cut short": (lambda: PLAIN[:-2880], "HDU 0: is 3680 bytes long, only 2880 of them"),
    "plain BITPIX": (cards(PLAIN, 0, BITPIX=-16), "BITPIX = -16: expected 8, 16"),
    "plain NAXIS2": (cards(PLAIN, 0, NAXIS2=-5), "NAXIS2 = -5: expected 0 or more"),
    "plain BSCALE": (cards(PLAIN, 0, BSCALE="x"), "BSCALE = 'x *': expected a number"),
    "plain BZERO": (cards(PLAIN, 0, BZERO=frames.Raw("nan")), "BZERO = nan: expected a number"),
    "no such HDU": (lambda: PLAIN, r"has no HDU 1: it ends after 1 HDU"),
    "ZIMAGE no logical": (cards(ZIMAGE=1), "ZIMAGE = 1: expected T or F"),
    "NAXIS missing": (cards(NAXIS=None), "NAXIS is missing: expected an integer"),
    "NAXIS text": (cards(NAXIS="two"), "NAXIS = 'two *': expected an integer"),
    "NAXIS too many": (cards(NAXIS=1000), "NAXIS = 1000: expected 0 to 999"),
    "NAXIS1 negative": (cards(NAXIS1=-1), "NAXIS1 = -1: expected 0 or more"),
    "NAXIS1 underscored": (cards(NAXIS1=frames.Raw("3_2")), "NAXIS1 = 3_2: expected an integer"),
    "NAXIS1 endless": (cards(NAXIS1=frames.Raw("9" * 60)), r"NAXIS1 = 9{30}: expected an integer"),
    "NAXIS1 not ASCII": (cards(NAXIS1=frames.Raw("3\xb2")), "NAXIS1 = b'3.xb2 *': expected ASCII"),
    "NAXIS1 wide": (cards(NAXIS1=WIDTH - 1), f"NAXIS1 = {WIDTH - 1}: expected {WIDTH}"),
    "NAXIS2": (cards(NAXIS2=4), "NAXIS2 = 4: expected 5, one row per tile"),
    "NAXIS2 huge": (cards(NAXIS2=2**62), "NAXISn, PCOUNT and GCOUNT ask for more than"),
    "NAXIS2 large": (cards(NAXIS2=2**40), r"HDU 1: is \d+ bytes long, only \d+"),
    "PCOUNT": (cards(PCOUNT=-1), "PCOUNT = -1: expected 0 or more"),
    "PCOUNT huge": (cards(PCOUNT=2**40), r"HDU 1: is \d+ bytes long, only \d+"),
    "GCOUNT": (cards(GCOUNT=-1), "GCOUNT = -1: expected 0 or more"),
    "BITPIX": (cards(BITPIX=7), "BITPIX = 7: expected 8, 16, 32, 64, -32 or -64"),
    "ZBITPIX": (cards(ZBITPIX=33), "ZBITPIX = 33: expected 8, 16"),
    "ZNAXIS missing": (cards(ZNAXIS=None), "ZNAXIS is missing"),
    "ZNAXIS too many": (cards(ZNAXIS=10**6), "ZNAXIS = 1000000: expected 0 to 999"),
    "ZNAXIS2": (cards(ZNAXIS2=-5), "ZNAXIS2 = -5: expected 0 or more"),
    "ZNAXIS2 other": (cards(ZNAXIS2=6), "NAXIS2 = 5: expected 6, one row per tile"),
    "ZTILE zero": (cards(ZTILE1=0), "ZTILE1 = 0: expected 1 or more"),
    "ZTILE negative": (cards(ZTILE2=-1), "ZTILE2 = -1: expected 1 or more"),
    "ZTILE real": (cards(ZTILE2=1.5), "ZTILE2 = 1.5: expected an integer"),
    "ZTILE other": (cards(ZTILE1=7), "NAXIS2 = 5: expected 30, one row per tile"),
    "ZCMPTYPE missing": (cards(ZCMPTYPE=None), "ZCMPTYPE is missing"),
    "ZCMPTYPE number": (cards(ZCMPTYPE=1), "ZCMPTYPE = 1: expected a string"),
    "ZVAL missing": (cards(ZVAL1=None), "ZVAL1 is missing: ZNAME1 is 'BLOCKSIZE'"),
    "ZVAL text": (cards(ZVAL1="many"), "ZVAL1 = 'many *': expected a number"),
    "ZSCALE": (cards(TTYPE3="NOSCALE"), "ZZERO stands without ZSCALE"),
    "ZZERO": (cards(TTYPE4="NOZERO"), "ZSCALE stands without ZZERO"),
    "ZDITHER0 missing": (
        cards(DITHERED, ZDITHER0=None),
        "ZDITHER0 = None: expected 1 to 10000, since ZQUANTIZ = 'SUBTRACTIVE_DITHER_1'",
    ),
    "ZDITHER0 zero": (cards(DITHERED, ZDITHER0=0), "ZDITHER0 = 0: expected 1 to 10000"),
    "ZDITHER0 large": (cards(DITHERED, ZDITHER0=10_001), "ZDITHER0 = 10001: expected 1 to 10000"),
    "THEAP in table": (
        cards(THEAP=5 * WIDTH - 1),
        f"THEAP = {5 * WIDTH - 1}: expected {5 * WIDTH}",
    ),
    "THEAP behind": (
        cards(THEAP=5 * WIDTH + HEAP + 1),
        f"expected {5 * WIDTH} to {5 * WIDTH + HEAP}",
    ),
    "THEAP negative": (cards(THEAP=-1), "THEAP = -1"),
    "TFORM": (cards(TFORM1="1Y"), "TFORM1 = '1Y': expected a binary table format"),
    "TFORM missing": (cards(TFORM2=None), "TFORM2 = ''"),
    "TFIELDS": (cards(TFIELDS=3), f"NAXIS1 = {WIDTH}: expected {WIDTH - 8}"),
    "TFIELDS huge": (cards(TFIELDS=10**15), "TFORM5 = ''"),
    "no data column": (cards(TTYPE1="DATA"), "TTYPEn: expected a column COMPRESSED_DATA"),
    "descriptor long": (
        descriptor(HEAP + 1, 0),
        f"tile 1: COMPRESSED_DATA says {HEAP + 1} elements",
    ),
    "descriptor behind": (descriptor(1, HEAP), f"says 1 elements at byte {HEAP} of the heap"),
    "descriptor far": (descriptor(1, 2**31 - 1), "says 1 elements at byte 2147483647"),
    "descriptor negative": (descriptor(-1, 0), "tile 1: COMPRESSED_DATA says -1 elements"),
    "descriptor before": (descriptor(10, -10), "says 10 elements at byte -10"),
    "descriptor max": (descriptor(2**31 - 1, 2**31 - 1), "says 2147483647 elements"),
    "no column": (descriptor(0, 0), "tile 1: is empty in every data column"),
    "RICE short": (tile(FIRST[:-3]), "tile 1: its .* bytes of RICE_1 end or break"),
    "RICE tiny": (tile(b"\0"), "tile 1: its 1 bytes of RICE_1"),
    "RICE zeros of ever": (tile(b"\0\0\0\0\x10" + bytes(30)), "tile 1: its 35 bytes of RICE_1"),
    "RICE bad code": (tile(b"\0\0\0\0\xff" + bytes(99)), "tile 1: its 104 bytes of RICE_1"),
    "gzip short": (tile(PACKED[:-9], GZIP), "tile 1: its .* end too early"),
    "gzip nothing": (tile(b"\x1f", GZIP), "tile 1: its 1 bytes of gzip"),
    "gzip garbage": (tile(b"garbage", GZIP), "tile 1: is no gzip"),
    "gzip checksum": (tile(PACKED[:-8] + bytes(8), GZIP), "tile 1: is no gzip: .*incorrect data"),
    "gzip bomb": (tile(gzip.compress(bytes(10**7)), GZIP), "hold more than 160 bytes"),
    "gzip long": (tile(gzip.compress(bytes(159)), GZIP), "decompresses to 159 bytes: expected 40"),
    "gzip few": (tile(gzip.compress(bytes(156)), GZIP), "decompresses to 156 bytes: expected 40"),
    "gzip none": (tile(gzip.compress(b""), GZIP), "decompresses to 0 bytes: expected 40 pixels"),
    "gzip more": (tile(PACKED + b"tail", GZIP), "are followed by 4 that do not belong to them"),
    "gzip wide": (tile(gzip.compress(bytes(320)), LOSSLESS_GZIP), "hold more than 160 bytes"),
    "gzip narrow": (tile(gzip.compress(bytes(80)), LOSSLESS_GZIP), "expected 40 pixels of 4"),
    "fallback short": (
        lambda: frames.with_tile(FALLBACK, 0, gzip.compress(bytes(80)), "GZIP_COMPRESSED_DATA"),
        "tile 0: decompresses to 80 bytes: expected 40 pixels of 4",
    ),
}

UNSUPPORTED: dict[str, tuple[Callable[[], bytes], str]] = {
    "ZCMPTYPE": (
        cards(ZCMPTYPE="ZIP_9"),
        "ZCMPTYPE = 'ZIP_9' is not supported: known are RICE_1, GZIP_1, GZIP_2, HCOMPRESS_1",
    ),
    "ZQUANTIZ": (cards(ZQUANTIZ="DITHER_3"), "ZQUANTIZ = 'DITHER_3' beside ZSCALE"),
    "ZQUANTIZ NONE": (cards(ZQUANTIZ="NONE"), "ZQUANTIZ = 'NONE' beside ZSCALE"),
    "ZBITPIX": (cards(ZBITPIX=32), "ZBITPIX = 32 with ZSCALE"),
    "RICE floats": (cards(LOSSLESS_GZIP, ZCMPTYPE="RICE_1"), "RICE_1' for floats without ZSCALE"),
    "BYTEPIX": (cards(ZVAL2=2), "BYTEPIX = 2 is not supported: known are 4 for quantised"),
    "BYTEPIX 8": (cards(compressed(scene((5, 40), "i4")), ZVAL2=8), "BYTEPIX = 8 is not"),
    "BLOCKSIZE zero": (cards(ZVAL1=0), "BLOCKSIZE = 0 is not supported: known are 1 to 1024"),
    "BLOCKSIZE half": (cards(ZVAL1=32.5), "BLOCKSIZE = 32.5 is not supported"),
    "BLOCKSIZE huge": (cards(ZVAL1=2**31), r"BLOCKSIZE = 2.14748e\+09 is not supported"),
    "TFORM data": (cards(TFORM1="2J"), "TFORM1 = '2J' for column COMPRESSED_DATA: expected one"),
    "TFORM scale": (
        cards(TFORM3="1K", TTYPE3="ZZERO", TFORM4="4I", TTYPE4="ZSCALE"),
        "TFORM4 = '4I'",
    ),
    "TSCAL": (cards(TSCAL3=2.0), "TSCAL3 for column ZSCALE: scaled columns"),
    "TZERO": (cards(TZERO4=1.0), "TZERO4 for column ZZERO: scaled columns"),
    "text table": (text("A"), "XTENSION = 'TABLE', no image: expected an image"),
    "binary table": (cards(ZIMAGE=False), "XTENSION = 'BINTABLE', no image: expected an image"),
    "ZNAXIS": (cards(ZNAXIS=0), r"ZNAXIS = 0, axes \(\): this image is empty"),
    "ZNAXIS1": (cards(ZNAXIS1=0), r"ZNAXIS = 2, axes \(0, 5\): this image is empty"),
    "too many pixels": (cards(ZNAXIS1=2**31, ZNAXIS2=2**31), "ZNAXISn = .2147483648, 2147483648"),
}


@pytest.mark.parametrize("name", CORRUPT)
def test_corrupt_bytes_are_refused(name: str) -> None:
    make, message = CORRUPT[name]
    with pytest.raises(FrameCorruptError, match=message):
        decode_frame(make(), 0 if name.startswith("plain") else 1)


@pytest.mark.parametrize("name", CORRUPT)
def test_corrupt_bytes_of_one_hdu_are_refused(name: str) -> None:
    # The other form: what begins with the HDU. The primary has no other form.
    make, message = CORRUPT[name]
    file = make()
    if name.startswith("plain") or len(file) <= 2880 or file[2880:2888] != b"XTENSION":
        with pytest.raises(FrameCorruptError):
            decode_frame(file, 1 if "HDU" in name else 0)
        return
    with pytest.raises(FrameCorruptError, match=message):
        decode_frame(file[2880:], 1)


def test_every_refusal_was_right_before() -> None:
    for file in (RICE, DITHERED, GZIP, LOSSLESS_GZIP, FALLBACK):
        check(file)
    check(PLAIN, 0)


@pytest.mark.parametrize("name", UNSUPPORTED)
def test_what_is_not_known_is_refused_by_name(name: str) -> None:
    make, message = UNSUPPORTED[name]
    with pytest.raises(FrameUnsupportedError, match=message):
        decode_frame(make(), 1)


def test_another_shape_than_the_array_says_is_refused() -> None:
    for file, hdu, keyword in ((RICE, 1, "ZNAXISn"), (PLAIN, 0, "NAXISn")):
        message = re.escape(f"HDU {hdu}: {keyword} = (40, 5): expected (5, 40)")
        with pytest.raises(FrameCorruptError, match=message):
            decode_frame(file, hdu, shape=(40, 5))
        with pytest.raises(FrameCorruptError, match=keyword):
            decode_frame(file, hdu, shape=(1, 5, 40))


def test_another_type_than_the_array_says_is_refused() -> None:
    unsigned = compressed(scene((5, 40), "u2"))
    for file, dtype, message in (
        (RICE, "<f8", "ZBITPIX = -32 with .* makes float32 pixels: expected float64"),
        (unsigned, "<i2", "ZBITPIX = 16 with BSCALE = 1, BZERO = 32768, BLANK = None makes uint16"),
        (frames.edited(GZIP, 1, {"BLANK": 7}), "<i4", "BLANK = 7 makes float64 .* with a scan"),
    ):
        with pytest.raises(FrameCorruptError, match=message):
            decode_frame(file, 1, dtype=dtype)
    # The order of bytes is the reader's, not the frame's.
    assert decode_frame(RICE, 1, dtype=">f4").dtype == np.dtype("=f4")


def test_a_layout_is_held_against_the_bytes_at_hand() -> None:
    # A partial reader has the layout from elsewhere: fewer bytes than it says are no crash.
    for file, hdu in ((RICE, 1), (PLAIN, 0)):
        start, layout = image_layout(file, hdu)
        for length in (0, 100, layout.head_bytes - 1):
            with pytest.raises(FrameCorruptError, match=rf"ends at byte \d+, {length} bytes"):
                decode_image(layout, memoryview(file)[start : start + length])


# A short fuzz: broken bytes give pixels or a FrameError, and nothing else.


@st.composite
def mutated_files(draw: st.DrawFn) -> bytes:
    file = bytearray(draw(st.sampled_from([RICE, DITHERED, GZIP, LOSSLESS_GZIP, FALLBACK])))
    for _ in range(draw(st.integers(1, 4))):
        # Mostly where the numbers are: not in the primary, not in the padding.
        at = draw(st.integers(2880, len(file) - 1) | st.integers(5760, 5760 + 5 * WIDTH + HEAP))
        file[at % len(file)] = draw(st.integers(0, 255) | st.sampled_from(b"0123456789-' "))
    return bytes(file)


@settings(derandomised, max_examples=500)
@given(mutated_files())
def test_mutated_frames_raise_frame_errors_only(file: bytes) -> None:
    for data, target in ((file, 1), (file[2880:], 1)):
        try:
            pixels = decode_frame(data, target)
        except FrameError:
            continue
        else:
            assert math.prod(pixels.shape) * pixels.itemsize < 2**20

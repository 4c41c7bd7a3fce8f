"""Compare every form of frame with astropy and cfitsio, bit for bit: a fixed list, and beyond it.

A case is a file made by astropy, or one whose bytes were edited into a form that astropy does not
write. It is decoded from both forms of bytes and through windows, and compared with astropy, and
with cfitsio (through `fitsio`) where that reads the form; where neither does, with the standard's
arithmetic written out here. How many cases were distinct is printed at the end. The whole list is
slow; a fifth of it, in which each algorithm, type and tiling occurs, is not.
"""

from __future__ import annotations

import gzip
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import frames
import numpy as np
import pytest
from astropy.io import fits
from decoder_checks import by_fitsio, check_decoded, layout_and_hdu
from frames import (
    LOSSLESS,
    METHODS,
    Array,
    assert_identical,
    compressed,
    edited,
    masks,
    plain,
    scene,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from lane_checks import KERNELS, decode_by
from samples import mostly_slow

from dkist_virtual.errors import FrameCorruptError
from dkist_virtual.fits.decode import decode_frame
from dkist_virtual.fits.tiled.dequantise import ZERO_VALUE

derandomised = settings(derandomize=True, deadline=None, database=None)
Count = Callable[..., None]

INTEGERS = ("i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8")
BYTE_STREAMS = ("GZIP_1", "GZIP_2", "NOCOMPRESS")

#: Shapes of one to four axes with every kind of tiling: rows, whole, ragged, runs of whole axes
#: at the end, several long axes, larger than the image, single pixels.
TILINGS: list[tuple[tuple[int, ...], tuple[int, ...] | None]] = [
    ((1,), None),
    ((97,), None),
    ((97,), (32,)),
    ((5, 40), (5, 40)),
    ((5, 40), (2, 40)),
    ((5, 40), (5, 7)),
    ((13, 29), None),
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

#: HCOMPRESS_1 takes tiles of two long axes, of four pixels and more along each.
PLANES: list[tuple[tuple[int, ...], tuple[int, ...] | None]] = [
    ((13, 29), None),
    ((13, 29), (13, 29)),
    ((13, 29), (9, 8)),
    ((24, 30), (8, 10)),
    ((32, 32), (16, 16)),
    ((4, 64), (4, 4)),
    ((3, 13, 29), (1, 9, 8)),
    ((2, 2, 9, 17), (1, 1, 9, 17)),
]


#: Of PLIO_1, tiles of 40 pixels and more: astropy's encoder has no room for a list that is
#: longer than its pixels, and writes all the same.
LISTS: list[tuple[tuple[int, ...], tuple[int, ...] | None]] = [
    ((97,), (97,)),
    ((5, 140), None),
    ((13, 129), (4, 64)),
    ((13, 29), (20, 50)),
    ((1, 12, 60), (1, 5, 60)),
    ((3, 7, 44), (2, 7, 44)),
    ((6, 8, 50), (3, 4, 25)),
    ((2, 3, 6, 40), (2, 1, 3, 20)),
]


def fitsio_reads(algorithm: str, dtype: str, shape: tuple[int, ...]) -> bool:
    """cfitsio reads no more than three axes, no 64-bit integers, and no NOCOMPRESS."""
    return len(shape) <= 3 and dtype not in ("i8", "u8") and algorithm != "NOCOMPRESS"


def cases(algorithm: str, dtype: str) -> list[tuple[Any, ...]]:
    methods: list[str] = [LOSSLESS]
    if dtype[0] == "f":
        methods = [*METHODS, *([LOSSLESS] if algorithm in BYTE_STREAMS else [])]
    return [
        (algorithm, dtype, method, shape, tile, blanks)
        for method in methods
        for shape, tile in {"HCOMPRESS_1": PLANES, "PLIO_1": LISTS}.get(algorithm, TILINGS)
        # For integers a blank is a value, ZBLANK, which unsigned ones do not have.
        # astropy has no ZBLANK beyond 32 bits.
        for blanks in ((0.0, 0.1) if dtype in ("f4", "f8", "u1", "i2", "i4") else (0.0,))
    ]


def made(
    algorithm: str,
    dtype: str,
    method: str,
    shape: Any,
    tile: Any,
    blanks: float,
    seed: int,
    level: float = 16.0,
    factor: float = 1.0,
) -> tuple[bytes, Array | None]:
    """A case's file; its pixels as well, where nothing is lost."""
    is_float = dtype[0] == "f"
    if algorithm == "PLIO_1":
        data = masks(shape, dtype, seed)
    else:
        flat = None
        if is_float and blanks and algorithm != "HCOMPRESS_1":  # nothing can be quantised there
            flat = tile or (1,) * (len(shape) - 1) + shape[-1:]
        some = blanks if is_float else 0.0
        data = scene(shape, dtype, seed=seed, blanks=some, zeros=0.05, flat=flat)
        data = data * np.array(factor, data.dtype) if is_float else data
    with warnings.catch_warnings():
        # astropy's own, of NaN that it casts while it quantises.
        warnings.filterwarnings("ignore", "invalid value encountered in cast", RuntimeWarning)
        file = compressed(
            data, algorithm=algorithm, tile=tile, method=method, level=level,
            seed=1 + 37 * seed % 10_000,
        )  # fmt: skip
    if not is_float and blanks:
        file = edited(file, 1, {"ZBLANK": int(data.flat[data.size // 2]) or 5})
        return file, None
    return file, data if method == LOSSLESS else None


MATRIX = [
    (algorithm, dtype)
    for algorithm in ("RICE_1", "GZIP_1", "GZIP_2", "HCOMPRESS_1", "PLIO_1", "NOCOMPRESS")
    for dtype in (*INTEGERS, "f4", "f8")
    # What astropy writes: see `test_what_astropy_does_not_write`.
    if algorithm in BYTE_STREAMS
    or (dtype not in ("i8", "u8") and algorithm != "PLIO_1")
    or (algorithm == "PLIO_1" and dtype in ("i1", "u1", "i2", "i4"))
]


def every_case(algorithm: str, dtype: str) -> list[tuple[int, tuple[Any, ...]]]:
    return list(enumerate(cases(algorithm, dtype)))


def some_cases(algorithm: str, dtype: str) -> list[tuple[int, tuple[Any, ...]]]:
    """Every fifth, from another one for each pair."""
    return every_case(algorithm, dtype)[MATRIX.index((algorithm, dtype)) % 5 :: 5]


@pytest.mark.every(4)
@pytest.mark.parametrize("chosen", [some_cases, pytest.param(every_case, marks=pytest.mark.slow)])
@pytest.mark.parametrize(("algorithm", "dtype"), MATRIX)
def test_the_matrix(
    algorithm: str, dtype: str, chosen: Callable[..., Any], tmp_path: Path, count: Count
) -> None:
    for i, case in chosen(algorithm, dtype):
        file, pixels = made(*case, seed=i)
        expected = frames.oracle(file)
        layout, _ = layout_and_hdu(file)
        quantised = dtype[0] == "f" and case[2] != LOSSLESS
        assert layout.quantised == quantised
        if quantised:
            assert layout.dither == list(METHODS).index(case[2])
            if case[5] and algorithm != "HCOMPRESS_1":
                assert frames.table(file).rows["GZIP_COMPRESSED_DATA"][0, 0] > 0
        if pixels is not None:
            assert_identical(expected, pixels)
        check_decoded(file, expected, seed=i)
        # cfitsio gives blank integers as they are.
        also = fitsio_reads(algorithm, dtype, case[3]) and expected.dtype == np.dtype(dtype)
        if also:
            assert_identical(by_fitsio(file, tmp_path), expected)
        count("matrix", case, fitsio=also)


def few_cases(algorithm: str, dtype: str) -> list[tuple[int, tuple[Any, ...]]]:
    return some_cases(algorithm, dtype)[::6]


@pytest.mark.parametrize("chosen", [few_cases, pytest.param(every_case, marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    "dtype",
    mostly_slow([dtype for algorithm, dtype in MATRIX if algorithm == "RICE_1"], "f4"),
)
@pytest.mark.parametrize("kernel", KERNELS)
def test_rice_by_every_kernel(
    kernel: Any, dtype: str, chosen: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    decode_by(monkeypatch, kernel)
    for i, case in chosen("RICE_1", dtype):
        check_decoded(made(*case, seed=i)[0], seed=i)


def a_few_cases(algorithm: str, dtype: str) -> list[tuple[int, tuple[Any, ...]]]:
    return some_cases(algorithm, dtype)[::6]


@pytest.mark.every(3)
@pytest.mark.parametrize("chosen", [a_few_cases, pytest.param(every_case, marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    ("algorithm", "dtype"), [pair for pair in MATRIX if pair[0] in ("RICE_1", *BYTE_STREAMS)]
)
def test_the_matrix_without_kernels(
    algorithm: str, dtype: str, chosen: Callable[..., Any], without_kernels: None
) -> None:
    for i, case in chosen(algorithm, dtype):
        check_decoded(made(*case, seed=i)[0], seed=i)


@st.composite
def any_case(draw: st.DrawFn) -> tuple[Any, ...]:
    algorithm, dtype = draw(st.sampled_from(MATRIX))
    if algorithm == "PLIO_1":  # whose encoder is not asked for what it cannot do
        shape, tile = draw(st.sampled_from(LISTS))
        return algorithm, dtype, LOSSLESS, shape, tile, 0.0
    low = 4 if algorithm == "HCOMPRESS_1" else 1
    shape = tuple(draw(st.lists(st.integers(low, 20), min_size=max(1, low // 2), max_size=4)))
    if algorithm == "HCOMPRESS_1":
        # No remainder of fewer than four pixels.
        along = [draw(st.sampled_from([t for t in range(4, n + 1) if not 0 < n % t < 4]))
                 for n in shape[-2:]]  # fmt: skip
        tile = (*(1,) * (len(shape) - 2), *along)
    else:
        tile = tuple(draw(st.integers(1, n + 1)) for n in shape)
    methods = {case[2] for case in cases(algorithm, dtype)}
    blanks = draw(st.sampled_from(sorted({case[5] for case in cases(algorithm, dtype)})))
    method = draw(st.sampled_from(sorted(methods)))
    return algorithm, dtype, method, shape, tile, blanks * draw(st.sampled_from((1, 8)))


def beyond_the_matrix(
    tmp_path_factory: Any, count: Count, case: Any, seed: int, level: float, factor: float
) -> None:
    if case[0] == "HCOMPRESS_1" or case[1] != "f4":
        # Beyond 1e38, quantising would overflow where astropy warns.
        level, factor = 16.0, 1.0
    file, _ = made(*case, seed=seed, level=level, factor=factor)
    expected = frames.oracle(file)
    check_decoded(file, expected, seed=seed)
    also = fitsio_reads(case[0], case[1], case[3]) and expected.dtype == np.dtype(case[1])
    if also:
        assert_identical(by_fitsio(file, tmp_path_factory.getbasetemp()), expected)
    count("beyond", (*case, seed, level, factor), fitsio=also)


BEYOND = given(
    any_case(), st.integers(0, 5000), st.sampled_from([16.0, 2.0, 0.5, -0.01]),
    st.sampled_from([1, 1e-20, 1e10]),
)  # fmt: skip
test_beyond_the_matrix = settings(derandomised, max_examples=60)(BEYOND(beyond_the_matrix))
test_far_beyond_the_matrix = pytest.mark.slow(
    settings(derandomised, max_examples=300)(BEYOND(beyond_the_matrix))
)


@pytest.mark.every(12)
@pytest.mark.parametrize("dtype", ["i2", "i4", "f4"])
@pytest.mark.parametrize("smooth", [0, 1])
@pytest.mark.parametrize("scale", [0, 1, 2.5, 16])
def test_hcompress_with_loss(
    scale: float, smooth: int, dtype: str, tmp_path: Path, count: Count
) -> None:
    for i, (shape, tile) in enumerate(PLANES):
        file = compressed(
            scene(shape, dtype, seed=i), algorithm="HCOMPRESS_1", tile=tile,
            hcomp_scale=scale, hcomp_smooth=smooth,
        )  # fmt: skip
        expected = frames.oracle(file)
        check_decoded(file, expected, seed=i)
        also = len(shape) <= 3
        if also:
            assert_identical(by_fitsio(file, tmp_path), expected)
        count("hcompress", (scale, smooth, dtype, shape, tile), fitsio=also)


# Forms that astropy does not write ---------------------------------------------------------------


def tiles_of(file: bytes) -> list[bytes]:
    table = frames.table(file)
    return [table.tile(i) for i in range(len(table.rows))]


def big(data: Array) -> bytes:
    """The bytes of pixels in a file."""
    return np.ascontiguousarray(data, data.dtype.newbyteorder(">")).tobytes()


INTS = scene((6, 40), "i4", seed=3) // 65_536
FLOATS = scene((6, 40), "f4", seed=4, blanks=0.05)


@pytest.mark.parametrize("algorithm", ["RICE_1", "GZIP_1", "GZIP_2", "PLIO_1", "HCOMPRESS_1"])
def test_integers_in_every_data_column(algorithm: str, tmp_path: Path, count: Count) -> None:
    data = masks((6, 40), "i4", 1) if algorithm == "PLIO_1" else INTS
    shape = (3, 2, 40)
    data = data.reshape(shape) if algorithm == "HCOMPRESS_1" else data
    if algorithm == "HCOMPRESS_1":
        data = np.repeat(data, 2, axis=1)
    tile = (1, *data.shape[1:]) if data.ndim == 3 else None
    file = compressed(data, algorithm=algorithm, tile=tile)
    packed = tiles_of(file)
    plain = [big(data[i]) for i in range(len(packed))]
    third = [i % 3 for i in range(len(packed))]
    columns = {
        "COMPRESSED_DATA": [p if k == 0 else b"" for p, k in zip(packed, third, strict=True)],
        "GZIP_COMPRESSED_DATA": [
            gzip.compress(p) if k == 1 else b"" for p, k in zip(plain, third, strict=True)
        ],
        "UNCOMPRESSED_DATA": [p if k == 2 else b"" for p, k in zip(plain, third, strict=True)],
    }
    for descriptor in "PQ":
        # Elements of PLIO_1 are 16-bit words, or bytes.
        check_decoded(frames.assembled(file, columns, descriptor=descriptor, gap=8), data)
        count("columns", (algorithm, descriptor))


@pytest.mark.parametrize("dtype", ["i2", "i4"])
def test_uncompressed_tiles_as_elements_of_the_image(
    dtype: str, tmp_path: Path, count: Count
) -> None:
    # As cfitsio has them, 1PI or 1PJ: the descriptor counts pixels. Both oracles read this.
    data = INTS.astype(dtype)
    packed = tiles_of(compressed(data))
    columns = {
        "COMPRESSED_DATA": [b"" if i % 2 else p for i, p in enumerate(packed)],
        "UNCOMPRESSED_DATA": [big(row) if i % 2 else b"" for i, row in enumerate(data)],
    }
    file = frames.assembled(compressed(data), columns)
    table = frames.table(file)
    rows = table.rows.copy()
    rows["UNCOMPRESSED_DATA"][:, 0] //= data.itemsize
    form = {"i2": "1PI(40)", "i4": "1PJ(40)"}[dtype]
    file = frames.with_table(file, rows, table.heap, changes={"TFORM2": form})
    assert_identical(frames.oracle(file), data)
    assert_identical(by_fitsio(file, tmp_path), data)
    check_decoded(file, data)
    count("uncompressed", dtype, fitsio=True)


def test_floats_in_every_data_column(tmp_path: Path, count: Count) -> None:
    # Quantised tiles beside tiles kept as they are: those are floats, not integers (10.1.3).
    for method in METHODS:
        file = compressed(FLOATS, method=method, seed=77)
        table, packed = frames.table(file), tiles_of(file)
        columns = {
            "COMPRESSED_DATA": [p if i % 3 == 0 else b"" for i, p in enumerate(packed)],
            "GZIP_COMPRESSED_DATA": [
                gzip.compress(big(row)) if i % 3 == 1 else b"" for i, row in enumerate(FLOATS)
            ],
            "UNCOMPRESSED_DATA": [big(row) if i % 3 == 2 else b"" for i, row in enumerate(FLOATS)],
        }
        cells = {"ZSCALE": ("D", table.rows["ZSCALE"]), "ZZERO": ("D", table.rows["ZZERO"])}
        expected = frames.oracle(file)
        for i in range(6):
            if i % 3:
                expected[i] = FLOATS[i]
        for descriptor in "PQ":
            mixed = frames.assembled(file, columns, cells, descriptor=descriptor)
            check_decoded(mixed, expected)
            count("float columns", (method, descriptor))


@pytest.mark.parametrize("descriptor", ["P", "Q"])
@pytest.mark.parametrize("algorithm", ["RICE_1", "GZIP_1", "HCOMPRESS_1", "PLIO_1"])
def test_descriptors_of_both_widths_and_a_gap_before_the_heap(
    algorithm: str, descriptor: str, tmp_path: Path, count: Count
) -> None:
    data = masks((6, 40), "i4", 2) if algorithm == "PLIO_1" else INTS
    file = compressed(data, algorithm=algorithm, tile=(6, 20))
    for gap in (0, 24):
        other = frames.assembled(
            file, {"COMPRESSED_DATA": tiles_of(file)}, descriptor=descriptor, gap=gap,
            element="I" if algorithm == "PLIO_1" else "B",
        )  # fmt: skip
        expected = frames.oracle(other)
        assert_identical(expected, data)
        check_decoded(other, expected)
        assert_identical(by_fitsio(other, tmp_path), expected)
        count("descriptors", (algorithm, descriptor, gap), fitsio=True)


def by_the_standard(
    integers: Array, scale: Any, zero: Any, blank: Any, dither: int, seed: int, dtype: str
) -> Array:
    """10.2 written out: rows are tiles."""
    randoms = np.array([pow(16807, n, 2**31 - 1) for n in range(1, 10_001)]) / (2**31 - 1)
    randoms = randoms.astype("f4")
    out = np.empty(integers.shape)
    for i, row in enumerate(integers.astype("i8")):
        if dither:
            n = (i + seed - 1) % 10_000
            first = int(randoms[n] * np.float32(500))
            noise = randoms[first : first + row.size].astype("f8")
            out[i] = (row - noise + 0.5) * scale[i] + zero[i]
        else:
            out[i] = row * scale[i] + zero[i]
        if dither == 2:
            out[i][row == ZERO_VALUE] = 0.0
        if blank is not None:
            out[i][row == blank[i]] = np.nan
    return out.astype(dtype)


@pytest.mark.every(4)
@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("algorithm", ["RICE_1", "GZIP_1", "GZIP_2"])
def test_scales_and_blanks_as_columns_and_as_keywords(
    algorithm: str, method: str, dtype: str, count: Count
) -> None:
    integers = INTS.copy()
    if method == "SUBTRACTIVE_DITHER_2":
        integers[1, ::5] = ZERO_VALUE
    file = compressed(integers, algorithm=algorithm)
    tiles = {"COMPRESSED_DATA": tiles_of(file)}
    n = len(integers)
    floats = {"ZBITPIX": -8 * int(dtype[1]), "ZQUANTIZ": method, "ZDITHER0": 9_998}
    dither = list(METHODS).index(method)
    scales, zeros = np.linspace(0.5, 3, n), np.linspace(-7, 7, n)
    blanks = integers[:, 7].astype("i8")
    for scale_as in ("E", "D", "keyword"):
        for blank_as in ("I", "J", "K", "keyword", "both", None):
            changes: dict[str, Any] = dict(floats)
            cells: dict[str, tuple[str, Any]] = {}
            if scale_as == "keyword":
                changes |= {"ZSCALE": 0.25, "ZZERO": -3.5}
                scale, zero = np.full(n, 0.25), np.full(n, -3.5)
            else:
                cells |= {"ZSCALE": (scale_as, scales), "ZZERO": (scale_as, zeros)}
                width = {"E": "f4", "D": "f8"}[scale_as]
                scale, zero = scales.astype(width), zeros.astype(width)
            blank = None
            if blank_as in ("I", "J", "K", "both"):
                cells["ZBLANK"] = ("J" if blank_as == "both" else str(blank_as), blanks)
                blank = blanks
            if blank_as in ("keyword", "both"):
                # A column goes before a keyword (10.1.3).
                changes["ZBLANK"] = int(integers[0, 0])
                blank = np.full(n, integers[0, 0]) if blank is None else blank
            case = frames.assembled(file, tiles, cells, changes=changes)
            expected = by_the_standard(
                integers, np.asarray(scale, "f8"), np.asarray(zero, "f8"), blank, dither, 9_998,
                dtype,
            )  # fmt: skip
            check_decoded(case, expected)
            count("scales", (algorithm, method, dtype, scale_as, blank_as))


@pytest.mark.parametrize("bscale", [None, 0.5])
@pytest.mark.parametrize("algorithm", ["RICE_1", "GZIP_1", "GZIP_2"])
def test_integers_with_a_blank_of_their_own_in_each_tile(
    algorithm: str, bscale: float | None, count: Count
) -> None:
    for dtype in ("u1", "i2", "i4", "i8"):
        if (algorithm, dtype) == ("RICE_1", "i8"):
            continue  # there is no such file
        data = scene((6, 40), dtype, seed=9)
        file = compressed(data, algorithm=algorithm)
        blanks = data[:, 11].astype("i8")
        changes = {} if bscale is None else {"BSCALE": bscale, "BZERO": 10.0}
        case = frames.assembled(
            file, {"COMPRESSED_DATA": tiles_of(file)}, {"ZBLANK": ("K", blanks)}, changes=changes
        )
        expected = data.astype("f4" if dtype in ("u1", "i2") else "f8")
        if bscale is not None:
            expected = (expected * bscale + 10.0).astype(expected.dtype)
        expected[data == blanks[:, None]] = np.nan
        check_decoded(case, expected)
        count("integer blanks", (algorithm, dtype, bscale))


def test_blanks_of_unsigned_integers_are_none() -> None:
    # 4.4.2.5 has a BLANK for them; astropy has not, and neither has dkist: pixels stay integers.
    data = scene((6, 40), "u2")
    file = edited(compressed(data), 1, {"ZBLANK": int(data[0, 0]) - 32_768})
    assert_identical(frames.oracle(file), data)
    check_decoded(file, data)


def test_tiles_absent_from_every_column_are_refused() -> None:
    file = compressed(INTS)
    tiles = tiles_of(file)
    tiles[3] = b""
    with pytest.raises(FrameCorruptError, match="tile 3: is empty in every data column"):
        decode_frame(frames.assembled(file, {"COMPRESSED_DATA": tiles}), 1)


@pytest.mark.parametrize("dtype", ["i2", "i4"])
@pytest.mark.parametrize("bytepix", [1, 2, 4])
def test_rice_of_another_width_than_the_image(bytepix: int, dtype: str, count: Count) -> None:
    # BYTEPIX and ZBITPIX are independent of each other (10.4.1); a number must fit, though.
    code = {1: "u1", 2: "i2", 4: "i4"}[bytepix]
    data = (np.arange(240).reshape(6, 40) % 200).astype(code)
    bitpix = 8 * int(dtype[1])
    file = edited(compressed(data), 1, {"ZBITPIX": bitpix})
    check_decoded(file, data.astype(dtype))
    count("bytepix", (bytepix, dtype))
    if bytepix > int(dtype[1]):
        data[4, 4] = 40_000
        file = edited(compressed(data), 1, {"ZBITPIX": bitpix})
        with pytest.raises(FrameCorruptError, match=r"tile 4: .* ZBITPIX = \d+ has no room for"):
            decode_frame(file, 1)


def test_bytepix_is_four_where_the_header_does_not_say() -> None:
    file = compressed(INTS)
    check_decoded(
        edited(file, 1, {f"Z{k}{i}": None for k in ("NAME", "VAL") for i in (1, 2)}), INTS
    )


def test_what_astropy_does_not_write() -> None:
    # If one of these passes one day, the matrix has a place for it.
    for algorithm, dtype in (("RICE_1", "i8"), ("HCOMPRESS_1", "u8"), ("PLIO_1", "u2")):
        data = np.full((8, 8), 2**40 if dtype[1] == "8" else 5, dtype)
        with pytest.raises(ValueError, match="support"):
            compressed(data, algorithm=algorithm, tile=(8, 8))


# Headers and files -------------------------------------------------------------------------------


def every_algorithm() -> dict[str, tuple[bytes, Array]]:
    files = {}
    for algorithm in ("RICE_1", "GZIP_1", "GZIP_2", "HCOMPRESS_1", "PLIO_1", "NOCOMPRESS"):
        file = compressed(masks((8, 40), "i2", 5), algorithm=algorithm, tile=(4, 20))
        files[algorithm] = file, frames.oracle(file)
    return files


@pytest.mark.parametrize("algorithm", every_algorithm())
def test_files_that_end_early_or_late(algorithm: str, count: Count) -> None:
    file, expected = every_algorithm()[algorithm]
    layout, _ = layout_and_hdu(file)
    stop = 2880 + layout.heap_offset + layout.heap_bytes
    for case in (file[:stop], file + b"x", file + bytes(2880), file + b"<html>" * 1000):
        check_decoded(case, expected)
    with pytest.raises(FrameCorruptError, match=r"HDU 1: is \d+ bytes long, only \d+"):
        decode_frame(file[: stop - 1], 1)
    # PCOUNT larger than used: the rest of the block is heap then.
    rest = len(file) - stop
    check_decoded(edited(file, 1, {"PCOUNT": layout.heap_bytes + rest}), expected)
    count("ends", algorithm)


def test_plain_files_that_end_early_or_late() -> None:
    data = scene((5, 40))
    file = plain(data, primary=False)
    stop = 2880 + 2880 + data.nbytes
    for case in (file[:stop], file + b"x", file + bytes(2880), file + b"not a header" * 300):
        check_decoded(case, data)
    with pytest.raises(FrameCorruptError, match=r"HDU 1: is \d+ bytes long, only \d+"):
        decode_frame(file[: stop - 1], 1)


@pytest.mark.parametrize("algorithm", every_algorithm())
def test_tiles_in_any_place_of_the_heap(algorithm: str, count: Count) -> None:
    file, _ = every_algorithm()[algorithm]
    pixels = decode_frame(file, 1)
    table = frames.table(file)
    rows, tiles = table.rows.copy(), tiles_of(file)
    # Last first, rubbish between them, and the second row made the first one's twin.
    heap, places = bytearray(b"rubbish"), {}
    for i in range(len(tiles) - 1, -1, -1):
        places[i] = len(heap)
        heap += tiles[i] + b"gap"
    element = {"PLIO_1": 2}.get(algorithm, 1)
    for i in range(len(tiles)):
        source = 0 if i == 1 else i
        rows["COMPRESSED_DATA"][i] = len(tiles[source]) // element, places[source]
    case = frames.with_table(file, rows, bytes(heap))
    expected = pixels.copy()
    expected[:4, 20:] = pixels[:4, :20]
    check_decoded(case, expected)
    count("places", algorithm)


def test_headers_of_every_kind_of_card(count: Count) -> None:
    data = scene((5, 40), "i2")
    cards = [
        ("LONGSTR", "a long one " * 20),  # over CONTINUE cards
        ("HIERARCH ESO DET NAXIS1", 7),
        ("INHERIT", True),
        ("COMMENT", "ZNAXIS1 = 1"),
        ("HISTORY", "BSCALE  = 2.0"),
    ]
    name = "A NAME OF SO MANY WORDS " * 4 + "END"
    file = compressed(data, cards=cards, name=name)
    assert b"CONTINUE" in file
    assert_identical(decode_frame(file, name.lower()), data)
    check_decoded(file, frames.oracle(file))
    # INHERIT is about keywords of the primary that describe; astropy scales by none of them.
    with_primary = edited(file, 0, {"BSCALE": 3.0, "BZERO": 7.0})
    assert_identical(frames.oracle(with_primary), data)
    check_decoded(with_primary, data)
    count("cards", name)


def test_images_of_one_file_by_number_and_name(tmp_path: Path, count: Count) -> None:
    images = {
        "FIRST": scene((5, 40), "f4"),
        "SECOND": scene((4, 30), "i4"),
        "THIRD": scene((6, 20), "f8"),
    }
    hdus = [
        fits.CompImageHDU(images["FIRST"], name="FIRST", quantize_level=-0.1),
        fits.ImageHDU(images["SECOND"], name="SECOND"),
        fits.CompImageHDU(
            images["THIRD"], name="THIRD", compression_type="GZIP_2", quantize_level=0.0
        ),
    ]
    file = frames.written(fits.PrimaryHDU(scene((3, 3), "u1")), *hdus)
    for number, name in enumerate(images, 1):
        expected = frames.oracle(file, number)
        for target in (number, name, name.lower()):
            assert_identical(decode_frame(file, target), expected)
        assert_identical(by_fitsio(file, tmp_path, number), expected)
        count("several", name, fitsio=True)
    assert_identical(decode_frame(file, 0), frames.oracle(file, 0))

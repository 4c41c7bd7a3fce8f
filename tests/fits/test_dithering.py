"""Dithered tiles: which random numbers are subtracted, by the standard, astropy and cfitsio."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import frames
import numpy as np
import pytest
from decoder_checks import by_fitsio, check_decoded, layout_and_hdu
from frames import assert_identical, compressed, edited, scene
from samples import mostly_slow

from dkist_virtual.fits.decode import decode_frame
from dkist_virtual.fits.tiled.dequantise import random_numbers

Count = Callable[..., None]


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


@pytest.mark.parametrize("method", ["SUBTRACTIVE_DITHER_1", "SUBTRACTIVE_DITHER_2"])
@pytest.mark.parametrize("seed", [0, -1, 1, 4321, 10_000])
def test_the_seed_by_clock_checksum_or_number(
    seed: int, method: str, tmp_path: Path, count: Count
) -> None:
    data = scene((6, 300), zeros=0.05, blanks=0.05)
    file = compressed(data, method=method, seed=seed)
    layout, _ = layout_and_hdu(file)
    if seed > 0:
        assert layout.dither_seed == seed
    elif seed < 0:
        # 10.2.1 leaves the choice free; astropy's is the checksum of the first tile's bytes.
        assert layout.dither_seed == int(data[0].view("u1").astype(int).sum()) % 10_000 + 1
    expected = frames.oracle(file)
    check_decoded(file, expected)
    assert_identical(by_fitsio(file, tmp_path), expected)
    count("seed", (seed, method), fitsio=True)


@pytest.mark.parametrize("method", ["SUBTRACTIVE_DITHER_1", "SUBTRACTIVE_DITHER_2"])
@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("algorithm", ["RICE_1", "GZIP_1"])
def test_a_dithered_tile_longer_than_the_list_of_random_numbers(
    algorithm: str, dtype: str, method: str
) -> None:
    data = scene((2, 25_000), dtype, zeros=0.01, blanks=0.01)
    check_decoded(compressed(data, algorithm=algorithm, method=method, seed=9_999))


@pytest.mark.parametrize("method", ["SUBTRACTIVE_DITHER_1", "SUBTRACTIVE_DITHER_2"])
@pytest.mark.parametrize("seed", mostly_slow([1, 9_995, 10_000], 9_995))
def test_dithering_beyond_tile_row_ten_thousand(seed: int, method: str) -> None:
    data = scene((10_004, 16), "f4")
    file = compressed(data, method=method, seed=seed)
    assert frames.oracle(file).std() > 0
    check_decoded(file)
    # Rows 1 and 10,001 start alike: with the same integers in them, they hold the same pixels.
    table = frames.table(file)
    rows = table.rows.copy()
    rows[10_000] = rows[0]
    pixels = decode_frame(frames.with_table(file, rows, table.heap), 1)
    assert_identical(pixels[10_000], pixels[0])


@pytest.mark.slow
def test_the_last_row_of_a_table_of_more_than_twenty_thousand(tmp_path: Path, count: Count) -> None:
    written = compressed(scene((20_003, 16)), method="SUBTRACTIVE_DITHER_1", seed=1)
    row = frames.table(written).rows[20_002]
    assert row["COMPRESSED_DATA"][0] > 0
    integers = np.rint(
        (decode_frame(edited(written, 1, {"ZQUANTIZ": "NO_DITHER"}), 1)[-1].astype("f8")
         - row["ZZERO"]) / row["ZSCALE"]
    )  # fmt: skip
    randoms = [np.float32(pow(16807, n, 2**31 - 1) / (2**31 - 1)) for n in range(1, 10_001)]
    # Below and above the last row at which row and seed come to a multiple of 10,000.
    for seed in (9_998, 9_999, 10_000):
        for method in ("SUBTRACTIVE_DITHER_1", "SUBTRACTIVE_DITHER_2"):
            file = edited(written, 1, {"ZDITHER0": seed, "ZQUANTIZ": method})
            expected = frames.oracle(file)
            pixels = decode_frame(file, 1)
            assert_identical(pixels, expected)
            assert_identical(by_fitsio(file, tmp_path), expected)
            # By hand (10.2.1): row and seed, counted from 1, begin the sequence together.
            first = int(randoms[(20_003 + seed - 2) % 10_000] * np.float32(500))
            noise = np.array(randoms[first : first + 16], "f8")
            by_hand = (integers - noise + 0.5) * row["ZSCALE"] + row["ZZERO"]
            assert_identical(pixels[-1], by_hand.astype("f4"))
            count("last row", (method, seed), fitsio=True)

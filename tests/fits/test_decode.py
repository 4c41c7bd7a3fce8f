"""Compare decoded frames with astropy: plain, scaled and real ones, and by several threads.

Of compressed frames, `test_matrix` has every form.
"""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path

import frames
import numpy as np
import pytest
from decoder_checks import check_decoded
from frames import METHODS, assert_identical, compressed, oracle, plain, scaled, scene
from hypothesis import given, settings
from hypothesis import strategies as st

from dkist_virtual.errors import FrameCorruptError
from dkist_virtual.fits.decode import decode_frame, decode_image
from dkist_virtual.fits.hdu import image_layout
from dkist_virtual.fits.tiled.table import read_table

# Found without importing it, which takes seconds.
DKIST = Path((find_spec("dkist").submodule_search_locations or [""])[0]) / "data" / "test"

# The same cases every time: a failure is one that others see too.
derandomised = settings(derandomize=True, deadline=None, database=None)


# Images that astropy reads ---------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["u1", "i2", "i4"])
def test_integers_without_structure_are_stored_as_they_are(dtype: str) -> None:
    # Differences too large for any Rice code: the blocks hold them raw, and they wrap around.
    info = np.iinfo(dtype)
    data = np.random.default_rng(3).integers(info.min, info.max, (20, 100), dtype, endpoint=True)
    data[0, ::2], data[0, 1::2] = info.min, info.max
    check_decoded(compressed(data), data)


def test_rice_with_long_runs_of_zeros() -> None:
    # One large difference in a block of small ones makes a unary part of thousands of bits.
    data = np.zeros((4, 256), "i4")
    data[0, 100], data[1, 5], data[2, 250] = 60_000, -60_000, 2_000_000
    data[3] = np.arange(256) % 3
    check_decoded(compressed(data), data)


@pytest.mark.parametrize("method", METHODS)
def test_tiles_that_are_blank_all_over(method: str) -> None:
    data = scene((6, 50), "f4")
    data[2] = np.nan
    data[3, :49] = np.nan
    check_decoded(compressed(data, method=method))


# Plain images ----------------------------------------------------------------------------------


@pytest.mark.parametrize("primary", [True, False])
@pytest.mark.parametrize("dtype", ["i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f4", "f8"])
def test_plain_images(dtype: str, primary: bool) -> None:
    for shape in [(1,), (97,), (5, 40), (1, 12, 30), (2, 3, 5, 8)]:
        data = scene(shape, dtype, blanks=0.05, zeros=0.05, flat=(1,) * len(shape))
        file = plain(data, primary=primary, name=None if primary else "SCI")
        check_decoded(file, data, hdu=0 if primary else 1)
        check_decoded(file, hdu=0 if primary else 1)


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
    signed_bytes = dtype == "u1" and bzero == -128  # astropy cannot read those with a blank
    if raw.dtype.kind != "f" and not signed_bytes and draw(st.booleans()):
        # Of 0, which astropy does not heed, there is a test of its own.
        blank = int(raw.flat[0]) or 1
    primary = draw(st.booleans())
    file = scaled(raw, bscale=bscale, bzero=bzero, blank=blank, primary=primary)
    return file, 0 if primary else 1


@pytest.mark.slow
@settings(derandomised, max_examples=200)
@given(scaled_files())
def test_any_scaled_image(case: tuple[bytes, int]) -> None:
    check_decoded(case[0], hdu=case[1])


@pytest.mark.parametrize("dtype", ["u1", "i2", "i4", "i8"])
def test_blank_zero_is_a_blank(dtype: str) -> None:
    # 4.4.2.5 makes no exception for 0. astropy takes BLANK = 0 for no BLANK; here the standard
    # is followed.
    raw = np.array([[0, 1, 2], [3, 0, 5]], dtype)
    file = scaled(raw, blank=0)
    expected = raw.astype("f8" if raw.itemsize > 2 else "f4")
    assert not np.isnan(frames.oracle(file, 0)).any()
    expected[raw == 0] = np.nan
    check_decoded(file, expected, hdu=0)


def test_scaled_integers_in_tiles() -> None:
    raw = scene((6, 40), "i2")
    file = frames.edited(compressed(raw), 1, {"BSCALE": 0.5, "BZERO": 10.0})
    assert frames.oracle(file).dtype == np.float32
    check_decoded(file)


# What real files look like ---------------------------------------------------------------------


#: Frames of the Data Center's pipeline; `real_frames/README.md` says from where. A directory of
#: more of them can be named: all its ``*.fits`` are compared with astropy as well.
REAL = sorted(Path(__file__).with_name("real_frames").glob("*.fits"))
if more := os.environ.get("DKIST_VIRTUAL_REAL_FRAMES"):
    REAL += sorted(Path(more).glob("*.fits"))


def test_real_frames_are_found() -> None:
    assert len(REAL) >= 2


@pytest.mark.parametrize("path", REAL, ids=lambda path: path.name)
def test_real_frames(path: Path) -> None:
    file = path.read_bytes()
    assert np.isfinite(frames.oracle(file)).any()
    check_decoded(file)


DKIST_FRAMES = sorted(path for name in ("small_visp", "EIT") for path in DKIST.glob(f"{name}/*.f*"))


def test_the_frames_in_dkist_are_found() -> None:
    assert len(DKIST_FRAMES) == 3 + 11


@pytest.mark.parametrize("path", DKIST_FRAMES, ids=lambda path: path.name)
def test_frames_in_dkist(path: Path) -> None:
    file = path.read_bytes()
    hdu = 0 if frames.span(file, 0).stop == len(file) else 1
    assert frames.oracle(file, hdu).ndim >= 2
    check_decoded(file, hdu=hdu)


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

# A short fuzz: broken bytes give pixels or a FrameError, and nothing else.

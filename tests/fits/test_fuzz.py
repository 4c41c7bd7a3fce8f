"""Run the fuzzer for a short time, and check every find that a long run made.

``fuzz/run.py`` has the rules for each frame, ``fuzz/mutate.py`` how frames are broken.
"""

from __future__ import annotations

import gzip
import struct
import time
import tracemalloc
from collections.abc import Callable
from typing import Any

import frames
import numpy as np
import pytest
import run
from frames import Raw, assert_identical, compressed, edited, plain, scene
from lane_checks import KERNELS, decode_by
from zarr.core.array_spec import ArrayConfig, ArraySpec
from zarr.core.buffer import default_buffer_prototype
from zarr.core.buffer.cpu import Buffer
from zarr.dtype import Float32

from dkist_virtual.errors import FrameCorruptError, FrameUnsupportedError, StoreCorruptError
from dkist_virtual.fits.decode import decode_frame
from dkist_virtual.fits.hdu import MAX_HEADER, find_hdu
from dkist_virtual.store.codecs import FITSCodec, FITSCodecV3, FrameSpec

COUNT = 3000


def test_broken_frames(count: Callable[..., None]) -> None:
    outcomes, found = run.run(0, range(COUNT))
    assert not found
    assert outcomes["pixels"] > COUNT // 10
    assert outcomes["FrameCorruptError"] > COUNT // 10
    for number in range(COUNT // 3):
        count("0", number, kind="mutated")


@pytest.mark.slow
@pytest.mark.parametrize("kernel", KERNELS)
def test_broken_frames_by_every_kernel(kernel: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    decode_by(monkeypatch, kernel)
    _, found = run.run(1, range(COUNT))
    assert not found


def test_the_corpus_is_read_right() -> None:
    for seed in run.read_corpus(run.CORPUS):
        if "zblank" in seed.name or "scale-" in seed.name or "uncompressed" in seed.name:
            continue  # forms that astropy does not read: tests/fits/test_matrix.py has them
        expected = frames.oracle(seed.data, seed.target)
        assert_identical(decode_frame(seed.data, seed.target), expected)


def refused(file: bytes, error: type[Exception], message: str, **kwargs: Any) -> None:
    """Refused in few words, little time and no more memory than the bytes themselves take."""
    target = 0 if b"XTENSION" not in file else 1
    with pytest.raises(error, match=message):  # and kernels are compiled, once
        decode_frame(file, target, **kwargs)
    tracemalloc.start()
    begin = time.process_time()
    try:
        with pytest.raises(error, match=message):
            decode_frame(file, target, **kwargs)
        held = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert time.process_time() - begin < 1
    assert held < 4 * len(file) + run.SPARE


# A declared size is not believed -----------------------------------------------------------------

RICE = compressed(scene((5, 40), "i4"))
HUGE = 2**37  # pixels along one axis, two of which are more than a terabyte


def grown(file: bytes, length: int, **changes: Any) -> bytes:
    """The same table, of tiles as long as this."""
    return edited(file, 1, {"ZNAXIS1": length, "ZTILE1": length, **changes})


def one_tile(algorithm: str, shape: tuple[int, int] = (4, 64)) -> bytes:
    return compressed(np.full(shape, 7, "i2"), algorithm=algorithm, tile=shape)


@pytest.mark.parametrize("shape_given", [False, True])
@pytest.mark.parametrize("algorithm", ["RICE_1", "GZIP_1", "GZIP_2", "NOCOMPRESS"])
def test_a_few_bytes_cannot_ask_for_a_terabyte(algorithm: str, shape_given: bool) -> None:
    file = grown(one_tile(algorithm), HUGE)
    # The array itself may say so: then the tiles' bytes are still too few.
    if shape_given:
        message = rf"tile 0: its \d+ bytes of {algorithm} end or break"
        refused(file, FrameCorruptError, message, shape=(4, HUGE))
    else:
        refused(file, FrameUnsupportedError, "where no array says its shape")


@pytest.mark.parametrize("algorithm", ["HCOMPRESS_1", "PLIO_1"])
def test_constant_tiles_have_a_limit_where_no_array_says_their_shape(algorithm: str) -> None:
    refused(grown(one_tile(algorithm), HUGE), FrameUnsupportedError, "where no array says")
    refused(grown(one_tile(algorithm), 50), FrameCorruptError, "expected", shape=(4, 64))


def test_fallback_tiles_are_held_to_their_bytes() -> None:
    file = compressed(scene((5, 40), flat=(1, 40)))
    packed = gzip.compress(bytes(160))
    file = frames.with_tile(file, 0, packed, "GZIP_COMPRESSED_DATA")
    refused(grown(file, 2**22), FrameCorruptError, "bytes of GZIP_COMPRESSED_DATA end or break")


def test_tiles_that_share_their_bytes_have_a_limit() -> None:
    # One gzip stream of 15 kB for 16,384 tiles of 14 million pixels each: 220 gigapixels.
    data = np.zeros((2, 100), "u1")
    file = compressed(data, algorithm="GZIP_1")
    stream = gzip.compress(bytes(14_000_000))
    rows = np.zeros(2**14, frames.table(file).rows.dtype)
    rows["COMPRESSED_DATA"] = len(stream), 0
    changes = {"ZNAXIS1": 14_000_000, "ZTILE1": 14_000_000, "ZNAXIS2": 2**14}
    shared = frames.with_table(file, rows, stream, changes=changes)
    refused(shared, FrameUnsupportedError, "where no array says its shape")


def test_a_constant_tile_may_be_large_where_the_array_says_so() -> None:
    file = one_tile("PLIO_1", (16, 1024))
    rows = frames.table(file)
    stream = frames.table(file).tile(0)
    # Runs of 4,095: what the list does not reach is 0.
    runs = struct.pack(">4h", *(0x4FFF,) * 4)
    words = bytearray(stream[:14] + runs)
    words[6:8] = struct.pack(">h", len(words) // 2)
    assert rows.heap
    large = frames.assembled(
        file, {"COMPRESSED_DATA": [bytes(words)]}, element="I",
        changes={"ZNAXIS1": 2**20, "ZTILE1": 2**20},
    )  # fmt: skip
    pixels = decode_frame(large, 1, shape=(16, 2**20))
    assert pixels.shape == (16, 2**20)
    assert pixels.reshape(-1)[4 * 4095 :].max() == 0


# Finds -------------------------------------------------------------------------------------------

#: What broke the decoder once: by reading, or by the fuzzer. Each with what it did.
FINDS: dict[str, tuple[Callable[[], bytes], type[Exception], str]] = {
    # ValueError: Exceeds the limit (4300 digits) for integer string conversion
    "999 axes": (
        lambda: edited(
            plain(scene((5, 40))),
            0,
            {"NAXIS": 999, **{f"NAXIS{i}": 2**62 for i in range(1, 1000)}},
        ),
        FrameCorruptError,
        "NAXISn, PCOUNT and GCOUNT ask for more than",
    ),
    # ValueError: maximum supported dimension for an ndarray is currently 64
    "70 axes": (
        lambda: edited(
            plain(scene((5, 40))), 0, {"NAXIS": 70, **{f"NAXIS{i}": 1 for i in range(3, 71)}}
        ),
        FrameUnsupportedError,
        "NAXIS = 70: more than 32 axes",
    ),
    # OverflowError: Python int too large to convert to C long
    "ZBLANK": (
        lambda: edited(RICE, 1, {"ZBLANK": Raw("9" * 20)}),
        FrameCorruptError,
        "ZBLANK = 9{20}: expected an integer of 64 bits",
    ),
    # OverflowError, since without groups the data had no length
    "PCOUNT": (
        lambda: edited(RICE, 1, {"GCOUNT": 0, "PCOUNT": 2**63 - 1}),
        FrameCorruptError,
        "GCOUNT = 0: expected 1",
    ),
    # a table of one axis has no rows, but was read with NAXIS2 of them
    "NAXIS": (lambda: edited(RICE, 1, {"NAXIS": 1}), FrameCorruptError, "NAXIS = 1: expected 2"),
    "BITPIX": (lambda: edited(RICE, 1, {"BITPIX": 16}), FrameCorruptError, "only|expected 8"),
    # RuntimeWarning: invalid value encountered in multiply
    "BSCALE": (
        lambda: edited(RICE, 1, {"BSCALE": Raw("1E999")}),
        FrameCorruptError,
        "BSCALE = 1E999: expected a number that 64 bits can hold",
    ),
    # RuntimeWarning: invalid value encountered in cast
    "ZBLANK column": (
        lambda: frames.assembled(
            RICE,
            {"COMPRESSED_DATA": [frames.table(RICE).tile(i) for i in range(5)]},
            {"ZBLANK": ("D", np.nan)},
        ),
        FrameUnsupportedError,
        "TFORM2 = '1D' for column ZBLANK",
    ),
    # pixels that were not there: modulo 256
    "RICE too wide": (
        lambda: edited(RICE, 1, {"ZBITPIX": 8}),
        FrameCorruptError,
        "or hold a pixel that ZBITPIX = 8 has no room for",
    ),
    # 4 s for a list of the pixels of 25 million, before their bytes were looked at
    "long axis": (
        lambda: grown(compressed(np.zeros((6, 40), "i2"), algorithm="GZIP_1"), 2**22),
        FrameCorruptError,
        "bytes of GZIP_1 end or break",
    ),
}


@pytest.mark.parametrize("name", FINDS)
def test_finds_are_refused(name: str) -> None:
    make, error, message = FINDS[name]
    refused(make(), error, message)


def test_a_header_without_end_is_not_read_to_the_end_of_the_file() -> None:
    file = RICE[: 2880 + 800] + b"COMMENT".ljust(80) * (2 * MAX_HEADER // 80)
    with pytest.raises(FrameUnsupportedError, match=f"no END card in {MAX_HEADER} bytes"):
        # Not a truncated one either: a scan does not come back for more.
        find_hdu(file, 1, size=10**12)
    short, end = plain(scene((5, 40))), b"END".ljust(80)
    cards = b"".join(f"K{i:<7}= {i}".encode().ljust(80) for i in range(36 * 1400))
    long = short.replace(end, cards + end, 1)
    assert_identical(decode_frame(long, 0), frames.oracle(short, 0))


def test_scaling_beyond_a_float_gives_infinity_and_no_warning() -> None:
    file = frames.scaled(np.array([[1, 2], [3, -4]], "i2"), bscale=1e300)
    pixels = decode_frame(file, 0)
    assert_identical(pixels, np.array([[np.inf, np.inf], [np.inf, -np.inf]], "f4"))


@pytest.mark.parametrize("config", [None, [], "<f4", 5, [1, 2]])
def test_configurations_that_are_no_map(config: Any) -> None:
    with pytest.raises(StoreCorruptError, match="expected a map"):
        FITSCodecV3.from_dict({"name": "dkist_fits", "configuration": config})
    with pytest.raises(StoreCorruptError, match="expected a map"):
        FITSCodec.from_config(config)


def test_a_codec_of_another_shape_than_its_array() -> None:
    # ValueError: cannot reshape array of size 200 into shape (5,41)
    codec = FITSCodecV3(FrameSpec(1, "<f4", (5, 40)))
    prototype = default_buffer_prototype()
    config = ArrayConfig(order="C", write_empty_chunks=False)
    spec = ArraySpec((5, 41), Float32(), np.float32(0), config, prototype)
    with pytest.raises(StoreCorruptError, match=r"shape = \[5, 40\]: expected one that fits"):
        codec._decode_sync(Buffer.from_bytes(compressed(scene((5, 40)))), spec)

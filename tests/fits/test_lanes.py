"""Kernels that decode Rice tiles in the lanes of vectors, beside each other and an encoder.

Each is a function of its own, which any processor can run: LLVM splits the vectors of one that has
shorter ones. So all are tested everywhere, and in subprocesses for processors other than this one.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import pytest
from lane_checks import KERNELS, Streams, encoded, floats_by, integers_by, noise
from samples import mostly_slow

import dkist_virtual
from dkist_virtual.fits.tiled import processor
from dkist_virtual.fits.tiled.dequantise import ZERO_VALUE
from dkist_virtual.fits.tiled.lane_code import STREAMED_BYTES

if TYPE_CHECKING:
    from dkist_virtual.fits.tiled.processor import Kernel

# Which kernel ------------------------------------------------------------------------------------

AVX512: Final = "+avx2,+avx512f,+avx512cd,+avx512bw,+avx512dq,+avx512vl"


@pytest.fixture
def choose(monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Choose a kernel for an environment, features and a machine."""

    def chosen(named: str = "", features: str | None = AVX512, machine: str = "x86_64") -> str:
        monkeypatch.setenv("DKIST_VIRTUAL_KERNEL", named)
        monkeypatch.delenv("NUMBA_CPU_FEATURES", raising=False)
        if features is not None:
            monkeypatch.setenv("NUMBA_CPU_FEATURES", features)
        monkeypatch.setattr(processor.platform, "machine", lambda: machine)
        return processor.chosen_kernel.__wrapped__()

    return chosen


def test_the_kernel_is_chosen_by_what_the_processor_has(
    choose: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NUMBA_CPU_NAME", raising=False)
    assert choose() == "avx512"
    assert choose(machine="AMD64") == "avx512"
    assert choose(features="+avx2,+avx512f,-avx512cd") == "avx2"
    assert choose(features="+avx,-avx2") == "plain"
    assert choose(features="") == "plain"
    assert choose(machine="aarch64") == "plain"
    assert choose(machine="arm64", features=None) == "plain"
    assert choose(features=None) in KERNELS
    monkeypatch.setenv("NUMBA_CPU_NAME", "generic")
    assert choose(features=None) == "plain"


def test_the_kernel_is_chosen_by_name(
    choose: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for kernel in KERNELS:
        assert choose(kernel, features="") == kernel
    for wrong in ("AVX512", "sse", "1"):
        with pytest.raises(
            ValueError, match=rf"^DKIST_VIRTUAL_KERNEL = {wrong}: expected one of avx512, avx2, pl"
        ):
            choose(wrong)
    monkeypatch.setenv("NUMBA_DISABLE_JIT", "1")
    assert choose("avx512") == "plain"


# What was encoded ---------------------------------------------------------------------------------

#: Lengths of tiles: fewer than a block, whole blocks, and some that end in the middle of one; not
#: all lanes are done at a time.
RAGGED: Final = [640, 1, 31, 33, 5, 256, 257, 300, 4, 64, 1000, 3, 100, 640, 2, 700, 32, 96, 7]

LENGTHS: Final = (RAGGED, RAGGED[:1], RAGGED[:3], [640] * 16, [256] * 9)


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("blocksize", mostly_slow([32, 16, 64, 24, 30, 8, 3, 1000], 30))
def test_tiles_of_any_noise_and_length(kernel: Kernel, blocksize: int) -> None:
    rng = np.random.default_rng(blocksize)
    for lengths in LENGTHS:
        for _ in range(4):
            tiles = [noise(rng, n) for n in lengths]
            streams = encoded(tiles, blocksize)
            out = np.empty(sum(lengths), np.int32)
            assert integers_by(kernel, streams, out) == -1
            np.testing.assert_array_equal(out, np.concatenate(tiles))


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("dtype", mostly_slow(["u1", "i2"], "i2"))
def test_integers_of_one_and_two_bytes(kernel: Kernel, dtype: str) -> None:
    rng = np.random.default_rng(1)
    for lengths in LENGTHS:
        for shift in range(0, 8 * np.dtype(dtype).itemsize, 3):
            tiles = [(noise(rng, n) >> shift).astype(dtype) for n in lengths]
            streams = encoded(tiles)
            for wide in (dtype, "i4"):
                out = np.empty(sum(lengths), wide)
                assert integers_by(kernel, streams, out) == -1
                np.testing.assert_array_equal(out, np.concatenate(tiles))


@pytest.mark.parametrize("kernel", KERNELS)
def test_integers_that_the_output_has_no_room_for(kernel: Kernel) -> None:
    tiles = [np.arange(100, dtype="i4") + 100 for _ in range(20)]
    tiles[13][97] = 256
    tiles[17][3] = -1
    out = np.empty(2000, "u1")
    assert integers_by(kernel, encoded(tiles), out) == 13
    tiles[13][97] = 255
    assert integers_by(kernel, encoded(tiles), out) == 17
    tiles[17][3] = 0
    assert integers_by(kernel, encoded(tiles), out) == -1
    np.testing.assert_array_equal(out, np.concatenate(tiles))


# Beside the plain kernel -------------------------------------------------------------------------


LANES: Final[tuple[Kernel, ...]] = ("avx512", "avx2")


def placed(streams: Streams, width: int, rows: int) -> Streams:
    """Tiles beside each other, of several rows each, the last one narrower than the others."""
    n = len(streams.starts)
    streams.n_rows = np.full(n, rows)
    streams.row_lengths = np.full(n, width)
    streams.row_lengths[-1] -= 3
    streams.out_starts = np.arange(n) * width
    streams.row_stride = n * width
    return streams


@pytest.mark.slow  # compiles for five seconds
@pytest.mark.parametrize("kernel", LANES)
@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("dither", [0, 1, 2])
def test_floats_in_runs_with_blanks_and_dithers(kernel: Kernel, dtype: str, dither: int) -> None:
    rng = np.random.default_rng(dither)
    for width, rows, n in ((40, 7, 11), (64, 4, 8), (25, 3, 1), (2000, 20, 3)):
        tiles = []
        for _ in range(n):
            tile = noise(rng, width * rows)
            tile[rng.integers(0, tile.size, 20)] = ZERO_VALUE
            tile[rng.integers(0, tile.size, 20)] = 77
            tiles.append(tile)
        streams = placed(encoded(tiles), width, rows)
        seeds = rng.integers(0, 30_000, n)
        for blank in (None, 77, ZERO_VALUE, 2**32 + 77):
            found, expected = (np.full(rows * n * width, -5, dtype) for _ in range(2))
            assert floats_by(kernel, streams, found, dither, blank, seeds) == -1
            assert floats_by("plain", streams, expected, dither, blank, seeds) == -1
            assert found.tobytes() == expected.tobytes()
            assert np.isnan(found).any() == (blank in (77, ZERO_VALUE))


@pytest.mark.parametrize("kernel", LANES)
@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_a_large_output_is_stored_past_the_cache(kernel: Kernel, dtype: str) -> None:
    # The same few streams again and again; rows begin at any place.
    rng = np.random.default_rng(5)
    few = encoded([noise(rng, 4099) for _ in range(20)])
    n = STREAMED_BYTES // np.dtype(dtype).itemsize // 4099 + 2
    every = np.arange(n) % 20
    streams = replace(
        few,
        starts=few.starts[every],
        lengths=few.lengths[every],
        n_rows=np.ones(n, np.int64),
        row_lengths=np.full(n, 4099),
    )
    found, expected = (np.zeros(n * 4099, dtype) for _ in range(2))
    assert found.nbytes > STREAMED_BYTES
    assert floats_by(kernel, streams, found, dither=1) == -1
    assert floats_by("plain", streams, expected, dither=1) == -1
    assert found.tobytes() == expected.tobytes()
    assert floats_by(kernel, streams, found) == floats_by("plain", streams, expected) == -1
    assert found.tobytes() == expected.tobytes()


def test_of_broken_tiles_the_first_is_told() -> None:
    # Bits are turned at random: what decodes is what the plain kernel decodes.
    rng = np.random.default_rng(3)
    broken = set()
    for _ in range(150):
        lengths = rng.integers(1, 400, rng.integers(1, 30)).tolist()
        streams = encoded([noise(rng, n) for n in lengths])
        for _ in range(rng.integers(0, 4)):
            streams.buffer[rng.integers(0, streams.buffer.size)] ^= 1 << rng.integers(0, 8)
        if rng.random() < 0.2:  # a tile that is cut short, or is outside the buffer
            which = rng.integers(0, len(lengths))
            streams.lengths[which] += rng.choice([-9, -1, 10**6])
        expected = np.zeros(sum(lengths), "f4")
        told = floats_by("plain", streams, expected)
        for kernel in LANES:
            found = np.zeros_like(expected)
            assert floats_by(kernel, streams, found) == told
            if told < 0:
                assert found.tobytes() == expected.tobytes()
        broken.add(told)
    assert len(broken) > 10


# On other processors, and at the end of memory ---------------------------------------------------


def run_program(name: str, *arguments: str, **environment: str) -> str:
    root = Path(dkist_virtual.__file__).parent.parent
    support = root / "tests" / "support"
    done = subprocess.run(
        [sys.executable, str(support / name), *arguments],
        capture_output=True,
        text=True,
        env={
            **{key: value for key, value in os.environ.items() if not key.startswith("NUMBA_CPU")},
            "PYTHONPATH": os.pathsep.join([str(root), str(support)]),
            **environment,
        },
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_no_load_is_outside_the_buffer() -> None:
    """The pages before and after it cannot be read: a load there would end the process."""
    assert run_program("guarded.py", *KERNELS) == "read 200 buffers\n" * 3


def test_the_guard_works() -> None:
    with pytest.raises(AssertionError):
        run_program("guarded.py", "outside")


@pytest.mark.slow
@pytest.mark.parametrize("kernel", LANES)
@pytest.mark.parametrize("cpu", ["haswell", "generic"])
def test_a_processor_with_shorter_vectors(cpu: str, kernel: Kernel) -> None:
    """LLVM splits the vectors; the pixels are the same."""
    features = {"haswell": "+avx,+avx2,+bmi,+bmi2,+lzcnt,+popcnt,+sse4.2,+fma", "generic": ""}[cpu]
    printed = run_program(
        "split_vectors.py",
        NUMBA_CPU_NAME=cpu,
        NUMBA_CPU_FEATURES=features,
        DKIST_VIRTUAL_KERNEL=kernel,
    )
    assert printed == f"{kernel}: decoded 80 frames\n"

"""With NUMBA_DISABLE_JIT=1 the kernels run as Python, and give the same pixels."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import dkist_virtual

PROGRAM = """
import warnings
import frames
import numpy as np
from decoder_checks import check_windows
from frames import METHODS, assert_identical, compressed, masks, oracle, plain, scene
from dkist_virtual.fits.checksum import check_datasum, datasum, turned_datasum
from dkist_virtual.errors import FrameError
from dkist_virtual.fits.decode import decode_frame

warnings.simplefilter("error")


def check(file, expected=None):
    expected = oracle(file) if expected is None else expected
    assert_identical(decode_frame(file, 1), expected)
    check_windows(file, expected, seed=1, count=1)
    broken = bytearray(file)
    for at in range(2880 * 2, len(broken), 7):
        broken[at] ^= 0x5A
    try:
        decode_frame(bytes(broken), 1)
    except FrameError:
        pass


n = 0
for algorithm in ("RICE_1", "GZIP_1", "GZIP_2", "HCOMPRESS_1", "NOCOMPRESS"):
    for dtype in ("u1", "i2", "u2", "i4", "f4", "f8"):
        for method in METHODS if dtype[0] == "f" else ["NO_DITHER"]:
            image = algorithm == "HCOMPRESS_1"
            flat = None if image else (2, 20)
            data = scene((4, 40), dtype, blanks=0.05, zeros=0.1, flat=flat)
            tile = (4, 20) if image else (2, 20)
            check(compressed(data, algorithm=algorithm, tile=tile, method=method))
            n += 1
for dtype in ("u1", "i2", "i4"):
    check(compressed(masks((4, 60), dtype, 1), algorithm="PLIO_1"))
limits = np.iinfo("i4")
check(compressed(np.random.default_rng(0).integers(limits.min, limits.max, (3, 70), "i4")))
jumps = np.zeros((3, 256), "i4")
jumps[0, 100], jumps[1, 5], jumps[2, 250] = 60_000, -60_000, 2_000_000
check(compressed(jumps))

numbers = np.random.default_rng(0).integers(0, 256, 1001, "u1")
words = np.append(numbers, np.zeros(3, "u1")).view(">u4").astype(int).sum()
assert datasum(numbers.tobytes()) == (words % (2**32 - 1) or 2**32 - 1)
pixels = np.arange(12, dtype=">f4")
wanted = datasum(pixels.tobytes())
assert turned_datasum(pixels.copy()) == wanted
print("decoded", n)
"""


@pytest.mark.slow
def test_every_kernel_without_a_compiler() -> None:
    root = Path(dkist_virtual.__file__).parent.parent
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        capture_output=True,
        text=True,
        env={
            **os.environ,
            "NUMBA_DISABLE_JIT": "1",
            "PYTHONPATH": os.pathsep.join([str(root), str(root / "tests" / "support")]),
        },
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "decoded 50\n"

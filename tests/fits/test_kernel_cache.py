"""The kernels are compiled once for a user, wherever the package is installed, without a word."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from frames import compressed, scene

import dkist_virtual
from dkist_virtual.fits.compiled.kernel import Kernel
from dkist_virtual.fits.tiled import by_numpy, rice

DECODE = """
import resource, sys
from pathlib import Path
if len(sys.argv) > 2:  # a disk on which files can be made, and nothing be written
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
from dkist_virtual.fits.compiled import background
from dkist_virtual.fits.tiled import batches
from dkist_virtual.fits.decode import decode_frame
background.MOST_SECONDS = 0.0  # wait for the kernel
decode_frame(Path(sys.argv[1]).read_bytes(), 1)
compiled = "numba" in sys.modules
print(batches.__file__, int(not compiled), int(compiled))
"""


@pytest.mark.slow
def test_kernels_are_cached_where_the_packages_folder_is_read_only(tmp_path: Path) -> None:
    source = Path(dkist_virtual.__file__).parent
    copy = tmp_path / "site" / "dkist_virtual"
    shutil.copytree(source, copy, ignore=shutil.ignore_patterns("__pycache__"))
    kernels = copy / "fits" / "tiled"
    # What keeps even root from writing there, which file modes do not.
    for folder in (kernels, copy / "fits" / "compiled"):
        (folder / "__pycache__").write_text("no directory")
    frame = tmp_path / "frame.fits"
    frame.write_bytes(compressed(scene((4, 40), "f4", seed=1), tile=(1, 40)))
    environment = {
        **{key: value for key, value in os.environ.items() if not key.startswith("NUMBA_")},
        "HOME": str(tmp_path / "home"),
        "XDG_CACHE_HOME": str(tmp_path / "home" / "cache"),
        "PYTHONPATH": str(copy.parent),
        "PYTHONDONTWRITEBYTECODE": "1",
    }

    def decode(*how: str) -> tuple[int, int]:
        run = subprocess.run(
            [sys.executable, "-c", DECODE, frame, *how],
            env=environment,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=True,
        )
        assert run.stderr == ""
        place, hits, misses = run.stdout.split()
        assert Path(place).parent == kernels
        return int(hits), int(misses)

    assert decode() == (0, 1)
    assert decode() == (1, 0)

    # What is kept there cannot be read any more; or the disk is full.
    cache = tmp_path / "home" / "cache"
    kept = cache / "dkist_virtual" / "kernels"
    (file,) = kept.iterdir()
    assert ".decode_floats-" in file.name
    whole = file.read_bytes()
    other = whole[:-20], whole[:30] + b"\0" + whole[31:], b"", whole.replace(b"symbol", b"simbol")
    for path in (cache / "numba").rglob("*.nb?"):
        path.write_bytes(path.read_bytes()[:-20])
    for wrong in other:
        file.write_bytes(wrong)
        assert decode() == (0, 1)
        assert decode() == (1, 0)
    shutil.rmtree(cache)
    assert decode("full") == (0, 1)
    assert not [path for path in cache.rglob("*") if path.is_file()]

    # Nor is there a home that anything could be kept in: compiled each time, and no error.
    (tmp_path / "file").write_text("no directory")
    environment |= {"HOME": f"{tmp_path}/file/x", "XDG_CACHE_HOME": f"{tmp_path}/file/x"}
    assert [decode()[0] for _ in range(2)] == [0, 0]


@pytest.mark.slow
def test_arrays_with_gaps_and_unaligned_ones_are_passed_to_numbas_own_function() -> None:
    kernel = Kernel("dkist_virtual.fits.tiled.rice", "decode_integers")
    unaligned = np.empty(2 * 8 + 1, "u1")[1:].view(np.int64)
    for several in (np.empty(4, np.int64)[::2], unaligned):
        # At first the kernel was not called yet; None is where it was not compiled either.
        for _ in range(2):
            assert kernel.find(_arguments(several)) in (None, rice.decode_integers)
            whole = _arguments(np.array([0, 32]))
            assert kernel(*whole) == -1
            assert kernel.find(whole) is not rice.decode_integers
            assert whole[-5].tolist() == list(range(16))


def _arguments(starts: np.ndarray) -> tuple[Any, ...]:
    """Return two tiles of integers as they are, for the kernel, with places of some layout."""
    data = np.arange(16, dtype=">i4").view("u1")
    lengths, sizes = np.array([32, 32]), np.array([4, 4])
    source = by_numpy.Source(data, starts, lengths, sizes, False, 256)
    runs = by_numpy.Runs.single(np.array([0, 8]), np.array([8, 8]))
    return (*source, 4, np.empty(16, np.int32), *runs)

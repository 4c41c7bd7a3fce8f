"""Kernels are compiled in the background, and whatever happens meanwhile, nothing breaks."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from frames import compressed, oracle, scene

# Decodes frames while a kernel is compiled for the first time; `at_step(n, what)` does something in
# the thread that compiles, before the step of the compiler that has this number.
PROGRAM = """
import os, signal, sys, threading
from pathlib import Path
import numpy as np
from dkist_virtual.fits.compiled import background
from dkist_virtual.fits.decode import decode_frame
from dkist_virtual.fits.tiled import batches

data, expected = Path("frame.fits").read_bytes(), np.load("pixels.npy")
background.FREE_SECONDS = 0.0  # compile after the first frame


def check():
    assert decode_frame(data, 1).tobytes() == expected.tobytes()


class Steps:
    def __init__(self):
        self.count, self.at, self.reached = 0, {}, threading.Event()
        self.pause = background._compiler._pause
        background._compiler._pause = self.next

    def next(self):
        self.count += 1
        self.at.pop(self.count, lambda: None)()
        self.pause()


steps = Steps()


def at_step(n):
    '''Decode the first frame, and wait until the compiler has come so far.'''
    reached = threading.Event()
    steps.at[n] = reached.set
    assert "numba" not in sys.modules
    check()
    assert reached.wait(300)


def wait_for_the_kernel():
    background.MOST_SECONDS = 0.0
    check()
    assert "numba" in sys.modules
"""


@pytest.fixture
def run(tmp_path: Path):
    """``run(code)``: run the program and this after it, with no kernel on the disk."""
    file = compressed(scene((40, 80), "f4", seed=1), method="SUBTRACTIVE_DITHER_1")
    (tmp_path / "frame.fits").write_bytes(file)
    np.save(tmp_path / "pixels.npy", oracle(file))

    def run(code: str) -> str:
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM + code],
            cwd=tmp_path,
            env={**os.environ, "NUMBA_CACHE_DIR": str(tmp_path / "cache")},
            capture_output=True,
            text=True,
        )
        assert done.stderr == ""
        assert done.returncode == 0
        return done.stdout

    return run


def kept(tmp_path: Path) -> list[Path]:
    return [*(tmp_path / "cache").rglob("*.kernel")]


def test_a_process_that_reads_a_frame_compiles_nothing(run, tmp_path: Path) -> None:
    run("background.FREE_SECONDS = 0.5\ncheck()\nassert 'numba' not in sys.modules\n")
    assert kept(tmp_path) == []


@pytest.mark.slow
@pytest.mark.parametrize("step", [1, 2, 5, 20, 60])
def test_a_process_ends_in_the_middle_of_a_compilation(run, tmp_path: Path, step: int) -> None:
    run(f"at_step({step})\n")
    assert kept(tmp_path) == []
    # What it compiled is of use to the next one.
    run("check()\nwait_for_the_kernel()\n")
    assert len(kept(tmp_path)) == 1
    run("check()\nassert 'numba' not in sys.modules\n")


@pytest.mark.slow
def test_a_process_ends_by_sys_exit_and_by_an_error_meanwhile(run) -> None:
    run("at_step(3)\nsys.exit()\n")
    with pytest.raises(AssertionError, match="what a user did"):
        run("at_step(3)\nraise ValueError('what a user did')\n")


@pytest.mark.slow
def test_compiling_leaves_filters_of_warnings_to_other_threads(run, tmp_path: Path) -> None:
    run(
        "import warnings\n"
        "import scipy.linalg  # sets them when it is imported, as numba does\n"
        "enter, threads = warnings.catch_warnings.__enter__, set()\n"
        "def note(self):\n"
        "    threads.add(threading.current_thread().name)\n"
        "    return enter(self)\n"
        "warnings.catch_warnings.__enter__ = note\n"
        "check()\n"
        "wait_for_the_kernel()\n"
        "assert 'fits-compile' not in threads, threads\n"
    )
    assert len(kept(tmp_path)) == 1


@pytest.mark.slow
def test_the_kernel_comes_while_frames_are_decoded(run, tmp_path: Path) -> None:
    run(
        "background.MOST_SECONDS = float('inf')\n"
        "at_step(1)\n"
        "while background._compiler.thread is not None:\n"
        "    check()\n"
        "check()\n"
        "assert batches.LANES_FLOATS._found or batches.DECODE_FLOATS._found\n"
    )
    assert len(kept(tmp_path)) == 1


@pytest.mark.slow
@pytest.mark.parametrize("step", [1, 30])
def test_a_process_forks_in_the_middle_of_a_compilation(run, tmp_path: Path, step: int) -> None:
    run(
        f"at_step({step})\n"
        "children = []\n"
        "for forced in (False, True):\n"
        "    child = os.fork()\n"
        "    if child == 0:\n"
        "        check()\n"
        "        if forced:\n"
        "            wait_for_the_kernel()\n"
        "        os._exit(0)\n"
        "    children.append(child)\n"
        "wait_for_the_kernel()\n"
        "assert [os.waitpid(child, 0)[1] for child in children] == [0, 0]\n"
    )
    assert len(kept(tmp_path)) == 1


@pytest.mark.slow
def test_control_c_ends_the_wait_and_not_the_compilation(run, tmp_path: Path) -> None:
    run(
        "steps.at[20] = lambda: signal.raise_signal(signal.SIGINT)\n"
        "try:\n"
        "    wait_for_the_kernel()\n"
        "except KeyboardInterrupt:\n"
        "    print('interrupted')\n"
        "check()\n"
    )
    assert len(kept(tmp_path)) == 1


@pytest.mark.slow
def test_many_threads_wait_for_one_compilation(run, tmp_path: Path) -> None:
    run(
        "from concurrent.futures import ThreadPoolExecutor\n"
        "with ThreadPoolExecutor(8) as pool:\n"
        "    list(pool.map(lambda _: check(), range(40)))\n"
        "    background.MOST_SECONDS = 0.0\n"
        "    list(pool.map(lambda _: check(), range(40)))\n"
    )
    assert len(kept(tmp_path)) == 1

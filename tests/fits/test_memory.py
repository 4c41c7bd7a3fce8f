"""Buffers and cores are used again only when nothing else uses them any more."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dkist_virtual.fits import buffers as memory
from dkist_virtual.fits import threads as cores

BIG = (600, 1000)


@pytest.fixture
def pool(monkeypatch: pytest.MonkeyPatch) -> memory._Pool:
    pool = memory._Pool()
    monkeypatch.setattr(memory, "_pool", pool)
    return pool


def address(array: np.ndarray[Any, Any]) -> int:
    return array.__array_interface__["data"][0]


def test_freed_memory_is_used_again(pool: memory._Pool) -> None:
    first = memory.empty(BIG, "f4")
    there = address(first)
    del first
    assert pool.nbytes >= 600 * 1000 * 4
    second = memory.empty((1000, 600), "i4")
    assert address(second) == there
    assert pool.nbytes == 0


def test_a_view_keeps_memory_from_being_used_again(pool: memory._Pool) -> None:
    whole = memory.empty(BIG, "f8")
    whole[...] = 7
    corner = whole[:2, :3].T
    del whole
    gc.collect()
    other = memory.empty(BIG, "f8")
    other[...] = 8
    assert (corner == 7).all()
    assert pool.nbytes == 0


@given(
    shape=st.lists(st.integers(1, 200), min_size=1, max_size=3).map(tuple),
    dtype=st.sampled_from(["u1", "i2", "f4", "f8"]),
)
def test_what_is_given_is_what_numpy_gives(shape: tuple[int, ...], dtype: str) -> None:
    ours, numpys = memory.empty(shape, dtype), np.empty(shape, dtype)
    assert (ours.shape, ours.dtype, ours.strides) == (numpys.shape, numpys.dtype, numpys.strides)
    assert ours.flags.writeable
    assert ours.flags.c_contiguous
    assert ours.flags.aligned


def test_idle_memory_is_bounded(pool: memory._Pool) -> None:
    assert pool.most_bytes == memory.IDLE_BYTES
    pool.most_bytes = 2**27
    arrays = [memory.empty((n, 2**20), "u1") for n in range(10, 60, 10)]
    assert sum(array.nbytes for array in arrays) > pool.most_bytes
    del arrays
    assert 0 < pool.nbytes <= pool.most_bytes
    assert pool.nbytes == sum(raw.nbytes for raw in pool.idle)


AT_THE_END = """
import dkist_virtual.fits.buffers as memory
array = memory.empty((2**20,), "f4")
for name in list(vars(memory)):
    vars(memory)[name] = None
del array
"""


def test_memory_is_given_back_while_the_interpreter_ends() -> None:
    """It sets the names of modules to None, and frees some arrays after that."""
    done = subprocess.run([sys.executable, "-c", AT_THE_END], capture_output=True, check=True)
    assert done.stderr == b"", done.stderr.decode()


def test_memory_freed_while_the_pool_is_busy_is_let_go(pool: memory._Pool) -> None:
    array = memory.empty(BIG, "f4")
    with pool.lock:  # as when the garbage collector runs inside of it
        del array
    assert pool.nbytes == 0


def test_threads_never_share(pool: memory._Pool) -> None:
    barrier = Barrier(4)

    def fill(value: int) -> bool:
        barrier.wait()
        fine = True
        for _ in range(50):
            array = memory.empty(BIG, "i4")
            array[...] = value
            fine &= bool((array == value).all())
        return fine

    with ThreadPoolExecutor(4) as threads:
        assert all(threads.map(fill, range(4)))


def test_idle_cores_are_lent_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cores, "available", lambda: 4)
    with cores.borrow_cores(8) as first:
        assert first == 4
        with cores.borrow_cores(8) as second:
            assert second == 1
    with cores.borrow_cores(3) as first, cores.borrow_cores(8) as second:
        assert (first, second) == (3, 1)
    with cores.borrow_cores(1) as first, cores.borrow_cores(8) as second:
        assert (first, second) == (1, 3)
    assert cores._count.busy == 0


def test_cores_come_back_after_an_error() -> None:
    with pytest.raises(KeyError, match="tile"), cores.borrow_cores(2):
        raise KeyError("tile")
    assert cores._count.busy == 0


@pytest.mark.parametrize(("said", "most"), [("1", 1), ("", None), ("many", None), ("1000", None)])
def test_what_the_environment_says_of_threads_is_a_limit(said: str, most: int | None) -> None:
    code = "from dkist_virtual.fits import threads as cores; print(cores.available())"
    run = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "OMP_NUM_THREADS": said},
        capture_output=True,
        text=True,
        check=True,
    )
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    assert int(run.stdout) == (most or cpus)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_forked_process_has_threads_of_its_own() -> None:
    code = """
import os, warnings
warnings.simplefilter("ignore")
from dkist_virtual.fits import threads as cores
cores.pool().submit(int).result()
with cores.borrow_cores(2):
    child = os.fork()
    if child == 0:
        assert cores._count.busy == 0
        assert cores.pool().submit(lambda: 5).result() == 5
        os._exit(0)
assert os.waitpid(child, 0)[1] == 0
"""
    subprocess.run([sys.executable, "-c", code], check=True)

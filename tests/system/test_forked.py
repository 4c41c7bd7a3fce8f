"""Read in worker processes that were forked after, and during, reads in their parent."""

from __future__ import annotations

import contextlib
import multiprocessing
import re
import threading
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from queue import Empty
from typing import Any

import dask._expr
import dask.config
import dask.tokenize
import numpy as np
import pytest

import dkist_virtual as dv
from dkist_virtual.demo.server import FrameServer
from dkist_virtual.fits import threads as cores

pytestmark = pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")


def _send(queue: Any, ds: Any) -> None:
    queue.put((float(np.nansum(ds.data.compute())), float(np.nansum(np.asarray(ds[0, 0].data)))))


def received(queue: Any, workers: list[Any], n: int | None = None) -> list[Any]:
    """What `n` calls of ``put`` hand over; one a worker by default."""
    got: list[Any] = []
    while len(got) < (len(workers) if n is None else n):
        with contextlib.suppress(Empty):
            got.append(queue.get(timeout=1))
            continue
        assert any(worker.is_alive() for worker in workers) or not queue.empty()
    return got


def test_forked_workers_read_while_their_parent_does(simulated: Any, tmp_path: Path) -> None:
    frames = simulated("visp_moving")
    with FrameServer(frames).running() as server:
        dv.convert(frames, tmp_path / "store", base=server.url, progress=False)
        for place in (None, frames):
            ds: Any = dv.open_dataset(tmp_path / "store", frames=place, chunks="frame")
            expected = (
                float(np.nansum(ds.data.compute())), float(np.nansum(np.asarray(ds[0, 0].data)))
            )  # fmt: skip
            stop = threading.Event()

            def busy(ds: Any = ds, stop: threading.Event = stop) -> None:
                while not stop.is_set():
                    ds.data.compute()

            thread = threading.Thread(target=busy)
            thread.start()
            try:
                context = multiprocessing.get_context("fork")
                queue = context.Queue()
                workers = [context.Process(target=_send, args=(queue, ds)) for _ in range(2)]
                for worker in workers:
                    worker.start()
                assert received(queue, workers) == [expected] * 2
                for worker in workers:
                    worker.join()
            finally:
                stop.set()
                thread.join()


def _locks() -> list[Any]:
    """Every lock between threads that the package holds, cached properties' own included."""

    return [*cores._LOCKS, *(cached.lock for cached in cores._CACHED)]


@contextlib.contextmanager
def held_by_a_thread(locks: list[Any]) -> Iterator[None]:
    """Hold locks in another thread of this process."""
    held, done = threading.Event(), threading.Event()

    def hold() -> None:
        with contextlib.ExitStack() as stack:
            for lock in locks:
                stack.enter_context(lock)
            held.set()
            done.wait()

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait()
    try:
        yield
    finally:
        done.set()
        thread.join()


def _read_all(queue: Any, ds: Any, unopened: Any) -> None:
    for one in (ds, unopened):
        r0 = np.asarray(one.headers["ATMOS_R0"]).tolist()
        queue.put((np.asarray(one[0, 0, 3].data).tolist(), r0, str(one)))


@pytest.mark.every(2)
@pytest.mark.parametrize("references", ["json", "parquet"])
def test_what_another_thread_holds_is_open_in_a_forked_process(
    references: str, simulated: Any, tmp_path: Path
) -> None:
    dv.convert(
        simulated("visp_plain"), tmp_path / "store", references=references, progress=False
    )  # fmt: skip
    ds: Any = dv.open_dataset(tmp_path / "store", chunks="frame")
    unopened: Any = dv.open_dataset(tmp_path / "store", chunks="frame")
    expected = [np.asarray(ds[0, 0, 3].data).tolist(), np.asarray(ds.headers["ATMOS_R0"]).tolist()]
    with held_by_a_thread(_locks()):
        context = multiprocessing.get_context("fork")
        queue = context.Queue()
        worker = context.Process(target=_read_all, args=(queue, ds, unopened))
        worker.start()
        got = received(queue, [worker], 2)
        worker.join()
    assert got == [(*expected, str(ds))] * 2
    assert np.asarray(ds[0, 0, 3].data).tolist() == expected[0]  # the parent's are free again


def _dask_locks() -> list[Any]:
    """Locks that dask takes whenever it computes."""
    kinds = vars(dask._expr.Expr).values()
    found = [getattr(kind, "lock", None) for kind in kinds if isinstance(kind, cached_property)]
    return [dask.config.config_lock, dask.tokenize.tokenize_lock, *filter(None, found)]


def _sum(queue: Any, ds: Any) -> None:
    with dask.config.set(scheduler="synchronous"):
        queue.put(float((ds[0, 0].data + 1).sum().compute()))


def test_what_another_thread_holds_of_dask_is_open_in_a_forked_process(
    simulated: Any, tmp_path: Path
) -> None:
    dv.convert(simulated("visp_plain"), tmp_path / "store", progress=False)
    ds: Any = dv.open_dataset(tmp_path / "store", chunks="frame")
    expected = float((ds[0, 0].data + 1).sum().compute())
    with held_by_a_thread(_dask_locks()):
        context = multiprocessing.get_context("fork")
        queue = context.Queue()
        worker = context.Process(target=_sum, args=(queue, ds))
        worker.start()
        worker.join(timeout=60)
        worker.kill()
        assert queue.get(timeout=1) == expected


def test_no_lock_is_made_that_a_fork_would_keep_shut() -> None:
    # Three modules renew theirs by themselves, since they are taken without waiting, counted, or
    # waited on (`tests/fits/test_background.py`); those of a download and of a viewer's page are of
    # one run, whose threads are in the process that began it.
    own = {
        "cube/dask_array",
        "fits/buffers",
        "fits/compiled/background",
        "fits/threads",
        "io/download/download",
        "io/download/part_file",
        "view/reading/turns",
    }
    package = Path(dv.__file__).parent
    made = {
        path.relative_to(package).with_suffix("").as_posix()
        for path in package.rglob("*.py")
        if re.search(r"\b(R?Lock|Condition)\(\)", path.read_text("utf-8"))
    }
    assert made == own

"""Compute blocks of a dataset in several processes, on a cluster, or in this process.

What is sent to a process is where pixels are, not the pixels: each process reads its own blocks.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import warnings
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol, TypeAlias, TypeVar

from dkist_virtual.errors import DatasetError
from dkist_virtual.fits.threads import available
from dkist_virtual.science.spectra.line_fit import stop_when

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["SCHEDULERS", "Block", "Scheduler", "Where", "choose_scheduler", "compute_blocks"]

Scheduler: TypeAlias = Literal["default", "processes", "synchronous"]

SCHEDULERS: Final = ("default", "processes", "synchronous")

Where: TypeAlias = Literal["cluster", "processes", "here"]

_AHEAD: Final = 2
"""Blocks for each process that are computed or wait for it."""

T = TypeVar("T")


class Block(Protocol):
    """What is computed of a part of a dataset; it can be pickled."""

    def read(self) -> NDArray[np.float64]:
        """Read the pixels, and compute."""


def choose_scheduler(scheduler: Scheduler | None, few: bool) -> Where:
    """Choose where to compute.

    Parameters
    ----------
    scheduler : {"default", "processes", "synchronous"} or None
        None is for "default", but for this process where there is little to do.
    few : bool
        Whether there is.
    """
    if scheduler not in (None, *SCHEDULERS):
        raise DatasetError(
            f"scheduler = {scheduler!r}: expected {', '.join(map(repr, SCHEDULERS))} or None. "
            "Threads do not help: astropy's fitters hold Python's lock"
        )
    if scheduler in (None, "default") and cluster() is not None:
        return "cluster"
    alone = multiprocessing.current_process().daemon  # which may have no processes of its own
    if scheduler == "synchronous" or (scheduler != "processes" and (few or alone)):
        return "here"
    return "processes"


def cluster() -> Any:
    """Return the client of the cluster that computes dask arrays; None where there is none."""
    from dkist_virtual.dataset.save.cube.shards import cluster

    return cluster()


def compute_blocks(
    blocks: Iterable[tuple[T, Block]], where: Where, workers: int | None = None
) -> Iterator[tuple[T, NDArray[np.float64], list[str]]]:
    """Compute blocks, and yield each when it is done, with the texts of the warnings it gave.

    Few blocks are under way at once, whatever their number. An error or Ctrl-C ends all
    processes before it goes on.

    Parameters
    ----------
    blocks : iterable of (key, Block)
    where : {"cluster", "processes", "here"}
    workers : int, optional
        How many processes; by default dask's ``num_workers``, or as many as there are cores.
    """
    if where == "here":
        for key, block in blocks:
            yield (key, *_compute(block))
        return
    if where == "cluster":
        client = cluster()
        ahead = _AHEAD * max(sum(client.nthreads().values()), 1)
        yield from _ahead(blocks, ahead, lambda block: client.submit(_load, block, pure=False))
        return
    n = workers or _configured("num_workers", None) or available()
    with _processes(n) as submit:
        try:
            yield from _ahead(blocks, _AHEAD * n, submit)
        except BrokenProcessPool as error:
            raise DatasetError(
                "a process that computed for this one has ended. Each of them imports the script: "
                "put what computes below a line if __name__ == '__main__':, or give "
                "scheduler='synchronous', which needs no other process"
            ) from error


def _configured(name: str, default: Any) -> Any:
    import dask

    return dask.config.get(name, default)


def _ahead(
    blocks: Iterable[tuple[T, Block]], ahead: int, submit: Callable[[bytes], Any]
) -> Iterator[tuple[T, NDArray[np.float64], list[str]]]:
    """Submit some blocks ahead of those that are done."""
    import cloudpickle

    waiting: dict[Any, T] = {}
    left = iter(blocks)
    try:
        for key, block in left:
            waiting[submit(cloudpickle.dumps(block))] = key
            if len(waiting) >= ahead:
                for future in _done(waiting):
                    yield (waiting.pop(future), *future.result())
        while waiting:
            for future in _done(waiting):
                yield (waiting.pop(future), *future.result())
    finally:
        for future in waiting:
            future.cancel()


def _done(futures: dict[Any, Any]) -> list[Any]:
    """Wait until one of some futures is done, of a pool's or of a cluster's."""
    if isinstance(next(iter(futures)), Future):
        return list(wait(futures, return_when=FIRST_COMPLETED).done)
    from distributed import wait as wait_for

    return list(wait_for(list(futures), return_when="FIRST_COMPLETED").done)


@contextmanager
def _processes(n: int) -> Iterator[Callable[[bytes], Any]]:
    """Start processes; they end here, whatever happens, and when this process is killed."""
    context = multiprocessing.get_context(_configured("multiprocessing.context", "spawn"))
    stop = context.Event()
    pool = ProcessPoolExecutor(n, context, initializer=_begin, initargs=(stop,))
    try:
        yield lambda block: pool.submit(_load, block)
    except BaseException:
        stop.set()  # within a block, too
        raise
    finally:
        pool.shutdown(cancel_futures=True)


def _begin(stop: Any) -> None:
    """Prepare a process: Ctrl-C is for its parent to hear, and it does not outlive that."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    stop_when(stop.is_set)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: Any) -> None:
    parent.join()
    os.kill(os.getpid(), signal.SIGTERM)


def _load(block: bytes) -> tuple[NDArray[np.float64], list[str]]:
    import cloudpickle

    return _compute(cloudpickle.loads(block))


def _compute(block: Block) -> tuple[NDArray[np.float64], list[str]]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        values = block.read()
    return values, list(dict.fromkeys(str(one.message) for one in caught))

"""Run jobs in processes of this machine, which live as long as this one at most.

A process imports what a conversion needs once, which takes seconds, and does one job after the
other. One that dies, of too little memory for instance, fails its job, and another takes its place.
"""

from __future__ import annotations

import gc
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection, wait
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final, TypeVar

if TYPE_CHECKING:
    from multiprocessing.context import SpawnProcess

__all__ = ["DiedError", "run_in_processes"]

J = TypeVar("J")
R = TypeVar("R")

_PATIENCE: Final = 10.0
"""Seconds in which a process has to stop; then it is killed."""


class DiedError(RuntimeError):
    """A process that ended within a job."""


def run_in_processes(
    jobs: Iterable[J], do: Callable[[J], R], n: int
) -> Iterator[tuple[J, R | DiedError]]:
    """Do jobs in processes, and yield what came of each as it is done.

    Parameters
    ----------
    jobs : iterable
        Of what can be pickled.
    do : callable
        A function of a module; it raises nothing but errors that stop all.
    n : int
        How many processes.
    """
    context = multiprocessing.get_context("spawn")
    waiting = iter(jobs)
    running: dict[Connection, tuple[SpawnProcess, J]] = {}

    def start() -> tuple[Connection, SpawnProcess]:
        ours, theirs = context.Pipe()
        process = context.Process(target=_work, args=(theirs, do), daemon=True)
        with _without_main():
            process.start()
        theirs.close()
        return ours, process

    def give(ours: Connection, process: SpawnProcess) -> None:
        for job in waiting:
            running[ours] = process, job
            ours.send(job)
            return
        ours.close()  # it ends when it hears no more
        ending.append(process)

    ending: list[SpawnProcess] = []
    try:
        for _ in range(n):
            give(*start())
        while running:
            for ours in wait(list(running)):
                assert isinstance(ours, Connection)
                process, job = running.pop(ours)
                try:
                    result = ours.recv()
                except (EOFError, OSError):
                    ours.close()
                    process.join()
                    yield job, _death(process.exitcode)
                    give(*start())
                    continue
                give(ours, process)
                yield job, result
        for process in ending:
            process.join()
    finally:
        _stop([process for process, _ in running.values()])
        for ours in running:
            ours.close()


@contextmanager
def _without_main() -> Iterator[None]:
    """Keep the running script out of a process that is started.

    There it would run again, and convert the archive again, unless all of it is below
    ``if __name__ == "__main__"``; and one that came from a pipe is not found there.
    """
    main = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


def _death(code: int | None) -> DiedError:
    if code is not None and code < 0:
        why = f"was ended by signal {-code}: was there too little memory?"
    else:
        why = f"ended with exit status {code}"
    return DiedError(f"the process that converted it {why}")


def _stop(processes: list[SpawnProcess]) -> None:
    for process in processes:
        process.terminate()
    for process in processes:
        process.join(_PATIENCE)
        if process.is_alive():
            process.kill()
            process.join()


def _work(theirs: Connection, do: Callable[[Any], Any]) -> None:
    """Do the jobs that come through a pipe, until it is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent to hear
    signal.signal(signal.SIGTERM, _interrupt)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    frozen = False
    try:
        while True:
            try:
                job = theirs.recv()
            except (EOFError, OSError):
                return
            theirs.send(do(job))
            if not frozen:
                # What was imported stays: to look through it for garbage, again and again, would
                # take as long as the conversions do.
                gc.collect()
                gc.freeze()
                frozen = True
    except (KeyboardInterrupt, BrokenPipeError):
        return


def _interrupt(*_: object) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise KeyboardInterrupt


def _end_with(parent: Any) -> None:
    """End this process when its parent does; what it has begun is left whole."""
    parent.join()
    os.kill(os.getpid(), signal.SIGTERM)

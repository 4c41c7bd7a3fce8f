"""Run the jobs of an archive: in this process, in several, or on a cluster."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

from dkist_virtual.fits.threads import ThreadLock, available
from dkist_virtual.publish.archive.pool import DiedError, run_in_processes
from dkist_virtual.publish.archive.work import Job, do, failed

if TYPE_CHECKING:
    from dkist_virtual.protocols import DaskClient
    from dkist_virtual.publish.archive.record import Entry

__all__ = ["run_jobs"]

_WORTH: Final = 16
"""Jobs from which on other processes are started: each imports for seconds."""

_AHEAD: Final = 2
"""Jobs for each of a cluster's threads that run or wait."""

_ONE = ThreadLock()
"""A process of a cluster converts one dataset at a time: Python's list of warnings is one for all
threads."""


def run_jobs(
    jobs: Sequence[Job], workers: int | None, client: DaskClient | None
) -> Generator[tuple[Job, Entry], None, None]:
    """Do jobs, and yield what came of each as it is done.

    Parameters
    ----------
    jobs : sequence of Job
    workers : int, optional
        How many processes; 1 for this one. By default as many as there are cores, or this one
        where there is little to do.
    client : distributed.Client, optional
        Whose workers do them instead.
    """
    if client is not None:
        yield from _on_cluster(jobs, client)
        return
    n = workers or (available() if len(jobs) >= _WORTH else 1)
    if min(n, len(jobs)) <= 1:
        for job in jobs:
            yield job, do(job)
        return
    for job, result in run_in_processes(jobs, do, min(n, len(jobs))):
        yield job, failed(job, result) if isinstance(result, DiedError) else result


def _do_alone(job: Job) -> Entry:
    with _ONE:
        return do(job)


def _on_cluster(jobs: Sequence[Job], client: Any) -> Iterator[tuple[Job, Entry]]:
    from distributed import as_completed

    waiting = iter(jobs)
    running: dict[Any, Job] = {}
    done = as_completed()

    def give() -> None:
        for job in waiting:
            # Not pure: an archive changes, so that the same task has to run again.
            future = client.submit(_do_alone, job, pure=False, retries=2)
            running[future] = job
            done.add(future)
            return

    try:
        for _ in range(_AHEAD * max(1, sum(client.nthreads().values()))):
            give()
        for future in done:
            job = running.pop(future)
            give()
            error = future.exception()
            yield job, future.result() if error is None else failed(job, error)
    finally:
        client.cancel(list(running))

"""Share the cores: a single frame is decoded by all of them, many frames by one each.

dask, zarr and a user's own threads may each decode a frame at the same time. Every decode says
so here for as long as it runs, and borrows the cores that do nothing.

A forked process has a copy of every lock and none of the threads that may have locked it: such a
lock would stay locked for ever. So locks are renewed in a fork.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache, cached_property
from threading import Lock, RLock
from typing import Any, Final, TypeVar
from weakref import WeakSet

__all__ = ["ThreadLock", "available", "borrow_cores", "open_in_forks", "pool"]


@cache
def available() -> int:
    """Return how many cores this process may use.

    ``OMP_NUM_THREADS``, with which dask's workers and batch systems say how many threads
    a library may start, is an upper limit.
    """
    try:
        n = len(os.sched_getaffinity(0))
    except AttributeError:  # not on every system
        n = os.cpu_count() or 1
    limit = os.environ.get("OMP_NUM_THREADS", "")
    return max(1, min(n, int(limit)) if limit.isdecimal() else n)


class _Count:
    """Count the threads that decode just now."""

    def __init__(self) -> None:
        self.lock = Lock()
        self.busy = 0


_count = _Count()


@contextmanager
def borrow_cores(most: int) -> Iterator[int]:
    """Borrow the idle cores; yield how many threads to use, the caller's own counted.

    Parameters
    ----------
    most : int
        How many can be used.
    """
    with _count.lock:
        n = max(1, min(most, available() - _count.busy))
        _count.busy += n
    try:
        yield n
    finally:
        with _count.lock:
            _count.busy -= n


@cache
def pool() -> ThreadPoolExecutor:
    """Return the threads that decode on idle cores, started when first needed."""
    return ThreadPoolExecutor(max(1, available() - 1), thread_name_prefix="fits-decode")


class ThreadLock:
    """Lock between threads; the thread that has the lock may take it again."""

    def __init__(self) -> None:
        self._lock = RLock()
        _LOCKS.add(self)

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()

    def renew(self) -> None:
        """Open the lock in a process that was forked."""
        self._lock = RLock()


_LOCKS: Final[WeakSet[ThreadLock]] = WeakSet()
_CACHED: Final[list[Any]] = []
T = TypeVar("T")


def open_in_forks(kind: type[T]) -> type[T]:
    """Make the cached properties of a class usable in forked processes.

    Until Python 3.12 each of them has a lock, which is locked while any object computes it.
    """
    own = (value for value in vars(kind).values() if isinstance(value, cached_property))
    _CACHED.extend(value for value in own if hasattr(value, "lock"))
    return kind


def _renew() -> None:
    """Renew locks in a forked process, which has no thread and decodes nothing yet."""
    pool.cache_clear()
    _count.lock, _count.busy = Lock(), 0
    for lock in _LOCKS:
        lock.renew()
    for cached in _CACHED:
        cached.lock = RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew)

"""Share the cores: a single frame is decoded by all of them, many frames by one each.

dask, zarr and a user's own threads may each decode a frame at the same time. Every decode says
so here for as long as it runs, and borrows the cores that do nothing.

A process is forked with a copy of every lock, and with none of the threads that may hold one: what
such a thread held in the parent would stay locked in the child for ever. So locks are renewed
there.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache, cached_property
from threading import Lock, RLock
from typing import TYPE_CHECKING, Any, Final, TypeVar
from weakref import WeakSet

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

__all__ = ["ThreadLock", "available", "borrowed", "open_in_forks", "pool"]


@cache
def available() -> int:
    """How many cores this process may use.

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
    """How many threads decode just now."""

    def __init__(self) -> None:
        self.lock = Lock()
        self.busy = 0

    def take(self, most: int) -> int:
        """One thread, and idle cores up to `most` in all."""
        with self.lock:
            n = max(1, min(most, available() - self.busy))
            self.busy += n
        return n

    def give(self, n: int) -> None:
        """They are done."""
        with self.lock:
            self.busy -= n


_count = _Count()


@contextmanager
def borrowed(most: int) -> Iterator[int]:
    """Decode with as many threads as there are idle cores.

    Parameters
    ----------
    most : int
        How many there is work for.

    Yields
    ------
    int
        How many to use, the caller's own counted: 1 at least.
    """
    n = _count.take(most)
    try:
        yield n
    finally:
        _count.give(n)


@cache
def pool() -> ThreadPoolExecutor:
    """The threads that stand in on idle cores, started when first needed."""
    return ThreadPoolExecutor(max(1, available() - 1), thread_name_prefix="dkist-decode")


def _forget() -> None:
    """A forked process has none of its parent's threads, and decodes nothing yet."""
    pool.cache_clear()
    _count.lock, _count.busy = Lock(), 0


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)


class ThreadLock:
    """A lock between threads, which the one that holds it may take again."""

    def __init__(self) -> None:
        self._lock = RLock()
        _LOCKS.add(self)

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        self._lock.release()

    def renew(self) -> None:
        """Be open, whoever held it: in a process that was forked."""
        self._lock = RLock()


_LOCKS: Final[WeakSet[ThreadLock]] = WeakSet()
_CACHED: Final[list[Any]] = []
T = TypeVar("T")


def open_in_forks(kind: type[T]) -> type[T]:
    """Have forked processes find the cached properties of a class open.

    Until Python 3.12 each of them holds a lock while it is computed, whosever it is.
    """
    own = (value for value in vars(kind).values() if isinstance(value, cached_property))
    _CACHED.extend(value for value in own if hasattr(value, "lock"))
    return kind


def _renew() -> None:
    for lock in _LOCKS:
        lock.renew()
    for cached in _CACHED:
        cached.lock = RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew)

"""Locks that a forked process finds open.

A process is forked with a copy of every lock, and with none of the threads that may hold one: what
such a thread held in the parent would stay locked in the child for ever.
"""

from __future__ import annotations

import os
from functools import cached_property
from threading import RLock
from typing import TYPE_CHECKING, Any, Final, TypeVar
from weakref import WeakSet

if TYPE_CHECKING:
    from types import TracebackType

__all__ = ["ThreadLock", "open_in_forks"]


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

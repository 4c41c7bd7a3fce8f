"""Allocate memory for pixels, and use it again when nothing refers to it any more.

The C library takes the tens of megabytes of a frame from the system and gives them back every
time, and the system clears each page anew, which can take longer than decoding. So freed memory
is kept for the next frame, within a limit.
"""

from __future__ import annotations

import math
import os
from threading import Lock
from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import DTypeLike, NDArray

__all__ = ["IDLE_BYTES", "empty"]

IDLE_BYTES: Final = 2**29
"""How much idle memory is kept at most: a few of the chunks into which dask's default joins frames.
With room for one alone, the mean of 100 frames took a fifth longer."""

_IDLE_PIECES: Final = 256
"""How many pieces are kept at most: each `take` looks at them."""

_LEAST_BYTES: Final = 2**17
"""Less than this comes from the C library's own memory, and not from the system's new pages."""


def empty(shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[np.generic]:
    """Allocate an array as `numpy.empty` does.

    Its memory goes back when it and all its views are gone.
    """
    dtype = np.dtype(dtype)
    n = math.prod(shape) * dtype.itemsize
    if n < _LEAST_BYTES:
        return np.empty(shape, dtype)
    return np.asarray(_Lease(_pool, _size_class(n)))[:n].view(dtype).reshape(shape)


def _size_class(n: int) -> int:
    """Round a size up, by at most an eighth: frames differ a little."""
    step = 1 << max(n.bit_length() - 4, 0)
    return -(-n // step) * step


class _Lease:
    """Lend memory to an array: it goes back to the pool when the array is gone."""

    def __init__(self, pool: _Pool, n: int) -> None:
        self.pool = pool  # kept here, since an interpreter that ends takes modules apart first
        self.raw = pool.take(n)

    @property
    def __array_interface__(self) -> dict[str, Any]:
        return self.raw.__array_interface__

    def __del__(self) -> None:
        self.pool.give(self.raw)


class _Pool:
    """Keep memory to be used again; the memory that waited longest is given up first."""

    def __init__(self) -> None:
        self.lock = Lock()
        self.idle: list[NDArray[np.uint8]] = []
        self.nbytes = 0
        # Kept here for the same reason as the pool by a lease.
        self.most_bytes, self.most_pieces = IDLE_BYTES, _IDLE_PIECES

    def take(self, n: int) -> NDArray[np.uint8]:
        """Return memory of `n` bytes."""
        with self.lock:
            for i in range(len(self.idle) - 1, -1, -1):
                if self.idle[i].nbytes == n:
                    self.nbytes -= n
                    return self.idle.pop(i)
        return np.empty(n, np.uint8)

    def give(self, raw: NDArray[np.uint8]) -> None:
        """Take back memory that is not used any more."""
        # Called whenever an array is freed, which may be in the middle of `take` in this very
        # thread: where the lock is not open at once, the system gets the memory.
        if not self.lock.acquire(blocking=False):
            return
        try:
            self.idle.append(raw)
            self.nbytes += raw.nbytes
            while self.nbytes > self.most_bytes or len(self.idle) > self.most_pieces:
                self.nbytes -= self.idle.pop(0).nbytes
        finally:
            self.lock.release()


_pool = _Pool()


def _forget() -> None:
    """Renew the lock in a forked process, which lacks the thread that may have locked it."""
    _pool.lock = Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)

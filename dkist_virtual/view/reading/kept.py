"""Keep what was read last, up to a number of bytes."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from dkist_virtual.fits.threads import ThreadLock

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

__all__ = ["Kept"]


class _Sized(Protocol):
    @property
    def nbytes(self) -> int: ...


T = TypeVar("T", bound=_Sized)


class Kept(Generic[T]):
    """What was used last, by a key; threads may share it.

    Parameters
    ----------
    nbytes : int
        Bytes that are kept at most. What was used last stays, however large it is.
    """

    def __init__(self, nbytes: int) -> None:
        self._most = nbytes
        self._kept: OrderedDict[Hashable, T] = OrderedDict()
        self._lock = ThreadLock()

    def get(self, key: Hashable, make: Callable[[], T] | None = None) -> T | None:
        """Return what is kept for a key, or make it; None where it is neither."""
        with self._lock:
            found = self._kept.get(key)
            if found is None:
                if make is None:
                    return None
                found = self._kept[key] = make()
            self._kept.move_to_end(key)
            while len(self._kept) > 1 and self.nbytes > self._most:
                self._kept.popitem(last=False)
            return found

    def drop(self, key: Hashable, one: T) -> None:
        """Keep this one no longer, if it is what is kept for a key."""
        with self._lock:
            if self._kept.get(key) is one:
                del self._kept[key]

    @property
    def nbytes(self) -> int:
        """Bytes that are kept."""
        return sum(one.nbytes for one in self._kept.values())

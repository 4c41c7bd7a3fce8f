"""Keep what was read last, up to a number of bytes, and the readers of the tiles shown last."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Final, Generic, Protocol, TypeVar

from dkist_virtual.fits.threads import ThreadLock

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

__all__ = ["Kept", "Readers"]

TILES: Final = 16
"""Of a mosaic, whose readers are kept."""


class _Sized(Protocol):
    @property
    def nbytes(self) -> int: ...


class _Forgets(Protocol):
    def forget_absent(self) -> None: ...


T = TypeVar("T", bound=_Sized)
R = TypeVar("R", bound=_Forgets)


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

    def replace(self, change: Callable[[T], T | None]) -> None:
        """Keep another one in place of each; none where the function returns None."""
        with self._lock:
            for key, one in list(self._kept.items()):
                other = change(one)
                if other is None:
                    del self._kept[key]
                else:
                    self._kept[key] = other

    @property
    def nbytes(self) -> int:
        """Bytes that are kept."""
        return sum(one.nbytes for one in self._kept.values())


class Readers(Generic[R]):
    """The readers of the tiles that were shown last.

    Parameters
    ----------
    make : callable
        Makes the reader of a tile, by its number, when it is first needed.
    """

    def __init__(self, make: Callable[[int], R]) -> None:
        self._make = make
        self._readers: OrderedDict[int, R] = OrderedDict()
        self._lock = ThreadLock()

    def of(self, tile: int) -> R:
        """Return the reader of a tile."""
        with self._lock:
            if tile not in self._readers:
                self._readers[tile] = self._make(tile)
            self._readers.move_to_end(tile)
            while len(self._readers) > TILES:
                self._readers.popitem(last=False)
            return self._readers[tile]

    def forget_absent(self) -> None:
        """Let each forget what it read of absent frames."""
        with self._lock:
            for reader in self._readers.values():
                reader.forget_absent()

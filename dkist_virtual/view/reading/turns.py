"""Let reads that can wait go on, one at a time, while nothing else is read for a page."""

from __future__ import annotations

import threading
from collections import deque
from contextlib import contextmanager
from time import monotonic
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["PAUSE", "Turns"]

PAUSE: Final = 0.15
"""Seconds without another read after which those that can wait go on: while somebody steps from
picture to picture, the cores are for that."""


class Turns:
    """Gives turns to reads that can wait."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._rests = False
        self._under_way = 0
        self._quiet_from = 0.0
        self._queue: deque[object] = deque()
        """The read whose turn it is, or whose it is next, and those after it."""

    def begin(self) -> None:
        """Say that a read has come that does not wait."""
        with self._changed:
            self._under_way += 1

    def end(self) -> None:
        """Say that it is over."""
        with self._changed:
            self._under_way -= 1
            self._quiet_from = monotonic() + PAUSE
            self._changed.notify_all()

    def rest(self) -> None:
        """Let none go on: nobody sees what they read."""
        with self._changed:
            self._rests = True

    def go_on(self) -> None:
        """Let them go on after a rest."""
        with self._changed:
            if self._rests:
                self._rests = False
                self._changed.notify_all()

    def wake(self) -> None:
        """Let those that wait look whether they are still wanted."""
        with self._changed:
            self._changed.notify_all()

    @contextmanager
    def turn(self, is_over: Callable[[], bool]) -> Iterator[bool]:
        """Wait for a turn, and have it: others wait until this ends, the first to come first.

        Yields False where the read is over before its turn has come. While a read waits, it must
        hold nothing that another one needs, unless it lets go of it when it is over.
        """
        place = object()
        with self._changed:
            self._queue.append(place)
        try:
            yield self._wait(place, is_over)
        finally:
            with self._changed:
                self._queue.remove(place)
                self._changed.notify_all()

    def _wait(self, place: object, is_over: Callable[[], bool]) -> bool:
        with self._changed:
            while not is_over():
                left: float | None = None
                if self._queue[0] is place and not self._rests and not self._under_way:
                    left = self._quiet_from - monotonic()
                    if left <= 0:
                        return True
                self._changed.wait(left)
        return False

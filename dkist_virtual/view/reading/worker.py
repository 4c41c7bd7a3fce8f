"""Run the newest request of each panel in a thread, and leave out those that it replaces."""

from __future__ import annotations

import threading
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["Ticket", "Worker"]

T = TypeVar("T")
THREADS = 4
"""Requests that are read at once."""


@dataclass(frozen=True)
class Ticket:
    """One request: it is over when a newer one of the same name has come."""

    name: str
    _over: threading.Event = field(default_factory=threading.Event)

    @property
    def is_over(self) -> bool:
        """Whether nobody waits for the answer any more."""
        return self._over.is_set()

    def end(self) -> None:
        """Let the request stop at its next step."""
        self._over.set()


class Worker:
    """Reads for the panels of one page.

    Parameters
    ----------
    schedule : callable
        Calls a function later in the thread of the page, such as Bokeh's `add_next_tick_callback`.
        It may call functions in another order than that in which it was given them, as Bokeh does
        while a page is being made: here they are called in their own.
    """

    def __init__(self, schedule: Callable[[Callable[[], None]], Any]) -> None:
        self._later = schedule
        self.is_closed = False
        """Whether the page is."""
        self._calls: deque[Callable[[], object]] = deque()
        self._tickets: dict[str, Ticket] = {}
        self._waiting: list[tuple[str, Callable[[], None]]] = []
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="dkist-virtual-view")
        self._ahead = ThreadPoolExecutor(1, thread_name_prefix="dkist-virtual-view-ahead")

    def _schedule(self, call: Callable[[], object]) -> None:
        """Call a function in the thread of the page, after those that were scheduled before."""
        self._calls.append(call)
        self._later(self._call_next)

    def _call_next(self) -> None:
        self._calls.popleft()()

    def read(
        self,
        name: str,
        steps: Callable[[], Iterator[T]],
        show: Callable[[T], None],
        failed: Callable[[Exception], None],
    ) -> Ticket:
        """Read in a thread; show each part as it comes.

        Parameters
        ----------
        name : str
            Of the panel. Its request before this one is ended.
        steps : callable
            Returns an iterator of what is read, part by part. It is not continued after a newer
            request of the same name.
        show, failed : callable
            Are called in the thread of the page, unless a newer request has come.
        """
        before = self._tickets.get(name)
        if before is not None:
            before.end()
        ticket = self._tickets[name] = Ticket(name)

        def over() -> None:
            ticket.end()
            self._call_waiting()

        def run() -> None:
            try:
                for part in steps() if not ticket.is_over else ():
                    if ticket.is_over:
                        return
                    self._schedule(lambda part=part: None if ticket.is_over else show(part))  # type: ignore[misc]
            except Exception as error:  # noqa: BLE001  # the page says what failed
                caught = error
                self._schedule(lambda: None if ticket.is_over else failed(caught))
            finally:
                self._schedule(over)

        self._threads.submit(run)
        return ticket

    def call(self, function: Callable[[], object]) -> None:
        """Call a function in the thread of the page, after those before; nothing once it closed."""
        if not self.is_closed:
            self._schedule(function)

    def when_idle(self, call: Callable[[], None], prefix: str = "") -> None:
        """Call a function once nothing is being read for names that begin with a prefix.

        It is called in the thread of the page: at once where nothing is, and otherwise after the
        last part was shown.
        """
        self._waiting.append((prefix, call))
        self._call_waiting()

    def _call_waiting(self) -> None:
        busy = [name for name, ticket in self._tickets.items() if not ticket.is_over]
        ready = [one for one in self._waiting if not any(n.startswith(one[0]) for n in busy)]
        self._waiting = [one for one in self._waiting if one not in ready]
        for _, call in ready:
            call()

    def read_ahead(self, read: Callable[[], object]) -> None:
        """Read in the background what may be asked for next; errors are left for then."""
        self._ahead.submit(read)

    def close(self) -> None:
        """End all requests."""
        self.is_closed = True
        for ticket in self._tickets.values():
            ticket.end()
        for pool in (self._threads, self._ahead):
            pool.shutdown(wait=False, cancel_futures=True)

"""Run the newest request of each panel in a thread, and leave out those that it replaces."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from dkist_virtual.view.reading.turns import Turns

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Ticket", "Worker"]

T = TypeVar("T")
THREADS = 4
"""Requests that are read at once."""
PATIENT = 16
"""Requests that can wait which have begun: one of them reads, the others wait for their turns."""


@dataclass(frozen=True)
class Ticket:
    """One request: it is over when a newer one of the same name has come.

    Parameters
    ----------
    name : str
    is_patient : bool
        Whether it waits for others.
    """

    name: str
    is_patient: bool = False
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
        self._turns = Turns()
        self.rest, self.go_on = self._turns.rest, self._turns.go_on
        self.is_closed = False
        """Whether the page is."""
        self._calls: deque[Callable[[], object]] = deque()
        self._tickets: dict[str, Ticket] = {}
        self._waiting: list[tuple[str, bool, Callable[[], None]]] = []
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="dkist-virtual-view")
        # In threads of their own: while they wait, the others stay free.
        self._patient = ThreadPoolExecutor(PATIENT, thread_name_prefix="dkist-virtual-view-later")
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
        steps: Callable[[], Iterator[T | None]],
        show: Callable[[T], None],
        failed: Callable[[Exception], None],
        *,
        is_patient: bool = False,
    ) -> Ticket:
        """Read in a thread; show each part as it comes.

        Parameters
        ----------
        name : str
            Of the panel. Its request before this one is ended.
        steps : callable
            Returns an iterator of what is read, part by part. It is not continued after a newer
            request of the same name. A None shows nothing: it is a place to stop.
        show, failed : callable
            Are called in the thread of the page, unless a newer request has come.
        is_patient : bool
            Whether each part waits until nothing else has been read for a moment.
        """
        before = self._tickets.get(name)
        if before is not None:
            before.end()
            self._turns.wake()
        ticket = self._tickets[name] = Ticket(name, is_patient)

        def parts() -> Iterator[T | None]:
            if not is_patient:
                yield from steps()
                return
            coming: Iterator[T | None] | None = None
            while True:
                # One at a time: else they would take turns with what does not wait, too.
                with self._turns.turn(lambda: ticket.is_over) as is_ours:
                    if not is_ours:
                        return
                    coming = steps() if coming is None else coming
                    try:
                        part = next(coming)
                    except StopIteration:
                        return
                yield part

        def over() -> None:
            ticket.end()
            self._call_waiting()

        def run() -> None:
            try:
                for part in parts() if not ticket.is_over else ():
                    if ticket.is_over:
                        return
                    if part is not None:
                        self._schedule(lambda part=part: None if ticket.is_over else show(part))  # type: ignore[misc]
            except Exception as error:  # noqa: BLE001  # the page says what failed
                caught = error
                self._schedule(lambda: None if ticket.is_over else failed(caught))
            finally:
                if not is_patient:
                    self._turns.end()
                self._schedule(over)

        if not is_patient:
            self._turns.begin()
        (self._patient if is_patient else self._threads).submit(run)
        return ticket

    def drop(self, name: str) -> None:
        """End the requests of a panel that was closed: those whose names begin with its own."""
        for own, ticket in self._tickets.items():
            if own == name or own.startswith(f"{name}-"):
                ticket.end()
        self._turns.wake()

    @contextmanager
    def set_aside(self) -> Iterator[None]:
        """Let requests that can wait do so meanwhile."""
        self._turns.begin()
        try:
            yield
        finally:
            self._turns.end()

    def call(self, function: Callable[[], object]) -> None:
        """Call a function in the thread of the page, after those before; nothing once it closed."""
        if not self.is_closed:
            self._schedule(function)

    def is_reading(self, prefix: str) -> bool:
        """Tell whether something that does not wait is read for a name that begins so."""
        return any(
            name.startswith(prefix) and not (ticket.is_over or ticket.is_patient)
            for name, ticket in self._tickets.items()
        )

    def when_idle(
        self, call: Callable[[], None], prefix: str = "", *, is_patient: bool = True
    ) -> None:
        """Call a function once nothing is being read for names that begin with a prefix.

        It is called in the thread of the page: at once where nothing is, and otherwise after the
        last part was shown.

        Parameters
        ----------
        call : callable
        prefix : str
        is_patient : bool
            Whether requests that can wait count too.
        """
        self._waiting.append((prefix, is_patient, call))
        self._call_waiting()

    def _call_waiting(self) -> None:
        busy = [ticket for ticket in self._tickets.values() if not ticket.is_over]
        ready = [
            (prefix, is_patient, call) for prefix, is_patient, call in self._waiting
            if not any(
                one.name.startswith(prefix) and (is_patient or not one.is_patient) for one in busy
            )
        ]  # fmt: skip
        self._waiting = [one for one in self._waiting if one not in ready]
        for *_, call in ready:
            call()

    def read_ahead(self, read: Callable[[], object]) -> None:
        """Read in the background what may be asked for next; errors are left for then."""
        self._ahead.submit(read)

    def close(self) -> None:
        """End all requests."""
        self.is_closed = True
        for ticket in self._tickets.values():
            ticket.end()
        self._turns.wake()
        for pool in (self._threads, self._patient, self._ahead):
            pool.shutdown(wait=False, cancel_futures=True)

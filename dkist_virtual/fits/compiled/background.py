"""Compile kernels in a thread that gives way to decoding, and ends with the process.

A compilation takes seconds in which Python code runs, so a thread that decodes with numpy meanwhile
would wait for the interpreter at each step. So the two take turns: between two steps of the
compiler, the thread waits while anything is decoded with numpy (`decoding`), until that took
`MOST_SECONDS` in all, or somebody waits for a kernel.

A process may end or fork only while the compiler is between two steps: it then gives up, at most a
second later. After a fork it begins again; the functions that were complete by then are kept.
"""

from __future__ import annotations

import atexit
import os
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from functools import cache
from importlib import import_module
from threading import Condition, Event, Lock, Thread, current_thread
from typing import Any, Final

from dkist_virtual.fits.threads import ThreadLock

__all__ = [
    "FREE_SECONDS",
    "MOST_SECONDS",
    "Job",
    "decoding",
    "is_worthwhile",
    "keep_from_forking",
    "may_decode",
    "submit",
]

FREE_SECONDS: Final = 0.5
"""Decoding with numpy takes this long before anything is compiled: many a process reads one frame,
and would end in the middle of a compilation."""

MOST_SECONDS: Final = 2.0
"""After so long, frames wait for the kernels."""

SILENT_SECONDS: Final = 2.0
"""Who waits longer for a kernel is told why, where a person reads it."""


class _GivenUpError(BaseException):
    """The compilation is to end: no `Exception`, so that nothing handles it on the way."""


class Job:
    """Compile one kernel, once; `wait` gives what `compile_it` returned.

    Parameters
    ----------
    compile_it : callable
        Takes no argument.
    """

    def __init__(self, compile_it: Callable[[], Any]) -> None:
        self._compile = compile_it
        self._done = Event()
        self._result: Any = None
        self._error: Exception | None = None

    def run(self) -> None:
        """Compile; an exception is for those who wait."""
        try:
            self._result = self._compile()
        except Exception as error:  # noqa: BLE001
            self._error = error
        self._done.set()

    @property
    def ready(self) -> bool:
        """Whether the kernel can be had without waiting."""
        return self._done.is_set()

    def wait(self) -> Any:
        """Return the kernel, or raise what compiling it raised."""
        if not self.ready:
            with _compiler.waited_for():
                submit(self)
                if not self._done.wait(SILENT_SECONDS):
                    _say_why()
                    self._done.wait()
        if self._error is not None:
            raise self._error
        return self._result


@cache
def _say_why() -> None:
    """Say once that kernels are compiled, in a terminal or a notebook."""
    if sys.stderr.isatty() or "ipykernel" in sys.modules:
        sys.stderr.write(
            "dkist_virtual compiles the decoder for this processor: some seconds, once in an "
            "installation.\n"
        )


class _Compiler:
    """Run jobs in a thread."""

    def __init__(self) -> None:
        self.changed = Condition()
        self.jobs: deque[Job] = deque()
        self.thread: Thread | None = None
        self.given_up = 0
        self.closed = False
        self.decoding = self.waiting = 0
        self.seconds = 0.0

    def start(self) -> None:
        """Start the thread if there is work for it."""
        with self.changed:
            if not self.jobs or self.thread is not None or self.given_up:
                return
            self.thread = Thread(target=self._run, name="fits-compile", daemon=True)
            thread = self.thread
        thread.start()

    def _run(self) -> None:
        while True:
            with self.changed:
                if not self.jobs or self.given_up:
                    self.thread = None
                    return
                job = self.jobs[0]
            try:
                with _between_steps(self._pause), _own_warnings():
                    job.run()
            except _GivenUpError:
                continue
            with self.changed:
                self.jobs.popleft()

    def _pause(self) -> None:
        """Wait, between two steps of the compiler, while anything is decoded with numpy."""
        with self.changed:
            while self.decoding and not self.waiting and not self.given_up:
                self.changed.wait()
            if self.given_up:
                raise _GivenUpError

    def give_up(self) -> None:
        """Stop the thread, and wait for that."""
        with self.changed:
            self.given_up += 1
            self.changed.notify_all()
            thread = self.thread
        if thread is not None and thread is not current_thread():
            thread.join()

    def go_on(self) -> None:
        """Start again what was given up."""
        with self.changed:
            self.given_up -= 1
        self.start()

    @contextmanager
    def waited_for(self) -> Iterator[None]:
        """Say that somebody waits."""
        with self.changed:
            self.waiting += 1
            self.changed.notify_all()
        try:
            yield
        finally:
            with self.changed:
                self.waiting -= 1


_compiler = _Compiler()
_turn = ThreadLock()


def submit(job: Job) -> None:
    """Have a job done in the background, if it is not yet."""
    if job.ready:
        return
    if _compiler.closed:  # the interpreter ends, and starts no thread any more
        job.run()
        return
    with _compiler.changed:
        if job not in _compiler.jobs:
            _compiler.jobs.append(job)
    try:
        _compiler.start()
    except RuntimeError:  # no thread can be started
        _compiler.thread = None
        _compiler.jobs.remove(job)
        job.run()


def may_decode(seconds: float) -> bool:
    """Say whether something may be decoded with numpy that takes so long."""
    return _compiler.seconds + seconds <= MOST_SECONDS


@contextmanager
def decoding() -> Iterator[None]:
    """Decode with numpy, one thread at a time: each would wait for the others at every step."""
    with _compiler.changed:
        _compiler.decoding += 1
    try:
        with _turn:
            begin = time.perf_counter()
            try:
                yield
            finally:
                _compiler.seconds += time.perf_counter() - begin
    finally:
        with _compiler.changed:
            _compiler.decoding -= 1
            _compiler.changed.notify_all()


def is_worthwhile() -> bool:
    """Say whether enough was decoded with numpy to compile kernels."""
    return _compiler.seconds >= FREE_SECONDS


@contextmanager
def _between_steps(pause: Callable[[], None]) -> Iterator[None]:
    """Call a function between two steps of the compiler, in this thread."""
    from numba.core import event

    own = current_thread()

    class Listener(event.Listener):
        def on_start(self, _: Any) -> None:
            if current_thread() is own:
                pause()

        def on_end(self, _: Any) -> None:
            pass

    pause()
    with event.install_listener("numba:run_pass", Listener()):
        yield


@contextmanager
def _own_warnings() -> Iterator[None]:
    """Keep numba from setting filters of warnings in this thread.

    It sets them a thousand times in a compilation, and puts back what was there. They belong to the
    whole process: what another thread sets meanwhile, as ``with warnings.catch_warnings()`` does,
    would be undone too early, or never. The kernels give no warnings that numba would collect.
    """
    errors: Any = import_module("numba.core.errors")  # which comes half typed
    own, collected = current_thread(), errors.WarningsFixer.catch_warnings

    def collect(fixer: Any, *place: Any, **named: Any) -> Any:
        return nullcontext() if current_thread() is own else collected(fixer, *place, **named)

    errors.WarningsFixer.catch_warnings = collect
    try:
        yield
    finally:
        errors.WarningsFixer.catch_warnings = collected


@contextmanager
def keep_from_forking() -> Iterator[None]:
    """Let no other thread fork the process meanwhile.

    A fork copies the locks of modules that are being imported and those of LLVM, and nobody would
    ever open them in the child.
    """
    with _forks.open:
        yield


class _Forks:
    """Stop the compiler, and whatever must not be copied half done, while the process forks."""

    def __init__(self) -> None:
        self.open = Lock()

    def before(self) -> None:
        _compiler.give_up()
        self.open.acquire()

    def in_parent(self) -> None:
        self.open.release()
        _compiler.go_on()

    def in_child(self) -> None:
        self.open = Lock()
        _compiler.__init__()  # type: ignore[misc]  # a fork copies no thread


_forks = _Forks()


def _close() -> None:
    """End with the process: LLVM must not run while its library is taken down."""
    _compiler.closed = True
    _compiler.give_up()


atexit.register(_close)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_forks.before,
        after_in_parent=_forks.in_parent,
        after_in_child=_forks.in_child,
    )

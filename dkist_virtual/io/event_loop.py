"""Run coroutines on fsspec's event loop, and wait for them in a thread."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import wait
from typing import TYPE_CHECKING, Any, Final, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable

__all__ = ["gather", "run"]

T = TypeVar("T")


EVERY: Final = 0.2
"""Seconds from one call of `meanwhile` to the next."""


def run(
    work: Coroutine[Any, Any, T],
    *,
    patience: float = 0.0,
    meanwhile: Callable[[], object] | None = None,
) -> T:
    """Run a coroutine on fsspec's event loop, which is not this thread's.

    Where the waiting ends by an exception, Ctrl-C for example, the coroutine is cancelled.

    Parameters
    ----------
    work : coroutine
    patience : float
        Seconds to wait for a cancelled one to end.
    meanwhile : callable, optional
        Is called in this thread while it waits, some times a second. An exception of its own ends
        the waiting.
    """
    from fsspec.asyn import get_loop

    loop, ended = get_loop(), threading.Event()
    tasks: list[asyncio.Task[T]] = []
    is_given_up = False

    async def until_ended() -> T:
        task: Any = asyncio.current_task()
        tasks.append(task)
        try:
            if is_given_up:
                work.close()
                raise asyncio.CancelledError
            return await work
        finally:
            ended.set()

    def give_up() -> None:
        for task in tasks:
            task.cancel()
        if not tasks:  # it has not begun, and then ends at once, or never begins
            ended.set()

    try:
        # Ctrl-C may come before this call has returned what would cancel its coroutine.
        running = asyncio.run_coroutine_threadsafe(until_ended(), loop)
        while meanwhile is not None and not wait([running], EVERY).done:
            meanwhile()
        return running.result()
    except BaseException:
        is_given_up = True
        loop.call_soon_threadsafe(give_up)
        ended.wait(patience)
        raise


async def gather(work: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """Run coroutines at once: where one fails, the others are cancelled and have ended."""
    tasks = [asyncio.ensure_future(one) for one in work]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            if not task.cancelling():  # a second time would interrupt what it puts in order
                task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

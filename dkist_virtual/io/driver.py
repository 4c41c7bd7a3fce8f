"""Fetch the bytes that a frame's reader asks for, for one frame or many at once.

A session is a generator: it yields requests, is sent their replies or thrown what kept them from
coming, and returns what was read. One session alone is driven in its own thread. Many at once are
driven on fsspec's event loop, where a hundred requests wait for their server without a hundred
threads, and decode on others.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from dkist_virtual.errors import FrameError, FrameMissingError
from dkist_virtual.fits.threads import available
from dkist_virtual.io.fetcher import gathered
from dkist_virtual.io.settings import setting

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from dkist_virtual.io.fetcher import Fetcher, Request
    from dkist_virtual.io.remote.request import Reply

__all__ = ["Session", "drive", "drive_together"]

Session: TypeAlias = "Generator[list[Request], list[Reply], Any]"

_NOT_DONE: Final = object()


def _advance(session: Session, replies: list[Reply] | FrameError | None) -> tuple[Any, Any]:
    """Go on with what came, or did not: the requests wanted next, and what was read once done."""
    try:
        if isinstance(replies, FrameError):
            return session.throw(replies), _NOT_DONE
        return session.send(replies), _NOT_DONE  # type: ignore[arg-type]  # None begins one
    except StopIteration as done:  # a plain value, since threads cannot hand this exception on
        return [], done.value


def drive(session: Session, fetcher: Fetcher) -> Any:
    """Read one frame.

    Raises
    ------
    FrameError
    """
    replies: list[Reply] | FrameError | None = None
    while True:
        wanted, result = _advance(session, replies)
        if result is not _NOT_DONE:
            return result
        try:
            replies = [fetcher.answer(request) for request in wanted]
        except FrameError as error:
            replies = error


def drive_together(
    sessions: Sequence[Session], fetcher: Fetcher, *, quick: bool
) -> list[FrameMissingError | None]:
    """Read many frames at once, into the places that they were begun with.

    Parameters
    ----------
    sessions : sequence of Session
    fetcher : Fetcher
    quick : bool
        Whether so little is decoded of each that handing it to another thread takes longer.

    Returns
    -------
    list
        For each frame that is absent, the error.

    Raises
    ------
    FrameUnreachableError, FrameCorruptError, FrameUnsupportedError
        The first that happens; the others are given up.
    """
    from fsspec.asyn import get_loop

    async def every() -> list[FrameMissingError | None]:
        # Not more are begun than may ask: what was fetched is kept until it is decoded.
        room = asyncio.Semaphore(max(1, int(setting("concurrency"))))
        return await gathered(
            _one(session, fetcher, room, None if quick else pool) for session in sessions
        )

    with ThreadPoolExecutor(available(), thread_name_prefix="dkist-read") as pool:
        running = asyncio.run_coroutine_threadsafe(every(), get_loop())
        try:
            return running.result()
        except BaseException:  # Ctrl-C too
            running.cancel()
            raise


async def _one(
    session: Session, fetcher: Fetcher, room: asyncio.Semaphore, pool: ThreadPoolExecutor | None
) -> FrameMissingError | None:
    loop = asyncio.get_running_loop()
    async with room:
        replies: list[Reply] | FrameError | None = None
        while True:
            try:
                if pool is None or replies is None:  # what is asked for first takes no time
                    wanted, result = _advance(session, replies)
                else:
                    wanted, result = await loop.run_in_executor(pool, _advance, session, replies)
            except FrameMissingError as error:
                return error
            if result is not _NOT_DONE:
                return None
            try:
                replies = await asyncio.gather(*(fetcher.answer_async(part) for part in wanted))
            except FrameError as error:
                replies = error

"""Read many frames at once, and decide how many: by threads here, by an event loop elsewhere.

On fsspec's event loop a hundred requests wait for their server without a hundred threads; what
came is decoded on others.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, TypeVar

from dkist_virtual.errors import FrameError
from dkist_virtual.fits.partial import drive, drive_async
from dkist_virtual.fits.threads import available
from dkist_virtual.io.byte_range import Request
from dkist_virtual.io.event_loop import gather, run
from dkist_virtual.io.settings import setting

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from dkist_virtual.fits.partial import Reading
    from dkist_virtual.io.byte_range import Reply
    from dkist_virtual.io.fetcher import Fetcher

__all__ = ["at_once", "read_files", "read_many"]

T = TypeVar("T")


def at_once(*, local: bool, workers: int | None = None) -> int:
    """Decide how many files are read at once.

    Parameters
    ----------
    local : bool
        Whether they are on this machine.
    workers : int, optional
        How many a user asked for.
    """
    if workers is None:
        workers = 4 if local else int(setting("concurrency"))
    return max(1, workers)


def read_many(
    readings: Sequence[Reading[Request, Reply, T]],
    fetcher: Fetcher,
    *,
    local: bool = False,
    workers: int | None = None,
    quick: bool = True,
) -> Iterator[T]:
    """Drive many reads at once, and yield their results in order.

    Parameters
    ----------
    readings : sequence of Reading
    fetcher : Fetcher
    local : bool
        Whether the files are on this machine.
    workers : int, optional
        How many at once; see `at_once`.
    quick : bool
        Whether so little is done with each reply that passing it to another thread takes longer.

    Raises
    ------
    FrameError
        The first that a read raises; the others are given up.
    """
    n = at_once(local=local, workers=workers)
    if local:
        with ThreadPoolExecutor(n) as pool:
            yield from pool.map(lambda reading: drive(reading, fetcher.answer), readings)
        return

    async def every(pool: ThreadPoolExecutor | None) -> list[T]:
        # Not more are begun than may ask: what was fetched is kept until it is decoded.
        room = asyncio.Semaphore(n)
        loop = asyncio.get_running_loop()

        async def work(step: Callable[..., Any], *given: Any) -> Any:
            return step(*given) if pool is None else await loop.run_in_executor(pool, step, *given)

        async def one(reading: Reading[Request, Reply, T]) -> T:
            async with room:
                return await drive_async(reading, fetcher.answer_async, work)

        return await gather(map(one, readings))

    with ThreadPoolExecutor(available(), thread_name_prefix="dkist-read") as pool:
        yield from run(every(None if quick else pool))  # no thread begins without work


def read_files(
    urls: Sequence[str], fetcher: Fetcher, most: Sequence[int | None] | None = None
) -> list[bytes | FrameError]:
    """Read whole files, all at once; for those that cannot be had, the error.

    Parameters
    ----------
    urls : sequence of str
    fetcher : Fetcher
    most : sequence of int, optional
        How many bytes each may have; None where the setting says it.
    """

    def whole(url: str, bound: int | None) -> Reading[Request, Reply, bytes | FrameError]:
        try:
            (reply,) = yield [Request(url, most=bound)]
        except FrameError as error:
            return error
        return bytes(reply.data)

    return list(read_many(list(map(whole, urls, most or [None] * len(urls))), fetcher))

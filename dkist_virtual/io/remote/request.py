"""Request a byte range from a server or bucket: once, with retries where they can help.

Everything runs on fsspec's event loop, in sessions that fsspec opens with the user's options. For
HTTP and S3 the answer itself is read, since what it says of the file (its length, its ETag) tells a
changed frame from the one that was scanned; of any other filesystem only the bytes are known.

A request fails in one of three ways (`dkist_virtual.errors`): the server says that there is no
such file, which is absent; it cannot be asked, refuses, or breaks off, which is unreachable; it
sends something else than was asked for, which is corrupt.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeAlias, TypeVar

from dkist_virtual.errors import (
    FrameError,
    FrameMissingError,
    FrameRefusedError,
    FrameUnreachableError,
    LocationError,
)
from dkist_virtual.io.byte_range import Reply
from dkist_virtual.io.locations import Location, redirected, shown
from dkist_virtual.io.remote.http import ask_web, pour_web
from dkist_virtual.io.remote.reply import (
    BLOCK,
    AgainError,
    MovedError,
    add,
    too_long,
    why,
)
from dkist_virtual.io.remote.s3 import ask_s3, pour_s3
from dkist_virtual.io.safety import check_address
from dkist_virtual.io.settings import setting
from dkist_virtual.text import counted

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from fsspec import AbstractFileSystem

    from dkist_virtual.io.block_cache import BlockCache
    from dkist_virtual.io.byte_range import Request
    from dkist_virtual.io.remote.reply import Sink

__all__ = ["filesystem_of", "get", "pour"]


T = TypeVar("T")

Options: TypeAlias = "Callable[[str], Mapping[str, Any]]"
"""Gives the options of fsspec's filesystem for a URL."""

MAX_MOVES: Final = 10
"""How many redirects are followed."""


def _moved(url: str, location: str, moves: int) -> str:
    """Resolve and check a redirect."""
    try:
        target = redirected(url, location)
        if moves >= MAX_MOVES:
            raise FrameUnreachableError(
                f"{shown(url)}: was sent on {moves} times, the last time to {shown(target)}"
            )
        allowed = ("https",) if url.startswith("https:") else ("http", "https")
        if target.partition("://")[0].lower() not in allowed:
            raise FrameUnreachableError(
                f"{shown(url)}: its server sends us on to {shown(target)}: expected "
                f"{' or '.join(allowed)}"
            )
        check_address(target)
        return str(Location.of(target))
    except (LocationError, FrameRefusedError) as error:
        raise FrameUnreachableError(f"{shown(url)}: its server sends us on: {error}") from None


def _asked(url: str) -> str:
    """Normalise a URL, so that its options are chosen for what is really requested."""
    try:
        return str(Location.of(url))
    except LocationError as error:
        raise FrameUnreachableError(str(error)) from None


async def get(
    request: Request,
    options: Options,
    limit: asyncio.Semaphore,
    cache: BlockCache | None = None,
) -> Reply:
    """Answer a request for bytes of a remote file.

    Parameters
    ----------
    request : Request
    options : callable
        Gives the options of fsspec's filesystem for a URL. After a redirect, only the options
        for the new URL are sent.
    limit : asyncio.Semaphore
        How many requests may be under way.
    cache : BlockCache, optional
        Keeps what was fetched.

    Raises
    ------
    FrameMissingError
        404, 410, NoSuchKey.
    FrameUnreachableError
        Any other refusal; no answer, or a broken one, after all tries.
    FrameCorruptError
        The range begins behind the file's end; or the file has more bytes than it may.
    """
    if cache is None:
        return await _get(request, options, limit)
    said = shown(request.url)
    ask = partial(_get, options=options, limit=limit, known=True)
    try:
        return await cache.read(_asked(request.url), request, ask)
    except FrameError as error:
        raise (error if said in str(error) else error.at(said)) from error


async def _get(
    request: Request, options: Options, limit: asyncio.Semaphore, *, known: bool = False
) -> Reply:
    """Ask the server; if `known`, also for the file's length and version where that costs more."""
    start, stop = request.start, request.stop
    most = int(setting("largest_file")) if request.most is None else request.most

    async def ask(filesystem: AbstractFileSystem, path: str, protocol: str) -> Reply:
        how = _ASK.get(protocol, _any_known if known else _any)
        async with limit:
            return await how(filesystem, path, start, stop, most)

    return await _retry(request.url, options, ask)


async def _retry(
    url: str,
    options: Options,
    ask: Callable[[AbstractFileSystem, str, str], Awaitable[T]],
    progress: Callable[[], int] = lambda: 0,
) -> T:
    """Ask for a URL, with retries where they can help, and follow redirects.

    Parameters
    ----------
    url : str
    options : callable
    ask : callable
        Takes fsspec's filesystem, the path in it and the protocol.
    progress : callable
        How far earlier tries got: they are counted from none again whenever one got further.
    """
    place, moves, failed, furthest = _asked(url), 0, 0, progress()
    tries = 1 + int(setting("retries"))
    while True:
        filesystem, path, protocol = filesystem_of(place, options(place))
        try:
            return await ask(filesystem, path, protocol)
        except MovedError as moved:
            place, moves = _moved(place, str(moved), moves), moves + 1
        except AgainError as failure:
            failed = 1 if progress() > furthest else failed + 1
            furthest = max(furthest, progress())
            if failed >= tries:
                raise FrameUnreachableError(
                    f"{shown(url)}: {failure}, {counted(tries, 'time')}"
                ) from failure
            # Outside the limit: others may ask meanwhile.
            await asyncio.sleep(setting("backoff") * 2 ** (failed - 1))
        except FrameError as error:
            raise error.at(shown(url)) from error


def filesystem_of(url: str, options: Mapping[str, Any]) -> tuple[AbstractFileSystem, str, str]:
    """Get fsspec's filesystem for a URL, the path in it, and its protocol."""
    import fsspec

    protocol = url.partition("://")[0]
    if protocol == "globus":  # where the frames of a dataset opened by its ID are
        raise FrameUnreachableError(
            f"{shown(url)}: the Data Center hands frames out through Globus, from which nothing is "
            "read directly: ds.download(path, via='globus') fetches them, and frames= (--frames) "
            "says where they are otherwise"
        )
    try:
        if protocol in ("http", "https", "s3"):
            # url_to_fs takes the colons of http://[::1]/ for a chain of filesystems.
            filesystem = fsspec.filesystem(protocol, **options)
            # fsspec's own `url_to_fs` calls this private method.
            return filesystem, filesystem._strip_protocol(url), protocol
        return (*fsspec.core.url_to_fs(url, **options), protocol)
    except (ImportError, ValueError, OSError) as error:
        # A protocol that is unknown, or not installed; some connect at once.
        raise FrameUnreachableError(f"{shown(url)}: {type(error).__name__}: {error}") from error


async def pour(url: str, options: Options, sink: Sink) -> None:
    """Fetch the whole of a remote file, or what a sink lacks of it.

    What came before a failure is kept, and the next try goes on from there if it is still the
    same file.

    Raises
    ------
    FrameMissingError, FrameUnreachableError
        As `get`.
    """

    async def ask(filesystem: AbstractFileSystem, path: str, protocol: str) -> None:
        await _POUR.get(protocol, _pour_any)(filesystem, path, sink)

    await _retry(url, options, ask, lambda: sink.have)


# Anything else that fsspec knows ------------------------------------------------------------


async def _any(
    filesystem: AbstractFileSystem, path: str, start: int, stop: int | None, most: int
) -> Reply:
    """Read a range from any filesystem of fsspec."""
    from fsspec.asyn import AsyncFileSystem

    whole = not start and stop is None
    try:
        end = most + 1 if whole else stop
        # By its type: some filesystems say of themselves whatever the one behind them does.
        if issubclass(type(filesystem), AsyncFileSystem):
            # fsspec names its coroutines with an underscore, for any event loop to await.
            data = await filesystem._cat_file(path, start, end)
        else:
            data = await asyncio.to_thread(filesystem.cat_file, path, start, end)
    except FileNotFoundError as error:
        # fsspec says so too where a server refused, or did not answer, a question for the length.
        cause = error.__cause__
        status = getattr(cause, "status", 404)
        said = why(error if cause is None else cause)
        if 400 <= status < 500 and status not in (404, 410):
            raise FrameUnreachableError(said) from error
        broken = isinstance(cause, (OSError, TimeoutError)) and not isinstance(
            cause, FileNotFoundError
        )
        disconnected = type(cause).__module__.startswith("aiohttp") and not hasattr(cause, "status")
        if status >= 500 or broken or disconnected:
            raise AgainError(said) from error
        raise FrameMissingError("no such file") from error
    except PermissionError as error:
        raise FrameUnreachableError(f"PermissionError: {error}") from error
    except Exception as error:  # each filesystem has errors of its own
        raise AgainError(why(error)) from error
    if whole and len(data) > most:
        raise too_long(most)
    if whole or (stop is not None and len(data) < stop - start):
        return Reply(data, start + len(data))
    return Reply(data, None)


async def _any_known(
    filesystem: AbstractFileSystem, path: str, start: int, stop: int | None, most: int
) -> Reply:
    """Read a range, and ask fsspec for the file's length and version."""

    def about() -> tuple[object, str]:
        filesystem.invalidate_cache()  # a directory that was listed may have changed
        return filesystem.info(path).get("size"), filesystem.ukey(path)

    total: object = None
    key = None
    with suppress(Exception):  # each filesystem has errors of its own; then nothing is kept
        total, key = await asyncio.to_thread(about)
    # Asked for after its version: bytes of a newer one are dropped when that is seen.
    reply = await _any(filesystem, path, start, stop, most)
    return Reply(reply.data, total, None, key, firm=True) if isinstance(total, int) else reply


async def _pour_any(filesystem: AbstractFileSystem, path: str, sink: Sink) -> None:
    """Read one block after another until one is short: no part of an earlier file is kept."""
    await sink.begin(None, None)
    while True:
        data = bytes((await _any(filesystem, path, sink.have, sink.have + BLOCK, BLOCK)).data)
        await add(sink, [data])
        if len(data) < BLOCK:
            break


_ASK: Final = {"http": ask_web, "https": ask_web, "s3": ask_s3}
_POUR: Final = {"http": pour_web, "https": pour_web, "s3": pour_s3}

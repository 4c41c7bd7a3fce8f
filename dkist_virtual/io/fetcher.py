"""Fetch bytes from any place, and tell absent, unreachable and corrupt apart.

A frame can be absent, unreachable or broken, and the three are never mixed up (`errors`):
absent is no such file in a directory that exists, or a server's word that there is none;
unreachable is everything that kept us from asking. Files on this machine are read here, all
others through `remote`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final, TypeVar

from dkist_virtual.errors import (
    FrameCorruptError,
    FrameError,
    FrameUnreachableError,
    LocationError,
)
from dkist_virtual.io.block_cache import BlockCache, Stated
from dkist_virtual.io.local_file import read_local, status_of
from dkist_virtual.io.locations import Location, absolute, is_local, join, local_path, shown
from dkist_virtual.io.remote.request import BLOCK, Reply, filesystem_of, get, pour, too_short
from dkist_virtual.io.settings import setting

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterable, Sequence

    from dkist_virtual.io.remote.reply import Version
    from dkist_virtual.io.remote.request import Sink

__all__ = ["Fetcher", "Request", "absolute", "gathered", "is_local", "join", "local_path"]


T = TypeVar("T")


async def gathered(work: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """What coroutines give, in order; where one fails, the others are cancelled and have ended."""
    tasks = [asyncio.ensure_future(one) for one in work]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


_CREDENTIALS: Final = frozenset(
    {
        "account_key", "auth", "client_secret", "connection_string", "cookie_jar", "cookies",
        "credential", "headers", "key", "params", "password", "profile", "sas_token", "secret",
        "token", "username",
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Request:
    """Bytes that somebody wants.

    Parameters
    ----------
    url : str
    offset, length : int
        Byte range; both -1 for the whole file.
    exact : bool
        Whether a file that ends before is broken.
    into : memoryview, optional
        Where to put them.
    most : int, optional
        How many bytes the file may have, where all of it is wanted.
    version : Version, optional
        Of the file, as it is known. The reply says whether it is that one still.
    stated : Stated, optional
        What a scan found of the file, for a cache.
    """

    url: str
    offset: int
    length: int
    exact: bool = True
    into: memoryview | None = None
    most: int | None = None
    version: Version | None = None
    stated: Stated | None = None

    def checked(self, reply: Reply) -> Reply:
        """A reply, if it holds all that was asked for, or is of another version of the file.

        Raises
        ------
        FrameCorruptError
        """
        if self.version is not None and reply.version != self.version:
            return reply
        if self.exact and self.length >= 0 and len(reply.data) != self.length:
            raise too_short(self.url, self.offset, self.length, len(reply.data))
        return reply


@dataclass(frozen=True)
class Fetcher:
    """Reads bytes from files, local or remote.

    Parameters
    ----------
    storage_options : mapping, optional
        A protocol or a URL prefix to the options of fsspec's filesystem for it. The longest
        prefix of a URL decides, and nothing goes anywhere else.
    cache : str, optional
        A directory on this machine in which what was fetched is kept.

    Raises
    ------
    ValueError
        Credentials stand under a protocol: they would go to every server.
    """

    storage_options: Mapping[str, Mapping[str, Any]] = field(default_factory=dict, repr=False)
    cache: str | None = None
    _limits: dict[Any, asyncio.Semaphore] = field(default_factory=dict, repr=False, compare=False)
    _prefixes: list[tuple[Location, str]] = field(default_factory=list, repr=False, compare=False)

    def __post_init__(self) -> None:
        from fsspec import available_protocols

        for place, options in self.storage_options.items():
            if "://" not in place and place not in available_protocols():
                raise ValueError(
                    f"storage_options[{place!r}]: expected a protocol or the beginning of a URL, "
                    f'and options for it, as in {{"https://example.org/data/": {{{place!r}: …}}}}'
                )
            if not isinstance(options, Mapping):
                raise TypeError(
                    f"storage_options[{place!r}] is a {type(options).__name__}: expected a dict of "
                    "the options"
                )
            protocol, _, rest = place.partition("://")
            if rest.strip("/"):  # https:// alone begins every address, as https does
                try:
                    self._prefixes.append((Location.of(place).without_end_slash(), place))
                except LocationError as error:
                    raise ValueError(f"storage_options: {error}") from None
                continue
            given = set(options) | set(options.get("client_kwargs") or ())
            if secret := sorted(_CREDENTIALS & given):
                raise ValueError(
                    f"storage_options[{place!r}] holds {', '.join(secret)}, which would go to "
                    f"every server: say whom it is for, as in storage_options"
                    f'["{protocol}://example.org/data/"]'
                )

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_limits": {}}

    def options(self, url: str) -> dict[str, Any]:
        """The options that are meant for a URL: those of the longest prefix, else of its protocol.

        Raises
        ------
        LocationError
            It is no URL.
        """
        location = Location.of(url)
        meant = [(len(str(p)), place) for p, place in self._prefixes if location.is_in(p)]
        if meant:
            return dict(self.storage_options[max(meant)[1]])
        protocol = location.scheme
        of_all = self.storage_options.get(protocol, self.storage_options.get(f"{protocol}://", {}))
        return dict(of_all)

    # One range ------------------------------------------------------------------------------

    def read(self, url: str, offset: int = -1, length: int = -1) -> bytes:
        """One byte range, or a whole file.

        Parameters
        ----------
        url : str
            A path or URL.
        offset, length : int
            Byte range; both -1 for the whole file.

        Raises
        ------
        FrameMissingError, FrameUnreachableError
        FrameCorruptError
            The file is shorter than the range.
        """
        return bytes(self.reply(url, offset, length).data)

    def reply(self, url: str, offset: int = -1, length: int = -1) -> Reply:
        """The same, with what is known of the whole file.

        Raises
        ------
        FrameMissingError, FrameUnreachableError, FrameCorruptError
        """
        return Request(url, offset, length).checked(self.reply_up_to(url, offset, length))

    def reply_up_to(self, url: str, offset: int, length: int) -> Reply:
        """A byte range of a file as far as the file goes, with what is known of the whole of it.

        Raises
        ------
        FrameMissingError, FrameUnreachableError
        """
        if is_local(url):
            return read_local(local_path(url), offset, length)
        if length == 0:
            return Reply(b"", None)
        stop = offset + length if offset >= 0 else None
        return _wait(self._start(url, max(offset, 0), stop))

    def read_into(self, url: str, offset: int, out: memoryview) -> Reply:
        """Fill `out`, writable bytes, with those of a file from `offset` on.

        Returns
        -------
        Reply
            Whose data is `out`.

        Raises
        ------
        FrameMissingError, FrameUnreachableError
        FrameCorruptError
            The file ends before.
        """
        if is_local(url):
            reply = read_local(local_path(url), offset, len(out), into=out)
            return Request(url, offset, len(out)).checked(reply)
        reply = self.reply(url, offset, len(out))
        out[:] = reply.data
        return replace(reply, data=out)

    def head(self, url: str, n: int) -> Reply:
        """The first `n` bytes of a file, and what is known of the whole of it.

        Raises
        ------
        FrameMissingError, FrameUnreachableError
        """
        return self._with_total(url, self.reply_up_to(url, 0, n))

    async def head_async(self, url: str, n: int) -> Reply:
        """The same, on fsspec's event loop."""
        reply = await self.answer_async(Request(url, 0, n, exact=False))
        if reply.total is None:
            reply = await asyncio.to_thread(self._with_total, url, reply)
        return reply

    def status(self, url: str) -> Reply:
        """What is known of a file without reading it: no byte on this machine, elsewhere one.

        Raises
        ------
        FrameMissingError, FrameUnreachableError
        """
        if not is_local(url):
            return self.head(url, 1)
        return status_of(local_path(url))

    def _with_total(self, url: str, reply: Reply) -> Reply:
        """A reply with the length of the file, which only HTTP and S3 say with the bytes."""
        if reply.total is not None:
            return reply
        try:
            asked = str(Location.of(url))
            filesystem, path, _ = filesystem_of(asked, self.options(asked))
            return replace(reply, total=filesystem.info(path).get("size"))
        except FrameError:
            raise
        except Exception as error:  # each filesystem has errors of its own
            raise FrameUnreachableError(f"{shown(url)}: {type(error).__name__}: {error}") from error

    def answer(self, request: Request) -> Reply:
        """What a request asks for.

        Raises
        ------
        FrameMissingError, FrameUnreachableError
        FrameCorruptError
            The file ends before, and the request is exact.
        """
        url, offset, length = request.url, request.offset, request.length
        stop = offset + length if offset >= 0 else None
        most, stated = request.most, request.stated
        if not is_local(url) and (self.cache is not None or most is not None):
            reply = _wait(self._start(url, max(offset, 0), stop, most, stated))
            if request.into is not None:
                request.into[:] = request.checked(reply).data
        elif request.into is not None:
            reply = self.read_into(url, offset, request.into)
        else:
            reply = self.reply_up_to(url, offset, length)
        return request.checked(reply)

    async def answer_async(self, request: Request) -> Reply:
        """The same, on fsspec's event loop."""
        url, offset, length = request.url, request.offset, request.length
        if is_local(url):
            return await asyncio.to_thread(self.answer, request)
        if length == 0:
            return Reply(b"", None)
        stop = offset + length if offset >= 0 else None
        asked = self._ask(url, max(offset, 0), stop, request.most, request.stated)
        reply = request.checked(await asked)
        if request.into is not None:
            request.into[:] = reply.data
        return reply

    # Several at once ------------------------------------------------------------------------

    def together(
        self, urls: Sequence[str], most: Sequence[int | None] | None = None
    ) -> list[bytes | FrameError]:
        """Whole files, all asked for at once; for those that cannot be had, the error.

        Parameters
        ----------
        urls : sequence of str
        most : sequence of int, optional
            How many bytes each may have; None where the setting says it.
        """
        running = [
            None if is_local(url) else self._start(url, 0, None, bound)
            for url, bound in zip(urls, most or [None] * len(urls), strict=True)
        ]
        found: list[bytes | FrameError] = []
        try:
            for url, future in zip(urls, running, strict=True):
                try:
                    found.append(self.read(url) if future is None else bytes(future.result().data))
                except FrameError as error:
                    found.append(error)
        finally:  # Ctrl-C too
            for future in filter(None, running):
                future.cancel()
        return found

    async def pour(self, url: str, sink: Sink) -> None:
        """Fetch the whole of a file into a sink, on fsspec's event loop.

        Raises
        ------
        FrameMissingError, FrameUnreachableError
        """
        if is_local(url):
            await _copy(local_path(url), sink)
        else:
            await pour(url, self.options, sink)

    def _start(
        self,
        url: str,
        start: int,
        stop: int | None,
        most: int | None = None,
        stated: Stated | None = None,
    ) -> Future[Reply]:
        """Ask for a range of a remote file, without waiting for it."""
        from fsspec.asyn import get_loop

        asked = self._ask(url, start, stop, most, stated)
        return asyncio.run_coroutine_threadsafe(asked, get_loop())

    async def _ask(
        self,
        url: str,
        start: int,
        stop: int | None,
        most: int | None = None,
        stated: Stated | None = None,
    ) -> Reply:
        loop = asyncio.get_running_loop()
        if loop not in self._limits:
            self._limits.clear()  # after a fork there is another loop
            self._limits[loop] = asyncio.Semaphore(max(1, int(setting("concurrency"))))
        cache = None if self.cache is None else BlockCache(self.cache)
        return await get(url, start, stop, self.options, self._limits[loop], cache, most, stated)


def _wait(running: Future[T]) -> T:
    """What is under way on the event loop, given up where nobody waits for it: by Ctrl-C, say."""
    try:
        return running.result()
    finally:
        running.cancel()


async def _copy(path: str, sink: Sink) -> None:
    about = await asyncio.to_thread(read_local, path, 0, 0)
    await sink.begin(about.total, None)
    while True:
        block = await asyncio.to_thread(read_local, path, sink.have, BLOCK)
        if block.version != about.version:
            raise FrameCorruptError(f"{path}: changed while it was copied: copy it again")
        if not block.data:
            break
        await sink.write([bytes(block.data)])

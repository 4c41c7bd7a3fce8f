"""Fetch bytes from any place, and tell absent, unreachable and corrupt apart.

Absent is no such file in a directory that exists, or a server's word that there is none.
Unreachable is everything that kept us from asking. Corrupt is a file that is not what it has to be.
Files on this machine are read by `local_file`, all others through `remote`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from dkist_virtual.errors import (
    FrameCorruptError,
    FrameError,
    FrameUnreachableError,
    LocationError,
)
from dkist_virtual.io import traffic
from dkist_virtual.io.block_cache import BlockCache
from dkist_virtual.io.byte_range import PIECE, Reply, Request
from dkist_virtual.io.event_loop import run
from dkist_virtual.io.local_file import read_local, status_of
from dkist_virtual.io.locations import Location, is_local, local_path, shown
from dkist_virtual.io.remote.reply import BLOCK
from dkist_virtual.io.remote.request import filesystem_of, get, pour
from dkist_virtual.io.settings import setting

if TYPE_CHECKING:
    from dkist_virtual.io.remote.reply import Sink

__all__ = ["Fetcher"]

_CREDENTIALS: Final = frozenset(
    {
        "account_key", "auth", "client_secret", "connection_string", "cookie_jar", "cookies",
        "credential", "headers", "key", "params", "password", "profile", "sas_token", "secret",
        "token", "username",
    }
)  # fmt: skip


@dataclass(frozen=True)
class Fetcher:
    """Fetch bytes of files, local or remote.

    Parameters
    ----------
    storage_options : mapping, optional
        fsspec's options for each protocol or URL prefix. The longest prefix of a URL decides, and
        its options go nowhere else.
    cache : str, optional
        A directory on this machine that caches what was fetched.

    Raises
    ------
    ValueError
        Credentials are given for a protocol: they would go to every server.
    """

    storage_options: Mapping[str, Mapping[str, Any]] = field(default_factory=dict, repr=False)
    cache: str | None = None
    _limits: dict[asyncio.AbstractEventLoop, asyncio.Semaphore] = field(
        default_factory=dict, repr=False, compare=False
    )
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

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_limits": {}}

    def options(self, url: str) -> dict[str, Any]:
        """Choose the options for a URL: those of the longest prefix, else of its protocol.

        Raises
        ------
        LocationError
            It is not a URL.
        """
        location = Location.of(url)
        meant = [(len(str(p)), place) for p, place in self._prefixes if location.is_in(p)]
        if meant:
            return dict(self.storage_options[max(meant)[1]])
        protocol = location.scheme
        of_all = self.storage_options.get(protocol, self.storage_options.get(f"{protocol}://", {}))
        return dict(of_all)

    def read(self, url: str, offset: int = -1, length: int = -1) -> bytes:
        """Read one byte range of a file, or all of it: see `Request`.

        Raises
        ------
        FrameMissingError, FrameUnreachableError
        FrameCorruptError
            The file is shorter than the range.
        """
        return bytes(self.answer(Request(url, offset, length)).data)

    def answer(self, request: Request) -> Reply:
        """Answer a request, and wait for it in this thread.

        Raises
        ------
        FrameMissingError, FrameUnreachableError
        FrameCorruptError
            The file ends before the range does, and the request is exact.
        """
        if is_local(request.url):
            path = local_path(request.url)
            if request.sized and not request.length:
                return status_of(path)
            into, each = request.into, request.each
            reply = read_local(path, request.offset, request.length, into=into, each=each)
            traffic.add(len(reply.data))
            return request.checked(reply)
        return _into_place(request, run(self.ask(request)))

    async def answer_async(self, request: Request) -> Reply:
        """Answer a request on fsspec's event loop."""
        if is_local(request.url):
            return await asyncio.to_thread(self.answer, request)
        return _into_place(request, await self.ask(request))

    async def ask(self, request: Request) -> Reply:
        """Request bytes of a remote file, on an event loop."""
        if request.length == 0:
            if not request.sized:
                return Reply(b"", None)
            request = replace(request, length=1)
        loop = asyncio.get_running_loop()
        if loop not in self._limits:
            self._limits.clear()  # after a fork there is another loop
            self._limits[loop] = asyncio.Semaphore(max(1, int(setting("concurrency"))))
        cache = None if self.cache is None else BlockCache(self.cache)
        reply = await get(request, self.options, self._limits[loop], cache)
        if request.sized and reply.total is None:
            reply = replace(reply, total=await asyncio.to_thread(self._length_of, request.url))
        return reply

    def _length_of(self, url: str) -> int | None:
        """Find the length of a file, which only HTTP and S3 give with the bytes."""
        try:
            asked = str(Location.of(url))
            filesystem, path, _ = filesystem_of(asked, self.options(asked))
            length: int | None = filesystem.info(path).get("size")
            return length
        except FrameError:
            raise
        except Exception as error:  # each filesystem has errors of its own
            raise FrameUnreachableError(f"{shown(url)}: {type(error).__name__}: {error}") from error

    async def pour(self, url: str, sink: Sink) -> None:
        """Fetch the whole of a file into a sink, on fsspec's event loop."""
        if is_local(url):
            await _copy(local_path(url), sink)
        else:
            await pour(url, self.options, sink)


def _into_place(request: Request, reply: Reply) -> Reply:
    """Check a server's reply, and put its bytes where they are wanted."""
    traffic.add(len(reply.data))
    request.checked(reply)
    into, data = request.into, memoryview(reply.data)
    if into is not None:
        for begin in range(0, len(into), PIECE):
            piece = into[begin : begin + PIECE]
            piece[:] = data[begin : begin + PIECE]
            if request.each is not None:
                request.each(begin, piece)
    return reply


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

"""Serve a directory of frames over HTTP on this machine, optionally slowly or with faults.

    python -m dkist_virtual.demo.server DIRECTORY [--port N] [--delay SECONDS]

The documentation, the examples and the tests read from it. Do not use it on the open internet.
"""

from __future__ import annotations

import argparse
import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from aiohttp import web

__all__ = ["Fault", "FrameServer", "no_fault", "serve"]


Fault: TypeAlias = int | str | None


def no_fault(path: str, n: int) -> None:
    """Return no fault."""


@dataclass
class FrameServer:
    """Serves a directory on loopback.

    Parameters
    ----------
    directory : pathlib.Path
    delay : float
        Seconds before every answer.
    fault : callable, optional
        Takes the request's path and the number of earlier requests for it, and returns a fault:
        None, a status, "drop", "cut", "stall" (half of the body, then nothing more), "no ranges",
        "no conditions" (a range in spite of If-Range), "no etag", or "no validator" (neither ETag
        nor date).

    Attributes
    ----------
    requests : list of (method, path, first byte or None, bytes sent)
    busiest : int
        The largest number of requests at once.
    """

    directory: Path
    delay: float = 0.0
    fault: Callable[[str, int], Fault] = no_fault
    requests: list[tuple[str, str, int | None, int]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    _counts: dict[str, int] = field(default_factory=dict)
    url: str = ""
    busiest: int = 0
    _under_way: int = 0
    _loop: asyncio.AbstractEventLoop | None = None

    def forget(self) -> None:
        """Reset all counts, once requests that clients cancelled are over."""
        if self._loop is not None:
            asyncio.run_coroutine_threadsafe(self._settled(), self._loop).result()
        self.requests.clear()
        self.headers.clear()
        self._counts.clear()
        self.busiest = 0

    async def _settled(self) -> None:
        # A request that was cancelled may still wait in a socket: one pass of the loop accepts its
        # connection, another reads it, some more begin its answer.
        for _ in range(50):
            await asyncio.sleep(0)
        while self._under_way:
            await asyncio.sleep(0.001)

    @property
    def sent(self) -> int:
        """Bytes of all bodies."""
        return sum(n for *_, n in self.requests)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Answer one GET or HEAD."""
        path = request.path.lstrip("/")
        n = self._counts[path] = self._counts.get(path, -1) + 1
        self.headers.append(dict(request.headers))
        self._under_way += 1
        self.busiest = max(self.busiest, self._under_way)
        try:
            await asyncio.sleep(self.delay)
            return await self._answer(request, path, self.fault(path, n))
        finally:
            self._under_way -= 1

    async def _answer(self, request: web.Request, path: str, fault: Fault) -> web.StreamResponse:
        file = self.directory / path
        if fault == "drop":
            self.requests.append((request.method, path, None, 0))
            assert request.transport is not None
            request.transport.abort()
            return web.Response()
        if isinstance(fault, int) or not file.is_file():
            status = fault if isinstance(fault, int) else 404
            self.requests.append((request.method, path, None, 0))
            return web.Response(status=status)
        size, start, stop, status = file.stat().st_size, None, file.stat().st_size, 200
        etag = f'"{size:x}-{file.stat().st_mtime_ns:x}"'
        headers = {"ETag": etag, "Accept-Ranges": "bytes"}
        if fault in ("no etag", "no validator"):
            del headers["ETag"]
        same = fault == "no conditions" or request.headers.get("If-Range", etag) == etag
        if "Range" in request.headers and fault != "no ranges" and same:
            first, last = request.headers["Range"].removeprefix("bytes=").split("-")
            start = int(first)
            if start >= size:
                self.requests.append((request.method, path, start, 0))
                return web.Response(status=416, headers={"Content-Range": f"bytes */{size}"})
            stop = min(int(last) + 1, size) if last else size
            status = 206
            headers["Content-Range"] = f"bytes {start}-{stop - 1}/{size}"
        with file.open("rb") as opened:
            opened.seek(start or 0)
            data = opened.read(stop - (start or 0))
        response = web.StreamResponse(status=status, headers=headers)
        response.content_length = len(data)
        if fault != "no validator":
            response.last_modified = file.stat().st_mtime
        await response.prepare(request)
        body = b"" if request.method == "HEAD" else data
        if fault in ("stall", "cut"):
            await response.write(body[: len(body) // 2])
            if fault == "cut" and request.transport is not None:
                request.transport.close()
            while request.transport is not None and not request.transport.is_closing():
                await asyncio.sleep(0.001)
            return response
        self.requests.append((request.method, path, start, len(body)))
        await response.write(body)
        await response.write_eof()
        return response

    @contextmanager
    def running(self, port: int = 0) -> Iterator[FrameServer]:
        """Serve at `url`, in a thread, for as long as the block runs."""
        loop = self._loop = asyncio.new_event_loop()
        started = threading.Event()
        stop = asyncio.Event()

        async def serve() -> None:
            app = web.Application()
            app.router.add_route("*", "/{path:.*}", self.answer)
            runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
            await runner.setup()
            site = web.TCPSite(runner, "127.0.0.1", port)
            await site.start()
            self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
            started.set()
            await stop.wait()
            await runner.cleanup()

        thread = threading.Thread(target=lambda: loop.run_until_complete(serve()), daemon=True)
        thread.start()
        started.wait(10)
        try:
            yield self
        finally:
            loop.call_soon_threadsafe(stop.set)
            thread.join(10)
            self._loop = None
            loop.close()


def main() -> None:
    """Serve a directory of frames until interrupted."""
    serve(FrameServer, __doc__)


def serve(kind: type[FrameServer], description: str) -> None:
    """Parse the command line, and run a server until it is interrupted."""
    parser = argparse.ArgumentParser(description=description.partition("\n")[0])
    parser.add_argument("directory", type=Path)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--delay", type=float, default=0.0, help="seconds, for every answer")
    given = parser.parse_args()
    with kind(given.directory, given.delay).running(given.port) as server:
        print(server.url, flush=True)
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            print()


if __name__ == "__main__":
    main()

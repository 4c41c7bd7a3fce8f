"""Serve pages to the browser of this machine."""

from __future__ import annotations

import secrets
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Served", "serve"]


@dataclass(frozen=True, eq=False)
class Served:
    """A running server.

    Parameters
    ----------
    url : str
        The page's address, with the token.
    stop : callable
        Ends the server and its thread.
    """

    url: str
    stop: Callable[[], None]


def serve(make_page: Callable[[Any], None]) -> Served:
    """Serve a page on 127.0.0.1 from a thread.

    Parameters
    ----------
    make_page : callable
        Fills the Bokeh document of each browser window that opens the page.
    """
    import panel  # noqa: F401  # names its files, which the server then serves
    from bokeh.application import Application
    from bokeh.application.handlers.function import FunctionHandler
    from bokeh.server.server import Server
    from tornado.ioloop import IOLoop
    from tornado.netutil import bind_sockets

    token = secrets.token_urlsafe(24)
    ready = threading.Event()
    made: dict[str, Any] = {}
    (listening,) = bind_sockets(0, "127.0.0.1")
    port = listening.getsockname()[1]
    listening.close()

    def run() -> None:
        import asyncio

        asyncio.set_event_loop(asyncio.new_event_loop())
        server = Server(
            {"/": Application(FunctionHandler(make_page))},
            port=port,
            address="127.0.0.1",
            prefix=token,
            allow_websocket_origin=[f"127.0.0.1:{port}"],
            io_loop=IOLoop.current(),
        )
        made["server"] = server
        server.start()
        ready.set()
        server.io_loop.start()

    thread = threading.Thread(target=run, name="dkist-virtual-view-server", daemon=True)
    thread.start()
    ready.wait()
    server = made["server"]

    def stop() -> None:
        server.io_loop.add_callback(server.io_loop.stop)
        thread.join()

    return Served(f"http://127.0.0.1:{port}/{token}/", stop)

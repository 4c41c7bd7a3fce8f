"""Serve a page from a thread, with a document for each window that opens it."""

from __future__ import annotations

import asyncio
import logging
import secrets
import socket
import threading
from contextlib import suppress
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

from bokeh.application import Application
from bokeh.application.handlers.function import FunctionHandler
from bokeh.models.widgets import Div
from bokeh.server.server import BaseServer
from bokeh.server.tornado import BokehTornado
from bokeh.server.views.static_handler import StaticHandler
from tornado.httpserver import HTTPServer
from tornado.ioloop import IOLoop
from tornado.web import RedirectHandler

from dkist_virtual.errors import DKISTVirtualError
from dkist_virtual.view.serve.guard import LOOPBACK, Guard
from dkist_virtual.view.serve.handlers import PageHandler, Refused, SafeHeaders
from dkist_virtual.view.serve.outbox import Outbox
from dkist_virtual.view.serve.socket import PageSocket

if TYPE_CHECKING:
    from collections.abc import Callable

    from bokeh.document import Document
    from bokeh.server.connection import ServerConnection
    from bokeh.server.views.ws import WSHandler
    from tornado.httputil import HTTPServerRequest
    from tornado.web import RequestHandler

__all__ = ["Served", "serve", "show_error"]

_log = logging.getLogger(__name__)

KEEP = 15_000
"""How long, in milliseconds, what a closed window had is kept, should it connect again."""


@dataclass(frozen=True, eq=False)
class Served:
    """A running server.

    Parameters
    ----------
    url : str
        The page's address, with the token.
    port : int
    stop : callable
        Ends all pages, the server and its thread. May be called twice.
    ended : threading.Event
        Is set once it has stopped.
    ticket : callable
        Returns an address that leads to the page's own, once.
    count : callable
        Returns how many windows have the page open, or have closed it just now.
    """

    url: str
    port: int
    stop: Callable[[], None]
    ended: threading.Event
    ticket: Callable[[], str]
    count: Callable[[], int]


class _Guarded(BokehTornado):
    """Bokeh's application behind a guard that each request passes first, web sockets too.

    It answers nothing that is not named here, whatever else Bokeh and its extensions may serve.
    """

    def __init__(self, guard: Guard, tickets: set[str], make: Application, keep: int) -> None:
        self._guard = guard
        self._tickets = tickets
        super().__init__(
            {"/": make},
            prefix=guard.token,
            # The guard has checked the origin; Bokeh knows no "the same as the host".
            extra_websocket_origins=["*"],
            secret_key=secrets.token_bytes(32),
            sign_sessions=True,
            # Cookies are those of all servers of this machine: none is copied into the page.
            include_headers=[],
            include_cookies=[],
            ico_path="none",
            use_index=False,
            unused_session_lifetime_milliseconds=keep,
            check_unused_sessions_milliseconds=max(keep // 5, 50),
            transforms=[SafeHeaders],
            log_function=_log_failure,
        )

    def find_handler(self, request: HTTPServerRequest, **kwargs: Any) -> Any:  # noqa: ARG002
        """Route a request that the guard lets pass."""
        ticket = request.path.removeprefix("/")
        if ticket in self._tickets and self._guard.is_own(request.headers.get("Host", "")):
            self._tickets.discard(ticket)
            return self._moved(request)
        status = self._guard.refusal(request.method or "", request.path, request.headers)
        if status is not None:
            return self.get_handler_delegate(request, Refused, {"status": status})
        inside = request.path.removeprefix(self.prefix)
        if not inside:
            return self._moved(request)
        if inside in ("/", "/ws"):
            context = {"application_context": self.applications["/"], "bokeh_websocket_path": ""}
            handler: Any = PageHandler if inside == "/" else PageSocket
            return self.get_handler_delegate(request, handler, context)
        path = inside.removeprefix("/static/").encode()
        return self.get_handler_delegate(request, StaticHandler, {}, [path])

    def new_connection(self, protocol: Any, socket: WSHandler, *given: Any) -> ServerConnection:
        """Make a connection that sends what one event changes in one message."""
        connection = super().new_connection(protocol, socket, *given)
        connection.send_patch_document = Outbox(socket).send  # type: ignore[method-assign]
        return connection

    def _moved(self, request: HTTPServerRequest) -> Any:
        """Lead to the page, whose path ends in a slash."""
        to = {"url": f"{self.prefix}/", "permanent": False}  # the query is added to it
        return self.get_handler_delegate(request, RedirectHandler, to)


def _log_failure(handler: RequestHandler) -> None:
    """Log nothing of a request but that it failed: an address has the token."""
    if handler.get_status() >= 500:
        _log.error("the page could not be served: status %d", handler.get_status())


def serve(
    make_page: Callable[[Document], None],
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    keep: int = KEEP,
) -> Served:
    """Serve a page from a thread.

    Parameters
    ----------
    make_page : callable
        Fills the document of each window that opens the page. It is called in the server's
        thread, and so is all that happens in the page. What ends with the window is registered
        with `Document.on_session_destroyed`.
    host : str
        The address to listen on: that of this machine alone, unless asked otherwise.
    port : int
        0 for any that is free.
    keep : int
        How long, in milliseconds, what a closed window had is kept.

    Raises
    ------
    OSError
        This machine has no such address, or the port is taken.
    """
    is_open = host not in LOOPBACK
    hosts = LOOPBACK | {host.lower(), *_own_names()} if is_open else LOOPBACK
    guard = Guard(secrets.token_urlsafe(24), frozenset(hosts), is_open)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.create_server((host, port), family=family)
    listening.setblocking(False)
    port = listening.getsockname()[1]

    def fill(doc: Document) -> None:
        try:
            make_page(doc)
        except Exception as error:  # noqa: BLE001  # the page says what failed
            show_error(doc, error)

    tickets: set[str] = set()
    made: dict[str, Any] = {}
    ready, ended = threading.Event(), threading.Event()

    def run() -> None:
        asyncio.set_event_loop(asyncio.new_event_loop())
        loop = made["loop"] = IOLoop.current()
        make = made["make"] = Application(FunctionHandler(fill))
        tornado = made["tornado"] = _Guarded(guard, tickets, make, keep)
        http = made["http"] = HTTPServer(tornado, max_body_size=0)
        http.add_socket(listening)
        BaseServer(loop, tornado, http).start()
        loop.add_callback(ready.set)
        loop.start()
        loop.close(all_fds=True)
        ended.set()

    thread = threading.Thread(target=run, name="dkist-virtual-view-server", daemon=True)
    thread.start()
    ready.wait()

    async def end() -> None:
        try:
            # A process that is started just now may have the socket too, until it runs its program.
            with suppress(OSError):  # macOS: a socket that listens is not connected
                listening.shutdown(socket.SHUT_RDWR)
            made["http"].stop()
            await made["http"].close_all_connections()
            for session in made["tornado"].get_sessions("/"):
                await made["make"].on_session_destroyed(session.document.session_context)
            made["tornado"].stop()
        finally:
            made["loop"].stop()  # `stop` waits for that

    def stop() -> None:
        if thread.is_alive():
            made["loop"].add_callback(end)
            if thread is not threading.current_thread():
                thread.join()

    root = f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"

    def ticket() -> str:
        made = secrets.token_urlsafe(24)
        tickets.add(made)
        return f"{root}{made}"

    return Served(
        f"{root}{guard.token}/",
        port,
        stop,
        ended,
        ticket,
        lambda: len(made["tornado"].get_sessions("/")),
    )


def _own_names() -> set[str]:
    names = {socket.gethostname(), socket.getfqdn()}
    return {name.lower() for name in names if name}


def show_error(doc: Document, error: Exception) -> None:
    """Show why a page could not be made."""
    if not isinstance(error, DKISTVirtualError):
        _log.error("the page could not be made", exc_info=error)
    doc.clear()
    doc.title = "No page"
    doc.add_root(
        Div(text=f"<pre role='alert'>{escape(str(error) or repr(error))}</pre>", disable_math=True)
    )

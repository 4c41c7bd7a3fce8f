"""Take from the browser what a page sends, and nothing else that Bokeh would follow.

Bokeh lets a browser change every property of a page's models, and make new models. Some of their
properties are names of files, which Bokeh reads on this machine, and shows: the pictures of tools.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from bokeh.server.views.ws import WSHandler
from tornado.websocket import WebSocketClosedError

from dkist_virtual.view.serve.handlers import TokenFreeLog

if TYPE_CHECKING:
    from bokeh.protocol.message import Message

__all__ = ["FILES", "PageSocket", "is_of_a_page"]

FILES: Final = frozenset({"icon", "off_icon", "on_icon", "url"})
"""Properties of Bokeh's models that may be names of files."""

_KINDS: Final = frozenset({"ModelChanged", "MessageSent"})
"""Changes that a page sends: values of its widgets and figures, and what pointer and keys do."""


class PageSocket(TokenFreeLog, WSHandler):
    """A web socket that follows no message but those of a page."""

    @property
    def is_attached(self) -> bool:
        """Whether the socket has a page: Bokeh may let go of it before the socket is closed."""
        try:
            return self.connection is not None and self.connection.session is not None
        except AssertionError:
            return False

    def on_close(self) -> None:
        """Tell the page that its window was closed, if it has not been told."""
        if self.is_attached:
            super().on_close()

    async def _handle(self, message: Message[Any]) -> Any:
        if not self.is_attached:
            return None
        if not is_of_a_page(message.msgtype, message.content):
            assert self.connection is not None
            return self.connection.error(message, "refused: no page sends this")
        return await super()._handle(message)

    async def send_message(self, message: Message[Any]) -> None:
        """Send a message, or do nothing if the window was closed meanwhile."""
        with suppress(WebSocketClosedError):
            await message.send(self)  # type: ignore[arg-type]  # Bokeh gives itself, too


def is_of_a_page(kind: str, content: Any) -> bool:
    """Tell whether a page may have sent a message of Bokeh's protocol.

    Parameters
    ----------
    kind : str
        ``PATCH-DOC`` for changes of the document.
    content : dict
        As it came, before Bokeh makes models of it.
    """
    if kind != "PATCH-DOC":
        return kind in ("PULL-DOC-REQ", "SERVER-INFO-REQ", "ACK")
    events = content.get("events", ()) if isinstance(content, dict) else (content,)
    return all(
        isinstance(event, dict)
        and event.get("kind") in _KINDS
        and event.get("attr") not in FILES
        and not _has_object(event)
        for event in events
    )


def _has_object(value: Any) -> bool:
    """Tell whether Bokeh would make an object of a part of a value."""
    values = [value]
    while values:
        one = values.pop()
        if isinstance(one, dict):
            if one.get("type") == "object":
                return True
            values.extend(one.values())
        elif isinstance(one, list):
            values.extend(one)
    return False

"""Send what one event changes on a page in one message.

Bokeh sends each change of each property in a message of its own, and lists all models of the page
anew for each: a step along an axis changes some forty, which took longer than its picture.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bokeh.core.serialization import Serializer
from bokeh.document.events import ColumnDataChangedEvent, ModelChangedEvent
from bokeh.document.json import PatchJson
from bokeh.protocol.messages.patch_doc import patch_doc

if TYPE_CHECKING:
    from collections.abc import Awaitable, Generator

    from bokeh.document import Document
    from bokeh.document.events import DocumentPatchedEvent
    from bokeh.document.models import DocumentModelManager
    from bokeh.server.views.ws import WSHandler

__all__ = ["Outbox"]


class _Changes:
    """Changes of a document, in order, for one message. It is sent when this is awaited.

    Parameters
    ----------
    document : Document
    socket : WSHandler
    """

    def __init__(self, document: Document, socket: WSHandler) -> None:
        self._document, self._socket = document, socket
        self._models = set(document.models)
        # Models that the browser does not have are described when they are first referred to.
        self._serializer = Serializer(references=document.models.synced_references)
        self._events: list[Any] = []
        self.is_complete = False
        self._is_sent = False

    def add(self, event: DocumentPatchedEvent) -> None:
        """Take a change, with its values as they are now."""
        self._events.append(self._serializer.encode(event))

    def has_models(self, models: DocumentModelManager) -> bool:
        """Tell whether the document still has the models that it had at the first change.

        Those that come are described in another message: they may have gone in this one.
        """
        return self._models == set(models)

    def complete(self) -> None:
        """Take no further changes: the browser will have the models that are described here."""
        if not self.is_complete:
            self.is_complete = True
            self._document.models.flush_synced(lambda one: not self._serializer.has_ref(one))

    def __await__(self) -> Generator[Any, None, None]:
        return self._send().__await__()

    async def _send(self) -> None:
        if self._is_sent:
            return
        self._is_sent = True
        self.complete()
        message = patch_doc(patch_doc.create_header(), {}, PatchJson(events=self._events))
        for buffer in self._serializer.buffers:
            message.add_buffer(buffer)
        await self._socket.send_message(message)


class Outbox:
    """Gathers the changes of a document until Bokeh awaits their sending.

    Bokeh does so after each function that it calls, before it calls the next one.

    Parameters
    ----------
    socket : WSHandler
    """

    def __init__(self, socket: WSHandler) -> None:
        self._socket = socket
        self._changes: _Changes | None = None

    def send(self, event: DocumentPatchedEvent) -> Awaitable[None]:
        """Gather a change; what is returned sends all of them, once."""
        changes = self._changes
        if (
            changes is None
            or changes.is_complete
            or not (_is_plain(event) or changes.has_models(event.document.models))
        ):
            if changes is not None:
                changes.complete()
            changes = self._changes = _Changes(event.document, self._socket)
        changes.add(event)
        return changes


def _is_plain(event: DocumentPatchedEvent) -> bool:
    """Tell whether no model comes with a change, as with most of them."""
    if isinstance(event, ColumnDataChangedEvent):
        return True
    return isinstance(event, ModelChangedEvent) and isinstance(event.new, (str, float, int))

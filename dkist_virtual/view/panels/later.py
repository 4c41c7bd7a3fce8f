"""Call a function a little later, once for many events."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Later"]


class Later:
    """Calls the last function it was given, some milliseconds after the first one.

    Parameters
    ----------
    model : Bokeh model
        Of the document whose thread calls it. Without a document it is called at once.
    wait : int
        Milliseconds.
    """

    def __init__(self, model: Any, wait: int) -> None:
        self._model, self._wait = model, wait
        self._call: Callable[[], None] | None = None
        self._is_waiting = False

    def call(self, function: Callable[[], None]) -> None:
        """Call a function later, in place of one that was to be called."""
        self._call = function
        document = self._model.document
        if document is None or document.session_context is None:
            self._run()
        elif not self._is_waiting:
            self._is_waiting = True
            document.add_timeout_callback(self._run, self._wait)

    def now(self) -> None:
        """Call at once what was to be called."""
        call, self._call = self._call, None
        if call is not None:
            call()

    def forget(self) -> None:
        """Call nothing."""
        self._call = None

    def _run(self) -> None:
        self._is_waiting = False
        self.now()

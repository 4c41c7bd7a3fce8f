"""Keep the state of a page, and tell its panels when it changes."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from dkist_virtual.view.state.state import ViewState

__all__ = ["Model"]


class Model:
    """The state of one page. It is changed by the thread of the page alone."""

    def __init__(self, state: ViewState) -> None:
        self._state = state
        self._listeners: list[Callable[[ViewState, ViewState], None]] = []

    @property
    def state(self) -> ViewState:
        """What the page shows."""
        return self._state

    def on_change(self, listener: Callable[[ViewState, ViewState], None]) -> None:
        """Call a function with the states before and after each change."""
        self._listeners.append(listener)

    def set(self, state: ViewState) -> None:
        """Show another state; nothing happens where it is the same."""
        before, self._state = self._state, state
        if before == state:
            return
        for listener in list(self._listeners):
            # A listener may have changed the state again: the others were told of that one.
            if self._state is not state:
                return
            listener(before, state)

    def change(self, **values: Any) -> None:
        """Change fields of the state."""
        self.set(replace(self._state, **values))

"""Say at the end of a page what was read, what was absent, and what failed."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

from dkist_virtual.io.traffic import Traffic, traffic
from dkist_virtual.text import counted, human_bytes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dkist_virtual.view.page.channel import Channel
    from dkist_virtual.view.page.widgets import Widgets
    from dkist_virtual.view.session import Session

__all__ = ["Status", "read_text"]

PATIENCE: Final = 400
"""Milliseconds after which a page says that it is reading."""


def read_text(before: Traffic, after: Traffic) -> str:
    """Write what was read between two counts; empty where nothing was."""
    n = after.requests - before.requests
    if not n:
        return ""
    return f"{counted(n, 'read')}, {human_bytes(after.n_bytes - before.n_bytes)}"


class Status:
    """The line at the end of a page."""

    def __init__(self, session: Session, channel: Channel, widgets: Widgets) -> None:
        self._worker = session.worker
        self.root: Any = widgets.text("", "dkv-status")
        channel.label("dkv-status", role="status", aria_live="polite")
        self._since: float | None = None
        self._before = traffic()
        self._message = ""
        self._is_new = False
        self._parts: list[str] = []

    def say(self, text: str) -> None:
        """Show a message until the next step."""
        self._message, self._is_new = text, True
        self._write()

    def begin(self) -> None:
        """Begin a step: what was said before is over, and reading that takes long is named."""
        if self._since is not None:
            return
        if not self._is_new:
            self._message = ""
        self._is_new = False
        self._since, self._before = time.monotonic(), traffic()
        document = self.root.document
        if document is not None and document.session_context is not None:
            document.add_timeout_callback(self._say_reading, PATIENCE)

    def _say_reading(self) -> None:
        if self._since is not None and time.monotonic() - self._since > PATIENCE / 1000:
            self.root.text = "Reading\N{HORIZONTAL ELLIPSIS}"

    def finish(self, drawn: Sequence[Any]) -> None:
        """Say what the pictures of a step lack, and how long they took."""
        since, self._since = self._since, None
        known = [one for one in drawn if one is not None]
        faults = [fault for one in known for fault in one.faults]
        self._parts = [f"{type(fault).__name__}: {fault}" for fault in faults[:1]]
        if any(one.n_absent for one in known):
            self._parts.append("Hatched: frames that are absent")
        if since is not None:
            self._parts.append(f"Pictures in {1000 * (time.monotonic() - since):.0f} ms")
        self._write()
        # Profiles and strips may still be coming.
        self._worker.when_idle(self._write)

    def _write(self) -> None:
        parts = [self._message, *self._parts, read_text(self._before, traffic())]
        text = " \N{MIDDLE DOT} ".join(part for part in parts if part)
        if self.root.text != text:
            self.root.text = text

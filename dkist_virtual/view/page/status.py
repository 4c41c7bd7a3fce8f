"""Say at the end of a page what is being read, what was absent, and what failed."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dkist_virtual.view.page.channel import Channel
    from dkist_virtual.view.page.widgets import Widgets
    from dkist_virtual.view.session import Session

__all__ = ["Status"]

PATIENCE: Final = 400
"""Milliseconds after which a page says that it is reading."""


class Status:
    """The line at the end of a page."""

    def __init__(self, session: Session, channel: Channel, widgets: Widgets) -> None:
        self._session = session
        self.root: Any = widgets.text("", "dkv-status")
        channel.label("dkv-status", role="status", aria_live="polite")
        self._since: float | None = None
        self._said = ""

    def say(self, text: str) -> None:
        """Show a message until the next one."""
        self._said = text
        self.root.text = text

    def begin(self) -> None:
        """A step begins: what was said is over, and a long read is named."""
        if self._since is not None:
            return
        self._since = time.monotonic()
        document = self.root.document
        if document is not None and document.session_context is not None:
            document.add_timeout_callback(self._say_reading, PATIENCE)

    def _say_reading(self) -> None:
        if self._since is not None:
            self.root.text = "Reading the picture\N{HORIZONTAL ELLIPSIS}"

    def finish(self, drawn: Sequence[Any]) -> None:
        """A picture is drawn: say what it lacks."""
        since, self._since = self._since, None
        known = [one for one in drawn if one is not None]
        faults = [fault for one in known for fault in one.faults]
        parts = []
        if any(one.n_absent for one in known):
            parts.append("Hatched: frames that are absent")
        if faults:
            parts.append(str(faults[0]))
        if since is not None and not parts:
            parts.append(f"Drawn in {1000 * (time.monotonic() - since):.0f} ms")
        if self._said:
            parts.insert(0, self._said)
            self._said = ""
        self.root.text = "   ".join(parts)

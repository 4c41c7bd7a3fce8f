"""Open panels without a browser, with a reader that reads at once, in the thread that asks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from dkist_virtual.view.panels.choose import default_state
from dkist_virtual.view.session import Session
from dkist_virtual.view.source import Source
from dkist_virtual.view.state.model import Model

__all__ = ["Now", "opened_panel"]


class Now:
    """In place of `dkist_virtual.view.reading.worker.Worker`.

    Attributes
    ----------
    failures
        What failed, in order.
    """

    is_closed = False

    def __init__(self) -> None:
        self.failures: list[Exception] = []

    def read(
        self,
        name: str,
        steps: Callable[[], Iterator[Any]],
        show: Callable[[Any], None],
        failed: Callable[[Exception], None],
        *,
        is_patient: bool = False,
    ) -> None:
        """Show all parts before returning."""
        try:
            for part in steps():
                if part is not None:
                    show(part)
        except Exception as error:  # noqa: BLE001  # as the worker does
            self.failures.append(error)
            failed(error)

    def read_ahead(self, read: Callable[[], object]) -> None:
        """Read nothing ahead."""

    def call(self, function: Callable[[], object]) -> None:
        """Call it in the thread that asks."""
        function()


def opened_panel(dataset: Any, kind: Callable[[Session], Any]) -> tuple[Session, Any]:
    """Open a panel of a dataset, which follows the state of its session."""
    sources = (Source.of(dataset),)
    session = Session(sources, Model(default_state(sources)), Now())  # type: ignore[arg-type]
    panel = kind(session)
    panel.update(None, session.model.state)
    session.model.on_change(panel.update)
    return session, panel

"""A reader for panels that reads at once, in the thread that asks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

__all__ = ["Now"]


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
    ) -> None:
        """Show all parts before returning."""
        try:
            for part in steps():
                show(part)
        except Exception as error:  # noqa: BLE001  # as the worker does
            self.failures.append(error)
            failed(error)

    def read_ahead(self, read: Callable[[], object]) -> None:
        """Read nothing ahead."""

    def call(self, function: Callable[[], object]) -> None:
        """Call it in the thread that asks."""
        function()

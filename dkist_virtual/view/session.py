"""Define what the panels of one page share: sources, state, reader."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Callable

    from dkist_virtual.view.reading.means import MeanSpectra
    from dkist_virtual.view.reading.worker import Worker
    from dkist_virtual.view.source import Source
    from dkist_virtual.view.state.model import Model
    from dkist_virtual.view.state.state import Point, ViewState

__all__ = ["Arrivals", "Panel", "PointedPanel", "ReadingPanel", "Session"]


class Arrivals:
    """Tells a page, in its thread, that frames may have come which were absent."""

    def __init__(self) -> None:
        self._listeners: list[Callable[[], None]] = []

    def on_arrival(self, listener: Callable[[], None]) -> None:
        """Call a function when frames may have come."""
        self._listeners.append(listener)

    def tell(self) -> None:
        """Say that they may."""
        for listener in self._listeners:
            listener()


@dataclass(frozen=True, eq=False)
class Session:
    """One open page: the datasets it shows, its state, and the threads that read for it.

    Parameters
    ----------
    sources : tuple of Source
        The first is the main dataset, whose axes the point has.
    download_to : str or None
        The directory that downloads go to; None where no download is offered.
    lines : tuple of (str, float)
        Spectral lines that the main dataset may show, by name, and their wavelengths in nm, as
        its own are in air or in vacuum.
    has_address : bool
        Whether the page is alone in its window, whose address keeps the state.
    arrivals : Arrivals
    """

    sources: tuple[Source, ...]
    model: Model
    worker: Worker
    download_to: str | None = None
    lines: tuple[tuple[str, float], ...] = ()
    has_address: bool = False
    arrivals: Arrivals = field(default_factory=Arrivals)

    @property
    def source(self) -> Source:
        """The main dataset."""
        return self.sources[0]

    @cached_property
    def means(self) -> MeanSpectra:
        """The mean spectra of the main dataset."""
        from dkist_virtual.view.reading.means import MeanSpectra

        return MeanSpectra(self.source)


class Panel(Protocol):
    """A part of the page: it draws what the state says, and changes the state."""

    name: str
    title: str
    root: Any
    """A Bokeh model, or an object that Panel lays out."""

    def update(self, before: ViewState | None, after: ViewState) -> None:
        """Show another state; `before` is None at first."""
        ...


@runtime_checkable
class ReadingPanel(Panel, Protocol):
    """A panel that keeps what it read of frames."""

    def forget_absent(self) -> None:
        """Forget what was absent: the next `update` reads it again."""
        ...


@runtime_checkable
class PointedPanel(Panel, Protocol):
    """A panel on which the pointer moves the point."""

    def take_pointer(self) -> None:
        """Move the point to where the pointer is, if that is still to be done."""
        ...

    def pin_or(self, point: Point) -> Point:
        """Return the pin that is near a point on the screen; else the point."""
        ...

"""Choose what a page shows at first, and its panels."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from dkist_virtual.view.state.state import PictureState, ViewState

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from dkist_virtual.view.session import Panel, Session
    from dkist_virtual.view.source import Source

__all__ = [
    "OFFERS",
    "Offer",
    "default_state",
    "fitting_panels",
    "make_panels",
    "open_panels",
    "panel_titles",
]


def default_state(sources: Sequence[Source]) -> ViewState:
    """Return the state in which a page opens.

    The main picture is that of a frame. Beside it are the raster map of slit spectrographs, or what
    a slit that stays saw in time; Stokes V of images; the main picture of a second dataset. One
    axis alone has no picture.
    """
    source = sources[0]
    return ViewState(source.middle(), tuple(_pictures(source, sources[1:])))


def _pictures(source: Source, others: Sequence[Source]) -> list[PictureState]:
    roles, shown = source.roles, source.shown
    pictures = [] if shown.y is None else [PictureState((shown.x, shown.y))]
    if roles.map is not None:
        pictures.append(PictureState(roles.map))
    elif (
        pictures
        and roles.stokes is not None
        and roles.stokes not in pictures[0].axes
        and source.letters[:1] == ("I",)
        and "V" in source.letters
    ):
        held = ((roles.stokes, source.letters.index("V")),)
        pictures.append(PictureState(pictures[0].axes, held))
    for number, other in enumerate(others, 1):
        if other.shown.y is not None:
            pictures.append(PictureState((other.shown.x, other.shown.y), dataset=number))
    return pictures


# Panels -------------------------------------------------------------------------------------


def _always(_: Sequence[Source]) -> bool:
    return True


def _never(_: Sequence[Source]) -> bool:
    return False


@dataclass(frozen=True)
class Offer:
    """A panel beside the pictures.

    Parameters
    ----------
    name : str
        As in `ViewState.panels`.
    module, made : str
        Where its class is, and what it is called; made with the session.
    fits : callable
        Whether it has something to show of these datasets.
    opens : callable
        Whether a page begins with it.
    """

    name: str
    module: str
    made: str
    fits: Callable[[Sequence[Source]], bool]
    opens: Callable[[Sequence[Source]], bool] = _always

    @property
    def _class(self) -> Any:
        return getattr(import_module(f"dkist_virtual.view.panels.{self.module}"), self.made)

    def title(self, source: Source) -> str:
        """Name the panel as it names itself once it is open."""
        title_of = getattr(self._class, "title_of", None)
        title: str = self._class.title if title_of is None else title_of(source)
        return title

    def make(self, session: Session) -> Panel:
        """Make the panel."""
        panel: Panel = self._class(session)
        return panel


def _has_times(sources: Sequence[Source]) -> bool:
    clock = sources[0].clocks[0]
    return clock is not None and bool(clock.axes)


def _has_seeing(sources: Sequence[Source]) -> bool:
    # Whether there are headers is found when they are read, in a thread.
    return _has_times(sources) and hasattr(type(sources[0].dataset), "seeing")


def _has_spectra(sources: Sequence[Source]) -> bool:
    """Whether the main picture, on which paths are drawn, is one of several wavelengths."""
    roles = sources[0].roles
    return _varies(sources, "wavelength") and roles.wavelength not in roles.main


def _has_repeats(sources: Sequence[Source]) -> bool:
    """Whether the main dataset has pictures at several times."""
    return _varies(sources, "time") and len(sources[0].shape) > 2


def _has_both(sources: Sequence[Source]) -> bool:
    """Whether the main dataset has several wavelengths at several times."""
    return _varies(sources, "wavelength") and _varies(sources, "time")


def _varies(sources: Sequence[Source], role: str) -> bool:
    axis: int | None = getattr(sources[0].roles, role)
    return axis is not None and sources[0].shape[axis] > 1


OFFERS: Final = (
    Offer("profile", "profile", "ProfilePanel", lambda sources: max(sources[0].shape) > 1),
    Offer("wavelength-time", "cuts.panel", "WavelengthTimePanel", _has_both, _never),
    Offer("path-time", "cuts.panel", "PathTimePanel", _has_repeats, _never),
    Offer("path-wavelength", "cuts.panel", "PathWavelengthPanel", _has_spectra, _never),
    Offer("time", "strip", "TimeStrip", _has_times),
    Offer("seeing", "seeing", "SeeingPanel", _has_seeing),
    Offer("whole", "whole", "WholePanel", lambda sources: len(sources[0].shape) > 0),
    Offer("selection", "selection", "SelectionPanel", lambda sources: len(sources) > 0),
)
"""The panels that there are, in the order in which a page shows them."""


def fitting_panels(sources: Sequence[Source]) -> tuple[str, ...]:
    """Return the names of the panels that have something to show of these datasets."""
    return tuple(offer.name for offer in OFFERS if offer.fits(sources))


def panel_titles(sources: Sequence[Source]) -> dict[str, str]:
    """Return what the panels of `fitting_panels` are called on the page, by their names."""
    return {offer.name: offer.title(sources[0]) for offer in OFFERS if offer.fits(sources)}


def open_panels(state: ViewState, sources: Sequence[Source]) -> tuple[str, ...]:
    """Return the names of the panels that a state has open, or else those of a page at first."""
    fitting = fitting_panels(sources)
    if state.panels is not None:
        return tuple(name for name in fitting if name in state.panels)
    return tuple(offer.name for offer in OFFERS if offer.name in fitting and offer.opens(sources))


def make_panels(session: Session, there: Mapping[str, Panel] | None = None) -> list[Panel]:
    """Make the panels of a page, in the order in which they are read: pictures first.

    Of those beside the pictures, the ones that are open.

    Parameters
    ----------
    there : dict of str to Panel, optional
        Panels of the page, by name, which are not made again.
    """
    from dkist_virtual.view.panels.picture import PicturePanel

    there = {} if there is None else there

    state = session.model.state
    wanted = open_panels(state, session.sources)
    pictures: list[Panel] = [
        there.get(f"picture-{number}") or PicturePanel(session, number)
        for number in range(len(state.pictures))
    ]
    return pictures + [
        there.get(offer.name) or offer.make(session) for offer in OFFERS if offer.name in wanted
    ]

"""Choose what a page shows at first, and its panels."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dkist_virtual.view.panels.picture import PicturePanel
from dkist_virtual.view.state.state import PictureState, ViewState

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dkist_virtual.view.session import Panel, Session
    from dkist_virtual.view.source import Source

__all__ = ["default_state", "make_panels"]


def default_state(sources: Sequence[Source]) -> ViewState:
    """Return the state in which a page opens."""
    shown = sources[0].shown
    pictures = () if shown.y is None else (PictureState((shown.x, shown.y)),)
    return ViewState(sources[0].middle(), pictures)


def make_panels(session: Session) -> list[Panel]:
    """Make the panels of a page, in the order in which they are read."""
    return [PicturePanel(session, number) for number in range(len(session.model.state.pictures))]

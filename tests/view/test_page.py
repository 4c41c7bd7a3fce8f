"""What a page does while its map waits: it shows the contrast, and ends what nobody sees."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

import pytest

from dkist_virtual.view.page.page import Page

if TYPE_CHECKING:
    from dkist_virtual.view.session import Session

PATIENCE = 30


@pytest.fixture
def opened(datasets: Callable[[str], Any]) -> Iterator[tuple[Session, Page, Callable[[], None]]]:
    """A page of a raster, whose map rests, and a function that calls what is scheduled next."""
    calls: SimpleQueue[Callable[[], None]] = SimpleQueue()
    session = datasets("visp").view(browser=False)._session(calls.put)
    session.worker.rest()

    def call_next() -> None:
        calls.get(timeout=PATIENCE)()

    yield session, Page(session), call_next
    session.worker.close()


def test_the_contrast_is_shown_before_the_map_is_drawn(opened: Any) -> None:
    _, page, call = opened
    while not page.look._text.text:
        call()
    assert page.find("picture-0").drawn.is_whole
    assert page.find("picture-1").drawn is None


def test_a_panel_that_is_closed_is_read_no_longer(opened: Any) -> None:
    session, page, call = opened
    done: list[bool] = []
    session.worker.when_idle(lambda: done.append(True), "picture")
    session.model.change(pictures=session.model.state.pictures[:1], panels=())
    assert [panel.name for panel in page.panels] == ["picture-0"]
    while not done:
        call()
    assert session.worker._tickets["profile-mean"].is_over

"""Pictures of one plane move together: each reads once, and none is moved by its own echo."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from bokeh.events import RangesUpdate, Reset
from now import Now

from dkist_virtual.view.page.actions import Actions
from dkist_virtual.view.panels.choose import default_state
from dkist_virtual.view.panels.picture import PicturePanel
from dkist_virtual.view.session import Session
from dkist_virtual.view.source import Source
from dkist_virtual.view.state.model import Model
from dkist_virtual.view.state.state import Bounds, PictureState, ViewState, carried

SIZES = ((300, 200), (260, 230), (300, 200))
"""Pictures beside each other, one of which has buttons, are not of one shape."""
OTHER = PictureState((4, 2), window=(-5.0, 5.0, 629.0, 630.0))


def window_of(panel: PicturePanel) -> Bounds:
    return panel.canvas.window


def move(panel: PicturePanel, window: Bounds) -> None:
    """Move the axes as a browser does: the ranges, and then an event."""
    panel.canvas.figure.x_range.update(start=window[0], end=window[1])
    panel.canvas.figure.y_range.update(start=window[2], end=window[3])
    send(panel, RangesUpdate)


def send(panel: PicturePanel, event: Any) -> None:
    for call in panel.canvas.figure._event_callbacks[event.event_name]:
        call(event(panel.canvas.figure))


class Reads:
    """An array that lists the frames that are read of it."""

    def __init__(self, pixels: Any) -> None:
        self.pixels, self.shape, self.frames = pixels, pixels.shape, list[Any]()

    def __getitem__(self, index: Any) -> Any:
        self.frames.append(index[:3])
        return self.pixels[index]


@pytest.fixture
def opened(datasets: Callable[[str], Any]) -> tuple[Session, list[PicturePanel], Reads]:
    """Stokes I, Stokes V beside it, and another plane: (stokes, time, wavelength, y, x)."""
    ds = datasets("vtf")
    source, reads = Source.of(ds), Reads(ds.data.compute())
    object.__setattr__(source.subject, "data", reads)
    state = default_state((source,))
    state = ViewState(state.point, (*state.pictures, OTHER))
    session = Session((source,), Model(state), Now())  # type: ignore[arg-type]
    panels = [PicturePanel(session, number) for number in range(3)]
    for panel, size in zip(panels, SIZES, strict=True):
        for side, pixels in zip(("width", "height"), size, strict=True):
            panel.canvas.figure.set_from_json(f"outer_{side}", pixels + 90)
            panel.canvas.figure.set_from_json(f"inner_{side}", pixels)
        panel.update(None, state)
        session.model.on_change(panel.update)
    reads.frames.clear()
    return session, panels, reads


def part(window: Bounds, size: float, right: float = 0, up: float = 0) -> Bounds:
    """A window of the same shape, in parts of its sides."""
    left, end, bottom, top = window
    wide, high = (end - left) * size, (top - bottom) * size
    x = (left + end) / 2 + right * (end - left)
    y = (bottom + top) / 2 + up * (top - bottom)
    return x - wide / 2, x + wide / 2, y - high / 2, y + high / 2


@pytest.mark.parametrize("mover", [0, 1])
def test_a_pan_of_one_moves_the_other_and_each_reads_once(opened: Any, mover: int) -> None:
    session, panels, reads = opened
    first, second, other = panels
    moved = part(window_of(panels[mover]), 0.4, 0.1)
    move(panels[mover], moved)
    assert window_of(panels[mover]) == pytest.approx(moved)
    states = [picture.window for picture in session.model.state.pictures]
    assert states[0] == states[1] is not None
    assert states[2] == OTHER.window
    assert window_of(other) == OTHER.window
    middles = [np.add(one[::2], one[1::2]) / 2 for one in map(window_of, (first, second))]
    np.testing.assert_allclose(*middles)
    assert sorted(index[0] for index in reads.frames) == [0, 3]  # Stokes I and V, once each
    # The browser says of each picture that its ranges are others now.
    reads.frames.clear()
    state = session.model.state
    for panel in (second, first, other, second):
        send(panel, RangesUpdate)
    assert session.model.state is state
    assert reads.frames == []


def test_pictures_that_are_moved_in_turn_do_not_grow(opened: Any) -> None:
    session, (first, second, _), _ = opened
    move(first, part(window_of(first), 0.5))
    widths = []
    for panel, right in ((second, 0.1), (first, -0.1), (second, 0.05), (first, 0.0)):
        move(panel, part(window_of(panel), 1, right, right / 2))
        window = session.model.state.pictures[0].window
        widths.append((window[1] - window[0], window[3] - window[2]))
    np.testing.assert_allclose(widths, [widths[0]] * 4)


def test_reset_all_and_zoom_move_both(opened: Any) -> None:
    session, panels, reads = opened
    actions = Actions(
        session, SimpleNamespace(), lambda name: panels[int(name[-1])], lambda _: None
    )  # type: ignore[arg-type]
    whole = window_of(panels[0]), window_of(panels[1])

    def windows() -> list[Bounds | None]:
        return [picture.window for picture in session.model.state.pictures]

    for back in (lambda: send(panels[0], Reset), lambda: send(panels[1], Reset), actions.show_all):
        actions.zoom(0.5)
        assert windows()[0] == windows()[1] is not None
        assert window_of(panels[1])[1] - window_of(panels[1])[0] < whole[1][1] - whole[1][0]
        reads.frames.clear()
        back()
        assert windows() == [None, None, OTHER.window]
        assert (window_of(panels[0]), window_of(panels[1])) == whole
        assert reads.frames == []  # what was shown before is kept
    send(panels[2], Reset)
    assert windows() == [None] * 3


def test_a_window_of_its_own_shape_is_taken_as_it_is() -> None:
    shown = (-2.0, 12.0, 0.0, 10.0)
    assert carried(None, shown, (0, 7, 0, 5)) == (0, 7, 0, 5)
    assert carried((0, 10, 0, 10), shown, (0, 7, 0, 5)) == (1, 6, 0, 5)
    assert carried((0, 10, 0, 10), shown, (0, 7, 0, 1)) == (0, 7, 0, 1)


def test_pictures_of_other_datasets_keep_their_windows() -> None:
    own = PictureState((4, 3), dataset=1, window=(0, 1, 0, 1))
    state = ViewState(
        (0,) * 5,
        (PictureState((4, 3)), own, PictureState((3, 4)), PictureState((4, 3), kind="doppler")),
    )
    moved = state.with_window(3, (1, 2, 3, 4)).pictures
    assert [one.window for one in moved] == [(1, 2, 3, 4), (0, 1, 0, 1), None, (1, 2, 3, 4)]
    assert moved[3].kind == "doppler"

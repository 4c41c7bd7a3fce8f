"""What is written above a picture: of the pixel under the pointer, or else of the point."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
from bokeh.events import MouseLeave, MouseMove
from now import opened_panel

from dkist_virtual.view.panels.picture import PicturePanel
from dkist_virtual.view.state.state import PictureState


def said(panel: PicturePanel) -> tuple[str, list[int]]:
    """Return what a read-out begins with, and its pixel."""
    text = panel.read_out.text
    pixel = re.search(r"pixel \[(\d+), (\d+)\]", text)
    assert pixel is not None
    return text.split()[0], [int(one) for one in pixel.groups()]


def send(panel: PicturePanel, event: type, *place: float) -> None:
    for call in panel.canvas.figure._event_callbacks[event.event_name]:
        call(event(panel.canvas.figure, 0, 0, *place) if place else event(panel.canvas.figure))


def test_it_says_the_point_where_the_pointer_is_elsewhere(datasets: Any) -> None:
    ds = datasets("vtf")
    session, panel = opened_panel(ds, lambda session: PicturePanel(session, 0))
    model = session.model

    def assert_it_says(*pixel: int) -> None:
        value, shown = said(panel)
        assert shown == list(pixel)
        at = (*model.state.point[:3], *pixel)
        assert value == f"{float(np.asarray(ds.data[at])):.6g}"

    assert said(panel) == ("point", [*model.state.point[-2:]])
    model.set(model.state.moved(3, 7))  # by a slider, or from another picture
    assert said(panel) == ("point", [7, model.state.point[4]])
    x, y = panel.drawn.tiles[0].geometry.world(9, 12)
    send(panel, MouseMove, float(x), float(y))
    assert_it_says(12, 9)
    model.change(is_locked=True)
    x, y = panel.drawn.tiles[0].geometry.world(20, 5)
    send(panel, MouseMove, float(x), float(y))
    assert_it_says(5, 20)
    model.set(model.state.moved(2, 1))  # another plane comes below the pointer
    assert_it_says(5, 20)
    assert "from the point" in panel.read_out.text
    send(panel, MouseLeave)
    assert said(panel) == ("point", [12, 9])
    assert "from the point" not in panel.read_out.text
    model.set(model.state.moved(4, 10))
    assert said(panel) == ("point", [12, 10])


def test_that_of_a_doppler_picture_says_what_it_is_and_no_wing(datasets: Any) -> None:
    session, panel = opened_panel(datasets("vtf"), lambda session: PicturePanel(session, 0))
    assert " nm" in panel.read_out.text
    (picture, *_) = session.model.state.pictures
    doppler = PictureState(picture.axes, kind="doppler")
    session.model.change(pictures=(doppler,))
    assert panel.drawn.request.layers.combine is not None
    x, y = panel.drawn.tiles[0].geometry.world(9, 12)
    for event in ((MouseMove, float(x), float(y)), (MouseLeave,)):
        send(panel, *event)
        assert " nm" not in panel.read_out.text
        assert "UTC" not in panel.read_out.text
        name = panel.drawn.request.layers.label.splitlines()[0]
        assert panel.read_out.text.startswith(f"{name} = " if len(event) > 1 else "point")

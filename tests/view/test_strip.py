"""The time strip, without a browser: what it draws of a state, and what clicks and drags do."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from now import Now

from dkist_virtual.view.panels.choose import default_state, fitting_panels, make_panels
from dkist_virtual.view.panels.strip import TimeStrip
from dkist_virtual.view.session import Session
from dkist_virtual.view.source import Source
from dkist_virtual.view.state.model import Model


def session_of(*datasets: Any) -> Session:
    sources = tuple(map(Source.of, datasets))
    return Session(sources, Model(default_state(sources)), Now())  # type: ignore[arg-type]


@pytest.fixture
def strip(datasets: Any) -> tuple[Session, TimeStrip]:
    session = session_of(datasets("visp_moving"))
    strip = TimeStrip(session)
    strip.update(None, session.model.state)
    session.model.on_change(strip.update)
    return session, strip


def millis(moment: Any) -> float:
    return float(np.datetime64(moment, "us").astype("i8")) / 1e3


def test_a_row_for_repeats_and_one_for_raster_steps(strip: Any) -> None:
    session, panel = strip
    clock = session.source.clocks[0]
    point = session.model.state.point
    data = panel._ticks.data
    assert data["x"].tolist() == [*clock.along(0, point).tolist(), *clock.along(1, point).tolist()]
    assert panel.root.yaxis.major_label_overrides == {0: "time", 1: "raster position"}
    assert panel._here.data["x"].tolist() == [clock.at(point).tolist()] * 2


def test_a_click_goes_to_the_nearest_frame_of_its_row(strip: Any) -> None:
    session, panel = strip
    raster = session.source.clocks[0].along(1, session.model.state.point)
    panel._tapped(SimpleNamespace(x=millis(raster[2]) - 4000, y=1.1))
    assert session.model.state.point[:2] == (0, 2)
    assert panel._here.data["x"][1] == raster[2]
    scans = session.source.clocks[0].along(0, session.model.state.point)
    panel._tapped(SimpleNamespace(x=millis(scans[1]) + 1e6, y=-0.3))
    assert session.model.state.point[:2] == (1, 2)
    # The raster of another repeat has other times.
    assert panel._ticks.data["x"][2:].tolist() == (
        session.source.clocks[0].along(1, session.model.state.point).tolist()
    )


def test_dragging_marks_a_range_and_a_double_click_ends_it(strip: Any) -> None:
    session, panel = strip
    raster = session.source.clocks[0].along(1, session.model.state.point)
    panel._drag_started(SimpleNamespace(x=millis(raster[2]) + 1, y=0.9))
    panel._dragging(SimpleNamespace(x=millis(raster[1]) + 10, y=-7))
    assert session.model.state.ranges == ()
    panel._drag_ended(SimpleNamespace(x=millis(raster[1]) - 10, y=-7))
    assert session.model.state.ranges == ((1, 1, 3),)
    assert panel._marks.data["left"].tolist() == [raster[1].tolist()]
    assert panel._marks.data["right"].tolist() == [raster[2].tolist()]
    panel._drag_started(SimpleNamespace(x=millis(raster[0]) + 1, y=1))
    panel._drag_ended(SimpleNamespace(x=millis(raster[0]) + 2, y=1))  # between two frames
    assert session.model.state.ranges == ((1, 1, 3),)
    panel._unmark(SimpleNamespace(x=0, y=1))
    assert session.model.state.ranges == ()
    assert len(panel._marks.data["left"]) == 0


def test_only_data_with_several_times_has_a_strip(datasets: Any) -> None:
    ds = datasets("visp")
    assert "time" in fitting_panels([Source.of(ds)])
    assert "time" not in fitting_panels([Source.of(ds[0, 1])])
    session = session_of(ds)
    names = [panel.name for panel in make_panels(session)]
    assert names[:2] == ["picture-0", "picture-1"]
    assert "time" in names
    session.model.change(panels=())
    assert [panel.name for panel in make_panels(session)] == ["picture-0", "picture-1"]

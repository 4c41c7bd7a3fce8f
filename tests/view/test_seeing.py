"""The seeing curve: values of the headers, none that is not valid, and the page's own time."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from astropy.time import Time
from now import opened_panel

from dkist_virtual.view.panels.choose import fitting_panels
from dkist_virtual.view.panels.seeing import Curve, SeeingPanel, curve_of
from dkist_virtual.view.source import Source

if TYPE_CHECKING:
    from dkist_virtual.view.session import Session

SECOND = np.timedelta64(1_000_000, "us")
START = np.datetime64("2022-10-24T19:00:00", "us")


def panel_of(ds: Any) -> tuple[Session, SeeingPanel]:
    return opened_panel(ds, SeeingPanel)


def test_it_is_that_of_the_headers(datasets: Any) -> None:
    ds = datasets("visp")
    curve = curve_of(ds.seeing)
    # Four Stokes parameters of a step have the least of their values, and their mean time.
    r0 = np.asarray(ds.headers["ATMOS_R0"], float).reshape(4, 4).min(axis=0) * 100
    times = Time(list(ds.headers["DATE-AVG"])).reshape(4, 4)
    expected = times[0] + (times - times[0]).mean(axis=0)
    locked = np.asarray(ds.headers["AO_LOCK"], bool).reshape(4, 4).all(axis=0)
    assert np.array_equal(curve.is_locked, locked)
    assert np.allclose(curve.r0, np.where(locked, r0, np.nan), equal_nan=True)
    away = (Time(curve.times) - expected).to_value("us")
    assert np.abs(away).max() < 2


def test_what_is_not_valid_is_not_drawn() -> None:
    curve = Curve(
        START + np.arange(6) * 10 * SECOND,
        np.array([np.nan, 8.0, np.nan, np.nan, 9.5, 7.0]),
        np.array([False, True, False, True, True, True]),
    )
    assert curve.gaps() == [
        (START, START + 5 * SECOND),
        (START + 15 * SECOND, START + 35 * SECOND),
    ]
    assert curve.said(START + 41 * SECOND) == "r0 9.5 cm"
    assert curve.said(START + 21 * SECOND) == "no valid r0: adaptive optics not locked"
    assert curve.said(START + 29 * SECOND) == "no valid r0"


def test_frames_without_a_time_are_left_out() -> None:
    times = Time(["2022-10-24T19:00:10", "2022-10-24T19:00:00", "2022-10-24T19:00:20"])
    times[2] = np.ma.masked

    class Seeing(SimpleNamespace):
        def by_step(self) -> Any:
            return self

        def __len__(self) -> int:
            return 3

    from astropy import units as u

    seeing = Seeing(
        time=times,
        r0=[5, 6, 7] * u.cm,
        valid=np.array([True, False, True]),
        ao_lock=np.array([True, True, False]),
    )
    curve = curve_of(seeing)
    assert curve.times.tolist() == [START.tolist(), (START + 10 * SECOND).tolist()]
    assert np.array_equal(curve.r0, [np.nan, 5], equal_nan=True)


def test_it_follows_the_time_and_goes_to_a_click(datasets: Any) -> None:
    session, panel = panel_of(datasets("visp_moving"))
    clock = session.source.clocks[0]
    assert clock is not None
    millis = clock.at(session.model.state.point).astype("i8") / 1e3
    assert panel._here.location == millis
    target = clock.at((1, 2, 0, 0)).astype("i8") / 1e3
    panel._tapped(SimpleNamespace(x=target + 100))
    assert session.model.state.point[:2] == (1, 2)
    assert panel._here.location == target


def test_without_headers_it_says_why(datasets: Any) -> None:
    ds = datasets("visp")
    _, panel = panel_of(ds.rebin((1, 2, 1, 1)))
    assert panel.curve is None
    assert "has no headers, where the seeing is" in " ".join(panel.root.title.text.split())
    assert not any(axis.visible for axis in panel.root.axis)  # there is nothing to count


@pytest.mark.parametrize(("item", "fits"), [(np.s_[0], True), (np.s_[0, 1], False)])
def test_only_several_times_have_a_curve(datasets: Any, item: Any, fits: bool) -> None:
    assert ("seeing" in fitting_panels([Source.of(datasets("visp")[item])])) is fits

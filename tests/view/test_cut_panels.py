"""The panels of cuts, without a browser: what they draw of a state, and what clicks do."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from bokeh.events import RangesUpdate
from now import opened_panel

from dkist_virtual.view.panels.choose import default_state, fitting_panels, open_panels
from dkist_virtual.view.panels.cuts.panel import (
    PathTimePanel,
    PathWavelengthPanel,
    WavelengthTimePanel,
)
from dkist_virtual.view.panels.later import Later
from dkist_virtual.view.panels.picture import HOW, MODES, PicturePanel
from dkist_virtual.view.pictures.geometry import geometry_of
from dkist_virtual.view.pictures.levels import levels_of, robust_limits
from dkist_virtual.view.source import Source

if TYPE_CHECKING:
    from dkist_virtual.view.session import Session


def path_of(session: Session, *corners: tuple[float, float]) -> tuple[tuple[float, float], ...]:
    """Coordinates of columns and rows of the main picture."""
    state = session.model.state
    geometry = geometry_of(session.source.subject, state.pictures[0].axes, state.point)
    return tuple(
        (float(x), float(y)) for x, y in (geometry.world(column, row) for column, row in corners)
    )


def test_wavelength_and_time_of_the_last_pin(datasets: Any) -> None:
    ds = datasets("vtf")
    session, panel = opened_panel(ds, WavelengthTimePanel)
    assert panel.shown is None
    assert "Pin" in panel.canvas.message.text
    session.model.change(pins=((0, 0, 0, 3, 4), (0, 0, 1, 9, 8)))
    expected = np.asarray(ds.data[0, :, :, 9, 8])
    np.testing.assert_array_equal(panel.shown.cut.values, expected)
    assert panel.canvas.message.text == ""
    (levels,) = panel.canvas.image.data_source.data["image"]
    assert levels.dtype == np.uint8
    limits = robust_limits(np.asarray(expected, float), signed=False)
    up = expected if panel.shown.up.values[0] < panel.shown.up.values[-1] else expected[::-1]
    np.testing.assert_array_equal(levels, levels_of(up, None, limits))
    panel._move(panel.shown.right.values[2], panel.shown.up.values[1])
    assert session.model.state.point[1:3] == (1, 2)
    session.model.change(point=(3, *session.model.state.point[1:]))  # of Stokes V
    np.testing.assert_array_equal(panel.shown.cut.values, np.asarray(ds.data[3, :, :, 9, 8]))


def test_a_picture_says_how_a_path_is_drawn_until_it_is(datasets: Any) -> None:
    session, panel = opened_panel(datasets("vtf"), lambda session: PicturePanel(session, 0))
    panel.modes.active = MODES.index("Path")
    assert panel.canvas.length.text == HOW
    session.model.change(path=path_of(session, (5, 3), (25, 3)))
    assert panel.canvas.length.text.startswith("path ")
    session.model.change(path=())
    panel.modes.active = MODES.index("Look")
    assert not panel.canvas.length.visible


def test_a_size_that_comes_with_a_move_of_the_axes_is_drawn_for(
    datasets: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a browser that lays a page out: both are answered a little later."""
    _, panel = opened_panel(datasets("vtf"), lambda session: PicturePanel(session, 0))
    waiting: dict[Any, Any] = {}
    monkeypatch.setattr(Later, "call", lambda self, function: waiting.update({self: function}))
    figure = panel.canvas.figure
    for side, pixels in (("width", 300), ("height", 500)):
        figure.set_from_json(f"outer_{side}", pixels + 99)
        figure.set_from_json(f"inner_{side}", pixels)
    for event in figure._event_callbacks["rangesupdate"]:
        event(RangesUpdate(figure))
    for function in waiting.values():
        function()
    left, right, bottom, top = panel.drawn.window
    assert (right - left) / 300 == pytest.approx((top - bottom) / 500)


def test_what_to_do_for_a_cut_is_wrapped_where_it_is_narrow(datasets: Any) -> None:
    _, panel = opened_panel(datasets("vtf"), PathTimePanel)
    panel.canvas.figure.set_from_json("inner_width", 95)
    panel.canvas.say("Draw a path on the main picture")
    assert panel.canvas.message.text.split("\n") == ["Draw a path", "on the main", "picture"]


@pytest.mark.parametrize(("kind", "along"), [(PathTimePanel, 1), (PathWavelengthPanel, 2)])
def test_a_path_along_time_and_wavelength(kind: Any, along: int, datasets: Any) -> None:
    ds = datasets("vtf")
    session, panel = opened_panel(ds, kind)
    assert panel.canvas.message.text == "Draw a path on the main picture"
    session.model.change(path=path_of(session, (5, 3), (25, 3), (25, 20)))
    rows = [3] * 21 + list(range(4, 21))
    columns = [*range(5, 26)] + [25] * 17
    cube = np.asarray(ds.data[(0, slice(None), 0) if along == 1 else (0, 0)])
    expected = cube[:, rows, columns]
    shown = panel.shown.cut.values
    np.testing.assert_array_equal(shown if along == 1 else shown.T, expected)
    distance = (panel.shown.right if along == 1 else panel.shown.up).values
    assert distance[0] == 0
    np.testing.assert_allclose(np.diff(distance), distance[1], rtol=1e-6)
    panel._move(*((distance[7], 0.0) if along == 1 else (0.0, distance[7])))
    assert session.model.state.point[3:] == (3, 12)
    session.model.change(path=())
    assert panel.shown is None
    assert not panel.canvas.image.visible


def test_cuts_are_divided_as_profiles_are(datasets: Any) -> None:
    ds = datasets("vtf")
    session, panel = opened_panel(ds, WavelengthTimePanel)
    over_time, over_wavelength = PathTimePanel(session), PathWavelengthPanel(session)
    for one in (over_time, over_wavelength):
        session.model.on_change(one.update)
    session.model.change(
        point=(3, 1, 1, 9, 8), pins=((0, 0, 0, 9, 8),), path=path_of(session, (5, 3), (24.9, 3))
    )
    *_, found = session.means.steps(session.model.state)
    mean = found.values
    at = int(np.argmin(np.abs(mean - np.percentile(mean, 95))))
    cube = np.asarray(ds.data[...], float)
    of_pixel, of_path = cube[:, :, :, 9, 8], cube[:, :, :, 3, 5:26]
    for stokes, letter in ((3, "V"), (0, "I")):
        session.model.change(fractions=True, detrended=False, point=(stokes, 1, 1, 9, 8))
        np.testing.assert_allclose(
            panel.shown.cut.values, of_pixel[stokes] / of_pixel[0, :, at, None]
        )
        np.testing.assert_allclose(
            over_time.shown.cut.values, of_path[stokes, :, 1] / of_path[0, :, at]
        )
        np.testing.assert_allclose(
            over_wavelength.shown.cut.values.T, of_path[stokes, 1] / of_path[0, 1, at]
        )
        session.model.change(fractions=False, detrended=True)
        np.testing.assert_allclose(panel.shown.cut.values, of_pixel[stokes] / mean)
        np.testing.assert_allclose(over_time.shown.cut.values, of_path[stokes, :, 1] / mean[1])
        np.testing.assert_allclose(
            over_wavelength.shown.cut.values.T, of_path[stokes, 1] / mean[:, None]
        )
        assert over_time.canvas._bar.title == f"{letter} / mean I"
    session.model.change(fractions=True)
    expected = of_path[0, :, 1] / of_path[0, :, at] / (mean[1] / mean[at])
    np.testing.assert_allclose(over_time.shown.cut.values, expected)
    assert over_time.canvas._bar.title == "I/Ic/mean"
    assert panel.canvas.message.text == ""
    session.model.change(fractions=False, detrended=False)
    np.testing.assert_array_equal(panel.shown.cut.values, of_pixel[0])


@pytest.mark.parametrize(("name", "part", "said"), [
    ("vtf", np.s_[1:], "Stokes I is not in the data"), ("vbi_mosaic", ..., "no wavelengths"),
])  # fmt: skip
def test_why_a_cut_is_not_divided_is_said(name: str, part: Any, said: str, datasets: Any) -> None:
    ds = datasets(name)[part]
    session, panel = opened_panel(ds, PathTimePanel)
    session.model.change(path=path_of(session, (5, 3), (24.9, 3)), fractions=True)
    assert said in " ".join(panel.canvas.message.text.split())
    pixels = np.asarray(ds.data[(0, slice(None), 0, 3, slice(5, 26)) if name == "vtf" else
                                (slice(None), 3, slice(5, 26))])  # fmt: skip
    np.testing.assert_array_equal(panel.shown.cut.values, pixels)


def test_a_page_opens_cuts_only_when_asked(datasets: Any) -> None:
    sources = (Source.of(datasets("vtf")),)
    cuts = ("wavelength-time", "path-time", "path-wavelength")
    assert {*cuts} <= {*fitting_panels(sources)}
    state = default_state(sources)
    assert not {*cuts} & {*open_panels(state, sources)}
    asked = replace(state, panels=("path-time", "profile", "other"))
    assert open_panels(asked, sources) == ("profile", "path-time")
    assert not {*cuts} & {*fitting_panels((Source.of(datasets("vbi_mosaic")[:1]),))}

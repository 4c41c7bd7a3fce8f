"""What controls compute: windows, contrasts, directions on the sky, second pictures."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from now import Now, opened_panel

import dkist_virtual as dv
from dkist_virtual.view.page.actions import steps_on_screen, zoomed
from dkist_virtual.view.page.channel import Channel
from dkist_virtual.view.page.choices import Choices
from dkist_virtual.view.page.look import CMAPS, histogram, next_cmap, span_of, symmetric
from dkist_virtual.view.page.second import choices, chosen, with_second
from dkist_virtual.view.page.sliders import AxisSliders
from dkist_virtual.view.page.widgets import Widgets
from dkist_virtual.view.panels.choose import OFFERS, default_state, fitting_panels, panel_titles
from dkist_virtual.view.panels.strip import TimeStrip
from dkist_virtual.view.panels.whole import WholePanel
from dkist_virtual.view.session import Session
from dkist_virtual.view.source import Source
from dkist_virtual.view.state.model import Model

numbers = st.floats(-1e6, 1e6)


@given(numbers, numbers, numbers, numbers, st.sampled_from([0.25, 0.5, 2.0]))
def test_a_zoom_leaves_the_point_where_it_is(
    left: float, wide: float, bottom: float, high: float, by: float
) -> None:
    wide, high = abs(wide) + 1, abs(high) + 1
    window = (left, left + wide, bottom, bottom + high)
    x, y = left + wide / 4, bottom + high / 2
    new = zoomed(window, by, (x, y))
    assert np.isclose(new[1] - new[0], wide * by)
    assert np.isclose((x - new[0]) / (new[1] - new[0]), 0.25)
    assert np.isclose((y - new[2]) / (new[3] - new[2]), 0.5)


@dataclass
class Turned:
    """A plane that is turned and mirrored: columns and rows times a matrix."""

    matrix: tuple[tuple[float, float], tuple[float, float]]

    def world(self, column: float, row: float) -> Any:
        return np.array(self.matrix) @ (column, row)


@pytest.mark.parametrize("mirror", [1, -1])
@pytest.mark.parametrize("degrees", range(0, 360, 30))
def test_arrows_move_the_point_where_they_point(degrees: int, mirror: int) -> None:
    angle = np.deg2rad(degrees)
    (a, b), (c, d) = (np.cos(angle), -np.sin(angle)), (np.sin(angle), np.cos(angle))
    plane = Turned(((a * mirror, b), (c * mirror, d)))
    steps = steps_on_screen(plane, 5, 7)
    assert {place for place, _ in steps} == {0, 1}
    for towards, (place, sign) in enumerate(steps):
        to = np.array([5, 7])
        to[place] += sign
        moved = plane.world(*to) - plane.world(5, 7)
        assert moved[towards] > 0.49  # at least half of the step is that way


def test_a_hot_pixel_does_not_squeeze_the_histogram() -> None:
    values = np.append(np.linspace(100, 200, 1000), 1e6)
    first, last = span_of(values, (110.0, 190.0))
    assert (first, last) == (100.0, 270.0)
    counts, edges = histogram(values, (first, last))
    assert counts.max() == 1
    assert edges[0] == first
    assert edges[-1] == last


def test_axes_with_the_same_coordinate_have_different_names(datasets: Any) -> None:
    """The scans of a map that is repeated have times, and so have the places of its slit."""
    source = Source.of(datasets("visp_moving"))
    assert source.axes.names == ("time", "raster position", "wavelength", "Ty")
    # Of one position the scans are named as the array does, and so is a raster of one scan.
    assert Source.of(datasets("cryonirsp")[:, :, :1]).axes.names[1:3] == (
        "scan number", "map scan step number",
    )  # fmt: skip
    assert Source.of(datasets("visp")).axes.names == (
        "Stokes", "raster position", "wavelength", "Ty",
    )  # fmt: skip


def test_all_panels_give_an_axis_one_name_and_count_its_pixels_from_0(datasets: Any) -> None:
    """The slider, the position in the whole dataset, the time strip, the fields of lags."""
    ds = datasets("visp_moving")[:, :, 4:, ::2]
    session, strip = opened_panel(ds, TimeStrip)
    whole = WholePanel(session)
    widgets = Widgets(channel := Channel(Now(), lambda _: None, lambda _: None))  # type: ignore[arg-type]
    sliders = AxisSliders(session, channel, widgets, lambda _: None)
    session.model.set(state := replace(session.model.state, point=(0, 2, 3, 12)))
    for panel in (whole, sliders):
        panel.update(None, state)
    names = session.source.axes.names
    _, wavelength, moment = ds.wcs.array_index_to_world(*state.point)
    coordinates = [f"{moment.isot.replace('T', ' ')} UTC"] * 2 + [f"{wavelength.value:.4f} nm"]
    rows = [whole.root.left[0].major_label_overrides, whole.texts.major_label_overrides]
    for axis, (name, n) in enumerate(zip(names, ds.shape, strict=True)):
        first, pixel = sliders._values[axis].text.splitlines()
        assert pixel == f"{state.point[axis]} of 0\N{EN DASH}{n - 1}"
        assert first.startswith(f"{name}  ")
        assert rows[0][axis] == name
        said, _, counted = rows[1][axis].partition("  ")
        assert first.endswith(said)
        assert counted.startswith(pixel)
        if axis < len(coordinates):
            assert first == f"{name}  {coordinates[axis]}"
    assert rows[1][2].endswith("3 of 0\N{EN DASH}27 (whole: 7 of 0\N{EN DASH}31)")
    assert [*strip.root.left[0].major_label_overrides.values()] == [*names[:2]]
    spinners = [one.title for one in Choices(session, widgets)._ahead.values()]
    assert spinners == ["wavelength ahead by", "time ahead by"]


@given(numbers, numbers)
def test_symmetric_limits_show_no_less(one: float, other: float) -> None:
    low, high = symmetric((min(one, other), max(one, other)))
    assert low == -high < 0
    assert low <= min(one, other)
    assert high >= max(one, other)


def test_colour_maps_come_round() -> None:
    seen = [CMAPS[0]]
    for _ in CMAPS[1:]:
        seen.append(next_cmap(seen[-1]))
    assert sorted(seen) == sorted(CMAPS)
    assert next_cmap(seen[-1]) == CMAPS[0]


def test_a_second_picture_that_was_chosen_is_known_again(converted: Any) -> None:
    store: Path = converted("vtf")
    source = Source.of(dv.open_dataset(store))
    state = default_state((source,))
    names = [one.name for one in choices((source,), state)]
    assert names[0] == "none"
    assert {"Stokes V", "Stokes V / Ic", "Doppler: red minus blue wing"} <= set(names)
    for one in choices((source,), state):
        second = with_second(state, one.picture)
        assert len(second.pictures) == (1 if one.picture is None else 2)
        moved = second.moved(0, 1).moved(1, 1)
        found = chosen(choices((source,), moved), source, moved)
        assert found is not None
        assert found.name == one.name
    odd = replace(state.pictures[0], axes=(0, 1))
    state = with_second(state, odd)
    assert chosen(choices((source,), state), source, state) is None


def test_buttons_of_panels_have_the_names_of_the_panels(converted: Any) -> None:
    sources = (Source.of(dv.open_dataset(converted("vtf"))),)
    titles = panel_titles(sources)
    assert tuple(titles) == fitting_panels(sources)
    session = Session(sources, Model(default_state(sources)), Now())  # type: ignore[arg-type]
    made = {offer.name: offer.make(session).title for offer in OFFERS if offer.name in titles}
    assert made == titles
    assert titles["path-wavelength"] == "Spectrum along the path"

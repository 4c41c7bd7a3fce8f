"""What controls compute: windows, contrasts, directions on the sky, second pictures."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import dkist_virtual as dv
from dkist_virtual.view.page.actions import steps_on_screen, zoomed
from dkist_virtual.view.page.look import CMAPS, histogram, next_cmap, span_of, symmetric
from dkist_virtual.view.page.second import choices, chosen, with_second
from dkist_virtual.view.page.sliders import PixelTexts
from dkist_virtual.view.panels.choose import default_state
from dkist_virtual.view.source import Source

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
    names = PixelTexts(SimpleNamespace(source=source)).names  # type: ignore[arg-type]
    assert names[:2] == list(source.subject.axis_names[:2])
    assert len({*names}) == len(names) == 4
    assert names[source.roles.wavelength or 0] == "wavelength"


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

"""Pins on pictures: each in the look and with the number of its profile, and unpinned close by."""

from __future__ import annotations

import numpy as np
import pytest

from dkist_virtual.view.panels.curves.looks import PINS
from dkist_virtual.view.panels.picture_figure import PictureFigure
from dkist_virtual.view.pictures.geometry import Scale, Separable
from dkist_virtual.view.pictures.pins import pin_near


def test_each_pin_has_the_look_and_the_number_of_its_profile() -> None:
    figure = PictureFigure("picture-0")
    figure.mark_pins([(1.0, 2.0), None, *((float(k), 0.0) for k in range(6))])
    data = figure.pins.data
    assert list(zip(data["x"], data["y"], strict=True))[:2] == [(1.0, 2.0), (0.0, 0.0)]
    assert data["number"] == ["1", "3", "4", "5", "6", "7", "8"]
    assert data["colour"][:2] == [PINS[0].colour, PINS[2].colour]
    # Where colours begin again, and for people who do not tell them apart, numbers do.
    assert len(set(zip(data["colour"], data["marker"], strict=True))) == 6


@pytest.mark.parametrize(
    ("point", "found"),
    [
        ((0, 3, 10, 10), (0, 7, 10, 12)),  # another wavelength of the same frame's profile
        ((0, 7, 10, 16), None),
        ((0, 7, 12, 19), (0, 7, 11, 20)),
        ((1, 7, 10, 12), None),  # another time
    ],
)
def test_a_pin_is_found_within_some_pixels_of_the_screen(
    point: tuple[int, ...], found: tuple[int, ...] | None
) -> None:
    """At 3 by 2 pixels of the screen for one of the data."""
    x, y = (Scale(name, np.arange(40.0), "other") for name in "xy")
    pins = ((0, 7, 10, 12), (0, 7, 11, 20))
    window = (-0.5, 39.5, -0.5, 39.5)
    at = pin_near(pins, point, (3, 2), (1, None), Separable(x, y), window, (120, 80))
    assert at == found

"""Keys step along the axes that the WCS names, stop at the ends, and are each listed once."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from dkist_virtual.errors import SelectionError
from dkist_virtual.view.page.keys import KEYS, step
from dkist_virtual.view.source import Roles
from dkist_virtual.view.state.state import PictureState, ViewState


@dataclass
class Cube:
    """What keys ask of a source: (stokes, time, wavelength, y, x)."""

    roles: Roles = field(default_factory=lambda: Roles(0, 2, 1, None, (3, 4), (4, 3)))
    shape: tuple[int, ...] = (4, 30, 20, 50, 60)
    letters: tuple[str, ...] = ("I", "Q", "U", "V")


CUBE: Any = Cube()
STATE = ViewState((0, 5, 5, 10, 10), (PictureState((4, 3)),))


@pytest.mark.parametrize(
    ("key", "times", "point"),
    [
        ("s", 1, (0, 5, 6, 10, 10)),
        ("b", 2, (0, 5, 3, 10, 10)),
        ("S", 1, (0, 5, 15, 10, 10)),
        ("f", 3, (0, 8, 5, 10, 10)),
        ("d", 9, (0, 0, 5, 10, 10)),
        ("F", 9, (0, 29, 5, 10, 10)),
        ("ArrowRight", 1, (0, 5, 5, 10, 11)),
        ("ArrowLeft", 99, (0, 5, 5, 10, 0)),
        ("ArrowUp", 1, (0, 5, 5, 11, 10)),
        ("ArrowDown", 2, (0, 5, 5, 8, 10)),
        ("v", 1, (3, 5, 5, 10, 10)),
        ("q", 5, (1, 5, 5, 10, 10)),
    ],
)
def test_steps(key: str, times: int, point: tuple[int, ...]) -> None:
    stepped = step(STATE, CUBE, key, times)
    assert stepped is not None
    assert stepped.point == point


def test_arrows_go_where_they_point_on_a_mirrored_detector() -> None:
    left = step(STATE, CUBE, "ArrowLeft", 1, ((0, -1), (1, 1)))
    assert left is not None
    assert left.point[4] == 11


@pytest.mark.parametrize(("key", "pixel"), [("r", 8), ("e", 2), ("R", 19), ("E", 0)])
def test_the_slit_of_a_raster_that_is_repeated_has_keys(key: str, pixel: int) -> None:
    """While f and d step its repeats."""
    raster: Any = Cube(Roles(0, 3, 1, 2, (3, 4), (2, 4)))
    moved, again = step(STATE, raster, key, 3), step(STATE, raster, "f", 1)
    assert moved is not None
    assert moved.point == (0, 5, pixel, 10, 10)
    assert again is not None
    assert again.point == (0, 6, 5, 10, 10)


def test_steps_along_axes_that_are_not_there_are_refused() -> None:
    bare: Any = Cube(Roles(None, None, None, None, (3, 4), None))
    for key in "sbfdrev":
        with pytest.raises(SelectionError, match="no "):
            step(STATE, bare, key, 1)


def test_each_key_is_listed_once() -> None:
    names = [name for key in KEYS for name in key.names]
    assert len(names) == len(set(names))
    assert all(key.what and key.shown for key in KEYS)


def test_a_pin_is_taken_back_by_the_same_key() -> None:
    pinned = STATE.toggle_pin(STATE.point)
    assert pinned.pins == (STATE.point,)
    assert pinned.toggle_pin(pinned.point) == STATE

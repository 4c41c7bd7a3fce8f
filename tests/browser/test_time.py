"""Time: the strip, the seeing, the place in the whole dataset, rasters, and several datasets."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import dkist_virtual as dv

if TYPE_CHECKING:
    from browser import Browser


@pytest.fixture(scope="module")
def raster(viewers: Callable[..., Any], converted: Callable[[str], Path]) -> Any:
    """Two scans of three steps: (scan, step, wavelength, slit)."""
    return viewers(dv.open_dataset(converted("visp_moving")))


def millis(viewer: Any, *frame: int) -> float:
    clock = viewer.sources[0].clocks[0]
    return float(clock.at((*frame, 0, 0)).astype("i8")) / 1e3


def point_of(browser: Browser, viewer: Any) -> tuple[int, ...]:
    browser.settle()
    return tuple(viewer.state.point)


def changed(browser: Browser, figure: str, *before: int) -> int:
    """Wait until a figure shows what it has not shown before."""
    browser.wait(lambda: browser.drawn(figure) not in before, f"{figure} shows something else")
    browser.settle()
    return browser.drawn(figure)


def test_the_strip_goes_to_a_frame_and_marks_a_range(browser: Browser, raster: Any) -> None:
    browser.open(raster.url)
    before = browser.drawn("picture-0")
    browser.click_at("time", millis(raster, 0, 2) - 900, 1.1)
    assert point_of(browser, raster)[:2] == (0, 2)
    other = changed(browser, "picture-0", before)
    browser.click_at("time", millis(raster, 1, 2), 0)
    assert point_of(browser, raster)[:2] == (1, 2)
    changed(browser, "picture-0", before, other)
    browser.drag("time", (millis(raster, 1, 1) - 500, 1), (millis(raster, 1, 2), 1))
    browser.settle()
    assert raster.state.ranges == ((1, 1, 3),)
    assert "ds[:, 1:3]" in browser.text()
    browser.click_at("time", millis(raster, 1, 1), 1, times=2)
    browser.settle()
    assert raster.state.ranges == ()


def test_slit_image_and_raster_map_move_each_other(browser: Browser, raster: Any) -> None:
    browser.open(raster.url)
    start = point_of(browser, raster)
    seen = browser.drawn("picture-0")
    # The last step of the map, two thirds along the slit.
    world = raster.sources[0].subject.world
    place = world.values(0.0, 2.0, 0.0, 32.0)
    lon, lat = (float(place[world.of_kind(kind).index]) for kind in ("longitude", "latitude"))
    browser.point_at("picture-1", lon, lat)
    found = point_of(browser, raster)
    # The simulated steps are 100 arcsec apart: a pixel of the screen has several of the slit.
    assert found[:3] == (0, 2, start[2])
    changed(browser, "picture-0", seen)
    # A wavelength of the slit image, of which the map is then.
    mapped = browser.drawn("picture-1")
    left, right, bottom, top = browser.ranges("picture-0")
    browser.point_at("picture-0", left + 0.9 * (right - left), (bottom + top) / 2)
    after = point_of(browser, raster)
    assert after[1] == 2
    assert after[2] != start[2]
    changed(browser, "picture-1", mapped)


def test_seeing_and_whole_go_where_they_are_clicked(browser: Browser, raster: Any) -> None:
    browser.open(raster.url)
    browser.wait(lambda: raster.state is not None, "a page is open")
    browser.click_at("seeing", millis(raster, 1, 0), 2)
    assert point_of(browser, raster)[:2] == (1, 0)
    browser.click_at("whole", 0.9, 1)
    assert point_of(browser, raster)[:2] == (1, 2)


def test_fields_are_drawn_on_each_other(
    browser: Browser, viewers: Callable[..., Any], converted: Callable[[str], Path]
) -> None:
    ds = dv.open_dataset(converted("vtf"))
    viewer = viewers(ds, ds[0, :, 1, 5:20, 3:30])
    browser.open(viewer.url)
    browser.wait(lambda: browser.is_drawn("picture-2"), "the second dataset is drawn")
    browser.settle()
    green = np.array([0x00, 0x9E, 0x73])

    def n_green() -> int:
        pixels = browser.pixels("picture-0").astype(int)
        return int((np.abs(pixels - green).max(axis=-1) < 10).sum())

    browser.wait(lambda: n_green() > 200, "the field of the second dataset is on the first")
    before = browser.drawn("picture-2")
    clock = viewer.sources[0].clocks[0]
    last = float(clock.at((0, 1, 0, 0, 0)).astype("i8")) / 1e3
    browser.click_at("time", last, 0)
    assert point_of(browser, viewer)[1] == 1
    changed(browser, "picture-2", before)

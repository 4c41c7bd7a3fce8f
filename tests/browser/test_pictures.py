"""Use the pictures of a page with the mouse: point, pin, box, path, zoom, resize."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import dkist_virtual as dv

if TYPE_CHECKING:
    from browser import Browser


@pytest.fixture(scope="module")
def viewer(viewers: Callable[..., Any], converted: Callable[[str], Path]) -> Any:
    """The page of a VTF dataset, (stokes, time, wavelength, y, x) = (4, 2, 3, 30, 44)."""
    return viewers(dv.open_dataset(converted("vtf")))


@pytest.fixture
def page(browser: Browser, viewer: Any) -> Browser:
    browser.open(viewer.url)
    browser.settle()
    return browser


def place_of(viewer: Any, column: int, row: int) -> tuple[float, float]:
    """The coordinates of a pixel on the first picture, by the dataset's own WCS."""
    wcs = viewer.sources[0].dataset.wcs.low_level_wcs
    values = wcs.pixel_to_world_values(column, row, 0, 0, 0)
    kinds = [one.kind for one in viewer.sources[0].subject.world.axes]
    lon, lat = (float(values[kinds.index(kind)]) for kind in ("longitude", "latitude"))
    return (lon + 648_000) % 1_296_000 - 648_000, lat


def overlaps(page: Browser) -> Any:
    """The parts of a page that lie over others, by pairs."""
    return page.script(
        """
        const parts = probe.all(".dkv-head, .dkv-side, .dkv-panel").map((one) =>
          [one.className, one.getBoundingClientRect()]);
        const common = (a, b) => Math.min(a[1], b[1]) - Math.max(a[0], b[0]);
        return parts.flatMap(([name, a], k) => parts.slice(k + 1).filter(([_, b]) =>
          common([a.left, a.right], [b.left, b.right]) > 1
          && common([a.top, a.bottom], [b.top, b.bottom]) > 1).map(([other]) => [name, other]));
        """
    )


def test_the_pointer_moves_the_point_until_a_click_locks_it(page: Browser, viewer: Any) -> None:
    page.point_at("picture-0", *place_of(viewer, 10, 20))
    page.wait(lambda: viewer.state.point[3:] == (20, 10), "the point to follow")
    for key, pixel in (("s", 1), ("b", 0)):
        page.press(key)
        value = f"{float(viewer.sources[0].dataset.data[0, 0, pixel, 20, 10]):.6g} ct"
        page.wait(lambda value=value: value in page.text(), "the value of the plane that came")
    page.click_at("picture-0", *place_of(viewer, 30, 5))
    page.wait(lambda: viewer.state.is_locked, "the click to lock it")
    assert viewer.state.point[3:] == (5, 30)
    page.point_at("picture-0", *place_of(viewer, 12, 12))
    page.settle()
    assert viewer.state.point[3:] == (5, 30)
    page.click_at("picture-0", *place_of(viewer, 31, 6))
    page.wait(lambda: not viewer.state.is_locked, "the second click to free it")


def test_a_box_and_a_path_are_drawn_in_the_coordinates_of_the_sky(
    page: Browser, viewer: Any
) -> None:
    corners = place_of(viewer, 8, 6), place_of(viewer, 30, 22)
    page.click(page.find("button", "Box"))
    page.settle()
    page.drag("picture-0", *corners)
    page.wait(lambda: viewer.state.box is not None, "the box")
    left, right, bottom, top = viewer.state.box
    expected = [sorted(pair) for pair in zip(*corners, strict=True)]
    per_pixel = place_of(viewer, 1, 1)[1] - place_of(viewer, 0, 0)[1]
    assert [left, right] == pytest.approx(expected[0], abs=abs(per_pixel))
    assert [bottom, top] == pytest.approx(expected[1], abs=abs(per_pixel))
    page.click(page.find("button", "Path"))
    page.settle()
    for number, pixel in enumerate(((10, 10), (20, 20), (35, 8)), 1):
        page.click_at("picture-0", *place_of(viewer, *pixel))
        page.wait(lambda n=number: len(viewer.state.path) == n, "a corner of the path")
    assert not viewer.state.is_locked
    assert viewer.state.path[1] == pytest.approx(place_of(viewer, 20, 20), abs=abs(per_pixel))


def test_the_wheel_reads_what_is_shown_and_a_resize_keeps_it(page: Browser, viewer: Any) -> None:
    before = page.drawn("picture-0")
    page.point_at("picture-0", *place_of(viewer, 22, 15))
    page.wheel("picture-0", *place_of(viewer, 22, 15), -480)
    page.wait(lambda: viewer.state.pictures[0].window is not None, "the window to be taken")
    page.wait(lambda: page.drawn("picture-0") != before, "the zoomed picture")
    page.settle()
    window = viewer.state.pictures[0].window
    page.resize(900, 700)
    page.settle()
    # All of the window is shown, and of the picture around it what has room at equal scales.
    left, right, bottom, top = page.ranges("picture-0")
    assert max(left - window[0], window[1] - right) <= 0.02 * (window[1] - window[0])
    assert max(bottom - window[2], window[3] - top) <= 0.02 * (window[3] - window[2])
    assert viewer.state.pictures[0].window == window


def test_narrow_pictures_stay_where_they_are_and_move_together(page: Browser, viewer: Any) -> None:
    """The read-out has room of its own, and the whole of it is what the pointer on it shows."""
    frames = "return [probe.frame('picture-0'), probe.frame('picture-1')]"
    for width in (700, 1400):
        page.resize(width, 900)
        before = page.script(frames)
        assert before[0]["height"] == before[1]["height"]
        assert overlaps(page) == []
        for row, column in ((9, 12), (28, 40)):
            page.point_at("picture-0", *place_of(viewer, column, row))
            said, *_ = page.wait(
                lambda end=f"[{row}, {column}]": page.script(
                    "return probe.all('[title]').map((one) => one.title)"
                    ".filter((title) => title.includes(arguments[0]))",
                    end,
                ),
                "the read-out, whole, as a hint",
            )
            assert said in page.text()
        page.settle()
        assert page.script(frames) == before
    page.wheel("picture-1", *place_of(viewer, 22, 15), -400)
    page.wait(lambda: viewer.state.pictures[0].window is not None, "the window of both")
    page.settle()
    shown = [page.ranges(f"picture-{number}") for number in (0, 1)]
    middles = [[(one[0] + one[1]) / 2, (one[2] + one[3]) / 2] for one in shown]
    assert middles[0] == pytest.approx(middles[1], rel=1e-6)
    assert page.is_drawn("picture-0")

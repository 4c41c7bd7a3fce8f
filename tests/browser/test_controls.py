"""Controls of a page are used by keyboard, keep step with what is drawn, and fit any window."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from browser import Browser, Keys

import dkist_virtual as dv

STEPS = "return performance.getEntriesByType('measure').filter((one) => one.name === arguments[0])"


@pytest.fixture(scope="module")
def viewer(viewers: Callable[..., Any], converted: Callable[[str], Path]) -> Any:
    """A VTF dataset: (stokes, time, wavelength, y, x)."""
    return viewers(dv.open_dataset(converted("vtf")), lines=[("Fe I 630.25", 630.25)])


@pytest.fixture
def page(browser: Browser, viewer: Any) -> Browser:
    browser.open(viewer.url)
    return browser


def value_of(page: Browser, name: str) -> str:
    return str(page.find("slider", name).get_attribute("aria-valuetext"))


def test_keys_step_and_sliders_say_where(page: Browser, viewer: Any) -> None:
    world = viewer.sources[0].subject.world
    for key, axis, name in (("s", 2, "wavelength"), ("f", 1, "time")):
        before = value_of(page, name)
        page.step("picture-0", key)
        assert viewer.state.point[axis] == 1
        assert value_of(page, name) != before
    values = world.values(*map(float, viewer.state.point))
    wavelength = world.of_kind("wavelength")
    assert float(value_of(page, "wavelength").split()[0]) == pytest.approx(
        values[wavelength.index], abs=1e-4
    )
    point = viewer.state.point
    page.press(Keys.ARROW_RIGHT, Keys.ARROW_UP)
    page.settle()
    moved = [new - old for old, new in zip(point, viewer.state.point, strict=True)]
    assert [axis for axis, by in enumerate(moved) if by] == [3, 4]


def test_a_held_key_never_lags(page: Browser, viewer: Any) -> None:
    """Sixty repeats in a moment are a few steps, and none after the key is released."""
    page.script(
        """
        const key = (type, repeat) => document.body.dispatchEvent(
          new KeyboardEvent(type, {key: "ArrowRight", repeat, bubbles: true, composed: true}))
        key("keydown", false)
        for (let i = 0; i < 60; i++) key("keydown", true)
        key("keyup", false)
        """
    )
    page.settle()
    assert len(page.script(STEPS, "dkist-virtual key ArrowRight")) == 1
    start = viewer.sources[0].middle()[4]
    assert viewer.state.point[4] == start + 1


def test_keys_that_are_typed_do_not_step(page: Browser, viewer: Any) -> None:
    field = page.find("textbox", "ahead")
    page.click(field)
    page.press("s", "f")
    page.settle()
    assert viewer.state.point[1:3] == (0, 0)


def test_help_is_a_dialog_that_the_keyboard_opens_and_closes(page: Browser) -> None:
    page.press("?")
    page.wait(lambda: page.named("dialog") == ["Keys"], "a dialog named Keys")
    assert "next wavelength" in page.named("cell")
    page.press(Keys.ESCAPE)
    page.wait(lambda: not page.named("dialog"), "no dialog")


def test_all_that_is_used_has_a_name(page: Browser) -> None:
    for role in ("button", "slider", "combobox", "textbox"):
        names = page.named(role)
        assert names
        assert all(names), (role, names)
    for name, pressed in (("Look", "true"), ("Box", "false")):
        assert page.find("button", name).get_attribute("aria-pressed") == pressed


def test_pictures_and_colours_are_chosen(page: Browser, viewer: Any) -> None:
    second = page.find("combobox", "Second picture")
    assert len(viewer.state.pictures) == 2
    page.script(
        """
        arguments[0].value = "none"
        arguments[0].dispatchEvent(new Event("change"))
        """,
        second,
    )
    page.wait(lambda: len(viewer.state.pictures) == 1, "one picture is left")
    page.settle()
    before = page.drawn("picture-0")
    handle = page.find("slider", "Brightest value")
    handle.send_keys(Keys.ARROW_LEFT, Keys.ARROW_LEFT, Keys.ARROW_LEFT)
    page.wait(lambda: viewer.state.pictures[0].limits is not None, "the contrast is set")
    page.wait(lambda: page.drawn("picture-0") != before, "the picture in that contrast")
    page.settle()
    assert page.drawn("picture-0") != before
    page.click(page.find("button", "Contrast that fits"))
    page.wait(lambda: viewer.state.pictures[0].limits is None, "the contrast is automatic")


def test_a_page_whose_connection_was_lost_comes_back_as_it_was(page: Browser, viewer: Any) -> None:
    page.step("picture-0", "s")
    page.wait(lambda: "point=" in page.script("return location.search"), "the view is there")
    page.settle()
    state, seen = viewer.state, page.drawn("picture-0")
    page.script("window.stays = 1; for (const socket of probe.sockets) socket.close()")
    page.wait(lambda: page.script("return window.stays ?? 0") == 0, "it is loaded again")
    page.wait(lambda: page.is_drawn("picture-0"), "it is drawn")
    page.settle()
    assert viewer.state == state
    assert page.drawn("picture-0") == seen
    page.step("picture-0", "s")
    page.complaints()  # of the connection


def test_it_plays_until_it_is_paused(page: Browser, viewer: Any) -> None:
    page.press(" ")
    page.wait(lambda: len(page.script(STEPS, "dkist-virtual play")) > 2, "it plays")
    page.press(" ")
    page.settle()
    point = viewer.state.point
    page.settle()
    assert viewer.state.point == point


@pytest.mark.parametrize("width", [400, 1000, 1920])
def test_it_fits_the_window(page: Browser, width: int) -> None:
    page.resize(width, 900)
    sizes = page.script(
        "return [document.scrollingElement.scrollWidth, document.scrollingElement.scrollHeight]"
    )
    assert sizes[0] <= width
    assert sizes[1] <= 900
    assert page.is_drawn("picture-0")
    page.resize(1400, 900)

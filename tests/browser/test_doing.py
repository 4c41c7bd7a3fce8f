"""From looking to doing: the line of Python, the download, and the address of the page."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest
from browser import Browser, Keys

import dkist_virtual as dv

MARKUP = "<img src=x onerror='window.hacked = 1'>&lt;b&gt;"


@pytest.fixture(scope="module")
def ds(converted: Callable[[str], Path]) -> Any:
    """Axes: (stokes, time, wavelength, y, x)."""
    return dv.open_dataset(converted("vtf"))


@pytest.fixture(scope="module")
def viewer(viewers: Callable[..., Any], ds: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Downloads go to a directory whose name is markup."""
    directory = tmp_path_factory.mktemp("down") / MARKUP.replace("/", "")
    directory.mkdir()
    return viewers(ds, download_to=directory)


def copied(browser: Browser, button: str) -> str:
    """Press a button, and return what is on the clipboard then."""
    origin = browser.script("return location.origin")
    browser.driver.execute_cdp_cmd(
        "Browser.grantPermissions",
        {"origin": origin, "permissions": ["clipboardReadWrite", "clipboardSanitizedWrite"]},
    )
    browser.click(browser.find("button", button))
    browser.wait(lambda: "Copied" in browser.text(), "it says that it has copied")
    text = browser.driver.execute_async_script(
        "const done = arguments[0]; navigator.clipboard.readText().then(done)"
    )
    browser.wait(lambda: "Copied" not in browser.text(), "the button has its name again")
    return str(text)


def test_a_box_becomes_a_line_that_selects_it(browser: Browser, viewer: Any, ds: Any) -> None:
    browser.open(viewer.url)
    assert copied(browser, "Copy") == "ds"
    browser.click(browser.find_all("button", "Box")[0])
    left, right, bottom, top = browser.ranges("picture-0")
    middle, half = (left + right) / 2, (bottom + top) / 2
    browser.drag(
        "picture-0", (middle, half), (middle + (right - left) / 20, half + (top - bottom) / 5)
    )
    browser.wait(lambda: "ds[" in browser.text(), "the line is that of the box")
    browser.settle()
    line = copied(browser, "Copy")
    assert line.startswith("ds[:, :, :, ")
    chosen, expected = viewer.selection, eval(line, {"ds": ds})
    assert chosen.shape == expected.shape != ds.shape
    np.testing.assert_array_equal(chosen[0, 0, 0].data.compute(), expected[0, 0, 0].data.compute())
    browser.click(browser.find("button", "Only what is shown"))
    browser.wait(lambda: "ds[0, 0, 0, " in browser.text(), "only the frame shown is marked")
    browser.click(browser.find("button", "Clear marks"))
    browser.wait(lambda: "ds[" not in browser.text(), "nothing is marked")
    assert viewer.selection is ds


def test_a_selection_is_downloaded_and_names_are_no_markup(
    browser: Browser, viewer: Any, ds: Any
) -> None:
    browser.open(viewer.url)
    browser.click(browser.find("button", "Only what is shown"))
    browser.wait(lambda: "Download 1 file to" in browser.text(), "one file is marked")
    assert MARKUP in browser.text()
    browser.click(browser.find("button", "Download 1 file"))
    browser.wait(lambda: "Done." in browser.text(), "it is downloaded")
    (directory,) = (Path(viewer._download_to),)
    assert os.listdir(directory) == ds[0, 0, 0].files.names
    assert not browser.select("img[src='x']")
    assert browser.script("return window.hacked === undefined")


def test_a_hatched_frame_is_drawn_once_it_was_downloaded(
    browser: Browser, viewers: Callable[..., Any], converted: Any, simulated: Any, tmp_path: Path
) -> None:
    shutil.copytree(simulated("vtf"), tmp_path, dirs_exist_ok=True)
    ds = dv.open_dataset(converted("vtf"), frames=tmp_path)
    (name,) = ds[0, 0, 0].files.names
    (tmp_path / name).unlink()
    # The first picture is hatched all over: too few colours to tell that it is drawn.
    browser.open(viewers(ds, download_to=tmp_path).url, picture="picture-1")
    browser.wait(lambda: "Hatched" in browser.text(), "it is absent")
    hatched = browser.drawn("picture-0")
    browser.click(browser.find("button", "Only what is shown"))
    browser.wait(lambda: "Download 1 file to" in browser.text(), "one file is marked")
    shutil.copy(simulated("vtf") / name, tmp_path)
    browser.click(browser.find("button", "Download 1 file"))
    browser.wait(lambda: "Hatched" not in browser.text(), "the frame is there")
    browser.wait(lambda: browser.drawn("picture-0") != hatched, "it is drawn")
    assert "Done." in browser.text()


def test_the_address_follows_without_a_load_and_shows_a_colleague_the_same(
    browser: Browser, viewer: Any, viewers: Callable[..., Any], ds: Any
) -> None:
    browser.open(viewer.url)
    browser.wait(lambda: "point=" in browser.script("return location.search"), "the view is there")
    browser.script("window.stays = 1")
    length = browser.script("return history.length")
    point = ",".join(map(str, viewer.state.point))
    browser.click(browser.find("slider", "wavelength"))
    browser.press(Keys.ARROW_RIGHT)
    browser.wait(lambda: ",".join(map(str, viewer.state.point)) != point, "the point has moved")
    wanted = "point=" + ",".join(map(str, viewer.state.point))
    browser.wait(lambda: wanted in browser.script("return location.search"), "it is in the address")
    assert browser.script("return window.stays") == 1
    assert browser.script("return history.length") == length
    address = browser.script("return location.href")
    assert urlsplit(address).path == urlsplit(viewer.url).path
    assert copied(browser, "Copy its address") == address
    part = copied(browser, "Copy the part for colleagues")
    assert part == f"?{urlsplit(address).query}"
    other = viewers(ds)
    assert other.url != viewer.url
    browser.open(other.url + part)
    assert other.state == viewer.state
    browser.driver.refresh()
    browser.wait(lambda: browser.is_drawn("picture-0"), "it is drawn again")
    assert other.state == viewer.state


@pytest.mark.parametrize(
    "query", ["point=0,0,0,0,99&picture1.axes=4,3", f"x={MARKUP}", "point=%ff", "a" * 7000]
)
def test_an_address_that_is_none_is_said_and_the_page_opens(
    query: str, browser: Browser, viewer: Any
) -> None:
    browser.open(f"{viewer.url}?{query}")
    browser.wait(lambda: "address: " in browser.text() or "view: " in browser.text(), "it is said")
    assert "The page shows what fits the data" in browser.text()
    browser.wait(lambda: "point=" in browser.script("return location.search"), "it has another")
    assert not browser.select("img[src='x']")
    assert browser.script("return window.hacked === undefined")

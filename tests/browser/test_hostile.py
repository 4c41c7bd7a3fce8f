"""Open a dataset that has markup in every text: it is shown as text, and nothing of it runs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from browser import Browser, Keys
from hostile import MARKUP, make_hostile

import dkist_virtual as dv

FOREIGN = """
const found = []
const walk = (node) => {
  for (const element of node.querySelectorAll("*")) {
    if (element.matches("img[src=x], svg[onload], a[href^=javascript]"))
      found.push(element.outerHTML)
    if (element.localName === "script" && element.text.includes("hacked") && !element.type)
      found.push(element.outerHTML)
    if (element.shadowRoot) walk(element.shadowRoot)
  }
}
walk(document)
return [found, window.hacked ?? null]
"""


@pytest.fixture(scope="module")
def hostile(
    simulated: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory
) -> dv.Dataset:
    place = tmp_path_factory.mktemp("hostile")
    directory = make_hostile(Path(simulated("vtf")), place / "frames")
    dv.convert(directory, place / "store", scan="never", progress=False)
    return dv.open_dataset(place / "store")


def test_markup_in_names_and_headers_is_shown_as_text(
    browser: Browser, viewers: Callable[..., Any], hostile: dv.Dataset
) -> None:
    assert MARKUP[:40] in hostile.subject().title
    viewer = viewers(hostile, lines=[(MARKUP, 630.25)])
    browser.open(viewer.url)
    browser.press(*"sdp?", Keys.ESCAPE, "l", "m")
    browser.point_at("picture-0", 0.3, 0.6)
    browser.click_at("picture-0", 0.6, 0.3)
    browser.settle()
    assert browser.script(FOREIGN) == [[], None]
    assert "window.hacked" in browser.script("return document.title")
    assert "window.hacked" in browser.text()

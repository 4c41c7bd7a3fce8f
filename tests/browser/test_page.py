"""Open a page, and use it as a person does."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from browser import Browser, Keys

import dkist_virtual as dv


@pytest.fixture(scope="module")
def url(viewers: Callable[..., Any], converted: Callable[[str], Path]) -> str:
    """The page of a VTF dataset: (stokes, time, wavelength, y, x)."""
    return str(viewers(dv.open_dataset(converted("vtf"))).url)


@pytest.fixture
def page(browser: Browser, url: str) -> Browser:
    browser.open(url)
    return browser


def test_a_picture_is_drawn_and_a_slider_shows_another_frame(page: Browser) -> None:
    slider = page.find("slider", "wavelength")
    page.click(slider)
    seen = [page.drawn("picture-0")]
    seen.extend(page.step("picture-0", Keys.ARROW_RIGHT).after for _ in range(2))
    assert len(set(seen)) == 3
    page.step("picture-0", Keys.ARROW_LEFT)
    assert page.drawn("picture-0") == seen[1]


def test_a_page_asks_its_own_server_alone(page: Browser, url: str) -> None:
    asked = page.script("return performance.getEntriesByType('resource').map((one) => one.name)")
    assert {urlsplit(one).netloc for one in asked} == {urlsplit(url).netloc}

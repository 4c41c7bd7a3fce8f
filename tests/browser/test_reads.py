"""Count what steps read from a server, and what they send to the browser."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import dkist_virtual as dv
from dkist_virtual.demo.server import FrameServer, no_fault
from dkist_virtual.view.state.address import write_address

if TYPE_CHECKING:
    from browser import Browser

PICTURE = "picture-0"
EMPTY = (247, 247, 247)


@pytest.fixture(scope="module")
def server(simulated: Callable[[str], Path]) -> Iterator[FrameServer]:
    server = FrameServer(simulated("vtf"))
    with server.running():
        yield server


@pytest.fixture(scope="module")
def viewer(
    viewers: Callable[..., Any], converted: Callable[[str], Path], server: FrameServer
) -> Any:
    """A VTF dataset whose frames are on a server: (stokes, time, wavelength, y, x)."""
    return viewers(dv.open_dataset(converted("vtf"), frames=server.url))


def frames_of(server: FrameServer) -> Counter[str]:
    """Return how often each frame was asked for since the server was told to forget."""
    asked = Counter(Path(path).name for _, path, _, _ in server.requests)
    server.forget()
    return asked


def frame(stokes: int, time: int, wavelength: int) -> str:
    return f"vtf_{np.ravel_multi_index((stokes, time, wavelength), (4, 2, 3)):04d}.fits"


def test_a_step_reads_each_frame_once_and_sends_8_bits_a_pixel_of_the_screen(
    browser: Browser, viewer: Any, server: FrameServer
) -> None:
    browser.open(viewer.url)
    # All but the pictures is closed, and a page has read nothing so far.
    pictures = write_address(replace(viewer.state, panels=()))
    frames_of(server)
    browser.open(f"{viewer.url}?{pictures}")
    assert len(viewer.state.pictures) == 2  # Stokes I and V
    boxes = [browser.script("return probe.frame(arguments[0])", f"picture-{n}") for n in (0, 1)]
    screen = sum(round(box["width"] * box["height"]) for box in boxes)
    assert frames_of(server) == {frame(0, 0, 0): 1, frame(3, 0, 0): 1}
    step = browser.step(PICTURE, "s")
    # Those that are shown, and those of the next step, which are read ahead.
    browser.wait(lambda: len(server.requests) >= 4, "four frames are asked for")
    assert frames_of(server) == {frame(s, 0, w): 1 for s in (0, 3) for w in (1, 2)}
    assert step.received < 1.2 * screen + 30_000
    for key in ("s", "b", "b", "s"):
        step = browser.step(PICTURE, key)
        assert frames_of(server) == {}
        assert step.received < 1.2 * screen + 30_000


def test_profiles_are_read_once_for_a_pixel_and_not_again_for_a_wavelength(
    browser: Browser, viewer: Any, server: FrameServer
) -> None:
    frames_of(server)
    browser.open(viewer.url)
    asked = frames_of(server)
    profiles = {frame(s, 0, w) for s in range(4) for w in range(3)}
    along_time = {frame(0, t, w) for t in range(2) for w in range(3)}
    assert profiles <= set(asked) <= profiles | along_time
    # For the pictures, the profiles, and the reference spectrum.
    assert max(asked.values()) <= 3
    browser.step(PICTURE, "s")
    browser.wait(lambda: len(server.requests) >= 4, "four frames are asked for")
    assert frames_of(server) == {frame(s, 0, w): 1 for s in (0, 3) for w in (1, 2)}


def test_a_frame_that_cannot_be_reached_is_said_and_the_page_goes_on(
    browser: Browser, viewer: Any, server: FrameServer, quick_retries: None
) -> None:
    browser.open(viewer.url)
    server.fault = lambda path, n: 503 if frame(0, 1, 0) in path else None
    browser.step(PICTURE, "f")
    (said,) = browser.wait(lambda: messages(browser), "the picture says why it is empty")
    assert "503" in said
    x, y = browser.place(PICTURE, 0.1, 0.1)
    assert tuple(browser.screenshot()[y, x]) == EMPTY
    assert browser.is_drawn("picture-1")  # Stokes V of the same time
    browser.step(PICTURE, "d")
    assert tuple(browser.screenshot()[y, x]) != EMPTY
    assert messages(browser) == []
    server.fault = no_fault
    browser.step(PICTURE, "f")
    assert tuple(browser.screenshot()[y, x]) != EMPTY
    assert messages(browser) == []


def messages(browser: Browser) -> list[str]:
    """Return what pictures say, which is drawn on them."""
    found = "return probe.models().filter((one) => one.type === 'Label' && one.visible && one.text)"
    return [text.replace("\n", "") for text in browser.script(f"{found}.map((one) => one.text)")]

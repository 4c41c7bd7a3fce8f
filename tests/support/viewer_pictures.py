"""Write the pictures of the viewer again that the documentation shows.

    PYTHONPATH=tests/support python tests/support/viewer_pictures.py

A page of the demo's dataset is used as a person does, in a real browser. Look at the pictures, in
``docs/pictures``, before you commit them.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from browser import Browser, Keys, start_chromium
from PIL import Image, ImageDraw, ImageFont

import dkist_virtual as dv
from dkist_virtual.demo.vtf import make_vtf

PICTURES = Path(__file__).parents[2] / "docs" / "pictures"
SIZE = 1360, 820
WHOLE = 30_000
"""Milliseconds of the film."""
POINTER = [(0, 0), (0, 17), (4, 13), (7, 20), (10, 19), (7, 12), (12, 12)]
FONT = ImageFont.load_default(22)


@dataclass
class Film:
    """Pictures of a window, with the pointer and the keys that were pressed."""

    browser: Browser
    frames: list[Image.Image] = field(default_factory=list)
    lengths: list[int] = field(default_factory=list)
    at: tuple[int, int] = (0, 0)

    def take(self, length: int, key: str = "") -> None:
        """Take a picture, which is seen for some milliseconds."""
        shown = Image.fromarray(self.browser.screenshot()).convert("RGB")
        draw = ImageDraw.Draw(shown)
        if key:
            wide = draw.textlength(key, FONT) + 24
            left, top = SIZE[0] / 2 - wide / 2, shown.height - 52
            draw.rounded_rectangle((left, top, left + wide, top + 36), 8, fill=(35, 60, 95))
            draw.text((left + 12, top + 5), key, "white", FONT)
        x, y = self.at
        draw.polygon([(x + dx, y + dy) for dx, dy in POINTER], "black", "white")
        if self.frames and np.array_equal(self.frames[-1], shown):
            self.lengths[-1] += length
            return
        self.frames.append(shown)
        self.lengths.append(length)

    def move(self, figure: str, path: Iterator[tuple[float, float]], length: int) -> None:
        """Move the pointer along a path in a figure."""
        for x, y in path:
            self.browser.point_at(figure, x, y)
            self.at = self.browser.place(figure, x, y)
            self.browser.settle()
            self.take(length)

    def press(self, key: str, times: int, length: int, shown: str | None = None) -> None:
        """Press a key some times."""
        for _ in range(times):
            self.browser.press(key)
            self.browser.settle()
            self.take(length, shown or key)

    def save(self, path: Path) -> None:
        """Write an animated picture, and say how long and how large it is."""
        first, *others = (one.resize((1020, 615)) for one in self.frames)
        lengths = [round(length * WHOLE / sum(self.lengths)) for length in self.lengths]
        first.save(
            path, save_all=True, append_images=others, duration=lengths, loop=0, quality=55,
            method=4,
        )  # fmt: skip
        print(f"{path.name}: {sum(lengths) / 1000:.0f} s, {path.stat().st_size // 1000} kB")


def around(x: float, y: float, radius: float, steps: int) -> Iterator[tuple[float, float]]:
    """Go once around a place."""
    for angle in np.linspace(0, 2 * np.pi, steps):
        yield x + radius * np.cos(angle), y + radius * np.sin(angle)


def straight(
    a: tuple[float, float], b: tuple[float, float], steps: int
) -> Iterator[tuple[float, float]]:
    """Go from a place to another."""
    for part in np.linspace(0, 1, steps):
        yield a[0] + part * (b[0] - a[0]), a[1] + part * (b[1] - a[1])


def film(browser: Browser, url: str) -> None:
    """Look at a sunspot for half a minute."""
    browser.open(url)
    browser.resize(*SIZE)
    made = Film(browser)
    spot, quiet = (-311.0, 146.5), (-322.0, 156.0)
    made.at = browser.place("picture-0", *quiet)
    made.take(1200)
    made.move("picture-0", straight(quiet, (spot[0] - 6, spot[1]), 8), 160)
    made.move("picture-0", around(*spot, 6, 16), 160)
    browser.screenshot(PICTURES / "view.png")
    made.press("s", 10, 260)
    made.press("b", 5, 200)
    made.press("p", 1, 900, "p: pin")
    made.move("picture-0", straight((spot[0] + 6, spot[1]), (spot[0] + 11, spot[1] + 8), 8), 160)
    made.press("p", 1, 1200, "p: pin")
    made.press("l", 1, 700, "l: lock")
    made.press("v", 1, 1000)
    made.press("s", 5, 300)
    made.press("f", 1, 900)
    made.press("d", 1, 700)
    made.press("i", 1, 900)
    made.press("+", 3, 500)
    made.press("0", 1, 800)
    made.press("?", 1, 2500)
    browser.screenshot(PICTURES / "view-keys.png")
    made.press(Keys.ESCAPE, 1, 700, "Esc")
    made.save(PICTURES / "view.webp")


def main() -> None:
    """Write all of them."""
    with tempfile.TemporaryDirectory() as folder:
        make_vtf(Path(folder) / "frames", echo=lambda _: None)
        viewer = dv.open_dataset(Path(folder) / "frames").view(browser=False)
        with start_chromium(*SIZE) as browser:
            film(browser, viewer.url)
        viewer.close()


if __name__ == "__main__":
    main()

"""Drive a page of the viewer in a real Chromium as a person does: pointer, keys, window.

What is asked of the page is asked of the browser: the tree that it hands to screen readers, the
pixels that it draws, its console. Of Bokeh only the places of figures and axes are asked
(``probe.js``), so that the pointer can be moved to a pixel of the data.
"""

from __future__ import annotations

import io
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from selenium.webdriver import Chrome, ChromeOptions, ChromeService
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.actions.action_builder import ActionBuilder
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

if TYPE_CHECKING:
    from selenium.webdriver.remote.webelement import WebElement

__all__ = ["Browser", "Keys", "Watched", "start_chromium"]

PROBE = Path(__file__).with_name("probe.js").read_text()
PATIENCE = 30
"""Seconds after which a page that does not do what is waited for has failed."""

FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--disable-dev-shm-usage", "--disable-extensions", "--force-device-scale-factor=1",
    "--hide-scrollbars", "--lang=en-US", "--enable-precise-memory-info",
)  # fmt: skip


def find_programs() -> tuple[str, str]:
    """Return the paths of Chromium and its driver; RuntimeError says what to install."""
    names = (("chromium", "chromium-browser", "google-chrome"), ("chromedriver",))
    found = [next(filter(None, map(shutil.which, some)), None) for some in names]
    if None in found:
        missing = " or ".join(names[found.index(None)])
        raise RuntimeError(
            f"{missing}: not found: tests in the browser need Chromium and its driver. "
            "On Debian: apt-get install chromium chromium-driver"
        )
    return found[0], found[1]  # type: ignore[return-value]


@contextmanager
def start_chromium(width: int = 1400, height: int = 900) -> Iterator[Browser]:
    """Start a Chromium without a window, with a profile of its own, and end it."""
    chromium, chromedriver = find_programs()
    options = ChromeOptions()
    options.binary_location = chromium
    for flag in (*FLAGS, f"--window-size={width},{height}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        options.add_argument(f"--user-data-dir={profile}")
        driver = Chrome(options, ChromeService(chromedriver))
        try:
            driver.set_script_timeout(PATIENCE)
            driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": PROBE})
            yield Browser(driver)
        finally:
            driver.quit()


@dataclass(frozen=True)
class Watched:
    """What followed an event.

    Parameters
    ----------
    first, last : float
        Milliseconds from the event until other pixels of a figure were on the screen at first,
        and until they were those that stayed.
    before, after : int
        A number for the drawn pixels.
    received : int
        Bytes that came from the server meanwhile.
    """

    first: float
    last: float
    before: int
    after: int
    received: int


class Browser:
    """A window of Chromium.

    Parameters
    ----------
    driver : selenium.webdriver.Chrome

    Attributes
    ----------
    is_busy : callable
        Whether the server reads something for a page, where the test knows.
    """

    def __init__(self, driver: Chrome) -> None:
        self.driver = driver
        self.is_busy: Callable[[], bool] = lambda: False

    # The page ------------------------------------------------------------------------------

    def open(self, url: str, *, picture: str | None = "picture-0") -> None:
        """Open an address, and wait until a picture is drawn."""
        self.driver.get(url)
        if picture is not None:
            self.wait(lambda: self.is_drawn(picture), f"{picture} is drawn")
            self.settle()

    def script(self, body: str, *arguments: Any) -> Any:
        """Run a function's body of JavaScript."""
        return self.driver.execute_script(body, *arguments)  # type: ignore[no-untyped-call]

    def wait(self, condition: Callable[[], Any], what: str) -> Any:
        """Wait until a condition holds, and return it; AssertionError says what never was."""
        from selenium.common.exceptions import TimeoutException

        try:
            return WebDriverWait(self.driver, PATIENCE, 0.05).until(lambda _: condition())
        except TimeoutException:
            console = "\n".join(entry["message"] for entry in self.driver.get_log("browser"))
            raise AssertionError(
                f"not within {PATIENCE} s: {what}\n{self.text()[:2000]}\n{console}"
            ) from None

    def settle(self) -> None:
        """Wait until nothing is read, nothing comes from the server, and nothing is drawn."""
        for _ in range(20):
            was_busy = self.is_busy()
            self.driver.execute_async_script(
                """
                const done = arguments[arguments.length - 1];
                let messages = -1, drawn = "", quiet = 0;
                const look = () => {
                  // Pictures are compared now and then: that takes longer than a frame.
                  const now = quiet % 6 ? drawn : probe.pictures();
                  const same = messages === probe.messages && now === drawn;
                  quiet = same && probe.idle() ? quiet + 1 : 0;
                  [messages, drawn] = [probe.messages, now];
                  quiet <= 12 ? requestAnimationFrame(look) : done();
                };
                look();
                """
            )
            if not was_busy and not self.is_busy():
                return

    def text(self) -> str:
        """Return the text that can be seen on the page."""
        return str(self.script("return probe.text()"))

    def resize(self, width: int, height: int) -> None:
        """Give the page another size."""
        self.driver.set_window_size(width, height)
        inner = self.script("return [window.innerWidth, window.innerHeight]")
        self.driver.set_window_size(2 * width - inner[0], 2 * height - inner[1])
        self.settle()

    def complaints(self) -> list[str]:
        """Return the errors of the console since the last call."""
        console = self.driver.get_log("browser")
        errors = [entry["message"] for entry in console if entry["level"] == "SEVERE"]
        errors += self.script("return window.probe ? probe.errors.splice(0) : []")
        # A browser's word for sizes that took two frames to settle: nothing failed.
        return [error for error in errors if "ResizeObserver loop completed" not in error]

    def screenshot(self, path: Path | None = None) -> npt.NDArray[np.uint8]:
        """Return the window's pixels; keep them as a file too."""
        from PIL import Image

        png = self.driver.get_screenshot_as_png()
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(png)
        return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))

    # What is on it, as a screen reader is told ---------------------------------------------------

    def accessible(self) -> list[dict[str, Any]]:
        """Return the nodes of the tree that the browser hands to screen readers."""
        return list(self.driver.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"])

    def named(self, role: str) -> list[str]:
        """Return the names of all that has a role."""
        return [
            node.get("name", {}).get("value", "")
            for node in self.accessible()
            if not node["ignored"] and node.get("role", {}).get("value") == role
        ]

    def find_all(self, role: str, name: str | None = None) -> list[WebElement]:
        """Return the elements that have a role, and a name that contains a word.

        Those of this very name come first.
        """
        exact, found = [], []
        for node in self.accessible():
            said = node.get("name", {}).get("value", "")
            if node["ignored"] or node.get("role", {}).get("value") != role:
                continue
            if name is None or name.lower() in said.lower():
                (exact if said == name else found).append(node["backendDOMNodeId"])
        return [self._element(node) for node in exact + found]

    def find(self, role: str, name: str | None = None) -> WebElement:
        """Return the first of them, as soon as it is there."""
        found = self.wait(lambda: self.find_all(role, name), f"a {role} named {name!r} is there")
        return found[0]  # type: ignore[no-any-return]

    def _element(self, node: int) -> WebElement:
        resolved = self.driver.execute_cdp_cmd("DOM.resolveNode", {"backendNodeId": node})
        self.driver.execute_cdp_cmd(
            "Runtime.callFunctionOn",
            {
                "objectId": resolved["object"]["objectId"],
                "functionDeclaration": "function() {"
                " window.probe.found = this.nodeType === 1 ? this : this.parentElement }",
            },
        )
        return self.script("return probe.found")  # type: ignore[no-any-return]

    def select(self, selector: str) -> list[WebElement]:
        """Return elements by a CSS selector, whatever shadow DOM they are in."""
        return list(self.script("return probe.all(arguments[0])", selector))

    # Keys ----------------------------------------------------------------------------------------

    def press(self, *keys: str) -> None:
        """Press keys, wherever the focus is."""
        chain = ActionChains(self.driver, duration=0)
        for key in keys:
            chain.send_keys(key)
        chain.perform()

    def focused(self) -> WebElement | None:
        """Return the element that has the focus, through shadow DOMs."""
        return self.script("return probe.focused()")  # type: ignore[no-any-return]

    # Pointer -------------------------------------------------------------------------------------

    def click(self, element: WebElement) -> None:
        """Move the pointer onto an element, and click."""
        ActionChains(self.driver, duration=20).move_to_element(element).click().perform()

    def place(self, figure: str, x: float, y: float) -> tuple[int, int]:
        """Return where in the window a place of a figure is."""
        left, top = self.script("return probe.at(...arguments)", figure, x, y)
        return round(left), round(top)

    def point_at(self, figure: str, x: float, y: float) -> None:
        """Move the pointer to a place of a figure."""
        self._pointer([("move", self.place(figure, x, y))])

    def click_at(self, figure: str, x: float, y: float, *, times: int = 1) -> None:
        """Click a place of a figure."""
        at = self.place(figure, x, y)
        self._pointer([("move", at), *([("down", at), ("up", at)] * times)])

    def drag(
        self, figure: str, *corners: tuple[float, float], key: str | None = None, steps: int = 5
    ) -> None:
        """Drag from one place of a figure to others, as a hand does: in small moves."""
        self._dragged([self.place(figure, *corner) for corner in corners], key, steps)

    def drag_element(self, element: WebElement, by: tuple[int, int], *, steps: int = 5) -> None:
        """Drag an element, such as a slider's handle."""
        box = element.rect
        at = (round(box["x"] + box["width"] / 2), round(box["y"] + box["height"] / 2))
        self._dragged([at, (at[0] + by[0], at[1] + by[1])], None, steps)

    def _dragged(self, places: Sequence[tuple[int, int]], key: str | None, steps: int) -> None:
        moves: list[tuple[str, tuple[int, int]]] = [("move", places[0]), ("down", places[0])]
        for (x0, y0), (x1, y1) in pairwise(places):
            for step in range(1, steps + 1):
                part = step / steps
                moves.append(("move", (round(x0 + (x1 - x0) * part), round(y0 + (y1 - y0) * part))))
        self._pointer([*moves, ("up", places[-1])], key)

    def _pointer(
        self, moves: Sequence[tuple[str, tuple[int, int]]], key: str | None = None
    ) -> None:
        builder = ActionBuilder(self.driver, duration=16)
        pointer, keys = builder.pointer_action, builder.key_action
        if key is not None:
            keys.key_down(key)
            pointer.pause(0)
        for what, (x, y) in moves:
            if what == "move":
                pointer.move_to_location(x, y)
            elif what == "down":
                pointer.pointer_down()
            else:
                pointer.pointer_up()
        builder.perform()
        if key is not None:
            after = ActionBuilder(self.driver)
            after.key_action.key_up(key)
            after.perform()

    def wheel(self, figure: str, x: float, y: float, by: int) -> None:
        """Turn the wheel over a place of a figure."""
        left, top = self.place(figure, x, y)
        builder = ActionBuilder(self.driver)
        builder.wheel_action.scroll(left, top, 0, by, 0, "viewport")
        builder.perform()

    # Pictures ------------------------------------------------------------------------------------

    def is_drawn(self, figure: str) -> bool:
        """Whether a figure shows a picture: many colours."""
        drawn = self.script("return window.probe ? probe.drawn(arguments[0]) : null", figure)
        return drawn is not None and drawn["colours"] >= 6

    def drawn(self, figure: str) -> int:
        """Return a number for the pixels that are drawn in a figure's frame."""
        return int(self.script("return probe.drawn(arguments[0])", figure)["sum"])

    def ranges(self, figure: str) -> tuple[float, float, float, float]:
        """Return the first and last x and y of a figure's frame."""
        return tuple(self.script("return probe.ranges(arguments[0])", figure))

    def pixels(self, figure: str) -> npt.NDArray[np.uint8]:
        """Return what is on the screen within a figure's frame, as a person sees it."""
        box = self.script("return probe.frame(arguments[0])", figure)
        left, top = round(box["left"]), round(box["top"])
        shown = self.screenshot()
        return shown[top : top + round(box["height"]), left : left + round(box["width"])]

    def value(self, model: str, attribute: str) -> Any:
        """Return an attribute of a Bokeh model of the page, by the model's name."""
        return self.script("return probe.model(arguments[0])[arguments[1]]", model, attribute)

    @contextmanager
    def watching(self, figure: str, event: str = "keydown") -> Iterator[list[Watched]]:
        """Time from the next event until a figure shows other pixels, and they stay.

        Yields a list, which has the times when the block is over.
        """
        found: list[Watched] = []
        self.script("probe.watch(...arguments)", figure, event)
        yield found
        self.wait(
            lambda: self.script("return probe.watched.first !== null"),
            f"{figure} changes after a {event}",
        )
        self.settle()
        got = self.script("const watched = probe.watched; probe.watched = null; return watched")
        found.append(Watched(got["first"], got["last"], got["before"], got["sum"], got["bytes"]))

    def step(self, figure: str, key: str) -> Watched:
        """Press a key, and time it until a figure shows other pixels."""
        with self.watching(figure) as found:
            self.press(key)
        return found[0]

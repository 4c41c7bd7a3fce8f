"""Fixtures for tests in a real browser: one Chromium for each worker, a page for each module.

`make test-browser` runs these; nothing here is skipped where Chromium is missing, it fails.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from weakref import WeakSet

import pytest
from browser import Browser, start_chromium
from selenium.common.exceptions import WebDriverException

from dkist_virtual.view.reading.worker import Worker

HERE = Path(__file__).parent


@pytest.hookimpl(tryfirst=True)  # before pytest leaves out what -m does not select
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.browser)


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """The browser of this process, which knows what the viewers in it read."""
    workers: WeakSet[Worker] = WeakSet()
    begin = Worker.__init__

    def noted(worker: Worker, *given: Any) -> None:
        begin(worker, *given)
        workers.add(worker)

    with pytest.MonkeyPatch.context() as patched, start_chromium() as browser:
        patched.setattr(Worker, "__init__", noted)
        browser.is_busy = lambda: (
            not all(
                ticket.is_over for one in list(workers) for ticket in list(one._tickets.values())
            )
        )
        yield browser


@pytest.fixture
def browser(chromium: Browser) -> Iterator[Browser]:
    """The same; the test fails if the console has errors at its end."""
    chromium.complaints()
    yield chromium
    assert chromium.complaints() == []


@pytest.fixture(scope="module")
def viewers(chromium: Browser) -> Iterator[Callable[..., Any]]:
    """``viewers(dataset, ...)``: a viewer that is served until the module's tests are over."""
    from dkist_virtual.view.viewer import Viewer

    made: list[Viewer] = []

    def view(*datasets: Any, **options: Any) -> Viewer:
        made.append(Viewer(*datasets, **options))
        return made[-1]

    yield view
    # A page whose server ends would try to reach it again.
    chromium.driver.get("about:blank")
    for viewer in made:
        viewer.close()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """Keep a picture of the window and its text when a test fails."""
    report: Any = yield
    browser = getattr(item, "funcargs", {}).get("chromium")
    # At the end of the last test the browser is closed.
    if report.failed and report.when != "teardown" and browser is not None:
        path = item.config._tmp_path_factory.mktemp("failed") / f"{item.name}.png"  # type: ignore[attr-defined]
        try:
            browser.screenshot(path)
            report.sections.append(("window", f"{path}\n{browser.text()}"))
        except WebDriverException as error:
            report.sections.append(("window", f"does not answer: {error.msg}"))
    return report

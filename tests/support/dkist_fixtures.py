"""Give dkist's own tests the marks and the fixtures of plugins that are not installed here.

As a pytest plugin: ``mocker`` as of pytest-mock, as far as dkist uses it; ``lf`` as of
pytest-lazy-fixtures. Tests that need data from the network are skipped.
"""

from __future__ import annotations

import sys
import unittest.mock
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import pytest

MARKS = ("accept_cli_dataset", "accept_cli_tiled_dataset", "remote_data")


@dataclass(frozen=True)
class LazyFixture:
    """A fixture, by its name, among the parameters of a test."""

    name: str

    def __str__(self) -> str:
        return self.name


class Mocker:
    """Patch names until the end of a test."""

    MagicMock = unittest.mock.MagicMock

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack

    def patch(self, name: str, **options: Any) -> Any:
        """Put a mock in the place of a name."""
        return self._stack.enter_context(unittest.mock.patch(name, **options))


@pytest.fixture
def mocker() -> Iterator[Mocker]:
    with ExitStack() as stack:
        yield Mocker(stack)


def pytest_configure(config: pytest.Config) -> None:
    for mark in MARKS:
        config.addinivalue_line("markers", f"{mark}: of dkist's suite")
    config.addinivalue_line("filterwarnings", "error::dkist.utils.exceptions.DKISTUserWarning")
    lazy = ModuleType("pytest_lazy_fixtures")
    lazy.lf = LazyFixture  # type: ignore[attr-defined]
    sys.modules[lazy.__name__] = lazy


def pytest_make_parametrize_id(val: object) -> str | None:
    return str(val) if isinstance(val, LazyFixture) else None


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("remote_data"):
        pytest.skip("needs data from the network")


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_call(item: Any) -> None:
    for argument, value in item.funcargs.items():
        if isinstance(value, LazyFixture):
            found = item.session._fixturemanager.getfixturedefs(value.name, item)
            if found[-1].params:  # of a fixture with parameters its first form
                item.callspec.params[value.name] = found[-1].params[0]
                item.callspec.indices[value.name] = 0
                item.callspec._arg2scope[value.name] = found[-1]._scope
            item.funcargs[argument] = item._request.getfixturevalue(value.name)

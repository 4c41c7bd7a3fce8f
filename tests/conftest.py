"""Fixtures for all tests: the simulated datasets."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from simulated import generate, once


@pytest.fixture(scope="session")
def simulated(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], Path]:
    """``simulated(name)``: the directory of a simulated dataset, one of ``simulated.NAMES``.

    It holds the frames and ``{name}.asdf``, is made when first asked for, and once for all
    workers of a run. Tests copy what they want to change.
    """
    base = tmp_path_factory.getbasetemp()
    if hasattr(request.config, "workerinput"):  # a worker of pytest-xdist: its parent is shared
        base = base.parent

    def directory(name: str) -> Path:
        return once(base / "simulated" / name, partial(generate, name))

    return directory

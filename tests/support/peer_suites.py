"""Run the test suite that an installed package ships, with our classes in place of its own.

`Suite` says which tests of which version, and through which plugin (a shim); its table, a TOML file
beside the test, lists by node ID the tests that do not pass, each group with a reason. `check`
compares the outcomes with the table. As a pytest plugin (``-p peer_suites``) this module records
the outcomes in the subprocess.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import os
import socket
import subprocess
import sys
import tempfile
import tomllib
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

SUPPORT = Path(__file__).parent
ROOT = SUPPORT.parents[1]
RECORD = "PEER_SUITE_RECORD"


@dataclass(frozen=True)
class Suite:
    """The tests of a package that are run with our classes.

    Parameters
    ----------
    package : str
        By its name in the package index; also that of its folder.
    tests : tuple of str
        Files and folders below the package's folder.
    plugins : tuple of str
        Of pytest, in ``tests/support``: one of them exchanges the classes.
    table : Path
        A TOML file: ``version`` of the package, ``collected`` tests, and the groups ``[[listed]]``,
        each with a ``reason`` and ``tests``, node IDs from the package's folder on.
    """

    package: str
    tests: tuple[str, ...]
    plugins: tuple[str, ...]
    table: Path

    @property
    def installed(self) -> str:
        """The version that is installed."""
        return importlib.metadata.version(self.package)

    @property
    def folder(self) -> Path:
        """The package's folder."""
        return Path(str(importlib.metadata.distribution(self.package).locate_file(self.package)))

    def read_table(self) -> dict[str, Any]:
        """Read the table."""
        return tomllib.loads(self.table.read_text(encoding="utf-8"))

    def listed(self) -> dict[str, str]:
        """Return node IDs of the table, and their reasons; a test may be listed once."""
        found: dict[str, str] = {}
        for group in self.read_table()["listed"]:
            for test in group["tests"]:
                assert test not in found, f"{test} is listed twice in {self.table.name}"
                found[test] = group["reason"]
        return found


def run(suite: Suite, directory: Path) -> dict[str, tuple[str, str]]:
    """Run a suite in a directory, in a process of its own; return outcome and error by node ID.

    Outcomes are ``passed``, ``failed`` and ``skipped``; a test that its authors expect to fail
    passes by failing.
    """
    record = directory / "outcomes.json"
    (directory / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
    plugins = ("pytest_mpl.plugin", "peer_suites", *suite.plugins)
    command = [
        sys.executable, "-m", "pytest", "-q", "--tb=short", "--import-mode=importlib",
        "-c", str(directory / "pytest.ini"), "--rootdir", str(suite.folder),
        "-p", "no:cacheprovider", "--disable-warnings", *(f"-p{name}" for name in plugins),
        *(str(suite.folder / test) for test in suite.tests),
    ]  # fmt: skip
    environment = {
        **os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "MPLBACKEND": "Agg",
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(SUPPORT)]), RECORD: str(record),
        "PYTHONDONTWRITEBYTECODE": "1",
    }  # fmt: skip
    environment.pop("PYTEST_ADDOPTS", None)
    done = subprocess.run(
        command, cwd=directory, env=environment, capture_output=True, text=True, encoding="utf-8"
    )
    (directory / "output.txt").write_text(done.stdout + done.stderr, encoding="utf-8")
    assert done.returncode in (0, 1), done.stdout + done.stderr  # 1: some tests failed
    return {test: (how, why) for test, (how, why) in json.loads(record.read_text()).items()}


def check(suite: Suite, directory: Path) -> None:
    """Run a suite, and fail where its outcomes are not those of the table."""
    table = suite.read_table()
    assert suite.installed == table["version"], (
        f"{suite.package} {suite.installed} is installed, and the table {suite.table.name} is of "
        f"{table['version']}. Run `python tests/support/peer_suites.py {suite.table.stem}`, look "
        "at what it prints, bring the table up to date and write the new version into it"
    )
    outcomes, listed = run(suite, directory), suite.listed()
    errors = [f"{test}: listed, and not collected" for test in sorted(listed.keys() - outcomes)]
    if len(outcomes) != table["collected"]:
        errors.append(f"{len(outcomes)} tests collected, and {table['collected']} by the table")
    for test, (how, why) in outcomes.items():
        if how == "passed" and test in listed:
            errors.append(f"{test}: passes now, take it out of the table ({listed[test]})")
        elif how != "passed" and test not in listed:
            errors.append(f"{test}: {how}, and is not listed: {why}")
    assert not errors, "\n".join([f"{suite.table.name}:", *errors])


# In the subprocess ------------------------------------------------------------------------------


class _Recorder:
    """Record the outcome of each test."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._outcomes: dict[str, tuple[str, str]] = {}

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        for item in items:
            # Collected, and not run to its end unless a report says so.
            self._outcomes[item.nodeid] = ("failed", "no report")

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        before = self._outcomes[report.nodeid][0]
        if report.when == "setup" or report.failed or (report.skipped and before != "failed"):
            expected = hasattr(report, "wasxfail") and report.skipped
            self._outcomes[report.nodeid] = (
                "passed" if expected else report.outcome,
                _last_line(report),
            )

    def pytest_sessionfinish(self) -> None:
        self._path.write_text(json.dumps(self._outcomes), encoding="utf-8")


def _last_line(report: pytest.TestReport) -> str:
    crash = getattr(report.longrepr, "reprcrash", None)
    if crash is not None:
        return " ".join(str(crash.message).split())[:300]
    return "" if report.longrepr is None else " ".join(str(report.longrepr).split())[-300:]


def pytest_configure(config: pytest.Config) -> None:
    """Record outcomes; refuse connections to other machines."""
    config.pluginmanager.register(_Recorder(Path(os.environ[RECORD])), "peer_suite_recorder")
    connect = socket.socket.connect

    def local(self: socket.socket, address: Any) -> None:
        if self.family != getattr(socket, "AF_UNIX", None) and address[0] not in (
            "localhost", "127.0.0.1", "::1",
        ):  # fmt: skip
            raise ConnectionRefusedError(f"{address}: this suite runs without a network")
        connect(self, address)

    socket.socket.connect = local  # type: ignore[method-assign]


@pytest.fixture(autouse=True)
def _same_numbers(request: pytest.FixtureRequest) -> None:
    """Draw the same random numbers in every run: fixtures use numpy's global generator."""
    np.random.seed(zlib.crc32(request.node.nodeid.encode()))  # noqa: NPY002


@pytest.fixture(autouse=True)
def _no_figures() -> Iterator[None]:
    """Close the figures that a test leaves open."""
    yield
    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close("all")


# By hand ----------------------------------------------------------------------------------------


def main(name: str) -> None:
    """Run the suite of ``tests/system/test_{name}.py``, and print what its table has to say."""
    place = ROOT / "tests" / "system" / f"test_{name}.py"
    spec = importlib.util.spec_from_file_location(place.stem, place)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    suite: Suite = module.SUITE
    with tempfile.TemporaryDirectory() as directory:
        outcomes = run(suite, Path(directory))
    listed = suite.listed() if suite.table.exists() else {}
    print(f'version = "{suite.installed}"\ncollected = {len(outcomes)}\n')
    for test, (how, why) in outcomes.items():
        if how == "passed" and test in listed:
            print(f"# passes now: {test}")
        elif how != "passed" and test not in listed:
            print(f'  "{test}",  # {how}: {why}')
    for test in listed.keys() - outcomes:
        print(f"# is gone: {test}")


if __name__ == "__main__":
    main(sys.argv[1])

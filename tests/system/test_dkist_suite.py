"""Run dkist's own tests of datasets and files with our classes in the place of its own.

``dkist_suite.toml`` lists the tests that do not pass, with a reason each.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from peer_suites import Suite, check

SUITE = Suite(
    "dkist",
    (
        "dataset/tests",
        "io/tests",
        "io/dask/tests",
        # Not test_schema_infra.py, which writes into the installed package, nor test_models.py,
        # which is about transforms alone.
        "io/asdf/tests/test_dataset.py",
        "io/asdf/tests/test_inversion.py",
        "io/asdf/tests/test_tiled_dataset.py",
    ),
    ("dkist_fixtures", "dkist_shim"),
    Path(__file__).with_name("dkist_suite.toml"),
)


@pytest.mark.slow
def test_dkists_own_tests_pass_but_for_those_listed(tmp_path: Path) -> None:
    check(SUITE, tmp_path)


# The runner -------------------------------------------------------------------------------------


class Tiny(Suite):
    """A package of four tests, one of which fails, in the directory of its table."""

    @property
    def installed(self) -> str:
        return "1.0"

    @property
    def folder(self) -> Path:
        return self.table.parent / "tiny"


TESTS = """
import socket
import pytest
def test_passes(): pass
def test_fails(): assert not "right"
@pytest.mark.xfail
def test_is_expected_to_fail(): assert not "right"
def test_has_no_network():
    with pytest.raises(ConnectionRefusedError, match="without a network"):
        socket.create_connection(("192.0.2.1", 80))
"""


@pytest.mark.slow
def test_the_runner_fails_where_the_table_is_wrong(tmp_path: Path) -> None:
    table, folder, work = tmp_path / "tiny.toml", tmp_path / "tiny", tmp_path / "work"
    folder.mkdir()
    work.mkdir()
    (folder / "test_tiny.py").write_text(TESTS)
    suite = Tiny("tiny", ("test_tiny.py",), (), table)

    def write(tests: list[str], version: str = "1.0", collected: int = 4) -> None:
        names = ", ".join(f'"test_tiny.py::{test}"' for test in tests)
        table.write_text(
            f'version = "{version}"\ncollected = {collected}\n'
            f'[[listed]]\nreason = "a reason"\ntests = [{names}]\n'
        )

    write(["test_fails"])
    check(suite, work)
    write([])
    with pytest.raises(AssertionError, match=r"test_fails: failed, and is not listed: .*right"):
        check(suite, work)
    write(["test_fails", "test_passes"])
    with pytest.raises(AssertionError, match=r"test_passes: passes now, .* \(a reason\)"):
        check(suite, work)
    write(["test_fails", "test_gone"])
    with pytest.raises(AssertionError, match="test_gone: listed, and not collected"):
        check(suite, work)
    write(["test_fails"], collected=5)
    with pytest.raises(AssertionError, match="4 tests collected, and 5 by the table"):
        check(suite, work)
    write(["test_fails"], version="0.9")
    with pytest.raises(AssertionError, match=r"tiny 1.0 is installed, .* is of 0.9. Run `python"):
        check(suite, work)
    write(["test_fails", "test_fails"])
    with pytest.raises(AssertionError, match="is listed twice"):
        check(suite, work)

"""Run what notebooks do with dkist, by both packages: equal results where dkist is right.

The table is `dkist_calls.CALLS`. Where dkist 1.18.1 fails or gives wrong pixels, a row says so and
has an oracle of its own: a dkist that was mended fails the test, so that the row can be changed.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dkist
import matplotlib.pyplot as plt
import pytest
from dkist_assets import ROOT, unpacked
from dkist_calls import CALLS, Call, Notebook
from plain_values import assert_equal, plain

import dkist_virtual as dv

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "coming-from-dkist.md"
REAL = {"eit": "EIT/eit_test_dataset.asdf", "small_visp": "small_visp/test_visp.asdf"}
PACKED = {"croppable_visp": "croppable_visp.asdf.gz", "inversion": "test_L2_inversion.asdf.gz"}


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """Close figures, and keep dkist's log and what it warns of itself out of the report."""
    logging.getLogger("dkist").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
    plt.close("all")


@pytest.fixture(scope="module")
def place(simulated: Any, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """``place(name)``: the ASDF of a dataset."""
    directory = tmp_path_factory.mktemp("packed")

    def asdf(name: str) -> Path:
        if name in REAL:
            return ROOT / REAL[name]
        if name in PACKED:
            return unpacked(PACKED[name], directory)
        found: Path = simulated(name) / f"{name}.asdf"
        return found

    return asdf


def of(calls: list[Call], *, quick: bool = True) -> list[Any]:
    return [
        pytest.param(
            call,
            id=call.name,
            marks=[] if call.quick and quick else [pytest.mark.slow],
        )
        for call in calls
    ]


def result(call: Call, package: Any, place: Any, tmp_path: Path, globus: Any = None) -> Any:
    """What a call gives with a package, or that it fails."""
    tmp = tmp_path / package.__name__
    tmp.mkdir()
    try:
        return plain(call.do(Notebook(package, place(call.of), tmp, place, globus)))
    finally:
        plt.close("all")


def expected(call: Call, place: Any, tmp_path: Path, globus: Any = None) -> Any:
    """What is right: computed without dkist where that is wrong."""
    if call.right is None:
        return result(call, dkist, place, tmp_path, globus)
    return plain(call.right(Notebook(dkist, place(call.of), tmp_path, place)))


@pytest.mark.parametrize("call", of(list(CALLS)))
def test_a_call(call: Call, place: Any, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    if call.ours:
        request.applymarker(pytest.mark.xfail(reason=call.ours, strict=True))
    globus = request.getfixturevalue("globus") if call.asks else None
    wanted = expected(call, place, tmp_path, globus)
    got = result(call, dv, place, tmp_path, globus)
    assert_equal(got, wanted, tolerance=call.tolerance)


@pytest.mark.parametrize("call", of([call for call in CALLS if call.dkist], quick=False))
def test_where_dkist_is_wrong(
    call: Call, place: Any, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """A dkist that is right by now fails here: its row needs no oracle of its own any more."""
    globus = request.getfixturevalue("globus") if call.asks else None
    wanted = expected(call, place, tmp_path, globus)
    try:
        got = result(call, dkist, place, tmp_path, globus)
    except Exception:  # noqa: BLE001  # that it fails is what the row says
        return
    with pytest.raises(AssertionError):
        assert_equal(got, wanted, tolerance=call.tolerance)


def test_nearly_all_run_unchanged() -> None:
    names = [call.name for call in CALLS]
    assert len(set(names)) == len(names)
    others = [call for call in CALLS if call.ours]
    assert len(CALLS) >= 67
    assert len(CALLS) - len(others) >= 65
    assert len(others) / len(CALLS) <= 2 / 67
    for call in CALLS:
        # An oracle of its own is for a dkist that is wrong.
        assert bool(call.dkist) <= (call.right is not None), call.name


def test_the_page_names_those_that_do_not() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert f"dkist {dkist.__version__}" in page
    for call in CALLS:
        assert not call.ours or call.ours in page, call.name

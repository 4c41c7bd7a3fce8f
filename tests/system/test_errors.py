"""The tree of errors: drawn whole, caught as builtins, and carried between processes."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dkist_virtual import errors

ERRORS = [
    kind
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, (errors.DKISTVirtualError, Warning))
]


def test_the_tree_is_drawn_whole() -> None:
    assert len(ERRORS) >= 18
    for kind in ERRORS:
        assert kind.__name__ in (errors.__doc__ or "")
        assert kind.__name__ in errors.__all__


@pytest.mark.every(16)
@pytest.mark.parametrize("kind", ERRORS)
@given(message=st.text(max_size=60))
def test_errors_come_back_from_another_process(kind: Any, message: str) -> None:
    error = kind(message)
    for protocol in (2, pickle.HIGHEST_PROTOCOL):
        again = pickle.loads(pickle.dumps(error, protocol))
        assert type(again) is kind
        assert str(again) == str(error)
        assert again.args == error.args
    if issubclass(kind, errors.FrameError):
        placed = pickle.loads(pickle.dumps(error.at("data/0.0")))
        assert type(placed) is kind
        assert str(placed) == f"data/0.0: {error}"


@given(st.dictionaries(st.text(), st.text()), st.none() | st.integers(1, 99))
def test_what_errors_carry_comes_back(failures: dict[str, str], number: int | None) -> None:
    error = errors.DownloadError("some", failures)
    error.errno = number
    again = pickle.loads(pickle.dumps(error))
    assert again.failures == failures
    assert again.errno == number


def test_errors_are_the_builtins_that_others_catch() -> None:
    found: dict[type[BaseException], type[BaseException]] = {
        errors.FrameMissingError: FileNotFoundError,
        errors.FrameRefusedError: PermissionError,
        errors.FrameUnreachableError: ConnectionError,
        errors.FrameCorruptError: ValueError,
        errors.StoreMissingError: FileNotFoundError,
        errors.StoreCorruptError: ValueError,
        errors.SelectionError: IndexError,
    }
    for ours, builtin in found.items():
        assert issubclass(ours, builtin)


def test_pickled_paths_stay_paths(tmp_path: Path) -> None:
    error = errors.StoreExistsError(f"{tmp_path}: exists already")
    assert str(pickle.loads(pickle.dumps(error))) == f"{tmp_path}: exists already"

"""The module paths of the former reference still import, and say where they went."""

from __future__ import annotations

import importlib
import subprocess
import sys

import pytest

import dkist_virtual as dv
from dkist_virtual._moved import MOVED


@pytest.mark.parametrize("name", sorted(MOVED))
def test_a_former_path_imports_and_says_where_it_is_now(name: str) -> None:
    sys.modules.pop(f"dkist_virtual.{name}", None)
    with pytest.warns(DeprecationWarning, match=f"dkist_virtual.{MOVED[name]}"):
        old = importlib.import_module(f"dkist_virtual.{name}")
    new = importlib.import_module(f"dkist_virtual.{MOVED[name]}")
    for public in new.__all__:
        assert getattr(old, public) is getattr(new, public)


def test_search_stays_a_function() -> None:
    sys.modules.pop("dkist_virtual.search", None)
    with pytest.warns(DeprecationWarning, match="datacenter.search"):
        from dkist_virtual.search import spectral_lines
    assert callable(dv.search)
    assert spectral_lines.__module__ == "dkist_virtual.datacenter.search"


def test_a_path_that_never_was_is_not_found() -> None:
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("dkist_virtual.no_such_module")


def test_a_user_sees_the_warning_at_the_line_that_imports() -> None:
    code = "import dkist_virtual.files"
    done = subprocess.run(
        [sys.executable, "-W", "always::DeprecationWarning", "-c", code],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0
    assert "dkist_virtual.files is now dkist_virtual.dataset.files" in done.stderr

"""The module paths of the former reference still import, and say where they went."""

from __future__ import annotations

import importlib
import pickle
import subprocess
import sys

import pytest

import dkist_virtual as dv
from dkist_virtual._moved import MOVED
from dkist_virtual.dataset.files import Files


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
    assert spectral_lines.__module__ == "dkist_virtual.datacenter.search"
    from dkist_virtual import search

    assert search is dv.search
    with pytest.raises(TypeError, match=r"search\(\) got an unexpected keyword"):
        dv.search(colour="red")  # type: ignore[call-arg]


def test_search_under_another_name_has_the_names_of_both() -> None:
    sys.modules.pop("dkist_virtual.search", None)
    with pytest.warns(DeprecationWarning, match="datacenter.search"):
        import dkist_virtual.search as former
    from dkist_virtual.datacenter.search import parameters, search, spectral_lines

    assert former.search is search  # type: ignore[attr-defined]
    assert former.spectral_lines is spectral_lines  # type: ignore[attr-defined]
    assert former.parameters is parameters  # type: ignore[attr-defined]


def test_a_pickle_of_a_former_path_is_read() -> None:
    sys.modules.pop("dkist_virtual.files", None)
    with pytest.warns(DeprecationWarning, match="dataset.files"):
        assert pickle.loads(b"cdkist_virtual.files\nFiles\n.") is Files


def test_a_path_that_never_was_is_not_found() -> None:
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("dkist_virtual.no_such_module")


def test_a_user_sees_the_warning_at_the_line_that_imports() -> None:
    # Without options Python shows this warning only if it is at a line of the user's program.
    code = "import sys\nimport dkist_virtual.files"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0
    said = "DeprecationWarning: dkist_virtual.files is now dkist_virtual.dataset.files"
    assert f"<string>:2: {said}" in done.stderr

"""The public names and signatures of the installed ``dkist``, compared with ours by inspection.

A new release that adds a name or an argument fails here: give it a counterpart, or a line in a
table below with the reason, and write its version into `DKIST_INTERFACE`.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

import dkist
import pytest
from dkist.dataset.inversion import Profiles
from dkist.io import DKISTFileManager

import dkist_virtual as dv
from dkist_virtual.dataset.files import Files

PAIRS: dict[str, tuple[type, type]] = {
    "Dataset": (dkist.Dataset, dv.Dataset),
    "TiledDataset": (dkist.TiledDataset, dv.TiledDataset),
    "files": (DKISTFileManager, Files),
    "Inversion": (dkist.Inversion, dv.Inversion),
}

# Names that are not class attributes in dkist: it hands them on to an inner object.
PROXIED = ("fileuri_array", "shape", "output_shape", "filenames", "dask_array")

NOT_HERE = {
    "files.from_parts": "makes a file manager by hand: dv.load_dataset and a store list the files",
    "files.__init__": "is made by a dataset alone, as ds.files",
    "dkist.conf": "where dkist's sample data go: import dkist; dkist.conf is that still",
    "dkist.system_info": "versions of dkist's own dependencies: dkist.system_info() says them",
    "dkist.write_default_config": "writes dkist's own configuration: it still does",
}

# Calls that dkist's signature permits and ours refuses: method, argument ("" for all by position).
OTHER_CALLS = {
    ("Dataset.__init__", ""): "all but data and wcs are given by name",
    ("Dataset.from_asdf", "filepath"): "is given by its position, as in dkist's documentation",
    ("Dataset.rebin", ""): "all but bin_shape and operation are given by name, as in ndcube's",
    ("Dataset.plot", ""): "all but axes and plot_axes are given by name",
    ("TiledDataset.plot", ""): "slices are given by name",
    ("TiledDataset.plot", "share_zscale"): "slices are given by name",
    ("TiledDataset.plot", "figure"): "slices are given by name",
    ("TiledDataset.plot", "swap_tile_limits"): "slices are given by name",
    ("TiledDataset.plot", "hide_internal_tick_labels"): "slices are given by name",
}


def public(cls: type) -> list[str]:
    return [name for name in dir(cls) if not name.startswith("_") or name == "__init__"]


@pytest.mark.parametrize("pair", PAIRS)
def test_every_name_is_here(pair: str) -> None:
    theirs, ours = PAIRS[pair]
    names = [*public(theirs), *(PROXIED if pair == "files" else ())]
    assert len(names) > 5
    missing = [f"{pair}.{name}" for name in names if not hasattr(ours, name)]
    assert [name for name in missing if name not in NOT_HERE] == []


def test_every_name_of_the_package_is_here() -> None:
    names = {*dkist.__all__, "save_dataset"}
    assert {f"dkist.{name}" for name in names if not hasattr(dv, name)} <= set(NOT_HERE)
    assert all(hasattr(Profiles, name) for name in ("plot", "get", "__getitem__"))


def refused(theirs: Any, ours: Any) -> Iterator[str]:
    """The arguments of their signature, each beside those that are required, that ours refuses.

    An empty text means all arguments at once, by their positions.
    """
    kind = inspect.Parameter
    given = list(inspect.signature(theirs).parameters.values())
    own = inspect.signature(ours)
    places = [one for one in given if one.kind is kind.POSITIONAL_OR_KEYWORD]
    required = [one for one in places if one.default is kind.empty]
    try:
        own.bind(*places)
    except TypeError:
        yield ""
    for one in given:
        if one.kind not in (kind.POSITIONAL_OR_KEYWORD, kind.KEYWORD_ONLY) or one.name == "self":
            continue
        # Those before it by position, it and those after it by name.
        before = places[: places.index(one)] if one in required else required
        after = {other.name: 0 for other in required if other not in before}
        try:
            own.bind(*before, **{**after, one.name: 0})
        except TypeError:
            yield one.name


@pytest.mark.parametrize("pair", PAIRS)
def test_every_call_that_dkist_permits_is_permitted(pair: str) -> None:
    theirs, ours = PAIRS[pair]
    tried, found = 0, {}
    for name in public(theirs):
        method = getattr(theirs, name)
        if not callable(method) or f"{pair}.{name}" in NOT_HERE:
            continue
        if callable(inspect.getattr_static(dict, name, None)):  # of a dict, for Inversion
            continue
        tried += 1
        for argument in refused(method, getattr(ours, name)):
            found[f"{pair}.{name}", argument] = str(inspect.signature(method))
    assert tried
    assert {call: how for call, how in found.items() if call not in OTHER_CALLS} == {}


def test_the_tables_name_what_dkist_has() -> None:
    for name in {*(method for method, _ in OTHER_CALLS), *NOT_HERE}:
        cls, _, attribute = name.partition(".")
        owner = dkist if cls == "dkist" else PAIRS[cls][0]
        assert hasattr(owner, attribute), name


def test_a_new_name_and_a_new_argument_are_found() -> None:
    def theirs(self: object, path: str, *, colour: str = "") -> None: ...

    def ours(self: object, path: str) -> None: ...

    assert list(refused(theirs, ours)) == ["colour"]
    assert list(refused(ours, theirs)) == []
    assert list(refused(theirs, lambda self: None)) == ["", "path", "colour"]

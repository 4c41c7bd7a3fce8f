"""Read large parts of an ASDF in place, and compare them with asdf and dkist."""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Any

import asdf
import numpy as np
import pytest
from astropy.table import MaskedColumn, Table
from dkist_assets import DATASETS, FEW, VISP, load, unpacked
from many import write_asdf
from samples import mostly_slow

import dkist_virtual as dv
from dkist_virtual.conversion.asdf.source import read_source
from dkist_virtual.conversion.asdf.tree import read_tree
from dkist_virtual.errors import DatasetError


@pytest.fixture(scope="module")
def assets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("assets")


def header_nodes(node: Any) -> list[Any]:
    if isinstance(node, list):
        return [table for part in node for table in header_nodes(part)]
    own = node.get("headers") or node.get("meta", {}).get("headers")
    return [own, *header_nodes(node.get("datasets", []))]


# In the oldest tables of EIT; asdf is left to read them.
MASKED = {"COMMENT", "HISTORY", "col5"}


@pytest.mark.parametrize("name", mostly_slow(DATASETS, *FEW))
def test_the_columns_of_real_tables_lie_in_blocks(name: str, assets: Path) -> None:
    path = unpacked(name, assets)
    tree = read_tree(path)
    tables = [t for t in header_nodes(tree.tree["dataset"]) if t and "columns" in t]
    for table in tables:
        if not table["columns"]:
            continue
        columns = tree.columns(table)
        assert columns is not None
        assert set(table["colnames"]) - set(columns.columns) <= MASKED
    # And dkist is given none of them, and two names.
    tree.write_without_frames(assets / "small.asdf")
    small = read_tree(assets / "small.asdf").tree["dataset"]
    for table in header_nodes(small):
        if table and "columns" in table:
            assert {column["name"] for column in table["columns"]} <= MASKED


ROWS = (
    slice(3, 60, 7),
    slice(None, None, -1),
    slice(9, 9),
    np.array([5, 5, 0, 59]),
    np.array([], int),
    np.arange(60) % 3 == 1,
)


@pytest.mark.every(6)
@pytest.mark.parametrize("rows", ROWS, ids=str)
def test_any_rows_of_a_column(rows: Any, assets: Path) -> None:
    path = unpacked(VISP, assets)
    theirs = load(path).headers
    ours = read_source(path).headers
    assert ours.source is not None
    for first in (slice(10, 70), slice(70, 10, -1), np.arange(70, 10, -1)):
        for name in ("SIMPLE", "NAXIS", "TELAPSE", "DATE-BEG"):
            np.testing.assert_array_equal(ours[first][rows][name], theirs[first][rows][name])


def a_dataset(path: Path, table: Any, **how: Any) -> Path:
    """An ASDF of four frames with a header table of any form."""
    write_asdf(path, 4)
    with asdf.open(path, lazy_load=False, memmap=False) as opened:
        tree = opened.tree["dataset"]
        node = {
            "fileuris": [f"{i}.fits" for i in range(4)],
            "target": 1,
            "datatype": "float32",
            "shape": [1, 12, 20],
        }
        parts = {
            "data": asdf.tagged.TaggedDict(node, "asdf://dkist.nso.edu/tags/file_manager-1.1.0"),
            "wcs": tree.wcs,
            "unit": tree.unit,
            "meta": {"headers": table, "inventory": {"datasetId": "FORMS"}},
        }
        tag = "asdf://dkist.nso.edu/tags/dataset-1.3.0"
        written = asdf.AsdfFile({"dataset": asdf.tagged.TaggedDict(parts, tag)})
        written.write_to(path, **how)
    return path


FORMS = {
    "masked": MaskedColumn([1, 2, 3, 4], mask=[True, False, False, True]),
    "cells that are arrays": np.arange(8).reshape(4, 2),
    "bytes": np.array([b"a", b"bc", b"", b"d"]),
    "complex": np.array([1j, 2, 3, 4]),
    "with a description": Table({"X": [1, 2, 3, 4]})["X"],
    "big-endian": np.arange(4, dtype=">i4"),
    "float32": np.arange(4, dtype="f4"),
}
FORMS["with a description"].description = "words"


HOW: dict[str, dict[str, str]] = {
    "plain": {},
    "compressed": {"all_array_compression": "zlib"},
    "inline": {"all_array_storage": "inline"},
}


@pytest.mark.parametrize("how", list(HOW.values()), ids=list(HOW))
@pytest.mark.parametrize("form", FORMS)
def test_columns_of_other_forms_are_left_to_asdf(form: str, how: Any, tmp_path: Path) -> None:
    table = Table({"A": np.arange(4), "X": FORMS[form], "B": ["a", "b", "c", "d"]})
    table.meta["kept"] = 1
    path = a_dataset(tmp_path / "d.asdf", table, **how)
    theirs, ours = load(path).headers, read_source(path).headers
    assert ours.colnames == theirs.colnames == ["A", "X", "B"]
    assert ours.meta == theirs.meta
    for name in theirs.colnames:
        some = np.array([3, 1])
        np.testing.assert_array_equal(ours[some][name], theirs[some][name])
        np.testing.assert_array_equal(ours[1:3][name], theirs[1:3][name])
        assert type(ours[name]) is type(theirs[name])
        assert ours[name].dtype == theirs[name].dtype
        assert ours[name].description == theirs[name].description
        np.testing.assert_array_equal(ours[name], theirs[name])
        np.testing.assert_array_equal(
            np.ma.getmaskarray(ours[name]), np.ma.getmaskarray(theirs[name])
        )


def test_an_asdf_that_was_replaced_is_not_read_on(tmp_path: Path) -> None:
    path = write_asdf(tmp_path / "d.asdf", 4)
    ds = dv.Dataset.from_asdf(path)
    assert ds.headers["FRAME"].tolist() == [0, 1, 2, 3]
    write_asdf(path, 5)
    with pytest.raises(DatasetError, match=r"d\.asdf: has changed since it was opened"):
        ds.headers["NAME"]


def test_headers_of_an_asdf_travel_with_the_dataset(tmp_path: Path) -> None:
    path = write_asdf(tmp_path / "d.asdf", 4)
    data = pickle.dumps(dv.Dataset.from_asdf(path))
    os.remove(path)
    assert pickle.loads(data)[1:3].headers["NAME"].tolist() == ["n1", "n2"]


@pytest.mark.parametrize("where", ["the tree", "a block's header", "the last block"])
def test_an_asdf_that_was_cut_short_is_refused(where: str, assets: Path, tmp_path: Path) -> None:
    data = unpacked(VISP, assets).read_bytes()
    blocks = read_tree(unpacked(VISP, assets)).blocks
    last = blocks[-1]
    at = {"the tree": 5_000, "a block's header": blocks[9].start + 20,
          "the last block": last.data + last.n_bytes - 1}[where]  # fmt: skip
    path = tmp_path / "cut.asdf"
    path.write_bytes(data[:at])
    with pytest.raises(DatasetError, match=r"cut\.asdf: .*(is it complete|cannot read)"):
        read_source(path)

"""A lazy header table answers at every moment as the whole table does."""

from __future__ import annotations

import copy
import pickle
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from astropy.table import Column, MaskedColumn, Table
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dkist_virtual.store.format.header_table import PAGE, HeaderRow, HeaderTable
from dkist_virtual.store.format.headers import HeaderFile, write_headers

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Counted:
    """The columns of a table in memory; says which were read, and of how many rows."""

    def __init__(self, table: Table, log: list[tuple[tuple[str, ...], int]]) -> None:
        self.table, self.log = table, log
        self.names, self.meta = table.colnames, dict(table.meta)

    def __len__(self) -> int:
        return len(self.table)

    def read(self, names: Sequence[str]) -> list[Column]:
        self.log.append((tuple(names), len(self.table)))
        return [self.table[name].copy() for name in names]

    def select(self, rows: slice | NDArray[Any]) -> Counted:
        return Counted(self.table[rows], self.log)


def a_table(n: int) -> Table:
    table = Table({"A": np.arange(n), "B": np.arange(n) / 3, "C": [f"n{i}" for i in range(n)]})
    table["M"] = MaskedColumn(np.arange(n), mask=np.arange(n) % 3 == 0)
    table["A"].unit, table.meta["k"] = "m", "v"
    return table


def lazy(n: int) -> tuple[HeaderTable, Table, list[tuple[tuple[str, ...], int]]]:
    log: list[tuple[tuple[str, ...], int]] = []
    table = a_table(n)
    return HeaderTable.of(Counted(table, log)), table, log


def same(one: Table, other: Table) -> bool:
    return bool(
        one.colnames == other.colnames
        and one.meta == other.meta
        and all(
            type(one[name]) is type(other[name])
            and np.ma.allequal(one[name], other[name])
            and np.array_equal(np.ma.getmaskarray(one[name]), np.ma.getmaskarray(other[name]))
            and one[name].unit == other[name].unit
            for name in one.colnames
        )
    )


def test_names_length_and_meta_are_known_without_reading() -> None:
    table, whole, log = lazy(7)
    assert table.colnames == table.keys() == whole.colnames
    assert len(table) == 7
    assert table.meta == {"k": "v"}
    assert len(table[2:5]) == 3
    assert len(table[np.array([1, 1, 6])]) == 3
    assert table[np.arange(7) > 3][:2].colnames == whole.colnames
    assert log == []


def test_a_column_is_read_alone_and_once() -> None:
    table, whole, log = lazy(7)
    np.testing.assert_array_equal(table["B"], whole["B"])
    assert table["B"] is table["B"]
    assert table["B"].parent_table is None or len(table["B"].parent_table) == 7
    np.testing.assert_array_equal(table[2:4]["A"], whole["A"][2:4])
    np.testing.assert_array_equal(table[2:4]["B"], whole["B"][2:4])
    assert log == [(("B",), 7), (("A",), 2)]
    with pytest.raises(KeyError, match="NO"):
        table["NO"]


def test_anything_else_reads_the_rest() -> None:
    table, whole, log = lazy(7)
    table["B"]
    assert same(table.copy(), whole)
    assert log == [(("B",), 7), (("A", "C", "M"), 7)]
    table["NEW"] = np.arange(7)
    assert table.colnames == [*whole.colnames, "NEW"]
    assert "n3" in str(table)
    assert len(log) == 2


def test_what_was_written_to_a_column_stays() -> None:
    table, _, _ = lazy(5)
    table["A"][2] = -5
    assert table[1:4]["A"].tolist() == [1, -5, 3]
    table.sort("A")
    assert table["A"].tolist() == [-5, 0, 1, 3, 4]
    assert table[0]["C"] == "n2"


def test_rows_of_a_long_table_come_by_pages() -> None:
    n = 2 * PAGE + 10
    table, whole, log = lazy(n)
    row = table[PAGE + 3]
    assert isinstance(row, HeaderRow)
    assert dict(row.items())["C"] == f"n{PAGE + 3}"
    assert [r["A"] for r in (table[PAGE], table[PAGE + 1], table[2 * PAGE - 1])] == [
        PAGE,
        PAGE + 1,
        2 * PAGE - 1,
    ]
    assert log == [(tuple(whole.colnames), PAGE)]
    assert table[-1]["A"] == n - 1
    assert [row["A"] for row in table] == list(range(n))
    assert len(log) == 2 + 3
    for outside in (n, -n - 1):
        with pytest.raises(IndexError, match=f"index {outside} out of range"):
            table[outside]


def test_what_was_written_to_a_row_of_a_long_table_stays() -> None:
    table, _, log = lazy(2 * PAGE + 10)
    row = table[PAGE + 3]
    row["A"] = -5
    table[-1]["C"] = "last"
    assert row["A"] == table["A"][PAGE + 3] == table[PAGE : PAGE + 5]["A"][3] == -5
    assert [names for names, _ in log[1:]].count(("A",)) == 1  # no other column for it
    row[["A", "C"]] = (-6, "two")
    assert (row["A"], row["C"]) == (-6, "two")
    table.columns  # noqa: B018  # reads them
    assert (table["A"][PAGE + 3], table["C"][PAGE + 3], table["C"][-1]) == (-6, "two", "last")
    row["A"] = -7
    assert table["A"][PAGE + 3] == -7


def test_copies_and_pickles() -> None:
    table, whole, log = lazy(6)
    twins = [copy.copy(table), copy.deepcopy(table), table.copy()]
    assert log == []
    assert all(same(twin, whole) for twin in twins)
    assert same(pickle.loads(pickle.dumps(lazy(6)[0])), whole)
    changed, _, _ = lazy(6)
    changed["A"][0] = 9
    assert copy.deepcopy(changed)["A"][0] == 9


ITEMS = st.one_of(
    st.slices(12),
    st.lists(st.integers(-12, 11), max_size=6).map(lambda rows: np.array(rows, int)),
    st.lists(st.booleans(), min_size=12, max_size=12).map(np.array),
    st.sampled_from(["A", "M"]),
    st.lists(st.sampled_from(["A", "B", "C", "M"]), min_size=1, max_size=3, unique=True),
)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(before=st.lists(st.sampled_from("ABCM"), max_size=3), item=ITEMS)
def test_any_index_gives_what_astropys_table_gives(before: list[str], item: Any) -> None:
    table, whole, _ = lazy(12)
    for name in before:
        table[name]
    ours, theirs = table[item], whole[item]
    if isinstance(theirs, Table):
        assert same(ours, theirs)
    else:
        assert type(ours) is type(theirs)
        np.testing.assert_array_equal(ours, theirs)


def test_of_a_file_the_row_groups_are_read_that_hold_the_rows(tmp_path: Path) -> None:
    n = 35_000
    whole = a_table(n)
    write_headers(tmp_path / "h.parquet", whole, {"_size": np.arange(n) * 2})
    with HeaderFile(tmp_path / "h.parquet") as file:
        read: list[list[int]] = []
        groups = file._groups
        file._groups = lambda which, *how: (read.append(which), groups(which, *how))[1]  # type: ignore[method-assign]
        table = file.headers(np.arange(25_000, 25_010))
        assert table["C"].tolist() == [f"n{i}" for i in range(25_000, 25_010)]
        part = file.headers(slice(9_990, 20_010))
        part.columns  # noqa: B018  # reads them, together
        assert same(part, whole[9_990:20_010])
        assert read == [[2], [0, 1, 2]]
        assert file.integer("_size", 31_000) == 62_000
        assert file.integers("_size", np.array([5, 31_001, 5])).tolist() == [10, 62_002, 10]
        assert read[2:] == [[3], [0]]


def test_a_long_table_is_printed_by_its_ends(tmp_path: Path) -> None:
    n = 35_000
    whole = a_table(n)
    write_headers(tmp_path / "h.parquet", whole, {"_size": np.arange(n)})
    with HeaderFile(tmp_path / "h.parquet") as file:
        read: set[int] = set()
        groups = file._groups
        file._groups = lambda which, *how: (read.update(which), groups(which, *how))[1]  # type: ignore[method-assign]
        table = file.headers()
        plain = HeaderTable(whole)
        assert str(table) == str(plain)
        assert repr(table) == repr(plain)
        same_html = [re.sub(r"table\d+", "", t._repr_html_()) for t in (table, plain)]
        assert same_html[0] == same_html[1]
        assert read == {0, 3}


@pytest.mark.parametrize("read", [(), ("A",), ("A", "B", "C", "M")])
def test_cells_that_are_set_by_row_of_a_long_table_are_set(read: tuple[str, ...]) -> None:
    table, _, _ = lazy(2 * PAGE + 50)
    for name in read:
        table[name]
    held = table[PAGE + 3]
    held["A"] = -1
    table[PAGE + 4][["A", "B"]] = (-2, 0.5)
    table[-1][0] = -3
    held["M"] = 7
    for row in table:
        if row["A"] == 5:
            row["C"] = "n"
    for _ in range(2):  # before and after all is read
        assert list(table["A"][[PAGE + 3, PAGE + 4, -1]]) == [-1, -2, -3]
        assert table["B"][PAGE + 4] == 0.5 == table[PAGE + 4]["B"]
        assert table["M"][PAGE + 3] == 7
        assert table["C"][5] == "n"
        assert table[PAGE + 3]["A"] == -1
        table.columns  # noqa: B018

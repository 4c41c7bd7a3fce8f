"""Write header tables to Parquet, and compare what is read with what was written."""

from __future__ import annotations

import datetime
import io
import json
import pickle
import warnings
from pathlib import Path
from typing import Any

import astropy.units as u
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from astropy.io import fits
from astropy.table import Column, MaskedColumn, Table
from astropy.time import Time
from astropy.wcs import WCS, FITSFixedWarning
from dkist_assets import DATASETS, FEW, load, unpacked
from header_files import read_headers, read_own_columns
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from samples import mostly_slow

from dkist_virtual.errors import StoreCorruptError
from dkist_virtual.store.format.header_table import HeaderRow, HeaderTable
from dkist_virtual.store.format.headers import OURS, HeaderFile, write_headers


@pytest.fixture(scope="module")
def assets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("assets")


@pytest.fixture(scope="module")
def visp(assets: Path) -> Table:
    return load(unpacked("croppable_visp.asdf.gz", assets)).headers


def assert_same_column(ours: Any, theirs: Any) -> None:
    assert type(ours) is type(theirs)
    assert ours.dtype == theirs.dtype.newbyteorder("=")
    assert ours.shape == theirs.shape
    assert ours.unit == theirs.unit
    assert ours.description == theirs.description
    assert ours.format == theirs.format
    assert ours.meta == theirs.meta
    np.testing.assert_array_equal(np.ma.getmaskarray(ours), np.ma.getmaskarray(theirs))
    there = ~np.ma.getmaskarray(theirs)
    mine, expected = np.ma.getdata(ours)[there], np.ma.getdata(theirs)[there]
    if theirs.dtype.kind == "O":  # types too; and NaN is not equal to itself among objects
        assert list(map(repr, mine)) == list(map(repr, expected))
    else:
        np.testing.assert_array_equal(mine, expected)
    if theirs.dtype.kind == "f":  # the sign of zero too
        np.testing.assert_array_equal(np.signbit(mine), np.signbit(expected))


def assert_same_table(ours: Table, theirs: Table) -> None:
    assert type(ours) is HeaderTable
    assert ours.colnames == theirs.colnames
    assert len(ours) == len(theirs)
    assert ours.meta == theirs.meta
    for name in theirs.colnames:
        assert_same_column(ours[name], theirs[name])


def there_and_back(table: Table, path: Path) -> HeaderTable:
    assert write_headers(path, table, {}) == []
    return read_headers(path)


# ---- real tables ------------------------------------------------------------------------------


@pytest.mark.every(6)
@pytest.mark.parametrize("name", mostly_slow(DATASETS, *FEW))
def test_real_tables(name: str, assets: Path, tmp_path: Path) -> None:
    dataset = load(unpacked(name, assets))
    table = dataset.headers if hasattr(dataset, "headers") else dataset.combined_headers
    back = there_and_back(table, tmp_path / "headers.parquet")
    assert_same_table(back, table)
    assert HeaderFile(tmp_path / "headers.parquet").keywords == table.colnames


def test_a_plain_reader_sees_keywords_and_values(visp: Table, tmp_path: Path) -> None:
    path = tmp_path / "headers.parquet"
    write_headers(path, visp, {"_size": np.arange(len(visp))})
    plain = pq.read_table(path)
    assert plain.column_names == [*visp.colnames, *OURS]
    assert plain["CRVAL1"].to_pylist() == visp["CRVAL1"].tolist()
    assert plain["DATE-AVG"].to_pylist() == visp["DATE-AVG"].tolist()
    assert plain["_size"].to_pylist() == list(range(len(visp)))
    assert pq.ParquetFile(path).metadata.row_group(0).column(0).compression == "ZSTD"


@pytest.mark.parametrize("index", (0, 1, 1375, -1))
def test_wcs_of_a_row_is_that_of_the_header(index: int, visp: Table, tmp_path: Path) -> None:
    path = tmp_path / "headers.parquet"
    write_headers(path, visp, {})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FITSFixedWarning)  # astropy adds the dates' MJD
        ours = WCS(read_headers(path)[index])
        header = fits.Header()
        for name in visp.colnames:
            header[name] = visp[name][index].item()
        theirs = WCS(header)
    assert ours.wcs.compare(theirs.wcs)
    assert ours.to_header() == theirs.to_header()
    pixels = np.random.default_rng(0).uniform(0, 900, (5, ours.naxis))
    np.testing.assert_array_equal(ours.wcs_pix2world(pixels, 0), theirs.wcs_pix2world(pixels, 0))


def test_wcs_of_a_row_that_lacks_cards(visp: Table, tmp_path: Path) -> None:
    gone = [name for name in visp.colnames if name.startswith("PC")]
    assert gone
    table = Table(visp[:3], masked=True)
    for name in gone:
        table[name].mask[1] = True
    write_headers(tmp_path / "headers.parquet", table, {})
    rows = read_headers(tmp_path / "headers.parquet")
    header = fits.Header({name: visp[name][1].item() for name in visp.colnames if name not in gone})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FITSFixedWarning)
        ours, theirs = WCS(rows[1]), WCS(header)
        whole = WCS(rows[0])
    assert ours.to_header() == theirs.to_header()
    np.testing.assert_array_equal(ours.wcs.get_pc(), np.eye(3))
    assert not np.array_equal(whole.wcs.get_pc(), np.eye(3))


# ---- rows and tables --------------------------------------------------------------------------


def masked_table() -> HeaderTable:
    return HeaderTable(
        {
            "A": MaskedColumn([1, 2, 3], mask=[False, True, False]),
            "B": Column([1.5, np.nan, 2.5]),
            "C": MaskedColumn(["x", "y", "z"], mask=[False, False, True]),
            "D": [True, False, True],
        }
    )


def test_row_leaves_out_cards_that_its_frame_lacked() -> None:
    row = masked_table()[1]
    assert type(row) is HeaderRow
    assert list(row.keys()) == ["C", "D"]
    assert list(row.values()) == ["y", False]
    assert dict(row.items()) == {"C": "y", "D": False}
    assert "C" in row
    assert "A" not in row
    assert "B" not in row
    assert "nothing" not in row
    assert row["A"] is np.ma.masked
    assert np.isnan(row["B"])
    assert row.get("A", 5) == 5
    assert row.get("C") == "y"
    assert row.get("nothing") is None
    with pytest.raises(KeyError, match="nothing"):
        row["nothing"]
    assert fits.Header(row.items())["C"] == "y"


def test_table_keeps_its_kind() -> None:
    table = masked_table()
    for other in (
        table[1:],
        table[[0, 2]],
        table[np.array([True, False, True])],
        table["A", "C"],
        table.copy(),
        pickle.loads(pickle.dumps(table)),
    ):
        assert type(other) is HeaderTable
        assert type(other[0]) is HeaderRow
    assert_same_table(pickle.loads(pickle.dumps(table)), table)
    assert "A" in str(table[0])


# ---- any table --------------------------------------------------------------------------------

# numpy drops NUL at a string's end, and nowhere else.
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12).map(
    lambda value: value.rstrip("\0")
)
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "?": st.booleans(),
    "i1": st.integers(-(2**7), 2**7 - 1),
    ">i2": st.integers(-(2**15), 2**15 - 1),
    "<i4": st.integers(-(2**31), 2**31 - 1),
    ">i8": st.integers(-(2**63), 2**63 - 1),
    "u1": st.integers(0, 2**8 - 1),
    "<u8": st.integers(0, 2**64 - 1),
    ">f4": st.floats(width=32),
    "<f8": st.floats(),
    "<U12": TEXT,
    ">U20": TEXT,
    "S8": st.binary(max_size=8).map(lambda value: value.rstrip(b"\0")),
}
UNITS = st.sampled_from([None, u.m, u.Unit("ct / pix"), u.Unit("erg s-1 cm-2"), u.one, u.mag])
META = st.dictionaries(
    TEXT, st.none() | st.booleans() | st.integers() | TEXT | st.lists(TEXT) | st.floats(-1, 1)
)
KEYWORD = st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.a ", min_size=1, max_size=10)


@st.composite
def columns(draw: st.DrawFn, name: str, n_rows: int) -> Column:
    dtype = draw(st.sampled_from(sorted(VALUES)))
    cell = draw(st.sampled_from([(), (), (), (2,), (2, 3)]))
    size = n_rows * int(np.prod(cell))
    values = draw(st.lists(VALUES[dtype], min_size=size, max_size=size))
    data = np.array(values, dtype=dtype).reshape(n_rows, *cell)
    attributes = {
        "name": name,
        "unit": draw(UNITS),
        "description": draw(st.none() | TEXT),
        "format": draw(st.sampled_from([None, "{}"])),
        "meta": draw(META),
    }
    if draw(st.booleans()):
        return Column(data, **attributes)
    mask = draw(st.lists(st.booleans(), min_size=size, max_size=size))
    return MaskedColumn(data, mask=np.array(mask, bool).reshape(data.shape), **attributes)


@st.composite
def tables(draw: st.DrawFn) -> Table:
    n_rows = draw(st.integers(1, 7))
    names = draw(st.lists(KEYWORD | st.sampled_from(OURS), max_size=5, unique=True))
    return Table([draw(columns(name, n_rows)) for name in names], meta=draw(META))


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(table=tables(), data=st.data())
def test_any_table_comes_back(table: Table, data: st.DataObject, tmp_path: Path) -> None:
    path = tmp_path / "headers.parquet"
    back = there_and_back(table, path)
    assert_same_table(back, table)
    assert HeaderFile(path).keywords == table.colnames
    if not table.colnames:
        return
    some = data.draw(st.lists(st.sampled_from(table.colnames), unique=True, min_size=1))
    part = data.draw(st.slices(len(table)))
    assert_same_table(read_headers(path, rows=part, columns=some), table[some][part])
    index = np.array(data.draw(st.lists(st.integers(-len(table), len(table) - 1))), int)
    assert_same_table(read_headers(path, rows=index), table[index])


def test_meta_that_json_does_not_hold_becomes_text(tmp_path: Path) -> None:
    path = tmp_path / "headers.parquet"
    when = Time("2023-01-01T00:00:00")
    meta = {"q": 3 * u.m, "t": (1, 2), "when": when, "a": [1, {"b": None}], "n": np.nan, 5: 1.5}
    text = {
        "q": "3.0 m", "t": [1, 2], "when": str(when), "a": [1, {"b": None}], "n": "nan", "5": 1.5
    }  # fmt: skip
    table = Table({"A": Column([1, 2], meta=meta), "B": [1, 2]}, meta=meta)
    assert write_headers(path, table, {}) == ["A", "meta of the table"]
    back = read_headers(path)
    assert back.meta == back["A"].meta == text
    assert back["A"].tolist() == [1, 2]


def with_notes(path: Path, name: str, column: Any, notes: dict[str, Any]) -> HeaderTable:
    """A header table as another version wrote it: one column, and the notes to it."""
    write_headers(path, Table({name: [0] * len(column)}), {})
    table = pq.read_table(path)
    about = {b"dkist_virtual": json.dumps(notes).encode()}
    field = pa.field(name, column.type, metadata=about)
    pq.write_table(table.set_column(0, field, column), path)
    return read_headers(path)


def test_meta_that_an_earlier_version_wrote_as_yaml(tmp_path: Path) -> None:
    from astropy.io.misc import yaml

    meta = {"t": (1, "a"), "n": [1.5, float("inf")], 5: None, "q": 3 * u.m, "a": np.arange(2)}
    notes = {"dtype": "<i8", "masked": False, "meta_yaml": yaml.dump(meta)}
    back = with_notes(tmp_path / "headers.parquet", "A", pa.array([1, 2]), notes)["A"]
    assert back.tolist() == [1, 2]
    assert {key: back.meta[key] for key in ("t", "n", 5)} == {
        key: meta[key] for key in ("t", "n", 5)
    }
    assert back.meta["q"].startswith("!astropy.units.Quantity")  # its text: nothing is made of it
    assert back.meta["a"].startswith("!numpy.ndarray")


@pytest.mark.parametrize(
    "values",
    [["a", None, "b"], [True, None, False], [1, 2**60, None], [1.5, None, -0.0], [None] * 3],
)
@pytest.mark.parametrize("masked", [False, True])
def test_columns_of_objects_that_an_earlier_version_wrote(
    values: list[Any], masked: bool, tmp_path: Path
) -> None:
    kind = pa.string() if values == [None] * 3 else None
    notes = {"dtype": "O", "none": not masked, "masked": masked}
    path = tmp_path / "headers.parquet"
    back = with_notes(path, "A", pa.array(values, kind), notes)
    data = np.array(values, dtype=object)
    mask = [value is None for value in values]
    column = MaskedColumn(data, mask=mask) if masked else Column(data)
    assert_same_table(back, Table({"A": column}))
    assert write_headers(path, back, {}) == ["A"]  # which writes it as text
    again = read_headers(path)["A"]
    assert again.tolist() == [None if value is None else str(value) for value in values]


def test_bytes_and_strings_with_nul_inside(tmp_path: Path) -> None:
    table = Table({"S": np.array([b"\0\1", b"a\0b"]), "U": np.array(["\0a", "a\0b"])})
    assert_same_table(there_and_back(table, tmp_path / "headers.parquet"), table)


def test_mixed_types_become_strings(tmp_path: Path) -> None:
    path = tmp_path / "headers.parquet"
    when = datetime.datetime(2023, 1, 2, tzinfo=datetime.UTC)
    table = Table({"FINE": [1, 2, 3]})
    table["MIXED"] = Column(np.array([1, "b", None], dtype=object), description="mixed")
    table["BIG"] = Column(np.array([2**70, 1, 2], dtype=object))
    table["WHEN"] = Column(np.array([when, when, None], dtype=object))
    table["TIME"] = Time(["2023-01-01", "2023-01-02", "2023-01-03"])
    table["COMPLEX"] = Column([1j, 2j, 3j], format="{:.3f}")
    table["CELLS"] = MaskedColumn([[1j, 2j], [3j, 4j], [5j, 6j]], mask=[[1, 1], [1, 0], [0, 0]])
    changed = ["MIXED", "BIG", "WHEN", "TIME", "COMPLEX", "CELLS"]
    assert write_headers(path, table, {}) == changed
    back = read_headers(path)
    assert back["MIXED"].tolist() == ["1", "b", None]
    assert back["MIXED"].description == "mixed"
    assert back["MIXED"].mask.tolist() == [False, False, True]
    assert back["BIG"].tolist() == [str(2**70), "1", "2"]
    assert back["WHEN"].tolist() == [str(when), str(when), None]
    assert back["TIME"][0].startswith("2023-01-01")
    assert back["COMPLEX"].tolist() == ["1j", "2j", "3j"]
    assert back["CELLS"].tolist() == [None, "[0.+3.j 0.+4.j]", "[0.+5.j 0.+6.j]"]
    assert back["FINE"].tolist() == [1, 2, 3]
    field = pq.read_schema(path).field("MIXED")
    assert field.type == pa.string()
    assert b'"strings":true' in field.metadata[b"dkist_virtual"]


# ---- row groups -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def long(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Table]:
    path = tmp_path_factory.mktemp("long") / "headers.parquet"
    n = 250_001
    table = Table({"N": np.arange(n), "NAME": np.arange(n).astype("U")})
    write_headers(path, table, {"_offset": np.arange(n) * 2880})
    return path, table


def test_row_groups(long: tuple[Path, Table]) -> None:
    metadata = pq.ParquetFile(long[0]).metadata
    rows = [metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)]
    assert rows == [10_000] * 25 + [1]


@pytest.mark.parametrize(
    "rows",
    (
        slice(99_990, 100_010),
        slice(None, None, 60_000),
        slice(None, None, -99_999),
        slice(5, 5),
        slice(-3, None),
        np.array([250_000, 0, 150_000, 0, 99_999, 100_000, -1]),
        np.array([], int),
    ),
)
def test_rows_from_several_groups(rows: Any, long: tuple[Path, Table]) -> None:
    path, table = long
    assert_same_table(read_headers(path, rows=rows), table[rows])


def test_rows_outside(long: tuple[Path, Table]) -> None:
    with pytest.raises(IndexError, match="250001"):
        read_headers(long[0], rows=np.array([250_001]))


def test_unknown_keyword(long: tuple[Path, Table]) -> None:
    for name in ("NAXIS", "_offset"):
        with pytest.raises(KeyError, match=name):
            HeaderFile(long[0]).headers()[name]


# ---- our own columns --------------------------------------------------------------------------


def test_own_columns(tmp_path: Path) -> None:
    path = tmp_path / "headers.parquet"
    ours = {
        "_tile": np.array(["0_0", None, "2_1"], dtype=object),
        "_url": np.array(["a", "b", "c"]),
        "_size": np.array([1, 2**40, 3]),
        "_offset": np.ma.array([7, 8, 9], mask=[True, False, True]),
        "_length": None,
        "_datasum": np.array([2**32 - 1, 0, 1], dtype=np.uint32),
    }
    write_headers(path, Table({"A": [1, 2, 3]}), ours)
    own = read_own_columns(path)
    assert list(own) == list(OURS)
    assert own["_tile"].tolist() == ["0_0", None, "2_1"]
    assert own["_url"].tolist() == ["a", "b", "c"]
    assert own["_size"].tolist() == [1, 2**40, 3]
    assert own["_offset"].tolist() == [None, 8, None]
    assert own["_datasum"].tolist() == [2**32 - 1, 0, 1]
    for name in ("_length", "_mtime", "_etag"):
        assert own[name].tolist() == [None] * 3
    for name in ("_size", "_offset", "_length", "_mtime", "_datasum"):
        assert own[name].dtype == np.int64
    assert list(read_own_columns(path, ["_size", "_tile"])) == ["_size", "_tile"]
    assert read_headers(path).colnames == ["A"]
    with pytest.raises(KeyError, match="A"):
        read_own_columns(path, ["A"])


@pytest.mark.parametrize("table", (Table(), Table({"A": np.array([], int), "B": ["x"][:0]})))
def test_dataset_without_headers(table: Table, tmp_path: Path) -> None:
    path = tmp_path / "headers.parquet"
    write_headers(path, table, {"_url": np.array(["a", "b", "c"])})
    assert_same_table(read_headers(path), table)
    assert_same_table(read_headers(path, rows=np.array([1, 2])), table)
    assert read_own_columns(path, ["_url"])["_url"].tolist() == ["a", "b", "c"]
    assert pq.ParquetFile(path).metadata.num_rows == 3


def test_what_may_not_be_written(tmp_path: Path) -> None:
    path = tmp_path / "headers.parquet"
    with pytest.raises(ValueError, match="_mine"):
        write_headers(path, Table(), {"_mine": np.arange(3)})
    with pytest.raises(ValueError, match="one length"):
        write_headers(path, Table({"A": [1]}), {"_size": np.arange(3)})
    with pytest.raises(ValueError, match="integers or strings"):
        write_headers(path, Table(), {"_size": np.arange(3.0)})


def test_open_files(long: tuple[Path, Table], tmp_path: Path) -> None:
    path = tmp_path / "headers.parquet"
    write_headers(path, long[1][:5], {"_size": np.arange(5)})
    file = io.BytesIO(path.read_bytes())
    assert_same_table(read_headers(file), long[1][:5])
    assert read_own_columns(file, ["_size"])["_size"].tolist() == [0, 1, 2, 3, 4]
    assert HeaderFile(file).keywords == ["N", "NAME"]


# ---- damage -----------------------------------------------------------------------------------


def readers(path: Path) -> list[Any]:
    return [lambda: read_headers(path), lambda: read_own_columns(path)]


@pytest.mark.parametrize("kept", (0.0, 0.3, 0.9, 0.999))
def test_cut_short(kept: float, visp: Table, tmp_path: Path) -> None:
    path = tmp_path / "headers.parquet"
    write_headers(path, visp, {})
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * kept)])
    for read in [*readers(path), lambda: HeaderFile(path).keywords]:
        with pytest.raises(StoreCorruptError, match=r"headers\.parquet.*convert again"):
            read()


def test_missing(tmp_path: Path) -> None:
    for read in readers(tmp_path / "headers.parquet"):
        with pytest.raises(StoreCorruptError, match=r"headers\.parquet"):
            read()


def test_a_flipped_byte_in_the_data(visp: Table, tmp_path: Path) -> None:
    path = tmp_path / "headers.parquet"
    write_headers(path, visp, {})
    column = pq.ParquetFile(path).metadata.row_group(0).column(visp.colnames.index("CRVAL1"))
    content = bytearray(path.read_bytes())
    content[column.data_page_offset + column.total_compressed_size // 2] ^= 0x10
    path.write_bytes(content)
    with pytest.raises(StoreCorruptError, match=r"headers\.parquet"):
        read_headers(path)


def test_somebody_elses_parquet(tmp_path: Path) -> None:
    path = tmp_path / "headers.parquet"
    pq.write_table(pa.table({"A": [1, 2]}), path)
    for read in readers(path):
        with pytest.raises(StoreCorruptError, match=r"headers\.parquet"):
            read()

"""A catalogue of stores is searched as the Data Center is, and its stores are opened.

The simulated Data Center and the catalogue are asked the same questions. Where the simulated one
has no such filter, and for values that nobody knows, a model in plain Python answers.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import astropy.units as u
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from astropy.coordinates import SkyCoord
from click.testing import CliRunner

import dkist_virtual as dv
from dkist_virtual.cli.main import cli
from dkist_virtual.datacenter.published.read import parse_catalogue, read_catalogue
from dkist_virtual.datacenter.published.table import COLUMNS, arrow_schema


@pytest.fixture(scope="module")
def stores(data_center: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the stores of all datasets of the Data Center, and their catalogue."""
    directory: Path = tmp_path_factory.mktemp("published")
    for identity, asdf in data_center.places.items():
        source = directory / f"{identity}.asdf"
        source.write_bytes(data_center._asdf(identity))
        store = directory / f"{identity}.virtual"
        dv.convert(source, store, frames=asdf.parent, base=asdf.parent, progress=False)
        source.unlink()
    report = dv.write_catalogue(directory, records=data_center.records, stac=False)
    assert (report.n_stores, report.failures) == (len(data_center.places), {})
    return directory


@pytest.fixture
def offline(stores: Path, catalogue: Any) -> Iterator[Path]:
    """The same; nothing may be asked of the Data Center."""
    yield stores
    assert catalogue.requests == []
    assert catalogue.queries == []


def identities(found: Any) -> list[str]:
    return sorted(found["Dataset ID"].tolist()) if len(found) else []


def box(*corners: float, search: str = "containing") -> Any:
    from dkist.net import attrs as da
    from sunpy.coordinates import Helioprojective

    x1, y1, x2, y2 = corners
    frame = Helioprojective(observer="earth")
    return da.BoundingBox(
        SkyCoord([x1, x2] * u.arcsec, [y1, y2] * u.arcsec, frame=frame), search=search
    )


def questions() -> Iterator[tuple[list[Any], dict[str, Any]]]:
    """Attributes and arguments of searches."""
    from dkist.net import attrs as da
    from sunpy.net import attrs as a

    # Of the mosaic: its box is [-72.19, -14.07] by [-70.23, -11.98].
    for corners in ((-73, -71, -14, -11), (-72, -71, -14, -11), (-50, -50, -20, -20),
                    (-14.06, -20, 0, 0), (-20, -20, 5, 5), (0, 0, 1, 1)):  # fmt: skip
        for search in ("containing", "contained", "intersecting"):
            yield [], {"bounding_box": box(*corners, search=search), "status": "any"}
    for given in (
        {},
        {"instrument": "VISP"},
        {"instrument": ["VISP", "VBI"], "status": "any"},
        {"time": ("2022-01-01", "2022-12-31")},
        {"time": ("2022-05-26T14:25:29.075262", "2022-05-26T14:25:29.075262")},
        {"time": ("2022-05-26T14:25:59.075263", "2022-06-01")},
        {"time": ("2022-05-01", "2022-05-26T14:25:29.075261")},
        {"wavelength": 630.1 * u.nm},
        {"wavelength": 630.0 * u.nm},
        {"wavelength": [6304.5, 6310] * u.AA},
        {"wavelength": [6305.1, 6310] * u.AA},
        {"spectral_line": "H alpha"},
        {"spectral_line": ["Halpha", "Fe I 630.25"]},
        {"target": "sunspot"},
        {"target": ["spicules", "quietsun"]},
        {"proposal": "PROPOSAL"},
        {"product": "L1-SIM000"},
        {"dataset": "OLD000"},
        {"dataset": ["GONE00", "SIM004"]},
        {"exposure": (1 * u.s, 20_000 * u.s)},
        {"fried": (9 * u.cm, 9.3 * u.cm)},
        {"fried": (9.3 * u.cm, 20 * u.cm), "status": "any"},
        {"stokes": "IQUV"},
        {"stokes": "I"},
        {"embargoed": True},
        {"embargoed": False, "status": "any"},
        {"status": "deprecated"},
        {"status": "removed"},
        {"instrument": "VISP", "time": ("2000-01-01", "2030-01-01"), "embargoed": False},
        {"instrument": "VTF"},
    ):
        yield [], given
    for attributes in (
        [a.Instrument("VISP") | a.Instrument("CRYO-NIRSP")],
        [(a.Instrument("VISP") & da.Status("DEPRECATED")) | da.Dataset("SIM004")],
        [a.Instrument("VBI") & a.Time("2023-08-16", "2023-08-17")],
        [a.Physobs("spectral_axis")],
        [a.Physobs("temporal_axis")],
        [da.Experiment("EXPERIMENT")],
        [da.WorkflowName("WORKFLOW")],
        [da.WorkflowName("other")],
        [da.SpectralSampling(0.001 * u.nm, 0.1 * u.nm)],
        [da.SpatialSampling(0.02 * u.arcsec / u.pix, 0.05 * u.arcsec / u.pix)],
        [da.TemporalSampling(20 * u.s, 50 * u.s)],
        [da.EmbargoEndTime("2031-01-01", "2032-01-01")],
        [da.EmbargoEndTime("2032-01-01", "2033-01-01")],
    ):
        yield attributes, {}


@pytest.mark.parametrize("step", [4, pytest.param(1, marks=pytest.mark.slow)])
def test_the_same_words_find_the_same_datasets(stores: Path, catalogue: Any, step: int) -> None:
    asked = list(questions())[::step]
    expected = [identities(dv.search(*query, **given)) for query, given in asked]
    catalogue.forget()
    catalogue.queries.clear()
    found = [identities(dv.search(*query, **given, catalogue=stores)) for query, given in asked]
    for question, theirs, ours in zip(asked, expected, found, strict=True):
        assert ours == theirs, question
    assert len({tuple(each) for each in expected}) > 5
    assert catalogue.requests == []


def test_the_records_are_the_same(stores: Path, catalogue: Any) -> None:
    def by_id(found: Any) -> dict[str, dict[str, Any]]:
        return {row["Dataset ID"]: row for row in found.as_json()}

    theirs, ours = by_id(dv.search(status="any")), by_id(dv.search(status="any", catalogue=stores))
    assert set(theirs) == set(ours)
    for identity, row in ours.items():
        assert row.pop("Store") == str(stores / f"{identity}.virtual")
        for name in set(row) - {"Bounding Box"}:  # here as the Data Center itself writes it
            expected = theirs[identity].get(name)
            if name == "Embargo End Date" and expected is not None:
                assert np.datetime64(row[name]) == np.datetime64(expected)
            else:
                assert row[name] == expected, (identity, name)
        # Columns that nothing is known of are not shown.
        assert {n for n, v in theirs[identity].items() if v not in (None, "")} - set(row) <= {
            "friedParameter", "health", "lightLevel", "gosStatus", "aoLocked", "tileCount",
            "polarimetricAccuracy",
        }  # fmt: skip
    mosaic = ours["SIM004"]["Bounding Box"]
    assert mosaic == "(-14.07,-11.98),(-72.19,-70.23)"


def test_pages(offline: Path) -> None:
    every = dv.search(status="any", catalogue=offline)
    parts = [dv.search(status="any", page=n, page_size=2, catalogue=offline) for n in (1, 2, 3, 4)]
    assert [len(part) for part in parts] == [2, 2, 1, 0]
    found = [name for part in parts[:3] for name in part["Dataset ID"].tolist()]
    assert found == every["Dataset ID"].tolist()
    assert "2 of 5 datasets, page 1" in str(parts[0])


def test_an_empty_answer_gives_advice(offline: Path) -> None:
    found = dv.search(instrument="VTF", embargoed=False, catalogue=offline)
    assert str(found) == ("Nothing found. There are datasets\n  without instrument: 2")
    assert "Store" in found.colnames
    with pytest.raises(ValueError, match=r"'Fe II'.*expected one of Fe I \(630.25 nm\), H alpha"):
        dv.search(spectral_line="Fe II", catalogue=offline)
    with pytest.raises(ValueError, match="storage_options are for reading a catalogue"):
        dv.search(storage_options={})


@pytest.mark.slow
def test_filters_that_the_simulated_data_center_lacks(offline: Path) -> None:
    from dkist.net import attrs as da

    headers = {name: dv.open_dataset(offline / f"{name}.virtual") for name in ("SIM000", "SIM004")}
    first = headers["SIM000"].headers
    for attribute, keyword in (
        (da.Recipe, "RECIPEID"), (da.WorkflowVersion, "WKFLVERS"), (da.HeaderVersion, "HEADVERS"),
        (da.SummitSoftwareVersion, "HLSVERS"), (da.ObservingProgramExecutionID, "OBSPR_ID"),
        (da.InstrumentProgramExecutionID, "IP_ID"),
    ):  # fmt: skip
        value = first[keyword][0]
        other = headers["SIM004"].flat[0].headers[keyword][0]
        found = identities(dv.search(attribute(value), catalogue=offline))
        assert "SIM000" in found
        assert ("SIM004" in found) == (other == value), keyword
        assert identities(dv.search(attribute(f"{value}9"), catalogue=offline)) == []


# A model ------------------------------------------------------------------------------------

DAY = datetime(2022, 1, 1, tzinfo=UTC)


def write(path: Path, rows: list[dict[str, Any]], schema: pa.Schema | None = None) -> Path:
    """Write rows as a catalogue, by pyarrow alone."""
    schema = arrow_schema() if schema is None else schema
    columns = [pa.array([row.get(field.name) for row in rows], field.type) for field in schema]
    pq.write_table(pa.Table.from_arrays(columns, schema=schema), path)
    return path


def random_rows(draw: random.Random, n: int) -> list[dict[str, Any]]:
    def maybe(value: Any) -> Any:
        return None if draw.random() < 0.2 else value

    made = []
    for i in range(n):
        start = DAY + timedelta(days=draw.randrange(20))
        low, x, y = 500 + draw.randrange(10), draw.randrange(-5, 5), draw.randrange(-5, 5)
        made.append(
            {
                "store": f"{i}.virtual",
                "dataset_id": f"D{i:04}",
                "instrument": maybe(draw.choice(["VISP", "VBI"])),
                "start": maybe(start),
                "end": maybe(start + timedelta(days=draw.randrange(4))),
                "wavelength_min": maybe(float(low)),
                "wavelength_max": maybe(float(low + draw.randrange(3))),
                "lines": maybe(draw.sample(["Fe I", "Ca II", "H alpha"], draw.randrange(3))),
                "has_all_stokes": maybe(draw.random() < 0.5),
                "embargoed": maybe(draw.random() < 0.5),
                "status": maybe(draw.choice(["ACTIVE", "DEPRECATED"])),
                "fried_mean": maybe(draw.randrange(1, 20) / 100),
                "tx_min": maybe(float(x)), "tx_max": maybe(float(x + draw.randrange(4))),
                "ty_min": maybe(float(y)), "ty_max": maybe(float(y + draw.randrange(4))),
            }
        )  # fmt: skip
    return made


def model(row: dict[str, Any], asked: dict[str, Any]) -> bool:
    """Whether a row matches: null never does, but for a status, where it is active."""

    def known(*names: str) -> bool:
        return all(row[name] is not None for name in names)

    def inside(inner: tuple[float, float], outer: tuple[float, float]) -> bool:
        return outer[0] <= inner[0] and inner[1] <= outer[1]

    tests = {
        "instrument": lambda v: row["instrument"] == v,
        "spectral_line": lambda v: v in (row["lines"] or []),
        "stokes": lambda v: row["has_all_stokes"] is (v == "IQUV"),
        "embargoed": lambda v: row["embargoed"] is v,
        "time": lambda v: known("start", "end") and row["start"] <= v[1] and v[0] <= row["end"],
        "wavelength": lambda v: (
            known("wavelength_min", "wavelength_max")
            and row["wavelength_min"] <= v[1].value
            and v[0].value <= row["wavelength_max"]
        ),
        "fried": lambda v: known("fried_mean") and v[0].value <= row["fried_mean"] <= v[1].value,
    }
    status = asked.get("status", "ACTIVE")
    if status != "any" and (row["status"] or "ACTIVE") != status:
        return False
    if (given := asked.get("bounding_box")) is not None:
        if not known("tx_min", "tx_max", "ty_min", "ty_max"):
            return False
        (x1, y1), (x2, y2) = given.hpc_bounding_box_arcsec
        axes = [
            ((row["tx_min"], row["tx_max"]), (min(x1, x2), max(x1, x2))),
            ((row["ty_min"], row["ty_max"]), (min(y1, y2), max(y1, y2))),
        ]
        how = {
            "containing": inside,
            "contained": lambda own, other: inside(other, own),
            "intersecting": lambda own, other: own[0] <= other[1] and other[0] <= own[1],
        }[given.search_type]
        if not all(how(own, other) for own, other in axes):
            return False
    plain = {name: value for name, value in asked.items() if name in tests}
    return all(tests[name](value) for name, value in plain.items())


def test_a_model_finds_the_same(tmp_path: Path, catalogue: Any) -> None:
    draw = random.Random(4711)
    rows = random_rows(draw, 300)
    place = write(tmp_path / "catalogue.parquet", rows)
    n_found = []
    for _ in range(25):
        day, low = DAY + timedelta(days=draw.randrange(20)), draw.randrange(500, 512)
        x, y = draw.randrange(-5, 5), draw.randrange(-5, 5)
        way = draw.choice(["containing", "contained", "intersecting"])
        every = {
            "instrument": draw.choice(["VISP", "VBI"]),
            "spectral_line": draw.choice(["Fe I", "Ca II", "H alpha"]),
            "stokes": draw.choice(["IQUV", "I"]),
            "embargoed": draw.random() < 0.5,
            "status": draw.choice(["ACTIVE", "DEPRECATED", "any"]),
            "time": (day, day + timedelta(days=draw.randrange(3))),
            # Attributes are in Ångström: rounding moves whole numbers.
            "wavelength": ((low - 0.25) * u.nm, (low + draw.randrange(3) + 0.25) * u.nm),
            "fried": (0.05 * u.m, 0.15 * u.m),
            "bounding_box": box(x, y, x + draw.randrange(4), y + draw.randrange(4), search=way),
        }
        asked = {name: every[name] for name in draw.sample(list(every), draw.choice([1, 2, 3]))}
        expected = [row["dataset_id"] for row in rows if model(row, asked)]
        assert identities(dv.search(**asked, page_size=1000, catalogue=place)) == expected, asked
        n_found.append(len(expected))
    assert sum(n > 0 for n in n_found) > 12
    assert catalogue.requests == []


# Opening ------------------------------------------------------------------------------------


def test_rows_and_ids_open_their_stores(offline: Path) -> None:
    found = dv.search(instrument="VISP", catalogue=offline)
    assert found["Store"].tolist() == [str(offline / "SIM000.virtual")]
    expected = dv.open_dataset(offline / "SIM000.virtual")[0, 1].data.compute()
    for ds in (
        dv.open_dataset(found[0]),
        dv.open_dataset(found),
        dv.open_dataset("SIM000", catalogue=offline),
        dv.open_dataset("L1-SIM000", catalogue=offline / "catalogue.parquet"),
    ):
        np.testing.assert_array_equal(ds[0, 1].data.compute(), expected)


def test_old_and_removed_datasets(offline: Path, tmp_path: Path) -> None:
    said = r"OLD000: is deprecated.*SIM000 replaced it: dv.open_dataset\('SIM000', catalogue=...\)"
    with pytest.warns(dv.errors.SupersededWarning, match=said):
        assert dv.open_dataset("OLD000", catalogue=offline).data.shape == (4, 4, 40, 64)
    with pytest.raises(dv.errors.RemovedError, match=r"GONE00: was removed.*SIM000 replaced it"):
        dv.open_dataset("GONE00", catalogue=offline)
    with pytest.raises(dv.errors.StoreMissingError, match=r"ABCDE: the catalogue .* among 5"):
        dv.open_dataset("ABCDE", catalogue=offline)
    with pytest.raises(dv.errors.StoreMissingError, match="no catalogue here"):
        dv.open_dataset("SIM000", catalogue=tmp_path)
    with pytest.raises(TypeError, match="expected the ID of a dataset or product"):
        dv.open_dataset(offline / "SIM000.virtual", catalogue=offline)


def test_a_store_that_became_another_dataset_is_found_out(offline: Path, tmp_path: Path) -> None:
    stale = {"store": "SIM000.virtual", "dataset_id": "OTHER", "product_id": "L1-OTHER"}
    write(tmp_path / "catalogue.parquet", [stale])
    (tmp_path / "SIM000.virtual").symlink_to(offline / "SIM000.virtual")
    said = r"SIM000.virtual: is of the dataset SIM000, and the catalogue says that it is of OTHER"
    with pytest.raises(dv.errors.StoreCorruptError, match=said):
        dv.open_dataset("L1-OTHER", catalogue=tmp_path)
    with pytest.raises(dv.errors.StoreCorruptError, match=said):
        dv.open_dataset(dv.search(catalogue=tmp_path)[0])


def test_the_command_line(offline: Path) -> None:
    def run(*arguments: str) -> str:
        return CliRunner().invoke(cli, [*arguments, "--catalogue", str(offline)]).output

    asked = ("search", "--instrument", "VBI")
    assert "SIM004" in run(*asked)
    (row,) = json.loads(run(*asked, "--json"))
    assert row["Store"] == str(offline / "SIM004.virtual")
    opened = run(*asked, "--open", "1")
    assert "VBI TiledDataset SIM004" in opened
    assert opened.splitlines()[:3] == run("info", "L1-SIM004").splitlines()[:3]
    assert "4 files" in run("download", "SIM000", "x", "--slice", "0", "--dry-run")
    assert "16 frames" in run("verify", "SIM000", "--no-keep")
    assert "the catalogue" in str(
        CliRunner().invoke(cli, ["info", "ABCDE", "--catalogue", str(offline)]).exception
    )


@pytest.mark.slow
def test_a_fresh_process_asks_nobody(stores: Path, catalogue: Any, tmp_path: Path) -> None:
    """Importing ``dkist.net`` makes a request, where this package does not prevent it."""
    environment = {**os.environ, **catalogue.environment(tmp_path)}
    for given, n in ((f"catalogue={str(stores)!r}", 0), ("dataset='SIM000'", 2)):
        code = f"import dkist_virtual as dv; print(dv.search(instrument='VISP', {given}))"
        done = subprocess.run(
            [sys.executable, "-c", code], env=environment, capture_output=True, text=True
        )
        assert "SIM000" in done.stdout, done.stderr
        assert (len(catalogue.requests) >= n) if n else (catalogue.requests == [])


# On a server --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def served(simulated: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Any:
    from dkist_virtual.demo.server import FrameServer

    directory = tmp_path_factory.mktemp("server")
    (directory / "frames").symlink_to(simulated("visp"))
    server = FrameServer(directory)
    with server.running():
        for name, base in (("SIM000", f"{server.url}/frames"), ("local", None)):
            store = directory / "stores" / f"{name}.virtual"
            dv.convert(simulated("visp"), store, base=base, progress=False)
        (directory / "stores" / "local.virtual").rename(directory / "local.virtual")
        dv.write_catalogue(directory / "stores", stac=False, intake=False)
        yield server


def test_a_catalogue_on_a_server(server: Any, catalogue: Any) -> None:
    place = f"{server.url}/stores"
    found = dv.search(instrument="VISP", catalogue=place)
    assert [path for _, path, *_ in server.requests] == ["stores/catalogue.parquet"]
    assert found["Store"].tolist() == [f"{place}/SIM000.virtual"]

    def cut_out(open_it: Callable[[], Any]) -> tuple[Any, int]:
        server.forget()
        pixels = open_it()[1, 2, 5:9, 20:30].data.compute()
        return pixels, len(server.requests)

    expected, n = cut_out(lambda: dv.open_dataset(f"{place}/SIM000.virtual"))
    by_row, n_by_row = cut_out(lambda: dv.open_dataset(found[0]))
    by_id, n_by_id = cut_out(lambda: dv.open_dataset("SIM000", catalogue=f"{place}/"))
    np.testing.assert_array_equal(by_row, expected)
    np.testing.assert_array_equal(by_id, expected)
    assert (n_by_row, n_by_id) == (n, n + 1)
    assert catalogue.requests == []
    with pytest.raises(dv.errors.StoreMissingError, match="no catalogue here"):
        dv.search(catalogue=f"{server.url}/frames")


@pytest.mark.usefixtures("quick_retries")
def test_a_server_that_does_not_answer(server: Any, catalogue: Any) -> None:
    server.fault = lambda path, n: 500
    with pytest.raises(dv.errors.SearchError, match=r"the catalogue could not be read: .*500"):
        dv.search(catalogue=f"{server.url}/stores")
    for secret in ("http://u:p@127.0.0.1/stores", "https://a.org/catalogue.parquet?sig=abc"):
        with pytest.raises(ValueError, match=r"contains a password or a query") as refused:
            dv.search(catalogue=secret)
        assert "sig=abc" not in str(refused.value)
        assert "u:p" not in str(refused.value)


# A stranger's -------------------------------------------------------------------------------

BAD = (
    "/etc/x.virtual", "../x.virtual", "a/../../x", "./x", "", "file:///etc/x", "local://x",
    "a\\b", "C:x", "x\n", "%2e%2e/x", "http://u:p@a.org/x", "http://a.org/x?token=1",
    "http://a.org/%2e%2e/x", "ssh://a.org/x", "simplecache::file:///x", "memory://x",
)  # fmt: skip


def test_addresses_that_lead_elsewhere_are_refused(server: Any, catalogue: Any) -> None:
    directory = Path(server.directory) / "hostile"
    directory.mkdir(exist_ok=True)
    for bad in BAD:
        write(directory / "catalogue.parquet", [{"store": bad, "dataset_id": "SIM000"}])
        for place in (f"{server.url}/hostile", directory):
            if place is directory and bad == "%2e%2e/x":
                continue  # the name of a directory on this disk
            with pytest.raises(dv.errors.StoreCorruptError, match="column store: "):
                dv.search(catalogue=place)
            with pytest.raises(dv.errors.StoreCorruptError, match="column store: "):
                dv.open_dataset("SIM000", catalogue=place)
    # A store on the server may be named, and may not name files of this machine.
    address = f"{server.url}/local.virtual"
    write(directory / "catalogue.parquet", [{"store": address, "dataset_id": "SIM000"}])
    ds = dv.open_dataset("SIM000", catalogue=f"{server.url}/hostile")
    with pytest.raises(dv.errors.FrameRefusedError, match="allow_local"):
        ds[0, 0].data.compute()


def test_what_is_not_a_catalogue_is_refused(tmp_path: Path) -> None:
    good = arrow_schema()
    path = tmp_path / "catalogue.parquet"
    row = [{"store": "a.virtual"}]

    def schema(name: str, kind: pa.DataType) -> pa.Schema:
        return good.set(good.get_field_index(name), pa.field(name, kind))

    def versioned(version: Any) -> pa.Schema:
        return good.with_metadata({"dkist_virtual": json.dumps({"catalogue_version": version})})

    for wrong, said in (
        (
            schema("wavelength_min", pa.string()),
            "column wavelength_min is of string: expected doub",
        ),
        (schema("lines", pa.list_(pa.int64())), "column lines is of list.*: expected list"),
        (schema("start", pa.timestamp("us")), "column start is of timestamp"),
        (versioned(2), "catalogue_version is 2: .* Upgrade"),
        (versioned([1]), "catalogue_version is"),
        (good.with_metadata({}), "has no catalogue_version"),
        (good.remove(good.get_field_index("store")), "column store is missing"),
        (good.append(pa.field("shape", pa.list_(pa.int64()))), "a column is in it twice"),
    ):
        write(path, row, wrong)
        with pytest.raises(dv.errors.StoreCorruptError, match=said):
            read_catalogue(tmp_path)
    write(path, [{}])
    with pytest.raises(dv.errors.StoreCorruptError, match="column store has nulls"):
        read_catalogue(path)
    path.write_bytes(b"<html>")
    with pytest.raises(dv.errors.StoreCorruptError, match="the catalogue cannot be read"):
        read_catalogue(path)


def test_sizes_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from dkist_virtual.io import safety

    path = tmp_path / "catalogue.parquet"
    # A long text once in the file, and in every row.
    for name, value in (("description", "x" * 10_000), ("lines", ["x" * 10_000])):
        write(path, [{"store": "a", name: value}] * 1000)
        data = path.read_bytes()
        assert parse_catalogue(data, "it").num_rows == 1000
        with monkeypatch.context() as patched:
            patched.setattr(safety, "_FREE", 2**20)
            patched.setattr(safety, "_FOLD", 16)
            with pytest.raises(dv.errors.StoreCorruptError, match="asks for"):
                parse_catalogue(data, "it")


def test_unknown_and_absent_columns(tmp_path: Path, catalogue: Any) -> None:
    known = arrow_schema()
    few = pa.schema([known.field(n) for n in ("store", "dataset_id")], metadata=known.metadata)
    more = few.append(pa.field("colour", pa.string()))
    place = write(tmp_path / "catalogue.parquet", [{"store": "a", "dataset_id": "AAAAA"}], more)
    table = read_catalogue(place).table
    assert table.column_names == [column.name for column in COLUMNS]
    assert identities(dv.search(catalogue=place)) == ["AAAAA"]
    assert identities(dv.search(instrument="VISP", catalogue=place)) == []
    assert dv.search(catalogue=place)["Embargoed"].tolist() == [None]

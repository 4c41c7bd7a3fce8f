"""The catalogue of a directory of stores: what is in it, and how it is kept up to date."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from dkist_assets import unpacked

import dkist_virtual as dv
from dkist_virtual.cli.main import cli
from dkist_virtual.datacenter.published.table import COLUMNS


@pytest.fixture(scope="module")
def stores(converted: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two stores, a preview of one of them, and their catalogue."""
    directory = tmp_path_factory.mktemp("stores")
    shutil.copytree(converted("visp"), directory / "SIM000.virtual")
    shutil.copytree(converted("vbi_mosaic"), directory / "a mosaic.virtual")
    (directory / "previews").mkdir()
    (directory / "previews" / "SIM000.webp").write_bytes(b"RIFF")
    report = dv.write_catalogue(directory, progress=False)
    assert (report.n_stores, report.n_kept, report.failures, report.notes) == (2, 0, {}, ())
    assert report.written == ("catalogue.parquet", "stac/", "intake.yaml")
    return directory


@pytest.fixture
def own(stores: Path, tmp_path: Path) -> Path:
    """A copy that a test may change."""
    return Path(shutil.copytree(stores, tmp_path / "stores"))


def rows(directory: Path) -> dict[str, dict[str, Any]]:
    """The table, read without this package."""
    table = pq.read_table(directory / "catalogue.parquet").to_pylist()
    return {row["store"]: row for row in table}


def files(directory: Path) -> dict[str, bytes]:
    return {
        path.relative_to(directory).as_posix(): path.read_bytes()
        for path in directory.rglob("*")
        if path.is_file()
    }


# What is in it ------------------------------------------------------------------------------


def test_a_row_says_what_the_dataset_is(stores: Path, simulated: Callable[[str], Path]) -> None:
    ds = dv.open_dataset(stores / "SIM000.virtual")
    row = rows(stores)["SIM000.virtual"]
    headers = ds.headers
    assert row["dataset_id"] == "SIM000"
    assert row["instrument"] == headers["INSTRUME"][0]
    assert tuple(row["shape"]) == ds.data.shape
    assert np.dtype(row["dtype"]) == ds.data.dtype
    assert row["unit"] == str(ds.unit)
    assert row["n_frames"] == len(headers)
    sizes = [path.stat().st_size for path in simulated("visp").glob("*.fits")]
    assert row["n_bytes"] == sum(sizes)
    assert row["dataset_size"] == sum(sizes) / 2**30
    r0 = np.asarray(headers["ATMOS_R0"])
    assert (row["fried_min"], row["fried_max"]) == (r0.min(), r0.max())
    assert row["fried_mean"] == pytest.approx(r0.mean())
    assert row["preview"] == "previews/SIM000.webp"
    assert row["status"] is None
    assert row["embargoed"] is None
    mosaic = rows(stores)["a mosaic.virtual"]
    assert (mosaic["kind"], mosaic["grid"], mosaic["shape"]) == ("mosaic", [2, 2], [3, 48, 48])
    assert mosaic["preview"] is None


def test_the_box_is_that_of_the_wcs(stores: Path) -> None:
    # Of a dataset whose longitudes are on both sides of 0 the inventory's box is another one.
    sky = []
    for ds in dv.open_dataset(stores / "a mosaic.virtual").flat:
        pixels = np.indices(ds.data.shape).reshape(ds.data.ndim, -1)[::-1]
        sky.append(next(one for one in ds.wcs.pixel_to_world(*pixels) if hasattr(one, "Tx")))
    row = rows(stores)["a mosaic.virtual"]
    for axis, values in (
        ("tx", np.concatenate([one.Tx.wrap_at("180d").arcsec for one in sky])),
        ("ty", np.concatenate([one.Ty.arcsec for one in sky])),
    ):
        found = row[f"{axis}_min"], row[f"{axis}_max"]
        np.testing.assert_allclose(found, (values.min(), values.max()), rtol=0, atol=0.0051)


def test_every_column_says_what_it_is(stores: Path) -> None:
    schema = pq.read_schema(stores / "catalogue.parquet")
    assert schema.names == [column.name for column in COLUMNS]
    assert json.loads(schema.metadata[b"dkist_virtual"]) == {"catalogue_version": 1}
    about = json.loads(schema.field("wavelength_min").metadata[b"dkist_virtual"])
    assert about == {"about": "Smallest wavelength", "key": "wavelengthMin", "unit": "nm"}


def test_what_an_inventory_lacks_is_that_of_dkist_inventory(
    converted: Callable[[str], Path], tmp_path: Path
) -> None:
    from dkist_inventory.inventory import _inventory_from_headers

    from dkist_virtual.publish.catalogue.from_headers import complete

    store = converted("visp")
    expected = _inventory_from_headers(dv.open_dataset(store).headers.copy())
    found: dict[str, Any] = {}
    complete(found, store, has_wavelengths=False)
    assert len(found) > 25
    distribution = found.pop("friedParameter")
    assert distribution == {end: expected["friedParameter"][end] for end in ("min", "max")}
    for key, value in found.items():
        assert value == expected[key], key
    # Of a WCS with wavelengths those are taken, and none of the headers'.
    fewer: dict[str, Any] = {"instrumentName": "mine"}
    complete(fewer, store, has_wavelengths=True)
    assert "wavelengthMin" not in fewer
    assert fewer["instrumentName"] == "mine"


def test_cards_that_differ_or_are_missing(tmp_path: Path) -> None:
    from astropy.table import MaskedColumn, Table

    from dkist_virtual.publish.catalogue.from_headers import complete
    from dkist_virtual.store.format.headers import write_headers

    table = Table(
        {
            "XPOSURE": [2.0, 3.0, 1.0, 3.0, 2.0],  # of two that are most frequent the smaller one
            "DSETID": ["A", "A", "B", "A", "A"],
            "ATMOS_R0": MaskedColumn([9.0, 0.1, 0.3, 9.0, 0.2], mask=[1, 0, 0, 1, 0]),
            "SPECLN01": ["Fe I", "Fe I", "Ca II", "Fe I", "Fe I"],
            "PROP_ID": MaskedColumn(["x"] * 5, mask=[True] * 5),
        }
    )
    write_headers(tmp_path / "headers.parquet", table, {})
    found: dict[str, Any] = {"primaryExperimentId": "mine"}
    complete(found, tmp_path, has_wavelengths=True)
    assert found.pop("qualityAverageFriedParameter") == pytest.approx(0.2)
    assert found == {
        "exposureTime": 2.0,
        "friedParameter": {"min": 0.1, "max": 0.3},
        "spectralLines": ["Ca II", "Fe I"],
        "primaryExperimentId": "mine",
    }


def test_datasets_without_an_inventory(tmp_path: Path) -> None:
    for name in ("eit_dataset-1.1.0", "eit_dataset-1.2.0"):
        source = unpacked(f"{name}.asdf", tmp_path)
        dv.convert(source, tmp_path / f"{name}.virtual", scan="never", progress=False)
    report = dv.write_catalogue(tmp_path)
    assert (report.n_stores, report.failures) == (2, {})
    assert "stac/: without 2 stores" in str(report)  # which need an ID and a time
    row = rows(tmp_path)["eit_dataset-1.2.0.virtual"]
    assert (row["instrument"], row["shape"], row["n_frames"]) == ("EIT", [11, 128, 128], 11)
    assert row["dataset_id"] is row["start"] is row["n_bytes"] is row["dataset_size"] is None
    # Both are found, also where alternatives are asked for, and open.
    found = dv.search(status="any", catalogue=tmp_path)
    assert len(found) == 2
    assert dv.open_dataset(found[1]).data.shape == (11, 128, 128)


# Other software -----------------------------------------------------------------------------


def test_pystac_finds_it_valid(stores: Path) -> None:
    pystac = pytest.importorskip("pystac")
    from pystac.validation.stac_validator import JsonSchemaSTACValidator

    validator = JsonSchemaSTACValidator()
    # The core's schemas come with pystac. Those of the extensions are on the Internet: what they
    # require of the fields that are used here, by the tables of their documentation.
    targets = {"ssys:targets": {"type": "array", "minItems": 1, "items": {"type": "string"}}}
    classes = {"ssys:target_class": {"enum": ["planet", "star"]}}
    for name in ("ssys/v1.1.0", "xarray-assets/v1.0.0"):
        uri = f"https://stac-extensions.github.io/{name}/schema.json"
        validator.schema_cache[uri] = {
            "$schema": "http://json-schema.org/draft-07/schema#",
            "$id": uri,
            "properties": {"properties": {"properties": targets | classes}, **targets},
        }
    collection = pystac.Collection.from_file(str(stores / "stac" / "collection.json"))
    items = {item.id: item for item in collection.get_items(recursive=True)}
    for each in (collection, *collection.get_children(), *items.values()):
        assert each.validate(validator)
    assert set(items) == {"SIM000", "SIM004"}
    item, row = items["SIM000"], rows(stores)["SIM000.virtual"]
    assert item.geometry is None
    assert item.common_metadata.start_datetime == row["start"]
    assert item.properties["dkist:box_arcsec"][2:] == [row["tx_max"], row["ty_max"]]
    assert item.get_collection().id == "dkist"
    places = {name: asset.get_absolute_href() for name, asset in item.assets.items()}
    assert Path(places.pop("thumbnail")).samefile(stores / "previews" / "SIM000.webp")
    assert {Path(place).parent for place in places.values()} == {stores / "SIM000.virtual"}
    assert all(Path(place).exists() for place in places.values())
    assert "a%20mosaic.virtual" in items["SIM004"].assets["references"].href


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of intake and what it imports
def test_intake_and_xarray_read_the_pixels(stores: Path) -> None:
    intake = pytest.importorskip("intake")
    opened = intake.open_catalog(str(stores / "intake.yaml"))
    assert list(opened) == ["SIM000", "SIM004"]
    expected = dv.open_dataset(stores / "SIM000.virtual").data.compute()
    np.testing.assert_array_equal(opened["SIM000"].read()["data"].values, expected)
    tile = dv.open_dataset(stores / "a mosaic.virtual")[1, 0].data.compute()
    np.testing.assert_array_equal(opened["SIM004"].read()["data_1_0"].values, tile)


def test_without_pystac_it_is_said(own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from dkist_virtual.publish.catalogue import write

    monkeypatch.setattr(write, "find_spec", lambda _: None)
    shutil.rmtree(own / "stac")
    report = dv.write_catalogue(own)
    assert "pip install 'dkist_virtual[catalogue]'" in str(report)
    assert not (own / "stac").exists()
    with pytest.raises(ImportError, match=r"stac=True: pystac is not installed: pip install"):
        dv.write_catalogue(own, stac=True)


# Kept up to date ----------------------------------------------------------------------------


def test_the_same_stores_give_the_same_bytes(own: Path, stores: Path) -> None:
    before = files(stores)
    assert dv.write_catalogue(own).n_kept == 2
    assert files(own) == before
    for name in ("catalogue.parquet", "intake.yaml"):
        (own / name).unlink()
    shutil.rmtree(own / "stac")
    assert dv.write_catalogue(own).n_kept == 0
    assert files(own) == before


def test_only_changed_stores_are_read(own: Path, converted: Callable[[str], Path]) -> None:
    # Reading this store fails: its row is kept by the beginnings of two other files.
    (own / "SIM000.virtual" / "headers.parquet").write_bytes(b"")
    mosaic = own / "a mosaic.virtual"
    shutil.rmtree(mosaic)
    shutil.copytree(converted("visp"), mosaic)
    shutil.copytree(converted("visp"), own / "broken.virtual")
    (own / "broken.virtual" / "dataset.asdf").write_bytes(b"#ASDF 1.0.0\n")
    (own / "nothing.virtual").mkdir()
    report = dv.write_catalogue(own)
    assert (report.n_stores, report.n_kept) == (2, 1)
    assert list(report.failures) == ["broken.virtual"]
    assert "dataset.asdf" in report.failures["broken.virtual"]
    assert str(report).splitlines()[-2] == "1 store left out:"
    assert {row["instrument"] for row in rows(own).values()} == {"VISP"}
    stac = {Path(name).name for name in files(own / "stac")}
    assert stac == {"catalog.json", "collection.json", "SIM000.json"}
    assert "without 1 store, a mosaic.virtual" in str(report)  # two have one ID
    shutil.rmtree(mosaic)
    dv.write_catalogue(own)
    assert list(rows(own)) == ["SIM000.virtual"]


def test_records_are_believed_before_the_inventory(own: Path) -> None:
    record = {"datasetId": "SIM000", "status": "DEPRECATED", "isEmbargoed": True, "x": 1}
    assert dv.write_catalogue(own, records=[record]).n_kept == 1
    row = rows(own)["SIM000.virtual"]
    assert (row["status"], row["embargoed"], row["instrument"]) == ("DEPRECATED", True, "VISP")
    assert dv.write_catalogue(own, records={"SIM000": {**record, "status": "ACTIVE"}}).n_kept == 1
    assert rows(own)["SIM000.virtual"]["status"] == "ACTIVE"
    before = files(own)
    with pytest.raises(
        ValueError, match=r"status or embargo of 1 store \(the first: SIM000.virtual"
    ):
        dv.write_catalogue(own)  # an embargo must not end because a run was not told of it
    assert files(own) == before
    assert dv.write_catalogue(own, records=[]).n_kept == 1
    assert rows(own)["SIM000.virtual"]["status"] is None
    for wrong, said in (([record] * 2, "twice"), ([{}], "expected text")):
        with pytest.raises(ValueError, match=said):
            dv.write_catalogue(own, records=wrong)


def test_names_that_no_catalogue_may_have_are_left_out(own: Path) -> None:
    n = len(list(own.glob("*.virtual")))
    (store, *_) = sorted(own.glob("*.virtual"))
    for name, why in (
        (b"\xff.virtual", "is not UTF-8"), (b"a\nb", "control character"), (b"C:x", "is absolute"),
    ):  # fmt: skip
        strange = os.fsencode(own) + b"/" + name
        os.rename(store, strange)
        report = dv.write_catalogue(own, stac=False, intake=False)
        assert report.n_stores == n - 1
        (said,) = report.failures.values()
        assert why in said
        str(report).encode()
        os.rename(strange, store)


def test_a_directory_without_stores_and_a_store_called_stac(own: Path, tmp_path: Path) -> None:
    report = dv.write_catalogue(tmp_path, stac=True)
    assert (report.n_stores, report.failures) == (0, {})
    assert (tmp_path / "stac" / "collection.json").is_file()
    (store, *_) = sorted(own.glob("*.virtual"))
    shutil.rmtree(own / "stac", ignore_errors=True)
    store.rename(own / "stac")
    files = sorted((own / "stac").iterdir())
    assert "a store has this name" in str(dv.write_catalogue(own, stac=True))
    assert sorted((own / "stac").iterdir()) == files


def test_what_was_there_stays_whole(own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = files(own)

    def fail(table: Any, place: str, **_: Any) -> None:
        Path(place).write_bytes(b"PAR1")
        raise OSError(28, "No space left on device", place)

    shutil.rmtree(own / "a mosaic.virtual")
    with monkeypatch.context() as patched:
        patched.setattr(pq, "write_table", fail)
        with pytest.raises(dv.errors.DatasetError, match="cannot be written: No space left"):
            dv.write_catalogue(own)
    assert {n: b for n, b in before.items() if not n.startswith("a mosaic")} == files(own)


@pytest.mark.parametrize("damage", [lambda path: path.write_bytes(b"PAR1"), Path.unlink])
def test_a_catalogue_that_cannot_be_read_is_made_again(own: Path, damage: Any) -> None:
    before = files(own)
    damage(own / "catalogue.parquet")
    assert dv.write_catalogue(own).n_kept == 0
    assert files(own) == before


def test_the_command(own: Path, tmp_path: Path) -> None:
    run = CliRunner().invoke
    written = run(cli, ["catalogue", str(own)])
    assert (written.exit_code, written.output) == (
        0, f"{own / 'catalogue.parquet'}: 2 stores, 2 of them unchanged\n",
    )  # fmt: skip
    records = tmp_path / "records.json"
    records.write_text(
        json.dumps({"searchResults": [{"datasetId": "SIM004", "status": "REMOVED"}]})
    )
    (own / "SIM000.virtual" / "dataset.asdf").unlink()
    written = run(cli, ["catalogue", str(own), "--records", str(records), "--no-stac"])
    assert written.exit_code == 1
    assert "1 store left out:\n  SIM000.virtual: " in written.output
    assert rows(own)["a mosaic.virtual"]["status"] == "REMOVED"
    records.write_text("7")
    refused = run(cli, ["catalogue", str(own), "--records", str(records)])
    assert refused.exit_code == 2
    assert "expected a list of records" in refused.output
    assert "no such directory" in str(run(cli, ["catalogue", str(own / "no")]).exception)

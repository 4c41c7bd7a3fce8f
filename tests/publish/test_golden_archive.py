"""The record and the catalogue of an archive, as they were first written, are still read.

``golden_archive`` holds those of two simulated datasets below ``/archive``, where nothing is.
"""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd

import dkist_virtual as dv
from dkist_virtual.datacenter.published.read import read_catalogue
from dkist_virtual.publish.archive.record import Record

GOLDEN = Path(__file__).with_name("golden_archive")


def test_a_record_is_read_with_all_that_it_says(tmp_path: Path) -> None:
    written = json.loads((GOLDEN / "archive.json").read_text())
    record = Record.read(str(GOLDEN))
    assert {name: entry.outcome for name, entry in record.datasets.items()} == {
        "SIM000": "new",
        "SIM004": "new",
    }
    record.write(str(tmp_path))
    again = json.loads((tmp_path / "archive.json").read_text())
    for name, entry in written["datasets"].items():
        assert again["datasets"].pop(name).items() >= entry.items()
    assert again["datasets"] == {}
    assert {**again, "datasets": written["datasets"]}.items() >= written.items()


def test_a_catalogue_is_searched() -> None:
    rows = pd.read_parquet(GOLDEN / "catalogue.parquet").set_index("dataset_id")
    found = dv.search(catalogue=GOLDEN)
    assert list(found["Dataset ID"]) == ["SIM000", "SIM004"] == list(rows.index)
    assert list(found["Number of Frames"]) == [16, 12] == list(rows["n_frames"])
    (visp,) = dv.search(instrument="VISP", stokes="IQUV", catalogue=GOLDEN)
    assert visp["Store"] == str(GOLDEN / rows["store"]["SIM000"])
    table = read_catalogue(GOLDEN).table.to_pylist()
    for row in table:
        assert row["store_id"] == rows["store_id"][row["dataset_id"]]
        assert row["base"] == rows["base"][row["dataset_id"]]
        assert tuple(row["shape"]) == tuple(rows["shape"][row["dataset_id"]])

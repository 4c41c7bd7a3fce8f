"""The catalogue of a directory of stores: written, searched as the Data Center is, opened from."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

import dkist_virtual as dv
from dkist_virtual.cli.main import cli


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
    report = dv.write_catalogue(directory, records=data_center.records)
    assert (report.n_stores, report.n_kept, report.failures) == (len(data_center.places), 0, {})
    return directory


@pytest.fixture
def published(stores: Path, catalogue: Any) -> Iterator[Path]:
    """The same; nothing may be asked of the Data Center."""
    yield stores
    assert catalogue.requests == []
    assert catalogue.queries == []


def identities(found: Any) -> list[str]:
    return sorted(found["Dataset ID"].tolist()) if len(found) else []


def test_found_rows_open_without_the_data_center(published: Path) -> None:
    found = dv.search(instrument="VISP", catalogue=published)
    assert identities(found) == ["SIM000"]
    assert found["Store"][0] == str(published / "SIM000.virtual")
    expected = dv.open_dataset(published / "SIM000.virtual")[0, 1].data.compute()
    for ds in (
        dv.open_dataset(found[0]),
        dv.open_dataset(found),
        dv.open_dataset("SIM000", catalogue=published),
        dv.open_dataset("L1-SIM000", catalogue=published / "catalogue.parquet"),
    ):
        np.testing.assert_array_equal(ds[0, 1].data.compute(), expected)


def test_the_command_line(published: Path, tmp_path: Path) -> None:
    run = CliRunner().invoke
    copy = tmp_path / "stores"
    shutil.copytree(published, copy)
    (copy / "catalogue.parquet").unlink()
    written = run(cli, ["catalogue", str(copy)])
    assert written.output == f"{copy / 'catalogue.parquet'}: 5 stores\n"
    asked = ["search", "--catalogue", str(copy), "--instrument", "VBI"]
    assert "SIM004" in run(cli, asked, catch_exceptions=False).output
    opened = run(cli, [*asked, "--open", "1"], catch_exceptions=False).output
    assert opened == run(cli, ["info", "SIM004", "--catalogue", str(copy)]).output
    assert "VBI TiledDataset SIM004" in opened

"""A store that is replaced while it is open: what was opened says so, and never mixes the two."""

from __future__ import annotations

import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import dkist_virtual as dv
from dkist_virtual.demo.server import FrameServer
from dkist_virtual.errors import StoreReplacedError
from dkist_virtual.store.format import references_parquet as shards


@pytest.fixture(params=["json", "parquet"])
def store(
    request: pytest.FixtureRequest,
    simulated: Callable[[str], Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Path:
    monkeypatch.setattr(shards, "RECORD_SIZE", 4)
    shutil.copytree(simulated("visp"), tmp_path / "frames")
    dv.convert(tmp_path / "frames", tmp_path / "store", references=request.param)
    return tmp_path / "store"


def replace(store: Path) -> None:
    """By one of the same dataset, whose frames lie elsewhere."""
    references: Any = "parquet" if (store / "references.parq").exists() else "json"
    other = store.parent / "others"
    shutil.copytree(store.parent / "frames", other)
    dv.convert(other, store, references=references, overwrite=True)


def test_nothing_of_the_new_one_is_taken_for_the_old(store: Path) -> None:
    ds: Any = dv.open_dataset(store)
    travelled = [pickle.dumps(ds.data), pickle.dumps(ds)]
    names = ds[0, 0].files.names
    replace(store)
    # Of references that were read with the store, or are held already, the old ones go on.
    assert ds[0, 0].files.names == names
    with pytest.raises(StoreReplacedError, match="was replaced since"):
        ds.headers  # noqa: B018
    if (store / "references.parq").exists():
        with pytest.raises(StoreReplacedError, match=r"refs\.\d\.parq"):
            ds[-1, -1].data.compute()
    with pytest.raises(StoreReplacedError):
        pickle.loads(travelled[0]).compute()
    with pytest.raises(StoreReplacedError):
        pickle.loads(travelled[1])[0, 0].data.compute()
    again = dv.open_dataset(store)
    assert len(again.headers) == len(again.files)
    assert Path(again.files.basepath).name == "others"


def test_headers_that_were_opened_stay_those_of_the_same_store(store: Path) -> None:
    ds: Any = dv.open_dataset(store)
    first = ds.headers["DATE-AVG"].tolist()
    replace(store)
    assert ds.headers["DATE-AVG"].tolist() == first
    assert ds[0].headers["DATE-AVG"].tolist() == first[: len(ds[0].files)]


def test_a_mended_dataset_of_the_same_references_is_the_same_store(store: Path) -> None:
    ds: Any = dv.open_dataset(store)
    references: Any = "parquet" if (store / "references.parq").exists() else "json"
    dv.convert(store.parent / "frames", store, references=references, overwrite=True)
    assert len(ds.headers) == len(ds.files)
    assert ds[-1, -1].data.compute().size


def test_a_store_on_a_server(store: Path) -> None:
    with FrameServer(store.parent).running() as server:
        ds: Any = dv.open_dataset(f"{server.url}/store", frames=store.parent / "frames")
        replace(store)
        with pytest.raises(StoreReplacedError):
            ds.headers  # noqa: B018
        again = dv.open_dataset(f"{server.url}/store", frames=store.parent / "frames")
        assert len(again.headers) == len(again.files)


def test_who_opens_while_it_is_replaced_gets_one_of_the_two(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dkist_virtual.dataset import loader as opened

    read, times = opened.read_description, 0

    def meanwhile(file: Any) -> Any:
        nonlocal times
        times += 1
        if times == 1:
            replace(store)
        return read(file)

    monkeypatch.setattr(opened, "read_description", meanwhile)
    ds: Any = dv.open_dataset(store)
    assert times == 2
    assert Path(ds.files.basepath).name == "others"
    assert len(ds.headers) == len(ds.files)

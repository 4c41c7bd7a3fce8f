"""A client of dask.distributed, where there is one: its workers read the frames."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dask
import dask.array as da
import numpy as np
import pytest
import xarray as xr
from dataset_checks import tiles_of
from distributed import Client, LocalCluster
from dkist_assets import unpacked
from samples import mostly_slow
from simulated import NAMES, QUICK

import dkist_virtual as dv
from dkist_virtual.store.zarr_store import FrameStore


@pytest.fixture(scope="module")
def cluster() -> Iterator[LocalCluster]:
    with LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=":0"
    ) as running:
        yield running


@pytest.fixture
def client(cluster: LocalCluster) -> Iterator[Client]:
    with Client(cluster) as connected:
        yield connected


@pytest.fixture
def read_here(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The positions of the frames that were read by this process."""
    positions: list[int] = []
    pixels = FrameStore.pixels

    def noting(self: Any, array: str, position: int, *rest: Any) -> Any:
        positions.append(position)
        return pixels(self, array, position, *rest)

    monkeypatch.setattr(FrameStore, "pixels", noting)
    return positions


def same(one: Any, other: Any) -> bool:
    return bool(np.array_equal(one, other, equal_nan=True))


@pytest.mark.parametrize("name", mostly_slow(NAMES, *QUICK))
@pytest.mark.parametrize("chunks", mostly_slow(["auto", "frame"], "auto"))
def test_workers_read(
    name: str, chunks: str, converted: Callable[[str], Path], cluster: LocalCluster,
    read_here: list[int],
) -> None:  # fmt: skip
    for ds in tiles_of(dv.open_dataset(converted(name), chunks=chunks)):
        expected = ds.data.compute()
        assert len(read_here) == len(ds.files)
        read_here.clear()
        with Client(cluster) as client:
            assert same(ds.data.compute(), expected)
            assert same(ds.data[0, ..., 3:9].compute(), expected[0, ..., 3:9])
            assert same(client.compute(ds.data).result(), expected)
            assert not read_here
        assert same(ds[0].data.compute(), expected[0])  # the client is gone
        assert read_here
        read_here.clear()


def test_every_worker_reads(
    converted: Callable[[str], Path], client: Client, read_here: list[int]
) -> None:
    ds = dv.open_dataset(converted("vtf"), chunks="frame")
    assert isinstance(ds, dv.Dataset)
    pids = ds.data.map_blocks(lambda block: np.full(block.shape, os.getpid()), dtype=int)
    found = set(np.unique(pids.compute()).tolist())
    assert found == set(client.run(os.getpid).values())
    assert os.getpid() not in found
    assert not read_here


def test_from_the_asdf_alone(simulated: Any, cluster: LocalCluster, read_here: list[int]) -> None:
    """No store: the references travel with the tasks."""
    ds = dv.open_dataset(simulated("visp"), chunks="frame")
    assert isinstance(ds, dv.Dataset)
    expected = ds.data.mean(axis=0).compute()
    read_here.clear()
    with Client(cluster):
        assert same(ds.data.mean(axis=0).compute(), expected)
    assert not read_here


def test_errors_come_back_as_they_are(
    converted: Callable[[str], Path], tmp_path: Path, client: Client
) -> None:
    ds = dv.open_dataset(converted("visp"), frames=tmp_path)
    assert isinstance(ds, dv.Dataset)
    with pytest.raises(dv.errors.FrameMissingError, match="16 of the 16 frames selected"):
        ds.data.compute()


@pytest.mark.slow
def test_what_is_made_of_a_dataset(
    simulated: Any, cluster: LocalCluster, read_here: list[int]
) -> None:
    ds = dv.open_dataset(simulated("vtf"))
    assert isinstance(ds, dv.Dataset)
    array, frame, doubled = ds.to_xarray(), ds[1, 1, 2], ds * 2
    mean, pixels = array.mean("stokes").compute(), frame.data.compute()
    both = doubled.data.compute()
    read_here.clear()
    with Client(cluster):
        assert same(array.mean("stokes").compute(), mean)
        assert same(frame.to_map().data, pixels)
        assert same(frame.quantity.value, pixels)
        assert same(doubled.data.compute(), both)
    assert not read_here


@pytest.mark.slow
@pytest.mark.parametrize("references", ["json", "parquet"])
def test_zarr_groups_and_arrays(
    references: str, simulated: Any, tmp_path: Path, cluster: LocalCluster, read_here: list[int]
) -> None:
    dv.convert(simulated("visp"), tmp_path / "store", references=references)
    group: Any = dv.open_zarr(tmp_path / "store")
    expected = group["data"][...]
    read_here.clear()
    with Client(cluster):
        array = da.from_zarr(group["data"])
        assert same(array.compute(), expected)
        assert same(array[0, 1:, 3:9].compute(), expected[0, 1:, 3:9])
        for opened in (xr.open_zarr(group.store), xr.open_zarr(group.store, chunks={})):
            assert same(opened["data"].values, expected)
            assert same(opened["data"][1, 2].values, expected[1, 2])
        assert same(dask.delayed(lambda array: array[0])(group["data"]).compute(), expected[0])
    assert not read_here


@pytest.mark.slow
def test_coordinates_are_evaluated_by_workers_too(cluster: LocalCluster, tmp_path: Path) -> None:
    ds = dv.open_dataset(unpacked("croppable_visp.asdf.gz", tmp_path))
    assert isinstance(ds, dv.Dataset)
    part = ds.to_xarray().longitude[:30]
    expected = part.values
    with Client(cluster):
        assert same(part.compute(), expected)


@pytest.mark.parametrize("references", ["json", "parquet"])
@pytest.mark.slow
def test_a_dataset_of_a_store_travels_light(
    references: str, simulated: Any, tmp_path: Path
) -> None:
    """As its URL and a selection, however many frames it has."""
    sizes = {}
    for name in ("visp_plain", "vtf", "cryonirsp"):
        store = tmp_path / name
        dv.convert(simulated(name), store, references=references)
        ds = dv.open_dataset(store, chunks="frame")
        assert isinstance(ds, dv.Dataset)
        sizes[len(ds.files)] = len(pickle.dumps(ds.data))
        tasks = dict(ds.data.__dask_graph__())
        assert len(tasks) == len(ds.files)
        assert max(len(pickle.dumps(task)) for task in tasks.values()) < 4000
    assert set(sizes) == {8, 24}
    assert max(sizes.values()) < 2000

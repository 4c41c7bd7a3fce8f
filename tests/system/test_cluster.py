"""Datasets on a cluster: a real one, of processes on this machine, some of which are killed."""

from __future__ import annotations

import os
import pickle
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cloudpickle
import dask.array as da
import numpy as np
import pytest
from astropy.io import fits
from many import name_of, write_asdf, write_frames

import dkist_virtual as dv
from dkist_virtual.conversion import scan as scanning
from dkist_virtual.errors import FrameCorruptError, FrameMissingError

pytest.importorskip("distributed")

N = 1_300

# Workers do not find the modules of the tests.
cloudpickle.register_pickle_by_value(sys.modules[__name__])


@contextmanager
def two_workers() -> Iterator[Any]:
    from distributed import Client, LocalCluster

    with (
        LocalCluster(
            n_workers=2,
            threads_per_worker=1,
            processes=True,
            dashboard_address=":0",
            host="127.0.0.1",
        ) as cluster,
        Client(cluster) as client,
    ):
        yield client


@pytest.fixture(scope="module")
def client() -> Iterator[Any]:
    with two_workers() as client:
        yield client


@pytest.fixture
def mortal() -> Iterator[Any]:
    """Two workers of one test alone: whether one that was killed comes again is dask's affair."""
    with two_workers() as client:
        yield client


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("data")
    write_frames(directory, N)
    write_asdf(directory / "d.asdf", N)
    return directory


@pytest.fixture(scope="module")
def frame(data: Path) -> Any:
    """One frame, as astropy reads it: all are alike."""
    return fits.getdata(data / name_of(0), 1)[0]


@pytest.fixture(scope="module")
def store(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    store = tmp_path_factory.mktemp("store") / "store"
    dv.convert(data / "d.asdf", store, references="parquet")
    return store


def contents(store: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(store)): path.read_bytes()
        for path in store.rglob("*")
        if path.is_file() and path.name != "dataset.asdf"
    }


def kill_whoever_opens(name: str, flag: str) -> None:
    """Kill this process when it opens a file, if none was killed before."""
    import signal

    def hook(event: str, args: tuple[Any, ...]) -> None:
        if event == "open" and str(args[0]).endswith(name):
            try:
                os.close(os.open(flag, os.O_CREAT | os.O_EXCL))
            except FileExistsError:
                return
            os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)


def pids(client: Any) -> set[int]:
    return set(client.run(os.getpid).values())


# Reading ----------------------------------------------------------------------------------------


def test_what_travels_is_small(store: Path) -> None:
    ds = dv.open_dataset(store)
    assert len(pickle.dumps(ds.data)) < 1_000
    assert len(cloudpickle.dumps(ds[3:900].data)) < 1_000
    str(ds), ds.headers["FRAME"], ds.data[5].compute()  # what was read here stays here
    assert len(pickle.dumps(ds.data)) < 1_000
    whole = ds.data
    assert len(cloudpickle.dumps(whole.sum().dask)) < 10_000 + 1_000 * whole.npartitions


def test_the_graph_of_a_slice_is_that_of_its_frames(store: Path) -> None:
    ds = dv.open_dataset(store, chunks="frame")
    assert len(ds.data.dask) == N
    assert len(ds[7].data.dask) == len(ds.data[7].dask) == 1
    assert len(ds[100:110].data.dask) == len(ds.data[100:110].dask) == 10


@pytest.mark.slow
def test_workers_read_the_same_pixels(client: Any, store: Path, frame: Any) -> None:
    ds = dv.open_dataset(store, chunks="frame")
    assert client.scheduler.address in str(client)
    got = client.compute(ds[10:30].data).result()
    np.testing.assert_array_equal(got, np.broadcast_to(frame, (20, *frame.shape)))
    local = dv.open_dataset(store).data[:100].sum(axis=0).compute(scheduler="threads")
    np.testing.assert_array_equal(
        client.compute(
            dv.open_dataset(store, chunks=(100, -1, -1)).data[:100].sum(axis=0)
        ).result(),
        local,
    )


@pytest.mark.slow
def test_an_error_of_a_worker_is_the_error_here(client: Any, store: Path, tmp_path: Path) -> None:
    write_frames(tmp_path / "some", 5)
    ds = dv.open_dataset(store, frames=tmp_path / "some", chunks="frame")
    with pytest.raises(FrameMissingError, match="2 of the 2 frames selected are absent"):
        client.compute(ds[7:9].data).result()
    (tmp_path / "some" / name_of(4)).unlink()
    (tmp_path / "some" / name_of(4)).write_bytes(b"SIMPLE")
    with pytest.raises(FrameCorruptError, match=name_of(4)):
        client.compute(ds[4:5].data).result()


@pytest.mark.slow
def test_a_process_without_this_package_imported_finds_the_codec(
    client: Any, store: Path, frame: Any
) -> None:
    def read(store: str, at: int) -> Any:
        import fsspec
        import zarr
        from fsspec.implementations.reference import LazyReferenceMapper, ReferenceFileSystem

        files = ReferenceFileSystem(
            LazyReferenceMapper(f"{store}/references.parq", fs=fsspec.filesystem("file")),
            remote_protocol="file",
            asynchronous=True,
        )
        array = zarr.open_group(
            zarr.storage.FsspecStore(files, read_only=True), mode="r", zarr_format=2
        )["data"]
        return "dkist_virtual.dataset.dataset" in sys.modules, np.asarray(array[at])

    client.restart()
    imported, pixels = client.submit(read, str(store), N - 1, pure=False).result()
    assert not imported
    np.testing.assert_array_equal(pixels, frame)


@pytest.mark.slow
def test_a_killed_worker_costs_time_alone(
    mortal: Any, store: Path, frame: Any, tmp_path: Path
) -> None:
    ds = dv.open_dataset(store, chunks=(50, -1, -1))
    before = pids(mortal)
    mortal.run(kill_whoever_opens, name_of(700), str(tmp_path / "killed"))
    total = mortal.compute(ds.data.sum(axis=0, dtype="f8")).result()
    assert (tmp_path / "killed").exists()
    np.testing.assert_allclose(total, frame.astype("f8") * N, rtol=1e-12)
    assert pids(mortal) != before


# Converting -------------------------------------------------------------------------------------


@pytest.mark.slow
def test_workers_look_at_the_frames(
    client: Any, data: Path, store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scanning, "TASK", 100)
    opened: list[str] = []
    sys.addaudithook(
        lambda event, args: (
            event == "open" and str(args[0]).endswith(".fits") and opened.append(str(args[0]))
        )  # type: ignore[func-returns-value]
    )
    done = dv.convert(data / "d.asdf", tmp_path / "store", references="parquet", client=client)
    assert (done.n_scanned, opened) == (N, [])
    assert contents(tmp_path / "store") == contents(store)


@pytest.mark.slow
def test_what_workers_find_wrong_is_said_here(client: Any, data: Path, tmp_path: Path) -> None:
    write_frames(tmp_path / "data", 20)
    (tmp_path / "data" / name_of(11)).unlink()
    (tmp_path / "data" / name_of(11)).write_bytes(b"SIMPLE  =                    T")
    write_asdf(tmp_path / "data" / "d.asdf", 21)
    with pytest.raises(FrameCorruptError, match=name_of(11)):
        dv.convert(tmp_path / "data" / "d.asdf", tmp_path / "store", client=client)
    (tmp_path / "data" / name_of(11)).unlink()
    done = dv.convert(tmp_path / "data" / "d.asdf", tmp_path / "store", client=client)
    assert (done.n_scanned, done.n_absent) == (19, 2)
    assert sorted(os.listdir(tmp_path)) == ["data", "store"]


@pytest.mark.slow
def test_a_worker_killed_in_a_scan(
    mortal: Any, data: Path, store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scanning, "TASK", 100)
    mortal.run(kill_whoever_opens, name_of(650), str(tmp_path / "killed"))
    dv.convert(data / "d.asdf", tmp_path / "store", references="parquet", client=mortal)
    assert (tmp_path / "killed").exists()
    assert contents(tmp_path / "store") == contents(store)


def test_a_dask_array_of_all_frames_has_one_task_a_chunk(store: Path) -> None:
    whole = dv.open_dataset(store).data
    assert isinstance(whole, da.Array)
    assert whole.npartitions == 1

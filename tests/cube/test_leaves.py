"""The dask array of a dataset: what slicing it reads, and what computing it costs."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dask
import dask.array as da
import numpy as np
import pytest
from dask.diagnostics import Callback
from frames import compressed, scene
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from watches import counted

import dkist_virtual as dv
from dkist_virtual.cube import sliced_wcs
from dkist_virtual.cube.dask_array import PushdownArray
from dkist_virtual.cube.selection import Selection
from dkist_virtual.cube.virtual_array import VirtualArray
from dkist_virtual.store.codecs import FrameSpec
from dkist_virtual.store.format.references import ArrayMetadata, FrameColumns, ReferenceSet
from dkist_virtual.store.handle import StoreHandle


@pytest.fixture(scope="module")
def cryo(converted: Callable[[str], Path]) -> Path:
    return converted("cryonirsp")


@pytest.fixture(scope="module")
def pixels(cryo: Path) -> Any:
    return dv.open_dataset(cryo).data.compute()


def same(one: Any, other: Any) -> bool:
    return bool(np.array_equal(one, other, equal_nan=True))


def test_slices_of_data_read_what_slices_of_the_dataset_do(cryo: Path) -> None:
    ds, reads = counted(cryo)
    through_dataset = ds[0, 1][:, 3:5].data.compute()
    expected = list(reads)
    ds, reads = counted(cryo)
    through_data = ds.data[0, 1][:, 3:5].compute()
    assert reads == expected
    assert same(through_data, through_dataset)
    assert ds.data[0, 1][:, 3:5].name == ds[0, 1][:, 3:5].data.name


@settings(
    deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
@pytest.mark.slow
def test_whatever_dask_takes_gives_what_numpy_gives(
    cryo: Path, pixels: Any, data: st.DataObject
) -> None:
    ds = dv.open_dataset(cryo, chunks=data.draw(st.sampled_from(["auto", "frame", 7])))
    assert isinstance(ds, dv.Dataset)
    index = data.draw(
        st.tuples(
            *(
                st.one_of(
                    st.integers(-n, n - 1),
                    st.slices(n),
                    st.just(slice(0, 0)),
                    st.lists(st.integers(0, n - 1), min_size=1, max_size=3, unique=True),
                )
                for n in pixels.shape[:2]
            )
        ).filter(lambda index: sum(isinstance(part, list) for part in index) < 2)
    )
    assert same(ds.data[index].compute(), pixels[index])
    assert same(ds.data[..., None].compute(), pixels[..., None])


@pytest.mark.slow
def test_indices_of_each_kind_give_what_numpy_gives(cryo: Path, pixels: Any) -> None:
    for chunks in ("auto", "frame", 7):
        ds: Any = dv.open_dataset(cryo, chunks=chunks)
        for index in (
            (-1, 0),
            (slice(1, None), 1),
            (slice(0, 0), 0),
            ([2, 0], slice(None, None, 2)),
        ):
            assert same(ds.data[index].compute(), pixels[index])


def test_what_is_computed_from_a_leaf_is_plain_dask(cryo: Path, pixels: Any) -> None:
    ds = dv.open_dataset(cryo)
    assert isinstance(ds, dv.Dataset)
    leaf = ds.data
    assert type(leaf) is PushdownArray
    for plain in (leaf + 1, leaf.T, leaf.astype("i4"), leaf.persist(), leaf[[0]]):
        assert type(plain) is da.Array
    assert same((leaf + 1).compute(), pixels + 1)
    kept = ds[0, 0, 0].data.persist()
    assert not np.shares_memory(kept.compute(), kept.compute())


def test_a_leaf_pickles(cryo: Path, pixels: Any) -> None:
    ds = dv.open_dataset(cryo)
    assert isinstance(ds, dv.Dataset)
    for leaf in (ds.data, ds.data[0], ds.data.rechunk(2)[0]):
        again = pickle.loads(pickle.dumps(leaf))
        assert again.name == leaf.name
        assert again.chunks == leaf.chunks
        assert same(again.compute(), leaf.compute())


def test_a_cut_out_takes_no_graph_and_no_wcs(cryo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ds = dv.open_dataset(cryo)
    assert isinstance(ds, dv.Dataset)
    expected = ds.data.compute()[1, 0, 0, 2:5, 3:9]
    made: list[str] = []

    def watch(module: Any, name: str) -> None:
        original = getattr(module, name)

        def watched(*args: Any, **how: Any) -> Any:
            made.append(name)
            return original(*args, **how)

        monkeypatch.setattr(module, name, watched)

    watch(da, "from_array")
    watch(sliced_wcs, "SlicedLowLevelWCS")
    cut = ds[1, 0, 0, 2:5, 3:9]
    for leaf in (cut.data, ds.data[1, 0, 0, 2:5, 3:9]):
        for scheduler in (None, "threads", "Synchronous"):
            with dask.config.set({} if scheduler is None else {"scheduler": scheduler}):
                assert same(leaf.compute(), expected)
    assert made == []
    leaf = cut.data
    assert leaf.name == ds.data[1, 0, 0, 2:5, 3:9].name
    assert (leaf.shape, leaf.dtype, leaf.chunks) == ((3, 6), expected.dtype, ((3,), (6,)))
    assert leaf.chunks == ((3,), (6,))  # dask has made it by now, once
    assert made == ["from_array"] * 2
    assert cut.wcs is cut.wcs
    assert made == ["from_array"] * 2 + ["SlicedLowLevelWCS"]
    with pytest.raises(AttributeError, match="'PushdownArray' object has no attribute 'unknown'"):
        leaf.unknown  # noqa: B018


@pytest.mark.parametrize("scheduler", ["threads", "synchronous"])
def test_whoever_watches_dask_sees_its_tasks(scheduler: str, cryo: Path) -> None:
    ds = dv.open_dataset(cryo)
    assert isinstance(ds, dv.Dataset)
    leaf, tasks = ds[0, 0, 0].data, []
    with Callback(pretask=lambda key, *_: tasks.append(key)):
        seen = leaf.compute(scheduler=scheduler)
    assert tasks
    n = len(tasks)
    assert same(leaf.compute(scheduler=scheduler), seen)
    assert len(tasks) == n


def test_any_scheduler_is_asked(cryo: Path) -> None:
    ds = dv.open_dataset(cryo)
    assert isinstance(ds, dv.Dataset)
    asked = []

    def mine(graph: Any, keys: Any, **how: Any) -> Any:
        asked.append(keys)
        return dask.get(graph, keys, **how)

    ds[0, 0, 0].data.compute(scheduler=mine)
    assert asked


# A dataset of any size, from references alone ------------------------------------------------


def virtual(n: int, file: Path, shape: tuple[int, int]) -> VirtualArray:
    """`n` frames that are the same file."""
    spec = FrameSpec(1, "<f4", shape)
    metadata = ArrayMetadata((n, *shape), (1, *shape), "<f4", spec, {})
    nowhere = np.full(n, -1, np.int64)
    columns = FrameColumns(np.full(n, str(file), np.dtypes.StringDType()), nowhere, nowhere)
    references = ReferenceSet({"store_id": f"{n} of {file}"}, {"data": (metadata, columns)})
    return VirtualArray(StoreHandle(None, references), "data", Selection.whole(metadata.shape))


@pytest.fixture(scope="module")
def frame(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    data = scene((1500, 1000), "f4", seed=8)
    path = tmp_path_factory.mktemp("big") / "frame.fits"
    path.write_bytes(compressed(data, tile=(1, 1000)))
    from astropy.io import fits

    return path, fits.getdata(path, 1)


@pytest.mark.slow
@pytest.mark.parametrize("chunks", ["auto", "frame"])
def test_a_slice_of_a_million_frames_has_as_many_tasks_as_chunks_selected(
    chunks: str, frame: tuple[Path, Any]
) -> None:
    array = virtual(1_000_000, frame[0], (1500, 1000))
    for item, frames in ((7, 1), (slice(10, 14), 4), (slice(0, 1_000_000, 200_000), 5)):
        leaf = array.select(item).dask(chunks)
        assert leaf.npartitions <= frames
        assert len(dict(leaf.__dask_graph__())) == leaf.npartitions
        assert len(pickle.dumps(array.select(item).selection)) < 1000
    row = array.select((slice(999_990, None), 3, slice(0, 64))).dask(chunks).compute()
    assert same(row, np.broadcast_to(frame[1][3, :64], (10, 64)))


def test_names_are_stable_and_never_shared(frame: tuple[Path, Any]) -> None:
    array = virtual(100, frame[0], (1500, 1000))
    other = virtual(101, frame[0], (1500, 1000))
    items = (
        0,
        1,
        slice(0, 2),
        slice(0, 4, 2),
        (0, 5),
        (slice(None), 5),
        (slice(None), slice(5, 6)),
    )
    leaves = [
        source.select(item).dask(chunks)
        for source in (array, other)
        for item in items
        for chunks in ("auto", "frame")
    ]
    names = {}
    for leaf in leaves:  # the same name means the same pixels in the same chunks
        described = (leaf.source.token(), leaf.chunks)
        assert names.setdefault(leaf.name, described) == described
    assert len(set(names.values())) == len(names)
    again = virtual(100, frame[0], (1500, 1000)).select(0).dask("auto")
    assert again.name == leaves[0].name


@pytest.mark.slow
def test_names_are_the_same_in_another_process(cryo: Path) -> None:
    code = (
        "import sys, dkist_virtual as dv; ds = dv.open_dataset(sys.argv[1]);"
        "print(ds.data.name, ds[0].data.name, ds.data[0, 1].name)"
    )
    ds = dv.open_dataset(cryo)
    assert isinstance(ds, dv.Dataset)
    names = [ds.data.name, ds[0].data.name, ds.data[0, 1].name]
    run = subprocess.run(
        [sys.executable, "-c", code, cryo],
        env={**os.environ, "PYTHONHASHSEED": "11"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stdout.split() == names


@pytest.mark.parametrize("how", ["dataset", "data"])
def test_a_whole_frame_takes_its_output_and_its_bytes_and_a_fifth(
    how: str, frame: tuple[Path, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    from dkist_virtual.fits import buffers as memory
    from dkist_virtual.fits.compiled import background

    monkeypatch.setattr(background, "MOST_SECONDS", 0.0)  # the kernel's memory, not numpy's
    monkeypatch.setattr(memory, "_pool", memory._Pool())
    path, expected = frame
    array = virtual(3, path, (1500, 1000))

    def read() -> Any:
        return array.dask("auto")[1].compute() if how == "data" else array[1]

    read()  # compiled, loaded and imported
    monkeypatch.setattr(memory, "_pool", memory._Pool())
    tracemalloc.start()
    try:
        got = read()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert same(got, expected)
    assert peak <= 1.2 * (got.nbytes + path.stat().st_size)


def test_chunks_by_rule_are_those_that_dask_makes() -> None:
    from dask.array.core import normalize_chunks

    from dkist_virtual.cube.virtual_array import pieces

    for n in range(1, 25):
        for size in range(1, 30):
            assert pieces(n, size) == normalize_chunks((size,), (n,), dtype="f4")[0]

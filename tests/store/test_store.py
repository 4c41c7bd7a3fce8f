"""References as a Zarr v3 store: its keys, its pixels, and what it says when frames do not come."""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import os
import pickle
import shutil
import warnings
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dask
import numpy as np
import pytest
import zarr
from astropy.io import fits
from golden import BY_NAME, oracle, write_dataset
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from simulated import once
from zarr.abc.store import OffsetByteRequest, RangeByteRequest, SuffixByteRequest
from zarr.core.buffer import default_buffer_prototype

import dkist_virtual as dv
from dkist_virtual.cube.selection import Selection
from dkist_virtual.cube.virtual_array import VirtualArray
from dkist_virtual.errors import (
    FrameCorruptError,
    FrameError,
    FrameMissingError,
    FrameUnreachableError,
    MissingFramesWarning,
    StoreMissingError,
)
from dkist_virtual.store.handle import StoreHandle
from dkist_virtual.store.read_options import ReadOptions

if TYPE_CHECKING:
    from dkist_virtual.store.zarr_store import FrameStore

Make = Callable[..., Path]


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """``made(name)``: a golden dataset's directory, with its store in ``store``."""
    base = tmp_path_factory.mktemp("stores")

    def write(name: str, directory: Path) -> Path:
        path = write_dataset(BY_NAME[name], directory)
        dv.convert(path, directory / "store", scan=BY_NAME[name].scan)  # type: ignore[arg-type]
        return directory

    return lambda name: once(base / name, partial(write, name))


@pytest.fixture
def copied(made: Callable[[str], Path], tmp_path: Path) -> Make:
    """``copied(name)``: the same in the test's own directory, to be broken."""

    def copy(name: str) -> Path:
        shutil.copytree(made(name), tmp_path / name, ignore=shutil.ignore_patterns("store"))
        directory = tmp_path / name
        scan: Any = BY_NAME[name].scan
        dv.convert(directory / f"{name}.asdf", directory / "store", scan=scan)
        return directory

    return copy


def store_of(directory: Path, **how: Any) -> FrameStore:
    return StoreHandle(str(directory / "store"), None, ReadOptions(**how)).store


def keys(store: FrameStore, prefix: str | None = None) -> list[str]:
    async def collect() -> list[str]:
        listing = store.list() if prefix is None else store.list_prefix(prefix)
        return [key async for key in listing]

    return asyncio.run(collect())


def children(store: FrameStore, prefix: str) -> list[str]:
    async def collect() -> list[str]:
        return [key async for key in store.list_dir(prefix)]

    return asyncio.run(collect())


def get(store: FrameStore, key: str, part: Any = None) -> bytes | None:
    buffer = asyncio.run(store.get(key, default_buffer_prototype(), part))
    return None if buffer is None else buffer.to_bytes()


# Keys -------------------------------------------------------------------------------------------


CHUNKS = [f"data/{i}.{j}.0.0" for i in range(2) for j in range(3)]


class TestKeys:
    def test_listing(self, made: Any) -> None:
        store = store_of(made("compressed"))
        assert keys(store) == ["zarr.json", "data/zarr.json", *CHUNKS]
        assert keys(store, "data/1.") == CHUNKS[3:]
        assert keys(store, "nothing") == []
        assert children(store, "") == ["zarr.json", "data"]
        assert children(store, "data") == children(store, "data/")
        assert children(store, "data") == ["zarr.json", *(key[5:] for key in CHUNKS)]
        assert children(store, "nothing") == []

    def test_listing_of_a_mosaic_and_of_frames_without_a_name(self, made: Any) -> None:
        store = store_of(made("mosaic"))
        assert children(store, "") == ["zarr.json", "data_0_0", "data_0_1", "data_1_1"]
        nameless = BY_NAME["null_names"].nameless
        there = [key for i, key in enumerate(CHUNKS) if i not in nameless]
        assert keys(store_of(made("null_names"))) == ["zarr.json", "data/zarr.json", *there]

    @pytest.mark.parametrize("name", ["compressed", "null_names", "single", "mosaic"])
    def test_what_is_listed_exists_and_can_be_had(self, name: str, made: Any) -> None:
        store = store_of(made(name))
        for key in keys(store):
            assert asyncio.run(store.exists(key))
            assert get(store, key)

    @pytest.mark.parametrize(
        "key",
        ["data", "data/", "data/2.0.0.0", "data/0.3.0.0", "data/0.0.1.0", "data/0.0.0", "data/c/0",
         "data/0.0.0.0.0", "data/-1.0.0.0", "data/a.b.c.d", "other/0.0.0.0", ".zgroup", ".zattrs",
         "data/.zarray", "zarr.json/zarr.json", "data/9999999999999999999999.0.0.0", ""],
    )  # fmt: skip
    def test_what_is_no_key(self, key: str, made: Any) -> None:
        store = store_of(made("compressed"))
        assert not asyncio.run(store.exists(key))
        assert get(store, key) is None

    @pytest.mark.parametrize("name", ["compressed", "plain", "never"])
    def test_a_chunk_is_the_referenced_bytes(self, name: str, made: Any) -> None:
        directory = made(name)
        frame = directory / BY_NAME[name].named(4)
        file = frame.read_bytes()
        with fits.open(frame, disable_image_compression=True) as hdus:
            info = hdus[BY_NAME[name].hdu].fileinfo()
        expected = {
            "compressed": file[info["hdrLoc"] : info["datLoc"] + info["datSpan"]],
            "plain": file[info["datLoc"] : info["datLoc"] + 12 * 20 * 4],
            "never": file,
        }[name]
        store = store_of(directory)
        assert get(store, "data/1.1.0.0") == expected
        assert get(store, "data/1.1.0.0", RangeByteRequest(3, 40)) == expected[3:40]
        assert get(store, "data/1.1.0.0", OffsetByteRequest(50)) == expected[50:]
        assert get(store, "data/1.1.0.0", SuffixByteRequest(20)) == expected[-20:]

    def test_metadata_speaks_zarr_v3(self, made: Any) -> None:
        store = store_of(made("compressed"))
        root = json.loads(get(store, "zarr.json") or b"")
        assert (root["zarr_format"], root["node_type"]) == (3, "group")
        assert root["attributes"]["dkist_virtual"]["n_frames"] == 6
        array = json.loads(get(store, "data/zarr.json") or b"")
        assert (array["zarr_format"], array["shape"]) == (3, [2, 3, 12, 20])

    def test_read_only(self, made: Any) -> None:
        store = store_of(made("compressed"))
        buffer = default_buffer_prototype().buffer.from_bytes(b"x")
        assert store.read_only
        for change in (lambda key: store.set(key, buffer), store.delete):
            with pytest.raises(ValueError, match=r"data/0\.0\.0\.0: store was opened in read-only"):
                asyncio.run(change("data/0.0.0.0"))
        for name in ("compressed", "plain"):
            group = dv.open_zarr(made(name) / "store")
            with pytest.raises(NotImplementedError, match="never written"):
                group["data"][0] = 1
            with pytest.raises(ValueError, match="read-only"):
                group.create_array("more", shape=(1,), dtype="f4")


# Pixels -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", [name for name, golden in BY_NAME.items() if not (golden.gone or golden.nameless)]
)
def test_pixels_are_astropys(name: str, made: Any) -> None:
    directory = made(name)
    group = dv.open_zarr(directory / "store")
    arrays = oracle(BY_NAME[name], directory)
    assert sorted(group.array_keys()) == sorted(arrays)
    for array, expected in arrays.items():
        found = np.asarray(group[array][...])
        assert found.dtype.newbyteorder("=") == expected.dtype
        np.testing.assert_array_equal(found, expected)


@pytest.fixture(scope="module")
def visp(simulated: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A zarr array of the simulated ViSP dataset, and its pixels by astropy."""
    directory = simulated("visp")
    store = tmp_path_factory.mktemp("visp") / "store"
    dv.convert(directory, store)
    array = dv.open_zarr(store)["data"]
    references = json.loads((store / "references.json").read_bytes())["refs"]
    pixels = np.empty(array.shape, "f4")
    for index in np.ndindex(array.shape[:2]):
        (url, *_) = references[f"data/{index[0]}.{index[1]}.0.0"]
        pixels[index] = fits.getdata(url, 1)[0]
    return array, pixels


def basic(n: int) -> st.SearchStrategy[Any]:
    return st.integers(-n, n - 1) | st.slices(n).filter(lambda s: (s.step or 1) > 0)


SHAPE = (4, 4, 40, 64)
QUICK = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@QUICK
@given(index=st.tuples(*map(basic, SHAPE)), n=st.integers(0, 4), ellipsis=st.booleans())
def test_basic_selections(visp: Any, index: tuple[Any, ...], n: int, ellipsis: bool) -> None:
    array, pixels = visp
    assert array.shape == SHAPE
    index = index[:n] + ((...,) if ellipsis else ())
    np.testing.assert_array_equal(np.asarray(array[index]), pixels[index])


def orthogonal(n: int) -> st.SearchStrategy[Any]:
    lists = st.lists(st.integers(0, n - 1), min_size=1, max_size=4, unique=True).map(sorted)
    return st.slices(n).filter(lambda s: (s.step or 1) > 0) | lists


@QUICK
@given(index=st.tuples(*map(orthogonal, SHAPE)))
def test_orthogonal_selections(visp: Any, index: tuple[Any, ...]) -> None:
    array, pixels = visp
    picked = [np.arange(n)[i] for n, i in zip(SHAPE, index, strict=True)]
    np.testing.assert_array_equal(
        np.asarray(array.get_orthogonal_selection(index)), pixels[np.ix_(*picked)]
    )


# Other processes --------------------------------------------------------------------------------


def _read(array: VirtualArray) -> tuple[int, Any]:
    return os.getpid(), array[1, 2, 3:5]


def test_handles_are_small_and_work_in_another_process(made: Any) -> None:
    directory = made("compressed")
    handle = StoreHandle(str(directory / "store"))
    array = VirtualArray(handle, "data", Selection.whole((2, 3, 12, 20)))
    expected = oracle(BY_NAME["compressed"], directory)["data"]
    np.testing.assert_array_equal(array[0, 0], expected[0, 0])  # opens it, which is left behind
    assert len(pickle.dumps(handle)) < 500
    assert len(pickle.dumps(array)) < 1500
    assert pickle.loads(pickle.dumps(handle)) == handle
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        process, pixels = pool.submit(_read, array).result()
    assert process != os.getpid()
    np.testing.assert_array_equal(pixels, expected[1, 2, 3:5])


def test_references_without_a_store_travel_with_the_handle(made: Any) -> None:
    directory = made("compressed")
    ds = dv.Dataset.from_asdf(directory / "compressed.asdf")
    again = pickle.loads(pickle.dumps(ds.data))
    np.testing.assert_array_equal(again.compute(), oracle(BY_NAME["compressed"], directory)["data"])


# Frames that do not come ------------------------------------------------------------------------


def by_zarr(directory: Path, **how: Any) -> Any:
    return dv.open_zarr(directory / "store", **how)["data"][...]


def by_dask(directory: Path, **how: Any) -> Any:
    with dask.config.set(scheduler="threads"):
        return dv.open_dataset(directory / "store", **how).data.compute()


DOORS = pytest.mark.parametrize("read", [by_zarr, by_dask])


def gone(frame: Path) -> None:
    frame.unlink()


def unreachable(frame: Path) -> None:
    frame.unlink()
    frame.symlink_to(frame.name)


def shortened(frame: Path) -> None:
    os.truncate(frame, frame.stat().st_size - 2880)


@DOORS
@pytest.mark.parametrize(
    ("happened", "kind"),
    [
        (gone, FrameMissingError),
        (unreachable, FrameUnreachableError),
        (shortened, FrameCorruptError),
    ],
)
def test_the_error_names_chunk_and_place(
    read: Any, happened: Any, kind: type[FrameError], copied: Make
) -> None:
    directory = copied("compressed")
    frame = directory / "frame_04.fits"
    happened(frame)
    with pytest.raises(kind) as caught:
        read(directory)
    assert type(caught.value) is kind
    assert "data/1.1.0.0" in str(caught.value)
    assert str(frame) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_how_many_of_how_many(copied: Make) -> None:
    directory = copied("compressed")
    for number in (1, 4, 5):
        (directory / f"frame_0{number}.fits").unlink()
    ds = dv.open_dataset(directory / "store")
    with pytest.raises(FrameMissingError, match=r"^3 of the 6 frames selected are absent") as all_:
        ds.data.compute()
    assert "data/0.1.0.0" in str(all_.value)
    assert 'missing="nan"' in str(all_.value)
    with pytest.raises(FrameMissingError, match=r"^2 of the 3 frames selected are absent"):
        ds[1].data.compute()
    with pytest.raises(FrameMissingError, match=r"no such file\. Get the file, or"):
        ds[1, 2].data.compute()
    np.testing.assert_array_equal(
        ds[:, 0].data.compute(), oracle(BY_NAME["compressed"], directory)["data"][:, 0]
    )


@DOORS
@pytest.mark.parametrize("name", ["compressed", "null_names", "half", "half_plain"])
def test_absent_floats_are_nan_where_asked(read: Any, name: str, copied: Make) -> None:
    directory = copied(name)
    if name == "compressed":
        (directory / "frame_02.fits").unlink()
    expected = oracle(BY_NAME[name], directory)["data"]
    assert np.isnan(expected[0, 0]).all() or np.isnan(expected[0, 1:]).all(axis=(-1, -2)).any()
    with pytest.raises(FrameMissingError):
        read(directory)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        np.testing.assert_array_equal(np.asarray(read(directory, missing="nan")), expected)


def test_absent_integers_are_0_where_asked_and_that_is_said(copied: Make) -> None:
    directory = copied("null_integers")
    expected = oracle(BY_NAME["null_integers"], directory)["data"]
    with pytest.raises(FrameMissingError, match="no file is named for this frame"):
        by_dask(directory)
    with pytest.warns(MissingFramesWarning, match=r"1 absent frame\(s\) of integers read as 0"):
        pixels = by_dask(directory, missing="nan")
    np.testing.assert_array_equal(pixels, expected)
    assert not pixels[1, 0].any()


@DOORS
@pytest.mark.parametrize("happened", [unreachable, shortened])
def test_only_absent_frames_ever_become_nan(read: Any, happened: Any, copied: Make) -> None:
    directory = copied("compressed")
    happened(directory / "frame_03.fits")
    with pytest.raises((FrameUnreachableError, FrameCorruptError)):
        read(directory, missing="nan")


@DOORS
def test_a_directory_that_is_gone_is_not_full_of_absent_frames(read: Any, copied: Make) -> None:
    directory = copied("compressed")
    (directory / "store").rename(directory.parent / "kept")
    shutil.rmtree(directory)
    directory.mkdir()
    (directory.parent / "kept").rename(directory / "store")
    with pytest.raises(FrameMissingError):
        read(directory)
    for how in ({}, {"missing": "nan"}):
        with pytest.raises(FrameUnreachableError, match="does not exist"):
            read(directory, frames=directory / "nowhere", **how)


def test_frames_elsewhere_keep_their_directories(copied: Make) -> None:
    directory = copied("plain")
    expected = oracle(BY_NAME["plain"], directory)["data"]
    elsewhere = directory.parent / "elsewhere"
    elsewhere.mkdir()
    (directory / "Tag 1").rename(elsewhere / "Tag 1")
    with pytest.raises(FrameUnreachableError):
        by_zarr(directory)
    for frames in (elsewhere, f"file://{elsewhere}"):
        np.testing.assert_array_equal(np.asarray(by_zarr(directory, frames=frames)), expected)


def test_no_store(tmp_path: Path) -> None:
    for place in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(StoreMissingError, match=r"no store here: expected references\.json"):
            dv.open_zarr(place)


def test_missing_is_raise_or_nan(made: Any) -> None:
    wrong: Any = "zero"
    with pytest.raises(ValueError, match="missing = 'zero': expected 'raise' or 'nan'"):
        dv.open_zarr(made("compressed") / "store", missing=wrong)


def test_the_group_is_zarr_v3_and_of_both_reference_formats(made: Any, tmp_path: Path) -> None:
    directory = made("compressed")
    dv.convert(directory / "compressed.asdf", tmp_path / "store", references="parquet")
    for store in (directory / "store", tmp_path / "store", tmp_path / "store/references.parq"):
        group = dv.open_zarr(store)
        assert isinstance(group, zarr.Group)
        assert group.metadata.zarr_format == 3
        assert list(group["data"].metadata.dimension_names) == [
            "polarization_state", "raster_scan_step_number", "y_axis", "x_axis"
        ]  # fmt: skip
        np.testing.assert_array_equal(
            np.asarray(group["data"][...]), oracle(BY_NAME["compressed"], directory)["data"]
        )

"""Objects of a user pickle to another process, and dask's names differ for different data."""

from __future__ import annotations

import json
import os
import pickle
import re
import shutil
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import astropy.units as u
import cloudpickle
import dask
import dask.array as da
import numpy as np
import pyarrow.parquet as pq
import pytest
from astropy.nddata import NDData, StdDevUncertainty, VarianceUncertainty
from dataset_checks import tiles_of
from dkist_assets import unpacked
from golden import BY_NAME, oracle, write_dataset
from samples import mostly_slow

import dkist_virtual as dv
from dkist_virtual.demo.server import FrameServer
from dkist_virtual.errors import ChangedFrameWarning, StoreReplacedError, VerificationWarning
from dkist_virtual.store.format import references_parquet as shards
from dkist_virtual.store.format.references import ReferenceSet

PICKLERS = pytest.mark.parametrize("by", [pickle, cloudpickle], ids=["pickle", "cloudpickle"])


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """``made(name)``: a directory with a golden dataset, and it as ``json`` and ``parquet``."""
    base = tmp_path_factory.mktemp("travel")

    def make(name: str) -> Path:
        if not (base / name).exists():
            path = write_dataset(BY_NAME[name], base / name)
            for form in ("json", "parquet"):
                dv.convert(path, base / name / form, references=form)  # type: ignore[arg-type]
        return base / name

    return make


@pytest.fixture(params=["json", "parquet", "compressed.asdf"])
def ds(request: pytest.FixtureRequest, made: Any) -> Any:
    return dv.open_dataset(made("compressed") / request.param)


@pytest.fixture(params=["json", "parquet", "mosaic.asdf"])
def mosaic(request: pytest.FixtureRequest, made: Any) -> Any:
    return dv.open_dataset(made("mosaic") / request.param)


# Pickles --------------------------------------------------------------------------------------


def again(value: Any, by: Any) -> Any:
    return pickle.loads(by.dumps(value))


def same(one: Any, other: Any) -> bool:
    return bool(np.array_equal(one, other, equal_nan=True))


def double(pixels: Any, axis: Any) -> Any:
    return 2 * pixels.sum(axis)


@PICKLERS
def test_what_a_dataset_gives(ds: Any, by: Any) -> None:
    pixels = ds.data.compute()
    for value in (ds, ds[0], ds[:, 1, 3:5]):
        for _ in range(2):  # once unopened, once with all that was read
            back = again(value, by)
            assert same(back.data.compute(), value.data.compute())
            assert back.headers.colnames == value.headers.colnames
            assert back.files.keys == value.files.keys
            assert str(back) == str(value)
    assert same(again(ds.data, by).compute(), pixels)
    assert again(ds.data, by).name == ds.data.name
    assert again(ds.files, by).names == ds.files.names
    assert again(ds.files, by).sizes.tolist() == ds.files.sizes.tolist()
    assert str(again(ds.headers, by)) == str(ds.headers)
    assert dict(again(ds.headers[0], by)) == dict(ds.headers[0])
    assert same(again(ds.subject(), by).data[0, 0], pixels[0, 0])
    assert same(again(ds.to_xarray(), by).values, pixels)
    assert again(ds.overview(), by) == ds.overview()
    references = ds.provenance.array.handle.store.references
    assert again(references, by).identity == references.identity


@PICKLERS
def test_what_a_mosaic_gives(mosaic: Any, by: Any) -> None:
    back = again(mosaic, by)
    for one, other in zip(tiles_of(back), tiles_of(mosaic), strict=True):
        assert same(one.data.compute(), other.data.compute())
    assert again(mosaic.files, by).names == mosaic.files.names
    assert again(mosaic.files, by).sizes.tolist() == mosaic.files.sizes.tolist()
    assert again(mosaic.slice_tiles, by)[0].tiles_shape == mosaic.slice_tiles[0].tiles_shape
    assert len(again(mosaic.combined_headers, by)) == len(mosaic.combined_headers)
    for name, array in mosaic.to_xarray().data_vars.items():
        assert same(again(mosaic.to_xarray(), by)[name].values, array.values)


COMPUTED: dict[str, Callable[[Any, Any], Any]] = {
    "number": lambda ds, _: 2 * ds,
    "dataset": lambda ds, _: ds - ds[:, 0:1],
    "function": lambda ds, _: np.sqrt(abs(ds / ds.unit)),
    "array": lambda ds, array: ds * array,
    "nddata": lambda ds, array: ds / NDData(array, unit="s"),
    "masked nddata": lambda ds, array: ds / NDData(array, mask=array > 2),
    "dask nddata": lambda ds, array: ds / NDData(da.from_array(array)),
    "nddata of a lambda": lambda ds, array: ds / NDData(da.ones(ds.shape).map_blocks(lambda x: x)),
    "nddata without wcs": lambda ds, _: ds / ds.to_nddata(wcs=None),
    "uncertainty": lambda ds, array: ds + NDData(
        array, unit=ds.unit, uncertainty=StdDevUncertainty(array)
    ),
    "variance": lambda ds, array: ds * NDData(array, uncertainty=VarianceUncertainty(array)),
    "equivalencies": lambda ds, _: (ds * (u.nm / ds.unit)).to(u.GHz, u.spectral()),
    "own equivalency": lambda ds, _: ds.to(u.K, [(ds.unit, u.K, lambda x: 3 * x, lambda x: x / 3)]),
    "rebinned": lambda ds, _: ds.rebin((1, 1, 2, 2)),
    "own bins": lambda ds, _: ds.rebin((1, 1, 2, 2), double),
    "bins by a lambda": lambda ds, _: ds.rebin((1, 1, 2, 2), lambda a, axis: 2 * a.sum(axis)),
}  # fmt: skip


@PICKLERS
@pytest.mark.parametrize("name", mostly_slow(COMPUTED, every=4))
@pytest.mark.filterwarnings("ignore:.*encountered in divide:RuntimeWarning")
def test_what_is_computed(name: str, by: Any, made: Any) -> None:
    ds: Any = dv.open_dataset(made("compressed") / "json")
    array = np.arange(1.0, 1 + np.prod(ds.shape)).reshape(ds.shape)
    value = COMPUTED[name](ds, array)
    back = again(value, by)
    for one, other in ((back, value), (back[1], value[1]), (back * 2, value * 2)):
        np.testing.assert_array_equal(one.data.compute(), other.data.compute())
        assert one.unit == other.unit
        if other.uncertainty is not None:
            spread = other.uncertainty.array
            np.testing.assert_array_equal(np.asarray(one.uncertainty.array), np.asarray(spread))
            assert one.uncertainty.parent_nddata is one
        if other.mask is not None:
            np.testing.assert_array_equal(np.asarray(one.mask), np.asarray(other.mask))


@PICKLERS
@pytest.mark.parametrize("form", ["json", "parquet"])
def test_a_group_its_arrays_and_its_store(form: str, by: Any, made: Any) -> None:
    directory = made("compressed")
    expected = oracle(BY_NAME["compressed"], directory)["data"]
    group: Any = dv.open_zarr(directory / form)
    np.testing.assert_array_equal(group["data"][0, 0], expected[0, 0])
    for back in (again(group, by)["data"], again(group["data"], by)):
        np.testing.assert_array_equal(back[...], expected)
        np.testing.assert_array_equal(back[1, 2, 3:5], expected[1, 2, 3:5])
        assert back.store_path == group["data"].store_path
    store = again(group.store, by)
    assert store == group.store
    assert hash(store) == hash(group.store)
    assert len(by.dumps(group.store)) < 1000
    assert again(group, by).attrs.asdict() == group.attrs.asdict()


def test_a_store_that_travelled_is_opened_when_it_is_needed(made: Any, tmp_path: Path) -> None:
    shutil.copytree(made("compressed") / "json", tmp_path / "store")
    travelled = pickle.dumps(dv.open_zarr(tmp_path / "store")["data"])
    (tmp_path / "store").rename(tmp_path / "away")
    array: Any = pickle.loads(travelled)  # as a scheduler does, which may not reach the store
    with pytest.raises(dv.errors.StoreMissingError, match="no store here"):
        array[0]
    (tmp_path / "away").rename(tmp_path / "store")
    assert array[0].shape == (3, 12, 20)


def test_equal_is_what_shows_the_same(made: Any, tmp_path: Path) -> None:
    place = made("compressed") / "json"
    one = dv.open_zarr(place).store
    assert one == dv.open_zarr(str(place)).store == dv.open_zarr(place / "references.json").store
    assert len({one, dv.open_zarr(place).store, dv.open_zarr(f"file://{place}").store}) == 1
    shutil.copytree(place, tmp_path / "copy")
    others = [
        dv.open_zarr(tmp_path / "copy"),
        dv.open_zarr(made("compressed") / "parquet"),
        dv.open_zarr(place, missing="nan"),
        dv.open_zarr(place, frames=tmp_path),
        dv.open_zarr(place, allow_local=False),
        dv.open_zarr(place, verify=True),
        dv.open_zarr(place, cache=tmp_path / "cache"),
        dv.open_zarr(place, storage_options={"https": {"block_size": 1}}),
    ]
    assert all(one != other.store for other in others)
    assert one != "another thing"
    changed = (tmp_path / "copy" / "references.json").read_text().replace("frame_00", "frame_01")
    before = dv.open_zarr(tmp_path / "copy").store
    (tmp_path / "copy" / "references.json").write_text(changed)
    assert before != dv.open_zarr(tmp_path / "copy").store


# Names ----------------------------------------------------------------------------------------

PRINTED = """
import sys
import numpy as np
import astropy.units as u
import dkist_virtual as dv
for place in sys.argv[1:]:
    ds = dv.open_dataset(place)
    for part in (ds, ds[0, 1:, ::2], ds * 2, ds / ds[:, 0:1], np.sqrt(ds * ds)):
        print(part.data.name)
    print(ds.rebin((1, 1, 2, 2)).data.name)
    print(ds.to_xarray().data.name)
coords = dv.open_dataset(sys.argv[-1]).to_xarray().coords
print(sorted(c.data.name for c in coords.values() if hasattr(c.data, "dask")))
"""


@pytest.mark.slow
def test_names_are_the_same_in_every_process(made: Any, tmp_path: Path) -> None:
    directory = made("compressed")
    places = [directory / "json", directory / "parquet", directory / "compressed.asdf"]
    large = unpacked("croppable_visp.asdf.gz", tmp_path)
    code = PRINTED.replace("sys.argv[1:]", "sys.argv[1:-1]")
    printed = []
    for seed in "12":
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", code, *map(str, places), str(large)],
            capture_output=True, env={**os.environ, "PYTHONHASHSEED": seed}, text=True,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        printed.append(done.stdout)
    assert printed[0] == printed[1]
    names = printed[0].split()
    assert len(set(names)) == len(names) - 3  # to_xarray holds the dataset's own array
    assert "[]" not in names  # large coordinates are dask arrays too


@pytest.fixture
def pair(request: pytest.FixtureRequest, made: Any, tmp_path: Path) -> tuple[list[Path], Any]:
    """Two stores of other pixels that say the same of themselves, or nothing; and the pixels."""
    form, says_nothing = request.param
    directory = made("compressed")
    stores = []
    for name in ("one", "two"):
        ignored = shutil.ignore_patterns("json", "parquet")
        shutil.copytree(directory, tmp_path / name, ignore=ignored)
        frames = sorted((tmp_path / name).glob("*.fits"))
        if name == "two":  # the same names, other pixels
            for frame, data in zip(frames, [f.read_bytes() for f in frames][::-1], strict=True):
                frame.write_bytes(data)
        stores.append(tmp_path / name / "store")
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(ReferenceSet, "store_id", lambda *_: "0" * 64)
            dv.convert(tmp_path / name, stores[-1], references=form)
        if says_nothing:
            silence(stores[-1])
    expected = oracle(BY_NAME["compressed"], directory)["data"]
    return stores, (expected, expected.reshape(6, 12, 20)[::-1].reshape(expected.shape))


def silence(store: Path) -> None:
    """Take out of a store's files what they say that the store is."""
    for name in ("references.json", "references.parq/.zmetadata"):
        if (store / name).exists():
            text = re.sub(r'\\*"store_id\\*": \\*"0+\\*", ', "", (store / name).read_text())
            assert "store_id" not in text
            (store / name).write_text(text)
    for shard in store.glob("references.parq/*/*.parq"):
        pq.write_table(pq.read_table(shard).replace_schema_metadata(None), shard)


PAIRS = pytest.mark.parametrize(
    "pair",
    [("json", False), ("json", True), ("parquet", False), ("parquet", True)],
    ids=["json", "json silent", "parquet", "parquet silent"],
    indirect=True,
)


@PAIRS
def test_what_a_store_says_that_it_is_counts_for_nothing(pair: Any) -> None:
    stores, expected = pair
    one, two = (dv.open_dataset(store) for store in stores)
    a, b, difference = dask.compute(one.data, two.data, one.data - two.data)
    np.testing.assert_array_equal((a, b), expected)
    np.testing.assert_array_equal(difference, expected[0] - expected[1])
    np.testing.assert_array_equal((one - two).data.compute(), expected[0] - expected[1])
    np.testing.assert_array_equal(dask.compute((one * 2).data, (two * 2).data)[1], 2 * expected[1])
    arrays = [da.from_zarr(dv.open_zarr(store)["data"]) for store in stores]
    np.testing.assert_array_equal(dask.compute(*arrays), expected)
    assert dv.open_zarr(stores[0]).store != dv.open_zarr(stores[1]).store


@PAIRS
def test_a_store_in_the_place_of_one_that_says_the_same(pair: Any) -> None:
    (one, two), expected = pair
    ds: Any = dv.open_dataset(one)
    travelled = [pickle.dumps(ds.data), pickle.dumps(dv.open_zarr(one)["data"]), pickle.dumps(ds)]
    name = ds.data.name
    dv.verify(one)
    kept = json.loads((one / "verify.json").read_bytes())
    shutil.rmtree(one)
    shutil.copytree(two, one)  # its frames are those in the other directory
    (one / "verify.json").write_text(json.dumps({**kept, "counts": {"corrupt": 6}}))
    with pytest.raises(StoreReplacedError):
        pickle.loads(travelled[0]).compute()
    with pytest.raises(StoreReplacedError):
        pickle.loads(travelled[1])[...]
    with pytest.raises(StoreReplacedError):
        pickle.loads(travelled[2])[0].data.compute()
    with pytest.raises(StoreReplacedError):
        ds.headers  # noqa: B018
    with warnings.catch_warnings():  # what was found wrong was the other one
        warnings.simplefilter("error", VerificationWarning)
        again: Any = dv.open_dataset(one)
    assert again.data.name != name
    np.testing.assert_array_equal(again.data.compute(), expected[1])


def test_datasets_of_the_same_name_from_their_asdf(made: Any, tmp_path: Path) -> None:
    for name in ("one", "two"):
        shutil.copytree(made("compressed"), tmp_path / name)
    one, two, again = (
        dv.open_dataset(tmp_path / name / "compressed.asdf") for name in ("one", "two", "one")
    )
    assert one.data.name == again.data.name != two.data.name
    elsewhere = dv.open_dataset(tmp_path / "one" / "compressed.asdf", frames=tmp_path / "two")
    assert elsewhere.data.name not in (one.data.name, two.data.name)


OPTIONS: list[dict[str, Any]] = [
    {},
    {"missing": "nan"},
    {"verify": True},
    {"allow_local": True},
    {"chunks": "frame"},
    {"storage_options": {"https": {"block_size": 1}}},
    {"storage_options": {"https": {"block_size": 2}}},
]


def test_options_are_part_of_names(made: Any) -> None:
    names = [dv.open_dataset(made("compressed") / "json", **how).data.name for how in OPTIONS]
    assert len(set(names)) == len(OPTIONS)


@pytest.fixture
def sharded(made: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(shards, "RECORD_SIZE", 2)
    dv.convert(made("compressed"), tmp_path / "store", references="parquet")
    return tmp_path / "store"


def test_a_shard_that_was_replaced_gives_other_names(sharded: Path) -> None:
    before = dv.open_dataset(sharded)
    names = before.data.name, before[0, 0:2].data.name, before[1].data.name
    swapped = sharded / "references.parq/data/refs.2.parq"
    shutil.copy(sharded / "references.parq/data/refs.0.parq", swapped)
    after = dv.open_dataset(sharded)
    again = after.data.name, after[0, 0:2].data.name, after[1].data.name
    assert names[1] == again[1]
    assert names[0] != again[0]
    assert names[2] != again[2]
    with pytest.raises(StoreReplacedError, match=r"refs\.2\.parq"):
        before[1].data.compute()
    with pytest.warns(ChangedFrameWarning):  # those frames are not the ones that were scanned
        np.testing.assert_array_equal(after[1, 1:].data.compute(), after[0, :2].data.compute())


def test_names_ask_for_the_shards_of_a_selection_and_read_none(sharded: Path) -> None:
    with FrameServer(sharded.parent).running() as server:
        ds: Any = dv.open_dataset(f"{server.url}/store", allow_local=True)
        server.forget()
        name = ds[0, 0:2].data.name
        about = [request for request in server.requests if "refs." in request[1]]
        assert [(r[1].rsplit("/", 1)[-1], r[3]) for r in about] == [("refs.0.parq", 1)]
        assert ds[0, 0:2].data.name == name
        assert len(server.requests) == 1
        ds[0, 0:2].data.compute()
        assert sum("refs.0" in request[1] for request in server.requests) == 2
        assert dv.open_dataset(f"{server.url}/store", allow_local=True)[0, 0:2].data.name == name


@pytest.mark.slow
def test_coordinates_are_named_by_their_wcs(made: Any, tmp_path: Path) -> None:
    """Not by the references, which stay as they are when a newer ASDF brings another WCS."""
    place = unpacked("croppable_visp.asdf.gz", tmp_path)
    one: Any = dv.open_dataset(place)
    names = {name: one.to_xarray()[name].data.name for name in ("longitude", "latitude")}
    again: Any = dv.open_dataset(place)
    assert names == {name: again.to_xarray()[name].data.name for name in names}
    small: Any = dv.open_dataset(made("compressed") / "json")
    other = small.provenance.description.tiles[0].wcs
    object.__setattr__(again.provenance.description.tiles[0], "wcs", other)
    again.provenance.description.tiles[0].__dict__.pop("wcs_hash")
    assert names["longitude"] != again.to_xarray().longitude.data.name

"""Parse stores and ASDFs for VirtualiZarr, and read the pixels by its own means."""

from __future__ import annotations

import inspect
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pytest
import xarray as xr
import zarr
from golden import BY_NAME, oracle, with_both_stores
from icechunk_repository import repository
from obspec_utils.registry import ObjectStoreRegistry
from obstore.store import HTTPStore, LocalStore
from virtualizarr import VirtualiZarrDatasetAccessor

import dkist_virtual as dv
from dkist_virtual.demo.server import FrameServer
from dkist_virtual.publish.virtualizarr import DKISTParser

pytestmark = pytest.mark.filterwarnings(
    "ignore::zarr.errors.UnstableSpecificationWarning",
    "ignore::zarr.errors.ZarrUserWarning",
    "ignore::FutureWarning",
    "ignore::DeprecationWarning",
)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """``made(name)``: the directory of a golden dataset, with its stores as JSON and Parquet."""
    base = tmp_path_factory.mktemp("parser")

    return lambda name: with_both_stores(name, base)


def registry() -> Any:
    return ObjectStoreRegistry({"file://": LocalStore()})


def check(opened: Any, expected: dict[str, Any]) -> None:
    for name, pixels in expected.items():
        found = np.asarray(opened[name])
        assert found.dtype.newbyteorder("=") == pixels.dtype
        np.testing.assert_array_equal(found, pixels)


def named(*names: str, slow: tuple[str, ...]) -> Any:
    marked = (pytest.param(name, marks=pytest.mark.slow) for name in slow)
    return pytest.mark.parametrize("name", [*names, *marked])


@pytest.mark.parametrize("partial_reads", [True, False])
@named("compressed", "half", slow=("plain", "mosaic", "int16", "unsigned", "single", "never"))
def test_stores_are_read_through_virtualizarr(name: str, partial_reads: bool, made: Any) -> None:
    expected = oracle(BY_NAME[name], made(name))
    parser = DKISTParser(partial_reads=partial_reads, missing="nan")
    for form in ("json", "parquet"):
        store = parser(str(made(name) / form), registry())
        check(zarr.open_group(store, mode="r", zarr_format=3), expected)


@named("int16", slow=("compressed", "mosaic"))
def test_icechunk_gets_what_virtualizarr_writes(name: str, made: Any, tmp_path: Path) -> None:
    expected = oracle(BY_NAME[name], made(name))
    virtual = DKISTParser()(str(made(name) / "parquet"), registry()).to_virtual_dataset()
    repo = repository(tmp_path / "repo", made(name))
    session = repo.writable_session("main")
    virtual.vz.to_icechunk(session.store)
    session.commit("frames")
    check(zarr.open_group(repo.readonly_session("main").store, mode="r"), expected)


@named("compressed", slow=("int16", "mosaic"))
def test_kerchunk_gets_what_virtualizarr_writes(name: str, made: Any, tmp_path: Path) -> None:
    expected = oracle(BY_NAME[name], made(name))
    parser = DKISTParser(partial_reads=False)
    virtual = parser(str(made(name) / "json"), registry()).to_virtual_dataset()
    virtual.vz.to_kerchunk(str(tmp_path / "again.json"), format="json")
    virtual.vz.to_kerchunk(str(tmp_path / "again.parq"), format="parquet")
    for again in ("again.json", "again.parq"):
        place = str(tmp_path / again)
        with xr.open_dataset(place, engine="kerchunk", mask_and_scale=False) as opened:
            check({name: opened[name].values for name in expected}, expected)


if "zarr_format" in inspect.signature(VirtualiZarrDatasetAccessor.to_kerchunk).parameters:

    def test_zarr_v3_in_kerchunk_keeps_the_codec(made: Any, tmp_path: Path) -> None:
        expected = oracle(BY_NAME["compressed"], made("compressed"))["data"]
        parsed = DKISTParser()(str(made("compressed") / "json"), registry())
        place = tmp_path / "v3.json"
        parsed.to_virtual_dataset().vz.to_kerchunk(str(place), format="json", zarr_format=3)
        files = fsspec.filesystem("reference", fo=str(place), asynchronous=True)
        theirs = zarr.open_group(zarr.storage.FsspecStore(files, read_only=True), mode="r")
        for group in (theirs, dv.open_zarr(place)):
            data: Any = group["data"]
            np.testing.assert_array_equal(data[1], expected[1])
            np.testing.assert_array_equal(data[0, 2, 3:5, 2], expected[0, 2, 3:5, 2])


def test_kerchunk_refuses_to_leave_the_codec_out(made: Any, tmp_path: Path) -> None:
    """VirtualiZarr would: frames would be read as if their bytes were the pixels."""
    virtual = DKISTParser()(str(made("compressed") / "json"), registry()).to_virtual_dataset()
    with pytest.raises(NotImplementedError, match="partial_reads=False"):
        virtual.vz.to_kerchunk(str(tmp_path / "again.json"), format="json")
    assert not list(tmp_path.iterdir())


def test_a_frame_that_is_not_there_is_named(made: Any) -> None:
    with pytest.raises(dv.errors.FrameMissingError, match=r"data/0\.1\.0\.0: .*frame_01\.fits"):
        DKISTParser()(str(made("half") / "json"), registry())


def test_a_store_on_a_server_is_read_with_the_registry(made: Any, tmp_path: Path) -> None:
    directory = made("compressed")
    expected = oracle(BY_NAME["compressed"], directory)["data"]
    with FrameServer(directory).running() as server:
        store = HTTPStore(server.url, client_options={"allow_http": True})
        at = ObjectStoreRegistry({server.url: store})
        for form in ("json", "parquet"):
            with pytest.raises(
                dv.errors.FrameRefusedError, match=r"data/0\.0\.0\.0: .*allow_local"
            ):
                DKISTParser()(f"{server.url}/{form}", at)
            parsed = DKISTParser(frames=server.url)(f"{server.url}/{form}", at)
            data: Any = zarr.open_group(parsed, mode="r", zarr_format=3)["data"]
            server.forget()
            np.testing.assert_array_equal(data[1, 2, 3:5, 2:4], expected[1, 2, 3:5, 2:4])
            assert {path for _, path, *_ in server.requests} == {"frame_05.fits"}
            assert all(first is not None for _, _, first, _ in server.requests)
        with pytest.raises(dv.errors.StoreError, match="no object store is registered"):
            DKISTParser()(f"{server.url}/json", registry())


def test_addresses_that_others_read_differently_are_refused(made: Any, tmp_path: Path) -> None:
    shutil.copytree(made("int16"), tmp_path / "a#b")
    parser = DKISTParser(frames=tmp_path / "a#b")
    with pytest.raises(dv.errors.FrameRefusedError, match=r"data/0\.0\.0: .*without them"):
        parser(str(made("int16") / "json"), registry())


@named("compressed", slow=("mosaic",))
def test_an_asdf_needs_no_store(name: str, made: Any) -> None:
    parsed = DKISTParser()(str(made(name)), registry())
    check(zarr.open_group(parsed, mode="r"), oracle(BY_NAME[name], made(name)))


def test_attributes_say_what_the_arrays_are(made: Any) -> None:
    from virtualizarr import open_virtual_dataset

    place = made("compressed") / "json"
    opened = open_virtual_dataset(str(place), registry=registry(), parser=DKISTParser())
    ours = dv.open_zarr(place)["data"]
    assert opened["data"].dims == ours.metadata.dimension_names
    assert {**opened["data"].attrs, "_ARRAY_DIMENSIONS": list(opened["data"].dims)} == ours.attrs
    assert opened.attrs["dkist_virtual_source"]["place"] == str(place)


def test_what_is_no_store_is_named(made: Any, tmp_path: Path) -> None:
    (tmp_path / "image.fits").write_bytes(b"SIMPLE")
    with pytest.raises(dv.errors.StoreMissingError, match=r"image\.fits"):
        DKISTParser()(str(tmp_path / "image.fits"), registry())
    with pytest.raises(dv.errors.StoreMissingError, match="no store here"):
        DKISTParser()(str(tmp_path), registry())
    for wrong in ({"partial_reads": 1}, {"missing": "no"}, {"allow_local": 2}, {"hdu": 1}):
        with pytest.raises((TypeError, ValueError), match=next(iter(wrong))):
            DKISTParser(**wrong)  # type: ignore[arg-type]


@pytest.mark.slow
def test_an_inversion_in_a_bucket_is_read_with_the_registry(tmp_path: Path) -> None:
    """All arrays of a level 2 inversion, whose frames are HDUs of the same files."""
    import boto3
    from inversions import make_inversion
    from moto.server import ThreadedMotoServer
    from obstore.store import S3Store

    made = make_inversion(tmp_path / "frames", tmp_path, compressed=True)
    dv.convert(made.asdf, tmp_path / "store", base="s3://parsed/frames", frames=tmp_path / "frames")
    moto = ThreadedMotoServer(port=0)
    moto.start()
    try:
        url = "http://{}:{}".format(*moto.get_host_and_port())
        keys = {"aws_access_key_id": "a", "aws_secret_access_key": "b"}
        client = boto3.client("s3", endpoint_url=url, region_name="us-east-1", **keys)
        client.create_bucket(Bucket="parsed")
        for part in ("frames", "store"):
            for path in (tmp_path / part).rglob("*"):
                if path.is_file():
                    name = path.relative_to(tmp_path).as_posix()
                    client.put_object(Bucket="parsed", Key=name, Body=path.read_bytes())
        store = S3Store(
            "parsed", endpoint=url, region="us-east-1", access_key_id="a", secret_access_key="b",
            client_options={"allow_http": True},
        )  # fmt: skip
        at = ObjectStoreRegistry({"s3://parsed": store})
        parsed = DKISTParser()("s3://parsed/store", at)
        group = zarr.open_group(parsed, mode="r", zarr_format=3)
        assert len(set(group)) == len(made.pixels)
        for name in group:
            array: Any = group[name]
            expected = made.pixels[array.attrs["key"]]
            np.testing.assert_array_equal(array[...], expected.reshape(array.shape))
        assert parsed.to_virtual_dataset().sizes
        with pytest.raises(dv.errors.StoreMissingError):
            DKISTParser()("s3://parsed/nothing", at)
    finally:
        moto.stop()

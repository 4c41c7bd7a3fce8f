"""Read frames from a server: what is fetched, and which error a fault becomes."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dask
import numpy as np
import pytest
from astropy.io import fits
from frames import compressed, scene

import dkist_virtual as dv
from dkist_virtual.demo.server import FrameServer, no_fault
from dkist_virtual.errors import (
    FrameCorruptError,
    FrameError,
    FrameMissingError,
    FrameUnreachableError,
    MissingFramesWarning,
    StoreCorruptError,
    StoreError,
)
from dkist_virtual.io.byte_range import Request
from dkist_virtual.io.fetcher import Fetcher

SLOW = 0.03


pytestmark = pytest.mark.usefixtures("quick_retries")


@pytest.fixture(scope="module")
def served(simulated: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FrameServer]:
    """A dataset's directory with a store beside its frames, on a server."""
    import shutil

    directory = tmp_path_factory.mktemp("served")
    shutil.copytree(simulated("cryonirsp"), directory / "frames")
    with FrameServer(directory).running() as server:
        for name, how in (("json", "json"), ("parquet", "parquet")):
            dv.convert(
                directory / "frames", directory / f"{name}.virtual", references=how,
                base=f"{server.url}/frames", frames=directory / "frames", progress=False,
            )  # fmt: skip
        yield server


@pytest.fixture(scope="module")
def pixels(converted: Callable[[str], Path]) -> Any:
    return dv.open_dataset(converted("cryonirsp")).data.compute()


def frames_asked(server: FrameServer) -> list[tuple[str, str, int | None, int]]:
    return [entry for entry in server.requests if entry[1].endswith(".fits")]


def same(one: Any, other: Any) -> bool:
    return bool(np.array_equal(one, other, equal_nan=True))


# A store on a server --------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["json", "parquet"])
def test_opening_asks_for_the_stores_own_files_alone(form: str, server: FrameServer) -> None:
    ds = dv.open_dataset(f"{server.url}/{form}.virtual/")
    assert isinstance(ds, dv.Dataset)
    asked = {path for _, path, *_ in server.requests}
    place = f"{form}.virtual"
    both = {f"{place}/references.json", f"{place}/references.parq/.zmetadata"}
    assert asked == {*both, f"{place}/dataset.asdf", f"{place}/verify.json"}
    assert len(server.requests) == 4
    server.forget()
    str(ds), repr(ds[0]), ds[0, 1].files.names, ds[0, 1].data
    assert not frames_asked(server)
    ds = dv.open_dataset(f"{server.url}/{form}.virtual/")
    server.forget()
    assert len(ds[0, 1].headers) == 3
    assert {path for _, path, *_ in server.requests} == {f"{place}/headers.parquet"}
    file = server.directory / place / "headers.parquet"
    assert len(server.requests) <= 2
    assert server.sent <= file.stat().st_size + 2**16


@pytest.mark.parametrize("form", ["json", "parquet"])
def test_pixels_are_those_of_the_disk(form: str, server: FrameServer, pixels: Any) -> None:
    ds = dv.open_dataset(f"{server.url}/{form}.virtual")
    assert isinstance(ds, dv.Dataset)
    assert same(ds.data.compute(), pixels)
    assert same(ds[1, :, 2, 3:9, 4].data.compute(), pixels[1, :, 2, 3:9, 4])
    group = dv.open_zarr(f"{server.url}/{form}.virtual")
    assert same(group["data"][2, 1], pixels[2, 1])


def test_a_parquet_shard_is_asked_for_when_one_of_its_frames_is_read(server: FrameServer) -> None:
    ds = dv.open_dataset(f"{server.url}/parquet.virtual")
    assert isinstance(ds, dv.Dataset)
    assert not any(path.endswith(".parq") for _, path, *_ in server.requests)
    ds[0, 1].data  # noqa: B018  # whose name says which shard it is of: by one byte
    sent = [n for _, path, _, n in server.requests if path.endswith(".parq")]
    assert sent == [1]
    ds[0, 1].data.compute()
    shards = [path for _, path, *_ in server.requests if path.endswith(".parq")]
    assert shards == ["parquet.virtual/references.parq/data/refs.0.parq"] * 2


def test_an_unreadable_file_of_the_store_is_never_fill_value(
    server: FrameServer, tmp_path: Path
) -> None:
    server.fault = lambda path, n: 500 if path.endswith("0.parq") else None
    ds = dv.open_dataset(f"{server.url}/parquet.virtual", missing="nan")
    with pytest.raises(StoreError, match=r"refs\.0\.parq.*500"):
        ds.data.compute()
    server.fault = lambda path, n: 404 if path.endswith("0.parq") else None
    ds = dv.open_dataset(f"{server.url}/parquet.virtual", missing="nan")
    with pytest.raises(StoreCorruptError, match=r"refs\.0\.parq"):
        ds.data.compute()
    server.fault = lambda path, n: 403 if path.endswith("json") else None
    with pytest.raises(StoreError, match=r"references\.json.*403"):
        dv.open_dataset(f"{server.url}/json.virtual")


# What a read fetches --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[FrameServer, Path, Any]]:
    """64 frames of ViSP's size on a slow server, and their store on this disk."""
    import asdf
    import gwcs.coordinate_frames as cf
    from astropy import units as u
    from astropy.modeling.models import Scale
    from astropy.table import Table
    from gwcs import WCS

    directory = tmp_path_factory.mktemp("large")
    n = 64
    shape = (1, 1000, 2560)
    (directory / "data").mkdir()
    frame = compressed(scene(shape, "f4", seed=2), tile=(1, 1, 2560))
    (directory / "data" / "0.fits").write_bytes(frame)
    for i in range(1, n):
        os.link(directory / "data" / "0.fits", directory / "data" / f"{i}.fits")
    pixel = cf.CoordinateFrame(
        3, ["PIXEL"] * 3, (0, 1, 2), unit=[u.pix] * 3, axes_names=("x", "y", "frame")
    )
    world = cf.CoordinateFrame(3, ["SPATIAL"] * 3, (0, 1, 2), unit=[u.m] * 3, name="world")
    node = {
        "fileuris": [f"{i}.fits" for i in range(n)],
        "target": 1,
        "datatype": "float32",
        "shape": list(shape),
    }
    tree = {
        "data": asdf.tagged.TaggedDict(node, "asdf://dkist.nso.edu/tags/file_manager-1.1.0"),
        "wcs": WCS(
            forward_transform=Scale(1.0) & Scale(1.0) & Scale(1.0),
            input_frame=pixel,
            output_frame=world,
        ),
        "unit": u.ct,
        "meta": {"headers": Table({"FRAME": np.arange(n)}), "inventory": {"datasetId": "LARGE"}},
    }
    tag = "asdf://dkist.nso.edu/tags/dataset-1.3.0"
    asdf.AsdfFile({"dataset": asdf.tagged.TaggedDict(tree, tag)}).write_to(
        directory / "data" / "large.asdf"
    )
    with FrameServer(directory / "data").running() as server:
        dv.convert(
            directory / "data", directory / "store",
            frames=directory / "data", base=server.url, progress=False,
        )  # fmt: skip
        server.delay = SLOW
        yield server, directory / "store", fits.getdata(directory / "data" / "0.fits", 1)[0]


def test_a_cut_out_is_two_requests_and_the_next_one_is_one(large: Any) -> None:
    server, store, whole = large
    ds = dv.open_dataset(store)
    assert isinstance(ds, dv.Dataset)
    server.forget()
    assert same(ds[5, 100:164, 200:264].data.compute(), whole[100:164, 200:264])
    assert len(server.requests) == 2
    assert server.sent <= 0.1 * (server.directory / "5.fits").stat().st_size
    server.forget()
    assert same(ds[5, 700:764, 900:964].data.compute(), whole[700:764, 900:964])
    assert len(server.requests) == 1


def test_a_whole_frame_is_one_request_for_the_hdus_bytes(large: Any) -> None:
    server, store, whole = large
    ds = dv.open_dataset(store)
    assert isinstance(ds, dv.Dataset)
    server.forget()
    assert same(ds[7].data.compute(), whole)
    _, offset, length = ds.provenance.array.handle.store.frame("data", 7)
    assert server.requests == [("GET", "7.fits", offset, length)]


def test_frames_of_a_chunk_are_asked_for_together(large: Any) -> None:
    server, store, whole = large
    ds = dv.open_dataset(store)
    assert isinstance(ds, dv.Dataset)
    server.forget()
    got = ds[:, 100:164, 200:264].data.compute()
    assert same(got, np.broadcast_to(whole[100:164, 200:264], got.shape))
    assert len(server.requests) == 2 * 64


def test_chunks_of_remote_frames_are_larger(large: Any) -> None:
    server, store, _ = large
    local = dv.open_dataset(store, frames=server.directory)
    remote = dv.open_dataset(store)
    assert isinstance(local, dv.Dataset)
    assert isinstance(remote, dv.Dataset)
    assert remote.data.chunks[0][0] == 2 * local.data.chunks[0][0]


@pytest.mark.slow
@pytest.mark.parametrize("most", [1, 5])
def test_concurrency_is_a_setting(large: Any, most: int) -> None:
    server, store, _ = large
    server.forget()
    with dask.config.set({"dkist_virtual.concurrency": most}):
        ds = dv.open_dataset(store)
        assert isinstance(ds, dv.Dataset)
        ds[:20, 100, 200].data.compute()
    assert server.busiest == most
    assert len(server.requests) == 40


# Faults ---------------------------------------------------------------------------------------


def opened(server: FrameServer, **how: Any) -> dv.Dataset:
    ds = dv.open_dataset(server.directory / "json.virtual", **how)
    assert isinstance(ds, dv.Dataset)
    return ds


READS = {"a frame": (1, 0, 2), "part of a frame": (1, 0, 2, slice(4, 9), 3), "a few": (1, 0)}
TRANSIENT = {"500": 500, "503": 503, "dropped": "drop", "cut short": "cut"}


@pytest.mark.parametrize("missing", ["raise", "nan"])
@pytest.mark.parametrize("fault", TRANSIENT)
@pytest.mark.parametrize("read", READS)
def test_a_fault_that_passes_is_asked_again(
    read: str, fault: str, missing: str, server: FrameServer, pixels: Any
) -> None:
    ds = opened(server, missing=missing)
    server.fault = lambda path, n: TRANSIENT[fault] if n < 2 else None
    assert same(ds[READS[read]].data.compute(), pixels[READS[read]])


@pytest.mark.parametrize("missing", ["raise", "nan"])
@pytest.mark.parametrize("fault", [*TRANSIENT, "401", "403", "418"])
@pytest.mark.parametrize("read", READS)
def test_a_fault_that_stays_is_unreachable_and_never_nan(
    read: str, fault: str, missing: str, server: FrameServer
) -> None:
    ds = opened(server, missing=missing)
    server.fault = lambda path, n: TRANSIENT.get(fault) or int(fault)
    with pytest.raises(FrameUnreachableError) as raised:
        ds[READS[read]].data.compute()
    text = str(raised.value)
    assert "data/1.0." in text
    assert f"{server.url}/frames/" in text
    assert "bytes " in text
    if fault.isdecimal():
        assert fault in text
    asked = {path: n + 1 for path, n in server._counts.items() if path.endswith(".fits")}
    # No is no. (Where a server closes a connection, aiohttp itself may ask a second time.)
    assert max(asked.values()) <= (10 if fault in TRANSIENT else 1)
    assert min(asked.values()) == 1 or fault in TRANSIENT


@pytest.mark.parametrize("status", [404, 410])
@pytest.mark.parametrize("read", READS)
def test_absent_is_what_the_server_says_is_absent(
    read: str, status: int, server: FrameServer, pixels: Any
) -> None:
    server.fault = lambda path, n: status
    with pytest.raises(FrameMissingError, match=r"[Gg]et the files?"):
        opened(server)[READS[read]].data.compute()
    with pytest.warns(MissingFramesWarning, match="every pixel is NaN"):
        got = opened(server, missing="nan")[READS[read]].data.compute()
    assert got.shape == pixels[READS[read]].shape
    assert np.isnan(got).all()


@pytest.mark.parametrize("read", READS)
def test_a_server_without_ranges_sends_everything_and_the_right_bytes_are_taken(
    read: str, server: FrameServer, pixels: Any
) -> None:
    ds = opened(server)
    server.fault = lambda path, n: "no ranges"
    assert same(ds[READS[read]].data.compute(), pixels[READS[read]])


@pytest.mark.parametrize("missing", ["raise", "nan"])
@pytest.mark.parametrize("change", ["longer", "shorter", "empty", "another frame's"])
@pytest.mark.parametrize("read", READS)
def test_another_file_than_was_scanned_is_corrupt(
    read: str, change: str, missing: str, server: FrameServer, tmp_path: Path
) -> None:
    ds = opened(server, missing=missing)
    files = [server.directory / "frames" / str(name) for name in ds[READS[read]].files.names]
    before = {file: file.read_bytes() for file in files}
    try:
        for file, data in before.items():
            file.write_bytes(
                {
                    "longer": data + b"x",
                    "shorter": data[:-2880],
                    "empty": b"",
                    "another frame's": compressed(scene((34, 52), "f8", seed=1), tile=(1, 52)),
                }[change]
            )
        with pytest.raises(FrameCorruptError, match=f"data/1.0.*{server.url}"):
            ds[READS[read]].data.compute()
    finally:
        for file, data in before.items():
            file.write_bytes(data)


def test_no_server_is_unreachable(server: FrameServer) -> None:
    ds = opened(server, frames="http://127.0.0.1:1/frames", missing="nan")
    with pytest.raises(FrameUnreachableError, match=r"data/0\.0\.0.*127\.0\.0\.1:1.*5 times"):
        ds[0, 0, 0].data.compute()


def test_a_server_that_never_answers_is_unreachable(server: FrameServer) -> None:
    server.delay = 2
    settings = {"dkist_virtual.timeout": 0.05, "dkist_virtual.retries": 1}
    with dask.config.set(settings), pytest.raises(FrameUnreachableError, match="2 times"):
        opened(server)[0, 0, 0].data.compute()


@pytest.mark.slow
def test_thousands_of_reads_with_faults_at_random(server: FrameServer, pixels: Any) -> None:
    chance = random.Random(5)
    faults = [None] * 12 + [500, 503, "drop", "cut", "no ranges", 403, 404]
    server.fault = lambda path, n: chance.choice(faults)
    ds = opened(server)
    right = wrong = 0
    with dask.config.set({"dkist_virtual.retries": 1}):
        for _ in range(3000):
            index: tuple[Any, ...] = tuple(chance.randrange(n) for n in pixels.shape[:3])
            if chance.random() < 0.5:
                first = chance.randrange(34)
                index += (slice(first, first + 1 + chance.randrange(34 - first)),)
            try:
                got = ds[index].data.compute()
            except (FrameMissingError, FrameUnreachableError):
                wrong += 1
            else:
                right += 1
                assert same(got, pixels[index])
    assert right > 1000
    assert wrong > 100


# Several places -------------------------------------------------------------------------------


def test_frames_on_the_disk_are_not_fetched(
    server: FrameServer, pixels: Any, tmp_path: Path
) -> None:
    here = tmp_path / "here"
    there = f"{server.url}/frames"
    ds = opened(server, frames=[here, there])
    chosen = ds[0]
    names = chosen.files.names
    assert chosen.files.where() == [there] * 6
    here.mkdir()
    for name in names[:4]:
        (here / str(name)).write_bytes((server.directory / "frames" / str(name)).read_bytes())
    assert chosen.files.where() == [there] * 6  # looked up once
    chosen.files.refresh()
    assert chosen.files.where() == [str(here)] * 4 + [there] * 2
    assert chosen.files.missing() == []
    assert chosen.files.urls[0] == str(here / str(names[0]))
    server.forget()
    assert same(chosen.data.compute(), pixels[0])
    assert {path for _, path, *_ in server.requests} == {f"frames/{name}" for name in names[4:]}
    # A file that is gone again is fetched, whatever was looked up.
    (here / str(names[0])).unlink()
    assert same(chosen[0, 0].data.compute(), pixels[0, 0, 0])


def test_presence_is_looked_up_once_for_a_directory(
    server: FrameServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ds = opened(server, frames=[tmp_path, f"{server.url}/frames"])
    looked: list[Any] = []
    listdir = os.listdir
    monkeypatch.setattr(os, "listdir", lambda place: looked.append(place) or listdir(place))
    ds.data.compute()
    assert looked == [str(tmp_path)]


def test_frames_that_are_nowhere(server: FrameServer, tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    ds = opened(server, frames=[tmp_path / "one", tmp_path / "two"])
    assert ds[0, 0].files.where() == [None] * 3
    assert ds[0, 0].files.missing() == ds[0, 0].files.names
    with pytest.raises(FrameMissingError, match="3 of the 3 frames selected"):
        ds[0, 0].data.compute()
    with pytest.raises(ValueError, match="frames is an empty list"):
        opened(server, frames=[])


# From the ASDF alone, and conversion ----------------------------------------------------------


@pytest.mark.slow
def test_from_a_remote_asdf(server: FrameServer, pixels: Any) -> None:
    ds = dv.Dataset.from_asdf(f"{server.url}/frames/cryonirsp.asdf")
    assert {path for _, path, *_ in server.requests} == {"frames/cryonirsp.asdf"}
    assert same(ds[0, 0].data.compute(), pixels[0, 0])
    # The layout of a frame that was seen is kept.
    assert same(ds[1, 1, 1, 3:5].data.compute(), pixels[1, 1, 1, 3:5])
    server.forget()
    assert same(ds[1, 1, 1, 9:12].data.compute(), pixels[1, 1, 1, 9:12])
    assert len(server.requests) == 1
    assert same(dv.open_dataset(f"{server.url}/frames/cryonirsp.asdf")[2].data.compute(), pixels[2])
    with pytest.raises(dv.errors.DatasetError, match=r"nothing\.asdf: no such file"):
        dv.Dataset.from_asdf(f"{server.url}/nothing.asdf")


def test_frames_on_a_server_are_scanned_with_one_request_each(
    server: FrameServer, pixels: Any, tmp_path: Path
) -> None:
    done = dv.convert(
        f"{server.url}/frames/cryonirsp.asdf", tmp_path / "store", scan="always", progress=False
    )
    assert done.n_scanned == 24
    asked = frames_asked(server)
    assert len(asked) == 24
    assert all(start == 0 and n <= 17 * 2880 for _, _, start, n in asked)
    server.forget()
    ds = dv.open_dataset(tmp_path / "store")
    assert isinstance(ds, dv.Dataset)
    assert ds.files.nbytes == sum(
        f.stat().st_size for f in (server.directory / "frames").glob("*.fits")
    )
    assert not server.requests
    assert same(ds.data.compute(), pixels)


def test_an_unreachable_frame_is_no_absent_one_for_a_scan(
    server: FrameServer, tmp_path: Path
) -> None:
    names = sorted(path.name for path in (server.directory / "frames").glob("*.fits"))
    bad = {f"frames/{names[0]}": 403, f"frames/{names[1]}": 404}
    server.fault = lambda path, n: bad.get(path)
    done = dv.convert(f"{server.url}/frames/cryonirsp.asdf", tmp_path / "store", progress=False)
    assert (done.n_scanned, done.n_absent, done.n_unreachable) == (22, 1, 1)
    with pytest.raises((FrameUnreachableError, FrameMissingError)):
        dv.convert(
            f"{server.url}/frames/cryonirsp.asdf", tmp_path / "all", scan="always", progress=False
        )
    assert not (tmp_path / "all").exists()


# Credentials ----------------------------------------------------------------------------------


def test_credentials_go_where_they_were_meant_for(server: FrameServer, tmp_path: Path) -> None:
    secret = "Bearer s3cret"
    options = {f"{server.url}/frames": {"headers": {"Authorization": secret}}}
    ds = dv.open_dataset(f"{server.url}/json.virtual", storage_options=options)
    ds[0, 0, 0].data.compute()
    for (_, path, *_), headers in zip(server.requests, server.headers, strict=True):
        assert headers.get("Authorization") == (secret if path.startswith("frames/") else None)
    assert frames_asked(server)
    dv.convert(
        f"{server.url}/frames/cryonirsp.asdf", tmp_path / "store", storage_options=options,
        progress=False,
    )  # fmt: skip
    for file in (tmp_path / "store").rglob("*"):
        if file.is_file():
            assert b"s3cret" not in file.read_bytes()
    server.fault = lambda path, n: 403
    with pytest.raises(FrameUnreachableError) as raised:
        ds[0, 0, 1].data.compute()
    assert "s3cret" not in str(raised.value)


@pytest.mark.parametrize(
    "options",
    [
        {"https": {"headers": {"Authorization": "x"}}},
        {"https": {"client_kwargs": {"auth": "x"}}},
        {"s3": {"key": "a", "secret": "b"}},
    ],
)
def test_credentials_for_every_server_are_refused(options: Any) -> None:
    with pytest.raises(ValueError, match="say whom it is for"):
        Fetcher(options)


def test_a_prefix_ends_at_a_slash() -> None:
    fetcher = Fetcher({"https://a.org/data": {"headers": {"X": "1"}}})
    assert fetcher.options("https://a.org/data/1.fits")
    assert fetcher.options("https://a.org/data")
    assert not fetcher.options("https://a.org/data2/1.fits")
    assert not fetcher.options("https://a.org.example.com/data/1.fits")
    assert not fetcher.options("http://a.org/data/1.fits")


# Other doors ----------------------------------------------------------------------------------


def test_zarr_and_dask_raise_the_same_errors(server: FrameServer) -> None:
    server.fault = lambda path, n: 403 if path.endswith(".fits") else None
    group = dv.open_zarr(server.directory / "json.virtual", missing="nan")
    with pytest.raises(FrameError, match="403"):
        group["data"][0, 0, 0]
    ds = opened(server, chunks="frame")
    with pytest.raises(FrameUnreachableError, match="403"):
        (ds.data + 1).compute(scheduler="threads")


# S3 -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def bucket(simulated: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """The dataset's frames in a bucket of moto's server, and the options that reach it."""
    import boto3
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    known = {"key": "k", "secret": "s", "client_kwargs": {"region_name": "us-east-1"}}
    options = {"s3://sun": {**known, "endpoint_url": f"http://{host}:{port}"}}
    client = boto3.client(
        "s3", endpoint_url=f"http://{host}:{port}", region_name="us-east-1",
        aws_access_key_id="k", aws_secret_access_key="s",
    )  # fmt: skip
    client.create_bucket(Bucket="sun")
    for file in simulated("cryonirsp").iterdir():
        client.put_object(Bucket="sun", Key=f"raw/{file.name}", Body=file.read_bytes())
    yield "s3://sun/raw", options
    server.stop()


@pytest.mark.slow
def test_a_bucket(bucket: Any, pixels: Any, tmp_path: Path) -> None:
    place, options = bucket
    done = dv.convert(
        f"{place}/cryonirsp.asdf", tmp_path / "store", storage_options=options, progress=False
    )
    assert done.n_scanned == 24
    ds = dv.open_dataset(tmp_path / "store", storage_options=options)
    assert isinstance(ds, dv.Dataset)
    assert same(ds[0].data.compute(), pixels[0])
    assert same(ds[1, 1, 1, 3:5, 2:9].data.compute(), pixels[1, 1, 1, 3:5, 2:9])
    alone = dv.Dataset.from_asdf(f"{place}/cryonirsp.asdf", storage_options=options)
    assert same(alone[2, 1, 1].data.compute(), pixels[2, 1, 1])


def test_what_a_bucket_says(bucket: Any) -> None:
    place, options = bucket
    fetcher = Fetcher({**options, "s3://nowhere": options["s3://sun"]})
    with pytest.raises(FrameMissingError, match="no such key"):
        fetcher.read(f"{place}/other.fits")
    with pytest.raises(FrameUnreachableError, match="no bucket 'nowhere'"):
        fetcher.read("s3://nowhere/a.fits")
    with pytest.raises(FrameCorruptError, match="shorter"):
        fetcher.read(f"{place}/cryonirsp.asdf", 10**9, 10)
    reply = fetcher.answer(Request.head(f"{place}/cryonirsp.asdf", 10))
    assert reply.data == fetcher.read(f"{place}/cryonirsp.asdf")[:10]
    assert reply.total == len(fetcher.read(f"{place}/cryonirsp.asdf"))


# A cache on the disk --------------------------------------------------------------------------


def test_what_is_in_the_cache_is_not_fetched_again(
    server: FrameServer, pixels: Any, tmp_path: Path
) -> None:
    index = (slice(None), 1, 1, slice(3, 8), 4)
    ds = opened(server, cache=tmp_path / "cache")
    assert same(ds[index].data.compute(), pixels[index])
    assert same(ds[1, 1, 1].data.compute(), pixels[1, 1, 1])
    server.forget()
    again = opened(server, cache=tmp_path / "cache")
    assert same(again[index].data.compute(), pixels[index])
    # One byte of each answer says that the file is the same still.
    assert {n for *_, n in server.requests} == {1}
    server.fault = lambda path, n: "drop"
    assert same(opened(server, cache=tmp_path / "cache")[index].data.compute(), pixels[index])


@pytest.mark.parametrize(("fault", "error"), [
    (403, FrameUnreachableError), (500, FrameUnreachableError), ("drop", FrameUnreachableError),
    (404, FrameMissingError),
])  # fmt: skip
def test_a_fault_stays_one_through_a_cache(
    fault: Any, error: type[FrameError], server: FrameServer, tmp_path: Path
) -> None:
    ds = opened(server, cache=tmp_path / "cache")
    server.fault = lambda path, n: fault
    with pytest.raises(error):
        ds[0, 0, 0].data.compute()


@pytest.mark.parametrize("missing", ["raise", "nan"])
def test_what_a_server_said_it_lacks_is_missing_until_refreshed(
    missing: str, server: FrameServer
) -> None:
    ds = opened(server, missing=missing)[1, 0]
    assert ds.files.missing() == []
    server.fault = lambda path, n: 404
    if missing == "raise":
        with pytest.raises(FrameMissingError, match="3 of the 3 frames selected are absent"):
            ds.data.compute()
    else:
        with pytest.warns(MissingFramesWarning, match="all 3 frames selected are absent"):
            assert np.isnan(ds.data.compute()).all()
    assert ds.files.missing() == ds.files.names
    assert ds.files.where() == [None] * 3
    server.fault = no_fault
    ds.data.compute()  # asked again all the same
    ds.files.refresh()
    assert ds.files.missing() == []


def test_places_are_named_in_their_order(server: FrameServer, tmp_path: Path) -> None:
    place = f"{server.url}/frames"
    assert opened(server).files.places == [place]
    ds = opened(server, frames=[tmp_path / "a", place, tmp_path])
    assert ds.files.places == [str(tmp_path / "a"), place, str(tmp_path)]
    assert f"frames in      {tmp_path / 'a'}, then {place}, then {tmp_path}\n" in str(ds)
    assert ds.overview().as_json()["further_places"] == [place, str(tmp_path)]
    ds[0, 0, 0].download(tmp_path)
    assert ds.files.places == [str(tmp_path), str(tmp_path / "a"), place]
    assert ds.files.basepath == tmp_path


@pytest.mark.parametrize("cache", ["https://example.org/cache", "s3://bucket"])
def test_a_cache_on_another_machine_is_refused(cache: str, server: FrameServer) -> None:
    with pytest.raises(ValueError, match=f"cache = '{cache}': expected a directory on this"):
        opened(server, cache=cache)
    with pytest.raises(ValueError, match=f"cache = '{cache}'"):
        dv.open_zarr(server.directory / "json.virtual", cache=cache)


@pytest.mark.parametrize("options", [{"headers": {"Authorization": "x"}}, {"https": 3}])
def test_options_for_no_place_are_refused(options: Any, server: FrameServer) -> None:
    with pytest.raises((ValueError, TypeError), match=r"storage_options\['(headers|https)'\]"):
        opened(server, storage_options=options)


@pytest.mark.parametrize(("name", "value"), [("retries", -1), ("timeout", "30s")])
def test_a_setting_that_is_no_number_is_named(name: str, value: Any, server: FrameServer) -> None:
    with (
        dask.config.set({f"dkist_virtual.{name}": value}),
        pytest.raises(ValueError, match=f"dkist_virtual.{name} is {value!r}"),
    ):
        opened(server)[1, 0, 2].data.compute()


def test_chunks_of_no_kind_are_refused(server: FrameServer) -> None:
    with pytest.raises(ValueError, match="'frames': expected 'auto', 'frame'"):
        opened(server, chunks="frames").data  # noqa: B018

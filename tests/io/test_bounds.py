"""Every read has a bound that is known before, whatever a server sends."""

from __future__ import annotations

import bz2
import gzip
import io
import shutil
import struct
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import asdf
import dask
import numpy as np
import pytest
from aiohttp import web
from samples import mostly_slow
from watches import little_memory

import dkist_virtual as dv
from dkist_virtual import errors as e
from dkist_virtual.demo.server import FrameServer
from dkist_virtual.fits.file_check import Checked
from dkist_virtual.io.asdf_blocks import IN_ASDFS, check_block
from dkist_virtual.io.download.download import Item, download
from dkist_virtual.io.fetcher import Fetcher

PIECE = bytes(2**20)


@pytest.fixture(autouse=True)
def few_retries(quick_retries: None) -> Iterator[None]:
    with dask.config.set({"dkist_virtual.retries": 0}):
        yield


@pytest.fixture(scope="module")
def original(original: Path) -> Path:
    dv.verify(original / "json.virtual")
    return original


class Endless(FrameServer):
    """For some files, more bytes than anybody asked for, as long as the connection is open.

    Attributes
    ----------
    ends : tuple of str
        How the names of those files end.
    headers_of : dict
        What their answers say besides.
    """

    ends: tuple[str, ...]
    said: dict[str, str]
    status = 200
    n = 0

    async def answer(self, request: web.Request) -> web.StreamResponse:
        if not request.path.endswith(self.ends):
            return await super().answer(request)
        response = web.StreamResponse(status=self.status, headers=self.said)
        await response.prepare(request)
        with suppress(ConnectionError):
            while self.n < 2**32:
                await response.write(PIECE)
                self.n += len(PIECE)
        return response


@contextmanager
def endless(directory: Path, *ends: str, **said: str) -> Iterator[Endless]:
    server = Endless(directory)
    server.ends, server.said = ends, {key.replace("_", "-"): value for key, value in said.items()}
    with server.running():
        yield server


def first(ds: Any) -> Any:
    return ds[(0,) * (len(ds.shape) - 2)].data.compute()


def read_all_of(place: str, frames: Path) -> None:
    ds = dv.open_dataset(place, frames=frames)
    ds.headers.columns  # noqa: B018
    first(ds)


STORE_FILES = [
    "references.json", ".zmetadata", "refs.0.parq", "dataset.asdf", "headers.parquet",
    "verify.json",
]  # fmt: skip


@pytest.mark.parametrize("name", STORE_FILES)
def test_a_file_of_a_store_that_has_no_end(name: str, original: Path) -> None:
    form = "parquet" if name in (".zmetadata", "refs.0.parq") else "json"
    with (
        endless(original, name) as server,
        little_memory(),
        dask.config.set({"dkist_virtual.largest_file": 2**24}),
    ):
        place = f"{server.url}/{form}.virtual"
        if name == "verify.json":  # of no meaning to a reader
            dv.open_dataset(place)
            return
        with pytest.raises(e.StoreError, match=name.replace(".", r"\.")):
            read_all_of(place, original / "frames")
        assert server.n < 2**28


def test_without_a_setting_the_bound_is_one_of_ours(original: Path) -> None:
    with endless(original, *STORE_FILES) as server, little_memory():
        with pytest.raises(e.StoreError, match="largest_file"):
            dv.open_dataset(f"{server.url}/json.virtual")
        assert server.n < 2**30


@pytest.mark.parametrize("name", ["references.json", "dataset.asdf", "0000.fits"])
def test_what_is_compressed_unasked_is_refused_or_bounded(name: str, original: Path) -> None:
    bomb = gzip.compress(bytes(2**26))

    class Server(FrameServer):
        async def answer(self, request: web.Request) -> web.StreamResponse:
            if not request.path.endswith(name):
                return await super().answer(request)
            assert request.headers["Accept-Encoding"] == "identity"
            return web.Response(body=bomb, headers={"Content-Encoding": "gzip"})

    said = "encoded as 'gzip'" if name == "0000.fits" else "more than 16777216 bytes"
    with (
        Server(original).running() as server,
        little_memory(),
        dask.config.set({"dkist_virtual.largest_file": 2**24}),
        pytest.raises(e.DKISTVirtualError, match=said),
    ):
        first(dv.open_dataset(f"{server.url}/json.virtual", frames=f"{server.url}/frames"))


@pytest.mark.slow
def test_a_range_of_a_server_that_sends_all(tmp_path: Path) -> None:
    with endless(tmp_path, "a") as server, little_memory():
        assert Fetcher().read(f"{server.url}/a", 2**28, 100) == bytes(100)
        with pytest.raises(e.FrameUnreachableError, match="as a whole"):
            Fetcher().read(f"{server.url}/a", 2**50, 100)
    with endless(tmp_path, "a", Content_Length="1000") as server:
        with pytest.raises(e.FrameCorruptError, match="shorter"):
            Fetcher().read(f"{server.url}/a", 2000, 100)
        with pytest.raises(e.FrameError):
            Fetcher().read(f"{server.url}/a", 950, 100)


@pytest.mark.parametrize("size", [63_360, -1])
@pytest.mark.parametrize("said", [{}, {"Content_Length": str(2**40)}])
def test_a_download_that_has_no_end(size: int, said: dict[str, str], tmp_path: Path) -> None:
    with endless(tmp_path, "a", **said) as server:
        item = Item("a", (f"{server.url}/a",), size, Fetcher(), Checked(0, -1), most=2**24)
        with pytest.raises(e.DownloadError, match=r"bytes"):
            download([item], tmp_path / "down")
        assert server.n < 2**27
    assert not list((tmp_path / "down").iterdir())


@pytest.mark.slow
def test_frames_of_unknown_size_have_one_that_may_be(original: Path, tmp_path: Path) -> None:
    (path,) = (original / "frames").glob("*.asdf")
    with endless(original, "0000.fits") as server, little_memory():
        ds = dv.open_dataset(path, frames=f"{server.url}/frames")
        with pytest.raises(e.FrameError):
            first(ds)
        with pytest.raises(e.DownloadError, match="1 of 8 files"):
            ds.download(tmp_path / "down")
        assert server.n < 2**29
    assert len(list((tmp_path / "down").iterdir())) == 7


def test_an_asdf_that_has_no_end(original: Path, tmp_path: Path) -> None:
    with endless(original, "a.asdf", Content_Length=str(2**40)) as server:
        for call in (
            lambda: dv.open_dataset(f"{server.url}/a.asdf"),
            lambda: dv.convert(f"{server.url}/a.asdf", tmp_path / "s"),
        ):
            with little_memory(), pytest.raises(e.DatasetError, match="more than"):
                call()
        assert server.n < 2**28


def test_a_catalogue_that_has_no_end(tmp_path: Path) -> None:
    from dkist_virtual.datacenter.catalogue import ask

    with endless(tmp_path, "v1") as server, little_memory():
        with pytest.raises(e.SearchError, match="more than"):
            ask([f"{server.url}/datasets/v1"])
        assert server.n < 2**29


# Blocks of an ASDF ------------------------------------------------------------------------------


def lz4(*sizes: int) -> bytes:
    return b"".join(struct.pack(">I", 8) + struct.pack("<I", n) + b"abcd" for n in sizes)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("how", "make"),
    [
        (b"zlib", lambda: zlib.compress(bytes(2**28), 9)),
        pytest.param(b"bzp2", lambda: bz2.compress(bytes(2**28)), marks=pytest.mark.slow),
        (b"lz4\0", lambda: lz4(2**30, 2**30)),
    ],
    ids=["zlib", "bzp2", "lz4"],
)
def test_blocks_that_come_to_more_than_they_say(how: bytes, make: Callable[[], bytes]) -> None:
    stored = make()
    with little_memory(), pytest.raises(e.StoreCorruptError, match="comes to more than"):
        check_block(how, memoryview(stored), 1000, "a", IN_ASDFS)
    for broken in (b"", b"nonsense", stored[: len(stored) // 2]):
        with suppress(e.StoreCorruptError):
            check_block(how, memoryview(broken), 2**40, "a", IN_ASDFS)
    if how != b"lz4\0":
        check_block(how, memoryview(stored), 2**28, "a", IN_ASDFS)


def with_mask(path: Path, mask: np.ndarray[Any, Any], compression: str | None) -> None:
    """The dataset's ASDF with a mask, compressed as `asdf` does."""
    with asdf.open(path, lazy_load=False, memmap=False) as file:
        tree = dict(file.tree)
        tree["extra"] = mask
        buffer = io.BytesIO()
        asdf.AsdfFile(tree).write_to(buffer, all_array_compression=compression)
    path.write_bytes(buffer.getvalue())


@pytest.mark.parametrize("compression", [None, "zlib", "bzp2"])
def test_a_store_reads_blocks_of_no_compression_but_zlib(
    compression: str | None, original: Path, tmp_path: Path
) -> None:
    store = Path(shutil.copytree(original / "json.virtual", tmp_path / "store"))
    with_mask(store / "dataset.asdf", np.arange(5000), compression)
    if compression == "bzp2":
        with pytest.raises(e.StoreCorruptError, match=r"compressed by b'bzp2'.*zlib"):
            dv.open_dataset(store)
    else:
        assert first(dv.open_dataset(store)).shape == (40, 64)


@pytest.mark.parametrize("compression", mostly_slow([None, "zlib", "bzp2"], "zlib"))
def test_a_users_asdf_may_be_compressed(
    compression: str | None, original: Path, tmp_path: Path
) -> None:
    shutil.copytree(original / "frames", tmp_path / "frames")
    (path,) = (tmp_path / "frames").glob("*.asdf")
    with_mask(path, np.arange(5000), compression)
    pixels = first(dv.open_dataset(original / "json.virtual"))
    assert np.array_equal(first(dv.open_dataset(path)), pixels, equal_nan=True)
    with FrameServer(tmp_path).running() as server:
        ds = dv.open_dataset(f"{server.url}/frames/{path.name}")
        assert np.array_equal(first(ds), pixels, equal_nan=True)
        assert len(ds.headers) == 8


@pytest.mark.slow
@pytest.mark.parametrize("compress", mostly_slow([zlib.compress, bz2.compress], zlib.compress))
@pytest.mark.parametrize("honest", mostly_slow([True, False], False))
def test_a_users_asdf_has_a_bound_too(
    honest: bool, compress: Callable[[bytes], bytes], original: Path, tmp_path: Path
) -> None:
    shutil.copytree(original / "frames", tmp_path / "frames")
    (path,) = (tmp_path / "frames").glob("*.asdf")
    how = "zlib" if compress is zlib.compress else "bzp2"
    with_mask(path, np.arange(5000), how)
    data = path.read_bytes()
    at = data.index(b"\xd3BLK")
    bomb = compress(bytes(2**29))
    says = 2**62 if honest else 8
    head = struct.pack(">HI4sQQQ16s", 48, 0, how.encode(), len(bomb), len(bomb), says, bytes(16))
    path.write_bytes(data[:at] + b"\xd3BLK" + head + bomb)
    for call in (lambda: dv.open_dataset(path), lambda: dv.convert(path, tmp_path / "s")):
        with little_memory(), pytest.raises(e.DatasetError, match=r"asks for|comes to more"):
            call()

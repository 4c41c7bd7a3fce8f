"""Read the same pixels from every kind of correct server, however it answers."""

from __future__ import annotations

import gzip
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dask
import numpy as np
import pytest
from aiohttp import web

import dkist_virtual as dv
from dkist_virtual import errors as e
from dkist_virtual.demo.server import FrameServer
from dkist_virtual.io.fetcher import Fetcher


class Service(FrameServer):
    """Answers as some services do.

    Attributes
    ----------
    kind : str
        "copies": each answer comes from another machine, whose file has an ETag and a time of its
        own; "copies by date": the same without ETags; "no length": all of a file in chunks, to GET
        alone; "packed": text as gzip, whoever asks.
    """

    kind = ""
    answered = 0

    async def answer(self, request: web.Request) -> web.StreamResponse:
        file = self.directory / request.path.lstrip("/")
        if not file.is_file():
            return web.Response(status=404)
        if self.kind == "no length":
            if request.method != "GET":
                return web.Response(status=405)
            chunked = web.StreamResponse()
            chunked.enable_chunked_encoding()
            await chunked.prepare(request)
            await chunked.write(file.read_bytes())
            return chunked
        self.answered += 1
        copy, data = self.answered % 2, file.read_bytes()
        headers = {"Last-Modified": f"Wed, 01 Jan 202{copy} 00:00:00 GMT"}
        if self.kind == "copies":
            headers["ETag"] = f'"{copy}"'
        if self.kind == "packed":
            headers = {"ETag": '"a"'}
            if "Range" not in request.headers and not file.name.endswith(".fits"):
                headers = {"ETag": 'W/"a"', "Content-Encoding": "gzip"}
                return web.Response(body=gzip.compress(data), headers=headers)
        if "Range" not in request.headers:
            return web.Response(body=data, headers=headers)
        first, last = request.headers["Range"].removeprefix("bytes=").split("-")
        part = data[int(first) : int(last) + 1 if last else None]
        headers["Content-Range"] = f"bytes {first}-{int(first) + len(part) - 1}/{len(data)}"
        return web.Response(status=206, body=part, headers=headers)


@pytest.fixture(scope="module", params=["visp_moving", "visp_plain"])
def original(
    request: Any, simulated: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    directory = tmp_path_factory.mktemp("original")
    shutil.copytree(simulated(request.param), directory / "frames")
    for how in ("json", "parquet"):
        dv.convert(directory / "frames", directory / f"{how}.virtual", references=how)  # type: ignore[arg-type]
    return directory


@pytest.mark.every(8)
@pytest.mark.parametrize("kind", ["copies", "copies by date", "no length", "packed"])
@pytest.mark.parametrize(("form", "cached"), [("json", False), ("json", True), ("parquet", False)])
def test_pixels_of_every_kind_of_server(
    kind: str, form: str, cached: bool, original: Path, tmp_path: Path
) -> None:
    expected = dv.open_dataset(original / f"{form}.virtual").data.compute()
    headers = dv.open_dataset(original / f"{form}.virtual").headers
    service = Service(original)
    service.kind = kind
    with service.running() as server:
        place = f"{server.url}/{form}.virtual"
        options: Any = {"frames": f"{server.url}/frames"}
        if cached:
            options["cache"] = tmp_path / "cache"
        ds = dv.open_dataset(place, **options)
        for _ in range(2):
            assert np.array_equal(ds.data.compute(), expected, equal_nan=True)
            for cut in (np.s_[0, 1, 5:9, 3:20], np.s_[:, :, 4:8], np.s_[1, 0, 7]):
                assert np.array_equal(ds[cut].data.compute(), expected[cut], equal_nan=True)
        assert list(ds.headers["DATE-BEG"]) == list(headers["DATE-BEG"])
        array = dv.open_zarr(place, **options)["data"]
        assert np.array_equal(array[0, 1, 5:9], expected[0, 1, 5:9], equal_nan=True)


def test_gzip_that_nobody_asked_for_has_a_bound(tmp_path: Path) -> None:
    service = Service(tmp_path)
    service.kind = "packed"
    (tmp_path / "a.json").write_bytes(bytes(2**24))
    with service.running() as server:
        assert Fetcher().read(f"{server.url}/a.json") == bytes(2**24)
        with (
            dask.config.set({"dkist_virtual.largest_file": 2**24 - 1}),
            pytest.raises(e.FrameCorruptError, match="more than"),
        ):
            Fetcher().read(f"{server.url}/a.json")


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"no gzip", "sends gzip, and this is not gzip"),
        (gzip.compress(b"text", mtime=0)[:-9], "in the middle of its gzip"),
        (b"", "in the middle of its gzip"),
    ],
    ids=["no gzip", "cut short", "nothing"],
)
def test_gzip_that_is_none_or_cut_short_is_refused(body: bytes, said: str, tmp_path: Path) -> None:
    class Broken(FrameServer):
        async def answer(self, request: web.Request) -> web.StreamResponse:
            return web.Response(body=body, headers={"Content-Encoding": "gzip"})

    settings = {"dkist_virtual.retries": 0}
    with (
        Broken(tmp_path).running() as server,
        dask.config.set(settings),
        pytest.raises(e.FrameError, match=said),
    ):
        Fetcher().read(f"{server.url}/a.json")

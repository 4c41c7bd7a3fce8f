"""Locations in every spelling that people and servers use, and the requests for each."""

from __future__ import annotations

import json
import os
import shutil
import socket
import socketserver
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import dask
import numpy as np
import pytest
from aiohttp import web
from hypothesis import given, settings
from hypothesis import strategies as st

import dkist_virtual as dv
from dkist_virtual import errors as e
from dkist_virtual.demo.server import FrameServer
from dkist_virtual.io.fetcher import Fetcher
from dkist_virtual.io.locations import (
    Location,
    absolute,
    climbs,
    is_local,
    join,
    last_name,
    local_path,
    name_below,
    shown,
)

SECRET = "s3cret"


@pytest.fixture(autouse=True)
def few_retries(quick_retries: None) -> Iterator[None]:
    with dask.config.set({"dkist_virtual.retries": 1}):
        yield


class Recording(FrameServer):
    """Serves a directory, and notes the address of each request as it came."""

    def __init__(self, directory: Path, *, query: str = "", asdf: Path | None = None) -> None:
        super().__init__(directory)
        self.query, self.asdf = query, asdf
        self.asked: list[str] = []

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(request.raw_path)
        if self.query and request.raw_path.partition("?")[2] != self.query:
            return web.Response(status=403)
        if self.asdf is not None and request.path == "/download/asdf":
            assert request.query["datasetId"] == "X"
            return web.Response(body=self.asdf.read_bytes())
        return await super().answer(request)


def first(ds: Any) -> Any:
    return ds[(0,) * (len(ds.shape) - 2)].data.compute()


# The type ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("HTTP://Host:80/a/../b/./c/..", "http://host/b/"),
        ("https://host:443?x=1", "https://host?x=1"),
        ("https://h:8443/", "https://h:8443/"),
        ("https://h/x/%2e%2E/y", "https://h/y"),
        ("https://h/%7Ea/b%2fc?s=%2F+%2b", "https://h/~a/b%2Fc?s=%2F+%2b"),
        ("https://h/a b#c%", "https://h/a%20b%23c%25"),
        ("https://h/ü?q=ü", "https://h/%C3%BC?q=%C3%BC"),
        ("https://münchen.de/", "https://xn--mnchen-3ya.de/"),
        ("http://[::1]:8000/a", "http://[::1]:8000/a"),
        ("https://u:p@H/x", "https://u:p@h/x"),
        ("https://h/../../x", "https://h/x"),
        ("S3://Bucket/Key?x#y/../z", "s3://Bucket/Key?x#y/../z"),
        ("s3://b/k?versionId=3", "s3://b/k?versionId=3"),
        ("file:///a%20b/%23", "/a b/#"),
        ("FILE://localhost/a", "/a"),
        ("file:/a", "/a"),
        ("C:\\x", "C:\\x"),
        ("/a://b?c#d", "/a://b?c#d"),
        ("simplecache::https://h/a", "simplecache::https://h/a"),
        ("globus://dkist/x", "globus://dkist/x"),
    ],
)
def test_one_spelling_of_a_place(text: str, said: str) -> None:
    location = Location.of(text)
    assert str(location) == said
    assert Location.of(str(location)) == location or location.is_local
    assert location.is_local == is_local(text)
    if location.is_local:
        assert location.path == local_path(text)


@pytest.mark.parametrize(
    "text",
    [
        "", "  ", "a\0b", "http://[::1", "https://", "https:///x", "https://h:x/", "https://h:70000",
        "https://a\\@b/", "https://a b/", "file://other/x", "https://[1.2.3.4]/",
        "https://h/x/..%2fy", "https://h/%252e%252e/x", "https://h/x\\..\\y", "https://h/..;/x",
    ],
)  # fmt: skip
def test_what_names_no_place(text: str) -> None:
    with pytest.raises(e.LocationError):
        Location.of(text)
    with pytest.raises(e.LocationError):
        absolute(text)


NAMES = st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=12).filter(
    lambda name: not climbs(name) and not set(name.split("/")) & {"", ".", ".."}
)


@settings(max_examples=300, deadline=None)
@given(NAMES, st.sampled_from(["", "?sig=a%2Fb%3D&x=/../y"]))
def test_a_name_comes_back_from_its_url(name: str, query: str) -> None:
    base = f"https://host/some%20dir{query}"
    url = join(base, name)
    assert name_below(base, url) == name
    assert Location.of(url).join("x").query == query[1:]
    assert last_name(url) == name.rpartition("/")[2]
    assert str(Location.of(url)) == url
    for place in ("/some/dir", "s3://bucket/dir", "memory://dir"):
        assert name_below(place, join(place, name)) == name


@settings(max_examples=200, deadline=None)
@given(
    st.text(max_size=30), st.sampled_from(["https://h/", "http://", "s3://", "file://", "", "/"])
)
def test_any_text_is_a_place_or_a_location_error(text: str, begin: str) -> None:
    try:
        location = Location.of(begin + text)
    except e.LocationError:
        return
    assert Location.of(str(location)) == location or location.is_local or "file:" in str(location)


def test_what_may_be_printed() -> None:
    for url in (
        f"https://ada:{SECRET}@h/a b?sig={SECRET}", f"s3://b/k?versionId={SECRET}",
        f"HTTPS://h?{SECRET}",
    ):  # fmt: skip
        assert SECRET not in shown(url)
        assert SECRET not in repr(Location.of(url))
    assert shown("/a?b") == "/a?b"


# What users give --------------------------------------------------------------------------------


@pytest.mark.parametrize("bad", ["", " "])
def test_empty_places_are_refused(bad: str, original: Path, tmp_path: Path) -> None:
    store, frames, new = original / "json.virtual", original / "frames", tmp_path / "x"
    calls: list[Callable[[], object]] = [
        lambda: dv.open_dataset(bad),
        lambda: dv.open_zarr(bad),
        lambda: dv.Dataset.from_asdf(bad),
        lambda: dv.convert(bad, new),
        lambda: dv.convert(frames, bad),
        lambda: dv.convert(frames, new, frames=bad),
        lambda: dv.convert(frames, new, base=bad),
        lambda: dv.update(bad, frames),
        lambda: dv.update(store, bad),
        lambda: dv.verify(bad),
        lambda: dv.verify(store, frames=bad),
        lambda: dv.open_dataset(store, frames=bad),
        lambda: dv.open_dataset(store, frames=[original, bad]),
        lambda: dv.open_dataset(store, cache=bad),
        lambda: dv.open_dataset(store).download(bad),
    ]
    for call in calls:
        with pytest.raises(ValueError, match="names no place"):
            call()
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
@pytest.mark.parametrize("name", ["a b", "a%20b", "a#b", "a?b", "ü", "C:\\x", "~", "a;b&c=d+e"])
def test_names_of_every_kind_on_a_disk_and_a_server(
    name: str, original: Path, tmp_path: Path
) -> None:
    place = tmp_path / name
    (place / "deep").mkdir(parents=True)
    shutil.copytree(original / "frames", place / "frames")
    pixels = first(dv.open_dataset(original / "json.virtual"))
    (asdf,) = (place / "frames").glob("*.asdf")
    for given_place in (
        place / "frames",
        asdf,
        asdf.as_uri(),
        asdf.as_uri().upper()[:4] + asdf.as_uri()[4:],
    ):
        assert np.array_equal(first(dv.open_dataset(given_place)), pixels, equal_nan=True)
    dv.convert((place / "frames").as_uri(), place / "s.virtual")
    assert np.array_equal(first(dv.open_dataset(f"{place}/s.virtual/")), pixels, equal_nan=True)
    with Recording(tmp_path).running() as server:
        url = str(Location.of(server.url).join(name))
        frames = f"{url}/frames"
        ds = dv.open_dataset(f"{url}/s.virtual", frames=frames)
        assert np.array_equal(first(ds), pixels, equal_nan=True)
        ds = dv.open_dataset(f"{frames}/{asdf.name}")
        assert np.array_equal(first(ds), pixels, equal_nan=True)
        dv.convert(asdf, tmp_path / "web.virtual", frames=frames, scan="always")
        assert np.array_equal(
            first(dv.open_dataset(tmp_path / "web.virtual")), pixels, equal_nan=True
        )


@pytest.mark.every(6)
@pytest.mark.parametrize("name", ["a b.fits", "a%20b.fits", "a#1.fits", "a?1.fits", "d e/ü+&.fits"])
def test_frames_of_every_name(name: str, original: Path, tmp_path: Path) -> None:
    """The name as it stands in the ASDF is that of the file, on a disk and on a server."""
    frames = tmp_path / "frames"
    shutil.copytree(original / "frames", frames)
    (asdf,) = frames.glob("*.asdf")
    old = sorted(path.name for path in frames.glob("*.fits"))[0]
    (frames / name).parent.mkdir(exist_ok=True)
    (frames / old).rename(frames / name)
    text = asdf.read_bytes()
    end = text.index(b"\n...\n")
    quoted = json.dumps(name, ensure_ascii=False).encode()
    asdf.write_bytes(text[:end].replace(old.encode(), quoted) + text[end:])
    for path in (asdf, tmp_path / "here.virtual"):
        if path != asdf:
            dv.convert(asdf, path, scan="always")
        ds = dv.open_dataset(path)
        pixels = first(ds)
        assert name in ds.files.names
    with Recording(tmp_path).running() as server:
        where = {"frames": f"{server.url}/frames"}
        dv.convert(asdf, tmp_path / "there.virtual", scan="always", **where)
        there = dv.open_dataset(tmp_path / "there.virtual")
        here = dv.open_dataset(tmp_path / "here.virtual")
        assert there.files.names == here.files.names
        for ds in (
            there,
            dv.open_dataset(asdf, **where),
            dv.open_dataset(tmp_path / "here.virtual", **where),
            dv.open_dataset(tmp_path / "there.virtual", frames=frames),
            dv.open_dataset(tmp_path / "there.virtual", frames=[tmp_path, f"{server.url}/frames"]),
        ):
            assert np.array_equal(first(ds), pixels, equal_nan=True)
        there.download(tmp_path / "down")
        assert (tmp_path / "down" / name).read_bytes() == (frames / name).read_bytes()
        again = dv.convert(asdf, tmp_path / "there.virtual", overwrite=True, **where)
        assert again.n_kept == 8


def test_the_data_centers_own_address(original: Path, tmp_path: Path) -> None:
    (asdf,) = (original / "frames").glob("*.asdf")
    with Recording(original, asdf=asdf).running() as server:
        url = f"{server.url}/download/asdf?datasetId=X"
        ds = dv.open_dataset(url, frames=original / "frames")
        assert np.array_equal(
            first(ds), first(dv.open_dataset(original / "json.virtual")), equal_nan=True
        )
        dv.convert(url, tmp_path / "s.virtual", frames=original / "frames")
        with pytest.raises(e.StoreMissingError, match="no store here"):
            dv.open_dataset(f"{server.url}/other?datasetId=X")


@pytest.mark.parametrize("form", ["json", "parquet"])
def test_a_signature_stays_behind_the_path(form: str, original: Path) -> None:
    query = f"sv=2&sig={SECRET}%2Fb%2Bc%3D"
    pixels = first(dv.open_dataset(original / f"{form}.virtual"))
    with Recording(original, query=query).running() as server:
        frames = f"{server.url}/frames?{query}"
        store = f"{server.url}/{form}.virtual/?{query}"
        ds = dv.open_dataset(store, frames=frames)
        assert np.array_equal(first(ds), pixels, equal_nan=True)
        assert len(ds.headers) == 8
        assert all(path.endswith(f"?{query}") for path in server.asked)
        (asdf,) = (original / "frames").glob("*.asdf")
        beside = dv.open_dataset(f"{server.url}/frames/{asdf.name}?{query}")
        assert np.array_equal(first(beside), pixels, equal_nan=True)
        said = [str(ds), repr(ds), ds._repr_html_(), json.dumps(ds.overview().as_json())]
        said += [repr(ds.files), repr(ds.provenance.array), repr(ds.provenance.array.handle)]
        server.fault = lambda path, n: 403
        for place in (store, frames.replace("/frames", "/none.asdf"), store.replace("json", "no")):
            with pytest.raises(e.DKISTVirtualError) as raised:
                dv.open_dataset(place)
            said.append(str(raised.value))
        report = dv.verify(original / f"{form}.virtual", frames=frames, keep=False)
        said += [str(report), json.dumps(report.as_json())]
        assert not any(SECRET in text for text in said)
        with pytest.raises(ValueError, match="query"):
            dv.convert(original / "frames", original / "never", frames=frames)


def test_capital_letters_and_default_ports(original: Path) -> None:
    with Recording(original).running() as server:
        port = server.url.rpartition(":")[2]
        options = {f"http://LOCALHOST:{port}/frames/": {"headers": {"X-Token": SECRET}}}
        ds = dv.open_dataset(
            f"HTTP://LocalHost:{port}/json.virtual/", frames=f"Http://localhost:{port}/./frames/",
            storage_options=options,
        )  # fmt: skip
        assert first(ds).shape == (40, 64)
        for path, headers in zip(server.asked, server.headers, strict=True):
            assert (headers.get("X-Token") == SECRET) == path.startswith("/frames/")
    of_default_ports = Fetcher({"https://h:443/a": {"headers": {"X": "1"}}})
    assert of_default_ports.options("https://H/a/b")
    assert not of_default_ports.options("https://h:444/a/b")


def test_a_server_by_its_ipv6_address(original: Path, tmp_path: Path) -> None:
    """``::`` in an address is not a chain of filesystems."""
    pixels = first(dv.open_dataset(original / "json.virtual"))
    with on_ipv6(original) as url:
        ds = dv.open_dataset(
            f"{url}/json.virtual", frames=f"{url}/frames", storage_options={f"{url}/": {}},
            cache=tmp_path / "cache",
        )  # fmt: skip
        assert np.array_equal(first(ds), pixels, equal_nan=True)
        dv.open_dataset(f"{url}/json.virtual", frames=f"{url}/frames").download(tmp_path / "d")
        assert len(list((tmp_path / "d").glob("*.fits"))) == 8


@contextmanager
def on_ipv6(directory: Path) -> Iterator[str]:
    class Six(ThreadingHTTPServer):
        address_family = socket.AF_INET6

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            pass

    with Six(("::1", 0), partial(Quiet, directory=str(directory))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://[::1]:{server.server_port}"
        server.shutdown()


# Credentials by a path that climbs --------------------------------------------------------------

CLIMBING = [
    "{yours}/../theirs/f", "{yours}/%2e%2e/theirs/f", "{yours}/.%2E/theirs/f",
    "{yours}/./../theirs/f", "{yours}/x/../../theirs/f", "{yours}//../../theirs/f",
    "{yours}/..%2ftheirs/f", "{yours}/%2e%2e%2ftheirs/f", "{yours}/%252e%252e/theirs/f",
    "{yours}/..\\theirs/f", "{yours}/%5c..%5c..%5ctheirs/f", "{yours}/..;/theirs/f",
    "/yours/../theirs/f", "//{host}/yours/../theirs/f", "../theirs/f", "./../theirs/f",
    "HTTP://{HOST}/yours/../theirs/f", "//ada@{host}/yours/../theirs/f",
]  # fmt: skip


@pytest.mark.parametrize("to", CLIMBING)
@pytest.mark.parametrize("how", ["redirect", "reference"])
def test_nothing_of_yours_goes_to_theirs(how: str, to: str, tmp_path: Path) -> None:
    sent: list[tuple[str, bool]] = []

    class Server(FrameServer):
        async def answer(self, request: web.Request) -> web.StreamResponse:
            sent.append((request.raw_path, SECRET in str(request.headers)))
            if request.path == "/yours/start":
                return web.Response(status=302, headers={"Location": target})
            return web.Response(body=b"x")

    with Server(tmp_path).running() as server:
        host = server.url.removeprefix("http://")
        target = to.format(yours=f"{server.url}/yours", host=host, HOST=host.upper())
        fetcher = Fetcher({f"{server.url}/yours/": {"headers": {"X-Token": SECRET}}})
        url = f"{server.url}/yours/start"
        if how == "reference":
            url = target if "://" in target else f"{url}/{target}"
        with suppress(e.FrameError):
            fetcher.read(url)
    for path, secret in sent:
        assert not secret or (path.startswith("/yours/") and not climbs(path)), sent


# Odd answers ------------------------------------------------------------------------------------

ODD: dict[str, dict[str, str]] = {
    "an address that is none": {"Location": "http://[::1"},
    "a host that is none": {"Location": "http://a b/"},
    "an empty address": {"Location": ""},
    "an address of another kind": {"Location": "javascript:alert(1)"},
    "a port that is none": {"Location": "http://a:99999999/"},
    "a date in the year 9999": {"Last-Modified": "Fri, 31 Dec 9999 23:59:59 GMT"},
    "a date that is none": {"Last-Modified": "Fri, 99 Dec 2026 99:99:99 +9999999999"},
    "a date of no parts": {"Last-Modified": ","},
    "a length of 2^63": {"Content-Range": f"bytes 0-99/{2**63}"},
    "a length of many digits": {"Content-Range": f"bytes 0-99/{'9' * 5000}"},
    "a part that ends before it begins": {"Content-Range": "bytes 0--5/10"},
    "a part beyond the end": {"Content-Range": "bytes 0-99/10"},
    "no number": {"Content-Range": "bytes x-y/z"},
    "an encoding": {"Content-Encoding": "gzip"},
}


class Odd(FrameServer):
    """Answers for one frame what no server should."""

    odd: dict[str, str]

    async def answer(self, request: web.Request) -> web.StreamResponse:
        if not request.path.endswith("0001.fits"):
            return await super().answer(request)
        if "Location" in self.odd:
            return web.Response(status=302, headers=self.odd)
        status = 206 if "Content-Range" in self.odd else 200
        response = web.StreamResponse(status=status, headers=self.odd)
        await response.prepare(request)
        data = (self.directory / request.path.lstrip("/")).read_bytes()
        await response.write(data[:100] if status == 206 else data)
        return response


@pytest.mark.every(8)
@pytest.mark.parametrize("what", ODD)
def test_one_odd_answer_is_that_frames_error(what: str, original: Path, tmp_path: Path) -> None:
    with Odd(original).running() as server:
        server.odd = ODD[what]
        harmless = "Last-Modified" in server.odd
        frames = f"{server.url}/frames"
        done = dv.convert(original / "frames", tmp_path / "s", frames=frames, scan="auto")
        assert done.n_scanned == (8 if harmless else 7), done
        ds = dv.open_dataset(original / "json.virtual", frames=frames)
        if harmless:
            ds.download(tmp_path / "down")
        else:
            with pytest.raises(e.DownloadError, match="1 of 8 files") as raised:
                ds.download(tmp_path / "down")
            assert next(iter(raised.value.failures)).endswith("0001.fits")
            with pytest.raises(e.FrameError):
                ds.data.compute()
        assert len(list((tmp_path / "down").glob("*.fits"))) == (8 if harmless else 7)
        report = dv.verify(original / "json.virtual", frames=frames, keep=False)
        assert report.counts["good"] == (8 if harmless else 7)


@pytest.mark.every(8)
@pytest.mark.parametrize(
    "url",
    [
        "http://[::1/a.fits", "http://a b/x", "file://h/x", "http://h:99999999999/x",
        "x" * 10_000, f"http://{'a' * 300}/x", "http://xn--/x", "http://.../x", "memory://x",
    ],
)  # fmt: skip
def test_one_odd_reference_is_that_frames_error(url: str, original: Path, tmp_path: Path) -> None:
    store = Path(shutil.copytree(original / "json.virtual", tmp_path / "store"))
    document = json.loads((store / "references.json").read_text())
    key = next(k for k in document["refs"] if not k.rpartition("/")[2].startswith(".z"))
    document["refs"][key][0] = url
    (store / "references.json").write_text(json.dumps(document))
    ds = dv.open_dataset(store)
    with pytest.raises(e.FrameError):
        first(ds)
    with pytest.raises(e.DownloadError, match="1 of 8 files"):
        ds.download(tmp_path / "down")
    assert dv.verify(store, keep=False).counts["good"] == 7


@pytest.mark.every(12)
@pytest.mark.parametrize("length", ["-1", "x", str(2**63), str(2**64), "9" * 40, "1, 2"])
def test_lengths_that_are_none(length: str, tmp_path: Path) -> None:
    answer = f"HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: close\r\n\r\nabc".encode()
    with raw_server(answer) as url:
        for stop in (-1, 10):
            with pytest.raises(e.FrameError):
                Fetcher().read(f"{url}/a.fits", min(stop, 0), stop)
        from dkist_virtual.fits.file_check import Checked
        from dkist_virtual.io.download.download import Item, download

        with pytest.raises(e.DownloadError):
            download([Item("a", (f"{url}/a",), -1, Fetcher(), Checked(0, -1))], tmp_path)


@contextmanager
def raw_server(answer: bytes) -> Iterator[str]:
    """Sends the same bytes to everyone."""

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            while self.rfile.readline().strip():
                pass
            self.wfile.write(answer)

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True

    with Server(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


@pytest.mark.every(8)
@pytest.mark.parametrize("year", [1600, 1969, 2300, 9999])
def test_files_of_any_time(year: int, original: Path, tmp_path: Path) -> None:
    shutil.copytree(original / "frames", tmp_path / "frames")
    for path in (tmp_path / "frames").iterdir():
        try:
            os.utime(path, (0, (year - 1970) * 31_556_952))
        except OSError:  # a disk that has no such dates
            return
    done = dv.convert(tmp_path / "frames", tmp_path / "s")
    assert done.n_scanned == 8
    assert first(dv.open_dataset(tmp_path / "s")).shape == (40, 64)
    assert dv.verify(tmp_path / "s").ok


def test_directories_whose_names_are_not_utf8(original: Path, tmp_path: Path) -> None:
    directory = os.fsdecode(os.fsencode(tmp_path) + b"/\xff\xfe")
    shutil.copytree(original / "frames", directory)
    for what in (
        lambda: dv.convert(directory, tmp_path / "s"),
        lambda: dv.convert(original / "frames", f"{directory}/s"),
        lambda: dv.open_dataset(directory),
    ):
        with pytest.raises(e.DKISTVirtualError, match="not UTF-8") as raised:
            what()
        str(raised.value).encode()  # may be printed
    ds = dv.open_dataset(original / "json.virtual", frames=directory)
    assert first(ds).shape == (40, 64)
    str(ds).encode()
    shutil.copytree(original / "json.virtual", f"{directory}/store")
    ds = dv.open_dataset(f"{directory}/store")
    assert first(ds).shape == (40, 64)
    assert len(ds.headers["NAXIS"]) == 8
    assert dv.verify(f"{directory}/store").ok


@pytest.mark.slow
@pytest.mark.parametrize("n", [250, 255, 256, 5000])
def test_store_names_of_any_length(n: int, original: Path, tmp_path: Path) -> None:
    store = tmp_path / ("s" * n)
    if n <= 255:
        dv.convert(original / "frames", store)
        assert first(dv.open_dataset(store)).shape == (40, 64)
        dv.convert(original / "frames", store, overwrite=True)
        assert [path.name for path in tmp_path.iterdir()] == [store.name]
        return
    with pytest.raises(e.StoreError, match="cannot be written"):
        dv.convert(original / "frames", store)
    with pytest.raises(e.DKISTVirtualError):
        dv.open_dataset(store)


def test_a_full_disk(original: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The limit of a file's size stands for it: the same errors, of the same calls."""
    import resource
    import signal

    kept = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    ds = dv.open_dataset(original / "json.virtual")
    try:
        for limit in (0, 1000, 12_000):
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, kept[1]))
            with pytest.raises(e.DKISTVirtualError):
                dv.convert(original / "frames", tmp_path / "s")
            with pytest.raises(e.DownloadError):
                ds.download(tmp_path / "down")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, kept)
        signal.signal(signal.SIGXFSZ, handler)
    assert not (tmp_path / "s").exists()


def test_a_working_directory_that_is_gone(
    original: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    store = original / "json.virtual"
    ds = dv.open_dataset(store)
    assert first(ds).shape == (40, 64)
    ds.download(tmp_path / "down")
    dv.convert(original / "frames", tmp_path / "s")
    assert dv.verify(store, keep=False).ok
    for what in (
        lambda: dv.open_dataset("x"),
        lambda: dv.open_dataset(store, frames="x"),
        lambda: dv.open_dataset(store, cache="x"),
        lambda: dv.convert(original / "frames", "x"),
        lambda: ds.download("x"),
        ds.files.to_manifest,
    ):
        with pytest.raises(e.LocationError, match="working directory, which is gone"):
            what()

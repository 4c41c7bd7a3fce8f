"""Fetch bytes from files, memory and a server: found, absent, unreachable or corrupt."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dkist_virtual.errors import FrameCorruptError, FrameMissingError, FrameUnreachableError
from dkist_virtual.io.byte_range import PIECE, Request
from dkist_virtual.io.fetcher import Fetcher
from dkist_virtual.io.locations import absolute, is_local, join, local_path

DATA = bytes(range(256)) * 20


@contextmanager
def as_anybody() -> Iterator[None]:
    """Without the rights of root, whom no permission stops."""
    root = os.geteuid() == 0
    if root:
        os.seteuid(65534)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "frame.fits").write_bytes(DATA)
    return tmp_path / "frame.fits"


@pytest.fixture(scope="module")
def in_memory() -> Iterator[str]:
    memory = fsspec.filesystem("memory")
    memory.pipe_file("/fetch/frame.fits", DATA)
    yield "memory://fetch/frame.fits"
    memory.rm("/fetch", recursive=True)


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # the base class's word
        pass


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    directory = tmp_path_factory.mktemp("served")
    (directory / "frame.fits").write_bytes(DATA)
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(directory))) as http:
        thread = threading.Thread(target=http.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{http.server_port}"
        http.shutdown()
        thread.join()


@given(start=st.integers(0, len(DATA) - 1), length=st.integers(1, len(DATA)))
def test_a_range_is_that_of_the_bytes(
    tmp_path_factory: pytest.TempPathFactory, in_memory: str, start: int, length: int
) -> None:
    path = tmp_path_factory.getbasetemp() / "range.bin"
    if not path.exists():
        path.write_bytes(DATA)
    for url in (str(path), f"file://{path}", in_memory):
        if start + length <= len(DATA):
            assert Fetcher().read(url, start, length) == DATA[start : start + length]
        else:
            with pytest.raises(FrameCorruptError) as caught:
                Fetcher().read(url, start, length)
            assert str(caught.value).startswith(
                f"{url}: bytes {start} to {start + length} were referenced, only "
                f"{len(DATA) - start} of them are there"
            )


def test_a_whole_file(file: Path, in_memory: str, server: str) -> None:
    for url in (str(file), file.as_uri(), in_memory, f"{server}/frame.fits"):
        assert Fetcher().read(url) == DATA


def test_pieces_are_used_as_they_come_and_again_if_the_file_changes(tmp_path: Path) -> None:
    path = tmp_path / "long.fits"
    rng = np.random.default_rng(3)
    first, second = (rng.integers(0, 256, 5 * PIECE // 2 + 7, "u1").tobytes() for _ in range(2))
    path.write_bytes(first)
    expected = [0, PIECE, 2 * PIECE]
    for change in (False, True):
        into, begins, used = bytearray(len(first)), [], []

        def each(begin: int, piece: memoryview, begins: Any = begins, used: Any = used) -> None:
            if change and len(begins) == 1:  # noqa: B023  # called in this round
                path.write_bytes(second)
            begins.append(begin)
            used.append(bytes(piece))
            piece[:] = bytes(len(piece))

        request = Request(str(path), 0, len(first), into=memoryview(into), each=each)
        reply = Fetcher().answer(request)
        times = len(begins) // len(expected)  # a file that was just written is read again too
        assert begins == expected * times
        assert times > change
        assert b"".join(used[-3:]) == (second if change else first)
        assert into == bytes(len(first))
        assert reply.total == len(first)


def test_pieces_of_a_server_are_the_same(in_memory: str) -> None:
    into, begins = bytearray(len(DATA)), []
    request = Request(
        in_memory, 0, len(DATA), into=memoryview(into), each=lambda begin, _: begins.append(begin)
    )
    Fetcher().answer(request)
    assert into == DATA
    assert begins == [0]


def test_no_file_stays_open(file: Path) -> None:
    opened = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0
    for offset, length in ((0, 100), (-1, -1), (0, len(DATA) + 1)):
        with suppress(FrameCorruptError):
            Fetcher().answer(Request(str(file), offset, length))
    for place in (file.parent, Path("/dev/null")):
        with pytest.raises(FrameUnreachableError, match=r"s a directory|is not a regular file"):
            Fetcher().answer(Request(str(place), 0, 100))
    if opened:
        assert len(os.listdir("/proc/self/fd")) == opened


def test_a_head_knows_the_whole(file: Path, in_memory: str) -> None:
    status = file.stat()
    for n in (1, 100, len(DATA), 10 * len(DATA)):
        head = Fetcher().answer(Request.head(str(file), n))
        assert (head.data, head.total) == (DATA[:n], len(DATA))
        assert (head.mtime, head.etag) == (status.st_mtime_ns, None)
        remote = Fetcher().answer(Request.head(in_memory, n))
        assert (remote.data, remote.total) == (DATA[:n], len(DATA))


READS = [
    lambda url: Fetcher().read(url),
    lambda url: Fetcher().read(url, 3, 4),
    lambda url: Fetcher().answer(Request.head(url, 10)),
]


@pytest.mark.parametrize("read", READS)
class TestAbsentAndUnreachable:
    def test_no_such_file_in_a_directory_that_exists(self, read: Any, tmp_path: Path) -> None:
        with pytest.raises(FrameMissingError) as caught:
            read(str(tmp_path / "a.fits"))
        assert str(caught.value) == f"{tmp_path / 'a.fits'}: no such file"

    def test_a_link_to_nowhere_is_absent(self, read: Any, tmp_path: Path) -> None:
        (tmp_path / "a.fits").symlink_to("not-downloaded")
        with pytest.raises(FrameMissingError):
            read(str(tmp_path / "a.fits"))

    def test_no_such_directory(self, read: Any, tmp_path: Path) -> None:
        with pytest.raises(FrameUnreachableError, match=r"its directory .* does not exist"):
            read(str(tmp_path / "nowhere" / "a.fits"))

    def test_a_directory_that_is_a_file(self, read: Any, file: Path) -> None:
        with pytest.raises(FrameUnreachableError, match="Not a directory"):
            read(str(file / "a.fits"))

    def test_a_link_to_itself(self, read: Any, tmp_path: Path) -> None:
        (tmp_path / "a.fits").symlink_to("a.fits")
        with pytest.raises(FrameUnreachableError, match="symbolic links"):
            read(str(tmp_path / "a.fits"))

    def test_no_permission(self, read: Any, file: Path) -> None:
        file.chmod(0)
        with as_anybody(), pytest.raises(FrameUnreachableError, match="Permission denied"):
            read(str(file))

    def test_no_such_file_in_memory(self, read: Any) -> None:
        with pytest.raises(FrameMissingError, match=r"memory://nowhere/a\.fits: no such file"):
            read("memory://nowhere/a.fits")

    def test_a_server_says_404(self, read: Any, server: str) -> None:
        with pytest.raises(FrameMissingError, match=f"{server}/b.fits: no such file"):
            read(f"{server}/b.fits")

    @pytest.mark.every(6)
    def test_no_server(self, read: Any) -> None:
        with pytest.raises(FrameUnreachableError, match=r"127\.0\.0\.1:1/a\.fits: "):
            read("http://127.0.0.1:1/a.fits")

    def test_no_such_protocol(self, read: Any) -> None:
        with pytest.raises(FrameUnreachableError, match="nonsense://a/b"):
            read("nonsense://a/b")


def test_options_go_to_the_longest_prefix_and_nowhere_else() -> None:
    fetcher = Fetcher(
        {
            "https": {"general": 1},
            "https://a.org": {"one": 1},
            "https://a.org/deep/": {"two": 2},
            "s3": {"anon": True},
        }
    )
    assert fetcher.options("https://b.org/x") == {"general": 1}
    assert fetcher.options("https://a.org/x") == {"one": 1}
    assert fetcher.options("https://a.org/deep/x") == {"two": 2}
    assert fetcher.options("s3://bucket/x") == {"anon": True}
    assert fetcher.options("http://a.org/x") == {}
    assert fetcher.options("/a/b") == {}


def test_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert absolute("a/../b") == str(tmp_path / "b")
    assert absolute("a/") == str(tmp_path / "a")
    assert absolute(Path("a")) == str(tmp_path / "a")
    assert absolute("file:///a/b/") == "/a/b"
    assert absolute("~/x") == os.path.expanduser("~/x")
    assert absolute("/") == "/"
    assert absolute("s3://bucket/a/") == "s3://bucket/a"
    assert join("/a/", "b/c.fits") == join("/a", "b/c.fits") == "/a/b/c.fits"
    assert join("https://a.org", "b") == "https://a.org/b"
    assert [is_local(p) for p in ("/a", "a", "file:///a", "s3://a")] == [True, True, True, False]
    assert local_path("file:///a/b c") == "/a/b c"
    assert local_path("/a") == "/a"

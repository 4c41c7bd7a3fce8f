"""A download gets its file name only when it is whole, and one failure stops no other."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import dkist_virtual as dv
from dkist_virtual.demo.server import FrameServer, no_fault
from dkist_virtual.errors import (
    DKISTVirtualError,
    DKISTVirtualWarning,
    DownloadError,
    FrameCorruptError,
    FrameError,
    FrameUnreachableError,
    SearchError,
    StoreError,
)
from dkist_virtual.fits.file_check import Checked, check_whole, verify_datasum
from dkist_virtual.io.download.document_check import check_document
from dkist_virtual.io.local_file import FileBytes

PAGE = b"<!DOCTYPE html><html><title>Log in</title></html>\n" * 25


@pytest.fixture(scope="module")
def frames(simulated: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("whole") / "frames"
    shutil.copytree(simulated("visp_moving"), place)
    return place


@pytest.fixture(scope="module")
def servers(frames: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """One that answers something else than frames, and one that has them."""
    wrong = tmp_path_factory.mktemp("wrong")
    with FrameServer(wrong).running() as first, FrameServer(frames).running() as second:
        yield first, second


def others(frame: bytes) -> dict[str, bytes]:
    return {
        "a page": PAGE,
        "JSON": json.dumps({"error": "token expired"}).encode(),
        "nothing": b"",
        "gzip": gzip.compress(frame),
        "cut in the data": frame[: len(frame) - 3000],
        "cut in a header": frame[:4000],
        "without the HDU": frame[:2880],
        "cut in a card": frame[:2880] + b"XTENS",
        "zeros": bytes(len(frame)),
        "a page in front": PAGE + frame,
    }


@pytest.mark.every(10)
@pytest.mark.parametrize("what", others(bytes(10_000)))
@pytest.mark.parametrize("scan", ["never", "always"])
def test_what_is_no_frame_is_fetched_from_the_next_place(
    what: str, scan: Any, frames: Path, servers: Any, tmp_path: Path
) -> None:
    wrong, right = servers
    wrong.fault = no_fault
    names = sorted(path.name for path in frames.glob("*.fits"))
    for name in names:
        (wrong.directory / name).write_bytes(others((frames / name).read_bytes())[what])
    dv.convert(frames, tmp_path / "store", base=wrong.url, frames=frames, scan=scan, progress=False)
    ds: Any = dv.open_dataset(tmp_path / "store")
    with pytest.raises(DownloadError) as raised:
        ds.download(tmp_path / "alone", progress=False)
    assert set(raised.value.failures) == set(names)
    assert list((tmp_path / "alone").glob("*.fits")) == []
    with pytest.raises((FrameCorruptError, FrameUnreachableError)):
        ds.data[0, 0].compute()
    both: Any = dv.open_dataset(tmp_path / "store", frames=[wrong.url, right.url])
    assert len(both.download(tmp_path / "here", progress=False).items) == len(names)
    for name in names:
        assert (tmp_path / "here" / name).read_bytes() == (frames / name).read_bytes()
    both = dv.open_dataset(tmp_path / "store", frames=[wrong.url, right.url], missing="nan")
    expected = dv.Dataset.from_asdf(frames / "visp_moving.asdf").data.compute()
    assert np.array_equal(both.data.compute(), expected)
    # What an earlier download left under the name of a frame is not taken for one.
    shutil.copytree(wrong.directory, tmp_path / "before")
    assert len(both.download(tmp_path / "before", progress=False).items) == len(names)


def test_a_refusal_is_never_an_absence(frames: Path, servers: Any, tmp_path: Path) -> None:
    wrong, right = servers
    for path in frames.glob("*.fits"):
        (wrong.directory / path.name).write_bytes(PAGE)
    dv.convert(frames, tmp_path / "store", base=right.url, scan="never", progress=False)
    ds: Any = dv.open_dataset(
        tmp_path / "store", frames=[wrong.url, f"{right.url}/nowhere"], missing="nan"
    )
    with pytest.raises(FrameCorruptError):
        ds.data[0, 0].compute()
    wrong.fault = lambda path, n: 403
    with pytest.raises(FrameUnreachableError):
        ds.data[0, 0].compute()
    with pytest.raises(DownloadError, match="403"):
        ds.download(tmp_path / "here", progress=False)
    wrong.fault = no_fault


MOVIE = b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom" + (5_008).to_bytes(4, "big") + b"mdat" + bytes(5_000)
REPORT = b"%PDF-1.7\n" + b"1 0 obj\n" * 1_000 + b"trailer\n%%EOF\n"


@pytest.mark.parametrize(
    ("kind", "whole"), [("mp4", MOVIE), ("pdf", REPORT), ("json", b'{"a": [1, 2]}'), ("asdf", None)]
)
def test_documents_are_whole_and_of_their_kind(
    kind: Any, whole: bytes | None, frames: Path, tmp_path: Path
) -> None:
    path = tmp_path / "file"
    whole = (frames / "visp_moving.asdf").read_bytes() if whole is None else whole
    path.write_bytes(whole)
    check_document(str(path), kind)
    for other in (PAGE, b"", whole[: len(whole) // 2], whole[1:], b"{", b"%PDF-1.4"[:3]):
        path.write_bytes(other)
        with pytest.raises(FrameCorruptError):
            check_document(str(path), kind)


@pytest.mark.parametrize("what", ["quality", "movie", "asdf"])
def test_pages_are_no_documents_of_the_data_center(
    what: str, catalogue: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dkist_virtual.datacenter import catalogue as ours

    place = tmp_path / "pages"
    (place / "download").mkdir(parents=True)
    for name in ("quality", "movie", "asdf"):
        (place / "download" / name).write_bytes(PAGE)
    with FrameServer(place).running() as pages:
        record, _ = ours.find("SIM000")
        kind: Any = what
        with (
            ours.net().conf.set_temp("download_endpoint", f"{pages.url}/download"),
            pytest.raises(SearchError, match=r"not be fetched: .*(begins with|found) b'<!DOC"),
        ):
            _ = (
                ours.fetch_asdf(record, tmp_path / "here")
                if what == "asdf"
                else ours.fetch_file(kind, "SIM000", tmp_path / "here")
            )
    assert [path for path in tmp_path.rglob("*SIM000*") if path.is_file()] == []


# Nothing waits ------------------------------------------------------------------------------------


def pipe(path: Path) -> None:
    path.unlink(missing_ok=True)
    os.mkfifo(path)


def plug(path: Path) -> None:
    path.unlink(missing_ok=True)
    # A socket's whole path may have some hundred bytes.
    directory = os.open(path.parent, os.O_RDONLY)
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(f"/proc/self/fd/{directory}/{path.name}")
    os.close(directory)


def device(path: Path) -> None:
    path.unlink(missing_ok=True)
    path.symlink_to("/dev/zero")


def folder(path: Path) -> None:
    path.unlink(missing_ok=True)
    path.mkdir()


OBSTACLES = (pipe, plug, device, folder)


def finishes(work: Any) -> Any:
    """What some work gives or raises, in a thread that may be left waiting."""
    came: list[Any] = []

    def run() -> None:
        try:
            came.append(work())
        except BaseException as error:  # noqa: BLE001  # handed on
            came.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(60)
    assert came, "still waiting"
    return came[0]


@pytest.mark.slow
@pytest.mark.parametrize("obstacle", OBSTACLES)
def test_nothing_waits_for_what_is_no_file(obstacle: Any, frames: Path, tmp_path: Path) -> None:
    for references in ("json", "parquet"):
        for name in (
            "references.json" if references == "json" else "references.parq/.zmetadata",
            *(["references.parq/data/refs.0.parq"] if references == "parquet" else []),
            "headers.parquet",
            "dataset.asdf",
        ):
            store = tmp_path / "store"
            shutil.rmtree(store, ignore_errors=True)
            dv.convert(frames, store, references=references, progress=False)  # type: ignore[arg-type]
            obstacle(store / name)

            def use(store: Path = store) -> Any:
                ds: Any = dv.open_dataset(store)
                return ds.headers["DATE-AVG"], ds.data.compute()

            assert isinstance(finishes(use), StoreError), name
    asdf = tmp_path / "VTF.asdf"
    obstacle(asdf)
    for work in (
        lambda: dv.open_dataset(asdf),
        lambda: dv.convert(asdf, tmp_path / "other", progress=False),
    ):
        assert isinstance(finishes(work), DKISTVirtualError)


@pytest.mark.parametrize("obstacle", OBSTACLES)
def test_nothing_waits_for_what_is_no_frame(
    obstacle: Any, frames: Path, servers: Any, tmp_path: Path
) -> None:
    _, right = servers
    dv.convert(frames, tmp_path / "store", base=right.url, scan="never", progress=False)
    place = tmp_path / "frames"
    shutil.copytree(frames, place)
    first = sorted(place.glob("*.fits"))[0]
    obstacle(first)
    ds: Any = dv.open_dataset(tmp_path / "store", frames=place)
    assert isinstance(finishes(ds.data[0, 0].compute), FrameError)
    assert isinstance(finishes(ds.data[0, 0, 3:5].compute), FrameError)
    ds = dv.open_dataset(tmp_path / "store")
    for suffix in ("", ".part", ".part.json"):
        shutil.rmtree(place)
        place.mkdir()
        obstacle(place / f"{first.name}{suffix}")
        came = finishes(lambda: ds.download(place, progress=False))
        if suffix != ".part.json":  # notes that are none count for nothing
            assert isinstance(came, DownloadError), suffix
            assert os.path.lexists(place / first.name) == (suffix == "")


# Nothing dies -------------------------------------------------------------------------------------


CUT = """
import os, sys, threading
from dkist_virtual.errors import FrameError
from dkist_virtual.fits.file_check import Checked, check_whole, verify_datasum
from dkist_virtual.io.local_file import FileBytes
path, whole = sys.argv[1], open(sys.argv[1], "rb").read()
done = threading.Event()
def cut():
    while not done.is_set():
        os.truncate(path, len(whole) // 2)
        with open(path, "r+b") as file:
            file.write(whole)
thread = threading.Thread(target=cut)
thread.start()
for _ in range(300):
    for check in (check_whole, verify_datasum):
        try:
            with FileBytes(path) as data:
                check(data, Checked(1, -1))
        except (FrameError, OSError):
            pass
done.set()
thread.join()
print("alive")
"""


def test_a_file_that_is_cut_while_it_is_summed_ends_nothing(frames: Path, tmp_path: Path) -> None:
    path = tmp_path / "frame.fits"
    shutil.copy(sorted(frames.glob("*.fits"))[0], path)
    with FileBytes(path) as data:
        check_whole(data, Checked(1, -1))
        assert verify_datasum(data, Checked(1, -1)) in (True, False)
    run = subprocess.run(
        [sys.executable, "-c", CUT, path], capture_output=True, text=True, check=False
    )
    assert run.stdout.strip() == "alive", run.stderr


def test_what_gets_its_name_was_synced(
    frames: Path, servers: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, right = servers
    synced: set[tuple[int, int]] = set()
    ours = os.fsync

    def fsync(file: int) -> None:
        status = os.fstat(file)
        synced.add((status.st_dev, status.st_ino))
        ours(file)

    def was_synced(path: Path) -> bool:
        status = path.stat()
        return (status.st_dev, status.st_ino) in synced

    monkeypatch.setattr(os, "fsync", fsync)
    store = tmp_path / "there" / "store"
    dv.convert(frames, store, base=right.url, references="parquet", progress=False)
    for path in [store.parent, store, *store.rglob("*")]:
        assert was_synced(path), path
    ds: Any = dv.open_dataset(store)
    ds.download(tmp_path / "here", progress=False)
    for path in [tmp_path / "here", *(tmp_path / "here").glob("*.fits")]:
        assert was_synced(path), path
    dv.verify(store, progress=False)
    assert was_synced(store / "verify.json")


def test_a_cache_that_cannot_be_written_is_gone_without(
    frames: Path, servers: Any, tmp_path: Path
) -> None:
    _, right = servers
    dv.convert(frames, tmp_path / "store", base=right.url, progress=False)
    (tmp_path / "cache").write_text("no directory")
    ds: Any = dv.open_dataset(tmp_path / "store", cache=tmp_path / "cache")
    expected = dv.Dataset.from_asdf(frames / "visp_moving.asdf").data.compute()
    with pytest.warns(DKISTVirtualWarning, match="cannot be written"):
        assert np.array_equal(ds.data.compute(), expected)


@pytest.mark.slow
def test_a_block_that_did_not_survive_is_fetched_anew(
    frames: Path, servers: Any, tmp_path: Path
) -> None:
    _, right = servers
    dv.convert(frames, tmp_path / "store", base=right.url, scan="never", progress=False)
    expected = dv.Dataset.from_asdf(frames / "visp_moving.asdf").data.compute()
    ds: Any = dv.open_dataset(tmp_path / "store", cache=tmp_path / "cache")
    assert np.array_equal(ds.data.compute(), expected)
    for number, path in enumerate(p for p in (tmp_path / "cache").rglob("*") if p.is_file()):
        data = path.read_bytes()
        path.write_bytes([bytes(len(data)), data[:100], b"", b"x" + data[1:]][number % 4])
    ds = dv.open_dataset(tmp_path / "store", cache=tmp_path / "cache")
    assert np.array_equal(ds.data.compute(), expected)

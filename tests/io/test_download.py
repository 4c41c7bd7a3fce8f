"""Download: what is fetched, fetched again, written, and read afterwards."""

from __future__ import annotations

import asyncio
import json
import os
import pickle
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dask
import numpy as np
import pytest
from astropy.io import fits
from frames import compressed, plain, scene, span
from served import serve_store
from simulated import MOSAICS

import dkist_virtual as dv
from dkist_virtual.cli.main import main
from dkist_virtual.demo.server import FrameServer, no_fault
from dkist_virtual.errors import DownloadError, FrameCorruptError, FrameRefusedError
from dkist_virtual.fits.file_check import Checked, check_whole, verify_datasum
from dkist_virtual.io.download import part_file
from dkist_virtual.io.download.download import Item, check_names, download
from dkist_virtual.io.event_loop import gather
from dkist_virtual.io.fetcher import Fetcher
from dkist_virtual.io.local_file import FileBytes
from dkist_virtual.io.locks import open_locked

pytestmark = pytest.mark.usefixtures("quick_retries")


@pytest.fixture(scope="module")
def served(simulated: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FrameServer]:
    """A dataset's frames on a server, and a store that was made from a scan of them."""
    with serve_store(simulated("cryonirsp"), tmp_path_factory.mktemp("served")) as server:
        yield server


def opened(server: FrameServer, **how: Any) -> dv.Dataset:
    ds = dv.open_dataset(server.directory / "store", **how)
    assert isinstance(ds, dv.Dataset)
    return ds


def frame(server: FrameServer, name: str | None) -> bytes:
    return (server.directory / "frames" / str(name)).read_bytes()


def same(one: Any, other: Any) -> bool:
    return bool(np.array_equal(one, other, equal_nan=True))


def contents(directory: Path) -> set[str]:
    return {str(path.relative_to(directory)) for path in directory.rglob("*") if path.is_file()}


# What comes -------------------------------------------------------------------------------------


def test_a_selection_is_fetched_and_then_read_here(server: FrameServer, tmp_path: Path) -> None:
    ds = opened(server)
    part, sibling = ds[1], ds[:, 0]
    expected, other = part.data.compute(), sibling[1].data.compute()
    before = part.data.name
    server.forget()
    done = part.download(tmp_path / "here")
    assert {path for _, path, *_ in server.requests} == {f"frames/{n}" for n in part.files.names}
    assert len(server.requests) == len(part.files) == len(done.items) == 6
    assert done.n_bytes == part.files.nbytes == server.sent
    assert contents(tmp_path / "here") == set(part.files.names)
    for name in part.files.names:
        assert (tmp_path / "here" / str(name)).read_bytes() == frame(server, name)
    assert "6 files fetched" in str(done)
    server.forget()
    assert same(part.data.compute(), expected)
    assert same(sibling[1].data.compute(), other)
    assert part.data.name != before
    twin = pickle.loads(pickle.dumps(part.data))
    assert same(twin.compute(), expected)
    assert server.requests == []
    assert part.files.where() == [str(tmp_path / "here")] * 6
    assert "6 here already" in str(ds.files)
    # A file that is deleted again comes from the server.
    (tmp_path / "here" / str(part.files.names[0])).unlink()
    assert same(part.data.compute(), expected)
    assert server.requests


def test_what_is_there_is_left_alone(server: FrameServer, tmp_path: Path) -> None:
    ds = opened(server)
    names = [str(name) for name in ds[0].files.names]
    (tmp_path / names[0]).write_bytes(frame(server, names[0]))
    (tmp_path / names[1]).write_bytes(frame(server, names[1])[:-2880])
    done = ds[0].download(tmp_path)
    assert done.n_here == 1
    assert {path for _, path, *_ in server.requests} == {f"frames/{name}" for name in names[1:]}
    assert (tmp_path / names[1]).read_bytes() == frame(server, names[1])
    server.forget()
    again = opened(server)[0].download(tmp_path)
    assert (again.n_here, again.items, again.n_bytes) == (6, (), 0)
    assert server.requests == []


@pytest.mark.parametrize("cut", [False, True])
def test_frames_that_were_never_scanned(cut: bool, server: FrameServer, tmp_path: Path) -> None:
    asdf = server.directory / "frames" / "cryonirsp.asdf"
    ds = dv.Dataset.from_asdf(asdf, frames=f"{server.url}/frames")[0]
    first = tmp_path / str(ds.files.names[0])
    first.write_bytes(frame(server, ds.files.names[0])[: -2880 if cut else None])
    done = ds.download(tmp_path)
    assert (done.n_here, len(done.items)) == ((0, 6) if cut else (1, 5))
    assert first.read_bytes() == frame(server, ds.files.names[0])
    assert contents(tmp_path) == set(ds.files.names)


@pytest.mark.slow
def test_from_one_directory_to_another(simulated: Any, tmp_path: Path) -> None:
    ds = dv.Dataset.from_asdf(simulated("cryonirsp"))
    ds[0].download(tmp_path / "here", verify=True)
    for name in ds[0].files.names:
        source = simulated("cryonirsp") / name
        assert (tmp_path / "here" / name).read_bytes() == source.read_bytes()
    with dask.config.set({"dkist_virtual.concurrency": 1}):
        # Onto itself nothing is copied.
        assert ds[0].download(simulated("cryonirsp")).n_here == 6


@pytest.mark.slow
def test_a_mosaic_comes_at_once(simulated: Any, tmp_path: Path) -> None:
    place = simulated(MOSAICS[0])
    ds = dv.open_dataset(place)
    assert isinstance(ds, dv.TiledDataset)
    done = ds.download(tmp_path / "here")
    assert len(done.items) == len(ds.files)
    assert contents(tmp_path / "here") == set(ds.files.names)
    assert set(ds.flat[-1].files.where()) == {str(tmp_path / "here")}


def test_frames_without_a_file_are_counted(simulated: Any, tmp_path: Path) -> None:
    items: list[Item] = []
    assert str(download(items, tmp_path)).endswith(
        "0 files fetched, 0 B in 0.0 s, 0 were there already"
    )
    assert not dv.open_dataset(simulated("cryonirsp")).files[[]].download(tmp_path).items


def test_any_filesystem(simulated: Any, tmp_path: Path) -> None:
    import fsspec

    memory = fsspec.filesystem("memory")
    ds = dv.Dataset.from_asdf(simulated("cryonirsp"), frames="memory://sun")[0]
    large = bytes(2**20) * 2 + b"end"
    memory.pipe({f"/sun/{name}": large for name in ds.files.names[:2]})
    memory.pipe(
        "/sun/" + ds.files.names[2], (simulated("cryonirsp") / ds.files.names[2]).read_bytes()
    )
    with pytest.raises(DownloadError) as raised:
        ds.download(tmp_path)
    assert contents(tmp_path) == {ds.files.names[2]}
    assert "not FITS" in raised.value.failures[ds.files.names[0]]
    assert "no such file" in raised.value.failures[ds.files.names[3]]
    memory.rm("/sun", recursive=True)


# Faults -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", ["cut", "drop", 500, "no ranges"])
def test_a_fault_that_passes(fault: Any, server: FrameServer, tmp_path: Path) -> None:
    server.fault = lambda path, n: fault if n < 2 else None
    ds = opened(server)[0]
    ds.download(tmp_path, verify=True)
    for name in ds.files.names:
        assert (tmp_path / str(name)).read_bytes() == frame(server, name)
    assert contents(tmp_path) == set(ds.files.names)


@pytest.mark.parametrize("fault", ["cut", "drop", 403, 404, 503])
def test_one_that_cannot_be_had_keeps_none_of_the_others(
    fault: Any, server: FrameServer, tmp_path: Path
) -> None:
    ds = opened(server)[0]
    bad = str(ds.files.names[2])
    server.fault = lambda path, n: fault if path.endswith(bad) else None
    with dask.config.set({"dkist_virtual.retries": 1}), pytest.raises(DownloadError) as raised:
        ds.download(tmp_path)
    assert list(raised.value.failures) == [bad]
    assert f"{server.url}/frames/{bad}" in raised.value.failures[bad]
    assert bad in str(raised.value)
    assert "1 of 6 files" in str(raised.value)
    assert {n for n in contents(tmp_path) if ".part" not in n} == {*ds.files.names} - {bad}
    assert pickle.loads(pickle.dumps(raised.value)).failures == raised.value.failures
    # The others are read here all the same, and the same again fetches the one.
    assert sum(place == str(tmp_path) for place in ds.files.where()) == 5
    server.fault = no_fault
    server.forget()
    ds.download(tmp_path)
    assert {path for _, path, *_ in server.requests} == {f"frames/{bad}"}
    assert contents(tmp_path) == set(ds.files.names)


def test_a_server_that_is_gone_is_not_asked_for_every_file(
    server: FrameServer, tmp_path: Path
) -> None:
    server.fault = lambda path, n: 403
    with pytest.raises(DownloadError) as raised:
        opened(server).download(tmp_path, workers=2)
    assert len(raised.value.failures) == 24
    assert 16 <= len(server.requests) < 24
    assert sum("not tried" in cause for cause in raised.value.failures.values()) >= 6
    assert contents(tmp_path) == set()


# Parts ------------------------------------------------------------------------------------------


@pytest.fixture
def begun(server: FrameServer, tmp_path: Path) -> tuple[dv.Dataset, Path, int]:
    """A frame of which a server broke off half, and gave nothing more."""
    ds = opened(server)[0, 0, 0]
    server.fault = lambda path, n: "stall" if n == 0 else 503
    settings = {"dkist_virtual.retries": 1, "dkist_virtual.timeout": 0.2}
    with dask.config.set(settings), pytest.raises(DownloadError):
        ds.download(tmp_path)
    server.fault = no_fault
    server.forget()
    (name,) = ds.files.names
    part = tmp_path / f"{name}.part"
    size = len(frame(server, name))
    assert part.read_bytes() == frame(server, name)[: size // 2]
    return ds, tmp_path / str(name), size


def test_a_part_goes_on_where_it_stood(begun: Any, server: FrameServer) -> None:
    ds, final, size = begun
    done = ds.download(final.parent, verify=True)
    assert server.requests == [("GET", f"frames/{final.name}", size // 2, size - size // 2)]
    assert done.n_bytes == size - size // 2
    assert final.read_bytes() == frame(server, final.name)
    assert contents(final.parent) == {final.name}


@pytest.mark.parametrize("conditions", [None, "no conditions"])
def test_a_part_of_another_file_counts_for_nothing(
    conditions: Any, begun: Any, server: FrameServer
) -> None:
    ds, final, size = begun
    source = server.directory / "frames" / final.name
    before, times = source.read_bytes(), source.stat()
    data = span(before).data
    changed = before[:data] + before[data:][::-1]  # of the same length
    server.fault = lambda path, n: conditions
    try:
        source.write_bytes(changed)
        os.utime(source, ns=(times.st_atime_ns, times.st_mtime_ns + 10**9))
        ds.download(final.parent)
        assert final.read_bytes() == changed
        assert server.requests[-1] == ("GET", f"frames/{final.name}", None, size)
    finally:
        source.write_bytes(before)
        os.utime(source, ns=(times.st_atime_ns, times.st_mtime_ns))


@pytest.mark.parametrize("what", ["longer", "no notes", "broken notes", "of another url", "whole"])
def test_parts_as_they_may_be_found(what: str, begun: Any, server: FrameServer) -> None:
    ds, final, size = begun
    part, notes = Path(f"{final}.part"), Path(f"{final}.part.json")
    if what == "longer":
        part.write_bytes(bytes(size + 1))
    elif what == "whole":
        part.write_bytes(frame(server, final.name))
    elif what == "no notes":
        notes.unlink()
    elif what == "broken notes":
        notes.write_text("{")
    else:
        notes.write_text(json.dumps({**json.loads(notes.read_text()), "url": "http://x/y.fits"}))
    ds.download(final.parent)
    assert final.read_bytes() == frame(server, final.name)
    assert server.sent == (0 if what == "whole" else size)
    assert contents(final.parent) == {final.name}


def test_a_part_that_was_broken_is_fetched_anew(begun: Any, server: FrameServer) -> None:
    ds, final, size = begun
    Path(f"{final}.part").write_bytes(bytes(size // 2))
    ds.download(final.parent, verify=True)
    assert final.read_bytes() == frame(server, final.name)


def stalled_download(server: FrameServer, here: Path) -> subprocess.Popen[str]:
    """Start a download in a child; return it once the server has stopped in a frame."""
    reached = threading.Event()

    def stalling(path: str, n: int) -> Any:
        if not path.startswith("frames/") or len(server.requests) < 9:
            return None
        reached.set()
        return "stall"

    server.fault = stalling
    command = [
        sys.executable, "-m", "dkist_virtual.cli.main", "download",
        str(server.directory / "store"), str(here), "--workers", "4",
    ]  # fmt: skip
    root = Path(dv.__file__).parent.parent
    environment = {**os.environ, "PYTHONPATH": str(root)}
    child = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
    while not reached.wait(1):
        assert child.poll() is None, child.communicate()
    return child


def test_a_download_that_is_killed_goes_on(server: FrameServer, tmp_path: Path) -> None:
    here = tmp_path / "here"
    child = stalled_download(server, here)
    child.send_signal(signal.SIGKILL)
    child.communicate()
    names = opened(server).files.names
    final = {name for name in contents(here) if ".part" not in name}
    assert len(final) < len(names)
    for name in final:
        assert (here / name).read_bytes() == frame(server, name)
    kept = sum(
        path.stat().st_size
        for path in here.glob("*.part")
        if path.with_name(f"{path.name}.json").exists()
    )
    server.fault = no_fault
    server.forget()
    opened(server).download(here, verify=True)
    left = set(names) - final
    assert {path for _, path, *_ in server.requests} <= {f"frames/{name}" for name in left}
    assert server.sent == sum(len(frame(server, name)) for name in left) - kept
    assert contents(here) == set(names)
    for name in names:
        assert (here / str(name)).read_bytes() == frame(server, name)


def test_a_file_gets_its_name_after_its_notes_are_gone(
    server: FrameServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    beside: list[bool] = []
    replace = os.replace

    def watched(part: str, final: str) -> None:
        if part.endswith(part_file.PART):
            beside.append(os.path.exists(final + part_file.PART_NOTES))
        replace(part, final)

    monkeypatch.setattr(os, "replace", watched)
    opened(server).download(tmp_path / "here")
    assert beside == [False] * len(opened(server).files.names)


def test_a_part_that_opens_while_it_is_cancelled_stays_unlocked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, opening, go_on = str(tmp_path / "a.fits"), threading.Event(), threading.Event()

    def slow(*args: Any, **options: Any) -> int | None:
        opening.set()
        go_on.wait()
        return open_locked(*args, **options)

    async def cancelled() -> None:
        await gather([part_file.open_part(path, "memory://a.fits")])

    async def work() -> None:
        task = asyncio.ensure_future(cancelled())
        await asyncio.to_thread(opening.wait)
        task.cancel()
        asyncio.get_running_loop().call_soon(go_on.set)
        with pytest.raises(asyncio.CancelledError):
            await task

    with monkeypatch.context() as patch:
        patch.setattr(part_file, "open_locked", slow)
        asyncio.run(work())
    assert not list(tmp_path.iterdir())
    part_file.PartialFile(path, "memory://a.fits").close()


def test_ctrl_c_says_how_to_go_on(server: FrameServer, tmp_path: Path) -> None:
    here = tmp_path / "here"
    child = stalled_download(server, here)
    child.send_signal(signal.SIGINT)
    _, said = child.communicate()
    assert child.returncode == 130
    assert "of 24 files were fetched" in said
    assert "Run it again to continue from here" in said
    for name in contents(here):
        if ".part" not in name:
            assert (here / name).read_bytes() == frame(server, name)


def test_two_at_once_do_not_write_the_same_file(server: FrameServer, tmp_path: Path) -> None:
    from dkist_virtual.io.download.part_file import PartialFile

    name = opened(server).files.names[0]
    part = PartialFile(str(tmp_path / str(name)), "http://x")
    with pytest.raises(DownloadError, match="another process") as raised:
        opened(server)[0, 0, 0].download(tmp_path)
    assert list(raised.value.failures) == [name]
    part.close()
    opened(server)[0, 0, 0].download(tmp_path)
    assert contents(tmp_path) == {name}


# Verifying --------------------------------------------------------------------------------------


@pytest.mark.parametrize("scanned", [True, False])
def test_bytes_that_changed_are_refused(scanned: bool, server: FrameServer, tmp_path: Path) -> None:
    asdf = server.directory / "frames" / "cryonirsp.asdf"
    ds = opened(server) if scanned else dv.Dataset.from_asdf(asdf, frames=f"{server.url}/frames")
    ds = ds[0, 0, 0]
    (name,) = ds.files.names
    source = server.directory / "frames" / str(name)
    before = source.read_bytes()
    with fits.open(source) as hdus:
        at = hdus[1].fileinfo()["datLoc"] + 100
    assert "DATASUM" in fits.getheader(source, 1, disable_image_compression=True)
    broken = bytearray(before)
    broken[at] ^= 1
    try:
        source.write_bytes(broken)
        ds.download(tmp_path)  # its length is right
        assert (tmp_path / str(name)).read_bytes() == broken
        with pytest.raises(DownloadError, match="DATASUM"):
            ds.download(tmp_path / "other", verify=True)
        assert contents(tmp_path / "other") == set()
    finally:
        source.write_bytes(before)
    ds.download(tmp_path, verify=True)
    assert (tmp_path / str(name)).read_bytes() == before


def sum_checked(path: Path, checked: Checked) -> bool:
    with FileBytes(path) as data:
        return verify_datasum(data, checked)


@pytest.mark.parametrize("make", [compressed, plain])
@pytest.mark.parametrize("known", [True, False])
def test_the_sum_is_astropys(make: Any, known: bool, tmp_path: Path) -> None:
    path = tmp_path / "a.fits"
    path.write_bytes(make(scene((1, 20, 30), "f4", seed=3)))
    with fits.open(path, mode="update", disable_image_compression=True) as hdus:
        number = len(hdus) - 1
        hdus[number].add_datasum()
        expected = int(hdus[number].header["DATASUM"])
    with fits.open(path, disable_image_compression=True) as hdus:
        offset = hdus[number].fileinfo()["datLoc"]
    datasum = expected if known else -1
    assert sum_checked(path, Checked(number, -1, datasum))
    assert sum_checked(path, Checked(None, offset, datasum))
    with pytest.raises(FrameCorruptError, match="expected DATASUM = 7"):
        sum_checked(path, Checked(number, -1, 7))
    data = bytearray(path.read_bytes())
    data[offset + 40] ^= 8
    path.write_bytes(data)
    with pytest.raises(FrameCorruptError, match=f"DATASUM = {expected}"):
        sum_checked(path, Checked(number, -1, datasum))
    with FileBytes(str(path)) as file:
        check_whole(file, Checked(None, -1))
    path.write_bytes(data[: offset + 100])
    with FileBytes(str(path)) as file, pytest.raises(FrameCorruptError, match="cut short"):
        check_whole(file, Checked(None, -1))
    with pytest.raises(FrameCorruptError, match="cut short"):
        sum_checked(path, Checked(number, -1, datasum))


@pytest.mark.parametrize("scanned", [True, False])
def test_the_bar_counts_bytes_and_files(
    scanned: bool, server: FrameServer, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    asdf = server.directory / "frames" / "cryonirsp.asdf"
    ds = opened(server) if scanned else dv.Dataset.from_asdf(asdf, frames=f"{server.url}/frames")
    ds[0].download(tmp_path, workers=1, progress=True)
    shown = capfd.readouterr().err.rpartition("\r")[2]
    # Bytes of all, the time taken and left, the rate; the files.
    size = f"{sum(path.stat().st_size for path in tmp_path.iterdir()) / 1000:.0f}k"
    assert "100%" in shown
    assert shown.count(size) == 2
    assert re.search(r"\[\d\d:\d\d<\d\d:\d\d, +[\d.]+[kM]?B/s, 6/6 files\]", shown)


@pytest.mark.parametrize("scanned", [True, False])
def test_a_function_is_told_of_the_progress(
    scanned: bool, server: FrameServer, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    asdf = server.directory / "frames" / "cryonirsp.asdf"
    ds = opened(server) if scanned else dv.Dataset.from_asdf(asdf, frames=f"{server.url}/frames")
    told: list[Any] = []
    threads: set[int] = set()

    def tell(progress: Any) -> None:
        told.append(progress)
        threads.add(threading.get_ident())

    done = ds[0].download(tmp_path, progress=tell)
    size = sum(path.stat().st_size for path in tmp_path.iterdir())
    assert (told[0].n_done, told[0].n_files, told[0].n_bytes) == (0, 6, 0)
    assert (told[-1].n_done, told[-1].n_files, told[-1].n_bytes) == (6, 6, size)
    assert done.n_bytes == size
    assert {one.total for one in told} == {size if scanned else None}
    assert threads == {threading.get_ident()}
    assert capfd.readouterr().err == ""


class EnoughError(Exception):
    pass


def test_a_function_ends_the_download_and_what_is_there_is_whole(
    server: FrameServer, tmp_path: Path
) -> None:
    ds = opened(server)
    asked: set[str] = set()

    def fault(path: str, _: int) -> str | None:
        asked.add(path)
        return "stall" if len(asked) > 3 else None

    def tell(progress: Any) -> None:
        if len(asked) > 3:
            assert progress.n_done == 3
            raise EnoughError

    server.fault = fault
    with pytest.raises(EnoughError):
        ds[0].download(tmp_path, workers=1, progress=tell)
    whole = {name for name in contents(tmp_path) if not name.endswith((".part", ".part.json"))}
    assert len(whole) == 3
    for name in whole:
        assert (tmp_path / name).read_bytes() == frame(server, name)
    server.fault = no_fault
    done = ds[0].download(tmp_path, progress=False)
    assert (done.n_here, len(done.items)) == (3, 3)
    assert contents(tmp_path) == set(ds[0].files.names)


# Names ------------------------------------------------------------------------------------------

UNSAFE = {
    "../a.fits": "another directory",
    "a/../../b.fits": "another directory",
    "a/./b.fits": "another directory",
    "a//b.fits": "another directory",
    "..": "another directory",
    "": "another directory",
    "/etc/a.fits": "absolute",
    "C:/a.fits": "absolute",
    "https://x/a.fits": "absolute",
    "a\\b.fits": "backslash",
    "a\0.fits": "control character",
    "a\n.fits": "control character",
    "a.fits.part": "reserved for files that are being fetched",
    "out/a.fits": "a link that leads out",
    "out/deep/a.fits": "a link that leads out",
    "inside": "a directory of that name",
}


@pytest.mark.parametrize("name", UNSAFE)
def test_names_that_lead_out_are_refused(name: str, tmp_path: Path) -> None:
    here = tmp_path / "here"
    (here / "inside").mkdir(parents=True)
    (here / "out").symlink_to(tmp_path)
    (here / "in").symlink_to(here / "inside")
    check_names(["good.fits", "in/good.fits", "inside/x.fits"], str(here))
    before = contents(tmp_path)
    items = [
        Item(each, ("memory://x",), -1, Fetcher(), Checked(1, -1)) for each in ("good.fits", name)
    ]
    with pytest.raises(DownloadError, match="nothing was fetched") as raised:
        download(items, here)
    assert list(raised.value.failures) == [name]
    assert UNSAFE[name] in raised.value.failures[name]
    assert contents(tmp_path) == before


@pytest.mark.parametrize(
    "names",
    [("a.fits", "A.fits"), ("x/a.fits", "X/A.FITS"), ("\u00e9.fits", "e\u0301.fits"), ("a", "A/b")],
)
def test_names_that_are_one_where_case_does_not_count(names: Any, tmp_path: Path) -> None:
    with pytest.raises(DownloadError) as raised:
        check_names(names, str(tmp_path))
    assert set(raised.value.failures) == {names[1]}
    assert names[0] in str(raised.value)


def test_a_store_that_lies_about_names(server: FrameServer, tmp_path: Path) -> None:
    store = tmp_path / "store"
    store.mkdir()
    for file in (server.directory / "store").iterdir():
        (store / file.name).write_bytes(file.read_bytes())
    references = json.loads((store / "references.json").read_text())
    refs = references["refs"]
    base = json.loads(refs[".zattrs"])["dkist_virtual"]["base"]
    refs["data/0.0.0.0.0"][0] = f"{base}/../../evil.fits"
    (store / "references.json").write_text(json.dumps(references))
    ds = dv.open_dataset(store)
    server.forget()
    with pytest.raises(FrameRefusedError, match=r"\.\./\.\./evil\.fits"):
        ds.download(tmp_path / "a" / "b" / "c")
    assert server.requests == []
    assert not (tmp_path / "a").exists()


def test_links_in_the_way_of_a_part_are_not_followed(server: FrameServer, tmp_path: Path) -> None:
    ds = opened(server)[0, 0, 0]
    here = tmp_path / "here"
    here.mkdir()
    victim = tmp_path / "victim"
    victim.write_text("mine")
    (here / f"{ds.files.names[0]}.part").symlink_to(victim)
    with pytest.raises(DownloadError, match="is a link"):
        ds.download(here)
    assert victim.read_text() == "mine"


@pytest.mark.parametrize("what", ["a file", "a server"])
def test_destinations_that_are_none(what: str, server: FrameServer, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    place = tmp_path / "file" if what == "a file" else "https://example.org/here"
    with pytest.raises(DownloadError, match=r"is a file|not a directory on this machine"):
        opened(server).download(place)
    assert not Path("https:").exists()


# The command line -------------------------------------------------------------------------------


def run(*arguments: Any) -> int:
    try:
        main([str(argument) for argument in arguments])
    except SystemExit as done:
        return int(done.code or 0)
    return 0


def test_the_command(
    server: FrameServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = server.directory / "store"
    chosen = opened(server)[0, :, 1]
    how = ("download", store, tmp_path / "here", "--slice", "0, :, 1")
    assert run(*how, "--dry-run") == 0
    printed = capsys.readouterr().out
    for name in chosen.files.names:
        assert f"{name}\t{len(frame(server, name))}\n" in printed
    assert "2 files to fetch" in printed
    assert not (tmp_path / "here").exists()
    assert not any(path.startswith("frames/") for _, path, *_ in server.requests)
    assert run(*how, "--verify", "--workers", "1") == 0
    out, err = capsys.readouterr()
    assert "2 files fetched" in out
    assert err == ""  # no bar but on a terminal
    assert server.busiest == 1
    assert contents(tmp_path / "here") == set(chosen.files.names)
    assert run("download", store, tmp_path, "--slice", "0, zero") == 1
    assert "'zero' is not understood" in capsys.readouterr().err
    server.fault = lambda path, n: 404
    assert run("download", store, tmp_path / "other", "--slice", "0, 0, 0") == 1
    assert "answered 404" in capsys.readouterr().err

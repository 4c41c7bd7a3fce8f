"""Conversions that were stopped, and those of datasets that changed: what is read again."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import many
import numpy as np
import pytest
from many import name_of, rewrite, write_asdf, write_frames
from watches import opened_frames

import dkist_virtual as dv
from dkist_virtual.conversion import scan as scanning
from dkist_virtual.conversion.journal import FLUSH, Journal
from dkist_virtual.conversion.staging import WORTH
from dkist_virtual.demo.server import FrameServer
from dkist_virtual.errors import (
    DatasetError,
    FrameCorruptError,
    StoreExistsError,
    StoreMissingError,
)
from dkist_virtual.store.format.frame_index import FrameEntry


def contents(store: Path) -> dict[str, bytes]:
    """What the files of a store hold; of the description all but when it was written."""
    found = {
        str(path.relative_to(store)): path.read_bytes()
        for path in store.rglob("*")
        if path.is_file() and path.name != "dataset.asdf"
    }
    assert found
    return found


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Forty frames and their ASDF."""
    write_frames(tmp_path / "data", 40)
    write_asdf(tmp_path / "data" / "d.asdf", 40)
    return tmp_path / "data"


# Frames that are known --------------------------------------------------------------------------


@pytest.mark.parametrize("references", ["json", "parquet"])
def test_only_what_changed_is_read_again(data: Path, tmp_path: Path, references: Any) -> None:
    store, how = tmp_path / "store", {"references": references, "overwrite": True}
    dv.convert(data / "d.asdf", store, **how)
    before = contents(store)
    with opened_frames() as opened:
        done = dv.convert(data / "d.asdf", store, **how)
    assert (opened, done.n_kept, done.n_scanned) == ([], 40, 40)
    assert "0 scanned, 40 known from an earlier scan" in str(done)
    assert contents(store) == before

    rewrite(data, 7)
    os.utime(data / name_of(9), ns=(1, 1))  # a hard link: the time of all but the seventh
    with opened_frames() as opened:
        dv.convert(data / "d.asdf", store, **how)
    assert len(opened) == 40
    rewrite(data, 11)
    rewrite(data, 12)
    with opened_frames() as opened:
        done = dv.convert(data / "d.asdf", store, **how)
    assert (sorted(opened), done.n_kept) == ([name_of(11), name_of(12)], 38)
    # The same as of a conversion that knew nothing.
    dv.convert(data / "d.asdf", tmp_path / "anew", references=references)
    assert contents(store) == contents(tmp_path / "anew")
    with opened_frames() as opened:
        done = dv.convert(data / "d.asdf", store, rescan=True, **how)
    assert (len(opened), done.n_kept) == (40, 0)


def test_of_a_dataset_that_grew_the_new_frames_are_read(data: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    dv.convert(data / "d.asdf", store)
    write_frames(data, 45, first=40)
    write_asdf(data / "d.asdf", 45)
    with opened_frames() as opened:
        done = dv.convert(data / "d.asdf", store, overwrite=True)
    assert (sorted(opened), done.n_kept) == ([name_of(i) for i in range(40, 45)], 40)
    assert dv.open_dataset(store).data.compute().shape[0] == 45
    dv.convert(data / "d.asdf", tmp_path / "anew")
    assert contents(store) == contents(tmp_path / "anew")


def test_frames_that_went_away_or_came_are_noticed(data: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    os.remove(data / name_of(3))
    assert dv.convert(data / "d.asdf", store).n_absent == 1
    os.link(data / name_of(4), data / name_of(3))
    os.remove(data / name_of(5))
    with opened_frames() as opened:
        done = dv.convert(data / "d.asdf", store, overwrite=True)
    assert (opened, done.n_kept, done.n_absent) == ([name_of(3)], 38, 1)


def test_what_was_held_against_another_asdf_is_not_known(data: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    dv.convert(data / "d.asdf", store)
    text = (data / "d.asdf").read_bytes()
    assert b"datatype: float32" in text
    (data / "d.asdf").write_bytes(text.replace(b"datatype: float32", b"datatype: float64"))
    with pytest.raises(FrameCorruptError, match="expected float64, the datatype of the ASDF"):
        dv.convert(data / "d.asdf", store, overwrite=True)


def test_a_neighbour_of_another_type_is_refused_also_among_known_ones(
    data: Path, tmp_path: Path
) -> None:
    store = tmp_path / "store"
    dv.convert(data / "d.asdf", store)
    path = data / name_of(20)
    path.unlink()
    path.write_bytes(many.compressed(many.PIXELS.astype("f8")))
    with pytest.raises(FrameCorruptError, match=r"frame_000020\.fits.*float64"):
        dv.convert(data / "d.asdf", store, overwrite=True)


def test_a_store_that_cannot_be_read_is_replaced_all_the_same(data: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    dv.convert(data / "d.asdf", store)
    (store / "headers.parquet").write_bytes(b"PAR1 garbage")
    assert dv.convert(data / "d.asdf", store, overwrite=True).n_kept == 0
    assert len(dv.open_dataset(store).headers) == 40


def test_a_server_is_asked_one_byte_of_what_is_known(data: Path, tmp_path: Path) -> None:
    with FrameServer(data).running() as server:
        store = tmp_path / "store"
        dv.convert(f"{server.url}/d.asdf", store)
        server.forget()
        dv.convert(f"{server.url}/d.asdf", store, overwrite=True)
        asked = [entry for entry in server.requests if entry[1].endswith(".fits")]
        assert len(asked) == 40
        assert server.sent < (data / "d.asdf").stat().st_size + 40 * 2
        rewrite(data, 7)
        server.forget()
        done = dv.convert(f"{server.url}/d.asdf", store, overwrite=True)
        asked = [entry[1] for entry in server.requests if entry[1].endswith(".fits")]
        assert done.n_kept == 39
        assert sorted(asked) == sorted([*map(name_of, range(40)), name_of(7)])


# Stopped, and begun again -----------------------------------------------------------------------

N = WORTH + 3 * FLUSH

KILLED = """
import os, signal, sys
count = 0
def hook(event, args):
    global count
    if event == "open" and str(args[0]).endswith(".fits"):
        count += 1
        if count == int(sys.argv[1]):
            os.kill(os.getpid(), getattr(signal, sys.argv[2]))
import dkist
signal.signal(signal.SIGINT, signal.default_int_handler)
sys.addaudithook(hook)
from dkist_virtual.cli.main import main
main(sys.argv[3:])
"""


def convert_and_stop(after: int, how: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", KILLED, str(after), how, "convert", *map(str, arguments)],
        capture_output=True,
        text=True,
    )


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("large")
    write_frames(directory, N)
    write_asdf(directory / "d.asdf", N)
    return directory


@pytest.mark.slow
@pytest.mark.parametrize("how", ["SIGKILL", "SIGINT"])
def test_a_conversion_goes_on_where_it_was_stopped(how: str, large: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    stopped = convert_and_stop(WORTH + 2 * FLUSH, how, large / "d.asdf", store, "--workers", 1)
    assert stopped.returncode == (-signal.SIGKILL if how == "SIGKILL" else 130), stopped.stderr
    assert os.listdir(tmp_path) == [".store.part"]
    if how == "SIGINT":
        assert "frames have been scanned, and the same command goes on from there" in stopped.stderr
    with opened_frames() as opened:
        done = dv.convert(large / "d.asdf", store)
    # Those of the last piece were looked at, and not yet noted.
    assert WORTH <= done.n_kept < WORTH + 2 * FLUSH + 64
    assert len(opened) == N - done.n_kept
    assert opened == [name_of(i) for i in range(done.n_kept, N)] or set(opened) == set(
        map(name_of, range(done.n_kept, N))
    )
    assert os.listdir(tmp_path) == ["store"]
    dv.convert(large / "d.asdf", tmp_path / "anew")
    assert contents(store) == contents(tmp_path / "anew")


@pytest.mark.slow
def test_frames_that_changed_meanwhile_are_read_again(large: Path, tmp_path: Path) -> None:
    data = Path(shutil.copytree(large, tmp_path / "data", copy_function=os.link))
    store = tmp_path / "store"
    convert_and_stop(WORTH + 2 * FLUSH, "SIGKILL", data / "d.asdf", store, "--workers", 1)
    rewrite(data, 5)
    with opened_frames() as opened:
        dv.convert(data / "d.asdf", store)
    assert name_of(5) in opened
    assert name_of(6) not in opened
    np.testing.assert_array_equal(
        dv.open_dataset(store).data[5].compute(), dv.open_dataset(store)[5].data.compute()
    )
    dv.convert(data / "d.asdf", tmp_path / "anew")
    assert contents(store) == contents(tmp_path / "anew")


@pytest.mark.slow
def test_the_journal_of_another_conversion_is_begun_anew(large: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    convert_and_stop(WORTH + 2 * FLUSH, "SIGKILL", large / "d.asdf", store, "--workers", 1)
    here = tmp_path / "elsewhere"
    write_frames(here, 10)
    write_asdf(tmp_path / "other.asdf", 10)
    with opened_frames() as opened:
        assert dv.convert(tmp_path / "other.asdf", store, frames=here).n_kept == 0
    assert len(opened) == 10


def test_one_conversion_at_a_time(data: Path, tmp_path: Path) -> None:
    from dkist_virtual.conversion.staging import build_store

    with (
        build_store(tmp_path / "store", {}, overwrite=False),
        pytest.raises(StoreExistsError, match="another conversion is writing this store just now"),
    ):
        dv.convert(data / "d.asdf", tmp_path / "store")
    dv.convert(data / "d.asdf", tmp_path / "store")


def test_a_store_that_was_being_replaced_when_it_was_killed_comes_back(
    data: Path, tmp_path: Path
) -> None:
    dv.convert(data / "d.asdf", tmp_path / "store")
    work = tmp_path / ".store.part"
    work.mkdir()
    (tmp_path / "store").rename(work / "replaced by the new one")
    os.remove(data / name_of(1))
    with pytest.raises(Exception, match="1 of 40 frames are absent"):
        dv.convert(data / "d.asdf", tmp_path / "store", scan="always")
    assert len(dv.open_dataset(tmp_path / "store").files) == 40


# The journal ------------------------------------------------------------------------------------


def an_entry(i: int) -> FrameEntry:
    etag = f'"{i}"' if i % 2 else None
    return FrameEntry(5760 + i, 0, 5760, -1, 2880, i, etag, -1, "<f4", "words")


def test_a_journal_holds_what_was_noted(tmp_path: Path) -> None:
    path = tmp_path / "j"
    with Journal(path, {"of": "this"}) as journal:
        assert (journal.n, journal.known) == (0, {})
        for i in range(5):
            journal.record("data_0_1", f"ümlaut {i}", an_entry(i))
        journal.record("data_1_0", "x", an_entry(9))
    with Journal(path, {"of": "this"}) as again:
        known = again.known["data_0_1"]
        assert known.names.tolist() == [f"ümlaut {i}" for i in range(5)]
        assert known["size"].tolist() == [5760 + i for i in range(5)]
        assert known["etag"].tolist() == [an_entry(i).etag for i in range(5)]
        assert known.dtype == np.dtype("<f4")
        assert again.n == 6
        assert again.recent
    with Journal(path, {"of": "that"}) as other:
        assert other.known == {}
    with Journal(path, {"of": "this"}) as begun_anew:
        assert begun_anew.n == 0


def test_a_journal_of_an_earlier_version_still_opens(tmp_path: Path) -> None:
    (tmp_path / "j").write_text(
        '{"format": 1, "of": "this"}\n["data","a",0,5760,64,2880,5761,7,"\\"e\\"",9,"<f4"]\n'
    )
    with Journal(tmp_path / "j", {"of": "this"}) as journal:
        known = journal.known["data"]
    assert known.entries(np.array([0])) == [FrameEntry(5761, 0, 5760, 64, 2880, 7, '"e"', 9)]
    assert (known.names.tolist(), known.dtype) == (["a"], np.dtype("<f4"))


@pytest.mark.parametrize("end", [b'["data","x",0,57', b"\0" * 4096, b'{"half": \n["data"]\n'])
def test_what_was_being_written_is_no_line(end: bytes, tmp_path: Path) -> None:
    path = tmp_path / "j"
    with Journal(path, {}) as journal:
        journal.record("data", "a", an_entry(1))
    whole = path.read_bytes()
    path.write_bytes(whole + end)
    with Journal(path, {}) as again:
        assert again.known["data"].names.tolist() == ["a"]
        again.record("data", "b", an_entry(2))
    lines = path.read_bytes().splitlines()
    assert path.read_bytes().startswith(whole)
    assert [json.loads(line)[1] for line in lines[1:]] == ["a", "b"]


def test_the_last_look_at_a_frame_counts(tmp_path: Path) -> None:
    with Journal(tmp_path / "j", {}) as journal:
        journal.record("data", "a", an_entry(1))
        journal.record("data", "a", an_entry(2))
    with Journal(tmp_path / "j", {}) as again:
        assert again.known["data"]["size"].tolist() == [5762]


# A newer ASDF -----------------------------------------------------------------------------------


@pytest.mark.parametrize("references", ["json", "parquet"])
def test_update_takes_over_everything_and_reads_no_frame(
    data: Path, tmp_path: Path, references: Any
) -> None:
    store = tmp_path / "store"
    dv.convert(data / "d.asdf", store, references=references)
    pixels = dv.open_dataset(store).data.compute()
    newer = write_asdf(tmp_path / "newer.asdf", 40, createDate="2030-01-01", mended=True)
    with opened_frames() as opened:
        done = dv.update(store, newer)
    assert (opened, done.n_kept, done.n_scanned) == ([], 40, 40)
    ds = dv.open_dataset(store)
    assert ds.inventory["mended"] is True
    assert "made from      newer.asdf of 2030-01-01, dataset-1.3.0" in str(ds)
    np.testing.assert_array_equal(ds.data.compute(), pixels)
    dv.convert(newer, tmp_path / "anew", frames=data, references=references)
    assert contents(store) == contents(tmp_path / "anew")


def test_update_follows_names_and_scans_those_that_are_new(data: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    for i in range(40):
        rewrite(data, i, scale=1 + i)
    dv.convert(data / "d.asdf", store)
    newer = write_asdf(data / "newer.asdf", 42)
    text = newer.read_bytes()
    swapped = text.replace(b"frame_000003", b"FRAME").replace(b"frame_000030", b"frame_000003")
    newer.write_bytes(swapped.replace(b"FRAME", b"frame_000030"))
    write_frames(data, 42, first=40)
    with opened_frames() as opened:
        dv.update(store, newer)
    assert sorted(opened) == [name_of(40), name_of(41)]
    ds = dv.open_dataset(store)
    assert ds.files.names[3] == name_of(30)
    np.testing.assert_array_equal(ds[30].data.compute(), dv.open_dataset(store).data[30].compute())
    dv.convert(newer, tmp_path / "anew")
    assert contents(store) == contents(tmp_path / "anew")


def test_update_of_a_store_without_a_scan_scans_nothing(data: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    dv.convert(data / "d.asdf", store, scan="never")
    with opened_frames() as opened:
        assert dv.update(store, data / "d.asdf").n_scanned == 0
        assert opened == []
        assert dv.update(store, data / "d.asdf", scan="auto").n_scanned == 40
    assert len(opened) == 40


def test_update_with_the_very_asdf_of_a_store_writes_nothing(data: Path, tmp_path: Path) -> None:
    store, again = tmp_path / "store", data / "d.asdf"
    first = dv.convert(again, store)
    (store / "verify.json").write_text("{}")
    before = {path.name: path.read_bytes() for path in store.iterdir()}

    def is_rewritten(asdf: Path = again, **how: Any) -> bool:
        with opened_frames() as opened:
            done = dv.update(store, asdf, **how)
        assert (done.n_frames, done.n_scanned, done.n_bytes) == (40, 40, first.n_bytes)
        assert len(opened) == 40 - done.n_kept
        now = {path.name: path.read_bytes() for path in store.iterdir()}
        assert set(now) == set(before) - ({"verify.json"} if now != before else set())
        return now != before

    assert not is_rewritten()
    assert not is_rewritten(scan="always")
    with pytest.raises(ValueError, match="scan = 'some'"):
        dv.update(store, again, scan="some")  # type: ignore[arg-type]
    with pytest.raises(DatasetError, match="no such file"):
        dv.update(store, data / "nowhere.asdf")
    assert is_rewritten(Path(shutil.copy(again, data / "other.asdf")))
    assert is_rewritten()  # which has another name
    os.truncate(store / "headers.parquet", 100)
    before = {path.name: path.read_bytes() for path in store.iterdir()}
    assert is_rewritten()


def test_update_refuses_another_dataset_and_what_is_no_store(data: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    with pytest.raises(StoreMissingError, match="no store here"):
        dv.update(store, data / "d.asdf")
    dv.convert(data / "d.asdf", store)
    before = contents(store)
    other = write_asdf(tmp_path / "other.asdf", 40, dataset_id="OTHER")
    with pytest.raises(DatasetError, match=r"is of the dataset OTHER, and .* of MANYS"):
        dv.update(store, other)
    (tmp_path / "directory").mkdir()
    with pytest.raises(StoreExistsError, match="is not a store"):
        dv.update(tmp_path / "directory", data / "d.asdf")
    assert contents(store) == before


def test_frames_are_taken_a_piece_at_a_time(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dv.convert(data / "d.asdf", tmp_path / "store")
    monkeypatch.setattr(scanning, "PIECE", 7)
    dv.convert(data / "d.asdf", tmp_path / "other")
    assert contents(tmp_path / "other") == contents(tmp_path / "store")

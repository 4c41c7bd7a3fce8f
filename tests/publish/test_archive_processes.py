"""Archives converted by several processes: killed, interrupted, two at once, on a cluster."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from archives import contents
from many import write_asdf, write_frames

import dkist_virtual as dv
from dkist_virtual.demo.archive import make_archive
from dkist_virtual.publish.archive.pool import DiedError, run_in_processes

MAIN = "from dkist_virtual.cli.main import main; main()"
FILES = {"dataset.asdf", "headers.parquet", "references.json"}


def test_a_process_that_dies_fails_its_job_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    die = "__import__('os').kill(__import__('os').getpid(), 9)"
    # The script that runs is not run again in them.
    (tmp_path / "script.py").write_text("raise SystemExit(7)")
    monkeypatch.setattr(sys.modules["__main__"], "__spec__", None)
    monkeypatch.setattr(
        sys.modules["__main__"], "__file__", str(tmp_path / "script.py"), raising=False
    )
    jobs = ["1 + 1", die, "__import__('os')._exit(3)", "__import__('os').getppid()"]
    results = dict(run_in_processes(jobs, eval, 1))
    assert results[jobs[0]] == 2
    assert "ended by signal 9" in str(results[die])
    assert isinstance(results[jobs[2]], DiedError)
    assert "exit status 3" in str(results[jobs[2]])
    assert results[jobs[3]] == os.getpid()


def command(archive: Path, stores: Path, *options: str) -> subprocess.Popen[str]:
    arguments = ["convert", "--all", str(archive), "--to", str(stores), *options]
    return subprocess.Popen(
        [sys.executable, "-c", MAIN, *arguments], text=True, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )  # fmt: skip


def children(pid: int) -> list[int]:
    return list(map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()))


def wait_for_end(pids: list[int]) -> None:
    """Wait until processes have ended; the test is stopped by its time limit otherwise."""
    while any(Path(f"/proc/{pid}").exists() for pid in pids):
        time.sleep(0.02)


def after(process: subprocess.Popen[str], n: int) -> None:
    """Wait until a command has said so many lines."""
    assert process.stdout is not None
    for _ in range(n):
        assert ": new, " in process.stdout.readline()


def check_whole(stores: Path) -> int:
    found = list(stores.glob("*.virtual"))
    assert all({path.name for path in store.iterdir()} == FILES for store in found)
    return len(found)


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="needs /proc to find processes")
def test_three_hundred_interrupted_and_killed_are_those_of_an_undisturbed_run(
    tmp_path: Path,
) -> None:
    n, archive, stores = 300, tmp_path / "A", tmp_path / "S"
    write_frames(tmp_path / "p", 2)
    pattern = write_asdf(tmp_path / "p" / "p.asdf", 2, startTime="2024-01-02T03:04:05")
    made = make_archive(archive, [pattern], n)

    first = command(archive, stores, "--workers", "1")
    after(first, 1)
    second = command(archive, stores)
    said = second.communicate()
    assert second.returncode == 3
    assert "another run of convert_archive is writing these stores" in said[1]
    after(first, 5)
    first.send_signal(signal.SIGINT)
    first.communicate()
    assert first.returncode == 130
    assert not json.loads((stores / "archive.json").read_text())["run"]["complete"]
    assert [path.name for path in stores.iterdir() if path.name.startswith(".")] == []
    n_done = check_whole(stores)
    assert 6 <= n_done < n

    killed = command(archive, stores, "--workers", "2")
    after(killed, 40)
    workers = children(killed.pid)
    killed.kill()
    killed.communicate()
    wait_for_end(workers)
    # The one that was interrupted may have been there already: it is converted, and said, again.
    assert n_done + 39 <= check_whole(stores) < n
    journal = (stores / ".archive.json.part" / "done.jsonl").read_text()
    assert len(journal.splitlines()) >= 40

    report = dv.convert_archive(archive, stores, workers=1)
    assert report.counts["new"] + report.counts["unchanged"] == len(report.datasets) == n
    assert report.counts["unchanged"] >= n_done + 39
    assert check_whole(stores) == n
    assert [path.name for path in stores.iterdir() if path.suffix != ".virtual"] == ["archive.json"]
    record = json.loads((stores / "archive.json").read_text())
    assert record["run"]["complete"]
    assert len(record["datasets"]) == n
    sample = made[::6]
    dv.convert_archive(sample, tmp_path / "U", workers=1)
    for asdf in sample:
        name = f"{asdf.stem}.virtual"
        assert contents(stores / name) == contents(tmp_path / "U" / name)


@pytest.mark.slow
def test_a_cluster(tmp_path: Path) -> None:
    from distributed import Client, LocalCluster

    write_frames(tmp_path / "p", 2)
    pattern = write_asdf(tmp_path / "p" / "p.asdf", 2)
    made = make_archive(tmp_path / "A", [pattern], 6)
    made[2].write_bytes(made[2].read_bytes().replace(b"dataset-1.3.0", b"dataset-9.9.9"))
    options: dict[str, Any] = {"processes": False, "n_workers": 1, "threads_per_worker": 2}
    with LocalCluster(dashboard_address=None, **options) as cluster, Client(cluster) as client:
        report = dv.convert_archive(tmp_path / "A", tmp_path / "S", client=client)
    assert report.counts["new"] == 5
    assert [one.name for one in report.failures] == ["AAAAC"]
    again = dv.convert_archive(tmp_path / "A", tmp_path / "S", workers=1)
    assert (again.counts["unchanged"], again.counts["failed"]) == (5, 1)

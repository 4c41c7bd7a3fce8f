"""Convert an archive of small datasets, killed once and said again: ``make bench-archive``.

Datasets are made by rewriting a few ASDFs with other IDs and times. The command is killed with
SIGKILL when it has made half of the stores, said again, and said once more when nothing has
changed. CPU time and memory are sampled of the command and its workers, since those of a process
that was killed are nowhere else. Then the same of datasets as simulators make them, whose headers
are as long as real ones; 50,000 datasets that have not changed; and a profile of one process.

    PYTHONPATH=tests/support python benchmarks/archive.py [--datasets N] [--workers N] [--json FILE]
"""

from __future__ import annotations

import argparse
import cProfile
import json
import os
import platform
import pstats
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from many import write_asdf, write_frames  # in tests/support

COMMAND = "from dkist_virtual.cli.main import main; main()"
TICK = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass
class Watched:
    """CPU time and memory of a process and its children, while they live."""

    pid: int
    cpu: dict[int, float] = field(default_factory=dict)
    peak: dict[int, int] = field(default_factory=dict)
    line: list[tuple[int, float, int]] = field(default_factory=list)

    def look(self, done: int) -> None:
        """Note CPU seconds and resident bytes of each; `done` datasets are done."""
        now = 0
        for pid in [self.pid, *_children(self.pid)]:
            try:
                text = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            except (FileNotFoundError, ProcessLookupError):
                continue
            self.cpu[pid] = (int(text[11]) + int(text[12])) / TICK
            rss = int(text[21]) * PAGE
            self.peak[pid] = max(self.peak.get(pid, 0), rss)
            now = max(now, rss)
        self.line.append((done, sum(self.cpu.values()), now))


def _children(pid: int) -> list[int]:
    try:
        return list(map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()))
    except (FileNotFoundError, ProcessLookupError):
        return []


def run(archive: Path, stores: Path, workers: int, *, kill_at: int | None = None) -> dict[str, Any]:
    """Run the command, or kill it when it has made so many stores; say what it took."""
    arguments = ["convert", "--all", archive, "--to", stores, "--workers", workers]
    began = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-c", COMMAND, *map(str, arguments)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": str(workers)},
    )
    watched, done, last, looked = Watched(process.pid), 0, "", 0.0
    assert process.stdout is not None
    while line := process.stdout.readline():
        last = line.strip()
        done += ".virtual: " in line
        if time.perf_counter() - looked > 1:
            watched.look(done)
            looked = time.perf_counter()
        if kill_at is not None and done >= kill_at:
            watched.look(done)
            process.send_signal(signal.SIGKILL)
            break
    process.stdout.close()
    process.wait()
    half = next((point for point in watched.line if point[0] >= done // 2), (0, 0.0, 0))
    return {
        "seconds": round(time.perf_counter() - began, 1),
        "cpu": round(sum(watched.cpu.values()), 1),
        "datasets": done,
        "rss_parent_MB": watched.peak.get(process.pid, 0) // 10**6,
        "rss_worker_MB": max((v for k, v in watched.peak.items() if k != process.pid), default=0)
        // 10**6,
        "rss_at_half_MB": half[2] // 10**6,
        "exit": process.returncode,
        "said": last,
        "line": watched.line[:: max(1, len(watched.line) // 20)],
    }


def patterns(directory: Path) -> list[Path]:
    """Three small ASDFs, of 1, 2 and 4 frames."""
    found = []
    for n in (1, 2, 4):
        write_frames(directory / str(n), n)
        asdf = directory / str(n) / "pattern.asdf"
        found.append(write_asdf(asdf, n, startTime="2024-01-02T03:04:05"))
    return found


def killed_once(here: Path, asdfs: list[Path], n: int, workers: int) -> dict[str, Any]:
    """Make an archive; convert it, killed in the middle; again; and when nothing has changed."""
    from dkist_virtual.demo.archive import make_archive

    archive, stores = here / "A", here / "S"
    began = time.perf_counter()
    make_archive(archive, asdfs, n)
    found: dict[str, Any] = {"datasets": n, "made": round(time.perf_counter() - began, 1)}
    for name, kill_at in (("killed", n // 2), ("again", None), ("unchanged", None)):
        found[name] = run(archive, stores, workers, kill_at=kill_at)
        print(f"{n} datasets, {name}: {found[name] | {'line': ''}}", flush=True)
    assert len(list(stores.glob("*.virtual"))) == n
    return found


def unchanged(here: Path, asdf: Path, n: int) -> dict[str, Any]:
    """Look at `n` datasets that have not changed, whose record is made up."""
    import resource

    import dkist_virtual as dv
    from dkist_virtual.demo.archive import make_archive
    from dkist_virtual.publish.archive.find import Stamp
    from dkist_virtual.publish.archive.options import Options
    from dkist_virtual.publish.archive.record import Converted, Entry, Record

    archive, stores = here / "A", here / "S"
    record, options = Record(), Options()
    for path in make_archive(archive, [asdf], n):
        status = path.stat()
        stamp = Stamp(status.st_size, status.st_mtime_ns)
        made = options.made(path.stem, str(path), str(archive))
        converted = Converted(str(path), stamp, "0" * 64, made, 1, 0, 0, 1, -1, "")
        record.datasets[path.stem] = Entry(path.stem, str(path), stamp, "new", converted=converted)
        (stores / f"{path.stem}.virtual").mkdir(parents=True)
    record.write(str(stores))
    began, cpu = time.perf_counter(), time.process_time()
    report = dv.convert_archive(archive, stores)
    assert report.counts["unchanged"] == n
    found = {
        "datasets": n,
        "seconds": round(time.perf_counter() - began, 1),
        "cpu": round(time.process_time() - cpu, 1),
        "rss_MB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1000,
        "record_MB": round((stores / "archive.json").stat().st_size / 1e6, 1),
    }
    print(f"unchanged: {found}", flush=True)
    return found


def profile(here: Path, asdfs: list[Path], n: int) -> list[str]:
    """Profile conversions in this process; the shares of what they call."""
    import dkist_virtual as dv
    from dkist_virtual.demo.archive import make_archive

    make_archive(here / "A", asdfs, n + 3)
    dv.convert_archive(sorted((here / "A").rglob("*.asdf"))[:3], here / "S", workers=1)
    profiler = cProfile.Profile(time.process_time)  # the machine may do other things as well
    cpu = time.process_time()
    profiler.enable()
    dv.convert_archive(here / "A", here / "S", workers=1)
    profiler.disable()
    total = time.process_time() - cpu
    wanted = {
        "read_source": "read the ASDF", "load_with_dkist": "of it: by dkist, WCS and meta",
        "read_tree": "of it: the tree as YAML", "write_description": "write dataset.asdf",
        "_scan": "scan frames", "_write_headers": "write the header table",
        "write_references": "write references", "sync_all": "flush to the disk",
        "identity_of": "find the ID", "check_same_dataset": "",
    }  # fmt: skip
    stats: Any = pstats.Stats(profiler)
    lines = []
    for (_, _, name), (*_, cumulative, _) in stats.stats.items():
        if wanted.get(name):
            lines.append(f"{wanted[name]}: {100 * cumulative / total:.0f} %")
    print("profile:", ", ".join(lines), flush=True)
    return lines


def main() -> None:
    """Measure, print, and write JSON if asked to."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--datasets", type=int, default=10_000)
    parser.add_argument("--simulated", type=int, default=200)
    parser.add_argument("--unchanged", type=int, default=50_000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    found: dict[str, Any] = {
        "python": platform.python_version(), "cpus": os.cpu_count(), "workers": asked.workers,
    }  # fmt: skip
    with tempfile.TemporaryDirectory() as directory:
        here = Path(directory)
        small = patterns(here / "patterns")
        if asked.datasets:
            found["small"] = killed_once(here / "small", small, asked.datasets, asked.workers)
        if asked.simulated:
            from dkist_virtual.demo.vtf import make_vtf

            vtf = make_vtf(here / "vtf", shape=(2, 1, 3, 48, 64), echo=lambda _: None)
            found["simulated"] = killed_once(
                here / "simulated", [vtf], asked.simulated, asked.workers
            )
            found["profile"] = profile(here / "profile", [vtf], 50)
        if asked.unchanged:
            found["unchanged"] = unchanged(here / "unchanged", small[0], asked.unchanged)
        if asked.json:
            asked.json.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()

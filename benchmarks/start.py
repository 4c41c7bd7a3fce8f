"""CPU times of fresh processes: imports, opening, a first frame, commands: ``make bench-start``.

Each line is one piece of work in a new interpreter, done by everyone in turn, round after round.
What counts is the CPU time of the process, user and system; the figures are medians over the
rounds, the ratios those of the medians.

    python benchmarks/start.py [--rounds N] [--only WORD] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

from run import dataset

COMMAND = "from dkist_virtual.cli.main import main; main()"
DKIST = ["-c", "import dkist"]


def works(store: Path, visp: Path) -> dict[str, dict[str, list[str]]]:
    """Each piece of work: who does it, and the arguments of its interpreter; ours comes first."""

    def command(*arguments: object) -> list[str]:
        return ["-c", COMMAND, *map(str, arguments)]

    place = str(visp / "store")
    ours = f"import dkist_virtual as dv; dv.open_dataset({place!r})[0].data.compute()"
    zarr = f"import dkist_virtual as dv; dv.open_zarr({place!r})['data'][0]"
    theirs = f"import dkist; dkist.load_dataset({str(visp / 'b.asdf')!r})[0].data.compute()"
    return {
        "open_dataset and a first ViSP frame": {
            "ours": ["-c", ours], "dkist": ["-c", theirs], "import ndcube": ["-c", "import ndcube"],
        },
        "open_zarr and a first ViSP frame": {
            "ours": ["-c", zarr], "dkist": ["-c", theirs], "import zarr": ["-c", "import zarr"],
        },
        "dkist-virtual info STORE": {"ours": command("info", store), "import dkist": DKIST},
        "dkist-virtual download STORE --dry-run": {
            "ours": command("download", store, store.parent / "copy", "--dry-run"),
            "import dkist": DKIST,
        },
        "a mistyped path": {
            "ours": command("info", store / "nowhere"), "import numpy": ["-c", "import numpy"],
        },
        "a mistyped option": {
            "ours": command("info", store, "--nonsense"), "import numpy": ["-c", "import numpy"],
        },
        "dkist-virtual --help": {
            "ours": command("--help"), "import numpy": ["-c", "import numpy"],
        },
    }  # fmt: skip


def cpu_time(arguments: list[str], expected: tuple[int, ...] = (0, 1, 2)) -> float:
    """User and system time of one process, in seconds."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run([sys.executable, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode in expected, done.stderr
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def measure(jobs: dict[str, list[str]], rounds: int) -> dict[str, float]:
    """The median CPU time of each, in seconds; the first round, which fills caches, is left out."""
    times: dict[str, list[float]] = {name: [] for name in jobs}
    for _ in range(rounds + 1):
        for name, arguments in jobs.items():
            times[name].append(cpu_time(arguments))
    return {name: statistics.median(taken[1:]) for name, taken in times.items()}


def main() -> None:
    """Measure, print a table, and write JSON if asked to."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--only", default="", help="Only work whose name contains this.")
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()

    import dkist_virtual as dv
    from dkist_virtual.demo.vtf import make_vtf

    found = []
    with tempfile.TemporaryDirectory() as directory:
        here = Path(directory)
        asdf = make_vtf(here / "frames", shape=(4, 1, 5, 48, 64), echo=lambda _: None)
        dv.convert(asdf, here / "VTF.virtual", progress=False)
        dataset(here, "ViSP", "RICE_1", 4)
        for work, jobs in works(here / "VTF.virtual", here / "ViSP-RICE_1-4").items():
            if asked.only not in work:
                continue
            times = measure(jobs, asked.rounds)
            ours, *others = times.values()
            figures = ", ".join(f"{name} {seconds:.3f} s" for name, seconds in times.items())
            ratios = ", ".join(f"{other / ours:.2f}x" for other in others)
            print(f"{work:<40}  {figures}  ({ratios})", flush=True)
            found.append({"work": work, "seconds": times})
    if asked.json:
        about = {
            "python": platform.python_version(),
            "machine": platform.machine(),
            "cpus": os.cpu_count(),
            "rounds": asked.rounds,
            "versions": {name: version(name) for name in ("dkist_virtual", "dkist", "numpy")},
        }
        asked.json.write_text(json.dumps({**about, "results": found}, indent=1) + "\n")


if __name__ == "__main__":
    main()

"""Time what a notebook reads and draws, with dkist and with this package.

    python benchmarks/notebook.py [--rounds N]

The calls are those of the table that the tests compare (``tests/support/dkist_calls.py``), the
datasets are the tests' simulated ones. Each call is made by both packages in turn, dataset opened
anew, and the median of the CPU time of this process is printed: a noisy machine changes it little.
"""

from __future__ import annotations

import argparse
import logging
import shutil
import statistics
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "support"))

import dkist
import matplotlib as mpl
import matplotlib.pyplot as plt
from dkist_assets import ROOT
from dkist_calls import CALLS, DASK, PLOTS, Call, Notebook
from plain_values import plain
from simulated import generate

import dkist_virtual as dv

REAL = {"eit": "EIT/eit_test_dataset.asdf", "small_visp": "small_visp/test_visp.asdf"}


def place(name: str, directory: Path) -> Path:
    """Make the ASDF of a dataset, once."""
    if name in REAL:
        return ROOT / REAL[name]
    made = directory / name
    if not made.exists():
        generate(name, made)
    return made / f"{name}.asdf"


def timed(call: Call, package: Any, directory: Path) -> float:
    """CPU seconds of a call with a package, its result as numbers included."""
    with tempfile.TemporaryDirectory() as tmp:
        notebook = Notebook(
            package, place(call.of, directory), Path(tmp), lambda name: place(name, directory)
        )
        began = time.process_time()
        plain(call.do(notebook))
        taken = time.process_time() - began
    plt.close("all")
    return taken


def main() -> None:
    """Print a table, and how often this package takes less."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    mpl.use("Agg")
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    directory = Path(tempfile.mkdtemp())
    both = [call for call in (*DASK, *PLOTS) if not (call.dkist or call.ours)]
    both = [call for call in both if call in CALLS and "cluster" not in call.name]
    sums = [0.0, 0.0]
    faster = 0
    print(f"{'call':60} {'dkist':>8} {'here':>8}   ms of CPU, median of {rounds}")
    try:
        for call in both:
            seconds: tuple[list[float], list[float]] = ([], [])
            try:
                for package in (dkist, dv):  # once for imports and compiled kernels
                    timed(call, package, directory)
                for _ in range(rounds):
                    for package, taken in zip((dkist, dv), seconds, strict=True):
                        taken.append(timed(call, package, directory))
            except Exception as error:  # noqa: BLE001  # the other calls are still timed
                print(f"{call.name:60} {type(error).__name__}")
                continue
            theirs, ours = map(statistics.median, seconds)
            sums[0] += theirs
            sums[1] += ours
            faster += ours < theirs
            print(f"{call.name:60} {theirs * 1e3:8.0f} {ours * 1e3:8.0f}")
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    print(f"{'all':60} {sums[0] * 1e3:8.0f} {sums[1] * 1e3:8.0f}")
    print(f"{faster} of {len(both)} take less CPU here")


if __name__ == "__main__":
    main()

"""What a checked read costs: whole frames with and without ``verify=True``: ``make bench-checked``.

Frames of real sizes, in the page cache, read one after the other by one thread and as dask reads
them; with and without in turn, round after round. Medians.

    python benchmarks/checked.py [--rounds N] [--frames N]
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

from run import dataset

import dkist_virtual as dv


def main() -> None:
    """Run and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--frames", type=int, default=12)
    given = parser.parse_args()
    print(f"{'frames':20} {'unchecked':>12} {'checked':>12}  cost")
    for kind, algorithm in (("ViSP", "RICE_1"), ("VBI", "RICE_1"), ("ViSP", None), ("VBI", None)):
        with tempfile.TemporaryDirectory() as made:
            dataset(Path(made), kind, algorithm, given.frames)
            (place,) = Path(made).iterdir()
            arrays = [
                dv.open_dataset(place / "store", verify=verify).provenance.array
                for verify in (False, True)
            ]
            times: tuple[list[float], list[float]] = ([], [])
            for round_ in range(given.rounds + 2):
                for array, taken in zip(arrays, times, strict=True):
                    began = time.perf_counter()
                    for i in range(given.frames):
                        array[i]
                    if round_ >= 2:  # compiled, and in the page cache
                        taken.append((time.perf_counter() - began) / given.frames)
            plain, checked = (statistics.median(taken) for taken in times)
            cost = statistics.median(c / p for p, c in zip(*times, strict=True)) - 1
            name = f"{kind} {algorithm or 'plain'}"
            print(f"{name:20} {plain * 1e3:9.2f} ms {checked * 1e3:9.2f} ms  {cost:+.1%}")


if __name__ == "__main__":
    main()

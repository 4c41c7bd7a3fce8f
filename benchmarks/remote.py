"""Times of reading frames from a server that takes 30 ms an answer: ``make bench-remote``.

The server is another process on loopback. Everyone fetches in turn, in one process; medians.

    python benchmarks/remote.py [--rounds N] [--delay SECONDS]
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
from run import dataset

import dkist_virtual as dv
from dkist_virtual.conversion.scan import Expected, scan_frames
from dkist_virtual.io.fetcher import Fetcher

SERVER = ("-m", "dkist_virtual.demo.server")


def medians(everyone: dict[str, Callable[[], Any]], rounds: int) -> dict[str, float]:
    """Seconds that each takes, one after the other in every round."""
    taken: dict[str, list[float]] = {who: [] for who in everyone}
    for _ in range(rounds):
        for who, run in everyone.items():
            began = time.perf_counter()
            run()
            taken[who].append(time.perf_counter() - began)
    return {who: statistics.median(times) for who, times in taken.items()}


def main() -> None:
    """Run and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--delay", type=float, default=0.03)
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as made:
        directory = Path(made)
        dataset(directory, "ViSP", "RICE_1", 64)
        (place,) = directory.iterdir()
        for i in range(64, 1000):
            os.link(place / "0.fits", place / f"{i}.fits")
        server = subprocess.Popen(
            [sys.executable, *SERVER, place, "--delay", str(given.delay)],
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            assert server.stdout is not None
            report(place, server.stdout.readline().strip(), given.rounds)
        finally:
            server.terminate()
            server.wait()


def report(place: Path, url: str, rounds: int) -> None:
    """Time everything and print it."""

    def opened() -> Any:
        return dv.open_dataset(place / "store", frames=url)

    fresh: list[Any] = []  # that know no frame yet

    def cut_outs() -> Any:
        return fresh.pop()[:, 100:164, 200:264].data.compute()

    # The same ranges: of each frame its head, then the tiles, as a first run asks for them.
    ds = opened()
    asked: list[tuple[str, int, int]] = []
    answer = Fetcher.answer_async

    async def noted(self: Fetcher, request: Any) -> Any:
        asked.append((request.url, request.offset, request.offset + request.length))
        return await answer(self, request)

    Fetcher.answer_async = noted  # type: ignore[method-assign]
    pixels = ds[:, 100:164, 200:264].data.compute()
    Fetcher.answer_async = answer  # type: ignore[method-assign]
    local = dv.open_dataset(place / "store")[:, 100:164, 200:264].data.compute()
    assert np.array_equal(pixels, local)
    heads = [part for part in asked if part[1] == min(p[1] for p in asked)]
    tiles = [part for part in asked if part not in heads]
    http = fsspec.filesystem("http")

    def bare() -> None:
        for part in (heads, tiles):
            http.cat_ranges(*map(list, zip(*part, strict=True)))

    fresh.extend(opened() for _ in range(rounds))
    for made in fresh:
        made.provenance.array.handle.store  # noqa: B018  # the references are read
    times = medians({"ours": cut_outs, "cat_ranges": bare}, rounds)
    print("| work | ours, s | other | to reach |\n|---|---|---|---|")
    print(
        f"| 64x64 cut-out of 64 frames ({len(asked)} requests) | {times['ours']:.3f} "
        f"| cat_ranges {times['cat_ranges']:.3f}, ours {times['ours'] / times['cat_ranges']:.2f}x "
        "| 0.3 s and transfer; 1.5x |"
    )
    expected = Expected((1, 1000, 2560), np.dtype("f4"), 1)
    urls = [f"{url}/{i}.fits" for i in range(1000)]
    times = medians(
        {"ours": lambda: scan_frames(urls, expected, Fetcher(), mode="always")}, max(rounds // 2, 1)
    )
    print(f"| scan of 1,000 frames | {times['ours']:.2f} | {1000 / times['ours']:.0f}/s | 300/s |")


if __name__ == "__main__":
    main()

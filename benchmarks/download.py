"""Times of a download of 500 frames from a server on loopback: ``make bench-download``.

The server is another process. We, and a bare concurrent fetch of the same files with aiohttp
(64 at once, to the same disk, no checks, no names), download in turn; medians.

    python benchmarks/download.py [--rounds N] [--frames N]
"""

from __future__ import annotations

import argparse
import asyncio
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import aiohttp
from remote import SERVER
from run import dataset

import dkist_virtual as dv

AT_ONCE = 64


async def bare(urls: list[str], directory: Path) -> None:
    """Fetch files as anybody would write it in a few lines."""
    room = asyncio.Semaphore(AT_ONCE)

    async def one(session: aiohttp.ClientSession, url: str) -> None:
        async with room, session.get(url) as answer:
            with (directory / url.rpartition("/")[2]).open("wb") as file:
                async for piece in answer.content.iter_chunked(2**20):
                    file.write(piece)

    async with aiohttp.ClientSession() as session:
        await asyncio.gather(*(one(session, url) for url in urls))


def main() -> None:
    """Run and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--frames", type=int, default=500)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as made:
        directory = Path(made)
        dataset(directory, "ViSP", "RICE_1", 64)
        (place,) = directory.iterdir()
        for i in range(64, given.frames):
            os.link(place / "0.fits", place / f"{i}.fits")
        server = subprocess.Popen(
            [sys.executable, *SERVER, place], stdout=subprocess.PIPE, text=True
        )
        try:
            assert server.stdout is not None
            url = server.stdout.readline().strip()
            report(place, url, given.frames, given.rounds)
        finally:
            server.terminate()
            server.wait()


def report(place: Path, url: str, n: int, rounds: int) -> None:
    """Time both and print it."""
    from dkist_virtual.fits.file_check import Checked
    from dkist_virtual.io.download.download import Item, download
    from dkist_virtual.io.fetcher import Fetcher

    # The store knows 64 of the frames; what is timed is the download of as many as were asked for.
    sizes = dv.open_dataset(place / "store").files.sizes
    files = [f"{i}.fits" for i in range(n)]
    urls = [f"{url}/{name}" for name in files]
    fetcher = Fetcher()
    items = [
        Item(name, (where,), int(sizes[i if i < len(sizes) else 0]), fetcher, Checked(1, -1))
        for i, (name, where) in enumerate(zip(files, urls, strict=True))
    ]
    taken: dict[str, list[float]] = {"ours": [], "bare": [], "verified": []}
    total = 0
    for number in range(rounds + 1):  # the first one warms up
        for who, times in taken.items():
            target = place / "target"
            target.mkdir()
            began = time.perf_counter()
            if who == "bare":
                asyncio.run(bare(urls, target))
            else:
                download(items, target, verify=who == "verified", progress=False)
            if number:
                times.append(time.perf_counter() - began)
            total = sum(path.stat().st_size for path in target.iterdir())
            assert len(list(target.iterdir())) == n
            shutil.rmtree(target)
    medians = {who: statistics.median(times) for who, times in taken.items()}
    ratio = statistics.median(b / o for o, b in zip(taken["ours"], taken["bare"], strict=True))
    print(f"{n} frames, {total / 1e6:.0f} MB, {rounds} rounds, medians")
    print("| who | s | MB/s | of bare |\n|---|---|---|---|")
    for who, seconds in medians.items():
        speed = medians["bare"] / seconds
        print(f"| {who} | {seconds:.2f} | {total / 1e6 / seconds:.0f} | {speed:.2f} |")
    print(f"ours beside bare, round by round: {ratio:.2f} (to reach: 0.8)")


if __name__ == "__main__":
    main()

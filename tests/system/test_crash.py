"""Killed at random: afterwards there is a whole store or none, whole frames or none, and the same
again succeeds.

A child of a process that has everything imported counts what it does to the system (files opened,
renamed, made), and kills itself at one of those moments, as kill -9 does: nothing of it runs any
more.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import dkist_virtual as dv
from dkist_virtual.demo.server import FrameServer

KILLS = int(os.environ.get("KILLS", "2"))
"""So many at random in each test, beside those at the end: KILLS=50 for a long afternoon."""

# Forks a child for each moment, and prints what became of it: the signal that ended it, or 0.
DRIVER = """
import json, os, signal, sys, threading, warnings
warnings.simplefilter("ignore")
import dkist, asdf, gwcs, pyarrow.parquet, aiohttp, fsspec.implementations.http, tqdm, numba
import dkist_virtual as dv
from dkist_virtual import convert
from dkist_virtual.cli import main as cli
from dkist_virtual.store.format import dataset_asdf as description
from dkist_virtual.store.format import headers
from dkist_virtual.io.download import download
from dkist_virtual.io.remote import http as web
from dkist_virtual.dataset.mosaic import TiledDataset
what, moments, arguments = sys.argv[1], json.loads(sys.argv[2]), sys.argv[3:]
EVENTS = {"open", "os.rename", "os.mkdir", "os.remove", "os.rmdir", "os.truncate", "os.chmod",
          "os.listdir", "os.utime", "socket.connect", "fcntl.flock", "tempfile.mkdtemp"}
def work():
    if what == "convert":
        dv.convert(arguments[0], arguments[1], overwrite="overwrite" in arguments, progress=False)
    else:
        dv.open_dataset(arguments[0]).download(arguments[1], workers=3, progress=False)
for moment in moments:
    child = os.fork()
    if child == 0:
        seen = 0
        def hook(event, args):
            global seen
            if event in EVENTS:
                seen += 1
                if seen == moment:
                    os.kill(os.getpid(), signal.SIGKILL)
        sys.addaudithook(hook)
        try:
            work()
        except BaseException as error:
            print(repr(error), file=sys.stderr, flush=True)
            os._exit(1)
        print(json.dumps(["done", seen]), flush=True)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    ended = os.WTERMSIG(status) if os.WIFSIGNALED(status) else -os.WEXITSTATUS(status)
    print(json.dumps([moment, ended]), flush=True)
    sys.stdin.readline()
"""


class Driver:
    """The process that forks; `at` gives how a child ended that was killed at a moment."""

    def __init__(self, what: str, moments: list[int], *arguments: Any) -> None:
        words = [sys.executable, "-c", DRIVER, what, json.dumps(moments), *map(str, arguments)]
        self.process = subprocess.Popen(
            words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def next(self) -> tuple[int, int, int | None]:
        """Moment, signal, and how many moments there were, of a child that came to its end."""
        assert self.process.stdout is not None
        seen = None
        while True:
            line = self.process.stdout.readline()
            assert line, self.process.communicate()[1]
            first, second = json.loads(line)
            if first != "done":
                return first, second, seen
            seen = second

    def go_on(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def close(self) -> None:
        self.process.kill()
        self.process.communicate()


def moments_of(what: str, *arguments: Any) -> int:
    """How many moments there are at which one can be killed."""
    driver = Driver(what, [0], *arguments)
    try:
        _, ended, seen = driver.next()
        assert ended == 0
        assert seen is not None
        return seen
    finally:
        driver.close()


def same(one: Any, other: Any) -> bool:
    return bool(np.array_equal(one, other, equal_nan=True))


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.slow
def test_convert_leaves_a_whole_store_or_none(
    overwrite: bool, simulated: Callable[[str], Path], tmp_path: Path
) -> None:
    frames = simulated("visp_moving")
    n = moments_of("convert", frames, tmp_path / "first")
    expected = dv.open_dataset(tmp_path / "first").data.compute()
    references = (tmp_path / "first" / "references.json").read_bytes()
    rng = random.Random(8)
    # The last ones are those of the renaming, where it matters most.
    moments = sorted({*rng.sample(range(1, n), min(KILLS, n - 1)), *range(n - 2, n + 1)})
    store = tmp_path / "store"
    more = ["overwrite"] if overwrite else []
    if overwrite:
        dv.convert(frames, store, scan="never")
        n += 10
    driver = Driver("convert", moments, frames, store, *more)
    killed = 0
    try:
        for moment in moments:
            at, ended, _ = driver.next()
            assert at == moment
            assert ended in (0, 9)
            killed += ended == 9
            if store.exists():
                assert same(dv.open_dataset(store).data.compute(), expected)
                if not overwrite:
                    assert (store / "references.json").read_bytes() == references
            if store.exists() and not overwrite:
                import shutil

                shutil.rmtree(store)
            driver.go_on()
    finally:
        driver.close()
    assert killed >= KILLS
    dv.convert(frames, store, overwrite=True, progress=False)
    assert same(dv.open_dataset(store).data.compute(), expected)
    assert sorted(p.name for p in store.iterdir()) == [
        "dataset.asdf", "headers.parquet", "references.json"
    ]  # fmt: skip


@pytest.mark.slow
def test_download_leaves_whole_frames_or_none(
    simulated: Callable[[str], Path], tmp_path: Path
) -> None:
    frames = simulated("visp_moving")
    with FrameServer(frames).running() as server:
        store = tmp_path / "store"
        dv.convert(frames, store, base=server.url, frames=frames)
        n = moments_of("download", store, tmp_path / "first")
        whole = {path.name: path.read_bytes() for path in frames.glob("*.fits")}
        assert {p.name: p.read_bytes() for p in (tmp_path / "first").iterdir()} == whole
        rng = random.Random(9)
        moments = sorted(rng.sample(range(1, n), min(2 * KILLS, n - 1)), reverse=True)
        here = tmp_path / "here"
        driver = Driver("download", moments, store, here)
        killed = 0
        try:
            for _ in moments:
                _, ended, _ = driver.next()
                assert ended in (0, 9)
                killed += ended == 9
                there = (
                    {p.name: p.read_bytes() for p in here.glob("*.fits")} if here.exists() else {}
                )
                assert there.items() <= whole.items()
                # What is on its way goes on next time; some of what is whole is fetched anew.
                for name in rng.sample(sorted(there), len(there) // 2):
                    (here / name).unlink()
                driver.go_on()
        finally:
            driver.close()
        assert killed >= KILLS
        ds = dv.open_dataset(store)
        ds.download(here, verify=True)
        assert {p.name: p.read_bytes() for p in here.iterdir()} == whole

"""Times of the viewer in a real browser, from the key to the drawn picture: ``make bench-view``.

    python benchmarks/view.py [--steps N] [--only WORD] [--delay SECONDS] [--keep DIR] [--json FILE]
                              [--jdaviz PYTHON] [--glue PYTHON]

Three datasets: a simulated VTF scan, and the Data Center's own ASDFs of a ViSP raster and a VBI
mosaic, which the dkist package carries, with frames made to fit. Each is read from the local disk
and from a server on loopback that takes 30 ms an answer, with and without reading ahead. Each step
shows a frame that was not shown or read before. The viewer runs in a process of its own; the
browser is Debian's Chromium, without a window. Times are the browser's: from the event of the key
until other pixels of the picture are on the screen, and until they are those that stay.

Beside it the steps of ``ds.plot()`` on the same frames, and what jdaviz's Cubeviz and glue do with
the same data: ``--jdaviz`` and ``--glue`` name Pythons that have them (see ``view_peers.py``).
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "support"))

from browser import Browser, Watched, start_chromium
from plot import first_tile, real, stepping
from run import about
from view_peers import compare

SERVER = ("-m", "dkist_virtual.demo.server")


@dataclass(frozen=True)
class Work:
    """A step to time.

    Parameters
    ----------
    kind : str
        Of the dataset.
    says : str
    key : str
        That makes the step.
    figure : str
        Whose pixels are watched.
    axis : int
        The array axis that the key steps along, for `Dataset.plot`.
    plot_axes : list or None
        Of `Dataset.plot` for the same picture.
    """

    kind: str
    says: str
    key: str
    figure: str
    axis: int
    plot_axes: list[str | None] | None = None


WORKS = (
    Work("VTF", "wavelength of a VTF scan, 966 x 980", "s", "picture-0", 2),
    Work("ViSP", "slit position of a ViSP raster, 976 x 2555", "f", "picture-0", 1),
    Work("VBI", "time of a VBI mosaic, 9 tiles of 4096 x 4096", "f", "picture-0", 0),
)


def make(kind: str, directory: Path) -> tuple[Path, Path]:
    """Make the frames of a dataset and its store, unless they are there; return both."""
    import dkist_virtual as dv

    frames, store = directory / kind, directory / f"{kind}.virtual"
    if not store.exists():
        if kind == "VTF":
            from dkist_virtual.demo.vtf import make_vtf

            asdf = make_vtf(frames, (4, 1, 21, 966, 980), echo=lambda _: None)
        elif kind == "ViSP":
            asdf = real(frames, "croppable_visp.asdf", (1, 976, 2555), "f8", 2752, 16)
        else:
            asdf = mosaic(frames)
        dv.convert(asdf, store, progress=False)
    return frames, store


def mosaic(directory: Path) -> Path:
    """Make the 27 frames of the VBI mosaic of the dkist package, of which nine are different."""
    import dkist

    asdf = real(directory, "large_vbi.asdf", (1, 4096, 4096), "f4", 3, 3)
    others = [n for tile in dkist.load_dataset(asdf).flat for n in tile.files.filenames]
    for number, name in enumerate(others):
        if not (directory / name).exists():
            os.link(directory / others[number % 3], directory / name)
    return asdf


def serve(store: str, frames: str | None, reads_ahead: bool) -> None:
    """Serve the page of a store until standard input ends; print its address."""
    import dkist_virtual as dv
    from dkist_virtual.view.reading.worker import Worker
    from dkist_virtual.view.viewer import Viewer

    warnings.simplefilter("ignore")
    if not reads_ahead:
        Worker.read_ahead = lambda *_: None  # type: ignore[method-assign]
    viewer = Viewer(dv.open_dataset(store, **({"frames": frames} if frames else {})))
    print(viewer.url, flush=True)
    sys.stdin.read()
    viewer.close()


def peak(process: subprocess.Popen[str]) -> dict[str, float]:
    """Return the memory of a process now and at most, in MB."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    words = dict(line.split(":\t") for line in status.splitlines() if ":\t" in line)
    return {name: int(words[name].split()[0]) / 1000 for name in ("VmRSS", "VmHWM")}


@contextmanager
def running(*command: object) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Run a program that prints an address, and end it."""
    process = subprocess.Popen(
        [sys.executable, *map(str, command)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        yield process, process.stdout.readline().strip()
    finally:
        process.terminate()
        process.wait()


def drive(browser: Browser, work: Work, url: str, steps: int) -> tuple[float, list[Watched]]:
    """Open a page and step; return the milliseconds of the load, and what followed each step."""
    browser.open(url, picture=work.figure)
    browser.wait(lambda: browser.script("return probe.loaded"), "the page is loaded")
    loaded = float(browser.script("return probe.loaded"))
    browser.click_at(work.figure, *middle(browser.ranges(work.figure)))
    browser.settle()
    seen = {browser.drawn(work.figure)}
    found = []
    for _ in range(steps):
        step = browser.step(work.figure, work.key)
        if step.after in seen:
            raise SystemExit(f"{work.says}: a step shows a picture that was shown before")
        seen.add(step.after)
        found.append(step)
    return loaded, found


def middle(ranges: tuple[float, ...]) -> tuple[float, float]:
    """Return the middle of a figure."""
    return (ranges[0] + ranges[1]) / 2, (ranges[2] + ranges[3]) / 2


def view(work: Work, store: Path, frames: str | None, ahead: bool, steps: int) -> dict[str, Any]:
    """Time a page and its steps."""
    given = [__file__, "--serve", store, *(["--frames", frames] if frames else [])]
    if not ahead:
        given.append("--no-read-ahead")
    with running(*given) as (process, url), start_chromium() as browser:
        began = peak(process)["VmRSS"]
        # Modules are imported, and a kernel is compiled or loaded, by the first page of a process.
        first, _ = drive(browser, work, url, 0)
        loaded, found = drive(browser, work, url, steps)
        complaints = browser.complaints()
        heap = browser.script("return performance.memory.usedJSHeapSize") / 1e6
        memory = peak(process)
    last = [step.last for step in found]
    return {
        "work": work.says,
        "from": "30 ms a request" if frames else "local",
        "read_ahead": ahead,
        "first_load": first,
        "load": loaded,
        "median": statistics.median(last),
        "worst": max(last),
        "first_median": statistics.median(step.first for step in found),
        "received": statistics.median(step.received for step in found),
        "memory_before": began,
        "memory_peak": memory["VmHWM"],
        "heap": heap,
        "complaints": complaints,
        "steps": [asdict(step) for step in found],
    }


def plot_steps(work: Work, store: Path, steps: int) -> list[float]:
    """Milliseconds of steps of `Dataset.plot` on the same frames, nothing read ahead."""
    import dkist_virtual as dv

    ds = dv.open_dataset(store)
    ds = ds if work.kind == "VBI" else first_tile(ds)
    step = stepping(ds.plot(work.plot_axes) if work.plot_axes else ds.plot(), work.axis)
    found = []
    for _ in range(steps):
        began = time.perf_counter()
        step()
        found.append(1000 * (time.perf_counter() - began))
    return found


def report(lines: list[dict[str, Any]]) -> None:
    """Print the table."""
    print(
        "| step | frames | read ahead | median, ms | worst, ms | first pixels, ms | to the browser,"
        " kB | page load, ms (first) | memory: server, MB (before) | browser's heap, MB |\n"
        "|---|---|---|---|---|---|---|---|---|---|"
    )
    for one in lines:
        print(
            f"| {one['work']} | {one['from']} | {'yes' if one['read_ahead'] else 'no'} "
            f"| {one['median']:.0f} | {one['worst']:.0f} | {one['first_median']:.0f} "
            f"| {one['received'] / 1000:,.0f} | {one['load']:.0f} ({one['first_load']:.0f}) "
            f"| {one['memory_peak']:,.0f} ({one['memory_before']:,.0f}) | {one['heap']:.0f} |",
            flush=True,
        )
        for complaint in one["complaints"]:
            print(f"console: {complaint}")


def main() -> None:
    """Run and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--only", default="", help="the works that have this in their name")
    parser.add_argument("--delay", type=float, default=0.03)
    parser.add_argument("--keep", type=Path, help="make the frames here and leave them")
    parser.add_argument("--json", type=Path, help="write all figures here too")
    parser.add_argument("--jdaviz", type=Path, help="a Python that has jdaviz and voila")
    parser.add_argument("--glue", type=Path, help="a Python that has glue-qt")
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    parser.add_argument("--frames", help=argparse.SUPPRESS)
    parser.add_argument("--no-read-ahead", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.serve:
        serve(given.serve, given.frames, not given.no_read_ahead)
        return
    warnings.simplefilter("ignore")
    said = about(given.steps, ("dkist_virtual", "bokeh", "matplotlib"))
    print(json.dumps(said), "\n")
    lines: list[dict[str, Any]] = []
    plots: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as made:
        directory = given.keep or Path(made)
        directory.mkdir(exist_ok=True)
        for work in WORKS:
            if given.only not in work.says:
                continue
            frames, store = make(work.kind, directory)
            # Of the mosaic there are three moments.
            steps = min(given.steps, 2) if work.kind == "VBI" else given.steps
            with running(*SERVER, frames, "--delay", given.delay) as (_, url):
                lines.extend(
                    view(work, store, where, ahead, steps)
                    for where in (None, url)
                    for ahead in (False, True)
                )
            plots[work.says] = plot_steps(work, store, steps)
        report(lines)
        peers: dict[str, Any] = {}
        if given.jdaviz or given.glue:
            frames, store = make("VTF", directory)
            pythons = {"jdaviz": given.jdaviz, "glue": given.glue}
            peers = compare(store, frames, directory, pythons, given.steps)
    print("\n| step of ds.plot() | median, ms | worst, ms |\n|---|---|---|")
    for says, times in plots.items():
        print(f"| {says} | {statistics.median(times):.0f} | {max(times):.0f} |")
    if given.json:
        given.json.write_text(
            json.dumps({**said, "view": lines, "plot": plots, "peers": peers}, indent=1) + "\n"
        )


if __name__ == "__main__":
    main()

"""Datasets of up to a million frames, beside the peers: ``make bench-scale``.

Most of the frames need not exist: an ASDF of 200,000 is made of a real one that the ``dkist``
package carries, its headers repeated. 20,000 small frames are written for the scan, and 2,000 of a
ViSP frame's size for the sum. Each figure is taken in a process of its own, which says how long its
work took, and by how much its memory grew or how high it rose.

    python benchmarks/scale.py [--quick] [--only WORD] [--keep DIR] [--json FILE]

``--json`` writes what the plot in ``docs/explanation/scale.md`` is drawn from.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib import import_module
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

Figures = dict[str, Any]

# What is measured -------------------------------------------------------------------------------


def rss() -> float:
    """Memory of this process, in MB."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def peak() -> float:
    """The most that it ever was, in MB."""
    line = next(s for s in Path("/proc/self/status").read_text().splitlines() if "VmHWM" in s)
    return int(line.split()[1]) * 1024 / 1e6


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    """Seconds, and what came of it."""
    began = time.perf_counter()
    result = work()
    return time.perf_counter() - began, result


def ready() -> None:
    """All imports, and what asdf does once in a process."""
    for name in ("dkist", "gwcs", "pyarrow.parquet", "dask.array", "dask.threaded"):
        import_module(name)
    for name in ("convert", "dataset", "mosaic", "open"):
        import_module(f"dkist_virtual.{name}")
    import_module("asdf").AsdfFile()


def write_asdf(path: str, n: int, columns: int, base: str = "") -> Figures:
    """An ASDF of `n` ViSP frames, which are not there, with `columns` header columns."""
    import asdf
    from astropy.table import Table

    packed = Path(str(files("dkist"))) / "data" / "test" / "croppable_visp.asdf.gz"
    with tempfile.TemporaryDirectory() as directory:
        real = Path(directory) / "real.asdf"
        real.write_bytes(gzip.decompress(packed.read_bytes()))
        with asdf.open(real, lazy_load=False, memmap=False) as opened:
            dataset = opened.tree["dataset"]
    headers = dataset.headers
    rows = np.arange(n) % len(headers)
    names = list(headers.colnames)[:columns]
    table = {name: np.asarray(headers[name])[rows] for name in names}
    for i in range(columns - len(names)):
        table[f"MORE{i:04d}"] = np.asarray(headers[names[i]])[rows]
    digits = np.char.zfill(np.arange(n).astype(str), 7)
    uris = np.char.add(
        np.char.add("VISP_2022_10_24T19_47_33_318_00630205_I_BKEWK_L1_", digits), ".fits"
    )
    table["FILENAME" if "FILENAME" in table else names[-1]] = uris
    node = {
        "fileuris": uris.reshape(4, -1).tolist(),
        "target": 1,
        "datatype": "float32",
        "shape": [1, 1000, 2560],
    }
    tree = {
        "data": asdf.tagged.TaggedDict(node, "asdf://dkist.nso.edu/tags/file_manager-1.1.0"),
        "wcs": dataset.wcs,
        "unit": dataset.unit,
        "meta": {"headers": Table(table, copy=False), "inventory": dataset.inventory},
    }
    tag = "asdf://dkist.nso.edu/tags/dataset-1.3.0"
    asdf.AsdfFile({"dataset": asdf.tagged.TaggedDict(tree, tag)}).write_to(path)
    return {"MB": Path(path).stat().st_size / 1e6, "base": base}


def convert(asdf: str, store: str, base: str) -> Figures:
    """From the ASDF alone."""
    ready()
    from dkist_virtual.conversion.convert import convert

    before = rss()
    seconds, _ = timed(
        lambda: convert(asdf, store, scan="never", base=base, overwrite=True, progress=False)
    )
    return {"s": seconds, "peak_MB": peak(), "more_MB": peak() - before}


def from_asdf(asdf: str) -> Figures:
    """Without a store."""
    ready()
    import dkist_virtual as dv

    before = rss()
    seconds, ds = timed(lambda: dv.Dataset.from_asdf(asdf))
    assert ds.shape
    return {"s": seconds, "more_MB": rss() - before}


def dkist_load(asdf: str) -> Figures:
    """What dkist makes of the same ASDF."""
    ready()
    import dkist

    before = rss()
    seconds, ds = timed(lambda: dkist.load_dataset(asdf))
    assert ds
    return {"s": seconds, "peak_MB": peak(), "more_MB": rss() - before}


def yaml_tree(asdf: str) -> Figures:
    """The tree alone, with its tags."""
    ready()
    from asdf.util import load_yaml

    before = rss()
    seconds, tree = timed(lambda: load_yaml(asdf, tagged=True))
    assert tree
    return {"s": seconds, "more_MB": rss() - before}


def dkist_array(n: int) -> Figures:
    """The dask array that dkist builds of `n` frames."""
    ready()
    from dkist.io.dask.loaders import AstropyFITSLoader
    from dkist.io.dask.striped_array import FileManager

    names = [f"VISP_2022_10_24T19_47_33_318_00630205_I_BKEWK_L1_{i:07d}.fits" for i in range(n)]
    before = rss()

    def build() -> Any:
        manager = FileManager.from_parts(
            names, 1, "float32", (1, 1000, 2560), loader=AstropyFITSLoader, basepath="/nowhere"
        )
        return manager, manager._generate_array()

    seconds, array = timed(build)
    assert array
    return {"s": seconds, "more_MB": rss() - before}


def opening(store: str, at: int, frame: str) -> Figures:
    """Open a store, print it, and compute the one frame that is there."""
    ready()
    import_module("distributed")  # dask looks for a client there
    import dkist_virtual as dv
    from dkist_virtual.fits.decode import decode_image
    from dkist_virtual.fits.hdu import image_layout

    before = rss()
    found: Figures = {}
    found["open_s"], ds = timed(lambda: dv.open_dataset(store))
    found["open_MB"] = rss() - before
    n = ds.shape[1]
    data = Path(frame).read_bytes()
    start, layout = image_layout(data, 1)
    found["kernels_s"], _ = timed(lambda: decode_image(layout, memoryview(data)[start:]))
    found["slice_s"], pixels = timed(lambda: ds[at // n, at % n].data.compute())
    assert pixels.shape == ds.shape[2:]
    found["again_s"], _ = timed(lambda: ds[at // n, at % n].data.compute())
    found["tasks"] = len(ds[at // n, at % n].data.dask)
    found["header_s"], _ = timed(lambda: dict(ds[at // n, at % n].headers[0].items()))
    found["print_s"], _ = timed(lambda: str(ds))
    found["nbytes_s"], _ = timed(lambda: ds.files.nbytes)
    found["files_s"], _ = timed(lambda: str(ds.files))
    found["column_s"], _ = timed(lambda: ds.headers[ds.headers.colnames[5]])
    found["MB"] = rss() - before
    return found


def scan(directory: str, n: int) -> Figures:
    """Look at frames on one core; the second of two times."""
    from dkist_virtual.conversion.scan import Expected, scan_frames
    from dkist_virtual.io.fetcher import Fetcher

    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    urls = [f"{directory}/{i:06d}.fits" for i in range(n)]
    expected = Expected((1, 8, 32), np.dtype("f4"), 1)
    for _ in range(2):
        seconds, found = timed(lambda: scan_frames(urls, expected, Fetcher(), mode="always"))
    assert found.found.all()
    again, kept = timed(lambda: scan_frames(urls, expected, Fetcher(), mode="always", known=found))
    assert kept.kept == n
    return {"s": seconds, "per_s": n / seconds, "known_per_s": n / again}


def scan_by_peers(directory: str, n: int) -> Figures:
    """Astropy's reading of the header, and kerchunk's references, of the same frames."""
    from astropy.io import fits
    from kerchunk.fits import process_file

    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    urls = [f"{directory}/{i:06d}.fits" for i in range(n)]
    headers, _ = timed(lambda: [fits.getheader(url, 1) for url in urls])
    n_few = min(50, n // 4)  # five a second
    references, _ = timed(lambda: [process_file(url, extension=1) for url in urls[:n_few]])
    return {"astropy_per_s": n / headers, "kerchunk_per_s": n_few / references}


def first_frame(store: str) -> None:
    """Read one frame in this very thread."""
    import dkist_virtual as dv

    dv.open_dataset(store).data[0].sum().compute(scheduler="synchronous")


def summing(store: str, how: str, workers: int) -> Figures:
    """The sum over all frames: in one process by threads, or on a cluster of processes."""
    ready()
    import dkist_virtual as dv

    if how == "threads":
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:workers])
        total = dv.open_dataset(store).data.sum(axis=0)
        total[:4].compute(scheduler="threads", num_workers=workers)
        return {"s": timed(lambda: total.compute(scheduler="threads", num_workers=workers))[0]}
    from distributed import Client, LocalCluster

    with (
        LocalCluster(
            n_workers=workers, threads_per_worker=1, processes=True, dashboard_address=":0"
        ) as cluster,
        Client(cluster) as client,
    ):
        ds = dv.open_dataset(store)
        client.run(ready)
        client.run(first_frame, store)  # each has its kernels
        total = ds.data.sum(axis=0)
        return {"s": timed(lambda: client.compute(total).result())[0]}


PARTS: dict[str, Callable[..., Figures]] = {
    f.__name__: f
    for f in (
        write_asdf, convert, from_asdf, dkist_load, yaml_tree, dkist_array, opening, scan,
        scan_by_peers, summing,
    )
}  # fmt: skip


# How it is measured -----------------------------------------------------------------------------


def alone(part: Callable[..., Figures], *arguments: Any) -> Figures:
    """Run a part in a process of its own."""
    command = [sys.executable, __file__, "--part", part.__name__, json.dumps(arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{part.__name__}{arguments}: {done.stderr[-2000:]}")
    figures: Figures = json.loads(done.stdout.splitlines()[-1])
    return figures


def line(work: str, ours: str, peers: str, goal: str = "") -> None:
    """A line of the table."""
    print(f"| {work} | {ours} | {peers} | {goal} |", flush=True)


def write_small_frames(directory: Path, n: int) -> None:
    """Frames of few pixels under a header of the length that DKIST's have, not compressed."""
    import io

    from astropy.io import fits

    header = fits.Header()
    for i in range(330):
        header[f"KEY{i:05d}"] = (i * 1.5, "a comment as long as most of them are")
    pixels = np.random.default_rng(1).normal(1000, 10, (1, 8, 32)).astype("f4")
    for kind, image in (
        ("plain", fits.ImageHDU(pixels, header, name="OBSERVATION")),
        ("compressed", fits.CompImageHDU(pixels, header, name="OBSERVATION")),
    ):
        buffer = io.BytesIO()
        fits.HDUList([fits.PrimaryHDU(), image]).writeto(buffer)
        (directory / kind).mkdir()
        for i in range(n):
            (directory / kind / f"{i:06d}.fits").write_bytes(buffer.getvalue())


def scanning(place: Path, quick: bool) -> None:
    """Frames a second."""
    n = 2_000 if quick else 20_000
    write_small_frames(place, n)
    plain = alone(scan, str(place / "plain"), n)
    peers = alone(scan_by_peers, str(place / "plain"), n // 20)
    packed = alone(scan, str(place / "compressed"), n)
    line(
        f"scan of {n:,} local frames, one core, warm, frames/s",
        f"{plain['per_s']:,.0f}; tile-compressed {packed['per_s']:,.0f}",
        f"astropy's header {peers['astropy_per_s']:,.0f}, "
        f"kerchunk.fits {peers['kerchunk_per_s']:,.0f}",
        "4,000",
    )
    line("the same again, nothing having changed, frames/s", f"{plain['known_per_s']:,.0f}", "")


def frame_of_visp(place: Path, n: int) -> Path:
    """A directory with the one ViSP frame, of `n`, that is computed."""
    from run import write_frame

    name = f"VISP_2022_10_24T19_47_33_318_00630205_I_BKEWK_L1_{n // 2 + 3:07d}.fits"
    place.mkdir(exist_ok=True)
    if not (place / name).exists():
        write_frame(place / name, "ViSP", "RICE_1")
    return place


def sizes(place: Path, quick: bool) -> list[Figures]:
    """ASDF to store, and opening it, against the number of frames."""
    rows = []
    counts = ((1_000, 300), (10_000, 300), (50_000, 300), (200_000, 300), (1_000_000, 30))
    for n, columns in counts[: 3 if quick else None]:
        asdf, store = place / f"{n}.asdf", place / f"{n}.virtual"
        base = frame_of_visp(place / f"frames-{n}", n)
        made = alone(write_asdf, str(asdf), n, columns)
        row = {"frames": n, "columns": columns, "asdf_MB": made["MB"]}
        row["convert"] = alone(convert, str(asdf), str(store), str(base))
        row["opening"] = alone(opening, str(store), n // 2 + 3, str(next(base.iterdir())))
        if n <= 200_000:
            row["from_asdf"] = alone(from_asdf, str(asdf))
        if n in (10_000, 50_000, 200_000):
            row["dkist"] = alone(dkist_load, str(asdf))
            row["yaml"] = alone(yaml_tree, str(asdf))
        asdf.unlink()
        rows.append(row)
        made, opened = row["convert"], row["opening"]
        peers = ""
        if "dkist" in row:
            load, tree = row["dkist"], row["yaml"]
            peers = (
                f"dkist.load_dataset {load['s']:.1f} s, {load['peak_MB']:,.0f} MB; "
                f"YAML tree {tree['s']:.1f} s, {tree['more_MB']:,.0f} MB more"
            )
        goal = "60 s, 1,500 MB" if n == 200_000 else ""
        line(
            f"convert {n:,} frames, {columns} header columns, from the ASDF",
            f"{made['s']:.1f} s, {made['peak_MB']:,.0f} MB ({made['more_MB']:,.0f} more)",
            peers,
            goal,
        )
        if "from_asdf" in row:
            whole = row["from_asdf"]
            line(f"Dataset.from_asdf of it, {n:,} frames",
                 f"{whole['s']:.1f} s, {whole['more_MB']:,.0f} MB more", "")  # fmt: skip
        goals = {200_000: "0.3 s, 50 MB", 1_000_000: "0.6 s, 100 MB"}
        line(
            f"open the store of {n:,} frames",
            f"{opened['open_s']:.3f} s, {opened['open_MB']:,.1f} MB more",
            "",
            goals.get(n, ""),
        )
        line(
            f"one frame of {n:,}: slice and compute",
            f"{opened['slice_s']:.3f} s, again {opened['again_s']:.3f}; {opened['tasks']} task; "
            f"once in a process, the kernels {opened['kernels_s']:.2f}",
            "",
            "0.5 s" if n == 1_000_000 else "",
        )
        line(
            f"its header; print(ds); print(ds.files); one column, of {n:,}",
            ", ".join(
                f"{opened[key]:.3f} s" for key in ("header_s", "print_s", "files_s", "column_s")
            ),
            "",
        )
    n = 10_000 if quick else 100_000
    array = alone(dkist_array, n)
    line(f"dkist builds its array of {n:,} frames", "",
         f"dkist {array['s']:.2f} s, {array['more_MB']:,.0f} MB more")  # fmt: skip
    return rows


def cluster(place: Path, quick: bool) -> None:
    """The sum over ViSP frames by one worker and by two in turn, three rounds; medians."""
    from run import write_frame

    import dkist_virtual as dv

    n, distinct = (100, 5) if quick else (2_000, 20)
    data = place / "visp"
    data.mkdir()
    write_frame(data / "0.fits", "ViSP", "RICE_1")
    for i in range(1, distinct):
        (data / f"{i}.fits").write_bytes((data / "0.fits").read_bytes())
    for i in range(distinct, n):
        os.link(data / f"{i % distinct}.fits", data / f"{i}.fits")
    write_plain_asdf(data / "sum.asdf", [f"{i}.fits" for i in range(n)])
    dv.convert(data / "sum.asdf", place / "sum.virtual", progress=False)
    for how, what in (("threads", "threads"), ("cluster", "processes of a LocalCluster")):
        store = str(place / "sum.virtual")
        rounds = [[alone(summing, store, how, w)["s"] for w in (1, 2)] for _ in range(3)]
        one, two = (statistics.median(times) for times in zip(*rounds, strict=True))
        line(
            f"sum over {n:,} ViSP frames, 2 {what}",
            f"{two:.1f} s",
            f"1: {one:.1f} s ({one / two:.2f}x)",
            "1.7x",
        )


def write_plain_asdf(path: Path, names: list[str]) -> None:
    """The ASDF of frames without a header table."""
    import asdf
    import gwcs
    import gwcs.coordinate_frames as cf
    from astropy import units as u
    from astropy.modeling.models import Scale
    from astropy.table import Table

    pixels = cf.CoordinateFrame(
        3, ["PIXEL"] * 3, (0, 1, 2), unit=[u.pix] * 3, axes_names=("x", "y", "frame")
    )
    world = cf.CoordinateFrame(3, ["SPATIAL"] * 3, (0, 1, 2), unit=[u.m] * 3, name="world")
    transform = Scale(1.0) & Scale(1.0) & Scale(1.0)
    node = {"fileuris": names, "target": 1, "datatype": "float32", "shape": [1, 1000, 2560]}
    tree = {
        "data": asdf.tagged.TaggedDict(node, "asdf://dkist.nso.edu/tags/file_manager-1.1.0"),
        "wcs": gwcs.WCS(forward_transform=transform, input_frame=pixels, output_frame=world),
        "unit": u.ct,
        "meta": {"headers": Table({"N": np.arange(len(names))}), "inventory": {"datasetId": "SUM"}},
    }
    tag = "asdf://dkist.nso.edu/tags/dataset-1.3.0"
    asdf.AsdfFile({"dataset": asdf.tagged.TaggedDict(tree, tag)}).write_to(path)


def main() -> None:
    """Run everything, a table to standard output."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a tenth of it, to see that it runs")
    parser.add_argument("--only", choices=("scan", "sizes", "cluster"))
    parser.add_argument("--keep", type=Path, help="directory for the datasets, which stay")
    parser.add_argument("--json", type=Path, help="file for the figures of the plot")
    parser.add_argument("--part", nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.part:
        name, arguments = given.part
        print(json.dumps(PARTS[name](*json.loads(arguments))))
        return
    began = time.perf_counter()
    packages = ", ".join(
        f"{p} {version(p)}" for p in ("dkist", "astropy", "kerchunk", "distributed")
    )
    print(f"{os.cpu_count()} cores, Python {platform.python_version()}, {packages}\n")
    line("work", "ours", "peers", "goal")
    line("---", "---", "---", "---")
    with tempfile.TemporaryDirectory(prefix="bench-scale-") as temporary:
        place = given.keep or Path(temporary)
        place.mkdir(parents=True, exist_ok=True)
        if given.only in (None, "scan"):
            scanning(place, given.quick)
        if given.only in (None, "sizes"):
            rows = sizes(place, given.quick)
            if given.json:
                given.json.write_text(json.dumps(rows, indent=1) + "\n")
        if given.only in (None, "cluster"):
            cluster(place, given.quick)
    print(f"\nin {time.perf_counter() - began:.0f} s")


if __name__ == "__main__":
    main()

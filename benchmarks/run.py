"""Times of reading frames, beside dkist, astropy, cfitsio, rustfits and numpy: ``make bench``.

Frames of real sizes are made on the spot. Each line of the table is one piece of work, done by
everyone in turn, round after round, in this one process; the figures are medians over the
rounds, the ratios those of the medians.

    python benchmarks/run.py [--rounds N] [--frames N] [--only WORD] [--real FILE] [--cpu]
                             [--keep DIR] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from dkist_virtual.fits.compiled import background

SHAPES = {
    "ViSP": ((1, 1000, 2560), (1, 1, 2560)),
    "VBI": ((4096, 4096), (1, 4096)),
    "VBI tiled": ((4096, 4096), (1024, 1024)),
    "VTF": ((966, 980), (1, 980)),
    "Cryo": ((1, 1888, 1751), (1, 1, 1751)),
    "BEOGN": ((1, 976, 2555), (1, 256, 256)),  # float64, as the Data Center distributed it
}


def scene(shape: tuple[int, ...]) -> np.ndarray:
    """Counts with photon noise on a smooth pattern: what quantises to about 4.5 bits a pixel."""
    rng = np.random.default_rng(7)
    y, x = np.indices(shape[-2:], np.float32)
    smooth = 3000 + 500 * np.sin(x / 37) + 300 * np.cos(y / 23)
    noise = rng.normal(0, 40, shape[-2:]).astype("f4")
    return (smooth + noise).astype("f4").reshape(shape)


def write_frame(path: Path, kind: str, algorithm: str | None) -> None:
    """One frame with a header of the length that DKIST's have."""
    from astropy.io import fits

    shape, tile = SHAPES[kind]
    header = fits.Header()
    for i in range(300):
        header[f"KEY{i:05d}"] = (i * 1.5, "a comment as long as most of them are")
    if algorithm is None:
        fits.PrimaryHDU(scene(shape), header).writeto(path, checksum=True)
        return
    hdu = fits.CompImageHDU(
        scene(shape).astype("f8" if kind == "BEOGN" else "f4"),
        header,
        name="OBSERVATION",
        tile_shape=tile,
        compression_type=algorithm,
        quantize_method=-1,
    )
    fits.HDUList([fits.PrimaryHDU(), hdu]).writeto(path, checksum=True)


def dataset(directory: Path, kind: str, algorithm: str | None, n: int) -> tuple[Any, Any, Any]:
    """The same `n` frames for dkist, through a store of ours, and as their files."""
    import asdf
    import dkist
    import gwcs.coordinate_frames as cf
    from astropy import units as u
    from astropy.modeling.models import Scale
    from astropy.table import Table
    from gwcs import WCS

    import dkist_virtual as dv

    place = directory / f"{kind}-{algorithm}-{n}".replace(" ", "_")
    place.mkdir()
    shape, _ = SHAPES[kind]
    write_frame(place / "0.fits", kind, algorithm)
    for i in range(1, n):
        # The page cache holds each of them by itself, as it would different frames.
        (place / f"{i}.fits").write_bytes((place / "0.fits").read_bytes())
    transform = Scale(1.0) & Scale(1.0) & Scale(1.0)
    pixels = cf.CoordinateFrame(
        3, ["PIXEL"] * 3, (0, 1, 2), unit=[u.pix] * 3, axes_names=("x", "y", "frame")
    )
    world = cf.CoordinateFrame(3, ["SPATIAL"] * 3, (0, 1, 2), unit=[u.m] * 3, name="world")
    wcs = WCS(forward_transform=transform, input_frame=pixels, output_frame=world)
    node = {
        "fileuris": [f"{i}.fits" for i in range(n)],
        "target": 0 if algorithm is None else 1,
        "datatype": "float32",
        "shape": list(shape),
    }
    tree = {
        "data": asdf.tagged.TaggedDict(node, "asdf://dkist.nso.edu/tags/file_manager-1.1.0"),
        "wcs": wcs,
        "unit": u.ct,
        "meta": {"headers": Table({"FRAME": np.arange(n)}), "inventory": {"datasetId": "BENCH"}},
    }
    tag = "asdf://dkist.nso.edu/tags/dataset-1.3.0"
    asdf.AsdfFile({"dataset": asdf.tagged.TaggedDict(tree, tag)}).write_to(place / "b.asdf")
    dv.convert(place / "b.asdf", place / "store", progress=False)
    files = [place / f"{i}.fits" for i in range(n)]
    return dkist.load_dataset(place / "b.asdf"), dv.open_dataset(place / "store"), files


class Works:
    """Times work as it comes, prints a line for each, and keeps all."""

    def __init__(self, rounds: int, only: str, clock: Callable[[], float]) -> None:
        self.rounds, self.only, self.lines = rounds, only.lower(), []
        self.clock = clock

    def wants(self, work: str) -> bool:
        """Whether a piece of work was asked for."""
        return self.only in work.lower()

    def time(
        self, work: str, everyone: dict[str, Callable[[], Any]], goal: str = "", times: int = 1
    ) -> None:
        """Time one piece of work, which is done several times at once, the first being ours."""
        if not self.wants(work):
            return
        for run in everyone.values():
            run()
        taken: dict[str, list[float]] = {who: [] for who in everyone}
        for _ in range(self.rounds):
            for who, run in everyone.items():
                getattr(run, "before", lambda: None)()
                began = self.clock()
                run()
                taken[who].append(self.clock() - began)
        medians = {who: statistics.median(all_) * 1e3 / times for who, all_ in taken.items()}
        ours, *peers = medians.items()
        ratios = {who: ms / ours[1] for who, ms in peers}
        self.lines.append({"work": work, "ms": medians, "ratios": ratios, "goal": goal})
        shown = ", ".join(
            f"{who} {ms:.{1 if ms > 10 else 2}f} ({ms / ours[1]:.2f}x)" for who, ms in peers
        )
        print(f"| {work} | {ours[1]:.2f} | {shown} | {goal} |", flush=True)


def agreeing(
    everyone: dict[str, Callable[[], Any]], expected: Any, work: str
) -> dict[str, Callable[[], Any]]:
    """Those whose pixels are the expected ones; of others it is said that they differ."""
    fine = {}
    for who, run in everyone.items():
        if np.array_equal(np.squeeze(run()), np.squeeze(expected), equal_nan=True):
            fine[who] = run
        else:
            print(f"{work}: the pixels of {who} differ, and it is left out")
    return fine


def decoding(table: Works, directory: Path, real: Path | None) -> None:
    """Bytes in memory to a preallocated array, one thread; the peers open a cached file."""
    import fitsio
    import rustfits
    from astropy.io import fits

    from dkist_virtual.fits.decode import decode_image
    from dkist_virtual.fits.hdu import image_layout

    goals = {
        ("ViSP", "RICE_1"): "13x astropy, 10x fitsio",
        ("VBI", "RICE_1"): "9x astropy, 11x fitsio",
        ("VBI tiled", "RICE_1"): "6x astropy",
        ("BEOGN", "RICE_1"): "4x rustfits",
    }
    for kind in ("ViSP", "VBI", "VBI tiled", "VTF", "BEOGN"):
        for algorithm in ("RICE_1", "GZIP_2"):
            work = f"decode {kind}, {algorithm}, 1 thread"
            if not table.wants(work) or (kind == "BEOGN" and algorithm != "RICE_1"):
                continue
            path = directory / f"{kind}-{algorithm}.fits".replace(" ", "_")
            if kind == "BEOGN" and real is not None:
                path = real
            else:
                write_frame(path, kind, algorithm)
            data = path.read_bytes()
            start, layout = image_layout(data, 1)
            out = np.empty(layout.shape, layout.dtype)
            hdu = memoryview(data)[start:]

            def ours(layout: Any = layout, hdu: Any = hdu, out: Any = out) -> None:
                decode_image(layout, hdu, out=out)

            def astropy(path: Path = path) -> Any:
                with fits.open(path) as hdus:
                    return hdus[1].data

            def cfitsio(path: Path = path) -> Any:
                with fitsio.FITS(str(path)) as hdus:
                    return hdus[1].read()

            def rust(path: Path = path) -> Any:
                with rustfits.FITS(str(path)) as hdus:
                    hdus[1].set_tile_cache_size(0)  # which only later reads would use
                    return hdus[1].read()

            ours()
            assert np.array_equal(out, astropy())
            peers = {"astropy": astropy, "fitsio": cfitsio, "rustfits": rust}
            everyone = {"ours": ours, **agreeing(peers, out, work)}
            table.time(work, everyone, goals.get((kind, algorithm), ""))


@contextmanager
def threads(n: int) -> Iterator[None]:
    """Let a single frame be decoded by no more than `n` threads."""
    from dkist_virtual.fits import threads as cores

    available = cores.available
    cores.available = lambda: n
    try:
        yield
    finally:
        cores.available = available


def cutouts(table: Works, theirs: Any, ours: Any, files: list[Path]) -> None:
    """64 x 64 pixels of one frame, each time of another one and elsewhere in it.

    Where tiles are is known, and nothing else is kept: frames were read before. rustfits' files are
    open, and keep no tiles.
    """
    import dask
    import rustfits

    import dkist_virtual as dv

    if not table.wants("64x64 cut-out of one frame, through Zarr"):
        return
    n, at_once = len(files), 16
    rng = np.random.default_rng(11)
    corners = rng.integers((1000 - 64, 2560 - 64), size=(1024, 2)).tolist()
    places = [(i % n, *corner) for i, corner in enumerate(corners)]
    array = dv.open_zarr(ours.provenance.array.handle.url)["data"]
    opened = [rustfits.FITS(str(path)) for path in files]
    hdus = [file[1] for file in opened]
    for hdu in hdus:
        hdu.set_tile_cache_size(0)
    readers: dict[str, Callable[[int, slice, slice], Any]] = {
        "ours": lambda i, y, x: ours[i, y, x].data.compute(),
        "ours, data sliced": lambda i, y, x: ours.data[i, y, x].compute(),
        "open_zarr": lambda i, y, x: array[i, y, x],
        "dkist": lambda i, y, x: theirs.data[i, y, x].compute(),
        "rustfits": lambda i, y, x: hdus[i][0:1, y, x][0],
    }
    for i in range(n):
        for who in ("ours", "open_zarr"):
            readers[who](i, slice(64), slice(64))

    def some(who: str, begin: int = 0) -> Callable[[], Any]:
        # Places of its own: what another one has just read is still in the processor's cache.
        left = iter((places[begin:] + places) * 100)

        def read() -> Any:
            found = []
            for _ in range(at_once):
                i, row, column = next(left)
                found.append(readers[who](i, slice(row, row + 64), slice(column, column + 64)))
            return np.stack(found)

        return read

    with dask.config.set(scheduler="threads", num_workers=2):
        expected = some("dkist")()
        agreeing({who: some(who) for who in readers}, expected, "64x64 cut-out")
        for work, who, peers, goal in (
            (
                "64x64 cut-out of one frame", "ours", ("ours, data sliced", "dkist", "rustfits"),
                "120x dkist, 1x rustfits, 0.5 ms",
            ),
            ("64x64 cut-out of one frame, through Zarr", "open_zarr", ("rustfits",), "1.0 ms"),
        ):  # fmt: skip
            everyone = {name: some(name, 200 * k) for k, name in enumerate((who, *peers))}
            table.time(work, everyone, goal, at_once)
    for file in opened:
        file.close()


def datasets(table: Works, directory: Path, n: int) -> None:
    """Through the whole path: a dataset, dask, the store, the file."""
    import dask

    def compare(work: str, theirs: Any, ours: Any, index: Any, goal: str) -> None:
        if not table.wants(work):
            return
        with dask.config.set(scheduler="threads", num_workers=2):
            assert np.array_equal(ours.data[index].compute(), theirs.data[index].compute())
            table.time(
                work,
                {
                    "ours": lambda: ours.data[index].compute(),
                    "dkist": lambda: theirs.data[index].compute(),
                },
                goal,
            )

    theirs, ours, files = dataset(directory, "ViSP", "RICE_1", n)
    cutouts(table, theirs, ours, files)
    compare("one whole ViSP frame", theirs, ours, np.s_[3], "4x")
    compare(f"one row, 64 pixels, of {n} frames", theirs, ours, np.s_[:, 500, 100:164], "80x")
    compare(f"100-row window of {n} frames", theirs, ours, np.s_[:, 500:600], "20x")
    compare(f"one column of {n} frames", theirs, ours, np.s_[:, :, 1280], "4x")
    m = min(100, n)
    work = f"mean of {m} frames, dask threads"
    if table.wants(work):

        def mean(data: Any, workers: int) -> Any:
            with dask.config.set(scheduler="threads", num_workers=workers), threads(workers):
                return data.mean(axis=0).compute()

        table.time(
            work,
            {
                "ours": lambda: mean(ours[:m].data, 2),
                "dkist": lambda: mean(theirs.data[:m], 2),
                "ours, 1 thread": lambda: mean(ours[:m].data, 1),
            },
            "20x",
        )
    work = "cost of the path: a whole frame, its read and decode alone"
    if table.wants(work):
        from dkist_virtual.fits.decode import decode_image
        from dkist_virtual.fits.hdu import image_layout

        path = ours.files.urls[3]
        with open(path, "rb") as file:
            start, layout = image_layout(file.read(), 1)

        def alone() -> Any:
            with open(path, "rb", buffering=0) as file:
                return decode_image(layout, memoryview(file.read())[start:])

        with dask.config.set(scheduler="synchronous"), threads(1):
            table.time(
                work,
                {"ours": lambda: ours.data[3].compute(), "alone": alone},
                "under 2 ms more",
            )
    m = max(n // 5, 1)
    if table.wants("fixed-wavelength map of Cryo frames"):
        theirs, ours, _ = dataset(directory, "Cryo", "RICE_1", m)
        index = np.s_[:, :, 875]
        compare(f"fixed-wavelength map of Cryo frames, {m}", theirs, ours, index, "4x")
    work = "one whole plain ViSP frame"
    if table.wants(work):
        theirs, ours, files = dataset(directory, "ViSP", None, 3)
        offset = (files[0].stat().st_size // 2880 * 2880) - -(-2560000 * 4 // 2880) * 2880

        def fromfile() -> Any:
            raw = np.fromfile(files[1], ">f4", 2560000, offset=offset)
            return raw.astype("f4").reshape(1000, 2560)

        assert np.array_equal(ours[1].data.compute(), fromfile())
        table.time(
            work,
            {
                "ours": lambda: ours.data[1].compute(),
                "numpy": fromfile,
                "dkist": lambda: theirs.data[1].compute(),
            },
            "numpy 0.67x",
        )


def about(rounds: int, names: tuple[str, ...]) -> dict[str, Any]:
    """Machine and versions, to stand beside figures."""
    info = Path("/proc/cpuinfo")
    models = info.read_text().splitlines() if info.exists() else []
    cpus = [line.split(":", 1)[1].strip() for line in models if line.startswith("model name")]
    return {
        "python": platform.python_version(),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "cpu": (*cpus, platform.processor())[0],
        "rounds": rounds,
        "versions": {name: version(name) for name in names},
    }


def main() -> None:
    """Run and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--frames", type=int, default=200)
    parser.add_argument("--only", default="", help="the works that have this in their name")
    parser.add_argument("--real", type=Path, help="the file of a real frame, to decode as BEOGN")
    parser.add_argument(
        "--cpu", action="store_true", help="time of the processor, where others use it too"
    )
    parser.add_argument("--keep", type=Path, help="make the frames here and leave them")
    parser.add_argument("--json", type=Path, help="write all figures here too")
    given = parser.parse_args()
    warnings.simplefilter("ignore")  # of dkist's and astropy's about these made-up files
    background.MOST_SECONDS = 0.0  # what is timed is the kernels: they are compiled at once
    names = (
        "dkist_virtual", "dkist", "astropy", "fitsio", "rustfits", "dask", "zarr", "numba", "numpy",
    )  # fmt: skip
    said = about(given.rounds, names)
    print(json.dumps(said), "\n")
    print("| work | ours, ms | others, ms (ratio to ours) | to reach |\n|---|---|---|---|")
    table = Works(given.rounds, given.only, time.process_time if given.cpu else time.perf_counter)
    with tempfile.TemporaryDirectory(dir=given.keep) as made:
        directory = Path(made)
        decoding(table, directory, given.real)
        datasets(table, directory, given.frames)
    if given.json:
        given.json.write_text(json.dumps({**said, "lines": table.lines}, indent=1) + "\n")


if __name__ == "__main__":
    main()

"""Times of a slider step, from the call to the drawn canvas, beside dkist's: ``make bench-plot``.

    python benchmarks/plot.py [--rounds N] [--only WORD] [--keep DIR] [--json FILE]

Three datasets of real sizes: a simulated VTF one, and the Data Center's own ASDFs of a VBI and a
ViSP dataset, which the dkist package carries, with frames made to fit. Of the 688 files of the ViSP
map 16 are different, the others links to them. A step reads its frames, which the system has
cached: planes that a figure would keep are dropped, and nothing is read ahead but in the row
that says so.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import shutil
import tempfile
import time
import warnings
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from run import Works, about, scene

mpl.use("agg")


def write(path: Path, shape: tuple[int, ...], dtype: str, seed: int) -> None:
    """A compressed frame, as the Data Center writes them."""
    from astropy.io import fits

    data = np.roll(scene(shape), 17 * seed, axis=-1).astype(dtype)
    tile = (1,) * (len(shape) - 1) + shape[-1:]
    hdu = fits.CompImageHDU(
        data, name="OBSERVATION", tile_shape=tile, compression_type="RICE_1", quantize_method=-1
    )
    fits.HDUList([fits.PrimaryHDU(), hdu]).writeto(path, overwrite=True)


def real(
    directory: Path, name: str, shape: tuple[int, ...], dtype: str, n: int, different: int
) -> Path:
    """One of the dkist package's ASDFs, with its first `n` frames."""
    import dkist

    directory.mkdir()
    asdf = directory / name
    with (
        gzip.open(files("dkist") / "data" / "test" / f"{name}.gz") as packed,
        asdf.open("wb") as plain,
    ):
        shutil.copyfileobj(packed, plain)
    names = first_tile(dkist.load_dataset(asdf)).files.filenames[:n]
    for number, frame in enumerate(names):
        if number < different:
            write(directory / frame, shape, dtype, number)
        else:
            os.link(directory / names[number % different], directory / frame)
    return asdf


def first_tile(ds: Any) -> Any:
    """A dataset as it is, of a mosaic its first tile."""
    return ds.flat[0] if hasattr(ds, "slice_tiles") else ds


def vtf(directory: Path) -> Path:
    """A simulated VTF dataset: 4 Stokes parameters, 1 repeat, 3 wavelengths."""
    from dkist_virtual.demo.vtf import make_vtf

    return make_vtf(directory, (4, 1, 3, 966, 980), echo=lambda _: None)


def stepping(plot: Any, axis: int) -> Callable[[], None]:
    """A step of ours that reads its plane and draws it."""
    n = plot.subject.world.shape[axis]
    plot.figure.canvas.draw()
    plot._reader.read_ahead = lambda _: None

    def step() -> None:
        plot._reader._planes.clear()
        plot.show({axis: (plot.position[axis] + 1) % n})

    return step


def stepping_ahead(plot: Any, axis: int) -> Callable[[], None]:
    """A step of ours onto a plane that was read ahead."""
    n = plot.subject.world.shape[axis]
    plot.figure.canvas.draw()

    def step() -> None:
        plot.show({axis: (plot.position[axis] + 1) % n})

    def prepared() -> None:
        at = list(plot.position)
        at[axis] = (at[axis] + 1) % n
        plot._reader.read(at)

    step.before = prepared  # type: ignore[attr-defined]
    return step


def stepping_theirs(animator: Any, slider: int) -> Callable[[], None]:
    """The same of dkist's figure."""
    widget = animator.sliders[slider]._slider
    animator.fig.canvas.draw()

    def step() -> None:
        value = widget.val + 1 if widget.val + 1 <= widget.valmax else widget.valmin
        widget.set_val(value)
        animator.fig.canvas.draw()

    return step


def main() -> None:
    """Run and print the table."""
    import dkist

    import dkist_virtual as dv

    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--only", default="", help="the works that have this in their name")
    parser.add_argument("--keep", type=Path, help="make the frames here and leave them")
    parser.add_argument("--json", type=Path, help="write all figures here too")
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    said = about(given.rounds, ("dkist_virtual", "dkist", "astropy", "matplotlib", "ndcube"))
    print(json.dumps(said), "\n")
    print("| work | ours, ms | others, ms (ratio to ours) | to reach |\n|---|---|---|---|")
    table = Works(given.rounds, given.only, time.perf_counter)
    works = [
        ("VTF", "step of a VTF frame, 966 x 980", vtf, 2, None, "150 ms"),
        (
            "VBI",
            "step of a VBI frame, 4096 x 4096",
            lambda at: real(at, "large_vbi.asdf", (1, 4096, 4096), "f4", 3, 3),
            0,
            None,
            "250 ms",
        ),
        (
            "ViSP",
            "step of a ViSP raster map, 688 x 2555",
            lambda at: real(at, "croppable_visp.asdf", (1, 976, 2555), "f8", 688, 16),
            2,
            [None, "x", None, "y"],
            "1,000 ms",
        ),
    ]
    with tempfile.TemporaryDirectory(dir=given.keep) as made:
        for kind, work, make, axis, plot_axes, goal in works:
            if not table.wants(work):
                continue
            asdf = make(Path(made) / kind)
            dv.convert(asdf, Path(made) / f"{kind}.virtual", progress=False)
            ds = first_tile(dv.open_dataset(Path(made) / f"{kind}.virtual"))
            everyone = {
                "ours": stepping(ds.plot(plot_axes), axis),
                "ours, read ahead": stepping_ahead(ds.plot(plot_axes), axis),
            }
            theirs = first_tile(dkist.load_dataset(asdf))
            animator = theirs.plot(plot_axes=plot_axes) if plot_axes else theirs.plot()
            sliding = [a for a in range(len(ds.shape)) if a in ds.plot(plot_axes).shown.sliding]
            everyone["dkist"] = stepping_theirs(animator, sliding.index(axis))
            table.time(work, everyone, goal)
    if given.json:
        given.json.write_text(json.dumps({**said, "lines": table.lines}, indent=1) + "\n")


if __name__ == "__main__":
    main()

"""Times of measuring spectra beside reading them, and of fits: ``make bench-spectra``.

    python benchmarks/spectra.py [--steps N] [--rounds N] [--fit-rounds N] [--only WORD]
                                 [--keep DIR] [--json FILE]

A raster of a slit spectrograph: N steps (200) of 500 positions along the slit and 100 wavelengths,
cut out of the Data Center's own ASDF of a ViSP dataset, which the dkist package carries, with
frames made to fit: 976 x 2555 pixels with a line whose place and depth change. 16 files are
different, the others links to them. Frames are in the system's cache.

Measurements are compared with reading the same pixels, and with what public notebooks do: the
``.data`` of dkist frame by frame, a loop over the positions along the slit. The fit is compared
with astropy's `parallel_fit_dask` on an array that is in memory already, plus the time of the read,
which is what may be reached, and with the loop of the notebooks over the first step, times the
number of steps. Each round does all in turn; the figures are medians, the ratios those of the
medians.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import shutil
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from run import Works, about

LINE, WINDOW, SLIT = 430, slice(380, 480), slice(1000, 1500)


def write(path: Path, number: int) -> None:
    """A compressed frame with a dark line, as the Data Center writes them."""
    from astropy.io import fits

    rng = np.random.default_rng(number)
    wave, slit = np.mgrid[:976.0, :2555.0]
    place = LINE + 6 * np.sin(slit / 80 + number)
    depth = 0.5 + 0.2 * np.cos(slit / 50 + number)
    data = 20000 * (1 - depth * np.exp(-0.5 * ((wave - place) / 9) ** 2))
    data += rng.normal(0, 60, data.shape)
    hdu = fits.CompImageHDU(
        data.astype("f4").astype("f8")[None], name="OBSERVATION", tile_shape=(1, 1, 2555),
        compression_type="RICE_1", quantize_method=-1,
    )  # fmt: skip
    fits.HDUList([fits.PrimaryHDU(), hdu]).writeto(path, overwrite=True)


def raster(directory: Path, steps: int) -> Path:
    """The ASDF, with frames for the first Stokes parameter of so many steps."""
    import dkist

    directory.mkdir(exist_ok=True)
    asdf = directory / "croppable_visp.asdf"
    with (
        gzip.open(files("dkist") / "data" / "test" / f"{asdf.name}.gz") as packed,
        asdf.open("wb") as plain,
    ):
        shutil.copyfileobj(packed, plain)
    names = dkist.load_dataset(asdf)[0].files.filenames[:steps]
    for number, name in enumerate(names):
        if (directory / name).exists():
            continue
        if number < 16:
            write(directory / name, number)
        else:
            os.link(directory / names[number % 16], directory / name)
    return asdf


def by_hand(ds: Any, wavelengths: np.ndarray) -> np.ndarray:
    """The centroid of each spectrum, as a notebook computes it of dkist's arrays."""
    found = np.empty((ds.shape[0], SLIT.stop - SLIT.start))
    for step in range(ds.shape[0]):
        frame = ds[step].data.compute()
        for at, slit in enumerate(range(SLIT.start, SLIT.stop)):
            spectrum = frame[WINDOW, slit]
            depth = 1 - spectrum / np.percentile(spectrum, 95)
            found[step, at] = np.trapezoid(depth * wavelengths, wavelengths) / np.trapezoid(
                depth, wavelengths
            )
    return found


def model(wavelengths: np.ndarray) -> Any:
    """A dark line on a constant."""
    from astropy.modeling.models import Const1D, Gaussian1D

    step = float(np.median(np.diff(wavelengths)))
    place = float(wavelengths[LINE - WINDOW.start])
    return Const1D(20000.0) - Gaussian1D(10000.0, place, 8 * step)


def in_memory(pixels: np.ndarray, wavelengths: np.ndarray) -> Any:
    """Fit each spectrum of an array by astropy alone, by its defaults."""
    from astropy.modeling.fitting import TRFLSQFitter, parallel_fit_dask

    return parallel_fit_dask(
        model=model(wavelengths), fitter=TRFLSQFitter(), data=pixels, fitting_axes=1,
        world=(wavelengths,),
    )  # fmt: skip


def by_loop(pixels: np.ndarray, wavelengths: np.ndarray) -> None:
    """Each spectrum of a step in turn."""
    from astropy.modeling.fitting import TRFLSQFitter

    start = model(wavelengths)
    for slit in range(pixels.shape[-1]):
        TRFLSQFitter()(start, wavelengths, pixels[:, slit])


def in_turn(rounds: int, everyone: dict[str, Callable[[], Any]]) -> dict[str, float]:
    """The median seconds of each."""
    taken: dict[str, list[float]] = {who: [] for who in everyone}
    for _ in range(rounds):
        for who, run in everyone.items():
            began = time.perf_counter()
            run()
            taken[who].append(time.perf_counter() - began)
            print(f"  {who}: {taken[who][-1]:.1f} s", flush=True)
    return {who: statistics.median(seconds) for who, seconds in taken.items()}


def main() -> None:
    """Run and print the tables."""
    import dkist

    import dkist_virtual as dv

    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--fit-rounds", type=int, default=3)
    parser.add_argument("--only", default="", help="the works that have this in their name")
    parser.add_argument("--keep", type=Path, help="make the frames here and leave them")
    parser.add_argument("--json", type=Path, help="write all figures here too")
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    said = about(given.rounds, ("dkist_virtual", "dkist", "astropy", "scipy", "dask", "numpy"))
    print(json.dumps(said), "\n")
    with tempfile.TemporaryDirectory(dir=given.keep) as made:
        directory = given.keep or Path(made)
        asdf = raster(directory, given.steps)
        ds: Any = dv.open_dataset(asdf)[0, : given.steps, WINDOW, SLIT]
        theirs = dkist.load_dataset(asdf)[0, : given.steps]
        wavelengths = ds.spectral.axis.values
        print(f"{given.steps} steps x {len(wavelengths)} wavelengths x {ds.shape[-1]} positions\n")
        print("| work | ours, ms | others, ms (ratio to ours) | to reach |\n|---|---|---|---|")
        table = Works(given.rounds, given.only, time.perf_counter)
        table.time("read the pixels", {"ours": lambda: np.asarray(ds.data)})
        whole = dv.open_dataset(asdf)[0, : min(given.steps, 16)]
        for work, run in {
            "moments of whole frames": lambda: whole.spectral.moments().compute(),
            "line cores of whole frames": lambda: whole.spectral.line_core().compute(),
        }.items():
            read = {"ours": run, "read": lambda: np.asarray(whole.data)}
            table.time(work, read, "1.2 x the read")
        beside = ds.spectral.axis.wavelengths[[0, 15]]  # without the line
        for work, run in {
            "moments": lambda: ds.spectral.moments().compute(),
            "line cores": lambda: ds.spectral.line_core().compute(),
            "moments, continuum of a window": lambda: ds.spectral.moments(
                continuum=beside
            ).compute(),
            "line cores, continuum of a window": lambda: ds.spectral.line_core(
                continuum=beside
            ).compute(),
        }.items():
            everyone = {"ours": run, "read": lambda: np.asarray(ds.data)}
            if work == "moments":
                everyone["by hand"] = lambda: by_hand(theirs, wavelengths)
            table.time(work, everyone, "1.2 x the read")
        lines = list(table.lines)
        if given.only.lower() in "fit":
            lines.append(fits(ds, theirs, wavelengths, given.fit_rounds))
    if given.json:
        given.json.write_text(json.dumps({"about": said, "lines": lines}, indent=1) + "\n")


def fits(ds: Any, theirs: Any, wavelengths: np.ndarray, rounds: int) -> dict[str, Any]:
    """Compare fits, and print the ratios."""
    pixels = np.asarray(ds.data)
    first = theirs[0].data.compute()[WINDOW, SLIT]
    print(f"\nfits of {pixels[:, 0].size} spectra")
    seconds = in_turn(
        rounds,
        {
            "ours": lambda: ds.spectral.fit(
                model(wavelengths), scheduler="processes", progress=False
            ),
            "parallel_fit_dask in memory": lambda: in_memory(pixels, wavelengths),
            "read": lambda: np.asarray(ds.data),
            "loop over one step": lambda: by_loop(first, wavelengths),
        },
    )
    ours = seconds["ours"]
    bound = seconds["parallel_fit_dask in memory"] + seconds["read"]
    loop = seconds["loop over one step"] * len(ds)
    print("\n| fit | seconds | ratio to ours | to reach |\n|---|---|---|---|")
    print(f"| ours | {ours:.1f} | | |")
    print(f"| in memory + read | {bound:.1f} | {bound / ours:.2f}x | 1 |")
    print(f"| loop over all steps, as one takes | {loop:.1f} | {loop / ours:.2f}x | |")
    return {"work": "fit", "seconds": seconds, "bound": bound, "loop": loop}


if __name__ == "__main__":
    main()

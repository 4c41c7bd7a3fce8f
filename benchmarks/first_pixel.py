"""Time from the call to the first pixel in fresh processes: ``make bench-first``.

Once with no kernel compiled yet (an empty ``NUMBA_CACHE_DIR``), and once with the kernels of an
earlier process. Opening and imports are before the call. Everyone in turn, round after round;
medians of wall time, and of the CPU time of all threads until the pixels are there.

    python benchmarks/first_pixel.py [--rounds N] [--only WORD]
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from astropy.io import fits
from run import SHAPES, dataset, scene

CLOCK = """
import time, warnings
warnings.simplefilter("ignore")
{before}
wall, cpu = time.perf_counter(), time.process_time()
{call}
print(time.perf_counter() - wall, time.process_time() - cpu)
"""
WAIT = "from dkist_virtual.fits.compiled import background; background.MOST_SECONDS = 0.0"


def forms(directory: Path) -> dict[str, Path]:
    """One ViSP frame in other forms."""
    shape, tile = SHAPES["ViSP"]
    pixels = scene(shape)
    whole = pixels[..., :256, :512]
    made = {}
    for name, data, algorithm, tiles in (
        ("RICE_1, float64", pixels.astype("f8"), "RICE_1", tile),
        ("RICE_1, integers", pixels.astype("i2"), "RICE_1", tile),
        ("GZIP_2", pixels, "GZIP_2", tile),
        ("HCOMPRESS_1, 256 x 512", whole, "HCOMPRESS_1", (1, 16, 512)),
        ("PLIO_1, 256 x 512", (whole > np.median(whole)).astype("i2"), "PLIO_1", (1, 1, 512)),
    ):
        made[name] = directory / f"{len(made)}.fits"
        hdu = fits.CompImageHDU(data, compression_type=algorithm, tile_shape=tiles)
        fits.HDUList([fits.PrimaryHDU(), hdu]).writeto(made[name])
    return made


def works(directory: Path) -> dict[str, dict[str, str]]:
    """Each piece of work: who does it, and the code that prints its times; ours come first."""
    dataset(directory, "ViSP", "RICE_1", 2)  # of one frame, the first axis would be rows
    (place,) = directory.iterdir()
    store, asdf = str(place / "store"), str(place / "b.asdf")
    opened = f"import dkist_virtual as dv; ds = dv.open_dataset({store!r})"
    zarr = f"import dkist_virtual as dv; data = dv.open_zarr({store!r})['data']"
    dkist = f"import dkist; ds = dkist.load_dataset({asdf!r})"
    found = {
        "ViSP through a dataset": {
            "ours": CLOCK.format(before=opened, call="ds[0].data.compute()"),
            "dkist": CLOCK.format(before=dkist, call="ds[0].data.compute()"),
        },
        "ViSP through Zarr": {
            "ours": CLOCK.format(before=zarr, call="data[0]"),
            "dkist": CLOCK.format(before=dkist, call="ds[0].data.compute()"),
        },
    }
    for name, file in forms(directory).items():
        ours = f"from dkist_virtual.fits import decode_frame; d = open({str(file)!r}, 'rb').read()"
        found[name] = {
            "ours": CLOCK.format(before=ours, call="decode_frame(d, 1)"),
            "astropy": CLOCK.format(
                before="from astropy.io import fits", call=f"fits.getdata({str(file)!r}, 1)"
            ),
        }
    return found


def run(code: str, cache: str) -> tuple[float, float]:
    """Run code in a new process; return the seconds that it prints."""
    environment = {**os.environ, "NUMBA_CACHE_DIR": cache}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    wall, cpu = map(float, done.stdout.split()[-2:])
    return wall, cpu


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", default="", help="Only work whose name contains this.")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as made, tempfile.TemporaryDirectory() as warm:
        for work, everyone in works(Path(made)).items():
            if asked.only not in work:
                continue
            run(f"{WAIT}\n{everyone['ours']}", warm)
            taken: dict[str, list[tuple[float, float]]] = {}
            for _ in range(asked.rounds):
                for who, code in everyone.items():
                    with tempfile.TemporaryDirectory() as empty:
                        name = f"{who}, no kernels yet" if who == "ours" else who
                        taken.setdefault(name, []).append(run(code, empty))
                    if who == "ours":
                        taken.setdefault("ours, kernels kept", []).append(run(code, warm))
            print(work)
            for who, times in taken.items():
                wall, cpu = (statistics.median(column) for column in zip(*times, strict=True))
                print(f"    {who:<24} {wall:8.3f} s  CPU {cpu:8.3f} s", flush=True)


if __name__ == "__main__":
    main()

"""References of FITS files of any survey: ``dv.fits_references`` beside ``kerchunk.fits``.

    python benchmarks/survey.py [--files N]      # time, requests and bytes for N files
    python benchmarks/survey.py FILE [FILE ...]  # every image of these files against astropy

Without files it makes some, of 16 Mbit plain and compressed images with 200 cards, and reads them
from the page cache, and from a server of this machine that takes 20 ms for every answer.
"""

from __future__ import annotations

import argparse
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import kerchunk.fits
import numpy as np
from astropy.io import fits

import dkist_virtual as dv
from dkist_virtual.demo.server import FrameServer


def check(paths: list[str]) -> None:
    """Compare every image of some files with astropy: whole, a cut-out, and the header."""
    n = 0
    for path in paths:
        with fits.open(path) as file:
            images = [i for i, hdu in enumerate(file) if hdu.is_image and hdu.size]
            for i in images:
                expected, header = file[i].data, file[i].header
                made = dv.fits_references(path, hdu=i)
                if len(images) == 1:
                    assert dv.fits_references(path).hdu == i, path
                array = made.array()
                cut = tuple(slice(m // 3, m // 3 + max(1, m // 4)) for m in expected.shape)
                np.testing.assert_array_equal(array[...], expected)
                np.testing.assert_array_equal(array[cut], expected[cut])
                assert array.dtype == expected.dtype.newbyteorder("=")
                row = made.headers[0]
                for keyword in {"DATE-OBS", "EXPTIME", "CRVAL1", "CTYPE1", "TELESCOP"} & {*header}:
                    assert row[keyword] == header[keyword], (path, keyword)
                n += 1
        print(f"{Path(path).name:80} {len(images)} image(s) equal")
    print(f"{n} images of {len(paths)} files are equal to astropy's")


def make(directory: Path, n: int, compressed: bool) -> list[str]:
    """Write files, all alike but for their header."""
    pixels = np.random.default_rng(0).normal(100, 5, (512, 1024)).astype("f4")
    kind = fits.CompImageHDU if compressed else fits.ImageHDU
    file = directory / "first.fits"
    header = fits.Header({f"KEY{i}": i / 7 for i in range(200)} | {"DATE-OBS": "2024-01-01"})
    fits.HDUList([fits.PrimaryHDU(), kind(pixels, header, name="SCI")]).writeto(file)
    data = file.read_bytes()
    file.unlink()
    paths = []
    for i in range(n):
        path = directory / f"{i:05d}.fits"
        path.write_bytes(data)
        paths.append(str(path))
    return paths


def measure(n: int) -> None:
    """Print time, requests and bytes."""
    for compressed in (False, True):
        with tempfile.TemporaryDirectory() as made:
            paths = make(Path(made), n, compressed)
            what = "compressed" if compressed else "plain"
            dv.fits_references(paths[:2])  # imports
            began = time.perf_counter()
            dv.fits_references(paths, Path(made) / "out.json")
            ours = time.perf_counter() - began
            began = time.perf_counter()
            one_by_one(paths)
            theirs = time.perf_counter() - began
            for name, taken in (("fits_references", ours), ("kerchunk.fits", theirs)):
                print(f"{what}, disk, {name:15} {taken:7.2f} s {taken / n * 1e3:7.2f} ms a file")
            with FrameServer(Path(made), delay=0.02).running() as server:
                urls = [f"{server.url}/{Path(path).name}" for path in paths]
                report(server, f"{what}, 20 ms, fits_references", dv.fits_references, urls)
                some = urls[: max(1, n // 10)]
                report(server, f"{what}, 20 ms, kerchunk.fits", one_by_one, some)


def one_by_one(urls: list[str]) -> None:
    """Make kerchunk's."""
    for url in urls:
        kerchunk.fits.process_file(url)


def report(
    server: FrameServer, name: str, run: Callable[[list[str]], object], urls: list[str]
) -> None:
    """Run something that asks a server for files, and print what it took."""
    server.forget()
    n = len(urls)
    began = time.perf_counter()
    run(urls)
    taken = time.perf_counter() - began
    print(
        f"{name:34} {n:5} files {taken:7.2f} s {taken / n * 1e3:7.2f} ms, "
        f"{len(server.requests) / n:.1f} requests, {server.sent / n:,.0f} bytes a file",
        flush=True,
    )


def main() -> None:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("paths", nargs="*")
    parser.add_argument("--files", type=int, default=1000)
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    if given.paths:
        check(given.paths)
    else:
        measure(given.files)


if __name__ == "__main__":
    main()

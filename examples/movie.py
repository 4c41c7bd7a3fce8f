"""Write movies: a scan through a line, and two datasets side by side.

    python movie.py [DIRECTORY]

Makes a small dataset first, and writes movies and pictures into the
directory. Needs the extras ``demo`` and ``movies``.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import astropy.units as u

import dkist_virtual as dv
from dkist_virtual.demo.vtf import make_vtf


def main(directory: Path) -> None:
    make_vtf(directory / "frames", shape=(4, 2, 5, 96, 128), echo=lambda _: None)
    ds = dv.open_dataset(directory / "frames")
    assert isinstance(ds, dv.Dataset)

    # 1. A scan through the line, with one contrast: each frame is read once.
    plot = ds.plot()
    plot.movie(directory / "scan.mp4", axis="wavelength", fps=4, dpi=80)

    # 2. Every other wavelength and back, as a page with buttons.
    plot.movie(directory / "scan.html", axis="wavelength", steps=[0, 2, 4, 2], dpi=60)

    # 3. Intensity, and beside it the circular polarisation that is the nearest in time.
    intensity, polarised = ds[0].plot(), ds[3, :, 1].plot()
    intensity.movie(
        directory / "both.gif", axis="wavelength", beside=polarised, tolerance=60 * u.s, dpi=50
    )

    # 4. All wavelengths on a page, and one picture for a paper.
    plot.contact_sheet("wavelength").savefig(directory / "sheet.png")
    plot.at(stokes="V").picture(8.8 * u.cm).savefig(directory / "v.pdf")
    made = sorted(path for path in directory.iterdir() if path.is_file())
    for path in made:
        print(f"{path.name}: {path.stat().st_size // 1000} kB")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as made:
        main(Path(sys.argv[1] if len(sys.argv) > 1 else made))

"""Run the scripts in ``examples/`` as they are, and check what they print: all but one are slow."""

from __future__ import annotations

import re
import runpy
import shutil
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest
from astropy.io import fits

from dkist_virtual.demo import vtf as demo

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture(scope="module", autouse=True)
def _made_once(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The simulator takes seconds for what many examples begin with: the same few frames."""
    kept, real = tmp_path_factory.mktemp("made"), demo.make_vtf

    def make_vtf(directory: Path, shape: tuple[int, ...], **how: Any) -> Path:
        one = kept / "x".join(map(str, shape))
        real(one, shape, **how)
        shutil.copytree(one, directory, dirs_exist_ok=True)
        return real(directory, shape, echo=lambda _: None)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(demo, "make_vtf", make_vtf)
        yield


def run(script: str, *arguments: str) -> str:
    """Run a script in this process, where what all of them import is there already."""
    before = sys.argv, sys.path[:]
    sys.argv = [str(EXAMPLES / script), *arguments]
    sys.path.insert(0, str(EXAMPLES))
    try:
        with redirect_stdout(StringIO()) as said, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", FutureWarning)
            warnings.filterwarnings("error", category=DeprecationWarning, module="__main__")
            runpy.run_path(sys.argv[0], run_name="__main__")
    finally:
        sys.argv, sys.path[:] = before
        plt.close("all")
    return said.getvalue()


def run_alone(script: str, *arguments: str) -> str:
    """Run a script as a user does: one that has worker processes, or settings of its own."""
    done = subprocess.run(
        [sys.executable, "-W", "error::FutureWarning", "-W", "error::DeprecationWarning:__main__",
         str(EXAMPLES / script), *arguments],
        capture_output=True,
        text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_example_is_run_here() -> None:
    scripts = {path.name for path in EXAMPLES.glob("*.py")}
    assert scripts == {
        "align.py",
        "any_survey.py",
        "archive.py",
        "catalogue.py",
        "cluster.py",
        "convert_and_read.py",
        "doppler.py",
        "download_subset.py",
        "export.py",
        "icechunk_history.py",
        "look.py",
        "magnetic_map.py",
        "mosaic.py",
        "movie.py",
        "normalise.py",
        "pointing.py",
        "read_remote.py",
        "save.py",
        "search.py",
        "seeing.py",
        "select_by_coordinates.py",
        "space_time.py",
        "spectra.py",
        "stitch.py",
        "verify_store.py",
        "view.py",
    }


@pytest.mark.slow
def test_convert_and_read_makes_a_dataset() -> None:
    printed = run_alone("convert_and_read.py")
    assert "20 frames" in printed
    assert re.search(r"One frame: \(48, 64\) from \['VTF_demo_0000.fits'\]", printed)
    assert re.search(r"Pixel \(24, 32\) through 5 files: \[( *\d+\.\d?){5}\]", printed)
    assert "Arrays of the Zarr group: ['data']" in printed
    assert "Compared with astropy: {'equal': 5}" in printed


def test_convert_and_read_takes_a_dataset(simulated: Callable[[str], Path]) -> None:
    name = "visp_moving"
    printed = run("convert_and_read.py", str(simulated(name) / f"{name}.asdf"))
    (first,) = re.findall(r"One frame: .* from \['(.*)'\]", printed)
    mean = np.nanmean(fits.getdata(simulated(name) / first, 1))
    (said,) = re.findall(r"Its mean: (\S+) ct", printed)
    assert float(said) == pytest.approx(mean, abs=0.01)
    assert "Compared with astropy: {'equal': 5}" in printed


@pytest.mark.slow
def test_archive() -> None:
    said = run("archive.py")
    assert said.count(".virtual: new, 20 frames") == 3
    assert "'unchanged': 3" in said
    assert "Look at" not in said


@pytest.mark.slow
def test_catalogue() -> None:
    said = run("catalogue.py")
    assert said.startswith(
        "3 stores in the catalogue\nFound: ['AAAAAAA', 'AAAAAAB', 'AAAAAAC'] with 1 "
    )
    (mean, again) = re.findall(r"Mean: (\S+) (\S+)", said)[0]
    assert mean == again
    assert "without instrument: 3" in said


@pytest.mark.slow
def test_icechunk_history() -> None:
    printed = run("icechunk_history.py")
    assert "Something new: True True False" in printed
    assert "Shapes: (4, 1, 5, 48, 64) (4, 2, 5, 48, 64)" in printed
    assert "Equal: True" in printed


@pytest.mark.slow
def test_align(tmp_path: Path) -> None:
    printed = run("align.py", str(tmp_path))
    west = [float(x) for x in re.findall(r"\ndx (\S+) to (\S+) arcsec", printed)[0]]
    north = [float(y) for y in re.findall(r"\ndy (\S+) to (\S+) arcsec", printed)[0]]
    assert west == pytest.approx([3.2, 3.2], abs=0.07)
    assert north == pytest.approx([-1.7, -1.7], abs=0.07)
    assert "Refused: align: the best shift of 2 of 2 steps" in printed
    assert (tmp_path / "alignment.png").stat().st_size > 10_000


@pytest.mark.slow
def test_movie(tmp_path: Path) -> None:
    printed = run("movie.py", str(tmp_path))
    names = re.findall(r"(\S+): [1-9]\d* kB", printed)
    assert names == ["both.gif", "scan.html", "scan.mp4", "sheet.png", "v.pdf"]


@pytest.mark.slow
def test_read_remote() -> None:
    printed = run("read_remote.py")
    assert "A spectrum: (5,) from 5 files\nRequests so far: 0" in printed
    assert re.search(r"\n\d+ requests, [\d,]+ of [\d,]+ bytes", printed)
    assert "The same: True\n3 of 5 frames are here" in printed
    assert re.search(r"Refused: .*data/1\.0\.0.*answered 403", printed)


@pytest.mark.slow
def test_select_by_coordinates() -> None:
    printed = run("select_by_coordinates.py")
    assert "V: (2, 5, 48, 64)" in printed
    assert "from 30 files" in printed
    assert re.search(r"Nearest to 630.25 nm: \(2, 48, 64\) \['data/3\.0\.\d\.0\.0', ", printed)
    assert re.search(r"Good seeing: \d+ of 40 files", printed)
    assert re.search(r"Mean of the region: \d+\.\d", printed)


@pytest.mark.slow
def test_export() -> None:
    printed = run("export.py")
    assert "'ATMOS_R0', 'latitude', 'longitude', 'stokes', 'time', 'wavelength'" in printed
    assert re.search(r"Nearest to 630.25 nm: \(2, 48, 64\) at 630\.2\d\d nm", printed)
    assert re.search(r"Map: \(48, 64\) VTF 630\.\d+ nm .*HPLN-TAN.*HPLT-TAN", printed)
    assert re.search(r"Electrons: \[.*\] electron", printed)
    assert re.search(r"Mean, by two workers: -?\d", printed)


@pytest.mark.slow
def test_any_survey() -> None:
    printed = run("any_survey.py")
    assert "6 files, HDU 1: (date_obs 3, filter 2, y 96, x 128) of float32" in printed
    assert "Headers: ('2026-11-26T01:15:00', 'g')" in printed
    assert "as astropy reads it" in printed


@pytest.mark.slow
def test_download_subset() -> None:
    printed = run("download_subset.py")
    assert re.search(r"^5 of 40 files, .* of .*, none here already\n", printed)
    assert "data/0.1.0.0.0 is VTF_demo_0005.fits\nTo come: True\n" in printed
    assert "5 files fetched\n0 fetched the second time\n" in printed
    assert re.search(r"Mean: [\d.]+ \| 1 of 40 files, .*, 1 here already\n0 requests\n", printed)
    (chosen, here) = re.findall(r"Good seeing: (\d+) of 40 files, .*, (\d+) here already", printed)[
        0
    ]
    assert 0 < int(chosen) == int(here) < 40
    assert "Failed: True\n10 of 40 files" in printed
    assert "9 here already\n5 files for aria2\n" in printed


@pytest.mark.slow
def test_search() -> None:
    printed = run_alone("search.py")
    assert "Found: ['VTFDEMO'] [20]\n" in printed
    assert "Nothing found. There are datasets\n  without time: 1\n" in printed
    assert "VTF (4, 1, 5, 48, 64) ct\nThe same: True\n" in printed
    assert re.search(r"Spectrum: \[( *\d+\.\d?){5}\]\n5 of 20 frames asked\n", printed)
    assert "5 files fetched\nPicture: True\nRefused: True\n" in printed


@pytest.mark.slow
def test_mosaic() -> None:
    printed = run("mosaic.py")
    assert "Grid: (3, 3) tiles: 5 of 9\nMiddle: (2, 96, 96) above it: --\n" in printed
    assert re.search(r"First moment: 5 files, means \[( *\d{3}\.){5}\]", printed)
    assert "Tiles that show it: [[1, 1]]\n" in printed
    assert "Good seeing: 4 of 10 files" in printed
    assert "Row 4 belongs to tile [1, 1]\nPicture of 5 tiles: True\n" in printed


@pytest.mark.slow
def test_stitch() -> None:
    printed = run("stitch.py")
    assert "Tiles ((0, 0), (0, 2), (1, 1), (2, 0), (2, 2)) make (2, " in printed
    assert "Tile (0, 0) moved by [0. 0.] arcsec times 1.0\n" in printed
    assert "The middle is tile (0, 0)\n" in printed
    assert "A part: (30, 30) of tiles [(0, 0)" in printed
    assert "Picture: True\n" in printed


@pytest.mark.slow
def test_space_time() -> None:
    printed = run("space_time.py")
    assert re.search(r"Along the path: \(8, \d+\) of 8 frames\n", printed)
    (speed,) = re.findall(r"Speed: (\S+) km/s\n", printed)
    assert float(speed) == pytest.approx(40, abs=1.5)
    assert "Picture: True\n" in printed


@pytest.mark.slow
def test_look() -> None:
    printed = run("look.py")
    sliders = r"^Stokes: I  \(1 of 4\)\ntime: .* UTC  \(1 of 2\)\nwavelength: 630\."
    assert re.search(sliders, printed)
    assert "Shown: V  (4 of 4)\nPanels: I [ct], Q [ct], U [ct], V [ct]\n" in printed
    assert "Pictures: line.png, profiles.png, v.png, wavelength-y.png\n" in printed


@pytest.mark.slow
def test_pointing() -> None:
    printed = run("pointing.py")
    assert "Corrected by dx +3 arcsec, dy -1.5 arcsec\nTaken away again: None\n" in printed
    assert "Corrected by dx +0 to +0.4 arcsec, dy +0 arcsec; then rotation +0.3 deg" in printed
    assert "The store says dx +3 arcsec, dy +0 arcsec\n" in printed
    assert "Cryo-NIRSP is corrected by" in printed
    assert "dx -7.2637 arcsec, dy -25.4118 arcsec" in printed


@pytest.mark.slow
def test_normalise() -> None:
    printed = run("normalise.py")
    assert "Contrast: (4, 2, 5, 48, 64) in '' before a frame is read" in printed
    (profile,) = re.findall(r"A profile: \[(.*)\]", printed)
    values = np.array(profile.split(), float)
    assert values.shape == (5,)
    assert np.median(values[:2]) == pytest.approx(1, abs=1e-3)  # of what it was divided by
    assert re.search(r"Refused: .* computed from 2 frames in .*are in no files", printed)
    assert re.search(r"The files: \['VTF_demo_\d+.fits', 'VTF_demo_\d+.fits'\]", printed)
    assert "Binned: (5, 12, 16) | centre off by 0.000000 arcsec\nHeaders: None" in printed


@pytest.mark.slow
def test_magnetic_map() -> None:
    printed = run_alone("magnetic_map.py")
    assert "Frame of Q and U: unknown (INSTRUME is 'VTF'" in printed
    (low, high) = re.findall(r"Field: (-?\d+) to (\d+) G, \d% saturated", printed)[0]
    assert -40 < int(low) < 0  # noise: the demo's spot has one polarity, towards the observer
    assert 600 < int(high) < 1400
    assert "positive: towards the observer" in printed
    assert "Saved: (36, 48) G line-of-sight magnetic field\n" in printed


@pytest.mark.slow
def test_save() -> None:
    printed = run("save.py")
    assert re.search(
        r"Saved: \(2, 24, 64\) in \d{2,3} kB\nOpened: \(2, 24, 64\) with 2 header", printed
    )
    assert re.search(r"The same pixels: \[\d.*\]\nThe same coordinates: True\n", printed)
    assert "Computed: (2, 24, 64) True\n" in printed


@pytest.mark.slow
def test_cluster() -> None:
    printed = run_alone("cluster.py")
    assert "20 frames" in printed
    assert re.search(r"A pickled ds.data: \d{3} bytes", printed)
    assert "Mean frame: (48, 64) by 2 workers\nThe same as here: True" in printed
    assert "Tasks of one frame: 1" in printed


@pytest.mark.slow
def test_verify_store() -> None:
    printed = run("verify_store.py")
    assert "20 of 20 frames looked at" in printed
    assert "All of it is good." in printed
    assert re.search(r"'good': 18.* exit status 1", printed)
    assert re.search(r"corrupt: (data/\S+)", printed)
    assert "Warned: True" in printed
    (corrupt,) = re.findall(r"corrupt: (\S+)", printed)
    assert f"Refused: {corrupt}" in printed


@pytest.mark.slow
def test_seeing(tmp_path: Path) -> None:
    printed = run("seeing.py", str(tmp_path))
    assert "r0 is valid in 35, " in printed
    assert "AO locked in 35" in printed
    assert re.search(r"Scans with good frames: \[[\d ]+\]\nFiles: \d+ of 36 files", printed)
    assert re.search(r"Mean of the good: \d", printed)
    assert (tmp_path / "seeing.png").stat().st_size > 10_000


@pytest.mark.slow
def test_spectra(tmp_path: Path) -> None:
    printed = run("spectra.py", str(tmp_path))
    assert re.search(r"Equivalent width 7\.\d+ pm", printed)
    assert re.search(r"9\d\.\d% of the spectra have a core", printed)
    assert printed.endswith("\ncentroid\n")
    assert (tmp_path / "centroid.png").stat().st_size > 10_000


@pytest.mark.slow
def test_doppler(tmp_path: Path) -> None:
    printed = run("doppler.py", str(tmp_path))
    assert re.search(r"Fe I 630.25 +630.2494 +630.4237 2.500", printed)
    assert "Wavelengths are in air" in printed
    assert "Warned of OBS_VR: True" in printed
    assert re.search(r"Observer's velocity: removed: -?\d+\.\d to .* computed by astropy", printed)
    assert re.search(r"From -\d\.\d to \d\.\d km/s", printed)
    assert (tmp_path / "velocity.png").stat().st_size > 10_000


@pytest.mark.slow
def test_view() -> None:
    assert run("view.py").splitlines() == [
        "served to this machine alone: True",
        "selected: (4, 2, 5, 96, 128) in 40 files",
    ]

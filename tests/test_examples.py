"""The scripts in ``examples/`` run as they stand, and say what the dataset holds."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

EXAMPLES = Path(__file__).parent.parent / "examples"


def run(script: str, *arguments: str) -> str:
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
        "cluster.py",
        "convert_and_read.py",
        "frame_server.py",
        "read_remote.py",
        "select_by_coordinates.py",
    }


def test_convert_and_read_makes_a_dataset() -> None:
    printed = run("convert_and_read.py")
    assert "20 frames" in printed
    assert re.search(r"One frame: \(48, 64\) from \['VTF_demo_0000.fits'\]", printed)
    assert re.search(r"Pixel \(24, 32\) through 5 files: \[( *\d+\.\d?){5}\]", printed)
    assert "Arrays of the Zarr group: ['data']" in printed
    assert "Held against astropy: {'equal': 5}" in printed


def test_convert_and_read_takes_a_dataset(simulated: Callable[[str], Path]) -> None:
    name = "visp_moving"
    printed = run("convert_and_read.py", str(simulated(name) / f"{name}.asdf"))
    (first,) = re.findall(r"One frame: .* from \['(.*)'\]", printed)
    mean = np.nanmean(fits.getdata(simulated(name) / first, 1))
    (said,) = re.findall(r"Its mean: (\S+) ct", printed)
    assert float(said) == pytest.approx(mean, abs=0.01)
    assert "Held against astropy: {'equal': 5}" in printed


def test_read_remote() -> None:
    printed = run("read_remote.py")
    assert "A spectrum: (5,) from 5 files\nRequests so far: 0" in printed
    assert re.search(r"\n\d+ requests, [\d,]+ of [\d,]+ bytes", printed)
    assert "The same: True\n3 of 5 frames are here" in printed
    assert re.search(r"Refused: .*data/1\.0\.0.*answered 403", printed)


def test_select_by_coordinates() -> None:
    printed = run("select_by_coordinates.py")
    assert "V: (2, 5, 48, 64)" in printed
    assert "from 30 files" in printed
    assert re.search(r"Nearest to 630.25 nm: \(2, 48, 64\) \['data/3\.0\.\d\.0\.0', ", printed)
    assert re.search(r"Good seeing: \d+ of 40 files", printed)
    assert re.search(r"Mean of the region: \d+\.\d", printed)


def test_cluster() -> None:
    printed = run("cluster.py")
    assert "20 frames" in printed
    assert re.search(r"A pickled ds.data: \d{3} bytes", printed)
    assert "Mean frame: (48, 64) by 2 workers\nThe same as here: True" in printed
    assert "Tasks of one frame: 1" in printed

"""Check that heavy packages are imported when they are needed, and not before."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from astropy.io import fits
from sealed import STORES, sealed

import dkist_virtual

HEAVY = {"dkist", "sunpy", "matplotlib", "numba"}

# The command runs to its end, help text included, and then tells which packages it imported.
# That goes to stderr, so that what it printed itself stays apart.
REPORT = """
import json, sys
try:
{body}
finally:
    print(json.dumps(sorted({{name.partition(".")[0] for name in sys.modules}})), file=sys.stderr)
"""

IMPORT = "    import dkist_virtual"
HELP = """    from importlib.metadata import entry_points
    (command,) = entry_points(group="console_scripts", name="dkist-virtual")
    sys.argv = ["dkist-virtual", "--help"]
    command.load()()"""


def run(body: str) -> tuple[str, set[str]]:
    """Run the code in a fresh interpreter; give what it printed and the packages it imported."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", REPORT.format(body=body)],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout, set(json.loads(done.stderr))


def test_import_is_silent_and_light() -> None:
    printed, imported = run(IMPORT)
    assert printed == ""
    assert "dkist_virtual" in imported
    assert imported & HEAVY == set()


def test_help_is_light() -> None:
    printed, imported = run(HELP)
    assert printed.startswith("Usage: dkist-virtual")
    assert imported & HEAVY == set()


# Mistyped ---------------------------------------------------------------------------------------

COMMAND = """    import contextlib
    from dkist_virtual.cli.main import main
    with contextlib.redirect_stderr(sys.stdout):
        try:
            main({arguments!r})
        except SystemExit as left:
            print("status", left.code)"""

NO_STORE = "no store here: expected references.json or references.parq"

ANSWERED_AT_ONCE = {
    "info no.store": f"no.store: {NO_STORE}",
    "info .": NO_STORE,
    "info no.store/references.json": f"no.store: {NO_STORE}",
    "info no.store.asdf": "no.store.asdf: no such file or directory",
    "info file.fits": "file.fits: is a file, and not an ASDF",
    "info bkewk": "IDs of datasets are in capital letters: BKEWK",
    "verify no.store --sample 3": NO_STORE,
    "verify file.fits --against astropy --slice 0": "--against takes --sample",
    "download no.store frames": NO_STORE,
    "plot no.store -o a.png": NO_STORE,
    "view no.store": NO_STORE,
    "quality no.store": NO_STORE,
    "movie no.store.asdf": "no such file or directory",
    "convert no.store store": "no.store: no such file or directory",
    "convert . store": "no ASDF in this directory",
    "convert file.fits .": "exists already",
    "update no.store new.asdf": "no.store: no store here",
    "search --frames here": "use both",
    "search --page 0": "Invalid value for '--page'",
    "info no.store --nonsense": "No such option '--nonsense'",
    "info": "Missing argument 'STORE_OR_ASDF'",
    "infos": "No such command 'infos'",
    "--version": "dkist-virtual, version",
    "search --help": "Search the Data Center",
}


@pytest.mark.every(3)
@pytest.mark.parametrize("line", ANSWERED_AT_ONCE)
def test_a_mistyped_command_imports_next_to_nothing(
    line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file.fits").write_bytes(b"SIMPLE")
    printed, imported = run(COMMAND.format(arguments=line.split()))
    assert ANSWERED_AT_ONCE[line] in printed
    assert imported & {"numpy", "zarr", "asyncio", "astropy", "asdf", "yaml"} == set()
    assert len(imported) < 120


# What the commands import -----------------------------------------------------------------------

WCS_PACKAGES = {"ndcube", "gwcs", "dkist", "sunpy", "asdf", "matplotlib", "xarray", "pandas"}

WITHOUT_WCS = {
    "info {store}": {"astropy", "numba", "scipy", "pytest"},
    "info {store} --json": {"astropy", "numba", "scipy", "pytest"},
    "download {store} {here}/frames --dry-run --slice 0": {"astropy", "numba", "scipy", "dask"},
    "download {store} {here}/frames --slice 0,1": {"astropy", "numba", "scipy"},
    "verify {store} --against astropy --sample 1": {"pytest"},
}


def test_update_with_the_same_asdf_makes_no_wcs(
    converted: Callable[[str], Path], simulated: Callable[[str], Path], tmp_path: Path
) -> None:
    store = Path(shutil.copytree(converted("visp_moving"), tmp_path / "store"))
    arguments = ["update", str(store), str(simulated("visp_moving"))]
    printed, imported = run(COMMAND.format(arguments=arguments))
    assert "0 scanned, 6 known from an earlier scan" in printed
    assert imported & (WCS_PACKAGES - {"asdf"} | {"numba", "scipy"}) == set()


@pytest.mark.every(3)
@pytest.mark.parametrize("line", WITHOUT_WCS)
def test_a_command_that_needs_no_wcs_imports_no_package_of_it(
    line: str, converted: Callable[[str], Path], tmp_path: Path
) -> None:
    arguments = line.format(store=converted("visp_moving"), here=tmp_path).split()
    printed, imported = run(COMMAND.format(arguments=arguments))
    assert "VISP" in printed or str(tmp_path) in printed
    assert "Error" not in printed
    assert imported & (WCS_PACKAGES | WITHOUT_WCS[line]) == set()


@pytest.mark.parametrize("name", sorted(HEAVY))
@pytest.mark.slow
def test_a_heavy_import_would_be_seen(name: str) -> None:
    # Without this, a package that is not installed would pass for one that is not imported.
    assert name in run(f"    import {name}")[1]


def test_every_public_name_is_there_and_listed() -> None:
    # Lazy names are only as good as the table that they are found in.
    import dkist_virtual

    assert set(dkist_virtual.__all__) <= set(dir(dkist_virtual))
    for name in dkist_virtual.__all__:
        assert getattr(dkist_virtual, name) is not None


# Wings ------------------------------------------------------------------------------------------

WINGS = sorted(
    path.parent.name for path in Path(dkist_virtual.__file__).parent.glob("*/__init__.py")
)
WHOLE = "    print(*sorted(sys.modules))"


def modules(body: str) -> set[str]:
    return set(run(f"{body}\n{WHOLE}")[0].split())


def test_a_wing_loads_only_its_docstring() -> None:
    package = modules(IMPORT)
    assert len(WINGS) >= 10
    for wing in WINGS:
        assert modules(f"    import dkist_virtual.{wing}") - package <= {f"dkist_virtual.{wing}"}


def test_a_dataset_is_loaded_when_it_is_needed() -> None:
    heavy = {"ndcube", "astropy", "numpy", "zarr", "matplotlib", "asdf", "dask"}
    assert modules("    import dkist_virtual.dataset") & heavy == set()
    needed = modules("    from dkist_virtual.dataset import Dataset")
    assert {"ndcube", "astropy", "dkist_virtual.dataset.dataset"} <= needed


def test_every_public_name_of_datasets_is_there() -> None:
    from dkist_virtual import dataset

    assert all(getattr(dataset, name).__name__ == name for name in dataset.__all__)
    with pytest.raises(AttributeError, match="no attribute 'Datset'"):
        dataset.Datset  # noqa: B018


# Reading ----------------------------------------------------------------------------------------

ASTRONOMY = {"astropy", "asdf", "gwcs", "ndcube", "sunpy", "dkist", "reproject", "matplotlib"}
TABLES = {"pandas", "xarray", "dask", "distributed", "kerchunk"}
OPEN_ZARR = """
import json, sys
import dkist_virtual as dv
data = dv.open_zarr({store!r}, frames={frames!r})["data"]
print(json.dumps([data.shape, sorted(sys.modules)]))
print(json.dumps([float(data[(0,) * data.ndim]), sorted(sys.modules)]))
"""


def stages(code: str) -> list[tuple[Any, set[str]]]:
    """Run code that prints a value and the modules imported so far, several times."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    values = [json.loads(line) for line in done.stdout.splitlines()]
    return [(value, {name.partition(".")[0] for name in names}) for value, names in values]


def test_zarr_reads_frames_without_astronomy() -> None:
    store, frames = STORES / "compressed.json", STORES / "datasets" / "compressed"
    opened, read = stages(OPEN_ZARR.format(store=str(store), frames=str(frames)))
    assert opened[0][0] > 1
    assert opened[1] & {*ASTRONOMY, *TABLES, "numba", "scipy", "pyarrow"} == set()
    assert read[0] == pytest.approx(float(first_pixel(frames)), abs=0)
    assert "zarr" in read[1]
    # Machine code is loaded without numba, and the first frames are decoded without it.
    assert read[1] & {*ASTRONOMY, *TABLES, "numba", "scipy"} == set()


def first_pixel(frames: Path) -> Any:
    with fits.open(min(frames.glob("*.fits"))) as hdus:
        return hdus[1].data.ravel()[0]


OPEN_DATASET = """
import json, pickle, sys
import dkist_virtual as dv
ds = dv.open_dataset({store!r}, frames={frames!r})
part = ds[(0,) * (ds.data.ndim - 1)]
with open({pickled!r}, "wb") as file:
    pickle.dump(part.data, file)
print(json.dumps([part.data.ndim, sorted(sys.modules)]))
print(json.dumps([float(part.data.compute()[0]), sorted(sys.modules)]))
print(json.dumps([part.wcs.low_level_wcs.pixel_n_dim, sorted(sys.modules)]))
"""
ON_A_WORKER = """
import json, pickle, sys
with open({pickled!r}, "rb") as file:
    array = pickle.load(file)
print(json.dumps([float(array.compute()[0]), sorted(sys.modules)]))
"""


@pytest.mark.slow
def test_a_dataset_and_a_worker_import_what_they_use(tmp_path: Path) -> None:
    store, frames = sealed("compressed.json", tmp_path), STORES / "datasets" / "compressed"
    names = {"store": str(store), "frames": str(frames), "pickled": str(tmp_path / "data.pickle")}
    opened, read, described = stages(OPEN_DATASET.format(**names))
    pixel = float(first_pixel(frames))
    assert opened[0] == 1
    # What a WCS needs, and what only somebody who maps, reprojects, or connects needs.
    later = {"dkist", "reproject", "parfive", "distributed", "kerchunk"}
    assert opened[1] & {*later, "numba"} == set()
    assert (read[0], read[1] & later) == (pixel, set())
    assert described[0] >= 1
    assert "dkist" in described[1]  # where the WCS is needed it is read
    (worked,) = stages(ON_A_WORKER.format(**names))
    assert (worked[0], worked[1] & {*ASTRONOMY, "distributed", "kerchunk"}) == (pixel, set())

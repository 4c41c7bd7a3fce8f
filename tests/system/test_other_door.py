"""Golden stores read by zarr, xarray and fsspec, in interpreters that never import this package.

``other_door.py`` reads in a fresh process with warnings as errors, under several hash seeds; what
it found is compared with astropy here. Stores of plain frames are also read where this package
is not installed.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import golden as g
import numpy as np
import pytest
from golden import BY_NAME, FORMS, GOLDEN, Golden
from samples import mostly_slow

READER = Path(__file__).parents[1] / "support" / "other_door.py"
SEEDS = ("0", "1", "2026")
VERBATIM = [golden.name for golden in GOLDEN if golden.verbatim]


@pytest.fixture(scope="session")
def root(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return g.built(request, tmp_path_factory)


def run(*arguments: str | Path, seed: str, path: Path | None = None) -> str:
    """Run a Python of ours with nothing of this directory on its path; its stderr."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
    environment["PYTHONHASHSEED"] = seed
    command = [sys.executable, "-P", "-W", "error"]
    if path is not None:
        # Without site no .pth file is followed: what is installed is what lies in `path`.
        command += ["-S", "-s"]
        environment["PYTHONPATH"] = str(path)
    done = subprocess.run(
        [*command, *map(str, arguments)],
        cwd=Path(sys.executable).anchor,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stderr


@pytest.fixture(scope="session")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All that is installed here but this package, its metadata and its entry points."""
    directory = tmp_path_factory.mktemp("site")
    for place in dict.fromkeys(sysconfig.get_paths()[key] for key in ("purelib", "platlib")):
        for entry in Path(place).iterdir():
            if "dkist_virtual" not in entry.name and not (directory / entry.name).exists():
                (directory / entry.name).symlink_to(entry)
    return directory


@pytest.fixture(scope="session")
def readers(
    root: Path, elsewhere: Path, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str, bool], Path]:
    """``readers(seed, installed)``: where one interpreter put what it read; each runs once."""

    @cache
    def found(seed: str, installed: bool) -> Path:
        out = tmp_path_factory.mktemp("found")
        names = [golden.name for golden in GOLDEN] if installed else VERBATIM
        stores = [root / f"{name}.{form}" for name in names for form in FORMS]
        path = None if installed else elsewhere
        assert run(READER, out, *stores, seed=seed, path=path) == ""
        return out

    return found


@pytest.fixture(params=mostly_slow(SEEDS, SEEDS[0]))
def found(request: pytest.FixtureRequest, readers: Callable[[str, bool], Path]) -> Path:
    return readers(request.param, True)


@pytest.fixture(params=mostly_slow(SEEDS, SEEDS[0]))
def found_elsewhere(request: pytest.FixtureRequest, readers: Callable[[str, bool], Path]) -> Path:
    return readers(request.param, False)


def report(out: Path) -> Any:
    return json.loads((out / "report.json").read_bytes())


def check_pixels(golden: Golden, root: Path, out: Path) -> None:
    """Pixels, errors and dimensions of one dataset's two stores."""
    pixels = g.oracle(golden, root / golden.name)
    unreadable = g.missing(golden, named=True)
    for form in FORMS:
        store = f"{golden.name}.{form}"
        read = report(out)["stores"][store]
        for reader in ("zarr", "xarray"):
            assert read[reader] == golden.arrays
            for array in golden.arrays:
                errors = read["errors"][f"{reader}/{array}"]
                assert {f"{array}/{key}" for key in errors} == unreadable
                assert set(errors.values()) <= {"ReferenceNotReachable"}
                data = np.load(out / f"{store}.{reader}.{array}.npy")
                expected = pixels[array].copy()
                for key in errors:
                    # Not read, and so not compared: the reader left zeros.
                    at = tuple(map(int, key.split(".")[: len(golden.frame_axes)]))
                    expected[at] = 0
                assert data.dtype.newbyteorder("=") == np.dtype(golden.dtype)
                np.testing.assert_array_equal(data, expected)
        for array in golden.arrays:
            documents = g.expected(golden)
            assert read["dims"][array] == documents[f"{array}/.zattrs"]["_ARRAY_DIMENSIONS"]


def test_the_reader_does_not_name_this_package() -> None:
    assert "dkist_virtual" not in READER.read_text("utf-8")


def test_interpreters_were_as_they_should_be(found: Path) -> None:
    here = report(found)
    assert here["hash_seed"] in SEEDS
    assert here["warnings"] == ["error"]
    assert (here["codec"], here["package"]) == (True, True)
    # What is decoded is decoded by the codec that the entry point names, and nothing else comes.
    assert "dkist_virtual.fits.codecs" in here["imported"]
    assert not {"dkist_virtual.store.zarr_store", "dkist_virtual.dataset.dataset"} & set(
        here["imported"]
    )


def test_elsewhere_this_package_is_not_installed(found_elsewhere: Path) -> None:
    there = report(found_elsewhere)
    assert there["warnings"] == ["error"]
    assert (there["codec"], there["package"]) == (False, False)
    assert there["imported"] == []


@pytest.mark.every(3)
@pytest.mark.parametrize("name", [golden.name for golden in GOLDEN])
def test_zarr_and_xarray_read_what_astropy_reads(name: str, root: Path, found: Path) -> None:
    check_pixels(BY_NAME[name], root, found)


@pytest.mark.parametrize("name", VERBATIM)
def test_plain_frames_are_read_without_this_package(
    name: str, root: Path, found_elsewhere: Path
) -> None:
    check_pixels(BY_NAME[name], root, found_elsewhere)


@pytest.mark.every(3)
@pytest.mark.parametrize("name", [golden.name for golden in GOLDEN])
def test_fsspec_gives_the_bytes_of_each_frame(name: str, root: Path, found: Path) -> None:
    golden = BY_NAME[name]
    ranges = g.byte_ranges(golden, root / name)
    for form in FORMS:
        store = f"{name}.{form}"
        errors = report(found)["stores"][store]["errors"].get("cat", {})
        assert {k for k, v in errors.items() if v == "FileNotFoundError"} == g.missing(
            golden, named=False
        )
        assert {k for k, v in errors.items() if v == "ReferenceNotReachable"} == g.missing(
            golden, named=True
        )
        for key, (path, *part) in ranges.items():
            if key in errors:
                continue
            start, length = part or [0, None]
            content = Path(path).read_bytes()
            stop = None if length is None else start + length
            got = (found / f"{store}.{key.replace('/', '.')}.bytes").read_bytes()
            assert got == content[start:stop]


def test_without_this_package_a_compressed_store_is_refused_not_misread(
    root: Path, elsewhere: Path
) -> None:
    code = (
        "import sys, warnings\n"
        "import fsspec, zarr\n"
        "fs = fsspec.filesystem('reference', fo=sys.argv[1], asynchronous=True)\n"
        "try:\n"
        "    group = zarr.open_group(zarr.storage.FsspecStore(fs, read_only=True), mode='r',\n"
        "                            zarr_format=2)\n"
        "    group['data'][...]\n"
        "except Exception as error:\n"
        "    assert 'dkist_fits' in str(error), error\n"
        "else:\n"
        "    raise SystemExit('was read')\n"
    )
    run("-c", code, root / "compressed.json" / "references.json", seed="0", path=elsewhere)

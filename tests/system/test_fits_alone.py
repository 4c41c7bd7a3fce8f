"""`dkist_virtual.fits` can be used by itself: light, in neutral words, with its own errors."""

from __future__ import annotations

import ast
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import xarray as xr

import dkist_virtual as dv
from dkist_virtual import errors, fits
from dkist_virtual.errors import DKISTVirtualError, FrameCorruptError, FrameError
from dkist_virtual.fits import codecs, frame_spec
from dkist_virtual.fits import errors as own

ROOT = Path(own.__file__).parent

# What defines codecs or kernels; the others load kernels when they decode.
NEEDS = {
    "zarr": {"codecs"},
    "numba": {
        "kernels",
        "compiled.sums",
        *("tiled.rice", "tiled.lanes", "tiled.lane_code", "tiled.hcompress", "tiled.plio"),
    },
}


def loads(*names: str) -> set[str]:
    """The packages that are loaded when these modules are imported in a new process."""
    code = f"import {', '.join(names)}; import json, sys; print(json.dumps([*sys.modules]))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return {name.partition(".")[0] for name in json.loads(done.stdout)}


def modules() -> set[str]:
    return {
        ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for path in ROOT.rglob("*.py")
        if path.stem != "__init__"
    }


def test_importing_the_wing_loads_nothing_heavy() -> None:
    assert not loads("dkist_virtual.fits") & {"zarr", "numba", "numcodecs", "astropy", "numpy"}


@pytest.mark.parametrize("package", sorted(NEEDS))
def test_modules_that_need_neither_zarr_nor_numba_load_neither(package: str) -> None:
    light = sorted(f"dkist_virtual.fits.{name}" for name in modules() - NEEDS[package])
    assert {"dkist_virtual.fits.hdu", "dkist_virtual.fits.header"} <= set(light)
    assert package not in loads(*light)
    assert package in loads(*(f"dkist_virtual.fits.{name}" for name in NEEDS[package]))


def test_every_public_name_is_there() -> None:
    for name in fits.__all__:
        assert getattr(fits, name).__module__.startswith("dkist_virtual.fits.")
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        fits.nothing  # noqa: B018


# Errors -----------------------------------------------------------------------------------------


def test_the_errors_of_the_package_are_those_of_the_wing() -> None:
    for name in ("DKISTVirtualError", "FrameError", "FrameCorruptError", "FrameUnsupportedError"):
        assert getattr(errors, name) is getattr(own, name)


def read_with_xarray(store: Path) -> Any:
    dataset = xr.open_dataset(str(store / "references.json"), engine="kerchunk", chunks={})
    return dataset["data"][0, 0].values


READERS: dict[str, Callable[[Path], Any]] = {
    "our door": lambda store: dv.open_dataset(store)[0, 0].data.compute(),
    "zarr": lambda store: dv.open_zarr(store)["data"][0, 0],
    "xarray": read_with_xarray,
}


@pytest.fixture(scope="module")
def store(simulated: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store whose frames are broken after the conversion: their headers hold no numbers."""
    directory = tmp_path_factory.mktemp("broken")
    shutil.copytree(simulated("visp"), directory / "frames")
    dv.convert(directory / "frames" / "visp.asdf", directory / "store", progress=False)
    for path in (directory / "frames").glob("*.fits"):
        data = bytearray(path.read_bytes())
        value = data.index(b"ZTILE1  = ") + 10
        data[value : value + 20] = b"'none'".rjust(20)
        times = path.stat().st_atime_ns, path.stat().st_mtime_ns
        path.write_bytes(bytes(data))
        os.utime(path, ns=times)
    return directory / "store"


@pytest.mark.parametrize("kind", [FrameCorruptError, FrameError, DKISTVirtualError, ValueError])
@pytest.mark.parametrize("reader", sorted(READERS))
def test_a_broken_frame_raises_the_same_error_through_every_door(
    store: Path, reader: str, kind: type[Exception]
) -> None:
    with pytest.raises(kind, match="ZTILE1") as caught:
        READERS[reader](store)
    assert type(caught.value) is FrameCorruptError


@pytest.mark.parametrize(
    "make",
    [
        lambda: frame_spec.FrameSpec(-1, "<f4", (2, 3)),
        lambda: frame_spec.RawSpec("<f4", (2, 3)),
        lambda: codecs.FITSCodec(1, "<c8", [2, 3]),
        lambda: codecs.FITSCodecV3.from_dict({"name": "dkist_fits"}),
        lambda: codecs.RawCodecV3.from_dict({"name": "dkist_raw"}),
        lambda: codecs.FITSImageCodec(1, "<c8", [2, 3]),
        lambda: codecs.FITSImageCodecV3.from_dict({"name": "fits_image"}),
    ],
)
def test_a_wrong_configuration_of_a_codec_is_an_error_of_the_wing(
    make: Callable[[], object],
) -> None:
    with pytest.raises(ValueError, match=r"codec \w+_(fits|raw|image): .*expected") as caught:
        make()
    assert type(caught.value) is own.CodecConfigurationError
    assert isinstance(caught.value, DKISTVirtualError)


# Words ------------------------------------------------------------------------------------------


def texts(tree: ast.Module) -> list[str]:
    """The docstrings of a module, and the strings of its raise statements and errors."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            found.append(ast.get_docstring(node) or "")
        elif isinstance(node, (ast.Raise, ast.Call)):
            constants = (n for n in ast.walk(node) if isinstance(n, ast.Constant))
            words = (n.value for n in constants if isinstance(n.value, str))
            found += [text for text in words if " " in text]
    return found


def test_no_message_and_no_docstring_speaks_of_stores_or_of_dkist() -> None:
    spoken = re.compile(r"\b[Ss]tores?\b|\bDKIST\b|\bASDF\b")
    found = {
        (path.name, text)
        for path in ROOT.rglob("*.py")
        for text in texts(ast.parse(path.read_text(encoding="utf-8")))
        if spoken.search(text)
    }
    assert found == set()
    assert spoken.search("Where the store was made without looking at the frames")

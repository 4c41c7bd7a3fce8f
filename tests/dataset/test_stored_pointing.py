"""A store remembers a correction of its pointing, and forgets it without a trace."""

from __future__ import annotations

import hashlib
import json
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import astropy.units as u
import numpy as np
import pytest

import dkist_virtual as dv
from dkist_virtual.errors import (
    DatasetError,
    DKISTVirtualWarning,
    LocationError,
    StoreCorruptError,
    StoreMissingError,
)


@pytest.fixture
def store(converted: Callable[[str], Path], tmp_path: Path) -> Path:
    return Path(shutil.copytree(converted("visp"), tmp_path / "visp.virtual"))


def position(ds: Any, *pixel: int) -> Any:
    sky = next(one for one in ds.wcs.pixel_to_world(*pixel[::-1]) if hasattr(one, "Tx"))
    return np.array([sky.Tx.to_value(u.arcsec), sky.Ty.to_value(u.arcsec)])


def digests(store: Path) -> dict[str, str]:
    return {
        str(path.relative_to(store)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in store.rglob("*")
        if path.is_file()
    }


def test_a_store_remembers_and_forgets(store: Path) -> None:
    before, plain = digests(store), dv.open_dataset(store)
    pixel = (0,) * len(plain.shape)
    dv.shift_store(store, 3 * u.arcsec, -1.5 * u.arcsec)
    opened = dv.shift_store(store, 1 * u.arcsec)
    after = digests(store)
    assert after.pop("pointing.json")
    assert after == before
    np.testing.assert_allclose(
        position(opened, *pixel), position(plain, *pixel) + [4, -1.5], rtol=0, atol=1e-9
    )
    assert len(opened.pointing) == 2
    assert opened[0].pointing.dx == 4 * u.arcsec
    assert pickle.loads(pickle.dumps(opened)).pointing == opened.pointing
    assert plain.pointing is None
    assert opened.unshifted().pointing is None
    assert dv.shift_store(store, reset=True).pointing is None
    assert digests(store) == before


def test_the_command(store: Path) -> None:
    from click.testing import CliRunner

    from dkist_virtual.cli.main import cli

    def run(*args: str) -> str:
        result = CliRunner().invoke(cli, ["shift", str(store), *args], catch_exceptions=False)
        return result.output.replace(str(store), "S")

    assert run("--show") == "S: the pointing is that of the ASDF\n"
    said = "S: the pointing is corrected by\n  dx +3 arcsec, dy -1.5 arcsec\n"
    assert run("--dx", "3", "--dy", "-1.5") == said
    assert run("--show") == said
    assert json.loads(run("--show", "--json")) == ["dx +3 arcsec, dy -1.5 arcsec"]
    info = CliRunner().invoke(cli, ["info", str(store)]).output
    assert "pointing       corrected by dx +3 arcsec, dy -1.5 arcsec" in info
    assert info == dv.open_dataset(store).overview().text() + "\n"
    turned = run("--reset", "--rotation", "90", "--center", "1", "2")
    assert turned.endswith("  rotation +90 deg about (Tx, Ty) = (1.00, 2.00) arcsec\n")
    assert run("--reset") == "S: the pointing is that of the ASDF\n"
    for wrong in ([], ["--show", "--dx", "1"], ["--json", "--reset"], ["--scale", "1"] * 3):
        assert "Error: " in run(*wrong)


def test_what_is_not_a_correction_is_refused(store: Path, tmp_path: Path) -> None:
    dv.shift_store(store, 3 * u.arcsec)
    path = store / "pointing.json"
    good = path.read_text()
    for wrong in (
        "{",
        "[]",
        '{"format_version": 2, "arrays": {}}',
        good.replace('"version": 1, "corrections', '"version": 2, "corrections'),
        good.replace("3.0", "NaN"),
        good.replace('"dx"', '"dz"'),
        good.replace('"shape": [', '"shape": [7, '),
    ):
        path.write_text(wrong)
        with pytest.raises(StoreCorruptError, match=r"pointing\.json.*--reset"):
            dv.open_dataset(store)
    assert dv.shift_store(store, reset=True).pointing is None
    with pytest.raises(StoreMissingError):
        dv.shift_store(tmp_path / "none.virtual", 1 * u.arcsec)
    with pytest.raises(LocationError):
        dv.shift_store("https://example.org/x.virtual", 1 * u.arcsec)
    with pytest.raises(DatasetError):
        dv.shift_store(store, np.zeros(77) * u.arcsec)
    assert not path.exists()
    (dv.open_dataset(store)[0, 0] * 2).save(tmp_path / "made.zarr")
    with pytest.raises(DatasetError, match=r"is a cube with pixels.*another name"):
        dv.shift_store(tmp_path / "made.zarr", 1 * u.arcsec)
    assert not (tmp_path / "made.zarr" / "pointing.json").exists()


@pytest.mark.slow
def test_an_update_keeps_it_and_a_replacement_says_that_it_is_gone(
    store: Path, simulated: Callable[[str], Path]
) -> None:
    asdf = next(simulated("visp").glob("*.asdf"))
    dv.shift_store(store, 3 * u.arcsec)
    (store / ".pointing.killed").write_text("")
    newer = store.parent / "newer.asdf"
    newer.write_bytes(asdf.read_bytes() + b"\n")
    with pytest.warns(DKISTVirtualWarning, match="was kept"):
        dv.update(store, newer, scan="never")
    assert dv.open_dataset(store).pointing.dx == 3 * u.arcsec
    with pytest.warns(DKISTVirtualWarning, match="is not in the store that replaces it"):
        dv.convert(asdf, store, overwrite=True, scan="never")
    assert dv.open_dataset(store).pointing is None


def test_a_server_has_it_too(store: Path) -> None:
    from dkist_virtual.demo.server import FrameServer

    dv.shift_store(store, 3 * u.arcsec)
    with FrameServer(store.parent).running() as server:
        opened = dv.open_dataset(f"{server.url}/visp.virtual")
        assert not any("pointing.json" in str(one) for one in server.requests)
        assert opened.pointing.dx == 3 * u.arcsec
        dv.shift_store(store, reset=True)
        assert dv.open_dataset(f"{server.url}/visp.virtual").pointing is None


@pytest.mark.slow
def test_tiles_have_their_own(converted: Callable[[str], Path], tmp_path: Path) -> None:
    place = shutil.copytree(converted("vbi_mosaic"), tmp_path / "vbi.virtual")
    grid = np.arange(4).reshape(2, 2)
    opened = dv.shift_store(place, grid * u.arcsec, dy=1 * u.arcsec)
    assert [[one.dx.value for one in row] for row in opened.pointing] == grid.tolist()
    assert "values of their own for each of the 4 tiles" in str(opened)
    assert "values of their own" in str(dv.open_dataset(place).overview().text())
    assert "corrected by dx +1 arcsec" in str(opened[0, 1])


def test_a_store_of_a_selection_has_it_beside(store: Path, tmp_path: Path) -> None:
    steps = np.linspace(0, 2, 4)[None] * u.arcsec
    part = dv.open_dataset(store).shift(steps, 1 * u.arcmin)[1:, 1::2].shift(rotation=30 * u.deg)
    part.save(tmp_path / "part.virtual")
    opened = dv.open_dataset(tmp_path / "part.virtual")
    assert opened.pointing == part.pointing
    plain = dv.shift_store(tmp_path / "part.virtual", reset=True)
    for pixel in ([0] * len(part.shape), [n - 1 for n in part.shape]):
        np.testing.assert_array_equal(position(opened, *pixel), position(part, *pixel))
        np.testing.assert_array_equal(position(plain, *pixel), position(part.unshifted(), *pixel))
    part[0, 0].save(tmp_path / "row.virtual")
    assert dv.open_dataset(tmp_path / "row.virtual").pointing == part[0, 0].pointing


@pytest.mark.slow
def test_files_have_the_corrected_coordinates(store: Path, tmp_path: Path) -> None:
    steps = np.linspace(0, 2, 4)[None] * u.arcsec
    part = dv.open_dataset(store)[:, ::2].shift(steps[:, ::2], rotation=5 * u.deg)
    dv.save_dataset(part, tmp_path / "part.asdf")
    opened = dv.open_dataset(tmp_path / "part.asdf")
    for pixel in ([0] * len(part.shape), [n - 1 for n in part.shape]):
        found, expected = position(opened, *pixel), position(part, *pixel)
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-9)

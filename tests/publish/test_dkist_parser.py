"""Parse stores and ASDFs for VirtualiZarr, and read the pixels by its own means."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
import zarr
from golden import BY_NAME, oracle, write_dataset
from icechunk_repository import repository
from obspec_utils.registry import ObjectStoreRegistry
from obstore.store import LocalStore

import dkist_virtual as dv
from dkist_virtual.publish.virtualizarr import DKISTParser

pytestmark = pytest.mark.filterwarnings(
    "ignore::zarr.errors.UnstableSpecificationWarning",
    "ignore::zarr.errors.ZarrUserWarning",
    "ignore::FutureWarning",
    "ignore::DeprecationWarning",
)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """``made(name)``: the directory of a golden dataset, with its stores as JSON and Parquet."""
    base = tmp_path_factory.mktemp("parser")

    def make(name: str) -> Path:
        if not (base / name).exists():
            path = write_dataset(BY_NAME[name], base / name)
            for form in ("json", "parquet"):
                scan: Any = BY_NAME[name].scan
                dv.convert(path, base / name / form, scan=scan, references=form)  # type: ignore[arg-type]
        return base / name

    return make


def registry() -> Any:
    return ObjectStoreRegistry({"file://": LocalStore()})


def check(opened: Any, expected: dict[str, Any]) -> None:
    for name, pixels in expected.items():
        found = np.asarray(opened[name])
        assert found.dtype.newbyteorder("=") == pixels.dtype
        np.testing.assert_array_equal(found, pixels)


NAMES = ("compressed", "plain", "mosaic", "int16", "unsigned", "bytes", "half", "single", "never")


@pytest.mark.every(4)
@pytest.mark.parametrize("partial_reads", [True, False])
@pytest.mark.parametrize("name", NAMES)
def test_stores_are_read_through_virtualizarr(name: str, partial_reads: bool, made: Any) -> None:
    expected = oracle(BY_NAME[name], made(name))
    parser = DKISTParser(partial_reads=partial_reads, missing="nan")
    for form in ("json", "parquet"):
        store = parser(str(made(name) / form), registry())
        check(zarr.open_group(store, mode="r", zarr_format=3), expected)


@pytest.mark.parametrize("name", ["compressed", "int16", "mosaic"])
def test_icechunk_gets_what_virtualizarr_writes(name: str, made: Any, tmp_path: Path) -> None:
    expected = oracle(BY_NAME[name], made(name))
    virtual = DKISTParser()(str(made(name) / "parquet"), registry()).to_virtual_dataset()
    repo = repository(tmp_path / "repo", made(name))
    session = repo.writable_session("main")
    virtual.vz.to_icechunk(session.store)
    session.commit("frames")
    check(zarr.open_group(repo.readonly_session("main").store, mode="r"), expected)


@pytest.mark.parametrize("name", ["compressed", "int16", "mosaic"])
def test_kerchunk_gets_what_virtualizarr_writes(name: str, made: Any, tmp_path: Path) -> None:
    expected = oracle(BY_NAME[name], made(name))
    parser = DKISTParser(partial_reads=False)
    virtual = parser(str(made(name) / "json"), registry()).to_virtual_dataset()
    virtual.vz.to_kerchunk(str(tmp_path / "again.json"), format="json")
    virtual.vz.to_kerchunk(str(tmp_path / "again.parq"), format="parquet")
    for again in ("again.json", "again.parq"):
        place = str(tmp_path / again)
        with xr.open_dataset(place, engine="kerchunk", mask_and_scale=False) as opened:
            check({name: opened[name].values for name in expected}, expected)


def test_kerchunk_refuses_to_leave_the_codec_out(made: Any, tmp_path: Path) -> None:
    """VirtualiZarr would: frames would be read as if their bytes were the pixels."""
    virtual = DKISTParser()(str(made("compressed") / "json"), registry()).to_virtual_dataset()
    with pytest.raises(NotImplementedError, match="partial_reads=False"):
        virtual.vz.to_kerchunk(str(tmp_path / "again.json"), format="json")
    assert not list(tmp_path.iterdir())


def test_a_frame_that_is_not_there_is_named(made: Any) -> None:
    with pytest.raises(dv.errors.FrameMissingError, match=r"data/0\.1\.0\.0: .*frame_01\.fits"):
        DKISTParser()(str(made("half") / "json"), registry())

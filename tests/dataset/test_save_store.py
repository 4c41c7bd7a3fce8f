"""Save selections as stores of references: they open as that very dataset, here and elsewhere.

The selection itself is the oracle: its pixels come from other references, and other tests compare
them with astropy.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from astropy.nddata import StdDevUncertainty
from dkist_assets import unpacked
from samples import mostly_slow

import dkist_virtual as dv
from dkist_virtual.demo.server import FrameServer
from dkist_virtual.errors import (
    DatasetError,
    DKISTVirtualWarning,
    FrameRefusedError,
    StoreExistsError,
)

STORES = sorted((Path(__file__).parents[1] / "store" / "stores").glob("*.*"))

SELECTIONS: dict[str, list[Any]] = {
    "visp": [np.s_[1:3, 2, 5:20:3], np.s_[:], np.s_[0], np.s_[..., 7], np.s_[::2, ::3, 1::2]],
    "visp_plain": [np.s_[:], np.s_[2, 1], np.s_[1:, 1:2, :, 3:9]],
    "visp_moving": [np.s_[:, 1:, 4:30:5, 40:]],
    "vtf": [np.s_[1::2, 1, :, 7:, 9], np.s_[:, 0, 1]],
    "cryonirsp": [np.s_[2, :, 1:, 3]],
}
CASES = [(name, item) for name, items in SELECTIONS.items() for item in items]


def world(ds: Any) -> list[Any]:
    """World coordinates at random pixels, between their centres too."""
    random = np.random.default_rng(19)
    at = [random.uniform(0, n - 1, 9) for n in ds.shape[::-1]]
    values = ds.wcs.low_level_wcs.pixel_to_world_values(*at)
    return [values] if ds.wcs.low_level_wcs.world_n_dim == 1 else list(values)


def check_same(got: Any, ds: Any, *, pixels: bool = True, files: bool = True) -> None:
    assert type(got) is type(ds)
    assert got.shape == ds.shape
    assert got.pixels.dtype == ds.pixels.dtype
    if pixels:
        np.testing.assert_array_equal(got.data.compute(), ds.data.compute())
    for one, other in zip(world(got), world(ds), strict=True):
        np.testing.assert_array_equal(one, other)
    low, its = got.wcs.low_level_wcs, ds.wcs.low_level_wcs
    assert low.pixel_shape == its.pixel_shape
    assert list(low.pixel_axis_names) == list(its.pixel_axis_names)
    assert [str(v) for v in got.global_coords.values()] == [
        str(v) for v in ds.global_coords.values()
    ]
    assert got.unit == ds.unit
    assert got.files.names == ds.files.names
    np.testing.assert_array_equal(got.files.sizes, ds.files.sizes)
    if files:
        assert got.files.urls == ds.files.urls
    check_headers(got.headers, ds.headers)
    assert set(got.meta) - {"note of the mosaic"} == set(ds.meta)
    assert got.inventory == ds.inventory
    if ds.mask is None:
        assert got.mask is None
    else:
        np.testing.assert_array_equal(np.asarray(got.mask), np.asarray(ds.mask))
    assert not got.lineage.is_computed


def check_headers(got: Any, wanted: Any) -> None:
    assert list(got.colnames) == list(wanted.colnames)
    assert len(got) == len(wanted)
    for name in wanted.colnames:
        one, other = np.ma.asarray(got[name]), np.ma.asarray(wanted[name])
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(np.ma.getmaskarray(one), np.ma.getmaskarray(other))
        np.testing.assert_array_equal(one.filled(), other.filled())


def again(ds: Any, place: Path, **options: Any) -> Any:
    """Save a selection, and open it."""
    ds.save(place, **options)
    return dv.open_dataset(place)


# What is selected -------------------------------------------------------------------------------


@pytest.mark.parametrize("form", mostly_slow(["asdf", "json", "parquet"], "json"))
@pytest.mark.parametrize(("name", "item"), mostly_slow(CASES, every=len(CASES)))
def test_a_selection_opens_as_itself(
    name: str, item: Any, form: Any, simulated: Callable[[str], Path],
    converted: Callable[[str], Path], tmp_path: Path,
) -> None:  # fmt: skip
    source = simulated(name) if form == "asdf" else converted(name)
    if form == "parquet":
        source = tmp_path / "whole.virtual"
        dv.convert(simulated(name), source, references="parquet")
    ds = dv.open_dataset(source)[item]
    form = "json" if form == "asdf" else form
    opened = again(ds, tmp_path / "part.virtual", references=form)
    check_same(opened, ds)
    assert (tmp_path / "part.virtual" / f"references.{form[:4]}").exists()
    # A part of the part, and that again.
    inner = tuple(slice(n > 2, None, 1 + (n > 4)) for n in ds.shape)
    twice = again(opened[inner], tmp_path / "twice.virtual")
    check_same(twice, ds[inner])
    check_same(again(twice, tmp_path / "copy.virtual"), ds[inner])


def test_only_the_frames_of_the_selection_are_referred_to_and_none_is_read(
    converted: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ds = dv.open_dataset(converted("visp"))[0, 1:3, :, 10:20]
    monkeypatch.setattr("dkist_virtual.store.zarr_store.FrameStore.pixels", None)
    ds.save(tmp_path / "part.virtual")
    refs = json.loads((tmp_path / "part.virtual" / "references.json").read_text())["refs"]
    assert [key for key in refs if not key.rpartition("/")[2].startswith(".z")] == [
        "data/0.0.0.0",
        "data/0.1.0.0",
    ]
    # Bytes of the files themselves, by astropy: where the HDU is.
    for key, file in zip(("data/0.0.0.0", "data/0.1.0.0"), ds.files.urls, strict=True):
        url, offset, length = refs[key]
        assert url == file
        with fits.open(url) as opened:
            info = opened[1].fileinfo()
        assert (offset, offset + length) == (info["hdrLoc"], info["datLoc"] + info["datSpan"])
    array = json.loads(refs["data/.zattrs"])
    assert json.loads(refs["data/.zarray"])["shape"] == [1, 2, 40, 64]
    whole = [None, None, None]
    assert array["subslice"] == [0, whole, whole, [10, 20, 1]]
    root = json.loads(refs[".zattrs"])["dkist_virtual"]
    assert root["n_frames"] == 2
    assert root["n_bytes"] == sum(Path(file).stat().st_size for file in ds.files.urls)


@pytest.mark.slow
def test_a_cut_that_dkist_saved_is_cut_again(tmp_path: Path) -> None:
    ds = dv.open_dataset(unpacked("croppable_visp.asdf.gz", tmp_path))
    ds[0, 3:7, 100:].save(tmp_path / "cut.asdf")
    cut = dv.open_dataset(tmp_path / "cut.asdf")
    for item in (np.s_[:], np.s_[1:, 5::9, 3], np.s_[2]):
        opened = again(cut[item], tmp_path / "cut.virtual", overwrite=True)
        check_same(opened, cut[item], pixels=False)
        check_same(opened, ds[0, 3:7, 100:][item], pixels=False)


@pytest.mark.slow
@pytest.mark.parametrize("name", mostly_slow(["large_visp", "croppable_cryo"], "large_visp"))
def test_real_datasets(name: str, datasets: Callable[[str], Any], tmp_path: Path) -> None:
    ds = datasets(name)
    ds = ds[..., 3::5, 1]
    check_same(again(ds, tmp_path / "part.virtual"), ds, pixels=False)


# Mosaics ----------------------------------------------------------------------------------------


def check_mosaic(part: Any, place: Path) -> None:
    opened = again(part, place, overwrite=True)
    assert isinstance(opened, dv.TiledDataset)
    np.testing.assert_array_equal(np.asarray(opened.mask), np.asarray(part.mask))
    for got, tile in zip(opened.flat, part.flat, strict=True):
        check_same(got, tile)
    check_headers(opened.combined_headers, part.combined_headers)
    assert set(opened.meta) == set(part.meta)


def test_a_mosaic_with_a_hidden_tile(converted: Callable[[str], Path], tmp_path: Path) -> None:
    mosaic = dv.open_dataset(converted("vbi_mosaic"))[:, :1]
    mosaic.mask[0, 0] = True
    mosaic.meta["note of the mosaic"] = "mine"
    check_mosaic(mosaic.slice_tiles[1:, 2:9:3], tmp_path / "mosaic.virtual")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["vbi_mosaic", "vbi_mosaic_missing", "dlnirsp"])
def test_mosaics_and_parts_of_them(
    name: str, converted: Callable[[str], Path], tmp_path: Path
) -> None:
    mosaic = dv.open_dataset(converted(name))
    assert isinstance(mosaic, dv.TiledDataset)
    for part in (mosaic, mosaic[1:], mosaic.slice_tiles[1:, :9:3]):
        check_mosaic(part, tmp_path / "mosaic.virtual")
    tile = mosaic.flat[-1][1:, 1]
    check_same(again(tile, tmp_path / "tile.virtual"), tile)
    row = mosaic[1]
    opened = again(row, tmp_path / "row.virtual")
    assert opened.shape == (1, *row.shape)


# What was changed --------------------------------------------------------------------------------


def test_changes_of_headers_mask_unit_and_meta_are_kept(
    converted: Callable[[str], Path], tmp_path: Path
) -> None:
    ds = dv.Dataset(dv.open_dataset(converted("visp")), unit="kct")[1:3, 1:]
    ds.headers["ATMOS_R0"][2] = 0.77
    ds.headers["MINE"] = np.arange(6)
    ds.headers["TEXT"] = np.ma.MaskedArray(["a", "b"] * 3, [True, False] * 3)
    ds.headers.remove_column("CADENCE")
    ds.mask = np.zeros(ds.shape, bool)
    ds.mask[0, 1, 3:7, 9] = True
    ds.meta["note"] = {"mine": [1, 2.5, None]}
    opened = again(ds, tmp_path / "part.virtual")
    check_same(opened, ds)
    assert opened.meta["note"] == {"mine": [1, 2.5, None]}
    assert opened.headers["MINE"].dtype == ds.headers["MINE"].dtype
    refs = json.loads((tmp_path / "part.virtual" / "references.json").read_text())["refs"]
    assert json.loads(refs["data/.zattrs"])["unit"] == "kct"
    masked = again(dv.Dataset(ds, mask=False)[0], tmp_path / "false.virtual")
    assert masked.mask is False


def test_what_a_store_has_no_place_for_is_said(
    converted: Callable[[str], Path], tmp_path: Path
) -> None:
    ds = dv.open_dataset(converted("visp"))[0]
    ds.uncertainty = StdDevUncertainty(np.ones(ds.shape, np.float32))
    ds.psf = np.eye(3)
    with pytest.warns(DKISTVirtualWarning, match="uncertainty and psf of the dataset"):
        ds.save(tmp_path / "part.virtual")
    assert dv.open_dataset(tmp_path / "part.virtual").uncertainty is None


def test_computed_pixels_are_refused(converted: Callable[[str], Path], tmp_path: Path) -> None:
    ds = dv.open_dataset(converted("visp"))
    for computed in (ds * 2, ds.with_data(np.zeros(ds.shape)), ds.rebin((1, 1, 2, 2))):
        with pytest.raises(DatasetError, match=r"computed from .*\.zarr"):
            computed.save(tmp_path / "part.virtual")
    mosaic = dv.open_dataset(converted("vbi_mosaic"))
    tiles = np.array([[mosaic[0, 0], mosaic[0, 1] * 2]], object)
    with pytest.raises(DatasetError, match=r"tile \[0, 1\]: save: the pixels are computed"):
        dv.TiledDataset(tiles).save(tmp_path / "part.virtual")
    with pytest.raises(ValueError, match="expected 'auto', 'json' or 'parquet'"):
        ds.save(tmp_path / "part.virtual", references="xml")
    with pytest.raises(TypeError, match=r"no such keyword: chunks. Expected overwrite, progress"):
        ds.save(tmp_path / "part.virtual", chunks=2)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_what_is_there_is_replaced_only_when_asked(
    converted: Callable[[str], Path], simulated: Callable[[str], Path], tmp_path: Path
) -> None:
    place = tmp_path / "part.virtual"
    ds = dv.open_dataset(converted("visp"))
    opened = again(ds[0], place)
    with pytest.raises(StoreExistsError, match="overwrite=True"):
        ds.save(place)
    changed = ds[0]
    changed.meta["note"] = object()
    with pytest.raises(DatasetError, match=r"cannot be written.*del ds\.meta"):
        changed.save(place, overwrite=True)
    check_same(dv.open_dataset(place), ds[0])
    check_same(again(opened[1:], place, overwrite=True), ds[0, 1:])  # over what it is read from
    with pytest.raises(DatasetError, match="is the store of a selection"):
        dv.update(place, simulated("visp"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["part.virtual"]


# Where frames are ---------------------------------------------------------------------------------


@pytest.mark.slow
def test_frames_in_several_places(converted: Callable[[str], Path], tmp_path: Path) -> None:
    whole = dv.open_dataset(converted("visp"))
    for n, file in enumerate(whole.files.urls):
        place = tmp_path / ("a" if n % 3 else "b")
        place.mkdir(exist_ok=True)
        shutil.copy(file, place)
    ds = dv.open_dataset(converted("visp"), frames=[tmp_path / "a", tmp_path / "b"])[1:, 1::2]
    assert len({Path(file).parent.name for file in ds.files.urls}) == 2
    opened = again(ds, tmp_path / "part.virtual")
    check_same(opened, ds)
    shutil.copytree(tmp_path / "a", tmp_path / "c")
    shutil.copytree(tmp_path / "b", tmp_path / "c", dirs_exist_ok=True)
    there = dv.open_dataset(tmp_path / "part.virtual", frames=tmp_path / "c")
    np.testing.assert_array_equal(there.data.compute(), ds.data.compute())


@pytest.mark.slow
def test_absent_frames_stay_absent(converted: Callable[[str], Path], tmp_path: Path) -> None:
    frames = tmp_path / "frames"
    frames.mkdir()
    whole = dv.open_dataset(converted("visp"))
    for file in whole.files.urls[:2]:
        shutil.copy(file, frames)
    ds = dv.open_dataset(converted("visp"), frames=frames, missing="nan")[0, 1:3]
    ds.save(tmp_path / "part.virtual")
    opened = dv.open_dataset(tmp_path / "part.virtual", missing="nan")
    np.testing.assert_array_equal(opened.data.compute(), ds.data.compute())
    assert np.isnan(opened.data.compute()[1]).all()


@pytest.fixture(scope="module")
def served(simulated: Callable[[str], Path]) -> Iterator[FrameServer]:
    with FrameServer(simulated("visp").parent).running() as server:
        yield server


@pytest.mark.slow
def test_frames_on_a_server(
    converted: Callable[[str], Path], served: FrameServer, tmp_path: Path
) -> None:
    whole = dv.open_dataset(converted("visp"))
    ds = dv.open_dataset(converted("visp"), frames=f"{served.url}/visp")[0, 1:, 4:9]
    served.forget()
    opened = again(ds, tmp_path / "part.virtual")
    assert served.requests == []
    check_same(opened, whole[0, 1:, 4:9], files=False)
    assert opened.files.urls == ds.files.urls
    both = [f"{served.url}/visp", f"{served.url}/elsewhere"]
    with pytest.raises(DatasetError, match=r"may be at .* or at .*frames= of one server"):
        dv.open_dataset(converted("visp"), frames=both).save(tmp_path / "both.virtual")
    secret = f"{served.url}/visp?signature=1"
    with pytest.raises(ValueError, match="would be written into the store"):
        dv.open_dataset(converted("visp"), frames=secret).save(tmp_path / "both.virtual")
    # The store itself on a server.
    with FrameServer(tmp_path).running() as other:
        check_same(dv.open_dataset(f"{other.url}/part.virtual"), opened)


@pytest.mark.slow
def test_what_a_store_may_not_refer_to_is_not_taken_over(
    converted: Callable[[str], Path], tmp_path: Path
) -> None:
    """A store on a server may not name files of this machine, and one on this machine may."""
    with FrameServer(converted("visp").parent).running() as server:
        place = f"{server.url}/visp"
        ds = dv.open_dataset(place)[0, 1]
        with pytest.raises(FrameRefusedError, match="opened from a server"):
            ds.save(tmp_path / "part.virtual")
        trusted = dv.open_dataset(place, allow_local=True)[0, 1]
        check_same(again(trusted, tmp_path / "part.virtual"), trusted)


@pytest.mark.slow
def test_frames_that_were_moved_or_downloaded(
    converted: Callable[[str], Path], tmp_path: Path
) -> None:
    ds = dv.open_dataset(converted("visp"))
    copies = shutil.copytree(Path(ds.files.urls[0]).parent, tmp_path / "copies")
    ds.files.basepath = copies
    part = ds[1, :, 3]
    assert {Path(url).parent for url in part.files.urls} == {copies}
    check_same(again(part, tmp_path / "moved.virtual"), part)
    ds = dv.open_dataset(converted("visp"))
    ds[0, 1:3].download(tmp_path / "here")
    assert len({Path(url).parent for url in ds[0].files.urls}) == 2
    check_same(again(ds[0], tmp_path / "fetched.virtual"), ds[0])


@pytest.mark.slow
@pytest.mark.parametrize("store", STORES, ids=lambda store: store.name)
def test_stores_of_earlier_versions(store: Path, tmp_path: Path) -> None:
    frames = store.parent / "datasets" / store.stem
    ds = dv.open_dataset(store, frames=frames)
    opened = again(ds, tmp_path / "copy.virtual")
    if isinstance(ds, dv.TiledDataset):
        check_same(opened.flat[-1], ds.flat[-1])
    else:
        check_same(opened, ds)


@pytest.mark.slow
def test_another_process_opens_the_same(converted: Callable[[str], Path], tmp_path: Path) -> None:
    ds = dv.open_dataset(converted("visp"))[0, 1:3, ::4, 5:9]
    ds.save(tmp_path / "part.virtual")
    program = (
        "import sys, numpy, dkist_virtual as dv\n"
        "ds = dv.open_dataset('part.virtual')\n"
        "numpy.savez('found.npz', data=ds.data.compute(), number=ds.headers['DINDEX3'],\n"
        "            world=ds.wcs.low_level_wcs.pixel_to_world_values(1.5, 2, 1))\n"
    )
    subprocess.run([sys.executable, "-c", program], cwd=tmp_path, check=True)
    found = np.load(tmp_path / "found.npz")
    np.testing.assert_array_equal(found["data"], ds.data.compute())
    np.testing.assert_array_equal(found["number"], ds.headers["DINDEX3"])
    np.testing.assert_array_equal(
        found["world"], ds.wcs.low_level_wcs.pixel_to_world_values(1.5, 2, 1)
    )

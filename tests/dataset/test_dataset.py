"""Open, slice and read datasets, and compare with dkist, which opens the same ASDFs."""

from __future__ import annotations

import copy
import pickle
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS, FITSFixedWarning
from dataset_checks import assert_same_headers, assert_same_world, indices, tiles_of
from dkist_assets import DATASETS, ROOT, load, save, unpacked
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from samples import mostly_slow
from simulated import MOSAICS, NAMES, QUICK

import dkist_virtual as dv
from dkist_virtual.errors import (
    DatasetError,
    FrameMissingError,
    MissingFramesWarning,
    SelectionError,
)
from dkist_virtual.store.format.header_table import HeaderTable
from dkist_virtual.store.format.references import chunk_key


@pytest.fixture(scope="module")
def plain_asdfs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("asdfs")


@pytest.mark.parametrize("name", DATASETS)
@pytest.mark.slow
def test_everything_but_pixels_is_what_dkist_gives(
    name: str, plain_asdfs: Path, tmp_path: Path
) -> None:
    path = unpacked(name, plain_asdfs)
    dv.convert(path, tmp_path / "store", scan="never")
    theirs = load(path)
    for place in (path, tmp_path / "store"):
        assert_the_same(dv.open_dataset(place), theirs, path)


def assert_the_same(ours: Any, theirs: Any, path: Path) -> None:
    assert isinstance(ours, dv.TiledDataset) == (type(theirs).__name__ == "TiledDataset")
    assert (ours.inventory or None) == (
        None if theirs.inventory is theirs.meta else theirs.inventory or None
    )
    for one, other in zip(tiles_of(ours), tiles_of(theirs), strict=True):
        assert one.shape == other.data.shape
        assert one.data.dtype == other.data.dtype
        assert one.data.shape == other.data.shape
        assert one.unit == other.unit
        assert one.mask is None
        assert other.mask is None
        assert_same_world(one.wcs, other.wcs)
        assert_same_headers(one.headers, other.headers)
        assert isinstance(one.headers, HeaderTable)
        assert one.meta["headers"] is one.headers
        assert one.files.filenames == [
            # dkist keeps a mosaic's tile names as they are; absolute ones do not occur here
            str(file)
            for file in other.files.filenames
        ]
        assert Path(one.files.basepath) == path.parent
    if isinstance(ours, dv.Dataset):
        assert ours.meta["history"] == theirs.meta["history"]
    else:
        assert ours.shape == theirs.shape
        np.testing.assert_array_equal(ours.mask, np.ma.getmaskarray(theirs._data))


@pytest.mark.every(6)
@pytest.mark.parametrize("name", mostly_slow(NAMES, *QUICK))
@pytest.mark.parametrize("door", ["asdf", "json", "parquet"])
def test_pixels_are_bit_for_bit_dkists(
    name: str, door: str, simulated: Any, tmp_path: Path
) -> None:
    place = simulated(name)
    theirs = load(place)
    if door != "asdf":
        dv.convert(place, tmp_path / "store", references=door)
        place = tmp_path / "store"
    ours = dv.open_dataset(place)
    assert isinstance(ours, dv.TiledDataset) == (name in MOSAICS)
    for one, other in zip(tiles_of(ours), tiles_of(theirs), strict=True):
        got, expected = one.data.compute(), other.data.compute()
        assert got.dtype == expected.dtype.newbyteorder("=")
        assert got.dtype.isnative
        expected = expected.astype(got.dtype)
        assert np.array_equal(np.isnan(got), np.isnan(expected))
        finite = ~np.isnan(got)
        assert got[finite].tobytes() == expected[finite].tobytes()


@pytest.mark.slow
@pytest.mark.parametrize("directory", ["small_visp", "EIT"])
@pytest.mark.parametrize("chunks", ["auto", "frame"])
def test_frames_inside_the_dkist_package(directory: str, chunks: str, tmp_path: Path) -> None:
    path = next((ROOT / directory).glob("*.asdf"))
    theirs = load(path).data.compute()
    ds = dv.open_dataset(path, chunks=chunks)
    assert np.array_equal(ds.data.compute(), theirs)
    dv.convert(path, tmp_path / "store", scan="always")
    stored = dv.open_dataset(tmp_path / "store", chunks=chunks)
    assert np.array_equal(stored.data.compute(), theirs)
    assert len(ds.data.chunks[0]) == (1 if chunks == "auto" else len(theirs))


# Slicing --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def vtf(converted: Any) -> dv.Dataset:
    ds = dv.open_dataset(converted("vtf"))
    assert isinstance(ds, dv.Dataset)
    return ds


@pytest.fixture(scope="module")
def vtf_pixels(simulated: Any) -> np.ndarray[Any, Any]:
    pixels: np.ndarray[Any, Any] = load(simulated("vtf")).data.compute()
    return pixels


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_everything_follows_a_slice(
    vtf: dv.Dataset, vtf_pixels: np.ndarray[Any, Any], data: st.DataObject
) -> None:
    ds, expected = vtf, vtf_pixels
    frames = np.arange(24).reshape(4, 2, 3)
    places = np.stack(np.meshgrid(*map(np.arange, expected.shape), indexing="ij"), axis=-1)
    for _ in range(data.draw(st.integers(1, 3))):
        index = data.draw(indices(ds.shape))
        axes = places.shape[:-1]
        places = places[index] if len(axes) else places
        ds, expected = ds[index], expected[index]
        if expected.ndim == 1:
            break
    assert ds.shape == expected.shape
    assert np.array_equal(ds.data.compute(), expected)
    # The frames are those that the pixels come from.
    rows = np.unique(frames[tuple(places[..., axis] for axis in range(3))])
    names = [f"vtf_{row:04d}.fits" for row in range(24)]
    array = ds.provenance.array
    assert array.positions().tolist() == rows.tolist()
    assert ds.files.keys == [f"data/{chunk_key(array.metadata, int(row))}" for row in rows]
    all_names = vtf.files.names
    assert sorted(all_names) == names
    assert ds.files.names == [all_names[row] for row in rows]
    assert len(ds.files) == len(ds.headers) == len(rows)
    assert list(ds.headers["DATE-AVG"]) == list(np.array(vtf.headers["DATE-AVG"])[rows])
    # The world coordinates are those that these pixels had before.
    whole, cut = vtf.wcs.low_level_wcs, ds.wcs.low_level_wcs
    assert cut.pixel_n_dim == expected.ndim
    corner = tuple(n - 1 for n in expected.shape)
    for pixel in {(0,) * expected.ndim, corner}:
        before = dict(
            zip(
                whole.world_axis_names,
                whole.pixel_to_world_values(*places[pixel][::-1]),
                strict=True,
            )
        )
        after = np.atleast_1d(cut.pixel_to_world_values(*pixel[::-1]))
        for name, value in zip(cut.world_axis_names, after, strict=True):
            np.testing.assert_allclose(value, before[name], rtol=1e-12, atol=1e-9)


@pytest.mark.slow
def test_slices_agree_with_dkist(simulated: Any) -> None:
    place = simulated("visp")
    ours, theirs = dv.open_dataset(place), load(place)
    assert isinstance(ours, dv.Dataset)
    for index in (np.s_[0], np.s_[1, 2], np.s_[:, 1:3], np.s_[..., 5:20], np.s_[2, ..., 7]):
        one, other = ours[index], theirs[index]
        assert np.array_equal(one.data.compute(), other.data.compute(), equal_nan=True)
        assert one.files.filenames == other.files.filenames
        assert_same_world(one.wcs, other.wcs)
        assert_same_headers(one.headers, other.headers)
    assert len(ours[0].global_coords) == len(theirs[0].global_coords)


def test_a_slice_reads_nothing_and_builds_no_graph(vtf: dv.Dataset) -> None:
    sliced = vtf[0][:, 1][..., 3]
    assert sliced._dask is None
    assert str(sliced)
    assert sliced._dask is None
    assert len(sliced.data.__dask_graph__()) <= len(sliced.files)
    one = vtf[0, 0, 0]
    assert len(dict(one.data.__dask_graph__())) == 1


def test_dask_names_tell_arrays_apart(vtf: dv.Dataset, simulated: Any) -> None:
    again = dv.open_dataset(vtf.provenance.array.handle.url)
    assert isinstance(again, dv.Dataset)
    assert again[0].data.name == vtf[0].data.name
    names = [ds.data.name for ds in (vtf, vtf[0], vtf[1], vtf[0, :, 0], vtf[..., 0])]
    nan = dv.open_dataset(vtf.provenance.array.handle.url, missing="nan")
    names += [nan.data.name, dv.open_dataset(simulated("visp")).data.name]
    assert len(set(names)) == len(names)


def test_what_cannot_be_followed_raises(vtf: dv.Dataset) -> None:
    for index in ([0, 1], np.array([True, False]), None, np.s_[::-1], np.s_[0, 0, 0, 0, 0]):
        with pytest.raises(SelectionError):
            vtf[index]
    with pytest.raises(IndexError, match="out of range"):
        vtf[4]


def test_a_mask_of_the_datas_shape_is_sliced(vtf: dv.Dataset) -> None:
    ds = vtf[0, 0]
    mask = np.zeros(ds.shape, bool)
    mask[1, 2, 3] = True
    ds.mask = mask
    np.testing.assert_array_equal(ds[1, 2:].mask, mask[1, 2:])
    ds.mask = None
    assert ds[1].mask is None


def test_headers_make_a_wcs(vtf: dv.Dataset, simulated: Any) -> None:
    for row in (0, -1):
        header = vtf.headers[row]
        name = vtf.files.names[row]
        with fits.open(simulated("vtf") / name) as hdus, warnings.catch_warnings():
            # wcslib works out dates that the header does not give.
            warnings.simplefilter("ignore", FITSFixedWarning)
            wcs, theirs = WCS(header), WCS(hdus[1].header)
        pixel = [3.0] * wcs.naxis
        np.testing.assert_array_equal(
            wcs.wcs_pix2world([pixel], 0), theirs.wcs_pix2world([pixel], 0)
        )


# Absent frames --------------------------------------------------------------------------------


@pytest.mark.slow
def test_absent_frames_raise_and_say_how_many(simulated: Any, tmp_path: Path) -> None:
    place = simulated("vtf")
    (tmp_path / "some").mkdir()
    ds = dv.open_dataset(place, frames=tmp_path / "some", chunks="frame")
    assert isinstance(ds, dv.Dataset)
    for name in ds.files.names[:5]:
        (tmp_path / "some" / name).symlink_to(place / name)
    expected = load(place).data.compute()
    assert np.array_equal(ds[0, 0].data.compute(), expected[0, 0])
    with pytest.raises(FrameMissingError, match=r"1 of the 6 frames selected is absent"):
        dv.open_dataset(place, frames=tmp_path / "some")[0].data.compute()
    with pytest.raises(FileNotFoundError, match=r"vtf_.*\.fits"):
        ds[3].data.compute()
    nan = dv.open_dataset(place, frames=tmp_path / "some", missing="nan")
    assert isinstance(nan, dv.Dataset)
    got = nan.data.compute().reshape(24, -1)
    assert np.array_equal(got[:5], expected.reshape(24, -1)[:5])
    assert np.isnan(got[5:]).all()


@pytest.mark.parametrize("chunks", ["auto", "frame"])
def test_when_all_is_absent_it_is_said_once(chunks: str, simulated: Any, tmp_path: Path) -> None:
    place = simulated("vtf")
    ds = dv.open_dataset(place, frames=tmp_path, missing="nan", chunks=chunks)
    assert isinstance(ds, dv.Dataset)
    with pytest.warns(MissingFramesWarning) as caught:
        assert np.isnan(ds[0].data.compute()).all()
    (said,) = (str(one.message) for one in caught)
    assert said.startswith("all 6 frames selected are absent: every pixel is NaN. Looked for in ")
    assert str(tmp_path) in said
    # One of them is there: the others are NaN, which is what was asked for.
    (tmp_path / ds[3].files.names[-1]).symlink_to(place / ds[3].files.names[-1])
    assert not np.isnan(ds[3].data.compute()).all()
    with pytest.warns(MissingFramesWarning, match="the one frame selected is absent"):
        ds[0, 0, 0].data.compute()


# A dataset as an object -------------------------------------------------------------------------


def test_computed_pixels_belong_to_no_files(vtf: dv.Dataset, vtf_pixels: Any) -> None:
    ds = vtf[0, 0]
    doubled = ds * 2
    assert np.array_equal(np.asarray(doubled.data), vtf_pixels[0, 0] * 2)
    assert doubled.unit == ds.unit
    assert len(doubled.headers) == 3
    with pytest.raises(DatasetError, match="computed"):
        doubled.files  # noqa: B018
    binned = ds.rebin((1, 2, 2))
    assert binned.shape == (3, 15, 22)
    assert binned.headers is None


def test_copies_and_pickles(vtf: dv.Dataset, vtf_pixels: Any) -> None:
    sent = pickle.dumps(vtf[0].data)
    assert len(sent) < 10_000
    assert np.array_equal(pickle.loads(sent).compute(), vtf_pixels[0])
    twin = copy.deepcopy(vtf.meta)
    assert twin["inventory"] == vtf.inventory
    assert len(twin["headers"]) == 24


def test_from_asdf_is_the_store_that_never_scanned(simulated: Any, tmp_path: Path) -> None:
    place = simulated("vtf")
    direct = dv.Dataset.from_asdf(place)
    dv.convert(place, tmp_path / "store", scan="never")
    stored = dv.open_dataset(tmp_path / "store")
    assert isinstance(stored, dv.Dataset)
    id_ = [
        ds.provenance.array.handle.store.references.attributes["store_id"]
        for ds in (direct, stored)
    ]
    assert id_[0] == id_[1]
    assert direct.data.name != stored.data.name  # of different places, whatever both say
    assert direct.files.urls == stored.files.urls
    assert direct.files.nbytes is None


def test_stepped_slices_know_their_shape_and_plot(vtf: dv.Dataset) -> None:
    from matplotlib.figure import Figure

    sliced = vtf[0, 0, 0, ::4, 1::3]
    low = sliced.wcs.low_level_wcs
    assert low.array_shape == sliced.shape == (8, 15)
    assert low.pixel_shape == (15, 8)
    assert all(type(n) is int for n in low.array_shape)
    assert vtf[::3, 0, ::2].wcs.low_level_wcs.array_shape == (2, 2, 30, 44)
    figure = Figure()
    axes = figure.add_subplot(projection=low)
    axes.imshow(sliced.data.compute())
    figure.canvas.draw()


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", mostly_slow(["run#2", "a%20b", "what?", "a b", "ünïcode"], "run#2")
)
def test_any_name_will_do(name: str, simulated: Any, tmp_path: Path) -> None:
    place = tmp_path / name
    (place / "frames").mkdir(parents=True)
    # What asdf would take such a path for, were it given one.
    bystander = tmp_path / name.partition("#")[0].partition("?")[0]
    if not bystander.exists():
        bystander.write_text("mine")
    for file in simulated("visp_moving").iterdir():
        (place / "frames" / file.name).symlink_to(file)
    dv.convert(place / "frames", place / "store")
    expected = load(simulated("visp_moving")).data.compute()
    for where in (place / "store", place / "frames", place / "frames" / "visp_moving.asdf"):
        ds = dv.open_dataset(where)
        assert isinstance(ds, dv.Dataset)
        assert np.array_equal(ds.data.compute(), expected)
        assert ds.inventory
    assert not bystander.is_file() or bystander.read_text() == "mine"
    assert set(tmp_path.iterdir()) == {place, bystander}


def test_a_mosaic_is_no_dataset(simulated: Any) -> None:
    mosaic = dv.Dataset.from_asdf(simulated("vbi_mosaic"))  # as in dkist
    assert isinstance(mosaic, dv.TiledDataset)
    assert mosaic.shape == dv.open_dataset(simulated("vbi_mosaic")).shape
    with pytest.raises(DatasetError, match="not a mosaic"):
        dv.TiledDataset.from_asdf(simulated("vtf"))


def test_sizes_are_the_files_sizes(vtf: dv.Dataset, simulated: Any) -> None:
    sizes = {path.name: path.stat().st_size for path in simulated("vtf").glob("*.fits")}
    for ds in (vtf, vtf[1, 0], vtf[..., 2]):
        assert ds.files.nbytes == sum(sizes[name] for name in ds.files.names)
    assert f"{len(vtf[1, 0].files)} of 24 files" in str(vtf[1, 0].files)


@pytest.mark.slow
def test_a_subslice_is_the_first_selection(simulated: Any, tmp_path: Path) -> None:
    place = simulated("visp")
    theirs = load(place)[:, 1:3, 5:9]
    saved = save(tmp_path / "cut.asdf", theirs)
    expected = load(saved)
    expected.files.basepath = place
    for door in ("asdf", "store"):
        where: Path = saved
        if door == "store":
            where = tmp_path / "store"
            dv.convert(saved, where, frames=place)
        ours = dv.open_dataset(where, frames=place)
        assert isinstance(ours, dv.Dataset)
        assert ours.shape == expected.data.shape
        # dkist's array was built before its base path was set, so the pixels come from the cut.
        reference = load(place).data
        index = ours.provenance.array.selection.index
        got = ours.data.compute()
        assert got.shape == expected.data.shape
        frames = load(saved).files.fileuri_array
        whole = np.stack(
            [np.asarray(fits.getdata(place / str(name), 1))[0] for name in frames.flat]
        ).reshape(*frames.shape, *reference.shape[2:])
        assert np.array_equal(got, whole[index], equal_nan=True)

"""Compare mosaics with dkist's."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.time import Time
from dkist_assets import load
from samples import mostly_slow
from simulated import MOSAICS, QUICK

import dkist_virtual as dv
from dkist_virtual.errors import DatasetError, OutsideError, SelectionError


@pytest.fixture(params=mostly_slow(MOSAICS, *QUICK))
def pair(
    request: pytest.FixtureRequest, simulated: Any, converted: Any
) -> tuple[dv.TiledDataset, Any]:
    ours = dv.open_dataset(converted(request.param))
    assert isinstance(ours, dv.TiledDataset)
    return ours, load(simulated(request.param))


def test_tiles_stand_in_their_places(pair: tuple[dv.TiledDataset, Any]) -> None:
    ours, theirs = pair
    assert ours.shape == theirs.shape
    for place in np.ndindex(ours.shape):
        if np.ma.getmaskarray(theirs._data)[place]:
            assert ours[place] is np.ma.masked
        else:
            assert np.array_equal(ours[place].data.compute(), theirs[place].data.compute())
            assert ours[place].files.filenames == theirs[place].files.filenames


def test_a_row_of_tiles_is_a_mosaic(pair: tuple[dv.TiledDataset, Any]) -> None:
    ours, theirs = pair
    row = ours[0]
    assert isinstance(row, dv.TiledDataset)
    assert row.shape == theirs[0].shape
    np.testing.assert_array_equal(row.mask, np.ma.getmaskarray(theirs[0]._data))
    assert len(ours) == ours.shape[0]
    assert [tile.shape for tile in ours.flat] == ours.flat.tiles_shape


def test_slicing_all_tiles(pair: tuple[dv.TiledDataset, Any]) -> None:
    ours, theirs = pair
    sliced, expected = ours.slice_tiles[0, ..., 3:7], theirs.slice_tiles[0, ..., 3:7]
    assert sliced.shape == expected.shape
    for one, other in zip(sliced.flat, expected._data.compressed(), strict=True):
        assert np.array_equal(one.data.compute(), other.data.compute())
    assert len(sliced.files) == sum(len(tile.files) for tile in expected._data.compressed())


def test_headers_and_files_of_all_tiles(pair: tuple[dv.TiledDataset, Any]) -> None:
    ours, theirs = pair
    names = [str(n) for tile in theirs._data.compressed() for n in tile.files.filenames]
    assert ours.files.filenames == names
    dates = [d for tile in theirs._data.compressed() for d in tile.headers["DATE-AVG"]]
    assert list(ours.combined_headers["DATE-AVG"]) == dates
    assert ours.inventory == theirs.inventory
    n_bytes = ours.files.nbytes
    place = Path(ours.files.basepath)
    assert n_bytes == sum((place / name).stat().st_size for name in names)
    assert ours.files.keys[0] == f"data_0_0/{'.'.join('0' * len(ours.flat[0].shape))}"


def test_the_overview_shows_the_grid(pair: tuple[dv.TiledDataset, Any]) -> None:
    ours, _ = pair
    overview = ours.overview()
    assert overview.grid == ours.shape
    assert overview.present == tuple(map(tuple, np.argwhere(~ours.mask).tolist()))
    assert f"{ours.shape[0]}x{ours.shape[1]}" in str(ours)
    assert "TiledDataset" in ours._repr_html_()


def test_a_mosaic_pickles(pair: tuple[dv.TiledDataset, Any]) -> None:
    ours, _ = pair
    twin = pickle.loads(pickle.dumps(ours))
    np.testing.assert_array_equal(twin.mask, ours.mask)
    assert np.array_equal(twin.flat[-1].data.compute(), ours.flat[-1].data.compute())
    assert len(twin.meta["headers"]) == len(ours.files)


def test_the_meta_answers_as_dkists_does(pair: tuple[dv.TiledDataset, Any]) -> None:
    ours, theirs = pair
    assert len(ours.meta["headers"]) == len(theirs.meta["headers"][: len(ours.files)])
    assert ours.meta["history"] == theirs.meta["history"]
    assert len(ours.slice_tiles[0].meta["headers"]) == len(ours.slice_tiles[0].files)


# Every tile alike -------------------------------------------------------------------------------


def test_it_answers_as_dkists_does(pair: tuple[dv.TiledDataset, Any]) -> None:
    ours, theirs = pair
    assert ours.tiles_shape == [list(row) for row in theirs.tiles_shape]
    assert ours.flat.shape == theirs.flat.shape
    assert ours.flat.tiles_shape == theirs.flat.tiles_shape
    assert [tile.files.filenames for tile in ours.flat] == [
        tile.files.filenames for tile in theirs.flat
    ]
    assert isinstance(ours.flat, dv.TiledDataset)
    tile = ours.flat[0]
    assert tile in ours
    assert tile in ours.flat
    assert 5 not in ours
    assert ours[-1, -1].shape not in ours
    assert [row.shape for row in ours] == [row.shape for row in theirs]
    for index in (np.s_[0], np.s_[..., 0], np.s_[:, 1], np.s_[0:2, :], np.s_[::2, ::-1]):
        np.testing.assert_array_equal(ours[index].mask, theirs[index].mask)
        assert ours[index].files.filenames == [
            name for tile in theirs[index].flat for name in tile.files.filenames
        ]


def test_tiles_can_be_hidden(pair: tuple[dv.TiledDataset, Any]) -> None:
    ours, theirs = pair
    whole = ours.mask
    hidden = whole.copy()
    hidden[0, 0] = True
    n = len(ours.flat[0].files)
    before = len(ours.files)
    ours.mask = theirs.mask = hidden
    np.testing.assert_array_equal(ours.mask, hidden)
    assert ours[0, 0] is np.ma.masked
    assert len(ours.files) == len(ours.combined_headers) == before - n
    assert [tile.files.filenames for tile in ours.flat] == [
        tile.files.filenames for tile in theirs.flat
    ]
    with pytest.raises(DatasetError, match="hides every tile"):
        ours.mask[...] = True
    with pytest.raises(DatasetError, match="hides every tile"):
        ours.mask = True
    np.testing.assert_array_equal(ours.mask, hidden)
    if whole.any():
        with pytest.raises(DatasetError, match=r"no tile at \[0, 1\]"):
            ours.mask = False
    ours.mask = whole
    assert len(ours.combined_headers) == before


def test_a_row_without_tiles_is_masked(simulated: Any) -> None:
    ds = dv.open_dataset(simulated("vbi_mosaic"))
    ds.mask = [[True, True], [False, False]]
    assert ds[0] is np.ma.masked
    assert [row is np.ma.masked for row in ds] == [True, False]
    with pytest.raises(DatasetError, match="at least one tile"):
        ds[:0]


def test_an_index_into_tiles_says_where_it_belongs(pair: tuple[dv.TiledDataset, Any]) -> None:
    ours, _ = pair
    with pytest.raises(SelectionError, match=r"slice_tiles\[...\]"):
        ours[0, 0, 0]
    with pytest.raises(SelectionError, match=r"tile \[0, 0\]: index 10000 is out of range"):
        ours.slice_tiles[..., 10000]
    with pytest.raises(SelectionError, match=r"tile \[0, 0\].*ds\.files"):
        ours.slice_tiles[::-1]


def test_which_row_is_whose(pair: tuple[dv.TiledDataset, Any]) -> None:
    ours, theirs = pair
    for mosaic in (ours, ours.slice_tiles[0], ours.flat, ours[:, 0]):
        places = mosaic.tile_of_row
        assert len(places) == len(mosaic.combined_headers) == len(mosaic.files)
        for place, name in zip(places.tolist(), mosaic.files.names, strict=True):
            assert name in mosaic[tuple(place)].files.names
    rows = (ours.tile_of_row == [0, 0]).all(axis=1)
    assert list(ours.combined_headers[rows]["DATE-AVG"]) == list(theirs[0, 0].headers["DATE-AVG"])
    assert ours.files[rows].names == ours[0, 0].files.names


def test_crop_and_at_do_so_in_every_tile(pair: tuple[dv.TiledDataset, Any]) -> None:
    ours, _ = pair
    first = ours.flat[0]
    found = first.wcs.pixel_to_world(*[n // 2 for n in first.shape[::-1]])
    for coordinate in found:
        outside, kept = 0, []
        cropped = ours.crop(coordinate, keepdims=True)
        for place in map(tuple, np.argwhere(~ours.mask)):
            try:
                alone = ours[place].crop(coordinate, keepdims=True)
            except OutsideError:
                outside += 1
                assert cropped[place] is np.ma.masked
            else:
                kept.append(alone.shape)
                assert cropped[place].files.keys == alone.files.keys
                assert cropped[place].shape == alone.shape
        assert outside < len(ours.flat)
        # Tiles are taken one after the other, and show different parts of the sky.
        assert not outside or isinstance(coordinate, (SkyCoord, Time))
        assert outside or not isinstance(coordinate, SkyCoord)
        # Dropped is what is a single pixel in all of them.
        dropped = [set(n) == {1} and m > 1 for n, m in zip(zip(*kept), first.shape, strict=True)]  # noqa: B905
        expected = [
            tuple(n for n, gone in zip(shape, dropped, strict=True) if not gone) for shape in kept
        ]
        assert [tile.shape for tile in ours.crop(coordinate).flat] == expected
    if "DL" in str(ours.inventory["instrumentName"]):
        plane = ours.at(stokes="V", wavelength=found[1])
        assert plane.tiles_shape == [[(2, 14, 18)] * 2] * 2
        assert all(
            np.array_equal(one.data.compute(), other[3, :, 6].data.compute())
            for one, other in zip(plane.flat, ours.flat, strict=True)
        )


def test_a_region_of_the_sky_leaves_the_tiles_that_it_touches(simulated: Any) -> None:
    ds = dv.open_dataset(simulated("vbi_mosaic"))
    whole = [tile.wcs.pixel_to_world(24, 24, 0)[0] for tile in ds.flat]
    assert ds.crop(whole[0], whole[1]).mask.tolist() == [[False, False], [True, True]]
    everywhere = ds.crop(*whole)
    assert not everywhere.mask.any()
    far = SkyCoord(whole[0].Tx + 400 * u.arcsec, whole[0].Ty, frame=whole[0].frame)
    with pytest.raises(OutsideError, match=r"no tile has it.*\[0, 0\].*outside of this selection"):
        ds.crop(far)
    with pytest.raises(SelectionError, match=r"no axis of stokes"):
        ds.crop("V")


def test_tiles_of_computed_pixels_have_no_files(simulated: Any) -> None:
    ds = dv.open_dataset(simulated("vbi_mosaic"))
    tiles = np.array([[tile * 2 for tile in row.flat] for row in ds], object)
    computed = dv.TiledDataset(tiles, {"inventory": ds.inventory})
    assert len(computed.combined_headers) == len(ds.files)
    with pytest.raises(DatasetError, match="no files"):
        computed.files  # noqa: B018


@pytest.mark.every(3)
@pytest.mark.parametrize("references", ["json", "parquet"])
@pytest.mark.parametrize("name", mostly_slow(MOSAICS, *QUICK))
def test_both_doors_have_all_tiles(
    name: str, references: Any, simulated: Any, tmp_path: Path
) -> None:
    import xarray as xr

    store = tmp_path / "store"
    dv.convert(simulated(name), store, references=references)
    ours, theirs = dv.open_dataset(store), load(simulated(name))
    place = store / ("references.json" if references == "json" else "references.parq")
    other = xr.open_dataset(str(place), engine="kerchunk", chunks={})
    group = dv.open_zarr(store)
    keys = [f"data_{i}_{j}" for i, j in np.argwhere(~ours.mask)]
    assert sorted(other) == sorted(group.array_keys()) == sorted(keys)
    for key, tile, expected in zip(keys, ours.flat, theirs.flat, strict=True):
        pixels = expected.data.compute()
        np.testing.assert_array_equal(tile.data.compute(), pixels)
        np.testing.assert_array_equal(np.asarray(other[key]), pixels)
        np.testing.assert_array_equal(group[key][...], pixels)

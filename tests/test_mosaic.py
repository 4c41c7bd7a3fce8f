"""Mosaics against dkist's."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dkist_assets import load
from simulated import MOSAICS

import dkist_virtual as dv


@pytest.fixture(params=MOSAICS)
def pair(
    request: pytest.FixtureRequest, simulated: Any, tmp_path: Path
) -> tuple[dv.TiledDataset, Any]:
    place = simulated(request.param)
    dv.convert(place, tmp_path / "store")
    ours = dv.open_dataset(tmp_path / "store")
    assert isinstance(ours, dv.TiledDataset)
    return ours, load(place)


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
    assert [tile.shape for tile in ours.flat] == ours.tiles_shape


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

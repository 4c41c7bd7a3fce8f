"""Check datasets and mosaics that a user makes of arrays, beside those of ``dkist``."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import astropy.units as u
import dask.array as da
import dkist
import numpy as np
import pytest
from astropy.table import Table, vstack
from astropy.wcs import WCS
from gwcs import WCS as GWCS

import dkist_virtual as dv
from dkist_virtual.errors import DatasetError

SHAPE = (3, 4, 5)
RECORD = {"datasetId": "ABCDE", "bucket": "data"}


def plain_wcs() -> GWCS:
    """A WCS of SHAPE without frames of any kind."""
    from astropy.modeling.models import Shift
    from gwcs.coordinate_frames import CoordinateFrame

    def frame(name: str, unit: u.UnitBase) -> CoordinateFrame:
        axes = ("x", "y", "z")
        return CoordinateFrame(
            3, ("SPATIAL",) * 3, (0, 1, 2), unit=(unit,) * 3, axes_names=axes, name=name
        )

    wcs = GWCS(Shift(1) & Shift(2) & Shift(3), frame("pixels", u.pix), frame("world", u.m))
    wcs.array_shape = SHAPE
    return wcs


def made(package: Any, rows: int = 3, start: int = 0, **options: Any) -> Any:
    """A dataset of either package."""
    headers = Table({"NUMBER": np.arange(start, start + rows), "NAME": ["a"] * rows})
    array = da.from_array(np.arange(60.0).reshape(SHAPE), chunks=(1, 4, 5))
    meta = {"headers": headers, "inventory": RECORD}
    return package.Dataset(array, wcs=plain_wcs(), meta=meta, unit=u.count, **options)


def tiles(package: Any) -> Any:
    grid = [made(package, start=10 * n) for n in range(4)]
    return np.array(grid).reshape(2, 2)


def same(ours: Any, theirs: Any) -> bool:
    names = ours.colnames == theirs.colnames
    return names and all(np.array_equal(ours[name], theirs[name]) for name in theirs.colnames)


# Datasets ---------------------------------------------------------------------------------------

DERIVED: dict[str, Callable[[Any], Any]] = {
    "itself": lambda ds: ds,
    "slice": lambda ds: ds[1:, 2],
    "plane": lambda ds: ds[0],
    "arithmetic": lambda ds: ds * 2,
    "rebin": lambda ds: ds.rebin((1, 2, 1)),
    "deepcopy": copy.deepcopy,
    "pickle": lambda ds: pickle.loads(pickle.dumps(ds)),
}


@pytest.mark.parametrize("derivation", DERIVED)
def test_a_table_of_ones_own_stays_whole(derivation: str) -> None:
    ours, theirs = (DERIVED[derivation](made(package)) for package in (dv, dkist))
    assert same(ours.headers, theirs.headers)
    assert ours.headers is ours.meta["headers"]
    assert ours.inventory == theirs.inventory == RECORD
    assert ours.shape == theirs.data.shape


def test_what_is_made_of_it_has_a_table_and_meta_of_its_own() -> None:
    whole = made(dv)
    part = whole[0]
    part.headers["NUMBER"][0] = 99
    part.meta["note"] = "mine"
    assert whole.headers["NUMBER"].tolist() == [0, 1, 2]
    assert "note" not in whole.meta


def test_arrays_tables_and_wcs_are_those_given() -> None:
    array, wcs, table = np.zeros(SHAPE), plain_wcs(), Table()
    ds = dv.Dataset(array, wcs=wcs, meta={"headers": table, "inventory": RECORD}, mask=array > 1)
    assert ds.data is array
    assert ds.wcs is wcs
    assert ds.headers is table
    assert ds.inventory is RECORD
    assert not np.any(ds.mask)


def test_without_a_table_it_has_no_headers() -> None:
    array = np.zeros(SHAPE)
    assert dv.Dataset(array, plain_wcs()).headers is None
    assert dv.Dataset(array, plain_wcs(), meta={"headers": {}, "inventory": {}}).headers is None


def test_meta_of_frames_given_for_an_array_keeps_their_headers(datasets: Any) -> None:
    # As in a notebook: Dataset(filtered, wcs=ds.wcs, meta=ds.meta).
    frames = datasets("large_visp")
    ds = dv.Dataset(np.zeros(frames.shape), wcs=frames.wcs, meta=frames.meta)
    assert same(ds.headers, frames.headers)
    assert same(ds[0, 0].headers, frames.headers)  # no row is known to be of a pixel
    assert same((ds + ds).headers, frames.headers)
    ds.headers["NUMBER"] = 7
    assert "NUMBER" not in frames.headers.colnames
    assert (ds[0].headers["NUMBER"] == 7).all()
    assert frames.rebin((1, 1, 1, 2)).headers is None


# Mosaics ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments",
    [
        {"meta": {"inventory": RECORD}},
        {"meta": {"inventory": RECORD, "headers": None}},
        {"meta": {"inventory": RECORD}, "mask": [[False, True], [False, False]]},
    ],
)
def test_a_mosaic_is_made_as_by_dkist(arguments: dict[str, Any]) -> None:
    ours, theirs = (
        package.TiledDataset(tiles(package), **{k: copy.copy(v) for k, v in arguments.items()})
        for package in (dv, dkist)
    )
    assert np.array_equal(ours.mask, theirs.mask)
    assert same(ours.combined_headers, theirs.combined_headers)
    assert ours.inventory is theirs.inventory is RECORD
    assert ours.flat.tiles_shape == theirs.flat.tiles_shape
    sliced = ours.slice_tiles[0], theirs.slice_tiles[0]
    assert same(*(mosaic.combined_headers for mosaic in sliced))
    assert len(ours.tile_of_row) == len(ours.combined_headers)


def test_a_hidden_tile_can_be_shown() -> None:
    mosaic = dv.TiledDataset(tiles(dv), mask=[[True, False], [False, False]])
    assert mosaic[0, 0] is np.ma.masked
    mosaic.mask = False
    assert mosaic[0, 0].headers["NUMBER"].tolist() == [0, 1, 2]


def test_the_inventory_may_be_given_in_four_ways_or_not_at_all() -> None:
    grid = tiles(dv)
    for mosaic in (
        dv.TiledDataset(grid, {"inventory": RECORD}),
        dv.TiledDataset(grid, meta={"inventory": RECORD}),
        dv.TiledDataset(grid, inventory=RECORD),
        dv.TiledDataset(grid, RECORD),
        dv.TiledDataset(grid),
        dv.TiledDataset(dataset_array=grid),
        dv.TiledDataset(tiles=grid, meta={"inventory": RECORD}),
    ):
        assert mosaic.inventory == RECORD
    assert dv.TiledDataset(grid, {}).inventory is None
    grid[0, 1].meta["inventory"] = {"datasetId": "OTHER"}
    with pytest.raises(DatasetError, match="different inventories, of ABCDE and OTHER"):
        dv.TiledDataset(grid)


def test_headers_given_for_a_mosaic_are_those_of_its_tiles() -> None:
    grid = tiles(dv)
    table = vstack([tile.headers for tile in grid.flat])
    mosaic = dv.TiledDataset(grid, meta={"inventory": RECORD, "headers": table})
    assert same(mosaic.combined_headers, table)
    table["NUMBER"][5] = 100
    with pytest.raises(DatasetError, match="the headers of a mosaic are those of its tiles"):
        dv.TiledDataset(grid, meta={"inventory": RECORD, "headers": table})
    with pytest.raises(DatasetError, match="the headers of a mosaic are those of its tiles"):
        dv.TiledDataset(grid, meta={"headers": table[:3]})
    del table["NAME"]
    with pytest.raises(DatasetError, match="the headers of a mosaic are those of its tiles"):
        dv.TiledDataset(grid, meta={"headers": table})


def test_other_things_are_not_tiles() -> None:
    grid = tiles(dv)
    grid[1, 0] = 5
    with pytest.raises(DatasetError, match=r"tile \[1, 0\]: expected .* found builtins.int"):
        dv.TiledDataset(grid, {})
    mosaic = dv.TiledDataset(grid, mask=[[False, False], [True, False]])
    assert mosaic[1, 0] is np.ma.masked
    with pytest.raises(DatasetError, match="there is no tile"):
        mosaic.mask = False
    with pytest.raises(DatasetError, match=r"mask: expected the shape of the tiles, \(2, 2\)"):
        dv.TiledDataset(grid, mask=[True])
    with pytest.raises(TypeError, match="dataset_array"):
        dv.TiledDataset()


def test_binned_tiles_make_a_mosaic() -> None:
    # As in dkist's gallery.
    grid = [tile.rebin((1, 2, 1)) for tile in tiles(dv).flat]
    mosaic = dv.TiledDataset(np.array(grid).reshape(2, 2), meta={"inventory": RECORD})
    assert mosaic.shape == (2, 2)
    assert mosaic[0, 0].shape == (3, 2, 5)


@pytest.mark.slow
def test_tiles_of_several_datasets_are_described(simulated: Any, converted: Any) -> None:
    first = dv.open_dataset(simulated("vbi_mosaic"))
    other = dv.open_dataset(converted("vbi_mosaic"))
    n = len(first[0, 0].files)
    both = dv.TiledDataset(np.array([[first[0, 0], other[0, 1]]], object))
    overview = both.overview()
    assert overview.n_frames == 2 * n
    assert overview.total_frames == len(first.files) + len(other.files)
    assert overview.store is None
    five_times = dv.TiledDataset(np.array([[first[0, 0]] * 5], object))
    assert five_times.overview().n_frames == 5 * n
    assert five_times.overview().total_frames is None
    assert str(len(five_times.files)) in str(five_times)
    assert other[0].overview().total_frames == len(other.files)
    assert other[0].overview().store == str(converted("vbi_mosaic"))


def test_a_fits_wcs_is_a_wcs() -> None:
    ds = dv.Dataset(np.zeros((4, 5)), wcs=WCS(naxis=2), meta={"headers": Table({"A": [1]})})
    assert ds[0].headers["A"].tolist() == [1]

"""Put own results on a dataset's coordinates, make masks by comparing, and name tiles by place."""

from __future__ import annotations

import contextlib
import copy
import io
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import astropy.units as u
import dask.array as da
import numpy as np
import pytest
from astropy.nddata import NDData, StdDevUncertainty, UnknownUncertainty
from astropy.table import QTable, Table, hstack, unique, vstack
from dataset_checks import indices
from dkist_assets import load
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from matplotlib.figure import Figure
from ndcube import NDCubeSequence
from watches import opened_frames

import dkist_virtual as dv
from dkist_virtual.errors import DatasetError, DKISTVirtualWarning, DownloadError


@pytest.fixture(scope="module")
def vtf(simulated: Any) -> dv.Dataset:
    ds = dv.open_dataset(simulated("vtf"))
    assert isinstance(ds, dv.Dataset)
    return ds


@pytest.fixture(scope="module")
def pixels(simulated: Any) -> Any:
    return load(simulated("vtf")).data.compute()


@pytest.fixture
def mosaic(simulated: Any) -> dv.TiledDataset:
    opened = dv.open_dataset(simulated("vbi_mosaic"))
    assert isinstance(opened, dv.TiledDataset)
    return opened


# A result of one's own ------------------------------------------------------------------------


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_a_result_is_sliced_with_what_it_belongs_to(vtf: dv.Dataset, data: st.DataObject) -> None:
    first = data.draw(indices(vtf.shape))
    ds = vtf[first]
    own = np.random.default_rng(1).random(ds.shape).astype("f4")
    array = own if data.draw(st.booleans()) else da.from_array(own, chunks=7)
    with opened_frames() as opened:
        result = ds.with_data(array, unit="km/s", meta={"fit": "gauss"})
        then = data.draw(indices(ds.shape))
        part, plain = result[then], ds[then]
        assert part.headers is not None
        assert plain.headers is not None
        assert list(part.headers["DATE-AVG"]) == list(plain.headers["DATE-AVG"])
        assert opened == []
    np.testing.assert_array_equal(part.data, own[then])
    assert (part.unit, part.meta["fit"], part.inventory) == (u.km / u.s, "gauss", vtf.inventory)
    corner = [0] * len(part.shape)
    for ours, theirs in zip(
        np.atleast_1d(part.wcs.low_level_wcs.pixel_to_world_values(*corner)),
        np.atleast_1d(plain.wcs.low_level_wcs.pixel_to_world_values(*corner)),
        strict=True,
    ):
        np.testing.assert_array_equal(ours, theirs)
    with pytest.raises(DatasetError, match="are in no files"):
        part.files  # noqa: B018


def test_a_result_is_a_dataset_everywhere(vtf: dv.Dataset, pixels: Any) -> None:
    velocity = vtf[:, :, 0].with_data(vtf.data.mean(axis=2), unit="km/s")
    assert "computed from" in str(velocity)
    expected = pixels.mean(axis=2)
    twin = pickle.loads(pickle.dumps(velocity))
    np.testing.assert_allclose(twin.data.compute(), expected, rtol=1e-6)
    array = velocity.to_xarray()
    assert array.attrs["units"] == "km / s"
    np.testing.assert_allclose(array.values, expected, rtol=1e-6)
    smap = velocity[0, 1].to_map()
    assert smap.unit == u.km / u.s
    np.testing.assert_allclose(smap.data, expected[0, 1], rtol=1e-6)
    shown = velocity.plot(figure=Figure()).image.get_array()
    np.testing.assert_allclose(shown, expected[0, 0], rtol=1e-6)
    twice = (velocity * 2).rebin((1, 1, 2, 2))
    np.testing.assert_allclose(
        twice.data.compute(), 2 * expected.reshape(4, 2, 15, 2, 22, 2).mean(axis=(3, 5)), rtol=1e-6
    )


def test_what_a_result_says_of_itself_is_taken(vtf: dv.Dataset) -> None:
    ds = vtf[0, 0, 0]
    ones, hidden = np.ones(ds.shape), np.zeros(ds.shape, bool)
    hidden[3] = True
    assert ds.with_data(ones).unit is None
    assert ds.with_data(ones * u.km, unit="m").data.max() == 1000
    masked = ds.with_data(np.ma.MaskedArray(ones, hidden))
    np.testing.assert_array_equal(masked.mask, hidden)
    given = NDData(ones, unit="km", mask=hidden, uncertainty=StdDevUncertainty(ones))
    result = ds.with_data(given)
    assert result.unit == u.km
    np.testing.assert_array_equal(result.mask, hidden)
    np.testing.assert_array_equal(result.uncertainty.array, ones)
    ds.mask = hidden
    kept = ds.with_data(ones)
    np.testing.assert_array_equal(kept.mask, hidden)
    kept.mask[...] = True
    np.testing.assert_array_equal(ds.mask, hidden)
    assert ds.with_data(ones, mask=False).mask is False


@pytest.mark.parametrize(
    ("shape", "said"),
    [
        ((4, 2, 30, 44), r"ds\[:, :, 0, :, :\].with_data"),
        ((4, 2, 1, 30, 44), r"ds\[:, :, :1, :, :\].with_data"),
        ((3,), r"ds\[0, 0, :, 0, 0\].with_data"),
        ((30, 44), r"ds\[0, 0, 0, :, :\].with_data"),
        ((4, 2, 3, 44, 30), r"expected an array of shape \(4, 2, 3, 30, 44\).*found \(4, 2, 3, 44"),
        ((), r"one value for each pixel, found \(\)"),
    ],
)
def test_another_shape_is_refused_with_what_fits(vtf: dv.Dataset, shape: Any, said: str) -> None:
    with pytest.raises(DatasetError, match=said):
        vtf.with_data(np.ones(shape))


def test_what_is_no_result_is_refused_when_it_is_given(vtf: dv.Dataset) -> None:
    ones = np.ones(vtf.shape, "f4")
    for bad, said in (
        ([1, 2], "found list"),
        (ones.astype(object), "an array of object"),
        (NDData(ones, unit="km"), "unit s is given"),
        (ones * u.km, "not convertible"),
    ):
        with pytest.raises(DatasetError, match=said):
            vtf.with_data(bad, unit="s")
    with pytest.raises(DatasetError, match="mask: expected the shape"):
        vtf.with_data(ones, mask=np.zeros((5, 5), bool))
    with pytest.raises(DatasetError, match="uncertainty: expected the shape"):
        vtf.with_data(ones, uncertainty=StdDevUncertainty(ones[0]))


def test_complex_numbers_are_drawn_by_their_size(vtf: dv.Dataset) -> None:
    frame = vtf[0, 0, 0]
    turning = frame.with_data(np.full(frame.shape, 3 + 4j), unit="ct")
    with pytest.raises(DatasetError, match=r"np\.abs\(ds\)"):
        turning.plot(figure=Figure())
    assert float(np.nanmax(abs(turning).plot(figure=Figure()).image.get_array())) == 5


# Masks and uncertainties ------------------------------------------------------------------------


def test_a_comparison_is_a_mask(vtf: dv.Dataset, pixels: Any) -> None:
    level = float(np.median(pixels))
    expected = pixels > level
    ds = vtf[...]
    with opened_frames() as opened:
        ds.mask = ds > level * u.ct
        part = ds[1, :, 2, 3:9, ::2]
        assert opened == []
    np.testing.assert_array_equal(part.mask, expected[1, :, 2, 3:9, ::2])
    double = ds * 2
    np.testing.assert_array_equal(double.mask, expected)
    double.mask[...] = False
    np.testing.assert_array_equal(ds.mask, expected)
    np.testing.assert_array_equal(ds.to_xarray()["mask"], expected)
    np.testing.assert_array_equal(ds[0, 0, 0].to_map().mask, expected[0, 0, 0])
    shown = ds[0, 0, 0].plot(figure=Figure()).image.get_array()
    np.testing.assert_array_equal(np.isnan(np.asarray(shown)), expected[0, 0, 0])
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(ds)).mask, expected)
    blocks = expected.reshape(4, 2, 3, 15, 2, 22, 2)
    np.testing.assert_array_equal(ds.rebin((1, 1, 1, 2, 2)).mask, blocks.all(axis=(4, 6)))
    filled = ds.fill_masked(-1)
    np.testing.assert_array_equal(filled.data, np.where(expected, np.float32(-1), pixels))
    ds.mask = expected[0, 0, 0]  # of the detector: broadcasts
    np.testing.assert_array_equal(ds[1, 0].mask[2], expected[0, 0, 0])


def test_what_is_no_mask_is_refused_when_it_is_set(vtf: dv.Dataset) -> None:
    ds = vtf[0, 0]
    for bad, said in (
        (ds, "found pixels of float32"),
        (ds[0] > 1 * u.ct, None),
        (ds[:2] > 1 * u.ct, r"expected the shape of the data, \(3, 30, 44\).*found \(2, 30, 44\)"),
        (np.zeros((44, 30), bool), "broadcasts to it"),
        ("abc", "found pixels of <U3"),
    ):
        if said is None:
            ds.mask = bad
            continue
        with pytest.raises(DatasetError, match=said):
            ds.mask = bad
    assert np.asarray(ds.mask).shape == ds.shape
    ones = ds.with_data(np.ones(ds.shape, int))
    ones.mask = -ones  # integers that are computed
    assert np.asarray(ones.mask).all()


@pytest.mark.parametrize("operation", [np.sum, np.mean, np.nanmean])
def test_deviations_follow_bins(operation: Any, vtf: dv.Dataset) -> None:
    ds = vtf[0, 0]
    rng = np.random.default_rng(5)
    spread, hidden = rng.random(ds.shape), rng.random(ds.shape) < 0.2
    ds.uncertainty, ds.mask = StdDevUncertainty(spread), hidden
    with opened_frames() as opened:
        got = ds.rebin((1, 2, 2), operation).uncertainty
        assert opened == [] or operation is np.nanmean
    squares = np.where(hidden, 0, spread**2).reshape(3, 15, 2, 22, 2).sum(axis=(2, 4))
    counts = (~hidden).reshape(3, 15, 2, 22, 2).sum(axis=(2, 4))
    expected = np.sqrt(squares) / (1 if operation is np.sum else np.where(counts, counts, np.nan))
    np.testing.assert_allclose(np.asarray(got.array), expected)
    with pytest.raises(DatasetError, match="propagate_uncertainties=False"):
        ds.rebin((1, 2, 2), np.median)
    median = ds.rebin((1, 2, 2), np.median, propagate_uncertainties=False)
    assert median.uncertainty is None
    known = np.ma.MaskedArray(vtf.data[0, 0].compute(), hidden).reshape(3, 15, 2, 22, 2)
    theirs = np.ma.median(known, axis=(2, 4))  # numpy's own looks at masked pixels too
    seen = ~np.ma.getmaskarray(theirs)
    np.testing.assert_allclose(median.data.compute()[seen], theirs.compressed(), rtol=1e-6)
    ds.uncertainty = UnknownUncertainty(spread)
    with pytest.raises(DatasetError, match="of type 'unknown'"):
        ds.rebin((1, 2, 2))


# Headers ----------------------------------------------------------------------------------------


def test_each_dataset_has_a_header_table_of_its_own(vtf: dv.Dataset) -> None:
    ds = vtf[...]
    before = list(vtf.headers["ATMOS_R0"])  # type: ignore[index]
    ds.headers["ATMOS_R0"][5] = 0.5  # type: ignore[index]
    part = ds[0]
    part.headers["ATMOS_R0"][0] = 0.25  # type: ignore[index]
    part.headers["OWN"] = "text"  # type: ignore[index]
    assert part.headers["ATMOS_R0"][5] == 0.5  # type: ignore[index]
    assert ds.headers["ATMOS_R0"][0] == before[0]  # type: ignore[index]
    assert "OWN" not in ds.headers.colnames  # type: ignore[union-attr]
    assert list(vtf.headers["ATMOS_R0"]) == before  # type: ignore[index]
    twin = copy.copy(ds)
    twin.headers["OWN"], twin.meta["own"], twin.mask = 1, 2, True  # type: ignore[index]
    assert "OWN" not in ds.headers.colnames  # type: ignore[union-attr]
    assert "own" not in ds.meta
    assert ds.mask is None
    ds.meta = {"mine": 1}
    assert ds.headers is ds.meta["headers"]
    assert ds[0].headers["ATMOS_R0"][5] == 0.5  # type: ignore[index]
    assert (ds.meta | {"more": 2})["headers"] is ds.headers
    for reorder in (ds.headers.reverse, lambda: ds.headers.sort("DATE-AVG")):  # type: ignore[union-attr]
        with pytest.raises(DatasetError, match="row n belongs to frame n"):
            reorder()
    own = ds.headers.copy()  # type: ignore[union-attr]
    own.sort("ATMOS_R0")
    assert sorted(own["ATMOS_R0"]) == list(own["ATMOS_R0"])
    with pytest.raises(DatasetError, match="cannot be taken out"):
        del ds.meta["headers"]
    with pytest.raises(DatasetError, match="one row for each of the 24 frames, found 3 rows"):
        ds.meta["headers"] = ds.headers[:3]  # type: ignore[index]
    ds.headers.keep_columns("ATMOS_R0")  # type: ignore[union-attr]
    ds.headers["ATMOS_R0"] = np.zeros(23)  # type: ignore[index]
    for later in (lambda: ds[0], lambda: ds * 2, ds.to_xarray):
        with pytest.raises(DatasetError, match="found 23 rows"):
            later()


def moving_rows() -> Iterator[tuple[str, tuple[Any, ...]]]:
    """Methods of astropy's tables, with arguments by which they move, add or remove rows."""
    twice = Table({"A": [9, 8], "B": [5, 4]})
    tried = [(), ("A",), (0,), (-1,), ([0, 2],), (slice(2),), (0, [7, 7]), ([7, 7],)]
    tried += [({"A": 7, "B": 7},), (0, {"A": 7, "B": 7}), (slice(2), twice), ([1, 0], twice)]
    tried += [(slice(None), 7), (np.array([True, True, False]), twice), (None,)]
    outward = ("show", "read", "write", "to_", "from_", "more", "__init", "__set", "__class")
    setters = ["__setitem__", "__delitem__"]
    for name in [*(name for name in dir(Table) if not name.startswith(("_", *outward))), *setters]:
        for args in tried:
            table = Table({"A": [3, 1, 2], "B": [10, 30, 20]})
            method = getattr(table, name)
            if not callable(method):
                break
            with contextlib.suppress(Exception), contextlib.redirect_stdout(io.StringIO()):
                method(*args)
            changed = [list(table[key]) for key in table.colnames if key in "AB"]
            if len(changed) == 2 and changed[0] != [3, 1, 2] and changed[1] != [10, 30, 20]:
                yield name, args


MOVING = list(moving_rows())


def test_what_moves_rows_was_found() -> None:
    known = "add_row insert_row remove_row remove_rows reverse sort __setitem__ __delitem__"
    assert {name for name, _ in MOVING} >= set(known.split())


@pytest.mark.parametrize("read", [False, True])
def test_rows_of_headers_stay_with_their_frames(vtf: dv.Dataset, read: bool) -> None:
    ds, names = vtf[1], ["ATMOS_R0", "DATE-AVG"]
    before = [list(vtf.headers[key][6:12]) for key in names]  # type: ignore[index]
    if read:
        ds.headers.keep_columns(names)  # type: ignore[union-attr]
    tables: list[Any] = [ds.headers, ds.meta["headers"], pickle.loads(pickle.dumps(ds)).headers]
    said = r"row n belongs to frame n.*\.copy\(\)"
    for table in tables:
        for name, tried in MOVING:
            args = tuple(names[0] if isinstance(each, str) else each for each in tried)
            with pytest.raises(DatasetError, match=said):
                getattr(table, name)(*args)
        assert [list(table[key]) for key in names] == before
        table.add_index("DATE-AVG")
        with pytest.raises(DatasetError, match=said):
            table.loc[before[1][0]] = list(table[1])
        with pytest.raises(DatasetError, match=said):
            table.sort()
        assert [list(table[key]) for key in names] == before
    assert [list(ds[1:].headers[key]) for key in names] == [part[3:] for part in before]  # type: ignore[index]


def test_copies_and_parts_of_headers_are_sorted_as_tables_are(vtf: dv.Dataset) -> None:
    ds = vtf[...]
    dates = list(ds.headers["DATE-AVG"])  # type: ignore[index]
    makers: list[Any] = [
        lambda t: t.copy(), lambda t: t.copy(copy_data=False), copy.copy, copy.deepcopy,
        lambda t: pickle.loads(pickle.dumps(t)), Table, QTable, lambda t: t[:], lambda t: t[::2],
        lambda t: t[np.asarray(t["ATMOS_R0"]) > 0], lambda t: t[[0, 5, 3]],
        lambda t: t["DATE-AVG", "ATMOS_R0"], lambda t: vstack([t, t]), lambda t: hstack([t, t]),
        lambda t: unique(t, "DATE-AVG"), lambda t: t.group_by("ATMOS_R0"), lambda t: t.filled(),
    ]  # fmt: skip
    for read in (False, True):
        for make in makers:
            part = make(ds.headers)
            part.keep_columns([n for n in part.colnames if n.startswith(("DATE-AVG", "ATMOS_R0"))])
            name = next(name for name in part.colnames if name.startswith("DATE-AVG"))
            part.sort(name)
            assert list(part[name]) == sorted(part[name])
            part.reverse()
            part.add_row(part[0])
            part.remove_row(0)
            part[0] = part[1]
            assert part[name][0] == part[name][1]
        assert list(ds.headers["DATE-AVG"]) == dates == list(ds[...].headers["DATE-AVG"])  # type: ignore[index]
        if not read:
            ds.headers.columns  # type: ignore[union-attr]  # noqa: B018  # reads them
    # A table that is given is the user's: what becomes of it later is not the dataset's.
    given = ds.headers.copy()  # type: ignore[union-attr]
    for mine in (given, Table(given)):
        ds.meta["headers"] = mine
        mine.sort("DATE-AVG", reverse=True)
        mine.remove_row(0)
        assert list(ds[...].headers["DATE-AVG"]) == dates  # type: ignore[index]


def test_names_that_are_taken_are_refused(vtf: dv.Dataset) -> None:
    for name in ("time", "mask", "spatial_x"):
        ds = vtf[...]
        ds.mask = True
        ds.headers[name] = 1.0  # type: ignore[index]
        with pytest.raises(DatasetError, match=f"would be called '{name}'"):
            ds.to_xarray(headers=[name])
    ds = vtf[...]
    ds.meta["units"] = "furlong"
    with pytest.raises(DatasetError, match="would be called 'units'"):
        ds.to_xarray()
    ds = vtf[...]
    ds.meta["table"] = {"a": 1}
    with pytest.warns(DKISTVirtualWarning, match=r"meta\['table'\], which is neither"):
        assert "table" not in ds.to_xarray().attrs


# Mosaics ----------------------------------------------------------------------------------------


def made_of(mosaic: dv.TiledDataset, make: Any) -> dv.TiledDataset:
    tiles = np.full(mosaic.shape, None, object)
    for place in np.ndindex(mosaic.shape):
        tiles[place] = make(mosaic[place])
    return dv.TiledDataset(tiles, {})


@pytest.mark.slow
def test_computed_tiles_are_named_by_their_places(mosaic: dv.TiledDataset) -> None:
    makers = {
        "rebinned": lambda tile: tile.rebin((1, 2, 2)),
        "doubled": lambda tile: tile * 2,
        "hand-made": lambda tile: dv.Dataset(tile.data.compute(), tile.wcs, unit=tile.unit),
        "given": lambda tile: tile.with_data(np.ones(tile.shape)),
        "reprojected": lambda tile: tile[0].reproject_to(tile[0].wcs, shape_out=(48, 48)),
    }
    for how, make in makers.items():
        made = made_of(mosaic, make)
        array = made.to_xarray()
        assert set(array.data_vars) == {f"data_{i}_{j}" for i in range(2) for j in range(2)}, how
        for i, j in np.ndindex(made.shape):
            np.testing.assert_array_equal(array[f"data_{i}_{j}"].values, made[i, j].data)
            assert all(str(dim).endswith(f"_{i}_{j}") for dim in array[f"data_{i}_{j}"].dims)
        assert "TiledDataset" in str(made)
    # In other places than in the store they are named by those.
    turned = dv.TiledDataset(np.array([[mosaic[1, 1], mosaic[0, 0]]], object), {})
    array = turned.to_xarray()
    np.testing.assert_array_equal(array["data_0_0"].values, mosaic[1, 1].data)
    assert set(mosaic[1].to_xarray().data_vars) == {"data_1_0", "data_1_1"}
    with pytest.raises(DatasetError, match="is in this mosaic twice"):
        mosaic[[0, 0]].to_xarray()


def test_headers_of_computed_tiles(mosaic: dv.TiledDataset) -> None:
    binned = made_of(mosaic, lambda tile: tile.rebin((1, 2, 2)))
    assert binned.combined_headers is None
    assert binned.meta["headers"] is None
    with pytest.raises(DatasetError, match=r"tile \[0, 0\]: has no headers"):
        binned.tile_of_row  # noqa: B018
    tiles = np.array([mosaic[0, 0] * 2, mosaic[0, 1].rebin((1, 2, 2))], object)
    mixed = dv.TiledDataset(tiles, {})
    with pytest.raises(DatasetError, match=r"tile \[1\]: has no headers"):
        mixed.combined_headers  # noqa: B018
    assert list(mixed[:1].tile_of_row.ravel()) == [0, 0, 0]


def test_combined_headers_hand_columns_on_and_refuse_cells(mosaic: dv.TiledDataset) -> None:
    table = mosaic.combined_headers
    assert table is not None
    table["NEW"] = np.arange(12)
    table["XPOSURE"] = 7.0
    table.rename_column("NEW", "NEWER")
    assert list(mosaic[1, 0].headers["NEWER"]) == [6, 7, 8]
    assert set(mosaic.slice_tiles[0].combined_headers["XPOSURE"]) == {7.0}  # type: ignore[index]
    mosaic[0, 1].headers["ATMOS_R0"][2] = 0.5
    assert mosaic.combined_headers["ATMOS_R0"][5] == 0.5  # type: ignore[index]
    table.remove_column("NEWER")
    assert "NEWER" not in mosaic[1, 0].headers.colnames
    for change in (
        lambda: table["ATMOS_R0"].__setitem__(0, 1.0),
        lambda: table[0].__setitem__("ATMOS_R0", 1.0),
        lambda: table.sort("DATE-AVG"),
        lambda: table.remove_row(0),
        lambda: table.__setitem__(0, table[1]),
        lambda: mosaic.meta.__setitem__("headers", table),
    ):
        with pytest.raises(DatasetError, match="mosaic"):
            change()
    own = table.copy()
    own["ATMOS_R0"][0] = 1.0
    own.sort("DATE-AVG")
    scaled = table["ATMOS_R0"] * 2
    scaled[0] = 1.0
    dates = list(table["DATE-AVG"])
    for part in (table[:5], table[np.arange(5)], mosaic.combined_headers[:5]):  # type: ignore[index]
        part.reverse()
        part.remove_row(0)
        assert list(part["DATE-AVG"]) == dates[3::-1]
    assert list(table["DATE-AVG"]) == dates == list(mosaic.combined_headers["DATE-AVG"])  # type: ignore[index]


def test_parts_of_a_mosaics_mask_are_set(mosaic: dv.TiledDataset) -> None:
    before = mosaic.mask
    mosaic.mask[0, 0] = True
    assert mosaic[0, 0] is np.ma.masked
    assert not before.any()
    mosaic.mask[1][:1] = True
    assert mosaic.mask.tolist() == [[True, False], [True, False]]
    mosaic.mask &= [[False, True], [True, True]]
    assert mosaic.mask.tolist() == [[False, False], [True, False]]
    with pytest.raises(DatasetError, match="hides every tile"):
        mosaic.mask[...] = True
    assert mosaic.mask.sum() == 1
    opposite = ~mosaic.mask
    opposite[...] = True
    assert mosaic.mask.sum() == 1
    held = mosaic.mask
    held |= np.eye(2, dtype=bool)
    assert mosaic.mask.tolist() == [[True, False], [True, True]]
    mosaic.mask.fill(False)
    assert not mosaic.mask.any()
    np.copyto(mosaic.mask, [[False, True], [False, False]])
    np.logical_or(mosaic.mask, [[True, False], [False, False]], out=mosaic.mask)
    assert mosaic.mask.tolist() == [[True, True], [False, False]]
    with pytest.raises(DatasetError, match="hides every tile"):
        mosaic.mask.fill(True)
    assert mosaic.mask.sum() == 2


@pytest.mark.slow
def test_frames_of_one_name_are_not_written_over_each_other(simulated: Any, tmp_path: Path) -> None:
    import shutil

    for name in ("one", "two"):
        shutil.copytree(simulated("visp_plain"), tmp_path / name)
    tiles = np.array([dv.open_dataset(tmp_path / name) for name in ("one", "two")], object)
    both = dv.TiledDataset(tiles, {})
    with pytest.raises(DownloadError, match="two frames of this selection have that name"):
        both.download(tmp_path / "here")
    tiles[0].download(tmp_path / "here")
    assert len(list((tmp_path / "here").iterdir())) == len(tiles[0].files)


# ndcube's sequences -----------------------------------------------------------------------------


def test_sequences_are_indexed_as_cubes(vtf: dv.Dataset, pixels: Any) -> None:
    sequence = NDCubeSequence([vtf[0], vtf[1], vtf[2]], common_axis=0)
    joined = pixels[:3].reshape(6, 3, 30, 44)
    for index in (np.s_[0:2], np.s_[1:5], np.s_[1:4, 2], np.s_[3], np.s_[:, 1, 4:6]):
        got = sequence.index_as_cube[index]
        parts = got.data if isinstance(got, NDCubeSequence) else [got]
        axis = 0 if isinstance(got, NDCubeSequence) else None
        values = [part.data.compute() for part in parts]
        found = values[0] if axis is None else np.concatenate(values)
        np.testing.assert_array_equal(found, joined[index])

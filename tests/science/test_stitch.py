"""Mosaics are stitched: pixels, places, times and what the result keeps."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import asdf
import astropy.units as u
import dask
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from dkist_assets import unpacked
from matplotlib.figure import Figure
from reproject import reproject_interp
from samples import mostly_slow
from suns import LIMB, SCALE, mosaic, scene, tile, tile_wcs

import dkist_virtual as dv
from dkist_virtual.errors import DatasetError


def sky(ds: dv.Dataset) -> tuple[Any, Any]:
    """Tx and Ty of every pixel of an image, arcsec, by its high-level WCS."""
    y, x = np.indices(ds.shape[-2:])
    found = ds.wcs.pixel_to_world(x, y)
    return found.Tx.to_value(u.arcsec), found.Ty.to_value(u.arcsec)


def pixels(ds: dv.Dataset) -> Any:
    return np.asarray(ds.data)


@pytest.fixture(scope="module")
def plain() -> dv.TiledDataset:
    return mosaic(missing=((2, 0),))


@pytest.mark.parametrize(
    "how",
    mostly_slow(
        [
            {},
            {"orientation": "tiles"},
            {"order": "cubic"},
            {"combine": "feather"},
            {"combine": "first"},
        ],
        {},
    ),
)
def test_pixels_are_those_of_the_scene_at_their_coordinates(
    plain: dv.TiledDataset, how: dict[str, Any]
) -> None:
    ds = plain.stitch(**how)
    lon, lat = sky(ds)
    inner = np.ones(ds.shape, bool)
    share = ds.stitching.footprint.compute()
    for one, part in zip(plain.flat, share, strict=True):  # half a pixel at edges is the nearest's
        x, y = one.wcs.world_to_pixel(
            SkyCoord(lon * u.arcsec, lat * u.arcsec, frame=one.wcs.pixel_to_world(0, 0).frame)
        )
        inside = (x >= 0) & (y >= 0) & (x <= 47) & (y <= 43)
        if how.get("combine") != "first":
            assert part[inside].all()
        inner &= ~part | inside
    mask = np.asarray(ds.mask)
    np.testing.assert_array_equal(np.isnan(pixels(ds)), mask)
    np.testing.assert_array_equal(mask, ~share.any(axis=0))
    there = inner & ~mask
    assert 0.85 < there.mean() < 0.9  # one of nine tiles is missing
    away = (pixels(ds) - scene(lon, lat))[there]
    # Interpolation: h^2/8 of the second derivative, about 30 a square arcsecond, times two axes.
    assert np.abs(away).max() < (0.4 if how.get("order") == "cubic" else 1.5)
    assert abs(away.mean()) < 0.02


def test_frame_and_observer_are_those_of_the_middle_tile(plain: dv.TiledDataset) -> None:
    ds = plain.stitch()
    frame = ds.wcs.pixel_to_world(0, 0).frame
    middle = plain[1, 1].wcs.pixel_to_world(0, 0).frame
    assert ds.stitching.middle == (1, 1)
    assert frame.obstime.isot == middle.obstime.isot == "2023-10-16T18:47:12.000"
    assert frame.observer.radius == middle.observer.radius
    # Its coordinates are its own, of another tile too: those of its WCS, whatever their obstime.
    for i, j in ((1, 1), (0, 2)):
        own = plain[i, j].wcs.pixel_to_world(20, 10)
        moved = SkyCoord(own.Tx, own.Ty, frame=frame)
        x, y = ds.wcs.world_to_pixel(moved)
        back = ds.wcs.pixel_to_world(x, y)
        assert abs(back.Tx - own.Tx) < 1e-6 * u.arcsec
        assert abs(back.Ty - own.Ty) < 1e-6 * u.arcsec


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("turn", [0.0, 90.0, 180.0])
def test_west_is_to_the_right_and_north_is_up(mirrored: bool, turn: float) -> None:
    # By hand: 0.5 arcsec a pixel, and the middle of 21 pixels, number 10, at Tx, Ty = 100, -50.
    # A dot at Tx = 103 is 6 pixels to the right, one at Ty = -48 is 4 pixels up.
    wcs = tile_wcs((100.0, -50.0), (21, 21), rotation=turn, mirrored=mirrored)
    data = np.zeros((21, 21))
    frame = dv.Dataset(data, wcs=wcs).wcs.pixel_to_world(0, 0).frame
    dot = SkyCoord(103 * u.arcsec, -48 * u.arcsec, frame=frame)
    x, y = wcs.world_to_pixel(dot)
    data[int(np.rint(y)), int(np.rint(x))] = 1
    one = dv.TiledDataset(np.array([dv.Dataset(data, wcs=wcs)], object))
    for how in ({}, {"resample": "shift"}, {"resample": "shift", "orientation": "north"}):
        ds = one.stitch(**how)
        if turn == 0 or how.get("orientation", "tiles" if how else "north") == "north":
            assert ds.shape == (21, 21)
            assert np.unravel_index(np.nanargmax(pixels(ds)), ds.shape) == (14, 16)
        lon, lat = sky(ds)
        at = np.unravel_index(np.nanargmax(pixels(ds)), ds.shape)
        assert lon[at] == pytest.approx(103, abs=1e-3)
        assert lat[at] == pytest.approx(-48, abs=1e-3)
        assert (np.diff(lon, axis=1) > 0).all()
        assert (np.diff(lat, axis=0) > 0).all()


def test_reproject_makes_the_same_of_one_tile(plain: dv.TiledDataset) -> None:
    ds = plain.stitch()
    for place in ((1, 1), (0, 2)):
        alone = dv.TiledDataset(np.array([plain[place]], object)).stitch()
        # The same frame: coordinates are kept, not transformed.
        wcs = plain[place].wcs.deepcopy()
        target = alone.wcs
        expected, _ = reproject_interp((np.asarray(plain[place].data), wcs), target,
                                       shape_out=alone.shape)  # fmt: skip
        found = pixels(alone)
        both = np.isfinite(expected) & np.isfinite(found)
        assert both.mean() > 0.98
        np.testing.assert_allclose(found[both], expected[both], rtol=1e-6)
    assert ds.shape == (3 * 44 - 24 + 1, 3 * 48 - 24 + 1)


def test_a_part_is_that_of_the_whole(plain: dv.TiledDataset) -> None:
    ds = plain.stitch(combine="feather")
    whole, mask = pixels(ds), np.asarray(ds.mask)
    time = ds.stitching.time.compute()
    for index in (np.s_[20:50, 30:90], np.s_[7, ::3], np.s_[5:100:7, 11]):
        part = pickle.loads(pickle.dumps(ds[index]))
        np.testing.assert_array_equal(pixels(part), whole[index])
        np.testing.assert_array_equal(np.asarray(part.mask), mask[index])
        np.testing.assert_array_equal(part.stitching.time.compute(), time[index])
        np.testing.assert_array_equal(pixels((ds * 2)[index]), 2 * whole[index])
        assert (ds * 2)[index].stitching.shape == part.shape
    with dask.config.set({"array.slicing.split-large-chunks": False}):
        parts = ds.data.rechunk((37, 41)).compute()
    np.testing.assert_array_equal(parts, whole)


@pytest.mark.slow
def test_what_is_known_of_each_pixel(plain: dv.TiledDataset) -> None:
    ds = plain.stitch(combine="first")
    record = ds.stitching
    assert record.tiles == ((0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2), (2, 1), (2, 2))
    share, time = record.footprint.compute(), record.time.compute()
    assert (share.sum(axis=0) == ~np.asarray(ds.mask)).all()  # one each
    start = np.datetime64("2023-10-16T18:47:00")
    for number, part in zip((0, 1, 2, 3, 4, 5, 7, 8), share, strict=True):
        assert set(np.unique(time[part])) == {start + np.timedelta64(3 * number, "s")}
    assert np.isnat(time[np.asarray(ds.mask)]).all()
    # In a mean, that of the tiles.
    blended = plain.stitch()
    both = blended.stitching.footprint.compute()
    only = both[0] & both[1] & (both.sum(axis=0) == 2)
    assert only.any()
    assert set(blended.stitching.time.compute()[only]) == {start + np.timedelta64(1500, "ms")}
    assert ds.lineage.is_computed
    assert "8 tiles 0,0 0,1" in ds.lineage.source
    assert ds.unit == "ct"
    assert ds[:20, :20].stitching.headers == {(0, 0): None}


@pytest.mark.slow
def test_whole_pixels_are_those_of_the_tiles(plain: dv.TiledDataset) -> None:
    straight = mosaic(rotation=0)
    ds = straight.stitch(resample="shift", combine="first")
    assert np.isin(pixels(ds)[~np.asarray(ds.mask)].astype("f8"),
                   np.concatenate([np.ravel(t.data) for t in straight.flat])).all()  # fmt: skip
    assert 0.3 < ds.stitching.moved.max() < 0.75
    assert f"up to {ds.stitching.moved.max():.2f} pixels from their places" in str(ds.stitching)
    assert f"{ds.stitching.moved.max():.2f} pixels" in str(ds)
    with pytest.raises(DatasetError, match=r"pixels from its place.*resample=\"interpolate\""):
        mosaic(rotation=3).stitch(resample="shift", orientation="north")


@pytest.mark.slow
def test_the_limb_needs_no_screen() -> None:
    on = mosaic(around=(LIMB * np.cos(0.5), LIMB * np.sin(0.5)))
    ds = on.stitch()
    lon, lat = sky(ds)
    there = ~np.asarray(ds.mask)
    off = np.hypot(lon, lat) > LIMB + 10
    assert 0.2 < off.mean() < 0.8
    away = (pixels(ds) - scene(lon, lat))[there]
    assert np.percentile(np.abs(away), 99) < 1.0
    assert np.nanmax(pixels(ds)[off]) < 3
    smap = ds.to_map()
    assert smap.data.shape == ds.shape


@pytest.mark.slow
def test_maps_plots_and_files(plain: dv.TiledDataset, tmp_path: Path) -> None:
    ds = plain.stitch()
    smap = ds.to_map()
    x, y = smap.wcs.world_to_pixel(ds.wcs.pixel_to_world([3, 70], [9, 80]))
    np.testing.assert_allclose([x, y], [[3, 70], [9, 80]], atol=1e-3)
    assert smap.scale.axis1 > 0 * u.arcsec / u.pix
    np.testing.assert_array_equal(smap.mask, np.asarray(ds.mask))
    ds.plot(figure=Figure())
    asdf.AsdfFile({"wcs": ds.wcs.low_level_wcs}).write_to(tmp_path / "wcs.asdf")
    with asdf.open(tmp_path / "wcs.asdf") as opened:
        again = opened["wcs"].pixel_to_world_values(3, 9)
    np.testing.assert_array_equal(again, ds.wcs.low_level_wcs.pixel_to_world_values(3, 9))


@pytest.mark.slow
def test_the_real_mosaic(tmp_path: Path) -> None:
    real = dv.open_dataset(unpacked("large_vbi.asdf.gz", tmp_path))
    assert isinstance(real, dv.TiledDataset)
    ds = real.stitch()
    assert ds.shape == (3, 11040, 11023)
    assert ds.stitching.middle == (1, 1)
    middle = real[1, 1].wcs.pixel_to_world(0, 0, 0)[0]
    assert ds.wcs.pixel_to_world(0, 0, 0)[0].frame.is_equivalent_frame(middle.frame)
    lattices = [one.lattice for one in ds.stitching._field.tiles]
    y, x = np.array([0, 4095, 2048]), np.array([0, 100, 4095])
    for place, lattice in zip(ds.stitching.tiles, lattices, strict=True):
        own = real[place].wcs.low_level_wcs.pixel_to_world_values(x, y, [2] * 3)
        row, column = np.moveaxis(lattice.forward(2, y, x), -1, 0)
        found = ds.wcs.low_level_wcs.pixel_to_world_values(column, row, [2] * 3)
        # The same Tx, Ty to a thousandth of a pixel of 0.0105 arcsec.
        away = (np.array(found[:2]) - np.array(own[:2]) + 648000) % 1296000 - 648000
        assert np.abs(away).max() < 1e-5
    # The distance of neighbours in pixels of theirs, which a FITS WCS of them gives too.
    down, right = (lattices[0].forward(0, *step) - lattices[0].forward(0, 0, 0)
                   for step in ((1, 0), (0, 1)))  # fmt: skip
    apart = lattices[1].forward(0, 2047.5, 2047.5) - lattices[0].forward(0, 2047.5, 2047.5)
    np.testing.assert_allclose(
        np.linalg.solve(np.stack([down, right], axis=1), apart), [3402.53, 0.19], atol=0.01
    )
    whole = real.stitch(resample="shift")
    assert 0.3 < whole.stitching.moved.max() < 1


@pytest.mark.parametrize(
    ("given", "error", "said"),
    [
        ({"reduce": 1}, TypeError, "reduce"),
        ({"resample": "nearest"}, ValueError, "'interpolate', 'shift'"),
        ({"combine": "median"}, ValueError, "'mean', 'first', 'feather', 'best'"),
        ({"orientation": "east"}, ValueError, "'north', 'tiles'"),
        ({"order": 2}, ValueError, "'linear', 'cubic'"),
        ({"match": "both"}, ValueError, "'gain', 'offset'"),
        ({"register": 1}, ValueError, "False, True"),
        ({"search": 0}, ValueError, "search=0"),
        ({"combine": "best"}, DatasetError, 'by ATMOS_R0.*write combine="mean"'),
    ],
)
def test_options_are_checked(
    plain: dv.TiledDataset, given: dict[str, Any], error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=said):
        plain.stitch(**given)


def test_what_does_not_fit_is_refused(plain: dv.TiledDataset) -> None:
    def two(**how: Any) -> dv.TiledDataset:
        other = tile((-140.0, 80.0), **how)
        return dv.TiledDataset(np.array([tile((-160.0, 80.0)), other], object))

    cases = []
    wrong = two()
    wrong[1].wcs.wcs.dateobs = "2023-10-18T18:47:00"
    cases.append((wrong, "more than one visit.*mosaic.mask"))
    twice = dv.TiledDataset(np.array([tile((0, 0)), tile((0, 0), seconds=30)], object))
    cases.append((twice, "the same place at two times"))
    units = dv.TiledDataset(np.array([tile((0, 0)), tile((9, 0)) * u.s], object))
    cases.append((units, "expected the same unit, found ct and ct s"))
    spread = two()
    spread[0].psf = np.eye(3)
    cases.append((spread, "point spread function of tile .0. does not follow.*psf = None"))
    line = dv.TiledDataset(np.array([tile((0, 0))[3:4]], object))
    cases.append((line, "not an image of the sky"))
    for one, said in cases:
        with pytest.raises(DatasetError, match=said):
            one.stitch()
    assert SCALE == 0.5


@pytest.mark.parametrize("turn", [20.0, -35.0])
def test_a_grid_turned_as_the_tiles_has_the_pixels_of_the_middle_one(turn: float) -> None:
    one = tile((100.0, -50.0), rotation=turn)
    ds = dv.TiledDataset(np.array([one], object)).stitch(orientation="tiles")
    np.testing.assert_array_equal(pixels(ds), np.asarray(one.data))
    # By hand: 10 pixels of 0.5 arcsec along x, turned from west towards north.
    lon, lat = sky(ds)
    step = lon[20, 30] - lon[20, 20], lat[20, 30] - lat[20, 20]
    expected = 5 * np.cos(np.deg2rad(turn)), 5 * np.sin(np.deg2rad(turn))
    np.testing.assert_allclose(step, expected, atol=1e-4)

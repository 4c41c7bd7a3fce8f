"""Mosaics of frames are stitched lazily: axes, times, headers, and what is read."""

from __future__ import annotations

import pickle
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import asdf
import astropy.units as u
import dask
import dask.array as da
import numpy as np
import pytest
from dkist_assets import unpacked
from suns import mosaic, tile
from watches import opened_frames

import dkist_virtual as dv
from dkist_virtual.cube.world_axes import World
from dkist_virtual.errors import DatasetError, DKISTVirtualWarning
from dkist_virtual.science.stitching.stitch import _is_one_visit

Directories = Callable[[str], Path]


def opened(simulated: Directories, name: str) -> dv.TiledDataset:
    made = dv.open_dataset(simulated(name))
    assert isinstance(made, dv.TiledDataset)
    return made


def test_only_the_frames_of_a_part_are_read(simulated: Directories) -> None:
    tiles = opened(simulated, "vbi_mosaic")
    with opened_frames() as frames:
        ds = tiles.stitch(resample="shift")
        record = ds.stitching
        (y, x) = record._field.tiles[2].lattice.boxes[0][:, 0]
        part = ds[1, y + 3 : y + 9, x : x + 48]
        assert record.shape == ds.shape
        assert part.stitching.time.shape == part.shape
        part.stitching.time.compute()
        mask = np.asarray(part.mask)
        part.wcs.low_level_wcs.pixel_to_world_values(0, 0)
        assert frames == []
        found = np.asarray(part.data)
        assert len(frames) == 1
        # Between the tiles there is nothing to be read.
        assert np.isnan(np.asarray(ds[:, y - 200 : y - 100, x : x + 90].data)).all()
        assert len(frames) == 1
    assert record.tiles[2] == (1, 0)
    np.testing.assert_array_equal(found, np.asarray(tiles[1, 0][1, 3:9].data))
    assert not mask.any()
    (headers,) = part.stitching.headers.values()
    assert headers is not None
    assert list(headers["DATE-AVG"]) == [tiles[1, 0].headers["DATE-AVG"][1]]
    moments = part.stitching.time.compute()
    assert set(moments.ravel()) == {
        np.datetime64(tiles[1, 0][1].global_coords["time"].utc.isot, "ns")
    }


@pytest.mark.slow
def test_spectra_are_carried(simulated: Directories, tmp_path: Path) -> None:
    tiles = opened(simulated, "dlnirsp")
    ds = tiles.stitch(resample="shift", orientation="tiles")
    assert ds.shape[:3] == tiles[0, 0].shape[:3] == (4, 2, 12)
    middle = tiles[ds.stitching.middle]
    world, own = World(ds.wcs, ds.shape), World(middle.wcs, middle.shape)
    for kind in ("wavelength", "stokes", "time"):
        (found,), (expected,) = (w.along([w.of_kind(kind)]) for w in (world, own))
        np.testing.assert_allclose(found, expected, rtol=1e-12)
    assert world.time(0.0).isot == own.time(0.0).isot
    for number, place in enumerate(ds.stitching.tiles):
        one, lattice = tiles[place], ds.stitching._field.tiles[number].lattice
        (top, bottom), (left, right) = lattice.boxes[1]
        part = ds[:, 1, :, top : bottom + 1, left : right + 1]
        np.testing.assert_array_equal(np.asarray(part.data), np.asarray(one[:, 1].data))
        values = World(part.wcs, part.shape).values(0, 5, 3, 4)
        exact = World(one.wcs, one.shape).values(0, 1, 5, 3, 4)
        kinds = [axis.kind for axis in World(part.wcs, part.shape).axes]
        others = [axis.kind for axis in World(one.wcs, one.shape).axes]
        for kind in ("longitude", "latitude"):  # a tenth of a pixel of ten arcseconds, at most
            a, b = values[kinds.index(kind)], exact[others.index(kind)]
            assert abs(a - b) < 10 * np.hypot(*[ds.stitching.moved.max()] * 2) + 1e-3
    # Wavelength and Stokes that an index has dropped are still known.
    line = tiles.slice_tiles[0, 0, 5].stitch()
    assert line.shape == ds.shape[-2:]
    wavelength, stokes = (line.global_coords[name] for name in ("wavelength", "stokes"))
    (expected,) = own.along([own.of_kind("wavelength")])
    assert wavelength.to_value(u.nm) == pytest.approx(expected[5])
    assert str(stokes.symbol) == "I"
    asdf.AsdfFile({"wcs": line.wcs.low_level_wcs}).write_to(tmp_path / "wcs.asdf")
    with asdf.open(tmp_path / "wcs.asdf") as file:
        again = file["wcs"].pixel_to_world_values(3, 9)
    np.testing.assert_array_equal(again, line.wcs.low_level_wcs.pixel_to_world_values(3, 9))
    with pytest.raises(DatasetError, match=r"mosaic.slice_tiles\[0\].*match=\"gain\""):
        tiles.stitch(match="offset")


@pytest.mark.slow
def test_sky_axes_that_are_not_the_last(tmp_path: Path) -> None:
    # A raster: array axes step, wavelength, slit.
    from astropy.wcs import WCS

    tiles = []
    for number in range(2):
        wcs = WCS(naxis=3)
        wcs.wcs.ctype = ["HPLT-TAN", "WAVE", "HPLN-TAN"]
        wcs.wcs.cunit = ["arcsec", "nm", "arcsec"]
        wcs.wcs.crval = [30.0, 630.0, 10.0 + 4 * number]
        wcs.wcs.crpix = [10, 1, 6]
        wcs.wcs.cdelt = [0.25, 0.01, 0.5]
        wcs.wcs.dateobs = f"2023-10-16T18:47:{30 * number:02d}"
        wcs.wcs.aux.hgln_obs, wcs.wcs.aux.hglt_obs, wcs.wcs.aux.dsun_obs = 0.0, 5.8, 1.49e11
        wcs.wcs.set()
        step, wave, slit = np.indices((11, 4, 19))
        lon = 10 + 4 * number + 0.5 * (step - 5)
        tiles.append(dv.Dataset(lon * 100 + wave + (30 + 0.25 * (slit - 9)) * 10.0, wcs=wcs))
    ds = dv.TiledDataset(np.array(tiles, object)).stitch()
    # By hand: 0.5 arcsec a step to the right, 0.25 along the slit upwards; 4 arcsec are 8 steps.
    assert ds.shape == (4, 19, 19)
    wave, y, x = np.indices(ds.shape)
    expected = (10 + 0.5 * (x - 5)) * 100 + wave + (30 + 0.25 * (y - 9)) * 10.0
    np.testing.assert_allclose(np.asarray(ds.data), expected, atol=1e-3)
    sky, wavelength = ds.wcs.pixel_to_world(13, 9, 2)
    assert sky.Tx.to_value(u.arcsec) == pytest.approx(14, abs=1e-5)
    assert sky.Ty.to_value(u.arcsec) == pytest.approx(30, abs=1e-5)
    assert wavelength.to_value(u.nm) == pytest.approx(630.02)


@pytest.mark.slow
def test_the_best_seeing_is_taken(simulated: Directories) -> None:
    tiles = opened(simulated, "vbi_mosaic")
    # Onto the same place, 24 pixels apart.
    step = 24 * 0.016875 * u.arcsec
    first = tiles[0, 0]
    other = first.with_data(np.asarray(tiles[1, 0].data), unit="ct").shift(dx=step)
    first = first.with_data(np.asarray(first.data), unit="ct")
    first.headers["ATMOS_R0"] = [0.10, 0.05, np.nan]
    other.headers["ATMOS_R0"] = [0.07, 0.08, 0.09]
    both = dv.TiledDataset(np.array([first, other], object))
    ds = both.stitch(combine="best", resample="shift")
    share = ds.stitching.footprint.compute()[:, :, :, 24:48]
    assert share[0, 0].all()
    assert share[1, 1].all()
    assert share[1, 2].all()
    found = np.asarray(ds[..., 24:48].data)
    np.testing.assert_array_equal(found[0], np.asarray(first.data)[0, :, 24:])
    np.testing.assert_array_equal(found[1:], np.asarray(other.data)[1:, :, :24])
    with pytest.raises(DatasetError, match="have no such column"):
        both.stitch(combine="best", seeing="NOT_THERE")


@pytest.mark.slow
def test_masks_and_absent_pixels_are_left_out() -> None:
    tiles = mosaic(rotation=0)
    whole = tiles.stitch(resample="shift")
    mask = np.zeros((44, 48), bool)
    mask[5:20, 7:47] = True
    tiles[0, 0].mask = mask
    pixels = np.asarray(tiles[0, 1].data).copy()
    pixels[30, 2] = np.nan
    tiles[0, 1].data = pixels
    ds = tiles.stitch(resample="shift")
    (top, _), (left, _) = ds.stitching._field.tiles[0].lattice.boxes[0]
    part = np.s_[top : top + 44, left : left + 48]
    gone = np.asarray(ds.mask)[part]
    only = ~ds.stitching.footprint[1:].any(axis=0).compute()[part]
    np.testing.assert_array_equal(gone, mask & only)
    assert np.isnan(np.asarray(ds.data)[part][gone]).all()
    alone = np.asarray(whole.stitching.footprint).sum(axis=0) == 1
    assert np.isnan(np.asarray(ds.data))[alone].sum() == (mask & only).sum() + 1


def test_a_shift_of_the_mosaic_is_one_of_the_field() -> None:
    tiles = dv.TiledDataset(np.array([tile((0, 0)), tile((15, 2))], object))
    moved = tiles.shift(3 * u.arcsec, -2 * u.arcsec).stitch()
    before, after = tiles.stitch().wcs.pixel_to_world(4, 7), moved.wcs.pixel_to_world(4, 7)
    assert "corrected by dx +3 arcsec, dy -2 arcsec" in moved.meta["stitched"]
    assert (after.Tx - before.Tx).to_value(u.arcsec) == pytest.approx(3, abs=1e-3)
    assert (after.Ty - before.Ty).to_value(u.arcsec) == pytest.approx(-2, abs=1e-3)
    again = moved.shift(dx=1 * u.arcsec)
    assert (again.wcs.pixel_to_world(4, 7).Tx - after.Tx).to_value(u.arcsec) == pytest.approx(1)
    assert again.stitching is not None


@pytest.mark.slow
def test_it_can_be_saved_and_sent(tmp_path: Path) -> None:
    ds = mosaic(missing=((2, 0),)).stitch()
    with pytest.warns(DKISTVirtualWarning, match="time of each pixel.*left behind"):
        ds.save(tmp_path / "whole.zarr", progress=False)
    again = dv.open_dataset(tmp_path / "whole.zarr")
    np.testing.assert_array_equal(np.asarray(again.data), np.asarray(ds.data))
    np.testing.assert_array_equal(np.asarray(again.mask), np.asarray(ds.mask))
    assert again.meta["stitched"] == ds.meta["stitched"]
    a, b = (one.wcs.pixel_to_world(30, 40) for one in (ds, again))
    assert a.separation(b) < 1e-9 * u.arcsec
    times = ds.with_data(ds.stitching.seconds, unit="s")
    assert float(times.data[50, 60].compute()) == pytest.approx(0)
    sent = pickle.loads(pickle.dumps(ds.data))
    np.testing.assert_array_equal(sent.compute(), np.asarray(ds.data))
    with dask.config.set(scheduler="processes", num_workers=1):
        far = ds.data.rechunk((60, 60)).compute()
    np.testing.assert_array_equal(far, np.asarray(ds.data))


@pytest.mark.slow
def test_memory_is_bounded_by_chunks(tmp_path: Path) -> None:
    real = dv.open_dataset(unpacked("large_vbi.asdf.gz", tmp_path))
    assert isinstance(real, dv.TiledDataset)
    made: list[tuple[int, ...]] = []

    def block(block_info: Any) -> Any:
        place = block_info[None]["array-location"]
        made.append(tuple(first for first, _ in place))
        return np.full([last - first for first, last in place], 7, "f4")

    pixels = da.map_blocks(block, chunks=((1,) * 3, (256,) * 16, (256,) * 16), dtype="f4",
                           meta=np.empty((0,) * 3, "f4"))  # fmt: skip
    tiles = np.empty((3, 3), object)
    for place in np.ndindex(3, 3):
        tiles[place] = real[place].with_data(pixels, unit="ct")
    ds = dv.TiledDataset(tiles).stitch(combine="feather")
    assert ds.shape == (3, 11040, 11023)
    assert max(ds.data.chunks[1]) == max(ds.data.chunks[2]) == 1024
    assert set(ds.data.chunks[0]) == {1}  # one pointing at a time
    made.clear()
    # A small part, in the middle of one tile: what that needs of it.
    assert (np.asarray(ds[1, 5000:5010, 5000:5010].data) == 7).all()
    assert {(1, 1280, 1280), (1, 1536, 1536)} <= set(made)
    assert len(set(made)) == 4
    tracemalloc.start()
    with dask.config.set(scheduler="synchronous"):
        total = float(ds[0, 2000:6000, 2000:6000].data.sum().compute())
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert total == pytest.approx(7 * 4000**2, rel=1e-4)
    assert peak < 250e6  # 64 MB are the pixels alone, and 605 MB those of the tiles


def test_moments_belong_together() -> None:
    def passes(*moments: float) -> Any:
        return np.array([[at, at + 5] for at in moments], float)

    assert _is_one_visit(passes(0, 40, 80), passes(10, 50, 90))  # pass by pass
    assert _is_one_visit(passes(0, 10, 20), passes(60, 70, 80))  # one after the other
    assert not _is_one_visit(passes(0, 40, 80), passes(50, 90, 130))  # by one pass apart


@pytest.mark.slow
def test_the_real_mosaic_with_pixels_of_a_known_sun(tmp_path: Path) -> None:
    real = dv.open_dataset(unpacked("large_vbi.asdf.gz", tmp_path))
    assert isinstance(real, dv.TiledDataset)

    def sun(lon: Any, lat: Any) -> Any:
        """Brightness at Tx and Ty, arcsec, in grains of a third of an arcsecond."""
        waves = [np.cos(20 * (lon * np.cos(a) + lat * np.sin(a)) + 7 * a) for a in range(5)]
        return 100 + 5 * np.sum(waves, axis=0)

    def block(block_info: Any, world: World, dx: float, dy: float) -> Any:
        ends = block_info[None]["array-location"]
        at = np.meshgrid(*[np.arange(first, last) for first, last in ends], indexing="ij")
        values = world.values(*at)
        return sun(values[0] - dx, values[1] - dy).astype("f4")

    # Of the nine, those that meet in a corner: nine take minutes.
    wrong = np.random.default_rng(8).uniform(-0.05, 0.05, (2, 2, 2))  # arcsec: 5 pixels
    wrong[0, 0] = 0
    tiles = np.empty((2, 2), object)
    for place in np.ndindex(2, 2):
        one = real[place]
        pixels = da.map_blocks(
            block, world=World(one.wcs, one.shape), dx=wrong[place][0], dy=wrong[place][1],
            chunks=((1,) * 3, (256,) * 16, (256,) * 16), dtype="f4", meta=np.empty((0,) * 3, "f4"),
        )  # fmt: skip
        tiles[place] = one.with_data(pixels, unit="ct")
    ds = dv.TiledDataset(tiles).stitch(register=True, order="cubic")
    np.testing.assert_allclose(
        ds.stitching.offsets.to_value(u.arcsec), -wrong.reshape(4, 2), atol=0.0005
    )
    assert ds.stitching.middle == (0, 0)
    part = ds[1, 3700:3900, 3650:3900]  # where four tiles meet
    assert part.stitching.footprint.any(axis=(1, 2)).compute().sum() == 4
    y, x = np.indices(part.shape)
    lon, lat = World(part.wcs, part.shape).values(y, x)[:2]
    np.testing.assert_allclose(np.asarray(part.data), sun(lon, lat), atol=0.5)

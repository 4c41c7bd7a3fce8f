"""Follow paths on the sky and regions of it: known scenes, seen through the WCSs of real datasets.

The scene is a function of Tx, Ty and time. Pixels are given its values where the dataset's own WCS
puts them, frame by frame; what is along a path is compared with the scene at the positions that the
result states.
"""

from __future__ import annotations

import pickle
from collections import Counter
from pathlib import Path
from typing import Any

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.nddata import StdDevUncertainty, VarianceUncertainty
from sunpy.coordinates import propagate_with_solar_surface
from suns import scene, tile
from turning_sun import telescope
from watches import counted

import dkist_virtual as dv
from dkist_virtual.cube.world_axes import World
from dkist_virtual.errors import DatasetError, DKISTVirtualWarning, SelectionError
from dkist_virtual.science.paths.lazy_source import bands
from dkist_virtual.science.paths.polyline import Polyline, offsets
from dkist_virtual.science.paths.regions import Circle, Polygon

KM_AN_ARCSEC = 725.27
"""149597870.7 km, an astronomical unit, times an arcsecond, 4.848137e-6."""

CUTS = {
    "large_vbi": (slice(None), slice(800, 1600, 8), slice(1600, 2720, 8)),  # the pointing moves
    "croppable_cryo": (0, slice(None), slice(None), slice(900, 980), slice(700, 790)),  # mirrored
    "croppable_visp": (0, slice(0, 40), slice(100, 103), slice(500, 600)),  # steps and slit
}


@pytest.fixture(scope="module")
def cut(datasets: Any) -> Any:
    """A part of a real dataset, and Tx, Ty of each of its pixels, by its own WCS."""
    known: dict[str, tuple[dv.Dataset, Any, Any]] = {}

    def of(name: str) -> tuple[dv.Dataset, Any, Any]:
        if name not in known:
            ds = datasets(name)[CUTS[name]]
            at = np.indices(ds.shape)[::-1]
            kinds = [axis.kind for axis in World(ds.wcs, ds.shape).axes]
            values = ds.wcs.low_level_wcs.pixel_to_world_values(*at)
            units = ds.wcs.low_level_wcs.world_axis_units
            lon, lat = (
                np.asarray(values[kinds.index(kind)])
                * u.Unit(units[kinds.index(kind)]).to("arcsec")
                for kind in ("longitude", "latitude")
            )
            known[name] = ds, (lon + 648000) % 1296000 - 648000, lat
        return known[name]

    return of


def sky_along(made: dv.Dataset, *at: int) -> tuple[Any, Any]:
    """Tx and Ty of the steps of a path, as the result states them."""
    pixels = [np.arange(made.shape[-1]), *(np.full(made.shape[-1], n) for n in at[::-1])]
    found = made.wcs.pixel_to_world(*pixels)
    sky = next(one for one in found if isinstance(one, SkyCoord))
    return sky.Tx.to_value("arcsec"), sky.Ty.to_value("arcsec")


def distances(made: dv.Dataset) -> Any:
    world = World(made.wcs, made.shape)
    (axis,) = [one for one in world.axes if one.label == "distance along the path"]
    assert axis.unit == "arcsec"
    return world.along([axis])[0]


def seconds_of(made: dv.Dataset) -> Any:
    world = World(made.wcs, made.shape)
    return world.along([world.of_kind("time")])[0]


def frame_of(ds: dv.Dataset) -> Any:
    return World(ds.wcs, ds.shape).frame


# Along a path -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    ["croppable_cryo", *(pytest.param(n, marks=pytest.mark.slow) for n in sorted(CUTS)[1:])],
)
def test_a_plane_scene_is_the_same_along_a_path(cut: Any, name: str) -> None:
    ds, lon, lat = cut(name)
    zero = lon.mean(), lat.mean()
    given = ds.with_data(3 * (lon - zero[0]) + 7 * (lat - zero[1]), unit="ct")
    rows, columns = ds.shape[-3 if name == "croppable_visp" else -2], ds.shape[-1]
    if name == "croppable_visp":
        rows = ds.shape[0]
    made = given.slit([(6, 8), (rows / 2, columns - 12), (rows - 9, 20)], width=2 * u.arcsec / 9)
    carried = made.shape[:-1]
    for at in np.ndindex(carried):
        tx, ty = sky_along(made, *at)
        expected = 3 * (tx - zero[0]) + 7 * (ty - zero[1])
        np.testing.assert_allclose(np.asarray(made[at].data), expected, atol=2e-4)
    assert made.mask is None
    assert made.unit == u.ct
    assert made.lineage.is_computed
    assert made.meta["result"]["samples_across"] > 1
    # Rows of headers where a line is of one frame: not of a raster.
    assert (made.headers is None) == (name == "croppable_visp")
    if made.headers is not None:
        assert list(made.headers["DATE-AVG"]) == list(ds.headers["DATE-AVG"])
        assert list(made[1:].headers["DATE-AVG"]) == list(ds[1:].headers["DATE-AVG"])
        assert list((made[1:] * 2)[..., 3].headers["DATE-AVG"]) == list(ds[1:].headers["DATE-AVG"])
        assert made.rebin((*(1 for _ in carried), made.shape[-1])).headers is None


@pytest.mark.parametrize("name", ["large_vbi", "croppable_cryo"])
def test_the_slope_of_a_moving_blob_is_its_speed(cut: Any, name: str) -> None:
    """10 km/s from the first point to the second is +10, and -10 along the way back."""
    ds, lon, lat = cut(name)
    time = seconds_of(ds)
    time = time - time.min()
    speed = 10 / KM_AN_ARCSEC  # arcsec a second
    shape = np.shape(time) + (1, 1)
    towards = np.array([0.6, -0.8])  # west and south
    start = np.array([lon.mean(), lat.mean()]) - towards * speed * time.max() / 2
    at_x, at_y = (start[k] + towards[k] * speed * time.reshape(shape) for k in (0, 1))
    given = ds.with_data(np.exp(-((lon - at_x) ** 2 + (lat - at_y) ** 2) / (2 * 0.3**2)))
    margin = towards * 1.5
    ends = np.array([start - margin, start + towards * speed * time.max() + margin])
    path = SkyCoord(*ends.T, unit="arcsec", frame=frame_of(ds))
    for points, sign in ((path, 1), (path[::-1], -1)):
        made = given.slit(points, width=0.5 * u.arcsec)
        light = np.asarray(made.data)
        centre = (light * distances(made)).sum(-1) / light.sum(-1)
        slope = np.polyfit(time.ravel(), centre.ravel(), 1)[0]
        assert slope * KM_AN_ARCSEC == pytest.approx(sign * speed * KM_AN_ARCSEC, rel=2e-3)


@pytest.mark.parametrize("mirrored", [False, True])
def test_turned_and_mirrored_detectors_show_the_same(mirrored: bool) -> None:
    """A narrow image, turned by 33 degrees: the scene at the places that are asked for."""
    ds = tile((-160, 80), (60, 90), rotation=33, mirrored=mirrored)
    frame = frame_of(ds)
    points = SkyCoord([-166, -158, -154] * u.arcsec, [82, 79, 85] * u.arcsec, frame=frame)
    made = ds.slit(points, spacing=0.25 * u.arcsec)
    tx, ty = sky_along(made)
    assert (tx[0], ty[0]) == pytest.approx((-166, 82))
    np.testing.assert_allclose(np.asarray(made.data), scene(tx, ty), atol=0.3)
    lengths = points[:-1].separation(points[1:]).arcsec
    assert made.shape == (int(lengths.sum() / 0.25) + 1,)
    np.testing.assert_allclose(distances(made), 0.25 * np.arange(len(tx)), atol=1e-9)
    # The corner is where the first part ends.
    corner = np.hypot(tx + 158, ty - 79).argmin()
    assert distances(made)[corner] == pytest.approx(lengths[0], abs=0.13)


def test_pixels_are_those_of_numpy() -> None:
    ds = tile((-160, 80), (44, 48))
    pixels = np.asarray(ds.data)
    made = ds.slit([(5, 7), (5, 30)], order="nearest")
    np.testing.assert_array_equal(np.asarray(made.data)[:23], pixels[5, 7:30])
    made = ds.slit([(5.5, 7), (5.5, 30)])
    np.testing.assert_allclose(
        np.asarray(made.data)[:23], pixels[5:7, 7:30].mean(axis=0), atol=2e-3
    )
    made = ds.slit([(6, 7), (6, 30)], width=1.5 * u.arcsec, order="nearest")
    np.testing.assert_allclose(
        np.asarray(made.data)[:23], pixels[5:8, 7:30].mean(axis=0), atol=1e-9
    )


def test_masked_absent_and_outside_have_no_value(cut: Any) -> None:
    ds, lon, _ = cut("large_vbi")
    pixels = 100 + lon - lon.mean()
    pixels[1] = np.nan  # as an absent frame is
    given = ds.with_data(pixels)
    mask = np.zeros(ds.shape, bool)
    mask[2, :, 60:70] = True
    points = [(50, 30), (50, 200)]
    for masked in (False, True):
        given.mask = mask if masked else None
        made = given.slit(points)
        got, gone = np.asarray(made.data), np.asarray(made.mask)
        n = 140 - 30  # columns that are left of the field
        assert np.isnan(got[1]).all()
        # The pointing moves, by less than two pixels.
        assert np.isfinite(got[[0, 2], :28]).all()
        assert np.isfinite(got[0, : n - 3]).all()
        assert gone[:, n + 3 :].all()
        assert np.isnan(got[:, n + 3 :]).all()
        assert not gone[:2, : n - 3].any()
        assert gone[2, 32:38].all() == masked
        assert np.isfinite(got[2, 32:38]).all() != masked


def test_standard_deviations_follow(cut: Any) -> None:
    ds = tile((-160, 80), (44, 48))
    ds.uncertainty = VarianceUncertainty(np.full(ds.shape, 4.0))
    made = ds.slit([(6, 7), (6, 30)], width=1.5 * u.arcsec, order="nearest")
    assert isinstance(made.uncertainty, StdDevUncertainty)
    np.testing.assert_allclose(np.asarray(made.uncertainty.array)[:23], 2 / np.sqrt(3))
    cube = cut("large_vbi")[0].with_data(np.ones(cut("large_vbi")[0].shape))
    cube.uncertainty = StdDevUncertainty(np.full(cube.shape, 3.0))
    box = np.zeros(cube.shape[1:], bool)
    box[4:8, 5:10] = True
    mean, total = (cube.light_curve(box, statistic=one) for one in ("mean", "sum"))
    np.testing.assert_allclose(np.asarray(mean.uncertainty.array), 3 / np.sqrt(20))
    np.testing.assert_allclose(np.asarray(total.uncertainty.array), 3 * np.sqrt(20))
    with pytest.raises(DatasetError, match="uncertainty of a median"):
        cube.light_curve(box, statistic="median")


# Turning with the Sun -----------------------------------------------------------------------------


@pytest.mark.slow
def test_a_path_turns_with_the_sun(cut: Any) -> None:
    """Its places are those of sunpy's rotation, as the telescope sees them at each moment."""
    ds, _, _ = cut("large_vbi")
    world = World(ds.wcs, ds.shape)
    times = world.time(seconds_of(ds))
    given = ds.with_data(np.ones(ds.shape))
    made = given.slit([(40, 60), (90, 40)], rotate=True)
    first, last = sky_along(made, 0), sky_along(made, 2)
    assert (last[0] - first[0]).min() > 0  # to the west
    start = SkyCoord(*first, unit="arcsec", frame=telescope(times[0]))
    with propagate_with_solar_surface("howard"):
        there = start.transform_to(telescope(times[2]))
    np.testing.assert_allclose(last, [there.Tx.arcsec, there.Ty.arcsec], atol=0.01)
    # By hand: 13.34 degrees a day, seen from the Earth, of a radius of 964 arcsec, are 9.35 arcsec
    # an hour in the middle of the disk; 12 degrees from the middle, at 8 degrees north, 9.06.
    hours = (times[2] - times[0]).to_value("h")
    assert (last[0] - first[0]).mean() == pytest.approx(9.06 * hours, rel=0.01)
    still = given.slit([(40, 60), (90, 40)])
    np.testing.assert_array_equal(sky_along(still, 2), sky_along(still, 0))
    assert made.meta["result"]["rotation"] == "howard"
    # A region that turns has the pixels that pass below it.
    centre = SkyCoord(first[0][30] * u.arcsec, first[1][30] * u.arcsec, frame=telescope(times[0]))
    moved = ds.with_data(cut("large_vbi")[1]).light_curve((centre, 0.3 * u.arcsec), rotate="rigid")
    west = np.diff(np.asarray(moved.data))
    assert ((west > 0.05) & (west < 0.8)).all()


# Regions ------------------------------------------------------------------------------------------


def test_a_light_curve_is_the_mean_of_the_pixels_in_a_region(cut: Any) -> None:
    """The pixels whose centres are in a box, a circle, a polygon, by the WCS of each frame."""
    ds, lon, lat = cut("large_vbi")
    rng = np.random.default_rng(3)
    pixels = rng.normal(10, 1, ds.shape)
    pixels[0, 40:50, 60:64] = np.nan
    given = ds.with_data(pixels, unit="ct")
    given.mask = rng.random(ds.shape) > 0.9
    known = np.isfinite(pixels) & ~given.mask
    frame = frame_of(ds)
    x, y = lon.mean(), lat.mean()

    def sky(*points: tuple[float, float]) -> SkyCoord:
        return SkyCoord(*(np.array(points).T + [[x], [y]]), unit="arcsec", frame=frame)

    triangle = np.array([(-2.0, -2.1), (2.2, -1.9), (0.3, 2.4)])
    sides = [
        (b[0] - a[0]) * (lat - y - a[1]) - (b[1] - a[1]) * (lon - x - a[0])
        for a, b in zip(triangle, np.roll(triangle, -1, axis=0), strict=True)
    ]
    regions = {
        "box": (sky((-1.01, -2.03), (1.53, 0.97)), (lon - x > -1.01) & (lon - x < 1.53)
                & (lat - y > -2.03) & (lat - y < 0.97)),
        "circle": ((sky((0.5, 0.3))[0], 1.511 * u.arcsec),
                   np.hypot(lon - x - 0.5, lat - y - 0.3) < 1.511),
        "polygon": (sky(*triangle), np.min(sides, axis=0) > 0),
    }  # fmt: skip
    for kind, (region, inside) in regions.items():
        for statistic, function in (("mean", np.mean), ("sum", np.sum), ("median", np.median)):
            made = given.light_curve(region, statistic=statistic)
            expected = [function(of[i & k]) for of, i, k in zip(pixels, inside, known, strict=True)]
            np.testing.assert_allclose(np.asarray(made.data), expected, rtol=1e-12)
            assert made.meta["result"]["pixels"] == inside.sum(axis=(1, 2)).max()
            assert made.meta["result"]["region"] == kind
    assert list(made.headers["DATE-AVG"]) == list(ds.headers["DATE-AVG"])
    np.testing.assert_allclose(seconds_of(made), seconds_of(ds))
    # The same by pixels, of one image or of each.
    by_pixels = given.light_curve(inside)
    np.testing.assert_allclose(
        np.asarray(by_pixels.data), np.asarray(given.light_curve(region).data), rtol=1e-12
    )
    bright = given.light_curve(given > 10 * u.ct)
    expected = [of[k & (of > 10)].mean() for of, k in zip(pixels, known, strict=True)]
    np.testing.assert_allclose(np.asarray(bright.data), expected)


def test_a_region_of_a_raster_has_a_spectrum(cut: Any) -> None:
    ds, lon, _ = cut("croppable_visp")
    given = ds.with_data(np.arange(3.0)[:, None] + 0 * lon)
    frame = frame_of(ds)
    made = given.light_curve((SkyCoord(lon.mean() * u.arcsec, cut("croppable_visp")[2].mean()
                                       * u.arcsec, frame=frame), 1 * u.arcsec))  # fmt: skip
    np.testing.assert_allclose(np.asarray(made.data), [0, 1, 2], atol=1e-12)
    wavelengths = World(made.wcs, made.shape)
    axis = wavelengths.of_kind("wavelength")
    assert axis is not None
    own = World(ds.wcs, ds.shape)
    np.testing.assert_allclose(
        wavelengths.along([axis])[0], own.along([own.of_kind("wavelength")])[0]
    )
    assert made.headers is None


def test_a_region_that_leaves_the_field_is_masked(cut: Any) -> None:
    ds, lon, lat = cut("croppable_cryo")
    given = ds.with_data(np.ones(ds.shape))
    edge = SkyCoord(lon[0, 0, 0, 0] * u.arcsec, lat[0, 0, 0, 0] * u.arcsec, frame=frame_of(ds))
    made = given.light_curve((edge, 0.003 * u.arcsec))  # the pointing moves by more
    assert np.asarray(made.mask).any()
    assert not np.asarray(made.mask).all()
    np.testing.assert_array_equal(np.isnan(np.asarray(made.data)), np.asarray(made.mask))


# Reading ------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_each_frame_is_read_once_and_in_part(converted: Any) -> None:
    ds, reads = counted(converted("vtf"), chunks="frame")
    made = ds.slit([(10, 5), (12, 35)])
    assert not reads
    got = np.asarray(made.data)
    by_file = Counter(name for name, _, _ in reads)
    assert len(by_file) == 24  # all frames
    assert set(by_file.values()) == {2}  # the table of tiles, and tiles
    tiles = [length for _, _, length in reads][1::2]  # of three rows of 30
    assert max(tiles) < 200
    reads.clear()
    everything = np.asarray(ds.data)
    assert min(length for _, _, length in reads) > 29760 + 1500  # whole frames
    reads.clear()
    one = np.asarray(made[0, 1, 2].data)
    assert len({name for name, _, _ in reads}) == 1
    np.testing.assert_array_equal(one, got[0, 1, 2])
    in_memory = ds.with_data(everything)
    np.testing.assert_allclose(
        got, np.asarray(in_memory.slit([(10, 5), (12, 35)]).data), rtol=1e-6, equal_nan=True
    )


def test_windows_cover_each_pixel_once_and_little_more() -> None:
    along = np.arange(4096)
    found = list(bands(along, along, 4))
    assert len(found) == 32  # along the diagonal of a large frame
    assert sum((r.stop - r.start) * (c.stop - c.start) for r, c in found) == 4096 * 128
    assert list(bands(along[:200], along[:200], 4)) == [(slice(0, 200), slice(0, 200))]
    # Of many frames at once, in bands that fit into memory.
    for rows, columns in bands(along, along, 4 * 1000):
        assert (rows.stop - rows.start) * (columns.stop - columns.start) * 4000 <= 2**25


# The result ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "form",
    [
        "x.zarr",
        *(pytest.param(f"x.{end}", marks=pytest.mark.slow) for end in ("nc", "fits", "asdf")),
    ],
)
def test_a_path_saves_and_opens(cut: Any, form: str, tmp_path: Path) -> None:
    ds, lon, _ = cut("large_vbi")
    how: dict[str, Any] = {"pixels": True} if form == "x.asdf" else {}
    for made in (
        ds.with_data(lon, unit="ct").slit([(50, 30), (20, 200)]),
        ds.with_data(lon, unit="ct").light_curve(np.ones(ds.shape[1:], bool)),
    ):
        name = f"{len(made.shape)}{form}"
        made.save(tmp_path / name, progress=False, **how)
        again = dv.open_dataset(tmp_path / name)
        np.testing.assert_array_equal(np.asarray(again.data), np.asarray(made.data))
        at = np.indices(made.shape)[::-1]
        for one, other in zip(
            made.wcs.low_level_wcs.pixel_to_world_values(*at),
            again.wcs.low_level_wcs.pixel_to_world_values(*at), strict=True,
        ):  # fmt: skip
            np.testing.assert_allclose(other, one, rtol=1e-9, atol=1e-9)
        assert again.meta["result"] == made.meta["result"]
        assert again.unit == u.ct
        assert list(again.headers["DATE-AVG"]) == list(made.headers["DATE-AVG"])
        if made.mask is not None:
            np.testing.assert_array_equal(np.asarray(again.mask), np.asarray(made.mask))


def test_a_path_pickles_and_inverts(cut: Any) -> None:
    ds, lon, _ = cut("large_vbi")
    made = ds.with_data(lon).slit([(50, 30), (20, 90)])
    again = pickle.loads(pickle.dumps(made))
    np.testing.assert_array_equal(np.asarray(again.data), np.asarray(made.data))
    values = made.wcs.low_level_wcs.pixel_to_world_values(17, 1)
    assert made.wcs.low_level_wcs.world_to_pixel_values(*values) == pytest.approx((17, 1), abs=0.01)
    part = np.asarray(made[1:, 4:20:3].data)
    np.testing.assert_array_equal(part, np.asarray(made.data)[1:, 4:20:3])


def test_a_diagram_has_distance_upwards_and_time_to_the_right(cut: Any) -> None:
    from matplotlib.figure import Figure

    ds, lon, _ = cut("large_vbi")
    plot = ds.with_data(lon).slit([(50, 30), (20, 90)]).plot(figure=Figure())
    assert plot.axes.get_ylabel() == "distance along the path [arcsec]"
    assert plot.axes.get_xlabel().startswith("time [UTC]")
    ds, lon, _ = cut("croppable_visp")
    plot = ds.with_data(lon).slit([(5, 30), (20, 90)]).plot(figure=Figure())
    assert plot.axes.get_ylabel() == "distance along the path [arcsec]"
    assert plot.axes.get_xlabel() == "wavelength [nm]"


# Refused ------------------------------------------------------------------------------------------


def test_what_is_not_understood_is_refused(cut: Any) -> None:
    ds, _, _ = cut("large_vbi")
    ends = [(50, 30), (20, 90)]
    for call, said in {
        "order='cubic'": r"order='cubic': expected one of 'linear', 'nearest'",
        "width=3": r"width=3: expected one angle",
        "width=-1 * u.arcsec": r"larger than zero",
        "spacing=1 * u.nm": r"spacing=.*expected one angle",
        "rotate='solid'": r"rotate='solid'.*'howard'",
        "screen='flat'": r"screen='flat'",
        "spacing=90 * u.arcsec": r"one step, 90 arcsec, at least",
    }.items():
        with pytest.raises((DatasetError, SelectionError), match=said):
            eval(f"ds.slit(ends, {call})", {"ds": ds, "ends": ends, "u": u})
    for points in ([(1, 2)], [1, 2, 3], "path", [(1, np.nan), (2, 3)]):
        with pytest.raises(DatasetError, match="row and column"):
            ds.slit(points)
    with pytest.raises(SelectionError, match="outside of the field at all times"):
        ds.slit([(5000, 30), (5000, 90)])
    with pytest.raises(SelectionError, match="has no image of the sky"):
        ds[0, 3].slit(ends)
    with pytest.raises(SelectionError, match="is one image"):
        ds[0].light_curve(np.ones(ds.shape[1:], bool))
    with pytest.raises(DatasetError, match="of shape \\(3, 4\\)"):
        ds.light_curve(np.ones((3, 4), bool))
    with pytest.raises(DatasetError, match="two corners of a box"):
        ds.light_curve("spot")
    with pytest.raises(DatasetError, match="statistic='mode'"):
        ds.light_curve(np.ones(ds.shape[1:], bool), statistic="mode")
    with pytest.raises(DatasetError, match="do not turn"):
        ds.light_curve(np.ones(ds.shape[1:], bool), rotate=True)
    with pytest.raises(SelectionError, match="has no pixel of any image"):
        ds.light_curve((SkyCoord(0 * u.arcsec, 0 * u.arcsec, frame=frame_of(ds)), 1 * u.arcsec))


def test_tiles_are_to_be_stitched_first() -> None:
    tiles = np.array([tile((-160, 80)), tile((-140, 80))], object).reshape(2, 1)
    mosaic = dv.TiledDataset(tiles)
    with pytest.raises(DatasetError, match=r"Stitch first, as in mosaic.stitch\(\).slit"):
        mosaic.slit([(1, 2), (3, 4)])
    with pytest.raises(DatasetError, match=r"Stitch first, as in mosaic.stitch\(\).light_curve"):
        mosaic.light_curve(np.ones((44, 48), bool))
    frame = frame_of(tiles[0, 0])
    whole = mosaic.stitch()
    points = SkyCoord([-168, -132] * u.arcsec, [79, 82] * u.arcsec, frame=frame)
    made = whole.slit(points)
    tx, ty = sky_along(made)
    np.testing.assert_allclose(np.asarray(made.data), scene(tx, ty), atol=1.2)


def test_coordinates_of_pixels_are_left_behind_with_a_warning() -> None:
    ds = tile((-160, 80))
    ds.extra_coords.add("row", (0,), np.arange(44) * u.mm)
    with pytest.warns(DKISTVirtualWarning, match="the extra coordinates row"):
        ds.slit([(1, 2), (30, 40)])


# The numbers alone --------------------------------------------------------------------------------


def test_a_polyline_has_equal_steps_and_samples_across_it() -> None:
    path = Polyline.of(np.array([[0.0, 0.0], [30.0, 0.0], [30.0, 40.0]]), 10.0)
    assert path.length == pytest.approx(70)
    places = path.samples(np.array([0.0]))[:, 0]
    np.testing.assert_allclose(
        places, [[0, 0], [10, 0], [20, 0], [30, 0], [30, 10], [30, 20], [30, 30], [30, 40]],
        atol=1e-6,
    )  # fmt: skip
    across = path.samples(np.array([-1.0, 1.0]))
    np.testing.assert_allclose(across[1], [[10, -1], [10, 1]], atol=1e-6)
    np.testing.assert_allclose(offsets(3.0, 1.0), [-1, 0, 1])
    np.testing.assert_allclose(offsets(0.0, 1.0), [0])


def test_regions_contain_what_they_should() -> None:
    y, x = np.mgrid[0:9, 0:9]
    places = np.stack([y, x], axis=-1).astype(float)
    shape_l = np.array([[0.5, 0.5], [6.5, 0.5], [6.5, 3.5], [3.5, 3.5], [3.5, 7.5], [0.5, 7.5]])
    expected = (y >= 1) & (y <= 6) & (x >= 1) & (x <= 3) | (y >= 1) & (y <= 3) & (x >= 1) & (x <= 7)
    polygon = Polygon(shape_l[None])
    np.testing.assert_array_equal(polygon.contains(shape_l, places), expected)
    centre = np.array([[4.0, 4.0]])
    circle = Circle(centre[None], 2.5, 206265.0)
    np.testing.assert_array_equal(circle.contains(centre, places), np.hypot(y - 4, x - 4) <= 2.5)

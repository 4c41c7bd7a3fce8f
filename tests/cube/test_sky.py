"""Compare longitude and latitude in maps, plots and xarray with the WCS's own SkyCoord."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import astropy.units as u
import matplotlib.pyplot as plt
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.wcs import WCS as FITSWCS
from astropy.wcs.wcsapi import HighLevelWCSWrapper
from dkist_assets import DATASETS, FEW, ROOT, unpacked
from samples import mostly_slow
from simulated import NAMES, QUICK
from skies import KINDS, OBSERVER, SEEN, WHEN, dataset, sky_of, turned
from sunpy.coordinates import (
    HeliographicStonyhurst,
    Helioprojective,
    PlanarScreen,
    SphericalScreen,
)
from sunpy.util.exceptions import SunpyUserWarning

import dkist_virtual as dv
from dkist_virtual.cube.world_axes import World
from dkist_virtual.errors import OutsideError, SelectionError
from dkist_virtual.plot.sky_grid import PlaneWCS

CUTS: dict[str, Any] = {
    "whole": np.s_[:, :, :],
    "a cut with steps": np.s_[1:6:2, :, ::3],
    "one wavelength": np.s_[:, 1, :],
    "one raster step": np.s_[3, :, :],
    "one place of the slit": np.s_[:, :, 4],
    "a raster step, one pixel long": np.s_[2:3, :, :],
}


@pytest.fixture(autouse=True)
def _closed() -> Any:
    yield
    plt.close("all")


def cut_of(kind: str, name: str) -> tuple[Any, SkyCoord]:
    """A cut of a dataset, and the positions of its pixels by the WCS of the whole."""
    whole, index = dataset(kind), CUTS[name]
    if len(whole.shape) == 2:
        index = index[::2]
    return whole[index], sky_of(whole, *np.indices(whole.shape))[index]


def same_sky(ours: SkyCoord, theirs: SkyCoord, within: float = 1e-6) -> bool:
    return bool(np.all(ours.separation(theirs).arcsec < within))


# Whatever the WCS --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", mostly_slow(CUTS, "a cut with steps", "one raster step"))
@pytest.mark.parametrize("kind", mostly_slow(KINDS, every=3))
def test_a_pixels_position_selects_it(kind: str, name: str) -> None:
    ds, everywhere = cut_of(kind, name)
    rng = np.random.default_rng(3)
    for _ in range(3):
        pixel = tuple(int(rng.integers(n)) for n in ds.shape)
        sky, value = everywhere[pixel], np.asarray(ds.data)[pixel]
        same = np.asarray(ds.data)[everywhere.separation(sky).arcsec < 1e-5]
        cropped = np.asarray(ds.crop(sky, keepdims=True).data)
        np.testing.assert_array_equal(np.sort(cropped.ravel()), np.sort(same))
        nearest = np.asarray(ds.at(sky=sky).data)
        assert set(nearest.ravel()) <= set(same)
        assert value in nearest or kind == "a constant longitude"


@pytest.mark.parametrize("kind", mostly_slow(KINDS, every=3))
def test_positions_span_what_lies_between_them(kind: str) -> None:
    ds = dataset(kind)
    one, other = (sky_of(ds, *(end if n == 7 or n == 9 else 0 for n in ds.shape)) for end in (1, 5))
    everywhere = sky_of(ds, *np.indices(ds.shape))
    middle = everywhere[(3,) + (0,) * (len(ds.shape) - 2) + (4,)].spherical.lon
    lon, lat = everywhere.spherical.lon.wrap_at(middle + 180 * u.deg), everywhere.spherical.lat
    ends = [end.spherical.lon.wrap_at(middle + 180 * u.deg) for end in (one, other)]
    slack = 1e-6 * u.arcsec
    within = (lon >= min(ends) - slack) & (lon <= max(ends) + slack)
    ends = [one.spherical.lat, other.spherical.lat]
    within &= (lat >= min(ends) - slack) & (lat <= max(ends) + slack)
    box = tuple(slice(int(on.min()), int(on.max()) + 1) for on in np.nonzero(within))
    np.testing.assert_array_equal(ds.crop(one, other, keepdims=True).data, ds.data[box])


@pytest.mark.parametrize("name", mostly_slow(CUTS, "a cut with steps", "one raster step"))
@pytest.mark.parametrize("kind", mostly_slow(KINDS, every=3))
def test_xarray_holds_the_skycoords_numbers(kind: str, name: str) -> None:
    ds, sky = cut_of(kind, name)
    array = ds.to_xarray()
    for name, angle in (("longitude", sky.spherical.lon), ("latitude", sky.spherical.lat)):
        coordinate = array[name]
        ours = coordinate.broadcast_like(array).transpose(*array.dims).values
        theirs = angle.to_value(coordinate.attrs["units"])
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-12 * (360 * u.deg).to_value(
            coordinate.attrs["units"]))  # fmt: skip
        assert name in coordinate.attrs["long_name"]
        assert coordinate.attrs["frame"] == sky.frame.name


@pytest.mark.parametrize("kind", mostly_slow(KINDS, every=3))
def test_plots_have_longitude_and_latitude_where_they_are(kind: str) -> None:
    ds = dataset(kind)
    plane = ds[:, 1] if len(ds.shape) == 3 else ds
    drawn = plane.plot()
    if kind == "a constant longitude":  # no plane of the sky: the slit over time
        assert not hasattr(drawn.axes, "coords")
        return
    wcs = drawn.axes.wcs
    assert isinstance(wcs, PlaneWCS)
    y, x = np.indices((plane.shape[drawn.shown.y], plane.shape[drawn.shown.x]))
    pixels = [None, None]
    pixels[drawn.shown.x], pixels[drawn.shown.y] = x, y
    theirs = sky_of(plane, *pixels)
    assert same_sky(HighLevelWCSWrapper(wcs).pixel_to_world(x, y), theirs)
    np.testing.assert_allclose(
        HighLevelWCSWrapper(wcs).world_to_pixel(theirs), [x, y], rtol=0, atol=1e-6
    )
    kinds = [coordinate.coord_type for coordinate in drawn.axes.coords]
    labels = [coordinate.get_axislabel() for coordinate in drawn.axes.coords]
    assert kinds == ["longitude", "latitude"]
    assert [kinds[n] in label for n, label in enumerate(labels)] == [True, True]
    # What the slider says, and a line along the slit.
    line = plane[2].plot()
    assert np.isfinite(line.lines[0].get_ydata()).all()
    x_now = np.asarray(line.lines[0].get_xdata(), float)
    assert np.abs(np.diff(x_now)).max() < 1  # no jump by a turn


MAPPED = [kind for kind in KINDS if not re.search("equatorial|Stonyhurst|constant", kind)]


@pytest.mark.parametrize("kind", MAPPED)
def test_maps_lie_where_the_wcs_says(kind: str) -> None:
    ds = dataset(kind)
    plane = ds[:, 1] if len(ds.shape) == 3 else ds
    smap = plane.to_map()
    y, x = np.indices(smap.data.shape)
    by_value = {value: at for at, value in np.ndenumerate(np.asarray(plane.data))}
    places = np.array([by_value[value] for value in smap.data.ravel()]).T
    theirs = sky_of(plane, *places)
    ours = smap.wcs.pixel_to_world(x.ravel(), y.ravel())
    apart = np.hypot(
        (ours.spherical.lon - theirs.spherical.lon).wrap_at(180 * u.deg).arcsec,
        (ours.spherical.lat - theirs.spherical.lat).arcsec,
    )
    step = np.hypot(*(float(smap.scale[n].to_value(u.arcsec / u.pix)) for n in (0, 1)))
    assert apart.max() < 0.25 * step


def test_a_header_with_more_axes_in_its_wcs_than_in_its_image() -> None:
    wcs = KINDS["header, latitude first"]()
    wcs.pixel_shape = (9, 7, 3)
    wcs._naxis = [9, 7]  # as astropy reads NAXIS = 2 and WCSAXES = 3
    world = World(wcs, (7, 3, 9))
    assert [axis.kind for axis in world.axes] == ["latitude", "wavelength", "longitude"]
    assert wcs._naxis == [9, 7]


def test_a_line_of_the_sky_is_no_map() -> None:
    with pytest.raises(SelectionError, match="lie on a line"):
        dataset("a constant longitude")[:, 1].to_map()


@pytest.mark.parametrize("kind", ["as early ViSP", "Carrington at 0", "degrees and arcsec"])
def test_tiles_of_a_mosaic_are_drawn_beside_each_other(kind: str) -> None:
    ds = dataset(kind)
    tiles = np.empty((1, 2), object)
    tiles[0, 0], tiles[0, 1] = ds[:3, 1], ds[3:, 1]
    mosaic = dv.TiledDataset(tiles, {})
    drawn = mosaic.plot()
    x, y = (np.array(ends) for ends in (drawn.axes.get_xlim(), drawn.axes.get_ylim()))
    sky = sky_of(ds[:, 1], *np.indices((7, 9)))
    unit = re.search(r"\[(\w+)\]", drawn.axes.get_xlabel())
    assert unit is not None
    lat = sky.spherical.lat.to_value(unit[1])
    lon = sky.spherical.lon
    lon = lon.wrap_at(u.Quantity(x.mean(), unit[1]) + 180 * u.deg).to_value(unit[1])
    for ends, of in ((x, lon), (y, lat)):
        inside = (of - ends[0]) / (ends[1] - ends[0])
        assert inside.min() > 0
        assert inside.max() < 1
        assert np.ptp(inside) > 0.7
    if kind == "Carrington at 0":
        drawn.figure.canvas.draw()
        said = [float(label.get_text()) for label in drawn.axes.get_xticklabels()]
        assert max(said) < 360
        assert min(said) < 1
    assert "longitude" in drawn.axes.get_xlabel()
    assert "latitude" in drawn.axes.get_ylabel()


# Datasets of the Data Center ---------------------------------------------------------------------


def tile_of(path: Path) -> Any:
    ds = dv.open_dataset(path)
    return ds.flat[-1] if isinstance(ds, dv.TiledDataset) else ds


def check(ds: Any, rng: np.random.Generator, n: int) -> None:
    """Random pixels: at, crop and to_xarray."""
    for _ in range(n):
        pixel = tuple(int(rng.integers(n)) for n in ds.shape)
        sky = sky_of(ds, *pixel)
        array = ds[tuple(slice(p, p + 1) for p in pixel)].to_xarray([])
        for selected in (ds.at(sky=sky), ds.crop(sky, keepdims=True)):
            axes = selected.provenance.cut.axes
            held = [axis if isinstance(axis, int) else axis[0] for axis in axes]
            # What is left whole does not move the position, and repeats may have the same one.
            assert same_sky(sky_of(ds, *held), sky, 2e-6)
            if same_sky(sky_of(ds, *held[:-1], pixel[-1]), sky) is False:
                assert held[-1] == pixel[-1]
        for name, angle in (("longitude", sky.spherical.lon), ("latitude", sky.spherical.lat)):
            coordinate = array[name + str(array.name).removeprefix("data")]
            expected = angle.to_value(coordinate.attrs["units"])
            assert float(coordinate.squeeze()) == pytest.approx(expected, abs=1e-7)


@pytest.mark.parametrize(
    "name",
    mostly_slow([name for name in DATASETS if name != "visp_no_headers.asdf.gz"], *FEW),
)
def test_every_dataset_of_the_dkist_package(name: str, tmp_path_factory: Any) -> None:
    place = tmp_path_factory.getbasetemp() / "sky"
    place.mkdir(exist_ok=True)
    ds = tile_of(ROOT / name if "/" in name else unpacked(name, place))
    check(ds, np.random.default_rng(5), 2)


@pytest.mark.parametrize("name", mostly_slow(NAMES, *QUICK))
def test_every_instrument(name: str, datasets: Any) -> None:
    check(datasets(name), np.random.default_rng(7), 4)


def test_repeats_whose_pointing_differs_by_less_than_a_pixel(datasets: Any) -> None:
    """Those of 16 million pixels, of which only some are looked at first."""
    ds = datasets("large_vbi")
    rng = np.random.default_rng(11)
    for _ in range(4):
        pixel = tuple(int(rng.integers(n)) for n in ds.shape)
        selected = ds.at(sky=sky_of(ds, *pixel))
        assert selected.shape == (1, 1, 1)
        assert tuple(axis[0] for axis in selected.provenance.cut.axes) == pixel


def test_the_overview_says_which_axis_is_longitude(tmp_path: Path) -> None:
    ds = dv.open_dataset(unpacked("test_old_wcs_BRMQY.asdf", tmp_path))
    assert json.loads(json.dumps(ds.overview().as_json()))["sky_axes"] == {
        "longitude": 2 - 2, "latitude": 2,
    }  # fmt: skip
    said = "World axis 0 is the longitude and 2 is the latitude"
    assert said in ds.overview().text()
    assert said in ds._repr_html_()
    other = dv.open_dataset(unpacked("croppable_visp.asdf.gz", tmp_path))
    assert "is the longitude" not in other.overview().text()


@pytest.mark.filterwarnings("ignore::astropy.wcs.FITSFixedWarning")
def test_verify_says_how_far_the_skycoord_is_from_the_headers(tmp_path: Path) -> None:
    """Of `small_visp` the header has latitude along the slit, the ASDF's SkyCoord longitude."""
    shutil.copytree(ROOT / "small_visp", tmp_path / "data")
    dv.convert(tmp_path / "data", tmp_path / "store")
    ds = dv.open_dataset(tmp_path / "store")
    report = dv.verify(tmp_path / "store")
    for n, name in enumerate(ds.files.names):
        header = fits.getheader(tmp_path / "data" / name)
        y, x = (part.ravel() for part in np.meshgrid([0, 5, 9], [0, 12, 24], indexing="ij"))
        values = FITSWCS(header).wcs_pix2world(np.stack([x, y, 0 * x], axis=1), 0)
        by_type = {header[f"CTYPE{k}"][:4]: values[:, k - 1] * u.deg for k in (1, 2, 3)}
        stated = SkyCoord(by_type["HPLN"], by_type["HPLT"])
        ours = sky_of(ds, np.full(9, n), y, x)
        apart = SkyCoord(ours.Tx, ours.Ty).separation(stated).arcsec.max()
        assert report.wcs[f"data/{n}.0.0"] == pytest.approx(apart, abs=1e-6)


# Positions seen from elsewhere -------------------------------------------------------------------


LATER = Helioprojective(obstime=WHEN + 1 * u.hour, observer="earth")


def disk_and_limb() -> list[Any]:
    shape = (7, 3, 9)
    return [
        dv.Dataset(np.arange(189.0).reshape(shape), turned(lon=lon, lat=lat))
        for lon, lat in ((-2, -68), (1000, 300))
    ]


@pytest.mark.parametrize("which", [0, 1])
@pytest.mark.parametrize(
    "frame",
    [
        "helioprojective",
        Helioprojective(obstime=WHEN),
        Helioprojective(obstime=WHEN + 20 * u.min),
        Helioprojective(observer=OBSERVER),
        Helioprojective(obstime=WHEN, observer=OBSERVER),
    ],
)
def test_who_says_no_observer_looks_through_the_telescope(which: int, frame: Any) -> None:
    ds = disk_and_limb()[which]
    sky = sky_of(ds, 3, 1, 4)
    given = SkyCoord(sky.Tx, sky.Ty, frame=frame)
    assert np.asarray(ds.at(sky=given).data).tolist() == ds.data[3, :, 4].tolist()
    assert ds.crop(given).shape == (3,)


def test_without_an_observer_on_another_day() -> None:
    ds = disk_and_limb()[0]
    given = SkyCoord(0 * u.arcsec, 0 * u.arcsec, frame=Helioprojective(obstime=WHEN + 3 * u.day))
    with pytest.raises(SelectionError, match=r"has no observer.*observer='earth'"):
        ds.at(sky=given)


def test_other_frames_and_frames_themselves() -> None:
    ds = disk_and_limb()[0]
    sky = sky_of(ds, 3, 1, 4)
    surface = sky.transform_to(HeliographicStonyhurst(obstime=WHEN))
    for given in (
        surface,
        SkyCoord(surface.lon, surface.lat, frame="heliographic_stonyhurst"),
        sky.transform_to(LATER),
        SEEN.realize_frame(sky.data),
    ):
        assert np.asarray(ds.at(sky=given).data).tolist() == ds.data[3, :, 4].tolist()


def test_off_the_disk_at_another_time_needs_a_screen() -> None:
    ds = disk_and_limb()[1]
    sky = sky_of(ds, 3, 1, 4)
    with pytest.warns(SunpyUserWarning, match="off-disk"):
        lost = sky.transform_to(LATER)
    for given in (SkyCoord(sky.Tx, sky.Ty, frame=LATER), lost):
        for select in (ds.crop, lambda one: ds.at(sky=one)):
            with pytest.raises(SelectionError, match=r"not finite.*SphericalScreen.*PlanarScreen"):
                select(given)
    for screen in (SphericalScreen, PlanarScreen):
        with screen(OBSERVER, only_off_disk=True):
            seen_later = sky.transform_to(LATER)
            assert ds.at(sky=seen_later).data.tolist() == ds.data[3, :, 4].tolist()


def test_a_coordinate_that_an_index_holds_has_to_be_the_one_asked_for() -> None:
    ds = dataset("each along its own axis")
    sky = sky_of(ds, 3, 1, 4)
    assert ds[3].at(sky=sky).data.tolist() == ds.data[3, :, 4].tolist()
    with pytest.raises(OutsideError, match=r"longitude is -9\.58 arcsec everywhere here"):
        ds[2].crop(sky)
    with pytest.raises(SelectionError, match="no axis of longitude"):
        ds[3, :, 4].crop(sky)

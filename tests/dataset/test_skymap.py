"""Compare maps with sunpy's and astropy's reading of the FITS files, and with the data's WCS."""

from __future__ import annotations

import re
import warnings
from pathlib import Path
from typing import Any

import astropy.units as u
import numpy as np
import pytest
import sunpy.map
from astropy.coordinates import ITRS, SkyCoord, SpectralCoord
from astropy.io import fits
from astropy.time import Time
from astropy.wcs import WCS, FITSFixedWarning
from dkist_assets import ROOT, load, unpacked
from samples import mostly_slow
from sunpy.util.exceptions import SunpyMetadataWarning

import dkist_virtual as dv
from dkist_virtual.errors import FrameMissingError, SelectionError

# Real datasets are here without their frames, whose pixels are not what is looked at.
pytestmark = pytest.mark.filterwarnings(
    "ignore:.* absent. every pixel is NaN:dkist_virtual.errors.MissingFramesWarning"
)

# Spatial selections of every instrument: whole frames, cuts, steps, rasters.
SELECTIONS = {
    "vtf": (np.s_[2, 1, 2], np.s_[0, 0, 0, 3:20:2, 5:], np.s_[3, 0, 1, ::4, ::3]),
    "vbi_mosaic": (np.s_[1], np.s_[2, 10:, ::5]),
    "vbi_mosaic_missing": (np.s_[0], np.s_[1, 3::7, :9]),
    "dlnirsp": (np.s_[0, 1, 3], np.s_[3, 0, 5, ::2, 4:]),
    "visp": (np.s_[0, :, 3], np.s_[1, ::2, 7], np.s_[0, 1:, 0, 5::3]),
    "visp_plain": (np.s_[3, :, 39, 10:20],),
    "cryonirsp": (np.s_[0, 1, :, :, 20], np.s_[2, 0, 1:, ::6, 0]),
}
CASES = [(name, index) for name, indices in SELECTIONS.items() for index in indices]


@pytest.fixture(scope="module")
def assets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("assets")


@pytest.fixture(scope="module")
def tiles(simulated: Any) -> Any:
    opened: dict[str, list[Any]] = {}

    def of(name: str) -> list[Any]:
        if name not in opened:
            ds = dv.open_dataset(simulated(name))
            opened[name] = ds.flat if isinstance(ds, dv.TiledDataset) else [ds]
        return opened[name]

    return of


def real(name: str, assets: Path, ending: str = ".asdf.gz") -> Any:
    """A dataset of the Data Center's, without its frames; the first tile of a mosaic."""
    ds = dv.open_dataset(unpacked(f"{name}{ending}", assets), missing="nan")
    return ds.flat[0] if isinstance(ds, dv.TiledDataset) else ds


def sky_of(ds: Any) -> tuple[Any, Any]:
    """Longitude and latitude of every pixel by the dataset's own WCS, arcsec."""
    world = ds.wcs.pixel_to_world(*np.indices(ds.shape)[::-1])
    (sky,) = (one for one in (world if isinstance(world, list) else [world]) if hasattr(one, "Tx"))
    return sky.Tx.to_value(u.arcsec), sky.Ty.to_value(u.arcsec)


def pixels_off(smap: Any, ds: Any) -> Any:
    """How far from its place each pixel of the data is by the map's WCS, pixels."""
    rows, columns = np.indices(ds.shape)
    tx, ty = sky_of(ds)
    x, y = smap.wcs.world_to_pixel(
        SkyCoord(tx * u.arcsec, ty * u.arcsec, frame=smap.coordinate_frame)
    )
    if smap.data.shape != ds.shape:
        x, y = y, x
    return np.hypot(x - columns, y - rows)


@pytest.mark.parametrize(("name", "index"), mostly_slow(CASES, every=9))
def test_each_pixel_lies_where_the_dataset_says(name: str, index: Any, tiles: Any) -> None:
    for tile in tiles(name):
        ds = tile[index]
        smap = ds.to_map()
        assert isinstance(smap, sunpy.map.GenericMap)
        assert isinstance(smap.data, np.ndarray)
        data = ds.data.compute()
        if "position" in ds.to_xarray().dims[0] or "step" in ds.to_xarray().dims[0]:
            data = data.T  # a raster: its steps lie along x
        assert np.array_equal(smap.data, data, equal_nan=True)
        assert pixels_off(smap, ds).max() < 1e-4
        tx, ty = sky_of(ds)
        there = smap.wcs.pixel_to_world(*(np.indices(smap.data.shape)[::-1]))
        tx, ty = (tx.T, ty.T) if data.shape != ds.shape else (tx, ty)
        np.testing.assert_allclose(there.Tx.to_value(u.arcsec), tx, rtol=0, atol=1e-5)
        np.testing.assert_allclose(there.Ty.to_value(u.arcsec), ty, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    "name", mostly_slow(["vtf", "vbi_mosaic", "vbi_mosaic_missing"], "vbi_mosaic_missing")
)
def test_a_frame_is_what_sunpy_makes_of_its_file(name: str, tiles: Any, simulated: Any) -> None:
    for tile in tiles(name):
        frame_axes = len(tile.shape) - 2
        ds = tile[tuple(n - 1 for n in tile.shape[:frame_axes])]
        ours = ds.to_map()
        data, header = fits.getdata(simulated(name) / ds.files.names[0], 1, header=True)
        with warnings.catch_warnings():
            # DKIST's files say where on Earth the observer was, which sunpy does not look at; and
            # the simulator's WAVEUNIT is a power of ten.
            warnings.simplefilter("ignore", SunpyMetadataWarning)
            theirs = sunpy.map.Map(data, header)
            one, other = (
                smap.wcs.pixel_to_world(*np.indices(ds.shape)[::-1]) for smap in (ours, theirs)
            )
            # The centre of the Earth, for sunpy.
            assert ours.observer_coordinate.separation_3d(theirs.observer_coordinate) < 6500 * u.km
        assert np.array_equal(ours.data, theirs.data)
        for angle in ("Tx", "Ty"):
            away = getattr(one, angle) - getattr(other, angle)
            assert np.abs(away.to_value(u.arcsec)).max() < 1e-8
        for what in ("date", "reference_date", "date_start", "date_end", "unit", "instrument"):
            assert getattr(ours, what) == getattr(theirs, what), what
        assert ours.observatory == theirs.observatory
        assert ours.meta["telescop"] == header["TELESCOP"]
        assert ours.exposure_time.to_value("ms") == pytest.approx(header["XPOSURE"])
        if name == "vtf":  # the simulator draws another FRAMEWAV for every frame
            (expected,) = (c for c in ds.global_coords.values() if isinstance(c, SpectralCoord))
        else:
            expected = header["LINEWAV"] * u.nm
        assert ours.wavelength == expected.to(u.nm)


@pytest.mark.slow
def test_a_plane_of_a_cube_is_what_astropy_makes_of_its_header(tiles: Any, simulated: Any) -> None:
    for tile in tiles("dlnirsp"):
        ds = tile[1, 1, 5]
        header = fits.getheader(simulated("dlnirsp") / ds.files.names[0], 1)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FITSFixedWarning)
            theirs = WCS(header).celestial
        ours = ds.to_map().wcs
        pixels = np.indices(ds.shape)[::-1]
        one, other = ours.pixel_to_world_values(*pixels), theirs.pixel_to_world_values(*pixels)
        for mine, degrees in zip(one, other, strict=True):
            away = (mine - degrees + 180) % 360 - 180
            assert np.abs(away).max() * 3600 < 1e-8


@pytest.mark.parametrize(
    ("name", "index"),
    [("large_vbi", np.s_[1, :300, :200]), ("croppable_cryo", np.s_[0, 0, 1, 100:300, ::9])],
)
def test_a_real_frame_has_the_wcs_of_its_header(name: str, index: Any, assets: Path) -> None:
    ds = real(name, assets)[index]
    smap = ds.to_map()
    row = ds.headers[0]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FITSFixedWarning)
        theirs = WCS(row).celestial
    # The file's pixels of which the selection is made.
    rows, columns = (
        np.arange(5000)[part][:n] for part, n in zip(index[-2:], ds.shape, strict=True)
    )
    y, x = np.meshgrid(rows, columns, indexing="ij")
    lon, lat = theirs.pixel_to_world_values(x, y)
    there = smap.wcs.pixel_to_world(*np.indices(ds.shape)[::-1])
    unit = theirs.wcs.cunit[0]
    assert np.abs((there.Tx - lon * unit).wrap_at(180 * u.deg)).max() < 1e-8 * u.arcsec
    assert np.abs(there.Ty - lat * unit).max() < 1e-8 * u.arcsec
    assert smap.date_average == Time(row["DATE-AVG"])
    assert smap.wavelength == row["LINEWAV"] * u.nm
    assert smap.instrument == row["INSTRUME"]


@pytest.mark.parametrize(
    ("name", "index", "off"),
    [("croppable_visp", np.s_[0, :, 500], 0.124), ("visp_no_headers", np.s_[1, :700, 500], None)],
)
@pytest.mark.slow
def test_a_real_raster_is_nearly_a_plane(
    name: str, index: Any, off: float | None, assets: Path
) -> None:
    ds = real(name, assets)[index]
    smap = ds.to_map()
    assert smap.data.shape == ds.shape[::-1]
    away = pixels_off(smap, ds)
    assert 0.01 < away.max() < 0.25
    if off is not None:
        assert away.max() == pytest.approx(off, rel=0.02)
    # Longitude grows along x, latitude along y.
    assert smap.center.Tx < smap.top_right_coord.Tx
    assert smap.center.Ty < smap.top_right_coord.Ty
    assert smap.instrument == "VISP"
    assert smap.unit == ds.unit
    strict = f"up to {away.max():.2g}"[:-1]
    with pytest.raises(SelectionError, match=f"{strict}.*expected 0.01 at most"):
        ds.to_map(tolerance=0.01)


def test_a_sky_that_is_no_plane_is_refused(simulated: Any) -> None:
    """The simulator's pointing jumps from step to step."""
    ds = dv.open_dataset(simulated("visp_moving"))
    assert isinstance(ds, dv.Dataset)
    raster = ds[0, :, 3]
    with pytest.raises(SelectionError, match=r"up to \d\S* pixels away") as refused:
        raster.to_map()
    (stated,) = re.findall(r"up to (\S+) pixels", str(refused.value))
    assert pixels_off(raster.to_map(tolerance=5), raster).max() == pytest.approx(
        float(stated), rel=0.02
    )


# Cards ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", mostly_slow(["vtf", "visp", "cryonirsp", "croppable_visp", "visp_no_headers"], "visp")
)
def test_the_observer_stands_on_haleakala_at_that_moment(
    name: str, tiles: Any, assets: Path
) -> None:
    if name in SELECTIONS:
        ds = tiles(name)[0][SELECTIONS[name][0]]
    else:
        ds = real(name, assets)[0, 100:110, 5]
    smap = ds.to_map()
    place = smap.observer_coordinate.transform_to(ITRS(obstime=smap.reference_date))
    expected = [-5466045.257, -2404388.737, 2242133.888] * u.m  # OBSGEO-X, -Y and -Z
    assert np.abs(place.cartesian.xyz - expected).max() < 5 * u.m
    assert abs(smap.coordinate_frame.obstime - smap.reference_date) < 1 * u.ms
    moments = load_times(ds)
    assert abs(smap.reference_date - moments.mean()) < 1 * u.ms


def load_times(ds: Any) -> Time:
    """The moments of a selection's pixels by its WCS."""
    if "time" in ds.wcs.low_level_wcs.world_axis_physical_types:
        world = ds.wcs.pixel_to_world(*np.indices(ds.shape)[::-1])
        (moments,) = (one for one in world if isinstance(one, Time))
        return moments
    (moment,) = (one for one in ds.global_coords.values() if isinstance(one, Time))
    return moment


def test_of_several_frames_what_they_have_in_common(tiles: Any) -> None:
    ds = tiles("visp")[0][1, :, 7]
    smap = ds.to_map()
    headers = ds.headers
    assert smap.meta["date-beg"] == min(headers["DATE-BEG"])
    assert smap.meta["date-end"] == max(headers["DATE-END"])
    assert smap.date == Time(min(headers["DATE-BEG"]))
    for keyword in headers.colnames:
        if len(set(headers[keyword])) > 1 and not keyword.startswith("DATE-"):
            assert keyword.lower() not in smap.meta, keyword
    assert smap.meta["dsetid"] == headers["DSETID"][0]
    (spectral,) = (one for one in ds.global_coords.values() if isinstance(one, SpectralCoord))
    assert smap.wavelength == spectral.to(u.nm)


def test_the_wcs_of_the_frames_is_not_taken_over(tiles: Any) -> None:
    """It is of whole frames, of three axes, and has a second one of another sky."""
    meta = tiles("visp")[0][0, :, 3].to_map().meta
    assert meta["wcsaxes"] == 2
    for keyword in ("ctype3", "crval3", "ctype1a", "pc3_3", "wcsname", "datasum", "bitpix"):
        assert keyword not in meta


def test_a_saved_map_comes_back(tiles: Any, tmp_path: Path) -> None:
    smap = tiles("vtf")[0][0, 1, 2, ::3, 5:].to_map()
    smap.save(tmp_path / "map.fits")
    again = sunpy.map.Map(tmp_path / "map.fits")
    assert np.array_equal(again.data, smap.data)
    assert again.wcs.wcs.compare(smap.wcs.wcs, tolerance=1e-12)
    assert again.exposure_time == smap.exposure_time


def test_sunpy_works_with_it(tiles: Any) -> None:
    smap = tiles("vbi_mosaic")[0][0].to_map()
    assert smap.rotate(10 * u.deg).data.shape != smap.data.shape
    part = smap.submap([4, 5] * u.pix, top_right=[20, 30] * u.pix)
    assert np.array_equal(part.data, smap.data[5:31, 4:21])
    (value,) = sunpy.map.sample_at_coords(smap, smap.wcs.pixel_to_world([7], [9]))
    assert value == smap.quantity[9, 7]


def test_computed_pixels_have_a_map_too(tiles: Any) -> None:
    ds = tiles("vtf")[0][0, 0, 1]
    doubled = (ds * 2).to_map()
    assert np.array_equal(doubled.data, ds.data.compute() * 2)
    assert doubled.wcs.wcs.compare(ds.to_map().wcs.wcs, tolerance=1e-9)


# What is refused -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "index", "words"),
    [
        ("visp", np.s_[0], r"found raster_position \(4\), wavelength \(40\), .*ds\[:, 0, :\]"),
        ("vtf", np.s_[:], r"found stokes \(4\), .*ds\[0, 0, 0, :, :\]"),
        ("dlnirsp", np.s_[0, :, 2], r"changes along mosaic_repeat_0_0 and .*ds\[0, :, :\]"),
        ("visp", np.s_[0, 0], r"changes along slit_position$"),
        ("visp", np.s_[0, 0, :, 5], r"changes along none|no such longitude"),
        ("vtf", np.s_[0, 0, 0, 3], r"found spatial_x \(44\)"),
        ("vtf", np.s_[0, 0, 0, 3:4], r"at least two pixels along each axis, found \(1, 44\)"),
    ],
)
def test_what_is_no_image_of_the_sky(name: str, index: Any, words: str, tiles: Any) -> None:
    with pytest.raises(SelectionError, match=words):
        tiles(name)[0][index].to_map()


def test_what_is_suggested_works(tiles: Any) -> None:
    for name in SELECTIONS:
        ds = tiles(name)[0]
        with pytest.raises(SelectionError, match="for instance") as refused:
            ds.to_map()
        (inside,) = re.findall(r"ds\[(.*)\]", str(refused.value))
        index = tuple(slice(None) if part == ":" else int(part) for part in inside.split(", "))
        assert min(ds[index].to_map().data.shape) > 1


def test_skies_whose_physical_types_say_otherwise(assets: Path) -> None:
    """EIT's are in words of its own, those of early ViSP are exchanged."""
    eit = dv.open_dataset(ROOT / "EIT")[3]  # type: ignore[index]
    assert pixels_off(eit.to_map(), eit).max() < 0.25
    early = real("test_old_wcs_BRMQY", assets, ".asdf")[0, :30, 500, 1260:1280]
    assert load(unpacked("test_old_wcs_BRMQY.asdf", assets)).shape == (4, 100, 981, 2555)
    assert pixels_off(early.to_map(), early).max() < 0.25


def test_an_absent_frame_raises(assets: Path) -> None:
    ds = dv.open_dataset(unpacked("croppable_cryo.asdf.gz", assets))
    assert isinstance(ds, dv.Dataset)
    with pytest.raises(FrameMissingError):
        ds[0, 0, 0].to_map()


def test_cards_that_only_some_frames_have(tiles: Any, simulated: Any) -> None:
    ds = dv.open_dataset(simulated("visp"))[1, :, 7]  # type: ignore[index]
    whole = ds.to_map()
    for keyword in ("DATE-AVG", "DATE-BEG", "DSETID"):
        column = np.ma.MaskedArray(np.array(ds.headers[keyword]), mask=[True, False, False, False])
        ds.headers.replace_column(keyword, column)
    smap = ds.to_map()
    assert "dsetid" not in smap.meta
    assert abs(smap.reference_date - whole.reference_date) < 1 * u.ms  # by the WCS
    assert whole.meta["dsetid"] == "SIM000"


def test_steps_keep_what_indices_took_away(tiles: Any) -> None:
    """Through ndcube, whose own wrapper for steps forgets it."""
    ds = tiles("vtf")[0]
    stepped, plain = ds[1, 0, 2, ::2, ::3].global_coords, ds[1, 0, 2].global_coords
    assert set(stepped) == set(plain)
    assert stepped["stokes"] == plain["stokes"] == "Q"
    assert stepped["wavelength"] == plain["wavelength"]

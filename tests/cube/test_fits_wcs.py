"""Express WCSs in FITS; astropy and sunpy read the header, and say where each pixel is."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord, StokesCoord
from astropy.io import fits
from astropy.time import Time
from astropy.wcs import WCS, FITSFixedWarning
from astropy.wcs.wcsapi import BaseLowLevelWCS
from sunpy.coordinates import HeliographicStonyhurst, Helioprojective

from dkist_virtual.cube.fits_wcs.express import fits_wcs

if TYPE_CHECKING:
    from dkist_virtual.cube.fits_wcs.header import FITSWCS

OBSTIME = "2022-10-24T19:15:37.808"
FRAME = Helioprojective(
    obstime=OBSTIME,
    rsun=695700 * u.km,
    observer=HeliographicStonyhurst(0 * u.deg, 5 * u.deg, 0.99 * u.au, obstime=OBSTIME),
)
EPOCH = Time("2022-10-24T18:57:45.634")


class ByHand(BaseLowLevelWCS):
    """A WCS of functions: longitude and latitude in arcsec, wavelength in nm, time in seconds."""

    def __init__(self, shape: tuple[int, ...], **of: tuple[Any, set[int]]) -> None:
        self.of, self.n = of, len(shape)

    @property
    def pixel_n_dim(self) -> int:
        return self.n

    @property
    def world_n_dim(self) -> int:
        return len(self.of)

    def pixel_to_world_values(self, *pixels: Any) -> Any:
        found = [np.asarray(function(*pixels), float) for function, _ in self.of.values()]
        return found[0] if len(found) == 1 else tuple(found)

    def world_to_pixel_values(self, *_: Any) -> Any:
        raise NotImplementedError

    @property
    def world_axis_physical_types(self) -> list[str]:
        types = {
            "lon": "custom:pos.helioprojective.lon", "lat": "custom:pos.helioprojective.lat",
            "wave": "em.wl", "time": "time", "stokes": "phys.polarization.stokes",
        }  # fmt: skip
        return [types[name] for name in self.of]

    @property
    def world_axis_units(self) -> list[str]:
        units = {"lon": "arcsec", "lat": "arcsec", "wave": "nm", "time": "s", "stokes": ""}
        return [units[name] for name in self.of]

    @property
    def world_axis_names(self) -> list[str]:
        return list(self.of)

    @property
    def axis_correlation_matrix(self) -> Any:
        return np.array(
            [[axis in axes for axis in range(self.pixel_n_dim)] for _, axes in self.of.values()]
        )

    @property
    def world_axis_object_components(self) -> list[Any]:
        parts = {
            "lon": ("sky", 0, "spherical.lon.arcsec"), "lat": ("sky", 1, "spherical.lat.arcsec"),
            "wave": ("wave", 0, "value"), "stokes": ("stokes", 0, "value"),
            "time": ("time", 0, lambda time: (time - EPOCH).to_value("s")),
        }  # fmt: skip
        return [parts[name] for name in self.of]

    @property
    def world_axis_object_classes(self) -> dict[str, Any]:
        return {
            "sky": (SkyCoord, (), {"frame": FRAME, "unit": ("arcsec", "arcsec")}),
            "wave": (u.Quantity, (), {"unit": "nm"}),
            "time": (Time, (), {}),
            "stokes": (StokesCoord, (), {}),
        }


def tangent(x: Any, y: Any) -> tuple[Any, Any]:
    """A plane that touches the sky at (100, 200) arcsec, turned by 30 degrees, mirrored."""
    plane = WCS(naxis=2)
    plane.wcs.ctype = ["HPLN-TAN", "HPLT-TAN"]
    plane.wcs.crval = [100 / 3600, 200 / 3600]
    plane.wcs.crpix = [21, 11]
    c, s = np.cos(np.radians(30)), np.sin(np.radians(30))
    plane.wcs.cd = np.array([[-c, -s], [-s, c]]) * 0.1 / 3600
    found: tuple[Any, Any] = tuple(
        (value + 180) % 360 * 3600 - 180 * 3600
        for value in plane.wcs_pix2world(np.asarray(x, float), np.asarray(y, float), 0)
    )
    return found


def read(made: FITSWCS) -> WCS:
    """What astropy reads in the header, as bytes of a file."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FITSFixedWarning)
        file = fits.HDUList([fits.PrimaryHDU(header=made.header()), *made.hdus()])
        return WCS(fits.Header.fromstring(made.header().tostring()), fobj=file)


def padded(made: FITSWCS, *pixels: Any) -> list[Any]:
    return [*pixels, *[np.zeros(np.shape(pixels[0]))] * (made.n_axes - len(pixels))]


def by_code(made: FITSWCS, *pixels: Any) -> dict[str, Any]:
    """What astropy reads at pixels, by the first four letters of each CTYPE."""
    wcs = read(made)
    values = wcs.wcs_pix2world(*padded(made, *pixels), 0)
    found = {str(c)[:4].strip("-"): v for c, v in zip(wcs.wcs.ctype, values, strict=True)}
    if "HPLN" in found:
        found["HPLN"] = (found["HPLN"] + 180) % 360 - 180
    return found


SHAPE = (4, 5, 30, 40)  # stokes, repeat, y, x
ALL = np.meshgrid(*(np.arange(n) for n in SHAPE[::-1]), indexing="ij")


def test_signs_are_those_of_numbers_computed_by_hand() -> None:
    """+x is to the west and +y to the north, 0.1 arcsec a pixel, from (-50, 20)."""
    wcs = ByHand(
        (30, 40),
        lon=(lambda x, y: -50 + 0.1 * x + 0 * y, {0, 1}),
        lat=(lambda x, y: 20 + 0.1 * y + 0 * x, {0, 1}),
    )
    made = fits_wcs(wcs, (30, 40))
    assert made.forms == {"HPLN": "tangent plane", "HPLT": "tangent plane"}
    header = made.header()
    assert (header["CTYPE1"], header["CTYPE2"]) == ("HPLN-TAN", "HPLT-TAN")
    for keyword, expected in (("CDELT1", 0.1), ("CDELT2", 0.1)):
        assert header[keyword] * 3600 == pytest.approx(expected, rel=1e-5)
    assert header.get("PC1_1", 1.0) == pytest.approx(1, abs=1e-5)
    assert header.get("PC2_2", 1.0) == pytest.approx(1, abs=1e-5)
    sky = by_code(made, [0, 39, 0], [0, 0, 29])
    np.testing.assert_allclose(sky["HPLN"] * 3600, [-50, -46.1, -50], atol=1e-5)
    np.testing.assert_allclose(sky["HPLT"] * 3600, [20, 20, 22.9], atol=1e-5)


def test_a_mirrored_turned_plane_an_even_clock_and_stokes() -> None:
    wcs = ByHand(
        SHAPE,
        lon=(lambda x, y, t, s: tangent(x, y)[0], {0, 1}),
        lat=(lambda x, y, t, s: tangent(x, y)[1], {0, 1}),
        time=(lambda x, y, t, s: 3.0 + 40 * np.asarray(t, float), {2}),
        stokes=(lambda x, y, t, s: 1.0 + np.asarray(s, float), {3}),
    )
    made = fits_wcs(wcs, SHAPE)
    assert set(made.forms.values()) == {"tangent plane", "evenly spaced"}
    assert (made.n_axes, made.tables, made.unsaid) == (4, (), ())
    assert made.away < 1e-6
    found, wanted = by_code(made, *ALL), tangent(*ALL[:2])
    np.testing.assert_allclose(found["HPLN"] * 3600, wanted[0], atol=1e-7)
    np.testing.assert_allclose(found["HPLT"] * 3600, wanted[1], atol=1e-7)
    np.testing.assert_allclose(found["TIME"], 3 + 40 * ALL[2], atol=1e-8)
    np.testing.assert_allclose(found["STOK"], 1 + ALL[3], rtol=1e-12)
    sky, time, stokes = read(made).pixel_to_world(3, 4, 2, 1)
    assert sky.frame.name == "helioprojective"
    assert sky.observer.lat == FRAME.observer.lat
    assert sky.separation(SkyCoord(*tangent(3, 4), unit="arcsec", frame=FRAME)) < 1e-7 * u.arcsec
    assert abs(time - (EPOCH + 83 * u.s)) < 1 * u.us
    assert stokes == "Q"


def test_a_raster_has_more_coordinates_than_axes() -> None:
    """Time follows the steps, and is an axis beyond those of the array; of one step, on its own."""

    def lonlat(n: int) -> Any:
        return (lambda w, y, t: tangent(t, y)[n], {1, 2})

    wcs = {
        "lon": lonlat(0), "wave": (lambda w, y, t: 630 + 0.01 * w + 0 * t, {0}), "lat": lonlat(1),
        "time": (lambda w, y, t: 7.0 * t, {2}),
    }  # fmt: skip
    made = fits_wcs(ByHand((6, 7, 8), **wcs), (6, 7, 8), spectral="AWAV")
    assert made.n_axes == 4
    assert made.forms["AWAV"] == made.forms["TIME"] == "evenly spaced"
    grid = np.meshgrid(np.arange(8), np.arange(7), np.arange(6), indexing="ij")
    found = by_code(made, *grid)
    np.testing.assert_allclose(found["TIME"], 7.0 * grid[2], atol=1e-9)
    np.testing.assert_allclose(found["AWAV"] * 1e9, 630 + 0.01 * grid[0], rtol=1e-12)
    np.testing.assert_allclose(found["HPLN"] * 3600, tangent(grid[2], grid[1])[0], atol=1e-7)
    assert fits_wcs(ByHand((1, 7, 8), **wcs), (1, 7, 8)).n_axes == 4


def test_tables_of_uneven_wavelengths_and_of_times_along_two_axes() -> None:
    """As VTF has them: wavelengths in the order in which they were taken, and no even clock."""
    lines, clock = np.array([630.2, 630.5, 630.1, 630.3]), np.random.default_rng(1).random((4, 5))
    clock = np.cumsum(clock.ravel()).reshape(4, 5) * 10
    wcs = ByHand(
        (5, 4, 30),
        wave=(lambda x, w, r: lines[np.asarray(w, int)] + 0 * x, {1}),
        time=(lambda x, w, r: clock[np.asarray(w, int), np.asarray(r, int)] + 0 * x, {1, 2}),
    )
    made = fits_wcs(wcs, (5, 4, 30))
    (table,) = made.tables
    assert table.coordinates.shape in {(4, 5, 2), (5, 4, 2)}
    assert made.away < 1e-6
    assert len(made.notes) == 1
    assert "not in order" in made.notes[0]
    grid = np.meshgrid(np.arange(30), np.arange(4), np.arange(5), indexing="ij")
    found = by_code(made, *grid)
    np.testing.assert_allclose(found["WAVE"] * 1e9, lines[grid[1]], rtol=1e-14)
    np.testing.assert_allclose(found["TIME"], clock[grid[1], grid[2]], rtol=1e-13)


def test_a_pointing_that_jumps_is_a_table_of_all_steps() -> None:
    jumps = np.random.default_rng(2).normal(0, 0.02, (50, 2))
    wcs = ByHand(
        (50, 2000),
        lon=(lambda y, t: tangent(t, y)[0] + jumps[np.asarray(t, int), 0], {0, 1}),
        lat=(lambda y, t: tangent(t, y)[1] + jumps[np.asarray(t, int), 1], {0, 1}),
        time=(lambda y, t: 5.0 * t, {1}),
    )
    made = fits_wcs(wcs, (50, 2000))
    assert made.forms["HPLN"] == made.forms["HPLT"] == "lookup table"
    assert made.tables[0].coordinates.size < 50 * 100  # few along the slit
    assert made.away < 1e-3
    grid = np.meshgrid(np.arange(0, 2000, 7), np.arange(50), indexing="ij")
    found, wanted = by_code(made, *grid), wcs.pixel_to_world_values(*grid)
    np.testing.assert_allclose(found["HPLN"] * 3600, wanted[0], atol=1e-4)  # a pixel is 0.1
    np.testing.assert_allclose(found["HPLT"] * 3600, wanted[1], atol=1e-4)
    # And back, as astropy inverts the table.
    back = read(made).wcs_world2pix([[found["HPLN"][9, 9], found["HPLT"][9, 9], 45.0]], 0)
    np.testing.assert_allclose(back[0][:2], [grid[0][9, 9], 9], atol=1e-4)


def test_a_pointing_along_more_axes_than_coordinates() -> None:
    """Repeats of a map, each with a pointing of its own: FITS needs a coordinate for each axis."""
    jumps = np.random.default_rng(3).normal(0, 3, (3, 4, 2))

    def at(n: int) -> Any:
        return (
            lambda x, y, s, m: tangent(x, y)[n] + jumps[np.asarray(m, int), np.asarray(s, int), n],
            {0, 1, 2, 3},
        )

    wcs = ByHand((3, 4, 30, 40), lon=at(0), lat=at(1), time=(lambda x, y, s, m: 5.0 * s, {2}))
    made = fits_wcs(wcs, (3, 4, 30, 40))
    assert made.n_axes == 4
    assert made.away < 1e-3
    grid = np.meshgrid(*(np.arange(n) for n in (40, 30, 4, 3)), indexing="ij")
    found, wanted = by_code(made, *grid), wcs.pixel_to_world_values(*grid)
    np.testing.assert_allclose(found["HPLN"] * 3600, wanted[0], atol=1e-4)
    np.testing.assert_allclose(found["HPLT"] * 3600, wanted[1], atol=1e-4)
    np.testing.assert_allclose(found["TIME"], 5.0 * grid[2], atol=1e-9)


def test_a_slit_that_does_not_move() -> None:
    wcs = ByHand(
        (9, 40),
        lon=(lambda y, t: tangent(y, 0 * y)[0], {0}),
        lat=(lambda y, t: tangent(y, 0 * y)[1], {0}),
        time=(lambda y, t: 5.0 * t, {1}),
    )
    made = fits_wcs(wcs, (9, 40))
    assert made.away < 1e-3
    found = by_code(made, np.arange(40), np.full(40, 3))
    np.testing.assert_allclose(found["HPLN"] * 3600, tangent(np.arange(40), 0)[0], atol=1e-5)
    np.testing.assert_allclose(found["TIME"], 15, atol=1e-9)


def test_what_fits_has_no_words_for_is_said() -> None:
    gone = ByHand((4, 5), wave=(lambda x, y: np.where(x == 3, np.nan, x), {0}))
    assert "not known of every pixel" in fits_wcs(gone, (4, 5)).unsaid[0]
    odd = ByHand((3, 5), stokes=(lambda x, y: np.array([1.0, 2, 4])[np.asarray(y, int)], {1}))
    assert fits_wcs(odd, (3, 5)).unsaid == ("STOKES: FITS has no table of Stokes parameters",)
    rough = np.random.default_rng(1).random((2200, 2200))
    big = ByHand(
        (2200, 2200),
        time=(lambda x, y: rough[np.asarray(x, int), np.asarray(y, int)], {0, 1}),
    )
    assert "9,680,000 numbers" in fits_wcs(big, (2200, 2200)).unsaid[0]


SELECTIONS = [(), (0,), (..., 5), (slice(None, None, 2), slice(1, None, 3))]
QUICK = [("croppable_cryo", 0), ("large_vbi", 1)]
ALL_OF = [
    pytest.param(name, n, marks=[] if (name, n) in QUICK else [pytest.mark.slow])
    for name in (
        "croppable_visp", "croppable_cryo", "large_vbi", "visp", "visp_moving", "vbi_mosaic", "vtf",
        "cryonirsp", "dlnirsp",
    )
    for n in range(len(SELECTIONS))
]  # fmt: skip


@pytest.mark.parametrize(("name", "n"), ALL_OF)
def test_datasets_of_all_instruments_at_random_pixels(name: str, n: int, datasets: Any) -> None:
    """Astropy's SkyCoords, moments, wavelengths and Stokes parameters are those of the dataset."""
    ds = datasets(name)[SELECTIONS[n]]
    made = fits_wcs(ds.wcs, ds.shape)
    assert made.unsaid == ()
    assert made.away < 1e-3
    rng = np.random.default_rng(19)
    pixels = [rng.integers(0, n, 200) for n in ds.shape[::-1]]
    found = by_code(made, *pixels)
    low = ds.wcs.low_level_wcs
    values = low.pixel_to_world_values(*pixels)
    values = dict(zip(low.world_axis_physical_types, np.atleast_2d(values), strict=True))
    wanted = SkyCoord(
        values["custom:pos.helioprojective.lon"], values["custom:pos.helioprojective.lat"],
        unit="arcsec",
    )  # fmt: skip
    sky = SkyCoord(found["HPLN"], found["HPLT"], unit="deg")
    pixel = max(step(ds, axis) for axis in range(len(ds.shape)))
    assert sky.separation(wanted).max() < 2e-3 * pixel * u.arcsec
    if "time" in values:
        # To a microsecond: what is left of seconds since another epoch.
        np.testing.assert_allclose(found["TIME"], values["time"], atol=1e-6)
    if "em.wl" in values:
        np.testing.assert_allclose(found["WAVE"], values["em.wl"] * 1e-9, rtol=1e-12, atol=1e-21)
    if "phys.polarization.stokes" in values:
        np.testing.assert_allclose(found["STOK"], values["phys.polarization.stokes"], atol=1e-9)


def step(ds: Any, axis: int) -> float:
    """How far two neighbours in the middle are on the sky, in arcsec, along a pixel axis."""
    at = [np.full(2, (n - 1) // 2) for n in ds.shape[::-1]]
    at[axis] = at[axis] + np.array([0, min(1, ds.shape[::-1][axis] - 1)])
    low = ds.wcs.low_level_wcs
    values = dict(zip(low.world_axis_physical_types, low.pixel_to_world_values(*at), strict=True))
    sky = [values[f"custom:pos.helioprojective.{name}"] for name in ("lon", "lat")]
    return float(np.hypot(*(np.diff(value)[0] for value in sky)))

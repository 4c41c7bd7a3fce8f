"""Corrected pointing equals arithmetic on what the uncorrected dataset says, done here in numpy."""

from __future__ import annotations

import pickle
import re
from io import BytesIO
from typing import Any

import asdf
import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.io.fits import Header
from astropy.table import MaskedColumn, QTable
from astropy.time import Time
from astropy.utils.masked import Masked
from astropy.wcs import WCS
from hypothesis import given, settings
from hypothesis import strategies as st

import dkist_virtual as dv
from dkist_virtual.cube.pointing import Pointing
from dkist_virtual.cube.sliced_wcs import published
from dkist_virtual.errors import DatasetError, OutsideError

REAL = (
    pytest.param("croppable_visp", marks=pytest.mark.slow),
    pytest.param("croppable_cryo", marks=pytest.mark.slow),
    "large_vbi",
)
VISP_AT = (3, 5, 100, 2)
"""Stokes V, step 5, pixel 2 of the slit."""


def position(ds: dv.Dataset, *pixel: int) -> Any:
    """(Tx, Ty) of a pixel in arcsec, by astropy's high-level objects; the pixel in array order."""
    world = ds.wcs.pixel_to_world(*pixel[::-1])
    alone = isinstance(world, SkyCoord)
    sky = world if alone else next(one for one in world if hasattr(one, "Tx"))
    return np.array([sky.Tx.to_value(u.arcsec), sky.Ty.to_value(u.arcsec)])


def some_pixels(shape: tuple[int, ...], n: int = 12) -> Any:
    chosen = np.random.default_rng(19).random((n, len(shape))) * shape
    return np.vstack([chosen.astype(int), np.zeros(len(shape), int), np.array(shape) - 1])


@pytest.mark.parametrize("name", REAL)
def test_a_shift_is_added_to_every_pixel(name: str, datasets: Any) -> None:
    ds = datasets(name)
    moved = ds.shift(3 * u.arcsec, -1.5 * u.arcsec)
    for pixel in some_pixels(ds.shape):
        expected = position(ds, *pixel) + [3, -1.5]
        np.testing.assert_allclose(position(moved, *pixel), expected, rtol=0, atol=1e-9)
    assert ds.pointing is None
    assert (moved.pointing.dx, moved.pointing.dy) == (3 * u.arcsec, -1.5 * u.arcsec)
    assert moved.unshifted().pointing is None
    pixel = some_pixels(ds.shape)[0]
    np.testing.assert_array_equal(position(moved.unshifted(), *pixel), position(ds, *pixel))


def test_a_shift_stays_with_slices_and_results(datasets: Any) -> None:
    ds = datasets("croppable_visp").shift(0.01 * u.deg, -7 * u.arcsec)
    step = datasets("croppable_visp")
    expected = position(step, 2, 40, 300, 1000) + [36, -7]
    for part, pixel in [
        (ds[2, 40:50:3], (0, 300, 1000)),
        (ds[:, 4:, 100:][2, 36, ::10], (20, 1000)),
        ((ds * 2)[1:], (1, 40, 300, 1000)),
        (pickle.loads(pickle.dumps(ds)), (2, 40, 300, 1000)),
        (dv.Dataset(ds), (2, 40, 300, 1000)),
        (ds[2, 40:41, 300:302].rebin((1, 1, 5)), (0, 0, 200)),
    ]:
        if part.shape[-1] == 511:
            expected = position(step, 2, 40, 300, 1002) + [36, -7]
        np.testing.assert_allclose(position(part, *pixel), expected, rtol=0, atol=1e-9)
        assert part.pointing.dx == 36 * u.arcsec
        assert part.shift(1 * u.arcsec).pointing.dx == 37 * u.arcsec
        assert part.unshifted().pointing is None
    dropped = ds[2, 40, :, 1000].global_coords["helioprojective"]
    found = [dropped.Tx.to_value(u.arcsec), dropped.Ty.to_value(u.arcsec)]
    np.testing.assert_allclose(
        found, position(step, 2, 40, 300, 1000) + [36, -7], rtol=0, atol=1e-9
    )
    assert "corrected by dx +36 arcsec, dy -7 arcsec" in str(ds[0])
    assert ds.overview().as_json()["pointing"] == ["dx +36 arcsec, dy -7 arcsec"]


def test_what_is_no_correction_is_refused(datasets: Any) -> None:
    ds = datasets("croppable_visp")
    for wrong, said in [
        ({"dx": 3}, "dx=3 has no unit"),
        ({"dy": 3 * u.m}, "dy is in m"),
        ({"dx": np.nan * u.deg}, "finite"),
        ({"dx": (3, 2) * u.arcsec}, r"one shift is ds.shift\(dx, dy\)"),
        ({}, "unshifted"),
        ({"dx": 1 * u.deg, "center": [0, 0] * u.deg}, "center= is for"),
        ({"scale": "2"}, "scale='2'"),
        ({"scale": -2}, "greater than 0"),
    ]:
        with pytest.raises((TypeError, DatasetError), match=said):
            ds.shift(**wrong)
    without = dv.Dataset(np.zeros(2555), ds[0, 0, :, 0].wcs, unit="ct")[:976]
    with pytest.raises(DatasetError, match="no coordinates on the sky"):
        without.shift(1 * u.arcsec)


def test_pointing_is_written_and_read(datasets: Any) -> None:
    ds = datasets("croppable_visp")[0].shift(1 * u.arcsec).shift(rotation=1 * u.deg)
    again = Pointing.from_document(ds.pointing.to_document())
    assert again == ds.pointing
    assert again != ds[1:].shift(1 * u.arcsec).pointing
    far = {"pixels": [[0, 10**30, 1]], "dx": [0.0], "dy": [0.0]}
    for wrong in (
        {}, {"version": 2, "corrections": []}, {"version": 1, "corrections": [{}]},
        {"version": 1, "corrections": [far]},
    ):  # fmt: skip
        with pytest.raises(DatasetError, match="pointing"):
            Pointing.from_document(wrong)


def turned(offset: Any, degrees: float) -> Any:
    """Turn counter-clockwise, with Tx to the right and Ty up: west (1, 0) to north (0, 1)."""
    cos, sin = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    return np.array([[cos, -sin], [sin, cos]]) @ offset


def test_signs_by_hand(datasets: Any) -> None:
    """Numbers without arithmetic: what is 10 arcsec west of the centre is turned to the north."""
    ds = datasets("large_vbi")
    at = position(ds, 0, 5, 7)
    west = at - [10, 0]  # a centre, of which the pixel is 10 arcsec west: at greater Tx
    for changes, expected in [
        ({"dx": 4 * u.arcsec}, west + [14, 0]),
        ({"dy": 4 * u.arcsec}, west + [10, 4]),
        ({"rotation": 90 * u.deg}, west + [0, 10]),
        ({"rotation": -90 * u.deg}, west + [0, -10]),
        ({"scale": 2}, west + [20, 0]),
        # Scaled to 20, then turned to the north, then shifted.
        ({"scale": 2, "rotation": 90 * u.deg, "dx": 1 * u.arcsec}, west + [1, 20]),
    ]:
        center = {"center": west * u.arcsec} if set(changes) & {"rotation", "scale"} else {}
        moved = ds.shift(**changes, **center)
        np.testing.assert_allclose(position(moved, 0, 5, 7), expected, rtol=0, atol=1e-8)


@pytest.mark.parametrize("name", REAL)
def test_rotation_and_scale_are_about_the_centre_of_the_field(name: str, datasets: Any) -> None:
    ds = datasets(name)
    moved = ds.shift(2 * u.arcsec, 1 * u.arcmin, rotation=30 * u.deg, scale=1.25)
    ends = np.array([[(n - 1) // 2, n // 2] for n in ds.shape])
    corners = np.array(np.meshgrid(*ends)).reshape(len(ends), -1).T
    center = np.mean([position(ds, *map(int, corner)) for corner in corners], axis=0)
    np.testing.assert_allclose(moved.pointing.center.to_value("arcsec"), center, rtol=0, atol=1e-8)
    for pixel in some_pixels(ds.shape):
        away = 1.25 * turned(position(ds, *pixel) - center, 30)
        np.testing.assert_allclose(
            position(moved, *pixel), center + away + [2, 60], rtol=0, atol=1e-8
        )


def test_a_centre_may_be_a_coordinate(datasets: Any) -> None:
    ds = datasets("large_vbi")
    frame = next(one for one in ds.wcs.pixel_to_world(0, 0, 0) if hasattr(one, "Tx")).frame
    expected = ds.shift(rotation=1 * u.deg, center=[-160, 80] * u.arcsec).pointing
    for center in (
        SkyCoord(-160 * u.arcsec, 80 * u.arcsec, frame=frame.replicate_without_data()),
        SkyCoord(-160 * u.arcsec, 80 * u.arcsec, frame="helioprojective"),
    ):
        found = ds.shift(rotation=1 * u.deg, center=center).pointing
        np.testing.assert_allclose(found.center.value, expected.center.value, rtol=0, atol=1e-9)
    for wrong in (3, [1, 2], [1, 2] * u.m, [1, 2, 3] * u.deg, [np.nan, 1] * u.deg):
        with pytest.raises((TypeError, DatasetError), match="shift: center"):
            ds.shift(rotation=1 * u.deg, center=wrong)


def test_scales_along_slit_and_raster(datasets: Any) -> None:
    ds = datasets("croppable_visp")
    center = position(ds, 0, 344, 0, 1277) * u.arcsec
    moved = ds.shift(scale=(1.5, 1), center=center)
    middle = position(ds, 0, 344, 0, 1277)
    # Away from the centre along the slit 1.5 times as far, along the raster as far as before.
    slit = position(moved, 0, 344, 0, 1900) - middle
    np.testing.assert_allclose(
        slit, 1.5 * (position(ds, 0, 344, 0, 1900) - middle), rtol=0, atol=2e-2
    )
    np.testing.assert_allclose(
        position(moved, 0, 500, 0, 1277) - middle,
        position(ds, 0, 500, 0, 1277) - middle,
        rtol=0,
        atol=2e-2,
    )
    other = ds.shift(scale=(1, 1.5), center=center)
    np.testing.assert_allclose(
        position(other, 0, 500, 0, 1277) - middle,
        1.5 * (position(ds, 0, 500, 0, 1277) - middle),
        rtol=0,
        atol=2e-2,
    )
    with pytest.raises(DatasetError, match="give one factor"):
        datasets("croppable_visp").shift(1 * u.arcsec).rebin((1, 688, 1, 1))[0, 0].shift(
            scale=(1, 1.1)
        )


def test_values_of_steps_frames_and_columns(datasets: Any) -> None:
    ds = datasets("croppable_visp")
    steps = np.linspace(-1, 3, 688) * u.arcsec
    frames = (np.arange(4)[:, None] + np.zeros(688)) * u.arcsec
    column = ds.headers.copy()["CRVAL1"] * 0 + np.arange(4 * 688)
    for values, at in [
        (steps, lambda stokes, step: steps[step].value),
        (frames, lambda stokes, step: stokes),
        (frames[:, :1], lambda stokes, step: stokes),
        (column * u.mas, lambda stokes, step: (688 * stokes + step) / 1000),
    ]:
        moved = ds.shift(values, dy=-values)
        for pixel in ((0, 0, 0, 7), VISP_AT, (3, 687, 5, 2554)):
            expected = position(ds, *pixel) + at(*pixel[:2]) * np.array([1, -1])
            np.testing.assert_allclose(position(moved, *pixel), expected, rtol=0, atol=1e-9)
        part = moved[1:, 100::3]
        expected = position(ds, 2, 106, 0, 5) + at(2, 106) * np.array([1, -1])
        np.testing.assert_allclose(position(part, 1, 2, 0, 5), expected, rtol=0, atol=1e-9)
    # A correction of a part is placed in the whole.
    part = ds[:, 10:20:2].shift(np.arange(5) * u.arcsec)
    moved = part[0, 3:, :, 2].shift(1 * u.arcsec)
    expected = position(ds, 0, 18, 4, 2) + [5, 0]
    np.testing.assert_allclose(position(moved[1:], 0, 4), expected, rtol=0, atol=1e-9)
    for wrong, said in [
        (np.zeros(5) * u.deg, "of shape"),
        (np.zeros((688, 4)) * u.deg, "of shape"),
        (ds.headers["CRVAL1"], "has no unit"),
        ("CRVAL1", "has no unit"),
        ("NOSUCH", "no such column"),
        (np.full(688, np.nan) * u.deg, "not finite"),
        (Masked(np.zeros(688) * u.mas, mask=np.arange(688) < 3), "3 values are masked"),
        (MaskedColumn(np.zeros(688), mask=np.arange(688) < 3, unit="deg"), "3 values are masked"),
    ]:
        with pytest.raises((TypeError, DatasetError), match=said):
            ds.shift(wrong)
    with pytest.raises(DatasetError, match=r"shape \(1, 4\)"):
        ds[:, :4].shift(np.zeros(4) * u.deg)


def test_a_column_with_its_unit(datasets: Any) -> None:
    ds = datasets("large_vbi")[...]
    ds.headers["DRIFT"] = [0.5, 1.5, 4.0]
    ds.headers["DRIFT"].unit = u.arcsec
    moved = ds.shift(dy="DRIFT")
    expected = position(ds, 2, 30, 40) + [0, 4]
    np.testing.assert_allclose(position(moved, 2, 30, 40), expected, rtol=0, atol=1e-9)
    assert "(dy of the headers' DRIFT)" in str(moved.pointing)


def test_points_in_time(datasets: Any) -> None:
    whole = datasets("croppable_visp")
    ds = whole[:, ::43]  # 16 steps
    row = ds[0, :, 0, 0]
    times = next(one for one in row.wcs.pixel_to_world(np.arange(16.0)) if isinstance(one, Time))
    seconds = (times - times[0]).to_value("s")
    points = (times[[0, 7, 15]], [0, 1, 5] * u.arcsec, [0, 0, 1] * u.arcmin)
    expected_x = np.interp(seconds, seconds[[0, 7, 15]], [0, 1, 5])
    expected_y = np.interp(seconds, seconds[[0, 7, 15]], [0, 0, 60])
    for form in (points, QTable(points, names=["time", "dx", "dy"])):
        moved = ds.shift(form)
        np.testing.assert_allclose(np.squeeze(moved.pointing.dx.value), expected_x, atol=1e-7)
        np.testing.assert_allclose(np.squeeze(moved.pointing.dy.value), expected_y, atol=1e-7)
    found = position(moved, 1, 12, 3, 100)
    expected = position(whole, 1, 12 * 43, 3, 100) + [expected_x[12], expected_y[12]]
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-7)  # times are to a nanosecond
    near = ds[:, 4:9].shift((times[[4, 7]], [0, 1] * u.arcsec, [0, 0] * u.arcsec))
    assert np.squeeze(near.pointing.dx.value)[-1] == 1  # held a little beyond the last
    with pytest.raises(DatasetError, match=r"5 of 16 times .* outside of the points"):
        # Half of the time between the last two points, three steps: 11 to 15 are beyond.
        ds.shift((times[[0, 6, 9]], [0, 1, 1] * u.arcsec, [0, 0, 0] * u.arcsec))
    with pytest.raises(TypeError, match="expected points"):
        ds.shift((1 * u.arcsec, 2 * u.arcsec))


def fits_position(ds: dv.Dataset, frame: int, *pixel: int) -> Any:
    """(Tx, Ty) of a frame's pixel by astropy and its header alone; the pixel in FITS order."""
    row = ds.headers[frame]
    keys = re.compile(r"(CRPIX|CRVAL|CDELT|CUNIT|CTYPE)\d|PC\d_\d|LONPOLE")
    cards = {name: row[name] for name in ds.headers.colnames if keys.fullmatch(name)}
    header = Header({n: v.item() if hasattr(v, "item") else v for n, v in cards.items()})
    wcs = WCS(header)
    degrees = wcs.wcs_pix2world([pixel], 0)[0][[wcs.wcs.lng, wcs.wcs.lat]]
    return (degrees * 3600 + 648000) % 1296000 - 648000


def test_the_pointing_of_headers(datasets: Any) -> None:
    ds = datasets("croppable_cryo")
    moved = ds.shift("headers")
    away = []
    for frame in range(36):
        at = tuple(map(int, np.unravel_index(frame, (4, 3, 3))))
        for y, x in ((0, 0), (1887, 1750), (900, 20)):
            expected = fits_position(ds, frame, x, y, 0)
            np.testing.assert_allclose(position(moved, *at, y, x), expected, rtol=0, atol=1e-5)
        away.append(
            np.hypot(*(position(ds, *at, 944, 875) - fits_position(ds, frame, 875, 944, 0)))
        )
    by_step = np.reshape(away, (4, 3, 3)).mean(axis=(0, 2))
    np.testing.assert_allclose(by_step, [0, 22.02, 26.43], atol=0.01)
    part = ds[2, 1, :, 100:400:3, 7:].shift("headers")
    expected = fits_position(ds, 2 * 9 + 3 + 2, 12, 103, 0)
    np.testing.assert_allclose(position(part, 2, 1, 5), expected, rtol=0, atol=1e-5)
    # Whatever was corrected before: it takes the headers' place.
    other = ds[2, 1].shift(5 * u.arcsec, rotation=1 * u.deg).shift("headers")
    expected = fits_position(ds, 2 * 9 + 3 + 2, 12, 103, 0)
    np.testing.assert_allclose(position(other, 2, 103, 12), expected, rtol=0, atol=1e-5)
    with pytest.raises(TypeError, match="no other values"):
        ds.shift("headers", 1 * u.arcsec)
    with pytest.raises(DatasetError, match="no headers of its frames"):
        ds.rebin((1, 1, 1, 2, 1)).shift("headers")


@pytest.mark.slow
def test_a_raster_has_the_pointing_of_its_headers_already(datasets: Any) -> None:
    ds = datasets("croppable_visp")[:, 100:140:13]
    moved = ds.shift(7 * u.arcsec).shift("headers")
    for step in range(4):
        expected = fits_position(datasets("croppable_visp"), 100 + 13 * step, 40, 3, 0)
        np.testing.assert_allclose(position(moved, 0, step, 3, 40), expected, rtol=0, atol=1e-8)
        np.testing.assert_allclose(position(ds, 0, step, 3, 40), expected, rtol=0, atol=1e-4)


@pytest.mark.slow
def test_maps_are_shifted_as_sunpy_shifts_them(datasets: Any) -> None:
    part = datasets("large_vbi")[0, ::64, ::64]
    part = part.with_data(np.arange(64.0 * 64).reshape(64, 64), unit="ct")
    moved = part.shift(3 * u.arcsec, -1.5 * u.arcsec).to_map()
    expected = part.to_map().shift_reference_coord(3 * u.arcsec, -1.5 * u.arcsec)
    x, y = np.array([0, 63, 20, 5]) * u.pix, np.array([0, 63, 1, 60]) * u.pix
    found, wanted = moved.pixel_to_world(x, y), expected.pixel_to_world(x, y)
    np.testing.assert_allclose(found.Tx.value, wanted.Tx.value, rtol=0, atol=1e-3)
    np.testing.assert_allclose(found.Ty.value, wanted.Ty.value, rtol=0, atol=1e-3)


@pytest.mark.parametrize("name", REAL)
def test_world_to_pixel_undoes_it(name: str, datasets: Any) -> None:
    ds = datasets(name)
    n = len(datasets(name).pixels.frame_shape)
    values = np.random.default_rng(3).normal(size=ds.shape[:n]) * 0.01 * u.arcsec
    moved = ds.shift(values, 40 * u.arcsec, rotation=2 * u.deg).shift(scale=1.02)
    low = moved.wcs.low_level_wcs
    for pixel in some_pixels(ds.shape, 3)[:3]:
        world = low.pixel_to_world_values(*pixel[::-1].astype(float))
        np.testing.assert_allclose(low.world_to_pixel_values(*world), pixel[::-1], atol=1e-3)


@pytest.mark.parametrize("steps", [[0, 0.2, 0.4, 0.6], [0, -0.05, -0.1, -0.15], [0, 5, -3, 1]])
def test_pixels_are_found_where_steps_are_moved_by_more_than_they_are_apart(
    steps: list[float], datasets: Any
) -> None:
    """Steps of 0.03 arcsec: also where others are at the same place, since their time is not."""
    ds = datasets("visp")
    low = ds.shift([steps] * u.arcsec, [steps[::-1]] * u.arcsec).wcs.low_level_wcs
    pixels = np.array([[5, 63, 40, 0], [2, 30, 39, 0], [0, 1, 2, 3], [0, 1, 2, 3]], float)
    found = low.world_to_pixel_values(*low.pixel_to_world_values(*pixels))
    np.testing.assert_allclose(found, pixels, rtol=0, atol=1e-3)


angles = st.floats(-500, 500)


@given(
    st.lists(
        st.one_of(
            st.builds(lambda a, b: {"dx": a * u.arcsec, "dy": b * u.arcsec}, angles, angles),
            st.builds(
                lambda r, s, x, y: {
                    "rotation": r * u.deg, "scale": s, "center": [x, y] * u.arcsec
                },
                st.floats(-180, 180), st.floats(0.5, 2), angles, angles,
            ),
        ),
        min_size=1, max_size=4,
    )
)  # fmt: skip
@settings(max_examples=25, deadline=None)
def test_corrections_follow_each_other(changes: list[dict[str, Any]]) -> None:
    """Those of a WCS of FITS, of which one is 3 pixels wide."""
    header = WCS(naxis=2)
    header.wcs.ctype, header.wcs.cunit = ["HPLN-TAN", "HPLT-TAN"], ["arcsec", "arcsec"]
    header.wcs.cdelt, header.wcs.crval, header.wcs.crpix = [2, 3], [-4, 7], [1.5, 2]
    header.wcs.dateobs = "2022-10-24T19:00:00"
    ds = dv.Dataset(np.zeros((4, 3)), header, unit="ct")
    expected = np.array([(c + 648000) % 1296000 - 648000 for c in position_values(ds, 2, 1)], float)
    moved = ds
    for change in changes:
        moved = moved.shift(**change)
        if "dx" in change:
            expected = expected + [change["dx"].value, change["dy"].value]
        else:
            center = change["center"].value
            away = change["scale"] * turned(expected - center, change["rotation"].value)
            expected = center + away
    np.testing.assert_allclose(position_values(moved, 2, 1), expected, rtol=0, atol=1e-6)
    assert len(moved.pointing) == len(changes)
    np.testing.assert_allclose(position_values(moved[1:, 1:], 1, 0), expected, rtol=0, atol=1e-6)
    assert Pointing.from_document(moved.pointing.to_document()) == moved.pointing


def position_values(ds: dv.Dataset, *pixel: int) -> Any:
    """(Tx, Ty) in arcsec, of a WCS of FITS, which has degrees."""
    degrees = np.array(ds.wcs.low_level_wcs.pixel_to_world_values(*pixel[::-1]))
    return (degrees * 3600 + 648000) % 1296000 - 648000


def test_a_spectrum_is_corrected_and_positions_are_found(datasets: Any) -> None:
    ds = datasets("large_vbi")
    moved = ds.shift(100 * u.arcsec)
    sky = next(one for one in moved.wcs.pixel_to_world(700, 300, 1) if hasattr(one, "Tx"))
    found = moved[1].at(sky=sky)
    np.testing.assert_allclose(position(found, 0, 0), position(moved, 1, 300, 700), atol=1e-9)
    with pytest.raises(OutsideError):
        ds[1].at(sky=sky)
    series = ds[:, 300, 700].shift(100 * u.arcsec)
    found = position(series, 1)
    np.testing.assert_allclose(found, position(moved, 1, 300, 700), rtol=0, atol=1e-9)
    spectrum = datasets("croppable_visp")[2, 40, :, 1000].shift(1 * u.arcmin)
    dropped = spectrum.global_coords["helioprojective"]
    expected = position(datasets("croppable_visp"), 2, 40, 0, 1000)[0] + 60
    assert dropped.Tx.to_value(u.arcsec) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("name", REAL)
def test_a_gwcs_of_other_packages_has_the_same_coordinates(name: str, datasets: Any) -> None:
    ds = datasets(name)
    n = len(ds.pixels.frame_shape)
    values = np.random.default_rng(4).normal(size=ds.shape[:n]) * u.arcsec
    moved = ds.shift(values, 40 * u.arcsec, rotation=2 * u.deg)[1:].shift(scale=1.02)
    low, file = published(moved.wcs.low_level_wcs), BytesIO()
    asdf.AsdfFile({"wcs": low}).write_to(file)
    with asdf.open(BytesIO(file.getvalue())) as opened:
        again = opened["wcs"]
    assert not type(low).__module__.startswith("dkist_virtual")
    pixels = some_pixels(moved.shape, 20).T[::-1].astype(float)
    ours = np.array(moved.wcs.low_level_wcs.pixel_to_world_values(*pixels))
    theirs = np.array(again.pixel_to_world_values(*pixels))
    np.testing.assert_allclose(theirs, ours, rtol=0, atol=1e-9)
    np.testing.assert_array_equal(
        again.axis_correlation_matrix, moved.wcs.low_level_wcs.axis_correlation_matrix
    )

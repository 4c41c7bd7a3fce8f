"""Corrected pointing equals arithmetic on what the uncorrected dataset says, done here in numpy."""

from __future__ import annotations

import pickle
from typing import Any

import astropy.units as u
import numpy as np
import pytest

import dkist_virtual as dv
from dkist_virtual.cube.pointing import Pointing
from dkist_virtual.errors import DatasetError

REAL = ("croppable_visp", "croppable_cryo", "large_vbi")
VISP_AT = (3, 5, 100, 2)
"""Stokes V, step 5, pixel 2 of the slit."""


def position(ds: dv.Dataset, *pixel: int) -> Any:
    """(Tx, Ty) of a pixel in arcsec, by astropy's high-level objects; the pixel in array order."""
    world = ds.wcs.pixel_to_world(*pixel[::-1])
    sky = next(one for one in world if hasattr(one, "Tx"))
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
    for wrong in ({}, {"version": 2, "corrections": []}, {"version": 1, "corrections": [{}]}):
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

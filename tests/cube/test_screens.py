"""Positions off the limb are computed as sunpy computes them, where a screen is asked for.

On the WCS of BMPNP, which is mirrored and reaches beyond the limb.
"""

from __future__ import annotations

import warnings
from typing import Any

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.wcs import WCS
from astropy.wcs.utils import wcs_to_celestial_frame
from scipy.ndimage import binary_erosion
from sunpy.coordinates import Helioprojective, SphericalScreen
from sunpy.map.header_helper import make_fitswcs_header

import dkist_virtual as dv
from dkist_virtual.errors import DatasetError, DKISTVirtualWarning, SelectionError

RADIUS = 950.0  # arcsec, about the limb's


@pytest.fixture(scope="module")
def prominence(datasets: Any) -> Any:
    """Every 50th pixel of a frame of BMPNP, whose values are their distance from disk centre."""
    ds = datasets("croppable_cryo")[0, 0, 0, ::59, ::50]
    sky = ds.wcs.pixel_to_world(*np.indices(ds.shape)[::-1])
    return ds.with_data(np.hypot(sky.Tx, sky.Ty).to_value(u.arcsec))


def target_of(ds: Any, *, days: float = 0.0, longitude: float = 0.0) -> WCS:
    """A map of the same region, seen at another time, or by an observer farther west."""
    frame = ds.wcs.pixel_to_world(0, 0).frame
    seen_from = SkyCoord(
        frame.observer.lon + longitude * u.deg, frame.observer.lat, frame.observer.radius,
        frame="heliographic_stonyhurst", obstime=frame.obstime + days * u.day,
    )  # fmt: skip
    place = Helioprojective(
        -1130 * u.arcsec, 280 * u.arcsec, observer=seen_from, obstime=seen_from.obstime
    )
    shape = (40, 60)
    return WCS(make_fitswcs_header(shape, SkyCoord(place), scale=[6, 6] * u.arcsec / u.pixel))


def by_sunpy(ds: Any, target: WCS, shape: tuple[int, int]) -> np.ndarray:
    """The distance from disk centre, for the dataset's observer, at each pixel of a target."""
    frame = ds.wcs.pixel_to_world(0, 0).frame
    with SphericalScreen(SkyCoord(frame.observer), only_off_disk=True):
        sky = target.pixel_to_world(*np.indices(shape)[::-1]).transform_to(frame)
    return np.hypot(sky.Tx, sky.Ty).to_value(u.arcsec)


def inner(pixels: np.ndarray) -> np.ndarray:
    """Pixels that lie between those of the dataset: at its edge a value is that of the edge."""
    return binary_erosion(np.isfinite(pixels))


def test_pixels_off_the_limb_are_where_sunpy_puts_them(prominence: Any) -> None:
    target = target_of(prominence, days=0.1, longitude=0.5)
    found = prominence.reproject_to(target, shape_out=(40, 60), screen="spherical")
    pixels, expected = np.asarray(found.data), by_sunpy(prominence, target, (40, 60))
    covered = inner(pixels)
    assert (pixels[covered] > RADIUS + 60).sum() > 500
    np.testing.assert_allclose(pixels[covered], expected[covered], atol=0.3)  # of 6 arcsec a pixel


def test_without_a_screen_they_are_left_out_and_the_warning_names_it(prominence: Any) -> None:
    target = target_of(prominence, days=0.1)
    with pytest.warns(DKISTVirtualWarning, match=r'left out \(NaN\).*screen="spherical"'):
        found = prominence.reproject_to(target, shape_out=(40, 60))
    assert not (np.nan_to_num(found.data) > RADIUS + 60).any()


def test_the_same_observer_and_time_need_none(prominence: Any) -> None:
    target = target_of(prominence)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = np.asarray(prominence.reproject_to(target, shape_out=(40, 60)).data)
    expected = by_sunpy(prominence, target, (40, 60))
    covered = inner(found)
    assert (found[covered] > RADIUS + 60).sum() > 500
    np.testing.assert_allclose(found[covered], expected[covered], atol=0.3)


@pytest.mark.slow
def test_a_mask_is_reprojected_with_the_pixels(prominence: Any) -> None:
    target = target_of(prominence, days=0.1)
    masked = prominence.with_data(prominence.data, mask=prominence.data > RADIUS + 100)
    found = masked.reproject_to(target, shape_out=(40, 60), screen="spherical")
    expected = by_sunpy(prominence, target, (40, 60))
    inside = np.isfinite(found.data) & (np.abs(expected - RADIUS - 100) > 12)
    assert (found.mask[inside] == (expected[inside] > RADIUS + 100)).all()
    assert found.mask[inside].any()


def test_other_screens_and_computing_later_are_refused(prominence: Any) -> None:
    target = target_of(prominence)
    with pytest.raises(DatasetError, match=r"screen='planar': expected \"spherical\" or None"):
        prominence.reproject_to(target, shape_out=(40, 60), screen="planar")
    with pytest.raises(DatasetError, match="leave out return_type"):
        prominence.reproject_to(target, shape_out=(40, 60), screen="spherical", return_type="dask")


def test_a_position_of_another_observer_is_selected(prominence: Any) -> None:
    frame = prominence.wcs.pixel_to_world(0, 0).frame
    there = wcs_to_celestial_frame(target_of(prominence, days=0.1, longitude=0.5))
    wanted = prominence.wcs.pixel_to_world(5, 20)
    assert np.hypot(wanted.Tx, wanted.Ty) > 1000 * u.arcsec
    with SphericalScreen(SkyCoord(frame.observer), only_off_disk=True):
        distant = wanted.transform_to(there)
    seen = SkyCoord(distant.Tx, distant.Ty, frame=there)  # as on a map, without a distance
    with pytest.raises(SelectionError, match='screen="spherical"'):
        prominence.at(sky=seen)
    for found in (
        prominence.at(sky=seen, screen="spherical"),
        prominence.crop(seen, screen="spherical", keepdims=True),
    ):
        assert np.asarray(found.data).item() == prominence.data[20, 5]
    assert isinstance(found, dv.Dataset)

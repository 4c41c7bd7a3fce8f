"""Velocities of shifts, of the telescope and of the rotating Sun: signs by independent roads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import astropy.units as u
import numpy as np
import pytest
from astropy.constants import G, M_sun, R_sun, c
from astropy.coordinates import SkyCoord
from astropy.time import Time
from dkist_assets import unpacked
from sunpy.coordinates import HeliocentricInertial, HeliographicStonyhurst, Helioprojective
from sunpy.sun.models import differential_rotation

import dkist_virtual as dv
from dkist_virtual.science.spectra.velocity import (
    doppler_velocity,
    gravitational_shift,
    observer_velocity,
    rotation_velocity,
    telescope,
    transverse_velocity,
)

RISING = Time("2022-10-24T18:57:45.6335")
"""DKIST's morning, in autumn: the telescope approaches the Sun."""


def test_a_longer_wavelength_recedes() -> None:
    shifted = 630.25 * (1 + np.array([1.0, -2.5, 0.0]) / 299_792.458)
    found = doppler_velocity(shifted, 630.25)
    np.testing.assert_allclose(found, [1.0, -2.5, 0.0], atol=1e-9)
    theirs = (shifted * u.nm).to_value(u.km / u.s, u.doppler_optical(630.25 * u.nm))
    np.testing.assert_allclose(found, theirs, atol=1e-9)


def distance(time: Time) -> Any:
    """From the telescope to the Sun's centre, by sunpy."""
    return telescope().get_itrs(time).transform_to(HeliographicStonyhurst(obstime=time)).radius


def test_obs_vr_is_the_rate_of_the_distance() -> None:
    rate = (distance(RISING + 30 * u.s) - distance(RISING - 30 * u.s)) / (60 * u.s)
    assert rate.to_value(u.m / u.s) == pytest.approx(-786.3, abs=0.1)
    assert observer_velocity(RISING) == pytest.approx(rate.to_value(u.m / u.s), abs=0.1)
    west, north, far, tilt = transverse_velocity(RISING)
    assert far == pytest.approx(distance(RISING).to_value(u.m), rel=1e-6)
    place = telescope().get_itrs(RISING).transform_to(HeliographicStonyhurst(obstime=RISING))
    assert tilt == pytest.approx(place.lat.to_value(u.rad), abs=1e-6)
    # The Earth goes round the Sun as the Sun rotates, to the west: at about 29.8 km/s.
    assert np.hypot(west, north) == pytest.approx(29.7e3, abs=0.5e3)
    assert west > 29e3


@pytest.mark.slow
@pytest.mark.parametrize("name", ["croppable_visp", "large_vbi"])
def test_obs_vr_of_real_headers_is_computed(name: str, tmp_path: Path) -> None:
    """To 0.1 m/s."""
    made: Any = dv.TiledDataset if name == "large_vbi" else dv.Dataset
    opened = made.from_asdf(unpacked(f"{name}.asdf.gz", tmp_path))
    table = opened.combined_headers if name == "large_vbi" else opened.headers
    rows = np.unique(np.linspace(0, len(table) - 1, 12).astype(int))
    times = Time([str(table["DATE-AVG"][n]) for n in rows])
    ours = observer_velocity(times, telescope({k: table[k][0] for k in table.colnames}))
    assert np.abs(ours - np.asarray(table["OBS_VR"])[rows]).max() < 0.1


PLACES = [(-900, 0), (900, 0), (0, 0), (0, 500), (600, -500)]


@pytest.mark.parametrize("law", ["howard", "snodgrass"])
def test_rotation_is_that_of_a_point_that_moves(law: str) -> None:
    """A point of the surface is moved by sunpy, and its distance is taken before and after."""
    west, north, far, tilt = transverse_velocity(RISING)
    lon, lat = np.array(PLACES, float).T * u.arcsec
    found = rotation_velocity(
        lon.to_value(u.rad), lat.to_value(u.rad), distance=far, tilt=tilt,
        transverse=(west, north), law=law,  # type: ignore[arg-type]
    )  # fmt: skip
    seen = telescope().get_itrs(RISING).transform_to(HeliographicStonyhurst(obstime=RISING))
    frame = Helioprojective(obstime=RISING, observer=seen, rsun=6.957e8 * u.m)
    point = SkyCoord(lon, lat, frame=frame).make_3d()
    point = point.transform_to(HeliocentricInertial(obstime=RISING))
    ends = []
    for step in (-30 * u.s, 30 * u.s):
        time = RISING + step
        turn = differential_rotation(step, point.lat, model=law, frame_time="sidereal")
        inertial = HeliocentricInertial(obstime=time)
        moved = SkyCoord(point.lon + turn, point.lat, point.distance, frame=inertial).cartesian
        ends.append((moved - telescope().get_itrs(time).transform_to(inertial).cartesian).norm())
    truth = (ends[1] - ends[0]).to_value(u.km) / 60 - observer_velocity(RISING) / 1e3
    np.testing.assert_allclose(found, truth, atol=2e-4)
    # The east limb approaches, the west limb recedes: by hand, 2.0 km/s less that of the Earth.
    assert found[0] < -1.6
    assert found[1] > 1.6


def test_there_is_no_rotation_off_the_limb() -> None:
    found = rotation_velocity([0.0, 0.006], [0.0, 0.0], distance=1.5e11, tilt=0.0)
    np.testing.assert_array_equal(np.isnan(found), [False, True])


def test_gravity() -> None:
    away = (G * M_sun / c * (1 / R_sun - 1 / u.au.to(u.m) / u.m)).to_value(u.km / u.s)
    assert gravitational_shift() == pytest.approx(away, abs=5e-4)
    assert gravitational_shift() == pytest.approx(0.633, abs=1e-3)

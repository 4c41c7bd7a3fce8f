"""Polarisation and weak fields of profiles made from displaced Zeeman components.

The components are Gaussians moved by the splitting: no derivative of a profile is used. Their signs
are those of the absorption coefficients of Unno's equations (del Toro Iniesta 2003, Introduction to
Spectropolarimetry): for a field towards the observer, V is positive on the blue side.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose

from dkist_virtual.demo.sunspot import LINE, Scene, stokes
from dkist_virtual.science.polarimetry.frame import SOLAR, UNKNOWN, documented_frame
from dkist_virtual.science.polarimetry.profiles import (
    azimuth,
    circular_degree,
    crosstalk,
    linear_degree,
    rotate,
)
from dkist_virtual.science.polarimetry.weak_field import splitting_per_gauss, weak_field

CENTRE, LANDE, SIGMA, DEPTH = 6302.5, 2.5, 0.05, 0.6  # Angstrom
X = CENTRE + np.linspace(-0.4, 0.4, 51)
ALL = np.ones(51, bool)
DOPPLER = SIGMA * np.sqrt(2)


def triplet(
    field: Any, inclination: float = 0.0, azimuth_: float = 0.0, x: Any = X, centre: float = CENTRE
) -> Any:
    """I, Q, U and V of a thin layer with a normal Zeeman triplet; the field in gauss, degrees."""
    split = 4.67e-13 * LANDE * CENTRE**2 * np.asarray(field, float)[..., None]

    def component(at: Any) -> Any:
        return DEPTH * np.exp(-0.5 * ((x - centre - at) / SIGMA) ** 2)

    blue, pi, red = component(-split), component(0), component(split)
    across = np.sin(np.radians(inclination)) ** 2
    along = np.cos(np.radians(inclination))
    linear = -(pi - (blue + red) / 2) / 2 * across
    angle = 2 * np.radians(azimuth_)
    return np.broadcast_arrays(
        1 - (pi * across + (blue + red) / 2 * (1 + along**2)) / 2,
        linear * np.cos(angle), linear * np.sin(angle), (blue - red) / 2 * along,
    )  # fmt: skip


def measured(field: Any, inclination: float = 0.0, **options: Any) -> Any:
    i, _, _, v = triplet(field, inclination)
    how = {"in_line": ALL, "limit": None, **options}
    return weak_field(i, X, v, per_gauss=splitting_per_gauss(CENTRE, LANDE), **how)


# The weak-field approximation -------------------------------------------------------------------


def test_the_splitting_by_hand() -> None:
    # 4.67e-13 * 2.5 * 6302.5**2 = 1.1675e-12 * 39721506.25 = 4.63749e-5 Angstrom per gauss.
    assert_allclose(splitting_per_gauss(6302.5, 2.5), 4.63749e-5, rtol=1e-5)


@pytest.mark.parametrize("sign", [1, -1])
def test_weak_fields_are_found_with_their_sign(sign: int) -> None:
    field, _, splitting = measured(sign * np.array([10.0, 50.0, 100.0, 200.0]))
    assert_allclose(field, sign * np.array([10, 50, 100, 200]), rtol=0.025)
    assert_allclose(field[:2], sign * np.array([10, 50]), rtol=2e-3)
    assert_allclose(splitting[0], 10 * 4.63749e-5 / DOPPLER, rtol=1e-2)


def test_the_sign_by_hand() -> None:
    # A falling intensity, on the blue side of an absorption line, and V of +2.31875 there:
    # V = -4.63749e-5 * B * dI/dlambda. dI/dlambda is -500 per Angstrom, so B is +100 G.
    x = np.array([6302.40, 6302.41, 6302.42, 6302.43, 6302.44])
    field, _, _ = weak_field(
        1000 - 500 * (x - x[0]), x, np.full(5, 2.31875), per_gauss=4.63749e-5,
        in_line=np.ones(5, bool), limit=None,
    )  # fmt: skip
    assert_allclose(field, 100, rtol=1e-5)


def test_strong_fields_saturate_and_the_limit_shows_it() -> None:
    strong = np.array([300.0, 580.0, 700.0, 1000.0, 1500.0, 2000.0, 3000.0])
    for sign in (1, -1):
        field, error, splitting = measured(sign * strong)
        assert_allclose(field[:2], sign * strong[:2], rtol=0.16)
        assert np.all(np.abs(field[4:]) < 0.6 * strong[4:])  # far too weak: it is no measurement
        assert (np.diff(splitting) > 0).all()
        masked, its_error, _ = measured(sign * strong, limit=1 / 3)
        np.testing.assert_array_equal(np.isnan(masked), strong > 590)
        np.testing.assert_array_equal(np.isnan(its_error), strong > 590)
        assert np.isfinite(error).all()


def test_only_the_part_along_the_line_of_sight_counts() -> None:
    field, _, _ = measured(np.array([100.0]), inclination=60)
    assert_allclose(field, 50, rtol=0.02)
    field, _, _ = measured(np.array([100.0]), inclination=120)
    assert_allclose(field, -50, rtol=0.02)


@pytest.mark.parametrize("given", ["noise", "continuum", "rest"])
def test_the_error_is_that_of_many_trials(given: str) -> None:
    rng = np.random.default_rng(20)
    i, _, _, v = triplet(np.full(1500, 100.0))
    noisy = v + rng.normal(0, 1e-3, v.shape)
    in_line = np.abs(X - CENTRE) < 0.2
    how: dict[str, Any] = {"in_line": in_line, "per_gauss": splitting_per_gauss(CENTRE, LANDE)}
    if given == "continuum":
        how["in_continuum"] = np.abs(X - CENTRE) > 0.25
    noise = np.full((1500, 1), 1e-3) if given == "noise" else None
    field, error, _ = weak_field(i, X, noisy, noise, **how)
    assert_allclose(error.mean(), field.std(), rtol=0.08)
    assert_allclose(field.mean(), 100, rtol=0.02)


def test_uneven_samples_and_wavelengths_of_each_spectrum() -> None:
    rng = np.random.default_rng(3)
    x = np.sort(CENTRE + rng.uniform(-0.3, 0.3, (4, 60)), axis=-1)
    i, _, _, v = triplet(np.full(4, -80.0), x=x)
    field, _, _ = weak_field(
        i, x, v, per_gauss=splitting_per_gauss(CENTRE, LANDE), in_line=np.ones(60, bool)
    )
    assert_allclose(field, -80, rtol=0.02)


def test_the_demo_agrees() -> None:
    # Its sunspot has a field of 300 G, 60 degrees from the line of sight, that is towards us.
    one = np.ones((1, 1))
    scene = Scene(one, 0.5 * one, 0 * one, 300 * one, np.pi / 3 * one, np.radians(40) * one, one)
    picometres = np.linspace(-25, 25, 51)
    i, q, u, v = np.moveaxis(stokes(scene, picometres)[..., 0, 0], 0, 0)
    x = 10 * LINE + picometres / 100
    field, _, _ = weak_field(i, x, v, per_gauss=splitting_per_gauss(10 * LINE, 2.5), in_line=ALL)
    assert_allclose(field, 150, rtol=0.05)
    assert_allclose(azimuth(i, x, q, u, of="field")[0], 40, atol=1e-6)


# Azimuth, degrees, cross-talk -------------------------------------------------------------------


@pytest.mark.parametrize("field", [100, 1000, 3000])
def test_the_azimuth_of_weak_and_strong_fields(field: float) -> None:
    for degrees in (0, 30, 90, 135, 179):
        i, q, u, _ = triplet(field, 70, degrees, centre=CENTRE + 0.03)
        found = azimuth(i, X, q + 0.01, u - 0.02, of="field")[0]
        assert_allclose((found - degrees + 90) % 180, 90, atol=1e-3)


def test_the_azimuth_by_hand() -> None:
    # Wings that are polarised along +Q, to the west: 0 degrees; along +U, 45 degrees towards north.
    x = np.array([-2.0, -1.0, 0.0, 1.0, 2.0])
    i = np.array([1, 0.6, 0.2, 0.6, 1])
    wings, none = np.array([0, 0.1, -0.2, 0.1, 0]), np.zeros(5)
    assert_allclose(azimuth(i, x, wings, none, of="field")[0], 0)
    assert_allclose(azimuth(i, x, none, wings, of="field")[0], 45)
    assert_allclose(azimuth(i, x, -wings, none, of="field")[0], 90)
    assert_allclose(azimuth(i, x, none, -wings, of="field")[0], 135)
    assert_allclose(azimuth(i, x, wings, none, of="field", is_emission=True)[0], 90)
    core = np.array([0, 0, -0.2, 0, 0])
    assert_allclose(azimuth(i, x, core, none, of="polarisation")[0], 90)


def test_a_turned_frame() -> None:
    # What is polarised 70 degrees from +Q is 50 degrees from a +Q that is turned by 20 degrees.
    q, u = np.cos(2 * np.radians(70)), np.sin(2 * np.radians(70))
    new = rotate(q, u, np.radians(20))
    assert_allclose(np.degrees(np.arctan2(new[1], new[0]) / 2) % 180, 50)
    # To north, by 90 degrees, both change their sign.
    assert_allclose(rotate(0.3, -0.1, np.pi / 2), (-0.3, 0.1))


def test_degrees_by_hand() -> None:
    x = np.array([0.0, 1.0, 2.0, 4.0])
    i = np.array([[10.0, 5.0, 5.0, 10.0]])
    q, u = np.array([[0.0, 0.3, 0.3, 0.0]]), np.array([[0.0, 0.4, -0.4, 0.0]])
    # Q and U of 0.3 and 0.4 are 0.5, a tenth of I; the mean of 0, 0.1, 0.1, 0 is 0.25 / 4.
    assert_allclose(linear_degree(i, x, q, u, how="maximum")[0], 0.1)
    assert_allclose(linear_degree(i, x, q, u, how="mean")[0], 0.0625)
    v = np.array([[0.0, 1.0, -1.0, 0.0]])
    assert_allclose(circular_degree(i, x, v, how="maximum")[0], 0.2)
    assert_allclose(circular_degree(i, x, -v, how="mean")[0], -0.125)


def test_crosstalk_of_the_continuum() -> None:
    i = np.array([[100.0, 101.0, 99.0, np.nan, 100.0], [100, np.nan, np.nan, np.nan, 100]])
    shares = crosstalk(i, X[:5], 0.02 * i, -0.005 * i)
    assert_allclose(shares[0], [0.02, np.nan])
    assert_allclose(shares[1], [-0.005, np.nan])


def test_what_is_nan_stays_so() -> None:
    i, q, u, v = (np.array(one) for one in triplet(np.full(2, 100.0), 50))
    v[1, 20] = q[1, 3] = np.nan
    field, error, splitting = weak_field(i, X, v, per_gauss=4.6e-5, in_line=ALL)
    for one in (field, error, splitting, azimuth(i, X, q, u, of="field")[0],
                linear_degree(i, X, q, u, how="mean")[0],
                circular_degree(i, X, v, how="maximum")[0]):  # fmt: skip
        assert np.isnan(one).tolist() == [False, True]


# The frame --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("instrument", "version", "name"),
    [
        ("VISP", "2.0.2", SOLAR), ("VISP", "2.0.0", SOLAR), ("VISP", "10.1.0", SOLAR),
        ("VISP", "1.3.0", UNKNOWN), ("VISP", "2.0.0rc5", UNKNOWN), ("VISP", None, UNKNOWN),
        ("VISP", "ZY2KQ", UNKNOWN), ("CRYO-NIRSP", "0.0.7.dev4+g780a64b", SOLAR),
        ("DL-NIRSP", "1.0", SOLAR), ("VTF", "3.0.0", UNKNOWN), ("VBI", "1.8.2", UNKNOWN),
        (None, None, UNKNOWN),
    ],
)  # fmt: skip
def test_the_frame_of_an_instrument(instrument: str | None, version: str | None, name: str) -> None:
    frame = documented_frame(instrument, version)
    assert frame.name == name
    assert frame.is_known == (name == SOLAR)
    assert ("perpendicular" in frame.axes) == (name == SOLAR)
    assert frame.known_by

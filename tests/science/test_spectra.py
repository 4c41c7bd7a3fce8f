"""Measure spectra whose numbers are known by hand, or from numpy and specutils."""

from __future__ import annotations

from typing import Any

import astropy.units as u
import numpy as np
import pytest
from spectra import absorption

from dkist_virtual.errors import DatasetError
from dkist_virtual.science.spectra.brightness import brightness_of_scans, brightness_of_times
from dkist_virtual.science.spectra.continuum import Continuum
from dkist_virtual.science.spectra.cores import QUALITIES, Bisector, LineCore
from dkist_virtual.science.spectra.moments import Moments
from dkist_virtual.science.spectra.samples import trapezium_weights

HIGHEST = Continuum(percentile=100)


def of(*values: float) -> Any:
    return np.array([values], float)


def test_moments_of_uneven_samples_are_those_computed_by_hand() -> None:
    # 1 - I/Ic is 0, 0.6, 0.4, 0, and the trapezium rule weights it by 0.5, 1.5, 1.5, 0.5.
    found = Moments("absorption", None, HIGHEST)(of(10, 4, 6, 10), np.array([0.0, 1, 3, 4]))
    strength, centroid, width, skewness = (one.item() for one in found)
    assert strength == pytest.approx(1.5)  # positive in absorption
    assert centroid == pytest.approx(1.8)
    assert width**2 == pytest.approx(0.96)
    # (0.9 * (-0.8)**3 + 0.6 * 1.2**3) / 1.5 / 0.96**1.5
    assert skewness == pytest.approx(0.384 / 0.96**1.5)


def test_moments_in_emission_weigh_what_is_above_the_continuum() -> None:
    emission = Moments("emission", None, None)
    found = emission(of(10, 16, 14, 10), np.array([0.0, 1, 3, 4]), of(10))
    assert found[0].item() == pytest.approx(15)  # 6 * 1.5 + 4 * 1.5
    assert found[1].item() == pytest.approx(1.8)
    # The same line has a negative width in absorption, and so a centroid nowhere.
    other = Moments("absorption", None, None)(of(10, 16, 14, 10), np.array([0.0, 1, 3, 4]), of(10))
    assert other[0].item() == pytest.approx(-1.5)
    assert np.isnan(other[1].item())


def test_unknown_samples_are_left_out() -> None:
    wavelengths = np.array([0.0, 1, 2, 3, 4])
    spectra = np.array([[10, 4, np.nan, 6, 10], [10, 4, 5, 6, 10], [np.nan] * 3 + [1, 2]])
    found = Moments("absorption", None, HIGHEST, n=2)(spectra, wavelengths)
    alone = [
        Moments("absorption", None, HIGHEST, n=2)(of(10, 4, 6, 10), np.array([0.0, 1, 3, 4])),
        Moments("absorption", None, HIGHEST, n=2)(spectra[1:2], wavelengths),
    ]
    for number in range(2):
        np.testing.assert_allclose(found[number][:2], [one[number].item() for one in alone])
        assert np.isnan(found[number][2])  # fewer than half are known
    known = np.isfinite(spectra[:1])
    np.testing.assert_array_equal(trapezium_weights(wavelengths, known), [[0.5, 1.5, 0, 1.5, 0.5]])


def test_windows_hold_for_each_spectrum_with_wavelengths_of_its_own() -> None:
    wavelengths = np.linspace(0, 4, 41)
    offset = np.array([[0.0], [0.3]])
    spectra = absorption(wavelengths + offset, 2.0, sigma=0.3)
    window = (1.0, 3.0)
    for measured in (
        Moments("absorption", window, HIGHEST),
        LineCore("absorption", window, HIGHEST),
    ):
        together = measured(spectra, wavelengths + offset)
        for row in range(2):
            alone = measured(spectra[row : row + 1], wavelengths + offset[row])
            for one, other in zip(together, alone, strict=True):
                assert one[row] == pytest.approx(other.item())


@pytest.mark.slow
def test_specutils_finds_the_same_on_even_samples() -> None:
    from specutils import Spectrum
    from specutils.analysis import centroid, equivalent_width, moment

    wavelengths = np.linspace(630.0, 630.4, 81)
    flux = absorption(wavelengths, 630.213, sigma=0.03)
    found = Moments("absorption", None, None)(flux[None], wavelengths, of(1000))
    spectrum = Spectrum(flux=flux * u.ct, spectral_axis=wavelengths * u.nm)
    depth = Spectrum(flux=(1 - flux / 1000) * u.one, spectral_axis=wavelengths * u.nm)
    # Theirs is a sum over pixels: the same, where the ends are continuum.
    width = equivalent_width(spectrum, continuum=1000 * u.ct).to_value(u.nm)
    assert found[0].item() == pytest.approx(width, rel=1e-6)
    assert found[1].item() == pytest.approx(centroid(depth, regions=None).to_value(u.nm), abs=1e-9)
    second = moment(depth, order=2, axis="spectral").to_value(u.nm**2)
    assert found[2].item() ** 2 == pytest.approx(second, rel=1e-6)


# Continua -------------------------------------------------------------------------------------


def test_continua_are_those_of_numpy() -> None:
    rng = np.random.default_rng(3)
    wavelengths, spectra = np.sort(rng.uniform(0, 1, 31)), rng.normal(100, 5, (4, 31))
    windows = ((0.0, 0.3), (0.6, 0.8))
    inside = (wavelengths <= 0.3) | ((wavelengths >= 0.6) & (wavelengths <= 0.8))
    unknown = spectra.copy()
    unknown[1, 3:9] = np.nan
    at = np.array([0.25, 0.5])
    for values in (spectra, unknown, spectra.astype(np.float32).astype(float)):
        of_all = Continuum(percentile=90)(values, wavelengths, at)[:, 0]
        np.testing.assert_allclose(of_all, np.nanpercentile(values, 90, axis=-1))
        mean = Continuum(windows, None)(values, wavelengths, at)[:, 0]
        np.testing.assert_allclose(mean, np.nanmean(values[:, inside], axis=-1))
        line = Continuum(windows, None, 2)(values, wavelengths, at)
        for row in range(4):
            use = inside & np.isfinite(values[row])
            wanted = np.polyval(np.polyfit(wavelengths[use], values[row, use], 2), at)
            np.testing.assert_allclose(line[row], wanted)
    for wrong in ({"percentile": 0}, {"percentile": 101}, {"percentile": 5, "degree": 1}):
        with pytest.raises(ValueError, match="continuum"):
            Continuum(**wrong)  # type: ignore[arg-type]


# Cores ----------------------------------------------------------------------------------------


def test_the_vertex_of_a_parabola_through_unequal_samples_is_exact() -> None:
    wavelengths = np.array([-3.0, 0, 1, 3, 3.5])
    intensity = 3 + (wavelengths - 1.2) ** 2
    found = LineCore("absorption", None, HIGHEST)(intensity[None], wavelengths)
    assert [one.item() for one in found[:2]] == pytest.approx([1.2, 3])
    assert found[2].item() == pytest.approx(1 - 3 / intensity.max())
    assert found[3].item() == 0
    top = LineCore("emission", None, None)(20 - intensity[None], wavelengths, of(1))
    assert [one.item() for one in top[:2]] == pytest.approx([1.2, 17])


@pytest.mark.parametrize(
    ("intensity", "quality"),
    [
        ([10, 8, 4, 8, 10], "measured"),
        ([10, 8, 7, 6, 4], "at the edge of the window"),
        ([10, 4, 8, 4.2, 10], "blended"),
        ([10, 4, 4.5, 4.2, 10], "measured"),  # it rises by less than a tenth of the depth
        ([10, 4, 8, 6, 10], "measured"),  # the other one is less deep than 0.8 of the core
        ([10, 18, 30, 9, 10], "of the other sign"),
        ([10, np.nan, np.nan, np.nan, 10], "too few samples"),
        ([10, 8, np.nan, 3, 10], "measured"),
    ],
)
def test_where_there_is_no_core_its_quality_says_why(intensity: list[float], quality: str) -> None:
    core = LineCore("absorption", None, None)
    *found, number = core(of(*intensity), np.arange(5.0), of(10))
    assert QUALITIES[int(number.item())] == quality
    assert all(np.isfinite(one.item()) == (quality == "measured") for one in found)
    # In emission, turned over, it is the same.
    turned = LineCore("emission", None, None)(20 - of(*intensity), np.arange(5.0), of(10))
    assert turned[3].item() == number.item()
    np.testing.assert_allclose(turned[0], found[0])


def test_bisectors_of_a_crooked_line_are_those_computed_by_hand() -> None:
    # Sides from the core at 2: it falls by 3 a step on the left, and rises by 1.5 on the right.
    wavelengths = np.array([0.0, 1, 2, 3, 4, 5, 6])
    intensity = of(10, 7, 4, 5.5, 7, 8.5, 10)
    core = LineCore("absorption", None, None)
    lowest = core(intensity, wavelengths, of(10))[1].item()
    assert lowest == pytest.approx(3.9375)  # the parabola through 7, 4 and 5.5
    levels = (0.5, 0.75)
    found = Bisector(core, levels)(intensity, wavelengths, of(10))
    for number, level in enumerate(levels):
        wanted = lowest + level * (10 - lowest)
        left, right = 2 - (wanted - 4) / 3, 2 + (wanted - 4) / 1.5
        assert found[number].item() == pytest.approx((left + right) / 2)  # to the red
        assert found[2 + number].item() == pytest.approx(right - left)
    never = Bisector(core, (0.5,))(of(5, 5, 4, 5.5, 7, 8.5, 10), wavelengths, of(10))
    assert np.isnan(never[0].item())


# Scans ----------------------------------------------------------------------------------------


def test_brightness_that_grows_during_scans_is_told_from_the_line() -> None:
    times = np.arange(12.0).reshape(3, 4)
    line = np.array([1.0, 0.4, 0.6, 1.0])
    bright = np.exp(0.03 * times)
    found = brightness_of_scans(line * bright, times)
    np.testing.assert_allclose(found, bright / bright.mean(), rtol=1e-10)
    # One frame that is not there counts for nothing.
    means = line * bright
    means[1, 2] = np.nan
    np.testing.assert_allclose(brightness_of_scans(means, times), found, rtol=1e-10)


def test_brightness_at_other_times_is_interpolated() -> None:
    found = brightness_of_times(
        np.array([[0.5, 1.5]]), np.array([2.0, 0, 1]), np.array([4.0, 2, 3])
    )
    np.testing.assert_allclose(found, [[2.5 / 3, 3.5 / 3]])
    with pytest.raises(DatasetError, match="expected some at the times of all"):
        brightness_of_times(np.array([9.0]), np.array([0.0, 1]), np.ones(2))
    with pytest.raises(DatasetError, match="two times at least"):
        brightness_of_times(np.array([0.0]), np.array([0.0, 1]), np.array([1, np.nan]))

"""Export spectra to specutils, and put back what it returns."""

from __future__ import annotations

import sys
from typing import Any

import astropy.units as u
import numpy as np
import pytest
from astropy.nddata import StdDevUncertainty
from spectra import absorption, on_real, out_of_order, real, wavelengths_of
from specutils.analysis import equivalent_width
from specutils.manipulation import gaussian_smooth
from specutils.spectra import Spectrum

from dkist_virtual.errors import DatasetError, DKISTVirtualWarning, SelectionError


@pytest.fixture(scope="module")
def raster(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Steps, wavelengths, positions along the slit: the wavelength is in the middle."""
    whole = real("croppable_visp", tmp_path_factory.mktemp("visp"))
    ds = whole[0, 100:104, 400:460, 1000:1003]
    middle = float(wavelengths_of(ds).mean()) + 0.002 * np.arange(4)[:, None, None]
    return on_real(ds, absorption(wavelengths_of(ds), middle, continuum=1000 + np.arange(3)))


def test_a_spectrum_has_what_the_dataset_has(raster: Any) -> None:
    ds = raster.with_data(np.asarray(raster.data), unit="ct", meta={"note": "mine"})
    ds.uncertainty = StdDevUncertainty(np.asarray(ds.data) / 10)
    ds.mask = np.asarray(ds.data) > 1001
    spectrum = ds.to_spectrum()
    assert type(spectrum) is Spectrum
    np.testing.assert_array_equal(spectrum.flux.value, np.moveaxis(np.asarray(ds.data), 1, -1))
    assert (spectrum.unit, spectrum.spectral_axis.unit) == (u.ct, u.nm)
    np.testing.assert_array_equal(spectrum.spectral_axis.value, np.ravel(wavelengths_of(ds)))
    np.testing.assert_array_equal(spectrum.uncertainty.array, spectrum.flux.value / 10)
    np.testing.assert_array_equal(spectrum.mask, np.moveaxis(np.asarray(ds.mask), 1, -1))
    meta = spectrum.meta
    assert (meta["note"], meta["wavelength_medium"], meta["datasetId"]) == ("mine", "air", "BKEWK")
    assert list(meta["headers"]["DATE-AVG"]) == list(ds.headers["DATE-AVG"])
    again = ds.with_data(spectrum)
    np.testing.assert_array_equal(again.data, ds.data)
    np.testing.assert_array_equal(again.mask, ds.mask)
    np.testing.assert_array_equal(again.uncertainty.array, ds.uncertainty.array)
    assert again.unit == u.ct


def test_what_specutils_measures_is_what_we_do(raster: Any) -> None:
    """On evenly spaced samples; specutils counts the width of each, also of the first and last."""
    part = raster[1, :, 1]
    theirs = equivalent_width(part.to_spectrum(), continuum=1001 * u.ct)
    ours = raster.spectral.moments(continuum=100).equivalent_width
    np.testing.assert_allclose(theirs.to_value(u.nm), np.asarray(ours.data)[1, 1], rtol=1e-3)


def test_a_smoothed_spectrum_comes_back(raster: Any) -> None:
    smooth = raster.with_data(gaussian_smooth(raster.to_spectrum(), 2))
    assert smooth.shape == raster.shape
    assert smooth.unit == u.ct
    assert smooth.lineage.is_computed
    one = raster[2, :, 1]
    alone = gaussian_smooth(one.to_spectrum(), 2)
    np.testing.assert_allclose(np.asarray(smooth.data)[2, :, 1], alone.flux.value)
    np.testing.assert_allclose(np.asarray(one.with_data(alone).data), alone.flux.value)
    relative = raster.with_data(raster.to_spectrum() / (1000 * u.ct))
    assert relative.unit == u.dimensionless_unscaled


def test_wavelengths_out_of_order_are_put_back() -> None:
    scan = out_of_order()
    scan.data = np.arange(140.0).reshape(7, 4, 5)
    spectrum = scan.to_spectrum()
    assert (np.diff(spectrum.spectral_axis.value) > 0).all()
    np.testing.assert_array_equal(scan.with_data(spectrum * 2).data, scan.data * 2)


def test_what_does_not_fit_is_refused(raster: Any) -> None:
    with pytest.raises(SelectionError, match="the wavelength changes"):
        raster[:, 5].to_spectrum()
    cut = raster[0, :40].to_spectrum()
    with pytest.raises(DatasetError, match=r"expected a Spectrum of the 60 wavelengths.*found 40"):
        raster[0].with_data(cut)
    moved = raster[0].to_spectrum()
    moved.shift_spectrum_to(radial_velocity=10 * u.km / u.s)
    with pytest.raises(DatasetError, match="select those first"):
        raster[0].with_data(moved)
    with pytest.raises(DatasetError, match="expected an array of shape"):
        raster[:2].with_data(raster[:3].to_spectrum())
    added = raster[0]
    added.psf = np.eye(3)
    with pytest.warns(DKISTVirtualWarning, match="point spread function are left behind"):
        added.to_spectrum()


def test_without_specutils_the_extra_is_named(raster: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "specutils", None)
    with pytest.raises(ImportError, match=r"dkist_virtual\[spectra\]"):
        raster.to_spectrum()
    assert raster.with_data(np.zeros(raster.shape)).shape == raster.shape

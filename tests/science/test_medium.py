"""Air and vacuum: the conversion, and what datasets say of their wavelengths."""

from __future__ import annotations

import warnings
from types import SimpleNamespace
from typing import Any

import astropy.units as u
import numpy as np
import pytest
from astropy.table import Table
from astropy.wcs import WCS
from specutils.utils import wcs_utils as specutils

from dkist_virtual.errors import DKISTVirtualWarning, SelectionError
from dkist_virtual.science.spectra import medium
from dkist_virtual.science.spectra.medium import air_to_vacuum, medium_of, vacuum_to_air

WAVELENGTHS = np.concatenate([np.linspace(250, 1000, 76), np.linspace(1000, 5000, 41)]) * u.nm


@pytest.mark.parametrize(
    ("method", "within"),
    [("PeckReeder1972", 1.4), ("Edlen1953", 3.0), ("Ciddor1996", 6.0), ("Morton2000", 6.0)],
)
def test_the_conversion_is_that_of_specutils_from_uv_to_5_um(method: str, within: float) -> None:
    """To so many m/s."""
    ours = vacuum_to_air(WAVELENGTHS)
    theirs = specutils.vac_to_air(WAVELENGTHS, method=method)
    assert (abs(ours / theirs - 1) * 299_792_458).max() < within
    back = specutils.air_to_vac(ours, scheme="iteration", method=method)
    assert (abs(back / WAVELENGTHS - 1) * 299_792_458).max() < within


def test_the_conversion_is_that_of_astropy_wcs() -> None:
    """To 4 m/s: wcslib has Edlen's formula of 1953."""
    for air in (393.4, 630.25, 1083.0, 4666.0):
        wcs = WCS({"CTYPE1": "AWAV", "CUNIT1": "nm", "CRVAL1": air, "CDELT1": 1.0, "CRPIX1": 1.0})
        wcs.wcs.set()
        wcs.wcs.sptr("WAVE-A2W")
        off = wcs.wcs.crval[0] * u.m / air_to_vacuum(air * u.nm) - 1
        assert abs(off.to_value(u.one)) * 299_792_458 < 4.0


def test_the_formula_of_the_fits_paper_is_of_air_at_0_degrees() -> None:
    theirs = specutils.vac_to_air(WAVELENGTHS, method="Greisen2006")
    off = (vacuum_to_air(WAVELENGTHS) / theirs - 1).value * 299_792.458
    assert ((off > 4.4) & (off < 4.9)).all()


def test_there_and_back() -> None:
    air = np.array([[185.1, 393.3664], [1083.03, 4666.24]]) * u.nm
    vacuum = air_to_vacuum(air)
    np.testing.assert_allclose(vacuum_to_air(vacuum).value, air.value, rtol=3e-16)
    assert vacuum.unit == u.nm
    assert air_to_vacuum(10830.3 * u.AA).unit == u.AA
    assert air_to_vacuum(1083 * u.nm).to_value(u.AA) == air_to_vacuum(10830 * u.AA).value
    # Neon, NIST: 8417.1597 in air is 8419.4727 in vacuum (Sansonetti et al. 2004).
    assert air_to_vacuum(8417.1597 * u.AA).value == pytest.approx(8419.4727, abs=5e-5)


def test_what_has_no_medium_is_refused() -> None:
    with pytest.raises(SelectionError, match="from 185 nm on"):
        vacuum_to_air([121.6, 500] * u.nm)
    with pytest.raises(SelectionError, match=r"expected a wavelength, found <Quantity 5\. GHz>"):
        vacuum_to_air(5 * u.GHz)
    with pytest.raises(SelectionError, match='expected "air" or "vacuum"'):
        medium.check_medium("Air")
    with pytest.raises(SelectionError, match="wavelength_medium"):
        medium.convert(630 * u.nm, None, "air")


def dataset(headers: Any = None, meta: Any = None, wcs: Any = None) -> Any:
    return SimpleNamespace(headers=headers, meta=meta or {}, wcs=wcs)


@pytest.mark.parametrize(
    ("cards", "found"),
    [
        ({"WAVEREF": "Air", "CTYPE2": "AWAV"}, "air"),
        ({"WAVEREF": "Vacuum", "CTYPE3": "WAVE"}, "vacuum"),
        ({"WAVEREF": "vacuum"}, "vacuum"),
        ({"CTYPE1": "AWAV-GRA", "CTYPE2": "HPLN-TAN"}, "air"),
        ({"CTYPE1": "WAVE-TAB"}, "vacuum"),
        ({"WAVEREF": "unknown", "CTYPE1": "HPLN-TAN"}, None),
        ({}, None),
    ],
)
def test_headers_say_the_medium(cards: dict[str, str], found: str | None) -> None:
    table = Table({key: [value] * 3 for key, value in cards.items()}) if cards else None
    assert medium_of(dataset(table)) == found
    assert medium_of(dataset(meta=cards)) == found


def test_air_where_they_disagree_and_that_is_said_once() -> None:
    medium._SAID.clear()
    table = Table({"WAVEREF": ["Air", "Air"], "CTYPE3": ["WAVE", "WAVE"]})
    with pytest.warns(DKISTVirtualWarning, match="WAVEREF is Air, CTYPE is WAVE: taken to be in a"):
        assert medium_of(dataset(table)) == "air"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert medium_of(dataset(table)) == "air"
        medium._SAID.clear()
        assert medium_of(dataset(table), warn=False) == "air"
        # The user knows better.
        assert medium_of(dataset(table, {"wavelength_medium": "vacuum"})) == "vacuum"


def test_masked_cells_say_nothing() -> None:
    table = Table({"WAVEREF": ["Air", "x"], "CTYPE1": ["WAVE", "HPLN-TAN"]}, masked=True)
    table["CTYPE1"].mask = [True, False]
    table["WAVEREF"].mask = [False, True]
    assert medium_of(dataset(table)) == "air"


def test_a_wcs_of_fits_says_the_medium() -> None:
    wcs = WCS({"CTYPE1": "AWAV", "CUNIT1": "nm", "CTYPE2": "HPLT-TAN", "CTYPE3": "HPLN-TAN"})
    assert medium_of(dataset(wcs=wcs)) == "air"
    assert medium_of(dataset(wcs=wcs[0])) == "air"
    assert medium_of(dataset(wcs=WCS({"CTYPE1": "FREQ"}))) is None

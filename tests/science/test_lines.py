"""The table of lines: names, wavelengths, Landé factors."""

from __future__ import annotations

import astropy.units as u
import numpy as np
import pytest

import dkist_virtual as dv
from dkist_virtual.errors import SelectionError
from dkist_virtual.science.spectra.lines import LINES, find_line, lande_factor, lines


def test_lines_are_in_order_and_their_names_differ() -> None:
    assert [line.air for line in LINES] == sorted(line.air for line in LINES)
    names = [name for line in LINES for name in (line.name, *line.aliases)]
    assert len({name.lower().replace(" ", "") for name in names}) == len(names)
    assert all(line.source for line in LINES)
    assert all(line.lande_source for line in LINES if line.lande is not None)
    assert all(find_line(name) is line for line in LINES for name in (line.name, *line.aliases))


# Wavenumbers of both levels (cm^-1) as NIST lists them, and the term of each: the wavelength in
# vacuum and the Landé factor follow from these without our table and formula.
LEVELS = {
    "Fe I 630.15": (29469.022, 45333.872, 5 / 3),
    "Fe I 630.25": (29732.734, 45595.083, 2.5),
    "Ca II 849.80": (13650.190, 25414.400, 16 / 15),
    "Ca II 854.21": (13710.880, 25414.400, 1.1),
    "Ca II 866.21": (13650.190, 25191.510, 5 / 6),
    "Ca II K": (0, 25414.400, 7 / 6),
    "Ca II H": (0, 25191.510, 4 / 3),
    "Na I D1": (0, 16956.172, 4 / 3),
    "Na I D2": (0, 16973.367, 7 / 6),
    "Mg I b4": (21850.405, 41197.403, 2.0),
    "Mg I b2": (21870.464, 41197.403, 1.75),
    "Mg I b1": (21911.178, 41197.403, 1.25),
    "Fe I 1565.29": (50377.905, 56764.763, 1.53),
}


@pytest.mark.parametrize("name", LEVELS)
def test_wavelengths_in_vacuum_are_those_of_the_levels(name: str) -> None:
    lower, upper, lande = LEVELS[name]
    line = find_line(name)
    # 0.1 km/s: levels and wavelengths are of different years.
    assert line.vacuum == pytest.approx(1e7 / (upper - lower), rel=0.1 / 299_792)
    assert line.lande == pytest.approx(lande, abs=1e-4)


def test_vacuum_wavelengths_of_helium_are_those_of_nist() -> None:
    known = {"He I 1082.91": 1083.2057, "He I 1083.025": 1083.3217, "He I 1083.034": 1083.3307}
    for name, vacuum in known.items():
        assert find_line(name).vacuum == pytest.approx(vacuum, abs=5.5e-5)
    blend = find_line("He I 1083.0")
    parts = [find_line("He I 1083.025").air, find_line("He I 1083.034").air]
    assert blend.air == pytest.approx(np.average(parts, weights=[3, 5]), abs=1e-5)
    assert blend.lande is None


def test_vacuum_read_as_air_is_82_km_s_off_at_helium() -> None:
    line = find_line("He I 1083.0")
    off = (line.vacuum * u.nm).to(u.km / u.s, u.doppler_optical(line.air * u.nm))
    assert off.value == pytest.approx(82.1, abs=0.1)


def test_lande_factors_of_levels_without_angular_momentum() -> None:
    # 5P1 - 5D0: that of 5P1 alone, 2.5; 1S0 - 1P1: the normal Zeeman triplet.
    assert lande_factor((2, 1, 1), (2, 2, 0)) == 2.5
    assert lande_factor((0, 0, 0), (0, 1, 1)) == 1.0
    assert lande_factor((2, 3, 1), (2, 2, 0)) == 0.0


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("fe i 630.25", "Fe I 630.25"),
        ("FeI 6302.5", "Fe I 630.25"),
        ("Fe I (630.25 nm)", "Fe I 630.25"),  # the WAVEBAND of headers
        ("Ca II H (396.85 nm)", "Ca II H"),
        ("Ca II 8542 Å", "Ca II 854.21"),
        ("H\N{GREEK SMALL LETTER ALPHA}", "H alpha"),
        ("H I 656.3 nm", "H alpha"),
        ("He I (1083.0 nm)", "He I 1083.0"),
        ("Na I D1 (589.59 nm)", "Na I D1"),
        ("Mg I b2 517.27", "Mg I b2"),
        # DKIST calls this line b1 in its WAVEBAND, where the literature calls it b2.
        ("Mg I b1 (517.27 nm)", "Mg I b2"),
        ("Mg I b1", "Mg I b1"),
        ("Ca II (849.81 nm)", "Ca II 849.80"),
        ("Fe I 709.0", "Fe I 709.04"),
        ("Fe I 15648.5", "Fe I 1564.85"),
    ],
)
def test_a_line_has_many_names(name: str, found: str) -> None:
    assert find_line(name).name == found


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("Fe I 630.2", "any of several lines: expected one of Fe I 630.15, Fe I 630.25;"),
        ("Ti I (453.6 nm)", "any of several lines: expected one of Ti I 453.56, Ti I 453.59"),
        ("Fe I 640", "not in the table of lines: expected one of Fe I 630.25, Fe I 630.15"),
        ("H alfa", "not in the table of lines: expected one of H alpha"),
        ("xyz", "not in the table of lines: dv.lines()"),
    ],
)
def test_another_name_is_refused_with_those_that_are_near(name: str, said: str) -> None:
    with pytest.raises(SelectionError, match="line=") as caught:
        find_line(name)
    assert said in str(caught.value)
    assert "630.25 * u.nm" in str(caught.value)


def test_the_table_prints() -> None:
    table = dv.lines()
    assert dv.lines is lines
    assert len(table) == len(LINES)
    assert table["air"].unit == table["vacuum"].unit == u.nm
    assert np.isnan(table["lande"][[name == "H alpha" for name in table["name"]]]).all()
    assert list(dv.lines("ca ii")["name"]) == [n.name for n in LINES if n.ion == "Ca II"]
    assert "393.3664" in str(dv.lines("Ca II"))
    with pytest.raises(SelectionError, match="expected one of Ca II"):
        dv.lines("Xx")

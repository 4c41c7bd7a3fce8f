"""List spectral lines: wavelengths in air and vacuum, Landé factors, and their sources."""

from __future__ import annotations

import re
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cached_property
from typing import TYPE_CHECKING, Final

from dkist_virtual.errors import SelectionError

if TYPE_CHECKING:
    from astropy.table import QTable
    from astropy.units import Quantity

    from dkist_virtual.science.spectra.medium import Medium

__all__ = ["LINES", "SpectralLine", "find_line", "lande_factor", "lines"]


def lande_factor(lower: tuple[float, float, float], upper: tuple[float, float, float]) -> float:
    """Compute the effective Landé factor of a transition between two levels in LS coupling.

    Landi Degl'Innocenti & Landolfi 2004, Polarization in Spectral Lines:
    g = 1 + (J(J+1) + S(S+1) - L(L+1)) / (2 J(J+1)) of a level, 0 where J = 0, and
    g_eff = (g1 + g2)/2 + (g1 - g2)(J1(J1+1) - J2(J2+1))/4.

    Parameters
    ----------
    lower, upper : tuple of float
        S, L and J of the level.
    """

    def level(spin: float, orbit: float, total: float) -> float:
        square = total * (total + 1)
        if not square:
            return 0.0
        return 1 + (square + spin * (spin + 1) - orbit * (orbit + 1)) / (2 * square)

    one, two = level(*lower), level(*upper)
    difference = lower[2] * (lower[2] + 1) - upper[2] * (upper[2] + 1)
    return (one + two) / 2 + (one - two) * difference / 4


@dataclass(frozen=True)
class SpectralLine:
    """A spectral line.

    Parameters
    ----------
    name : str
        The ion and the wavelength in air, in nm, as in ``Fe I 630.25``, or a letter.
    air : float
        Wavelength in air, in nm.
    lande : float or None
        The effective Landé factor; None where the line is a blend of components.
    source : str
        Of the wavelength.
    lande_source : str
        Of the Landé factor.
    aliases : tuple of str
        Other names.
    note : str
    """

    name: str
    air: float
    lande: float | None
    source: str
    lande_source: str = ""
    aliases: tuple[str, ...] = ()
    note: str = ""

    def __post_init__(self) -> None:
        if not 100 < self.air < 30_000:
            raise ValueError(f"{self.name}: a wavelength in nm was expected, found {self.air}")

    @cached_property
    def vacuum(self) -> float:
        """Wavelength in vacuum, in nm."""
        return float(self.wavelength("vacuum").value)

    @property
    def ion(self) -> str:
        """The ion, as in ``Fe I``."""
        element, stage, *_ = self.name.split()
        return f"{element} {stage}" if set(stage) <= set("IVX") else f"{element} I"

    def wavelength(self, medium: Medium = "air") -> Quantity:
        """Return the wavelength in a medium, in nm."""
        import astropy.units as u

        from dkist_virtual.science.spectra.medium import convert

        return convert(self.air * u.nm, "air", medium)

    def __str__(self) -> str:
        lande = "" if self.lande is None else f", effective Landé factor {self.lande:.3g}"
        return (
            f"{self.name}: {self.air:.4f} nm in air, {self.vacuum:.4f} nm in vacuum{lande} "
            f"({self.source})"
        )


# Sources ----------------------------------------------------------------------------------------

# Compared with public line lists, or with the wavenumbers of the levels: H, He I, Na I, Mg I, Si I,
# Ca II and Fe XIII, and of Fe I those at 525, 557, 617, 630 and 1565 nm. Others are from their
# sources as these are quoted, to the digits that are given.
_NIST: Final = "NIST Atomic Spectra Database (2024)"
_NAVE: Final = "Nave et al. 1994, ApJS 94, 221"
_VALD: Final = "VALD3 (Ryabchikova et al. 2015)"
_CHIANTI: Final = "CHIANTI 10 (Del Zanna et al. 2021), in vacuum"
_LS: Final = "LS coupling"

_TERM: Final = re.compile(r"(\d)([SPDFGH])([\d/]+)$")


def _quantum_numbers(term: str) -> tuple[float, float, float]:
    """Read S, L and J of a level that is written as 5P1 or 2D5/2."""
    found = _TERM.match(term)
    if found is None:
        raise ValueError(f"{term!r}: expected a term such as 5P1 or 2D5/2")
    above, _, below = found[3].partition("/")
    return (int(found[1]) - 1) / 2, "SPDFGH".index(found[2]), int(above) / int(below or 1)


def _line(
    name: str, air: float, terms: str, source: str, *aliases: str, note: str = ""
) -> SpectralLine:
    """Make a line whose Landé factor is that of LS coupling; of a blend there are no terms."""
    if not terms:
        return SpectralLine(name, air, None, source, "", aliases, note)
    lower, upper = (_quantum_numbers(term) for term in terms.split())
    lande = round(lande_factor(lower, upper), 4)
    return SpectralLine(name, air, lande, source, f"{_LS} of {terms}", aliases, note)


_BALMER: Final = "mean of the fine structure, weighted by oscillator strengths"
_HE: Final = "mean of the two strong components, weighted by 2J + 1 of their 3P level"

LINES: Final[tuple[SpectralLine, ...]] = (
    _line("Ca II K", 393.3664, "2S1/2 2P3/2", _VALD, "Ca II 393.37", "CaK"),
    _line("Ca II H", 396.8469, "2S1/2 2P1/2", _VALD, "Ca II 396.85", "CaH"),
    _line("H delta", 410.1734, "", _VALD, "H I 410.17", note=_BALMER),
    _line("Ca I 422.67", 422.6728, "1S0 1P1", _NIST),
    _line("H gamma", 434.0462, "", _VALD, "H I 434.05", note=_BALMER),
    _line("Ti I 453.56", 453.5568, "5F3 5F3", _VALD),
    _line("Ti I 453.59", 453.5915, "5F2 5F2", _VALD),
    _line("Ti I 453.60", 453.6040, "5F1 5F1", _VALD),
    _line("Ba II 455.40", 455.4029, "2S1/2 2P3/2", _NIST),
    _line("Sr I 460.73", 460.7331, "1S0 1P1", _NIST),
    _line("H beta", 486.1323, "", _VALD, "H I 486.13", note=_BALMER),
    _line("Mg I b4", 516.73216, "3P0 3S1", _NIST, "Mg I 516.73", "Mg b4"),
    _line("Mg I b2", 517.26843, "3P1 3S1", _NIST, "Mg I 517.27", "Mg b2"),
    _line("Mg I b1", 518.36042, "3P2 3S1", _NIST, "Mg I 518.36", "Mg b1"),
    _line("Fe I 525.02", 525.02089, "5D0 7D1", _NAVE),
    _line("Fe I 525.06", 525.06457, "5P2 5P3", _NAVE),
    _line("Fe XIV 530.3", 530.286, "2P1/2 2P3/2", _NIST, "Fe XIV 530.29"),
    _line("Mn I 539.47", 539.4677, "6S5/2 8P7/2", _VALD, note="broad by hyperfine structure"),
    _line("Fe I 543.45", 543.4524, "5F1 5D0", _NAVE),
    _line("Fe I 557.61", 557.60888, "5F1 5D0", _NAVE),
    _line("He I D3", 587.56244, "", _NIST, "He I 587.56", "He I 587.59", note=_HE),
    _line("Na I D2", 588.995095, "2S1/2 2P3/2", _NIST, "Na I 589.00", "Na D2"),
    _line("Na I D1", 589.592424, "2S1/2 2P1/2", _NIST, "Na I 589.59", "Na D1"),
    _line("Fe I 617.33", 617.33356, "5P1 5D0", _NAVE),
    _line("Fe I 630.15", 630.15012, "5P2 5D2", _NAVE),
    _line("Fe I 630.25", 630.24936, "5P1 5D0", _NAVE),
    _line("H alpha", 656.2797, "", _VALD, "H I 656.28", note=_BALMER),
    SpectralLine("Ni I 676.78", 676.777, 1.426, _NIST, "measured: Bruls 1993"),
    _line("Fe I 709.04", 709.0383, "5D0 5F1", _NAVE),
    _line("K I 769.90", 769.89645, "2S1/2 2P1/2", _NIST, "K I D1"),
    _line("Fe XI 789.2", 789.18, "3P2 3P1", _NIST, "Fe XI 789.18", note="known to 0.01 nm"),
    _line("Ca II 849.80", 849.8023, "2D3/2 2P3/2", _VALD, "Ca II 849.81"),
    _line("Ca II 854.21", 854.2091, "2D5/2 2P3/2", _VALD),
    _line("Ca II 866.21", 866.2141, "2D3/2 2P1/2", _VALD, "Ca II 866.22"),
    _line("Fe XIII 1074.7", 1074.6161, "3P0 3P1", _CHIANTI, "Fe XIII 1074.62"),
    _line("Fe XIII 1079.8", 1079.7811, "3P1 3P2", _CHIANTI, "Fe XIII 1079.78"),
    _line("Si I 1082.71", 1082.7089, "3P2 3P2", _NIST),
    _line("He I 1082.91", 1082.90911, "3S1 3P0", _NIST),
    _line("He I 1083.025", 1083.02501, "3S1 3P1", _NIST),
    _line("He I 1083.0", 1083.03061, "", _NIST, "He I 1083", "He I 1083.03", note=_HE),
    _line("He I 1083.034", 1083.03398, "3S1 3P2", _NIST),
    _line("Si X 1430", 1430.08, "2P1/2 2P3/2", _CHIANTI, "Si X 1430.1", note="known to 0.01 nm"),
    _line("Fe I 1564.85", 1564.8515, "7D1 7D1", _NAVE),
    SpectralLine("Fe I 1565.29", 1565.2874, 1.53, _NAVE, "Borrero et al. 2005, table 1"),
)
"""By wavelength."""


# Finding ----------------------------------------------------------------------------------------


def find_line(name: str) -> SpectralLine:
    """Find a line by its name.

    Spaces, capitals and a unit do not matter: ``Fe I 630.25``, ``FeI 630.25 nm``, ``Fe I 6302.5``
    (Å), ``Fe I (630.25 nm)`` as in the WAVEBAND of headers, ``Ca II K``, ``H alpha``, ``He I D3``.
    A wavelength with fewer digits finds the line where there is one of that ion. Where a letter
    and a wavelength are given, the wavelength counts: DKIST's headers call the line at 517.27 nm
    Mg I b1 and that at 518.36 nm b2, which the literature calls b2 and b1.

    Raises
    ------
    SelectionError
        There is no such line, or several: the message names those that are near.
    """
    if isinstance(name, SpectralLine):
        return name
    if not isinstance(name, str):
        raise SelectionError(
            f"line={name!r}: expected a name, such as 'Fe I 630.25', or a wavelength, 630.25 * u.nm"
        )
    if (found := _BY_NAME.get(_plain(name))) is not None:
        return found
    match = _NUMBERED.match(_UNIT.sub("", name.lower()))
    ion, digits = ("", "0") if match is None else (_plain(match[1]), match[2])
    near = _of_wavelength(ion, digits)
    if len(near) == 1:
        return near[0]
    said = "is any of several lines" if near else "is not in the table of lines"
    if not near:
        of_ion = [line for line in LINES if ion.startswith(_plain(line.ion))]
        near = sorted(of_ion, key=lambda line: abs(line.air - _nm(digits)[0]))[:4]
    names = [line.name for line in near]
    if not names:
        known = get_close_matches(_plain(name), _BY_NAME, 4, 0.5)
        names = list(dict.fromkeys(_BY_NAME[one].name for one in known))
    expected = f"expected one of {', '.join(names)}; " if names else ""
    raise SelectionError(
        f"line={name!r}: {said}: {expected}dv.lines() shows all, and a wavelength, such as "
        "line=630.25 * u.nm, is taken as it is"
    )


def _of_wavelength(ion: str, digits: str) -> list[SpectralLine]:
    """List the lines of an ion, a letter after it or not, at a wavelength to so many digits."""
    wavelength, half = _nm(digits)
    return [
        line
        for line in LINES
        if ion == _plain(line.ion)
        or (ion.startswith(_plain(line.ion)) and ion[len(_plain(line.ion)) :] in _LETTERS)
        if abs(line.air - wavelength) <= half * (1 + 1e-9)
    ]


def _nm(digits: str) -> tuple[float, float]:
    """Read a wavelength, in nm or in Å, and half of the last digit, in nm."""
    value, half = float(digits), 0.5 * 10.0 ** -len(digits.partition(".")[2])
    return (value / 10, half / 10) if value > _ANGSTROMS else (value, half)


_ANGSTROMS: Final = 3000.0
"""Numbers above are taken to be in Å: no line of the table has so many nm."""

_LETTERS: Final = ("h", "k", "b1", "b2", "b4", "b", "d", "d1", "d2", "d3")
"""What may stand between an ion and a wavelength, as in ``Ca II H (396.85 nm)``."""


def _plain(name: str) -> str:
    """Return a name without what does not matter in it: capitals, spaces, parentheses, a unit."""
    plain = name.lower()
    for letter, word in _GREEK.items():
        plain = plain.replace(letter, word)
    return re.sub(r"[\s()_\-]", "", _UNIT.sub("", plain))


_GREEK: Final = {"\u03b1": "alpha", "\u03b2": "beta", "\u03b3": "gamma", "\u03b4": "delta"}

_UNIT: Final = re.compile(r"\s*(?:nm|å|aa|angstrom)[\s)]*$")

_NUMBERED: Final = re.compile(r"(.*?)[\s(_\-]*(\d{3,5}(?:\.\d*)?)[\s)]*$")

_BY_NAME: Final = {_plain(n): line for line in LINES for n in (line.name, *line.aliases)}


def lines(ion: str | None = None) -> QTable:
    """List the spectral lines that the package knows by name.

    Parameters
    ----------
    ion : str, optional
        Such as ``Fe I``: only its lines.

    Returns
    -------
    astropy.table.QTable
        Name, wavelength in air and in vacuum (nm), effective Landé factor (NaN of blends), the
        sources of both, and a note. ``dv.lines().pprint_all()`` prints all of it.

    Examples
    --------
    >>> import dkist_virtual as dv
    >>> print(dv.lines("Ca II")["name", "air", "vacuum", "lande"])
        name      air    vacuum  lande
                   nm       nm
    ----------- -------- -------- -----
        Ca II K 393.3664 393.4778 1.167
        Ca II H 396.8469 396.9592 1.333
    Ca II 849.80 849.8023 850.0358 1.067
    Ca II 854.21 854.2091 854.4438   1.1
    Ca II 866.21 866.2141 866.4520 0.833
    """
    import astropy.units as u
    import numpy as np
    from astropy.table import QTable

    chosen = [line for line in LINES if ion is None or _plain(line.ion) == _plain(ion)]
    if not chosen:
        ions = ", ".join(dict.fromkeys(line.ion for line in LINES))
        raise SelectionError(f"lines({ion!r}): expected one of {ions}")
    table = QTable(
        {
            "name": [line.name for line in chosen],
            "air": [line.air for line in chosen] * u.nm,
            "vacuum": [line.vacuum for line in chosen] * u.nm,
            "lande": [np.nan if line.lande is None else line.lande for line in chosen],
            "source": [line.source for line in chosen],
            "lande_source": [line.lande_source for line in chosen],
            "note": [line.note for line in chosen],
        }
    )
    for name, form in {"air": ".4f", "vacuum": ".4f", "lande": ".3f"}.items():
        table[name].info.format = form
    return table

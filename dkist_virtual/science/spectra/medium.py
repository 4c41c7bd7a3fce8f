"""Tell whether wavelengths are in air or in vacuum, and convert between them.

The conversion is that of the NIST Atomic Spectra Database, from which most wavelengths of
`dkist_virtual.science.spectra.lines` are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Protocol

import numpy as np

from dkist_virtual.cube.wavelengths.scale import Medium
from dkist_virtual.errors import DKISTVirtualWarning, SelectionError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from astropy.units import Quantity
    from numpy.typing import ArrayLike, NDArray

__all__ = [
    "CODES",
    "MEDIUM",
    "Described",
    "Medium",
    "air_to_vacuum",
    "check_medium",
    "convert",
    "medium_of",
    "refractive_index",
    "stated_by_headers",
    "vacuum_to_air",
]

MEDIUM: Final = "wavelength_medium"
"""The key of a dataset's meta that names the medium where no header does."""

_SHORTEST: Final = 185.0
"""nm: the formula was fitted to measurements from here on, and has poles in the far UV."""

CODES: Final[dict[str, Medium]] = {"AWAV": "air", "WAVE": "vacuum"}
"""What CTYPEn begins with."""


class Described(Protocol):
    """What is known of a dataset's wavelengths: its headers and its meta."""

    @property
    def headers(self) -> Any:
        """The header table, or None."""

    @property
    def meta(self) -> Any:
        """A mapping."""

    @property
    def wcs(self) -> Any:
        """The world coordinates."""


# The formula ------------------------------------------------------------------------------------


def refractive_index(vacuum: ArrayLike) -> NDArray[np.float64]:
    """Compute the refractive index of dry air at 15 degrees Celsius and 101 325 Pa.

    The five-parameter formula of Peck & Reeder (1972, J. Opt. Soc. Am. 62), which the NIST
    Atomic Spectra Database uses. It was fitted to measurements from 185 nm to 1.7 um, and is smooth
    beyond. From 250 nm to 5 um it is within 5e-9 (1.4 m/s) of their formula of four parameters,
    within 1.5e-8 (4 m/s) of Edlen's (1953), by which astropy.wcs converts AWAV to WAVE, and within
    2e-8 (6 m/s) of those of Ciddor (1996) and Morton (2000); specutils has all four. The formula in
    the paper that defines AWAV (Greisen et al. 2006, A&A 446, 747, equation 65) is of air at 0
    degrees: it is 4.5 to 4.8 km/s away from all of these, and is not used.

    Parameters
    ----------
    vacuum : array
        Wavelengths in vacuum, in nm.

    Returns
    -------
    array of float64, of the same shape
    """
    squared = (1e3 / np.asarray(vacuum, np.float64)) ** 2  # of the wavenumber, in um^-2
    index: NDArray[np.float64] = 1.0 + 1e-8 * (
        8060.51 + 2480990.0 / (132.274 - squared) + 17455.7 / (39.32957 - squared)
    )
    return index


def vacuum_to_air(wavelength: Quantity) -> Quantity:
    """Convert wavelengths in vacuum to those in air; see `refractive_index`.

    Parameters
    ----------
    wavelength : Quantity
        One or several, of any shape, from 185 nm on.

    Returns
    -------
    Quantity
        In the same unit, as float64.
    """
    nanometres = _nanometres(wavelength)
    return _like(nanometres / refractive_index(nanometres), wavelength)


def air_to_vacuum(wavelength: Quantity) -> Quantity:
    """Convert wavelengths in air to those in vacuum: the inverse of `vacuum_to_air`.

    The refractive index is one of the wavelength in vacuum, so it is found by iteration, to the
    precision of float64.

    Parameters
    ----------
    wavelength : Quantity
        One or several, of any shape, from 185 nm on.

    Returns
    -------
    Quantity
        In the same unit, as float64.
    """
    nanometres = _nanometres(wavelength)
    vacuum = nanometres
    for _ in range(4):  # each is some 10,000 times nearer
        vacuum = nanometres * refractive_index(vacuum)
    return _like(vacuum, wavelength)


def convert(wavelength: Quantity, of: Medium | None, to: Medium | None) -> Quantity:
    """Convert wavelengths from one medium to another; the same ones where both are alike.

    Raises
    ------
    SelectionError
        One of them is not known, and the other one is.
    """
    if of == to:
        return wavelength
    if of is None or to is None:
        raise SelectionError(
            f"medium: whether the wavelengths of the dataset are in air or in vacuum is not known, "
            f"and {of or to} was asked for: say what they are in, ds.meta[{MEDIUM!r}] = 'air'"
        )
    return air_to_vacuum(wavelength) if to == "vacuum" else vacuum_to_air(wavelength)


def check_medium(medium: object) -> Medium | None:
    """Check a medium that a user gave: "air", "vacuum", or None."""
    if medium is None or medium == "air" or medium == "vacuum":
        return medium
    raise SelectionError(f'medium={medium!r}: expected "air" or "vacuum"')


def _nanometres(wavelength: Quantity) -> NDArray[np.float64]:
    import astropy.units as u

    try:
        found = np.asarray(u.Quantity(wavelength).to_value(u.nm), np.float64)
    except u.UnitConversionError:
        raise SelectionError(
            f"air or vacuum: expected a wavelength, found {wavelength!r}. A frequency or an energy "
            "is the same in both: .to(u.nm, u.spectral()) gives the wavelength in vacuum"
        ) from None
    if (found < _SHORTEST).any():
        raise SelectionError(
            f"air or vacuum: expected wavelengths from {_SHORTEST:g} nm on, where the refractive "
            f"index of air was measured, found {found[found < _SHORTEST].min():g} nm"
        )
    return found


def _like(nanometres: NDArray[np.float64], wavelength: Quantity) -> Quantity:
    import astropy.units as u

    return u.Quantity(nanometres, u.nm).to(wavelength.unit)


# What a dataset says ----------------------------------------------------------------------------


def medium_of(ds: Described, *, warn: bool = True) -> Medium | None:
    """Tell whether the wavelengths of a dataset are in air or in vacuum.

    Said by, in this order: a calibrated `wavelength_scale`; ``ds.meta["wavelength_medium"]``;
    WAVEREF and CTYPEn of the headers, or of the meta where it has such cards; the WCS, where it is
    one of FITS. DKIST's header specification (SPEC-0214) has WAVEREF, "Wavelength medium: air or
    vacuum", and the code of a wavelength in CTYPEn, AWAV or WAVE.

    Parameters
    ----------
    ds : Dataset
    warn : bool
        Warn, once for each dataset, where WAVEREF and CTYPEn disagree: not in exports, which
        have always been silent.

    Returns
    -------
    "air", "vacuum" or None
        Air where they disagree: the spectrographs of DKIST measure in air, and the specification
        allows no other value of WAVEREF. None where none of them says.
    """
    scale = getattr(ds, "wavelength_scale", None)
    if (stated := getattr(scale, "medium", None)) is not None:
        return check_medium(stated)
    meta = ds.meta if ds.meta is not None else {}
    if (stated := meta.get(MEDIUM)) is not None:
        return check_medium(stated)
    for cards in (_Cards(ds.headers), _Cards(meta)):
        reference, codes = cards.reference(), cards.codes()
        if reference and codes and reference != codes and warn:
            _say_once(ds, cards)
        if reference or codes:
            return "air" if "air" in (reference | codes) else "vacuum"
    return _of_wcs(ds.wcs)


def stated_by_headers(ds: Described) -> dict[str, Medium]:
    """Return what is to be put into the meta of a dataset that loses these headers."""
    medium = medium_of(ds, warn=False)
    return {} if medium is None else {MEDIUM: medium}


class _Cards:
    """The cards about the medium, of a header table or of a mapping."""

    def __init__(self, cards: Any) -> None:
        self._cards = cards
        self._names = set(getattr(cards, "colnames", cards)) if cards is not None else set()

    def texts(self, keyword: str) -> Iterator[str]:
        """Give the different values of a card, as text."""
        if keyword not in self._names:
            return
        values = self._cards[keyword]
        found = {values} if isinstance(values, str) else {*np.ma.asarray(values).tolist()}
        for value in found:  # None where it is masked
            if isinstance(value, str):
                yield value.strip()

    def reference(self) -> set[Medium]:
        """Return what WAVEREF says."""
        found = {text.lower() for text in self.texts("WAVEREF")}
        return {medium for medium in CODES.values() if medium in found}

    def codes(self) -> set[Medium]:
        """Return what CTYPEn says, with an algorithm, as in AWAV-GRA, or without."""
        texts = (text for axis in range(1, 10) for text in self.texts(f"CTYPE{axis}"))
        return _of_codes(texts)

    def said(self) -> str:
        """Return both, for a message."""
        codes = [t for n in range(1, 10) for t in self.texts(f"CTYPE{n}") if t[:4] in CODES]
        return f"WAVEREF is {', '.join(self.texts('WAVEREF'))}, CTYPE is {', '.join(codes)}"


def _of_codes(texts: Iterable[str]) -> set[Medium]:
    return {CODES[text[:4]] for text in texts if text[:4] in CODES}


def _of_wcs(wcs: Any) -> Medium | None:
    """Read the medium from a WCS of FITS, sliced or not; of others it is not known."""
    low = getattr(wcs, "low_level_wcs", wcs)
    for name in ("unshifted", "_wcs"):
        low = getattr(low, name, low)
    cards = getattr(low, "wcs", None)
    found = _of_codes(map(str, getattr(cards, "ctype", ())))
    return found.pop() if len(found) == 1 else None


_SAID: Final[set[tuple[object, str]]] = set()
"""What was warned of in this process: the dataset's ID, and the values that disagree."""


def _say_once(ds: Described, cards: _Cards) -> None:
    import warnings

    inventory = (ds.meta or {}).get("inventory") or {}
    said = cards.said()
    known = (inventory.get("datasetId"), said)
    if known in _SAID:
        return
    _SAID.add(known)
    warnings.warn(
        f"wavelengths in air or in vacuum: {said}: taken to be in air. "
        f"ds.meta[{MEDIUM!r}] = 'vacuum' says otherwise",
        DKISTVirtualWarning,
        stacklevel=4,
    )

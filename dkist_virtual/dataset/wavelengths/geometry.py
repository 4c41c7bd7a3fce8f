"""Read the geometry of a spectrograph from the headers, as DKIST's pipelines do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from dkist_virtual.dataset.derived.frame_columns import read_instrument
from dkist_virtual.errors import DatasetError
from dkist_virtual.science.spectra.atlas_fit import Grating

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["grating_of", "resolving_power_of"]

_WHAT: Final = "calibrate_wavelength"
_WHOLE: Final = 0.15
"""How far an order may be from a whole number."""
_NO_GRATING: Final = {
    "VBI": "it takes pictures through a filter, of one wavelength",
    "VTF": "its wavelengths are those of its Fabry-Perot filter",
}
_POWER: Final = {"VISP": 150_000, "CRYO-NIRSP": 40_000, "DL-NIRSP": 90_000}
"""A first guess of the resolving power: ViSP's and DL-NIRSP's are those with which the tests of
dkist-processing-visp 5.11 and -dlnirsp 1.9 begin, Cryo-NIRSP's that of its wide slit in
dkist-processing-cryonirsp 1.12."""


def _instrument(ds: Any) -> str:
    """Return the name of the instrument in capitals; empty if it is not known."""
    return (read_instrument(ds) or "").upper()


def resolving_power_of(ds: Any, given: Any) -> int:
    """Return a first guess of the resolving power, the user's or that of the instrument."""
    if given is None:
        return _POWER.get(_instrument(ds), 100_000)
    if not isinstance(given, (int, float, np.number)) or not 100 <= float(given) <= 1e7:
        raise DatasetError(f"{_WHAT}: resolving_power={given!r}: expected 100 to 10,000,000")
    return int(given)


def grating_of(ds: Any, wavelength: float, grating: Any, order: Any, incidence: Any) -> Grating:
    """Read the geometry from the headers of a dataset, and from what a user gives instead.

    - ViSP: VSPGRTCN is the grating constant in grooves per mm, and the angle of incidence the
      negative of VSPGRTAN. Light leaves at that angle and VSPARMPS, from which the order follows
      (dkist-processing-visp 5.11, ``parsers/spectrograph_configuration.py`` and
      ``tasks/wavelength_calibration.py``).
    - Cryo-NIRSP: CNGRTCON; light comes in at the sum of CNGRTPOS and CNGRTLAT, and leaves at their
      difference (dkist-processing-cryonirsp 1.12, ``tasks/sp_wavelength_calibration.py``).
    - DL-NIRSP: DLGRTCN. The zero of its angle DLGRTAN is a parameter of its pipeline, in no header
      (dkist-processing-dlnirsp 1.9, ``tasks/wavelength_calibration.py``): incidence and order must
      be given.

    Parameters
    ----------
    ds : Dataset
    wavelength : float
        In nm: the order is that whose wavelength it is.
    grating, order, incidence : optional
        Of `Dataset.calibrate_wavelength`.

    Raises
    ------
    DatasetError
        The instrument has no grating, or the headers do not say its geometry.
    """
    name = _instrument(ds)
    if name in _NO_GRATING:
        raise DatasetError(
            f"{_WHAT}: {name} has no grating: {_NO_GRATING[name]}. Wavelengths of your own are "
            "ds.calibrate_wavelength(values * u.nm)"
        )
    read = _Read(ds, name)
    said: list[str] = []
    constant = _quantity("grating", grating, "1/m")
    angle = _quantity("incidence", incidence, "deg")
    if constant is None:
        constant = read.constant(said) * 1e3
    beta = None
    if angle is None:
        angle, beta = read.angles(said)
    elif order is None:
        beta = read.diffracted(angle, said)
    if order is None:
        if beta is None:
            raise read.missing("order=")
        raw = (np.sin(np.deg2rad(angle)) + np.sin(np.deg2rad(beta))) / (
            constant * wavelength * 1e-9
        )
        order = round(float(raw))
        if abs(raw - order) > _WHOLE or order == 0:
            raise DatasetError(
                f"{_WHAT}: by {', '.join(said)} the order of {wavelength:.2f} nm is {raw:.3f}: "
                "expected a whole number: give order="
            )
    elif isinstance(order, bool) or not isinstance(order, (int, np.integer)):
        raise TypeError(f"{_WHAT}: order={order!r}: expected a whole number")
    source = ", ".join(said) or "grating=, order= and incidence="
    return Grating(float(constant), int(order), float(angle), source)


def _quantity(name: str, given: Any, unit: str) -> float | None:
    """Read a number with a unit that a user gives."""
    import astropy.units as u

    if given is None:
        return None
    example = "316 / u.mm" if name == "grating" else "65.4 * u.deg"
    if not isinstance(given, u.Quantity) or given.shape != ():
        raise TypeError(f"{_WHAT}: {name}={given!r}: expected one number with a unit, {example}")
    try:
        return float(given.to_value(unit))
    except u.UnitConversionError:
        raise TypeError(f"{_WHAT}: {name}={given}: expected {example}") from None


class _Read:
    """The cards of an instrument."""

    def __init__(self, ds: Any, name: str) -> None:
        self.table, self.name = ds.headers, name

    def card(self, keyword: str, said: list[str]) -> float:
        """Read a card that all frames have alike."""
        table = self.table
        if table is None or keyword not in table.colnames:
            raise self.missing(f"{keyword} in the headers")
        values = np.ma.filled(np.ma.asarray(table[keyword]).astype(float), np.nan)
        if not np.isfinite(values).all():
            raise self.missing(f"{keyword} in all headers")
        if np.ptp(values) > 1e-4 * max(float(np.abs(values).max()), 1e-3):
            raise DatasetError(
                f"{_WHAT}: {keyword} is {values.min():g} to {values.max():g}: expected one value: "
                "select frames of one setting"
            )
        said.append(f"{keyword} {values[0]:g}")
        return float(values[0])

    def missing(self, what: str) -> DatasetError:
        """Make the error for a geometry that is not known."""
        known = "" if self.name in ("VISP", "CRYO-NIRSP", "DL-NIRSP") else " of ViSP or Cryo-NIRSP"
        return DatasetError(
            f"{_WHAT}: the geometry of the grating is not known: expected {what}{known}, found "
            f"none ({self.name or 'no instrument'}). Give grating=316 / u.mm, order=9 and "
            "incidence=65.4 * u.deg, with your own numbers"
        )

    def constant(self, said: list[str]) -> float:
        """Return the grooves per mm."""
        cards = {"VISP": "VSPGRTCN", "CRYO-NIRSP": "CNGRTCON", "DL-NIRSP": "DLGRTCN"}
        if self.name not in cards:
            raise self.missing("grating=")
        found = self.card(cards[self.name], said)
        if not found > 0:
            raise DatasetError(
                f"{_WHAT}: {cards[self.name]} is {found:g}: expected the grooves per mm of the "
                "grating. This is not of a spectrograph, or grating= says it"
            )
        return found

    def angles(self, said: list[str]) -> tuple[float, float | None]:
        """Return the angles at which light comes to the grating, and leaves it, in degrees."""
        of: dict[str, Callable[[], tuple[float, float]]] = {
            "VISP": lambda: self._visp(said), "CRYO-NIRSP": lambda: self._cryo(said),
        }  # fmt: skip
        if self.name not in of:
            raise self.missing("incidence=")
        return of[self.name]()

    def diffracted(self, angle: float, said: list[str]) -> float | None:
        """Return the angle at which light leaves the grating, where only that is to be read."""
        if self.name == "VISP":
            return angle + self.card("VSPARMPS", said)
        return angle - 2 * self.card("CNGRTLAT", said) if self.name == "CRYO-NIRSP" else None

    def _visp(self, said: list[str]) -> tuple[float, float]:
        angle = -self.card("VSPGRTAN", said)
        return angle, angle + self.card("VSPARMPS", said)

    def _cryo(self, said: list[str]) -> tuple[float, float]:
        position, littrow = self.card("CNGRTPOS", said), self.card("CNGRTLAT", said)
        return position + littrow, position - littrow

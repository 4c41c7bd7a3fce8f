"""Convert the coordinates of a spectral axis to wavelengths, whatever it counts in."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from astropy import units as u

from dkist_virtual.view.reading.wings import wavelength_at

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = ["from_nm", "in_nm", "shifted_line"]


def in_nm(values: ArrayLike, unit: str) -> NDArray[np.float64] | None:
    """Convert wavelengths, frequencies, energies or wave numbers to nm.

    None where the unit is none of these: the axis is not calibrated, or counts velocities.
    """
    try:
        known = u.Unit(unit, parse_strict="silent").to(
            u.nm, np.asarray(values, float), u.spectral()
        )
    except u.UnitConversionError:
        return None
    return np.asarray(known, float)


def from_nm(wavelengths: ArrayLike, unit: str) -> NDArray[np.float64]:
    """Convert wavelengths in nm to the unit of an axis, one that `in_nm` knows."""
    values = np.asarray(wavelengths, float)
    return np.asarray((values * u.nm).to_value(unit, u.spectral()), float)


def shifted_line(values: ArrayLike, unit: str, rest: float) -> NDArray[np.float64] | None:
    """Convert velocities to wavelengths of a line, in the unit of `rest`; None for other units."""
    try:
        speed = u.Unit(unit, parse_strict="silent").to("km/s", np.asarray(values, float))
    except u.UnitConversionError:
        return None
    return wavelength_at(speed, rest)

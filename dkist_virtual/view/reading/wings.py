"""Combine planes of two wavelengths: red minus blue wing, and fractions of the continuum."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = ["SPEED_OF_LIGHT", "Wings", "doppler", "fraction", "velocity", "wavelength_at"]

SPEED_OF_LIGHT: Final = 299_792.458
"""In km/s."""


def velocity(wavelength: ArrayLike, rest: float) -> NDArray[np.float64]:
    """Return Doppler velocities in km/s, positive for the red side of a line."""
    return np.asarray(SPEED_OF_LIGHT * (np.asarray(wavelength, float) / rest - 1), float)


def wavelength_at(speed: ArrayLike, rest: float) -> NDArray[np.float64]:
    """Return the wavelengths at Doppler velocities in km/s."""
    return np.asarray(rest * (1 + np.asarray(speed, float) / SPEED_OF_LIGHT), float)


@dataclass(frozen=True)
class Wings:
    """The two wavelengths of a Doppler image.

    Parameters
    ----------
    blue, red : int
        Pixels along the wavelength axis.
    offset : float
        Half of their distance, in the unit of the wavelengths.
    """

    blue: int
    red: int
    offset: float

    @classmethod
    def of(cls, wavelengths: ArrayLike, centre: float, offset: float) -> Wings | None:
        """Find the wings of a line: the pixels nearest to both sides of its centre.

        Parameters
        ----------
        wavelengths : array_like
            Of each pixel, in any order.
        centre, offset : float
            Of the line, and of the wings from it, in the same unit.

        Returns
        -------
        Wings or None
            None where one side of the line has no pixel: there is nothing to compare.
        """
        values = np.asarray(wavelengths, float)
        found = []
        for sign in (-1, 1):
            sides = np.where(sign * (values - centre) > 0, values, np.nan)
            if np.isnan(sides).all():
                return None
            found.append(int(np.nanargmin(np.abs(sides - (centre + sign * offset)))))
        blue, red = found
        return cls(blue, red, float(values[red] - values[blue]) / 2)


def doppler(red: NDArray[Any], blue: NDArray[Any]) -> NDArray[Any]:
    """Return red minus blue wing, over their sum.

    Where the line is shifted to the red, as of gas that moves away, the red wing of an absorption
    line is darker and the result negative. NaN where the sum is not positive.
    """
    total = red + blue
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(total > 0, (red - blue) / total, np.nan).astype(total.dtype, copy=False)


def fraction(pixels: NDArray[Any], continuum: NDArray[Any] | float) -> NDArray[Any]:
    """Return pixels in units of the continuum of Stokes I; NaN where that is not positive."""
    with np.errstate(invalid="ignore", divide="ignore"):
        result: NDArray[Any] = pixels / np.where(np.asarray(continuum) > 0, continuum, np.nan)
    return result.astype(pixels.dtype, copy=False) if pixels.dtype.kind == "f" else result

"""Turn profiles into what is drawn: in their unit, as fractions of the continuum, detrended."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from dkist_virtual.view.reading.reference import continuum_pixel

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Units", "speed_ticks"]


@dataclass(frozen=True, eq=False)
class Units:
    """The units that profiles are drawn in.

    Parameters
    ----------
    unit : str
        Of the data; empty where they have none.
    fractions : bool
        Whether a profile is divided by the continuum of its own Stokes I.
    detrended : bool
        Whether a profile is divided by the reference spectrum: one of Stokes I for all.
    reference : numpy.ndarray or None
        None before it is known.
    """

    unit: str
    fractions: bool = False
    detrended: bool = False
    reference: NDArray[np.float64] | None = None

    @property
    def continuum(self) -> int | None:
        """The pixel of the continuum, by the reference spectrum; None where that is unknown."""
        return None if self.reference is None else continuum_pixel(self.reference)

    def values(self, profiles: NDArray[Any], intensity: int) -> NDArray[np.float64]:
        """Return profiles, a row for each Stokes parameter, in these units.

        Parameters
        ----------
        profiles : numpy.ndarray
        intensity : int
            The row of Stokes I.
        """
        values = np.asarray(profiles, float)
        pixel = self.continuum
        if pixel is None and self.fractions:
            pixel = continuum_pixel(values[intensity])
        continuum = np.nan if pixel is None else values[intensity, pixel]
        return self.divide(values, continuum, self.trend(pixel))

    def trend(self, continuum: int | None) -> NDArray[np.float64] | None:
        """Return the spectrum by which profiles are divided beside their continuum, or None.

        `continuum` is the pixel of the continuum.
        """
        if not self.detrended or self.reference is None:
            return None
        whole = self.reference[continuum] if self.fractions and continuum is not None else 1.0
        return np.asarray(self.reference / whole)

    def divide(self, values: NDArray[Any], continuum: Any, trend: Any = None) -> NDArray[Any]:
        """Return values in these units.

        Parameters
        ----------
        values : numpy.ndarray
        continuum : array_like
            Of Stokes I, for each of the values; it counts where they are to be fractions of it.
        trend : array_like, optional
            For each of the values, that of `trend` at its wavelength.
        """
        divisor: Any = continuum if self.fractions else 1.0
        if trend is not None:
            divisor = divisor * trend
        with np.errstate(invalid="ignore", divide="ignore"):
            result: NDArray[Any] = values / np.where(np.asarray(divisor) > 0, divisor, np.nan)
        return result

    def drawn_reference(self) -> NDArray[np.float64] | None:
        """Return the reference spectrum in these units."""
        if self.reference is None:
            return None
        return np.asarray(self.values(self.reference[None], 0)[0])

    def label(self, letter: str) -> str:
        """Name an axis: ``"V / Ic"``."""
        detrended = self.detrended and self.reference is not None
        if self.fractions:
            return f"{letter}/Ic/mean" if detrended else f"{letter} / Ic"
        if detrended:
            return f"{letter} / mean I"
        return f"{letter} [{self.unit}]" if self.unit else letter


def speed_ticks(low: float, high: float, most: int = 7) -> list[float]:
    """Choose round velocities between two, zero among them if it is inside."""
    from matplotlib.ticker import MaxNLocator

    ticks = MaxNLocator(nbins=most, steps=[1, 2, 2.5, 5, 10]).tick_values(low, high)
    return [float(tick) for tick in ticks if low <= tick <= high]

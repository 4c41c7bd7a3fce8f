"""Find the continuum of spectra: in windows, by a percentile, or as a polynomial."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from dkist_virtual.science.spectra.samples import Ends, Floats, choose

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Continuum", "Level"]


@dataclass(frozen=True)
class Continuum:
    """How the continuum is found.

    Parameters
    ----------
    windows : tuple of (float, float)
        Without lines; empty for all wavelengths.
    percentile : float or None
        Of the samples in the windows: above 0, up to 100, which is their maximum. None for their
        mean, or the polynomial.
    degree : int
        Of the polynomial in the wavelength that is fitted to the samples by least squares: 0 is
        their mean.
    """

    windows: tuple[Ends, ...] = ()
    percentile: float | None = 95.0
    degree: int = 0

    def __post_init__(self) -> None:
        if self.percentile is not None and not 0 < self.percentile <= 100:
            raise ValueError(
                f"continuum: percentile = {self.percentile!r}: expected a number above 0, up to 100"
            )
        if not 0 <= self.degree <= 5:
            raise ValueError(f"continuum: degree = {self.degree!r}: expected 0 to 5")
        if self.percentile is not None and self.degree:
            raise ValueError("continuum: a percentile has no degree: give one of the two")

    @np.errstate(all="ignore")
    def __call__(self, intensity: Floats, wavelengths: Floats, at: Floats) -> Floats:
        """Compute the continuum of spectra at some wavelengths.

        Parameters
        ----------
        intensity : numpy.ndarray
            With the wavelengths last, ascending; NaN where unknown.
        wavelengths : numpy.ndarray
            Of shape (n,), or one that broadcasts to the intensity.
        at : numpy.ndarray
            Of shape (k,), or (..., k) where each spectrum has its own.

        Returns
        -------
        numpy.ndarray
            Of shape (..., k), or (..., 1) where it is the same at all wavelengths.
        """
        values, own = choose(intensity, wavelengths, self.windows)
        if self.percentile is not None:
            return _percentile(values, self.percentile)[..., None]
        if self.degree == 0:
            mean = values.mean(axis=-1)
            if np.isfinite(mean).all():
                return np.asarray(mean)[..., None]
            known = np.isfinite(values)
            total = np.where(known, values, 0.0).sum(axis=-1)
            return np.asarray(total / known.sum(axis=-1))[..., None]
        return _polynomial(values, own, self.degree, at)

    def said(self, unit: str) -> str:
        """Write what it takes, for a result's meta."""
        where = "all wavelengths" if not self.windows else " and ".join(
            f"{low:.8g} to {high:.8g} {unit}" for low, high in self.windows
        )  # fmt: skip
        if self.percentile is not None:
            return f"percentile {self.percentile:g} of {where}"
        return f"mean of {where}" if not self.degree else (
            f"polynomial of degree {self.degree} through {where}"
        )  # fmt: skip


@dataclass(frozen=True)
class Level:
    """Compute the continuum at one wavelength.

    Parameters
    ----------
    continuum : Continuum
    at : float
    """

    continuum: Continuum
    at: float

    @np.errstate(all="ignore")
    def __call__(self, intensity: Floats, wavelengths: Floats) -> tuple[Floats]:
        """Compute it for each spectrum."""
        return (self.continuum(intensity, wavelengths, np.array([self.at]))[..., 0],)


def _percentile(values: Floats, percentile: float) -> Floats:
    """Compute a percentile as `numpy.percentile` does, sooner: of the samples that are known."""
    n = values.shape[-1]
    if not np.isfinite(values.sum(axis=-1)).all():
        return np.asarray(_nanpercentile(values, np.isfinite(values), percentile))
    if percentile == 100:
        return np.asarray(values.max(axis=-1))
    place = (n - 1) * percentile / 100
    low = int(np.floor(place))
    short = values.astype(np.float32)  # as most frames have them, which is sorted in a third
    parts = np.partition(short if (short == values).all() else values, low, axis=-1)
    below = parts[..., low].astype(float)
    above = parts[..., low + 1 :].min(axis=-1).astype(float) if low + 1 < n else below
    return np.asarray(below + (above - below) * (place - low))


def _nanpercentile(values: Floats, known: NDArray[Any], percentile: float) -> Floats:
    ordered = np.sort(np.where(known, values, np.inf), axis=-1)
    count = known.sum(axis=-1)
    place = np.maximum(count - 1, 0) * percentile / 100
    low = np.floor(place).astype(int)
    high = np.minimum(low + 1, np.maximum(count - 1, 0))
    below = np.take_along_axis(ordered, low[..., None], axis=-1)[..., 0]
    above = np.take_along_axis(ordered, high[..., None], axis=-1)[..., 0]
    return np.where(count > 0, below + (above - below) * (place - low), np.nan)


def _polynomial(values: Floats, wavelengths: Floats, degree: int, at: Floats) -> Floats:
    """Fit polynomials by least squares, and evaluate them."""
    placed = np.isfinite(wavelengths)  # a spectrum whose offset is unknown is of no others
    some = wavelengths[placed]
    middle = float(np.mean(some)) if some.size else 0.0
    scale = float(np.ptp(some)) / 2 if some.size else 1.0
    scale = scale or 1.0
    x = (np.broadcast_to(wavelengths, values.shape) - middle) / scale
    known = np.isfinite(values) & placed
    powers = np.stack([np.where(known, x**k, 0.0) for k in range(degree + 1)], axis=-1)
    y = np.where(known, values, 0.0)
    normal = np.einsum("...nk,...nl->...kl", powers, powers)
    right = np.einsum("...nk,...n->...k", powers, y)
    enough = known.sum(axis=-1) > degree
    normal[~enough] = np.eye(degree + 1)
    factors = np.linalg.solve(normal, right[..., None])[..., 0]
    there = (at - middle) / scale
    found = sum(factors[..., k, None] * there**k for k in range(degree + 1))
    return np.where(enough[..., None], found, np.nan)

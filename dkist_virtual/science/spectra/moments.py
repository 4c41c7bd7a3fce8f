"""Compute the moments of lines: their strength, centroid, width and skewness."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np

from dkist_virtual.science.spectra.samples import (
    Ends,
    Floats,
    choose,
    too_few,
    trapezium_weights,
    within,
)

if TYPE_CHECKING:
    from dkist_virtual.science.spectra.continuum import Continuum

__all__ = ["Kind", "Moments"]

Kind: TypeAlias = Literal["absorption", "emission"]


@dataclass(frozen=True)
class Moments:
    """Compute moments of a line, weighted by its depth.

    The weight is ``1 - I/Ic`` in absorption, ``I - Ic`` in emission. Integrals are over the true
    wavelengths, by the trapezium rule.

    Parameters
    ----------
    kind : {"absorption", "emission"}
    window : (float, float) or None
        The wavelengths that count.
    continuum : Continuum or None
        None where it is given for each spectrum.
    n : int
        How many moments, 1 to 4.
    """

    kind: Kind
    window: Ends | None
    continuum: Continuum | None
    n: int = 4

    @np.errstate(all="ignore")
    def __call__(
        self, intensity: Floats, wavelengths: Floats, level: Floats | None = None
    ) -> tuple[Floats, ...]:
        """Compute strength, centroid, standard deviation and skewness of spectra.

        NaN where fewer than three samples, or than half of the window, are known; centroid and
        what follows also where the line has the other sign, and so a centroid nowhere.
        """
        values, at = choose(intensity, wavelengths, () if self.window is None else (self.window,))
        if level is None:
            assert self.continuum is not None
            level = self.continuum(intensity, wavelengths, at)
        absorbs = self.kind == "absorption"
        if at.ndim == 1 and len(at) > 2 and level.shape[-1] == 1:
            # One product for all moments, of intensities: what is unknown shows in it.
            middle = float(at.mean())
            powers = trapezium_weights(at)[:, None] * (at - middle)[:, None] ** np.arange(self.n)
            sums, total = values @ powers, powers.sum(axis=0)
            made = total - sums / level if absorbs else sums - total * level
            if np.isfinite(made).all():
                return _central([made[..., k] for k in range(self.n)], middle)
        depth = 1 - values / level if absorbs else values - level
        known = np.isfinite(depth)
        weights = trapezium_weights(at, known)
        center = np.mean(at, axis=-1, keepdims=True)
        weighted = np.where(known, depth, 0.0) * weights
        raw = [(weighted * (at - center) ** k).sum(axis=-1) for k in range(self.n)]
        raw[0] = np.where(too_few(known, within(at, self.window)), np.nan, raw[0])
        return _central(raw, center[..., 0])


def _central(raw: list[Floats], center: Floats | float) -> tuple[Floats, ...]:
    """Make strength, centroid, standard deviation and skewness of sums about a centre."""
    total = raw[0]
    found = [total]
    if len(raw) == 1:
        return tuple(found)
    safe = np.where(total > 0, total, np.nan)
    first = raw[1] / safe
    found.append(first + center)
    if len(raw) > 2:
        second = raw[2] / safe - first**2
        spread = np.sqrt(np.where(second > 0, second, np.nan))
        found.append(spread)
        if len(raw) > 3:
            third = raw[3] / safe - 3 * first * raw[2] / safe + 2 * first**3
            found.append(third / spread**3)
    return tuple(found)

"""Integrate unevenly spaced samples of spectra, some of which may be unknown."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Ends", "Floats", "choose", "too_few", "trapezium_weights", "within"]

Floats: TypeAlias = "NDArray[np.float64]"

Ends: TypeAlias = tuple[float, float]
"""The ends of a window, which belong to it."""


def choose(
    intensity: Floats, wavelengths: Floats, windows: tuple[Ends, ...]
) -> tuple[Floats, Floats]:
    """Choose the samples within some windows, of intensity and wavelengths alike.

    Where each spectrum has its own wavelengths, other samples become NaN; else they are left out.
    """
    inside = np.zeros(wavelengths.shape, bool)
    for window in windows:
        inside |= within(wavelengths, window)
    if not windows or inside.all():
        return intensity, wavelengths
    if wavelengths.ndim > 1:
        return np.where(inside, intensity, np.nan), wavelengths
    places = np.flatnonzero(inside)
    if len(places) and places[-1] - places[0] + 1 == len(places):  # one window: no copy
        part = slice(places[0], places[-1] + 1)
        return intensity[..., part], wavelengths[part]
    return intensity[..., inside], wavelengths[inside]


def within(wavelengths: Floats, window: Ends | None) -> NDArray[np.bool_]:
    """Return which wavelengths are in a window; all, without one."""
    if window is None:
        return np.ones(wavelengths.shape, bool)
    inside: NDArray[np.bool_] = (wavelengths >= window[0]) & (wavelengths <= window[1])
    return inside


def too_few(known: NDArray[np.bool_], inside: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return which spectra have too few known samples: fewer than three, or half of a window."""
    half = (inside.sum(axis=-1) + 1) // 2
    few: NDArray[np.bool_] = known.sum(axis=-1) < np.maximum(half, 3)
    return few


def trapezium_weights(wavelengths: Floats, known: NDArray[np.bool_] | None = None) -> Floats:
    """Return the weight of each sample in the trapezium rule.

    Parameters
    ----------
    wavelengths : numpy.ndarray
        Ascending along the last axis.
    known : numpy.ndarray, optional
        Which samples are known: the rule joins neighbours among these, and the others have no
        weight. By default all, and the result has the shape of `wavelengths`.
    """
    if known is None:
        steps = np.diff(wavelengths, axis=-1) / 2
        weights = np.zeros(wavelengths.shape)
        weights[..., :-1] += steps
        weights[..., 1:] += steps
        return weights
    at = np.broadcast_to(wavelengths, known.shape)
    # The known sample before each, and that after it: -inf and inf where there is none.
    before = np.maximum.accumulate(np.where(known, at, -np.inf), axis=-1)
    after = np.minimum.accumulate(np.where(known, at, np.inf)[..., ::-1], axis=-1)[..., ::-1]
    left = np.concatenate([np.full((*known.shape[:-1], 1), -np.inf), before[..., :-1]], axis=-1)
    right = np.concatenate([after[..., 1:], np.full((*known.shape[:-1], 1), np.inf)], axis=-1)
    left = np.where(np.isfinite(left), left, at)
    right = np.where(np.isfinite(right), right, at)
    return np.where(known, (right - left) / 2, 0.0)

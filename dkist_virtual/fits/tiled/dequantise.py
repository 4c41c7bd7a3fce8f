"""Dequantise integers and undo dithering with numpy (FITS standard 4.0, section 10.2).

The kernels of `dkist_virtual.fits.tiled.rice` do the same, compiled, and take the constants from
here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["MOST_PIXELS", "N_RANDOM", "ZERO_VALUE", "Dequantiser", "Quantisation", "random_numbers"]

N_RANDOM: Final = 10_000
"""Length of the sequence of random numbers (10.2.1, appendix I)."""

ZERO_VALUE: Final = -2147483646
"""The integer that stands for an exact 0.0 under SUBTRACTIVE_DITHER_2 (10.2.2)."""

MOST_PIXELS: Final = 4096
"""Of a tile at a time: for so many, the sequence of random numbers begins anew once at most."""


def random_numbers() -> NDArray[np.float32]:
    """Return the random numbers of subtractive dithering (appendix I), between 0 and 1."""
    numbers = np.empty(N_RANDOM, "f4")
    seed = 1
    for i in range(N_RANDOM):
        seed = 16807 * seed % 2147483647
        numbers[i] = seed / 2147483647
    if seed != 1043618065:  # the value that the standard gives to check an implementation by
        raise AssertionError(f"random number generator ended on {seed}")
    return numbers


class Quantisation(NamedTuple):
    """Say which floats the integers of tiles stand for.

    Attributes
    ----------
    scale, zero : ndarray of float64
        Per tile.
    blank : ndarray of int64
        The integer that stands for NaN, per tile; read where `has_blank`.
    has_blank : bool
    dither : int
        0, 1 or 2.
    seeds : ndarray of int64
        Per tile, where it begins in the list of random numbers: row + ZDITHER0 - 1, from 0.
    randoms : ndarray of float32
    """

    scale: NDArray[np.float64]
    zero: NDArray[np.float64]
    blank: NDArray[np.int64]
    has_blank: bool
    dither: int
    seeds: NDArray[np.int64]
    randoms: NDArray[np.float32]


class Dequantiser:
    """Turn integers into floats, each tile's from its first to its last."""

    def __init__(self, quantisation: Quantisation) -> None:
        self._quantisation = quantisation
        self._begins = (quantisation.randoms * np.float32(500)).astype(np.int64)
        self._seeds = quantisation.seeds % N_RANDOM
        self._next = self._begins[self._seeds]

    def floats(self, tiles: NDArray[np.intp], values: NDArray[np.int64]) -> NDArray[np.float64]:
        """Dequantise the next integers of some tiles: shape (pixels, tiles)."""
        q = self._quantisation
        numbers = values.astype(np.float64)
        if q.dither:
            numbers -= self._randoms(tiles, len(values))
            numbers += 0.5
        numbers *= q.scale[tiles]
        numbers += q.zero[tiles]
        if q.dither == 2:
            numbers[values == ZERO_VALUE] = 0.0
        if q.has_blank:
            numbers[values == q.blank[tiles]] = np.nan
        return numbers

    def _randoms(self, tiles: NDArray[np.intp], n: int) -> NDArray[np.float32]:
        at = self._next[tiles] + np.arange(n)[:, None]
        if at[-1].max() >= N_RANDOM:
            seeds = (self._seeds[tiles] + 1) % N_RANDOM
            anew = at >= N_RANDOM
            at = np.where(anew, at - N_RANDOM + self._begins[seeds], at)
            self._seeds[tiles] = np.where(anew[-1], seeds, self._seeds[tiles])
        self._next[tiles] = at[-1] + 1
        randoms: NDArray[np.float32] = self._quantisation.randoms[at]
        return randoms

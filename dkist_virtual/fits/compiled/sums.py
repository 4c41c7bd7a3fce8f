"""Add the words of FITS data, compiled; importing this module imports numba."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from dkist_virtual.fits.kernels import njit

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["add", "turn_and_add"]


@njit(nogil=True, cache=True, inline="always")
def _swap_bytes(word: np.uint32) -> np.uint32:
    """Reverse the bytes of a word: compilers make one instruction of it."""
    return np.uint32(
        (word >> np.uint32(24))
        | ((word >> np.uint32(8)) & np.uint32(0xFF00))
        | ((word << np.uint32(8)) & np.uint32(0xFF0000))
        | ((word << np.uint32(24)) & np.uint32(0xFF000000))
    )


@njit(nogil=True, cache=True)
def add(words: NDArray[np.uint32]) -> np.uint64:
    """Add fewer than 2**32 words, their bytes reversed."""
    total = np.uint64(0)
    for word in words:
        total += np.uint64(_swap_bytes(word))
    return total


@njit(nogil=True, cache=True)
def turn_and_add(words: NDArray[np.uint32]) -> np.uint64:
    """Add words as `add` does, and reverse their bytes in place."""
    total = np.uint64(0)
    for i in range(words.size):
        word = _swap_bytes(words[i])
        words[i] = word
        total += np.uint64(word)
    return total

"""Give a function the spectra of a block of pixels: sorted, corrected, masked ones NaN.

It is by itself, so that a process that only computes blocks imports little.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["SpectraBlock", "SpectrumFunction"]

SpectrumFunction: TypeAlias = Callable[..., "tuple[NDArray[Any], ...]"]

_WITH_AXIS: Final = ("mask", "factor", "spectrum")

_AT_ONCE: Final = 2**17
"""Pixels that a function is given at once: so many, and what is computed of them, stay in the
cache of a core."""


@dataclass(frozen=True, eq=False)
class SpectraBlock:
    """Give a function the spectra of a block, part by part.

    Parameters
    ----------
    function : callable
    wavelengths : numpy.ndarray
        That are used, ascending.
    order : numpy.ndarray or None
        Where they are along the axis; None for all of it as it is.
    kinds : tuple of str
        What the arrays behind the intensity are.
    n_outputs : int
    """

    function: SpectrumFunction
    wavelengths: NDArray[np.float64]
    order: NDArray[np.intp] | None
    kinds: tuple[str, ...]
    n_outputs: int

    def __dask_tokenize__(self) -> Any:
        from dask.base import normalize_token

        return normalize_token(
            (self.function, self.wavelengths, self.order, self.kinds, self.n_outputs)
        )

    def __call__(self, intensity: NDArray[Any], *others: NDArray[Any]) -> NDArray[np.float64]:
        """Return the outputs of the function for all spectra, ``(n_outputs, ...)``."""
        shape = intensity.shape[:-1]
        others = tuple(
            np.broadcast_to(other, intensity.shape if kind in _WITH_AXIS else shape)
            for kind, other in zip(self.kinds, others, strict=True)
        )
        out = np.empty((self.n_outputs, *shape))
        if not shape:
            out[...] = self._part(intensity, others)
            return out
        n = intensity.shape[-1]
        for index in _parts(shape, max(_AT_ONCE // max(n, 1), 1)):
            out[(slice(None), *index)] = self._part(
                intensity[index], [other[index] for other in others]
            )
        return out

    def _part(self, intensity: NDArray[Any], others: Sequence[NDArray[Any]]) -> NDArray[Any]:
        spectra = self._sorted(intensity)
        wavelengths: NDArray[Any] = self.wavelengths
        given = []
        for kind, other in zip(self.kinds, others, strict=True):
            if kind == "mask":
                spectra[self._chosen(other)] = np.nan
            elif kind == "offset":
                wavelengths = wavelengths + other[..., None]
            elif kind == "factor":
                spectra /= self._chosen(other)
            elif kind == "spectrum":
                given.append(self._sorted(other))
            else:
                given.append(np.asarray(other, float)[..., None])
        with np.errstate(all="ignore"):
            found = self.function(spectra, wavelengths, *given)
        return np.stack([np.broadcast_to(one, intensity.shape[:-1]) for one in found])

    def _chosen(self, array: NDArray[Any]) -> NDArray[Any]:
        order = self.order
        if order is None:
            return array
        if np.array_equal(order, np.arange(order[0], order[0] + len(order))):  # without a copy
            return array[..., order[0] : order[0] + len(order)]
        return array[..., order]

    def _sorted(self, array: NDArray[Any]) -> NDArray[np.float64]:
        return np.array(self._chosen(array), float, order="C")


def _parts(shape: tuple[int, ...], size: int) -> Any:
    """Divide an array into boxes of about so many elements, the last axes whole if possible."""
    sizes = list(shape)
    left = size
    for axis in range(len(shape) - 1, -1, -1):
        sizes[axis] = max(1, min(shape[axis], left))
        left //= max(sizes[axis], 1)
    along = [
        [slice(k, k + step) for k in range(0, n, step)]
        for n, step in zip(shape, sizes, strict=True)
    ]
    return itertools.product(*along)

"""Give the world coordinates of an array whose wavelengths are off by something at each pixel."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from dkist_virtual.cube.world_axes import Values, World

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

__all__ = ["OffsetWorld"]


class OffsetWorld(World):
    """The world coordinates of an array, with an offset added to its wavelengths.

    Parameters
    ----------
    wcs : WCS
    shape : sequence of int
        Of the array.
    axis : int
        Of the array, along which the wavelength changes.
    offset : numpy.ndarray
        In the unit of the wavelength, with all axes of the array but that one; of length 1 along
        axes along which it is the same.
    """

    def __init__(
        self, wcs: Any, shape: Sequence[int], axis: int, offset: NDArray[np.float64]
    ) -> None:
        super().__init__(wcs, shape)
        self._axis, self._offset = axis, offset

    def values(self, *positions: ArrayLike) -> list[Values]:
        """Compute the coordinates at pixel positions; the offset is that of the nearest pixel."""
        found = super().values(*positions)
        wavelength = self.of_kind("wavelength")
        if wavelength is None or len(positions) != len(self.shape):
            return found
        others = [place for on, place in enumerate(positions) if on != self._axis]
        index = tuple(
            np.clip(np.rint(np.asarray(place, float)), 0, n - 1).astype(int)
            for place, n in zip(others, self._offset.shape, strict=True)
        )
        found[wavelength.index] = found[wavelength.index] + self._offset[index]
        return found

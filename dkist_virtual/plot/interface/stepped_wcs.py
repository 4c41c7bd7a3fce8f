"""Give astropy's axes the WCS of a whole array, at a place that steps along it.

The axes keep what the user set in them, grid lines and formats, since their WCS stays the same
object.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from astropy.wcs.wcsapi import SlicedLowLevelWCS
from astropy.wcs.wcsapi.wrappers.base import BaseWCSWrapper

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike

    from dkist_virtual.plot.planes import ShownAxes
    from dkist_virtual.protocols import LowLevelWCS

__all__ = ["SteppedWCS"]


class SteppedWCS(BaseWCSWrapper):
    """A WCS whose pixel 0, along each axis that is not drawn, is the one that is shown.

    Parameters
    ----------
    wcs : LowLevelWCS
        Of the whole array.
    shown : ShownAxes
    position : sequence of int
        The pixel of each array axis.
    """

    def __init__(self, wcs: LowLevelWCS, shown: ShownAxes, position: Sequence[int]) -> None:
        super().__init__(wcs)
        self._shown = shown
        self.move(position)

    def plane(self) -> tuple[SlicedLowLevelWCS, list[str]]:
        """Return the WCS of what is drawn, and the slices of astropy's axes: x and y in order.

        Its axes fail to draw a grid if they slice the whole WCS themselves.
        """
        shown = self._shown
        index = [slice(None) if axis in shown.drawn else 0 for axis in range(shown.ndim)]
        named = {shown.x: "x", shown.y: "y"}
        return SlicedLowLevelWCS(self, index), [named[axis] for axis in reversed(shown.drawn)]

    def move(self, position: Sequence[int]) -> None:
        """Step to a position."""
        drawn = self._shown.drawn
        at = [0 if axis in drawn else pixel for axis, pixel in enumerate(position)]
        self._first = at[::-1]

    def pixel_to_world_values(self, *pixel_arrays: ArrayLike) -> Any:
        """Evaluate the coordinates of pixels, counted from the position."""
        pairs = zip(pixel_arrays, self._first, strict=True)
        pixels = (np.asarray(pixel) + first for pixel, first in pairs)
        return self._wcs.pixel_to_world_values(*pixels)

    def world_to_pixel_values(self, *world_arrays: ArrayLike) -> Any:
        """Find the pixels of coordinates, counted from the position."""
        pixels = self._wcs.world_to_pixel_values(*world_arrays)
        if self.pixel_n_dim == 1:
            return pixels - self._first[0]
        return tuple(pixel - first for pixel, first in zip(pixels, self._first, strict=True))

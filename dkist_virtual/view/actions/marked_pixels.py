"""Find the pixels that a box marks on a picture, by the coordinates of the picture's axes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from dkist_virtual.errors import OutsideError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dkist_virtual.view.pictures.geometry import Geometry
    from dkist_virtual.view.state.state import Bounds

__all__ = ["pixels_in_box"]

_ALONG_A_SIDE: Final = 65
"""Points on each side of a box whose pixels are found: straight sides are curves on a detector."""
_ROUNDING: Final = 1e-5
"""Pixels by which a side may miss a centre that it is drawn through."""


def pixels_in_box(geometry: Geometry, bounds: Bounds) -> tuple[range, range]:
    """Find the columns and rows of a plane that are in a box.

    They are those of the smallest rectangle of pixels around the box, by their centres: on a
    detector that is turned it has corners that are not in the box. A box between centres is the
    pixel in its middle.

    Raises
    ------
    OutsideError
        The box is beside the plane.
    """
    left, right, bottom, top = bounds
    along, ends = np.linspace(0, 1, _ALONG_A_SIDE), np.ones(_ALONG_A_SIDE)
    across, upwards = left + along * (right - left), bottom + along * (top - bottom)
    found = geometry.pixels(
        np.concatenate([across, across, left * ends, right * ends]),
        np.concatenate([bottom * ends, top * ends, upwards, upwards]),
    )
    ny, nx = geometry.shape
    columns, rows = (
        _range(pixels, n, what)
        for pixels, n, what in zip(found, (nx, ny), ("columns", "rows"), strict=True)
    )
    return columns, rows


def _range(pixels: NDArray[np.float64], n: int, what: str) -> range:
    if not np.isfinite(pixels).all():
        raise OutsideError("the box has sides that are on no pixels: expected one on the picture")
    low, high = float(pixels.min()), float(pixels.max())
    if high < -0.5 or low > n - 0.5:
        raise OutsideError(
            f"the box is beside the picture: expected some of its {what}, 0 to {n - 1}"
        )
    first, last = np.ceil(low - _ROUNDING), np.floor(high + _ROUNDING)
    if first > last:
        first = last = np.round((low + high) / 2)
    first, last = (int(np.clip(pixel, 0, n - 1)) for pixel in (first, last))
    return range(first, last + 1)

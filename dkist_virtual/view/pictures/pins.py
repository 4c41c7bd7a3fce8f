"""Find the pin that is at a place of a picture, as closely as a hand can point."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from numpy.typing import NDArray

    from dkist_virtual.view.pictures.geometry import Geometry
    from dkist_virtual.view.state.state import Bounds, Point

__all__ = ["pin_near"]

REACH: Final = 6.0
"""Pixels of the screen from a pin within which it is pointed at."""


def pin_near(
    pins: Sequence[Point],
    point: Point,
    axes: tuple[int, int],
    along: Collection[int | None],
    geometry: Geometry,
    window: Bounds,
    size: tuple[int, int],
) -> Point | None:
    """Return the pin that is nearest to a point on the screen; None if none is near.

    Pins of other frames are others, also where they are drawn at the same place.

    Parameters
    ----------
    pins : sequence of tuple of int
    point : tuple of int
    axes : (int, int)
        Axes of the picture.
    along : collection of int
        Axes that the profile of a pin runs along: wherever a pin is on them, it is the same.
    geometry : Geometry
        Where the pixels of the picture are.
    window : (float, float, float, float)
        What the picture shows.
    size : (int, int)
        Width and height of the picture in pixels of the screen.
    """
    left, right, bottom, top = window
    scale: NDArray[np.float64] = np.array([size[0] / (right - left), size[1] / (top - bottom)])
    others = [k for k in range(len(point)) if k not in axes and k not in along]

    def place(of: Point) -> NDArray[np.float64]:
        x, y = geometry.world(of[axes[0]], of[axes[1]])
        return np.array([float(x), float(y)]) * scale

    near = [
        (float(np.hypot(*(place(pin) - place(point)))), pin)
        for pin in pins
        if all(pin[k] == point[k] for k in others)
    ]
    found = min(near, default=None)
    # Where a place is not known, neither is the distance.
    return found[1] if found is not None and found[0] <= REACH else None

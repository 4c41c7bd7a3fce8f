"""Say which pixels are in a region: a polygon or a circle on the sky, or pixels of an image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Circle", "Polygon", "Region", "box"]

_EDGE: Final = 33
"""Positions on an edge, or a circle, that say how far a region reaches in an image."""

_BLOCK: Final = 2**18
"""Positions that are compared with the edges of a polygon at once."""


class Region(Protocol):
    """A region on the sky, at one moment or several."""

    def edge(self, knot: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return positions on the edge, of the numbers that describe it: (positions, 2)."""

    def contains(self, knot: NDArray[np.float64], places: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Return which positions are inside of the region that some numbers describe."""

    @property
    def knots(self) -> NDArray[np.float64]:
        """The numbers that describe it, at each moment."""


@dataclass(frozen=True, eq=False)
class Polygon:
    """A polygon, by its corners; its edges are straight in longitude and latitude.

    Parameters
    ----------
    knots : numpy.ndarray
        Latitude and longitude of the corners, at each moment, as a lattice counts them: shape
        (moments, corners, 2).
    """

    knots: NDArray[np.float64]

    def edge(self, knot: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return positions on the edges."""
        share = np.linspace(0, 1, _EDGE)[None, :, None]
        ends = np.roll(knot, -1, axis=0)
        return (knot[:, None] * (1 - share) + ends[:, None] * share).reshape(-1, 2)

    def contains(self, knot: NDArray[np.float64], places: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Return which positions are inside: a ray from them crosses an odd number of edges."""
        flat = places.reshape(-1, 2)
        inside = np.zeros(len(flat), bool)
        ends = np.roll(knot, -1, axis=0)
        for first in range(0, len(flat), _BLOCK):
            y, x = flat[first : first + _BLOCK].T
            here = inside[first : first + _BLOCK]
            for (y0, x0), (y1, x1) in zip(knot, ends, strict=True):
                if y0 == y1:
                    continue
                between = (y0 > y) != (y1 > y)
                here ^= between & (x < x0 + (y - y0) * (x1 - x0) / (y1 - y0))
        return inside.reshape(places.shape[:-1])


@dataclass(frozen=True, eq=False)
class Circle:
    """A circle on the sky.

    Parameters
    ----------
    knots : numpy.ndarray
        Latitude and longitude of the centre, at each moment, as a lattice counts them: shape
        (moments, 1, 2).
    radius : float
        As the lattice counts.
    per_radian : float
        How many of these are a radian, along a great circle.
    """

    knots: NDArray[np.float64]
    radius: float
    per_radian: float

    def edge(self, knot: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return positions on the circle, a little outside of it."""
        angle = np.linspace(0, 2 * np.pi, 4 * _EDGE)
        wider = 1.001 * self.radius * np.stack([np.cos(angle), np.sin(angle)], axis=-1)
        wider[:, 1] /= self._shorter(knot)
        return np.asarray(knot[0] + wider)

    def contains(self, knot: NDArray[np.float64], places: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Return which positions are nearer to the centre than the radius."""
        away = places - knot[0]
        # Of the haversine, for small distances.
        shorter = np.sqrt(np.cos(places[..., 0] / self.per_radian) * self._shorter(knot))
        return np.asarray(np.hypot(away[..., 0], away[..., 1] * shorter) <= self.radius)

    def _shorter(self, knot: NDArray[np.float64]) -> Any:
        return np.cos(knot[0, 0] / self.per_radian)


def box(corners: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the four corners of the box that two of them span: (4, 2)."""
    (a, b), (c, d) = corners
    return np.array([[a, b], [a, d], [c, d], [c, b]])

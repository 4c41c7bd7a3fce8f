"""Place samples along a path on the sky, at equal steps, and across it.

Between its points a path is a great circle, as the shortest way is. Arrays in, arrays out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from dkist_virtual.errors import SelectionError

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Polyline", "offsets"]

_ARCSEC: Final = np.deg2rad(1 / 3600)

_ROUNDING: Final = 1e-9
"""Of a step: a path of a whole number of steps has its last point."""

_MOST: Final = 10**6
"""Steps of a path, at most."""


@dataclass(frozen=True, eq=False)
class Polyline:
    """Positions at equal steps along a path.

    Parameters
    ----------
    distance : numpy.ndarray
        Along the path from its first point, arcsec: shape (steps,).
    towards : numpy.ndarray
        Unit vectors to the positions: shape (steps, 3).
    poles : numpy.ndarray
        Unit vectors at right angles to the path there: shape (steps, 3).
    length : float
        Of the whole path, arcsec.
    """

    distance: NDArray[np.float64]
    towards: NDArray[np.float64]
    poles: NDArray[np.float64]
    length: float

    @classmethod
    def of(cls, points: NDArray[np.float64], spacing: float) -> Polyline:
        """Divide a path into equal steps.

        Parameters
        ----------
        points : numpy.ndarray
            Longitude and latitude, arcsec: shape (points, 2).
        spacing : float
            Of the steps, arcsec.

        Raises
        ------
        SelectionError
            A path that is shorter than one step.
        """
        vectors = _vectors(np.asarray(points, float))
        normals = np.cross(vectors[:-1], vectors[1:])
        sines = np.linalg.norm(normals, axis=1)
        cosines = np.einsum("ij,ij->i", vectors[:-1], vectors[1:])
        angles = np.arctan2(sines, cosines) / _ARCSEC
        real = angles > 0
        starts, ends, angles = vectors[:-1][real], vectors[1:][real], angles[real]
        poles = normals[real] / sines[real, None]
        ticks = np.concatenate([[0.0], np.cumsum(angles)])
        length = float(ticks[-1])
        n = int(length / spacing + _ROUNDING) + 1
        if n < 2:
            raise SelectionError(
                f"the path is {length:.4g} arcsec long: expected one step, {spacing:.4g} arcsec, "
                "at least. spacing= makes steps shorter"
            )
        if n > _MOST:
            raise SelectionError(
                f"the path has {n} steps of {spacing:.4g} arcsec: expected {_MOST} at most. "
                "spacing= makes them longer"
            )
        distance: NDArray[np.float64] = np.arange(n) * np.float64(spacing)
        part = np.clip(np.searchsorted(ticks, distance, side="right") - 1, 0, len(angles) - 1)
        angle = angles[part] * _ARCSEC
        share = np.clip((distance - ticks[part]) / angles[part], 0, 1)
        first = np.sin((1 - share) * angle) / np.sin(angle)
        last = np.sin(share * angle) / np.sin(angle)
        towards = first[:, None] * starts[part] + last[:, None] * ends[part]
        return cls(distance, towards, poles[part], length)

    def samples(self, across: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return longitude and latitude, arcsec, of samples at distances across the path.

        The shape is (steps, samples, 2).
        """
        angle = (across * _ARCSEC)[None, :, None]
        there = np.cos(angle) * self.towards[:, None] + np.sin(angle) * self.poles[:, None]
        lon = np.arctan2(there[..., 1], there[..., 0])
        lat = np.arctan2(there[..., 2], np.hypot(there[..., 0], there[..., 1]))
        found: NDArray[np.float64] = np.stack([lon, lat], axis=-1) / _ARCSEC
        return found


def _vectors(points: NDArray[np.float64]) -> NDArray[np.float64]:
    lon, lat = points[:, 0] * _ARCSEC, points[:, 1] * _ARCSEC
    return np.stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)], axis=1)


def offsets(width: float, scale: float) -> NDArray[np.float64]:
    """Return where, across a path of a width, samples are: at the middles of equal parts.

    Parameters
    ----------
    width : float
        Arcsec; 0 gives a single sample, on the path.
    scale : float
        The longest part, arcsec.
    """
    n = max(1, int(np.ceil(width / scale - _ROUNDING)))
    across: NDArray[np.float64] = (np.arange(n) - (n - 1) / 2) * np.float64(width / n)
    return across

"""Fit the forms that FITS has to coordinates: planes of the sky, straight lines, tables."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from astropy.wcs import WCS

if TYPE_CHECKING:
    from collections.abc import Callable

    from dkist_virtual.cube.fits_wcs.coordinates import Coordinates
    from dkist_virtual.cube.world_axes import Values

__all__ = ["Checked", "Steps", "Straight", "knots", "of_plane", "sample", "touching_plane"]

_MOST_ON_A_LINE: Final = 8192


@dataclass(frozen=True, eq=False)
class Straight:
    """Coordinates that are sums of pixel numbers: one, or two on a tangent plane.

    Parameters
    ----------
    matrix : array, (number of coordinates, number of pixel axes)
        In the unit of FITS a pixel.
    offset : array, (number of coordinates,)
        At pixel 0.
    tangent : array, (2,), optional
        Longitude and latitude of the tangent point, degrees.
    """

    matrix: Values
    offset: Values
    tangent: Values | None = None


def sample(shape: Sequence[int], n: int, *, seed: int = 1) -> Values:
    """Choose pixels of an array at random, corners first; (n, number of axes), x first."""
    corners = list(product(*({0, size - 1} for size in shape[::-1])))
    rng = np.random.default_rng(seed)
    others = np.column_stack([rng.integers(0, size, n) for size in shape[::-1]])
    return np.concatenate([np.array(corners, float).reshape(-1, len(shape)), others])


def _lines(shape: Sequence[int], axis: int) -> Iterator[Values]:
    """Give the pixels on some lines along a pixel axis: through corners, middle, and at random."""
    n = shape[::-1][axis]
    along = np.arange(n, dtype=float)
    if n > _MOST_ON_A_LINE:
        along = np.unique(np.linspace(0, n - 1, _MOST_ON_A_LINE).round())
    middle = [(size - 1) // 2 for size in shape[::-1]]
    bases = [middle, *sample(shape, 2, seed=axis + 2)[[0, 2 ** sum(s > 1 for s in shape) - 1, -1]]]
    for base in bases:
        line = np.tile(np.asarray(base, float), (len(along), 1))
        line[:, axis] = along
        yield line


class Checked:
    """The pixels at which coordinates are compared: some at random, and lines along each axis.

    Parameters
    ----------
    coordinates : Coordinates

    Attributes
    ----------
    places, values : array
        The pixels, and the coordinates there.
    """

    def __init__(self, coordinates: Coordinates) -> None:
        self.coordinates = coordinates
        shape = coordinates.shape
        parts = [sample(shape, 1000, seed=7)]
        self._lines: list[list[slice]] = []
        n = len(parts[0])
        for axis in range(len(shape)):
            own = []
            for line in _lines(shape, axis):
                parts.append(line)
                own.append(slice(n, n + len(line)))
                n += len(line)
            self._lines.append(own)
        self.places = np.concatenate(parts)
        # At once: a WCS with a pointing for each step takes long to begin.
        self.values = coordinates.values(self.places)

    def middle(self) -> Values:
        """Return the coordinates of the pixel in the middle."""
        if not self._lines:
            return np.asarray(self.values[0])
        places, values = self.lines(0)[0]
        found: Values = values[(len(places) - 1) // 2]
        return found

    def lines(self, axis: int) -> list[tuple[Values, Values]]:
        """Return pixels and coordinates along lines, that through the middle first."""
        return [(self.places[part], self.values[part]) for part in self._lines[axis]]


def of_plane(
    checked: Checked,
    members: Sequence[int],
    pixels: Sequence[int],
    tangents: Sequence[Values] = (),
) -> Straight:
    """Fit straight lines to one coordinate, or a tangent plane to a longitude and latitude.

    Parameters
    ----------
    checked : Checked
    members : sequence of int
        The places of the coordinate, or of the two, among them.
    pixels : sequence of int
        The pixel axes along which they change.
    tangents : sequence of array
        Tangent points to be tried, degrees, beside that in the middle.
    """
    n_axes = checked.coordinates.n_pixels
    places, values = checked.places, checked.values[:, list(members)]
    design = np.column_stack([places[:, list(pixels)], np.ones(len(places))])
    if not np.isfinite(values).all():
        return Straight(np.zeros((len(members), n_axes)), values[0] * np.nan)

    def solve(wanted: Values) -> tuple[Values, float]:
        scale = np.abs(design).max(axis=0)
        scale[scale == 0] = 1
        found = np.linalg.lstsq(design / scale, wanted)[0] / scale[:, None]
        return found, float(np.abs(design @ found - wanted).max())

    def straight(found: Values, tangent: Values | None = None) -> Straight:
        matrix = np.zeros((len(members), n_axes))
        matrix[:, list(pixels)] = found[:-1].T
        return Straight(matrix, found[-1], tangent)

    if len(members) == 1:
        return straight(solve(values)[0])
    centre = checked.middle()[list(members)]
    off = {}
    for number, tangent in enumerate([centre, *tangents]):
        touching = touching_plane(tangent)
        plane = np.column_stack(touching.wcs_world2pix(*values.T, 0)) + 1  # CRPIX is 0, from 1
        if np.isfinite(plane).all():
            found, away = solve(plane)
            off[away, number] = straight(found, np.asarray(tangent, float))
    return off[min(off)]


def touching_plane(tangent: Values) -> WCS:
    """Make the WCS of a plane that touches the sky at a point; its pixels are degrees."""
    touching = WCS(naxis=2)
    touching.wcs.ctype = ["HPLN-TAN", "HPLT-TAN"]
    touching.wcs.crval = tangent
    return touching


_SMALLEST: Final = 1e-3 / 3600
"""Degrees: what moves less from pixel to pixel is a drift."""

_ALONE: Final = {"longitude": 1e-4 / 3600, "latitude": 1e-4 / 3600, "time": 1e-3}
"""What counts as a pixel, in degrees and seconds, of coordinates that do not change."""


@dataclass(frozen=True, eq=False)
class Steps:
    """How much coordinates change from pixel to pixel, so that distances can be in pixels.

    Parameters
    ----------
    matrix : array, (number of coordinates, number of pixel axes)
        Of a longitude as an arc.
    shrink : float
        The arc of a difference in longitude.
    alone : float
        What counts as a pixel where they do not change.
    """

    matrix: Values
    shrink: float
    alone: float

    @classmethod
    def of(cls, checked: Checked, members: Sequence[int]) -> Steps:
        """Measure the median change along the middle of each pixel axis."""
        coordinates, middle = checked.coordinates, checked.middle()
        matrix = np.zeros((len(members), coordinates.n_pixels))
        for axis in {p for member in members for p in coordinates.all[member].pixels}:
            _, values = checked.lines(axis)[0]
            if len(values) > 1:
                change = np.diff(values[:, list(members)], axis=0)
                matrix[:, axis] = change[np.argsort(np.abs(change).sum(1))[len(change) // 2]]
        shrink = float(np.cos(np.radians(middle[members[1]]))) if len(members) == 2 else 1.0
        matrix[0] *= shrink
        kind, value = coordinates.all[members[0]].kind, abs(float(middle[members[0]]))
        return cls(matrix, shrink, _ALONE.get(kind, 1e-6 * value or 1.0))

    def pixels(self, off: Values) -> float:
        """Return how many pixels the largest of some distances is; off is (n, coordinates)."""
        off = off.copy()
        if len(self.matrix) == 2:
            off[:, 0] = ((off[:, 0] + 180) % 360 - 180) * self.shrink
        sizes = np.linalg.norm(self.matrix, axis=0)
        if not np.isfinite(sizes).all():
            return np.inf
        far: Any
        if not sizes.any():
            far = np.abs(off).max(axis=1) / self.alone
        elif len(self.matrix) == 1:
            far = np.abs(off[:, 0]) / sizes[sizes > 0].min()
        else:  # of the smallest pixel: neither a drift nor a jump between frames is one
            known = sizes[sizes >= _SMALLEST]
            far = np.linalg.norm(off, axis=1) / (known.min() if len(known) else sizes.max())
        found = float(far.max(initial=0.0))
        return found if np.isfinite(found) else np.inf


def knots(
    checked: Checked,
    axis: int,
    away: Callable[[Values], float],
    tolerance: float,
) -> Values:
    """Choose the pixels along an axis between which a table interpolates.

    Few where coordinates change smoothly, else all.

    Parameters
    ----------
    checked : Checked
    axis : int
        A pixel axis.
    away : callable
        How far differences of all coordinates are.
    tolerance : float
        How far they may be.
    """
    n = checked.coordinates.shape[::-1][axis]
    for few in (2, 3, 5, 9, 17, 33, 65):
        if few >= n:
            break
        chosen = np.unique(np.linspace(0, n - 1, few).round())
        off = 0.0
        for line, values in checked.lines(axis):
            at = line[:, axis]
            there = np.isin(at, chosen)
            between = np.column_stack(
                [np.interp(at, at[there], column[there]) for column in values.T]
            )
            off = max(off, away(between - values))
        if off < tolerance:
            return chosen
    return np.arange(n, dtype=float)

"""Complete the matrix of a WCS: FITS has as many coordinates as axes, and inverts it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from dkist_virtual.cube.world_axes import Values

__all__ = ["square"]


def square(
    rows: Values,
    n_pixels: int,
    pairs: Sequence[tuple[int, int]],
    single: Sequence[int | None],
) -> tuple[Values, list[int]]:
    """Complete rows of a matrix to a square one that has an inverse.

    Rows that are sums of others get an axis of their own, beyond those of the array, or one of the
    array's that has a single pixel; axes that no row has get a row. Rows are ordered so that each
    is at the axis along which it changes most.

    Parameters
    ----------
    rows : array, (number of rows, n_pixels)
    n_pixels : int
    pairs : sequence of (int, int)
        Rows of a longitude and its latitude, to be in this order.
    single : sequence of int or None
        For each row the axis of a single pixel that it may have.

    Returns
    -------
    matrix : array, (n, n)
    order : list of int
        The place of each row in it.
    """
    scale = np.linalg.norm(rows, axis=1)
    scale[scale == 0] = 1
    unit = rows / scale[:, None]
    independent: list[int] = []
    for k in range(len(rows)):
        chosen = unit[[*independent, k]]
        if len(chosen) <= n_pixels and np.linalg.svd(chosen, compute_uv=False)[-1] > 1e-8:
            independent.append(k)
    place: dict[int, int] = {}
    left, free = list(independent), list(range(n_pixels))
    while left:  # the largest entry first
        best = max(((k, p) for k in left for p in free), key=lambda at: abs(unit[at]))
        place[best[0]] = best[1]
        left.remove(best[0])
        free.remove(best[1])
    n = n_pixels
    for k, own in enumerate(single):
        if k not in place and own in free:
            place[k] = own
            free.remove(own)
        elif k not in place:
            place[k] = n
            n += 1
    own_entry = {place[k]: (scale[k], place[k]) for k in place if k not in independent}
    entries = {k: own_entry.get(place[k]) for k in place}
    for lon, lat in pairs:
        if place[lon] > place[lat]:
            place[lon], place[lat] = place[lat], place[lon]
    matrix = np.zeros((n, n))
    for k, row in enumerate(rows):
        matrix[place[k], :n_pixels] = row
        if (entry := entries[k]) is not None:
            matrix[place[k], entry[1]] = entry[0]
    for axis in free:
        matrix[axis, axis] = 1.0
    return matrix, [place[k] for k in range(len(rows))]

"""Find offsets and brightness of all tiles from those of pairs, by weighted least squares."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import numpy as np

from dkist_virtual.errors import DatasetError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dkist_virtual.science.stitching.overlaps import Measured
    from dkist_virtual.science.stitching.tiles import Place

__all__ = ["solve"]

_WEAK: Final = 0.3
"""A correlation below which an overlap says nothing."""


def solve(
    what: str,
    places: Sequence[Place],
    measured: Sequence[Measured],
    fixed: int,
    scale: float,
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Find values of tiles whose differences are those measured, as well as they can be.

    Pairs count by the pixels that were compared and by their correlation. One that does not agree
    with the others counts less (Cauchy weights, found by repetition).

    Parameters
    ----------
    what : str
        What is solved for, in a message.
    places : sequence of tuple of int
        Of the tiles.
    measured : sequence of Measured
        That the value of the second is larger than that of the first by its `value`, as well as it
        is known in each direction.
    fixed : int
        The tile whose value is 0.
    scale : float
        How large a disagreement is that halves the weight of a pair, at least.

    Returns
    -------
    values : numpy.ndarray
        Shape (tiles, numbers of a value).
    residuals, weights : numpy.ndarray
        How far a pair is from the values, and with which weight it counts: shape (pairs,).

    Raises
    ------
    DatasetError
        A tile has no overlap with the others that says anything.
    """
    strength = np.array(
        [
            one.pixels * max(one.correlation, 0.0) ** 2
            if one.within and (one.correlation >= _WEAK or what == "match")
            else 0.0
            for one in measured
        ]
    )
    if what == "match":
        strength = np.array([float(one.pixels) for one in measured])
    _check_connected(what, places, measured, strength, fixed)
    n = len(places)
    if n == 1:
        return np.zeros((1, 2)), np.zeros(0), np.zeros(0)
    wanted = np.array([one.value for one in measured])
    numbers = wanted.shape[1]
    matrix = np.zeros((len(measured), n))
    for row, one in enumerate(measured):
        matrix[row, one.second], matrix[row, one.first] = 1, -1
    free = [tile for tile in range(n) if tile != fixed]
    # How well each pair knows each direction: the root of a matrix of numbers.
    roots = np.array([_root(one.sharp)[:numbers, :numbers] for one in measured])
    rows = np.einsum("pij,pt->pitj", roots, matrix[:, free])
    right = np.einsum("pij,pj->pi", roots, wanted)
    strength = strength / strength.max()
    weights = strength
    values = np.zeros((n, numbers))
    for _ in range(30):
        root = np.sqrt(weights)[:, None]
        design = (rows * root[..., None, None]).reshape(len(measured) * numbers, -1)
        found = np.linalg.lstsq(design, (right * root).ravel(), rcond=None)[0]
        values[free] = found.reshape(len(free), numbers)
        left = np.einsum("pij,pj->pi", roots, wanted - matrix @ values)
        away = np.sqrt((left**2).sum(axis=1))
        used = strength > 0
        spread = max(scale, 1.5 * float(np.median(away[used])))
        again = strength / (1 + (away / spread) ** 2)
        if np.allclose(again, weights, rtol=1e-6, atol=1e-12):
            break
        weights = again
    return values, away, weights


def _root(matrix: Sequence[Sequence[float]]) -> NDArray[np.float64]:
    """Return the root of a symmetric matrix whose values are not negative."""
    values, vectors = np.linalg.eigh(np.asarray(matrix, np.float64))
    root: NDArray[np.float64] = (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T
    return root


def _check_connected(
    what: str,
    places: Sequence[Place],
    measured: Sequence[Measured],
    strength: NDArray[np.float64],
    fixed: int,
) -> None:
    reached, before = {fixed}, 0
    while len(reached) > before:
        before = len(reached)
        for one, counts in zip(measured, strength, strict=True):
            if counts > 0 and {one.first, one.second} & reached:
                reached |= {one.first, one.second}
    alone = [list(places[tile]) for tile in range(len(places)) if tile not in reached]
    if not alone:
        return
    option = "register=True" if what == "register" else "match="
    seen = {tile for one in measured for tile in (one.first, one.second)}
    touching = any(list(places[tile]) in alone for tile in seen)
    why = (
        "with no correlation within search= pixels that would say where they are"
        if touching and what == "register"
        else "or by fewer than 8 pixels"
    )
    raise DatasetError(
        f"stitch({option}): tiles {', '.join(map(str, alone))} do not overlap with those around "
        f"{list(places[fixed])}, {why}. mosaic.mask[i, j] = True leaves a tile out, and without "
        f"{option} tiles stay as they are"
    )

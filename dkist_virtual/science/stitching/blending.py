"""Make output pixels of windows of tiles. Arrays in, arrays out: this runs in dask's workers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Order", "edge_distance", "inside", "sample", "sample_nearest", "window_of"]

Order: TypeAlias = Literal["linear", "cubic"]

_TRACE: Final = 1e-3
"""A weight in an interpolation that is more than rounding of positions."""


def inside(row: NDArray[Any], column: NDArray[Any], shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Return which positions are within the area of a tile's pixels, edges included."""
    within: NDArray[np.bool_] = (row >= -0.5) & (row <= shape[0] - 0.5)
    within &= (column >= -0.5) & (column <= shape[1] - 0.5)
    return within


def window_of(at: NDArray[Any], n: int, order: Order) -> slice:
    """Return the pixels of an axis that interpolation at some positions needs."""
    before, after = (0, 1) if order == "linear" else (1, 2)
    low, high = float(at.min()), float(at.max())
    if low == high == np.rint(low):
        before = after = 0
    return slice(
        max(0, min(int(np.floor(low)) - before, n - 1)),
        min(n, max(int(np.ceil(high)) + after, 1)),
    )


def _taps(at: NDArray[Any], n: int, order: Order) -> tuple[NDArray[np.int64], list[NDArray[Any]]]:
    """Return the first pixel that an interpolation uses, and the weights of it and the next.

    Between the two outermost of `n` pixels it is linear.
    """
    base = np.floor(at)
    t = at - base
    if order == "linear":
        return base.astype(np.int64), [1 - t, t]
    # Cubic convolution (Keys 1981): exact for parabolas, and four pixels wide.
    weights = [
        ((-0.5 * t + 1) * t - 0.5) * t,
        (1.5 * t - 2.5) * t * t + 1,
        ((-1.5 * t + 2) * t + 0.5) * t,
        (0.5 * t - 0.5) * t * t,
    ]
    within = (base >= 1) & (base <= n - 3)
    linear: list[Any] = [0.0, 1 - t, t, 0.0]
    weights = [np.where(within, of, line) for of, line in zip(weights, linear, strict=True)]
    return base.astype(np.int64) - 1, weights


def sample(
    pixels: NDArray[Any],
    invalid: NDArray[np.bool_] | None,
    row: NDArray[Any],
    column: NDArray[Any],
    order: Order,
    first: tuple[int, int],
    shape: tuple[int, int],
) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """Interpolate a window of a tile, plane by plane, at positions that are inside of the tile.

    Beyond the centres of the outermost pixels the nearest of them counts.

    Parameters
    ----------
    pixels : numpy.ndarray
        Shape (..., rows, columns).
    invalid : numpy.ndarray, optional
        Where pixels count for nothing, of the same shape. NaN does so too.
    row, column : numpy.ndarray
        Positions in the tile: one dimension.
    order : {"linear", "cubic"}
    first : tuple of int
        Row and column in the tile of the window's first pixel.
    shape : tuple of int
        Of the tile.

    Returns
    -------
    values : numpy.ndarray
        Shape (..., positions), of the pixels' type.
    valid : numpy.ndarray
        Whether no pixel that counts for nothing contributes.
    """
    i, across = _taps(np.clip(row, 0, shape[0] - 1), shape[0], order)
    j, along = _taps(np.clip(column, 0, shape[1] - 1), shape[1], order)
    i, j = i - first[0], j - first[1]
    lead = pixels.shape[:-2]
    n_rows, n_columns = pixels.shape[-2:]
    planes = np.ascontiguousarray(pixels).reshape(-1, n_rows * n_columns)
    wrong = ~np.isfinite(planes)
    if invalid is not None:
        wrong |= np.broadcast_to(invalid, pixels.shape).reshape(planes.shape)
    some = wrong.any(axis=1)
    values = np.zeros((len(planes), len(row)), np.float64)
    doubt = np.zeros((len(planes), len(row)), np.float64)
    clean = np.where(wrong, 0, planes) if some.any() else planes
    for k, of_row in enumerate(across):
        at_row = np.clip(i + k, 0, n_rows - 1) * n_columns
        for m, of_column in enumerate(along):
            weight = of_row * of_column
            at = at_row + np.clip(j + m, 0, n_columns - 1)
            for plane in range(len(planes)):
                values[plane] += weight * clean[plane, at]
                if some[plane]:
                    doubt[plane] += np.abs(weight) * wrong[plane, at]
    return (
        values.reshape(*lead, len(row)).astype(pixels.dtype, copy=False),
        (doubt <= _TRACE).reshape(*lead, len(row)),
    )


def sample_nearest(
    table: NDArray[Any], row: NDArray[Any], column: NDArray[Any], shape: tuple[int, int]
) -> NDArray[Any]:
    """Take the nearest values of a table at positions in the tile: (..., positions).

    The table has a single row, or column, where its values are the same in all.
    """
    at = []
    for where, n, own in ((row, shape[0], table.shape[-2]), (column, shape[1], table.shape[-1])):
        nearest = np.clip(np.rint(where), 0, n - 1).astype(np.int64)
        at.append(nearest if own > 1 else np.zeros_like(nearest))
    values: NDArray[Any] = table[..., at[0], at[1]]
    return values


def edge_distance(
    row: NDArray[Any], column: NDArray[Any], shape: tuple[int, int]
) -> NDArray[np.float64]:
    """Return how far positions are from the nearest edge of the tile, in its pixels."""
    away: NDArray[np.float64] = np.minimum.reduce(
        [row + 0.5, shape[0] - 0.5 - row, column + 0.5, shape[1] - 0.5 - column]
    )
    return away

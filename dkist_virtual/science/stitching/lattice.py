"""Place the pixels of a tile in the output grid, and find where output pixels are in the tile."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats: TypeAlias = "NDArray[np.float64]"

__all__ = ["ACCURACY", "Lattice", "place"]

ACCURACY: Final = 0.002
"""How far, in pixels, a place between the nodes of a lattice may be from the WCS."""

_STRIDE: Final = 32
"""Output pixels between those whose place in a smooth tile is computed; others lie between."""

_SNAP: Final = 1e-6
"""A position this near to the centre of a pixel is there: it is the rounding of coordinates."""

_FIRST: Final = 9
"""Nodes along an axis at first."""


@dataclass(frozen=True, eq=False)
class Lattice:
    """Where pixels of a tile are in the output grid, given at nodes; in between it is bilinear.

    Parameters
    ----------
    rows, columns : numpy.ndarray
        Pixels of the tile along its two axes on the sky at which the place is given: at least two.
    places : numpy.ndarray
        Row and column in the output grid: shape (pointings, rows, columns, 2).
    shape : tuple of int
        Of the tile, along these axes.
    """

    rows: Floats
    columns: Floats
    places: Floats
    shape: tuple[int, int]

    def __post_init__(self) -> None:
        expected = (len(self.rows), len(self.columns), 2)
        if self.places.ndim != 4 or self.places.shape[1:] != expected or min(expected) < 2:
            raise ValueError(f"expected places of shape (n, {expected}), found {self.places.shape}")

    def moved(self, down: float, right: float) -> Lattice:
        """Return the same, moved by output pixels."""
        return replace(self, places=self.places + np.array([down, right]))

    @property
    def smooth(self) -> bool:
        """Whether places are known to be smooth along both axes: nodes are several pixels apart."""
        return len(self.rows) < self.shape[0] and len(self.columns) < self.shape[1]

    # Forward --------------------------------------------------------------------------------

    def _cells(self, nodes: Floats, at: Floats) -> tuple[NDArray[np.int64], Floats, Floats]:
        """Return the cell in which positions are, where in it from 0 to 1, and its length."""
        cell = np.clip(np.searchsorted(nodes, at, side="right") - 1, 0, len(nodes) - 2)
        length = nodes[cell + 1] - nodes[cell]
        return cell, (at - nodes[cell]) / length, length

    def _forward(self, pointing: int, row: Floats, column: Floats) -> tuple[Floats, Floats, Floats]:
        """Return the place of positions in the tile, and its slopes along both axes."""
        places = self.places[pointing]
        i, s, height = self._cells(self.rows, row)
        j, t, width = self._cells(self.columns, column)
        s, t = s[..., None], t[..., None]
        a, b, c, d = places[i, j], places[i, j + 1], places[i + 1, j], places[i + 1, j + 1]
        above, below = a + t * (b - a), c + t * (d - c)
        down = (below - above) / height[..., None]
        right = ((b - a) + s * ((d - c) - (b - a))) / width[..., None]
        return above + s * (below - above), down, right

    def forward(self, pointing: int, row: Any, column: Any) -> Floats:
        """Return the row and column in the output grid of positions in the tile: (..., 2)."""
        at = np.broadcast_arrays(np.asarray(row, float), np.asarray(column, float))
        return self._forward(pointing, *at)[0]

    @cached_property
    def boxes(self) -> NDArray[np.int64]:
        """The output pixels that each pointing reaches: (pointings, 2, first and last)."""
        rows = np.unique(np.r_[-0.5, self.rows, self.shape[0] - 0.5])
        columns = np.unique(np.r_[-0.5, self.columns, self.shape[1] - 0.5])
        found = []
        for pointing in range(len(self.places)):
            edge = np.concatenate(
                [
                    self.forward(pointing, rows[:, None], columns[[0, -1]][None]).reshape(-1, 2),
                    self.forward(pointing, rows[[0, -1]][:, None], columns[None]).reshape(-1, 2),
                ]
            )
            low = np.ceil(edge.min(axis=0) - _SNAP)
            high = np.floor(edge.max(axis=0) + _SNAP)
            found.append(np.stack([low, high], axis=1))
        return np.array(found).astype(np.int64)

    # Backward -------------------------------------------------------------------------------

    @cached_property
    def _starts(self) -> Floats:
        """The affine map from places to positions in the tile that fits best: (pointings, 3, 2)."""
        grid = np.stack(np.meshgrid(self.rows, self.columns, indexing="ij"), axis=-1)
        wanted = grid.reshape(-1, 2)
        return np.array(
            [
                np.linalg.lstsq(
                    np.column_stack([of.reshape(-1, 2), np.ones(len(wanted))]), wanted, rcond=None
                )[0]
                for of in self.places
            ]
        )

    def _solve(self, pointing: int, y: Floats, x: Floats) -> tuple[Floats, Floats]:
        """Find places in the tile by Newton's method; NaN where it finds none.

        Each place stays where it converged, so that the result does not depend on the others.
        """
        start = self._starts[pointing]
        row = y * start[0, 0] + x * start[1, 0] + start[2, 0]
        column = y * start[0, 1] + x * start[1, 1] + start[2, 1]
        away = np.full(row.shape, np.inf)
        for _ in range(30):
            there, down, right = self._forward(pointing, row, column)
            off_y, off_x = y - there[..., 0], x - there[..., 1]
            with np.errstate(divide="ignore", invalid="ignore"):
                area = down[..., 0] * right[..., 1] - down[..., 1] * right[..., 0]
                step_row = (off_y * right[..., 1] - off_x * right[..., 0]) / area
                step_column = (off_x * down[..., 0] - off_y * down[..., 1]) / area
            going = away > 1e-9
            row = np.where(going, row + step_row, row)
            column = np.where(going, column + step_column, column)
            away = np.where(going, np.hypot(step_row, step_column), away)
            if not (away > 1e-9).any():
                break
        lost = ~(away < ACCURACY)
        row[lost], column[lost] = np.nan, np.nan
        return row, column

    def backward(self, pointing: int, y: NDArray[Any], x: NDArray[Any]) -> tuple[Floats, Floats]:
        """Return the positions in the tile of the output pixels of some rows and columns.

        The same for a pixel, whatever other rows and columns are asked for with it.

        Parameters
        ----------
        pointing : int
        y, x : numpy.ndarray
            Rows and columns of output pixels, ascending.

        Returns
        -------
        row, column : numpy.ndarray
            Shape (y, x); NaN or outside of the tile where it does not reach.
        """
        if not self.smooth:
            grid = np.meshgrid(y.astype(float), x.astype(float), indexing="ij")
            return self._snapped(self._solve(pointing, *grid))
        some = [np.arange(a[0] // _STRIDE, a[-1] // _STRIDE + 2) * float(_STRIDE) for a in (y, x)]
        solved = self._solve(pointing, *np.meshgrid(*some, indexing="ij"))
        i, j = y // _STRIDE - y[0] // _STRIDE, x // _STRIDE - x[0] // _STRIDE
        s, t = ((y % _STRIDE) / _STRIDE)[:, None], ((x % _STRIDE) / _STRIDE)[None]
        found = []
        for of in solved:
            sides = of[:, j] * (1 - t) + of[:, j + 1] * t
            found.append(sides[i] * (1 - s) + sides[i + 1] * s)
        return self._snapped((found[0], found[1]))

    def find(self, pointing: int, y: NDArray[Any], x: NDArray[Any]) -> tuple[Floats, Floats]:
        """Return the positions in the tile of places anywhere, one by one: see `backward`."""
        at = np.broadcast_arrays(np.asarray(y, float), np.asarray(x, float))
        return self._snapped(self._solve(pointing, *at))

    @staticmethod
    def _snapped(found: tuple[Floats, Floats]) -> tuple[Floats, Floats]:
        near = [np.rint(of) for of in found]
        row, column = (
            np.where(np.abs(of - to) < _SNAP, to, of) for of, to in zip(found, near, strict=True)
        )
        return row, column


def place(
    where: Callable[[int, Floats, Floats], Floats],
    pointings: int,
    shape: tuple[int, int],
    jumps: tuple[bool, bool],
) -> Lattice:
    """Make the lattice of a tile: with so many nodes that it is accurate.

    Parameters
    ----------
    where : callable
        Returns the places, shape (rows, columns, 2), of rows and columns of the tile, by its own
        WCS, for one of its pointings.
    pointings : int
    shape : tuple of int
        Of the tile along its axes on the sky.
    jumps : tuple of bool
        Whether the pointing may jump from pixel to pixel along each of the axes, as from step to
        step of a raster: every pixel is a node there.
    """
    counts = [n if jump else min(n, _FIRST) for n, jump in zip(shape, jumps, strict=True)]
    while True:
        rows, columns = (
            np.linspace(0, n - 1, count) for n, count in zip(shape, counts, strict=True)
        )
        places = np.array([where(pointing, rows, columns) for pointing in range(pointings)])
        lattice = Lattice(rows, columns, places, shape)
        if counts == list(shape):
            return lattice
        between = [
            nodes if count == n else (nodes[1:] + nodes[:-1]) / 2
            for nodes, count, n in zip((rows, columns), counts, shape, strict=True)
        ]
        worst = 0.0
        for pointing in sorted({0, pointings // 2, pointings - 1}):
            exact = where(pointing, *between)
            away = lattice.forward(pointing, between[0][:, None], between[1][None]) - exact
            worst = max(worst, float(np.abs(away).max()))
        if worst < ACCURACY / 4:
            return lattice
        counts = [min(n, 2 * count - 1) for n, count in zip(shape, counts, strict=True)]

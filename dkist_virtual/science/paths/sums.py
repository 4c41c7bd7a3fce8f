"""Read the pixels of a region, each once, and take their mean, sum or median."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np

from dkist_virtual.science.paths.lazy_source import Average, bands

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dkist_virtual.science.paths.regions import Region

__all__ = ["OfRegion", "Statistic"]

Statistic: TypeAlias = Literal["mean", "sum", "median"]


@dataclass(frozen=True, eq=False)
class OfRegion(Average):
    """The mean, sum or median of the pixels of a region, whose centres are in it.

    Pixels that are masked or not finite count for nothing. There is no value, NaN, where none
    counts.

    Parameters
    ----------
    region : Region, or numpy.ndarray
        On the sky; or which pixels of each image are in it: shape (rows, columns).
    statistic : {"mean", "sum", "median"}
    """

    region: Region | NDArray[np.bool_]
    statistic: Statistic

    def _about(self) -> tuple[object, ...]:
        region = self.region
        known = region if isinstance(region, np.ndarray) else (type(region).__name__, vars(region))
        return known, self.statistic

    def members(self, at: list[int]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Find rows and columns of the pixels of the region, at a pixel of the carried axes."""
        region = self.region
        if isinstance(region, np.ndarray):
            rows, columns = np.nonzero(region)
            return rows, columns
        knots = region.knots
        knot = knots[0] if self.clock is None else self.clock.between(at, knots)
        if not np.isfinite(knot).all():
            return np.zeros(0, np.int64), np.zeros(0, np.int64)
        pointing = self.image.pointing(at)
        edge = region.edge(knot)
        window = []
        for found, n in zip(
            self.lattice.find(pointing, edge[:, 0], edge[:, 1]), self.lattice.shape, strict=True
        ):
            lost = not np.isfinite(found).all()
            low, high = (0, n) if lost else (np.floor(found.min()) - 1, np.ceil(found.max()) + 2)
            window.append(np.arange(max(0, int(low)), min(n, int(high))))
        rows, columns = window
        if not len(rows) or not len(columns):
            return np.zeros(0, np.int64), np.zeros(0, np.int64)
        places = self.lattice.forward(pointing, rows[:, None], columns[None])
        down, right = np.nonzero(region.contains(knot, places))
        return rows[down], columns[right]

    def _read(self, axes: list[range]) -> NDArray[np.generic]:
        carried = axes
        lead = tuple(map(len, carried))
        groups = [(where, *self.members(at)) for at, where in self.groups(carried)]
        if self.what == "mask" and self.image.mask is None:
            counts = np.zeros(lead)
            for where, rows, _ in groups:
                counts[where] = len(rows)
            return np.asarray(counts == 0)
        total, known = np.zeros(lead), np.zeros(lead)
        whole: list[list[Any]] = [[] for _ in groups]
        all_rows = np.concatenate([rows for _, rows, _ in groups])
        all_columns = np.concatenate([columns for _, _, columns in groups])
        n_bytes = int(np.prod(lead)) * self.image.pixels.dtype.itemsize
        for down, right in bands(all_rows, all_columns, n_bytes):
            values, good = self.valid(carried, down, right)
            for number, (where, row, column) in enumerate(groups):
                here = (row >= down.start) & (row < down.stop)
                at = row[here] - down.start, column[here] - right.start
                counts = good[where][(..., *at)]
                known[where] += counts.sum(axis=-1)
                if values is None:
                    continue
                picked = values[where][(..., *at)]
                if self.statistic == "median":
                    whole[number].append(np.where(counts, picked, np.nan))
                    continue
                picked = np.where(counts, picked, 0)
                total[where] += (picked**2 if self.what == "spread" else picked).sum(axis=-1)
        if self.what == "mask":
            return np.asarray(known == 0)
        if self.statistic == "median":
            for (where, _, _), parts in zip(groups, whole, strict=True):
                total[where] = _median(parts)
        elif self.what == "spread":
            total = np.sqrt(total)
        if self.statistic == "mean":
            with np.errstate(invalid="ignore", divide="ignore"):
                total = total / known
        return np.where(known > 0, total, np.nan).astype(self.of)


def _median(parts: list[Any]) -> Any:
    if not parts:
        return np.nan
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "All-NaN slice")
        return np.nanmedian(np.concatenate(parts, axis=-1), axis=-1)

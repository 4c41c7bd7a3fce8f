"""Read the pixels along a path, each once, and average them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

import numpy as np

from dkist_virtual.science.paths.lazy_source import Average, bands

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["HALF", "AlongPath", "Order"]

Order: TypeAlias = Literal["linear", "nearest"]

_NOTHING: Final = 1e-9
"""A weight that is rounding."""

HALF: Final = 0.5 - 1e-6
"""Of the weight of a value that must be known: less is no value."""


@dataclass(frozen=True, eq=False)
class _Taps:
    """The pixels that contribute to values along a path, sorted by value.

    Parameters
    ----------
    out, row, column : numpy.ndarray
        The value that a pixel contributes to, and the pixel.
    weight : numpy.ndarray
    """

    out: NDArray[np.int64]
    row: NDArray[np.int64]
    column: NDArray[np.int64]
    weight: NDArray[np.float64]

    def inside(self, rows: slice, columns: slice) -> _Taps:
        """Return those of a window, counted from its first pixel."""
        here = (self.row >= rows.start) & (self.row < rows.stop)
        return _Taps(
            self.out[here], self.row[here] - rows.start, self.column[here] - columns.start,
            self.weight[here],
        )  # fmt: skip


@dataclass(frozen=True, eq=False)
class AlongPath(Average):
    """The values along a path: a weighted mean of pixels at each step.

    Pixels that are masked or not finite, and positions outside of the field, count for nothing.
    A step has no value, NaN, where less than half of its weight is known.

    Parameters
    ----------
    places : numpy.ndarray
        Latitude and longitude of the samples, as the lattice counts them: shape (knots, steps,
        samples across, 2), with a knot for each of the clock's, or one.
    order : {"linear", "nearest"}
        Interpolate between the four nearest pixels, or take the nearest.
    """

    places: NDArray[np.float64]
    order: Order

    def _about(self) -> tuple[object, ...]:
        return self.places, self.order

    def pixels_of(self, at: list[int], steps: NDArray[np.int64]) -> NDArray[np.float64]:
        """Find row and column of the samples of some steps: (steps, samples, 2); NaN if lost."""
        places = self.places[:, steps]
        now = places[0] if self.clock is None else self.clock.between(at, places)
        row, column = self.lattice.find(self.image.pointing(at), now[..., 0], now[..., 1])
        return np.stack([row, column], axis=-1)

    def taps(self, at: list[int], steps: NDArray[np.int64]) -> _Taps:
        """Find the pixels that contribute to some steps, at a pixel of the carried axes."""
        pixels = self.pixels_of(at, steps)
        out = np.broadcast_to(np.arange(len(steps))[:, None], pixels.shape[:2])
        sizes = np.array(self.lattice.shape)
        with np.errstate(invalid="ignore"):
            there = ((pixels >= -0.5) & (pixels <= sizes - 0.5)).all(axis=-1)
        out, pixels = out[there], np.clip(pixels[there], 0, sizes - 1)
        if self.order == "nearest":
            # Half a pixel is rounded up, the same for even and odd pixels.
            corners = [(np.floor(pixels + 0.5), np.ones(len(pixels)))]
        else:
            base = np.floor(pixels)
            share = pixels - base
            corners = [
                (
                    base + [down, right],
                    (share[:, 0] if down else 1 - share[:, 0])
                    * (share[:, 1] if right else 1 - share[:, 1]),
                )
                for down in (0, 1)
                for right in (0, 1)
            ]
        which = np.concatenate([out] * len(corners)).astype(np.int64)
        where = np.concatenate([one for one, _ in corners]).astype(np.int64)
        weight = np.concatenate([one for _, one in corners])
        used = weight > _NOTHING
        key = (which[used] * sizes[0] + where[used, 0]) * sizes[1] + where[used, 1]
        key, again = np.unique(key, return_inverse=True)
        total = np.bincount(again.ravel(), weight[used], minlength=len(key)).astype(np.float64)
        rest, column = np.divmod(key, sizes[1])
        which, row = np.divmod(rest, sizes[0])
        return _Taps(which, row, column, total)

    def share_inside(self, at: list[int]) -> NDArray[np.float64]:
        """Return which share of the samples of each step is inside of the field."""
        steps = np.arange(self.places.shape[1])
        pixels = self.pixels_of(at, steps)
        with np.errstate(invalid="ignore"):
            there = (pixels >= -0.5) & (pixels <= np.array(self.lattice.shape) - 0.5)
        share: NDArray[np.float64] = np.asarray(there.all(axis=-1).mean(axis=-1), np.float64)
        return share

    def _read(self, axes: list[range]) -> NDArray[np.generic]:
        *carried, path = axes
        steps = np.asarray(path)
        lead = tuple(map(len, carried))
        total, known = np.zeros((*lead, len(steps))), np.zeros((*lead, len(steps)))
        groups = [(where, self.taps(at, steps)) for at, where in self.groups(carried)]
        if self.what == "mask" and self.image.mask is None:
            for where, taps in groups:
                known[where] += np.bincount(taps.out, taps.weight, minlength=len(steps))
        else:
            self._add(groups, carried, total, known)
        share = known / self.places.shape[2]
        if self.what == "mask":
            return np.asarray(share < HALF)
        with np.errstate(invalid="ignore", divide="ignore"):
            values = (np.sqrt(total) if self.what == "spread" else total) / known
        filled: NDArray[np.generic] = np.where(share >= HALF, values, np.nan).astype(self.of)
        return filled

    def _add(
        self, groups: list[tuple[Any, _Taps]], carried: list[range],
        total: NDArray[np.float64], known: NDArray[np.float64],
    ) -> None:  # fmt: skip
        rows = np.concatenate([taps.row for _, taps in groups])
        columns = np.concatenate([taps.column for _, taps in groups])
        n_bytes = int(np.prod([len(part) for part in carried])) * self.image.pixels.dtype.itemsize
        for window in bands(rows, columns, n_bytes):
            values, good = self.valid(carried, *window)
            for where, taps in groups:
                here = taps.inside(*window)
                if not len(here.out):
                    continue
                starts = np.flatnonzero(np.diff(here.out, prepend=-1))
                outs = here.out[starts]
                counts = good[where][..., here.row, here.column]
                known[where][..., outs] += np.add.reduceat(
                    np.where(counts, here.weight, 0), starts, axis=-1
                )
                if values is None:
                    continue
                picked = np.where(counts, values[where][..., here.row, here.column], 0)
                weighed = picked * here.weight
                if self.what == "spread":
                    weighed = weighed**2
                total[where][..., outs] += np.add.reduceat(weighed, starts, axis=-1)

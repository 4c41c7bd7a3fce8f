"""Say what was stitched: the tiles, when each pixel was taken, and which tiles are in it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from dkist_virtual.science.stitching.blending import inside

if TYPE_CHECKING:
    import dask.array
    from astropy.table import Table
    from astropy.time import Time
    from astropy.units import Quantity
    from numpy.typing import NDArray

    from dkist_virtual.cube.selection import Index
    from dkist_virtual.science.stitching.field import Field
    from dkist_virtual.science.stitching.options import Options
    from dkist_virtual.science.stitching.tiles import Place, Sight

__all__ = ["Pair", "Stitching"]


@dataclass(frozen=True)
class Pair:
    """What the overlap of two tiles says.

    Parameters
    ----------
    first, second : tuple of int
        Their places.
    shift : tuple of float
        How far the second has to move against the first, in output pixels, x and y.
    correlation : float
        Of the two in their overlap, once it is moved.
    pixels : int
        That were compared.
    residual : float
        What is left of the shift when all tiles are in their places, in output pixels.
    weight : float
        With which it counted; 0 where it was left out.
    """

    first: Place
    second: Place
    shift: tuple[float, float]
    correlation: float
    pixels: int
    residual: float
    weight: float


@dataclass(frozen=True, eq=False)
class Stitching:
    """What a stitched dataset, or a selection of it, is made of.

    Parameters
    ----------
    tiles : tuple of tuple of int
        The places of the tiles in the mosaic, in the order in which they count.
    middle : tuple of int
        The place of the tile whose frame, observer and coordinates the result has.
    options : Options
    offsets : Quantity
        What was added to Tx and Ty of each tile, arcsec: shape (tiles, 2).
    gains, additions : numpy.ndarray
        What each tile was multiplied by, and what was added to it then: shape (tiles,).
    moved : numpy.ndarray
        How far from its place each tile is at most, in output pixels, because it was moved by
        whole pixels: shape (tiles,).
    pairs : tuple of Pair
        What the overlaps say, where tiles were registered.
    epoch : Time
        From which times are counted.
    """

    tiles: tuple[Place, ...]
    middle: Place
    options: Options
    offsets: Quantity
    gains: NDArray[np.float64]
    additions: NDArray[np.float64]
    moved: NDArray[np.float64]
    pairs: tuple[Pair, ...]
    epoch: Time
    _field: Field = field(repr=False)
    _sights: tuple[Sight, ...] = field(repr=False)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the selection."""
        return self._field.shape

    @property
    def residual(self) -> float:
        """How far the overlaps are from agreeing, in output pixels: 0 without registration.

        It is the root of the mean square, with the weights of the pairs.
        """
        weights = [pair.weight for pair in self.pairs]
        if not any(weights):
            return 0.0
        return float(np.sqrt(np.average([p.residual**2 for p in self.pairs], weights=weights)))

    def select(self, index: Index) -> Stitching:
        """Return what is known of a part of the selection."""
        return replace(self, _field=self._field.select(index))

    @property
    def seconds(self) -> dask.array.Array:
        """When each pixel was taken, in seconds after `epoch`: NaN where there is no tile; lazy."""
        return replace(self._field, what="seconds").dask()

    @property
    def time(self) -> dask.array.Array:
        """When each pixel was taken: datetime64 in UTC, NaT where there is no tile; lazy.

        Where tiles are blended, it is the mean of their times, with the weights of the pixels.
        """
        seconds = self.seconds
        start = np.datetime64(self.epoch.utc.isot, "ns")
        count: Any = _moments
        moments: dask.array.Array = seconds.map_blocks(count, start, dtype="M8[ns]")
        return moments

    @property
    def footprint(self) -> dask.array.Array:
        """True where a tile contributes; lazy: an axis for `tiles`, then those of the data."""
        import dask.array as da

        shares = [
            replace(self._field, what="footprint", tile=number).dask()
            for number in range(len(self.tiles))
        ]
        stacked: dask.array.Array = da.stack(shares)
        return stacked

    @property
    def headers(self) -> dict[Place, Table | None]:
        """The header rows of the frames that reach the selection, by the place of their tile.

        None for a tile that has no headers.
        """
        found: dict[Place, Table | None] = {}
        for tile, sight in zip(self._field.tiles, self._sights, strict=True):
            index = self._window(tile, sight)
            if index is not None:
                cube: Any = sight.cube
                found[tile.place] = cube[index].headers
        return found

    def _window(self, tile: Any, sight: Sight) -> tuple[slice, ...] | None:
        """Return the pixels of a tile that reach the selection; None where none do."""
        *carried, ys, xs = (
            part if isinstance(part, range) else range(part, part + 1)
            for part in self._field.selection.axes
        )
        y, x = (np.unique(np.r_[part[:: max(1, len(part) // 256)], part[-1]]) for part in (ys, xs))
        low, high = np.full(2, np.inf), np.full(2, -np.inf)
        for pointing in range(len(tile.lattice.places)):
            (top, bottom), (left, right) = tile.lattice.boxes[pointing]
            if ys[-1] < top or ys[0] > bottom or xs[-1] < left or xs[0] > right:
                continue
            where = tile.lattice.backward(pointing, y, x)
            there = inside(where[0], where[1], tile.lattice.shape)
            if there.any():
                at = np.stack([of[there] for of in where])
                low, high = np.minimum(low, at.min(axis=1)), np.maximum(high, at.max(axis=1))
        if not np.isfinite(low).all():
            return None
        # Between those that were looked at there are others, a few pixels away.
        margin = 1 + max(len(ys), len(xs)) // 128
        index: list[Any] = [slice(None)] * len(sight.cube.shape)
        for axis, part in zip(sight.carried, carried, strict=True):
            index[axis] = slice(part.start, part.stop, part.step)
        for axis, first, last, n in zip(sight.sky, low, high, sight.shape, strict=True):
            index[axis] = slice(
                max(0, int(np.floor(first)) - margin * (len(ys) > 256 or len(xs) > 256)),
                min(n, int(np.ceil(last)) + 1 + margin * (len(ys) > 256 or len(xs) > 256)),
            )
        return tuple(index)

    def __str__(self) -> str:
        about = self.options
        said = [f"{len(self.tiles)} tiles {' '.join(','.join(map(str, p)) for p in self.tiles)}"]
        how = "whole pixels" if about.resample == "shift" else f"interpolate {about.order}"
        said.append(f"{how}, {about.combine}, grid of {about.orientation}")
        if self.moved.any():
            said.append(f"up to {self.moved.max():.2f} pixels from their places")
        if about.register:
            far = np.abs(self.offsets.to_value("arcsec")).max()
            said.append(f"moved by up to {far:.3f} arcsec, residual {self.residual:.2f} pixels")
        if about.match == "gain":
            said.append(f"gains {self.gains.min():.4f} to {self.gains.max():.4f}")
        if about.match == "offset":
            said.append(f"offsets {self.additions.min():.5g} to {self.additions.max():.5g}")
        return "; ".join(said)


def _moments(seconds: NDArray[np.float64], start: np.datetime64) -> NDArray[Any]:
    known = np.isfinite(seconds)
    after = np.rint(np.where(known, seconds, 0) * 1e6).astype("m8[us]")  # beyond, it is rounding
    return np.where(known, start + after, np.datetime64("NaT", "ns"))

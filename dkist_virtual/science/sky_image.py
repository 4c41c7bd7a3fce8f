"""Find which axes of an array are its image of the sky, where it points, and read windows of it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, Protocol

import numpy as np

from dkist_virtual.cube.computed_array import pack, unpack

if TYPE_CHECKING:
    from astropy.wcs.wcsapi import BaseHighLevelWCS
    from numpy.typing import NDArray

    from dkist_virtual.cube.world_axes import Kind, World

__all__ = ["HasSky", "SkyAxes", "SkyPixels", "mask_of"]

_SKY: Final[tuple[Kind, Kind]] = ("longitude", "latitude")

_TOGETHER: Final = 2**20
"""Positions that are evaluated at once."""


class Frames(Protocol):
    """The frames of a dataset: see `dkist_virtual.dataset.provenance.Provenance`."""

    array: Any


class HasSky(Protocol):
    """A dataset with an image of the sky."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the data."""

    @property
    def wcs(self) -> BaseHighLevelWCS:
        """Its world coordinates."""

    @property
    def pixels(self) -> Any:
        """What its pixels are read from."""

    @property
    def mask(self) -> Any:
        """True where a pixel counts for nothing."""

    @property
    def provenance(self) -> Frames | None:
        """The frames that the pixels are from; None where they are from none."""


@dataclass(frozen=True, eq=False)
class SkyPixels:
    """The pixels of an array with an image of the sky.

    Parameters
    ----------
    pixels : array
        As a dataset has them: frames, a computation, or an array.
    mask : array, optional
        True where a pixel counts for nothing.
    sky : tuple of int
        The axes of the array that are its rows and columns on the sky.
    moving : tuple of int
        Those of the other axes along which the pointing changes, counted among these.
    """

    pixels: Any
    mask: Any
    sky: tuple[int, int]
    moving: tuple[int, ...]

    def __getstate__(self) -> dict[str, Any]:
        state = dict(vars(self))
        return {**state, "pixels": pack(state["pixels"]), "mask": pack(state["mask"])}

    def __setstate__(self, state: dict[str, Any]) -> None:
        for name, value in state.items():
            object.__setattr__(self, name, unpack(value))

    @property
    def carried(self) -> tuple[int, ...]:
        """The axes of the array that are not of the sky, ascending."""
        return tuple(axis for axis in range(np.ndim(self.pixels)) if axis not in self.sky)

    def pointing(self, at: Sequence[int]) -> int:
        """Return the number of the pointing of a pixel of the carried axes."""
        if not self.moving:
            return 0
        sizes = [self.pixels.shape[self.carried[axis]] for axis in self.moving]
        return int(np.ravel_multi_index([at[axis] for axis in self.moving], sizes))

    def read(self, source: Any, carried: Sequence[Any], rows: slice, columns: slice) -> Any:
        """Read a window of the pixels or the mask: the carried axes first, then rows and columns.

        `carried` has an int or a slice for each of these axes; ints drop theirs.
        """
        index: list[Any] = [slice(None)] * source.ndim
        for axis, part in zip(self.carried, carried, strict=True):
            index[axis] = part
        index[self.sky[0]], index[self.sky[1]] = rows, columns
        part = source[tuple(index)]
        if hasattr(part, "compute"):  # dask's: within a task of dask's, and so in this thread
            part = part.compute(scheduler="synchronous")
        left = [axis for axis in range(source.ndim) if not isinstance(index[axis], int)]
        return np.moveaxis(np.asarray(part), [left.index(axis) for axis in self.sky], [-2, -1])

    def token(self) -> tuple[object, ...]:
        """Return what may change in what it is read from."""
        found = []
        for source in (self.pixels, self.mask):
            known = getattr(source, "token", None)
            found.append(known() if known is not None else source)
        return tuple(found)


class SkyAxes:
    """Which axes of an array are its image of the sky, by its world coordinates."""

    world: World

    @cached_property
    def _sky_axes(self) -> list[int]:
        found: set[int] = set()
        for axis in self.world.axes:
            if axis.kind in _SKY:
                found |= set(axis.array_axes)
        return sorted(found)

    @property
    def sky(self) -> tuple[int, int]:
        """The axes of the array that are its rows and columns: the last along which the sky is."""
        row, column = self._sky_axes[-2:]
        return row, column

    @property
    def carried(self) -> tuple[int, ...]:
        """The other axes of the array."""
        return tuple(axis for axis in range(len(self.world.shape)) if axis not in self.sky)

    @property
    def moving(self) -> tuple[int, ...]:
        """Which of these the pointing changes along, counted among them."""
        return tuple(self.carried.index(axis) for axis in self._sky_axes[:-2])

    @property
    def shape(self) -> tuple[int, int]:
        """Its rows and columns."""
        row, column = self.sky
        return self.world.shape[row], self.world.shape[column]

    @property
    def pointings(self) -> int:
        """How many pointings it has."""
        return math.prod(self.world.shape[self.carried[axis]] for axis in self.moving)

    @property
    def jumps(self) -> tuple[bool, bool]:
        """Whether rows, or columns, follow each other in time: the pointing may jump between."""
        timed = {on for axis in self.world.axes if axis.kind == "time" for on in axis.array_axes}
        row, column = self.sky
        return row in timed, column in timed

    def positions(self, pointings: Sequence[int], rows: Any, columns: Any) -> NDArray[np.float64]:
        """Compute longitude and latitude, arcsec, of rows and columns.

        The shape is (pointings, rows, columns, 2); NaN where the WCS has no position.
        """
        rows, columns = np.asarray(rows, float), np.asarray(columns, float)
        at_once = max(1, _TOGETHER // max(rows.size * columns.size, 1))
        numbers = np.asarray(pointings, np.int64)
        parts = [
            self._positions(numbers[first : first + at_once], rows, columns)
            for first in range(0, len(numbers), at_once)
        ]
        found: NDArray[np.float64] = np.concatenate(parts)
        return found

    def _positions(
        self, pointings: NDArray[np.int64], rows: NDArray[Any], columns: NDArray[Any]
    ) -> NDArray[np.float64]:
        from astropy import units as u

        number, row, column = np.meshgrid(pointings, rows, columns, indexing="ij")
        at: list[Any] = [np.zeros(row.shape)] * len(self.world.shape)
        sizes = [self.world.shape[self.carried[axis]] for axis in self.moving]
        places = np.unravel_index(number, sizes) if sizes else ()
        for axis, where in zip(self.moving, places, strict=True):
            at[self.carried[axis]] = where.astype(float)
        at[self.sky[0]], at[self.sky[1]] = row, column
        values = self.world.values(*at)
        found = []
        for kind in _SKY:
            coordinate = self.world.of_kind(kind)
            assert coordinate is not None
            found.append(values[coordinate.index] * u.Unit(coordinate.unit).to(u.arcsec))
        return np.stack(found, axis=-1)


def mask_of(cube: HasSky) -> Any:
    """Return the mask of a dataset as an array of its shape; None where nothing is masked."""
    mask = cube.mask
    if mask is None or (isinstance(mask, bool) and not mask):
        return None
    return np.broadcast_to(mask, cube.shape) if isinstance(mask, bool) else mask

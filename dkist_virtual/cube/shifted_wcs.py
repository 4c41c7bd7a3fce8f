"""Define the WCS of a dataset whose pointing is corrected."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

import astropy.units as u
import numpy as np
from astropy.wcs.wcsapi import SlicedLowLevelWCS
from astropy.wcs.wcsapi.wrappers.base import BaseWCSWrapper
from ndcube.wcs.wrappers import ResampledLowLevelWCS
from sunpy.coordinates.frames import Helioprojective

from dkist_virtual.cube.world_axes import World, wrap
from dkist_virtual.errors import DatasetError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from dkist_virtual.cube.pointing import Correction, Numbers, Pointing
    from dkist_virtual.protocols import LowLevelWCS

__all__ = ["ShiftedWCS", "check_sky", "layers_of", "pointing_in"]

_ROUNDS: Final = 30
_NEAR: Final = 1e-9
"""Arcsec: a correction that changes by less is found."""
_SAME_PIXEL: Final = 1e-6
"""Pixels: a position that the correction moves by less from itself is found."""
_FARTHEST: Final = 1e300
"""How far coordinates are that the WCS does not have."""
_AT_ONCE: Final = 2**20
"""Positions that are tried at once."""


def check_sky(wcs: Any, shape: Sequence[int]) -> World:
    """Return the world of a WCS with (Tx, Ty), and refuse another one."""
    world = World(wcs, shape)
    if world.of_kind("longitude") is None or world.of_kind("latitude") is None:
        raise DatasetError(
            "shift: this dataset has no coordinates on the sky that could be corrected: shift the "
            "dataset that it was made from"
        )
    if not isinstance(world.frame, Helioprojective):
        frame = "of no frame" if world.frame is None else f"in the frame {world.frame.name}"
        raise DatasetError(
            f"shift: its coordinates on the sky are {frame}: expected helioprojective ones, Tx and "
            "Ty"
        )
    return world


class ShiftedWCS(BaseWCSWrapper):  # type: ignore[misc]  # astropy comes without types
    """A low-level WCS whose Tx and Ty are corrected.

    Parameters
    ----------
    wcs : BaseLowLevelWCS
    pointing : Pointing
        In the axes of the data that the WCS describes.
    shape : tuple of int
        Of that data.
    """

    def __init__(self, wcs: LowLevelWCS, pointing: Pointing, shape: Sequence[int]) -> None:
        super().__init__(wcs)
        self.pointing = pointing
        self.shape = tuple(shape)
        world = check_sky(wcs, shape)
        lon, lat = world.of_kind("longitude"), world.of_kind("latitude")
        assert lon is not None
        assert lat is not None
        self.sky = self._lon, self._lat = lon.index, lat.index
        units = [u.Unit(wcs.world_axis_units[index]) for index in (lon.index, lat.index)]
        self._units = [float(unit.to(u.arcsec)) for unit in units]
        beyond = [axis for axis in pointing.axes if len(shape) - 1 - axis >= wcs.pixel_n_dim]
        if beyond:
            raise DatasetError(
                f"shift: values along axis {beyond[0]}, of which the WCS knows nothing: expected "
                "the same for all of it"
            )

    @property
    def unshifted(self) -> LowLevelWCS:
        """The WCS without the correction."""
        wcs: LowLevelWCS = self._wcs
        return wcs

    @property
    def axis_correlation_matrix(self) -> NDArray[np.bool_]:
        """Which world coordinate changes along which pixel axis."""
        matrix = np.array(self._wcs.axis_correlation_matrix, bool)
        ndim = len(self.shape)
        if self.pointing.is_shift:
            for one in self.pointing:
                for index, array in ((self._lon, one.dx), (self._lat, one.dy)):
                    matrix[index, [ndim - 1 - a for a in range(ndim) if array.shape[a] > 1]] = True
            return matrix
        both = [self._lon, self._lat]
        matrix[both] = matrix[both].any(axis=0)
        matrix[np.ix_(both, [ndim - 1 - axis for axis in self.pointing.axes])] = True
        return matrix

    def pixel_to_world_values(self, *pixel_arrays: Any) -> Any:
        """Compute the corrected coordinates."""
        values = list(self._wcs.pixel_to_world_values(*pixel_arrays))
        tx = ty = None
        if not self.pointing.is_shift:
            tx, ty = (
                wrap(np.asarray(values[index], float) * unit, "arcsec")
                for index, unit in zip((self._lon, self._lat), self._units, strict=True)
            )
        moved = self.pointing.displacement(tx, ty, self._pixels(pixel_arrays))
        for index, unit, away in zip((self._lon, self._lat), self._units, moved, strict=True):
            values[index] = values[index] + away / unit
        return tuple(values)

    def world_to_pixel_values(self, *world_arrays: Any) -> Any:
        """Compute the pixels of corrected coordinates."""
        given = [np.asarray(world, float) for world in world_arrays]
        tx, ty = (
            wrap(given[index] * unit, "arcsec")
            for index, unit in zip((self._lon, self._lat), self._units, strict=True)
        )
        middle = [np.asarray((n - 1) / 2) for n in self.shape]
        before = self._pixels_of(given, *self.pointing.undone(tx, ty, middle))
        if not self.pointing.axes:
            return before
        last: Any = np.inf
        for _ in range(_ROUNDS):
            at = self._pixels((before,) if self.pixel_n_dim == 1 else before)
            now = np.stack(np.broadcast_arrays(*self.pointing.undone(tx, ty, at)))
            if not (np.abs(now - last) > _NEAR).any():
                break
            before, last = self._pixels_of(given, *now), now
        # Where steps move by more than they are apart, rounds end nowhere, or off the steps.
        return before if self._far is None else self._searched(given, tx, ty, before)

    @cached_property
    def _far(self) -> tuple[Numbers, Numbers] | None:
        """The least and greatest (Tx, Ty) where steps move too far for rounds; None where not."""
        ends = [
            np.arange(n) if axis in self.pointing.axes else np.unique([0, (n - 1) // 2, n - 1])
            for axis, n in enumerate(self.shape)
        ]
        ends += [np.zeros(1, int)] * (self.pixel_n_dim - len(self.shape))
        grid = np.meshgrid(*ends, indexing="ij")[::-1]
        before, after = (
            np.stack(
                [
                    wrap(np.asarray(values[index], float) * unit, "arcsec")
                    for index, unit in zip(self.sky, self._units, strict=True)
                ]
            )
            for values in (
                self._wcs.pixel_to_world_values(*map(np.asarray, grid)),
                self.pixel_to_world_values(*map(np.asarray, grid)),
            )
        )
        for axis in self.pointing.axes:
            step, more = (
                np.hypot(*np.diff(one, axis=axis + 1)) for one in (before, after - before)
            )
            if ((step > _NEAR) & (more > 0.9 * step)).any():
                flat = after.reshape(2, -1)
                low, high = np.nanmin(flat, axis=1), np.nanmax(flat, axis=1)
                room = 0.05 * (high - low) + 1
                return low - room, high + room
        return None

    def _searched(self, given: Sequence[Numbers], tx: Numbers, ty: Numbers, before: Any) -> Any:
        """Find by each step the pixels that rounds do not; NaN for a place between no steps."""
        single = self.pixel_n_dim == 1
        whole = np.broadcast_arrays(*((before,) if single else before), tx, ty, *given)
        shape, n = whole[0].shape, self.pixel_n_dim
        flat = [np.array(one, float).reshape(-1) for one in whole]
        pixels, sky, world = flat[:n], flat[n : n + 2], flat[n + 2 :]
        at = self._pixels(pixels)
        again = self._list(self._pixels_of(world, *self.pointing.undone(sky[0], sky[1], at)))
        away = np.max([np.abs(b - a) for b, a in zip(again, pixels, strict=True)], axis=0)
        assert self._far is not None
        low, high = self._far
        near = [(a <= one) & (one <= b) for a, one, b in zip(low, sky, high, strict=True)]
        unsettled = ~(away <= _SAME_PIXEL)
        (lost,) = np.nonzero(unsettled | (near[0] & near[1]))
        size = max(1, _AT_ONCE // max(self.shape))
        for begin in range(0, len(lost), size):
            some = lost[begin : begin + size]
            found = self._between([one[some] for one in world], *(one[some] for one in sky))
            better = np.isfinite(np.sum(found, axis=0)) | unsettled[some]
            for one, values in zip(pixels, found, strict=True):
                one[some] = np.where(better, values, one[some])
        made = tuple(one.reshape(shape)[()] for one in pixels)
        return made[0] if single else made

    def _list(self, pixels: Any) -> list[Numbers]:
        return [np.asarray(one, float) for one in ((pixels,) if self.pixel_n_dim == 1 else pixels)]

    def _between(self, given: Sequence[Numbers], tx: Numbers, ty: Numbers) -> list[Numbers]:
        """Find pixels by trying each step of the one axis along which the correction varies.

        Of several that are at a place on the sky, that whose other coordinates are nearest.
        """
        n_points = len(tx)
        if len(self.pointing.axes) > 1:
            return [np.full(n_points, np.nan)] * self.pixel_n_dim
        (axis,) = self.pointing.axes
        number, n = len(self.shape) - 1 - axis, self.shape[axis]

        def tried(position: Numbers) -> list[Numbers]:
            at: list[Numbers | None] = [None] * len(self.shape)
            at[axis] = position
            world = [np.broadcast_to(one, position.shape) for one in given]
            found = self._pixels_of(world, *self.pointing.undone(tx, ty, at))
            return self._list(found)

        # One step more at each end, where the correction is that of the end.
        steps = np.broadcast_to(np.arange(-1.0, n + 1)[:, None], (n + 2, n_points))
        found = tried(steps)
        beyond = found[number] - steps
        beyond[np.abs(beyond) <= _SAME_PIXEL] = 0  # a step itself is between its neighbours
        crosses = beyond[:-1] * beyond[1:] <= 0
        others = [
            index
            for index in np.flatnonzero(self.axis_correlation_matrix[:, number]).tolist()
            if index not in self.sky
        ]
        positions = [np.where(crosses, one[:-1], 0.0) for one in found]
        positions[number] = steps[:-1] + 0.5
        far = np.zeros(crosses.shape)
        values = self._wcs.pixel_to_world_values(*positions)
        for index in others:
            far += np.abs(np.asarray(values[index], float) - given[index])
        low = np.argmin(np.where(crosses, np.nan_to_num(far, nan=_FARTHEST), np.inf), axis=0)
        points = np.arange(n_points)
        slope = beyond[low + 1, points] - beyond[low, points]
        flat = slope == 0
        slope = np.where(flat, -1.0, slope)
        first = steps[low, points]
        position = first - np.where(flat, 0.0, beyond[low, points] / slope)
        for _ in range(_ROUNDS):
            now = tried(position)
            more = now[number] - position
            if not (np.abs(more) > _NEAR).any():
                break
            position = np.clip(position - more / slope, first, first + 1)
        good = crosses.any(axis=0) & (np.abs(more) <= _SAME_PIXEL)
        return [np.where(good, one, np.nan) for one in now]

    def _pixels_of(self, given: Sequence[Numbers], tx: Numbers, ty: Numbers) -> Any:
        world = list(given)
        for index, unit, value in zip((self._lon, self._lat), self._units, (tx, ty), strict=True):
            # In the turn in which it was given, as 1,295,999 arcsec.
            world[index] = given[index] + wrap(value - given[index] * unit, "arcsec") / unit
        return self._wcs.world_to_pixel_values(*world)

    def _pixels(self, pixel_arrays: Sequence[Any]) -> list[Numbers | None]:
        """Return positions for each axis of the data; None where no correction varies."""
        varies, ndim = self.pointing.axes, len(self.shape)
        return [
            np.asarray(pixel_arrays[ndim - 1 - axis], float) if axis in varies else None
            for axis in range(ndim)
        ]


def pointing_in(wcs: Any, shape: Sequence[int]) -> Pointing | None:
    """Find the corrections in a low-level WCS of data, sliced or binned, in the data's axes."""
    from dkist_virtual.cube.pointing import Pointing

    found: list[Correction] = []
    for layer, positions in layers_of(wcs, shape):
        if isinstance(layer, ShiftedWCS):
            own = positions[: len(layer.shape)][::-1]
            found[:0] = [one.sampled(own) for one in layer.pointing]
    return Pointing(tuple(found)) if found else None


def layers_of(wcs: Any, shape: Sequence[int]) -> Iterator[tuple[Any, list[Numbers | float]]]:
    """Walk into a low-level WCS of data: what slices, bins and corrects it, the outermost first.

    With each layer come the pixels of the data along its pixel axes: a number where an axis was
    dropped.
    """
    positions: list[Numbers | float] = [np.arange(n, dtype=float) for n in shape[::-1]]
    positions = (positions + [0.0] * wcs.pixel_n_dim)[: max(len(shape), wcs.pixel_n_dim)]
    layer = wcs
    while layer is not None:
        yield layer, positions
        if isinstance(layer, SlicedLowLevelWCS):
            left = iter(positions)
            positions = [
                next(left) + (entry.start or 0) if isinstance(entry, slice) else float(entry)
                for entry in layer._slices_pixel
            ]
        elif isinstance(layer, ResampledLowLevelWCS):
            positions = [
                (p + 0.5) * factor - 0.5 + offset
                for p, factor, offset in zip(positions, layer._factor, layer._offset, strict=False)
            ]
        layer = getattr(layer, "_wcs", None)  # astropy's wrappers have no public name for it
        layer = getattr(layer, "low_level_wcs", layer)

"""Give the gWCS of a dataset an inverse for all of its coordinates."""

from __future__ import annotations

import copy
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Self

import astropy.units as u
import numpy as np
from astropy.wcs.wcsapi import BaseHighLevelWCS, HighLevelWCSWrapper, SlicedLowLevelWCS
from gwcs import WCS
from ndcube.wcs.wrappers import ResampledLowLevelWCS

from dkist_virtual.cube.inverse.lattice import LatticeInverse
from dkist_virtual.cube.inverse.pointings import at_once, n_pointings
from dkist_virtual.cube.world_axes import EVALUATING, World

if TYPE_CHECKING:
    from collections.abc import Sequence

    from astropy.wcs.wcsapi import BaseLowLevelWCS
    from numpy.typing import NDArray

__all__ = ["InvertibleWCS", "invertible", "plain"]

_TOGETHER: Final = 2**17
"""Points that are looked at at once."""
_POINTINGS: Final = 32
"""In a table, at most, for which the transform's own inverse is used: each takes a millisecond."""


class InvertibleWCS(WCS):  # type: ignore[misc]  # gwcs comes without types
    """A gWCS that finds the pixels of all its coordinates.

    Where the transform has an inverse, the result is what that gives, bit for bit, as long as the
    pixels have the coordinates that are asked for. Where they have not, or there is no inverse, or
    it fails, a lattice of the coordinates' values is inverted (`LatticeInverse`); where that fits
    no better, the transform's own result stays.

    Coordinates at a pixel give that pixel, to 0.01 pixel, between pixels and up to the edges too.
    What coordinates cannot tell apart, such as repeats between whole ones, gives a whole pixel.

    - *Outside of the array* positions on the sky, wavelengths on a line and times on a line are
      extrapolated as the WCS does. Beyond the ends of a table, such as that of the times of frames,
      there is no pixel: NaN, and the other points of the same call are not affected.
    - *Coordinates that contradict each other*, as a time and a position that another step of a
      raster has seen: those that change along the fewest axes decide first. The time gives the
      step (or the wavelength of a VTF dataset the wavelength, and the time then the repeat), and
      of the pixels that are left the one that is nearest to the position is the result.

    It is written to ASDF as the gWCS that it is made of.
    """

    _lengths: tuple[int, ...] | None = None
    _kept: tuple[list[Any], LatticeInverse] | None = None

    @classmethod
    def of(cls, wcs: WCS, lengths: Sequence[int]) -> Self:
        """Make it of a gWCS, whose steps it shares.

        Parameters
        ----------
        wcs : gwcs.WCS
        lengths : sequence of int
            Pixels of the array along each pixel axis, x first; 1 where it has no such axis.
        """
        made = cls.__new__(cls)
        made.__dict__.update(wcs.__dict__)
        made._lengths = tuple(max(int(n), 1) for n in lengths)
        return made

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_kept": None}  # a lattice is made again

    def __call__(self, *args: Any, **options: Any) -> Any:
        """Evaluate the transform, as `gwcs.WCS` does, from one thread at a time."""
        with EVALUATING:
            return super().__call__(*args, **options)

    def invert(self, *args: Any, **options: Any) -> Any:
        """Find the pixels of world coordinates; options are those of `gwcs.WCS.invert`."""
        plainly = not options and self.bounding_box is None and len(args) == self.world_n_dim
        if self._lengths is None or not plainly or _is_high(args):
            with EVALUATING:
                return super().invert(*args, **options)
        if any(isinstance(value, u.Quantity) for value in args):
            units = self.output_frame.unit
            pairs = zip(args, units, strict=True)
            found = self.invert(*(u.Quantity(value, unit).to_value(unit) for value, unit in pairs))
            in_pixels = tuple(u.Quantity(one, u.pix) for one in _listed(found))
            return in_pixels[0] if self.pixel_n_dim == 1 else in_pixels
        return self._pixels(args)

    # Which inverse --------------------------------------------------------------------------

    def _pixels(self, args: Sequence[Any]) -> Any:
        values = np.broadcast_arrays(*(np.asarray(value, float) for value in args))
        shape = values[0].shape
        world = np.stack([value.ravel() for value in values])
        own = None if world.size == 0 or self._is_slow else self._own(args)
        found = np.full((self.pixel_n_dim, world.shape[1]), np.nan)
        if own is not None:
            found = np.stack([np.broadcast_to(one, shape).ravel() for one in _listed(own)])
        for first in range(0, world.shape[1], _TOGETHER):
            part = slice(first, first + _TOGETHER)
            if self._mend(world[:, part], found[:, part]):
                own = None
        return self._shaped(found, shape) if own is None else own

    def _shaped(self, found: NDArray[Any], shape: tuple[int, ...]) -> Any:
        plain = tuple(one.reshape(shape)[()] for one in found)
        return plain[0] if self.pixel_n_dim == 1 else plain

    def _own(self, world: Sequence[Any]) -> Any:
        """Return what the transform's own inverse gives; None where it has none, or it fails."""
        try:
            with EVALUATING, np.errstate(all="ignore"):
                return super().invert(*world)
        except (NotImplementedError, ValueError, TypeError, IndexError, OverflowError):
            return None

    def _mend(self, world: NDArray[Any], found: NDArray[Any]) -> bool:
        """Replace wrong pixels, in place, by those of the lattice; return whether any is."""
        lattice = self.lattice
        wrong = np.flatnonzero(~lattice.consistent(world, found))
        if not len(wrong):
            return False
        pixels = lattice.solve(world[:, wrong])
        fits = lattice.consistent(world[:, wrong], pixels)
        lost = ~np.isfinite(found[:, wrong]).all(axis=0)
        again = np.flatnonzero(fits & lost)
        if 0 < len(again) < len(lost) and not self._is_slow:
            # An inverse that fails for one point fails for all of a call: others get their own.
            own = self._own(list(world[:, wrong[again]]))
            if own is not None:
                closed = np.stack([np.ravel(one) for one in _listed(own)])
                right = lattice.consistent(world[:, wrong[again]], closed)
                pixels[:, again[right]] = closed[:, right]
        kept = np.isfinite(found[:, wrong]) & ~fits
        pixels[kept] = found[:, wrong][kept]
        better = fits | lost
        found[:, wrong[better]] = pixels[:, better]
        return bool(better.any())

    # The lattice ----------------------------------------------------------------------------

    @property
    def lattice(self) -> LatticeInverse:
        """The lattice, made when it is first needed, and again after the transform was changed."""
        steps = [step.transform for step in self.pipeline]
        kept = self._kept
        if kept is None or len(kept[0]) != len(steps) or any(
            one is not other for one, other in zip(kept[0], steps, strict=True)
        ):  # fmt: skip
            kept = steps, self._make_lattice()
            self.__dict__["_kept"] = kept
        return kept[1]

    def _make_lattice(self) -> LatticeInverse:
        assert self._lengths is not None
        kinds = {axis.kind: axis.index for axis in World(self, self._lengths[::-1]).axes}
        units = [u.Unit(unit) for unit in self.world_axis_units]
        sky, radian, turns = None, 1.0, [np.inf] * len(units)
        if {"longitude", "latitude"} <= kinds.keys():
            sky = kinds["longitude"], kinds["latitude"]
            turns[sky[0]] = float((360 * u.deg).to_value(units[sky[0]]))
            radian = float(u.rad.to(units[sky[1]]))
        matrix = np.asarray(self.axis_correlation_matrix, bool)
        forward = partial(_forward, at_once(plain(self)))
        return LatticeInverse(forward, self._lengths, matrix, sky, tuple(turns), radian)

    @property
    def _is_slow(self) -> bool:
        """Whether the transform's own inverse would go through many pointings one by one."""
        return n_pointings(self) > _POINTINGS


def _forward(wcs: WCS, pixels: NDArray[Any]) -> NDArray[Any]:
    """Evaluate world coordinates, shape (world, n), at pixels, shape (pixel, n)."""
    n = pixels.shape[1]
    if not n:
        return np.zeros((wcs.world_n_dim, 0))
    with EVALUATING, np.errstate(all="ignore"):
        found = wcs.pixel_to_world_values(*pixels)
    return np.stack([np.broadcast_to(np.asarray(one, float), n) for one in _listed(found)])


def _is_high(args: Sequence[Any]) -> bool:
    return not all(isinstance(v, (u.Quantity, np.ndarray, np.generic, int, float, list, tuple))
                   for v in args)  # fmt: skip


def _listed(values: Any) -> list[Any]:
    return list(values) if isinstance(values, (tuple, list)) else [values]


# WCSs ---------------------------------------------------------------------------------------


def invertible(wcs: BaseHighLevelWCS, shape: tuple[int, ...]) -> BaseHighLevelWCS:
    """Give a gWCS, or one that is cut or in steps as that of a saved selection, an inverse.

    Others stay.

    Parameters
    ----------
    wcs : WCS
    shape : tuple of int
        Of the array.
    """
    low = wcs.low_level_wcs
    made = _with_inverse(low, [*shape[::-1], *[1] * low.pixel_n_dim][: low.pixel_n_dim])
    if made is low:
        return wcs
    return made if low is wcs else HighLevelWCSWrapper(made)


def _with_inverse(low: BaseLowLevelWCS, lengths: list[int]) -> BaseLowLevelWCS:
    """Give the gWCS inside astropy's and ndcube's wrappers an inverse."""
    if type(low) is WCS:
        return InvertibleWCS.of(low, lengths)
    if type(low) is SlicedLowLevelWCS:
        kept = iter(lengths)
        whole = [(entry.start or 0) + next(kept) if isinstance(entry, slice) else int(entry) + 1
                 for entry in low._slices_pixel]  # fmt: skip
    elif type(low) is ResampledLowLevelWCS:
        parts = zip(lengths, low._factor, low._offset, strict=True)
        whole = [int(np.ceil((n - 0.5) * factor - 0.5 + offset)) + 1 for n, factor, offset in parts]
    else:
        return low
    inside = _with_inverse(low._wcs, whole)  # astropy's wrappers have no public name for it
    if inside is low._wcs:
        return low
    made = copy.copy(low)
    made._wcs = inside
    return made


def plain(wcs: BaseLowLevelWCS) -> BaseLowLevelWCS:
    """Return a WCS, sliced or not, with the gWCS that its inverse was given to, for ASDF."""
    inside = getattr(wcs, "_wcs", None)  # astropy's wrappers have no public name for it
    if inside is not None and (bare := plain(inside)) is not inside:
        wcs = copy.copy(wcs)
        wcs._wcs = bare
        return wcs
    if not isinstance(wcs, InvertibleWCS):
        return wcs
    made = WCS.__new__(WCS)
    own = ("_lengths", "_kept")
    made.__dict__.update({key: value for key, value in wcs.__dict__.items() if key not in own})
    return made

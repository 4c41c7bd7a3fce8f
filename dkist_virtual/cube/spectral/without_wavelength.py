"""Make the WCS of what is left when an axis of wavelengths goes: it knows no wavelength.

The WCS of a slice remembers the wavelength of that slice, which a line's depth or its velocity has
not. Where frames at different wavelengths were taken one after the other, the time is the mean.
"""

from __future__ import annotations

import copy
from functools import reduce
from operator import add
from typing import TYPE_CHECKING, Any, Final

import astropy.units as u
import numpy as np
from astropy.modeling import models as m
from astropy.wcs import WCS as FITSWCS
from astropy.wcs.wcsapi import BaseHighLevelWCS, HighLevelWCSWrapper, SlicedLowLevelWCS
from gwcs import WCS
from gwcs import coordinate_frames as cf
from ndcube.wcs.wrappers import ResampledLowLevelWCS

from dkist_virtual.cube.inverse.invertible_wcs import InvertibleWCS
from dkist_virtual.cube.shifted_gwcs import with_transform
from dkist_virtual.cube.shifted_wcs import ShiftedWCS
from dkist_virtual.cube.sliced_wcs import SteppedWCS
from dkist_virtual.cube.wavelengths.scaled_wcs import ScaledWCS
from dkist_virtual.cube.world_axes import World
from dkist_virtual.errors import DatasetError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from dkist_virtual.cube.world_axes import Kind

__all__ = ["forget_inside", "forget_kind", "without_wavelength"]

_FAR: Final = 1e6
"""Pixels: so far beyond the ends of a table its last values stay."""


def without_wavelength(
    wcs: BaseHighLevelWCS,
    shape: tuple[int, ...],
    axis: int,
    pixel: int,
    times: NDArray[np.float64] | None = None,
) -> BaseHighLevelWCS:
    """Make the WCS of an array without one of its axes, and without any wavelength.

    Parameters
    ----------
    wcs : WCS
    shape : tuple of int
        Of the array.
    axis : int
        Of the array, which goes.
    pixel : int
        Along it: other coordinates that change along that axis, as the pointing of each frame of a
        scan does, are those of this pixel.
    times : numpy.ndarray, optional
        In place of the time, in the unit of the WCS, with an axis for each of the array along which
        the time changes, that of the axis that goes one pixel long.

    Raises
    ------
    DatasetError
        A WCS of neither gwcs nor FITS, whose wavelength cannot be taken out.
    """
    low = wcs.low_level_wcs
    table = None if times is None else _Table.of(low, shape, axis, times)
    made, is_gone = _change(low, shape, axis, table)
    if not is_gone:
        cut: list[int | slice] = [slice(None)] * made.pixel_n_dim
        cut[axis - len(shape)] = pixel
        made = SlicedLowLevelWCS(made, cut)
    return made if isinstance(made, BaseHighLevelWCS) else HighLevelWCSWrapper(made)


def _change(low: Any, shape: tuple[int, ...], axis: int, table: _Table | None) -> tuple[Any, bool]:
    """Take the wavelength out of a low-level WCS, and say whether its pixel axis went with it."""
    if isinstance(low, WCS):
        return forget_kind(low, "wavelength", table), False
    if isinstance(low, FITSWCS):
        return _without_axis(low, len(shape) - 1 - axis, table), True
    if isinstance(low, ScaledWCS):  # of which nothing is left
        return _change(low.unscaled, shape, axis, table)
    if isinstance(low, ShiftedWCS):
        inside, is_gone = _change(low.unshifted, shape, axis, table)
        if is_gone:
            raise DatasetError(_KIND.format("a FITS header whose pointing is corrected"))
        return ShiftedWCS(inside, low.pointing, low.shape), False
    if isinstance(low, SlicedLowLevelWCS):
        return _around_slices(low, shape, axis, table)
    if isinstance(low, ResampledLowLevelWCS):
        inside, is_gone = _change(low._wcs, shape, axis, table)
        keep = np.arange(low.pixel_n_dim) != (len(shape) - 1 - axis if is_gone else -1)
        factor, offset = low._factor[keep], low._offset[keep]
        if not isinstance(low, SteppedWCS):
            return ResampledLowLevelWCS(inside, factor, offset), is_gone
        left = tuple(np.array(low._shape[::-1])[keep][::-1].tolist())
        return SteppedWCS(inside, factor, offset, left), is_gone
    raise DatasetError(_KIND.format(f"of type {type(low).__name__}"))


_KIND: Final = (
    "spectral: the wavelength cannot be taken out of the WCS of this dataset, {}: expected one of "
    "gwcs or of astropy.wcs, as those of open_dataset"
)


def _around_slices(
    low: SlicedLowLevelWCS, shape: tuple[int, ...], axis: int, table: _Table | None
) -> tuple[Any, bool]:
    """Take the wavelength out of what is sliced: astropy's wrapper has no public name for it."""
    entries = list(low._slices_pixel)  # x first
    kept = [n for n, entry in enumerate(entries) if isinstance(entry, slice)]
    place = kept[len(shape) - 1 - axis]
    inside, is_gone = _change(low._wcs, (0,) * len(entries), len(entries) - 1 - place, table)
    if is_gone:
        del entries[place]
        if all(entry == slice(None) for entry in entries):
            return inside, True
    return SlicedLowLevelWCS(inside, entries[::-1]), is_gone


def forget_inside(low: Any) -> Any:
    """Make a low-level WCS without its wavelength, with all of its pixel axes; None if of FITS."""
    if isinstance(low, WCS):
        return forget_kind(low, "wavelength")
    if isinstance(low, ScaledWCS):
        return forget_inside(low.unscaled)
    if not isinstance(low, (SlicedLowLevelWCS, ResampledLowLevelWCS)):
        return None
    inside = forget_inside(low._wcs)  # astropy's wrappers of a WCS have no public name for it
    if inside is None:
        return None
    if isinstance(low, SlicedLowLevelWCS):
        return SlicedLowLevelWCS(inside, list(low._slices_pixel)[::-1])
    if isinstance(low, SteppedWCS):
        return SteppedWCS(inside, low._factor, low._offset, low._shape)
    return ResampledLowLevelWCS(inside, low._factor, low._offset)


def forget_kind(wcs: WCS, kind: Kind, table: _Table | None = None) -> WCS:
    """Make a gwcs without its coordinates of a kind: it has the pixel axes it had."""
    axes = World(wcs, (1,) * wcs.pixel_n_dim).axes
    gone = [axis.index for axis in axes if axis.kind == kind]
    if not gone:
        return wcs
    times = [axis.index for axis in axes if axis.kind == "time"] if table is not None else []
    kept = [n for n in range(wcs.world_n_dim) if n not in gone]
    transform = before = wcs.forward_transform
    places = dict(zip(range(before.n_outputs), range(before.n_outputs), strict=True))
    total = before.n_outputs
    if table is not None and times:
        n = before.n_inputs
        model = table.model(u.Unit(wcs.world_axis_units[times[0]]), bool(before.uses_quantity))
        inputs = (*range(n), *table.pixels)
        transform = m.Mapping(inputs, n_inputs=n) | before & model
        places[times[0]], total = total, total + 1
    transform = transform | m.Mapping(tuple(places[n] for n in kept), n_inputs=total)
    transform.inputs = before.inputs
    made = with_transform(wcs, transform, _frame_of(wcs.output_frame, kept))
    if isinstance(wcs, InvertibleWCS) and wcs._lengths is not None:
        made = InvertibleWCS.of(made, wcs._lengths)
    return made


def _frame_of(frame: Any, kept: Sequence[int]) -> Any:
    """Make the frame of some of its axes."""
    parts = frame.frames if isinstance(frame, cf.CompositeFrame) else [frame]
    found = []
    for part in parts:
        places = [kept.index(n) for n in part.axes_order if n in kept]
        if not places:
            continue
        if len(places) < len(part.axes_order):
            raise DatasetError(_KIND.format("whose wavelength has a frame with other coordinates"))
        twin = copy.copy(part)
        twin._axes_order = tuple(places)  # gwcs sets it once, when a frame is made
        found.append(twin)
    return found[0] if len(found) == 1 else cf.CompositeFrame(found, name=frame.name)


def _without_axis(wcs: FITSWCS, pixel: int, table: _Table | None) -> FITSWCS:
    """Make the WCS of a FITS header without an axis that is of the wavelength alone."""
    if table is not None:
        raise DatasetError(_KIND.format("a FITS header whose time changes with the wavelength"))
    matrix = np.asarray(wcs.axis_correlation_matrix, bool)
    worlds = np.flatnonzero(matrix[:, pixel])
    kinds = [axis for axis in World(wcs, (1,) * wcs.pixel_n_dim).axes if axis.kind == "wavelength"]
    if [axis.index for axis in kinds] != worlds.tolist() or matrix[worlds[0]].sum() != 1:
        raise DatasetError(
            _KIND.format("a FITS header in which other coordinates change with the wavelength")
        )
    return wcs.sub([n + 1 for n in range(wcs.pixel_n_dim) if n != pixel])


class _Table:
    """Values in place of a world coordinate, in the pixels of the WCS inside of all slices.

    Parameters
    ----------
    pixels : tuple of int
        Of that WCS, along which they change.
    at : tuple of numpy.ndarray
        Where the values are along these.
    values : numpy.ndarray
        With an axis for each of these.
    """

    def __init__(self, pixels: tuple[int, ...], at: tuple[Any, ...], values: Any) -> None:
        self.pixels, self.at, self.values = pixels, at, values

    @classmethod
    def of(cls, low: Any, shape: tuple[int, ...], axis: int, values: Any) -> _Table:
        """Place values, with an axis for each array axis, one pixel long where they are alike."""
        inside, factor, offset = _placed(low)
        varying = [on for on in range(len(shape)) if np.shape(values)[on] > 1]
        table = np.asarray(values).reshape([shape[on] for on in varying])
        wanted = varying or [axis]
        pixels = tuple(inside[len(shape) - 1 - on] for on in wanted)
        at = tuple(
            offset[len(shape) - 1 - on] + factor[len(shape) - 1 - on] * np.arange(shape[on])
            for on in wanted
        )
        if not varying:
            table = np.full(len(at[0]), float(table.reshape(())))
        return cls(pixels, at, table)

    def model(self, unit: u.UnitBase, with_units: bool) -> Any:
        """Make the model of the values: ASDF writes tables of one axis and of two."""
        pix: Any = u.pix if with_units else 1.0
        first: Any = None
        ats, table = list(self.at), self.values
        if len(ats) > 2:
            first, ats, table = self._flat(pix), [np.arange(table.size)], table.ravel()
        points = tuple(np.array([at[0] - _FAR, *at, at[-1] + _FAR]) for at in ats)
        table = np.pad(table, 1, mode="edge")
        model = (m.Tabular1D if len(points) == 1 else m.Tabular2D)(
            points=tuple(along * pix for along in points),
            lookup_table=table * unit if with_units else table,
            bounds_error=False, fill_value=None,
        )  # fmt: skip
        return model if first is None else first | model

    def _flat(self, pix: Any) -> Any:
        """Make the model of a pixel's place in the flat table of several axes."""
        terms = []
        for number, at in enumerate(self.at):
            after = float(np.prod([len(other) for other in self.at[number + 1 :]]))
            step = float(at[1] - at[0]) if len(at) > 1 else 1.0
            pick = m.Mapping((number,), n_inputs=len(self.at))
            terms.append(pick | m.Shift(-float(at[0]) * pix) | m.Multiply(after / step))
        return reduce(add, terms)


def _placed(low: Any) -> tuple[list[int], NDArray[Any], NDArray[Any]]:
    """Return for each pixel axis its place in the WCS inside, and the factor and offset of it."""
    layers = []
    while not isinstance(low, (WCS, FITSWCS)):
        layers.append(low)
        low = low._wcs  # astropy's wrappers of a WCS have no public name for it
        low = getattr(low, "low_level_wcs", low)
    places = list(range(low.pixel_n_dim))
    factor, offset = np.ones(len(places)), np.zeros(len(places))
    for layer in reversed(layers):
        if isinstance(layer, SlicedLowLevelWCS):
            kept = [n for n, one in enumerate(layer._slices_pixel) if isinstance(one, slice)]
            starts = np.array([layer._slices_pixel[n].start or 0 for n in kept], float)
            places = [places[n] for n in kept]
            offset, factor = offset[kept] + starts * factor[kept], factor[kept]
        elif isinstance(layer, ResampledLowLevelWCS):
            # A pixel (p + 1/2) f - 1/2 + o of what is inside.
            offset = offset + ((layer._factor - 1) / 2 + layer._offset) * factor
            factor = factor * layer._factor
    return places, factor, offset

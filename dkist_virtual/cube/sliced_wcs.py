"""Make the WCS of a selection, steps included, and one of the same for other packages."""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Protocol

import numpy as np
from astropy.wcs.wcsapi import BaseHighLevelWCS, HighLevelWCSWrapper, SlicedLowLevelWCS
from gwcs import WCS
from ndcube.wcs.wrappers import ResampledLowLevelWCS

from dkist_virtual.cube.inverse.invertible_wcs import plain
from dkist_virtual.cube.pointing import Pointing
from dkist_virtual.cube.selection import Selection
from dkist_virtual.cube.shifted_wcs import ShiftedWCS
from dkist_virtual.cube.wavelengths.scaled_wcs import ScaledWCS

if TYPE_CHECKING:
    from collections.abc import Callable

    from astropy.wcs.wcsapi import BaseLowLevelWCS

    from dkist_virtual.cube.wavelengths.scale import WavelengthScale


__all__ = [
    "KnownWCS", "SteppedWCS", "UnslicedWCS", "WCSSource", "forget_dropped", "high_level",
    "published", "published_wcs", "scaled", "shifted", "slice_wcs",
    "unscaled_wcs", "unshifted_wcs",
]  # fmt: skip


class WCSSource(Protocol):
    """What knows a WCS, or reads it."""

    @property
    def wcs(self) -> BaseHighLevelWCS:
        """The WCS."""


@dataclass(frozen=True, slots=True, eq=False)
class KnownWCS:
    """A WCS that was read already.

    Parameters
    ----------
    wcs : WCS
    """

    wcs: BaseHighLevelWCS


@dataclass(frozen=True, eq=False)
class UnslicedWCS:
    """A WCS that is read and sliced when it is asked for: most slices of a dataset are only read.

    Parameters
    ----------
    source : WCSSource
    selection : Selection, optional
        Of the data that it describes; None for the WCS as it is.
    """

    source: WCSSource
    selection: Selection | None = None

    def slice(self) -> BaseHighLevelWCS:
        """Slice it."""
        wcs = self.source.wcs
        return wcs if self.selection is None else slice_wcs(wcs, self.selection)


def slice_wcs(wcs: BaseHighLevelWCS, selection: Selection) -> BaseHighLevelWCS:
    """Slice a WCS to a selection of the data that it describes.

    Where it has more pixel axes than the data, as that of a dataset cut to a single frame by dkist
    has, the others are 0.
    """
    low = wcs.low_level_wcs
    cut: list[int | slice] = [0] * max(low.pixel_n_dim - len(selection.shape), 0)
    steps: list[int] = []
    for n, pixels in list(zip(selection.shape, selection.axes, strict=True))[-low.pixel_n_dim :]:
        if isinstance(pixels, int):
            cut.append(pixels)
        else:
            whole = (pixels[0], pixels[-1] + 1) == (0, n)
            cut.append(slice(None) if whole else slice(pixels[0], pixels[-1] + 1))
            steps.append(pixels.step if len(pixels) > 1 else 1)
    if all(entry == slice(None) for entry in cut) and set(steps) <= {1}:
        return wcs
    sliced = SlicedLowLevelWCS(low, cut)
    if set(steps) <= {1}:
        return HighLevelWCSWrapper(sliced)
    # A pixel of the strided array is one of the array, not an average over a step: pixel i is at
    # i * step, where resampling would put it at the centre of its step.
    factors = np.array(steps[::-1], float)
    shape = selection.result_shape[-sliced.pixel_n_dim :]
    return HighLevelWCSWrapper(SteppedWCS(sliced, factors, -(factors - 1) / 2, shape))


class SteppedWCS(ResampledLowLevelWCS):  # type: ignore[misc]  # ndcube comes without types
    """The WCS of every n-th pixel, with the data's shape.

    ndcube's own says how many steps fit into the axis: 14.5 of 29 pixels, which plots fail on.
    """

    def __init__(
        self, wcs: BaseLowLevelWCS, factor: np.ndarray, offset: np.ndarray, shape: tuple[int, ...]
    ) -> None:
        super().__init__(wcs, factor, offset)
        self._shape = shape

    @property
    def array_shape(self) -> tuple[int, ...]:
        """The shape of the data."""
        return self._shape

    @property
    def pixel_shape(self) -> tuple[int, ...]:
        """The same, x first."""
        return self._shape[::-1]

    @property
    def dropped_world_dimensions(self) -> dict[str, object]:
        """The coordinates dropped below the steps: ndcube's `global_coords` needs them."""
        described: dict[str, object] = self._wcs.dropped_world_dimensions
        return described


def published(low: BaseLowLevelWCS) -> BaseLowLevelWCS:
    """Make a WCS of the classes of astropy, gwcs and ndcube alone, which ASDF can write.

    It has the same coordinates at every pixel, bit for bit, and the same shape and names; those of
    a corrected pointing to 1e-9 arcsec. One without steps, bins, correction and wavelength scale
    is returned as it is.

    ndcube's `ResampledLowLevelWCS` is only written around a WCS that is not sliced. So the steps
    and the beginnings of slices go into one of it, and the axes that are dropped around that.
    """
    low = _with_plain_values(low)
    layers = [low]
    while type(low) in _LAYERS:
        low = low._wcs  # astropy's wrappers of a WCS have no public name for it
        layers.append(low)
    kinds = list(map(type, layers))
    binned = ResampledLowLevelWCS in kinds
    if SteppedWCS not in kinds and not (
        binned and SlicedLowLevelWCS in kinds[kinds.index(ResampledLowLevelWCS) :]
    ):
        return plain(layers[0])
    inside = plain(layers.pop())
    n = inside.pixel_n_dim
    factor, offset = np.ones(n), np.zeros(n)
    low_shape = layers[0].pixel_shape
    entries: list[int | slice] = [slice(None)] * n  # x first
    for layer in reversed(layers):
        kept = [axis for axis in range(n) if isinstance(entries[axis], slice)]
        if not isinstance(layer, SlicedLowLevelWCS):
            # A pixel (p + 1/2) f - 1/2 + o of what is inside, and p itself such a one.
            offset[kept] += layer._offset * factor[kept]
            factor[kept] *= layer._factor
            continue
        for axis, entry in zip(kept, layer._slices_pixel, strict=True):
            if isinstance(entry, slice):
                offset[axis] += (entry.start or 0) * factor[axis]
            else:
                entries[axis] = int(entry)
    shape = iter(low_shape or ())
    if low_shape is not None:
        # ndcube divides the lengths by the factors. Those of dropped axes only have to be longer
        # than the pixel that is left of them.
        inside = copy.copy(inside)
        inside.pixel_shape = tuple(
            int(next(shape) * factor[axis]) if isinstance(entry, slice) else entry + 1
            for axis, entry in enumerate(entries)
        )
    return SlicedLowLevelWCS(ResampledLowLevelWCS(inside, factor, offset), entries[::-1])


def _with_plain_values(low: BaseLowLevelWCS) -> BaseLowLevelWCS:
    """Write corrections and scales within a low-level WCS into the gwcs that they are of."""
    if isinstance(low, ScaledWCS):
        from dkist_virtual.cube.wavelengths.scaled_gwcs import scaled_gwcs

        low = ScaledWCS(_with_plain_values(low.unscaled), low.scale, low.shape)
        if (inside := _scaled_within(low)) is not None:
            return _with_plain_values(inside)
        return scaled_gwcs(low)
    if isinstance(low, ShiftedWCS):
        from dkist_virtual.cube.shifted_gwcs import shifted_gwcs

        if isinstance(low.unshifted, (ShiftedWCS, ScaledWCS)):
            low = ShiftedWCS(_with_plain_values(low.unshifted), low.pointing, low.shape)
        if (inside := _within(low)) is not None:
            return _with_plain_values(inside)
        return shifted_gwcs(low)
    return _around(low, _with_plain_values)


def _within(low: ShiftedWCS) -> BaseLowLevelWCS | None:
    """Slice what is corrected, instead of correcting what is sliced; None where that is not it.

    A WCS that was opened from a file of a selection is sliced, and is corrected after that.
    """
    layer = low.unshifted
    if not isinstance(layer, (SlicedLowLevelWCS, ResampledLowLevelWCS)):
        return None
    if layer.pixel_n_dim != len(low.shape):
        return None
    axes: list[int | range] = []  # x first
    lengths = iter(low.shape[::-1])
    if isinstance(layer, SlicedLowLevelWCS):
        for entry in layer._slices_pixel:
            if isinstance(entry, slice):
                start = entry.start or 0
                axes.append(range(start, start + next(lengths)))
            else:
                axes.append(int(entry))
    else:
        for n, factor, offset in zip(lengths, layer._factor, layer._offset, strict=True):
            start = factor / 2 - 0.5 + offset
            if start == int(start) and factor == int(factor):
                axes.append(range(int(start), int(start + n * factor), int(factor)))
            elif low.pointing.axes:
                return None
            else:
                axes.append(range(n))
    shape = tuple(a + 1 if isinstance(a, int) else a[-1] + 1 for a in axes)[::-1]
    cut = Selection(shape, tuple(axes[::-1]))
    pointing = Pointing(tuple(one.placed(cut) for one in low.pointing))
    return _around(layer, lambda inside: ShiftedWCS(inside, pointing, shape))


def _scaled_within(low: ScaledWCS) -> BaseLowLevelWCS | None:
    """Slice what is scaled, instead of scaling what is sliced; None where that is not it."""
    layer, scale = low.unscaled, low.scale
    own = low.shape[::-1]
    if isinstance(layer, SlicedLowLevelWCS):
        entries = list(layer._slices_pixel)
        kept = [axis for axis, entry in enumerate(entries) if isinstance(entry, slice)]
        pixel = kept[low.pixel]
        pixels = scale.pixels + (entries[pixel].start or 0)
        lengths = iter(own)
        shape = [
            (entry.start or 0) + next(lengths, 1) if isinstance(entry, slice) else int(entry) + 1
            for entry in entries
        ]
    elif isinstance(layer, ResampledLowLevelWCS):
        pixel = low.pixel
        pixels = (scale.pixels + 0.5) * layer._factor[pixel] - 0.5 + layer._offset[pixel]
        # As many as there are axes: how long they are, nobody asks.
        shape = [1] * layer.pixel_n_dim
    else:
        return None
    moved = replace(scale, axis=len(shape) - 1 - pixel, pixels=pixels)
    return _around(layer, lambda inside: ScaledWCS(inside, moved, shape[::-1]))


def published_wcs(wcs: BaseHighLevelWCS) -> BaseHighLevelWCS:
    """Make a high-level WCS of the classes that `published` makes a low-level one of."""
    low = published(wcs.low_level_wcs)
    if low is wcs.low_level_wcs:
        return wcs
    return low if isinstance(low, BaseHighLevelWCS) else HighLevelWCSWrapper(low)


_LAYERS: Final = (SteppedWCS, ResampledLowLevelWCS, SlicedLowLevelWCS)


def forget_dropped(wcs: BaseHighLevelWCS) -> None:
    """Clear a WCS's cache of axes that were sliced away: it holds objects that do not pickle."""
    low = wcs.low_level_wcs
    while low is not None:
        vars(low).pop("dropped_world_dimensions", None)
        low = getattr(low, "_wcs", None)  # astropy's wrappers of a WCS have no public name for it


def high_level(wcs: BaseHighLevelWCS | BaseLowLevelWCS, shape: tuple[int, ...]) -> BaseHighLevelWCS:
    """Make a WCS high-level, and correct its ``pixel_shape`` to that of its array.

    Simulated VTF and DL-NIRSP datasets have one that is transposed against the data. astropy
    clips slices of a WCS to it, and so moves the pixels of a slice that begins behind it.
    """
    if not isinstance(wcs, BaseHighLevelWCS):
        wcs = HighLevelWCSWrapper(wcs)
    stated = wcs.low_level_wcs.pixel_shape
    if isinstance(wcs, WCS) and stated is not None and tuple(stated) != shape[::-1]:
        # A single frame's WCS may have more axes than the frame.
        wcs.pixel_shape = shape[::-1] if len(stated) == len(shape) else None
    return wcs


def shifted(wcs: BaseHighLevelWCS, pointing: Pointing, shape: tuple[int, ...]) -> BaseHighLevelWCS:
    """Correct the pointing of a WCS of data of some shape."""
    return HighLevelWCSWrapper(ShiftedWCS(wcs.low_level_wcs, pointing, shape))


def scaled(
    wcs: BaseHighLevelWCS, scale: WavelengthScale, shape: tuple[int, ...]
) -> BaseHighLevelWCS:
    """Give a WCS of data of some shape another wavelength scale, in place of one it was given."""
    return HighLevelWCSWrapper(ScaledWCS(unscaled_wcs(wcs.low_level_wcs), scale, shape))


def unscaled_wcs(low: BaseLowLevelWCS) -> BaseLowLevelWCS:
    """Make a low-level WCS without the wavelength scale in it, sliced and binned as it is."""
    if isinstance(low, ScaledWCS):
        return unscaled_wcs(low.unscaled)
    return _around(low, unscaled_wcs)


def unshifted_wcs(low: BaseLowLevelWCS) -> BaseLowLevelWCS:
    """Make a low-level WCS without the corrections in it, sliced and binned as it is."""
    if isinstance(low, ShiftedWCS):
        return unshifted_wcs(low.unshifted)
    return _around(low, unshifted_wcs)


def _around(
    low: BaseLowLevelWCS, change: Callable[[BaseLowLevelWCS], BaseLowLevelWCS]
) -> BaseLowLevelWCS:
    """Slice, bin, correct and scale what is changed of the WCS inside of one as that is."""
    if not isinstance(low, (SlicedLowLevelWCS, ResampledLowLevelWCS, ShiftedWCS, ScaledWCS)):
        return low
    before = low._wcs  # astropy's wrappers of a WCS have no public name for it
    before = getattr(before, "low_level_wcs", before)
    inside = change(before)
    if inside is before:
        return low
    if isinstance(low, ShiftedWCS):
        return ShiftedWCS(inside, low.pointing, low.shape)
    if isinstance(low, ScaledWCS):
        return ScaledWCS(inside, low.scale, low.shape)
    if isinstance(low, SlicedLowLevelWCS):
        return SlicedLowLevelWCS(inside, list(low._slices_pixel)[::-1])
    if isinstance(low, SteppedWCS):
        return SteppedWCS(inside, low._factor, low._offset, low._shape)
    return ResampledLowLevelWCS(inside, low._factor, low._offset)

"""Make the WCS of a selection, steps included."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
from astropy.wcs.wcsapi import BaseHighLevelWCS, HighLevelWCSWrapper, SlicedLowLevelWCS
from gwcs import WCS
from ndcube.wcs.wrappers import ResampledLowLevelWCS

if TYPE_CHECKING:
    from astropy.wcs.wcsapi import BaseLowLevelWCS

    from dkist_virtual.cube.selection import Selection

__all__ = [
    "KnownWCS", "SteppedWCS", "UnslicedWCS", "WCSSource", "forget_dropped", "high_level",
    "slice_wcs",
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

"""Make the WCS of what was computed of several Stokes parameters: it knows none of them.

The WCS of a slice remembers which parameter that slice was of, which a degree of polarisation or a
magnetic field is not.
"""

from __future__ import annotations

from typing import Any

from astropy.wcs.wcsapi import BaseHighLevelWCS, HighLevelWCSWrapper, SlicedLowLevelWCS
from gwcs import WCS
from ndcube.wcs.wrappers import ResampledLowLevelWCS

from dkist_virtual.cube.shifted_wcs import ShiftedWCS
from dkist_virtual.cube.sliced_wcs import SteppedWCS
from dkist_virtual.cube.spectral.without_wavelength import forget_kind

__all__ = ["without_stokes"]


def without_stokes(wcs: BaseHighLevelWCS) -> BaseHighLevelWCS:
    """Make a WCS whose Stokes axis is sliced away forget which parameter was left.

    Its pixel axes and its other coordinates stay. That of a FITS header is returned as it is: there
    each coordinate has its pixel axis.
    """
    made = _forget(wcs.low_level_wcs)
    return made if isinstance(made, BaseHighLevelWCS) else HighLevelWCSWrapper(made)


def _forget(low: Any) -> Any:
    if isinstance(low, WCS):
        return forget_kind(low, "stokes")
    if isinstance(low, ShiftedWCS):
        return ShiftedWCS(_forget(low.unshifted), low.pointing, low.shape)
    if isinstance(low, (SlicedLowLevelWCS, ResampledLowLevelWCS)):
        before = low._wcs  # astropy's wrappers of a WCS have no public name for it
        inside = _forget(getattr(before, "low_level_wcs", before))
        if isinstance(low, SlicedLowLevelWCS):
            return SlicedLowLevelWCS(inside, list(low._slices_pixel)[::-1])
        if isinstance(low, SteppedWCS):
            return SteppedWCS(inside, low._factor, low._offset, low._shape)
        return ResampledLowLevelWCS(inside, low._factor, low._offset)
    return low

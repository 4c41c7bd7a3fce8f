"""Assume where positions off the limb of the Sun are, and say when that is needed.

A position on the disk is on the surface. One off the limb has no distance, and so no place for
another observer, or for the same one at another time, unless a screen behind the Sun is assumed.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from astropy.coordinates import SkyCoord
from astropy.wcs import WCS

from dkist_virtual.cube.world_axes import World
from dkist_virtual.errors import DatasetError, DKISTVirtualWarning

if TYPE_CHECKING:
    from astropy.coordinates import BaseCoordinateFrame
    from astropy.wcs.wcsapi import BaseHighLevelWCS

__all__ = ["NEEDS_SCREEN", "assume_screen", "check_screen", "share_lost", "warn_of_lost"]

NEEDS_SCREEN: Final = (
    "a position off the limb of the Sun has no distance, and so no place for another observer or "
    'time. screen="spherical" assumes one: on a sphere around the Sun\'s distance from the '
    "dataset's observer (sunpy's SphericalScreen, of what is off the disk)"
)

_LATTICE: Final = 33


def check_screen(what: str, screen: str | None) -> None:
    """Refuse a screen that is not known here.

    Raises
    ------
    DatasetError
    """
    if screen not in (None, "spherical"):
        raise DatasetError(f'{what}: screen={screen!r}: expected "spherical" or None')


def assume_screen(
    what: str, screen: str | None, frame: BaseCoordinateFrame | None
) -> AbstractContextManager[None]:
    """Make a context in which positions off the limb are on a screen; it does nothing for None.

    Parameters
    ----------
    what : str
        Whose keyword it is, for the error.
    screen : {"spherical"} or None
        `sunpy.coordinates.SphericalScreen` of what is off the disk.
    frame : frame of the dataset
        Whose observer is the centre of the screen.

    Raises
    ------
    DatasetError
        Another screen, or a frame without an observer.
    """
    check_screen(what, screen)
    if screen is None:
        return nullcontext()
    observer = getattr(frame, "observer", None)
    if observer is None or isinstance(observer, str):
        raise DatasetError(
            f'{what}: screen="spherical" is centred on the observer of the dataset, and the frame '
            f"of its sky has none: {frame!r}"
        )
    from sunpy.coordinates import SphericalScreen

    made: AbstractContextManager[None] = SphericalScreen(SkyCoord(observer), only_off_disk=True)
    return made


def share_lost(world: World, target: BaseCoordinateFrame | None) -> float:
    """Compute which share of the pixels of an array has no place in another frame, 0 to 1.

    It is evaluated on a lattice.
    """
    axes = [world.of_kind("longitude"), world.of_kind("latitude")]
    found = [axis for axis in axes if axis is not None]
    if len(found) < 2 or target is None:
        return 0.0
    if any(getattr(frame, "observer", None) is None for frame in (world.frame, target)):
        return 0.0
    on = sorted({axis for one in found for axis in one.array_axes})
    at = [np.linspace(0, world.shape[a] - 1, min(world.shape[a], _LATTICE)) for a in on]
    lon, lat = world.along(found, at)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*off-disk coordinates")
        there = SkyCoord(lon, lat, unit=[one.unit for one in found], frame=world.frame)
        seen = there.transform_to(target.replicate_without_data())
    before = np.isfinite(lon) & np.isfinite(lat)
    lost = before & ~np.isfinite(seen.spherical.lon.value)
    return float(lost.sum() / max(before.sum(), 1))


def warn_of_lost(
    what: str, wcs: World, target: BaseHighLevelWCS | Mapping[str, Any], stacklevel: int
) -> None:
    """Warn that pixels off the limb are left out of what is seen by another observer."""
    if isinstance(target, Mapping):
        target = WCS(header=target)
    frame = World(target, ()).frame
    share = share_lost(wcs, frame)
    if share:
        warnings.warn(
            f"{what}: {share:.0%} of the dataset are left out (NaN), as {NEEDS_SCREEN}",
            DKISTVirtualWarning,
            stacklevel=stacklevel + 1,
        )

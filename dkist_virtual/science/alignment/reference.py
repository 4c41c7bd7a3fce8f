"""Show maps of the Sun as another observer sees them, each moment of a dataset by itself.

The maps are turned with the surface of the Sun (sunpy's `propagate_with_solar_surface`) to the
moment, and seen from the dataset's observer. Positions are computed on a lattice in space and time,
and interpolated; pixels by cubic splines.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import astropy.units as u
import numpy as np
from astropy.coordinates import ITRS, SkyCoord
from astropy.time import Time

from dkist_virtual.cube.screens import assume_screen
from dkist_virtual.errors import DatasetError, DKISTVirtualWarning

if TYPE_CHECKING:
    from astropy.coordinates import BaseCoordinateFrame
    from numpy.typing import NDArray
    from sunpy.map import GenericMap

__all__ = ["Box", "SeenMap", "frame_at", "maps_of", "nearest_in_time", "see"]

Floats: TypeAlias = "NDArray[np.float64]"

_LATTICE: Final = 33
_APART: Final = 900.0
"""Seconds between moments for which positions are computed."""


@dataclass(frozen=True, slots=True)
class Box:
    """A part of the sky, in arcsec of the dataset's Tx and Ty."""

    west: tuple[float, float]
    north: tuple[float, float]


def maps_of(reference: Any) -> list[GenericMap]:
    """List the maps of a reference: a map, a sequence of them, or a dataset of images.

    Raises
    ------
    DatasetError
        Something else.
    """
    from sunpy.map import GenericMap, MapSequence

    if isinstance(reference, GenericMap):
        return [reference]
    if isinstance(reference, MapSequence):
        return list(reference.maps)
    if hasattr(reference, "to_map"):  # a dataset
        with warnings.catch_warnings():
            # What a map has no place for is not used here.
            warnings.simplefilter("ignore", DKISTVirtualWarning)
            if len(reference.shape) == 2:
                return [reference.to_map()]
            if len(reference.shape) == 3:
                return [reference[number].to_map() for number in range(reference.shape[0])]
        raise DatasetError(
            f"align: the reference is a dataset of {len(reference.shape)} axes, {reference.shape}: "
            "expected an image of the sky, or images that follow each other. Select those, as in "
            'ds.align(reference.at(wavelength=..., stokes="I"))'
        )
    if isinstance(reference, Sequence) and not isinstance(reference, str) and len(reference):
        return [one for part in reference for one in maps_of(part)]
    raise DatasetError(
        f"align: the reference is of type {type(reference).__name__}: expected a sunpy map, a list "
        "or MapSequence of them, or a Dataset of images"
    )


def frame_at(frame: BaseCoordinateFrame, time: Time) -> BaseCoordinateFrame:
    """Return the frame of an observer at another time.

    A telescope on the Earth stays on its surface; others keep their Stonyhurst position.
    """
    from sunpy.coordinates import HeliographicStonyhurst

    observer = frame.observer
    on_earth = observer.transform_to(ITRS(obstime=frame.obstime)).cartesian
    if on_earth.norm() < _EARTH:
        there = ITRS(on_earth, obstime=time).transform_to(HeliographicStonyhurst(obstime=time))
    else:
        stays = observer.transform_to(HeliographicStonyhurst(obstime=frame.obstime))
        there = HeliographicStonyhurst(stays.lon, stays.lat, stays.radius, obstime=time)
    return frame.replicate_without_data(obstime=time, observer=there)


_EARTH: Final = 10_000 * u.km


def nearest_in_time(maps: Sequence[GenericMap], times: Time) -> NDArray[np.int64]:
    """Return which map is nearest to each moment."""
    theirs = Time([_moment(one) for one in maps])
    away = np.abs((times[:, None] - theirs[None, :]).to_value(u.s))
    return np.asarray(np.argmin(away, axis=1), np.int64)


def _moment(one: GenericMap) -> Time:
    return Time(one.coordinate_frame.obstime, format="isot", scale="utc")


@dataclass(frozen=True, eq=False)
class SeenMap:
    """A map as it is seen by the dataset's observer, at moments of the dataset.

    Parameters
    ----------
    name : str
        What it is, for people.
    pixels : numpy.ndarray
        The part of the map that is needed, NaN where it is not known.
    seconds : numpy.ndarray
        The moments for which positions are known.
    box : Box
    x, y : numpy.ndarray
        Pixels of the map, of shape (seconds, Ty, Tx), on a lattice in the box.
    scale : float
        Of the map's pixels, in arcsec of the dataset's observer.
    """

    name: str
    pixels: Floats
    seconds: Floats
    box: Box
    x: Floats
    y: Floats
    scale: float

    def blurred(self, width: float) -> SeenMap:
        """Blur it by a normal distribution of a width in arcsec."""
        from scipy.ndimage import gaussian_filter

        if width < 0.2 * self.scale:
            return self
        known = np.isfinite(self.pixels)
        share = gaussian_filter(known.astype(float), width / self.scale)
        pixels = gaussian_filter(np.where(known, self.pixels, 0.0), width / self.scale)
        with np.errstate(invalid="ignore", divide="ignore"):
            pixels = np.where(known & (share > 0.5), pixels / share, np.nan)
        return replace(self, pixels=pixels)

    @cached_property
    def _spline(self) -> tuple[Floats, Floats]:
        from scipy.ndimage import spline_filter

        known = np.isfinite(self.pixels)
        filled = np.where(known, self.pixels, np.median(self.pixels[known]) if known.any() else 0.0)
        return np.asarray(spline_filter(filled, order=3)), known.astype(float)

    def sample(self, second: float, tx: Floats, ty: Floats) -> Floats:
        """Interpolate its pixels at positions of the dataset's sky, in arcsec, at a moment."""
        from scipy.ndimage import map_coordinates

        x, y = self.place(second, tx, ty)
        lost = ~(np.isfinite(x) & np.isfinite(y))
        at = np.array([np.where(lost, -9.0, y), np.where(lost, -9.0, x)])
        spline, known = self._spline
        values = map_coordinates(spline, at, order=3, prefilter=False, cval=np.nan)
        if not known.all():
            share = map_coordinates(known, at, order=1, cval=0.0)
            values = np.where(share > 0.999, values, np.nan)
        return np.asarray(np.where(lost, np.nan, values))

    def place(self, second: float, tx: Floats, ty: Floats) -> tuple[Floats, Floats]:
        """Compute pixels of the map at positions of the dataset's sky, at a moment."""
        from scipy.ndimage import map_coordinates

        n = self.x.shape[1]
        (west, east), (south, north) = self.box.west, self.box.north
        at = np.array([(ty - south) / (north - south), (tx - west) / (east - west)]) * (n - 1)
        index = int(np.clip(np.searchsorted(self.seconds, second) - 1, 0, len(self.seconds) - 2))
        part = (second - self.seconds[index]) / (self.seconds[index + 1] - self.seconds[index])
        found = []
        for lattice in (self.x, self.y):
            now = lattice[index] * (1 - part) + lattice[index + 1] * part
            found.append(map_coordinates(now, at, order=1, cval=np.nan))
        return found[0], found[1]


def see(
    one: GenericMap,
    frame: BaseCoordinateFrame,
    epoch: Time,
    seconds: Floats,
    box: Box,
    screen: str | None,
) -> SeenMap:
    """Compute where a map's pixels are for a dataset's observer, at some of its moments.

    Parameters
    ----------
    one : sunpy.map.GenericMap
    frame : frame of the dataset
    epoch : Time
        From which `seconds` are counted.
    seconds : numpy.ndarray
        The moments of the dataset at which it will be sampled.
    box : Box
    screen : {"spherical"} or None
        Where positions off the limb are.
    """
    from sunpy.coordinates import propagate_with_solar_surface

    first, last = float(seconds.min()) - 1.0, float(seconds.max()) + 1.0
    moments = np.linspace(first, last, max(2, int(np.ceil((last - first) / _APART)) + 1))
    tx = np.linspace(*box.west, _LATTICE)
    ty = np.linspace(*box.north, _LATTICE)
    grid = np.meshgrid(tx, ty)
    x, y = [], []
    for moment in moments:
        now = frame_at(frame, epoch + moment * u.s)
        with ExitStack() as stack:
            stack.enter_context(warnings.catch_warnings())
            warnings.filterwarnings("ignore", ".*off-disk coordinates")
            stack.enter_context(assume_screen("align", screen, now))
            stack.enter_context(propagate_with_solar_surface())
            sky = SkyCoord(*grid, unit="arcsec", frame=now)
            there = one.wcs.world_to_pixel(sky.transform_to(one.coordinate_frame))
        x.append(np.asarray(there[0], float))
        y.append(np.asarray(there[1], float))
    return _cut(one, moments, box, np.array(x), np.array(y))


def _cut(one: GenericMap, moments: Floats, box: Box, x: Floats, y: Floats) -> SeenMap:
    """Keep the part of the map that is needed."""
    ends = []
    for along, n in zip((y, x), one.data.shape, strict=True):
        known = along[np.isfinite(along)]
        low, high = (known.min(), known.max()) if len(known) else (0.0, 0.0)
        ends.append((max(int(low) - 8, 0), min(int(high) + 9, n)))
    (bottom, top), (left, right) = ends
    pixels = np.array(one.data[bottom:top, left:right], float)
    if one.mask is not None:
        pixels[one.mask[bottom:top, left:right]] = np.nan
    pixels[~np.isfinite(pixels)] = np.nan
    middle = x.shape[0] // 2
    wide = (box.west[1] - box.west[0]) / (_LATTICE - 1)
    high_ = (box.north[1] - box.north[0]) / (_LATTICE - 1)
    by_y, by_x = (np.gradient(along[middle]) for along in (x, y))
    area = np.abs(by_y[1] * by_x[0] - by_y[0] * by_x[1])
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "All-NaN slice")
        scale = float(np.sqrt(wide * high_ / np.nanmedian(area)))
    return SeenMap(" ".join(one.name.split()), pixels, moments, box, x - left, y - bottom, scale)

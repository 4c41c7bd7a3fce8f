"""Make the WCS of the values along a path, or of a region: all but the sky stays as it is.

The positions of the path are a table along its axis, and the distance along it a line.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from dkist_virtual.cube.world_axes import PATH_DISTANCE, WorldAxis
from dkist_virtual.science.stitching.carried_axes import (
    Carried,
    Celestial,
    assemble_wcs,
    dropped_coordinates,
)

if TYPE_CHECKING:
    from astropy.wcs.wcsapi import BaseHighLevelWCS
    from numpy.typing import NDArray

    from dkist_virtual.science.paths.image import Image

__all__ = ["make_path_wcs", "make_region_wcs"]

_NAME: Final = "distance along the path"


def _others(image: Image, pixels: NDArray[np.float64]) -> list[Carried]:
    """Read all coordinates but those of the sky, at some positions in the image.

    Parameters
    ----------
    image : Image
    pixels : numpy.ndarray
        Row and column: shape (2, positions), or (2,) for one that has no axis of its own. NaN takes
        those of its neighbour.
    """
    world, carried = image.world, image.carried
    pixels = np.array([_filled(of) for of in pixels]) if pixels.ndim > 1 else pixels
    found = []
    for axis in world.axes:
        if axis.kind in ("longitude", "latitude"):
            continue
        along = [on for on in axis.array_axes if on in carried]
        in_sky = any(on in image.sky for on in axis.array_axes)
        grid = np.meshgrid(*[np.arange(world.shape[on], dtype=float) for on in along],
                           indexing="ij") if along else []  # fmt: skip
        lead = grid[0].shape if along else ()
        own = pixels.shape[1:] if in_sky else ()
        at: list[Any] = [np.zeros((*lead, *own))] * len(world.shape)
        for on, places in zip(along, grid, strict=True):
            at[on] = np.broadcast_to(places.reshape(lead + (1,) * len(own)), (*lead, *own))
        if in_sky:
            for on, places in zip(image.sky, pixels, strict=True):
                at[on] = np.broadcast_to(places, (*lead, *own))
        values = world.values(*at)[axis.index]
        counted = tuple(carried.index(on) for on in along) + (len(carried),) * len(own)
        found.append(Carried(axis, world, counted, np.asarray(values)))
    return found + dropped_coordinates(world)


def _filled(of: NDArray[np.float64]) -> NDArray[np.float64]:
    known = np.flatnonzero(np.isfinite(of))
    return np.interp(np.arange(len(of)), known, of[known]) if len(known) else np.zeros(len(of))


def make_path_wcs(
    image: Image,
    pixels: NDArray[np.float64],
    sky: NDArray[np.float64],
    along: tuple[int, ...],
    distance: NDArray[np.float64],
    names: tuple[str, ...],
) -> BaseHighLevelWCS:
    """Make the WCS of the carried axes and the path.

    Parameters
    ----------
    image : Image
    pixels : numpy.ndarray
        Row and column of each step, by the first pointing: shape (2, steps).
    sky : numpy.ndarray
        Longitude and latitude of each step, arcsec: shape (..., steps, 2), with the axes `along`.
    along : tuple of int
        The carried axes along which the path turns with the Sun.
    distance : numpy.ndarray
        Along the path, arcsec: shape (steps,).
    names : tuple of str
        Of the carried axes.
    """
    n = len(image.carried)
    shape = (*(image.world.shape[on] for on in image.carried), len(distance))
    axis = WorldAxis(-1, "other", _NAME, PATH_DISTANCE, "arcsec", (n,))
    others = [Carried(axis, image.world, (n,), distance), *_others(image, pixels)]
    celestial = Celestial.of_tables(image.frame, sky, (*along, n))
    return assemble_wcs(celestial, shape, others, (*names, "path"))


def make_region_wcs(
    image: Image, centre: NDArray[np.float64], names: tuple[str, ...]
) -> BaseHighLevelWCS:
    """Make the WCS of the carried axes, with the times at a row and a column of the image."""
    shape = tuple(image.world.shape[on] for on in image.carried)
    return assemble_wcs(None, shape, _others(image, centre), names)

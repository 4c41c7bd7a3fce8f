"""Make a dataset whose pointing is corrected, or is not any more."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from dkist_virtual.cube.pointing import Correction, Pointing
from dkist_virtual.dataset.pointing.values import Given, read_values
from dkist_virtual.errors import DatasetError

if TYPE_CHECKING:
    from dkist_virtual.cube.pointing import Numbers
    from dkist_virtual.cube.world_axes import World

__all__ = ["apply_pointing", "center_of", "pointing_of", "shift", "unshifted"]


def pointing_of(ds: Any) -> Pointing | None:
    """Return what a dataset's pointing is corrected by, in its own axes."""
    origin = ds.provenance
    if origin is not None:  # without its WCS
        found: Pointing | None = origin.tile.pointing
        return None if found is None else found.select(origin.cut)
    from dkist_virtual.cube.shifted_wcs import pointing_in

    return pointing_in(ds.wcs.low_level_wcs, ds.shape)


def shift(
    ds: Any, dx: Any = None, dy: Any = None, *, rotation: Any, scale: Any, center: Any
) -> Any:
    """Correct the pointing of a dataset, see `Dataset.shift`."""
    if isinstance(dx, str) and dx == "headers":
        if any(value is not None for value in (dy, rotation, scale, center)):
            raise TypeError('shift("headers"): takes no other values: shift again with those')
        from dkist_virtual.dataset.pointing.fits_pointing import correction_by_headers

        return apply_pointing(ds, Pointing((correction_by_headers(ds),)))
    given = read_values(ds, dx, dy, rotation=rotation, scale=scale)
    return apply_pointing(ds, Pointing((_correction(ds, given, center),)))


def unshifted(ds: Any) -> Any:
    """Make the dataset without corrections of its pointing."""
    if pointing_of(ds) is None:
        return ds[...]
    if ds.provenance is not None:
        return _of_tile(ds, None)
    from astropy.wcs.wcsapi import HighLevelWCSWrapper

    from dkist_virtual.cube.sliced_wcs import unshifted_wcs

    return ds._new_instance(wcs=HighLevelWCSWrapper(unshifted_wcs(ds.wcs.low_level_wcs)))


def apply_pointing(ds: Any, pointing: Pointing) -> Any:
    """Correct the pointing of a dataset by corrections in its own axes, after those it has."""
    from dkist_virtual.cube.shifted_wcs import check_sky
    from dkist_virtual.cube.sliced_wcs import shifted

    origin = ds.provenance
    if origin is None:
        check_sky(ds.wcs, ds.shape)
        return ds._new_instance(wcs=shifted(ds.wcs, pointing, ds.shape))
    check_sky(origin.wcs, origin.tile.shape)
    whole = [one.placed(origin.cut) for one in pointing]
    before: Pointing | None = origin.tile.pointing
    return _of_tile(ds, Pointing(tuple(whole)) if before is None else before.then(*whole))


def _of_tile(ds: Any, pointing: Pointing | None) -> Any:
    """Make the dataset of another pointing of the array as it was opened."""
    from dkist_virtual.cube.sliced_wcs import UnslicedWCS

    tile = replace(ds.provenance.tile, corrected=pointing)
    return ds._new_instance(
        provenance=replace(ds.provenance, tile=tile), wcs=UnslicedWCS(tile, ds.provenance.cut)
    )


def _correction(ds: Any, given: Given, center: Any) -> Correction:
    """Make the correction in the axes of a dataset, with its centre."""
    place = along = None
    if given.rotation is not None or given.scale is not None:
        from dkist_virtual.cube.shifted_wcs import check_sky

        world = check_sky(ds.wcs, ds.shape)
        place = _center(world, center)
        if given.scale is not None and not np.array_equal(given.scale[..., 0], given.scale[..., 1]):
            along = _directions(ds, world)
    elif center is not None:
        raise DatasetError("shift: center= is for rotation= and scale=, and none is given")
    return Correction(
        at=tuple(range(n) for n in ds.shape), dx=given.dx, dy=given.dy, rotation=given.rotation,
        scale=given.scale, along=along, center=place, source=given.source,
    )  # fmt: skip


def _sky(world: World, *position: float) -> Numbers:
    """Compute (Tx, Ty) of a pixel in arcsec."""
    from astropy import units as u

    values = world.values(*position)
    axes = [world.of_kind("longitude"), world.of_kind("latitude")]
    return np.array(
        [float(values[a.index]) * u.Unit(a.unit).to(u.arcsec) for a in axes if a is not None]
    )


def center_of(ds: Any) -> Numbers:
    """Find (Tx, Ty) of the centre of a dataset's field at mid-time, in arcsec."""
    from dkist_virtual.cube.shifted_wcs import check_sky

    return _center(check_sky(ds.wcs, ds.shape), None)


def _center(world: World, center: Any) -> Numbers:
    """Read a centre, or find that of the field at mid-time."""
    if center is None:
        # The mean of the pixels around the middle: a step of a raster has one position, not more.
        ends = [sorted({(n - 1) // 2, n // 2}) for n in world.shape]
        found = np.mean([_sky(world, *map(float, at)) for at in itertools.product(*ends)], axis=0)
        if not np.isfinite(found).all():
            raise DatasetError(
                "shift: the WCS has no coordinates in the middle of this selection: give center="
            )
        return np.asarray(found, float)
    from dkist_virtual.dataset.pointing.values import read_center

    return read_center(center, world.frame)


def _directions(ds: Any, world: World) -> Numbers:
    """Find the directions on the sky of the two axes of the array that are on it, the last first.

    Those of a frame are before those of its steps; of these that along which the sky moves most.
    """
    low, high = np.zeros(len(ds.shape)), np.array(ds.shape, float) - 1
    middle = np.floor((low + high) / 2)
    lon, lat = world.of_kind("longitude"), world.of_kind("latitude")
    assert lon is not None
    assert lat is not None
    moves = {}
    for axis in sorted({*lon.array_axes, *lat.array_axes}):
        if ds.shape[axis] > 1:
            ends = [np.where(np.arange(len(low)) == axis, end, middle) for end in (low, high)]
            first, last = (_sky(world, *end) for end in ends)
            moves[axis] = (last - first) / np.hypot(1e-30, np.hypot(*(last - first))), last - first
    n_frame = 0 if ds.provenance is None else len(ds.provenance.array.frame_shape)
    order = sorted(moves, key=lambda axis: (axis < n_frame, -np.hypot(*moves[axis][1])))
    for second in order[1:]:
        pair = sorted((order[0], second), reverse=True)
        made = np.array([moves[axis][0] for axis in pair])
        if abs(np.linalg.det(made)) > 0.1:
            return made
    raise DatasetError(
        "shift: scale= has two factors, and this selection has not two axes on the sky: give one "
        "factor, or shift before slicing"
    )

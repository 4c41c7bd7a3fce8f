"""Read the values of a correction in each form that a user may give."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import astropy.units as u
import numpy as np
from astropy.table import Column, Table
from astropy.time import Time
from sunpy.coordinates.frames import Helioprojective

from dkist_virtual.errors import DatasetError

if TYPE_CHECKING:
    from astropy.coordinates import BaseCoordinateFrame

    from dkist_virtual.cube.pointing import Numbers

__all__ = ["Given", "frame_shape", "read_center", "read_points", "read_values"]


@dataclass(frozen=True, eq=False)
class Given:
    """The values of a correction, in arcsec and degrees, with an axis for each of the data's.

    Parameters
    ----------
    dx, dy : array of float
    rotation : array of float or None
    scale : array of float of shape (..., 2) or None
    source : str
        Where they are from, in words.
    """

    dx: Numbers
    dy: Numbers
    rotation: Numbers | None
    scale: Numbers | None
    source: str = ""


def read_values(ds: Any, dx: Any, dy: Any, *, rotation: Any, scale: Any) -> Given:
    """Read the values that `Dataset.shift` is given."""
    if all(value is None for value in (dx, dy, rotation, scale)):
        raise TypeError(
            "shift: expected dx, dy, rotation= or scale=, found none of them. ds.unshifted() takes "
            "corrections away"
        )
    turned = None if rotation is None else _angles(ds, "rotation", rotation, u.deg)
    factors = None if scale is None else _factors(ds, scale)
    if isinstance(dx, Table | tuple):
        if dy is not None:
            raise TypeError("shift: points in time have dx and dy: expected no dy beside them")
        east, north, source = read_points(ds, dx)
        return Given(east, north, turned, factors, source)
    if dy is None and np.shape(dx) == (2,) and not isinstance(dx, Column):
        raise TypeError(
            "shift: dx has two values, and there is no dy: one shift is ds.shift(dx, dy), values "
            "for two steps are ds.shift(values, 0 * u.arcsec)"
        )
    named = {"dx": dx, "dy": dy, "rotation": rotation}
    said = [f"{name} of the headers' {one}" for name, one in named.items() if isinstance(one, str)]
    zero = np.zeros((1,) * len(ds.shape))
    return Given(
        zero if dx is None else _angles(ds, "dx", dx, u.arcsec),
        zero if dy is None else _angles(ds, "dy", dy, u.arcsec),
        turned,
        factors,
        ", ".join(said),
    )


def _angles(ds: Any, name: str, value: Any, unit: u.UnitBase) -> Numbers:
    """Read angles, as an array with an axis for each of the dataset's."""
    if isinstance(value, str):
        value = _column(ds, name, value)
    if isinstance(value, Column):
        if value.unit is None:
            raise TypeError(
                f"shift: {name}: the column {value.name} has no unit: expected an angle, as in "
                f'{name}=ds.headers["{value.name}"] * u.{unit}'
            )
        masked = getattr(value, "mask", False)
        value = u.Quantity(np.ma.getdata(value), value.unit)
    else:
        masked = getattr(value, "mask", False)
    if np.any(masked):
        raise DatasetError(
            f"shift: {name}: {np.count_nonzero(masked)} values are masked: expected one for each. "
            "np.interp can fill them"
        )
    value = getattr(value, "unmasked", value)
    if not isinstance(value, u.Quantity):
        raise TypeError(
            f"shift: {name}={value!r:.60} has no unit: expected an angle, as in {name}="
            f"{'0.3' if unit == u.deg else '3'} * u.{unit}"
        )
    if not value.unit.is_equivalent(unit):
        raise TypeError(f"shift: {name} is in {value.unit}: expected an angle, as in {unit}")
    array = np.asarray(value.to_value(unit), float)
    if not np.isfinite(array).all():
        raise DatasetError(
            f"shift: {name}: {np.count_nonzero(~np.isfinite(array))} values are not finite: "
            "expected one for each"
        )
    return _along_axes(ds, name, array)


def _column(ds: Any, name: str, keyword: str) -> Column:
    """Return a column of the headers by its keyword."""
    headers = ds.headers
    if headers is None or keyword not in headers.colnames:
        raise DatasetError(
            f'shift: {name}="{keyword}": the headers of this dataset have no such column: expected '
            'a keyword of ds.headers, a Quantity, or "headers" for the pointing of each frame'
        )
    return headers[keyword]


def frame_shape(ds: Any) -> tuple[int, ...]:
    """Return the shape of the axes of frames, the first of a dataset; of all without frames."""
    if ds.provenance is None:
        return tuple(ds.shape)
    return tuple(ds.provenance.array.frame_shape)


def _along_axes(ds: Any, name: str, array: Numbers) -> Numbers:
    """Give an array an axis for each of the dataset's, of length 1 where it is the same."""
    frames, ndim = frame_shape(ds), len(ds.shape)
    if array.ndim == 0:
        return array.reshape((1,) * ndim)
    for shape in (frames, tuple(ds.shape)):
        fits = array.ndim == len(shape)
        if fits and all(n in (1, size) for n, size in zip(array.shape, shape, strict=True)):
            return array.reshape(array.shape + (1,) * (ndim - array.ndim))
    along = [axis for axis, size in enumerate(frames) if size == len(array)]
    if array.ndim == 1 and ds.provenance is not None and len(array) == int(np.prod(frames)):
        if len(along) < 2:  # one for each frame, as a column of the headers
            return array.reshape(frames + (1,) * (ndim - len(frames)))
    elif array.ndim == 1 and len(along) == 1:
        return array.reshape([len(array) if axis == along[0] else 1 for axis in range(ndim)])
    if array.ndim == 1 and len(along) > 1:
        shape = tuple(len(array) if axis == along[-1] else 1 for axis in range(len(frames)))
        raise DatasetError(
            f"shift: {name} has {len(array)} values, which may be along each of the axes "
            f"{along}: expected an array that says along which, such as one of shape {shape}"
        )
    of = "the frames" if ds.provenance is not None else "the data"
    raise DatasetError(
        f"shift: {name} of shape {array.shape}: expected one value, as many as an axis of {of} is "
        f"long, or an array of the shape of {of}, {frames}, of length 1 along axes where it is the "
        "same"
    )


def read_points(ds: Any, points: Any) -> tuple[Numbers, Numbers, str]:
    """Interpolate points (time, dx, dy) at the times of the frames.

    A little before the first and after the last, by half the time between the two points at that
    end, their values are used; further away is refused.
    """
    if isinstance(points, Table):
        if missing := [name for name in ("time", "dx", "dy") if name not in points.colnames]:
            raise TypeError(
                f"shift: the table of points has no column {missing[0]}: expected time, dx, dy, "
                f"found {', '.join(points.colnames)}"
            )
        points = tuple(points[name] for name in ("time", "dx", "dy"))
    if len(points) != 3:
        raise TypeError(
            f"shift: a tuple of {len(points)}: expected points (Time, dx, dy). Two values are "
            "ds.shift(dx, dy)"
        )
    given, *values = points
    given = given if isinstance(given, Time) else Time(given)
    moved = []
    for name, value in zip(("dx", "dy"), values, strict=True):
        if isinstance(value, Column) and value.unit is not None:
            value = value.quantity
        if not isinstance(value, u.Quantity) or not value.unit.is_equivalent(u.arcsec):
            raise TypeError(f"shift: {name} of the points: expected angles, found {value!r:.60}")
        moved.append(np.asarray(value.to_value(u.arcsec), float))
    shapes = {np.shape(given), *(one.shape for one in moved)}
    if len(shapes) > 1 or len(given.shape) != 1 or len(given) < 2:
        raise DatasetError(
            f"shift: points of shapes {sorted(shapes)}: expected at least two, each with a time, "
            "dx and dy"
        )
    at, axes = _times(ds)
    seconds = np.asarray((given - given[0]).to_value("s"), float)
    order = np.argsort(seconds)
    seconds = seconds[order]
    if not (np.diff(seconds) > 0).all() or not np.isfinite(moved).all():
        raise DatasetError("shift: points: expected different times, and finite dx and dy")
    wanted = np.asarray((at - given[0]).to_value("s"), float)
    before, after = (seconds[1] - seconds[0]) / 2, (seconds[-1] - seconds[-2]) / 2
    outside = (wanted < seconds[0] - before) | (wanted > seconds[-1] + after)
    if outside.any():
        raise DatasetError(
            f"shift: {np.count_nonzero(outside)} of {outside.size} times of this selection, from "
            f"{at.min().isot} to {at.max().isot}, are outside of the points, from "
            f"{given.min().isot} to {given.max().isot}: give points there, or select fewer frames"
        )
    shape = [1] * len(ds.shape)
    for axis, n in zip(axes, wanted.shape, strict=True):
        shape[axis] = n
    east, north = (np.interp(wanted, seconds, one[order]).reshape(shape) for one in moved)
    return east, north, f"{len(given)} points in time"


def _times(ds: Any) -> tuple[Time, tuple[int, ...]]:
    """Compute the times of a dataset, and along which of its axes they change."""
    from dkist_virtual.cube.world_axes import World

    for part in World(ds.wcs, ds.shape).parts:
        axis = part.of_kind("time")
        if axis is not None:
            return part.time(part.along([axis])[0]), axis.array_axes
    raise DatasetError("shift: points in time: this dataset has no times to interpolate them at")


def _factors(ds: Any, scale: Any) -> Numbers:
    if isinstance(scale, u.Quantity):
        scale = scale.to_value(u.one)
    given = np.asarray(scale)
    if given.dtype.kind not in "fiu" or given.shape not in ((), (2,)):
        raise TypeError(
            f"shift: scale={scale!r:.60}: expected a number, or two: along the slit and along the "
            "raster, or along x and y of an image"
        )
    if not (np.isfinite(given) & (given > 0)).all():
        raise DatasetError(f"shift: scale={scale!r:.60}: expected factors greater than 0")
    return np.broadcast_to(given.astype(float), (*(1,) * len(ds.shape), 2))


def read_center(center: Any, frame: BaseCoordinateFrame | None) -> Numbers:
    """Read a centre as (Tx, Ty) in arcsec."""
    from astropy.coordinates import SkyCoord

    if isinstance(center, SkyCoord):
        if frame is None:
            raise DatasetError("shift: center: the sky of this dataset has no frame")
        seen = isinstance(center.frame, Helioprojective) and center.observer is None
        own = center if seen else center.transform_to(frame)  # None: as seen by the telescope
        found = np.array([own.Tx.to_value(u.arcsec), own.Ty.to_value(u.arcsec)], float)
    else:
        try:
            found = u.Quantity(center).to_value(u.arcsec)
        except (TypeError, u.UnitsError) as error:
            raise TypeError(
                f"shift: center={center!r:.60}: expected a SkyCoord, or (Tx, Ty) as a Quantity "
                f"such as [198.4, -397.6] * u.arcsec: {error}"
            ) from None
    if found.shape != (2,) or not np.isfinite(found).all():
        raise DatasetError(f"shift: center={center!r:.60}: expected one place, (Tx, Ty)")
    return np.asarray(found, float)

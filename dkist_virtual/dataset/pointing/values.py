"""Read the values of a correction in each form that a user may give."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import astropy.units as u
import numpy as np

from dkist_virtual.errors import DatasetError

if TYPE_CHECKING:
    from astropy.coordinates import BaseCoordinateFrame

    from dkist_virtual.cube.pointing import Numbers

__all__ = ["Given", "read_center", "read_values"]


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
    return Given(
        _angles(ds, "dx", dx, u.arcsec, 0.0),
        _angles(ds, "dy", dy, u.arcsec, 0.0),
        None if rotation is None else _angles(ds, "rotation", rotation, u.deg, 0.0),
        None if scale is None else _factors(ds, scale),
    )


def _angles(ds: Any, name: str, value: Any, unit: u.UnitBase, default: float) -> Numbers:
    if value is None:
        return np.full((1,) * len(ds.shape), default)
    if not isinstance(value, u.Quantity):
        raise TypeError(
            f"shift: {name}={value!r:.60} has no unit: expected an angle, as in {name}="
            f"{'0.3 * u.deg' if unit == u.deg else '3 * u.arcsec'}"
        )
    if not value.unit.is_equivalent(unit):
        raise TypeError(f"shift: {name} is in {value.unit}: expected an angle, as in {unit}")
    return _along_axes(ds, name, np.asarray(value.to_value(unit), float))


def _along_axes(ds: Any, name: str, array: Numbers) -> Numbers:
    """Give an array an axis for each of the dataset's."""
    if array.ndim:
        raise DatasetError(f"shift: {name} of shape {array.shape}: expected one value")
    return array.reshape((1,) * len(ds.shape))


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
        own = center if center.is_equivalent_frame(frame) else center.transform_to(frame)
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

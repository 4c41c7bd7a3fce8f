"""Read what a user gives: positions, angles, and the state of a dataset."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from dkist_virtual.errors import DatasetError, SelectionError
from dkist_virtual.science.sky_image import HasSky

if TYPE_CHECKING:
    from astropy.time import Time
    from numpy.typing import NDArray

    from dkist_virtual.cube.world_axes import World
    from dkist_virtual.science.paths.image import Image

__all__ = [
    "Sighted", "axis_names", "frame_axes", "pixel_type", "read_angle", "read_points",
    "sky_of_points", "spread_of",
]  # fmt: skip


class Sighted(HasSky, Protocol):
    """A dataset of which paths and regions are averaged."""

    @property
    def uncertainty(self) -> Any:
        """The uncertainty of each pixel."""


def read_angle(what: str, name: str, given: Any) -> float:
    """Return an angle in arcsec.

    Raises
    ------
    DatasetError
        Anything else, or an angle that is not positive.
    """
    from astropy import units as u

    try:
        angle = float(u.Quantity(given).to_value(u.arcsec))
    except (TypeError, ValueError, u.UnitsError):
        raise DatasetError(
            f"{what}: {name}={given!r}: expected one angle on the sky, such as 0.5 * u.arcsec"
        ) from None
    if not (np.isfinite(angle) and angle > 0):
        raise DatasetError(f"{what}: {name}={given!r}: expected an angle that is larger than zero")
    return angle


def read_points(what: str, given: Any, least: int) -> Any:
    """Return points on the sky as one SkyCoord, or pixels as an array of shape (points, 2).

    Raises
    ------
    DatasetError
        Something else, or too few of them.
    """
    from astropy.coordinates import BaseCoordinateFrame, SkyCoord, concatenate

    expected = (
        f"expected a SkyCoord of at least {least} positions, a list of them, or as many pairs of "
        "pixels, row and column"
    )
    if isinstance(given, BaseCoordinateFrame) and given.has_data:
        given = SkyCoord(given)
    if isinstance(given, (list, tuple)) and given and all(
        isinstance(one, (SkyCoord, BaseCoordinateFrame)) for one in given
    ):  # fmt: skip
        flat = [SkyCoord(one).ravel() if SkyCoord(one).shape else SkyCoord(one).reshape(1)
                for one in given]  # fmt: skip
        try:
            given = concatenate(flat)
        except Exception as error:
            raise DatasetError(
                f"{what}: the positions cannot be put into one SkyCoord: {error}"
            ) from error
    if isinstance(given, SkyCoord):
        if given.size < least:
            raise DatasetError(f"{what}: found a SkyCoord of {given.size}: {expected}")
        return given.ravel()
    try:
        pixels = np.asarray(given, float)
    except (TypeError, ValueError):
        pixels = np.zeros(0)
    if pixels.ndim != 2 or pixels.shape[1:] != (2,) or len(pixels) < least:
        raise DatasetError(f"{what}: found {given!r}: {expected}")
    if not np.isfinite(pixels).all():
        raise DatasetError(f"{what}: a pixel of {given!r} is not finite: {expected}")
    return pixels


def sky_of_points(image: Image, points: Any, epoch: Time | None) -> NDArray[np.float64]:
    """Return longitude and latitude, arcsec, in the frame of the dataset: (points, 2).

    Parameters
    ----------
    image : Image
    points : SkyCoord or numpy.ndarray
        Of `read_points`.
    epoch : Time, optional
        As the telescope sees them then, rather than at the time of the dataset's frame.
    """
    from astropy import units as u
    from astropy.coordinates import SkyCoord

    from dkist_virtual.cube.points import wanted_of

    if not isinstance(points, SkyCoord):
        sky = image.sky_of_pixels(points)
        if not np.isfinite(sky).all():
            raise SelectionError(
                f"{image.what}: the WCS has no position on the sky for some of the pixels given"
            )
        return sky
    if epoch is None:
        (wanted,) = wanted_of(image.world, [points])
        scale = [u.Unit(axis.unit).to(u.arcsec) for axis in wanted.axes]
        return np.asarray((wanted.points.T * scale), float)
    from dkist_virtual.science.alignment.reference import frame_at
    from dkist_virtual.science.paths.turning import check_frame

    there = frame_at(check_frame(image), epoch)
    own = points.frame
    missing = {
        name: getattr(there, name)
        for name in ("obstime", "observer")
        if name in own.frame_attributes and getattr(own, name) is None
    }
    seen = SkyCoord(own.replicate(**missing)).transform_to(there)
    lon, lat = seen.spherical.lon.wrap_at("180d"), seen.spherical.lat
    sky = np.stack([lon.arcsec, lat.arcsec], axis=-1)
    if not np.isfinite(sky).all():
        raise SelectionError(
            f"{image.what}: some of the positions are not on the disk of the Sun as the telescope "
            "sees it: rotate=False takes positions off the limb"
        )
    return sky


def pixel_type(what: str, ds: Sighted) -> np.dtype:
    """Return the type of averages of the pixels, which has NaN.

    Raises
    ------
    DatasetError
        Pixels that are not real numbers.
    """
    dtype = np.dtype(ds.pixels.dtype)
    if dtype.kind not in "iufb":
        raise DatasetError(
            f"{what}: the pixels are of {dtype}: expected real numbers, which can be averaged"
        )
    return np.result_type(np.float32, dtype)


def spread_of(what: str, ds: Sighted) -> Any:
    """Return the standard deviations of the pixels as an array; None where there are none.

    Raises
    ------
    DatasetError
        An uncertainty that is not one.
    """
    own = ds.uncertainty
    if own is None:
        return None
    from astropy.nddata import StdDevUncertainty

    try:
        return own.represent_as(StdDevUncertainty).array
    except TypeError:
        raise DatasetError(
            f"{what}: what becomes of an uncertainty of type {own.uncertainty_type!r} is not "
            "known: expected standard deviations. ds.uncertainty = None leaves it behind"
        ) from None


def frame_axes(ds: Sighted, carried: tuple[int, ...]) -> int:
    """Return how many of the carried axes, the first ones, are along frames."""
    if ds.provenance is None:
        return len(carried)
    n = len(ds.provenance.array.frame_shape)
    return sum(axis < n for axis in carried)


def axis_names(ds: Sighted, world: World, carried: tuple[int, ...]) -> tuple[str, ...]:
    """Return the names of the carried axes."""
    given = [str(name or "") for name in world.low.pixel_axis_names or ()][::-1]
    known = given if len(given) == len(ds.shape) else [""] * len(ds.shape)
    return tuple(known[axis] for axis in carried)

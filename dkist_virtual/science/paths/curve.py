"""Make the values of a region of a dataset: its light curve, or its spectrum."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from dkist_virtual.cube.screens import assume_screen, check_screen
from dkist_virtual.cube.selection import Selection
from dkist_virtual.errors import DatasetError, SelectionError
from dkist_virtual.science.paths.coordinates import make_region_wcs
from dkist_virtual.science.paths.given import (
    axis_names,
    frame_axes,
    pixel_type,
    read_angle,
    read_points,
    sky_of_points,
    spread_of,
)
from dkist_virtual.science.paths.image import Image
from dkist_virtual.science.paths.regions import Circle, Polygon, box
from dkist_virtual.science.paths.slit import Averaged
from dkist_virtual.science.paths.sums import OfRegion
from dkist_virtual.science.paths.turning import check_law, clock_of, epoch_of, turned
from dkist_virtual.science.sky_image import SkyPixels, mask_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dkist_virtual.science.paths.given import Sighted
    from dkist_virtual.science.paths.regions import Region

__all__ = ["light_curve"]

_STATISTICS: Final = ("mean", "sum", "median")

_WHAT: Final = "light_curve"


def light_curve(
    ds: Sighted, region: Any, *, statistic: Any, rotate: bool | str, screen: str | None
) -> Averaged:
    """Average the pixels of a region of each image; reads no pixels.

    See `dkist_virtual.Dataset.light_curve`.
    """
    from dkist_virtual.cube.world_axes import World

    if statistic not in _STATISTICS:
        raise DatasetError(
            f"light_curve: statistic={statistic!r}: expected one of "
            f"{', '.join(map(repr, _STATISTICS))}"
        )
    law = check_law(_WHAT, rotate)
    check_screen(_WHAT, screen)
    image = Image(World(ds.wcs, ds.shape), _WHAT)
    if not image.carried:
        raise SelectionError(
            f"light_curve: a selection of shape {ds.shape} is one image: expected an axis of time, "
            "wavelength or Stokes parameters beside those of the sky. ds.data is a dask array that "
            "numpy's functions take"
        )
    pixel_type(_WHAT, ds)
    spread = spread_of(_WHAT, ds)
    if spread is not None and statistic == "median":
        raise DatasetError(
            "light_curve: the uncertainty of a median is not known: expected statistic='mean' or "
            "'sum'. ds.uncertainty = None leaves it behind"
        )
    whole = tuple(ds.shape[axis] for axis in image.carried)
    members = _member_pixels(image, region, ds)
    clock, epoch, around = None, None, 0.0
    said: dict[str, Any] = {"quantity": f"{{}}, {statistic} of a region", "method": statistic}
    mask = mask_of(ds)
    if members is not None:
        if law is not None:
            raise DatasetError(
                "light_curve: rotate= is for a region on the sky: pixels of the images do not turn "
                "with the Sun"
            )
        if members.ndim == len(ds.shape) and len(ds.shape) > 2:
            other = ~members
            mask = other if mask is None else mask | other
            members = np.ones(image.shape, bool)
        on: Region | NDArray[np.bool_] = members
        said["region"] = "pixels of each image"
    else:
        epoch = None if law is None else epoch_of(image, _positions(region))
        with assume_screen(_WHAT, screen, image.frame):
            sky, radius, kind = _read_region(image, region, epoch)
        knots = sky[None]
        if law is not None and epoch is not None:
            clock = clock_of(image, epoch)
            knots = turned(image, sky, epoch, clock, law)
        around = float(np.nanmedian(knots[..., 0])) if np.isfinite(knots).any() else 0.0
        places = image.plane(knots, around)
        per_radian = 3600 * 180 / np.pi / image.scale
        if radius is None:
            on = Polygon(places)
        else:
            on = Circle(places, radius / image.scale, per_radian)
            said["radius_arcsec"] = radius
        said |= {
            "region": kind,
            "points_arcsec": [[float(lon), float(lat)] for lon, lat in sky],
            "rotation": law or "none: fixed on the sky",
        }
        if epoch is not None:
            said["epoch"] = str(epoch.isot)
    source = OfRegion(
        SkyPixels(ds.pixels, mask, image.sky, image.moving), spread, image.lattice(around), clock,
        Selection.whole(whole), "pixels", np.dtype(float), (), on, statistic,
    )  # fmt: skip
    counts, centre, some = _counts(source, whole)
    source = source.chunked(*some, frame_axes(ds, image.carried))
    said["pixels"] = int(counts.max())
    if counts.min() != counts.max():
        said["pixels_least"] = int(counts.min())
    if source.image.mask is not None:
        masked: Any = source.mask_array()
    else:
        masked = np.broadcast_to(counts == 0, whole).copy() if (counts == 0).any() else None
    wcs = make_region_wcs(image, centre, axis_names(ds, image.world, image.carried))
    turns = "" if law is None else f", which turns with the Sun ({law})"
    words = f"the {statistic} of {said['pixels']} pixels of a region{turns}"
    return Averaged(source.dask(), masked, source.spread_array(), wcs, image, said, words)


def _counts(
    source: OfRegion, whole: tuple[int, ...]
) -> tuple[NDArray[np.int64], NDArray[np.float64], tuple[Any, Any]]:
    """Count the pixels of the region in each image; return their middle in the first that has some.

    And their rows and columns.
    """
    varying = [n if axis in source.varying else 1 for axis, n in enumerate(whole)]
    counts = np.zeros(varying, np.int64)
    found = None
    for at, where in source.groups([range(n) for n in varying]):
        rows, columns = source.members(at)
        counts[where] = len(rows)
        if found is None and len(rows):
            found = rows, columns
    if found is None:
        raise SelectionError(
            "light_curve: the region has no pixel of any image: expected one within the field, or "
            "larger than a pixel. ds.footprint() gives the edge of the field"
        )
    return counts, np.array([of.mean() for of in found]), found


def _member_pixels(image: Image, region: Any, ds: Sighted) -> Any:
    """Return a region that is given as pixels, as an array; None for one on the sky."""
    array = region
    if hasattr(region, "pixels") and hasattr(region, "wcs"):  # a dataset
        array = region.data
    if not hasattr(array, "dtype") or getattr(array, "dtype", None) != np.dtype(bool):
        if hasattr(region, "pixels") and hasattr(region, "wcs"):
            raise DatasetError(
                f"light_curve: the region is a dataset of {array.dtype}: expected true and false "
                "pixels, as in ds > 5 * u.ct"
            )
        return None
    shape = tuple(array.shape)
    if shape == image.shape:
        return np.asarray(array)
    if shape == ds.shape:
        return array
    raise DatasetError(
        f"light_curve: the region has true and false pixels of shape {shape}: expected that of an "
        f"image, {image.shape}, or of the dataset, {ds.shape}"
    )


def _positions(region: Any) -> Any:
    return region[0] if isinstance(region, tuple) and len(region) == 2 else region


def _read_region(
    image: Image, region: Any, epoch: Any
) -> tuple[NDArray[np.float64], float | None, str]:
    """Return corners, or a centre and a radius, in arcsec, and what it is."""
    from astropy.coordinates import BaseCoordinateFrame, SkyCoord

    is_circle = (
        isinstance(region, tuple)
        and len(region) == 2
        and isinstance(region[0], (SkyCoord, BaseCoordinateFrame))
        and not isinstance(region[1], (SkyCoord, BaseCoordinateFrame))
    )
    if is_circle:
        centre = read_points(_WHAT, SkyCoord(region[0]).ravel(), 1)
        if centre.size != 1:
            raise DatasetError(
                f"light_curve: found {centre.size} centres of a circle: expected (centre, radius)"
            )
        radius = read_angle(_WHAT, "radius", region[1])
        return sky_of_points(image, centre, epoch), radius, "circle"
    try:
        points = read_points(_WHAT, region, 2)
    except DatasetError as error:
        raise DatasetError(
            f"{error}. A region is two corners of a box, three or more of a polygon, a tuple of "
            "centre and radius, or an array of true and false pixels"
        ) from None
    sky = sky_of_points(image, points, epoch)
    return (box(sky), None, "box") if len(sky) == 2 else (sky, None, "polygon")

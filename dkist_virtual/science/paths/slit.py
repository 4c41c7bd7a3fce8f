"""Make the values along a path of a dataset: what is along it, in time or in wavelength."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from dkist_virtual.cube.screens import assume_screen, check_screen
from dkist_virtual.cube.selection import Selection
from dkist_virtual.errors import DatasetError, SelectionError
from dkist_virtual.science.paths.coordinates import make_path_wcs
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
from dkist_virtual.science.paths.polyline import Polyline, offsets
from dkist_virtual.science.paths.samples import HALF, AlongPath
from dkist_virtual.science.paths.turning import check_law, clock_of, epoch_of, turned
from dkist_virtual.science.sky_image import SkyPixels, mask_of

if TYPE_CHECKING:
    from astropy.wcs.wcsapi import BaseHighLevelWCS

    from dkist_virtual.science.paths.given import Sighted

__all__ = ["Averaged", "slit"]

_ORDERS: Final = ("linear", "nearest")


@dataclass(frozen=True, eq=False)
class Averaged:
    """What averages of the pixels of a dataset are.

    Parameters
    ----------
    pixels : lazy array
    mask : lazy array, numpy.ndarray or None
    spread : lazy array or None
        Standard deviations.
    wcs : WCS
    image : Image
        Of the dataset.
    said : dict
        What was done, in plain values.
    words : str
        The same in short.
    """

    pixels: Any
    mask: Any
    spread: Any
    wcs: BaseHighLevelWCS
    image: Image
    said: dict[str, Any]
    words: str


def slit(
    ds: Sighted,
    points: Any,
    *,
    width: Any,
    spacing: Any,
    order: Any,
    rotate: bool | str,
    screen: str | None,
) -> Averaged:
    """Average pixels across a path, at equal steps along it; reads no pixels.

    See `dkist_virtual.Dataset.slit`.
    """
    from dkist_virtual.cube.world_axes import World

    what = "slit"
    if order not in _ORDERS:
        raise DatasetError(
            f"slit: order={order!r}: expected one of {', '.join(map(repr, _ORDERS))}"
        )
    law = check_law(what, rotate)
    check_screen(what, screen)
    image = Image(World(ds.wcs, ds.shape), what)
    dtype = pixel_type(what, ds)
    points = read_points(what, points, 2)
    step = image.scale if spacing is None else read_angle(what, "spacing", spacing)
    wide = 0.0 if width is None else read_angle(what, "width", width)
    epoch = None if law is None else epoch_of(image, points)
    with assume_screen(what, screen, image.frame):
        sky = sky_of_points(image, points, epoch)
    try:
        path = Polyline.of(sky, step)
    except SelectionError as error:
        raise SelectionError(f"slit: {error}") from None
    across = offsets(wide, image.scale)
    samples, clock = path.samples(across), None
    along: tuple[int, ...] = ()
    middle = path.samples(np.zeros(1))[:, 0]
    stated = middle
    if law is not None and epoch is not None:
        clock = clock_of(image, epoch)
        along = clock.turning
        samples = turned(image, samples, epoch, clock, law)
        stated = turned(image, middle, epoch, clock, law)
    around = float(np.nanmedian(stated[..., 0])) if np.isfinite(stated).any() else 0.0
    places = image.plane(samples, around)
    whole = tuple(ds.shape[axis] for axis in image.carried)
    source = AlongPath(
        SkyPixels(ds.pixels, mask_of(ds), image.sky, image.moving), spread_of(what, ds),
        image.lattice(around), clock, Selection.whole((*whole, len(path.distance))), "pixels",
        dtype, (), places if clock is not None else places[None], order,
    )  # fmt: skip
    first = [0] * len(whole)
    taps = source.taps(first, np.arange(len(path.distance)))
    source = source.chunked(taps.row, taps.column, frame_axes(ds, image.carried))
    mask = _mask(source, whole)
    if clock is not None:
        sizes = tuple(whole[axis] for axis in along)
        stated = np.array(
            [clock.between(_placed(at, along, len(whole)), stated) for at in np.ndindex(sizes)]
        ).reshape(*sizes, *stated.shape[1:])
    pixels = source.pixels_of(first, np.arange(len(path.distance)))
    pixels = pixels[:, len(across) // 2]
    wcs = make_path_wcs(
        image, pixels.T, stated, along, path.distance, axis_names(ds, image.world, image.carried)
    )
    said = {
        "quantity": "{} along a path",
        "method": f"{order} interpolation" if order == "linear" else "nearest pixels",
        "points_arcsec": [[float(lon), float(lat)] for lon, lat in sky],
        "length_arcsec": path.length,
        "spacing_arcsec": step,
        "width_arcsec": wide,
        "samples_across": len(across),
        "rotation": law or "none: fixed on the sky",
    }
    if epoch is not None:
        said["epoch"] = str(epoch.isot)
    turns = "" if law is None else f", which turns with the Sun ({law})"
    words = f"averaged along a path of {path.length:.4g} arcsec{turns}"
    return Averaged(source.dask(), mask, source.spread_array(), wcs, image, said, words)


def _placed(at: tuple[int, ...], along: tuple[int, ...], n: int) -> list[int]:
    whole = [0] * n
    for axis, pixel in zip(along, at, strict=True):
        whole[axis] = pixel
    return whole


def _mask(source: AlongPath, whole: tuple[int, ...]) -> Any:
    """Return where there is no value: an array where the dataset has no mask, else a lazy one."""
    varying = [n if axis in source.varying else 1 for axis, n in enumerate(whole)]
    inside = np.zeros((*varying, source.places.shape[1]))
    for at, where in source.groups([range(n) for n in varying]):
        inside[where] = source.share_inside(at)
    if not inside.any():
        raise SelectionError(
            "slit: the path is outside of the field at all times: expected points within it. "
            "ds.footprint() gives the edge of the field"
        )
    if source.image.mask is not None:
        return source.mask_array()
    outside = inside < HALF
    return np.broadcast_to(outside, (*whole, outside.shape[-1])).copy() if outside.any() else None

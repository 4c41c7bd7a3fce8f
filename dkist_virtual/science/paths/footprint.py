"""Say where on the sky a dataset is: the edge of its field."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from dkist_virtual.cube.world_axes import World, wrap
from dkist_virtual.errors import SelectionError
from dkist_virtual.science.paths.image import Image

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dkist_virtual.science.paths.given import Sighted

__all__ = ["edge_of"]

_ON_A_SIDE: Final = 17


def edge_of(ds: Sighted, what: str) -> tuple[Image | None, World, NDArray[np.float64]]:
    """Return the edge of the field: longitude and latitude, arcsec, of positions along it.

    That of the outermost pixels, at the middle of its pointings, in a ring that is closed. Where
    the sky changes along a single axis, as along a slit, both of its ends and what is between.

    Raises
    ------
    SelectionError
        No two axes, or one, along which the sky changes.
    """
    world = World(ds.wcs, ds.shape)
    axes = sorted(
        {on for one in world.axes if one.kind in ("longitude", "latitude") for on in one.array_axes}
    )
    long = [axis for axis in axes if ds.shape[axis] > 1]
    if not long or world.frame is None:
        raise SelectionError(
            f"{what}: a selection of shape {ds.shape} has no extent on the sky: expected an image, "
            "a raster, or a slit"
        )
    try:
        image = Image(world, what)
    except SelectionError:
        return None, world, _line(world, axes, long[-1])
    around = world.middle_longitude()
    lattice = image.lattice(around * _to_arcsec(world))
    rows, columns = ((-0.5, n - 0.5) for n in image.shape)
    along = np.linspace(0, 1, _ON_A_SIDE)[:-1]
    corners = np.array(
        [(rows[0], columns[0]), (rows[0], columns[1]), (rows[1], columns[1]), (rows[1], columns[0])]
    )
    ends = np.roll(corners, -1, axis=0)
    ring = corners[:, None] * (1 - along[:, None]) + ends[:, None] * along[:, None]
    ring = np.concatenate([ring.reshape(-1, 2), corners[:1]])
    places = lattice.forward(image.pointings // 2, ring[:, 0], ring[:, 1]) * image.scale
    return image, world, places[:, ::-1]


def _to_arcsec(world: World) -> float:
    from astropy import units as u

    axis = world.of_kind("longitude")
    assert axis is not None
    return float(u.Unit(axis.unit).to(u.arcsec))


def _line(world: World, axes: list[int], axis: int) -> NDArray[np.float64]:
    from astropy import units as u

    at: list[Any] = [(n - 1) / 2 for n in world.shape]
    at[axis] = np.linspace(0, world.shape[axis] - 1, 2 * _ON_A_SIDE)
    for other in axes:
        if other != axis:
            at[other] = float(world.shape[other] // 2)
    values = world.values(*at)
    around = world.middle_longitude()
    found = []
    for kind in ("longitude", "latitude"):
        one = world.of_kind(kind)
        if one is None:
            raise SelectionError(f"footprint: the selection has no {kind} left")
        of = values[one.index]
        of = wrap(of, one.unit, around) if kind == "longitude" else of
        found.append(of * u.Unit(one.unit).to(u.arcsec))
    return np.stack(found, axis=-1)

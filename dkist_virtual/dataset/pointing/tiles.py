"""Correct the pointing of the tiles of a mosaic."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from dkist_virtual.dataset.pointing.shift import center_of, pointing_of
from dkist_virtual.errors import DatasetError

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

__all__ = ["pointing_of_tiles", "shift_tiles", "unshift_tiles"]


def pointing_of_tiles(mosaic: Any) -> NDArray[np.object_]:
    """Return the pointing of each tile, in an array like the grid."""
    found = np.full(mosaic.shape, None, object)
    for place in _places(mosaic):
        found[place] = pointing_of(mosaic[place])
    return found


def shift_tiles(mosaic: Any, dx: Any, dy: Any, *, rotation: Any, scale: Any, center: Any) -> Any:
    """Correct the pointing of all tiles, see `TiledDataset.shift`."""
    if center is None and (rotation is not None or scale is not None):
        from astropy import units as u

        centers = np.array([center_of(mosaic[place]) for place in _places(mosaic)])
        center = (centers.min(axis=0) + centers.max(axis=0)) / 2 * u.arcsec
    given = {"dx": dx, "dy": dy, "rotation": rotation, "scale": scale}
    return _each(
        mosaic,
        lambda tile, place: tile.shift(
            center=center,
            **{name: _of_tile(mosaic, value, place) for name, value in given.items()},
        ),
    )


def unshift_tiles(mosaic: Any) -> Any:
    """Make the mosaic without corrections of its pointing."""
    return _each(mosaic, lambda tile, _: tile.unshifted())


def _of_tile(mosaic: Any, value: Any, place: tuple[int, ...]) -> Any:
    """Return a value of a tile: that of its place, where there is one for each."""
    shape = getattr(value, "shape", None)
    return value[place] if shape == mosaic.shape and len(shape) else value


def _places(mosaic: Any) -> list[tuple[int, ...]]:
    return [tuple(place) for place in np.argwhere(~np.asarray(mosaic.mask)).tolist()]


def _each(mosaic: Any, change: Callable[[Any, tuple[int, ...]], Any]) -> Any:
    tiles = np.full(mosaic.shape, None, object)
    for place in _places(mosaic):
        try:
            tiles[place] = change(mosaic[place], place)
        except DatasetError as error:
            raise DatasetError(f"tile {list(place)}: {error}") from error
    return mosaic._part(tiles, mosaic._places)

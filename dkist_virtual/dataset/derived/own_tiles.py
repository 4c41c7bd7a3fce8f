"""Read what a user makes a mosaic of: tiles, mask, meta, inventory and headers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from astropy.table import Table

from dkist_virtual.dataset.derived.state import FrameCube
from dkist_virtual.dataset.provenance import LazyMeta, Meta
from dkist_virtual.errors import DatasetError
from dkist_virtual.store.format.header_table import same_cells

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = ["count_rows", "read_meta", "read_tiles", "table_equals"]


def read_tiles(
    given: ArrayLike | None, mask: ArrayLike | None
) -> tuple[NDArray[np.object_], NDArray[np.bool_]]:
    """Return the tiles as an array of objects, None where there is none, and which are hidden."""
    if given is None:
        raise TypeError("a mosaic is made of an array of datasets: TiledDataset(dataset_array)")
    tiles = np.array(np.ma.getdata(given) if np.ma.isMA(given) else given, object)
    hidden = np.zeros(tiles.shape, bool)
    if mask is not None:
        hidden |= _read_mask(mask, tiles.shape)
    if np.ma.isMA(given):
        tiles[np.ma.getmaskarray(given)] = None
    for place in np.ndindex(tiles.shape):
        tile = tiles[place]
        if tile is None or isinstance(tile, FrameCube):
            continue
        if not hidden[place]:
            raise DatasetError(
                f"tile {list(place)}: expected a dkist_virtual.Dataset, or None where there is no "
                f"tile, found {type(tile).__module__}.{type(tile).__name__}"
            )
        tiles[place] = None
    absent = np.array([tile is None for tile in tiles.flat], bool).reshape(tiles.shape)
    return tiles, hidden | absent


def _read_mask(mask: ArrayLike, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    hidden = np.asarray(mask, bool)
    if hidden.shape not in ((), shape):
        raise DatasetError(f"mask: expected the shape of the tiles, {shape}, found {hidden.shape}")
    return hidden


def read_meta(
    meta: Mapping[str, Any] | LazyMeta | None,
    inventory: Mapping[str, Any] | None,
    tiles: Sequence[FrameCube],
) -> Mapping[str, Any] | LazyMeta:
    """Return the meta of a mosaic, with the inventory that was given or that its tiles have."""
    if isinstance(meta, LazyMeta):
        return meta
    if inventory is None and meta is not None and "datasetId" in meta and "inventory" not in meta:
        meta, inventory = None, meta  # in the place where `dkist` takes an inventory
    if inventory is None and meta is None:
        inventory = _common_record(tiles)
    given: Mapping[str, Any] = {} if meta is None else meta
    if inventory is None or given.get("inventory") is not None:
        return given
    if isinstance(given, Meta):
        given = given.without_headers()
    return {**given, "inventory": inventory}


def _common_record(tiles: Sequence[FrameCube]) -> dict[str, Any] | None:
    """Return the inventory that all tiles have; those without one count for nothing."""
    records = [tile.inventory for tile in tiles if tile.inventory]
    for record in records:
        if record != records[0]:
            names = [str(one.get("datasetId")) for one in (records[0], record)]
            raise DatasetError(
                f"the tiles have different inventories, of {names[0]} and {names[1]}: "
                'meta={"inventory": ...} says which one is that of the mosaic'
            )
    return records[0] if records else None


def table_equals(given: object, own: Table | None) -> bool:
    """Return whether a header table has the columns and cells of another one."""
    if not isinstance(given, Table):
        return given is None
    if given is own:
        return True
    if own is None:
        return not len(given) and not given.colnames
    if set(given.colnames) != set(own.colnames) or len(given) != len(own):
        return False
    return all(same_cells(given[name], own[name]) for name in own.colnames)


def count_rows(tile: FrameCube) -> int:
    """Count the rows of a tile in `combined_headers`, and in `files` where it has some."""
    if tile.provenance is not None:
        return tile.provenance.n_frames
    headers = tile.headers
    return 0 if headers is None else len(headers)

"""Describe selections as the ``dataset.asdf`` of their store does: WCS, unit, mask and meta."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from dkist_virtual.cube.sliced_wcs import published_wcs
from dkist_virtual.cube.virtual_array import VirtualArray
from dkist_virtual.dataset.save.nodes import (
    check_meta,
    left_behind,
    of_member,
    whole_mask,
    without_headers,
    without_shared,
)
from dkist_virtual.errors import DatasetError, DKISTVirtualWarning
from dkist_virtual.store.format.dataset_asdf import Description, TileMeta, software
from dkist_virtual.text import utc_now

if TYPE_CHECKING:
    from dkist_virtual.dataset.dataset import Dataset
    from dkist_virtual.dataset.mosaic import TiledDataset
    from dkist_virtual.store.format.names import Place

__all__ = ["check_is_stored", "describe_dataset", "describe_mosaic"]


def check_is_stored(ds: Dataset) -> None:
    """Raise `DatasetError` unless the pixels are in frames."""
    if not isinstance(ds.pixels, VirtualArray) or ds.provenance is None:
        raise DatasetError(
            f"save: the pixels are computed from {ds.lineage.source}, and a store of references "
            "has no pixels of its own: expected a name that ends in .zarr, which keeps computed "
            "pixels"
        )


def describe_dataset(ds: Dataset) -> Description:
    """Describe a dataset, which becomes the only array of its store.

    Raises
    ------
    DatasetError
        A value of the meta cannot be written to ASDF.

    Warns
    -----
    DKISTVirtualWarning
        An uncertainty, a psf, or coordinates that were added, are left behind.
    """
    return _describe(ds.meta, None, (_tile(ds, None, None),), ds)


def describe_mosaic(mosaic: TiledDataset, tiles: Mapping[tuple[int, int], Dataset]) -> Description:
    """Describe the tiles of a mosaic, by their places.

    Errors and warnings are those of `describe_dataset`.
    """
    described = []
    for place, ds in tiles.items():
        with of_member(f"tile {list(place)}"):
            described.append(_tile(ds, place, mosaic.meta))
    grid = np.atleast_2d(mosaic.mask).shape
    first = next(iter(tiles.values()))
    return _describe(mosaic.meta, (int(grid[0]), int(grid[1])), tuple(described), first)


def _describe(
    meta: Any, grid: tuple[int, int] | None, tiles: tuple[TileMeta, ...], first: Dataset
) -> Description:
    plain = without_headers(meta)
    inventory, history = plain.pop("inventory", None), plain.pop("history", None)
    provenance = first.provenance
    assert provenance is not None
    # Not of this ASDF any more: an update would not find what it says.
    before = {
        key: value
        for key, value in provenance.description.origin.items()
        if key not in ("sha256", "expected")
    }
    now = utc_now()
    return Description(
        grid=grid,
        tiles=tiles,
        inventory=None if inventory is None else dict(inventory),
        meta=check_meta(plain),
        history=history or {},
        origin={**before, "read_by": software(), "saved": now},
    )


def _tile(ds: Dataset, place: Place, shared: Any) -> TileMeta:
    """Describe one dataset; of the meta of a tile what is not that of its mosaic."""
    if left := left_behind(ds):
        warnings.warn(
            f"save: {' and '.join(left)} of the dataset: a store of references has no place for "
            "it, and the saved dataset has none",
            DKISTVirtualWarning,
            stacklevel=2,
        )
    mask: Any = ds.mask
    if mask is not None and not isinstance(mask, bool):
        mask = whole_mask(mask, ds.shape)
    own: dict[str, Any] = {}
    if shared is not None:
        own = without_shared(without_headers(ds.meta), shared)
    # Corrections of pointing and wavelengths have a file of their own, and stay reversible.
    wcs = ds.unshifted().wcs if ds.pointing is not None else ds.wcs
    if ds.wavelength_scale is not None:
        wcs = ds.unshifted().uncalibrated().wcs
    return TileMeta(place, published_wcs(wcs), ds.unit, mask, check_meta(own))

"""Write the store of a dataset or mosaic."""

from __future__ import annotations

import os
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from dkist_virtual.conversion.references import check_form, write_references
from dkist_virtual.conversion.staging import build_store, place_for, refuse_existing
from dkist_virtual.cube.axis_tables import summarise
from dkist_virtual.dataset.dataset import Dataset
from dkist_virtual.dataset.mosaic import TiledDataset
from dkist_virtual.dataset.pointing.stores import corrections
from dkist_virtual.dataset.save.nodes import of_member
from dkist_virtual.dataset.save.store.arrays import SavedArray, references_to
from dkist_virtual.dataset.save.store.describe import (
    check_is_stored,
    describe_dataset,
    describe_mosaic,
)
from dkist_virtual.errors import DatasetError, HeaderWarning
from dkist_virtual.store.format.dataset_asdf import METADATA_NAME, write_description
from dkist_virtual.store.format.frame_index import COLUMNS
from dkist_virtual.store.format.header_table import HeaderTable
from dkist_virtual.store.format.headers import HEADERS_NAME, ROW_GROUP, write_headers
from dkist_virtual.store.format.names import array_name, identity_in
from dkist_virtual.store.pointing_json import write_pointing

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from astropy.table import Table

    from dkist_virtual.conversion.references import References
    from dkist_virtual.store.format.dataset_asdf import Description
    from dkist_virtual.store.format.references import ReferenceSet

__all__ = ["save_store"]


def save_store(
    dataset: Dataset | TiledDataset,
    place: str | os.PathLike[str],
    *,
    overwrite: bool = False,
    progress: bool = True,  # noqa: ARG001  # no pixels are written
    references: References = "auto",
    relative: bool = False,
) -> None:
    """Write a store of the frames of a selection, which opens as that selection.

    No pixel is read or copied: the references say where each frame is read now.

    Parameters
    ----------
    dataset : Dataset or TiledDataset
        Sliced or not. Not one that was computed: its pixels are in no files.
    place : path
        The directory to write. It appears under this name only once it is complete.
    overwrite : bool
        Whether to replace a store.
    progress : bool
        Nothing is shown: it takes no time.
    references : {"auto", "json", "parquet"}
        As in `dkist_virtual.convert`.
    relative : bool
        Whether to write the places of the frames relative to the store, as in
        `dkist_virtual.convert`.

    Raises
    ------
    StoreExistsError
        `place` exists; with `overwrite`, it is something else than a store.
    DatasetError
        The pixels are computed, or something that belongs to the dataset cannot be written.
    """
    check_form(references)
    target = place_for(place)
    refuse_existing(target, overwrite)
    if isinstance(dataset, TiledDataset):
        tiles = _tiles_of(dataset)
        for tile_place, tile in tiles.items():
            with of_member(f"tile {list(tile_place)}"):
                check_is_stored(tile)
        description = describe_mosaic(dataset, tiles)
        arrays = [SavedArray.of(tile, tile_place) for tile_place, tile in tiles.items()]
        table = dataset.combined_headers
        if table is not None and len(table) <= ROW_GROUP:
            table.columns  # noqa: B018  # stacks them at once, not one by one
    elif isinstance(dataset, Dataset):
        check_is_stored(dataset)
        description = describe_dataset(dataset)
        arrays = [SavedArray.of(dataset, None)]
        table = dataset.headers
    else:
        raise TypeError(f"save of a {type(dataset).__name__}: expected a Dataset or TiledDataset")
    present = [list(array.index) for array in arrays if isinstance(array.index, tuple)]
    grid = description.grid
    made = references_to(
        arrays,
        identity_in(description.inventory),
        {"tiles": None if grid is None else {"shape": list(grid), "present": present}},
        target if relative else None,
    )
    headers = HeaderTable() if table is None else table
    about = {"saved": made.attributes["store_id"]}
    tiles_of = [dataset] if isinstance(dataset, Dataset) else list(dataset.flat)
    beside = {
        array_name(array.index): (tile.shape, corrections(tile.pointing, tile.wavelength_scale))
        for array, tile in zip(arrays, tiles_of, strict=True)
    }
    pointing = {name: one for name, one in beside.items() if one[1]}
    with build_store(target, about, overwrite=overwrite) as build:

        def write(new: Path) -> None:
            _write(new, made, arrays, description, headers, references)
            if pointing:
                write_pointing(str(new), pointing)

        build.finish(write)


def _tiles_of(mosaic: TiledDataset) -> dict[tuple[int, int], Dataset]:
    """Give the tiles that are present, by their places in a grid of two axes."""
    mask = np.asarray(mosaic.mask)
    if mask.ndim > 2:
        raise DatasetError(f"save: a mosaic of {mask.shape} tiles: expected one or two axes")
    rows = np.argwhere(~np.atleast_2d(mask)).tolist()
    places = map(tuple, np.argwhere(~mask).tolist())
    return {(i, j): mosaic[place] for (i, j), place in zip(rows, places, strict=True)}


def _write(
    new: Path,
    references: ReferenceSet,
    arrays: Sequence[SavedArray],
    description: Description,
    headers: Table,
    form: References,
) -> None:
    """Write the files of a store into a directory."""
    rows = np.concatenate([array.scan.rows for array in arrays])
    ours: dict[str, Any] = {
        f"_{name}": rows[name] if name == "etag" else np.ma.masked_less(rows[name], 0)
        for name in COLUMNS
    }
    tiles = [
        np.full(
            array.metadata.n_frames,
            None if array.index is None else array_name(array.index).removeprefix("data_"),
            object,
        )
        for array in arrays
    ]
    ours["_tile"] = np.concatenate(tiles).astype(object)
    urls = [table.take(np.arange(len(table))).urls for _, table in references.arrays.values()]
    ours["_url"] = np.concatenate(urls)
    changed = write_headers(
        new / HEADERS_NAME, headers, ours, store_id=references.attributes["store_id"]
    )
    if changed:
        warnings.warn(
            f"header columns of mixed types are stored as strings: {', '.join(changed)}",
            HeaderWarning,
            stacklevel=2,
        )
    metadata = [about for about, _ in references.arrays.values()]
    write_description(description, new / METADATA_NAME, summarise(description, metadata))
    write_references(references, new, form)

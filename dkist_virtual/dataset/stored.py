"""Describe and download the dataset of a store without its WCS.

The packages that make a WCS take seconds to import. An overview needs none of it where the store
has a summary, and a download needs none of it anyway.
"""

from __future__ import annotations

import math
import os
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Self

from dkist_virtual.cube.selection import full_index, single_pixel_error
from dkist_virtual.dataset.files import Files
from dkist_virtual.dataset.overview import Overview
from dkist_virtual.errors import SelectionError
from dkist_virtual.io.locations import shown
from dkist_virtual.store.format.dataset_asdf import StoredDescription

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dkist_virtual.cube.selection import Index
    from dkist_virtual.cube.virtual_array import VirtualArray
    from dkist_virtual.datacenter.globus import Transfer
    from dkist_virtual.dataset.loader import Opened
    from dkist_virtual.dataset.provenance import Provenance
    from dkist_virtual.io.download.download import Downloaded
    from dkist_virtual.store.format.summary import Summary
    from dkist_virtual.store.handle import StoreHandle

__all__ = ["StoredDataset", "array_line", "stored_facts"]


@dataclass(frozen=True, eq=False)
class StoredDataset:
    """The dataset or mosaic of a store, as far as it is known without its WCS.

    Parameters
    ----------
    summary : Summary
    description : StoredDescription
        Which has not been parsed.
    sources : tuple of Provenance
        One; for a mosaic one per tile.
    """

    summary: Summary
    description: StoredDescription
    sources: tuple[Provenance, ...]

    @classmethod
    def of(cls, opened: Opened) -> Self | None:
        """Make it of an open store; None where a dataset has to be made to know as much."""
        description = opened.description
        if not isinstance(description, StoredDescription) or description.summary is None:
            return None
        sources = tuple(opened.provenances())
        if tuple(source.array.shape for source in sources) != description.summary.shapes:
            return None
        return cls(description.summary, description, sources)

    @property
    def names(self) -> dict[str, Any]:
        """The names of dataset and instrument, as the inventory has them."""
        return {
            "datasetId": self.summary.dataset_id,
            "instrumentName": self.summary.instrument,
        }

    @property
    def files(self) -> Files:
        """The files behind the selection, in a mosaic those of all tiles."""
        return Files(self.sources)

    def select(self, item: Index) -> Self:
        """Select from the dataset, or from every tile alike, as `Dataset` and `slice_tiles` do."""
        chosen = []
        for place, source in zip(self.description.indices, self.sources, strict=True):
            try:
                chosen.append(_select(source, item))
            except SelectionError as error:
                if place is None:
                    raise
                raise SelectionError(f"tile {list(place)}: {error}") from error
        return replace(self, sources=tuple(chosen))

    def download(self, path: str | os.PathLike[str], **options: Any) -> Downloaded | Transfer:
        """Download the frames of the selection, as `Dataset.download` does."""
        files = self.files
        if options.get("via") is not None:  # Globus asks for more than names
            files = replace(files, inventory=self.description.inventory)
        return files.download(path, **options)

    def overview(self) -> Overview:
        """Return the overview of the dataset as it was opened."""
        about, first = self.summary, self.sources[0].array
        shape = first.shape
        mosaic: dict[str, Any] = {}
        grid = self.description.grid
        if grid is not None:
            mosaic = {"grid": grid, "present": self.description.indices}
        return Overview(
            kind="Dataset" if grid is None else "TiledDataset",
            instrument=about.instrument,
            dataset_id=about.dataset_id,
            product_id=about.product_id,
            dtype=str(first.dtype),
            shape=shape,
            unit=about.unit,
            array=array_line(first),
            array_axes=tuple(zip(range(len(shape)), about.axis_names, shape, strict=True)),
            world_axes=tuple((axis, *text) for axis, text in enumerate(about.world_axes)),
            sky_axes=dict(about.sky_axes) or None,
            correlation=about.correlation,
            made_from=about.made_from,
            **stored_facts(self.sources),
            **mosaic,
        )


def _select(source: Provenance, item: Index) -> Provenance:
    selected = source.select(full_index(item, len(source.array.shape)))
    if not selected.array.shape:
        raise single_pixel_error(item)
    return selected


def stored_facts(sources: Sequence[Provenance]) -> dict[str, Any]:
    """Say for an overview where frames are, how many, and how large they are."""
    handles = list({id(source.array.handle): source.array.handle for source in sources}.values())
    handle, files = handles[0], Files(tuple(sources))
    # A mosaic made by hand may have tiles of several datasets, and a frame in several tiles.
    whole = _total(handles, "n_frames")
    is_part = whole is not None and whole > len(files)
    places = dict.fromkeys(place for one in handles for place in one.store.places.in_order)
    place, *further = map(shown, places)
    return {
        "n_frames": len(files),
        "n_bytes": files.nbytes,
        "total_frames": whole if is_part else None,
        "total_bytes": _total(handles, "n_bytes") if is_part else None,
        "place": place,
        "further_places": tuple(further),
        "store": None if handle.url is None or len(handles) > 1 else shown(handle.url),
        "missing": handle.options.missing,
    }


def _total(handles: Sequence[StoreHandle], name: str) -> int | None:
    """Add what the references of several stores say of their frames; None where one does not."""
    stated: list[Any] = [handle.store.references.attributes.get(name) for handle in handles]
    return None if None in stated else sum(stated)


def array_line(pixels: VirtualArray) -> str:
    """Describe the dask array of a selection in one line, without building a graph."""
    sizes = pixels.dask_chunks()
    n = math.prod(map(len, sizes))
    chunk = tuple(max(axis) for axis in sizes)
    return f"dask.array, shape {pixels.shape}, {pixels.dtype}, {n} chunk{'s' * (n > 1)} of {chunk}"

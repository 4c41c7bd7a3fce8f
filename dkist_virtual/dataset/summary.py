"""Fill in the overview of a dataset or mosaic, without reading a frame."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from dkist_virtual.cube.computed_array import Computed
from dkist_virtual.cube.world_axes import World
from dkist_virtual.dataset.overview import Overview, describe_wcs
from dkist_virtual.io.locations import shown

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Printed", "axis_names", "overview_of"]


class Printed:
    """What is printed as its overview, in a terminal and in a notebook."""

    def overview(self) -> Overview:
        """What is printed, as values."""
        raise NotImplementedError

    def __str__(self) -> str:
        return self.overview().text()

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>\n{self}"

    def _repr_html_(self) -> str:
        return self.overview().html()


def overview_of(
    ds: Any, kind: Literal["Dataset", "TiledDataset"], tiles: Sequence[Any], **mosaic: Any
) -> Overview:
    """The overview of a dataset, or of a mosaic by its first tile."""
    first = tiles[0]
    inventory = first.inventory or {}
    axes, worlds, correlation = describe_wcs(first.wcs, first.shape, axis_names(first))
    kinds = ("longitude", "latitude")
    every = World(first.wcs, first.shape).axes
    sky: dict[str, int] = {one.kind: one.index for one in every if one.kind in kinds}
    stored = all(tile._provenance is not None for tile in tiles)
    provenance = first._provenance if stored else None
    facts: dict[str, Any] = {}
    if provenance is not None:
        store = provenance.array.handle.store
        attributes = store.references.attributes
        origin = provenance.description.origin
        files = ds.files
        n_frames = len(files)
        url = provenance.array.handle.url
        whole = attributes.get("n_frames")
        facts = {
            "n_frames": n_frames,
            "n_bytes": files.nbytes,
            "total_frames": whole if whole != n_frames else None,
            "total_bytes": attributes.get("n_bytes") if whole != n_frames else None,
            "place": shown(files.places[0]),
            "further_places": tuple(map(shown, files.places[1:])),
            "store": None if url is None else shown(url),
            "made_from": (
                str(origin.get("asdf", "?")),
                origin.get("created"),
                origin.get("version"),
            ),
            "missing": provenance.array.handle.options.missing,
        }
    else:
        facts = {"computed_from": first._from}
    return Overview(
        kind=kind,
        instrument=inventory.get("instrumentName"),
        dataset_id=inventory.get("datasetId"),
        product_id=inventory.get("productId"),
        dtype=str(first._data.dtype),
        shape=first.shape,
        unit=None if first.unit is None else first.unit.to_string(),
        array=_array_line(first),
        array_axes=axes,
        world_axes=worlds,
        sky_axes=sky or None,
        correlation=correlation,
        **facts,
        **mosaic,
    )


def axis_names(ds: Any) -> list[str] | None:
    """The names of a dataset's axes, as they stand in its store; None where there are none."""
    if ds._origin is None:
        return None
    array = ds._origin.array
    names = array.metadata.attributes.get("axis_names", [])
    return [names[axis] for axis in array.selection.kept] if names else None


def _array_line(ds: Any) -> str:
    """A line about the data that builds no graph."""
    if isinstance(ds._data, Computed):
        return f"dask.array, shape {ds.shape}, {ds._data.dtype}, computed when it is asked for"
    if ds._provenance is None:
        kind = type(ds.data)
        name = f"{kind.__module__.partition('.')[0]}.{kind.__name__}"
        return f"{name}, shape {ds.shape}, {ds.data.dtype}"
    array = ds._provenance.array
    sizes = array.dask_chunks()
    n = int(np.prod([len(axis) for axis in sizes]))
    chunk = tuple(max(axis) for axis in sizes)
    return f"dask.array, shape {ds.shape}, {array.dtype}, {n} chunk{'s' * (n > 1)} of {chunk}"

"""Fill in the overview of a dataset or mosaic, without reading a frame."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Literal

from dkist_virtual.cube.computed_array import Computed
from dkist_virtual.cube.virtual_array import VirtualArray
from dkist_virtual.cube.world_axes import World
from dkist_virtual.dataset.files import Files
from dkist_virtual.dataset.overview import Overview, describe_wcs
from dkist_virtual.io.locations import shown

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dkist_virtual.dataset.derived.state import FrameCube

__all__ = ["axis_names", "overview_of"]


def overview_of(
    kind: Literal["Dataset", "TiledDataset"], tiles: Sequence[FrameCube], **mosaic: Any
) -> Overview:
    """Describe a dataset, or a mosaic by its first tile."""
    first = tiles[0]
    inventory = first.inventory or {}
    axes, worlds, correlation = describe_wcs(first.wcs, first.shape, axis_names(first))
    kinds = ("longitude", "latitude")
    every = World(first.wcs, first.shape).axes
    sky: dict[str, int] = {one.kind: one.index for one in every if one.kind in kinds}
    sources = [tile.provenance for tile in tiles if tile.lineage.is_stored]
    facts: dict[str, Any] = {"computed_from": first.lineage.source}
    if len(sources) == len(tiles) and (source := sources[0]) is not None:
        handle = source.array.handle
        attributes = handle.store.references.attributes
        origin = source.description.origin
        files = Files(tuple(filter(None, sources)))
        whole = attributes.get("n_frames")
        facts = {
            "n_frames": len(files),
            "n_bytes": files.nbytes,
            "total_frames": whole if whole != len(files) else None,
            "total_bytes": attributes.get("n_bytes") if whole != len(files) else None,
            "place": shown(files.places[0]),
            "further_places": tuple(map(shown, files.places[1:])),
            "store": None if handle.url is None else shown(handle.url),
            "made_from": (
                str(origin.get("asdf", "?")), origin.get("created"), origin.get("version"),
            ),
            "missing": handle.options.missing,
        }  # fmt: skip
    return Overview(
        kind=kind,
        instrument=inventory.get("instrumentName"),
        dataset_id=inventory.get("datasetId"),
        product_id=inventory.get("productId"),
        dtype=str(first.pixels.dtype),
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


def axis_names(ds: FrameCube) -> list[str] | None:
    """Return the names of a dataset's axes in its store; None where there are none."""
    if ds.provenance is None:
        return None
    array = ds.provenance.array
    names = array.metadata.attributes.get("axis_names", [])
    return [names[axis] for axis in array.selection.kept] if names else None


def _array_line(ds: FrameCube) -> str:
    """Describe the data in one line, without building a graph."""
    pixels = ds.pixels
    if isinstance(pixels, Computed):
        return f"dask.array, shape {ds.shape}, {pixels.dtype}, computed when it is asked for"
    if not isinstance(pixels, VirtualArray):
        kind = type(pixels)
        name = f"{kind.__module__.partition('.')[0]}.{kind.__name__}"
        return f"{name}, shape {ds.shape}, {pixels.dtype}"
    sizes = pixels.dask_chunks()
    n = math.prod(map(len, sizes))
    chunk = tuple(max(axis) for axis in sizes)
    return f"dask.array, shape {ds.shape}, {pixels.dtype}, {n} chunk{'s' * (n > 1)} of {chunk}"

"""Fill in the overview of a dataset or mosaic, without reading a frame."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from dkist_virtual.cube import axis_tables
from dkist_virtual.cube.axis_tables import describe_wcs, sky_axes
from dkist_virtual.cube.computed_array import Computed
from dkist_virtual.cube.dask_array import PushdownArray
from dkist_virtual.cube.pointing import Pointing
from dkist_virtual.cube.saved.zarr_array import ZarrArray
from dkist_virtual.cube.virtual_array import VirtualArray
from dkist_virtual.dataset.derived.lineage import quantity_of
from dkist_virtual.dataset.overview import Overview
from dkist_virtual.dataset.pointing.shift import pointing_of
from dkist_virtual.dataset.stored import array_line, pointing_lines, stored_facts
from dkist_virtual.dataset.wavelengths.calibrate import APPLIED_SCALE, scale_of
from dkist_virtual.store.format.dataset_asdf import made_from

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
    sources = [tile.provenance for tile in tiles if isinstance(tile.pixels, VirtualArray)]
    copied = "a copy of " * (isinstance(first.pixels, ZarrArray) and first.pixels.is_copy)
    facts: dict[str, Any] = {"computed_from": f"{copied}{first.lineage.source}"}
    if len(sources) == len(tiles) and (source := sources[0]) is not None:
        made = made_from(source.description.origin)
        facts = {"made_from": made, **stored_facts([*filter(None, sources)])}
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
        sky_axes=sky_axes(first.wcs, first.shape) or None,
        correlation=correlation,
        pointing=(*_applied(first), *pointing_lines([pointing_of(tile) for tile in tiles])),
        wavelengths=_scale(first),
        quantity=quantity_of(first.meta),
        **facts,
        **mosaic,
    )


def _scale(ds: FrameCube) -> str | None:
    """Describe the wavelength scale of a dataset, or one that the WCS has since it was saved."""
    scale = scale_of(ds)
    if scale is not None:
        return str(scale)
    applied = ds.meta.get(APPLIED_SCALE)
    source = applied.get("source") if isinstance(applied, dict) else None
    return None if source is None else f"calibrated before it was saved ({source})"


def _applied(ds: FrameCube) -> tuple[str, ...]:
    """Describe the corrections that the WCS has in it since the dataset was saved."""
    known = getattr(ds._opened_with, "applied", ())
    lines = (line for one in known for line in Pointing.from_document(one).lines())
    return tuple(f"{line} (before it was saved)" for line in lines)


def axis_names(ds: FrameCube) -> list[str] | None:
    """Return the names of a dataset's axes in its store; None where there are none."""
    if ds.provenance is None:
        return None
    array = ds.provenance.array
    return axis_tables.axis_names(array.metadata, array.selection)


def _array_line(ds: FrameCube) -> str:
    """Describe the data in one line, without building a graph."""
    pixels = ds.pixels
    if isinstance(pixels, Computed):
        return f"dask.array, shape {ds.shape}, {pixels.dtype}, computed when it is asked for"
    if not isinstance(pixels, VirtualArray | ZarrArray):
        kind = type(pixels)
        if isinstance(pixels, PushdownArray):
            return f"dask.array, shape {ds.shape}, {pixels.dtype}, computed when it is asked for"
        name = f"{kind.__module__.partition('.')[0]}.{kind.__name__}"
        return f"{name}, shape {ds.shape}, {pixels.dtype}"
    return array_line(pixels)

"""Describe the axes of an array and of its world as plain values, for an overview."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from dkist_virtual.store.format.dataset_asdf import made_from
from dkist_virtual.store.format.names import identity_in
from dkist_virtual.store.format.summary import Summary

if TYPE_CHECKING:
    from collections.abc import Sequence

    from astropy.wcs.wcsapi import BaseHighLevelWCS

    from dkist_virtual.cube.selection import Selection
    from dkist_virtual.protocols import LowLevelWCS
    from dkist_virtual.store.format.dataset_asdf import Description
    from dkist_virtual.store.format.references import ArrayMetadata

__all__ = ["ArrayAxis", "WorldAxis", "axis_names", "describe_wcs", "sky_axes", "summarise"]

ArrayAxis: TypeAlias = tuple[int, str, int]
"""Index in array order, name, number of pixels."""

WorldAxis: TypeAlias = tuple[int, str, str, str]
"""Index as in ``pixel_to_world_values``, name, physical type, unit; empty where there is none."""


def describe_wcs(
    wcs: BaseHighLevelWCS | LowLevelWCS,
    shape: Sequence[int],
    axis_names: Sequence[str | None] | None = None,
) -> tuple[tuple[ArrayAxis, ...], tuple[WorldAxis, ...], tuple[tuple[bool, ...], ...]]:
    """Describe the axes of an array, those of its world, and which of them belong together.

    Parameters
    ----------
    wcs : WCS
        Its pixel axes are the array's, reversed. Where it has more of them than the array, as
        that of a single frame has, the array's are the last ones in array order; where it has
        fewer, it describes the last ones of the array. Texts are empty where it has none.
    shape : sequence of int
        Of the array. The WCS's ``array_shape`` is not used: it can be transposed.
    axis_names : sequence of str or None, optional
        For each axis. By default, and where one is empty, the WCS's own, or ``axis_{n}``.
    """
    ndim = len(shape)
    if axis_names is not None and len(axis_names) != ndim:
        raise ValueError(f"axis_names has {len(axis_names)} entries: expected {ndim}, one an axis")
    low = getattr(wcs, "low_level_wcs", wcs)
    n_pixel = low.pixel_n_dim
    # The pixel axis of each array axis, counted from the last array axis; -1 where the WCS
    # reaches no further.
    pixel_axes = [ndim - 1 - axis if ndim - 1 - axis < n_pixel else -1 for axis in range(ndim)]
    own = [low.pixel_axis_names[pixel] if pixel >= 0 else "" for pixel in pixel_axes]
    given = [""] * ndim if axis_names is None else list(axis_names)
    array_axes = tuple(
        (axis, given[axis] or own[axis] or f"axis_{axis}", int(shape[axis])) for axis in range(ndim)
    )
    world_axes = tuple(
        (axis, str(name or ""), str(physical or ""), str(unit or ""))
        for axis, (name, physical, unit) in enumerate(
            zip(
                low.world_axis_names,
                low.world_axis_physical_types,
                low.world_axis_units,
                strict=True,
            )
        )
    )
    matrix = np.asarray(low.axis_correlation_matrix, dtype=bool)
    correlation = tuple(
        tuple(pixel >= 0 and bool(row[pixel]) for pixel in pixel_axes) for row in matrix
    )
    return array_axes, world_axes, correlation


def axis_names(metadata: ArrayMetadata, selection: Selection) -> list[str] | None:
    """Return the names of a selection's axes in the store; None where there are none."""
    names = metadata.attributes.get("axis_names", [])
    return [names[axis] for axis in selection.kept] if names else None


def sky_axes(wcs: BaseHighLevelWCS | LowLevelWCS, shape: Sequence[int]) -> dict[str, int]:
    """Return which axes of a world are longitude and latitude, by the coordinates in its WCS."""
    from dkist_virtual.cube.world_axes import World

    kinds = ("longitude", "latitude")
    return {axis.kind: axis.index for axis in World(wcs, shape).axes if axis.kind in kinds}


def summarise(description: Description, arrays: Sequence[ArrayMetadata]) -> Summary | None:
    """Make the summary of a description; None where it has no texts for what should be text."""
    from dkist_virtual.cube.virtual_array import opened_selection

    selections = [opened_selection(metadata) for metadata in arrays]
    shapes = tuple(selection.result_shape for selection in selections)
    tile = description.tiles[0]
    names = axis_names(arrays[0], selections[0])
    axes, world, correlation = describe_wcs(tile.wcs, shapes[0], names)
    about = {**description.meta, "inventory": description.inventory, **tile.meta}
    inventory = about["inventory"] or {}
    try:
        return Summary(
            instrument=inventory.get("instrumentName"),
            dataset_id=identity_in(inventory),
            product_id=inventory.get("productId"),
            unit=None if tile.unit is None else tile.unit.to_string(),
            made_from=made_from(description.origin),
            shapes=shapes,
            axis_names=tuple(name for _, name, _ in axes),
            world_axes=tuple(axis[1:] for axis in world),
            sky_axes=sky_axes(tile.wcs, shapes[0]),
            correlation=correlation,
        )
    except (AttributeError, ValueError):  # an inventory of other values
        return None

"""Index the arrays of an inversion along the axes that are aligned. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dkist_virtual.cube.selection import BasicIndex

__all__ = ["own_index", "remaining_axes", "shared_index"]


def own_index(ndim: int, axes: Sequence[int], index: BasicIndex) -> BasicIndex:
    """Index an array of which some axes are aligned, by an index of those."""
    own: list[int | slice] = [slice(None)] * ndim
    for axis, part in zip(axes, index, strict=True):
        own[axis] = part
    return tuple(own)


def remaining_axes(axes: Sequence[int], index: BasicIndex) -> tuple[int, ...]:
    """Number the aligned axes that an index leaves, among the axes that it leaves of the array."""
    gone = [axis for axis, part in zip(axes, index, strict=True) if isinstance(part, int)]
    return tuple(axis - sum(other < axis for other in gone) for axis in axes if axis not in gone)


def shared_index(here: Sequence[str], index: BasicIndex, there: Sequence[str]) -> BasicIndex:
    """Give what an index of axes selects along others of the same names; all along the rest."""
    named = {name: part for name, part in zip(here, index, strict=True) if name}
    return tuple(named.get(name, slice(None)) for name in there)

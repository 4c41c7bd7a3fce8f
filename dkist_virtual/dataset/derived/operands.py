"""Read the operands of arithmetic, and check that their shapes and axes go together."""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Number
from typing import TYPE_CHECKING, Any, TypeAlias

import astropy.units as u
import numpy as np
from astropy.nddata import NDData
from ndcube import NDCube

from dkist_virtual.cube.world_axes import World
from dkist_virtual.dataset.derived.frame_columns import column_name, read_column
from dkist_virtual.dataset.derived.state import FrameCube
from dkist_virtual.errors import DatasetError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from astropy.nddata import NDUncertainty

__all__ = ["Operand", "check_shapes", "read_operand"]


@dataclass(frozen=True, eq=False)
class Operand:
    """One of the values that are combined.

    Parameters
    ----------
    pixels : VirtualArray, Computed, dask or numpy array, or number
    unit : Unit or None
    mask : array, bool or None
    uncertainty : NDUncertainty or None
    cube : NDCube or None
        Where it is one.
    column : str or None
        The name of the table's column that it is.
    """

    pixels: Any  # or a number
    unit: u.UnitBase | None = None
    mask: Any = None
    uncertainty: NDUncertainty | None = None
    cube: NDCube | None = None
    column: str | None = None

    @property
    def label(self) -> str:
        """What it is, in words."""
        of = f"pixels of shape {np.shape(self.pixels)}" if np.ndim(self.pixels) else self.pixels
        return f"{of} without a unit" if self.unit is None else f"{of} in [{self.unit}]"


def read_operand(value: Any, of: FrameCube) -> Operand | None:
    """Read an operand of a dataset's arithmetic; None where it is none."""
    from dask.array import Array

    if (name := column_name(value)) is not None:
        values, unit, mask = read_column(of, value)
        return Operand(values, unit, mask, column=name)
    if isinstance(value, NDData):
        pixels = value.pixels if isinstance(value, FrameCube) else value.data
        cube = value if isinstance(value, NDCube) else None
        return Operand(pixels, value.unit, value.mask, value.uncertainty, cube)
    if isinstance(value, u.UnitBase):  # as astropy: changes no type
        return Operand(np.ones((), of.pixels.dtype)[()], value)
    if isinstance(value, (list, tuple)) or (isinstance(value, np.ndarray) and not value.ndim):
        value = np.asanyarray(value)[()]
    mask = getattr(value, "mask", None)
    if isinstance(value, np.ma.MaskedArray):
        return Operand(value.data, None, mask)
    value = getattr(value, "unmasked", value)  # astropy's Masked
    if isinstance(value, u.Quantity):
        return Operand(value.value, value.unit, mask)
    if isinstance(value, (np.ndarray, np.generic, Number, Array)):
        return Operand(value, None, mask)
    return None


def check_shapes(operands: Sequence[Operand]) -> FrameCube:
    """Return the dataset whose WCS the result has: the first one of its shape."""
    shapes = [np.shape(operand.pixels) for operand in operands]
    try:
        shape = np.broadcast_shapes(*shapes)
    except ValueError:
        raise DatasetError(f"{_shapes(shapes)} do not fit together. {_KEEP}") from None
    cubes = [operand.cube for operand in operands if operand.cube is not None]
    of_shape = [one for one in cubes if isinstance(one, FrameCube) and one.shape == shape]
    if not of_shape:
        raise DatasetError(
            f"{_shapes(shapes)} would give {shape}, and no dataset among them has a WCS for that. "
            f"{_KEEP} Without a WCS, dask computes with ds.data"
        )
    for other in cubes:
        if other is not of_shape[0]:
            _check_axes(of_shape[0], other)
    return of_shape[0]


_Place: TypeAlias = tuple[tuple[object, str], int]
"""References and name of a stored array, and its axis."""

_KEEP = "An axis of one pixel is stretched: keep it with a slice, as in ds / ds[:, 0:1]."


def _shapes(shapes: Sequence[tuple[int, ...]]) -> str:
    return " and ".join(map(str, shapes))


def _check_axes(cube: NDCube, other: NDCube) -> None:
    """Refuse to combine, say, wavelengths with positions along the slit."""
    mine, theirs = _axes(cube), _axes(other)
    for n in range(1, len(theirs) + 1):
        own, its = mine[-n], theirs[-n]
        if own[1] != its[1] or (own[0] != its[0] and own[0] and its[0] and own[0][0] == its[0][0]):
            raise DatasetError(
                f"axis {len(theirs) - n} of {other.shape}, {its[2]}, would be combined with axis "
                f"{len(mine) - n} of {cube.shape}, {own[2]}. {_KEEP} What "
                "other.to_nddata(wcs=None) gives is combined whatever its axes are"
            )


def _axes(cube: NDCube) -> list[tuple[_Place | None, frozenset[str], str]]:
    """Return for each array axis its place in the stored array, physical types and name.

    In slices of one dataset the place tells axes apart, in others the coordinates along them:
    labels are not the same in all datasets. A slice changes neither.
    """
    world = World(cube.wcs, cube.shape)
    places: list[_Place | None] = [None] * len(cube.shape)
    if isinstance(cube, FrameCube) and cube.provenance is not None:
        array = cube.provenance.array
        stored = (array.handle.store.references.identity, array.name)
        places = [(stored, axis) for axis in array.selection.kept]
    found = []
    for axis, place in enumerate(places):
        along = [one for one in world.axes if axis in one.array_axes]
        label = " and ".join(one.label for one in along) or "without coordinates"
        found.append((place, frozenset(one.physical_type for one in along), label))
    return found

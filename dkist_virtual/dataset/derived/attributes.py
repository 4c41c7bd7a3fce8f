"""What a dataset carries beside its pixels: mask, uncertainty and coordinates that its user set.

They are checked when they are set, and every dataset that is derived gets its own: what is written
to one does not change another.
"""

from __future__ import annotations

import copy
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

import numpy as np
from astropy.nddata import NDData
from ndcube import ExtraCoords, NDCube

from dkist_virtual.cube.computed_array import Computed
from dkist_virtual.errors import DatasetError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dkist_virtual.cube.selection import BasicIndex

__all__ = ["CheckedCube", "as_mask", "coordinates_of_own", "copied_mask"]


def as_mask(value: Any, shape: tuple[int, ...]) -> Any:
    """Check a mask, and return it as a bool, an array of bool of the data's shape, or None.

    Parameters
    ----------
    value : None, bool, array, NDData or dataset
        Of true and false pixels, such as ``ds > 5 * u.ct``; of a shape that broadcasts.
    shape : tuple of int

    Raises
    ------
    DatasetError
        Another shape, or pixels that are not true or false.
    """
    if value is None or isinstance(value, (bool, np.bool_)):
        return None if value is None else bool(value)
    if isinstance(value, NDData):
        value = value._data if isinstance(getattr(value, "_data", None), Computed) else value.data
    if not hasattr(value, "shape") or not hasattr(value, "dtype"):
        value = np.asarray(value)
    if value.dtype.kind not in "biu":
        raise DatasetError(
            f"mask: expected True where a pixel is masked and False elsewhere, found pixels of "
            f"{value.dtype}. A comparison gives such, as in ds.mask = ds > 5 * u.ct"
        )
    if value.dtype != bool:
        value = (value.dask() if isinstance(value, Computed) else value) != 0
    if value.shape == shape:
        return value
    try:
        np.broadcast_to(np.empty(value.shape, bool), shape)
    except ValueError:
        raise DatasetError(
            f"mask: expected the shape of the data, {shape}, or one that broadcasts to it, found "
            f"{value.shape}"
        ) from None
    if isinstance(value, Computed):
        value = value.dask()
    return np.broadcast_to(value, shape)


class CheckedCube(NDCube):  # type: ignore[misc]  # ndcube comes without types
    """An NDCube whose mask and uncertainty are checked when they are set."""

    _mask: Any
    _data: Any

    @property
    def mask(self) -> Any:
        """True where a pixel counts for nothing: a bool, an array of the data's shape, or None."""
        if isinstance(self._mask, Computed):
            self._mask = self._mask.dask()  # one array from now on: it may be written to
        return self._mask

    @mask.setter
    def mask(self, value: Any) -> None:
        self._mask = as_mask(value, tuple(self._data.shape))

    @property
    def uncertainty(self) -> Any:
        """The uncertainty of each pixel, as astropy has it, or None."""
        return NDData.uncertainty.fget(self)

    @uncertainty.setter
    def uncertainty(self, value: Any) -> None:
        array = getattr(value, "array", value)
        found, shape = np.shape(array), tuple(self._data.shape)
        if array is not None and found != shape:
            raise DatasetError(
                f"uncertainty: expected the shape of the data, {shape}, found {found}. "
                "np.broadcast_to(value, ds.shape) has that shape"
            )
        NDData.uncertainty.fset(self, value)

    def _mask_of(self, index: BasicIndex) -> Any:
        mask = self._mask
        if isinstance(mask, Computed):
            return mask.select(index)
        return mask if mask is None or isinstance(mask, bool) else mask[index]

    def _coordinates_from(
        self,
        other: NDCube,
        index: BasicIndex | None = None,
        sizes: Sequence[int] | None = None,
    ) -> None:
        """Take the coordinates of another cube along: all, those of a part of it, or of bins."""
        # ndcube copies no coordinates from cube to cube, so it takes its private names.
        own = OrderedDict(other.global_coords._internal_coords)
        self._global_coords._internal_coords = own
        coords = _copied(other.extra_coords)
        if index is not None and coords.keys():
            coords = other.extra_coords[index]
        if sizes is not None and coords.keys():
            # At the centre of each bin, as the WCS; ndcube's own are at its first pixel.
            middle = [(size - 1) / 2 for size in sizes]
            coords = other.extra_coords.resample(sizes, offset=middle)
        # ndcube forgets what earlier slices have left of a coordinate.
        dropped = [c for c in coords._dropped_tables if c not in other.extra_coords._dropped_tables]
        coords._dropped_tables = [*other.extra_coords._dropped_tables, *dropped]
        self._extra_coords = coords


def copied_mask(mask: Any) -> Any:
    """A mask of one's own, which is written to without changing another; views are read-only."""
    is_view = isinstance(mask, np.ndarray) and not mask.flags.writeable
    return mask if is_view else copy.copy(mask)


def _copied(coords: ExtraCoords) -> ExtraCoords:
    twin = ExtraCoords()
    twin._wcs, twin._mapping = coords._wcs, coords._mapping
    twin._lookup_tables = list(coords._lookup_tables)
    twin._dropped_tables = list(coords._dropped_tables)
    return twin


def coordinates_of_own(cube: NDCube) -> dict[str, tuple[str, Any]]:
    """The physical type and value of each coordinate of the whole cube that its user set.

    Those of the WCS are left out; extra coordinates are in here where a slice left one value.
    """
    # Not by `global_coords[name]`, which makes a SkyCoord of a longitude that is left alone: by
    # ndcube's private names.
    own = dict(cube.global_coords._internal_coords)
    dropped = cube.extra_coords.dropped_world_dimensions
    if "value" in dropped:
        own |= cube.global_coords._convert_dropped_to_internal(dropped)
    return {str(name): (str(kind), value) for name, (kind, value) in own.items()}

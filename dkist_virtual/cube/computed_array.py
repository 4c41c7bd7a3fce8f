"""Compute pixels from other arrays lazily: a slice of the result slices the operands.

dask reads whole chunks for a slice of a computed array. Here a cut-out of a quotient reads what the
same cut-out of its dataset would.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeAlias, TypeGuard

import astropy.units as u
import cloudpickle
import numpy as np

from dkist_virtual.cube.dask_array import PushdownArray
from dkist_virtual.cube.saved.zarr_array import ZarrArray
from dkist_virtual.cube.selection import BasicIndex, Index, Selection, full_index, operand_index
from dkist_virtual.cube.virtual_array import VirtualArray

if TYPE_CHECKING:
    from collections.abc import Sequence

    import dask.array
    from numpy.typing import DTypeLike, NDArray

__all__ = ["Computed", "PixelFunction", "Pixels", "compute", "is_source", "pack", "unpack"]

Pixels: TypeAlias = "VirtualArray | ZarrArray | Computed | dask.array.Array | NDArray[Any]"
"""Where the pixels of a dataset come from: frames, a saved cube, a computation, or an array."""

PixelFunction: TypeAlias = Callable[..., Any]
"""A function of arrays or Quantities, each pixel by itself, such as a ufunc."""

_DEEPEST: Final = 32
"""Operations on results of operations that are kept: those below are given to dask, as a sum over a
thousand slices would recurse too deep."""


@dataclass(frozen=True, eq=False)
class Computed:
    """An elementwise computation that is run when its pixels are read.

    Parameters
    ----------
    function : callable
        Such as a ufunc: takes the operands, those with a unit as Quantities.
    operands : tuple of VirtualArray, Computed, dask or numpy arrays, or numbers
        Of shapes that broadcast to `shape`.
    units : tuple of Unit or None
        Of the operands.
    shape : tuple of int
    dtype : numpy.dtype
    depth : int
        How deep computations of computations are nested.
    """

    function: PixelFunction
    operands: tuple[Pixels | complex, ...]
    units: tuple[u.UnitBase | None, ...]
    shape: tuple[int, ...]
    dtype: np.dtype
    depth: int

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    def __reduce__(self) -> tuple[Callable[..., Computed], tuple[Any, ...]]:
        about = (self.units, self.shape, self.dtype, self.depth)
        return _make, (pack(self.function), tuple(map(pack, self.operands)), *about)

    def select(self, item: Index) -> Computed:
        """Select, from all operands, without reading."""
        index = full_index(item, self.ndim)
        shape = Selection.whole(self.shape)[index].result_shape
        operands = tuple(self._select(operand, index) for operand in self.operands)
        return replace(self, operands=operands, shape=shape)

    def _select(self, operand: Any, index: BasicIndex) -> Pixels | complex:
        if np.ndim(operand) == 0:
            return operand  # type: ignore[no-any-return]  # a number, of Python's or numpy's
        own = operand_index(index, operand.shape, self.shape)
        selected: Pixels = operand.select(own) if is_source(operand) else operand[own]
        return selected

    def __getitem__(self, item: Index) -> NDArray[np.generic]:
        """Read and compute."""
        return np.asarray(self.select(item).dask())

    def __array__(
        self, dtype: DTypeLike | None = None, copy: bool | None = None
    ) -> NDArray[np.generic]:
        return np.asarray(self[...], dtype=dtype)

    def token(self) -> tuple[object, ...]:
        """Return what may change in the operands: see `VirtualArray.token`."""
        return tuple(operand.token() for operand in self.operands if is_source(operand))

    def dask(self) -> dask.array.Array:
        """Make a dask array of it, which reads in the chunks that its frames were opened with."""
        from dask.array.core import elemwise

        array: dask.array.Array = elemwise(
            partial(_call_with_units, self.function, self.units),
            *(_as_dask(operand) for operand in self.operands),
            dtype=self.dtype,
        )
        return array


@dataclass(frozen=True, slots=True)
class _Packed:
    """A value that cloudpickle pickles: a function of the user's, such as a lambda, is part of it.

    Parameters
    ----------
    value : object
    """

    value: object

    def __reduce__(self) -> tuple[Callable[[bytes], _Packed], tuple[bytes]]:
        return _load, (cloudpickle.dumps(self.value),)


def _load(data: bytes) -> _Packed:
    return _Packed(cloudpickle.loads(data))


def pack(value: object) -> object:
    """Pack a value for pickling, as dask does itself, where functions may be part of it."""
    from dask.array import Array

    if isinstance(value, PushdownArray) or not (callable(value) or isinstance(value, Array)):
        return value
    return _Packed(value)


def unpack(value: object) -> Any:
    """Return a value that may be packed as it was."""
    return value.value if isinstance(value, _Packed) else value


def _make(function: object, operands: tuple[object, ...], *about: Any) -> Computed:
    return Computed(unpack(function), tuple(map(unpack, operands)), *about)


def is_source(pixels: object) -> TypeGuard[VirtualArray | ZarrArray | Computed]:
    """Tell whether pixels are read later: a slice of them selects what is read."""
    return isinstance(pixels, (VirtualArray, ZarrArray, Computed))


def _as_dask(pixels: Any) -> Any:
    return pixels.dask() if is_source(pixels) else pixels


def _call_with_units(
    function: PixelFunction, units: tuple[u.UnitBase | None, ...], *arrays: Any
) -> Any:
    """Call a function with arrays as Quantities, and remove the unit of its result."""
    result = function(*map(_quantity, arrays, units))
    return result.value if isinstance(result, u.Quantity) else result


def _quantity(array: Any, unit: u.UnitBase | None) -> Any:
    # Of its own type, which astropy would make a float.
    if unit is None:
        return array
    return u.Quantity(np.asarray(array), unit, dtype=array.dtype, copy=False)


def compute(
    function: PixelFunction, pixels: Sequence[Any], units: Sequence[u.UnitBase | None]
) -> tuple[Computed, u.UnitBase | None]:
    """Make the lazy result of a function of pixels, and its unit, which a small sample gives."""
    with np.errstate(all="ignore"):
        sample = function(*map(_quantity, map(_sample, pixels), units))
    depth = 1 + max(p.depth if isinstance(p, Computed) else 0 for p in pixels)
    if depth > _DEEPEST:
        pixels, depth = [_as_dask(p) for p in pixels], 1
    shape = np.broadcast_shapes(*(np.shape(p) for p in pixels))
    computed = Computed(function, tuple(pixels), tuple(units), shape, sample.dtype, depth)
    return computed, getattr(sample, "unit", None)


def _sample(pixels: Any) -> Any:
    """Return a number as it is, and for an array a small one of its type.

    Its values differ, so that an exponent that is not known yet cannot be that of a unit.
    """
    if np.isscalar(pixels):
        return pixels
    shape = (2,) * max(np.ndim(pixels), 1)
    return np.arange(1, 1 + math.prod(shape)).reshape(shape).astype(pixels.dtype)

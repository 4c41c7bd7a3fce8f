"""Compute pixels from other arrays lazily: a slice of the result slices the operands.

dask reads whole chunks for a slice of what was computed. Here a cut-out of a quotient reads what
the same cut-out of its dataset would.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import astropy.units as u
import cloudpickle
import numpy as np

from dkist_virtual.cube.dask_array import LeafArray
from dkist_virtual.cube.selection import Selection, full_index
from dkist_virtual.cube.virtual_array import VirtualArray

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = ["Computed", "compute", "landed", "travelling"]

_DEEPEST: Final = 32
"""So many operations upon each other are remembered; a sum over a thousand slices would recurse
too deep, so that what lies below is handed to dask."""


@dataclass(frozen=True, eq=False)
class Computed:
    """Pixels that are computed from others, each by itself, when they are asked for.

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
        How many operations lie upon each other.
    """

    function: Callable[..., Any]
    operands: tuple[Any, ...]
    units: tuple[Any, ...]
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    depth: int

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    def __reduce__(self) -> tuple[Any, ...]:
        operands = tuple(p if _is_source(p) else travelling(p) for p in self.operands)
        about = (self.units, self.shape, self.dtype, self.depth)
        return _computed, (travelling(self.function), operands, *about)

    def select(self, item: Any) -> Computed:
        """Select, from all operands, without reading."""
        index = full_index(item, self.ndim)
        shape = Selection.whole(self.shape)[index].result_shape
        operands = tuple(self._select(operand, index) for operand in self.operands)
        return replace(self, operands=operands, shape=shape)

    def _select(self, operand: Any, index: Sequence[int | slice]) -> Any:
        ndim = np.ndim(operand)
        if ndim == 0:
            return operand
        own = tuple(
            entry if n == whole else (slice(None) if isinstance(entry, slice) else 0)
            for entry, n, whole in zip(
                index[-ndim:], operand.shape, self.shape[-ndim:], strict=True
            )  # an axis of one pixel that is stretched is as good for any other
        )
        return operand.select(own) if _is_source(operand) else operand[own]

    def __getitem__(self, item: Any) -> NDArray[np.generic]:
        """Read and compute."""
        return np.asarray(self.select(item).dask())

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[np.generic]:
        return np.asarray(self[...], dtype=dtype)

    def token(self) -> tuple[Any, ...]:
        """What may change about what it is computed from: see `VirtualArray.token`."""
        return tuple(operand.token() for operand in self.operands if _is_source(operand))

    def dask(self) -> Any:
        """The pixels as a dask array, what is read in the chunks that it was opened with."""
        from dask.array.core import elemwise

        return elemwise(  # type: ignore[no-untyped-call]
            partial(_with_units, self.function, self.units),
            *(as_dask(operand) for operand in self.operands),
            dtype=self.dtype,
        )


@dataclass(frozen=True, slots=True)
class Travelling:
    """A value that pickles though a function of the user's own, such as a lambda, is part of it.

    Parameters
    ----------
    value : object
    """

    value: Any

    def __reduce__(self) -> tuple[Any, ...]:
        return _landed, (cloudpickle.dumps(self.value),)


def _landed(data: bytes) -> Travelling:
    return Travelling(cloudpickle.loads(data))


def travelling(value: Any) -> Any:
    """A value as it is pickled: what functions may be part of, as dask itself sends it."""
    from dask.array import Array

    if isinstance(value, LeafArray) or not (callable(value) or isinstance(value, Array)):
        return value
    return Travelling(value)


def landed(value: Any) -> Any:
    """The value again."""
    return value.value if isinstance(value, Travelling) else value


def _computed(function: Any, operands: tuple[Any, ...], *about: Any) -> Computed:
    return Computed(landed(function), tuple(map(landed, operands)), *about)


def _is_source(pixels: Any) -> bool:
    return isinstance(pixels, (VirtualArray, Computed))


def as_dask(pixels: Any) -> Any:
    return pixels.dask() if _is_source(pixels) else pixels


def _with_units(function: Callable[..., Any], units: tuple[Any, ...], *arrays: Any) -> Any:
    """Call a function with arrays as Quantities, and take the unit off what it gives."""
    result = function(*map(_quantity, arrays, units))
    return result.value if isinstance(result, u.Quantity) else result


def _quantity(array: Any, unit: Any) -> Any:
    # Of its own type, which astropy would make a float.
    if unit is None:
        return array
    return u.Quantity(np.asarray(array), unit, dtype=array.dtype, copy=False)


def compute(
    function: Callable[..., Any], pixels: Sequence[Any], units: Sequence[Any]
) -> tuple[Any, Any]:
    """What a function makes of some pixels, and its unit: astropy's rules, tried on a sample."""
    with np.errstate(all="ignore"):
        sample = function(*map(_quantity, map(_sample, pixels), units))
    depth = 1 + max(p.depth if isinstance(p, Computed) else 0 for p in pixels)
    if depth > _DEEPEST:
        pixels, depth = [as_dask(p) for p in pixels], 1
    shape = np.broadcast_shapes(*(np.shape(p) for p in pixels))
    computed = Computed(function, tuple(pixels), tuple(units), shape, sample.dtype, depth)
    return computed, getattr(sample, "unit", None)


def _sample(pixels: Any) -> Any:
    """A number as it is; of an array a small one of its type.

    Its values differ, so that an exponent that is not known yet is no exponent of a unit.
    """
    if np.isscalar(pixels):
        return pixels
    shape = (2,) * max(np.ndim(pixels), 1)
    return np.arange(1, 1 + math.prod(shape)).reshape(shape).astype(pixels.dtype)

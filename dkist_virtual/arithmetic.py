"""Arithmetic with units, binning and reprojection: what they make of pixels, WCS and masks."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from numbers import Number
from typing import TYPE_CHECKING, Any, Final

import astropy.units as u
import numpy as np
from astropy.nddata import NDData, StdDevUncertainty
from ndcube import NDCube

from dkist_virtual.computed import compute
from dkist_virtual.errors import DatasetError, DKISTVirtualWarning
from dkist_virtual.keywords import check_keywords
from dkist_virtual.world import World

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["LazyCube"]


# Operands -----------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class _Operand:
    pixels: Any
    unit: Any = None
    mask: Any = None
    uncertainty: Any = None
    cube: NDCube | None = None

    @property
    def label(self) -> str:
        of = f"pixels of shape {np.shape(self.pixels)}" if np.ndim(self.pixels) else self.pixels
        return f"{of} without a unit" if self.unit is None else f"{of} in [{self.unit}]"


def _operand(value: Any, dtype: Any) -> _Operand | None:
    """What a dataset can be combined with; None where it cannot."""
    from dask.array import Array

    if isinstance(value, NDData):
        pixels = value._data if isinstance(value, LazyCube) else value.data
        cube = value if isinstance(value, NDCube) else None
        return _Operand(pixels, value.unit, value.mask, value.uncertainty, cube)
    if isinstance(value, u.UnitBase):  # as astropy: changes no type
        return _Operand(np.ones((), dtype)[()], value)
    if isinstance(value, (list, tuple)) or (isinstance(value, np.ndarray) and not value.ndim):
        value = np.asanyarray(value)[()]
    mask = getattr(value, "mask", None)
    if isinstance(value, np.ma.MaskedArray):
        return _Operand(value.data, None, mask)
    value = getattr(value, "unmasked", value)  # astropy's Masked
    if isinstance(value, u.Quantity):
        return _Operand(value.value, value.unit, mask)
    if isinstance(value, (np.ndarray, np.generic, Number, Array)):
        return _Operand(value, None, mask)
    return None


def _check_shapes(operands: Sequence[_Operand]) -> LazyCube:
    """The dataset whose WCS is the result's: the first one of its shape."""
    shapes = [np.shape(operand.pixels) for operand in operands]
    try:
        shape = np.broadcast_shapes(*shapes)
    except ValueError:
        raise DatasetError(f"{_shapes(shapes)} do not fit together. {_KEEP}") from None
    cubes = [operand.cube for operand in operands if operand.cube is not None]
    of_shape = [one for one in cubes if isinstance(one, LazyCube) and one.shape == shape]
    if not of_shape:
        raise DatasetError(
            f"{_shapes(shapes)} would give {shape}, and no dataset among them has a WCS for that. "
            f"{_KEEP} Without a WCS, dask computes with ds.data"
        )
    for other in cubes:
        if other is not of_shape[0]:
            _check_axes(of_shape[0], other)
    return of_shape[0]


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


def _axes(cube: NDCube) -> list[tuple[Any, frozenset[str], str]]:
    """Of each array axis where it lies in the stored array, its physical types and its name.

    Of two slices of one dataset the place tells axes apart, of others what changes along them:
    labels are not the same in all datasets. A slice changes neither.
    """
    world = World(cube.wcs, cube.shape)
    origin = getattr(cube, "_origin", None)
    places: list[Any] = [None] * len(cube.shape)
    if origin is not None:
        array = origin.array
        stored = (array.handle.store.references.identity, array.name)
        places = [(stored, axis) for axis in array.selection.kept]
    found = []
    for axis, place in enumerate(places):
        along = [one for one in world.axes if axis in one.array_axes]
        label = " and ".join(one.label for one in along) or "without coordinates"
        found.append((place, frozenset(one.physical_type for one in along), label))
    return found


# Masks and uncertainties --------------------------------------------------------------------


def _masks(operands: Sequence[_Operand], shape: tuple[int, ...]) -> Any:
    """Masked is what is masked in any operand."""
    masks = [operand.mask for operand in operands if operand.mask is not None]
    if not masks:
        return None
    mask = masks[0]
    for other in masks[1:]:
        mask = mask | other
    return mask if np.shape(mask) in ((), shape) else np.broadcast_to(mask, shape)


def _add_spread(_a: Any, _b: Any, of_a: Any, of_b: Any) -> Any:
    return np.hypot(of_a, of_b)


def _multiply_spread(a: Any, b: Any, of_a: Any, of_b: Any) -> Any:
    return np.hypot(of_a * b, a * of_b)


def _divide_spread(a: Any, b: Any, of_a: Any, of_b: Any) -> Any:
    return np.hypot(of_a / b, a * of_b / b**2)


def _same_spread(_a: Any, of_a: Any) -> Any:
    return +of_a


_SPREADS: Final[dict[Any, Callable[..., Any]]] = {
    np.add: _add_spread,
    np.subtract: _add_spread,
    np.multiply: _multiply_spread,
    np.true_divide: _divide_spread,
    np.negative: _same_spread,
    np.positive: _same_spread,
    np.absolute: _same_spread,
}


def _deviation(uncertainty: Any) -> Any:
    if uncertainty is None or isinstance(uncertainty, StdDevUncertainty):
        return uncertainty
    return uncertainty.represent_as(StdDevUncertainty)


def _uncertainty(
    name: str, spread: Callable[..., Any] | None, operands: Sequence[_Operand]
) -> StdDevUncertainty | None:
    """The standard deviation of the result, the operands' being independent of each other."""
    if all(operand.uncertainty is None for operand in operands):
        return None
    try:
        known = [_deviation(operand.uncertainty) for operand in operands]
    except TypeError:  # astropy's for an uncertainty of unknown kind
        spread = None
    if spread is None:
        warnings.warn(
            f"{name}: what it makes of these uncertainties is not known here; the result has none",
            DKISTVirtualWarning,
            stacklevel=4,
        )
        return None
    pixels, units = [o.pixels for o in operands], [o.unit for o in operands]
    for operand, one in zip(operands, known, strict=True):
        pixels.append(np.float32(0) if one is None else one.array)
        units.append(operand.unit if one is None or one.unit is None else one.unit)
    computed, unit = compute(spread, pixels, units)
    return StdDevUncertainty(computed.dask(), unit=unit, copy=False)


# Cubes --------------------------------------------------------------------------------------


def _operator(function: np.ufunc, *, reflected: bool = False) -> Callable[[Any, Any], Any]:
    def method(self: LazyCube, other: Any) -> Any:
        return self._combine(function, (other, self) if reflected else (self, other))

    return method


def _unary(function: np.ufunc) -> Callable[[Any], Any]:
    return lambda self: self._combine(function, (self,))


def _converted(quantity: Any, unit: Any, equivalencies: Any) -> Any:
    return quantity.to(unit, equivalencies)


def _converted_spread(_a: Any, of_a: Any, unit: Any) -> Any:
    return of_a.to(unit)


class LazyCube(NDCube):  # type: ignore[misc]  # ndcube comes without types
    """An NDCube whose arithmetic reads nothing, and computes what numpy and astropy would.

    Operands are numbers, Quantities, arrays, NDData and other cubes, of shapes that numpy
    broadcasts to that of a dataset among them. The result has the WCS, meta and headers of the
    first dataset that has its shape.
    """

    __add__, __radd__ = _operator(np.add), _operator(np.add, reflected=True)
    __sub__, __rsub__ = _operator(np.subtract), _operator(np.subtract, reflected=True)
    __mul__, __rmul__ = _operator(np.multiply), _operator(np.multiply, reflected=True)
    __truediv__ = _operator(np.true_divide)
    __rtruediv__ = _operator(np.true_divide, reflected=True)
    __floordiv__ = _operator(np.floor_divide)
    __rfloordiv__ = _operator(np.floor_divide, reflected=True)
    __mod__, __rmod__ = _operator(np.remainder), _operator(np.remainder, reflected=True)
    __pow__, __rpow__ = _operator(np.power), _operator(np.power, reflected=True)
    __neg__, __pos__, __abs__ = _unary(np.negative), _unary(np.positive), _unary(np.absolute)

    # Of one type for each pixel: == stays ndcube's, whether this is the same object.
    __lt__, __le__ = _operator(np.less), _operator(np.less_equal)
    __gt__, __ge__ = _operator(np.greater), _operator(np.greater_equal)

    def __bool__(self) -> bool:
        if self._data.dtype == bool:
            raise ValueError(
                "a dataset of true and false pixels is neither: ds.data.any() and ds.data.all() "
                "are, once computed"
            )
        return True

    def __array_ufunc__(self, function: np.ufunc, method: str, *inputs: Any, **options: Any) -> Any:
        if method != "__call__" or options or function.nout > 1 or function.signature:
            how = "" if method == "__call__" else f".{method}"
            given = f" with {', '.join(options)}=" if options else ""
            raise TypeError(
                f"np.{function.__name__}{how} of a dataset{given}: what gives one value for each "
                "pixel, without options, gives a dataset. ds.data is a dask array that numpy's "
                "functions take"
            )
        return self._combine(function, inputs)

    def __array_function__(self, function: Any, *_: Any) -> Any:
        # numpy would take a dataset for a single object, and np.mean(ds) be ds.
        raise TypeError(
            f"np.{function.__name__} of a dataset: ds.data is a dask array that numpy's functions "
            "take; ds.rebin gives a dataset of means"
        )

    def _combine(self, function: np.ufunc, values: Sequence[Any]) -> Any:
        found = [_operand(value, self._data.dtype) for value in values]
        operands = [operand for operand in found if operand is not None]
        if len(operands) < len(found):
            return NotImplemented
        cube = _check_shapes(operands)
        units = [operand.unit for operand in operands]
        try:
            pixels, unit = compute(function, [operand.pixels for operand in operands], units)
        except u.UnitsError as error:
            raise type(error)(
                f"np.{function.__name__} of {' and '.join(o.label for o in operands)}: "
                f"{str(error).rstrip('.')}. Numbers get a unit as in 5 * u.ct, datasets another "
                "one by ds.to(unit), arrays of dask by NDData(array, unit=...)"
            ) from None
        return cube._new_instance(
            data=pixels,
            unit=unit,
            mask=_masks(operands, cube.shape),
            uncertainty=_uncertainty(f"np.{function.__name__}", _SPREADS.get(function), operands),
        )

    def to(self, new_unit: Any, equivalencies: Any = ()) -> Any:
        """Convert to another unit; reads nothing.

        Parameters
        ----------
        new_unit : Unit or str
        equivalencies : list
            As `astropy.units.Quantity.to` takes them.

        Raises
        ------
        DatasetError
            The pixels have no unit.
        astropy.units.UnitConversionError
        """
        if self.unit is None:
            raise DatasetError(f"to {new_unit}: the pixels have no unit. ds * u.ct gives them one")
        convert = partial(_converted, unit=u.Unit(new_unit), equivalencies=equivalencies)
        pixels, unit = compute(convert, [self._data], [self.unit])
        spread = None if equivalencies else partial(_converted_spread, unit=unit)
        own = _Operand(self._data, self.unit, uncertainty=self.uncertainty)
        return self._new_instance(
            data=pixels, unit=unit, uncertainty=_uncertainty("to", spread, [own])
        )

    def rebin(self, bin_shape: Any, operation: Callable[..., Any] = np.mean, **options: Any) -> Any:
        """Make one pixel of several neighbours; reads nothing.

        Parameters
        ----------
        bin_shape : sequence of int
            Pixels that become one, for each axis; a divisor of its length, or -1 for all of it.
        operation : callable
            Such as `numpy.mean`, `numpy.sum`, `numpy.median`, or a function of your own that takes
            an array and ``axis=``, a tuple, and is given numpy arrays.
        **options
            As `ndcube.NDCube.rebin` takes them: operation_ignores_mask, handle_mask,
            propagate_uncertainties, new_unit; and what a propagate_uncertainties takes.

        Returns
        -------
        Dataset
            Whose WCS is right at the centre of each bin. It has no headers: none of them is that
            of a pixel any more.

        Raises
        ------
        DatasetError
            Bins that do not fit, or that would add Stokes parameters to each other.
        """
        propagate = options.get("propagate_uncertainties", False)
        if not callable(propagate):
            # With them ndcube calls a function; without, it ignores what it does not know.
            of_its_own = ("propagation_operation", "correlation") if propagate else ()
            check_keywords("rebin", options, (*_REBIN, *of_its_own))
        sizes = self._bins(bin_shape)
        # Of a WCS with more axes than the data, a slice has only the data's.
        binned = super(LazyCube, self[...]).rebin(sizes, _lazily(operation), **options)
        if binned.shape == self.shape:
            return self
        binned._data = _without_mask(binned._data)
        binned._past = f"{self._from}, binned by {sizes}"
        return binned

    def _bins(self, bin_shape: Any) -> tuple[int, ...]:
        if isinstance(bin_shape, u.Quantity):
            bin_shape = bin_shape.to_value(u.pixel)
        given = np.asarray(bin_shape)
        if given.shape != (len(self.shape),) or not np.array_equal(given, np.rint(given)):
            raise DatasetError(
                f"bin_shape {bin_shape!r}: expected a whole number for each of the "
                f"{len(self.shape)} axes of {self.shape}"
            )
        sizes = tuple(
            n if size == -1 else int(size) for size, n in zip(given, self.shape, strict=True)
        )
        stokes = World(self.wcs, self.shape).of_kind("stokes")
        for axis, (size, n) in enumerate(zip(sizes, self.shape, strict=True)):
            if size < 1 or n % size:
                raise DatasetError(
                    f"bin_shape {sizes}: {size} does not divide the {n} pixels of axis {axis}. "
                    f"ds[...] can leave some of them out"
                )
            if size > 1 and stokes is not None and axis in stokes.array_axes:
                raise DatasetError(
                    f"bin_shape {sizes}: axis {axis} is {stokes.label}, and what its pixels have "
                    "in common is no Stokes parameter. ds.data is a dask array that numpy's "
                    "functions take"
                )
        return sizes

    def reproject_to(self, target_wcs: Any, *args: Any, **options: Any) -> Any:
        """Reproject, as `ndcube.NDCube.reproject_to` does; reads the frames.

        The result has no headers: none of them is that of a pixel any more.
        """
        algorithm = options.get("algorithm", args[0] if args else "interpolation")
        check_keywords("reproject_to", options, _reprojecting(algorithm))
        result = super().reproject_to(target_wcs, *args, **options)
        cube = result[0] if isinstance(result, tuple) else result
        cube._unit = self.unit  # which ndcube forgets
        cube._past = f"{self._from}, reprojected"
        return result


_REBIN: Final = (
    "operation_ignores_mask", "handle_mask", "propagate_uncertainties", "new_unit",
)  # fmt: skip


def _reprojecting(algorithm: str) -> Iterable[str]:
    """The keywords of `reproject_to` with one of reproject's functions."""
    import inspect
    from importlib import import_module

    function = {"adaptive": "reproject_adaptive", "exact": "reproject_exact"}.get(
        algorithm, "reproject_interp"
    )
    known = inspect.signature(getattr(import_module("reproject"), function)).parameters
    return {"algorithm", *known} - {"input_data", "output_projection"}


def _lazily(operation: Callable[..., Any]) -> Callable[..., Any]:
    """A function of bins that computes nothing: numpy's own are dask's, which adds as it goes."""
    import dask.array as da

    name = getattr(operation, "__name__", "")
    known = hasattr(da, name) and getattr(np, name, None) is operation
    return operation if known else partial(_in_whole_bins, operation)


def _in_whole_bins(operation: Callable[..., Any], array: Any, axis: tuple[int, ...]) -> Any:
    if isinstance(array, np.ndarray):
        return operation(array, axis=axis)
    whole = array.rechunk(dict.fromkeys(axis, -1))
    dtype = operation(np.ones((1,) * array.ndim, array.dtype), axis=axis).dtype
    return whole.map_blocks(operation, axis=axis, drop_axis=axis, dtype=dtype)


def _without_mask(array: Any) -> Any:
    import dask.array as da

    masked = isinstance(getattr(array, "_meta", None), np.ma.MaskedArray)
    return da.ma.getdata(array) if masked else array

"""Do arithmetic with units, binning and reprojection on pixels, WCS and masks."""

from __future__ import annotations

import copy
import inspect
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from numbers import Number
from typing import TYPE_CHECKING, Any, Final, Self, TypeAlias

import astropy.units as u
import numpy as np
from astropy.nddata import NDData, StdDevUncertainty
from ndcube import NDCube, NDCubeSequence

from dkist_virtual.cube.computed_array import compute
from dkist_virtual.cube.selection import Selection
from dkist_virtual.cube.world_axes import World
from dkist_virtual.dataset.derived.lineage import Part, join
from dkist_virtual.dataset.derived.own_data import describe_misfit, read_own_data
from dkist_virtual.dataset.derived.regrid import RegriddedCube
from dkist_virtual.dataset.derived.state import Mask, copy_mask
from dkist_virtual.errors import DatasetError, DKISTVirtualWarning
from dkist_virtual.text import check_keywords

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from astropy.nddata import NDUncertainty
    from numpy.typing import DTypeLike, NDArray

    from dkist_virtual.cube.computed_array import PixelFunction

__all__ = ["LazyCube"]


_Array: TypeAlias = "u.Quantity | NDArray[Any]"


# Operands -----------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class _Operand:
    pixels: Any  # or a number
    unit: u.UnitBase | None = None
    mask: Any = None
    uncertainty: NDUncertainty | None = None
    cube: NDCube | None = None

    @property
    def label(self) -> str:
        of = f"pixels of shape {np.shape(self.pixels)}" if np.ndim(self.pixels) else self.pixels
        return f"{of} without a unit" if self.unit is None else f"{of} in [{self.unit}]"


def _operand(value: Any, dtype: DTypeLike) -> _Operand | None:
    """Read an operand of a dataset's arithmetic; None where it is none."""
    from dask.array import Array

    if isinstance(value, NDData):
        pixels = value.pixels if isinstance(value, LazyCube) else value.data
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
    """Return the dataset whose WCS the result has: the first one of its shape."""
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
    if isinstance(cube, LazyCube) and cube.provenance is not None:
        array = cube.provenance.array
        stored = (array.handle.store.references.identity, array.name)
        places = [(stored, axis) for axis in array.selection.kept]
    found = []
    for axis, place in enumerate(places):
        along = [one for one in world.axes if axis in one.array_axes]
        label = " and ".join(one.label for one in along) or "without coordinates"
        found.append((place, frozenset(one.physical_type for one in along), label))
    return found


# Masks and uncertainties --------------------------------------------------------------------


def _combine_masks(operands: Sequence[_Operand], shape: tuple[int, ...]) -> Mask:
    """Mask the pixels that are masked in any operand."""
    masks = [operand.mask for operand in operands if operand.mask is not None]
    if not masks:
        return None
    mask = masks[0]
    for other in masks[1:]:
        mask = mask | other
    if len(masks) == 1:
        mask = copy_mask(mask)  # the result's own: writing to it does not change the operand's
    combined: Mask = mask if np.shape(mask) in ((), shape) else np.broadcast_to(mask, shape)
    return combined


def _add_spread(_a: _Array, _b: _Array, of_a: _Array, of_b: _Array) -> _Array:
    return np.hypot(of_a, of_b)


def _multiply_spread(a: _Array, b: _Array, of_a: _Array, of_b: _Array) -> _Array:
    return np.hypot(of_a * b, a * of_b)


def _divide_spread(a: _Array, b: _Array, of_a: _Array, of_b: _Array) -> _Array:
    return np.hypot(of_a / b, a * of_b / b**2)


def _same_spread(_a: _Array, of_a: _Array) -> _Array:
    return +of_a


_SPREADS: Final[dict[np.ufunc, PixelFunction]] = {
    np.add: _add_spread,
    np.subtract: _add_spread,
    np.multiply: _multiply_spread,
    np.true_divide: _divide_spread,
    np.negative: _same_spread,
    np.positive: _same_spread,
    np.absolute: _same_spread,
}


def _deviation(uncertainty: NDUncertainty | None) -> StdDevUncertainty | None:
    if uncertainty is None or isinstance(uncertainty, StdDevUncertainty):
        return uncertainty
    return uncertainty.represent_as(StdDevUncertainty)


def _uncertainty(
    name: str, spread: PixelFunction | None, operands: Sequence[_Operand]
) -> StdDevUncertainty | None:
    """Make the standard deviation of the result: those of the operands are independent."""
    if all(operand.uncertainty is None for operand in operands):
        return None
    try:
        known = [_deviation(operand.uncertainty) for operand in operands]
    except TypeError:  # astropy's for an uncertainty of unknown kind
        spread = None
    if spread is None:
        warnings.warn(
            f"{name}: how these uncertainties follow is not known here; the result has none",
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


def _operator(function: np.ufunc, *, reflected: bool = False) -> Callable[[LazyCube, Any], Any]:
    def method(self: LazyCube, other: Any) -> Any:
        return self._combine(function, (other, self) if reflected else (self, other))

    return method


def _unary(function: np.ufunc) -> Callable[[LazyCube], Any]:
    return lambda self: self._combine(function, (self,))


def _fill(pixels: Any, mask: Any, value: complex) -> Any:
    return np.where(mask, np.asarray(value, pixels.dtype), pixels)


def _convert(quantity: u.Quantity, unit: u.UnitBase, equivalencies: Sequence[Any]) -> u.Quantity:
    return quantity.to(unit, equivalencies)


def _convert_spread(_a: u.Quantity, of_a: u.Quantity, unit: u.UnitBase) -> u.Quantity:
    return of_a.to(unit)


def _parts(cube: NDCube) -> tuple[Part, ...]:
    """Return all that was combined into an operand."""
    if isinstance(cube, LazyCube):
        return cube.lineage.parts
    return (Part(cube.wcs, Selection.whole(cube.shape), None, cube.unit),)


class LazyCube(RegriddedCube):
    """An NDCube with lazy arithmetic, by the rules of numpy and astropy.

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
                f"np.{function.__name__}{how} of a dataset{given}: functions that give one value "
                "for each pixel, without options, give a dataset. ds.data is a dask array that "
                "numpy's functions take"
            )
        return self._combine(function, inputs)

    def __array_function__(self, function: Callable[..., Any], *_: Any) -> Any:
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
        made = cube._new_instance(
            data=pixels,
            unit=unit,
            mask=_combine_masks(operands, cube.shape),
            uncertainty=_uncertainty(f"np.{function.__name__}", _SPREADS.get(function), operands),
        )
        cubes = [operand.cube for operand in operands if operand.cube is not None]
        made._combined = join(part for one in (cube, *cubes) for part in _parts(one))
        return made

    def fill_masked(
        self,
        fill_value: complex | u.Quantity,
        uncertainty_fill_value: complex | u.Quantity | None = None,
        unmask: bool = False,
        fill_in_place: bool = False,
    ) -> Self:
        """Replace masked pixels by a value, as `ndcube.NDCube.fill_masked`; reads nothing.

        With `unmask` the result has no mask. `fill_in_place` is not possible, as the pixels are not
        in memory.
        """
        if fill_in_place:
            raise DatasetError(
                "fill_masked: the pixels of frames are not written to. Without fill_in_place it "
                "gives a dataset with the value in place of masked pixels"
            )
        if uncertainty_fill_value is not None and self.uncertainty is None:
            raise DatasetError("fill_masked: this dataset has no uncertainty to be filled")
        mask: Any = self.mask
        mask = np.broadcast_to(mask or False, ()) if np.ndim(mask) == 0 else mask
        values: list[Any] = [
            one.to_value(self.unit) if isinstance(one, u.Quantity) else one
            for one in (fill_value, uncertainty_fill_value)
        ]
        pixels, _ = compute(partial(_fill, value=values[0]), [self._data, mask], [None, None])
        spread: Any = copy.copy(self.uncertainty)
        if values[1] is not None:
            filled = _fill(spread.array, mask, values[1])
            spread = type(spread)(filled, unit=spread.unit, copy=False)
        changes = {"mask": None} if unmask else {}
        return self._new_instance(data=pixels, uncertainty=spread, **changes)

    def explode_along_axis(self, axis: int) -> NDCubeSequence:
        """Separate the slices along an axis into a sequence of datasets; reads nothing.

        Each has its part of all that the dataset has, and the meta, which ndcube leaves to the
        sequence.
        """
        axis = range(len(self.shape))[axis]
        whole = (slice(None),) * axis
        parts = [self[(*whole, pixel)] for pixel in range(self.shape[axis])]
        return NDCubeSequence(parts, meta=self.meta)

    def to_nddata(self, **how: Any) -> Any:
        """Make an `~astropy.nddata.NDData` of it, as `ndcube.NDCube.to_nddata`.

        Global and extra coordinates are copied if ``"copy"`` is given for them, and are left
        behind with a warning otherwise.

        Parameters
        ----------
        **how
            As `ndcube.NDCube.to_nddata` takes them.
        """
        kind = how.get("nddata_type", NDData)
        check_keywords("to_nddata", how, {"nddata_type", *inspect.signature(kind).parameters})
        # By ndcube's private names: its public ones also give those of the WCS.
        added = {"global_coords": self.global_coords._internal_coords}
        added["extra_coords"] = self.extra_coords.keys() or self.extra_coords._dropped_tables
        left = [name for name, some in added.items() if some and name not in how]
        if left:
            warnings.warn(
                f"to_nddata: the {' and '.join(left)} of this dataset are left behind: "
                f"to_nddata({left[0]}='copy', nddata_type=NDCube) takes them along",
                DKISTVirtualWarning,
                stacklevel=2,
            )
        return super().to_nddata(**how)

    def to(self, new_unit: u.UnitBase | str, equivalencies: Sequence[Any] = ()) -> Self:
        """Convert to another unit, as `astropy.units.Quantity.to` does; reads nothing."""
        if self.unit is None:
            raise DatasetError(f"to {new_unit}: the pixels have no unit. ds * u.ct gives them one")
        convert = partial(_convert, unit=u.Unit(new_unit), equivalencies=equivalencies)
        pixels, unit = compute(convert, [self._data], [self.unit])
        spread = None if equivalencies else partial(_convert_spread, unit=unit)
        own = _Operand(self._data, self.unit, uncertainty=self.uncertainty)
        return self._new_instance(
            data=pixels, unit=unit, uncertainty=_uncertainty("to", spread, [own])
        )

    def with_data(
        self,
        data: Any,
        *,
        unit: u.UnitBase | str | None = None,
        mask: Any = None,
        uncertainty: NDUncertainty | None = None,
        meta: Mapping[str, Any] | None = None,
    ) -> Self:
        """Put a result of your own on the coordinates of this dataset; reads nothing.

        The result is a computed dataset: it has the headers of the frames, as after arithmetic, and
        no files.

        Parameters
        ----------
        data : numpy or dask array, Quantity or NDData
            One value for each pixel of this dataset. Of a result with fewer axes, select first:
            ``ds[:, 0].with_data(...)``.
        unit : Unit or str, optional
            Of `data`; by default that of a Quantity or NDData, and else none.
        mask : array, bool or dataset, optional
            By default that of a masked array or NDData, and else this dataset's.
        uncertainty : NDUncertainty, optional
            Of `data`; by default that of an NDData, and else none.
        meta : dict, optional
            Keys to add to this dataset's meta.

        Raises
        ------
        DatasetError
            Another shape than this dataset's, or something else than an array of numbers.

        Examples
        --------
        >>> velocity = ds[0, :, 0].with_data(fit, unit="km / s")  # doctest: +SKIP
        """
        pixels, unit, given, spread = read_own_data(data, unit)
        if np.shape(pixels) != self.shape:
            raise DatasetError(f"with_data: {describe_misfit(np.shape(pixels), self.shape)}")
        mask = given if mask is None else mask
        made = self._new_instance(
            data=pixels,
            unit=unit,
            mask=copy_mask(self._mask) if mask is None else mask,
            uncertainty=spread if uncertainty is None else uncertainty,
        )
        for key, value in (meta or {}).items():
            made.meta[key] = value
        made._past = f"an array given for {self.lineage.source}"
        return made

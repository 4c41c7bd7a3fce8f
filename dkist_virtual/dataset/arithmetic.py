"""Do arithmetic with units, binning and reprojection on pixels, WCS and masks."""

from __future__ import annotations

import copy
import inspect
import itertools
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Literal, Self, overload

import astropy.units as u
import numpy as np
from astropy.nddata import NDData
from ndcube import NDCube, NDCubeSequence

from dkist_virtual.cube.computed_array import compute
from dkist_virtual.cube.selection import Selection
from dkist_virtual.dataset.derived.frame_columns import read_keyword
from dkist_virtual.dataset.derived.lineage import Part, join, result_after, result_before
from dkist_virtual.dataset.derived.numpy_functions import (
    PixelCall,
    call_numpy,
    mark_masked,
    read_pixels,
)
from dkist_virtual.dataset.derived.operands import Operand, check_shapes, read_operand
from dkist_virtual.dataset.derived.own_data import describe_misfit, read_own_data
from dkist_virtual.dataset.derived.regrid import RegriddedCube
from dkist_virtual.dataset.derived.state import copy_mask
from dkist_virtual.dataset.derived.uncertainties import SPREADS, follow_uncertainty
from dkist_virtual.dataset.export.to_specutils import from_spectrum, is_spectrum
from dkist_virtual.errors import DatasetError, DKISTVirtualWarning
from dkist_virtual.text import check_keywords

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import dask.array
    from astropy.nddata import NDUncertainty
    from numpy.typing import DTypeLike, NDArray

    from dkist_virtual.cube.computed_array import PixelFunction

__all__ = ["LazyCube"]


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


_OF_BITS: Final = (np.bitwise_and, np.bitwise_or, np.bitwise_xor, np.invert)


class LazyCube(RegriddedCube):
    """An NDCube with lazy arithmetic, by the rules of numpy and astropy.

    Operands are numbers, Quantities, arrays, NDData and other cubes, of shapes that numpy
    broadcasts to that of a dataset among them, and columns of the header table, which are along
    the axes of frames. The result has the WCS, meta and headers of the
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

    __and__, __rand__ = _operator(np.bitwise_and), _operator(np.bitwise_and, reflected=True)
    __or__, __ror__ = _operator(np.bitwise_or), _operator(np.bitwise_or, reflected=True)
    __xor__, __rxor__ = _operator(np.bitwise_xor), _operator(np.bitwise_xor, reflected=True)
    __invert__ = _unary(np.invert)

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

    # By its type astropy knows an operand that it need not read: see `Quantity.__array_ufunc__`.
    @property
    def dtype(self) -> np.dtype:
        """The type of the pixels."""
        return np.dtype(self._data.dtype)

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

    def __array_function__(
        self, function: Callable[..., Any], _: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        result = call_numpy(function, args, kwargs)
        if isinstance(result, PixelCall):
            return self._combine(result.function, result.operands, result)
        return result

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> NDArray[Any]:
        return read_pixels(self, dtype, copy)

    def to_numpy(self) -> NDArray[Any]:
        """Read the pixels as an array without a unit, as `numpy.asarray` does.

        Masked pixels are NaN. ``ds.quantity`` has the unit.

        Raises
        ------
        DatasetError
            Masked pixels of a type without NaN, such as integers.
        """
        return read_pixels(self)

    def to_dask_array(self) -> dask.array.Array:
        """Return the pixels as a dask array without a unit, by this name also to dask; reads none.

        Masked pixels are NaN: ``ds.data`` is without a mask.

        Raises
        ------
        DatasetError
            Masked pixels of a type without NaN, such as integers.
        """
        from dask.array import asarray

        array: dask.array.Array = asarray(mark_masked(self, "to_dask_array"))
        return array

    def __len__(self) -> int:
        return self.shape[0]

    def __iter__(self) -> Iterator[Any]:
        if len(self.shape) == 1:  # whose parts are pixels, no datasets: Python would find none
            pixels = read_pixels(self)
            return iter(pixels if self.unit is None else u.Quantity(pixels, self.unit, copy=False))
        return (self[number] for number in range(len(self)))

    def __round__(self, ndigits: int | None = None) -> Any:
        return self.__array_function__(np.round, (), (self, ndigits or 0), {})

    def _combine(
        self, function: PixelFunction, values: Sequence[Any], call: PixelCall | None = None
    ) -> Any:
        found = [read_operand(value, self) for value in values]
        operands = [operand for operand in found if operand is not None]
        if len(operands) < len(found):
            return NotImplemented
        if call is None:  # a ufunc
            call = PixelCall(f"np.{function.__name__}", function, (), SPREADS.get(function))
        cube = check_shapes(operands)
        units = [operand.unit for operand in operands]
        try:
            pixels, unit = compute(function, [operand.pixels for operand in operands], units)
        except u.UnitsError as error:
            raise type(error)(
                f"{call.name} of {' and '.join(o.label for o in operands)}: "
                f"{str(error).rstrip('.')}. Numbers get a unit as in 5 * u.ct, datasets another "
                "one by ds.to(unit), arrays of dask by NDData(array, unit=...)"
            ) from None
        except TypeError as error:
            if function not in _OF_BITS:
                raise
            labels = " and ".join(operand.label for operand in operands)
            raise TypeError(
                f"{call.name} of {labels}: {error}. It is for true and false pixels, as in "
                "(ds > 5 * u.ct) & (ds < 9 * u.ct)"
            ) from None
        made = cube._new_instance(
            data=pixels,
            unit=unit,
            mask=call.masks(operands, cube.shape),
            uncertainty=follow_uncertainty(call.name, call.spread, operands),
        )
        cubes = [operand.cube for operand in operands if operand.cube is not None]
        made._combined = join(part for one in (cube, *cubes) for part in _parts(one))
        before = [one._columns for one in cubes if isinstance(one, LazyCube)]
        new = [operand.column for operand in operands if operand.column is not None]
        made._columns = tuple(dict.fromkeys((*itertools.chain(*before), *new)))
        others = [one for one in cubes if one is not cube and isinstance(one, LazyCube)]
        result = result_after([one.meta.get("result") for one in (cube, *others)])
        if result is not None:
            made.meta["result"] = result
        return made

    @overload
    def fill_masked(
        self,
        fill_value: complex | u.Quantity,
        uncertainty_fill_value: complex | u.Quantity | None = None,
        unmask: bool = False,
        fill_in_place: Literal[False] = False,
    ) -> Self: ...

    @overload
    def fill_masked(
        self,
        fill_value: complex | u.Quantity,
        uncertainty_fill_value: complex | u.Quantity | None = None,
        unmask: bool = False,
        *,
        fill_in_place: Literal[True],
    ) -> None: ...

    def fill_masked(
        self,
        fill_value: complex | u.Quantity,
        uncertainty_fill_value: complex | u.Quantity | None = None,
        unmask: bool = False,
        fill_in_place: bool = False,
    ) -> Self | None:
        """Replace masked pixels by a value, as `ndcube.NDCube.fill_masked`; reads nothing.

        With `unmask` the result has no mask. `fill_in_place` is possible where the pixels are an
        array of yours in memory, as after `with_data`, and returns None.
        """
        own = self._data
        if fill_in_place and not isinstance(own, np.ndarray):
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
        if fill_in_place and isinstance(own, np.ndarray):
            own[...] = pixels[...]
            self.uncertainty = spread
            self.mask = None if unmask else self.mask
            return None
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
        known = {"nddata_type", *inspect.signature(kind).parameters}
        if issubclass(kind, NDCube):
            known |= set(inspect.signature(NDCube).parameters)
        check_keywords("to_nddata", how, known - {"kwargs"})
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
        if not issubclass(kind, LazyCube):
            return super().to_nddata(**how)
        stays = isinstance(how.get("data", "copy"), str)
        if stays:
            how["data"] = self._data
        made = super().to_nddata(**{"provenance": self.provenance, **how})
        if made._headers is not None:
            made._headers.copy_rows(self._headers)
        if stays:
            made._past, made._combined = self._past, self._combined
        return made

    def to(self, new_unit: u.UnitBase | str, equivalencies: Sequence[Any] = ()) -> Self:
        """Convert to another unit, as `astropy.units.Quantity.to` does; reads nothing."""
        if self.unit is None:
            raise DatasetError(f"to {new_unit}: the pixels have no unit. ds * u.ct gives them one")
        convert = partial(_convert, unit=u.Unit(new_unit), equivalencies=equivalencies)
        pixels, unit = compute(convert, [self._data], [self.unit])
        spread = None if equivalencies else partial(_convert_spread, unit=unit)
        own = Operand(self._data, self.unit, uncertainty=self.uncertainty)
        return self._new_instance(
            data=pixels, unit=unit, uncertainty=follow_uncertainty("to", spread, [own])
        )

    def along_frames(self, keyword: str) -> Self:
        """Make a dataset of a header column: its value for each frame; reads no frame.

        The result has the axes of this dataset, those of a frame one pixel long, so that
        arithmetic stretches them. Masked cells are masked pixels, and the column's unit is that of
        the pixels. ``ds / ds.headers["LIGHTLVL"]`` is the same as
        ``ds / ds.along_frames("LIGHTLVL")``.

        Parameters
        ----------
        keyword : str
            Of a column of numbers in `headers`.

        Raises
        ------
        DatasetError
            No such column, or one of text, as dates are; or the pixels are of no frames.

        Examples
        --------
        >>> transparency = ds.along_frames("LIGHTLVL")  # doctest: +SKIP
        """
        values, unit, mask = read_keyword(self, keyword)
        cut = tuple(slice(None) if size == n else slice(0, 1)
                    for size, n in zip(values.shape, self.shape, strict=True))  # fmt: skip
        made = self[cut].with_data(values, unit=unit, mask=False if mask is None else mask)
        if mask is None:
            made.mask = None
        made._columns = (keyword,)
        return made

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
            ``ds[:, 0].with_data(...)``. The axes of a `specutils.Spectrum` are put in the order of
            this dataset's: see `Dataset.to_spectrum`.
        unit : Unit or str, optional
            Of `data`; by default that of a Quantity or NDData, and else none.
        mask : array, bool or dataset, optional
            By default that of a masked array or NDData, and else this dataset's.
        uncertainty : NDUncertainty, optional
            Of `data`; by default that of an NDData, and else none.
        meta : dict, optional
            Keys to add to this dataset's meta, of which ``"result"``, what its pixels are, is left
            behind.

        Raises
        ------
        DatasetError
            Another shape than this dataset's, or something else than an array of numbers; a
            Spectrum of other wavelengths.

        Examples
        --------
        >>> velocity = ds[0, :, 0].with_data(fit, unit="km / s")  # doctest: +SKIP
        """
        data = from_spectrum(self, data) if is_spectrum(data) else data
        pixels, unit, given, spread = read_own_data(data, unit)
        if np.shape(pixels) != self.shape:
            raise DatasetError(f"with_data: {describe_misfit(np.shape(pixels), self.shape)}")
        mask = given if mask is None else mask
        made = self._new_instance(
            data=pixels,
            unit=unit,
            mask=copy_mask(self._masked) if mask is None else mask,
            uncertainty=spread if uncertainty is None else uncertainty,
        )
        if "result" in made.meta:  # it is of the pixels before
            left = result_before(made.meta.pop("result"))
            made.meta.update({"result": left} if left else {})
        for key, value in (meta or {}).items():
            made.meta[key] = value
        made._past = f"an array given for {self.lineage.source}"
        return made

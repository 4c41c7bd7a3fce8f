"""Say what numpy's functions of datasets give, each by name; the others are refused.

Functions of each pixel give datasets and read nothing. Those of all pixels, such as `numpy.mean`,
read them and give numbers with a unit. What numpy adds later is refused until it is here.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import astropy.units as u
import numpy as np

from dkist_virtual.dataset.derived.listed import is_in_list
from dkist_virtual.dataset.derived.state import FrameCube
from dkist_virtual.dataset.derived.uncertainties import (
    choose_masks,
    choose_spread,
    combine_masks,
    pass_on_spread,
)
from dkist_virtual.errors import DatasetError

if TYPE_CHECKING:
    from numpy.typing import DTypeLike, NDArray

    from dkist_virtual.cube.computed_array import PixelFunction

__all__ = ["PixelCall", "call_numpy", "mark_masked", "read_pixels"]

Function: TypeAlias = Callable[..., Any]


@dataclass(frozen=True, eq=False)
class PixelCall:
    """A call of a function that gives one value for each pixel.

    Parameters
    ----------
    name : str
        As users write it.
    function : callable
        Of the operands; its options are part of it.
    operands : tuple
        As they were given.
    spread : callable or None
        Of the operands and their standard deviations; None if it is not known.
    masks : callable
        Combines the masks of the operands in a shape.
    """

    name: str
    function: PixelFunction
    operands: tuple[Any, ...]
    spread: PixelFunction | None
    masks: Callable[..., Any] = combine_masks


# Which functions ----------------------------------------------------------------------------

# By name: operands, then options.
_PER_PIXEL: Final[Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]]] = {
    "angle": (("z",), ("deg",)),
    "around": (("a",), ("decimals",)),
    "clip": (("a", "a_min", "a_max"), ("min", "max")),
    "fix": (("x",), ()),
    "i0": (("x",), ()),
    "imag": (("val",), ()),
    "interp": (("x",), ("xp", "fp", "left", "right", "period")),
    "isclose": (("a", "b"), ("rtol", "atol", "equal_nan")),
    "iscomplex": (("x",), ()),
    "isneginf": (("x",), ()),
    "isposinf": (("x",), ()),
    "isreal": (("x",), ()),
    "nan_to_num": (("x",), ("nan", "posinf", "neginf")),
    "real": (("val",), ()),
    "round": (("a",), ("decimals",)),
    "sinc": (("x",), ()),
    "where": (("condition", "x", "y"), ()),
}

_REDUCTIONS: Final = (
    "all", "amax", "amin", "any", "argmax", "argmin", "count_nonzero", "max", "mean", "min",
    "nanargmax", "nanargmin", "nanmax", "nanmean", "nanmin", "nanprod", "nanstd", "nansum",
    "nanvar", "prod", "ptp", "std", "sum", "var",
)  # fmt: skip
"""Those that dask computes exactly, chunk by chunk."""

_IN_MEMORY: Final = (
    "allclose", "argwhere", "array_equal", "array_equiv", "flatnonzero", "histogram", "median",
    "nanmedian", "nanpercentile", "nanquantile", "nonzero", "percentile", "quantile",
)  # fmt: skip
"""Those that need all pixels at once."""

_OPTIONS: Final = (
    "a", "a1", "a2", "atol", "axis", "b", "bins", "ddof", "density", "dtype", "equal_nan",
    "keepdims", "method", "q", "range", "rtol",
)  # fmt: skip
"""Of the functions of all pixels."""

_JOINS: Final = (
    "append", "block", "column_stack", "concat", "concatenate", "dstack", "hstack", "stack",
    "vstack",
)  # fmt: skip

_LINES: Final = {
    "copy": "copy.copy(ds) is a dataset of its own, and np.array(ds) an array",
    "empty_like": "ds.with_data(np.empty(ds.shape)) has its coordinates",
    "full_like": "ds.with_data(np.full(ds.shape, value)) has its coordinates",
    "ones_like": "ds.with_data(np.ones(ds.shape)) has its coordinates",
    "zeros_like": "ds.with_data(np.zeros(ds.shape)) has its coordinates",
}
"""What to write instead, where that is not the same function of `ds.data`."""


def _named(names: Any) -> dict[Function, str]:
    """Return numpy's functions of these names: a version may have two names for one, or none."""
    return {getattr(np, name): name for name in names if hasattr(np, name)}


_KINDS: Final[dict[str, dict[Function, str]]] = {
    "pixel": _named(_PER_PIXEL), "reduction": _named(_REDUCTIONS), "memory": _named(_IN_MEMORY),
}  # fmt: skip

_ABOUT: Final[dict[Function, Callable[[FrameCube], Any]]] = {
    np.shape: lambda ds: ds.shape,
    np.ndim: lambda ds: len(ds.shape),
    np.size: lambda ds: int(np.prod(ds.shape)),
    np.iscomplexobj: lambda ds: ds.pixels.dtype.kind == "c",
    np.isrealobj: lambda ds: ds.pixels.dtype.kind != "c",
}
"""What is known without pixels; of the dataset alone."""


# Calls --------------------------------------------------------------------------------------


def call_numpy(
    function: Function, args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> PixelCall | Any:
    """Read a call of a numpy function: one of each pixel is left to arithmetic, others are run.

    Raises
    ------
    TypeError
        This function, or one of its options, is not known here.
    DatasetError
        Masked pixels, where it is not known what they would count for.
    """
    name = _name(function)
    if function in _ABOUT and len(args) == 1 and not kwargs:
        return _ABOUT[function](args[0])
    if function is np.squeeze:
        return _squeeze(*args, **kwargs)
    given = _arguments(function, args, kwargs) if _kind(function) else {}
    if function is np.where and len(given) == 1:
        function, name, given = np.nonzero, "np.where", {"a": given["condition"]}
    if kind := _kind(function):
        return {"pixel": _per_pixel, "reduction": _reduce, "memory": _in_memory}[kind](
            name, function, given
        )
    short = function.__name__
    if short in _JOINS:
        raise TypeError(
            f"{name} of datasets: joined pixels would have no WCS. NDCubeSequence([a, b], "
            f"common_axis=0) of ndcube keeps both, and {name}([a.data, b.data]) joins the pixels"
        )
    line = _LINES.get(short) if function is getattr(np, short, None) else None
    raise TypeError(f"{name} of a dataset: {line or _line(name, short)}")


def _kind(function: Function) -> str | None:
    return next((kind for kind, known in _KINDS.items() if function in known), None)


def _name(function: Function) -> str:
    module = getattr(function, "__module__", None) or "numpy"
    return f"{module.replace('numpy', 'np', 1)}.{function.__name__}"


def _line(name: str, short: str) -> str:
    import dask.array as da

    later = f"{name}(ds.data, ...), which dask computes later, or " if hasattr(da, short) else ""
    return f"write {later}{name}(ds.quantity, ...), which reads the pixels"


def _squeeze(a: Any, axis: Any = None) -> Any:
    return a.squeeze(axis)


def _arguments(
    function: Function, args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> dict[str, Any]:
    """Bind a call's arguments to their names, without options that are None."""
    if function is np.where:  # whose arguments have no names
        given = dict(zip(_PER_PIXEL["where"][0], args, strict=False))
    else:
        given = inspect.signature(function).bind(*args, **kwargs).arguments
        given.update(given.pop("kwargs", {}))
        first = next(iter(given))
        given = {key: one for key, one in given.items() if key == first or one is not None}
    known: tuple[str, ...] = _OPTIONS
    if function in _KINDS["pixel"]:
        operands, options = _PER_PIXEL[_KINDS["pixel"][function]]
        known = (*operands, *options)
    if unknown := [key for key in given if key not in known]:
        raise TypeError(
            f"{_name(function)} of a dataset with {', '.join(unknown)}=: it takes "
            f"{', '.join(one for one in known if one in _parameters(function))} here. "
            "ds.data is a dask array that numpy's functions take"
        )
    return given


def _parameters(function: Function) -> tuple[str, ...]:
    if function is np.where:
        return _PER_PIXEL["where"][0]
    return tuple(inspect.signature(function).parameters)


def _per_pixel(name: str, function: Function, given: dict[str, Any]) -> PixelCall:
    if function is np.clip:
        return _clip(name, given)
    if function is np.where:
        if len(given) != 3:
            raise TypeError("np.where of a dataset: takes a condition, or a condition, x and y")
        condition, x, y = given.values()
        # First x and y: of those are the pixels, and so the headers.
        return PixelCall(name, _choose, (x, y, condition), choose_spread, choose_masks)
    names, _ = _PER_PIXEL[_KINDS["pixel"][function]]
    options = {key: value for key, value in given.items() if key not in names}
    for key, value in options.items():
        if isinstance(value, FrameCube):
            raise TypeError(f"{name}: {key}= takes no dataset; np.asarray(ds) is an array")
    spread = pass_on_spread if function in (np.nan_to_num, np.real) else None
    operands = tuple(given[key] for key in names)
    return PixelCall(name, partial(function, **options), operands, spread)


def _choose(x: Any, y: Any, condition: Any) -> Any:
    return np.where(condition, x, y)


def _clip(name: str, given: dict[str, Any]) -> PixelCall:
    low = given.get("a_min", given.get("min"))
    high = given.get("a_max", given.get("max"))
    if len(given) > 1 + (low is not None) + (high is not None):
        raise TypeError("np.clip of a dataset: takes a_min and a_max, or min and max")
    bounds = {key: end for key, end in (("a_min", low), ("a_max", high)) if end is not None}
    certain = all(getattr(end, "uncertainty", None) is None for end in bounds.values())
    function = partial(_limit, bounds=tuple(bounds))
    # Limits make no pixel less certain.
    spread = pass_on_spread if certain else None
    return PixelCall(name, function, (given["a"], *bounds.values()), spread)


def _limit(pixels: Any, *ends: Any, bounds: tuple[str, ...]) -> Any:
    limits = {"a_min": None, "a_max": None, **dict(zip(bounds, ends, strict=True))}
    return np.clip(pixels, limits["a_min"], limits["a_max"])


# All pixels ---------------------------------------------------------------------------------


def _reduce(name: str, function: Function, given: dict[str, Any]) -> Any:
    (_, cube), *rest = given.items()
    _check_alone(name, cube, rest)
    pixels = _unmasked(name, cube)
    sample = np.ones(2, pixels.dtype)
    unit = cube.unit
    if unit is not None:  # of its own type, which astropy would make a float
        try:
            tried = function(u.Quantity(sample, unit, dtype=sample.dtype))
        except (TypeError, u.UnitsError) as error:
            kind = type(error) if isinstance(error, u.UnitsError) else TypeError
            raise kind(
                f"{name} of pixels in [{unit}]: has no meaning for a unit. {name}(ds.data) leaves "
                "it behind"
            ) from None
        unit = getattr(tried, "unit", None)
    same = {np.amax: np.max, np.amin: np.min}.get(function, function)  # dask has one of the names
    value = np.asarray(same(pixels, **dict(rest)))
    return value[()] if unit is None else u.Quantity(value, unit, dtype=value.dtype, copy=False)


def _in_memory(name: str, function: Function, given: dict[str, Any]) -> Any:
    if name not in ("np.allclose", "np.array_equal", "np.array_equiv"):
        (_, cube), *rest = given.items()
        _check_alone(name, cube, rest)
    return function(**{key: _read(name, value) for key, value in given.items()})


def _read(name: str, value: Any) -> Any:
    if not isinstance(value, FrameCube):
        return value
    array = np.asarray(_unmasked(name, value))
    if value.unit is None:
        return array
    return u.Quantity(array, value.unit, dtype=array.dtype, copy=False)


def _check_alone(name: str, cube: Any, rest: list[tuple[str, Any]]) -> None:
    others = [key for key, value in rest if isinstance(value, FrameCube)]
    if others or not isinstance(cube, FrameCube):
        raise TypeError(
            f"{name}: {', '.join(others) or 'it'} takes no dataset here; np.asarray(ds) is an array"
        )


def _unmasked(name: str, cube: FrameCube) -> Any:
    """Return pixels of which none is masked, or those with NaN for a function that ignores NaN."""
    short = name.rpartition(".")[2]
    if short.startswith("nan"):
        return mark_masked(cube, name)
    if _has_masked(cube.mask):
        instead = f"np.nan{short.removeprefix('a') if short in ('amin', 'amax') else short}"
        known = hasattr(np, instead.removeprefix("np."))
        line = f"{instead}(ds) leaves them out, and NaN too, and " if known else ""
        raise DatasetError(
            f"{name} of a dataset with masked pixels: {line}ds.fill_masked(value, unmask=True) "
            "gives them a value; ds.mask = None leaves it behind"
        )
    return cube.data


def _has_masked(mask: Any) -> bool:
    return mask is not None and bool(np.any(mask))


def mark_masked(cube: FrameCube, name: str) -> Any:
    """Return the pixels, dask's or numpy's, with NaN where they are masked."""
    data, mask = cube.data, cube.mask
    if mask is None or mask is False:
        return data
    if data.dtype.kind in "fc":
        return np.where(mask, np.array(np.nan, data.dtype), data)
    if not _has_masked(mask):
        return data
    raise DatasetError(
        f"{name} of a dataset with masked pixels of {data.dtype}, a type without NaN: "
        "ds.fill_masked(value, unmask=True) gives them a value, and "
        "np.ma.MaskedArray(ds.data.compute(), ds.mask) is numpy's masked array"
    )


def read_pixels(
    cube: FrameCube, dtype: DTypeLike | None = None, copy: bool | None = None
) -> NDArray[Any]:
    """Read the pixels as an array without a unit, as ``__array__`` gives it.

    Raises
    ------
    DatasetError
        Masked pixels of a type without NaN.
    ValueError
        ``copy=False``, where pixels have to be read.
    """
    if np.dtype(dtype) == object if dtype is not None else copy is None and is_in_list():
        # An array of datasets, such as the tiles of a mosaic, is made of them one by one.
        item = np.empty((), object)
        item[()] = cube
        return item
    pixels = mark_masked(cube, "np.asarray")
    if isinstance(pixels, np.ndarray) and pixels is cube.data:
        return np.array(pixels, dtype, copy=copy)
    if copy is False:
        raise ValueError("np.array of a dataset with copy=False: its pixels have to be read")
    return np.asarray(pixels, dtype)

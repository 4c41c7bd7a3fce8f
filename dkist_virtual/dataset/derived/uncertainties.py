"""Combine masks, and standard deviations as independent of each other."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np
from astropy.nddata import StdDevUncertainty

from dkist_virtual.cube.computed_array import Computed, compute
from dkist_virtual.dataset.derived.state import Mask, copy_mask
from dkist_virtual.errors import DKISTVirtualWarning

if TYPE_CHECKING:
    from collections.abc import Sequence

    import astropy.units as u
    from astropy.nddata import NDUncertainty
    from numpy.typing import NDArray

    from dkist_virtual.cube.computed_array import PixelFunction
    from dkist_virtual.dataset.derived.operands import Operand

__all__ = [
    "SPREADS", "choose_masks", "choose_spread", "combine_masks", "follow_uncertainty",
    "pass_on_spread",
]  # fmt: skip

_Array: TypeAlias = "u.Quantity | NDArray[Any]"


def combine_masks(operands: Sequence[Operand], shape: tuple[int, ...]) -> Mask:
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


def choose_masks(operands: Sequence[Operand], shape: tuple[int, ...]) -> Mask | Computed:
    """Mask the pixels that `numpy.where` chooses from masked ones, or by a masked condition."""
    x, y, condition = operands
    if x.mask is None and y.mask is None:
        return combine_masks([condition], shape)
    masks = [False if operand.mask is None else operand.mask for operand in operands]
    return compute(_choose_mask, [condition.pixels, *masks], [condition.unit, *[None] * 3])[0]


def _choose_mask(condition: _Array, of_x: _Array, of_y: _Array, own: _Array) -> _Array:
    return np.where(condition, of_x, of_y) | own


def _add_spread(_a: _Array, _b: _Array, of_a: _Array, of_b: _Array) -> _Array:
    return np.hypot(of_a, of_b)


def _multiply_spread(a: _Array, b: _Array, of_a: _Array, of_b: _Array) -> _Array:
    return np.hypot(of_a * b, a * of_b)


def _divide_spread(a: _Array, b: _Array, of_a: _Array, of_b: _Array) -> _Array:
    return np.hypot(of_a / b, a * of_b / b**2)


def pass_on_spread(*values: _Array) -> _Array:
    """Return the standard deviation of the first operand: those of all come after the operands."""
    return +np.broadcast_arrays(*values, subok=True)[len(values) // 2]


def choose_spread(
    _x: _Array, _y: _Array, condition: _Array, of_x: _Array, of_y: _Array, _of_condition: _Array
) -> _Array:
    """Return the standard deviation of the pixels that `numpy.where` chooses."""
    return np.where(condition, of_x, of_y)


SPREADS: Final[dict[PixelFunction, PixelFunction]] = {
    np.add: _add_spread,
    np.subtract: _add_spread,
    np.multiply: _multiply_spread,
    np.true_divide: _divide_spread,
    np.negative: pass_on_spread,
    np.positive: pass_on_spread,
    np.absolute: pass_on_spread,
}


def _deviation(uncertainty: NDUncertainty | None) -> StdDevUncertainty | None:
    if uncertainty is None or isinstance(uncertainty, StdDevUncertainty):
        return uncertainty
    return uncertainty.represent_as(StdDevUncertainty)


def follow_uncertainty(
    name: str, spread: PixelFunction | None, operands: Sequence[Operand]
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

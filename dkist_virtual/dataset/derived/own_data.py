"""Read an array that a user computed: pixels, unit, mask and uncertainty."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import astropy.units as u
import numpy as np
from astropy.nddata import NDData

from dkist_virtual.errors import DatasetError

if TYPE_CHECKING:
    import dask.array
    from astropy.nddata import NDUncertainty

    from dkist_virtual.dataset.derived.state import Mask

__all__ = ["describe_misfit", "read_own_data"]


def read_own_data(
    data: Any, unit: u.UnitBase | str | None
) -> tuple[np.ndarray | dask.array.Array, u.UnitBase | None, Mask, NDUncertainty | None]:
    """Return the pixels of an array, Quantity or NDData, and unit, mask and uncertainty if any."""
    from dask.array import Array

    unit = None if unit is None else u.Unit(unit)
    mask = spread = None
    if isinstance(data, NDData):
        mask, spread, own = data.mask, data.uncertainty, data.unit
        if own is not None and unit not in (None, own):
            raise DatasetError(f"with_data: unit {unit} is given, and the data are in {own}")
        data, unit = data.data, own if unit is None else unit
    if isinstance(data, np.ma.MaskedArray):
        data, mask = data.data, np.ma.getmaskarray(data)
    elif hasattr(data, "unmasked"):  # astropy's Masked
        data, mask = data.unmasked, data.mask
    if isinstance(data, u.Quantity):
        try:
            data = data if unit is None else data.to(unit)
        except u.UnitConversionError as error:
            raise DatasetError(f"with_data: {error}") from None
        data, unit = data.value, data.unit
    if not isinstance(data, (np.ndarray, Array)):
        raise DatasetError(
            f"with_data: expected a numpy or dask array, a Quantity or NDData, found "
            f"{type(data).__name__}: numpy.asarray makes one of what numpy reads"
        )
    if data.dtype.kind not in "biufc":
        raise DatasetError(f"with_data: expected numbers, found an array of {data.dtype}")
    return data, unit, mask, spread


def describe_misfit(found: tuple[int, ...], shape: tuple[int, ...]) -> str:
    """Say why an array is not one value for each pixel, and which selection it would fit."""
    said = f"expected an array of shape {shape}, one value for each pixel, found {found}"
    if len(found) == len(shape):
        parts = [
            ":" if n == m else ":1" if n == 1 else "" for n, m in zip(found, shape, strict=True)
        ]
    else:
        parts, left = [], list(found)
        for m in shape:  # the first axes that fit
            fits = bool(left) and left[0] == m
            parts.append(":" if fits else "0")
            del left[: int(fits)]
        parts = [""] if left or not found else parts
    if "" in parts:
        return said
    index = ", ".join(parts)
    return f"{said}. Select the coordinates that it has: ds[{index}].with_data(...)"

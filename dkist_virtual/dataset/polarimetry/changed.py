"""Make datasets whose Stokes parameters are rotated, or corrected for cross-talk."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from dkist_virtual.dataset.polarimetry.parameters import StokesParameters
    from dkist_virtual.science.polarimetry.frame import StokesFrame

__all__ = ["with_parameters"]


def with_parameters(
    parameters: StokesParameters,
    changed: dict[str, Any],
    unknown: dict[str, Any],
    *,
    frame: StokesFrame,
    result: dict[str, Any],
) -> Any:
    """Make the dataset with some of its Stokes parameters replaced; reads nothing.

    Parameters
    ----------
    parameters : StokesParameters
    changed : dict
        From letters to dask arrays of the dataset's shape without the axis of the parameters.
    unknown : dict
        From letters to masks of what became NaN, that broadcast to those arrays.
    frame : StokesFrame
        Of the result.
    result : dict
        Of text and numbers, for ``meta["result"]``.
    """
    import dask.array as da

    ds = parameters.ds
    planes: list[Any] = [
        changed.get(letter, parameters[letter].data if letter in "IQUV" else None)
        for letter in parameters.letters
    ]
    pixels = da.stack(planes, axis=parameters.array_axis).astype(_float_type(ds.dtype))
    made: Any = ds._new_instance(data=pixels, uncertainty=None)
    if unknown:
        shape = planes[0].shape
        masks = [
            da.broadcast_to(unknown.get(letter, np.zeros((), bool)), shape)
            for letter in parameters.letters
        ]
        joined = da.stack(masks, axis=parameters.array_axis)
        made.mask = joined if made.mask is None else made.mask | joined
    made.meta["result"] = {**result, "stokes_frame": asdict(frame)}
    return made


def _float_type(dtype: np.dtype[Any]) -> np.dtype[Any]:
    return dtype if dtype.kind == "f" else np.dtype(np.float64)

"""Compute values along the wavelength, lazily, reading each frame once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from dkist_virtual.cube.computed_array import is_source
from dkist_virtual.cube.spectral.reduced_array import Operand, Reduced, Reduction
from dkist_virtual.cube.spectral.spectra_block import SpectraBlock, SpectrumFunction
from dkist_virtual.dataset.spectral.results import MOST_OF_CADENCE, Values, results_of
from dkist_virtual.errors import DatasetError

if TYPE_CHECKING:
    import astropy.units as u
    from numpy.typing import NDArray

    from dkist_virtual.dataset.spectral.quantities import Quantities
    from dkist_virtual.science.spectra.axis import SpectralAxis

__all__ = ["SpectrumFunction", "over_wavelengths", "spectra_of"]


def over_wavelengths(
    ds: Any,
    axis: SpectralAxis,
    function: SpectrumFunction,
    names: Sequence[str],
    units: Sequence[u.UnitBase | str | None],
    *,
    arguments: Sequence[Any] = (),
    used: NDArray[np.bool_] | None = None,
    offset: Any = None,
    factor: NDArray[np.float64] | None = None,
    what: Sequence[str] = (),
    meta: Mapping[str, Any] | None = None,
    most: float = MOST_OF_CADENCE,
) -> Quantities:
    """Apply a function to all spectra of a dataset, lazily.

    Parameters
    ----------
    ds : Dataset
    axis : SpectralAxis
        Of `ds`.
    function : callable
        ``function(intensity, wavelengths, *arguments)``. The intensity is a float64 array with the
        wavelengths last, ascending; what is masked or absent is NaN. The wavelengths are an array
        of shape (n,), or of one that broadcasts to the intensity where there is an offset, in the
        unit of `axis`. It returns a tuple of arrays without the last axis, one for each of
        `names`, with NaN for spectra without a value.
    names : sequence of str
        Of the quantities.
    units : sequence of Unit, str or None
        Of the quantities.
    arguments : sequence, optional
        More that the function takes for each spectrum: numbers, arrays or datasets of a shape that
        broadcasts to that of the result, given to it with an axis of one pixel at the end; or
        datasets of the shape of `ds`, given as the intensity is.
    used : numpy.ndarray, optional
        Which wavelengths, in the order of the array, the function is given: bool of shape (n,).
    offset : array, optional
        Added to the wavelengths of each spectrum: in the unit of `axis`, of a shape that broadcasts
        to that of the result.
    factor : numpy.ndarray, optional
        By which pixels are divided, of a shape that broadcasts to that of `ds`.
    what : sequence of str, optional
        What the quantities are called in the origin; by default their names.
    meta : dict, optional
        Text and numbers for ``meta["result"]`` of each.
    most : float
        As `results_of` takes it.

    Returns
    -------
    Quantities
        Of datasets, masked where they are NaN.
    """
    wanted = np.ones(len(axis.values), bool) if used is None else np.asarray(used, bool)
    reduction = spectra_of(
        ds, axis, function, len(names),
        arguments=arguments, used=wanted, offset=offset, factor=factor,
    )  # fmt: skip
    values = {
        name: Values(
            Reduced(reduction, number).dask(), unit, what[number] if what else name,
            mask=Reduced(reduction, number, is_mask=True).dask(),
        )
        for number, (name, unit) in enumerate(zip(names, units, strict=True))
    }  # fmt: skip
    return results_of(ds, axis, values, meta=meta or {}, used=wanted, most=most)


def spectra_of(
    ds: Any,
    axis: SpectralAxis,
    function: SpectrumFunction,
    n_outputs: int,
    *,
    arguments: Sequence[Any] = (),
    used: NDArray[np.bool_] | None = None,
    offset: Any = None,
    factor: Any = None,
) -> Reduction:
    """Make what reads the spectra of a dataset, and applies a function to them.

    Parameters
    ----------
    ds, axis, function, arguments, used, offset, factor
        As `over_wavelengths` takes them.
    n_outputs : int
        How many arrays the function gives.

    Returns
    -------
    Reduction
    """
    shape = tuple(n for k, n in enumerate(ds.shape) if k != axis.array_axis)
    wanted = np.ones(len(axis.values), bool) if used is None else np.asarray(used, bool)
    order = axis.order[wanted[axis.order]]
    operands, kinds = [Operand(ds.pixels, has_axis=True)], list[str]()
    mask = ds._masked
    if mask is not None and not isinstance(mask, bool):
        operands.append(Operand(mask, has_axis=True))
        kinds.append("mask")
    elif mask is True:
        raise DatasetError("spectral: all of this dataset is masked: ds.mask = None unmasks it")
    if offset is not None:
        operands.append(_argument(offset, ds, shape))
        kinds.append("offset")
    if factor is not None:
        operands.append(Operand(np.asarray(factor, float), has_axis=True))
        kinds.append("factor")
    for argument in arguments:
        operands.append(_argument(argument, ds, shape))
        kinds.append("spectrum" if operands[-1].has_axis else "value")
    every = np.array_equal(order, np.arange(len(axis.values)))
    job = SpectraBlock(
        function, axis.values[order], None if every else order, tuple(kinds), n_outputs
    )
    return Reduction(job, tuple(operands), axis.array_axis, n_outputs, shape, len(axis.values))


def _argument(argument: Any, ds: Any, shape: tuple[int, ...]) -> Operand:
    pixels = getattr(argument, "pixels", argument)
    found = tuple(np.shape(pixels))
    if found == ds.shape and found != shape:
        return Operand(pixels, has_axis=True)
    if is_source(pixels) or hasattr(pixels, "dask"):
        if found != shape:
            raise DatasetError(
                f"spectral: expected values of shape {shape}, one for each spectrum, found {found}"
            )
        return Operand(pixels, has_axis=False)
    try:
        np.broadcast_to(np.empty(found, bool), shape)
        values = np.asarray(pixels, float).reshape((1,) * (len(shape) - len(found)) + found)
        return Operand(values, has_axis=False)
    except ValueError:
        raise DatasetError(
            f"spectral: expected values of shape {shape}, one for each spectrum, found {found}"
        ) from None

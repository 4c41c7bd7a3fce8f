"""Export spectra to specutils, and put what specutils returns back on the dataset."""

from __future__ import annotations

import sys
import warnings
from typing import TYPE_CHECKING, Any

import astropy.units as u
import numpy as np
from astropy.nddata import NDData

from dkist_virtual.dataset.derived.state import own_coordinates, own_meta
from dkist_virtual.errors import DatasetError, DKISTVirtualWarning

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from specutils import Spectrum

    from dkist_virtual.science.spectra.axis import SpectralAxis

__all__ = ["from_spectrum", "is_spectrum", "to_spectrum"]


def to_spectrum(ds: Any) -> Spectrum:
    """Read the spectra of a dataset as a `specutils.Spectrum`, see `Dataset.to_spectrum`."""
    try:
        from specutils import Spectrum
    except ImportError:
        raise ImportError(
            "to_spectrum: specutils is not installed: pip install 'dkist_virtual[spectra]'"
        ) from None
    from dkist_virtual.science.spectra.axis import SpectralAxis
    from dkist_virtual.science.spectra.medium import MEDIUM

    axis = SpectralAxis.of(ds)
    values = axis.values[axis.order]
    if not np.all(np.diff(values) > 0):
        twice = values[:-1][np.diff(values) <= 0][0]
        raise DatasetError(
            f"to_spectrum: {twice:.8g} {axis.unit} is there twice, and a specutils Spectrum has "
            "each wavelength once: select one of them, as in ds[:, 3:]"
        )
    pixels = _forth(np.asarray(ds.data), axis)
    flux = u.Quantity(pixels, ds.unit or u.dimensionless_unscaled, dtype=pixels.dtype, copy=False)
    mask: Any = None
    if ds.mask is not None:
        mask = _forth(np.broadcast_to(np.asarray(ds.mask), ds.shape), axis) | np.isnan(pixels)
    spread: Any = ds.uncertainty
    if spread is not None:
        spread = type(spread)(_forth(np.asarray(spread.array), axis), unit=spread.unit)
    left = [name for name, there in (
        ("the point spread function", ds.psf is not None),
        ("coordinates that were added", bool(own_coordinates(ds) or ds.extra_coords.keys())),
    ) if there]  # fmt: skip
    if left:
        warnings.warn(
            f"to_spectrum: {' and '.join(left)} are left behind: a Spectrum has no place for them",
            DKISTVirtualWarning,
            stacklevel=3,
        )
    inventory = ds.inventory or {}
    meta = {
        MEDIUM: axis.medium or "not known",
        "origin": str(ds.lineage),
        **{key: inventory[key] for key in ("instrumentName", "datasetId") if key in inventory},
        **own_meta(ds),
    }
    if ds.headers is not None:
        meta["headers"] = ds.headers.copy()
    given = {} if mask is None else {"mask": mask}  # else specutils masks what is NaN
    return Spectrum(
        flux=flux, spectral_axis=u.Quantity(values, axis.unit),
        spectral_axis_index=flux.ndim - 1, uncertainty=spread, meta=meta, **given,
    )  # fmt: skip


def is_spectrum(data: object) -> bool:
    """Return whether something is a Spectrum of specutils, which need not be imported."""
    specutils = sys.modules.get("specutils")
    return specutils is not None and isinstance(data, specutils.Spectrum)


def from_spectrum(ds: Any, spectrum: Spectrum) -> NDData:
    """Put the axes of a Spectrum in the order of a dataset, and its wavelengths too.

    Raises
    ------
    DatasetError
        It has other wavelengths than the dataset, or another shape.
    SelectionError
        The dataset has no axis of wavelengths.
    """
    from dkist_virtual.science.spectra.axis import SpectralAxis

    axis = SpectralAxis.of(ds)
    found = u.Quantity(spectrum.spectral_axis)
    order = axis.order
    if not found.unit.is_equivalent(axis.unit, u.spectral()):
        raise DatasetError(f"with_data: a Spectrum in {found.unit}, where this dataset has nm")
    values = found.to_value(axis.unit, u.spectral())
    places = np.argsort(values, kind="stable")
    expected = axis.values[order]
    fits = values.shape == expected.shape
    if not fits or not np.allclose(values[places], expected, rtol=1e-9, atol=0):
        raise DatasetError(
            f"with_data: expected a Spectrum of the {len(expected)} wavelengths of this dataset, "
            f"{expected[0]:.8g} to {expected[-1]:.8g} {axis.unit}, found {len(values)}, "
            f"{values.min():.8g} to {values.max():.8g}: select those first, as in "
            "ds.crop([630.1, 630.3] * u.nm)"
        )
    back = places[np.argsort(order)]

    def put(array: Any) -> NDArray[Any]:
        last = np.moveaxis(np.asarray(array), spectrum.spectral_axis_index, -1)
        return np.moveaxis(last[..., back], -1, axis.array_axis)

    mask, spread = spectrum.mask, spectrum.uncertainty
    return NDData(
        put(spectrum.data),
        unit=spectrum.unit,
        mask=None if mask is None else put(mask),
        uncertainty=None if spread is None else type(spread)(put(spread.array), unit=spread.unit),
    )


def _forth(array: NDArray[Any], axis: SpectralAxis) -> NDArray[Any]:
    """Move the wavelengths to the end, ascending."""
    return np.moveaxis(array, axis.array_axis, -1)[..., axis.order]

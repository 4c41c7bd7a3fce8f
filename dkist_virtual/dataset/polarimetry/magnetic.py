"""Compute the line-of-sight magnetic field of a dataset in the weak-field approximation."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import astropy.units as u
import numpy as np

from dkist_virtual.dataset.polarimetry.keywords import axis_of, words
from dkist_virtual.errors import DatasetError, SelectionError

if TYPE_CHECKING:
    from dkist_virtual.dataset.polarimetry.parameters import StokesParameters
    from dkist_virtual.dataset.spectral.quantities import Quantities

__all__ = ["weak_field"]

_NAMES = ("field", "error", "splitting")
_WHAT = (
    "line-of-sight magnetic field", "error of the line-of-sight magnetic field",
    "Zeeman splitting by Doppler width",
)  # fmt: skip


def weak_field(
    parameters: StokesParameters,
    line: u.Quantity | str,
    window: u.Quantity,
    *,
    lande: float | None,
    continuum: u.Quantity | None,
    noise: Any,
    limit: float | None,
    offset: Any,
    said: dict[str, Any],
) -> Quantities:
    """Compute it: see `Polarimetry.weak_field`.

    Parameters
    ----------
    parameters : StokesParameters
    said : dict
        More for ``meta["result"]``.
    """
    from dkist_virtual.dataset.spectral.corrections import Corrections
    from dkist_virtual.dataset.spectral.engine import over_wavelengths
    from dkist_virtual.dataset.spectral.options import read_line, say_line
    from dkist_virtual.science.polarimetry.weak_field import splitting_per_gauss

    if isinstance(limit, bool) or not (limit is None or limit > 0):
        raise DatasetError(f"weak_field: limit={limit!r}: expected a positive number, or None")
    stokes_i, stokes_v = parameters.together("I", "V")
    axis = axis_of(stokes_i)
    at, factor = read_line(line, axis), _lande(line, lande)
    moved = Corrections.of(stokes_i, axis, offset, None)
    in_line = axis.window(window, at)
    if in_line.sum() < 5:
        raise SelectionError(
            f"weak_field: {in_line.sum()} wavelengths are in the window: a wider one has the five "
            "that a derivative and its fit need"
        )
    in_continuum = None if continuum is None else axis.window(continuum)
    if in_continuum is not None and in_continuum.sum() < 3:
        raise SelectionError(
            f"weak_field: {in_continuum.sum()} wavelengths are in the continuum: the noise needs "
            "three"
        )
    used = in_line if in_continuum is None else in_line | in_continuum
    order = axis.order[used[axis.order]]
    function = partial(
        _in_angstrom, scale=float(axis.unit.to(u.AA)),
        per_gauss=splitting_per_gauss(float(at.to_value(u.AA)), factor), in_line=in_line[order],
        in_continuum=None if in_continuum is None else in_continuum[order], limit=limit,
    )  # fmt: skip
    how = "standard deviation of V about the fit"
    if continuum is not None:
        how = "standard deviation of V in the continuum"
    meta: dict[str, Any] = {
        "method": "weak-field approximation, least squares of V over dI/dlambda",
        "line": say_line(line, at), "lande": factor, "window": words(axis, in_line),
        "positive": "towards the observer", "noise": how if noise is None else "given",
        "limit": "none" if limit is None
        else f"masked where the splitting is more than {limit:.3g} Doppler widths",
    }  # fmt: skip
    if continuum is not None:
        meta["continuum"] = words(axis, in_continuum)
    return over_wavelengths(
        stokes_i, axis, function, _NAMES, (u.G, u.G, ""), used=used, what=_WHAT,
        arguments=[stokes_v] if noise is None else [stokes_v, _noise(noise, stokes_v)],
        offset=moved.offset, meta={**meta, **moved.said, **said},
    )  # fmt: skip


def _lande(line: u.Quantity | str, given: float | None) -> float:
    """Return the effective Landé factor of a line."""
    from dkist_virtual.science.spectra.lines import find_line

    if given is None and isinstance(line, str):
        given = find_line(line).lande
    if given is None:
        raise DatasetError(
            f"weak_field: the Landé factor of {line} is not in the table of lines: lande= takes it"
        )
    return float(given)


def _noise(noise: Any, of: Any) -> Any:
    """Return the standard deviation of V in its unit, NaN where it is masked."""
    try:
        if hasattr(noise, "pixels"):  # a dataset
            found = noise if noise.unit in (None, of.unit) else noise.to(of.unit)
            is_masked = found.dtype.kind == "f" and found._masked is not None
            return found.fill_masked(np.nan) if is_masked else found
        if isinstance(noise, u.Quantity):
            return noise.value if of.unit is None else noise.to_value(of.unit)
    except u.UnitConversionError:
        raise DatasetError(
            f"weak_field: noise in {noise.unit}: expected a standard deviation in {of.unit}"
        ) from None
    return noise


def _in_angstrom(
    intensity: Any, wavelengths: Any, v: Any, noise: Any = None, *, scale: float, **how: Any
) -> Any:
    from dkist_virtual.science.polarimetry.weak_field import weak_field

    return weak_field(intensity, wavelengths * scale, v, noise, **how)

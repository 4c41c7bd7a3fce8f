"""Compute the line-of-sight component of magnetic fields in the weak-field approximation.

Where the Zeeman splitting is small against the width of a line,

    V = -4.67e-13 g_eff lambda**2 B dI/dlambda

with the wavelength in Angstrom and B in gauss (Landi Degl'Innocenti and Landolfi 2004, Polarization
in Spectral Lines), for B positive towards the observer. V is then positive on the blue
side of an absorption line, as in the data of SDO/HMI and Hinode-SP.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from dkist_virtual.science.polarimetry.profiles import (
    Spectra,
    centre_of_gravity,
    edge_level,
    integrate,
)

__all__ = ["LIMIT", "splitting_per_gauss", "weak_field"]

LIMIT: Final = 1 / 3
"""The Zeeman splitting, in Doppler widths of the line, up to which the approximation is taken to
hold: of a Gaussian triplet along the line of sight, B is then 15 per cent too large."""


def splitting_per_gauss(wavelength: float, lande: float) -> float:
    """Return by how much a gauss moves a sigma component, in Angstrom.

    Parameters
    ----------
    wavelength : float
        Of the line, in Angstrom.
    lande : float
        Its effective Landé factor.
    """
    return 4.67e-13 * lande * wavelength**2


def _mean_weights(wavelengths: Spectra) -> tuple[Spectra, Spectra, Spectra]:
    """Return the weights of three neighbouring samples in the mean between the outer two.

    Simpson's rule for unevenly spaced samples: the mean of a parabola through them.
    """
    steps = np.diff(wavelengths, axis=-1)
    left, right = steps[..., :-1], steps[..., 1:]
    middle = (left + right) ** 2 / (6 * left * right)
    return (2 - right / left) / 6, middle, (2 - left / right) / 6


def weak_field(
    intensity: Spectra,
    wavelengths: Spectra,
    v: Spectra,
    noise: Spectra | None = None,
    *,
    per_gauss: float,
    in_line: np.ndarray,
    in_continuum: np.ndarray | None = None,
    limit: float | None = LIMIT,
) -> tuple[Spectra, Spectra, Spectra]:
    """Fit V by the derivative of I by least squares.

    The difference of the intensities on both sides of a sample is the integral of the derivative
    between them. It is compared with the mean of V there: a derivative at the sample itself would
    be too small, by 3 per cent for a line of three samples per standard deviation. Noise in I makes
    B smaller.

    Parameters
    ----------
    intensity, wavelengths, v : array
        The wavelengths in Angstrom.
    noise : array, optional
        The standard deviation of V, of one pixel along the last axis. By default that of V in the
        continuum, or, without one, that of V about the fit.
    per_gauss : float
        The splitting in Angstrom per gauss.
    in_line, in_continuum : array of bool
        Which wavelengths are of the window of the line, and of a continuum.
    limit : float or None
        Where the splitting is more than so many Doppler widths, there is no value.

    Returns
    -------
    tuple of array
        B and its standard deviation in gauss, and the splitting along the line of sight in Doppler
        widths of the line. The splitting is half of the distance of the centres of gravity of I + V
        and I - V (Rees and Semel 1979), which holds for strong fields too; the Doppler
        width is the line's area by its depth and the square root of pi, as of a Gaussian. A field
        across the line of sight splits the line without showing here.
    """
    x = wavelengths[..., in_line]
    stokes_i, stokes_v = intensity[..., in_line], v[..., in_line]
    before, at, after = _mean_weights(x)
    slope = per_gauss * (stokes_i[..., 2:] - stokes_i[..., :-2]) / (x[..., 2:] - x[..., :-2])
    mean = before * stokes_v[..., :-2] + at * stokes_v[..., 1:-1] + after * stokes_v[..., 2:]
    norm = (slope**2).sum(axis=-1)
    field = -(mean * slope).sum(axis=-1) / norm
    if noise is not None:
        spread = noise[..., 0]
    elif in_continuum is not None:
        spread = v[..., in_continuum].std(axis=-1, ddof=1)
    else:
        rest = (mean + field[..., None] * slope) ** 2
        smoothed = (before**2 + at**2 + after**2).mean(axis=-1)
        spread = np.sqrt(rest.sum(axis=-1) / (rest.shape[-1] - 1) / smoothed)
    level = edge_level(stokes_i)
    if in_continuum is not None:
        level = intensity[..., in_continuum].mean(axis=-1)[..., None]
    plus, minus = (centre_of_gravity(stokes_i + sign * stokes_v, x, level) for sign in (1, -1))
    depth = level - stokes_i
    area = np.abs(integrate(depth, x))
    width = area / np.abs(depth).max(axis=-1) / np.sqrt(np.pi)
    splitting = np.abs(plus - minus) / 2 / width
    if limit is not None:
        field = np.where(splitting <= limit, field, np.nan)
    share = np.zeros_like(stokes_v)  # of each sample of V in the field
    share[..., :-2] += before * slope
    share[..., 1:-1] += at * slope
    share[..., 2:] += after * slope
    error = spread * np.sqrt((share**2).sum(axis=-1)) / norm
    return field, np.where(np.isnan(field), np.nan, error), splitting

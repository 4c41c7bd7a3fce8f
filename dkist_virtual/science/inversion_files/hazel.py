"""Format the files of hazel, and name what it finds.

The formats are those of hazel2's manual (docs/io_files/input.rst and output.rst of
aasensio/hazel2) and of its own reader, hazel/io_hazel.py.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = [
    "UNITS",
    "UNSEEN",
    "format_profile",
    "format_wavelengths",
    "format_weights",
    "with_noise",
]

UNSEEN: Final = 1e10
"""The standard deviation of a value that was not observed: it weighs nothing."""

UNITS: Final = {
    "Bx": "G", "By": "G", "Bz": "G", "B": "G", "thB": "deg", "phiB": "deg", "v": "km / s",
    "deltav": "km / s", "vmic": "km / s", "vmac": "km / s", "T": "K", "Pe": "dyn / cm2",
    "tau": "", "beta": "", "a": "", "ff": "",
}  # fmt: skip
"""The units of hazel's parameters: of a slab (tau, v, deltav, beta, a, ff and the field) and of a
photosphere (T, v, vmic, vmac, ff and the field)."""


def with_noise(
    stokes: NDArray[np.float64], sigma: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return profiles without NaN, and their standard deviations: `UNSEEN` where there was NaN.

    Parameters
    ----------
    stokes : array of float64, (..., wavelength, 4)
        NaN where a value was not observed.
    sigma : array
        Of a shape that broadcasts to that of `stokes`.
    """
    seen = np.isfinite(stokes)
    noise = np.broadcast_to(np.asarray(sigma, float), stokes.shape)
    return np.where(seen, stokes, 0.0), np.where(seen & np.isfinite(noise), noise, UNSEEN)


def format_wavelengths(angstrom: ArrayLike) -> str:
    """Write a file of wavelengths: one a line, in angstrom, under a header."""
    return "\n".join(["# lambda", *(f"{one:.10f}" for one in np.asarray(angstrom, float)), ""])


def format_weights(weights: ArrayLike) -> str:
    """Write a file of weights, of shape (wavelength, 4)."""
    lines = [" ".join(f"{one:g}" for one in row) for row in np.asarray(weights, float)]
    return "\n".join(["# WeightI WeightQ WeightU WeightV", *lines, ""])


def format_profile(los: ArrayLike, boundary: ArrayLike, stokes: ArrayLike, sigma: ArrayLike) -> str:
    """Write a file of a single pixel, whose name ends in ``.1d``.

    Parameters
    ----------
    los : array of 3
        theta, chi and gamma in degrees.
    boundary : array of 4
        I, Q, U and V that come from below, in units of the continuum at that place.
    stokes, sigma : array, (wavelength, 4)
        In units of the quiet Sun's continuum at the centre of the disk.
    """
    both = np.concatenate([np.asarray(stokes, float), np.asarray(sigma, float)], axis=1)
    lines = [
        "# LOS theta_LOS, phi_LOS, gamma_LOS",
        " ".join(f"{one:.6f}" for one in np.asarray(los, float)),
        "",
        "# Boundary condition I, Q, U, V",
        " ".join(f"{one:.6f}" for one in np.asarray(boundary, float)),
        "",
        "# SI SQ SU SV sigmaI sigmaQ sigmaU sigmaV",
        *(" ".join(f"{one:.10e}" for one in row) for row in both),
    ]
    return "\n".join([*lines, ""])

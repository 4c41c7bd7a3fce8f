"""Measure polarisation profiles: degrees, azimuth, cross-talk, rotation.

Intensities and wavelengths are arrays whose last axis is that of the wavelengths, ascending; a
sample that is NaN makes the value of its spectrum NaN.
"""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "azimuth", "centre_of_gravity", "circular_degree", "crosstalk", "edge_level", "integrate",
    "linear_degree", "rotate",
]  # fmt: skip

Spectra: TypeAlias = NDArray[np.float64]
How: TypeAlias = Literal["maximum", "mean"]


def integrate(values: Spectra, wavelengths: Spectra) -> Spectra:
    """Integrate over the wavelength by the trapezium rule, evenly spaced or not."""
    steps = np.diff(wavelengths, axis=-1)
    total: Spectra = ((values[..., 1:] + values[..., :-1]) / 2 * steps).sum(axis=-1)
    return total


def edge_level(intensity: Spectra) -> Spectra:
    """Return the brighter of the two ends of each spectrum: its continuum in a window of a line."""
    level: Spectra = np.maximum(intensity[..., 0], intensity[..., -1])
    return level[..., None]


def centre_of_gravity(intensity: Spectra, wavelengths: Spectra, level: Spectra) -> Spectra:
    """Compute the centre of gravity of a line, weighted by its depth below a level.

    Of an emission line, whose depths are negative, it is the same. Rees and Semel (1979)
    measure fields by it.
    """
    depth = level - intensity
    found: Spectra = integrate(depth * wavelengths, wavelengths) / integrate(depth, wavelengths)
    return found


def linear_degree(
    intensity: Spectra, wavelengths: Spectra, q: Spectra, u: Spectra, *, how: How
) -> tuple[Spectra]:
    """Compute the degree of linear polarisation, sqrt(Q**2 + U**2) / I, of a window.

    It is never negative, so that noise does not average out: without polarisation its mean is
    1.25 standard deviations of Q / I (the mean of a Rayleigh distribution), its maximum more.

    Parameters
    ----------
    how : {"maximum", "mean"}
        Over the window; the mean is over the wavelength.
    """
    degree = np.hypot(q, u) / intensity
    if how == "maximum":
        return (degree.max(axis=-1),)
    return (_mean(degree, wavelengths),)


def circular_degree(
    intensity: Spectra, wavelengths: Spectra, v: Spectra, *, how: How
) -> tuple[Spectra]:
    """Compute the degree of circular polarisation, abs(V) / I of a window, with a sign.

    Positive where V is positive on the blue side of the line and negative on the red one, which is
    what a field towards the observer makes of an absorption line. The sides meet at the centre of
    gravity of the intensity. Noise makes it larger, as with the linear one, by 0.8 standard
    deviations of V / I in the mean where there is no polarisation.

    Parameters
    ----------
    how : {"maximum", "mean"}
        Over the window; the mean is over the wavelength.
    """
    degree = v / intensity
    centre = centre_of_gravity(intensity, wavelengths, edge_level(intensity))[..., None]
    blue_less_red = integrate(np.sign(centre - wavelengths) * degree, wavelengths)
    size = np.abs(degree)
    size = size.max(axis=-1) if how == "maximum" else _mean(size, wavelengths)
    return (np.where(blue_less_red < 0, -size, size),)


def _mean(values: Spectra, wavelengths: Spectra) -> Spectra:
    if values.shape[-1] == 1:
        return values[..., 0]
    width = np.ptp(wavelengths, axis=-1)
    found: Spectra = integrate(values, wavelengths) / width
    return found


def azimuth(
    intensity: Spectra,
    wavelengths: Spectra,
    q: Spectra,
    u: Spectra,
    *,
    of: Literal["field", "polarisation"],
    is_emission: bool = False,
) -> tuple[Spectra]:
    """Compute the azimuth of the field across the line of sight, or of the linear polarisation.

    In degrees from +Q towards +U, from 0 to below 180: an azimuth and the opposite one polarise
    alike.

    That of the polarisation is half of the angle of (Q, U), both summed over the window. Of the
    Zeeman effect it is of no use over a whole line: its sigma components are polarised along the
    field and its pi component across it (in absorption: they take away what is polarised across
    and along it), and together they give nothing. So that of the field weights Q and U by the
    squared distance from the line's centre of gravity. Of a thin layer, whose absorption
    coefficients (Unno 1956; del Toro Iniesta 2003, Introduction to Spectropolarimetry) lower the
    continuum, with a normal triplet split by d and an area A of its unsplit line::

        integral of Q (x - x0)**2 dx = A d**2 / 4 * sin(inclination)**2 * cos(2 azimuth)

    whatever the shape of the components is, and however far they are split; and so of U with
    sin(2 azimuth). Magneto-optical effects are neglected. What is constant over the window is
    subtracted first.

    Parameters
    ----------
    of : {"field", "polarisation"}
    is_emission : bool
        Whether the line is in emission: its components are polarised the other way round.
    """
    if of == "polarisation":
        sums = [one.sum(axis=-1) if one.shape[-1] == 1 else integrate(one, wavelengths)
                for one in (q, u)]  # fmt: skip
    else:
        centre = centre_of_gravity(intensity, wavelengths, edge_level(intensity))[..., None]
        weights = (wavelengths - centre) ** 2
        if is_emission:
            weights = -weights
        sums = [
            integrate((one - _mean(one, wavelengths)[..., None]) * weights, wavelengths)
            for one in (q, u)
        ]
    return (np.degrees(np.arctan2(sums[1], sums[0]) / 2) % 180.0,)


def crosstalk(intensity: Spectra, _: Spectra, *others: Spectra) -> tuple[Spectra, ...]:
    """Compute the cross-talk from I into other parameters: their sums over the continuum by I's.

    The continuum near disk centre is hardly polarised: what Q, U and V have there came from I.
    Samples that are NaN are left out; where fewer than three are left, there is no value.
    """
    found = []
    for one in others:
        known = np.isfinite(intensity) & np.isfinite(one)
        share = np.where(known, one, 0).sum(axis=-1) / np.where(known, intensity, 0).sum(axis=-1)
        # Of a dark pixel, whose I is 0, there is none either.
        good = (known.sum(axis=-1) >= 3) & np.isfinite(share)
        found.append(np.where(good, share, np.nan))
    return tuple(found)


def rotate(q: Any, u: Any, angle: Any) -> tuple[Any, Any]:
    """Compute Q and U in a frame whose +Q is an angle in radians from the former, towards +U.

    Q' = Q cos 2a + U sin 2a and U' = U cos 2a - Q sin 2a (Landi Degl'Innocenti and Landolfi 2004,
    Polarization in Spectral Lines).
    """
    c, s = np.cos(2 * np.asarray(angle)), np.sin(2 * np.asarray(angle))
    return q * c + u * s, u * c - q * s

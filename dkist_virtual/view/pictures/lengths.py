"""Measure distances on a picture, in its own unit and in Mm on the Sun."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import astropy.units as u
import numpy as np
from sunpy.coordinates import (
    Heliocentric,
    HeliographicCarrington,
    HeliographicStonyhurst,
    Helioprojective,
)
from sunpy.sun import constants

from dkist_virtual.view.pictures.geometry import Sky

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dkist_virtual.view.pictures.geometry import Geometry

__all__ = ["length_text", "mm_per_unit", "path_length"]

RADIUS: Any = constants.radius


def mm_per_unit(frame: Any, unit: str) -> float | None:
    """Return the Mm on the Sun, in the middle of its disc, of a unit of a picture of the sky.

    None where the frame does not say how far the Sun is.
    """
    angle = u.Unit(unit)
    if isinstance(frame, (HeliographicStonyhurst, HeliographicCarrington)):
        return float(RADIUS.to_value(u.Mm) * angle.to(u.rad))
    if not isinstance(frame, (Helioprojective, Heliocentric)):
        return None
    distance = getattr(getattr(frame, "observer", None), "radius", None)
    if distance is None or distance.unit.physical_type != "length":
        return None
    return float((distance - RADIUS).to_value(u.Mm) * angle.to(u.rad))


def path_length(corners: Sequence[tuple[float, float]], geometry: Geometry) -> float | None:
    """Measure a path on the sky in its unit; None on a picture whose axes have different units."""
    if not isinstance(geometry, Sky):
        return None
    x, y = np.asarray(corners, float).T
    middle = (y[1:] + y[:-1]) / 2
    # On a sphere, a step in longitude is shorter away from its equator.
    across = np.diff(x) * np.cos((middle * u.Unit(geometry.unit)).to_value(u.rad))
    return float(np.hypot(across, np.diff(y)).sum())


def length_text(length: float, unit: str, mm: float | None) -> str:
    """Write a length: ``12.35 arcsec = 8.96 Mm``."""
    own = f"{length:.4g} {unit}"
    return own if mm is None else f"{own} = {length * mm:.4g} Mm"

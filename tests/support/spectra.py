"""Synthetic spectra of a known Sun, on the real coordinates and headers of DKIST's datasets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import astropy.units as u
import numpy as np
from dkist_assets import unpacked

import dkist_virtual as dv
from dkist_virtual.cube.world_axes import World

__all__ = ["absorption", "on_real", "real", "wavelengths_of"]

LIGHT = 299792.458
"""km/s"""


def real(name: str, directory: Path) -> Any:
    """One of the package's real datasets, without its frames: ``croppable_visp``, say."""
    return dv.Dataset.from_asdf(unpacked(f"{name}.asdf.gz", directory))


def wavelengths_of(ds: Any) -> np.ndarray[Any, Any]:
    """The wavelengths of a dataset in nm, in a shape that broadcasts to its pixels."""
    world = World(ds.wcs, ds.shape)
    axis = world.of_kind("wavelength")
    assert axis is not None
    (values,) = world.along([axis])
    shape = [ds.shape[n] if n in axis.array_axes else 1 for n in range(len(ds.shape))]
    return np.asarray((values * u.Unit(axis.unit)).to_value(u.nm)).reshape(shape)


def absorption(
    wavelengths: Any, center: Any, *, depth: Any = 0.7, sigma: Any = 0.008, continuum: Any = 1000.0
) -> Any:
    """A Gaussian line: its equivalent width is ``depth * sigma * sqrt(2 pi)``."""
    profile = np.exp(-0.5 * ((wavelengths - center) / sigma) ** 2)
    return continuum * (1 - depth * profile)


def on_real(ds: Any, pixels: Any, unit: str = "ct", mask: Any = None) -> Any:
    """Pixels of one's own on the coordinates and headers of a real dataset."""
    return ds.with_data(np.broadcast_to(np.asarray(pixels, float), ds.shape), unit=unit, mask=mask)

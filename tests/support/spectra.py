"""Synthetic spectra of a known Sun, on the real coordinates and headers of DKIST's datasets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import astropy.units as u
import numpy as np
from dkist_assets import unpacked

import dkist_virtual as dv
from dkist_virtual.cube.world_axes import World

__all__ = ["absorption", "on_real", "out_of_order", "real", "wavelengths_of"]

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


def out_of_order() -> Any:
    """Images of 4 x 5 pixels at seven wavelengths, taken in a jumble, unevenly spaced."""
    import gwcs
    import gwcs.coordinate_frames as cf
    from astropy.modeling.models import Scale, Tabular1D
    from sunpy.coordinates import Helioprojective

    taken = 630.25 + 0.01 * np.array([0.0, 3.1, -2.9, 1.2, -1.1, 2.0, -2.1])
    sky = cf.CelestialFrame(
        reference_frame=Helioprojective(obstime="2024-05-01", observer="earth"),
        axes_order=(0, 1), axes_names=("x", "y"),
        axis_physical_types=("custom:pos.helioprojective.lon", "custom:pos.helioprojective.lat"),
        unit=(u.arcsec, u.arcsec),
    )  # fmt: skip
    light = cf.SpectralFrame(axes_order=(2,), unit=u.nm, axes_names=("wavelength",))
    world = cf.CompositeFrame([sky, light])
    pixels = cf.CoordinateFrame(
        3, ["PIXEL"] * 3, (0, 1, 2), unit=[u.pix] * 3, axes_names=("x", "y", "scan"), name="pixels"
    )
    transform = Scale(0.1) & Scale(0.1) & Tabular1D(np.arange(7.0), taken)
    wcs = gwcs.WCS(transform, input_frame=pixels, output_frame=world)
    wcs.array_shape = (7, 4, 5)
    return dv.Dataset(np.zeros((7, 4, 5)), wcs=wcs, unit=u.ct)

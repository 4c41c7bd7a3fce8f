"""Define the WCS of a dataset with another wavelength scale."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import astropy.units as u
import numpy as np
from astropy.wcs.wcsapi.wrappers.base import BaseWCSWrapper

from dkist_virtual.cube.shifted_wcs import layers_of
from dkist_virtual.cube.world_axes import World, WorldAxis
from dkist_virtual.errors import DatasetError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dkist_virtual.cube.wavelengths.scale import WavelengthScale
    from dkist_virtual.protocols import LowLevelWCS

__all__ = ["ScaledWCS", "check_wavelengths", "scale_in"]


def check_wavelengths(wcs: Any, shape: Sequence[int]) -> WorldAxis:
    """Return the wavelengths of a WCS of data of a shape, and refuse those along several axes."""
    world = World(wcs, shape)
    axis = world.of_kind("wavelength")
    if axis is None:
        raise DatasetError(
            "calibrate_wavelength: this dataset has no axis of wavelengths: calibrate the dataset "
            "that it was made from"
        )
    if len(axis.array_axes) != 1:
        raise DatasetError(
            f"calibrate_wavelength: the wavelength changes along the axes {axis.array_axes} of the "
            "array: expected one axis"
        )
    if not u.Unit(axis.unit).is_equivalent(u.m):
        raise DatasetError(
            f"calibrate_wavelength: the spectral axis is in {axis.unit}: expected wavelengths, a "
            "length"
        )
    return axis


class ScaledWCS(BaseWCSWrapper):  # type: ignore[misc]  # astropy comes without types
    """A low-level WCS whose wavelengths are those of a scale.

    Parameters
    ----------
    wcs : BaseLowLevelWCS
        Whose wavelength changes along one axis of the array.
    scale : WavelengthScale
        In the axes of the data that the WCS describes.
    shape : tuple of int
        Of that data.

    Raises
    ------
    DatasetError
        The WCS has no axis of wavelengths, or the scale is of another axis.
    """

    def __init__(self, wcs: LowLevelWCS, scale: WavelengthScale, shape: Sequence[int]) -> None:
        super().__init__(wcs)
        self.scale = scale
        self.shape = tuple(shape)
        axis = check_wavelengths(wcs, shape)
        if axis.array_axes != (scale.axis,):
            raise DatasetError(
                f"wavelength scale: of axis {scale.axis} of the data: expected axis "
                f"{axis.array_axes[0]}, along which the wavelength changes"
            )
        self.index = axis.index
        self.pixel = len(self.shape) - 1 - scale.axis
        self.factor = float(u.Unit(scale.unit).to(wcs.world_axis_units[axis.index]))

    @property
    def unscaled(self) -> LowLevelWCS:
        """The WCS with the wavelengths that it had."""
        wcs: LowLevelWCS = self._wcs
        return wcs

    def _values(self, pixel_arrays: Sequence[Any]) -> list[Any]:
        values = self._wcs.pixel_to_world_values(*pixel_arrays)
        return [values] if self.world_n_dim == 1 else list(values)

    def pixel_to_world_values(self, *pixel_arrays: Any) -> Any:
        """Compute the coordinates, with the wavelengths of the scale."""
        values = self._values(pixel_arrays)
        before = np.asarray(values[self.index], float)
        scaled = self.scale.at(pixel_arrays[self.pixel]) * self.factor
        # Where the WCS has no coordinates, the scale has none either.
        values[self.index] = np.where(np.isnan(before), np.nan, scaled)[()]
        return values[0] if self.world_n_dim == 1 else tuple(values)

    def world_to_pixel_values(self, *world_arrays: Any) -> Any:
        """Compute the pixels of coordinates with the wavelengths of the scale."""
        world = list(world_arrays)
        given = np.asarray(world[self.index], float)
        pixel = self.scale.pixel_of(given / self.factor)
        known = np.isfinite(pixel)
        places: list[Any] = [np.zeros(pixel.shape)] * self.pixel_n_dim
        places[self.pixel] = np.where(known, pixel, 0.0)
        own = np.asarray(self._values(places)[self.index], float)
        world[self.index] = np.where(known, own, np.nan)[()]
        found = self._wcs.world_to_pixel_values(*world)
        if not self.scale.is_monotonic:
            return found
        # Its own inverse gives the same pixel, rounded once more.
        single = self.pixel_n_dim == 1
        made = [np.asarray(one, float) for one in ((found,) if single else found)]
        exact = np.broadcast_to(pixel, made[self.pixel].shape)
        made[self.pixel] = np.where(np.isfinite(made[self.pixel]), exact, made[self.pixel])
        plain = tuple(one[()] for one in made)
        return plain[0] if single else plain


def scale_in(wcs: Any, shape: Sequence[int]) -> WavelengthScale | None:
    """Find the scale in a low-level WCS of data, sliced or binned, in the data's axes."""
    for layer, positions in layers_of(wcs, shape):
        if isinstance(layer, ScaledWCS):
            return layer.scale.sampled(positions[: len(layer.shape)][::-1])
    return None

"""Find the axis of wavelengths of a dataset, and choose windows on it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, Protocol, Self

import astropy.units as u
import numpy as np

from dkist_virtual.cube.world_axes import World
from dkist_virtual.errors import SelectionError
from dkist_virtual.science.spectra.medium import Described, check_medium, convert, medium_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["SpectralAxis"]


class HasWCS(Described, Protocol):
    """A dataset: what has a WCS and a shape."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the array."""


@dataclass(frozen=True, eq=False)
class SpectralAxis:
    """The axis of an array along which the wavelength changes.

    Parameters
    ----------
    array_axis : int
    values : numpy.ndarray
        The wavelengths in the order of the array, float64 of shape (n,): they may be unsorted and
        unevenly spaced, as those of a scan may be.
    unit : Unit
        Of the values: a length, nm unless the WCS says otherwise.
    medium : {"air", "vacuum"} or None
        In which they are measured; None where nothing says so.
    """

    array_axis: int
    values: NDArray[np.float64]
    unit: u.UnitBase
    medium: Literal["air", "vacuum"] | None = None

    def __post_init__(self) -> None:
        if self.values.ndim != 1 or not self.unit.is_equivalent(u.nm):
            raise ValueError(
                f"a spectral axis has one wavelength for each pixel of it, in a unit of length, "
                f"found {self.values.shape} in {self.unit}"
            )

    def __repr__(self) -> str:
        low, high = self.values.min(), self.values.max()
        where = "in air or in vacuum, which is not known" if self.medium is None else (
            f"in {self.medium}"
        )  # fmt: skip
        return (
            f"SpectralAxis: {len(self.values)} wavelengths, {low:.8g} to {high:.8g} {self.unit} "
            f"{where}, along axis {self.array_axis} of the array"
        )

    @classmethod
    def of(cls, ds: HasWCS) -> Self:
        """Find the axis of a dataset by what its WCS says that it is, never by its label.

        Raises
        ------
        SelectionError
            No wavelength changes along an axis of the array, or along several.
        """
        world = World(ds.wcs, ds.shape)
        axis = world.of_kind("wavelength")
        if axis is None or not axis.array_axes:
            raise SelectionError(
                "spectral: along no axis of this selection the wavelength changes: select a range "
                "of wavelengths, as in ds.crop([630.1, 630.3] * u.nm), not one of them"
            )
        if len(axis.array_axes) > 1:
            raise SelectionError(
                f"spectral: the wavelength changes along the axes {axis.array_axes} of the array: "
                "expected one axis. Select a part in which it changes along one"
            )
        (on,) = axis.array_axes
        (values,) = world.along([axis])
        unit = u.Unit(axis.unit or "nm")
        if not unit.is_equivalent(u.nm):
            values, unit = (values * unit).to_value(u.nm, u.spectral()), u.nm
        return cls(on, np.array(values, float), unit, medium_of(_of_one_frame(ds)))

    def in_medium(self, medium: Literal["air", "vacuum"] | None) -> SpectralAxis:
        """Convert it to another medium; None leaves it as it is."""
        wanted = check_medium(medium)
        if wanted in (None, self.medium):
            return self
        values = convert(self.wavelengths, self.medium, wanted).to_value(self.unit)
        return replace(self, values=np.asarray(values, float), medium=wanted)

    @property
    def wavelengths(self) -> u.Quantity:
        """The wavelengths, in the order of the array."""
        return u.Quantity(self.values, self.unit)

    @property
    def order(self) -> NDArray[np.intp]:
        """Which places of the array have the wavelengths in ascending order."""
        return np.argsort(self.values, kind="stable")

    def window(
        self, window: u.Quantity | None, line: u.Quantity | None = None
    ) -> NDArray[np.bool_]:
        """Return which wavelengths, in the order of the array, are in a window, ends included.

        Parameters
        ----------
        window : Quantity or None
            The half width around a line, or two ends; None for all wavelengths.
        line : Quantity, optional
            The wavelength of the line, in the medium of the axis.

        Raises
        ------
        SelectionError
            A half width without a line, or a window in which no wavelength is.
        """
        if window is None:
            return np.ones(len(self.values), bool)
        low, high = self.ends(window, line)
        found = (self.values >= low) & (self.values <= high)
        if not found.any():
            have = np.array([self.values.min(), self.values.max()])
            raise SelectionError(
                f"window: no wavelength is from {low:.6g} to {high:.6g} {self.unit}: this "
                f"selection has {have[0]:.6g} to {have[1]:.6g} {self.unit}"
            )
        return found

    def ends(self, window: u.Quantity, line: u.Quantity | None = None) -> tuple[float, float]:
        """Return the ends of a window in the unit of the axis: see `window`."""
        if not isinstance(window, u.Quantity) or window.shape not in ((), (2,)):
            raise SelectionError(
                f"window = {window!r}: expected a Quantity, the half width around the line or two "
                "ends, as in 0.05 * u.nm or [630.2, 630.3] * u.nm"
            )
        try:
            values = window.to_value(self.unit)
        except u.UnitConversionError:
            raise SelectionError(
                f"window = {window}: expected a length, such as {self.unit}"
            ) from None
        if window.shape == (2,):
            return float(values.min()), float(values.max())
        if line is None:
            raise SelectionError(
                f"window = {window}: is half of a width around a line: give line=, or two ends"
            )
        middle = float(line.to_value(self.unit))
        return middle - float(values), middle + float(values)


def _of_one_frame(ds: Any) -> Any:
    """Return a frame of a dataset whose headers were not read: they say of all the same.

    A table that was read is copied with every result.
    """
    origin = getattr(ds, "provenance", None)
    if origin is None or ds.meta.headers.is_read:
        return ds
    n = len(origin.array.frame_shape)
    return ds[(slice(0, 1),) * n] if n else ds

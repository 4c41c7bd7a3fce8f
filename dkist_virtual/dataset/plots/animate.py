"""Draw with mpl-animators' sliders, on coordinates of ndcube's, without reading it all."""

from __future__ import annotations

import warnings
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import astropy.units as u
import numpy as np
from astropy.utils.exceptions import AstropyUserWarning
from ndcube.visualization.mpl_plotter import MatplotlibPlotter

from dkist_virtual.plot.interface.keywords import check_animated, convert_limits, unit_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dkist_virtual.plot.planes import ShownAxes

__all__ = ["Planes", "animate", "convert_pixels"]


def convert_pixels(pixels: NDArray[Any], unit: u.UnitBase, wanted: u.UnitBase) -> NDArray[Any]:
    """Convert pixels to another unit, as ndcube does."""
    converted: NDArray[Any] = u.Quantity(pixels, unit).to_value(wanted)
    return converted


def animate(ds: Any, shown: ShownAxes, *, figure: Any, data_unit: Any, **look: Any) -> Any:
    """Draw with mpl-animators' sliders, on the coordinates asked for, as ndcube does.

    A plane is read when it is shown.
    """
    title = look.pop("title", None)
    check_animated(look, image=shown.y is not None)
    look = convert_limits(look, unit_of(ds.unit, data_unit))
    named = {shown.x: "x", shown.y: "y"}
    cube = SimpleNamespace(
        data=Planes(ds, data_unit), mask=None, unit=None, uncertainty=None,
        wcs=ds.wcs, combined_wcs=ds.combined_wcs, shape=ds.shape,
    )  # fmt: skip
    lists = {name: list(look.pop(name)) for name in ("axes_coordinates", "axes_units")
             if isinstance(look.get(name), (list, tuple))}  # fmt: skip
    plot_axes = [named.get(axis) for axis in range(shown.ndim)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AstropyUserWarning)
        made = MatplotlibPlotter(cube).plot(plot_axes=plot_axes, fig=figure, **lists, **look)
    if title is not None:
        made.axes.set_title(title or "")
    return made


class Planes:
    """The pixels of a dataset, masked where it is: an array that is read when it is indexed."""

    def __init__(self, ds: Any, data_unit: Any) -> None:
        self._subject, self._unit, self._wanted = ds.subject(), ds.unit, unit_of(ds.unit, data_unit)
        self.shape = ds.shape
        self.ndim = len(ds.shape)
        self.dtype = np.dtype(ds.data.dtype)

    def __getitem__(self, index: tuple[int | slice, ...]) -> NDArray[Any]:
        data: Any = self._subject.data
        pixels = np.asarray(data[index])
        if self._wanted != self._unit and self._unit is not None and self._wanted is not None:
            pixels = convert_pixels(pixels, self._unit, self._wanted)
        mask = self._subject.mask
        if mask is None:
            return pixels
        hidden = mask if isinstance(mask, bool) else np.asarray(mask[index], bool)
        masked: NDArray[Any] = np.ma.masked_array(pixels, hidden)
        return masked

    def _end(self, find: Any) -> float:
        planes = (np.asarray(self[(frame, *[slice(None)] * (self.ndim - 1))], float)
                  for frame in range(self.shape[0]))  # fmt: skip
        return float(find([find(plane) for plane in planes]))

    def min(self) -> float:
        """Read all pixels for the smallest."""
        return self._end(np.nanmin)

    def max(self) -> float:
        """Read all pixels for the largest."""
        return self._end(np.nanmax)

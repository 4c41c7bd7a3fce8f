"""Draw a dataset in a figure with sliders, in given axes, or on coordinates of ndcube's."""

from __future__ import annotations

import warnings
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from matplotlib.axes import Axes

from dkist_virtual.dataset.plots.animate import animate, convert_pixels
from dkist_virtual.dataset.plots.in_memory import read_cube
from dkist_virtual.errors import DKISTVirtualWarning
from dkist_virtual.plot.base import fits
from dkist_virtual.plot.image_plot import ImagePlot
from dkist_virtual.plot.interface.current import empty_current_figure
from dkist_virtual.plot.interface.given_axes import check_axes, draw_in_axes
from dkist_virtual.plot.interface.keywords import (
    COORDINATES,
    convert_limits,
    one_figure,
    refuse_those_of_animators,
    unit_of,
)
from dkist_virtual.plot.line_plot import LinePlot
from dkist_virtual.plot.planes import shown_axes

if TYPE_CHECKING:
    from collections.abc import Sequence

    import astropy.units as u
    from matplotlib.figure import Figure, SubFigure

    from dkist_virtual.plot.planes import ShownAxes, Subject

__all__ = ["draw"]


def draw(ds: Any, axes: object, plot_axes: object, figure: Any, look: dict[str, Any]) -> Any:
    """Draw a dataset, see `Dataset.plot`; `look` has the other keywords."""
    if isinstance(axes, (list, tuple, str)) and not isinstance(axes, Axes):
        if plot_axes is not None:
            raise TypeError("plot: axes of the array are given twice")
        axes, plot_axes = None, axes
    figure = one_figure(figure, look.pop("fig", None))
    named = [plot_axes] if isinstance(plot_axes, str) or plot_axes is Ellipsis else plot_axes
    coordinates = {name: look.pop(name, None) for name in COORDINATES}
    coordinates = {name: value for name, value in coordinates.items() if value is not None}
    subject, data_unit = ds.subject(), look.pop("data_unit", None)
    shown = _shown(subject, named, as_ndcube=axes is not None or bool(coordinates))
    if axes is not None:
        given = check_axes(axes)
        if figure is not None and given.get_figure() is not figure:
            raise TypeError(
                "axes and figure: these axes are in another figure. Expected one of them"
            )
        if not shown.sliding:
            return _draw_in(given, ds, shown, coordinates, data_unit, look)
        warnings.warn(
            f"plot(axes=...) of a selection of shape {ds.shape}: needs sliders, so it is drawn in "
            "a figure of its own, as ndcube does. ds[0, 0].plot(axes=...) draws a plane in axes",
            DKISTVirtualWarning,
            stacklevel=3,
        )
    if coordinates:
        return _draw_on(ds, shown, figure, coordinates, data_unit, look)
    refuse_those_of_animators(look)
    subject = _in_unit(subject, ds.unit, data_unit)
    look = convert_limits(look, unit_of(ds.unit, data_unit))
    if figure is None and not shown.sliding:
        empty = empty_current_figure()
        figure = empty if empty is not None and fits(empty, 0) else None
    kind = LinePlot if shown.y is None else ImagePlot
    return kind(subject, shown, figure=figure, **look)


def _shown(subject: Subject, named: Any, *, as_ndcube: bool) -> ShownAxes:
    """Choose the axes to draw; ndcube's default is the last to the right."""
    if named is None and as_ndcube:
        named = [..., *(["y", "x"] if len(subject.world.shape) > 1 else ["x"])]
    return shown_axes(subject.world, named)


def _in_unit(subject: Subject, unit: u.UnitBase | None, data_unit: Any) -> Subject:
    """Show pixels in another unit."""
    wanted = unit_of(unit, data_unit)
    if data_unit is None or unit is None or wanted is None:
        return subject
    return replace(
        subject, unit=str(wanted), convert=partial(convert_pixels, unit=unit, wanted=wanted)
    )


def _draw_in(
    axes: Axes,
    ds: Any,
    shown: ShownAxes,
    coordinates: dict[str, Any],
    data_unit: Any,
    look: dict[str, Any],
) -> Axes:
    """Draw a selection without sliders in axes; axes of the array that are one pixel long go."""
    drawn = shown.drawn
    if len(drawn) < shown.ndim:
        index = tuple(slice(None) if axis in drawn else 0 for axis in range(shown.ndim))
        y = None if shown.y is None else drawn.index(shown.y)
        coordinates = _units_left(coordinates, ds, drawn)
        shown = replace(shown, x=drawn.index(shown.x), y=y, ndim=len(drawn))
        ds = ds[index]
    subject = ds.subject()
    cube, absent = read_cube(ds, subject)
    if data_unit is not None:
        look["data_unit"] = data_unit
    return draw_in_axes(axes, cube, subject, shown, absent, **coordinates, **look)


def _units_left(coordinates: dict[str, Any], ds: Any, drawn: Sequence[int]) -> dict[str, Any]:
    """Leave out the units of coordinates that do not change along the axes drawn."""
    units, matrix = coordinates.get("axes_units"), ds.wcs.low_level_wcs.axis_correlation_matrix
    if not isinstance(units, (list, tuple)) or len(units) != len(matrix):
        return coordinates
    changes = matrix[:, [len(ds.shape) - 1 - axis for axis in drawn]].any(axis=1)
    kept = [unit for unit, left in zip(units, changes[::-1], strict=True) if left]
    return {**coordinates, "axes_units": kept}


def _draw_on(
    ds: Any,
    shown: ShownAxes,
    figure: Figure | SubFigure | None,
    coordinates: dict[str, Any],
    data_unit: Any,
    look: dict[str, Any],
) -> Any:
    """Draw on coordinates that are asked for, in axes of astropy's, as ndcube does."""
    import matplotlib.pyplot as plt

    if shown.sliding:
        return animate(ds, shown, figure=figure, data_unit=data_unit, **coordinates, **look)
    if figure is None:
        figure = empty_current_figure() or plt.figure()
    axes = figure.add_subplot(projection=ds.wcs, slices=_slices(shown))
    return _draw_in(axes, ds, shown, coordinates, data_unit, look)


def _slices(shown: ShownAxes) -> list[Any]:
    """Write which axes are drawn as `~astropy.visualization.wcsaxes.WCSAxes` takes it."""
    named = {shown.x: "x", shown.y: "y"}
    return [named.get(axis, 0) for axis in reversed(range(shown.ndim))]

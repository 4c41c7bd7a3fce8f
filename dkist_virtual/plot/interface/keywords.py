"""Check the keywords of plots by name; convert limits that are Quantities."""

from __future__ import annotations

import inspect
from functools import cache
from typing import TYPE_CHECKING, Any, Final

import astropy.units as u
from matplotlib.artist import ArtistInspector
from matplotlib.axes import Axes
from matplotlib.image import AxesImage
from matplotlib.lines import Line2D

from dkist_virtual.text import check_keywords

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["COORDINATES", "NDCUBE", "check_animated", "check_given", "convert_limits",
           "one_figure", "refuse_those_of_animators", "unit_of"]  # fmt: skip

COORDINATES: Final = ("axes_coordinates", "axes_units", "wcs")
"""Keywords of a plot of ndcube's that say which coordinates are on the axes."""
NDCUBE: Final = ("plot_axes", *COORDINATES, "data_unit")
"""All keywords of a plot of ndcube's but for the axes, and those of matplotlib."""

_MOVING: Final = ("figure", "axes", "transform", "data", "xdata", "ydata", "extent")
"""Properties of images and lines that would move pixels away from their coordinates."""


_OWN: Final = "buttons and functions of your own go into plot.figure by matplotlib.widgets"
_OF_ANIMATORS: Final = {
    "button_func": _OWN,
    "button_labels": _OWN,
    "slider_functions": _OWN,
    "slider_ranges": "ds[10:20].plot() has a slider for a part of an axis",
    "start_image_func": _OWN,
    "coord_params": "plot.coords has methods for each of them",
    "interval": "plot.get_animation(interval=...) takes it",
    "extent": "pixels are drawn where their coordinates are",
}
"""Keywords of mpl-animators' that a plot refuses, and what to write instead."""


@cache
def _known(kind: str) -> frozenset[str]:
    """List the keywords that matplotlib has for an image, a line or a line with error bars."""
    inspector = ArtistInspector(AxesImage if kind == "image" else Line2D)
    names = set(inspector.get_setters())
    names |= {alias for some in inspector.aliasd.values() for alias in some}
    functions: dict[str, Any] = {"image": Axes.imshow, "bars": Axes.errorbar}
    if kind in functions:
        given = inspect.signature(functions[kind]).parameters.values()
        names |= {one.name for one in given if one.kind is not one.VAR_KEYWORD}
        names -= {"self", "X", "x", "y", "xerr", "yerr"}
    return frozenset(names.difference(_MOVING))


def check_given(kind: str, given: Mapping[str, Any]) -> None:
    """Refuse the unknown keywords of a plot in given axes: TypeError names those that are known.

    `kind` is ``"image"``, ``"line"``, or ``"bars"`` for a line with error bars.
    """
    what = "an image" if kind == "image" else "a line"
    known = {*_known(kind), *NDCUBE, "axes", "title"}
    check_keywords(f"plot of {what} in given axes", given, known)


def check_animated(given: Mapping[str, Any], *, image: bool) -> None:
    """Refuse the unknown keywords of a figure of mpl-animators'."""
    from mpl_animators import ArrayAnimatorWCS
    from mpl_animators.base import BaseFuncAnimator

    known = set(_known("image" if image else "line"))
    for kind in (ArrayAnimatorWCS, BaseFuncAnimator):
        known.update(inspect.signature(kind).parameters)
    known = known - {"data", "slices", "coord_params", "kwargs"} | set(NDCUBE)
    check_keywords("plot with sliders", given, known)


def refuse_those_of_animators(given: Mapping[str, Any]) -> None:
    """Refuse keywords that only mpl-animators' figures have, and say what to write instead."""
    for name in given:
        if name in _OF_ANIMATORS:
            raise TypeError(f"plot: {name}: {_OF_ANIMATORS[name]}")


def one_figure(figure: Any, fig: Any) -> Any:
    """Return the figure that is given by one of its two names."""
    if figure is not None and fig is not None and fig is not figure:
        raise TypeError("figure and fig: two figures are given. Expected one of them")
    return fig if figure is None else figure


def unit_of(unit: u.UnitBase | None, data_unit: Any) -> u.UnitBase | None:
    """Return the unit in which pixels are drawn.

    Raises TypeError if the pixels have none to be converted, UnitConversionError if theirs does
    not convert.
    """
    if data_unit is None:
        return unit
    if unit is None:
        raise TypeError(
            f"data_unit = {data_unit!s}: the pixels have no unit: (ds * u.ct).plot() gives them one"
        )
    wanted = u.Unit(data_unit)
    if not unit.is_equivalent(wanted):
        raise u.UnitConversionError(
            f"data_unit = {data_unit!s}: the pixels are in [{unit}], which does not convert to it"
        )
    return wanted


def convert_limits(look: Mapping[str, Any], unit: u.UnitBase | None) -> dict[str, Any]:
    """Convert vmin and vmax that are Quantities to numbers in the unit of the pixels drawn."""
    look = dict(look)
    for name in ("vmin", "vmax"):
        value = look.get(name)
        if not isinstance(value, u.Quantity):
            continue
        if not value.isscalar:
            raise TypeError(f"{name} = {value}: expected a single value")
        try:
            look[name] = float(value.to_value(unit or u.dimensionless_unscaled))
        except u.UnitsError:
            drawn = "have no unit" if unit is None else f"are in [{unit}]"
            raise u.UnitConversionError(f"{name} = {value}: the pixels drawn {drawn}") from None
    return look

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

__all__ = ["COORDINATES", "NDCUBE", "check_given", "convert_limits", "unit_of"]

COORDINATES: Final = ("axes_coordinates", "axes_units", "wcs")
"""Keywords of a plot of ndcube's that say which coordinates are on the axes."""
NDCUBE: Final = ("plot_axes", *COORDINATES, "data_unit")
"""All keywords of a plot of ndcube's but for the axes, and those of matplotlib."""

_MOVING: Final = ("figure", "axes", "transform", "data", "xdata", "ydata", "extent", "origin")
"""Properties of images and lines that would move pixels away from their coordinates."""


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
        try:
            look[name] = float(value.to_value(unit or u.dimensionless_unscaled))
        except u.UnitsError:
            drawn = "have no unit" if unit is None else f"are in [{unit}]"
            raise u.UnitConversionError(f"{name} = {value}: the pixels drawn {drawn}") from None
    return look

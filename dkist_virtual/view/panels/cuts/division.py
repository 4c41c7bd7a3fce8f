"""Divide cuts as profiles are: by the continuum of Stokes I, by the mean spectrum of the field."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

import numpy as np

from dkist_virtual.view.panels.curves.units import Units
from dkist_virtual.view.reading.pixels import READ

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from dkist_virtual.view.reading.cuts import Cut
    from dkist_virtual.view.reading.means import MeanSpectra
    from dkist_virtual.view.state.state import Point, ViewState

__all__ = ["CutRequest", "UnitCut", "is_divided", "read_in_units", "why_not"]


@dataclass(frozen=True, eq=False)
class CutRequest:
    """A cut that is to be read.

    Parameters
    ----------
    point : Point
    read : callable
        Takes a point, and the pixels that are read along the axis of wavelengths if the cut has it
        (None for all); reads the cut there part by part.
    along : int or None
        The axis of the cut's image that is the one of wavelengths: 0 for rows, 1 for columns. None
        where it is cut at the wavelength of the point.
    """

    point: Point
    read: Callable[[Point, range | None], Iterator[Cut]]
    along: int | None


@dataclass(frozen=True, eq=False)
class UnitCut:
    """A cut, the units that it is in, and why they are not those of the profiles, if so."""

    cut: Cut
    units: Units
    note: str = ""


def why_not(means: MeanSpectra, wavelength: int | None) -> str:
    """Say why cuts cannot be divided; empty where they can. `wavelength` is the array axis."""
    if means.lacks or wavelength == means.along:
        return means.lacks
    return "its profiles are not along wavelength"


def is_divided(state: ViewState) -> bool:
    """Tell whether profiles are divided by anything."""
    return state.fractions or state.detrended


def read_in_units(
    request: CutRequest, state: ViewState, means: MeanSpectra, unit: str, lacks: str
) -> Iterator[UnitCut | None]:
    """Read a cut in the units that profiles are drawn in; yield it after each batch of frames.

    A None is a place to stop.

    Parameters
    ----------
    request : CutRequest
    state : ViewState
    means : MeanSpectra
    unit : str
        Of the data.
    lacks : str
        See `why_not`.
    """
    plain = Units(unit)
    if not is_divided(state):
        for cut in request.read(request.point, None):
            yield UnitCut(cut, plain)
        return
    mean = None
    for part in () if lacks else means.steps(state):
        mean = part
        yield None
    fault = "" if mean is None else mean.fault
    units = Units(unit, state.fractions, state.detrended, None if mean is None else mean.values)
    if units.continuum is None:
        note = f"Not divided: {lacks or fault or 'the mean spectrum is not known'}"
        for cut in request.read(request.point, None):
            yield UnitCut(cut, plain, note)
        return
    for cut in _divided(request, units, means):
        yield UnitCut(replace(cut, fault=cut.fault or fault), units)


def _divided(request: CutRequest, units: Units, means: MeanSpectra) -> Iterator[Cut]:
    pixel, along = units.continuum, request.along
    assert pixel is not None
    trend: Any = units.trend(pixel)
    if trend is not None:
        trend = trend[request.point[means.along]] if along is None else trend
        trend = trend[:, None] if along == 0 else trend
    continuum = list(request.point)
    if means.stokes is not None:
        continuum[means.stokes] = means.intensity
    if not units.fractions:
        for cut in request.read(request.point, None):
            yield replace(cut, values=units.divide(np.asarray(cut.values, float), 1.0, trend))
        return
    at = slice(pixel, pixel + 1)
    if along is not None and tuple(continuum) == tuple(request.point):
        for cut in request.read(request.point, None):
            place = (at, slice(None)) if along == 0 else (slice(None), at)
            yield _quotient(cut, replace(cut, values=cut.values[place], marks=cut.marks[place]),
                            units, trend)  # fmt: skip
        return
    continuum[means.along] = pixel
    only = None if along is None else range(pixel, pixel + 1)
    shown = below = None
    both = request.read(request.point, None), request.read(tuple(continuum), only)
    for cut, other in zip_longest(*both):
        shown, below = cut or shown, other or below
        if shown is not None and below is not None:
            yield _quotient(shown, below, units, trend)


def _quotient(cut: Cut, continuum: Cut, units: Units, trend: Any) -> Cut:
    """Divide a cut; what is not known of its continuum is not known of it."""
    values = units.divide(np.asarray(cut.values, float), continuum.values, trend)
    marks = np.where(cut.marks == READ, continuum.marks, cut.marks).astype(np.uint8)
    return replace(cut, values=values, marks=marks, fault=cut.fault or continuum.fault)

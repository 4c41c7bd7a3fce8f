"""Choose the planes that a picture is made from: the pixels themselves, or a few to compute it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from dkist_virtual.errors import SelectionError
from dkist_virtual.plot.pixel_plot import is_signed
from dkist_virtual.plot.planes import ShownAxes
from dkist_virtual.view.pictures.levels import PLAIN_CMAP, SIGNED_CMAP
from dkist_virtual.view.pictures.wavelengths import in_nm, shifted_line
from dkist_virtual.view.reading.reference import ReferenceReader, continuum_pixel, intensity_pixel
from dkist_virtual.view.reading.wings import SPEED_OF_LIGHT, Wings, doppler, fraction

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from dkist_virtual.view.source import Source
    from dkist_virtual.view.state.state import PictureState, Point, ViewState

__all__ = ["Layering", "Layers"]

RECEDING_RED: Final = "RdBu"
"""Of red minus blue wings: an absorption line that is shifted to the red has a darker red wing."""

DOPPLER: Final = (
    "(red \N{MINUS SIGN} blue) / (red + blue), \N{PLUS-MINUS SIGN}%.1f km/s\n"
    "absorption: + towards us, \N{MINUS SIGN} away"
)
UNCALIBRATED: Final = (
    "(next \N{MINUS SIGN} previous) / (next + previous)\nno wavelengths: sign of velocity not known"
)
"""Labels of Doppler pictures. Of a line in emission, the signs are the other way round."""


@dataclass(frozen=True, eq=False)
class Layers:
    """The planes that a picture is computed from.

    Parameters
    ----------
    points : tuple of Point
        One for each plane: the pixel of each array axis.
    combine : callable or None
        From the pixels of all planes, as arrays of one shape, to those of the picture; None where
        there is one plane, which is the picture.
    is_signed : bool
        Whether zero is in the middle of the colours.
    label : str
        Quantity and unit.
    own_cmap : str or None
        The colours that fit it; None for those of signed, and of other, pixels.
    """

    points: tuple[Point, ...]
    combine: Callable[..., NDArray[Any]] | None
    is_signed: bool
    label: str
    own_cmap: str | None = None

    @property
    def cmap(self) -> str:
        """The colours, if the picture has none of its own."""
        return self.own_cmap or (SIGNED_CMAP if self.is_signed else PLAIN_CMAP)


class Layering:
    """Chooses the planes of pictures, and keeps the continuum of each dataset."""

    def __init__(self) -> None:
        self._continua: dict[int, float] = {}

    def of(self, source: Source, picture: PictureState, at: Point, state: ViewState) -> Layers:
        """Choose the planes of a picture at a point of its dataset.

        The continuum is read the first time that a picture is in units of it.

        Raises
        ------
        SelectionError
            The dataset has no such picture.
        """
        if picture.kind == "doppler":
            return _doppler(source, picture, at, state)
        subject = source.subject
        values = [float(value) for value in subject.world.values(*map(float, at))]
        signed = is_signed(subject, ShownAxes(*picture.axes, (), len(at)), values)
        letter = None if subject.quantity else _stokes_letter(source, picture, values)
        if picture.kind == "data":
            unit = f" [{subject.unit}]" if subject.unit else ""
            label = f"Stokes {letter}{unit}" if letter else subject.label
            return Layers((at,), None, signed, label)
        combine = partial(fraction, continuum=self._continuum(source))
        return Layers((at,), combine, signed, f"{letter or 'I'} / Ic")

    def forget_absent(self) -> None:
        """Find the continuum again, from which frames may have been absent."""
        self._continua.clear()

    def _continuum(self, source: Source) -> float:
        """Return the continuum of Stokes I, averaged over the field."""
        known = self._continua.get(id(source))
        if known is not None:
            return known
        roles = source.roles
        if roles.wavelength is None:
            raise SelectionError(
                "a picture in units of the continuum: expected an axis of wavelengths, in which to "
                "find it"
            )
        sky = tuple({*(roles.sky or ()), *roles.frame, *([] if roles.raster is None else
                    [roles.raster])} - {roles.wavelength, roles.time})  # fmt: skip
        reader = ReferenceReader(source.subject, roles.wavelength, roles.stokes, sky, roles.time)
        reference = list(reader.steps(source.middle()))[-1]
        pixel = continuum_pixel(reference.values)
        value = np.nan if pixel is None else float(reference.values[pixel])
        if not value > 0:
            raise SelectionError(
                f"a picture in units of the continuum: found {value:.3g} as the mean of the field: "
                f"expected it to be positive. {reference.fault}".rstrip()
            )
        if not reference.fault:
            self._continua[id(source)] = value
        return value


def _stokes_letter(source: Source, picture: PictureState, values: list[float]) -> str | None:
    """Return the Stokes parameter of a picture; None where it draws several, or none is stated."""
    axis, world = source.roles.stokes, source.subject.world
    stokes = world.of_kind("stokes")
    if axis is None or stokes is None or axis in picture.axes:
        return None
    return world.text(stokes, values[stokes.index])


def _doppler(source: Source, picture: PictureState, at: Point, state: ViewState) -> Layers:
    roles, world = source.roles, source.subject.world
    axis = roles.wavelength
    if axis is None or axis in picture.axes or world.shape[axis] < 2:
        raise SelectionError(
            "a picture of red minus blue wing: expected an axis of wavelengths that the picture "
            "does not draw"
        )
    coordinate = world.of_kind("wavelength")
    assert coordinate is not None
    n = world.shape[axis]
    positions: list[Any] = [np.full(n, float(pixel)) for pixel in at]
    positions[axis] = np.arange(n, dtype=float)
    values = world.values(*positions)[coordinate.index]
    nm = in_nm(values, coordinate.unit)
    if nm is None:
        nm = shifted_line(values, coordinate.unit, 1.0 if state.line is None else state.line)
    wings, centre = _neighbours(at[axis], n), 1.0
    if nm is not None:
        centre = float(nm[at[axis]]) if state.line is None else state.line
        wings = Wings.of(nm, centre, centre * state.wing / SPEED_OF_LIGHT)
    if wings is None:
        raise SelectionError(
            "a picture of red minus blue wing: the data have wavelengths on one side alone of the "
            "line, or else of the point: choose one inside of what was observed"
        )
    intensity = list(at)
    if roles.stokes is not None and roles.stokes not in picture.axes:
        found = intensity_pixel(source.subject)
        intensity[roles.stokes] = at[roles.stokes] if found is None else found
    points = []
    for pixel in (wings.red, wings.blue):
        intensity[axis] = pixel
        points.append(tuple(intensity))
    if nm is None:
        return Layers(tuple(points), doppler, True, UNCALIBRATED)
    km = SPEED_OF_LIGHT * wings.offset / centre
    return Layers(tuple(points), doppler, True, DOPPLER % km, RECEDING_RED)


def _neighbours(pixel: int, n: int) -> Wings | None:
    """Return the pixels before and after one, where no wavelength says how far wings are."""
    return Wings(pixel - 1, pixel + 1, 1.0) if 0 < pixel < n - 1 else None

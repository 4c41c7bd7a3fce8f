"""List the coordinates of an array in the units of FITS, and evaluate them at its pixels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import astropy.units as u
import numpy as np

from dkist_virtual.cube.world_axes import World, wrap

if TYPE_CHECKING:
    from astropy.time import Time
    from astropy.wcs.wcsapi import BaseHighLevelWCS

    from dkist_virtual.cube.world_axes import Kind, Values, WorldAxis
    from dkist_virtual.protocols import LowLevelWCS

__all__ = ["Coordinate", "Coordinates"]

_SPECTRAL: Final = (
    (u.m, "WAVE"), (u.Hz, "FREQ"), (u.J, "ENER"), (1 / u.m, "WAVN"),
)  # fmt: skip

_SKY: Final = {
    "helioprojective": ("HPLN", "HPLT"),
    "heliographic_stonyhurst": ("HGLN", "HGLT"),
    "heliographic_carrington": ("CRLN", "CRLT"),
    "icrs": ("RA", "DEC"),
}


@dataclass(frozen=True, eq=False)
class Coordinate:
    """A coordinate in the words of FITS.

    Parameters
    ----------
    kind : Kind
    code : str
        What its CTYPE begins with.
    name : str
    unit : str
        That it has in FITS.
    pixels : tuple of int
        The pixel axes, x first, along which it changes; none where it is constant.
    """

    kind: Kind
    code: str
    name: str
    unit: str
    pixels: tuple[int, ...]


class Coordinates:
    """The coordinates of an array: those along its axes, and those that indices dropped.

    Parameters
    ----------
    wcs : WCS
        High or low level.
    shape : sequence of int
        Of the array.
    spectral : str
        The code of wavelengths: WAVE, or AWAV for those in air.

    Attributes
    ----------
    all : list of Coordinate
        Longitudes stand before their latitudes.
    unsaid : list of str
        For each coordinate that FITS has no words for, a sentence.
    """

    def __init__(
        self, wcs: BaseHighLevelWCS | LowLevelWCS, shape: Sequence[int], spectral: str = "WAVE"
    ) -> None:
        self.world = World(wcs, shape)
        self.shape = self.world.shape
        self.n_pixels = len(self.shape)
        self.all: list[Coordinate] = []
        self.unsaid: list[str] = []
        self._where: list[tuple[World, WorldAxis, float]] = []
        self._epoch: tuple[World, WorldAxis] | None = None
        order = {"longitude": 0, "latitude": 1}
        found = [(part, axis) for part in self.world.parts for axis in part.axes]
        for part, axis in sorted(found, key=lambda one: order.get(one[1].kind, 2)):
            made = self._coordinate(part, axis, spectral)
            if isinstance(made, str):
                self.unsaid.append(f"{axis.label}: {made}")
            else:
                self.all.append(made[0])
                self._where.append((part, axis, made[1]))
        kinds = [one.kind for one in self.all]
        if kinds.count("longitude") != kinds.count("latitude") or kinds.count("longitude") > 1:
            self.unsaid.append("the sky: expected one longitude and one latitude")
        self._constants = {
            id(axis): float(np.ravel(part.along([axis])[0])[0])
            for part, axis, _ in self._where
            if part is not self.world
        }

    def _coordinate(
        self, part: World, axis: WorldAxis, spectral: str
    ) -> tuple[Coordinate, float] | str:
        """Describe a coordinate, with the factor to its unit in FITS; or say why FITS cannot."""
        pixels = tuple(self.n_pixels - 1 - on for on in reversed(axis.array_axes))

        def of(code: str, unit: str) -> Coordinate:
            return Coordinate(axis.kind, code, axis.label, unit, pixels)

        if axis.kind in ("longitude", "latitude"):
            codes = _SKY.get(getattr(self.world.frame or part.frame, "name", ""))
            if codes is None:
                return "FITS has no name for its frame"
            code = codes[axis.kind == "latitude"]
            return of(code, "deg"), float(u.Unit(axis.unit).to(u.deg))
        if axis.kind == "stokes":
            return of("STOKES", ""), 1.0
        if axis.kind == "time":
            try:
                moments = part.time([0.0, 1e3])
            except ValueError:
                return "its WCS has no epoch"
            self._epoch = part, axis
            # To nine digits: differences of moments are rounded.
            return of("TIME", "s"), float(f"{(moments[1] - moments[0]).to_value('s') / 1e3:.9g}")
        unit = u.Unit(axis.unit or "")
        if axis.kind == "wavelength":
            for own, code in _SPECTRAL:
                if unit.is_equivalent(own):
                    code = spectral if code == "WAVE" else code
                    return of(code, own.to_string("fits")), float(unit.to(own))
            return f"FITS has no code for a spectral axis in {axis.unit!r}"
        try:
            written = unit.to_string("fits")
        except ValueError:
            return f"FITS has no unit {axis.unit!r}"
        letters = "".join(c for c in axis.label.upper() if c.isascii() and c.isalnum())
        return of((letters or "AXIS")[:4].ljust(4, "X"), written), 1.0

    @property
    def epoch(self) -> Time | None:
        """The moment from which the time axis counts; None where there is none."""
        return None if self._epoch is None else self._epoch[0].time(0.0)

    @property
    def frame(self) -> Any:
        """The frame of the sky, of the axes or of what was dropped; None where there is none."""
        return next((part.frame for part in self.world.parts if part.frame is not None), None)

    def values(self, pixels: Values) -> Values:
        """Compute the coordinates, (n, number of coordinates), at pixels, (n, number of axes).

        Pixels are x first, counted from 0. Longitudes lie around that of the middle.
        """
        n = len(pixels)
        own = self.world.values(*pixels.T[::-1]) if self.n_pixels else []
        found = np.empty((n, len(self.all)))
        for index, (part, axis, factor) in enumerate(self._where):
            value = own[axis.index] if part is self.world else np.full(n, self._constants[id(axis)])
            if axis.kind == "longitude":
                middle = self.world.middle_longitude() if part is self.world else value[:1].sum()
                value = wrap(value, axis.unit, float(middle))
            found[:, index] = value * factor
        return found

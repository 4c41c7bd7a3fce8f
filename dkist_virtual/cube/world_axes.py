"""Describe an array's axes by its WCS: which are time, sky, wavelength, and their values.

Axes are identified by the objects that the WCS makes of them, never by their labels: those differ
between datasets, and early ViSP has two of them exchanged. Longitude and latitude are those of the
WCS's `SkyCoord` (its object components); their physical types are exchanged in early ViSP too.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

import astropy.units as u
import numpy as np
import sunpy.coordinates  # noqa: F401  # tells astropy which frames FITS headers of the Sun name
from astropy.coordinates import SkyCoord, StokesCoord, frame_transform_graph
from astropy.time import Time, TimeDelta
from astropy.wcs import WCS as FITSWCS

from dkist_virtual.errors import SelectionError
from dkist_virtual.fits.errors import one_line
from dkist_virtual.fits.threads import ThreadLock, open_in_forks

if TYPE_CHECKING:
    from collections.abc import Sequence

    from astropy.coordinates import BaseCoordinateFrame
    from astropy.wcs.wcsapi import BaseHighLevelWCS
    from numpy.typing import ArrayLike, NDArray

    from dkist_virtual.protocols import LowLevelWCS

__all__ = [
    "EVALUATING", "PATH_DISTANCE", "Kind", "Values", "World", "WorldAxis", "decimals", "wrap",
]  # fmt: skip

Values: TypeAlias = "NDArray[np.floating[Any]]"

Kind: TypeAlias = Literal["stokes", "time", "wavelength", "longitude", "latitude", "other"]

_SPECTRAL: Final = ("em.wl", "em.freq", "em.energy", "em.wavenumber", "spect")


PATH_DISTANCE: Final = "custom:pos.path.distance"
"""The physical type of the distance along a path, which an axis of the array is made of."""

EVALUATING: Final = ThreadLock()
"""dkist's WCS writes the pointing of each frame into a model that threads share."""


def _kind(physical_type: str) -> Kind:
    """Return the kind of an axis that is not of the sky."""
    kind = physical_type.removeprefix("custom:")
    if kind.endswith("polarization.stokes"):
        return "stokes"
    if kind.startswith("time"):
        return "time"
    return "wavelength" if kind.startswith(_SPECTRAL) else "other"


@dataclass(frozen=True, slots=True, eq=False)
class _Celestial:
    """A world axis that is a coordinate of a `SkyCoord`.

    `unit` is that of the WCS's values; `common` that of the longitude, in which latitudes are
    given too, so that distances need no conversion.
    """

    kind: Literal["longitude", "latitude"]
    frame: BaseCoordinateFrame | None
    unit: u.UnitBase
    common: u.UnitBase

    @classmethod
    def of_all(cls, low: LowLevelWCS) -> tuple[_Celestial | None, ...]:
        """Describe the world axes of a low-level WCS; None for those that are not of the sky."""
        n = low.world_n_dim
        # A corrected pointing and another wavelength scale have the same axes.
        while (inside := getattr(low, "unshifted", getattr(low, "unscaled", None))) is not None:
            low = inside
        if not isinstance(low, FITSWCS):
            return tuple(cls.of(low, index) for index in range(n))
        # astropy describes no axis of a header of which it does not know, say, the SPECSYS.
        found: list[_Celestial | None] = [None] * n
        if low.has_celestial:
            bare = copy.copy(low)
            # A header may have more axes in its WCS than in its image, which `sub` fails on.
            bare.pixel_shape = bare.pixel_bounds = None
            sky = bare.celestial
            lon, lat = (u.Unit(sky.wcs.cunit[n]) for n in (sky.wcs.lng, sky.wcs.lat))
            # A header that does not name the frame still says which axis is which.
            longitude = cls("longitude", None, lon, lon)
            found[low.wcs.lng] = cls.of(sky, sky.wcs.lng) or longitude
            found[low.wcs.lat] = cls.of(sky, sky.wcs.lat) or cls("latitude", None, lat, lon)
        return tuple(found)

    @classmethod
    def of(cls, low: LowLevelWCS, index: int) -> _Celestial | None:
        """Describe one of the world axes of a low-level WCS."""
        key, place, *_ = low.world_axis_object_components[index]
        made, _, options, *_ = low.world_axis_object_classes[key]
        if not (isinstance(made, type) and issubclass(made, SkyCoord)):
            return None
        frame = options.get("frame", "icrs")
        if isinstance(frame, str):
            frame = frame_transform_graph.lookup_name(frame)()
        # In the order in which a SkyCoord takes them, such as {"Tx": "lon", "Ty": "lat"}.
        parts = dict(frame.representation_component_names)
        place = list(parts).index(place) if place in parts else place
        if not isinstance(place, int) or {"lon", "lat"} - set(parts.values()):
            return None
        part = list(parts.values())[place]
        if part not in ("lon", "lat"):
            return None
        units = _units(options.get("unit") or low.world_axis_units[index])
        unit = units[min(place, len(units) - 1)]
        common = units[min(list(parts.values()).index("lon"), len(units) - 1)]
        return cls("longitude" if part == "lon" else "latitude", frame, unit, common)

    def physical_type(self, stated: str) -> str:
        """Return the WCS's own where it agrees, else one in the words of UCD."""
        ends = (".lon", ".ra") if self.kind == "longitude" else (".lat", ".dec")
        if self.frame is None or stated.endswith(ends):
            return stated
        return f"custom:pos.{self.frame.name.replace('_', '.')}{ends[0]}"

    def name(self, stated: str) -> str:
        """Return the WCS's own where it agrees, else the name of the frame."""
        if self.frame is None or self.kind in stated.lower():
            return stated
        return f"{self.frame.name.replace('_', ' ')} {self.kind}"


def _units(given: Any) -> list[u.UnitBase]:
    """List the units of a SkyCoord's parts, given in any form that SkyCoord accepts."""
    if isinstance(given, str):
        given = given.split(",")
    return [u.Unit(unit) for unit in (given if isinstance(given, (list, tuple)) else [given])]


@dataclass(frozen=True, slots=True)
class WorldAxis:
    """One coordinate of a WCS.

    Parameters
    ----------
    index : int
        Its place among the values of ``pixel_to_world_values``.
    kind : Kind
    name, physical_type, unit : str
        Empty where the WCS has none. Names of longitude and latitude say which it is, and both
        have the longitude's unit.
    array_axes : tuple of int
        The axes of the array along which it changes, ascending.
    """

    index: int
    kind: Kind
    name: str
    physical_type: str
    unit: str
    array_axes: tuple[int, ...]

    @property
    def label(self) -> str:
        """Its name, in one line."""
        return one_line(self.name or self.physical_type or f"world axis {self.index}")


def wrap(values: Values, unit: str, around: float = 0.0) -> Values:
    """Wrap longitudes, given in a unit, to half a turn on both sides of another."""
    turn = float((360 * u.deg).to_value(unit))
    wrapped: Values = values - turn * np.floor((values - around) / turn + 0.5)
    return wrapped


@open_in_forks
class World:
    """The world coordinates of an array.

    Parameters
    ----------
    wcs : WCS
        High or low level. Its pixel axes are the array's, reversed. Where it has more of them
        than the array, as that of a single frame has, the array's are the last ones in array
        order and the others are 0; where it has fewer, it describes the array's last.
    shape : sequence of int
        Of the array.
    """

    def __init__(self, wcs: BaseHighLevelWCS | LowLevelWCS, shape: Sequence[int]) -> None:
        self.low: LowLevelWCS = getattr(wcs, "low_level_wcs", wcs)
        self.shape: tuple[int, ...] = tuple(int(n) for n in shape)

    @cached_property
    def _celestial(self) -> tuple[_Celestial | None, ...]:
        """The world axes as coordinates of the sky; None for other ones."""
        return _Celestial.of_all(self.low)

    @cached_property
    def axes(self) -> tuple[WorldAxis, ...]:
        """The world axes, in the order of the WCS's values."""
        ndim, matrix = len(self.shape), np.asarray(self.low.axis_correlation_matrix, bool)
        described = zip(
            self.low.world_axis_names,
            self.low.world_axis_physical_types,
            self.low.world_axis_units,
            self._celestial,
            strict=True,
        )
        found = []
        for index, (name, physical, unit, sky) in enumerate(described):
            pixels = np.flatnonzero(matrix[index])
            array_axes = tuple(sorted(ndim - 1 - int(p) for p in pixels if p < ndim))
            name, physical, unit = str(name or ""), str(physical or ""), str(unit or "")
            kind: Kind = _kind(physical)
            if sky is not None:
                kind, unit = sky.kind, str(sky.common)
                name, physical = sky.name(name), sky.physical_type(physical)
            found.append(WorldAxis(index, kind, name, physical, unit, array_axes))
        return tuple(found)

    def of_kind(self, kind: Kind) -> WorldAxis | None:
        """Return the axis of a kind; None where there is none."""
        return next((axis for axis in self.axes if axis.kind == kind), None)

    # Values ---------------------------------------------------------------------------------

    def values(self, *positions: ArrayLike) -> list[Values]:
        """Compute the coordinates at pixel positions, given for each axis of the array.

        There is an array for each world axis, in its unit; longitudes are wrapped as by the frame
        of the sky, and time is as the WCS counts it, see `time`.
        """
        arrays = np.broadcast_arrays(*(np.asarray(p, float) for p in positions))
        n = self.low.pixel_n_dim
        pixels = list(arrays[::-1][:n])
        shape = arrays[0].shape if arrays else ()
        pixels += [np.zeros(shape)] * (n - len(pixels))
        with EVALUATING:
            values = self.low.pixel_to_world_values(*pixels)
        if self.low.world_n_dim == 1:
            values = (values,)
        plain = [np.broadcast_to(np.asarray(value, float), shape) for value in values]
        return [
            value if sky is None else self.wrap_as_frame(axis, value * sky.unit.to(sky.common))
            for axis, value, sky in zip(self.axes, plain, self._celestial, strict=True)
        ]

    def wrap_as_frame(self, axis: WorldAxis, values: Values) -> Values:
        """Wrap longitudes as the frame of the sky does; other coordinates stay."""
        if axis.kind != "longitude":
            return values
        return wrap(values, axis.unit, (self._wrap_angle - 180 * u.deg).to_value(axis.unit))

    @cached_property
    def _wrap_angle(self) -> u.Quantity:
        """The first longitude that the frame of the sky turns back: 180 or 360 degrees."""
        if self.frame is None:
            return 180 * u.deg
        return SkyCoord(0 * u.deg, 0 * u.deg, frame=self.frame).spherical.lon.wrap_angle

    def middle_longitude(self, at: Sequence[float] | None = None) -> float:
        """Return the longitude in the middle of the array, or at a pixel, for others to `wrap`."""
        axis = self.of_kind("longitude")
        assert axis is not None
        point = [(n - 1) / 2 for n in self.shape] if at is None else at
        value = float(self.values(*(point or [0.0]))[axis.index])
        if np.isfinite(value):
            return value
        return float((self._wrap_angle - 180 * u.deg).to_value(axis.unit))

    def along(self, axes: Sequence[WorldAxis], at: Sequence[Values] | None = None) -> list[Values]:
        """Compute coordinates on the grid of the array axes along which one of them changes.

        `at` has pixel positions along each of those array axes; by default every pixel.
        """
        array_axes = sorted({on for axis in axes for on in axis.array_axes})
        if at is None:
            at = [np.arange(self.shape[axis], dtype=float) for axis in array_axes]
        grid = np.meshgrid(*at, indexing="ij") if array_axes else []
        shape = grid[0].shape if grid else ()
        positions: list[Any] = [np.zeros(shape)] * len(self.shape)
        for axis, places in zip(array_axes, grid, strict=True):
            positions[axis] = places
        values = self.values(*positions) if self.shape else self.values(np.zeros(()))
        return [values[axis.index] for axis in axes]

    @cached_property
    def dropped(self) -> World | None:
        """The coordinates that indices dropped with their axes, each of one value, if any."""
        # Slices of slices are composed before a WCS is made, so there is one wrapper at most.
        described = getattr(self.low, "dropped_world_dimensions", None)
        dropped: Any = _Dropped(described) if described else None
        return None if dropped is None else World(dropped, ())

    @property
    def parts(self) -> tuple[World, ...]:
        """The coordinates of the array, and those that indices dropped."""
        return (self,) if self.dropped is None else (self, self.dropped)

    def stokes(self) -> tuple[int | None, tuple[str, ...]] | None:
        """Return the axis of the array along which the Stokes parameter changes, and its letters.

        The axis is None where all pixels are of one parameter, that of a dropped axis too. None
        where no parameter is stated: the pixels are intensities.

        Raises
        ------
        SelectionError
            It changes along several axes.
        """
        for part in self.parts:
            axis = part.of_kind("stokes")
            if axis is None:
                continue
            if len(axis.array_axes) > 1:
                raise SelectionError(
                    f"the Stokes parameter changes along the axes {axis.array_axes} of this "
                    "selection: expected one axis"
                )
            (values,) = part.along([axis])
            letters = StokesCoord(np.round(np.atleast_1d(values))).symbol
            return next(iter(axis.array_axes), None), tuple(map(str, letters))
        return None

    # Their meaning --------------------------------------------------------------------------

    @cached_property
    def frame(self) -> BaseCoordinateFrame | None:
        """The frame of the sky coordinates; None where there are none."""
        return next((sky.frame for sky in self._celestial if sky is not None), None)

    @cached_property
    def _clock(self) -> tuple[Time, str]:
        """The epoch and the unit of the time axis."""
        axis = self.of_kind("time")
        assert axis is not None
        component, unit = self.low.world_axis_object_components[axis.index], axis.unit or "s"
        if callable(component[2]):
            # The WCS converts a time to its distance from the epoch.
            guess = Time("2000-01-01T00:00:00", scale="utc")
            away = component[2](guess)
            # That of a FITS header counts seconds, whatever unit the header states.
            if np.isclose(component[2](guess + TimeDelta(1 * u.day)) - away, 86400):
                unit = "s"
            return guess - TimeDelta(float(away) * u.Unit(unit)), unit
        raise ValueError(f"{axis.label}: its WCS has no epoch")

    def time(self, values: ArrayLike) -> Time:
        """Convert values of the time axis to moments in UTC."""
        epoch, unit = self._clock
        after = TimeDelta(np.asarray(values, float) * u.Unit(unit))
        return Time(epoch + after, format="isot")

    def seconds(self, time: Time) -> Values:
        """Convert moments to values of the time axis: seconds, unless the WCS says otherwise."""
        epoch, unit = self._clock
        return np.asarray((time - epoch).to_value(unit), float)

    def text(self, axis: WorldAxis, value: float, step: float | None = None) -> str:
        """Write a value for people, as ``630.25 nm``, ``2022-10-24T19:15:37.808``, ``Q``.

        A step, the distance of pixels, asks for decimals that tell them apart.
        """
        if not np.isfinite(value):
            return "-"
        if axis.kind == "time":
            return str(self.time(value).isot)
        if axis.kind == "stokes":
            return str(StokesCoord(value).symbol)
        value = float(self.wrap_as_frame(axis, np.asarray(value)))
        digits = {"wavelength": 4, "longitude": 2, "latitude": 2}.get(axis.kind, 0)
        if axis.kind == "wavelength" and axis.unit != "nm":
            digits = 0
        if step:
            digits = max(digits, decimals(step))
            said = f"{round(value, digits) + 0.0:.{digits}f}"  # no minus before a zero
        elif digits:
            said = f"{round(value, digits) + 0.0:.{digits}f}".rstrip("0").rstrip(".")
        else:
            said = f"{value:.8g}"
        return f"{said} {axis.unit}".rstrip()


def decimals(step: float) -> int:
    """Count the decimals that tell values apart at this distance, and one more."""
    return int(np.clip(1 - np.floor(np.log10(step)), 0, 7)) if 0 < step < np.inf else 2


class _Dropped:
    """The coordinates in a sliced WCS's ``dropped_world_dimensions``, as a WCS without pixels."""

    pixel_n_dim = 0

    def __init__(self, described: dict[str, Any]) -> None:
        self.__dict__.update(described)
        self._values = described["value"]
        self.world_n_dim = len(self._values)
        self.axis_correlation_matrix = np.zeros((self.world_n_dim, 0), bool)

    def pixel_to_world_values(self) -> Any:
        """Return the values; a single one alone, as WCSs do."""
        return self._values[0] if self.world_n_dim == 1 else self._values

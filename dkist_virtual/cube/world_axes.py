"""Describe an array's axes by its WCS: which are time, sky, wavelength, and their values.

Axes are known by what the WCS makes of them, never by their labels: those differ between datasets,
and early ViSP has two of them exchanged. Longitude and latitude are those of the `SkyCoord` that
the WCS makes (its object components); their physical types are exchanged in early ViSP too.
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
from astropy.wcs.wcsapi import BaseHighLevelWCS, HighLevelWCSWrapper, SlicedLowLevelWCS
from gwcs import WCS
from ndcube.wcs.wrappers import ResampledLowLevelWCS

from dkist_virtual.fits.errors import one_line
from dkist_virtual.fits.threads import ThreadLock, open_in_forks

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

    from dkist_virtual.cube.selection import Selection

__all__ = [
    "Kind",
    "SteppedWCS",
    "World",
    "WorldAxis",
    "decimals",
    "forget_dropped",
    "high_level",
    "slice_wcs",
    "wrapped",
]

Kind: TypeAlias = Literal["stokes", "time", "wavelength", "longitude", "latitude", "other"]

_SPECTRAL: Final = ("em.wl", "em.freq", "em.energy", "em.wavenumber", "spect")


_EVALUATING = ThreadLock()
"""dkist's WCS puts the pointing of one frame after the other into a model that threads share."""


def _kind(physical_type: str) -> Kind:
    """What an axis is that is not of the sky."""
    kind = physical_type.removeprefix("custom:")
    if kind.endswith("polarization.stokes"):
        return "stokes"
    if kind.startswith("time"):
        return "time"
    return "wavelength" if kind.startswith(_SPECTRAL) else "other"


@dataclass(frozen=True, slots=True, eq=False)
class _Celestial:
    """Which coordinate of a `SkyCoord` a world axis is.

    Parameters
    ----------
    kind : {"longitude", "latitude"}
    frame : astropy coordinate frame or None
    unit : astropy.units.Unit
        Of the WCS's values.
    common : astropy.units.Unit
        Of the longitude. Latitudes are given in it too, so that distances need no conversion.
    """

    kind: Literal["longitude", "latitude"]
    frame: Any
    unit: Any
    common: Any

    @classmethod
    def of_all(cls, low: Any) -> tuple[_Celestial | None, ...]:
        """Ask a low-level WCS about its world axes; None for those that are not of the sky."""
        n = low.world_n_dim
        if not isinstance(low, FITSWCS):
            return tuple(cls.of(low, index) for index in range(n))
        # Of a whole header astropy describes no axis where it does not know, say, its SPECSYS.
        found: list[_Celestial | None] = [None] * n
        if low.has_celestial:
            bare = copy.copy(low)
            # A header may have more axes in its WCS than in its image, which `sub` fails on.
            bare.pixel_shape = bare.pixel_bounds = None
            sky = bare.celestial
            lon, lat = (u.Unit(sky.wcs.cunit[n]) for n in (sky.wcs.lng, sky.wcs.lat))
            # A header that leaves it open in which frame still says which axis is which.
            longitude = cls("longitude", None, lon, lon)
            found[low.wcs.lng] = cls.of(sky, sky.wcs.lng) or longitude
            found[low.wcs.lat] = cls.of(sky, sky.wcs.lat) or cls("latitude", None, lat, lon)
        return tuple(found)

    @classmethod
    def of(cls, low: Any, index: int) -> _Celestial | None:
        """Ask a low-level WCS about one of its world axes."""
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
        """The WCS's own where it agrees, else one in the words of UCD."""
        ends = (".lon", ".ra") if self.kind == "longitude" else (".lat", ".dec")
        if self.frame is None or stated.endswith(ends):
            return stated
        return f"custom:pos.{self.frame.name.replace('_', '.')}{ends[0]}"

    def name(self, stated: str) -> str:
        """The WCS's own where it agrees, else the name of the frame."""
        if self.frame is None or self.kind in stated.lower():
            return stated
        return f"{self.frame.name.replace('_', ' ')} {self.kind}"


def _units(given: Any) -> list[Any]:
    """The units of a SkyCoord's parts, in any form that it takes them in."""
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
    kind : str
        What it is.
    name : str
        Its label; empty where it has none. Of longitude and latitude one that says which it is.
    physical_type, unit : str
        Empty where the WCS does not say. Both coordinates of the sky have the longitude's unit.
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
        """What to call it, in one line."""
        return one_line(self.name or self.physical_type or f"world axis {self.index}")


def wrapped(
    values: NDArray[np.floating[Any]], unit: str, around: float = 0.0
) -> NDArray[np.floating[Any]]:
    """Turn longitudes by whole turns, to half a turn on both sides of another.

    Parameters
    ----------
    values : numpy.ndarray
        In `unit`.
    unit : str
        An angle's.
    around : float
        In `unit`.
    """
    turn = float((360 * u.deg).to_value(unit))
    turned: NDArray[np.floating[Any]] = values - turn * np.floor((values - around) / turn + 0.5)
    return turned


@open_in_forks
class World:
    """The world coordinates of an array.

    Parameters
    ----------
    wcs : WCS
        High or low level. Its pixel axes are the array's, reversed. Where it has more of them
        than the array, as that of a single frame has, the array's are the last ones in array
        order and the others are held at 0; where it has fewer, it describes the array's last.
    shape : sequence of int
        Of the array.
    """

    def __init__(self, wcs: Any, shape: Sequence[int]) -> None:
        self.low: Any = getattr(wcs, "low_level_wcs", wcs)
        self.shape: tuple[int, ...] = tuple(int(n) for n in shape)

    @cached_property
    def _celestial(self) -> tuple[_Celestial | None, ...]:
        """For each world axis what it is of the sky."""
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
        """The axis of a kind; None where there is none."""
        return next((axis for axis in self.axes if axis.kind == kind), None)

    # Values ---------------------------------------------------------------------------------

    def values(self, *positions: ArrayLike) -> list[NDArray[np.floating[Any]]]:
        """The coordinates at some places.

        Parameters
        ----------
        *positions : array-like
            Pixel positions, one for each axis of the array, broadcast against each other.

        Returns
        -------
        list of numpy.ndarray
            One for each world axis, in its unit; longitudes wrapped as the frame of the sky wraps
            them, time as the WCS counts it, see `time`.
        """
        arrays = np.broadcast_arrays(*(np.asarray(p, float) for p in positions))
        n = self.low.pixel_n_dim
        pixels = list(arrays[::-1][:n])
        shape = arrays[0].shape if arrays else ()
        pixels += [np.zeros(shape)] * (n - len(pixels))
        with _EVALUATING:
            values = self.low.pixel_to_world_values(*pixels)
        if self.low.world_n_dim == 1:
            values = (values,)
        plain = [np.broadcast_to(np.asarray(value, float), shape) for value in values]
        return [
            value if sky is None else self.as_the_frame_wraps(axis, value * sky.unit.to(sky.common))
            for axis, value, sky in zip(self.axes, plain, self._celestial, strict=True)
        ]

    def as_the_frame_wraps(
        self, axis: WorldAxis, values: NDArray[np.floating[Any]]
    ) -> NDArray[np.floating[Any]]:
        """Wrap longitudes as the frame of the sky does; other coordinates stay."""
        if axis.kind != "longitude":
            return values
        return wrapped(values, axis.unit, (self._wrap_angle - 180 * u.deg).to_value(axis.unit))

    @cached_property
    def _wrap_angle(self) -> u.Quantity:
        """The first longitude that the frame of the sky turns back: 180 or 360 degrees."""
        if self.frame is None:
            return 180 * u.deg
        return SkyCoord(0 * u.deg, 0 * u.deg, frame=self.frame).spherical.lon.wrap_angle

    def middle_longitude(self, at: Sequence[float] | None = None) -> float:
        """The longitude in the middle of the array, from where others are counted (`wrapped`).

        Parameters
        ----------
        at : sequence of float, optional
            A pixel for each array axis, instead of the middle.
        """
        axis = self.of_kind("longitude")
        assert axis is not None
        point = [(n - 1) / 2 for n in self.shape] if at is None else at
        value = float(self.values(*(point or [0.0]))[axis.index])
        if np.isfinite(value):
            return value
        return float((self._wrap_angle - 180 * u.deg).to_value(axis.unit))

    def along(
        self, axes: Sequence[WorldAxis], at: Sequence[NDArray[np.floating[Any]]] | None = None
    ) -> list[NDArray[np.floating[Any]]]:
        """Coordinates on the grid of the array axes along which one of them changes.

        Parameters
        ----------
        axes : sequence of WorldAxis
        at : sequence of numpy.ndarray, optional
            Pixel positions along each of those array axes; by default every pixel.

        Returns
        -------
        list of numpy.ndarray
            For each coordinate, with one dimension for each of those array axes.
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
    def held(self) -> World | None:
        """The coordinates that indices took away with their axes, each of one value, if any."""
        # Slices of slices are composed before a WCS is made, so there is one wrapper at most.
        described = getattr(self.low, "dropped_world_dimensions", None)
        return World(_Held(described), ()) if described else None

    # Their meaning --------------------------------------------------------------------------

    @cached_property
    def frame(self) -> Any:
        """The frame of the sky coordinates; None where there are none."""
        return next((sky.frame for sky in self._celestial if sky is not None), None)

    @cached_property
    def _clock(self) -> tuple[Time, Any]:
        """From when the time axis counts, and in which unit."""
        axis = self.of_kind("time")
        assert axis is not None
        component, unit = self.low.world_axis_object_components[axis.index], axis.unit or "s"
        if callable(component[2]):
            # What the WCS makes of a time is its distance from the epoch.
            guess = Time("2000-01-01T00:00:00", scale="utc")
            away = component[2](guess)
            return guess - TimeDelta(float(away) * u.Unit(unit)), unit
        raise ValueError(f"{axis.label}: its WCS does not say from when it counts")

    def time(self, values: ArrayLike) -> Time:
        """The moments that the values of the time axis stand for, UTC."""
        epoch, unit = self._clock
        after = TimeDelta(np.asarray(values, float) * u.Unit(unit))
        return Time(epoch + after, format="isot")

    def seconds(self, time: Time) -> NDArray[np.floating[Any]]:
        """The values of the time axis for some moments: seconds, unless the WCS says otherwise."""
        epoch, unit = self._clock
        return np.asarray((time - epoch).to_value(unit), float)

    def text(self, axis: WorldAxis, value: float, step: float | None = None) -> str:
        """A value for people, as ``630.25 nm``, ``2022-10-24T19:15:37.808``, ``Q``.

        Parameters
        ----------
        axis : WorldAxis
        value : float
            In the unit of the WCS.
        step : float, optional
            How far pixels are from each other: a value tells them apart, with as many decimals
            for each.
        """
        if not np.isfinite(value):
            return "-"
        if axis.kind == "time":
            return str(self.time(value).isot)
        if axis.kind == "stokes":
            return str(StokesCoord(value).symbol)
        value = float(self.as_the_frame_wraps(axis, np.asarray(value)))
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
    """Decimals that tell values apart which are this far from each other, and one more."""
    return int(np.clip(1 - np.floor(np.log10(step)), 0, 7)) if 0 < step < np.inf else 2


# Slicing ------------------------------------------------------------------------------------


def slice_wcs(wcs: Any, selection: Selection) -> Any:
    """The WCS of a selection, steps included.

    Parameters
    ----------
    wcs : WCS
        May have more pixel axes than the data: that of a dataset cut to a single frame by dkist
        has. They are held at 0.
    selection : Selection
        Of the data that `wcs` describes.
    """
    low = wcs.low_level_wcs
    cut: list[int | slice] = [0] * max(low.pixel_n_dim - len(selection.shape), 0)
    steps: list[int] = []
    for n, pixels in list(zip(selection.shape, selection.axes, strict=True))[-low.pixel_n_dim :]:
        if isinstance(pixels, int):
            cut.append(pixels)
        else:
            whole = (pixels[0], pixels[-1] + 1) == (0, n)
            cut.append(slice(None) if whole else slice(pixels[0], pixels[-1] + 1))
            steps.append(pixels.step if len(pixels) > 1 else 1)
    if all(entry == slice(None) for entry in cut) and set(steps) <= {1}:
        return wcs
    sliced = SlicedLowLevelWCS(low, cut)
    if set(steps) <= {1}:
        return HighLevelWCSWrapper(sliced)
    # A pixel of the strided array is one of the array, not an average over a step: pixel i lies
    # at i * step, where resampling would put it at the centre of its step.
    factors = np.array(steps[::-1], float)
    shape = selection.result_shape[-sliced.pixel_n_dim :]
    return HighLevelWCSWrapper(SteppedWCS(sliced, factors, -(factors - 1) / 2, shape))


class _Held:
    """Coordinates that a slice dropped, as a WCS without pixel axes.

    Parameters
    ----------
    described : dict
        The ``dropped_world_dimensions`` of astropy's sliced WCS.
    """

    pixel_n_dim = 0

    def __init__(self, described: dict[str, Any]) -> None:
        self._values = described["value"]
        self.world_n_dim = len(self._values)
        self.axis_correlation_matrix = np.zeros((self.world_n_dim, 0), bool)
        self.world_axis_names = described["world_axis_names"]
        self.world_axis_physical_types = described["world_axis_physical_types"]
        self.world_axis_units = described["world_axis_units"]
        self.world_axis_object_components = described["world_axis_object_components"]
        self.world_axis_object_classes = described["world_axis_object_classes"]

    def pixel_to_world_values(self) -> Any:
        """The values; a single one alone, as WCSs give it."""
        return self._values[0] if self.world_n_dim == 1 else self._values


class SteppedWCS(ResampledLowLevelWCS):  # type: ignore[misc]  # ndcube comes without types
    """The WCS of every n-th pixel, whose shape is the data's.

    ndcube's own says how many steps fit into the axis: 14.5 of 29 pixels, which plots fail on.
    """

    def __init__(self, wcs: Any, factor: Any, offset: Any, shape: tuple[int, ...]) -> None:
        super().__init__(wcs, factor, offset)
        self._shape = shape

    @property
    def array_shape(self) -> tuple[int, ...]:
        """The shape of the data."""
        return self._shape

    @property
    def pixel_shape(self) -> tuple[int, ...]:
        """The same, x first."""
        return self._shape[::-1]

    @property
    def dropped_world_dimensions(self) -> dict[str, Any]:
        """What was dropped below the steps, which ndcube's `global_coords` asks for."""
        described: dict[str, Any] = self._wcs.dropped_world_dimensions
        return described


def forget_dropped(wcs: Any) -> None:
    """Forget what a WCS worked out of axes that were sliced away: it holds what cannot be pickled.

    It is worked out again when it is asked for.
    """
    low = wcs.low_level_wcs
    while low is not None:
        vars(low).pop("dropped_world_dimensions", None)
        low = getattr(low, "_wcs", None)  # astropy's wrappers of a WCS have no public name for it


def high_level(wcs: Any, shape: tuple[int, ...]) -> Any:
    """The WCS of an array, which knows the array's shape if it knows one.

    Simulated VTF and DL-NIRSP datasets have a ``pixel_shape`` that is transposed against the
    data. The data's is right, and it matters: astropy clips slices of a WCS to that shape, and
    so moves the pixels of a slice that begins behind it.
    """
    if not isinstance(wcs, BaseHighLevelWCS):
        wcs = HighLevelWCSWrapper(wcs)
    stated = wcs.low_level_wcs.pixel_shape
    if isinstance(wcs, WCS) and stated is not None and tuple(stated) != shape[::-1]:
        # A single frame's WCS may have more axes than the frame.
        wcs.pixel_shape = shape[::-1] if len(stated) == len(shape) else None
    return wcs

"""Make velocity maps: the shift of a line, and what is taken from it."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from numbers import Real
from typing import TYPE_CHECKING, Any, Final, Literal, Self

import astropy.units as u
import numpy as np

from dkist_virtual.dataset.spectral.observer import Observer
from dkist_virtual.errors import DatasetError, DKISTVirtualWarning, SelectionError
from dkist_virtual.science.spectra.velocity import (
    ROTATIONS,
    Rotation,
    doppler_velocity,
    gravitational_shift,
    rotation_velocity,
)
from dkist_virtual.text import check_keywords, keywords_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dkist_virtual.science.spectra.axis import SpectralAxis

__all__ = ["HasVelocities", "doppler"]

_MOST_POSITIONS: Final = 2**26
"""Positions on the Sun that are computed at once, three numbers of 8 bytes each."""


class HasVelocities:
    """A dataset whose lines have velocities."""

    def doppler(
        self,
        line: str | u.Quantity,
        window: u.Quantity | None = None,
        *,
        method: Literal["core", "centroid", "bisector"] = "core",
        level: float | None = None,
        observer: bool = False,
        rotation: Rotation | None = None,
        gravity: bool = False,
        convection: u.Quantity | None = None,
        reference: Literal["mean", "median"] | u.Quantity | NDArray[np.bool_] | None = None,
        **options: Any,
    ) -> Self:
        """Compute the velocity along the line of sight from the shift of a line; reads nothing.

        In km/s, positive where the source recedes: a red shift, and at disk centre a downflow. It
        is ``c (wavelength - rest) / rest``, as by `astropy.units.doppler_optical`. What moves the
        line beside the plasma stays in it unless you say otherwise, and ``meta["result"]`` names
        each as removed or not.

        Parameters
        ----------
        line : str or Quantity
            A name of ``dv.lines()``, or the wavelength at rest, in the medium of the dataset.
        window : Quantity
            Half of the width around the line, or two ends.
        method : {"core", "centroid", "bisector"}
            Which wavelength of the line is taken: the vertex of a parabola through its lowest
            samples (`Spectral.line_core`), the centroid of its depth (`Spectral.moments`), or its
            middle at a level (`Spectral.bisector`). Masked where these find none.
        level : float, optional
            Of a bisector, between 0, the core, and 1, the continuum: by default 0.5.
        observer : bool
            Whether the velocity of the telescope relative to the Sun is taken out: OBS_VR of each
            frame's header, along the line to the Sun's centre. Where it is missing, or more than
            5 m/s from what astropy computes, the computed one is, with a warning. Wavelengths that
            were calibrated in the Sun's frame have lost it already: it is not subtracted again.
        rotation : {"howard", "snodgrass", "allen", "rigid"}, optional
            Takes out the rotation of the Sun, by a law of
            `sunpy.sun.models.differential_rotation`, with the observer's motion across the line to
            the Sun's centre. Pixels off the limb are masked.
        gravity : bool
            Whether the gravitational red shift, 0.63 km/s, is taken out.
        convection : Quantity, optional
            A convective blue shift that you know of this line, such as -0.3 * u.km / u.s, is taken
            out. It depends on the line, the part of it and the distance from the limb: none is
            assumed.
        reference : {"mean", "median"}, Quantity, or array of bool, optional
            Makes velocities relative: to the mean or median of the map, to a velocity, or to the
            mean of a quiet region, where an array of the map's shape is True.
        **options
            Those of all measurements of lines: kind, continuum, medium, wavelength_offset,
            normalise, most_of_cadence. See `Spectral`.

        Returns
        -------
        Dataset
            Without the axis of wavelengths.

        Raises
        ------
        SelectionError, DatasetError
            There are no wavelengths, no such line, or what is to be taken out is not known.

        Examples
        --------
        >>> ds.doppler("Fe I 630.25", window=0.02 * u.nm, observer=True)  # doctest: +SKIP
        """
        taken = Taken(observer, rotation, gravity, convection, reference)
        how = Method(method, level)
        made: Self = doppler(self, line, how, taken, window=window, **options)
        return made


@dataclass(frozen=True)
class Method:
    """Which wavelength of a line is taken; see `HasVelocities.doppler`."""

    name: str
    level: float | None

    def __post_init__(self) -> None:
        if self.name not in _METHODS:
            raise DatasetError(
                f"doppler: method={self.name!r}: expected {', '.join(map(repr, _METHODS))}"
            )
        if self.level is not None and self.name != "bisector":
            raise DatasetError(
                f'doppler: level={self.level!r} is of method="bisector", not of {self.name!r}'
            )
        if not (self.level is None or isinstance(self.level, Real)):
            raise DatasetError(
                f"doppler: level={self.level!r}: expected a number between 0, the core, and 1, the "
                "continuum"
            )

    @property
    def share(self) -> float:
        """The level of a bisector."""
        return 0.5 if self.level is None else float(self.level)

    def measure(self, spectral: Any, **options: Any) -> Any:
        """Return the map of wavelengths."""
        if self.name == "core":
            return spectral.line_core(**options)["wavelength"]
        if self.name == "centroid":
            return spectral.moments(**options)["centroid"]
        found = spectral.bisector((self.share,), **options)
        return found[next(name for name in found if name.startswith("middle"))]


_METHODS: Final = ("core", "centroid", "bisector")

_NOT_OF_VELOCITY: Final = ("measured_by", "qualities")

_OPTIONS: Final = (
    "kind", "continuum", "medium", "wavelength_offset", "normalise", "most_of_cadence",
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Taken:
    """What is taken out of a shift; see `HasVelocities.doppler`."""

    observer: bool
    rotation: str | None
    gravity: bool
    convection: Any
    reference: Any

    def __post_init__(self) -> None:
        for name in ("observer", "gravity"):
            if not isinstance(getattr(self, name), (bool, np.bool_)):
                raise DatasetError(
                    f"doppler: {name}={getattr(self, name)!r}: expected True or False"
                )
        if self.rotation is not None and self.rotation not in ROTATIONS:
            raise DatasetError(
                f"doppler: rotation={self.rotation!r}: expected {', '.join(map(repr, ROTATIONS))}"
            )
        if self.convection is not None:
            _speed("convection", self.convection)
        given = self.reference
        if given is None or (isinstance(given, str) and given in ("mean", "median")):
            return
        if isinstance(given, u.Quantity):
            _speed("reference", given)
        elif not (isinstance(given, np.ndarray) and given.dtype == bool):
            raise DatasetError(
                f'doppler: reference={given!r:.60}: expected "mean", "median", a velocity such as '
                "0.2 * u.km / u.s, or an array of True in a quiet region and False elsewhere"
            )


def _speed(name: str, value: Any) -> float:
    if not isinstance(value, u.Quantity) or value.shape or not value.unit.is_equivalent(u.m / u.s):
        raise DatasetError(
            f"doppler: {name}={value!r}: expected a velocity, such as -0.3 * u.km / u.s"
        )
    return float(value.to_value(u.km / u.s))


# The map ----------------------------------------------------------------------------------------


def doppler(ds: Any, line: Any, method: Method, taken: Taken, **options: Any) -> Any:
    """Compute the velocity of a line: see `HasVelocities.doppler`."""
    from dkist_virtual.cube.computed_array import compute
    from dkist_virtual.dataset.spectral.options import read_line
    from dkist_virtual.science.spectra.axis import SpectralAxis

    named = keywords_of(HasVelocities.doppler)
    check_keywords("doppler", options, (*named, *_OPTIONS))
    axis = SpectralAxis.of(ds).in_medium(options.get("medium"))
    rest = read_line(line, axis)
    found = method.measure(ds.spectral, line=line, **options)
    used = axis.window(options["window"], rest)
    corrections, said = _corrections(ds, axis, used, taken)
    shape = np.broadcast_shapes(corrections.shape, found.shape)
    assert shape == found.shape
    to_velocity = _Velocity(float(rest.to_value(axis.unit)))
    pixels, _ = compute(to_velocity, [found.pixels, corrections], [None, None])
    mask = found._masked
    if np.isnan(corrections).any():
        off = np.broadcast_to(np.isnan(corrections), found.shape)
        mask = (
            off
            if mask is None or mask is False
            else compute(np.logical_or, [mask, off], [None, None])[0]
        )
    made = found._new_instance(data=pixels, unit=u.km / u.s, mask=mask)
    about = {key: one for key, one in found.meta["result"].items() if key not in _NOT_OF_VELOCITY}
    if method.name == "bisector":
        about["level"] = method.share
    made.meta["result"] = {**about, "quantity": "Doppler velocity", **said}
    return _relative(made, taken.reference)


@dataclass(frozen=True)
class _Velocity:
    """Compute velocities, in km/s, of wavelengths, and take others out of them."""

    rest: float

    def __call__(self, wavelength: Any, taken: Any) -> Any:
        """Return them."""
        return doppler_velocity(wavelength, self.rest) - taken


def _corrections(
    ds: Any, axis: SpectralAxis, used: NDArray[np.bool_], taken: Taken
) -> tuple[NDArray[np.float64], dict[str, Any]]:
    """Return what is taken out, in km/s, in a shape that broadcasts to the map, and in words."""
    from dkist_virtual.dataset.wavelengths.calibrate import frame_of

    total: Any = np.zeros((1,) * (len(ds.shape) - 1))
    said: dict[str, Any] = {"sign": "positive: receding (red shift)"}
    observer = Observer(ds, axis.array_axis, used)
    if frame_of(ds) == "sun":
        said["observer's velocity"] = "removed by the wavelength scale, which is in the Sun's frame"
    elif taken.observer:
        velocity, how = observer.velocity()
        total = total + velocity / 1e3
        said["observer's velocity"] = f"removed: {how}"
    else:
        said["observer's velocity"] = "not removed (observer=True)"
    if taken.rotation is None:
        said["solar rotation"] = "not removed (rotation=)"
    else:
        turning = _rotation(ds, axis, observer, taken.rotation)
        if np.isnan(turning).all():
            warnings.warn(
                f"doppler: rotation={taken.rotation!r}: no pixel is on the disk by the WCS, so "
                "that all are masked: ds.footprint() is where they are",
                DKISTVirtualWarning,
                stacklevel=4,
            )
        total = total + turning
        said["solar rotation"] = (
            f"removed: sidereal rotation by {taken.rotation}, and the observer's motion across the "
            "line to the Sun's centre"
        )
    said["gravitational red shift"] = "not removed (gravity=True)"
    if taken.gravity:
        shift = gravitational_shift(observer.geometry()[2])
        total = total + shift
        said["gravitational red shift"] = f"removed: {shift:.3f} km/s"
    said["convective blue shift"] = "not removed (convection=)"
    if taken.convection is not None:
        given = _speed("convection", taken.convection)
        total = total + given
        said["convective blue shift"] = f"removed: {given:.4g} km/s"
    said["reference"] = "the wavelength at rest: absolute"
    return total, said


def _rotation(ds: Any, axis: SpectralAxis, observer: Observer, law: Any) -> NDArray[np.float64]:
    """Compute the velocity of the rotating surface at the positions of a map, in km/s."""
    from dkist_virtual.science.sun.disk import DiskGeometry

    index = tuple(
        len(axis.values) // 2 if n == axis.array_axis else slice(None) for n in range(len(ds.shape))
    )
    plane = ds[index]
    disk = DiskGeometry.of(plane.wcs, plane.shape, f"doppler: rotation={law!r}")
    if math.prod(disk.own_shape) > _MOST_POSITIONS:
        raise SelectionError(
            f"doppler: rotation={law!r} needs the position of each of {disk.own_shape} pixels at "
            "once: select a part"
        )
    shape = [n if k in disk.axes else 1 for k, n in enumerate(plane.shape)]
    values = [one.reshape(shape) for one in disk.positions([(0, n) for n in disk.own_shape])]
    west, north, distance, tilt = observer.geometry()
    return rotation_velocity(
        *values, distance=distance, tilt=tilt, transverse=(west, north), law=law
    )


def _relative(found: Any, reference: Any) -> Any:
    """Take a velocity of reference out of a map."""
    if reference is None:
        return found
    import dask.array as da

    if isinstance(reference, u.Quantity):
        value: Any = _speed("reference", reference)
        said = f"{value:.5g} km/s: relative"
    else:
        values = da.asarray(found.data)
        if found.mask is not None:
            values = da.where(found.mask, np.nan, values)
        said = f"the {reference} of the map: relative"
        if isinstance(reference, np.ndarray):
            if reference.shape != found.shape:
                raise DatasetError(
                    f"doppler: reference of shape {reference.shape}: expected that of the map, "
                    f"{found.shape}"
                )
            if not reference.any():
                raise DatasetError("doppler: reference is True nowhere: expected a quiet region")
            said = f"the mean of a region of {np.count_nonzero(reference)} pixels: relative"
            values = da.where(reference, values, np.nan)
        value = (
            da.nanmedian(values.ravel().rechunk(-1), axis=0)
            if isinstance(reference, str) and reference == "median"
            else da.nanmean(values)
        )
    made = found._new_instance(data=found.data - value)
    made.meta["result"] = {**found.meta["result"], "reference": said}
    return made

"""Make the coordinates of the axes that are not of the sky: those of the middle tile."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from astropy.coordinates import BaseCoordinateFrame
    from astropy.units import UnitBase
    from astropy.wcs.wcsapi import BaseHighLevelWCS

    from dkist_virtual.cube.world_axes import Values, World, WorldAxis
    from dkist_virtual.science.stitching.tangent_plane import Plane

__all__ = [
    "Carried", "Celestial", "assemble_wcs", "carried_coordinates", "dropped_coordinates",
    "make_wcs",
]  # fmt: skip

_EXACT: Final = 1e-13
"""How far from a line, relative to the values, evenly spaced coordinates may be by rounding."""


@dataclass(frozen=True, eq=False)
class Carried:
    """A coordinate along axes that are not of the sky.

    Parameters
    ----------
    axis : WorldAxis
    world : World
        Which has it.
    along : tuple of int
        The carried axes along which it changes, counted among these, ascending; empty for one
        that an index has dropped.
    values : numpy.ndarray
        In the unit of the axis, with a dimension for each of `along`.
    """

    axis: WorldAxis
    world: World
    along: tuple[int, ...]
    values: Values


def carried_coordinates(world: World, carried: tuple[int, ...]) -> list[Carried]:
    """Read the coordinates along some axes of an array, at the middle of its other axes.

    Those that change along the other axes alone are left out; those of dropped axes are there.
    """
    found = []
    for axis in world.axes:
        if axis.kind in ("longitude", "latitude"):
            continue
        along = [on for on in axis.array_axes if on in carried]
        if not along and axis.array_axes:
            continue
        at = [
            np.arange(world.shape[on], dtype=float)
            if on in carried
            else np.array([(world.shape[on] - 1) / 2])
            for on in axis.array_axes
        ]
        (values,) = world.along([axis], at)
        values = values.reshape([world.shape[on] for on in along])
        found.append(Carried(axis, world, tuple(carried.index(on) for on in along), values))
    return found + dropped_coordinates(world)


def dropped_coordinates(world: World) -> list[Carried]:
    """Read the coordinates of dropped axes, but those of the sky."""
    return [
        Carried(axis, dropped, (), dropped.along([axis])[0].reshape(()))
        for dropped in world.parts[1:]
        for axis in dropped.axes
        if axis.kind not in ("longitude", "latitude")
    ]


@dataclass(frozen=True, eq=False)
class Celestial:
    """The coordinates on the sky of an array.

    Parameters
    ----------
    model : Model
        Which gives longitude and latitude.
    inputs : tuple of int
        The axes of the array whose pixels it takes, one after the other.
    frame : coordinate frame
    """

    model: Any
    inputs: tuple[int, ...]
    frame: BaseCoordinateFrame

    @classmethod
    def of_tables(
        cls, frame: BaseCoordinateFrame, sky: Values, along: tuple[int, ...]
    ) -> Celestial:
        """Make those that are given at every pixel of some axes.

        Parameters
        ----------
        frame : coordinate frame
        sky : numpy.ndarray
            Longitude and latitude, arcsec, last.
        along : tuple of int
            The axes of the array of its other axes.
        """
        from astropy import units as u

        tables = [_table(sky[..., n], u.arcsec) for n in (0, 1)]
        return cls(tables[0] & tables[1], (*along, *along), frame)

    def described(self) -> Any:
        """Return gwcs' frame of it."""
        from astropy import units as u
        from gwcs import coordinate_frames as cf

        name = self.frame.name
        kind = name.replace("_", ".")
        return cf.CelestialFrame(
            axes_order=(0, 1), reference_frame=self.frame, unit=(u.arcsec, u.arcsec), name=name,
            axes_names=(f"{name} longitude", f"{name} latitude"),
            axis_physical_types=(f"custom:pos.{kind}.lon", f"custom:pos.{kind}.lat"),
        )  # fmt: skip


def make_wcs(
    plane: Plane,
    frame: BaseCoordinateFrame,
    shape: tuple[int, ...],
    coordinates: list[Carried],
    names: tuple[str, ...],
) -> BaseHighLevelWCS:
    """Make the WCS of an array whose last two axes are those of a plane on the sky.

    See `assemble_wcs`.

    Parameters
    ----------
    plane : Plane
    frame : coordinate frame
    shape : tuple of int
        Of the array.
    coordinates : list of Carried
    names : tuple of str
        Of the axes of the array.
    """
    on_sky = Celestial(plane.model(), (len(shape) - 1, len(shape) - 2), frame)
    return assemble_wcs(on_sky, shape, coordinates, names)


def assemble_wcs(
    celestial: Celestial | None,
    shape: tuple[int, ...],
    coordinates: list[Carried],
    names: tuple[str, ...],
) -> BaseHighLevelWCS:
    """Make a WCS of the coordinates of an array.

    It is of the classes of astropy and gwcs alone. Its world axes are longitude and latitude, where
    there are such, and then the others. Coordinates that an index has dropped are those of an axis
    that is sliced away.

    Parameters
    ----------
    celestial : Celestial, optional
    shape : tuple of int
        Of the array.
    coordinates : list of Carried
    names : tuple of str
        Of the axes of the array.
    """
    import gwcs
    from astropy import units as u
    from astropy.modeling import models as m
    from astropy.wcs.wcsapi import HighLevelWCSWrapper, SlicedLowLevelWCS
    from gwcs import coordinate_frames as cf

    known = {on for one in coordinates for on in one.along}
    n_pixel = len(shape) + sum(not one.along for one in coordinates)
    frames: list[Any] = []
    models: list[Any] = []
    inputs: list[int] = []
    beyond = len(shape)
    if celestial is not None:
        known |= set(celestial.inputs)
        frames.append(celestial.described())
        models.append(celestial.model)
        inputs += [len(shape) - 1 - on for on in celestial.inputs]
    first = 2 * len(frames)
    for one in coordinates:
        if one.along:
            inputs += [len(shape) - 1 - on for on in one.along]
        else:
            inputs.append(beyond)
            beyond += 1
        models.append(_model(one))
        frames.append(_frame(one, first))
        first += 1
    for on in sorted(set(range(len(shape))) - known):  # which has no coordinate: its pixels
        inputs.append(len(shape) - 1 - on)
        models.append(m.Linear1D(1, 0 * u.pix))
        frames.append(
            cf.CoordinateFrame(1, ("PIXEL",), (first,), unit=(u.pix,),
                               axes_names=(names[on] or f"axis {on}",), name=f"pixels {on}")
        )  # fmt: skip
        first += 1
    transform = models[0]
    for model in models[1:]:
        transform = transform & model
    if inputs != list(range(n_pixel)):
        transform = m.Mapping(tuple(inputs), n_inputs=n_pixel) | transform
    extra = tuple(f"dropped {k}" for k in range(n_pixel - len(shape)))
    pixel = cf.CoordinateFrame(
        n_pixel, ("PIXEL",) * n_pixel, tuple(range(n_pixel)), unit=(u.pix,) * n_pixel,
        name="pixel", axes_names=(*names[::-1], *extra),
    )  # fmt: skip
    # Alone, a frame of time has no place in ASDF.
    alone = len(frames) == 1 and celestial is not None
    world = frames[0] if alone else cf.CompositeFrame(frames)
    wcs = gwcs.WCS(transform, input_frame=pixel, output_frame=world)
    wcs.array_shape = (*(1 for _ in extra), *shape)
    if not extra:
        return wcs
    return HighLevelWCSWrapper(SlicedLowLevelWCS(wcs, (*(0 for _ in extra), ...)))


def _frame(one: Carried, order: int) -> Any:
    from astropy import units as u
    from gwcs import coordinate_frames as cf

    axis = one.axis
    about: dict[str, Any] = {"axes_order": (order,), "axes_names": (axis.label,)}
    if axis.kind == "stokes":
        return cf.StokesFrame(**about)
    about["unit"] = (u.Unit(axis.unit or ("s" if axis.kind == "time" else "")),)
    if axis.kind == "time":
        return cf.TemporalFrame(one.world.time(0.0), **about)
    about["axis_physical_types"] = (axis.physical_type or f"custom:{axis.label}",)
    if axis.kind == "wavelength":
        return cf.SpectralFrame(**about)
    return cf.CoordinateFrame(1, ("CUSTOM",), name=axis.label, **about)


def _model(one: Carried) -> Any:
    """Make the model of a coordinate: a line where it is one, and else a table."""
    from astropy import units as u
    from astropy.modeling import models as m

    unit = u.Unit(one.axis.unit or ("s" if one.axis.kind == "time" else ""))
    values = one.values
    if values.size == 1:
        return m.Linear1D(1 * unit / u.pix, float(values.reshape(())) * unit)
    if values.ndim == 1:
        line = np.linspace(values[0], values[-1], len(values))
        near = np.abs(line - values).max() <= _EXACT * np.abs(values).max()
        if near and values[0] != values[-1] and one.axis.kind != "stokes":
            slope = (values[-1] - values[0]) / (len(values) - 1)
            return m.Linear1D(slope * unit / u.pix, values[0] * unit)
    return _table(values, unit)


def _table(values: Values, unit: UnitBase) -> Any:
    """Make a lookup table of values at the pixels of some axes."""
    from astropy import units as u
    from astropy.modeling import models as m
    from astropy.modeling.tabular import tabular_model

    for axis, n in enumerate(values.shape):
        if n == 1:  # it takes two to interpolate
            values = np.repeat(values, 2, axis=axis)
    points = tuple(np.arange(n) * u.pix for n in values.shape)
    kind = {1: m.Tabular1D, 2: m.Tabular2D}.get(values.ndim) or tabular_model(values.ndim)
    return kind(points, values * unit, bounds_error=False, fill_value=np.nan, method="linear")

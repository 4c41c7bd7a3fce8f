"""Find how the telescope moved relative to the Sun when the frames of a dataset were taken."""

from __future__ import annotations

import warnings
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from dkist_virtual.errors import DatasetError, DKISTVirtualWarning
from dkist_virtual.science.spectra.velocity import (
    LARGEST,
    observer_velocity,
    telescope,
    transverse_velocity,
)

if TYPE_CHECKING:
    from astropy.time import Time
    from numpy.typing import NDArray

__all__ = ["Observer"]

NEAR: Final = 5.0
"""m/s: how far OBS_VR may be from the computed velocity. On real ViSP, VBI and Cryo-NIRSP data it
is within 0.02; a minute is worth 2 at most."""

_CHECKED: Final = 9
"""Frames whose OBS_VR is compared with the computed one."""


class Observer:
    """The motion of the telescope, for a result of which one array axis is gone.

    Parameters
    ----------
    ds : Dataset
    axis : int
        The array axis of the wavelength.
    used : array of bool
        Which pixels along it are used.
    what : str
        Is being computed, for a warning.
    """

    def __init__(self, ds: Any, axis: int, used: NDArray[np.bool_], what: str = "doppler") -> None:
        self._ds, self._axis, self._used, self._what = ds, axis, used, what

    def velocity(self, stacklevel: int = 4) -> tuple[NDArray[np.float64], str]:
        """Return how fast the telescope receded from the Sun's centre, in m/s, and how it is known.

        In a shape that broadcasts to that of the result. `stacklevel` is that of the caller: a
        warning points to the line of the user.
        """
        stated = self._stated()
        if isinstance(stated, str):
            values = self._computed()
            how = f"computed by astropy: {stated}"
            said = f"{self._what}: {stated}: computed by astropy"
            warnings.warn(said, DKISTVirtualWarning, stacklevel + 1)
        else:
            values, how = stated, "OBS_VR of the headers"
        low, high = float(values.min()), float(values.max())
        return self._without_axis(values), f"{low:.1f} to {high:.1f} m/s, {how}"

    def geometry(self) -> tuple[float, float, float, float]:
        """Return the motion across the line to the Sun, west and north (m/s), distance and tilt."""
        times = self._times
        middle = times[len(times) // 2] if times.shape else times
        return transverse_velocity(middle, self._place)

    # Headers --------------------------------------------------------------------------------

    def _stated(self) -> NDArray[np.float64] | str:
        """Return OBS_VR of each frame; or why it is not taken."""
        from dkist_virtual.dataset.derived.frame_columns import read_keyword

        table = self._ds.headers if self._ds.provenance is not None else None
        if table is None or "OBS_VR" not in table.colnames:
            return "the headers have no OBS_VR"
        self._check_velosys(table)
        values, _, mask = read_keyword(self._ds, "OBS_VR")
        values = np.asarray(values, float)
        if mask is not None or not np.isfinite(values).all():
            return "OBS_VR is missing in some headers"
        if (np.abs(values) > LARGEST).any():
            return f"OBS_VR is up to {np.abs(values).max():.5g} m/s, more than {LARGEST:g}"
        flat = values.ravel()
        at = np.unique(np.linspace(0, len(flat) - 1, _CHECKED).round().astype(int))
        dates = self._dates(table, at)
        if dates is None:
            return values
        away = np.abs(observer_velocity(dates, self._place) - flat[at])
        if away.max() > NEAR:
            return f"OBS_VR is {away.max():.4g} m/s from that at DATE-AVG, more than {NEAR:g}"
        return values

    def _check_velosys(self, table: Any) -> None:
        """Refuse wavelengths that a velocity was taken out of: VELOSYS is 0 where none was."""
        if "VELOSYS" not in table.colnames:
            return
        values = np.ma.filled(np.ma.asarray(table["VELOSYS"]).astype(float), 0.0)
        if (np.nan_to_num(values) != 0).any():
            raise DatasetError(
                f"{self._what}: VELOSYS is {values[np.flatnonzero(values)[0]]:g} m/s: expected 0, "
                "that wavelengths are as measured. observer=False leaves the velocities as they are"
            )

    @staticmethod
    def _dates(table: Any, at: NDArray[np.intp]) -> Time | None:
        from astropy.time import Time

        if "DATE-AVG" not in table.colnames:
            return None
        try:
            return Time([str(table["DATE-AVG"][int(n)]) for n in at], scale="utc")
        except ValueError:
            return None

    @cached_property
    def _place(self) -> Any:
        table = self._ds.headers
        keywords = ("OBSGEO-X", "OBSGEO-Y", "OBSGEO-Z")
        if table is None or not len(table) or not set(keywords) <= set(table.colnames):
            return telescope()
        return telescope({keyword: table[keyword][0] for keyword in keywords})

    # Coordinates ----------------------------------------------------------------------------

    @cached_property
    def _world(self) -> tuple[Any, Any]:
        from dkist_virtual.cube.world_axes import World

        world = World(self._ds.wcs, self._ds.shape)
        for part in world.parts:
            if (axis := part.of_kind("time")) is not None:
                return part, axis
        raise DatasetError(
            f"{self._what}: neither headers nor WCS of this selection say when it was taken: "
            "observer=False leaves the observer's velocity in"
        )

    @cached_property
    def _times(self) -> Time:
        world, axis = self._world
        (values,) = world.along([axis])
        return world.time(np.ravel(values))

    def _computed(self) -> NDArray[np.float64]:
        """Compute the velocity at the time of each pixel, in axes of the dataset."""
        world, axis = self._world
        found = observer_velocity(self._times, self._place)
        on = axis.array_axes if world.shape else ()
        shape = [n if k in on else 1 for k, n in enumerate(self._ds.shape)]
        return found.reshape(shape)

    def _without_axis(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Average over the wavelengths that are used, which a scan takes one after the other."""
        values = np.broadcast_to(
            values,
            [n if n == 1 or k != self._axis else m
             for k, (n, m) in enumerate(zip(values.shape, self._ds.shape, strict=True))],
        )  # fmt: skip
        if values.shape[self._axis] > 1:
            values = np.compress(self._used, values, axis=self._axis)
        mean: NDArray[np.float64] = values.mean(axis=self._axis)
        return mean

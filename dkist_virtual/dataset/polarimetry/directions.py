"""Find how far directions on the Sun are turned from solar west."""

from __future__ import annotations

from typing import Any

import numpy as np

from dkist_virtual.errors import SelectionError

__all__ = ["angles_to"]


def angles_to(ds: Any, to: str) -> Any:
    """Return the angles in radians, counterclockwise on the sky from solar west, of a direction.

    Parameters
    ----------
    ds : Dataset
        Of one Stokes parameter.
    to : {"north", "radial", "slit"}

    Returns
    -------
    float or array
        Of a shape that broadcasts to that of `ds`.
    """
    from dkist_virtual.science.sun.disk import DiskGeometry

    if to == "north":
        return np.pi / 2
    geometry = DiskGeometry.of(ds.wcs, ds.shape, f'rotated: to="{to}"')
    whole = [(0, n) for n in geometry.own_shape]
    lon, lat = geometry.positions(whole)
    if to == "radial":
        angles = np.arctan2(np.tan(lat), np.cos(lat) * np.sin(lon))
    else:
        along = [geometry.axes.index(axis) for axis in geometry.smooth]
        if not along or geometry.own_shape[along[-1]] < 2:
            raise SelectionError(
                'rotated: to="slit" needs more than one pixel along the slit in this selection'
            )
        slit = along[-1]
        angles = np.arctan2(np.gradient(lat, axis=slit), np.cos(lat) * np.gradient(lon, axis=slit))
    shape = [n if axis in geometry.axes else 1 for axis, n in enumerate(ds.shape)]
    return np.reshape(angles, shape)

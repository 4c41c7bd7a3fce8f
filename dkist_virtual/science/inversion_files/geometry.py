"""Compute the angles of the line of sight that inversion codes ask for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = ["line_of_sight"]


def line_of_sight(
    longitude: ArrayLike, latitude: ArrayLike, mu: ArrayLike, positive_q: float
) -> NDArray[np.float64]:
    """Compute hazel's theta, chi and gamma, in degrees, of positions on the sky.

    The reference system is that of hazel's manual (docs/preparation/refsys.rst of
    aasensio/hazel2; Asensio Ramos, Trujillo Bueno & Landi Degl'Innocenti 2008, ApJ 683, 542). The Z
    axis is the local vertical. theta is the heliocentric angle, 90 degrees off the limb. chi, the
    azimuth of the line of sight, is 0: the X axis is in the plane of the vertical and the line of
    sight, so that on the sky it lies along the radius from the centre of the disk. gamma is the
    angle of the direction of positive Stokes Q from this radius, counterclockwise as seen by the
    observer; like that direction it is the same after half a turn, and here from 0 to 180.

    The manual's own example: at (-300, -200) arcsec, with +Q along solar north-south, theta is
    22.1, chi 0 and gamma 56.3.

    Parameters
    ----------
    longitude, latitude : array
        Tx and Ty, in one unit.
    mu : array
        The cosine of the heliocentric angle; NaN off the limb.
    positive_q : float
        The direction of +Q, in degrees counterclockwise from solar west (+Tx): 0 in the frame of
        SDO/HMI and Hinode-SP, in which DKIST's level 1 data are.

    Returns
    -------
    array of float64
        Of the shape of `mu`, with theta, chi, gamma along a new last axis.
    """
    mu = np.asarray(mu, float)
    on_disk = np.isfinite(mu)
    theta = np.where(on_disk, np.degrees(np.arccos(np.clip(np.where(on_disk, mu, 0), 0, 1))), 90.0)
    radius = np.degrees(np.arctan2(np.asarray(latitude, float), np.asarray(longitude, float)))
    gamma = np.mod(positive_q - radius, 180.0)
    return np.stack(np.broadcast_arrays(theta, 0.0, gamma), axis=-1)

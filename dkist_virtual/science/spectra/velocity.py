"""Compute velocities of shifts of lines, and what of them is the observer's and the Sun's.

Velocities are positive where the source recedes from the observer, as a red shift is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias, get_args

import numpy as np

if TYPE_CHECKING:
    from astropy.coordinates import EarthLocation
    from astropy.time import Time
    from numpy.typing import ArrayLike

    from dkist_virtual.science.spectra.samples import Floats

__all__ = [
    "LARGEST",
    "LIGHT",
    "ROTATIONS",
    "Rotation",
    "doppler_velocity",
    "gravitational_shift",
    "observer_velocity",
    "rotation_velocity",
    "telescope",
    "transverse_velocity",
]

LIGHT: Final = 299_792.458
"""Speed of light, km/s (exact, SI)."""

LARGEST: Final = 1000.0
"""m/s: the largest velocity of a telescope on Earth against the Sun along the line between them.

At most 0.50 km/s by the eccentricity of the orbit and 0.47 km/s by the rotation of the Earth."""

_PLACE: Final = (-5466045.256954942, -2404388.737412784, 2242133.887690042)
"""Where DKIST is, in m from the Earth's centre (ITRS): OBSGEO-X, -Y, -Z of its headers."""

Rotation: TypeAlias = Literal["howard", "snodgrass", "allen", "rigid"]

ROTATIONS: Final[tuple[str, ...]] = get_args(Rotation)


def doppler_velocity(wavelength: ArrayLike, rest: float) -> Floats:
    """Convert wavelengths to velocities in km/s, positive where they are longer than at rest.

    v = c (wavelength - rest) / rest, the optical convention (Greisen et al. 2006, A&A 446, 747,
    table 1, ZOPT times c), as `astropy.units.doppler_optical`. Of shifts that are measured and
    taken from each other in air, it is that of the wavelengths in vacuum to 3e-6 of the velocity,
    since the refractive index barely changes within a line.

    Parameters
    ----------
    wavelength : array
    rest : float
        In the same unit and medium.
    """
    return LIGHT * (np.asarray(wavelength, np.float64) / rest - 1.0)


def telescope(header: Any = None) -> EarthLocation:
    """Return where the telescope is: OBSGEO-X, -Y, -Z of a header, in m, else where DKIST is."""
    import astropy.units as u
    from astropy.coordinates import EarthLocation

    keywords = ("OBSGEO-X", "OBSGEO-Y", "OBSGEO-Z")
    place = _PLACE
    if header is not None and all(_is_number(header.get(keyword)) for keyword in keywords):
        place = tuple(float(header[keyword]) for keyword in keywords)  # type: ignore[assignment]
    return EarthLocation.from_geocentric(*place, unit=u.m)


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float, np.number)) and bool(np.isfinite(value))


def observer_velocity(times: Time, place: EarthLocation | None = None) -> Floats:
    """Compute how fast a telescope recedes from the centre of the Sun, in m/s.

    The rate of change of the distance of both, which is what DKIST writes as OBS_VR ("Observer's
    outward velocity w.r.t. the Sun", SPEC-0214; computed by dkist-processing-common from the
    telescope's position): positive where the telescope recedes. Positions and velocities are those
    of ERFA's analytic ephemeris in astropy; the rotation of the Earth is in them.

    Parameters
    ----------
    times : Time
        One or several.
    place : EarthLocation, optional
        By default where DKIST is.

    Returns
    -------
    array of float64, of the shape of `times`
    """
    position, velocity = _against_the_sun(times, telescope() if place is None else place)
    distance = np.sqrt((position**2).sum(axis=0))
    found: Floats = (position * velocity).sum(axis=0) / distance
    return found


def _against_the_sun(times: Time, place: EarthLocation) -> tuple[Floats, Floats]:
    """Compute position (m) and velocity (m/s) of a place on Earth from the Sun's centre, ICRS."""
    import astropy.units as u
    from astropy.coordinates import get_body_barycentric_posvel
    from astropy.utils import iers

    with iers.conf.set_temp("auto_download", False), iers.conf.set_temp("auto_max_age", None):
        own = place.get_gcrs_posvel(times)
    parts = [get_body_barycentric_posvel(body, times) for body in ("earth", "sun")]
    position, velocity = (
        own[k].xyz.to(unit) + parts[0][k].xyz.to(unit) - parts[1][k].xyz.to(unit)
        for k, unit in enumerate((u.m, u.m / u.s))
    )
    return position.value, velocity.value


def gravitational_shift(distance: float = 149_597_870_700.0) -> float:
    """Compute the gravitational red shift of light from the Sun's surface, in km/s.

    GM/c (1/R - 1/d), with the nominal solar values of IAU 2015 resolution B3: 0.636 km/s at
    infinity, 0.633 km/s at 1 au (as Gonzalez Hernandez et al. 2020, A&A 643, A146, expect).

    Parameters
    ----------
    distance : float
        Of the observer from the Sun's centre, in m.
    """
    gm, radius = 1.327_124_4e20, 6.957e8  # m^3 s^-2, m
    return gm / (LIGHT * 1e3) * (1 / radius - 1 / distance) / 1e3


def rotation_velocity(
    longitude: ArrayLike,
    latitude: ArrayLike,
    *,
    distance: float,
    tilt: float,
    transverse: tuple[float, float] = (0.0, 0.0),
    law: Rotation = "howard",
    radius: float = 6.957e8,
) -> Floats:
    """Compute the velocity along the line of sight by which the Sun's surface rotates, in km/s.

    The place on the sphere where the line of sight of a helioprojective position ends (Thompson
    2006, A&A 449, 791, section 4), times the sidereal angular velocity at its latitude. The
    observer moves across the line to the Sun's centre as well, which OBS_VR does not have: this
    velocity, seen along each line of sight, is in the result.

    Parameters
    ----------
    longitude, latitude : array
        Helioprojective, in radians, of one shape; longitude to the west, latitude to the north.
    distance : float
        Of the observer from the Sun's centre, in m.
    tilt : float
        The heliographic latitude of the observer (B0), in radians.
    transverse : (float, float)
        Velocity of the observer to the west and to the north, as seen by the observer, in m/s.
    law : {"howard", "snodgrass", "allen", "rigid"}
        As `sunpy.sun.models.differential_rotation` names them: Howard, Harvey & Forgach 1990;
        Snodgrass 1983; Allen's Astrophysical Quantities; Carrington's rate.
    radius : float
        Of the Sun, in m.

    Returns
    -------
    array of float64, of the shape of `longitude`
        NaN off the limb.
    """
    import astropy.units as u
    from sunpy.sun.models import differential_rotation

    x, y = np.broadcast_arrays(np.asarray(longitude, float), np.asarray(latitude, float))
    # Heliocentric axes: x to the west, y to the north of the Sun's axis, z to the observer.
    sight = np.stack([np.cos(y) * np.sin(x), np.sin(y), -np.cos(y) * np.cos(x)])
    along = -distance * sight[2]
    root = along**2 - distance**2 + radius**2
    place = sight * (along - np.sqrt(np.where(root < 0, np.nan, root)))
    place[2] += distance
    axis = np.array([0.0, np.cos(tilt), np.sin(tilt)])
    sine = np.tensordot(axis, place, axes=1) / radius
    at = np.arcsin(np.clip(sine, -1, 1)) * u.rad
    rate = differential_rotation(1 * u.s, at, model=law, frame_time="sidereal").to_value(u.rad)
    moving = rate * np.cross(axis, place, axisb=0, axisc=0)
    own = transverse[0] * sight[0] + transverse[1] * sight[1]
    found: Floats = ((moving * sight).sum(axis=0) - own) / 1e3
    return found


def transverse_velocity(
    time: Time, place: EarthLocation | None = None
) -> tuple[float, float, float, float]:
    """Compute how a telescope moves across its line to the Sun's centre, and where it is.

    Returns
    -------
    west, north : float
        Velocity as the observer sees these directions on the Sun, in m/s.
    distance : float
        From the Sun's centre, in m.
    tilt : float
        Heliographic latitude (B0), in radians.
    """
    import astropy.units as u
    from astropy.coordinates import ICRS, CartesianRepresentation, SkyCoord
    from sunpy.coordinates import HeliocentricInertial

    position, velocity = _against_the_sun(time, telescope() if place is None else place)
    # Only the orientation of the Sun's axis is taken from the frame: both are vectors from its
    # centre, in the axes of ICRS.
    north = SkyCoord(0 * u.deg, 90 * u.deg, 1e9 * u.AU, frame=HeliocentricInertial(obstime=time))
    axis = north.transform_to(ICRS()).cartesian
    pole = CartesianRepresentation(axis.xyz).xyz.value
    pole = pole / np.linalg.norm(pole)
    distance = float(np.linalg.norm(position))
    to_observer = position / distance
    west = np.cross(pole, to_observer)
    west /= np.linalg.norm(west)
    up = np.cross(to_observer, west)
    tilt = float(np.arcsin(to_observer @ pole))
    return float(velocity @ west), float(velocity @ up), distance, tilt

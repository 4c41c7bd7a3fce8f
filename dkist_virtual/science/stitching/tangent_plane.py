"""Define the output grid: evenly spaced pixels on a plane that touches the sky, Tx to the right."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Plane"]


@dataclass(frozen=True, eq=False)
class Plane:
    """Evenly spaced pixels on a plane that touches the sky at a point.

    Parameters
    ----------
    tangent : tuple of float
        Longitude and latitude of that point, arcsec.
    scale : tuple of float
        Arcseconds a pixel, along x and along y; both positive, as x goes to the right and with it
        the longitude.
    angle : float
        Of the x axis from the direction of growing longitude towards that of growing latitude,
        radians: counter-clockwise, with longitude to the right and latitude up.
    origin : tuple of float
        The pixel, x and y, of the tangent point.
    """

    tangent: tuple[float, float]
    scale: tuple[float, float]
    angle: float
    origin: tuple[float, float]

    def __post_init__(self) -> None:
        if not (min(self.scale) > 0 and -np.pi / 2 < self.angle < np.pi / 2):
            raise ValueError(f"expected positive scales and x to the right, found {self}")

    def moved(self, x: float, y: float) -> Plane:
        """Return the same plane with pixels counted from another one."""
        return replace(self, origin=(self.origin[0] - x, self.origin[1] - y))

    @property
    def matrix(self) -> NDArray[np.float64]:
        """Arcseconds on the plane, along longitude and latitude, of a pixel along x and y."""
        cos, sin = np.cos(self.angle), np.sin(self.angle)
        matrix: NDArray[np.float64] = np.array([[cos, -sin], [sin, cos]]) * np.array(self.scale)
        return matrix

    def pixels(self, lon: Any, lat: Any) -> tuple[Any, Any]:
        """Return x and y of positions on the sky, arcsec; NaN on the other side of the sphere."""
        second = np.deg2rad(1 / 3600)
        around, of = self.tangent[0] * second, self.tangent[1] * second
        away, phi = np.asarray(lon) * second - around, np.asarray(lat) * second
        depth = np.sin(of) * np.sin(phi) + np.cos(of) * np.cos(phi) * np.cos(away)
        with np.errstate(divide="ignore", invalid="ignore"):
            east = np.cos(phi) * np.sin(away) / depth / second
            north = np.cos(of) * np.sin(phi) - np.sin(of) * np.cos(phi) * np.cos(away)
            north = north / depth / second
        behind = ~(depth > 0)
        inverse = np.linalg.inv(self.matrix)
        x = inverse[0, 0] * east + inverse[0, 1] * north + self.origin[0]
        y = inverse[1, 0] * east + inverse[1, 1] * north + self.origin[1]
        return np.where(behind, np.nan, x), np.where(behind, np.nan, y)

    def model(self) -> Any:
        """Make the model of astropy's that gives longitude and latitude of a pixel."""
        from astropy import units as u
        from astropy.modeling import models as m

        per_pixel = u.arcsec / u.pix
        shift = m.Shift(-self.origin[0] * u.pix) & m.Shift(-self.origin[1] * u.pix)
        cos, sin = np.cos(self.angle), np.sin(self.angle)
        x, y = self.scale
        # PC of FITS: with different scales it is not a rotation.
        matrix = np.array([[cos, -sin * y / x], [sin * x / y, cos]])
        rotate = m.AffineTransformation2D(matrix * u.pix, translation=[0, 0] * u.pix)
        scale = m.Multiply(x * per_pixel) & m.Multiply(y * per_pixel)
        lon, lat = self.tangent * u.arcsec
        turn = m.RotateNative2Celestial(lon.to(u.deg), lat.to(u.deg), 180 * u.deg)
        return shift | rotate | scale | m.Pix2Sky_TAN() | turn

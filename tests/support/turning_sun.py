"""A Sun whose surface is known everywhere, and what instruments see of it.

Its brightness is a smooth random field on the surface, given at one moment; it turns with the
surface as sunpy says. Nothing here knows the package: an instrument is given its positions.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

import astropy.units as u
import numpy as np
from astropy.coordinates import EarthLocation, SkyCoord
from astropy.wcs import WCS
from scipy.interpolate import CubicSpline
from scipy.ndimage import gaussian_filter, map_coordinates, spline_filter
from sunpy.coordinates import (
    HeliographicStonyhurst,
    Helioprojective,
    propagate_with_solar_surface,
)
from sunpy.map import GenericMap, Map
from sunpy.map.header_helper import make_fitswcs_header

if TYPE_CHECKING:
    from astropy.time import Time

DKIST = EarthLocation.from_geodetic(-156.2575 * u.deg, 20.7067 * u.deg, 3084 * u.m)
ARCSEC_OF_A_DEGREE = 16.7


def telescope(time: Time) -> Helioprojective:
    """The frame of the telescope's sky at a moment."""
    there = SkyCoord(DKIST.get_itrs(time)).transform_to(HeliographicStonyhurst(obstime=time))
    return Helioprojective(observer=there, obstime=time)


@dataclass(frozen=True)
class Sun:
    """The surface around a position, as it is at a moment.

    `size` is the width of structures, in arcsec, standard deviation; `detail` the share of
    structures of a fifth of that, which small telescopes do not resolve.
    """

    time: Time
    longitude: float
    latitude: float
    across: float
    spacing: float
    spline: np.ndarray

    @classmethod
    def around(
        cls, sky: SkyCoord, *, across: float = 200.0, size: float = 0.6, detail: float = 0.3,
        spacing: float = 0.12, seed: int = 1,
    ) -> Sun:  # fmt: skip
        time = sky.obstime
        middle = sky.transform_to(HeliographicStonyhurst(obstime=time))
        n = int(across / spacing)
        noise = np.random.default_rng(seed).normal(size=(2, n, n))
        field = np.zeros((n, n))
        for one, width, share in zip(noise, (size, size / 5), (1.0, detail), strict=True):
            part = gaussian_filter(one, width / spacing, mode="wrap")
            field += share * part / part.std()
        return cls(
            time, float(middle.lon.deg), float(middle.lat.deg), across, spacing,
            spline_filter(100 + 10 * field),
        )  # fmt: skip

    def place(
        self, tx: np.ndarray, ty: np.ndarray, frame: Helioprojective
    ) -> tuple[np.ndarray, np.ndarray]:
        """Where on the surface positions, in arcsec, of an observer's sky are: x and y."""
        sky = SkyCoord(tx * u.arcsec, ty * u.arcsec, frame=frame)
        with propagate_with_solar_surface(), warnings.catch_warnings():
            warnings.filterwarnings("ignore", ".*off-disk")
            there = sky.transform_to(HeliographicStonyhurst(obstime=self.time))
        per_degree = ARCSEC_OF_A_DEGREE / self.spacing
        middle = self.across / self.spacing / 2
        x = (there.lon.wrap_at(180 * u.deg).deg - self.longitude) * per_degree
        return x + middle, (there.lat.deg - self.latitude) * per_degree + middle

    def brightness(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """The brightness at places on the surface."""
        at = np.nan_to_num([y, x], nan=-9)
        return map_coordinates(self.spline, at, order=3, prefilter=False, cval=np.nan)

    def seen(self, tx: np.ndarray, ty: np.ndarray, frame: Helioprojective) -> np.ndarray:
        """The brightness at positions, in arcsec, of an observer's sky."""
        return self.brightness(*self.place(tx, ty, frame))

    def scanned(self, tx: np.ndarray, ty: np.ndarray, times: Time) -> np.ndarray:
        """The brightness along a slit, seen by the telescope at each of some moments.

        tx and ty have a row for each moment. Places are computed at every 200th pixel and every ten
        minutes, and interpolated.
        """
        n = tx.shape[1]
        few = np.unique(np.append(np.arange(0, n, 200), n - 1))
        seconds = (times - times[0]).to_value(u.s)
        knots = np.linspace(0, seconds[-1], max(int(seconds[-1] / 600) + 1, 2))
        found = np.array(
            [self.place(tx[:, few], ty[:, few], telescope(times[0] + knot * u.s)) for knot in knots]
        )
        rows = np.empty(tx.shape)
        for number, second in enumerate(seconds):
            here = [
                [np.interp(second, knots, found[:, part, number, k]) for k in range(len(few))]
                for part in (0, 1)
            ]
            x, y = (CubicSpline(few, of)(np.arange(n)) for of in here)
            rows[number] = self.brightness(x, y)
        return rows

    def map(
        self, middle: SkyCoord, *, scale: float = 0.6, shape: tuple[int, int] = (200, 200),
        turned: float = 30.0, noise: float = 0.0, seed: int = 7, oversampled: int = 4,
    ) -> GenericMap:  # fmt: skip
        """What a small telescope sees: pixels of a scale in arcsec, turned by some degrees.

        Of other contrast: brightness counts less, and by its cube too, on another background.
        """
        header = make_fitswcs_header(
            shape, middle, scale=[scale, scale] * u.arcsec / u.pixel, rotation_angle=turned * u.deg,
            instrument="simulated",
        )  # fmt: skip
        wcs = WCS(header)
        fine = [(np.arange(n * oversampled) + 0.5) / oversampled - 0.5 for n in shape]
        rows, columns = np.meshgrid(*fine, indexing="ij")
        sky = wcs.pixel_to_world(columns, rows)
        seen = self.seen(sky.Tx.to_value(u.arcsec), sky.Ty.to_value(u.arcsec), middle.frame)
        seen = gaussian_filter(np.nan_to_num(seen, nan=100.0), 0.85 / scale * 0.6 * oversampled)
        seen = seen.reshape(shape[0], oversampled, shape[1], oversampled).mean(axis=(1, 3))
        odd = (seen - 100) / 10
        pixels = 2000 + 150 * (odd + 0.1 * odd**3)
        pixels += noise * 150 * np.random.default_rng(seed).normal(size=shape)
        return Map(pixels, header)

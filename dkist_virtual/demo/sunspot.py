"""Paint a sunspot: granules, a spot, and the Stokes profiles of a spectral line.

Enough physics for a picture that a solar physicist recognises, and no more.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.ndimage import (
    gaussian_filter,
    map_coordinates,
)
from scipy.spatial import cKDTree

__all__ = ["Scene", "stokes", "sunspot"]

Image = npt.NDArray[np.float64]

FIELD = 32.0  # arcsec across the shorter side of a frame
LINE = 630.25  # nm: Fe I, Landé factor 2.5
LINE_WIDTH = 5.0  # pm, standard deviation, the instrument's own width included
ZEEMAN = 4.67e-9 * 2.5 * LINE**2  # pm per gauss; 4.67e-13 g lambda**2 B is in Angstrom
DOPPLER = LINE * 1e3 / 299_792.458  # pm per km/s
SPOT_CENTRE = (0.54, 0.47)  # in fractions of a frame's height and width
SPOT_RADIUS, UMBRA_RADIUS = 8.6, 3.7  # arcsec, mean


@dataclass(frozen=True)
class Scene:
    """What a telescope sees at one time. All arrays are images (y, x), float64.

    Parameters
    ----------
    continuum
        Intensity beside the line, in units of the quiet Sun's mean.
    depth
        Central depth of the line where it is not split, 0 to 1.
    velocity
        Along the line of sight in km/s, positive away from us (redshift).
    field
        Magnetic field strength in gauss.
    inclination, azimuth
        Of the field to the line of sight and in the image's plane, in radians.
    spot
        From 0 outside the spot to 1 inside.
    """

    continuum: Image
    depth: Image
    velocity: Image
    field: Image
    inclination: Image
    azimuth: Image
    spot: Image

    def __post_init__(self) -> None:
        shapes = {name: image.shape for name, image in vars(self).items()}
        if len(set(shapes.values())) != 1:
            raise ValueError(f"the images of a scene differ in shape: {shapes}")


def sunspot(shape: tuple[int, int], *, scan: int = 0, seed: int = 6302) -> Scene:
    """Paint granulation with a round sunspot in it; the same seed gives the same scene.

    The shorter side of `shape` (y, x) is `FIELD` arcsec. From one scan to the next the granules
    drift a little. Granulation has a contrast of 12 per cent, its granules rise and its lanes sink;
    the umbra has 0.2, and a field that is vertical and 2.6 kG strong in the spot's centre, nearly
    horizontal at its border, and zero outside.
    """
    rng = np.random.default_rng(seed)
    arcsec = FIELD / min(shape)
    granules = _granulation(rng, shape, cell=1.45 / arcsec, scan=scan)
    y, x = np.indices(shape, dtype=np.float64)
    dy, dx = y - SPOT_CENTRE[0] * shape[0], x - SPOT_CENTRE[1] * shape[1]
    radius = np.hypot(dy, dx) * arcsec
    angle = np.arctan2(dy, dx)
    fibres = _filaments(rng, angle, radius / SPOT_RADIUS)
    outline = _smooth(rng, shape, 2.8 / arcsec)

    # Each filament extends into the umbra and into the granules.
    spot = _step(SPOT_RADIUS + 0.40 * outline + 0.40 * fibres - radius, 0.20)
    umbra = _step(UMBRA_RADIUS + 0.40 * outline - 0.30 * fibres - radius, 0.35)
    outward = np.clip((radius - UMBRA_RADIUS) / (SPOT_RADIUS - UMBRA_RADIUS), 0, 1)
    penumbra_light = 0.70 + 0.12 * fibres + 0.10 * outward
    dots = np.clip(_smooth(rng, shape, 0.16 / arcsec) - 1.2, 0, 2)
    umbra_light = 0.17 + 0.025 * outline + 0.07 * dots
    spot_light = umbra * umbra_light + (1 - umbra) * penumbra_light
    continuum = (1 - spot) * (1 + 0.12 * granules) + spot * spot_light

    # The outward flow, seen away from the disk centre: a blue and a red half of the penumbra.
    outflow = 1.6 * spot * (1 - umbra) * np.cos(angle - 0.4) * (1 + 0.3 * fibres)
    waves = 0.25 * _smooth(rng, shape, 3.5 / arcsec)
    velocity = -(1 - spot) * 0.9 * granules + outflow + waves
    reach = np.clip(radius / SPOT_RADIUS, 0, 1)
    return Scene(
        continuum=np.clip(continuum, 0.05, None),
        depth=0.62 - 0.17 * spot * umbra,
        velocity=velocity,
        field=2600 * spot / (1 + 1.4 * reach**2),
        inclination=np.radians(8 + 68 * reach),
        azimuth=angle,
        spot=spot,
    )


def stokes(scene: Scene, offsets: npt.ArrayLike) -> Image:
    """Compute the Stokes profiles of a scene: a Zeeman triplet of Gaussian lines.

    Takes wavelengths in pm from `LINE`. Returns an array of shape (stokes, wavelength, y, x),
    Stokes as I, Q, U, V, in units of the quiet continuum. About the Doppler-shifted core I, Q and U
    are symmetric and V is antisymmetric.

    A thin layer: the absorption coefficients of the Unno equations (del Toro Iniesta 2003,
    Introduction to Spectropolarimetry) subtracted from the continuum to first order.
    """
    from_core = np.asarray(offsets, dtype=np.float64)[:, None, None] - DOPPLER * scene.velocity
    split = ZEEMAN * scene.field

    def line(centre: Image | float) -> Image:
        profile: Image = np.exp(-0.5 * ((from_core - centre) / LINE_WIDTH) ** 2)
        return profile

    blue, pi, red = line(-split), line(0.0), line(split)
    sigma = (blue + red) / 2
    sin2, cos = np.sin(scene.inclination) ** 2, np.cos(scene.inclination)
    linear = (pi - sigma) / 2 * sin2
    strength = scene.continuum * scene.depth
    return np.stack(
        [
            scene.continuum - strength * (pi * sin2 + sigma * (1 + cos**2)) / 2,
            -strength * linear * np.cos(2 * scene.azimuth),
            -strength * linear * np.sin(2 * scene.azimuth),
            strength * (blue - red) / 2 * cos,
        ]
    )


def _smooth(rng: np.random.Generator, shape: tuple[int, int], scale: float) -> Image:
    """Draw noise of mean 0 and standard deviation 1, smooth on `scale` pixels."""
    return _normalise(gaussian_filter(rng.normal(size=shape), scale, mode="wrap"))


def _normalise(image: Image) -> Image:
    image -= image.mean()
    image /= image.std()
    return image


def _step(distance: Image, width: float) -> Image:
    """Rise from 0 to 1 where `distance` changes sign, over about `width`."""
    soft: Image = 0.5 * (1 + np.tanh(distance / width))
    return soft


def _granulation(
    rng: np.random.Generator, shape: tuple[int, int], *, cell: float, scan: int
) -> Image:
    """Paint granules about `cell` pixels apart: mean 0, standard deviation 1."""
    # Cells tile the plane like the regions nearest to scattered points; a pixel is in a lane if it
    # is as near to a second point.
    grid = np.mgrid[tuple(slice(-2, size / cell + 2) for size in shape)]
    points = grid.reshape(2, -1).T * cell
    points += rng.uniform(-0.55, 0.55, points.shape) * cell
    points += scan * rng.normal(0, 0.12, points.shape) * cell
    brightness = np.clip(rng.normal(0, 1, len(points)), -1.7, 1.7)

    # Borders of real granules are not straight.
    warp = np.stack([_smooth(rng, shape, 0.25 * cell) for _ in shape])
    pixels = np.indices(shape) + 0.12 * cell * warp
    distance, nearest = cKDTree(points).query(np.moveaxis(pixels, 0, -1), k=2)
    to_lane = (distance[..., 1] - distance[..., 0]) / cell
    body = 1 - np.exp(-((to_lane / 0.22) ** 1.6))
    light = body * (1 + 0.22 * brightness[nearest[..., 0]])
    light += 0.13 * body * _smooth(rng, shape, 0.13 * cell) + 0.08 * _smooth(rng, shape, 2 * cell)
    return _normalise(gaussian_filter(light, 0.08 * cell))


def _filaments(rng: np.random.Generator, angle: Image, radius: Image) -> Image:
    """Draw noise stretched along the radius: about mean 0, standard deviation 1.

    `angle` and `radius` are each pixel's polar coordinates, in radians and spot radii.
    """
    spokes, rings = 720, 80
    fibres = gaussian_filter(rng.normal(size=(spokes, rings)), (2.2, 9), mode=("wrap", "nearest"))
    fibres = np.clip(fibres / fibres.std(), -2.2, 2.2)
    # A slight curl, growing outward: filaments are not straight.
    turned = (angle + 0.10 * radius**2) / (2 * np.pi) % 1
    at = [turned * spokes, np.clip(radius, 0, 1.3) / 1.3 * (rings - 1)]
    drawn: Image = map_coordinates(fibres, at, order=1, mode="grid-wrap")
    return drawn

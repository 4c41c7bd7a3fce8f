"""Make a small picture of an image: robust contrast, north up, the pixels' own proportions."""

from __future__ import annotations

import io
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from dkist_virtual.errors import DKISTVirtualError

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["SUFFIX", "Plane", "TooLargeError", "block_means", "draw", "turned"]

SUFFIX: Final = ".webp"
LONGEST: Final = 320
"""Pixels of a picture's longer side."""
NARROWEST: Final = 48
"""Pixels of its shorter side at least, whatever the proportions on the sky are."""
CONTRAST: Final = (1.0, 99.0)
"""Percentiles that become black and white: single hot pixels do not decide."""
QUALITY: Final = 80


class TooLargeError(DKISTVirtualError):
    """A picture takes more bytes, or pixels, than its limit."""


@dataclass(frozen=True, eq=False)
class Plane:
    """An image, and where its pixels are on the sky.

    Parameters
    ----------
    pixels : numpy.ndarray of float32
        Axes (y, x); NaN where there is nothing.
    matrix : numpy.ndarray of float64, optional
        Two rows, longitude and latitude in arcsec, of columns for a step along x and along y. None
        where an axis is not on the sky.
    """

    pixels: NDArray[np.float32]
    matrix: NDArray[np.float64] | None = None

    def __post_init__(self) -> None:
        if self.pixels.ndim != 2 or not self.pixels.size:
            raise ValueError(f"pixels of shape {self.pixels.shape}: expected an image")
        if self.matrix is not None and self.matrix.shape != (2, 2):
            raise ValueError(f"a matrix of shape {self.matrix.shape}: expected (2, 2)")


def block_means(pixels: NDArray[Any], steps: tuple[int, int]) -> NDArray[np.float32]:
    """Average blocks of an image; NaN where a whole block is. Axes stay (y, x)."""
    high, wide = (-(-n // step) for n, step in zip(pixels.shape, steps, strict=True))
    padded = np.full((high * steps[0], wide * steps[1]), np.nan, np.float32)
    padded[: pixels.shape[0], : pixels.shape[1]] = pixels
    blocks = padded.reshape(high, steps[0], wide, steps[1])
    is_there = np.isfinite(blocks)
    n = is_there.sum(axis=(1, 3))
    total = np.where(is_there, blocks, 0).sum(axis=(1, 3), dtype=np.float64)
    with np.errstate(invalid="ignore"):
        return np.where(n > 0, total / np.maximum(n, 1), np.nan).astype(np.float32)


def turned(plane: Plane) -> Plane:
    """Turn an image by quarters and mirror it, so that x goes with longitude and y with latitude.

    North is up and solar west to the right within 45 degrees; nothing is interpolated.
    """
    pixels, matrix = plane.pixels, plane.matrix
    if matrix is None or not np.isfinite(matrix).all() or not matrix.any():
        return Plane(pixels)
    if abs(matrix[0, 0] * matrix[1, 1]) < abs(matrix[0, 1] * matrix[1, 0]):
        pixels, matrix = pixels.T, matrix[:, ::-1]
    if matrix[0, 0] < 0:
        pixels, matrix = pixels[:, ::-1], matrix * [-1, 1]
    if matrix[1, 1] < 0:
        pixels, matrix = pixels[::-1], matrix * [1, -1]
    return Plane(pixels, matrix)


def draw(plane: Plane, longest: int = LONGEST) -> tuple[bytes, tuple[int, int]]:
    """Draw an image in grey, bright where it is bright: every eye sees the same.

    Returns
    -------
    tuple of (bytes, tuple of int)
        A WebP file, transparent where there are no pixels; and its width and height.

    Raises
    ------
    ValueError
        No pixel of it is a number.
    """
    from PIL import Image

    plane = turned(plane)
    pixels = plane.pixels[::-1]  # files begin at the top
    is_there = np.isfinite(pixels)
    if not is_there.any():
        raise ValueError("none of its pixels is a number")
    low, high = np.percentile(pixels[is_there], CONTRAST)
    width = high - low
    scaled = (pixels - low) / width if width > 0 else np.full(pixels.shape, 0.5, np.float32)
    grey = np.where(is_there, np.clip(np.nan_to_num(scaled), 0, 1) * 255, 0).astype(np.uint8)
    size = _size(plane, longest)
    if is_there.all():
        image = Image.fromarray(grey).convert("RGB")
    else:
        image = Image.merge("RGBA", [Image.fromarray(grey)] * 3 + [_alpha(is_there)])
    file = io.BytesIO()
    image.resize(size, Image.Resampling.BILINEAR).save(file, "WEBP", quality=QUALITY, method=4)
    return file.getvalue(), size


def _alpha(is_there: NDArray[np.bool_]) -> Any:
    from PIL import Image

    return Image.fromarray((is_there * np.uint8(255)).astype(np.uint8))


def _size(plane: Plane, longest: int) -> tuple[int, int]:
    """Find width and height: as on the sky, where that is known."""
    high, wide = map(float, plane.pixels.shape)
    if plane.matrix is not None:
        wide *= math.hypot(*plane.matrix[:, 0])
        high *= math.hypot(*plane.matrix[:, 1])
    if not (0 < wide < math.inf and 0 < high < math.inf):
        high, wide = map(float, plane.pixels.shape)
    scale = longest / max(wide, high)
    return (
        max(min(NARROWEST, longest), round(wide * scale)),
        max(min(NARROWEST, longest), round(high * scale)),
    )

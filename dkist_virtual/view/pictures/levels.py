"""Turn values into 8 bits: nothing, absent, and 253 levels of a contrast."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from dkist_virtual.plot.image import limits

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = [
    "CMAPS", "FIRST", "NOTHING", "PLAIN_CMAP", "SIGNED_CMAP", "colours", "levels_of", "palette_of",
    "robust_limits",
]  # fmt: skip

NOTHING: Final = 0
"""The level of places without a pixel, which are transparent."""
_HATCH: Final = (1, 2)
"""The levels of absent frames: background and lines."""
FIRST: Final = 3
"""The level of the lower end of the contrast; 255 is that of the upper one."""
_HATCH_COLOURS: Final = ("#ededed", "#8c8c8c")
_EVERY: Final = 9
"""Screen pixels from one line of the hatching to the next."""

PLAIN_CMAP: Final = "gray"
SIGNED_CMAP: Final = "RdBu_r"
CMAPS: Final = (
    "gray", "cividis", "viridis", "magma", "gist_heat", "RdBu_r", "RdBu", "PuOr",
    "coolwarm", "gray_r",
)  # fmt: skip
"""Maps of even lightness, which also print and are told apart by the colour-blind."""


@lru_cache
def colours(cmap: str) -> tuple[str, ...]:
    """Return the 253 colours of a map, from low to high, as ``#rrggbb``."""
    from matplotlib import colormaps

    rgb = np.round(colormaps[cmap](np.linspace(0, 1, 256 - FIRST))[:, :3] * 255).astype(int)
    return tuple("#{:02x}{:02x}{:02x}".format(*one) for one in rgb.tolist())


@lru_cache
def palette_of(cmap: str) -> tuple[str, ...]:
    """Return the colours of the levels 1 to 255."""
    return (*_HATCH_COLOURS, *colours(cmap))


def robust_limits(pixels: NDArray[np.floating[Any]], *, signed: bool) -> tuple[float, float]:
    """Find the ends of a contrast that shows most pixels; zero is in the middle of signed ones."""
    return limits(pixels, signed=signed)


def levels_of(
    pixels: NDArray[np.floating[Any]],
    absent: NDArray[np.bool_] | None,
    ends: tuple[float, float],
) -> NDArray[np.uint8]:
    """Turn the pixels of a screen into levels; absent ones are hatched."""
    low, high = ends
    scale = np.float32((255 - FIRST) / (high - low) if high > low else 0)
    values = np.subtract(pixels, np.float32(low), dtype=np.float32)
    values *= scale
    values += np.float32(FIRST + 0.5)
    known = np.isfinite(values)
    np.clip(values, FIRST, 255, out=values)
    if not known.all():
        np.copyto(values, NOTHING, where=~known)
    levels: NDArray[np.uint8] = values.astype(np.uint8)
    if absent is not None and absent.any():
        rows, columns = np.nonzero(absent)
        levels[rows, columns] = np.where((rows + columns) % _EVERY < 2, _HATCH[1], _HATCH[0])
    return levels

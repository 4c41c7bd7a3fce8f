"""Read where two tiles overlap, find how far one has to move, and how bright they are there."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from dkist_virtual.errors import DatasetError
from dkist_virtual.science.stitching.blending import inside, sample, window_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dkist_virtual.science.stitching.lattice import Lattice
    from dkist_virtual.science.stitching.tiles import Sight, Tile

__all__ = ["Measured", "compare_brightness", "measure_shifts", "plane_of"]

_LEAST: Final = 8
"""Pixels along each axis that an overlap has at least, to be compared."""

_SIDE: Final = 512
"""Pixels along each axis of an overlap that are compared at most, around its middle."""

_CLOSE: Final = 0.005
"""A shift below this many pixels is none."""


@dataclass(frozen=True)
class Measured:
    """What the overlap of two tiles says, which are given by their numbers.

    Parameters
    ----------
    first, second : int
    value : tuple of float
        How far down and right the second has to move, in output pixels; or what its brightness
        lacks.
    correlation : float
    pixels : int
        That were compared.
    within : bool
        Whether the shift is within what was searched.
    sharp : tuple of tuple of float, optional
        How well each direction is known against the others: a matrix with a trace of 2. Along an
        edge, such as the limb, a shift is not known.
    """

    first: int
    second: int
    value: tuple[float, ...]
    correlation: float
    pixels: int
    within: bool = True
    sharp: tuple[tuple[float, float], tuple[float, float]] = ((1.0, 0.0), (0.0, 1.0))


def plane_of(middle: Sight, asked: Any) -> tuple[int, ...]:
    """Return the pixel of the carried axes at which overlaps are compared."""
    sizes = [middle.cube.shape[axis] for axis in middle.carried]
    stokes = middle.world.of_kind("stokes")
    letters = () if stokes is None else stokes.array_axes
    if asked is None:
        return tuple(
            0 if axis in letters else n // 2 for axis, n in zip(middle.carried, sizes, strict=True)
        )
    given = tuple(asked) if isinstance(asked, (tuple, list)) else (asked,)
    fits = len(given) == len(sizes) and all(
        isinstance(at, (int, np.integer)) and not isinstance(at, bool) and -n <= at < n
        for at, n in zip(given, sizes, strict=True)
    )
    if not fits:
        raise ValueError(
            f"stitch(plane={asked!r}): expected a pixel of the axes that are not of the sky, of "
            f"lengths {tuple(sizes)}"
        )
    return tuple(int(at) % n for at, n in zip(given, sizes, strict=True))


class _Window:
    """The pixels of a tile that reach an overlap, in memory."""

    def __init__(self, tile: Tile, at: tuple[int, ...], box: NDArray[np.int64]) -> None:
        self.tile, self.pointing = tile, tile.pointing(at)
        self.shape = tile.lattice.shape
        y, x = (np.unique(np.linspace(first, last, 33).astype(np.int64)) for first, last in box)
        row, column = tile.lattice.backward(self.pointing, y, x)
        limits = [
            np.clip([np.nanmin(of), np.nanmax(of)], 0, n - 1)
            for of, n in zip((row, column), self.shape, strict=True)
        ]
        # Between those positions there are others, and a cubic needs the next pixel.
        rows, columns = (
            window_of(np.array([low - 2, high + 2]), n, "cubic")
            for (low, high), n in zip(limits, self.shape, strict=True)
        )
        self.first = (rows.start, columns.start)
        self.pixels = np.asarray(tile.read(tile.pixels, at, rows, columns), np.float64)
        masked = None if tile.mask is None else tile.read(tile.mask, at, rows, columns)
        self.masked = None if masked is None else np.broadcast_to(masked, self.pixels.shape)

    def on(self, lattice: Lattice, box: NDArray[np.int64]) -> NDArray[np.float64]:
        """Interpolate on the output pixels of a box; NaN where the tile does not reach."""
        y, x = (np.arange(first, last + 1) for first, last in box)
        row, column = lattice.backward(self.pointing, y, x)
        there = inside(row, column, self.shape)
        out = np.full(there.shape, np.nan)
        if there.any():
            values, valid = sample(
                self.pixels, self.masked, row[there], column[there], "cubic", self.first, self.shape
            )
            out[there] = np.where(valid, values, np.nan)
        return out * self.tile.gain + self.tile.offset


def _common(one: Lattice, other: Lattice, pointings: tuple[int, int]) -> NDArray[np.int64] | None:
    """Return the output pixels that two tiles may both reach; None where there are too few."""
    a, b = one.boxes[pointings[0]], other.boxes[pointings[1]]
    box = np.stack([np.maximum(a[:, 0], b[:, 0]), np.minimum(a[:, 1], b[:, 1])], axis=1)
    return box if (box[:, 1] - box[:, 0] + 1 >= _LEAST).all() else None


def _central(box: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the part of a box around its middle that is compared."""
    length = box[:, 1] - box[:, 0] + 1
    cut = np.maximum(0, length - _SIDE) // 2
    return np.stack([box[:, 0] + cut, np.minimum(box[:, 1], box[:, 0] + cut + _SIDE - 1)], axis=1)


def _known(images: Sequence[NDArray[np.float64]]) -> tuple[slice, slice]:
    """Return the largest part, cut off at its edges, in which all images are known everywhere."""
    known = np.logical_and.reduce([np.isfinite(image) for image in images])
    top, bottom, left, right = 0, known.shape[0], 0, known.shape[1]
    while bottom > top and right > left and not known[top:bottom, left:right].all():
        part = ~known[top:bottom, left:right]
        edges = {
            "top": part[0].mean(), "bottom": part[-1].mean(),
            "left": part[:, 0].mean(), "right": part[:, -1].mean(),
        }  # fmt: skip
        worst = max(edges, key=lambda edge: edges[edge])
        if not edges[worst]:  # a hole: cut where it is nearer to an edge
            worst = "top" if part.shape[0] >= part.shape[1] else "left"
        top, bottom = top + (worst == "top"), bottom - (worst == "bottom")
        left, right = left + (worst == "left"), right - (worst == "right")
    return slice(top, bottom), slice(left, right)


def _pairs(tiles: Sequence[Tile], at: tuple[int, ...]) -> Any:
    """Give the pairs of tiles that may overlap, and the output pixels of both."""
    for a, b in itertools.combinations(range(len(tiles)), 2):
        one, other = tiles[a], tiles[b]
        box = _common(one.lattice, other.lattice, (one.pointing(at), other.pointing(at)))
        if box is not None:
            yield a, b, _central(box)


def measure_shifts(tiles: Sequence[Tile], at: tuple[int, ...], search: int) -> list[Measured]:
    """Find for each pair of tiles that overlap how far the second has to move.

    First by whole pixels, by the normalised correlation of all that both show (Padfield 2012), then
    by fractions of them, by the correlation of what both show once moved, repeatedly.

    Raises
    ------
    ImportError
        scikit-image is not installed.
    """
    try:
        from skimage import registration
    except ImportError as error:
        raise ImportError(
            "stitch(register=True) compares overlaps with scikit-image, which is not installed: "
            "pip install 'dkist-virtual[align]'"
        ) from error
    correlate: Any = registration.phase_cross_correlation  # comes without types
    found = []
    for a, b, box in _pairs(tiles, at):
        one, other = tiles[a], tiles[b]
        wide = np.stack([box[:, 0] - search, box[:, 1] + search], axis=1)
        windows = _Window(one, at, wide), _Window(other, at, wide)
        images = [w.on(t.lattice, wide) for w, t in zip(windows, (one, other), strict=True)]
        masks = [np.isfinite(image) for image in images]
        if min(mask.sum() for mask in masks) < _LEAST**2:
            continue
        flat = [
            np.where(mask, image - image[mask].mean(), 0)
            for image, mask in zip(images, masks, strict=True)
        ]
        # Of a featureless overlap it divides by zero.
        with np.errstate(all="ignore"):
            shift = correlate(
                *flat, reference_mask=masks[0], moving_mask=masks[1], overlap_ratio=0.3
            )[0]
        shift = np.asarray(shift, np.float64)
        within = bool(np.isfinite(shift).all() and np.abs(shift).max() <= search)
        if not within:
            found.append(Measured(a, b, (0.0, 0.0), 0.0, 0, within=False))
            continue
        measured = _refine(windows, (one.lattice, other.lattice), shift, correlate)
        if measured is not None:
            shift, correlation, pixels, (up, across, along) = measured
            within = bool(np.abs(shift).max() <= search)
            moved = (float(shift[0]), float(shift[1]))
            sharp = ((up, across), (across, along))
            found.append(Measured(a, b, moved, correlation, pixels, within, sharp))
    return found


def _refine(
    windows: tuple[_Window, _Window],
    lattices: tuple[Lattice, Lattice],
    shift: NDArray[np.float64],
    correlate: Any,
) -> tuple[NDArray[np.float64], float, int, tuple[float, float, float]] | None:
    """Find a shift to fractions of a pixel, from one by whole pixels; None if little is shared.

    The correlation comes near, and least squares of the difference the rest of the way: where there
    is but one edge, the peak of a correlation is too flat along it.
    """
    pointings = windows[0].pointing, windows[1].pointing
    near = False
    for _ in range(12):
        moved = lattices[1].moved(*shift)
        box = _common(lattices[0], moved, pointings)
        if box is None:
            return None
        box = _central(box)
        images = [windows[0].on(lattices[0], box), windows[1].on(moved, box)]
        part = _known(images)
        images = [image[part] for image in images]
        height, width = images[0].shape
        if min(height, width) < _LEAST:
            return None
        # Falls to the edges, so that what moves in and out of them counts for little.
        taper = np.hanning(height + 2)[1:-1, None] * np.hanning(width + 2)[None, 1:-1]
        flat = [(image - np.average(image, weights=taper)) * taper for image in images]
        if not all(np.ptp(image) > 0 for image in flat):
            return shift, 0.0, images[0].size, (1.0, 0.0, 1.0)
        alike = [image / np.sqrt((image**2).sum()) for image in flat]
        slopes = _slopes(
            [image / np.sqrt((f**2).sum()) for image, f in zip(images, flat, strict=True)]
        )
        if near:
            step = _least_squares(alike, slopes * taper, taper)
        else:
            step = correlate(flat[0], flat[1], upsample_factor=20, normalization=None)[0]
            step = np.asarray(step, np.float64)
        if not np.abs(step).max() <= _LEAST / 2:
            return shift, 0.0, images[0].size, (1.0, 0.0, 1.0)
        shift = shift + step
        if near and np.abs(step).max() <= _CLOSE:
            break
        near = near or bool(np.abs(step).max() < 0.2)
    a, b = (image - image.mean() for image in images)
    correlation = float((a * b).sum() / np.sqrt((a * a).sum() * (b * b).sum()))
    up, across, along = (
        float((slopes[i] * slopes[j] * taper).sum()) for i, j in ((0, 0), (0, 1), (1, 1))
    )
    mean = (up + along) / 2 or 1.0
    return shift, correlation, images[0].size, (up / mean, across / mean, along / mean)


def _slopes(images: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Return the mean slopes of two images, downwards and to the right."""
    slopes: NDArray[np.float64] = np.mean(
        [[np.gradient(image, axis=axis) for axis in (0, 1)] for image in images], axis=0
    )
    return slopes


def _least_squares(
    images: Sequence[NDArray[np.float64]], slopes: NDArray[np.float64], taper: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the shift of the second image that makes the first of it, and a factor and a number.

    The factor multiplies the mean of both: one of the second alone would be too small, by its
    noise, and what that leaves of the brightness would look like a shift.
    """
    columns = [*slopes, (images[0] + images[1]) / 2, taper]
    matrix = np.stack([column.ravel() for column in columns], axis=1)
    scale = np.linalg.norm(matrix, axis=0)
    scale[scale == 0] = 1
    found = np.linalg.lstsq(matrix / scale, (images[0] - images[1]).ravel(), rcond=1e-8)[0]
    step: NDArray[np.float64] = -(found / scale)[:2]
    return step


def compare_brightness(tiles: Sequence[Tile], at: tuple[int, ...], kind: str) -> list[Measured]:
    """Compare the brightness of each pair of tiles that overlap.

    The value is the logarithm of the factor, for ``"gain"``, or the number, for ``"offset"``, that
    makes the second as bright as the first.
    """
    found = []
    for a, b, box in _pairs(tiles, at):
        images = [_Window(tiles[n], at, box).on(tiles[n].lattice, box) for n in (a, b)]
        both = np.isfinite(images[0]) & np.isfinite(images[1])
        if both.sum() < _LEAST**2:
            continue
        means = [float(image[both].mean()) for image in images]
        if kind == "gain" and min(means) <= 0:
            raise DatasetError(
                f'stitch(match="gain"): the mean of tiles {list(tiles[a].place)} and '
                f"{list(tiles[b].place)} in their overlap is {means[0]:.5g} and {means[1]:.5g}: "
                'factors are of brightnesses above 0. match="offset" adds numbers, and plane= '
                "chooses what is compared"
            )
        value = np.log(means[0] / means[1]) if kind == "gain" else means[0] - means[1]
        one, other = (image[both] - mean for image, mean in zip(images, means, strict=True))
        with np.errstate(invalid="ignore", divide="ignore"):
            correlation = float((one * other).sum() / np.sqrt((one**2).sum() * (other**2).sum()))
        found.append(Measured(a, b, (float(value),), correlation, int(both.sum())))
    return found

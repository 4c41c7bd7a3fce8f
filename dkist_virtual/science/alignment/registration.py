"""Find how far each of many small images is from its place in a larger one, in pixels.

Arrays only: what they are on the Sun is known to `find`. A slit is an image of one row. Rows
and columns are counted as in the images, and a shift of (rows, columns) is how much farther up and
to the right an image is found than its coordinates say.

The images are first compared at whole pixels by scikit-image (`match_template`, the correlation
coefficient of each shift). `follow` then finds the most probable path of shifts through all images,
in which neighbours are near each other unless they are much better apart. `refine` finds fractions
of a pixel by least squares, and `smooth` lets neighbours support each other, but not across a jump.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = [
    "Found",
    "Sample",
    "average",
    "correlations",
    "fit_line",
    "follow",
    "jumps",
    "likelihoods",
    "refine",
    "smooth",
]

Floats: TypeAlias = "NDArray[np.float64]"
Sample: TypeAlias = "Callable[[int, Floats, Floats], Floats]"
"""The larger image as seen by image n, at rows and columns of that image; NaN where it has none."""

_SMALL_JUMP: Final = 0.7
"""Pixels: a jump by less is not told from a drift."""

_FARTHER: Final = 1.5
"""By how much of the neighbours that are absent on one side a line is longer on the other."""

_LEAST: Final = 0.5
"""The share of an image that has to be known, and covered by the larger one."""


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """What least squares found for some images.

    Parameters
    ----------
    shift : numpy.ndarray
        Shape (images, 2): rows and columns.
    weight : numpy.ndarray
        Shape (images, 2, 2): the inverse of its covariance; 0 for an image that tells nothing.
    quality : numpy.ndarray
        Shape (images,): the correlation coefficient at that shift; NaN where there is none.
    """

    shift: Floats
    weight: Floats
    quality: Floats


def _grid(shape: tuple[int, int], reach: tuple[int, int] = (0, 0)) -> tuple[Floats, Floats]:
    rows, columns = (np.arange(-r, n + r, dtype=float) for n, r in zip(shape, reach, strict=True))
    grid = np.meshgrid(rows, columns, indexing="ij")
    return grid[0], grid[1]


def _high_pass(image: Floats, widths: tuple[int, int]) -> Floats:
    """Subtract what is much broader than structures, along the axes of more than one pixel.

    Unknown pixels become 0, which is what counts for nothing then.
    """
    from scipy.ndimage import uniform_filter

    known = np.isfinite(image)
    share, broad = known.astype(float), np.where(known, image, 0.0)
    for _ in range(2):
        share, broad = (uniform_filter(of, widths, mode="nearest") for of in (share, broad))
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.where(known, image - broad / share, 0.0))


def _widths(shape: tuple[int, int]) -> tuple[int, int]:
    rows, columns = (max(n // 2, 16) if n > 1 else 1 for n in shape)
    return rows, columns


def correlations(images: Floats, sample: Sample, reach: int) -> Floats:
    """Compute the correlation coefficient of each image with the larger one at whole shifts.

    Parameters
    ----------
    images : numpy.ndarray
        Shape (images, rows, columns); NaN where a pixel is not known.
    sample : callable
    reach : int
        The largest shift, in pixels.

    Returns
    -------
    numpy.ndarray
        Shape (images, 2 reach + 1, 2 reach + 1), by rows and columns of the shift, least first;
        0 of an image of which less than half is known.
    """
    try:
        from skimage.feature import match_template
    except ImportError as error:
        raise ImportError(
            "align needs scikit-image: python -m pip install 'dkist-virtual[align]'"
        ) from error

    shape: tuple[int, int] = images.shape[1:]
    widths = _widths(shape)
    rows, columns = _grid(shape, (reach, reach))
    found = np.zeros((len(images), 2 * reach + 1, 2 * reach + 1))
    for number, image in enumerate(images):
        around = sample(number, rows, columns)
        if np.isfinite(image).mean() < _LEAST or not np.isfinite(around).any():
            continue
        template = _high_pass(image, widths)
        if template.std() == 0:
            continue
        matched: Floats = match_template(_high_pass(around, widths), template)  # type: ignore[no-untyped-call]
        found[number] = matched
    return np.nan_to_num(found)


def likelihoods(coefficients: Floats, independent: float) -> Floats:
    """Convert correlation coefficients to logarithms of likelihoods, up to a constant.

    They are those of a least-squares fit of gain and offset, with as many independent pixels.
    """
    positive = np.clip(coefficients, 0.0, 0.999)
    return np.asarray(-independent / 2 * np.log1p(-(positive**2)))


def follow(likelihood: Floats, jump: float = 12.0, move: float = 5.0) -> NDArray[np.int64]:
    """Find the most probable path of shifts through images that follow each other.

    Parameters
    ----------
    likelihood : numpy.ndarray
        Logarithms, of shape (images, rows, columns) of shifts.
    jump, move : float
        How much less likely, as a logarithm, a jump to any other shift is than none, and a move to
        the next row or column.

    Returns
    -------
    numpy.ndarray
        Shape (images, 2): the row and the column of each image's shift.
    """
    n, *shape = likelihood.shape
    best = likelihood[0]
    came = np.zeros((n, *shape), np.int32)  # from which shift
    own = np.arange(best.size, dtype=np.int32).reshape(shape)
    for number in range(1, n):
        top = int(np.argmax(best))
        value = np.full(shape, best.flat[top] - jump)
        source = np.full(shape, top, np.int32)
        for up in (-1, 0, 1):
            for right in (-1, 0, 1):
                cost = move * (abs(up) + abs(right))
                to, of = _overlap(up, shape[0]), _overlap(-up, shape[0])
                to_c, of_c = _overlap(right, shape[1]), _overlap(-right, shape[1])
                moved = best[of, of_c] - cost
                better = moved > value[to, to_c]
                value[to, to_c][better] = moved[better]
                source[to, to_c][better] = own[of, of_c][better]
        came[number] = source
        best = value + likelihood[number]
    path = np.empty(n, np.int64)
    path[-1] = int(np.argmax(best))
    for number in range(n - 1, 0, -1):
        path[number - 1] = came[number].flat[path[number]]
    return np.column_stack(np.unravel_index(path, shape)).astype(np.int64)


def _overlap(by: int, n: int) -> slice:
    """Return the pixels that others, so much lower, are moved to."""
    return slice(max(by, 0), n + min(by, 0))


def refine(images: Floats, sample: Sample, shift: Floats) -> Found:
    """Improve shifts by least squares: gain, offset and slopes of each image are free.

    A step is at most a pixel.
    """
    shape: tuple[int, int] = images.shape[1:]
    rows, columns = _grid(shape)
    n = len(images)
    result, weight = shift.copy(), np.zeros((n, 2, 2))
    quality = np.full(n, np.nan)
    slopes = [np.ones(rows.size)]
    slopes += [axis.ravel() - axis.mean() for axis in (rows, columns) if np.ptp(axis)]
    h = 0.5
    for number, image in enumerate(images):
        up, right = shift[number]
        offsets = [(0.0, 0.0), (h, 0.0), (-h, 0.0), (0.0, h), (0.0, -h)]
        seen = [sample(number, rows + up + a, columns + right + b).ravel() for a, b in offsets]
        known = np.isfinite(image.ravel()) & np.isfinite(seen).all(axis=0)
        if known.mean() < _LEAST or known.sum() < 8:
            continue
        pixels = image.ravel()[known]
        there, a, b, c, d = (of[known] for of in seen)
        plain = np.column_stack([of[known] for of in slopes])
        basis, _ = np.linalg.qr(plain)
        clean = [of - basis @ (basis.T @ of) for of in (pixels, there, (a - b), (c - d))]
        pixels, there, by_row, by_column = clean
        power = float(there @ there)
        if power == 0 or not float(pixels @ pixels):
            continue
        gain = float(pixels @ there) / power
        quality[number] = float(pixels @ there) / np.sqrt(power * float(pixels @ pixels))
        design = np.column_stack([there, by_row, by_column])
        solution, *_ = np.linalg.lstsq(design, pixels)
        gain = float(solution[0]) if solution[0] > gain / 2 else gain
        if gain <= 0:
            continue
        step = solution[1:] / gain  # of 2 h, which is one pixel
        left = pixels - design @ solution
        variance = float(left @ left) / max(len(pixels) - design.shape[1] - plain.shape[1], 1)
        slope = design[:, 1:] - np.outer(there, there @ design[:, 1:]) / power
        weight[number] = gain**2 * (slope.T @ slope) / max(variance, 1e-300)
        result[number] = shift[number] + np.clip(step, -1, 1)
    return Found(result, weight, quality)


# Neighbours ---------------------------------------------------------------------------------


def fit_line(
    at: Floats, values: Floats, weight: Floats, *, order: int, rounds: int = 8
) -> tuple[Floats, Floats]:
    """Fit a constant (order 0) or a line (1) to shifts of two components, robustly.

    Returns
    -------
    coefficients : numpy.ndarray
        Shape (order + 1, 2), of powers of `at`.
    away : numpy.ndarray
        Shape (images,): the distance of each from the fit, in standard deviations of its own.
    """
    powers = at[:, None] ** np.arange(order + 1)
    robust = np.ones(len(at))
    away = np.zeros(len(at))
    coefficients = np.zeros((order + 1, 2))
    for _ in range(rounds):
        w = weight * robust[:, None, None]
        normal = np.einsum("ka,kb,kij->aibj", powers, powers, w).reshape((2 * order + 2,) * 2)
        right = np.einsum("ka,kij,kj->ai", powers, w, values).ravel()
        coefficients = np.linalg.lstsq(normal, right)[0].reshape(order + 1, 2)
        left = values - powers @ coefficients
        away = np.sqrt(np.maximum(np.einsum("ki,kij,kj->k", left, weight, left), 0.0))
        counted = away[weight[:, 0, 0] + weight[:, 1, 1] > 0]
        if not len(counted):
            break
        # That of two normal components has the median 1.18.
        limit = 2.5 * max(float(np.median(counted)) / 1.18, 1e-12)
        new = np.minimum(1.0, limit / np.maximum(away, 1e-300)) ** 2
        if np.allclose(new, robust, atol=1e-3):
            break
        robust = new
    return coefficients, away


def average(values: Floats, begins: NDArray[np.bool_], width: float) -> Floats:
    """Average neighbours by a normal distribution of so many, but not across a jump.

    Parameters
    ----------
    values : numpy.ndarray
        Along its first axis; NaN is left out.
    begins : numpy.ndarray
        True for an image that none before it is averaged with.
    width : float
    """
    reach = int(np.ceil(3 * width))
    part = np.cumsum(begins)
    n = len(values)
    total, share = np.zeros(values.shape), np.zeros(values.shape)
    known = np.isfinite(values)
    filled = np.where(known, values, 0.0)
    shape = (-1,) + (1,) * (values.ndim - 1)
    for by in range(-min(reach, n - 1), min(reach, n - 1) + 1):
        to, of = _overlap(by, n), _overlap(-by, n)
        weight = np.exp(-0.5 * (by / width) ** 2) * (part[to] == part[of]).reshape(shape)
        total[to] += weight * filled[of]
        share[to] += weight * known[of]
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.where(known, total / share, np.nan))


def jumps(
    values: Floats, weight: Floats, begins: NDArray[np.bool_], half: int
) -> NDArray[np.bool_]:
    """Find where shifts jump: lines through neighbours before and after do not meet there.

    Returns
    -------
    numpy.ndarray of bool
        Shape (images,): true for the first image after a jump, and where `begins` is.
    """
    result = begins.copy()
    part = np.cumsum(begins)
    n = len(values)
    size = np.zeros(n)
    for number in range(1, n):
        ends = []
        for low, high in ((number - half, number), (number, number + half)):
            near = np.arange(max(low, 0), min(high, n))
            near = near[part[near] == part[number]]
            near = near[weight[near, 0, 0] + weight[near, 1, 1] > 0]
            if len(near) < half // 2 or len(near) < 3:
                break
            ends.append(np.median(values[near], axis=0))
        if len(ends) == 2:
            size[number] = np.hypot(*(ends[1] - ends[0]))
    usual = float(np.median(size[size > 0])) if (size > 0).any() else 0.0
    for number in np.argsort(-size).tolist():
        others = result[max(number - half, 0) : number + half]
        if size[number] < max(6 * usual, _SMALL_JUMP) or others.any():
            continue
        result[number] = True
    return result


def smooth(
    at: Floats, values: Floats, weight: Floats, begins: NDArray[np.bool_], half: int
) -> Floats:
    """Let neighbours support each other: a robust line through those near each image.

    Parameters
    ----------
    at : numpy.ndarray
        Where each image was measured, in images from the first.
    values : numpy.ndarray
        Shape (images, 2).
    weight : numpy.ndarray
        Shape (images, 2, 2).
    begins : numpy.ndarray
        Shape (images,): true for an image that none before it supports.
    half : int
        Neighbours on each side, about, by a normal distribution; 0 leaves known values as they are.
    """
    n = len(values)
    part = np.cumsum(begins)
    known = weight[:, 0, 0] + weight[:, 1, 1] > 0
    result = values.copy()
    for number in range(n):
        if half == 0 and known[number]:
            continue
        same = np.flatnonzero((part == part[number]) & known)
        # A line that is known on one side alone is less certain at its end: it has to be longer.
        inside = min(number - same[0], same[-1] - number, half) if len(same) else 0
        reach = max(half + _FARTHER * (half - max(inside, 0)), 2)
        near = same[np.abs(same - number) <= 2 * reach]
        if len(near) > 3:
            away = (at[near] - number) / reach
            kernel = np.exp(-0.5 * away**2)
            line, _ = fit_line(
                away, values[near], weight[near] * kernel[:, None, None], order=1, rounds=3
            )
            result[number] = line[0]
        elif not known[number]:
            there = same if len(same) else np.flatnonzero(known)
            if len(there):
                result[number] = values[there[np.argmin(np.abs(there - number))]]
    return result

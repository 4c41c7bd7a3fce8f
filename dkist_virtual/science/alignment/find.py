"""Find the pointing of a dataset by comparing its images with maps of the Sun.

The correction is rigid: each step is shifted as a whole. Seeing moves parts of an image against
each other, which would need destretching; that is not done here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

import astropy.units as u
import numpy as np

from dkist_virtual.cube.screens import NEEDS_SCREEN, check_screen
from dkist_virtual.errors import AlignmentError, DatasetError
from dkist_virtual.science.alignment.reference import SeenMap, maps_of, nearest_in_time, see
from dkist_virtual.science.alignment.registration import (
    Floats,
    Found,
    Sample,
    average,
    correlations,
    fit_line,
    follow,
    jumps,
    likelihoods,
    refine,
    smooth,
)
from dkist_virtual.science.alignment.steps import ImageSeries, Steps

if TYPE_CHECKING:
    from astropy.time import Time
    from numpy.typing import NDArray

__all__ = ["Alignment", "Model", "find_alignment"]

Model: TypeAlias = Literal["constant", "linear", "step"]

_MODELS: Final = ("constant", "linear", "step")
_ORDERS: Final = {"constant": 0, "linear": 1}
_TO_FWHM: Final = 2.3548
_PIXELS_OF_PSF: Final = 2.0
"""An instrument's point spread function, in its pixels, unless it is given."""
_BINS_OF_PSF: Final = 4.0
_SUPPORT: Final = (5, 40)
"""The least and the most neighbours on each side that support a slit."""
_NARROW: Final = 0.3
"""Steps: by less a slit is not blurred across."""
_ROUNDS: Final = 4
_NEAR: Final = 0.005
"""Bins: shifts that change by less are found."""
_FEW: Final = 64
_EXCHANGED: Final = (0.33, 0.4, 0.5)
_ABOVE_CHANCE: Final = 2.5
"""How much larger than by chance the logarithm of the likelihood has to be."""
_AT_END: Final = 0.02
"""The share of steps that may be at the end of the search."""


@dataclass(frozen=True, eq=False)
class Alignment:
    """What an alignment found, step by step.

    Parameters
    ----------
    dx, dy : Quantity
        Added to Tx and Ty of each step, in arcsec: of the shape of the steps.
    quality : numpy.ndarray
        The correlation coefficient of each step with the reference, of the same shape; NaN of a
        step that could not be compared.
    times : Time
        Of the steps.
    model : {"constant", "linear", "step"}
    search : Quantity
        The largest shift that was looked for, along each axis of the images.
    psf : Quantity
        The full width at half maximum to which both were blurred.
    sampling : Quantity
        Of the pixels that were compared.
    references : tuple of str
        The maps.
    used : numpy.ndarray
        The number of the map that each step was compared with.
    """

    dx: u.Quantity
    dy: u.Quantity
    quality: Floats
    times: Time
    model: Model
    search: u.Quantity
    psf: u.Quantity
    sampling: u.Quantity
    references: tuple[str, ...]
    used: NDArray[np.int64]
    pictures: dict[str, Any] = field(repr=False, default_factory=dict)

    @property
    def source(self) -> str:
        """What it is, in a line: for the record of the pointing."""
        with np.errstate(invalid="ignore"):
            middle = np.nanmedian(self.quality)
        names = self.references[0] if len(self.references) == 1 else f"{len(self.references)} maps"
        return f"align with {names}, model {self.model}, median correlation {middle:.2f}"

    def __str__(self) -> str:
        n = self.dx.size
        dx, dy = (of.to_value(u.arcsec) for of in (self.dx, self.dy))
        with np.errstate(invalid="ignore"):
            least, middle = np.nanmin(self.quality), np.nanmedian(self.quality)
        return (
            f"model {self.model}, {n} steps, {len(self.references)} maps\n"
            f"dx {dx.min():+.2f} to {dx.max():+.2f} arcsec\n"
            f"dy {dy.min():+.2f} to {dy.max():+.2f} arcsec\n"
            f"correlation {middle:.2f} (median), {least:.2f} (least)"
        )


@dataclass(frozen=True, eq=False)
class _Comparison:
    """The images of a dataset, in bins, and the maps with which they are compared."""

    steps: Steps
    images: Floats
    seen: dict[int, SeenMap]
    used: NDArray[np.int64]
    size: int

    def sample(self, number: int, rows: Floats, columns: Floats) -> Floats:
        """Interpolate the nearest map at bins of an image; NaN outside."""
        tx, ty = self.steps.place(number, rows, columns, self.size)
        seen = self.seen[int(self.used[number])]
        return seen.sample(float(self.steps.seconds[number]), tx, ty)


def find_alignment(
    image: ImageSeries,
    reference: Any,
    *,
    model: Model = "step",
    search: u.Quantity | None = None,
    psf: u.Quantity | None = None,
    least: float = 0.3,
    support: int | None = None,
    screen: str | None = None,
) -> Alignment:
    """Find how far each image, or slit, is from where a reference has the same.

    Parameters
    ----------
    image : Dataset
        Images or slits that follow each other in time, or one image.
    reference : map, or several
        See `maps_of`.
    model : {"constant", "linear", "step"}
        One shift, one that changes linearly in time, or one for each step.
    search : Quantity, optional
        The largest shift along each axis of an image, by default 10 arcsec.
    psf : Quantity, optional
        Full width at half maximum of the coarser point spread function, by default two of the
        coarser pixels.
    least : float
        The median correlation coefficient under which an alignment is refused.
    support : int, optional
        How many neighbours on each side support a step, by default those of a slit that are as near
        as `psf` is wide, and none of an image.
    screen : {"spherical"}, optional
        Where positions off the limb are.

    Raises
    ------
    AlignmentError
        The correlation is weak, or the best shift is at the end of the search.
    DatasetError
        An argument that does not fit.
    """
    _check(model, least, support)
    check_screen("align", screen)
    reach, given = _arcsec("search", search, 10.0), _arcsec("psf", psf, 0.0)
    steps = Steps.of(image)
    maps = maps_of(reference)
    used = nearest_in_time(maps, steps.epoch + steps.seconds * u.s)
    box = steps.box(1.5 * reach + 4.0)
    seen = {
        int(one): see(maps[one], steps.frame, steps.epoch, steps.seconds[used == one], box, screen)
        for one in np.unique(used)
    }
    theirs = max(one.scale for one in seen.values())
    if not np.isfinite(theirs):
        raise AlignmentError(
            f"align: the reference has nothing where the dataset is. {_hint(seen, screen)}".rstrip()
        )
    width = given or _PIXELS_OF_PSF * max(theirs, steps.scale)
    size = max(round(width / _BINS_OF_PSF / steps.scale), 1)
    own = _PIXELS_OF_PSF * steps.scale
    blur = np.sqrt(max(width**2 - own**2, 0.0)) / _TO_FWHM / steps.scale
    images = steps.read(image, size, blur)
    seen = {
        number: one.blurred(
            np.sqrt(max(width**2 - (_PIXELS_OF_PSF * one.scale) ** 2, 0)) / _TO_FWHM
        )
        for number, one in seen.items()
    }
    compared = _Comparison(steps, images, seen, used, size)
    if support is None:
        near = width / steps.spacing if steps.spacing else 0.0
        support = int(np.clip(np.ceil(near), *_SUPPORT)) if steps.is_slit else 0
    across = blur * steps.scale / steps.spacing if steps.is_slit and steps.spacing else 0.0
    how = _How(
        model=model,
        lags=int(np.ceil(reach / (size * steps.scale))),
        independent=images[0].size * (size * steps.scale / width) ** (1 if steps.is_slit else 2),
        support=support,
        across=across if across > _NARROW else 0.0,
        hint=_hint(seen, screen),
    )
    path, agrees, likelihood = _at_whole_bins(images, compared.sample, how)
    if not agrees.any():
        raise AlignmentError(
            f"align: the reference has nothing where the dataset is. {how.hint}".rstrip()
        )
    found = _between(compared, how, path)
    _refuse_weak(compared, how, found, likelihood, least)
    _refuse_edge(compared, how, found.shift)
    shift = found.shift
    sky = steps.in_arcsec(shift, size) * u.arcsec
    return Alignment(
        dx=sky[:, 0].reshape(steps.shape),
        dy=sky[:, 1].reshape(steps.shape),
        quality=found.quality.reshape(steps.shape),
        times=(steps.epoch + steps.seconds * u.s).reshape(steps.shape),
        model=model,
        search=reach * u.arcsec,
        psf=width * u.arcsec,
        sampling=size * steps.scale * u.arcsec,
        references=tuple(" ".join(one.name.split()) for one in maps),
        used=used.reshape(steps.shape),
        pictures=_pictures(compared, shift),
    )


def _check(model: str, least: float, support: int | None) -> None:
    if model not in _MODELS:
        raise DatasetError(f'align: model={model!r}: expected "constant", "linear" or "step"')
    if not 0 <= least < 1:
        raise DatasetError(f"align: least={least!r}: expected a correlation from 0 to 1")
    if support is not None and (support < 0 or support != int(support)):
        raise DatasetError(f"align: support={support!r}: expected a number of neighbours")


def _hint(seen: dict[int, SeenMap], screen: str | None) -> str:
    """Say that a screen may be needed, where positions have no place in a map."""
    lost = any(np.isnan(one.x).any() for one in seen.values())
    return f"Some is off the limb, and {NEEDS_SCREEN}" if lost and screen is None else ""


def _arcsec(name: str, value: u.Quantity | None, default: float) -> float:
    if value is None:
        return default
    try:
        found = float(u.Quantity(value).to_value(u.arcsec))
    except (u.UnitsError, TypeError):
        raise DatasetError(f"align: {name}={value!r}: expected an angle, as 5 * u.arcsec") from None
    if not (np.isfinite(found) and found > 0):
        raise DatasetError(f"align: {name}={value!r}: expected an angle greater than 0")
    return found


@dataclass(frozen=True)
class _How:
    """How images are compared, in bins.

    Parameters
    ----------
    lags : int
        The largest shift.
    independent : float
        About how many independent pixels an image has.
    support : int
        Neighbours on each side.
    across : float
        By how many steps the slit is blurred, as it is narrower than what the reference resolves.
    hint : str
        Why there may be nothing to compare.
    """

    model: Model
    lags: int
    independent: float
    support: int
    across: float
    hint: str


def _at_whole_bins(
    images: Floats, sample: Sample, how: _How
) -> tuple[NDArray[np.int64], Floats, Floats]:
    """Find the shift of each image to a bin, its correlation coefficient and likelihood."""
    coefficients = correlations(images, sample, how.lags)
    likelihood = likelihoods(coefficients, how.independent)
    if how.model == "constant":
        total = likelihood.sum(axis=0)
        best = np.unravel_index(int(np.argmax(total)), total.shape)
        path = np.repeat([best], len(likelihood), axis=0).astype(np.int64)
    else:
        path = follow(likelihood)
    at = (np.arange(len(path)), path[:, 0], path[:, 1])
    return path - how.lags, coefficients[at], likelihood[at]


def _between(compared: _Comparison, how: _How, path: NDArray[np.int64]) -> Found:
    """Find the shifts to a fraction of a bin."""
    steps, shift = compared.steps, path.astype(float)
    begins = steps.begins()
    begins[1:] |= np.abs(np.diff(path, axis=0)).max(axis=1) > 1
    if how.model == "step" and how.support:
        first = refine(compared.images, compared.sample, shift)
        begins = jumps(first.shift, first.weight, begins, how.support)
    at = np.arange(len(path), dtype=float)
    fine = compared
    if how.across:
        fine = replace(
            compared,
            steps=steps.averaged(begins, how.across),
            images=average(compared.images, begins, how.across),
        )
        at = average(at, begins, how.across)
    span = max(float(np.ptp(steps.seconds)), 1.0)
    time, own = ((of.seconds - steps.seconds[0]) / span for of in (fine.steps, steps))
    for _ in range(_ROUNDS):
        found = refine(fine.images, fine.sample, shift)
        if how.model == "step":
            new = smooth(at, found.shift, found.weight, begins, how.support)
        else:
            order = _ORDERS[how.model]
            line, _away = fit_line(time, found.shift, found.weight, order=order)
            new = own[:, None] ** np.arange(order + 1) @ line
        new = np.clip(new, -1.5 * how.lags, 1.5 * how.lags)
        done = float(np.abs(new - shift).max()) < _NEAR
        shift = new
        if done:
            break
    quality = refine(compared.images, compared.sample, shift).quality
    return Found(shift, found.weight, quality)


def _refuse_weak(
    compared: _Comparison, how: _How, found: Found, likelihood: Floats, least: float
) -> None:
    known = found.quality[np.isfinite(found.quality)]
    middle = float(np.median(known)) if len(known) else 0.0
    reason = f"and {least:.2f} is the least that is accepted"
    weak = middle < least
    if not weak and compared.images.shape[2] * min(_EXCHANGED) > how.lags:
        chance, by_chance = _by_chance(compared, how)
        weak = float(likelihood.mean()) < _ABOVE_CHANCE * by_chance
        reason = f"and other parts of the reference have up to {chance:.2f}"
    if weak:
        raise AlignmentError(
            f"align: the correlation with the reference is weak: {middle:.2f} is the median of "
            f"{len(found.quality)} steps, {reason}. Is it of the same region, day and height of "
            "the atmosphere? search= looks farther, at= and image= choose what is compared, psf= "
            f"and least= say how. {how.hint}".rstrip()
        )


def _by_chance(compared: _Comparison, how: _How) -> tuple[float, float]:
    """Return the correlation and the likelihood of images with other parts of the maps, at most.

    Of some images, whose ends are exchanged.
    """
    n = len(compared.images)
    few = slice(max(n // 2 - _FEW // 2, 0), n // 2 + _FEW // 2 + 1)

    def sample(number: int, rows: Floats, columns: Floats) -> Floats:
        return compared.sample(number + few.start, rows, columns)

    found = []
    for part in _EXCHANGED:
        by = [int(part * size) for size in compared.images.shape[1:]]
        exchanged = np.roll(compared.images[few], by, axis=(1, 2))
        _, agrees, likelihood = _at_whole_bins(exchanged, sample, how)
        found.append((float(np.median(agrees)), float(likelihood.mean())))
    chance, by_chance = np.max(found, axis=0)
    return float(chance), float(by_chance)


def _refuse_edge(compared: _Comparison, how: _How, shift: Floats) -> None:
    at_end = np.abs(shift).max(axis=1) > how.lags - 1
    if at_end.mean() > _AT_END or at_end.all():
        steps = compared.steps
        dx, dy = np.median(steps.in_arcsec(shift, compared.size)[at_end], axis=0)
        reach = how.lags * compared.size * steps.scale
        raise AlignmentError(
            f"align: the best shift of {at_end.sum()} of {len(shift)} steps, about dx = {dx:+.1f}, "
            f"dy = {dy:+.1f} arcsec, is at the end of the search of {reach:.1f} arcsec: "
            f"search={2 * reach:.0f} * u.arcsec looks farther"
        )


def _pictures(compared: _Comparison, shift: Floats) -> dict[str, Any]:
    """Return what is drawn: of slits all steps, of images that in the middle."""
    steps, images = compared.steps, compared.images
    rows, columns = np.meshgrid(
        *(np.arange(n, dtype=float) for n in images.shape[1:]), indexing="ij"
    )
    if steps.is_slit:
        numbers: Sequence[int] = range(len(images))
    else:
        numbers = [len(images) // 2]
    before = [compared.sample(k, rows, columns) for k in numbers]
    after = [compared.sample(k, rows + shift[k, 0], columns + shift[k, 1]) for k in numbers]
    tx, ty = zip(*(steps.place(k, rows, columns, compared.size) for k in numbers), strict=True)
    found = {"image": images[list(numbers)], "before": before, "after": after, "tx": tx, "ty": ty}
    arrays = {
        name: np.squeeze(np.array(of), axis=1 if steps.is_slit else 0) for name, of in found.items()
    }
    arrays["number"] = np.array(numbers)
    return arrays

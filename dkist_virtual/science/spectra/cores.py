"""Find the cores of lines and their bisectors, and say where there are none."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from dkist_virtual.science.spectra.samples import Ends, Floats, choose, too_few, within

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dkist_virtual.science.spectra.continuum import Continuum
    from dkist_virtual.science.spectra.moments import Kind

__all__ = ["ALIKE", "QUALITIES", "RISE", "Bisector", "LineCore", "vertex"]

ALIKE: Final = 0.8
"""A minimum is comparable with the core that is at least so deep, in parts of the core's depth."""

RISE: Final = 0.1
"""Two minima are two where the intensity rises by more than this share of the core's depth between
them: less is noise, or the flat bottom of one line."""

GAP: Final = 2
"""How many samples apart the lowest one and its neighbours may be: one unknown sample is between
them, and several may be where the core is."""

QUALITIES: Final = ("measured", "too few samples", "at the edge of the window", "blended",
                    "of the other sign")  # fmt: skip
"""What the numbers of a quality mean."""


@dataclass(frozen=True, eq=False)
class _Core:
    """The cores of spectra: all arrays are without the last axis, but the first two.

    Parameters
    ----------
    y, x : numpy.ndarray
        Samples, known ones first, of a line in absorption (turned over where it is in emission).
    count : numpy.ndarray
        Of known samples.
    place : numpy.ndarray
        Of the lowest sample.
    level : numpy.ndarray
        Of the continuum, as `y`.
    wavelength, lowest : numpy.ndarray
        Of the vertex of the parabola through the lowest sample and its neighbours.
    quality : numpy.ndarray
        Place in `QUALITIES`.
    numbers : numpy.ndarray or None
        Of the samples, before those that are unknown were put last; None where all are known.
    """

    y: Floats
    x: Floats
    count: NDArray[np.intp]
    place: NDArray[np.intp]
    level: Floats
    wavelength: Floats
    lowest: Floats
    quality: NDArray[np.intp]
    numbers: Floats | None


@dataclass(frozen=True)
class LineCore:
    """Find the core of a line: the vertex of the parabola through the lowest sample and the next.

    A core has no wavelength, and its `quality` says why,

    - where fewer than three samples, or than half of those in the window, are known, or more than
      one beside the lowest is not;
    - at the edge of the window, where the lowest sample is the first or the last one;
    - where it is blended: another sample is at least `ALIKE` times as deep as the core, and between
      both the intensity rises, from that sample, by more than `RISE` times the core's depth;
    - where the line has the other sign: its samples are further above the continuum than below.

    Parameters
    ----------
    kind : {"absorption", "emission"}
    window : (float, float) or None
    continuum : Continuum or None
        None where it is given for each spectrum.
    """

    kind: Kind
    window: Ends | None
    continuum: Continuum | None

    @np.errstate(all="ignore")
    def find(self, intensity: Floats, wavelengths: Floats, level: Floats | None) -> _Core:
        """Find the cores of spectra."""
        y, x = choose(intensity, wavelengths, () if self.window is None else (self.window,))
        if level is None:
            assert self.continuum is not None
            level = self.continuum(intensity, wavelengths, x)
        sign = 1.0 if self.kind == "absorption" else -1.0
        inside = np.broadcast_to(within(x, self.window), y.shape)
        x, level = np.broadcast_to(x, y.shape), np.broadcast_to(sign * level, y.shape)
        known = np.isfinite(y.sum(axis=-1))
        if sign < 0:
            y = -y
        if known.all() and y.shape[-1] > 2:
            few = np.zeros(y.shape[:-1], bool)
            count = np.full(y.shape[:-1], y.shape[-1])
            top, numbers = y.max(axis=-1), None
        else:
            known = np.isfinite(y)
            few, count = too_few(known, inside), known.sum(axis=-1)
            y = np.where(known, y, np.inf)
            order = np.argsort(~known, axis=-1, kind="stable")
            y, x, level = (np.take_along_axis(one, order, axis=-1) for one in (y, x, level))
            numbers = order.astype(float)
            top = np.where(np.isfinite(y), y, -np.inf).max(axis=-1)
        place = np.argmin(y, axis=-1)
        inner = np.clip(place, 1, max(y.shape[-1] - 2, 1))
        wavelength, lowest = vertex(x, y, inner)
        if numbers is not None and y.shape[-1] > 2:  # no parabola knows what is in a gap
            first, second, third = (_at(numbers, inner + k) for k in (-1, 0, 1))
            gap = np.maximum(second - first, third - second)
            few = few | ((gap > GAP) & (place > 0) & (place < count - 1))
        here = _at(level, place)
        depth = here - _at(y, place)
        quality = np.select(
            [
                few | ~np.isfinite(here),
                (depth <= 0) | (top - here > depth),
                (place < 1) | (place >= count - 1),
                _is_blended(y, place, depth, level),
                ~np.isfinite(wavelength),
            ],
            [1, 4, 2, 3, 1],
            0,
        )
        return _Core(y, x, count, place, here, wavelength, lowest, quality, numbers)

    @np.errstate(all="ignore")
    def __call__(
        self, intensity: Floats, wavelengths: Floats, level: Floats | None = None
    ) -> tuple[Floats, ...]:
        """Compute wavelength, intensity and depth, 1 - I/Ic, of the core, and its quality."""
        core = self.find(intensity, wavelengths, level)
        sign = 1.0 if self.kind == "absorption" else -1.0
        good = core.quality == 0
        lowest = np.where(good, core.lowest, np.nan)
        return (
            np.where(good, core.wavelength, np.nan),
            sign * lowest,
            1 - lowest / core.level,
            core.quality.astype(float),
        )


@dataclass(frozen=True)
class Bisector:
    """Find the middle of a line, and its width, at some levels between core and continuum.

    Each side is the first place from the core outwards where the intensity reaches the level,
    linearly interpolated. Where `LineCore` finds no core, a side does not reach the level, or
    several samples are unknown where it does, there is none.

    Parameters
    ----------
    core : LineCore
    levels : tuple of float
        Between 0, the core, and 1, the continuum.
    """

    core: LineCore
    levels: tuple[float, ...]

    @np.errstate(all="ignore")
    def __call__(
        self, intensity: Floats, wavelengths: Floats, level: Floats | None = None
    ) -> tuple[Floats, ...]:
        """Compute the wavelengths of the middle at all levels, and then the widths."""
        core = self.core.find(intensity, wavelengths, level)
        places = np.arange(core.y.shape[-1])
        on_left = places <= core.place[..., None]
        on_right = (places >= core.place[..., None]) & (places < core.count[..., None])
        middles, widths = [], []
        for share in self.levels:
            wanted = core.lowest + share * (core.level - core.lowest)
            reached = core.y >= wanted[..., None]
            left = np.where(reached & on_left, places, -1).max(axis=-1)
            right = np.where(reached & on_right, places, len(places)).min(axis=-1)
            good = (core.quality == 0) & (left >= 0) & (right < len(places))
            for place, step in ((left, 1), (right, -1)):
                good &= ~_in_gap(core, np.clip(place, 0, len(places) - 1), step)
            ends = [
                _crossing(core, np.maximum(left, 0), 1, wanted),
                _crossing(core, np.minimum(right, len(places) - 1), -1, wanted),
            ]
            middles.append(np.where(good, (ends[0] + ends[1]) / 2, np.nan))
            widths.append(np.where(good, ends[1] - ends[0], np.nan))
        return *middles, *widths


def _at(array: Floats, place: Any) -> Floats:
    return np.take_along_axis(array, place[..., None], axis=-1)[..., 0]


def vertex(x: Floats, y: Floats, place: NDArray[np.intp]) -> tuple[Floats, Floats]:
    """Find the vertex of the parabola through three samples, unequally spaced, around a place."""
    if y.shape[-1] < 3:
        nothing = np.full(place.shape, np.nan)
        return nothing, nothing
    x0, x1, x2 = (_at(x, place + k) for k in (-1, 0, 1))
    y0, y1, y2 = (_at(y, place + k) for k in (-1, 0, 1))
    before, after = x1 - x0, x2 - x1
    left, right = (y1 - y0) / before, (y2 - y1) / after
    curvature = (right - left) / (x2 - x0)  # half of the second derivative
    slope = (left * after + right * before) / (x2 - x0)  # at the middle sample
    curvature = np.where(curvature > 0, curvature, np.nan)
    return x1 - slope / (2 * curvature), y1 - slope**2 / (4 * curvature)


def _is_blended(
    y: Floats, place: NDArray[np.intp], depth: Floats, level: Floats
) -> NDArray[np.bool_]:
    """Return where another minimum is comparable with the lowest one."""
    deep = y <= level - ALIKE * depth[..., None]
    columns = np.flatnonzero(deep.any(axis=tuple(range(deep.ndim - 1))))
    if not len(columns):
        return np.zeros(place.shape, bool)
    part = slice(columns[0], columns[-1] + 1)  # nothing else is between two that are so deep
    # With the wavelengths first, along which numpy accumulates whole rows.
    y = np.ascontiguousarray(np.moveaxis(y[..., part], -1, 0))
    places = np.arange(len(y)).reshape(-1, *(1,) * place.ndim)
    here = place - part.start
    low = np.where(np.moveaxis(deep[..., part], -1, 0), y, np.inf)
    rise = y - RISE * depth  # is above a sample further out that is deep
    rise[~np.isfinite(rise)] = -np.inf
    left = (np.minimum.accumulate(low, axis=0) < rise) & (places < here)
    right = (np.minimum.accumulate(low[::-1], axis=0)[::-1] < rise) & (places > here)
    return np.asarray((left | right).any(axis=0), bool)


def _in_gap(core: _Core, place: NDArray[np.intp], step: int) -> NDArray[np.bool_]:
    """Return where several samples are unknown between a place and the next to the core."""
    if core.numbers is None:
        return np.zeros(place.shape, bool)
    inner = np.clip(place + step, 0, core.y.shape[-1] - 1)
    return np.asarray(np.abs(_at(core.numbers, place) - _at(core.numbers, inner)) > GAP, bool)


def _crossing(core: _Core, place: NDArray[np.intp], step: int, wanted: Floats) -> Floats:
    """Interpolate where the intensity reaches a value between a place and the next to the core."""
    inner = np.clip(place + step, 0, core.y.shape[-1] - 1)
    outside, inside = _at(core.y, place), _at(core.y, inner)
    share = np.where(outside > inside, (wanted - inside) / (outside - inside), 0.0)
    start, end = _at(core.x, inner), _at(core.x, place)
    return start + np.clip(share, 0, 1) * (end - start)

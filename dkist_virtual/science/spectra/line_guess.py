"""Guess first values for the fit of a line from each spectrum."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from dkist_virtual.science.spectra.cores import vertex
from dkist_virtual.science.spectra.line_fit import free_parameters

if TYPE_CHECKING:
    from dkist_virtual.science.spectra.line_fit import Initial
    from dkist_virtual.science.spectra.samples import Floats

__all__ = ["guess_line"]

_POSITIONS: Final = ("mean", "x_0")
"""What astropy's models of lines call the wavelength of the line."""


def guess_line(model: Any) -> Initial | None:
    """Make a function that finds first values of a line's position, and of how strong it is.

    It is for models that have one line: a parameter ``mean`` or ``x_0`` that is not fixed or tied.
    The position of each spectrum is that of its darkest or brightest sample, whichever the model's
    own values are, moved to the vertex of a parabola through it and its neighbours. Beside a
    constant (`Const1D`) the strength is scaled to the spectrum's own: the constant is the mean of
    both ends, and the line's amplitude is as much larger as the line is stronger there.

    Returns
    -------
    callable or None
        None for a model with no line, or with several.
    """
    found = [n for n in free_parameters(model) if _stem(n) in _POSITIONS]
    return _LineGuess(model, found[0]) if len(found) == 1 else None


def _stem(name: str) -> str:
    """Remove the number of a part of a compound model from the name of its parameter."""
    stem, _, number = name.rpartition("_")
    return stem if number.isdecimal() and stem and name not in _POSITIONS else name


@dataclass(frozen=True, eq=False)
class _LineGuess:
    """First values of a model with one line.

    Parameters
    ----------
    model : astropy.modeling.Model
    position : str
        The parameter that is the wavelength of the line.
    """

    model: Any
    position: str

    def __call__(self, wavelengths: Floats, intensity: Floats) -> dict[str, Any]:
        """Return values by the names of parameters, each (...)."""
        model = self.model
        x = np.broadcast_to(np.asarray(wavelengths, float), intensity.shape)
        own = float(getattr(model, self.position).value)
        span = float(np.ptp(np.asarray(wavelengths, float)[np.isfinite(wavelengths)]))
        core, *ends = np.asarray(model(np.array([own, own - span, own + span])), float)
        away = float(np.mean(ends))
        if not np.isfinite([core, away]).all() or core == away:
            return {}
        sign = 1.0 if core > away else -1.0
        place, strength, level = _peak(sign * intensity, x)
        values: dict[str, Any] = {self.position: np.where(np.isfinite(place), place, own)}
        constant = [n for n in free_parameters(model) if _is_constant(model, n)]
        lines = [n for n in free_parameters(model) if _stem(n) in ("amplitude", "amplitude_L")]
        lines = [n for n in lines if n not in constant]
        if len(lines) == 1 and len(constant) <= 1:
            known = np.isfinite(strength) & (strength > 0)
            if constant:
                values[constant[0]] = np.where(known, sign * level, getattr(model, constant[0]))
            else:
                strength = strength + level  # above zero, as there is nothing but the line
            amplitude = float(getattr(model, lines[0]).value)
            scale = strength / abs(core - away)
            values[lines[0]] = np.where(known & (scale > 0), amplitude * scale, amplitude)
        return values


def _is_constant(model: Any, name: str) -> bool:
    from astropy.modeling.functional_models import Const1D

    stem, _, number = name.rpartition("_")
    if stem != "amplitude" or not number.isdecimal() or model.n_submodels < 2:
        return False
    return isinstance(model[int(number)], Const1D)


def _peak(values: Floats, x: Floats) -> tuple[Floats, Floats, Floats]:
    """Return place and height of the largest of the last axis, above the mean of both ends, and it.

    NaN where it is at an end, or beside a sample that is NaN.
    """
    n = values.shape[-1]
    if n < 3:
        gone = np.full(values.shape[:-1], np.nan)
        return gone, gone, gone
    filled = np.where(np.isfinite(values), values, -np.inf)
    at = np.argmax(filled, axis=-1)
    inside = np.clip(at, 1, n - 2)
    height = np.take_along_axis(values, inside[..., None], -1)[..., 0]
    level = np.stack([_first(values), _first(values[..., ::-1])]).mean(axis=0)
    with np.errstate(all="ignore"):
        place, _ = vertex(x, -values, inside)
    low, high = (np.take_along_axis(x, (inside + k)[..., None], -1)[..., 0] for k in (-1, 1))
    fine = (at == inside) & (place > low) & (place < high)
    return np.where(fine, place, np.nan), height - level, level


def _first(values: Floats) -> Floats:
    """Return the first finite value along the last axis; NaN where there is none."""
    at = np.argmax(np.isfinite(values), axis=-1)
    return np.take_along_axis(values, at[..., None], -1)[..., 0]

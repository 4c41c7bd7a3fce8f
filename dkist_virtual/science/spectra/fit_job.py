"""Fit the spectra of a block, as one function: continuum, window, fits, and all that they give."""

from __future__ import annotations

import itertools
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from dkist_virtual.science.spectra.line_fit import FitBlock, FitFailedWarning, free_parameters

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dkist_virtual.science.spectra.continuum import Continuum
    from dkist_virtual.science.spectra.samples import Ends

__all__ = ["FitJob"]


@dataclass(frozen=True, eq=False)
class FitJob:
    """Fit a block of spectra, as `over_wavelengths` calls it.

    Parameters
    ----------
    fit : FitBlock
    finder : Continuum or None
        Finds the level that the intensity is divided by.
    has_level, has_weights : bool
        Whether the level, and weights, are given for each spectrum.
    are_spreads : bool
        Whether these weights are the standard deviations of the intensity.
    ends : (float, float) or None
        Of the wavelengths that the model is fitted to.
    given : tuple of str
        The parameters of which first values are given.
    covariance : bool
    """

    fit: FitBlock
    finder: Continuum | None
    has_level: bool
    has_weights: bool
    are_spreads: bool
    ends: Ends | None
    given: tuple[str, ...]
    covariance: bool

    @property
    def free(self) -> tuple[str, ...]:
        """The parameters that are fitted."""
        return free_parameters(self.fit.model)

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """The pairs of them."""
        return list(itertools.combinations(self.free, 2))

    @property
    def names(self) -> list[str]:
        """What each output is."""
        names = [*self.fit.model.param_names, *(f"stderr {name}" for name in self.free)]
        names += ["converged", "rms", "chi2"]
        if self.covariance:
            names += [f"covariance_{one}_{other}" for one, other in self.pairs]
        return names

    @property
    def n_outputs(self) -> int:
        """Number of the outputs."""
        return len(self.names)

    def __call__(
        self, intensity: NDArray[Any], wavelengths: NDArray[Any], *arguments: NDArray[Any]
    ) -> tuple[NDArray[Any], ...]:
        """Return the outputs that `names` lists, each (...)."""
        left = list(arguments)
        level: Any = left.pop(0) if self.has_level else None
        weights = left.pop(0) if self.has_weights else None
        if self.finder is not None:
            level = self.finder(intensity, wavelengths, wavelengths)
        if weights is not None and self.are_spreads:
            weights = 1 / weights
        if level is not None:
            level = np.where(level > 0, level, np.nan)  # of what has none nothing is fitted
            intensity = intensity / level
            if weights is not None and self.are_spreads:
                weights = weights * level
        start = {n: value[..., 0] for n, value in zip(self.given, left, strict=True)}
        if self.ends is not None:
            inside = (wavelengths >= self.ends[0]) & (wavelengths <= self.ends[1])
            intensity = np.where(inside, intensity, np.nan)
        found = self.fit(intensity, wavelengths, weights, start)
        if found.error:
            warnings.warn(f"{FitFailedWarning.words}{found.error}", FitFailedWarning, stacklevel=2)
        outputs = [*found.parameters.values()]
        with np.errstate(invalid="ignore"):
            outputs += [np.sqrt(found.covariance[..., k, k]) for k in range(len(self.free))]
        outputs += [found.converged.astype(float), found.rms, found.chi2]
        if self.covariance:
            of = {name: k for k, name in enumerate(self.free)}
            outputs += [found.covariance[..., of[a], of[b]] for a, b in self.pairs]
        return tuple(outputs)

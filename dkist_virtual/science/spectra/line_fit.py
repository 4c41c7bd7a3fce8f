"""Fit a model to each spectrum of a block, by astropy's fitters.

`astropy.modeling.fitting.parallel_fit_dask` runs over the spectra, and here within the process that
read them: who calls divides the data into blocks. For each spectrum the fitter is handed the
samples that count, so that the result is the one of a single fit of those, bit for bit.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, TypeAlias

import numpy as np

from dkist_virtual.science.spectra.samples import Floats

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = [
    "FitBlock", "FitFailedWarning", "FittedBlock", "Initial", "check_stop",
    "free_parameters", "stop_when",
]  # fmt: skip

Initial: TypeAlias = Callable[[Floats, Floats], Mapping[str, Any]]
"""A function of wavelengths and intensities that gives first values of parameters by name."""


class FitFailedWarning(UserWarning):
    """Fits of a block raised an error; the text begins with `words`."""

    words: ClassVar = "fits failed, the first with "


_stops: list[Callable[[], bool]] = []


def stop_when(asked: Callable[[], bool]) -> None:
    """Make fits of this process end by a KeyboardInterrupt once a function says so."""
    _stops[:] = [asked]


def check_stop() -> None:
    """Raise a KeyboardInterrupt if fits are to end."""
    if _stops and _stops[0]():
        raise KeyboardInterrupt


class _Record(NamedTuple):
    """What a single fit found beside the parameters.

    Parameters
    ----------
    converged : bool
    covariance : numpy.ndarray
        Of the free parameters, (p, p); NaN where the fitter has none.
    rms : float
        Of the residuals.
    chi2 : float
        The sum of squares of the weighted residuals.
    """

    converged: bool
    covariance: Floats
    rms: float
    chi2: float


class _Recording:
    """A fitter that leaves out samples that do not count, and keeps a record of each fit.

    `parallel_fit_dask` would keep what each fit says in the fitter's ``fit_info``, but not in
    astropy 7.0, nor that of `LevMarLSQFitter`: one dictionary, which the next fit writes over.

    Parameters
    ----------
    fitter : astropy.modeling.fitting.Fitter

    Attributes
    ----------
    records : list of _Record or None
        Of each fit in turn; None of one that failed.
    error : Exception or None
        The first that a fit raised.
    """

    def __init__(self, fitter: Any) -> None:
        self.fitter = fitter
        self.fit_info: Any = None  # which `parallel_fit_dask` copies
        self.records: list[_Record | None] = []
        self.error: Exception | None = None

    def __call__(self, model: Any, x: Floats, y: Floats, **options: Any) -> Any:
        """Fit the samples that are finite and have a weight."""
        check_stop()
        weights = options.pop("weights", None)
        good = np.isfinite(y) & np.isfinite(x)
        if weights is not None:
            good &= np.isfinite(weights) & (weights > 0)
            options["weights"] = weights[good]
        x, y = x[good], y[good]
        free = free_parameters(model)
        self.records.append(None)
        if len(y) < max(len(free), 1):
            # Not an error of the model: `parallel_fit_dask` makes NaN of it.
            raise _TooFewError(f"{len(y)} samples for {len(free)} parameters")
        try:
            fitted = self.fitter(model, x, y, **options)
        except Exception as error:
            self.error = self.error or error
            raise
        self.records[-1] = _record(self.fitter, fitted, x, y, options.get("weights"), len(free))
        return fitted


class _TooFewError(ValueError):
    """A spectrum has fewer samples than the model has parameters."""


def free_parameters(model: Any) -> tuple[str, ...]:
    """List the parameters of a model that are neither fixed nor tied."""
    return tuple(n for n in model.param_names if not model.fixed[n] and not model.tied[n])


def _record(
    fitter: Any, fitted: Any, x: Floats, y: Floats, weights: Floats | None, n_free: int
) -> _Record:
    info = fitter.fit_info
    covariance = info.get("param_cov") if isinstance(info, dict) else None
    if covariance is None:
        covariance = getattr(getattr(fitted, "cov_matrix", None), "cov_matrix", None)
    covariance = np.asarray(np.nan if covariance is None else covariance, float)
    if covariance.shape != (n_free, n_free):
        covariance = np.full((n_free, n_free), np.nan)
    weighted: Any = info.get("fun", info.get("fvec")) if isinstance(info, dict) else None
    if np.shape(weighted) != y.shape:  # scipy's two functions say them, others do not
        weighted = (np.asarray(fitted(x), float) - y) * (1.0 if weights is None else weights)
    residuals = weighted if weights is None else weighted / weights
    return _Record(
        _converged(info) and bool(np.all(np.isfinite(fitted.parameters))),
        covariance,
        float(np.sqrt(np.mean(residuals**2))),
        float(np.sum(weighted**2)),
    )


def _steps(model: Any, fitter: Any) -> dict[str, float]:
    """Return the option of a fitter for small steps where astropy before 8 takes large ones.

    For a model without derivatives those are 1.2e-4 of a parameter: 0.08 nm for a line at 630 nm,
    more than its width. Since astropy 8 they are 1.5e-8 of it.
    """
    import astropy
    from astropy.modeling import fitting

    least_squares = (fitting.TRFLSQFitter, fitting.LMLSQFitter, fitting.DogBoxLSQFitter)
    kinds = (fitting.LevMarLSQFitter, *least_squares)
    old = int(astropy.__version__.partition(".")[0]) < 8
    if old and model.fit_deriv is None and isinstance(fitter, kinds):
        return {"epsilon": float(np.finfo(float).eps)}
    return {}


def _converged(info: Any) -> bool:
    """Return whether a fitter says that it found a minimum.

    scipy's `~scipy.optimize.least_squares` says ``success``, `~scipy.optimize.leastsq` an ``ierr``
    of 1 to 4, astropy's SLSQP and simplex an ``exit_mode`` of 0; linear fitters say nothing.
    """
    if not isinstance(info, dict):
        return True
    if "success" in info:
        return bool(info["success"])
    if info.get("ierr") is not None:
        return info["ierr"] in (1, 2, 3, 4)
    return info.get("exit_mode") in (None, 0)


@dataclass(frozen=True, eq=False)
class FittedBlock:
    """The fits of a block of spectra, of shape (...).

    Parameters
    ----------
    parameters : dict of numpy.ndarray
        By name, float64 (...); NaN where nothing was fitted.
    covariance : numpy.ndarray
        Of the free parameters in the order of the model, float64 (..., p, p).
    converged : numpy.ndarray
        bool (...).
    rms, chi2 : numpy.ndarray
        Of the residuals, and the sum of squares of those that are weighted: float64 (...).
    error : str
        The first error of a fit, if any, as text.
    """

    parameters: dict[str, Floats]
    covariance: Floats
    converged: NDArray[np.bool_]
    rms: Floats
    chi2: Floats
    error: str


@dataclass(frozen=True, eq=False)
class FitBlock:
    """Fit a model to all spectra of a block, called with the block.

    Parameters
    ----------
    model : astropy.modeling.Model
        Of wavelengths, without units, with one value for each parameter.
    fitter : astropy.modeling.fitting.Fitter
    options : dict
        What the fitter takes beside model, samples and weights, such as ``maxiter``.
    initial : callable, optional
        Of wavelengths (n,) or (..., n), and intensities (..., n): first values by the names of
        parameters. By default the model's own.
    """

    model: Any
    fitter: Any
    options: Mapping[str, Any] = field(default_factory=dict)
    initial: Initial | None = None

    def __call__(
        self,
        intensity: Floats,
        wavelengths: Floats,
        weights: Floats | None = None,
        given: Mapping[str, Any] | None = None,
    ) -> FittedBlock:
        """Fit.

        Parameters
        ----------
        intensity : numpy.ndarray
            (..., n), wavelengths last; NaN where a sample does not count.
        wavelengths : numpy.ndarray
            (n,), or (..., n) where they differ from spectrum to spectrum.
        weights : numpy.ndarray, optional
            The inverse of the standard deviations, (..., n).
        given : dict of arrays, optional
            First values of parameters, by name, (...): they count more than `initial`.

        Returns
        -------
        FittedBlock
        """
        shape, n = intensity.shape[:-1], intensity.shape[-1]
        spectra = np.asarray(intensity, float).reshape(-1, n)
        at = np.broadcast_to(np.asarray(wavelengths, float), intensity.shape).reshape(-1, n)
        start = self._first_values(intensity, wavelengths, given or {}, len(spectra))
        counts = np.isfinite(spectra).any(axis=1)
        if weights is not None:
            weights = np.broadcast_to(np.asarray(weights, float), intensity.shape).reshape(-1, n)
            counts &= (np.isfinite(spectra) & (weights > 0)).any(axis=1)
        found = self._fit(
            spectra[counts],
            np.asarray(wavelengths, float) if np.ndim(wavelengths) == 1 else at[counts],
            None if weights is None else weights[counts],
            {name: values[counts] for name, values in start.items()},
        )
        return FittedBlock(
            {name: _spread(found.parameters[name], counts, shape) for name in found.parameters},
            _spread(found.covariance, counts, shape),
            _spread(found.converged, counts, shape, fill=False),
            _spread(found.rms, counts, shape),
            _spread(found.chi2, counts, shape),
            found.error,
        )

    def _first_values(
        self, intensity: Floats, wavelengths: Floats, given: Mapping[str, Any], n: int
    ) -> dict[str, Floats]:
        """Return the first values of all parameters of each spectrum, each (n,)."""
        found: dict[str, Any] = {}
        if self.initial is not None:
            found.update(self.initial(wavelengths, intensity))
        for name, values in given.items():
            values = np.asarray(values, float)
            found[name] = np.where(np.isfinite(values), values, found.get(name, np.nan))
        start: dict[str, Floats] = {}
        for name in self.model.param_names:
            own = float(getattr(self.model, name).value)
            values = np.asarray(found.get(name, own), float)
            values = np.broadcast_to(values, intensity.shape[:-1]).reshape(n)
            values = np.where(np.isfinite(values), values, own)
            low, high = self.model.bounds[name]
            start[name] = np.clip(values, low, high) if (low, high) != (None, None) else values
        return start

    def _fit(
        self, spectra: Floats, at: Floats, weights: Floats | None, start: dict[str, Floats]
    ) -> FittedBlock:
        """Fit spectra (m, n) that all have samples, at wavelengths (n,) or (m, n)."""
        from astropy.modeling.fitting import parallel_fit_dask
        from dask.array import from_array

        m, p = len(spectra), len(free_parameters(self.model))
        recording = _Recording(copy.deepcopy(self.fitter))
        if not m:
            return self._nothing(0, p, "")
        # Of all spectra at once, wavelengths first: it takes the coordinates of spectra that differ
        # by the number of the axis, out of a tuple with one entry.
        model = self.model.copy()
        model._reset_parameters(**start)  # astropy has no public way to a value for each spectrum
        fitted = parallel_fit_dask(
            model=model,
            fitter=recording,
            data=from_array(spectra.T, chunks=-1),
            weights=None if weights is None else from_array(weights.T, chunks=-1),
            fitting_axes=0,
            world=(at if at.ndim == 1 else from_array(at.T, chunks=-1),),
            preserve_native_chunks=True,
            fitter_kwargs={**_steps(self.model, self.fitter), **self.options},
            scheduler="synchronous",
        )
        error = "" if recording.error is None else repr(recording.error)
        # A record for each spectrum, in order: there is one chunk, and none is all NaN.
        assert len(recording.records) == m
        found = self._nothing(m, p, error)
        for name, values in found.parameters.items():
            values[:] = getattr(fitted, name).value
        done: Any = np.isfinite(np.stack(list(found.parameters.values()))).all(axis=0)
        for number, record in enumerate(recording.records):
            if record is not None and done[number]:
                found.converged[number] = record.converged
                found.covariance[number] = record.covariance
                found.rms[number], found.chi2[number] = record.rms, record.chi2
        for values in found.parameters.values():
            values[~done] = np.nan
        return found

    def _nothing(self, m: int, p: int, error: str) -> FittedBlock:
        gone = np.full(m, np.nan)
        return FittedBlock(
            {name: gone.copy() for name in self.model.param_names},
            np.full((m, p, p), np.nan), np.zeros(m, bool), gone.copy(), gone.copy(), error,
        )  # fmt: skip


def _spread(values: Any, counts: Any, shape: tuple[int, ...], fill: float = np.nan) -> Any:
    """Put values of the spectra that count at their places in a block of a shape."""
    out = np.full((counts.size, *values.shape[1:]), fill, values.dtype)
    out[counts] = values
    return out.reshape(*shape, *values.shape[1:])

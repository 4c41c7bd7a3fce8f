"""Fit a model to every spectrum of a dataset: each parameter is a dataset of its own."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

import astropy.units as u
import numpy as np

from dkist_virtual.dataset.spectral.corrections import Corrections
from dkist_virtual.dataset.spectral.engine import spectra_of
from dkist_virtual.dataset.spectral.fit_model import PlainModel
from dkist_virtual.dataset.spectral.options import (
    read_continuum,
    read_share,
    read_window,
    refuse_state,
    say_window,
)
from dkist_virtual.dataset.spectral.processes import Scheduler, choose_scheduler, compute_blocks
from dkist_virtual.dataset.spectral.results import MOST_OF_CADENCE, Values, results_of
from dkist_virtual.errors import DatasetError, SelectionError
from dkist_virtual.science.spectra.fit_job import FitJob
from dkist_virtual.science.spectra.line_fit import FitBlock, FitFailedWarning
from dkist_virtual.text import check_keywords, shows_progress

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from dkist_virtual.cube.spectral.reduced_array import Reduction
    from dkist_virtual.dataset.spectral.quantities import Quantities
    from dkist_virtual.science.spectra.axis import SpectralAxis
    from dkist_virtual.science.spectra.continuum import Continuum

__all__ = ["FitOptions", "fit_spectra"]

_FEW: Final = 500
"""Fits that take less time than processes take to begin."""

_BLOCK: Final = 1000
"""Spectra of a block, if a frame does not have more."""


@dataclass(frozen=True, eq=False, kw_only=True)
class FitOptions:
    """The keywords of ``ds.spectral.fit``, as they were given: see there."""

    line: str | u.Quantity | None = None
    window: u.Quantity | None = None
    continuum: Any = None
    weights: Any = None
    initial: Any = None
    medium: Literal["air", "vacuum"] | None = None
    wavelength_offset: Any = None
    normalise: Any = None
    most_of_cadence: float = MOST_OF_CADENCE
    fitter: Any = None
    covariance: bool = False
    scheduler: Scheduler | None = None
    workers: int | None = None
    progress: bool | None = None


def fit_spectra(
    ds: Any, axis: SpectralAxis, model: Any, how: FitOptions, options: dict[str, Any]
) -> Quantities:
    """Fit a model to every spectrum: see `Spectral.fit`.

    Parameters
    ----------
    ds : Dataset
    axis : SpectralAxis
        Of `ds`.
    model : astropy.modeling.Model
    how : FitOptions
    options : dict
        Keywords of the fitter.

    Returns
    -------
    Quantities
        With their pixels in memory.
    """
    if len(ds.shape) < 2:
        raise SelectionError(
            "fit: a single spectrum gives a single value of each parameter, which has no WCS: keep "
            "an axis of one pixel, as in ds[3:4, :, 500]"
        )
    refuse_state(ds, "fit", ["psf"])
    most = read_share(how.most_of_cadence)
    fitter = _fitter(how.fitter, options)
    axis = axis.in_medium(how.medium)
    corrections = Corrections.of(ds, axis, how.wavelength_offset, how.normalise)
    shape = tuple(size for n, size in enumerate(ds.shape) if n != axis.array_axis)
    divides = how.continuum is not None
    unit = u.dimensionless_unscaled if divides else (ds.unit or u.dimensionless_unscaled)
    plain = PlainModel.of(model, axis.unit, unit, shape)
    at, ends = read_window(how.line, how.window, axis)
    finder, level = (None, None) if not divides else read_continuum(how.continuum, ds, axis)
    windows = [ends] if finder is None else [ends, *(finder.windows or [None])]
    used = corrections.used(axis, windows)
    weights, are_spreads = _weights(how.weights, ds, axis)
    initial, given = plain.first_values(how.initial)
    job = FitJob(
        FitBlock(plain.model, fitter, options, initial), finder, level is not None,
        weights is not None, are_spreads, ends, tuple(given), how.covariance,
    )  # fmt: skip
    arguments = [one for one in (level, weights) if one is not None] + list(given.values())
    reduction = spectra_of(
        ds, axis, job, job.n_outputs, arguments=arguments, used=used,
        offset=corrections.offset, factor=corrections.factor,
    )  # fmt: skip
    values, failed = _run(reduction, how)
    names = dict(zip(job.names, values, strict=True))
    converged = names["converged"] == 1
    if failed and not converged.any():
        raise DatasetError(f"fit: no spectrum could be fitted: {failed}")
    n_fitted = int(np.isfinite(names["rms"]).sum())
    meta = {
        "measured_by": "fit",
        "method": f"least squares fit of {plain.name} by astropy's {type(fitter).__name__}",
        "converged": f"{int(converged.sum())} of {n_fitted} spectra that were fitted",
        **say_window(how.line, at, ends, axis),
        **_said(how, axis, finder, weights is not None),
        **corrections.said,
    }
    made: dict[str, Values] = {}
    for name, (what, its_unit) in _results(plain, unit, job, how.covariance).items():
        spread = names.get(f"stderr {name}")
        known = spread is not None and np.isfinite(spread).any()
        is_mask = name == "converged"
        made[name] = Values(
            converged if is_mask else names[name], its_unit, what,
            mask=~np.isfinite(names["rms"]) if is_mask else ~converged,
            uncertainty=_spread(spread) if known else None,
        )  # fmt: skip
    return results_of(ds, axis, made, meta=meta, used=used, most=most)


def _spread(values: Any) -> Any:
    from astropy.nddata import StdDevUncertainty

    return StdDevUncertainty(values)


def _fitter(fitter: Any, options: dict[str, Any]) -> Any:
    """Return the fitter, and check its keywords by name."""
    import inspect

    from astropy.modeling import fitting

    if fitter is None:
        fitter = fitting.TRFLSQFitter()
    elif isinstance(fitter, type):
        fitter = fitter()
    if not callable(fitter) or not hasattr(fitter, "fit_info"):
        raise DatasetError(
            f"fitter = {fitter!r}: expected one of astropy's, such as "
            "astropy.modeling.fitting.LMLSQFitter()"
        )
    known = inspect.signature(type(fitter).__call__).parameters
    ours = {"self", "model", "x", "y", "z", "weights", "inplace", "filter_non_finite", "kwargs"}
    check_keywords("fit", options, {*known, *FitOptions.__dataclass_fields__} - ours | {"weights"})
    return fitter


def _weights(weights: Any, ds: Any, axis: SpectralAxis) -> tuple[Any, bool]:
    """Return weights of the shape of the dataset, and whether they are standard deviations."""
    from astropy.nddata import StdDevUncertainty

    if weights is None:
        spread = ds.uncertainty
        if spread is None:
            return None, False
        return spread.represent_as(StdDevUncertainty).array, True
    if hasattr(weights, "pixels"):
        if weights.shape != ds.shape:
            raise DatasetError(f"weights: expected the shape {ds.shape}, found {weights.shape}")
        return weights, False
    array = np.asarray(weights, float)
    if array.shape == axis.values.shape:  # along the wavelength, wherever that is
        array = array.reshape([-1 if n == axis.array_axis else 1 for n in range(len(ds.shape))])
    try:
        return np.broadcast_to(array, ds.shape), False
    except ValueError:
        raise DatasetError(
            f"weights: expected one for each wavelength, {axis.values.shape}, or a shape that "
            f"broadcasts to that of the dataset, {ds.shape}, found {array.shape}"
        ) from None


def _said(
    how: FitOptions, axis: SpectralAxis, finder: Continuum | None, weighted: bool
) -> dict[str, Any]:
    """Write for the meta what was fitted."""
    said: dict[str, Any] = {}
    if how.continuum is not None:
        said["continuum"] = "given" if finder is None else finder.said(str(axis.unit))
    said["weights"] = "1 / standard deviation" if weighted and how.weights is None else (
        "given" if weighted else "all the same"
    )  # fmt: skip
    if axis.medium is not None:
        said["medium"] = axis.medium
    return said


def _results(
    plain: PlainModel, unit: u.UnitBase, job: FitJob, covariance: bool
) -> dict[str, tuple[str, u.UnitBase | None]]:
    """Return the quantities: what each is called, and its unit."""
    found: dict[str, tuple[str, u.UnitBase | None]] = {
        name: (f"{name} of a fit", plain.units[name]) for name in plain.model.param_names
    }
    found["converged"] = ("whether the fit converged", None)
    found["rms"] = ("rms of the residuals of a fit", unit)
    if job.has_weights:
        found["chi2"] = ("chi-square of a fit", u.dimensionless_unscaled)
    if covariance:
        for one, other in job.pairs:
            units: Any = [plain.units[name] for name in (one, other)]
            of = None if None in units else units[0] * units[1]
            found[f"covariance_{one}_{other}"] = (f"covariance of {one} and {other}", of)
    return found


def _run(reduction: Reduction, how: FitOptions) -> tuple[NDArray[np.float64], str]:
    """Compute all blocks, with a bar on stderr; also return the first error of a fit."""
    from tqdm import tqdm

    n = int(np.prod(reduction.shape))
    where = choose_scheduler(how.scheduler, n <= _FEW)
    out = np.full((reduction.n_outputs, *reduction.shape), np.nan)
    hidden = not shows_progress(how.progress)
    failed = ""
    blocks = ((index, reduction.select(index)) for index in _indices(reduction))
    with tqdm(total=n, unit=" spectra", desc="Fitting", disable=hidden) as bar:
        for index, values, warned in compute_blocks(blocks, where, how.workers):
            out[(slice(None), *index)] = values
            said = (text for text in warned if text.startswith(FitFailedWarning.words))
            failed = failed or next(said, "").removeprefix(FitFailedWarning.words)
            bar.update(values[0].size)
    return out, failed


def _indices(reduction: Reduction) -> Iterator[tuple[slice, ...]]:
    """Yield the blocks of the result, each of some spectra."""
    along = []
    for sizes in reduction.blocks(_BLOCK):
        ends = np.cumsum(sizes).tolist()
        along.append([slice(end - n, end) for n, end in zip(sizes, ends, strict=True)])
    yield from itertools.product(*along)

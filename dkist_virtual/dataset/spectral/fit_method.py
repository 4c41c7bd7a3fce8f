"""Define ``ds.spectral.fit``, and check its keywords."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from astropy import units as u

    from dkist_virtual.dataset.spectral.quantities import Quantities
    from dkist_virtual.science.spectra.axis import SpectralAxis

__all__ = ["FitsModels"]


class FitsModels:
    """What measures spectra by fits of models."""

    _ds: Any
    _axis: SpectralAxis

    def fit(
        self,
        model: Any,
        *,
        line: str | u.Quantity | None = None,
        window: u.Quantity | None = None,
        continuum: Any = None,
        weights: Any = None,
        initial: Any = None,
        medium: Literal["air", "vacuum"] | None = None,
        wavelength_offset: Any = None,
        normalise: Any = None,
        most_of_cadence: float = 0.5,
        fitter: Any = None,
        covariance: bool = False,
        scheduler: Literal["default", "processes", "synchronous"] | None = None,
        workers: int | None = None,
        progress: bool | None = None,
        **options: Any,
    ) -> Quantities:
        """Fit a model of astropy's to every spectrum; reads the frames, and waits for the fits.

        It runs `astropy.modeling.fitting.parallel_fit_dask` on block after block, each in one of
        several processes: the fitters hold Python's lock. A process reads the frames of its own
        blocks, so that neither the dataset nor a copy of it has to fit into memory. The fits are
        those of `fitter` for each spectrum alone, of the samples that are neither masked, absent
        nor NaN: nothing is centred or scaled.

        Parameters
        ----------
        model : astropy.modeling.Model
            Of one wavelength, such as ``Const1D(9e3) - Gaussian1D(5e3, 630.25, 0.01)``. Units are
            converted; without them, wavelengths are in the unit of the dataset's, nm, and
            intensities in its unit. Parameters may have a value for each spectrum. What is fixed,
            tied or bounded stays so.
        line, window : optional
            To which samples the model is fitted: see `Spectral`. By default to all.
        continuum : optional
            What the intensity is divided by: see `Spectral`. By default the model is fitted to the
            intensity itself.
        weights : array, Dataset or number, optional
            The inverse of the standard deviation of each sample: of the shape of the dataset, or
            one that broadcasts to it, or one for each wavelength. By default that of the dataset's
            uncertainty, where it has one.
        initial : dict, callable or "model", optional
            First values. A dict has those of some parameters by name: numbers, Quantities, arrays
            with a value for each spectrum, datasets. A function is given wavelengths and
            intensities of a block, the wavelengths last, and returns such a dict of plain numbers.
            ``"model"`` are the model's own. By default, for a model with one ``mean`` or ``x_0``,
            the wavelength of the darkest sample, or the brightest, whichever the model's line is,
            by a parabola; amplitude and constant are scaled to it.
        medium, wavelength_offset, normalise, most_of_cadence : optional
            As all measurements of lines take them: see `Spectral`.
        fitter : optional
            Of `astropy.modeling.fitting`: by default ``TRFLSQFitter()``. ``LMLSQFitter()`` takes
            half of the time where there are no bounds.
        covariance : bool
            Whether to return the covariances of all pairs of parameters, too.
        scheduler : {"default", "processes", "synchronous"}, optional
            Where to compute: by default on the cluster of dask.distributed, if there is a client,
            and else in processes; up to 500 spectra in this process.
        workers : int, optional
            How many processes; by default dask's ``num_workers``, or one for each core.
        progress : bool, optional
            Whether to show a bar; by default where stderr is a terminal.
        **options
            Of the fitter: maxiter, acc, epsilon, estimate_jacobian.

        Returns
        -------
        Quantities
            A dataset for each parameter, by its name, with its standard deviation as uncertainty;
            ``rms`` of the residuals; ``chi2``, the sum of squares of the weighted residuals, where
            there are weights; ``converged``. Masked is what was not fitted or did not converge.
            Without weights the deviations are scaled by the residuals, as astropy's are.

        Raises
        ------
        DatasetError
            A model with other units or inputs, or one that fits no spectrum.

        Examples
        --------
        >>> from astropy.modeling.models import Const1D, Gaussian1D  # doctest: +SKIP
        >>> model = Const1D(9000) - Gaussian1D(5000, 630.25, 0.01)  # doctest: +SKIP
        >>> fit = ds.at(stokes="I").spectral.fit(model)  # doctest: +SKIP
        >>> fit.mean_1.plot()  # doctest: +SKIP
        """
        from dkist_virtual.dataset.spectral.fit import FitOptions, fit_spectra

        how = FitOptions(
            line=line, window=window, continuum=continuum, weights=weights, initial=initial,
            medium=medium, wavelength_offset=wavelength_offset, normalise=normalise,
            most_of_cadence=most_of_cadence, fitter=fitter, covariance=covariance,
            scheduler=scheduler, workers=workers, progress=progress,
        )  # fmt: skip
        return fit_spectra(self._ds, self._axis, model, how, options)

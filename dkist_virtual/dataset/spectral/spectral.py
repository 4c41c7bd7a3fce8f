"""Define `Spectral`: what ``ds.spectral`` measures along the wavelength."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from astropy import units as u

    from dkist_virtual.dataset.spectral.quantities import Quantities
    from dkist_virtual.science.spectra.axis import SpectralAxis

__all__ = ["HasSpectra", "Spectral"]


class HasSpectra:
    """A dataset that has spectra."""

    @property
    def spectral(self: Any) -> Spectral:
        """Measure spectra: see `Spectral`.

        Raises
        ------
        SelectionError
            No wavelength changes along an axis of this selection.
        """
        return Spectral(self)


class Spectral:
    """Measure the spectra of a dataset along its axis of wavelengths.

    Every result is a dataset without that axis. Nothing is read until pixels are asked for.

    Parameters
    ----------
    ds : Dataset
    """

    def __init__(self, ds: Any) -> None:
        from dkist_virtual.science.spectra.axis import SpectralAxis

        self._ds = ds
        self._axis = SpectralAxis.of(ds)

    @property
    def axis(self) -> SpectralAxis:
        """The axis of wavelengths."""
        return self._axis

    def moments(
        self,
        *,
        line: str | u.Quantity | None = None,
        window: u.Quantity | None = None,
        continuum: Any = None,
        kind: Literal["absorption", "emission"] = "absorption",
    ) -> Quantities:
        """Compute strength, centroid, width and skewness of a line.

        Parameters
        ----------
        line : str or Quantity, optional
            The line, by its name or its wavelength in the medium of the dataset.
        window : Quantity, optional
            What counts: half of the width around the line, or two ends. By default all wavelengths.
        continuum : optional
            See `continuum`: by default percentile 95 of all wavelengths of each spectrum.
        kind : {"absorption", "emission"}
            The weights are ``1 - I/Ic``, or ``I - Ic``.

        Returns
        -------
        Quantities
            ``equivalent_width`` in absorption, in the unit of the wavelength, or ``intensity`` in
            emission, integrated over the wavelength; ``centroid``, and ``width``, the standard
            deviation, in that unit; ``skewness``.
        """
        from dkist_virtual.dataset.spectral.engine import over_wavelengths
        from dkist_virtual.dataset.spectral.options import Measured
        from dkist_virtual.science.spectra.moments import Moments

        ds, axis = self._ds, self._axis
        measured = Measured.of(ds, axis, line=line, window=window, continuum=continuum, kind=kind)
        absorbs = measured.kind == "absorption"
        strength = axis.unit if absorbs else axis.unit * (ds.unit or 1)
        return over_wavelengths(
            ds, axis, Moments(measured.kind, measured.window, measured.continuum),
            ["equivalent_width" if absorbs else "intensity", "centroid", "width", "skewness"],
            [strength, axis.unit, axis.unit, ""],
            arguments=measured.arguments, used=measured.used,
            what=["equivalent width" if absorbs else "intensity", "centroid", "width", "skewness"],
            meta={"method": "moments of the depth by the trapezium rule", **measured.said},
        )  # fmt: skip

"""Define `Spectral`: what ``ds.spectral`` measures along the wavelength."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np

from dkist_virtual.dataset.spectral.doppler import HasVelocities
from dkist_virtual.dataset.spectral.fit_method import FitsModels
from dkist_virtual.errors import DatasetError
from dkist_virtual.text import check_keywords, keywords_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from astropy import units as u
    from specutils import Spectrum

    from dkist_virtual.dataset.spectral.options import Measured
    from dkist_virtual.dataset.spectral.quantities import Quantities
    from dkist_virtual.science.spectra.axis import SpectralAxis

__all__ = ["HasSpectra", "Spectral"]


class HasSpectra(HasVelocities):
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

    def to_spectrum(self: Any) -> Spectrum:
        """Read the spectra of the selection as a `specutils.Spectrum`.

        Wavelengths are the last axis, ascending, whichever axis they are along here: functions of
        specutils expect them there. Unit, uncertainty and mask go along, and in the meta the header
        table, what you put into this dataset's, and whether the wavelengths are in air or vacuum.
        Positions and times do not: ``ds.with_data(spectrum)`` puts what specutils returns, of the
        same wavelengths, back on this dataset.

        Raises
        ------
        ImportError
            specutils is not installed, the extra ``spectra``.
        SelectionError
            No wavelength changes along an axis of this selection.
        DatasetError
            A wavelength is there twice.

        Examples
        --------
        >>> from specutils.manipulation import gaussian_smooth  # doctest: +SKIP
        >>> part = ds[0, 50:60]  # doctest: +SKIP
        >>> smooth = part.with_data(gaussian_smooth(part.to_spectrum(), 2))  # doctest: +SKIP
        """
        from dkist_virtual.dataset.export.to_specutils import to_spectrum

        return to_spectrum(self)


class Spectral(FitsModels):
    """Measure the spectra of a dataset along its axis of wavelengths.

    Every result is a dataset without that axis. Nothing is read until pixels are asked for.
    Measurements of lines have these keywords in common:

    - ``line``: the line, by its name or as a wavelength in the medium of the dataset.
    - ``window``: what counts: half of the width around the line, or two ends. By default all
      wavelengths of the selection.
    - ``continuum``: a percentile of each spectrum, as a number; windows without lines, as
      ``[a, b] * u.nm`` or several pairs, of which it is the mean; a dict of what `continuum` takes;
      or its level: a dataset such as `continuum` gives, or a Quantity. By default percentile 95 of
      all wavelengths.
    - ``medium``: ``"air"`` or ``"vacuum"``, to which the wavelengths are converted before anything
      else.
    - ``wavelength_offset``: added to the wavelengths of each spectrum: one value, a map or dataset
      of the shape of the result, such as a cavity map, or one value for each pixel of the slit.
    - ``normalise``: for scans, whose points are not at one time: ``"frame mean"``, or a dataset of
      the broadband level; see :doc:`/how-to/spectra`.
    - ``most_of_cadence``: warn where the points of a scan are spread over more than this share of
      the time from one scan to the next, by default 0.5.

    Parameters
    ----------
    ds : Dataset
    """

    def __init__(self, ds: Any) -> None:
        from dkist_virtual.science.spectra.axis import SpectralAxis

        self._ds = ds
        self._axis = SpectralAxis.of(ds)

    def __repr__(self) -> str:
        return f"Spectral: measures along {self._axis!r}"

    @property
    def axis(self) -> SpectralAxis:
        """The axis of wavelengths."""
        return self._axis

    def moments(
        self,
        *,
        kind: Literal["absorption", "emission"] = "absorption",
        **options: Any,
    ) -> Quantities:
        """Compute strength, centroid, width and skewness of a line.

        Parameters
        ----------
        kind : {"absorption", "emission"}
            The weights are ``1 - I/Ic``, or ``I - Ic``.
        **options
            Those of all measurements of lines: see `Spectral`.

        Returns
        -------
        Quantities
            ``equivalent_width`` in absorption, in the unit of the wavelength, or ``intensity`` in
            emission, integrated over the wavelength; ``centroid``, and ``width``, the standard
            deviation, in that unit; ``skewness``.

        Examples
        --------
        >>> line = ds.spectral.moments(line="Fe I 630.25", window=0.04 * u.nm)  # doctest: +SKIP
        >>> line.compute().centroid.plot()  # doctest: +SKIP
        """
        from dkist_virtual.science.spectra.moments import Moments

        how = self._measured("moments", options, kind)
        unit = how.axis.unit
        strength = unit if how.kind == "absorption" else unit * (self._ds.unit or 1)
        name = "equivalent_width" if how.kind == "absorption" else "intensity"
        return how.apply(
            Moments(how.kind, how.window, how.continuum),
            {name: strength, "centroid": unit, "width": unit, "skewness": ""},
            method="moments of 1 - I/Ic" if how.kind == "absorption" else "moments of I - Ic",
        )

    def equivalent_width(self, **options: Any) -> Any:
        """Compute the equivalent width, in the unit of the wavelength: positive in absorption.

        It is the integral of ``1 - I/Ic`` over the window, by the trapezium rule.

        Parameters
        ----------
        **options
            Those of all measurements of lines: see `Spectral`.

        Returns
        -------
        Dataset
        """
        from dkist_virtual.science.spectra.moments import Moments

        how = self._measured("equivalent_width", options, "absorption")
        made = how.apply(
            Moments("absorption", how.window, how.continuum, n=1),
            {"equivalent_width": how.axis.unit},
            method="integral of 1 - I/Ic",
        )
        return made["equivalent_width"]

    def line_core(
        self,
        *,
        kind: Literal["absorption", "emission"] = "absorption",
        **options: Any,
    ) -> Quantities:
        """Find the core of a line: the vertex of the parabola through its lowest samples.

        A spectrum has no core, and is masked, where the lowest sample is at the edge of the window;
        where the line is blended: another minimum is at least 0.8 times as deep, and between both
        the intensity rises by more than 0.1 of the core's depth; where the line has the other sign;
        and where too few samples are known.

        Parameters
        ----------
        kind : {"absorption", "emission"}
            Of a line in emission the core is the highest place.
        **options
            Those of all measurements of lines: see `Spectral`.

        Returns
        -------
        Quantities
            ``wavelength``; ``intensity``; ``depth``, which is ``1 - I/Ic``; and ``quality``, which
            says why a core was not found: ``meta["result"]["qualities"]`` lists its numbers.
        """
        from dkist_virtual.science.spectra.cores import QUALITIES, LineCore

        how = self._measured("line_core", options, kind)
        said = ", ".join(f"{number}: {word}" for number, word in enumerate(QUALITIES))
        return how.apply(
            LineCore(how.kind, how.window, how.continuum),
            {"wavelength": how.axis.unit, "intensity": self._ds.unit, "depth": "", "quality": ""},
            method="vertex of a parabola through three samples", qualities=said,
        )  # fmt: skip

    def bisector(
        self,
        levels: Sequence[float] = (0.2, 0.5, 0.8),
        *,
        kind: Literal["absorption", "emission"] = "absorption",
        **options: Any,
    ) -> Quantities:
        """Find the middle of a line, and its width, at levels between core and continuum.

        Masked where `line_core` finds no core, and where a side does not reach the level.

        Parameters
        ----------
        levels : sequence of float
            Above 0, which is the core, and below 1, which is the continuum.
        kind : {"absorption", "emission"}
        **options
            Those of all measurements of lines: see `Spectral`.

        Returns
        -------
        Quantities
            For each level, in percent, ``middle_50`` and ``width_50``, say, in the unit of the
            wavelength.
        """
        from dkist_virtual.science.spectra.cores import Bisector, LineCore

        given = np.atleast_1d(levels)
        shares = tuple(map(float, given.ravel())) if given.dtype.kind in "iuf" else ()
        if not shares or not all(0 < share < 1 for share in shares):
            raise DatasetError(
                f"bisector: levels = {levels!r}: expected numbers above 0, the core, and below 1, "
                "the continuum"
            )
        how = self._measured("bisector", options, kind)
        percents = [f"{100 * share:g}" for share in shares]
        names = [f"{word}_{percent}" for word in ("middle", "width") for percent in percents]
        return how.apply(
            Bisector(LineCore(how.kind, how.window, how.continuum), shares),
            dict.fromkeys(names, how.axis.unit),
            method="middle and width of the line at a level, linearly interpolated",
        )

    def continuum(
        self,
        windows: u.Quantity | None = None,
        *,
        percentile: float | None = None,
        degree: int | None = None,
        at: u.Quantity | str | None = None,
        **options: Any,
    ) -> Any:
        """Find the continuum of each spectrum.

        What measurements take as ``continuum=`` are these windows themselves, a percentile as a
        number, a dict of these keywords, or what this gives.

        Parameters
        ----------
        windows : Quantity, optional
            Wavelengths without lines: two ends, or several pairs of them. By default all.
        percentile : float, optional
            Of the samples in the windows: 100 is their maximum. By default 95 without windows, and
            the mean of the windows with such.
        degree : int, optional
            Of a polynomial in the wavelength through the samples in the windows, by least squares.
        at : Quantity or str, optional
            The wavelength, or the line, at which it is evaluated: by default the middle of the
            windows.
        **options
            ``medium``, ``wavelength_offset``, ``normalise`` and ``most_of_cadence``: see
            `Spectral`.

        Returns
        -------
        Dataset
            In the unit of the pixels.
        """
        from dkist_virtual.dataset.spectral.options import make_continuum, read_line
        from dkist_virtual.science.spectra.continuum import Level

        check_keywords("continuum", options, _OF_ALL)
        given = {"windows": windows, "percentile": percentile, "degree": degree}
        options["continuum"] = {key: one for key, one in given.items() if one is not None}
        how = self._measured("continuum", options, "absorption")
        found = make_continuum(how.axis, **options["continuum"])
        ends = found.windows or ((how.axis.values.min(), how.axis.values.max()),)
        place = (ends[0][0] + ends[-1][1]) / 2
        if at is not None:
            place = float(read_line(at, how.axis, "at").value)
        made = how.apply(
            Level(found, place), {"continuum": self._ds.unit},
            method=f"at {place:.10g} {how.axis.unit}", of_continuum=True,
        )  # fmt: skip
        return made["continuum"]

    def _measured(self, name: str, options: dict[str, Any], kind: str) -> Measured:
        from dkist_virtual.dataset.spectral.options import Measured

        check_keywords(name, options, (*keywords_of(getattr(self, name)), *_OPTIONS))
        return Measured.of(self._ds, self._axis, kind=kind, what=name, **options)


_OF_ALL: Final = ("medium", "wavelength_offset", "normalise", "most_of_cadence")
"""Keywords of all measurements, of lines or not."""

_OPTIONS: Final = ("line", "window", "continuum", *_OF_ALL)

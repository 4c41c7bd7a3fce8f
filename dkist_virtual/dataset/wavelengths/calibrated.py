"""Give datasets the methods that calibrate their wavelengths."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, Self

if TYPE_CHECKING:
    from astropy.units import Quantity

    from dkist_virtual.cube.wavelengths.scale import WavelengthScale

__all__ = ["CalibratedCube"]


class CalibratedCube:
    """A dataset whose wavelengths can be calibrated."""

    @property
    def wavelength_scale(self) -> WavelengthScale | None:
        """Its calibrated wavelengths, in the axes of this selection; None for those of its WCS."""
        from dkist_virtual.dataset.wavelengths.calibrate import scale_of

        return scale_of(self)

    def calibrate_wavelength(
        self,
        scale: Quantity | WavelengthScale | Literal["headers"] | None = None,
        *,
        quiet: Any = None,
        medium: Literal["air", "vacuum"] | None = None,
        frame: Literal["observer", "sun"] | None = None,
        grating: Quantity | None = None,
        order: int | None = None,
        incidence: Quantity | None = None,
        atlas: Any = None,
        velocity: Quantity | None = None,
        window: Quantity | None = None,
        resolving_power: float | None = None,
        search: Quantity | None = None,
        residual: float | None = None,
    ) -> Self:
        """Give the dataset another wavelength scale, in place of the one that it has.

        Either wavelengths are given, or the headers state them, or the mean spectrum of a quiet
        region is fitted to a solar atlas, by DKIST's ``solar-wavelength-calibration``. Only the fit
        reads frames: those of the region, once.

        Parameters
        ----------
        scale : Quantity, WavelengthScale or "headers"
            The wavelength of each pixel along the axis of wavelengths, in the order of the pixels;
            the `wavelength_scale` of another dataset; or ``"headers"`` for what the FITS headers
            state: with the curvature of the grating where CTYPE is AWAV-GRA, else even.
        quiet : Dataset, index or SkyCoord
            The region whose mean spectrum is fitted: a part of this dataset with all of its
            wavelengths, the index of one, or two corners of a box. Of several Stokes parameters I
            is taken.
        medium : {"air", "vacuum"}, optional
            In which given wavelengths are; by default the dataset's. They are converted to that.
        frame : {"observer", "sun"}, optional
            Whether given wavelengths are as the telescope measured them, by default, or the motion
            of the telescope relative to the Sun is taken out of them. A fit is the observer's: it
            is told the mean OBS_VR of the region.
        grating, order, incidence : Quantity, int, Quantity, optional
            Of the fit: grooves per length, the order of diffraction, and the angle of the light
            on the grating; by default those of the headers of ViSP and Cryo-NIRSP. They say how
            the scale bends; where it is and how wide is fitted.
        atlas : (Quantity, array) or atlas, optional
            Wavelengths in air and intensities of the Sun at rest, or an atlas of that package; by
            default the package's own, which is downloaded once.
        velocity : Quantity, optional
            Of the quiet region relative to the Sun's centre, positive receding, such as by the
            rotation of the Sun; by default none.
        window : Quantity, optional
            Two ends: other wavelengths do not count in the fit.
        resolving_power : float, optional
            A first guess; by default that of the instrument.
        search : Quantity, optional
            How far the wavelengths may be from those of the WCS; by default a quarter of the range.
        residual : float, optional
            The share of the variation of the mean spectrum, as an rms, that a good fit leaves at
            most; by default 0.1.

        Returns
        -------
        Dataset
            Of the same pixels, with `wavelength_scale`.

        Raises
        ------
        DatasetError
            The dataset has no axis of wavelengths, or the values do not fit it; the headers of its
            frames differ; the instrument has no grating (VBI, VTF), or its geometry is not known;
            the atlas cannot be downloaded; the fit is bad.
        ImportError
            ``solar-wavelength-calibration`` is not installed.

        Warns
        -----
        DKISTVirtualWarning
            The headers put pixels elsewhere than the WCS.

        Examples
        --------
        >>> ds.calibrate_wavelength("headers")  # doctest: +SKIP
        >>> ds.calibrate_wavelength(quiet=np.s_[0, 10:30, :, 200:400])  # doctest: +SKIP
        """
        from dkist_virtual.dataset.wavelengths.calibrate import calibrate_wavelength

        fit = {
            "grating": grating, "order": order, "incidence": incidence, "atlas": atlas,
            "velocity": velocity, "window": window, "resolving_power": resolving_power,
            "search": search, "residual": residual,
        }  # fmt: skip
        made: Self = calibrate_wavelength(
            self, scale, quiet=quiet, medium=medium, frame=frame, fit=fit
        )
        return made

    def uncalibrated(self) -> Self:
        """Take the wavelength scale away again, also one that a store remembers."""
        from dkist_virtual.dataset.wavelengths.calibrate import uncalibrated

        made: Self = uncalibrated(self)
        return made

"""Give datasets the methods that calibrate their wavelengths."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Self

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
        medium: Literal["air", "vacuum"] | None = None,
        frame: Literal["observer", "sun"] = "observer",
    ) -> Self:
        """Give the dataset another wavelength scale.

        Parameters
        ----------
        scale : Quantity, WavelengthScale or "headers"
            The wavelength of each pixel along the axis of wavelengths, in the order of the pixels;
            the `wavelength_scale` of another dataset; or ``"headers"`` for what the FITS headers
            state: with the curvature of the grating where CTYPE is AWAV-GRA, else even.
        medium : {"air", "vacuum"}, optional
            In which given wavelengths are.
        frame : {"observer", "sun"}
            Whether given wavelengths are as measured, or corrected for the motion of the observer.

        Returns
        -------
        Dataset
            Of the same pixels, with `wavelength_scale`.

        Raises
        ------
        DatasetError
            There is no axis of wavelengths, or the values do not fit it.
        """
        from dkist_virtual.dataset.wavelengths.calibrate import calibrate_wavelength

        made: Self = calibrate_wavelength(self, scale, medium=medium, frame=frame)
        return made

    def uncalibrated(self) -> Self:
        """Take the wavelength scale away again, also one that a store remembers."""
        from dkist_virtual.dataset.wavelengths.calibrate import uncalibrated

        made: Self = uncalibrated(self)
        return made

"""Fit the wavelengths of a spectrum to a solar atlas, by DKIST's solar-wavelength-calibration."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from dkist_virtual.errors import DatasetError
from dkist_virtual.science.spectra.velocity import LIGHT

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dkist_virtual.science.spectra.samples import Floats

__all__ = ["AtlasFit", "Grating", "fit_to_atlas", "read_atlas"]

_WHAT: Final = "calibrate_wavelength"
_PERCENTILE: Final = 97.0
"""Of a spectrum and of the atlas, that are taken for equally bright at first."""
_DISPERSION: Final = 0.02
"""How far the dispersion may be from that of the WCS, as in the pipeline of ViSP."""
_LEAST_CONTRAST: Final = 2e-3
"""The rms of an atlas, of its mean, that has lines to be found by."""
_NEAR: Final = 1e-6
_FTOL: Final = 1e-6
"""The relative change of the sum of squares that ends the fit: of 400 samples it is worth 0.02 of
a standard deviation."""
_MOST_TRIES: Final = 2000


@dataclass(frozen=True)
class Grating:
    """The geometry of a spectrograph.

    Parameters
    ----------
    constant : float
        Grooves per metre.
    order : int
        Of diffraction.
    incidence : float
        The angle of the light on the grating from its normal, in degrees.
    source : str
        Where the numbers are from.

    Raises
    ------
    DatasetError
        No grating has such numbers.
    """

    constant: float
    order: int
    incidence: float
    source: str = ""

    def __post_init__(self) -> None:
        good = np.isfinite([self.constant, self.incidence]).all()
        if not good or not 1e3 <= self.constant <= 1e7 or not 1 <= abs(self.order) <= 1000:
            raise DatasetError(
                f"{_WHAT}: a grating of {self.constant / 1e3:g} grooves per mm in order "
                f"{self.order}, at {self.incidence:g} deg: expected 1 to 10,000 grooves per mm and "
                "an order. grating=, order= and incidence= say other ones"
            )

    def diffracted(self, wavelength: float) -> float:
        """Return the sine of the angle of diffraction of a wavelength in nm.

        The grating equation, G m lambda = sin(alpha) + sin(beta): Greisen et al. 2006, A&A 446,
        747, section 5.
        """
        return float(
            wavelength * 1e-9 * self.constant * self.order - np.sin(np.deg2rad(self.incidence))
        )

    def check(self, wavelength: float) -> None:
        """Refuse a geometry by which no light of a wavelength, in nm, leaves the grating."""
        sine = self.diffracted(wavelength)
        if abs(sine) >= 1:
            raise DatasetError(
                f"{_WHAT}: by {self.source or 'this geometry'}, {self.constant / 1e3:g} grooves "
                f"per mm in order {self.order} at {self.incidence:g} deg send {wavelength:.2f} nm "
                f"to an angle whose sine is {sine:.3g}: expected between -1 and 1. grating=, "
                "order= and incidence= say other ones"
            )


@dataclass(frozen=True, eq=False)
class AtlasFit:
    """What a fit to an atlas found.

    Parameters
    ----------
    wavelengths : array of float64, shape (n,)
        In nm in air, in the order of the spectrum.
    said : dict
        The parameters and how good the fit is, as numbers and text.
    """

    wavelengths: Floats
    said: dict[str, Any]


def read_atlas(atlas: Any) -> Any:
    """Return an atlas as solar-wavelength-calibration has it, downloaded where none is given.

    Parameters
    ----------
    atlas : object, (Quantity, array) or None
        An atlas of that package; wavelengths in air and intensities of the Sun at rest, without
        telluric lines; or None for the package's own, which is downloaded once
        (doi:10.7910/DVN/JUSYJM).

    Raises
    ------
    ImportError
        The package is not installed.
    DatasetError
        The atlas cannot be downloaded, or is none.
    """
    import astropy.units as u

    try:
        from solar_wavelength_calibration.atlas.atlas import Atlas, LocalAtlas
        from solar_wavelength_calibration.atlas.base import AtlasBase
    except ImportError as error:
        raise ImportError(
            f"{_WHAT}: a fit to an atlas needs solar-wavelength-calibration: "
            "pip install 'dkist_virtual[spectra]'"
        ) from error
    if isinstance(atlas, tuple) and len(atlas) == 2:
        wavelengths, intensity = atlas[0], np.asarray(atlas[1], float)
        fits = isinstance(wavelengths, u.Quantity) and wavelengths.unit.is_equivalent(u.m)
        if not fits or intensity.ndim != 1 or np.shape(wavelengths) != intensity.shape:
            raise TypeError(
                f"{_WHAT}: atlas=: expected a pair of wavelengths with a unit and as many "
                f"intensities, found {type(wavelengths).__name__} of shape {np.shape(wavelengths)} "
                f"and {intensity.shape}"
            )
        nm = wavelengths.to(u.nm)
        if not np.isfinite(intensity).all() or not (np.diff(nm.value) > 0).all():
            raise DatasetError(f"{_WHAT}: atlas=: expected ascending wavelengths and numbers")
        return LocalAtlas(
            solar_atlas_wavelength=nm,
            solar_atlas_transmission=intensity,
            telluric_atlas_wavelength=nm,
            telluric_atlas_transmission=np.ones_like(intensity),
        )
    if atlas is not None and not isinstance(atlas, AtlasBase):
        raise TypeError(
            f"{_WHAT}: atlas={type(atlas).__name__}: expected a pair of wavelengths and "
            "intensities, or an atlas of solar_wavelength_calibration"
        )
    found = Atlas() if atlas is None else atlas
    try:
        found.solar_atlas_wavelength, found.telluric_atlas_wavelength  # noqa: B018  # read now
    except (OSError, ValueError) as error:
        raise DatasetError(
            f"{_WHAT}: the solar atlas cannot be downloaded ({type(error).__name__}): it is kept "
            "after the first download. Without a connection, give one: atlas=(wavelengths * u.nm, "
            "intensities)"
        ) from error
    return found


def fit_to_atlas(
    spectrum: Floats,
    wavelengths: Floats,
    grating: Grating,
    *,
    velocity: float,
    resolving_power: int,
    atlas: Any,
    search: float | None = None,
    use: NDArray[np.bool_] | None = None,
    residual: float = 0.1,
) -> AtlasFit:
    """Fit the wavelengths of a spectrum to a solar atlas.

    The model is that of solar-wavelength-calibration: the atlas of the Sun, displaced by the
    velocity, times that of the atmosphere with its opacity, at a resolving power, with stray light
    and a continuum, at the wavelengths of a grating. The incidence stays; the wavelength in the
    middle, the dispersion and the other parameters are found by least squares. The first guess of
    the middle is the displacement, within `search`, at which spectrum and atlas agree best.

    Parameters
    ----------
    spectrum : array of float, shape (n,)
        In any unit; NaN where it is not known.
    wavelengths : array of float, shape (n,)
        A first guess, in nm in air: ascending or descending, and nearly even.
    grating : Grating
    velocity : float
        Of what the spectrum is of, relative to the observer, in km/s: positive is receding. The
        Sun's lines are at (1 + velocity / c) of the wavelengths of the atlas, and telluric ones at
        theirs, so that the result is as the observer measures.
    resolving_power : int
        A first guess; it may become ten times smaller or greater.
    atlas : Atlas
        Of `read_atlas`.
    search : float, optional
        nm from the first guess; by default a quarter of the range.
    use : array of bool, shape (n,), optional
        Which samples count; by default all.
    residual : float
        The share of the spectrum's variation, as an rms, that a good fit leaves at most.

    Raises
    ------
    DatasetError
        The wavelengths are not those of a grating, the atlas has no lines there, or the fit is
        bad: it leaves more of the spectrum's variation, or ended at a limit.
    """
    n = len(spectrum)
    steps = np.diff(wavelengths)
    if n < 10 or not ((steps > 0).all() or (steps < 0).all()):
        raise DatasetError(
            f"{_WHAT}: {n} wavelengths{'' if n < 10 else ' in no order'}: expected those of a "
            "spectrograph, at least ten, ascending or descending"
        )
    turned = slice(None, None, -1 if steps[0] < 0 else 1)
    guess = np.asarray(wavelengths, float)[turned]
    if np.ptp(np.diff(guess)) > 0.2 * np.median(np.diff(guess)):
        raise DatasetError(
            f"{_WHAT}: the wavelengths are from {np.diff(guess).min():.4g} to "
            f"{np.diff(guess).max():.4g} nm apart: expected those of a grating, nearly even"
        )
    counts = np.isfinite(spectrum) if use is None else np.isfinite(spectrum) & use
    given, weights = np.asarray(spectrum, float)[turned], counts[turned].astype(float)
    if counts.sum() < 10:
        raise DatasetError(f"{_WHAT}: {int(counts.sum())} samples to fit: expected at least ten")
    range_ = float(guess[-1] - guess[0])
    reach = range_ / 4 if search is None else search
    for end in (guess[0], guess[-1]):
        grating.check(float(end))
    local = _cropped(atlas, guess, reach)
    return _Fit(given, weights, guess, grating, velocity, local).run(
        resolving_power, reach, residual, turned
    )


def _cropped(atlas: Any, guess: Floats, reach: float) -> Any:
    """Return the part of an atlas around some wavelengths, and refuse one that has none there."""
    import astropy.units as u
    from solar_wavelength_calibration.atlas.atlas import LocalAtlas

    room = 0.3 * (guess[-1] - guess[0]) + reach + guess[-1] * 10 / LIGHT  # of 10 km/s
    low, high = guess[0] - room, guess[-1] + room
    parts = {}
    for name in ("solar", "telluric"):
        nm = np.asarray(getattr(atlas, f"{name}_atlas_wavelength").to_value(u.nm), float)
        values = np.asarray(getattr(atlas, f"{name}_atlas_transmission"), float)
        if nm[0] > guess[0] or nm[-1] < guess[-1]:
            raise DatasetError(
                f"{_WHAT}: the {name} atlas is of {nm[0]:.2f} to {nm[-1]:.2f} nm, and the spectrum "
                f"of {guess[0]:.2f} to {guess[-1]:.2f} nm: give atlas= of these wavelengths"
            )
        part = (nm >= low) & (nm <= high)
        parts[f"{name}_atlas_wavelength"] = nm[part] * u.nm
        parts[f"{name}_atlas_transmission"] = values[part]
    light = np.interp(guess, parts["solar_atlas_wavelength"].value,
                      parts["solar_atlas_transmission"])  # fmt: skip
    if light.std() < _LEAST_CONTRAST * light.mean():
        raise DatasetError(
            f"{_WHAT}: the atlas has no lines from {guess[0]:.2f} to {guess[-1]:.2f} nm, by which "
            "the wavelengths could be found"
        )
    return LocalAtlas(**parts)


@dataclass(frozen=True, eq=False)
class _Fit:
    """A spectrum of ascending wavelengths, and what it is fitted to."""

    spectrum: Floats
    weights: Floats
    guess: Floats
    grating: Grating
    velocity: float
    atlas: Any

    @property
    def middle(self) -> int:
        """The reference pixel of the library, from 0."""
        return len(self.spectrum) // 2

    def run(self, resolving_power: int, reach: float, residual: float, turned: slice) -> AtlasFit:
        """Fit, and check the fit."""
        from solar_wavelength_calibration.fitter.wavelength_fitter import (
            WavelengthCalibrationFitter,
        )

        known = self.weights > 0
        bright = np.percentile(self.spectrum[known], _PERCENTILE)
        of_atlas = np.percentile(self._of_atlas(self.guess), _PERCENTILE)
        if not bright > 0:
            raise DatasetError(f"{_WHAT}: the mean spectrum is dark: expected a quiet region")
        level = bright / of_atlas
        filled = np.where(known, self.spectrum / level, 1.0)
        first = self._aligned(filled, reach)
        parameters = self._parameters(first, resolving_power, reach)
        fitter = WavelengthCalibrationFitter(input_parameters=parameters, atlas=self.atlas)
        result = fitter(
            filled, spectral_weights=self.weights, ftol=_FTOL, xtol=_FTOL, max_nfev=_MOST_TRIES
        )
        made = np.asarray(result.best_fit_wavelength_vector, float)
        left = np.asarray(result.minimizer_result.residual, float)  # times the root of weights
        weights = self.weights / self.weights.sum()
        mean = float((weights * filled).sum())
        share = float(np.sqrt((left**2).sum() / (weights * (filled - mean) ** 2).sum()))
        self._check(result.minimizer_result, made, share, residual, reach)
        return AtlasFit(made[turned], self._said(result, made, share))

    def _of_atlas(self, wavelengths: Floats) -> Floats:
        """Return Sun and atmosphere at wavelengths, as the observer sees them."""
        moved = self.atlas.solar_atlas_wavelength.value * (1 + self.velocity / LIGHT)
        sun = np.interp(wavelengths, moved, self.atlas.solar_atlas_transmission)
        sky = np.interp(
            wavelengths, self.atlas.telluric_atlas_wavelength.value,
            self.atlas.telluric_atlas_transmission,
        )  # fmt: skip
        return np.asarray(sun * sky, float)

    def _aligned(self, filled: Floats, reach: float) -> float:
        """Find the wavelength in the middle at which spectrum and atlas agree best.

        By the correlation, which no difference of depth or brightness changes.
        """
        step = float(np.median(np.diff(self.guess)))
        moves = np.arange(-np.ceil(reach / step), np.ceil(reach / step) + 1) * step
        weights = self.weights / self.weights.sum()
        own = filled - (weights * filled).sum()
        found = []
        for move in moves:
            other = self._of_atlas(self.guess + move)
            other = other - (weights * other).sum()
            size = np.sqrt((weights * other**2).sum())
            found.append((weights * own * other).sum() / size if size > 0 else -np.inf)
        best = int(np.argmax(found))
        return float(self.guess[self.middle] + moves[best])

    def _parameters(self, first: float, resolving_power: int, reach: float) -> Any:
        import astropy.units as u
        from pydantic import ValidationError
        from solar_wavelength_calibration.fitter.parameters import (
            BoundsModel,
            DispersionBoundRange,
            FitFlagsModel,
            LengthBoundRange,
            UnitlessBoundRange,
            WavelengthCalibrationParameters,
        )

        around = np.diff(self.guess)[max(self.middle - 2, 0) : self.middle + 2]
        dispersion = float(np.median(around))
        near = max(7 * dispersion, reach / 10)
        # Not in the middle of its limits: there lmfit's variable is 0, and its steps, which are
        # relative, are too small for a derivative.
        bounds = BoundsModel(
            crval=LengthBoundRange(min=(first - near) * u.nm, max=(first + 1.5 * near) * u.nm),
            dispersion=DispersionBoundRange(
                min=dispersion * (1 - _DISPERSION) * u.nm / u.pix,
                max=dispersion * (1 + 1.5 * _DISPERSION) * u.nm / u.pix,
            ),
            resolving_power=UnitlessBoundRange(min=resolving_power / 10, max=resolving_power * 10),
            opacity_factor=UnitlessBoundRange(min=0.0, max=10.0),
            straylight_fraction=UnitlessBoundRange(min=0.0, max=0.5),
            continuum_level=UnitlessBoundRange(min=0.5, max=2.0),
            incident_light_angle={"min": -360 * u.deg, "max": 360 * u.deg},
        )
        no_sky = float(np.ptp(self.atlas.telluric_atlas_transmission)) < _NEAR
        try:
            return WavelengthCalibrationParameters(
                crval=first * u.nm,
                dispersion=dispersion * u.nm / u.pix,
                incident_light_angle=self.grating.incidence * u.deg,
                grating_constant=self.grating.constant / u.m,
                order=self.grating.order,
                doppler_velocity=self.velocity * u.km / u.s,
                resolving_power=int(resolving_power),
                straylight_fraction=0.05,
                bounds=bounds,
                fit_flags=FitFlagsModel(incident_light_angle=False, opacity_factor=not no_sky),
            )
        except ValidationError as error:
            raise DatasetError(
                f"{_WHAT}: solar-wavelength-calibration takes no such parameters: {error!s:.300}"
            ) from error

    def _check(self, found: Any, made: Floats, share: float, residual: float, reach: float) -> None:
        """Refuse a bad fit."""
        if not found.success:
            raise DatasetError(
                f"{_WHAT}: a bad fit: it had not ended after {found.nfev} tries: is the region "
                "quiet, and the atlas of these wavelengths?"
            )
        if not share <= residual:
            raise DatasetError(
                f"{_WHAT}: a bad fit: {share:.0%} of the variation of the spectrum (rms) is not in "
                f"the atlas as it was fitted: expected at most {residual:.0%}. window= leaves out "
                "what is not of the quiet Sun, search= says how far the wavelengths may be off, "
                "residual= allows more"
            )
        dispersion = found.params["dispersion"]
        room = _NEAR * dispersion.value
        if not dispersion.min + room < dispersion.value < dispersion.max - room:
            raise DatasetError(
                f"{_WHAT}: a bad fit: the dispersion ended at its limit, {dispersion.value:.6g} nm "
                f"a pixel, {_DISPERSION:.0%} from that of the WCS: are there two lines in the "
                "spectrum, far from each other?"
            )
        moved = float(made[self.middle] - self.guess[self.middle])
        if abs(moved) > reach * 1.05:
            raise DatasetError(
                f"{_WHAT}: a bad fit: the wavelengths are {moved:+.4f} nm from those of the WCS: "
                f"expected within {reach:.4f} nm. search= allows more"
            )

    def _said(self, result: Any, made: Floats, share: float) -> dict[str, Any]:
        """Say what was found, as numbers and text."""
        parameters = result.minimizer_result.params
        moved = float(made[self.middle] - self.guess[self.middle])
        said: dict[str, Any] = {
            "by": "solar-wavelength-calibration",
            "reference_wavelength_nm": float(parameters["crval"].value),
            "dispersion_nm": float(parameters["dispersion"].value),
            "incidence_deg": self.grating.incidence,
            "grating_per_mm": self.grating.constant / 1e3,
            "order": self.grating.order,
            "geometry": self.grating.source,
            "velocity_km_s": self.velocity,
            "residual": share,
            "moved_nm": moved,
            "moved_km_s": moved / float(made[self.middle]) * LIGHT,
        }
        for name in ("resolving_power", "opacity_factor", "straylight_fraction", "continuum_level"):
            said[name] = float(parameters[name].value)
        error = parameters["crval"].stderr
        if error is not None and np.isfinite(error):
            said["error_km_s"] = float(error) / float(made[self.middle]) * LIGHT
        return said

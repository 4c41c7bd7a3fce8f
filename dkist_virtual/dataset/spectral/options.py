"""Read the keywords that measurements of lines have in common: line, window, continuum, kind."""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Real
from typing import TYPE_CHECKING, Any, Final, Literal, get_args

import astropy.units as u
import numpy as np

from dkist_virtual.dataset.spectral.corrections import Corrections
from dkist_virtual.dataset.spectral.results import MOST_OF_CADENCE
from dkist_virtual.errors import DatasetError, SelectionError
from dkist_virtual.science.spectra.continuum import Continuum
from dkist_virtual.science.spectra.lines import find_line
from dkist_virtual.science.spectra.moments import Kind
from dkist_virtual.text import check_keywords

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from dkist_virtual.dataset.spectral.quantities import Quantities
    from dkist_virtual.science.spectra.axis import SpectralAxis
    from dkist_virtual.science.spectra.samples import Ends

__all__ = [
    "Measured", "make_continuum", "read_continuum", "read_kind", "read_line", "read_share",
    "read_window", "refuse_state", "refuse_stokes", "say_line", "say_window",
]  # fmt: skip


@dataclass(frozen=True, eq=False)
class Measured:
    """What is measured: the line, the window and the continuum.

    Parameters
    ----------
    ds : Dataset
    axis : SpectralAxis
    what : str
        The name of the method.
    kind : {"absorption", "emission"}
    line : Quantity or None
        In the medium of the axis.
    window : (float, float) or None
        In the unit of the axis.
    continuum : Continuum or None
        None where `level` is given.
    level : array or None
        The continuum of each spectrum, as it was given.
    corrections : Corrections
        Offset of the wavelengths, and factors of the frames of a scan.
    most : float
        The share of the cadence above which the span of a scan is warned of.
    said : dict
        All of it in words, for the meta.
    """

    ds: Any
    axis: SpectralAxis
    what: str
    kind: Kind
    line: u.Quantity | None
    window: Ends | None
    continuum: Continuum | None
    level: Any
    corrections: Corrections
    most: float
    said: dict[str, Any]

    @classmethod
    def of(
        cls,
        ds: Any,
        axis: SpectralAxis,
        *,
        what: str = "spectral",
        kind: str = "absorption",
        line: str | u.Quantity | None = None,
        window: u.Quantity | None = None,
        continuum: Any = None,
        medium: Literal["air", "vacuum"] | None = None,
        wavelength_offset: Any = None,
        normalise: Any = None,
        most_of_cadence: float = MOST_OF_CADENCE,
    ) -> Measured:
        """Read the keywords, and check that the dataset has intensities of one kind."""
        refuse_stokes(ds)
        refuse_state(ds, what)
        axis = axis.in_medium(medium)
        kind_ = read_kind(kind)
        at, ends = read_window(line, window, axis)
        found, level = read_continuum(continuum, ds, axis)
        corrections = Corrections.of(ds, axis, wavelength_offset, normalise)
        unit = str(axis.unit)
        said: dict[str, Any] = {"kind": kind_}
        said |= say_window(line, at, ends, axis)
        said["continuum"] = "given" if found is None else found.said(unit)
        if axis.medium is not None:
            said["medium"] = axis.medium
        said |= corrections.said
        most = read_share(most_of_cadence)
        return cls(ds, axis, what, kind_, at, ends, found, level, corrections, most, said)

    def apply(
        self, function: Any, units: Mapping[str, Any], *, method: str, of_continuum: bool = False,
        **more: Any,
    ) -> Quantities:  # fmt: skip
        """Apply a function of `over_wavelengths` to the spectra."""
        from dkist_virtual.dataset.spectral.engine import over_wavelengths

        said = dict(self.said)
        if of_continuum:
            said = {key: one for key, one in said.items() if key not in ("kind", "window")}
        return over_wavelengths(
            self.ds, self.axis, function, list(units), list(units.values()),
            arguments=() if self.level is None else (self.level,),
            used=self._used(of_continuum), offset=self.corrections.offset,
            factor=self.corrections.factor, what=[name.replace("_", " ") for name in units],
            meta={"measured_by": self.what, "method": method, **said, **more}, most=self.most,
        )  # fmt: skip

    def _used(self, of_continuum: bool) -> NDArray[np.bool_]:
        """Return which wavelengths, in the order of the array, may be used."""
        windows = [] if of_continuum else [self.window]
        if self.continuum is not None:
            windows += self.continuum.windows or [None]
        return self.corrections.used(self.axis, windows)


def _window(ends: Ends, axis: SpectralAxis) -> str:
    """Write a window, and how much of it the selection has: a line that is cut is not a line."""
    said = f"{ends[0]:.10g} to {ends[1]:.10g} {axis.unit}"
    low, high = float(axis.values.min()), float(axis.values.max())
    step = (high - low) / max(len(axis.values) - 1, 1)
    if ends[0] > low - step and ends[1] < high + step:
        return said
    there = f"{max(ends[0], low):.10g} to {min(ends[1], high):.10g} {axis.unit}"
    return f"{said}, of which the selection has {there}"


def read_kind(kind: str) -> Kind:
    """Check the kind of a line."""
    if kind not in get_args(Kind):
        raise DatasetError(f"kind = {kind!r}: expected 'absorption' or 'emission'")
    return kind  # type: ignore[return-value]


def read_share(most_of_cadence: object) -> float:
    """Check the share of the cadence above which the span of a scan is warned of."""
    given = most_of_cadence
    if isinstance(given, bool) or not isinstance(given, (int, float)) or not given > 0:
        raise DatasetError(f"most_of_cadence = {given!r}: expected a positive number, such as 0.5")
    return float(given)


def read_line(line: str | u.Quantity, axis: SpectralAxis, name: str = "line") -> u.Quantity:
    """Return the wavelength of a line, by its name or as it is, in the medium of an axis."""
    if isinstance(line, str):
        found = find_line(line)
        if axis.medium is None:
            raise SelectionError(
                f"{name} = {line!r}: whether the wavelengths of this dataset are in air or in "
                'vacuum is not known: ds.meta["wavelength_medium"] = "air" says it, or give the '
                "wavelength of the line, in the medium of the dataset"
            )
        return found.wavelength(axis.medium).to(axis.unit)
    if not isinstance(line, u.Quantity) or line.shape != ():
        raise SelectionError(
            f"{name} = {line!r}: expected the name of a line, or a wavelength such as 630.25 * u.nm"
        )
    try:
        found_at = line.to(axis.unit)
    except u.UnitConversionError:
        raise SelectionError(f"{name} = {line}: expected a length, such as nm") from None
    if not found_at > 0 * axis.unit:  # the ASDF of a simulated dataset may have such ones
        raise SelectionError(f"{name} = {line}: expected a wavelength above 0")
    return found_at


def read_window(
    line: str | u.Quantity | None, window: u.Quantity | None, axis: SpectralAxis
) -> tuple[u.Quantity | None, Ends | None]:
    """Return the wavelength of a line, and the ends of a window; None for all wavelengths."""
    at = None if line is None else read_line(line, axis)
    if window is None:
        if at is None:
            return None, None
        raise SelectionError(
            f"line = {line!r}: say how far the line reaches: window=0.05 * u.nm is half of the "
            "width, and window=[630.2, 630.3] * u.nm two ends"
        )
    axis.window(window, at)  # has some wavelength
    return at, axis.ends(window, at)


def say_window(
    line: str | u.Quantity | None, at: u.Quantity | None, ends: Ends | None, axis: SpectralAxis
) -> dict[str, str]:
    """Write the line and the window for a result's meta."""
    said = {} if line is None or at is None else {"line": say_line(line, at)}
    return {**said, "window": "all wavelengths" if ends is None else _window(ends, axis)}


def say_line(line: str | u.Quantity, at: u.Quantity) -> str:
    """Write a line for a result's meta: its name, if it was given by that, and its wavelength."""
    value = f"{at.value:.10g} {at.unit}"
    return f"{line}, {value}" if isinstance(line, str) else value


def read_continuum(given: Any, ds: Any, axis: SpectralAxis) -> tuple[Continuum | None, Any]:
    """Return how to find the continuum, or None and the level that was given.

    Parameters
    ----------
    given : None, number, Quantity, dict, Dataset or array
        None for percentile 95 of all wavelengths; a number for another percentile; a Quantity of
        wavelengths for the mean of a window, ``[a, b]``, or of several; a dict of what
        ``ds.spectral.continuum`` takes; a dataset, or a Quantity in the unit of the pixels, for a
        level of each spectrum.
    ds : Dataset
    axis : SpectralAxis
    """
    if given is None:
        return Continuum(), None
    if isinstance(given, dict):
        check_keywords("continuum", given, ("windows", "percentile", "degree"))
        return make_continuum(axis, **given), None
    if isinstance(given, Real) and not isinstance(given, bool):
        return make_continuum(axis, percentile=float(given)), None
    unit = getattr(given, "unit", None)
    if hasattr(given, "pixels"):
        return None, _level(given.to(ds.unit) if unit != ds.unit else given)
    if isinstance(given, u.Quantity):
        if given.unit.is_equivalent(u.nm):
            return make_continuum(axis, windows=given), None
        try:
            return None, given.to_value(ds.unit or u.one)
        except u.UnitConversionError:
            raise DatasetError(
                f"continuum in {given.unit}: expected wavelengths, or a level in {ds.unit}"
            ) from None
    raise DatasetError(
        f"continuum = {given!r}: expected a percentile, windows such as [630.0, 630.1] * u.nm, a "
        "dict of what ds.spectral.continuum takes, or a level: a dataset or a Quantity"
    )


def _level(ds: Any) -> Any:
    from dkist_virtual.cube.computed_array import compute

    mask = ds._masked
    if mask is None or mask is False:
        return ds.pixels
    return compute(_fill_nan, [ds.pixels, mask], [None, None])[0]


def _fill_nan(pixels: Any, mask: Any) -> Any:
    return np.where(mask, np.nan, pixels)


def make_continuum(
    axis: SpectralAxis,
    *,
    windows: u.Quantity | None = None,
    percentile: float | None = None,
    degree: int | None = None,
) -> Continuum:
    """Make a `Continuum` of keywords; see `Spectral.continuum`."""
    ends: list[Ends] = []
    if windows is not None:
        shape = np.shape(windows)
        if not isinstance(windows, u.Quantity) or shape[-1:] != (2,) or len(shape) > 2:
            raise SelectionError(
                f"continuum windows = {windows!r}: expected two ends, as in [630.0, 630.1] * u.nm, "
                "or several pairs of them"
            )
        for pair in windows.reshape(-1, 2):
            axis.window(pair)
            ends.append(axis.ends(pair))
    if percentile is None and degree is None and not ends:
        percentile = 95.0
    try:
        return Continuum(tuple(ends), percentile, degree or 0)
    except ValueError as error:
        raise DatasetError(str(error)) from None


def refuse_state(ds: Any, what: str, names: Sequence[str] = ("uncertainty", "psf")) -> None:
    """Refuse what does not follow, and say how to leave it behind."""
    for name, word, reason in _LEFT:
        if name in names and getattr(ds, name) is not None:
            raise DatasetError(
                f"{what}: the {word} of this dataset does not follow, as {reason}. "
                f"ds.{name} = None leaves it behind"
            )


_LEFT: Final = (
    ("uncertainty", "uncertainty", "a continuum and a window are chosen by the same pixels"),
    ("psf", "point spread function", "its pixels are those of before"),
)


def refuse_stokes(ds: Any) -> None:
    """Refuse Stokes parameters other than the intensity: their lines have no depth."""
    from dkist_virtual.cube.world_axes import World

    found = World(ds.wcs, ds.shape).stokes()
    if found is not None and found[1] != ("I",):
        raise SelectionError(
            f"spectral: this selection has Stokes {', '.join(found[1])}, and depth and continuum "
            'are of the intensity: select it, as in ds.at(stokes="I").spectral'
        )

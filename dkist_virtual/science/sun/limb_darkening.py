"""Say how bright the Sun's continuum is at a mu, in units of the centre of the disk.

The laws describe the continuum of the quiet Sun. They do not hold within lines: most lines are
darkened less towards the limb, and the cores of chromospheric ones may brighten.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from dkist_virtual.errors import DatasetError
from dkist_virtual.science.spectra.lines import find_line

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = ["CHROMOSPHERIC", "LAWS", "Law", "check_wavelengths", "intensity"]

_HALF_WIDTHS: Final = {
    "Ca II K": 0.8, "Ca II H": 0.8, "H beta": 0.15, "Mg I b4": 0.06, "Mg I b2": 0.08,
    "Mg I b1": 0.08, "He I D3": 0.05, "Na I D2": 0.06, "Na I D1": 0.05, "H alpha": 0.15,
    "Ca II 849.8": 0.12, "Ca II 854.2": 0.15, "Ca II 866.2": 0.15, "He I 1083": 0.15,
}  # fmt: skip

CHROMOSPHERIC: Final = {name: (find_line(name).air, half) for name, half in _HALF_WIDTHS.items()}
"""Lines that are formed in the chromosphere: wavelength in air, and half of the width of the window
that is refused, in nm. The widths are a choice of this package: they contain the cores."""

_AIR: Final = 1.00029
"""Wavelengths in vacuum are at most so much longer: windows reach from one to the other."""

# The numbers of both laws were compared with those in red_neckel_coefficients.pro of sstred, the
# pipeline of the Swedish Solar Telescope, and with each other: of all, the coefficients must add up
# to 1 at the centre of the disk, which two numbers of sstred contradict.

# Neckel (2005), for wavelengths in micrometres: from, to, and of the
# coefficients of mu**0, mu**2 to mu**5 the constant parts, that of 1/wavelength in mu**0, and those
# of 1/wavelength**5 in mu**2 to mu**5. The coefficient of mu follows, as all add up to 1 at mu = 1.
_NECKEL_2005: Final = (
    (0.30000, 0.37298, (0.35601, -0.67237, 0.18696, 0.00038, 0.01373), -0.085217,
     (0.003589, -0.002415, 0.000897, -0.000200)),
    (0.38500, 0.42257, (0.09900, -2.80511, 3.32780, -2.17878, 0.58825), 0.010643,
     (0.024873, -0.029317, 0.018273, -0.004663)),
    (0.42257, 1.10000, (0.75267, -1.89287, 2.42234, -1.71150, 0.49062), -0.265577,
     (0.012582, -0.017117, 0.011977, -0.003347)),
)  # fmt: skip

# Neckel and Labs (1994), table 1: the wavelength in nm, and the coefficients
# of mu**0 to mu**5. Shorter wavelengths, beyond the Balmer jump, are left out.
_NECKEL_LABS_1994: Final = np.array([
    (390.915, 0.12995, 0.91836, -0.07566, 0.19149, -0.28712, 0.12298),
    (401.970, 0.12323, 1.08648, -0.43974, 0.45912, -0.32759, 0.09850),
    (416.319, 0.12814, 1.19947, -0.84407, 1.07201, -0.79537, 0.23982),
    (427.930, 0.14249, 1.28796, -1.19564, 1.68603, -1.36658, 0.44572),
    (443.885, 0.16220, 1.24893, -0.92165, 0.89978, -0.50148, 0.11220),
    (445.125, 0.15248, 1.38517, -1.49615, 1.99886, -1.48155, 0.44119),
    (457.345, 0.16604, 1.38544, -1.52275, 2.00232, -1.45969, 0.42864),
    (477.427, 0.19571, 1.30551, -1.25845, 1.50626, -1.05472, 0.30570),
    (492.905, 0.20924, 1.30798, -1.20411, 1.21505, -0.67196, 0.14381),
    (519.930, 0.23695, 1.29927, -1.28034, 1.37760, -0.85054, 0.21706),
    (541.760, 0.26073, 1.27428, -1.30352, 1.47085, -0.96618, 0.26384),
    (559.950, 0.26892, 1.34319, -1.58427, 1.91271, -1.31350, 0.37295),
    (579.880, 0.28392, 1.36896, -1.75998, 2.22154, -1.56074, 0.44630),
    (610.975, 0.30854, 1.36620, -1.83572, 2.33221, -1.63082, 0.45959),
    (640.970, 0.33644, 1.30590, -1.79238, 2.45040, -1.89979, 0.59943),
    (669.400, 0.34685, 1.37539, -2.04425, 2.70493, -1.94290, 0.55999),
    (700.875, 0.37885, 1.25553, -1.70908, 2.19647, -1.59554, 0.47378),
    (748.710, 0.40627, 1.22842, -1.67877, 2.05535, -1.39972, 0.38845),
    (811.760, 0.42977, 1.25182, -1.85164, 2.31949, -1.59101, 0.44155),
    (869.600, 0.45396, 1.25101, -2.02958, 2.75410, -2.02287, 0.59338),
    (948.850, 0.47855, 1.19813, -1.86296, 2.36939, -1.64367, 0.46056),
    (1046.60, 0.49870, 1.21429, -2.06976, 2.80703, -2.05247, 0.60221),
    (1098.95, 0.51149, 1.19354, -2.00174, 2.66936, -1.94981, 0.57715),
])  # fmt: skip


@dataclass(frozen=True)
class Law:
    """A published law of limb darkening.

    Parameters
    ----------
    name : str
    source : str
    coefficients : callable
        From wavelengths in nm to those of mu**0 to mu**5, along a new first axis; NaN where the law
        has none.
    ranges : tuple of (float, float)
        The wavelengths that it holds for, in nm.
    """

    name: str
    source: str
    coefficients: Callable[[NDArray[np.float64]], NDArray[np.float64]]
    ranges: tuple[tuple[float, float], ...]


def _neckel_2005(wavelengths: NDArray[np.float64]) -> NDArray[np.float64]:
    micrometres = wavelengths / 1e3
    found = np.full((6, *wavelengths.shape), np.nan)
    for begin, end, constant, inverse, fifth in _NECKEL_2005:
        inside = (micrometres >= begin) & (micrometres <= end)
        x = micrometres[inside]
        found[0, inside] = constant[0] + inverse / x
        for power, (value, slope) in enumerate(zip(constant[1:], fifth, strict=True), start=2):
            found[power, inside] = value + slope / x**5
        found[1, inside] = 1 - found[0, inside] - found[2:, inside].sum(axis=0)
    return found


def _neckel_labs_1994(wavelengths: NDArray[np.float64]) -> NDArray[np.float64]:
    at, *columns = _NECKEL_LABS_1994.T
    inside = (wavelengths >= at[0]) & (wavelengths <= at[-1])
    between = [np.where(inside, np.interp(wavelengths, at, one), np.nan) for one in columns]
    return np.stack(between)


LAWS: Final = {
    law.name: law
    for law in (
        Law(
            "neckel 2005",
            "Neckel 2005: polynomials of the fifth degree in mu whose "
            "coefficients are functions of the wavelength",
            _neckel_2005,
            ((300.0, 372.98), (385.0, 1100.0)),
        ),
        Law(
            "neckel labs 1994",
            "Neckel and Labs 1994, table 1: polynomials of the fifth degree "
            "in mu at 23 of its wavelengths, interpolated linearly between them",
            _neckel_labs_1994,
            ((float(_NECKEL_LABS_1994[0, 0]), float(_NECKEL_LABS_1994[-1, 0])),),
        ),
    )
}
"""The laws, by name."""


def check_wavelengths(wavelengths: ArrayLike, law: Law) -> None:
    """Refuse wavelengths, in nm, in a chromospheric line, or that a law does not hold for.

    Raises
    ------
    DatasetError
    """
    values = np.atleast_1d(np.asarray(wavelengths, float))
    for name, (centre, half) in CHROMOSPHERIC.items():
        inside = (values >= centre - half) & (values <= centre * _AIR + half)
        if inside.any():
            raise DatasetError(
                f"limb_darkening: {values[inside][0]:.3f} nm is in {name}, which is formed in the "
                f"chromosphere, where no law for the continuum holds: within {half} nm of "
                f"{centre:.3f} nm. wavelength= takes one of a continuum, ds.crop leaves the line "
                "out"
            )
    known = np.zeros(values.shape, bool)
    for begin, end in law.ranges:
        known |= (values >= begin) & (values <= end)
    if not known.all():
        said = ", ".join(f"{begin:.6g} to {end:.6g}" for begin, end in law.ranges)
        raise DatasetError(
            f"limb_darkening: {law.name!r} has no coefficients at {values[~known][0]:.3f} nm, "
            f"only for {said} nm"
        )


def intensity(mu: Any, wavelengths: Any, *, law: str) -> NDArray[np.float64]:
    """Compute I(mu) / I(1) of the continuum; NaN where mu is.

    Parameters
    ----------
    mu : array
    wavelengths : array
        In nm, of a shape that broadcasts to that of `mu`.
    law : str
        One of `LAWS`, which say their source.
    """
    mu = np.asarray(mu, float)
    coefficients = LAWS[law].coefficients(np.asarray(wavelengths, float))
    found: NDArray[np.float64] = coefficients[-1] * np.ones_like(mu)
    for one in coefficients[-2::-1]:
        found = found * mu + one
    return found

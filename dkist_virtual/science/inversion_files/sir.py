"""Format and read the files of SIR and DeSIRe.

The formats are those of SIR's manual (manual/manual.tex of BasilioRuiz/SIR-code, "Description of
the input files"; Ruiz Cobo & del Toro Iniesta 1992, ApJ 398, 375) and of the subroutines of DeSIRe
that read them (BasilioRuiz/DeSIRe: leeuveobsindic.f, leepesos.f, coor in desire.f; Ruiz Cobo et
al. 2022, A&A 660, A37), which takes the same profiles.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

__all__ = [
    "COLUMNS", "NOT_FITTED", "GridLine", "SirLine", "SirModel", "format_coordinates",
    "format_grid", "format_profile", "parse_lines", "parse_model", "parse_profile",
]  # fmt: skip

NOT_FITTED: Final = -10.0
"""What is written for a value that was not observed: values under -1 are left out of the fit."""

COLUMNS: Final = {
    "temperature": (1, "K", 1.0),
    "electron_pressure": (2, "dyn / cm2", 1.0),
    "microturbulence": (3, "km / s", 1e-5),
    "magnetic_field": (4, "G", 1.0),
    "velocity": (5, "km / s", 1e-5),
    "inclination": (6, "deg", 1.0),
    "azimuth": (7, "deg", 1.0),
    "height": (8, "km", 1.0),
    "gas_pressure": (9, "dyn / cm2", 1.0),
    "density": (10, "g / cm3", 1.0),
}
"""The columns of a model after log tau: number, unit, and the factor that gives that unit.

Velocities are written in cm/s, positive for a red shift. The last three are in the order of the
models that come with SIR, and of its idl/read_model.pro; the text of the manual names them in
another one, and the height in cm."""


@dataclass(frozen=True)
class SirLine:
    """A spectral line of an atomic parameter file (LINES).

    Parameters
    ----------
    index : int
        By which profiles and grids name it.
    ion : str
        As in ``FE 1``.
    wavelength : float
        In angstrom, in air.
    text : str
        The whole line of the file.
    """

    index: int
    ion: str
    wavelength: float
    text: str


@dataclass(frozen=True)
class GridLine:
    """The wavelengths at which lines are synthesised: a row of a wavelength grid file.

    Parameters
    ----------
    indices : tuple of int
        The line, and those that are blended with it.
    first, step, last : float
        From its wavelength, in mA.
    """

    indices: tuple[int, ...]
    first: float
    step: float
    last: float


def format_profile(indices: ArrayLike, offsets: ArrayLike, stokes: ArrayLike) -> str:
    """Write a file of profiles (``.per``), or of their weights (``.wht`` of DeSIRe).

    Parameters
    ----------
    indices : array of int, (wavelength,)
        Of the line that each wavelength belongs to. Those of a line follow each other.
    offsets : array, (wavelength,)
        From the laboratory wavelength of that line, in mA.
    stokes : array, (wavelength, 4)
        In units of the quiet Sun's continuum at the centre of the disk; NaN where not observed.
    """
    values = np.asarray(stokes, float)
    values = np.where(np.isfinite(values), values, NOT_FITTED)
    rows = zip(np.asarray(indices).tolist(), np.asarray(offsets, float).tolist(), values.tolist(),
               strict=True)  # fmt: skip
    return "".join(
        f"{index:6d} {offset:12.4f} {i:15.7E} {q:15.7E} {u:15.7E} {v:15.7E}\n"
        for index, offset, (i, q, u, v) in rows
    )


def parse_profile(
    text: str,
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
    """Read the indices, offsets in mA, and Stokes parameters (wavelength, 4) of a profile file.

    Values that are not fitted are NaN.
    """
    table = _numbers(text, 6)
    stokes = table[:, 2:]
    return table[:, 0].astype(np.int64), table[:, 1], np.where(stokes < -1, np.nan, stokes)


def format_grid(lines: Sequence[GridLine]) -> str:
    """Write a wavelength grid file (``.grid``)."""
    head = (
        "IMPORTANT: a) All items must be separated by commas.\n"
        "           b) The first six characters of the last line\n"
        "              in the header (if any) must contain the symbol ---\n\n"
        "Line and blends indices :   Initial lambda     Step       Final lambda\n"
        "(in this order)                  (mA)          (mA)          (mA)\n"
        "----------------------------------------------------------------------\n"
    )
    return head + "".join(
        f"{','.join(map(str, one.indices)):24s}: {one.first:14.4f}, {one.step:12.4f}, "
        f"{one.last:14.4f}\n"
        for one in lines
    )


def format_coordinates(x: float, y: float) -> str:
    """Write DeSIRe's file of coordinates (``.coor``): x and y in solar radii, no velocities."""
    return f"{x:.6f},{y:.6f},0,0\n"


def parse_lines(text: str) -> dict[int, SirLine]:
    """Read an atomic parameter file (LINES): its lines by their index.

    Raises
    ------
    ValueError
        No line of it is ``index=ION stage wavelength ...``.
    """
    pattern = re.compile(r"\s*(\d+)\s*=\s*([A-Za-z]{1,2})\s*(\d)\s+(\d+\.?\d*)\s")
    found = {}
    for line in text.splitlines():
        if match := pattern.match(f"{line} "):
            index = int(match[1])
            ion = f"{match[2].upper()} {match[3]}"
            found[index] = SirLine(index, ion, float(match[4]), line.rstrip())
    if not found:
        raise ValueError("expected lines such as '23=FE 1  6301.5012  1.0  3.654  -0.718 ...'")
    return found


@dataclass(frozen=True, eq=False)
class SirModel:
    """A model atmosphere (``.mod``).

    Parameters
    ----------
    log_tau : array, (depth,)
        The logarithm of the optical depth of the continuum at 500 nm along the line of sight, from
        larger to smaller.
    values : array, (depth, 11)
        The columns of the file.
    macroturbulence : float
        In km/s.
    filling_factor : float
    stray_light : float
        In per cent.
    """

    log_tau: NDArray[np.float64]
    values: NDArray[np.float64]
    macroturbulence: float
    filling_factor: float
    stray_light: float

    def at(self, log_tau: float) -> NDArray[np.float64]:
        """Interpolate the quantities of `COLUMNS` linearly in log tau; NaN outside of the model.

        An azimuth is interpolated along the shorter way.
        """
        depths = self.log_tau[::-1]
        found = np.empty(len(COLUMNS))
        for place, (name, (column, _, factor)) in enumerate(COLUMNS.items()):
            values = self.values[::-1, column]
            if name == "azimuth":
                values = np.unwrap(values, period=180)
            found[place] = factor * np.interp(log_tau, depths, values, left=np.nan, right=np.nan)
        azimuth = list(COLUMNS).index("azimuth")
        found[azimuth] %= 360
        return found


def parse_model(text: str) -> SirModel:
    """Read a model atmosphere.

    Raises
    ------
    ValueError
        It is not one.
    """
    head, _, rest = text.partition("\n")
    numbers = [float(part) for part in head.replace(",", " ").split()]
    if len(numbers) < 3:
        raise ValueError("expected macroturbulence, filling factor and stray light in line 1")
    table = _numbers(rest, 11)
    if len(table) < 2 or not (np.diff(table[:, 0]) < 0).all():
        raise ValueError("expected rows from larger to smaller optical depth")
    return SirModel(table[:, 0], table, *numbers[:3])


def _numbers(text: str, columns: int) -> NDArray[np.float64]:
    """Read a table of numbers, in which Fortran may write D for E."""
    rows = [line.replace("D", "E").replace(",", " ").split() for line in text.splitlines()]
    rows = [row for row in rows if row]
    if not rows or any(len(row) < columns for row in rows):
        raise ValueError(f"expected {columns} columns of numbers")
    return np.array([[float(one) for one in row[:columns]] for row in rows])

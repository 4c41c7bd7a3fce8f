"""Tell which values of the seeing are valid, and choose frames by them.

ATMOS_R0 is Fried's parameter at the start of an exposure, in metres, as the adaptive optics
estimate it. The estimate means nothing where they were not locked, and is still written: the
pipeline removes such cards from Level 1 since 2023, and earlier data have them, with values such as
-100.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import astropy.units as u
import numpy as np
from astropy.table import QTable, Table
from astropy.time import TimeDelta

if TYPE_CHECKING:
    from astropy.time import Time
    from numpy.typing import ArrayLike, NDArray

__all__ = [
    "LARGEST_R0",
    "MOST_OUT_OF_BOUNDS",
    "Seeing",
    "r0_is_valid",
    "read_numbers",
    "read_r0",
    "rms_contrast",
]  # fmt: skip

LARGEST_R0: Final = 0.3
"""Metres: what is larger is beyond what the Sun can be observed with."""

MOST_OUT_OF_BOUNDS: Final = 100
"""Subapertures whose shift is out of bounds, up to which the estimate is reliable."""

_TRUE: Final = {"T", "TRUE", "1"}


def read_numbers(column: Any) -> NDArray[np.float64]:
    """Read a header column of numbers, NaN where a frame has no such card."""
    return np.asarray(np.ma.filled(np.ma.asarray(column).astype(float), np.nan), float)


def _is_locked(cells: ArrayLike | None, n: int) -> NDArray[np.bool_]:
    """Read a column AO_LOCK: True where a frame says so, False where it has no such card.

    Parameters
    ----------
    cells : array of n bools, or of text in a table of mixed types, or None for no column
    n : int
        The number of frames.
    """
    if cells is None:
        return np.zeros(n, bool)
    column: Any = np.ma.asarray(cells)
    if column.dtype.kind in "USO":
        texts = [str(cell).strip().upper() for cell in np.ma.filled(column, "").tolist()]
        return np.array([text in _TRUE for text in texts], bool)
    return np.asarray(np.ma.filled(column == 1, False), bool)


def r0_is_valid(
    r0: ArrayLike, ao_lock: ArrayLike, out_of_bounds: ArrayLike | None = None
) -> NDArray[np.bool_]:
    """Tell which values of r0 the DKIST Data Center takes for valid.

    Those of frames for which the adaptive optics were locked, of at most 0.3 m, with at most 100
    subapertures out of bounds where that is known (``r0_valid`` of the package
    dkist-processing-common, which removes the other cards when it writes Level 1). Values that are
    not positive, such as -100, are not valid either: that function sees none.

    Parameters
    ----------
    r0 : array of float
        In metres, NaN where there is none.
    ao_lock : array of bool
        False where it is not known.
    out_of_bounds : array of float, optional
        OOBSHIFT, NaN where there is none.
    """
    r0 = np.asarray(r0, float)
    with np.errstate(invalid="ignore"):
        valid = (r0 > 0) & (r0 <= LARGEST_R0) & np.asarray(ao_lock, bool)
        if out_of_bounds is not None:
            valid &= ~(np.asarray(out_of_bounds, float) > MOST_OUT_OF_BOUNDS)
    return np.asarray(valid, bool)


def read_r0(table: Table) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Read r0 in metres from a header table, NaN where it is not valid, and where AO was locked.

    Columns that the table lacks are cards that no frame has.
    """
    n = len(table)
    found = {
        name: read_numbers(table[name]) if name in table.colnames else np.full(n, np.nan)
        for name in ("ATMOS_R0", "OOBSHIFT")
    }
    locked = _is_locked(table["AO_LOCK"] if "AO_LOCK" in table.colnames else None, n)
    r0 = found["ATMOS_R0"]
    return np.where(r0_is_valid(r0, locked, found["OOBSHIFT"]), r0, np.nan), locked


@dataclass(frozen=True, eq=False, kw_only=True)
class Seeing:
    """The seeing of frames, in the order of the rows of their headers.

    Parameters
    ----------
    time : astropy.time.Time
        DATE-AVG of each frame, masked where there is none.
    r0 : Quantity
        Fried's parameter, ATMOS_R0, in cm; NaN where it is not `valid`.
    valid : array of bool
        By the rule of the Data Center: see `r0_is_valid`.
    ao_lock : array of bool
        AO_LOCK: whether the adaptive optics were locked during the whole exposure. False where the
        frame does not say.
    light_level : array of float
        LIGHTLVL, NaN where there is none.
    step : array of int
        The same number for frames that are the Stokes parameters of one step.
    """

    time: Time
    r0: u.Quantity
    valid: NDArray[np.bool_]
    ao_lock: NDArray[np.bool_]
    light_level: NDArray[np.float64]
    step: NDArray[np.int64]

    def __post_init__(self) -> None:
        lengths = {len(getattr(self, name)) for name in ("valid", "ao_lock", "light_level", "step")}
        if lengths != {len(self.r0)} or len(self.time) != len(self.r0):
            raise ValueError("Seeing: expected one value of each kind for each frame")
        for name in ("valid", "ao_lock", "light_level", "step"):
            getattr(self, name).flags.writeable = False

    def __len__(self) -> int:
        return len(self.valid)

    def good(self, r0: u.Quantity | None = None) -> NDArray[np.bool_]:
        """Tell which frames are of good seeing, all Stokes parameters of a step alike.

        A step is good if every one of its frames is valid, and has at least this r0. Frames
        without a valid r0 are never good.

        Parameters
        ----------
        r0 : Quantity, optional
            The least Fried's parameter, such as ``8 * u.cm``; by default any valid one.

        Returns
        -------
        array of bool
            One for each frame: ``ds.files[good]`` and ``ds.headers[good]`` take it.
        """
        fine = self.valid.copy()
        if r0 is not None:
            if not isinstance(r0, u.Quantity) or not r0.isscalar:
                raise TypeError(f"good(r0={r0!r}): expected one length with a unit, as 8 * u.cm")
            fine &= np.nan_to_num(self.r0.to_value("cm"), nan=-1.0) >= r0.to_value("cm")
        _, steps = np.unique(self.step, return_inverse=True)
        bad = np.zeros(int(steps.max(initial=-1)) + 1, bool)
        np.logical_or.at(bad, steps, ~fine)
        return np.asarray(~bad[steps], bool)

    def by_step(self) -> Seeing:
        """Return it with one value for each step, in time: r0 is the least of its frames.

        A step is valid, and locked, if all of its frames are; time and light level are means.
        """
        _, first, steps = np.unique(self.step, return_index=True, return_inverse=True)
        n = len(first)
        count = np.bincount(steps, minlength=n)

        def mean(values: Any) -> Any:
            return np.bincount(steps, np.asarray(values, float), n) / count

        r0 = np.full(n, np.inf)
        np.minimum.at(r0, steps, np.nan_to_num(self.r0.to_value("cm"), nan=np.inf))
        since = (self.time - self.time[first][steps]).to_value("s")
        valid, locked = mean(self.valid) == 1, mean(self.ao_lock) == 1
        return Seeing(
            time=self.time[first] + TimeDelta(mean(np.ma.filled(since, 0.0)), format="sec"),
            r0=u.Quantity(np.where(valid, r0, np.nan), "cm"), valid=valid, ao_lock=locked,
            light_level=mean(self.light_level), step=self.step[first],
        )  # fmt: skip

    def table(self) -> QTable:
        """Return it as a table with a row for each frame."""
        return QTable(
            {
                "time": self.time, "r0": self.r0, "valid": self.valid, "AO_LOCK": self.ao_lock,
                "LIGHTLVL": self.light_level, "step": self.step,
            }
        )  # fmt: skip

    def __str__(self) -> str:
        said = f"Seeing of {len(self)} frames: r0 is valid in {int(self.valid.sum())}"
        if self.valid.any():
            low, middle, high = np.nanpercentile(self.r0.to_value("cm"), (0, 50, 100))
            said += f", {low:.1f} to {high:.1f} cm, median {middle:.1f} cm"
        return f"{said}; AO locked in {int(self.ao_lock.sum())}"

    __repr__ = __str__


def rms_contrast(pixels: ArrayLike, average: Sequence[int] = ()) -> float:
    """Compute the contrast of an image: standard deviation over mean, of what is not NaN.

    Parameters
    ----------
    pixels : array
    average : sequence of int
        The axes over which it is averaged first, such as wavelength: lines are not structure on
        the Sun.
    """
    image: Any = np.asarray(pixels, float)
    finite = np.isfinite(image)
    if average:
        number = finite.sum(tuple(average))
        with np.errstate(invalid="ignore"):
            image = np.where(finite, image, 0).sum(tuple(average)) / number
        finite = number > 0
    known = image[finite]
    mean = float(known.mean()) if known.size else 0.0
    return float(known.std() / mean) if mean else float("nan")

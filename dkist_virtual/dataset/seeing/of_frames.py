"""Read the seeing of frames from their headers, and mask frames by it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import astropy.units as u
import numpy as np
from astropy.time import Time

from dkist_virtual.errors import DatasetError
from dkist_virtual.science.seeing import Seeing, read_numbers, read_r0, rms_contrast
from dkist_virtual.times import dates_of_texts

if TYPE_CHECKING:
    from astropy.table import Table
    from numpy.typing import NDArray

    from dkist_virtual.dataset.arithmetic import LazyCube

__all__ = ["FrameSeeing", "seeing_of"]


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class FrameSeeing(Seeing):
    """The seeing of the frames of a dataset, or of the tiles of a mosaic.

    Parameters
    ----------
    cubes : tuple of Dataset
        Whose frames they are, one after the other.
    whole : Dataset or TiledDataset
        That dataset, or the mosaic.
    """

    cubes: tuple[LazyCube, ...]
    whole: Any

    def mask_others(self, r0: u.Quantity | None = None) -> Any:
        """Mask the frames that are not good: those of good seeing stay; reads nothing.

        Frames of good seeing form no rectangle in general, so the result has the shape, the
        coordinates and the headers of the whole, and its `mask` is True for the other frames.

        Parameters
        ----------
        r0 : Quantity, optional
            As `good` takes it.

        Returns
        -------
        Dataset or TiledDataset

        Examples
        --------
        >>> ds.seeing.mask_others(r0=8 * u.cm).plot()  # doctest: +SKIP
        """
        good, first, masked = self.good(r0), 0, []
        for cube in self.cubes:
            shape = _frame_shape(cube)
            n = math.prod(shape)
            along = shape + (1,) * (len(cube.shape) - len(shape))
            masked.append(_with_mask(cube, ~good[first : first + n].reshape(along)))
            first += n
        return self.whole._of_masked(masked)

    def contrast(self) -> NDArray[np.float64]:
        """Read the frames of Stokes I, and compute the contrast of each; one frame at a time.

        It is the standard deviation over the mean of a frame's pixels; of a spectrograph's along
        its slit, of the mean over the wavelengths.

        Returns
        -------
        array of float64
            One for each frame: those of the other Stokes parameters have that of their step.
        """
        from dkist_virtual.cube.world_axes import World

        values: list[float] = []
        for cube in self.cubes:
            shape = _frame_shape(cube)
            axis = World(cube.wcs, cube.shape).of_kind("wavelength")
            inside = [] if axis is None else [a - len(shape) for a in axis.array_axes]
            average = [a for a in inside if a >= 0]
            intensity = _is_intensity(cube)
            for index, is_i in zip(np.ndindex(shape), intensity.tolist(), strict=True):
                frame = cube[index] if index else cube
                values.append(rms_contrast(frame.to_numpy(), average) if is_i else math.nan)
        found = np.array(values)
        steps: NDArray[np.int64] = np.unique(self.step, return_inverse=True)[1]
        of_step = np.full(int(steps.max(initial=-1)) + 1, np.nan)
        known = np.isfinite(found)
        of_step[steps[known]] = found[known]
        return of_step[steps]


def _with_mask(cube: LazyCube, bad: NDArray[np.bool_]) -> LazyCube:
    """Copy a dataset, with more of its pixels masked."""
    import copy

    import dask.array as da

    made, mask = copy.copy(cube), cube.mask
    if mask is None or isinstance(mask, bool):
        made.mask = np.logical_or(bad, bool(mask))
    else:  # lazily: it may be as large as the pixels
        made.mask = da.logical_or(da.asarray(mask), bad)
    return made


def _frame_shape(cube: LazyCube) -> tuple[int, ...]:
    assert cube.provenance is not None
    return cube.provenance.array.frame_shape


def _is_intensity(cube: LazyCube) -> NDArray[np.bool_]:
    """Return which frames are of Stokes I, as all are where no parameter is stated."""
    from dkist_virtual.cube.world_axes import World

    shape = _frame_shape(cube)
    axis, letters = World(cube.wcs, cube.shape).stokes() or (None, ("I",))
    along = [-1 if n == axis else 1 for n in range(len(shape))]
    return np.broadcast_to((np.array(letters) == "I").reshape(along), shape).ravel()


def _steps(cube: LazyCube) -> NDArray[np.int64]:
    """Number the frames, those that differ in their Stokes parameter alone alike."""
    from dkist_virtual.cube.world_axes import World

    shape = _frame_shape(cube)
    axis, _ = World(cube.wcs, cube.shape).stokes() or (None, ())
    rest = [1 if a == axis else n for a, n in enumerate(shape)]
    numbers = np.arange(math.prod(rest)).reshape(rest)
    return np.broadcast_to(numbers, shape).ravel()


def _numbers(table: Table, keyword: str) -> NDArray[np.float64]:
    """Read a column of numbers, NaN where a frame has no such card."""
    if keyword not in table.colnames:
        return np.full(len(table), np.nan)
    return read_numbers(table[keyword])


def _times(table: Table) -> Time:
    """Read when the frames were taken."""
    for keyword in ("DATE-AVG", "DATE-BEG"):
        if keyword in table.colnames:
            dates = dates_of_texts(np.ma.asarray(table[keyword]).tolist(), keyword)
            if dates is not None:
                break
    else:
        raise DatasetError(
            "seeing: the headers do not say when frames were taken: expected a column DATE-AVG or "
            "DATE-BEG. ds.headers['DATE-AVG'] = dates adds one"
        )
    gone = np.isnat(dates)
    known = np.where(gone, dates[~gone][:1], dates)
    return Time(np.ma.masked_array(known, gone), format="datetime64")


def seeing_of(cubes: Sequence[LazyCube], whole: Any) -> FrameSeeing:
    """Read the seeing of the frames of datasets, one after the other, from their headers.

    Raises
    ------
    DatasetError
        A dataset whose pixels are not those of frames, or whose headers have no dates.
    """
    parts: list[tuple[Any, ...]] = []
    first = 0
    for cube in cubes:
        table = None if cube.provenance is None else cube.headers
        if table is None or not len(table.colnames):
            raise DatasetError(
                "seeing: this dataset has no headers, where the seeing is. A dataset whose pixels "
                "are of several frames each has none: take the seeing of the dataset that it was "
                "made of. Nor has one whose ASDF has headers of other frames, as opening it warns"
            )
        r0, locked = read_r0(table)
        steps = _steps(cube) + first
        first = int(steps.max()) + 1
        parts.append((_times(table), r0, locked, _numbers(table, "LIGHTLVL"), steps))
    times, r0s, locks, lights, numbers = zip(*parts, strict=True)
    r0 = np.concatenate(r0s)
    time = times[0] if len(times) == 1 else Time(np.concatenate(times))
    return FrameSeeing(
        time=time,
        r0=u.Quantity(r0 * 100, "cm"),
        valid=np.isfinite(r0),
        ao_lock=np.concatenate(locks),
        light_level=np.concatenate(lights),
        step=np.concatenate(numbers),
        cubes=tuple(cubes),
        whole=whole,
    )

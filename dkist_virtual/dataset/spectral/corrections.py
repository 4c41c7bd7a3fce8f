"""Read what corrects spectra: an offset of the wavelengths, and the brightness during a scan."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import astropy.units as u
import numpy as np

from dkist_virtual.cube.world_axes import World
from dkist_virtual.errors import DatasetError
from dkist_virtual.science.spectra.brightness import brightness_of_scans, brightness_of_times

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from dkist_virtual.plot.planes import Subject
    from dkist_virtual.science.spectra.axis import SpectralAxis
    from dkist_virtual.science.spectra.samples import Ends

__all__ = ["Corrections", "read_offset", "with_offset"]


@dataclass(frozen=True, eq=False)
class Corrections:
    """What corrects the spectra of a dataset.

    Parameters
    ----------
    offset : array or None
        Added to the wavelengths of each spectrum, in the unit of the axis.
    offsets : (float, float)
        The least and the greatest of these.
    factor : numpy.ndarray or None
        By which the pixels are divided, of a shape that broadcasts to the dataset's.
    said : dict
        Of this in words.
    """

    offset: Any = None
    offsets: tuple[float, float] = (0.0, 0.0)
    factor: NDArray[np.float64] | None = None
    said: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, ds: Any, axis: SpectralAxis, offset: Any, normalise: Any) -> Corrections:
        """Read the keywords ``wavelength_offset`` and ``normalise``."""
        said: dict[str, Any] = {}
        added, ends = None, (0.0, 0.0)
        if offset is not None:
            added, ends = read_offset(ds, axis, offset)
            said["wavelength_offset"] = (
                f"{ends[0]:.6g} to {ends[1]:.6g} {axis.unit}, added to the wavelengths"
            )
        factor = None
        if normalise is not None:
            factor, said["normalise"] = _factors(ds, axis, normalise)
        return cls(added, ends, factor, said)

    def used(self, axis: SpectralAxis, windows: Iterable[Ends | None]) -> NDArray[np.bool_]:
        """Return which wavelengths, in the order of the array, are in a window of some spectrum.

        None among the windows is for all wavelengths.
        """
        low, high = self.offsets
        found = np.zeros(len(axis.values), bool)
        for one in windows:
            if one is None:
                return np.ones(len(axis.values), bool)
            found |= (axis.values + high >= one[0]) & (axis.values + low <= one[1])
        return found


def read_offset(
    ds: Any, axis: SpectralAxis, offset: Any
) -> tuple[NDArray[np.float64], tuple[float, float]]:
    """Read what is added to the wavelengths of each spectrum, and its least and greatest value.

    Parameters
    ----------
    ds : Dataset
    axis : SpectralAxis
    offset : Quantity or Dataset
        A length, of a shape that broadcasts to `ds` without `axis`: one value, a map, or one value
        for each pixel along the last axis, as that of the slit is. A map is read here.
    """
    shape = tuple(n for k, n in enumerate(ds.shape) if k != axis.array_axis)
    unit = getattr(offset, "unit", None)
    if unit is None or not u.Unit(unit).is_equivalent(axis.unit):
        raise DatasetError(
            f"wavelength_offset: expected a length, such as 2 * u.pm, or a map of lengths, found "
            f"{f'one in {unit}' if unit is not None else repr(offset)}"
        )
    plain = offset.to_numpy() if hasattr(offset, "to_numpy") else offset.value
    values = np.asarray(plain, float) * u.Unit(unit).to(axis.unit)
    try:
        np.broadcast_to(np.empty(values.shape, bool), shape)
    except ValueError:
        raise DatasetError(
            f"wavelength_offset: expected a shape that broadcasts to {shape}, one value for each "
            f"spectrum, found {values.shape}"
        ) from None
    if not np.isfinite(values).any():
        raise DatasetError("wavelength_offset: no value of it is a number")
    values = values.reshape((1,) * (len(shape) - values.ndim) + values.shape)
    return values, (float(np.nanmin(values)), float(np.nanmax(values)))


def with_offset(ds: Any, subject: Subject, offset: Any) -> Subject:
    """Make the subject of a plot whose wavelengths have an offset at each pixel."""
    from dkist_virtual.cube.spectral.offset_world import OffsetWorld
    from dkist_virtual.science.spectra.axis import SpectralAxis

    axis = SpectralAxis.of(ds)
    values, _ = read_offset(ds, axis, offset)
    shown = World(ds.wcs, ds.shape).of_kind("wavelength")
    factor = 1.0 if shown is None else float(axis.unit.to(shown.unit or axis.unit))
    return replace(subject, world=OffsetWorld(ds.wcs, ds.shape, axis.array_axis, values * factor))


def _factors(ds: Any, axis: SpectralAxis, normalise: Any) -> tuple[NDArray[np.float64], str]:
    """Return what the pixels are divided by, so that a scan is as if it were at one time."""
    if isinstance(normalise, str) and normalise == "broadband":
        raise DatasetError(
            'normalise="broadband": the frames of a VTF dataset are of one channel, which VTFOUTCH '
            "names, and none of them is a broadband one: give the dataset of the broadband frames, "
            'normalise=broadband, or "frame mean"'
        )
    if isinstance(normalise, str) and normalise != "frame mean":
        raise DatasetError(
            f"normalise = {normalise!r}: expected 'frame mean', or a dataset of broadband frames"
        )
    times, on = _times(ds)
    if axis.array_axis not in on:
        raise DatasetError(
            "normalise: all points of a spectrum of this dataset are at one time, and there is "
            "nothing to correct: normalise= is for scans, as those of VTF"
        )
    full = [ds.shape[k] if k in on else 1 for k in range(len(ds.shape))]
    if isinstance(normalise, str):
        means = _frame_means(ds, on)
        if means.size == ds.shape[axis.array_axis]:
            raise DatasetError(
                'normalise="frame mean": this selection has one scan, of which the brightness '
                "cannot be told from the line: select several scans, or give the dataset of the "
                "broadband frames"
            )
        along = on.index(axis.array_axis)
        found = brightness_of_scans(
            np.moveaxis(means, along, -1).reshape(-1, means.shape[along]),
            np.moveaxis(times, along, -1).reshape(-1, means.shape[along]),
        )
        moved = [n for k, n in enumerate(means.shape) if k != along] + [means.shape[along]]
        return np.moveaxis(found.reshape(moved), -1, along).reshape(full), "frame mean"
    if not hasattr(normalise, "wcs"):
        raise DatasetError(
            f"normalise = {normalise!r}: expected 'frame mean', or a dataset of broadband frames"
        )
    theirs, their_axes = _times(normalise)
    world = World(ds.wcs, ds.shape)
    started = World(normalise.wcs, normalise.shape)
    seconds = np.asarray(world.seconds(started.time(theirs.ravel())), np.float64)
    levels = _frame_means(normalise, their_axes).ravel()
    found = brightness_of_times(times, seconds, levels)
    return found.reshape(full), "broadband level of a dataset, interpolated in time"


def _times(ds: Any) -> tuple[NDArray[np.float64], list[int]]:
    """Return the times of the frames, and the axes of the array along which they change."""
    world = World(ds.wcs, ds.shape)
    axis = world.of_kind("time")
    if axis is None or not axis.array_axes:
        raise DatasetError("normalise: expected frames at several times, found one time")
    (values,) = world.along([axis])
    return np.asarray(values, float), list(axis.array_axes)


def _frame_means(ds: Any, on: list[int]) -> NDArray[np.float64]:
    """Read the frames, and compute the mean of each; of integers without a mask too."""
    import dask.array as da

    array = da.asarray(ds.data)
    mask = ds._masked
    if mask is not None and mask is not False:
        array = da.where(da.asarray(ds.mask), np.nan, array)
    others = tuple(k for k in range(len(ds.shape)) if k not in on)
    means = da.nanmean(array.astype(float), axis=others)
    return np.asarray(means.compute(), float)

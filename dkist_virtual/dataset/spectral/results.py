"""Make a dataset of values that were computed along the wavelength: one for each spectrum."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from functools import cached_property
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import astropy.units as u
import numpy as np
from astropy.wcs.wcsapi import BaseHighLevelWCS, HighLevelWCSWrapper
from ndcube import ExtraCoords

from dkist_virtual.cube.spectral.without_wavelength import forget_inside, without_wavelength
from dkist_virtual.cube.world_axes import World
from dkist_virtual.dataset.provenance import Tile
from dkist_virtual.dataset.spectral.quantities import Quantities
from dkist_virtual.errors import DatasetError, DKISTVirtualWarning, SelectionError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from astropy.nddata import NDUncertainty
    from numpy.typing import NDArray

    from dkist_virtual.science.spectra.axis import SpectralAxis

__all__ = ["MOST_OF_CADENCE", "Values", "results_of"]

MOST_OF_CADENCE = 0.5
"""The share of the time between two scans that the points of one may take without a warning.

Points that are used for a value are spread over their span. What changes as fast as the scans
follow each other, as scans are meant to show, changes by as much of that within it."""


@dataclass(frozen=True, eq=False)
class Values:
    """The values of a quantity, one for each spectrum.

    Parameters
    ----------
    pixels : array
        Of numpy, dask or a lazy one, of the shape of the dataset without the axis of wavelengths.
    unit : Unit or str or None
        Of `pixels`.
    what : str
        The quantity in a word or two: for the origin and the meta.
    mask : array or bool, optional
        True for spectra without a value.
    uncertainty : NDUncertainty, optional
        Of `pixels`.
    """

    pixels: Any
    unit: u.UnitBase | str | None
    what: str
    mask: Any = None
    uncertainty: NDUncertainty | None = None


def results_of(
    ds: Any,
    axis: SpectralAxis,
    values: Mapping[str, Values],
    *,
    meta: Mapping[str, Any],
    used: NDArray[np.bool_] | None = None,
    most: float = MOST_OF_CADENCE,
) -> Quantities:
    """Make the datasets of quantities that were computed together along the wavelength.

    Their WCS has no wavelength, and is made once; their axes are those of `ds` without that of the
    wavelength. Where a frame has whole spectra, the rows of the headers stay those of its pixels;
    where several frames make one value, there are none. The time is that of the frames, or the mean
    over the points that were used.

    Parameters
    ----------
    ds : Dataset
    axis : SpectralAxis
        Of `ds`.
    values : mapping of str to Values
        By the names of the quantities.
    meta : dict
        Of text and numbers: how they were computed. It is ``meta["result"]``.
    used : numpy.ndarray, optional
        Which points along the axis were used, bool of shape (n,); by default all.
    most : float
        The share of the cadence above which the span of the points is warned of.
    """
    what = next(iter(values.values())).what
    if len(ds.shape) < 2:
        raise SelectionError(
            f"{what}: a single spectrum gives a single value, which has no WCS: keep an axis of "
            "one pixel, as in ds[3:4, :, 500]"
        )
    on = axis.array_axis
    points = np.flatnonzero(np.ones(len(axis.values), bool) if used is None else used)
    middle = int(points[len(points) // 2])
    index = tuple(middle if n == on else slice(None) for n in range(len(ds.shape)))
    shape = tuple(n for k, n in enumerate(ds.shape) if k != on)
    for one in values.values():
        if (found := tuple(np.shape(one.pixels))) != shape:
            raise DatasetError(f"{one.what}: expected pixels of shape {shape}, found {found}")
    origin = ds.provenance
    scanned = _ScanTimes.of(ds, on, points)
    frames = None
    in_frames = origin is not None and on < len(origin.array.frame_shape)
    if origin is not None and not in_frames and scanned is None:
        whole = origin.select(index)
        tile = _TileWithoutWavelength.of(origin.tile)
        frames = None if tile is None else replace(whole, tile=tile)
    from dkist_virtual.cube.sliced_wcs import UnslicedWCS

    wcs: Any
    if frames is not None:
        wcs = UnslicedWCS(frames.tile, frames.cut)
    else:
        times = None if scanned is None else scanned.means
        wcs = without_wavelength(ds.wcs, ds.shape, on, middle, times)
    said = {"quantity": what, **meta}
    if scanned is not None:
        said |= scanned.said()
        scanned.warn(what, most)
    made: dict[str, Any] = {}
    first = None
    for name, one in values.items():
        given: dict[str, Any] = {
            "unit": None if one.unit is None else u.Unit(one.unit), "mask": one.mask,
            "uncertainty": one.uncertainty,
        }  # fmt: skip
        if first is None:
            first = made[name] = _made(ds, one.pixels, wcs, frames, index, **given)
        else:
            made[name] = first._new_instance(data=one.pixels, **given)
        made[name].meta["result"] = {**said, "quantity": one.what}
    return Quantities(made)


def _made(ds: Any, pixels: Any, wcs: Any, frames: Any, index: Any, **given: Any) -> Any:
    own = ds.meta
    if frames is None and ds.provenance is not None:
        own = own.without_headers()
    made = type(ds)(pixels, wcs=wcs, provenance=frames, meta=_copied(own, frames), **given)
    if made._headers is not None:
        made._headers.copy_rows(ds._headers)
    made._opened_with, made._alignment = ds._opened_with, ds._alignment
    _coordinates(made, ds, index)
    if frames is None:
        made._past = f"spectra of {ds.lineage.source}"
    made._columns = ds._columns
    return made


def _copied(meta: Any, frames: Any) -> Any:
    from dkist_virtual.dataset.provenance import Meta

    if isinstance(meta, Meta) and frames is not None:
        return meta.shared()
    return dict(meta.items()) if not isinstance(meta, Meta) else meta.without_headers()


def _coordinates(made: Any, ds: Any, index: Any) -> None:
    """Copy the coordinates that the user added, but those that change along the wavelength."""
    on = next(n for n, entry in enumerate(index) if not isinstance(entry, slice))
    coords = ds.extra_coords  # by ndcube's private names: it has no public ones for its tables
    own = ExtraCoords()
    own._wcs, own._mapping = coords._wcs, coords._mapping
    own._dropped_tables = list(coords._dropped_tables)
    left: list[str] = []
    for along, table in coords._lookup_tables:
        if on in np.atleast_1d(along):
            left += map(str, np.atleast_1d(table.names))
        else:
            own._lookup_tables.append((along, table))
    made._coordinates_from(SimpleNamespace(global_coords=ds.global_coords, extra_coords=own), index)
    if left:
        warnings.warn(
            f"spectral: extra coordinates along the wavelength are left behind: {', '.join(left)}",
            DKISTVirtualWarning,
            stacklevel=7,
        )


@dataclass(frozen=True, eq=False)
class _TileWithoutWavelength(Tile):
    """An array of a store whose WCS has no wavelength, though the axis is still there."""

    @classmethod
    def of(cls, tile: Tile) -> Tile | None:
        """Make it of another one; None where the axis cannot stay."""
        if forget_inside(tile.unshifted.low_level_wcs) is None:
            return None
        return cls(
            tile.description, tile.number, tile.shape, tile.corrected, tile.added_meta,
            tile.added_keywords, tile.applied,
        )  # fmt: skip

    @cached_property
    def unshifted(self) -> BaseHighLevelWCS:
        """The WCS without its wavelength."""
        made = forget_inside(super().unshifted.low_level_wcs)
        return made if isinstance(made, BaseHighLevelWCS) else HighLevelWCSWrapper(made)


class _ScanTimes:
    """When the points of scans were taken."""

    def __init__(self, on: int, values: NDArray[Any], seconds: float) -> None:
        self.on, self.values, self.seconds = on, values, seconds
        self.means = values.mean(axis=on, keepdims=True)

    @classmethod
    def of(cls, ds: Any, on: int, points: NDArray[Any]) -> _ScanTimes | None:
        """Read the times of the points; None where all along the wavelength is at one time."""
        world = World(ds.wcs, ds.shape)
        time = world.of_kind("time")
        if time is None or on not in time.array_axes:
            return None
        (values,) = world.along([time])
        full = [ds.shape[n] if n in time.array_axes else 1 for n in range(len(ds.shape))]
        values = np.take(values.reshape(full), points, axis=on)
        return cls(on, values, float(u.Unit(time.unit or "s").to(u.s)))

    @property
    def span(self) -> float:
        """The longest time between the first and the last point of a scan, in seconds."""
        spread = self.values.max(axis=self.on) - self.values.min(axis=self.on)
        return float(spread.max()) * self.seconds

    @property
    def cadence(self) -> float | None:
        """The shortest time between two scans, in seconds; None where there is one scan."""
        means = np.unique(self.means)
        return float(np.diff(means).min()) * self.seconds if len(means) > 1 else None

    def said(self) -> dict[str, Any]:
        """Write it for the meta."""
        said: dict[str, Any] = {
            "time": "mean over the points used",
            "time_span_s": self.span,
        }
        if self.cadence is not None:
            said["cadence_s"] = self.cadence
        return said

    def warn(self, what: str, most: float) -> None:
        """Warn where points of a scan are far apart in time."""
        cadence = self.cadence
        if cadence is None or self.span <= most * cadence:
            return
        warnings.warn(
            f"{what}: the points of a scan are up to {self.span:.3g} s apart, which is "
            f"{self.span / cadence:.0%} of the {cadence:.3g} s from one scan to the next: what "
            "changes meanwhile looks like a change of the spectrum. A smaller window takes fewer "
            "points",
            DKISTVirtualWarning,
            stacklevel=6,
        )

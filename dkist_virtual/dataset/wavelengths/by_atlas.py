"""Fit the mean spectrum of a quiet region of a dataset to a solar atlas."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from dkist_virtual.cube.wavelengths.scale import WavelengthScale
from dkist_virtual.cube.wavelengths.scaled_wcs import check_wavelengths
from dkist_virtual.cube.world_axes import World
from dkist_virtual.dataset.spectral.observer import Observer
from dkist_virtual.dataset.wavelengths.geometry import grating_of, resolving_power_of
from dkist_virtual.errors import DatasetError
from dkist_virtual.science.spectra.axis import SpectralAxis

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["scale_by_atlas"]

_WHAT: Final = "calibrate_wavelength"
_RESIDUAL: Final = 0.1


def scale_by_atlas(
    ds: Any,
    quiet: Any,
    *,
    grating: Any,
    order: Any,
    incidence: Any,
    atlas: Any,
    velocity: Any,
    window: Any,
    resolving_power: Any,
    search: Any,
    residual: float | None,
) -> WavelengthScale:
    """Fit the wavelengths of a dataset, see `Dataset.calibrate_wavelength`.

    Raises
    ------
    DatasetError
        The geometry of the grating or the velocity of the observer is not known, the region is not
        one, or the fit is bad.
    """
    import astropy.units as u

    from dkist_virtual.science.spectra.atlas_fit import fit_to_atlas, read_atlas
    from dkist_virtual.science.spectra.medium import air_to_vacuum, vacuum_to_air

    most = _RESIDUAL if residual is None else residual
    if isinstance(most, bool) or not isinstance(most, (int, float)) or not 0 < most < 1:
        raise DatasetError(f"{_WHAT}: residual={residual!r}: expected a share between 0 and 1")
    plain = ds.uncalibrated()
    check_wavelengths(plain.wcs, plain.shape)
    axis = SpectralAxis.of(plain)
    nm = axis.wavelengths.to(u.nm)
    in_air = vacuum_to_air(nm) if axis.medium == "vacuum" else nm
    geometry = grating_of(ds, float(np.median(in_air.value)), grating, order, incidence)
    region = _region(plain, quiet)
    own = _speed("velocity", velocity)
    moved, how = _observer(region)
    used = axis.window(window)
    source = read_atlas(atlas)
    spectrum, n_spectra = _mean(region)
    found = fit_to_atlas(
        spectrum,
        in_air.value,
        geometry,
        velocity=own + moved,
        resolving_power=resolving_power_of(ds, resolving_power),
        atlas=source,
        search=None if search is None else _length("search", search),
        use=used,
        residual=float(most),
    )
    values = u.Quantity(found.wavelengths, u.nm)
    if axis.medium == "vacuum":
        values = air_to_vacuum(values)
    said = found.said
    source_text = (
        f"a fit of the mean of {n_spectra} spectra to an atlas, which leaves "
        f"{said['residual']:.1%} of their variation; {said['moved_km_s']:+.2f} km/s from the WCS"
    )
    return WavelengthScale(
        axis=axis.array_axis, pixels=np.arange(len(nm), dtype=float), values=values.value,
        medium=axis.medium or "air", frame="observer", method="atlas", source=source_text,
        fit={**said, "n_spectra": n_spectra, "observer": how, "region_km_s": own},
    )  # fmt: skip


# The quiet region -------------------------------------------------------------------------------


def _region(ds: Any, quiet: Any) -> Any:
    """Select the quiet region: a dataset, an index, or a box of two corners on the sky."""
    from astropy.coordinates import SkyCoord

    if isinstance(quiet, SkyCoord):
        if quiet.size < 2:
            raise DatasetError(f"{_WHAT}: quiet: a single position: expected two corners of a box")
        region = ds.crop(quiet, keepdims=True)
    elif hasattr(quiet, "wcs") and hasattr(quiet, "shape"):
        region = quiet.uncalibrated() if hasattr(quiet, "uncalibrated") else quiet
    elif isinstance(quiet, (tuple, int, slice)) or quiet is Ellipsis:
        region = ds[quiet]
    else:
        raise TypeError(
            f"{_WHAT}: quiet={type(quiet).__name__}: expected a part of the dataset, an index such "
            "as np.s_[0, 10:20, :, 100:200], or two corners of a box as a SkyCoord"
        )
    world, whole = World(region.wcs, region.shape), World(ds.wcs, ds.shape)
    wave, own = world.of_kind("wavelength"), whole.of_kind("wavelength")
    assert own is not None
    if wave is None or len(wave.array_axes) != 1:
        raise DatasetError(
            f"{_WHAT}: quiet: the region has no axis of wavelengths: expected all wavelengths of "
            "the dataset, as in ds[0, 10:20, :, 100:200]"
        )
    values, expected = world.along([wave])[0], whole.along([own])[0]
    if values.shape != expected.shape or not np.allclose(values, expected, rtol=1e-9, atol=0):
        raise DatasetError(
            f"{_WHAT}: quiet: the region has {len(values)} wavelengths from {values[0]:.5f} to "
            f"{values[-1]:.5f} {wave.unit}: expected those of the dataset, {len(expected)} from "
            f"{expected[0]:.5f} to {expected[-1]:.5f} {own.unit}"
        )
    return _intensity(region)


def _intensity(region: Any) -> Any:
    """Select Stokes I of a region, and refuse one of another parameter."""
    found = World(region.wcs, region.shape).stokes()
    if found is None or found[1] == ("I",):
        return region
    if len(found[1]) == 1:
        raise DatasetError(
            f"{_WHAT}: quiet: the region is of Stokes {found[1][0]}: expected intensities, Stokes I"
        )
    return region.at(stokes="I")


def _mean(region: Any) -> tuple[NDArray[np.float64], int]:
    """Compute the mean spectrum of a region: each frame is read once.

    Masked and absent pixels count for nothing: a wavelength of which there is none is NaN.
    """
    import dask.array as da

    world = World(region.wcs, region.shape)
    wave = world.of_kind("wavelength")
    assert wave is not None
    (axis,) = wave.array_axes
    others = tuple(k for k in range(len(region.shape)) if k != axis)
    pixels = da.asarray(region.data).astype(float)
    known = da.isfinite(pixels)
    mask = region.mask
    if mask is not None and mask is not False:
        known = known & ~da.broadcast_to(da.asarray(mask), region.shape)
    total = da.where(known, pixels, 0.0).sum(axis=others)
    both = np.asarray(da.stack([total, known.sum(axis=others)]))
    total, count = both
    if not count.any():
        raise DatasetError(f"{_WHAT}: quiet: all pixels of the region are masked or absent")
    mean = np.where(count > 0, total / np.maximum(count, 1), np.nan)
    return mean, int(count.max())


# Velocities -------------------------------------------------------------------------------------


def _observer(region: Any) -> tuple[float, str]:
    """Return how fast the observer receded from the Sun, in km/s, and how that is known."""
    axis = SpectralAxis.of(region)
    used = np.ones(len(axis.values), bool)
    values, how = Observer(region, axis.array_axis, used, _WHAT).velocity(stacklevel=5)
    return float(np.mean(values)) / 1e3, how


def _speed(name: str, given: Any) -> float:
    """Read a velocity in km/s; 0 where none is given."""
    import astropy.units as u

    if given is None:
        return 0.0
    try:
        return float(u.Quantity(given).to_value(u.km / u.s))
    except (TypeError, u.UnitsError):
        raise TypeError(f"{_WHAT}: {name}={given!r:.60}: expected a velocity, in km/s") from None


def _length(name: str, given: Any) -> float:
    """Read a length in nm."""
    import astropy.units as u

    try:
        found = float(u.Quantity(given).to_value(u.nm))
    except (TypeError, u.UnitsError):
        raise TypeError(f"{_WHAT}: {name}={given!r:.60}: expected a length, in nm") from None
    if not found > 0:
        raise DatasetError(f"{_WHAT}: {name}={given}: expected more than 0 nm")
    return found

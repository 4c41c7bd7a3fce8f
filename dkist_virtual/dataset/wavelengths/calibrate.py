"""Make a dataset with another wavelength scale, or with that of its WCS again."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from dkist_virtual.errors import DatasetError

if TYPE_CHECKING:
    from dkist_virtual.cube.wavelengths.scale import Frame, Medium, WavelengthScale

__all__ = [
    "APPLIED_SCALE", "apply_scale", "calibrate_wavelength", "frame_of", "scale_of", "uncalibrated",
    "with_scale_in_meta",
]  # fmt: skip

APPLIED_SCALE: Final = "applied_wavelength_scale"
"""The key of the meta that says which scale the WCS of a saved dataset has in it."""


def scale_of(ds: Any) -> WavelengthScale | None:
    """Return the wavelength scale of a dataset, in its own axes; None for that of its WCS."""
    origin = ds.provenance
    if origin is not None:  # without its WCS
        found: WavelengthScale | None = origin.tile.scale
        return None if found is None else found.select(origin.cut)
    from dkist_virtual.cube.wavelengths.scaled_wcs import scale_in

    return scale_in(ds.wcs.low_level_wcs, ds.shape)


def frame_of(ds: Any) -> Frame:
    """Return in whose frame the wavelengths of a dataset are, see `WavelengthScale.frame`.

    ``"observer"`` unless a scale says otherwise, be it one that the WCS has since it was saved.
    """
    scale = scale_of(ds)
    if scale is not None:
        return scale.frame
    stated = ds.meta.get(APPLIED_SCALE)
    said = stated.get("frame") if isinstance(stated, dict) else None
    return "sun" if said == "sun" else "observer"


def with_scale_in_meta(ds: Any) -> Any:
    """Make a dataset whose meta says what its scale is: for forms that have only wavelengths."""
    if getattr(ds, "wavelength_scale", None) is None:
        return ds
    made = ds[...]
    made.meta[APPLIED_SCALE] = ds.wavelength_scale.about()
    return made


def calibrate_wavelength(
    ds: Any,
    scale: Any,
    *,
    quiet: Any,
    medium: Medium | None,
    frame: Frame | None,
    fit: dict[str, Any],
) -> Any:
    """Give a dataset another wavelength scale, see `Dataset.calibrate_wavelength`."""
    of_fit = [name for name, value in fit.items() if value is not None]
    of_values = [name for name, value in (("medium", medium), ("frame", frame)) if value]
    if quiet is not None:
        if scale is not None or of_values:
            found = "other scale" if scale is not None else f"{of_values[0]}="
            raise TypeError(f"calibrate_wavelength: quiet= is for a fit: expected no {found}")
        from dkist_virtual.dataset.wavelengths.by_atlas import scale_by_atlas

        return apply_scale(ds, scale_by_atlas(ds, quiet, **fit))
    if of_fit:
        raise TypeError(
            f"calibrate_wavelength: {of_fit[0]}= is for a fit to an atlas: expected quiet=, the "
            "region whose mean spectrum is fitted"
        )
    if isinstance(scale, str):
        if scale != "headers":
            raise ValueError(
                f'calibrate_wavelength({scale!r}): expected "headers", wavelengths as a Quantity, '
                "or quiet="
            )
        if of_values:
            raise TypeError(
                f'calibrate_wavelength("headers"): takes no {of_values[0]}=: the headers say it'
            )
        from dkist_virtual.dataset.wavelengths.by_headers import scale_by_headers

        return apply_scale(ds, scale_by_headers(ds))
    return apply_scale(ds, _given(ds, scale, medium, frame or "observer"))


def _given(ds: Any, values: Any, medium: Medium | None, frame: Frame) -> WavelengthScale:
    """Read the wavelengths that a user gives."""
    import astropy.units as u

    from dkist_virtual.cube.wavelengths.scale import WavelengthScale
    from dkist_virtual.cube.wavelengths.scaled_wcs import check_wavelengths

    (axis,) = check_wavelengths(ds.wcs, ds.shape).array_axes
    n = ds.shape[axis]
    if isinstance(values, WavelengthScale):
        if (values.axis, len(values)) != (axis, n):
            raise DatasetError(
                f"calibrate_wavelength: a scale of {len(values)} pixels along axis {values.axis}: "
                f"expected {n} along axis {axis}"
            )
        return values
    if not isinstance(values, u.Quantity) or not values.unit.is_equivalent(u.m):
        raise TypeError(
            f"calibrate_wavelength({values!r:.60}): expected wavelengths with a unit, as in "
            'values * u.nm, "headers", or quiet='
        )
    if values.shape != (n,):
        raise DatasetError(
            f"calibrate_wavelength: wavelengths of shape {values.shape}: expected ({n},), one for "
            f"each pixel of axis {axis}"
        )
    from dkist_virtual.science.spectra.medium import check_medium, convert, medium_of

    own = medium_of(ds)
    if check_medium(medium) is not None and own is not None:  # it stays in that of the dataset
        values, medium = convert(values, medium, own), own
    return WavelengthScale(
        axis=axis, pixels=np.arange(n, dtype=float), values=values.to_value(u.nm),
        medium=medium or own, frame=frame, source="wavelengths that were given",
    )  # fmt: skip


def apply_scale(ds: Any, scale: WavelengthScale) -> Any:
    """Give a dataset a wavelength scale, in its own axes, in place of the one that it has."""
    from dkist_virtual.cube.sliced_wcs import scaled

    origin = ds.provenance
    if origin is None:
        return ds._new_instance(wcs=scaled(ds.wcs, scale, ds.shape))
    return _of_tile(ds, scale.placed(origin.cut))


def uncalibrated(ds: Any) -> Any:
    """Make the dataset with the wavelengths of its WCS."""
    if ds.provenance is not None:
        return ds[...] if ds.provenance.tile.scale is None else _of_tile(ds, None)
    if scale_of(ds) is None:
        return ds[...]
    from astropy.wcs.wcsapi import HighLevelWCSWrapper

    from dkist_virtual.cube.sliced_wcs import unscaled_wcs

    return ds._new_instance(wcs=HighLevelWCSWrapper(unscaled_wcs(ds.wcs.low_level_wcs)))


def _of_tile(ds: Any, scale: WavelengthScale | None) -> Any:
    """Make the dataset of another scale of the array as it was opened."""
    from dkist_virtual.cube.sliced_wcs import UnslicedWCS

    tile = replace(ds.provenance.tile, calibrated=scale)
    tile.wcs  # noqa: B018  # refuses a scale of another axis now
    return ds._new_instance(
        provenance=replace(ds.provenance, tile=tile), wcs=UnslicedWCS(tile, ds.provenance.cut)
    )

"""Write a wavelength scale into a gwcs of astropy's models, which others read without us."""

from __future__ import annotations

from typing import TYPE_CHECKING

import astropy.modeling.models as m
import astropy.units as u
import numpy as np
from gwcs import WCS

from dkist_virtual.cube.shifted_gwcs import with_transform
from dkist_virtual.errors import DatasetError

if TYPE_CHECKING:
    from dkist_virtual.cube.wavelengths.scaled_wcs import ScaledWCS

__all__ = ["scaled_gwcs"]


def scaled_gwcs(scaled: ScaledWCS) -> WCS:
    """Make a gwcs with the coordinates of a WCS with another wavelength scale.

    The pixel along the axis of wavelengths is handed on beside the world coordinates, to a table
    that takes the place of the wavelength.

    Raises
    ------
    DatasetError
        The WCS below the scale is not a gwcs.
    """
    base, scale = scaled.unscaled, scaled.scale
    if not isinstance(base, WCS):
        raise DatasetError(
            f"wavelength scale: cannot be written into a WCS of {type(base).__name__}: expected a "
            "gwcs, as that of DKIST's datasets. ds.uncalibrated() has none"
        )
    before = base.forward_transform
    unit = u.Unit(base.world_axis_units[scaled.index])
    values = scale.values * scaled.factor
    points, table = scale.pixels, values
    if len(table) == 1:  # a table has two entries at least
        points, table = np.append(points, points + 1), np.repeat(table, 2)
    has_units = bool(before.uses_quantity)
    model = m.Tabular1D(
        points=(points * u.pix if has_units else points,),
        lookup_table=table * unit if has_units else table,
        bounds_error=False, fill_value=None,
    )  # fmt: skip
    n_in, n_out = before.n_inputs, before.n_outputs
    order = tuple(n_out if index == scaled.index else index for index in range(n_out))
    transform = (
        m.Mapping((*range(n_in), scaled.pixel), n_inputs=n_in)
        | before & model
        | m.Mapping(order, n_inputs=n_out + 1)
    )
    transform.inputs, transform.outputs = before.inputs, before.outputs
    return with_transform(base, transform)

"""Compare quantities and conversions of units with plain numpy and astropy."""

from __future__ import annotations

from typing import Any

import astropy.units as u
import dask.array as da
import numpy as np
import pytest
from dataset_checks import assert_same_world, tiles_of
from samples import mostly_slow
from simulated import NAMES, QUICK
from watches import counted

import dkist_virtual as dv


def assert_scaled(ds: Any, of: Any, factor: float) -> None:
    """To the precision of the frames: in which type they are multiplied is left open."""
    expected = of.data.compute().astype(float) * factor
    rounding = np.finfo(of.data.dtype).eps
    np.testing.assert_allclose(ds.data.compute(), expected, rtol=rounding, atol=0)


@pytest.mark.parametrize("name", mostly_slow(NAMES, *QUICK))
def test_a_quantity_is_the_pixels_with_their_unit(name: str, simulated: Any) -> None:
    for ds in tiles_of(dv.open_dataset(simulated(name))):
        frame = ds[(0,) * (len(ds.shape) - 2)]
        quantity = frame.quantity
        assert type(quantity) is u.Quantity
        assert quantity.unit == ds.unit == u.ct
        assert quantity.dtype == frame.data.dtype
        assert np.array_equal(quantity.value, frame.data.compute(), equal_nan=True)


@pytest.mark.parametrize("name", mostly_slow(["visp", "vtf", "cryonirsp"], "visp"))
def test_a_conversion_reads_nothing(name: str, converted: Any) -> None:
    ds, reads = counted(converted(name))
    thousands = ds.to(1000 * u.ct)
    assert isinstance(thousands, dv.Dataset)
    assert isinstance(thousands.data, da.Array)
    assert not reads
    assert thousands.unit == 1000 * u.ct
    assert_scaled(thousands, ds, 0.001)
    assert_same_world(thousands.wcs, ds.wcs)
    assert len(thousands.headers) == len(ds.headers)


def test_conversions_that_astropy_knows_of(simulated: Any) -> None:
    ds = dv.open_dataset(simulated("vtf"))
    assert isinstance(ds, dv.Dataset)
    gain = 3.5
    electrons = ds.to(
        u.electron, equivalencies=[(u.ct, u.electron, lambda n: n * gain, lambda n: n / gain)]
    )
    assert electrons.unit == u.electron
    assert_scaled(electrons, ds, gain)
    assert_scaled(electrons[1, 0], ds[1, 0], gain)
    with pytest.raises(u.UnitConversionError, match="'ct' and 'electron' are not convertible"):
        ds.to(u.electron)


def test_a_factor_with_a_unit(simulated: Any) -> None:
    ds = dv.open_dataset(simulated("vtf"))
    assert isinstance(ds, dv.Dataset)
    rate = ds * (2 / u.s)
    assert rate.unit == u.ct / u.s
    assert_scaled(rate, ds, 2)
    assert rate.to_xarray().attrs["units"] == "ct / s"

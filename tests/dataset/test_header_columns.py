"""Compare arithmetic with header columns with numpy's of an array along the axes of frames."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import astropy.units as u
import numpy as np
import pytest
from astropy.nddata import StdDevUncertainty
from astropy.table import Column, MaskedColumn, QTable
from samples import mostly_slow

import dkist_virtual as dv
from dkist_virtual.errors import DatasetError

#: How many axes of each dataset are those of frames.
FRAME_AXES = {"vtf": 3, "visp": 2, "vbi_mosaic": 1, "cryonirsp": 3, "dlnirsp": 2}


@pytest.fixture
def opened(simulated: Any) -> Any:
    """``opened(name)``: a dataset of its own, whose headers may be changed."""

    def open_one(name: str = "vtf") -> Any:
        ds = dv.open_dataset(simulated(name))
        ds = ds.flat[0] if isinstance(ds, dv.TiledDataset) else ds
        n = len(ds.headers)
        ds.headers["LIGHTLVL"] = np.linspace(0.5, 2, n)
        return ds

    return open_one


def values_of(ds: Any, axes: int = 3) -> Any:
    """The column by numpy, with an axis of one pixel for each of a frame's."""
    column = np.asarray(ds.headers["LIGHTLVL"])
    return column.reshape(ds.shape[:axes] + (1,) * (len(ds.shape) - axes))


@pytest.mark.parametrize("name", mostly_slow(FRAME_AXES, "vtf"))
def test_a_column_is_along_the_frames_of_each_instrument(opened: Any, name: str) -> None:
    ds = opened(name)
    pixels, level = np.asarray(ds.data), values_of(ds, FRAME_AXES[name])
    column = ds.headers["LIGHTLVL"]
    np.testing.assert_array_equal(np.asarray((ds / column).data), pixels / level)
    np.testing.assert_array_equal(np.asarray((column / ds).data), level / pixels)
    there = ds.along_frames("LIGHTLVL")
    assert there.shape == level.shape
    np.testing.assert_array_equal(np.asarray((ds / there).data), pixels / level)


def test_operators_and_functions_in_either_order(opened: Any) -> None:
    ds = opened()
    pixels, level, column = np.asarray(ds.data), values_of(ds), ds.headers["LIGHTLVL"]
    ds = ds.with_data(ds.data)  # without a unit
    for ours, theirs in (
        (column * ds, level * pixels),
        (column - ds, level - pixels),
        (ds**column, pixels**level),
        (ds > column, pixels > level),
        (column < ds, level < pixels),
        (np.divide(column, ds), level / pixels),
        (np.hypot(ds, column), np.hypot(pixels, level)),
        (np.where(ds > column, ds, column), np.where(pixels > level, pixels, level)),
        (ds / Column(np.array(column)), pixels / level),
    ):
        assert isinstance(ours, dv.Dataset)
        np.testing.assert_array_equal(np.asarray(ours.data), theirs)


@pytest.mark.parametrize("index", [np.s_[1], np.s_[:, :, ::2], np.s_[0, 1, 2], np.s_[..., 4:9, 7]])
def test_a_slice_of_the_result_slices_the_column(opened: Any, index: Any) -> None:
    ds = opened()
    whole = np.asarray(ds.data) / values_of(ds)
    made = ds / ds.headers["LIGHTLVL"]
    np.testing.assert_array_equal(np.asarray(made[index].data), whole[index])
    part = ds[index]
    np.testing.assert_array_equal(np.asarray((part / part.headers["LIGHTLVL"]).data), whole[index])
    assert made[index].lineage.columns == ("LIGHTLVL",)
    assert made[index].headers["LIGHTLVL"].tolist() == part.headers["LIGHTLVL"].tolist()


def test_masked_cells_are_masked_pixels(opened: Any) -> None:
    ds = opened()
    gone = np.arange(24) == 5  # the frame [0, 1, 2]
    ds.headers["LIGHTLVL"] = MaskedColumn(np.asarray(ds.headers["LIGHTLVL"]), mask=gone)
    made = ds / ds.headers["LIGHTLVL"]
    expected = np.zeros(ds.shape, bool)
    expected[0, 1, 2] = True
    np.testing.assert_array_equal(np.asarray(made.mask), expected)
    np.testing.assert_array_equal(np.asarray(made[0, 1].mask), expected[0, 1])
    assert ds.mask is None
    there = ds.along_frames("LIGHTLVL")
    np.testing.assert_array_equal(np.asarray(there.mask)[..., 0, 0].ravel(), gone)
    np.testing.assert_array_equal(np.asarray((there / ds).mask), expected)


def test_units_of_columns(opened: Any) -> None:
    ds = opened()
    column = ds.headers["LIGHTLVL"]
    column.unit = "ms"
    rate = ds / column
    assert rate.unit == ds.unit / u.ms
    assert ds.along_frames("LIGHTLVL").unit == u.ms
    table = QTable(ds.headers["LIGHTLVL",])
    quantity = ds / table["LIGHTLVL"]
    assert quantity.unit == ds.unit / u.ms
    np.testing.assert_array_equal(np.asarray(quantity.data), np.asarray(rate.data))
    with pytest.raises(u.UnitsError):
        ds + column


def test_uncertainties_follow_as_with_arrays(opened: Any) -> None:
    ds = opened()
    ds.uncertainty = StdDevUncertainty(np.full(ds.shape, 2.0))
    made = ds / ds.headers["LIGHTLVL"]
    expected = np.broadcast_to(2 / values_of(ds), ds.shape)
    np.testing.assert_allclose(np.asarray(made.uncertainty.array), expected, rtol=1e-12)


def test_what_was_combined_is_said(opened: Any) -> None:
    ds = opened()
    made = (ds / ds.headers["LIGHTLVL"]) * ds.headers["XPOSURE"]
    assert made.lineage.columns == ("LIGHTLVL", "XPOSURE")
    with pytest.raises(DatasetError, match="and LIGHTLVL, XPOSURE of their headers, and are in no"):
        made.files  # noqa: B018


def test_what_is_no_column_of_numbers_for_these_frames_is_refused(opened: Any) -> None:
    ds = opened()
    column = ds.headers["LIGHTLVL"]
    with pytest.raises(DatasetError, match=r"expected one value for each of 24 frames.*found \(6,"):
        ds / ds[0].headers["LIGHTLVL"].copy()
    with pytest.raises(DatasetError, match=r"DATE-AVG'\]: is text, expected numbers. Moments are"):
        ds / ds.headers["DATE-AVG"]
    with pytest.raises(DatasetError, match=r"INSTRUME'\]: is text, expected numbers.$"):
        ds * ds.headers["INSTRUME"]
    # The same number of frames: of other Stokes parameters.
    kept = ds[1].headers
    with pytest.raises(DatasetError, match=r"its rows are those of 6 frames in .*and the pixels"):
        ds[0] / kept["LIGHTLVL"]
    # A selection of the same frames has the same rows.
    twin = ds[0][...]
    assert (ds[0] / twin.headers["LIGHTLVL"]).shape == ds[0].shape
    with pytest.raises(DatasetError, match="a column has a value for each frame, and no pixel"):
        ds.rebin((1, 1, 1, 5, 4)) / column
    with pytest.raises(DatasetError, match=r"along_frames\('NOTHING'\): .* have no such column"):
        ds.along_frames("NOTHING")


def test_a_plain_array_stays_along_the_last_axis(opened: Any) -> None:
    """By numpy's rules, also where it is as long as there are frames."""
    ds = opened("vbi_mosaic")[:, :, :3]
    assert ds.shape == (3, 48, 3)
    level, pixels = np.array([1.0, 2, 4]), np.asarray(ds.data)
    np.testing.assert_array_equal(np.asarray((ds / level).data), pixels / level)
    ds.headers["NEW"] = level
    along = np.asarray((ds / ds.headers["NEW"]).data)
    np.testing.assert_array_equal(along, pixels / level[:, None, None])
    apart = np.asarray((ds / np.asarray(ds.headers["NEW"])).data)
    np.testing.assert_array_equal(apart, pixels / level)


@pytest.mark.parametrize("name", ["x.zarr", "x.asdf"])
def test_a_saved_result_says_which_column_it_was_computed_with(
    opened: Any, name: str, tmp_path: Path
) -> None:
    ds = opened()[0, 0]
    (ds / ds.headers["LIGHTLVL"]).save(tmp_path / name, progress=False)
    assert dv.open_dataset(tmp_path / name)[1:].lineage.columns == ("LIGHTLVL",)

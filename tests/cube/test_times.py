"""Moments in every type that people hold them in, wherever a time is taken."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import astropy.units as u
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from astropy.time import Time
from dkist_assets import ROOT
from skies import WHEN, dataset
from sunpy.time import TimeRange

import dkist_virtual as dv
from dkist_virtual.errors import SelectionError
from dkist_virtual.times import read_time

TEXT = "2023-08-28T20:38:41.577"  # of the fourth raster step
MOMENT = datetime.fromisoformat(TEXT)
BERLIN = timezone(timedelta(hours=2))

SAME: dict[str, Any] = {
    "Time": Time(TEXT),
    "Time, TAI": Time(TEXT).tai,
    "datetime": MOMENT,
    "datetime, UTC": MOMENT.replace(tzinfo=UTC),
    "datetime elsewhere": MOMENT.replace(tzinfo=UTC).astimezone(BERLIN),
    "datetime64[ms]": np.datetime64(MOMENT, "ms"),
    "datetime64[ns]": np.datetime64(MOMENT, "ns"),
    "datetime64 array": np.array([MOMENT], "M8[us]"),
    "Timestamp": pd.Timestamp(MOMENT),
    "Timestamp elsewhere": pd.Timestamp(MOMENT, tz="UTC").tz_convert("Pacific/Honolulu"),
    "DatetimeIndex": pd.DatetimeIndex([MOMENT]),
    "Series elsewhere": pd.Series(pd.DatetimeIndex([MOMENT], tz="UTC").tz_convert("Asia/Tokyo")),
    "DataArray": xr.DataArray(np.datetime64(MOMENT, "ns")),
    "text": TEXT,
    "text with a blank": TEXT.replace("T", " "),
    "text, Z": f"{TEXT}Z",
    "text elsewhere": "2023-08-28T22:38:41.577+02:00",
    "numpy text": np.str_(TEXT),
    "header column": np.array([TEXT]),
    "TimeRange": TimeRange(TEXT, TEXT),
}


@pytest.fixture(autouse=True)
def _closed() -> Any:
    yield
    plt.close("all")


@pytest.mark.parametrize("kind", SAME)
def test_every_type_selects_the_same(kind: str) -> None:
    ds, given = dataset("as early ViSP"), SAME[kind]
    expected = ds.data[3].tolist()
    assert ds.at(time=given).data.tolist() == expected
    assert ds.crop(given).data.tolist() == expected
    assert ds.crop([given, given], keepdims=True).data.tolist() == [expected]
    assert ds.plot().at(time=given).position == [3, 0, 0]
    tiles = np.empty((1, 2), object)
    tiles[:] = ds
    mosaic = dv.TiledDataset(tiles, {})
    assert mosaic.at(time=given)[0, 1].data.tolist() == expected
    assert mosaic.crop(given)[0, 0].data.tolist() == expected


RANGES: dict[str, Callable[[str, str], Any]] = {
    "TimeRange": TimeRange,
    "pair of texts": lambda *ends: list(ends),
    "pair of datetimes": lambda *ends: [datetime.fromisoformat(end) for end in ends],
    "datetime64 array": lambda *ends: np.array(ends, "M8[ms]"),
    "Time": lambda *ends: Time(list(ends)),
    "DatetimeIndex": lambda *ends: pd.DatetimeIndex(ends),
    "mixed": lambda one, other: (pd.Timestamp(one), Time(other)),
}


@pytest.mark.parametrize("kind", RANGES)
def test_ranges(kind: str) -> None:
    ds = dataset("as early ViSP")
    given = RANGES[kind]("2023-08-28T20:38:20", "2023-08-28T20:38:45")
    assert ds.crop(given).data.tolist() == ds.data[1:4].tolist()


def test_at_takes_the_middle_of_a_range() -> None:
    ds = dataset("as early ViSP")
    around = TimeRange("2023-08-28T20:38:31", "2023-08-28T20:38:54")
    assert ds.at(time=around).data.tolist() == ds.data[3].tolist()


def test_the_moments_of_to_xarray_select_what_they_are_of() -> None:
    """Which are rounded to microseconds; and those that are printed, to milliseconds."""
    ds = dataset("as early ViSP")
    for step, moment in enumerate(ds.to_xarray()["time"]):
        assert ds.crop(moment).data.tolist() == ds.data[step].tolist()
        assert ds.at(time=moment.values).data.tolist() == ds.data[step].tolist()
        alone = ds[step : step + 1]
        assert alone.crop(moment, keepdims=True).shape == alone.shape
        assert alone.at(time=(WHEN + step * 10 * u.s).isot).shape == ds.shape[1:]


def test_a_moment_in_milliseconds_of_a_single_one_that_has_more_digits() -> None:
    one = dv.open_dataset(ROOT / "small_visp" / "test_visp.asdf")[1:2]
    moment = Time(one.headers["DATE-AVG"][0])
    assert one.crop(moment.isot, keepdims=True).shape == one.shape


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (pd.NaT, "moment that is missing"),
        (np.datetime64("NaT", "us"), "moment that is missing"),
        (np.array(["2023-08-28", "NaT"], "M8[D]"), "moment that is missing"),
        ("yesterday", "not a Stokes parameter or a moment.*2022-10-24T19:00:00"),
        (1693254000.0, "not a world coordinate.*datetime"),
        (np.arange(3), "not a world coordinate"),
    ],
)
def test_what_is_no_moment(given: Any, said: str) -> None:
    with pytest.raises(SelectionError, match=said):
        dataset("as early ViSP").crop(given)
    with pytest.raises((SelectionError, ValueError), match=r"moment|time = |not a world coord"):
        dataset("as early ViSP").at(time=given)


def test_letters_stay_stokes_parameters() -> None:
    for letter in ("I", "q", "RR"):
        with pytest.raises(SelectionError, match="no axis of stokes"):
            dataset("as early ViSP").crop(letter)


def test_types_that_hold_no_moment() -> None:
    assert read_time(5) is None
    assert read_time(None) is None
    assert read_time(np.arange(3)) is None
    assert read_time(date(2023, 8, 28)) == Time("2023-08-28")


def test_ndcubes_own_crop_is_given_times() -> None:
    ds = dataset("as early ViSP")
    ds.extra_coords.add("time", 0, WHEN + np.arange(7) * 10 * u.s)
    points = [[MOMENT], [pd.Timestamp("2023-08-28T20:38:52")]]
    cropped = ds.crop(*points, wcs=ds.extra_coords)
    assert cropped.data.tolist() == ds.data[3:5].tolist()

"""Moments in every type that people hold them in, and dates of headers as datetime64."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import astropy.units as u
import gwcs
import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from astropy.modeling import models
from astropy.time import Time
from astropy.utils import iers
from dkist_assets import ROOT, unpacked, with_files
from gwcs import coordinate_frames as cf
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from samples import mostly_slow
from skies import WHEN, dataset
from sunpy.time import TimeRange

import dkist_virtual as dv
from dkist_virtual.errors import DKISTVirtualWarning, SelectionError
from dkist_virtual.times import dates_of_texts, dates_of_times, read_time

# Wherever a time is taken ------------------------------------------------------------------------

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
def agg() -> Iterator[None]:
    mpl.use("agg")
    yield
    plt.close("all")


@pytest.mark.parametrize("kind", mostly_slow(SAME, every=3))
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


# Dates in headers, coordinates, maps and on axes, against Python's datetime ----------------------

LEAP = "2016-12-31T23:59:60.500"
DUBIOUS = pytest.mark.filterwarnings("ignore:.*dubious year")


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.one_of(st.none(), st.sampled_from(["", "  "]), st.datetimes()), max_size=6))
def test_every_date_of_pythons_is_exact(dates: list[Any]) -> None:
    texts = [one.isoformat() if isinstance(one, datetime) else one for one in dates]
    expected = [
        np.datetime64(one, "us") if isinstance(one, datetime) else np.datetime64("NaT", "us")
        for one in dates
    ]
    found = dates_of_texts(texts, "DATE")
    assert found is not None
    assert found.dtype == "M8[us]"
    np.testing.assert_array_equal(found, np.array(expected, "M8[us]"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0001-01-01T00:00:00", "0001-01-01T00:00:00"),
        ("9999-12-31T23:59:59.999999", "9999-12-31T23:59:59.999999"),
        ("+12345-02-03T04:05:06.5", "12345-02-03T04:05:06.5"),
        ("-0044-03-15", "-044-03-15"),
        ("2022-10-24T19:15:37.80866", "2022-10-24T19:15:37.80866"),
        ("2022-10-24T19:15:37.808666123", "2022-10-24T19:15:37.808666123"),
        ("2022-10-24T19:15:37.9999999996", "2022-10-24T19:15:38"),
        ("2022-10-24T19:15:37.5Z", "2022-10-24T19:15:37.5"),
        ("2022-10-24T19:15:37.5(UTC)", "2022-10-24T19:15:37.5"),
    ],
)
def test_what_fits_allows(text: str, expected: str) -> None:
    found = dates_of_texts([text], "DATE")
    assert found is not None
    assert found[0] == np.datetime64(expected)
    # Beside a year that nanoseconds cannot hold, only what is below microseconds is rounded.
    both = dates_of_texts([text, "0001-01-01"], "DATE")
    assert both is not None
    assert both.dtype == "M8[us]"
    assert abs(both[0] - np.datetime64(expected).astype("M8[us]")) <= np.timedelta64(1, "us")


@pytest.mark.parametrize(
    ("odd", "why"),
    [(LEAP, "leap second"), ("n/a", "not a date"), ("2022-02-30", "not a date"),
     ("2022-10-24T25:00:00", "not a date"), ("24/10/22", "not a date"), ("now", "not a date"),
     ("2022-10-24 19:00:00", "not a date")],
)  # fmt: skip
def test_one_odd_cell_is_nat_and_said(odd: str, why: str) -> None:
    with pytest.warns(DKISTVirtualWarning, match=why):
        found = dates_of_texts(["2022-10-24T19:00:00", odd, "9999-01-01"], "DATE-AVG")
    assert found is not None
    assert np.isnat(found).tolist() == [False, True, False]
    assert found[2] == np.datetime64("9999-01-01")


def test_text_stays_text() -> None:
    assert dates_of_texts(["no date", None, "none"], "DATETEXT") is None


# In a dataset --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def assets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("assets")


@DUBIOUS
def test_a_header_column_with_odd_dates(assets: Path, tmp_path: Path) -> None:
    ds = dv.open_dataset(with_files(tmp_path / "d.asdf", assets, lambda node: None))
    table = ds.headers
    texts = np.array(table["DATE-AVG"]).astype("U40")
    plain = texts.copy()
    texts[[0, 1, 2, 3]] = "0001-01-01T00:00:00", "9999-12-31T23:59:59.999999", "", LEAP
    table["DATE-AVG"] = texts
    table["DATE-ONE"] = np.array([None, *plain[1:]], object)
    with pytest.warns(DKISTVirtualWarning, match="a cell became NaT: '2016-12-31T23:59:6"):
        array = ds.to_xarray(headers=["DATE-AVG", "DATE-ONE"])
    found = array["DATE-AVG"].values.ravel()
    assert found[0] == np.datetime64("0001-01-01")
    assert found[1] == np.datetime64("9999-12-31T23:59:59.999999")
    assert np.isnat(found).sum() == 2
    assert np.isnat(found[2:4]).all()
    np.testing.assert_array_equal(found[4:], plain[4:].astype("M8[us]"))
    ones = array["DATE-ONE"].values.ravel()
    assert np.isnat(ones[0])
    np.testing.assert_array_equal(ones[1:], plain[1:].astype("M8[us]"))
    dates = xr.Dataset({"date": (("a", "b"), array["DATE-AVG"].values)})
    dates.to_zarr(tmp_path / "dates.zarr", zarr_format=2)
    again = xr.open_zarr(
        tmp_path / "dates.zarr", chunks={}, decode_times=xr.coders.CFDatetimeCoder(time_unit="us")
    )
    xr.testing.assert_equal(again.compute(), dates)


@pytest.fixture
def offline() -> Iterator[None]:
    """Astropy asks for no table of the Earth's rotation."""
    with (
        iers.conf.set_temp("auto_download", False),
        iers.conf.set_temp("iers_degraded_accuracy", "ignore"),
    ):
        yield


@DUBIOUS
@pytest.mark.filterwarnings("ignore:.*IERS", "ignore:Tried to get polar motions")
@pytest.mark.parametrize("odd", ["", LEAP, "n/a"])
def test_a_map_of_frames_with_an_odd_date(odd: str, simulated: Any, offline: None) -> None:
    ds = dv.open_dataset(simulated("visp"))
    texts = np.array(ds.headers["DATE-AVG"]).astype("U40")
    before = ds[0, :, 5].to_map()
    part = ds[0, :, 5]
    for keyword in ("DATE-AVG", "DATE-BEG"):
        part.headers[keyword] = np.array([odd, *texts[1 : len(part.headers)]])
    smap = part.to_map()
    if odd in ("", "n/a"):
        # As the WCS says.
        assert abs(Time(smap.meta["date-avg"]) - Time(before.meta["date-avg"])) < 1 * u.min
    else:
        expected = Time([odd, *texts[1 : len(part.headers)]], scale="utc").mean()
        assert abs(Time(smap.meta["date-avg"]) - expected) < 1 * u.ms
    if not odd:
        assert smap.meta["date-beg"] == min(texts[1 : len(part.headers)])


def in_time(start: str, step: float = 0.5, scale: str = "utc") -> dv.Dataset:
    """Images with a time axis alone beside two without a meaning."""
    reference = Time(start, scale=scale)
    time = cf.TemporalFrame(reference, unit=u.s, axes_order=(0,), axes_names=["time"])
    other = cf.CoordinateFrame(
        1, "OTHER", (1,), unit=u.arcsec, axes_names=["b"], axis_physical_types=["custom:b"]
    )
    pixels = cf.CoordinateFrame(2, ["PIXEL"] * 2, (0, 1), unit=[u.pix] * 2, axes_names=["a", "b"])
    model = models.Scale(step) & models.Identity(1)
    wcs = gwcs.WCS([(pixels, model), (cf.CompositeFrame([time, other]), None)])
    return dv.Dataset(np.arange(21.0).reshape(3, 7), wcs=wcs)


@DUBIOUS
@pytest.mark.parametrize(
    "start",
    ["0001-01-01T00:00:00", "1600-02-03T04:05:06", "2262-04-11T23:47:16", "9999-12-31T23:59:50",
     "2016-12-31T23:59:58"],
)  # fmt: skip
def test_a_time_coordinate_of_any_year(start: str, tmp_path: Path) -> None:
    ds = in_time(start)
    leap = start.startswith("2016")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DKISTVirtualWarning)
        found = ds.to_xarray().time.values
    moments = Time(start, scale="utc") + 0.5 * np.arange(7) * u.s
    texts = [str(text) for text in moments.isot]
    for text, moment in zip(texts, found, strict=True):
        if ":60" in text:
            assert np.isnat(moment)
        else:
            assert moment == np.datetime64(text, "us")
    assert np.isnat(found).sum() == 2 * leap
    for plot in (ds.plot(), ds.plot(["x", "y"]), ds[0].plot()):
        plot.save(tmp_path / "figure.png")


def test_a_leap_second_stands_between_its_neighbours_on_an_axis() -> None:
    along = in_time("2016-12-31T23:59:58")[0].plot()._along()
    assert (np.diff(along.plotted) > 0).all()
    assert along.dated


def test_all_moments_of_a_leap_second_are_nat() -> None:
    with pytest.warns(DKISTVirtualWarning, match="leap second"):
        found = dates_of_times(Time([LEAP, LEAP], scale="utc"), "time")
    assert np.isnat(found).all()


def test_a_large_visp_keeps_its_dates(assets: Path) -> None:
    ds = dv.open_dataset(unpacked("large_visp.asdf.gz", assets))
    found = ds.to_xarray(headers=["DATE-AVG"])["DATE-AVG"].values.ravel()
    texts = [str(text) for text in ds.headers["DATE-AVG"]]
    assert [str(date)[: len(text)] for date, text in zip(found, texts, strict=True)] == texts

"""Titles of computed datasets say that they are computed, and only what all their parts share."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import astropy.units as u
import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest
from astropy.time import Time

import dkist_virtual as dv


@pytest.fixture(autouse=True)
def agg() -> Iterator[None]:
    mpl.use("agg")
    yield
    plt.close("all")


def said(ds: Any) -> tuple[str, Any]:
    plot = ds.plot()
    axes = plot.axes[0] if isinstance(plot.axes, list) else plot.axes
    title = axes.get_title()
    plt.close("all")
    return title, ds.to_xarray()


def test_twice_a_frame_has_its_time_and_wavelength(datasets: Any) -> None:
    ds = datasets("vtf")[2, 1, 0]
    title, array = said(ds * 2)
    before, theirs = said(ds)
    assert "computed" in title
    assert "computed" not in before
    assert "computed_from" not in theirs.attrs
    assert title.replace(" (computed)", "") == before
    assert array.stokes == "U"
    assert set(array.coords) == set(theirs.coords)
    assert "frame" in array.attrs["computed_from"]
    assert "computed from" in str(ds * 2)


@pytest.mark.every(8)
@pytest.mark.parametrize(
    ("one", "other", "held"),
    [((0, 0, 0), (1, 0, 0), {"wavelength"}), ((0, 0, 0), (0, 0, 1), {"stokes"}),
     ((0, 0, 0), (0, 1, 0), {"stokes", "wavelength"}), ((0, 0, 0), (1, 1, 1), set())],
)  # fmt: skip
def test_a_difference_says_what_both_share(one: Any, other: Any, held: Any, datasets: Any) -> None:
    ds = datasets("vtf")
    for result in (ds[one] - ds[other], (ds[one] * 2 - 3 * ds[other])[2:], ds[one] / ds[other]):
        title, array = said(result)
        assert "computed" in title
        assert ("Stokes" in title) == ("stokes" in held) == ("stokes" in array.coords)
        assert (" nm" in title) == ("wavelength" in held) == ("wavelength" in array.coords)
        same_time = one[1:] == other[1:]
        assert ("UTC" in title) == ("time" in array.coords) == same_time
        seeing = {ds[index].headers["ATMOS_R0"][0] for index in (one, other)}
        assert ("ATMOS_R0" in array.coords) == (len(seeing) == 1)
        assert ("DATE-AVG" in array.coords) == same_time


def test_slices_after_arithmetic(datasets: Any) -> None:
    ds = datasets("vtf")
    difference = ds[:, 0] - ds[:, 1]
    title, array = said(difference[1, 2])
    assert "Stokes Q" in title
    assert " nm" in title
    assert "UTC" not in title
    assert "time" not in array.coords
    ratio = (ds / ds[0:1])[1, 0, 0]
    title, array = said(ratio)
    assert "Stokes" not in title
    assert "stokes" not in array.coords


def test_a_velocity_is_no_stokes_parameter(datasets: Any) -> None:
    ds = datasets("visp")
    blue, red = ds[0, :, 5], ds[0, :, 9]
    velocity = (blue - red) / (blue + red) * (3 * u.km / u.s)
    title, array = said(velocity)
    assert "computed" in title
    assert "Stokes" not in title
    assert "nm" not in title
    assert not {"stokes", "wavelength"} & set(array.coords)
    smap = velocity.to_map()
    assert "computed" in smap.name
    assert "nm" not in smap.name
    assert smap.wavelength is None or not smap.meta.get("wavelnth")
    assert smap.unit == u.km / u.s
    alone = (blue / blue.unit * (3 * u.km / u.s)).to_xarray()  # of one frame, and no intensity
    assert not {"stokes", "wavelength", "FRAMEWAV"} & set(alone.coords)


def test_an_array_of_ones_own_has_no_wavelength(datasets: Any) -> None:
    ds = datasets("visp")[0, :, 5]
    own = ds.with_data(np.zeros(ds.shape), unit="km / s")
    title, array = said(own)
    assert "computed" in title
    assert "Stokes" not in title
    assert "nm" not in title
    assert not {"stokes", "wavelength", "FRAMEWAV", "ATMOS_R0", "XPOSURE"} & set(array.coords)


def test_columns_in_common_are_those_that_the_user_has_set(datasets: Any) -> None:
    ds = datasets("vtf")[...]
    one, other = ds[0, 0, 0], ds[0, 0, 1]
    assert "ATMOS_R0" not in (one - other).to_xarray().coords
    one.headers["ATMOS_R0"] = other.headers["ATMOS_R0"] = 7.0
    assert (one - other).to_xarray()["ATMOS_R0"] == 7.0
    edited = ds[0]
    edited.headers["XPOSURE"] = 1.0
    for result in (edited - ds[0], (edited - ds[0])[:, 1]):
        assert "XPOSURE" not in result.to_xarray().coords
    ds.headers["XPOSURE"] = np.nan  # no frame has it
    assert "XPOSURE" in (ds[0] - ds[1]).to_xarray().coords


def test_rates_and_scaled_frames_stay_stokes_parameters(datasets: Any) -> None:
    frame = datasets("vtf")[0, 0, 0]
    for result in (frame / (5 * u.ms), frame * 3, frame / frame, -frame):
        assert "Stokes I" in said(result)[0]


def test_binned_datasets_say_so(datasets: Any) -> None:
    binned = datasets("vtf")[1, 0, 0].rebin((2, 2))
    title, array = said(binned)
    assert "computed" in title
    assert "Stokes I" not in title
    assert "binned" in array.attrs["computed_from"]


def test_numbers_of_a_map_are_as_people_write_them(datasets: Any) -> None:
    ds = datasets("visp")
    smap = ds[0, :, 5].to_map()
    assert len(str(smap.wavelength.value)) < 9
    assert "computed" not in smap.name
    twice = (ds * 2)[0, :, 5].to_map()
    assert "computed" in twice.name
    assert twice.wavelength == smap.wavelength
    assert not {key for key in twice.meta if key.startswith(("datamean", "datamin", "btype"))}


def test_a_map_of_two_moments_has_their_middle(datasets: Any) -> None:
    ds = datasets("vtf")
    smap = (ds[0, 1, 0] - ds[0, 0, 0]).to_map()
    dates = [Time(str(ds[0, n, 0].headers["DATE-AVG"][0])) for n in (0, 1)]
    middle = dates[0] + (dates[1] - dates[0]) / 2
    assert abs(Time(smap.meta["date-avg"]) - middle) < 1 * u.ms


@pytest.mark.slow
def test_a_mosaics_title_is_that_of_all_tiles(simulated: Any) -> None:
    mosaic = dv.open_dataset(simulated("vbi_mosaic"))
    times = {str(tile.headers["DATE-AVG"][0]) for tile in mosaic.flat}
    plot = mosaic.slice_tiles[0].plot()
    assert ("UTC" in plot.axes.get_title()) == (len(times) == 1)
    alone = dv.open_dataset(simulated("dlnirsp")).slice_tiles[1].plot()
    assert "Stokes Q" in alone.axes.get_title()
    assert np.isfinite(alone.images[0].pixels).any()

"""When pixels were taken, compared with the times that dkist and astropy make of the same WCS."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from astropy.time import Time
from hypothesis import given
from hypothesis import strategies as st
from samples import mostly_slow

from dkist_virtual.view.clock import Clock, TimesAlong
from dkist_virtual.view.source import Source


def time_of(ds: Any, point: tuple[int, ...]) -> Time:
    (found,) = (one for one in ds.wcs.array_index_to_world(*point) if isinstance(one, Time))
    return found


@pytest.mark.parametrize(
    "name", mostly_slow(["visp", "visp_moving", "vtf", "vbi_mosaic", "cryonirsp"], "visp", "vtf")
)
def test_every_frame(name: str, datasets: Any) -> None:
    ds = datasets(name)
    source = Source.of(ds)
    clock = source.clocks[0]
    assert clock is not None
    middle = source.middle()
    for axis in clock.axes:
        along = clock.along(axis, middle)
        for pixel in range(ds.shape[axis]):
            point = (*middle[:axis], pixel, *middle[axis + 1 :])
            expected = time_of(ds, point)
            assert abs((Time(along[pixel]) - expected).to_value("us")) <= 1
            assert clock.at(point) == along[pixel]
            assert Clock.of(source.subject).at(point) == along[pixel]  # type: ignore[union-attr]


def test_the_time_of_a_single_frame(datasets: Any) -> None:
    ds = datasets("visp")
    source = Source.of(ds[0, 2])
    clock = source.clocks[0]
    assert clock is not None
    assert clock.axes == ()
    assert Time(clock.at((3, 4))).isot == time_of(ds, (0, 2, 3, 4)).isot
    assert (clock.along(0, (3, 4)) == clock.at((0, 0))).all()


def test_columns_of_a_raster_map(datasets: Any) -> None:
    ds = datasets("visp")
    clock = Source.of(ds[1, :, 7]).clocks[0]
    assert clock is not None
    times = [Time(clock.at((step, 5))).isot for step in range(4)]
    assert times == [time_of(ds, (1, step, 7, 5)).isot for step in range(4)]
    assert len(set(times)) == 4


SECOND = np.timedelta64(1, "s")
START = np.datetime64("2022-10-24T19:00:00", "us")


def test_runs_end_where_steps_are_missing() -> None:
    times = START + np.array([0, 1, 2, 3, 20, 21, 22, 60]) * SECOND
    assert TimesAlong(0, times).runs() == [
        (times[0], times[3]), (times[4], times[6]), (times[7], times[7])
    ]  # fmt: skip
    assert TimesAlong(0, times[:4][::-1]).runs() == [(times[0], times[3])]
    unknown = np.array(["NaT", "NaT"], "M8[us]")
    assert TimesAlong(0, unknown).runs() == []
    assert TimesAlong(0, unknown).nearest(START) is None
    assert TimesAlong(0, unknown).between(START, START + SECOND) is None


@given(
    seconds=st.lists(st.one_of(st.integers(0, 1000), st.none()), min_size=1, max_size=30),
    first=st.integers(-10, 1010),
    last=st.integers(-10, 1010),
)
def test_nearest_and_between(seconds: list[int | None], first: int, last: int) -> None:
    times = np.array(["NaT" if s is None else START + s * SECOND for s in seconds], "M8[us]")
    row = TimesAlong(0, times)
    known = [s for s in seconds if s is not None]
    nearest = row.nearest(START + first * SECOND)
    if known:
        assert nearest is not None
        found = seconds[nearest]
        assert found is not None
        assert abs(found - first) == min(abs(s - first) for s in known)
    low, high = sorted((first, last))
    inside = [n for n, s in enumerate(seconds) if s is not None and low <= s <= high]
    expected = (inside[0], inside[-1] + 1) if inside else None
    assert row.between(START + first * SECOND, START + last * SECOND) == expected


def test_long_rows_come_in_parts(datasets: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    source = Source.of(datasets("visp"))
    point = source.middle()
    whole = source.clocks[0].along(1, point)  # type: ignore[union-attr]
    monkeypatch.setattr("dkist_virtual.view.clock.AT_ONCE", 1)
    monkeypatch.setattr("dkist_virtual.view.clock.FIRST", 1)
    clock = Clock.of(source.subject)
    assert clock is not None
    first, none, last = clock.parts_along(1, point)
    assert first is not None
    assert np.isnat(first).tolist() == [False, True, True, False]
    assert (first[[0, 3]] == whole[[0, 3]]).all()
    assert none is None
    assert np.array_equal(last, whole)  # type: ignore[arg-type]
    assert next(clock.parts_along(1, point)) is last
    # What nobody waits for any more is left, and nothing of it is taken for a whole row.
    other = Clock.of(source.subject)
    assert other is not None
    next(other.parts_along(1, point))
    assert np.array_equal(other.along(1, point), whole)

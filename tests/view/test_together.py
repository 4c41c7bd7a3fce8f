"""Several datasets in step: nearest in time, of the same wavelength, parameter and place."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
import pytest
from astropy import units as u
from astropy.time import Time

from dkist_virtual.view.panels.choose import default_state
from dkist_virtual.view.pictures.outlines import outline_of
from dkist_virtual.view.source import Source
from dkist_virtual.view.state.together import in_step, key_of


def seconds(ds: Any, *point: int) -> float:
    (found,) = (one for one in ds.wcs.array_index_to_world(*point) if isinstance(one, Time))
    return float((found - Time("2020-01-01")).to_value("s"))


@pytest.mark.parametrize("item", [np.s_[:], np.s_[:, 1:], np.s_[1:, ::2], np.s_[:, 1]])
def test_nearest_in_time_of_all_frames(item: Any, datasets: Any) -> None:
    ds = datasets("visp_moving")
    other = ds[item]
    sources = Source.of(ds), Source.of(other)
    state = default_state(sources)
    ends = other.shape[: other.data.ndim - 2]
    rest = sources[1].middle()[len(ends) :]
    times = {at: seconds(other, *at, *rest) for at in product(*map(range, ends))}
    for frame in product(range(2), range(3)):
        at = replace(state, point=(*frame, *state.point[2:]))
        moment = seconds(ds, *at.point)
        found = in_step(sources, at, 1)
        assert found.after == pytest.approx(times[found.point[: len(ends)]] - moment, abs=2e-6)
        least = min(abs(time - moment) for time in times.values())
        assert abs(found.after) == pytest.approx(least, abs=2e-6)


def test_a_scan_stays_at_its_wavelength(datasets: Any) -> None:
    """The nearest frame in time of all may be of another wavelength: that is not meant."""
    ds = datasets("vtf")
    one = ds[2, :, 1]
    sources = Source.of(one), Source.of(ds)
    state = default_state(sources)
    for repeat in range(2):
        found = in_step(sources, state.moved(0, repeat), 1)
        assert found.point == (2, repeat, 1, *state.point[1:])
        assert found.after == 0
        assert found.said.endswith("UTC, at the same time")
    back = Source.of(ds), Source.of(one)
    state = default_state(back)
    found = in_step(back, replace(state, point=(0, 1, 2, 7, 9)), 1)
    assert found.point == (1, 7, 9)
    assert found.after == pytest.approx(seconds(ds, 0, 1, 1, 0, 0) - seconds(ds, 0, 1, 2, 0, 0))
    assert found.said.endswith("s before")


def test_wavelengths_that_do_not_overlap_stay(datasets: Any) -> None:
    ds = datasets("visp")
    low, high = ds[:, :, :10], ds[:, :, 20:]
    sources = Source.of(low), Source.of(high)
    state = replace(default_state(sources), point=(3, 2, 4, 30))
    assert in_step(sources, state, 1).point == (3, 2, high.shape[2] // 2, 30)
    near = Source.of(ds[:, :, 12:14]), Source.of(ds)
    for pixel in range(2):
        point = in_step(near, replace(state, point=(1, 3, pixel, 5)), 1).point
        assert point == (1, 3, 12 + pixel, 5)
        wavelengths = [ds.wcs.array_index_to_world(0, 0, k, 0)[1].to_value(u.nm) for k in (12, 13)]
        assert wavelengths[0] != wavelengths[1]


def test_the_same_place_on_the_sky(datasets: Any) -> None:
    ds = datasets("vtf")
    sources = Source.of(ds), Source.of(ds[..., 5:20, 3:30])
    state = default_state(sources)
    for y, x in ((6, 5), (19, 29), (12, 3)):
        at = replace(state, point=(0, 0, 0, y, x))
        assert in_step(sources, at, 1).point[-2:] == (y - 5, x - 3)
    outside = replace(state, point=(0, 0, 0, 2, 40))
    assert in_step(sources, outside, 1).point[-2:] == sources[1].middle()[-2:]


def test_no_overlap_in_time_is_said(datasets: Any) -> None:
    sources = Source.of(datasets("visp")), Source.of(datasets("vtf"))
    state = default_state(sources)
    assert [picture.dataset for picture in state.pictures] == [0, 0, 1]
    found = in_step(sources, state, 1)
    assert found.after is None
    assert found.point[1] == 0
    assert "no overlap in time with the main dataset, not in step" in found.said


def test_what_the_others_depend_on(datasets: Any) -> None:
    sources = Source.of(datasets("visp")), Source.of(datasets("vtf"))
    state = default_state(sources)
    assert key_of(sources, state.moved(3, 1)) == key_of(sources, state)
    for axis in range(3):
        pixel = (state.point[axis] + 1) % sources[0].shape[axis]
        assert key_of(sources, state.moved(axis, pixel)) != key_of(sources, state)


@pytest.mark.parametrize("name", ["visp", "vtf"])
def test_fields_are_the_footprints(name: str, datasets: Any) -> None:
    ds = datasets(name)
    source = Source.of(ds)
    world = source.subject.world
    outline = outline_of(source, source.middle(), world, 0.0)
    (ring,) = outline.rings
    edge = ds.footprint()
    for found, expected in zip(ring, (edge.Tx, edge.Ty), strict=True):
        values = expected.to_value(u.arcsec)
        assert found.min() == pytest.approx(values.min(), abs=1e-3)
        assert found.max() == pytest.approx(values.max(), abs=1e-3)
    assert np.array_equal(ring[:, 0], ring[:, -1])
    assert (outline.slit is None) is (name == "vtf")
    if outline.slit is not None:
        ends = [ds.wcs.array_index_to_world(0, source.middle()[1], 0, at)[0] for at in (0, 63)]
        assert outline.slit[1].min() < min(end.Ty.value for end in ends)
        assert outline.slit[1].max() > max(end.Ty.value for end in ends)

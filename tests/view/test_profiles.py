"""Profiles of a pixel: their values, their order, and what they read."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from many import write_asdf, write_frames
from watches import counted

import dkist_virtual as dv
from dkist_virtual.view.reading.pixels import ABSENT, FAILED, READ, WAITING, around
from dkist_virtual.view.reading.profiles import ProfileReader, along_axis


def last(steps: Iterator[Any]) -> Any:
    *_, whole = steps
    return whole


def reader(ds: Any, **how: Any) -> ProfileReader:
    return ProfileReader(ds.subject(), **how)


@given(st.integers(1, 300), st.data(), st.integers(1, 9), st.integers(9, 40))
def test_batches_have_each_pixel_once_the_nearest_first(
    n: int, data: Any, first: int, most: int
) -> None:
    centre = data.draw(st.integers(0, n - 1))
    batches = list(around(centre, n, first, most))
    assert sorted(pixel for batch in batches for pixel in batch) == list(range(n))
    assert centre in batches[0]
    assert len(batches[0]) == min(first, n)
    assert max(map(len, batches)) <= most


@pytest.mark.parametrize(("name", "along"), [("vtf", 2), ("visp", 2), ("vbi_mosaic", 0)])
def test_a_profile_is_what_a_slice_of_the_dataset_is(name: str, along: int, datasets: Any) -> None:
    ds = datasets(name)
    point = tuple(n // 2 for n in ds.shape)
    x, y = along_axis(ds.subject())
    assert (x, y) == (along, 0 if name != "vbi_mosaic" else None)
    whole = last(reader(ds).steps(point))
    index = tuple(slice(None) if axis in (x, y) else pixel for axis, pixel in enumerate(point))
    expected = np.asarray(ds.data[index])
    np.testing.assert_array_equal(whole.values, np.atleast_2d(expected))
    assert whole.values.dtype == ds.data.dtype
    assert (whole.marks == READ).all()


def test_stokes_i_comes_first_and_the_rest_follows(datasets: Any) -> None:
    ds = datasets("visp")
    parts = list(reader(ds).steps((2, 1, 20, 30)))
    assert [(part.marks != WAITING).any(axis=1).tolist() for part in parts] == [
        [True, False, False, False],
        [True, True, True, True],
    ]
    parts = list(reader(ds).steps((2, 1, 20, 30), first=3))
    assert (parts[0].marks != WAITING).any(axis=1).tolist() == [False, False, False, True]


@pytest.fixture(scope="module")
def long_series(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The store of a hundred frames."""
    directory = tmp_path_factory.mktemp("series")
    write_frames(directory / "frames", 100)
    write_asdf(directory / "frames" / "many.asdf", 100)
    dv.convert(directory / "frames", directory / "many.virtual", progress=False)
    return directory / "many.virtual"


def test_frames_near_the_point_come_first_and_the_others_only_if_asked_for(
    long_series: Path,
) -> None:
    ds, reads = counted(long_series)
    parts = reader(ds, along=0).steps((97, 5, 6))
    first = next(parts)
    assert np.flatnonzero(first.marks[0] == READ).tolist() == list(range(92, 100))
    assert len({name for name, *_ in reads}) == 8
    whole = last(parts)
    np.testing.assert_array_equal(whole.values[0], np.asarray(ds.data[:, 5, 6]))


def test_a_move_along_the_row_reads_nothing_and_to_another_row_a_tile_of_each_frame(
    long_series: Path,
) -> None:
    ds, reads = counted(long_series)
    profiles = reader(ds, along=0)
    last(profiles.steps((0, 5, 6)))  # their heads are read with the first tile
    reads.clear()
    (again,) = profiles.steps((50, 5, 13))
    assert not reads
    np.testing.assert_array_equal(again.values[0], np.asarray(ds.data[:, 5, 13]))
    reads.clear()
    last(profiles.steps((50, 6, 13)))
    assert len(reads) == len({name for name, *_ in reads}) == 100


def test_a_move_within_a_frame_of_a_slit_spectrograph_reads_nothing_new(
    converted: Any,
) -> None:
    ds, reads = counted(converted("visp"))
    profiles = reader(ds)
    last(profiles.steps((2, 1, 20, 30)))
    assert {name for name, *_ in reads} == frames_of(ds[:, 1])
    reads.clear()
    (moved,) = profiles.steps((0, 1, 3, 50))
    assert not reads
    np.testing.assert_array_equal(moved.values, np.asarray(ds.data[:, 1, :, 50]))


def test_of_a_slit_along_the_rows_the_frame_is_read_once_the_point_moves_in_it(
    long_series: Path,
) -> None:
    ds, reads = counted(long_series)
    profiles = reader(ds, along=2)
    last(profiles.steps((4, 5, 6)))
    assert profiles.nbytes == 20 * 4
    last(profiles.steps((4, 6, 6)))
    reads.clear()
    (moved,) = profiles.steps((4, 11, 0))
    assert not reads
    np.testing.assert_array_equal(moved.values[0], np.asarray(ds.data[4, 11]))


def test_profiles_that_are_kept_have_a_limit(long_series: Path) -> None:
    ds, _ = counted(long_series)
    profiles = reader(ds, along=0, keep=9_000)
    for row in range(3):
        last(profiles.steps((0, row, 0)))
    assert profiles.nbytes <= 9_000


def frames_of(ds: Any) -> set[str]:
    return {Path(name).name for name in ds.files.filenames}


@pytest.fixture(scope="module")
def with_gaps(converted: Any, simulated: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A scan of which one frame is absent and another one is cut short."""
    directory = tmp_path_factory.mktemp("gaps")
    shutil.copytree(simulated("vtf"), directory / "vtf")
    ds = dv.open_dataset(directory / "vtf")
    names = np.asarray(ds.files.filenames).reshape(ds.shape[:3])
    (directory / "vtf" / names[0, 1, 2]).unlink()
    cut = directory / "vtf" / names[2, 1, 0]
    cut.write_bytes(cut.read_bytes()[:6000])
    return dv.open_dataset(directory / "vtf"), dv.open_dataset(simulated("vtf"))


def test_absent_frames_are_gaps_and_broken_ones_are_said(with_gaps: Any) -> None:
    ds, before = with_gaps
    point = (0, 1, 1, 9, 8)
    whole = last(reader(ds).steps(point))
    expected = np.asarray(before.data[:, 1, :, 9, 8])
    marks = np.full(expected.shape, READ)
    marks[0, 2], marks[2, 0] = ABSENT, FAILED
    np.testing.assert_array_equal(whole.marks, marks)
    expected[marks != READ] = np.nan
    np.testing.assert_array_equal(whole.values, expected)
    assert "vtf_" in whole.fault

"""Cuts, reference spectra and wings: compared with numpy on slices, and what they read."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import many
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from watches import counted

import dkist_virtual as dv
from dkist_virtual.demo.server import FrameServer
from dkist_virtual.errors import FrameError, SelectionError
from dkist_virtual.view.reading import pixels as pixels_module
from dkist_virtual.view.reading.cuts import CutReader
from dkist_virtual.view.reading.path_samples import PathSamples
from dkist_virtual.view.reading.pixels import ABSENT, FAILED, READ, read_pixels
from dkist_virtual.view.reading.reference import (
    ReferenceReader,
    continuum_pixel,
    intensity_pixel,
    sample,
)
from dkist_virtual.view.reading.wings import Wings, doppler, fraction, velocity, wavelength_at


def last(steps: Iterator[Any]) -> Any:
    *_, whole = steps
    return whole


# Paths ------------------------------------------------------------------------------------------

CORNERS = st.lists(st.tuples(st.floats(-9, 49), st.floats(-9, 69)), min_size=1, max_size=4)


@settings(max_examples=25)
@given(CORNERS, st.booleans())
def test_pieces_have_each_sample_once_inside_of_what_is_read(corners: Any, by_column: bool) -> None:
    samples = PathSamples.along(corners, (40, 60))
    pieces = list(samples.pieces(by_column=by_column))
    numbers = [number for piece in pieces for number in piece.samples]
    assert numbers == list(range(len(samples)))
    for piece in pieces:
        part = samples.pixels[piece.samples.start : piece.samples.stop]
        assert set(part[:, 0]) <= set(piece.rows)
        assert set(part[:, 1]) <= set(piece.columns)
        read = len(piece.rows) * (len(piece.columns) if by_column else 1)
        needed = len(np.unique(part if by_column else part[:, :1], axis=0))
        assert read <= 1.5 * needed or len(part) == 1


@given(CORNERS)
def test_samples_are_the_nearest_pixels_of_a_path(corners: Any) -> None:
    samples = PathSamples.along(corners, (40, 60))
    assert ((samples.pixels >= 0) & (samples.pixels < (40, 60))).all()
    places = np.asarray(corners)
    ends = np.concatenate([[0], np.cumsum(np.hypot(*np.diff(places, axis=0).T))])
    for pixel, distance in zip(samples.pixels, samples.distance, strict=True):
        there = [np.interp(distance, ends, column) for column in places.T]
        assert np.abs(pixel - there).max() <= 0.5 + 1e-9


# Cuts -------------------------------------------------------------------------------------------


def test_wavelength_and_time_of_a_pixel_read_a_tile_of_each_frame(converted: Any) -> None:
    ds, reads = counted(converted("vtf"))
    cuts = CutReader(ds.subject())
    cut = last(cuts.plane((1, 0, 0, 9, 8), 1, 2))
    np.testing.assert_array_equal(cut.values, np.asarray(ds.data[1, :, :, 9, 8]))
    assert len({name for name, *_ in reads}) == 6
    reads.clear()
    turned = last(cuts.plane((1, 1, 1, 9, 8), 2, 1))
    np.testing.assert_array_equal(turned.values, cut.values.T)
    assert not reads


@pytest.mark.parametrize(("name", "along", "axes"), [
    ("vtf", 1, (3, 4)), ("vtf", 2, (3, 4)), ("visp", 2, (1, 3)),
    pytest.param("cryonirsp", 1, (2, 3), marks=pytest.mark.slow),
])  # fmt: skip
def test_a_cut_along_a_path_is_what_indices_give(
    name: str, along: int, axes: tuple[int, int], datasets: Any
) -> None:
    ds = datasets(name)
    shape = tuple(ds.shape[axis] for axis in axes)
    corners = [(0, 1), (shape[0] - 1, shape[1] - 2), (shape[0] // 2, 0)]
    samples = PathSamples.along(corners, shape)
    point = (1, *[0] * (len(ds.shape) - 1))
    cut = last(CutReader(ds.subject()).path(point, samples, axes, along))
    cube = np.asarray(ds.data[tuple(
        slice(None) if axis in (*axes, along) else pixel for axis, pixel in enumerate(point)
    )])  # fmt: skip
    order = [sorted((*axes, along)).index(axis) for axis in (along, *axes)]
    cube = cube.transpose(order)
    np.testing.assert_array_equal(cut.values, cube[:, samples.pixels[:, 0], samples.pixels[:, 1]])
    assert (cut.marks == READ).all()


def test_a_path_reads_the_rows_that_it_crosses_and_once(converted: Any, simulated: Any) -> None:
    ds, reads = counted(converted("vtf"))
    subject = ds.subject()
    cuts = CutReader(subject)
    near = PathSamples.along([(3, 2), (3, 40)], ds.shape[-2:])
    last(cuts.path((0, 0, 0, 0, 0), near, (3, 4), 2))  # heads, and the first row
    reads.clear()
    last(cuts.path((0, 0, 1, 0, 0), near, (3, 4), 2))
    assert not reads
    samples = PathSamples.along([(5, 2), (9, 40)], ds.shape[-2:])
    last(cuts.path((0, 0, 0, 0, 0), samples, (3, 4), 2))
    assert len({name for name, *_ in reads}) == 3
    whole = sum(file.stat().st_size for file in simulated("vtf").glob("*.fits")) / ds.data.size
    assert sum(length for *_, length in reads) < whole * 3 * 30 * 44 / 3  # five rows of thirty


@pytest.fixture(scope="module")
def raster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, FrameServer]]:
    """The store of forty frames of 12 x 20 pixels, on a server that takes 10 ms for an answer."""
    directory = tmp_path_factory.mktemp("raster")
    many.write_frames(directory / "frames", 40)
    many.write_asdf(directory / "frames" / "many.asdf", 40)
    with FrameServer(directory, delay=0.01).running() as server:
        dv.convert(
            directory / "frames", directory / "store",
            base=f"{server.url}/frames", frames=directory / "frames", progress=False,
        )  # fmt: skip
        yield directory / "store", server


def test_a_path_over_a_raster_asks_for_many_frames_at_once(
    raster: tuple[Path, FrameServer], quick_retries: None
) -> None:
    store, server = raster
    ds: Any = dv.open_dataset(store)  # one that knows nothing of its frames yet
    samples = PathSamples.along([(0, 0), (30, 11), (33, 0), (39, 2)], ds.shape[:2])
    server.forget()
    steps = CutReader(ds.subject()).path((0, 0, 0), samples, (0, 1), 2)
    known = (next(steps).marks == READ).any(axis=0)
    asked = len({path for _, path, *_ in server.requests})
    assert 8 <= asked <= 16
    assert server.busiest >= 8
    assert asked <= known.sum() < len(samples)
    cut = last(steps)
    starts = [start for *_, start, _ in server.requests if start is not None]
    assert starts.count(min(starts)) == len({*samples.pixels[:, 0].tolist()})  # a head of each
    whole = np.asarray(ds.data[:, :, :])
    np.testing.assert_array_equal(cut.values.T, whole[tuple(samples.pixels.T)])


def test_a_frame_that_cannot_be_read_leaves_the_others_of_a_path(
    raster: tuple[Path, FrameServer], quick_retries: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, server = raster
    ds: Any = dv.open_dataset(store)  # one that knows nothing of its frames yet
    samples = PathSamples.along([(0, 0), (39, 11)], ds.shape[:2])
    wrong = {f"frames/{many.name_of(5)}": 403, f"frames/{many.name_of(6)}": 404}
    monkeypatch.setattr(server, "fault", lambda path, n: wrong.get(path))
    reader = CutReader(ds.subject())
    cut = last(reader.path((0, 0, 0), samples, (0, 1), 2))
    marks = dict(zip(samples.pixels[:, 0].tolist(), cut.marks[0], strict=True))
    assert {frame: mark for frame, mark in marks.items() if mark != READ} == {5: FAILED, 6: ABSENT}
    assert many.name_of(5) in cut.fault
    server.forget()
    monkeypatch.undo()
    again = last(reader.path((0, 0, 0), samples, (0, 1), 2))
    assert {path for _, path, *_ in server.requests} == {f"frames/{many.name_of(5)}"}
    assert (again.marks[0] == READ).sum() == (samples.pixels[:, 0] != 6).sum()
    monkeypatch.setattr(server, "fault", lambda path, n: 403)
    server.forget()
    none = last(CutReader(ds.subject()).path((0, 0, 0), samples, (0, 1), 2))
    assert (none.marks == FAILED).all()
    assert len({path for _, path, *_ in server.requests}) <= 16  # then no more are tried


# The reference ----------------------------------------------------------------------------------


@given(st.integers(0, 50), st.integers(1, 400), st.integers(1, 40))
def test_a_sample_is_spread_over_all_pixels(start: int, n: int, most: int) -> None:
    pixels = range(start, start + n)
    chosen = sample(pixels, most)
    assert 1 <= len(chosen) <= most
    assert set(chosen) <= set(pixels)
    assert n > most or chosen == pixels
    before, after = chosen[0] - start, pixels[-1] - chosen[-1]
    assert abs(before - after) <= 1


def test_the_reference_of_a_field_is_the_mean_of_the_pixels_it_says(datasets: Any) -> None:
    ds = datasets("vtf")
    reader = ReferenceReader(ds.subject(), 2, 0, (4, 3), 1)
    found = last(reader.steps((2, 0, 1, 5, 5)))
    rows = sample(range(30), 16)
    cube = np.asarray(ds.data[0, 1, :, rows.start : rows.stop : rows.step], float)
    np.testing.assert_allclose(found.values, cube.mean(axis=(1, 2)), rtol=1e-12)
    assert found.pixels == len(rows) * 44
    assert found.of == 30 * 44
    box = last(reader.steps((2, 0, 1, 5, 5), {3: range(4, 10), 4: range(7, 20)}))
    cube = np.asarray(ds.data[0, 1, :, 4:10, 7:20], float)
    np.testing.assert_allclose(box.values, cube.mean(axis=(1, 2)), rtol=1e-12)
    assert box.text == "mean of all 78 pixels"


def test_the_reference_of_a_raster_leaves_unknown_pixels_out(datasets: Any) -> None:
    ds = datasets("visp")
    found = last(ReferenceReader(ds.subject(), 2, 0, (1, 3)).steps((2, 0, 1, 5)))
    cube = np.asarray(ds.data[0], float)
    assert np.isnan(cube).any()
    with np.errstate(invalid="ignore"):
        expected = np.nansum(cube, axis=(0, 2)) / np.isfinite(cube).sum(axis=(0, 2))
    np.testing.assert_allclose(found.values, expected, rtol=1e-12)


def test_a_fault_is_forgotten_in_the_mean_once_the_field_can_be_read(
    datasets: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    ds = datasets("visp")
    reader = ReferenceReader(ds.subject(), 2, 0, (1, 3))
    expected = last(ReferenceReader(ds.subject(), 2, 0, (1, 3)).steps((2, 0, 1, 5)))
    part = next(iter(reader._parts(reader.ranges((2, 0, 1, 5)), (2, 0, 1, 5))))

    def read(subject: Any, ranges: Any) -> Any:
        if ranges == part:
            raise FrameError("not now")
        return read_pixels(subject, ranges)

    monkeypatch.setattr(pixels_module, "read_pixels", read)
    found = last(reader.steps((2, 0, 1, 5)))
    assert found.fault == "not now"
    monkeypatch.undo()
    again = last(reader.steps((2, 0, 1, 5)))
    assert (again.fault, again.pixels) == ("", expected.pixels)
    np.testing.assert_array_equal(again.values, expected.values)


def test_a_part_of_the_mean_counts_once_though_two_read_it(datasets: Any) -> None:
    ds = datasets("visp")
    reader = ReferenceReader(ds.subject(), 2, 0, (1, 3))
    expected = last(ReferenceReader(ds.subject(), 2, 0, (1, 3)).steps((2, 0, 1, 5)))
    first = reader.steps((2, 0, 1, 5))
    next(first)
    sums = reader._kept.get(reader.ranges((2, 0, 1, 5)))
    assert sums is not None
    (part,) = sums.done
    sums.put(part, *read_pixels(ds.subject(), part))
    np.testing.assert_array_equal(last(first).values, expected.values)
    assert int(sums.counts.max()) == expected.pixels


def test_the_continuum_is_beside_the_line() -> None:
    pixels = np.arange(101)
    line = 1 - 0.7 * np.exp(-(((pixels - 50) / 8) ** 2))
    assert abs(continuum_pixel(line) - 50) > 16
    line[3] = 50  # a cosmic ray
    assert continuum_pixel(line) != 3
    assert continuum_pixel(np.full(4, np.nan)) is None


# Wings ------------------------------------------------------------------------------------------


def test_velocities_are_those_of_astropy() -> None:
    import astropy.units as u

    nm = np.linspace(630.1, 630.4, 7)
    expected = (nm * u.nm).to_value(u.km / u.s, u.doppler_optical(630.25 * u.nm))
    np.testing.assert_allclose(velocity(nm, 630.25), expected, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(wavelength_at(velocity(nm, 630.25), 630.25), nm, rtol=1e-14)


@given(st.permutations(list(range(12))), st.floats(0.1, 10.9), st.floats(0, 20))
def test_wings_are_on_both_sides_of_the_line(
    wavelengths: list[int], centre: float, offset: float
) -> None:
    wings = Wings.of(wavelengths, centre, offset)
    assert wings is not None
    blue, red = wavelengths[wings.blue], wavelengths[wings.red]
    assert blue < centre < red
    assert wings.offset == (red - blue) / 2
    assert Wings.of(wavelengths, 11, offset) is None


def test_red_minus_blue_over_their_sum() -> None:
    red, blue = np.array([3.0, 0, np.nan, -4], "f4"), np.array([1.0, 0, 1, 1], "f4")
    found = doppler(red, blue)
    np.testing.assert_array_equal(found, np.array([0.5, np.nan, np.nan, np.nan], "f4"))
    assert found.dtype == np.float32
    np.testing.assert_array_equal(
        fraction(red, np.array([2, 0, 1, 4], "f4")), np.array([1.5, np.nan, np.nan, -1], "f4")
    )


def test_a_mean_without_stokes_i_is_refused(datasets: Any) -> None:
    ds = datasets("visp")
    for part, stokes, along in ((ds[1:], 0, 2), (ds[3], None, 1)):
        with pytest.raises(SelectionError, match="expected I among them"):
            ReferenceReader(part.subject(), along, stokes, (along - 1,))
    assert intensity_pixel(ds.subject()) == 0
    assert intensity_pixel(ds[0].subject()) == 0
    assert intensity_pixel(ds[1:].subject()) is None

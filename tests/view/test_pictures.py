"""Check what pictures read, and how: only what is shown, at the screen's resolution, once."""

from __future__ import annotations

import re
import shutil
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from pictured import SPECTRA, C, Image, sky_header, spectral_axis

import dkist_virtual as dv
from dkist_virtual.demo.server import FrameServer
from dkist_virtual.errors import FrameError, FrameUnreachableError, SelectionError
from dkist_virtual.plot.planes import Plane
from dkist_virtual.view.page.choices import lines_within
from dkist_virtual.view.pictures import render
from dkist_virtual.view.pictures.layers import Layering, Layers
from dkist_virtual.view.pictures.levels import FIRST, NOTHING, colours, levels_of, palette_of
from dkist_virtual.view.pictures.render import Painter, Request
from dkist_virtual.view.pictures.sampling import Block, Sampling, fit_window
from dkist_virtual.view.reading.planes import BlockCache
from dkist_virtual.view.source import Source
from dkist_virtual.view.state.state import PictureState, ViewState


class Counted:
    """An array that counts what is read of it."""

    def __init__(self, pixels: Any) -> None:
        self.pixels, self.shape, self.read = pixels, pixels.shape, 0
        self.reads: list[tuple[int, ...]] = []

    def __getitem__(self, index: Any) -> Any:
        part = self.pixels[index]
        self.read += part.size
        self.reads.append(part.shape)
        return part


def request_for(source: Source, at: tuple[int, ...], axes: tuple[int, int], **look: Any) -> Request:
    size = look.pop("size", (100, 80))
    return Request(source, PictureState(axes, **look), Layers((at,), None, False, ""), size)


def last(painter: Painter, request: Request) -> Any:
    return list(painter.draw(request))[-1]


@pytest.fixture
def counted(datasets: Callable[[str], Any]) -> tuple[Source, Counted]:
    """A ViSP dataset, (stokes, raster, wavelength, slit) = (4, 4, 40, 64), with counted reads."""
    source = Source.of(datasets("visp"))
    array = Counted(datasets("visp").data.compute())
    object.__setattr__(source.subject, "data", array)
    return source, array


def test_a_window_reads_what_it_shows_alone(counted: tuple[Source, Counted]) -> None:
    source, array = counted
    painter, at = Painter(), (0, 1, 0, 0)
    whole = last(painter, request_for(source, at, (2, 3)))
    assert array.read == 40 * 64
    left, right, bottom, top = whole.window
    quarter = (left, (left + right) / 2, bottom, (bottom + top) / 2)
    array.read = 0
    drawn = last(painter, request_for(source, at, (2, 3), window=quarter))
    assert array.read <= 24 * 40  # a quarter, rounded up
    geometry = drawn.tiles[0].geometry
    for y, x in ((40, 50), (70, 10)):
        at = (
            left + (x + 0.5) * (quarter[1] - left) / 100,
            bottom + (y + 0.5) * (quarter[3] - bottom) / 80,
        )
        column, row = (round(float(one)) for one in geometry.pixels(*at))
        assert drawn.values[y, x] == array.pixels[0, 1, column, row]


def test_a_step_back_and_a_small_move_read_nothing(counted: tuple[Source, Counted]) -> None:
    source, array = counted
    painter = Painter()
    first = last(painter, request_for(source, (0, 1, 0, 0), (2, 3)))
    last(painter, request_for(source, (0, 2, 0, 0), (2, 3)))
    array.read = 0
    again = last(painter, request_for(source, (0, 1, 5, 9), (2, 3)))
    np.testing.assert_array_equal(first.values, again.values)
    assert array.read == 0
    # Of neighbours that were read ahead, too.
    painter.read_ahead(request_for(source, (0, 3, 0, 0), (2, 3)))
    array.read = 0
    last(painter, request_for(source, (0, 3, 0, 0), (2, 3)))
    assert array.read == 0


def test_a_small_screen_reads_every_nth_row_and_averages(counted: tuple[Source, Counted]) -> None:
    source, array = counted
    # 40 wavelengths on 8 screen pixels, 64 pixels of the slit on 16: of the rows, every second.
    drawn = last(Painter(), request_for(source, (0, 1, 0, 0), (2, 3), size=(8, 16)))
    assert array.reads == [(20, 64)]
    frame = array.pixels[0, 1]
    expected = np.nanmean(frame[1:4:2, 0:4])
    assert drawn.values[0, 0] == pytest.approx(expected, rel=1e-6)
    assert drawn.values.shape == (16, 8)


def test_blocks_leave_no_more_than_the_cache_holds() -> None:
    cache = BlockCache(4000)
    for key in range(10):
        list(cache.read(key, lambda: iter([Block(np.zeros((10, 25), np.float32), None)])))
        assert cache.nbytes <= 4000
    assert 9 in cache
    assert 6 in cache
    assert 5 not in cache


def test_two_threads_read_a_block_once() -> None:
    cache, go, begun = BlockCache(), threading.Event(), threading.Event()
    reads: list[int] = []

    def read() -> Iterator[Block]:
        reads.append(1)
        begun.set()
        go.wait()
        yield Block(np.ones((2, 2), np.float32), None)

    found: list[Block] = []
    threads = [
        threading.Thread(target=lambda: found.extend(cache.read("key", read))) for _ in range(2)
    ]
    threads[0].start()
    begun.wait()
    threads[1].start()
    go.set()
    for thread in threads:
        thread.join()
    assert len(found) == 2
    assert len(reads) == 1


def test_a_read_that_nobody_waits_for_is_begun_again() -> None:
    cache = BlockCache()
    block = Block(np.ones((2, 2), np.float32), None)
    abandoned = cache.read("key", lambda: iter([block, block]))
    next(abandoned)
    abandoned.close()
    assert list(cache.read("key", lambda: iter([block]))) == [block]


def test_blocks_of_absent_frames_are_read_again_once_they_are_forgotten() -> None:
    cache, pixels = BlockCache(), np.ones((2, 2), np.float32)
    gone, there = Block(pixels, np.ones((2, 2), bool)), Block(pixels, None)
    coming = cache.read("coming", lambda: iter([gone, gone]))
    next(coming)
    for key, block in (("gone", gone), ("there", there)):
        assert list(cache.read(key, lambda block=block: iter([block]))) == [block]  # type: ignore[misc]
    cache.forget_absent()
    assert list(coming) == [gone]  # it was asked for before the frames came
    assert [key in cache for key in ("gone", "there", "coming")] == [False, True, False]
    for key in ("gone", "coming"):
        assert list(cache.read(key, lambda: iter([there]))) == [there]


def test_a_fault_is_raised_again_not_kept() -> None:
    cache = BlockCache()

    def fail() -> Iterator[Block]:
        raise FrameUnreachableError("the server is away")
        yield

    for _ in range(2):
        with pytest.raises(FrameUnreachableError):
            list(cache.read("key", fail))
    block = Block(np.ones((2, 2), np.float32), None)
    assert list(cache.read("key", lambda: iter([block]))) == [block]


def test_a_map_of_many_frames_comes_in_parts_that_each_show_all() -> None:
    pixels = np.arange(64 * 3 * 5, dtype=np.float32).reshape(64, 3, 5)
    source = Source.of(Image(pixels[:, 0], sky_header(0, 1)))
    object.__setattr__(source.roles, "frame", (1,))
    parts = Painter().draw(request_for(source, (0, 0), (0, 1), size=(64, 640)))
    drawn = [one for one in parts if one is not None]
    assert len(drawn) == 8
    assert [one.is_whole for one in drawn] == [False] * 7 + [True]
    inside = np.isfinite(drawn[-1].values)
    for part in drawn:
        np.testing.assert_array_equal(np.isfinite(part.values), inside)
    geometry = drawn[-1].tiles[0].geometry
    left, right, bottom, top = drawn[-1].window
    for column in (0, 17, 63):
        x, y = geometry.world(column, 2)
        at = int((y - bottom) / (top - bottom) * 640), int((x - left) / (right - left) * 64)
        assert drawn[-1].values[at] == pixels[column, 0, 2]
        assert drawn[0].values[at] == pixels[column // 8 * 8, 0, 2]


def test_a_mosaic_reads_the_tiles_in_view_those_in_the_middle_first(
    converted: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    mosaic = dv.open_dataset(converted("vbi_mosaic"))
    source = Source.of(mosaic)
    order: list[int] = []
    for number, (subject, tile) in enumerate(zip(source.subjects, mosaic.flat, strict=True)):

        class Told(Counted):
            number: int

            def __getitem__(self, index: Any) -> Any:
                order.append(self.number)
                return super().__getitem__(index)

        array = Told(tile.data.compute())
        array.number = number
        object.__setattr__(subject, "data", array)
    monkeypatch.setattr(render, "PART_SECONDS", 0)
    painter = Painter()
    whole = list(painter.draw(request_for(source, (0, 0, 0), (2, 1))))
    assert sorted(order) == [0, 1, 2, 3]
    assert len(whole) == 4
    # Tiles that come soon after each other are drawn once.
    monkeypatch.setattr(render, "PART_SECONDS", np.inf)
    (once,) = Painter().draw(request_for(source, (0, 0, 0), (2, 1)))
    assert once is not None
    assert whole[-1] is not None
    np.testing.assert_array_equal(once.levels, whole[-1].levels)
    order.clear()
    bounds = whole[-1].tiles[2].geometry.bounds
    list(painter.draw(request_for(source, (1, 0, 0), (2, 1), window=bounds)))
    assert order == [2]


def test_absent_frames_are_hatched_and_others_drawn(
    simulated: Callable[[str], Path], tmp_path: Path
) -> None:
    shutil.copytree(simulated("visp"), tmp_path / "frames")
    ds = dv.open_dataset(tmp_path / "frames")
    gone = ds[0, 2].files.filenames[0]
    (tmp_path / "frames" / gone).unlink()
    source = Source.of(ds)
    absent = last(Painter(), request_for(source, (0, 2, 0, 0), (2, 3)))
    assert absent.n_absent == 80 * 100
    assert set(np.unique(absent.levels)) == {1, 2}
    assert np.isnan(absent.values).all()
    there = last(Painter(), request_for(source, (0, 1, 0, 0), (2, 3)))
    assert there.n_absent == 0
    assert there.levels.max() == 255
    # The map has one column without its frame.
    drawn = last(Painter(), request_for(source, (0, 0, 20, 0), (1, 3), size=(80, 40)))
    hatched = np.isin(drawn.levels, (1, 2))
    assert hatched[:, 40:60].all()
    assert not hatched[:, :40].any()
    assert not hatched[:, 60:].any()


def test_levels_keep_0_for_nothing_and_two_for_the_absent() -> None:
    pixels = np.array([[np.nan, -5, 0, 5, 99, -np.inf]], np.float32)
    assert levels_of(pixels, None, (-5, 5)).tolist() == [[NOTHING, FIRST, 129, 255, 255, NOTHING]]
    absent = np.array([[True] + [False] * 5])
    assert levels_of(pixels, absent, (-5, 5))[0, 0] in (1, 2)
    assert len(palette_of("gray")) == 255
    assert palette_of("gray")[FIRST - 1 :] == colours("gray")
    assert colours("gray")[0] == "#000000"
    assert colours("gray")[-1] == "#ffffff"


def test_stokes_v_is_symmetric_around_zero(datasets: Callable[[str], Any]) -> None:
    source = Source.of(datasets("visp"))
    state = ViewState(source.middle(), (PictureState((2, 3)),))
    signs = []
    for stokes in range(4):
        at = (stokes, 1, 0, 0)
        layers = Layering().of(source, state.pictures[0], at, state)
        drawn = last(Painter(), Request(source, state.pictures[0], layers, (50, 50)))
        signs.append(drawn.limits[0] == -drawn.limits[1])
        assert drawn.cmap == ("RdBu_r" if stokes else "gray")
    assert signs == [False, True, True, True]


def test_a_window_is_widened_to_equal_scales() -> None:
    assert fit_window((0, 10, 0, 10), (200, 100)) == (-5, 15, 0, 10)
    assert fit_window((0, 10, 0, 10), (100, 200)) == (0, 10, -5, 15)


def test_averages_ignore_unknown_pixels_and_keep_the_absent() -> None:
    pixels = np.array([[1, np.nan, 4, 4], [3, np.nan, 4, 4]], np.float32)
    absent = np.array([[False, False, True, True], [False, False, True, True]])
    block = Block.of(Plane(pixels, absent), 2, 2)
    assert block.pixels[0, 0] == 2
    assert np.isnan(block.pixels[0, 1])
    assert block.absent is not None
    assert block.absent.tolist() == [[False, True]]


def test_a_window_beside_the_plane_reads_nothing(counted: tuple[Source, Counted]) -> None:
    source, array = counted
    drawn = last(Painter(), request_for(source, (0, 0, 0, 0), (2, 3), window=(0, 1, 0, 1)))
    assert array.read == 0
    assert not drawn.levels.any()
    assert Sampling.of(drawn.tiles[0].geometry, (0, 1, 0, 1), (9, 9)) is None


def test_a_doppler_picture_is_red_minus_blue_wing_of_stokes_i(
    datasets: Callable[[str], Any],
) -> None:
    ds = datasets("visp")
    source = Source.of(ds)
    kinds = [one.kind for one in source.subject.world.axes]
    nm = [
        ds.wcs.low_level_wcs.pixel_to_world_values(0, k, 0, 0)[kinds.index("wavelength")]
        for k in range(40)
    ]
    step = abs(nm[21] - nm[20]) / nm[20] * 299_792.458
    picture = PictureState((1, 3), kind="doppler")
    state = ViewState((2, 0, 20, 0), (picture,), wing=3 * step, line=nm[20])
    layers = Layering().of(source, picture, state.point, state)
    drawn = last(Painter(), Request(source, picture, layers, (40, 640)))
    pixels = ds.data.compute()[0]
    up = 3 if nm[1] > nm[0] else -3
    red, blue = pixels[:, 20 + up], pixels[:, 20 - up]
    geometry = drawn.tiles[0].geometry
    left, right, bottom, top = drawn.window
    for column, row in ((0, 30), (3, 12)):
        x, y = geometry.world(column, row)
        at = int((y - bottom) / (top - bottom) * 640), int((x - left) / (right - left) * 40)
        expected = (red - blue)[column, row] / (red + blue)[column, row]
        assert drawn.values[at] == pytest.approx(expected, rel=1e-5)
    assert drawn.limits[0] == -drawn.limits[1]
    with pytest.raises(SelectionError, match="on one side alone"):
        Layering().of(source, picture, state.point, replace(state, line=100.0))
    with pytest.raises(SelectionError, match="does not draw"):
        Layering().of(source, replace(picture, axes=(2, 3)), state.point, state)


@pytest.mark.parametrize("what", SPECTRA)
def test_the_label_says_which_sign_is_towards_us(what: str) -> None:
    """A line in absorption that comes towards us with 0.5 km/s on the left, and goes away."""
    ctype, unit, ends, own = SPECTRA[what]
    # By hand: the wavelength of each pixel, and a line that is shifted by v / c of its own.
    along = np.linspace(*ends, 21)
    in_nm: dict[str, Callable[[Any], Any]] = {
        "GHz": lambda frequency: C / frequency,
        "cm-1": lambda number: 1e7 / number,
        "m/s": lambda speed: 630 * (1 + speed / C),
        "Angstrom": lambda wavelength: wavelength / 10,
    }
    nm = in_nm.get(unit, np.asarray)(along)
    speed = np.array([-500.0, -500, 0, 500, 500])
    depth = np.exp(-(((nm[:, None] - 630 * (1 + speed / C)) / 0.004) ** 2))
    pixels = np.repeat((1000 * (1 - 0.6 * depth))[:, None].astype(np.float32), 2, axis=1)
    source = Source.of(Image(pixels, spectral_axis(ctype, unit, ends, own)))
    assert source.roles.wavelength == 0
    picture = PictureState((2, 1), kind="doppler")
    state = ViewState((10, 0, 0), (picture,), wing=2.0)
    layers = Layering().of(source, picture, state.point, state)
    request = Request(source, picture, layers, (50, 20))
    signs = [np.sign(round(Painter().value(request, 0, column, 1), 4)) for column in range(5)]
    assert signs == [1, 1, 0, -1, -1]
    if own is None:
        assert "absorption: + towards us, \N{MINUS SIGN} away" in layers.label
        (km,) = re.findall(r"\N{PLUS-MINUS SIGN}([0-9.]+) km/s", layers.label)
        assert float(km) == pytest.approx(1.9, abs=0.06)  # the pixels nearest to 2 km/s
        red, blue = (point[0] for point in layers.points)
        assert nm[red] > nm[blue]
        lows = colours(layers.cmap)[10], colours(layers.cmap)[-10]
        assert [colour[1:3] > colour[5:] for colour in lows] == [True, False]  # red is away
    else:
        assert "sign of velocity not known" in layers.label
        assert "towards" not in layers.label
        assert layers.cmap == "RdBu_r"
        assert [point[0] for point in layers.points] == [11, 9]
        with pytest.raises(SelectionError, match="on one side alone"):
            Layering().of(source, picture, (20, 0, 0), state)
    session: Any = SimpleNamespace(source=source, lines=[("Fe", 630.0)])
    known = own is None and what != "velocities"
    assert lines_within(session) == session.lines * known


def test_fractions_are_in_units_of_one_continuum(datasets: Callable[[str], Any]) -> None:
    ds = datasets("visp")
    source = Source.of(ds)
    picture = PictureState((2, 3), kind="fraction")
    pixels = ds.data.compute()
    means = np.nanmean(pixels[0].astype(float), axis=(0, 2))
    ratios = []
    for stokes in (0, 3):
        at = (stokes, 1, 20, 30)
        state = ViewState(at, (picture,))
        layers = Layering().of(source, picture, at, state)
        value = Painter().value(Request(source, picture, layers, (40, 64)), 0, 20, 30)
        ratios.append(float(pixels[stokes, 1, 20, 30]) / value)
        assert layers.label == f"{'IQUV'[stokes]} / Ic"
        assert layers.is_signed == bool(stokes)
    assert ratios[0] == pytest.approx(ratios[1], rel=1e-6)
    # A continuum that is found from the field: one of the mean spectrum's higher values.
    assert np.percentile(means, 80) < ratios[0] <= means.max() * 1.001


def test_the_continuum_is_found_again_once_absent_frames_may_have_come(
    simulated: Callable[[str], Path], tmp_path: Path
) -> None:
    shutil.copytree(simulated("visp"), tmp_path / "frames")
    ds = dv.open_dataset(tmp_path / "frames")
    source, picture = Source.of(ds), PictureState((2, 3), kind="fraction")
    gone = tmp_path / "frames" / ds[0, 2].files.filenames[0]
    gone.rename(tmp_path / gone.name)
    layering, at = Layering(), (0, 1, 20, 30)

    def fraction(layering: Layering) -> float:
        layers = layering.of(source, picture, at, ViewState(at, (picture,)))
        return Painter().value(Request(source, picture, layers, (40, 64)), 0, 20, 30)

    before = fraction(layering)
    (tmp_path / gone.name).rename(gone)
    assert fraction(layering) == before
    layering.forget_absent()
    assert fraction(layering) == fraction(Layering()) != before


@pytest.fixture(scope="module")
def served(simulated: Callable[[str], Path]) -> Iterator[FrameServer]:
    with FrameServer(simulated("vbi_mosaic")).running() as server:
        yield server


def test_a_step_over_http_requests_what_is_shown_and_goes_on_after_a_fault(
    converted: Callable[[str], Path], server: FrameServer, quick_retries: None
) -> None:
    tile = dv.open_dataset(converted("vbi_mosaic"), frames=server.url, cache=None).flat[0]
    source = Source.of(tile)
    painter = Painter()
    last(painter, request_for(source, (0, 0, 0), (2, 1)))
    server.forget()
    last(painter, request_for(source, (1, 0, 0), (2, 1)))
    frame = server.directory / tile.files.names[1]
    assert {path for _, path, *_ in server.requests} == {frame.name}
    assert len(server.requests) <= 2
    assert server.sent <= frame.stat().st_size
    # Of a step that was read ahead, and one back, nothing.
    painter.read_ahead(request_for(source, (2, 0, 0), (2, 1)))
    server.forget()
    for time in (2, 1, 0):
        last(painter, request_for(source, (time, 9, 9), (2, 1)))
    assert server.requests == []
    # A frame that cannot be had is said; the next one is drawn.
    server.fault = lambda path, n: 403
    painter = Painter()
    with pytest.raises(FrameError):
        last(painter, request_for(source, (0, 0, 0), (2, 1)))
    server.fault = lambda path, n: None
    drawn = last(painter, request_for(source, (0, 0, 0), (2, 1)))
    assert np.isfinite(drawn.values).any()

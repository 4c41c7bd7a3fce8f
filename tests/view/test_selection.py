"""What is marked on a page is selected exactly, and the line of Python selects the same."""

from __future__ import annotations

import itertools
from functools import cache
from typing import Any

import astropy.units as u
import numpy as np
import pytest
import suns
from astropy.coordinates import SkyCoord
from hypothesis import given, settings
from hypothesis import strategies as st

import dkist_virtual as dv
from dkist_virtual.errors import OutsideError, SelectionError
from dkist_virtual.view.actions.marked_pixels import pixels_in_box
from dkist_virtual.view.actions.selection import (
    main_plane,
    only_shown,
    path_line,
    python_line,
    selection,
    share_in_box,
)
from dkist_virtual.view.pictures.geometry import Sky
from dkist_virtual.view.source import Source
from dkist_virtual.view.state.state import Bounds, PictureState, ViewState


def state_of(source: Source, axes: tuple[int, int], **marks: Any) -> ViewState:
    return ViewState(source.middle(), (PictureState(axes),), **marks)


def outline(plane: Any, columns: range, rows: range) -> Any:
    """The corners of a rectangle of pixels, in the coordinates of a picture."""
    left, right = columns[0] - 0.5, columns[-1] + 0.5
    bottom, top = rows[0] - 0.5, rows[-1] + 0.5
    return plane.world(np.array([left, right, right, left]), np.array([bottom, bottom, top, top]))


def box_of(corners: Any) -> Bounds:
    (left, bottom), (right, top) = corners.min(axis=1).tolist(), corners.max(axis=1).tolist()
    return left, right, bottom, top


def run(line: str, **names: Any) -> Any:
    """Run a line as it is printed: imports, and an expression at the end."""
    *before, last = line.splitlines()
    exec("\n".join(before), names)
    return eval(last, names)


def same(one: Any, other: Any) -> None:
    if isinstance(one, dv.TiledDataset):
        np.testing.assert_array_equal(one.mask, other.mask)
        for a, b in zip(one.flat, other.flat, strict=True):
            same(a, b)
        return
    assert one.shape == other.shape
    np.testing.assert_array_equal(np.asarray(one.data), np.asarray(other.data))
    ends = [np.zeros(one.wcs.low_level_wcs.pixel_n_dim), np.subtract(one.shape[::-1], 1)]
    for end in ends:
        for a, b in zip(
            np.atleast_1d(one.wcs.low_level_wcs.pixel_to_world_values(*end)),
            np.atleast_1d(other.wcs.low_level_wcs.pixel_to_world_values(*end)),
            strict=True,
        ):
            assert a == b


@cache
def sky_tile(rotation: float, mirrored: bool) -> tuple[Any, Source, Any]:
    """A tile of numbered pixels, and the Tx and Ty of each by astropy alone."""
    tile = suns.tile((100.0, -50.0), rotation=rotation, mirrored=mirrored)
    pixels = np.arange(44.0 * 48).reshape(44, 48)
    ds = dv.Dataset(pixels, wcs=tile.wcs, unit="ct")
    y, x = np.indices(ds.shape)
    lon, lat = tile.wcs.low_level_wcs.pixel_to_world_values(x, y)
    return ds, Source.of(ds), np.stack([(3600 * lon + 648000) % 1296000 - 648000, 3600 * lat])


ANGLES = [0.0, 90.0, 180.0, -90.0, 30.0, -117.0, 0.1]


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("rotation", ANGLES)
def test_a_box_on_the_sky_selects_the_pixels_in_it(rotation: float, mirrored: bool) -> None:
    ds, source, sky = sky_tile(rotation, mirrored)
    box = (97.13, 103.71, -55.29, -51.17)
    state = state_of(source, (source.shown.x, source.shown.y or 0), box=box)
    chosen = selection([source], state)
    found = np.isin(ds.data, chosen.data)
    inside = (box[0] <= sky[0]) & (sky[0] <= box[1]) & (box[2] <= sky[1]) & (sky[1] <= box[3])
    assert inside.any()
    assert not (inside & ~found).any()
    rows, columns = inside.any(axis=1).nonzero()[0], inside.any(axis=0).nonzero()[0]
    # A corner of a turned box may have no centre in it: a pixel on each side at most.
    spare = 0 if rotation % 90 == 0 else 1
    assert np.subtract(chosen.shape, (np.ptp(rows) + 1, np.ptp(columns) + 1)).max() <= 2 * spare
    same(run(python_line([source], state), ds=ds), chosen)
    share = share_in_box([source], state)
    assert share == pytest.approx((inside & found).sum() / found.sum(), abs=0.02)
    assert (share == 1) == (abs(rotation) % 90 < 1)


@settings(max_examples=40)
@given(st.data())
def test_any_box_on_the_sky_selects_all_that_is_in_it(data: st.DataObject) -> None:
    ds, source, sky = sky_tile(data.draw(st.sampled_from(ANGLES[:6])), data.draw(st.booleans()))
    x = sorted(data.draw(st.tuples(st.floats(80, 120), st.floats(80, 120))))
    y = sorted(data.draw(st.tuples(st.floats(-70, -30), st.floats(-70, -30))))
    state = state_of(source, (1, 0), box=(x[0], x[1], y[0], y[1]))
    inside = (x[0] <= sky[0]) & (sky[0] <= x[1]) & (y[0] <= sky[1]) & (sky[1] <= y[1])
    try:
        chosen = selection([source], state)
    except OutsideError:
        assert not inside.any()
        return
    assert not (inside & ~np.isin(ds.data, chosen.data)).any()
    same(run(python_line([source], state), ds=ds), chosen)
    # Turned around, it is the same box.
    turned = state_of(source, (0, 1), box=(x[1], x[0], y[1], y[0]))
    same(selection([source], turned), chosen)


def test_the_line_reads_as_one_would_write_it(datasets: Any) -> None:
    ds = datasets("vtf")
    source = Source.of(ds)
    assert source.shape == (4, 2, 3, 30, 44)
    shown = source.shown
    assert shown.y is not None
    state = state_of(source, (shown.x, shown.y))
    assert python_line([source], state) == "ds"
    assert selection([source], state) is ds
    x, y = (range(4, 31), range(10, 16)) if shown.x == 4 else (range(10, 16), range(4, 31))
    box = box_of(outline(main_plane([source], state), x, y))
    state = state_of(source, (shown.x, shown.y), box=box, ranges=((0, 0, 2), (2, 1, 2)))
    assert python_line([source], state) == "ds[0:2, :, 1, 10:16, 4:31]"
    np.testing.assert_array_equal(
        selection([source], state).data.compute(), ds[0:2, :, 1, 10:16, 4:31].data.compute()
    )
    state = only_shown(state_of(source, (shown.x, shown.y)), source.shape)
    assert python_line([source], state) == "ds[0, 0, 0]"
    state = only_shown(state_of(source, (4, 3)), source.shape, kept=(0,))
    assert python_line([source], state) == "ds[:, 0, 0]"
    every = tuple((axis, 1, 2) for axis in range(5))
    state = state_of(source, (4, 3), ranges=every)
    assert python_line([source], state) == "ds[1:2, 1:2, 1:2, 1:2, 1:2]"


def test_a_box_on_other_axes_is_in_their_coordinates(datasets: Any) -> None:
    """Of a slit's picture: wavelengths, of which each pixel has one, and places on the slit."""
    ds = datasets("visp")
    source = Source.of(ds)
    assert source.shape == (4, 4, 40, 64)
    wave = np.sort(source.subject.world.along([source.subject.world.of_kind("wavelength")])[0])
    (along,) = source.subject.world.of_kind("wavelength").array_axes
    across = 5 - along
    for axes in ((along, across), (across, along)):
        state = state_of(source, axes)
        plane = main_plane([source], state)
        assert not isinstance(plane, Sky)
        places = plane.y if axes[0] == along else plane.x
        slit = sorted((float(places.at(6.6)), float(places.at(9.4))))
        waves = (float(wave[5] - 1e-5), float(wave[10] + 1e-5))
        box = (*waves, *slit) if axes[0] == along else (*slit, *waves)
        state = state_of(source, axes, box=box)
        first, last = (5, 11) if plane_ascends(source, along) else (len(wave) - 11, len(wave) - 5)
        index = ["7:10", f"{first}:{last}"] if across < along else [f"{first}:{last}", "7:10"]
        assert python_line([source], state) == f"ds[:, :, {', '.join(index)}]"


def plane_ascends(source: Source, axis: int) -> bool:
    ends = [np.zeros(4), np.zeros(4)]
    ends[1][axis] = 1
    world = source.subject.world
    first, second = (world.values(*end)[world.of_kind("wavelength").index] for end in ends)
    return bool(first < second)


@pytest.mark.parametrize("name", ["visp", "vtf"])
def test_any_marks_select_the_same_by_line(name: str, datasets: Any) -> None:
    ds = datasets(name)
    source = Source.of(ds)
    pairs = list(itertools.permutations(range(len(source.shape)), 2))

    @settings(max_examples=12)
    @given(st.data())
    def selects(data: st.DataObject) -> None:
        axes = data.draw(st.sampled_from(pairs))
        ranges = []
        for axis in data.draw(st.sets(st.integers(0, len(source.shape) - 1))):
            ends = data.draw(st.tuples(*[st.integers(0, source.shape[axis] - 1)] * 2))
            ranges.append((axis, min(ends), max(ends) + 1))
        state = state_of(source, axes, ranges=tuple(ranges))
        if data.draw(st.booleans()):
            plane = main_plane([source], state)
            corner = [data.draw(st.integers(0, source.shape[axis] - 1)) for axis in axes]
            other = [data.draw(st.integers(0, source.shape[axis] - 1)) for axis in axes]
            x, y = (range(min(a, b), max(a, b) + 1) for a, b in zip(corner, other, strict=True))
            box = box_of(outline(plane, x, y))
            state = state_of(source, axes, ranges=tuple(ranges), box=box)
            # All pixels of the rectangle that is drawn are in it: nothing is lost.
            found = pixels_in_box(plane, box)
            assert set(x) <= set(found[0])
            assert set(y) <= set(found[1])
        try:
            chosen = selection([source], state)
        except SelectionError as error:
            assert "none in common" in str(error)  # noqa: PT017
            return
        other_one = run(python_line([source], state), ds=ds)
        assert chosen.shape == other_one.shape
        np.testing.assert_array_equal(chosen.files.names, other_one.files.names)
        index = (0,) * (len(chosen.shape) - 1)
        np.testing.assert_array_equal(chosen.data[index].compute(), other_one.data[index].compute())

    selects()


def test_a_box_on_a_mosaic_crops_its_tiles() -> None:
    mosaic = suns.mosaic(rotation=20.0, missing=((2, 2),))
    source = Source.of(mosaic)
    box = (-168.123456, -140.0, 70.0, 92.5)
    shown = source.shown
    assert shown.y is not None
    state = state_of(source, (shown.x, shown.y), box=box)
    line = python_line([source], state)
    assert line.splitlines()[-1] == (
        "mosaic.crop(SkyCoord([-168.123, -140.0] * u.arcsec, [70.0, 92.5] * u.arcsec, "
        "frame='helioprojective'), keepdims=True)"
    )
    chosen = selection([source], state)
    same(run(line, mosaic=mosaic), chosen)
    assert 1 < len(list(chosen.flat)) < 9
    # Each pixel of each tile whose centre is in the box, by astropy alone, is in the selection.
    for place in np.ndindex(mosaic.shape):
        tile, part = mosaic[place], chosen[place]
        if tile is np.ma.masked:
            continue
        y, x = np.indices(tile.shape)
        there = tile.wcs.pixel_to_world(x, y)
        lon, lat = there.Tx.to_value("arcsec"), there.Ty.to_value("arcsec")
        inside = (box[0] <= lon) & (lon <= box[1]) & (box[2] <= lat) & (lat <= box[3])
        if part is np.ma.masked:
            assert not inside.any()
        else:
            assert np.isin(tile.data[inside], part.data).all()


def test_a_mosaic_is_selected_by_ranges_and_box(simulated: Any) -> None:
    mosaic = dv.open_dataset(simulated("vbi_mosaic"))
    assert isinstance(mosaic, dv.TiledDataset)
    source = Source.of(mosaic)
    shown = source.shown
    assert shown.y is not None
    axes = (shown.x, shown.y)
    state = state_of(source, axes, ranges=((0, 1, 3),))
    assert python_line([source], state) == "mosaic.slice_tiles[1:3]"
    same(selection([source], state), mosaic.slice_tiles[1:3])
    box = box_of(outline(main_plane([source], state), range(5, 20), range(8, 12)))
    state = state_of(source, axes, ranges=((0, 2, 3),), box=box)
    line = python_line([source], state)
    assert ".slice_tiles[2].crop(SkyCoord([" in line
    same(run(line, mosaic=mosaic), selection([source], state))


def test_marks_that_do_not_fit_are_said() -> None:
    _, source, _ = sky_tile(0.0, False)
    with pytest.raises(
        OutsideError, match="beside the picture: expected some of its columns, 0 to"
    ):
        selection([source], state_of(source, (1, 0), box=(150.0, 160.0, -60.0, -50.0)))
    inside = (100.0, 105.0, -52.0, -50.0)
    with pytest.raises(SelectionError, match=r"Ty: the box has pixels .* none in common"):
        selection([source], state_of(source, (1, 0), box=inside, ranges=((0, 0, 5),)))
    other = ViewState(source.middle(), (PictureState((1, 0), dataset=1),), box=inside)
    assert python_line([source, source], other).startswith("ds2[")
    with pytest.raises(SelectionError, match=r"dataset 2.*clear one"):
        selection(
            [source, source],
            ViewState(other.point, other.pictures, box=other.box, ranges=((0, 0, 1),)),
        )


def test_a_path_becomes_a_slit() -> None:
    for rotation, mirrored in ((0.0, False), (30.0, True)):
        ds, source, _ = sky_tile(rotation, mirrored)
        path = ((95.0, -52.0), (104.0, -45.0), (106.0, -49.5))
        state = state_of(source, (1, 0), path=path)
        line = path_line([source], state)
        assert line is not None
        assert line.startswith("ds.slit([(")
        frame = ds.wcs.pixel_to_world(0, 0).frame.replicate_without_data()
        right, up = np.array(path).T * u.arcsec
        expected = ds.slit(SkyCoord(right, up, frame=frame))
        found = run(line, ds=ds)
        assert abs(found.shape[-1] - expected.shape[-1]) <= 1
        n = min(found.shape[-1], expected.shape[-1])
        # Corners are rounded to hundredths of a pixel, and a row has 48.
        np.testing.assert_allclose(
            np.asarray(found.data)[:n], np.asarray(expected.data)[:n], atol=1.0
        )
    assert path_line([source], state_of(source, (1, 0))) is None

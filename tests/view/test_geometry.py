"""Check where pictures show pixels: against astropy's and the WCS's own coordinates of each."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pictured import SHAPE, Image, sky_header

import dkist_virtual as dv
from dkist_virtual.view.pictures.geometry import Scale, Separable, Sky, depends_on, geometry_of
from dkist_virtual.view.pictures.layers import Layers
from dkist_virtual.view.pictures.render import Painter, Request
from dkist_virtual.view.source import Source
from dkist_virtual.view.state.state import PictureState

if TYPE_CHECKING:
    from astropy.coordinates import SkyCoord


def draw(source: Source, axes: tuple[int, int], at: tuple[int, ...], **look: Any) -> Any:
    size = look.pop("size", (160, 120))
    picture = PictureState(axes, **look)
    return list(Painter().draw(Request(source, picture, Layers((at,), None, False, ""), size)))[-1]


@settings(max_examples=12)
@given(angle=st.floats(-180, 180), mirror=st.sampled_from([1, -1]), seed=st.integers(0, 9))
def test_turned_and_mirrored_pixels_are_drawn_where_astropy_says(
    angle: float, mirror: int, seed: int
) -> None:
    wcs = sky_header(angle, mirror)
    pixels = np.random.default_rng(seed).normal(size=SHAPE).astype(np.float32)
    source = Source.of(Image(pixels, wcs))
    # Each pixel is 7 screen pixels or more: none is averaged.
    drawn = draw(source, (1, 0), (0, 0), size=(400, 350))
    left, right, bottom, top = drawn.window
    height, width = drawn.levels.shape
    rows, columns = np.mgrid[0 : SHAPE[0], 0 : SHAPE[1]]
    # astropy's own coordinates of the middle of each pixel, as a SkyCoord.
    sky: SkyCoord = wcs.pixel_to_world(columns, rows)
    x = ((sky.Tx.to_value("arcsec") - left) / (right - left) * width).astype(int)
    y = ((sky.Ty.to_value("arcsec") - bottom) / (top - bottom) * height).astype(int)
    np.testing.assert_array_equal(drawn.values[y, x], pixels)
    found = drawn.tile_at(float(sky.Tx[3, 5].value), float(sky.Ty[3, 5].value))
    assert found == (0, 5, 3)


def test_what_is_outside_of_a_turned_frame_is_nothing() -> None:
    source = Source.of(Image(np.ones(SHAPE, np.float32), sky_header(45, -1)))
    drawn = draw(source, (1, 0), (0, 0), size=(400, 400))
    assert np.isnan(drawn.values[0, 0])
    assert drawn.levels[0, 0] == 0
    assert drawn.values[200, 200] == 1
    assert drawn.levels[200, 200] > 2
    share = np.isfinite(drawn.values).mean()
    per_pixel = (drawn.window[1] - drawn.window[0]) / 400
    assert share * (400 * per_pixel) ** 2 == pytest.approx(30 * 40 * 0.5**2, rel=0.02)


def test_uneven_wavelengths_are_drawn_at_their_true_places() -> None:
    values = np.array([630.0, 630.01, 630.02, 630.1, 630.5])
    plane = Separable(
        Scale("wavelength [nm]", values, "wavelength"), Scale("y", np.arange(3.0), "pixel")
    )
    np.testing.assert_array_equal(np.rint(plane.pixels(values, 1)[0]), np.arange(5))
    assert plane.bounds == pytest.approx((629.995, 630.7, -0.5, 2.5))
    # Half-way between two wavelengths the nearer one is drawn.
    assert np.rint(plane.pixels([630.29, 630.31], 1)[0]).tolist() == [3, 4]
    np.testing.assert_allclose(plane.world(np.arange(5), 1)[0], values[[0, 1, 2, 3, 4]], atol=0.2)


@given(st.lists(st.floats(0.01, 5), min_size=1, max_size=9), st.booleans(), st.floats(-100, 100))
def test_a_scale_finds_each_of_its_values(steps: list[float], falling: bool, first: float) -> None:
    values = first + np.concatenate([[0], np.cumsum(steps)])
    scale = Scale("", values[::-1] if falling else values, "other")
    np.testing.assert_array_equal(np.rint(scale.pixels(scale.values)), np.arange(len(values)))
    low, high = scale.ends
    beyond = scale.pixels([low - 1, high + 1])
    assert set(beyond.tolist()) == {-1.0, len(values)}


@pytest.mark.parametrize(("name", "axes"), [("visp", (2, 3)), ("cryonirsp", (4, 3))])
def test_spectra_are_drawn_at_the_coordinates_of_their_pixels(
    name: str, axes: tuple[int, int], datasets: Callable[[str], Any]
) -> None:
    ds = datasets(name)
    source = Source.of(ds)
    at = source.middle()
    plane = geometry_of(source.subject, axes, at)
    assert isinstance(plane, Separable)
    for pixels in ((3, 7), (10, 2)):
        point = list(at)
        for axis, pixel in zip(axes, pixels, strict=True):
            point[axis] = pixel
        values = ds.wcs.low_level_wcs.pixel_to_world_values(*point[::-1])
        kinds = [one.kind for one in source.subject.world.axes]
        x, y = plane.world(*pixels)
        assert x == pytest.approx(values[kinds.index("wavelength")])
        assert y == pytest.approx(values[kinds.index("latitude")])


def test_times_are_milliseconds_since_1970(datasets: Callable[[str], Any]) -> None:
    source = Source.of(datasets("vtf"))
    plane = geometry_of(source.subject, (1, 2), source.middle())
    assert isinstance(plane, Separable)
    assert plane.x.kind == "time"
    times = source.clocks[0].along(1, source.middle())  # type: ignore[union-attr]
    ms = (times - np.datetime64("1970-01-01")) / np.timedelta64(1, "ms")
    np.testing.assert_allclose(plane.x.values, ms, atol=1)


def test_a_plane_depends_on_the_axes_that_move_it(datasets: Callable[[str], Any]) -> None:
    visp, moving = (Source.of(datasets(name)).subject for name in ("visp", "visp_moving"))
    assert depends_on(visp, (2, 3)) == (1,)
    assert isinstance(geometry_of(visp, (1, 3), (0, 0, 0, 0)), Sky)
    assert set(depends_on(moving, (1, 2))) <= {0, 1, 2, 3} - {1, 2}


def test_a_mosaic_is_drawn_with_each_tile_at_its_place(converted: Callable[[str], Path]) -> None:
    mosaic = dv.open_dataset(converted("vbi_mosaic"))
    source = Source.of(mosaic)
    whole = draw(source, (2, 1), (0, 0, 0))
    assert [tile.number for tile in whole.tiles] == [0, 1, 2, 3]
    for number, tile in enumerate(mosaic.flat):
        window = whole.tiles[number].geometry.bounds
        drawn = draw(source, (2, 1), (0, 0, 0), size=(480, 480), window=window)
        left, right, bottom, top = drawn.window
        frame = tile[0].data.compute()
        for row, column in ((24, 24), (3, 40)):
            lon, lat, *_ = tile.wcs.low_level_wcs.pixel_to_world_values(column, row, 0)
            lon = (lon + 648_000) % 1_296_000 - 648_000
            assert drawn.tile_at(float(lon), float(lat)) == (number, column, row)
            x, y = (lon - left) / (right - left) * 480, (lat - bottom) / (top - bottom) * 480
            assert drawn.values[int(y), int(x)] == frame[row, column]

"""Look at pictures, and at what the pointer does on them: pixels on the screen beside numpy's."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import astropy.units as u
import numpy as np
import numpy.typing as npt
import pytest
from pictured import SHAPE, Image, sky_header

import dkist_virtual as dv

if TYPE_CHECKING:
    from browser import Browser

PICTURE = "picture-0"


@pytest.fixture(scope="module")
def vtf(converted: Callable[[str], Path]) -> Any:
    """A VTF dataset: (stokes, time, wavelength, y, x)."""
    return dv.open_dataset(converted("vtf"))


@pytest.fixture(scope="module")
def viewer(viewers: Callable[..., Any], vtf: Any) -> Any:
    return viewers(vtf)


@pytest.fixture
def page(browser: Browser, viewer: Any) -> Browser:
    browser.open(viewer.url)
    return browser


def sky_of(ds: Any, rows: npt.NDArray[Any], columns: npt.NDArray[Any]) -> Any:
    """Tx and Ty of pixels of the first frame, in arcsec, as the dataset's WCS says."""
    (sky,) = (
        one
        for one in ds.wcs.pixel_to_world(columns, rows, *[0 * rows] * (len(ds.shape) - 2))
        if hasattr(one, "Tx")
    )
    return sky.Tx.to_value(u.arcsec), sky.Ty.to_value(u.arcsec)


def greys_at(browser: Browser, tx: npt.NDArray[Any], ty: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """What is on the screen at places of the sky."""
    shown = browser.screenshot().astype(int).sum(axis=-1)
    found = [browser.place(PICTURE, float(x), float(y)) for x, y in zip(tx, ty, strict=True)]
    return np.array([shown[y, x] for x, y in found])


def assert_in_order(greys: npt.NDArray[Any], values: npt.NDArray[Any]) -> None:
    """Check that a brighter pixel is never darker on the screen."""
    order = np.argsort(values)
    assert (np.diff(greys[order]) >= 0).all()
    assert len(set(greys)) > len(greys) // 4


def some_pixels(shape: Iterable[int], but: tuple[int, int]) -> tuple[Any, Any]:
    """Return rows and columns all over a frame, apart from those that the point's lines cross."""
    rows, columns = (part.ravel() for part in np.mgrid[tuple(slice(1, n, 5) for n in shape)])
    seen = (abs(rows - but[0]) > 1) & (abs(columns - but[1]) > 1)
    return rows[seen], columns[seen]


def test_each_frame_that_is_stepped_to_is_on_the_screen(page: Browser, vtf: Any) -> None:
    ny, nx = vtf.shape[-2:]
    rows, columns = some_pixels((ny, nx), (ny // 2, nx // 2))
    tx, ty = sky_of(vtf, rows, columns)
    point = [0, 0, 0]
    for key, axis, pixel in (("", 0, 0), ("s", 2, 1), ("f", 1, 1), ("s", 2, 2), ("b", 2, 1)):
        if key:
            page.step(PICTURE, key)
        point[axis] = pixel
        frame = vtf[tuple(point)].data.compute()
        assert_in_order(greys_at(page, tx, ty), frame[rows, columns])


@pytest.mark.parametrize(("angle", "mirror"), [(0, -1), (75, -1), (200, 1)])
def test_a_turned_or_mirrored_detector_is_drawn_north_up(
    browser: Browser, viewers: Callable[..., Any], angle: float, mirror: int
) -> None:
    wcs = sky_header(angle, mirror)
    pixels = np.random.default_rng(5).normal(size=SHAPE).astype(np.float32)
    browser.open(viewers(Image(pixels, wcs)).url)
    left, right, bottom, top = browser.ranges(PICTURE)
    assert left < right  # Tx
    assert bottom < top  # Ty
    rows, columns = some_pixels(SHAPE, (SHAPE[0] // 2, SHAPE[1] // 2))
    sky = wcs.pixel_to_world(columns, rows)
    tx, ty = sky.Tx.to_value(u.arcsec), sky.Ty.to_value(u.arcsec)
    # The lines through the point may cross any pixel of a turned detector.
    middle = wcs.pixel_to_world(SHAPE[1] // 2, SHAPE[0] // 2)
    away = (abs(tx - middle.Tx.value) > 1) & (abs(ty - middle.Ty.value) > 1)
    greys = greys_at(browser, tx[away], ty[away])
    assert_in_order(greys, pixels[rows, columns][away])


def test_the_pointer_reads_pixels_and_moves_the_point_until_it_is_locked(
    page: Browser, viewer: Any, vtf: Any
) -> None:
    frame = vtf[0, 0, 0].data.compute()

    def point_at(row: int, column: int) -> tuple[float, float]:
        tx, ty = (float(one[0]) for one in sky_of(vtf, np.array([row]), np.array([column])))
        page.point_at(PICTURE, tx, ty)
        said = f"{float(frame[row, column]):.6g} ct"
        page.wait(lambda: said in page.text(), "the value of the pixel is read out")
        return tx, ty

    for at in ((5, 9), (20, 33)):
        tx, ty = point_at(*at)
        assert viewer.state.point[-2:] == at
    page.click_at(PICTURE, tx, ty)
    page.wait(lambda: viewer.state.is_locked, "a click locks the point")
    point_at(11, 11)
    page.settle()
    assert viewer.state.point[-2:] == (20, 33)
    # A key means the pixel on which the pointer is, also if it comes at once.
    page.press("l")
    page.wait(lambda: not viewer.state.is_locked, "the point follows the pointer again")
    for at in ((7, 30), (22, 12)):
        tx, ty = (float(one[0]) for one in sky_of(vtf, *(np.array([n]) for n in at)))
        page.point_at(PICTURE, tx, ty)
        page.press("p")
    page.wait(lambda: len(viewer.state.pins) == 2, "both are pinned")
    assert [pin[-2:] for pin in viewer.state.pins] == [(7, 30), (22, 12)]


def test_the_wheel_zooms_a_drag_pans_and_0_shows_all(page: Browser, viewer: Any) -> None:
    whole = page.ranges(PICTURE)
    x, y = (whole[0] + whole[1]) / 2, (whole[2] + whole[3]) / 2
    page.wheel(PICTURE, x, y, -400)
    page.wait(lambda: viewer.state.pictures[0].window is not None, "the window is in the state")
    page.settle()
    near = page.ranges(PICTURE)
    assert near[1] - near[0] < whole[1] - whole[0]
    to = x + (near[1] - near[0]) / 5
    page.drag(PICTURE, (x, y), (to, y))
    page.settle()
    beside = page.ranges(PICTURE)
    assert beside[0] == pytest.approx(near[0] - (to - x), abs=0.02 * (near[1] - near[0]))
    # What is zoomed into fills the screen: no pixel of it was left out.
    assert page.is_drawn(PICTURE)
    page.press("0")
    page.wait(lambda: viewer.state.pictures[0].window is None, "the whole field is asked for")
    page.settle()
    # Labels of other ticks may have left it a few pixels more or less.
    assert page.ranges(PICTURE) == pytest.approx(whole, rel=0.1)


def test_a_box_a_pin_and_the_address_keep_what_was_seen(
    page: Browser, viewer: Any, vtf: Any
) -> None:
    left, right, bottom, top = page.ranges(PICTURE)
    corners = [
        (left + 0.3 * (right - left), bottom + 0.4 * (top - bottom)),
        (left + 0.6 * (right - left), bottom + 0.6 * (top - bottom)),
    ]
    page.press("s")
    page.click(page.find("button", "Box"))
    page.drag(PICTURE, *corners)
    page.wait(lambda: viewer.state.box is not None, "a box is marked")
    box = viewer.state.box
    pixel = (right - left) / 300
    assert box == pytest.approx(
        (corners[0][0], corners[1][0], corners[0][1], corners[1][1]), abs=2 * pixel
    )
    page.click(page.find("button", "Look"))
    page.press("p", "l")
    page.wait(lambda: viewer.state.pins and viewer.state.is_locked, "the point is pinned, locked")
    page.settle()
    seen, state = page.drawn(PICTURE), viewer.state
    page.wait(lambda: "box=" in urlsplit(page.driver.current_url).query, "the address has the box")
    page.settle()
    bookmark = page.driver.current_url
    page.driver.get("about:blank")
    page.open(bookmark)
    assert viewer.state == state
    assert page.drawn(PICTURE) == seen

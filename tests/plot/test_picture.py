"""Compare averaged images, contrast and hatching with numpy and the canvas."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.transforms import Affine2D

from dkist_virtual.plot.image import ScreenImage, absent_boxes, block_mean, limits


@given(
    pixels=hnp.arrays(
        st.sampled_from(["f4", "f8", "i2", "u1"]),
        st.tuples(st.integers(1, 30), st.integers(1, 30)),
        elements=st.integers(0, 100),
    ),
    ny=st.integers(1, 8),
    nx=st.integers(1, 8),
    holes=st.floats(0, 1),
)
def test_block_means(pixels: Any, ny: int, nx: int, holes: float) -> None:
    if pixels.dtype.kind == "f":
        pixels = pixels.copy()
        pixels[np.random.default_rng(1).random(pixels.shape) < holes] = np.nan
    expected = np.full((-(-pixels.shape[0] // ny), -(-pixels.shape[1] // nx)), np.nan)
    for j, i in np.ndindex(expected.shape):
        block = pixels[j * ny : (j + 1) * ny, i * nx : (i + 1) * nx].astype(float)
        if np.isfinite(block).any():
            expected[j, i] = np.nanmean(block)
    np.testing.assert_allclose(block_mean(pixels, ny, nx), expected, rtol=1e-5)


@given(
    pixels=hnp.arrays(
        "f4", st.tuples(st.integers(1, 40), st.integers(1, 40)),
        elements=st.floats(-1000, 1000, width=32),
    ),
    signed=st.booleans(),
)  # fmt: skip
def test_limits_are_ordered_and_inside(pixels: Any, signed: bool) -> None:
    low, high = limits(pixels, signed=signed)
    assert low < high
    if signed:
        assert low == -high
    elif pixels.min() < pixels.max():
        assert pixels.min() <= low
        assert high <= pixels.max()


def test_a_few_hot_pixels_do_not_decide() -> None:
    pixels = np.random.default_rng(2).normal(1000, 50, (300, 300)).astype("f4")
    calm = limits(pixels, signed=False)
    pixels[::50, ::50] = 1e6
    pixels[3, :30] = np.nan
    np.testing.assert_allclose(limits(pixels, signed=False), calm, rtol=0.02)
    signed = limits(pixels - 1000, signed=True)
    assert signed[1] < 200


def test_limits_of_nothing() -> None:
    empty = np.full((3, 4), np.nan)
    assert limits(empty, signed=False) == (0, 1)
    assert limits(empty, signed=True) == (-1, 1)
    assert limits(np.zeros((3, 4)), signed=True) == (-1, 1)
    assert limits(np.full((3, 4), 7, "i2"), signed=False) == (6.5, 7.5)


# On a canvas -----------------------------------------------------------------------------------


def canvas(pixels: Any, size: tuple[float, float] = (4, 3)) -> tuple[Any, Any, ScreenImage]:
    figure = Figure(figsize=size, dpi=100)
    FigureCanvasAgg(figure)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.axis("off")
    image = ScreenImage(axes, pixels, cmap="gray")
    axes.add_image(image)
    axes.set_xlim(-0.5, pixels.shape[1] - 0.5)
    axes.set_ylim(-0.5, pixels.shape[0] - 0.5)
    image.set_clim(0, 1)
    return figure, axes, image


def seen(figure: Any) -> Any:
    figure.canvas.draw()
    return np.asarray(figure.canvas.buffer_rgba())[..., 0].astype(float) / 255


def test_no_more_pixels_than_the_screen_has() -> None:
    pixels = np.random.default_rng(3).random((3000, 4000), np.float32)
    figure, _, image = canvas(pixels)
    picture = seen(figure)
    assert image.get_array().size <= 1.6 * picture.size
    # What is seen is the mean of what is there, block by block.
    expected = pixels.reshape(300, 10, 400, 10).mean((1, 3))[::-1]
    np.testing.assert_allclose(picture, expected, atol=0.01)


def test_zooming_in_shows_single_pixels() -> None:
    pixels = np.random.default_rng(4).random((3000, 4000), np.float32)
    figure, axes, image = canvas(pixels)
    seen(figure)
    axes.set_xlim(999.5, 1019.5)
    axes.set_ylim(499.5, 514.5)
    picture = seen(figure)
    assert image.get_array().size < 1000
    expected = np.kron(pixels[500:515, 1000:1020], np.ones((20, 20)))[::-1]
    np.testing.assert_allclose(picture, expected, atol=0.01)
    # Off the image nothing is drawn, and nothing fails.
    axes.set_xlim(5000, 5100)
    assert (seen(figure) == 1).all()
    axes.set_xlim(-0.5, 3999.5)
    axes.set_ylim(2999.5, -0.5)  # upside down
    np.testing.assert_allclose(
        seen(figure), pixels.reshape(300, 10, 400, 10).mean((1, 3)), atol=0.01
    )


def test_a_file_is_as_fine_as_it_is_asked_to_be(tmp_path: Any) -> None:
    import matplotlib.pyplot as plt

    pixels = np.random.default_rng(5).random((600, 800), np.float32)
    figure, _, _ = canvas(pixels)
    figure.savefig(tmp_path / "fine.png", dpi=200)
    picture = plt.imread(tmp_path / "fine.png")[..., 0]
    np.testing.assert_allclose(picture, pixels[::-1], atol=0.01)


def test_turned_and_moved() -> None:
    pixels = np.random.default_rng(6).random((100, 100), np.float32)
    figure, axes, image = canvas(pixels, (3, 3))
    image.set_transform(Affine2D().rotate_deg_around(49.5, 49.5, 90) + axes.transData)
    # Of each pixel, three by three on the screen, the middle one.
    np.testing.assert_allclose(seen(figure)[1::3, 1::3], np.rot90(pixels[::-1], 1), atol=0.01)


def test_pixels_of_which_one_side_is_long_are_not_blurred() -> None:
    pixels = np.random.default_rng(8).random((200, 5), np.float32)
    figure, _, _ = canvas(pixels)  # each 80 x 1.5 pixels of the screen
    picture = seen(figure)
    for column in range(5):
        part = picture[:, 80 * column + 1 : 80 * column + 79]
        assert (part == part[:, :1]).all()


def test_the_pixel_under_the_pointer_is_no_mean() -> None:
    from matplotlib.backend_bases import MouseEvent

    pixels = np.arange(3000 * 4000, dtype="f4").reshape(3000, 4000)
    figure, axes, image = canvas(pixels)
    seen(figure)
    for x, y in ((0, 0), (1234, 777), (3999, 2999)):
        at = axes.transData.transform((x, y))
        event = MouseEvent("motion_notify_event", figure.canvas, *at)
        # A pointer has whole pixels of the screen, ten of the image.
        column, row = axes.transData.inverted().transform((event.x, event.y)).round().astype(int)
        assert abs(column - x) <= 10
        assert abs(row - y) <= 10
        assert image.get_cursor_data(event) == pixels[min(row, 2999), min(column, 3999)]
    event = MouseEvent("motion_notify_event", figure.canvas, -900, 0)
    assert image.get_cursor_data(event) is None


@settings(max_examples=50)
@given(absent=hnp.arrays(bool, st.tuples(st.integers(1, 12), st.integers(1, 12))))
def test_boxes_cover_what_is_absent_and_nothing_else(absent: Any) -> None:
    covered = np.zeros(absent.shape, int)
    for path in absent_boxes(absent).get_paths():
        (x0, y0), (x1, y1) = path.get_extents().get_points() + 0.5
        covered[round(y0) : round(y1), round(x0) : round(x1)] += 1
    np.testing.assert_array_equal(covered, absent.astype(int))


def test_a_row_of_frames_is_one_box() -> None:
    absent = np.zeros((2555, 688), bool)
    absent[:, 100:200] = True
    absent[:, 300] = True
    assert len(absent_boxes(absent).get_paths()) == 2


@pytest.mark.parametrize("signed", [True, False])
def test_contrast_asks_few_pixels(signed: bool) -> None:
    """A contrast costs a fraction of the image, whose percentiles would cost more than drawing."""
    pixels = np.random.default_rng(7).normal(0, 1, (4096, 4096)).astype("f4")
    low, high = limits(pixels, signed=signed)
    expected = np.percentile(np.abs(pixels) if signed else pixels, 99.75)
    assert high == pytest.approx(expected, rel=0.02)
    assert low == pytest.approx(-high, rel=0.02)

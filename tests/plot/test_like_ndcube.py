"""Use a plot as the axes, the animator and the grid of tiles that notebooks of dkist expect."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import astropy.units as u
import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest
from astropy.visualization.wcsaxes import WCSAxes
from mpl_animators import ArrayAnimatorWCS
from ndcube import NDCollection, NDCube, NDCubeSequence
from ndcube.visualization import BasePlotter
from PIL import Image

import dkist_virtual as dv
from dkist_virtual.errors import DKISTVirtualWarning


@pytest.fixture(autouse=True)
def agg() -> Iterator[None]:
    mpl.use("agg")
    yield
    plt.close("all")


def buffer(figure: Any) -> Any:
    return np.asarray(figure.canvas.buffer_rgba()).astype(int)


@pytest.mark.slow
def test_a_plot_has_the_names_of_its_axes(datasets: Any) -> None:
    plot = datasets("vtf").plot()
    assert plot.fig is plot.figure
    assert plot.im is plot.image
    assert plt.gca() is plot.axes
    plot.coords.grid(color="y")
    plot.set_title("mine")
    plot.set_xlim(2, 20)
    plot.step(2).step(0)
    assert plot.axes.coords[0]._grid_lines_kwargs["visible"]
    assert (plot.axes.get_title(), plot.get_xlim()) == ("mine", (2, 20))
    with pytest.raises(AttributeError, match="'ImagePlot' has no attribute 'graticule'"):
        plot.graticule  # noqa: B018
    (line,) = plot.plot_coord(_sky(plot, [3, 9], [4, 8]))
    found = (line.get_transform() - plot.axes.transData).transform(line.get_xydata())
    np.testing.assert_allclose(found, [[3, 4], [9, 8]], atol=0.01)


def _sky(plot: Any, x: Any, y: Any) -> Any:
    from astropy.wcs.wcsapi import HighLevelWCSWrapper

    return HighLevelWCSWrapper(plot.axes.wcs).pixel_to_world(x, y)


@pytest.mark.slow
def test_coordinates_of_a_spectrum_follow_its_steps(datasets: Any) -> None:
    """Axes of astropy's take the place of our own; astropy alone fails to draw this grid."""
    ds = datasets("visp_moving")
    plot = ds.plot()
    image, before = plot.image, plot.axes
    plot.coords.grid(color="w")
    assert isinstance(plot.axes, WCSAxes)
    assert before not in plot.figure.axes
    assert plot.image is image
    for at in (0, 2):
        plot.show({1: at})
        low = ds[0, at].wcs.low_level_wcs
        x, y = 3.0, 5.0
        here = plot.axes.wcs.pixel_to_world_values(
            *((x, y) if plot.shown.x > plot.shown.y else (y, x))
        )
        there = low.pixel_to_world_values(*((x, y) if plot.shown.x > plot.shown.y else (y, x)))
        np.testing.assert_allclose(here, there)
    np.testing.assert_array_equal(plot.image.pixels.T, ds[0, 2].data.compute())
    assert plot.colorbar.ax in plot.axes.child_axes


@pytest.mark.slow
def test_coordinates_of_a_line(datasets: Any) -> None:
    ds = datasets("visp")
    line = ds[0, :, :, 3].plot(["x", None])
    line.coords.grid()
    line.step(1)
    np.testing.assert_array_equal(line.lines[0].get_ydata(), ds[0, :, 1, 3].data.compute())
    assert list(line.lines[0].get_xdata()) == [0, 1, 2, 3]
    assert line.axes.get_title() == line.axes[0].get_title()
    with pytest.raises(AttributeError, match="panels of Stokes parameters"):
        ds.plot_profile().coords  # noqa: B018


@pytest.mark.slow
def test_an_animation_saves_every_plane(datasets: Any, tmp_path: Path) -> None:
    ds = datasets("vtf")
    plot = ds.plot(vmin=0, vmax=2000, colorbar=False)
    plot.get_animation(slider=2, interval=50).save(tmp_path / "vtf.gif", writer="pillow")
    with Image.open(tmp_path / "vtf.gif") as saved:
        assert saved.n_frames == ds.shape[2]
        saved.seek(2)
        picture = np.asarray(saved.convert("RGB")).astype(int)
    plane = ds[0, 0, 2].data.compute()
    y, x = np.indices(plane.shape)
    to_screen = plot.axes.transData.transform(np.stack([x.ravel(), y.ravel()], axis=1))
    rows, columns = picture.shape[0] - 1 - to_screen[:, 1].astype(int), to_screen[:, 0].astype(int)
    gray = np.clip(plane.ravel() / 2000, 0, 1) * 255
    assert np.abs(picture[rows, columns].mean(axis=1) - gray).max() <= 4  # of GIF's 256 colours
    with pytest.raises(TypeError, match="get_animation: no such keyword: fps"):
        plot.get_animation(fps=3)
    with pytest.raises(ValueError, match="slider = 3: this plot has 3"):
        plot.get_animation(slider=3)


@pytest.mark.slow
def test_a_line_has_no_ticks_of_a_coordinate_that_changes_by_rounding(datasets: Any) -> None:
    """Astropy would draw thousands of a latitude that is the same along the slit."""
    plot = datasets("visp")[0, :, 2, 3].plot()
    plot.coords.grid()
    plot.figure.canvas.draw()
    kinds = plot.axes.wcs.world_axis_physical_types
    ticks = {
        kind.rpartition(".")[2]: len(one._ticks.world.get("b", []) + one._ticks.world.get("t", []))
        for kind, one in zip(kinds, plot.axes.coords, strict=True)
    }
    assert 2 < ticks["lon"] < 20
    assert ticks["lat"] == 0


@pytest.mark.slow
def test_grid_of_coordinates_without_an_inverse(datasets: Any) -> None:
    """Of wavelength and time, for which gwcs finds no pixels."""
    ds = datasets("vtf")[:, :, :, 3, 4]
    plot = ds.plot()
    plot.coords.grid()
    plot.step(0)
    plot.figure.canvas.draw()
    expected = ds[1].data.compute()
    transposed = plot.shown.y > plot.shown.x
    np.testing.assert_array_equal(plot.image.pixels, expected.T if transposed else expected)


@pytest.mark.slow
def test_a_logarithmic_norm_ignores_what_is_not_positive(datasets: Any) -> None:
    ds = datasets("visp")
    planes = [(ds[0, 1] - 800 * u.ct), ds[1, 1] - 800 * u.ct, -ds[0, 1]]
    for number, plane in enumerate(planes):
        plot = plane.plot(norm="log")
        plot.figure.canvas.draw()
        values = plane.data.compute()
        expected = np.percentile(values[values > 0], [0.25, 99.75]) if number < 2 else (1, 10)
        np.testing.assert_allclose(plot.image.get_clim(), expected, rtol=1e-5)


@pytest.mark.slow
def test_wcs_is_a_keyword_with_sliders_too(datasets: Any) -> None:
    ds = datasets("visp")[0]
    plot = ds.plot(wcs=ds.wcs)
    assert isinstance(plot, ArrayAnimatorWCS)
    np.testing.assert_array_equal(plot.im.get_array(), ds[0].data.compute())


@pytest.mark.slow
def test_units_of_a_selection_with_axes_of_one_pixel(datasets: Any) -> None:
    ds = datasets("vtf")[:1, :1, 0]
    axes = ds.plot(axes_units=[None, None, "deg", "deg"])
    assert [str(one.get_format_unit()) for one in axes.coords] == ["deg", "deg"]
    np.testing.assert_array_equal(axes.images[0].get_array(), ds[0, 0].data.compute())


def test_limits_are_single_values(datasets: Any) -> None:
    with pytest.raises(TypeError, match=r"vmin = .*: expected a single value"):
        datasets("visp")[0, 1].plot(vmin=[1, 2] * u.ct)


@pytest.mark.slow
def test_an_animation_in_other_axes(datasets: Any, tmp_path: Path) -> None:
    ds = datasets("vtf")
    plot = ds.plot()
    _, axes = plt.subplots()
    plot.get_animation(axes=axes, slider=0, startframe=1, endframe=3).save(
        tmp_path / "own.gif", writer="pillow"
    )
    np.testing.assert_array_equal(axes.images[0].get_array(), ds[2, 0, 0].data.compute())
    assert plot.position == [0] * 5


@pytest.mark.slow
def test_a_colorbar_of_the_users_takes_the_place_of_ours(datasets: Any) -> None:
    plot = datasets("vtf").plot()
    bar = plt.colorbar(label="mine")
    assert plot.colorbar is bar
    assert not plot.axes.child_axes
    plot.figure.canvas.draw()
    plot.step(0)
    repainted = buffer(plot.figure)
    plot.figure.canvas.draw()
    assert (np.abs(repainted - buffer(plot.figure)).max(axis=-1) > 60).mean() < 1e-4


@pytest.mark.slow
def test_two_plots_in_one_figure_repaint_their_own_part(datasets: Any, tmp_path: Path) -> None:
    figure = plt.figure(figsize=(12, 5))
    left, right = figure.subfigures(1, 2)
    one, other = datasets("visp").plot(figure=left), datasets("vtf").plot(fig=right)
    figure.canvas.draw()
    one.step(1)
    other.step(2)
    repainted = buffer(figure)
    figure.canvas.draw()
    away = np.abs(repainted - buffer(figure)).max(axis=-1)
    assert (away > 60).mean() < 1e-4
    one.save(tmp_path / "one.png", dpi=100)
    # Without the sliders.
    assert plt.imread(tmp_path / "one.png").shape[:2] == (500 - 28 * 2, 600)
    with pytest.raises(TypeError, match="figure and fig: two figures"):
        datasets("vtf").plot(figure=left, fig=right)


def test_the_current_figure_is_drawn_in_if_it_is_empty(datasets: Any) -> None:
    figure = plt.figure(figsize=(6, 4))
    assert datasets("vtf")[0, 0, 0].plot().figure is figure
    assert datasets("vtf")[0, 0, 1].plot().figure is not figure
    small = plt.figure(figsize=(1, 1))
    assert datasets("vtf")[0, 0, 1].plot().figure is not small
    empty = plt.figure(figsize=(9, 9))
    assert datasets("vtf").plot().figure is not empty  # as ndcube's animator


def test_values_in_another_unit(datasets: Any) -> None:
    ds, unit = datasets("vtf"), u.Unit("1000 ct")
    plot = ds.plot(data_unit=unit, vmin=100 * u.ct, title="in thousands", aspect="auto")
    plot.step(2)
    np.testing.assert_array_equal(
        plot.image.pixels, (ds[0, 0, 1].data.compute() * u.ct).to_value(unit)
    )
    assert plot.image.get_clim()[0] == pytest.approx(0.1)
    assert u.Unit(plot.colorbar.ax.get_ylabel()) == unit
    assert (plot.axes.get_title(), plot.axes.get_aspect()) == ("in thousands", "auto")
    line = ds[0, 0, :, 3, 4].plot(data_unit=unit, ylim=(0, 3), ylabel="bright", linestyle="--")
    assert (line.axes.get_ylim(), line.axes.get_ylabel()) == ((0, 3), "bright")
    assert line.lines[0].get_linestyle() == "--"
    with pytest.raises(u.UnitConversionError, match="does not convert"):
        ds.plot(data_unit="m")
    clipped = ds.plot(clip_interval=[10, 90] * u.percent)
    expected = np.percentile(ds[0, 0, 0].data.compute(), [10, 90])
    np.testing.assert_allclose(clipped.image.get_clim(), expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("keyword", "advice"),
    [("button_func", "matplotlib.widgets"), ("interval", "get_animation"),
     ("coord_params", "plot.coords"), ("frobnicate", "no such keyword: frobnicate"),
     ("origin", "expected 'lower'"), ("slider_labels", "expected 3 names")],
)  # fmt: skip
def test_keywords_are_refused_by_name(keyword: str, advice: str, datasets: Any) -> None:
    with pytest.raises((TypeError, ValueError), match=advice) as caught:
        datasets("vtf").plot(**{keyword: "1"})
    assert keyword in str(caught.value)


@pytest.mark.slow
def test_coordinates_that_are_asked_for(datasets: Any) -> None:
    """Of the sky in other units: what ndcube draws, of pixels that are read when shown."""
    ds = datasets("visp")[:, 1]
    kinds = {"em.wl": "pm", "custom:pos.helioprojective.lat": "deg"}
    units = [kinds.get(kind) for kind in ds.wcs.low_level_wcs.world_axis_physical_types][::-1]
    ours = ds.plot(axes_units=units)
    cube = NDCube(ds.data.compute(), ds.wcs, unit=ds.unit)
    theirs = cube.plot(axes_units=units)
    assert type(ours) is type(theirs) is ArrayAnimatorWCS
    for number in (0, 2):
        for plot in (ours, theirs):
            plot.sliders[0]._slider.set_val(number)
            plot.fig.canvas.draw()
        np.testing.assert_array_equal(buffer(ours.fig), buffer(theirs.fig))
    with pytest.raises(TypeError, match="plot with sliders: no such keyword: frobnicate"):
        ds.plot(axes_units=units, frobnicate=1)
    with pytest.warns(DKISTVirtualWarning, match="needs sliders"):
        ds.plot(axes=plt.subplot())


@pytest.mark.slow
def test_plots_of_sequences_and_collections(datasets: Any) -> None:
    ds = datasets("visp")
    sequence = NDCubeSequence([ds[0], ds[2]])
    plot = sequence.plot()
    plot.sliders[-1]._slider.set_val(1)
    np.testing.assert_array_equal(plot.data[0, :, :], ds[2, 0].data.compute())
    collection = NDCollection([("a", ds[0, 0]), ("b", ds[1, 0])])
    assert collection["b"].plot().image.pixels.shape == ds.shape[:1:-1]


def test_a_plotter_may_be_set(datasets: Any) -> None:
    class Mine(BasePlotter):
        def plot(self, **given: Any) -> Any:
            return self._ndcube, given

    ds, signature = datasets("visp")[0], dv.Dataset.plot.__doc__
    ds.plotter = Mine
    assert ds.plot(colour=3) == (ds, {"colour": 3})
    assert dv.Dataset.plot.__doc__ == signature
    with pytest.raises(TypeError, match="expected a class"):
        ds.plotter = Mine(ds)
    assert datasets("visp")[0, 0].plotter.plot().image is not None


def test_projections(datasets: Any) -> None:
    for projection in (datasets("visp")[0, 1], datasets("visp")[0, 1].wcs, datasets("vtf")[0, 0]):
        assert isinstance(plt.figure().add_subplot(projection=projection), WCSAxes)


@pytest.mark.slow
def test_tiles_side_by_side(simulated: Any) -> None:
    """With dkist's own: the same pixels, contrast and places, of each tile."""
    import dkist

    ours = dv.open_dataset(simulated("vbi_mosaic"))
    theirs = dkist.load_dataset(simulated("vbi_mosaic"))
    for options in ({}, {"swap_tile_limits": "xy", "hide_internal_tick_labels": True}):
        figures = []
        for mosaic in (ours, theirs):
            figure = plt.figure(figsize=(6, 6))
            mosaic.plot(1, figure=figure, **options)
            figures.append(figure)
        found, expected = (figure.axes for figure in figures)
        assert len(found) == len(expected) == 4
        for one, other in zip(found, expected, strict=True):
            np.testing.assert_array_equal(one.images[0].get_array(), other.images[0].get_array())
            assert one.images[0].get_clim() == other.images[0].get_clim()
            assert one.get_position().bounds == other.get_position().bounds
            assert (one.get_xlim(), one.get_ylim()) == (other.get_xlim(), other.get_ylim())
        assert figures[0].get_supxlabel() == figures[1].get_supxlabel()
        assert figures[0].get_suptitle().split() == figures[1].get_suptitle().split()
    shared = ours.plot(0, share_zscale=True, figure=plt.figure())
    everything = np.stack([tile[0].data.compute() for tile in ours.flat])
    assert {axes.images[0].get_clim() for axes in shared.axes} == {
        (everything.min(), everything.max())
    }
    with pytest.raises(ValueError, match="leaves 1 axes"):
        ours.plot((0, 0))
    with pytest.raises(RuntimeError, match="must be one of"):
        ours.plot(0, swap_tile_limits="z")
    with pytest.raises(TypeError, match="swap_tile_limits: is for tiles in axes"):
        ours.plot(swap_tile_limits="x")
    with pytest.raises(TypeError, match="no such keyword: colour"):
        ours.plot(0, colour=3)

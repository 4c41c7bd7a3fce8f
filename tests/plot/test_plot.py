"""Draw datasets: what figures show, say, read and redraw, on Agg and in a notebook."""

from __future__ import annotations

import asyncio
import itertools
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import astropy.units as u
import dask.array as da
import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest
from astropy.coordinates import StokesCoord
from astropy.time import Time
from astropy.wcs.wcsapi import HighLevelWCSWrapper
from gwcs import WCS
from gwcs import coordinate_frames as cf
from matplotlib.backend_bases import MouseButton, MouseEvent
from samples import mostly_slow
from simulated import MOSAICS, NAMES, QUICK

import dkist_virtual as dv
from dkist_virtual.cube.world_axes import wrap
from dkist_virtual.demo.server import FrameServer
from dkist_virtual.errors import FrameCorruptError, SelectionError
from dkist_virtual.plot.image_plot import ImagePlot
from dkist_virtual.plot.line_plot import LinePlot

# ipympl's toolbar is a widget and no widget at once, which its base class does not like.
OLD_TRAITLETS = pytest.mark.filterwarnings(
    "ignore:Passing unrecognized arguments to super:DeprecationWarning"
)


@pytest.fixture(autouse=True)
def agg() -> Iterator[None]:
    """No window, and no figure left behind."""
    mpl.use("agg")
    yield
    plt.close("all")


def buffer(figure: Any) -> Any:
    return np.asarray(figure.canvas.buffer_rgba()).astype(int)


def values(ds: dv.Dataset, at: Any) -> dict[str, float]:
    """The world coordinates of a pixel by physical type, from the WCS itself."""
    low = ds.wcs.low_level_wcs
    found = low.pixel_to_world_values(*at[::-1])
    return dict(zip(low.world_axis_physical_types, found, strict=True))


# What is shown -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", mostly_slow(NAMES, *QUICK))
@pytest.mark.slow
def test_every_instrument_every_step(name: str, datasets: Any) -> None:
    ds = datasets(name)
    plot = ds.plot()
    assert isinstance(plot, ImagePlot)
    y, x = plot.shown.y, plot.shown.x
    for frame in itertools.product(*(range(ds.shape[a]) for a in plot.shown.sliding)):
        at = dict(zip(plot.shown.sliding, frame, strict=True))
        plot.show(at)
        index = tuple(at.get(a, slice(None)) for a in range(len(ds.shape)))
        pixels = ds[index].data.compute()
        np.testing.assert_array_equal(plot.image.pixels, pixels if y < x else pixels.T)


@pytest.mark.parametrize("ndim", range(1, 7))
def test_every_dimensionality(ndim: int, tmp_path: Path) -> None:
    shape = (2, 3, 2, 3, 5, 6)[-ndim:]
    names = ("a", "b", "c", "d", "e", "f")[:ndim]
    frame = {"axes_order": tuple(range(ndim)), "unit": ["nm"] * ndim, "axes_names": names}
    physical = [f"custom:{name}" for name in names]
    wcs = WCS([
        (cf.CoordinateFrame(ndim, ["PIXEL"] * ndim, name="pixels",
                            **{**frame, "unit": ["pix"] * ndim}), _scales(ndim)),
        (cf.CoordinateFrame(ndim, ["OTHER"] * ndim, name="world", **frame,
                            axis_physical_types=physical), None),
    ])  # fmt: skip
    data = np.arange(np.prod(shape), dtype="f4").reshape(shape)
    ds = dv.Dataset(da.from_array(data), wcs, unit=u.ct)
    plot = ds.plot()
    assert len(plot.sliders.widgets) == max(ndim - 2, 0)
    if ndim == 1:
        assert isinstance(plot, LinePlot)
        np.testing.assert_array_equal(plot.lines[0].get_ydata(), data)
        np.testing.assert_allclose(plot.lines[0].get_xdata(), 2.0 * np.arange(6))
    else:
        assert isinstance(plot, ImagePlot)
        last = dict.fromkeys(plot.shown.sliding, -1)
        plot.show(last)
        np.testing.assert_array_equal(plot.image.pixels, data[(-1,) * (ndim - 2)])
    plot.save(tmp_path / "figure.png")
    assert plt.imread(tmp_path / "figure.png").std() > 0


def _scales(n: int) -> Any:
    from astropy.modeling.models import Identity, Scale

    transform = Scale(2.0)
    for _ in range(n - 1):
        transform = transform & Scale(2.0)
    return transform | Identity(n)


def test_axes_that_are_named(datasets: Any) -> None:
    ds = datasets("vtf")
    plot = ds.plot([None, None, "x", "y", None])
    plot.show({0: 1, 1: 1, 4: 7})
    np.testing.assert_array_equal(plot.image.pixels, ds[1, 1, :, :, 7].data.compute().T)
    line = ds.plot([None, None, None, "x", None])
    assert isinstance(line, LinePlot)
    line.show({0: 3, 4: 9})
    np.testing.assert_array_equal(line.lines[0].get_ydata(), ds[3, 0, 0, :, 9].data.compute())


def test_a_computed_dataset(datasets: Any) -> None:
    ds = datasets("vtf")
    plot = (ds - 5 * u.ct).plot()
    plot.show({0: 2, 2: 1})
    np.testing.assert_array_equal(plot.image.pixels, ds[2, 0, 1].data.compute() - 5)


def test_refusals(datasets: Any) -> None:
    plot = datasets("vtf").plot()
    with pytest.raises(SelectionError, match="axis 3: expected one of those that have a slider"):
        plot.show({3: 1})
    with pytest.raises(SelectionError, match="pixel 4 is out of range for axis 0 of 4"):
        plot.show({0: 4})
    with pytest.raises(SelectionError, match="axis 99: expected one of those"):
        plot.step(99)
    with pytest.raises(ValueError, match=r"this one, with 3 sliders, needs 5.5 x 3.4 at least"):
        datasets("vtf").plot(figure=plt.figure(figsize=(3, 2)))
    with pytest.raises(TypeError, match="expected a matplotlib Figure"):
        datasets("vtf").plot(figure=plot.axes)
    with pytest.raises(ValueError, match=r"to the norm itself|are its own"):
        datasets("vtf").plot(norm=mpl.colors.LogNorm(), vmin=3)
    with pytest.raises(SelectionError, match="expected two numbers"):
        plot.profile((1, 2, 3))
    with pytest.raises(SelectionError, match="out of range"):
        plot.profile((99, 2))
    with pytest.raises(SelectionError, match="has no"):
        datasets("visp")[0].plot().at(stokes="V")


# What is said ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", mostly_slow(NAMES, *QUICK))
def test_sliders_say_where_they_are(name: str, datasets: Any) -> None:
    ds = datasets(name)
    plot = ds.plot()
    last = {axis: ds.shape[axis] - 1 for axis in plot.shown.sliding}
    plot.show(last)
    at = [last.get(axis, (n - 1) / 2) for axis, n in enumerate(ds.shape)]
    here = values(ds, at)
    said = {w.label.get_text(): w.valtext.get_text() for w in plot.sliders.widgets}
    n_said = 0
    if "Stokes" in said:
        letter = StokesCoord(here["phys.polarization.stokes"]).symbol
        assert said["Stokes"] == f"{letter}  (4 of 4)"
        n_said += 1
    if "wavelength" in said:
        assert said["wavelength"].startswith(f"{round(here['em.wl'], 4):.8g} nm")
        n_said += 1
    n_times = 0
    for label, text in said.items():
        if label not in ("Stokes", "wavelength") and "UTC" not in text:
            n_said += 1
            assert re.fullmatch(r"\d+ of \d+", text)  # another one says the moment
        elif label not in ("Stokes", "wavelength"):
            n_times += 1
            moment = ds.wcs.pixel_to_world(*at[::-1])
            time = next(m for m in (moment if isinstance(moment, list) else [moment])
                        if isinstance(m, Time))  # fmt: skip
            assert text.startswith(f"{time.isot} UTC  (")
            n_said += 1
    assert n_said == len(said) == len(plot.shown.sliding)
    assert n_times == 1


@pytest.mark.parametrize(
    "name", mostly_slow([name for name in NAMES if name not in MOSAICS], *QUICK)
)
def test_titles_say_what_is_held(name: str, datasets: Any) -> None:
    ds = datasets(name)
    plot = ds[(1,) * (len(ds.shape) - 2)].plot()
    title = plot.axes.get_title()
    here = values(ds, (1,) * len(ds.shape))
    assert ds.inventory["datasetId"] in title
    if "phys.polarization.stokes" in here:
        assert f"Stokes {StokesCoord(here['phys.polarization.stokes']).symbol}" in title
    if name == "vtf":
        assert f"{round(here['em.wl'], 4):.8g} nm" in title
    assert "UTC" in title


@pytest.mark.parametrize(
    ("name", "index"),
    [("visp", (0, 1)), ("cryonirsp", (0, 1, 1)), ("croppable_visp", (1, 300))],
)
def test_ticks_stand_where_the_wcs_has_their_values(name: str, index: Any, datasets: Any) -> None:
    """Of a spectrum: wavelength and the position along the slit."""
    ds = datasets(name)[index]
    plot = _without_frames(ds).plot()
    plot.figure.canvas.draw()
    ticks = [(plot.axes.xaxis, plot.shown.x, "em.wl"), (plot.axes.yaxis, plot.shown.y, ".lat")]
    for axis, array_axis, physical in ticks:
        locations = axis.get_majorticklocs()
        labels = [
            label.get_text().replace("\N{MINUS SIGN}", "-") for label in axis.get_ticklabels()
        ]
        assert len(locations) >= 3
        for location, label in zip(locations, labels, strict=True):
            at = [(n - 1) / 2 for n in ds.shape]
            at[array_axis] = location
            here = next(v for k, v in values(ds, at).items() if k.endswith(physical))
            step = abs(float(labels[1]) - float(labels[0]))
            assert float(label) == pytest.approx(here, abs=0.02 * step)
    assert plot.axes.get_xlabel() == "wavelength [nm]"
    assert plot.axes.get_ylabel() == "helioprojective latitude [arcsec]"


def _without_frames(ds: dv.Dataset) -> dv.Dataset:
    """The dataset's coordinates with zeros for pixels."""
    return dv.Dataset(da.zeros(ds.shape, dtype="f4"), ds.wcs, unit=ds.unit)


@pytest.mark.parametrize("name", mostly_slow(["vtf", "vbi_mosaic", "dlnirsp"], "vtf"))
def test_sky_axes_are_the_wcs(name: str, datasets: Any) -> None:
    ds = datasets(name)
    plot = ds[(0,) * (len(ds.shape) - 2)].plot()
    plot.figure.canvas.draw()
    here = HighLevelWCSWrapper(plot.axes.wcs).pixel_to_world(3, 2)
    there = ds[(0,) * (len(ds.shape) - 2)].wcs.pixel_to_world(3, 2)
    there = there if not isinstance(there, list) else there[0]
    assert here.separation(there).arcsec < 0.01
    assert plot.axes.coords[0].get_axislabel() == "helioprojective longitude [arcsec]"
    assert plot.colorbar.ax.get_ylabel() == "ct"


@pytest.mark.slow
def test_the_sky_is_not_stretched(datasets: Any) -> None:
    """A pixel of a map is as long and as wide on the screen as on the sky."""
    ds = datasets("croppable_visp")[0, :, 500]
    plot = _without_frames(ds).plot()
    plot.figure.canvas.draw()
    to_screen = plot.axes.transData.transform
    at = ds.wcs.low_level_wcs.pixel_to_world_values
    names = ds.wcs.low_level_wcs.world_axis_physical_types
    lon, lat = (next(i for i, k in enumerate(names) if k.endswith(e)) for e in (".lon", ".lat"))

    def sky(slit: float, step: float) -> Any:
        found = at(slit, step)
        return np.array([float(wrap(np.asarray(found[lon]), "arcsec")), float(found[lat])])

    # From one end of the map to the other: single steps of a raster are uneven.
    middle_slit, middle_step = 1277, 343
    across = np.linalg.norm(sky(middle_slit, 687) - sky(middle_slit, 0))
    along = np.linalg.norm(sky(2554, middle_step) - sky(0, middle_step))
    (x0, _), (x1, _) = to_screen([(0, middle_slit), (687, middle_slit)])
    (_, y0), (_, y1) = to_screen([(middle_step, 0), (middle_step, 2554)])
    assert (x1 - x0) / across == pytest.approx((y1 - y0) / along, rel=0.01)
    assert datasets("visp")[0, 0].plot().axes.get_aspect() == "auto"


@pytest.mark.slow
def test_contrast_by_stokes(datasets: Any) -> None:
    plot = datasets("vtf").plot()
    low, high = plot.image.get_clim()
    assert low > 0
    assert plot.image.get_cmap().name == "gray"
    plot.at(stokes="V")
    low, high = plot.image.get_clim()
    assert low == -high < 0
    assert plot.image.get_cmap().name == "RdBu_r"
    held = datasets("vtf")[2].plot()
    assert held.image.get_cmap().name == "RdBu_r"
    own = datasets("vtf").plot(vmin=3, cmap="viridis")
    own.at(stokes="Q")
    assert own.image.get_clim()[0] == 3
    beyond = datasets("vtf").plot(vmin=1e5).at(stokes="Q")
    assert beyond.image.get_clim()[0] == 1e5
    assert beyond.image.get_clim()[1] > 1e5
    low = datasets("vtf").plot(vmax=-1e5)
    assert low.image.get_clim()[1] == -1e5
    assert low.image.get_clim()[0] < -1e5
    assert own.image.get_cmap().name == "viridis"


def test_at_goes_to_the_nearest_plane(datasets: Any) -> None:
    ds = datasets("vtf")
    plot = ds.plot()
    wavelength = values(ds, (0, 0, 1, 0, 0))["em.wl"]
    plot.at(stokes="U", wavelength=wavelength * u.nm)
    assert plot.position[0] == 2
    assert plot.position[2] == 1


# What is read ------------------------------------------------------------------------------------


@pytest.fixture
def served(simulated: Any, converted: Any) -> Iterator[tuple[dv.Dataset, FrameServer]]:
    with FrameServer(simulated("vtf")).running() as server:
        ds = dv.open_dataset(converted("vtf"), frames=server.url)
        assert isinstance(ds, dv.Dataset)
        server.forget()
        yield ds, server


def test_opening_reads_one_frame_and_a_step_the_next(
    served: tuple[dv.Dataset, FrameServer],
) -> None:
    ds, server = served
    plot = ds.plot()
    assert [path for _, path, *_ in server.requests] == ds[0, 0, 0].files.names
    server.forget()
    plot.step(2)
    plot._reader.close()
    plot._reader._ahead.shutdown(wait=True)
    names = [*ds[0, 0, 1].files.names, *ds[0, 0, 2].files.names]
    assert [path for _, path, *_ in server.requests] == names[: len(server.requests)]


def test_a_step_onto_what_was_read_ahead_asks_for_nothing(
    served: tuple[dv.Dataset, FrameServer],
) -> None:
    ds, server = served
    plot = ds.plot()
    plot.step(0)
    plot._reader._coming[2, 0, 0, 0, 0].result()
    server.forget()
    plot.step(0)
    first = server.requests[0][1] if server.requests else None
    assert first in (None, ds[3, 0, 0].files.names[0])  # the next one, ahead
    np.testing.assert_array_equal(plot.image.pixels, ds[2, 0, 0].data.compute())


# What is drawn anew ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", mostly_slow(["vtf", "visp", "cryonirsp"], "visp"))
def test_a_repainted_step_looks_as_if_all_were_drawn(name: str, datasets: Any) -> None:
    ds = datasets(name)
    plot = ds.plot()
    plot.figure.canvas.draw()
    n = plot._repainter.n_full
    for axis in plot.shown.sliding:
        plot.show({axis: ds.shape[axis] - 1})
    plot.show({0: 0})
    assert plot._repainter.n_full - n <= len(plot.shown.sliding)
    repainted = buffer(plot.figure)
    plot.figure.canvas.draw()
    away = np.abs(repainted - buffer(plot.figure)).max(axis=-1)
    # The outline is painted over itself, which makes its edges a shade darker.
    assert (away > 60).mean() < 1e-4
    assert (away > 0).mean() < 0.02


def test_a_step_evaluates_one_pixel_and_draws_the_image_alone(datasets: Any) -> None:
    ds = datasets("vtf")
    plot = ds.plot()
    plot.figure.canvas.draw()
    asked = 0
    world = plot.subject.world
    to_world = world.low.pixel_to_world_values

    class Counting:
        def __getattr__(self, name: str) -> Any:
            return getattr(low, name)

        def pixel_to_world_values(self, *pixels: Any) -> Any:
            nonlocal asked
            asked += np.size(pixels[0])
            return to_world(*pixels)

    low, world.low = world.low, Counting()
    n = plot._repainter.n_full
    for axis in plot.shown.sliding:
        plot.step(axis)
    assert asked == len(plot.shown.sliding)  # what the sliders say
    assert plot._repainter.n_full == n


def test_a_window_shows_what_a_file_has(datasets: Any, tmp_path: Path) -> None:
    """In a window the image is painted over a picture of all else, in a file with it."""
    plot = datasets("visp")[:, 0].plot()
    plot.figure.canvas.draw()
    plot.step(0)
    shown = buffer(plot.figure)
    plot.figure.savefig(tmp_path / "a.png")
    saved = np.round(plt.imread(tmp_path / "a.png") * 255).astype(int)
    box = plot.axes.get_window_extent()
    inside = np.s_[-round(box.y1) + 2 : -round(box.y0) - 2, round(box.x0) + 2 : round(box.x1) - 2]
    assert saved[inside].std() > 10
    np.testing.assert_array_equal(shown[inside], saved[inside])


def test_coordinates_that_move_are_drawn_anew(datasets: Any) -> None:
    """Those of a slit move from one position of a raster to the next."""
    ds = datasets("visp_moving")
    plot = ds.plot()
    plot.figure.canvas.draw()
    n = plot._repainter.n_full
    plot.step(1)
    assert plot._repainter.n_full == n + 1
    plot.figure.canvas.draw()
    ticks = plot.axes.yaxis.get_majorticklocs()
    label = plot.axes.yaxis.get_ticklabels()[1].get_text().replace("\N{MINUS SIGN}", "-")
    at = [0.0, 1.0, (ds.shape[2] - 1) / 2, (ds.shape[3] - 1) / 2]
    at[plot.shown.y or 0] = ticks[1]
    here = values(ds, at)
    kind = plot.axes.get_ylabel().split()[1]
    found = next(v for k, v in here.items() if k.endswith(kind[:3]))
    assert float(label) == pytest.approx(float(wrap(np.asarray(found), "arcsec")), abs=1e-3)


def test_sky_coordinates_that_move(datasets: Any) -> None:
    """A DL-NIRSP tile lies elsewhere at another time."""
    ds = datasets("dlnirsp")
    plot = ds.plot()
    plot.figure.canvas.draw()
    n = plot._repainter.n_full
    plot.step(2)
    assert plot._repainter.n_full == n
    plot.step(1)
    here = HighLevelWCSWrapper(plot.axes.wcs).pixel_to_world(5, 6)
    there = ds[0, 1, 1].wcs.pixel_to_world(5, 6)
    assert here.separation(there[0] if isinstance(there, list) else there).arcsec < 0.01


def test_what_others_draw_over_it_stays(datasets: Any) -> None:
    plot = datasets("vtf").plot()
    plot.axes.plot([5, 25], [5, 25], color="red", lw=4)
    plot.figure.canvas.draw()
    plot.step(0)
    red = (buffer(plot.figure)[..., :3] == [255, 0, 0]).all(axis=-1).sum()
    plot.figure.canvas.draw()
    assert red > 300
    assert red == (buffer(plot.figure)[..., :3] == [255, 0, 0]).all(axis=-1).sum()
    plot.axes.coords.grid(color="lime", lw=4, ls="-")
    plot.figure.canvas.draw()
    before = (buffer(plot.figure)[..., :3] == [0, 255, 0]).all(axis=-1).sum()
    plot.step(0)
    after = (buffer(plot.figure)[..., :3] == [0, 255, 0]).all(axis=-1).sum()
    assert after == before
    assert before > 300


def test_saving_between_steps_spoils_nothing(datasets: Any, tmp_path: Path) -> None:
    plot = datasets("vtf").plot()
    plot.figure.canvas.draw()
    plot.save(tmp_path / "a.png", dpi=50)
    plot.step(0)
    repainted = buffer(plot.figure)
    plot.figure.canvas.draw()
    np.testing.assert_array_equal(repainted, buffer(plot.figure))
    for suffix in ("pdf", "svg"):
        plot.save(tmp_path / f"a.{suffix}")
        assert (tmp_path / f"a.{suffix}").stat().st_size > 5000


# A hand on the mouse -----------------------------------------------------------------------------


def mouse(figure: Any, kind: str, at: Any, **button: Any) -> None:
    event = MouseEvent(kind, figure.canvas, *at, **button)
    figure.canvas.callbacks.process(kind, event)


def test_sliders_and_wheel(datasets: Any) -> None:
    ds = datasets("vtf")
    plot = ds.plot()
    plot.figure.canvas.draw()
    box = plot.sliders.widgets[0].ax.get_window_extent()
    at = (box.x0 + 0.67 * box.width, box.y0 + box.height / 2)
    mouse(plot.figure, "button_press_event", at, button=MouseButton.LEFT)
    mouse(plot.figure, "button_release_event", at, button=MouseButton.LEFT)
    assert plot.position[0] == 2
    np.testing.assert_array_equal(plot.image.pixels, ds[2, 0, 0].data.compute())
    mouse(plot.figure, "scroll_event", at, step=1, button="up")
    mouse(plot.figure, "scroll_event", at, step=1, button="up")
    assert plot.position[0] == 3
    mouse(plot.figure, "scroll_event", at, step=-1, button="down")
    assert plot.position[0] == 2


@pytest.fixture
def loop() -> Iterator[None]:
    """An event loop, as every notebook has: the canvas's timers are made for it."""
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    yield
    asyncio.set_event_loop(None)
    loop.close()


@OLD_TRAITLETS
def test_in_a_notebook(datasets: Any, loop: None) -> None:
    """With ipympl's own canvas, and the messages that a browser sends it."""
    mpl.use("module://ipympl.backend_nbagg")
    ds = datasets("vtf")
    plot = ds.plot()
    canvas = plot.figure.canvas
    assert type(canvas).__module__ == "ipympl.backend_nbagg"
    canvas.draw()
    box = plot.sliders.widgets[2].ax.get_window_extent()
    height = canvas.get_renderer().height
    x, y = box.x0 + 0.99 * box.width, height - box.y0 - box.height / 2
    for kind in ("button_press", "button_release"):
        message = {"type": kind, "x": x, "y": y, "button": 0, "buttons": 1, "modifiers": [],
                   "guiEvent": {}}  # fmt: skip
        canvas._handle_message(canvas, message, [])
    plot.sliders._call()  # what its timer does once the event is over
    assert plot.position[2] == 2
    np.testing.assert_array_equal(plot.image.pixels, ds[0, 0, 2].data.compute())


@OLD_TRAITLETS
def test_a_slider_that_is_dragged_reads_what_it_ends_at(datasets: Any, loop: None) -> None:
    """Where there is an event loop, steps that were passed by are not read."""
    mpl.use("module://ipympl.backend_nbagg")
    plot = datasets("vtf").plot()
    shown = []
    show = plot.show
    plot.show = lambda position: (shown.append(position), show(position))
    for value in (1, 2, 3):
        plot.sliders.widgets[0].set_val(value)
    assert shown == []
    plot.sliders._call()
    assert shown == [{0: 3}]
    plot.sliders._call()
    assert shown == [{0: 3}]


# Profiles ----------------------------------------------------------------------------------------


def test_the_profiles_of_a_pixel(datasets: Any) -> None:
    ds = datasets("vtf")
    plot = ds.plot_profile((10, 20))
    assert [axes.get_ylabel() for axes in plot.axes] == ["I [ct]", "Q [ct]", "U [ct]", "V [ct]"]
    wavelengths = [values(ds, (0, 0, i, 10, 20))["em.wl"] for i in range(3)]
    order = np.argsort(wavelengths)
    for stokes, line in enumerate(plot.lines):
        np.testing.assert_allclose(line.get_xdata(), np.array(wavelengths)[order])
        expected = ds[stokes, 0, :, 10, 20].data.compute()[order]
        np.testing.assert_array_equal(line.get_ydata(), expected)
    plot.show({1: 1, 3: 4})
    np.testing.assert_array_equal(
        plot.lines[3].get_ydata(), ds[3, 1, :, 4, 20].data.compute()[order]
    )


@pytest.mark.slow
@pytest.mark.parametrize("name", mostly_slow(NAMES, *QUICK))
def test_the_profile_of_any_pixel_of_every_instrument(name: str, datasets: Any) -> None:
    ds = datasets(name)
    plot = ds.plot_profile()
    x, panels = plot.shown.x, plot.shown.y
    assert ("wavelength" if "em.wl" in values(ds, (0,) * len(ds.shape)) else "time") in (
        plot.axes[-1].get_xlabel()
    )
    assert (panels is None) == ("stokes" not in str(ds.wcs.world_axis_physical_types))
    middle = {axis: ds.shape[axis] // 2 for axis in plot.shown.sliding}
    plot.show(middle)
    index = [middle.get(axis, slice(None)) for axis in range(len(ds.shape))]
    order = np.argsort(plot._x(), kind="stable")
    for number, line in enumerate(plot.lines):
        if panels is not None:
            index[panels] = number
        expected = ds[tuple(index)].data.compute()[order]
        np.testing.assert_array_equal(line.get_ydata(), expected)
    assert x not in plot.shown.sliding


def test_profiles_along_other_things(datasets: Any) -> None:
    ds = datasets("visp")
    plot = ds.plot_profile((2, 10), along="time")
    assert plot.shown.x == 1
    assert plot.axes[-1].get_xlabel().startswith("time [UTC]")
    np.testing.assert_array_equal(plot.lines[1].get_ydata(), ds[1, :, 2, 10].data.compute())
    plot.figure.canvas.draw()
    plot = ds[:, 1, :, 3].plot_profile((7,), along="stokes")
    assert len(plot.axes) == 1
    np.testing.assert_array_equal(plot.lines[0].get_ydata(), ds[:, 1, 7, 3].data.compute())
    plot.figure.canvas.draw()
    assert [t.get_text() for t in plot.axes[0].get_xticklabels() if t.get_text()][:4] == list(
        "IQUV"
    )
    plot = ds[0, 0].plot_profile((5,), along=1)
    np.testing.assert_array_equal(plot.lines[0].get_ydata(), ds[0, 0, 5].data.compute())
    with pytest.raises(SelectionError, match="at most 2 numbers"):
        ds.plot_profile((1, 2, 3))
    with pytest.raises(SelectionError, match="no axis of this selection is that alone"):
        ds[0].plot_profile(along="stokes")
    with pytest.raises(SelectionError, match="out of range"):
        ds.plot_profile((4, 0))


@pytest.mark.slow
def test_a_click_shows_a_pixels_profile(datasets: Any) -> None:
    ds = datasets("vtf")
    plot = ds.plot()
    plot.figure.canvas.draw()
    at = plot.axes.transData.transform((20, 10))
    mouse(plot.figure, "button_press_event", at, button=MouseButton.LEFT)  # nobody asked yet
    profile = plot.profile()
    assert profile.position[3:] == [15, 22]
    mouse(plot.figure, "button_press_event", at, button=MouseButton.LEFT)
    assert profile.position[3:] == [10, 20]
    order = np.argsort([values(ds, (0, 0, i, 10, 20))["em.wl"] for i in range(3)])
    expected = ds[2, 0, :, 10, 20].data.compute()[order]
    np.testing.assert_array_equal(profile.lines[2].get_ydata(), expected)
    assert (plot._mark.get_xdata()[0], plot._mark.get_ydata()[0]) == (20, 10)
    # Each goes along with the other's sliders.
    plot.step(1)
    assert profile.position[1] == 1
    profile.step(1, -1)
    assert plot.position[1] == 0
    np.testing.assert_array_equal(plot.image.pixels, ds[0, 0, 0].data.compute())


def test_a_click_on_a_spectrum(datasets: Any) -> None:
    ds = datasets("visp")
    plot = ds.plot()
    profile = plot.profile()
    plot.figure.canvas.draw()
    at = plot.axes.transData.transform((12, 33))
    mouse(plot.figure, "button_press_event", at, button=MouseButton.LEFT)
    assert profile.position[3] == 33
    np.testing.assert_array_equal(profile.lines[1].get_ydata(), ds[1, 0, :, 33].data.compute())
    assert list(plot._mark.get_ydata()) == [33, 33]


# Frames that are not there -----------------------------------------------------------------------


def test_absent_frames_are_hatched_where_reads_raise(simulated: Any, tmp_path: Path) -> None:
    shutil.copytree(simulated("visp"), tmp_path / "part")
    names = dv.open_dataset(tmp_path / "part").files.names
    (tmp_path / "part" / names[2]).unlink()
    ds = dv.open_dataset(tmp_path / "part")
    plot = ds.plot([None, "x", None, "y"])
    texts = [text.get_text() for text in plot.axes.texts]
    assert len(texts) == 1
    assert texts[0].startswith("1 of 4 frames not here")
    assert "ds.download" in texts[0]
    (boxes,) = [c for c in plot.axes.collections if c.get_hatch()]
    extent = boxes.get_paths()[0].get_extents()
    assert (extent.x0, extent.x1, extent.y0, extent.y1) == (1.5, 2.5, -0.5, 63.5)
    plot.step(0)  # of the next Stokes parameter all are there
    assert len(plot.axes.texts) == 0
    assert not [c for c in plot.axes.collections if c.get_hatch()]
    frame = ds.plot()
    frame.show({1: 2})
    assert np.isnan(frame.image.pixels).all()
    assert frame.axes.texts[0].get_text().startswith("1 of 1 frame not here")
    with pytest.raises(dv.errors.FrameMissingError):
        ds[0, 2].data.compute()
    line = ds[0, :, 3, 4].plot()
    assert np.isnan(line.lines[0].get_ydata()).tolist() == [False, False, True, False]
    assert len([patch for patch in line.axes[0].patches if patch.get_hatch()]) == 1


@pytest.mark.slow
@pytest.mark.parametrize("name", mostly_slow(NAMES, *QUICK))
def test_an_absent_frame_of_every_instrument(name: str, simulated: Any, tmp_path: Path) -> None:
    shutil.copytree(simulated(name), tmp_path / "part")
    opened = dv.open_dataset(tmp_path / "part")
    names = (opened.flat[0] if isinstance(opened, dv.TiledDataset) else opened).files.names
    (tmp_path / "part" / names[0]).unlink()
    opened = dv.open_dataset(tmp_path / "part")
    ds = opened.flat[0] if isinstance(opened, dv.TiledDataset) else opened
    plot = ds.plot()
    assert np.isnan(plot.image.pixels).all()
    (boxes,) = [c for c in plot.axes.collections if c.get_hatch()]
    extent = boxes.get_paths()[0].get_extents()
    height, width = plot.image.pixels.shape
    assert (extent.x0, extent.x1) == (-0.5, width - 0.5)
    assert (extent.y0, extent.y1) == (-0.5, height - 0.5)
    assert "1 of 1 frame not here" in plot.axes.texts[0].get_text()
    plot.step(plot.shown.sliding[0])
    assert len(plot.axes.texts) == 0


@pytest.mark.slow
def test_a_broken_frame_is_said_and_not_hatched(simulated: Any, tmp_path: Path) -> None:
    shutil.copytree(simulated("vtf"), tmp_path / "part")
    names = dv.open_dataset(tmp_path / "part").files.names
    broken = tmp_path / "part" / names[1]
    broken.write_bytes(broken.read_bytes()[:9000])
    ds = dv.open_dataset(tmp_path / "part")
    plot = ds.plot()
    with pytest.raises(FrameCorruptError):
        plot.step(2)
    assert names[1] in plot.axes.texts[0].get_text()
    assert np.isnan(plot.image.pixels).all()
    assert not plot.axes.collections
    plot.sliders.widgets[2].set_val(2)  # by hand, and further: all is well again
    assert len(plot.axes.texts) == 0
    plot.sliders.widgets[2].set_val(1)  # by hand nothing is raised
    assert names[1] in plot.axes.texts[0].get_text()
    with pytest.raises(FrameCorruptError, match=names[1]):
        ds.plot_profile((3, 4))  # nothing could be shown of it
    line = ds[..., 3, 4].plot([None, "x", None])
    with pytest.raises(FrameCorruptError):
        line.step(2)
    assert names[1] in line.axes[0].texts[0].get_text()
    assert np.isnan(line.lines[0].get_ydata()).all()

"""Text in figures is inside of the figure, covers nothing else, and says each thing once."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest
from dkist_assets import unpacked
from matplotlib.text import Text
from samples import mostly_slow
from simulated import MOSAICS, NAMES, QUICK

import dkist_virtual as dv
from dkist_virtual.cube.world_axes import decimals
from dkist_virtual.plot import image_plot as drawing

REAL = {
    "BKEWK": "croppable_visp.asdf.gz",
    "BRMQY": "test_old_wcs_BRMQY.asdf",
    "BMPNP": "croppable_cryo.asdf.gz",
    "VBI": "large_vbi.asdf.gz",
    "EIT": "EIT/eit_test_dataset.asdf",
    "mosaic": "test_tiled_dataset-1.3.0_dataset-1.2.0.asdf",
}


@pytest.fixture(autouse=True)
def agg() -> Iterator[None]:
    mpl.use("agg")
    yield
    plt.close("all")


class Waves:
    """Pixels of any selection of a large dataset, whose frames nobody has here."""

    def __init__(self, shape: tuple[int, ...], scale: float = 100) -> None:
        self.shape, self.dtype, self.scale = shape, np.dtype("f4"), scale

    def __getitem__(self, index: tuple[int | slice, ...]) -> Any:
        along = [np.arange(n)[part] for n, part in zip(self.shape, index, strict=True)]
        steps = [np.cos(6.3 * (k + 2) * at / n)
                 for k, (at, n) in enumerate(zip(along, self.shape, strict=True))]  # fmt: skip
        grid = np.meshgrid(*map(np.atleast_1d, steps), indexing="ij")
        shape = [np.size(at) for at in along if np.ndim(at)]
        return (self.scale * (10 + sum(grid))).reshape(shape).astype("f4")


@pytest.fixture(scope="module")
def opened(simulated: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    directory = tmp_path_factory.mktemp("real")
    known: dict[str, Any] = {}

    def dataset(name: str) -> Any:
        if name not in known:
            place = unpacked(REAL[name], directory) if name in REAL else simulated(name)
            known[name] = dv.open_dataset(place)
        return known[name]

    return dataset


def first(opened: Any) -> dv.Dataset:
    return opened.flat[0] if isinstance(opened, dv.TiledDataset) else opened


def subject(ds: dv.Dataset, scale: float = 100) -> Any:
    """What is drawn of a dataset, with pixels that are made up."""
    return replace(ds.subject(), data=Waves(ds.shape, scale))


@contextmanager
def written() -> Iterator[list[tuple[str, Any, Any]]]:
    """What is written while figures are drawn: the text, its box on the figure, the artist."""
    found: list[tuple[str, Any, Any]] = []
    draw = Text.draw

    def noted(self: Text, renderer: Any, *args: Any, **kwargs: Any) -> Any:
        text = self.get_text().strip()
        if text and self.get_visible():
            patch = self.get_bbox_patch()
            box = Text.get_window_extent(self, renderer)
            if patch is not None:
                self.update_bbox_position_size(renderer)
                box = patch.get_window_extent(renderer)
            if not any(artist is self and said == text for said, _, artist in found if patch):
                found.append((text, box.frozen(), self))
        return draw(self, renderer, *args, **kwargs)

    Text.draw = noted  # type: ignore[method-assign]
    try:
        yield found
    finally:
        Text.draw = draw  # type: ignore[method-assign]


def check(plot: Any) -> list[str]:
    """Draw a figure; refuse what is outside of it, or over something else. What is written."""
    figure = plot.figure
    with written() as found:
        figure.canvas.draw()
    assert found
    frame = figure.bbox
    for text, box, _ in found:
        out = min(box.x0, box.y0, frame.x1 - box.x1, frame.y1 - box.y1)
        assert out >= -1, f"{text!r} is outside of the figure: {box} of {frame}"
        assert "\N{HORIZONTAL ELLIPSIS}" not in text
    for (one, a, _), (other, b, _) in itertools.combinations(found, 2):
        wide, high = min(a.x1, b.x1) - max(a.x0, b.x0), min(a.y1, b.y1) - max(a.y0, b.y0)
        assert wide < 1 or high < 1, f"{one!r} over {other!r}: {a}, {b}"
    # Each axes of its own: no box over a colour bar, no label in another's picture.
    boxes = {axes: axes.get_window_extent() for axes in [*figure.axes, plot_bar(plot)] if axes}
    for text, box, artist in found:
        for axes, area in boxes.items():
            wide = min(box.x1, area.x1) - max(box.x0, area.x0)
            high = min(box.y1, area.y1) - max(box.y0, area.y0)
            over = wide > 1 and high > 1
            assert not over or artist.axes is axes, f"{text!r} over the axes {axes}"
    return [text for text, *_ in found]


def plot_bar(plot: Any) -> Any:
    return plot.colorbar.ax if hasattr(plot, "colorbar") else None


def check_ticks(plot: Any, texts: list[str]) -> None:
    """Both axes of an image have a name and at least one value."""
    if hasattr(plot.axes, "coords"):
        labels = [coordinate.get_axislabel() for coordinate in plot.axes.coords]
    else:
        labels = [plot.axes.get_xlabel(), plot.axes.get_ylabel()]
        assert len(plot.axes.get_xticklabels()) > 0
        assert len(plot.axes.get_yticklabels()) > 0
    assert all(label in texts for label in labels)
    assert len(set(labels)) == 2


CASES = {
    "visp": [np.s_[...], np.s_[0, :, 5], np.s_[0, :, :, 50], np.s_[:, :, 5]],
    "visp_plain": [np.s_[...]],
    "visp_moving": [np.s_[...], np.s_[0, :, 5], np.s_[:, 0, 5], np.s_[0, :, :, 5]],
    "vtf": [np.s_[...], np.s_[0, 0, :, :, 5], np.s_[0, :, 0, 5]],
    "vbi_mosaic": [np.s_[...], np.s_[:, 3]],
    "vbi_mosaic_missing": [np.s_[...]],
    "cryonirsp": [np.s_[...], np.s_[0, 0, :, 5], np.s_[0, 0, :, :, 5], np.s_[0, :, 1, :, 5]],
    "dlnirsp": [np.s_[...], np.s_[0, 0, :, 3]],
    "BKEWK": [np.s_[...], np.s_[0, :40, 500], np.s_[0, :8, :, 1200]],
    "BRMQY": [np.s_[...], np.s_[0, :40, 490]],
    "BMPNP": [np.s_[...], np.s_[0, 0, :, 500, :], np.s_[0, 0, :, :, 500], np.s_[0, :, :, 500]],
    "VBI": [np.s_[...], np.s_[:, 3]],
    "EIT": [np.s_[...], np.s_[:, 3]],
    "mosaic": [np.s_[...]],
}


def test_every_instrument_is_here() -> None:
    assert set(CASES) == {*NAMES, *REAL}


@pytest.mark.every(10)
@pytest.mark.parametrize(
    ("name", "size"),
    mostly_slow(
        [*((name, None) for name in CASES),
         *itertools.product(("visp", "vtf", "BKEWK", "BMPNP"), [(5.5, None), (13, 4.5), (6, 11)])],
        ("vbi_mosaic_missing", None), ("BKEWK", None), ("EIT", None),
        ("vtf", (5.5, None)),
    ),
)  # fmt: skip
def test_nothing_written_is_over_anything_else(name: str, size: Any, opened: Any) -> None:
    ds = first(opened(name))
    for index in CASES[name] if size is None else (CASES[name][0], CASES[name][2]):
        part = subject(ds[index])
        n_sliders = sum(n > 1 for n in part.world.shape[:-2])
        high = None if size is None else size[1] or 2.6 + 0.28 * n_sliders
        figure = None if size is None else plt.figure(figsize=(size[0], high))
        plot = drawing.draw(part, figure=figure)
        check_ticks(plot, check(plot))
        plt.close("all")


@pytest.mark.slow
@pytest.mark.parametrize("name", mostly_slow(CASES, "visp", "vbi_mosaic_missing", "BKEWK"))
def test_lines_and_profiles(name: str, opened: Any) -> None:
    ds = first(opened(name))
    for scale in (100, 1e-6, 1e9) if name in ("vtf", "BKEWK") else (100,):
        check(drawing.draw_profile(subject(ds, scale)))
        plt.close("all")
    line = ds[(0,) * (len(ds.shape) - 1)]
    check(drawing.draw(subject(line), figure=plt.figure(figsize=(5.5, 3))))


@pytest.mark.parametrize("scale", mostly_slow([1e-8, 1e-3, 1e4, 1e12], 1e12))
def test_colour_bars_of_any_numbers(scale: float, opened: Any) -> None:
    plot = drawing.draw(subject(first(opened("vtf")), scale))
    texts = check(plot)
    power = {1e-8: "1e-7 ct", 1e-3: "ct", 1e4: "ct", 1e12: "1e13 ct"}[scale]
    assert power in [text.replace("\N{MINUS SIGN}", "-") for text in texts]


@pytest.mark.parametrize("name", mostly_slow(MOSAICS, *QUICK))
@pytest.mark.parametrize(
    "size", [None, *(pytest.param(size, marks=pytest.mark.slow) for size in ((5.5, 5), (12, 5)))]
)
def test_mosaics(name: str, size: Any, opened: Any) -> None:
    check(opened(name).plot(figure=size and plt.figure(figsize=size)))


@pytest.mark.parametrize(
    ("name", "index"),
    mostly_slow(
        [("BKEWK", np.s_[0, :40, 500]), ("BKEWK", np.s_[0, :120, 500]), ("BKEWK", np.s_[...]),
         ("BMPNP", np.s_[0, 0, :, 500]), ("VBI", np.s_[0])],
        every=3,
    ),
)  # fmt: skip
@pytest.mark.parametrize("size", [None, (5.5, 4)])
def test_the_box_about_absent_frames(name: str, index: Any, size: Any, opened: Any) -> None:
    part = first(opened(name))[index]
    plot = part.plot(figure=size and plt.figure(figsize=size))
    (box,) = plot.axes.texts
    n = len(part.files) if len(part.shape) == 2 else 1
    assert box.get_text().startswith(f"{n} of {n} frame")
    texts = check(plot)
    assert " ".join(box.get_text().split()) in [" ".join(text.split()) for text in texts]


def test_a_window_of_another_size_is_laid_out_anew(opened: Any) -> None:
    plot = drawing.draw(subject(first(opened("BMPNP"))))
    for size in ((6, 5), (12, 8), (5.5, 9)):
        plot.figure.set_size_inches(size)
        plot.figure.canvas.callbacks.process("resize_event", None)
        check(plot)


# Sliders -------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("name", mostly_slow(CASES, "visp", "vbi_mosaic_missing", "BKEWK"))
def test_each_slider_says_something_else(name: str, opened: Any) -> None:
    ds = first(opened(name))
    for draw in (drawing.draw, drawing.draw_profile):
        plot = draw(subject(ds))
        for axis in plot.shown.sliding:
            plot.step(axis)
        said = [slider.valtext.get_text().partition("  (")[0] for slider in plot.sliders.widgets]
        # The longitude and the latitude of a place may be the same number.
        moments = [
            text for text in said if " of " not in text and not text.endswith(("sec", "deg"))
        ]
        assert len(set(moments)) == len(moments)
        assert len(set(plot._written_by.values())) == len(plot._written_by)
        names = [slider.label.get_text() for slider in plot.sliders.widgets]
        assert len(set(names)) == len(names)
        plt.close("all")


def test_one_moment_is_said_once(opened: Any) -> None:
    plot = drawing.draw(subject(first(opened("BMPNP"))))
    said = {s.label.get_text(): s.valtext.get_text() for s in plot.sliders.widgets}
    assert sum("2023-01-01T" in text for text in said.values()) == 1
    assert said["scan step number"] == "1 of 3"


# The read-out under the mouse -------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("name", mostly_slow(CASES, "visp", "vbi_mosaic_missing", "BKEWK"))
def test_the_read_out_tells_pixels_apart(name: str, opened: Any) -> None:
    ds = first(opened(name))
    for index in CASES[name]:
        plot = drawing.draw(subject(ds[index]))
        high, wide = plot.image.pixels.shape
        here = plot.axes.format_coord(wide // 2, high // 2)
        for place in ((wide // 2 - 1, high // 2), (wide // 2, high // 2 - 1)):
            there = plot.axes.format_coord(*place)
            words = [word.partition("(pixel")[0] for word in (here, there)]
            assert words[0] != words[1] or min(high, wide) == 1
        # Each number of the sky with its unit.
        for kind in ("longitude", "latitude"):
            for number in re.findall(rf"{kind} (\S+) (\S+)", here):
                float(number[0])
                assert number[1] in ("arcsec", "deg")
        plt.close("all")


def test_the_read_out_is_the_wcs(opened: Any) -> None:
    ds = first(opened("VBI"))[0]
    plot = drawing.draw(subject(ds))
    values = ds.wcs.low_level_wcs.pixel_to_world_values(17, 33)
    values = [(float(v) + 648000) % 1296000 - 648000 for v in values[:2]]
    names = [axis.kind for axis in plot.subject.world.axes]
    found = re.findall(r"(longitude|latitude) (\S+) arcsec", plot.axes.format_coord(17, 33))
    step = plot._sky.grid.per_pixel[0]
    assert step < 0.02
    for kind, said in found:
        assert float(said) == pytest.approx(values[names.index(kind)], abs=step / 2)
        assert len(said.partition(".")[2]) == decimals(step)
    assert len(found) == 2


def test_the_read_out_of_lines_and_mosaics(opened: Any) -> None:
    line = drawing.draw(subject(first(opened("visp"))[0, 0, :, 3]))
    said = line.axes[0].format_coord(630.05, 1234.5)
    assert re.fullmatch(r"wavelength 630\.05\d* nm, 1234\.5 ct", said)
    light = drawing.draw(subject(first(opened("visp"))[0, :, 3, 3]))
    assert "UTC" in light.axes[0].format_coord(light._x()[1], 3.0)
    mosaic = opened("vbi_mosaic").plot()
    said = mosaic.axes.format_coord(-30.123456, -40.1)
    assert re.fullmatch(r"longitude -30\.1\d+ arcsec  latitude -40\.1\d+ arcsec", said)


# Saved, and not interactive ---------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("draw", [drawing.draw, drawing.draw_profile])
@pytest.mark.parametrize("name", mostly_slow(["vtf", "BMPNP", "BKEWK"], "BKEWK"))
def test_a_saved_picture_has_no_sliders(name: str, draw: Any, opened: Any, tmp_path: Path) -> None:
    plot = draw(subject(first(opened(name))))
    for axis in plot.shown.sliding:
        plot.step(axis)
    title = plot._all_axes[0].get_title()
    with written() as found:
        plot.save(tmp_path / "picture.png", dpi=80)
    texts = {text for text, *_ in found}
    for slider in plot.sliders.widgets:
        assert slider.label.get_text() not in texts
        assert slider.ax.get_visible()
    assert not any("interactive" in text for text in texts)
    said = " ".join(next(text for text in texts if plot.subject.title in text).split())
    for slider in plot.sliders.widgets:
        value = slider.valtext.get_text()
        assert value.partition("  (")[0] in said
    picture = plt.imread(tmp_path / "picture.png")
    wide, high = plot.figure.get_size_inches()
    assert picture.shape[0] < 80 * (high - 0.2 * len(plot.sliders.widgets))
    assert picture.shape[1] == pytest.approx(80 * wide, abs=2)
    assert plot._all_axes[0].get_title() == title
    check(plot)
    plot.save(tmp_path / "tight.pdf", bbox_inches="tight")


@pytest.mark.slow
def test_a_saved_mosaic_has_no_sliders(opened: Any, tmp_path: Path) -> None:
    plot = opened("dlnirsp").plot()
    plot.at(stokes="V")
    with written() as found:
        plot.save(tmp_path / "picture.png")
    texts = {text for text, *_ in found}
    assert any("Stokes V" in text for text in texts)
    assert not {slider.label.get_text() for slider in plot.sliders.widgets} & texts


@pytest.mark.parametrize("backend", ["agg", "module://matplotlib_inline.backend_inline"])
def test_sliders_that_nobody_can_move_say_so(backend: str, opened: Any) -> None:
    mpl.use(backend)
    plot = drawing.draw(subject(first(opened("vtf"))))
    texts = check(plot)
    assert any("%matplotlib widget" in text and "plot.step()" in text for text in texts)
    without = drawing.draw(subject(first(opened("vtf"))[0, 0, 0]))
    assert not any("%matplotlib" in text for text in check(without))


@pytest.mark.filterwarnings("ignore:Passing unrecognized arguments to super:DeprecationWarning")
def test_sliders_that_can_be_moved_say_nothing_of_it(opened: Any) -> None:
    import asyncio

    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    mpl.use("module://ipympl.backend_nbagg")
    plot = drawing.draw(subject(first(opened("vtf"))))
    assert not any("%matplotlib" in text for text in check(plot))
    asyncio.set_event_loop(None)
    loop.close()


def test_a_users_own_labels_stay(opened: Any) -> None:
    plot = drawing.draw(subject(first(opened("visp"))[0, :, :, 50]))
    plot.axes.set_ylabel("mine")
    plot.colorbar.set_label("also mine")
    assert {"mine", "also mine"} <= set(check(plot))

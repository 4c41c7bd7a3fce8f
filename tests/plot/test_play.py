"""Play figures along their sliders, with the events of real canvases."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.backend_bases import KeyEvent, MouseButton, MouseEvent, TimerBase
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from dkist_virtual.errors import FrameCorruptError


@pytest.fixture(autouse=True)
def agg() -> Iterator[None]:
    mpl.use("agg")
    yield
    plt.close("all")


class Clock(TimerBase):
    """A timer that runs when the test says so."""

    runs = False

    def _timer_start(self) -> None:
        self.runs = True

    def _timer_stop(self) -> None:
        self.runs = False


class Screen(FigureCanvasAgg):
    """A canvas as in a window, with an event loop."""

    def new_timer(self, interval: Any = None, callbacks: Any = None) -> Clock:
        return Clock(interval, callbacks)


@pytest.fixture
def plot(datasets: Any) -> Any:
    figure = Figure(figsize=(8, 6))
    Screen(figure)
    plot = datasets("vtf").plot(figure=figure)
    figure.canvas.draw()
    return plot


def tick(plot: Any, times: int = 1) -> None:
    for _ in range(times):
        for coming in list(plot._reader._coming.values()):
            coming.result()
        if plot.player._timer.runs:
            plot.player._timer._on_timer()


def press(plot: Any, number: int) -> None:
    button = plot.sliders.buttons[number]
    x, y = button.axes.transAxes.transform((button.get_xdata()[0], 0.5))
    for kind in ("button_press_event", "button_release_event"):
        event = MouseEvent(kind, plot.figure.canvas, x, y, button=MouseButton.LEFT)
        plot.figure.canvas.callbacks.process(kind, event)


def space(plot: Any, over: Any = None) -> None:
    where = (None, None) if over is None else over.transAxes.transform((0.5, 0.5))
    event = KeyEvent("key_press_event", plot.figure.canvas, " ", *where)
    plot.figure.canvas.callbacks.process("key_press_event", event)


def test_a_button_plays_to_the_end_and_again(plot: Any, datasets: Any) -> None:
    ds, timer = datasets("vtf"), plot.player._timer
    press(plot, 0)
    assert timer.runs
    assert plot.position[0] == 0
    for step in (1, 2):
        tick(plot)
        assert plot.position == [step, 0, 0, 0, 0]
        np.testing.assert_array_equal(plot.image.pixels, ds[step, 0, 0].data.compute())
    press(plot, 0)
    assert not timer.runs
    tick(plot)
    assert plot.position[0] == 2
    press(plot, 0)
    tick(plot)
    assert plot.position[0] == 3
    assert not timer.runs  # at the end
    press(plot, 0)
    assert plot.position[0] == 0
    assert timer.runs
    press(plot, 2)  # another slider takes over
    tick(plot, 5)
    assert plot.position == [0, 0, 2, 0, 0]
    assert not timer.runs


@pytest.mark.slow
def test_the_space_bar(plot: Any) -> None:
    space(plot)
    tick(plot)
    assert plot.position == [0, 1, 0, 0, 0]  # that of the time, of two repeats
    space(plot, plot.sliders.widgets[2].ax)
    tick(plot)
    assert plot.position == [0, 1, 1, 0, 0]
    space(plot)
    tick(plot)
    assert plot.position == [0, 1, 1, 0, 0]
    space(plot)  # the one that was played last
    tick(plot, 3)
    assert plot.position == [0, 1, 2, 0, 0]


@pytest.mark.slow
def test_a_plane_that_is_not_there_yet_is_waited_for(plot: Any) -> None:
    press(plot, 0)
    slow: Any = Future()
    slow.set_running_or_notify_cancel()
    plot._reader._coming[1, 0, 0, 0, 0] = slow
    plot.player._timer._on_timer()
    assert plot.position[0] == 0
    assert plot.player._timer.runs
    slow.set_result(plot._reader._read((1, 0, 0, 0, 0)))
    tick(plot)
    assert plot.position[0] == 1


@pytest.mark.slow
def test_a_plane_that_cannot_be_read_ends_it(plot: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(at: Any) -> Any:
        raise FrameCorruptError("frame 1 is broken")

    monkeypatch.setattr(plot._reader, "_read", broken)
    press(plot, 0)
    tick(plot)
    assert "frame 1 is broken" in plot.axes.texts[0].get_text()
    assert plot.player.playing is None
    assert not plot.player._timer.runs


@pytest.mark.slow
def test_a_repainted_button_looks_as_if_all_were_drawn(plot: Any) -> None:
    canvas = plot.figure.canvas
    before = np.asarray(canvas.buffer_rgba()).copy()
    n = plot._repainter.n_full
    press(plot, 1)
    playing = np.asarray(canvas.buffer_rgba()).copy()
    changed = np.argwhere((playing != before).any(axis=-1))
    assert 0 < len(changed) < 400  # the button alone
    assert plot._repainter.n_full == n
    canvas.draw()
    assert playing[150:300, 250:500].std() > 20
    below = slice(-90, None)  # where the sliders are
    np.testing.assert_array_equal(playing[below], np.asarray(canvas.buffer_rgba())[below])


@pytest.mark.slow
def test_no_button_is_saved_or_costs_a_figure_that_no_hand_reaches(
    plot: Any, datasets: Any, tmp_path: Path
) -> None:
    plot.figure.savefig(tmp_path / "with.png")
    for button in plot.sliders.buttons:
        button.set_visible(False)
    plot.figure.savefig(tmp_path / "without.png")
    assert (tmp_path / "with.png").read_bytes() == (tmp_path / "without.png").read_bytes()
    still = datasets("vtf").plot()
    assert still.sliders.buttons == []
    space(still)
    assert still.player.playing is None
    assert datasets("vtf")[0, 0, 0].plot().sliders.buttons == []


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Passing unrecognized arguments to super:DeprecationWarning")
def test_in_a_notebook(datasets: Any) -> None:
    """With ipympl's own canvas, and the messages that a browser sends it."""
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    try:
        mpl.use("module://ipympl.backend_nbagg")
        plot = datasets("vtf").plot()
        canvas = plot.figure.canvas
        canvas.draw()
        button = plot.sliders.buttons[2]
        x, y = button.axes.transAxes.transform((button.get_xdata()[0], 0.5))
        message = {"type": "button_press", "x": x, "y": canvas.get_renderer().height - y,
                   "button": 0, "buttons": 1, "modifiers": [], "guiEvent": {}}  # fmt: skip
        canvas._handle_message(canvas, message, [])
        assert plot.player.playing == 2
        plot.player._step()  # what its timer does
        assert plot.position[2] == 1
        canvas._handle_message(canvas, {"type": "key_press", "key": "k ", "guiEvent": {}}, [])
        assert plot.player.playing is None
        assert not plot.player._timer._timer
    finally:
        plt.close("all")
        asyncio.set_event_loop(None)
        loop.close()

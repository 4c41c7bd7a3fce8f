"""Write movies: what an independent reader finds in them, what is read, what is left behind."""

from __future__ import annotations

import base64
import itertools
import re
import shutil
import signal
import subprocess
import sys
import weakref
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import astropy.units as u
import dask.array as da
import imageio.v3 as iio
import imageio_ffmpeg
import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest
from astropy.time import Time
from gwcs import WCS
from gwcs import coordinate_frames as cf
from matplotlib.animation import FFMpegWriter
from matplotlib.figure import Figure
from samples import mostly_slow

import dkist_virtual as dv
from dkist_virtual.demo.server import FrameServer
from dkist_virtual.errors import FrameCorruptError, SelectionError
from dkist_virtual.plot.output.film import Camera
from dkist_virtual.plot.output.in_step import nearest
from dkist_virtual.plot.planes import PlaneReader

N = 8
SHAPE = (N, 10, 16)
DPI = 30


@pytest.fixture(autouse=True)
def agg() -> Iterator[None]:
    mpl.use("agg")
    yield
    plt.close("all")


class Counted:
    """An array whose plane k is k everywhere; it lists the planes that are read."""

    shape, dtype, ndim = SHAPE, np.dtype("f4"), 3

    def __init__(self) -> None:
        self.read: list[int] = []
        self.fault: Callable[[int], None] = lambda _: None

    def __getitem__(self, index: Any) -> Any:
        part = np.broadcast_to(np.arange(N, dtype="f4")[:, None, None], SHAPE)[index]
        planes = sorted({int(plane) for plane in np.ravel(part)})
        self.read += planes
        for plane in planes:
            self.fault(plane)
        return part


def steps_in_time() -> Any:
    """The WCS of frames that are 7.5 s apart."""
    from astropy.modeling.models import Identity, Scale

    names = ("x", "y")
    pixels = cf.CoordinateFrame(
        3, ["PIXEL"] * 3, (0, 1, 2), unit=["pix"] * 3, axes_names=("a", "b", "c"), name="pixels"
    )
    plane = cf.CoordinateFrame(
        2, ["OTHER"] * 2, (0, 1), unit=["nm"] * 2, axes_names=names, name="plane",
        axis_physical_types=["custom:x", "custom:y"],
    )  # fmt: skip
    time = cf.TemporalFrame(Time("2022-10-24T19:00:00"), axes_order=(2,), unit=u.s, name="time")
    world = cf.CompositeFrame([plane, time], name="world")
    return WCS([(pixels, Identity(2) & Scale(7.5)), (world, None)])


@pytest.fixture
def counted() -> tuple[Any, Counted]:
    source = Counted()
    pixels = da.from_array(source, chunks=(1, 10, 16), meta=np.empty((0, 0, 0), "f4"))
    return dv.Dataset(pixels, steps_in_time(), unit=u.ct), source


def mp4(path: Path) -> tuple[Any, str]:
    """Decode all frames with ffmpeg; return what it says of the stream too."""
    program = imageio_ffmpeg.get_ffmpeg_exe()
    command = [program, "-i", path, "-f", "rawvideo", "-pix_fmt", "rgb24", "-"]
    done = subprocess.run(command, capture_output=True, check=True)
    (about,) = re.findall(r"Stream #0:0.*: Video: (h264.*)", done.stderr.decode())
    ((wide, high),) = re.findall(r", (\d+)x(\d+)", about)
    return np.frombuffer(done.stdout, "u1").reshape(-1, int(high), int(wide), 3), about


def levels(frames: Any) -> list[float]:
    """The grey level in the middle of the picture of each frame."""
    return [float(frame[frame.shape[0] // 2 - 20, frame.shape[1] // 2].mean()) for frame in frames]


# What is in the file -----------------------------------------------------------------------------


def test_an_mp4_has_each_plane_once_and_each_was_read_once(
    counted: Any, tmp_path: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    ds, source = counted
    plot = ds.plot(vmin=0, vmax=N - 1)
    plot._reader._keep = 0  # planes are as large as if none of them fitted
    alive: list[Any] = []
    most = 0
    read = PlaneReader._read

    def counting(self: PlaneReader, at: Any) -> Any:
        nonlocal most
        plane = read(self, at)
        alive.append(weakref.ref(plane))
        most = max(most, sum(one() is not None for one in alive))
        return plane

    monkeypatch.setattr(PlaneReader, "_read", counting)
    plot.movie(tmp_path / "a.mp4", "time", dpi=DPI, fps=7, sample=2, progress=True)
    assert sorted(source.read) == list(range(N))
    assert most <= 5  # where it began, two of the sample, the one that is drawn and the next
    frames, about = mp4(tmp_path / "a.mp4")
    assert len(frames) == N
    assert frames.shape[1] % 2 == frames.shape[2] % 2 == 0
    expected = [255 * k / (N - 1) for k in range(N)]
    np.testing.assert_allclose(levels(frames), expected, atol=4)
    assert "yuv420p" in about
    assert " 7 fps" in about
    assert "Filming: 100%" in capsys.readouterr().err
    assert plot.position == [0, 0, 0]
    np.testing.assert_array_equal(plot.image.pixels, np.zeros((10, 16)))
    assert [path.name for path in tmp_path.iterdir()] == ["a.mp4"]


@pytest.mark.slow
def test_a_gif_of_chosen_steps_with_one_contrast(counted: Any, tmp_path: Path) -> None:
    ds, source = counted
    plot = ds.plot()
    plot.movie(tmp_path / "a.gif", steps=range(7, -1, -2), dpi=DPI, fps=4)
    frames = iio.imread(tmp_path / "a.gif")
    assert len(frames) == 4
    # The ends are those of all the planes, but for a percentile.
    np.testing.assert_allclose(levels(frames), [255, 170, 85, 0], atol=2)
    assert iio.immeta(tmp_path / "a.gif")["duration"] == 250
    assert sorted(source.read) == [0, 1, 3, 5, 7]
    assert plot.image.get_clim() != (1, 7)  # again that of its own plane
    plot.movie(tmp_path / "b.gif", steps=[1, 4], contrast="frame", dpi=DPI)
    assert levels(iio.imread(tmp_path / "b.gif")) == pytest.approx([128, 128], abs=3)


@pytest.mark.slow
def test_a_page_needs_no_other_file_and_leaves_no_frame_out(counted: Any, tmp_path: Path) -> None:
    ds, _ = counted
    plot = ds.plot(vmin=0, vmax=N - 1)
    plot.movie(tmp_path / "a.html", steps=[0, 7, 3], dpi=DPI)
    text = (tmp_path / "a.html").read_text()
    assert "http" not in text
    assert text.startswith("<!DOCTYPE html>")
    assert all(f".fa-{name}::before" in text for name in re.findall('class="fa fa-([a-z-]+)', text))
    pictures = re.findall(r'frames\[\d\] = "data:image/png;base64,([^"]+)"', text)
    frames = [iio.imread(BytesIO(base64.b64decode(one.replace("\\", "")))) for one in pictures]
    np.testing.assert_allclose(levels(frames), [0, 255, 255 * 3 / 7], atol=1)
    with pytest.raises(ValueError, match=r"b\.html: about .* of frames, embed_limit is 2 kB"):
        plot.movie(tmp_path / "b.html", dpi=DPI, embed_limit=0.002)
    assert [path.name for path in tmp_path.iterdir()] == ["a.html"]


def test_a_frame_says_its_time_and_place(counted: Any, monkeypatch: pytest.MonkeyPatch,
                                         tmp_path: Path) -> None:  # fmt: skip
    ds, _ = counted
    plot = ds.plot()
    seen = []
    capture = Camera._capture

    def see(self: Camera) -> Any:
        texts = [text.get_text() for text in plot.axes.texts]
        seen.append((texts, plot.axes.get_title(), plot.sliders.widgets[0].ax.get_visible()))
        return capture(self)

    monkeypatch.setattr(Camera, "_capture", see)
    plot.movie(tmp_path / "a.gif", steps=[3, 7], dpi=DPI)
    for step, (texts, title, slider) in zip((3, 7), seen, strict=True):
        assert texts == [f"2022-10-24T19:00:{7.5 * step:06.3f} UTC"]
        assert "UTC" not in title
        assert not slider
    assert not plot.axes.texts
    assert plot.sliders.widgets[0].ax.get_visible()


# Side by side ------------------------------------------------------------------------------------


def test_the_nearest_in_time() -> None:
    there = np.array([0.0, 10.0, 20.0, np.nan, 60.0])
    found = nearest(np.array([-3.0, 4.9, 15.0, 16.0, 39.0, 71.0, np.nan]), there, None)
    assert found.tolerance == 10  # of steps of 10, 10 and 40
    assert found.pixels == (0, 0, 1, 2, None, None, None)
    assert nearest(np.array([39.0]), there, 19.0).pixels == (2,)
    assert nearest(np.array([39.0]), there, 18.9).pixels == (None,)
    assert nearest(np.array([39.0]), np.array([5.0]), None).pixels == (0,)


@pytest.mark.slow
def test_two_datasets_in_step(counted: Any, tmp_path: Path) -> None:
    ds, source = counted
    left = ds[:5].plot(vmin=0, vmax=N - 1)
    right = ds[1:6:2].plot(vmin=0, vmax=N - 1)  # steps 1, 3, 5
    source.read.clear()
    left.movie(tmp_path / "a.mp4", beside=right, dpi=DPI, tolerance=2 * u.s)
    frames, _ = mp4(tmp_path / "a.mp4")
    half = frames.shape[2] // 2
    np.testing.assert_allclose(levels(frames[:, :, :half]), 255 * np.arange(5) / (N - 1), atol=4)
    middle = frames[:, frames.shape[1] // 2 - 20, half + half // 4].mean(axis=1)
    # Of 0, 2 and 4 there is none: the picture is empty.
    expected = [247, 255 * 1 / (N - 1), 247, 255 * 3 / (N - 1), 247]
    np.testing.assert_allclose(middle, expected, atol=4)
    assert sorted(source.read) == [1, 2, 3, 3, 4]  # both plots have shown their first already
    with pytest.raises(TypeError, match="tolerance = 3: expected a duration"):
        left.movie(tmp_path / "b.mp4", beside=right, tolerance=3)
    with pytest.raises(ValueError, match="given twice"):
        left.movie(tmp_path / "b.mp4", beside=left)


# What is left behind -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("how", "suffix"),
    mostly_slow(
        itertools.product(["error", "Ctrl-C"], ["mp4", "gif", "html"]),
        ("Ctrl-C", "mp4"),
    ),
)
def test_nothing_is_left_of_a_movie_that_was_not_finished(
    how: str, suffix: str, counted: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ds, _ = counted
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    plot = ds.plot().show({0: 2})
    (tmp_path / f"a.{suffix}").write_text("before")
    take = Camera.take

    def fail(self: Camera, number: int, missing: str = "") -> Any:
        if number == 1:
            if how == "Ctrl-C":
                signal.raise_signal(signal.SIGINT)
            raise OSError("nothing")
        return take(self, number, missing)

    monkeypatch.setattr(Camera, "take", fail)
    try:
        with pytest.raises(OSError if how == "error" else KeyboardInterrupt):
            plot.movie(tmp_path / f"a.{suffix}", dpi=DPI, sample=1)
    finally:
        signal.signal(signal.SIGINT, before)
    assert [path.name for path in tmp_path.iterdir()] == [f"a.{suffix}"]
    assert (tmp_path / f"a.{suffix}").read_text() == "before"
    assert plot.position[0] == 2
    np.testing.assert_array_equal(plot.image.pixels, np.full((10, 16), 2))


@pytest.mark.slow
def test_a_frame_that_cannot_be_read_is_an_error(counted: Any, tmp_path: Path) -> None:
    ds, source = counted
    plot = ds.plot()

    def fault(plane: int) -> None:
        if plane == 2:
            raise FrameCorruptError("frame 2 is broken")

    source.fault = fault
    with pytest.raises(FrameCorruptError, match="frame 2 is broken"):
        plot.movie(tmp_path / "a.gif", dpi=DPI, sample=1)
    assert list(tmp_path.iterdir()) == []
    assert plot.position[0] == 0
    plot.movie(tmp_path / "a.gif", steps=[0, 1, 3], dpi=DPI)
    assert len(iio.imread(tmp_path / "a.gif")) == 3


def test_what_is_refused(counted: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ds, source = counted
    plot = ds.plot()
    source.read.clear()
    for error, match, name, given in [
        (ValueError, r"a\.avi: expected a name that ends in \.mp4, \.gif, \.html", "a.avi", {}),
        (FileNotFoundError, "there is no directory", "no/a.gif", {}),
        (SelectionError, "no slider is that. Expected 'time' or '.*' or 0", "a.gif",
         {"axis": "wavelength"}),
        (SelectionError, "axis = 1: expected 'time' or", "a.gif", {"axis": 1}),
        (SelectionError, "pixel 8 is out of range for an axis of 8", "a.gif", {"steps": [8]}),
        (SelectionError, "leaves none of 8", "a.gif", {"steps": slice(0, 0)}),
        (TypeError, "steps = 3: expected a slice", "a.gif", {"steps": 3}),
        (ValueError, "contrast = 'best': expected one of", "a.gif", {"contrast": "best"}),
        (ValueError, "fps = 0: expected a number above 0", "a.gif", {"fps": 0}),
        (TypeError, "dpi = '9': expected a number", "a.gif", {"dpi": "9"}),
        (ValueError, "sample = 0: expected at least one frame", "a.gif", {"sample": 0}),
        (TypeError, "beside: 3: expected plots", "a.gif", {"beside": [3]}),
        (TypeError, "unexpected keyword argument 'speed'", "a.gif", {"speed": 3}),
    ]:  # fmt: skip
        with pytest.raises(error, match=match):
            plot.movie(tmp_path / name, **given)
    with pytest.raises(SelectionError, match="has no sliders"):
        ds[0].plot().movie(tmp_path / "a.gif")
    monkeypatch.setattr(FFMpegWriter, "isAvailable", lambda: False)
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)
    with pytest.raises(ImportError, match=r"needs ffmpeg: pip install 'dkist_virtual\[movies\]'"):
        plot.movie(tmp_path / "a.mp4")
    assert source.read == [0]  # by ds[0].plot()
    assert list(tmp_path.iterdir()) == []


# Other plots -------------------------------------------------------------------------------------


@pytest.mark.slow
def test_lines_keep_their_range(counted: Any, tmp_path: Path) -> None:
    ds, _ = counted
    plot = ds.plot_profile((0, 4), along=2)
    limits = []
    draw = plot._draw

    def see(*given: Any) -> None:
        draw(*given)
        limits.append(plot.axes[0].get_ylim())

    plot._draw = see
    plot.movie(tmp_path / "a.gif", "time", steps=[0, 2, 5], dpi=DPI)
    assert len(iio.imread(tmp_path / "a.gif")) == 3
    np.testing.assert_allclose(limits[:3], [(-0.5, 5.5)] * 3)
    assert limits[-1][1] < 5


@pytest.mark.slow
def test_absent_frames_are_hatched_and_each_frame_is_asked_for_once(
    simulated: Any, tmp_path: Path
) -> None:
    shutil.copytree(simulated("vtf"), tmp_path / "part")
    names = dv.open_dataset(tmp_path / "part")[0, 0].files.names
    (tmp_path / "part" / names[1]).unlink()
    with FrameServer(tmp_path / "part").running() as server:
        dv.convert(tmp_path / "part", tmp_path / "store", base=server.url, progress=False)
        ds = dv.open_dataset(tmp_path / "store")
        plot = ds.plot(figure=Figure(figsize=(8, 7)))
        plot._reader._keep = 0
        server.forget()
        plot.movie(tmp_path / "a.gif", "wavelength", steps=[1, 2, 0], dpi=50)
        asked = [path for _, path, *_ in server.requests]
    assert asked.count(names[2]) == 1
    assert asked.count(names[0]) == 0  # it was shown
    frames = iio.imread(tmp_path / "a.gif").astype(int)
    assert len(frames) == 3
    grey = np.abs(frames[0] - 153).max(axis=-1) < 30  # the hatching
    assert grey.mean() > 0.03
    assert frames[1].std() > frames[0].std()


@pytest.mark.slow
def test_a_mosaic_and_stokes_letters(simulated: Any, datasets: Any, tmp_path: Path) -> None:
    mosaic = dv.open_dataset(simulated("vbi_mosaic"))
    plot = mosaic.plot()
    plot.movie(tmp_path / "a.mp4", "time", dpi=50)
    assert len(mp4(tmp_path / "a.mp4")[0]) == 3
    plot = datasets("vtf").plot()
    limits = []
    draw = plot._draw

    def see(*given: Any) -> None:
        draw(*given)
        limits.append(plot.image.get_clim())

    plot._draw = see
    plot.movie(tmp_path / "b.gif", "stokes", dpi=50)
    assert limits[0][0] > 0
    assert limits[1] == limits[2] == limits[3] == (-limits[1][1], limits[1][1])

"""Write a movie: choose frames and contrast, draw, write beside the name and rename."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np

from dkist_virtual.errors import SelectionError
from dkist_virtual.io.local_file import written_beside
from dkist_virtual.plot.output.axes import axis_of, chosen_steps, heading
from dkist_virtual.plot.output.film import Camera, put_side_by_side
from dkist_virtual.plot.output.in_step import nearest, seconds_along, tolerance_seconds
from dkist_virtual.plot.output.scene import Scene
from dkist_virtual.plot.output.writers import SUFFIXES, ffmpeg, writer_for
from dkist_virtual.text import shows_progress

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

__all__ = ["Options", "write_movie"]

_CONTRASTS: Final = ("fixed", "frame")


@dataclass(frozen=True)
class Options:
    """Keywords of `Output.movie`, checked."""

    axis: str | int | None
    steps: Any
    fps: float
    dpi: float
    contrast: Literal["fixed", "frame"]
    sample: int
    stamp: bool
    tolerance: Any
    embed_limit: float
    progress: bool | None

    def __post_init__(self) -> None:
        if self.contrast not in _CONTRASTS:
            raise ValueError(f"contrast = {self.contrast!r}: expected one of {_CONTRASTS}")
        for name, most in (("fps", 1000), ("dpi", 2400), ("embed_limit", np.inf)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, (int, float, np.number)):
                raise TypeError(f"{name} = {value!r}: expected a number")
            if not 0 < value <= most:
                raise ValueError(f"{name} = {value}: expected a number above 0, up to {most:g}")
        if isinstance(self.sample, bool) or not isinstance(self.sample, (int, np.integer)):
            raise TypeError(f"sample = {self.sample!r}: expected a number of frames")
        if self.sample < 1:
            raise ValueError(f"sample = {self.sample}: expected at least one frame")
        tolerance_seconds(self.tolerance)


def write_movie(
    plot: Scene, beside: Sequence[Scene], path: str | os.PathLike[str], options: Options
) -> None:
    """Write a movie of a plot and of others beside it, see `Output.movie`."""
    place = Path(path)
    suffix = place.suffix.lower()
    if suffix not in SUFFIXES:
        raise ValueError(f"{place}: expected a name that ends in {', '.join(SUFFIXES)}")
    if not place.absolute().parent.is_dir():
        raise FileNotFoundError(f"{place}: there is no directory {place.absolute().parent}")
    if suffix == ".mp4":
        ffmpeg()
    for number, other in enumerate(beside):
        if not isinstance(other, Scene):
            raise TypeError(f"beside: {other!r}: expected plots, as ds.plot() makes them")
        if other is plot or other in beside[:number]:
            raise ValueError("beside: a plot is given twice: make another one of the same dataset")
    axis = axis_of(plot, options.axis)
    pixels = chosen_steps(plot.subject.world.shape[axis], options.steps)
    cameras, missing = _cameras(plot, beside, axis, pixels, options)
    for one in (plot, *beside):
        one.player.pause()
    with ExitStack() as stack:
        for camera in cameras:
            stack.enter_context(camera.running())
        if options.contrast == "fixed":
            for camera in cameras:
                camera.fix_contrast(options.sample)
        _write(cameras, missing, place, suffix, _notes(plot, options), options)


def _cameras(
    plot: Scene, beside: Sequence[Scene], axis: int, pixels: Sequence[int], options: Options
) -> tuple[list[Camera], list[list[str]]]:
    """Decide what each plot shows in each frame; and what is written where there is nothing."""
    stamp, dpi = options.stamp, options.dpi
    cameras = [Camera(plot, axis, pixels, dpi, stamp=stamp)]
    missing = [[""] * len(pixels)]
    moments = seconds_along(plot, axis)[list(pixels)] if beside else np.zeros(0)
    for other in beside:
        along = _time_axis(other)
        if along is None:
            seconds_along(other, None)
            cameras.append(Camera(other, None, [0] * len(pixels), dpi, stamp=stamp))
            missing.append([""] * len(pixels))
            continue
        found = nearest(moments, seconds_along(other, along), tolerance_seconds(options.tolerance))
        cameras.append(Camera(other, along, found.pixels, dpi, stamp=stamp))
        missing.append([f"no frame within {found.tolerance:.4g} s"] * len(pixels))
    return cameras, missing


def _time_axis(plot: Scene) -> int | None:
    """Find the slider of a plot beside that changes its time; None where there is none."""
    time = plot.subject.world.of_kind("time")
    moving = () if time is None else time.array_axes
    if not set(moving) & set(plot.shown.sliding):
        return None
    try:
        return axis_of(plot, "time", "beside")
    except SelectionError as error:
        raise SelectionError(f"{error}. Slice that dataset, as in ds[0]") from None


def _notes(plot: Scene, options: Options) -> dict[str, str]:
    title = heading(plot).replace("\\$", "$")
    how = {"fixed": f"one contrast, of {options.sample} frames at most", "frame": "each frame"}
    return {"title": title, "comment": f"contrast: {how[options.contrast]}"}


def _write(
    cameras: Sequence[Camera],
    missing: Sequence[Sequence[str]],
    place: Path,
    suffix: str,
    notes: dict[str, str],
    options: Options,
) -> None:
    from tqdm import tqdm

    n = len(missing[0])
    with (
        tqdm(
            total=n, unit=" frames", desc="Filming", disable=not shows_progress(options.progress)
        ) as bar,
        written_beside(place, suffix) as part,
    ):
        writer = writer_for(part, str(place), options.fps, n, notes, options.embed_limit)
        try:
            for number in range(n):
                writer.add(put_side_by_side([
                    camera.take(number, words[number])
                    for camera, words in zip(cameras, missing, strict=True)
                ]))  # fmt: skip
                bar.update()
            writer.close()
        except BaseException:
            writer.abandon()
            raise

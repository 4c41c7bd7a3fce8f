"""Draw small pictures of planes side by side, with one contrast."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from dkist_virtual.errors import SelectionError
from dkist_virtual.plot.image import block_mean
from dkist_virtual.plot.output.axes import (
    axis_of,
    chosen_steps,
    frame_text,
    heading,
    slider_texts,
)
from dkist_virtual.plot.ticks import DataFormatter

if TYPE_CHECKING:
    from matplotlib.cm import ScalarMappable
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from dkist_virtual.plot.output.scene import Scene

__all__ = ["draw_contact_sheet"]

FINEST: Final = 600
"""Pixels of a small picture along each side: of more, means are shown."""
WIDTH: Final = 10.0
"""Inches of the figure."""


def draw_contact_sheet(
    plot: Scene, axis: str | int | None, n: int, steps: Any, columns: int | None
) -> Figure:
    """Draw a contact sheet, see `Output.contact_sheet`."""
    if not plot._has_panels:
        raise SelectionError(
            "contact_sheet: this plot is not that of an image. Of a mosaic, mosaic[i, j].plot() "
            "and mosaic.stitch().plot() have one"
        )
    along = axis_of(plot, axis)
    for name, value in (("n", n), ("columns", 1 if columns is None else columns)):
        if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
            raise TypeError(f"{name} = {value!r}: expected a whole number")
        if value < 1:
            raise ValueError(f"{name} = {value}: expected at least 1")
    pixels = chosen_steps(plot.subject.world.shape[along], steps)
    places = np.unique(np.linspace(0, len(pixels) - 1, min(n, len(pixels))).round().astype(int))
    chosen = [pixels[place] for place in places.tolist()]
    ratio = plot._picture_ratio()
    if columns is None:
        columns = int(np.clip(round(np.sqrt(len(chosen) * ratio * 1.4)), 1, 8))
    columns = min(columns, len(chosen))
    rows = -(-len(chosen) // columns)

    import matplotlib.pyplot as plt

    each = (WIDTH - 1.6) / columns
    figure = plt.figure(
        figsize=(WIDTH, float(np.clip(rows * (each * ratio + 0.3) + 1.0, 2.5, 40))),
        layout="constrained",
    )
    before, samples, images, panels = list(plot.position), [], [], []
    try:
        for number, pixel in enumerate(chosen):
            position = list(before)
            position[along] = pixel
            plot.position = position
            (plane,) = plot._read()
            if number + 1 < len(chosen):
                position = list(before)
                position[along] = chosen[number + 1]
                plot._read_next(position)
            samples.append(plot._take_sample([plane], plot._values(plot._point()), len(chosen)))
            axes, image = plot._draw_panel(
                figure, (rows, columns, number + 1), _fewer(plane.pixels), plane.absent,
                left=number % columns == 0, below=number + columns >= len(chosen),
            )  # fmt: skip
            text = frame_text(plot, along)
            # A letter is about 0.6 times as wide as high.
            axes.set_title(text, fontsize=min(8.3, 72 * each / (0.6 * len(text) + 1)), pad=3)
            panels.append(axes)
            images.append(image)
        for one, ends in zip(images, plot._shared_ends(samples), strict=True):
            if ends is not None:
                one.set_clim(*ends)
        others = [other for other in plot.shown.sliding if other != along]
        sliders = slider_texts(plot, others, timed=False)
        figure.suptitle(heading(plot, sliders), fontsize="medium")
    except BaseException:
        plt.close(figure)
        raise
    finally:
        plot.position = before
    _add_bars(figure, panels, images, plot.subject.label)
    return figure


def _fewer(pixels: NDArray[np.generic]) -> NDArray[np.generic]:
    ny, nx = (-(-n // FINEST) for n in pixels.shape)
    return block_mean(pixels, ny, nx)


def _add_bars(figure: Figure, panels: list[Any], images: list[Any], unit: str) -> None:
    """Add a colour bar for each contrast: Stokes I and the others have one each."""
    looks: dict[Any, ScalarMappable] = {}
    for image in images:
        looks.setdefault((image.get_cmap().name, image.get_clim()), image)
    for image in looks.values():
        bar = figure.colorbar(image, ax=panels, label=unit, aspect=40, pad=0.01)
        if len(looks) == 1:
            bar.formatter = DataFormatter(unit)

"""Draw a plane in axes that the user made, with ndcube's own plotter.

In the user's axes a plot has the pixels, the coordinates and the look that ndcube gives it:
whatever else is drawn there, or asked of the axes afterwards, is as with an `ndcube.NDCube`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import astropy.units as u
import numpy as np
from astropy.visualization.wcsaxes import WCSAxes
from matplotlib.axes import Axes
from ndcube.visualization.mpl_plotter import MatplotlibPlotter

from dkist_virtual.plot.figure_text import BoxedText
from dkist_virtual.plot.image import ABSENT, absent_boxes, runs
from dkist_virtual.plot.interface.current import make_current
from dkist_virtual.plot.interface.keywords import (
    COORDINATES,
    NDCUBE,
    check_given,
    convert_limits,
    unit_of,
)
from dkist_virtual.plot.planes import COMPUTED, labels_of
from dkist_virtual.plot.sky_grid import sky_axes
from dkist_virtual.plot.ticks import DataFormatter, coordinate_along, set_ticks

if TYPE_CHECKING:
    from ndcube import NDCube
    from numpy.typing import NDArray

    from dkist_virtual.plot.planes import ShownAxes, Subject

__all__ = ["check_axes", "draw_in_axes"]


def check_axes(axes: object) -> Axes:
    """Return axes of matplotlib; raises TypeError for anything else."""
    if not isinstance(axes, Axes):
        raise TypeError(
            f"axes = {axes!r}: expected axes of matplotlib, such as "
            "plt.subplot(projection=ds.wcs). plot_axes= says which axes of the array are drawn"
        )
    return axes


def draw_in_axes(
    axes: Axes,
    cube: NDCube,
    subject: Subject,
    shown: ShownAxes,
    absent: NDArray[np.bool_] | None = None,
    **look: Any,
) -> Axes:
    """Draw an image or a line in axes of the user's; return these axes.

    Parameters
    ----------
    axes : matplotlib.axes.Axes
        Astropy's get the coordinates of the cube, as ndcube sets them. Plain ones are ticked in
        world coordinates.
    cube : ndcube.NDCube
        With one axis or two, in memory.
    subject : Subject
        What a figure shows of the same pixels.
    shown : ShownAxes
    absent : numpy.ndarray of bool, optional
        The pixels of absent frames, which are hatched: of the cube's shape.
    **look
        Keywords of ndcube's plot but for plot_axes, and those of `matplotlib.axes.Axes.imshow`, or
        `matplotlib.axes.Axes.plot` for one axis. vmin and vmax may be Quantities, and `title` is
        written above.

    Raises
    ------
    TypeError
        An unknown keyword.
    """
    line = "line" if cube.uncertainty is None else "bars"
    check_given(line if shown.y is None else "image", look)
    title = look.pop("title", None)
    look = convert_limits(look, unit_of(cube.unit, look.get("data_unit")))
    if isinstance(axes, WCSAxes):
        named = {shown.x: "x", shown.y: "y"}
        plot_axes = [named[axis] for axis in range(shown.ndim)]
        # ndcube writes to the lists that it is given.
        lists = {name: list(look.pop(name)) for name in NDCUBE
                 if isinstance(look.get(name), (list, tuple))}  # fmt: skip
        MatplotlibPlotter(cube).plot(axes=axes, plot_axes=plot_axes, **lists, **look)
    else:
        _draw_plain(axes, cube, subject, shown, look)
    if absent is not None:
        _mark_absent(axes, shown, absent)
    if title is not None:
        axes.set_title(title or "")
    elif subject.title.endswith(COMPUTED) and not axes.get_title():
        axes.set_title(COMPUTED)  # where ndcube writes no title
    return axes


def _draw_plain(
    axes: Axes, cube: NDCube, subject: Subject, shown: ShownAxes, look: dict[str, Any]
) -> None:
    """Draw in axes without a WCS, ticked in world coordinates."""
    if asked := [name for name in COORDINATES if look.pop(name, None) is not None]:
        raise TypeError(
            f"{asked[0]} in axes without a WCS: make them with plt.subplot(projection=ds.wcs)"
        )
    pixels, unit = cube.data, unit_of(cube.unit, look.pop("data_unit", None))
    if unit != cube.unit:
        pixels = u.Quantity(pixels, cube.unit).to_value(unit)
    if cube.mask is not None:
        pixels = np.ma.masked_array(pixels, cube.mask)
    world, at = subject.world, [(n - 1) / 2 for n in subject.world.shape]
    labels = labels_of(world, shown.drawn)
    along = {axis: coordinate_along(world, axis, index, at) for axis, index in labels.items()}
    if shown.y is None:
        across = along[shown.x]
        x = np.arange(len(pixels)) if across is None else across.plotted
        order = np.argsort(x, kind="stable")
        axes.plot(x[order], pixels[order], **look)
        text = f"data [{unit}]" if unit else "data"
        axes.set(ylabel=text, xlabel=across.label if across else subject.axis_names[shown.x])
        axes.yaxis.set_major_formatter(DataFormatter(text))
        if across is not None:
            locator = across.locator()
            axes.xaxis.set_major_locator(locator)
            axes.xaxis.set_major_formatter(across.formatter(locator))
        make_current(axes)
        return
    look.setdefault("aspect", "auto" if sky_axes(subject, shown) is None else "equal")
    image = axes.imshow(pixels.T if shown.x < shown.y else pixels, origin="lower", **look)
    for ticked, axis in ((axes.xaxis, shown.x), (axes.yaxis, shown.y)):
        set_ticks(ticked, along[axis], subject.axis_names[axis])
    make_current(axes, image)


def _mark_absent(axes: Axes, shown: ShownAxes, absent: NDArray[np.bool_]) -> None:
    """Hatch the pixels of absent frames, and write how to get them."""
    if shown.y is None:
        for first, last in runs(absent):
            axes.axvspan(first - 0.5, last - 0.5, zorder=0.5, **ABSENT)
    else:
        boxes = absent_boxes(absent.T if shown.x < shown.y else absent)
        boxes.set_transform(axes.transData)
        axes.add_collection(boxes, autolim=False)
    text = "frames are not here:\nds.files.missing() names them, ds.download(DIR) fetches them"
    BoxedText(axes, text, middle=bool(absent.all()))

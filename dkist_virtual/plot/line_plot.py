"""Plot lines: a spectrum, the Stokes profiles of a pixel, a light curve."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import matplotlib.dates as mdates
import numpy as np
from astropy.coordinates import StokesCoord
from matplotlib.cbook import normalize_kwargs
from matplotlib.lines import Line2D

from dkist_virtual.errors import SelectionError
from dkist_virtual.plot.base import SteppedPlot
from dkist_virtual.plot.figure_text import fit_labels, size_inches
from dkist_virtual.plot.image import ABSENT, runs
from dkist_virtual.plot.interface.current import make_current
from dkist_virtual.plot.interface.like_axes import AxesList
from dkist_virtual.plot.interface.replace_axes import (
    leave_out_constants,
    move_artist,
    replace_axes,
)
from dkist_virtual.plot.interface.stepped_wcs import SteppedWCS
from dkist_virtual.plot.planes import PlaneReader, ShownAxes, labels_of
from dkist_virtual.plot.ticks import DataFormatter, coordinate_along, name_of
from dkist_virtual.text import check_keywords

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure
    from numpy.typing import NDArray

    from dkist_virtual.cube.world_axes import Kind, World
    from dkist_virtual.plot.base import Place
    from dkist_virtual.plot.planes import Plane, Subject
    from dkist_virtual.plot.ticks import Coordinate

__all__ = ["LinePlot", "profile_axes"]

_KINDS: Final[tuple[Kind, ...]] = ("wavelength", "time", "stokes")

LINE_LOOK: Final = (
    "figure", "aa", "alpha", "antialiased", "c", "color", "dash_capstyle", "dash_joinstyle",
    "dashes", "drawstyle", "ds", "fillstyle", "gapcolor", "gid", "label", "linestyle", "linewidth",
    "ls", "lw", "marker", "markeredgecolor", "markeredgewidth", "markerfacecolor",
    "markerfacecoloralt", "markersize", "markevery", "mec", "mew", "mfc", "mfcalt", "ms",
    "path_effects", "picker", "pickradius", "rasterized", "sketch_params", "snap",
    "solid_capstyle", "solid_joinstyle", "url", "visible", "zorder", "fig", "slider_labels",
    "title", "ylabel", "ylim",
)  # fmt: skip
"""Keywords of a plot of a line: of matplotlib's those that leave its points in place."""


def profile_axes(world: World, along: str | int | None = None) -> ShownAxes:
    """Choose the axes of a profile: along one axis, the Stokes parameters in panels of their own.

    `along` is a coordinate, or an axis of the array; by default the first of wavelength, time and
    stokes that the array has. If the array has no such axis, SelectionError is raised.
    """
    ndim = len(world.shape)
    found: dict[str, int | None] = {kind: _axis_of(world, kind) for kind in _KINDS}
    if along is None:
        x = next((axis for axis in found.values() if axis is not None), None)
        if x is None:
            raise SelectionError(
                "a profile: this selection has no axis of wavelength, time or Stokes parameters. "
                "along= takes an axis of the array"
            )
    elif isinstance(along, str):
        x = found.get(along)
        if x is None:
            there = ", ".join(kind for kind, axis in found.items() if axis is not None)
            raise SelectionError(
                f"along = {along!r}: no axis of this selection is that alone. It has "
                f"{there or 'none of wavelength, time and stokes'}; or name an axis of the array"
            )
    else:
        if not -ndim <= along < ndim:
            raise SelectionError(f"along = {along}: the array has {ndim} axes")
        x = along % ndim
    panels = found["stokes"] if found["stokes"] != x else None
    others = tuple(a for a in range(ndim) if a not in (x, panels) and world.shape[a] > 1)
    return ShownAxes(x, panels, others, ndim)


def _axis_of(world: World, kind: Kind) -> int | None:
    """Find an axis, longer than a pixel, along which a coordinate changes; if possible its own."""
    one = world.of_kind(kind)
    along = [] if one is None else [axis for axis in one.array_axes if world.shape[axis] > 1]
    if len(along) > 1:
        # Time changes along wavelengths too, where those are observed one after the other.
        others: tuple[Kind, ...] = ("wavelength", "stokes")
        taken = {_axis_of(world, other) for other in others if other != kind}
        along = [axis for axis in along if axis not in taken]
    return along[0] if along else None


class LinePlot(SteppedPlot):
    """A line along one axis of a dataset, with a slider for each of the others.

    `Dataset.plot` returns it for one axis, and `Dataset.plot_profile`, with a panel for each of
    the Stokes parameters. `figure` and `axes`, a list, are matplotlib's.

    Parameters
    ----------
    subject : Subject
    shown : ShownAxes
        Its `y` is the axis of the panels, None for a single one.
    position : dict, optional
        Array axis to pixel: where to begin.
    figure : matplotlib.figure.Figure, optional
        To draw in; by default a new one of pyplot's.
    title : str, optional
        In place of instrument, dataset and coordinates.
    slider_labels : sequence of str, optional
    ylim : (float, float) or {"dynamic", "fixed"}, optional
        The range of all values: by default, ``"dynamic"``, that of the values shown; ``"fixed"``
        reads all pixels for theirs.
    ylabel : str, optional
    **look
        Keywords of lines: color, marker and so on.
    """

    _fixed_ylim: Sequence[tuple[float, float]] = ()
    """The range of values of each panel that all frames of a movie share."""

    def __init__(
        self,
        subject: Subject,
        shown: ShownAxes,
        position: Mapping[int, int] | None = None,
        *,
        figure: Figure | SubFigure | None = None,
        title: str | None = None,
        slider_labels: Sequence[str] | None = None,
        ylim: str | tuple[float, float] | None = None,
        ylabel: str | None = None,
        **look: Any,
    ) -> None:
        check_keywords("plot of a line", look, LINE_LOOK)
        look = normalize_kwargs(look, Line2D)
        super().__init__(subject, shown, position, title=title, slider_labels=slider_labels)
        self._ylim = self._limits_of(ylim)
        self._ylabel = ylabel
        self._wcs: SteppedWCS | None = None
        n_panels = 1 if shown.y is None else subject.world.shape[shown.y]
        planes = self._read()
        height = 3.2 if n_panels == 1 else 1.35 * n_panels
        self._margins = 1.0, 0.35
        place = self._make_figure(figure, height)
        x = self._x()
        marker = "o" if len(x) < 100 else None
        look = {"color": "C0", "marker": marker, "markersize": 3, "linewidth": 1.2, **look}
        self.axes: AxesList[Axes] = AxesList()
        self.lines: list[Line2D] = []
        for number in range(n_panels):
            axes = self.figure.add_axes(place, label=f"panel {number}")
            self.lines += axes.plot(x, np.full(len(x), np.nan), **look)
            label = self._panel_label(number) if self._ylabel is None else self._ylabel
            axes.set_ylabel(label)
            axes.yaxis.set_major_formatter(DataFormatter(label))
            self._show_coordinates_of_mouse(axes)
            axes.tick_params(labelbottom=number == n_panels - 1)
            axes.margins(x=0.02, y=0.1)
            self.axes.append(axes)
        self._label_x()
        self._write_values()
        self._draw_lines(planes)
        self._finish_layout()
        make_current(self._main_axes)

    def _limits_of(self, ylim: Any) -> tuple[float, float] | None:
        """Return the ends of the range of values that is given; None for those shown."""
        if ylim is None or ylim == "dynamic":
            return None
        if ylim != "fixed":
            if isinstance(ylim, str) or len(ylim) != 2:
                raise ValueError(f"ylim = {ylim!r}: expected two numbers, 'dynamic' or 'fixed'")
            return float(ylim[0]), float(ylim[1])
        shape = self.subject.world.shape
        reader = PlaneReader(
            self.subject.data, self.subject.mask, self.shown, 0, self.subject.convert
        )
        ends = []
        for at in np.ndindex(*(n if a in self.shown.sliding else 1 for a, n in enumerate(shape))):
            pixels = np.asarray(reader.read(at).pixels, float)
            known = pixels[np.isfinite(pixels)]
            ends += [known.min(), known.max()] if known.size else []
        return (float(min(ends)), float(max(ends))) if ends else None

    # As axes of astropy's ---------------------------------------------------------------------

    def _use_wcs(self) -> Axes:
        """Make the axes astropy's, which count pixels and know the WCS of the array."""
        if len(self.axes) > 1:
            raise AttributeError(
                "panels of Stokes parameters have no coordinates of astropy's: select one of "
                "the parameters, as in ds[0]"
            )
        if self._wcs is None:
            planes = self._read()
            self._wcs = SteppedWCS(self.subject.world.low, self.shown, self.position)
            before = self.axes[0]
            self._write_over(before, "")
            after = replace_axes(before, *self._wcs.plane())
            self.axes[0] = after
            after.set(ylabel=before.get_ylabel())
            after.margins(x=0.02, y=0.1)
            leave_out_constants(after, self._wcs.plane()[0], self.subject.world.shape[self.shown.x])
            for line in self.lines:
                move_artist(line, after)
            self._draw_lines(planes)
            after.set_xlim(-0.5, self.subject.world.shape[self.shown.x] - 0.5)
            self._bounds = None
            self._lay_out()
            make_current(after)
        return self.axes[0]

    def _has_moved(self) -> None:
        """Do nothing: a step draws all of the figure."""

    def _artists(self) -> list[Artist]:
        return [*self.lines]

    def _draw_elsewhere(self, axes: Axes, planes: Sequence[Plane], before: Artist | None) -> Artist:
        values = np.atleast_2d(np.asarray(planes[0].pixels, float))[0]
        line: Any = before
        if line is None:
            (line,) = axes.plot(np.arange(len(values)), values)
        line.set_ydata(values)
        axes.relim()
        axes.autoscale_view()
        drawn: Artist = line
        return drawn

    @property
    def _all_axes(self) -> list[Axes]:
        return self.axes

    @property
    def _message_axes(self) -> Axes:
        return self.axes[len(self.axes) // 2]

    def _put_axes(self, place: Place) -> None:
        left, below, wide, high = place
        gap = 0.25 / size_inches(self.figure)[1]
        each = (high + gap) / len(self.axes) - gap
        for number, axes in enumerate(reversed(self.axes)):
            axes.set_position((left, below + number * (each + gap), wide, each))
            if self._wcs is None:
                fit_labels(axes)

    def _read_out(self, x: float, y: float) -> str:
        along, unit = self._along(), f" {self.subject.unit}" if self.subject.unit else ""
        where = f"{self.subject.axis_names[self.shown.x]} {x:.0f}"
        if along is not None and along.dated:
            where = f"time {mdates.num2date(x):%Y-%m-%dT%H:%M:%S} UTC"
        elif along is not None:
            where = f"{name_of(along.axis)} {along.world.text(along.axis, x, along.step)}"
        return f"{where}, {y:.6g}{unit}"

    def _panel_label(self, number: int) -> str:
        unit = f" [{self.subject.unit}]" if self.subject.unit else ""
        if self.shown.y is None:
            return self.subject.label if self.subject.quantity else unit.strip() and f"data{unit}"
        world = self.subject.world
        at = self._point()
        at[self.shown.y] = float(number)
        index = labels_of(world, [self.shown.y])[self.shown.y]
        if index is None or world.axes[index].kind != "stokes":
            return f"{self.subject.axis_names[self.shown.y]} {number}{unit}"
        return f"{StokesCoord(float(world.values(*at)[index])).symbol}{unit}"

    def _along(self) -> Coordinate | None:
        if self._wcs is not None:
            return None  # the axes count pixels
        world, x = self.subject.world, self.shown.x
        return coordinate_along(world, x, labels_of(world, [x])[x], self._point())

    def _x(self) -> NDArray[np.generic]:
        along = self._along()
        return np.arange(self.subject.world.shape[self.shown.x]) if along is None else along.plotted

    def _label_x(self) -> None:
        along = self._along()
        last = self.axes[-1]
        if along is None:
            last.set_xlabel(f"{self.subject.axis_names[self.shown.x]} [pixel]")
            return
        last.set_xlabel(along.label)
        for axes in self.axes:
            locator = along.locator()
            if isinstance(locator, mdates.DateLocator):
                axes.xaxis.axis_date()  # first: it sets a locator of its own
            axes.xaxis.set_major_locator(locator)
            axes.xaxis.set_major_formatter(along.formatter(locator))

    def _blank(self) -> None:
        for line in self.lines:
            line.set_ydata(np.full(len(np.asarray(line.get_xdata())), np.nan))

    def _repaint(self) -> None:
        if self._paints:
            self.figure.canvas.draw()

    def _take_sample(self, planes: Sequence[Plane], values: Sequence[float], n: int) -> Any:  # noqa: ARG002
        rows = np.atleast_2d(np.asarray(planes[0].pixels, float))
        known = np.isfinite(rows)
        return (
            np.where(known, rows, np.inf).min(axis=1), np.where(known, rows, -np.inf).max(axis=1)
        )  # fmt: skip

    def _fix_range(self, samples: Sequence[Any] | None) -> None:
        for axes in self.axes if self._fixed_ylim and self._ylim is None else ():
            axes.set_autoscaley_on(True)  # which `set_ylim` ended
        self._fixed_ylim = []
        if samples:
            low = np.min([low for low, _ in samples], axis=0)
            high = np.max([high for _, high in samples], axis=0)
            edge = 0.1 * (high - low)
            self._fixed_ylim = list(zip((low - edge).tolist(), (high + edge).tolist(), strict=True))

    def _draw(self, planes: Sequence[Plane], values: Sequence[float], moved: set[int]) -> None:  # noqa: ARG002
        if self._wcs is not None:
            self._wcs.move(self.position)
            self.axes[0].transData.invalidate()
        self._draw_lines(planes)
        self._repaint()

    def _draw_lines(self, planes: Sequence[Plane]) -> None:
        x, (plane,) = self._x(), planes
        rows = np.atleast_2d(np.asarray(plane.pixels, float))
        absent = None if plane.absent is None else np.atleast_2d(plane.absent)
        text, middle = self._hint(planes)
        where = self._message_axes
        if absent is not None and not middle:
            where = self.axes[int(np.flatnonzero(absent.any(axis=1))[0])]
        self._write_over(where, text, middle=middle)
        order = np.argsort(x, kind="stable")  # wavelengths need not be in order
        for line, values, axes in zip(self.lines, rows, self.axes, strict=True):
            line.set_data(x[order], values[order])
            axes.relim()
            axes.autoscale_view()
            if self._ylim is not None:
                axes.set_ylim(*self._ylim)
        for (low, high), axes in zip(self._fixed_ylim, self.axes, strict=False):
            if self._ylim is None and low < high:  # some value is known
                axes.set_ylim(low, high)
        if absent is not None:
            for gone, axes in zip(absent, self.axes, strict=True):
                self._hatch(axes, x, gone)

    def _picture_ratio(self) -> float:
        return 0.7 if len(self.axes) == 1 else 0.35 * len(self.axes)

    def _draw_still(self, figure: Figure, title: str) -> LinePlot:
        shown, line = replace(self.shown, sliding=()), self.lines[0]
        at = {axis: pixel for axis, pixel in enumerate(self.position) if axis not in shown.drawn}
        return LinePlot(
            self.subject, shown, at, figure=figure, title=title, ylim=self._ylim,
            ylabel=self._ylabel, color=line.get_color(), marker=line.get_marker(),
            linestyle=line.get_linestyle(), linewidth=line.get_linewidth(),
            markersize=line.get_markersize(),
        )  # fmt: skip

    def _hatch(self, axes: Axes, x: NDArray[np.generic], gone: NDArray[np.bool_]) -> None:
        """Hatch the pixels of absent frames, half-way to their neighbours."""
        edges = np.interp(np.arange(len(x) + 1) - 0.5, np.arange(len(x)), np.asarray(x, float))
        for first, last in runs(gone):
            self._over.append(axes.axvspan(edges[first], edges[last], zorder=0.5, **ABSENT))


def starting_point(world: World, shown: ShownAxes, pixel: Sequence[int] | None) -> dict[int, int]:
    """Find the array axes of a pixel that is given along the last axes that are not drawn."""
    given = () if pixel is None else tuple(pixel)
    others = [axis for axis in range(shown.ndim) if axis not in shown.drawn]
    if len(given) > len(others):
        names = [world.shape[axis] for axis in others]
        raise SelectionError(
            f"pixel = {pixel!r}: expected at most {len(others)} numbers, for the axes that the "
            f"profile does not run along, of lengths {names}"
        )
    at = dict(zip(others[len(others) - len(given) :], given, strict=True))
    return {axis: place for axis, place in at.items() if axis in shown.sliding}

"""Plot an image of two axes, with sliders for the others and axes in world coordinates."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

import numpy as np
from astropy.visualization import AsymmetricPercentileInterval
from matplotlib.colors import Normalize

from dkist_virtual.errors import FrameError, SelectionError
from dkist_virtual.plot.figure_text import fit_label, fit_labels
from dkist_virtual.plot.image import IMAGE_LOOK, absent_boxes
from dkist_virtual.plot.interface.current import make_current
from dkist_virtual.plot.interface.replace_axes import move_artist, replace_axes
from dkist_virtual.plot.interface.stepped_wcs import SteppedWCS
from dkist_virtual.plot.line_plot import LinePlot, profile_axes, starting_point
from dkist_virtual.plot.pixel_plot import (
    PLAIN_MAP,
    SIGNED_MAP,
    PixelPlot,
    add_colorbar,
    is_signed,
)
from dkist_virtual.plot.planes import labels_of, shown_axes
from dkist_virtual.plot.sky_grid import PlaneGrid, PlaneWCS, sky_axes, sky_grid
from dkist_virtual.plot.ticks import coordinate_along, name_of, room_for_ticks, set_ticks
from dkist_virtual.text import check_keywords

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from astropy.units import Quantity
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.backend_bases import MouseEvent
    from matplotlib.figure import Figure, SubFigure
    from matplotlib.image import AxesImage
    from numpy.typing import NDArray

    from dkist_virtual.cube.world_axes import WorldAxis
    from dkist_virtual.plot.base import Place, SteppedPlot
    from dkist_virtual.plot.planes import Plane, ShownAxes, Subject
    from dkist_virtual.plot.ticks import Coordinate

__all__ = ["ImagePlot", "draw", "draw_profile"]

SEEN_TO_MOVE: Final = 0.1
"""Pixels that coordinates move before their axes are drawn again."""
NARROWEST: Final = 12.0
"""An image of the sky that would be this many times longer than wide fills its axes instead."""


class _Sky(NamedTuple):
    """Longitude and latitude of a plane, and their values on its pixels."""

    axes: tuple[WorldAxis, WorldAxis]
    grid: PlaneGrid


def as_norm(norm: Any) -> Normalize | None:
    """Return a norm that is given, also by the name of a scale such as ``"log"``."""
    from matplotlib.cm import ScalarMappable

    mappable: Any = ScalarMappable
    made: Normalize | None = mappable(norm=norm).norm if isinstance(norm, str) else norm
    return made


def percentages(interval: Any, ends: tuple[object, object]) -> tuple[float, float] | None:
    """Return the two percentages of a clip_interval."""
    if interval is None:
        return None
    if ends != (None, None):
        raise ValueError("clip_interval and vmin or vmax: expected one of them")
    if len(interval) != 2 or not hasattr(interval, "to_value"):
        raise ValueError(
            f"clip_interval = {interval!r}: expected two percentages, as in [1, 99] * u.percent"
        )
    low, high = interval.to_value("%")
    return float(low), float(high)


class ImagePlot(PixelPlot):
    """An image of two axes of a dataset, with a slider for each of the others.

    `Dataset.plot` returns it. `figure`, `axes`, `image` and `colorbar` are matplotlib's.

    Parameters
    ----------
    subject : Subject
    shown : ShownAxes
    position : dict, optional
        Array axis to pixel: where to begin.
    figure : matplotlib.figure.Figure, optional
        To draw in; by default a new one of pyplot's.
    vmin, vmax : float, optional
        The ends of the contrast; each by default from the plane shown.
    title : str, optional
        In place of instrument, dataset and coordinates.
    slider_labels : sequence of str, optional
    aspect : {"auto", "equal"} or float, optional
        As in `matplotlib.axes.Axes.imshow`; by default pixels of the sky keep their shape there.
    clip_interval : Quantity, optional
        Two percentages: the ends of the contrast of each plane.
    colorbar : bool
    **look
        cmap, norm and other keywords of an image.
    """

    _has_panels = True
    _has_given_wcs = False
    """Whether the user has asked for the coordinates of the axes: they are not changed then."""

    def __init__(
        self,
        subject: Subject,
        shown: ShownAxes,
        position: Mapping[int, int] | None = None,
        *,
        figure: Figure | SubFigure | None = None,
        vmin: float | None = None,
        vmax: float | None = None,
        title: str | None = None,
        slider_labels: Sequence[str] | None = None,
        aspect: float | Literal["auto", "equal"] | None = None,
        clip_interval: Quantity | None = None,
        colorbar: bool = True,
        **look: Any,
    ) -> None:
        check_keywords("plot of an image", look, IMAGE_LOOK)
        if look.pop("origin", None) not in ("lower", None):
            raise ValueError(
                "origin: expected 'lower': pixels are drawn from below, where their coordinates "
                "are. plot.axes.invert_yaxis() turns all of them around"
            )
        super().__init__(subject, shown, position, title=title, slider_labels=slider_labels)
        self._own_aspect = aspect
        self._clip = percentages(clip_interval, (vmin, vmax))
        self._has_colorbar = colorbar
        assert shown.y is not None
        self._shape = subject.world.shape[shown.y], subject.world.shape[shown.x]
        self._ends = vmin, vmax
        norm: Normalize | None = as_norm(look.pop("norm", None))
        if norm is not None and (vmin, vmax) != (None, None):
            raise ValueError(
                "norm and vmin or vmax: the ends of a norm are its own, give them there"
            )
        self._has_own_contrast = norm is not None and norm.scaled()
        self._interval: Any = getattr(norm, "interval", None)
        self._wcs: SteppedWCS | PlaneWCS | None = None
        self._own_map = look.pop("cmap", None)
        self._sky: _Sky | None = None
        if (axes := sky_axes(subject, shown)) is not None:
            grid = sky_grid(subject, shown, self._point())
            self._sky = _Sky(axes, grid) if grid.is_of_the_sky() else None
        self._along: list[Coordinate | None] = []
        planes = self._read()
        self._make_axes(self._make_pixel_figure(figure, self._aspect()[1]))
        self._mark: Artist | None = None
        self._add_images(planes, Normalize() if norm is None else norm, **look)
        self.image = self.images[0]
        self.figure.canvas.mpl_connect("button_press_event", self._on_click)

    # The coordinates ------------------------------------------------------------------------

    def _make_axes(self, place: Place) -> None:
        if self._sky is None:
            self.axes = self.figure.add_axes(place)
        else:
            from astropy.visualization.wcsaxes import WCSAxes

            self._wcs = self._plane_wcs(self._sky)
            self.axes = self._wcs_axes = WCSAxes(self.figure, place, wcs=self._wcs)
            self.figure.add_axes(self.axes)
        self.axes.set_facecolor("0.97")
        self.axes.set_aspect(self._aspect()[0])
        self.axes.set(xlim=(-0.5, self._shape[1] - 0.5), ylim=(-0.5, self._shape[0] - 0.5))
        self._show_coordinates_of_mouse(self.axes)
        self._label_axes()

    def _put_axes(self, place: Place) -> None:
        self.axes.set_position(place)
        if self._wcs is None:
            fit_labels(self.axes)
        elif self._sky is not None and not self._has_given_wcs:
            self._place_ticks(self._sky)

    def _read_out(self, x: float, y: float) -> str:
        pixel = f"(pixel {x:.0f}, {y:.0f})"
        if self._sky is None:
            at = zip((x, y), self._along, strict=True)
            return "  ".join([*(along.at(place) for place, along in at if along), pixel])
        values, steps = self._sky.grid.world(x, y), self._sky.grid.per_pixel
        return "  ".join([
            *(f"{axis.kind} {self.subject.world.text(axis, float(value), float(step))}"
              for axis, value, step in zip(self._sky.axes, values, steps, strict=True)),
            pixel,
        ])  # fmt: skip

    def _aspect(self) -> tuple[float | Literal["auto"], float]:
        """The axes' aspect, and the height of the image in widths."""
        if self._own_aspect is not None:
            one = 1.0 if self._own_aspect == "equal" else self._own_aspect
            if one == "auto":
                return "auto", 0.8
            return float(one), float(one) * self._shape[0] / self._shape[1]
        if self._sky is None:
            return "auto", 0.8
        wide, high = self._sky.grid.pixel_size
        aspect = high / wide if wide and high else 1.0
        ratio = aspect * self._shape[0] / self._shape[1]
        return (aspect, ratio) if 1 / NARROWEST < ratio < NARROWEST else ("auto", 0.8)

    def _plane_wcs(self, sky: _Sky) -> PlaneWCS:
        return PlaneWCS(sky.grid, self.subject.world.frame, sky.axes, self._shape)

    def _label_axes(self) -> None:
        """Put coordinates on the axes: those of `position`."""
        if self._sky is not None:
            for coordinate, axis in zip(self._wcs_axes.coords, self._sky.axes, strict=True):
                coordinate.set_format_unit(axis.unit, decimal=True, show_decimal_unit=False)
                coordinate.set_ticklabel(exclude_overlapping=True)
            self._place_ticks(self._sky)
            return
        at, world = self._point(), self.subject.world
        assert self.shown.y is not None
        labels = labels_of(world, (self.shown.x, self.shown.y))
        self._along = [coordinate_along(world, axis, index, at) for axis, index in labels.items()]
        names = [self.subject.axis_names[axis] for axis in labels]
        for ticked, along, name in zip(
            (self.axes.xaxis, self.axes.yaxis), self._along, names, strict=True
        ):
            set_ticks(ticked, along, name)

    def _place_ticks(self, sky: _Sky) -> None:
        """Tick each of longitude and latitude along the side on which it changes more."""
        sides = ("b", "l") if sky.grid.is_straight() else ("l", "b")
        for coordinate, axis, side, share in zip(
            self._wcs_axes.coords, sky.axes, sides, sky.grid.shares(), strict=True
        ):
            coordinate.set_position(side)
            n = room_for_ticks(self.axes.xaxis if side == "b" else self.axes.yaxis)
            # astropy counts the ticks of the whole plane.
            coordinate.set_ticks(direction="out", number=round(min(n, 6) / share))
            label = f"{name_of(axis)} [{axis.unit}]"
            points = fit_label(self.axes, label, upwards=side == "l")
            coordinate.set_axislabel(label, fontsize=points)

    def _move_coordinates(self, moved: set[int]) -> bool:
        world = self.subject.world
        drawn = self._sky.axes if self._sky is not None else [
            axis for axis in world.axes if set(axis.array_axes) & set(self.shown.drawn)
        ]  # fmt: skip
        if not any(set(axis.array_axes) & moved for axis in drawn):
            return False
        if self._sky is not None:
            grid = sky_grid(self.subject, self.shown, self._point())
            if self._sky.grid.distance_to(grid) <= SEEN_TO_MOVE:
                return False
            self._sky = _Sky(self._sky.axes, grid)
        # The axes keep their WCS, which moves, and with it all that the user set in them.
        if isinstance(self._wcs, PlaneWCS) and self._sky is not None:
            self._wcs.grid = self._sky.grid
        if isinstance(self._wcs, SteppedWCS):
            self._wcs.move(self.position)
        if self._wcs is None:
            self._label_axes()
        else:
            self.axes.transData.invalidate()
        return True

    # As axes of astropy's ---------------------------------------------------------------------

    def _use_wcs(self) -> Axes:
        """Make the axes astropy's, with the WCS of the array, and leave their ticks to the user."""
        self._has_given_wcs = True
        if self._wcs is None:
            self._wcs = SteppedWCS(self.subject.world.low, self.shown, self.position)
            before = self.axes
            self._write_over(before, "")
            self.axes = replace_axes(before, *self._wcs.plane())
            for image in self.images:
                move_artist(image, self.axes)
            self._mark_absent(self._read())
            self._show_coordinates_of_mouse(self.axes)
            if self.colorbar is not None and self.colorbar.ax in before.child_axes:
                self.colorbar = None
                image = self.images[0]
                image.other_colorbar = None
                self.colorbar = add_colorbar(self.axes, image, self.subject.label)
                image.other_colorbar = self._take_colorbar
            self._bounds = None
            self._lay_out()
            self._has_moved()
            make_current(self.axes, self.images[0])
        return self.axes

    def _limits(self, planes: Sequence[Plane], *, signed: bool) -> tuple[float, float]:
        interval = self._interval
        if self._clip is not None:
            interval = AsymmetricPercentileInterval(*self._clip)
        if interval is None:
            return super()._limits(planes, signed=signed)
        known = np.asarray(planes[0].pixels, float)
        known = known[np.isfinite(known)]
        if not known.size:
            return 0.0, 1.0
        low, high = interval.get_limits(known)
        return float(low), float(high)

    # In other figures -----------------------------------------------------------------------

    def _picture_ratio(self) -> float:
        return self._aspect()[1]

    def _draw_still(self, figure: Figure, title: str) -> ImagePlot:
        shown, image = replace(self.shown, sliding=()), self.images[0]
        at = {axis: pixel for axis, pixel in enumerate(self.position) if axis not in shown.drawn}
        return ImagePlot(
            self.subject, shown, at, figure=figure, title=title, aspect=self._own_aspect,
            colorbar=self._has_colorbar, cmap=image.get_cmap(), norm=copy.copy(image.norm),
        )  # fmt: skip

    def _draw_panel(
        self,
        figure: Figure,
        place: tuple[int, int, int],
        pixels: NDArray[np.generic],
        absent: NDArray[np.bool_] | None,
        *,
        left: bool,
        below: bool,
    ) -> tuple[Axes, AxesImage]:
        sky = None if self._sky is None else self._sky.axes
        axes: Any
        if sky is None:
            axes = figure.add_subplot(*place)
            labels = labels_of(self.subject.world, (self.shown.x, self.shown.y or 0))
            for ticked, (axis, index) in zip((axes.xaxis, axes.yaxis), labels.items(), strict=True):
                along = coordinate_along(self.subject.world, axis, index, self._point())
                set_ticks(ticked, along, self.subject.axis_names[axis])
            axes.tick_params(labelsize="small", labelleft=left, labelbottom=below)
            axes.set(xlabel=axes.get_xlabel() * below, ylabel=axes.get_ylabel() * left)
        else:
            grid = sky_grid(self.subject, self.shown, self._point())
            axes = figure.add_subplot(*place, projection=self._plane_wcs(_Sky(sky, grid)))
            sides = ("b", "l") if grid.is_straight() else ("l", "b")
            for coordinate, one, side in zip(axes.coords, sky, sides, strict=True):
                coordinate.set_format_unit(one.unit, decimal=True, show_decimal_unit=False)
                coordinate.set_position(side)
                coordinate.set_ticks(direction="out", number=4)
                labelled = left if side == "l" else below
                coordinate.set_ticklabel(size="small", exclude_overlapping=True)
                coordinate.set_ticklabel_visible(labelled)
                name = f"{name_of(one)} [{one.unit}]"
                coordinate.set_axislabel(name if labelled else "", fontsize="small")
                coordinate.set_auto_axislabel(False)
        ny, nx = self._shape
        signed = is_signed(self.subject, self.shown, self._values(self._point()))
        image = axes.imshow(
            pixels, origin="lower", extent=(-0.5, nx - 0.5, -0.5, ny - 0.5),
            cmap=self._own_map or (SIGNED_MAP if signed else PLAIN_MAP),
            norm=copy.copy(self.images[0].norm), aspect=self._aspect()[0],
        )  # fmt: skip
        axes.set_facecolor("0.97")
        if absent is not None:
            boxes = absent_boxes(absent)
            boxes.set_transform(axes.transData)
            axes.add_collection(boxes, autolim=False)
        return axes, image

    # The profile of a pixel -----------------------------------------------------------------

    def profile(
        self, pixel: Sequence[int] | None = None, *, along: str | int | None = None
    ) -> LinePlot:
        """Open a second figure with the profile of a pixel; a click in the image shows another's.

        The sliders of either figure move both.

        Parameters
        ----------
        pixel : sequence of int, optional
            Along the two axes that are drawn, in the array's order; by default the middle.
        along : {"wavelength", "time", "stokes"} or int, optional
            As in `Dataset.plot_profile`.
        """
        shown = profile_axes(self.subject.world, along)
        if pixel is None:
            pixel = [self.subject.world.shape[axis] // 2 for axis in self.shown.drawn]
        if len(pixel) != len(self.shown.drawn):
            raise SelectionError(f"pixel = {pixel!r}: expected two numbers, for the image's axes")
        here = dict(zip(self.shown.drawn, pixel, strict=True))
        here |= {axis: self.position[axis] for axis in self.shown.sliding}
        other = LinePlot(
            self.subject, shown, {a: p for a, p in here.items() if a in shown.sliding}
        )  # fmt: skip
        other.followers.append(self)
        self.followers = [other]
        self.follow(other)
        return other

    def follow(self, other: SteppedPlot) -> None:
        """Step to another figure's position, and mark the pixel that it shows."""
        super().follow(other)
        if self._mark is not None:
            self._mark.remove()
        x, y = (
            other.position[axis] if axis in other.shown.sliding else None
            for axis in (self.shown.x, self.shown.y)
        )
        if x is not None and y is not None:
            self._mark = self.axes.plot(x, y, "+", color="C1", ms=12, mew=1.8, zorder=4)[0]
        elif x is not None:
            self._mark = self.axes.axvline(x, color="C1", lw=1.2, zorder=4)
        else:
            self._mark = None if y is None else self.axes.axhline(y, color="C1", lw=1.2, zorder=4)
        self._repaint()

    def _on_click(self, event: MouseEvent) -> None:
        busy = str(getattr(self.figure.canvas.toolbar, "mode", ""))
        if not self.followers or event.inaxes is not self.axes or event.button != 1 or busy:
            return
        assert event.xdata is not None
        assert event.ydata is not None
        clicked = {self.shown.x: round(event.xdata), self.shown.y: round(event.ydata)}
        other = self.followers[0]
        try:
            other.show({
                axis: min(max(pixel, 0), self.subject.world.shape[axis] - 1)
                for axis, pixel in clicked.items()
                if axis in other.shown.sliding
            })  # fmt: skip
        except FrameError:
            pass  # the figure shows it


def draw(
    subject: Subject, plot_axes: Sequence[Any] | None = None, **options: Any
) -> ImagePlot | LinePlot:
    """Draw an image or a line; `dkist_virtual.plot.planes.shown_axes` chooses its axes."""
    shown = shown_axes(subject.world, plot_axes)
    return (LinePlot if shown.y is None else ImagePlot)(subject, shown, **options)


def draw_profile(
    subject: Subject,
    pixel: Sequence[int] | None = None,
    *,
    along: str | int | None = None,
    **options: Any,
) -> LinePlot:
    """Draw the profile of a pixel: see `Dataset.plot_profile`."""
    shown = profile_axes(subject.world, along)
    return LinePlot(subject, shown, starting_point(subject.world, shown, pixel), **options)

"""Plot an image of two axes, with sliders for the others and axes in world coordinates."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
from matplotlib.colors import Normalize

from dkist_virtual.cube.world_axes import wrap
from dkist_virtual.errors import FrameError, SelectionError
from dkist_virtual.plot.base import SteppedPlot
from dkist_virtual.plot.colorbar import add_colorbar
from dkist_virtual.plot.figure_text import fit_label, fit_labels
from dkist_virtual.plot.image import IMAGE_LOOK, ScreenImage, absent_boxes, contrast, limits
from dkist_virtual.plot.line_plot import LinePlot, profile_axes, starting_point
from dkist_virtual.plot.planes import labels_of, shown_axes
from dkist_virtual.plot.sky_grid import PlaneGrid, PlaneWCS
from dkist_virtual.plot.sliders import Repainter
from dkist_virtual.plot.ticks import coordinate_along, name_of, room_for_ticks, set_ticks
from dkist_virtual.text import check_keywords

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.figure import Figure

    from dkist_virtual.cube.world_axes import WorldAxis
    from dkist_virtual.plot.planes import Plane, ShownAxes, Subject
    from dkist_virtual.plot.ticks import Coordinate

__all__ = ["ImagePlot", "draw", "draw_profile", "is_signed", "sky_axes", "sky_grid"]

SIGNED_MAP: Final = "RdBu_r"
PLAIN_MAP: Final = "gray"
SEEN_TO_MOVE: Final = 0.1
"""Pixels of the image by which coordinates move before their axes are drawn again."""
NARROWEST: Final = 12.0
"""An image of the sky that would be this many times longer than wide fills its axes instead."""


def sky_axes(subject: Subject, shown: ShownAxes) -> tuple[WorldAxis, WorldAxis] | None:
    """Longitude and latitude where a plane is one of the sky: each axis changes one of them."""
    longitude = subject.world.of_kind("longitude")
    latitude = subject.world.of_kind("latitude")
    if longitude is None or latitude is None or shown.y is None:
        return None
    along = {*longitude.array_axes, *latitude.array_axes}
    return (longitude, latitude) if {shown.x, shown.y} <= along else None


def sky_grid(
    subject: Subject, shown: ShownAxes, at: Sequence[float], around: float | None = None
) -> PlaneGrid:
    """Longitude and latitude of a plane, without a jump.

    Parameters
    ----------
    subject : Subject
    shown : ShownAxes
        Of a plane of the sky.
    at : sequence of float
        The pixel of each array axis; those of the plane's own are not used.
    around : float, optional
        Longitudes are at most half a turn from this one, by default that of the plane's middle.
    """
    sky = sky_axes(subject, shown)
    assert sky is not None
    assert shown.y is not None
    shape = subject.world.shape
    y_axis = shown.y
    if around is None:
        middle = [(n - 1) / 2 if axis in shown.drawn else at[axis] for axis, n in enumerate(shape)]
        around = subject.world.middle_longitude(middle)

    def evaluate(x: Any, y: Any) -> Any:
        positions: list[Any] = [np.full(x.shape, pixel) for pixel in at]
        positions[shown.x], positions[y_axis] = x, y
        values = subject.world.values(*positions)
        lon, lat = (values[axis.index] for axis in sky)
        return np.stack([wrap(lon, sky[0].unit, around), lat])

    return PlaneGrid.of(evaluate, (shape[y_axis], shape[shown.x]))


def is_signed(subject: Subject, shown: ShownAxes, values: Sequence[float]) -> bool:
    """Whether what is shown is Stokes Q, U or V, which are zero on average."""
    if "stokes" in subject.held:
        return subject.held["stokes"][2] != 1
    stokes = subject.world.of_kind("stokes")
    if stokes is None or set(stokes.array_axes) & set(shown.drawn):
        return False
    return values[stokes.index] != 1


class ImagePlot(SteppedPlot):
    """An image of two axes of a dataset, with a slider for each of the others.

    What `Dataset.plot` gives. `figure`, `axes`, `image` and `colorbar` are matplotlib's.

    Parameters
    ----------
    subject : Subject
    shown : ShownAxes
    position : dict, optional
        Array axis to pixel: where to begin.
    figure : matplotlib.figure.Figure, optional
        To draw in; a new one of pyplot's by default.
    vmin, vmax : float, optional
        The ends of the contrast; each by default from the plane shown.
    **look
        cmap, norm and what else an image takes.
    """

    def __init__(
        self,
        subject: Subject,
        shown: ShownAxes,
        position: Mapping[int, int] | None = None,
        *,
        figure: Figure | None = None,
        vmin: float | None = None,
        vmax: float | None = None,
        **look: Any,
    ) -> None:
        check_keywords("plot of an image", look, IMAGE_LOOK)
        super().__init__(subject, shown, position)
        assert shown.y is not None
        self._shape = subject.world.shape[shown.y], subject.world.shape[shown.x]
        self._ends = vmin, vmax
        self._own_norm = look.get("norm")
        self._scaled = self._own_norm is not None and self._own_norm.scaled()
        if self._own_norm is not None and (vmin, vmax) != (None, None):
            raise ValueError(
                "norm and vmin or vmax: the ends of a norm are its own, give them there"
            )
        self._own_map = look.pop("cmap", None)
        self._sky = sky_axes(subject, shown)
        self._grid = (
            None if self._sky is None else sky_grid(self.subject, self.shown, self._point())
        )
        if self._grid is not None and not self._grid.is_of_the_sky():
            self._sky = self._grid = None
        self._along: list[Coordinate | None] = []

        plane = self._reader.read(self.position)
        ratio = self._aspect()[1]
        place = self._make_figure(figure, float(np.clip(5.7 * ratio, 2.0, 5.7)))
        self._make_axes(place)
        look.setdefault("norm", Normalize())
        # One artist for the life of the figure: only its pixels change.
        self.image = ScreenImage(self.axes, plane.pixels, zorder=0.9, **look)
        self.axes.add_image(self.image)
        self.axes.set_xlim(-0.5, self._shape[1] - 0.5)
        self.axes.set_ylim(-0.5, self._shape[0] - 0.5)
        self._set_contrast(plane, self._say_where())
        self.colorbar = add_colorbar(self.axes, self.image, subject.unit)
        bar = self.colorbar.ax
        self._mark_absent(plane)
        self._laid_out()
        small = [bar, *(slider.ax for slider in self.sliders.widgets)]
        self._repainter = Repainter(self.figure, [self.image], small)
        self._mark: Any = None
        self.figure.canvas.mpl_connect("button_press_event", self._clicked)

    # The coordinates ------------------------------------------------------------------------

    def _make_axes(self, place: Any) -> None:
        if self._sky is None:
            self.axes: Any = self.figure.add_axes(place)
        else:
            from astropy.visualization.wcsaxes import WCSAxes

            self.axes = WCSAxes(self.figure, place, wcs=self._plane_wcs())
            self.figure.add_axes(self.axes)
        self.axes.set_facecolor("0.97")
        self.axes.set_aspect(self._aspect()[0])
        self.axes.format_coord = self._read_out
        self._label_axes()

    @property
    def _all_axes(self) -> list[Any]:
        return [self.axes]

    def _put_axes(self, place: Any) -> None:
        self.axes.set_position(place)
        if self._sky is not None:
            self._place_ticks()
        else:
            fit_labels(self.axes)

    def _read_out(self, x: float, y: float) -> str:
        """What is under the mouse, as finely as pixels are."""
        pixel = f"(pixel {x:.0f}, {y:.0f})"
        if self._sky is not None:
            assert self._grid is not None
            world, steps = self.subject.world, self._grid.per_pixel
            values = self._grid.world(x, y)
            return "  ".join([
                *(f"{axis.kind} {world.text(axis, float(value), float(step))}"
                  for axis, value, step in zip(self._sky, values, steps, strict=True)),
                pixel,
            ])  # fmt: skip
        at = zip((x, y), self._along, strict=True)
        return "  ".join([*(along.at(place) for place, along in at if along is not None), pixel])

    def _aspect(self) -> tuple[float | str, float]:
        """The axes' aspect, and the height of the image in widths."""
        if self._grid is None:
            return "auto", 0.8
        wide, high = self._grid.pixel_size
        aspect = high / wide if wide and high else 1.0
        ratio = aspect * self._shape[0] / self._shape[1]
        return (aspect, ratio) if 1 / NARROWEST < ratio < NARROWEST else ("auto", 0.8)

    def _plane_wcs(self) -> PlaneWCS:
        assert self._sky is not None
        assert self._grid is not None
        return PlaneWCS(self._grid, self.subject.world.frame, self._sky, self._shape)

    def _label_axes(self) -> None:
        """Put coordinates on the axes: those of where the figure is."""
        if self._sky is not None:
            for coordinate, axis in zip(self.axes.coords, self._sky, strict=True):
                coordinate.set_format_unit(axis.unit, decimal=True, show_decimal_unit=False)
                coordinate.set_ticklabel(exclude_overlapping=True)
            self._place_ticks()
            return
        at, world = self._point(), self.subject.world
        assert self.shown.y is not None
        drawn = (self.shown.x, self.shown.y)
        self._along = []
        for array_axis, axis in zip(drawn, (self.axes.xaxis, self.axes.yaxis), strict=True):
            index = labels_of(world, drawn)[array_axis]
            along = None if index is None else coordinate_along(world, array_axis, index, at)
            set_ticks(axis, along, self.subject.axis_names[array_axis])
            self._along.append(along)

    def _place_ticks(self) -> None:
        """Tick each of longitude and latitude along the side on which it changes more."""
        assert self._grid is not None
        assert self._sky is not None
        sides = ("b", "l") if self._grid.is_straight() else ("l", "b")
        shares = self._grid.shares()
        for coordinate, axis, side, share in zip(
            self.axes.coords, self._sky, sides, shares, strict=True
        ):
            coordinate.set_position(side)
            n = room_for_ticks(self.axes.xaxis if side == "b" else self.axes.yaxis)
            # It counts those of the whole plane.
            coordinate.set_ticks(direction="out", number=round(min(n, 6) / share))
            label = f"{name_of(axis)} [{axis.unit}]"
            coordinate.set_axislabel(
                label, fontsize=fit_label(self.axes, label, upwards=side == "l")
            )

    def _grid_moved(self, moved: set[int]) -> bool:
        """Whether a move along some axes moved the coordinates of what is drawn."""
        world = self.subject.world
        drawn = self._sky or [
            axis for axis in world.axes if set(axis.array_axes) & set(self.shown.drawn)
        ]
        if not any(set(axis.array_axes) & moved for axis in drawn):
            return False
        if self._sky is None:
            return True
        grid = sky_grid(self.subject, self.shown, self._point())
        assert self._grid is not None
        if self._grid.moved(grid) <= SEEN_TO_MOVE:
            return False
        self._grid = grid
        self.axes.reset_wcs(self._plane_wcs())
        return True

    # What is shown --------------------------------------------------------------------------

    def _show(self, moved: set[int]) -> None:
        values = self._say_where()
        try:
            plane = self._reader.read(self.position)
        except FrameError as error:
            self.image.set_pixels(np.full(self._shape, np.nan, np.float32))
            self._write_over(self.axes, str(error))
            self._repainter.step()
            raise
        self.image.set_pixels(plane.pixels)
        self._set_contrast(plane, values)
        self._mark_absent(plane)
        if self._grid_moved(moved):
            self._label_axes()
            self._repainter.everything()
        else:
            self._repainter.step()

    def _set_contrast(self, plane: Plane, values: Sequence[float]) -> None:
        signed = is_signed(self.subject, self.shown, values)
        self.image.set_cmap(self._own_map or (SIGNED_MAP if signed else PLAIN_MAP))
        if self._own_norm is None or not self._scaled:
            self.image.set_clim(*contrast(self._ends, limits(plane.pixels, signed=signed)))

    def _mark_absent(self, plane: Plane) -> None:
        if plane.absent is None:
            self._write_over(self.axes, "")
        else:
            self._write_over(self.axes, self._hint(), middle=bool(plane.absent.all()))
            boxes = absent_boxes(plane.absent)
            self._over.append(self.axes.add_collection(boxes, autolim=False))

    # The profile of a pixel -----------------------------------------------------------------

    def profile(
        self, pixel: Sequence[int] | None = None, *, along: str | int | None = None
    ) -> LinePlot:
        """Open a second figure with the profile of a pixel; a click in the image shows another's.

        Both figures go along with each other's sliders.

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
        """Go where another figure is, and mark the pixel that it shows."""
        super().follow(other)
        if self._mark is not None:
            self._mark.remove()
        at = [
            other.position[axis] if axis in other.shown.sliding else None
            for axis in (self.shown.x, self.shown.y)
        ]
        line = {"color": "C1", "lw": 1.2, "zorder": 4}
        if at[0] is None:
            self._mark = None if at[1] is None else self.axes.axhline(at[1], **line)
        elif at[1] is None:
            self._mark = self.axes.axvline(at[0], **line)
        else:
            self._mark = self.axes.plot(*at, "+", color="C1", ms=12, mew=1.8, zorder=4)[0]
        self._repainter.step()

    def _clicked(self, event: Any) -> None:
        toolbar = self.figure.canvas.toolbar
        busy = toolbar is not None and str(getattr(toolbar, "mode", ""))
        if not self.followers or event.inaxes is not self.axes or event.button != 1 or busy:
            return
        clicked = {self.shown.x: round(event.xdata), self.shown.y: round(event.ydata)}
        other = self.followers[0]
        try:
            other.show({
                axis: min(max(pixel, 0), self.subject.world.shape[axis] - 1)
                for axis, pixel in clicked.items()
                if axis in other.shown.sliding
            })  # fmt: skip
        except FrameError:
            pass  # the figure says it


def draw(
    subject: Subject, plot_axes: Sequence[Any] | None = None, **options: Any
) -> ImagePlot | LinePlot:
    """Draw an image or a line, as `dkist_virtual.plot.planes.shown_axes` chooses its axes."""
    shown = shown_axes(subject.world, plot_axes)
    return (LinePlot if shown.y is None else ImagePlot)(subject, shown, **options)


def draw_profile(
    subject: Subject,
    pixel: Sequence[int] | None = None,
    *,
    along: str | int | None = None,
    **options: Any,
) -> LinePlot:
    """Draw the profile of a pixel, see `Dataset.plot_profile`."""
    shown = profile_axes(subject.world, along)
    return LinePlot(subject, shown, starting_point(subject.world, shown, pixel), **options)

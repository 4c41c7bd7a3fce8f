"""Make the Bokeh figure of a picture: axes of the world, an image of 8 bits, and what is marked."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from bokeh.core.property.descriptors import UnsetValueError
from bokeh.models import (
    BasicTickFormatter,
    BoxSelectTool,
    BoxZoomTool,
    ColumnDataSource,
    DatetimeAxis,
    FixedTicker,
    LinearAxis,
    LinearColorMapper,
    PanTool,
    Range1d,
    ResetTool,
    SaveTool,
    WheelZoomTool,
)
from bokeh.models.annotations import BoxAnnotation, ColorBar, Label, Span
from bokeh.plotting import figure

from dkist_virtual.view.panels.curves.looks import pin_look
from dkist_virtual.view.panels.plain_text import as_text
from dkist_virtual.view.pictures.geometry import Scale, Separable
from dkist_virtual.view.pictures.levels import colours, palette_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dkist_virtual.view.pictures.geometry import Geometry
    from dkist_virtual.view.pictures.render import Drawn
    from dkist_virtual.view.state.state import Bounds

__all__ = ["SIZE", "PictureFigure"]

SIZE: Final = (640, 480)
"""Width and height that are drawn before the browser has said how large the picture is."""
LABELS: Final = 24
"""Pixels by which longer labels of ticks may make the room between the axes smaller."""
TRIES: Final = 3
LEFT: Final = 66
RIGHT: Final = 88
"""Pixels beside a picture, for labels of most lengths: pictures that are moved together have one
size, and none jumps when the labels of its contrast change."""
LEAST: Final = 8
MOST: Final = 2048
"""Pixels along a side that are drawn."""
MARK: Final = "#e66100"
"""Of what is marked on a picture: an orange that the colour-blind tell from blue and grey."""
BOX: Final = "#1a85ff"
FAULT: Final = "#7a0000"
LETTER: Final = 7.2
LINES: Final = 12
"""Width of a letter of a message in pixels, and how many lines one has at most."""
TICK: Final = 75
"""Pixels from a tick to the next, at least."""


class PictureFigure:
    """The Bokeh models of a picture.

    `figure` is the model, with the name given; others may add what they draw to it.
    """

    def __init__(self, name: str) -> None:
        self._sizes: list[tuple[int, int]] = []
        self._outer: tuple[int, int] | None = None
        self.box_tool = BoxSelectTool(renderers=[], description="Mark a box")
        self.pan_tool = PanTool()
        wheel = WheelZoomTool()
        make: Any = figure
        ends: Any = (0, 1)
        self.figure: Any = make(
            name=name,
            sizing_mode="stretch_both", min_width=220, min_height=220, output_backend="canvas",
            min_border_left=LEFT, min_border_right=RIGHT,
            x_range=Range1d(*ends), y_range=Range1d(*ends), x_axis_type=None, y_axis_type=None,
            tools=[self.pan_tool, wheel, BoxZoomTool(match_aspect=True), self.box_tool,
                   ResetTool(), SaveTool()],
            active_drag=self.pan_tool, active_scroll=wheel, toolbar_location="above",
            background_fill_color="#f7f7f7", border_fill_alpha=0,
            # The page answers a reset: Bokeh's own goes to ranges from before anything was drawn.
            reset_policy="event_only",
        )  # fmt: skip
        self.figure.toolbar.logo = None
        self.figure.grid.visible = False
        # No axis but one of each kind is visible.
        self._axes: dict[str, dict[str, Any]] = {
            side: {
                "linear": LinearAxis(
                    formatter=BasicTickFormatter(use_scientific=False), visible=False
                ),
                "time": DatetimeAxis(visible=False),
                "stokes": LinearAxis(visible=False),
            }
            for side in ("below", "left")
        }
        for side, axes in self._axes.items():
            for axis in axes.values():
                self.figure.add_layout(axis, side)
        self._mapper = LinearColorMapper(
            palette=palette_of("gray"), low=0.5, high=255.5, low_color="#00000000",
            nan_color="#00000000",
        )  # fmt: skip
        draw: Any = self.figure.image
        self.image: Any = draw(
            image=[np.zeros((1, 1), np.uint8)], x=0, y=0, dw=1, dh=1, color_mapper=self._mapper,
            level="image",
        )  # fmt: skip
        self._values = LinearColorMapper(palette=colours("gray"), low=0, high=1)
        self.bar = ColorBar(
            color_mapper=self._values, width=12, padding=4, title="", title_standoff=6,
            background_fill_alpha=0, formatter=BasicTickFormatter(),
        )  # fmt: skip
        self.figure.add_layout(self.bar, "right")
        self._make_marks()

    def _make_marks(self) -> None:
        look: dict[str, Any] = {
            "line_color": MARK, "line_width": 1, "line_alpha": 0.9, "visible": False,
        }  # fmt: skip
        room: Any = 4
        self._across = Span(dimension="width", location=0, **look)
        self._up = Span(dimension="height", location=0, **look)
        self.box = BoxAnnotation(
            left=0, right=1, bottom=0, top=1, fill_alpha=0.06, line_color=BOX, line_alpha=1,
            fill_color=BOX, line_width=2,
            line_dash="dashed", visible=False,
        )  # fmt: skip
        self.message = Label(
            x=8, y=50, x_units="screen", y_units="screen", text="", visible=False,
            text_font_size="13px",
            background_fill_color="white", background_fill_alpha=0.92, text_color=FAULT,
            border_line_color=FAULT, padding=room,
        )  # fmt: skip
        self.length = Label(
            x=8, y=8, x_units="screen", y_units="screen", text="", visible=False,
            text_font_size="12px",
            background_fill_color="white", background_fill_alpha=0.8, text_color="black",
            padding=room,
        )  # fmt: skip
        for one in (self._across, self._up, self.box, self.message, self.length):
            self.figure.add_layout(one)
        self.pins = ColumnDataSource(
            {"x": [], "y": [], "colour": [], "marker": [], "number": []}
        )  # fmt: skip
        # Whatever is below it, dark or bright, has white between it and the marker.
        for width, colour in ((5, "white"), (2, "colour")):
            self.figure.scatter(
                "x", "y", source=self.pins, marker="marker", size=12, line_color=colour,
                line_width=width, fill_alpha=0,
            )  # fmt: skip
        self.figure.text(
            "x", "y", text="number", source=self.pins, x_offset=9, y_offset=-9,
            text_font_size="11px", text_font_style="bold", text_color="black",
            background_fill_color="white", background_fill_alpha=0.85,
            border_line_color="colour", border_line_width=2, padding=2,
        )  # fmt: skip
        self.path = ColumnDataSource({"x": [], "y": []})
        self.figure.line("x", "y", source=self.path, line_color=BOX, line_width=2)
        self.figure.scatter("x", "y", source=self.path, size=6, fill_color="white",
                            line_color=BOX, line_width=2)  # fmt: skip

    # What is shown --------------------------------------------------------------------------

    @property
    def size(self) -> tuple[int, int]:
        """Width and height between the axes, in pixels of the screen.

        What is drawn for a size moves the axes, their labels get longer or shorter, and so does
        the room between them: where that goes on, a size like the last one is the last one.
        """
        try:
            wide, high = int(self.figure.inner_width), int(self.figure.inner_height)
            outer = int(self.figure.outer_width), int(self.figure.outer_height)
        except UnsetValueError:
            return SIZE
        size = (min(wide, MOST), min(high, MOST)) if min(wide, high) >= LEAST else SIZE
        if outer != self._outer:
            self._outer, self._sizes = outer, []
        if not self._sizes or size != self._sizes[-1]:
            away = [abs(a - b) for a, b in zip(size, (self._sizes or [size])[-1], strict=True)]
            if len(self._sizes) >= TRIES and max(away) <= LABELS:
                return self._sizes[-1]
            self._sizes.append(size)
        return self._sizes[-1]

    @property
    def window(self) -> Bounds:
        """What the axes show."""
        x, y = self.figure.x_range, self.figure.y_range
        return float(x.start), float(x.end), float(y.start), float(y.end)

    def show(self, drawn: Drawn, *, is_moved: bool) -> None:
        """Show a picture; `is_moved` also moves the axes to what it shows."""
        left, right, bottom, top = drawn.window
        # Bokeh returns a palette as it was given, list or tuple, and sends it whenever it is set.
        if tuple(self._mapper.palette) != palette_of(drawn.cmap):
            self._mapper.palette = palette_of(drawn.cmap)
            self._values.palette = colours(drawn.cmap)
        self._values.update(low=drawn.limits[0], high=drawn.limits[1])
        self.bar.title = as_text(drawn.request.layers.label)
        self.image.data_source.data = {"image": [drawn.levels]}
        self.image.glyph.update(x=left, y=bottom, dw=right - left, dh=top - bottom)
        self.image.visible = True
        self.label(drawn.tiles[0].geometry)
        if is_moved:
            self.figure.x_range.update(start=left, end=right)
            self.figure.y_range.update(start=bottom, end=top)

    def label(self, geometry: Geometry) -> None:
        """Put names, units and kinds of coordinates on the axes."""
        scales: tuple[Scale | None, Scale | None] = (None, None)
        if isinstance(geometry, Separable):
            scales = geometry.x, geometry.y
        for axes, label, scale, room in zip(
            self._axes.values(), geometry.labels, scales, self.size, strict=True
        ):
            kind = "linear" if scale is None or scale.kind not in axes else scale.kind
            for name, axis in axes.items():
                axis.visible = name == kind
            axes[kind].axis_label = as_text(label)
            if kind != "stokes":
                axes[kind].ticker.desired_num_ticks = min(max(room // TICK, 3), 8)
            if scale is not None and kind == "stokes":
                ticks = list(range(len(scale.letters)))
                axes[kind].ticker = FixedTicker(ticks=ticks)
                axes[kind].major_label_overrides = dict(zip(ticks, scale.letters, strict=True))

    def mark_point(self, x: float | None, y: float | None) -> None:
        """Move the lines through the point; None hides one."""
        for span, at in ((self._up, x), (self._across, y)):
            if at is not None:
                span.location = at
            span.visible = at is not None

    def mark_pins(self, places: Sequence[tuple[float, float] | None]) -> None:
        """Show the pins, each as its profile: None for one that is not on the picture."""
        shown = [(k, pin_look(k), *at) for k, at in enumerate(places) if at is not None]
        data: dict[str, Any] = {
            "x": [x for _, _, x, _ in shown],
            "y": [y for *_, y in shown],
            "colour": [look.colour for _, look, *_ in shown],
            "marker": [look.marker for _, look, *_ in shown],
            "number": [f"{k + 1}" for k, *_ in shown],
        }
        if self.pins.data != data:
            self.pins.data = data

    def mark_path(self, corners: Sequence[tuple[float, float]]) -> None:
        """Show the path."""
        data: dict[str, Any] = {"x": [x for x, _ in corners], "y": [y for _, y in corners]}
        if self.path.data != data:
            self.path.data = data

    def mark_box(self, box: Bounds | None) -> None:
        """Show the box."""
        if box is not None:
            self.box.update(left=box[0], right=box[1], bottom=box[2], top=box[3])
        self.box.visible = box is not None

    def write_lengths(self, text: str) -> None:
        """Write how long what is marked is."""
        if text:
            self.length.text = text
        self.length.visible = bool(text)

    def hide(self) -> None:
        """Hide the picture that is there, which is not that of the state."""
        self.image.visible = False

    def say(self, text: str) -> None:
        """Write a message over the picture; an empty one hides it."""
        letters = max(24, int((self.size[0] - 40) / LETTER))
        # A long address has no spaces to break it at.
        self.message.text = as_text("\n".join(textwrap.wrap(text, letters)[:LINES]))
        self.message.visible = bool(text)

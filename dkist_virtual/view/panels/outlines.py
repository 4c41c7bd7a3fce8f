"""Draw the fields of view of other datasets on a picture, and say how far they are in time."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Any, Final

from bokeh.models import ColumnDataSource
from bokeh.models.annotations import Label

from dkist_virtual.view.panels.plain_text import as_text
from dkist_virtual.view.pictures.geometry import drawn_unit
from dkist_virtual.view.pictures.outlines import outline_of
from dkist_virtual.view.state.together import in_step, key_of, place_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dkist_virtual.view.panels.picture_figure import PictureFigure
    from dkist_virtual.view.session import Session
    from dkist_virtual.view.state.state import ViewState

__all__ = ["COLOURS", "Outlines"]

COLOURS: Final = ("#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#f0e442")
"""Of the fields of the datasets, by number: colours that the colour-blind tell apart."""
LETTERS: Final = 32
"""In a line of text on a picture."""


class Outlines:
    """What is drawn on one picture of the fields of the page's other datasets.

    Each is where it was at the time that belongs to the point. On a picture of another dataset
    than the main one a line says of when it is.
    """

    def __init__(self, session: Session, canvas: PictureFigure, number: int) -> None:
        self._session, self._number = session, number
        self._asked: object = None
        self.fields = ColumnDataSource({"xs": [], "ys": [], "colour": [], "wide": [], "dash": []})
        self.names = ColumnDataSource({"x": [], "y": [], "text": [], "colour": []})
        plot: Any = canvas.figure
        plot.multi_line("xs", "ys", source=self.fields, line_color="colour", line_width="wide",
                        line_dash="dash")  # fmt: skip
        plot.text("x", "y", "text", source=self.names, text_color="colour", text_font_size="12px",
            text_baseline="bottom", text_font_style="bold",)  # fmt: skip
        make: Any = Label
        self.said = make(
            x=8, y=8, x_units="screen", y_units="screen", text="", visible=False,
            text_font_size="12px", background_fill_color="white", background_fill_alpha=0.85,
            padding=3,
        )  # fmt: skip
        plot.add_layout(self.said)

    def update(self, before: ViewState | None, after: ViewState) -> None:  # noqa: ARG002
        """Find the fields of a state in a thread."""
        if self._number >= len(after.pictures):
            return
        sources = self._session.sources
        picture = after.pictures[self._number]
        key = picture.dataset, picture.axes, key_of(sources, after)
        if key == self._asked or len(sources) < 2:
            return
        self._asked = key
        name = f"picture-{self._number}-outlines"
        self._session.worker.read(name, lambda: self._steps(after), self._show, self._fail)

    def _steps(self, state: ViewState) -> Iterator[tuple[dict[str, Any], dict[str, Any], str]]:
        sources = self._session.sources
        picture = state.pictures[self._number]
        shown = sources[picture.dataset]
        points = [in_step(sources, state, number) for number in range(len(sources))]
        fields: dict[str, Any] = {str(key): [] for key in self.fields.data}
        names: dict[str, Any] = {"x": [], "y": [], "text": [], "colour": []}
        is_sky = shown.roles.sky is not None and set(picture.axes) == set(shown.roles.sky)
        world = shown.subject.world
        place = place_of(world, points[picture.dataset].point) if is_sky else None
        longitude = world.of_kind("longitude")
        scale = 1.0 if longitude is None else drawn_unit(shown.subject, longitude.unit)[1]
        for number, source in enumerate(sources if place is not None else ()):
            assert place is not None
            if number == picture.dataset:
                continue
            outline = outline_of(source, points[number].point, world, place[0])
            colour = COLOURS[number % len(COLOURS)]
            lines = [(ring, 2.0) for ring in outline.rings]
            lines += [] if outline.slit is None else [(outline.slit, 1.0)]
            in_step_with = number == 0 or points[number].after is not None
            for line, wide in lines:
                fields["dash"].append("solid" if in_step_with else "dashed")
                fields["xs"].append(line[0] * scale)
                fields["ys"].append(line[1] * scale)
                fields["colour"].append(colour)
                fields["wide"].append(wide)
            if outline.rings:
                ring = outline.rings[0]
                top = int(ring[1].argmax())
                names["x"].append(float(ring[0][top]) * scale)
                names["y"].append(float(ring[1][top]) * scale)
                apart = "" if in_step_with else ", other time"
                names["text"].append(as_text(f"{source.subject.title}{apart}"))
                names["colour"].append(colour)
        said = "" if picture.dataset == 0 else points[picture.dataset].said
        yield fields, names, f"{shown.subject.title}  {said}" if said else ""

    def _show(self, found: tuple[dict[str, Any], dict[str, Any], str]) -> None:
        self.fields.data, self.names.data, said = found
        self._say(said)

    def _fail(self, error: Exception) -> None:
        self._asked = None
        self._say(str(error))

    def _say(self, text: str) -> None:
        self.said.update(text=as_text("\n".join(textwrap.wrap(text, LETTERS))), visible=bool(text))

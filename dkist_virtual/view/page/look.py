"""Choose the contrast and the colours of a picture: a histogram with handles, and colour maps."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from bokeh.models import ColumnDataSource, Range1d
from bokeh.models.annotations import BoxAnnotation
from bokeh.models.widgets import RangeSlider
from bokeh.plotting import figure

from dkist_virtual.view.pictures.levels import CMAPS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from dkist_virtual.view.page.channel import Channel
    from dkist_virtual.view.page.widgets import Widgets
    from dkist_virtual.view.session import Panel, Session
    from dkist_virtual.view.state.state import PictureState

__all__ = ["Look", "histogram", "next_cmap", "span_of", "symmetric"]

BINS: Final = 96
STEPS: Final = 500
"""Places of a handle along the range."""
SAMPLED: Final = 40_000
"""Pixels that a histogram counts."""


def span_of(values: NDArray[np.floating[Any]], limits: tuple[float, float]) -> tuple[float, float]:
    """Return the range of a histogram: that of the values, but not far from the contrast.

    A few hot pixels would otherwise squeeze the contrast into a corner.
    """
    low, high = limits
    wide = high - low
    least, most = float(values.min()), float(values.max())
    first, last = max(min(least, low), low - wide), min(max(most, high), high + wide)
    return (first, last) if first < last else (first, first + 1.0)


def histogram(
    values: NDArray[np.floating[Any]], span: tuple[float, float]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Count values in bins: counts, relative to the largest, and edges."""
    counts, edges = np.histogram(values, BINS, span)
    return counts / max(int(counts.max()), 1), edges


def symmetric(limits: tuple[float, float]) -> tuple[float, float]:
    """Return limits with zero in their middle that show no less."""
    end = max(abs(limits[0]), abs(limits[1]))
    return (-end, end) if end > 0 else (-1.0, 1.0)


def next_cmap(cmap: str | None) -> str:
    """Return the colour map after one."""
    return CMAPS[(CMAPS.index(cmap) + 1) % len(CMAPS)] if cmap in CMAPS else CMAPS[1]


class Look:
    """Controls of the contrast and the colours of one of the pictures.

    Parameters
    ----------
    find : callable
        Returns the panels of the page.
    """

    def __init__(
        self, session: Session, channel: Channel, widgets: Widgets,
        find: Callable[[], Sequence[Panel]],
    ) -> None:  # fmt: skip
        self._session, self._channel, self._widgets = session, channel, widgets
        self._find = find
        self._number = 0
        self._is_showing = False
        self._counted: object = None
        self._which = widgets.select("Picture", [("0", "first")], self._choose_picture)
        self._bars = ColumnDataSource({"left": [], "right": [], "top": []})
        make: Any = figure
        self._figure: Any = make(
            height=72, sizing_mode="stretch_width", toolbar_location=None, tools="",
            x_range=Range1d(start=0, end=1), y_range=Range1d(start=0, end=1.02),
            min_border=0, outline_line_color=None, margin=(0, 14, 0, 14),
            css_classes=["dkv-histogram"], output_backend="canvas",
        )  # fmt: skip
        self._figure.axis.visible = self._figure.grid.visible = False
        self._figure.quad("left", "right", "top", 0, source=self._bars, fill_color="#4d4d4d",
                          line_color=None)  # fmt: skip
        self._shade = BoxAnnotation(fill_color="#0b57a4", fill_alpha=0.18, line_color="#0b57a4")
        self._figure.add_layout(self._shade)
        channel.label("dkv-histogram", role="img", aria_label="Histogram of the picture")
        self._slider = RangeSlider(
            start=0, end=1, value=(0, 1), step=1 / STEPS, title=None, show_value=False,
            sizing_mode="stretch_width", margin=(0, 14, 2, 14), tooltips=False,
            css_classes=["dkv-limits"], **widgets.look,
        )  # fmt: skip
        self._slider.on_change("value", self._on_slide)
        channel.label("dkv-limits", ".noUi-handle-lower", aria_label="Darkest value")
        channel.label("dkv-limits", ".noUi-handle-upper", aria_label="Brightest value")
        self._text = widgets.text()
        buttons = [
            widgets.button("Auto", lambda: self._set_limits(None), "Contrast that fits each frame"),
            widgets.button("Full", self._show_full, "Contrast from the least to the largest value"),
            widgets.button("\N{PLUS-MINUS SIGN}", self._make_symmetric, "Zero in the middle"),
        ]
        self._auto = buttons[0]
        maps = [("", "automatic"), *((name, name) for name in CMAPS)]
        self._cmap = widgets.select("Colours", maps, self._choose_cmap)
        self.root = widgets.column(
            widgets.heading("Contrast"), self._which, self._figure, self._slider, self._text,
            widgets.row(*buttons, margin=(0, 4, 0, 4)), self._cmap,
        )  # fmt: skip

    @property
    def _picture(self) -> PictureState | None:
        pictures = self._session.model.state.pictures
        return pictures[self._number] if self._number < len(pictures) else None

    def _drawn(self) -> Any:
        named = (one for one in self._find() if one.name == f"picture-{self._number}")
        return getattr(next(named, None), "drawn", None)

    # What it shows --------------------------------------------------------------------------

    def refresh(self) -> None:
        """Show the contrast and the colours of the picture as it is drawn now."""
        pictures = self._session.model.state.pictures
        if self._number >= len(pictures):
            self._number = 0
        self.root.visible = bool(pictures)
        names = [(str(n), f"{n + 1}") for n in range(len(pictures))] or [("0", "1")]
        self._which.visible = len(pictures) > 1
        self._widgets.show(self._which, str(self._number), names)
        picture, drawn = self._picture, self._drawn()
        if picture is None:
            return
        self._widgets.show(self._cmap, picture.cmap if picture.cmap in CMAPS else "")
        was = self._auto.button_type
        self._widgets.press(self._auto, picture.limits is None)
        if self._auto.button_type != was:
            # A button that is drawn anew has no name until the labels come again.
            self._channel.tell()
        if drawn is None or drawn is self._counted:
            return
        self._counted = drawn
        values = drawn.values.ravel()
        values = values[:: max(1, values.size // SAMPLED)]
        values = values[np.isfinite(values)]
        if values.size:
            self._show(values, drawn.limits, is_held=picture.limits is not None)

    def _show(
        self, values: NDArray[np.floating[Any]], limits: tuple[float, float], *, is_held: bool
    ) -> None:
        first, last = span_of(values, limits)
        if is_held:  # the handles stay under the hand that drags them
            first, last = min(first, self._slider.start), max(last, self._slider.end)
        counts, edges = histogram(values, (first, last))
        self._bars.data = {"left": edges[:-1], "right": edges[1:], "top": counts}
        self._figure.x_range.update(start=first, end=last)
        self._shade.update(left=limits[0], right=limits[1])
        self._is_showing = True
        try:
            self._slider.update(start=first, end=last, step=(last - first) / STEPS, value=limits)
        finally:
            self._is_showing = False
        unit = self._session.sources[self._picture.dataset if self._picture else 0].subject.unit
        plain = unit if self._picture is not None and self._picture.kind == "data" else ""
        low, high = (f"{end:.5g}" for end in limits)
        self._text.text = f"{low} to {high} {plain}"
        self._channel.label("dkv-limits", ".noUi-handle-lower", aria_valuetext=f"{low} {plain}")
        self._channel.label("dkv-limits", ".noUi-handle-upper", aria_valuetext=f"{high} {plain}")

    # What it changes ------------------------------------------------------------------------

    def change(self, **values: Any) -> None:
        """Change fields of the picture."""
        picture = self._picture
        if picture is not None:
            model = self._session.model
            model.set(model.state.with_picture(self._number, replace(picture, **values)))

    def step_cmap(self) -> None:
        """Show the next colour map."""
        if self._picture is not None:
            self.change(cmap=next_cmap(self._picture.cmap))

    def _set_limits(self, limits: tuple[float, float] | None) -> None:
        if limits is None or limits[0] < limits[1]:
            self.change(limits=limits)

    def _on_slide(self, attr: str, old: Any, new: Any) -> None:  # noqa: ARG002
        if not self._is_showing:
            self._set_limits((float(new[0]), float(new[1])))

    def _show_full(self) -> None:
        drawn = self._drawn()
        if drawn is not None and np.isfinite(drawn.values).any():
            self._set_limits((float(np.nanmin(drawn.values)), float(np.nanmax(drawn.values))))

    def _make_symmetric(self) -> None:
        drawn = self._drawn()
        if drawn is not None:
            self._set_limits(symmetric(drawn.limits))

    def _choose_picture(self, value: str) -> None:
        self._number = int(value)
        self._counted = None
        self.refresh()

    def _choose_cmap(self, value: str) -> None:
        self.change(cmap=value or None)

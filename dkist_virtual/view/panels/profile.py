"""Draw the profiles of the point and of pins: a spectrum, its Stokes parameters, a light curve."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
from bokeh.models import Column, Row
from bokeh.models.widgets import CheckboxButtonGroup

from dkist_virtual.plot.planes import labels_of
from dkist_virtual.view.panels.curves.figure import MOST_PINS, ProfileFigure, range_of
from dkist_virtual.view.panels.curves.units import Units
from dkist_virtual.view.panels.later import Later
from dkist_virtual.view.panels.plain_text import plain_div
from dkist_virtual.view.pictures.geometry import scale_along
from dkist_virtual.view.pictures.wavelengths import in_nm
from dkist_virtual.view.reading.kept import Readers
from dkist_virtual.view.reading.pixels import WAITING
from dkist_virtual.view.reading.profiles import ProfileReader, along_axis
from dkist_virtual.view.reading.wings import velocity

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dkist_virtual.view.pictures.geometry import Scale
    from dkist_virtual.view.reading.profiles import Profile
    from dkist_virtual.view.reading.reference import Reference
    from dkist_virtual.view.session import Session
    from dkist_virtual.view.source import Source
    from dkist_virtual.view.state.state import Point, ViewState

__all__ = ["ProfilePanel"]

OFTEN: Final = 25
"""Milliseconds between two places that the line is dragged to."""


class ProfilePanel:
    """The profiles through the point, along wavelength, or else time, with a plot for each Stokes.

    A click, or dragging, moves the point along that axis. Behind Stokes I is the reference
    spectrum: the mean of a sample of the field, or of the box. Gaps, where frames are absent, are
    hatched.
    """

    name = "profile"

    def __init__(self, session: Session) -> None:
        self._session = session
        subject = session.source.subject
        means = session.means
        self.along, self._stokes = means.along, means.stokes
        index = labels_of(subject.world, (self.along,))[self.along]
        middle = [float(pixel) for pixel in session.model.state.point]
        self.scale: Scale = scale_along(subject, self.along, index, middle)
        self._unit = "" if index is None else subject.world.axes[index].unit
        self.title = self.title_of(session.source)
        self._letters = self._letters_of(session.source)
        self._has_mean, self._intensity = not means.lacks, means.intensity
        self._readers = Readers(self._make_reader)
        self.profile: Profile | None = None
        """What is shown of the point."""
        self.reference: Reference | None = None
        self._pins: tuple[Profile, ...] = ()
        self._asked: object = None
        self._asked_pins: object = ()
        self._asked_mean: object = None
        self._make_figures()
        self._dragged = Later(self.root, OFTEN)

    @staticmethod
    def title_of(source: Source) -> str:
        """Name the panel of a dataset by the axis that its profiles run along."""
        world, (along, _) = source.subject.world, along_axis(source.subject)
        index = labels_of(world, (along,))[along]
        kind = "other" if index is None else world.axes[index].kind
        return {"wavelength": "Spectrum", "time": "Light curve"}.get(kind, "Profile")

    def _letters_of(self, source: Source) -> tuple[str, ...]:
        stated = source.subject.world.stokes()
        if self._stokes is None:
            return (stated[1][0],) if stated is not None and len(stated[1]) == 1 else ("",)
        return stated[1] if stated is not None else ("",) * source.shape[self._stokes]

    def _make_reader(self, tile: int) -> ProfileReader:
        return ProfileReader(self._session.source.subjects[tile], self.along)

    def _make_figures(self) -> None:
        shared, n = range_of(self.scale.values), len(self._letters)
        self.figures = [
            ProfileFigure(
                self.scale,
                shared,
                self._move,
                unit=self._unit,
                is_first=k == 0,
                is_last=k >= n - 2,
            )
            for k in range(n)
        ]
        self.options = CheckboxButtonGroup(
            labels=["Fractions of Ic", "Divide by mean"], active=[], margin=(2, 6, 2, 4),
            visible=self._has_mean,
        )  # fmt: skip
        self.options.on_change("active", lambda _attr, _old, new: self._choose(set(new)))
        self.read_out = plain_div(
            " ", margin=(2, 4, 2, 4), height=34,
            styles={"font-variant-numeric": "tabular-nums", "overflow": "hidden"},
        )  # fmt: skip
        self.message = plain_div(
            margin=(0, 4, 2, 4), styles={"color": "#7a0000"}, visible=False,
        )  # fmt: skip
        plots: list[Any] = [one.figure for one in self.figures]
        rows = [Row(children=plots[k : k + 2], sizing_mode="stretch_both") for k in range(0, n, 2)]
        self.root: Any = Column(
            children=[self.options, self.read_out, self.message, *rows],
            sizing_mode="stretch_both", css_classes=["dkv-profile"],
        )  # fmt: skip

    # What is shown ---------------------------------------------------------------------------

    def forget_absent(self) -> None:
        """Forget what was absent: the next `update` reads it again."""
        self._readers.forget_absent()
        self._session.means.forget_absent()
        self._asked = self._asked_mean = None
        self._asked_pins = ()

    @property
    def _state(self) -> ViewState:
        return self._session.model.state

    def update(self, before: ViewState | None, after: ViewState) -> None:
        """Read what another state needs; draw at once what is known."""
        own = (after.tile, self._without_own_axes(after.point))
        if own != self._asked:
            self._asked = own
            reader, point = self._readers.of(after.tile), after.point
            self._session.worker.read(
                self.name, lambda: reader.steps(point, self._intensity), self._show, self._fail
            )
        pins = (after.tile, tuple(map(self._without_own_axes, after.pins)))
        if pins != self._asked_pins:
            self._asked_pins = pins
            self._read_pins(after)
        self._update_mean(after)
        looks = (after.fractions, after.detrended, after.line)
        if before is None or looks != (before.fractions, before.detrended, before.line):
            self.options.active = [
                k for k, is_on in enumerate((after.fractions, after.detrended)) if is_on
            ]
            for one in self.figures:
                one.show_speeds(after.line if self.scale.kind == "wavelength" else None)
            self._draw()
        self._show_here()

    def _without_own_axes(self, point: Point) -> Point:
        own = (self.along, self._stokes)
        return tuple(0 if axis in own else pixel for axis, pixel in enumerate(point))

    def _read_pins(self, state: ViewState) -> None:
        reader, pins = self._readers.of(state.tile), state.pins[:MOST_PINS]

        def steps() -> Iterator[tuple[Profile, ...]]:
            read: list[Profile] = []
            for pin in pins:
                part = None
                for part in reader.steps(pin, self._intensity):
                    yield (*read, part)
                if part is not None:
                    read.append(part)
            yield tuple(read)

        self._session.worker.read(f"{self.name}-pins", steps, self._show_pins, self._fail)

    def _update_mean(self, state: ViewState) -> None:
        if not self._has_mean:
            return
        means = self._session.means
        asked = means.key(state)
        if asked == self._asked_mean:
            return
        self._asked_mean = asked
        self._session.worker.read(
            f"{self.name}-mean",
            lambda: means.steps(state),
            self._show_mean,
            self._fail,
            is_patient=True,
        )

    def _show(self, profile: Profile) -> None:
        self.profile = profile
        self._say_faults()
        self._draw()

    def _show_pins(self, pins: tuple[Profile, ...]) -> None:
        self._pins = pins
        self._draw_pins(self._units())

    def _show_mean(self, reference: Reference) -> None:
        self.reference = reference
        self._say_faults()
        self._draw()

    def _say_faults(self) -> None:
        read = [one for one in (self.profile, self.reference) if one is not None]
        self._say(next((one.fault for one in read if one.fault), ""))

    def _fail(self, error: Exception) -> None:
        self._say(str(error))

    def _say(self, text: str) -> None:
        self.message.update(text=text, visible=bool(text))

    def _units(self) -> Units:
        state, mean = self._state, self.reference
        return Units(
            self._session.source.subject.unit.replace("\\$", "$"),
            state.fractions and self._has_mean,
            state.detrended and self._has_mean,
            None if mean is None else mean.values,
        )

    def _draw(self) -> None:
        units = self._units()
        if self.profile is not None:
            values = units.values(self.profile.values, self._intensity)
            for one, row, marks in zip(self.figures, values, self.profile.marks, strict=True):
                one.show(row, marks)
        for one, letter in zip(self.figures, self._letters, strict=True):
            one.name(units.label(letter or self._session.source.subject.quantity or "data"))
        self.figures[self._intensity].show_mean(units.drawn_reference())
        self._draw_pins(units)
        self._show_here()

    def _draw_pins(self, units: Units) -> None:
        pins = [units.values(pin.values, self._intensity) for pin in self._pins]
        for number, one in enumerate(self.figures):
            one.show_pins([values[number] for values in pins])

    def _show_here(self) -> None:
        pixel = self._state.point[self.along]
        at = float(self.scale.values[pixel])
        for one in self.figures:
            one.show_here(at)
        self.read_out.text = self._text(pixel, at)

    def _text(self, pixel: int, at: float) -> str:
        """Write where the line is, and the values there."""
        parts = []
        if self.scale.kind == "wavelength":
            parts.append(f"{at:.4f} {self._unit}".rstrip())
            known = in_nm(at, self._unit)
            if self._state.line is not None and known is not None:
                speed = round(float(velocity(known, self._state.line)), 2) + 0.0  # no minus zero
                parts.append(f"{speed:+.2f} km/s".replace("-", "\N{MINUS SIGN}"))
        if self.profile is not None:
            units = self._units()
            values = units.values(self.profile.values, self._intensity)[:, pixel]
            for letter, value, mark in zip(
                self._letters, values, self.profile.marks[:, pixel], strict=True
            ):
                said = (
                    "..."
                    if mark == WAITING
                    else "-"
                    if np.isnan(value)
                    else f"{value:.3g}"
                    if abs(value) < 1000
                    else f"{value:.0f}"
                )
                parts.append(f"{letter} {said}".strip())
        if self.reference is not None and self.reference.pixels:
            parts.append(f"(grey: {self.reference.text})")
        return " \N{MIDDLE DOT} ".join(parts)

    # What is done to it ----------------------------------------------------------------------

    def _move(self, x: float | None) -> None:
        if x is None or not np.isfinite(x):
            return
        pixel = int(np.nanargmin(np.abs(self.scale.values - x)))
        model = self._session.model
        self._dragged.call(lambda: model.set(model.state.moved(self.along, pixel)))

    def _choose(self, chosen: set[int]) -> None:
        self._session.model.change(fractions=0 in chosen, detrended=1 in chosen)

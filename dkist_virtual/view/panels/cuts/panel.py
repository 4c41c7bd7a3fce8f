"""Draw cuts through the data: wavelength and time of a pixel, time or wavelength along a path."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from dkist_virtual.plot.planes import labels_of
from dkist_virtual.view.panels.cuts.along_path import AlongPath
from dkist_virtual.view.panels.cuts.division import (
    CutRequest,
    is_divided,
    read_in_units,
    why_not,
)
from dkist_virtual.view.panels.cuts.figure import CutFigure
from dkist_virtual.view.pictures.geometry import scale_along
from dkist_virtual.view.reading.cuts import CutReader
from dkist_virtual.view.reading.kept import Readers

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from dkist_virtual.view.panels.curves.units import Units
    from dkist_virtual.view.pictures.geometry import Scale
    from dkist_virtual.view.reading.cuts import Cut
    from dkist_virtual.view.session import Session
    from dkist_virtual.view.state.state import Point, ViewState

__all__ = ["PathTimePanel", "PathWavelengthPanel", "WavelengthTimePanel"]


@dataclass(frozen=True, eq=False)
class _Shown:
    """A cut with its scales, to the right and upwards."""

    cut: Cut
    right: Scale
    up: Scale
    units: Units
    note: str = ""
    path: AlongPath | None = None


@dataclass(frozen=True, eq=False)
class _Plan:
    """What is read for a cut, with its scales; `is_turned` where its columns are drawn upwards."""

    request: CutRequest
    right: Scale
    up: Scale
    path: AlongPath | None = None
    is_turned: bool = False


class _CutPanel:
    """What the panels of cuts share: reading, messages, and lines at the point."""

    name = ""
    title = ""
    is_time = (False, False)

    def __init__(self, session: Session) -> None:
        self._session = session
        self._readers = Readers(lambda tile: CutReader(session.source.subjects[tile]))
        self.canvas = CutFigure(self.is_time, self._move)
        self.root: Any = self.canvas.figure
        self.root.css_classes = ["dkv-cut"]
        self.shown: _Shown | None = None
        """What is drawn; None where there is nothing."""
        self._asked: object = ()

    def forget_absent(self) -> None:
        """Forget what was absent: the next `update` reads it again."""
        self._readers.forget_absent()
        self._session.means.forget_absent()
        self._asked = ()

    @property
    def _state(self) -> ViewState:
        return self._session.model.state

    def update(self, before: ViewState | None, after: ViewState) -> None:  # noqa: ARG002
        """Read the cut of another state; move the lines at the point."""
        asked, hint = self._wanted(after)
        if asked is not None and is_divided(after):
            asked = asked, after.fractions, after.detrended, self._session.means.key(after)
        if asked != self._asked:
            self._asked = asked
            self.shown = None
            if asked is None:
                self.canvas.clear()
                self.canvas.say(hint)
                self._session.worker.read(self.name, lambda: iter(()), self._show, self._fail)
            else:
                self._session.worker.read(
                    self.name, lambda: self._steps(after), self._show, self._fail,
                    is_patient=True,
                )  # fmt: skip
        self._show_here()

    def _wanted(self, state: ViewState) -> tuple[object, str]:
        """Return what the cut depends on, or None and what to do for a cut."""
        raise NotImplementedError

    def _plan(self, state: ViewState) -> _Plan | None:
        """Return what is to be read for a state; called in a thread."""
        raise NotImplementedError

    def _steps(self, state: ViewState) -> Iterator[_Shown | None]:
        plan = self._plan(state)
        if plan is None:
            return
        source, means = self._session.source, self._session.means
        unit, lacks = source.subject.unit, why_not(means, source.roles.wavelength)
        for one in read_in_units(plan.request, state, means, unit.replace("\\$", "$"), lacks):
            if one is None:
                yield None
                continue
            cut = one.cut.transposed() if plan.is_turned else one.cut
            yield _Shown(cut, plan.right, plan.up, one.units, one.note, plan.path)

    def _places(self) -> tuple[float | None, float | None]:
        """Return where the point is, right and up."""
        raise NotImplementedError

    def _move(self, x: float | None, y: float | None) -> None:
        raise NotImplementedError

    def _show(self, shown: _Shown) -> None:
        self.shown = shown
        subject, letter = self._session.source.subject, self._letter()
        label = shown.units.label(letter or subject.quantity or "data")
        is_signed = letter in ("Q", "U", "V") or subject.is_signed
        self.canvas.show(shown.cut, shown.right, shown.up, label, is_signed=is_signed)
        self.canvas.say(". ".join(filter(None, (shown.cut.fault, shown.note))))
        self._show_here()

    def _fail(self, error: Exception) -> None:
        self.canvas.say(str(error))

    def _show_here(self) -> None:
        if self.shown is not None:
            self.canvas.show_here(*self._places())

    def _letter(self) -> str:
        """Return the Stokes parameter of the point; empty where none is stated."""
        source = self._session.source
        stated, axis = source.subject.world.stokes(), source.roles.stokes
        if stated is None:
            return ""
        return stated[1][self._state.point[axis] if axis is not None else 0]

    def _scale(self, tile: int, axis: int, point: Sequence[int]) -> Scale:
        subject = self._session.source.subjects[tile]
        index = labels_of(subject.world, (axis,))[axis]
        return scale_along(subject, axis, index, [float(pixel) for pixel in point])


class WavelengthTimePanel(_CutPanel):
    """Wavelength to the right and time upwards, of the pixel that was pinned last.

    Without a pin it is that of the point, once it is locked. A click moves the point.
    """

    name = "wavelength-time"
    title = "Wavelength and time"
    is_time = (False, True)

    def _axes(self) -> tuple[int, int]:
        roles = self._session.source.roles
        assert roles.wavelength is not None
        assert roles.time is not None
        return roles.wavelength, roles.time

    def _pixel(self, state: ViewState) -> Point:
        """Return the pixel that is cut: that of the last pin, in the point's Stokes parameter."""
        if not state.pins:
            return state.point
        pixel, stokes = list(state.pins[-1]), self._session.source.roles.stokes
        if stokes is not None:
            pixel[stokes] = state.point[stokes]
        return tuple(pixel)

    def _wanted(self, state: ViewState) -> tuple[object, str]:
        if not state.pins and not state.is_locked:
            return None, "Pin a pixel (p), or lock the point (l)"
        pixel = self._pixel(state)
        own = tuple(0 if axis in self._axes() else at for axis, at in enumerate(pixel))
        return (state.tile, own), ""

    def _plan(self, state: ViewState) -> _Plan:
        (wavelength, time), pixel = self._axes(), list(self._pixel(state))
        pixel[time], pixel[wavelength] = state.point[time], state.point[wavelength]
        right, up = (self._scale(state.tile, axis, pixel) for axis in (wavelength, time))
        reader = self._readers.of(state.tile)

        def read(point: Point, only: range | None) -> Iterator[Cut]:
            return reader.plane(point, time, wavelength, only)

        return _Plan(CutRequest(tuple(pixel), read, along=1), right, up)

    def _places(self) -> tuple[float | None, float | None]:
        assert self.shown is not None
        (wavelength, time), point = self._axes(), self._state.point
        return (
            float(self.shown.right.values[point[wavelength]]),
            float(self.shown.up.values[point[time]]),
        )

    def _move(self, x: float | None, y: float | None) -> None:
        if self.shown is None or x is None or y is None:
            return
        state = self._state
        for axis, scale, at in zip(
            self._axes(), (self.shown.right, self.shown.up), (x, y), strict=True
        ):
            state = state.moved(axis, _nearest(scale, at))
        self._session.model.set(state)


class _PathPanel(_CutPanel):
    """A cut along the path that was drawn on the main picture, and along another axis.

    Its values are those of the pixels nearest to the path, a pixel apart: none is interpolated.
    """

    other = ""
    is_upwards = False
    """Whether the other axis runs upwards, and the distance to the right."""

    def _along(self) -> int:
        axis: int | None = getattr(self._session.source.roles, self.other)
        assert axis is not None
        return axis

    def _wanted(self, state: ViewState) -> tuple[object, str]:
        if len(state.path) < 2 or not state.pictures:
            return None, "Draw a path on the main picture"
        picture, along = state.pictures[0], self._along()
        if picture.dataset or along in picture.axes:
            return None, f"Draw a path on a picture without {self.other}"
        own = tuple(
            0 if axis in (*picture.axes, along) else at for axis, at in enumerate(state.point)
        )
        return (state.tile, own, picture.axes, state.path), ""

    def _plan(self, state: ViewState) -> _Plan | None:
        along = self._along()
        path = AlongPath.of(self._session.source, state)
        if path is None:
            return None
        scale = self._scale(state.tile, along, state.point)
        reader, is_spectrum = self._readers.of(state.tile), self.other == "wavelength"

        def read(point: Point, only: range | None) -> Iterator[Cut]:
            return reader.path(point, path.samples, path.axes, along, only)

        request = CutRequest(state.point, read, along=0 if is_spectrum else None)
        if self.is_upwards:
            return _Plan(request, path.scale, scale, path)
        return _Plan(request, scale, path.scale, path, is_turned=True)

    def _places(self) -> tuple[float | None, float | None]:
        assert self.shown is not None
        pixel = self._state.point[self._along()]
        scale = self.shown.up if self.is_upwards else self.shown.right
        at = float(scale.values[pixel])
        return (None, at) if self.is_upwards else (at, None)

    def _move(self, x: float | None, y: float | None) -> None:
        if self.shown is None or self.shown.path is None or x is None or y is None:
            return
        away, other = (x, y) if self.is_upwards else (y, x)
        path = self.shown.path
        scale = self.shown.up if self.is_upwards else self.shown.right
        state = self._state.moved(self._along(), _nearest(scale, other))
        pixels = path.samples.pixels[_nearest(path.scale, away)].tolist()
        for axis, pixel in zip(path.axes, pixels, strict=True):
            state = state.moved(axis, pixel)
        self._session.model.set(state)


class PathTimePanel(_PathPanel):
    """Distance along the path to the right, and time upwards."""

    name = "path-time"
    title = "Time along the path"
    other, is_upwards, is_time = "time", True, (False, True)


class PathWavelengthPanel(_PathPanel):
    """Wavelength to the right, and distance along the path upwards."""

    name = "path-wavelength"
    title = "Spectrum along the path"
    other = "wavelength"


def _nearest(scale: Scale, at: float) -> int:
    return int(np.nanargmin(np.abs(scale.values - at)))

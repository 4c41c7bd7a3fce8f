"""Choose what a page shows: a second picture, the line that velocities count from, panels."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from dkist_virtual.view.page.second import choices, chosen, with_second
from dkist_virtual.view.panels.choose import open_panels, panel_titles

if TYPE_CHECKING:
    from bokeh.models.widgets import Button

    from dkist_virtual.view.page.widgets import Widgets
    from dkist_virtual.view.session import Session
    from dkist_virtual.view.state.state import ViewState

__all__ = ["Choices", "lines_within"]


def lines_within(session: Session) -> list[tuple[str, float]]:
    """Return the lines whose wavelengths the main dataset has, in the order of wavelength."""
    source = session.source
    axis = source.subject.world.of_kind("wavelength")
    if axis is None or source.roles.wavelength is None:
        return []
    at: list[Any] = [*source.middle()]
    n = source.shape[source.roles.wavelength]
    at[source.roles.wavelength] = np.array([0.0, n - 1.0])
    from dkist_virtual.view.pictures.wavelengths import in_nm

    ends = in_nm(source.subject.world.values(*at)[axis.index], axis.unit)
    if ends is None:
        return []
    low, high = float(np.min(ends)), float(np.max(ends))
    inside = [line for line in session.lines if low <= line[1] <= high]
    return sorted(inside, key=lambda line: line[1])


class Choices:
    """Lists from which a page's second picture, line and panels are chosen."""

    def __init__(self, session: Session, widgets: Widgets) -> None:
        self._session, self._widgets = session, widgets
        model = session.model
        self._second = widgets.select("Second picture", [("none", "none")], self._choose_second)
        roles = session.source.roles
        names = session.source.axes.names
        self._ahead = {
            axis: widgets.spinner(f"{names[axis]} ahead by", partial(self._lag, axis))
            for axis in (roles.wavelength, roles.stepped)
            if axis is not None
        }
        lines = lines_within(session)
        self._known_lines = [("", "no line"), *((repr(nm), name) for name, nm in lines)]
        self._lines = widgets.select(
            "Velocities from", self._known_lines,
            lambda value: model.change(line=float(value) if value else None),
        )  # fmt: skip
        self._lines.visible = bool(lines)
        self._panels: dict[str, Button] = {
            name: widgets.button(title, partial(self._toggle, name))
            for name, title in panel_titles(session.sources).items()
        }
        self._lags = widgets.row(*self._ahead.values(), css_class="dkv-wrap")
        shown: list[Any] = [
            widgets.heading("Pictures"), self._second, self._lags, self._lines,
        ]  # fmt: skip
        if self._panels:
            row = widgets.row(*self._panels.values(), css_class="dkv-wrap")
            shown += [widgets.heading("Panels"), row]
        self.root = widgets.column(*shown)

    def update(self, before: ViewState | None, after: ViewState) -> None:
        """Show what another state has chosen."""
        if before is not None and (before.pictures, before.line, before.panels) == (
            after.pictures, after.line, after.panels,
        ):  # fmt: skip
            return
        found = choices(self._session.sources, after)
        self._second.visible = len(found) > 1
        now = chosen(found, self._session.source, after)
        names = [(one.name, one.name) for one in found]
        if now is None:
            names.append(("another", "another"))
        self._widgets.show(self._second, "another" if now is None else now.name, names)
        second = after.pictures[1] if len(after.pictures) > 1 else None
        self._lags.visible = second is not None and second.dataset == 0
        for axis, spinner in self._ahead.items():
            self._widgets.show_number(spinner, dict(second.lag).get(axis, 0) if second else 0)
        line = "" if after.line is None else repr(after.line)
        if line not in (value for value, _ in self._known_lines):
            self._known_lines.append((line, f"{after.line} nm"))
        self._widgets.show(self._lines, line, self._known_lines)
        opened = open_panels(after, self._session.sources)
        for name, button in self._panels.items():
            self._widgets.press(button, name in opened)

    def _choose_second(self, name: str) -> None:
        model = self._session.model
        found = choices(self._session.sources, model.state)
        for one in found:
            if one.name == name:
                model.set(with_second(model.state, one.picture))

    def _lag(self, axis: int, by: int) -> None:
        state = self._session.model.state
        if len(state.pictures) < 2:
            return
        most = self._session.source.shape[axis] - 1
        lag = dict(state.pictures[1].lag) | {axis: min(max(by, -most), most)}
        kept = tuple((axis, by) for axis, by in sorted(lag.items()) if by)
        second = replace(state.pictures[1], lag=kept)
        self._session.model.set(state.with_picture(1, second))

    def _toggle(self, name: str) -> None:
        model = self._session.model
        now = open_panels(model.state, self._session.sources)
        panels = {*now} ^ {name}
        ordered = tuple(one for one in self._panels if one in panels)
        at_first = open_panels(replace(model.state, panels=None), self._session.sources)
        model.set(replace(model.state, panels=None if ordered == at_first else ordered))

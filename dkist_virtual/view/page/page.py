"""Lay out the panels of a page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dkist_virtual.view.session import Session
    from dkist_virtual.view.state.state import ViewState

__all__ = ["build_page"]


def build_page(session: Session) -> Any:
    """Build a page: its panels, with a slider for each axis that no picture draws."""
    import panel as pn

    from dkist_virtual.view.panels.choose import make_panels

    panels = make_panels(session)
    model = session.model

    def update(before: ViewState | None, after: ViewState) -> None:
        for panel in panels:
            panel.update(before, after)

    model.on_change(update)
    sliders: list[Any] = []
    drawn = {axis for picture in model.state.pictures for axis in picture.axes}
    for axis, n in enumerate(session.source.shape):
        if n > 1 and axis not in drawn:
            slider = pn.widgets.IntSlider(  # type: ignore[no-untyped-call]
                name=session.source.subject.axis_names[axis], end=n - 1,
                value=model.state.point[axis],
            )  # fmt: skip
            slider.param.watch(
                lambda event, axis=axis: model.set(model.state.moved(axis, event.new)), "value"
            )
            sliders.append(slider)
    update(None, model.state)
    return pn.Column(*[panel.root for panel in panels], *sliders, sizing_mode="stretch_both")

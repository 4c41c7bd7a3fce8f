"""Draw a picture: a plane of the data through the point."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from bokeh.models import LinearColorMapper
from bokeh.palettes import Greys256
from bokeh.plotting import figure

from dkist_virtual.plot.image import block_mean, limits
from dkist_virtual.plot.planes import PlaneReader, ShownAxes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dkist_virtual.view.session import Session
    from dkist_virtual.view.state.state import ViewState

__all__ = ["PicturePanel"]


class PicturePanel:
    """A picture of the page, by its number among the state's."""

    def __init__(self, session: Session, number: int) -> None:
        self.name, self.title = f"picture-{number}", "Picture"
        self._session, self._number = session, number
        self.root: Any = figure(
            name=self.name, sizing_mode="stretch_both", min_height=300, output_backend="canvas"
        )
        draw: Any = self.root.image
        self._image: Any = draw(
            image=[np.zeros((1, 1), np.uint8)], x=0, y=0, dw=1, dh=1,
            color_mapper=LinearColorMapper(palette=Greys256, low=0, high=255),
        )  # fmt: skip

    def update(self, before: ViewState | None, after: ViewState) -> None:
        """Read the plane of a state, and draw it."""
        if before is not None and before.pictures == after.pictures and before.point == after.point:
            return
        picture = after.pictures[self._number]
        subject = self._session.sources[picture.dataset].subject
        shape = subject.world.shape
        x, y = picture.axes
        shown = ShownAxes(x, y, (), len(shape))
        at = picture.at(after.point, shape)

        def steps() -> Iterator[dict[str, Any]]:
            plane = PlaneReader(subject.data, subject.mask, shown, keep=0, convert=subject.convert)
            pixels = plane.read(at).pixels
            ny, nx = (max(1, n // 600) for n in pixels.shape)
            small: Any = block_mean(pixels, ny, nx)
            low, high = limits(small, signed=subject.is_signed)
            levels = np.clip((small - low) / (high - low) * 255, 0, 255).astype(np.uint8)
            yield {
                "image": [levels], "x": [-0.5], "y": [-0.5],
                "dw": [pixels.shape[1]], "dh": [pixels.shape[0]],
            }  # fmt: skip

        self._session.worker.read(self.name, steps, self._show, self._fail)

    def _show(self, data: dict[str, Any]) -> None:
        self._image.data_source.data = data

    def _fail(self, error: Exception) -> None:
        self.root.title = str(error)

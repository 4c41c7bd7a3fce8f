"""Place the samples of the path of a state, and measure it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from dkist_virtual.view.pictures.geometry import Scale, geometry_of
from dkist_virtual.view.pictures.lengths import path_length
from dkist_virtual.view.reading.path_samples import PathSamples

if TYPE_CHECKING:
    from dkist_virtual.view.source import Source
    from dkist_virtual.view.state.state import ViewState

__all__ = ["AlongPath"]


@dataclass(frozen=True, eq=False)
class AlongPath:
    """The samples of a path that was drawn on the main picture.

    Parameters
    ----------
    axes : (int, int)
        The array axes of the path, ascending.
    samples : PathSamples
    scale : Scale
        The distance of each sample from the first corner, in the unit of the sky, or in pixels.
    """

    axes: tuple[int, int]
    samples: PathSamples
    scale: Scale

    @classmethod
    def of(cls, source: Source, state: ViewState) -> AlongPath | None:
        """Place samples along the path of a state; None where it has fewer than two in the data."""
        if len(state.path) < 2 or not state.pictures or state.pictures[0].dataset:
            return None
        picture = state.pictures[0].axes
        at = [float(pixel) for pixel in state.point]
        geometry = geometry_of(source.subjects[state.tile], picture, at)
        corners = geometry.pixels(*np.asarray(state.path, float).T).T
        if picture[0] > picture[1]:
            corners = corners[:, ::-1]
        axes = (min(picture), max(picture))
        samples = PathSamples.along(corners, [source.shape[axis] for axis in axes])
        if len(samples) < 2:
            return None
        pixels = float(np.hypot(*np.diff(corners, axis=0).T).sum())
        length = path_length(state.path, geometry)
        unit = "pixel" if length is None else source.subject.world.axes[_sky(source)].unit
        distance = samples.distance * ((pixels if length is None else length) / pixels)
        return cls(axes, samples, Scale(f"distance [{unit}]", distance, "distance"))


def _sky(source: Source) -> int:
    axis = source.subject.world.of_kind("longitude")
    return 0 if axis is None else axis.index

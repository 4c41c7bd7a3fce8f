"""Name the axes of a dataset and write where a point is: one name and one counting for all panels.

A coordinate comes first, and then the pixel, which counts from 0 as in Python.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from dkist_virtual.plot.planes import labels_of
from dkist_virtual.plot.ticks import coordinate_along
from dkist_virtual.view.pictures.geometry import coordinate_name

if TYPE_CHECKING:
    from dkist_virtual.cube.world_axes import World, WorldAxis
    from dkist_virtual.plot.planes import Subject
    from dkist_virtual.view.state.state import Point

__all__ = ["AxisTexts", "coordinate_text", "pixel_text"]


def pixel_text(pixel: int, n: int) -> str:
    """Write a pixel of an axis: from 0, and of how many."""
    return f"{pixel} of 0\N{EN DASH}{n - 1}"


def coordinate_text(
    world: World, axis: WorldAxis, value: float, step: float | None = None, *, has_day: bool = True
) -> str:
    """Write a coordinate with its unit; `step` is the distance of pixels, see `World.text`."""
    text = world.text(axis, value, step)
    if axis.kind != "time":
        return text
    day, _, clock = text.rpartition("T")
    return f"{day} {clock} UTC" if day and has_day else f"{clock} UTC"


class AxisTexts:
    """The names of a dataset's axes, and the coordinates along them.

    An axis has the name of its coordinate. A raster has the array's own: its positions have times,
    and so have its repeats.

    Parameters
    ----------
    subjects : tuple of Subject
        Of each tile: names are those of the first one.
    raster : int or None
        The axis along which a slit moves.
    at : Point
        Where coordinates are evaluated to find how finely they are to be written.

    Attributes
    ----------
    names : tuple of str
        One for each axis of the array.
    """

    def __init__(self, subjects: tuple[Subject, ...], raster: int | None, at: Point) -> None:
        self._subjects = subjects
        subject, world = subjects[0], subjects[0].world
        self._index = labels_of(world, range(len(world.shape)))
        self._steps: dict[int, float | None] = {}
        own = [name or f"axis {axis}" for axis, name in enumerate(subject.axis_names)]
        names = list(own)
        for axis, index in self._index.items():
            along = coordinate_along(world, axis, index, at)
            self._steps[axis] = None if along is None else along.step
            if along is not None and axis != raster:
                names[axis] = coordinate_name(subject, along.axis)
        # The texts of a subject are those of figures, in which dollars begin formulas.
        plain = (name.replace("\\$", "$") for name in _without_twins(names, own))
        self.names = tuple(plain)

    def at(self, point: Point, tile: int = 0, *, has_day: bool = True) -> list[str]:
        """Write the coordinate of a point along each axis; an empty text where there is none."""
        world = self._subjects[tile].world
        values = world.values(*map(float, point))
        texts = []
        for axis, index in self._index.items():
            if index is None:
                texts.append("")
                continue
            value, step = float(values[index]), self._steps[axis]
            texts.append(coordinate_text(world, world.axes[index], value, step, has_day=has_day))
        return texts


def _without_twins(names: list[str], own: list[str]) -> list[str]:
    """Give axes of the same name those of the array, or numbers where these are the same too."""
    for others in (own, [f"axis {axis}" for axis in range(len(own))]):
        count = Counter(names)
        names = [
            other if count[name] > 1 else name for name, other in zip(names, others, strict=True)
        ]
    return names

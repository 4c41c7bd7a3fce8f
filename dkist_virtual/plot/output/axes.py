"""Choose the axis that a movie steps along, and the pixels; write a frame's coordinates."""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from dkist_virtual.errors import SelectionError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dkist_virtual.plot.output.scene import Scene

__all__ = ["axis_of", "chosen_steps", "frame_text", "heading", "slider_texts"]

_STAMPED: Final = ("stokes", "wavelength", "time")
_NAMED: Final = ("longitude", "latitude", "other")


def axis_of(plot: Scene, axis: str | int | None, what: str = "axis") -> int:
    """Find the axis of the array that is named: by its coordinate, its name or its number.

    None is the only slider, or else that of the time.

    Raises
    ------
    SelectionError
        No slider, or several, are meant.
    """
    sliding = plot.shown.sliding
    if not sliding:
        raise SelectionError(
            f"{what}: this plot has no sliders: there is a single plane. Plot a selection with "
            "more axes"
        )
    if axis is None:
        if len(sliding) == 1:
            return sliding[0]
        axis = "time"
    if not isinstance(axis, str):
        try:
            number = operator.index(axis)
        except TypeError:
            raise TypeError(f"{what} = {axis!r}: expected a name or a number") from None
        number += len(plot.subject.world.shape) * (number < 0)
        if number not in sliding:
            raise SelectionError(f"{what} = {axis}: expected {_listed(plot)}")
        return number
    found = [one for one in sliding if plot.subject.axis_names[one] == axis]
    found = found or [one for one in sliding if plot._kind_of(one) == axis]
    if len(found) == 1:
        return found[0]
    if found:
        raise SelectionError(
            f"{what} = {axis!r}: {len(found)} sliders change it. Expected one of them: "
            f"{_listed(plot, found)}"
        )
    raise SelectionError(f"{what} = {axis!r}: no slider is that. Expected {_listed(plot)}")


def _listed(plot: Scene, axes: Sequence[int] | None = None) -> str:
    """List sliders by coordinate, number and name."""
    texts = []
    for axis in plot.shown.sliding if axes is None else axes:
        names = [repr(plot._kind_of(axis))] * bool(plot._kind_of(axis)) * (axes is None)
        names.append(repr(plot.subject.axis_names[axis]))
        texts.append(" or ".join([*dict.fromkeys(names), str(axis)]))  # they may be the same
    return "; ".join(texts)


def chosen_steps(n: int, steps: Any) -> list[int]:
    """List the pixels of an axis of `n` that are chosen by a slice, a range or a list.

    Raises SelectionError if a pixel is not on the axis, or no pixel is left.
    """
    if steps is None:
        return list(range(n))
    if isinstance(steps, slice):
        chosen = list(range(n))[steps]
    else:
        if isinstance(steps, (str, bytes)) or not np.iterable(steps):
            raise TypeError(
                f"steps = {steps!r}: expected a slice, a range or a list of pixels along the axis"
            )
        chosen = [operator.index(one) for one in steps]
        for one in chosen:
            if not -n <= one < n:
                raise SelectionError(f"steps: pixel {one} is out of range for an axis of {n}")
        chosen = [one % n for one in chosen]
    if not chosen:
        raise SelectionError(f"steps = {steps!r}: leaves none of {n} pixels")
    return chosen


def frame_text(plot: Scene, axis: int | None) -> str:
    """Write the coordinates of the plane that is shown: those that change along an axis, and time.

    Time is that of the middle of what is drawn, in UTC.
    """
    values, world = plot._values(plot._point()), plot.subject.world
    words = {"stokes": "Stokes {}", "time": "{} UTC"}
    changing = {one.kind for one in world.axes if axis in one.array_axes}
    texts = {
        one.kind: words.get(one.kind, "{}").format(world.text(one, values[one.index]))
        for one in world.axes
        if one.array_axes and (one.kind in changing or one.kind == "time")
    }
    parts = [texts[kind] for kind in _STAMPED if kind in texts]
    if axis is not None and not changing & set(_STAMPED):
        parts.insert(0, slider_texts(plot, [axis]))
    return "  ".join(parts)


def slider_texts(plot: Scene, axes: Sequence[int], *, timed: bool = True) -> str:
    """Write the values of some sliders for a title; without the time if it is written elsewhere."""
    values, texts = plot._values(plot._point()), []
    for axis in axes:
        index, n = plot._written_by.get(axis), plot.subject.world.shape[axis]
        text = plot._coordinate_text(axis, values)
        kind = None if index is None else plot.subject.world.axes[index].kind
        if kind == "time" and not timed:
            text = ""
        if kind == "stokes":
            text = f"Stokes {text}"
        elif kind in _NAMED:
            text = f"{plot._name(axis)} {text}"
        if not text and kind == "time":
            text = f"{plot.subject.axis_names[axis]} {plot.position[axis] + 1} of {n}"
        texts.append(text or f"{plot._name(axis)} {plot.position[axis] + 1} of {n}")
    return ", ".join(texts)


def heading(plot: Scene, sliders: str = "") -> str:
    """Write in one line what a title says: the dataset, and its coordinates and sliders."""
    held = ", ".join(filter(None, [*plot.subject.held_texts().values(), sliders]))
    return "  ".join(filter(None, [plot.subject.title, held]))

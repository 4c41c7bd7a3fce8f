"""Check that a state is one of some datasets: pixels, axes, numbers and names that they have."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from dkist_virtual.errors import SelectionError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dkist_virtual.view.source import Source
    from dkist_virtual.view.state.state import Bounds, PictureState, Point, ViewState

__all__ = ["check_state"]

PICTURES: Final = 4
PINS: Final = 50
CORNERS: Final = 200


def check_state(state: ViewState, sources: Sequence[Source]) -> None:
    """Refuse a state that these datasets do not have, with a SelectionError in one sentence."""
    shape = sources[0].shape
    _check_point("point", state.point, shape)
    for pin in state.pins:
        _check_point("pins", pin, shape)
    _check_count("pins", len(state.pins), 0, PINS)
    _check_count("pictures", len(state.pictures), 0 if len(shape) == 1 else 1, PICTURES)
    for number, picture in enumerate(state.pictures, 1):
        _check_picture(f"picture{number}.", picture, sources)
    if state.box is not None:
        _check_bounds("box", state.box)
    _check_ranges(state.ranges, shape)
    _check_count("path", len(state.path), 0, CORNERS)
    for corner in state.path:
        _check_finite("path", corner)
    if not 0 <= state.tile < len(sources[0].tiles):
        raise _refused("tile", state.tile, f"0 to {len(sources[0].tiles) - 1}")
    if state.line is not None and not 0 < state.line < math.inf:
        raise _refused("line", state.line, "a wavelength in nm, more than 0")
    if not 0 < state.wing < math.inf:
        raise _refused("wing", state.wing, "a velocity in km/s, more than 0")
    for panel in state.panels or ():
        if not panel.replace("_", "").replace("-", "").isalnum() or not panel.isascii():
            raise _refused("panels", panel, "names of panels: letters, digits and -")


def _refused(name: str, found: object, expected: str) -> SelectionError:
    return SelectionError(f"view: {name} = {found!r}: expected {expected}")


def _check_count(name: str, n: int, least: int, most: int) -> None:
    if not least <= n <= most:
        raise _refused(name, n, f"{least} to {most} of them")


def _check_finite(name: str, values: tuple[float, ...]) -> None:
    if not all(map(math.isfinite, values)):
        raise _refused(name, values, "finite numbers")


def _check_point(name: str, point: Point, shape: tuple[int, ...]) -> None:
    if len(point) != len(shape):
        raise _refused(name, point, f"{len(shape)} pixels, as the shape is {shape}")
    for axis, pixel in enumerate(point):
        _check_pixel(name, axis, pixel, shape)


def _check_axis(name: str, axis: int, shape: tuple[int, ...]) -> None:
    if not 0 <= axis < len(shape):
        raise _refused(name, axis, f"an axis, 0 to {len(shape) - 1}, as the shape is {shape}")


def _check_pixel(name: str, axis: int, pixel: int, shape: tuple[int, ...]) -> None:
    _check_axis(name, axis, shape)
    if not 0 <= pixel < shape[axis]:
        raise _refused(
            name, pixel, f"0 to {shape[axis] - 1} along axis {axis}, as the shape is {shape}"
        )


def _check_bounds(name: str, bounds: Bounds) -> None:
    _check_finite(name, bounds)
    left, right, bottom, top = bounds
    if left == right or bottom == top:
        raise _refused(name, bounds, "left, right, bottom and top of more than a line")


def _check_picture(name: str, picture: PictureState, sources: Sequence[Source]) -> None:
    if not 0 <= picture.dataset < len(sources):
        raise _refused(f"{name}dataset", picture.dataset, f"one of {len(sources)}, from 0")
    shape = sources[picture.dataset].shape
    for axis in picture.axes:
        _check_axis(f"{name}axes", axis, shape)
    for axis, pixel in picture.held:
        _check_pixel(f"{name}held", axis, pixel, shape)
    for axis, by in picture.lag:
        _check_axis(f"{name}lag", axis, shape)
        if abs(by) >= shape[axis]:
            raise _refused(f"{name}lag", by, f"fewer pixels than {shape[axis]} along axis {axis}")
    for part, pairs in (("held", picture.held), ("lag", picture.lag)):
        axes = [axis for axis, _ in pairs]
        if len(set(axes)) != len(axes):
            raise _refused(f"{name}{part}", pairs, "each axis once")
    if picture.window is not None:
        _check_bounds(f"{name}window", picture.window)
    if picture.limits is not None:
        _check_finite(f"{name}limits", picture.limits)
        if picture.limits[0] >= picture.limits[1]:
            raise _refused(f"{name}limits", picture.limits, "the lower one first")
    if picture.cmap is not None:
        from matplotlib import colormaps

        if picture.cmap not in colormaps:
            raise _refused(f"{name}cmap", picture.cmap, "a colour map of matplotlib, such as gray")


def _check_ranges(ranges: tuple[tuple[int, int, int], ...], shape: tuple[int, ...]) -> None:
    for axis, first, end in ranges:
        _check_axis("ranges", axis, shape)
        if not 0 <= first < end <= shape[axis]:
            raise _refused(
                "ranges", (axis, first, end),
                f"first and end of some pixels of 0 to {shape[axis]} along axis {axis}",
            )  # fmt: skip
    axes = [axis for axis, _, _ in ranges]
    if len(set(axes)) != len(axes):
        raise _refused("ranges", ranges, "each axis once")

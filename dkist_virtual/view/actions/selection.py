"""Turn what is marked on a page into a selection, and into the line of Python that makes it.

A box marks pixels of the two axes of the main picture, ranges those of others; axes without a mark
are whole. Of a dataset the line is an index, ``ds[0:2, 100:140, 321]``; of a mosaic, whose tiles
have other pixels at the same place, it crops to the box on the sky.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np

from dkist_virtual.errors import SelectionError
from dkist_virtual.view.actions.marked_pixels import pixels_in_box
from dkist_virtual.view.pictures.geometry import Sky, geometry_of
from dkist_virtual.view.source import is_mosaic
from dkist_virtual.view.state.together import in_step

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dkist_virtual.view.pictures.geometry import Separable
    from dkist_virtual.view.source import Source
    from dkist_virtual.view.state.state import Bounds, ViewState

__all__ = [
    "Marked", "SkyBox", "main_plane", "marked", "name_of_dataset", "only_shown", "path_line",
    "python_line", "selection", "share_in_box",
]  # fmt: skip

Index: TypeAlias = tuple[int | slice, ...]

_SAMPLES: Final = 101
"""Pixels along an axis of which it is found whether they are in a box."""


def name_of_dataset(sources: Sequence[Source], number: int) -> str:
    """Name a dataset of a page in Python: ``ds``, ``mosaic``, the second one ``ds2``."""
    name = "mosaic" if is_mosaic(sources[number].dataset) else "ds"
    return name if number == 0 else f"{name}{number + 1}"


# What is marked -----------------------------------------------------------------------------


@dataclass(frozen=True)
class Marked:
    """What is selected of a dataset or of all tiles of a mosaic.

    Parameters
    ----------
    index : tuple of int or slice
        Of each axis of the array.
    sky : SkyBox or None
        Of a mosaic, the box that its tiles are cropped to after that.
    """

    index: Index
    sky: SkyBox | None = None

    def of(self, dataset: Any) -> Any:
        """Select it from a dataset or mosaic; reads nothing."""
        is_whole = all(part == slice(None) for part in self.index)
        if is_mosaic(dataset):
            part = dataset if is_whole else dataset.slice_tiles[self.index]
            return part if self.sky is None else part.crop(self.sky.corners(), keepdims=True)
        return dataset if is_whole else dataset[self.index]

    def python(self, name: str) -> str:
        """Write it as an expression for a dataset or mosaic of this name."""
        parts = [_written(part) for part in self.index]
        while parts and parts[-1] == ":":
            parts.pop()
        tiles = ".slice_tiles" if name.startswith("mosaic") else ""
        index = f"{tiles}[{', '.join(parts)}]" if parts else ""
        crop = "" if self.sky is None else f".crop({self.sky.python()}, keepdims=True)"
        return f"{name}{index}{crop}"


def _written(part: int | slice) -> str:
    if isinstance(part, int):
        return str(part)
    return ":" if part == slice(None) else f"{part.start}:{part.stop}"


@dataclass(frozen=True)
class SkyBox:
    """Two corners of a box on the sky.

    Parameters
    ----------
    longitude, latitude : (float, float)
    unit, frame : str
        As astropy names them.
    """

    longitude: tuple[float, float]
    latitude: tuple[float, float]
    unit: str
    frame: str

    def corners(self) -> Any:
        """Return them as a SkyCoord, which takes observer and time of what is cropped."""
        import astropy.units as u
        from astropy.coordinates import SkyCoord

        unit = u.Unit(self.unit)
        return SkyCoord(self.longitude * unit, self.latitude * unit, frame=self.frame)

    def python(self) -> str:
        """Write what `corners` returns."""
        longitude, latitude = (
            f"[{a!r}, {b!r}] * u.{self.unit}" for a, b in (self.longitude, self.latitude)
        )
        return f"SkyCoord({longitude}, {latitude}, frame={self.frame!r})"


def marked(sources: Sequence[Source], state: ViewState) -> tuple[int, Marked]:
    """Say of which dataset something is marked, and what.

    Raises
    ------
    SelectionError
        A box that is beside the data, or ranges of axes of another dataset than the box.
    """
    number = 0
    if state.box is not None and state.pictures:
        number = state.pictures[0].dataset
    if number and state.ranges:
        raise SelectionError(
            f"the box is on a picture of dataset {number + 1}, and ranges are marked of dataset 1: "
            "clear one of them"
        )
    source = sources[number]
    chosen = [range(n) for n in source.shape]
    for axis, first, end in state.ranges:
        chosen[axis] = range(first, end)
    sky = None
    if state.box is not None and state.pictures:
        picture = state.pictures[0]
        plane = main_plane(sources, state)
        if is_mosaic(source.dataset) and isinstance(plane, Sky):
            sky = _sky_box(source, plane, state.box)
        else:
            for axis, pixels in zip(picture.axes, pixels_in_box(plane, state.box), strict=True):
                both = range(
                    max(pixels.start, chosen[axis].start), min(pixels.stop, chosen[axis].stop)
                )
                if not both:
                    raise SelectionError(
                        f"{source.axes.names[axis]}: "
                        f"the box has pixels {pixels.start} to {pixels.stop - 1}, the "
                        f"marked range {chosen[axis].start} to {chosen[axis].stop - 1}: they have "
                        "none in common"
                    )
                chosen[axis] = both
    kept = state.pictures[0].axes if sky is not None else ()
    return number, Marked(_index(chosen, source.shape, kept), sky)


def _index(chosen: Sequence[range], shape: tuple[int, ...], kept: Sequence[int]) -> Index:
    """Make an index; axes of which a single pixel is chosen are dropped, unless none would stay.

    Axes that are `kept` always stay.
    """
    index: list[int | slice] = [
        slice(None) if len(pixels) == n else slice(pixels.start, pixels.stop)
        for pixels, n in zip(chosen, shape, strict=True)
    ]
    single = [
        len(pixels) == 1 and n > 1 and axis not in kept
        for axis, (pixels, n) in enumerate(zip(chosen, shape, strict=True))
    ]
    if not all(single):
        index = [
            pixels.start if is_single else part
            for pixels, is_single, part in zip(chosen, single, index, strict=True)
        ]
    return tuple(index)


def main_plane(sources: Sequence[Source], state: ViewState) -> Sky | Separable:
    """Return the plane of the main picture, on which box and path are marked."""
    picture = state.pictures[0]
    source = sources[picture.dataset]
    point, tile = state.point, state.tile
    if picture.dataset:
        point, tile = in_step(sources, state, picture.dataset).point, 0
    at = picture.at(point, source.shape)
    return geometry_of(source.subjects[tile], picture.axes, at)


def _sky_box(source: Source, plane: Sky, box: Bounds) -> SkyBox:
    """Round a box to hundredths of a pixel."""
    frame = source.subject.world.frame
    if frame is None:
        raise SelectionError(
            "box: the coordinates of this mosaic do not name their frame: expected one. Mark "
            "ranges, or select from single tiles"
        )
    steps = np.repeat(plane.grid.per_pixel * plane.scale, 2).tolist()
    left, right, bottom, top = (
        round(value, 2 + max(0, math.ceil(-math.log10(step))))
        for value, step in zip(box, steps, strict=True)
    )
    return SkyBox((left, right), (bottom, top), plane.unit, frame.name)


# What is made of it -------------------------------------------------------------------------


def selection(sources: Sequence[Source], state: ViewState) -> Any:
    """Return what is marked as a Dataset, or as a mosaic; reads nothing.

    Raises
    ------
    SelectionError
        Nothing is there, or marks do not fit together.
    """
    number, found = marked(sources, state)
    return found.of(sources[number].dataset)


_IMPORTS = """\
import astropy.units as u
import sunpy.coordinates  # names the frame
from astropy.coordinates import SkyCoord

"""


def python_line(sources: Sequence[Source], state: ViewState) -> str:
    """Write the Python that makes the same selection of ``ds``, or of ``mosaic``.

    A box on a mosaic needs imports, which are written before the line.
    """
    number, found = marked(sources, state)
    line = found.python(name_of_dataset(sources, number))
    return line if found.sky is None else _IMPORTS + line


def path_line(sources: Sequence[Source], state: ViewState) -> str | None:
    """Write the Python that makes a dataset along the path; None where there is none.

    Its corners are pixels of the first image of the marked ranges, as `Dataset.slit` takes them.
    """
    picture = state.pictures[0] if state.pictures else None
    if picture is None or len(state.path) < 2 or is_mosaic(sources[picture.dataset].dataset):
        return None
    if not isinstance(main_plane(sources, state), Sky):
        return None
    number, found = marked(sources, replace(state, box=None))
    at = [part if isinstance(part, int) else part.start or 0 for part in found.index]
    first = geometry_of(sources[picture.dataset].subject, picture.axes, at)
    offsets = [at[axis] for axis in picture.axes]
    right, up = np.array(state.path, float).T
    pixels = first.pixels(right, up) - np.array(offsets, float)[:, None]
    if picture.axes[0] < picture.axes[1]:
        pixels = pixels[::-1]
    corners = ", ".join(f"({row:.2f}, {column:.2f})" for column, row in pixels.T.tolist())
    return f"{found.python(name_of_dataset(sources, number))}.slit([{corners}])"


def share_in_box(sources: Sequence[Source], state: ViewState) -> float:
    """Return how much of what the box selects is in it: less than 1 where the detector is turned.

    Of a mosaic, whose tiles are cropped, it is not known: 1.
    """
    if state.box is None or not state.pictures:
        return 1.0
    if is_mosaic(sources[state.pictures[0].dataset].dataset):
        return 1.0
    plane = main_plane(sources, state)
    columns, rows = pixels_in_box(plane, state.box)
    some = [
        np.linspace(pixels[0], pixels[-1], min(len(pixels), _SAMPLES)) for pixels in (columns, rows)
    ]
    x, y = plane.world(*np.meshgrid(*some))
    left, right = sorted(state.box[:2])
    bottom, top = sorted(state.box[2:])
    inside = (left <= x) & (x <= right) & (bottom <= y) & (y <= top)
    return float(inside.mean()) if inside.size > 1 else 1.0


def only_shown(state: ViewState, shape: tuple[int, ...], kept: Sequence[int] = ()) -> ViewState:
    """Mark, of each axis that the main picture does not draw, the pixel that is shown.

    Axes in `kept` stay as they are.
    """
    drawn = state.pictures[0].axes if state.pictures else ()
    ranges = {axis: (axis, first, end) for axis, first, end in state.ranges}
    for axis, n in enumerate(shape):
        if n > 1 and axis not in drawn and axis not in kept:
            ranges[axis] = (axis, state.point[axis], state.point[axis] + 1)
    return replace(state, ranges=tuple(ranges[axis] for axis in sorted(ranges)))

"""Describe a dataset or mosaic for the viewer: its tiles and the roles of its axes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import combinations, product
from typing import TYPE_CHECKING, Any, Final, Protocol, Self

import numpy as np
from astropy.coordinates import StokesCoord

from dkist_virtual.errors import SelectionError
from dkist_virtual.plot.planes import ShownAxes, change_along, shown_axes
from dkist_virtual.plot.sky_grid import sky_axes, sky_grid
from dkist_virtual.view.axes import AxisTexts
from dkist_virtual.view.clock import Clock

if TYPE_CHECKING:
    from dkist_virtual.cube.world_axes import Kind, World
    from dkist_virtual.plot.planes import Subject
    from dkist_virtual.view.state.state import Point

__all__ = ["Roles", "Source", "Viewable", "is_mosaic"]

MOST_STOKES: Final = 16
"""Letters that Stokes parameters have, those of circular and linear feeds among them."""


class Viewable(Protocol):
    """What the viewer asks of a dataset."""

    shape: tuple[int, ...]

    def subject(self) -> Subject: ...  # noqa: D102  # see Dataset.subject
    def __getitem__(self, item: Any, /) -> Any: ...


def is_mosaic(dataset: Any) -> bool:
    """Tell whether an object is a mosaic, whose tiles are datasets."""
    return hasattr(dataset, "tiles_shape")


@dataclass(frozen=True)
class Roles:
    """What the axes of an array are for; None where it has no such axis.

    Parameters
    ----------
    stokes, wavelength : int or None
    time : int or None
        Along which the same field is seen again.
    raster : int or None
        Along which a slit moves over the Sun.
    frame : tuple of int
        The last two axes (or one), which a frame has. A selection may have a raster, or time, as
        one of them.
    sky : (int, int) or None
        Right and up in a picture of the sky: those of a frame, or raster and slit, or two others
        as in the profiles of an inversion. The coordinates of the sky say how such a picture is to
        be turned and mirrored.
    """

    stokes: int | None
    wavelength: int | None
    time: int | None
    raster: int | None
    frame: tuple[int, ...]
    sky: tuple[int, int] | None

    @property
    def stepped(self) -> int | None:
        """The axis that the keys for time step along: time, or else the raster."""
        return self.raster if self.time is None else self.time

    @property
    def main(self) -> tuple[int, ...]:
        """The axes of the main picture: those of an image, of a spectrum along a slit, or a map."""
        if self.sky is None or self._has_slit:
            return self.frame
        return self.sky

    @property
    def _has_slit(self) -> bool:
        """Whether a frame is a spectrum along a slit."""
        slit = {*self.frame} - {self.wavelength}
        return len(slit) == len(self.frame) - 1 == 1 and (self.sky is None or slit < {*self.sky})

    @property
    def map(self) -> tuple[int, int] | None:
        """Right and up in a picture that has one line of each frame: the raster, or time, and slit.

        None where frames are no spectra along a slit.
        """
        across = self.raster if self.raster is not None else self.time
        if across is None or across in self.frame or not self._has_slit:
            return None
        if self.sky is not None:
            return self.sky
        return across, next(axis for axis in self.frame if axis != self.wavelength)

    @classmethod
    def of(cls, subject: Subject) -> Self:
        """Find the roles of axes by their world coordinates, never by their order or names."""
        world = subject.world
        ndim = len(world.shape)
        frame = tuple(range(max(ndim - 2, 0), ndim))
        stokes, wavelength = _stokes(world), _main(world, "wavelength")
        times = [
            axis for axis in _by_length(world, _axes(world, "time"))
            if axis not in (stokes, wavelength)
        ]  # fmt: skip
        sky = _sky(subject, *frame) if len(frame) == 2 else None
        raster = None
        if sky is None:
            # The slit is the axis of a frame along which the sky moves; the raster the other.
            along = _axes(world, "longitude") | _axes(world, "latitude")
            inner, outer = (_by_length(world, one) for one in (along & {*frame}, along - {*frame}))
            pairs = [*product(outer, inner), *combinations(sorted(outer), 2)]
            sky = next((found for pair in pairs if (found := _sky(subject, *pair))), None)
        if sky is not None:
            moving = [axis for axis in sky if axis in times]
            moving = moving or [axis for axis in sky if axis not in frame]
            raster = moving[0] if len(moving) == 1 else None
        # Axes of the frame come last: there a selection has time.
        times.sort(key=lambda axis: axis in frame)
        time = next((axis for axis in times if axis != raster), None)
        return cls(stokes, wavelength, time, raster, frame, sky)


def _axes(world: World, kind: Kind) -> set[int]:
    axis = world.of_kind(kind)
    return set() if axis is None else set(axis.array_axes)


def _by_length(world: World, axes: set[int]) -> list[int]:
    """Sort axes that are longer than one pixel, the longest first."""
    return sorted((a for a in axes if world.shape[a] > 1), key=lambda a: (-world.shape[a], a))


def _main(world: World, kind: Kind) -> int | None:
    """Return the axis of the array along which a coordinate changes most."""
    axis = world.of_kind(kind)
    if axis is None or not axis.array_axes:
        return None
    return max(axis.array_axes, key=lambda one: change_along(world, axis.index, one))


def _stokes(world: World) -> int | None:
    """Return the axis of the Stokes parameters.

    The WCS of a level 2 inversion has them along the slit too, with numbers that are no parameters.
    """
    axis = world.of_kind("stokes")
    if axis is None or len(axis.array_axes) != 1 or world.shape[axis.array_axes[0]] > MOST_STOKES:
        return None
    (values,) = world.along([axis])
    letters = StokesCoord(np.round(values)).symbol
    return None if "?" in letters else axis.array_axes[0]


def _sky(subject: Subject, first: int, second: int) -> tuple[int, int] | None:
    """Return two axes, right and up, if their plane is one of the sky.

    A slit may be as oblique to north as it likes: the picture is turned.
    """
    world = subject.world
    names: list[str | None] = [None] * len(world.shape)
    if min(world.shape[first], world.shape[second]) < 2:
        return None
    names[first], names[second] = "x", "y"
    shown = shown_axes(world, names)
    if sky_axes(subject, shown) is None:
        return None
    middle = [(n - 1) / 2 for n in world.shape]
    grid = sky_grid(subject, shown, middle, is_rough=True)
    if not grid.spans_the_sky():
        return None
    return (first, second) if grid.is_straight() else (second, first)


@dataclass(frozen=True, eq=False)
class Source:
    """A dataset, or a mosaic, that a page shows.

    Parameters
    ----------
    dataset : Viewable or a mosaic of them
        As it was given.
    tiles : tuple of Viewable
        The dataset itself, or the tiles of a mosaic that are there.
    subjects : tuple of Subject
        Of each tile.
    """

    dataset: Any
    tiles: tuple[Viewable, ...]
    subjects: tuple[Subject, ...]

    @classmethod
    def of(cls, dataset: Any) -> Self:
        """Describe a dataset or mosaic; SelectionError if it has no axis."""
        tiles = (
            tuple(tile for tile in dataset.flat if tile is not np.ma.masked)
            if is_mosaic(dataset) else (dataset,)
        )  # fmt: skip
        if not tiles or not tiles[0].shape:
            raise SelectionError("view: nothing to show: expected at least one axis of pixels")
        return cls(dataset, tiles, tuple(tile.subject() for tile in tiles))

    @property
    def subject(self) -> Subject:
        """That of the first tile."""
        return self.subjects[0]

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the first tile's array."""
        return self.subject.world.shape

    @cached_property
    def roles(self) -> Roles:
        """The roles of the first tile's axes."""
        return Roles.of(self.subject)

    @cached_property
    def letters(self) -> tuple[str, ...]:
        """The Stokes parameters along the first tile's axis of them; empty without such an axis."""
        found = self.subject.world.stokes()
        return () if found is None or found[0] is None else found[1]

    @cached_property
    def clocks(self) -> tuple[Clock | None, ...]:
        """When the pixels of each tile were taken; None where that is not known."""
        return tuple(map(Clock.of, self.subjects))

    @cached_property
    def axes(self) -> AxisTexts:
        """The names of the axes, and the coordinates along them, as all panels write them."""
        return AxisTexts(self.subjects, self.roles.raster, self.middle())

    @cached_property
    def shown(self) -> ShownAxes:
        """The axes of the main picture: those of a frame, or raster and slit of a map alone."""
        roles, world = self.roles, self.subject.world
        if roles.main != roles.frame:
            names = ["x" if axis == roles.main[0] else "y" if axis == roles.main[1] else None
                     for axis in range(len(world.shape))]  # fmt: skip
            return shown_axes(world, names)
        return shown_axes(world)

    def middle(self) -> Point:
        """Return the point at which a page begins.

        It is the middle of the frame and of the raster, and the first pixel of other axes.
        """
        inner = {*self.roles.frame, *(self.roles.sky or ()), self.roles.raster}
        return tuple(n // 2 if axis in inner else 0 for axis, n in enumerate(self.shape))

"""Describe a dataset or mosaic for the viewer: its tiles and the roles of its axes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol, Self

import numpy as np

from dkist_virtual.errors import SelectionError
from dkist_virtual.plot.image_plot import sky_axes, sky_grid
from dkist_virtual.plot.planes import ShownAxes, change_along, shown_axes

if TYPE_CHECKING:
    from dkist_virtual.cube.world_axes import Kind, World
    from dkist_virtual.plot.planes import Subject
    from dkist_virtual.view.state.state import Point

__all__ = ["Roles", "Source", "Viewable"]


class Viewable(Protocol):
    """What the viewer asks of a dataset."""

    shape: tuple[int, ...]

    def subject(self) -> Subject: ...  # noqa: D102  # see Dataset.subject
    def __getitem__(self, item: Any, /) -> Any: ...


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
        The last two axes (or one), which a frame has.
    sky : (int, int) or None
        Right and up in a picture of the sky: those of a frame, or raster and slit.
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

    @classmethod
    def of(cls, subject: Subject) -> Self:
        """Find the roles of axes by their world coordinates, never by their order or names."""
        world = subject.world
        ndim = len(world.shape)
        frame = tuple(range(max(ndim - 2, 0), ndim))
        sky = _sky(subject, *frame) if len(frame) == 2 else None
        raster = None
        if sky is None:
            # The slit is the axis of a frame along which the sky moves; the raster the other.
            along = _axes(world, "longitude") | _axes(world, "latitude")
            for slit in sorted(along & set(frame), key=lambda axis: -world.shape[axis]):
                for other in sorted(along - set(frame), key=lambda axis: -world.shape[axis]):
                    if world.shape[other] > 1 and (found := _sky(subject, other, slit)):
                        sky, raster = sky or found, other if raster is None else raster
        times = sorted(_axes(world, "time") - {raster, *frame}, key=lambda a: -world.shape[a])
        time = next((axis for axis in times if world.shape[axis] > 1), None)
        stokes, wavelength = _main(world, "stokes"), _main(world, "wavelength")
        return cls(
            stokes, wavelength, None if time in (stokes, wavelength) else time, raster, frame, sky
        )


def _axes(world: World, kind: Kind) -> set[int]:
    axis = world.of_kind(kind)
    return set() if axis is None else set(axis.array_axes)


def _main(world: World, kind: Kind) -> int | None:
    """Return the axis of the array along which a coordinate changes most."""
    axis = world.of_kind(kind)
    if axis is None or not axis.array_axes:
        return None
    return max(axis.array_axes, key=lambda one: change_along(world, axis.index, one))


def _sky(subject: Subject, first: int, second: int) -> tuple[int, int] | None:
    """Return two axes, right and up, if their plane is one of the sky."""
    world = subject.world
    names: list[str | None] = [None] * len(world.shape)
    if min(world.shape[first], world.shape[second]) < 2:
        return None
    names[first], names[second] = "x", "y"
    shown = shown_axes(world, names)
    if sky_axes(subject, shown) is None:
        return None
    middle = [(n - 1) / 2 for n in world.shape]
    grid = sky_grid(subject, shown, middle)
    if not grid.is_of_the_sky():
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
        is_mosaic = hasattr(dataset, "tiles_shape")
        tiles = (
            tuple(tile for tile in dataset.flat if tile is not np.ma.masked)
            if is_mosaic else (dataset,)
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
    def shown(self) -> ShownAxes:
        """The axes of the main picture: those of a frame."""
        return shown_axes(self.subject.world)

    def middle(self) -> Point:
        """Return the point at which a page begins: the first pixel, in the middle of the frame."""
        frame = self.roles.frame
        return tuple(n // 2 if axis in frame else 0 for axis, n in enumerate(self.shape))

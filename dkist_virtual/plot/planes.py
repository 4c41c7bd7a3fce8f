"""Read the plane that is drawn, one at a time; choose which axes are shown.

A plane is read when it is shown, and its neighbour in the background once the direction of steps is
known. Nothing here draws.
"""

from __future__ import annotations

from collections import OrderedDict
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeAlias

import numpy as np

from dkist_virtual.cube.virtual_array import VirtualArray
from dkist_virtual.cube.world_axes import PATH_DISTANCE, wrap
from dkist_virtual.errors import FrameMissingError, SelectionError
from dkist_virtual.plot.figure_text import in_figure

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import ArrayLike, NDArray

    from dkist_virtual.cube.world_axes import Kind, World, WorldAxis

__all__ = ["Plane", "PlaneReader", "ShownAxes", "Subject", "change_along", "context",
           "finish_pixels", "labels_of", "read_part", "shown_axes"]  # fmt: skip

Convert: TypeAlias = "Callable[[NDArray[Any]], NDArray[Any]]"

CACHE_BYTES: Final = 2**28
"""Of the cache of planes, in which a step back finds its own: four of 4096 x 4096 pixels."""


class PixelArray(Protocol):
    """An array that is read when it is indexed: numpy's, dask's."""

    @property
    def shape(self) -> tuple[int, ...]: ...
    def __getitem__(self, index: tuple[int | slice, ...], /) -> Any: ...


COMPUTED: Final = "(computed)"
"""The end of the title of pixels that were computed, not observed."""


@dataclass(frozen=True, eq=False)
class Subject:
    """The parts of a dataset that a figure shows, as plain values.

    Parameters
    ----------
    mask : array or bool or None
        As in ndcube: True where a pixel is to be ignored.
    unit : str
        Empty where the data have none.
    title : str
        Instrument and dataset, and what its pixels are if they were computed.
    held : dict of str to (World, WorldAxis, float)
        The coordinates that are the same everywhere in the data, by kind.
    convert : callable, optional
        From the pixels of `data`, as a numpy array, to those in `unit`.
    quantity : str
        What the pixels are, such as a Doppler velocity; empty for intensities.
    is_signed : bool
        Whether that has both signs: zero is then in the middle of the colours.
    """

    data: VirtualArray | PixelArray
    mask: PixelArray | bool | None
    world: World
    axis_names: tuple[str, ...]
    unit: str
    title: str
    held: dict[str, tuple[World, WorldAxis, float]]
    convert: Convert | None = None
    quantity: str = ""
    is_signed: bool = False

    def __post_init__(self) -> None:
        # Figures show these texts, which are those of a file.
        object.__setattr__(self, "axis_names", tuple(map(in_figure, self.axis_names)))
        object.__setattr__(self, "unit", in_figure(self.unit))
        object.__setattr__(self, "title", in_figure(self.title))
        object.__setattr__(self, "quantity", in_figure(self.quantity))

    @property
    def label(self) -> str:
        """Quantity and unit, ``"Doppler velocity [km / s]"``, or the unit alone."""
        return f"{self.quantity} [{self.unit}]" if self.quantity and self.unit else (
            self.quantity or self.unit
        )  # fmt: skip

    def held_texts(self) -> dict[str, str]:
        """Write the coordinates that are the same everywhere, for a title, by kind."""
        words = {"stokes": "Stokes {}", "time": "{} UTC"}
        return {
            kind: words.get(kind, "{}").format(world.text(axis, value))
            for kind, (world, axis, value) in self.held.items()
        }


@dataclass(frozen=True)
class ShownAxes:
    """The axes of an array that a figure shows.

    `x` is drawn to the right, `y` upwards (None for a line); the others that are longer than one
    pixel have sliders, in array order.
    """

    x: int
    y: int | None
    sliding: tuple[int, ...]
    ndim: int

    @property
    def drawn(self) -> tuple[int, ...]:
        """The axes that are drawn, in array order."""
        return (self.x,) if self.y is None else (min(self.x, self.y), max(self.x, self.y))


def shown_axes(world: World, plot_axes: Sequence[Any] | None = None) -> ShownAxes:
    """Choose the axes to draw: by default those of a frame, its last two.

    Wavelength runs to the right, the distance along a path upwards; of two directions on the sky
    the one along which the longitude changes more; other axes in array order, the last one to the
    right.

    `plot_axes` has for each array axis ``"x"``, ``"y"`` or None, as in ndcube; an Ellipsis is any
    number of None. If it does not name axes of this array, SelectionError is raised.
    """
    ndim = len(world.shape)
    if plot_axes is not None:
        x, y = _named_axes(plot_axes, ndim)
    elif ndim == 1:
        x, y = 0, None
    else:
        y, x = _oriented(world, ndim - 2, ndim - 1)
    others = tuple(a for a in range(ndim) if a not in (x, y) and world.shape[a] > 1)
    return ShownAxes(x, y, others, ndim)


def _named_axes(plot_axes: Sequence[Any], ndim: int) -> tuple[int, int | None]:
    given = list(plot_axes)
    if given.count(Ellipsis) == 1:
        at = given.index(Ellipsis)
        given[at : at + 1] = [None] * (ndim - len(given) + 1)
    wrong = [entry for entry in given if entry not in ("x", "y", None)]
    if len(given) != ndim or wrong or given.count("x") != 1 or given.count("y") > 1:
        raise SelectionError(
            f"plot_axes = {plot_axes!r}: expected {ndim} entries, one for each axis of the array: "
            "'x' once, 'y' at most once, None for the others"
        )
    return given.index("x"), given.index("y") if "y" in given else None


def _oriented(world: World, first: int, second: int) -> tuple[int, int]:
    """Order two axes: (upwards, to the right)."""
    wavelength = world.of_kind("wavelength")
    along = () if wavelength is None else wavelength.array_axes
    if (first in along) != (second in along):
        return (second, first) if first in along else (first, second)
    path = next((one for one in world.axes if one.physical_type == PATH_DISTANCE), None)
    if path is not None and (first in path.array_axes) != (second in path.array_axes):
        return (first, second) if first in path.array_axes else (second, first)
    longitude = world.of_kind("longitude")
    if longitude is not None and {first, second} <= set(longitude.array_axes):
        change = [change_along(world, longitude.index, axis) for axis in (first, second)]
        if change[0] > change[1]:
            return second, first
    return first, second


def change_along(world: World, index: int, axis: int) -> float:
    """Measure the mean change of a coordinate per pixel of an axis, in the middle of the others."""
    positions: list[ArrayLike] = [(n - 1) / 2 for n in world.shape]
    positions[axis] = np.array([0.0, world.shape[axis] - 1])
    values, one = world.values(*positions)[index], world.axes[index]
    change = values[1] - values[0]
    if one.kind == "longitude":
        change = wrap(change, one.unit)
    return abs(float(change)) / max(world.shape[axis] - 1, 1)


# Coordinates of the other axes ----------------------------------------------------------------

_PREFERRED: Final = ("stokes", "wavelength", "time", "longitude", "latitude", "other")


def labels_of(world: World, axes: Sequence[int]) -> dict[int, int | None]:
    """Choose the world coordinate, by its index, that labels each of some array axes.

    Of longitude and latitude it is the one that changes more; two axes of the sky have one each.
    Along a path it is the distance.
    None where there is no coordinate.
    """
    chosen: dict[int, int | None] = {}
    change: dict[tuple[int, int], float] = {}
    for axis in axes:
        fitting = [one for one in world.axes if axis in one.array_axes]
        fitting.sort(key=_preference)
        sky = [one for one in fitting if one.kind in ("longitude", "latitude")]
        if len(sky) == 2 and fitting[0] is sky[0]:
            changes = {one.index: change_along(world, one.index, axis) for one in sky}
            change |= {(axis, index): by for index, by in changes.items()}
            fitting = sorted(sky, key=lambda one: -changes[one.index])
        chosen[axis] = fitting[0].index if fitting else None
    moving = [axis for axis in chosen if (axis, chosen[axis]) in change]
    if len(moving) == 2 and chosen[moving[0]] == chosen[moving[1]]:
        one, other = moving
        lon, lat = sorted({index for _, index in change})
        straight = change[one, lon] * change[other, lat] >= change[one, lat] * change[other, lon]
        chosen[one], chosen[other] = (lon, lat) if straight else (lat, lon)
    return chosen


def _preference(one: WorldAxis) -> tuple[bool, int, int]:
    is_distance = one.physical_type == PATH_DISTANCE
    return not is_distance, _PREFERRED.index(one.kind), len(one.array_axes)


def context(whole: World, held: Sequence[int | range]) -> dict[str, tuple[WorldAxis, float]]:
    """Find the coordinates that have one value in a selection: stokes, wavelength, time.

    `whole` is the world of the dataset as it was opened; `held` has for each of its axes the
    selected pixel, or a range of them.
    """
    fixed = {axis for axis, left in enumerate(held) if isinstance(left, int) or len(left) == 1}
    kinds: tuple[Kind, ...] = ("stokes", "wavelength", "time")
    known = [one for kind in kinds if (one := whole.of_kind(kind)) is not None]
    point = [float(left if isinstance(left, int) else left[0]) for left in held]
    values = whole.values(*point) if known else []
    return {
        one.kind: (one, float(values[one.index])) for one in known if set(one.array_axes) <= fixed
    }


# Reading ------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Plane:
    """Pixels to draw, of shape (y, x), or (x,) for a line.

    `pixels` is NaN where a mask of the dataset is True; `absent` marks the pixels of absent frames,
    and is None where all are present.
    """

    pixels: NDArray[np.generic]
    absent: NDArray[np.bool_] | None

    def transposed(self) -> Plane:
        """Exchange the two axes."""
        return Plane(self.pixels.T, None if self.absent is None else self.absent.T)


class PlaneReader:
    """Reads planes of a dataset, caches the last ones, and reads ahead.

    It marks the absent frames of a `VirtualArray`. If a frame of another array is absent, all of
    the plane is, since it is unknown which pixels came from it. The cache has `keep` bytes, and the
    last plane at least.
    """

    def __init__(
        self,
        data: VirtualArray | PixelArray,
        mask: PixelArray | bool | None,
        axes: ShownAxes,
        keep: int = CACHE_BYTES,
        convert: Convert | None = None,
    ) -> None:
        self._data = data
        self._mask = mask
        self.axes = axes
        self._keep = keep
        self._convert = convert
        self._planes: OrderedDict[tuple[int, ...], Plane] = OrderedDict()
        self._coming: dict[tuple[int, ...], Future[Plane]] = {}
        self._ahead = ThreadPoolExecutor(1, thread_name_prefix="dkist-virtual-ahead")

    def index(self, at: Sequence[int]) -> tuple[int | slice, ...]:
        """Make the index of a plane in the array; `at` has a pixel for each array axis."""
        return tuple(
            slice(None) if axis in self.axes.drawn else pixel for axis, pixel in enumerate(at)
        )

    def read(self, at: Sequence[int]) -> Plane:
        """Read a plane, or return it from the cache; raises FrameError if a frame is unreadable."""
        wanted = tuple(at)
        plane = self._planes.get(wanted)
        coming = self._coming.pop(wanted, None)
        if plane is None:
            # A plane that no thread has begun to read is read in this one.
            if coming is None or coming.cancel():
                plane = self._read(wanted)
            else:
                plane = coming.result()
            self._planes[wanted] = plane
        self._planes.move_to_end(wanted)
        while len(self._planes) > 1 and self._kept_bytes() > self._keep:
            self._planes.popitem(last=False)
        return plane

    def _kept_bytes(self) -> int:
        return sum(plane.pixels.nbytes for plane in self._planes.values())

    def read_ahead(self, at: Sequence[int]) -> None:
        """Read a plane in the background; `read` raises its errors."""
        wanted = tuple(at)
        for other in [other for other, future in self._coming.items() if future.cancel()]:
            del self._coming[other]
        if wanted not in self._planes and wanted not in self._coming:
            self._coming[wanted] = self._ahead.submit(self._read, wanted)

    def is_coming(self, at: Sequence[int]) -> bool:
        """Whether a plane is still being read in the background."""
        coming = self._coming.get(tuple(at))
        return coming is not None and not coming.done()

    def close(self) -> None:
        """Read nothing more ahead."""
        self._ahead.shutdown(wait=False, cancel_futures=True)

    def _read(self, at: tuple[int, ...]) -> Plane:
        plane = read_part(self._data, self._mask, self.index(at), self._convert)
        x, y = self.axes.x, self.axes.y
        return plane.transposed() if y is not None and y > x else plane


def read_part(
    data: VirtualArray | PixelArray,
    mask: PixelArray | bool | None,
    index: tuple[int | slice, ...],
    convert: Convert | None = None,
) -> Plane:
    """Read a part of an array, in the array's order of axes; FrameError if a frame is unreadable.

    If a frame of an array that is no `VirtualArray` is absent, all of the part is.
    """
    absent: NDArray[np.bool_] | None = None
    if isinstance(data, VirtualArray):
        pixels, gone = data.select(index).read_marked()
        if gone.any():
            # Frame axes come first; the axes of a frame's own pixels are absent with it.
            gone = gone.reshape(gone.shape + (1,) * (pixels.ndim - gone.ndim))
            absent = np.broadcast_to(gone, pixels.shape)
    else:
        try:
            pixels = np.asarray(data[index])
        except FrameMissingError:
            shape = tuple(len(range(n)[i]) for n, i in zip(data.shape, index, strict=True)
                          if isinstance(i, slice))  # fmt: skip
            pixels, absent = np.full(shape, np.nan), np.ones(shape, bool)
    return Plane(finish_pixels(data, mask, index, pixels, convert), absent)


def finish_pixels(
    data: VirtualArray | PixelArray,
    mask: PixelArray | bool | None,
    index: tuple[int | slice, ...],
    pixels: NDArray[Any],
    convert: Convert | None = None,
) -> NDArray[Any]:
    """Convert pixels that were read, and make those NaN where the mask is True."""
    if convert is not None:
        pixels = convert(pixels)
    if mask is not None and not isinstance(mask, bool) and mask.shape == data.shape:
        hidden = np.asarray(mask[index], bool)
        if hidden.any():
            pixels = np.where(hidden, np.nan, pixels)
    return pixels

"""Describe each tile of a mosaic: its pixels, and where and when each of them is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import numpy as np

from dkist_virtual.errors import DatasetError
from dkist_virtual.science.seeing import read_numbers, read_r0
from dkist_virtual.science.sky_image import HasSky, SkyAxes, SkyPixels

if TYPE_CHECKING:
    from astropy.coordinates import BaseCoordinateFrame
    from astropy.table import Table
    from astropy.time import Time
    from astropy.units import UnitBase
    from numpy.typing import NDArray

    from dkist_virtual.cube.world_axes import World
    from dkist_virtual.science.stitching.lattice import Lattice

__all__ = ["Place", "Sight", "Stitched", "Tile", "check_alike"]

Place: TypeAlias = tuple[int, ...]


class Stitched(HasSky, Protocol):
    """A dataset that is stitched."""

    @property
    def unit(self) -> UnitBase | None:
        """The unit of the pixels."""

    @property
    def headers(self) -> Table | None:
        """The header table."""


@dataclass(frozen=True, eq=False)
class Tile(SkyPixels):
    """A tile in its place.

    Parameters
    ----------
    pixels, mask, sky, moving
        See `SkyPixels`.
    place : tuple of int
        In the grid of the mosaic.
    lattice : Lattice
        Where its pixels are in the output grid; with a pointing for each pixel of `moving`.
    seconds : numpy.ndarray
        When each pixel was taken, with the other axes first, then rows and columns; one pixel long
        along axes on which it is the same.
    seeing : numpy.ndarray, optional
        As `seconds`, a number that is larger where the seeing was better.
    gain, offset : float
        Its pixels are multiplied by the one, and then the other is added.
    """

    place: Place
    lattice: Lattice
    seconds: NDArray[np.float64]
    seeing: NDArray[np.float64] | None = None
    gain: float = 1.0
    offset: float = 0.0


@dataclass(frozen=True, eq=False)
class Sight(SkyAxes):
    """What the WCS of a tile says of the sky and of time.

    Parameters
    ----------
    place : tuple of int
        In the grid of the mosaic.
    cube : Stitched
        The tile's dataset.
    world : World
        Its coordinates.
    """

    place: Place
    cube: Stitched
    world: World = field(repr=False)

    def __post_init__(self) -> None:
        lon, lat = self.world.of_kind("longitude"), self.world.of_kind("latitude")
        both = () if lon is None or lat is None else {*lon.array_axes, *lat.array_axes}
        if len(both) < 2 or min(self.cube.shape[axis] for axis in sorted(both)[-2:]) < 2:
            raise DatasetError(
                f"stitch: tile {list(self.place)} of shape {self.cube.shape} is not an image of "
                "the sky, of at least two pixels along two axes"
            )
        if self.world.frame is None:
            raise DatasetError(f"stitch: tile {list(self.place)}: its WCS names no frame")

    @property
    def frame(self) -> BaseCoordinateFrame:
        """The frame of its sky."""
        frame = self.world.frame
        assert frame is not None
        return frame

    def at(self, pointing: int, rows: Any, columns: Any) -> NDArray[np.float64]:
        """Return longitude and latitude, arcsec, of rows and columns: (rows, columns, 2)."""
        places: NDArray[np.float64] = self.positions([pointing], rows, columns)[0]
        if not np.isfinite(places).all():
            raise DatasetError(
                f"stitch: tile {list(self.place)}: its WCS has no position on the sky for some "
                "of its pixels: mosaic.mask[...] = True leaves a tile out"
            )
        return places

    def centre(self) -> NDArray[np.float64]:
        """Return longitude and latitude of its middle, in the middle of its pointings."""
        row, column = ((n - 1) / 2 for n in self.shape)
        return self.at(self.pointings // 2, [row], [column])[0, 0]  # type: ignore[no-any-return]

    def seconds(self, since: Time) -> NDArray[np.float64]:
        """Return when its pixels were taken: see `Tile.seconds`."""
        from astropy import units as u

        for world in self.world.parts:
            axis = world.of_kind("time")
            if axis is not None:
                (values,) = world.along([axis])
                start = float((world.time(0.0) - since).to_value(u.s))
                values = start + values * u.Unit(axis.unit or "s").to(u.s)
                return self.spread(values, axis.array_axes if world is self.world else ())
        moment = getattr(self.frame, "obstime", None)
        return self.spread(
            np.array(np.nan if moment is None else (moment - since).to_value(u.s)), ()
        )

    def spread(self, values: Any, axes: Sequence[int]) -> NDArray[np.float64]:
        """Put values along some axes of the array in the order of `Tile.seconds`."""
        order = [*self.carried, *self.sky]
        shape = [1] * len(order)
        at = sorted(axes, key=order.index)
        for axis in at:
            shape[order.index(axis)] = self.cube.shape[axis]
        moved = np.transpose(np.asarray(values, float), [list(axes).index(axis) for axis in at])
        return moved.reshape(shape)

    def seeing(self, keyword: str) -> NDArray[np.float64]:
        """Return a header column for each pixel: see `Tile.seconds`.

        Values of ATMOS_R0 that are not valid, as `read_r0` tells, are NaN: the worst.
        """
        table, frames = self.cube.headers, self.cube.provenance
        if table is None or frames is None or keyword not in table.colnames:
            raise DatasetError(
                f'stitch(combine="best"): takes the pixel with the best seeing, by {keyword}, and '
                f"the headers of tile {list(self.place)} have no such column: write "
                f'combine="mean" or "feather"'
            )
        shape = frames.array.frame_shape
        is_r0 = keyword == "ATMOS_R0"
        values = read_r0(table)[0] if is_r0 else read_numbers(table[keyword])
        return self.spread(values.reshape(shape), range(len(shape)))


def check_alike(sights: Sequence[Sight]) -> None:
    """Refuse tiles that differ in what is carried: axes, wavelengths, Stokes parameters, unit."""
    first = sights[0]
    shape = [first.cube.shape[axis] for axis in first.carried]
    for other in sights[1:]:
        where = f"stitch: tiles {list(first.place)} and {list(other.place)}"
        own = [other.cube.shape[axis] for axis in other.carried]
        if own != shape or (other.sky, other.moving) != (first.sky, first.moving):
            raise DatasetError(
                f"{where}: expected the same axes beside those on the sky, {tuple(first.sky)}; "
                f"found shapes {first.cube.shape} and {other.cube.shape}. "
                "mosaic.slice_tiles[...] selects the same of each"
            )
        if type(other.frame) is not type(first.frame):
            raise DatasetError(
                f"{where}: expected the same frame of their sky, found {first.frame.name} and "
                f"{other.frame.name}"
            )
        if other.cube.unit != first.cube.unit:
            raise DatasetError(
                f"{where}: expected the same unit, found {first.cube.unit} and {other.cube.unit}. "
                "tile.to(unit) converts one"
            )
        for kind in ("wavelength", "stokes"):
            _check_coordinate(where, first, other, kind)


def _check_coordinate(where: str, first: Sight, other: Sight, kind: Any) -> None:
    """Refuse tiles of other wavelengths or Stokes parameters, by more than a tenth of a pixel."""
    found = []
    for sight in (first, other):
        for world in sight.world.parts:
            axis = world.of_kind(kind)
            if axis is not None and not set(axis.array_axes) & set(sight.sky):
                found.append((axis.unit, world.along([axis])[0]))
    if len(found) < 2:
        return
    (unit, ours), (theirs_in, theirs) = found[:2]
    step = float(np.abs(np.diff(np.sort(ours, axis=None))).min(initial=np.inf))
    allowed = 0.1 * step if np.isfinite(step) and step else 1e-6 * float(np.abs(ours).max())
    away = np.abs(ours - theirs).max() if ours.shape == theirs.shape else np.inf
    if unit != theirs_in or away > allowed:
        raise DatasetError(
            f"{where}: expected the same {kind} along the axes that are not of the sky; they "
            f"differ by {away:.6g} {unit}".rstrip()
            + ". mosaic.slice_tiles[...] selects the same "
            "of each"
        )

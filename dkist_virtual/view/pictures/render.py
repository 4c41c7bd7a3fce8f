"""Draw a picture: read what a window shows, put it on the screen's pixels, turn it into 8 bits."""

from __future__ import annotations

from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from queue import SimpleQueue
from time import monotonic
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

import numpy as np

from dkist_virtual.view.pictures.geometry import Sky, depends_on, geometry_of
from dkist_virtual.view.pictures.levels import levels_of, robust_limits
from dkist_virtual.view.pictures.sampling import Block, Box, Sampling, fit_window
from dkist_virtual.view.reading.planes import BlockCache, PlanePart

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from dkist_virtual.plot.planes import Subject
    from dkist_virtual.view.pictures.geometry import Geometry, Separable
    from dkist_virtual.view.pictures.layers import Layers
    from dkist_virtual.view.source import Source
    from dkist_virtual.view.state.state import Bounds, PictureState, Point

__all__ = ["Drawn", "Painter", "Request", "Tile"]

TILES: Final = 9
"""Tiles of a mosaic that are read at once."""
PART_SECONDS: Final = 0.15
"""After which the tiles that have come are shown."""
GEOMETRIES: Final = 64
"""Geometries that are kept: those of the tiles of a mosaic, or of the last steps."""


@dataclass(frozen=True, eq=False)
class Request:
    """What is to be drawn.

    Parameters
    ----------
    source : Source
    picture : PictureState
    layers : Layers
    size : (int, int)
        Width and height in pixels of the screen.
    tile : int or None
        Draw this tile of a mosaic alone; None for all.
    """

    source: Source
    picture: PictureState
    layers: Layers
    size: tuple[int, int]
    tile: int | None = None

    @property
    def tiles(self) -> tuple[int, ...]:
        """The tiles that may be in view; those of a mosaic are drawn if they are of the sky."""
        whole = range(len(self.source.subjects))
        return tuple(whole) if self.tile is None else (self.tile,)


class Tile(NamedTuple):
    """Where a tile is: its number, and its pixels' coordinates."""

    number: int
    geometry: Geometry


@dataclass(frozen=True, eq=False)
class Drawn:
    """A picture, of the screen's size.

    Parameters
    ----------
    levels : numpy.ndarray
        Shape (height, width), 8 bits, the lowest row first: see `levels`.
    values : numpy.ndarray
        The same as numbers; NaN where nothing is known.
    window : Bounds
        What it shows.
    limits : (float, float)
        The ends of its contrast.
    cmap : str
    tiles : tuple of Tile
        All of the source, in view or not.
    n_absent : int
        Pixels of the screen whose frames are absent.
    is_whole : bool
        Whether no further part comes.
    request : Request
    faults : tuple of Exception
        Of tiles that could not be read.
    """

    levels: NDArray[np.uint8]
    values: NDArray[np.float32]
    window: Bounds
    limits: tuple[float, float]
    cmap: str
    tiles: tuple[Tile, ...]
    n_absent: int
    is_whole: bool
    request: Request
    faults: tuple[Exception, ...] = ()

    def tile_at(self, x: float, y: float) -> tuple[int, int, int] | None:
        """Return the tile whose pixel is at a place, the topmost, with its column and row."""
        for tile in reversed(self.tiles):
            ny, nx = tile.geometry.shape
            column, row = (float(one) for one in tile.geometry.pixels(x, y))
            at = round(column), round(row)
            if 0 <= at[0] < nx and 0 <= at[1] < ny:
                return tile.number, *at
        return None

    def geometry_of(self, tile: int) -> Geometry | None:
        """Return where the pixels of a tile are; None if it was not drawn."""
        return next((one.geometry for one in self.tiles if one.number == tile), None)


_InView: TypeAlias = tuple[Tile, Sampling]


class Painter:
    """Draws pictures, and keeps what it read for the next ones."""

    def __init__(self) -> None:
        self.blocks = BlockCache()
        self._geometries: OrderedDict[object, Sky | Separable] = OrderedDict()

    # Places ---------------------------------------------------------------------------------

    def tiles(self, request: Request) -> tuple[Tile, ...]:
        """Find where the pixels of each tile are."""
        tiles: list[Tile] = []
        around: float | None = None
        for number in request.tiles:
            geometry = self._geometry(request, number, around)
            if isinstance(geometry, Sky):
                around = (geometry.bounds[0] + geometry.bounds[1]) / 2 if around is None else around
            elif tiles:
                # Planes that are not of the sky would cover each other.
                break
            tiles.append(Tile(number, geometry))
        return tuple(tiles)

    def _geometry(self, request: Request, number: int, around: float | None) -> Sky | Separable:
        subject, axes = request.source.subjects[number], request.picture.axes
        at = _inside(request.layers.points[0], subject)
        moving = tuple(at[axis] for axis in depends_on(subject, axes))
        key = (id(subject), axes, moving, around)
        found = self._geometries.get(key)
        if found is None:
            found = self._geometries[key] = geometry_of(subject, axes, at, around)
            while len(self._geometries) > GEOMETRIES:
                self._geometries.popitem(last=False)
        return found

    def window(self, request: Request, tiles: tuple[Tile, ...]) -> Bounds:
        """Find what is shown: the window of the picture, or all of it, as wide as the screen."""
        if request.picture.window is not None:
            bounds = request.picture.window
        else:
            each = np.array([tile.geometry.bounds for tile in tiles])
            left, _, bottom, _ = each.min(axis=0).tolist()
            _, right, _, top = each.max(axis=0).tolist()
            bounds = (left, right, bottom, top)
        if tiles[0].geometry.has_equal_scales:
            bounds = fit_window(bounds, request.size)
        return bounds

    # Pixels ---------------------------------------------------------------------------------

    def draw(self, request: Request) -> Iterator[Drawn | None]:
        """Read and draw a picture; one of many frames, or of several tiles, may come in parts.

        A None is a place to stop between two parts.
        """
        tiles = self.tiles(request)
        window = self.window(request, tiles)
        in_view = self._in_view(request, tiles, window)
        width, height = request.size
        values = np.full((height, width), np.nan, np.float32)
        gone = np.zeros((height, width), bool)
        owner = np.full((height, width), -1, np.int16)
        faults: list[Exception] = []
        shown, left = monotonic(), len(in_view)
        for (tile, sampling), found in self._read_all(request, in_view):
            if isinstance(found, Exception):
                if len(tiles) == 1:
                    raise found
                faults.append(found)
                left -= 1
            elif found is not None:
                _paint(values, gone, owner, tile.number, sampling, found)
                left -= found.is_whole
                # A part costs as much to draw as the whole; one of many frames shows all of it.
                is_late = monotonic() - shown >= PART_SECONDS
                if not found.is_whole or (left and is_late):
                    yield self._drawn(request, tiles, window, values, gone, faults)
                    shown = monotonic()
            else:
                yield None
        yield self._drawn(request, tiles, window, values, gone, faults, is_whole=True)

    def _in_view(self, request: Request, tiles: tuple[Tile, ...], window: Bounds) -> list[_InView]:
        """Find the tiles that a window shows, those in its middle first, and what to read."""
        found = []
        x, y = (window[0] + window[1]) / 2, (window[2] + window[3]) / 2
        for tile in tiles:
            frame, axes = request.source.roles.frame, request.picture.axes
            strided = (axes[1] != frame[-1], axes[0] != frame[-1])
            sampling = Sampling.of(tile.geometry, window, request.size, strided)
            if sampling is not None:
                left, right, bottom, top = tile.geometry.bounds
                away = np.hypot((left + right) / 2 - x, (bottom + top) / 2 - y)
                found.append((float(away), tile, sampling))
        return [(tile, sampling) for _, tile, sampling in sorted(found, key=lambda one: one[0])]

    def _read_all(
        self, request: Request, in_view: list[_InView]
    ) -> Iterator[tuple[_InView, Block | Exception | None]]:
        """Read tiles: their blocks, or why one could not be read; several frames at once."""
        is_of_frames = set(request.picture.axes) <= set(request.source.roles.frame)
        if len(in_view) < 2 or not is_of_frames:
            for one in in_view:
                for found in self._read_safely(request, one):
                    yield one, found
            return
        come: SimpleQueue[tuple[_InView, Block | Exception | None]] = SimpleQueue()
        is_over = False

        def read(one: _InView) -> None:
            for found in () if is_over else self._read_safely(request, one):
                come.put((one, found))

        pool = ThreadPoolExecutor(min(len(in_view), TILES), thread_name_prefix="dkist-virtual-tile")
        try:
            for one in in_view:
                pool.submit(read, one)
            left = len(in_view)
            while left:
                one, found = come.get()
                left -= isinstance(found, Exception) or (found is not None and found.is_whole)
                yield one, found
        finally:
            is_over = True
            pool.shutdown(wait=False, cancel_futures=True)

    def _read_safely(self, request: Request, one: _InView) -> Iterator[Block | Exception | None]:
        tile, sampling = one
        try:
            yield from self.read(request, tile.number, sampling)
        except Exception as error:  # noqa: BLE001  # other tiles are drawn
            yield error

    def read(self, request: Request, number: int, sampling: Sampling) -> Iterator[Block | None]:
        """Read the pixels of a tile, as `PlanePart.read` does."""
        subject, frame = request.source.subjects[number], request.source.roles.frame
        layers, axes = request.layers, request.picture.axes

        def one(point: Point) -> Iterator[Block | None]:
            at = list(_inside(point, subject))
            at[axes[0]] = at[axes[1]] = 0
            part = PlanePart(tuple(at), axes, sampling.box, sampling.average)
            return self.blocks.read((id(subject), part), lambda: part.read(subject, frame))

        if layers.combine is None:
            yield from one(layers.points[0])
            return
        blocks: list[Block] = []
        for point in layers.points:
            whole: Block | None = None
            for block in one(point):
                whole = block
                yield None
            assert whole is not None  # the last one is
            blocks.append(whole)
        pixels = layers.combine(*(block.pixels for block in blocks))
        absent = [block.absent for block in blocks if block.absent is not None]
        yield Block(pixels.astype(np.float32), np.logical_or.reduce(absent) if absent else None)

    def value(self, request: Request, tile: int, column: int, row: int) -> float:
        """Read the pixel of a tile that a picture shows; NaN where its frame is absent."""
        box = Box((row, row + 1, 1), (column, column + 1, 1))
        sampling = Sampling(box, (1, 1), (slice(1), slice(1)), np.zeros(1, int), np.zeros(1, int))
        values = [
            float(block.pixels[0, 0])
            for block in self.read(request, tile, sampling)
            if block is not None
        ]
        return values[-1]

    def read_ahead(self, request: Request) -> None:
        """Read what a picture needs, without drawing it."""
        tiles = self.tiles(request)
        window = self.window(request, tiles)
        for _ in self._read_all(request, self._in_view(request, tiles, window)):
            pass

    def _drawn(
        self,
        request: Request,
        tiles: tuple[Tile, ...],
        window: Bounds,
        values: NDArray[np.float32],
        gone: NDArray[np.bool_],
        faults: list[Exception],
        *,
        is_whole: bool = False,
    ) -> Drawn:
        signed, picture = request.layers.is_signed, request.picture
        ends = picture.limits or robust_limits(values, signed=signed)
        return Drawn(
            levels=levels_of(values, gone, ends), values=values if is_whole else values.copy(),
            window=window, limits=ends,
            cmap=picture.cmap or request.layers.cmap, tiles=tiles,
            n_absent=int(np.count_nonzero(gone)), is_whole=is_whole, request=request,
            faults=tuple(faults),
        )  # fmt: skip


def _paint(
    values: NDArray[np.float32],
    gone: NDArray[np.bool_],
    owner: NDArray[np.int16],
    number: int,
    sampling: Sampling,
    block: Block,
) -> None:
    """Paint a tile where no later one, in the mosaic's order, was painted."""
    pixels, absent = sampling.put(block)
    shown = sampling.shown & (owner[sampling.screen] <= number)
    np.copyto(values[sampling.screen], pixels, where=shown)
    np.copyto(gone[sampling.screen], False if absent is None else absent, where=shown)
    owner[sampling.screen][shown] = number


def _inside(point: Point, subject: Subject) -> Point:
    """Move a point into an array: the tiles of a mosaic may differ in shape."""
    return tuple(min(pixel, n - 1) for pixel, n in zip(point, subject.world.shape, strict=True))

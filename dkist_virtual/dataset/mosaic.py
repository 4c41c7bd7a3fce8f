"""Define `TiledDataset`: a grid of datasets, one per tile on the sky."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Generic, Literal, Self, TypeVar, overload

import numpy as np

from dkist_virtual.cube.points import COORDINATES
from dkist_virtual.dataset.dataset import Dataset
from dkist_virtual.dataset.derived.combined_headers import CombinedHeaders
from dkist_virtual.dataset.derived.own_tiles import (
    count_rows,
    read_meta,
    read_tiles,
    table_equals,
)
from dkist_virtual.dataset.derived.stitched import Stitchable
from dkist_virtual.dataset.export.to_xarray import tiles_to_xarray
from dkist_virtual.dataset.file_manager import Reported
from dkist_virtual.dataset.files import Files
from dkist_virtual.dataset.loader import FromASDF, Opened
from dkist_virtual.dataset.overview import Overview, Printed
from dkist_virtual.dataset.plots.viewed import Viewed
from dkist_virtual.dataset.pointing.pointed import PointedMosaic
from dkist_virtual.dataset.provenance import LazyMeta, Meta
from dkist_virtual.dataset.save.savable import Savable
from dkist_virtual.dataset.seeing.seen import SeenMosaic
from dkist_virtual.errors import DatasetError, OutsideError, SelectionError
from dkist_virtual.text import check_keywords

if TYPE_CHECKING:
    import xarray
    from matplotlib.figure import Figure, SubFigure
    from numpy.typing import ArrayLike, NDArray

    from dkist_virtual.cube.selection import Index
    from dkist_virtual.datacenter.globus import Transfer
    from dkist_virtual.io.download.download import Downloaded
    from dkist_virtual.plot.mosaic_plot import MosaicPlot
    from dkist_virtual.store.format.header_table import HeaderTable

__all__ = ["TiledDataset"]

_Mosaic = TypeVar("_Mosaic", bound="TiledDataset")


class TiledDataset(
    FromASDF, Printed, Reported, Savable, PointedMosaic, SeenMosaic, Stitchable, Viewed
):
    """The tiles of a mosaic, by their place in dkist's tile array.

    ``mosaic[i, j]`` is the `Dataset` of a tile, or `numpy.ma.masked` where there is none;
    slices give smaller mosaics. `slice_tiles`, `crop` and `at` select from every tile alike.

    Parameters
    ----------
    dataset_array : array of object
        Datasets, None where there is no tile.
    meta : dict, optional
        Of the whole mosaic. Headers in it have to be those of the tiles, which `combined_headers`
        puts together. Without `meta` and `inventory` the record is that of the tiles.
    mask : array of bool, optional
        True where a tile is hidden, or where there is something else in `dataset_array`.
    inventory : dict, optional
        The Data Center's record of the dataset, where `meta` has none. Given in the place of
        `meta` it is known by its ``datasetId``.
    tiles : array of object, optional
        Another name of `dataset_array`.

    Raises
    ------
    DatasetError
        No tile, headers that are not those of the tiles, or tiles with different records.
    """

    __array_ufunc__ = None  # numpy would take a mosaic for an array of objects

    def __init__(
        self,
        dataset_array: ArrayLike | None = None,
        meta: Mapping[str, Any] | LazyMeta | None = None,
        mask: ArrayLike | None = None,
        *,
        inventory: Mapping[str, Any] | None = None,
        tiles: ArrayLike | None = None,
    ) -> None:
        self._grid, self._hidden = read_tiles(
            tiles if dataset_array is None else dataset_array, mask
        )
        self._places = np.empty(self.shape, object)
        for place in np.ndindex(self.shape):
            self._places[place] = place
        if self._hidden.all():
            raise DatasetError("a mosaic needs at least one tile")
        self.meta = read_meta(meta, inventory, self._present())

    @classmethod
    def from_opened(cls, opened: Opened) -> Self:
        """Make a mosaic of the datasets of an open store or ASDF."""
        description = opened.description
        if description.grid is None:
            own = "Inversion" if opened.is_inversion else "Dataset"
            raise DatasetError(f"is not a mosaic: dv.open_dataset and dv.{own}.from_asdf open it")
        tiles = np.full(description.grid, None, object)
        for index, ds in zip(description.indices, opened.datasets(Dataset), strict=True):
            assert index is not None
            tiles[index] = ds
        return cls(tiles[0] if opened.is_row else tiles, opened.meta())

    # The grid -------------------------------------------------------------------------------

    @property
    def _absent(self) -> NDArray[np.bool_]:
        """True where there never was a tile."""
        return np.array([tile is None for tile in self._grid.flat], bool).reshape(self.shape)

    @property
    def _tiles(self) -> Any:
        """The tiles, masked where there is none or where it is hidden."""
        return np.ma.MaskedArray(self._grid, mask=self._hidden | self._absent, dtype=object)

    def _part(self, tiles: NDArray[np.object_], places: NDArray[np.object_]) -> Self:
        """Make a mosaic of tiles of this one, which keep their places in names."""
        made = type(self)(tiles, self.meta.shared())
        made._places = places
        return made

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the grid of tiles."""
        return tuple(self._grid.shape)

    @property
    def mask(self) -> NDArray[np.bool_]:
        """True where there is no tile. May be set, whole or in part, to hide and to show tiles."""
        return _TileMask.of(self)

    @mask.setter
    def mask(self, hidden: ArrayLike) -> None:
        hidden = np.broadcast_to(np.asarray(hidden, bool), self.shape).copy()
        unknown = np.argwhere(self._absent & ~hidden)
        if len(unknown):
            raise DatasetError(f"mask: there is no tile at {unknown[0].tolist()} to be shown")
        if hidden.all():
            raise DatasetError("mask: hides every tile: a mosaic needs at least one")
        self._hidden = hidden

    @property
    def meta(self) -> Meta:
        """What else is known of the whole mosaic, with `combined_headers` under ``headers``."""
        return self._meta

    @meta.setter
    def meta(self, value: Mapping[str, Any] | LazyMeta) -> None:
        if value is not getattr(self, "_meta", None):
            self._meta = Meta(value, _TileHeaders(self))

    @property
    def flat(self) -> Self:
        """The tiles that are present, row-major, as a mosaic of one row."""
        tiles = self._tiles
        return self._part(tiles.compressed(), self._places[~np.ma.getmaskarray(tiles)])

    def _present(self) -> list[Dataset]:
        """Return the tiles that are present, row-major."""
        tiles: list[Dataset] = self._tiles.compressed().tolist()
        return tiles

    @property
    def tiles_shape(self) -> list[Any]:
        """The shape of each tile's data, in lists like the grid; () where there is none."""
        shapes = np.full(self.shape, None, object)
        for place in np.ndindex(self.shape):
            tile = self._tiles[place]
            shapes[place] = () if tile is np.ma.masked else tile.shape
        nested: list[Any] = shapes.tolist()
        return nested

    def __len__(self) -> int:
        return self.shape[0]

    def __iter__(self) -> Iterator[Any]:
        return (self[i] for i in range(len(self)))

    def __contains__(self, tile: object) -> bool:
        return any(tile is one for one in self._present())

    def __getitem__(self, item: Any) -> Any:
        axes = [part for part in item if part is not ...] if isinstance(item, tuple) else []
        if len(axes) > len(self.shape):
            raise SelectionError(
                f"index {item!r}: a mosaic of shape {self.shape} has no more axes. "
                "mosaic.slice_tiles[...] slices in its tiles"
            )
        chosen, places = self._tiles[item], self._places[item]
        if not isinstance(chosen, np.ma.MaskedArray) or chosen is np.ma.masked:
            return chosen
        absent = np.ma.getmaskarray(chosen)
        if chosen.size and absent.all():
            return np.ma.masked
        # Not `filled(None)`: None asks it for the default.
        tiles = np.where(absent, np.array(None, object), chosen.data)
        return self._part(tiles, places)

    # Every tile alike -----------------------------------------------------------------------

    def _each(self, select: Callable[[Dataset], Dataset]) -> Self:
        """Select from every tile; tiles outside of the selection are left out."""
        tiles = np.full(self.shape, None, object)
        outside: OutsideError | None = None
        for place in map(tuple, np.argwhere(~self.mask).tolist()):
            try:
                tiles[place] = select(self._tiles[place])
            except OutsideError as error:
                outside = outside or OutsideError(f"no tile has it. {list(place)}: {error}")
            except SelectionError as error:
                raise SelectionError(f"tile {list(place)}: {error}") from error
        if outside is not None and all(tile is None for tile in tiles.flat):
            raise outside
        return self._part(tiles, self._places)

    @property
    def slice_tiles(self) -> _TileSlicer[Self]:
        """Slice every tile alike: ``mosaic.slice_tiles[0, 10:20]``."""
        return _TileSlicer(self)

    def crop(
        self,
        *points: object,
        keepdims: bool = False,
        screen: Literal["spherical"] | None = None,
    ) -> Self:
        """Crop every tile, as `Dataset.crop` does; reads nothing.

        Tiles outside are masked in the result. An axis is dropped where a single pixel of it is
        left in every tile. If all tiles are outside, `SelectionError` is raised.
        """
        cropped = self._each(lambda tile: tile.crop(*points, keepdims=True, screen=screen))
        if keepdims:
            return cropped
        before = [tile.shape for tile in self._tiles[~cropped.mask]]
        after = [tile.shape for tile in cropped._present()]
        if len(set(map(len, after))) != 1:
            return cropped
        single = [set(n) == {1} for n in zip(*after, strict=True)]
        dropped = tuple(
            0 if alone and max(n) > 1 else slice(None)
            for alone, n in zip(single, zip(*before, strict=True), strict=True)
        )
        return cropped.slice_tiles[dropped]

    def at(self, **coordinates: Any) -> Self:
        """Select in every tile the pixels nearest to some coordinates, as `Dataset.at` does.

        Tiles that do not reach there are masked in the result. If no tile does, `SelectionError`
        is raised.
        """
        check_keywords("at", coordinates, (*COORDINATES, "screen"))
        return self._each(lambda tile: tile.at(**coordinates))

    # What belongs to them -------------------------------------------------------------------

    @property
    def inventory(self) -> dict[str, Any] | None:
        """The Data Center's record of the dataset."""
        return self.meta.get("inventory")

    @property
    def combined_headers(self) -> HeaderTable | None:
        """The header table of all tiles, row-major; `tile_of_row` says which row is whose.

        A column that is set in it is set in the headers of the tiles. None where no tile has
        headers, as after `Dataset.rebin`; an error where only some have.
        """
        tables = [tile.headers for tile in self._present()]
        if all(table is None for table in tables):
            return None
        self._check_headers()
        return CombinedHeaders.of_tiles([table for table in tables if table is not None])

    headers = combined_headers

    def _check_headers(self) -> None:
        for place, tile in zip(np.argwhere(~self.mask).tolist(), self._present(), strict=True):
            if tile.headers is None:
                raise DatasetError(
                    f"tile {place}: has no headers, being computed from {tile.lineage.source}: its "
                    "pixels are not of single frames. mosaic[i, j].headers has those of the other "
                    "tiles"
                )

    @property
    def tile_of_row(self) -> NDArray[np.int64]:
        """The place of the tile of each row of `combined_headers` and `files`: (rows, grid axes).

        MINDEX1 and MINDEX2 of the headers may count in another way.
        """
        self._check_headers()
        counts = [count_rows(tile) for tile in self._present()]
        places: NDArray[np.int64] = np.repeat(np.argwhere(~self.mask), counts, axis=0)
        return places

    @property
    def files(self) -> Files:
        """The files of all tiles, row-major; an error where a tile is computed."""
        sources = tuple(source for tile in self._present() for source in tile.files.sources)
        return Files(sources, inventory=self.inventory, present=~np.asarray(self.mask))

    def download(
        self, path: str | os.PathLike[str] | None = None, **options: Any
    ) -> Downloaded | Transfer:
        """Download the frames of all tiles at once, as `Dataset.download` does."""
        return self.files.download(path, **options)

    @overload
    def plot(
        self, slice_index: None = None, *, figure: Figure | None = None, **look: Any
    ) -> MosaicPlot: ...
    @overload
    def plot(
        self, slice_index: Any, share_zscale: bool = False, figure: Figure | None = None,
        swap_tile_limits: str | None = None, *, hide_internal_tick_labels: bool = False,
        **look: Any,
    ) -> Figure: ...  # fmt: skip

    def plot(
        self,
        slice_index: Any = None,
        share_zscale: bool = False,
        figure: Figure | SubFigure | None = None,
        swap_tile_limits: str | None = None,
        *,
        hide_internal_tick_labels: bool = False,
        **look: Any,
    ) -> MosaicPlot | Figure:
        """Draw all tiles in their places on the sky, with a slider for each other axis.

        The tiles' last two axes have to be on the sky. With `slice_index`, draw that slice of each
        tile in axes of its own, as dkist does.

        Parameters
        ----------
        slice_index : int, slice, Ellipsis or sequence of them, optional
            Leaves two axes of each tile. The grid's first axis goes to the right, its second
            upwards.
        share_zscale : bool
            With `slice_index`: whether the tiles share a contrast. The tiles on the sky always do.
        figure : matplotlib.figure.Figure or SubFigure, optional
            To draw in; by default a new one of pyplot's, with `slice_index` its current one.
        swap_tile_limits : {"x", "y", "xy"}, optional
            With `slice_index`: axes of each tile to be turned around.
        hide_internal_tick_labels : bool
            With `slice_index`.
        **look
            vmin, vmax, which may be Quantities, cmap, title; with `slice_index` those of
            `Dataset.plot` with `axes`.

        Returns
        -------
        MosaicPlot or matplotlib.figure.Figure
            The figure with `slice_index`.
        """
        if slice_index is not None:
            from dkist_virtual.dataset.plots.tile_grid import draw_tiles

            look |= {
                "share_zscale": share_zscale,
                "swap_tile_limits": swap_tile_limits,
                "hide_internal_tick_labels": hide_internal_tick_labels,
            }
            return draw_tiles(self, slice_index, figure, look)
        from dkist_virtual.plot.interface.keywords import convert_limits, one_figure
        from dkist_virtual.plot.mosaic_plot import MosaicPlot

        of_slices = {"swap_tile_limits": swap_tile_limits,
                     "hide_internal_tick_labels": hide_internal_tick_labels}  # fmt: skip
        if asked := [name for name, value in of_slices.items() if value]:
            raise TypeError(
                f"plot of a mosaic: {asked[0]}: is for tiles in axes of their own: "
                "mosaic.plot(slice_index, ...)"
            )
        known = ("figure", "fig", "vmin", "vmax", "cmap", "title", "slice_index", "share_zscale")
        check_keywords("plot of a mosaic", look, known)
        figure = one_figure(figure, look.pop("fig", None))
        tiles = self._present()
        look = convert_limits(look, tiles[0].unit)
        return MosaicPlot([tile.subject() for tile in tiles], figure=figure, **look)

    def to_xarray(self, headers: Sequence[str] | None = None) -> xarray.Dataset:
        """Export the tiles as variables of an xarray Dataset, named as in the store.

        Names of variables, dimensions and coordinates end in the tile's place in the mosaic:
        ``data_0_1`` has the dimension ``spatial_x_0_1`` and the coordinate ``time_0_1``. In a part
        of a mosaic it is the place in the whole, and no tile may be in it twice. For the rest see
        `Dataset.to_xarray`.
        """
        places = ["".join(f"_{n}" for n in place) for place in self._places[~self.mask]]
        return tiles_to_xarray(self._present(), places, self.meta.without_headers(), headers)

    def overview(self) -> Overview:
        """Return what is printed, as values."""
        from dkist_virtual.dataset.summary import overview_of

        present = tuple((int(i), int(j)) for i, j in np.argwhere(np.atleast_2d(~self.mask)))
        shape = np.atleast_2d(self.mask).shape
        return overview_of("TiledDataset", self._present(), grid=shape, present=present)


class _TileSlicer(Generic[_Mosaic]):
    """Slice every tile of a mosaic by indexing this."""

    def __init__(self, mosaic: _Mosaic) -> None:
        self._mosaic = mosaic

    def __getitem__(self, item: Index) -> _Mosaic:
        return self._mosaic._each(itemgetter(item))


class _TileHeaders:
    """Own the header table of a mosaic: those of its tiles."""

    def __init__(self, mosaic: TiledDataset) -> None:
        self._mosaic = mosaic

    def table(self) -> HeaderTable | None:
        return self._mosaic.combined_headers

    def replace(self, table: object) -> None:
        if table_equals(table, self.table()):
            return
        raise DatasetError(
            "meta: the headers of a mosaic are those of its tiles: mosaic[i, j].meta['headers'] "
            "may be set, and columns of mosaic.combined_headers"
        )

    def __deepcopy__(self, memo: dict[int, Any]) -> _TileHeaders:
        return _TileHeaders(memo.get(id(self._mosaic), self._mosaic))


class _TileMask(np.ndarray[Any, np.dtype[np.bool_]]):
    """A copy of the mask of a mosaic: writing to it hides tiles and shows them again."""

    _mosaic: TiledDataset | None = None
    _whole: NDArray[np.bool_] | None = None

    @classmethod
    def of(cls, mosaic: TiledDataset) -> Self:
        """Copy the mask of a mosaic, which changes with the copy."""
        whole = mosaic._hidden.copy()
        mask = whole.view(cls)
        mask._mosaic, mask._whole = mosaic, whole
        return mask

    def __array_finalize__(self, other: object) -> None:
        self._mosaic = getattr(other, "_mosaic", None)
        self._whole = getattr(other, "_whole", None)

    def __setitem__(self, item: Any, value: object) -> None:
        whole, mosaic = self._whole, self._mosaic
        if whole is None or mosaic is None or not np.shares_memory(self, whole):
            super().__setitem__(item, value)
            return
        before = whole.copy()
        super().__setitem__(item, value)
        try:
            mosaic.mask = np.where(whole != before, whole, mosaic._hidden)
        except DatasetError:
            whole[...] = before
            raise

    def fill(self, value: ArrayLike) -> None:
        """Hide all tiles, or show all."""
        self[...] = value

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **options: Any) -> Any:
        # An operation in place, such as |=, changes the mosaic too.
        written = options.pop("out", ())
        given = (x.view(np.ndarray) if isinstance(x, _TileMask) else x for x in inputs)
        result = getattr(ufunc, method)(*given, **options)
        for out in written:
            if out is not None:
                out[...] = result
                return out
        return result

    def __array_function__(
        self, function: Callable[..., Any], types: Any, args: Any, options: Mapping[str, Any]
    ) -> Any:
        if function not in (np.copyto, np.putmask, np.place):
            return super().__array_function__(function, types, args, options)
        target, *others = args
        copy = np.array(target)
        function(copy, *others, **options)
        target[...] = copy
        return None

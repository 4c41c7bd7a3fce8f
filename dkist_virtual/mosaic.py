"""Mosaics: a grid of datasets, one per tile on the sky."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from dkist_virtual.dataset import Dataset
from dkist_virtual.errors import DatasetError
from dkist_virtual.files import Files
from dkist_virtual.opened import Opened, open_asdf
from dkist_virtual.provenance import Meta
from dkist_virtual.summary import overview_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from dkist_virtual.download import Downloaded
    from dkist_virtual.mosaic_plot import MosaicPlot
    from dkist_virtual.overview import Overview
    from dkist_virtual.places import FramePlaces
    from dkist_virtual.store import Missing

__all__ = ["TiledDataset"]


class TiledDataset:
    """The tiles of a mosaic, by their place in dkist's tile array.

    ``mosaic[i, j]`` is the `Dataset` of a tile, or `numpy.ma.masked` where there is none;
    slices give smaller mosaics. `slice_tiles` slices every tile alike.

    Parameters
    ----------
    tiles : numpy.ndarray of object
        Datasets, None where there is no tile.
    meta : dict
        Of the whole mosaic, without headers: those are the tiles'.
    """

    __array_ufunc__ = None  # numpy would take a mosaic for an array of objects

    def __init__(self, tiles: NDArray[np.object_], meta: dict[str, Any]) -> None:
        absent = np.array([tile is None for tile in tiles.flat], bool).reshape(tiles.shape)
        if absent.all():
            raise DatasetError("a mosaic needs at least one tile")
        self._tiles = np.ma.MaskedArray(tiles, mask=absent, dtype=object)
        self.meta = Meta(meta, self._combined_headers)

    @classmethod
    def from_opened(cls, opened: Opened) -> Self:
        """Put the datasets of an opened mosaic in their places."""
        description = opened.description
        if description.grid is None:
            raise DatasetError("is no mosaic: dv.open_dataset and dv.Dataset.from_asdf open it")
        tiles = np.full(description.grid, None, object)
        for tile, ds in zip(description.tiles, opened.datasets(Dataset), strict=True):
            assert tile.index is not None
            tiles[tile.index] = ds
        meta = {
            **description.meta,
            "inventory": description.inventory,
            "history": description.history,
        }
        return cls(tiles, meta)

    @classmethod
    def from_asdf(
        cls,
        asdf: str | os.PathLike[str],
        *,
        frames: FramePlaces = None,
        missing: Missing = "raise",
        chunks: Any = "auto",
        storage_options: dict[str, dict[str, Any]] | None = None,
        cache: str | os.PathLike[str] | None = None,
    ) -> Self:
        """Open a mosaic from its ASDF alone, as `Dataset.from_asdf` does a dataset."""
        opened = open_asdf(
            asdf,
            frames=frames,
            missing=missing,
            chunks=chunks,
            storage_options=storage_options,
            cache=cache,
        )
        try:
            return cls.from_opened(opened)
        except DatasetError as error:
            raise DatasetError(f"{os.fspath(asdf)}: {error}") from None

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the grid of tiles."""
        return tuple(self._tiles.shape)

    @property
    def mask(self) -> NDArray[np.bool_]:
        """True where there is no tile."""
        return np.ma.getmaskarray(self._tiles).copy()

    @property
    def flat(self) -> list[Dataset]:
        """The tiles that are there, row-major."""
        return list(self._tiles.compressed())

    def __len__(self) -> int:
        return self.shape[0]

    def __iter__(self) -> Iterator[Any]:
        return (self[i] for i in range(len(self)))

    def __getitem__(self, item: Any) -> Any:
        chosen = self._tiles[item]
        if isinstance(chosen, np.ma.MaskedArray) and chosen is not np.ma.masked:
            # Not `filled(None)`: None asks it for the default.
            absent = np.array(None, object)
            tiles = np.where(np.ma.getmaskarray(chosen), absent, chosen.data)
            return type(self)(tiles, self.meta.without_headers())
        return chosen

    @property
    def slice_tiles(self) -> _TileSlicer:
        """Slices every tile alike: ``mosaic.slice_tiles[0, 10:20]``."""
        return _TileSlicer(self)

    @property
    def tiles_shape(self) -> list[tuple[int, ...]]:
        """The shape of the data of each tile that is there, row-major."""
        return [tile.shape for tile in self.flat]

    @property
    def inventory(self) -> dict[str, Any] | None:
        """The Data Center's record of the dataset."""
        return self.meta.get("inventory")

    @property
    def combined_headers(self) -> Any:
        """The header table of all tiles, row-major."""
        return self.meta["headers"]

    def _combined_headers(self) -> Any:
        from astropy.table import vstack

        tables = [tile.headers for tile in self.flat]
        return tables[0] if len(tables) == 1 else vstack(tables, metadata_conflicts="silent")

    headers = combined_headers

    @property
    def files(self) -> Files:
        """The files of all tiles, row-major."""
        files = [tile.files for tile in self.flat]

        def about(number: int, positions: NDArray[np.int64], column: str) -> NDArray[np.int64]:
            return files[number]._about(0, positions, column)

        return Files(tuple(one.arrays[0] for one in files), about)

    def download(self, path: str | os.PathLike[str], **options: Any) -> Downloaded:
        """Fetch the frames of all tiles at once, as `Dataset.download` does."""
        return self.files.download(path, **options)

    def plot(self, *, figure: Figure | None = None, **look: Any) -> MosaicPlot:
        """Draw all tiles in their places on the sky, with a slider for each other axis.

        Parameters
        ----------
        figure : matplotlib.figure.Figure, optional
            To draw in; by default a new one of pyplot's.
        **look
            vmin, vmax, cmap.

        Raises
        ------
        SelectionError
            The tiles' last two axes are not on the sky.
        """
        from dkist_virtual.mosaic_plot import MosaicPlot

        return MosaicPlot([tile.subject() for tile in self.flat], figure=figure, **look)

    def overview(self) -> Overview:
        """What is printed, as values."""
        present = tuple((int(i), int(j)) for i, j in np.argwhere(np.atleast_2d(~self.mask)))
        return overview_of(
            self, "TiledDataset", self.flat, grid=np.atleast_2d(self.mask).shape,
            present=present,
        )  # fmt: skip

    def __str__(self) -> str:
        return self.overview().text()

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>\n{self}"

    def _repr_html_(self) -> str:
        return self.overview().html()


class _TileSlicer:
    """What `TiledDataset.slice_tiles` gives: indexing it slices every tile."""

    def __init__(self, mosaic: TiledDataset) -> None:
        self._mosaic = mosaic

    def __getitem__(self, item: Any) -> TiledDataset:
        sliced = np.full(self._mosaic.shape, None, object)
        for place in np.argwhere(~self._mosaic.mask):
            sliced[tuple(place)] = self._mosaic[tuple(place)][item]
        return TiledDataset(sliced, self._mosaic.meta.without_headers())

"""What a scientist holds: data, WCS, headers and files of a dataset, sliced together."""

from __future__ import annotations

import io
import os
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
from astropy.time import Time
from ndcube import NDCube

from dkist_virtual.arrays import VirtualArray
from dkist_virtual.asdf_file import asdf_on_disk
from dkist_virtual.assembly import references_of
from dkist_virtual.crop import crop_index, nearest_index
from dkist_virtual.description import METADATA_NAME, Description, read_description
from dkist_virtual.errors import DatasetError, SelectionError, StoreCorruptError
from dkist_virtual.fetch import Fetcher, is_local, join, local_path
from dkist_virtual.files import Files
from dkist_virtual.handle import StoreHandle
from dkist_virtual.header_table import HeaderTable
from dkist_virtual.overview import Overview, describe_wcs
from dkist_virtual.places import FramePlaces, place_of, places_of
from dkist_virtual.provenance import HeaderSource, Meta, Provenance, StoredHeaders, TableHeaders
from dkist_virtual.selection import BasicIndex, Selection, full_index
from dkist_virtual.source import read_source
from dkist_virtual.world import World, high_level, slice_wcs

if TYPE_CHECKING:
    import dask.array

    from dkist_virtual.download import Downloaded
    from dkist_virtual.store import Missing
    from dkist_virtual.world import Kind

__all__ = ["Dataset", "Opened", "open_asdf", "open_store"]


class Dataset(NDCube):  # type: ignore[misc]  # ndcube comes without types
    """A dataset whose pixels stay in their frames until they are computed.

    Slicing selects in data, WCS, headers, mask and files alike, and reads nothing. Made by
    `dkist_virtual.open_dataset` or `from_asdf`; arithmetic makes datasets whose pixels belong to
    no files.

    Parameters
    ----------
    data : VirtualArray or array
    wcs : gwcs.WCS or other WCS
    provenance : Provenance, optional
        Where `data` comes from, when it is a `VirtualArray`.
    **kwargs
        What `ndcube.NDCube` takes: uncertainty, mask, meta, unit, copy, psf.
    """

    def __init__(
        self, data: Any, wcs: Any = None, *, provenance: Provenance | None = None, **kwargs: Any
    ) -> None:
        self._provenance = provenance
        self._dask: tuple[Any, dask.array.Array] | None = None
        meta = kwargs.get("meta")
        if provenance is None and isinstance(meta, Meta) and meta.shape != np.shape(data):
            # Rebinned or otherwise reshaped: no row belongs to a pixel any more.
            kwargs["meta"] = meta.without_headers()
        super().__init__(data, wcs, **kwargs)

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
        """Open a dataset from its ASDF alone; no store is written and no frame looked at.

        Parameters
        ----------
        asdf : path
            The ASDF, or a directory with one.
        frames, missing, chunks, storage_options, cache
            As in `dkist_virtual.open_dataset`.

        Raises
        ------
        DatasetError
            The ASDF holds no dataset, or a mosaic, which is a `TiledDataset`.
        """
        opened = open_asdf(
            asdf,
            frames=frames,
            missing=missing,
            chunks=chunks,
            storage_options=storage_options,
            cache=cache,
        )
        if opened.description.grid is not None:
            raise DatasetError(
                f"{os.fspath(asdf)}: is a mosaic. dv.open_dataset and dv.TiledDataset.from_asdf "
                "open it"
            )
        dataset: Self = opened.datasets(cls)[0]
        return dataset

    @property
    def data(self) -> Any:
        """The pixels: a dask array, built from the selection when it is first asked for.

        Its slices select from the frames, as the dataset's own do. What is computed from it is
        ordinary dask, which hands only the first slice of an array on to whoever reads it.
        """
        if isinstance(self._data, VirtualArray):
            token = self._data.token()
            if self._dask is None or self._dask[0] != token:  # another one after a download
                assert self._provenance is not None
                self._dask = token, self._data.dask(self._provenance.chunks)
            return self._dask[1]
        return self._data

    @data.setter
    def data(self, value: Any) -> None:
        NDCube.data.fset(self, value)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the data."""
        return tuple(self._data.shape)

    @property
    def headers(self) -> HeaderTable | None:
        """The header table, one row per frame of the selection, in C order.

        A row leaves out of its ``keys()`` the cards that its frame did not have, so that
        ``WCS(ds.headers[i])`` works. None where the pixels come from no frames.
        """
        table: HeaderTable | None = self.meta.get("headers")
        return table

    @property
    def inventory(self) -> dict[str, Any] | None:
        """The Data Center's record of the dataset."""
        record: dict[str, Any] | None = self.meta.get("inventory")
        return record

    @property
    def files(self) -> Files:
        """The files behind the selection.

        Raises
        ------
        DatasetError
            The pixels come from arithmetic, and belong to no files.
        """
        if self._provenance is None:
            raise DatasetError(
                "the pixels of this dataset come from arithmetic: they were computed, or will be, "
                "and are those of no files"
            )
        return Files((self._provenance.array,), self._provenance.about)

    def download(self, path: str | os.PathLike[str], **options: Any) -> Downloaded:
        """Fetch the frames of the selection into a directory, and read them there from then on.

        Parameters
        ----------
        path : path
        **options
            verify, dry_run, workers, progress: as `Files.download` takes them.

        Raises
        ------
        DownloadError
            Files that did not come, once the others are there.
        """
        return self.files.download(path, **options)

    def __getitem__(self, item: Any) -> Dataset:
        if self._provenance is None:
            return super().__getitem__(item)  # type: ignore[no-any-return]
        index = full_index(item, len(self.shape))
        array = self._provenance.array.select(index)
        if not array.shape:
            raise SelectionError(
                f"index {item!r}: leaves a single pixel, which has no WCS: "
                "ds.data[...] gives its value"
            )
        cut = self._provenance.cut[index]
        provenance = replace(self._provenance, array=array, cut=cut)
        meta = Meta(self.meta.without_headers(), provenance.headers, array.shape)
        sliced = type(self)(
            array,
            slice_wcs(provenance.wcs, cut),
            provenance=provenance,
            mask=_sliced(self.mask, index, self.shape),
            uncertainty=None if self.uncertainty is None else self.uncertainty[index],
            meta=meta,
            unit=self.unit,
            psf=self.psf,
        )
        sliced._global_coords._internal_coords = self.global_coords._internal_coords
        if self.extra_coords.keys():
            sliced._extra_coords = self.extra_coords[index]
        return sliced

    # Selecting by coordinates -----------------------------------------------------------

    def crop(self, *points: Any, keepdims: bool = False, wcs: Any = None) -> Dataset:
        """Select what lies between points in world coordinates; reads nothing.

        Any coordinates, in any order, each alone too. Those of the same kind span a range, and
        the result is the smallest box of pixels that holds all whose centres lie in every range,
        and the pixels in which the ends of a range lie.

        Parameters
        ----------
        *points : coordinates, or lists of them
            `~astropy.coordinates.SkyCoord`, `~astropy.time.Time`,
            `~astropy.coordinates.SpectralCoord`, Stokes letters and quantities, each with one
            value or several; None stands for any.
        keepdims : bool
            Whether axes on which a single pixel is left stay; they are dropped by default, as
            ndcube does.
        wcs : WCS or ExtraCoords, optional
            Other coordinates than the dataset's own: handed to `ndcube.NDCube.crop`.

        Raises
        ------
        SelectionError
            No such coordinate in this selection, or outside of it.

        Examples
        --------
        >>> ds.crop([630.1, 630.3] * u.nm)  # doctest: +SKIP
        >>> ds.crop("V", Time("2022-10-24T19:00"), Time("2022-10-24T19:05"))  # doctest: +SKIP
        >>> ds.crop([sky_a, "I"], [sky_b, "Q"])  # doctest: +SKIP
        """
        if wcs is not None and wcs is not self.wcs:
            return super().crop(*points, wcs=wcs, keepdims=keepdims)  # type: ignore[no-any-return]
        index: list[int | slice] = list(crop_index(World(self.wcs, self.shape), points))
        for axis, (part, n) in enumerate(zip(tuple(index), self.shape, strict=True)):
            assert isinstance(part, slice)
            if part.stop - part.start == 1 and n > 1 and not keepdims:
                index[axis] = part.start
        if not any(isinstance(part, slice) for part in index):
            raise SelectionError(
                f"crop to {points!r}: leaves a single pixel, {tuple(index)}, which has no WCS: "
                "keepdims=True keeps its axes"
            )
        return self[tuple(index)]

    def at(
        self, *, wavelength: Any = None, stokes: Any = None, time: Any = None, sky: Any = None
    ) -> Dataset:
        """Select the pixels nearest to some coordinates; reads nothing.

        Every axis of the array along which a given coordinate changes is held there: a moment
        holds both the repeat and the wavelength of a VTF dataset, which are taken one after the
        other. Coordinates that change along few pixels go first, so that
        ``at(wavelength=..., time=...)`` is, of the frames of that wavelength, the nearest in time.

        Parameters
        ----------
        wavelength : Quantity, optional
            Or a frequency, or an energy.
        stokes : str, optional
        time : astropy.time.Time or str, optional
        sky : astropy.coordinates.SkyCoord, optional

        Raises
        ------
        SelectionError
            No such coordinate in this selection, or outside of it.

        Examples
        --------
        >>> ds.at(wavelength=630.25 * u.nm, stokes="V")  # doctest: +SKIP
        """
        moment = Time(time) if isinstance(time, str) else time
        given: dict[Kind, Any] = {
            "stokes": stokes, "wavelength": wavelength, "time": moment, "longitude": sky,
        }  # fmt: skip
        points = {kind: value for kind, value in given.items() if value is not None}
        return self[nearest_index(World(self.wcs, self.shape), points)]

    # Overview ---------------------------------------------------------------------------

    def overview(self) -> Overview:
        """What is printed, as values."""
        return overview_of(self, "Dataset", [self])

    def __str__(self) -> str:
        return self.overview().text()

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>\n{self}"

    def _repr_html_(self) -> str:
        return self.overview().html()


def overview_of(
    ds: Any, kind: Literal["Dataset", "TiledDataset"], tiles: list[Dataset], **mosaic: Any
) -> Overview:
    """The overview of a dataset, or of a mosaic by its first tile."""
    first = tiles[0]
    inventory = first.inventory or {}
    axes, worlds, correlation = describe_wcs(first.wcs, first.shape, _axis_names(first))
    provenance = first._provenance
    facts: dict[str, Any] = {}
    if provenance is not None:
        store = provenance.array.handle.store
        attributes = store.references.attributes
        origin = provenance.description.origin
        files = ds.files
        n_frames = len(files)
        whole = attributes.get("n_frames")
        facts = {
            "n_frames": n_frames,
            "n_bytes": files.nbytes,
            "total_frames": whole if whole != n_frames else None,
            "total_bytes": attributes.get("n_bytes") if whole != n_frames else None,
            "place": str(files.basepath),
            "store": provenance.array.handle.url,
            "made_from": (
                str(origin.get("asdf", "?")),
                origin.get("created"),
                origin.get("version"),
            ),
            "missing": provenance.array.handle.missing,
        }
    return Overview(
        kind=kind,
        instrument=inventory.get("instrumentName"),
        dataset_id=inventory.get("datasetId"),
        product_id=inventory.get("productId"),
        dtype=str(first._data.dtype),
        shape=first.shape,
        unit=None if first.unit is None else first.unit.to_string(),
        array=_array_line(first),
        array_axes=axes,
        world_axes=worlds,
        correlation=correlation,
        **facts,
        **mosaic,
    )


def _axis_names(ds: Dataset) -> list[str] | None:
    if ds._provenance is None:
        return None
    array = ds._provenance.array
    names = array.metadata.attributes.get("axis_names", [])
    return [names[axis] for axis in array.selection.kept] if names else None


def _array_line(ds: Dataset) -> str:
    """A line about the data that builds no graph."""
    if ds._provenance is None:
        kind = type(ds.data)
        name = f"{kind.__module__.partition('.')[0]}.{kind.__name__}"
        return f"{name}, shape {ds.shape}, {ds.data.dtype}"
    array = ds._provenance.array
    sizes = array.dask_chunks(ds._provenance.chunks)
    n = int(np.prod([len(axis) for axis in sizes]))
    chunk = tuple(max(axis) for axis in sizes)
    return f"dask.array, shape {ds.shape}, {array.dtype}, {n} chunk{'s' * (n > 1)} of {chunk}"


# Slicing ------------------------------------------------------------------------------------


def _sliced(mask: Any, index: BasicIndex, shape: tuple[int, ...]) -> Any:
    """A mask of the data's shape, sliced; another one as it is."""
    return mask[index] if getattr(mask, "shape", None) == shape else mask


# Opening ------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Opened:
    """A store or an ASDF, opened: what datasets are made of.

    Parameters
    ----------
    handle : StoreHandle
    source : HeaderSource
    description : Description
    chunks : Any
    """

    handle: StoreHandle
    source: HeaderSource
    description: Description
    chunks: Any

    def datasets(self, cls: type[Any] = Dataset) -> list[Any]:
        """One dataset for each array, in the order of the tiles."""
        made = []
        first_row = 0
        arrays = self.handle.store.references.arrays
        if len(arrays) != len(self.description.tiles):
            raise StoreCorruptError(
                f"{self.handle.url}: {len(arrays)} arrays in the references, "
                f"{len(self.description.tiles)} tiles in {METADATA_NAME}. Convert again"
            )
        shared = {
            **self.description.meta,
            "inventory": self.description.inventory,
            "history": self.description.history,
        }
        for (name, (metadata, _)), tile in zip(arrays.items(), self.description.tiles, strict=True):
            selection = Selection.whole(metadata.shape)
            if "subslice" in metadata.attributes:
                cut = metadata.attributes["subslice"]
                selection = selection[tuple(slice(*c) if isinstance(c, list) else c for c in cut)]
            array = VirtualArray(self.handle, name, selection)
            wcs = high_level(tile.wcs, array.shape)
            provenance = Provenance(
                array,
                self.source,
                first_row,
                self.chunks,
                self.description,
                wcs,
                Selection.whole(array.shape),
            )
            meta = Meta({**shared, **tile.meta}, provenance.headers, array.shape)
            made.append(
                cls(array, wcs, provenance=provenance, mask=tile.mask, unit=tile.unit, meta=meta)
            )
            first_row += metadata.n_frames
        return made


def open_asdf(
    asdf: str | os.PathLike[str],
    *,
    frames: FramePlaces = None,
    missing: Missing = "raise",
    chunks: Any = "auto",
    storage_options: dict[str, dict[str, Any]] | None = None,
    cache: str | os.PathLike[str] | None = None,
) -> Opened:
    """Open a dataset from its ASDF, with references made in memory."""
    options = dict(storage_options or {})
    with asdf_on_disk(os.fspath(asdf), Fetcher(options, place_of(cache))) as (path, directory, _):
        source = read_source(path)
        headers = source.headers
        if not is_local(os.fspath(asdf)):
            headers.columns  # noqa: B018  # reads them: this file is not kept
    references = references_of(source, directory)
    handle = StoreHandle(None, references, missing, places_of(frames), options, place_of(cache))
    table = headers if isinstance(headers, HeaderTable) else HeaderTable(headers, copy=False)
    return Opened(handle, TableHeaders(table), source.description, chunks)


def open_store(
    store: str,
    *,
    frames: FramePlaces = None,
    missing: Missing = "raise",
    chunks: Any = "auto",
    storage_options: dict[str, dict[str, Any]] | None = None,
    cache: str | os.PathLike[str] | None = None,
) -> Opened:
    """Open a store by its directory."""
    handle = StoreHandle(
        store, None, missing, places_of(frames), dict(storage_options or {}), place_of(cache)
    )
    reader = handle.open_with((METADATA_NAME,))
    place = join(store, METADATA_NAME)
    if is_local(place):
        description = read_description(local_path(place))
    else:
        try:
            description = read_description(io.BytesIO(reader(METADATA_NAME)))
        except FileNotFoundError:
            raise StoreCorruptError(f"{place}: is missing from the store") from None
    return Opened(handle, StoredHeaders(handle), description, chunks)

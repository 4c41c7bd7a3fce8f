"""What a scientist holds: data, WCS, headers and files of a dataset, sliced together."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
from ndcube import NDCube

from dkist_virtual.arrays import VirtualArray
from dkist_virtual.crop import as_points, crop_index, nearest_index
from dkist_virtual.errors import DatasetError, SelectionError
from dkist_virtual.export import to_xarray
from dkist_virtual.files import Files
from dkist_virtual.opened import open_asdf
from dkist_virtual.overview import Overview, describe_wcs
from dkist_virtual.provenance import Meta, Provenance
from dkist_virtual.selection import BasicIndex, full_index
from dkist_virtual.skymap import TOLERANCE, to_map
from dkist_virtual.world import World, slice_wcs

if TYPE_CHECKING:
    from collections.abc import Sequence

    import dask.array
    import xarray
    from matplotlib.figure import Figure
    from sunpy.map import GenericMap

    from dkist_virtual.download import Downloaded
    from dkist_virtual.globus import Transfer
    from dkist_virtual.headers import HeaderTable
    from dkist_virtual.lines import LinePlot
    from dkist_virtual.places import FramePlaces
    from dkist_virtual.planes import Subject
    from dkist_virtual.plot import ImagePlot
    from dkist_virtual.store import Missing

__all__ = ["Dataset", "overview_of"]


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
        return Files((self._provenance.array,), self._provenance.about, inventory=self.inventory)

    def download(self, path: str | os.PathLike[str], **options: Any) -> Downloaded | Transfer:
        """Fetch the frames of the selection into a directory, and read them there from then on.

        Parameters
        ----------
        path : path
        **options
            verify, dry_run, workers, progress, via: as `Files.download` takes them.

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
        points = as_points(wavelength=wavelength, stokes=stokes, time=time, sky=sky)
        return self[nearest_index(World(self.wcs, self.shape), points)]

    # Looking ----------------------------------------------------------------------------

    def subject(self) -> Subject:
        """What those see of this dataset who draw it."""
        from dkist_virtual.planes import Subject, context

        world = World(self.wcs, self.shape)
        names = _axis_names(self) or [f"axis_{axis}" for axis in range(len(self.shape))]
        inventory = self.inventory or {}
        title = [inventory.get("instrumentName"), inventory.get("datasetId")]
        whole, held = world, {}
        if self._provenance is not None:
            cut = self._provenance.cut
            whole = World(self._provenance.wcs, cut.shape)
            held = context(whole, cut.axes)
        return Subject(
            data=self._data,
            mask=self.mask,
            world=world,
            axis_names=tuple(names),
            unit="" if self.unit is None else str(self.unit),
            title=" ".join(part for part in title if part),
            held=held,
            whole=whole,
        )

    def plot(
        self, plot_axes: Sequence[Any] | None = None, *, figure: Figure | None = None, **look: Any
    ) -> ImagePlot | LinePlot:
        """Draw an image of two axes, or a line along one, with a slider for each of the others.

        One plane is read, and another one when a slider moves.

        Parameters
        ----------
        plot_axes : sequence, optional
            For each axis of the array ``"x"``, ``"y"`` or None, as in ndcube; an Ellipsis stands
            for any number of None. By default the last two: those of a frame.
        figure : matplotlib.figure.Figure, optional
            To draw in; by default a new one of pyplot's.
        **look
            Of an image vmin, vmax, cmap, norm; of a line color, marker and so on.

        Returns
        -------
        ImagePlot or LinePlot
            Whose `show`, `step` and `at` do what sliders do, and `save` writes a file.

        Examples
        --------
        >>> ds.plot().at(wavelength=630.25 * u.nm, stokes="V")  # doctest: +SKIP
        >>> ds[0, :, 500].plot()  # a raster map  # doctest: +SKIP
        >>> ds.plot(plot_axes=[None, "x", ..., None, "y"])  # doctest: +SKIP
        """
        from dkist_virtual.plot import draw

        return draw(self.subject(), plot_axes, figure=figure, **look)

    def plot_profile(
        self,
        pixel: Sequence[int] | None = None,
        *,
        along: str | int | None = None,
        figure: Figure | None = None,
        **look: Any,
    ) -> LinePlot:
        """Draw the spectrum of a pixel, or whatever changes along an axis.

        Stokes parameters have panels of their own, other axes sliders. Reads of each frame the
        tiles that the pixel lies in.

        Parameters
        ----------
        pixel : sequence of int, optional
            Where along the last of the axes that have sliders; by default the first pixel of each.
        along : {"wavelength", "time", "stokes"} or int, optional
            What the line runs along, or which axis of the array; by default the first of those
            words that the selection has.
        figure : matplotlib.figure.Figure, optional
        **look
            What lines take: color, marker and so on.

        Raises
        ------
        SelectionError
            No such axis, or no such pixel.

        Examples
        --------
        >>> ds.plot_profile((500, 700))  # VTF: y, x  # doctest: +SKIP
        >>> ds.at(sky=position).plot_profile()  # doctest: +SKIP
        """
        from dkist_virtual.plot import draw_profile

        return draw_profile(self.subject(), pixel, along=along, figure=figure, **look)

    # Other libraries --------------------------------------------------------------------

    def to_xarray(self, headers: Sequence[str] | None = None) -> xarray.DataArray:
        """The selection as an xarray DataArray; reads no frame.

        Its dimensions are named as in the store. World coordinates lie along the dimensions along
        which they change, and are called ``stokes``, ``time``, ``wavelength``, ``longitude`` and
        ``latitude`` whatever their axes are called: letters, datetime64 in UTC, nanometres, and
        angles in the unit and frame that their attributes name. ``sel`` takes those that change
        along one dimension; those along several are dask arrays where they are large. Uncertainty,
        global and extra coordinates are left behind.

        Parameters
        ----------
        headers : sequence of str, optional
            Header columns to go along the dimensions of the files, by keyword: by default
            DATE-AVG, LINEWAV, FRAMEWAV, XPOSURE and ATMOS_R0, where there are such. Dates become
            datetime64; a card that a frame did not have is NaN, or NaT.

        Raises
        ------
        ImportError
            xarray is not installed.
        DatasetError
            There is no such keyword, or there are no headers.
        """
        return to_xarray(self, headers)

    def to_map(self, tolerance: float = TOLERANCE) -> GenericMap:
        """Read a selection with two axes, both on the sky, as a `sunpy.map.GenericMap`.

        The map's WCS is that of the selection; its date, observer, wavelength, unit and other
        cards are those of its frames, as far as all have them in common. An image lies as in its
        frame; of a raster, whose steps follow each other in time, the axis that is nearer to
        longitude lies along x.

        Parameters
        ----------
        tolerance : float
            How far the plane that a map's header describes may be from the WCS of the selection,
            in pixels. The pointing of a single frame is such a plane; that of a raster is nearly.

        Raises
        ------
        SelectionError
            The selection is no image of the sky, or its sky is no such plane.
        """
        return to_map(self, tolerance)

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
            "place": files.places[0],
            "further_places": tuple(files.places[1:]),
            "store": provenance.array.handle.url,
            "made_from": (str(origin.get("asdf", "?")), origin.get("created")),
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

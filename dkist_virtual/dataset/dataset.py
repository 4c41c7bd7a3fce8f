"""Define `Dataset`: data, WCS, headers and files, sliced together."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, Self

import numpy as np
from astropy.nddata import NDData

from dkist_virtual.cube.computed_array import Computed, landed, travelling
from dkist_virtual.cube.crop import crop_index, nearest_index
from dkist_virtual.cube.points import as_points, with_times
from dkist_virtual.cube.selection import Selection, full_index
from dkist_virtual.cube.virtual_array import VirtualArray
from dkist_virtual.cube.world_axes import World, forget_dropped, slice_wcs
from dkist_virtual.dataset.arithmetic import LazyCube
from dkist_virtual.dataset.derived.attributes import copied_mask
from dkist_virtual.dataset.derived.lineage import common, is_computed
from dkist_virtual.dataset.files import Files
from dkist_virtual.dataset.loader import open_asdf
from dkist_virtual.dataset.provenance import FrameHeaders, Meta, Provenance
from dkist_virtual.dataset.summary import Printed, axis_names, overview_of
from dkist_virtual.dataset.to_sunpy import TOLERANCE, to_map
from dkist_virtual.dataset.to_xarray import to_xarray
from dkist_virtual.errors import DatasetError, SelectionError
from dkist_virtual.store.read_options import ReadOptions
from dkist_virtual.text import check_keywords

if TYPE_CHECKING:
    from collections.abc import Sequence

    import dask.array
    import xarray
    from matplotlib.figure import Figure
    from sunpy.map import GenericMap

    from dkist_virtual.datacenter.globus import Transfer
    from dkist_virtual.dataset.derived.lineage import Part
    from dkist_virtual.dataset.overview import Overview
    from dkist_virtual.io.download.download import Downloaded
    from dkist_virtual.plot.image_plot import ImagePlot
    from dkist_virtual.plot.line_plot import LinePlot
    from dkist_virtual.plot.planes import Subject
    from dkist_virtual.store.format.header_table import HeaderTable
    from dkist_virtual.store.frame_locations import FramePlaces
    from dkist_virtual.store.read_options import Missing

__all__ = ["Dataset"]


_NDCUBE: Final = {
    "uncertainty", "mask", "meta", "unit", "copy", "psf", "extra_coords", "global_coords",
}  # fmt: skip


class Dataset(Printed, LazyCube):
    """A dataset whose pixels stay in their frames until they are computed.

    Slicing selects in data, WCS, headers, mask and files alike, and reads nothing. Made by
    `dkist_virtual.open_dataset` or `from_asdf`; arithmetic makes datasets whose pixels belong to
    no files, while their headers are still those of the frames that they come from.

    Parameters
    ----------
    data : VirtualArray, Computed or array
    wcs : gwcs.WCS or other WCS
    provenance : Provenance, optional
        The frames that `data` lies in, when it is a `VirtualArray`, or that it was computed
        from pixel by pixel.
    **kwargs
        What `ndcube.NDCube` takes: uncertainty, mask, meta, unit, copy, psf.
    """

    def __init__(
        self, data: Any, wcs: Any = None, *, provenance: Provenance | None = None, **kwargs: Any
    ) -> None:
        check_keywords(type(self).__name__, kwargs, _NDCUBE)
        twin = data if isinstance(data, Dataset) and wcs in (None, data.wcs) else None
        if twin is not None:  # astropy takes what it knows of along from an NDData
            provenance = twin._origin
        self._origin: Provenance | None = provenance
        self._headers = None if provenance is None else FrameHeaders(provenance)
        if twin is not None and self._headers is not None and twin._headers is not None:
            self._headers.take_from(twin._headers)
        self._opened_with: frozenset[str] = getattr(twin, "_opened_with", frozenset())
        meta = kwargs.get("meta")
        opened = meta.headers if isinstance(meta, Meta) else self._headers
        if isinstance(opened, FrameHeaders):
            self._opened_with = opened.provenance.opened_with
        self._combined: tuple[Part, ...] = ()  # all datasets that arithmetic combined
        self._past: str | None = None  # what pixels without an origin were computed from
        self._dask: tuple[Any, dask.array.Array] | None = None
        super().__init__(data, wcs, **kwargs)
        if twin is not None:
            self._data, self._past, self._combined = twin._data, twin._past, twin._combined
            self._coordinates_from(twin)

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
        opened = open_asdf(asdf, ReadOptions(frames, missing, chunks, storage_options, cache))
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

        Its slices select from the frames, as the dataset's own do. What is computed from it, and
        the data of a computed dataset, is ordinary dask, which reads whole chunks for a slice:
        slice the dataset.
        """
        if isinstance(self._data, (VirtualArray, Computed)):
            token = self._data.token()
            if self._dask is None or self._dask[0] != token:  # another one after a download
                self._dask = token, self._data.dask()
            return self._dask[1]
        return self._data

    @data.setter
    def data(self, value: Any) -> None:
        LazyCube.data.fset(self, value)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the data."""
        return tuple(self._data.shape)

    @property
    def headers(self) -> HeaderTable | None:
        """The header table, one row per frame of the selection, in C order.

        A row leaves out of its ``keys()`` the cards that its frame did not have, so that
        ``WCS(ds.headers[i])`` works. Arithmetic keeps them; None where no pixel is of one frame
        any more, as after `rebin`.
        """
        return None if self._headers is None else self._headers.table()

    @property
    def meta(self) -> Any:
        """What else is known of the dataset, with the header table under ``headers``."""
        return self._meta

    @meta.setter
    def meta(self, value: Any) -> None:
        if isinstance(value, Meta) and self._headers is None:
            value = value.without_headers()  # no row belongs to a pixel any more
        elif self._headers is not None and not (
            isinstance(value, Meta) and value.headers is self._headers
        ):
            value = Meta(value or {}, self._headers)
        NDData.__dict__["meta"].__set__(self, value)  # `super()` calls no setter

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
            The pixels were computed, and belong to no files.
        """
        if self._provenance is None:
            raise DatasetError(
                f"the pixels of this dataset are computed from {self._from}, and lie in no files. "
                "The dataset that they are computed from has its files, sliced or not: "
                "ds[0].files, where (ds / 2)[0] has none"
            )
        return Files((self._provenance.array,), self._provenance.about, inventory=self.inventory)

    @property
    def _provenance(self) -> Provenance | None:
        """The frames that the pixels lie in; None where they are computed."""
        return self._origin if isinstance(self._data, VirtualArray) else None

    @property
    def _from(self) -> str:
        if self._origin is None:
            return self._past or "an array"
        files = Files((self._origin.array,), self._origin.about)
        return f"{len(files)} frame{'s' * (len(files) > 1)} in {files.basepath}"

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
        index = full_index(item, len(self.shape))
        origin = self._origin
        cut = (Selection.whole(self.shape) if origin is None else origin.cut)[index]
        if not cut.result_shape:
            raise SelectionError(
                f"index {item!r}: leaves a single pixel, which has no WCS: "
                "ds.data[...] gives its value"
            )
        data = self._data
        sliced = self._new_instance(
            data=(
                data.select(index) if isinstance(data, (VirtualArray, Computed)) else data[index]
            ),
            wcs=slice_wcs(self.wcs if origin is None else origin.wcs, cut),
            provenance=origin and replace(origin, array=origin.array.select(index), cut=cut),
            mask=self._mask_of(index),
            uncertainty=None if self.uncertainty is None else self.uncertainty[index],
        )
        sliced._combined = tuple(part.select(index, self.shape) for part in self._combined)
        sliced._coordinates_from(self, index)
        return sliced

    # ndcube makes each of its cubes by this private method.
    def _new_instance(self, **changes: Any) -> Self:
        """The dataset with some changes: how ndcube makes its results."""
        given: dict[str, Any] = {
            "data": self._data, "wcs": self.wcs, "provenance": self._origin, "unit": self.unit,
            "mask": copied_mask(self._mask), "uncertainty": self.uncertainty, "psf": self.psf,
            "meta": self.meta, **changes,
        }  # fmt: skip
        if isinstance(given["meta"], Meta):
            given["meta"] = given["meta"].without_headers()
        made = type(self)(**given)
        if made._headers is not None and self._headers is not None:
            made._headers.take_from(self._headers)
        made._past, made._opened_with = self._past, self._opened_with
        made._coordinates_from(self)
        made._combined = self._combined
        return made

    def __copy__(self) -> Self:
        return self._new_instance()  # with a mask, headers and meta of its own

    def __getstate__(self) -> dict[str, Any]:
        forget_dropped(self.wcs)
        own = {name: travelling(self.__dict__[name]) for name in ("_data", "_mask")}
        return {**self.__dict__, "_dask": None, **own}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update({name: landed(value) for name, value in state.items()})
        if self._uncertainty is not None:  # which pickles without the dataset that it is of
            self._uncertainty.parent_nddata = self

    # Selecting by coordinates -----------------------------------------------------------

    def crop(self, *points: Any, keepdims: bool = False, wcs: Any = None) -> Dataset:
        """Select what lies between points in world coordinates; reads nothing.

        Any coordinates, in any order, each alone too. Those of the same kind span a range, and
        the result is the smallest box of pixels that holds all whose centres lie in every range,
        and the pixels in which the ends of a range lie.

        Parameters
        ----------
        *points : coordinates, or lists of them
            `~astropy.coordinates.SkyCoord`, `~astropy.coordinates.SpectralCoord`, Stokes letters,
            quantities, and moments, each with one value or several; None stands for any. Moments
            are `~astropy.time.Time`, datetime, datetime64, pandas Timestamp, sunpy TimeRange, or
            text such as ``"2022-10-24T19:00"``, in UTC unless they say otherwise.
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
        >>> ds.crop("V", "2022-10-24T19:00", "2022-10-24T19:05")  # doctest: +SKIP
        >>> ds.crop([sky_a, "I"], [sky_b, "Q"])  # doctest: +SKIP
        """
        if wcs is not None and wcs is not self.wcs:
            points = tuple(with_times(point) for point in points)
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
        Axes that are held are dropped; where that would leave none, all stay, one pixel long.

        Parameters
        ----------
        wavelength : Quantity, optional
            Or a frequency, or an energy.
        stokes : str, optional
        time : Time, datetime, datetime64, Timestamp, TimeRange or str, optional
            Without a time zone in UTC; of a sunpy TimeRange its middle.
        sky : astropy.coordinates.SkyCoord, optional
            A helioprojective one without an observer is taken to be seen by the telescope.

        Raises
        ------
        SelectionError
            No such coordinate in this selection, or outside of it.

        Examples
        --------
        >>> ds.at(wavelength=630.25 * u.nm, stokes="V")  # doctest: +SKIP
        """
        points = as_points(wavelength=wavelength, stokes=stokes, time=time, sky=sky)
        index = nearest_index(World(self.wcs, self.shape), points)
        if all(isinstance(pixel, int) for pixel in index):
            index = tuple(slice(pixel, pixel + 1) for pixel in index)  # type: ignore[operator]
        return self[index]

    # Looking ----------------------------------------------------------------------------

    def subject(self) -> Subject:
        """What those see of this dataset who draw it."""
        from dkist_virtual.plot.planes import Subject

        if self._data.dtype.kind == "c":
            raise DatasetError(
                "plot: the pixels are complex numbers, which have no order that colours could "
                "show: np.abs(ds) and np.angle(ds.data) are real"
            )
        world = World(self.wcs, self.shape)
        names = axis_names(self) or [f"axis_{axis}" for axis in range(len(self.shape))]
        inventory = self.inventory or {}
        title = [inventory.get("instrumentName"), inventory.get("datasetId")]
        title += ["(computed)"] * is_computed(self)
        mask = self._mask
        return Subject(
            data=self._data,
            mask=np.broadcast_to(mask, self.shape) if isinstance(mask, bool) else mask,
            world=world,
            axis_names=tuple(names),
            unit="" if self.unit is None else str(self.unit),
            title=" ".join(part for part in title if part),
            held=common(self),
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
            for any number of None. By default the last two, those of a frame: wavelength to the
            right, of two directions on the sky the one nearer to longitude.
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
        from dkist_virtual.plot.image_plot import draw

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
        from dkist_virtual.plot.image_plot import draw_profile

        return draw_profile(self.subject(), pixel, along=along, figure=figure, **look)

    # Other libraries --------------------------------------------------------------------

    def to_xarray(self, headers: Sequence[str] | None = None) -> xarray.DataArray:
        """The selection as an xarray DataArray; reads no frame.

        Its dimensions are named as in the store. World coordinates lie along the dimensions along
        which they change, and are called ``stokes``, ``time``, ``wavelength``, ``longitude`` and
        ``latitude`` whatever their axes are called: letters, datetime64 in UTC, nanometres, and
        angles in the unit and frame that their attributes name. ``sel`` takes those that change
        along one dimension; those along several are dask arrays where they are large. Mask,
        uncertainty, global and extra coordinates are coordinates too, and what was put into the
        meta is among the attributes; what xarray has no place for is left behind with a warning.

        Parameters
        ----------
        headers : sequence of str, optional
            Header columns to go along the dimensions of the files, by keyword: by default
            DATE-AVG, LINEWAV, FRAMEWAV, XPOSURE and ATMOS_R0, where there are such. Dates become
            datetime64; a card that a frame did not have is NaN, or NaT, and so, with a warning,
            is a date that datetime64 cannot hold.

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

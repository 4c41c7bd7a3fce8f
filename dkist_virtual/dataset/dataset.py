"""Define `Dataset`: data, WCS, headers and files, sliced together."""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final, Literal, Self, overload

import numpy as np

from dkist_virtual.dataset.arithmetic import LazyCube
from dkist_virtual.dataset.export.inversion.invertible import InvertibleCube
from dkist_virtual.dataset.file_manager import Reported
from dkist_virtual.dataset.loader import FromASDF, Opened
from dkist_virtual.dataset.overview import Overview, Printed
from dkist_virtual.dataset.paths.path_cube import PathCube
from dkist_virtual.dataset.plots.descriptor import DatasetPlotterDescriptor
from dkist_virtual.dataset.plots.viewed import Viewed
from dkist_virtual.dataset.pointing.aligned import AlignedCube
from dkist_virtual.dataset.pointing.pointed import PointedCube
from dkist_virtual.dataset.polarimetry.polarimetry import HasPolarimetry
from dkist_virtual.dataset.save.savable import Savable
from dkist_virtual.dataset.seeing.seen import SeenCube
from dkist_virtual.dataset.spectral.spectral import HasSpectra
from dkist_virtual.dataset.sun.on_the_disk import OnTheDisk
from dkist_virtual.dataset.wavelengths.calibrated import CalibratedCube
from dkist_virtual.errors import DatasetError, SelectionError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import xarray
    from astropy import units as u
    from astropy.coordinates import SkyCoord
    from astropy.units import Quantity
    from astropy.wcs.wcsapi import BaseHighLevelWCS
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure
    from ndcube import ExtraCoords
    from sunpy.map import GenericMap

    from dkist_virtual.datacenter.globus import Transfer
    from dkist_virtual.io.download.download import Downloaded
    from dkist_virtual.plot.image_plot import ImagePlot
    from dkist_virtual.plot.line_plot import LinePlot
    from dkist_virtual.plot.planes import Subject

__all__ = ["Dataset"]

# Methods import what the first pixel does not need.

TOLERANCE: Final = 0.25
"""How far, in pixels, the header of a map may be from the WCS: a coordinate stays in its pixel."""


class Dataset(
    FromASDF,
    Printed,
    Reported,
    Savable,
    AlignedCube,
    PointedCube,
    PathCube,
    SeenCube,
    HasSpectra,
    CalibratedCube,
    HasPolarimetry,
    OnTheDisk,
    InvertibleCube,
    Viewed,
    LazyCube,
):
    """A dataset whose pixels stay in their frames until they are computed.

    Slicing selects from data, WCS, headers, mask and files alike, and reads nothing. Made by
    `dkist_virtual.open_dataset` or `from_asdf`; arithmetic makes datasets that have no files, and
    the headers of the frames that they come from.

    Parameters
    ----------
    data : VirtualArray, Computed or array
    wcs : WCS
    provenance : Provenance, optional
        The frames of `data`, when it is a `VirtualArray`, or those that it was computed from
        pixel by pixel.
    **kwargs
        What `ndcube.NDCube` takes: uncertainty, mask, meta, unit, copy, psf.
    """

    plotter = DatasetPlotterDescriptor()
    """What draws; a class of ndcube's `~ndcube.visualization.BasePlotter` may be set."""

    @classmethod
    def from_opened(cls, opened: Opened) -> Self:
        """Make the dataset of an open store or ASDF."""
        if opened.description.grid is not None:
            raise DatasetError("is a mosaic: dv.open_dataset and dv.TiledDataset.from_asdf open it")
        if opened.is_inversion:
            raise DatasetError(
                "is a level 2 inversion: dv.open_dataset and dv.Inversion.from_asdf open it"
            )
        return opened.datasets(cls)[0]

    @classmethod
    def _from_asdf(cls, opened: Opened) -> Any:
        if opened.description.grid is None and not opened.is_inversion:
            return cls.from_opened(opened)
        return _above("open").dataset_of(opened)

    @classmethod
    def from_directory(cls, directory: str | os.PathLike[str]) -> Any:
        """Load what is in a directory, as `dkist_virtual.load_dataset` does.

        It is here for old notebooks: ``dkist`` warns that it may go, and so does this.

        Returns
        -------
        Dataset or TiledDataset, or a list of them
        """
        import warnings

        from dkist_virtual.conversion.asdf.dkist_errors import OldMethodWarning

        warnings.warn(
            "Dataset.from_directory is there for old notebooks of dkist, which may drop it: write "
            "dv.load_dataset(directory)",
            OldMethodWarning,
            stacklevel=2,
        )
        return _above("load").load_dataset(directory)

    def download(
        self, path: str | os.PathLike[str] | None = None, **options: Any
    ) -> Downloaded | Transfer:
        """Download the frames of the selection into a directory, and read them there from then on.

        Options are those of `Files.download`: verify, dry_run, workers, progress, via.
        """
        return self.files.download(path, **options)

    # Selecting by coordinates -----------------------------------------------------------

    def crop(
        self,
        *points: object,
        keepdims: bool = False,
        wcs: BaseHighLevelWCS | ExtraCoords | None = None,
        screen: Literal["spherical"] | None = None,
    ) -> Self:
        """Select the pixels between points in world coordinates; reads nothing.

        Any coordinates, in any order, each alone too. Those of the same kind span a range, and
        the result is the smallest box of pixels that has all whose centres are in every range,
        and the pixels that contain the ends of a range.

        Parameters
        ----------
        *points : coordinates, or lists of them
            `~astropy.coordinates.SkyCoord`, `~astropy.coordinates.SpectralCoord`, Stokes letters,
            quantities, and moments, each with one value or several; None selects all. Moments
            are `~astropy.time.Time`, datetime, datetime64, pandas Timestamp, sunpy TimeRange, or
            text such as ``"2022-10-24T19:00"``, in UTC unless they say otherwise.
        keepdims : bool
            Whether axes on which a single pixel is left stay; they are dropped by default, as
            ndcube does.
        wcs : WCS or ExtraCoords, optional
            Other coordinates than the dataset's own: passed to `ndcube.NDCube.crop`.
        screen : {"spherical"}, optional
            Where positions off the limb of the Sun that were seen by another observer, or at
            another time, are assumed to be, as in `reproject_to`.

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
        from dkist_virtual.cube.crop import crop_index
        from dkist_virtual.cube.points import with_times
        from dkist_virtual.cube.screens import assume_screen
        from dkist_virtual.cube.world_axes import World

        world = World(self.wcs, self.shape)
        with assume_screen("crop", screen, world.frame):
            if wcs is not None and wcs is not self.wcs:
                cropped: Self = super().crop(*map(with_times, points), wcs=wcs, keepdims=keepdims)
                return cropped
            box = crop_index(world, points)
        index = tuple(
            part.start if part.stop - part.start == 1 and n > 1 and not keepdims else part
            for part, n in zip(box, self.shape, strict=True)
        )
        if not any(isinstance(part, slice) for part in index):
            raise SelectionError(
                f"crop to {points!r}: leaves a single pixel, {index}, which has no WCS: "
                "keepdims=True keeps its axes"
            )
        return self[index]

    def at(
        self,
        *,
        wavelength: Quantity | str | None = None,
        stokes: str | None = None,
        time: object = None,
        sky: SkyCoord | None = None,
        screen: Literal["spherical"] | None = None,
    ) -> Self:
        """Select the pixels nearest to some coordinates; reads nothing.

        Every axis of the array along which a given coordinate changes is fixed: a moment fixes
        both the repeat and the wavelength of a VTF dataset, which are taken one after the other.
        Coordinates that change along few pixels go first, so that
        ``at(wavelength=..., time=...)`` is, of the frames of that wavelength, the nearest in time.
        Fixed axes are dropped; where that would leave none, all stay, one pixel long.

        Parameters
        ----------
        wavelength : Quantity, optional
            Or a frequency, or an energy.
        stokes : str, optional
        time : Time, datetime, datetime64, Timestamp, TimeRange or str, optional
            Without a time zone in UTC; of a sunpy TimeRange its middle.
        sky : astropy.coordinates.SkyCoord, optional
            A helioprojective one without an observer is taken to be seen by the telescope.
        screen : {"spherical"}, optional
            Where such a position off the limb of the Sun is assumed to be, as in `crop`.

        Raises
        ------
        SelectionError
            No such coordinate in this selection, or outside of it.

        Examples
        --------
        >>> ds.at(wavelength=630.25 * u.nm, stokes="V")  # doctest: +SKIP
        """
        from dkist_virtual.cube.crop import nearest_index
        from dkist_virtual.cube.points import as_points
        from dkist_virtual.cube.screens import assume_screen
        from dkist_virtual.cube.world_axes import World

        points = as_points(wavelength=wavelength, stokes=stokes, time=time, sky=sky)
        world = World(self.wcs, self.shape)
        with assume_screen("at", screen, world.frame):
            index = nearest_index(world, points)
        pixels = [pixel for pixel in index if isinstance(pixel, int)]
        if len(pixels) == len(index):
            return self[tuple(slice(pixel, pixel + 1) for pixel in pixels)]
        return self[index]

    # Looking ----------------------------------------------------------------------------

    def subject(self) -> Subject:
        """Return what a plot shows of this dataset."""
        from dkist_virtual.cube.world_axes import World
        from dkist_virtual.dataset.summary import axis_names
        from dkist_virtual.plot.planes import COMPUTED, Subject

        if self._data.dtype.kind == "c":
            raise DatasetError(
                "plot: the pixels are complex numbers, which have no order that colours could "
                "show: np.abs(ds) and np.angle(ds.data) are real"
            )
        world = World(self.wcs, self.shape)
        names = axis_names(self) or [f"axis_{axis}" for axis in range(len(self.shape))]
        inventory = self.inventory or {}
        title = [inventory.get("instrumentName"), inventory.get("datasetId")]
        lineage = self.lineage
        title += [lineage.quantity, *[COMPUTED] * lineage.is_computed]
        mask = self._masked
        return Subject(
            data=self._data,
            mask=np.broadcast_to(mask, self.shape) if isinstance(mask, bool) else mask,
            world=world,
            axis_names=tuple(names),
            unit="" if self.unit is None else str(self.unit),
            title=" ".join(part for part in title if part),
            held=lineage.common(),
            quantity=lineage.label,
            is_signed=lineage.is_signed,
        )

    @overload
    def plot(self, axes: Axes, plot_axes: Sequence[object] | None = None, **look: Any) -> Axes: ...
    @overload
    def plot(
        self,
        axes: Sequence[object] | None = None,
        plot_axes: Sequence[object] | None = None,
        **look: Any,
    ) -> ImagePlot | LinePlot: ...

    def plot(
        self,
        axes: Axes | Sequence[object] | None = None,
        plot_axes: Sequence[object] | None = None,
        axes_coordinates: Sequence[str | None] | None = None,
        axes_units: Sequence[object] | None = None,
        data_unit: u.UnitBase | str | None = None,
        wcs: BaseHighLevelWCS | None = None,
        *,
        figure: Figure | SubFigure | None = None,
        **look: Any,
    ) -> Any:
        """Draw an image of two axes, or a line along one, with a slider for each of the others.

        One plane is read, and another one when a slider moves.

        Parameters
        ----------
        axes : matplotlib.axes.Axes, optional
            To draw in, as ndcube does: a selection with one axis or two. By default the last axis
            is to the right. Other keywords are those of ndcube's plot, and of
            `matplotlib.axes.Axes.imshow` or `matplotlib.axes.Axes.plot`. Also in this place: what
            `plot_axes` takes.
        plot_axes : sequence, optional
            For each axis of the array ``"x"``, ``"y"`` or None, as in ndcube; an Ellipsis stands
            for any number of None. By default the last two, those of a frame: wavelength to the
            right, of two directions on the sky the one nearer to longitude.
        axes_coordinates, axes_units, wcs : optional
            As in ndcube. Each of them draws, more slowly, what ndcube draws: in axes of astropy's,
            the last axis to the right, with the sliders of mpl-animators where there are more.
        data_unit : Unit or str, optional
            Of the values that are shown.
        figure : matplotlib.figure.Figure or SubFigure, optional
            To draw in; by default a new one of pyplot's, or its current one if that is empty and
            no slider is needed. `fig` is another name of it.
        **look
            Of an image vmin, vmax, which may be Quantities, cmap, norm, aspect, clip_interval,
            colorbar; of a line color, marker, linestyle, ylim, ylabel and so on; of both title and
            slider_labels.

        Returns
        -------
        ImagePlot or LinePlot
            Whose `show`, `step` and `at` do what sliders do, and `save` writes a file. It also has
            the names of its axes, such as `coords` and `set_title`, and `get_animation`. If `axes`
            of matplotlib are given, these; where coordinates are asked for, what ndcube returns.

        Examples
        --------
        >>> ds.plot().at(wavelength=630.25 * u.nm, stokes="V")  # doctest: +SKIP
        >>> ds[0, :, 500].plot()  # a raster map  # doctest: +SKIP
        >>> ds.plot(plot_axes=[None, "x", ..., None, "y"])  # doctest: +SKIP
        >>> ds[0, 0].plot(axes=plt.subplot(projection=ds[0, 0].wcs))  # doctest: +SKIP
        """
        from dkist_virtual.dataset.plots.plotter import plot_of

        named = {
            "axes_coordinates": axes_coordinates, "axes_units": axes_units,
            "data_unit": data_unit, "wcs": wcs,
        }  # fmt: skip
        given = {name: value for name, value in named.items() if value is not None}
        return plot_of(self, axes, plot_axes, figure, given | look)

    def plot_profile(
        self,
        pixel: Sequence[int] | None = None,
        *,
        along: str | int | None = None,
        wavelength_offset: Any = None,
        figure: Figure | None = None,
        **look: Any,
    ) -> LinePlot:
        """Draw the spectrum of a pixel, or its values along another axis.

        Stokes parameters have panels of their own, other axes sliders. Reads of each frame the
        tiles that contain the pixel.

        Parameters
        ----------
        pixel : sequence of int, optional
            Where along the last of the axes that have sliders; by default the first pixel of each.
        along : {"wavelength", "time", "stokes"} or int, optional
            The coordinate, or the axis of the array, of the line; by default the first of those
            words that the selection has.
        wavelength_offset : Quantity or Dataset, optional
            Added to the wavelengths of each spectrum, as `Spectral` takes it.
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

        subject = self.subject()
        if wavelength_offset is not None:
            from dkist_virtual.dataset.spectral.corrections import with_offset

            subject = with_offset(self, subject, wavelength_offset)
        return draw_profile(subject, pixel, along=along, figure=figure, **look)

    # Other libraries --------------------------------------------------------------------

    def to_xarray(self, headers: Sequence[str] | None = None) -> xarray.DataArray:
        """Export the selection as an xarray DataArray; reads no frame.

        Its dimensions are named as in the store. World coordinates are along the dimensions along
        which they change, and are called ``stokes``, ``time``, ``wavelength``, ``longitude`` and
        ``latitude`` whatever their axes are called: letters, datetime64 in UTC, nanometres, and
        angles in the unit and frame that their attributes name. ``sel`` takes those that change
        along one dimension; those along several are dask arrays where they are large. Mask,
        uncertainty, global and extra coordinates are coordinates too, and keys that you put into
        the meta are attributes; what xarray cannot hold is left behind with a warning.

        Parameters
        ----------
        headers : sequence of str, optional
            Header columns along the dimensions of the files, by keyword: by default
            DATE-AVG, LINEWAV, FRAMEWAV, XPOSURE and ATMOS_R0, where there are such. Dates become
            datetime64; a card that a frame did not have is NaN, or NaT, and so, with a warning,
            is a date that datetime64 cannot hold.

        Raises
        ------
        ImportError
            xarray is not installed.
        DatasetError
            A keyword is unknown, or the dataset has no headers.
        """
        from dkist_virtual.dataset.export.to_xarray import to_xarray

        return to_xarray(self, headers)

    def to_map(self, tolerance: float = TOLERANCE) -> GenericMap:
        """Read a selection with two axes, both on the sky, as a `sunpy.map.GenericMap`.

        The map's WCS is that of the selection; its date, observer, wavelength, unit and other
        cards are those of its frames, as far as all have them in common. An image has the axes of
        its frame; of a raster, whose steps follow each other in time, the axis nearer to longitude
        is x.

        Parameters
        ----------
        tolerance : float
            How far the plane that a map's header describes may be from the WCS of the selection,
            in pixels. The pointing of a single frame is such a plane; that of a raster is nearly.

        Raises
        ------
        SelectionError
            The selection is not an image of the sky, or its sky is not such a plane.
        """
        from dkist_virtual.dataset.export.to_sunpy import to_map

        return to_map(self, tolerance)

    # Overview ---------------------------------------------------------------------------

    def overview(self) -> Overview:
        """Return what is printed, as values."""
        from dkist_virtual.dataset.summary import overview_of

        return overview_of("Dataset", [self])


def _above(module: str) -> Any:
    """Import a module that imports this one, for a method that ``dkist`` has here.

    By its name, as `dkist_virtual` imports its public names: this class needs neither.
    """
    return import_module(f"dkist_virtual.dataset.{module}")

"""Make datasets of what is along a path, or in a region, of a dataset."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any, Literal, Self

from dkist_virtual.dataset.paths.frame_rows import FrameRows
from dkist_virtual.errors import DatasetError, DKISTVirtualWarning

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from astropy.coordinates import SkyCoord
    from astropy.units import Quantity
    from numpy.typing import NDArray

    from dkist_virtual.science.paths.slit import Averaged

__all__ = ["PathCube"]


class PathCube:
    """A dataset along whose pixels there are paths."""

    def slit(
        self,
        points: SkyCoord | Sequence[Any] | NDArray[Any],
        *,
        width: Quantity | None = None,
        spacing: Quantity | None = None,
        order: Literal["linear", "nearest"] = "linear",
        rotate: bool | str = False,
        screen: Literal["spherical"] | None = None,
    ) -> Self:
        """Make a dataset of what is along a path on the sky; reads no pixels.

        The two axes of the sky, those of an image or the steps and the slit of a raster, become
        one, the last, of equal steps along the path. With time it is a space-time diagram, with
        wavelength a wavelength-space diagram. The path stays where it is on the sky, and is placed
        by the WCS of each image, however that points; what is read of a frame are the tiles near
        it, once.

        Parameters
        ----------
        points : SkyCoord, list of them, or pairs of pixels
            At least two: the path goes from one to the next, and the distance along it counts from
            the first. A curve has many. Pairs of pixels are row and column, as the dataset is
            indexed, and may be fractions; they are where they are in the first image.
        width : Quantity, optional
            Across the path, over which pixels are averaged; by default none: a line.
        spacing : Quantity, optional
            Of the steps: by default the smaller side of a pixel.
        order : {"linear", "nearest"}
            Interpolate between the four pixels around each position, or take the nearest.
        rotate : bool or {"howard", "snodgrass", "allen", "rigid"}
            Whether the path turns with the surface of the Sun, by a law of rotation of sunpy's;
            True is ``"howard"``. It is then where it is given at the time of `points`, or of the
            first image where they have none, and its parts turn each by their own latitude.
        screen : {"spherical"}, optional
            Where positions off the limb of the Sun that another observer has seen are assumed to
            be, as in `crop`.

        Returns
        -------
        Dataset
            With Tx and Ty along the path, and the distance from its first point in arcsec. Steps
            outside of the field are NaN and masked, and so are those of which masked, absent or
            other pixels without a value have more than half of the weight. Of images it has the
            header rows of the frames; of rasters none, as a value is not of one frame.
            ``meta["result"]`` says what was done.

        Raises
        ------
        SelectionError
            Not images or a raster; a path outside of the field, or shorter than one step.
        DatasetError
            Points or options that are not understood; a point spread function, or an uncertainty
            that is not a standard deviation.

        Examples
        --------
        >>> ds.slit(
        ...     SkyCoord([10, 40] * u.arcsec, [5, 25] * u.arcsec, frame=frame)
        ... )  # doctest: +SKIP
        >>> ds.slit([(20, 30), (400, 380)], width=0.5 * u.arcsec).plot()  # doctest: +SKIP
        """
        from dkist_virtual.science.paths.slit import slit

        found: Any = self
        _check_state(found, "slit")
        made = slit(
            found, points, width=width, spacing=spacing, order=order, rotate=rotate, screen=screen
        )
        return _dataset(found, made, "slit", 1)  # type: ignore[no-any-return]

    def light_curve(
        self,
        region: SkyCoord | tuple[SkyCoord, Quantity] | NDArray[np.bool_] | Any,
        *,
        statistic: Literal["mean", "sum", "median"] = "mean",
        rotate: bool | str = False,
        screen: Literal["spherical"] | None = None,
    ) -> Self:
        """Make a dataset of the mean of a region, for each image; reads no pixels.

        The two axes of the sky are left out: of a time series of images it is a light curve, of a
        raster a spectrum. What is read of a frame is a window around the region, once.

        Parameters
        ----------
        region : SkyCoord, tuple, array or Dataset
            Two corners of a box in Tx and Ty, three or more of a polygon, or ``(centre, radius)``
            of a circle: the pixels whose centres are in it. Or true and false pixels, of the shape
            of an image or of the dataset.
        statistic : {"mean", "sum", "median"}
        rotate, screen
            As in `slit`: whether the region turns with the Sun. A circle stays one.

        Returns
        -------
        Dataset
            Pixels that are masked or not finite count for nothing; where none counts it is NaN, and
            where none of the region is in the field it is masked too. Standard deviations of the
            pixels give those of their mean or sum, as independent of each other.
            ``meta["result"]`` has the number of pixels.

        Raises
        ------
        SelectionError
            Not images or a raster; a single image; a region without a pixel.
        DatasetError
            A region or options that are not understood; a point spread function.

        Examples
        --------
        >>> ds.light_curve((sunspot, 5 * u.arcsec)).plot()  # doctest: +SKIP
        """
        from dkist_virtual.science.paths.curve import light_curve

        found: Any = self
        _check_state(found, "light_curve")
        made = light_curve(found, region, statistic=statistic, rotate=rotate, screen=screen)
        return _dataset(found, made, "light_curve", 0)  # type: ignore[no-any-return]

    def footprint(self) -> SkyCoord:
        """Return the edge of the field on the sky, as positions along it; reads no pixels.

        That of the outermost pixels, at the middle of the pointings, in a ring that is closed; of a
        raster the edge of its steps and slit. Of a single slit it is a line, from end to end.

        Returns
        -------
        astropy.coordinates.SkyCoord
            In the frame of the dataset.

        Raises
        ------
        SelectionError
            A selection without an extent on the sky.

        Examples
        --------
        >>> other.slit(ds.footprint())  # doctest: +SKIP
        """
        from astropy.coordinates import SkyCoord

        from dkist_virtual.science.paths.footprint import edge_of

        _, world, edge = edge_of(self, "footprint")  # type: ignore[arg-type]
        return SkyCoord(edge[:, 0], edge[:, 1], unit="arcsec", frame=world.frame)


def _check_state(ds: Any, what: str) -> None:
    """Refuse what the values cannot have, and warn of what they have not."""
    if ds.psf is not None:
        raise DatasetError(
            f"{what}: the point spread function of this dataset does not follow, as its pixels are "
            "those of before. ds.psf = None leaves it behind"
        )
    if ds.extra_coords.keys():
        warnings.warn(
            f"{what}: the extra coordinates {', '.join(ds.extra_coords.keys())} are of the pixels "
            "before, and are left behind",
            DKISTVirtualWarning,
            stacklevel=3,
        )


def _dataset(ds: Any, made: Averaged, what: str, own: int) -> Any:
    """Make the dataset of averages of the pixels of another one."""
    from astropy.nddata import StdDevUncertainty

    from dkist_virtual.cube.inverse.invertible_wcs import invertible
    from dkist_virtual.dataset.derived.lineage import quantity_of, result_after

    words = f"{ds.lineage.source}, {made.words}"
    meta = ds.meta.without_headers() if ds.provenance is not None else dict(ds.meta)
    before = result_after([meta.get("result")]) or {}
    said = {**before, "what": what, **made.said}
    said["quantity"] = said["quantity"].format(quantity_of(ds.meta) or "intensity")
    meta["result"] = said
    rows = _rows(ds, made)
    shape = tuple(made.pixels.shape)
    spread = made.spread
    result = type(ds)(
        made.pixels,
        wcs=invertible(made.wcs, shape),
        mask=made.mask,
        unit=ds.unit,
        uncertainty=None if spread is None else StdDevUncertainty(spread, unit=None),
        meta=meta if rows is None else FrameRows(meta, rows, own),
    )
    result._past, result._opened_with = words, ds._opened_with
    result._alignment = ds._alignment
    result._coordinates_from(ds, index=())
    return result


def _rows(ds: Any, made: Averaged) -> Any:
    """Return the headers of the frames, where a value is of one of them; None where it is not."""
    if ds.provenance is None:
        return None
    n = len(ds.provenance.array.frame_shape)
    if any(axis < n for axis in made.image.sky):
        return None
    index = tuple(
        slice(0, 1) if axis in made.image.sky else slice(None) for axis in range(len(ds.shape))
    )
    return ds.meta.headers.select(index)

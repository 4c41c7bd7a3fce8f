"""Read the images of a dataset that follow each other in time, and where each is on the sky.

Of a raster each step is an image of one row, its slit. Their pixels are averaged to those that a
comparison needs.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeAlias

import astropy.units as u
import numpy as np

from dkist_virtual.cube.world_axes import World
from dkist_virtual.errors import DatasetError
from dkist_virtual.science.alignment.reference import Box
from dkist_virtual.science.alignment.registration import average

if TYPE_CHECKING:
    from astropy.coordinates import BaseCoordinateFrame
    from astropy.time import Time
    from astropy.wcs.wcsapi import BaseHighLevelWCS
    from numpy.typing import NDArray

__all__ = ["ImageSeries", "Steps"]

Floats: TypeAlias = "NDArray[np.float64]"

_BLOCK: Final = 64e6
"""Bytes that are read at once, if an image is not larger."""


class ImageSeries(Protocol):
    """What is known of a dataset here: images of the sky, one or several in time."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Of its pixels."""

    @property
    def wcs(self) -> BaseHighLevelWCS:
        """Its coordinates."""

    @property
    def data(self) -> Any:
        """Its pixels, lazily."""

    @property
    def mask(self) -> Any:
        """True where a pixel counts for nothing."""


@dataclass(frozen=True, eq=False)
class Steps:
    """Where the images are on the sky, and when.

    Parameters
    ----------
    shape : tuple of int
        Of the steps: the axes of the array along which time changes.
    step_axes, image_axes : tuple of int
    frame : frame of the sky
    epoch : Time
    seconds : numpy.ndarray
        Shape (images,), after the epoch.
    origin, row, column : numpy.ndarray
        Shape (images, 2): (Tx, Ty) of the first pixel, and from a row and a column to the next,
        in arcsec. A slit's rows are across it.
    size : tuple of int
        Rows and columns of an image.
    """

    shape: tuple[int, ...]
    step_axes: tuple[int, ...]
    image_axes: tuple[int, ...]
    frame: BaseCoordinateFrame
    epoch: Time
    seconds: Floats
    origin: Floats
    row: Floats
    column: Floats
    size: tuple[int, int]

    @property
    def is_slit(self) -> bool:
        """Whether an image has one row."""
        return len(self.image_axes) == 1

    @property
    def scale(self) -> float:
        """Of the pixels of an image, in arcsec."""
        return float(np.median(np.hypot(*self.column.T)))

    @classmethod
    def of(cls, ds: ImageSeries) -> Steps:
        """Find the images of a dataset.

        Raises
        ------
        DatasetError
            It has no sky or no time, or axes that are not of images.
        """
        world = World(ds.wcs, ds.shape)
        lon, lat = world.of_kind("longitude"), world.of_kind("latitude")
        frame = world.frame
        if lon is None or lat is None or frame is None:
            raise DatasetError("align: the WCS of this selection has no longitude and latitude")
        if getattr(frame, "observer", None) is None or getattr(frame, "obstime", None) is None:
            raise DatasetError(
                f"align: the sky of this selection is seen by nobody: expected a frame with an "
                f"observer and a time, found {frame!r}"
            )
        others = {
            axis: one.label
            for one in world.axes
            if one.kind not in ("longitude", "latitude", "time")
            for axis in one.array_axes
            if ds.shape[axis] > 1
        }
        time = world.of_kind("time")
        step_axes = () if time is None else time.array_axes
        image_axes = tuple(a for a in range(len(ds.shape)) if a not in step_axes)
        wrong = [others[axis] for axis in image_axes if axis in others]
        sky = {*lon.array_axes, *lat.array_axes}
        if wrong or len(image_axes) not in (1, 2) or not set(image_axes) <= sky:
            what = f"axes of {', '.join(wrong)}" if wrong else f"the shape {ds.shape}"
            raise DatasetError(
                f"align: this selection has {what}: expected images of the sky, or slits, that "
                'follow each other. at=dict(wavelength=..., stokes="I") chooses those that are '
                "compared, and image= gives others; the whole dataset is corrected"
            )
        return cls._measure(ds, world, step_axes, image_axes)

    @classmethod
    def _measure(
        cls, ds: ImageSeries, world: World, step_axes: tuple[int, ...], image_axes: tuple[int, ...]
    ) -> Steps:
        lon, lat, time = (world.of_kind(kind) for kind in ("longitude", "latitude", "time"))
        assert lon is not None
        assert lat is not None
        assert world.frame is not None
        shape = tuple(ds.shape[axis] for axis in step_axes)
        n = int(np.prod(shape))
        steps: Any = np.indices(shape).reshape(len(shape), n) if shape else []
        sizes = [ds.shape[axis] for axis in image_axes]
        corners = np.array(
            np.meshgrid(*[[0.0, (size - 1) / 2, size - 1.0] for size in sizes], indexing="ij")
        ).reshape(len(sizes), -1)
        places: list[Any] = [np.zeros((n, corners.shape[1]))] * len(ds.shape)
        for axis, along in zip(step_axes, steps, strict=True):
            places[axis] = np.broadcast_to(along[:, None].astype(float), places[0].shape)
        for axis, along in zip(image_axes, corners, strict=True):
            places[axis] = np.broadcast_to(along[None, :], places[0].shape)
        values = world.values(*places)
        sky = np.stack(
            [values[one.index] * u.Unit(one.unit).to(u.arcsec) for one in (lon, lat)],
            axis=-1,
        )
        design = np.column_stack([np.ones(corners.shape[1]), *corners])
        fit = np.linalg.lstsq(design, sky.transpose(1, 0, 2).reshape(len(design), -1))[0]
        fit = fit.reshape(len(sizes) + 1, n, 2)
        column = fit[-1]
        row = fit[1] if len(sizes) == 2 else np.column_stack([-column[:, 1], column[:, 0]])
        frame = world.frame
        epoch, seconds = frame.obstime, np.zeros(n)
        if time is not None:
            epoch = world.time(0.0)
            seconds = np.asarray((world.time(values[time.index][:, 0]) - epoch).to_value(u.s))
        elif world.dropped is not None and (moment := world.dropped.of_kind("time")) is not None:
            epoch = world.dropped.time(world.dropped.along([moment])[0])
        size = (1, sizes[0]) if len(sizes) == 1 else (sizes[0], sizes[1])
        return cls(
            shape, step_axes, image_axes, frame, epoch, seconds, fit[0], row, column, size
        )  # fmt: skip

    def box(self, margin: float) -> Box:
        """Return the part of the sky that the images cover, and more around it, in arcsec."""
        rows, columns = ((0, n - 1) for n in self.size)
        corners = np.concatenate(
            [self.origin + r * self.row + c * self.column for r in rows for c in columns]
        )
        low, high = corners.min(axis=0) - margin, corners.max(axis=0) + margin
        return Box((float(low[0]), float(high[0])), (float(low[1]), float(high[1])))

    def begins(self) -> NDArray[np.bool_]:
        """Return where the slit is set back, as at the beginning of a raster: shape (images,)."""
        move = np.hypot(*np.diff(self.origin, axis=0).T)
        usual = float(np.median(move)) if len(move) else 0.0
        return np.concatenate([[True], move > 3 * usual + 1e-9])

    @property
    def spacing(self) -> float:
        """How far a step is from the next, in arcsec."""
        move = np.hypot(*np.diff(self.origin, axis=0).T)
        return float(np.median(move)) if len(move) else 0.0

    def averaged(self, begins: NDArray[np.bool_], width: float) -> Steps:
        """Return where averages of neighbours are, see `registration.average`."""
        of = partial(average, begins=begins, width=width)
        return replace(
            self,
            seconds=of(self.seconds),
            origin=of(self.origin),
            row=of(self.row),
            column=of(self.column),
        )

    def place(self, number: int, rows: Floats, columns: Floats, size: int) -> tuple[Floats, Floats]:
        """Compute Tx and Ty, in arcsec, at bins of so many pixels of an image."""
        r = rows if self.is_slit else (rows + 0.5) * size - 0.5
        c = (columns + 0.5) * size - 0.5
        scale = size if self.is_slit else 1  # across a slit a bin is as wide as along it
        found = (
            self.origin[number][:, None, None]
            + r * scale * self.row[number][:, None, None]
            + c * self.column[number][:, None, None]
        )
        return found[0], found[1]

    def in_arcsec(self, shift: Floats, size: int) -> Floats:
        """Convert shifts of (rows, columns) of bins to (Tx, Ty): shape (images, 2)."""
        return np.asarray(size * (shift[:, :1] * self.row + shift[:, 1:] * self.column))

    def read(self, ds: ImageSeries, size: int, blur: float) -> Floats:
        """Read the images, blurred by so many pixels and averaged over bins.

        Returns
        -------
        numpy.ndarray
            Shape (images, rows, columns); NaN where less than half of a bin is known.
        """
        order = (*self.step_axes, *self.image_axes)
        mask = ds.mask
        fine = max(size // 4, 1)
        while size % fine:
            fine -= 1
        one = int(np.prod(self.size)) * 8
        n = len(self.seconds)
        at_once = max(int(_BLOCK // one), 1)
        found = []
        if self.step_axes and int(np.prod(self.shape[1:])) > 1:
            parts = [slice(k, k + 1) for k in range(self.shape[0])]
        elif self.step_axes:
            parts = [slice(k, min(k + at_once, n)) for k in range(0, n, at_once)]
        else:
            parts = [slice(None)]
        for part in parts:
            index: list[Any] = [slice(None)] * len(ds.shape)
            if self.step_axes:
                index[self.step_axes[0]] = part
            pixels = np.asarray(ds.data[tuple(index)], float).transpose(order)
            if mask is not None and not (isinstance(mask, bool) and not mask):
                hidden = np.broadcast_to(np.asarray(mask), ds.shape)[tuple(index)]
                pixels = np.where(hidden.transpose(order), np.nan, pixels)
            pixels = pixels.reshape(-1, *self.size)
            pixels = _bin(pixels, fine, slit=self.is_slit)
            pixels = _blur(pixels, blur / fine, slit=self.is_slit)
            found.append(_bin(pixels, size // fine, slit=self.is_slit))
        return np.concatenate(found)


def _blur(pixels: Floats, width: float, *, slit: bool) -> Floats:
    """Blur along the axes of images by a normal distribution, without what is not known."""
    from scipy.ndimage import gaussian_filter

    if width < 0.2:
        return pixels
    widths = (0.0, 0.0 if slit else width, width)
    known = np.isfinite(pixels)
    blurred = gaussian_filter(np.where(known, pixels, 0.0), widths, mode="nearest")
    if known.all():
        return np.asarray(blurred)
    share = gaussian_filter(known.astype(float), widths, mode="nearest")
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.where(share > 0.5, blurred / share, np.nan))


def _bin(pixels: Floats, size: int, *, slit: bool) -> Floats:
    """Average over bins; what does not fill a bin at the end is left out."""
    if size == 1:
        return pixels
    n, rows, columns = pixels.shape
    high = 1 if slit else size
    cut = pixels[:, : rows // high * high, : columns // size * size]
    cut = cut.reshape(n, rows // high, high, columns // size, size)
    known = np.isfinite(cut)
    share = known.mean(axis=(2, 4))
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.where(known, cut, 0.0).mean(axis=(2, 4)) / share
    return np.asarray(np.where(share >= 0.5, mean, np.nan))

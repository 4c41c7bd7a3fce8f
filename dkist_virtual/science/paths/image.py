"""Find the pixels of positions on the sky, for every pointing of a dataset."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from dkist_virtual.cube.world_axes import World, wrap
from dkist_virtual.errors import SelectionError
from dkist_virtual.science.sky_image import SkyAxes
from dkist_virtual.science.stitching.lattice import Lattice, place

if TYPE_CHECKING:
    from astropy.coordinates import BaseCoordinateFrame
    from numpy.typing import NDArray

__all__ = ["Image"]

_FLAT: Final = 1e-3
"""The sine of the angle between the rows and the columns of an image, at least."""


@dataclass(frozen=True, eq=False)
class Image(SkyAxes):
    """The image of the sky in a dataset, and where it points.

    Parameters
    ----------
    world : World
        Of the dataset.
    what : str
        What it is for, for errors.

    Raises
    ------
    SelectionError
        The dataset has no image of the sky.
    """

    world: World = field(repr=False)
    what: str

    def __post_init__(self) -> None:
        shape = self.world.shape
        axes = self._sky_axes
        if len(axes) < 2 or min(shape[axis] for axis in axes[-2:]) < 2:
            raise SelectionError(
                f"{self.what}: a selection of shape {shape} has no image of the sky, of at least "
                "two pixels along two axes: expected images, or a raster with its steps and slit"
            )
        if self.world.frame is None:
            raise SelectionError(
                f"{self.what}: the WCS of this selection names no frame of its sky"
            )
        down, right = self._slopes
        lengths = np.hypot(*down), np.hypot(*right)
        area = abs(down[0] * right[1] - down[1] * right[0])
        if not np.isfinite(area) or area <= _FLAT * lengths[0] * lengths[1]:
            raise SelectionError(
                f"{self.what}: the pixels along axes {self.sky} are on one line of the sky, not in "
                "an image: such a selection, as that of a slit that stays, is along a path as it is"
            )

    @property
    def frame(self) -> BaseCoordinateFrame:
        """The frame of its sky."""
        frame = self.world.frame
        assert frame is not None
        return frame

    @cached_property
    def _slopes(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """How far, on the sky, a row and a column are from the next, arcsec, in the middle."""
        row, column = ((n - 1) / 2 for n in self.shape)
        rows, columns = [row - 0.5, row + 0.5], [column - 0.5, column + 0.5]
        places = self.positions([self.pointings // 2], rows, columns)[0]
        down = (places[1] - places[0]).mean(axis=0)
        right = (places[:, 1] - places[:, 0]).mean(axis=0)
        across = np.array([np.cos(np.deg2rad(places[..., 1].mean() / 3600)), 1.0])
        return down * across, right * across

    @property
    def scale(self) -> float:
        """The smaller side of a pixel, arcsec."""
        down, right = self._slopes
        return float(min(np.hypot(*down), np.hypot(*right)))

    def plane(self, sky: NDArray[np.float64], around: float) -> NDArray[np.float64]:
        """Return positions as the lattice counts them: latitude and longitude, in pixels.

        Parameters
        ----------
        sky : numpy.ndarray
            Longitude and latitude, arcsec, last.
        around : float
            The longitude at which there is no jump, arcsec.
        """
        lon = wrap(sky[..., 0], "arcsec", around)
        return np.stack([sky[..., 1], lon], axis=-1) / self.scale

    def lattice(self, around: float) -> Lattice:
        """Return where the pixels of every pointing are, as `plane` counts positions."""

        def where(pointings: Any, rows: Any, columns: Any) -> NDArray[np.float64]:
            return self.plane(self.positions(pointings, rows, columns), around)

        some = sorted({0, self.pointings // 2, self.pointings - 1})
        nodes = place(
            lambda n, rows, columns: where([some[n]], rows, columns)[0],
            len(some), self.shape, self.jumps,
        )  # fmt: skip
        if len(some) == self.pointings:
            return nodes
        places = where(range(self.pointings), nodes.rows, nodes.columns)
        return Lattice(nodes.rows, nodes.columns, places, self.shape)

    def sky_of_pixels(self, pixels: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return longitude and latitude, arcsec, of rows and columns, by the first pointing.

        Parameters
        ----------
        pixels : numpy.ndarray
            Shape (points, 2).
        """
        return np.array([self.positions([0], [row], [column])[0, 0, 0] for row, column in pixels])

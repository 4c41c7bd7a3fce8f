"""Give datasets the methods that correct their pointing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from dkist_virtual.cube.pointing import Pointing

__all__ = ["PointedCube", "PointedMosaic"]


class PointedCube:
    """A dataset whose pointing can be corrected."""

    @property
    def pointing(self) -> Pointing | None:
        """What its pointing is corrected by, in the axes of this selection; None if by nothing."""
        from dkist_virtual.dataset.pointing.shift import pointing_of

        return pointing_of(self)

    def shift(
        self,
        dx: Any = None,
        dy: Any = None,
        *,
        rotation: Any = None,
        scale: Any = None,
        center: Any = None,
    ) -> Self:
        """Correct the pointing; reads no frame.

        The coordinates are scaled about a centre, rotated about it, and shifted, in this order, in
        the plane of Tx and Ty. A correction follows those made before.

        Parameters
        ----------
        dx, dy : Quantity, Column, str, or points in time
            Added to Tx and Ty of every pixel: +dx is to the west, +dy to the north. One value; one
            for each pixel along one of the axes of frames, such as the steps of a raster; an array
            of the shape of those axes, of length 1 along axes where it is the same; one for each
            row of the headers; or the keyword of a column of these, whose ``unit`` is set. In place
            of dx, points in time to interpolate: a table with time, dx and dy, or a tuple
            (Time, dx, dy). ``"headers"`` takes the pointing in each frame's own FITS header.
        rotation : Quantity, optional
            Counter-clockwise with north up and Tx to the right; also one for each step or frame.
        scale : float or (float, float), optional
            Factors of the distances from the centre. Two of them are along the two axes of the
            array that are on the sky, the last first: slit and raster, or x and y of an image.
        center : SkyCoord or Quantity, optional
            (Tx, Ty) of what stays where it is when scaled and rotated: by default the centre of
            this selection at mid-time, written in `pointing`.

        Returns
        -------
        Dataset
            Of the same pixels, with `pointing`.

        Raises
        ------
        TypeError
            A number without a unit.
        DatasetError
            The dataset has no coordinates on the sky, values do not fit it, or frames are further
            outside of points in time than half of the time between the two at that end.

        Examples
        --------
        >>> ds.shift(3 * u.arcsec, -1.5 * u.arcsec)  # doctest: +SKIP
        >>> ds.shift(rotation=0.3 * u.deg, scale=(1, 1.02))  # doctest: +SKIP
        >>> ds.shift((times, dx, dy))  # doctest: +SKIP
        >>> ds.shift("headers")  # doctest: +SKIP
        """
        from dkist_virtual.dataset.pointing.shift import shift

        made: Self = shift(self, dx, dy, rotation=rotation, scale=scale, center=center)
        return made

    def unshifted(self) -> Self:
        """Take the corrections of the pointing away again, also those that a store remembers."""
        from dkist_virtual.dataset.pointing.shift import unshifted

        made: Self = unshifted(self)
        return made


class PointedMosaic:
    """A mosaic whose pointing can be corrected."""

    @property
    def pointing(self) -> NDArray[np.object_]:
        """The `Dataset.pointing` of each tile, or None, in an array like the grid."""
        from dkist_virtual.dataset.pointing.tiles import pointing_of_tiles

        return pointing_of_tiles(self)

    def shift(
        self,
        dx: Any = None,
        dy: Any = None,
        *,
        rotation: Any = None,
        scale: Any = None,
        center: Any = None,
    ) -> Self:
        """Correct the pointing of all tiles, as `Dataset.shift` does; reads no frame.

        Values are those of every tile, or, in an array of the shape of the grid, one for each. The
        centre is that of the mosaic by default: halfway between the outermost centres of tiles.
        """
        from dkist_virtual.dataset.pointing.tiles import shift_tiles

        made: Self = shift_tiles(self, dx, dy, rotation=rotation, scale=scale, center=center)
        return made

    def unshifted(self) -> Self:
        """Take the corrections of the pointing of all tiles away again."""
        from dkist_virtual.dataset.pointing.tiles import unshift_tiles

        made: Self = unshift_tiles(self)
        return made

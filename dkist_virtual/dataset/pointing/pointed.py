"""Give datasets the methods that correct their pointing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from dkist_virtual.cube.pointing import Pointing

__all__ = ["PointedCube"]


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
        dx, dy : Quantity
            Added to Tx and Ty of every pixel: +dx is to the west, +dy to the north.
        rotation : Quantity, optional
            Counter-clockwise with north up and Tx to the right.
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
            The dataset has no coordinates on the sky, or values do not fit it.

        Examples
        --------
        >>> ds.shift(3 * u.arcsec, -1.5 * u.arcsec)  # doctest: +SKIP
        """
        from dkist_virtual.dataset.pointing.shift import shift

        made: Self = shift(self, dx, dy, rotation=rotation, scale=scale, center=center)
        return made

    def unshifted(self) -> Self:
        """Take the corrections of the pointing away again, also those that a store remembers."""
        from dkist_virtual.dataset.pointing.shift import unshifted

        made: Self = unshifted(self)
        return made

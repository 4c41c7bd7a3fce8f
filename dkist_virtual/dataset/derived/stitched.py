"""Stitch a mosaic into one dataset."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from dkist_virtual.dataset.derived.state import own_coordinates
from dkist_virtual.dataset.paths.refused import PathsOfTiles
from dkist_virtual.errors import DatasetError, DKISTVirtualWarning
from dkist_virtual.science.spectra.medium import stated_by_headers

if TYPE_CHECKING:
    from dkist_virtual.dataset.dataset import Dataset

__all__ = ["Stitchable"]


_REFUSED: Final = {
    "uncertainty": ("uncertainty", "pixels that are made of the same ones are not independent"),
    "psf": ("point spread function", "its pixels are those of a tile"),
}


class Stitchable(PathsOfTiles):
    """Give mosaics `stitch`."""

    _tiles: Any
    meta: Any

    def stitch(self, **options: Any) -> Dataset:
        """Make one dataset of the whole field, of the tiles that are present; reads no pixels.

        The tiles are placed by their own Tx and Ty, whatever the times in their frames are: frame
        and observer are those of the tile in the middle. Pixels are computed when they are read,
        and only of the tiles that reach them. The result has the axes of a tile that are not of the
        sky, and then y and x: x goes to the right, as Tx does. ``ds.stitching`` has the time of
        each pixel, the footprints and the header rows of the tiles, and what was done. Where there
        is no tile, pixels are NaN and masked.

        Parameters
        ----------
        resample : {"interpolate", "shift"}
            Interpolate the pixels of the tiles, or move the tiles by whole pixels to their nearest
            places: ``ds.stitching.moved`` says how far from their own that is.
        order : {"linear", "cubic"}
            How to interpolate.
        orientation : {"north", "tiles"}
            Of the output grid: Ty upwards, or turned as the tile in the middle, whose pixels it
            then has. By default "north", and "tiles" for whole pixels.
        register : bool
            Whether to find from the overlaps how far tiles are from their places, and correct it.
            The tile in the middle stays. It reads the overlaps, and needs scikit-image, the extra
            ``align``.
        match : {None, "gain", "offset"}
            Whether to multiply the tiles by factors, or to add numbers to them, that make them as
            bright as each other in their overlaps. The tile in the middle stays. It reads the
            overlaps.
        combine : {"mean", "first", "feather", "best"}
            Where tiles overlap: their mean; the first of them, row-major; a mean whose weights
            fall to zero at the edges; or the one whose seeing was best.
        search : int
            How many pixels tiles may be from their places, each against the other, with `register`.
        plane : tuple of int, optional
            The pixel of the axes that are not of the sky at which overlaps are compared: by default
            the first Stokes parameter, and the middle of other axes.
        seeing : str
            The header column for "best", larger where the seeing was better: by default
            ``ATMOS_R0``, of which values that are not valid (see `seeing`) are the worst.

        Returns
        -------
        Dataset
            Without headers of its own, as a pixel is not of one frame.

        Raises
        ------
        DatasetError
            Tiles that differ in shape, wavelengths or unit beside the sky; more than one visit;
            tiles that do not overlap, with `register` or `match`; no column for "best"; an
            uncertainty or a point spread function.
        ImportError
            scikit-image is not installed, with `register`.

        Examples
        --------
        >>> whole = mosaic.stitch(register=True, match="gain")  # doctest: +SKIP
        >>> whole[0].plot()  # doctest: +SKIP
        """
        from dkist_virtual.dataset.stored import pointing_lines
        from dkist_virtual.science.stitching.options import Options
        from dkist_virtual.science.stitching.stitch import stitch

        how = Options.of(options)
        present = np.argwhere(~np.ma.getmaskarray(self._tiles)).tolist()
        cubes: list[tuple[tuple[int, ...], Dataset]] = [
            (tuple(place), self._tiles[tuple(place)]) for place in present
        ]
        whole = stitch(cubes, how)
        middle: Any = whole.middle
        _check_state(cubes, middle)
        shared = {**self.meta.without_headers(), **stated_by_headers(cubes[0][1])}
        shared |= _common_meta(cubes, self.meta)
        corrections = pointing_lines([tile.pointing for _, tile in cubes])
        said = "; ".join([str(whole.record), *(f"corrected by {one}" for one in corrections)])
        made = type(middle)(
            whole.pixels, wcs=whole.wcs, mask=whole.mask, unit=middle.unit,
            meta={**shared, "stitched": said},
        )  # fmt: skip
        made._stitching = whole.record
        made._coordinates_from(middle, index=())
        made._past = f"{said}: {_sources(cubes)}"
        return made  # type: ignore[no-any-return]


def _sources(cubes: list[tuple[tuple[int, ...], Dataset]]) -> str:
    return ", ".join(dict.fromkeys(tile.lineage.source for _, tile in cubes))


def _check_state(cubes: list[tuple[tuple[int, ...], Dataset]], middle: Any) -> None:
    """Refuse what output pixels cannot have, and warn of what they have not."""
    extra = []
    kept: dict[str, Any] = own_coordinates(middle)
    for place, tile in cubes:
        for name, (word, reason) in _REFUSED.items():
            if getattr(tile, name) is not None:
                raise DatasetError(
                    f"stitch: the {word} of tile {list(place)} does not follow, as {reason}. "
                    f"mosaic[{', '.join(map(str, place))}].{name} = None leaves it behind"
                )
        extra += [f"{name} of tile {list(place)}" for name in tile.extra_coords.keys()]  # noqa: SIM118
        for name, value in own_coordinates(tile).items():
            if name not in kept or not _equal(kept[name], value):
                extra.append(f"{name} of tile {list(place)}")
    if extra:
        warnings.warn(
            f"stitch: coordinates of the pixels of a tile, and those that are not of the tile in "
            f"the middle, are left behind: {', '.join(extra)}",
            DKISTVirtualWarning,
            stacklevel=3,
        )


def _common_meta(cubes: list[tuple[tuple[int, ...], Dataset]], whole: Any) -> dict[str, Any]:
    """Return what all tiles have in their meta; warn of what only some have, or another one."""
    parts = [{k: v for k, v in tile.meta.items() if k != "headers"} for _, tile in cubes]
    common = {
        key: value
        for key, value in parts[0].items()
        if all(key in part and _equal(part[key], value) for part in parts[1:])
    }
    known = set(whole.without_headers()) | set(common)
    opened = set().union(*(tile.lineage.opened_with for _, tile in cubes))
    left = sorted({key for part in parts for key in part} - known - opened)
    if left:
        warnings.warn(
            f"stitch: meta of single tiles is left behind: {', '.join(left)}",
            DKISTVirtualWarning,
            stacklevel=3,
        )
    return common


def _equal(one: Any, other: Any) -> bool:
    if one is other:
        return True
    try:
        return bool(np.all(one == other))
    except Exception:  # noqa: BLE001  # of objects of the user's
        return False

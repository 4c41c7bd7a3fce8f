"""Check that files make one array, and make the array's metadata and references."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from dkist_virtual.conversion.references import frame_urls, identifiers
from dkist_virtual.errors import DatasetError, HeaderWarning
from dkist_virtual.io.locations import name_below, shown
from dkist_virtual.store.format.limits import MAX_FRAME_PIXELS
from dkist_virtual.store.format.names import SURVEY_KEY
from dkist_virtual.store.format.references import (
    FORMAT_VERSION,
    STRINGS,
    ArrayMetadata,
    FrameColumns,
    ReferenceSet,
    identity_of,
)
from dkist_virtual.store.frame_spec import ImageSpec

if TYPE_CHECKING:
    from dkist_virtual.conversion.fits_files.arrange import Grid
    from dkist_virtual.conversion.fits_files.look import FoundImage
    from dkist_virtual.fits.header import HDUTarget
    from dkist_virtual.store.format.frame_index import FrameIndex, Names

__all__ = ["ARRAY", "common_hdu", "names_of_axes", "rebased", "reference_set", "unit_of"]

ARRAY: Final = "data"
"""The array's name."""


def common_hdu(
    urls: Sequence[str], found: Sequence[FoundImage], hdu: HDUTarget | None
) -> HDUTarget:
    """Check that images of files are alike, and say which HDU they are.

    Raises
    ------
    DatasetError
        Shape, type or HDU differ: naming the files, and of the first one the HDU and keyword.
    """
    first = found[0]
    target = first.index if hdu is None else hdu
    moved = hdu is None and any(one.index != first.index for one in found)
    if moved and first.name and all(one.name == first.name for one in found):
        target = first.name  # some surveys have another HDU before it in some files
    differ = [_difference(one, first, hdu, target) for one in found]
    wrong = [(url, what) for url, what in zip(urls, differ, strict=True) if what]
    if wrong:
        url, what = wrong[0]
        message = f"{shown(url)}: {what}, as in {shown(urls[0])}"
        if len(wrong) > 1:
            names = ", ".join(shown(other) for other, _ in wrong[1:6])
            more = f" and {len(wrong) - 6} more" if len(wrong) > 6 else ""
            message += f". So do {names}{more}"
        raise DatasetError(message)
    if math.prod(first.shape) > MAX_FRAME_PIXELS:
        raise DatasetError(
            f"{shown(urls[0])}: HDU {target}: {math.prod(first.shape)} pixels: more than "
            f"{MAX_FRAME_PIXELS} in one image are not referenced"
        )
    return target


def _difference(
    one: FoundImage, first: FoundImage, hdu: HDUTarget | None, target: HDUTarget
) -> str:
    """Say how an image differs from the first one; empty if it does not."""
    if hdu is None and isinstance(target, int) and one.index != target:
        return (
            f"its image is in HDU {one.index} {one.name!r}: expected HDU {target} (hdu= names one "
            "by its EXTNAME)"
        )
    if len(one.shape) != len(first.shape):
        return f"HDU {one.index}: NAXIS = {len(one.shape)}: expected {len(first.shape)}"
    for axis, (n, wanted) in enumerate(zip(one.shape, first.shape, strict=True)):
        if n != wanted:
            return f"HDU {one.index}: NAXIS{len(one.shape) - axis} = {n}: expected {wanted}"
    if one.entry.dtype != first.entry.dtype:
        bitpix = one.cards.values.get("BITPIX")
        return (
            f"HDU {one.index}: BITPIX = {bitpix}, {one.entry.scaling} make "
            f"{np.dtype(one.entry.dtype)} pixels: expected {np.dtype(first.entry.dtype)}"
        )
    return ""


def names_of_axes(
    new: int, ndim: int, dims: Sequence[str] | None, keywords: Sequence[str]
) -> list[str]:
    """Name the axes: as a user does, else by keywords; those of an image x, y, z from the last.

    Raises
    ------
    ValueError
        There are neither as many names as new axes nor as axes.
    """
    own = [*"xyz"[: ndim - new], *(f"naxis{i}" for i in range(4, ndim - new + 1))][::-1]
    if dims is None:
        named = list(keywords) or (["file"] if new == 1 else [f"axis_{i}" for i in range(new)])
        return named + own
    given = [dims] if isinstance(dims, str) else list(dims)
    if not all(isinstance(name, str) and name.strip() for name in given):
        raise ValueError(f"dims = {given!r}: expected names")
    if len(given) not in (new, ndim):
        raise ValueError(
            f"dims = {given!r}: {len(given)} names: expected {new}, for the new axes, or {ndim}, "
            "for all"
        )
    return given if len(given) == ndim else given + own


def unit_of(found: Sequence[FoundImage]) -> str | None:
    """Read the unit of the pixels from BUNIT; None where there is none, or none that is known."""
    units = {one.cards.values.get("BUNIT") for one in found}
    if len(units) > 1:
        said = ", ".join(sorted(map(repr, units)))
        warnings.warn(
            f"BUNIT differs between files: {said:.200}: the array has no unit, the header table "
            "has them",
            HeaderWarning,
            stacklevel=3,
        )
        return None
    unit = units.pop()
    if not isinstance(unit, str):
        return None
    import astropy.units as u

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", u.UnitsWarning)
        try:
            return str(u.Unit(unit).to_string())
        except (ValueError, TypeError):
            return None


def rebased(urls: Sequence[str], place: str, base: str) -> Names:
    """Give the URLs of files under another base than the one that they have in common.

    Raises
    ------
    DatasetError
        They have none.
    """
    names = [name_below(place, url) if url else "" for url in urls]
    if None in names:
        raise DatasetError(
            "base: the files are on several servers, or in no common directory: expected one"
        )
    return frame_urls(np.array(names, STRINGS), base)


def reference_set(
    urls: Names,
    base: str,
    index: FrameIndex,
    image: FoundImage,
    target: HDUTarget,
    grid: Grid,
    names: Sequence[str],
    unit: str | None,
) -> ReferenceSet:
    """Make the reference set of files that were arranged.

    Parameters
    ----------
    urls : ndarray of StringDType, shape (n,)
        Of the places of the grid, in C order; empty where a file is missing.
    base : str
        What they have in common.
    index : FrameIndex, length n
        What was found of them.
    image : FoundImage
        The first of them.
    target : int or str
        Which HDU they are.
    grid : Grid
    names : sequence of str
        Of all axes.
    unit : str or None
    """
    shape = grid.shape + image.shape
    chunks = (1,) * len(grid.shape) + image.shape
    dims = identifiers(names, None)
    attributes: dict[str, Any] = {
        "_ARRAY_DIMENSIONS": dims,
        "axis_names": list(names),
        "unit": unit,
    }
    if grid.values:
        attributes["axis_values"] = dict(zip(dims, grid.values, strict=False))
    pixel = np.dtype(image.entry.dtype)
    columns = FrameColumns.absent(len(urls))
    columns.urls[:] = urls
    if index.is_verbatim:
        n_bytes = math.prod(image.shape) * pixel.itemsize
        columns.offsets[:] = index["data"]
        columns.lengths[:] = np.where(index.found, n_bytes, -1)
        metadata = ArrayMetadata(shape, chunks, pixel.newbyteorder(">").str, None, attributes)
    else:
        columns.offsets[:], columns.lengths[:] = index["offset"], index["length"]
        dtype = pixel.newbyteorder("<").str
        spec = ImageSpec(target, dtype, image.shape)
        metadata = ArrayMetadata(shape, chunks, dtype, spec, attributes)
    arrays: dict[str, Any] = {ARRAY: (metadata, columns)}
    root: dict[str, Any] = {
        "format_version": FORMAT_VERSION,
        "store_id": ReferenceSet({}, arrays).store_id(None),
        "base": base,
        "tiles": None,
        "n_frames": len(urls),
        "n_bytes": sum(index["size"][index.found].tolist()),
        "head_bytes": index.head_bytes,
        SURVEY_KEY: {"hdu": target, "new_axes": len(grid.shape)},
    }
    return ReferenceSet(root, arrays, identity_of(root, str(root["store_id"])))

"""Open a FITS image or mosaic, whose pixels stay in the file until they are computed."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
from astropy.io import fits

from dkist_virtual.dataset.save.files.beside import KNOWN, from_bytes, make_dataset
from dkist_virtual.dataset.save.files.fits_file import ERROR, IMAGE
from dkist_virtual.dataset.save.files.fits_headers import STORED, read_table
from dkist_virtual.dataset.save.files.pixels import FileHandle
from dkist_virtual.dataset.save.files.region import Region
from dkist_virtual.errors import DatasetError

if TYPE_CHECKING:
    from astropy.wcs.wcsapi import BaseHighLevelWCS

    from dkist_virtual.dataset.dataset import Dataset
    from dkist_virtual.dataset.mosaic import TiledDataset
    from dkist_virtual.store.read_options import ReadOptions

__all__ = ["open_fits"]


def open_fits(path: str, options: ReadOptions) -> Dataset | TiledDataset:
    """Open a FITS file on this machine: one that was saved, or one with an image.

    Of a file of other origin the first image that is not compressed is opened, with the WCS in its
    header and its cards as meta.

    Raises
    ------
    DatasetError
        It is not a FITS file, or has no such image.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of headers that are not quite FITS
            with fits.open(path, memmap=False) as file:
                return _opened(path, file, options)
    except OSError as error:
        raise DatasetError(f"{path}: cannot be read as FITS: {error}") from error


def _opened(path: str, file: fits.HDUList, options: ReadOptions) -> Dataset | TiledDataset:
    names = [hdu.name for hdu in file]
    if "MOSAIC" not in file[0].header or "ASDF" not in names:
        return _dataset(path, file, "", options)
    from dkist_virtual.dataset.mosaic import TiledDataset

    tree = _tree(path, file, "")
    tiles = np.full(tuple(tree["grid"]), None, object)
    for name in names:
        if name.startswith(f"{IMAGE}_"):
            suffix = name.removeprefix(IMAGE)
            place = tuple(int(n) for n in suffix[1:].split("_"))
            tiles[place] = _dataset(path, file, suffix, options)
    return TiledDataset(tiles, tree["meta"])


def _tree(path: str, file: fits.HDUList, suffix: str) -> dict[str, Any]:
    return from_bytes(file[f"ASDF{suffix}"].data.tobytes(), path)


def _dataset(path: str, file: fits.HDUList, suffix: str, options: ReadOptions) -> Dataset:
    names = [hdu.name for hdu in file]
    if f"ASDF{suffix}" not in names or f"{IMAGE}{suffix}" not in names:
        return _of_another_origin(path, file, options)
    tree = _tree(path, file, suffix)
    regions = {"data": _region(path, file[f"{IMAGE}{suffix}"], tree["dtype"])}
    if f"MASK{suffix}" in names:
        regions["mask"] = _region(path, file[f"MASK{suffix}"], "bool")
    if f"{ERROR}{suffix}" in names:
        regions["uncertainty"] = _region(path, file[f"{ERROR}{suffix}"])
    headers = None
    if f"HEADERS{suffix}" in names:
        headers = read_table(file[f"HEADERS{suffix}"], tree["columns"])
    observed = tree["computed_from"] is None
    handle = FileHandle.of(path, regions, options, observed=observed)
    return make_dataset(handle, tree, headers=headers)


def _region(path: str, hdu: Any, dtype: str | None = None) -> Region:
    header = hdu.header
    kind = np.dtype(f">{'f' if header['BITPIX'] < 0 else 'u' if header['BITPIX'] == 8 else 'i'}"
                    f"{abs(header['BITPIX']) // 8}")  # fmt: skip
    zero, scale = header.get("BZERO", 0), header.get("BSCALE", 1)
    if dtype is None:
        names = [name for name, (stored, z) in STORED.items()
                 if name != "bool" and (np.dtype(stored), z) == (kind, zero)]  # fmt: skip
        if scale != 1 or not names:
            raise DatasetError(
                f"{path}: the pixels are scaled by BSCALE = {scale}, BZERO = {zero}: expected "
                "numbers as they are. astropy.io.fits reads them: dv.Dataset(array, wcs=...) makes "
                "a dataset of an array"
            )
        dtype = names[0]
    shape = tuple(header[f"NAXIS{axis}"] for axis in range(header["NAXIS"], 0, -1))
    return Region(path, hdu.fileinfo()["datLoc"], shape, kind.str, dtype)


def _of_another_origin(path: str, file: fits.HDUList, options: ReadOptions) -> Dataset:
    """Open the first image of a file that this package did not save."""
    images = [hdu for hdu in file if hdu.is_image and not _is_compressed(hdu) and hdu.shape]
    if not images:
        compressed = any(_is_compressed(hdu) for hdu in file)
        raise DatasetError(
            f"{path}: has no image"
            + (
                " but compressed ones: frames of a dataset are opened by its ASDF or its store"
                if compressed
                else ": expected one in its first HDU or in an extension"
            )
        )
    hdu = images[0]
    tree = {
        "version": KNOWN,
        "wcs": _header_wcs(hdu, file),
        "unit": hdu.header.get("BUNIT"),
        "meta": {key: hdu.header[key] for key in hdu.header if key and key not in _SEVERAL},
        "own_meta": [],
        "computed_from": None,
        "past": None,
        "frames": None,
        "origin": {},
        "added_headers": [],
        "pointing": None,
        "psf": None,
        "uncertainty": None,
        "coordinates": {},
    }
    handle = FileHandle.of(path, {"data": _region(path, hdu)}, options, observed=True)
    return make_dataset(handle, tree)


_SEVERAL = ("HISTORY", "COMMENT")


def _is_compressed(hdu: Any) -> bool:
    return isinstance(hdu, fits.CompImageHDU)


def _header_wcs(hdu: Any, file: fits.HDUList) -> BaseHighLevelWCS:
    """Read the WCS of an image, with as many pixel axes as the image."""
    from astropy.wcs import WCS
    from astropy.wcs.wcsapi import HighLevelWCSWrapper, SlicedLowLevelWCS

    wcs = WCS(hdu.header, fobj=file)
    more = wcs.naxis - len(hdu.shape)
    if more <= 0:
        return wcs
    wcs.pixel_shape = (*hdu.shape[::-1], *[1] * more)
    return HighLevelWCSWrapper(SlicedLowLevelWCS(wcs, [0] * more + [slice(None)] * len(hdu.shape)))

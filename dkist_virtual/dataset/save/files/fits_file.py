"""Save a dataset as FITS: an image for each dataset, and what belongs to it in extensions."""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np
from astropy.io import fits

from dkist_virtual._version import __version__
from dkist_virtual.cube.fits_wcs.express import TOLERANCE, fits_wcs
from dkist_virtual.dataset.save.files.beside import beside, to_bytes
from dkist_virtual.dataset.save.files.fits_headers import (
    STORED,
    finished,
    hdu_bytes,
    image_header,
    small_image,
    table_columns,
    table_hdu,
)
from dkist_virtual.dataset.save.files.part import part_of
from dkist_virtual.dataset.save.files.pixels import as_dask, write_pixels
from dkist_virtual.dataset.save.files.region import Region
from dkist_virtual.errors import DatasetError, DKISTVirtualWarning, redacted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tqdm import tqdm

    from dkist_virtual.cube.fits_wcs.header import FITSWCS
    from dkist_virtual.dataset.dataset import Dataset
    from dkist_virtual.dataset.mosaic import TiledDataset

__all__ = ["ERROR", "IMAGE", "express", "save_fits"]

IMAGE: Final = "DATA"
ERROR: Final = "UNCERT"

_APPROXIMATE: Final = 0.25
"""How far, in pixels, an approximate WCS may be by default: a coordinate stays in its pixel."""

_BLOCK: Final = 2880


@dataclass(frozen=True, eq=False)
class _Image:
    """A dataset that is to be an image, checked before anything is written."""

    ds: Dataset
    suffix: str
    expressed: FITSWCS
    tree: dict[str, Any]


def save_fits(
    dataset: Dataset | TiledDataset,
    place: str | os.PathLike[str],
    *,
    overwrite: bool = False,
    progress: bool = True,
    wcs: Literal["exact", "approximate"] = "exact",
    tolerance: float | None = None,
    nan: bool = False,
) -> None:
    """Write a dataset as a FITS image, and a mosaic as one for each tile.

    Mask (MASK), uncertainty (UNCERT), the table of headers (HEADERS), lookup tables of the WCS
    (WCS-TABLE) and what FITS has no words for (ASDF) are extensions.

    Parameters
    ----------
    dataset : Dataset or TiledDataset
    place : path
    overwrite, progress : bool
        As in `Dataset.save`.
    wcs : {"exact", "approximate"}
        Whether a WCS that FITS cannot express is refused, or is replaced by one that is near, with
        a warning that says how near. ``"approximate"`` also takes a tangent plane in place of a
        lookup table, if one is within `tolerance`.
    tolerance : float, optional
        How far the WCS of the file may be from that of the dataset, in pixels: by default 0.001,
        and 0.25 for an approximate one. It is compared before anything is written.
    nan : bool
        Whether masked pixels are written as NaN. By default they have the values that they have.

    Raises
    ------
    StoreExistsError
        The file exists.
    DatasetError
        FITS cannot hold it.

    Warns
    -----
    DKISTVirtualWarning
        Something is left behind, or the WCS is approximate.
    """
    from dkist_virtual.dataset.mosaic import TiledDataset

    if wcs not in ("exact", "approximate"):
        raise ValueError(f"wcs={wcs!r}: expected 'exact' or 'approximate'")
    if tolerance is None:
        tolerance = TOLERANCE if wcs == "exact" else _APPROXIMATE
    if not tolerance > 0:
        raise ValueError(f"tolerance={tolerance!r}: expected a number of pixels above 0")
    from dkist_virtual.dataset.level2.inversion import Inversion

    if isinstance(dataset, Inversion):
        raise DatasetError(
            "save to .fits: a level 2 inversion has quantities of many units: save one of them, as "
            "in inversion['optical_depth'].save(...)"
        )
    grid = dataset if isinstance(dataset, TiledDataset) else None
    images = [
        _Image(ds, suffix, _near(ds, suffix, wcs, tolerance), _tree(ds, nan=nan))
        for ds, suffix in _named(dataset)
    ]
    with part_of(place, overwrite=overwrite) as part, _bar(images, shown=progress) as bar:
        version = 0
        if grid is not None:
            header = fits.PrimaryHDU().header
            header["MOSAIC"] = (" ".join(map(str, grid.shape)), "tiles")
            header["CREATOR"] = f"dkist_virtual {__version__}"
            _append(part, header.tostring().encode("ascii"))
        for image in images:
            version = _write_image(part, image, bar, version, nan=nan, primary=grid is None)
        if grid is not None:
            from dkist_virtual.dataset.save.nodes import check_meta

            meta = check_meta(grid.meta.without_headers())
            data = to_bytes({"version": 1, "meta": meta, "grid": list(grid.shape)})
            _append(part, hdu_bytes(fits.ImageHDU(np.frombuffer(data, np.uint8), name="ASDF")))


def _named(dataset: Dataset | TiledDataset) -> Iterator[tuple[Dataset, str]]:
    """Give each dataset with the end of the names of its HDUs."""
    from dkist_virtual.dataset.mosaic import TiledDataset

    if not isinstance(dataset, TiledDataset):
        yield dataset, ""
        return
    for index in map(tuple, np.argwhere(~np.asarray(dataset.mask)).tolist()):
        yield dataset[index], "".join(f"_{n}" for n in index)


def express(ds: Dataset, tolerance: float = TOLERANCE) -> FITSWCS:
    """Express the WCS of a dataset in FITS, with what its headers say of it."""
    from dkist_virtual.dataset.export.to_sunpy import stated_tangent
    from dkist_virtual.science.spectra.medium import medium_of

    spectral = "AWAV" if medium_of(ds, warn=False) == "air" else "WAVE"
    return fits_wcs(
        ds.wcs, ds.shape, spectral=spectral, tangents=stated_tangent(ds), tolerance=tolerance
    )


def _near(ds: Dataset, suffix: str, wcs: str, tolerance: float) -> FITSWCS:
    """Express a WCS, and refuse one that is too far away."""
    if ds.dtype.name not in STORED:
        raise DatasetError(
            f"save to .fits: FITS has no pixels of {ds.dtype}: expected "
            f"{', '.join(STORED)}. Save as .zarr, or convert: ds.with_data(ds.data.astype(...))"
        )
    expressed = express(ds, tolerance)
    where = f"tile {suffix.strip('_')}: " if suffix else ""
    if expressed.unsaid:
        said = f"FITS cannot express all of the WCS: {'; '.join(expressed.unsaid)}"
        if wcs == "exact":
            raise DatasetError(
                f"save to .fits: {where}{said}. Save as .zarr, or leave that out of the header: "
                'wcs="approximate"'
            )
        _warn(f"save to .fits: {where}{said}; it is left out of the header")
    if not expressed.away <= tolerance:
        raise DatasetError(
            f"save to .fits: {where}the WCS that FITS can express is up to {expressed.away:.3g} "
            f"pixels away from that of the dataset: expected {tolerance:g} at most. Save as .zarr, "
            f'or allow it: wcs="approximate", tolerance={expressed.away * 1.1:.2g}'
        )
    if wcs == "approximate" and expressed.away > TOLERANCE:
        _warn(
            f"save to .fits: {where}the WCS of the file is up to {expressed.away:.3g} pixels away "
            "from that of the dataset"
        )
    if wcs == "approximate" and expressed.forms.get("HPLN") == "lookup table":
        _warn(
            f"save to .fits: {where}no tangent plane is within {tolerance:g} pixels of the sky, "
            "which stays in a lookup table: sunpy's maps do not read it. tolerance= takes more"
        )
    for note in expressed.notes:
        _warn(f"save to .fits: {where}{note}")
    return expressed


def _warn(text: str) -> None:
    warnings.warn(text, DKISTVirtualWarning, stacklevel=4)


def _tree(ds: Dataset, *, nan: bool) -> dict[str, Any]:
    if nan and ds.mask is not None and ds.dtype.kind != "f":
        raise DatasetError(
            f"save to .fits: nan=True: pixels of {ds.dtype} have no NaN: ds.fill_masked(value) has "
            "a value of yours there"
        )
    tree = beside(ds, "a FITS file")
    tree["dtype"] = ds.dtype.name
    tree["columns"] = None if ds.headers is None else table_columns(ds.headers)
    return tree


def _bar(images: Sequence[_Image], *, shown: bool) -> tqdm[Any]:
    from tqdm import tqdm

    total = sum(image.ds.data.nbytes for image in images)
    hidden = None if shown else True
    return tqdm(total=total, unit="B", unit_scale=True, desc="Saving", disable=hidden)


def _write_image(
    part: str, image: _Image, bar: tqdm[Any], version: int, *, nan: bool, primary: bool
) -> int:
    """Write an image and its extensions; return how many lookup tables the file has by now."""
    from dkist_virtual.dataset.export.to_sunpy import common_cards

    ds, suffix = image.ds, image.suffix
    expressed = image.expressed.numbered(version)
    name = f"{IMAGE}{suffix}"
    header = image_header(
        ds, expressed, common_cards(ds), _history(ds, expressed), name=name, primary=primary
    )
    masked = None if ds.mask is None else ds.mask
    if isinstance(masked, bool):
        masked = np.broadcast_to(np.array(masked), ds.shape)
    pixels = ds.data
    if nan and masked is not None:
        import dask.array as da

        pixels = da.where(as_dask(masked), np.asarray(np.nan, ds.dtype), as_dask(pixels))
    _write(part, header, pixels, STORED[ds.dtype.name][0], ds.dtype.name, bar)
    # Of two axes it has the same WCS: sunpy takes every image of two axes for a map.
    cards = dict(expressed.header()) if len(ds.shape) == 2 else {}
    if masked is not None:
        about = {**cards, "HISTORY": "1 where a pixel is masked"}
        _write(
            part, small_image(ds.shape, ">u1", f"MASK{suffix}", about), masked, ">u1", "bool", None
        )
    if ds.uncertainty is not None:
        values = ds.uncertainty.array
        kind = np.dtype(getattr(values, "dtype", float))
        stored = STORED.get(kind.name, (">f8", 0))
        about = {**cards, "UTYPE": type(ds.uncertainty).__name__}
        if stored[1]:
            stored, kind = (">f8", 0), np.dtype(float)
        _write(part, small_image(ds.shape, stored[0], f"{ERROR}{suffix}", about), values,
               stored[0], kind.name, None)  # fmt: skip
    hdus = expressed.hdus()
    if (table := ds.headers) is not None and table.colnames:
        hdus.append(table_hdu(table, f"HEADERS{suffix}"))
    data = np.frombuffer(to_bytes(image.tree), np.uint8)
    hdus.append(fits.ImageHDU(data, name=f"ASDF{suffix}"))
    for hdu in hdus:
        _append(part, hdu_bytes(hdu))
    return version + len(expressed.tables)


def _history(ds: Dataset, expressed: FITSWCS) -> list[str]:
    from dkist_virtual.cube.pointing import Pointing
    from dkist_virtual.dataset.save.cube.beside import applied_to

    lines = [
        f"pixels computed from {redacted(ds.lineage.source)}"
        if ds.lineage.is_computed
        else f"pixels of {redacted(ds.lineage.source)}",
        f"WCS of the header: at most {expressed.away:.2g} pixels from that of the dataset",
    ]
    for one in map(Pointing.from_document, applied_to(ds)):
        lines += [f"pointing corrected in the WCS by {line}" for line in one.lines()]
    return [*lines, *(f"not in the WCS of the header: {said}" for said in expressed.unsaid)]


def _write(
    part: str, header: fits.Header, values: Any, stored: str, dtype: str, bar: tqdm[Any] | None
) -> None:
    """Write an HDU at the end of a file: its pixels first, then its header with their sum."""
    from dkist_virtual.fits.checksum import datasum

    begin = os.path.getsize(part)
    room = len(header.tostring())
    region = Region(part, begin + room, tuple(values.shape), stored, dtype)
    end = begin + room + -(-region.n_bytes // _BLOCK) * _BLOCK
    os.truncate(part, end)
    write_pixels(values, region, bar or _no_bar())
    total, piece = 0, 2**24
    with open(part, "r+b") as file:
        file.seek(begin + room)
        while data := file.read(piece):
            total += datasum(data)
            total = (total & 0xFFFFFFFF) + (total >> 32)
        made = finished(header, total)
        if len(made) != room:
            raise AssertionError(f"header of {len(made)} bytes: expected {room}")
        file.seek(begin)
        file.write(made)


def _no_bar() -> tqdm[Any]:
    from tqdm import tqdm

    return tqdm(disable=True)


def _append(part: str, data: bytes) -> None:
    with open(part, "ab") as file:
        file.write(data)

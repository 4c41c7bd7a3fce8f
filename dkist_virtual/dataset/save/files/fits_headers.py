"""Make the headers and the small tables of a dataset that is saved as FITS."""

from __future__ import annotations

import io
import re
import warnings
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from astropy.io import fits
from astropy.table import MaskedColumn

from dkist_virtual._version import __version__
from dkist_virtual.dataset.save.nodes import plain_table
from dkist_virtual.dataset.wavelengths.calibrate import frame_of
from dkist_virtual.errors import DatasetError, DKISTVirtualWarning

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from astropy.table import Table

    from dkist_virtual.cube.fits_wcs.header import FITSWCS
    from dkist_virtual.dataset.dataset import Dataset

__all__ = [
    "STORED", "finished", "hdu_bytes", "image_header", "read_table", "small_image", "table_columns",
    "table_hdu",
]  # fmt: skip

STORED: Final = {
    "bool": (">u1", 0), "uint8": (">u1", 0), "int8": (">u1", -128), "int16": (">i2", 0),
    "uint16": (">i2", 2**15), "int32": (">i4", 0), "uint32": (">i4", 2**31), "int64": (">i8", 0),
    "uint64": (">i8", 2**63), "float32": (">f4", 0), "float64": (">f8", 0),
}  # fmt: skip
"""For each type of pixels the type of the numbers in FITS, and BZERO."""

_SPECTRAL: Final = ("AWAV", "WAVE")

_OTHERS: Final = re.compile(
    # Cards of frames that say what is said of the image itself, or that a WCS is read with.
    r"DATE-OBS|DATE-AVG|DATEREF|TIMESYS|TREFPOS|TIMEUNIT|MJD(REF|REFI|REFF|-OBS|-AVG|-BEG|-END)|"
    r"SSYSOBS|SSYSSRC|VELOSYS|ZSOURCE|EXTNAME|EXTVER|EXTLEVEL|INHERIT|RADESYS|EQUINOX|"
    r"(HG|CR)L[NT]_OBS|DSUN_OBS|RSUN_REF|HISTORY|COMMENT|DATE|BLOCKED|Z(IMAGE|BITPIX|CMPTYPE).*"
)


def image_header(
    ds: Dataset,
    expressed: FITSWCS,
    cards: Mapping[str, Any],
    history: Sequence[str],
    *,
    name: str,
    primary: bool,
) -> fits.Header:
    """Make the header of an image, with room for its sums."""
    stored, zero = STORED[ds.dtype.name]
    header = _structure(stored, zero, ds.shape, primary=primary)
    header["EXTNAME"] = name
    if ds.dtype == bool:
        header["DATAMIN"], header["DATAMAX"] = 0, 1
    if ds.unit is not None:
        header["BUNIT"] = (_unit(ds), "unit of the pixels")
    header.extend(expressed.header().cards)
    if frame_of(ds) == "sun" and any(code in _SPECTRAL for code in expressed.forms):
        # FITS Paper III (Greisen et al. 2006), section 7: the frames of SPECSYS.
        header["SPECSYS"] = ("HELIOCEN", "wavelengths without the observer's motion")
    if "XPOSURE" in cards:
        header["TIMEUNIT"] = ("ms", "of XPOSURE")
    left = []
    for keyword, value in cards.items():
        if keyword.startswith("OBSGEO") and "SPECSYS" not in cards:
            continue  # astropy takes it for the place where wavelengths are at rest
        if keyword in header or _OTHERS.fullmatch(keyword):
            continue
        try:
            header[keyword] = value
        except ValueError:  # NaN, or letters that are not ASCII
            left.append(keyword)
    if left:
        warnings.warn(
            f"save to .fits: cards of the frames that FITS cannot write are left out of the "
            f"image's header: {', '.join(left)}",
            DKISTVirtualWarning,
            stacklevel=2,
        )
    header["CREATOR"] = f"dkist_virtual {__version__}"
    for line in history:
        header.add_history(_ascii(line))
    _room_for_sums(header)
    return header


def small_image(
    shape: Sequence[int], stored: str, name: str, cards: Mapping[str, Any]
) -> fits.Header:
    """Make the header of an image beside the pixels, such as a mask."""
    header = _structure(stored, 0, shape, primary=False)
    header["EXTNAME"] = name
    for keyword, value in cards.items():
        header[keyword] = value
    _room_for_sums(header)
    return header


def _structure(stored: str, zero: int, shape: Sequence[int], *, primary: bool) -> fits.Header:
    kind = np.dtype(stored)
    header = fits.Header()
    if primary:
        header["SIMPLE"] = (True, "conforms to FITS")
    else:
        header["XTENSION"] = ("IMAGE", "image extension")
    header["BITPIX"] = (kind.itemsize * (-8 if kind.kind == "f" else 8), "bits of a number")
    header["NAXIS"] = len(shape)
    for axis, n in enumerate(shape[::-1], 1):
        header[f"NAXIS{axis}"] = n
    if primary:
        header["EXTEND"] = True
    else:
        header["PCOUNT"], header["GCOUNT"] = 0, 1
    if zero:
        header["BSCALE"], header["BZERO"] = 1, zero
    return header


def _unit(ds: Dataset) -> str:
    try:
        text: str = ds.unit.to_string("fits")  # type: ignore[union-attr]  # the caller asked
    except ValueError:
        raise DatasetError(
            f"save to .fits: FITS has no unit {str(ds.unit)!r}: ds.to(...) converts to one that it "
            "has, or save as .zarr"
        ) from None
    return text


def _ascii(text: str) -> str:
    return text.encode("ascii", "replace").decode()


# Sums -------------------------------------------------------------------------------------------


def _room_for_sums(header: fits.Header) -> None:
    header["CHECKSUM"] = ("0" * 16, "of the HDU")
    header["DATASUM"] = ("0" * 10, "of its pixels")


def finished(header: fits.Header, total: int) -> bytes:
    """Return the bytes of a header, with the sum of its data and that of the HDU."""
    from dkist_virtual.fits.checksum import datasum

    header["DATASUM"] = (f"{total:010d}", "of its pixels")
    header["CHECKSUM"] = ("0" * 16, "of the HDU")
    summed = datasum(header.tostring().encode("ascii")) + total
    summed = (summed & 0xFFFFFFFF) + (summed >> 32)
    header["CHECKSUM"] = (_encoded(~summed & 0xFFFFFFFF), "of the HDU")
    data: bytes = header.tostring().encode("ascii")
    return data


def _encoded(value: int) -> str:
    """Write a sum in letters and digits (FITS 4.0, appendix J.3)."""
    not_plain = set(range(0x3A, 0x41)) | set(range(0x5B, 0x61))
    text = [""] * 16
    for place, byte in enumerate(value.to_bytes(4, "big")):
        quotient, rest = divmod(byte, 4)
        parts = [quotient + rest + 0x30, *[quotient + 0x30] * 3]
        while not_plain & set(parts):
            for first in (0, 2):
                if not_plain & set(parts[first : first + 2]):
                    parts[first] += 1
                    parts[first + 1] -= 1
        for number, part in enumerate(parts):
            text[4 * number + place] = chr(part)
    return "".join(text[-1:] + text[:-1])


def hdu_bytes(hdu: Any) -> bytes:
    """Return the bytes of a small HDU, with its sums."""
    file = io.BytesIO()
    fits.HDUList([fits.PrimaryHDU(), hdu]).writeto(file, checksum=True)
    return file.getvalue()[2880:]


# The header table -------------------------------------------------------------------------------


def table_hdu(table: Table, name: str) -> fits.BinTableHDU:
    """Make a binary table of the headers of the frames: a row for each.

    Cards that a frame did not have are NaN, empty texts, and the TNULL of a column of integers.
    """
    plain = plain_table(table)
    plain.meta.clear()
    for column in list(plain.columns.values()):
        if column.dtype.kind == "U" and len(plain):
            _check_ascii(column)
        if isinstance(column, MaskedColumn):
            column.fill_value = _nothing(column)
    hdu = fits.table_to_hdu(plain)
    hdu.name = name
    return hdu


def _check_ascii(column: Any) -> None:
    try:
        np.char.encode(np.ma.getdata(column), "ascii")
    except UnicodeEncodeError:
        raise DatasetError(
            f"save to .fits: headers[{column.name!r}] has letters that are not ASCII, which FITS "
            "has no place for: replace them, or save as .zarr"
        ) from None


def _nothing(column: Any) -> Any:
    """Return a value that stands for a card that is absent."""
    if column.dtype.kind == "U":
        return ""
    if column.dtype.kind in "iu":
        return np.iinfo(column.dtype).min if column.dtype.kind == "i" else 0
    return np.nan if column.dtype.kind == "f" else None


def table_columns(table: Table) -> dict[str, Any]:
    """Say what a binary table does not: types of texts, and which cells are absent."""
    said: dict[str, Any] = {}
    for name, column in plain_table(table).columns.items():
        own: dict[str, Any] = {"dtype": column.dtype.str.replace(">", "<")}
        if isinstance(column, MaskedColumn):
            own["absent"] = np.flatnonzero(np.ma.getmaskarray(column)).tolist()
        said[name] = own
    return said


def read_table(hdu: fits.BinTableHDU, columns: Mapping[str, Any] | None) -> Table:
    """Read the header table of a binary table, exactly where its columns are described."""
    from astropy.table import Table

    read = Table.read(hdu)
    return Table(dict(_columns(read, columns or {})), copy=False)


def _columns(read: Table, said: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    from astropy.table import Column

    for name, column in read.columns.items():
        own = said.get(name, {})
        values = np.asarray(np.ma.getdata(column))
        if values.dtype.kind == "S":
            values = np.char.decode(values, "ascii")
        values = values.astype(np.dtype(own["dtype"]) if own else values.dtype.newbyteorder("="))
        if "absent" in own or isinstance(column, MaskedColumn):
            absent = np.ma.getmaskarray(column).copy()
            if "absent" in own:
                absent[:] = False
                absent[own["absent"]] = True
            yield name, MaskedColumn(values, mask=absent, unit=column.unit)
        else:
            yield name, Column(values, unit=column.unit)

"""Describe an image as frozen values: its pixels' type and scaling, and where their bytes are.

Section numbers are those of the FITS standard, version 4.0. The keyword readers at the end are for
plain and for tile-compressed images.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

import numpy as np

from dkist_virtual.fits.buffers import empty

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dkist_virtual.fits.header import Header

__all__ = [
    "BITPIX_DTYPES",
    "Column",
    "CompressedImage",
    "Image",
    "PlainImage",
    "axis_lengths",
    "bitpix_of",
    "check_counts",
    "check_size",
    "pixel_dtype",
    "scale_pixels",
    "scaling_of",
]

MAX_PIXELS: Final = 2**40
"""An image above this many pixels is refused: no frame has them, and sizes stay far from 2**63."""

MAX_AXES: Final = 32
"""An image of more axes is refused: numpy itself has a limit near this one."""

BITPIX_DTYPES: Final = {8: "u1", 16: "i2", 32: "i4", 64: "i8", -32: "f4", -64: "f8"}
"""BITPIX (4.4.1.1, table 8) to a numpy type code; FITS bytes are big-endian."""


@dataclass(frozen=True, slots=True)
class PlainImage:
    """An uncompressed image (7.1, or the primary HDU).

    Attributes
    ----------
    shape : tuple of int
        In array order, the reverse of NAXISn.
    bitpix : int
    bscale, bzero : float
    blank : int or None
        BLANK, for integers only.
    data_offset : int
        Bytes from the beginning of the HDU to the first pixel.
    """

    shape: tuple[int, ...]
    bitpix: int
    bscale: float
    bzero: float
    blank: int | None
    data_offset: int

    @property
    def raw_dtype(self) -> np.dtype:
        """The type of the numbers in the file, big-endian."""
        return np.dtype(">" + BITPIX_DTYPES[self.bitpix])

    @property
    def dtype(self) -> np.dtype:
        """The type of a pixel after scaling, native byte order."""
        return pixel_dtype(self.bitpix, self.bscale, self.bzero, self.blank)

    @property
    def nbytes(self) -> int:
        """Length of the data in bytes, without padding."""
        return math.prod(self.shape) * abs(self.bitpix) // 8

    @property
    def head_bytes(self) -> int:
        """Bytes of the HDU before the first pixel."""
        return self.data_offset

    @property
    def is_verbatim(self) -> bool:
        """Whether the bytes are the pixels: no scaling, no blanks."""
        return self.dtype == self.raw_dtype.newbyteorder("=") and not self.is_scaled

    @property
    def is_scaled(self) -> bool:
        """Whether BSCALE, BZERO or BLANK change anything."""
        return self.bscale != 1 or self.bzero != 0 or self.blank is not None


@dataclass(frozen=True, slots=True)
class Column:
    """One column of the tile table (7.3).

    Attributes
    ----------
    offset : int
        Bytes from the beginning of a row.
    dtype : numpy.dtype
        Of the cell, big-endian; for descriptors two integers, number of elements and heap offset.
    element_bytes : int
        Bytes of one element in the heap; 0 where the column is not a descriptor.
    """

    offset: int
    dtype: np.dtype
    element_bytes: int


@dataclass(frozen=True, slots=True)
class CompressedImage:
    """A tile-compressed image (10): a binary table whose rows are tiles.

    Attributes
    ----------
    shape, tile_shape : tuple of int
        In array order, the reverse of ZNAXISn and ZTILEn.
    bitpix : int
        ZBITPIX.
    bscale, bzero : float
        For integer images.
    blank : int or None
        ZBLANK or BLANK as a keyword; a ZBLANK column goes before it.
    algorithm : str
        ZCMPTYPE.
    parameters : dict
        ZNAMEi and ZVALi, integers and reals.
    quantised : bool
        Whether floats are stored as integers with a scale and a zero (10.2).
    dither : int
        0, 1 or 2: NO_DITHER and the two subtractive methods.
    dither_seed : int
        ZDITHER0, 0 where not dithered.
    scale, zero : float or None
        ZSCALE and ZZERO as keywords; None where they are columns, or there are none.
    columns : dict
        The columns that decoding needs, by TTYPE.
    n_tiles, row_bytes : int
        NAXIS2 and NAXIS1.
    table_offset, heap_offset, heap_bytes : int
        Bytes from the beginning of the HDU to the table and to the heap, and the heap's length.
    """

    shape: tuple[int, ...]
    tile_shape: tuple[int, ...]
    bitpix: int
    bscale: float
    bzero: float
    blank: int | None
    algorithm: str
    parameters: dict[str, float]
    quantised: bool
    dither: int
    dither_seed: int
    scale: float | None
    zero: float | None
    columns: dict[str, Column]
    n_tiles: int
    row_bytes: int
    table_offset: int
    heap_offset: int
    heap_bytes: int

    @property
    def dtype(self) -> np.dtype:
        """The type of a pixel after decoding and scaling, native byte order.

        A ZBLANK column makes floats of integers as a ZBLANK keyword does.
        """
        blank = 0 if self.blank is None and "ZBLANK" in self.columns else self.blank
        return pixel_dtype(self.bitpix, self.bscale, self.bzero, blank)

    @property
    def head_bytes(self) -> int:
        """Bytes of the HDU up to the end of the table, which a partial read begins with."""
        return self.table_offset + self.n_tiles * self.row_bytes

    @property
    def grid(self) -> tuple[int, ...]:
        """Number of tiles along each axis; a table row's number is C order in this shape."""
        return tuple(-(-n // t) for n, t in zip(self.shape, self.tile_shape, strict=True))


Image: TypeAlias = PlainImage | CompressedImage


def pixel_dtype(bitpix: int, bscale: float, bzero: float, blank: int | None) -> np.dtype:
    """Return the type of a pixel after BSCALE, BZERO and BLANK, as astropy chooses it.

    Unscaled pixels keep their type; the offsets that FITS uses for unsigned (and signed 8-bit)
    integers (4.4.2.5, table 11) give that integer type; any other scaling, or a BLANK, makes
    integers of up to 16 bits float32 and longer ones float64. Floats keep their type.
    """
    dtype = np.dtype(BITPIX_DTYPES[bitpix])
    if bitpix < 0:
        return dtype
    if bscale == 1:
        if bitpix == 8 and bzero == -128:
            return np.dtype("i1") if blank is None else np.dtype("f4")
        if bitpix > 8 and bzero == 2 ** (bitpix - 1):
            return np.dtype(f"u{bitpix // 8}")
        if bzero == 0 and blank is None:
            return dtype
    return np.dtype("f8" if bitpix > 16 else "f4")


# Keywords that plain and compressed images share --------------------------------------------


def axis_lengths(header: Header, prefix: str = "") -> tuple[int, ...]:
    """Return the lengths of the axes, in array order: (Z)NAXISn reversed."""
    # astropy reads floats in the cards of a compressed image, and in no others.
    integer = header.whole if prefix else header.integer
    n = integer(f"{prefix}NAXIS")
    if not 0 <= n <= 999:
        raise header.corrupt(f"{prefix}NAXIS = {n}: expected 0 to 999")
    axes = tuple(integer(f"{prefix}NAXIS{i}") for i in range(n, 0, -1))
    for i, length in zip(range(n, 0, -1), axes, strict=True):
        if length < 0:
            raise header.corrupt(f"{prefix}NAXIS{i} = {length}: expected 0 or more")
    return axes


def bitpix_of(header: Header, keyword: str) -> int:
    """Return BITPIX or ZBITPIX (4.4.1.1)."""
    bitpix = header.whole(keyword) if keyword == "ZBITPIX" else header.integer(keyword)
    if bitpix not in BITPIX_DTYPES:
        raise header.corrupt(f"{keyword} = {bitpix}: expected 8, 16, 32, 64, -32 or -64")
    return bitpix


def check_size(header: Header, prefix: str, shape: tuple[int, ...]) -> None:
    """Refuse an image that is empty, or is larger or has more axes than any frame."""
    if math.prod(shape) == 0 or not shape:
        raise header.unsupported(
            f"{prefix} = {len(shape)}, axes {shape[::-1]}: this image is empty: "
            "expected one with pixels"
        )
    if math.prod(shape) > MAX_PIXELS:
        raise header.unsupported(f"{prefix}n = {shape[::-1]}: more than {MAX_PIXELS} pixels")
    if len(shape) > MAX_AXES:
        raise header.unsupported(f"{prefix} = {len(shape)}: more than {MAX_AXES} axes")


def check_counts(header: Header, pcount: int | None = None) -> None:
    """Check that PCOUNT and GCOUNT are those of 7.1 and 7.3, on which all offsets depend."""
    for keyword, expected in (("PCOUNT", pcount), ("GCOUNT", 1)):
        found = header.integer_or(keyword, expected)
        if expected is not None and found != expected:
            raise header.corrupt(f"{keyword} = {found}: expected {expected} for an image")


def scaling_of(header: Header, bitpix: int) -> tuple[float, float, int | None]:
    """Return BSCALE, BZERO and BLANK (4.4.2.5) of a plain image."""
    blank = header.integer_or("BLANK", None) if bitpix > 0 else None
    return header.real("BSCALE", 1.0), header.real("BZERO", 0.0), blank


def scale_pixels(
    raw: NDArray[np.generic],
    layout: Image,
    blanks: NDArray[np.bool_] | None = None,
    out: NDArray[np.generic] | None = None,
) -> NDArray[np.generic]:
    """Apply BSCALE, BZERO and BLANK, with the arithmetic of astropy.

    Floats are scaled in their own precision, integers in that of the result. A BLANK is applied
    whatever its value: astropy leaves pixels of BLANK = 0 as they are, against 4.4.2.5.

    Parameters
    ----------
    raw : ndarray
        The numbers of the file, any byte order; may be returned where nothing has to be done.
    layout : PlainImage or CompressedImage
    blanks : ndarray of bool, optional
        Which pixels are undefined, where tiles have different values for these.
    out : numpy.ndarray, optional
        Where to put the pixels, if that saves a copy: of type `layout.dtype`, contiguous.

    Returns
    -------
    numpy.ndarray
        Type `layout.dtype`, native byte order, contiguous.
    """
    dtype = layout.dtype
    scaled = layout.bscale != 1 or layout.bzero != 0
    if layout.bitpix > 0 and dtype.kind in "iu" and layout.bzero != 0:
        return _flip_highest_bit(raw, empty(raw.shape, dtype) if out is None else out)
    if blanks is None and layout.bitpix > 0 and layout.blank is not None:
        blanks = raw == layout.blank
    if out is not None and not scaled and blanks is None and raw.dtype != dtype:
        out[...] = raw
        return out
    data = np.ascontiguousarray(raw, dtype)
    if not scaled and blanks is None:
        return data
    if scaled and data is raw:
        data = raw.copy()
    # A header may ask for more than the largest float32: that is inf, without a warning.
    with np.errstate(all="ignore"):
        if layout.bscale != 1:
            np.multiply(data, layout.bscale, out=data)
        if layout.bzero != 0:
            np.add(data, layout.bzero, out=data)
    if blanks is not None:
        data[blanks] = np.nan
    return data


_PIECE: Final = 2**16
"""Pixels that are copied and changed at a time: a processor's cache has room for them."""


def _flip_highest_bit(raw: NDArray[np.generic], out: NDArray[np.generic]) -> NDArray[np.generic]:
    """Add half the range of their type to integers.

    That flips their highest bit, which is the same in a signed and in an unsigned integer.
    """
    kind = np.dtype(f"u{out.itemsize}")
    flat, bits = raw.reshape(-1), out.reshape(-1).view(kind)
    bit = kind.type(1 << (8 * out.itemsize - 1))
    for begin in range(0, flat.size, _PIECE):
        piece = bits[begin : begin + _PIECE]
        piece[...] = flat[begin : begin + _PIECE].view(flat.dtype.str[0] + kind.str[1:])
        piece ^= bit
    return out

"""FITS bytes to a frozen layout: where the HDUs lie, and what the pixels of one look like.

Everything here is a pure function over bytes. Section numbers are those of the FITS standard,
version 4.0. Byte ranges are half-open, ``[start, stop)``.

What is read is what decoding needs: the mandatory keywords (4.4.1), the scaling keywords
(4.4.2.5), and the tile-compression keywords (10.1, 10.2). The other 300 cards of a DKIST header
are indexed by name and never parsed.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, TypeAlias, TypeVar

import numpy as np

from dkist_virtual.errors import FrameCorruptError, FrameUnsupportedError

__all__ = [
    "BLOCK",
    "HDU",
    "Column",
    "CompressedImage",
    "Header",
    "Image",
    "PlainImage",
    "TruncatedHeaderError",
    "find_hdu",
    "image_layout",
    "layout_of",
    "pixel_dtype",
    "read_hdu",
]

BLOCK: Final = 2880
"""Length of a FITS block in bytes (3.1)."""

CARD: Final = 80
"""Length of a header card in bytes (4.1)."""

END_CARD: Final = b"END".ljust(CARD)

MAX_PIXELS: Final = 2**40
"""An image above this many pixels is refused: no frame has them, and sizes stay far from 2**63."""

MAX_AXES: Final = 32
"""An image of more axes is refused: numpy itself has a limit near this one."""

MAX_HEADER: Final = 2**22
"""A header longer than this many bytes, 52,428 cards, is refused: DKIST's have 38,000."""

_MAX_DATA: Final = 2**62
"""Data longer than this many bytes are no data: sums with it stay inside 64-bit integers."""

BITPIX_DTYPES: Final = {8: "u1", 16: "i2", 32: "i4", 64: "i8", -32: "f4", -64: "f8"}
"""BITPIX (4.4.1.1, table 8) to a numpy type code; FITS bytes are big-endian."""

HDUTarget: TypeAlias = int | str
"""Which HDU of a file: its index, 0 being the primary, or its EXTNAME."""

_D = TypeVar("_D")
_INTEGER = re.compile(r"[+-]?\d{1,20}")
_REAL = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[EeDd][+-]?\d+)?")
_STRING = re.compile(r" *'((?:[^']|'')*)'")
_FORM = re.compile(r"(\d{0,9})([LXBIJKAEDCMPQ])(?:([LXBIJKAEDCM])(?:\(\d*\))?)?")


@lru_cache(4096)
def _key(keyword: str) -> bytes:
    """A keyword as it stands at the beginning of a card (4.1.2.1)."""
    return keyword.encode("ascii").ljust(8)


class TruncatedHeaderError(FrameCorruptError):
    """The bytes end before the header wanted does: a reader with more of the file tries again."""


class Header:
    """The cards of one header, found by keyword and parsed when asked for.

    Where a keyword stands twice, the first one counts, as in astropy.

    Parameters
    ----------
    cards : bytes
        Whole cards, without the END card.
    hdu : int or str
        Which HDU this is, for messages.
    """

    __slots__ = ("_cards", "_index", "hdu")

    def __init__(self, cards: bytes, hdu: HDUTarget) -> None:
        self._cards = cards
        self.hdu = hdu
        # Reversed, so that the first of two equal keywords is what stays.
        self._index = {
            cards[i : i + 8]: i for i in range(len(cards) - len(cards) % CARD - CARD, -1, -CARD)
        }

    def __contains__(self, keyword: str) -> bool:
        return _key(keyword) in self._index

    def _corrupt(self, keyword: str, found: str, expected: str) -> FrameCorruptError:
        return FrameCorruptError(f"HDU {self.hdu}: {keyword} = {found}: expected {expected}")

    def _text(self, keyword: str) -> str | None:
        """The card's bytes 11 to 80 as text, None where there is no such card or no value."""
        start = self._index.get(_key(keyword))
        if start is None:
            return None
        card = self._cards[start : start + CARD]
        if card[8:10] != b"= ":
            return None
        try:
            return card[10:].decode("ascii")
        except UnicodeDecodeError:
            raise self._corrupt(keyword, repr(card[10:]), "ASCII text (4.1.2.1)") from None

    def _number(self, keyword: str) -> str | None:
        text = self._text(keyword)
        return None if text is None else text.partition("/")[0].strip()

    def integer(self, keyword: str) -> int:
        """An integer value (4.2.3) of a card that must be there."""
        value = self.integer_or(keyword, None)
        if value is None:
            raise FrameCorruptError(f"HDU {self.hdu}: {keyword} is missing: expected an integer")
        return value

    def integer_or(self, keyword: str, default: _D) -> int | _D:
        """An integer value (4.2.3) of 64 bits, `default` where there is no such card."""
        text = self._number(keyword)
        if not text:
            return default
        # int() alone would take "1_000" and any length: 20 digits are more than 2**63.
        if not _INTEGER.fullmatch(text):
            raise self._corrupt(keyword, text[:30], "an integer")
        value = int(text)
        if not -(2**63) <= value < 2**63:
            raise self._corrupt(keyword, text, "an integer of 64 bits")
        return value

    def logical(self, keyword: str, default: bool) -> bool:
        """A logical value, T or F (4.2.2)."""
        text = self._number(keyword)
        if not text:
            return default
        if text not in ("T", "F"):
            raise self._corrupt(keyword, text, "T or F")
        return text == "T"

    def real(self, keyword: str, default: _D) -> float | _D:
        """A floating-point value (4.2.4); an exponent may be written with D."""
        text = self._number(keyword)
        if not text:
            return default
        if not _REAL.fullmatch(text):
            raise self._corrupt(keyword, text, "a number")
        value = float(text.upper().replace("D", "E"))
        if not math.isfinite(value):
            raise self._corrupt(keyword, text, "a number that 64 bits can hold")
        return value

    def string(self, keyword: str, default: str | None = None) -> str | None:
        """A string value (4.2.1), CONTINUE cards (4.2.1.2) joined, trailing blanks dropped."""
        text = self._text(keyword)
        if text is None:
            return default
        value = self._quoted(keyword, text)
        start = self._index[_key(keyword)] + CARD
        while value.endswith("&") and self._cards[start : start + 10] == b"CONTINUE  ":
            more = self._cards[start + 10 : start + CARD].decode("ascii", "replace")
            value = value[:-1] + self._quoted(keyword, more)
            start += CARD
        return value.rstrip()

    def _quoted(self, keyword: str, text: str) -> str:
        match = _STRING.match(text)
        if match is None:
            raise self._corrupt(keyword, text.strip(), "a string in single quotes")
        return match[1].replace("''", "'")


@dataclass(frozen=True, slots=True)
class HDU:
    """Where one HDU lies in the bytes it was found in.

    Attributes
    ----------
    header : Header
    index : int or str
        Its place in the file; for bytes that hold one HDU alone, what it is called there.
    start, data_start : int
        Bytes from the beginning of the buffer to the header and to the data.
    data_bytes : int
        Length of the data without padding (4.4.1.2, equation 2).
    """

    header: Header
    index: HDUTarget
    start: int
    data_start: int
    data_bytes: int

    @property
    def stop(self) -> int:
        """Where the next HDU begins: the data with its padding."""
        return self.data_start + -(-self.data_bytes // BLOCK) * BLOCK

    @property
    def data_stop(self) -> int:
        """Where the data ends, without padding, which some writers leave out at a file's end."""
        return self.data_start + self.data_bytes


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
        """What stands in the file, big-endian."""
        return np.dtype(">" + BITPIX_DTYPES[self.bitpix])

    @property
    def dtype(self) -> np.dtype:
        """What a pixel is once scaled, native byte order."""
        return pixel_dtype(self.bitpix, self.bscale, self.bzero, self.blank)

    @property
    def nbytes(self) -> int:
        """Length of the data in bytes, without padding."""
        return math.prod(self.shape) * abs(self.bitpix) // 8

    @property
    def head_bytes(self) -> int:
        """Bytes of the HDU that come before the first pixel."""
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
        """What a pixel is once decoded and scaled, native byte order.

        A ZBLANK column makes floats of integers as a ZBLANK keyword does.
        """
        blank = 0 if self.blank is None and "ZBLANK" in self.columns else self.blank
        return pixel_dtype(self.bitpix, self.bscale, self.bzero, blank)

    @property
    def head_bytes(self) -> int:
        """Bytes of the HDU up to the end of the table: what a partial read begins with."""
        return self.table_offset + self.n_tiles * self.row_bytes

    @property
    def grid(self) -> tuple[int, ...]:
        """Number of tiles along each axis; a table row's number is C order in this shape."""
        return tuple(-(-n // t) for n, t in zip(self.shape, self.tile_shape, strict=True))


Image: TypeAlias = PlainImage | CompressedImage


def pixel_dtype(bitpix: int, bscale: float, bzero: float, blank: int | None) -> np.dtype:
    """The type that a pixel has after BSCALE, BZERO and BLANK were applied, as astropy chooses it.

    Unscaled pixels keep their type; the offsets that FITS uses for unsigned (and signed 8-bit)
    integers (4.4.2.5, table 11) give that integer type; any other scaling, or a BLANK, makes
    integers of up to 16 bits float32 and longer ones float64. Floats stay what they are.

    Parameters
    ----------
    bitpix : int
        BITPIX or ZBITPIX.
    bscale, bzero : float
        1 and 0 where the keywords are absent.
    blank : int or None
        BLANK.

    Returns
    -------
    numpy.dtype
        In native byte order.
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


def read_hdu(data: bytes | memoryview, start: int, index: HDUTarget) -> HDU:
    """Read the header that begins at `start`, and how long the data after it is.

    Parameters
    ----------
    data : bytes or memoryview
        A file, or its beginning.
    start : int
        Where the header begins.
    index : int or str
        Which HDU this is, for messages.

    Raises
    ------
    TruncatedHeaderError
        There is no END card in `data`.
    FrameCorruptError
        What begins here is no FITS header, or its sizes cannot be.
    """
    first = bytes(data[start : start + 9])
    if first not in (b"SIMPLE  =", b"XTENSION="):
        if len(first) < 9:
            raise TruncatedHeaderError(
                f"HDU {index}: {max(len(data) - start, 0)} bytes: expected a FITS header"
            )
        raise FrameCorruptError(
            f"HDU {index}: begins with {first!r}: expected SIMPLE or XTENSION, so this is no FITS"
        )
    cards_stop = _find_end(data, start)
    if cards_stop is None:
        if len(data) - start > MAX_HEADER:
            # Not a truncated one: nobody should fetch more of it.
            raise FrameUnsupportedError(
                f"HDU {index}: no END card in {MAX_HEADER} bytes: longer headers are not read"
            )
        raise TruncatedHeaderError(
            f"HDU {index}: no END card in {len(data) - start} bytes: the header is cut short"
        )
    header = Header(bytes(data[start:cards_stop]), index)
    used = cards_stop + CARD - start
    data_start = start + -(-used // BLOCK) * BLOCK
    return HDU(header, index, start, data_start, _data_bytes(header))


def _find_end(data: bytes | memoryview, start: int) -> int | None:
    """Where the END card begins; cards are aligned to 80 bytes from `start`.

    None where there is none in `MAX_HEADER` bytes.
    """
    step = 64 * BLOCK
    for begin in range(start, min(len(data), start + MAX_HEADER), step):
        # A slice overlaps the next one by a card, so that no END falls between two.
        piece = bytes(data[begin : begin + step + CARD])
        at = piece.find(END_CARD)
        while at >= 0:
            if (begin + at - start) % CARD == 0:
                return begin + at
            at = piece.find(END_CARD, at + 1)
    return None


def _axes(header: Header, prefix: str = "") -> tuple[int, ...]:
    """Lengths of the axes, in array order: (Z)NAXISn reversed."""
    n = header.integer(f"{prefix}NAXIS")
    if not 0 <= n <= 999:
        raise FrameCorruptError(f"HDU {header.hdu}: {prefix}NAXIS = {n}: expected 0 to 999")
    axes = tuple(header.integer(f"{prefix}NAXIS{i}") for i in range(n, 0, -1))
    for i, length in zip(range(n, 0, -1), axes, strict=True):
        if length < 0:
            raise FrameCorruptError(
                f"HDU {header.hdu}: {prefix}NAXIS{i} = {length}: expected 0 or more"
            )
    return axes


def _bitpix(header: Header, keyword: str) -> int:
    bitpix = header.integer(keyword)
    if bitpix not in BITPIX_DTYPES:
        raise FrameCorruptError(
            f"HDU {header.hdu}: {keyword} = {bitpix}: expected 8, 16, 32, 64, -32 or -64"
        )
    return bitpix


def _data_bytes(header: Header) -> int:
    """Length of an HDU's data in bytes, without padding (4.4.1.2 and 6, equations 1, 2 and 4)."""
    axes = _axes(header)
    if not axes:
        return 0
    if axes[-1] == 0 and header.logical("GROUPS", False):
        axes = axes[:-1]  # random groups (6.1.1) say so by NAXIS1 = 0
    pcount, gcount = header.integer_or("PCOUNT", 0), header.integer_or("GCOUNT", 1)
    if pcount < 0 or gcount < 0:
        keyword, value = ("PCOUNT", pcount) if pcount < 0 else ("GCOUNT", gcount)
        raise FrameCorruptError(f"HDU {header.hdu}: {keyword} = {value}: expected 0 or more")
    length = abs(_bitpix(header, "BITPIX")) // 8 * gcount * (pcount + math.prod(axes))
    if length > _MAX_DATA:
        # Up to 999 axes of 19 digits each: a number that Python itself refuses to print.
        raise FrameCorruptError(
            f"HDU {header.hdu}: NAXISn, PCOUNT and GCOUNT ask for more than {_MAX_DATA} bytes"
        )
    return length


def find_hdu(data: bytes | memoryview, target: HDUTarget, *, size: int | None = None) -> HDU:
    """Walk a file's headers to one HDU.

    Parameters
    ----------
    data : bytes or memoryview
        The file from its first byte, or as much of it as there is.
    target : int or str
        Index, 0 being the primary HDU, or EXTNAME, upper and lower case alike.
    size : int, optional
        Length of the whole file, where `data` is only its beginning.

    Raises
    ------
    TruncatedHeaderError
        `data` ends before the HDU's header does, though the file goes on.
    FrameCorruptError
        The file has no such HDU.
    """
    size = len(data) if size is None else size
    start = index = 0
    while True:
        try:
            hdu = read_hdu(data, start, index)
        except TruncatedHeaderError as error:
            if len(data) < size:
                raise
            raise FrameCorruptError(str(error)) from None
        if target == index or (isinstance(target, str) and _has_name(hdu, target)):
            return hdu
        start, index = hdu.stop, index + 1
        if start >= size:
            raise FrameCorruptError(f"has no HDU {target!r}: it ends after {index} HDU(s)")
        if start >= len(data):
            raise TruncatedHeaderError(f"HDU {index} begins at byte {start}, past those at hand")


def _has_name(hdu: HDU, target: str) -> bool:
    name = hdu.header.string("EXTNAME")
    if name is None and hdu.index == 0:
        name = "PRIMARY"
    return name is not None and name.strip().upper() == target.strip().upper()


def layout_of(hdu: HDU) -> Image:
    """What the pixels of an HDU are and where they lie, offsets from the HDU's first byte.

    Raises
    ------
    FrameCorruptError
        The HDU holds no image, or its keywords contradict each other.
    FrameUnsupportedError
        The keywords ask for something that this package does not know.
    """
    header = hdu.header
    offset = hdu.data_start - hdu.start
    extension = header.string("XTENSION", "IMAGE")
    if extension == "BINTABLE" and header.logical("ZIMAGE", False):
        return _compressed(header, offset)
    if extension != "IMAGE":
        raise FrameCorruptError(
            f"HDU {hdu.index}: XTENSION = {extension!r}: expected an image, plain or compressed"
        )
    shape = _axes(header)
    if math.prod(shape) == 0 or not shape:
        raise FrameCorruptError(
            f"HDU {hdu.index}: NAXIS = {len(shape)}, axes {shape[::-1]}: expected an image"
        )
    _check_size(header, "NAXIS", shape)
    _check_counts(header, pcount=0)
    return PlainImage(shape, _bitpix(header, "BITPIX"), *_scaling(header, "BITPIX"), offset)


def _check_size(header: Header, prefix: str, shape: tuple[int, ...]) -> None:
    if math.prod(shape) > MAX_PIXELS:
        raise FrameUnsupportedError(
            f"HDU {header.hdu}: {prefix}n = {shape[::-1]}: more than {MAX_PIXELS} pixels"
        )
    if len(shape) > MAX_AXES:
        raise FrameUnsupportedError(
            f"HDU {header.hdu}: {prefix} = {len(shape)}: more than {MAX_AXES} axes"
        )


def _check_counts(header: Header, pcount: int | None = None) -> None:
    """PCOUNT and GCOUNT as 7.1 and 7.3 have them: what lies where depends on both."""
    for keyword, expected in (("PCOUNT", pcount), ("GCOUNT", 1)):
        found = header.integer_or(keyword, expected)
        if expected is not None and found != expected:
            raise FrameCorruptError(
                f"HDU {header.hdu}: {keyword} = {found}: expected {expected} for an image"
            )


def _scaling(header: Header, bitpix: str) -> tuple[float, float, int | None]:
    """BSCALE, BZERO and BLANK (4.4.2.5)."""
    blank = header.integer_or("BLANK", None) if _bitpix(header, bitpix) > 0 else None
    return header.real("BSCALE", 1.0), header.real("BZERO", 0.0), blank


def image_layout(data: bytes | memoryview, target: HDUTarget) -> tuple[int, Image]:
    """The layout of a frame in either form of bytes: one HDU, or a file with it.

    Parameters
    ----------
    data : bytes or memoryview
        Bytes that begin with XTENSION are the HDU; bytes that begin with SIMPLE are a file,
        walked to `target`.
    target : int or str
        Which HDU of a file.

    Returns
    -------
    start : int
        Where the HDU begins in `data`.
    layout : PlainImage or CompressedImage

    Raises
    ------
    FrameCorruptError, FrameUnsupportedError
    """
    if bytes(data[:9]) == b"XTENSION=":
        hdu = read_hdu(data, 0, target)
    else:
        hdu = find_hdu(data, target)
    if hdu.data_stop > len(data):
        raise FrameCorruptError(
            f"HDU {hdu.index}: is {hdu.data_stop - hdu.start} bytes long, "
            f"only {len(data) - hdu.start} of them are there: the file is cut short"
        )
    return hdu.start, layout_of(hdu)


# Tile compression ---------------------------------------------------------------------------

_DITHER: Final = {"NO_DITHER": 0, "SUBTRACTIVE_DITHER_1": 1, "SUBTRACTIVE_DITHER_2": 2}

_CELL_DTYPES: Final = {
    "B": ("u1", 1), "I": ("i2", 2), "J": ("i4", 4), "K": ("i8", 8), "E": ("f4", 4), "D": ("f8", 8),
    "L": ("u1", 1), "A": ("S1", 1), "C": ("c8", 8), "M": ("c16", 16),
    "P": ("i4", 8), "Q": ("i8", 16),
}  # fmt: skip
"""TFORM letters (7.3.1, table 18): numpy type code, bytes a cell or an element."""

# Two numbers a cell, made here and once: numpy reads a type such as "(2,)i4" with Python's own
# parser, which in 3.11 fails now and then when several threads are at it.
_DESCRIPTORS: Final = {
    letter: np.dtype((f">{code}", 2)) for letter, code in (("P", "i4"), ("Q", "i8"))
}

_NEEDED_COLUMNS: Final = frozenset(
    {"COMPRESSED_DATA", "GZIP_COMPRESSED_DATA", "UNCOMPRESSED_DATA", "ZSCALE", "ZZERO", "ZBLANK"}
)


def _compressed(header: Header, offset: int) -> CompressedImage:
    shape = _axes(header, "Z")
    if math.prod(shape) == 0 or not shape:
        raise FrameCorruptError(
            f"HDU {header.hdu}: ZNAXIS = {len(shape)}, axes {shape[::-1]}: expected an image"
        )
    _check_size(header, "ZNAXIS", shape)
    bitpix = _bitpix(header, "ZBITPIX")
    n_axes = len(shape)
    # By default a tile is a row (10.1.2).
    tile = tuple(
        header.integer_or(f"ZTILE{i}", shape[-1] if i == 1 else 1) for i in range(n_axes, 0, -1)
    )
    for i, length in zip(range(n_axes, 0, -1), tile, strict=True):
        if length < 1:
            raise FrameCorruptError(f"HDU {header.hdu}: ZTILE{i} = {length}: expected 1 or more")
    # A tile cannot be larger than the image; some writers say so all the same.
    tile = tuple(min(t, n) for t, n in zip(tile, shape, strict=True))
    for keyword, wanted in (("BITPIX", 8), ("NAXIS", 2)):
        if header.integer(keyword) != wanted:
            raise FrameCorruptError(
                f"HDU {header.hdu}: {keyword} = {header.integer(keyword)}: expected {wanted}, "
                "since this is a binary table (7.3.1)"
            )
    _check_counts(header)
    row_bytes, n_tiles = header.integer("NAXIS1"), header.integer("NAXIS2")
    expected = math.prod(-(-n // t) for n, t in zip(shape, tile, strict=True))
    if n_tiles != expected:
        raise FrameCorruptError(
            f"HDU {header.hdu}: NAXIS2 = {n_tiles}: expected {expected}, one row per tile of "
            f"{tile} in {shape}"
        )
    columns = _columns(header, row_bytes)
    quantised, scale, zero = _quantisation(header, bitpix, columns)
    dither, seed = _dithering(header, quantised)
    table_bytes, pcount = row_bytes * n_tiles, header.integer("PCOUNT")
    gap = header.integer_or("THEAP", table_bytes) - table_bytes
    if not 0 <= gap <= pcount:
        raise FrameCorruptError(
            f"HDU {header.hdu}: THEAP = {gap + table_bytes}: expected {table_bytes} to "
            f"{table_bytes + pcount}, inside the data after the table"
        )
    bscale, bzero, blank = _scaling(header, "ZBITPIX")
    return CompressedImage(
        shape=shape,
        tile_shape=tile,
        bitpix=bitpix,
        bscale=bscale,
        bzero=bzero,
        blank=header.integer_or("ZBLANK", blank),
        algorithm=_algorithm(header),
        parameters=_parameters(header),
        quantised=quantised,
        dither=dither,
        dither_seed=seed,
        scale=scale,
        zero=zero,
        columns=columns,
        n_tiles=n_tiles,
        row_bytes=row_bytes,
        table_offset=offset,
        heap_offset=offset + table_bytes + gap,
        heap_bytes=pcount - gap,
    )


def _algorithm(header: Header) -> str:
    algorithm = header.string("ZCMPTYPE")
    if algorithm is None:
        raise FrameCorruptError(f"HDU {header.hdu}: ZCMPTYPE is missing: expected RICE_1 or such")
    return {"RICE_ONE": "RICE_1"}.get(algorithm, algorithm)


def _parameters(header: Header) -> dict[str, float]:
    """ZNAMEi and ZVALi (10.1.2), as numbers."""
    parameters: dict[str, float] = {}
    for i in range(1, 1000):
        name = header.string(f"ZNAME{i}")
        if name is None:
            break
        value = header.real(f"ZVAL{i}", None)
        if value is None:
            raise FrameCorruptError(f"HDU {header.hdu}: ZVAL{i} is missing: ZNAME{i} is {name!r}")
        parameters[name.upper()] = value
    return parameters


def _columns(header: Header, row_bytes: int) -> dict[str, Column]:
    """The columns that decoding needs, by name, upper case."""
    columns: dict[str, Column] = {}
    offset = 0
    for i in range(1, header.integer("TFIELDS") + 1):
        form = (header.string(f"TFORM{i}") or "").strip()
        match = _FORM.fullmatch(form)
        if match is None:
            raise FrameCorruptError(
                f"HDU {header.hdu}: TFORM{i} = {form!r}: expected a binary table format (7.3.1)"
            )
        repeat, letter, element = int(match[1] or 1), match[2], match[3]
        code, width = _CELL_DTYPES.get(letter, ("", 0))
        name = (header.string(f"TTYPE{i}") or "").strip().upper()
        if name in _NEEDED_COLUMNS:
            is_data = name.endswith("DATA")
            letters = "PQ" if is_data else "BIJK" if name == "ZBLANK" else "BIJKED"
            if repeat != 1 or letter not in letters:
                raise FrameUnsupportedError(
                    f"HDU {header.hdu}: TFORM{i} = {form!r} for column {name}: expected "
                    + ("one descriptor, 1P or 1Q" if is_data else "one number")
                )
            for keyword in (f"TSCAL{i}", f"TZERO{i}"):
                if keyword in header and header.real(keyword, 0.0) != (keyword[1] == "S"):
                    raise FrameUnsupportedError(
                        f"HDU {header.hdu}: {keyword} for column {name}: "
                        "scaled columns are not supported"
                    )
            element_bytes = _CELL_DTYPES[element or "B"][1] if is_data else 0
            dtype = _DESCRIPTORS[letter] if is_data else np.dtype(f">{code}")
            columns[name] = Column(offset, dtype, element_bytes)
        offset += -(-repeat // 8) if letter == "X" else repeat * width
    if offset != row_bytes:
        raise FrameCorruptError(
            f"HDU {header.hdu}: NAXIS1 = {row_bytes}: expected {offset}, the sum of the columns"
        )
    if "COMPRESSED_DATA" not in columns:
        raise FrameCorruptError(f"HDU {header.hdu}: TTYPEn: expected a column COMPRESSED_DATA")
    return columns


def _quantisation(
    header: Header, bitpix: int, columns: dict[str, Column]
) -> tuple[bool, float | None, float | None]:
    """Whether floats were quantised, and ZSCALE and ZZERO where they are keywords (10.2.1)."""
    scale, zero = header.real("ZSCALE", None), header.real("ZZERO", None)
    has_scale = "ZSCALE" in columns or scale is not None
    has_zero = "ZZERO" in columns or zero is not None
    if has_scale != has_zero:
        raise FrameCorruptError(
            f"HDU {header.hdu}: {'ZSCALE' if has_scale else 'ZZERO'} stands without "
            f"{'ZZERO' if has_scale else 'ZSCALE'}: expected both or neither"
        )
    if has_scale and bitpix > 0:
        raise FrameUnsupportedError(
            f"HDU {header.hdu}: ZBITPIX = {bitpix} with ZSCALE: quantised integers are not known"
        )
    # A column goes before a keyword of the same name (10.1.3).
    return has_scale, None if "ZSCALE" in columns else scale, None if "ZZERO" in columns else zero


def _dithering(header: Header, quantised: bool) -> tuple[int, int]:
    """The dither method, 0 for none, and its seed ZDITHER0 (10.2.1)."""
    method = header.string("ZQUANTIZ", "NO_DITHER") or "NO_DITHER"
    if not quantised:
        return 0, 0
    if method not in _DITHER:
        raise FrameUnsupportedError(
            f"HDU {header.hdu}: ZQUANTIZ = {method!r} beside ZSCALE: expected one of "
            + ", ".join(_DITHER)
        )
    if _DITHER[method] == 0:
        return 0, 0
    seed = header.integer_or("ZDITHER0", None)
    if seed is None or not 1 <= seed <= 10_000:
        # Without it the noise that was added cannot be taken away again. Decoders that go on
        # all the same read past the end of their table of random numbers.
        raise FrameCorruptError(
            f"HDU {header.hdu}: ZDITHER0 = {seed}: expected 1 to 10000, since ZQUANTIZ = {method!r}"
        )
    return _DITHER[method], seed

"""Parse FITS bytes into a frozen layout: where the HDUs are, and the pixels of one of them.

Pure. Section numbers are those of the FITS standard,
version 4.0. Byte ranges are half-open, ``[start, stop)``.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final, Protocol

from dkist_virtual.fits.errors import FrameCorruptError, FrameUnsupportedError
from dkist_virtual.fits.header import CARD, HDUTarget, Header
from dkist_virtual.fits.layout import (
    Image,
    PlainImage,
    axis_lengths,
    bitpix_of,
    check_counts,
    check_size,
    scaling_of,
)
from dkist_virtual.fits.tiled.keywords import compressed_layout

__all__ = [
    "BLOCK",
    "HDU",
    "MAX_HEADER",
    "UNNAMED",
    "FileSlices",
    "TruncatedHeaderError",
    "find_data",
    "find_hdu",
    "find_in_either",
    "has_image",
    "image_layout",
    "is_named",
    "layout_of",
    "least_length",
    "name_of",
    "read_hdu",
    "stated_datasum",
    "walk_hdus",
]

BLOCK: Final = 2880
"""Length of a FITS block in bytes (3.1)."""

END_CARD: Final = b"END".ljust(CARD)

MAX_HEADER: Final = 2**22
"""A header longer than this many bytes, 52,428 cards, is refused: real ones have some 40,000."""

_MAX_DATA: Final = 2**62
"""Longer data are refused: sums with their length stay inside 64-bit integers."""


class TruncatedHeaderError(FrameCorruptError):
    """The bytes end before the header wanted does: a reader with more of the file tries again."""


class FileSlices(Protocol):
    """The bytes of a file, of which a slice is read when it is asked for."""

    def __len__(self) -> int: ...
    def __getitem__(self, item: slice, /) -> bytes: ...


@dataclass(frozen=True, slots=True)
class HDU:
    """Say where one HDU is in a file or in bytes of it.

    Attributes
    ----------
    header : Header
    index : int or str
        Its number in the file; where the bytes are one HDU alone, as the caller names it.
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

    def check_complete(self, size: int) -> None:
        """Raise `FrameCorruptError` where a file of so many bytes ends before the data."""
        if self.data_stop > size:
            raise FrameCorruptError(
                f"HDU {self.index}: its data ends at byte {self.data_stop}, the file at {size}: "
                "the file is cut short"
            )


def read_hdu(data: FileSlices | memoryview, start: int, index: HDUTarget) -> HDU:
    """Read the header that begins at `start`, and find out how long the data after it is.

    Parameters
    ----------
    data : bytes or memoryview
        A file, or its beginning.
    start : int
    index : int or str
        Which HDU this is, for messages.

    Raises
    ------
    TruncatedHeaderError
        There is no END card in `data`.
    FrameCorruptError
        What begins here is not a FITS header, or its sizes cannot be.
    """
    first = bytes(data[start : start + 9])
    if first not in (b"SIMPLE  =", b"XTENSION="):
        if len(first) < 9:
            raise TruncatedHeaderError(
                f"HDU {index}: {max(len(data) - start, 0)} bytes: expected a FITS header"
            )
        raise FrameCorruptError(
            f"HDU {index}: begins with {first!r}: expected SIMPLE or XTENSION, so this is not FITS"
        )
    cards_stop = _find_end(data, start)
    if cards_stop is None:
        if len(data) - start > MAX_HEADER:
            # Not a truncated one, of which a reader would fetch more.
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


def _find_end(data: FileSlices | memoryview, start: int) -> int | None:
    """Return where the END card begins; cards are aligned to 80 bytes from `start`.

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


def _data_bytes(header: Header) -> int:
    """Return how many bytes an HDU's data has (4.4.1.2 and 6, equations 1, 2 and 4)."""
    axes = axis_lengths(header)
    if not axes:
        return 0
    if axes[-1] == 0 and header.logical("GROUPS", False):
        axes = axes[:-1]  # random groups (6.1.1) say so by NAXIS1 = 0
    pcount, gcount = header.integer_or("PCOUNT", 0), header.integer_or("GCOUNT", 1)
    if pcount < 0 or gcount < 0:
        keyword, value = ("PCOUNT", pcount) if pcount < 0 else ("GCOUNT", gcount)
        raise header.corrupt(f"{keyword} = {value}: expected 0 or more")
    length = abs(bitpix_of(header, "BITPIX")) // 8 * gcount * (pcount + math.prod(axes))
    if length > _MAX_DATA:
        # Up to 999 axes of 19 digits each: a number that Python itself refuses to print.
        raise header.corrupt(f"NAXISn, PCOUNT and GCOUNT ask for more than {_MAX_DATA} bytes")
    return length


def walk_hdus(data: FileSlices | memoryview) -> Iterator[HDU]:
    """Yield the HDUs of a file, as far as its bytes go; `read_hdu` may raise on the way."""
    start = index = 0
    while not index or start < len(data):
        hdu = read_hdu(data, start, index)
        yield hdu
        start, index = hdu.stop, index + 1


def find_data(hdus: Iterable[HDU], offset: int) -> HDU:
    """Find the HDU whose data begins at a byte; raise `FrameCorruptError` if there is none."""
    for hdu in hdus:
        if hdu.data_start == offset:
            return hdu
    raise FrameCorruptError(f"no HDU's data begins at byte {offset}, as it did when it was scanned")


def find_hdu(data: FileSlices | memoryview, target: HDUTarget, *, size: int | None = None) -> HDU:
    """Find an HDU of a file by its index or name.

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
    try:
        for hdu in walk_hdus(data):
            if is_named(hdu, target):
                return hdu
            start, index = hdu.stop, index + 1
    except TruncatedHeaderError as error:
        if len(data) < size:
            raise
        raise FrameCorruptError(str(error)) from None
    if start >= size:
        raise FrameCorruptError(f"the file has no HDU {target!r}: it ends after {index} HDU(s)")
    raise TruncatedHeaderError(f"HDU {index} begins at byte {start}, past those at hand")


def find_in_either(data: bytes | memoryview, target: HDUTarget, *, size: int | None = None) -> HDU:
    """Find an HDU in bytes that are this HDU alone (XTENSION), or a file with it (SIMPLE)."""
    if bytes(data[:9]) == b"XTENSION=":
        return read_hdu(data, 0, target)
    return find_hdu(data, target, size=size)


def least_length(data: bytes | memoryview) -> int:
    """Return how long a file, or an HDU, is at least that begins with some bytes.

    Their last header goes on past their end, or the next HDU begins there.
    """
    start = index = 0
    try:
        for hdu in walk_hdus(data):
            start, index = hdu.stop, index + 1
    except TruncatedHeaderError:
        have = len(data) - start
        try:
            follows = _data_bytes(Header(bytes(data[start:]), index))
        except FrameCorruptError:  # the cards that say so are still to come
            follows = 0
        # END is in a block that is still to come, and after it is the data.
        return start + (have // BLOCK + 1) * BLOCK + follows
    return start + BLOCK


def is_named(hdu: HDU, target: HDUTarget) -> bool:
    """Check whether an HDU of a file has this index or name."""
    return target == hdu.index or (isinstance(target, str) and _has_name(hdu, target))


def _has_name(hdu: HDU, target: str) -> bool:
    """Check whether an HDU has this name, as astropy finds it: the first EXTNAME is its name.

    Software that compressed images gave them an EXTNAME, and left the one that they had.
    """
    wanted = target.strip().upper()
    if hdu.index == 0 and wanted == "PRIMARY":
        return True
    return wanted == _extname(hdu)


def name_of(hdu: HDU) -> str:
    """Return the EXTNAME of an HDU as `find_hdu` compares it: PRIMARY for a primary without."""
    return _extname(hdu) or ("PRIMARY" if hdu.index == 0 else "")


def _extname(hdu: HDU) -> str | None:
    names = hdu.header.values("EXTNAME")
    if _is_compressed_image(hdu.header):
        names = [name for name in names if name != UNNAMED] or [UNNAMED]
    return str(names[0]).strip().upper() if names else None


UNNAMED: Final = "COMPRESSED_IMAGE"
"""The name of a compressed image that was given none."""


def _is_compressed_image(header: Header) -> bool:
    table = header.string("XTENSION") in ("BINTABLE", "A3DTABLE")
    return table and header.logical("ZIMAGE", False)


def has_image(hdu: HDU) -> bool:
    """Check whether an HDU has an image, plain or compressed, with at least one pixel."""
    header = hdu.header
    if _is_compressed_image(header):
        axes = axis_lengths(header, "Z")
    elif header.string("XTENSION", "IMAGE") == "IMAGE":
        axes = axis_lengths(header)
    else:
        return False
    return bool(axes) and min(axes) > 0


def stated_datasum(header: Header) -> int | None:
    """Return the DATASUM that a header states, the first of several; None without one."""
    card = str(header.first("DATASUM") or "").strip()
    return int(card) if card.isdecimal() and len(card) <= 10 else None


def layout_of(hdu: HDU) -> Image:
    """Describe the pixels of an HDU, with offsets from the HDU's first byte.

    Raises
    ------
    FrameCorruptError
        Keywords are missing, or contradict each other.
    FrameUnsupportedError
        The HDU has no image or an empty one, or its keywords ask for something unknown.
    """
    header = hdu.header
    offset = hdu.data_start - hdu.start
    if _is_compressed_image(header):
        return compressed_layout(header, offset)
    extension = header.string("XTENSION", "IMAGE")
    if extension != "IMAGE":
        what = "a compressed table" if header.logical("ZTABLE", False) else "no image"
        raise header.unsupported(
            f"XTENSION = {extension!r}, {what}: expected an image, plain or compressed"
        )
    shape = axis_lengths(header)
    if not header.logical("SIMPLE", True):
        raise header.unsupported("SIMPLE = F, which is not standard FITS: expected SIMPLE = T")
    if "SIMPLE" in header and header.logical("GROUPS", False):
        raise header.unsupported(
            "GROUPS = T, random groups: expected an image, plain or compressed"
        )
    check_size(header, "NAXIS", shape)
    check_counts(header, pcount=0)
    bitpix = bitpix_of(header, "BITPIX")
    return PlainImage(shape, bitpix, *scaling_of(header, bitpix), offset)


def image_layout(data: bytes | memoryview, target: HDUTarget) -> tuple[int, Image]:
    """Return where a frame begins, and its layout, in bytes of one HDU or of a file with it.

    Raises
    ------
    FrameCorruptError, FrameUnsupportedError
        As `find_in_either` and `layout_of`; also where the data is cut short.
    """
    hdu = find_in_either(data, target)
    if hdu.data_stop > len(data):
        raise FrameCorruptError(
            f"HDU {hdu.index}: is {hdu.data_stop - hdu.start} bytes long, "
            f"only {len(data) - hdu.start} of them are there: the file is cut short"
        )
    return hdu.start, layout_of(hdu)

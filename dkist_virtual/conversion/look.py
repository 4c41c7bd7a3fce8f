"""Look at one file: find the HDUs with frames, and check their headers and the file's length.

A look reads the beginning of a file, or of each HDU, never tiles or pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from dkist_virtual.errors import FrameCorruptError, FrameError, FrameUnsupportedError
from dkist_virtual.fits.decode import check_layout
from dkist_virtual.fits.hdu import (
    HDU,
    TruncatedHeaderError,
    find_hdu,
    is_named,
    stated_datasum,
)
from dkist_virtual.fits.layout import BITPIX_DTYPES, Image, PlainImage
from dkist_virtual.fits.references.images import ImageReference, walk_headers
from dkist_virtual.io.byte_range import Request
from dkist_virtual.store.format.frame_index import FrameEntry

if TYPE_CHECKING:
    from dkist_virtual.fits.header import HDUTarget
    from dkist_virtual.fits.partial import Bytes, Range, Reading, Source
    from dkist_virtual.io.byte_range import Reply

__all__ = [
    "HEAD",
    "HEAD_LIMIT",
    "Expected",
    "entry_of",
    "look",
    "look_at_hdus",
    "same_file",
]

HEAD: Final = 17 * 2880
"""First read of a file: an empty primary HDU and the 330 cards of a DKIST header fit in."""

HEAD_LIMIT: Final = 2**24
"""Headers longer than this are refused: none is."""


@dataclass(frozen=True, slots=True)
class Expected:
    """What the ASDF says of the frames of one array.

    Parameters
    ----------
    shape : tuple of int
        The HDU's, in array order.
    dtype : numpy.dtype
        As inventories write it, from BITPIX alone.
    target : int or str
        Which HDU.
    """

    shape: tuple[int, ...]
    dtype: np.dtype
    target: HDUTarget

    def check(self, layout: Image) -> None:
        """Check one frame against the ASDF.

        Raises
        ------
        FrameCorruptError
        """
        check_layout(layout, self.target, shape=self.shape)
        raw = np.dtype(BITPIX_DTYPES[layout.bitpix])
        if self.dtype not in (raw, layout.dtype):
            prefix = "" if isinstance(layout, PlainImage) else "Z"
            raise FrameCorruptError(
                f"HDU {self.target}: {prefix}BITPIX = {layout.bitpix}, which is {raw}: expected "
                f"{self.dtype}, the datatype of the ASDF"
            )


def look(url: str, expected: Expected) -> Reading[Request, Reply, FrameEntry]:
    """Look at one frame.

    Raises
    ------
    FrameMissingError, FrameUnreachableError
    FrameCorruptError, FrameUnsupportedError
        Naming file, HDU and keyword.
    """
    n = HEAD
    while True:
        (head,) = yield [Request.head(url, n)]
        if (found := _seen(url, expected, head, n)) is not None:
            return found
        n *= 4


def _seen(url: str, expected: Expected, head: Reply, n: int) -> FrameEntry | None:
    """What the first `n` bytes of a file show; None where the header is longer."""
    size = len(head.data) if head.total is None else head.total
    try:
        if size == 0:
            raise FrameCorruptError("the file is empty: expected a FITS file")
        hdu = find_hdu(head.data, expected.target, size=size)
        return _entry(hdu, expected, head, size)
    except TruncatedHeaderError as error:
        if n >= min(size, HEAD_LIMIT):
            raise FrameCorruptError(f"{url}: {error}") from None
        return None
    except FrameError as error:
        raise error.at(url) from None


def _entry(hdu: HDU, expected: Expected, reply: Reply, size: int) -> FrameEntry:
    """Check an HDU, and say what is recorded about it and its file."""
    image = ImageReference.of(hdu, size)
    expected.check(image.layout)
    return entry_of(image, reply)


def entry_of(image: ImageReference, reply: Reply) -> FrameEntry:
    """Say what is recorded about an image and its file, of which a reply has the beginning."""
    layout = image.layout
    datasum = stated_datasum(image.hdu.header)
    return FrameEntry(
        size=image.size,
        offset=image.offset,
        length=image.length,
        data=-1 if image.pixels is None else image.pixels[0],
        head=layout.head_bytes,
        mtime=-1 if reply.mtime is None else reply.mtime,
        etag=reply.etag,
        datasum=-1 if datasum is None else datasum,
        dtype=layout.dtype.str,
        scaling=f"BSCALE = {layout.bscale:g}, BZERO = {layout.bzero:g}, BLANK = {layout.blank}",
    )


def look_at_hdus(
    url: str, expected: Sequence[Expected]
) -> Reading[Request, Reply, tuple[FrameEntry, ...]]:
    """Look at several HDUs of one file, from its first header on to the last one wanted.

    The data between two headers is not read.

    Raises
    ------
    FrameMissingError, FrameUnreachableError
    FrameCorruptError, FrameUnsupportedError
        Naming file, HDU and keyword; also where the file changes meanwhile.
    """
    (first,) = yield [Request.head(url, HEAD)]
    size = len(first.data) if first.total is None else first.total
    found: dict[int, FrameEntry] = {}

    def visit(hdu: HDU) -> bool:
        for i, one in enumerate(expected):
            if i not in found and is_named(hdu, one.target):
                found[i] = _entry(hdu, one, first, size)
        return len(found) == len(expected)

    try:
        n = yield from walk_headers(same_file(url, first), size, visit, first.data, HEAD)
        if len(found) < len(expected):
            target = next(one.target for i, one in enumerate(expected) if i not in found)
            raise FrameCorruptError(f"the file has no HDU {target!r}: it ends after {n} HDU(s)")
    except (FrameCorruptError, FrameUnsupportedError) as error:
        raise error.at(url) from None
    return tuple(found[i] for i in range(len(expected)))


def same_file(url: str, first: Reply) -> Source[Request, Reply]:
    """Request ranges of a file; raise `FrameCorruptError` where it is another one than before."""

    def source(ranges: list[Range]) -> Reading[Request, Reply, Sequence[Bytes]]:
        requests = [
            Request(url, start, -1 if stop is None else stop - start, exact=False, sized=True)
            for start, stop in ranges
        ]
        replies = yield requests
        if any(reply.version.is_same(first.version) is False for reply in replies):
            raise FrameCorruptError("changed while its headers were read: scan it again")
        return [reply.data for reply in replies]

    return source

"""Looks at frames, many at once, and says where their pixels lie.

A look reads the beginning of a file, never its tiles: the headers up to the one wanted, and the
file's length. What those show to be wrong is refused here; tables are checked when they are
read, streams when they are decoded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

import numpy as np

from dkist_virtual.algorithms import refuse_unknown
from dkist_virtual.errors import (
    FrameCorruptError,
    FrameError,
    FrameMissingError,
    FrameUnreachableError,
)
from dkist_virtual.fetch import Fetcher, is_local
from dkist_virtual.fits import TruncatedHeaderError, find_hdu, layout_of
from dkist_virtual.layouts import BITPIX_DTYPES, Image, PlainImage
from dkist_virtual.remote import setting
from dkist_virtual.tiles import check_layout

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dkist_virtual.cards import HDUTarget

__all__ = ["Expected", "Scan", "ScanMode", "scan_frames"]

ScanMode: TypeAlias = Literal["always", "auto", "never"]

HEAD: Final = 17 * 2880
"""First read of a file: an empty primary HDU and the 330 cards of a DKIST header fit in."""

HEAD_LIMIT: Final = 2**24
"""Headers longer than this are refused: none is."""

_UNKNOWN: Final = -1

# States of a frame
NOT_LOOKED_AT: Final = 0
FOUND: Final = 1
ABSENT: Final = 2
UNREACHABLE: Final = 3


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
        """Hold one frame against the ASDF.

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


@dataclass(frozen=True, slots=True)
class Look:
    """What one frame's beginning shows; byte positions are from the beginning of the file.

    Attributes
    ----------
    layout : PlainImage or CompressedImage
    start, stop : int
        The HDU with its padding, as far as the file goes.
    size : int
    mtime : int or None
    etag : str or None
    datasum : int or None
        DATASUM of the HDU as it is stored.
    """

    layout: Image
    start: int
    stop: int
    size: int
    mtime: int | None
    etag: str | None
    datasum: int | None


def look(url: str, target: HDUTarget, fetcher: Fetcher) -> Look:
    """Look at one frame.

    Raises
    ------
    FrameMissingError, FrameUnreachableError
    FrameCorruptError, FrameUnsupportedError
        Naming file, HDU and keyword.
    """
    n = HEAD
    while True:
        head = fetcher.head(url, n)
        size = len(head.data) if head.total is None else head.total
        try:
            if size == 0:
                raise FrameCorruptError("the file is empty: expected a FITS file")
            hdu = find_hdu(head.data, target, size=size)
            layout = layout_of(hdu)
            if not isinstance(layout, PlainImage):
                refuse_unknown(layout)
            if hdu.data_stop > size:
                raise FrameCorruptError(
                    f"HDU {hdu.index}: its data ends at byte {hdu.data_stop}, the file at {size}: "
                    "the file is cut short"
                )
            datasum = hdu.header.string("DATASUM") or ""
        except TruncatedHeaderError as error:
            if n >= min(size, HEAD_LIMIT):
                raise FrameCorruptError(f"{url}: {error}") from None
            n *= 4
            continue
        except FrameError as error:
            raise error.at(url) from None
        return Look(
            layout,
            hdu.start,
            min(hdu.stop, size),
            size,
            head.mtime,
            head.etag,
            int(datasum) if datasum.strip().isdecimal() else None,
        )


@dataclass(frozen=True, slots=True, eq=False)
class Scan:
    """What a scan found of the frames of one array: one entry each, -1 where it is not known.

    Attributes
    ----------
    states : ndarray of uint8
        0 not looked at, 1 found, 2 absent, 3 unreachable.
    starts, lengths : ndarray of int64
        The HDU's byte range.
    data_starts, data_lengths : ndarray of int64
        The byte range of the pixels alone, for plain images.
    sizes, mtimes, datasums : ndarray of int64
    etags : ndarray of object
        None where unknown.
    layout : PlainImage, CompressedImage or None
        Of the first frame found; the others have the same shape and type.
    verbatim : bool
        Whether all found are plain images whose bytes are the pixels.
    head_bytes : int or None
        The longest header with tile table.
    missing : tuple of str
        Why frames were not found, of the first ten.
    """

    states: NDArray[np.uint8]
    starts: NDArray[np.int64]
    lengths: NDArray[np.int64]
    data_starts: NDArray[np.int64]
    data_lengths: NDArray[np.int64]
    sizes: NDArray[np.int64]
    mtimes: NDArray[np.int64]
    datasums: NDArray[np.int64]
    etags: NDArray[np.object_]
    layout: Image | None
    verbatim: bool
    head_bytes: int | None
    missing: tuple[str, ...] = ()


def scan_frames(
    urls: Sequence[str],
    expected: Expected,
    fetcher: Fetcher,
    *,
    mode: ScanMode,
    workers: int | None = None,
    on_frame: Callable[[], object] = lambda: None,
) -> Scan:
    """Look at all frames of one array.

    Parameters
    ----------
    urls : sequence of str
        In chunk order; empty where a frame has no file name.
    expected : Expected
    fetcher : Fetcher
    mode : {"always", "auto", "never"}
        Whether a frame that is not there is an error, or counted, or nothing is looked at.
    workers : int, optional
        How many files are read at once. By default 4 on this machine, elsewhere as
        `dkist_virtual.remote.SETTINGS` says.
    on_frame : callable
        Called once a frame, found or not.

    Raises
    ------
    FrameMissingError
        Under "always": naming how many of how many.
    FrameUnreachableError
        Under "always".
    FrameCorruptError, FrameUnsupportedError
    """
    n = len(urls)

    def unknown() -> NDArray[np.int64]:
        return np.full(n, _UNKNOWN, np.int64)

    states = np.zeros(n, np.uint8)
    starts, lengths, data_starts, data_lengths = (unknown() for _ in range(4))
    sizes, mtimes, datasums = (unknown() for _ in range(3))
    etags = np.full(n, None, object)
    first: Image | None = None
    first_url = ""
    verbatim, head_bytes = True, 0
    reasons: list[FrameError] = []
    for i, found in _looks(urls, expected.target, fetcher, mode, workers):
        if isinstance(found, FrameError):
            states[i] = ABSENT if isinstance(found, FrameMissingError) else UNREACHABLE
            reasons.append(found)
            on_frame()
            continue
        layout = found.layout
        try:
            expected.check(layout)
            if first is None:
                first, first_url = layout, urls[i]
            elif layout.dtype != first.dtype:
                raise FrameCorruptError(
                    f"HDU {expected.target}: BSCALE = {layout.bscale:g}, BZERO = {layout.bzero:g}, "
                    f"BLANK = {layout.blank} makes {layout.dtype} pixels: expected {first.dtype}, "
                    f"as in {first_url}"
                )
        except FrameError as error:
            raise error.at(urls[i]) from None
        states[i] = FOUND
        starts[i], lengths[i], sizes[i] = found.start, found.stop - found.start, found.size
        mtimes[i] = _UNKNOWN if found.mtime is None else found.mtime
        datasums[i] = _UNKNOWN if found.datasum is None else found.datasum
        etags[i] = found.etag
        head_bytes = max(head_bytes, layout.head_bytes)
        if isinstance(layout, PlainImage) and layout.is_verbatim:
            data_starts[i] = found.start + layout.data_offset
            data_lengths[i] = layout.nbytes
        else:
            verbatim = False
        on_frame()
    if mode == "always" and reasons:
        absent, unreachable = int((states == ABSENT).sum()), int((states == UNREACHABLE).sum())
        kind = FrameMissingError if absent else FrameUnreachableError
        raise kind(
            f"{absent} of {n} frames are absent and {unreachable} not reachable, "
            f"the first: {reasons[0]}"
        )
    return Scan(
        states,
        starts,
        lengths,
        data_starts,
        data_lengths,
        sizes,
        mtimes,
        datasums,
        etags,
        first,
        verbatim and first is not None,
        head_bytes or None,
        tuple(map(str, reasons[:10])),
    )


def _looks(
    urls: Sequence[str], target: HDUTarget, fetcher: Fetcher, mode: ScanMode, workers: int | None
) -> Iterator[tuple[int, Look | FrameError]]:
    """Look at all frames that have a name, in order; those not there come as their error."""
    if mode == "never":
        return
    if workers is None:
        workers = (
            4 if is_local(next((url for url in urls if url), "")) else int(setting("concurrency"))
        )

    def one(url: str) -> Look | FrameError:
        if not url:
            return FrameMissingError("the ASDF names no file for a frame")
        try:
            return look(url, target, fetcher)
        except (FrameMissingError, FrameUnreachableError) as error:
            return error

    with ThreadPoolExecutor(workers) as pool:
        # In batches, so that an error or Ctrl-C does not wait for the frames after it.
        batch = 64 * workers
        for begin in range(0, len(urls), batch):
            part = range(begin, min(begin + batch, len(urls)))
            yield from zip(part, pool.map(one, (urls[i] for i in part)), strict=True)

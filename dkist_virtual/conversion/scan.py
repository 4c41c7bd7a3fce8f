"""Scan frames, many at once: find where their pixels are, and check header and length.

A look reads the beginning of a file, never its tiles: the headers up to the one wanted, and the
file's length. What those show to be wrong is refused here; tables are checked when they are
read, streams when they are decoded. A frame that is known from before, and whose file did not
change since, is not read.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

import numpy as np

from dkist_virtual.errors import (
    FrameCorruptError,
    FrameError,
    FrameMissingError,
    FrameUnreachableError,
)
from dkist_virtual.fits.decode import check_layout
from dkist_virtual.fits.hdu import TruncatedHeaderError, find_hdu, layout_of, stated_datasum
from dkist_virtual.fits.layout import BITPIX_DTYPES, Image, PlainImage
from dkist_virtual.fits.tiled.decoders import refuse_unknown
from dkist_virtual.io.byte_range import Request
from dkist_virtual.io.driver import at_once, read_many
from dkist_virtual.io.locations import is_local
from dkist_virtual.store.format.frame_index import (
    ABSENT,
    UNREACHABLE,
    FrameEntry,
    FrameIndex,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dkist_virtual.fits.header import HDUTarget
    from dkist_virtual.fits.partial import Reading
    from dkist_virtual.io.byte_range import Reply
    from dkist_virtual.io.fetcher import Fetcher
    from dkist_virtual.protocols import DaskClient, DaskFuture

__all__ = ["Expected", "ScanMode", "scan_frames"]

ScanMode: TypeAlias = Literal["always", "auto", "never"]

HEAD: Final = 17 * 2880
"""First read of a file: an empty primary HDU and the 330 cards of a DKIST header fit in."""

HEAD_LIMIT: Final = 2**24
"""Headers longer than this are refused: none is."""

BATCH: Final = 64
"""Frames for each of the workers that are asked for together: an error does not wait for more."""


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


# One frame ----------------------------------------------------------------------------------


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
        layout = layout_of(hdu)
        if not isinstance(layout, PlainImage):
            refuse_unknown(layout)
        hdu.check_complete(size)
        expected.check(layout)
        datasum = stated_datasum(hdu.header)
    except TruncatedHeaderError as error:
        if n >= min(size, HEAD_LIMIT):
            raise FrameCorruptError(f"{url}: {error}") from None
        return None
    except FrameError as error:
        raise error.at(url) from None
    plain = isinstance(layout, PlainImage) and layout.is_verbatim
    return FrameEntry(
        size=size,
        offset=hdu.start,
        length=min(hdu.stop, size) - hdu.start,
        data=hdu.start + layout.head_bytes if plain else -1,
        head=layout.head_bytes,
        mtime=-1 if head.mtime is None else head.mtime,
        etag=head.etag,
        datasum=-1 if datasum is None else datasum,
        dtype=layout.dtype.str,
        scaling=f"BSCALE = {layout.bscale:g}, BZERO = {layout.bzero:g}, BLANK = {layout.blank}",
    )


# Frames that are known ----------------------------------------------------------------------


Job: TypeAlias = tuple[str, FrameEntry | None]
"""A frame to scan: its URL, and what an earlier scan recorded about its file."""

Found: TypeAlias = FrameEntry | FrameError | None
"""The result: what was found, why nothing was, or None where the file has not changed."""


def _examine(job: Job, expected: Expected) -> Reading[Request, Reply, Found]:
    """Look at a frame, unless its file has not changed."""
    url, before = job
    if not url:
        return FrameMissingError("the ASDF names no file for a frame")
    try:
        if before is not None:
            (now,) = yield [Request.head(url, 0)]
            if before.describes(now):
                return None
        return (yield from look(url, expected))
    except (FrameMissingError, FrameUnreachableError) as error:
        return error


def look_at_all(
    jobs: Sequence[Job], expected: Expected, fetcher: Fetcher, workers: int | None
) -> Iterator[Found]:
    """Look at frames, many at once, in order.

    Parameters
    ----------
    jobs : sequence of (URL, FrameEntry or None)
        An empty URL means a frame without a file.
    expected : Expected
    fetcher : Fetcher
    workers : int, optional
        How many at once.
    """
    local = is_local(next((url for url, _ in jobs if url), ""))
    piece = BATCH * at_once(local=local, workers=workers)
    for begin in range(0, len(jobs), piece):
        readings = [_examine(job, expected) for job in jobs[begin : begin + piece]]
        yield from read_many(readings, fetcher, local=local, workers=workers)


# All frames of an array ---------------------------------------------------------------------


def scan_frames(
    urls: Sequence[str] | NDArray[Any],
    expected: Expected,
    fetcher: Fetcher,
    *,
    mode: ScanMode,
    workers: int | None = None,
    on_frame: Callable[[], object] = lambda: None,
    on_entry: Callable[[int, FrameEntry], object] = lambda i, entry: None,  # noqa: ARG005
    known: FrameIndex | None = None,
    trusted: bool | NDArray[np.bool_] = False,
    client: DaskClient | None = None,
) -> FrameIndex:
    """Scan all frames of one array.

    Parameters
    ----------
    urls : sequence of str
        In chunk order; empty where a frame has no file name.
    expected : Expected
    fetcher : Fetcher
    mode : {"always", "auto", "never"}
        Whether a missing frame is an error, is counted, or nothing is scanned.
    workers : int, optional
        How many files are read at once. By default 4 on this machine, elsewhere as
        `dkist_virtual.io.settings.SETTINGS` says.
    on_frame : callable
        Called once for each frame, found or not.
    on_entry : callable
        Called with position and entry for each frame that was read.
    known : FrameIndex, optional
        What was found of these frames before, checked against the same ASDF: a frame whose file
        has not changed is not read again.
    trusted : bool or array of bool
        Whether the file of a frame that is known is taken to be the same, without asking.
    client : distributed.Client, optional
        Scan from its workers instead.

    Raises
    ------
    FrameMissingError
        Under "always": naming how many of how many.
    FrameUnreachableError
        Under "always".
    FrameCorruptError, FrameUnsupportedError
    """
    n = len(urls)
    index = FrameIndex.unknown(n)
    dtype, first_url = None, ""
    stays = np.zeros(n, bool)
    if known is not None:
        stays = known.found & trusted
        index.rows[stays] = known.rows[stays]
        if stays.any():
            dtype, first_url = known.dtype, str(urls[int(stays.argmax())])
        for _ in range(int(stays.sum())):
            on_frame()
    wanted = np.flatnonzero(~stays) if mode != "never" else np.empty(0, np.int64)
    kept = int(stays.sum())
    reasons: list[FrameError] = []
    for i, url, found in _looks(urls, wanted, known, expected, fetcher, workers, client):
        if isinstance(found, FrameError):
            absent = isinstance(found, FrameMissingError)
            index["state"][i] = ABSENT if absent else UNREACHABLE
            reasons.append(found)
            on_frame()
            continue
        if found is None:
            assert known is not None
            index.rows[i] = known.rows[i]
            its_dtype, scaling = known.dtype, "the earlier scan"
            kept += 1
        else:
            its_dtype, scaling = np.dtype(found.dtype), found.scaling
        if dtype is None:
            dtype, first_url = its_dtype, url
        elif its_dtype != dtype:
            raise FrameCorruptError(
                f"{url}: HDU {expected.target}: {scaling} makes {its_dtype} pixels: expected "
                f"{dtype}, as in {first_url}"
            )
        if found is not None:
            index.put(i, found)
            on_entry(i, found)
        on_frame()
    if mode == "always" and reasons:
        n_absent, n_unreachable = (int((index["state"] == s).sum()) for s in (ABSENT, UNREACHABLE))
        kind = FrameMissingError if n_absent else FrameUnreachableError
        raise kind(
            f"{n_absent} of {n} frames are absent and {n_unreachable} not reachable, "
            f"the first: {reasons[0]}"
        )
    return replace(index, dtype=dtype, missing=tuple(map(str, reasons[:10])), kept=kept)


def _looks(
    urls: Sequence[str] | NDArray[Any],
    wanted: NDArray[np.int64],
    known: FrameIndex | None,
    expected: Expected,
    fetcher: Fetcher,
    workers: int | None,
    client: DaskClient | None,
) -> Iterator[tuple[int, str, Found]]:
    """Scan some frames, in order; a missing frame comes as its error."""

    def jobs() -> Iterator[tuple[list[int], list[Job]]]:
        # A piece at a time: there may be millions.
        for begin in range(0, len(wanted), PIECE):
            some = wanted[begin : begin + PIECE]
            before = [None] * len(some) if known is None else known.entries(some)
            part = some.tolist()
            yield part, [(str(urls[i]), entry) for i, entry in zip(part, before, strict=True)]

    if client is None:
        for part, some in jobs():
            found = look_at_all(some, expected, fetcher, workers)
            for i, (url, _), what in zip(part, some, found, strict=True):
                yield i, url, what
        return
    for part, some, results in _scan_on_cluster(jobs(), expected, fetcher, workers, client):
        for i, (url, _), what in zip(part, some, results, strict=True):
            yield i, url, what


PIECE: Final = 16_384
"""Frames that have their URLs as Python strings at a time."""

TASK: Final = 512
"""Frames that a cluster's worker scans in one task: a worker that dies costs seconds."""


def _scan_on_worker(
    jobs: Sequence[Job], expected: Expected, fetcher: Fetcher, workers: int | None
) -> list[Found]:
    return list(look_at_all(jobs, expected, fetcher, workers))


def _scan_on_cluster(
    pieces: Iterator[tuple[list[int], list[Job]]],
    expected: Expected,
    fetcher: Fetcher,
    workers: int | None,
    client: DaskClient,
) -> Iterator[tuple[list[int], list[Job], list[Found]]]:
    """Scan from the workers of a client, a few tasks ahead of the results."""
    ahead = max(8, 4 * sum(client.nthreads().values()))
    running: deque[tuple[list[int], list[Job], DaskFuture]] = deque()
    try:
        for part, some in pieces:
            for begin in range(0, len(part), TASK):
                own, jobs = part[begin : begin + TASK], some[begin : begin + TASK]
                # Not pure: files change, so that the same task has to run again.
                future = client.submit(
                    _scan_on_worker, jobs, expected, fetcher, workers, pure=False, retries=2
                )
                running.append((own, jobs, future))
                if len(running) >= ahead:
                    first, its_jobs, future = running.popleft()
                    yield first, its_jobs, future.result()
        while running:
            first, its_jobs, future = running.popleft()
            yield first, its_jobs, future.result()
    finally:
        client.cancel([future for *_, future in running])

"""Scan frames, many at once: find where their pixels are, and check header and length.

A look (`look`) reads headers and the file's length. What those show to be wrong is refused here;
tables are checked when they are read, streams when they are decoded. A frame that is known from
before, and whose file did not change since, is not read. A file with frames of several arrays is
looked at once.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

import numpy as np

from dkist_virtual.conversion.look import HEAD, HEAD_LIMIT, Expected, look, look_at_hdus
from dkist_virtual.errors import (
    FrameCorruptError,
    FrameError,
    FrameMissingError,
    FrameUnreachableError,
)
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

    from dkist_virtual.fits.partial import Reading
    from dkist_virtual.io.byte_range import Reply
    from dkist_virtual.io.fetcher import Fetcher
    from dkist_virtual.protocols import DaskClient, DaskFuture

__all__ = ["HEAD", "HEAD_LIMIT", "Expected", "ScanMode", "scan_files", "scan_frames"]

ScanMode: TypeAlias = Literal["always", "auto", "never"]

BATCH: Final = 64
"""Frames for each of the workers that are asked for together: an error does not wait for more."""


# Frames that are known ----------------------------------------------------------------------


Job: TypeAlias = tuple[str, FrameEntry | None]
"""A file to scan: its URL, and what an earlier scan recorded about it."""

Found: TypeAlias = tuple[FrameEntry, ...] | FrameError | None
"""The result: what was found of each frame in it, why nothing was, or None where the file has not
changed."""


def _examine(job: Job, expected: Sequence[Expected]) -> Reading[Request, Reply, Found]:
    """Look at the frames in a file, unless it has not changed."""
    url, before = job
    if not url:
        return FrameMissingError("the ASDF names no file for a frame")
    try:
        if before is not None:
            (now,) = yield [Request.head(url, 0)]
            if before.describes(now):
                return None
        if len(expected) == 1:
            return ((yield from look(url, expected[0])),)
        return (yield from look_at_hdus(url, expected))
    except (FrameMissingError, FrameUnreachableError) as error:
        return error


def look_at_all(
    jobs: Sequence[Job], expected: Sequence[Expected], fetcher: Fetcher, workers: int | None
) -> Iterator[Found]:
    """Look at files, many at once, in order.

    Parameters
    ----------
    jobs : sequence of (URL, FrameEntry or None)
        An empty URL means a frame without a file.
    expected : sequence of Expected
        Of the frames in each file.
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
    (index,) = scan_files(
        urls, (expected,), fetcher, mode=mode, workers=workers, on_frame=on_frame,
        on_entry=lambda _, i, entry: on_entry(i, entry), known=(known,), trusted=(trusted,),
        client=client,
    )  # fmt: skip
    return index


def scan_files(
    urls: Sequence[str] | NDArray[Any],
    expected: Sequence[Expected],
    fetcher: Fetcher,
    *,
    mode: ScanMode,
    workers: int | None,
    on_frame: Callable[[], object],
    on_entry: Callable[[int, int, FrameEntry], object],
    known: Sequence[FrameIndex | None],
    trusted: Sequence[bool | NDArray[np.bool_]],
    client: DaskClient | None,
) -> list[FrameIndex]:
    """Scan all files of some arrays, each of which has a frame in every file.

    Parameters and errors are those of `scan_frames`; `expected`, `known` and `trusted` have an
    entry for each array, and `on_entry` is called with the number of the array too. A file is read
    again if what is known of one of its frames does not do.
    """
    n = len(urls)
    indices = [FrameIndex.unknown(n) for _ in expected]
    dtypes: list[np.dtype | None] = [None] * len(expected)
    first_url = ""
    stays = np.ones(n, bool)
    for before, believed in zip(known, trusted, strict=True):
        stays &= False if before is None else before.found & believed
    if stays.any():
        first_url = str(urls[int(stays.argmax())])
        for k, before in enumerate(known):
            assert before is not None
            indices[k].rows[stays] = before.rows[stays]
            dtypes[k] = before.dtype
    for _ in range(int(stays.sum()) * len(expected)):
        on_frame()
    wanted = np.flatnonzero(~stays) if mode != "never" else np.empty(0, np.int64)
    kept = int(stays.sum())
    reasons: list[FrameError] = []
    for i, url, found in _looks(urls, wanted, known, expected, fetcher, workers, client):
        if isinstance(found, FrameError):
            absent = isinstance(found, FrameMissingError)
            for index in indices:
                index["state"][i] = ABSENT if absent else UNREACHABLE
            reasons.append(found)
        kept += found is None
        for k, index in enumerate(indices):
            if not isinstance(found, FrameError):
                before = known[k]
                if found is None:
                    assert before is not None
                    index.rows[i] = before.rows[i]
                    its_dtype, scaling = before.dtype, "the earlier scan"
                else:
                    its_dtype, scaling = np.dtype(found[k].dtype), found[k].scaling
                if dtypes[k] is None:
                    dtypes[k], first_url = its_dtype, first_url or url
                elif its_dtype != dtypes[k]:
                    raise FrameCorruptError(
                        f"{url}: HDU {expected[k].target}: {scaling} makes {its_dtype} pixels: "
                        f"expected {dtypes[k]}, as in {first_url}"
                    )
                if found is not None:
                    index.put(i, found[k])
                    on_entry(k, i, found[k])
            on_frame()
    if mode == "always" and reasons:
        states = indices[0]["state"]
        n_absent, n_unreachable = (int((states == s).sum()) for s in (ABSENT, UNREACHABLE))
        kind = FrameMissingError if n_absent else FrameUnreachableError
        raise kind(
            f"{n_absent} of {n} frames are absent and {n_unreachable} not reachable, "
            f"the first: {reasons[0]}"
        )
    missing = tuple(map(str, reasons[:10]))
    return [
        replace(index, dtype=dtype, missing=missing if k == 0 else (), kept=kept)
        for k, (index, dtype) in enumerate(zip(indices, dtypes, strict=True))
    ]


def _looks(
    urls: Sequence[str] | NDArray[Any],
    wanted: NDArray[np.int64],
    known: Sequence[FrameIndex | None],
    expected: Sequence[Expected],
    fetcher: Fetcher,
    workers: int | None,
    client: DaskClient | None,
) -> Iterator[tuple[int, str, Found]]:
    """Scan some files, in order; a missing one comes as its error."""

    def jobs() -> Iterator[tuple[list[int], list[Job]]]:
        # A piece at a time: there may be millions.
        for begin in range(0, len(wanted), PIECE):
            some = wanted[begin : begin + PIECE]
            part = some.tolist()
            before = _entries(known, some)
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


def _entries(
    known: Sequence[FrameIndex | None], positions: NDArray[np.int64]
) -> list[FrameEntry | None]:
    """Give what is known of some files; None where a frame in one is not known."""
    every = [index.entries(positions) for index in known if index is not None]
    if len(every) < len(known):
        return [None] * len(positions)
    return [
        entries[0] if all(entry is not None for entry in entries) else None
        for entries in zip(*every, strict=True)
    ]


PIECE: Final = 16_384
"""Frames that have their URLs as Python strings at a time."""

TASK: Final = 512
"""Frames that a cluster's worker scans in one task: a worker that dies costs seconds."""


def _scan_on_worker(
    jobs: Sequence[Job], expected: Sequence[Expected], fetcher: Fetcher, workers: int | None
) -> list[Found]:
    return list(look_at_all(jobs, expected, fetcher, workers))


def _scan_on_cluster(
    pieces: Iterator[tuple[list[int], list[Job]]],
    expected: Sequence[Expected],
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

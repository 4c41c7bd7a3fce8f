"""Read part of one frame from one place: all of it from one version of the frame's file.

A part of a frame takes two requests, one for the header with its tile table and one for the tiles,
and the file may be replaced between them. So each table is kept together with the version of its
file, and used only for bytes of that version.
"""

from __future__ import annotations

from collections import OrderedDict
from functools import cached_property
from typing import TYPE_CHECKING, Final

import numpy as np

from dkist_virtual.errors import FrameCorruptError, FrameError, redacted
from dkist_virtual.fits.buffers import empty
from dkist_virtual.fits.decode import whole_window
from dkist_virtual.fits.frame_spec import without_leading_axis
from dkist_virtual.fits.hdu import TruncatedHeaderError, layout_of, walk_hdus
from dkist_virtual.fits.layout import PlainImage
from dkist_virtual.fits.partial import FIRST_READ, FrameMap, plain_map
from dkist_virtual.fits.threads import ThreadLock, open_in_forks
from dkist_virtual.io.byte_range import Request
from dkist_virtual.store.frame_spec import FrameSpec, RawSpec

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from dkist_virtual.fits.decode import Window
    from dkist_virtual.fits.partial import Bytes, Range, Reading
    from dkist_virtual.io.byte_range import Reply, Version
    from dkist_virtual.store.frame_locations import Reference
    from dkist_virtual.store.integrity import Scanned

__all__ = ["FrameReader", "MapCache"]

HEADER_LIMIT: Final = 2**24
"""Headers longer than this are not read to find out whether a frame is the one scanned."""


TRIES: Final = 3
"""How often a frame is read whose file is replaced while it is read."""


class _ChangedError(Exception):
    """The file is another one than when a part of it was read."""


def _changes(place: str) -> FrameCorruptError:
    return FrameCorruptError(
        f"{place}: the file changed all {TRIES} times while it was read: expected a file that is "
        "not replaced meanwhile. Read it again"
    )


@open_in_forks
class FrameReader:
    """Read frames of a store, and remember where their pixels are.

    Parameters
    ----------
    scanned : Scanned
        What a scan found of the files.
    find_head : callable
        Gives the length of the longest header with tile table, where that is known.
    """

    def __init__(self, scanned: Scanned, find_head: Callable[[], int | None]) -> None:
        self.scanned = scanned
        self._find_head = find_head
        self.maps = MapCache(MAP_CACHE_BYTES)

    @cached_property
    def head_bytes(self) -> int | None:
        """How much of a frame to request first, where that is known."""
        return self._find_head()

    def forget(self) -> None:
        """Forget what was learnt about the frames."""
        self.maps.clear()

    def bytes_of(
        self, place: str, reference: Reference, start: int, stop: int | None
    ) -> Reading[Request, Reply, bytes]:
        """Read bytes of what a reference points at: to the end where `stop` is None."""
        data: Bytes
        for whole in (False, True):
            frame = _Frame(self, place, reference, whole=whole)
            try:
                if whole and isinstance(reference.spec, RawSpec):
                    end = reference.length if stop is None else min(stop, reference.length)
                    data = (yield from frame.in_one(reference.spec, max(end, start)))[start:]
                else:  # of one version, since it is one request
                    (data,) = yield from frame([(start, stop)])
            except _ChangedError:
                continue
            if self.scanned.verify and stop is None:
                self.scanned.check_sum(data, reference)
            return bytes(data)
        raise _changes(place)

    def pixels(
        self,
        place: str,
        reference: Reference,
        window: Window,
        out: NDArray[np.generic] | None,
    ) -> Reading[Request, Reply, NDArray[np.generic]]:
        """Read a window of a frame.

        A known table is used if it is of the file that is there; else a new one is read; and if
        the file changes meanwhile, all of the frame is read, by one request.
        """
        spec, key = reference.spec, _key(place, reference)
        known = self.maps.get(key)
        checked = self.scanned.verify and window == whole_window(spec.shape)
        if checked or isinstance(spec, RawSpec):
            known = None
        attempts = [(None, whole) for whole in (False, *[True] * (TRIES - 1))]
        for learnt, whole in attempts if known is None else [(known, False), *attempts]:
            table, version = learnt or (None, None)
            frame = _Frame(self, place, reference, version, whole, checked)
            try:
                if isinstance(spec, RawSpec) and (rows := frame.rows(window)) is not None:
                    return (yield from frame.read_rows(rows, window, out))
                found, pixels = yield from spec.steps(
                    frame, window, table, self.head_bytes or FIRST_READ, out=out
                )
            except _ChangedError:
                pass
            except FrameError as error:  # what was learnt may be of another file
                if learnt is None or not isinstance(error, FrameCorruptError):
                    raise frame.located(error) from error
            else:
                if learnt is None and found is not None and isinstance(spec, FrameSpec):
                    frame.keep(found)
                return pixels
            if learnt is not None:
                self.maps.drop(key)
        raise _changes(place)


class _Frame:
    """Fetch ranges of one frame from one place, all of one version of its file; a `Source`.

    Parameters
    ----------
    reader : FrameReader
    place : str
    reference : Reference
    version : Version, optional
        The one that something is known of.
    whole : bool
        Whether to ask for all of the frame, whatever is wanted of it.
    checked : bool
        Whether to check all of it against its sum.
    """

    def __init__(
        self,
        reader: FrameReader,
        place: str,
        reference: Reference,
        version: Version | None = None,
        whole: bool = False,
        checked: bool = False,
    ) -> None:
        self.place, self.reference, self.spec = place, reference, reference.spec
        self.version, self.firm = version, True
        self.whole, self.checked = whole, checked
        self._maps, self._key, self._scanned = reader.maps, _key(place, reference), reader.scanned
        self._version_scanned = self._scanned.version(place, reference)
        self._all: Bytes | None = None
        self._where = ""

    def __call__(self, ranges: list[Range]) -> Reading[Request, Reply, list[Bytes]]:
        """Fetch ranges, and check that their file is the one known."""
        if self._all is None:
            asked: list[Range] = [(0, None)] if self.whole else ranges
            self._where = self.reference.text(*asked[0])
            data: list[Bytes]
            if self.whole and isinstance(self.spec, RawSpec):
                data = [(yield from self.in_one(self.spec))]
            else:
                replies = yield [self._request(*part) for part in asked]
                for reply in replies:
                    if self.version is not None and reply.version != self.version:
                        raise _ChangedError
                    self.version, self.firm = reply.version, self.firm and reply.firm
                    yield from self._check(reply)
                data = [reply.data for reply in replies]
            if self.checked and asked == [(0, None)]:
                self._scanned.check_sum(data[0], self.reference)
            self._where = ""
            if not self.whole:
                return data
            self._all = memoryview(data[0])
        return [self._all[start:stop] for start, stop in ranges]

    def _request(self, start: int, stop: int | None) -> Request:
        """Ask for a range of the reference, as far as it goes."""
        reference = self.reference
        n = reference.length if stop is None else stop - start
        if n > reference.most:
            raise FrameCorruptError(
                f"{n} bytes are referenced: expected at most {reference.most} of a frame of this "
                "shape"
            )
        known = stop is None or reference.offset >= 0  # how long the frame is
        if stop is None:
            offset = reference.offset
        else:
            offset = max(reference.offset, 0) + start
            n = max(min(stop, reference.length) - start, 0) if known else n
        return Request(
            self.place,
            offset,
            n,
            exact=known,
            most=reference.most,
            version=self.version,
            scanned=self._version_scanned,
        )

    def keep(self, found: FrameMap) -> None:
        """Keep the frame's map, if another file would have another version."""
        if self.firm and self.version is not None:
            self._maps.put(self._key, found, self.version)

    def rows(self, window: Window) -> tuple[int, int] | None:
        """Get the bytes of a window of a plain frame; None where they are not one piece."""
        assert isinstance(self.spec, RawSpec)
        rows = self.spec.rows(window)
        inside = rows and self.reference.offset >= 0 and rows[1] <= self.reference.length
        return rows if inside else None

    def read_rows(
        self, rows: tuple[int, int], window: Window, out: NDArray[np.generic] | None
    ) -> Reading[Request, Reply, NDArray[np.generic]]:
        """Read bytes of a plain frame to where its pixels are wanted."""
        self._where = self.reference.text(*rows)
        if out is None:
            native = np.dtype(self.spec.dtype).newbyteorder("=")
            out = empty(tuple(map(len, window)), native)
        into = out.reshape(-1).view("u1").data
        pieces = self._scanned.pieces(out.dtype, self.reference, whole=self.checked)
        if self.whole:
            assert isinstance(self.spec, RawSpec)
            into[:] = (yield from self.in_one(self.spec, rows[1]))[rows[0] :]
            pieces(0, into)
        else:
            begin, known = self.reference.offset + rows[0], self._version_scanned
            (reply,) = yield [
                Request(self.place, begin, len(into), into=into, each=pieces, scanned=known)
            ]
            yield from self._check(reply)
        pieces.check()
        return out

    def located(self, error: FrameError) -> FrameError:
        """Add the place, and the range that was requested, to an error."""
        if redacted(self.place) in str(error):
            return error.at(self._where) if self._where else error
        return error.at(f"{self.place}, {self._where}" if self._where else self.place)

    def _check(self, reply: Reply) -> Reading[Request, Reply, None]:
        """Check a file against the scan and earlier reads.

        Pixels of a plain frame do not show whether they are where the scan found them. If the file
        is another one by now, its header is read once.
        """
        other = self._scanned.check(self.place, self.reference, reply)
        if not isinstance(self.spec, RawSpec):
            return
        known = self._maps.get(self._key)
        if known is not None and known[1] == reply.version:
            return
        if other or known is not None:
            _refuse_long_head(self.reference)
            length = max(self.reference.offset, 0)
            (head,) = yield [Request(self.place, 0, length, scanned=self._version_scanned)]
            if head.version != reply.version:
                raise _ChangedError
            _check_header(head.data, self.reference, self.spec)
        if reply.firm:
            plain = plain_map(self.spec.dtype, self.spec.shape)
            self._maps.put(self._key, plain, reply.version)

    def in_one(self, spec: RawSpec, stop: int | None = None) -> Reading[Request, Reply, memoryview]:
        """Read a plain frame as far as it is wanted, with all before it, by one request.

        This is for services with copies of a file on several machines, each with its own ETag and
        time: two requests may be answered from two versions.
        """
        _refuse_long_head(self.reference)
        offset = self.reference.offset
        length = offset + (self.reference.length if stop is None else stop)
        (reply,) = yield [Request(self.place, 0, length, scanned=self._version_scanned)]
        self._scanned.check(self.place, self.reference, reply)
        data = memoryview(reply.data)
        _check_header(data[:offset], self.reference, spec)
        return data[offset:]


class MapCache:
    """Keep frame maps in memory; the least recently used are given up first.

    Parameters
    ----------
    limit : int
        Bytes.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._maps: OrderedDict[str, tuple[FrameMap, Version]] = OrderedDict()
        self._bytes = 0
        self._lock = ThreadLock()

    def get(self, key: str) -> tuple[FrameMap, Version] | None:
        """Get the map of a frame, and the version of its file; None where they are not kept."""
        with self._lock:
            found = self._maps.get(key)
            if found is not None:
                self._maps.move_to_end(key)
            return found

    def put(self, key: str, frame: FrameMap, version: Version) -> None:
        """Keep a map."""
        with self._lock:
            self._drop(key)
            self._maps[key] = frame, version
            self._bytes += frame.nbytes
            while self._bytes > self._limit and len(self._maps) > 1:
                self._drop(next(iter(self._maps)))

    def drop(self, key: str) -> None:
        """Keep the map of a frame no longer."""
        with self._lock:
            self._drop(key)

    def _drop(self, key: str) -> None:
        if (old := self._maps.pop(key, None)) is not None:
            self._bytes -= old[0].nbytes

    def clear(self) -> None:
        """Keep none."""
        with self._lock:
            self._maps.clear()
            self._bytes = 0


MAP_CACHE_BYTES: Final = 64_000_000
"""Memory for the maps of one store's frames: some 2,000 of ViSP, 450 of VBI."""


_SAID: Final = (
    "the file was replaced since it was scanned, and its pixels are not where they were: "
)


def _refuse_long_head(reference: Reference) -> None:
    if reference.offset > HEADER_LIMIT:
        raise FrameCorruptError(f"{_SAID}convert again")


def _check_header(head: bytes | memoryview, reference: Reference, spec: RawSpec) -> None:
    """Check that the headers before a plain frame's pixels describe them."""
    try:
        hdu = next((hdu for hdu in walk_hdus(head) if hdu.data_start >= reference.offset), None)
        if hdu is None or hdu.data_start != reference.offset:
            raise FrameCorruptError(f"{_SAID}no HDU's data begins at byte {reference.offset}")
        layout = layout_of(hdu)
    except TruncatedHeaderError as error:
        raise FrameCorruptError(f"{_SAID}{error}") from None
    expected = np.dtype(spec.dtype).newbyteorder("=")
    same_shape = without_leading_axis(layout.shape) == without_leading_axis(spec.shape)
    plain = isinstance(layout, PlainImage) and layout.is_verbatim
    if not plain or layout.dtype != expected or not same_shape:
        raise FrameCorruptError(
            f"{_SAID}HDU {hdu.index} has {layout.dtype} pixels of shape {layout.shape}"
            f"{'' if plain else ', compressed or scaled'}: expected {expected} of "
            f"{spec.shape} as they are. Convert again"
        )


def _key(place: str, reference: Reference) -> str:
    return f"{reference.array}/{reference.position} {place}"

"""Read part of one frame from one place: all of it from one version of the frame's file.

A part of a frame takes two requests, one for the header with its tile table and one for the tiles,
and files are replaced while somebody reads. So what a table says is kept together with the
version of the file that it was read from, and holds for bytes of that version alone.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from dkist_virtual.errors import FrameCorruptError, FrameError, redacted
from dkist_virtual.fits.buffers import empty
from dkist_virtual.fits.decode import whole_window
from dkist_virtual.fits.hdu import TruncatedHeaderError, layout_of, read_hdu
from dkist_virtual.fits.layout import PlainImage
from dkist_virtual.fits.partial import (
    FIRST_READ,
    MAP_CACHE_BYTES,
    FrameMap,
    MapCache,
    advance,
    plain_map,
)
from dkist_virtual.fits.threads import open_in_forks
from dkist_virtual.io.fetcher import Request
from dkist_virtual.store.codecs import FrameSpec, RawSpec

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from dkist_virtual.fits.decode import Window
    from dkist_virtual.io.driver import Session
    from dkist_virtual.io.remote.request import Reply
    from dkist_virtual.store.integrity import Scanned

__all__ = ["FrameReader", "Reference"]

HEADER_LIMIT: Final = 2**24
"""Headers longer than this are not read to find out whether a frame is the one scanned."""


TRIES: Final = 3
"""How often a frame is read whose file is replaced while it is read."""


class _ChangedError(Exception):
    """The file is another one than when a part of it was read."""


def _changes(place: str) -> FrameCorruptError:
    return FrameCorruptError(
        f"{place}: the file changed all {TRIES} times while it was read: expected a file that "
        "nobody replaces meanwhile. Read it again"
    )


@dataclass(frozen=True, slots=True)
class Reference:
    """A frame's reference: of which array and chunk, and the byte range; -1 for a whole file.

    Parameters
    ----------
    array : str
    position : int
    url : str
        Where it says that the frame is.
    offset, length : int
    most : int
        No more bytes are asked for at a time.
    """

    array: str
    position: int
    url: str
    offset: int
    length: int
    most: int

    def request(self, place: str, start: int, stop: int | None, **known: Any) -> Request:
        """What to ask a place for, to have a range of it, as far as it goes."""
        n = self.length if stop is None else stop - start
        if n > self.most:
            raise FrameCorruptError(
                f"{n} bytes are referenced: expected at most {self.most} of a frame of this shape"
            )
        if stop is None:
            return Request(place, self.offset, self.length, most=self.most, **known)
        if self.offset < 0:
            return Request(place, start, stop - start, exact=False, **known)
        length = max(min(stop, self.length) - start, 0)
        return Request(place, self.offset + start, length, **known)

    def text(self, start: int, stop: int | None) -> str:
        """A range of it, for an error message."""
        if stop is None and self.offset < 0:
            return "the whole file"
        end = self.length if stop is None else stop
        return f"bytes {max(self.offset, 0) + start} to {max(self.offset, 0) + end}"


@open_in_forks
class FrameReader:
    """Reads frames of a store, and keeps what it learns of them.

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
        self._maps = MapCache(MAP_CACHE_BYTES)

    @cached_property
    def head_bytes(self) -> int | None:
        """How much of a frame to ask for first, where that is known."""
        return self._find_head()

    def forget(self) -> None:
        """Keep nothing of what was learnt of the frames."""
        self._maps.clear()

    def bytes_of(
        self, place: str, reference: Reference, spec: FrameSpec | RawSpec, start: int, stop: Any
    ) -> Session:
        """Read bytes of what a reference points at: to the end where `stop` is None."""
        stated = self._stated(place, reference)
        for whole in (False, True):
            if whole and isinstance(spec, RawSpec):
                end = reference.length if stop is None else min(stop, reference.length)
                reply = yield from self._in_one(place, reference, spec, start, max(end, start))
            else:
                (reply,) = yield [reference.request(place, start, stop, stated=stated)]
                try:
                    yield from self._hold(place, reference, spec, reply)
                except _ChangedError:
                    continue
            if self.scanned.verify and stop is None:
                self.scanned.hold_sum(reply.data, spec, reference.array, reference.position)
            return bytes(reply.data)
        raise _changes(place)

    def pixels(
        self,
        place: str,
        reference: Reference,
        spec: FrameSpec | RawSpec,
        window: Window,
        out: NDArray[np.generic] | None,
    ) -> Session:
        """Read a window of a frame.

        From a table that is known, if the file is the one that it was read from; else from a new
        one; and if the file changes meanwhile, from all of the frame, which takes one request.
        """
        known = self._maps.get(_key(place, reference))
        checked = self.scanned.verify and window == whole_window(spec.shape)
        if known is not None and not checked and isinstance(spec, FrameSpec):
            try:
                return (yield from self._attempt(place, reference, spec, window, out, known=known))
            except (_ChangedError, FrameCorruptError):
                self._maps.drop(_key(place, reference))
        for whole in (False, *[True] * (TRIES - 1)):
            try:
                return (
                    yield from self._attempt(
                        place, reference, spec, window, out, whole=whole, checked=checked
                    )
                )
            except _ChangedError:
                continue
        raise _changes(place)

    def _attempt(
        self,
        place: str,
        reference: Reference,
        spec: FrameSpec | RawSpec,
        window: Window,
        out: NDArray[np.generic] | None,
        *,
        known: FrameMap | None = None,
        whole: bool = False,
        checked: bool = False,
    ) -> Session:
        at = reference.array, reference.position
        stated = self._stated(place, reference)
        where = ""
        try:
            rows = spec.rows(window) if isinstance(spec, RawSpec) else None
            if rows is not None and reference.offset >= 0 and rows[1] <= reference.length:
                where = reference.text(*rows)
                if out is None:
                    native = np.dtype(spec.dtype).newbyteorder("=")
                    out = empty(tuple(map(len, window)), native)
                into = out.reshape(-1).view("u1").data
                if whole and isinstance(spec, RawSpec):
                    reply = yield from self._in_one(place, reference, spec, *rows)
                    into[:] = reply.data
                else:
                    begin = reference.offset + rows[0]
                    (reply,) = yield [Request(place, begin, len(into), into=into, stated=stated)]
                    yield from self._hold(place, reference, spec, reply)
                return self.scanned.native(out, *at, whole=checked)
            steps = spec.steps(window, known, self.head_bytes or FIRST_READ, out=out)
            wanted, done = next(steps), None
            everything: memoryview | None = None
            version, firm = None if known is None else known.version, True
            while done is None:
                if everything is None:
                    asked = [(0, None)] if whole else wanted
                    where = reference.text(*asked[0])
                    if whole and isinstance(spec, RawSpec):
                        reply = yield from self._in_one(place, reference, spec, 0, reference.length)
                        replies = [reply]
                    else:
                        replies = yield [
                            reference.request(place, *part, version=version, stated=stated)
                            for part in asked
                        ]
                        for reply in replies:
                            if version is not None and reply.version != version:
                                raise _ChangedError
                            version, firm = reply.version, firm and reply.firm
                            yield from self._hold(place, reference, spec, reply)
                    if checked and asked == [(0, None)]:
                        self.scanned.hold_sum(replies[0].data, spec, *at)
                    data = [reply.data for reply in replies]
                    if whole:
                        everything = memoryview(replies[0].data)
                if everything is not None:
                    data = [everything[start:stop] for start, stop in wanted]
                where = ""
                wanted, done = advance(steps, data)
        except FrameError as error:
            text = str(error)
            if redacted(place) in text:
                raise (error.at(where) if where else error) from error
            raise error.at(f"{place}, {where}" if where else place) from error
        if known is None and done[0] is not None and firm and isinstance(spec, FrameSpec):
            self._maps.put(_key(place, reference), replace(done[0], version=version))
        return done[1]

    def _stated(self, place: str, reference: Reference) -> Any:
        return self.scanned.stated(place, reference.url, reference.array, reference.position)

    def _hold(
        self, place: str, reference: Reference, spec: FrameSpec | RawSpec, reply: Reply
    ) -> Session:
        """Hold a file against what is known of it: by the scan, and by earlier reads.

        The pixels of a plain frame lie where the scan saw them, and nothing in them says so. If the
        file is another one by now, its header is looked at once.
        """
        at = reference.array, reference.position
        other = self.scanned.hold(place, reference.url, reply, *at)
        if not isinstance(spec, RawSpec):
            return
        key = _key(place, reference)
        known = self._maps.get(key)
        if known is not None and known.version == reply.version:
            return
        if other or known is not None:
            yield from self._hold_header(place, reference, spec, reply)
        if reply.firm:
            self._maps.put(key, replace(plain_map(spec.dtype, spec.shape), version=reply.version))

    def _hold_header(
        self, place: str, reference: Reference, spec: RawSpec, reply: Reply
    ) -> Session:
        """Check a plain frame's header, as it is now, against where its pixels were read."""
        _refuse_long_head(reference)
        stated = self._stated(place, reference)
        (head,) = yield [Request(place, 0, max(reference.offset, 0), stated=stated)]
        if head.version != reply.version:
            raise _ChangedError
        _check_header(head.data, reference, spec)

    def _in_one(
        self, place: str, reference: Reference, spec: RawSpec, start: int, stop: int
    ) -> Session:
        """A range of a plain frame, with all that is before it, in one request: of one version.

        Where two requests were answered from two versions. Some services have copies of a file on
        several machines, each of which gives it an ETag and a time of its own.
        """
        _refuse_long_head(reference)
        at = reference.array, reference.position
        offset = reference.offset
        stated = self._stated(place, reference)
        (reply,) = yield [Request(place, 0, offset + stop, stated=stated)]
        self.scanned.hold(place, reference.url, reply, *at)
        data = memoryview(reply.data)
        _check_header(data[:offset], reference, spec)
        return replace(reply, data=data[offset + start :])


_SAID: Final = (
    "the file was replaced since it was scanned, and its pixels are not where they were: "
)


def _refuse_long_head(reference: Reference) -> None:
    if reference.offset > HEADER_LIMIT:
        raise FrameCorruptError(f"{_SAID}convert again")


def _check_header(head: bytes | memoryview, reference: Reference, spec: RawSpec) -> None:
    """Check that what is before a plain frame's pixels says that they are these.

    Raises
    ------
    FrameCorruptError
    """
    start = index = 0
    hdu = None
    try:
        while start < reference.offset:
            hdu = read_hdu(head, start, index)
            if hdu.data_start >= reference.offset:
                break
            start, index = hdu.stop, index + 1
        if hdu is None or hdu.data_start != reference.offset:
            raise FrameCorruptError(f"{_SAID}no HDU's data begins at byte {reference.offset}")
        layout = layout_of(hdu)
    except TruncatedHeaderError as error:
        raise FrameCorruptError(f"{_SAID}{error}") from None
    expected = np.dtype(spec.dtype).newbyteorder("=")
    found = layout.shape[1:] if layout.shape[:1] == (1,) else layout.shape
    stated = spec.shape[1:] if spec.shape[:1] == (1,) else spec.shape
    plain = isinstance(layout, PlainImage) and layout.is_verbatim
    if not plain or layout.dtype != expected or tuple(found) != tuple(stated):
        raise FrameCorruptError(
            f"{_SAID}HDU {hdu.index} has {layout.dtype} pixels of shape {layout.shape}"
            f"{'' if plain else ', compressed or scaled'}: expected {expected} of "
            f"{spec.shape} as they are. Convert again"
        )


def _key(place: str, reference: Reference) -> str:
    return f"{reference.array}/{reference.position} {place}"

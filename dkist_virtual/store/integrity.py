"""Check what is read of a frame against what a scan recorded of its file.

A file's length has to be the one that was scanned; its time is looked at too. Its bytes are
held against their sum where that was asked for, since it takes time.
"""

from __future__ import annotations

import sys
import warnings
from typing import TYPE_CHECKING, Final, TypeAlias

import numpy as np

from dkist_virtual.errors import ChangedFrameWarning, FrameCorruptError, redacted
from dkist_virtual.io.block_cache import Stated
from dkist_virtual.io.fetcher import is_local
from dkist_virtual.store.codecs import FrameSpec, RawSpec

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy import generic
    from numpy.typing import NDArray

    from dkist_virtual.io.remote.request import Reply

__all__ = ["Find", "Scanned", "from_big_endian"]

_PIXELS: Final = "with these pixels"

Find: TypeAlias = "Callable[[str, str, int], int]"
"""Takes an array's name, a column (``"_size"``, ``"_mtime"``, ``"_datasum"``), a frame's place in
its chunk order, and gives what a scan found of the frame's file, -1 where it did not look."""

FindETag: TypeAlias = "Callable[[str, int], str | None]"
"""The same for the ETag, which is text."""


class Scanned:
    """What a scan found, looked up when it is first wanted.

    Parameters
    ----------
    find : callable, optional
    verify : bool
        Whether frames that are read whole are held against their sums.
    find_etag : callable, optional
        Takes an array's name and a frame's place, and gives the ETag that its file had; None
        where that is not known.
    """

    def __init__(
        self, find: Find | None, *, verify: bool, find_etag: FindETag | None = None
    ) -> None:
        self.verify = verify
        self._find = find
        self._find_etag = find_etag
        self._said_changed = False

    def of(self, array: str, position: int, column: str) -> int:
        """What was found of a frame's file, -1 where that is not known."""
        return -1 if self._find is None else self._find(array, column, position)

    def look_up(self, array: str, position: int) -> None:
        """Look up all that `hold` and `hold_sum` need: on an event loop nobody may wait for it."""
        for column in ("_size", "_mtime", *["_datasum"] * self.verify):
            self.of(array, position, column)
        if self._find_etag is not None:
            self._find_etag(array, position)

    def stated(self, place: str, url: str, array: str, position: int) -> Stated | None:
        """What the scan found of a file, for a cache of what a server sends; None of a disk's."""
        if is_local(place) or self._find is None:
            return None
        etag = None
        if place == url and self._find_etag is not None:  # a copy has an ETag of its own
            etag = self._find_etag(array, position)
        size, mtime = (self.of(array, position, column) for column in ("_size", "_mtime"))
        return Stated(size, mtime, etag)

    def hold(self, place: str, url: str, reply: Reply, array: str, position: int) -> bool:
        """Hold a file's length against that of the scan; ETag and time too, as far as both know.

        Parameters
        ----------
        place, url : str
            Where it was read, and where its reference says that it is.
        reply : Reply
        array : str
        position : int

        Returns
        -------
        bool
            Whether the file is another one than was scanned, or a copy with a time of its own.

        Raises
        ------
        FrameCorruptError
        """
        if reply.total is not None:
            size = self.of(array, position, "_size")
            if 0 <= size != reply.total:
                raise FrameCorruptError(
                    f"{place}: the file has {reply.total} bytes: it had {size} when it was "
                    "scanned. Fetch it anew, or convert again if it was replaced"
                )
        etag = None
        if reply.etag is not None and place == url and self._find_etag is not None:
            etag = self._find_etag(array, position)
        if etag is not None:
            other = etag != reply.etag
        else:
            scanned = self.of(array, position, "_mtime")
            other = reply.mtime is not None and not self.same_time(place, reply.mtime, scanned)
        # A copy has a time of its own.
        if other and place == url and not self._said_changed:
            self._said_changed = True
            warnings.warn(
                f"{redacted(place)} was modified since the store was made, though it is as long as "
                "it was. dkist-virtual verify says whether it is the same frame. This is said once "
                "for a store",
                ChangedFrameWarning,
                stacklevel=2,
            )
        return other

    @staticmethod
    def same_time(place: str, now: int, scanned: int) -> bool:
        """Whether a file was not modified since the scan, or nobody can know."""
        # Servers tell whole seconds: a time with more than those was not a server's word.
        return scanned < 0 or now == scanned or (not is_local(place) and scanned % 10**9 != 0)

    def hold_sum(
        self, data: bytes | memoryview, spec: FrameSpec | RawSpec, array: str, position: int
    ) -> None:
        """Hold all that a reference points at against the DATASUM of its HDU.

        Raises
        ------
        FrameCorruptError
        """
        from dkist_virtual.fits.checksum import check_datasum, datasum, refuse_other_sum

        if isinstance(spec, FrameSpec):
            check_datasum(data, spec.hdu)
            return
        # Pixels alone, without the header: what follows them in the HDU are zeros.
        stated = self.of(array, position, "_datasum")
        if stated >= 0:
            refuse_other_sum(datasum(data), stated, _PIXELS)

    def native(
        self, pixels: NDArray[generic], array: str, position: int, *, whole: bool
    ) -> NDArray[generic]:
        """Bytes that were read into an array from a file, in place, in the machine's own order.

        Parameters
        ----------
        pixels : numpy.ndarray
        array : str
        position : int
        whole : bool
            Whether they are all of their HDU's, to be held against its sum.

        Raises
        ------
        FrameCorruptError
        """
        stated = self.of(array, position, "_datasum") if whole and self.verify else -1
        if stated < 0:
            return from_big_endian(pixels)
        from dkist_virtual.fits.checksum import datasum, refuse_other_sum, turned_datasum

        if pixels.itemsize == 4 and sys.byteorder == "little":
            found = turned_datasum(pixels)
        else:
            found = datasum(pixels.reshape(-1).view("u1").data)
            from_big_endian(pixels)
        refuse_other_sum(found, stated, _PIXELS)
        return pixels


def from_big_endian(pixels: NDArray[generic]) -> NDArray[generic]:
    """Bytes that were read into an array from a file, in place, in the machine's own order."""
    # numpy's byteswap(inplace=True) takes nearly twice as long.
    np.copyto(pixels, pixels.view(pixels.dtype.newbyteorder(">")))
    return pixels

"""Check what is read of a frame against what a scan recorded about its file.

A file's length has to be the scanned one; a changed time is warned about. Its bytes are checked
against their sum only on request, since that takes time.
"""

from __future__ import annotations

import sys
import warnings
from typing import TYPE_CHECKING, Final, Protocol

import numpy as np

from dkist_virtual.errors import ChangedFrameWarning, FrameCorruptError, redacted
from dkist_virtual.io.byte_range import SECOND, Version
from dkist_virtual.io.locations import is_local
from dkist_virtual.store.frame_spec import FrameSpec

if TYPE_CHECKING:
    from numpy import generic
    from numpy.typing import NDArray

    from dkist_virtual.io.byte_range import Reply
    from dkist_virtual.store.frame_locations import Reference

__all__ = ["PlainPieces", "Recorded", "Scanned", "scanned_version"]

_PIXELS: Final = "with these pixels"


class Recorded(Protocol):
    """What a scan recorded about the files of frames."""

    def integer(self, array: str, column: str, position: int) -> int:
        """A value of a column (``"_size"``, ``"_mtime"``, ``"_datasum"``); -1 where unknown.

        Frames are named by their array, and their place in its chunk order.
        """

    def etag(self, array: str, position: int) -> str | None:
        """The ETag of a frame's file; None where unknown."""


class Scanned:
    """Check frames against what a scan recorded, which is looked up when it is first wanted.

    Parameters
    ----------
    recorded : Recorded or None
    verify : bool
        Whether frames that are read whole are checked against their sums.
    """

    def __init__(self, recorded: Recorded | None, *, verify: bool) -> None:
        self.verify = verify
        self._recorded = recorded
        self._said_changed = False

    def of(self, reference: Reference, column: str) -> int:
        """Get what was recorded about a frame's file, -1 where unknown."""
        if self._recorded is None:
            return -1
        return self._recorded.integer(reference.array, column, reference.position)

    def look_up(self, reference: Reference) -> None:
        """Look up all that the checks need: an event loop must not wait for it."""
        for column in ("_size", "_mtime", *["_datasum"] * self.verify):
            self.of(reference, column)
        self._etag(reference.url, reference)

    def version(self, place: str, reference: Reference) -> Version | None:
        """Get the scanned version of a remote file, for the cache; None for a local one."""
        if is_local(place) or self._recorded is None:
            return None
        size, mtime = (self.of(reference, column) for column in ("_size", "_mtime"))
        etag = self._etag(place, reference)
        return Version(None if size < 0 else size, None if mtime < 0 else mtime, etag)

    def _etag(self, place: str, reference: Reference) -> str | None:
        if place != reference.url or self._recorded is None:  # a copy has an ETag of its own
            return None
        return self._recorded.etag(reference.array, reference.position)

    def check(self, place: str, reference: Reference, reply: Reply) -> bool:
        """Check a file's length against the scan's; ETag and time too, as far as both are known.

        Parameters
        ----------
        place : str
            Where it was read.
        reference : Reference
        reply : Reply

        Returns
        -------
        bool
            Whether the file is another one than was scanned, or a copy with a time of its own.
        """
        size = self.of(reference, "_size") if reply.total is not None else -1
        if 0 <= size != reply.total:
            raise FrameCorruptError(
                f"{place}: the file has {reply.total} bytes: it had {size} when it was scanned. "
                "Fetch it again, or convert again if it was replaced"
            )
        etag = self._etag(place, reference) if reply.etag is not None else None
        mtime = self.of(reference, "_mtime") if etag is None else -1
        other = scanned_version(place, mtime, etag).is_same(reply.version) is False
        # A copy has a time of its own.
        if other and place == reference.url and not self._said_changed:
            self._said_changed = True
            warnings.warn(
                f"{redacted(place)} was modified since the store was made, though it is as long as "
                "it was. dkist-virtual verify says whether it is the same frame. This is said once "
                "for a store",
                ChangedFrameWarning,
                stacklevel=2,
            )
        return other

    def check_sum(self, data: bytes | memoryview, reference: Reference) -> None:
        """Check all that a reference points at against the DATASUM of its HDU."""
        from dkist_virtual.fits.checksum import check_datasum, datasum, refuse_other_sum

        if isinstance(reference.spec, FrameSpec):
            check_datasum(data, reference.spec.hdu)
            return
        # Pixels alone, without the header: what follows them in the HDU are zeros.
        stated = self.of(reference, "_datasum")
        if stated >= 0:
            refuse_other_sum(datasum(data), stated, _PIXELS)

    def pieces(self, dtype: np.dtype, reference: Reference, *, whole: bool) -> PlainPieces:
        """Make what turns the bytes of a plain frame into pixels while they are read.

        Parameters
        ----------
        dtype : numpy.dtype
        reference : Reference
        whole : bool
            Whether they are all of their HDU's, to be checked against its sum.
        """
        stated = self.of(reference, "_datasum") if whole and self.verify else -1
        return PlainPieces(dtype.newbyteorder("="), stated)


class PlainPieces:
    """Turn big-endian pixels into the machine's own order, in place, and add them.

    They come piece by piece, since a piece that was just read is in the processor's cache: another
    pass over all of a frame takes as long as reading it.

    Parameters
    ----------
    dtype : numpy.dtype
        Native byte order.
    stated : int
        The sum that they should have; -1 where it is not checked.
    """

    def __init__(self, dtype: np.dtype, stated: int) -> None:
        self._dtype, self._stated, self._total = dtype, stated, 0

    def __call__(self, begin: int, piece: memoryview) -> None:
        """Turn the piece that begins at some byte: after the one before it, or at 0 again."""
        pixels = np.frombuffer(piece, self._dtype)
        if self._stated < 0:
            from_big_endian(pixels)
            return
        from dkist_virtual.fits.checksum import datasum, turned_datasum

        if self._dtype.itemsize == 4 and sys.byteorder == "little":
            found = turned_datasum(pixels)
        else:
            found = datasum(piece)
            from_big_endian(pixels)
        self._total = found + (self._total if begin else 0)

    def check(self) -> None:
        """Check the sum of all pieces."""
        if self._stated >= 0:
            from dkist_virtual.fits.checksum import refuse_other_sum

            refuse_other_sum(self._total, self._stated, _PIXELS)


def scanned_version(place: str, mtime: int, etag: str | None = None) -> Version:
    """Make the version that a scan recorded, as far as it can be compared with a place's now.

    Parameters
    ----------
    place : str
    mtime : int
        -1 where it is not known.
    etag : str, optional
    """
    # Servers give whole seconds: a time with more than those was not from a server.
    known = mtime >= 0 and (is_local(place) or mtime % SECOND == 0)
    return Version(None, mtime if known else None, etag)


def from_big_endian(pixels: NDArray[generic]) -> None:
    """Turn bytes that were read into pixels, in place, into the machine's own order."""
    # numpy's byteswap(inplace=True) takes nearly twice as long; and copyto, of more than one axis,
    # copies all of the pixels first.
    flat = pixels.reshape(-1)
    np.copyto(flat, flat.view(flat.dtype.newbyteorder(">")))

"""Hold what a scan recorded about each frame's file, as columns."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["ABSENT", "FOUND", "NOT_LOOKED_AT", "UNREACHABLE", "Known", "Look", "Scan"]

UNKNOWN: Final = -1

# States of a frame
NOT_LOOKED_AT: Final = 0
FOUND: Final = 1
ABSENT: Final = 2
UNREACHABLE: Final = 3


@dataclass(frozen=True, slots=True)
class Look:
    """What one frame's beginning shows; byte positions are from the beginning of the file.

    Attributes
    ----------
    start, length : int
        The HDU with its padding, as far as the file goes.
    data : int
        The first pixel, where the bytes are the pixels; -1 where they have to be decoded.
    head : int
        Bytes of the header, with the tile table where there is one.
    size : int
    mtime : int
        Nanoseconds, UTC; -1 where unknown.
    etag : str or None
    datasum : int
        DATASUM of the HDU as it is stored; -1 where unknown.
    dtype : str
        Of the pixels.
    scaling : str
        The keywords that make them so, for messages.
    """

    start: int
    length: int
    data: int
    head: int
    size: int
    mtime: int
    etag: str | None
    datasum: int
    dtype: str
    scaling: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Scan:
    """What a scan found of the frames of one array: one entry each, -1 where it is not known.

    Attributes
    ----------
    states : ndarray of uint8
        0 not looked at, 1 found, 2 absent, 3 unreachable.
    starts, lengths : ndarray of int64
        The HDU's byte range.
    data_starts : ndarray of int64
        The first pixel of those frames whose bytes are the pixels.
    heads, sizes, mtimes, datasums : ndarray of int64
    etags : ndarray of object
        None where unknown.
    shape : tuple of int
        Of the HDU of each frame.
    dtype : numpy.dtype or None
        Of the pixels of all frames found; None where there are none.
    missing : tuple of str
        Why frames were not found, of the first ten.
    kept : int
        How many were known before, and were not read again.
    """

    states: NDArray[np.uint8]
    starts: NDArray[np.int64]
    lengths: NDArray[np.int64]
    data_starts: NDArray[np.int64]
    heads: NDArray[np.int64]
    sizes: NDArray[np.int64]
    mtimes: NDArray[np.int64]
    datasums: NDArray[np.int64]
    etags: NDArray[np.object_]
    shape: tuple[int, ...]
    dtype: np.dtype[Any] | None = None
    missing: tuple[str, ...] = ()
    kept: int = 0

    @classmethod
    def unknown(cls, n: int, shape: tuple[int, ...]) -> Scan:
        """Of `n` frames that nobody has looked at."""
        starts, lengths, data_starts, heads, sizes, mtimes, datasums = np.full(
            (7, n), UNKNOWN, np.int64
        )
        etags = np.full(n, None, object)
        return cls(
            np.zeros(n, np.uint8),
            starts, lengths, data_starts, heads, sizes, mtimes, datasums, etags, shape,
        )  # fmt: skip

    def __len__(self) -> int:
        return len(self.states)

    def put(self, i: int, look: Look) -> None:
        """Enter what a frame's beginning showed."""
        self.states[i] = FOUND
        self.starts[i], self.lengths[i], self.data_starts[i] = look.start, look.length, look.data
        self.heads[i], self.sizes[i], self.mtimes[i] = look.head, look.size, look.mtime
        self.datasums[i], self.etags[i] = look.datasum, look.etag

    def put_from(self, other: Scan, to: NDArray[np.int64], rows: NDArray[np.int64]) -> None:
        """Enter what another scan knows of some frames."""
        for name in _COLUMNS:
            getattr(self, name)[to] = getattr(other, name)[rows]

    def of(self, dtype: np.dtype[Any]) -> Scan:
        """The same, once the type of the pixels is known."""
        return replace(self, dtype=dtype)

    @property
    def data_lengths(self) -> NDArray[np.int64]:
        """Bytes of the pixels of those frames whose bytes are the pixels."""
        nbytes = 0 if self.dtype is None else math.prod(self.shape) * self.dtype.itemsize
        return np.where(self.data_starts < 0, UNKNOWN, nbytes)

    @property
    def verbatim(self) -> bool:
        """Whether of all frames found, and there are some, the bytes are the pixels."""
        found = self.states == FOUND
        return bool(found.any() and (self.data_starts[found] >= 0).all())

    @property
    def head_bytes(self) -> int | None:
        """The longest header with tile table."""
        return int(self.heads.max(initial=0)) or None


_COLUMNS: Final = tuple(f.name for f in fields(Scan))[:9]


@dataclass(frozen=True, eq=False)
class Known:
    """What an earlier scan found, by the names of the frames.

    Parameters
    ----------
    names : ndarray of StringDType
        Relative to the directory or URL that the frames are in.
    scan : Scan
        Of those frames.
    """

    names: NDArray[Any]
    scan: Scan

    def aligned(self, names: NDArray[Any]) -> Scan:
        """The same for other frames: those of the same name are known, the others are not."""
        import pyarrow as pa
        import pyarrow.compute as pc

        found = Scan.unknown(len(names), self.scan.shape)
        here = pa.array(names.astype(object), pa.string())
        rows = pc.index_in(here, value_set=pa.array(self.names.astype(object), pa.string()))
        rows = rows.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
        to = np.flatnonzero((rows >= 0) & (names != ""))
        found.put_from(self.scan, to, rows[to])
        assert self.scan.dtype is not None
        return found.of(self.scan.dtype)

"""Describe the files of a dataset's frames as columns, as a scan records and a store keeps them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import DTypeLike, NDArray

    from dkist_virtual.io.byte_range import Reply

__all__ = [
    "ABSENT",
    "COLUMNS",
    "FOUND",
    "NOT_SCANNED",
    "UNREACHABLE",
    "FrameEntry",
    "FrameIndex",
    "Names",
    "batches",
]

# States of a frame
NOT_SCANNED: Final = 0
FOUND: Final = 1
ABSENT: Final = 2
UNREACHABLE: Final = 3


class FrameEntry(NamedTuple):
    """What a scan recorded about one frame's file; byte positions count from its beginning.

    Attributes
    ----------
    size : int
        Bytes of the file. This and every number below is -1 where it is unknown.
    offset, length : int
        The HDU with its padding, as far as the file goes.
    data : int
        The first pixel, where the bytes are the pixels; -1 where they have to be decoded.
    head : int
        Bytes of the header, with the tile table where there is one.
    mtime : int
        Nanoseconds, UTC.
    etag : str or None
    datasum : int
        DATASUM of the HDU as it is stored.
    dtype : str
        Of the pixels. An array's frames share it, so that no column keeps it.
    scaling : str
        The keywords that make the pixels of this type, for messages.
    """

    size: int = -1
    offset: int = -1
    length: int = -1
    data: int = -1
    head: int = -1
    mtime: int = -1
    etag: str | None = None
    datasum: int = -1
    dtype: str = ""
    scaling: str = ""

    def describes(self, reply: Reply) -> bool:
        """Whether a file still has the length, and the ETag or modification time, it had."""
        if reply.total != self.size:
            return False
        if self.etag is not None or reply.etag is not None:
            return self.etag == reply.etag
        return reply.mtime is not None and reply.mtime == self.mtime


Names: TypeAlias = "NDArray[Any]"
"""Relative names of frames in chunk order, as StringDType; empty where a frame has no file."""

COLUMNS: Final = FrameEntry._fields[:8]
"""Names of the columns; in ``headers.parquet`` they begin with an underscore."""

_ROW: Final = np.dtype([("state", "u1"), *((c, "O" if c == "etag" else "i8") for c in COLUMNS)])


@dataclass(frozen=True, slots=True, eq=False)
class FrameIndex:
    """What a scan recorded about the files of one array's frames.

    Parameters
    ----------
    rows : structured ndarray, shape (n,)
        A column ``state`` (`NOT_SCANNED`, `FOUND`, `ABSENT` or `UNREACHABLE`), and `COLUMNS`.
    dtype : numpy.dtype, optional
        Of the pixels of all frames found; None where there are none.
    names : ndarray of StringDType, optional
        The frames' relative names, where rows belong to names: in a journal and an earlier store.
    missing : tuple of str
        Why the first ten missing frames were not found.
    kept : int
        How many were known before, and were not read again.
    """

    rows: NDArray[np.void]
    dtype: np.dtype[Any] | None = None
    names: Names | None = None
    missing: tuple[str, ...] = ()
    kept: int = 0

    @classmethod
    def unknown(
        cls, n: int, names: Names | None = None, dtype: DTypeLike | None = None
    ) -> FrameIndex:
        """Make an index of `n` frames that were not scanned."""
        rows = np.zeros(n, _ROW)  # not scanned
        for name, value in zip(COLUMNS, FrameEntry(), strict=False):
            rows[name] = value
        return cls(rows, None if dtype is None else np.dtype(dtype), names)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, column: str) -> NDArray[Any]:
        return self.rows[column]

    def entries(self, positions: NDArray[np.int64]) -> list[FrameEntry | None]:
        """Give what is known of some frames' files; None of those that were not found."""
        rows = self.rows[positions].tolist()
        return [FrameEntry(*values) if state == FOUND else None for state, *values in rows]

    def put(self, i: int, entry: FrameEntry) -> None:
        """Enter what a scan found of a frame's file."""
        self.rows[i] = (FOUND, *entry[: len(COLUMNS)])

    def aligned(self, names: Names) -> FrameIndex:
        """Give the same for other frames: those of the same name are known, the others are not."""
        import pyarrow as pa
        import pyarrow.compute as pc

        assert self.names is not None
        here, own = (pa.array(some.astype(object), pa.string()) for some in (names, self.names))
        at = pc.index_in(here, value_set=own).fill_null(-1).to_numpy(zero_copy_only=False)
        to = np.flatnonzero((at >= 0) & (names != ""))
        found = FrameIndex.unknown(len(names), dtype=self.dtype)
        found.rows[to] = self.rows[at[to]]
        return found

    @property
    def found(self) -> NDArray[np.bool_]:
        """Which frames were found."""
        return np.asarray(self.rows["state"] == FOUND)

    @property
    def is_verbatim(self) -> bool:
        """Whether the bytes of all frames found, and there are some, are the pixels."""
        data = self.rows["data"][self.found]
        return bool(len(data) and (data >= 0).all())

    @property
    def head_bytes(self) -> int | None:
        """The longest header with tile table."""
        return int(self.rows["head"].max(initial=0)) or None


def batches(n: int, size: int) -> Iterator[NDArray[np.int64]]:
    """Give the positions of `n` frames, `size` at once."""
    for begin in range(0, n, size):
        yield np.arange(begin, min(begin + size, n))

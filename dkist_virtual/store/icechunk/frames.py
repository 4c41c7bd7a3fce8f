"""Find where frames are by the header table, which has their URLs and byte ranges as columns."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from dkist_virtual.store.format.references import WHOLE_FILE, FrameColumns

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dkist_virtual.store.format.headers import HeaderFile
    from dkist_virtual.store.format.references import ArrayMetadata

__all__ = ["HeaderFrames"]


@dataclass(frozen=True, slots=True, eq=False)
class HeaderFrames:
    """Where the frames of an array are, by the columns of our own in the header table.

    Parameters
    ----------
    file : callable
        Gives the header table.
    first_row : int
        Of the array's first frame.
    metadata : ArrayMetadata
    """

    file: Callable[[], HeaderFile]
    first_row: int
    metadata: ArrayMetadata

    def __len__(self) -> int:
        return self.metadata.n_frames

    @property
    def _pixel_bytes(self) -> int | None:
        """The length of every frame whose bytes are its pixels; None where they are decoded."""
        if self.metadata.compressor is not None:
            return None
        return math.prod(self.metadata.chunks) * np.dtype(self.metadata.dtype).itemsize

    def take(self, positions: NDArray[np.int64]) -> FrameColumns:
        """Give the entries at some positions, in their order."""
        file, rows = self.file(), self.first_row + positions
        urls = file.texts("_url", rows)
        n = self._pixel_bytes
        if n is None:
            offsets, lengths = file.integers("_offset", rows), file.integers("_length", rows)
        else:
            offsets = file.integers("_data", rows)
            lengths = np.full(len(rows), n, np.int64)
        nowhere = (urls == "") | (offsets < 0)
        offsets, lengths = (np.where(nowhere, WHOLE_FILE, one) for one in (offsets, lengths))
        return FrameColumns(urls, offsets, lengths)

    def row(self, position: int) -> tuple[str, int, int]:
        """Give one entry as Python values."""
        return self.take(np.array([position])).row(0)

    def mark(self, positions: Callable[[], NDArray[np.int64]]) -> str:  # noqa: ARG002
        """Give nothing: a snapshot never changes."""
        return ""

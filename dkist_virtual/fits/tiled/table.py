"""Parse the tile table of a compressed image: each tile's bytes, scale and zero.

Pure: bytes in, arrays out. A tile is a row of the HDU's table (FITS standard 4.0, section 10);
tiles are numbered from 0 in C order over `CompressedImage.grid`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, TypeVar

import numpy as np

from dkist_virtual.fits.errors import FrameCorruptError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dkist_virtual.fits.layout import CompressedImage

__all__ = ["COMPRESSED", "DATA_COLUMNS", "GZIPPED", "UNCOMPRESSED", "TileTable", "read_table"]

_N = TypeVar("_N", np.float64, np.int64)

# Which column has the bytes of a tile: `TileTable.columns`.
COMPRESSED: Final = 0
GZIPPED: Final = 1
UNCOMPRESSED: Final = 2

DATA_COLUMNS: Final = ("COMPRESSED_DATA", "GZIP_COMPRESSED_DATA", "UNCOMPRESSED_DATA")
"""Names of those columns, by these numbers."""


@dataclass(frozen=True, slots=True, eq=False)
class TileTable:
    """Hold the table of a compressed image as columns: one entry per tile, in order of the rows.

    Attributes
    ----------
    starts, lengths : ndarray of int64
        A tile's bytes, from the beginning of the HDU.
    columns : ndarray of int8
        In which column: 0 COMPRESSED_DATA, 1 GZIP_COMPRESSED_DATA, 2 UNCOMPRESSED_DATA.
    scale, zero : ndarray of float64
        ZSCALE and ZZERO; empty where the image is not quantised.
    blank : ndarray of int64
        ZBLANK; empty where there is none.
    column : int
        The column of all tiles; -1 where they differ.
    is_gapless : bool
        Whether each tile begins where the one before it ends.
    """

    starts: NDArray[np.int64]
    lengths: NDArray[np.int64]
    columns: NDArray[np.int8]
    scale: NDArray[np.float64]
    zero: NDArray[np.float64]
    blank: NDArray[np.int64]
    # Said once for all reads of a frame: asking the arrays takes longer than a small cut-out.
    column: int = field(init=False)
    is_gapless: bool = field(init=False)

    def __post_init__(self) -> None:
        first = int(self.columns[0]) if self.columns.size else -1
        same = bool((self.columns == first).all())
        gapless = bool((self.starts[1:] == self.starts[:-1] + self.lengths[:-1]).all())
        object.__setattr__(self, "column", first if same else -1)
        object.__setattr__(self, "is_gapless", gapless)


def read_table(layout: CompressedImage, head: bytes | memoryview) -> TileTable:
    """Read the tile table and check that every descriptor points into the heap.

    Parameters
    ----------
    layout : CompressedImage
    head : bytes or memoryview
        The HDU from its first byte, up to the end of the table or further.

    Raises
    ------
    FrameCorruptError
        The table is cut short, a descriptor points outside the heap, or no column has a tile.
    """
    n, width = layout.n_tiles, layout.row_bytes
    if len(head) < layout.head_bytes:
        raise FrameCorruptError(
            f"tile table: ends at byte {layout.head_bytes}, {len(head)} bytes are there"
        )
    table = np.frombuffer(head, "u1", n * width, layout.table_offset).reshape(n, width)

    def cells(name: str) -> NDArray[np.generic]:
        column = layout.columns[name]
        stop = column.offset + column.dtype.itemsize
        return np.ascontiguousarray(table[:, column.offset : stop]).view(column.dtype.base)

    def numbers(name: str, keyword: float | None, dtype: type[_N]) -> NDArray[_N]:
        return cells(name).astype(dtype).ravel() if keyword is None else np.full(n, keyword, dtype)

    starts, lengths = np.zeros(n, np.int64), np.zeros(n, np.int64)
    columns = np.full(n, -1, np.int8)
    for kind, name in enumerate(DATA_COLUMNS):
        if name not in layout.columns:
            continue
        descriptors = cells(name).astype(np.int64)
        counts, offsets = descriptors[:, 0], descriptors[:, 1]
        here = (columns < 0) & (counts != 0)
        element = layout.columns[name].element_bytes
        # Compared in elements, since counts from a broken table overflow when multiplied.
        bad = here & (
            (counts < 0)
            | (offsets < 0)
            | (offsets > layout.heap_bytes)
            | (counts > (layout.heap_bytes - offsets) // element)
        )
        if bad.any():
            tile = int(np.argmax(bad))
            raise FrameCorruptError(
                f"tile {tile}: {name} says {counts[tile]} elements at byte {offsets[tile]} of the "
                f"heap: expected a range inside its {layout.heap_bytes} bytes"
            )
        columns[here] = kind
        starts[here] = offsets[here] + layout.heap_offset
        lengths[here] = counts[here] * element
    if (columns < 0).any():
        tile = int(np.argmax(columns < 0))
        raise FrameCorruptError(
            f"tile {tile}: is empty in every data column: expected its pixels in one of them"
        )
    scale = zero = np.empty(0)
    if layout.quantised:
        scale = numbers("ZSCALE", layout.scale, np.float64)
        zero = numbers("ZZERO", layout.zero, np.float64)
    blank = np.empty(0, np.int64)
    if "ZBLANK" in layout.columns:
        blank = numbers("ZBLANK", None, np.int64)
    elif layout.blank is not None:
        blank = np.full(n, layout.blank, np.int64)
    return TileTable(starts, lengths, columns, scale, zero, blank)

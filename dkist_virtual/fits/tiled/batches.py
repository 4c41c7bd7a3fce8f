"""Decode many tiles at a time, straight into the output.

Kernels read Rice streams and the bytes of numbers, compressed or not; the other algorithms decode a
tile at a time.
"""

from __future__ import annotations

from concurrent.futures import wait
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from dkist_virtual.fits.compiled.kernel import Kernel
from dkist_virtual.fits.errors import FrameCorruptError
from dkist_virtual.fits.threads import borrow_cores, pool
from dkist_virtual.fits.tiled import by_numpy
from dkist_virtual.fits.tiled.decoders import (
    BYTE_STREAMS,
    decode_tile,
    dither_starts,
    gunzip,
    itemsize_of,
    random_list,
    rice_parameters,
)
from dkist_virtual.fits.tiled.dequantise import Quantisation
from dkist_virtual.fits.tiled.processor import chosen_kernel, fits_into_lanes, lane_memory
from dkist_virtual.fits.tiled.table import COMPRESSED, UNCOMPRESSED

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dkist_virtual.fits.layout import CompressedImage
    from dkist_virtual.fits.tiled.by_numpy import Runs
    from dkist_virtual.fits.tiled.table import TileTable

__all__ = ["Tiles", "is_stream_coded", "tile_extents", "tile_origins"]

_PIXELS_A_THREAD: Final = 2**18
"""Fewer are decoded sooner than another thread has begun: they take under a millisecond."""

DECODE_FLOATS: Final = Kernel("dkist_virtual.fits.tiled.rice", "decode_floats")
DECODE_INTEGERS: Final = Kernel("dkist_virtual.fits.tiled.rice", "decode_integers")
LANES_FLOATS: Final = Kernel("dkist_virtual.fits.tiled.lanes", "decode_floats")
LANES_INTEGERS: Final = Kernel("dkist_virtual.fits.tiled.lanes", "decode_integers")

_PLAIN_BYTES: Final = 2**21
"""How much gzipped tiles may decompress to at a time."""


def tile_origins(layout: CompressedImage, tiles: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return where tiles begin in their image: shape (tiles, axes)."""
    index = np.stack(np.unravel_index(tiles, layout.grid), axis=1)
    origins: NDArray[np.int64] = index * np.array(layout.tile_shape)
    return origins


def tile_extents(layout: CompressedImage, origins: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return how far tiles reach along each axis: shape (tiles, axes)."""
    left = np.array(layout.shape) - origins
    extents: NDArray[np.int64] = np.minimum(np.array(layout.tile_shape), left)
    return extents


def is_stream_coded(
    layout: CompressedImage, table: TileTable, tiles: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """Find the tiles that kernels read: those that are Rice-coded, or the bytes of numbers."""
    if layout.algorithm in ("RICE_1", *BYTE_STREAMS):
        return np.ones(len(tiles), bool)
    fallback: NDArray[np.bool_] = table.columns[tiles] != COMPRESSED
    return fallback


@dataclass(frozen=True, slots=True, eq=False)
class Tiles:
    """Decode the tiles of an image from a buffer that has their bytes."""

    layout: CompressedImage
    table: TileTable
    buffer: NDArray[np.uint8]
    starts: NDArray[np.int64]
    parallel: bool

    def other(self, tile: int, extent: tuple[int, ...]) -> NDArray[np.generic]:
        """Decode one tile that the kernels do not read."""
        start = int(self.starts[tile])
        data = self.buffer.data[start : start + int(self.table.lengths[tile])]
        return decode_tile(self.layout, self.table, tile, data, extent)

    def streams(self, tiles: NDArray[np.int64], out: NDArray[np.generic], runs: Runs) -> None:
        """Decode tiles into a flat output, as far as their runs go."""
        most = 1
        if self.parallel and out.size >= 2 * _PIXELS_A_THREAD:  # each pixel has a place in it
            n = int((runs.n_rows * runs.row_lengths).sum())
            most = min(max(n // _PIXELS_A_THREAD, 1), len(tiles))
        if most == 1 and self.table.column >= 0:  # a small cut-out: nothing to divide
            with borrow_cores(1):
                self._column(self.table.column, tiles, out, runs)
            return
        columns = self.table.columns[tiles]
        with borrow_cores(most) as threads:
            for column in np.unique(columns).tolist():
                chosen = np.flatnonzero(columns == column)
                jobs = [
                    (column, tiles[part], out, runs.take(part))
                    for part in np.array_split(chosen, threads)
                ]
                others = [pool().submit(self._column, *job) for job in jobs[1:]]
                try:
                    self._column(*jobs[0])
                finally:
                    # No thread may still write to the output once this returns.
                    wait(others)
                for other in others:
                    other.result()

    def _column(
        self, column: int, tiles: NDArray[np.int64], out: NDArray[np.generic], runs: Runs
    ) -> None:
        """Decode tiles whose bytes are in the same data column."""
        algorithm = self.layout.algorithm
        if column != COMPRESSED:
            algorithm = "NOCOMPRESS" if column == UNCOMPRESSED else "GZIP_1"
        starts, lengths = self.starts[tiles], self.table.lengths[tiles]
        if algorithm == "RICE_1":
            rice = np.zeros(len(tiles), np.int64)
            self._kernel(column, tiles, self.buffer, starts, lengths, rice, out, runs)
            return
        floats = self.layout.bitpix < 0 and not (self.layout.quantised and column == COMPRESSED)
        pixels = tile_extents(self.layout, tile_origins(self.layout, tiles)).prod(axis=1)
        # A few at a time, so that what they decompress to takes little memory beside the output.
        step = max(1, _PLAIN_BYTES // (8 * int(pixels.max(initial=1))))
        every = np.stack([tiles, starts, lengths, pixels], axis=1)
        for begin in range(0, len(tiles), step):
            some = slice(begin, begin + step)
            rows = every[some].tolist()
            buffer, at, sizes = self.buffer, starts[some], lengths[some]
            if algorithm != "NOCOMPRESS":
                plain = [
                    gunzip(self.layout, self.buffer.data[a : a + m], n, tile, floats=floats)
                    for tile, a, m, n in rows
                ]
                buffer = np.frombuffer(b"".join(plain), "u1")
                sizes = np.array([len(data) for data in plain], np.int64)
                at = np.cumsum(sizes) - sizes
            itemsizes = [
                itemsize_of(self.layout, size, n, tile, floats=floats)
                for size, (tile, _, _, n) in zip(sizes.tolist(), rows, strict=True)
            ]
            each = np.array(itemsizes, np.int64)
            self._kernel(column, tiles[some], buffer, at, sizes, each, out, runs.take(some))

    @np.errstate(all="ignore")  # numbers wrap around, and go beyond the range of floats
    def _kernel(
        self,
        column: int,
        tiles: NDArray[np.int64],
        buffer: NDArray[np.uint8],
        starts: NDArray[np.int64],
        lengths: NDArray[np.int64],
        itemsizes: NDArray[np.int64],
        out: NDArray[np.generic],
        runs: Runs,
    ) -> None:
        """Turn the numbers in a buffer into pixels of the output, with a kernel.

        Rice streams are decoded by `lanes`, where the processor has what that needs. Else they are
        decoded by `rice`, as all other numbers are. While they are not compiled, numpy decodes.
        """
        layout, table = self.layout, self.table
        is_rice = layout.algorithm == "RICE_1" and column == COMPRESSED
        bytepix, blocksize = map(int, rice_parameters(layout)) if is_rice else (4, 256)
        shuffled = layout.algorithm == "GZIP_2" and column == COMPRESSED
        source = by_numpy.Source(buffer, starts, lengths, itemsizes, shuffled, blocksize)
        how: tuple[Any, ...] = source
        decode_floats, decode_integers = DECODE_FLOATS, DECODE_INTEGERS
        kernel = chosen_kernel() if is_rice else "plain"
        if kernel != "plain" and fits_into_lanes(buffer, blocksize, len(starts)):
            decode_floats, decode_integers = LANES_FLOATS, LANES_INTEGERS
            how = (*lane_memory(kernel, blocksize, len(starts)), buffer, starts, lengths, blocksize)
        if layout.quantised and column == COMPRESSED:
            quantisation = Quantisation(
                table.scale[tiles],
                table.zero[tiles],
                table.blank[tiles] if table.blank.size else np.zeros(len(tiles), np.int64),
                table.blank.size > 0,
                layout.dither,
                dither_starts(layout, tiles),
                random_list(),
            )
            broken = decode_floats.run(
                (*how, *quantisation, out, *runs),
                lambda: by_numpy.decode_floats(source, quantisation, out, runs),
                lambda: by_numpy.seconds(source, runs),
            )
        else:
            # Floats as they are: their bits are taken for integers.
            integers = out.view(f"i{out.itemsize}") if layout.bitpix < 0 else out
            broken = decode_integers.run(
                (*how, bytepix, integers, *runs),
                lambda: by_numpy.decode_integers(source, bytepix, integers, runs),
                lambda: by_numpy.seconds(source, runs),
            )
        if broken < 0:
            return
        if is_rice:
            problem = (
                f"its {lengths[broken]} bytes of RICE_1 end or break before all its pixels are "
                "decoded" + ("" if layout.bitpix < 0 else ", or hold")
            )
        else:
            problem = "holds"
        if not (is_rice and layout.bitpix < 0):
            problem += f" a pixel that ZBITPIX = {layout.bitpix} has no room for"
        raise FrameCorruptError(f"tile {tiles[broken]}: {problem}")

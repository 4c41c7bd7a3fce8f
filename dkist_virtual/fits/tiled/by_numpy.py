"""Decode tiles with numpy alone, all tiles of a request together.

The kernels of `dkist_virtual.fits.tiled.rice` have to be compiled, which takes seconds in a fresh
installation; numpy is there at once. One step decodes the next pixel of every Rice tile, so the
pixels of the longest tile are what takes time. Pixels and refusals are those of the kernels.

Whatever the bits say, only the buffer is read, and every step takes a bit or a pixel.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from dkist_virtual.fits.tiled.dequantise import MOST_PIXELS, Dequantiser, Quantisation
from dkist_virtual.fits.tiled.rice_by_numpy import RiceStreams

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

__all__ = [
    "SECONDS_A_PIXEL",
    "Runs",
    "Source",
    "decode_floats",
    "decode_integers",
    "dequantise",
    "seconds",
]

_TILES_AT_A_TIME: Final = 512
"""More make no step cheaper, and scratch memory larger than a processor's cache."""

_NUMBERS_AT_A_TIME: Final = 2**15

_PIXEL_TYPES: Final = {4: np.int32, 2: np.int16, 1: np.uint8}
"""Of a Rice stream, by BYTEPIX."""

# On a slow core.
_SECONDS_A_BLOCK: Final = 3e-4
_SECONDS_A_STEP: Final = 1e-5
SECONDS_A_PIXEL: Final = 1e-7


class Source(NamedTuple):
    """Say where tiles are in a buffer, and how their numbers are stored.

    Attributes
    ----------
    buffer : ndarray of uint8
    starts, lengths : ndarray of int64
        Byte range of each tile.
    itemsizes : ndarray of int64
        Per tile: 0 where it is Rice-coded, else how many bytes a number has.
    shuffled : bool
        Whether the first bytes of all numbers come first, then the second ones.
    blocksize : int
        Pixels in a Rice block.
    """

    buffer: NDArray[np.uint8]
    starts: NDArray[np.int64]
    lengths: NDArray[np.int64]
    itemsizes: NDArray[np.int64]
    shuffled: bool
    blocksize: int


class Runs(NamedTuple):
    """Say where the pixels of tiles go in a flat output.

    Of each tile, `n_rows` runs of `row_lengths` pixels are decoded, the first of them to `starts`;
    from the beginning of a run to that of the next are `row_stride` pixels.
    """

    starts: NDArray[np.int64]
    n_rows: NDArray[np.int64]
    row_lengths: NDArray[np.int64]
    row_stride: int

    @classmethod
    def single(cls, starts: NDArray[np.int64], lengths: NDArray[np.int64]) -> Runs:
        """Put each tile into one run."""
        return cls(starts, np.ones(len(starts), np.int64), lengths, 0)

    def take(self, which: NDArray[np.intp] | slice) -> Runs:
        """Return the runs of some of the tiles."""
        starts, n_rows, row_lengths, row_stride = self
        return Runs(starts[which], n_rows[which], row_lengths[which], row_stride)

    def places(self, part: _Part) -> NDArray[np.int64]:
        """Return where each number of a part goes."""
        pixels = np.arange(part.first, part.first + len(part.values))[:, None]
        rows: NDArray[np.int64] | int = 0
        if (self.n_rows[part.tiles] > 1).any():
            rows, pixels = np.divmod(pixels, self.row_lengths[part.tiles])
        places: NDArray[np.int64] = self.starts[part.tiles] + pixels + rows * self.row_stride
        return places


class _Part(NamedTuple):
    """Hold numbers of some tiles, each from pixel `first` on: shape (pixels, tiles)."""

    tiles: NDArray[np.intp]
    first: int
    values: NDArray[np.int64]


class _Broken:
    """Remember the first tile that cannot be decoded: those behind it need not be."""

    def __init__(self, n: int) -> None:
        self.n = self.first = n

    def add(self, tiles: NDArray[np.intp]) -> None:
        """Add tiles that cannot be decoded."""
        self.first = min(self.first, int(tiles.min(initial=self.first)))

    def result(self) -> int:
        """Return what kernels return: the first such tile, or -1."""
        return self.first if self.first < self.n else -1


def seconds(source: Source, runs: Runs) -> float:
    """Estimate how long decoding takes here."""
    pixels = runs.n_rows * runs.row_lengths
    longest = np.sort(pixels[source.itemsizes == 0])[::-1][::_TILES_AT_A_TIME]
    blocks = int((longest // source.blocksize + 1).sum())
    steps, every = int(longest.sum()), int(pixels.sum())
    return _SECONDS_A_BLOCK * blocks + _SECONDS_A_STEP * steps + SECONDS_A_PIXEL * every


def decode_floats(
    source: Source, quantisation: Quantisation, out: NDArray[np.generic], runs: Runs
) -> int:
    """Decode tiles of quantised floats as `rice.decode_floats` does, and return what it returns."""
    broken = _Broken(len(source.starts))
    dequantiser = Dequantiser(quantisation)
    for part in _parts(source, 4, runs, broken):
        out[runs.places(part)] = dequantiser.floats(part.tiles, part.values)
    return broken.result()


def decode_integers(source: Source, bytepix: int, out: NDArray[np.generic], runs: Runs) -> int:
    """Decode tiles of integers as `rice.decode_integers` does, and return what it returns."""
    broken = _Broken(len(source.starts))
    for part in _parts(source, bytepix, runs, broken):
        values = part.values
        if not source.itemsizes[part.tiles[0]]:
            # Differences are modulo 2**(8 bytepix): only the low bits are the pixel.
            values = values.astype(_PIXEL_TYPES[bytepix]).astype(np.int64)
        pixels = values.astype(out.dtype)
        broken.add(part.tiles[(pixels.astype(np.int64) != values).any(axis=0)])
        out[runs.places(part)] = pixels
    return broken.result()


def dequantise(
    values: NDArray[np.generic], quantisation: Quantisation, out: NDArray[np.generic]
) -> int:
    """Turn the integers of one tile into floats as `rice.dequantise` does; return 0."""
    dequantiser = Dequantiser(quantisation)
    tile = np.zeros(1, np.intp)
    for first in range(0, values.size, MOST_PIXELS):
        some = slice(first, first + MOST_PIXELS)
        out[some] = dequantiser.floats(tile, values[some].astype(np.int64)[:, None])[:, 0]
    return 0


def _parts(source: Source, bytepix: int, runs: Runs, broken: _Broken) -> Iterator[_Part]:
    """Decode all numbers that are asked for, each tile's in their order."""
    least = np.where(source.itemsizes > 0, 1, bytepix)
    stops = source.starts + source.lengths
    broken.add(
        np.flatnonzero(
            (source.lengths < least) | (source.starts < 0) | (stops > source.buffer.size)
        )
    )
    counts = runs.n_rows * runs.row_lengths
    padded = np.empty(0, np.uint8)
    for itemsize in np.unique(source.itemsizes).tolist():
        tiles = np.flatnonzero(source.itemsizes == itemsize)
        # Those of most pixels first, so that all of a batch have about as many.
        tiles = tiles[np.argsort(-counts[tiles], kind="stable")]
        if not itemsize and not padded.size:
            padded = np.concatenate([source.buffer, np.zeros(8, np.uint8)])
        for begin in range(0, len(tiles), _TILES_AT_A_TIME):
            some = tiles[begin : begin + _TILES_AT_A_TIME]
            some = some[some < broken.first]
            if itemsize:
                yield from _numbers(source, itemsize, counts, some, broken)
            else:
                yield from _rice(source, padded, bytepix, counts, some, broken)


def _rice(
    source: Source,
    padded: NDArray[np.uint8],
    bytepix: int,
    counts: NDArray[np.int64],
    tiles: NDArray[np.intp],
    broken: _Broken,
) -> Iterator[_Part]:
    streams = RiceStreams(padded, source.starts[tiles], source.lengths[tiles], bytepix)
    first = 0
    for which, n, first in _steps(counts, tiles, broken, source.blocksize):
        values, bad = streams.block(which, n)
        if bad.any():
            broken.add(tiles[which[bad]])
            which, values = which[~bad], values[:, ~bad]
        if which.size:
            yield _Part(tiles[which], first, values)


def _steps(
    counts: NDArray[np.int64], tiles: NDArray[np.intp], broken: _Broken, size: int
) -> Iterator[tuple[NDArray[np.intp], int, int]]:
    """Divide the pixels of tiles into steps: which of the tiles, how many pixels, from which on."""
    first = 0
    while True:
        which = np.flatnonzero((counts[tiles] > first) & (tiles < broken.first))
        if not which.size:
            return
        lengths = np.minimum(counts[tiles[which]] - first, size)
        for n in np.unique(lengths).tolist():
            yield which[lengths == n], n, first
        first += size


def _numbers(
    source: Source,
    itemsize: int,
    counts: NDArray[np.int64],
    tiles: NDArray[np.intp],
    broken: _Broken,
) -> Iterator[_Part]:
    """Read numbers, most significant byte first: 1 byte is unsigned, more are signed."""
    stored = source.lengths[tiles] // itemsize
    broken.add(tiles[stored < counts[tiles]])
    # From one byte of a number to its next one is `plane`, from one number to the next `step`.
    planes, step = (stored, 1) if source.shuffled else (np.ones_like(stored), itemsize)
    signed = source.buffer.view(np.int8)
    size = min(MOST_PIXELS, max(1, _NUMBERS_AT_A_TIME // max(len(tiles), 1)))
    for which, n, first in _steps(counts, tiles, broken, size):
        at = source.starts[tiles[which]] + step * np.arange(first, first + n)[:, None]
        values = (signed if itemsize > 1 else source.buffer)[at].astype(np.int64)
        for _ in range(1, itemsize):
            at += planes[which]
            values <<= 8
            values |= source.buffer[at]
        yield _Part(tiles[which], first, values)

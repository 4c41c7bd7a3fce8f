"""Decode the blocks of Rice streams with numpy alone, the same block of many streams together.

Rice coding is section 10.4.1 of the FITS standard, version 4.0. A step decodes one code of each
stream: a few operations on arrays with an entry per stream. What does not depend on the code
before it is done for all codes of a block together.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["BLOCKS", "RiceStreams"]

BLOCKS: Final = {4: (5, 25, 32), 2: (4, 14, 16), 1: (3, 6, 8)}
"""By BYTEPIX: bits of a block's code, the code of numbers as they are, and the bits of these."""

_VALID_BITS: Final = 57
"""How many bits of a window are the stream's, wherever in a byte it begins."""

_TABLE_BITS: Final = 16

# Zeros before the first one of so many bits. Without a one, more than a window has: its codes are
# then seen to be too long.
_LEADING_ZEROS: Final = np.array(
    [_TABLE_BITS - bits.bit_length() if bits else 64 for bits in range(2**_TABLE_BITS)], np.int64
)


class RiceStreams:
    """Decode streams, a block of each at a time.

    Parameters
    ----------
    padded : ndarray of uint8
        The buffer, and 8 zero bytes.
    starts, lengths : ndarray of int64
        Byte range of each stream, inside the buffer and of `bytepix` bytes at least.
    bytepix : int
        1, 2 or 4.
    """

    def __init__(
        self,
        padded: NDArray[np.uint8],
        starts: NDArray[np.int64],
        lengths: NDArray[np.int64],
        bytepix: int,
    ) -> None:
        self._last_byte = padded.size - 8
        # A word of 8 bytes begins at every byte.
        self._words = np.ndarray((self._last_byte + 1,), ">u8", padded, strides=(1,))
        self._bytepix = bytepix
        self._bits = starts * 8
        self._ends = (starts + lengths) * 8
        self._lasts = self._first_bits(self._bits, 8 * bytepix)
        self._bits += 8 * bytepix

    def block(self, which: NDArray[np.intp], n: int) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Decode the next block of some streams.

        Parameters
        ----------
        which : ndarray of int
            Numbers of streams.
        n : int
            Pixels of the block.

        Returns
        -------
        values : ndarray of int64, shape (n, streams)
            Of pixels the low 32 bits are kept, which differences are modulo.
        broken : ndarray of bool, shape (streams,)
            Which streams are broken, or end before the block does.
        """
        code_bits, raw_code, raw_bits = BLOCKS[self._bytepix]
        bits, ends = self._bits[which], self._ends[which]
        fs = self._first_bits(bits, code_bits) - 1
        bits += code_bits
        split = np.flatnonzero((fs >= 0) & (fs < raw_code))
        if len(split) == len(which):
            codes, bits = self._codes(bits, ends, fs, n)
        else:  # where all differences are zero, there are no codes
            codes = np.zeros((n, len(which)), np.int64)
            if split.size:
                codes[:, split], bits[split] = self._codes(bits[split], ends[split], fs[split], n)
            raw = np.flatnonzero(fs == raw_code)
            if raw.size:
                at = bits[raw] + raw_bits * np.arange(n)[:, None]
                codes[:, raw] = self._first_bits(at, raw_bits)
                bits[raw] += raw_bits * n
        # A code's value means a difference: 0, -1, 1, -2, 2, ...
        values = np.cumsum((codes >> 1) ^ -(codes & 1), axis=0)
        values += self._lasts[which]
        self._bits[which], self._lasts[which] = bits, values[-1]
        return values.astype(np.int32).astype(np.int64), (fs > raw_code) | (bits > ends)

    def _window(self, bits: NDArray[np.int64]) -> NDArray[np.uint64]:
        """Return at least 57 bits from bit numbers on, as the high bits; zeros behind the end."""
        at = np.minimum(bits >> 3, self._last_byte)
        words: NDArray[np.uint64] = self._words[at].astype(np.uint64)
        words <<= (bits & 7).view(np.uint64)
        return words

    def _first_bits(self, bits: NDArray[np.int64], n: int) -> NDArray[np.int64]:
        """Return `n` bits, up to 57, from bit numbers on."""
        return (self._window(bits) >> np.uint64(64 - n)).view(np.int64)

    def _codes(
        self, bits: NDArray[np.int64], ends: NDArray[np.int64], fs: NDArray[np.int64], n: int
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Read `n` codes of streams: their values, and the bits after them.

        A code has as many zeros as the value's high bits say, a one, then its `fs` low bits.
        """
        zeros = np.empty((n, len(bits)), np.int64)
        words = np.empty((n, len(bits)), np.uint64)
        fixed = fs + 1
        # As many codes from one window as mostly are in it: they have two or three zeros each.
        together = max(1, _VALID_BITS // (int(fixed.max()) + 3))
        long = []
        for first in range(0, n, together):
            stop = min(first + together, n)
            words[first] = self._window(bits)
            for i in range(first, stop):
                word = words[i]
                found = _LEADING_ZEROS[(word >> np.uint64(64 - _TABLE_BITS)).view(np.int64)]
                zeros[i] = found
                if i + 1 < stop:  # numpy shifts everything out by 64 and more
                    found += fixed
                    np.left_shift(word, found.view(np.uint64), out=words[i + 1])
            used = zeros[first:stop].sum(axis=0)
            used += (stop - first) * fixed
            bits = bits + used
            if used.max() > _VALID_BITS:
                some = np.flatnonzero(used > _VALID_BITS)
                at = bits[some] - used[some]
                for i in range(first, stop):
                    value, at = self._long_code(at, ends[some], fs[some])
                    long.append((i, some, value))
                bits[some] = at
        zeros &= 63  # of what is not in a window nothing is read here
        words <<= (zeros + 1).view(np.uint64)
        words >>= (63 - fs).view(np.uint64)
        words >>= np.uint64(1)
        values = (zeros << fs) | words.view(np.int64)
        for i, some, value in long:
            values[i, some] = value
        return values, bits

    def _long_code(
        self, bits: NDArray[np.int64], ends: NDArray[np.int64], fs: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Read one code of any length of each stream: its value, and the bit after it.

        That bit is beyond the stream's end where the run of zeros is.
        """
        bits = bits.copy()
        begins = bits.copy()
        steps = _leading_zeros(self._window(bits))
        while True:
            more = np.flatnonzero((steps >= _VALID_BITS) & (bits <= ends))
            if not more.size:
                break
            bits[more] += _VALID_BITS
            steps[more] = _leading_zeros(self._window(bits[more]))
        bits += steps
        zeros = bits - begins
        bits += 1
        low = (self._window(bits) >> np.uint64(1)) >> (63 - fs).view(np.uint64)
        return (zeros << fs) | low.view(np.int64), bits + fs


def _leading_zeros(words: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Count the zero bits before the first one of each word; 64 for 0."""
    # Without ones beside each other, a float is not rounded up to the next power of two.
    exponents = (words & (words ^ (words >> np.uint64(1)))).astype(np.float64).view(np.int64) >> 52
    zeros: NDArray[np.int64] = np.where(words == 0, 64, 1086 - exponents)
    return zeros

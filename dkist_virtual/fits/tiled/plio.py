"""Decode PLIO_1: run lengths of small positive integers, compiled.

The line list of IRAF's pixel lists is section 10.4.3 of the FITS standard, version 4.0: 16-bit
words, of which the highest four bits are an instruction and the others its argument. The list
keeps one current value, which instructions change and runs repeat.
"""

from __future__ import annotations

from dkist_virtual.fits.kernels import njit

__all__ = ["decompress"]


@njit(cache=True, nogil=True)
def decompress(words, out):
    """Decode one tile; return -1, or the number of the word at which the list is broken.

    Parameters
    ----------
    words : ndarray of int16
        Native byte order.
    out : ndarray of int32, one-dimensional
        Zeros; pixels that the list does not reach stay 0, as the standard has it.
    """
    if words.size < 3:
        return words.size
    # The third word is the list's length, or 0 where it takes two words further on.
    if words[2] > 0:
        length, at = int(words[2]), 3
    else:
        if words.size < 5 or words[1] < 0:
            return words.size
        length, at = (int(words[4]) << 15) + int(words[3]), int(words[1])
    if length < 0 or length > words.size:
        return 2
    value, position, n = 1, 0, out.size
    while at < length and position < n:
        word = int(words[at])
        if word < 0:
            return at
        code, argument = word >> 12, word & 4095
        at += 1
        if code == 1:  # a new value, its higher bits in a word of their own
            if at >= length or words[at] < 0:
                return at
            value = (int(words[at]) << 12) + argument
            at += 1
        elif code == 2:
            value += argument
        elif code == 3:
            value -= argument
        elif code == 6 or code == 7:  # the value changed, and once
            value += argument if code == 6 else -argument
            out[position] = value
            position += 1
        else:  # 0 a run of zeros, 4 of the value, 5 of zeros with the value at its end
            stop = min(position + argument, n)
            if code == 4:
                for i in range(position, stop):
                    out[i] = value
            elif code == 5 and 0 < argument <= n - position:
                out[stop - 1] = value
            position = stop
    return -1

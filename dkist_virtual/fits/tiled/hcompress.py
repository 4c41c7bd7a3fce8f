"""Decode HCOMPRESS_1: quadtree-coded bit planes of an H-transform, compiled.

The algorithm is section 10.4.4 of the FITS standard, version 4.0, after R. White, M. Postman
and M. Lattanzi, "Compression of the Guide Star Digitised Schmidt Plates" (1992). A stream is: the
bytes DD 99; rows, columns and scale as 4-byte integers; the sum of all pixels as an 8-byte one;
one byte each for the number of bit planes in the quadrant of sums, in the two of differences
along one axis, and in that of both; the bit planes; and, from the next whole byte on, a sign bit
for each coefficient that is not 0. All big-endian.

The arithmetic is that of 64-bit integers throughout, as in astropy.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from dkist_virtual.fits.kernels import njit

__all__ = ["decompress"]

_MAX_PLANES: Final = 62

# The prefix code of the 16 patterns of a quadtree node, by its length in bits.
_CODES_4: Final = np.array([3, 5, 10, 12, 15], np.uint8)  # 1000 to 1100
_CODES_5: Final = np.array([6, 7, 9, 11, 13], np.uint8)  # 11010 to 11110


@njit(cache=True, nogil=True)
def _bits(data, bit, n):
    """Read `n` bits, up to 8, from bit number `bit` on; -1 where they are not all there."""
    if bit + n > data.size * 8:
        return np.int64(-1)
    value = np.int64(0)
    for i in range(bit, bit + n):
        value = (value << 1) | ((np.int64(data[i >> 3]) >> (7 - (i & 7))) & 1)
    return value


@njit(cache=True, nogil=True)
def _node(data, bit):
    """Read the pattern of one quadtree node, and the bit after it; it is -1 at the end."""
    code = _bits(data, bit, 3)
    if code < 4:
        return (code if code < 0 else np.int64(1) << code), bit + 3
    code = _bits(data, bit, 4)
    if code < 13:
        return (code if code < 0 else np.int64(_CODES_4[code - 8])), bit + 4
    code = _bits(data, bit, 5)
    if code < 31:
        return (code if code < 0 else np.int64(_CODES_5[code - 26])), bit + 5
    code = _bits(data, bit, 6)
    return (code if code < 0 else np.int64(0 if code == 62 else 14)), bit + 6


@njit(cache=True, nogil=True)
def _planes(data, bit, quadrant, n_planes):
    """Decode the bit planes of one quadrant into `quadrant`; the next bit, or minus a problem."""
    n_rows, n_columns = quadrant.shape
    if n_rows == 0 or n_columns == 0:
        n_rows = n_columns = 0
    levels = 0
    while (1 << levels) < max(n_rows, n_columns):
        levels += 1
    half_rows, half_columns = (n_rows + 1) // 2, (n_columns + 1) // 2
    nodes = np.zeros((max(half_rows, 1), max(half_columns, 1)), np.uint8)
    for plane in range(n_planes - 1, -1, -1):
        form = _bits(data, bit, 4)
        bit += 4
        if form < 0:
            return np.int64(-1)
        if form == 0:  # every node is written out
            for i in range(half_rows):
                for j in range(half_columns):
                    value = _bits(data, bit, 4)
                    if value < 0:
                        return np.int64(-1)
                    nodes[i, j] = value
                    bit += 4
        elif form == 15:  # a quadtree, from its root on
            value, bit = _node(data, bit)
            if value < 0:
                return np.int64(-1)
            nodes[0, 0] = value
            for level in range(levels - 1, 0, -1):
                # The nodes of the next finer level: each bit of a node says whether there is
                # anything below it. Read from the last node to the first.
                size = 1 << level
                rows = (n_rows + size - 1) >> level
                columns = (n_columns + size - 1) >> level
                for i in range(rows - 1, -1, -1):
                    for j in range(columns - 1, -1, -1):
                        parent = nodes[i >> 1, j >> 1]
                        # In place: a parent is overwritten only by its own first child, which
                        # is the last of its children to be read.
                        if (parent >> (3 - 2 * (i & 1) - (j & 1))) & 1:
                            value, bit = _node(data, bit)
                            if value < 0:
                                return np.int64(-1)
                            nodes[i, j] = value
                        else:
                            nodes[i, j] = 0
        else:
            return np.int64(-2)
        for i in range(n_rows):
            for j in range(n_columns):
                node = np.int64(nodes[i >> 1, j >> 1])
                quadrant[i, j] |= ((node >> (3 - 2 * (i & 1) - (j & 1))) & 1) << plane
    return np.int64(bit)


@njit(cache=True, nogil=True)
def _interleave(line, n, scratch):
    """Put sums, the first half, and differences, the second, of a line side by side."""
    half = (n + 1) >> 1
    for i in range(n):
        scratch[i] = line[i]
    for i in range(half):
        line[2 * i] = scratch[i]
    for i in range(n - half):
        line[2 * i + 1] = scratch[half + i]


@njit(cache=True, nogil=True)
def _rounded(value, bit):
    """Round to a multiple of `bit`, a power of two; halves go away from zero's lower side."""
    half = bit >> 1
    return (value + (half if value >= 0 else max(half - 1, 0))) & -bit


@njit(cache=True, nogil=True)
def _toward(value, change):
    """Make the magnitude of `value` larger by `change`."""
    return value + change if value >= 0 else value - change


@njit(cache=True, nogil=True)
def _slope(change, limit, shift):
    """Divide a change by 2**`shift` toward zero, within plus or minus `limit`."""
    divided = change >> shift if change >= 0 else (change + (1 << shift) - 1) >> shift
    return max(min(divided, limit), -limit)


@njit(cache=True, nogil=True)
def _smooth(a, n_rows, n_columns, scale):
    """Let differences follow the neighbouring sums, as far as quantisation left them open."""
    limit = scale >> 1
    if limit <= 0:
        return
    for i in range(2, n_rows - 2, 2):
        for j in range(0, n_columns, 2):
            below, here, above = a[i - 2, j], a[i, j], a[i + 2, j]
            high = max(min(above - here, here - below), 0) << 2
            low = min(max(above - here, here - below), 0) << 2
            if low < high:
                wanted = max(min(above - below, high), low)
                a[i + 1, j] += _slope(wanted - (a[i + 1, j] << 3), limit, 3)
    for i in range(0, n_rows, 2):
        for j in range(2, n_columns - 2, 2):
            below, here, above = a[i, j - 2], a[i, j], a[i, j + 2]
            high = max(min(above - here, here - below), 0) << 2
            low = min(max(above - here, here - below), 0) << 2
            if low < high:
                wanted = max(min(above - below, high), low)
                a[i, j + 1] += _slope(wanted - (a[i, j + 1] << 3), limit, 3)
    for i in range(2, n_rows - 2, 2):
        for j in range(2, n_columns - 2, 2):
            here = a[i, j]
            mm, pm = a[i - 2, j - 2] - here, a[i + 2, j - 2] - here
            mp, pp = a[i - 2, j + 2] - here, a[i + 2, j + 2] - here
            x, y = a[i + 1, j] << 1, a[i, j + 1] << 1
            high = (
                min(
                    max(pp, 0) - x - y,
                    max(-pm, 0) + x - y,
                    max(-mp, 0) - x + y,
                    max(mm, 0) + x + y,
                )
                << 4
            )
            low = (
                max(
                    min(pp, 0) - x - y,
                    min(-pm, 0) + x - y,
                    min(-mp, 0) - x + y,
                    min(mm, 0) + x + y,
                )
                << 4
            )
            if low < high:
                wanted = max(min(pp + mm - mp - pm, high), low)
                a[i + 1, j + 1] += _slope(wanted - (a[i + 1, j + 1] << 6), limit, 6)


@njit(cache=True, nogil=True)
def _inverse(a, scale, smooth):
    """Undo the H-transform in place, from the coarsest level to the finest."""
    n_rows, n_columns = a.shape
    levels = 0
    while (1 << levels) < max(n_rows, n_columns):
        levels += 1
    if levels == 0:
        return
    scratch = np.empty(max(n_rows, n_columns), np.int64)
    # Sums carry two more bits than differences of both axes, one more than those of one.
    a[0, 0] = _rounded(a[0, 0], np.int64(1) << (levels + 1))
    for level in range(levels - 1, -1, -1):
        rows = (n_rows + (1 << level) - 1) >> level
        columns = (n_columns + (1 << level) - 1) >> level
        for i in range(rows):
            _interleave(a[i, :], columns, scratch)
        for j in range(columns):
            _interleave(a[:, j], rows, scratch)
        if smooth:
            _smooth(a, rows, columns, scale)
        low, high = np.int64(1) << level, np.int64(2) << level
        shift = 2 if level == 0 else 1
        for i in range(0, rows, 2):
            for j in range(0, columns, 2):
                s = a[i, j]
                if i + 1 < rows and j + 1 < columns:
                    x, y = _rounded(a[i + 1, j], high), _rounded(a[i, j + 1], high)
                    xy = _rounded(a[i + 1, j + 1], low)
                    odd = xy & low
                    x, y = _toward(x, -odd), _toward(y, -odd)
                    carry = (xy ^ x ^ y) & high
                    if s >= 0:
                        s += odd - carry
                    else:
                        s += carry if odd == 0 else odd - carry
                    a[i, j] = (s - x - y + xy) >> shift
                    a[i, j + 1] = (s - x + y - xy) >> shift
                    a[i + 1, j] = (s + x - y - xy) >> shift
                    a[i + 1, j + 1] = (s + x + y + xy) >> shift
                elif i + 1 < rows:
                    x = _rounded(a[i + 1, j], high)
                    s = _toward(s, -(x & high))
                    a[i, j], a[i + 1, j] = (s - x) >> shift, (s + x) >> shift
                elif j + 1 < columns:
                    y = _rounded(a[i, j + 1], high)
                    s = _toward(s, -(y & high))
                    a[i, j], a[i, j + 1] = (s - y) >> shift, (s + y) >> shift
                else:
                    a[i, j] = s >> shift


@njit(cache=True, nogil=True)
def decompress(data, a, scale, total, planes, smooth):
    """Decode one tile; return 0, or a key of `HCOMPRESS_PROBLEMS`.

    Parameters
    ----------
    data : ndarray of uint8
        The stream after its header.
    a : ndarray of int64, shape (rows, columns)
        Zeros; becomes the pixels, each within 32 bits.
    scale, total : int
    planes : ndarray of uint8, shape (3,)
        From the stream's header.
    smooth : bool
    """
    n_rows, n_columns = a.shape
    if max(planes[0], planes[1], planes[2]) > _MAX_PLANES:
        return 4
    middle_row, middle_column = (n_rows + 1) // 2, (n_columns + 1) // 2
    bit = np.int64(0)
    for quadrant in range(4):
        r0, r1 = (middle_row, n_rows) if quadrant >= 2 else (0, middle_row)
        c0, c1 = (middle_column, n_columns) if quadrant % 2 else (0, middle_column)
        part = a[r0:r1, c0:c1]
        bit = _planes(data, bit, part, np.int64(planes[(quadrant + 1) // 2]))
        if bit < 0:
            return -bit
    if _bits(data, bit, 4) != 0:
        return 3
    bit = (bit + 4 + 7) // 8 * 8
    for i in range(n_rows):
        for j in range(n_columns):
            if a[i, j] != 0:
                sign = _bits(data, bit, 1)
                if sign < 0:
                    return 1
                bit += 1
                a[i, j] = (-a[i, j] if sign else a[i, j]) * scale
    a[0, 0] = total * scale
    _inverse(a, scale, smooth)
    # As in cfitsio and astropy, what comes out is taken for 4-byte integers.
    for i in range(n_rows):
        for j in range(n_columns):
            a[i, j] = np.int32(a[i, j])
    return 0

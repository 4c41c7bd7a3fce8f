"""Decode Rice tiles, unshuffle bytes, dequantise and undo dithering, compiled.

The Rice coding of FITS is section 10.4.1 of the standard, version 4.0, the shuffling of GZIP_2
is 10.4.2; quantisation and the subtractive dithers are 10.2. The kernels use no Python object and
release the GIL.

Whatever the bits say, a kernel never reads outside its buffer, and ends after at most as many
steps as there are bits and pixels. The caller, `dkist_virtual.fits.decode`, makes sure that every
tile is inside the output.

Importing this module imports numba; only decoding does so.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numba import types

from dkist_virtual.fits.kernels import intrinsic, njit
from dkist_virtual.fits.tiled.dequantise import N_RANDOM, ZERO_VALUE

__all__ = [
    "block_form",
    "decode_floats",
    "decode_integers",
    "dequantise",
    "leading_zeros",
    "next_run",
]

# A kernel's return value for a tile that cannot be decoded: what was wrong, and in which tile.
OK: Final = -1


@intrinsic
def leading_zeros(typingctx: Any, x: Any) -> Any:  # noqa: ARG001  # numba's signature
    """Number of zero bits before the first one of a uint64; 64 for 0."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:  # noqa: ARG001
        return builder.ctlz(args[0], context.get_constant(types.boolean, False))

    return types.uint64(types.uint64), codegen


@njit(cache=True, nogil=True, inline="always")
def _window(buffer, bit):
    """At least 57 bits from bit number `bit` on, as the high bits of a uint64.

    Bits behind the buffer's end are zeros.
    """
    # Unsigned, since numba gives a signed index the branch for counting from the end.
    byte = np.uint64(bit) >> np.uint64(3)
    if byte + np.uint64(8) <= np.uint64(buffer.size):
        # Written out, since LLVM makes one load and a byte swap of this, and not of a loop.
        word = (
            (np.uint64(buffer[byte]) << np.uint64(56))
            | (np.uint64(buffer[byte + np.uint64(1)]) << np.uint64(48))
            | (np.uint64(buffer[byte + np.uint64(2)]) << np.uint64(40))
            | (np.uint64(buffer[byte + np.uint64(3)]) << np.uint64(32))
            | (np.uint64(buffer[byte + np.uint64(4)]) << np.uint64(24))
            | (np.uint64(buffer[byte + np.uint64(5)]) << np.uint64(16))
            | (np.uint64(buffer[byte + np.uint64(6)]) << np.uint64(8))
            | np.uint64(buffer[byte + np.uint64(7)])
        )
    else:
        word = np.uint64(0)
        for i in range(8):
            word <<= np.uint64(8)
            if byte + np.uint64(i) < np.uint64(buffer.size):
                word |= np.uint64(buffer[byte + np.uint64(i)])
    return word << (np.uint64(bit) & np.uint64(7))


@njit(cache=True, nogil=True, inline="always")
def _code(word, fs):
    """Read the code that begins with the highest bit of `word`: its value, length, and the rest.

    As many zeros as the value's high bits say, a one, then its `fs` low bits.
    """
    zeros = leading_zeros(word)
    length = zeros + fs + np.uint64(1)
    # Shifts by 64 are undefined, and happen where the word is too short for the code: the caller
    # sees that from the length.
    low = (word << (zeros & np.uint64(63))) >> (np.uint64(63) - fs)  # with the one before it
    value = np.int64(low + ((zeros - np.uint64(1)) << fs))
    return value, length, word << (length & np.uint64(63))


@njit(cache=True, nogil=True)
def _long_code(buffer, bit, end, fs):
    """Read one code of any length at bit number `bit`: its value, and the bit after it.

    That bit is beyond `end` where the run of zeros is.
    """
    zeros = np.int64(0)
    word = _window(buffer, bit)
    step = np.int64(leading_zeros(word))
    while step >= 57 and bit <= end:
        zeros += 57
        bit += 57
        word = _window(buffer, bit)
        step = np.int64(leading_zeros(word))
    zeros += step
    bit += step + 1
    word = _window(buffer, bit)
    value = (zeros << fs) | np.int64((word >> np.uint64(1)) >> np.uint64(63 - fs))
    return value, bit + fs


@njit(cache=True, nogil=True, inline="always")
def _difference(value):
    """Return the difference that a code's value means: 0, -1, 1, -2, 2, ..."""
    return (value >> 1) ^ -(value & 1)


@njit(cache=True, nogil=True, inline="always")
def block_form(bytepix):
    """Return `rice_by_numpy.BLOCKS` of a BYTEPIX: kernels cannot read a dict."""
    if bytepix == 4:
        return 5, 25, 32
    if bytepix == 2:
        return 4, 14, 16
    return 3, 6, 8


@njit(cache=True, nogil=True)
def next_run(position, left, count, length, stride):
    """Return where the next pixel goes after `count` of a run, and how many are left of the run."""
    position += count
    left -= count
    if left == 0:
        position += stride - length
        left = length
    return position, left


@njit(cache=True, nogil=True)
def _rice_block(buffer, bit, end, bytepix, last, block, n):
    """Decode one block of `n` pixels from bit number `bit` on into `block`.

    Returns the bit after the block, negative where the stream is broken or ends before it
    should, and the last pixel. Of pixels the low 32 bits are kept, which differences are modulo.
    """
    fs_bits, fs_max, raw_bits = block_form(bytepix)
    fs = np.int64(_window(buffer, bit) >> np.uint64(64 - fs_bits)) - 1
    bit += fs_bits
    if fs < 0:  # all differences are zero
        for i in range(n):
            block[i] = np.int32(last)
    elif fs < fs_max:
        # Most codes have fs + 2 bits: of short ones one load serves four, which are then free
        # of any branch but the one that asks whether they did lie in it.
        fours = n // 4 if fs <= 12 else 0
        ufs = np.uint64(fs)
        for four in range(fours):
            i = 4 * four
            word = _window(buffer, bit)
            value_0, length_0, word = _code(word, ufs)
            value_1, length_1, word = _code(word, ufs)
            value_2, length_2, word = _code(word, ufs)
            value_3, length_3, word = _code(word, ufs)
            length = length_0 + length_1 + length_2 + length_3
            if length <= np.uint64(57):
                bit += np.int64(length)
            else:
                value_0, bit = _long_code(buffer, bit, end, fs)
                value_1, bit = _long_code(buffer, bit, end, fs)
                value_2, bit = _long_code(buffer, bit, end, fs)
                value_3, bit = _long_code(buffer, bit, end, fs)
                if bit > end:
                    return np.int64(-1), last
            last += _difference(value_0)
            block[i] = np.int32(last)
            last += _difference(value_1)
            block[i + 1] = np.int32(last)
            last += _difference(value_2)
            block[i + 2] = np.int32(last)
            last += _difference(value_3)
            block[i + 3] = np.int32(last)
        for i in range(4 * fours, n):
            value, bit = _long_code(buffer, bit, end, fs)
            if bit > end:
                return np.int64(-1), last
            last += _difference(value)
            block[i] = np.int32(last)
    elif fs == fs_max:  # differences are stored as they are
        shift = np.uint64(64 - raw_bits)
        for i in range(n):
            value = np.int64(_window(buffer, bit) >> shift)
            bit += raw_bits
            last += _difference(value)
            block[i] = np.int32(last)
    else:
        return np.int64(-1), last
    if bit > end:
        return np.int64(-1), last
    return np.int64(bit), last


@njit(cache=True, nogil=True)
def _first_pixel(buffer, start, bytepix):
    """Read the first pixel of a stream, big-endian; only its low bits count."""
    return np.int64(_window(buffer, start * 8) >> np.uint64(64 - 8 * bytepix))


@njit(cache=True, nogil=True)
def _number_block(buffer, start, itemsize, plane, step, block, n):
    """Read `n` integers, most significant byte first: 1 byte is unsigned, more are signed.

    From one byte of an integer to its next one is `plane`, from one integer to the next `step`.
    """
    if itemsize == 4 and step == 1:  # written out, since LLVM makes vectors of it
        first = buffer[start : start + n]
        second = buffer[start + plane : start + plane + n]
        third = buffer[start + 2 * plane : start + 2 * plane + n]
        fourth = buffer[start + 3 * plane : start + 3 * plane + n]
        for i in range(n):
            block[i] = np.int32(
                (np.uint32(first[i]) << np.uint32(24))
                | (np.uint32(second[i]) << np.uint32(16))
                | (np.uint32(third[i]) << np.uint32(8))
                | np.uint32(fourth[i])
            )
        return
    for i in range(n):
        at = start + i * step
        value = np.int64(buffer[at])
        if itemsize > 1:
            value = np.int64(np.int8(value))
        for k in range(1, itemsize):
            value = (value << 8) | np.int64(buffer[at + k * plane])
        block[i] = value


@njit(cache=True, nogil=True)
def decode_floats(
    buffer, starts, lengths, itemsizes, shuffled, blocksize,
    scale, zero, blank, has_blank, dither, seeds, randoms,
    out, out_starts, n_rows, row_lengths, row_stride,
):  # fmt: skip
    """Decode tiles of quantised floats straight into the output, in one pass.

    Parameters
    ----------
    buffer : ndarray of uint8
        The bytes that hold all tiles.
    starts, lengths : ndarray of int64
        Byte range of each tile, inside `buffer`.
    itemsizes : ndarray of int64
        Per tile: 0 where it is Rice-coded, else how many bytes an integer has.
    shuffled : bool
        Whether the first bytes of all integers come first, then the second ones.
    blocksize : int
        Pixels in a Rice block, or to be done at a time.
    scale, zero : ndarray of float64
        Per tile.
    blank : ndarray of int64
        The integer that stands for NaN, per tile; read where `has_blank`.
    dither : int
        0, 1 or 2.
    seeds : ndarray of int64
        Per tile, where it begins in the list of random numbers: row + ZDITHER0 - 1, from 0.
    randoms : ndarray of float32
    out : ndarray of float32 or float64, one-dimensional
    out_starts, n_rows, row_lengths : ndarray of int64
        Per tile: it covers `n_rows` runs of `row_lengths` pixels, the first at `out_starts`.
    row_stride : int
        Pixels of `out` from the beginning of one run to that of the next.

    Returns
    -------
    int
        -1, or the number of the first tile whose stream is broken.
    """
    block = np.empty(blocksize, np.int32)
    for tile in range(starts.size):
        start = starts[tile]
        itemsize = itemsizes[tile]
        least = 1 if itemsize else 4
        if lengths[tile] < least or start < 0 or start + lengths[tile] > buffer.size:
            return tile
        n_pixels = n_rows[tile] * row_lengths[tile]
        if itemsize:
            last = bit = end = np.int64(0)
            n_stored = lengths[tile] // itemsize
            if n_stored < n_pixels:
                return tile
            plane, step = (n_stored, 1) if shuffled else (1, itemsize)
        else:
            last = _first_pixel(buffer, start, 4)
            bit = start * 8 + 32
            end = (start + lengths[tile]) * 8
            plane = step = 1
        position, left = out_starts[tile], row_lengths[tile]
        tile_scale, tile_zero, tile_blank = scale[tile], zero[tile], blank[tile]
        seed = seeds[tile] % N_RANDOM
        random = np.int64(randoms[seed] * np.float32(500))
        done = 0
        while done < n_pixels:
            n = min(blocksize, n_pixels - done)
            if itemsize:
                _number_block(buffer, start + done * step, itemsize, plane, step, block, n)
            else:
                bit, last = _rice_block(buffer, bit, end, 4, last, block, n)
                if bit < 0:
                    return tile
            used = 0
            while used < n:
                count = min(n - used, left)
                if dither == 0:
                    # Views, since LLVM makes vectors of a loop from 0 only.
                    run = out[position : position + count]
                    values = block[used : used + count]
                    for i in range(count):
                        run[i] = values[i] * tile_scale + tile_zero
                else:
                    for i in range(count):
                        value = block[used + i]
                        if dither == 2 and value == ZERO_VALUE:
                            out[position + i] = 0.0
                        else:
                            out[position + i] = (
                                np.float64(value) - np.float64(randoms[random]) + 0.5
                            ) * tile_scale + tile_zero
                        random += 1
                        if random == N_RANDOM:
                            seed = (seed + 1) % N_RANDOM
                            random = np.int64(randoms[seed] * np.float32(500))
                if has_blank:
                    for i in range(count):
                        if block[used + i] == tile_blank:
                            out[position + i] = np.nan
                used += count
                position, left = next_run(position, left, count, row_lengths[tile], row_stride)
            done += n
    return OK


@njit(cache=True, nogil=True)
def decode_integers(
    buffer, starts, lengths, itemsizes, shuffled, blocksize, bytepix,
    out, out_starts, n_rows, row_lengths, row_stride,
):  # fmt: skip
    """Decode tiles of integers into the output, as they are.

    Parameters
    ----------
    bytepix : int
        1, 2 or 4: bytes of a pixel in a Rice stream; 1 is unsigned, the others are signed.
    out : ndarray of int, one-dimensional
        Of the image's own type. A pixel outside its range makes the tile a broken one.

    See Also
    --------
    decode_floats : the other parameters, and what is returned.
    """
    block = np.empty(blocksize, np.int64)
    for tile in range(starts.size):
        start = starts[tile]
        itemsize = itemsizes[tile]
        least = 1 if itemsize else bytepix
        if lengths[tile] < least or start < 0 or start + lengths[tile] > buffer.size:
            return tile
        n_pixels = n_rows[tile] * row_lengths[tile]
        if itemsize:
            last = bit = end = np.int64(0)
            n_stored = lengths[tile] // itemsize
            if n_stored < n_pixels:
                return tile
            plane, step = (n_stored, 1) if shuffled else (1, itemsize)
        else:
            last = _first_pixel(buffer, start, bytepix)
            bit = (start + bytepix) * 8
            end = (start + lengths[tile]) * 8
            plane = step = 1
        position, left = out_starts[tile], row_lengths[tile]
        done, lost = 0, np.int64(0)
        while done < n_pixels:
            n = min(blocksize, n_pixels - done)
            if itemsize:
                _number_block(buffer, start + done * step, itemsize, plane, step, block, n)
            else:
                bit, last = _rice_block(buffer, bit, end, bytepix, last, block, n)
                if bit < 0:
                    return tile
            used = 0
            while used < n:
                count = min(n - used, left)
                # Differences are modulo 2**(8 bytepix): only the low bits are the pixel.
                for i in range(count):
                    if itemsize:
                        value = block[used + i]
                    elif bytepix == 4:
                        value = np.int64(np.int32(block[used + i]))
                    elif bytepix == 2:
                        value = np.int64(np.int16(block[used + i]))
                    else:
                        value = np.int64(np.uint8(block[used + i]))
                    out[position + i] = value
                    lost |= np.int64(out[position + i]) ^ value
                used += count
                position, left = next_run(position, left, count, row_lengths[tile], row_stride)
            done += n
        if lost != 0:  # a pixel outside the range of the output's type
            return tile
    return OK


@njit(cache=True, nogil=True)
def dequantise(values, scale, zero, blank, has_blank, dither, seed, randoms, out):
    """Turn the integers of one tile, however they were compressed, into floats.

    Parameters
    ----------
    values : ndarray of int, one-dimensional
        Native byte order.
    scale, zero : float
    blank : int
        The integer that stands for NaN; read where `has_blank`.
    dither : int
        0, 1 or 2.
    seed : int
        Where the tile begins in the list of random numbers: row + ZDITHER0 - 1, from 0.
    randoms : ndarray of float32
    out : ndarray of float32 or float64, one-dimensional
        As many as `values`.
    """
    seed %= N_RANDOM
    random = np.int64(randoms[seed] * np.float32(500))
    for i in range(values.size):
        value = values[i]
        if has_blank and value == blank:
            out[i] = np.nan
        elif dither == 0:
            out[i] = value * scale + zero
        elif dither == 2 and value == ZERO_VALUE:
            out[i] = 0.0
        else:
            out[i] = (np.float64(value) - np.float64(randoms[random]) + 0.5) * scale + zero
        random += 1
        if random == N_RANDOM:
            seed = (seed + 1) % N_RANDOM
            random = np.int64(randoms[seed] * np.float32(500))

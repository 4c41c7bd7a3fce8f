"""Decode Rice tiles several at a time: each is in a lane of a vector.

`_fill` gives each lane a tile, `_decode_stage` decodes some blocks of every lane into a stage, and
`decode_floats` or `decode_integers` turn these into pixels of the output. A lane whose tile is done
gets the next one. What does not fit into vectors is decoded by itself: codes of many bits, and the
rest of a block that is shorter in other lanes. `lane_code` has the parts that are written in LLVM's
language.

Bounds are those of `rice`: no load reaches outside the buffer. A lane may read on beyond its tile's
end until its blocks in the stage are decoded; the tile is then a broken one, and is not used.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from dkist_virtual.fits.kernels import njit
from dkist_virtual.fits.tiled.dequantise import N_RANDOM
from dkist_virtual.fits.tiled.lane_code import (
    ACTIVE,
    BIT,
    END,
    FS,
    LAST,
    LEFT,
    PLACE,
    POSITION,
    RANDOM,
    SEED,
    TILE,
    TODO,
    finish_stores,
    lane_codes,
    store_floats,
    store_integers,
    window,
)
from dkist_virtual.fits.tiled.rice import block_form, leading_zeros, next_run

__all__ = ["decode_floats", "decode_integers"]

_MOST_FS: Final = 12
"""Of codes with more low bits, four are longer than a word."""


@njit(cache=True, nogil=True)
def _one_by_one(state, stage, buffer, lane, at, n, fs_max, raw_bits):
    """Decode `n` codes of one lane into the stage from `at` on, however long they are."""
    bit, end = state[BIT, lane], state[END, lane]
    fs, last = state[FS, lane], state[LAST, lane]
    if fs > fs_max:
        bit = end + 1
    for i in range(at, at + n):
        value = np.int64(0)
        if fs >= fs_max:  # differences are stored as they are
            value = np.int64(window(buffer, bit) >> np.uint64(64 - raw_bits))
            bit += raw_bits
        elif fs >= 0:
            # As `rice._long_code`, which with its window takes numba 0.4 s to compile.
            zeros = np.int64(0)
            word = window(buffer, bit)
            step = np.int64(leading_zeros(word))
            while step >= 57 and bit <= end:
                zeros += 57
                bit += 57
                word = window(buffer, bit)
                step = np.int64(leading_zeros(word))
            zeros += step
            bit += step + 1
            word = window(buffer, bit)
            value = (zeros << fs) | np.int64((word >> np.uint64(1)) >> np.uint64(63 - fs))
            bit += fs
        if bit > end:
            break
        last += (value >> 1) ^ -(value & 1)
        stage[i] = np.int32(last)
    state[BIT, lane], state[LAST, lane] = bit, last


@njit(cache=True, nogil=True)
def _fill(state, buffer, starts, lengths, bytepix, out_starts, n_rows, row_lengths, n_tiles):
    """Give the next tile to each lane without one; return the number of tiles that can be read.

    That is less than before where the next one is not inside the buffer.
    """
    tile = state[PLACE, 2]
    for lane in range(state.shape[1]):
        while state[TODO, lane] == 0 and tile < n_tiles:
            start, size = starts[tile], lengths[tile]
            if size < bytepix or start < 0 or start + size > buffer.size:
                n_tiles = tile
                break
            todo = n_rows[tile] * row_lengths[tile]
            if todo > 0:
                state[TODO, lane] = todo
                state[BIT, lane] = (start + bytepix) * 8
                state[END, lane] = (start + size) * 8
                state[LAST, lane] = np.int64(
                    window(buffer, start * 8) >> np.uint64(64 - 8 * bytepix)
                )
                state[ACTIVE, lane] = -1
                state[TILE, lane] = tile
                state[POSITION, lane] = out_starts[tile]
                state[LEFT, lane] = row_lengths[tile]
                state[RANDOM, lane] = -1
            tile += 1
    state[PLACE, 2] = tile
    return n_tiles


@njit(cache=True, nogil=True)
def _put_back(state, lane, position, left, todo):
    """Keep how far a lane came; one whose tile is done is free for the next tile."""
    state[POSITION, lane], state[LEFT, lane], state[TODO, lane] = position, left, todo
    if todo == 0:
        state[ACTIVE, lane] = state[BIT, lane] = 0


@njit(cache=True, nogil=True)
def _decode_stage(lanes, buffer, bytepix, blocksize, stride):
    """Decode the next pixels of every lane into the stage; return how many of each at most.

    Either whole blocks, as many as each lane has and the stage has room for, or one, which may be
    shorter. 0 where no lane has a tile.
    """
    state, stage = lanes
    fs_bits, fs_max, raw_bits = block_form(bytepix)
    todo, working = stride, False
    for lane in range(state.shape[1]):
        if state[TODO, lane]:
            working = True
            if state[TODO, lane] < todo:
                todo = state[TODO, lane]
    if not working:
        return 0
    blocks = 0 if blocksize % 4 else todo // blocksize
    groups = (blocksize if todo > blocksize else todo) // 4
    at_once = blocks if blocks else 1
    most = fs_max - 1 if fs_max <= _MOST_FS else _MOST_FS
    # numba would make kernels of their own for a constant.
    four = np.int64(4)
    block = group = 0
    while True:
        found = lane_codes(lanes, buffer, fs_bits, most, block, group, at_once, groups, stride)
        block, group = state[PLACE, 0], state[PLACE, 1]
        long_codes, other_blocks = found & 0xFFFFFFFF, found >> 32
        if long_codes:
            for lane in range(state.shape[1]):
                if (long_codes >> lane) & 1:
                    at = lane * stride + block * blocksize + group * 4
                    _one_by_one(state, stage, buffer, lane, at, four, fs_max, raw_bits)
            group += 1
            continue
        for lane in range(state.shape[1]):
            n = state[TODO, lane]
            n = blocksize if n > blocksize else n
            begin = 0 if (other_blocks >> lane) & 1 else groups * 4
            if begin < n:
                at = lane * stride + block * blocksize + begin
                _one_by_one(state, stage, buffer, lane, at, n - begin, fs_max, raw_bits)
        block += 1
        group = 0
        if block >= at_once:
            return block * blocksize


@njit(cache=True, nogil=True)
def decode_floats(
    lanes, stride, buffer, starts, lengths, blocksize,
    scale, zero, blank, has_blank, dither, seeds, randoms,
    out, out_starts, n_rows, row_lengths, row_stride,
):  # fmt: skip
    """Decode tiles of quantised floats straight into the output.

    Parameters
    ----------
    lanes, stride
        See `dkist_virtual.fits.tiled.processor.lane_memory`.

    See Also
    --------
    dkist_virtual.fits.tiled.rice.decode_floats : the other parameters, and what is returned.
    """
    state = lanes.state
    n_tiles = starts.size
    state[:, :] = 0
    while True:
        n_tiles = _fill(state, buffer, starts, lengths, 4, out_starts, n_rows, row_lengths, n_tiles)
        n_staged = _decode_stage(lanes, buffer, 4, blocksize, stride)
        if n_staged == 0:
            finish_stores()
            return n_tiles if n_tiles < starts.size else -1
        for lane in range(state.shape[1]):
            todo = state[TODO, lane]
            if todo == 0:
                continue
            tile = state[TILE, lane]
            n = n_staged if todo > n_staged else todo
            todo -= n
            if state[BIT, lane] > state[END, lane]:
                # Those before it are in other lanes, and are gone on with.
                n_tiles = tile if tile < n_tiles else n_tiles
                n = todo = 0
            position, left = state[POSITION, lane], state[LEFT, lane]
            seed, random = state[SEED, lane], state[RANDOM, lane]
            if dither and random < 0:
                seed = seeds[tile] % N_RANDOM
                random = np.int64(randoms[seed] * np.float32(500))
            used = 0
            while used < n:
                count = n - used
                count = left if count > left else count
                if dither:
                    count = N_RANDOM - random if count > N_RANDOM - random else count
                store_floats(
                    lanes, lane * stride + used, count, out, position,
                    scale[tile], zero[tile], blank[tile], has_blank, dither, randoms, random,
                )  # fmt: skip
                if dither:
                    random += count
                    if random == N_RANDOM:
                        seed = (seed + 1) % N_RANDOM
                        random = np.int64(randoms[seed] * np.float32(500))
                used += count
                position, left = next_run(position, left, count, row_lengths[tile], row_stride)
            state[SEED, lane], state[RANDOM, lane] = seed, random
            _put_back(state, lane, position, left, todo)


@njit(cache=True, nogil=True)
def decode_integers(
    lanes, stride, buffer, starts, lengths, blocksize, bytepix,
    out, out_starts, n_rows, row_lengths, row_stride,
):  # fmt: skip
    """Decode tiles of integers into the output, as they are.

    Parameters
    ----------
    lanes, stride
        See `dkist_virtual.fits.tiled.processor.lane_memory`.

    See Also
    --------
    dkist_virtual.fits.tiled.rice.decode_integers : the other parameters, and what is returned.
    """
    state = lanes.state
    n_tiles = starts.size
    state[:, :] = 0
    while True:
        n_tiles = _fill(
            state, buffer, starts, lengths, bytepix, out_starts, n_rows, row_lengths, n_tiles
        )
        n_staged = _decode_stage(lanes, buffer, bytepix, blocksize, stride)
        if n_staged == 0:
            return n_tiles if n_tiles < starts.size else -1
        for lane in range(state.shape[1]):
            todo = state[TODO, lane]
            if todo == 0:
                continue
            tile = state[TILE, lane]
            n = n_staged if todo > n_staged else todo
            todo -= n
            lost = np.int64(0)
            if state[BIT, lane] > state[END, lane]:
                lost, n = np.int64(1), 0
            position, left = state[POSITION, lane], state[LEFT, lane]
            used = 0
            while used < n:
                count = n - used
                count = left if count > left else count
                lost |= store_integers(lanes, lane * stride + used, count, out, position, bytepix)
                used += count
                position, left = next_run(position, left, count, row_lengths[tile], row_stride)
            if lost:
                n_tiles = tile if tile < n_tiles else n_tiles
                todo = 0
            _put_back(state, lane, position, left, todo)

"""Decode buffers of any bits that end, or begin, where memory does; the same for the output.

    python guarded.py outside|KERNEL ...

The pages before and after cannot be read: the process ends if one is. `outside` does it on purpose.
"""

from __future__ import annotations

import ctypes
import mmap
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
from lane_checks import Streams, encoded, floats_by, integers_by, noise

from dkist_virtual.fits.tiled.decoders import random_list
from dkist_virtual.fits.tiled.dequantise import N_RANDOM

if TYPE_CHECKING:
    from frames import Array

PAGE = mmap.PAGESIZE
libc = ctypes.CDLL(None, use_errno=True)


class Guarded:
    """Memory between two pages that can be neither read nor written."""

    def __init__(self, n_pages: int) -> None:
        self.memory = mmap.mmap(-1, (n_pages + 2) * PAGE)
        self.all = np.frombuffer(self.memory, "u1")
        self.usable = self.all[PAGE:-PAGE]
        for page in (self.all[:PAGE], self.all[-PAGE:]):
            failed = libc.mprotect(ctypes.c_void_p(page.ctypes.data), ctypes.c_size_t(PAGE), 0)
            assert failed == 0, ctypes.get_errno()

    def at_end(self, n: int, dtype: Any = "u1") -> Array:
        """The last `n` numbers, right before the page."""
        return self.usable[self.usable.size - n * np.dtype(dtype).itemsize :].view(dtype)

    def at_begin(self, n: int, dtype: Any = "u1") -> Array:
        """The first `n` numbers, right after the page."""
        return self.usable[: n * np.dtype(dtype).itemsize].view(dtype)


def streams(rng: np.random.Generator, lengths: list[int]) -> Streams:
    """Tiles of these lengths: right ones, some bits of which are turned, or any bits."""
    made = encoded([noise(rng, n) for n in lengths])
    kind = rng.integers(0, 4)
    if kind == 1:
        for _ in range(5):
            made.buffer[rng.integers(0, made.buffer.size)] ^= 1 << rng.integers(0, 8)
    elif kind == 2:
        made.buffer[:] = rng.integers(0, 256, made.buffer.size)
    elif kind == 3:  # zeros, which are one code longer than the buffer
        made.buffer[int(rng.integers(4, made.buffer.size)) :] = 0
    if rng.random() < 0.3:  # what is said of the tiles need not be so
        which = rng.integers(0, len(lengths))
        made.lengths[which] = rng.integers(0, made.buffer.size - made.starts[which] + 1)
    return made


def main(kernel: Any) -> None:
    """Decode, from and to the ends of memory."""
    rng = np.random.default_rng(11)
    source, target = Guarded(64), Guarded(64)
    randoms = Guarded(16).at_end(N_RANDOM, "f4")
    randoms[:] = random_list()
    if kernel == "outside":
        print(source.all[-PAGE])
    n = 0
    for number in range(100):
        lengths = rng.integers(1, 300, rng.integers(1, 20)).tolist()
        made = streams(rng, lengths)
        for place in (Guarded.at_end, Guarded.at_begin):
            bits = place(source, made.buffer.size)
            bits[:] = made.buffer
            made.buffer = bits
            if number % 2:
                out = place(target, sum(lengths), "f4")
                # Random numbers begin anywhere; some tiles come to the end of the list.
                seeds = rng.integers(0, N_RANDOM, len(lengths))
                randoms[seeds[0]] = 9_999.5 / 500 - rng.integers(0, 30) / 500
                floats_by(kernel, made, out, number // 2 % 3, 5, seeds, randoms)
            else:
                integers_by(kernel, made, place(target, sum(lengths), "i4"))
            n += 1
    print(f"read {n} buffers")


if __name__ == "__main__":
    for name in sys.argv[1:]:
        main(name)

"""Rice streams, and each of the kernels that decode them, called as `batches` calls it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from dkist_virtual.fits.compiled import background
from dkist_virtual.fits.tiled import batches, lanes, rice
from dkist_virtual.fits.tiled.decoders import random_list
from dkist_virtual.fits.tiled.processor import lane_memory

if TYPE_CHECKING:
    import pytest
    from frames import Array

    from dkist_virtual.fits.tiled.processor import Kernel

KERNELS: Final[tuple[Kernel, ...]] = ("avx512", "avx2", "plain")


@dataclass
class Streams:
    """Rice tiles in a buffer, and where their pixels go: each tile into one run, unless said."""

    buffer: Array
    starts: Array
    lengths: Array
    n_rows: Array
    row_lengths: Array
    blocksize: int = 32
    bytepix: int = 4
    row_stride: int = 0
    out_starts: Array | None = None

    def arguments(self, kernel: Kernel) -> tuple[Any, ...]:
        """What a kernel is given first."""
        buffer = self.buffer.view()
        buffer.flags.writeable = False
        if kernel == "plain":
            zeros = np.zeros(len(self.starts), np.int64)
            return (buffer, self.starts, self.lengths, zeros, False, self.blocksize)
        memory = lane_memory(kernel, self.blocksize, len(self.starts))
        return (*memory, buffer, self.starts, self.lengths, self.blocksize)

    def runs(self) -> tuple[Any, ...]:
        """What it is given last."""
        sizes = self.n_rows * self.row_lengths
        starts = sizes.cumsum() - sizes if self.out_starts is None else self.out_starts
        return (starts, self.n_rows, self.row_lengths, self.row_stride)


def decode_by(monkeypatch: pytest.MonkeyPatch, kernel: Kernel) -> None:
    """Decode frames by a kernel, which is waited for."""
    monkeypatch.setattr(batches, "chosen_kernel", lambda: kernel)
    monkeypatch.setattr(background, "MOST_SECONDS", 0.0)


def noise(rng: np.random.Generator, n: int) -> Array:
    """Pixels as noisy as any: from constant ones to such as no coding makes shorter."""
    bits = rng.integers(0, 31)
    values = rng.integers(-(2**bits), 2**bits, n) if bits else np.full(n, 7)
    if rng.random() < 0.5 and n > 40:  # of two kinds
        values[n // 2 :] >>= int(rng.integers(0, 31))
    if rng.random() < 0.3:  # with what takes a code longer than a word
        values[rng.integers(0, n)] ^= 2**24
    return values.astype("i4")


def encode(tile: Array, blocksize: int) -> bytes:
    """Code one tile (10.4.1), each block with as many low bits as make it short, or one fewer."""
    width = 8 * tile.dtype.itemsize
    header, most = {8: (3, 6), 16: (4, 14), 32: (5, 25)}[width]
    numbers = [int(x) for x in tile]
    bits = [format(numbers[0] % 2**width, f"0{width}b")]
    differences = []
    for one, two in zip(numbers[:1] + numbers, numbers, strict=False):
        d = (two - one + 2 ** (width - 1)) % 2**width - 2 ** (width - 1)  # modulo the width
        differences.append(2 * d if d >= 0 else -2 * d - 1)
    for at in range(0, len(differences), blocksize):
        block = differences[at : at + blocksize]
        total = sum(block)
        fs = max(0, (total // len(block)).bit_length() - 1 - at // blocksize % 2)
        if total == 0:
            bits.append("0" * header)
        elif fs >= most:
            bits.append(format(most + 1, f"0{header}b"))
            bits.extend(format(d, f"0{width}b") for d in block)
        else:
            bits.append(format(fs + 1, f"0{header}b"))
            for d in block:
                bits.append("0" * (d >> fs) + "1")
                bits.append(format(d % 2**fs, f"0{fs}b") if fs else "")
    every = "".join(bits)
    every += "0" * (-len(every) % 8)
    return int(every, 2).to_bytes(len(every) // 8, "big")


def encoded(tiles: list[Array], blocksize: int = 32) -> Streams:
    """Put the streams of tiles into a buffer."""
    parts = [encode(tile, blocksize) for tile in tiles]
    lengths = np.array([len(part) for part in parts], np.int64)
    return Streams(
        np.frombuffer(bytearray(b"".join(parts)), "u1"),
        lengths.cumsum() - lengths,
        lengths,
        np.ones(len(tiles), np.int64),
        np.array([tile.size for tile in tiles], np.int64),
        blocksize,
        tiles[0].dtype.itemsize,
    )


def integers_by(kernel: Kernel, streams: Streams, out: Array) -> int:
    """Decode integers; return the number of the broken tile, or -1."""
    decode = rice.decode_integers if kernel == "plain" else lanes.decode_integers
    return int(decode(*streams.arguments(kernel), streams.bytepix, out, *streams.runs()))


def floats_by(
    kernel: Kernel,
    streams: Streams,
    out: Array,
    dither: int = 0,
    blank: int | None = None,
    seeds: Array | None = None,
    randoms: Array | None = None,
) -> int:
    """Decode floats, of a scale and a zero for each tile; return the broken tile, or -1."""
    decode = rice.decode_floats if kernel == "plain" else lanes.decode_floats
    n = len(streams.starts)
    scale, zero = 0.1 + np.arange(n) / 7, 100.0 - np.arange(n) / 3
    return int(
        decode(
            *streams.arguments(kernel), scale, zero, np.full(n, blank or 0, np.int64),
            blank is not None, dither, np.arange(n, dtype=np.int64) if seeds is None else seeds,
            random_list() if randoms is None else randoms, out, *streams.runs(),
        )
    )  # fmt: skip

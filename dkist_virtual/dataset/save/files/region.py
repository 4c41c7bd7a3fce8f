"""Read and write an array inside of a file on this machine, in parts.

Nothing is mapped into memory: a process is killed that touches what was cut off a mapped file, or
that writes to one where the disk is full.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from dkist_virtual.errors import StoreCorruptError
from dkist_virtual.io.local_file import open_regular

if TYPE_CHECKING:
    import io
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from dkist_virtual.cube.selection import BasicIndex

__all__ = ["Region"]

_READ: Final = 2**24
"""Bytes of a file that are read at a time."""

_TOGETHER: Final = 2**20
"""Pixels that are in so many bytes are read at once, with what is between them."""


@dataclass(frozen=True)
class Region:
    """An array inside of a file on this machine: its pixels one after the other, in C order.

    Parameters
    ----------
    path : str
    start : int
        Of its first byte.
    shape : tuple of int
    stored : str
        The type of the numbers in the file, such as ``">f4"``.
    dtype : str
        That of the pixels. An unsigned integer that is stored as a signed one is that plus half of
        its range, as in FITS, and the other way round.
    """

    path: str
    start: int
    shape: tuple[int, ...]
    stored: str
    dtype: str

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self.shape)

    @property
    def n_bytes(self) -> int:
        """The length of its pixels in the file."""
        return math.prod(self.shape) * np.dtype(self.stored).itemsize

    @property
    def shards(self) -> tuple[int, ...]:
        """The lengths of a part that is read at once."""
        sizes, left = [], _READ // np.dtype(self.dtype).itemsize
        for n in self.shape[::-1]:  # whole axes, the last first
            sizes.append(max(1, min(n, left)))
            left //= max(n, 1)
        return tuple(sizes[::-1])

    @property
    def metadata(self) -> None:
        """Nothing: its axes have no names."""

    def __getitem__(self, item: BasicIndex) -> NDArray[Any]:
        stored = np.dtype(self.stored)
        with open_regular(self.path) as file:
            values = _read(file, self, _ranges(item, self.shape))
        kept = [n for n, part in zip(values.shape, item, strict=True) if isinstance(part, slice)]
        native = values.reshape(kept).astype(stored.newbyteorder("="), copy=False)
        return self._turned(native, np.dtype(self.dtype))

    def __setitem__(self, item: tuple[slice, ...], values: Any) -> None:
        axes = _ranges(item, self.shape)
        stored = np.dtype(self.stored)
        native = np.asarray(values).astype(np.dtype(self.dtype), copy=False)
        turned = self._turned(native, stored.newbyteorder("=")).astype(stored, copy=False)
        with open(self.path, "r+b", buffering=0) as file:
            _write(file, self, axes, np.broadcast_to(turned, tuple(map(len, axes))))

    def _turned(self, values: NDArray[Any], to: np.dtype[Any]) -> NDArray[Any]:
        """Convert numbers; between signed and unsigned by turning the highest bit."""
        kinds = {values.dtype.kind, to.kind}
        if len(kinds) == 1 or "b" in kinds:
            return values.astype(to, copy=False)
        turned: NDArray[Any] = values.view(f"u{to.itemsize}") ^ np.array(
            1 << (8 * to.itemsize - 1), f"u{to.itemsize}"
        )
        return turned.view(to)


def _ranges(item: Any, shape: tuple[int, ...]) -> list[range]:
    """Return the pixels of a basic index, one entry an axis, along each axis."""
    return [
        range(n)[part] if isinstance(part, slice) else range(int(part), int(part) + 1)
        for part, n in zip(item, shape, strict=True)
    ]


def _blocks(
    region: Region, axes: Sequence[range], together: int
) -> tuple[int, int, Iterator[tuple[tuple[int, ...], int]]]:
    """Divide pixels into blocks that are read or written at once.

    Parameters
    ----------
    region : Region
    axes : sequence of range
        The pixels along each axis, at least one.
    together : int
        Bytes that a block may have beside its pixels, which are those between them.

    Returns
    -------
    inner : int
        The first axis along which a block has all pixels.
    length : int
        Of a block in the file, in bytes.
    blocks : iterator of (tuple of int, int)
        The place of each among the pixels along the axes before, and its first byte.
    """
    size = np.dtype(region.stored).itemsize
    strides = [size * math.prod(region.shape[axis + 1 :]) for axis in range(region.ndim)]
    inner, length, n_bytes = region.ndim, size, size
    for axis in reversed(range(region.ndim)):
        longer = length + (axes[axis][-1] - axes[axis][0]) * strides[axis]
        n_bytes *= len(axes[axis])
        if longer > max(n_bytes, together):
            break
        inner, length = axis, longer
    first = region.start + sum(
        part[0] * stride for part, stride in zip(axes[inner:], strides[inner:], strict=True)
    )

    def blocks() -> Iterator[tuple[tuple[int, ...], int]]:
        for place in product(*(range(len(part)) for part in axes[:inner])):
            pixels = (part[n] for part, n in zip(axes[:inner], place, strict=True))
            yield (
                place,
                first
                + sum(
                    pixel * stride for pixel, stride in zip(pixels, strides[:inner], strict=True)
                ),
            )

    return inner, length, blocks()


def _read(file: io.BufferedReader, region: Region, axes: Sequence[range]) -> NDArray[Any]:
    """Read pixels into an array with an axis for each of the region's."""
    stored = np.dtype(region.stored)
    shape = tuple(map(len, axes))
    if not all(shape):
        return np.empty(shape, stored)
    inner, length, blocks = _blocks(region, axes, _TOGETHER)
    steps = [
        part.step * stored.itemsize * math.prod(region.shape[axis + 1 :])
        for axis, part in enumerate(axes)
    ]
    found: NDArray[Any] | None = None if inner == 0 else np.empty(shape, stored)
    for place, begin in blocks:
        block = np.empty(length // stored.itemsize, stored)
        into: Any = block.view("u1")  # which FITS's order of bytes does not matter to
        file.seek(begin)
        n = file.readinto(into)
        if n != length:
            raise StoreCorruptError(
                f"{region.path}: ends before its pixels: expected {length} bytes at {begin}, "
                f"found {n}. Save it again"
            )
        pixels = np.lib.stride_tricks.as_strided(block, shape[inner:], steps[inner:])
        if found is None:
            return np.ascontiguousarray(pixels)
        found[place] = pixels
    assert found is not None  # there is a block
    return found


def _write(file: io.FileIO, region: Region, axes: Sequence[range], values: NDArray[Any]) -> None:
    """Write pixels, and no byte between them."""
    if not values.size:
        return
    _, _, blocks = _blocks(region, axes, 0)
    for place, begin in blocks:
        pixels: Any = np.ascontiguousarray(values[place]).reshape(-1).view("u1")
        left = memoryview(pixels)
        file.seek(begin)
        while left:
            left = left[file.write(left) :]

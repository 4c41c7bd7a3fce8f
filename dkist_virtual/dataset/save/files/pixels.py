"""Write the pixels of a dataset into a file, and read them there, in parts."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from dkist_virtual.cube.dask_array import PushdownArray

if TYPE_CHECKING:
    import dask.array
    from numpy.typing import NDArray
    from tqdm import tqdm

__all__ = ["Region", "as_dask", "region_array", "write_pixels"]

_PART: Final = 2**25
"""Bytes of an array in memory that are written at a time."""


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

    def _map(self, mode: Any) -> np.memmap[Any, Any]:
        return np.memmap(self.path, np.dtype(self.stored), mode, self.start, self.shape)

    def __getitem__(self, item: Any) -> NDArray[Any]:
        values = np.array(self._map("r")[item])  # a copy: the file is not kept open
        return self._turned(values.astype(values.dtype.newbyteorder("=")), np.dtype(self.dtype))

    def __setitem__(self, item: Any, values: Any) -> None:
        stored = np.dtype(self.stored)
        native = np.asarray(values).astype(np.dtype(self.dtype), copy=False)
        mapped = self._map("r+")  # for these pixels alone: memory stays bounded
        mapped[item] = self._turned(native, stored.newbyteorder("="))

    def _turned(self, values: NDArray[Any], to: np.dtype[Any]) -> NDArray[Any]:
        """Convert numbers; between signed and unsigned by turning the highest bit."""
        kinds = {values.dtype.kind, to.kind}
        if len(kinds) == 1 or "b" in kinds:
            return values.astype(to, copy=False)
        turned: NDArray[Any] = values.view(f"u{to.itemsize}") ^ np.array(
            1 << (8 * to.itemsize - 1), f"u{to.itemsize}"
        )
        return turned.view(to)


def region_array(region: Region, chunks: Any = "auto") -> dask.array.Array:
    """Make a dask array of a region; its name says which file, as it is now."""
    import dask.array as da
    from dask.base import tokenize

    status = os.stat(region.path)
    token = tokenize(region, status.st_size, status.st_mtime_ns, status.st_ino, chunks)
    array: da.Array = da.from_array(
        region, chunks=chunks, name=f"saved-{token}", fancy=False,
        meta=np.empty((0,) * region.ndim, region.dtype),
    )  # fmt: skip
    return array


def as_dask(values: Any) -> dask.array.Array:
    """Make an array a dask array, without copying it; one of dask's stays as it is."""
    import dask.array as da

    if isinstance(values, da.Array):
        ordinary: da.Array = values.ordinary() if isinstance(values, PushdownArray) else values
        return ordinary
    own = np.asarray(values)
    sizes = [-1] * own.ndim
    if own.nbytes > _PART:
        sizes[0] = max(1, len(own) * _PART // own.nbytes)
    made: da.Array = da.from_array(own, chunks=tuple(sizes), name=False)
    return made


def write_pixels(values: Any, region: Region, bar: tqdm[Any]) -> None:
    """Compute an array, chunk by chunk, and write it into a region of a file.

    Parameters
    ----------
    values : array or dask array
    region : Region
        The file is at least as long as that.
    bar : tqdm
        Counts bytes.
    """
    import dask
    import dask.array as da

    array = as_dask(values)
    target: Any = _Counted(region, bar)
    with dask.config.set({"array.slicing.split-large-chunks": False}):
        da.store(array, target, lock=False, compute=True)


@dataclass(frozen=True, eq=False)
class _Counted:
    """Write into a region, and count the bytes."""

    region: Region
    bar: Any

    def __setitem__(self, item: Any, values: Any) -> None:
        self.region[item] = values
        self.bar.update(np.asarray(values).nbytes)

"""Write the pixels of a dataset into a file, and read them there, in parts."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from dkist_virtual.cube.dask_array import PushdownArray
from dkist_virtual.cube.saved.zarr_array import ZarrArray
from dkist_virtual.dataset.save.cube.shards import cluster
from dkist_virtual.errors import StoreReplacedError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import dask.array
    from numpy.typing import NDArray
    from tqdm import tqdm

    from dkist_virtual.store.read_options import ReadOptions

__all__ = ["FileHandle", "Region", "as_dask", "write_pixels"]

_READ: Final = 2**24
"""Bytes of a file that are read at a time."""

_AHEAD: Final = 2**28
"""Bytes of pixels that a cluster computes at a time."""

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


@dataclass(frozen=True)
class FileHandle:
    """What opens the arrays of a file, for `ZarrArray`, which selects from them.

    Parameters
    ----------
    regions : tuple of (str, Region)
        By name.
    options : ReadOptions
    observed : bool
        Whether pixels are copies of those of frames.
    was : tuple of int
        The length, the time and the number of the file as it was opened.
    """

    regions: tuple[tuple[str, Region], ...]
    options: ReadOptions
    observed: bool
    was: tuple[int, int, int]

    @classmethod
    def of(
        cls, path: str, regions: Mapping[str, Region], options: ReadOptions, *, observed: bool
    ) -> FileHandle:
        """Make it for a file as it is now."""
        return cls(tuple(regions.items()), options, observed, _state(path))

    @property
    def cube(self) -> FileHandle:
        """Itself."""
        return self

    @property
    def place(self) -> str:
        """The path of the file."""
        return self.regions[0][1].path

    def array(self, name: str) -> Any:
        """Return a region by its name."""
        return dict(self.regions)[name]

    def check_same(self) -> None:
        """Raise `StoreReplacedError` where another file took its place."""
        if _state(self.place) != self.was:
            raise StoreReplacedError(
                f"{self.place}: was replaced after it was opened: expected the same file. Open it "
                "again"
            )

    def token(self) -> tuple[object, ...]:
        """Return what pixels depend on, beside their place."""
        return self.regions, self.was

    def select(self, name: str, frame_axes: int | None) -> ZarrArray:
        """Select all of an array."""
        handle: Any = self  # of the same methods
        return ZarrArray.of(handle, name, frame_axes, is_copy=self.observed)


def _state(path: str) -> tuple[int, int, int]:
    try:
        status = os.stat(path)
    except OSError as error:
        raise StoreReplacedError(f"{path}: is gone: {error.strerror}. Open it again") from error
    return status.st_size, status.st_mtime_ns, status.st_ino


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
        if cluster() is None:
            da.store(array, target, lock=False, compute=True)
            return
        # The workers compute, and this process writes: the file need not be where they are.
        for blocks in _batches(array):
            computed: Any = dask.base.compute(*(array[block] for block in blocks))
            for block, pixels in zip(blocks, computed, strict=True):
                target[block] = pixels


def _batches(array: dask.array.Array) -> Iterator[list[tuple[slice, ...]]]:
    """Give the regions of chunks, as many at a time as are computed together."""
    from dask.array.core import slices_from_chunks

    batch: list[tuple[slice, ...]] = []
    n_bytes = 0
    for region in slices_from_chunks(array.chunks):
        size = math.prod(part.stop - part.start for part in region) * array.dtype.itemsize
        if batch and n_bytes + size > _AHEAD:
            yield batch
            batch, n_bytes = [], 0
        batch.append(region)
        n_bytes += size
    yield batch


@dataclass(frozen=True, eq=False)
class _Counted:
    """Write into a region, and count the bytes."""

    region: Region
    bar: Any

    def __setitem__(self, item: Any, values: Any) -> None:
        self.region[item] = values
        self.bar.update(np.asarray(values).nbytes)

"""Write the pixels of a dataset into a file, and open them there."""

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
    from tqdm import tqdm

    from dkist_virtual.dataset.save.files.region import Region
    from dkist_virtual.store.read_options import ReadOptions

__all__ = ["FileHandle", "as_dask", "write_pixels"]

_AHEAD: Final = 2**28
"""Bytes of pixels that a cluster computes at a time."""

_PART: Final = 2**25
"""Bytes of an array in memory that are written at a time."""


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

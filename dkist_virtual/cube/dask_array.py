"""Make the dask array of a dataset, whose slices select from the frames.

dask pushes only the first indexing of an array down to whoever reads it, and copies what
an array of one chunk gives, since others could hold it. A leaf is an array that nothing was
computed from yet: it passes every slice on to its source, and where it is one chunk and dask
would run it in this process, it is read without a copy.
"""

from __future__ import annotations

import os
from threading import Lock
from typing import TYPE_CHECKING, Any, Protocol

import dask
import dask.array as da
import dask.threaded
import numpy as np
from dask.base import get_scheduler
from dask.callbacks import Callback

from dkist_virtual.errors import SelectionError

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["LeafArray", "Source"]


class Source(Protocol):
    """What is read: an array of which a selection can be made before it is."""

    def __getitem__(self, item: Any) -> NDArray[np.generic]:
        """Read."""

    def select(self, item: Any) -> Source:
        """Select, without reading."""

    def dask(self, chunks: Any) -> LeafArray:
        """As a dask array."""


class LeafArray(da.Array):
    """A dask array that is read from a source.

    Ints and slices with positive steps give another leaf, of the source's own selection; with
    anything else, and with all that is computed from it, it is an ordinary dask array.
    """

    source: Source
    wanted: Any

    @classmethod
    def of(cls, array: da.Array, source: Source, wanted: Any) -> LeafArray:
        """A leaf from a dask array that reads a source.

        Parameters
        ----------
        array : dask.array.Array
        source : Source
        wanted
            The chunks asked for, as the source's own `dask` takes them.
        """
        # dask's constructor takes the `_meta` of another array, and has no public name for it.
        leaf: LeafArray = cls(array.dask, array.name, array.chunks, meta=array._meta)
        leaf.source, leaf.wanted = source, wanted
        return leaf

    def ordinary(self) -> da.Array:
        """The same as an array of dask's own type, for libraries that mix no types of arrays."""
        return da.Array(self.dask, self.name, self.chunks, meta=self._meta)  # type: ignore[no-untyped-call]

    def __getitem__(self, index: Any) -> da.Array:
        if not _is_basic(index):
            return super().__getitem__(index)  # type: ignore[no-any-return,no-untyped-call]
        try:
            selected = self.source.select(index)
        except SelectionError:  # nothing selected is an array too, for dask
            return super().__getitem__(index)  # type: ignore[no-any-return,no-untyped-call]
        return selected.dask(self.wanted)

    def __setitem__(self, index: Any, value: Any) -> None:
        # dask would put a new graph behind this array, which the source knows nothing of.
        raise TypeError(
            "the pixels of frames are not written to: dask.array.where(mask, value, array) gives a "
            "new array, and array.copy() one that can be written to"
        )

    def compute(self, **kwargs: Any) -> Any:
        """Read: see `dask.array.Array.compute`."""
        if self.npartitions == 1 and set(kwargs) <= {"scheduler"} and not Callback.active:
            get = get_scheduler(scheduler=kwargs.get("scheduler"), collections=[self])  # type: ignore[no-untyped-call]
            if get in (dask.threaded.get, dask.local.get_sync):
                return self.source[...]
        return super().compute(**kwargs)  # type: ignore[no-untyped-call]

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return _leaf, (self.source, self.wanted)


def _is_basic(index: Any) -> bool:
    """Whether a source can select it: ints, slices and an ellipsis, forward steps only."""
    parts = index if isinstance(index, tuple) else (index,)
    return all(
        part is Ellipsis
        or (isinstance(part, (int, np.integer)) and not isinstance(part, bool))
        or (isinstance(part, slice) and (part.step is None or part.step > 0))
        for part in parts
    )


def _leaf(source: Source, wanted: Any) -> LeafArray:
    return source.dask(wanted)


def _forget_pools() -> None:
    """A forked process has none of its parent's threads, to which dask would hand tasks."""
    dask.threaded.default_pool = None
    dask.threaded.pools.clear()
    dask.threaded.pools_lock = Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_pools)

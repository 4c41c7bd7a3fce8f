"""Make the dask array of a dataset, whose slices select from the frames.

dask pushes only the first indexing of an array down to its source, and copies what an array of
one chunk gives, since others could hold it. A `PushdownArray` passes every slice on to its source;
one of a single chunk, which dask would run in this process, is read without a copy.
"""

from __future__ import annotations

import os
import sys
from functools import cached_property
from threading import Lock, RLock
from typing import TYPE_CHECKING, Any, Final, Protocol

import dask
import dask.array as da
import dask.threaded
import numpy as np
from dask.base import get_scheduler, named_schedulers
from dask.callbacks import Callback

from dkist_virtual.errors import SelectionError

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from dkist_virtual.cube.selection import Index
    from dkist_virtual.store.read_options import Chunks

__all__ = ["PushdownArray", "Source", "Stored"]


class Source(Protocol):
    """An array that can be sliced before it is read."""

    def __getitem__(self, item: Index) -> NDArray[np.generic]:
        """Read."""

    def select(self, item: Index) -> Source:
        """Select, without reading."""

    def dask(self, chunks: Chunks | None) -> PushdownArray:
        """Make a dask array of it."""


class Stored(Source, Protocol):
    """A source that dask reads in chunks."""

    @property
    def ndim(self) -> int:
        """Number of axes."""

    @property
    def dtype(self) -> np.dtype:
        """Type of the pixels."""


_SLOTS: Final = {
    f"_Array{name}" if name.startswith("__") else name: None
    for name in da.Array.__slots__
    if name != "__dict__"
}
"""What dask keeps of an array: Python puts the class before names with two underscores."""


class PushdownArray(da.Array):
    """A dask array whose slices select from its source.

    Ints and slices with positive steps give another such array, of the source's own selection.
    Any other index, and any computation, gives an ordinary dask array.

    Its graph and name are made when they are first asked for: making them takes as long as reading
    a small cut-out, for which nobody asks.
    """

    # Not in the dictionary, which dask clears.
    __slots__ = ("_make_array", "_one_chunk", "source", "wanted")

    source: Source
    wanted: Chunks | None
    _one_chunk: bool
    _make_array: Callable[[], da.Array]

    @classmethod
    def of(cls, array: da.Array, source: Source, wanted: Chunks | None) -> PushdownArray:
        """Make one of a dask array that reads a source, in the chunks that the user wanted."""
        return cls.later(lambda: array, source, wanted, one_chunk=array.npartitions == 1)

    @classmethod
    def later(
        cls,
        make: Callable[[], da.Array],
        source: Source,
        wanted: Chunks | None,
        *,
        one_chunk: bool,
    ) -> PushdownArray:
        """Make one that makes its dask array when it is needed.

        Parameters
        ----------
        make : callable
            Gives a dask array that reads the source.
        source : Source
        wanted : optional
            The chunks that the user wanted.
        one_chunk : bool
            Whether all of it is one chunk.
        """
        made: PushdownArray = object.__new__(cls)
        made.source, made.wanted = source, wanted
        made._make_array, made._one_chunk = make, one_chunk
        return made

    @classmethod
    def over(
        cls,
        source: Stored,
        sizes: tuple[tuple[int, ...], ...],
        name: Callable[[], str],
        wanted: Chunks | None,
    ) -> PushdownArray:
        """Make one that reads a source, chunk by chunk.

        Parameters
        ----------
        source : Stored
        sizes : tuple of tuple of int
            The lengths of the chunks along each axis.
        name : callable
            Gives the array's name, when that is needed.
        wanted : optional
            The chunks that the user wanted.
        """

        def make() -> da.Array:
            array: da.Array = da.from_array(
                source,
                chunks=sizes,
                name=name(),
                inline_array=True,
                fancy=False,
                meta=np.empty((0,) * source.ndim, source.dtype),
            )
            return array

        one_chunk = max(map(len, sizes), default=1) == 1
        return cls.later(make, source, wanted, one_chunk=one_chunk)

    def __getattr__(self, name: str) -> Any:
        # Called where nothing was put into one of dask's slots yet.
        if name not in _SLOTS:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        array = self._make_array()
        # dask's constructor takes the `_meta` of another array, and has no public name for it.
        full = da.Array.__new__(type(self), array.dask, array.name, array.chunks, meta=array._meta)
        for slot in _SLOTS:
            setattr(self, slot, getattr(full, slot))
        return getattr(self, name)

    def ordinary(self) -> da.Array:
        """Return an array of dask's own type, for libraries that mix no types of arrays."""
        array: da.Array = da.Array(self.dask, self.name, self.chunks, meta=self._meta)
        return array

    def __getitem__(self, index: Any) -> da.Array:
        if _is_basic(index):
            try:
                return self.source.select(index).dask(self.wanted)
            except SelectionError:  # nothing selected is an array too, for dask
                pass
        array: da.Array = da.Array.__getitem__(self, index)
        return array

    def __setitem__(self, index: object, value: object) -> None:
        # dask would replace this array's graph, and the source would not change.
        raise TypeError(
            "the pixels of frames are not written to: dask.array.where(mask, value, array) gives a "
            "new array, and array.copy() one that can be written to"
        )

    def compute(self, **kwargs: Any) -> Any:
        """Read: see `dask.array.Array.compute`."""
        plain = self._one_chunk and set(kwargs) <= {"scheduler"} and not Callback.active
        if plain and _runs_here(self, kwargs.get("scheduler")):
            return self.source[...]
        return da.Array.compute(self, **kwargs)

    def __reduce__(self) -> tuple[Callable[..., PushdownArray], tuple[Source, Chunks | None]]:
        return _make, (self.source, self.wanted)


def _runs_here(array: da.Array, scheduler: Any) -> bool:
    """Return whether dask would compute an array in this process."""
    chosen = scheduler or dask.config.get("scheduler", None)
    if isinstance(chosen, str) and named_schedulers.get(chosen.lower()) in _HERE:
        return True
    if chosen is None and "distributed" not in sys.modules:  # which would have a client
        return not dask.config.get("get", None)  # of old, which `get_scheduler` refuses
    return get_scheduler(scheduler=scheduler, collections=[array]) in _HERE


_HERE: Final = (dask.threaded.get, dask.local.get_sync)


def _is_basic(index: object) -> bool:
    """Return whether a source can select it: ints, slices and an ellipsis, forward steps only."""
    parts = index if isinstance(index, tuple) else (index,)
    return all(
        part is Ellipsis
        or (isinstance(part, (int, np.integer)) and not isinstance(part, bool))
        or (isinstance(part, slice) and (part.step is None or part.step > 0))
        for part in parts
    )


def _make(source: Source, wanted: Chunks | None) -> PushdownArray:
    return source.dask(wanted)


def _open_in_fork() -> None:
    """Renew dask's thread pools and locks: a forked process has none of its parent's threads.

    Beside the locks of its modules those are the ones of cached properties, which each have one
    until Python 3.12: a thread that computes any array has locked some of them.
    """
    dask.threaded.default_pool = None
    dask.threaded.pools.clear()
    modules = [vars(module) for name, module in list(sys.modules.items()) if _is_dask(name)]
    values = [value for names in modules for value in names.values()]
    classes = {value for value in values if isinstance(value, type)}
    own = [value for kind in classes for value in vars(kind).values()]
    found = [getattr(value, "lock", None) for value in own if isinstance(value, cached_property)]
    locks: list[Any] = [value for value in (*values, *found) if isinstance(value, _LOCKS)]
    for lock in locks:
        # As the standard library opens its own. Not by new locks: functions have some as defaults.
        lock._at_fork_reinit()


_LOCKS: Final = (type(Lock()), type(RLock()))


def _is_dask(module: str) -> bool:
    return module.partition(".")[0] == "dask"


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_open_in_fork)

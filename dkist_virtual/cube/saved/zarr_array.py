"""Read selections of an array of a saved cube, lazily: only the chunks that they need."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from dkist_virtual.cube.selection import SelectedArray, Selection
from dkist_virtual.cube.virtual_array import chunks_left, empty_shape
from dkist_virtual.errors import DKISTVirtualError, StoreCorruptError
from dkist_virtual.io.locations import join, shown
from dkist_virtual.store.read_options import ReadOptions, axis_chunks

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import DTypeLike, NDArray

    from dkist_virtual.cube.dask_array import PushdownArray
    from dkist_virtual.cube.selection import Index
    from dkist_virtual.store.cubes.cube_handle import CubeHandle
    from dkist_virtual.store.read_options import Chunks

__all__ = ["ZarrArray"]


@dataclass(frozen=True)
class ZarrArray(SelectedArray):
    """A selection of an array of a cube, which is read when it is indexed.

    Parameters
    ----------
    handle : CubeHandle
    name : str
        Of the array.
    type : str
        Of the pixels, as numpy writes it.
    shards : tuple of int
        Lengths of a shard, which is a file.
    frame_axes : int or None
        How many axes, the first ones, run over frames.
    axis_names : tuple of str
    is_copy : bool
        Whether the pixels are those of frames, unchanged.
    selection : Selection
    """

    handle: CubeHandle
    name: str
    type: str
    shards: tuple[int, ...]
    frame_axes: int | None
    axis_names: tuple[str, ...]
    is_copy: bool
    selection: Selection

    @classmethod
    def of(
        cls, handle: CubeHandle, name: str, frame_axes: int | None = None, *, is_copy: bool = False
    ) -> ZarrArray:
        """Select all of an array of a cube."""
        array = handle.cube.array(name)
        shape = tuple(map(int, array.shape))
        shards = tuple(map(int, array.shards or array.chunks))
        names = getattr(array.metadata, "dimension_names", None) or ("",) * len(shape)
        return cls(
            handle, name, np.dtype(array.dtype).newbyteorder("=").str, shards, frame_axes,
            tuple(str(one or "") for one in names), is_copy, Selection.whole(shape),
        )  # fmt: skip

    @property
    def dtype(self) -> np.dtype:
        """Type of the pixels."""
        return np.dtype(self.type)

    def select(self, item: Index) -> ZarrArray:
        """Select from what is selected, without reading."""
        return self._at(self.selection[item])

    def _at(self, selection: Selection) -> ZarrArray:
        return replace(self, selection=selection)

    def __getitem__(self, item: Index) -> NDArray[np.generic]:
        """Read.

        Raises
        ------
        StoreCorruptError
            A file of the cube is missing, or its bytes are not those that were written.
        StoreReplacedError
            Another cube took its place.
        """
        nothing = empty_shape(self.shape, item)
        if nothing is not None:  # no `Selection`, but dask reads such
            return np.empty(nothing, self.dtype)
        part = self if item is Ellipsis else self.select(item)
        cube = self.handle.cube
        array = cube.array(self.name)
        cube.check_same()
        try:
            pixels = np.asarray(array[part.selection.index])
        except (DKISTVirtualError, MemoryError):
            raise
        except Exception as error:  # each codec has errors of its own
            raise StoreCorruptError(
                f"{shown(join(cube.place, self.name))}: the pixels cannot be decoded: "
                f"{type(error).__name__}: {error}. Save the cube again"
            ) from error
        cube.check_same()
        return pixels.astype(self.dtype, copy=False)

    def __array__(
        self, dtype: DTypeLike | None = None, copy: bool | None = None
    ) -> NDArray[np.generic]:
        return np.asarray(self[...], dtype=dtype)

    def token(self) -> tuple[object, ...]:
        """Return all that the values depend on, for the name of the dask array."""
        return *self.handle.cube.token(), self.name, repr(self.selection.axes)

    def dask(self, chunks: Chunks | None = None) -> PushdownArray:
        """Make a dask array of the selection.

        `chunks` are of the whole array, see `ReadOptions`; by default those it was opened with.
        """
        from dask.base import tokenize

        from dkist_virtual.cube.dask_array import PushdownArray

        sizes, token = self.dask_chunks(chunks), self.token()

        def name() -> str:
            return f"cube-{tokenize(*token, sizes)}"

        return PushdownArray.over(self, sizes, name, chunks)

    def dask_chunks(self, chunks: Chunks | None = None) -> tuple[tuple[int, ...], ...]:
        """Return the lengths of dask's chunks along each axis: by default shards are not split."""
        options = self.handle.options if chunks is None else ReadOptions(chunks=chunks)
        whole = Selection.whole(self.selection.shape)
        if options.by_rule:
            along: Sequence[Any] = [
                tuple(_lengths(n, size))
                for n, size in zip(self.selection.shape, self._by_rule(options.chunks), strict=True)
            ]
        else:
            suffix = self.name.removeprefix("data")
            names = [
                tuple(dict.fromkeys(filter(None, (name.removesuffix(suffix), name))))
                for name in self.axis_names
            ]
            along = axis_chunks(options.chunks, whole.result_shape, names)
        sizes = chunks_left(along, whole, self.selection)
        from dask.array.core import normalize_chunks

        try:
            return tuple(normalize_chunks(sizes, self.shape, dtype=self.dtype))
        except ValueError as error:  # such as two sizes in bytes
            raise ValueError(f"chunks = {options.chunks!r}: {error}") from None

    def _by_rule(self, rule: Chunks) -> tuple[int, ...]:
        """Return the lengths of chunks of the whole array by a rule."""
        if rule == "auto":
            return self.shards
        if self.frame_axes is None:
            raise ValueError(
                "chunks = 'frame': the pixels of this cube are not of one frame each: expected "
                "'auto', or lengths for each axis"
            )
        n = self.frame_axes
        return (1,) * n + self.selection.shape[n:]


def _lengths(n: int, size: int) -> Iterator[int]:
    """Divide an axis into pieces of a size, the last of what is left."""
    yield from (min(size, n - begin) for begin in range(0, n, size))

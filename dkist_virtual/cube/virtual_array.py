"""Read one composed selection of a stored array, as numpy or as a dask array.

dask pushes only the first indexing of an array down to its source. So nothing here slices a dask
array: selections compose, and the dask array is built from the result.
"""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from dkist_virtual.cube.selection import Index, SelectedArray, Selection
from dkist_virtual.errors import FrameError, FrameMissingError, MissingFramesWarning
from dkist_virtual.fits.buffers import empty
from dkist_virtual.fits.threads import open_in_forks
from dkist_virtual.store.format.references import chunk_key
from dkist_virtual.store.read_options import ReadOptions, axis_chunks
from dkist_virtual.store.zarr_store import spec_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import DTypeLike, NDArray

    from dkist_virtual.cube.dask_array import PushdownArray
    from dkist_virtual.fits.decode import Window
    from dkist_virtual.store.format.references import ArrayMetadata, FrameColumns
    from dkist_virtual.store.frame_locations import FrameLocations
    from dkist_virtual.store.handle import StoreHandle
    from dkist_virtual.store.read_options import AxisNames, Chunks, Missing

__all__ = [
    "REMOTE_CHUNKS",
    "VirtualArray",
    "chunks_left",
    "empty_shape",
    "opened_selection",
    "pieces",
]

REMOTE_CHUNKS: Final = 2
"""How many times larger joined chunks of remote frames are: the frames of a chunk are requested at
once, and servers take longer than disks."""


@open_in_forks
@dataclass(frozen=True)
class VirtualArray(SelectedArray):
    """A selection of an array of a store, by its name, which is read when it is indexed."""

    handle: StoreHandle
    name: str
    selection: Selection
    _absent: set[int] = field(default_factory=set, repr=False, compare=False)

    @property
    def metadata(self) -> ArrayMetadata:
        """The array's metadata."""
        return self.handle.store.references.arrays[self.name][0]

    @property
    def places(self) -> FrameLocations:
        """Where its frames are read."""
        return self.handle.store.places_of(self.name)

    @property
    def dtype(self) -> np.dtype:
        """Type of the pixels, native byte order."""
        return np.dtype(self.metadata.dtype).newbyteorder("=")

    def select(self, item: Index) -> VirtualArray:
        """Select from what is selected, without reading."""
        return self.at(self.selection[item])

    def at(self, selection: Selection) -> VirtualArray:
        """Return another selection of the same stored array."""
        return VirtualArray(self.handle, self.name, selection)

    def __getitem__(self, item: Index) -> NDArray[np.generic]:
        """Read; ``missing="raise"`` says how many frames are absent."""
        nothing = empty_shape(self.shape, item)
        if nothing is not None:  # no `Selection`, but dask reads such
            return np.empty(nothing, self.dtype)
        part = self if item is Ellipsis else self.select(item)
        try:
            pixels, absent = part._read(self.handle.options.missing)
        except FrameMissingError as error:
            raise self._missing_error(error) from error
        if absent.any() and self.dtype.kind != "f":
            warnings.warn(
                f"{absent.sum()} absent frame(s) of integers read as 0: integers have no NaN",
                MissingFramesWarning,
                stacklevel=2,
            )
        elif absent.size and absent.all() and self._all_absent(part):
            n = len(self.positions())
            said = f"all {n} frames selected are" if n > 1 else "the one frame selected is"
            searched = ", ".join(self.places.in_order)
            warnings.warn(
                f"{said} absent: every pixel is NaN. Looked for in {searched}: if they are "
                "elsewhere, open the dataset with frames=",
                MissingFramesWarning,
                stacklevel=2,
            )
        return pixels

    def _all_absent(self, part: VirtualArray) -> bool:
        """Return whether, with those of this part, all frames of the selection were absent.

        dask reads a selection in parts, some of which may be all NaN as the user wants.
        """
        self._absent.update(part.positions().tolist())
        return len(self._absent) == self.selection.first(self.metadata.n_frame_axes).size

    def read_marked(self) -> tuple[NDArray[np.generic], NDArray[np.bool_]]:
        """Read the selection, and return which frames are absent (of `frame_shape`) with it.

        Absent frames are NaN, or 0 for integers, whatever ``missing`` says.
        """
        return self._read("nan")

    def _read(self, missing: Missing) -> tuple[NDArray[np.generic], NDArray[np.bool_]]:
        """Read the selection frame by frame, and return which frames were absent.

        zarr, which would pass every frame from one thread to another and back, is left out: store
        and decoder are the same.
        """
        store = self.handle.store
        positions, window = self._wanted()
        out = empty((len(positions), *map(len, window)), self.dtype)
        absent: list[FrameMissingError | None] = [None] * len(positions)
        if len(positions) > 1 and self.places.remote:
            windows = [window] * len(positions)
            absent = store.pixels_together(self.name, positions, windows, [*out], FrameMissingError)
        else:
            for i, position in enumerate(positions):
                try:
                    store.pixels(self.name, position, window, out[i])
                except FrameMissingError as missed:
                    if missing == "raise":
                        raise
                    absent[i] = missed
        for error, pixels in zip(absent, out, strict=True):
            if error is not None:
                if missing == "raise":
                    raise error
                pixels[...] = self._fill
        gone = np.array([error is not None for error in absent], bool)
        return out.reshape(self.shape), gone.reshape(self.frame_shape)

    def _wanted(self) -> tuple[list[int], Window]:
        """Return the positions of the selected frames, and what is selected of each."""
        axes = self.selection.axes[self.metadata.n_frame_axes :]
        window = spec_of(self.metadata).window(
            tuple(range(one, one + 1) if isinstance(one, int) else one for one in axes)
        )
        return self.positions().tolist(), window

    @property
    def _fill(self) -> float:
        """Return the value that unknown pixels have."""
        return np.nan if self.dtype.kind == "f" else 0

    def read_together(
        self, items: Sequence[Index]
    ) -> list[tuple[NDArray[np.generic], NDArray[np.object_]]]:
        """Read several parts of the selection; frames on servers are requested at once.

        Parameters
        ----------
        items : sequence of Index
            Of each part.

        Returns
        -------
        list of (numpy.ndarray, numpy.ndarray)
            For each part its pixels, and for each of its frames (of `frame_shape`) the error of one
            that is absent or cannot be read, or None. Pixels of such frames are NaN, or 0 for
            integers.
        """
        store = self.handle.store
        parts = [self.select(item) for item in items]
        positions: list[int] = []
        windows: list[Window] = []
        blocks = []
        for part in parts:
            own, window = part._wanted()
            positions += own
            windows += [window] * len(own)
            blocks.append(empty((len(own), *map(len, window)), self.dtype))
        out = [frame for block in blocks for frame in block]
        errors: list[FrameError | None] = [None] * len(positions)
        if len(positions) > 1 and self.places.remote:
            errors = store.pixels_together(self.name, positions, windows, out, FrameError)
        else:
            for i, one in enumerate(zip(positions, windows, out, strict=True)):
                try:
                    store.pixels(self.name, *one)
                except FrameError as failed:
                    errors[i] = failed
        for error, pixels in zip(errors, out, strict=True):
            if error is not None:
                pixels[...] = self._fill
        found = []
        for part, block in zip(parts, blocks, strict=True):
            own_errors = np.empty(len(block), object)
            own_errors[:] = errors[: len(block)]
            errors = errors[len(block) :]
            found.append((block.reshape(part.shape), own_errors.reshape(part.frame_shape)))
        return found

    def __array__(
        self, dtype: DTypeLike | None = None, copy: bool | None = None
    ) -> NDArray[np.generic]:
        return np.asarray(self[...], dtype=dtype)

    def positions(self) -> NDArray[np.int64]:
        """Return the positions of the selected frames in C order of the array's chunks."""
        return self.selection.first(self.metadata.n_frame_axes).positions()

    @property
    def frame_shape(self) -> tuple[int, ...]:
        """Shape of the frame axes that are left."""
        return self.selection.first(self.metadata.n_frame_axes).result_shape

    def frames(self) -> FrameColumns:
        """Return the references of the selected frames, as the store has them."""
        return self.frames_at(self.positions())

    def frames_at(self, positions: NDArray[np.int64]) -> FrameColumns:
        """Return the references of some of the array's frames, as the store has them."""
        return self.handle.store.references.arrays[self.name][1].take(positions)

    def absent(self) -> NDArray[np.bool_]:
        """Return which of the selected frames are known to be absent, without a request.

        Of remote frames, those are that have no reference, or were absent when they were read.
        """
        places = self.places
        places.look_again()
        return np.array([places.where(url) is None for url in self.frames().urls.tolist()], bool)

    def _missing_error(self, first: FrameMissingError) -> FrameMissingError:
        """Make the error for a read of absent frames: how many of all that are selected."""
        gone = self.absent()
        positions = self.positions()
        keys = [f"{self.name}/{chunk_key(self.metadata, int(p))}" for p in positions[gone][:1]]
        # A remote frame is known to be absent only after a request for it.
        n = max(int(gone.sum()), 1)
        if len(gone) == 1:
            return FrameMissingError(
                f'{first}. Get the file, or open the dataset with missing="nan" to read it as NaN'
            )
        same = not keys or str(first).startswith(f"{keys[0]}:")
        return FrameMissingError(
            f"{n} of the {len(gone)} frames selected {'is' if n == 1 else 'are'} "
            f"absent, the first: {first if same else f'{keys[0]} ({first})'}"
            '. Get the files, or open the dataset with missing="nan" to read them as NaN'
        )

    def token(self) -> tuple[object, ...]:
        """Return all that the values depend on, for the name of the dask array."""
        return *self.handle.opened.token(), self.name, repr(self.selection.axes), self._mark

    @cached_property
    def _mark(self) -> str:
        """The files of references of the selection, where they are read later than the store."""
        return self.handle.store.references.arrays[self.name][1].mark(self.positions)

    def dask(self, chunks: Chunks | None = None) -> PushdownArray:
        """Make a dask array of the selection.

        `chunks` are of the whole array, see `ReadOptions`; by default those it was opened with.
        """
        from dask.base import tokenize

        from dkist_virtual.cube.dask_array import PushdownArray

        sizes, token = self.dask_chunks(chunks), self.token()
        places = self.places

        def name() -> str:
            return f"dkist-{tokenize(*token, sizes, places.versions())}"

        return PushdownArray.over(self, sizes, name, chunks)

    def dask_chunks(self, chunks: Chunks | None = None) -> tuple[tuple[int, ...], ...]:
        """Return the lengths of dask's chunks along each axis."""
        options = self.handle.options if chunks is None else ReadOptions(chunks=chunks)
        wanted = options.chunks
        if options.by_rule:  # which need not wait for dask.array to be imported
            return tuple(map(pieces, self.shape, self._join_frames(str(wanted))))
        whole = opened_selection(self.metadata)
        along = axis_chunks(wanted, whole.result_shape, *self._axis_names(whole))
        sizes = chunks_left(along, whole, self.selection)
        if sizes == self.shape:  # all in one
            return tuple((n,) for n in sizes)
        from dask.array.core import normalize_chunks

        try:
            return tuple(normalize_chunks(sizes, self.shape, dtype=self.dtype))
        except ValueError as error:  # such as two sizes in bytes
            raise ValueError(f"chunks = {wanted!r}: {error}") from None

    def _join_frames(self, chunks: str) -> tuple[int, ...]:
        """Join neighbouring frames into chunks, along the last frame axis first; or none."""
        import dask
        from dask.utils import parse_bytes

        n = len(self.frame_shape)
        if not n:
            return self.shape
        wanted = list(self.shape)
        limit = parse_bytes(dask.config.get("array.chunk-size")) if chunks == "auto" else 0
        if self.places.remote:
            limit *= REMOTE_CHUNKS
        size = math.prod(self.shape[n:]) * self.dtype.itemsize
        for axis in range(n - 1, -1, -1):
            wanted[axis] = max(1, min(self.shape[axis], limit // max(size, 1)))
            size *= self.shape[axis]
        return tuple(wanted)

    def _axis_names(self, whole: Selection) -> tuple[AxisNames, frozenset[str]]:
        """Return the names of the opened array's axes, and those in other tiles of a mosaic."""
        arrays = self.handle.store.references.arrays
        suffix = self.name.removeprefix("data")
        dimensions = _names(self.metadata, "_ARRAY_DIMENSIONS")
        names = [
            tuple(dict.fromkeys(filter(None, (name.removesuffix(suffix), name, stated))))
            for name, stated in zip(dimensions, _names(self.metadata, "axis_names"), strict=True)
        ]
        others = (metadata for metadata, _ in arrays.values() if metadata is not self.metadata)
        elsewhere = frozenset(name for m in others for name in _names(m, "_ARRAY_DIMENSIONS"))
        return [names[axis] for axis in whole.kept], elsewhere


def opened_selection(metadata: ArrayMetadata) -> Selection:
    """Select what a dataset shows of a stored array at first: all, or the cut of its ASDF."""
    selection = Selection.whole(metadata.shape)
    cut = metadata.attributes.get("subslice")
    if cut is None:
        return selection
    return selection[tuple(slice(*c) if isinstance(c, list) else c for c in cut)]


def pieces(n: int, size: int) -> tuple[int, ...]:
    """Divide an axis into pieces of a size, the last of what is left."""
    return (size,) * (n // size) + ((n % size,) if n % size else ())


def _names(metadata: ArrayMetadata, attribute: str) -> list[str]:
    """Return the names of an array's axes; empty ones where its attributes have none."""
    names = metadata.attributes.get(attribute)
    if not isinstance(names, list) or len(names) != len(metadata.shape):
        return [""] * len(metadata.shape)
    return [name if isinstance(name, str) else "" for name in names]


def empty_shape(shape: tuple[int, ...], item: Any) -> tuple[int, ...] | None:
    """Return the shape of slices that leave nothing; None where they leave something."""
    parts = item if isinstance(item, tuple) else (item,)
    slices = [part for part in parts if isinstance(part, slice)]
    if not any(part.stop is not None for part in slices):
        return None
    chosen: tuple[int, ...] = np.broadcast_to(np.empty(()), shape)[item].shape
    return chosen if 0 in chosen else None


def chunks_left(along: Sequence[Any], whole: Selection, part: Selection) -> tuple[Any, ...]:
    """Return which chunks of a whole array are left in a part of it, as dask takes them.

    A length stays that of the chunks along its axis. Of lengths given one by one, those remain of
    which pixels were selected. `along` is of `axis_chunks`, for each axis that `whole` keeps.
    """
    left = []
    for axis, of in zip(whole.kept, along, strict=True):
        pixels, outer = part.axes[axis], whole.axes[axis]
        if isinstance(pixels, int):
            continue
        assert isinstance(outer, range)
        if isinstance(of, tuple):
            at = (np.asarray(pixels) - outer.start) // outer.step
            counts = np.bincount(np.searchsorted(np.cumsum(of), at, side="right"))
            of = tuple(counts[counts > 0].tolist())
        left.append(of)
    return tuple(left)

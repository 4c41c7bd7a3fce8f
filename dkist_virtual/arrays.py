"""A zarr array and one composed selection of it, as numpy sees arrays, and as a dask array.

dask pushes only the first indexing of an array down to whoever reads it. So nothing here ever
slices a dask array: selections compose, and the dask array is built from the result.
"""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from dkist_virtual.errors import FrameMissingError, MissingFramesWarning
from dkist_virtual.memory import empty
from dkist_virtual.references import chunk_key
from dkist_virtual.store import spec_of

if TYPE_CHECKING:
    import zarr
    from numpy.typing import NDArray

    from dkist_virtual.handle import StoreHandle
    from dkist_virtual.leaves import LeafArray
    from dkist_virtual.references import ArrayMetadata, FrameColumns
    from dkist_virtual.selection import Selection
    from dkist_virtual.store import Missing
    from dkist_virtual.tiles import Window

__all__ = ["REMOTE_CHUNKS", "VirtualArray"]

REMOTE_CHUNKS: Final = 2
"""How many times larger joined chunks are of frames on a server: those of a chunk are asked for
at once, and a server's answers take longer than a disk's."""


@dataclass(frozen=True)
class VirtualArray:
    """Part of an array of a store, read when it is indexed.

    Parameters
    ----------
    handle : StoreHandle
    name : str
        The array's name in the store.
    selection : Selection
        Of the array as it is stored.
    """

    handle: StoreHandle
    name: str
    selection: Selection

    @property
    def metadata(self) -> ArrayMetadata:
        """The array's metadata."""
        return self.handle.store.references.arrays[self.name][0]

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of what is selected."""
        return self.selection.result_shape

    @property
    def ndim(self) -> int:
        """Number of axes of what is selected."""
        return len(self.shape)

    @property
    def dtype(self) -> np.dtype:
        """Type of the pixels, native byte order."""
        return np.dtype(self.metadata.dtype).newbyteorder("=")

    @property
    def size(self) -> int:
        """Number of pixels selected."""
        return self.selection.size

    @property
    def zarr(self) -> zarr.Array[Any]:
        """The whole array, as zarr sees it."""
        return self.handle.group[self.name]  # type: ignore[return-value]  # could be a group

    def select(self, item: Any) -> VirtualArray:
        """Select from what is selected, without reading."""
        return VirtualArray(self.handle, self.name, self.selection[item])

    def __getitem__(self, item: Any) -> NDArray[np.generic]:
        """Read.

        Raises
        ------
        FrameMissingError
            Under ``missing="raise"``: naming how many of the frames are absent.
        FrameUnreachableError, FrameCorruptError
        """
        empty_shape = _empty_shape(self.shape, item)
        if empty_shape is not None:  # no selection, but dask asks for such
            return np.empty(empty_shape, self.dtype)
        part = self.select(item)
        try:
            pixels, absent = part._read(self.handle.missing)
        except FrameMissingError as error:
            raise self._missing(error) from error
        if absent.any() and self.dtype.kind != "f":
            warnings.warn(
                f"{absent.sum()} absent frame(s) of integers read as 0: integers have no NaN",
                MissingFramesWarning,
                stacklevel=2,
            )
        return pixels

    def read_marked(self) -> tuple[NDArray[np.generic], NDArray[np.bool_]]:
        """Read what is there of the selection, and say of which frames nothing is.

        For those who show both, whatever ``missing`` says.

        Returns
        -------
        pixels : numpy.ndarray
            Of the selection's shape; NaN, or 0 for integers, in absent frames.
        absent : numpy.ndarray of bool
            Shape `frame_shape`.
        """
        return self._read("nan")

    def _read(self, missing: Missing) -> tuple[NDArray[np.generic], NDArray[np.bool_]]:
        """Read what is selected, frame by frame; also which frames were absent.

        Not through zarr, which would hand every frame from one thread to another and back: it
        is the same store, and the same decoder.
        """
        store = self.handle.store
        metadata = self.metadata
        n = metadata.n_frame_axes
        window = tuple(
            range(pixels, pixels + 1) if isinstance(pixels, int) else pixels
            for pixels in self.selection.axes[n:]
        )
        window = spec_of(metadata).window(window)
        positions = self.positions().tolist()
        fill = np.nan if self.dtype.kind == "f" else 0
        out = empty((len(positions), *map(len, window)), self.dtype)

        if len(positions) > 1 and store.places.remote:
            absent = store.pixels_together(self.name, positions, window, out)
        else:
            absent = [
                self._read_one(p, window, pixels, missing)
                for p, pixels in zip(positions, out, strict=True)
            ]
        for error, pixels in zip(absent, out, strict=True):
            if error is not None:
                if missing == "raise":
                    raise error
                pixels[...] = fill
        gone = np.array([error is not None for error in absent], bool)
        return out.reshape(self.shape), gone.reshape(self.frame_shape)

    def _read_one(
        self, position: int, window: Window, out: NDArray[np.generic], missing: Missing
    ) -> FrameMissingError | None:
        try:
            self.handle.store.pixels(self.name, position, window, out)
        except FrameMissingError as error:
            if missing == "raise":
                raise
            return error
        return None

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[np.generic]:
        return np.asarray(self[...], dtype=dtype)

    def positions(self) -> NDArray[np.int64]:
        """The selected frames' positions in C order of the array's chunks."""
        return self.selection.first(self.metadata.n_frame_axes).positions()

    @property
    def frame_shape(self) -> tuple[int, ...]:
        """Shape of the frame axes that are left."""
        return self.selection.first(self.metadata.n_frame_axes).result_shape

    def frames(self) -> FrameColumns:
        """The selected frames' references, as they stand in the store."""
        return self.frames_at(self.positions())

    def frames_at(self, positions: NDArray[np.int64]) -> FrameColumns:
        """The references of some of the array's frames, as they stand in the store."""
        return self.handle.store.references.arrays[self.name][1].take(positions)

    def absent(self) -> NDArray[np.bool_]:
        """Which of the selected frames are known to be absent.

        Returns
        -------
        numpy.ndarray
            Shape (frames,), bool. Frames on a server are not asked for: True are those without
            a reference, and those that it said it did not have when they were read.
        """
        places = self.handle.store.places
        places.look_again()
        return np.array([places.where(url) is None for url in self.frames().urls.tolist()], bool)

    def _missing(self, first: FrameMissingError) -> FrameMissingError:
        """The error for a read of absent frames: how many of all that are selected."""
        gone = self.absent()
        positions = self.positions()
        keys = [f"{self.name}/{chunk_key(self.metadata, int(p))}" for p in positions[gone][:1]]
        # A frame on a server is known to be absent only once it was asked for.
        n = max(int(gone.sum()), 1)
        if len(gone) == 1:
            return FrameMissingError(
                f"{first}. It is the 1 of the 1 frames selected: get the file, or open the dataset "
                'with missing="nan" to read it as NaN'
            )
        return FrameMissingError(
            f"{n} of the {len(gone)} frames selected {'is' if n == 1 else 'are'} absent, the first "
            f"being {keys[0] if keys else first}"
            + (f" ({first})" if keys else "")
            + '. Get the files, or open the dataset with missing="nan" to read them as NaN'
        )

    def token(self) -> tuple[Any, ...]:
        """What the selection's dask name is made of: all that its values depend on."""
        store = self.handle.store
        return (
            store.references.attributes.get("store_id"),
            self.name,
            repr(self.selection.axes),
            self.handle.missing,
            (*self.handle.downloads, *self.handle.frames),
        )

    def dask(self, chunks: Any = "auto") -> LeafArray:
        """The selection as a dask array.

        Parameters
        ----------
        chunks : {"auto", "frame"} or anything that dask takes
            "frame" is one dask chunk a frame; "auto" joins neighbouring frames up to about
            dask's ``array.chunk-size``.
        """
        import dask.array as da
        from dask.base import tokenize

        from dkist_virtual.leaves import LeafArray

        sizes = self.dask_chunks(chunks)
        array = da.from_array(  # type: ignore[no-untyped-call]
            self,
            chunks=sizes,
            name=f"dkist-{tokenize(*self.token(), sizes)}",
            inline_array=True,
            fancy=False,
            meta=np.empty((0,) * self.ndim, self.dtype),
        )
        return LeafArray.of(array, self, chunks)

    def dask_chunks(self, chunks: Any) -> tuple[tuple[int, ...], ...]:
        """The lengths of dask's chunks along each axis."""
        import dask
        from dask.array.core import normalize_chunks
        from dask.utils import parse_bytes

        if isinstance(chunks, str) and chunks not in ("auto", "frame"):
            try:
                parse_bytes(chunks)  # dask's own: "64 MiB"
            except ValueError:
                raise ValueError(
                    f"chunks = {chunks!r}: expected 'auto', 'frame', or what dask takes: a size "
                    "such as '64 MiB', or lengths along each axis"
                ) from None
        if isinstance(chunks, str) and chunks in ("auto", "frame"):
            n = len(self.frame_shape)
            wanted = list(self.shape)
            limit = parse_bytes(dask.config.get("array.chunk-size")) if chunks == "auto" else 0
            if self.handle.store.places.remote:
                limit *= REMOTE_CHUNKS
            # Neighbours in C order: along the last frame axis first.
            size = math.prod(self.shape[n:]) * self.dtype.itemsize
            for axis in range(n - 1, -1, -1):
                wanted[axis] = max(1, min(self.shape[axis], limit // max(size, 1)))
                size *= self.shape[axis]
            chunks = tuple(wanted)
        return tuple(normalize_chunks(chunks, self.shape, dtype=self.dtype))  # type: ignore[no-untyped-call]


def _empty_shape(shape: tuple[int, ...], item: Any) -> tuple[int, ...] | None:
    """The shape of what slices leave nothing of; None where they leave something."""
    parts = item if isinstance(item, tuple) else (item,)
    slices = [part for part in parts if isinstance(part, slice)]
    if not any(part.stop is not None for part in slices):
        return None
    chosen: tuple[int, ...] = np.broadcast_to(np.empty(()), shape)[item].shape
    return chosen if 0 in chosen else None

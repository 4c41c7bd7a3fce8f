"""List the frames of a selection as dkist's ASDF does: their names, and the cut inside of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from dkist_virtual.errors import DatasetError, FrameError
from dkist_virtual.fits.frame_spec import without_leading_axis
from dkist_virtual.fits.hdu import find_data, walk_hdus
from dkist_virtual.fits.layout import axis_lengths
from dkist_virtual.io.locations import shown
from dkist_virtual.store.frame_spec import FrameSpec
from dkist_virtual.store.zarr_store import spec_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from dkist_virtual.cube.virtual_array import VirtualArray
    from dkist_virtual.dataset.files import Files
    from dkist_virtual.fits.header import HDUTarget

__all__ = ["FrameList", "frame_list", "frame_list_of_files"]

Cut: TypeAlias = "tuple[int | slice | None, ...]"
"""What is selected of a frame's axes; None adds an axis of one pixel."""


@dataclass(frozen=True, eq=False)
class FrameList:
    """Name frames, with the attributes by which dkist writes its list of them.

    Parameters
    ----------
    fileuri_array : numpy.ndarray of object
        Names relative to the ASDF, None where a frame has none; of the shape of the frame axes,
        and without axes for a single frame.
    target : int or str
        The HDU of each file.
    shape : tuple of int
        Of that HDU.
    dtype : str
        Of its pixels.
    cut : tuple, optional
        What is selected of each frame, along all its axes or the first of them.
    """

    fileuri_array: NDArray[np.object_]
    target: HDUTarget
    shape: tuple[int, ...]
    dtype: str
    cut: Cut | None = None
    chunksize: None = None

    def to_dkist(self) -> Any:
        """Make dkist's file manager, which its extension of asdf writes."""
        from dkist.io.dask.striped_array import FileManager

        return FileManager(self, self.cut)


def frame_list(array: VirtualArray) -> FrameList:
    """List the frames of a selection of a stored array.

    Raises
    ------
    DatasetError
        dkist's ASDF cannot say what is selected, or two files of the dataset have one name.
    FrameError
        Which HDU the pixels are in is in no frame that can be read.
    """
    target, shape = _hdu(array)
    axes = array.selection.axes
    n = len(axes) - len(without_leading_axis(shape))
    frames = [len(pixels) for pixels in axes[:n] if isinstance(pixels, range)]
    names = _names(array)
    cut = _cut(axes[n:], array.selection.shape[n:])
    if names.size > 1:
        names = names.reshape(frames)
    else:
        # dkist drops all axes of a single frame. A cut with None gives them back, and counts from
        # the first of the frame's own axes where the name is not in a list.
        names = names.reshape(())
        cut = ((None,) * len(frames) + cut) or ()
        if cut and names[()] is None:
            raise DatasetError(
                "save: the one frame of this selection has no file name, and dkist's ASDF has no "
                "form for a part of such a frame, or for an axis of one: ds[n] selects it whole, "
                "and two frames are saved in any cut"
            )
    if names.size == 1 and names[()] is None:
        names = names.reshape(1)
    return FrameList(names, target, shape, array.dtype.name, cut or None)


def frame_list_of_files(files: Files) -> FrameList:
    """List some of the frames of a dataset, or those of a mosaic, in a row.

    Raises
    ------
    DatasetError
        There are none, or they have no common shape and HDU.
    """
    if files.chosen is None and len(files.arrays) == 1:
        return frame_list(files.arrays[0])
    if not len(files):
        raise DatasetError("save: no files are selected: expected at least one")
    lists = [frame_list(array) for array in files.arrays]
    first = lists[0]
    for other in lists[1:]:
        if (other.target, other.shape, other.dtype) != (first.target, first.shape, first.dtype):
            raise DatasetError(
                f"save: files with frames of {first.shape}, {first.dtype}, in HDU {first.target!r} "
                f"and of {other.shape}, {other.dtype}, in HDU {other.target!r} do not fit into one "
                "list: save the files of one tile, as in mosaic[i, j].files"
            )
    names = np.array([*files.names, None], object)[:-1]
    return FrameList(names, first.target, first.shape, first.dtype)


def _names(array: VirtualArray) -> NDArray[np.object_]:
    places = array.handle.store.places
    names = []
    for url in array.frames().urls.tolist():
        if url and (shared := places.sharing(url)):
            raise DatasetError(
                f"save: the frames at {' and '.join(map(shown, shared))} are both called "
                f"{places.name(url)!r}, and the saved dataset would read one file for both: copy "
                "the store itself, which says where each of them is"
            )
        names.append(places.name(url) or None if url else None)
    return np.array([*names, None], object)[:-1]


def _cut(axes: Sequence[int | range], lengths: Sequence[int]) -> Cut:
    """Write the selection of a frame's axes as slices; without those at the end that select all."""
    cut: list[int | slice | None] = []
    for pixels, n in zip(axes, lengths, strict=True):
        if isinstance(pixels, int):
            cut.append(pixels)
        elif pixels == range(n):
            cut.append(slice(None))
        else:
            cut.append(slice(pixels[0], pixels[-1] + 1, pixels.step))
    while cut and cut[-1] == slice(None):
        cut.pop()
    return tuple(cut)


def _hdu(array: VirtualArray) -> tuple[HDUTarget, tuple[int, ...]]:
    """Find the HDU of an array's frames, and its shape."""
    spec = spec_of(array.metadata)
    if isinstance(spec, FrameSpec):
        return spec.hdu, spec.shape
    # A store of plain frames says where their bytes are: only a file says in which HDU.
    last: FrameError | None = None
    for position in array.positions().tolist():
        url, offset, _ = array.handle.store.frame(array.name, position)
        if not url or offset < 0:
            continue
        try:
            return _hdu_of_file(array, url, offset)
        except FrameError as error:
            last = error
    raise DatasetError(
        "save: in which HDU the pixels are is in the files of the frames alone, and none of the "
        f"{len(array.positions())} frames selected can be read"
        + (f" ({last})" if last else "")
        + ": get one of them, or save from the dataset's ASDF, by dv.Dataset.from_asdf"
    ) from last


def _hdu_of_file(array: VirtualArray, url: str, offset: int) -> tuple[HDUTarget, tuple[int, ...]]:
    opened = array.handle.opened
    error: FrameError | None = None
    for place in opened.store.places.candidates(url):
        try:
            head = opened.fetcher.read(place, 0, offset)
            found = find_data(walk_hdus(memoryview(head)), offset)
        except FrameError as missed:
            error = missed
        else:
            return found.index, axis_lengths(found.header)
    assert error is not None
    raise error

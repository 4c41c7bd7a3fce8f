"""Find out which form of saved file a path is, and open it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final

from dkist_virtual.errors import DatasetError

if TYPE_CHECKING:
    from dkist_virtual.dataset.dataset import Dataset
    from dkist_virtual.dataset.mosaic import TiledDataset
    from dkist_virtual.store.read_options import ReadOptions

__all__ = ["CUBE_KEY", "form_of_file", "open_saved"]

CUBE_KEY: Final = "cube"
"""The key of saved pixels in the tree of an ASDF."""

_HEAD: Final = 2**17
"""Bytes at the beginning of a file in which its mark is."""

_MARKS: Final = {
    ".fits": ("fits", (b"CREATOR = 'dkist_virtual ",)),
    ".asdf": ("asdf", (f"\n{CUBE_KEY}:".encode(),)),
}
"""The form of files by their endings, and what is at their beginning."""


def form_of_file(path: str) -> str | None:
    """Tell which form of saved pixels a file on this machine is: fits, netcdf, asdf, or none.

    Frames and other files of these endings are none.
    """
    ending = os.path.splitext(path)[1]
    if ending not in _MARKS or not os.path.isfile(path):
        return None
    form, marks = _MARKS[ending]
    with open(path, "rb") as file:
        head = file.read(_HEAD)
    return form if any(mark in head for mark in marks) else None


def open_saved(path: str, form: str, options: ReadOptions) -> Dataset | TiledDataset:
    """Open a file of a form, with options that were checked.

    Raises
    ------
    DatasetError
        It is not what its name says, or an option is about frames: pixels are in the file.
    """
    if options.frames is not None or options.missing != "raise":
        raise DatasetError(
            f"{path}: has its pixels in itself: frames= and missing= are for datasets whose pixels "
            "are in frames"
        )
    if options.chunks == "frame" or isinstance(options.chunks, dict):
        raise DatasetError(
            f"{path}: has no frames, and its axes no names: expected chunks='auto', a length, or "
            "lengths along each axis"
        )
    chunks: Any = options.chunks
    if form == "fits":
        from dkist_virtual.dataset.save.files.fits_opened import open_fits

        return open_fits(path, chunks)
    from dkist_virtual.dataset.save.files.asdf_cube import open_asdf_cube

    return open_asdf_cube(path, chunks)

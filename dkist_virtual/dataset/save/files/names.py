"""Know files with saved pixels by their names and their first bytes."""

from __future__ import annotations

import os
from typing import Final

__all__ = ["ASDF_NAME", "ASDF_VERSION", "CUBE_KEY", "form_of_file"]

CUBE_KEY: Final = "cube"
"""The key of saved pixels in the tree of an ASDF."""

ASDF_NAME: Final = "asdf"
"""The variable of a netCDF that has what belongs to its pixels."""

ASDF_VERSION: Final = "dkist_virtual_version"
"""The attribute of that variable which says that this package wrote it."""

_HEAD: Final = 2**17
"""Bytes at the beginning of a file in which its mark is."""

_MARKS: Final = {
    ".fits": ("fits", (b"CREATOR = 'dkist_virtual ",)),
    ".nc": ("netcdf", (b"\x89HDF\r\n\x1a\n",)),
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
    if not any(mark in head for mark in marks):
        return None
    return form if form != "netcdf" or _has_asdf(path) else None


def _has_asdf(path: str) -> bool:
    """Return whether a file of HDF5 was saved by this package; true where h5py is missing."""
    try:
        import h5py
    except ImportError:
        return True  # which `open_netcdf` says
    try:
        with h5py.File(path, "r") as file:
            return ASDF_NAME in file and ASDF_VERSION in file[ASDF_NAME].attrs
    except OSError:
        return False

"""Know files with saved pixels by their names and their first bytes."""

from __future__ import annotations

import os
from typing import Final

__all__ = ["CUBE_KEY", "form_of_file"]

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

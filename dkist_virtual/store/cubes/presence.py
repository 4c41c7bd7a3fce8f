"""Tell by names alone whether a saved cube is at a place.

A mistyped path is the commonest error, so this imports next to nothing.
"""

from __future__ import annotations

import os
from typing import Final

from dkist_virtual.io.locations import is_local, join, local_path

__all__ = ["CUBE_SUFFIX", "JOURNAL_NAME", "ROOT_NAME", "is_cube", "is_unfinished_cube"]

CUBE_SUFFIX: Final = ".zarr"
"""The end of the name of a saved cube."""

JOURNAL_NAME: Final = "written.jsonl"
"""Beside a cube that is being written: what is complete of it."""

ROOT_NAME: Final = "zarr.json"
"""The root of a Zarr v3 group, which is written last: without it there is no cube."""


def is_cube(place: str) -> bool:
    """Tell whether a directory on this machine has the root of a Zarr v3 group."""
    return is_local(place) and os.path.isfile(local_path(join(place, ROOT_NAME)))


def is_unfinished_cube(place: str) -> bool:
    """Tell whether a place on this machine is a cube that is being written, or was stopped."""
    if not is_local(place):
        return False
    path = local_path(place)
    return any(
        os.path.exists(os.path.join(directory, JOURNAL_NAME))
        for directory in (path, os.path.dirname(path.rstrip("/")))
        if os.path.basename(directory).startswith(".") and directory.endswith(".part")
    )

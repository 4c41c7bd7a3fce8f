"""Say of pixels how they may be read in parts, what they depend on, and how they were computed."""

from __future__ import annotations

import hashlib
import os
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from dkist_virtual.cube.computed_array import Computed, Pixels
from dkist_virtual.cube.dask_array import PushdownArray
from dkist_virtual.cube.saved.zarr_array import ZarrArray
from dkist_virtual.cube.virtual_array import VirtualArray
from dkist_virtual.errors import FrameRefusedError
from dkist_virtual.io.locations import is_local, join, local_path
from dkist_virtual.text import counted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dkist_virtual.dataset.save.cube.layout import Region

__all__ = ["chunks_of", "operations_of", "part_of", "token_of"]

_LONGEST: Final = 2_000
"""Characters of what is said about operations."""


def source_of(pixels: Any) -> Any:
    """Return what a dask array of this package reads."""
    return pixels.source if isinstance(pixels, PushdownArray) else pixels


def chunks_of(pixels: Pixels) -> Sequence[Sequence[int]] | None:
    """Return dask's chunks, where a part of a chunk costs as much as all of it; else None."""
    if isinstance(pixels, Computed):
        if all(map(_is_cheap, pixels.operands)):
            return None
        chunks: Sequence[Sequence[int]] = pixels.dask().chunks
        return chunks
    if _is_cheap(pixels):
        return None
    return pixels.chunks  # type: ignore[no-any-return, union-attr]  # dask's


def _is_cheap(pixels: Any) -> bool:
    """Return whether a part of some pixels is read without the rest of them."""
    if isinstance(pixels, Computed):
        return all(map(_is_cheap, pixels.operands))
    pixels = source_of(pixels)
    return isinstance(pixels, VirtualArray | ZarrArray) or not hasattr(pixels, "dask")


def part_of(pixels: Any, region: Region) -> Any:
    """Select a region: a dask array, or one of numpy's."""
    if isinstance(pixels, VirtualArray | ZarrArray | Computed):
        return pixels.select(region).dask()
    return pixels[region]


def token_of(pixels: Any) -> str:
    """Hash all that pixels depend on: the same in another process, where nothing changed."""
    from dask.base import tokenize

    pixels = source_of(pixels)
    if isinstance(pixels, VirtualArray):
        token: str = tokenize("frames", *pixels.token(), _versions(pixels))
    elif isinstance(pixels, ZarrArray):
        token = tokenize("cube", *pixels.token())
    elif isinstance(pixels, Computed):
        units = [None if unit is None else str(unit) for unit in pixels.units]
        operands = map(token_of, pixels.operands)
        token = tokenize("computed", pixels.function, units, pixels.shape, *operands)
    else:
        token = tokenize("array", pixels)
    return token


def _versions(array: VirtualArray) -> str:
    """Hash which of the selected frames are on this machine, and how old and long they are.

    Not by the directories, as dask's names do: a cube that is written beside frames changes theirs.
    """
    places = array.places
    places.look_again()
    found = hashlib.sha256()
    for url in array.frames().urls.tolist():
        state: tuple[int, ...] = ()
        # Those that a store may not refer to, or that are not there, have no state.
        with suppress(OSError, FrameRefusedError):
            if is_local(place := places.find(url)) and place:
                status = os.stat(local_path(place))
                state = status.st_size, status.st_mtime_ns
        found.update(f"{state}\n".encode())
    return found.hexdigest()


def operations_of(pixels: Any) -> str:
    """Write which functions of what the pixels are, as far as it is known."""
    text = _written(pixels)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."


def _written(pixels: Any) -> str:
    pixels = source_of(pixels)
    if isinstance(pixels, Computed):
        return f"{_name(pixels.function)}({', '.join(map(_written, pixels.operands))})"
    if isinstance(pixels, VirtualArray):
        return f"{counted(len(pixels.positions()), 'frame')} of shape {pixels.shape}"
    if isinstance(pixels, ZarrArray):
        place = join(pixels.handle.cube.place, pixels.name)
        return f"{place} of shape {pixels.shape}"
    if np.ndim(pixels) == 0:
        return str(pixels)
    kind = type(pixels).__module__.partition(".")[0]
    return f"{kind} array of shape {pixels.shape}, {pixels.dtype}"


def _name(function: Any) -> str:
    while isinstance(function, partial):
        function = function.func
    return str(getattr(function, "__name__", type(function).__name__)).strip("_")

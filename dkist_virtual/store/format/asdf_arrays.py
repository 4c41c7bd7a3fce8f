"""Refuse arrays of an ASDF with an impossible shape or strides, before numpy makes them.

An array of few bytes can claim any number of values where its strides lead to the same bytes again
and again. numpy makes such an array without an error, and copying it fills the memory.
"""

from __future__ import annotations

import math
from collections import UserList
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from dkist_virtual.errors import DatasetError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["check_mask", "check_strides"]


def check_strides(tree: object) -> None:
    """Raise `DatasetError` where arrays of a tree have values that share bytes."""
    for node in _with_strides(tree):
        found = f"shape {node.get('shape')!r:.80} and strides {node['strides']!r:.80}"
        try:
            shape, strides = list(node["shape"]), list(node["strides"])
        except (KeyError, TypeError):
            shape, strides = [], [0]
        numbers = all(type(n) is int for n in (*shape, *strides))
        if len(shape) != len(strides) or not numbers or min(shape, default=0) < 0:
            raise DatasetError(f"an array has {found}: expected one integer for each axis")
        # Sorted by length, each stride has to lead beyond what the shorter ones cover.
        covered = _item_bytes(node.get("datatype"))
        for stride, n in sorted(zip(map(abs, strides), shape, strict=True)):
            if n > 1 and stride < covered:
                raise DatasetError(
                    f"an array has {found}: expected bytes of its own for each value"
                )
            covered = max(covered, stride * n)


def _with_strides(tree: object) -> Iterator[Mapping[str, Any]]:
    todo = [tree]
    while todo:
        node = todo.pop()
        if isinstance(node, Mapping):
            if "strides" in node and "source" in node:
                yield node
            todo.extend(node.values())
        elif isinstance(node, (list, UserList)) and len(node) and not isinstance(node[0], str):
            todo.extend(iter(node))


def _item_bytes(datatype: object) -> int:
    """Bytes of one value; 1 for a type that is not known here."""
    match datatype:
        case [str(kind), int(width)]:
            return max(width, 1) * (4 if kind == "ucs4" else 1)
        case str(name) if name != "bool8":
            bits = name.lstrip("abcdefghijklmnopqrstuvwxyz")
            return max(int(bits) // 8, 1) if bits.isdecimal() and len(bits) < 4 else 1
        case _:
            return 1


def check_mask(mask: object, shape: Sequence[int]) -> None:
    """Raise `DatasetError` where an ASDF's mask is not one of data of a shape."""
    if mask is None or isinstance(mask, (bool, np.bool_)):
        return
    found = tuple(getattr(mask, "shape", ("no", "array")))
    if found != tuple(shape):
        raise DatasetError(
            f"the mask has shape {found!r:.80}: expected {tuple(shape)}, the shape of the data"
        )
    try:
        array = np.asarray(mask)
    except (OSError, TypeError, ValueError) as error:
        raise DatasetError(f"the mask cannot be read: {error}") from error
    if array.dtype.kind not in "bui":
        raise DatasetError(f"the mask is of {array.dtype}: expected truth values")
    low, high = np.lib.array_utils.byte_bounds(array)
    if array.shape and high - low < math.prod(array.shape) * array.itemsize:
        raise DatasetError(
            f"the mask of shape {array.shape} has strides {array.strides}: expected bytes of its "
            "own for each pixel"
        )

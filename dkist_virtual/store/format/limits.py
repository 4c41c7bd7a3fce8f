"""Limit how much memory a store's own files may ask for, by their length and by the store's shape.

Pure. What a file says of its sizes is checked before memory is asked for.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any, Final

from dkist_virtual.errors import StoreCorruptError
from dkist_virtual.io.asdf_blocks import IN_STORES, blocks_of, tree_end

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dkist_virtual.fits.hdu import FileSlices

__all__ = [
    "MAX_FRAMES",
    "MAX_FRAME_PIXELS",
    "check_asdf",
    "check_attributes",
    "check_root",
    "frame_limit",
    "headers_limit",
    "text_size",
]

MAX_FRAMES: Final = 2**23
"""A dataset of more frames is refused: the largest has some 10⁵."""

MAX_FRAME_PIXELS: Final = 2**32
"""Likewise a frame of more pixels: the largest has 2²⁴."""


def headers_limit(n_frames: int) -> int:
    """How many bytes the header table of so many frames may have: a real row has some hundreds."""
    return 2**26 + 2**16 * n_frames


def frame_limit(shape: Sequence[int], itemsize: int) -> int:
    """How many bytes a frame's file may have, of which nothing but its pixels' shape is known."""
    return 2**26 + 4 * itemsize * math.prod(shape)


def text_size(column: Any) -> int:
    """Bytes of all strings of an Arrow column, which may stand in it once for many rows.

    Parameters
    ----------
    column : pyarrow.ChunkedArray
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    total = 0
    for chunk in column.chunks:
        if pa.types.is_dictionary(chunk.type):
            lengths = pc.binary_length(chunk.dictionary)
            total += pc.sum(lengths.cast(pa.int64()).take(chunk.indices)).as_py() or 0
        else:
            total += chunk.nbytes
    return total


# What attributes say ------------------------------------------------------------------------


def check_attributes(shape: tuple[int, ...], attributes: dict[str, Any]) -> None:
    """Hold an array's attributes against its shape.

    Raises
    ------
    StoreCorruptError
    """
    for key in ("_ARRAY_DIMENSIONS", "axis_names"):
        names = attributes.get(key, [""] * len(shape))
        if not isinstance(names, list) or [type(name) for name in names] != [str] * len(shape):
            raise StoreCorruptError(
                f".zattrs: {key} = {names!r:.80}: expected {len(shape)} names, one an axis"
            )
    unit = attributes.get("unit")
    if not isinstance(unit, str | None):
        raise StoreCorruptError(f".zattrs: unit = {unit!r:.80}: expected text or null")
    cut = attributes.get("subslice", [0] * len(shape))
    if not isinstance(cut, list) or len(cut) != len(shape) or not all(map(_is_cut, cut)):
        raise StoreCorruptError(
            f".zattrs: subslice = {cut!r:.80}: expected {len(shape)} integers or "
            "[start, stop, step], one an axis"
        )


def _is_cut(part: Any) -> bool:
    if not isinstance(part, list):
        return type(part) is int
    return len(part) == 3 and all(p is None or type(p) is int for p in part) and part[2] != 0


def check_root(root: Any) -> None:
    """Hold the types of a store's root attributes.

    Raises
    ------
    StoreCorruptError
    """
    for key, kind in (("base", str), ("store_id", str), ("n_frames", int), ("n_bytes", int)):
        value = root.get(key)
        if value is not None and (not isinstance(value, kind) or isinstance(value, bool)):
            raise StoreCorruptError(f".zattrs: {key} = {value!r:.80}: expected {kind.__name__}")


# ASDF ---------------------------------------------------------------------------------------

_MAX_NODES: Final = 2**24
"""Values in the tree of an ASDF, those counted again that are named again: YAML can repeat a list
of lists of lists, and whoever walks through it takes forever."""


def check_asdf(data: FileSlices, name: str, compressions: tuple[bytes, ...] = IN_STORES) -> None:
    """Check what an ASDF says of its sizes against what it has, before `asdf` opens it.

    Parameters
    ----------
    data : sliceable bytes
        The whole file.
    name : str
        For messages.
    compressions : tuple of bytes
        How its blocks may be compressed.

    Raises
    ------
    StoreCorruptError
    """
    end = tree_end(data)
    _check_tree(data[: end if end >= 0 else len(data)], name)
    for _ in blocks_of(data, name, error=StoreCorruptError, compressions=compressions):
        pass


class _Sources:
    """Watches the events of a tree for arrays that lie in another file, which asdf would open.

    It opens whatever ``source`` names, a file of this machine or a URL, whoever wrote that.

    Parameters
    ----------
    name : str
        For messages.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        # Of each collection that is open: whether it is an array's mapping, and what comes next
        # in it, a key or the value of which key.
        self.open: list[tuple[bool, list[str | None]]] = []

    def see(self, event: Any) -> None:
        """Take the next event.

        Raises
        ------
        StoreCorruptError
        """
        import yaml

        ends = isinstance(event, (yaml.MappingEndEvent, yaml.SequenceEndEvent))
        if ends:
            self.open.pop()
        elif isinstance(event, yaml.NodeEvent) and self.open:
            is_array, key = self.open[-1]
            if is_array:
                self._in_array(event, key)
        if isinstance(event, yaml.CollectionStartEvent):
            mapping = isinstance(event, yaml.MappingStartEvent)
            self.open.append((mapping and "ndarray" in (event.tag or ""), [None]))

    def _in_array(self, event: Any, key: list[str | None]) -> None:
        import yaml

        plain = isinstance(event, yaml.ScalarEvent)
        if key[0] is None:
            # Names by anchor, and mappings that are merged in, hide what is named.
            if not plain or event.value == "<<":
                raise StoreCorruptError(f"{self.name}: an array's keys are no plain names")
            key[0] = event.value
            return
        if key[0] == "source" and not (plain and re.fullmatch(r"-?[0-9]+", event.value)):
            said = event.value if plain else type(event).__name__
            raise StoreCorruptError(
                f"{self.name}: an array lies in {said!r:.80}: expected the number of a block of "
                "this file"
            )
        key[0] = None


def _check_tree(text: bytes, name: str) -> None:
    """Count the values of a YAML tree, repeated ones too, without building it."""
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    sizes: dict[str, int] = {}
    watch = _Sources(name)
    # Of each collection that is open: its anchor, and how many values it has.
    open_: list[list[Any]] = [[None, 0]]
    try:
        for event in yaml.parse(text, loader):
            watch.see(event)
            if isinstance(event, (yaml.MappingStartEvent, yaml.SequenceStartEvent)):
                open_.append([event.anchor, 1])
            elif isinstance(event, (yaml.MappingEndEvent, yaml.SequenceEndEvent)):
                anchor, n = open_.pop()
                if anchor is not None:
                    sizes[anchor] = n
                open_[-1][1] += n
            elif isinstance(event, yaml.AliasEvent):
                # One that is not closed yet holds itself: a tree without an end.
                open_[-1][1] += sizes.get(event.anchor, _MAX_NODES + 1)
            elif isinstance(event, yaml.ScalarEvent):
                if event.anchor is not None:
                    sizes[event.anchor] = 1
                open_[-1][1] += 1
            if open_[-1][1] > _MAX_NODES:
                raise StoreCorruptError(
                    f"{name}: its tree repeats itself to more than {_MAX_NODES} values"
                )
    except yaml.YAMLError as error:
        raise StoreCorruptError(f"{name}: its tree is no YAML: {error}") from error
    except RecursionError as error:
        raise StoreCorruptError(f"{name}: its tree is nested too deep") from error

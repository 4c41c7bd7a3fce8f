"""Limit how much memory a store's own files may ask for, by their length and by the store's shape.

Pure. What a file says of its sizes is checked before memory is allocated.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from dkist_virtual.errors import StoreCorruptError
from dkist_virtual.io.asdf_blocks import IN_STORES, blocks_of, tree_end

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import yaml
    from pyarrow import ChunkedArray

    from dkist_virtual.fits.hdu import FileSlices

__all__ = [
    "MAX_FRAMES",
    "MAX_FRAME_PIXELS",
    "MAX_TILES",
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


MAX_TILES: Final = 2**16
"""Likewise a mosaic of more tiles: the largest has 9."""


def headers_limit(n_frames: int) -> int:
    """How many bytes the header table of `n_frames` may have: a real row has some hundreds."""
    return 2**26 + 2**16 * n_frames


def frame_limit(shape: Sequence[int], itemsize: int) -> int:
    """How many bytes a frame's file may have, by the shape of its pixels."""
    return 2**26 + 4 * itemsize * math.prod(shape)


def text_size(column: ChunkedArray) -> int:
    """Bytes of all strings of an Arrow column, which may hold a string once for many rows."""
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


def check_attributes(shape: tuple[int, ...], attributes: Mapping[str, object]) -> None:
    """Raise `StoreCorruptError` where an array's attributes do not fit its shape."""
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


def _is_cut(part: object) -> bool:
    if not isinstance(part, list):
        return type(part) is int
    return len(part) == 3 and all(p is None or type(p) is int for p in part) and part[2] != 0


def check_root(root: Mapping[str, object]) -> None:
    """Raise `StoreCorruptError` where a store's root attributes are of other types."""
    for key, kind in (("base", str), ("store_id", str), ("n_frames", int), ("n_bytes", int)):
        value = root.get(key)
        if value is not None and (not isinstance(value, kind) or isinstance(value, bool)):
            raise StoreCorruptError(f".zattrs: {key} = {value!r:.80}: expected {kind.__name__}")


# ASDF ---------------------------------------------------------------------------------------

_MAX_NODES: Final = 2**24
"""Values in the tree of an ASDF, counted again where an alias repeats them: YAML can repeat a list
of lists of lists, and walking through it takes forever."""


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


@dataclass(slots=True)
class _Collection:
    """A mapping or sequence of a YAML tree, as far as its events were seen."""

    anchor: str | None = None
    is_array: bool = False
    n_values: int = 1
    key: str | None = None
    """In an array's mapping the key of the next value; None where the key comes next."""

    def check_source(self, event: yaml.NodeEvent, name: str) -> None:
        """Refuse an array in another file: asdf opens any file or URL that ``source`` names."""
        import yaml

        value = event.value if isinstance(event, yaml.ScalarEvent) else None
        if self.key is None:
            # Aliases as keys, and mappings that are merged in, hide what the keys are.
            if value is None or value == "<<":
                raise StoreCorruptError(f"{name}: an array's keys are not plain names")
            self.key = value
            return
        if self.key == "source" and not re.fullmatch(r"-?[0-9]+", value or ""):
            found = type(event).__name__ if value is None else value
            raise StoreCorruptError(
                f"{name}: an array is in {found!r:.80}: expected the number of a block of this file"
            )
        self.key = None


def _check_tree(text: bytes, name: str) -> None:
    """Count the values of a YAML tree, and check its arrays' sources, without building it."""
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    sizes: dict[str | None, int] = {}
    opened = [_Collection()]
    try:
        for event in yaml.parse(text, loader):
            if isinstance(event, yaml.CollectionEndEvent):
                closed = opened.pop()
                sizes[closed.anchor] = closed.n_values
                opened[-1].n_values += closed.n_values
            elif isinstance(event, yaml.NodeEvent):
                if opened[-1].is_array:
                    opened[-1].check_source(event, name)
                if isinstance(event, yaml.CollectionStartEvent):
                    mapping = isinstance(event, yaml.MappingStartEvent)
                    opened.append(
                        _Collection(event.anchor, mapping and "ndarray" in (event.tag or ""))
                    )
                elif isinstance(event, yaml.AliasEvent):
                    # An alias in the collection that it names: a tree without an end.
                    opened[-1].n_values += sizes.get(event.anchor, _MAX_NODES + 1)
                else:
                    sizes[event.anchor] = 1
                    opened[-1].n_values += 1
            if opened[-1].n_values > _MAX_NODES:
                raise StoreCorruptError(
                    f"{name}: its tree repeats itself to more than {_MAX_NODES} values"
                )
    except yaml.YAMLError as error:
        raise StoreCorruptError(f"{name}: its tree is not YAML: {error}") from error
    except RecursionError as error:
        raise StoreCorruptError(f"{name}: its tree is nested too deep") from error

"""Keep what Parquet cannot express of a header column, as JSON beside it: the column's notes.

Somebody else's table may have any notes: what they say of sizes is checked before memory is
allocated for it, and their YAML, which earlier versions wrote, makes plain values only.
"""

from __future__ import annotations

import json
import math
from collections import UserList
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np

from dkist_virtual.errors import StoreCorruptError

if TYPE_CHECKING:
    from pyarrow import DataType, Field, Schema

__all__ = [
    "Notes",
    "arrow_metadata",
    "cell_bytes",
    "meta_notes",
    "read_meta",
    "read_notes",
    "translate_note_errors",
]

Notes: TypeAlias = dict[str, Any]
"""A JSON object."""

_KEY: Final = b"dkist_virtual"
"""The key of notes in the metadata of Arrow's schema and fields."""


def arrow_metadata(notes: Notes) -> dict[bytes, bytes]:
    """Write notes as the metadata of a schema or field."""
    return {_KEY: json.dumps(notes, separators=(",", ":")).encode()}


def read_notes(holder: Schema | Field, name: str) -> Notes:
    """Read the notes in the metadata of a schema or field of the file called ``name``."""
    try:
        notes = json.loads(holder.metadata[_KEY])
        if not isinstance(notes, dict):
            raise TypeError("not an object")
    except (TypeError, KeyError, ValueError) as error:
        where = f"column {holder.name}" if hasattr(holder, "type") else "the schema"
        raise StoreCorruptError(
            f"{name}: {where} lacks the metadata {_KEY.decode()!r} that the header table of a "
            "store has; convert again"
        ) from error
    return notes


@contextmanager
def translate_note_errors(name: str) -> Iterator[None]:
    """Raise `StoreCorruptError` where notes are not those of their column, whatever goes wrong."""
    try:
        yield
    except (MemoryError, StoreCorruptError):
        raise
    except Exception as error:
        raise StoreCorruptError(
            f"{name}: the metadata {_KEY.decode()!r} does not fit the header table: "
            f"{type(error).__name__}: {error}; convert again"
        ) from error


def cell_bytes(kind: DataType, notes: Notes) -> int:
    """Bytes of memory for one row of a column, but for the text that dictionaries hold."""
    dtype = np.dtype(notes["dtype"])
    if dtype.kind not in "biufUSO" or not dtype.isnative:
        raise StoreCorruptError(f"dtype = {notes['dtype']!r:.80}: expected numbers or text")
    n = int(np.prod(notes.get("shape", ()), dtype=object))
    if n != getattr(kind, "list_size", 1):
        raise StoreCorruptError(f"cells of {notes.get('shape')!r:.80} in a column of {kind}")
    return n * (16 + int(dtype.itemsize))


def meta_notes(meta: Mapping[str, Any]) -> Notes:
    """Note the meta of a table or column; ``strings`` says that some of it became text."""
    if not meta:
        return {}
    plain = _plain(meta)
    return {"meta": plain} if repr(plain) == repr(dict(meta)) else {"meta": plain, "strings": True}


def _plain(value: object) -> Any:
    """Convert a value to what JSON can hold: text, where it is nothing else."""
    if isinstance(value, Mapping):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, (list, tuple, UserList)):
        return [_plain(each) for each in value]
    finite = isinstance(value, float) and math.isfinite(value)
    return value if value is None or finite or isinstance(value, (int, str)) else str(value)


def read_meta(notes: Notes) -> dict[str, Any]:
    """Read the meta that notes hold; earlier versions wrote YAML where JSON would change it."""
    if "meta_yaml" not in notes:
        return dict(notes.get("meta", {}))
    import yaml

    return dict(yaml.load(notes["meta_yaml"], _yaml_loader()))


@cache
def _yaml_loader() -> Any:
    """A loader of plain values: what YAML has no word for (Time, Quantity, arrays) stays text."""
    import yaml

    loader: Any = type("Loader", (yaml.SafeLoader,), {})
    loader.add_constructor(None, lambda _, node: yaml.serialize(node))
    loader.add_constructor(
        "tag:yaml.org,2002:python/tuple",
        lambda self, node: tuple(self.construct_sequence(node, deep=True)),
    )
    return loader

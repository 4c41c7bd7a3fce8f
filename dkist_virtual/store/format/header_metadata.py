"""Keep what Parquet cannot express of a header column, as JSON beside it.

The notes of a stranger's table may say anything: they are held against the column that they are
of before memory is asked for by their word, and YAML in them makes no pointers.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from typing import Any, Final, cast

import numpy as np

from dkist_virtual.errors import StoreCorruptError
from dkist_virtual.io.safety import check_size
from dkist_virtual.store.format.limits import text_size

__all__ = [
    "NOTES_KEY",
    "cell_bytes",
    "check_text",
    "dumps",
    "meta_notes",
    "meta_of",
    "read_notes",
    "reading_notes",
]

NOTES_KEY: Final = b"dkist_virtual"
"""Under which they stand in the metadata of schema and field."""


def read_notes(holder: Any, name: str) -> dict[str, Any]:
    """Our JSON in the metadata of a schema or field."""
    try:
        notes = json.loads(holder.metadata[NOTES_KEY])
        if not isinstance(notes, dict):
            raise TypeError("not an object")
    except (TypeError, KeyError, ValueError) as error:
        where = f"column {holder.name}" if hasattr(holder, "type") else "the schema"
        raise StoreCorruptError(
            f"{name}: {where} lacks the metadata {NOTES_KEY.decode()!r} that the header table of a "
            "store has; convert again"
        ) from error
    return notes


@contextmanager
def reading_notes(name: str) -> Iterator[None]:
    """What our JSON says may be anything: of the wrong type, of another column, no type at all."""
    import yaml

    try:
        yield
    except (LookupError, TypeError, ValueError, ArithmeticError, AttributeError, yaml.YAMLError,
            NotImplementedError, RecursionError, AssertionError, SyntaxError) as error:  # fmt: skip
        if isinstance(error, StoreCorruptError):
            raise
        raise StoreCorruptError(
            f"{name}: the metadata {NOTES_KEY.decode()!r} does not fit the header table: "
            f"{type(error).__name__}: {error}; convert again"
        ) from error


def cell_bytes(kind: Any, notes: Mapping[str, Any]) -> int:
    """Bytes of memory for one row of a column, but for the text that dictionaries hold."""
    dtype = np.dtype(notes["dtype"])
    if dtype.kind not in "biufUSO" or not dtype.isnative:
        raise StoreCorruptError(f"dtype = {notes['dtype']!r:.80}: expected numbers or text")
    n = int(np.prod(notes.get("shape", ()), dtype=object))
    if n != getattr(kind, "list_size", 1):
        raise StoreCorruptError(f"cells of {notes.get('shape')!r:.80} in a column of {kind}")
    return n * (16 + int(dtype.itemsize))


def check_text(data: Any, name: str, there: int) -> None:
    """Count the text of a table that was read, before it is written out for every row.

    Raises
    ------
    StoreCorruptError
    """
    import pyarrow as pa

    asked = sum(text_size(c) for c in data.columns if pa.types.is_dictionary(c.type))
    check_size(f"{name}: its text", asked, there)


def dumps(notes: Mapping[str, Any]) -> bytes:
    """Notes as they stand in the file."""
    return json.dumps(notes, separators=(",", ":")).encode()


def meta_notes(meta: Mapping[str, Any]) -> dict[str, Any]:
    """Meta of a table or column for our JSON: as it is, else as astropy's YAML."""
    plain = dict(meta)
    if not plain:
        return {}
    try:
        if _same(json.loads(json.dumps(plain, allow_nan=False)), plain):
            return {"meta": plain}
    except (TypeError, ValueError):
        pass
    from astropy.io.misc import yaml

    return {"meta_yaml": yaml.dump(plain)}


def meta_of(notes: Mapping[str, Any]) -> dict[str, Any]:
    """The meta that notes hold, see `meta_notes`."""
    if "meta_yaml" in notes:
        import yaml

        return cast("dict[str, Any]", yaml.load(notes["meta_yaml"], _meta_loader()))
    return dict(notes.get("meta", {}))


@cache
def _meta_loader() -> Any:
    """Astropy's loader of YAML, which makes plain objects and astropy's own; and no pointers.

    astropy makes an array of whatever type the text names over whatever bytes it gives: of type
    "O", which it does not look for, those bytes are taken for addresses of Python objects.
    """
    from astropy.io.misc.yaml import AstropyLoader

    class Loader(AstropyLoader):  # type: ignore[misc]  # astropy comes without types
        def array(self, node: Any) -> Any:
            if np.dtype(self.construct_mapping(node, deep=True)["dtype"]).hasobject:
                raise TypeError("an array of Python objects")
            return AstropyLoader.yaml_constructors["!numpy.ndarray"](self, node)

    Loader.add_constructor("!numpy.ndarray", Loader.array)
    del Loader.yaml_constructors["!numpy.void"]
    return Loader


def _same(one: Any, other: Any) -> bool:
    """Whether two trees are equal, types included: JSON makes lists of tuples."""
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return list(one) == list(other) and all(_same(one[key], other[key]) for key in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(_same, one, other))
    return bool(one == other)

"""Say in Zarr v2 what references in Zarr v3 say, as VirtualiZarr writes them if asked to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from dkist_virtual.errors import StoreCorruptError
from dkist_virtual.store.frame_spec import SPECS

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["METADATA", "in_zarr_v2"]

METADATA: Final = "zarr.json"

_TYPES: Final = frozenset(
    {"bool", "float16", "float32", "float64"}
    | {f"{sign}int{n}" for sign in ("", "u") for n in (8, 16, 32, 64)}
)


def in_zarr_v2(
    documents: Mapping[str, Any], chunks: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Translate documents and chunk keys.

    Parameters
    ----------
    documents : mapping
        By key, ``zarr.json`` of the root and of its arrays.
    chunks : mapping
        The references by key.

    Raises
    ------
    StoreCorruptError
        Something has no translation: the arrays of frames, and plain ones, have.
    """
    made: dict[str, Any] = {}
    begins: dict[str, tuple[str, str]] = {}
    for key, document in documents.items():
        name, _, kind = key.rpartition("/")
        known = isinstance(document, dict) and document.get("zarr_format") == 3
        if kind != METADATA or not known:
            raise StoreCorruptError(f"{key!r:.120}: expected documents of Zarr v3 alone")
        attributes = document.get("attributes", {})
        if not name:
            made[".zattrs"] = attributes
            continue
        if document.get("node_type") != "array":
            raise StoreCorruptError(f"{key!r:.120}: expected arrays without groups")
        try:
            made[f"{name}/.zarray"], begins[name] = _zarray(document)
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise StoreCorruptError(f"{key!r:.120}: {type(error).__name__}: {error}") from error
        names = document.get("dimension_names")
        dimensions = {} if names is None else {"_ARRAY_DIMENSIONS": names}
        made[f"{name}/.zattrs"] = {**attributes, **dimensions}
    return made, {_v2_key(key, begins): value for key, value in chunks.items()}


def _zarray(document: Mapping[str, Any]) -> tuple[dict[str, Any], tuple[str, str]]:
    """Translate the metadata of an array; say also how its chunk keys begin, and are separated."""
    grid, encoding = document["chunk_grid"], document["chunk_key_encoding"]
    by_default = {"default": ("c", "/"), "v2": ("", ".")}
    if grid["name"] != "regular" or encoding["name"] not in by_default:
        raise ValueError(f"{grid['name']!r:.80}, {encoding['name']!r:.80}: expected a regular grid")
    if document["data_type"] not in _TYPES or document.get("storage_transformers"):
        raise ValueError(f"data_type = {document['data_type']!r:.80}: expected a type of numbers")
    begin, separator = by_default[encoding["name"]]
    separator = encoding.get("configuration", {}).get("separator", separator)
    if separator not in ("/", "."):
        raise ValueError(f"separator = {separator!r:.80}: expected / or .")
    dtype = np.dtype(document["data_type"]).newbyteorder("<")
    first, *rest = document["codecs"]
    compressor = None
    if first["name"] == "bytes" and len(rest) <= 1:
        order = first.get("configuration", {}).get("endian", "little")
        dtype = dtype.newbyteorder({"little": "<", "big": ">"}[order])
        rest_id = rest[0]["name"].removeprefix("numcodecs.") if rest else None
        compressor = {"id": rest_id, **rest[0]["configuration"]} if rest else None
    elif first["name"] in SPECS and not rest:
        compressor = {"id": first["name"], **first["configuration"]}
    else:
        raise ValueError(f"codecs = {document['codecs']!r:.120}: expected bytes, or a FITS image")
    zarray = {
        "zarr_format": 2,
        "shape": document["shape"],
        "chunks": grid["configuration"]["chunk_shape"],
        "dtype": dtype.str,
        "compressor": compressor,
        "filters": None,
    }
    return zarray, (begin, separator)


def _v2_key(key: str, begins: Mapping[str, tuple[str, str]]) -> str:
    """Translate a chunk key: ``data/c/0/1`` is ``data/0.1``."""
    name, _, chunk = key.partition("/")
    if name not in begins:
        raise StoreCorruptError(f"{key!r:.120}: a chunk of no array")
    begin, separator = begins[name]
    if begin:
        head, _, chunk = chunk.partition(separator)
        if head != begin:
            raise StoreCorruptError(f"{key!r:.120}: expected a chunk key with {begin}{separator}")
    return f"{name}/{chunk.replace(separator, '.')}"

"""Read references of other programs, JSON or Parquet, and open their arrays."""

from __future__ import annotations

import base64
import binascii
import io
import json
import math
from dataclasses import replace
from itertools import takewhile
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np

from dkist_virtual.errors import StoreCorruptError, StoreMissingError
from dkist_virtual.io.locations import Location, is_local, shown
from dkist_virtual.io.safety import check_size
from dkist_virtual.store.format.references import (
    ROOT_KEY,
    ReferenceSet,
    chunk_key,
    sha256,
    tables_of,
    translate_errors,
)
from dkist_virtual.store.format.references_parquet import shards_of
from dkist_virtual.store.handle import StoreHandle
from dkist_virtual.store.kerchunk.documents import (
    InlineArray,
    frame_arrays,
    root_attributes,
    split_documents,
)
from dkist_virtual.store.kerchunk.other_store import OtherStore
from dkist_virtual.store.kerchunk.zarr_v3 import METADATA, in_zarr_v2
from dkist_virtual.store.reader import StoreReader

if TYPE_CHECKING:
    import zarr

    from dkist_virtual.store.format.references import ArrayMetadata, FrameTable
    from dkist_virtual.store.read_options import ReadOptions

__all__ = ["open_references"]

_META: Final = ".zmetadata"


def open_references(
    place: str, form: Literal["json", "parquet"], options: ReadOptions
) -> zarr.Group:
    """Open references of other programs as a Zarr v3 group.

    Parameters
    ----------
    place : str
        A path or URL: of a file with JSON, or of a directory.
    form : {"json", "parquet"}
    options : ReadOptions

    Raises
    ------
    StoreMissingError
        There is nothing.
    StoreCorruptError
        They are not such references, or have arrays that are not read here.
    """
    import zarr

    read = _read_json if form == "json" else _read_parquet
    location = Location.of(place)
    directory, name = (str(location.parent), location.name) if form == "json" else (place, _META)
    reader = StoreReader(directory, options.fetcher())
    try:
        text = reader(name)
    except FileNotFoundError:
        raise StoreMissingError(f"{shown(place)}: no references here: no such file") from None
    with translate_errors(place, advice=""):
        references, attributes, inline = read(text, reader)
    if options.allow_local is None:
        options = replace(options, allow_local=is_local(place))
    frames = StoreHandle(None, references, options).store
    store = OtherStore(frames, attributes, inline)
    return zarr.open_group(store, mode="r", zarr_format=3, use_consolidated=False)


_Read = tuple[ReferenceSet, dict[str, Any], dict[str, InlineArray]]


def _read_json(text: bytes, reader: StoreReader) -> _Read:  # noqa: ARG001  # as the other
    document = json.loads(text)
    refs = document["refs"]
    if document.get("version") != 1 or "templates" in document or "gen" in document:
        raise StoreCorruptError("expected a version 1 reference set without templates")
    is_document = {key: key.rpartition("/")[2].startswith((".z", METADATA)) for key in refs}
    documents = {key: json.loads(refs[key]) for key, is_one in is_document.items() if is_one}
    chunks = {key: value for key, value in refs.items() if not is_document[key]}
    if METADATA in documents:
        documents, chunks = in_zarr_v2(documents, chunks)
    arrays = split_documents(documents)
    inline = {}
    for key in [key for key, value in chunks.items() if isinstance(value, str)]:
        name, _, chunk = key.partition("/")
        if name not in arrays:
            raise StoreCorruptError(f"{key!r:.120}: a chunk of no array")
        if name in inline:
            raise StoreCorruptError(f"{key!r:.120}: values in the references: expected one chunk")
        inline[name] = InlineArray.of(name, *arrays[name], _decoded(key, chunks.pop(key)))
        if chunk != inline[name].key:
            raise StoreCorruptError(f"{key!r:.120}: expected the one chunk {inline[name].key}")
    if lost := [key for key in chunks if key.partition("/")[0] not in arrays]:
        raise StoreCorruptError(f"{lost[0]!r:.120}: a chunk of no array")
    tables = tables_of(frame_arrays(arrays, inline), chunks)
    return _set(tables, text), root_attributes(documents), inline


def _read_parquet(text: bytes, reader: StoreReader) -> _Read:
    document = json.loads(text)
    documents = document["metadata"]
    arrays = split_documents(documents)
    inline = {}
    for name, about in arrays.items():
        if about[0].get("shape") == about[0].get("chunks"):  # of one chunk: it may be its value
            data = _inline_value(reader, name)
            if data is not None:
                inline[name] = InlineArray.of(name, *about, data)
    attributes = root_attributes(documents)
    own = attributes.get(ROOT_KEY)  # of `fits_references`, whose shards say which set they are of
    store_id = own.get("store_id") if isinstance(own, dict) else None
    tables = shards_of(
        reader, reader.url, frame_arrays(arrays, inline), document, store_id, sha256(text)
    )
    return _set(tables, text), attributes, inline


def _decoded(key: str, value: str) -> bytes:
    kind, _, data = value.partition(":")
    try:
        if kind == "base64":
            return base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError):
        pass
    raise StoreCorruptError(f"{key!r:.120}: values in the references: expected base64")


def _inline_value(reader: StoreReader, name: str) -> bytes | None:
    """Return what the first reference of an array has as its value; None if it refers."""
    import pyarrow.parquet as pq

    data = reader(f"{name}/refs.0.parq")
    file = pq.ParquetFile(io.BytesIO(data))
    if "raw" not in file.schema_arrow.names:
        return None
    column = file.metadata.schema.names.index("raw")
    asked = sum(
        file.metadata.row_group(i).column(column).total_uncompressed_size
        for i in range(file.metadata.num_row_groups)
    )
    check_size(f"{name}/refs.0.parq", asked, len(data))
    value = file.read(["raw"])["raw"][0].as_py() if file.metadata.num_rows else None
    return value.encode() if isinstance(value, str) else value


def _set(tables: dict[str, tuple[ArrayMetadata, FrameTable]], text: bytes) -> ReferenceSet:
    """Put tables together; refuse relative references, which could be below any directory.

    Refuse also those of pixels without a codec that are longer or shorter than a chunk.
    """
    directories: set[str] = set()
    for name, (metadata, table) in tables.items():
        frames = table.take(np.arange(metadata.n_frames))
        if metadata.compressor is None:
            n = math.prod(metadata.chunks) * np.dtype(metadata.dtype).itemsize
            for at in np.flatnonzero((frames.urls != "") & (frames.lengths != n))[:1].tolist():
                _, offset, length = frames.row(at)
                found = "a whole file" if offset < 0 else f"{length} bytes"
                raise StoreCorruptError(
                    f"{name}/{chunk_key(metadata, at)}: refers to {found}: expected the {n} bytes "
                    "of a chunk, which has no codec"
                )
        for url in frames.urls.tolist():
            if url and "://" not in url and not url.startswith("/"):
                raise StoreCorruptError(f"{name}: reference {url!r:.120}: expected an absolute one")
            directories.add(url.rpartition("/")[0] if url else "")
    # Below this the frames have the names that they are looked for by in another place.
    parts = [place.split("/") for place in directories - {""}]
    same = takewhile(lambda column: len(set(column)) == 1, zip(*parts, strict=False))
    shared = [column[0] for column in same]
    base = "/".join(shared) if len(shared) > 2 or "" in shared[:1] else ""
    return ReferenceSet({"base": base}, tables, sha256(text))

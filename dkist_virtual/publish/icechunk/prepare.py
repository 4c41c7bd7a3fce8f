"""Prepare the files that a repository keeps, with references of their own.

A repository's references are read from the columns of our own in the header table. So these have
to say what the store's references say: where they do not, the table is written again.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from dkist_virtual.io.asdf_blocks import tree_end
from dkist_virtual.store.format.frame_index import batches
from dkist_virtual.store.format.headers import ROW_GROUP, HeaderFile
from dkist_virtual.store.format.limits import headers_limit
from dkist_virtual.store.format.names import (
    HEADERS_NAME,
    METADATA_NAME,
    POINTING_NAME,
    VERIFY_NAME,
)
from dkist_virtual.store.format.references import ROOT_KEY, ReferenceSet, sha256
from dkist_virtual.store.icechunk.frames import HeaderFrames
from dkist_virtual.store.icechunk.layout import FILES, PIECE, StoredFile
from dkist_virtual.store.pointing_json import MOST

if TYPE_CHECKING:
    from dkist_virtual.store.format.references import FrameColumns
    from dkist_virtual.store.handle import OpenStore

__all__ = ["Prepared", "prepare"]

OWN = ("_url", "_offset", "_length", "_data")
"""The columns of the header table that references are read from."""


@dataclass(frozen=True, slots=True, eq=False)
class Prepared:
    """What is to be kept of a store.

    Parameters
    ----------
    references : ReferenceSet
        Absolute, with the `store_id` of these.
    files : dict of str to (StoredFile, pathlib.Path)
        Each as a file on this machine.
    tree : dict
        Of the ``dataset.asdf``, as plain values.
    content : str
        A hash of all that is kept but for times.
    """

    references: ReferenceSet
    files: dict[str, tuple[StoredFile, Path]]
    tree: dict[str, Any]
    content: str

    def pieces(self, name: str) -> Iterator[bytes]:
        """Give a file in pieces."""
        with self.files[name][1].open("rb") as file:
            while piece := file.read(PIECE):
                yield piece


def prepare(opened: OpenStore, directory: Path) -> Prepared:
    """Copy the files of a store into a directory, and bring the header table in line.

    Raises
    ------
    StoreCorruptError
        One of them cannot be read, or is missing.
    """
    import asdf

    references = opened.references()
    n_frames = sum(metadata.n_frames for metadata, _ in references.arrays.values())
    most = {HEADERS_NAME: headers_limit(n_frames), POINTING_NAME: MOST}
    header_file = opened.header_file  # checks that it belongs to the references
    for name in FILES:
        try:
            with opened.reader.open(name, most.get(name, 2**31)) as file:
                _copy(file, directory / name)
        except FileNotFoundError:
            if name in (METADATA_NAME, HEADERS_NAME):
                raise
    with (directory / METADATA_NAME).open("rb") as file:
        tree: dict[str, Any] = asdf.util.load_yaml(file)
    if not _has_references_of(header_file, references):
        record = tree.get("inventory") or {}
        dataset_id = record.get("datasetId", record.get("inversionId"))
        store_id = references.store_id(dataset_id)
        references = ReferenceSet(
            {**references.attributes, "store_id": store_id}, references.arrays
        )
        _rewrite(directory / HEADERS_NAME, references)
    if (directory / VERIFY_NAME).exists():
        _detach(directory / VERIFY_NAME, references, opened)
    files = {
        name: (_describe(directory / name), directory / name)
        for name in FILES
        if (directory / name).exists()
    }
    return Prepared(references, files, tree, _content(references, files, tree))


def _copy(file: BinaryIO, to: Path) -> None:
    with to.open("wb") as copy:
        while piece := file.read(PIECE):
            copy.write(piece)


def _describe(path: Path) -> StoredFile:
    """Say how long a file is, and hash its pieces."""
    hashes = []
    with path.open("rb") as file:
        while piece := file.read(PIECE):
            hashes.append(sha256(piece))
    return StoredFile(path.stat().st_size, tuple(hashes))


def _has_references_of(file: HeaderFile, references: ReferenceSet) -> bool:
    """Tell whether the header table has the references that the store has."""
    if file.store_id != references.attributes.get("store_id") or not all(map(file.has, OWN)):
        return False
    row = 0
    for metadata, frames in references.arrays.values():
        table = HeaderFrames(lambda: file, row, metadata)
        row += metadata.n_frames
        for positions in batches(metadata.n_frames, ROW_GROUP):
            if not _equal(table.take(positions), frames.take(positions)):
                return False
    return True


def _equal(one: FrameColumns, other: FrameColumns) -> bool:
    return all(
        np.array_equal(getattr(one, column), getattr(other, column))
        for column in ("urls", "offsets", "lengths")
    )


def _rewrite(path: Path, references: ReferenceSet) -> None:
    """Write the header table with the columns of other references."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    parts = [
        (metadata, frames.take(positions))
        for metadata, frames in references.arrays.values()
        for positions in batches(metadata.n_frames, ROW_GROUP)
    ]
    urls = np.concatenate([frames.urls for _, frames in parts])
    offsets = np.concatenate([frames.offsets for _, frames in parts])
    lengths = np.concatenate([frames.lengths for _, frames in parts])
    plain = np.concatenate([np.full(len(f), m.compressor is None) for m, f in parts])

    def integers(values: Any, there: Any) -> pa.Array:
        return pa.array(values, pa.int64(), mask=~(there & (values >= 0)))

    own = {
        "_url": pa.array([url or None for url in urls.tolist()], pa.string()),
        "_offset": integers(offsets, ~plain),
        "_length": integers(lengths, ~plain),
        "_data": integers(offsets, plain),
    }
    before = path.with_suffix(".before")
    path.rename(before)
    source = pq.ParquetFile(before)
    schema = source.schema_arrow
    about = json.loads((schema.metadata or {}).get(ROOT_KEY.encode(), b"{}"))
    about["store_id"] = references.attributes["store_id"]
    names = [name for name in schema.names if name not in own]
    # A plain frame's HDU stays known: its reference is of the pixels alone.
    fields = [schema.field(name) for name in names]
    kept = {name: source.read([name])[name] for name in own if name in schema.names}
    if plain.any():
        for name in ("_offset", "_length"):
            if name in kept:
                own[name] = _where(plain, kept[name], own[name])
    schema = pa.schema(
        [*fields, *(pa.field(name, column.type) for name, column in own.items())],
        metadata={**(schema.metadata or {}), ROOT_KEY.encode(): json.dumps(about).encode()},
    )
    with pq.ParquetWriter(str(path), schema, compression="zstd", write_page_checksum=True) as file:
        begin = 0
        for number in range(source.metadata.num_row_groups):
            table = source.read_row_group(number, names)
            n = len(table)
            columns = [table[name].combine_chunks() for name in names]
            columns += [column.slice(begin, n) for column in own.values()]
            file.write_table(pa.Table.from_arrays(columns, schema=schema), row_group_size=n)
            begin += n
    source.close()
    before.unlink()


def _where(plain: Any, kept: Any, new: Any) -> Any:
    import pyarrow as pa
    import pyarrow.compute as pc

    old = kept.combine_chunks().cast(pa.int64())
    return pc.if_else(pa.array(plain), old, new)


def _detach(path: Path, references: ReferenceSet, opened: OpenStore) -> None:
    """Say of which references a verification is by their ID alone: those of a file are not here.

    One of other references than the store's is left out: a reader ignores it in the store too.
    """
    try:
        found = json.loads(path.read_bytes())
        of = found.get("references")
        current = of == opened.references().identity or (
            of is None and found["store_id"] == opened.references().attributes.get("store_id")
        )
    except (ValueError, KeyError, AttributeError):
        current = False
    path.unlink()
    if current:
        found.pop("references", None)
        found["store_id"] = references.attributes["store_id"]
        path.write_text(json.dumps(found, indent=1), encoding="utf-8")


def _content(
    references: ReferenceSet, files: dict[str, tuple[StoredFile, Path]], tree: dict[str, Any]
) -> str:
    """Compute a hash of all that is kept, but for when it was written and by which library."""
    origin = {
        key: value
        for key, value in tree["dkist_virtual"]["origin"].items()
        if key not in ("date", "saved")
    }
    plain = {key: value for key, value in tree.items() if key not in ("history", "asdf_library")}
    plain["dkist_virtual"] = {"origin": origin}
    data = files[METADATA_NAME][1].read_bytes()
    end = tree_end(data)
    blocks = b"" if end < 0 else data[end:]
    hashes = {name: file.hashes for name, (file, _) in files.items() if name != METADATA_NAME}
    about = [references.attributes, plain, sha256(blocks), hashes]
    return sha256(json.dumps(about, sort_keys=True, default=str).encode())

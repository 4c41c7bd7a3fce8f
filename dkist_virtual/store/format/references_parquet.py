"""Read and write kerchunk's Parquet references, one shard at a time."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np

from dkist_virtual.errors import StoreCorruptError
from dkist_virtual.fits.threads import ThreadLock
from dkist_virtual.io.locations import join
from dkist_virtual.io.safety import check_size
from dkist_virtual.store.format.frame_index import batches
from dkist_virtual.store.format.limits import text_size
from dkist_virtual.store.format.references import (
    ROOT_KEY,
    STRINGS,
    WHOLE_FILE,
    ArrayMetadata,
    FrameColumns,
    FrameTable,
    ReferenceSet,
    read_metadata,
    replaced_error,
    sha256,
    translate_errors,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

__all__ = ["RECORD_SIZE", "read_parquet", "shards_of", "write_parquet"]

RECORD_SIZE: Final = 10_000
"""References in one parquet shard: what kerchunk and fsspec write too."""

MAX_RECORD_SIZE: Final = 2**20
"""Other writers choose other numbers, and a shard is read as a whole."""

_COLUMNS: Final = {
    "path": ("string", "large_string", "dictionary<values=string", "null"),
    "offset": ("int", "uint"),
    "size": ("int", "uint"),
}
"""Of a shard, with the beginnings of pyarrow's types: writers other than ours differ."""


def write_parquet(references: ReferenceSet, write: Callable[[str, bytes], None]) -> None:
    """Write a kerchunk reference set as parquet: ``.zmetadata`` and shards.

    ``write`` takes a name relative to ``references.parq/`` and the file's bytes.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    for name, (metadata, frames) in references.arrays.items():
        for record, positions in enumerate(batches(metadata.n_frames, RECORD_SIZE)):
            part = frames.take(positions)
            urls = [url or None for url in part.urls.tolist()]
            table = pa.table(
                {
                    "path": pa.array(urls, pa.string()),
                    # Zero for both means the whole file, as in kerchunk.
                    "offset": pa.array(np.maximum(part.offsets, 0), pa.int64()),
                    "size": pa.array(np.maximum(part.lengths, 0), pa.int64()),
                    "raw": pa.array([None] * len(part), pa.binary()),
                }
            )
            if "store_id" in references.attributes:
                mark = json.dumps({"store_id": references.attributes["store_id"]})
                table = table.replace_schema_metadata({ROOT_KEY: mark})
            sink = pa.BufferOutputStream()
            pq.write_table(table, sink, compression="zstd")
            write(f"{name}/refs.{record}.parq", sink.getvalue().to_pybytes())
    metadata_document = {"metadata": references.documents(), "record_size": RECORD_SIZE}
    write(".zmetadata", json.dumps(metadata_document).encode())


def read_parquet(read: Callable[[str], bytes], place: str) -> ReferenceSet:
    """Read a reference set of ours from parquet; a shard when one of its entries is first used.

    ``read`` takes a name relative to ``references.parq/`` and gives the file's bytes; it is kept
    for shards. ``place`` is where the set came from, for messages.
    """
    with translate_errors(join(place, ".zmetadata")):
        text = read(".zmetadata")
        document = json.loads(text)
        root, metadata = read_metadata(document["metadata"])
        arrays = shards_of(read, place, metadata, document, root.get("store_id"), sha256(text))
    return ReferenceSet(root, arrays, sha256(text))


def shards_of(
    read: Callable[[str], bytes],
    place: str,
    metadata: Mapping[str, ArrayMetadata],
    document: Mapping[str, object],
    store_id: str | None,
    identity: str,
) -> dict[str, tuple[ArrayMetadata, FrameTable]]:
    """Make the tables of arrays whose references are in shards, as a ``.zmetadata`` says."""
    size = document["record_size"]
    if type(size) is not int or not 1 <= size <= MAX_RECORD_SIZE:
        raise StoreCorruptError(f"record_size = {size!r}: expected 1 to {MAX_RECORD_SIZE}")
    arrays: dict[str, tuple[ArrayMetadata, FrameTable]] = {}
    for name, about in metadata.items():
        load = _ShardReader(read, place, name, about.n_frames, size, store_id, identity)
        arrays[name] = (about, _Shards(about.n_frames, size, load))
    return arrays


@dataclass(frozen=True, slots=True)
class _ShardReader:
    """Read one shard of one array; a class, not a closure, so that it pickles."""

    read: Callable[[str], bytes]
    place: str = field(repr=False)  # may be signed
    name: str
    n: int
    size: int
    store_id: str | None
    identity: str

    def __call__(self, record: int) -> tuple[FrameColumns, str]:
        """Read the entries of a shard, and its mark."""
        try:
            return self._read(record)
        except (StoreCorruptError, FileNotFoundError):
            self._check_replaced()
            raise

    def _check_replaced(self) -> None:
        """Raise `StoreReplacedError` where another store is there now, whose shards differ."""
        read = self.read.again() if hasattr(self.read, "again") else self.read
        now = self.identity
        with suppress(StoreCorruptError, FileNotFoundError):
            now = sha256(read(".zmetadata"))
        if now != self.identity:
            raise replaced_error(join(self.place, ".zmetadata"))

    def marks(self, records: Sequence[int]) -> list[str]:
        """Give texts that change when shards are replaced, without reading them."""
        marks: Callable[[Sequence[str]], list[str]] | None = getattr(self.read, "marks", None)
        names = [f"{self.name}/refs.{record}.parq" for record in records]
        return [""] * len(names) if marks is None else marks(names)

    def _read(self, record: int) -> tuple[FrameColumns, str]:
        import pyarrow as pa
        import pyarrow.parquet as pq

        shard = f"{self.name}/refs.{record}.parq"
        with translate_errors(join(self.place, shard)):
            marked = getattr(self.read, "marked", None)
            data, as_read = (self.read(shard), "") if marked is None else marked(shard)
            try:
                there = set(pq.read_schema(pa.BufferReader(data)).names)
                # Text as a dictionary: one long URL for all rows takes no memory until it is
                # counted.
                text = [name for name in ("path", "raw") if name in there]
                file = pq.ParquetFile(pa.BufferReader(data), read_dictionary=text)
                mark = (file.schema_arrow.metadata or {}).get(ROOT_KEY.encode())
                of = None if mark is None else json.loads(mark).get("store_id")
                if of not in (None, self.store_id):
                    raise replaced_error(join(self.place, shard))
                if file.metadata.num_rows > self.size:
                    raise StoreCorruptError(
                        f"has {file.metadata.num_rows} references: expected at most {self.size}"
                    )
                table = file.read([name for name in (*_COLUMNS, "raw") if name in there])
            except OSError as error:  # pyarrow's for some garbage: no file is read here
                raise StoreCorruptError(f"cannot be read as parquet: {error}") from error
            types = {name: str(table.schema.field(name).type) for name in _COLUMNS}
            if not all(types[name].startswith(kinds) for name, kinds in _COLUMNS.items()):
                raise StoreCorruptError(f"its columns are {types}: expected text and two integers")
            if "raw" in table.schema.names and table["raw"].null_count < len(table):
                raise StoreCorruptError("raw has inline data: expected only nulls")
            # kerchunk fills its last shard with nulls up to the record size.
            expected = min(self.size, self.n - record * self.size)
            if len(table) < expected:
                raise StoreCorruptError(f"has {len(table)} references: expected {expected}")
            check_size("its text", text_size(table["path"]), len(data))
            table = table.slice(0, expected)
            urls = table["path"].cast(pa.string()).fill_null("").to_pylist()
            lengths = table["size"].to_numpy().astype(np.int64)
            offsets = table["offset"].to_numpy().astype(np.int64)
            whole = (lengths == 0) & (offsets == 0)
            offsets[whole] = lengths[whole] = WHOLE_FILE
            return FrameColumns(np.array(urls, STRINGS), offsets, lengths), as_read


TRIES: Final = 3
"""How often a shard is read while its mark differs: some services have copies of a file on several
machines, each with a modification time of its own."""

_LOADING: Final = ThreadLock()


@dataclass(frozen=True, slots=True, eq=False)
class _Shards:
    """Columns in parquet shards, each read when one of its entries is first wanted."""

    n: int
    record_size: int
    load: _ShardReader
    loaded: dict[int, FrameColumns] = field(default_factory=dict)
    marks: dict[int, str] = field(default_factory=dict)

    def __len__(self) -> int:
        return self.n

    def _shard(self, record: int) -> FrameColumns:
        shard = self.loaded.get(record)
        if shard is None:
            with _LOADING:  # the frames of a chunk are read at once, and are in one shard
                shard = self.loaded.get(record)
                if shard is None:
                    for _ in range(TRIES):
                        shard, mark = self.load(record)
                        # An array's name depends on the mark: what is read has to match it.
                        if (self.marks.setdefault(record, mark) or mark) == mark:
                            break
                    else:
                        name = f"{self.load.name}/refs.{record}.parq"
                        raise replaced_error(join(self.load.place, name))
                    self.loaded[record] = shard
        return shard

    def mark(self, positions: Callable[[], NDArray[np.int64]]) -> str:
        """Give a text that changes when the shards of some entries are replaced."""
        records = np.unique(positions() // self.record_size).tolist()
        with _LOADING:
            missing = [record for record in records if record not in self.marks]
            self.marks.update(zip(missing, self.load.marks(missing), strict=True))
        return sha256("\n".join(self.marks[record] for record in records).encode())

    def row(self, position: int) -> tuple[str, int, int]:
        """Give one entry as Python values."""
        record, at = divmod(position, self.record_size)
        return self._shard(record).row(at)

    def take(self, positions: NDArray[np.int64]) -> FrameColumns:
        """Give the entries at some positions, in their order."""
        records = positions // self.record_size
        found = FrameColumns.absent(len(positions))
        for record in np.unique(records):
            where = np.flatnonzero(records == record)
            part = self._shard(int(record)).take(positions[where] - record * self.record_size)
            found.urls[where] = part.urls
            found.offsets[where] = part.offsets
            found.lengths[where] = part.lengths
        return found

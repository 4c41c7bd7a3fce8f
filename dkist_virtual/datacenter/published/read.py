"""Read the file of a catalogue, from this machine or from a server."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from dkist_virtual.datacenter.published.addresses import file_of
from dkist_virtual.datacenter.published.table import COLUMNS, ROOT_KEY, VERSION, Column
from dkist_virtual.errors import (
    FrameCorruptError,
    FrameError,
    FrameMissingError,
    SearchError,
    StoreCorruptError,
    StoreMissingError,
)
from dkist_virtual.io.byte_range import Request
from dkist_virtual.io.fetcher import Fetcher
from dkist_virtual.io.locations import is_local, local_path, shown
from dkist_virtual.io.safety import check_size
from dkist_virtual.store.format.limits import text_size

if TYPE_CHECKING:
    import pyarrow as pa
    from pyarrow.parquet import FileMetaData

__all__ = ["Published", "parse_catalogue", "read_catalogue"]

MOST_BYTES: Final = 2**28
"""Bytes of the file of a catalogue: of 50,000 datasets it has some ten million."""

MOST_ROWS: Final = 2**22
"""Likewise its rows."""


@dataclass(frozen=True, slots=True)
class Published:
    """A catalogue that was read whole.

    Parameters
    ----------
    file : str
        Its absolute path or URL.
    table : pyarrow.Table
        With all columns of `table.COLUMNS`; those that the file lacks are null. Text may be a
        dictionary.
    """

    file: str
    table: pa.Table


def read_catalogue(
    catalogue: str | os.PathLike[str], storage_options: Mapping[str, Any] | None = None
) -> Published:
    """Read a catalogue whole, with one request where it is on a server.

    Parameters
    ----------
    catalogue : path or URL
        Of the file, or of the directory that it is in.
    storage_options : dict, optional
        A URL prefix, or a protocol, to fsspec's options for it.

    Raises
    ------
    StoreMissingError
        There is none.
    StoreCorruptError
        It is something else, or has a column of another type.
    SearchError
        The server or disk does not answer.
    """
    file = file_of(catalogue)
    try:
        data = bytes(
            Fetcher(dict(storage_options or {})).answer(Request(file, most=MOST_BYTES)).data
        )
    except FrameMissingError as error:
        raise _missing(file) from error
    except FrameCorruptError as error:
        raise StoreCorruptError(f"the catalogue cannot be read: {error}") from error
    except FrameError as error:
        if is_local(file) and not os.path.lexists(local_path(file)):
            raise _missing(file) from error
        raise SearchError(f"the catalogue could not be read: {error}") from error
    return Published(file, parse_catalogue(data, shown(file)))


def _missing(file: str) -> StoreMissingError:
    return StoreMissingError(
        f"{shown(file)}: no catalogue here. dkist-virtual catalogue STORES writes one for the "
        "stores of a directory"
    )


def parse_catalogue(data: bytes, name: str) -> pa.Table:
    """Read the bytes of a catalogue; `name` is for messages.

    Raises
    ------
    StoreCorruptError
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        source = pa.BufferReader(data)
        first = pq.ParquetFile(source)
        _check_version(first.schema_arrow, name)
        there = _known(first.schema_arrow, name)
        _check_sizes(first.metadata, name, len(data))
        wordy = [
            f"{c.name}{'.list.element' * (c.kind == 'texts')}" for c in there if "text" in c.kind
        ]
        # Text as a dictionary: a long value of all rows takes no memory until it is counted.
        file = pq.ParquetFile(source, read_dictionary=wordy, page_checksum_verification=True)
        table = file.read(columns=[column.name for column in there])
        text = sum(_text_size(table[column.name]) for column in there if "text" in column.kind)
        check_size(f"{name}: its text", text, len(data))
        rows = table.num_rows
        columns = [
            table[column.name] if column in there else pa.nulls(rows, column.arrow)
            for column in COLUMNS
        ]
        whole = pa.table(columns, names=[column.name for column in COLUMNS])
        if whole["store"].null_count:
            raise StoreCorruptError(f"{name}: column store has nulls: expected an address in each")
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        lines = str(error).splitlines() or [type(error).__name__]
        raise StoreCorruptError(f"{name}: the catalogue cannot be read: {lines[0]}") from error
    return whole


def _text_size(column: pa.ChunkedArray) -> int:
    import pyarrow as pa

    lists = pa.types.is_list(column.type)
    parts = [chunk.flatten() for chunk in column.chunks] if lists else column.chunks
    return text_size(pa.chunked_array(parts)) if parts else 0


def _check_version(schema: pa.Schema, name: str) -> None:
    try:
        about = json.loads((schema.metadata or {})[ROOT_KEY.encode()])
        version = about["catalogue_version"]
    except (KeyError, TypeError, ValueError, RecursionError):
        raise StoreCorruptError(
            f"{name}: its metadata has no catalogue_version: expected a catalogue that "
            "dkist-virtual catalogue wrote"
        ) from None
    if type(version) is not int or version != VERSION:
        raise StoreCorruptError(
            f"{name}: catalogue_version is {version!r:.40}: this version of dkist_virtual reads "
            f"{VERSION}. Upgrade it"
        )


def _known(schema: pa.Schema, name: str) -> list[Column]:
    """Return the known columns that are in the file, whose types were checked."""
    known = {column.name: column for column in COLUMNS}
    there = [known[field.name] for field in schema if field.name in known]
    if len(set(there)) < len(there):
        raise StoreCorruptError(f"{name}: a column is in it twice")
    if known["store"] not in there:
        raise StoreCorruptError(f"{name}: column store is missing: expected a catalogue of stores")
    for column in there:
        found = schema.field(column.name).type
        if not _is_of(column, found):
            raise StoreCorruptError(
                f"{name}: column {column.name} is of {found}: expected {column.arrow}"
            )
    return there


def _is_of(column: Column, found: pa.DataType) -> bool:
    import pyarrow as pa

    if pa.types.is_list(found) and pa.types.is_list(column.arrow):
        return bool(found.value_type == column.arrow.value_type)
    return bool(found == column.arrow)


def _check_sizes(metadata: FileMetaData, name: str, there: int) -> None:
    if metadata.num_rows > MOST_ROWS:
        raise StoreCorruptError(
            f"{name}: {metadata.num_rows} rows: more than {MOST_ROWS} are not read"
        )
    asked = metadata.num_rows * 8 * len(COLUMNS)
    for i in range(metadata.num_row_groups):
        group = metadata.row_group(i)
        columns = [group.column(j) for j in range(group.num_columns)]
        asked += sum(max(8 * c.num_values, c.total_uncompressed_size) for c in columns)
    check_size(f"{name}: its table", asked, there)

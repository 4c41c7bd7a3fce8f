"""Read a whole ``headers.parquet``, by the door that the package reads a part of it through."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from dkist_virtual.store.format.headers import OURS, HeaderFile

if TYPE_CHECKING:
    from dkist_virtual.store.format.header_table import HeaderTable


def read_headers(
    file: Path | str | BinaryIO, *, rows: Any = None, columns: Sequence[str] | None = None
) -> HeaderTable:
    table = HeaderFile(file).headers(rows)
    part: HeaderTable = table if columns is None else table[list(columns)]
    part.columns  # noqa: B018  # reads them
    return part


def read_own_columns(file: Path | str | BinaryIO, columns: Sequence[str] = OURS) -> dict[str, Any]:
    opened = HeaderFile(file)
    return {name: opened.own(name) for name in columns}

"""Name the files of a store."""

from __future__ import annotations

from typing import Final

__all__ = ["HEADERS_NAME", "JSON_NAME", "METADATA_NAME", "PARQUET_NAME", "VERIFY_NAME"]

JSON_NAME: Final = "references.json"
PARQUET_NAME: Final = "references.parq"

METADATA_NAME: Final = "dataset.asdf"
"""The name of the description's file in a store."""

HEADERS_NAME: Final = "headers.parquet"
"""The header table's name in a store."""

VERIFY_NAME: Final = "verify.json"

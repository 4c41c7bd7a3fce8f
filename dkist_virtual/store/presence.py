"""Tell whether a store is at a place, before anything of it is read.

A mistyped path is the commonest error, so this imports next to nothing.
"""

from __future__ import annotations

import os
import time
from typing import Final

from dkist_virtual.errors import StoreMissingError
from dkist_virtual.io.locations import is_local, join, local_path, shown
from dkist_virtual.store.format.names import JSON_NAME, PARQUET_NAME

__all__ = ["check_present", "no_store_error"]

_MOMENT: Final = 0.01
"""Seconds that a conversion may need between taking a store away and putting in the new one."""


def check_present(place: str) -> None:
    """Raise `StoreMissingError` where a directory on this machine has no references.

    Nothing is known of other places before they are read.
    """
    if is_local(place) and not _is_store(place):
        time.sleep(_MOMENT)
        if not _is_store(place):
            raise no_store_error(place)


def _is_store(place: str) -> bool:
    names = (JSON_NAME, f"{PARQUET_NAME}/.zmetadata")
    return any(os.path.lexists(local_path(join(place, name))) for name in names)


def no_store_error(place: str) -> StoreMissingError:
    """Make the error for a place without a store."""
    return StoreMissingError(
        f"{shown(place)}: no store here: expected {JSON_NAME} or {PARQUET_NAME}. "
        "dkist-virtual convert makes one from a dataset's ASDF"
    )

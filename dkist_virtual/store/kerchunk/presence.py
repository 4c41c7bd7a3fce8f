"""Tell whether a place may have references that are not a store's, by its name."""

from __future__ import annotations

import os
from typing import Literal

from dkist_virtual.io.locations import Location, is_local, local_path
from dkist_virtual.store.cubes.presence import ROOT_NAME

__all__ = ["form_of"]


def form_of(place: str) -> Literal["json", "parquet"] | None:
    """Return the form of references at a place; None where there cannot be any.

    A file ``*.json`` has them as JSON, a directory with ``.zmetadata`` as Parquet. What is on a
    server is known by its name alone: ``*.json``, ``*.parq`` or ``*.parquet``.
    """
    name = Location.of(place).name
    if name.endswith(".json") and name != ROOT_NAME:
        return "json" if not is_local(place) or os.path.isfile(local_path(place)) else None
    if is_local(place):
        there = os.path.isfile(os.path.join(local_path(place), ".zmetadata"))
        return "parquet" if there else None
    return "parquet" if name.endswith((".parq", ".parquet")) else None

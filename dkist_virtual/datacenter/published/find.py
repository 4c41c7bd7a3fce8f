"""Find the store of a dataset in a catalogue, by the ID of the dataset or of its product."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np

from dkist_virtual.datacenter.published.conditions import UNKNOWN_STATUS, records
from dkist_virtual.datacenter.published.read import read_catalogue
from dkist_virtual.errors import RemovedError, StoreMissingError, SupersededWarning
from dkist_virtual.io.locations import shown

__all__ = ["found_in", "store_in"]


def store_in(
    catalogue: str | os.PathLike[str],
    identity: str,
    storage_options: Mapping[str, Any] | None = None,
) -> str:
    """Find the address of the store of an ID; see `found_in`."""
    return str(found_in(catalogue, identity, storage_options)["Store"])


def found_in(
    catalogue: str | os.PathLike[str],
    identity: object,
    storage_options: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Find the record of an ID, with the address of its store; of a product, its newest dataset's.

    Raises
    ------
    TypeError
        Something else than a text was given.
    StoreMissingError
        The catalogue does not exist, or does not have it.
    RemovedError
        The dataset was withdrawn.
    StoreCorruptError, SearchError
        See `read_catalogue`.

    Warns
    -----
    SupersededWarning
        The dataset is no longer the newest of its product.
    """
    if not isinstance(identity, str):
        raise TypeError(
            f"{identity!r:.80}: with catalogue= expected the ID of a dataset or product"
        )
    published = read_catalogue(catalogue, storage_options)
    table = published.table
    positions = _where(table, "dataset_id", identity)
    if not len(positions):
        positions = _where(table, "product_id", identity)
    if not len(positions):
        raise StoreMissingError(
            f"{identity}: the catalogue {shown(published.file)} has no dataset or product of this "
            f"ID, among {table.num_rows}"
        )
    found = records(published, positions)
    record = max(found, key=_age)
    own = record["datasetId"]
    if _status(record) == UNKNOWN_STATUS:
        return record
    instead = "Nothing in the catalogue replaced it."
    if (product := record["productId"]) is not None:
        same = records(published, _where(table, "product_id", product))
        newest = max(same, key=_age, default=record)
        if _status(newest) == UNKNOWN_STATUS:
            name = newest["datasetId"]
            instead = f"{name} replaced it: dv.open_dataset({name!r}, catalogue=...)"
    if _status(record) == "REMOVED":
        raise RemovedError(f"{own}: was removed by the Data Center. {instead}")
    warnings.warn(
        f"{own}: is {_status(record).lower()}, and not the newest of its product. {instead}",
        SupersededWarning,
        stacklevel=3,
    )
    return record


def _where(table: Any, column: str, value: str) -> np.ndarray[Any, np.dtype[np.int64]]:
    return np.flatnonzero([each == value for each in table[column].to_pylist()])


def _status(record: Mapping[str, Any]) -> str:
    return str(record["status"] or UNKNOWN_STATUS).upper()


def _age(record: Mapping[str, Any]) -> tuple[bool, str, str]:
    """Return a key that sorts records from old to new, active ones last."""
    created = str(record["createDate"] or record["headerDataUnitCreationDate"] or "")
    return _status(record) == UNKNOWN_STATUS, created, str(record["datasetId"])

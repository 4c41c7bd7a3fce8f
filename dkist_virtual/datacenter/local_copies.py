"""Open datasets by ID: fetch the ASDF once, convert it, cache both on this machine."""

from __future__ import annotations

import json
import os
import shutil
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dkist_virtual.conversion.convert import convert
from dkist_virtual.conversion.staging import raise_store_errors
from dkist_virtual.datacenter.catalogue import (
    Record,
    dataset_id,
    fetch_asdf,
    find,
    globus_path,
    is_id,
    name_successor,
    status_of,
)
from dkist_virtual.errors import DatasetError, RemovedError, SearchError, SupersededWarning
from dkist_virtual.io.local_file import open_regular, sync
from dkist_virtual.io.locks import open_locked
from dkist_virtual.store.format.dataset_asdf import METADATA_NAME, read_plain

__all__ = ["cache_directory", "store_of"]

RECORD_NAME = "record.json"


def cache_directory() -> Path:
    """Find the cache of ASDF files and stores, in which every dataset has a directory."""
    import platformdirs

    return platformdirs.user_cache_path("dkist_virtual") / "datasets"


def store_of(identity: str) -> str:
    """Find the store of a dataset in the cache; convert the newest ASDF if it is not there.

    A product ID is that of its newest dataset. Raises StoreMissingError for an unknown ID,
    RemovedError for a withdrawn dataset, and SearchError if the Data Center does not answer and
    this machine has no copy. Warns with SupersededWarning of a newer dataset of the same
    product, or of a copy that could not be compared with the Data Center.
    """
    try:
        record, newer = find(identity)
    except SearchError as error:
        kept = _kept(identity)
        if kept is None:
            raise
        warnings.warn(
            f"{identity}: opened the copy in {kept}, since {error}",
            SupersededWarning,
            stacklevel=4,
        )
        return str(kept)
    own = dataset_id(record)
    instead = name_successor(newer)
    if status_of(record) == "REMOVED":
        raise RemovedError(f"{own}: was removed by the Data Center. {instead}".rstrip())
    if status_of(record) != "ACTIVE":
        warnings.warn(
            f"{own}: is {status_of(record).lower()}, and not the newest of its product. "
            f"{instead or 'Nothing replaced it so far.'}",
            SupersededWarning,
            stacklevel=4,
        )
    return str(_made(record, cache_directory() / own))


def _made(record: Record, directory: Path) -> Path:
    """Return the store of a record, from the cache or the Data Center."""
    store = directory / f"{dataset_id(record)}.virtual"
    if _read(directory) == record and store.is_dir():
        return store
    with _lock(directory):
        if _read(directory) != record or not store.is_dir():  # another process may have made it
            asdf = fetch_asdf(record, directory)
            try:
                base = f"globus://dkist{globus_path(record)}"
            except DatasetError:  # unknown: then beside the ASDF
                base = None
            convert(asdf, store, base=base, scan="never", overwrite=True, progress=False)
            _check_id(store, record)
            # Last, so that an interrupted conversion is repeated.
            partial = directory / f"{RECORD_NAME}.{os.getpid()}"
            with raise_store_errors(directory):
                partial.write_text(json.dumps(record), encoding="utf-8")
                sync(partial)
                partial.replace(directory / RECORD_NAME)
                sync(directory)
    return store


def _check_id(store: Path, record: Record) -> None:
    """Refuse, and remove, the store of an ASDF that belongs to another dataset."""
    inventory = read_plain(store / METADATA_NAME).get("inventory") or {}
    found = inventory.get("datasetId", dataset_id(record))
    if found != dataset_id(record):
        shutil.rmtree(store)
        raise SearchError(
            f"{dataset_id(record)}: the ASDF that the Data Center serves for it is that of {found}"
        )


@contextmanager
def _lock(directory: Path) -> Iterator[None]:
    """Let one process of this machine in at a time; a killed process releases its lock."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
        lock = open_locked(directory / ".lock", wait=True)
    except OSError as error:
        raise DatasetError(
            f"{directory}: the cache of datasets that are opened by their ID cannot be written: "
            f"{error.strerror or error}. XDG_CACHE_HOME names another place"
        ) from error
    assert lock is not None
    try:
        yield
    finally:
        os.close(lock)


def _read(directory: Path) -> Record | None:
    try:
        with open_regular(directory / RECORD_NAME) as file:
            record: Record = json.load(file)
    except (OSError, ValueError):
        return None
    return record


def _kept(identity: str) -> Path | None:
    """Find a store that was made earlier, by dataset ID, or the newest by product ID."""
    cached = cache_directory()
    own = [cached / identity] if is_id(identity) else []
    of_product = [
        directory
        for directory in sorted(cached.glob("*"))
        if (_read(directory) or {}).get("productId") == identity
    ]
    stores = [directory / f"{directory.name}.virtual" for directory in own + of_product]
    return next((store for store in reversed(stores) if store.is_dir()), None)

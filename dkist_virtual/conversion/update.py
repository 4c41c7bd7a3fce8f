"""Update a store from a newer ASDF of its dataset, without scanning the frames again."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from dkist_virtual.conversion.convert import Work
from dkist_virtual.conversion.staging import existing_store
from dkist_virtual.io.fetcher import Fetcher
from dkist_virtual.store.format.references import PARQUET_NAME
from dkist_virtual.store.reader import StoreReader, references_in

if TYPE_CHECKING:
    from dkist_virtual.conversion.convert import Conversion
    from dkist_virtual.conversion.scan import ScanMode
    from dkist_virtual.protocols import DaskClient

__all__ = ["update"]


def update(
    store: str | os.PathLike[str],
    asdf: str | os.PathLike[str],
    *,
    frames: str | os.PathLike[str] | None = None,
    scan: ScanMode | None = None,
    progress: bool | None = None,
    workers: int | None = None,
    client: DaskClient | None = None,
    storage_options: dict[str, dict[str, Any]] | None = None,
) -> Conversion:
    """Take over WCS, headers, inventory and the order of frames from a newer ASDF of a dataset.

    The Data Center mends metadata in a new ASDF under the same dataset ID, and the frames stay.
    Frames that the store knows by their names are not scanned; new frames, and frames of which
    the ASDF now says another type or shape, are scanned.

    Parameters
    ----------
    store : path
        On this machine. It is replaced once the new one is complete.
    asdf : path or URL
        The newer ASDF, or a directory with one.
    frames : path or URL, optional
        Where frames that the store does not know are scanned. By default where it says that
        frames are.
    scan : {"auto", "always", "never"}, optional
        As in `convert`, for those. By default "auto", and "never" where the store was made without
        a scan.
    progress, workers, client, storage_options
        As in `convert`.

    Returns
    -------
    Conversion

    Raises
    ------
    StoreMissingError
        There is no store.
    DatasetError
        The ASDF is of another dataset.
    FrameError
        As in `convert`. The store stays as it was.
    """
    target = existing_store(store)
    attributes = references_in(StoreReader(str(target), Fetcher())).attributes
    if scan is None:
        scan = "auto" if attributes.get("head_bytes") else "never"
    return Work(
        frames=frames,
        base=str(attributes["base"]),
        scan=scan,
        references="parquet" if (target / PARQUET_NAME).is_dir() else "json",
        overwrite=True,
        trusted=True,
        progress=progress,
        workers=workers,
        client=client,
        storage_options=storage_options,
    ).run(asdf, target)

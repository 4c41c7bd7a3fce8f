"""Update a store from a newer ASDF of its dataset, without scanning the frames again."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any

from dkist_virtual.conversion.asdf.locate import find_asdf
from dkist_virtual.conversion.convert import Conversion, Work
from dkist_virtual.conversion.staging import existing_store, is_being_built
from dkist_virtual.conversion.unchanged import is_made_of
from dkist_virtual.io.fetcher import Fetcher
from dkist_virtual.io.locations import absolute, is_local, local_path
from dkist_virtual.store.format.references import PARQUET_NAME
from dkist_virtual.store.reader import StoreReader, references_in
from dkist_virtual.store.relative.resolve import is_relative

if TYPE_CHECKING:
    from pathlib import Path

    from dkist_virtual.conversion.scan import ScanMode
    from dkist_virtual.protocols import DaskClient
    from dkist_virtual.store.format.references import ReferenceSet

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
    the ASDF now says another type or shape, are scanned. A store that was made of this very ASDF,
    by the same software, stays as it is.

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
    references = references_in(StoreReader(str(target), Fetcher()))
    attributes = references.attributes
    if scan is None:
        scan = "auto" if attributes.get("head_bytes") else "never"
    work = Work(
        frames=frames,
        base=str(attributes["base"]),
        scan=scan,
        references="parquet" if (target / PARQUET_NAME).is_dir() else "json",
        relative=is_relative(references),
        overwrite=True,
        trusted=True,
        progress=progress,
        workers=workers,
        client=client,
        storage_options=storage_options,
    )
    same = None if frames is not None else _unchanged(target, asdf, references)
    return work.run(asdf, target) if same is None else same


def _unchanged(
    target: Path, asdf: str | os.PathLike[str], references: ReferenceSet
) -> Conversion | None:
    """Say what there is where a store was made of this very ASDF; None where it was not."""
    began = time.perf_counter()
    if not is_local(absolute(asdf, "asdf")) or is_being_built(target):
        return None
    path, others = find_asdf(local_path(os.fspath(asdf)))
    if not is_made_of(path, target, references):
        return None
    n = int(references.attributes["n_frames"])
    return Conversion(
        store=str(target),
        asdf=path,
        n_frames=n,
        n_scanned=n,
        n_absent=0,
        n_unreachable=0,
        missing=(),
        n_bytes=int(references.attributes["n_bytes"]),
        seconds=time.perf_counter() - began,
        passed_over=tuple(others),
        n_kept=n,
    )
